/* What the C client does against a server: synchronous and asynchronous calls, multi, watches, permissions, create modes,
 * and sessions over lost connections and restarts. Each check has a directory `at` of its own; EXPECT ends a check. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

#define LONG_S 30
#define EXPECT(condition, ...)                                                          \
    do {                                                                                \
        if (!(condition)) {                                                             \
            snprintf(why, sizeof why, __VA_ARGS__);                                     \
            snprintf(why + strlen(why), sizeof why - strlen(why), " (line %d)", __LINE__); \
            return;                                                                     \
        }                                                                               \
    } while (0)
#define RC(call, expected)                                                              \
    do {                                                                                \
        int got_ = (call);                                                              \
        EXPECT(got_ == (expected), "%s: got %s, expected %s", #call, zerror(got_), zerror(expected)); \
    } while (0)

static const char *hosts;
static zhandle_t *zk;
static char at[256], why[1024], root[64];

/* A path below the check's directory, valid until eight further calls. */
static const char *p(const char *name) {
    static char ring[8][512];
    static int next;
    char *path = ring[next++ % 8];
    snprintf(path, 512, "%s/%s", at, name);
    return path;
}

/* Events and completions, as one list of texts that grows under a lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t grown = PTHREAD_COND_INITIALIZER;
static char seen[2048][128];
static int seen_count;

static void note(const char *format, ...) {
    va_list args;
    va_start(args, format);
    pthread_mutex_lock(&lock);
    if (seen_count < 2048) vsnprintf(seen[seen_count++], sizeof seen[0], format, args);
    pthread_cond_broadcast(&grown);
    pthread_mutex_unlock(&lock);
    va_end(args);
}

static void forget(void) {
    pthread_mutex_lock(&lock);
    seen_count = 0;
    pthread_mutex_unlock(&lock);
}

static int has(const char *text) {
    for (int i = 0; i < seen_count; i++)
        if (strcmp(seen[i], text) == 0) return 1;
    return 0;
}

/* Waits until `text` was noted (or, for NULL, `count` notes). */
static int told(const char *text, int count) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += LONG_S;
    pthread_mutex_lock(&lock);
    int late = 0;
    while (!(text ? has(text) : seen_count >= count) && !late) late = pthread_cond_timedwait(&grown, &lock, &end);
    pthread_mutex_unlock(&lock);
    return !late;
}

static void on_event(zhandle_t *h, int type, int state, const char *path, void *context) {
    (void)h;
    const char *leaf = path ? strrchr(path, '/') : NULL;
    if (type == ZOO_SESSION_EVENT)
        note("session %d", state);
    else
        note("%s%d %s", context ? (const char *)context : "", type, leaf ? leaf + 1 : "");
}

static int connected(zhandle_t *h) {
    for (int i = 0; i < LONG_S * 50; i++, usleep(20000))
        if (h && zoo_state(h) == ZOO_CONNECTED_STATE) return 1;
    return 0;
}

static zhandle_t *open_client(int timeout, const clientid_t *id) {
    zhandle_t *h = zookeeper_init(hosts, on_event, timeout, id, NULL, 0);
    if (!connected(h)) {
        printf("FAIL connect to %s\n", hosts);
        exit(1);
    }
    return h;
}

/* Shuts every socket of this process that leads to the server of `h`, as a broken network would. */
static void cut(zhandle_t *h) {
    struct sockaddr_storage peer, other;
    socklen_t size = sizeof peer;
    if (!zookeeper_get_connected_host(h, (struct sockaddr *)&peer, &size)) return;
    for (int fd = 3; fd < 256; fd++) {
        socklen_t n = sizeof other;
        if (getpeername(fd, (struct sockaddr *)&other, &n) == 0 && n == size && memcmp(&other, &peer, n) == 0)
            shutdown(fd, SHUT_RDWR);
    }
}

static int create(zhandle_t *h, const char *path, const char *data, int mode) {
    char made[512];
    return zoo_create(h, path, data, strlen(data), &ZOO_OPEN_ACL_UNSAFE, mode, made, sizeof made);
}

static int get(zhandle_t *h, const char *path, char *data, struct Stat *stat) {
    int size = 511, rc = zoo_get(h, path, 0, data, &size, stat);
    data[rc == ZOK && size > 0 ? size : 0] = 0;
    return rc;
}

static int remove_tree(zhandle_t *h, const char *path) {
    struct String_vector names;
    if (zoo_get_children(h, path, 0, &names) == ZOK) {
        for (int i = 0; i < names.count; i++) {
            char child[1024];
            snprintf(child, sizeof child, "%s/%s", path, names.data[i]);
            remove_tree(h, child);
        }
        deallocate_String_vector(&names);
    }
    return zoo_delete(h, path, -1);
}

/* Checks */

static void basics(void) {
    struct Stat a, b;
    char data[512];
    RC(create(zk, p("n"), "one", ZOO_PERSISTENT), ZOK);
    RC(get(zk, p("n"), data, &a), ZOK);
    EXPECT(strcmp(data, "one") == 0 && a.version == 0 && a.dataLength == 3 && a.czxid == a.mzxid, "stat after create: %s", data);
    RC(zoo_set2(zk, p("n"), "three", 5, 0, &b), ZOK);
    EXPECT(b.version == 1 && b.mzxid > a.mzxid && b.czxid == a.czxid && b.dataLength == 5, "stat after set, version %d", b.version);
    RC(zoo_set(zk, p("n"), NULL, -1, 1), ZOK);
    RC(zoo_get(zk, p("n"), 0, data, &(int){511}, &a), ZOK);
    RC(zoo_exists(zk, p("n"), 0, &b), ZOK);
    EXPECT(b.version == 2 && b.dataLength == 0 && a.mtime == b.mtime, "stat of a null value");
    RC(zoo_delete(zk, p("n"), 1), ZBADVERSION);
    RC(zoo_delete(zk, p("n"), 2), ZOK);
    RC(zoo_exists(zk, p("n"), 0, &b), ZNONODE);
}

static void errors(void) {
    char data[512];
    RC(create(zk, p("e"), "", ZOO_EPHEMERAL), ZOK);
    RC(create(zk, p("e"), "", ZOO_PERSISTENT), ZNODEEXISTS);
    RC(create(zk, p("e/c"), "", ZOO_PERSISTENT), ZNOCHILDRENFOREPHEMERALS);
    RC(create(zk, p("x/y"), "", ZOO_PERSISTENT), ZNONODE);
    RC(get(zk, p("x"), data, NULL), ZNONODE);
    RC(zoo_set(zk, p("x"), "", 0, -1), ZNONODE);
    RC(zoo_set(zk, p("e"), "", 0, 9), ZBADVERSION);
    RC(zoo_delete(zk, at, -1), ZNOTEMPTY);
    RC(create(zk, "no-slash", "", ZOO_PERSISTENT), ZBADARGUMENTS);
    RC(create(zk, p("a//b"), "", ZOO_PERSISTENT), ZBADARGUMENTS);
    RC(create(zk, p("a/../b"), "", ZOO_PERSISTENT), ZBADARGUMENTS);
}

static void modes(void) {
    char made[512];
    struct Stat stat;
    const char *expected[] = {"s-0000000000", "s-0000000001", "s-0000000002"};
    for (int i = 0; i < 3; i++) {
        RC(zoo_create2(zk, p("s-"), "", 0, &ZOO_OPEN_ACL_UNSAFE, i == 1 ? ZOO_EPHEMERAL_SEQUENTIAL : ZOO_PERSISTENT_SEQUENTIAL,
                       made, sizeof made, &stat), ZOK);
        EXPECT(strcmp(made, p(expected[i])) == 0, "made %s, expected %s", made, expected[i]);
        EXPECT(stat.version == 0 && stat.czxid == stat.pzxid, "the stat of create2");
        EXPECT((stat.ephemeralOwner == zoo_client_id(zk)->client_id) == (i == 1), "ephemeral owner %lx", (long)stat.ephemeralOwner);
    }
    RC(zoo_create2(zk, p("c"), "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_CONTAINER, made, sizeof made, &stat), ZOK);
    RC(create(zk, p("c/child"), "", ZOO_PERSISTENT), ZOK);
    RC(zoo_create2_ttl(zk, p("bad"), "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_WITH_TTL, 0, made, sizeof made, &stat), ZBADARGUMENTS);
}

/* Only with the reaper that looks every second, which the runner's servers have. */
static void reaped(void) {
    char made[512];
    struct Stat stat;
    RC(create(zk, p("c"), "", ZOO_CONTAINER), ZOK);
    RC(create(zk, p("c/child"), "", ZOO_PERSISTENT), ZOK);
    RC(zoo_create2_ttl(zk, p("t"), "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_WITH_TTL, 500, made, sizeof made, &stat), ZOK);
    RC(zoo_create2_ttl(zk, p("t-"), "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_SEQUENTIAL_WITH_TTL, 3600000, made, sizeof made, &stat), ZOK);
    EXPECT(strcmp(made, p("t-0000000002")) == 0, "made %s", made);
    RC(zoo_wexists(zk, p("t"), on_event, "", &stat), ZOK);
    RC(zoo_wexists(zk, p("c"), on_event, "", &stat), ZOK);
    RC(zoo_delete(zk, p("c/child"), -1), ZOK);
    EXPECT(told("2 t", 0), "the node outlived its time");
    EXPECT(told("2 c", 0), "the empty container stays");
    RC(zoo_exists(zk, made, 0, &stat), ZOK);
}

static void children(void) {
    struct String_vector names;
    struct Stat stat;
    for (int i = 0; i < 3; i++) RC(create(zk, p((const char *[]){"b", "a", "c"}[i]), "", ZOO_PERSISTENT), ZOK);
    RC(zoo_get_children2(zk, at, 0, &names, &stat), ZOK);
    EXPECT(names.count == 3 && stat.numChildren == 3 && stat.cversion == 3, "%d children, cversion %d", names.count, stat.cversion);
    deallocate_String_vector(&names);
    RC(zoo_get_children(zk, p("a"), 0, &names), ZOK);
    EXPECT(names.count == 0, "%d children of a leaf", names.count);
    deallocate_String_vector(&names);
}

static void on_string(int rc, const char *value, const void *tag) { (void)value; note("%s %d", (const char *)tag, rc); }
static void on_string_stat(int rc, const char *value, const struct Stat *s, const void *tag) {
    (void)value;
    note("%s %d %d", (const char *)tag, rc, s ? s->version : -1);
}
static void on_void(int rc, const void *tag) { note("%s %d", (const char *)tag, rc); }
static void on_stat(int rc, const struct Stat *s, const void *tag) { note("%s %d %d", (const char *)tag, rc, s ? s->version : -1); }
static void on_data(int rc, const char *value, int size, const struct Stat *s, const void *tag) {
    (void)s;
    note("%s %d %.*s", (const char *)tag, rc, size < 0 ? 0 : size, value);
}
static void on_strings(int rc, const struct String_vector *v, const void *tag) { note("%s %d %d", (const char *)tag, rc, v ? v->count : -1); }
static void on_strings_stat(int rc, const struct String_vector *v, const struct Stat *s, const void *tag) {
    (void)s;
    on_strings(rc, v, tag);
}
static void on_acl(int rc, struct ACL_vector *acl, struct Stat *s, const void *tag) {
    (void)s;
    note("%s %d %d", (const char *)tag, rc, acl ? acl->count : -1);
}

static void asynchronous(void) {
    const char *n = p("n");
    forget();
    RC(zoo_acreate(zk, n, "1", 1, &ZOO_OPEN_ACL_UNSAFE, 0, on_string, "create"), ZOK);
    RC(zoo_aexists(zk, n, 0, on_stat, "exists"), ZOK);
    RC(zoo_aset(zk, n, "22", 2, 0, on_stat, "set"), ZOK);
    RC(zoo_aget(zk, n, 0, on_data, "get"), ZOK);
    RC(zoo_acreate2(zk, p("m"), "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, on_string_stat, "create2"), ZOK);
    RC(zoo_aget_children(zk, at, 0, on_strings, "children"), ZOK);
    RC(zoo_aget_children2(zk, at, 0, on_strings_stat, "children2"), ZOK);
    RC(zoo_aset_acl(zk, n, -1, &ZOO_READ_ACL_UNSAFE, on_void, "setacl"), ZOK);
    RC(zoo_aget_acl(zk, n, on_acl, "acl"), ZOK);
    RC(zoo_async(zk, at, on_string, "sync"), ZOK);
    RC(zoo_adelete(zk, n, 7, on_void, "badversion"), ZOK);
    RC(zoo_adelete(zk, n, 1, on_void, "delete"), ZOK);
    const char *order[] = {"create 0", "exists 0 0", "set 0 1", "get 0 22", "create2 0 0", "children 0 2",
                           "children2 0 2", "setacl 0", "acl 0 1", "sync 0", "badversion -103", "delete 0"};
    EXPECT(told(NULL, 12), "only %d of 12 answers, last %s", seen_count, seen_count ? seen[seen_count - 1] : "none");
    for (int i = 0; i < 12; i++) EXPECT(strcmp(seen[i], order[i]) == 0, "answer %d is '%s', expected '%s'", i, seen[i], order[i]);
}

static void pipeline(void) {
    forget();
    for (int i = 0; i < 1000; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        RC(zoo_acreate(zk, p(name), "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, on_string, "made"), ZOK);
    }
    EXPECT(told(NULL, 1000), "%d of 1000 answers", seen_count);
    for (int i = 0; i < 1000; i++) EXPECT(strcmp(seen[i], "made 0") == 0, "answer %d: %s", i, seen[i]);
    struct Stat stat;
    RC(zoo_exists(zk, at, 0, &stat), ZOK);
    EXPECT(stat.numChildren == 1000 && stat.cversion == 1000, "%d children", stat.numChildren);
}

static void multi(void) {
    char made[2][512], data[512];
    zoo_op_t ops[5];
    zoo_op_result_t results[5];
    struct Stat stat;
    RC(create(zk, p("old"), "", 0), ZOK);
    zoo_check_op_init(&ops[0], p("old"), 0);
    zoo_create_op_init(&ops[1], p("new"), "1", 1, &ZOO_OPEN_ACL_UNSAFE, 0, made[0], 512);
    zoo_create_op_init(&ops[2], p("s-"), "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_SEQUENTIAL, made[1], 512);
    zoo_set_op_init(&ops[3], p("new"), "2", 1, 0, &stat);
    zoo_delete_op_init(&ops[4], p("old"), -1);
    RC(zoo_multi(zk, 5, ops, results), ZOK);
    EXPECT(strcmp(made[1], p("s-0000000002")) == 0 && stat.version == 1, "made %s, version %d", made[1], stat.version);
    RC(get(zk, p("new"), data, &stat), ZOK);
    EXPECT(strcmp(data, "2") == 0 && stat.czxid == stat.mzxid, "all in one transaction");
    zoo_create_op_init(&ops[0], p("x"), "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, made[0], 512);
    zoo_delete_op_init(&ops[1], p("missing"), -1);
    zoo_create_op_init(&ops[2], p("y"), "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, made[1], 512);
    RC(zoo_multi(zk, 3, ops, results), ZNONODE);
    EXPECT(results[0].err == ZOK && results[1].err == ZNONODE && results[2].err == ZRUNTIMEINCONSISTENCY, "results %d %d %d",
           results[0].err, results[1].err, results[2].err);
    RC(zoo_exists(zk, p("x"), 0, &stat), ZNONODE);
    RC(zoo_multi(zk, 0, ops, results), ZOK);
}

static void watches(void) {
    struct String_vector names;
    struct Stat stat;
    char data[512];
    forget();
    RC(zoo_wexists(zk, p("w"), on_event, "exists ", &stat), ZNONODE);
    RC(create(zk, p("w"), "", 0), ZOK);
    EXPECT(told("exists 1 w", 0), "created");
    RC(zoo_wget(zk, p("w"), on_event, "get ", data, &(int){511}, &stat), ZOK);
    RC(zoo_set(zk, p("w"), "1", 1, -1), ZOK);
    EXPECT(told("get 3 w", 0), "changed");
    RC(zoo_wget_children(zk, p("w"), on_event, "children ", &names), ZOK);
    deallocate_String_vector(&names);
    RC(create(zk, p("w/c"), "", 0), ZOK);
    EXPECT(told("children 4 w", 0), "child");
    RC(zoo_delete(zk, p("w/c"), -1), ZOK);
    RC(zoo_wexists(zk, p("w"), on_event, "last ", &stat), ZOK);
    RC(zoo_delete(zk, p("w"), -1), ZOK);
    EXPECT(told("last 2 w", 0), "deleted");
    EXPECT(seen_count == 4, "%d events for 4 watches", seen_count);
}

static void removed_watches(void) {
    struct Stat stat;
    forget();
    RC(create(zk, p("w"), "", 0), ZOK);
    RC(zoo_wexists(zk, p("w"), on_event, "gone ", &stat), ZOK);
    RC(zoo_remove_watches(zk, p("w"), ZWATCHTYPE_DATA, on_event, "gone ", 0), ZOK);
    RC(zoo_remove_watches(zk, p("w"), ZWATCHTYPE_DATA, on_event, "gone ", 0), ZNOWATCHER);
    RC(zoo_set(zk, p("w"), "1", 1, -1), ZOK);
    RC(zoo_exists(zk, p("w"), 0, &stat), ZOK);
    for (int i = 0; i < seen_count; i++) EXPECT(strcmp(seen[i], "gone 3 w") != 0, "the removed watch fired");
}

static void permissions(void) {
    struct ACL_vector acl, own = {1, (struct ACL[]){{ZOO_PERM_ALL, {"digest", "ann:zznmC2cYVEjYG5zVsJrXYYn1DLE="}}}};
    struct Stat stat;
    char made[512];
    RC(zoo_create(zk, p("r"), "", 0, &ZOO_READ_ACL_UNSAFE, 0, made, sizeof made), ZOK);
    RC(zoo_set(zk, p("r"), "", 0, -1), ZNOAUTH);
    RC(zoo_get_acl(zk, p("r"), &acl, &stat), ZOK);
    EXPECT(acl.count == 1 && acl.data[0].perms == ZOO_PERM_READ && strcmp(acl.data[0].id.scheme, "world") == 0, "the read ACL");
    deallocate_ACL_vector(&acl);
    RC(zoo_create(zk, p("auth"), "", 0, &ZOO_CREATOR_ALL_ACL, 0, made, sizeof made), ZINVALIDACL);
    RC(create(zk, p("n"), "", 0), ZOK);
    RC(zoo_set_acl(zk, p("n"), 3, &own), ZBADVERSION);
    zhandle_t *ann = open_client(10000, NULL);
    forget();
    RC(zoo_add_auth(ann, "digest", "ann:secret", 10, on_void, "auth"), ZOK);
    EXPECT(told("auth 0", 0), "digest authentication");
    RC(zoo_create(ann, p("hers"), "", 0, &ZOO_CREATOR_ALL_ACL, 0, made, sizeof made), ZOK);
    RC(zoo_set(ann, p("hers"), "1", 1, -1), ZOK);
    RC(zoo_get_acl(ann, p("hers"), &acl, &stat), ZOK);
    EXPECT(acl.count == 1 && strncmp(acl.data[0].id.id, "ann:", 4) == 0 && acl.data[0].perms == ZOO_PERM_ALL, "the creator's ACL");
    RC(zoo_set_acl(zk, p("n"), 0, &acl), ZOK);
    deallocate_ACL_vector(&acl);
    RC(zoo_set(zk, p("hers"), "2", 1, -1), ZNOAUTH);
    RC(zoo_set(zk, p("n"), "2", 1, -1), ZNOAUTH);
    RC(zoo_set(ann, p("n"), "2", 1, -1), ZOK);
    RC(zookeeper_close(ann), ZOK);
    RC(zoo_delete(zk, p("hers"), -1), ZOK);
    RC(zoo_delete(zk, p("n"), -1), ZOK);
}

static void failed_auth(void) {
    zhandle_t *other = open_client(10000, NULL);
    forget();
    RC(zoo_add_auth(other, "unheard-of", "x", 1, on_void, "auth"), ZOK);
    EXPECT(told("auth -115", 0), "the scheme is not refused, last: %s", seen_count ? seen[seen_count - 1] : "nothing");
    RC(zoo_set(other, at, "", 0, -1), ZINVALIDSTATE);
    zookeeper_close(other);
}

static void ephemerals(void) {
    struct Stat stat;
    zhandle_t *other = open_client(30000, NULL);
    forget();
    RC(create(other, p("e"), "", ZOO_EPHEMERAL), ZOK);
    RC(zoo_wexists(zk, p("e"), on_event, "", &stat), ZOK);
    EXPECT(stat.ephemeralOwner == zoo_client_id(other)->client_id, "its owner");
    RC(zookeeper_close(other), ZOK);
    EXPECT(told("2 e", 0), "the ephemeral outlives its closed session");
}

static void reconnect(void) {
    struct Stat stat;
    struct String_vector names;
    zhandle_t *other = open_client(10000, NULL);
    clientid_t id = *zoo_client_id(other);
    RC(create(zk, p("data"), "", 0), ZOK);
    RC(create(zk, p("kids"), "", 0), ZOK);
    RC(create(other, p("e"), "", ZOO_EPHEMERAL), ZOK);
    RC(zoo_wexists(other, p("data"), on_event, "", &stat), ZOK);
    RC(zoo_wexists(other, p("new"), on_event, "", &stat), ZNONODE);
    RC(zoo_wget_children(other, p("kids"), on_event, "", &names), ZOK);
    deallocate_String_vector(&names);
    forget();
    cut(other);
    connected(zk);
    while (zoo_set(zk, p("data"), "1", 1, -1) != ZOK) usleep(50000);
    RC(create(zk, p("new"), "", 0), ZOK);
    RC(create(zk, p("kids/k"), "", 0), ZOK);
    EXPECT(told("3 data", 0) && told("1 new", 0) && told("4 kids", 0), "%d events, some are missing", seen_count);
    EXPECT(connected(other) && zoo_client_id(other)->client_id == id.client_id, "another session");
    RC(zoo_exists(other, p("e"), 0, &stat), ZOK);
    zookeeper_close(other);
}

static void resume(void) {
    struct Stat stat;
    zhandle_t *other = open_client(10000, NULL);
    clientid_t id = *zoo_client_id(other);
    RC(create(other, p("e"), "", ZOO_EPHEMERAL), ZOK);
    zhandle_t *heir = open_client(10000, &id);
    EXPECT(zoo_client_id(heir)->client_id == id.client_id, "the session is not resumed");
    RC(zoo_exists(heir, p("e"), 0, &stat), ZOK);
    EXPECT(stat.ephemeralOwner == id.client_id, "its ephemeral");
    RC(zookeeper_close(heir), ZOK);
    RC(zoo_exists(zk, p("e"), 0, &stat), ZNONODE);
    for (int i = 0; i < LONG_S * 50 && zoo_state(other) != ZOO_EXPIRED_SESSION_STATE; i++) usleep(20000);
    EXPECT(zoo_state(other) == ZOO_EXPIRED_SESSION_STATE, "the first client does not learn that its session is closed");
    RC(zoo_exists(other, at, 0, &stat), ZINVALIDSTATE);
    zookeeper_close(other);
}

static void expired(void) {
    zhandle_t *late;
    clientid_t never = {0x7654321, "not a password"};
    forget();
    late = zookeeper_init(hosts, on_event, 10000, &never, NULL, 0);
    EXPECT(told("session -112", 0), "an unknown session is not refused");
    zookeeper_close(late);
}

static void restarted(void) {
    struct Stat before, after;
    char data[512];
    zhandle_t *other = open_client(30000, NULL);
    RC(create(zk, p("kept"), "x", 0), ZOK);
    RC(create(other, p("e"), "", ZOO_EPHEMERAL), ZOK);
    RC(zoo_wget(other, p("kept"), on_event, "", data, &(int){511}, &before), ZOK);
    int64_t id = zoo_client_id(other)->client_id;
    forget();
    kill(atoi(getenv("ZK_RUNNER")), SIGUSR1);
    EXPECT(told("session 1", 0), "the connection is not lost");
    EXPECT(told("session 3", 0) && connected(other) && connected(zk), "not connected again");
    EXPECT(zoo_client_id(other)->client_id == id, "another session");
    RC(get(other, p("kept"), data, &after), ZOK);
    EXPECT(before.mzxid == after.mzxid && before.ctime == after.ctime && before.version == after.version, "another stat, version %d, mzxid 0x%lx", after.version, (long)after.mzxid);
    RC(zoo_exists(other, p("e"), 0, &after), ZOK);
    while (zoo_set(zk, p("kept"), "y", 1, -1) == ZCONNECTIONLOSS) connected(zk);
    EXPECT(told("3 kept", 0), "the watch was not set again");
    zookeeper_close(other);
}

static void reconfiguration(void) {
    char data[1024];
    int size = sizeof data;
    struct Stat stat;
    RC(zoo_getconfig(zk, 0, data, &size, &stat), ZOK);
    size = sizeof data;
    int rc = zoo_reconfig(zk, NULL, "99", NULL, -1, data, &size, &stat);
    EXPECT(rc == ZNOAUTH || rc == ZUNIMPLEMENTED || rc == ZRECONFIGDISABLED, "got %s", zerror(rc));
}

static void chrooted(void) {
    char inside[1024], data[512];
    snprintf(inside, sizeof inside, "%s%s", hosts, at);
    zhandle_t *h = zookeeper_init(inside, on_event, 10000, NULL, NULL, 0);
    EXPECT(connected(h), "connect to %s", inside);
    RC(create(h, "/x", "below", 0), ZOK);
    RC(get(zk, p("x"), data, NULL), ZOK);
    EXPECT(strcmp(data, "below") == 0, "got %s", data);
    zookeeper_close(h);
}

struct check {
    const char *name, *needs;
    void (*function)(void);
};

static const struct check checks[] = {
    {"create, get, set, exists, delete and their stats", NULL, basics},
    {"error codes", NULL, errors},
    {"create modes: sequences, ephemeral, container, bad TTL", NULL, modes},
    {"containers and nodes with a TTL are reaped", "ZK_RUNNER", reaped},
    {"children", NULL, children},
    {"asynchronous calls are answered in order", NULL, asynchronous},
    {"1000 creates in flight", NULL, pipeline},
    {"multi: all or nothing", NULL, multi},
    {"watches fire once, with the right event", NULL, watches},
    {"removed watches do not fire", NULL, removed_watches},
    {"ACLs and digest authentication", NULL, permissions},
    {"an unknown scheme fails the authentication", NULL, failed_auth},
    {"ephemerals go with their session", NULL, ephemerals},
    {"a cut connection: session, ephemerals and watches are kept", NULL, reconnect},
    {"a session is resumed with its id and password", NULL, resume},
    {"an unknown session is expired", NULL, expired},
    {"a restart of the server: session, ephemerals, watches and stats are kept", "ZK_RUNNER", restarted},
    {"getconfig, and reconfig is refused", NULL, reconfiguration},
    {"a chroot in the connect string", NULL, chrooted},
};

int main(void) {
    int failed = 0;
    hosts = getenv("ZK_HOSTS");
    setvbuf(stdout, NULL, _IOLBF, 0);
    zoo_set_debug_level(0);
    snprintf(root, sizeof root, "/c-client-%d", getpid());
    zhandle_t *admin = open_client(30000, NULL);
    create(admin, root, "", 0);
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        if (checks[i].needs && !getenv(checks[i].needs)) {
            printf("skip %s: needs a server of this run\n", checks[i].name);
            continue;
        }
        snprintf(at, sizeof at, "%s/%zu", root, i);
        zk = open_client(10000, NULL);
        create(zk, at, "", 0);
        why[0] = 0;
        checks[i].function();
        printf(why[0] ? "FAIL %s: %s\n" : "ok   %s\n", checks[i].name, why);
        failed += why[0] != 0;
        zookeeper_close(zk);
    }
    connected(admin);
    remove_tree(admin, root);
    zookeeper_close(admin);
    return failed != 0;
}
