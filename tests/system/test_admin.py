"""The commands an administrator has, with the server running and stopped."""
import json
import os
import subprocess

from harness import Skip, need_root, options, until
from test_outbound import hand_in
from world import *

HELD_UP = {"RCPT": lambda to, sink: None if getattr(sink, "open", False) else "450 4.2.0 Come back later"}
SLOW = CASES.replace(QUICK, 'queue { retry = {"1h"} }\n')


def waiting(t, count=3, **how):
    """A server with so many messages that wait, and their ids."""
    server, sink = world(t, SLOW, **how)
    sink.replies.update(HELD_UP)
    ids = [hand_in(server, f"bob{n}@adatum.com") for n in range(count)]
    until(lambda: len(server.events("deferred")) >= count, "all deferred")
    until(lambda: all(m["recipients"][0]["state"] == "deferred" for m in server.queue()), "the queue says so")
    return server, sink, ids


def state(server, id):
    found = [m for m in server.queue() if m["id"] == id]
    return found[0]["recipients"][0]["state"] if found else None


def test_queue_list_and_show(t):
    server, sink, ids = waiting(t)
    listed = server.queue()
    assert {m["id"] for m in listed} == set(ids)
    for m in listed:
        assert m["from"] == "terri@proseware.com" and m["size"] > 100 and m["arrived"].startswith("20")
        r = m["recipients"][0]
        assert r["attempts"] == 1 and "Come back later" in r["reply"] and r["next"]
    assert [m["id"] for m in server.json("queue", "list", "--recipient", "bob1@adatum.com")] == [ids[1]]
    assert len(server.json("queue", "list", "--domain", "adatum.com")) == 3
    assert server.json("queue", "list", "--sender", "nobody@proseware.com") == []
    assert server.json("queue", "list", "--older", "1h") == [] and len(server.json("queue", "list", "--newer", "1h")) == 3
    text = server.command("queue", "show", ids[0])
    assert "bob0@adatum.com" in text and "Come back later" in text and "Message-ID" in text
    assert "3 messages" in server.command("queue", "list")
    assert server.run("queue", "show", "nothing-1").returncode == 1
    assert server.run("queue", "lst").returncode == 64
    stats = json.loads(server.command("queue", "stats", "--json"))
    assert 3 in stats.values(), stats


def test_queue_steering(t):
    server, sink, ids = waiting(t, 4)
    server.command("queue", "hold", ids[0])
    assert state(server, ids[0]) == "held"
    sink.open = True
    server.command("queue", "retry", ids[0], code=None)
    server.command("queue", "retry", ids[1])
    until(lambda: sink.to("bob1@adatum.com"), "the retried one")
    assert not sink.to("bob0@adatum.com")
    server.command("queue", "release", ids[0])
    until(lambda: sink.to("bob0@adatum.com"), "the released one")
    server.command("queue", "remove", ids[2])
    until(lambda: state(server, ids[2]) is None, "removed")
    server.command("queue", "bounce", ids[3])
    report = server.wait_maildir("terri@proseware.com")[0].decode()
    assert "bob3@adatum.com" in report and "delivery-status" in report
    server.wait_empty()
    assert not sink.to("bob2@adatum.com") and not sink.to("bob3@adatum.com")
    assert server.event("removed", message=ids[2])["operator"]
    assert server.run("queue", "remove").returncode == 64, "must not act on everything unasked"


def test_queue_while_stopped(t):
    server, sink, ids = waiting(t, 4)
    server.stop()
    assert {m["id"] for m in server.queue()} == set(ids)
    server.command("queue", "show", ids[0])
    server.command("queue", "hold", ids[0])
    server.command("queue", "remove", ids[1])
    assert state(server, ids[0]) == "held" and state(server, ids[1]) is None
    sink.open = True
    server.start()
    server.command("queue", "retry", "--all", code=None)
    until(lambda: sink.to("bob2@adatum.com") and sink.to("bob3@adatum.com"), "the others")
    assert state(server, ids[0]) == "held"
    server.command("queue", "release", "--all")
    until(lambda: sink.to("bob0@adatum.com"), "the released one")
    assert not sink.to("bob1@adatum.com")


def test_user_and_alias(t):
    server, sink = world(t, users=())
    server.user("ann@proseware.com", "one")
    assert server.run("user", "add", "ann@proseware.com", "--password-stdin", input="x\n").returncode != 0
    assert server.run("user", "add", "not an address", "--password-stdin", input="x\n").returncode != 0
    assert server.run("user", "add", "eve@proseware.com", "--password-stdin", input="").returncode != 0
    assert "ann@proseware.com" in server.command("user", "list")
    assert server.json("user", "list")
    login = lambda password: (c := server.session("submission", HOTEL).ehlo().starttls().ehlo()) and c.auth_plain("ann@proseware.com", password, "").code
    assert login("one") == 235
    server.command("user", "passwd", "ann@proseware.com", "--password-stdin", input="two\n")
    assert login("two") == 235 and login("one") == 535
    server.command("user", "disable", "ann@proseware.com")
    assert login("two") == 535
    server.command("user", "enable", "ann@proseware.com")
    assert login("two") == 235
    server.command("alias", "add", "sales@proseware.com", "ann@proseware.com", "partner@adatum.com")
    hand_in(server, "sales@proseware.com", sender="x@contoso.com", source=HOTEL)
    assert server.wait_maildir("ann@proseware.com")
    until(lambda: sink.to("partner@adatum.com"), "the alias's other target")
    assert "sales@proseware.com" in server.command("alias", "list")
    server.command("alias", "remove", "sales@proseware.com")
    server.command("user", "remove", "ann@proseware.com")
    assert login("two") == 535
    c = server.session(source=HOTEL).ehlo()
    c.mail("x@contoso.com")
    for to in ("sales@proseware.com", "ann@proseware.com"):
        until(lambda: c.cmd(f"RCPT TO:<{to}>").code == 550, f"{to} is unknown", 5, 0.5)


LOCAL = """
connector "cron" { local_users = {"root", "nobody"}  may_relay_to = {"*"}  senders = any  note = "this machine's reports" }
"""


def test_send_and_sendmail(t):
    server, sink = world(t, CASES + LOCAL)
    names = {}
    for name in ("sendmail", "mailq", "newaliases"):
        names[name] = t.folder / name
        names[name].symlink_to(server.binary)

    def sendmail(*words, input, code=0, name="sendmail"):
        line = [str(names[name]), *words]
        done = subprocess.run(line, input=input, text=True, capture_output=True, env={**server.environment, "POSTERN_CONFIG": str(server.file)})
        assert done.returncode == code, (line, done)
        return done.stdout

    done = server.run("send", "--from", "root@proseware.com", "bob@adatum.com", input="From: root@proseware.com\nSubject: s\n\nsent\n")
    assert done.returncode == 0, done
    until(lambda: sink.to("bob@adatum.com"), "postern send")
    text = sink.to("bob@adatum.com")[0].text
    assert "sent" in text and "Date:" in text and "Message-ID:" in text.replace("Message-Id", "Message-ID")
    sendmail("-t", "-i", "-f", "root@proseware.com", input="From: root@proseware.com\nTo: Carl <carl@adatum.com>\nBcc: dora@adatum.com\nSubject: t\n\n.\nafter the dot\n")
    until(lambda: sink.to("carl@adatum.com") and sink.to("dora@adatum.com"), "sendmail -t")
    message = sink.to("carl@adatum.com")[0]
    assert "after the dot" in message.text and "dora" not in message.text
    sendmail("-f", "root@proseware.com", "-oi", "-oem", "-B8BITMIME", "-F", "Root User", "eric@adatum.com", input="Subject: u\n\nno From\n")
    until(lambda: sink.to("eric@adatum.com"), "sendmail with the usual flags")
    assert "From: " in sink.to("eric@adatum.com")[0].text
    assert "empty" in sendmail("-bp", input="") and "empty" in sendmail(input="", name="mailq")
    sendmail(input="", name="newaliases")
    sendmail("-t", input="Subject: nobody\n\nx\n", code=64)
    server.stop()
    done = server.run("send", "bob@adatum.com", input="Subject: x\n\nx\n")
    assert done.returncode == 75 and "not running" in done.stderr, done


def test_send_only_for_those_named(t):
    need_root()
    server, sink = world(t, CASES + LOCAL.replace('"root", "nobody"', '"nobody"'), users=())
    done = server.run("send", "--from", "x@proseware.com", "bob@adatum.com", input="From: x@proseware.com\n\nx\n")
    assert done.returncode == 77 and "relay" in done.stderr, done
    line = [str(server.binary), "send", "-c", str(server.file), "--from", "x@proseware.com", "bob@adatum.com"]
    os.chmod(server.file, 0o644)
    done = subprocess.run(line, input="From: x@proseware.com\n\nx\n", text=True, capture_output=True, user="nobody", env=server.environment)
    assert done.returncode == 0, done
    until(lambda: sink.messages, "relayed for nobody")


def test_trace(t):
    server, sink = world(t)
    sink.replies["RCPT"] = ["450 4.2.0 Greylisted"]
    id = hand_in(server)
    until(lambda: sink.messages, "relayed")
    message_id = sink.messages[0].message_id
    for key in (id, message_id, "bob@adatum.com"):
        text = until(lambda: (o := server.run("trace", key).stdout) and "relayed" in o and o, f"the trace of {key}")
        for word in ("accepted", "deferred", "Greylisted", "relayed", "mx.adatum.com"):
            assert word in text, (key, word, text)
        steps = [e["event"] for e in server.json("trace", key) if e.get("message") == id]
        assert steps == ["accepted", "deferred", "relayed"], steps
    server.stop()
    assert "relayed" in server.command("trace", id), "also with the server stopped"
    assert server.run("trace", "no-such-thing@nowhere.example").returncode == 1


def test_as_nobody(t):
    """Started as root, the children are somebody else; commands of root still work."""
    need_root()
    server, sink = world(t, run_as="nobody")
    uids = {line: os.stat(f"/proc/{pid}").st_uid for pid, line in server.children().items()}
    assert len(uids) == 3 and all(uid == 65534 for uid in uids.values()) or len(server.children()) == 4, uids
    for pid in server.children():
        status = open(f"/proc/{pid}/status").read()
        assert "Uid:\t65534\t65534\t65534\t65534" in status and "CapEff:\t0000000000000000" in status, status
        assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status, status
    id = hand_in(server)
    until(lambda: sink.messages, "relayed")
    hand_in(server, "terri@proseware.com")
    server.wait_maildir("terri@proseware.com")
    assert "relayed" in until(lambda: (o := server.run("trace", id).stdout) and "relayed" in o and o, "the trace")
    assert (server.state / "keeper").stat().st_mode & 0o077 == 0
    assert (server.state / "spool").stat().st_mode & 0o077 == 0
    server.stop()
    server.command("queue", "list")
    server.user("late@proseware.com")
    server.start()
    server.command("user", "list")
    hand_in(server, "late@proseware.com")
    server.wait_maildir("late@proseware.com")


def test_reload(t):
    """Sessions live on across SIGHUP and use the new configuration from their next MAIL; a bad file changes nothing."""
    server, sink = world(t, OURS + LISTENERS + QUICK, users=())
    c = server.session(source=HOME).ehlo()
    c.mail("terri@proseware.com")
    c.rcpt("bob@adatum.com", "550 5.7.1")
    assert server.reload(OURS + LISTENERS + QUICK + "nonsense = 1\n")["event"] == "reload-refused"
    c.rcpt("bob@adatum.com", "550 5.7.1")
    assert server.reload(CASES)["event"] == "reloaded"
    c.want("RSET", "250")

    def now():
        c.want("RSET", "250")
        c.mail("terri@proseware.com")
        return c.cmd("RCPT TO:<bob@adatum.com>").code == 250

    until(now, "the new configuration holds in the open session", 10, 0.1)
    assert server.reload(OURS + LISTENERS + QUICK)["event"] == "reloaded"
    c.data(letter())
    until(lambda: sink.messages, "what was accepted under the old one is relayed")
    until(lambda: not now(), "the grant is gone", 10, 0.1)
    old = server.at()
    more = OURS + LISTENERS + 'listener "new" { bind = {"127.0.0.1:2527"}  tls = off  auth = off }\n' + QUICK
    assert server.reload(more)["event"] == "reloaded"
    server.listeners["new"] = ["127.0.0.1:2527"]
    until(lambda: _connects(server, "new"), "the new listener", 10, 0.1)
    assert server.session(source=HOME).ehlo().last.code == 250 and old == server.at()


def _connects(server, listener):
    try:
        return server.session(listener).last.code == 220
    except OSError:
        return False


def test_port_0_and_log_file(t):
    log = t.folder / "events.log"
    server = t.server(OURS + 'listener "a" { bind = {"127.0.0.1:0", "127.0.0.2:0"} }\n', head=f'log = "file:{log}"', log=log)
    assert len(server.listeners["a"]) == 2 and all(not a.endswith(":0") for a in server.listeners["a"])
    for index in range(2):
        import smtp_session

        assert smtp_session.Session(*server.at("a", index)).last.code == 220
    log.rename(t.folder / "events.1")
    import signal

    server.send_signal = lambda number: os.kill(pid, number)
    pid = json.loads((t.folder / "events.1").read_text().splitlines()[0])["pid"]
    server.send_signal(signal.SIGHUP)
    until(lambda: log.exists() and '"reloaded"' in log.read_text(), "the log file is opened anew")
    os.kill(pid, signal.SIGTERM)
    assert server.process.wait(30) == 0
    server.process = None
