package org.apache.zookeeper.server.quorum;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.reflect.Field;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.zookeeper.server.ZooKeeperServer;
import org.apache.zookeeper.server.quorum.QuorumPeer.LearnerType;
import org.apache.zookeeper.server.quorum.QuorumPeer.ServerState;
import oxkeeper.Servers;

/**
 * What a QuorumPeer does once oxkeeper.Weave has been at it: its start begins a process on its configuration, its thread
 * waits for the end of it, and its role is what the process answers to `srvr`.
 */
public final class Members {
    private static final Map<QuorumPeer, Process> RUNNING = new ConcurrentHashMap<>();

    private Members() {
    }

    /** In place of reading the data, which is the first thing of a start. */
    public static void start(QuorumPeer peer) {
        try {
            String file = configuration(peer);
            RUNNING.put(peer, file != null ? Servers.start(new File(file)) : startOnFields(peer));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        Thread watcher = new Thread(() -> watch(peer), "role-of-" + peer.getMyId());
        watcher.setDaemon(true);
        watcher.start();
    }

    /** In place of the loop of a peer. */
    public static void run(QuorumPeer peer) {
        Process process = RUNNING.get(peer);
        try {
            if (process != null) {
                process.waitFor();
            }
        } catch (InterruptedException e) {
            Servers.stop(process);
        }
    }

    public static void shutdown(QuorumPeer peer) {
        Servers.stop(RUNNING.remove(peer));
        forgetRole(peer);
    }

    /** The role, or null where no process stands for the peer. */
    public static ServerState state(QuorumPeer peer) {
        Process process = RUNNING.get(peer);
        if (process == null) {
            return null;
        }
        InetSocketAddress address = peer.getClientAddress();
        String answer = address == null ? "" : Servers.ask(address, "srvr");
        if (answer.contains("Mode: leader")) {
            return ServerState.LEADING;
        }
        if (answer.contains("Mode: follower")) {
            return ServerState.FOLLOWING;
        }
        return answer.contains("Mode: observer") ? ServerState.OBSERVING : ServerState.LOOKING;
    }

    private static Process startOnFields(QuorumPeer peer) throws IOException {
        File dataDir = peer.getTxnFactory().getSnapDir().getParentFile();
        Files.writeString(new File(dataDir, "myid").toPath(), Long.toString(peer.getMyId()));
        List<String> lines = new ArrayList<>();
        lines.add("tickTime=" + peer.getTickTime());
        lines.add("initLimit=" + peer.getInitLimit());
        lines.add("syncLimit=" + peer.getSyncLimit());
        lines.add("dataDir=" + dataDir.getAbsolutePath());
        lines.add("dataLogDir=" + peer.getTxnFactory().getDataLogDir().getParentFile().getAbsolutePath());
        lines.add("localSessionsEnabled=" + peer.areLocalSessionsEnabled());
        if (peer.getLearnerType() == LearnerType.OBSERVER) {
            lines.add("peerType=observer");
        }
        for (String line : peer.getQuorumVerifier().toString().split("\n")) {
            if (!line.startsWith("version=")) {
                lines.add(line);
            }
        }
        return Servers.start(lines);
    }

    /** Who waits until a server is up finds its role in the fields, too. */
    public static void learnRoles() {
        RUNNING.keySet().forEach(Members::learnRole);
    }

    /** The zxid that `srvr` tells, which is that of the last transaction applied. */
    public static long lastZxid(QuorumPeer peer) {
        for (String line : Servers.ask(peer.getClientAddress(), "srvr").split("\n")) {
            if (line.startsWith("Zxid: 0x")) {
                return Long.parseUnsignedLong(line.substring("Zxid: 0x".length()).trim(), 16);
            }
        }
        return -1;
    }

    /** A server that is never started, with nothing in process, for a peer whose process stands for it; else null. */
    public static ZooKeeperServer server(QuorumPeer peer) {
        return RUNNING.containsKey(peer) ? new ZooKeeperServer() : null;
    }

    /** Tests look at the fields `leader`, `follower` and `observer` themselves: an object that can do nothing stands there. */
    private static void learnRole(QuorumPeer peer) {
        ServerState state = state(peer);
        peer.leader = state == ServerState.LEADING ? blank(Leader.class, peer.leader) : null;
        peer.follower = state == ServerState.FOLLOWING ? blank(Follower.class, peer.follower) : null;
        peer.observer = state == ServerState.OBSERVING ? blank(Observer.class, peer.observer) : null;
    }

    private static void watch(QuorumPeer peer) {
        Process process = RUNNING.get(peer);
        while (process != null && process.isAlive() && RUNNING.get(peer) == process) {
            learnRole(peer);
            try {
                Thread.sleep(100);
            } catch (InterruptedException e) {
                return;
            }
        }
        forgetRole(peer);
    }

    private static void forgetRole(QuorumPeer peer) {
        peer.leader = null;
        peer.follower = null;
        peer.observer = null;
    }

    private static <T> T blank(Class<T> type, T now) {
        if (now != null) {
            return now;
        }
        try {
            Field field = sun.misc.Unsafe.class.getDeclaredField("theUnsafe");
            field.setAccessible(true);
            return type.cast(((sun.misc.Unsafe) field.get(null)).allocateInstance(type));
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(e);
        }
    }

    private static String configuration(QuorumPeer peer) {
        try {
            Field field = QuorumPeer.class.getDeclaredField("configFilename");
            field.setAccessible(true);
            return (String) field.get(peer);
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(e);
        }
    }
}
