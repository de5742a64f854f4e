// The first steps of a newcomer with the Go client: look at the root, make the four kinds of znodes, read, change and delete
// them, watch for one to appear; then a registry where servers come and go and clients follow them.
package main

import (
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"
	"time"

	"github.com/samuel/go-zookeeper/zk"
)

const (
	patience = 30 * time.Second
	base     = "/golang"
	registry = "/server"
)

var (
	hosts  = strings.Split(os.Getenv("ZK_HOSTS"), ",")
	open   = zk.WorldACL(zk.PermAll)
	failed = 0
)

type quiet struct{}

func (quiet) Printf(string, ...interface{}) {}

func check(name string, ok bool, facts ...interface{}) {
	if ok {
		fmt.Println("ok   " + name)
	} else {
		failed++
		fmt.Printf("FAIL %s: %+v\n", name, facts)
	}
}

func connect() *zk.Conn {
	conn, events, err := zk.Connect(hosts, 5*time.Second)
	if err != nil {
		fmt.Println("FAIL connect:", err)
		os.Exit(1)
	}
	conn.SetLogger(quiet{})
	for deadline := time.After(patience); ; {
		select {
		case e := <-events:
			if e.State == zk.StateHasSession {
				return conn
			}
		case <-deadline:
			fmt.Println("FAIL connect: no session")
			os.Exit(1)
		}
	}
}

func sorted(names []string) []string {
	sort.Strings(names)
	return names
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// clean removes a znode and its children, should an earlier run have left them.
func clean(conn *zk.Conn, path string) {
	names, _, _ := conn.Children(path)
	for _, n := range names {
		conn.Delete(path+"/"+n, -1)
	}
	conn.Delete(path, -1)
}

func firstSteps(conn *zk.Conn) {
	rootNames, root, err := conn.Children("/")
	check("the root holds /zookeeper", err == nil && contains(rootNames, "zookeeper"), rootNames, err)

	made := []string{}
	create := func(path, data string, flags int32) error {
		name, err := conn.Create(path, []byte(data), flags, open)
		if err == nil {
			made = append(made, name)
		}
		return err
	}
	errs := []error{
		create(base, "the parent", 0),
		create(base+"/persistent", "stays", 0),
		create(base+"/ephemeral", "goes with its session", zk.FlagEphemeral),
		create(base+"/persistent_sequence", "stays, numbered", zk.FlagSequence),
		create(base+"/ephemeral_sequence", "goes, numbered", zk.FlagEphemeral|zk.FlagSequence),
	}
	expected := []string{base, base + "/persistent", base + "/ephemeral", base + "/persistent_sequence0000000002",
		base + "/ephemeral_sequence0000000003"}
	check("four kinds of znodes are made, the sequence counts every child", reflect.DeepEqual(made, expected), made, errs)
	check("a second create is refused", create(base, "", 0) == zk.ErrNodeExists)

	names, stat, err := conn.Children(base)
	four := []string{"ephemeral", "ephemeral_sequence0000000003", "persistent", "persistent_sequence0000000002"}
	check("the parent has four children", err == nil && reflect.DeepEqual(sorted(names), four), names, err)
	check("and counts four changes", stat.Cversion == 4 && stat.NumChildren == 4 && stat.Pzxid > stat.Czxid, stat)
	there, there2, err := conn.Exists(base)
	check("exists agrees", there && err == nil && reflect.DeepEqual(stat, there2), there2, err)

	data, first, err := conn.Get(base + "/persistent")
	check("get", err == nil && string(data) == "stays" && first.Version == 0 && first.DataLength == 5, string(data), first, err)
	_, err = conn.Set(base+"/persistent", []byte("change data"), first.Version)
	check("set", err == nil, err)
	_, err = conn.Set(base+"/persistent", []byte("too late"), first.Version)
	check("set of an older version is refused", err == zk.ErrBadVersion, err)
	data, second, err := conn.Get(base + "/persistent")
	check("get after set", string(data) == "change data" && second.Version == 1 && second.DataLength == 11, string(data), second)
	check("set moves mzxid, keeps czxid and pzxid",
		second.Mzxid > first.Mzxid && second.Czxid == first.Czxid && second.Pzxid == second.Czxid, first, second)
	check("delete", conn.Delete(base+"/persistent", second.Version) == nil)
	names, stat, err = conn.Children(base)
	check("three children are left, five changes counted", err == nil && len(names) == 3 && stat.Cversion == 5 && stat.NumChildren == 3, names, stat)
	_, own, err := conn.Get(base)
	check("a znode with children is not deleted", err == nil && conn.Delete(base, own.Version) == zk.ErrNotEmpty, err)

	names, after, err := conn.Children("/")
	check("the root has one more child, and counts it", err == nil && contains(names, "golang") && len(names) == len(rootNames)+1 &&
		after.Cversion == root.Cversion+1 && after.NumChildren == root.NumChildren+1 && after.Pzxid > root.Pzxid, root, after)

	there, _, appears, err := conn.ExistsW(base + "/exists")
	check("exists, of what does not exist yet", !there && err == nil, there, err)
	create(base+"/exists", "here now", 0)
	select {
	case e := <-appears:
		check("its watch tells the creation", e.Type == zk.EventNodeCreated && e.Path == base+"/exists", e)
	case <-time.After(patience):
		check("its watch tells the creation", false, "nothing told")
	}
}

// follow sends the servers' names, sorted, at the start and after every change, as a client of a registry keeps them.
func follow(conn *zk.Conn, seen chan<- []string) {
	for {
		names, _, changed, err := conn.ChildrenW(registry)
		if err != nil {
			return
		}
		list := []string{}
		for _, n := range names {
			if data, _, err := conn.Get(registry + "/" + n); err == nil {
				list = append(list, string(data))
			}
		}
		seen <- sorted(list)
		<-changed
	}
}

func serviceRegistry(conn *zk.Conn) {
	clean(conn, registry)
	_, err := conn.Create(registry, nil, 0, open)
	check("the registry is made", err == nil, err)
	paths := []string{}
	register := func(name string) *zk.Conn {
		own := connect()
		path, err := own.Create(registry+"/server", []byte(name), zk.FlagEphemeral|zk.FlagSequence, open)
		check("server "+name+" registers", err == nil, err)
		paths = append(paths, path)
		return own
	}
	one, two, three := register("one"), register("two"), register("three")

	clients, lists := []*zk.Conn{connect(), connect(), connect()}, []chan []string{}
	for _, c := range clients {
		lists = append(lists, make(chan []string, 16))
		go follow(c, lists[len(lists)-1])
	}
	all := func(what string, expected ...string) {
		for i, list := range lists {
			name := fmt.Sprintf("client %d sees %s", i+1, what)
			for deadline := time.After(patience); ; {
				select {
				case got := <-list:
					if !reflect.DeepEqual(got, expected) {
						continue // on its way
					}
					check(name, true)
				case <-deadline:
					check(name, false, "never told of", expected)
				}
				break
			}
		}
	}
	all("three servers", "one", "three", "two")
	one.Close()
	all("two when one goes", "three", "two")
	one = register("one")
	all("three when it is back", "one", "three", "two")
	numbered := true
	for i, p := range paths {
		numbered = numbered && p == fmt.Sprintf("%s/server%010d", registry, i)
	}
	check("registrations are numbered in order", numbered, paths)
	for _, c := range append(clients, one, two, three) {
		c.Close()
	}
	clean(conn, registry)
}

func main() {
	conn := connect()
	clean(conn, base)
	firstSteps(conn)
	serviceRegistry(conn)
	clean(conn, base)
	conn.Close()
	if failed > 0 {
		os.Exit(1)
	}
}
