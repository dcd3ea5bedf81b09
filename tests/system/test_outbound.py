"""relay-cases.md, 27 to 35: what becomes of mail when others refuse it or do not answer, and when we are at fault."""
import re
import socket
import sqlite3

from harness import Skip, need_root, options, until
from smtp_session import Gone
from world import *


def hand_in(server, to="bob@adatum.com", sender="terri@proseware.com", source=HOME, expected="250", more="", mail=""):
    c = server.session(source=source).ehlo()
    c.mail(sender, more=mail)
    c.rcpt(to)
    reply = c.data(letter(sender, to, more=more), expected)
    c.quit()
    found = re.search(r"queued as (\S+)", reply.text)
    return found and found[1]


def ndr(server, address="terri@proseware.com", count=1, seconds=20):
    """The last report in this mailbox, as text; and that it is a proper one."""
    report = server.wait_maildir(address, count, seconds)[-1].decode()
    head = report.split("\n\n")[0]
    assert "Return-Path: <>" in head and "multipart/report" in head and "delivery-status" in head, head
    assert "message/delivery-status" in report and "Final-Recipient: rfc822;" in report
    return report


def test_case_31_remote_denies_relaying(t):
    server, sink = world(t)
    sink.replies["RCPT"] = "550 5.7.1 Unable to relay"
    id = hand_in(server)
    report = ndr(server)
    assert "mx.adatum.com" in report and "Unable to relay" in report and "RCPT" in report
    assert "Status: 5.7.1" in report and "Diagnostic-Code: smtp; 550 5.7.1 Unable to relay" in report
    server.wait_empty()
    assert sink.connections == 1 and len(server.events("bounced", message=id)) == 1
    trace = until(lambda: (o := server.run("trace", id).stdout) and "bounced" in o and o, "the trace")
    assert "accepted" in trace and "Unable to relay" in trace
    assert len(server.maildir("terri@proseware.com")) == 1


def test_case_32_later_then_accepted(t):
    server, sink = world(t)
    sink.replies["RCPT"] = ["450 4.2.0 Greylisted, come back"]
    id = hand_in(server)
    until(lambda: sink.messages, "the second attempt")
    server.wait_empty()
    assert len(sink.messages) == 1 and len(server.events("deferred", message=id)) == 1
    assert server.events("relayed", message=id)[0]["attempt"] == 2
    assert server.maildir("terri@proseware.com") == []


def test_case_33_smarthost_refuses_the_login(t):
    login = t.folder / "login"
    login.write_text("relay-user:wrong\n")
    login.chmod(0o600)
    pair = certificate(t)
    server, _ = world(t, CASES + f"""
route "provider" {{ via = {{"smtp://127.0.0.30:2525"}}  tls = require  login = "file:{login}" }}
""")
    smarthost = t.sink("127.0.0.30", 2525, logins={"relay-user": "right"}, certificate=pair)
    id = hand_in(server)
    event = server.event("deferred", message=id)
    assert "535" in str(event) or event.get("code") == 535, event
    assert any(e.get("alarm") for e in server.events()), "no alarm"
    assert [m["recipients"][0]["state"] for m in server.queue()] == ["deferred"]
    assert not [m for m in server.maildir("terri@proseware.com")]
    smarthost.logins["relay-user"] = "wrong"
    server.command("queue", "retry", id)
    until(lambda: smarthost.messages, "relayed after the smart host changed its mind")
    assert smarthost.messages[0].session.login == "relay-user" and smarthost.messages[0].session.tls


def certificate(t, name="mail.example"):
    import subprocess

    crt, key = t.folder / "crt.pem", t.folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", crt],
                   check=True, capture_output=True)
    return str(crt), str(key)


def test_case_34_smarthost_missing_or_unreachable(t):
    server, _ = world(t, CASES + """
route "missing"     { to = {"adatum.com"}   via = {"smtp://nowhere.example:25"} }
route "unreachable" { to = {"contoso.com"}  via = {"smtp://127.0.0.99:25"} }
""")
    missing, unreachable = hand_in(server, "bob@adatum.com"), hand_in(server, "bob@contoso.com")
    for id in (missing, unreachable):
        event = server.event("deferred", message=id)
        assert event["enhanced"].startswith("4.4."), event
    assert [e for e in server.events() if e.get("alarm")], "no alarm"


def test_case_34_null_mx_loops_and_hops(t):
    t.zones({"null.example": {"MX": ["0 ."]}, "self.example": {"MX": ["10 us.example"]}, "us.example": {"A": ["127.0.0.1"]}})
    text = CASES.replace('"internet"    { bind = {"127.0.0.1:0"}', '"internet"    { bind = {"127.0.0.1:25"}')
    server, _ = world(t, text)
    cases = (("x@null.example", "5.1.10"), ("x@self.example", "5.4.6"))
    for count, (to, status) in enumerate(cases, 1):
        id = hand_in(server, to)
        event = server.event("bounced", message=id)
        assert event["enhanced"] == status, event
        assert f"Status: {status}" in ndr(server, count=count)
    hand_in(server, "terri@proseware.com", more="Received: by x\n" * 120, expected="554 5.4.6")


def test_case_34_route_to_ourselves(t):
    text = CASES.replace('"internet"    { bind = {"127.0.0.1:0"}', '"internet"    { bind = {"127.0.0.1:25"}')
    server, _ = world(t, text + 'route "loop" { to = {"adatum.com"}  via = {"smtp://127.0.0.1:25"} }\n')
    id = hand_in(server)
    assert server.event("bounced", message=id)["enhanced"] == "5.4.6"


def test_case_35_open_configuration(t):
    server, _ = world(t, users=())
    for clients in ('"0.0.0.0/0"', '"0.0.0.0/1", "128.0.0.0/1"'):
        bad = CASES + f'connector "world" {{ clients = {{{clients}}}  may_relay_to = {{"*"}}  senders = any  note = "x" }}\n'
        event = server.reload(bad)
        assert event["event"] == "reload-refused" and event["alarm"], event
        assert server.run("check").returncode != 0
        c = server.session(source=HOTEL).ehlo()
        c.mail("x@contoso.com")
        c.rcpt("bob@adatum.com", "550 5.7.1")
        c.quit()
        second = t.server(bad, start=False)
        second.start(ready=False)
        assert second.process.wait(20) == 78, "serve must not start"
        assert not second.events("ready")


def test_case_27_directory_damaged(t):
    """A directory that cannot be read is a fault of ours, for as long as it lasts."""
    server, _ = world(t)
    server.stop()
    path = server.state / "directory/directory.db"
    for extra in ("-wal", "-shm"):
        path.with_name(path.name + extra).unlink(missing_ok=True)
    path.write_bytes(b"this is no database " * 400)
    server.crashes_expected = True
    server.start()
    for to in ("terri@proseware.com", "nobody@proseware.com"):
        c = server.session(source=WORK).ehlo()
        c.mail("x@adatum.com")
        reply = c.cmd(f"RCPT TO:<{to}>")
        assert reply.is_ == "451 4.3.0", reply
    refused(server, reply, "451 4.3.0", "backend.directory")


def test_case_27_directory_removed(t):
    """Nobody is denied because the file went away under the server."""
    server, _ = world(t)
    path = server.state / "directory/directory.db"
    path.rename(path.with_name("elsewhere.db"))
    for to in ("terri@proseware.com", "ceo@proseware.com"):
        c = server.session(source=WORK).ehlo()
        c.mail("x@adatum.com")
        reply = c.cmd(f"RCPT TO:<{to}>")
        assert reply.is_.startswith(("250", "451 4.3.0")), reply


def test_case_27_secrets_missing(t):
    server, _ = world(t)
    server.stop()
    (server.state / "keeper" / "secrets.db").unlink()
    (server.state / "keeper" / "secrets.db").mkdir()
    server.crashes_expected = True
    server.start()
    c = server.session("submission", HOTEL).ehlo().starttls().ehlo()
    reply = c.auth_plain("terri@proseware.com", "secret", expected="")
    assert reply.is_ == "454 4.7.0", reply


def test_case_27_directory_locked(t):
    """A lock that somebody holds on the file delays answers, and is never a denial."""
    server, _ = world(t)
    lock = sqlite3.connect(server.state / "directory/directory.db", isolation_level=None)
    lock.execute("PRAGMA locking_mode = EXCLUSIVE")
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        pass
    c = server.session(source=WORK, timeout=60).ehlo()
    c.mail("x@adatum.com")
    for to in ("terri@proseware.com", "unknown@proseware.com", "ceo@proseware.com"):
        reply = c.cmd(f"RCPT TO:<{to}>")
        allowed = ("250", "451 4.3.0") if to != "unknown@proseware.com" else ("550 5.1.1", "451 4.3.0")
        assert reply.is_.startswith(allowed), (to, reply)
    lock.close()
    c.rcpt("terri@proseware.com")


def test_case_27_keeper_gone(t):
    server, _ = world(t)
    server.crashes_expected = True
    import os, signal

    c = server.session("submission", HOTEL).ehlo().starttls().ehlo()
    keeper = server.children_of("keeper")[0]
    os.kill(keeper, signal.SIGSTOP)
    try:
        reply = c.auth_plain("terri@proseware.com", "secret", expected="")
        assert reply.is_ == "454 4.7.0", reply
    finally:
        os.kill(keeper, signal.SIGKILL)
    until(lambda: server.children_of("keeper") not in ([], [keeper]), "a new keeper")
    c = server.session("submission", HOTEL).ehlo().starttls().ehlo()
    until(lambda: c.auth_plain("terri@proseware.com", "secret", expected="").code in (235, 503), "a login", 10, 0.2)


@options(seconds=120)
def test_case_27_dns_down(t):
    """Mail is taken; delivery waits with 4.4.3; both kinds of trouble: silence and SERVFAIL."""
    server, sink = world(t)
    t.dns.records["silent.example"] = "hang"
    t.dns.records["broken.example"] = "servfail"
    silent, broken = hand_in(server, "x@silent.example"), hand_in(server, "x@broken.example")
    assert server.event("deferred", message=broken)["enhanced"] == "4.4.3"
    assert server.event("deferred", 90, message=silent)["enhanced"] == "4.4.3"
    hand_in(server)
    until(lambda: sink.messages, "others are not held up")
    t.dns.records["silent.example"] = t.dns.records["broken.example"] = {"MX": ["10 mx.adatum.com"]}
    for id in (silent, broken):
        until(lambda: server.events("relayed", message=id), "relayed once DNS is back", 60)


def test_dns_shapes(t):
    """No MX but an A record; MX that is a CNAME; two MXes of which the first is dead; NXDOMAIN."""
    t.zones({
        "plain.example": {"A": ["127.0.0.25"]},
        "alias.example": {"CNAME": ["adatum.com"]},
        "two.example": {"MX": ["10 dead.example", "20 mx.adatum.com"]},
        "dead.example": {"A": ["127.0.0.98"]},
        "chain.example": {"MX": ["10 mxalias.example"]},
        "mxalias.example": {"CNAME": ["mx.adatum.com"]},
    })
    server, sink = world(t)
    for domain in ("plain", "alias", "two", "chain"):
        hand_in(server, f"bob@{domain}.example")
        until(lambda: sink.to(f"bob@{domain}.example"), f"relayed to {domain}.example")
    id = hand_in(server, "bob@missing.example")
    assert server.event("bounced", message=id)["enhanced"] in ("5.1.2", "5.4.4")
    assert "missing.example" in ndr(server)


def test_case_29_disk_full(t):
    """Taken until the disk is full, 452 from then on; whatever got 250 is still delivered."""
    need_root()
    import isolation

    state = t.folder / "small"
    state.mkdir()
    isolation.mount("none", state, "tmpfs", 0, "size=24m")
    text = CASES.replace(QUICK, 'queue { retry = {"1s"}  min_free = 5% }\n')
    server, sink = world(t, text, users=())
    server.stop()
    server.write(text)
    server.file.write_text(server.file.read_text().replace(str(server.state), str(state)))
    sink.replies["RCPT"] = lambda to, sink: "450 4.2.0 Later" if not getattr(sink, "open", False) else None
    server.start()
    taken, refusals = [], []
    for number in range(60):
        c = server.session(source=HOME).ehlo()
        reply = c.cmd("MAIL FROM:<terri@proseware.com>")
        if reply.code == 250:
            c.rcpt("bob@adatum.com")
            name = f"<{number}.full@client.example>"
            reply = c.data(letter("terri@proseware.com", "bob@adatum.com", body="x" * 76 + "\n" + ("y" * 76 + "\n") * 9000, message_id=name), "")
            if reply.code == 250:
                taken.append(name)
                continue
        refusals.append(reply)
        if len(refusals) == 5:
            break
    assert taken and refusals, (len(taken), refusals)
    for reply in refusals:
        assert reply.is_ in ("452 4.3.1", "451 4.3.0"), reply
    assert any(e["reason"] == "queue.full" for e in server.events("refused"))
    sink.open = True
    server.command("queue", "retry", "--all")
    until(lambda: {m.message_id for m in sink.messages} >= set(taken), f"{len(taken)} messages relayed", 40)
    until(lambda: server.session(source=HOME).ehlo().cmd("MAIL FROM:<terri@proseware.com>").code == 250, "taking mail again", 20, 0.3)


# --- loops ---


def test_own_addresses_follow_reload(t):
    """A listener that a reload adds is ourselves to the loop rule at once; one that it takes away is not."""
    with socket.socket() as free:
        free.bind(("127.0.0.9", 0))
        port = free.getsockname()[1]
    back = CASES + f'route "back" {{ to = {{"*@contoso.com"}}  via = {{"smtp://127.0.0.9:{port}"}}  tls = off }}\n'
    server = t.server(back)
    server.user("terri@proseware.com")
    message = hand_in(server, "x@contoso.com")
    until(lambda: server.events("deferred"), "nobody is there yet")
    late = f'listener "late" {{ bind = {{"127.0.0.9:{port}"}}  auth = off }}\n'
    assert server.reload(back + late)["event"] == "reloaded"
    bounced = until(lambda: server.events("bounced"), "found out that it is ourselves")[0]
    assert bounced["message"] == message and bounced["reason"] == "loop.via", bounced
    assert server.reload(back)["event"] == "reloaded"
    count = len(server.events("deferred"))
    hand_in(server, "y@contoso.com")
    until(lambda: len(server.events("deferred")) > count, "nobody is there again")
    assert len(server.events("bounced")) == 1
