// What go-zookeeper/zk does against a server: operations, multi, watches, permissions, sessions and its lock.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-zookeeper/zk"
)

const patience = 30 * time.Second

var (
	hosts     = strings.Split(os.Getenv("ZK_HOSTS"), ",")
	runner, _ = strconv.Atoi(os.Getenv("ZK_RUNNER"))
	open      = zk.WorldACL(zk.PermAll)
)

// errSkip ends a check that this server cannot be asked for.
type errSkip string

func (e errSkip) Error() string { return string(e) }

// client is a connection with the socket below it, so that a check can cut it.
type client struct {
	*zk.Conn
	events <-chan zk.Event
	mu     sync.Mutex
	socket net.Conn
}

type quiet struct{}

func (quiet) Printf(string, ...interface{}) {}

func connect(timeout time.Duration) *client {
	c := &client{}
	dial := func(network, address string, wait time.Duration) (net.Conn, error) {
		socket, err := net.DialTimeout(network, address, wait)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.socket = socket
		return socket, err
	}
	conn, events, err := zk.Connect(hosts, timeout, zk.WithDialer(dial), zk.WithLogger(quiet{}))
	if err == nil {
		c.Conn, c.events = conn, events
		err = c.await(zk.StateHasSession)
	}
	if err != nil {
		fmt.Println("FAIL connect:", err)
		os.Exit(1)
	}
	return c
}

func (c *client) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.socket.Close()
}

// await reads session events until one has the state.
func (c *client) await(state zk.State) error {
	for deadline := time.After(patience); ; {
		select {
		case e := <-c.events:
			if e.State == state {
				return nil
			}
		case <-deadline:
			return fmt.Errorf("state %v not reached, is %v", state, c.State())
		}
	}
}

func told(watch <-chan zk.Event, kind zk.EventType, path string) error {
	select {
	case e := <-watch:
		if e.Type != kind || e.Path != path {
			return fmt.Errorf("told %v %s, expected %v %s", e.Type, e.Path, kind, path)
		}
		return nil
	case <-time.After(patience):
		return fmt.Errorf("not told %v %s", kind, path)
	}
}

// expect is nil where got is the error wanted (nil for success).
func expect(what string, got, want error) error {
	if !errors.Is(got, want) {
		return fmt.Errorf("%s: got %v, expected %v", what, got, want)
	}
	return nil
}

func demand(what string, ok bool, facts ...interface{}) error {
	if ok {
		return nil
	}
	return fmt.Errorf("%s: %+v", what, facts)
}

func second(_ interface{}, err error) error { return err }

func operations(c *client, at string) error {
	name, err := c.Create(at+"/n", []byte("one"), 0, open)
	data, stat, err2 := c.Get(at + "/n")
	set, err3 := c.Set(at+"/n", []byte("three"), 0)
	ok, after, err4 := c.Exists(at + "/n")
	_, seqErr := c.Create(at+"/n/c", nil, zk.FlagEphemeral, open)
	names, parent, err5 := c.Children(at)
	synced, err6 := c.Sync(at)
	return errors.Join(err, err2, err3, err4, err5, err6, seqErr,
		demand("create and get", name == at+"/n" && string(data) == "one" && stat.Version == 0, name, string(data), stat),
		demand("set", set.Version == 1 && set.Mzxid > stat.Mzxid && set.Czxid == stat.Czxid, set),
		demand("exists", ok && *after == *set, after),
		demand("children", len(names) == 1 && parent.NumChildren == 1 && parent.Cversion == 1, names, parent),
		demand("sync", synced == at, synced),
		expect("exists twice", second(c.Create(at+"/n", nil, 0, open)), zk.ErrNodeExists),
		expect("no parent", second(c.Create(at+"/x/y", nil, 0, open)), zk.ErrNoNode),
		expect("wrong version", second(c.Set(at+"/n", nil, 9)), zk.ErrBadVersion),
		expect("child of an ephemeral", second(c.Create(at+"/n/c/d", nil, 0, open)), zk.ErrNoChildrenForEphemerals),
		expect("not empty", c.Delete(at+"/n", -1), zk.ErrNotEmpty),
		expect("delete", c.Delete(at+"/n/c", -1), nil),
		expect("delete", c.Delete(at+"/n", 1), nil))
}

func modes(c *client, at string) error {
	for i := 0; i < 3; i++ {
		name, err := c.Create(at+"/s-", nil, zk.FlagSequence, open)
		if err != nil || name != fmt.Sprintf("%s/s-%010d", at, i) {
			return fmt.Errorf("sequence %d: %s %v", i, name, err)
		}
	}
	protected, err := c.CreateProtectedEphemeralSequential(at+"/p-", nil, open)
	container, err2 := c.CreateContainer(at+"/c", nil, zk.FlagContainer, open)
	return errors.Join(err, err2, demand("protected", strings.HasSuffix(protected, "-p-0000000003"), protected),
		demand("container", container == at+"/c", container))
}

func timeToLive(c *client, at string) error {
	if runner == 0 {
		return errSkip("needs a server of this run")
	}
	if _, err := c.CreateTTL(at+"/t", nil, zk.FlagTTL, open, 500*time.Millisecond); err != nil {
		return err
	}
	_, _, watch, err := c.ExistsW(at + "/t")
	return errors.Join(err, told(watch, zk.EventNodeDeleted, at+"/t"))
}

func multi(c *client, at string) error {
	c.Create(at+"/old", nil, 0, open)
	results, err := c.Multi(&zk.CheckVersionRequest{Path: at + "/old", Version: 0},
		&zk.CreateRequest{Path: at + "/new", Data: []byte("1"), Acl: open},
		&zk.SetDataRequest{Path: at + "/new", Data: []byte("2"), Version: 0},
		&zk.DeleteRequest{Path: at + "/old", Version: -1})
	if err != nil || len(results) != 4 || results[1].String != at+"/new" || results[2].Stat.Version != 1 {
		return fmt.Errorf("all of it: %+v %v", results, err)
	}
	_, err = c.Multi(&zk.CreateRequest{Path: at + "/x", Acl: open}, &zk.DeleteRequest{Path: at + "/old", Version: -1})
	there, _, err2 := c.Exists(at + "/x")
	return errors.Join(expect("none of it", err, zk.ErrNoNode), demand("rolled back", !there), err2)
}

func watches(c *client, at string) error {
	_, _, created, _ := c.ExistsW(at + "/w")
	c.Create(at+"/w", nil, 0, open)
	err := told(created, zk.EventNodeCreated, at+"/w")
	_, _, changed, _ := c.GetW(at + "/w")
	c.Set(at+"/w", nil, -1)
	err2 := told(changed, zk.EventNodeDataChanged, at+"/w")
	_, _, children, _ := c.ChildrenW(at + "/w")
	c.Create(at+"/w/c", nil, 0, open)
	err3 := told(children, zk.EventNodeChildrenChanged, at+"/w")
	c.Delete(at+"/w/c", -1)
	_, _, deleted, _ := c.GetW(at + "/w")
	c.Delete(at+"/w", -1)
	return errors.Join(err, err2, err3, told(deleted, zk.EventNodeDeleted, at+"/w"))
}

func permissions(c *client, at string) error {
	own := zk.DigestACL(zk.PermAll, "ann", "secret")
	_, err := c.Create(at+"/n", nil, 0, own)
	denied := second(c.Set(at+"/n", nil, -1))
	got, _, err2 := errOnlyACL(c, at+"/n")
	err3 := c.AddAuth("digest", []byte("ann:secret"))
	_, err4 := c.Set(at+"/n", nil, -1)
	stat, err5 := c.SetACL(at+"/n", open, 0)
	acl, _, err6 := c.GetACL(at + "/n")
	bad := second(c.SetACL(at+"/n", []zk.ACL{{Perms: zk.PermAll, Scheme: "unheard-of", ID: "x"}}, -1))
	return errors.Join(err, err2, err3, err4, err5, err6,
		expect("before", denied, zk.ErrNoAuth), demand("hidden", got == nil, got),
		demand("ACL version", stat.Aversion == 1, stat), demand("ACL", len(acl) == 1 && acl[0].Scheme == "world", acl),
		expect("invalid", bad, zk.ErrInvalidACL))
}

// errOnlyACL expects that the ACL may not be read.
func errOnlyACL(c *client, path string) ([]zk.ACL, *zk.Stat, error) {
	acl, stat, err := c.GetACL(path)
	return acl, stat, expect("getACL without the right", err, zk.ErrNoAuth)
}

func ephemerals(c *client, at string) error {
	other := connect(20 * time.Second)
	_, err := other.Create(at+"/e", nil, zk.FlagEphemeral, open)
	_, stat, gone, err2 := c.GetW(at + "/e")
	id := other.SessionID()
	other.Close()
	return errors.Join(err, err2, demand("owner", stat.EphemeralOwner == id, stat), told(gone, zk.EventNodeDeleted, at+"/e"))
}

// lost breaks the connection by `how` and expects the session, its ephemeral and its watches to survive.
func lost(c *client, at string, how func(*client)) error {
	other := connect(20 * time.Second)
	defer other.Close()
	id := other.SessionID()
	_, err := other.Create(at+"/e", nil, zk.FlagEphemeral, open)
	c.Create(at+"/data", nil, 0, open)
	_, _, data, err2 := other.GetW(at + "/data")
	_, _, created, err3 := other.ExistsW(at + "/new")
	_, _, children, err4 := other.ChildrenW(at)
	how(other)
	err5 := retry(func() error { return second(c.Set(at+"/data", []byte("1"), -1)) })
	err6 := retry(func() error { return second(c.Create(at+"/new", nil, 0, open)) })
	err7 := errors.Join(told(data, zk.EventNodeDataChanged, at+"/data"), told(created, zk.EventNodeCreated, at+"/new"),
		told(children, zk.EventNodeChildrenChanged, at), other.await(zk.StateHasSession))
	there, stat, err8 := other.Exists(at + "/e")
	return errors.Join(err, err2, err3, err4, err5, err6, err7, err8,
		demand("same session", other.SessionID() == id && there && stat.EphemeralOwner == id, stat))
}

func retry(try func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil || errors.Is(err, zk.ErrNodeExists) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func cutOff(c *client, at string) error { return lost(c, at, (*client).cut) }

func restarted(c *client, at string) error {
	if runner == 0 {
		return errSkip("needs a server of this run")
	}
	return lost(c, at, func(other *client) {
		syscall.Kill(runner, syscall.SIGUSR1)
		other.await(zk.StateDisconnected)
	})
}

func lock(c *client, at string) error {
	var mu sync.Mutex
	holders, most, entered := 0, 0, 0
	errs := make(chan error, 4)
	for i := 0; i < 4; i++ {
		go func() {
			own := connect(10 * time.Second)
			defer own.Close()
			l := zk.NewLock(own.Conn, at+"/lock", open)
			if err := l.Lock(); err != nil {
				errs <- err
				return
			}
			mu.Lock()
			holders, entered = holders+1, entered+1
			if holders > most {
				most = holders
			}
			mu.Unlock()
			time.Sleep(20 * time.Millisecond)
			mu.Lock()
			holders--
			mu.Unlock()
			errs <- l.Unlock()
		}()
	}
	err := errors.Join(<-errs, <-errs, <-errs, <-errs)
	return errors.Join(err, demand("one holder at a time", most == 1 && entered == 4, most, entered))
}

func large(c *client, at string) error {
	big := bytes.Repeat([]byte("x"), 1000*1000)
	_, err := c.Create(at+"/big", big, 0, open)
	data, _, err2 := c.Get(at + "/big")
	return errors.Join(err, err2, demand("same data", bytes.Equal(data, big), len(data)))
}

func concurrent(c *client, at string) error {
	errs := make(chan error)
	for i := 0; i < 200; i++ {
		go func(i int) { errs <- second(c.Create(fmt.Sprintf("%s/%d", at, i), nil, 0, open)) }(i)
	}
	var err error
	for i := 0; i < 200; i++ {
		err = errors.Join(err, <-errs)
	}
	names, stat, err2 := c.Children(at)
	sort.Strings(names)
	return errors.Join(err, err2, demand("200 children", len(names) == 200 && stat.Cversion == 200, len(names), stat))
}

// words asks with the one helper of the library that still parses today's answers.
func words(c *client, at string) error {
	return demand("ruok", zk.FLWRuok(hosts[:1], patience)[0])
}

func reconfigured(c *client, at string) error {
	_, err := c.IncrementalReconfig(nil, []string{"99"}, -1)
	return demand("refused", err != nil)
}

// removeTree deletes what checks have left.
func removeTree(c *client, path string) {
	names, _, _ := c.Children(path)
	for _, n := range names {
		removeTree(c, path+"/"+n)
	}
	c.Delete(path, -1)
}

func main() {
	checks := []struct {
		name string
		run  func(*client, string) error
	}{
		{"operations, stats and errors", operations},
		{"sequence, protected and container nodes", modes},
		{"a node goes when its time to live is over", timeToLive},
		{"multi: all or nothing", multi},
		{"watches tell once", watches},
		{"ACLs and digest authentication", permissions},
		{"ephemerals go with their session", ephemerals},
		{"a cut connection: session, ephemerals and watches survive", cutOff},
		{"a restart of the server: session, ephemerals and watches survive", restarted},
		{"lock: one holder at a time", lock},
		{"1 MB of data", large},
		{"200 requests at once", concurrent},
		{"ruok", words},
		{"reconfig is refused", reconfigured},
	}
	root, failed := fmt.Sprintf("/go-client-%d", os.Getpid()), false
	for i, check := range checks {
		c := connect(10 * time.Second)
		if i == 0 {
			c.Create(root, nil, 0, open)
		}
		at := fmt.Sprintf("%s/%d", root, i)
		c.Create(at, nil, 0, open)
		err := check.run(c, at)
		var skip errSkip
		switch {
		case err == nil:
			fmt.Println("ok   " + check.name)
		case errors.As(err, &skip):
			fmt.Printf("skip %s: %v\n", check.name, err)
		default:
			failed = true
			fmt.Printf("FAIL %s: %s\n", check.name, strings.ReplaceAll(err.Error(), "\n", "; "))
		}
		if i == len(checks)-1 {
			removeTree(c, root)
		}
		c.Close()
	}
	if failed {
		os.Exit(1)
	}
}
