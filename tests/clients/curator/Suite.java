import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;
import org.apache.curator.framework.*;
import org.apache.curator.framework.api.transaction.*;
import org.apache.curator.framework.recipes.atomic.*;
import org.apache.curator.framework.recipes.barriers.*;
import org.apache.curator.framework.recipes.cache.*;
import org.apache.curator.framework.recipes.leader.*;
import org.apache.curator.framework.recipes.locks.*;
import org.apache.curator.framework.recipes.nodes.*;
import org.apache.curator.framework.recipes.shared.*;
import org.apache.curator.framework.recipes.watch.PersistentWatcher;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryNTimes;
import org.apache.zookeeper.*;

/** Curator's recipes, each with two clients where it coordinates something. */
public class Suite {
    static final String HOSTS = System.getenv("ZK_HOSTS"), RUNNER = System.getenv("ZK_RUNNER");
    static final String ROOT = "/curator-" + ProcessHandle.current().pid();
    static final int LONG_S = 30;

    interface Body { void run() throws Exception; }
    static class Skip extends Exception { Skip(String why) { super(why); } }

    static CuratorFramework zk, other;
    static String at;
    static int failed, number;

    static CuratorFramework connect() throws Exception {
        CuratorFramework c = CuratorFrameworkFactory.newClient(HOSTS, 20_000, 15_000, new RetryNTimes(300, 100));
        c.start();
        equal(c.blockUntilConnected(LONG_S, TimeUnit.SECONDS), true);
        return c;
    }

    static byte[] bytes(String s) { return s.getBytes(StandardCharsets.UTF_8); }

    static void equal(Object got, Object expected) {
        if (!Objects.equals(got, expected)) throw new AssertionError("got " + got + ", expected " + expected);
    }

    static void until(String what, BooleanSupplier condition) throws Exception {
        long end = System.nanoTime() + LONG_S * 1_000_000_000L;
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() > end) throw new AssertionError("not within " + LONG_S + " s: " + what);
            Thread.sleep(10);
        }
    }

    static void framework() throws Exception {
        equal(zk.create().creatingParentsIfNeeded().forPath(at + "/a/b", bytes("x")), at + "/a/b");
        equal(zk.create().orSetData().forPath(at + "/a/b", bytes("y")), at + "/a/b");
        equal(new String(zk.getData().forPath(at + "/a/b")), "y");
        String kept = zk.create().withProtection().withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath(at + "/p-");
        equal(kept.matches(at + "/_c_.*-p-\\d{10}"), true);
        List<CuratorTransactionResult> results = zk.transaction().forOperations(
            zk.transactionOp().check().forPath(at + "/a/b"), zk.transactionOp().create().forPath(at + "/t", bytes("1")),
            zk.transactionOp().setData().withVersion(0).forPath(at + "/t", bytes("2")), zk.transactionOp().delete().forPath(at + "/a/b"));
        equal(results.stream().map(CuratorTransactionResult::getType).toList(),
            List.of(OperationType.CHECK, OperationType.CREATE, OperationType.SET_DATA, OperationType.DELETE));
        zk.delete().deletingChildrenIfNeeded().forPath(at + "/a");
        equal(zk.checkExists().forPath(at + "/a"), null);
        zk.sync().forPath(at);
        CountDownLatch done = new CountDownLatch(1);
        zk.create().inBackground((c, event) -> { if (event.getResultCode() == 0) done.countDown(); }).forPath(at + "/bg");
        equal(done.await(LONG_S, TimeUnit.SECONDS), true);
    }

    static void modes() throws Exception {
        if (RUNNER == null) throw new Skip("needs a server of this run");
        zk.create().withTtl(500).withMode(CreateMode.PERSISTENT_WITH_TTL).forPath(at + "/ttl");
        zk.create().creatingParentContainersIfNeeded().forPath(at + "/container/child");
        zk.delete().forPath(at + "/container/child");
        until("both reaped", () -> gone(at + "/ttl") && gone(at + "/container"));
        PersistentTtlNode node = new PersistentTtlNode(zk, at + "/kept", 1000, bytes("x"));
        node.start();
        equal(node.waitForInitialCreate(LONG_S, TimeUnit.SECONDS), true);
        Thread.sleep(2500); // longer than its time to live: the recipe touches it
        equal(gone(at + "/kept"), false);
        node.close();
    }

    static boolean gone(String path) {
        try {
            return zk.checkExists().forPath(path) == null;
        } catch (Exception e) {
            return false;
        }
    }

    static void leaderLatch() throws Exception {
        LeaderLatch a = new LeaderLatch(zk, at, "a"), b = new LeaderLatch(other, at, "b");
        a.start();
        equal(a.await(LONG_S, TimeUnit.SECONDS), true);
        b.start();
        until("two participants", () -> { try { return a.getParticipants().size() == 2; } catch (Exception e) { return false; } });
        equal(b.hasLeadership(), false);
        equal(b.getLeader().getId(), "a");
        a.close();
        equal(b.await(LONG_S, TimeUnit.SECONDS), true);
        b.close();
    }

    static void leaderSelector() throws Exception {
        List<String> led = new CopyOnWriteArrayList<>();
        List<LeaderSelector> selectors = new ArrayList<>();
        for (CuratorFramework client : List.of(zk, other)) {
            String id = client == zk ? "a" : "b";
            LeaderSelector s = new LeaderSelector(client, at, new LeaderSelectorListenerAdapter() {
                public void takeLeadership(CuratorFramework c) { led.add(id); }
            });
            s.start();
            selectors.add(s);
        }
        until("both led", () -> led.size() == 2);
        equal(new TreeSet<>(led), new TreeSet<>(List.of("a", "b")));
        selectors.forEach(LeaderSelector::close);
    }

    static void mutex() throws Exception {
        AtomicInteger inside = new AtomicInteger(), most = new AtomicInteger(), entered = new AtomicInteger();
        List<Callable<Void>> work = new ArrayList<>();
        for (CuratorFramework client : List.of(zk, other, zk, other)) {
            InterProcessMutex lock = new InterProcessMutex(client, at);
            work.add(() -> {
                for (int i = 0; i < 5; i++) {
                    equal(lock.acquire(LONG_S, TimeUnit.SECONDS), true);
                    lock.acquire(); // it is reentrant
                    most.accumulateAndGet(inside.incrementAndGet(), Math::max);
                    Thread.sleep(5);
                    inside.decrementAndGet();
                    entered.incrementAndGet();
                    lock.release();
                    lock.release();
                }
                return null;
            });
        }
        all(work);
        equal(List.of(most.get(), entered.get()), List.of(1, 20));
    }

    static void all(List<Callable<Void>> work) throws Exception {
        ExecutorService threads = Executors.newCachedThreadPool();
        for (Future<Void> f : threads.invokeAll(work)) f.get();
        threads.shutdown();
    }

    static void readWriteLock() throws Exception {
        InterProcessReadWriteLock a = new InterProcessReadWriteLock(zk, at), b = new InterProcessReadWriteLock(other, at);
        a.readLock().acquire();
        equal(b.readLock().acquire(LONG_S, TimeUnit.SECONDS), true);
        b.readLock().release();
        equal(b.writeLock().acquire(300, TimeUnit.MILLISECONDS), false);
        a.readLock().release();
        equal(b.writeLock().acquire(LONG_S, TimeUnit.SECONDS), true);
        equal(a.readLock().acquire(300, TimeUnit.MILLISECONDS), false);
        b.writeLock().release();
    }

    static void semaphore() throws Exception {
        InterProcessSemaphoreV2 a = new InterProcessSemaphoreV2(zk, at, 2), b = new InterProcessSemaphoreV2(other, at, 2);
        Collection<Lease> leases = a.acquire(2);
        equal(b.acquire(300, TimeUnit.MILLISECONDS), null);
        a.returnAll(leases);
        Lease lease = b.acquire(LONG_S, TimeUnit.SECONDS);
        equal(lease != null, true);
        b.returnLease(lease);
    }

    static void counters() throws Exception {
        List<Callable<Void>> work = new ArrayList<>();
        for (CuratorFramework client : List.of(zk, other)) {
            DistributedAtomicLong counter = new DistributedAtomicLong(client, at + "/long", new RetryNTimes(1000, 5));
            work.add(() -> {
                for (int i = 0; i < 25; i++) equal(counter.increment().succeeded(), true);
                return null;
            });
        }
        all(work);
        equal(new DistributedAtomicLong(zk, at + "/long", new RetryNTimes(10, 5)).get().postValue(), 50L);
        SharedCount a = new SharedCount(zk, at + "/shared", 7), b = new SharedCount(other, at + "/shared", 0);
        a.start();
        b.start();
        equal(b.getCount(), 7);
        a.setCount(8);
        until("the other sees it", () -> b.getCount() == 8);
        VersionedValue<Integer> old = b.getVersionedValue();
        equal(a.trySetCount(a.getVersionedValue(), 9), true);
        equal(b.trySetCount(old, 10), false);
        a.close();
        b.close();
    }

    static void barriers() throws Exception {
        DistributedBarrier gate = new DistributedBarrier(zk, at + "/gate");
        gate.setBarrier();
        equal(gate.waitOnBarrier(200, TimeUnit.MILLISECONDS), false);
        all(List.of(() -> { equal(new DistributedBarrier(other, at + "/gate").waitOnBarrier(LONG_S, TimeUnit.SECONDS), true); return null; },
            () -> { Thread.sleep(100); gate.removeBarrier(); return null; }));
        List<Callable<Void>> both = new ArrayList<>();
        for (CuratorFramework client : List.of(zk, other)) both.add(() -> {
            DistributedDoubleBarrier b = new DistributedDoubleBarrier(client, at + "/double", 2);
            equal(b.enter(LONG_S, TimeUnit.SECONDS) && b.leave(LONG_S, TimeUnit.SECONDS), true);
            return null;
        });
        all(both);
    }

    static void curatorCache() throws Exception {
        List<String> seen = new CopyOnWriteArrayList<>();
        CuratorCache cache = CuratorCache.build(zk, at);
        CountDownLatch loaded = new CountDownLatch(1);
        cache.listenable().addListener(CuratorCacheListener.builder()
            .forCreates(n -> seen.add("+" + n.getPath().substring(at.length())))
            .forChanges((o, n) -> seen.add("=" + n.getPath().substring(at.length())))
            .forDeletes(n -> seen.add("-" + n.getPath().substring(at.length()))).forInitialized(loaded::countDown).build());
        cache.start();
        equal(loaded.await(LONG_S, TimeUnit.SECONDS), true);
        other.create().creatingParentsIfNeeded().forPath(at + "/a/b", bytes("1"));
        until("created, seen " + seen, () -> seen.contains("+/a/b"));
        other.setData().forPath(at + "/a/b", bytes("2"));
        until("changed, seen " + seen, () -> seen.contains("=/a/b"));
        equal(new String(cache.get(at + "/a/b").get().getData()), "2");
        other.delete().deletingChildrenIfNeeded().forPath(at + "/a");
        until("deleted, seen " + seen, () -> seen.containsAll(List.of("-/a/b", "-/a")));
        cache.close();
    }

    @SuppressWarnings("deprecation")
    static void olderCaches() throws Exception {
        PathChildrenCache children = new PathChildrenCache(zk, at, true);
        NodeCache node = new NodeCache(zk, at + "/n");
        TreeCache tree = new TreeCache(zk, at);
        children.start(PathChildrenCache.StartMode.BUILD_INITIAL_CACHE);
        node.start(true);
        tree.start();
        other.create().forPath(at + "/n", bytes("1"));
        until("all three", () -> children.getCurrentData().size() == 1 && node.getCurrentData() != null && tree.getCurrentData(at + "/n") != null);
        other.setData().forPath(at + "/n", bytes("2"));
        until("all three have the change", () -> new String(children.getCurrentData().get(0).getData()).equals("2")
            && new String(node.getCurrentData().getData()).equals("2") && new String(tree.getCurrentData(at + "/n").getData()).equals("2"));
        other.delete().forPath(at + "/n");
        until("all three have lost it", () -> children.getCurrentData().isEmpty() && node.getCurrentData() == null && tree.getCurrentData(at + "/n") == null);
        children.close();
        node.close();
        tree.close();
    }

    static void persistentNode() throws Exception {
        PersistentNode node = new PersistentNode(zk, CreateMode.EPHEMERAL, false, at + "/n", bytes("mine"));
        node.start();
        equal(node.waitForInitialCreate(LONG_S, TimeUnit.SECONDS), true);
        other.delete().forPath(at + "/n");
        until("it is back", () -> !gone(at + "/n"));
        node.close();
        until("it is gone", () -> gone(at + "/n"));
    }

    static void groupMember() throws Exception {
        GroupMember a = new GroupMember(zk, at, "a", bytes("1")), b = new GroupMember(other, at, "b", bytes("2"));
        a.start();
        b.start();
        until("two members", () -> a.getCurrentMembers().keySet().equals(Set.of("a", "b")));
        b.close();
        until("one member", () -> a.getCurrentMembers().keySet().equals(Set.of("a")));
        a.close();
    }

    static void persistentWatcher() throws Exception {
        List<String> seen = new CopyOnWriteArrayList<>();
        PersistentWatcher watcher = new PersistentWatcher(zk, at, true);
        CountDownLatch ready = new CountDownLatch(1);
        watcher.getResetListenable().addListener(ready::countDown);
        watcher.getListenable().addListener(e -> { if (e.getPath() != null) seen.add(e.getType() + e.getPath().substring(at.length())); });
        watcher.start();
        equal(ready.await(LONG_S, TimeUnit.SECONDS), true);
        other.create().forPath(at + "/x");
        other.setData().forPath(at + "/x", bytes("1"));
        other.delete().forPath(at + "/x");
        until("three events, seen " + seen, () -> seen.equals(List.of("NodeCreated/x", "NodeDataChanged/x", "NodeDeleted/x")));
        watcher.close();
    }

    static void reconnects() throws Exception {
        if (RUNNER == null) throw new Skip("needs a server of this run");
        BlockingQueue<ConnectionState> states = new LinkedBlockingQueue<>();
        LeaderLatch latch = new LeaderLatch(other, at + "/latch");
        latch.start();
        equal(latch.await(LONG_S, TimeUnit.SECONDS), true);
        PersistentNode node = new PersistentNode(other, CreateMode.EPHEMERAL, false, at + "/n", bytes("mine"));
        node.start();
        equal(node.waitForInitialCreate(LONG_S, TimeUnit.SECONDS), true);
        other.getConnectionStateListenable().addListener((c, s) -> states.add(s));
        new ProcessBuilder("kill", "-USR1", RUNNER).start().waitFor();
        equal(states.poll(LONG_S, TimeUnit.SECONDS), ConnectionState.SUSPENDED);
        equal(states.poll(LONG_S, TimeUnit.SECONDS), ConnectionState.RECONNECTED);
        equal(latch.await(LONG_S, TimeUnit.SECONDS), true);
        until("its ephemeral", () -> !gone(at + "/n"));
        latch.close();
        node.close();
    }

    static void check(String name, Body body) throws Exception {
        at = ROOT + "/" + number++;
        zk.create().creatingParentsIfNeeded().forPath(at, new byte[0]);
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
    }

    public static void main(String[] args) throws Exception {
        zk = connect();
        other = connect();
        check("framework: parents, protection, transactions, background", Suite::framework);
        check("TTL nodes and containers", Suite::modes);
        check("LeaderLatch", Suite::leaderLatch);
        check("LeaderSelector", Suite::leaderSelector);
        check("InterProcessMutex", Suite::mutex);
        check("InterProcessReadWriteLock", Suite::readWriteLock);
        check("InterProcessSemaphoreV2", Suite::semaphore);
        check("DistributedAtomicLong and SharedCount", Suite::counters);
        check("DistributedBarrier and DistributedDoubleBarrier", Suite::barriers);
        check("CuratorCache", Suite::curatorCache);
        check("PathChildrenCache, NodeCache, TreeCache", Suite::olderCaches);
        check("PersistentNode", Suite::persistentNode);
        check("GroupMember", Suite::groupMember);
        check("PersistentWatcher", Suite::persistentWatcher);
        check("a restart of the server", Suite::reconnects);
        zk.delete().deletingChildrenIfNeeded().forPath(ROOT);
        zk.close();
        other.close();
        System.exit(failed == 0 ? 0 : 1);
    }
}
