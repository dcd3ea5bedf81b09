"""What an administrator types: queue, user and alias, send and sendmail, trace, check, why; with the server running and,
where that makes sense, stopped."""
import json
import os
import pwd
import re
import shutil
import subprocess

from harness import need_root, options, until
from test_outbound import hand_in, ndr
from world import *

PATIENT = CASES.replace(QUICK, 'queue { retry = {"1h"} }\n')
LATER = "450 4.2.0 Come back later"
ME = pwd.getpwuid(os.getuid()).pw_name


def stuck(t):
    """A server with three messages that wait for their next attempt."""
    t.zones(ADATUM | {"contoso.com": {"MX": ["10 mx.contoso.com"]}, "mx.contoso.com": {"A": ["127.0.0.26"]}})
    server, sink = world(t, PATIENT)
    other = t.sink("127.0.0.26", replies={"RCPT": lambda *_: LATER})
    sink.replies["RCPT"] = lambda *_: LATER
    ids = [hand_in(server, "bob@adatum.com"), hand_in(server, "eve@contoso.com", "ceo@proseware.com")]
    c = server.session(source=HOME).ehlo()
    c.mail("terri@proseware.com")
    c.rcpt("bob@adatum.com")
    c.rcpt("Eve@contoso.com")
    ids.append(re.search(r"queued as (\S+)", c.data(letter("terri@proseware.com")).text)[1])
    c.quit()
    until(lambda: states(server) == {("deferred", 1)}, "all deferred")
    return server, sink, other, ids


def states(server, id=None):
    return {(r["state"], min(r["attempts"], 1)) for m in server.queue() if id in (None, m["id"]) for r in m["recipients"]}


def found(server, *words):
    return {m["id"] for m in server.json("queue", "list", *words)}


# --- queue ---


def look(server, ids):
    first, second, third = ids
    everything = {m["id"]: m for m in server.queue()}
    assert set(everything) == set(ids)
    one = everything[first]
    assert one["from"] == "terri@proseware.com" and one["size"] > 100 and re.match(r"\d{4}-\d\d-\d\dT", one["arrived"])
    recipient = one["recipients"][0]
    assert recipient["address"] == "bob@adatum.com" and recipient["reply"].endswith("Come back later"), one
    assert recipient["next"] > one["arrived"] and recipient["attempts"] == 1
    assert found(server, "--sender", "ceo@proseware.com") == {second}
    assert found(server, "--recipient", "bob@adatum.com") == {first, third}
    assert found(server, "--recipient", "eve@contoso.com") == {second, third}
    assert found(server, "--domain", "contoso.com") == {second, third}
    assert found(server, "--domain", "contoso.com", "--sender", "terri@proseware.com") == {third}
    assert found(server, "--next-hop", recipient["next_hop"]) == {first, third}
    assert found(server, "--state", "deferred") == set(ids) and found(server, "--state", "held,due") == set()
    assert found(server, "--older", "1h") == set() and found(server, "--newer", "1h") == set(ids)
    assert found(server, second) == {second}
    text = server.command("queue", "list")
    assert all(id in text for id in ids) and "3 messages" in text and "{" not in text
    shown = server.command("queue", "show", third)
    assert "bob@adatum.com" in shown and "Eve@contoso.com" in shown and "Come back later" in shown and "Message-ID" in shown
    assert "not in the queue" in server.run("queue", "show", "zzzz-9").stderr
    server.command("queue", "show", "zzzz-9", code=1)
    stats = server.json("queue", "stats")[0]
    assert (stats["messages"], stats["recipients"], stats["deferred"], stats["held"]) == (3, 4, 4, 0)
    assert re.search(r"^messages\s+3$", server.command("queue", "stats"), re.M)
    return everything


@options(seconds=120)
def test_queue_looking(t):
    server, sink, other, ids = stuck(t)
    running = look(server, ids)
    server.stop()
    assert look(server, ids) == running
    assert server.run("queue", "list", "--older", "soon").returncode == 64
    assert server.run("queue", "hold").returncode == 64, "an order needs to be told for which"
    assert "did you mean" in server.run("queue", "relaese").stderr


def steer(server, ids):
    """hold, release, remove and bounce; each is told with the operator's name."""
    first, second, third = ids
    server.command("queue", "hold", first)
    assert states(server, first) == {("held", 1)} and found(server, "--state", "held") == {first}
    server.command("queue", "hold", first, code=1)
    assert server.json("queue", "stats")[0]["held"] == 1
    server.command("queue", "release", first)
    server.command("queue", "remove", "--recipient", "eve@contoso.com", "--sender", "ceo@proseware.com")
    assert second not in found(server)
    server.command("queue", "bounce", third)
    assert third not in found(server)
    server.command("queue", "bounce", "zzzz-9", code=1)


def told(server, ids):
    for id, event in zip(ids, ("held", "removed", "bounced")):
        events = until(
            lambda: [e for e in map(json.loads, server.run("trace", id, "--json").stdout.splitlines()) if e["event"] == event],
            f"{event} in the trace of {id}",
        )
        assert all(e["operator"] == ME for e in events), events
        assert f"by operator {ME}" in server.command("trace", id)


@options(seconds=120)
def test_queue_of_many_recipients(t):
    """Messages that do not fit into a page of the answer are on the next one."""
    server, sink, other, ids = stuck(t)
    c = server.session(source=HOME).ehlo()
    for message in range(40):
        c.mail("terri@proseware.com")
        for n in range(50):
            c.rcpt(f"r{message}.{n}@adatum.com")
        ids.append(re.search(r"queued as (\S+)", c.data(letter("terri@proseware.com")).text)[1])
    c.quit()
    assert found(server) == set(ids)


def test_queue_orders_running(t):
    server, sink, other, ids = stuck(t)
    steer(server, ids)
    told(server, ids)
    report = ndr(server)
    assert "bob@adatum.com" in report and "Eve@contoso.com" in report
    assert not server.maildir("ceo@proseware.com"), "remove tells nobody"
    sink.replies.clear()
    server.command("queue", "retry", "--domain", "adatum.com")
    until(lambda: sink.messages, "relayed after retry")
    server.wait_empty()
    assert server.events("retry-ordered", message=ids[0])[0]["operator"] == ME


@options(seconds=120)
def test_queue_orders_stopped(t):
    server, sink, other, ids = stuck(t)
    server.stop()
    before = sink.connections
    steer(server, ids)
    told(server, ids)
    assert sink.connections == before and not server.maildir("terri@proseware.com"), "nothing is sent by a command"
    sink.replies.clear()
    server.start()
    report = ndr(server)
    assert "bob@adatum.com" in report and "Eve@contoso.com" in report
    server.command("queue", "retry", "--all", code=None)
    until(lambda: sink.messages, "the first message")
    server.wait_empty()
    assert len(sink.messages) == 1 and not other.messages


@options(seconds=120)
def test_queue_hold_lasts(t):
    """Held is held: over its time, a restart, and retry; released it goes."""
    server, sink, other, ids = stuck(t)
    server.command("queue", "hold", "--all")
    sink.replies.clear()
    server.kill()
    server.start()
    assert states(server) == {("held", 1)}
    server.command("queue", "release", ids[0])
    until(lambda: sink.messages, "the released one")
    assert len(sink.messages) == 1 and ids[0] not in found(server)
    assert states(server) == {("held", 1)}


# --- user, alias ---


def can_log_in(server, password, expected="235"):
    c = server.session("offering", HOTEL).ehlo().starttls().ehlo()
    c.auth_plain("terri@proseware.com", password, expected)
    return c


@options(seconds=120)
def test_users(t):
    server, _ = world(t)
    assert {u["address"] for u in server.json("user", "list")} == set(USERS)
    assert set(server.command("user", "list").split()) == set(USERS)
    shown = server.json("user", "show", "terri@proseware.com")[0]
    assert shown["kind"] == "user" and not shown["disabled"] and shown["own"] == ["terri@proseware.com"]
    can_log_in(server, "secret")
    server.command("user", "passwd", "Terri@Proseware.com", "--password-stdin", input="another\n")
    can_log_in(server, "another")
    can_log_in(server, "secret", "535")
    server.command("user", "disable", "terri@proseware.com")
    can_log_in(server, "another", "535")
    hand_in(server, "terri@proseware.com", "x@contoso.com")
    assert server.wait_maildir("terri@proseware.com"), "mail still arrives"
    server.command("user", "enable", "terri@proseware.com")
    server.command("user", "allow-sender", "terri@proseware.com", "*@sales.proseware.com")
    assert "sales.proseware.com" in server.command("user", "show", "terri@proseware.com")
    c = can_log_in(server, "another")
    c.mail("anything@sales.proseware.com")
    c.rcpt("bob@adatum.com")
    server.command("user", "deny-sender", "terri@proseware.com", "*@sales.proseware.com")
    c = can_log_in(server, "another")
    c.mail("anything@sales.proseware.com")
    c.rcpt("bob@adatum.com", "553 5.7.1")
    server.command("user", "remove", "terri@proseware.com")
    can_log_in(server, "another", "535")
    c = server.session(source=HOTEL).ehlo()
    c.mail("x@contoso.com")
    until(lambda: c.cmd("RCPT TO:<terri@proseware.com>").is_ == "550 5.1.1", "terri is unknown", 5, 0.2)
    server.command("user", "show", "terri@proseware.com", code=67)
    server.command("user", "add", "nonsense", "--password-stdin", input="x\n", code=65)
    assert "did you mean" in server.run("user", "lst").stderr
    secrets = (server.state / "keeper/secrets.db").read_bytes()
    assert b"another" not in secrets and (server.state / "keeper").stat().st_mode & 0o077 == 0


@options(seconds=120)
def test_aliases(t):
    server, sink = world(t)
    server.command("alias", "add", "sales@proseware.com", "terri@proseware.com", "ceo@proseware.com")
    server.command("alias", "add", "all@proseware.com", "sales@proseware.com", "scanner@proseware.com")
    assert {a["address"] for a in server.json("alias", "list")} == {"sales@proseware.com", "all@proseware.com"}
    assert server.json("alias", "show", "sales@proseware.com")[0]["targets"] == ["ceo@proseware.com", "terri@proseware.com"]
    id = hand_in(server, "all@proseware.com", "x@contoso.com", HOTEL)
    for user in USERS:
        assert len(server.wait_maildir(user)) == 1, user
    server.wait_empty()
    trace = until(lambda: (o := server.run("trace", id).stdout) and o.count("delivered") == 3 and o, "three deliveries in the trace")
    assert trace.count("(for all@proseware.com)") == 3, trace
    server.command("alias", "remove", "sales@proseware.com")
    server.command("alias", "show", "sales@proseware.com", code=67)
    assert "a user, not an alias" in server.run("alias", "show", "terri@proseware.com").stderr
    c = server.session(source=HOTEL).ehlo()
    c.mail("x@contoso.com")
    until(lambda: c.cmd("RCPT TO:<sales@proseware.com>").is_ == "550 5.1.1", "sales is unknown", 5, 0.2)


# --- send, sendmail ---

CRON = f"""
connector "cron" {{ local_users = {{"{ME}"}}  may_relay_to = {{"*"}}  senders = own  note = "this machine's own reports" }}
"""


def test_send(t):
    server, sink = world(t, CASES + CRON)
    server.command("send", "bob@adatum.com", input="Subject: Report\nBcc: secret@adatum.com\n\nAll is well.\n")
    message = until(lambda: sink.to("bob@adatum.com"), "relayed")[0]
    assert message.sender == f"{ME}@mail.proseware.com" and "All is well." in message.text
    assert "Bcc" not in message.text and "Message-ID:" in message.text and "Date:" in message.text
    assert f"From: <{ME}@mail.proseware.com>" in message.text
    event = server.event("accepted")
    assert event["granted_by"] == "cron", event
    server.command("send", "--header-recipients", "--name", "The \"nightly\" job",
                   input="To: carol@adatum.com, Dan <dan@adatum.com>\nBcc: eve@adatum.com\nSubject: x\n\nhello\n")
    until(lambda: sink.to("carol@adatum.com") and sink.to("dan@adatum.com") and sink.to("eve@adatum.com"), "all three")
    assert "eve@adatum.com" not in sink.to("eve@adatum.com")[0].text
    assert r'From: "The \"nightly\" job" <' in sink.to("dan@adatum.com")[0].text
    refused = server.run("send", "--from", "ceo@proseware.com", "bob@adatum.com", input="Subject: x\n\nx\n")
    assert refused.returncode == 77 and "553 5.7.1" in refused.stderr, refused
    assert server.run("send", input="x\n").returncode == 64
    assert server.run("send", "a b@adatum.com", input="x\n").returncode == 67
    server.stop()
    down = server.run("send", "bob@adatum.com", input="Subject: x\n\nx\n")
    assert down.returncode == 75 and "not running" in down.stderr, down
    assert server.queue() == []


def test_send_without_a_grant(t):
    server, _ = world(t)
    refused = server.run("send", "bob@adatum.com", input="Subject: x\n\nx\n")
    assert refused.returncode == 77 and "550 5.7.1 Unable to relay" in refused.stderr, refused
    server.command("send", "terri@proseware.com", input="Subject: for us\n\nx\n")
    assert b"for us" in server.wait_maildir("terri@proseware.com")[0]
    assert server.why(local_user=ME, to="bob@adatum.com", **{"from": f"{ME}@mail.proseware.com"})["reason"] == "relay.no-grant"


def as_sendmail(t, server, name, *words, input="", code=0):
    link = t.folder / name
    if not link.exists():
        link.symlink_to(server.binary)
    done = subprocess.run([link, *words], input=input, text=True, capture_output=True, timeout=60,
                          env=server.environment | {"POSTERN_CONFIG": str(server.file)})
    assert done.returncode == code, done
    return done.stdout + done.stderr


def test_sendmail(t):
    server, sink = world(t, CASES + CRON.replace("senders = own", "senders = any"))
    as_sendmail(t, server, "sendmail", "-t", "-oi", "-f", "ceo@proseware.com",
                input="From: <ceo@proseware.com>\nTo: bob@adatum.com\nCc: carol@adatum.com\nBcc: dan@adatum.com\nSubject: x\n\na\n.\nb\n")
    for address in ("bob@adatum.com", "carol@adatum.com", "dan@adatum.com"):
        message = until(lambda: sink.to(address), address)[0]
        assert message.sender == "ceo@proseware.com" and message.text.endswith("a\r\n.\r\nb\r\n"), message.text
        assert "dan@" not in message.text
    as_sendmail(t, server, "sendmail", "-FNightly job", "-rterri@proseware.com", "eve@adatum.com", input="Subject: y\n\nfirst\n.\nsecond\n")
    message = until(lambda: sink.to("eve@adatum.com"), "the second")[0]
    assert "first" in message.text and "second" not in message.text and message.sender == "terri@proseware.com"
    assert '"Nightly job" <terri@proseware.com>' in message.text
    sink.replies["RCPT"] = lambda *_: LATER
    as_sendmail(t, server, "sendmail", "-i", "-f", "<>", "-N", "never", "-V", "abc", "frank@adatum.com", input="Subject: z\n\nz\n")
    until(lambda: any(r["address"] == "frank@adatum.com" for m in server.queue() for r in m["recipients"]), "frank waits")
    for name, words in (("sendmail", ["-bp"]), ("mailq", [])):
        assert "frank@adatum.com" in as_sendmail(t, server, name, *words)
    as_sendmail(t, server, "newaliases")
    server.stop()
    said = as_sendmail(t, server, "sendmail", "-t", input="To: bob@adatum.com\n\nx\n", code=75)
    assert "not running" in said


def test_strangers_on_this_host(t):
    """submit.sock is open to everybody, and who hands in is known from the socket; the queue is the administrator's."""
    need_root()
    server, sink = world(t, CASES + CRON + CRON.replace("cron", "nobody").replace(ME, "nobody"), build="shipped")
    binary = t.folder / "postern"
    shutil.copy(server.binary, binary)

    def as_nobody(*words, input=""):
        head = 2 if words[0] == "queue" else 1
        line = [binary, *words[:head], "-c", server.file, *words[head:]]
        return subprocess.run(line, input=input, text=True, capture_output=True, timeout=60, user="nobody", group="nogroup", extra_groups=[])

    assert as_nobody("send", "bob@adatum.com", input="Subject: x\n\nx\n").returncode == 0
    message = until(lambda: sink.messages, "relayed")[0]
    assert message.sender == "nobody@mail.proseware.com" and server.events("accepted")[0]["granted_by"] == "nobody"
    pretended = as_nobody("send", "--from", f"{ME}@mail.proseware.com", "bob@adatum.com", input="Subject: x\n\nx\n")
    assert pretended.returncode == 77 and "553 5.7.1" in pretended.stderr, pretended
    for words in (("list",), ("hold", "--all"), ("stats",)):
        refused = as_nobody("queue", *words)
        assert refused.returncode not in (0, 1) and refused.stderr and "0 recipients" not in refused.stdout, (words, refused)


# --- trace ---


def test_trace(t):
    server, sink = world(t)
    c = server.session(source=HOME).ehlo()
    c.mail("terri@proseware.com")
    c.rcpt("bob@adatum.com")
    id = re.search(r"queued as (\S+)", c.data(letter("terri@proseware.com", message_id="<one@client.example>")).text)[1]
    c.mail("terri@contoso.com")
    session = re.search(r"(\w+)\]$", c.cmd("RCPT TO:<bob@adatum.com>").text)[1]
    c.quit()
    server.wait_empty()

    def traced(what):
        return [json.loads(line) for line in server.run("trace", what, "--json").stdout.splitlines()]

    def names(what):
        return [e["event"] for e in traced(what)]

    until(lambda: "relayed" in names(id), "the trace")
    for what in (id, "<one@client.example>", "one@client.example", "bob@adatum.com", "BOB@ADATUM.COM", "terri@proseware.com", session):
        assert {"accepted", "relayed"} <= set(names(what)), (what, names(what))
    assert "refused" in names("terri@contoso.com") and "refused" in names(session)
    events = traced(id)
    assert [e["time"] for e in events] == sorted(e["time"] for e in events)
    relayed = [e for e in events if e["event"] == "relayed"][0]
    assert relayed["host"] == "mx.adatum.com" and relayed["code"] == 250 and relayed["message"] == id
    text = server.command("trace", id)
    assert "accepted" in text and "mx.adatum.com" in text and "{" not in text
    server.stop()
    assert server.command("trace", id) == text, "the history is there without the server"
    unknown = server.run("trace", "nothing@nowhere.example")
    assert unknown.returncode == 1 and "nothing is known" in unknown.stderr and not unknown.stdout


# --- check ---


def grant(clients, note='note = "us"', more=""):
    return f'connector "wide" {{ clients = {{{clients}}}  may_relay_to = {{"*"}}  {note} {more} }}\n'


def listed(networks):
    return ", ".join(f'"{n}"' for n in networks)


OPEN = {
    "everybody": grant('"0.0.0.0/0"'),
    "everybody by IPv6": grant('"::/0"'),
    "two halves": grant('"0.0.0.0/1", "128.0.0.0/1"'),
    "halves in two connectors": grant('"0.0.0.0/1"') + grant('"128.0.0.0/1"').replace("wide", "other"),
    "halves of IPv6": grant('"::/1", "8000::/1"'),
    "64 pieces": grant(listed(f"{n * 4}.0.0.0/6" for n in range(64))),
    "64 pieces of IPv6": grant(listed(f"{n * 1024:x}::/6" for n in range(64))),
    "64 pieces in 64 connectors": "".join(
        grant(f'"{n * 4}.0.0.0/6"').replace("wide", f"piece{n}") for n in range(64)
    ),
    "all of public IPv6": grant('"2000::/3"'),
    "IPv4 mapped": grant('"::ffff:0:0/96"'),
    "all but one address": grant('"0.0.0.0/0"', more='except = {"192.0.2.1"}'),
    "host bits": grant('"192.0.2.1/24"'),
    "host bits of IPv6": grant('"2001:db8::1/32"'),
    "no note": grant('"192.0.2.0/24"', note=""),
    "an empty note": grant('"192.0.2.0/24"', note='note = ""'),
    "wide PROXY peers": 'listener "lb" { bind = {"127.0.0.1:0"}  proxy_protocol_from = {"10.0.0.0/8"} }\n',
    "wide XCLIENT peers": 'listener "lb" { bind = {"127.0.0.1:0"}  xclient_from = {"10.0.0.0/16"} }\n',
    "a wildcard domain": 'domain "*" {}\n',
}


@options(seconds=120)
def test_check_refuses_open_configurations(t):
    server = t.server(CASES, start=False)
    fine = server.run("check")
    assert fine.returncode == 0 and "Proof: closed" in fine.stdout, fine
    for name, text in OPEN.items():
        server.write(CASES + text)
        checked = server.run("check")
        assert checked.returncode == 1 and "refused" in checked.stdout, (name, checked)
        errors = [f for f in json.loads(server.run("check", "--json").stdout)["findings"] if f["severity"] == "error"]
        assert errors and all(f["text"] for f in errors), (name, errors)
        assert any(f.get("file") or f.get("place") or f.get("line") for f in errors), (name, errors)


@options(seconds=120)
def test_serve_refuses_open_configurations(t):
    server = t.server(CASES, start=False, build="shipped")
    for name, text in OPEN.items():
        server.write(CASES + text)
        server.start(ready=False)
        assert server.process.wait(20) == 78, name
    log = server.log.read_text()
    assert log.count("not started") == len(OPEN) and not server.events("ready")


@options(seconds=120)
def test_reload_refuses_open_configurations(t):
    server, sink = world(t, build="shipped")
    for name, text in OPEN.items():
        assert server.reload(CASES + text)["event"] == "reload-refused", name
    assert len(server.events("reload-refused", alarm=True)) == len(OPEN)
    c = server.session(source=HOTEL).ehlo()
    c.mail("terri@proseware.com")
    c.rcpt("bob@adatum.com", "550 5.7.1")
    assert hand_in(server), "the old one still holds"
    assert server.reload(CASES)["event"] == "reloaded"


def test_check_shows_the_matrix(t):
    server = t.server(CASES + grant('"198.18.0.0/16"', more='expires = "2020-01-31"'), start=False)
    said = server.command("check")
    assert re.search(r"office.*internet.*proseware\.com.*yes", said), said
    assert re.search(r"anyone else\s+internet, offering\s+any\s+yes\s+no \(relay\.no-grant\)", said), said
    assert "expired" in said or "is over" in said, said
    done = json.loads(server.run("check", "--json").stdout)
    assert done["proof"] == "closed" and done["verdict"] == "ok" and len(done["matrix"]) > 5
    server.write("")
    empty = server.run("check")
    assert empty.returncode == 0 and "nothing is relayed" in empty.stdout, empty


def test_errors_name_file_and_line(t):
    server = t.server('domain "proseware.com" {}\n\n# a comment\nlistenr "x" { }\n', start=False)
    checked = server.run("check")
    said = checked.stdout + checked.stderr
    line = server.file.read_text().splitlines().index('listenr "x" { }') + 1
    assert checked.returncode == 1 and f"{server.file}:{line}" in said and "listener" in said, said


# --- why ---

MATRIX = [
    # case, client, listener, login, from, to
    ("1", HOME, "internet", None, "terri@proseware.com", "ceo@proseware.com"),
    ("2", HOME, "internet", None, "terri@proseware.com", "bob@adatum.com"),
    ("2, sender of others", HOME, "internet", None, "x@contoso.com", "bob@adatum.com"),
    ("2, null sender", HOME, "internet", None, "", "bob@adatum.com"),
    ("3", WORK, "internet", None, "terri@proseware.com", "ceo@proseware.com"),
    ("4", WORK, "internet", None, "terri@proseware.com", "bob@adatum.com"),
    ("5", HOTEL, "internet", None, "terri@proseware.com", "bob@adatum.com"),
    ("5a", HOTEL, "internet", None, "terri@proseware.com", "terri@proseware.com"),
    ("6", HOTEL, "submission", "terri@proseware.com", "terri@proseware.com", "bob@adatum.com"),
    ("6, implicit TLS", HOTEL, "submissions", "terri@proseware.com", "terri@proseware.com", "bob@adatum.com"),
    ("10", HOTEL, "submission", "terri@proseware.com", "terri@contoso.com", "bob@adatum.com"),
    ("10, to ours", HOTEL, "submission", "terri@proseware.com", "terri@contoso.com", "ceo@proseware.com"),
    ("12", HOTEL, "submission", "ceo@proseware.com", "sales@proseware.com", "bob@adatum.com"),
    ("14", COPIER, "submission", None, "scanner@proseware.com", "bob@adatum.com"),
    ("14, elsewhere", HOTEL, "submission", None, "scanner@proseware.com", "bob@adatum.com"),
    ("14, port 25", COPIER, "internet", None, "scanner@proseware.com", "bob@adatum.com"),
    ("15", COPIER, "submission", None, "ceo@proseware.com", "bob@adatum.com"),
    ("15, to ours", COPIER, "submission", None, "ceo@proseware.com", "terri@proseware.com"),
    ("16", HOTEL, "submissions", None, "terri@proseware.com", "bob@adatum.com"),
    ("20", HOTEL, "internet", None, "x@contoso.com", "nobody@proseware.com"),
    ("20, postmaster", HOTEL, "internet", None, "x@contoso.com", "postmaster@proseware.com"),
    ("30, percent", HOTEL, "internet", None, "x@contoso.com", "user%adatum.com@proseware.com"),
    ("30, quoted", HOTEL, "internet", None, "x@contoso.com", '"user@adatum.com"@proseware.com'),
    ("30, source route", HOTEL, "internet", None, "x@contoso.com", "@proseware.com:user@adatum.com"),
    ("30, bang path", HOTEL, "internet", None, "x@contoso.com", "adatum.com!user@proseware.com"),
    ("30, literal", HOTEL, "internet", None, "x@contoso.com", "user@[127.0.0.1]"),
    ("a domain like ours", HOTEL, "internet", None, "x@contoso.com", "terri@proseware.com.adatum.com"),
    ("capitals", HOTEL, "internet", None, "x@contoso.com", "TERRI@PROSEWARE.COM"),
]


def asked(server, client, listener, login, sender, to, header=None):
    """What the running server answers, and whether TLS was on: the first reply that is not 2xx, else the last."""
    implicit = listener == "submissions"
    c = server.session(listener, client, tls=implicit).ehlo()
    tls = implicit
    if login:
        if not implicit:
            c.starttls().ehlo()
            tls = True
        c.auth_plain(login, "secret")
    for line in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{to}>"):
        reply = c.cmd(line)
        if reply.code != 250:
            break
    if header and reply.code == 250:
        reply = c.data(letter(header, to), "")
    c.close()
    return reply, tls


@options(seconds=120)
def test_why_agrees_with_the_server(t):
    """Same code, enhanced code, reason and words as the server gives, case by case."""
    server, _ = world(t)
    server.command("user", "allow-sender", "ceo@proseware.com", "sales@proseware.com")
    wrong = []
    for case, client, listener, login, sender, to in MATRIX:
        reply, tls = asked(server, client, listener, login, sender, to)
        to = to.rpartition(":")[2]  # a source route is no part of the address
        why = server.why(client=client, listener=listener, tls=tls or None, user=login, to=to, **{"from": sender or "<>"})
        verdict = {2: "accept", 4: "later", 5: "refuse"}[reply.code // 100]
        same = why["verdict"] == verdict
        if verdict != "accept":
            text = re.sub(r" \[[^]]*\]$", "", reply.text)
            reason = re.search(r"\[(\S+) \w+\]$", reply.text)
            same = same and f"{why['code']} {why['enhanced']}" == reply.is_ and reason and why["reason"] == reason[1]
            same = same and text == f"{why['enhanced']} {why['text']}"
        if not same:
            wrong.append(f"{case}: the server says {reply}; why says {why.get('verdict')} {why.get('code')} "
                         f"{why.get('enhanced')} {why.get('reason')} {why.get('text')}")
    assert not wrong, "\n".join(wrong)


@options(seconds=120)
def test_why_agrees_about_headers(t):
    server, _ = world(t, CASES.replace("senders = own", "senders = own  header_from = strict"))
    for header in ("terri@proseware.com", "ceo@proseware.com", "x@contoso.com"):
        who = (HOTEL, "submission", "terri@proseware.com", "terri@proseware.com", "bob@adatum.com")
        reply, tls = asked(server, *who, header=header)
        why = server.why(client=HOTEL, listener="submission", tls=tls, user=who[2], to=who[4], header_from=header, **{"from": who[3]})
        assert (why["verdict"] == "accept") == (reply.code == 250), (reply, why)
        if reply.code != 250:
            assert f"{why['code']} {why['enhanced']}" == reply.is_ and why["reason"] in reply.text, (reply, why)


def test_why_knows_mechanisms(t):
    """18 and 19: PLAIN without TLS, a mechanism that is not offered; 7: a listener without logins."""
    server, _ = world(t)
    facts = {"client": HOTEL, "user": "terri@proseware.com", "from": "terri@proseware.com", "to": "bob@adatum.com"}
    for listener, mechanism, tls, line in (
        ("offering", "PLAIN", False, "AUTH PLAIN AHRlcnJpQHByb3Nld2FyZS5jb20Ac2VjcmV0"),
        ("offering", "CRAM-MD5", True, "AUTH CRAM-MD5"),
        ("internet", "PLAIN", False, "AUTH PLAIN AHRlcnJpQHByb3Nld2FyZS5jb20Ac2VjcmV0"),
        ("submission", "PLAIN", False, "AUTH PLAIN AHRlcnJpQHByb3Nld2FyZS5jb20Ac2VjcmV0"),
    ):
        c = server.session(listener, HOTEL).ehlo()
        if tls:
            c.starttls().ehlo()
        reply = c.cmd(line)
        why = server.why(listener=listener, mechanism=mechanism, tls=tls or None, **facts)
        assert f"{why['code']} {why['enhanced']}" == reply.is_ and why["reason"] in reply.text, (listener, mechanism, reply, why)
