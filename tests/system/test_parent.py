"""The first process: what it refuses to start with, certificates that are renewed, logs that are rotated, children
and askers that vanish."""
import fcntl
import hashlib
import os
import re
import resource
import signal
import socket
import subprocess

from harness import need_root, options, tool, until
from smtp_session import Session
from world import *

ONE = OURS + 'listener "internet" { bind = {"127.0.0.1:0"} }\n'


def pair(folder, name, host="mail.proseware.com"):
    """A certificate and its key, as files."""
    chain, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        [tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
         "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}", "-keyout", key, "-out", chain],
        check=True, capture_output=True)
    return chain, key


def put_pair(names, to):
    """Puts this pair in the place of another, each file in one step."""
    for name, place in zip(names, to):
        new = place.with_suffix(".new")
        new.write_bytes(name.read_bytes())
        os.rename(new, place)


def shown(server, listener="internet"):
    """The hash of the certificate a client is shown."""
    c = server.session(listener).ehlo().starttls()
    return hashlib.sha256(c.socket.getpeercert(binary_form=True)).hexdigest()


def hash_of(chain):
    done = subprocess.run([tool("openssl"), "x509", "-in", chain, "-outform", "DER"], check=True, capture_output=True)
    return hashlib.sha256(done.stdout).hexdigest()


def refused_start(server, *words, code=78):
    """It ends by itself, with this exit code and these words."""
    server.start(ready=False)
    assert server.process.wait(30) == code, server.log.read_text()
    text = server.log.read_text()
    for word in words:
        assert word in text, text
    return text


# --- what it does not start with -----------------------------------------------------------------


def test_second_server_on_the_same_directory(t):
    first = t.server(ONE)
    second = t.server(ONE, start=False)
    second.state = first.state
    second.write(ONE)
    refused_start(second, "another server runs on state_dir", str(first.pid))
    # The first one is none the worse: its doors are where they were.
    assert first.queue() == []
    first.session().ehlo().quit()
    first.stop()
    second.log.write_text("")
    second.start()


def test_second_server_on_the_same_port(t):
    first = t.server(ONE)
    port = first.at()[1]
    second = t.server(ONE.replace(":0", f":{port}"), start=False)
    refused_start(second, "another program listens on", f"127.0.0.1:{port}", "internet")
    # A port that somebody else takes meanwhile is found at a reload too.
    third = t.server(ONE)
    answer = third.reload(ONE + f'listener "more" {{ bind = {{"127.0.0.1:{port}"}} }}\n')
    assert answer["event"] == "reload-refused" and "another program listens" in answer["text"], answer
    third.session().ehlo().quit()


def test_killed_and_started_at_once(t):
    """Whatever of the old server the kernel is still ending does not keep the new one away."""
    server = t.server(ONE, workers=4)
    server.crashes_expected = True
    server.write(ONE.replace(":0", f":{server.at()[1]}"))
    for _ in range(6):
        os.kill(server.pid, signal.SIGKILL)  # the children end with it, a little later
        server.process.wait()
        server.start()


def test_missing_account(t):
    need_root()
    server = t.server(ONE, start=False, run_as="nobody-of-that-name")
    refused_start(server, "nobody-of-that-name", "run_as", "adduser")


def test_missing_directory(t):
    server = t.server(ONE, start=False)
    server.state = t.folder / "not" / "there"
    server.write(ONE)
    refused_start(server, "not/there", "state_dir")


def test_without_root(t):
    """Everything runs as the caller; a port or a directory it may not use is said so."""
    need_root()
    server = t.server(ONE, start=False)
    os.chmod(t.folder, 0o755)
    os.chown(server.folder, 65534, 65534)
    as_nobody = (tool("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups")
    server.start(wrap=as_nobody)
    assert os.stat(server.state / "spool").st_uid == 65534
    server.session().ehlo().quit()
    other = t.server(ONE, start=False)
    os.mkdir(other.state, 0o700)
    other.start(ready=False, wrap=as_nobody)
    assert other.process.wait(30) == 78 and str(other.state) in other.log.read_text(), other.log.read_text()


def test_bad_pair_at_start(t):
    chain, _ = pair(t.folder, "one")
    _, key = pair(t.folder, "two")
    text = OURS + f'listener "internet" {{ bind = {{"127.0.0.1:0"}}  certificate = "{chain}"  key = "{key}" }}\n'
    refused_start(t.server(text, start=False), "the key does not belong to it", "internet")


# --- certificates -----------------------------------------------------------------------------------


def tls_server(t):
    one, two = pair(t.folder, "one"), pair(t.folder, "two")
    used = t.folder / "used.pem", t.folder / "used.key"
    put_pair(one, used)
    text = OURS + f'listener "internet" {{ bind = {{"127.0.0.1:0"}}  certificate = "{used[0]}"  key = "{used[1]}" }}\n'
    server = t.server(text)
    assert shown(server) == hash_of(one[0])
    return server, one, two, used


def test_renewed_at_reload(t):
    server, one, two, used = tls_server(t)
    before = server.children_of("worker")
    put_pair(two, used)
    assert server.reload()["event"] == "reloaded"
    until(lambda: shown(server) == hash_of(two[0]), "the new certificate")
    put_pair((one[0],), used)  # whose key is another
    answer = server.reload()
    assert answer["event"] == "reload-refused" and "does not belong" in answer["text"], answer
    assert shown(server) == hash_of(two[0])
    assert server.children_of("worker") == before


@options(seconds=120)
def test_renewed_on_disk(t):
    server, one, two, used = tls_server(t)
    before = server.children()
    put_pair(two, used)
    server.event("certificate-reloaded", seconds=40)
    until(lambda: shown(server) == hash_of(two[0]), "the new certificate")
    put_pair((one[0],), used)
    event = server.event("certificate-unusable", seconds=60)
    assert event["alarm"] and "does not belong" in event["text"], event
    assert shown(server) == hash_of(two[0]) and server.children() == before
    put_pair(one, used)
    until(lambda: len(server.events("certificate-reloaded")) == 2, "the mended pair", 40)
    until(lambda: shown(server) == hash_of(one[0]), "the mended certificate")
    assert len(server.events("certificate-unusable")) == 1


def test_made_pair_is_kept(t):
    server = t.server(ONE)
    first = shown(server)
    server.stop()
    server.start()
    assert shown(server) == first


# --- reload -------------------------------------------------------------------------------------------


def test_listener_added_while_starting(t):
    """A SIGHUP before all workers are ready: the new address is served by all of them."""
    server = t.server(ONE, start=False, workers=4)
    server.start(ready=False)
    until(lambda: (server.state / "run/control.sock").exists(), "the doors", every=0.001)
    server.write(ONE + 'listener "more" { bind = {"127.0.0.1:0"} }\n')
    server.process.send_signal(signal.SIGHUP)
    until(lambda: server.events("reloaded") and server.events("ready"), "reloaded and ready", 40)
    listening = server.events("ready")[-1]["listeners"]
    where = listening.get("more")
    if not where:  # ready came first; the address is in no event then
        return
    address, port = where[0].split(":")
    for _ in range(40):  # the kernel spreads connections over all workers' sockets
        Session(address, int(port)).ehlo().quit()


def test_worker_dies_during_reload(t):
    server = t.server(ONE, workers=2)
    server.crashes_expected = True
    for turn in range(4):
        for pid in server.children_of("worker"):
            os.kill(pid, signal.SIGKILL)
        text = ONE + 'listener "more" { bind = {"127.0.0.1:0"} }\n' * (turn % 2 == 0)
        assert server.reload(text)["event"] == "reloaded"
    until(lambda: len(server.children_of("worker")) == 2 and answers(server), "both are back", 40)


def answers(server):
    """Whether all workers answer a command."""
    done = server.run("queue", "list", "--json")
    return done.returncode == 0 and not done.stderr


def test_settings_that_need_a_restart(t):
    server = t.server(ONE)
    server.head = f'log = "file:{server.folder}/other"\n'
    answer = server.reload(ONE)
    assert answer["event"] == "reload-refused" and "restart" in answer["text"], answer


def test_log_is_rotated(t):
    server = t.server(ONE, start=False)
    log = server.folder / "events"
    server.head = f'log = "file:{log}"\n'
    server.write(ONE)
    server.log = log
    server.start(ready=False)
    until(lambda: server.events("ready"), "ready", 40)
    server.listeners = server.events("ready")[0]["listeners"]

    def rotate(text, expected):
        os.rename(log, server.folder / f"events.{expected}")
        server.write(text)
        os.kill(pid, signal.SIGHUP)
        until(lambda: server.events(expected), expected)
        wanted = os.stat(log)
        for child in until(lambda: len(server_children(pid)) == 4 and server_children(pid), "all children"):
            until(lambda: not os.path.exists(f"/proc/{child}") or same(f"/proc/{child}/fd/2", wanted), f"{child} has it")

    def same(path, wanted):
        try:
            st = os.stat(path)
        except OSError:
            return False
        return (st.st_dev, st.st_ino) == (wanted.st_dev, wanted.st_ino)

    pid = server.events("ready")[0]["pid"]
    rotate(ONE, "reloaded")
    rotate("nonsense\n", "reload-refused")
    c = server.session().ehlo()
    c.mail("a@adatum.com")
    c.cmd("RCPT TO:<b@adatum.com>")
    server.event("refused")


def server_children(parent):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1]) == parent:
                found.append(int(pid))
        except (OSError, IndexError):
            continue
    return found


def test_no_process_leaves_its_memory_behind(t):
    """Keys and passwords are in it: no core file, whatever the limits we were started with."""
    resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    server = t.server(ONE)
    parent = server.events("ready")[0]["pid"]
    for pid in [parent] + server_children(parent):
        limits = open(f"/proc/{pid}/limits").read()
        assert re.search(r"^Max core file size +0 +0 ", limits, re.M), f"{pid}: {limits}"


# --- who asks, and who does not answer ------------------------------------------------------------------


def test_askers_that_vanish(t):
    server = t.server(ONE)
    for i in range(60):
        s = socket.socket(socket.AF_UNIX)
        s.connect(str(server.state / "run/control.sock"))
        s.sendall([b"", b'{"comm', b'{"command":"queue-list"}\n', b'{"command":"queue-list"}\n' * 50, b"\n", b"[]\n",
                   b'{"command":"no such"}\n', b'{"command":"operate","order":"hold","id":"zz-0"}\n'][i % 8])
        s.close()
    assert server.queue() == []
    s = socket.socket(socket.AF_UNIX)
    s.connect(str(server.state / "run/control.sock"))
    s.sendall(b"x" * 100000)  # more than a request may have
    answer = s.recv(4096)
    assert b"error" in answer
    assert server.queue() == []


def test_lane_that_somebody_holds(t):
    """A command at work on the queue of a stopped server, just when that is started: it waits, and says so."""
    server = t.server(ONE, workers=2)
    server.stop()
    lock = next(f for f in (server.state / "spool/1").iterdir() if f.name == "lock")
    held = os.open(lock, os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    server.start(ready=False)
    server.event("lane-not-leased", lane=1)
    assert not server.events("ready", since=server.offset)
    os.close(held)
    until(lambda: server.events("ready", since=server.offset), "ready after all")


def test_stops_while_starting(t):
    """SIGTERM at any moment of the start ends it."""
    for delay in (0, 0.02, 0.05, 0.1, 0.2, 0.4):
        server = t.server(ONE, start=False, workers=2)
        server.crashes_expected = True
        server.start(ready=False)
        try:
            server.process.wait(delay or 0.001)
        except subprocess.TimeoutExpired:
            pass
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) in (0, -signal.SIGTERM), server.log.read_text()


# --- the same words for a certificate: the file, and its key's hash ------------------------------------------


def test_why_takes_a_certificate(t):
    one, two = pair(t.folder, "one"), pair(t.folder, "two")
    public = subprocess.run([tool("openssl"), "x509", "-in", one[0], "-noout", "-pubkey"], check=True, capture_output=True)
    key = subprocess.run([tool("openssl"), "pkey", "-pubin", "-outform", "DER"], input=public.stdout, check=True,
                         capture_output=True).stdout
    spki = "spki-sha256:" + hashlib.sha256(key).hexdigest()
    server = t.server(ONE + f"""connector "partner" {{ client_certificate = {{"{spki}"}}  may_relay_to = {{"adatum.com"}}
        senders = any  note = "adatum's gateway" }}
""", start=False)
    facts = dict(client="192.0.2.9", tls=True, offline=True, to="b@adatum.com", **{"from": "a@adatum.com"})
    for given, verdict in ((one[0], "accept"), (spki, "accept"), (spki[12:].upper(), "accept"), (two[0], "refuse")):
        assert server.why(certificate=given, **facts)["verdict"] == verdict, given
    wrong = server.run("why", "--client", "192.0.2.9", "--from", "a@a.com", "--to", "b@b.com", "--certificate", str(one[1]))
    assert wrong.returncode == 64 and "no certificate can be read" in wrong.stderr, wrong.stderr
