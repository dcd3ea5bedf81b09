"""A tenant's administrator sees and steers the tenant's own queue, and nothing else; strangers of this host nothing."""
import json
import os
import socket

from harness import until
from world import *

TEXT = OURS + """
domain "northwind.example" {}
domain "contoso.example" {}
tenant "northwind" { domains = {"northwind.example"}  admins = {"admin@northwind.example"} }
tenant "contoso" { domains = {"contoso.example"}  admins = {"admin@contoso.example"} }
""" + LISTENERS + PEOPLE + 'queue { retry = {"1h"} }\n'

NORTH, CONTOSO = "admin@northwind.example", "admin@contoso.example"
USERS = ("terri@proseware.com", NORTH, CONTOSO, "anna@northwind.example", "carl@contoso.example")


def submit(server, login, *to):
    c = server.session("submissions", HOTEL, tls=True).ehlo()
    c.auth_plain(login, "secret")
    c.mail(login)
    for address in to:
        c.rcpt(address)
    c.data(letter(login, to[0]))
    c.quit()


def ask_as_nobody(server, request):
    """As a process without any right: over the directory's descriptor, since the folders above are closed."""
    folder = os.open(server.state / "run", os.O_RDONLY)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            s = socket.socket(socket.AF_UNIX)
            s.connect(f"/proc/self/fd/{folder}/control.sock")
            s.sendall(json.dumps(request).encode() + b"\n")
            while data := s.recv(65536):
                os.write(write, data)
        except OSError as error:
            os.write(write, json.dumps({"failed": str(error)}).encode())
        os._exit(0)
    os.close(write)
    os.close(folder)
    with open(read, "rb") as pipe:
        lines = pipe.read().splitlines()
    os.waitpid(child, 0)
    return [json.loads(line) for line in lines]


def queue_as(server, login, *words, password="secret", code=0):
    out = server.command("queue", *words, "--as", login, "--password-stdin", "--json", input=password + "\n", code=code)
    return [json.loads(line) for line in out.splitlines()]


def test_admin_sees_and_steers_its_own_queue(t):
    server, _ = world(t, TEXT, users=USERS, sink=False)
    submit(server, "anna@northwind.example", "bob@adatum.com")
    submit(server, "carl@contoso.example", "eve@adatum.com", "fred@adatum.com")
    submit(server, "terri@proseware.com", "gus@adatum.com")
    until(lambda: len(server.queue()) == 3, "three that wait")
    all_of_it = server.queue()
    mine, theirs = queue_as(server, NORTH, "list"), queue_as(server, CONTOSO, "list")
    assert [m["from"] for m in mine] == ["anna@northwind.example"] and mine[0]["tenant"] == "northwind"
    assert [m["from"] for m in theirs] == ["carl@contoso.example"] and len(theirs[0]["recipients"]) == 2
    assert queue_as(server, NORTH, "list", theirs[0]["id"], code=1) == []
    assert queue_as(server, NORTH, "list", "--recipient", "eve@adatum.com") == []
    # Orders, by id and by filter, reach its own messages only.
    other = [m["id"] for m in all_of_it if m["from"] != "anna@northwind.example"]
    assert queue_as(server, NORTH, "remove", *other, code=1)[0]["changed"] == 0
    assert queue_as(server, NORTH, "hold", "--all")[0] == {"order": "hold", "messages": 1, "changed": 1}
    assert server.event("held")["operator"] == NORTH
    assert sorted(m["from"] for m in server.queue()) == sorted(m["from"] for m in all_of_it)
    assert queue_as(server, NORTH, "remove", mine[0]["id"])[0]["changed"] == 1
    assert len(server.queue()) == 2


def test_who_is_no_admin_gets_nothing(t):
    server, _ = world(t, TEXT, users=USERS, sink=False)
    submit(server, "anna@northwind.example", "bob@adatum.com")
    for login, password in ((NORTH, "wrong"), ("anna@northwind.example", "secret"), ("terri@proseware.com", "secret"),
                            ("nobody@northwind.example", "secret")):
        assert queue_as(server, login, "list", password=password, code=69) == []
    assert len(queue_as(server, NORTH, "list")) == 1
    server.command("user", "disable", NORTH)
    assert queue_as(server, NORTH, "list", code=69) == []
    server.command("queue", "stats", "--as", CONTOSO, "--password-stdin", input="secret\n", code=69)
    server.stop()
    done = server.run("queue", "list", "--as", CONTOSO, "--password-stdin", input="secret\n")
    assert done.returncode == 69 and "needs the running server" in done.stderr, done


def test_a_stranger_of_this_host_needs_the_login(t):
    server, _ = world(t, TEXT, users=USERS, sink=False)
    submit(server, "anna@northwind.example", "bob@adatum.com")
    submit(server, "carl@contoso.example", "eve@adatum.com")
    until(lambda: len(server.queue()) == 2, "two that wait")
    listing = {"command": "queue-list", "filter": {}}
    for lie in ({}, {"trusted": True}, {"operator": "root"}, {"as": 5}):
        answer = ask_as_nobody(server, dict(listing, **lie))
        assert len(answer) == 1 and "only root" in answer[0]["error"], answer
    assert "only root" in ask_as_nobody(server, {"command": "limits", "limits": []})[0]["error"]
    assert "cannot ask" in ask_as_nobody(server, {"command": "pop-list", "as": NORTH, "password": "secret"})[0]["error"]
    mine = ask_as_nobody(server, dict(listing, **{"as": NORTH, "password": "secret"}))
    assert [m["from"] for m in mine] == ["anna@northwind.example"], mine
    assert "wrong" in ask_as_nobody(server, dict(listing, **{"as": NORTH, "password": ""}))[0]["error"]
    assert "wrong" in ask_as_nobody(server, dict(listing, **{"as": NORTH, "trusted": True}))[0]["error"]
    assert "secret" not in server.log.read_text()


def trace_as(server, login, what, password="secret", code=0):
    out = server.command("trace", what, "--as", login, "--password-stdin", "--json", input=password + "\n", code=code)
    return [json.loads(line) for line in out.splitlines()]


def test_admin_traces_its_own_messages(t):
    server, _ = world(t, TEXT, users=USERS, sink=False)
    submit(server, "anna@northwind.example", "bob@adatum.com", "carl@contoso.example")
    submit(server, "carl@contoso.example", "eve@adatum.com", "anna@northwind.example")
    submit(server, "terri@proseware.com", "gus@adatum.com")
    ids = {e["from"]: e["message"] for e in server.events("accepted")}
    mine, theirs, ours = (ids[a] for a in ("anna@northwind.example", "carl@contoso.example", "terri@proseware.com"))
    # The history is written within a second.
    until(lambda: "deferred" in server.run("trace", mine, "--json").stdout, "the attempt in the history")
    until(lambda: "delivered" in server.run("trace", theirs, "--json").stdout, "the delivery in the history")
    seen = trace_as(server, NORTH, mine)
    assert {e["event"] for e in seen} >= {"accepted", "deferred", "delivered"}, seen
    assert seen == [json.loads(line) for line in server.command("trace", mine, "--json").splitlines()]
    assert trace_as(server, NORTH, "BOB@adatum.com") == seen
    # Of another tenant's message that came to it: its own recipient, and nobody else.
    came = trace_as(server, NORTH, theirs)
    assert [e["event"] for e in came] == ["accepted", "delivered"], came
    assert came[0]["to"] == ["anna@northwind.example"] and came[0]["from"] == "carl@contoso.example"
    for secret in ("eve@", "gus@", '"login"', '"client"', '"tenant"', "submission"):
        assert secret not in json.dumps(came), (secret, came)
    # Nor is it found by what is not shown; what is another's is as if it were not there.
    nothing = server.run("trace", "nobody@adatum.com", "--as", NORTH, "--password-stdin", input="secret\n")
    assert nothing.returncode == 1 and "nothing is known of nobody@adatum.com" in nothing.stderr, nothing
    for what in ("eve@adatum.com", ours, "gus@adatum.com", "terri@proseware.com"):
        other = server.run("trace", what, "--as", NORTH, "--password-stdin", input="secret\n")
        assert other.returncode == 1 and not other.stdout, other
        assert other.stderr == nothing.stderr.replace("nobody@adatum.com", what), other
    words = server.command("trace", mine, "--as", NORTH, "--password-stdin", input="secret\n")
    assert "from anna@northwind.example to bob@adatum.com, carl@contoso.example" in words, words


def test_who_is_no_admin_traces_nothing(t):
    server, _ = world(t, TEXT, users=USERS, sink=False)
    submit(server, "anna@northwind.example", "bob@adatum.com")
    for login, password in ((NORTH, "wrong"), ("anna@northwind.example", "secret"), ("terri@proseware.com", "secret")):
        assert trace_as(server, login, "anna@northwind.example", password=password, code=69) == []
    asked = {"command": "trace", "what": "anna@northwind.example"}
    for lie in ({}, {"trusted": True}, {"operator": "root"}, {"as": 5}, {"as": None}, {"as": [NORTH]}):
        answer = ask_as_nobody(server, dict(asked, **lie))
        assert len(answer) == 1 and "only root" in answer[0]["error"], answer
    proof = {"as": NORTH, "password": "secret"}
    for what in ({}, {"what": 7}, {"what": ""}, {"what": '"}'}, {"what": "x" * 60000}):
        assert ask_as_nobody(server, dict({"command": "trace"}, **what, **proof)) == [], what
    until(lambda: ask_as_nobody(server, dict(asked, **proof)), "the history")
    for e in ask_as_nobody(server, dict(asked, **proof)):
        assert e.get("tenant") == "northwind" or e["event"] in ("authenticated", "refused"), e
    assert "secret" not in server.log.read_text()
    server.stop()
    done = server.run("trace", "x", "--as", NORTH, "--password-stdin", input="secret\n")
    assert done.returncode == 69 and "needs the running server" in done.stderr, done


def people_as(server, login, *words, password="secret", code=0):
    out = server.command(*words, "--as", login, "--password-stdin", "--json", input=password + "\n", code=code)
    return [json.loads(line) for line in out.splitlines()]


def test_admin_sees_its_own_people(t):
    server, _ = world(t, TEXT, users=USERS, sink=False)
    server.command("alias", "add", "sales@northwind.example", "anna@northwind.example")
    server.command("alias", "add", "sales@contoso.example", "carl@contoso.example")
    server.command("group", "add", "all@northwind.example", "anna@northwind.example", NORTH)
    server.command("group", "add", "all@contoso.example", "carl@contoso.example")
    for kind, mine, theirs in (("user", {NORTH, "anna@northwind.example"}, "carl@contoso.example"),
                               ("alias", {"sales@northwind.example"}, "sales@contoso.example"),
                               ("group", {"all@northwind.example"}, "all@contoso.example")):
        whole = {e["address"]: e for e in map(json.loads, server.command(kind, "list", "--json").splitlines())}
        seen = people_as(server, NORTH, kind, "list")
        assert [e["address"] for e in seen] == sorted(mine) and all(e == whole[e["address"]] for e in seen), seen
        assert [e["address"] for e in people_as(server, CONTOSO, kind, "list")][-1] == theirs
        # What is another's is as if it were not there, whatever its kind.
        for other in (theirs, "nobody@northwind.example", "terri@proseware.com", "", "%", "@northwind.example"):
            words = (kind, "show", other, "--as", NORTH, "--password-stdin")
            done = server.run(*words, input="secret\n")
            local = server.run(kind, "show", "nobody@northwind.example")
            assert done.returncode == local.returncode == 67 and not done.stdout, done
            assert done.stderr == local.stderr.replace("nobody@northwind.example", other), (done, local)
        first = sorted(mine)[-1]
        assert [e["address"] for e in people_as(server, NORTH, kind, "show", first.upper())] == [first]
        words = server.command(kind, "show", first, "--as", NORTH, "--password-stdin", input="secret\n")
        assert words.startswith(first) and "{" not in words, words
        assert first in server.command(kind, "list", "--as", NORTH, "--password-stdin", input="secret\n")
        for login, password in ((NORTH, "wrong"), ("anna@northwind.example", "secret"), ("terri@proseware.com", "secret")):
            assert people_as(server, login, kind, "list", password=password, code=69) == []
        done = server.run(kind, "remove", first, "--as", NORTH, "--password-stdin", input="secret\n")
        assert done.returncode == 64 and "list and show" in done.stderr, done
        assert server.command(kind, "show", first)
    assert "sales@contoso" not in json.dumps(people_as(server, NORTH, "user", "list"))
    server.command("alias", "remove", "sales@northwind.example")
    assert people_as(server, NORTH, "alias", "list") == []
    assert "secret" not in server.log.read_text()
    server.stop()
    done = server.run("user", "list", "--as", NORTH, "--password-stdin", input="secret\n")
    assert done.returncode == 69 and "needs the running server" in done.stderr, done


def test_many_people_and_a_large_group(t):
    server, _ = world(t, TEXT, users=USERS, sink=False)
    members = "\n".join(f"member{n:05}.with.a.long.name@northwind.example" for n in range(6000))
    server.command("group", "add", "all@northwind.example", "--stdin", input=members)
    hashes = "\n".join(f"{who}{n}@{where}.example:$1$abcdefgh$G2Rz7Ys6vcKyhzxQvT7qS."
                       for n in range(700) for who, where in (("north", "northwind"), ("con", "contoso")))
    server.command("user", "import", input=hashes)
    assert len(people_as(server, NORTH, "group", "show", "all@northwind.example")[0]["members"]) == 6000
    assert len(people_as(server, NORTH, "group", "list")[0]["members"]) == 6000
    users = [e["address"] for e in people_as(server, NORTH, "user", "list")]
    assert users == sorted([f"north{n}@northwind.example" for n in range(700)] + [NORTH, "anna@northwind.example"])
    proof = {"command": "people", "as": NORTH, "password": "secret"}
    for lie in ({}, {"kind": "users"}, {"kind": 1}, {"kind": "user", "address": "x"},
                {"kind": ["user"], "show": {}}, {"kind": "user", "show": True, "address": "x" * 400}):
        answer = ask_as_nobody(server, dict(proof, **lie))
        assert len(answer) == 1 and "error" in answer[0], (lie, answer)
    assert "only root" in ask_as_nobody(server, {"command": "people", "kind": "user"})[0]["error"]


def connect_as(server, uid):
    """A connection to the control socket of a process that becomes this account, and only holds it."""
    folder = os.open(server.state / "run", os.O_RDONLY)
    mine, theirs = socket.socketpair(socket.AF_UNIX)
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            s = socket.socket(socket.AF_UNIX)
            s.connect(f"/proc/self/fd/{folder}/control.sock")
            socket.send_fds(theirs, [b"x"], [s.fileno()])
        finally:
            os._exit(0)
    theirs.close()
    os.close(folder)
    _, fds, _, _ = socket.recv_fds(mine, 1, 1)
    mine.close()
    os.waitpid(child, 0)
    return socket.socket(fileno=fds[0])


def test_strangers_who_say_nothing(t):
    server, _ = world(t, TEXT, users=USERS, sink=False)
    silent = [connect_as(server, 65534) for _ in range(20)]
    # One account has sixteen; those beyond are closed, and the others are there for other accounts and for root.
    for s in silent:
        s.settimeout(30)
    assert all(s.recv(1) == b"" for s in silent[16:])
    other = connect_as(server, 65533)
    other.settimeout(30)
    for junk in (b"{" * 70000, b"\n", b"[]\n", b'{"a":"\\u0000"}\n', b"\xff\xfe\n"):
        with connect_as(server, 65533) as s:
            s.settimeout(30)
            s.sendall(junk)
            assert b"no JSON object" in s.recv(1000), junk
    other.sendall(b'{"command":"queue-list"}\n')
    assert b"only root" in other.recv(1000)
    assert server.queue() == []
    # Who has not asked after ten seconds goes.
    assert all(s.recv(1) == b"" for s in silent[:16])
    assert len(ask_as_nobody(server, {"command": "people", "kind": "user", "as": NORTH, "password": "secret"})) == 2
