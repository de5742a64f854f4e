package oxkeeper;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.zookeeper.server.ZooKeeperServer;

/**
 * Starts and ends the processes that stand in place of the servers that ZooKeeper's tests would start in their own JVM.
 * The command is in the property oxkeeper.server, with {conf} in place of the file; logs go to oxkeeper.logs.
 */
public final class Servers {
    /** Begins the message of what only a server in the same JVM could answer. */
    public static final String IN_JVM = "only a server in the JVM of the test has this: ";

    private static final Collection<Process> STARTED = new ConcurrentLinkedQueue<>();

    static {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> STARTED.forEach(Process::destroyForcibly)));
    }

    private Servers() {
    }

    /** Starts a server on a configuration file; what the test has set as system properties reaches it as flags. */
    public static Process start(File conf) throws IOException {
        List<String> command = new ArrayList<>();
        for (String word : System.getProperty("oxkeeper.server").split(" ")) {
            command.add(word.replace("{conf}", conf.getAbsolutePath()));
        }
        // The variable is split at blanks: a value with one in it goes on the command line.
        Map<Boolean, List<String>> flags = flags();
        command.addAll(flags.get(true));
        ProcessBuilder builder = new ProcessBuilder(command);
        builder.environment().put("SERVER_JVMFLAGS", String.join(" ", flags.get(false)));
        builder.redirectErrorStream(true);
        builder.redirectOutput(File.createTempFile("server-", ".log", new File(System.getProperty("oxkeeper.logs"))));
        Process process = builder.start();
        STARTED.add(process);
        return process;
    }

    /** Starts a server on the given lines. */
    public static Process start(List<String> lines) throws IOException {
        Path conf = Files.createTempFile(Path.of(System.getProperty("oxkeeper.logs")), "zoo-", ".cfg");
        Files.write(conf, lines);
        return start(conf.toFile());
    }

    public static void stop(Process process) {
        if (process == null) {
            return;
        }
        process.destroy();
        try {
            if (!process.waitFor(30, TimeUnit.SECONDS)) {
                process.destroyForcibly().waitFor();
            }
        } catch (InterruptedException e) {
            process.destroyForcibly();
            Thread.currentThread().interrupt();
        }
        STARTED.remove(process);
    }

    /** The answer to a four-letter word, empty where nobody answers. */
    public static String ask(InetSocketAddress address, String word) {
        InetSocketAddress to = address.getAddress() == null || address.getAddress().isAnyLocalAddress()
            ? new InetSocketAddress("127.0.0.1", address.getPort()) : address;
        try (Socket socket = new Socket()) {
            socket.connect(to, 2000);
            socket.setSoTimeout(5000);
            OutputStream out = socket.getOutputStream();
            out.write(word.getBytes(StandardCharsets.US_ASCII));
            out.flush();
            ByteArrayOutputStream answer = new ByteArrayOutputStream();
            socket.getInputStream().transferTo(answer);
            return answer.toString(StandardCharsets.UTF_8);
        } catch (IOException e) {
            return "";
        }
    }

    /** The flags of the server, by whether there is a blank in them. */
    private static Map<Boolean, List<String>> flags() {
        // A switch that tests turn in the class itself.
        String eager = "-D" + ZooKeeperServer.ENABLE_EAGER_ACL_CHECK + "=" + ZooKeeperServer.isEnableEagerACLCheck();
        Stream<String> properties = System.getProperties().entrySet().stream()
            .filter(entry -> isForServer(entry.getKey().toString()))
            .map(entry -> "-D" + entry.getKey() + "=" + entry.getValue());
        return Stream.concat(Stream.of(eager), properties)
            .collect(Collectors.partitioningBy(flag -> flag.chars().anyMatch(Character::isWhitespace)));
    }

    private static boolean isForServer(String key) {
        boolean theirs = key.startsWith("zookeeper.") || key.startsWith("znode.") || key.startsWith("jute.")
            || key.startsWith("readonlymode.") || key.startsWith("leader.") || key.startsWith("follower.")
            || key.equals("java.security.auth.login.config");
        boolean ofTheJvm = key.equals("zookeeper.serverCnxnFactory") || key.equals("zookeeper.log.level")
            || key.equals("zookeeper.junit.threadid") || key.equals(ZooKeeperServer.ENABLE_EAGER_ACL_CHECK);
        return theirs && !ofTheJvm;
    }
}
