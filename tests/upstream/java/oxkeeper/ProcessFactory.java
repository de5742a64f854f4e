package oxkeeper;

import java.io.File;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.zookeeper.server.ServerCnxn;
import org.apache.zookeeper.server.ServerCnxnFactory;
import org.apache.zookeeper.server.ZooKeeperServer;

/**
 * A connection factory whose start begins a process in place of the
 * ZooKeeperServer that it was given: on the same directories, port and timeouts. That object itself is never started.
 */
public class ProcessFactory extends ServerCnxnFactory {
    private InetSocketAddress address;
    private int perHost = 60;
    private int backlog = -1;
    private Process process;

    @Override
    public void configure(InetSocketAddress address, int connectionsMax, int backlog, boolean secure) throws IOException {
        if (secure) {
            throw new UnsupportedOperationException("TLS is not there yet");
        }
        // The test asks for the port before the process could say which one it got.
        this.address = address.getPort() > 0 ? address : new InetSocketAddress(address.getAddress(), freePort());
        this.perHost = connectionsMax;
        this.backlog = backlog;
    }

    @Override
    public void startup(ZooKeeperServer server, boolean startServer) throws IOException {
        setZooKeeperServer(server);
        File dataDir = server.getTxnLogFactory().getSnapDir().getParentFile();
        List<String> lines = new ArrayList<>();
        lines.add("tickTime=" + server.getTickTime());
        lines.add("dataDir=" + dataDir.getAbsolutePath());
        lines.add("dataLogDir=" + server.getTxnLogFactory().getDataLogDir().getParentFile().getAbsolutePath());
        lines.add("clientPort=" + address.getPort());
        if (address.getAddress() != null && !address.getAddress().isAnyLocalAddress()) {
            lines.add("clientPortAddress=" + address.getAddress().getHostAddress());
        }
        lines.add("minSessionTimeout=" + server.getMinSessionTimeout());
        lines.add("maxSessionTimeout=" + server.getMaxSessionTimeout());
        lines.add("maxClientCnxns=" + Math.max(perHost, 0));
        if (backlog > 0) {
            lines.add("clientPortListenBacklog=" + backlog);
        }
        process = Servers.start(lines);
    }

    @Override
    public void shutdown() {
        Servers.stop(process);
        process = null;
    }

    @Override
    public void join() throws InterruptedException {
        Process running = process;
        if (running != null) {
            running.waitFor();
        }
    }

    @Override
    public void start() {
    }

    @Override
    public int getLocalPort() {
        return address.getPort();
    }

    @Override
    public InetSocketAddress getLocalAddress() {
        return address;
    }

    @Override
    public int getMaxClientCnxnsPerHost() {
        return perHost;
    }

    @Override
    public void setMaxClientCnxnsPerHost(int max) {
        perHost = max;
    }

    @Override
    public int getSocketListenBacklog() {
        return backlog;
    }

    @Override
    public Iterable<ServerCnxn> getConnections() {
        throw inJvm("its connections");
    }

    @Override
    public boolean closeSession(long sessionId, ServerCnxn.DisconnectReason reason) {
        throw inJvm("its connections");
    }

    @Override
    public void closeAll(ServerCnxn.DisconnectReason reason) {
        throw inJvm("its connections");
    }

    @Override
    public void reconfigure(InetSocketAddress address) {
        throw inJvm("a port that moves");
    }

    @Override
    public void resetAllConnectionStats() {
        throw inJvm("its connections");
    }

    @Override
    public Iterable<Map<String, Object>> getAllConnectionInfo(boolean brief) {
        throw inJvm("its connections");
    }

    private static int freePort() throws IOException {
        try (ServerSocket socket = new ServerSocket(0)) {
            return socket.getLocalPort();
        }
    }

    private static RuntimeException inJvm(String what) {
        return new UnsupportedOperationException(Servers.IN_JVM + what);
    }
}
