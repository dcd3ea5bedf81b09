"""postern relaytest: against servers that are scripted to be closed, open in one way only, or to look like what they are
not; and against real ones, closed and opened on purpose."""
import json
import re
import socket
import subprocess
import time

import victims
from harness import options, until
from peers import Peers
from sink import CLOSE, HANG
from test_outbound import certificate

SERVER, CLIENT = "127.0.0.30", "127.0.51.1"
NAME, DOMAIN = "mail.contoso.com", "contoso.com"
TO, FROM = "bob@adatum.com", "tester@fabrikam.com"
DENIED, UNKNOWN, LATER = "554 5.7.1 Relay access denied", "550 5.1.1 No such user here", "451 4.7.1 Greylisted, try again in 5 minutes"
OWN = (NAME, DOMAIN, f"[{SERVER}]", "localhost", "")


def relaytest(t, *words, server=SERVER, port=None, code=0, to=TO):
    """What it says, as JSON; asserts the exit code."""
    binary = f"{t.builds['sanitized']}/src/bin/postern"
    words = [*(("--to", to) if to else ()), "--from", FROM, "--source", CLIENT, "--pause", "0s", *words]
    line = [binary, "relaytest", server, "--json", *(("--port", str(port)) if port else ()), *words]
    if t.dns:
        line += ["--dns", t.dns.where]
    done = subprocess.run([str(w) for w in line], text=True, capture_output=True, timeout=60)
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
    assert done.returncode == code, f"exit {done.returncode}, not {code}\n{done.stdout}{done.stderr}"
    return json.loads(done.stdout) if done.stdout.startswith("{") else done.stdout + done.stderr


def ids(found):
    return {f["id"] for f in found["findings"] if not f.get("skipped")}


def accepted(found):
    return {x["id"] for x in found["tests"] if x["grade"] in ("accepted", "proven") and not x.get("control") and not x.get("harmless")}


def domain_of(recipient):
    """Of the last @, as RFC 5321 reads it; quoted @ are none."""
    local = re.sub(r'"[^"]*"|\\.', "q", recipient[recipient.find(":") + 1 :] if recipient.startswith("@") else recipient)
    return local.rpartition("@")[2] if "@" in local else ""


def closed(recipient, _):
    return UNKNOWN if domain_of(recipient) in OWN else DENIED


def catch_all(recipient, _):
    return None if domain_of(recipient) in OWN else DENIED


def hole(condition):
    """A closed server but for the recipients that meet a condition."""
    return {"RCPT": lambda recipient, sink: None if condition(recipient) else closed(recipient, sink)}


def by_sender(condition):
    """Closed, but for certain senders."""
    last = {}

    def mail(argument, _):
        last["sender"] = re.match(r"FROM:<([^>]*)>", argument)[1]

    return {"MAIL": mail, "RCPT": lambda r, s: None if domain_of(r) == "adatum.com" and condition(last["sender"]) else closed(r, s)}


def by_helo(name):
    last = {}

    def ehlo(argument, _):
        last["helo"] = argument

    return {"EHLO": ehlo, "RCPT": lambda r, s: None if domain_of(r) not in OWN and last["helo"] == name else closed(r, s)}


OPEN_IN_ONE_WAY = {
    "everything foreign": (hole(lambda r: domain_of(r) not in OWN), {"plain", "null-sender", "route-name", "helo-name"}),
    "percent hack": (hole(lambda r: "%" in r and '"' not in r and domain_of(r) == DOMAIN), {"percent-at-domain", "own-sender-percent"}),
    "percent hack at the address": (hole(lambda r: "%" in r and domain_of(r) == f"[{SERVER}]"), {"percent-at-literal"}),
    "percent hack without domain": (hole(lambda r: re.fullmatch(r"[^@\"]+%[^@]+", r)), {"percent-bare"}),
    "bang path": (hole(lambda r: re.fullmatch(r"adatum.com!\w+", r)), {"bang", "own-sender-bang"}),
    "bang path at its name": (hole(lambda r: re.fullmatch(rf"adatum.com!\w+@{NAME}", r)), {"bang-at-name"}),
    "source route": (hole(lambda r: r == f"@{NAME}:{TO}"), {"route-name"}),
    "two @": (hole(lambda r: r == f"{TO}@{DOMAIN}"), {"double-at-domain"}),
    "two @, the target last": (hole(lambda r: r == f"bob@{DOMAIN}@adatum.com"), {"double-at-target"}),
    "quoted": (hole(lambda r: r == f'"{TO}"'), {"quoted"}),
    "quoted at its name": (hole(lambda r: r == f'"{TO}"@{NAME}'), {"quoted-at-name"}),
    "escaped": (hole(lambda r: "\\@" in r), {"escaped-at"}),
    "encapsulated": (hole(lambda r: r.startswith("IMCEASMTP-bob+40adatum+2Ecom@")), {"encapsulated"}),
    "made-up SRS": (hole(lambda r: r.startswith("SRS0=")), {"srs-unsigned"}),
    "final dot": (hole(lambda r: r.endswith("adatum.com.")), {"final-dot"}),
    "localhost": (hole(lambda r: domain_of(r) == "localhost" and "%" in r and not r.startswith('"')), {"percent-at-localhost"}),
    "own sender": (by_sender(lambda s: s.endswith("@" + DOMAIN)), {"own-sender", "domain-sender"}),
    "null sender": (by_sender(lambda s: s == ""), {"null-sender"}),
    "sender without domain": (by_sender(lambda s: s and "@" not in s), {"bare-sender", "bare-postmaster-sender"}),
    "sender of its address": (by_sender(lambda s: s.endswith("]")), {"literal-sender"}),
    "sender that is the recipient": (by_sender(lambda s: s == TO), {"same-sender"}),
    "its name in EHLO": (by_helo(NAME), {"helo-name"}),
    "localhost in EHLO": (by_helo("localhost"), {"helo-localhost"}),
}


def names(sink):
    return ("--name", NAME, "--domain", DOMAIN), sink.port


@options(seconds=120)
def test_relaytest_open_in_one_way(t):
    """None missed: each way in is found, and named."""
    for what, (replies, expected) in OPEN_IN_ONE_WAY.items():
        sink = t.sink(SERVER, 0, replies=replies)
        words, port = names(sink)
        found = relaytest(t, *words, port=port, code=1)
        assert found["grade"] == "accepted" and "relaytest.accepted" in ids(found), (what, found)
        assert expected <= accepted(found), (what, expected, accepted(found))
        assert "everything" in what or len(accepted(found)) <= 8, (what, accepted(found))
        assert not [c for c in sink.commands if c.startswith(("DATA", "AUTH", "BDAT"))]
        sink.close()


def answer(text):
    return {"RCPT": lambda *_: text}


class Few:
    """421 and the end after so many commands of a connection."""

    def __init__(self, count, text):
        self.count, self.text, self.seen = count, text, {}

    def __call__(self, recipient, sink):
        self.seen[sink.connections] = self.seen.get(sink.connections, 0) + 1
        return self.text if self.seen[sink.connections] > self.count else closed(recipient, sink)


# what: (replies, exit, grade, findings that must be there)
CLOSED_BUT = {
    "closed": ({"RCPT": closed}, 0, "refused", {"relaytest.closed", "relaytest.inside"}),
    "catch-all in its own domain": ({"RCPT": catch_all}, 0, "refused", {"relaytest.catch-all", "relaytest.closed"}),
    "everything accepted": ({}, 1, "accepted", {"relaytest.accepts-all", "relaytest.inside", "relaytest.catch-all"}),
    "cannot verify": (answer("252 2.1.5 Cannot verify, will try"), 1, "accepted", {"relaytest.accepts-all"}),
    "will forward": ({"RCPT": lambda r, s: "251 Will forward" if domain_of(r) not in OWN else UNKNOWN}, 1, "accepted", {"relaytest.accepted"}),
    "denied with 4xx": (answer("454 4.7.1 Relay access denied"), 0, "refused", {"relaytest.closed"}),
    "no such user": (answer("550 5.1.1 User unknown"), 0, "refused", {"relaytest.closed"}),
    "TLS wanted, and not to be had": ({"MAIL": lambda *_: "530 5.7.0 Must issue a STARTTLS command first"}, 75, "unclear", {"relaytest.inconclusive"}),
    "login wanted": ({"MAIL": lambda *_: "530 5.7.0 Authentication required"}, 0, "refused", {"relaytest.closed"}),
    "greylisting": (answer(LATER), 75, "unclear", {"relaytest.later"}),
    "domain not found": (answer("550 5.1.2 Recipient address rejected: Domain not found"), 75, "unclear", {"relaytest.inconclusive"}),
    "listed": (answer("554 5.7.1 Service unavailable; client host [192.0.2.1] blocked using zen.example.net"), 75, "unclear",
               {"relaytest.inconclusive"}),
    "sender's domain": ({"MAIL": lambda *_: "550 5.1.8 Sender address rejected: Domain not found"}, 75, "unclear", {"relaytest.inconclusive"}),
    "its own target": ({"RCPT": lambda r, s: None if domain_of(r) == "adatum.com" else closed(r, s)}, 75, "unclear", {"relaytest.target-is-its-own"}),
    "421 after a few": ({"RCPT": Few(4, "421 4.7.0 Too many errors")}, 0, "refused", {"relaytest.closed"}),
    "refused at the greeting": ({"banner": lambda *_: "554 5.7.1 Go away"}, 69, "unclear", {"relaytest.no-conversation"}),
    "no SMTP": ({"banner": lambda *_: "SSH-2.0-OpenSSH_9.2"}, 69, "unclear", {"relaytest.no-conversation"}),
    "no EHLO": ({"EHLO": lambda *_: "500 What?", "HELO": lambda *_: "500 What?"}, 69, "unclear", {"relaytest.no-conversation"}),
    "RSET refused": ({"RCPT": closed, "RSET": lambda *_: "500 What?"}, 0, "refused", {"relaytest.closed"}),
    "terminal escapes": (answer("554 5.7.1 \x1b[31mRelay\x07 access denied"), 0, "refused", {"relaytest.closed"}),
}


@options(seconds=120)
def test_relaytest_false_alarms(t):
    for what, (replies, code, grade, findings) in CLOSED_BUT.items():
        sink = t.sink(SERVER, 0, replies=replies)
        words, port = names(sink)
        found = relaytest(t, *words, "--connections", "90", port=port, code=code)
        assert found["grade"] == grade and findings <= ids(found), (what, found)
        assert found["from_address"] == CLIENT and found["host"] == SERVER, found
        assert "\x1b" not in json.dumps(found)
        sink.close()


def test_relaytest_hostile(t):
    """Ends in time, whatever the server does, and takes no silence for an answer."""
    hostile = {
        "hangs at RCPT": {"RCPT": lambda *_: HANG},
        "hangs at MAIL": {"MAIL": lambda *_: HANG},
        "closes at RCPT": {"RCPT": lambda *_: CLOSE},
        "closes at MAIL": {"MAIL": lambda *_: CLOSE},
        "closes at EHLO": {"EHLO": lambda *_: CLOSE, "HELO": lambda *_: CLOSE},
        "answers with 1 MB": {"RCPT": lambda *_: "550 " + "x" * 1000000},
        "answers without end": {"RCPT": lambda *_: "550-again\r\n" * 5000 + "550 end"},
        "hangs at once": {"banner": lambda *_: HANG},
        "shows another class": {"RCPT": lambda *_: "354 Go on"},
    }
    for what, replies in hostile.items():
        sink = t.sink(SERVER, 0, replies=replies)
        words, port = names(sink)
        began = time.monotonic()
        code = 69 if "EHLO" in what or "once" in what else 75
        found = relaytest(t, *words, "--timeout", "200ms", "--deadline", "10s", port=port, code=code)
        assert time.monotonic() - began < 12, (what, time.monotonic() - began)
        assert found["grade"] == "unclear" and ids(found) & {"relaytest.untried", "relaytest.no-conversation"}, (what, found)
        sink.close()


def test_relaytest_tls(t):
    """STARTTLS where it is offered, whatever the certificate; a server that wants it first is tested under it."""
    sink = t.sink(SERVER, 0, certificate=certificate(t, NAME), replies={"RCPT": closed}, logins={})
    words, port = names(sink)
    found = relaytest(t, *words, port=port)
    assert "relaytest.closed" in ids(found)
    assert "STARTTLS" in sink.commands and not [c for c in sink.commands if c.startswith("AUTH")]
    broken = t.sink(SERVER, 0, certificate=certificate(t, NAME), replies={"RCPT": closed, "STARTTLS": lambda *_: "454 4.7.0 TLS not available"})
    assert {"relaytest.without-tls", "relaytest.closed"} <= ids(relaytest(t, *words, port=broken.port))
    sink.commands.clear()
    relaytest(t, *words, "--no-tls", port=port)
    assert "STARTTLS" not in sink.commands


# --- proof -----------------------------------------------------------------------------------------------------------------


def maildir(t):
    folder = t.folder / "Maildir"
    for name in ("new", "cur", "tmp"):
        (folder / name).mkdir(parents=True)
    return folder


def deliver_to(folder, wrap=b"%s"):
    """What the sink does with a message: a file in new/."""
    count = iter(range(1000))

    def end(message, _):
        (folder / "new" / f"{next(count)}.example").write_bytes(b"Return-Path: <x@example.org>\n" + wrap % message.data.replace(b"\r\n", b"\n"))

    return end


def tested(t, replies, *words, code=1):
    sink = t.sink(SERVER, 0, replies={"RCPT": lambda r, s: None if r == TO else closed(r, s), **replies})
    more, port = names(sink)
    return sink, relaytest(t, *more, "--send-to", TO, *words, port=port, to=None, code=code)


def test_relaytest_proven(t):
    folder = maildir(t)
    (folder / "new" / "old").write_text("Subject: was there before\n\n")
    foreign = {"RCPT": lambda r, s: None if domain_of(r) not in OWN else UNKNOWN}
    sink, found = tested(t, {**foreign, "END": deliver_to(folder)}, "--seen-in", folder, "--messages", "5")
    assert found["grade"] == "proven" and "relaytest.open" in ids(found), found
    assert len(sink.messages) == 5 and len({m.message_id for m in sink.messages}) == 5
    seen = [x for x in found["tests"] if x["grade"] == "proven"]
    assert len(seen) == 5 and all(x["message"] == "seen" for x in seen), seen


def test_relaytest_not_proven(t):
    foreign = {"RCPT": lambda r, s: None if domain_of(r) not in OWN else UNKNOWN}
    # Accepted at RCPT, refused at DATA, or after it: closed, as it turns out.
    for step in ("DATA", "END"):
        sink, found = tested(t, {**foreign, step: lambda *_: DENIED}, "--messages", "100", code=0)
        assert found["grade"] == "refused" and "relaytest.refused-at-data" in ids(found), (step, found)
        sink.close()
    # Accepted and dropped.
    sink, found = tested(t, foreign, "--seen-in", maildir(t), "--wait", "600ms", "--messages", "2")
    assert found["grade"] == "accepted" and "relaytest.not-seen" in ids(found), found
    sink.close()
    # Accepted, and the connection closed in place of an answer: sent once, and looked for.
    sink, found = tested(t, {**foreign, "END": lambda *_: CLOSE}, "--seen-in", t.folder / "Maildir", "--wait", "600ms", "--messages", "2")
    assert "relaytest.not-seen" in ids(found) and len([x for x in found["tests"] if x.get("message") == "sent"]) == 2, found
    sink.close()
    # Accepted, and returned to a sender who is the tester: the notice quotes the message.
    folder = t.folder / "Maildir"
    notice = b"Subject: Undelivered Mail\n\nIt could not be delivered:\n\n%s"
    sink, found = tested(t, {**foreign, "END": deliver_to(folder, notice)}, "--seen-in", folder, "--messages", "2")
    assert found["grade"] == "accepted" and "relaytest.returned" in ids(found) and "relaytest.open" not in ids(found), found


def test_relaytest_mbox(t):
    path = t.folder / "inbox"
    path.write_text("From someone Sat Nov 28 00:00:00 2026\nSubject: old\n\nX-Postern-Relaytest: forged-1\n\n")

    def end(message, _):
        with path.open("ab") as f:
            f.write(b"From relay@example.org Sat Nov 28 00:00:00 2026\n" + message.data.replace(b"\r\n", b"\n") + b"\n")

    foreign = {"RCPT": lambda r, s: None if domain_of(r) not in OWN else UNKNOWN}
    _, found = tested(t, {**foreign, "END": end}, "--seen-in", path, "--messages", "3")
    assert found["grade"] == "proven" and len([x for x in found["tests"] if x["grade"] == "proven"]) == 3, found


def test_relaytest_listens(t):
    """As the mailbox's own server it takes the test's messages, and nothing else; and says who brought them."""
    import smtplib

    said = []

    def end(message, _):
        with smtplib.SMTP("127.0.0.77", 2525, "relay.example", 10, ("127.0.0.78", 0)) as c:
            c.ehlo()
            said.append(c.docmd("AUTH", "PLAIN AGEAYg==")[0])
            said.append(c.docmd("STARTTLS")[0])
            c.mail("x@example.org")
            said.append(c.rcpt("somebody@adatum.com")[0])
            c.rcpt(TO)
            said.append(c.data("Subject: another message\r\n\r\nhello\r\n")[0])
            c.mail("x@example.org")
            c.rcpt(TO.upper())
            said.append(c.data(message.data)[0])

    foreign = {"RCPT": lambda r, s: None if domain_of(r) not in OWN else UNKNOWN}
    _, found = tested(t, {**foreign, "END": end}, "--listen", "127.0.0.77:2525", "--messages", "2")
    assert said == [502, 502, 550, 554, 250] * 2, said
    assert found["grade"] == "proven" and {"relaytest.open", "relaytest.seen"} <= ids(found), found
    assert {x["seen_by"] for x in found["tests"] if x["grade"] == "proven"} == {"127.0.0.78"}, found
    taken = socket.create_server(("127.0.0.77", 2525))
    assert "somebody listens there already" in tested(t, foreign, "--listen", "127.0.0.77:2525", code=73)[1]
    taken.close()


def test_relaytest_wrong_words(t):
    t.zones({"adatum.com": {"MX": ["10 mx.adatum.com"]}, "mx.adatum.com": {"A": [SERVER]}, "alone.example": {"A": [SERVER]}})
    said = relaytest(t, server=SERVER, code=64)
    assert "goes to this very server" in said, said
    for words, expected in (
        (("--to", "bob"), "--to takes an address"),
        (("--send-to", TO), "leave out --to"),
        (("--listen", "127.0.0.1:0"), "give that too"),
        (("--pause", "soon"), "--pause takes a time"),
        (("--port", "0"), "a port is a number"),
        (("--tls", "--no-tls"), "not both"),
        (("--prt", "25"), "did you mean --port"),
        (("--source", "here"), "--source takes an address"),
    ):
        said = relaytest(t, *words, code=64)
        assert expected in said, (words, said)
    assert "nowhere.example" in relaytest(t, server="nowhere.example", to=None, code=68)
    assert "it is a mail domain, test its servers: mx.adatum.com" in relaytest(t, server="adatum.com", to=None, code=68)
    t.zones({"broken.example": "servfail"})
    relaytest(t, server="broken.example", to=None, code=75)
    for server in (SERVER, "localhost", "alone.example"):
        assert relaytest(t, server=server, port=9, to="x@fabrikam.com", code=69)["grade"] == "unclear"


# --- real servers --------------------------------------------------------------------------------------------------------------


def real(t, kind, *words, code, sink=True, **settings):
    """What is said of a real server with these settings, both its ports."""
    if not hasattr(t, "victim"):
        t.victim = kind(t, Peers(t))
        t.pair = victims.make_pair(t.folder, kind.name)
        if sink:
            t.sink(victims.BEHIND)
    t.victim.start(pair=t.pair, **settings)
    return relaytest(t, "--domain", DOMAIN, "--name", kind.name, *words, server=victims.ADDRESS, code=code, to=None if "--send-to" in words else TO)


def ports(found):
    return {x["port"] for x in found["tests"]}


def closed_and_catch_all(t, kind):
    found = real(t, kind, code=0)
    assert found["grade"] == "refused" and not accepted(found) and ports(found) == {25, 587}, found
    found = real(t, kind, code=0, catch_all=True)
    assert found["grade"] == "refused" and not accepted(found) and ports(found) == {25, 587}, found
    return found


def short(found):
    return [(x["id"], x["port"], x["code"], x["text"][:60], x["grade"], x.get("cause"), x.get("harmless")) for x in found["tests"] if x["id"] in OPENED or x.get("control")]


SUSPICIOUS = {"relaytest.accepted", "relaytest.accepts-all"}  # many take everybody from whom they relay for
OPENED = {"plain", "null-sender", "own-sender", "helo-name"}


def believes_senders(t, kind):
    """The commonest hole of all: it relays for whoever calls himself one of its own."""
    found = real(t, kind, code=1, by_sender=True)
    assert {"own-sender", "domain-sender"} <= accepted(found) and not {"plain", "null-sender", "helo-name"} & accepted(found), (accepted(found), short(found))


@options(seconds=120)
def test_relaytest_postfix(t):
    found = closed_and_catch_all(t, victims.Postfix)
    assert "relaytest.catch-all" in ids(found)
    found = real(t, victims.Postfix, code=1, clients="0.0.0.0/0")
    assert ids(found) & SUSPICIOUS and OPENED <= accepted(found), (ids(found), OPENED - accepted(found), short(found))
    believes_senders(t, victims.Postfix)


@options(seconds=120)
def test_relaytest_postfix_proven(t):
    """Through Postfix to the tester's own listener, which is the mail server of the mailbox."""
    found = real(t, victims.Postfix, "--send-to", TO, "--listen", f"{victims.BEHIND}:25", "--messages", "3", "--port", "25", sink=False, code=1,
                 clients="0.0.0.0/0")
    assert found["grade"] == "proven" and "relaytest.open" in ids(found), found
    assert {x["seen_by"] for x in found["tests"] if x["grade"] == "proven"} <= {"127.0.0.1", victims.BEHIND, victims.ADDRESS}, found


@options(seconds=120)
def test_relaytest_exim(t):
    found = closed_and_catch_all(t, victims.Exim)
    assert "relaytest.catch-all" in ids(found)
    believes_senders(t, victims.Exim)
    found = real(t, victims.Exim, code=1, clients="0.0.0.0/0")
    assert ids(found) & SUSPICIOUS and OPENED <= accepted(found), (ids(found), OPENED - accepted(found), short(found))


@options(seconds=120)
def test_relaytest_opensmtpd(t):
    found = closed_and_catch_all(t, victims.OpenSmtpd)
    assert "relaytest.catch-all" in ids(found)
    believes_senders(t, victims.OpenSmtpd)
    found = real(t, victims.OpenSmtpd, code=1, clients="0.0.0.0/0")
    assert ids(found) & SUSPICIOUS and OPENED <= accepted(found), (ids(found), OPENED - accepted(found), short(found))


@options(seconds=120)
def test_relaytest_dovecot(t):
    """Takes nothing without a login: there is no way to open it."""
    found = closed_and_catch_all(t, victims.Dovecot)
    assert {x["cause"] for x in found["tests"]} == {"auth-required"}, found


@options(seconds=120)
def test_relaytest_postern(t):
    found = closed_and_catch_all(t, victims.Postern)
    assert "relaytest.catch-all" in ids(found)
    # It cannot be opened to all; a network can, and then those inside see it open, and are told that they are.
    t.victim.set_up(**{**victims.GOOD, "pair": t.pair, "clients": "0.0.0.0/0"}, expected="reload-refused")
    found = real(t, victims.Postern, code=1, clients="127.0.0.0/8")
    assert "relaytest.inside" in ids(found) and ids(found) & SUSPICIOUS and OPENED <= accepted(found), found
