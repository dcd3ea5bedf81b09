"""All commands that look at what strangers say, servers, name servers, mail and files, against strangers who mean
harm: nothing moves the terminal's cursor, no password comes out anywhere, memory and time are bounded, and each says
what is wrong with its command line or the network."""
import base64
import json
import os
import resource
import socket
import subprocess
import threading
import time

from failing_server import Authority, Failing
from harness import need_root, options, until
from sink import HANG
from world import *

PASSWORD = "correct-horse-7"
# A sequence of ESC and of C1 (in UTF-8 and alone), a title, a bell, a backspace, DEL, a carriage return that hides.
EVIL = "\x1b[2J\x1b]0;owned\x07\x9b31m\x08\x7f"
EVIL_WORDS = f"no {EVIL} thanks \rhidden"
COMMANDS = ("doctor", "relaytest", "blocklist", "explain", "dns")


def run(t, *words, text=None, build="sanitized", seconds=100, env=None, limit=None):
    began = time.monotonic()
    done = subprocess.run([f"{t.builds[build]}/src/bin/postern", *map(os.fsencode, map(str, words))], input=text if text is not None else b"",
                          capture_output=True, timeout=seconds, env=env, preexec_fn=limit)
    assert b"Sanitizer" not in done.stderr and b"runtime error" not in done.stderr, done.stderr.decode("latin-1")
    assert done.returncode >= 0, done
    done.seconds = time.monotonic() - began
    return done


def assert_harmless(done):
    """What a terminal shows and does nothing else with."""
    for stream in (done.stdout, done.stderr):
        text = stream.decode("utf-8")  # broken UTF-8 is harm too
        bad = {c for c in text if (ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160}
        assert not bad, (bad, done.args, text[:2000])


def commands(t):
    """Those of this build."""
    known = run(t, "--help").stdout.decode()
    return [c for c in COMMANDS if f"  {c} " in known]


# --- no escapes -----------------------------------------------------------------------------------------


def test_faces_hostile_server(t):
    """Words with escapes in every reply there is."""
    words = lambda code: f"{code}-{EVIL_WORDS}\r\n{code} {EVIL_WORDS}".replace("\rhidden", "")
    sink = t.sink("127.0.0.30", 2525, replies={"banner": words(220), "MAIL": f"250 {EVIL}", "RCPT": words(550), "AUTH": words(535)},
                  extensions=("PIPELINING", f"SIZE {EVIL}", f"X{EVIL}", f"AUTH PLAIN {EVIL}"))
    t.zones({"mail.example.com": {"A": ["127.0.0.30"]}, "example.com": {"MX": ["10 mail.example.com"]}})
    password = t.folder / "password"
    password.write_text(PASSWORD + "\n")
    for more in ((), ("--json",), ("--verbose",)):
        done = run(t, "doctor", "mail.example.com:2525", "--dns", t.dns.where, "--to", "bob@example.com", "--timeout", "5s", "--user",
                   "ann", "--password-file", password, "--allow-plain", *more)
        assert_harmless(done)
        assert done.returncode and b"thanks" in done.stdout, done
        done = run(t, "relaytest", "127.0.0.30", "--port", "2525", "--dns", t.dns.where, "--pause", "0ms", "--to", "bob@example.org", *more)
        assert_harmless(done)
    done = run(t, "explain", "--live", "--dns", t.dns.where, "550 5.7.1 Unable to relay", "--host", "mail.example.com", "--to", "bob@example.com")
    assert_harmless(done)
    assert not sink.messages


def test_faces_hostile_dns(t):
    """Names, texts and policies with escapes in them."""
    name = f"a{EVIL}b.example"
    t.zones({"example.com": {"MX": [f"10 {name}", "20 mail.example.com"], "TXT": [f"v=spf1 include:{EVIL} ?all"]},
             "mail.example.com": {"A": ["127.0.0.30"]}, "_dmarc.example.com": {"TXT": [f"v=DMARC1; p=reject; rua=mailto:{EVIL}"]},
             "2.0.0.127.mine.example": {"A": ["127.0.0.2"]}, "7.4.8.8.mine.example": {"A": ["127.0.0.2"], "TXT": [EVIL_WORDS]},
             "7.4.8.8.in-addr.arpa": {"PTR": [name]}, f"k1._domainkey.example.com": {"TXT": [f"v=DKIM1; k={EVIL}; p=AAAA"]}})
    t.sink("127.0.0.30", 25)
    for more in ((), ("--json",)):
        assert_harmless(run(t, "blocklist", "8.8.4.7", "--only", "mine.example", "--dns", t.dns.where, *more))
        assert_harmless(run(t, "blocklist", "example.com", "--mx", "--only", "dbl.spamhaus.org", "--dns", t.dns.where, *more))
        assert_harmless(run(t, "doctor", "bob@example.com", "--no-probes", "--timeout", "3s", "--dns", t.dns.where, *more))
        if "dns" in commands(t):
            assert_harmless(run(t, "dns", "example.com", "--dns", t.dns.where, *more))
        assert_harmless(run(t, "explain", "--live", "--dns", t.dns.where, "550 no", "--to", "bob@example.com", "--client", "8.8.4.7",
                            "--from", "ann@example.com", *more))


def test_faces_hostile_names_of_ours(t):
    """check --live prints what the DNS says of this host, and what servers say."""
    need_root()
    subprocess.run(["ip", "address", "add", "8.8.4.4/32", "dev", "lo"], check=True)
    t.zones({"4.4.8.8.in-addr.arpa": {"PTR": [f"a{EVIL}b.example"]}, "proseware.com": {"MX": [f"10 a{EVIL}b.example"], "TXT": [f"v=spf1 {EVIL}"]},
             "mail.proseware.com": {"A": ["8.8.4.4"]}, "2.0.0.127.zen.spamhaus.org": {"A": ["127.0.0.2"]},
             "4.4.8.8.zen.spamhaus.org": {"A": ["127.0.0.2"], "TXT": [EVIL_WORDS]}})
    t.sink("127.0.0.30", 2525, replies={"banner": f"554 {EVIL}"})
    server = t.server(OURS + 'route "out" { to = {"*"} via = {"smtp://127.0.0.30:2525"} tls = off }\n', start=False)
    for more in ((), ("--json",)):
        done = run(t, "check", "-c", server.file, "--live", *more)
        assert_harmless(done)
        assert b"zen.spamhaus.org" in done.stdout and b"it answers 554" in done.stdout, done


def bounce(words, subject):
    return ("From: MAILER-DAEMON@mail.example.com\nTo: ann@example.com\nSubject: Undelivered Mail\n"
            'Content-Type: multipart/report; boundary="b"\n\n--b\nContent-Type: text/plain; charset=x-' + EVIL + "\n\n"
            f"<bob{EVIL}@example.net>: {words}\n\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mail{EVIL}.example.com\n\n"
            f"Final-Recipient: rfc822; bob{EVIL}@example.net\nAction: failed\nStatus: 5.1.1\nRemote-MTA: dns; mx{EVIL}.example.net\n"
            f"Diagnostic-Code: smtp; 550 5.1.1 {words}\n\n--b\nContent-Type: message/rfc822\n\nFrom: ann{EVIL}@example.com\nSubject: {subject}\n"
            f"Message-ID: <{EVIL}@x>\nDate: {EVIL}\n\nx\n--b--\n").encode("latin-1")


def test_faces_hostile_mail(t):
    encoded = base64.b64encode(EVIL_WORDS.encode("latin-1")).decode()
    for subject in (EVIL_WORDS, f"=?utf-8?B?{base64.b64encode(EVIL_WORDS.encode()).decode()}?=", f"=?iso-8859-1?B?{encoded}?=", "=?utf-8?Q?=1B[2J=C2=9B=9B?="):
        for more in ((), ("--json",), ("--each",)):
            done = run(t, "explain", "-", *more, text=bounce(EVIL_WORDS.replace("\r", ""), subject))
            assert_harmless(done)
            assert b"example.net" in done.stdout
    folder = t.folder / f"mail{EVIL}"
    folder.mkdir()
    (folder / f"one{EVIL}\n").write_bytes(bounce(EVIL, EVIL))
    (folder / "two").write_bytes(bounce(EVIL, EVIL))
    for more in ((), ("--json",), ("--each",)):
        assert_harmless(run(t, "explain", folder, *more))
        assert_harmless(run(t, "explain", f"{folder}/missing", *more))
        assert_harmless(run(t, "explain", f"550 {EVIL_WORDS}", *more))
        assert_harmless(run(t, "explain", f"x{EVIL}.y", *more))
    own = t.folder / "rules"
    own.write_text(f"rule {EVIL}\n  cause nothing-{EVIL}\n", encoding="latin-1")
    assert_harmless(run(t, "explain", "--rules", own, "550 no"))
    own.write_text(f"list {EVIL}\n", encoding="latin-1")
    assert_harmless(run(t, "blocklist", "--lists", own, "--list"))
    own.write_text(f"list a.b\nname {EVIL}\nof ipv4\nmeans {EVIL}\ndelist -\ncode 127.0.0.2 {EVIL}\n", encoding="latin-1")
    for more in ((), ("--json",)):
        assert_harmless(run(t, "blocklist", "--lists", own, "--list", *more))


def test_faces_hostile_arguments(t):
    """What a script passes on may be a stranger's words."""
    t.zones({})
    for command in commands(t):
        for words in ((EVIL,), (f"--{EVIL}",), (f"--json={EVIL}",), ("--dns", EVIL, "example.com"), (f"a@{EVIL}.example",),
                      ("--timeout", EVIL, "example.com"), (f"example.com:{EVIL}",)):
            done = run(t, command, *words, *(() if "--dns" in words else ("--dns", t.dns.where)))
            assert_harmless(done)
    assert_harmless(run(t, EVIL))


# --- no passwords ----------------------------------------------------------------------------------------


def all_of(pid):
    """Command lines of a process and of all that descend from it."""
    pids, lines = [pid], []
    for one in pids:
        try:
            with open(f"/proc/{one}/cmdline", "rb") as f:
                lines.append(f.read())
            with open(f"/proc/{one}/task/{one}/children") as f:
                pids += map(int, f.read().split())
        except OSError:
            pass
    return lines


def secrets():
    plain = base64.b64encode(f"\0ann@example.com\0{PASSWORD}".encode())
    return [PASSWORD.encode(), plain, base64.b64encode(PASSWORD.encode()), PASSWORD[::-1].encode(), PASSWORD.encode().hex().encode()]


def test_faces_passwords(t):
    """However it is given: not in the process list, not in what is printed, not even when the server says it back."""
    t.zones({"mail.example.com": {"A": ["127.0.0.30"]}})
    password = t.folder / "password"
    password.write_text(PASSWORD + "\n")
    env = {**os.environ, "THE_PASSWORD": PASSWORD}
    waiting = []

    def refuse(argument, sink):
        waiting.append(argument)
        return f"535 5.7.8 {PASSWORD} is wrong, and so is {secrets()[1].decode()}"

    t.sink("127.0.0.30", 587, replies={"AUTH": refuse}, extensions=("AUTH PLAIN LOGIN",))
    words = ["doctor", "mail.example.com:587", "--dns", t.dns.where, "--user", "ann@example.com", "--allow-plain", "--timeout", "5s"]
    for how, text in ((["--password-stdin"], f"{PASSWORD}\n".encode()), (["--password-file", password], b""),
                      (["--password-env", "THE_PASSWORD"], b"")):
        for more in ([], ["--json"], ["--verbose"]):
            process = subprocess.Popen([f"{t.builds['sanitized']}/src/bin/postern", *map(str, words + how + more)], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
            before = len(waiting)
            process.stdin.write(text)
            process.stdin.flush()
            process.stdin.close()
            process.stdin = None
            until(lambda: len(waiting) > before or process.poll() is not None, "AUTH")
            seen = b"\0".join(all_of(process.pid))
            out, err = process.communicate(timeout=60)
            assert process.returncode == 28, (out, err)
            for secret in secrets():
                assert secret not in out + err + seen, (how, more, secret, out + err)
    done = run(t, *words, "-ap", PASSWORD)
    assert done.returncode == 64 and PASSWORD.encode() not in done.stdout + done.stderr, done


# --- bounded ------------------------------------------------------------------------------------------------


HEAD = b"From: MAILER-DAEMON@example.com\nTo: ann@example.com\nSubject: Undelivered Mail\nMIME-Version: 1.0\n"
DSN = HEAD + (b'Content-Type: multipart/report; boundary="b"\n\n--b\nContent-Type: message/delivery-status\n\n'
              b"Reporting-MTA: dns; mail.example.com\n\n")
SIZE = 100 * 1024 * 1024


def recipients():
    for i in range(10000000):
        yield b"Final-Recipient: rfc822; u%d@example.com\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 %d\n\n" % (i, i)


def nested():
    for i in range(10000000):
        yield b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (i, i)


def repeat(piece):
    while True:
        yield piece


BOMBS = {
    "line": (HEAD + b"\n", repeat(b"550 5.7.1 no ")),
    "header": (HEAD, repeat(b"X-A: 550 5.1.1 <bob@example.com> unknown\n")),
    "one-field": (HEAD + b"X-Failed-Recipients: ", repeat(b"bob@example.com, ")),
    "folded": (HEAD + b"Subject: ", repeat(b"=?utf-8?B?aGVsbG8=?=\n ")),
    "multiparts": (HEAD, nested()),
    "messages": (HEAD, repeat(b"Content-Type: message/rfc822\n\n" + HEAD)),
    "boundaries": (HEAD + b'Content-Type: multipart/mixed; boundary="b"\n\n', repeat(b"--b\n\n")),
    "recipients": (DSN, recipients()),
    "diagnostic": (DSN + b"Final-Recipient: rfc822; u@example.com\nAction: failed\nDiagnostic-Code: smtp; ", repeat(b"550-5.1.1 x -> ")),
    "base64": (HEAD + b"Content-Transfer-Encoding: base64\n\n", repeat(b"PGJvYkBleGFtcGxlLmNvbT46IDU1MCA1LjEuMSB1bmtub3duIHVzZXIK\n")),
    "html": (HEAD + b"Content-Type: text/html\n\n", repeat(b'<p><b>550 5.1.1</b> &lt;a@example.com&gt;<a href="')),
    "parentheses": (HEAD + b"From: ", repeat(b"(")),
    "log": (b"", repeat(b"Nov 28 06:00:00 mail postfix/smtp[123]: 4ABC: to=<bob@example.net>, relay=mx.example.net[192.0.2.1]:25, dsn=5.1.1, "
                        b"status=bounced (host mx.example.net said: 550 5.1.1 unknown)\n")),
    "zeros": (b"", repeat(b"\0" * 1000)),
}


@options(seconds=400)
def test_faces_bombs(t):
    """A hundred megabytes of each kind, in 300 MB of memory and a few seconds."""
    path = t.folder / "bomb"
    limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))
    for name, (first, pieces) in BOMBS.items():
        with open(path, "wb") as f:
            f.write(first)
            size = len(first)
            while size < SIZE:
                block = b"".join(next(pieces) for _ in range(2000))
                f.write(block)
                size += len(block)
        for words in ((path,), ("--json", path))[len(name) % 2:][:1]:
            done = run(t, "explain", *words, build="shipped", limit=limit)
            assert done.returncode in (0, 1) and done.seconds < 20, (name, done.seconds, done.stderr[-1000:])
            assert len(done.stdout) < 8 << 20, (name, len(done.stdout))
        os.unlink(path)


def test_faces_bomb_on_standard_input(t):
    """A pipe that has no end is read as far as one message goes."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))
    process = subprocess.Popen([f"{t.builds['shipped']}/src/bin/postern", "explain", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, preexec_fn=limit)
    block = b"550 5.1.1 <bob@example.com> unknown user\n" * 25000
    try:
        process.stdin.write(HEAD + b"\n")
        for _ in range(100):
            process.stdin.write(block)
        process.stdin.close()
    except BrokenPipeError:
        pass
    process.stdin = None
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and b"bob@example.com" in out, (out, err)


def test_faces_live_is_bounded(t):
    """A bounce with a thousand recipients at a thousand servers, and as many signatures: a handful of them is looked at."""
    t.zones({})
    many = "".join(f"Final-Recipient: rfc822; u@d{i}.example\nAction: failed\nStatus: 5.1.1\nRemote-MTA: dns; mx.d{i}.example\n"
                   f"Diagnostic-Code: smtp; 550 5.1.1 unknown\n\n" for i in range(1000))
    signed = "".join(f"DKIM-Signature: v=1; d=d{i}.example; s={'s' * 300}.{EVIL}; b=x\nReceived: from x\n" for i in range(1000))
    text = (DSN.decode() + many + f"\n--b\nContent-Type: message/rfc822\n\n{signed}From: ann@{'x.' * 200}example.com\n\nx\n--b--\n").encode("latin-1")
    for more in ((), ("--json",)):
        done = run(t, "explain", "--live", "--dns", t.dns.where, "-", *more, text=text)
        assert_harmless(done)
        assert done.returncode == 0 and done.seconds < 40 and len(t.dns.asked) < 2000, (done.seconds, len(t.dns.asked))
    found = json.loads(done.stdout)["live"]
    assert [f for f in found if f["id"] == "live.many"] and len(found) < 60, len(found)


# --- said in words -------------------------------------------------------------------------------------------


def test_faces_usage(t):
    """--help, a slip of the finger, nothing at all, an address that is none."""
    for command in commands(t):
        done = run(t, command, "--help")
        assert done.returncode == 0 and done.stdout.startswith(f"usage: postern {command}".encode()) and not done.stderr, done
        assert all(len(line) <= 120 for line in done.stdout.decode().splitlines()), command
        done = run(t, command, "--jsno", "example.com")
        assert done.returncode == 64 and b"--json" in done.stderr and not done.stdout, done
        done = run(t, command, "--dns")
        assert done.returncode == 64 and b"--dns" in done.stderr, done
        if command != "explain":
            done = run(t, command)
            assert done.returncode == 64 and f"postern {command} --help".encode() in done.stderr, done
            done = run(t, command, "not a name at all", "--json")
            assert done.returncode == 64 and done.stderr and not done.stdout, done
        if len(command) < 4:
            continue
        done = run(t, command[:-2] + command[-1] + command[-2])
        assert done.returncode == 64 and f"did you mean '{command}'".encode() in done.stderr, done


@options(seconds=300)
def test_faces_without_network(t):
    """No name server answers, or none is there: an answer all the same, in words, as JSON, and in time."""
    for server in ("127.0.0.1:9", "192.0.2.1"):  # refused; no route, or nobody
        for command, words, code in (("blocklist", ["192.0.2.7", "--timeout", "3"], 75), ("doctor", ["bob@example.com", "--time", "8s"], 2),
                                     ("relaytest", ["mail.example.com", "--deadline", "8s"], None), ("dns", ["example.com", "--timeout", "5s"], None),
                                     ("explain", ["--live", "550 5.7.1 Unable to relay", "--host", "mail.example.com", "--to", "bob@example.com"], 0)):
            if command not in commands(t):
                continue
            done = run(t, command, *words, "--dns", server, "--json")
            assert done.seconds < 45 and (code is None or done.returncode == code), (command, server, done)
            assert code is not None or done.returncode != 0, (command, server, done)
            for line in done.stdout.splitlines():
                json.loads(line)
            if command not in ("relaytest", "explain"):
                done = run(t, command, *words, "--dns", server)
                assert done.stdout or done.stderr, (command, server)
                assert_harmless(done)


def test_faces_hostile_zones(t):
    """Records that lead to ever more records: a bounded number of questions, and an end."""
    zones = {"bomb.example": {"TXT": ["v=spf1 " + " ".join(f"include:s{i}.bomb.example" for i in range(9)) + " -all"],
                              "MX": [f"{i} m{i}.bomb.example" for i in range(60)]},
             "loop.example": {"TXT": ["v=spf1 include:loop.example redirect=loop.example"], "MX": ["10 c0.loop.example"]},
             **{f"c{i}.loop.example": {"CNAME": [f"c{(i + 1) % 3}.loop.example"]} for i in range(3)}}
    for i in range(9):
        zones[f"s{i}.bomb.example"] = {"TXT": ["v=spf1 " + " ".join(f"include:s{j}.bomb.example" for j in range(9)) + f" mx:m{i}.bomb.example ptr ?all"]}
    for i in range(60):
        zones[f"m{i}.bomb.example"] = {"A": [f"127.0.{i}.{j}" for j in range(1, 9)], "MX": [f"{j} m{j}.bomb.example" for j in range(20)]}
    t.zones(zones)
    for domain in ("bomb.example", "loop.example"):
        asked = len(t.dns.asked)
        for words in (("dns", domain, "--timeout", "20s"), ("doctor", f"bob@{domain}", "--time", "20s", "--timeout", "2s", "--no-probes", "--all-mx"),
                      ("blocklist", domain, "--mx", "--timeout", "5s"),
                      ("explain", "--live", "550 no", "--host", f"m1.{domain}", "--to", f"bob@{domain}", "--from", f"ann@{domain}", "--client", "8.8.4.4")):
            if words[0] not in commands(t):
                continue
            done = run(t, *words, "--dns", t.dns.where)
            assert_harmless(done)
            assert done.seconds < 60 and len(done.stdout) < 1 << 20, (words, done.seconds, len(done.stdout))
        assert len(t.dns.asked) - asked < 12000, len(t.dns.asked)


@options(seconds=200)
def test_faces_hostile_conversations(t):
    """Servers that never end a banner, a line or a reply, drip, or hang: none keeps a command waiting beyond its limits."""

    def serve(port, talk):
        server = socket.create_server(("127.0.0.30", port))
        t.closers.append(server.close)

        def accept():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=guarded, args=(connection,), daemon=True).start()

        def guarded(connection):
            try:
                talk(connection)
            except OSError:
                pass
            connection.close()

        threading.Thread(target=accept, daemon=True).start()

    def endless(c):
        while True:
            c.sendall(b"220-" + b"x" * 500 + b"\r\n")

    def one_line(c):
        while True:
            c.sendall(b"220-" + b"x" * 65536)

    def drip(c):
        for _ in range(100000):
            c.sendall(b"2")
            time.sleep(0.5)

    def hang(c):
        time.sleep(100)

    def tls_garbage(c):
        c.sendall(b"220 x\r\n")
        c.recv(1000)
        c.sendall(b"250-x\r\n250 STARTTLS\r\n")
        c.recv(1000)
        c.sendall(b"220 go\r\n")
        while True:
            c.sendall(os.urandom(1000))

    t.zones({"mail.example.com": {"A": ["127.0.0.30"]}, "example.com": {"MX": ["10 mail.example.com"]}})
    for i, talk in enumerate((endless, one_line, drip, hang, tls_garbage)):
        serve(2600 + i, talk)
    limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))
    for i in range(5):
        for words in (("doctor", f"mail.example.com:{2600 + i}", "--timeout", "2s", "--time", "10s"),
                      ("relaytest", "127.0.0.30", "--port", str(2600 + i), "--timeout", "2s", "--deadline", "10s")):
            done = run(t, *words, "--dns", t.dns.where, build="shipped", limit=limit)
            assert_harmless(done)
            assert done.returncode and done.seconds < 25 and len(done.stdout) < 1 << 20, (words, done.seconds, done)
