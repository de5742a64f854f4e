"""What kazoo does against a server: operations, watches, sessions, permissions and its recipes.

Each check gets a client `zk` and an empty directory `at` of its own. An assertion that fails is a FAIL line.
"""
import os, queue, signal, socket, sys, threading, time, traceback, uuid

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import *
from kazoo.recipe.cache import TreeCache
from kazoo.recipe.watchers import PatientChildrenWatch
from kazoo.security import CREATOR_ALL_ACL, OPEN_ACL_UNSAFE, READ_ACL_UNSAFE, make_acl, make_digest_acl

HOSTS, VERSION, RUNNER = os.environ["ZK_HOSTS"], os.environ["ZK_VERSION"], os.environ.get("ZK_RUNNER")
ROOT = f"/kazoo-{uuid.uuid4().hex[:8]}"
LONG = 30
checks = []


def check(name):
    return lambda function: checks.append((name, function))


class Skip(Exception):
    pass


def connect(**options):
    client = KazooClient(HOSTS, **{"timeout": 10, **options})
    client.start(LONG)
    return client


def raises(error, function, *args, **kwargs):
    try:
        result = function(*args, **kwargs)
    except error:
        return
    raise AssertionError(f"{error} expected, got {result!r}")


def until(what, condition, seconds=LONG):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def equal(got, expected):
    assert got == expected, f"got {got!r}, expected {expected!r}"


def in_thread(function, *args):
    thread = threading.Thread(target=function, args=args, daemon=True)
    thread.start()
    return thread


def joined(thread):
    thread.join(LONG)
    assert not thread.is_alive(), f"{thread.name} still waits after {LONG} s"


# Operations

@check("create, get, set, delete and their stats")
def _(zk, at):
    equal(zk.create(f"{at}/a", b"one"), f"{at}/a")
    data, stat = zk.get(f"{at}/a")
    equal((data, stat.version, stat.dataLength, stat.numChildren, stat.ephemeralOwner), (b"one", 0, 3, 0, 0))
    assert stat.czxid == stat.mzxid == stat.pzxid, stat
    assert abs(stat.ctime / 1000 - time.time()) < 60, stat
    after = zk.set(f"{at}/a", b"three", version=0)
    equal((after.version, after.dataLength, after.czxid, after.mzxid > stat.mzxid), (1, 5, stat.czxid, True))
    zk.create(f"{at}/a/b")
    child = zk.exists(f"{at}/a")
    equal((child.cversion, child.numChildren, child.pzxid > child.mzxid), (1, 1, True))
    raises(NotEmptyError, zk.delete, f"{at}/a")
    raises(BadVersionError, zk.delete, f"{at}/a/b", version=5)
    zk.delete(f"{at}/a", recursive=True)
    equal(zk.exists(f"{at}/a"), None)


@check("errors: node exists, no node, bad version, no children for ephemerals")
def _(zk, at):
    zk.create(f"{at}/e", ephemeral=True)
    raises(NodeExistsError, zk.create, f"{at}/e")
    raises(NoNodeError, zk.create, f"{at}/missing/child")
    raises(NoNodeError, zk.get, f"{at}/missing")
    raises(BadVersionError, zk.set, f"{at}/e", b"", version=7)
    raises(NoChildrenForEphemeralsError, zk.create, f"{at}/e/child")
    raises(BadArgumentsError, zk.delete, "/")


@check("create with makepath and include_data returns a stat")
def _(zk, at):
    path, stat = zk.create(f"{at}/deep/er/node", b"data", makepath=True, include_data=True)
    equal((path, stat.version, stat.dataLength), (f"{at}/deep/er/node", 0, 4))


@check("sequence nodes count every child of the parent")
def _(zk, at):
    equal([zk.create(f"{at}/n-", sequence=True) for _ in range(3)], [f"{at}/n-{i:010}" for i in range(3)])
    zk.create(f"{at}/plain")
    equal(zk.create(f"{at}/m-", sequence=True, ephemeral=True), f"{at}/m-0000000004")


@check("children with and without data")
def _(zk, at):
    for name in "cab":
        zk.create(f"{at}/{name}")
    equal(sorted(zk.get_children(at)), ["a", "b", "c"])
    names, stat = zk.get_children(at, include_data=True)
    equal((len(names), stat.numChildren, stat.cversion), (3, 3, 3))


@check("a node of 1 MB less 1 KB is kept, a request above the limit closes the connection")
def _(zk, at):
    big = os.urandom(1024 * 1023)
    zk.create(f"{at}/big", big)
    equal(zk.get(f"{at}/big")[0] == big, True)
    other = connect()
    raises(ConnectionLoss, other.set, f"{at}/big", b"x" * (1024 * 1024 + 1))
    shut(other)
    equal(zk.get(f"{at}/big")[1].version, 0)


@check("names in any script of 16 bits and of any length")
def _(zk, at):
    names = ("名前", "ключ", "with space", "n" * 2000)
    for name in names:
        zk.create(f"{at}/{name}", name.encode())
        equal(zk.get(f"{at}/{name}")[0].decode(), name)
    equal(sorted(zk.get_children(at)), sorted(names))
    for name in ("🔑", "\x07", "\ue000"):  # beyond 16 bits, control, private use
        raises(BadArgumentsError, zk.create, f"{at}/{name}")


@check("1000 asynchronous requests answer in order")
def _(zk, at):
    pending = [zk.create_async(f"{at}/{i:04}", str(i).encode()) for i in range(500)]
    pending += [zk.get_async(f"{at}/{i:04}") for i in range(500)]
    answers = [p.get(timeout=LONG) for p in pending]
    equal([a[0] for a in answers[500:]], [str(i).encode() for i in range(500)])
    zxids = [a[1].czxid for a in answers[500:]]
    equal(zxids, sorted(zxids))


@check("sync")
def _(zk, at):
    equal(zk.sync(at), at)


@check("a chroot in the connect string")
def _(zk, at):
    inside = KazooClient(HOSTS + at)
    inside.start(LONG)
    inside.create("/x", b"below")
    equal(zk.get(f"{at}/x")[0], b"below")
    equal(inside.get_children("/"), ["x"])
    shut(inside)


# Transactions

@check("transaction: all of it")
def _(zk, at):
    zk.create(f"{at}/old")
    t = zk.transaction()
    t.check(f"{at}/old", 0)
    t.create(f"{at}/new", b"1")
    t.set_data(f"{at}/new", b"2")
    t.create(f"{at}/s-", sequence=True)
    t.delete(f"{at}/old")
    results = t.commit()
    equal((results[0], results[1], results[2].version, results[3], results[4]),
          (True, f"{at}/new", 1, f"{at}/s-0000000002", True))
    made, changed = zk.exists(f"{at}/new"), zk.exists(f"{at}/s-0000000002")
    equal(made.czxid, changed.czxid)


@check("transaction: or none of it")
def _(zk, at):
    t = zk.transaction()
    t.create(f"{at}/x")
    t.check(f"{at}/missing", 0)
    t.create(f"{at}/y")
    results = t.commit()
    equal([type(r) for r in results], [RolledBackError, NoNodeError, RuntimeInconsistency])
    equal(zk.get_children(at), [])


# Watches

@check("one-shot watches: created, changed, child, deleted")
def _(zk, at):
    seen = queue.Queue()
    told = lambda: (lambda e: (e.type, e.path))(seen.get(timeout=LONG))
    path = f"{at}/w"
    equal(zk.exists(path, watch=seen.put), None)
    zk.create(path)
    equal(told(), ("CREATED", path))
    zk.get(path, watch=seen.put)
    zk.set(path, b"1")
    equal(told(), ("CHANGED", path))
    zk.set(path, b"2")
    zk.get_children(path, watch=seen.put)
    zk.create(f"{path}/c")
    equal(told(), ("CHILD", path))
    zk.delete(f"{path}/c")
    zk.exists(path, watch=seen.put)
    zk.delete(path)
    equal(told(), ("DELETED", path))
    assert seen.empty(), "a watch fired twice"


@check("a watch tells before the changed data can be read")
def _(zk, at):
    order, other = [], connect()
    zk.create(f"{at}/w", b"old")
    zk.get(f"{at}/w", watch=lambda e: order.append("told"))
    other.set(f"{at}/w", b"new")
    while zk.get(f"{at}/w")[0] == b"old":
        time.sleep(0.005)
    order.append("read")
    until("the watch", lambda: "told" in order)
    shut(other)


@check("DataWatch follows a node through its life")
def _(zk, at):
    seen = []
    zk.DataWatch(f"{at}/d", lambda data, stat, event: seen.append((data, event and event.type)))
    steps = [(zk.create, (f"{at}/d", b"1"), (b"1", "CREATED")), (zk.set, (f"{at}/d", b"2"), (b"2", "CHANGED")),
             (zk.delete, (f"{at}/d",), (None, "DELETED")), (zk.create, (f"{at}/d", b"3"), (b"3", "CREATED"))]
    equal(seen, [(None, None)])
    for step, args, expected in steps:
        step(*args)
        until(f"{expected}, seen {seen}", lambda: seen[-1] == expected)


@check("ChildrenWatch follows a directory, and stops when told")
def _(zk, at):
    seen = []

    @zk.ChildrenWatch(at)
    def _follow(children):
        seen.append(sorted(children))
        return len(children) < 2
    for i, expected in enumerate((["0"], ["0", "1"])):
        zk.create(f"{at}/{i}")
        until(f"{expected}, seen {seen}", lambda: seen[-1] == expected)
    zk.create(f"{at}/2")
    zk.get_children(at)
    equal(seen, [[], ["0"], ["0", "1"]])


@check("PatientChildrenWatch settles")
def _(zk, at):
    found = PatientChildrenWatch(zk, at, time_boundary=0.3).start()
    zk.create(f"{at}/late")
    children, _changed = found.get(timeout=LONG)
    equal(children, ["late"])


@check("TreeCache mirrors a subtree")
def _(zk, at):
    zk.create(f"{at}/t/one", b"1", makepath=True)
    cache = TreeCache(zk, f"{at}/t")
    cache.start()
    until("first load", lambda: cache.get_data(f"{at}/t/one") and cache.get_data(f"{at}/t/one").data == b"1")
    zk.create(f"{at}/t/two/three", b"3", makepath=True)
    zk.set(f"{at}/t/one", b"11")
    until("new node", lambda: getattr(cache.get_data(f"{at}/t/two/three"), "data", None) == b"3")
    until("new data", lambda: cache.get_data(f"{at}/t/one").data == b"11")
    zk.delete(f"{at}/t/two", recursive=True)
    until("removal", lambda: cache.get_children(f"{at}/t") == frozenset(["one"]))
    cache.close()


# Sessions

@check("ephemerals go when their session closes, at once")
def _(zk, at):
    gone, other = threading.Event(), connect(timeout=30)
    other.create(f"{at}/e", ephemeral=True)
    equal(zk.exists(f"{at}/e", watch=lambda e: gone.set()).ephemeralOwner, other.client_id[0])
    shut(other)
    assert gone.wait(10), "still there after 10 s of a session of 30 s"


@check("a session that falls silent expires, and its ephemerals go")
def _(zk, at):
    gone, other = threading.Event(), connect(timeout=2)
    other.create(f"{at}/e", ephemeral=True)
    zk.exists(f"{at}/e", watch=lambda e: gone.set())
    # A client that neither closes nor pings: the socket is shut below it, and it does not come back.
    other._connection._write_sock, other.retry = None, None
    other._stopped.set()
    other._connection._socket.shutdown(socket.SHUT_RDWR)
    assert gone.wait(LONG), "its ephemeral is still there"


@check("a session lives on over a lost connection: same id, ephemerals kept, watches set again")
def _(zk, at):
    seen, states = [], []
    other = connect()
    other.add_listener(states.append)
    session = other.client_id
    other.create(f"{at}/e", ephemeral=True)
    other.DataWatch(f"{at}/e", lambda data, stat: seen.append(data))
    other._connection._socket.shutdown(socket.SHUT_RDWR)
    until("suspended and connected again", lambda: states == [KazooState.SUSPENDED, KazooState.CONNECTED])
    equal(other.client_id, session)
    until("the watch is set again", lambda: f"{at}/e" in everywhere(b"wchp"))
    zk.set(f"{at}/e", b"after")
    until("the change is told", lambda: seen[-1] == b"after")
    shut(other)


@check("a session closed elsewhere is lost; the client gets a new one")
def _(zk, at):
    states, other = [], connect()
    other.add_listener(states.append)
    old = other.client_id
    thief = KazooClient(HOSTS, client_id=old)
    thief.start(LONG)
    equal(thief.client_id[0], old[0])
    shut(thief)
    until(f"lost and connected again, states {states}", lambda: KazooState.LOST in states and other.connected)
    until("a new session", lambda: (other.client_id or old)[0] != old[0])
    equal(other.exists("/") is not None, True)
    shut(other)


@check("a wrong session password does not take a session over")
def _(zk, at):
    other = connect()
    owner = other.client_id
    fake = KazooClient(HOSTS, client_id=(owner[0], b"\1" * 16))
    fake.start(LONG)
    identity = lambda client: (client.client_id or (0, b""))[0]  # unknown while not connected
    until("a session of its own", lambda: identity(fake) not in (0, owner[0]))
    until("the owner keeps its own", lambda: identity(other) == owner[0])
    other.retry(other.get, at)
    shut(fake), shut(other)


@check("the session timeout is bounded by the server")
def _(zk, at):
    if not RUNNER:
        raise Skip("the limits of an existing server are not known")
    for asked, granted in ((0.2, 1000), (3, 3000), (900, 40000)):
        other = connect(timeout=asked)
        conns = lines(other, b"cons")
        equal([l for l in conns if f"sid=0x{other.client_id[0]:x}," in l and f",to={granted}," in l] != [], True)
        shut(other)


@check("data, sessions and ephemerals outlive a restart of the server")
def _(zk, at):
    if not RUNNER:
        raise Skip("not a server of this run")
    other = connect(timeout=30)
    session = other.client_id
    other.create(f"{at}/e", b"mine", ephemeral=True)
    zk.create(f"{at}/p", b"kept")
    before = zk.exists(f"{at}/p")
    states, seen = [], []
    other.add_listener(states.append)
    other.DataWatch(f"{at}/p", lambda data, stat: seen.append(data))
    os.kill(int(RUNNER), signal.SIGUSR1)
    until("connection lost and made again", lambda: states[:1] == [KazooState.SUSPENDED] and other.connected)
    equal(other.client_id, session)
    equal(other.get(f"{at}/e")[1].ephemeralOwner, session[0])
    until("the other client is back", lambda: zk.connected)
    equal(zk.retry(zk.get, f"{at}/p"), (b"kept", before))
    zk.retry(zk.set, f"{at}/p", b"new")
    until("the change is told", lambda: seen[-1] == b"new")
    shut(other)


# Permissions

@check("ACLs: read and set, with versions")
def _(zk, at):
    zk.create(f"{at}/n", acl=OPEN_ACL_UNSAFE)
    acls, stat = zk.get_acls(f"{at}/n")
    equal((acls, stat.aversion), (OPEN_ACL_UNSAFE, 0))
    equal(zk.set_acls(f"{at}/n", [make_acl("world", "anyone", read=True, admin=True)], version=0).aversion, 1)
    raises(BadVersionError, zk.set_acls, f"{at}/n", OPEN_ACL_UNSAFE, version=0)
    raises(NoAuthError, zk.set, f"{at}/n", b"")
    raises(NoAuthError, zk.create, f"{at}/n/c")
    equal(zk.get(f"{at}/n")[0], b"")
    zk.create(f"{at}/last", acl=READ_ACL_UNSAFE)
    raises(NoAuthError, zk.set_acls, f"{at}/last", OPEN_ACL_UNSAFE)
    raises(InvalidACLError, zk.create, f"{at}/none", acl=[make_acl("digest", "no-colon", read=True)])
    raises(InvalidACLError, zk.create, f"{at}/auth", acl=CREATOR_ALL_ACL)


@check("digest authentication")
def _(zk, at):
    acl = [make_digest_acl("ann", "secret", all=True), make_acl("world", "anyone", read=True)]
    zk.create(f"{at}/n", b"public", acl=acl)
    owner = connect(auth_data=[("digest", "ann:secret")])
    wrong = connect(auth_data=[("digest", "ann:guess")])
    equal(wrong.get(f"{at}/n")[0], b"public")
    raises(NoAuthError, wrong.create, f"{at}/n/c")
    raises(NoAuthError, wrong.set, f"{at}/n", b"")
    owner.create(f"{at}/n/c", acl=CREATOR_ALL_ACL)
    equal(owner.get_acls(f"{at}/n/c")[0][0].id.id.split(":")[0], "ann")
    raises(NoAuthError, zk.get, f"{at}/n/c")
    zk.add_auth("digest", "ann:secret")
    equal(zk.get(f"{at}/n/c")[0], b"")
    zk.delete(f"{at}/n", recursive=True)
    shut(owner), shut(wrong)


@check("ip ACLs, and an unknown scheme fails the authentication")
def _(zk, at):
    zk.create(f"{at}/here", b"1", acl=[make_acl("ip", "127.0.0.0/8", all=True)])
    equal(zk.get(f"{at}/here")[0], b"1")
    zk.create(f"{at}/there", b"1", acl=[make_acl("ip", "10.255.255.255", read=True), make_acl("world", "anyone", delete=True)])
    raises(NoAuthError, zk.get, f"{at}/there")
    zk.delete(f"{at}/there")
    other = connect()
    raises(AuthFailedError, other.add_auth, "unheard-of", "x")
    shut(other)


@check("the super user passes every ACL")
def _(zk, at):
    if "ZK_SUPER" not in os.environ:
        raise Skip("no super user known")
    zk.create(f"{at}/locked", b"1", acl=[make_digest_acl("nobody", "none", read=True)])
    raises(NoAuthError, zk.get, f"{at}/locked")
    chief = connect(auth_data=[("digest", os.environ["ZK_SUPER"])])
    equal(chief.get(f"{at}/locked")[0], b"1")
    chief.set_acls(f"{at}/locked", OPEN_ACL_UNSAFE)
    shut(chief)


# Recipes

@check("Lock: one holder at a time, waiting in order")
def _(zk, at):
    running, most, total = [], [], []

    def work(n):
        with connect_for(n).Lock(f"{at}/lock", f"worker {n}"):
            running.append(n)
            most.append(len(running))
            time.sleep(0.02)
            running.remove(n)
            total.append(n)
    clients = {}
    connect_for = lambda n: clients.setdefault(n, connect())
    for thread in [in_thread(work, n) for n in range(4)]:
        joined(thread)
    equal((max(most), sorted(total)), (1, [0, 1, 2, 3]))
    for client in clients.values():
        shut(client)


@check("Lock: timeout, contenders, and release by a closed session")
def _(zk, at):
    holder = connect()
    first, second = holder.Lock(f"{at}/lock", "first"), zk.Lock(f"{at}/lock", "second")
    assert first.acquire(timeout=LONG)
    raises(LockTimeout, second.acquire, timeout=0.2)
    equal(second.acquire(blocking=False), False)
    equal(zk.Lock(f"{at}/lock").contenders(), ["first"])
    waiting = in_thread(second.acquire)
    until("both contend", lambda: zk.Lock(f"{at}/lock").contenders() == ["first", "second"])
    shut(holder)
    joined(waiting)
    second.release()


@check("ReadLock and WriteLock")
def _(zk, at):
    one, two, writer = zk.ReadLock(f"{at}/rw"), zk.ReadLock(f"{at}/rw"), zk.WriteLock(f"{at}/rw")
    assert one.acquire(timeout=LONG) and two.acquire(timeout=LONG), "two readers at once"
    equal(writer.acquire(blocking=False), False)
    one.release(), two.release()
    assert writer.acquire(timeout=LONG)
    equal(zk.ReadLock(f"{at}/rw").acquire(blocking=False), False)
    writer.release()


@check("Semaphore")
def _(zk, at):
    leases = [zk.Semaphore(f"{at}/sem", f"l{i}", max_leases=2) for i in range(3)]
    assert leases[0].acquire() and leases[1].acquire()
    equal(leases[2].acquire(blocking=False), False)
    equal(sorted(leases[2].lease_holders()), ["l0", "l1"])
    leases[0].release()
    assert leases[2].acquire(timeout=LONG)
    leases[1].release(), leases[2].release()


@check("Election: one leader after the other")
def _(zk, at):
    led, one, two = [], connect(), connect()
    stay = threading.Event()

    def lead(name):
        led.append(name)
        stay.wait(LONG)
    first = one.Election(f"{at}/vote", "one")
    a = in_thread(first.run, lead, "one")
    until("the first leads", lambda: led == ["one"])
    b = in_thread(two.Election(f"{at}/vote", "two").run, lead, "two")
    until("two contenders", lambda: first.contenders() == ["one", "two"])
    equal(led, ["one"])
    stay.set()
    joined(a), joined(b)
    equal(led, ["one", "two"])
    shut(one), shut(two)


@check("Counter")
def _(zk, at):
    other = connect()
    counters = [zk.Counter(f"{at}/c"), other.Counter(f"{at}/c")]

    def add(counter):
        for _ in range(20):
            counter += 2
    for thread in [in_thread(add, c) for c in counters]:
        joined(thread)
    equal(counters[0].value, 80)
    shut(other)


@check("Barrier and DoubleBarrier")
def _(zk, at):
    barrier, other = zk.Barrier(f"{at}/b"), connect()
    barrier.create()
    equal(barrier.wait(0.1), False)
    waiting = in_thread(other.Barrier(f"{at}/b").wait)
    barrier.remove()
    joined(waiting)
    one, two = zk.DoubleBarrier(f"{at}/d", 2), other.DoubleBarrier(f"{at}/d", 2)
    for a, b in ((one.enter, two.enter), (one.leave, two.leave)):
        first = in_thread(a)
        b()
        joined(first)
    shut(other)


@check("Queue and LockingQueue")
def _(zk, at):
    simple, locking = zk.Queue(f"{at}/q"), zk.LockingQueue(f"{at}/l")
    simple.put(b"later", 200), simple.put(b"now", 10)
    equal((len(simple), simple.get(), simple.get(), simple.get()), (2, b"now", b"later", None))
    locking.put_all([b"1", b"2"])
    equal((locking.get(LONG), locking.holds_lock(), locking.consume()), (b"1", True, True))
    equal((locking.get(LONG), locking.consume(), locking.get(0.2)), (b"2", True, None))


@check("Party")
def _(zk, at):
    other = connect()
    a, b = zk.Party(f"{at}/p", "a"), other.Party(f"{at}/p", "b")
    a.join(), b.join()
    equal(sorted(a), ["a", "b"])
    shut(other)
    until("the closed one leaves", lambda: list(a) == ["a"])


@check("SetPartitioner shares a set between two members")
def _(zk, at):
    other = connect()
    parts = [c.SetPartitioner(f"{at}/s", {1, 2, 3, 4}, identifier=i, time_boundary=0.3) for c, i in ((zk, "a"), (other, "b"))]

    def step(part):
        if part.release:
            part.release_set()
        elif part.allocating:
            part.wait_for_acquire(1)
    until("two halves", lambda: [step(p) for p in parts] and all(p.acquired for p in parts)
          and sorted(len(list(p)) for p in parts) == [2, 2])
    equal(sorted(list(parts[0]) + list(parts[1])), [1, 2, 3, 4])
    for part in parts:
        part.finish()
    shut(other)


@check("NonBlockingLease")
def _(zk, at):
    from datetime import timedelta
    equal(bool(zk.NonBlockingLease(f"{at}/lease", timedelta(seconds=60), identifier="a")), True)
    equal(bool(zk.NonBlockingLease(f"{at}/lease", timedelta(seconds=60), identifier="b")), False)


# Administration

def lines(zk, word):
    return zk.command(word).splitlines()


def everywhere(word):
    """The lines that all servers together answer: another client's connection may lead to any of them."""
    answers = b""
    for host in HOSTS.split(","):
        with socket.create_connection(host.rsplit(":", 1), timeout=LONG) as s:
            s.sendall(word)
            answers += b"".join(iter(lambda: s.recv(65536), b""))
    return answers.decode().splitlines()


@check("four letter words through the client")
def _(zk, at):
    equal(zk.command(b"ruok"), "imok")
    equal(".".join(map(str, zk.server_version())), VERSION)
    mntr = dict(line.split("\t", 1) for line in lines(zk, b"mntr") if "\t" in line)
    assert int(mntr["zk_znode_count"]) >= 5 and mntr["zk_server_state"] in ("standalone", "leader", "follower"), mntr
    assert any(f"0x{zk.client_id[0]:x}" in line for line in lines(zk, b"cons")), "own session in cons"
    # (a word may answer a line more or less; these are the ones that scripts read)
    for word, text in ((b"conf", "clientPort="), (b"envi", "Environment:"), (b"stat", "Node count:"), (b"srvr", "Zxid: 0x"),
                       (b"isro", "rw"), (b"wchs", "Total watches:"), (b"dump", "SessionTracker dump:"), (b"crst", "reset")):
        assert text in zk.command(word), f"{word.decode()}: {zk.command(word)!r}"


@check("wchc and wchp show a watch")
def _(zk, at):
    zk.get(at, watch=lambda e: None)
    assert at in zk.command(b"wchp") and at in zk.command(b"wchc")


@check("reconfig is refused without the rights for it")
def _(zk, at):
    # Where it is not enabled, nobody has the rights.
    raises((NoAuthError, ReconfigDisabledError, UnimplementedError), zk.reconfig, joining=None, leaving="99", new_members=None)


def shut(client):
    client.stop()
    client.close()


def main():
    admin, failed = connect(), 0
    admin.create(ROOT)
    for number, (name, function) in enumerate(checks):
        at, zk, started = f"{ROOT}/{number}", connect(), time.monotonic()
        try:
            zk.create(at)
            function(zk, at)
            print(f"ok   {name}")
        except Skip as why:
            print(f"skip {name}: {why}")
        except Exception as why:
            failed += 1
            where = traceback.extract_tb(why.__traceback__)
            line = [f.lineno for f in where if f.filename == __file__][-1]
            print(f"FAIL {name}: {type(why).__name__} {why} (suite.py:{line})")
        shut(zk)
        if os.environ.get("ZK_TIMES"):
            print(f"     {time.monotonic() - started:.2f} s")
    admin.retry(admin.delete, ROOT, recursive=True)
    shut(admin)
    return 1 if failed else 0


import logging
logging.basicConfig(level=logging.CRITICAL)
code = main()
sys.stdout.flush()
os._exit(code)  # without waiting for threads that a failed check left behind
