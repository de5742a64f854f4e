"""Builds the Go programs `basic` and `distribute` of a GOPATH directory unchanged, runs them and checks what they print."""
import glob, os, re, subprocess, sys, tempfile

LABEL = re.compile(r"^【(.+?)】\s*(.*)$")


def run(gopath, name, seconds):
    """Lines as (label, rest). A program that does not end by itself is stopped after the seconds."""
    source = os.path.dirname(glob.glob(f"{gopath}/src/**/{name}/main.go", recursive=True)[0])
    env = dict(os.environ, GO111MODULE="off", GOPATH=f"{os.path.abspath(gopath)}:/usr/share/gocode")
    with tempfile.TemporaryDirectory() as out:
        subprocess.run(["go", "build", "-o", f"{out}/p", os.path.relpath(source, f"{gopath}/src")], env=env, check=True)
        try:
            text = subprocess.run([f"{out}/p"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds).stdout
        except subprocess.TimeoutExpired as stopped:
            text = stopped.stdout or b""
    return [m.groups() for m in map(LABEL.match, text.decode().splitlines()) if m]


def check(name, ok, facts):
    print(f"ok   {name}" if ok else f"FAIL {name}: {facts}")
    return not ok


def words(text):
    return sorted(re.match(r"\[(.*?)\]", text).group(1).split())


def number(field, text):
    return int(re.search(rf"{field}:(-?\d+)", text).group(1))


def basic(gopath):
    said = run(gopath, "basic", 60)
    of = lambda pattern: [rest for label, rest in said if re.fullmatch(pattern, label)]
    made = [rest for rest in of(r"create znode \[.*\] success")]
    kids, roots, gets = of("golang children"), of("root children"), of(r"get path \[/golang/persistent\] info result")
    failed = check("notes: znodes made", [m.split("/")[-1] for m in made[:5]] == ["golang", "persistent", "ephemeral",
                   "persistent_sequence0000000002", "ephemeral_sequence0000000003"], made)
    failed += check("notes: children", [len(words(k)) for k in kids] == [4, 3] and
                    [number("Cversion", k) for k in kids] == [4, 5], kids)
    failed += check("notes: root", [words(r) for r in roots] == [["zookeeper"], ["golang", "zookeeper"]] and
                    number("Cversion", roots[1]) == number("Cversion", roots[0]) + 1, roots)
    failed += check("notes: get and set", len(gets) == 2 and gets[1].startswith("change data") and
                    [number("Version", g) for g in gets] == [0, 1], gets)
    failed += check("notes: deletes", of(r"delete path \[/golang/persistent\] result") == ["<nil>"] and
                    of(r"delete path \[/golang\] result") == ["zk: node has children"], said)
    return failed + check("notes: watch", any('"Type":1' in r for r in of("exists watch event")), said[-3:])


def distribute(gopath):
    said = run(gopath, "distribute", 40)
    lists = {}
    for label, rest in said:
        if rest.startswith("get server list success: "):
            lists.setdefault(label, []).append(len(words(rest.split(": ", 1)[1])))
    changes = sum(rest == "server changed!" for _, rest in said)
    return check("notes: every client sees three servers, two, three",
                 len(lists) == 3 and all(v == [3, 2, 3] for v in lists.values()) and changes == 6, (lists, changes))


sys.exit(1 if basic(sys.argv[1]) + distribute(sys.argv[1]) else 0)
