import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.admin.ZooKeeperAdmin;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;

/**
 * Makes the reference's own client send one of each request, so that a proxy in between can record the bytes. Run by
 * oxkeeper-golden: java -cp CLASSPATH GoldenClient.java HOST:PORT all|reconfig
 */
public class GoldenClient {

    private static final Semaphore CONNECTED = new Semaphore(0);

    interface Call {
        void run() throws Exception;
    }

    /** Some requests are to fail: their answer is recorded like any other. */
    private static void refused(Call call) throws Exception {
        try {
            call.run();
        } catch (KeeperException e) {
            return;
        }
        throw new IllegalStateException("a request that was to be refused was not");
    }

    private static ZooKeeperAdmin connect(String server) throws Exception {
        ZooKeeperAdmin zk = new ZooKeeperAdmin(server, 6000, event -> {
            if (event.getState() == Watcher.Event.KeeperState.SyncConnected
                && event.getType() == Watcher.Event.EventType.None) {
                CONNECTED.release();
            }
        });
        awaitConnection();
        return zk;
    }

    private static void awaitConnection() throws Exception {
        if (!CONNECTED.tryAcquire(30, TimeUnit.SECONDS)) {
            throw new IllegalStateException("no connection within 30 s");
        }
    }

    /** The proxy takes a sync of this path as a wish. */
    private static void breakConnection(ZooKeeper zk) throws Exception {
        zk.sync("/break-connection", (rc, path, context) -> { }, null);
        awaitConnection();
    }

    public static void main(String[] args) throws Exception {
        ZooKeeperAdmin zk = connect(args[0]);
        if (args[1].equals("reconfig")) {
            byte[] config = zk.getConfig(false, new Stat());
            String members = new String(config, "UTF-8").replaceAll("(?m)^version=.*$", "").trim().replace('\n', ',');
            zk.reconfigure((String) null, null, members, -1, new Stat());
            zk.close();
            return;
        }
        writes(zk);
        reads(zk);
        watches(zk);
        zk.close();
    }

    private static void writes(ZooKeeperAdmin zk) throws Exception {
        byte[] data = "data".getBytes("UTF-8");
        zk.create("/a", data, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.create("/a/\u00fc\u4e2d", null, Ids.READ_ACL_UNSAFE, CreateMode.PERSISTENT, new Stat());
        zk.create("/a/s-", new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL, new Stat());
        zk.create("/e", data, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        zk.create("/e-", data, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL_SEQUENTIAL);
        zk.create("/t", data, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, new Stat(), 3_600_000);
        zk.create("/gone", data, Ids.OPEN_ACL_UNSAFE, CreateMode.CONTAINER, new Stat());
        zk.create("/gone/child", data, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.create("/kept", data, Ids.OPEN_ACL_UNSAFE, CreateMode.CONTAINER, new Stat());
        refused(() -> zk.create("/a", data, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        zk.setData("/a", "changed".getBytes("UTF-8"), -1);
        zk.setData("/e", null, 0);
        refused(() -> zk.setData("/a", data, 77));
        zk.addAuthInfo("digest", "u1:p1".getBytes("UTF-8"));
        List<ACL> acl = Arrays.asList(
            new ACL(ZooDefs.Perms.ALL, new Id("auth", "")), new ACL(ZooDefs.Perms.READ, new Id("ip", "127.0.0.0/8")));
        zk.setACL("/a", acl, -1);
        zk.create("/secret", data, Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT);
        zk.multi(Arrays.asList(
            Op.create("/m", data, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
            Op.create("/m/c", data, Ids.OPEN_ACL_UNSAFE, CreateMode.CONTAINER),
            Op.create("/m/t", data, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, 3_600_000),
            Op.check("/m", 0),
            Op.setData("/m", "again".getBytes("UTF-8"), 0),
            Op.delete("/m/c", -1)));
        refused(() -> zk.multi(Arrays.asList(
            Op.check("/m", -1), Op.delete("/none", -1), Op.create("/x", data, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT))));
        refused(() -> zk.delete("/m", -1));
        zk.delete("/a/s-0000000001", -1);
        CountDownLatch reaped = new CountDownLatch(1);
        zk.exists("/gone", event -> reaped.countDown());
        zk.delete("/gone/child", -1);
        if (!reaped.await(90, TimeUnit.SECONDS)) {
            throw new IllegalStateException("the reaper left the container alone for 90 s");
        }
        refused(() -> zk.reconfigure("server.9=127.0.0.1:1:2;3", null, null, -1, new Stat()));
    }

    private static void reads(ZooKeeperAdmin zk) throws Exception {
        zk.exists("/a", false);
        refused(() -> zk.getData("/none", false, null));
        zk.getData("/a", false, new Stat());
        zk.getData("/a/\u00fc\u4e2d", false, new Stat());
        zk.getACL("/a", new Stat());
        zk.getChildren("/", false);
        zk.getChildren("/", false, new Stat());
        zk.getAllChildrenNumber("/");
        zk.getEphemerals();
        zk.getEphemerals("/e-");
        zk.whoAmI();
        zk.multi(Arrays.asList(Op.getData("/a"), Op.getChildren("/m"), Op.getData("/none")));
        CountDownLatch synced = new CountDownLatch(1);
        zk.sync("/", (rc, path, context) -> synced.countDown(), null);
        synced.await(30, TimeUnit.SECONDS);
    }

    private static void watches(ZooKeeperAdmin zk) throws Exception {
        Semaphore fired = new Semaphore(0);
        Watcher watcher = (WatchedEvent event) -> {
            if (event.getType() != Watcher.Event.EventType.None) {
                fired.release();
            }
        };
        zk.exists("/later", watcher);
        zk.getChildren("/m", watcher);
        zk.getData("/m", watcher, null);
        zk.create("/later", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.setData("/m", null, -1);
        zk.create("/m/n", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.getData("/m/n", watcher, null);
        zk.delete("/m/n", -1);
        if (!fired.tryAcquire(4, 30, TimeUnit.SECONDS)) {
            throw new IllegalStateException("watches did not fire");
        }
        // Only one-shot watches: the client says setWatches when it comes back.
        zk.getData("/m", watcher, null);
        zk.exists("/never", watcher);
        zk.getChildren("/m", watcher);
        breakConnection(zk);
        zk.exists("/m", false);
        zk.addWatch("/m", watcher, AddWatchMode.PERSISTENT);
        zk.addWatch("/m", watcher, AddWatchMode.PERSISTENT_RECURSIVE);
        breakConnection(zk);
        zk.removeWatches("/m", watcher, Watcher.WatcherType.Children, false);
        zk.removeAllWatches("/m", Watcher.WatcherType.Any, false);
        refused(() -> zk.removeAllWatches("/none", Watcher.WatcherType.Data, false));
        zk.sync("/", (rc, path, context) -> { }, null);
        // Idle for more than a third of the session timeout: a ping leaves.
        Thread.sleep(3_500);
    }
}
