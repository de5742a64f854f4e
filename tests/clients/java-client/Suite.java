import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.concurrent.*;
import java.util.function.BooleanSupplier;
import java.util.stream.*;
import org.apache.zookeeper.*;
import org.apache.zookeeper.AsyncCallback.*;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.Watcher.Event.*;
import org.apache.zookeeper.Watcher.WatcherType;
import org.apache.zookeeper.admin.ZooKeeperAdmin;
import org.apache.zookeeper.cli.*;
import org.apache.zookeeper.data.*;
import org.apache.zookeeper.server.auth.DigestAuthenticationProvider;

/** The public calls of the Java client, synchronous and asynchronous, each against what the server must answer. */
public class Suite {
    static final String HOSTS = System.getenv("ZK_HOSTS"), RUNNER = System.getenv("ZK_RUNNER");
    static final String ROOT = "/java-client-" + ProcessHandle.current().pid();
    static final int LONG_MS = 30_000;
    static final List<ACL> OPEN = ZooDefs.Ids.OPEN_ACL_UNSAFE;

    interface Body { void run() throws Exception; }
    static class Skip extends Exception { Skip(String why) { super(why); } }

    /** Remembers events as texts: the type and the last part of the path. */
    static class Events implements Watcher {
        final BlockingQueue<String> queue = new LinkedBlockingQueue<>();
        public void process(WatchedEvent e) {
            if (e.getType() != EventType.None) queue.add(e.getType() + " " + e.getPath().substring(e.getPath().lastIndexOf('/') + 1));
        }
        void expect(String... events) throws Exception {
            for (String event : events) equal(queue.poll(LONG_MS, TimeUnit.MILLISECONDS), event);
        }
        void expectAll(String... events) throws Exception {
            Set<String> got = new TreeSet<>();
            for (String ignored : events) got.add(String.valueOf(queue.poll(LONG_MS, TimeUnit.MILLISECONDS)));
            equal(got, new TreeSet<>(List.of(events)));
        }
        void expectNoMore() throws Exception { equal(queue.poll(200, TimeUnit.MILLISECONDS), null); }
    }

    /** A client with the states its session went through. */
    static class Client extends ZooKeeperAdmin {
        final List<KeeperState> states;
        Client(int timeout, List<KeeperState> states) throws IOException { super(HOSTS, timeout, watcher(states)); this.states = states; }
        static Watcher watcher(List<KeeperState> states) { return e -> { if (e.getType() == EventType.None) states.add(e.getState()); }; }
    }

    static Client connect(int timeout) throws Exception {
        Client c = new Client(timeout, new CopyOnWriteArrayList<>());
        until("a session", () -> c.getState() == ZooKeeper.States.CONNECTED);
        return c;
    }

    static Client zk;
    static String at;
    static String p(String name) { return at + "/" + name; }
    static byte[] bytes(String s) { return s.getBytes(StandardCharsets.UTF_8); }

    static void until(String what, BooleanSupplier condition) throws Exception {
        long end = System.nanoTime() + LONG_MS * 1_000_000L;
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() > end) throw new AssertionError("not within " + LONG_MS + " ms: " + what);
            Thread.sleep(10);
        }
    }

    static void equal(Object got, Object expected) {
        if (!Objects.equals(got, expected)) throw new AssertionError("got " + got + ", expected " + expected);
    }

    static void refused(Code code, Body body) throws Exception {
        try {
            body.run();
        } catch (KeeperException e) {
            equal(e.code(), code);
            return;
        }
        throw new AssertionError(code + " expected, but it succeeded");
    }

    static void illegal(Body body) throws Exception {
        try {
            body.run();
        } catch (IllegalArgumentException e) {
            return;
        }
        throw new AssertionError("IllegalArgumentException expected");
    }

    static void make(String... names) throws Exception {
        for (String name : names) zk.create(p(name), new byte[0], OPEN, CreateMode.PERSISTENT);
    }

    static void needRunner() throws Skip { if (RUNNER == null) throw new Skip("needs a server of this run"); }

    // Nodes

    static void basics() throws Exception {
        Stat made = new Stat(), read = new Stat();
        equal(zk.create(p("n"), bytes("one"), OPEN, CreateMode.PERSISTENT, made), p("n"));
        equal(new String(zk.getData(p("n"), false, read)), "one");
        equal(read, made);
        equal(List.of(made.getVersion(), made.getDataLength(), made.getNumChildren(), made.getCversion(), made.getAversion()), List.of(0, 3, 0, 0, 0));
        equal(made.getCzxid() == made.getMzxid() && made.getMzxid() == made.getPzxid() && made.getCtime() == made.getMtime(), true);
        Stat set = zk.setData(p("n"), bytes("three"), 0);
        equal(set.getVersion() == 1 && set.getMzxid() > made.getMzxid() && set.getCzxid() == made.getCzxid(), true);
        equal(zk.exists(p("n"), false), set);
        zk.setData(p("n"), null, -1);
        equal(zk.getData(p("n"), false, read), null);
        equal(read.getDataLength(), 0);
        zk.setData(p("n"), new byte[0], -1);
        equal(zk.getData(p("n"), false, read).length, 0);
        zk.delete(p("n"), 3);
        equal(zk.exists(p("n"), false), null);
    }

    static void errors() throws Exception {
        zk.create(p("e"), null, OPEN, CreateMode.EPHEMERAL);
        make("d", "d/c");
        refused(Code.NODEEXISTS, () -> make("e"));
        refused(Code.NONODE, () -> make("x/y"));
        refused(Code.NOCHILDRENFOREPHEMERALS, () -> make("e/c"));
        refused(Code.NOTEMPTY, () -> zk.delete(p("d"), -1));
        refused(Code.BADVERSION, () -> zk.delete(p("e"), 4));
        refused(Code.BADVERSION, () -> zk.setData(p("e"), null, 4));
        refused(Code.NONODE, () -> zk.getData(p("x"), false, null));
        refused(Code.NONODE, () -> zk.setData(p("x"), null, -1));
        refused(Code.NONODE, () -> zk.delete(p("x"), -1));
        refused(Code.NONODE, () -> zk.getChildren(p("x"), false));
        refused(Code.NONODE, () -> zk.getACL(p("x"), new Stat()));
        refused(Code.NONODE, () -> zk.getAllChildrenNumber(p("x")));
        refused(Code.BADARGUMENTS, () -> zk.delete("/", -1));
        refused(Code.INVALIDACL, () -> zk.create(p("a"), null, List.of(), CreateMode.PERSISTENT));
        for (String bad : new String[] {"no-slash", "/end/", "/a//b", "/a/./b", "/a/../b", "/a\u0000b", "/\ue000", "/\ud83d\udd11"})
            illegal(() -> zk.create(bad, null, OPEN, CreateMode.PERSISTENT));
    }

    static void modes() throws Exception {
        long me = zk.getSessionId();
        for (CreateMode mode : CreateMode.values()) {
            if (mode.isTTL()) continue;
            Stat stat = new Stat();
            String name = zk.create(p(mode.name()), null, OPEN, mode, stat);
            equal(name.equals(p(mode.name())), !mode.isSequential());
            equal(stat.getEphemeralOwner(), mode.isEphemeral() ? me : 0L);
        }
        equal(zk.create(p("s-"), null, OPEN, CreateMode.PERSISTENT_SEQUENTIAL), p("s-0000000005"));
        zk.delete(p("s-0000000005"), -1);
        equal(zk.create(p("s-"), null, OPEN, CreateMode.EPHEMERAL_SEQUENTIAL), p("s-0000000006"));
        illegal(() -> zk.create(p("t"), null, OPEN, CreateMode.PERSISTENT_WITH_TTL, null, 0));
        illegal(() -> zk.create(p("t"), null, OPEN, CreateMode.PERSISTENT, null, 10));
    }

    static void reaped() throws Exception {
        needRunner();
        Events events = new Events();
        Stat stat = new Stat();
        zk.create(p("t"), null, OPEN, CreateMode.PERSISTENT_WITH_TTL, stat, 800);
        equal(stat.getEphemeralOwner(), 0L); // the mark that the server keeps there is its own affair
        String kept = zk.create(p("t-"), null, OPEN, CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL, stat, 3_600_000);
        zk.create(p("c"), null, OPEN, CreateMode.CONTAINER);
        make("c/k");
        zk.delete(p("c/k"), -1);
        zk.exists(p("t"), events);
        zk.exists(p("c"), events);
        events.expectAll("NodeDeleted t", "NodeDeleted c");
        equal(zk.exists(kept, false) != null, true);
    }

    static void children() throws Exception {
        make("a", "b", "a/x", "a/x/y");
        Stat stat = new Stat();
        equal(new TreeSet<>(zk.getChildren(at, false, stat)), new TreeSet<>(List.of("a", "b")));
        equal(List.of(stat.getNumChildren(), stat.getCversion()), List.of(2, 2));
        equal(zk.getChildren(p("b"), null), List.of());
        equal(zk.getAllChildrenNumber(at), 4);
        zk.create(p("e"), null, OPEN, CreateMode.EPHEMERAL);
        equal(zk.getEphemerals(), List.of(p("e")));
        equal(zk.getEphemerals(at), List.of(p("e")));
        equal(zk.getEphemerals(p("x")), List.of());
        zk.sync(at);
        ZKUtil.deleteRecursive(zk, p("a"));
        equal(zk.exists(p("a"), false), null);
    }

    static void asynchronous() throws Exception {
        List<String> said = new CopyOnWriteArrayList<>();
        StringCallback string = (rc, path, ctx, name) -> said.add(ctx + " " + rc + " " + name);
        StatCallback stat = (rc, path, ctx, s) -> said.add(ctx + " " + rc + " " + (s == null ? null : s.getVersion()));
        VoidCallback nothing = (rc, path, ctx) -> said.add(ctx + " " + rc);
        zk.create(p("n"), bytes("1"), OPEN, CreateMode.PERSISTENT, string, "create");
        zk.create(p("m"), null, OPEN, CreateMode.EPHEMERAL, (Create2Callback) (rc, path, ctx, name, s) -> said.add(ctx + " " + rc + " " + s.getVersion()), "create2");
        zk.exists(p("n"), false, stat, "exists");
        zk.exists(p("x"), false, stat, "missing");
        zk.setData(p("n"), bytes("2"), 0, stat, "set");
        zk.getData(p("n"), false, (DataCallback) (rc, path, ctx, d, s) -> said.add(ctx + " " + rc + " " + new String(d)), "get");
        zk.getChildren(at, false, (ChildrenCallback) (rc, path, ctx, c) -> said.add(ctx + " " + rc + " " + c.size()), "children");
        zk.getChildren(at, false, (Children2Callback) (rc, path, ctx, c, s) -> said.add(ctx + " " + rc + " " + s.getNumChildren()), "children2");
        zk.getACL(p("n"), new Stat(), (ACLCallback) (rc, path, ctx, a, s) -> said.add(ctx + " " + rc + " " + a.size()), "acl");
        zk.setACL(p("n"), OPEN, 0, stat, "setacl");
        zk.getAllChildrenNumber(at, (AllChildrenNumberCallback) (rc, path, ctx, n) -> said.add(ctx + " " + rc + " " + n), "number");
        zk.getEphemerals(at, (EphemeralsCallback) (rc, ctx, list) -> said.add(ctx + " " + rc + " " + list.size()), "ephemerals");
        zk.sync(at, nothing, "sync");
        zk.multi(List.of(Op.check(p("n"), 1), Op.delete(p("n"), 7)), (MultiCallback) (rc, path, ctx, results) -> said.add(ctx + " " + rc), "multi");
        zk.delete(p("n"), 7, nothing, "badversion");
        zk.delete(p("n"), 1, nothing, "delete");
        zk.getConfig(false, (DataCallback) (rc, path, ctx, d, s) -> said.add(ctx + " " + rc), "config");
        until("all answers, got " + said, () -> said.size() == 17);
        equal(said, List.of("create 0 " + p("n"), "create2 0 0", "exists 0 0", "missing -101 null", "set 0 1", "get 0 2", "children 0 2",
            "children2 0 2", "acl 0 1", "setacl 0 1", "number 0 2", "ephemerals 0 1", "sync 0", "multi -103", "badversion -103", "delete 0", "config 0"));
    }

    static void pipeline() throws Exception {
        List<Integer> order = new CopyOnWriteArrayList<>();
        for (int i = 0; i < 1000; i++) zk.create(p("" + i), null, OPEN, CreateMode.PERSISTENT, (StringCallback) (rc, path, ctx, name) -> order.add(rc == 0 ? (Integer) ctx : -1), i);
        until("1000 answers", () -> order.size() == 1000);
        equal(order, IntStream.range(0, 1000).boxed().toList());
        equal(zk.exists(at, false).getCversion(), 1000);
    }

    static void largeData() throws Exception {
        byte[] big = new byte[1024 * 1023];
        new Random(1).nextBytes(big);
        zk.create(p("big"), big, OPEN, CreateMode.PERSISTENT);
        equal(Arrays.equals(zk.getData(p("big"), false, null), big), true);
        Client other = connect(10_000);
        refused(Code.CONNECTIONLOSS, () -> other.setData(p("big"), new byte[1024 * 1024 + 1], -1));
        other.close();
    }

    // Transactions

    static void multi() throws Exception {
        make("old");
        List<OpResult> r = zk.multi(List.of(Op.check(p("old"), 0), Op.create(p("new"), bytes("1"), OPEN, CreateMode.PERSISTENT),
            Op.create(p("s-"), null, OPEN, CreateMode.EPHEMERAL_SEQUENTIAL), Op.create(p("c"), null, OPEN, CreateMode.CONTAINER),
            Op.setData(p("new"), bytes("2"), 0), Op.delete(p("old"), -1)));
        equal(((OpResult.CreateResult) r.get(1)).getPath(), p("new"));
        equal(((OpResult.CreateResult) r.get(2)).getPath(), p("s-0000000002"));
        equal(((OpResult.SetDataResult) r.get(4)).getStat().getVersion(), 1);
        equal(r.get(5) instanceof OpResult.DeleteResult && r.get(0) instanceof OpResult.CheckResult, true);
        equal(zk.exists(p("new"), false).getCzxid(), zk.exists(p("c"), false).getCzxid());
        equal(zk.multi(List.of()), List.of());
    }

    static void multiFails() throws Exception {
        make("n");
        try {
            zk.multi(List.of(Op.create(p("x"), null, OPEN, CreateMode.PERSISTENT), Op.setData(p("n"), null, 9), Op.delete(p("n"), -1)));
            throw new AssertionError("it succeeded");
        } catch (KeeperException e) {
            equal(e.code(), Code.BADVERSION);
            equal(e.getResults().stream().map(x -> ((OpResult.ErrorResult) x).getErr()).toList(),
                List.of(Code.OK.intValue(), Code.BADVERSION.intValue(), Code.RUNTIMEINCONSISTENCY.intValue()));
        }
        equal(zk.exists(p("x"), false), null);
        refused(Code.NONODE, () -> zk.transaction().create(p("a"), null, OPEN, CreateMode.PERSISTENT).check(p("none"), 0).commit());
        equal(zk.transaction().create(p("a"), null, OPEN, CreateMode.PERSISTENT).delete(p("n"), -1).setData(p("a"), null, 0).commit().size(), 3);
    }

    static void multiRead() throws Exception {
        zk.create(p("n"), bytes("data"), OPEN, CreateMode.PERSISTENT);
        make("n/a", "n/b");
        List<OpResult> r = zk.multi(List.of(Op.getData(p("n")), Op.getChildren(p("n")), Op.getData(p("none")), Op.getChildren(p("n/a"))));
        equal(new String(((OpResult.GetDataResult) r.get(0)).getData()), "data");
        equal(((OpResult.GetDataResult) r.get(0)).getStat().getNumChildren(), 2);
        equal(new TreeSet<>(((OpResult.GetChildrenResult) r.get(1)).getChildren()), new TreeSet<>(List.of("a", "b")));
        equal(((OpResult.ErrorResult) r.get(2)).getErr(), Code.NONODE.intValue());
        equal(((OpResult.GetChildrenResult) r.get(3)).getChildren(), List.of());
        illegal(() -> zk.multi(List.of(Op.getData(p("n")), Op.delete(p("n/a"), -1))));
    }

    // Watches

    static void watches() throws Exception {
        Events e = new Events();
        zk.exists(p("w"), e);
        make("w");
        e.expect("NodeCreated w");
        zk.getData(p("w"), e, null);
        zk.setData(p("w"), null, -1);
        e.expect("NodeDataChanged w");
        zk.setData(p("w"), null, -1);
        zk.getChildren(p("w"), e);
        make("w/c");
        e.expect("NodeChildrenChanged w");
        zk.delete(p("w/c"), -1);
        zk.getChildren(p("w"), e);
        zk.exists(p("w"), e);
        zk.delete(p("w"), -1);
        e.expect("NodeDeleted w");
        e.expectNoMore();
    }

    static void defaultWatcher() throws Exception {
        Events e = new Events();
        zk.register(e);
        make("w");
        zk.getData(p("w"), true, null);
        zk.setData(p("w"), null, -1);
        e.expect("NodeDataChanged w");
        zk.register(Client.watcher(zk.states));
    }

    static void persistentWatches() throws Exception {
        Events one = new Events(), all = new Events();
        make("w");
        zk.addWatch(p("w"), one, AddWatchMode.PERSISTENT);
        zk.addWatch(p("w"), all, AddWatchMode.PERSISTENT_RECURSIVE);
        for (int i = 0; i < 2; i++) zk.setData(p("w"), null, -1);
        one.expect("NodeDataChanged w", "NodeDataChanged w");
        all.expect("NodeDataChanged w", "NodeDataChanged w");
        make("w/c", "w/c/d");
        zk.setData(p("w/c/d"), null, -1);
        zk.delete(p("w/c/d"), -1);
        one.expect("NodeChildrenChanged w");
        all.expect("NodeCreated c", "NodeCreated d", "NodeDataChanged d", "NodeDeleted d");
        zk.delete(p("w/c"), -1);
        zk.delete(p("w"), -1);
        make("w");
        one.expect("NodeChildrenChanged w", "NodeDeleted w", "NodeCreated w");
        all.expect("NodeDeleted c", "NodeDeleted w", "NodeCreated w");
        one.expectNoMore();
        all.expectNoMore();
    }

    static void removedWatches() throws Exception {
        Events data = new Events(), kids = new Events(), lasting = new Events();
        make("w", "v");
        zk.getData(p("w"), data, null);
        zk.getChildren(p("w"), kids);
        zk.addWatch(p("w"), lasting, AddWatchMode.PERSISTENT);
        refused(Code.NOWATCHER, () -> zk.removeWatches(p("v"), data, WatcherType.Any, false));
        zk.removeWatches(p("w"), data, WatcherType.Data, false);
        data.expect("DataWatchRemoved w");
        zk.removeWatches(p("w"), kids, WatcherType.Children, false);
        kids.expect("ChildWatchRemoved w");
        zk.removeAllWatches(p("w"), WatcherType.Any, false);
        lasting.expect("PersistentWatchRemoved w");
        zk.setData(p("w"), null, -1);
        make("w/c");
        data.expectNoMore();
        lasting.expectNoMore();
        CountDownLatch done = new CountDownLatch(1);
        zk.getData(p("w"), data, null);
        zk.removeWatches(p("w"), data, WatcherType.Data, true, (rc, path, ctx) -> { if (rc == 0) done.countDown(); }, null);
        equal(done.await(LONG_MS, TimeUnit.MILLISECONDS), true);
    }

    static void eventZxid() throws Exception {
        BlockingQueue<Long> zxids = new LinkedBlockingQueue<>();
        make("w");
        zk.exists(p("w"), e -> zxids.add(e.getZxid()));
        Stat s = zk.setData(p("w"), null, -1);
        equal(zxids.poll(LONG_MS, TimeUnit.MILLISECONDS), s.getMzxid());
    }

    // Permissions

    static void acls() throws Exception {
        zk.create(p("n"), null, ZooDefs.Ids.READ_ACL_UNSAFE, CreateMode.PERSISTENT);
        Stat stat = new Stat();
        equal(zk.getACL(p("n"), stat), ZooDefs.Ids.READ_ACL_UNSAFE);
        refused(Code.NOAUTH, () -> zk.setData(p("n"), null, -1));
        refused(Code.NOAUTH, () -> make("n/c"));
        refused(Code.NOAUTH, () -> zk.setACL(p("n"), OPEN, -1));
        make("m");
        equal(zk.setACL(p("m"), OPEN, 0).getAversion(), 1);
        refused(Code.BADVERSION, () -> zk.setACL(p("m"), OPEN, 0));
        refused(Code.INVALIDACL, () -> zk.setACL(p("m"), ZooDefs.Ids.CREATOR_ALL_ACL, -1));
        refused(Code.INVALIDACL, () -> zk.setACL(p("m"), Arrays.asList(new ACL(31, new Id("unheard-of", "x"))), -1));
        zk.setACL(p("m"), Arrays.asList(new ACL(ZooDefs.Perms.READ, new Id("ip", "127.0.0.1/8")), new ACL(ZooDefs.Perms.ADMIN, ZooDefs.Ids.ANYONE_ID_UNSAFE)), -1);
        zk.getData(p("m"), false, null);
        refused(Code.NOAUTH, () -> zk.setData(p("m"), null, -1));
        zk.setACL(p("m"), Arrays.asList(new ACL(ZooDefs.Perms.DELETE, ZooDefs.Ids.ANYONE_ID_UNSAFE)), -1);
        refused(Code.NOAUTH, () -> zk.getChildren(p("m"), false));
        zk.delete(p("m"), -1);
    }

    static void digest() throws Exception {
        Id ann = new Id("digest", DigestAuthenticationProvider.generateDigest("ann:secret"));
        zk.create(p("n"), bytes("x"), Arrays.asList(new ACL(31, ann)), CreateMode.PERSISTENT);
        refused(Code.NOAUTH, () -> zk.getData(p("n"), false, null));
        Client other = connect(10_000);
        other.addAuthInfo("digest", bytes("ann:secret"));
        equal(new String(other.getData(p("n"), false, null)), "x");
        other.create(p("own"), null, ZooDefs.Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT);
        equal(other.getACL(p("own"), new Stat()), Arrays.asList(new ACL(31, ann)));
        equal(other.whoAmI().stream().map(i -> i.getAuthScheme() + ":" + i.getUser()).collect(Collectors.toCollection(TreeSet::new)),
            new TreeSet<>(List.of("digest:ann", "ip:127.0.0.1")));
        other.getTestable().closeSocket();
        until("connected again", () -> other.states.stream().filter(s -> s == KeeperState.SyncConnected).count() == 2);
        equal(new String(other.getData(p("n"), false, null)), "x");
        other.close();
        if (System.getenv("ZK_SUPER") != null) {
            Client chief = connect(10_000);
            chief.addAuthInfo("digest", bytes(System.getenv("ZK_SUPER")));
            chief.getData(p("own"), false, null);
            chief.close();
        }
        zk.delete(p("n"), -1);
        zk.delete(p("own"), -1);
    }

    static void failedAuth() throws Exception {
        Client other = connect(10_000);
        other.addAuthInfo("unheard-of", bytes("x"));
        until("AUTH_FAILED", () -> other.getState() == ZooKeeper.States.AUTH_FAILED);
        // The event comes on a thread of its own, after the state has changed.
        until("the event", () -> other.states.contains(KeeperState.AuthFailed));
        refused(Code.AUTHFAILED, () -> other.exists("/", false));
        other.close();
    }

    // Sessions

    static void ephemerals() throws Exception {
        Events e = new Events();
        Client other = connect(30_000);
        other.create(p("e"), null, OPEN, CreateMode.EPHEMERAL);
        equal(zk.exists(p("e"), e).getEphemeralOwner(), other.getSessionId());
        equal(other.close(LONG_MS), true);
        e.expect("NodeDeleted e");
        refused(Code.SESSIONEXPIRED, () -> other.exists("/", false));
    }

    static void cutOff() throws Exception {
        lost(client -> client.getTestable().closeSocket());
    }

    static void restarted() throws Exception {
        needRunner();
        lost(client -> {
            new ProcessBuilder("kill", "-USR1", RUNNER).start().waitFor();
            until("the connection is lost", () -> client.states.contains(KeeperState.Disconnected));
        });
    }

    interface Loss { void of(Client client) throws Exception; }

    /** After a loss of the connection: the same session, its ephemerals, and every kind of watch set again. */
    static void lost(Loss loss) throws Exception {
        Events e = new Events();
        Client other = connect(30_000);
        long id = other.getSessionId();
        other.create(p("e"), null, OPEN, CreateMode.EPHEMERAL);
        make("data", "kids", "gone", "one", "all", "all/below");
        other.getData(p("data"), e, null);
        other.getData(p("gone"), e, null);
        other.exists(p("new"), e);
        other.getChildren(p("kids"), e);
        other.addWatch(p("one"), e, AddWatchMode.PERSISTENT);
        other.addWatch(p("all"), e, AddWatchMode.PERSISTENT_RECURSIVE);
        loss.of(other);
        retry(() -> zk.setData(p("data"), null, -1));
        retry(() -> zk.delete(p("gone"), -1));
        retry(() -> make("new"));
        retry(() -> make("kids/k"));
        e.expectAll("NodeDataChanged data", "NodeDeleted gone", "NodeCreated new", "NodeChildrenChanged kids");
        until("connected again", () -> other.getState() == ZooKeeper.States.CONNECTED);
        other.exists("/", false);
        zk.setData(p("one"), null, -1);
        zk.setData(p("all/below"), null, -1);
        e.expectAll("NodeDataChanged one", "NodeDataChanged below");
        equal(other.getSessionId(), id);
        equal(other.exists(p("e"), false).getEphemeralOwner(), id);
        other.close();
    }

    static void retry(Body body) throws Exception {
        long end = System.nanoTime() + LONG_MS * 1_000_000L;
        while (true) {
            try {
                body.run();
                return;
            } catch (KeeperException.ConnectionLossException e) {
                if (System.nanoTime() > end) throw e;
                Thread.sleep(50);
            } catch (KeeperException.NodeExistsException | KeeperException.NoNodeException e) {
                return; // done by the try before, whose answer was lost
            }
        }
    }

    static ZooKeeper resume(long id, byte[] password, List<KeeperState> states) throws Exception {
        return new ZooKeeper(HOSTS, 10_000, Client.watcher(states), id, password);
    }

    static void resumed() throws Exception {
        List<KeeperState> states = new CopyOnWriteArrayList<>();
        Client other = connect(10_000);
        other.create(p("e"), null, OPEN, CreateMode.EPHEMERAL);
        ZooKeeper heir = resume(other.getSessionId(), other.getSessionPasswd(), states);
        until("resumed", () -> heir.getState() == ZooKeeper.States.CONNECTED);
        equal(heir.exists(p("e"), false).getEphemeralOwner(), other.getSessionId());
        heir.close();
        equal(zk.exists(p("e"), false), null);
        until("expired, states " + other.states, () -> other.states.contains(KeeperState.Expired));
        refused(Code.SESSIONEXPIRED, () -> other.exists("/", false));
        other.close();
    }

    static void wrongPassword() throws Exception {
        List<KeeperState> states = new CopyOnWriteArrayList<>();
        Client other = connect(10_000);
        ZooKeeper thief = resume(other.getSessionId(), new byte[16], states);
        until("expired", () -> states.contains(KeeperState.Expired));
        thief.close();
        until("connected", () -> other.getState() == ZooKeeper.States.CONNECTED);
        retry(() -> other.exists("/", false));
        other.close();
    }

    static void timeouts() throws Exception {
        needRunner();
        for (int[] t : new int[][] {{100, 1000}, {5000, 5000}, {3_600_000, 40_000}}) {
            Client other = connect(t[0]);
            equal(other.getSessionTimeout(), t[1]);
            other.close();
        }
    }

    static void expires() throws Exception {
        Events e = new Events();
        Client other = connect(4_000);
        other.create(p("e"), null, OPEN, CreateMode.EPHEMERAL);
        zk.exists(p("e"), e);
        long start = System.nanoTime(), timeout = other.getSessionTimeout();
        other.updateServerList("127.0.0.1:1"); // where nobody answers
        other.getTestable().closeSocket();
        e.expect("NodeDeleted e");
        long ms = (System.nanoTime() - start) / 1_000_000;
        equal(ms >= timeout / 2, true);
        other.close(1);
    }

    static void chroot() throws Exception {
        ZooKeeper inside = new ZooKeeper(HOSTS + at, 10_000, e -> { });
        Events e = new Events();
        inside.exists("/x", e);
        equal(inside.create("/x", null, OPEN, CreateMode.PERSISTENT), "/x");
        e.expect("NodeCreated x");
        equal(inside.getChildren("/", false), List.of("x"));
        equal(zk.exists(p("x"), false) != null, true);
        inside.close();
    }

    // Administration

    static void config() throws Exception {
        Stat stat = new Stat();
        byte[] config = zk.getConfig(false, stat);
        equal(config != null && zk.exists("/zookeeper/config", false) != null, true);
        refused(Code.NOAUTH, () -> zk.setData("/zookeeper/config", bytes("x"), -1));
        if (RUNNER == null) return;
        refused(Code.UNIMPLEMENTED, () -> zk.reconfigure((String) null, "99", null, -1, new Stat()));
    }

    static void systemNodes() throws Exception {
        equal(zk.getChildren("/zookeeper", false).containsAll(List.of("config", "quota")), true);
        refused(Code.BADARGUMENTS, () -> zk.delete("/zookeeper", -1));
        equal(zk.getChildren("/", false).contains("zookeeper"), true);
    }

    static void quota() throws Exception {
        make("q");
        SetQuotaCommand.createQuota(zk, p("q"), new StatsTrack("count=3,bytes=100"));
        zk.create(p("q/a"), bytes("12345"), OPEN, CreateMode.PERSISTENT);
        make("q/b");
        String node = "/zookeeper/quota" + p("q");
        StatsTrack track = new StatsTrack(zk.getData(node + "/zookeeper_stats", false, null));
        equal(List.of(track.getCount(), track.getBytes()), List.of(3L, 5L));
        zk.delete(p("q/a"), -1);
        equal(new StatsTrack(zk.getData(node + "/zookeeper_stats", false, null)).getBytes(), 0L);
        equal(DelQuotaCommand.delQuota(zk, p("q"), null), true);
        equal(zk.exists(node, false), null);
    }

    static void check(int number, String name, Body body) throws Exception {
        zk = connect(20_000);
        if (number == 0) zk.create(ROOT, null, OPEN, CreateMode.PERSISTENT);
        at = ROOT + "/" + number;
        zk.create(at, null, OPEN, CreateMode.PERSISTENT);
        try {
            body.run();
            System.out.println("ok   " + name);
        } catch (Skip why) {
            System.out.println("skip " + name + ": " + why.getMessage());
        } catch (Exception | AssertionError why) {
            failed++;
            String line = Arrays.stream(why.getStackTrace()).filter(f -> f.getClassName().startsWith("Suite") && !f.getMethodName().equals("equal"))
                .findFirst().map(f -> " (line " + f.getLineNumber() + ")").orElse("");
            System.out.println("FAIL " + name + ": " + why + line);
        }
        zk.close();
    }

    static int failed;

    public static void main(String[] args) throws Exception {
        Map<String, Body> checks = new LinkedHashMap<>();
        checks.put("create, get, set, exists, delete; null and empty data", Suite::basics);
        checks.put("error codes", Suite::errors);
        checks.put("create modes and their owners", Suite::modes);
        checks.put("containers and nodes with a TTL are reaped", Suite::reaped);
        checks.put("getChildren, getAllChildrenNumber, getEphemerals, sync", Suite::children);
        checks.put("asynchronous calls are answered in order", Suite::asynchronous);
        checks.put("1000 creates in flight", Suite::pipeline);
        checks.put("data up to the limit, and above it", Suite::largeData);
        checks.put("multi", Suite::multi);
        checks.put("multi that fails changes nothing", Suite::multiFails);
        checks.put("multi of reads", Suite::multiRead);
        checks.put("one-shot watches", Suite::watches);
        checks.put("the default watcher", Suite::defaultWatcher);
        checks.put("persistent and recursive watches", Suite::persistentWatches);
        checks.put("removeWatches and removeAllWatches", Suite::removedWatches);
        checks.put("events carry the zxid of their change", Suite::eventZxid);
        checks.put("ACLs", Suite::acls);
        checks.put("digest authentication, kept over a reconnect; whoAmI; super user", Suite::digest);
        checks.put("an unknown scheme fails the authentication", Suite::failedAuth);
        checks.put("ephemerals go with their session", Suite::ephemerals);
        checks.put("a cut connection: session, ephemerals and all watches survive", Suite::cutOff);
        checks.put("a restart of the server: session, ephemerals and all watches survive", Suite::restarted);
        checks.put("a session is resumed with its id and password", Suite::resumed);
        checks.put("a wrong password does not resume a session", Suite::wrongPassword);
        checks.put("the session timeout is bounded", Suite::timeouts);
        checks.put("a silent session expires", Suite::expires);
        checks.put("a chroot in the connect string", Suite::chroot);
        checks.put("config, and reconfig is refused", Suite::config);
        checks.put("the system's nodes", Suite::systemNodes);
        checks.put("quotas count", Suite::quota);
        int number = 0;
        for (Map.Entry<String, Body> c : checks.entrySet()) check(number++, c.getKey(), c.getValue());
        zk = connect(20_000);
        ZKUtil.deleteRecursive(zk, ROOT);
        zk.close();
        System.exit(failed == 0 ? 0 : 1);
    }
}
