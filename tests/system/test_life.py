"""The life of the server: starting, whose the processes are and what they may do, reload, rotation of the log, death of
processes, the end."""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import isolation
from harness import Skip, need_root, options, until
from sink import HANG
from smtp_session import Gone, Session
from test_outbound import hand_in, ndr
from test_parent import refused_start
from world import *

NOBODY = 65534


def status(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


# --- accounts and rights ---


def test_root_keeps_little_and_children_nothing(t):
    """Workers and resolver are run_as, the keeper keeper_as; all three are shut in; the parent has few rights left."""
    need_root()
    server, sink = world(t, build="shipped", run_as="nobody", head='keeper_as = "daemon"\n')
    children = server.children()
    assert len(children) == 4, children
    daemon = {"keeper": 1}
    for pid, line in children.items():
        seen = status(pid)
        uid = str(daemon.get(line.split("--child=")[1].split()[0], NOBODY))
        assert seen["Uid"].split() == [uid] * 4, (line, seen["Uid"])
        assert seen["Seccomp"] == "2" and seen["NoNewPrivs"] == "1", (line, seen)
        assert all(int(seen[c], 16) == 0 for c in ("CapInh", "CapPrm", "CapEff", "CapAmb")), (line, seen)
        assert "0" not in seen["Groups"].split(), (line, seen["Groups"])
    parent = int(status(server.pid)["CapEff"], 16)
    for right in (12, 13, 16, 17, 18, 19, 21, 22, 25):  # net_admin ... chroot, ptrace, sys_admin, sys_boot, sys_time
        assert not parent >> right & 1, f"the parent kept capability {right}"
    assert hand_in(server) and until(lambda: sink.messages, "relayed")


def readable_by(uid, path):
    done = subprocess.run(["cat", path], user=uid, group=uid, extra_groups=[], capture_output=True)
    return done.returncode == 0


def test_who_may_read_what(t):
    """Keys of logins are the keeper's alone, the key of TLS the parent's, the queue and mail the workers'."""
    need_root()
    server, _ = world(t, build="shipped", run_as="nobody", head='keeper_as = "daemon"\n')
    hand_in(server, "terri@proseware.com", "x@contoso.com", HOTEL)
    server.wait_maildir("terri@proseware.com")
    worker, keeper, stranger = NOBODY, 1, 2
    for path in ("keeper/secrets.db", "keys/tls.key", "spool", "mail/proseware.com/terri/new", "history"):
        whole = server.state / path
        if whole.is_dir():
            whole = next(p for p in whole.rglob("*") if p.is_file())
        allowed = {uid for uid in (worker, keeper, stranger) if readable_by(uid, whole)}
        wanted = {"keeper/secrets.db": {keeper}, "keys/tls.key": set()}.get(path, {worker})
        assert allowed == wanted, (path, allowed)
    assert {m.stat().st_uid for m in (server.state / "mail").rglob("*")} == {worker}


def as_worker(*line):
    return subprocess.run(line, user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True).returncode == 0


def test_state_is_roots(t):
    """What runs as run_as can neither rename nor replace the folders of others in STATE, nor add one."""
    need_root()
    server, _ = world(t, build="shipped", run_as="nobody", head='keeper_as = "daemon"\n')
    state = server.state
    assert state.stat().st_uid == 0 and state.stat().st_mode & 0o777 == 0o755
    owners = {"directory": NOBODY, "spool": NOBODY, "history": NOBODY, "mail": NOBODY, "keeper": 1, "keys": 0, "run": 0}
    assert {name: (state / name).stat().st_uid for name in owners} == owners
    for name in owners:
        assert not as_worker("mv", state / name, state / "elsewhere"), name
    assert not as_worker("mkdir", state / "new") and not as_worker("touch", state / "counters")
    assert as_worker("cat", state / "directory/directory.db")
    server.user("later@proseware.com")  # root makes no file that the workers cannot read
    hand_in(server, "later@proseware.com", "x@contoso.com", HOTEL)
    server.wait_maildir("later@proseware.com")


def back_to_before(state):
    """STATE as versions left it in which it belonged to run_as."""
    for name in ("directory.db", "directory.db-wal", "directory.db-shm"):
        if (state / "directory" / name).exists():
            os.rename(state / "directory" / name, state / name)
    (state / "directory").rmdir()
    os.chown(state, NOBODY, NOBODY)


@options(seconds=90)
def test_state_of_before_is_taken_over(t):
    """It is given to root and directory.db moved, once, with nothing lost; commands work before and after."""
    need_root()
    server, _ = world(t, build="shipped", run_as="nobody", head='keeper_as = "daemon"\n')
    server.stop()
    back_to_before(server.state)
    server.user("between@proseware.com")
    assert (server.state / "directory.db").exists() and not (server.state / "directory/directory.db").exists()
    assert server.why(client=HOTEL, **{"from": "x@contoso.com", "to": "between@proseware.com"})["verdict"] == "accept"
    server.start()
    assert server.state.stat().st_uid == 0 and not (server.state / "directory.db").exists()
    assert (server.state / "directory/directory.db").stat().st_uid == NOBODY
    for who in ("terri@proseware.com", "between@proseware.com"):
        hand_in(server, who, "x@contoso.com", HOTEL)
        server.wait_maildir(who)


@options(seconds=90)
def test_state_that_was_tampered_with(t):
    """Where STATE was run_as's, a folder with a wrong owner is not given away: the keeper's, renamed to the workers', say."""
    need_root()
    server, _ = world(t, build="shipped", run_as="nobody", head='keeper_as = "daemon"\n')
    server.stop()
    state = server.state
    for stolen, name in (("keeper", "history"), ("keys", "directory"), ("spool", "keys")):
        back_to_before(state)
        saved = state / "saved"
        if (state / name).exists():
            os.rename(state / name, saved)
        os.rename(state / stolen, state / name)
        before = (state / name).stat().st_uid
        for _ in range(2):  # the second start asks, too
            refused_start(server, "belongs to account", f"/state/{name} ")
            assert (state / name).stat().st_uid == before and state.stat().st_uid == NOBODY
        os.rename(state / name, state / stolen)
        if saved.exists():
            os.rename(saved, state / name)
        server.start()
        server.stop()
    assert (state / "keeper/secrets.db").stat().st_uid == 1


@options(seconds=90)
def test_started_by_somebody(t):
    """Without root everything runs as the caller, and everything works."""
    need_root()
    t.zones(ADATUM)
    sink = t.sink(replies={"RCPT": lambda to, _: "550 5.1.1 No such mailbox" if to.startswith("nobody") else None})
    server = t.server(CASES, build="shipped", run_as="postern-that-does-not-exist", start=False)
    binary = t.folder / "postern"
    shutil.copy(server.binary, binary)
    server.binary = binary
    for path in (server.folder, server.file):
        os.chown(path, NOBODY, NOBODY)
    as_nobody = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    done = subprocess.run([*as_nobody, binary, "user", "add", "terri@proseware.com", "-c", server.file, "--password-stdin"],
                          input="secret\n", text=True, capture_output=True)
    assert done.returncode == 0, done
    server.start(wrap=as_nobody)
    children = server.children()
    assert len(children) == 4, children
    for pid in (server.pid, *children):
        assert status(pid)["Uid"].split() == [str(NOBODY)] * 4
    assert all(status(pid)["Seccomp"] == "2" for pid in children)
    c = server.session("submission", HOTEL).ehlo().starttls().ehlo()
    c.auth_scram("terri@proseware.com", "secret")
    for to in ("bob@adatum.com", "nobody@adatum.com"):
        c.mail("terri@proseware.com")
        c.rcpt(to)
        c.data(letter("terri@proseware.com", to))
    until(lambda: sink.messages, "relayed")
    assert "No such mailbox" in ndr(server)
    assert {p.stat().st_uid for p in server.state.rglob("*")} == {NOBODY}
    assert server.reload()["event"] == "reloaded"
    hand_in(server)


# --- starting ---


def test_ready_names_the_ports(t):
    server = t.server(OURS + 'listener "internet" { bind = {"127.0.0.1:0", "[::1]:0", "127.0.0.1:2599"} }\n'
                      'listener "submission" { bind = {"127.0.0.1:0"}  auth = require  tls = require }\n')
    event = server.events("ready")[0]
    assert list(event["listeners"]) == ["internet", "submission"] and event["pid"] == server.process.pid
    assert event["workers"] == 2 and event["listeners"]["internet"][2] == "127.0.0.1:2599"
    for listener, addresses in event["listeners"].items():
        for index in range(len(addresses)):
            address, port = server.at(listener, index)
            assert port and Session(address, port).banner.code == 220


def test_what_keeps_it_from_starting(t):
    """Exit 78, and on standard error what is wrong; nothing is left behind."""
    taken = socket.create_server(("127.0.0.1", 2525))
    at_port = 'listener "internet" { bind = {"127.0.0.1:2525"} }\n'
    missing = 'listener "internet" { bind = {"127.0.0.1:0"}  certificate = "/nowhere/crt.pem"  key = "/nowhere/key.pem" }\n'
    for text, said in ((OURS + at_port, "2525"), (OURS + missing, "/nowhere/crt.pem"), ('domain "a.example" {', "postern.conf:")):
        server = t.server(text, build="shipped", start=False)
        server.start(ready=False)
        assert server.process.wait(20) == 78
        assert said in server.log.read_text(), (said, server.log.read_text())
    taken.close()


def test_notifies_the_service_manager(t):
    """READY=1 once connections are taken, RELOADING=1 with its time and READY=1 again, STOPPING=1."""
    path = t.folder / "notify"
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(str(path))
    path.chmod(0o666)
    told.settimeout(20)
    server = t.server(CASES, start=False)
    server.environment["NOTIFY_SOCKET"] = str(path)
    server.start()

    def next_word():
        while True:
            lines = told.recv(4096).decode().splitlines()
            if not lines[0].startswith("STATUS="):
                return lines

    assert "READY=1" in next_word()
    server.reload()
    lines = next_word()
    assert lines[0] == "RELOADING=1" and lines[1].startswith("MONOTONIC_USEC="), lines
    assert abs(int(lines[1].partition("=")[2]) / 1e6 - time.monotonic()) < 20
    assert "READY=1" in next_word()
    server.reload(CASES + "nonsense = 1\n")
    assert "RELOADING=1" in next_word()
    assert "READY=1" in next_word(), "a refused reload ends the reloading too"
    server.stop()
    assert "STOPPING=1" in next_word()


# --- reload ---


def test_reload_with_open_sessions(t):
    """Each session goes on: in the middle of a message with the old rules, from its next MAIL with the new; a listener that
    is gone takes nobody new and keeps whom it has."""
    text = CASES.replace('"offering"    { bind = {"127.0.0.1:0"}', '"offering"    { bind = {"127.0.0.1:2598"}')
    server, sink = world(t, text)
    inside = server.session(source=HOME).ehlo()
    inside.mail("terri@proseware.com")
    inside.rcpt("bob@adatum.com")
    inside.want("DATA", "354")
    other = server.session("offering", HOTEL).ehlo()
    idle = [server.session(source=HOTEL).ehlo() for _ in range(10)]
    without = OURS + 'listener "internet" { bind = {"127.0.0.1:0"}  tls = offer  auth = off }\n' + QUICK
    assert server.reload(without)["event"] == "reloaded"
    inside.send("From: <terri@proseware.com>\r\nSubject: begun before\r\n\r\nwords\r\n.\r\n")
    assert inside.read().code == 250
    until(lambda: sink.messages, "relayed under the old rules")

    def refused_now():
        inside.want("RSET", "250")
        inside.mail("terri@proseware.com")
        return inside.cmd("RCPT TO:<bob@adatum.com>").is_ == "550 5.7.1"

    until(refused_now, "the grant is gone", 10, 0.1)
    other.want("NOOP", "250")
    for c in idle:
        c.mail("x@contoso.com")
        c.rcpt("terri@proseware.com")

    def nobody_new():
        try:
            socket.create_connection(("127.0.0.1", 2598)).close()
        except ConnectionRefusedError:
            return True

    until(nobody_new, "the listener that is gone takes nobody", 10, 0.1)
    assert server.session(source=HOTEL).banner.code == 220


def test_reload_with_a_bad_file(t):
    """Nothing changes, whatever is wrong with it; the answer names the place; the next good file is taken."""
    server, sink = world(t)
    c = server.session(source=HOME).ehlo()
    bad = (
        "nonsense = 1\n",
        'domain "x" {\n',
        "queue { give_up = yesterday }\n",
        'listener "more" { bind = {"192.0.2.200:2525"} }\n',  # no address of this machine
        'connector "wide" { clients = {"0.0.0.0/0"}  may_relay_to = {"*"}  note = "all" }\n',
        'listener "tls" { bind = {"127.0.0.1:0"}  certificate = "/nowhere/a.pem"  key = "/nowhere/b.pem" }\n',
    )
    for text in bad:
        event = server.reload(CASES + text)
        assert event["event"] == "reload-refused" and event["alarm"] and event["text"], (text, event)
        c.mail("terri@proseware.com")
        c.rcpt("bob@adatum.com")
        c.want("RSET", "250")
        assert server.session(source=HOTEL).banner.code == 220
    server.file.unlink()
    size = server.log.stat().st_size
    server.send_signal(signal.SIGHUP)
    until(lambda: server.events("reload-refused", since=size), "a missing file is refused")
    server.file.write_text("state_dir = \"/elsewhere\"\n" + CASES)
    size = server.log.stat().st_size
    server.send_signal(signal.SIGHUP)
    assert "restart" in until(lambda: server.events("reload-refused", since=size), "another state_dir is refused")[0]["text"]
    assert server.reload(CASES)["event"] == "reloaded"
    c.mail("terri@proseware.com")
    c.rcpt("bob@adatum.com")
    c.data(letter())
    until(lambda: sink.messages, "relayed")


def test_log_file_rotates(t):
    """log = file: after renaming and SIGHUP all processes write into the new file, and none into the old."""
    log = t.folder / "events.log"
    server, sink = world(t, head=f'log = "file:{log}"\n', start=False, users=())
    server.log = log
    server.user("terri@proseware.com")
    server.start()
    id = hand_in(server)
    server.event("relayed", message=id)
    old = log.rename(t.folder / "events.log.1")
    os.kill(json.loads(old.read_text().splitlines()[0])["pid"], signal.SIGHUP)
    until(lambda: log.exists() and '"reloaded"' in log.read_text(), "the new file")
    size = old.stat().st_size
    server.offset = 0
    server.__class__ = type("Rotated", (server.__class__,), {"pid": server.process.pid})
    seen = set()
    for _ in range(12):  # the kernel chooses the worker
        id = hand_in(server)
        seen.add(server.event("relayed", message=id)["message"])
    assert len(seen) == 12 and old.stat().st_size == size
    server.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
    assert old.stat().st_size == size and server.events("stopping")


class Journal:
    """Stands for systemd's journal: what comes goes into a file as lines of JSON, and is kept with its fields."""

    def __init__(self, folder, log):
        self.seen, self.log = [], log
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(folder / "socket"))
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                data = self.socket.recv(1 << 20)
            except OSError:
                return
            if not data:
                return
            fields = dict(line.split("=", 1) for line in data.decode().rstrip("\n").split("\n"))
            self.seen.append(fields)
            with open(self.log, "a") as log:
                log.write(fields["MESSAGE"] + "\n")

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def test_log_to_the_journal(t):
    """log = journal: every process writes to its socket, with the event's name and how urgent it is; standard error stays
    quiet. In a mount namespace something else stands for the journal."""
    need_root()
    if subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/run"], capture_output=True).returncode:
        raise Skip("mount namespaces are not allowed here")
    folder = Path(tempfile.mkdtemp(prefix="journal-"))  # its path must fit into a socket's address
    log = t.folder / "journal.log"
    log.write_text("")
    server, sink = world(t, build="shipped", head="log = journal\n", start=False, users=())
    server.user("terri@proseware.com")
    journal = Journal(folder, log)
    server.log = log
    script = 'mount -t tmpfs none /run && mkdir -p /run/systemd/journal && mount --bind "$1" /run/systemd/journal && shift && exec "$@"'
    server.start(wrap=("unshare", "-m", "sh", "-c", script, "sh", str(folder)))
    for _ in range(8):  # the kernel chooses the worker
        server.event("relayed", message=hand_in(server))
    server.reload("nonsense = 1\n")
    server.stop()
    by_name = {}
    for fields in journal.seen:
        event = json.loads(fields["MESSAGE"])
        assert fields["SYSLOG_IDENTIFIER"] == "postern" and fields["POSTERN_EVENT"] == event["event"], fields
        assert fields["PRIORITY"] == ("4" if event.get("alarm") else "6"), fields
        by_name.setdefault(event["event"], []).append(event)
    assert {"ready", "accepted", "relayed", "reload-refused", "stopping"} <= by_name.keys(), by_name.keys()
    assert len(by_name["relayed"]) == 8 and by_name["reload-refused"][0]["alarm"]
    journal.close()
    shutil.rmtree(folder)
    lines = [line for line in log.read_text().splitlines() if line.startswith("{")]
    assert len(lines) == len(journal.seen), "an event went to standard error"


# --- death ---


class Knocking:
    """Connects again and again; what is refused, and what has no banner, is noted."""

    def __init__(self, at):
        self.at, self.refused, self.silent, self.good = at, 0, 0, 0
        self.ends = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.ends.is_set():
            try:
                with socket.create_connection(self.at, timeout=20) as c:
                    good = c.recv(100).startswith(b"220")
                self.good, self.silent = self.good + good, self.silent + (not good)
            except ConnectionRefusedError:
                self.refused += 1
            except OSError:
                self.silent += 1
            time.sleep(0.005)

    def end(self):
        self.ends.set()
        self.thread.join(30)
        return self


@options(seconds=120)
def test_killed_worker_leaves_the_port_open(t):
    """With a single worker, killed five times: connections wait in the socket that the parent holds, none is refused; what
    the worker had taken goes out."""
    t.zones(ADATUM)
    sink = t.sink(replies={"RCPT": lambda to, sink: None if getattr(sink, "open", False) else "450 4.2.0 Later"})
    server = t.server(CASES, workers=1)
    server.crashes_expected = True
    ids = []
    knocking = Knocking(server.at())
    for number in range(5):
        ids.append(hand_in(server, f"bob{number}@adatum.com"))
        worker = until(lambda: server.children_of("worker"), "the worker")[0]
        open_session = server.session(source=HOME).ehlo()
        os.kill(worker, signal.SIGKILL)
        assert open_session.gone()
        until(lambda: server.children_of("worker") not in ([], [worker]), "the next worker")
        until(lambda: server.session(source=HOME).banner.code == 220, "its banner")
    knocking.end()
    print(f"{knocking.good} greeted, {knocking.silent} cut off, {knocking.refused} refused")
    assert knocking.refused == 0 and knocking.good >= 5 and knocking.silent <= 5
    assert {m["id"] for m in server.queue()} == set(ids)
    assert [e["how"] for e in server.events("child-ended", child="worker")] == ["killed by SIGKILL"] * 5 or len(
        server.events("child-ended", child="worker")) == 5
    sink.open = True
    server.command("queue", "retry", "--all")
    server.wait_empty()
    assert sorted(m.recipients[0] for m in sink.messages) == [f"bob{n}@adatum.com" for n in range(5)]


@options(seconds=90)
def test_killed_services_come_back(t):
    """Keeper and resolver: logins and deliveries go on as soon as they are back."""
    server, sink = world(t)
    server.crashes_expected = True
    for kind in ("keeper", "resolver"):
        old = server.children_of(kind)
        os.kill(old[0], signal.SIGKILL)
        until(lambda: server.children_of(kind) not in ([], old), f"the next {kind}")

    def log_in():
        c = server.session("submission", HOTEL).ehlo().starttls().ehlo()
        reply = c.auth_plain("terri@proseware.com", "secret", expected="")
        assert reply.code in (235, 454), reply
        return reply.code == 235 and c

    c = until(log_in, "a login", 15, 0.2)
    c.mail("terri@proseware.com")
    c.rcpt("bob@adatum.com")
    c.data(letter("terri@proseware.com"))
    until(lambda: sink.messages, "relayed")


def test_children_die_with_the_parent(t):
    server, _ = world(t, users=())
    server.crashes_expected = True
    children = server.children()
    os.kill(server.pid, signal.SIGKILL)
    server.process.wait()
    for pid in children:
        until(lambda: not Path(f"/proc/{pid}").exists() or status(pid)["State"].startswith("Z"), f"child {pid} is gone", 10)
    server.start()
    assert server.session(source=HOME).banner.code == 220


# --- the end ---


@options(seconds=90)
def test_stop_is_bounded(t):
    """A client that stopped in the middle of its message and a server that never answers do not hold it up for long; the
    mail goes out after the next start."""
    server, sink = world(t)
    sink.replies["END"] = HANG
    id = hand_in(server)
    until(lambda: sink.connections, "the delivery has begun")
    stuck = server.session(source=HOTEL).ehlo()
    stuck.mail("x@contoso.com")
    stuck.rcpt("terri@proseware.com")
    stuck.want("DATA", "354")
    stuck.send("Subject: never ends\r\n")
    idle = server.session(source=HOTEL).ehlo()
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 20
    assert idle.read().is_ == "421 4.3.2"
    try:
        assert stuck.read().code == 421
    except Gone:
        pass
    assert [m["id"] for m in server.queue()] == [id]
    sink.replies.clear()
    server.start()
    server.command("queue", "retry", id, code=None)
    until(lambda: sink.messages, "relayed after the start")
    assert not server.maildir("terri@proseware.com")


def test_stop_twice_and_interrupt(t):
    server, _ = world(t, users=())
    idle = server.session(source=HOME).ehlo()
    server.send_signal(signal.SIGINT)
    server.event("stopping", signal="SIGINT")
    assert idle.read().is_ == "421 4.3.2"
    server.process.wait(30)
    assert server.process.returncode == 0 and len(server.events("stopping")) == 1


# --- the disk ---


@options(seconds=120)
def test_disk_full_while_running(t):
    """Somebody else fills the disk: 452, never a denial, mail that was taken still goes out; with room again all is well."""
    need_root()
    t.zones(ADATUM)
    sink = t.sink(replies={"RCPT": lambda to, sink: None if getattr(sink, "open", False) else "450 4.2.0 Later"})
    server = t.server(CASES.replace("queue {", "queue { min_free = 10%"), build="shipped", start=False)
    server.state.mkdir()
    isolation.mount("none", server.state, "tmpfs", 0, "size=32m")
    server.start()
    id = hand_in(server)
    filler = server.state / "filler"
    with open(filler, "wb") as f:
        try:
            while True:
                f.write(b"x" * 65536)
        except OSError:
            pass

    def full():
        c = server.session(source=HOME).ehlo()
        return c.cmd("MAIL FROM:<terri@proseware.com>").is_ == "452 4.3.1"

    until(full, "452", 20, 0.2)
    assert server.events("refused", reason="queue.full")
    sink.open = True
    server.command("queue", "retry", "--all", code=None)
    filler.unlink()
    until(lambda: not any(full() for _ in range(8)), "room again, whichever worker answers", 20, 0.3)
    again = hand_in(server, "carol@adatum.com")
    for id in (id, again):
        server.event("relayed", message=id)
    server.wait_empty()
    assert len(sink.messages) == 2
