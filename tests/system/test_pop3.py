"""POP3 with real clients, and what they may see: mail that is neither lost nor doubled with two clients at once, with a
cut connection, with deliveries and other readers of the same Maildir meanwhile."""
import base64
import hashlib
import hmac
import os
import poplib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

from harness import tool, until
from world import *

POP3 = """
listener "pop3"  { bind = {"127.0.0.1:0"}  service = pop3  tls = require }
listener "pop3s" { bind = {"127.0.0.1:0"}  service = pop3  tls = implicit }
listener "plain" { bind = {"127.0.0.1:0"}  service = pop3  tls = offer }
"""
TERRI = "terri@proseware.com"


def trusting():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def pop(server, listener="pop3s", source=None, user=TERRI, password="secret"):
    """A session of Python's poplib, logged in unless user is None."""
    host, port = server.at(listener)
    sock = socket.create_connection((host, port), 20, source_address=(source, 0) if source else None)
    if listener == "pop3s":
        sock = trusting().wrap_socket(sock, server_hostname="mail.proseware.com")
    client = Pop(sock)
    if listener == "pop3":
        client.stls(trusting())
    if user:
        client.user(user)
        client.pass_(password)
    return client


class Pop(poplib.POP3):
    """poplib on a socket that is there."""

    def __init__(self, sock):
        self.given = sock
        poplib._MAXLINE = 16 * 1024
        super().__init__("given")

    def _create_socket(self, timeout):
        return self.given

    def messages(self):
        """The whole text of every message, in order."""
        count = self.stat()[0]
        return [b"\r\n".join(self.retr(i + 1)[1]) for i in range(count)]

    def cut(self):
        self.sock.close()
        self.file.close()


def fails(call, *args):
    """The text of -ERR."""
    try:
        answer = call(*args)
    except poplib.error_proto as refusal:
        return refusal.args[0].decode() if isinstance(refusal.args[0], bytes) else str(refusal.args[0])
    raise AssertionError(f"accepted: {answer}")


def deliver(server, count=1, to=TERRI, text="hello"):
    """Messages from outside, through the whole server."""
    before = len(everything(server, to))
    c = server.session().ehlo()
    for i in range(count):
        c.mail("x@adatum.com")
        c.rcpt(to)
        c.data(letter("x@adatum.com", to, subject=f"number {before + i}", body=text))
    c.close()
    until(lambda: len(everything(server, to)) == before + count, f"{count} messages delivered")


def everything(server, address):
    local, _, domain = address.partition("@")
    folder = server.state / "mail" / domain / local
    return sorted(p for part in ("new", "cur") for p in (folder / part).glob("*"))


def pop_world(t, text=OURS + LISTENERS + POP3 + PEOPLE + QUICK, **how):
    return world(t, text, sink=False, **how)[0]


# --- the protocol -------------------------------------------------------------------------


def test_pop3_poplib(t):
    """Python's poplib does all it can do; the mailbox is what was delivered, and what is deleted is gone after QUIT."""
    server = pop_world(t)
    deliver(server, 3, text="line\r\n.dot\r\n..two dots\r\nend")
    files = everything(server, TERRI)
    client = pop(server)
    assert client.stat()[0] == 3
    sizes = {int(line.split()[0]): int(line.split()[1]) for line in client.list()[1]}
    uids = [line.split()[1].decode() for line in client.uidl()[1]]
    assert len(set(uids)) == 3
    for i in (1, 2, 3):
        _, lines, octets = client.retr(i)
        assert sizes[i] == sum(len(line) + 2 for line in lines) == octets
        assert b".dot" in lines and b"..two dots" in lines
        head = client.top(i, 1)[1]
        assert head == lines[: len(head)] and len(head) == lines.index(b"") + 2
    capabilities = client.capa()
    for word in ("TOP", "UIDL", "USER", "SASL", "UTF8", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE"):
        assert word in capabilities, capabilities
    client.dele(1)
    client.dele(3)
    client.rset()
    client.dele(2)
    client.quit()
    assert len(everything(server, TERRI)) == 2
    client = pop(server, "pop3")
    again = [line.split()[1].decode() for line in client.uidl()[1]]
    assert again == [uids[0], uids[2]], "the ids stay"
    names = [f.name.split(":")[0] for f in files]
    assert all(uid in names or "~" in uid for uid in uids), "the id is the file's name"
    client.quit()
    closed = server.event("mailbox-closed", removed=1)
    assert closed["fetched"] == 3 and closed["end"] == "quit" and closed["login"] == TERRI


def test_pop3_trace(t):
    """The story of a message goes on until it was fetched and removed."""
    server = pop_world(t)
    deliver(server)
    client = pop(server)
    client.retr(1)
    client.dele(1)
    client.quit()
    message = server.event("delivered")["message"]
    server.event("removed-by-reader", message=message)
    story = until(lambda: (s := server.command("trace", message, code=None)) and "removed-by-reader" in s and s, "the trace")
    assert "fetched" in story and TERRI in story


def test_pop3_refusals(t):
    """Before TLS, with a wrong password, without a right: the reason id and the session id in -ERR, and the event."""
    server = pop_world(t, OURS + 'domain "away.example" { deliver = "lmtp:127.0.0.1:2400" }\n' + LISTENERS + POP3 + PEOPLE + QUICK)
    server.user("ann@away.example")

    def refusal(text, reason, *words):
        found = re.search(r"\[([a-z.-]+) (\w+)\]$", text)
        assert found and found[1] == reason, text
        assert all(w in text for w in words), text
        return server.event("refused", session=found[2], reason=reason)

    host, port = server.at("pop3")
    plain = poplib.POP3(host, port, 20)
    refusal(fails(plain.user, TERRI), "tls.required", "STLS")
    refusal(fails(plain.stat), "tls.required")
    assert "SASL" not in plain.capa() and "USER" not in plain.capa() and "STLS" in plain.capa()
    plain.quit()
    offering = poplib.POP3(*server.at("plain"), 20)
    event = refusal(fails(offering.user, TERRI), "tls.required", "STLS", "the password was not looked at")
    assert event["code"] == 538
    assert offering.capa()["SASL"] == ["SCRAM-SHA-256"], offering.capa()
    offering.quit()
    client = pop(server, user=None)
    client.user(TERRI)
    event = refusal(fails(client.pass_, "wrong"), "auth.failed", "[AUTH]", "Wrong login or password")
    assert event["login_tried"] == TERRI and event["mechanism"] == "PLAIN"
    client.user(TERRI)
    client.pass_("secret")
    refusal(fails(client.retr, 7), "message.unknown")
    refusal(fails(client.pass_, "x"), "syntax.sequence")
    client.quit()
    client = pop(server, user=None)
    client.user("ann@away.example")
    refusal(fails(client.pass_, "secret"), "mailbox.not-here", "[SYS/PERM]", "away.example", "another server")
    assert "logged" not in fails(client.stat)
    client.quit()
    server.command("user", "disable", TERRI)
    client = pop(server, user=None)
    client.user(TERRI)
    assert "[AUTH]" in fails(client.pass_, "secret")
    client.cut()


def scram(client, user, password):
    """RFC 5034 with RFC 7677, without channel binding, with an initial response; checks the server's own proof too."""

    def say(line):
        client._putcmd(line)
        answer = client._getline()[0]
        if answer.startswith(b"-ERR"):
            raise poplib.error_proto(answer)
        return answer

    bare = "n={},r={}".format(user, base64.b64encode(os.urandom(18)).decode())
    answer = say("AUTH SCRAM-SHA-256 " + base64.b64encode(b"n,," + bare.encode()).decode())
    challenge = base64.b64decode(answer[2:]).decode()
    values = dict(part.split("=", 1) for part in challenge.split(","))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(values["s"]), int(values["i"]))
    final = f"c=biws,r={values['r']}"
    text = f"{bare},{challenge},{final}".encode()
    key = hmac.digest(salted, b"Client Key", "sha256")
    signature = hmac.digest(hashlib.sha256(key).digest(), text, "sha256")
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
    answer = say(base64.b64encode(f"{final},p={proof}".encode()).decode())
    assert answer.startswith(b"+ "), answer
    server = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), text, "sha256")
    assert base64.b64decode(answer[2:]).decode() == "v=" + base64.b64encode(server).decode()
    assert say("").startswith(b"+OK")


def test_pop3_mechanisms(t):
    """By curl and by hand; implicit TLS and STLS."""
    curl = tool("curl")
    server = pop_world(t)
    deliver(server, 2)
    for listener, scheme in (("pop3s", "pop3s"), ("pop3", "pop3")):
        for mechanism in ("PLAIN", "LOGIN"):
            host, port = server.at(listener)
            done = subprocess.run([curl, "-sS", "-k", "--ssl-reqd", "--login-options", f"AUTH={mechanism}", "-u", f"{TERRI}:secret",
                                   f"{scheme}://{host}:{port}/2"], text=True, capture_output=True, timeout=30)
            assert done.returncode == 0 and "Subject: number 1" in done.stdout, (listener, mechanism, done)
        client = pop(server, listener, user=None)
        scram(client, TERRI, "secret")
        assert client.stat()[0] == 2
        client.quit()
        client = pop(server, listener, user=None)
        assert "[AUTH]" in fails(scram, client, TERRI, "wrong")
        scram(client, TERRI, "secret")
        client.quit()
    seen = {e["mechanism"] for e in server.events("authenticated")}
    assert {"PLAIN", "LOGIN", "SCRAM-SHA-256"} <= seen, seen
    assert server.event("mailbox-closed", fetched=1)


def test_pop3_fetchmail(t):
    """fetchmail empties the mailbox: each message once."""
    fetchmail = tool("fetchmail")
    server = pop_world(t)
    deliver(server, 20)
    host, port = server.at("pop3")
    out = t.folder / "fetched"
    rc = t.folder / "fetchmailrc"
    rc.write_text(f'poll {host} service {port} proto pop3 auth password user "{TERRI}" password "secret" '
                  f'sslproto "TLS1.2+" no sslcertck no keep mda "cat >> {out}; echo >> {out}"\n')
    rc.chmod(0o600)
    done = subprocess.run([fetchmail, "-f", rc, "-i", t.folder / "ids", "--pidfile", t.folder / "pid"], text=True,
                          capture_output=True, timeout=60, env=dict(os.environ, HOME=str(t.folder)))
    assert done.returncode == 0, done
    numbers = sorted(int(n) for n in re.findall(r"^Subject: number (\d+)", out.read_text(), re.M))
    assert numbers == list(range(20)), numbers
    assert not everything(server, TERRI)


# --- neither lost nor doubled ---------------------------------------------------------------


def test_pop3_two_clients(t):
    """Whoever comes second is told to wait, on whichever worker; together they fetch each message once."""
    server = pop_world(t, workers=3)
    deliver(server, 12)
    first = pop(server)
    for _ in range(6):
        second = pop(server, user=None)
        second.user(TERRI)
        assert "[IN-USE]" in fails(second.pass_, "secret")
        assert "Log in first" in fails(second.stat)
        second.quit()
    other = pop(server, user="ceo@proseware.com")
    assert other.stat()[0] == 0
    other.quit()
    got = [first.retr(i)[1] for i in (1, 2, 3)]
    for i in (1, 2, 3):
        first.dele(i)
    first.quit()
    second = pop(server)
    got += [second.retr(i + 1)[1] for i in range(second.stat()[0])]
    second.quit()
    subjects = [line for lines in got for line in lines if line.startswith(b"Subject: number")]
    assert len(subjects) == len(set(subjects)) == 12, subjects


def raw(server, source=None):
    host, port = server.at("pop3s")
    sock = socket.create_connection((host, port), 20, source_address=(source, 0) if source else None)
    return trusting().wrap_socket(sock, server_hostname="mail.proseware.com")


def test_pop3_cut(t):
    """A connection that is cut at any octet of what the client says removes nothing, or with QUIT said whole all that
    was marked; the next session has the mailbox at once."""
    server = pop_world(t)
    deliver(server, 3)
    talk = f"USER {TERRI}\r\nPASS secret\r\nRETR 1\r\nDELE 1\r\nDELE 3\r\nQUIT\r\n".encode()
    steps = [0, 5, len(talk) - 30] + list(range(len(talk) - 22, len(talk)))
    for cut in steps:
        sock = raw(server)
        sock.sendall(talk[:cut])
        sock.close()
        assert len(everything(server, TERRI)) == 3, cut
    until(lambda: len(server.events("mailbox-closed")) >= len(server.events("mailbox-opened")), "all over")

    def log_in():
        try:
            return pop(server)
        except poplib.error_proto:
            return None

    client = until(log_in, "the lock is given back")
    assert client.stat()[0] == 3
    client.cut()
    until(log_in, "the lock is given back").quit()
    sock = raw(server)
    sock.sendall(talk)
    answers = b""
    while more := sock.recv(65536):
        answers += more
    assert b"messages left: 1" in answers, answers
    assert len(everything(server, TERRI)) == 1


def test_pop3_cut_while_sending(t):
    """A client that vanishes while a large message is on its way."""
    server = pop_world(t)
    deliver(server, 1, text="x" * 70 + "\n" + ("y" * 75 + "\n") * 40000)
    for take in (1, 1000, 100000, 1000000):
        sock = raw(server)
        sock.sendall(f"USER {TERRI}\r\nPASS secret\r\nRETR 1\r\nDELE 1\r\n".encode())
        got = 0
        while got < take:
            got += len(sock.recv(65536))
        sock.close()
        until(lambda: len(server.events("mailbox-opened")) == len(server.events("mailbox-closed")), "noticed")
    assert len(everything(server, TERRI)) == 1
    client = pop(server)
    assert len(b"\r\n".join(client.retr(1)[1])) > 3000000
    client.quit()


def test_pop3_killed_worker(t):
    """A worker that dies in mid session gives the mailbox back and has removed nothing; what it had delivered and perhaps
    not yet written down is not delivered twice."""
    server = pop_world(t)
    server.crashes_expected = True
    deliver(server, 3)
    client = pop(server)
    client.retr(1)
    client.dele(1)
    client.dele(2)
    for worker in server.children_of("worker"):
        os.kill(worker, signal.SIGKILL)
    client.cut()

    def again():
        try:
            return pop(server)
        except (OSError, poplib.error_proto):
            return None

    client = until(again, "the mailbox is free again", 40)
    assert client.stat()[0] == 3
    client.quit()


def test_pop3_meanwhile(t):
    """Deliveries, and another reader that moves and flags what it has seen: the session's list stands still, nothing is
    lost, and what is marked goes under whatever name it has now."""
    server = pop_world(t)
    deliver(server, 4)
    client = pop(server)
    uids = [line.split()[1] for line in client.uidl()[1]]
    deliver(server, 2)
    assert client.stat()[0] == 4
    files = everything(server, TERRI)
    by_id = {f.name.split(":")[0]: f for f in files}
    seen = sorted(by_id)[:4]
    cur = server.state / "mail/proseware.com/terri/cur"
    by_id[seen[0]].rename(cur / (seen[0] + ":2,S"))
    by_id[seen[1]].rename(cur / (seen[1] + ":2,FRS"))
    by_id[seen[2]].unlink()  # another program deletes it
    for i in (1, 2):
        assert any(line.startswith(b"Subject: number") for line in client.retr(i)[1])
    assert "[SYS/TEMP]" in fails(client.retr, 3)
    client.dele(1)
    client.dele(3)
    client.quit()
    client = pop(server)
    left = [line.split()[1] for line in client.uidl()[1]]
    assert client.stat()[0] == 4 and left[:2] == [uids[1], uids[3]], (uids, left)
    client.quit()


def test_pop3_racing(t):
    """Many clients at once, deliveries all the while: each message is fetched exactly once."""


    server = pop_world(t, workers=3)
    got, lock, done = [], threading.Lock(), threading.Event()

    def fetch():
        while not done.is_set():
            try:
                client = pop(server)
            except poplib.error_proto as refusal:
                assert b"[IN-USE]" in refusal.args[0], refusal
                continue
            mine = client.messages()
            for i in range(len(mine)):
                client.dele(i + 1)
            client.quit()
            with lock:
                got.extend(mine)

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    c = server.session().ehlo()
    for i in range(60):
        c.mail("x@adatum.com")
        c.rcpt(TERRI)
        c.data(letter("x@adatum.com", TERRI, subject=f"number {i}"))
    c.close()
    try:
        until(lambda: len(got) >= 60, "all fetched", 40)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    numbers = sorted(int(re.search(rb"^Subject: number (\d+)", m, re.M)[1]) for m in got)
    assert numbers == list(range(60)), numbers


# --- hostile, and the life of a server ------------------------------------------------------


def test_pop3_hostile(t):
    """Junk, endless lines, clients that say nothing or octets one by one: refused in bounds, and others go on."""
    server = pop_world(t)
    deliver(server)
    for junk in (os.urandom(20000), b"\x00" * 5000, b"USER " + b"a" * 100000 + b"\r\n", b"A" * 300000, b"\r\n" * 500,
                 b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"USER x\nPASS y\n" * 100,
                 b"AUTH PLAIN " + b"QUFB" * 5000 + b"\r\n", b"AUTH LOGIN\r\n*\r\n" * 30):
        sock = socket.create_connection(server.at("plain"), 20)
        try:
            sock.sendall(junk)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
        except OSError:
            pass
        sock.close()
    host, port = server.at("pop3")
    sock = socket.create_connection((host, port), 20)
    for octet in b"CAPA\r\nQUIT\r\n":
        sock.sendall(bytes([octet]))
    text = b""
    while more := sock.recv(65536):
        text += more
    assert b"STLS" in text and b"closing" in text, text
    client = pop(server)
    assert client.stat()[0] == 1
    client.quit()
    assert server.event("refused", reason="tls.wrong-port")["listener"] == "plain"


def test_pop3_wrong_passwords(t):
    """They are answered slower and slower, and then the session ends; another client is not held up."""
    server = pop_world(t)
    client = pop(server, user=None, source="127.0.77.1")
    began, ended = time.monotonic(), False
    for _ in range(30):
        try:
            client.user(TERRI)
            client.pass_("wrong")
        except poplib.error_proto as refusal:
            ended = b"Too many failed logins" in refusal.args[0] or refusal.args[0] == "-ERR EOF"
        except OSError:
            ended = True
        if ended:
            break
    assert ended and time.monotonic() - began > 0.5
    quick = time.monotonic()
    pop(server, source="127.0.78.1", user="ceo@proseware.com").quit()
    assert time.monotonic() - quick < 5


def test_pop3_bounds(t):
    """Connections of one client, whatever the service; silence."""
    server = pop_world(t, OURS + LISTENERS + PEOPLE + QUICK + """
listener "pop3s" { bind = {"127.0.0.1:0"}  service = pop3  tls = implicit  max_connections_per_client = 3 }
listener "short" { bind = {"127.0.0.1:0"}  service = pop3  tls = offer  idle_timeout = 2s }
""")
    held = [pop(server, user=None, source="127.0.77.2") for _ in range(3)]
    refusal = fails(lambda: pop(server, user=None, source="127.0.77.2"))
    assert "limit.connections" in refusal and "[SYS/TEMP]" in refusal, refusal
    pop(server, user=None, source="127.0.77.3").quit()
    held[0].quit()
    until(lambda: pop(server, user=None, source="127.0.77.2"), "room again")
    sock = socket.create_connection(server.at("short"), 20)
    assert sock.recv(1000).startswith(b"+OK")
    assert sock.recv(1000) == b"", "RFC 1939: without a word"
    server.event("refused", reason="limit.idle")


def test_pop3_backends_down(t):
    """Case 27: keeper and directory that are down are a fault of ours: [SYS/TEMP], never a wrong password."""
    server = pop_world(t)
    server.crashes_expected = True
    for keeper in server.children_of("keeper"):
        os.kill(keeper, signal.SIGSTOP)
        try:
            client = pop(server, user=None)
            client.user(TERRI)
            refusal = fails(client.pass_, "secret")
        finally:
            os.kill(keeper, signal.SIGCONT)
        assert "[SYS/TEMP]" in refusal and "backend.auth" in refusal, refusal
        client.cut()
    directory = next(server.state.rglob("directory.db"))
    away = directory.with_name("away")
    directory.rename(away)
    try:
        client = pop(server, user=None)
        client.user("ceo@proseware.com")
        refusal = fails(client.pass_, "secret")
    finally:
        away.rename(directory)
    assert "Log in first" in fails(client.stat)
    assert "[SYS/TEMP]" in refusal and "backend.directory" in refusal, refusal


def test_pop3_stop_and_reload(t):
    """A reload leaves sessions alone; a stop ends them in order, without removing anything."""
    server = pop_world(t)
    deliver(server, 2)
    client = pop(server)
    client.dele(1)
    assert server.reload(server.text + '\nlistener "more" { bind = {"127.0.0.1:0"}  service = pop3 }\n')["event"] == "reloaded"
    assert client.stat()[0] == 1
    assert server.stop() == 0
    try:
        while client.file.readline():
            pass
    except OSError:
        pass
    assert len(everything(server, TERRI)) == 2
    server.start()
    client = pop(server)
    assert client.stat()[0] == 2
    client.dele(1)
    client.quit()
    assert len(everything(server, TERRI)) == 1
