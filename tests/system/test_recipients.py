"""relay-cases.md, 20 to 22, and what belongs to them: recipients known by asking the server behind (Dovecot, and one that counts),
groups that not everyone may write to, forwarding with rewritten senders, through Postfix and back."""
import threading
import time

from harness import options, until
from peers import Peers
from world import *

STRANGER = "zoe@elsewhere.example"


def probing(way, domain="contoso.com"):
    return f'domain "{domain}" {{ recipients = probe  deliver = "{way}" }}\n'


def begin(server, source=HOTEL, sender=STRANGER):
    c = server.session(source=source).ehlo()
    c.mail(sender)
    return c


def timed(c, recipient, expected):
    began = time.monotonic()
    return c.rcpt(recipient, expected), time.monotonic() - began


# --- 20: recipients = probe -----------------------------------------------------------------


def test_case_20_by_directory(t):
    server, _ = world(t)
    reply = begin(server).rcpt("nobody@proseware.com", "550 5.1.1")
    refused(server, reply, "550 5.1.1", "recipient.unknown", "nobody@proseware.com")
    agrees(server, reply, "recipient.unknown", client=HOTEL, **{"from": STRANGER}, to="nobody@proseware.com")


@options(seconds=120)
def test_case_20_by_dovecot(t):
    """Dovecot's LMTP server tells who is there, by TCP and by its unix socket, before any data; and takes the message."""
    t.zones(ADATUM)
    peers = Peers(t)
    path = peers.dovecot_lmtp()
    for way in ("lmtp:127.0.0.41:24", f"lmtp:unix:{path}"):
        server, _ = world(t, CASES + probing(way), sink=False)
        before = len(peers.mailbox("carl@contoso.com"))
        c = begin(server)
        c.rcpt("carl@contoso.com")
        c.rcpt("Dora@contoso.com")
        reply = c.rcpt("missing@contoso.com", "550 5.1.1")
        refused(server, reply, "550 5.1.1", "recipient.unknown", "missing@contoso.com")
        agrees(server, reply, "recipient.unknown", client=HOTEL, **{"from": STRANGER}, to="missing@contoso.com", probe="refuses")
        c.data(letter(STRANGER, "carl@contoso.com", body="asked before\n"))
        until(lambda: len(peers.mailbox("carl@contoso.com")) == before + 1, f"in Dovecot's mailbox by {way}")
        assert "asked before" in peers.mailbox("carl@contoso.com")[-1]
        server.wait_empty()
        assert not server.events("bounced")
        server.stop()


def counting(t, known=("anna",), port=24):
    """An LMTP server that knows a few, and counts what it is asked."""
    asked = []

    def rcpt(mailbox, sink):
        local = mailbox.partition("@")[0]
        asked.append(local)
        return None if local in known else "550 5.1.1 no such user"

    return t.sink("127.0.0.41", port, lmtp=True, replies={"RCPT": rcpt}), asked


@options(seconds=120)
def test_probe_remembers_and_outlives_the_server_behind(t):
    behind, asked = counting(t)
    server, _ = world(t, CASES + probing("lmtp:127.0.0.41:24"), workers=1)
    c = begin(server)
    for _ in range(3):
        c.rcpt("anna@contoso.com")
    assert asked == ["anna"], asked
    took = [timed(c, to, "550 5.1.1")[1] for to in ("x1@contoso.com", "x2@contoso.com", "x1@contoso.com")]
    assert asked == ["anna", "x1", "x2"], asked
    assert took[0] >= 0.9 and took[1] >= 1.9 and took[2] >= 3.9, f"wrong guesses were answered after {took} s"
    assert not behind.messages and not any(line.startswith("DATA") for line in map(str, behind.commands))

    behind.close()
    reply = c.rcpt("bob@contoso.com", "451 4.4.1")
    refused(server, reply, "451 4.4.1", "backend.probe", "try again")
    agrees(server, reply, "backend.probe", client=HOTEL, **{"from": STRANGER}, to="bob@contoso.com", probe="later")
    c.rcpt("anna@contoso.com")  # it was there
    c.rcpt("postmaster@contoso.com")
    assert server.event("probe-failed")["next_hop"] == "lmtp:127.0.0.41:24"

    again, asked = counting(t, ("anna", "bob"))
    until(lambda: c.cmd("RCPT TO:<bob@contoso.com>").code == 250, "asked again", 20, 0.5)
    c.data(letter(STRANGER, "anna@contoso.com"))
    until(lambda: again.to("anna@contoso.com") and again.to("bob@contoso.com"), "delivered")
    server.wait_empty(40)


@options(seconds=180)
def test_probe_is_no_directory_to_be_read(t):
    """After a hundred wrong guesses within an hour nothing is said to that client; others are not touched by it."""
    _, asked = counting(t)
    server, _ = world(t, CASES + probing("lmtp:127.0.0.41:24"))
    wrong = []

    def guess(number):
        c = begin(server)
        for i in range(4):
            wrong.append(c.cmd(f"RCPT TO:<g{number}-{i}@contoso.com>").is_)
        c.quit()

    threads = [threading.Thread(target=guess, args=(n,)) for n in range(25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert [w[:9] for w in wrong] == ["550 5.1.1"] * 100, wrong
    c = begin(server)
    before = len(asked)
    for to in ("anna", "g0-0", "new"):
        reply = c.rcpt(f"{to}@contoso.com", "450 4.7.1")
    refused(server, reply, "450 4.7.1", "limit.probes")
    assert len(asked) == before, "a client that is put off is asked for no more"
    c.rcpt("postmaster@contoso.com")
    c.rcpt("terri@proseware.com")
    begin(server, WORK).rcpt("anna@contoso.com")


# --- 21: groups -----------------------------------------------------------------------------


def submit(server, login, to, expected="250"):
    c = server.session("submissions", HOTEL, tls=True).ehlo()
    c.auth_plain(login, "secret")
    c.mail(login)
    reply = c.rcpt(to, expected)
    if reply.code == 250:
        c.data(letter(login, to))
    c.quit()
    return reply


@options(seconds=120)
def test_case_21(t):
    server, sink = world(t)
    group = "staff@proseware.com"
    server.command("group", "add", group, "terri@proseware.com", "scanner@proseware.com", "bob@adatum.com")
    server.command("group", "set", group, "senders", "members")
    server.command("alias", "add", "everybody@proseware.com", group)
    for sender in (STRANGER, "terri@proseware.com"):  # anybody can write that
        for to in (group, "everybody@proseware.com"):
            reply = begin(server, sender=sender).rcpt(to, "550 5.7.1")
            refused(server, reply, "550 5.7.1", "recipient.group-restricted", group, "Only members")
            agrees(server, reply, "recipient.group-restricted", client=HOTEL, **{"from": sender}, to=to)
    reply = submit(server, "ceo@proseware.com", group, "550 5.7.1")
    refused(server, reply, "550 5.7.1", "recipient.group-restricted", "you are not one of them")
    why = agrees(server, reply, "recipient.group-restricted", client=HOTEL, user="ceo@proseware.com", tls=True,
                 **{"from": "ceo@proseware.com"}, to=group)
    assert any("postern group add-member staff@proseware.com ceo@proseware.com" in str(c) for c in why["changes"]), why["changes"]

    submit(server, "terri@proseware.com", "everybody@proseware.com")
    for member in ("terri@proseware.com", "scanner@proseware.com"):
        server.wait_maildir(member)
    until(lambda: sink.to("bob@adatum.com"), "the member elsewhere")
    assert sink.messages[0].sender == "terri@proseware.com", "a sender of ours is not rewritten"

    server.command("group", "add-member", group, "ceo@proseware.com")
    submit(server, "ceo@proseware.com", group)
    server.wait_maildir("ceo@proseware.com")
    server.command("group", "remove-member", group, "ceo@proseware.com")
    submit(server, "ceo@proseware.com", group, "550 5.7.1")
    server.command("group", "set", group, "allow", "ceo@proseware.com")
    submit(server, "ceo@proseware.com", group)
    begin(server, HOME, "terri@proseware.com").rcpt(group)  # the connector's senders prove it

    # What would lead back is refused when it is set up; so is a group that takes strangers in by a forward.
    server.command("group", "add", "outer@proseware.com", group)
    assert server.run("group", "add-member", group, "outer@proseware.com").returncode != 0
    done = server.run("user", "forward", "ceo@proseware.com", group)
    assert done.returncode != 0 and "not everyone may send to" in done.stderr, done.stderr


def memory(server):
    """The most that any worker has held so far, in KiB."""
    held = [int(re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{pid}/status").read())[1]) for pid in server.children_of("worker")]
    return max(held)


def copies(server, words):
    """How often these words stand in the spool."""
    return sum(f.read_bytes().count(words) for f in (server.state / "spool").rglob("*") if f.is_file())


@options(seconds=180)
def test_group_of_ten_thousand(t):
    """One message to 10,000 members: taken in a moment, its body stored once, every member reached once, in memory that does not
    grow with body times members."""
    t.zones(ADATUM)
    gate = threading.Event()
    sink = t.sink(keep_data=False, replies={"MAIL": lambda argument, sink: "250 go on" if gate.wait(60) else None})
    server = t.server(CASES, build="shipped", workers=1)
    server.user("terri@proseware.com")
    members = [f"member{i}@adatum.com" for i in range(10000)]
    server.command("group", "add", "all@proseware.com", "--stdin", input="# all of them\n" + "\n".join(members) + "\n")
    size, before = 1 << 20, memory(server)
    text = letter("terri@proseware.com", "all@proseware.com", body="These words stand here once.\n" + ("x" * 70 + "\n") * (size // 71))
    c = begin(server, HOME, "terri@proseware.com")
    c.rcpt("all@proseware.com")
    began = time.monotonic()
    c.data(text)
    took = time.monotonic() - began
    assert copies(server, b"These words stand here once.") == 1
    gate.set()
    began = time.monotonic()
    until(lambda: sum(len(m.recipients) for m in sink.messages) >= 10000, "all members", 120, 0.1)
    done, grown = time.monotonic() - began, memory(server) - before
    got = sorted(r for m in sink.messages for r in m.recipients)
    assert got == sorted(members), "every member once"
    print(f"taken in {took:.2f} s, all delivered in {done:.1f} s in {len(sink.messages)} transactions; {grown} KiB more")
    assert took < 10, took
    assert grown < 64 << 10, f"{grown} KiB more memory"
    server.wait_empty(60)
    # As many as there may be, or none of them.
    done = server.run("group", "add", "big@proseware.com", "--stdin", input="".join(f"m{i}@adatum.com\n" for i in range(20001)))
    assert done.returncode != 0 and "20,000" in done.stderr.replace("20000", "20,000"), done.stderr
    assert server.run("group", "show", "big@proseware.com").returncode == 67
    server.command("group", "add", "big@proseware.com", "--stdin", input="".join(f"m{i}@adatum.com\n" for i in range(20000)))


# --- 22: forwarding -------------------------------------------------------------------------


DENIED = OURS + """
domain "northwind.example" {}
domain "northwind.test" {}
tenant "northwind" { domains = {"northwind.example", "northwind.test"}  external_forwarding = %s }
""" + LISTENERS + QUICK


@options(seconds=120)
def test_case_22(t):
    t.zones({"elsewhere.example": {"MX": ["10 mx.elsewhere.example"]}, "mx.elsewhere.example": {"A": ["127.0.0.26"]}})
    home = t.sink("127.0.0.26")
    anna, to = "anna@northwind.example", "anna@adatum.com"
    server, sink = world(t, DENIED % "deny", ("terri@proseware.com", anna, "anna@northwind.test"))
    for words in (("user", "forward", anna, to), ("alias", "add", "a@northwind.example", to)):
        done = server.run(*words)
        assert done.returncode == 65 and "[recipient.forwarding-denied]" in done.stderr, (words, done)
    server.command("user", "forward", anna, "anna@northwind.test")
    server.command("user", "forward", "terri@proseware.com", "terri@adatum.com")  # of no tenant: it may

    # It was set up while that was allowed, and is found at delivery.
    server.reload(DENIED % "allow")
    server.command("user", "forward", anna, to, "--keep-copy")
    server.reload(DENIED % "deny")
    c = begin(server)
    c.rcpt(anna)
    c.rcpt("terri@proseware.com")
    c.data(letter(STRANGER, anna, "case 22"))
    bounced = server.event("bounced", reason="recipient.forwarding-denied")
    assert bounced["to"] == to and bounced["original_to"] == anna, bounced
    until(lambda: home.to(STRANGER), "the sender is told")
    report = home.messages[0]
    assert report.sender == "" and anna in report.text, report.text
    assert b"case 22" in server.wait_maildir(anna)[0]
    until(lambda: sink.to("terri@adatum.com"), "what may go on goes on")
    assert not sink.to(to)
    server.wait_empty()


ZONES = {
    "proseware.com": {"MX": ["10 mail.proseware.com"]}, "mail.proseware.com": {"A": ["127.0.0.43"]},
    "elsewhere.example": {"MX": ["10 mx.elsewhere.example"]}, "mx.elsewhere.example": {"A": ["127.0.0.26"]},
    "contoso.com": {"MX": ["10 mx.contoso.com"]}, "mx.contoso.com": {"A": ["127.0.0.27"]},
}


@options(seconds=180)
def test_forward_to_postfix_and_its_bounce_back(t):
    """Terri's mail goes on to Postfix, which cannot deliver it and writes a bounce: to the rewritten sender, which is ours; we send
    it on to the first one."""
    there = {**ZONES, "adatum.com": {"MX": ["10 mx.adatum.com"]}, "mx.adatum.com": {"A": ["127.0.0.42"]}}
    t.zones(there)
    peers = Peers(t)
    home = t.sink("127.0.0.26")
    t.sink("127.0.0.27", replies={"RCPT": "550 5.1.1 nobody of that name"})
    peers.postfix("virtual_alias_domains = adatum.com\nvirtual_alias_maps = inline:{terri@adatum.com=gone@contoso.com}\nsmtp_dns_support_level = enabled\n"
                  "relayhost = [127.0.0.43]\ntransport_maps = inline:{contoso.com=smtp:[127.0.0.27]}\n", "127.0.0.42")
    text = CASES.replace('bind = {"127.0.0.1:0"}  tls = offer     auth = off', 'bind = {"127.0.0.43:25"}  tls = offer     auth = off', 1)
    server, _ = world(t, text, sink=False)
    t.zones(there)
    server.command("user", "forward", "terri@proseware.com", "terri@adatum.com")
    c = begin(server)
    c.rcpt("terri@proseware.com")
    c.data(letter(STRANGER, "terri@proseware.com", "round trip"))
    until(lambda: home.to(STRANGER), "Postfix's bounce, unrolled", 60)
    report = home.messages[0]
    assert report.sender == "" and "mx.adatum.com" in report.text and "gone@contoso.com" in report.text, report.text
    assert "round trip" in report.text and len(home.messages) == 1
    log = (peers.folder / "var/log/postfix.log").read_text()
    rewritten = re.search(r"from=<(SRS0=\S+=elsewhere\.example=zoe@proseware\.com)>", log)[1]
    assert server.events("accepted", listener="internet", **{"from": "<>"})

    # Nobody else makes use of it: not with a sender, not changed, and not for another address.
    refused(server, begin(server).rcpt(rewritten, "550 5.7.1"), "550 5.7.1", "recipient.srs-sender")
    c = begin(server, sender="")
    c.rcpt(rewritten)
    c.rcpt(rewritten.lower())  # some change that
    for forged in (rewritten.replace("=zoe@", "=joe@"), rewritten.replace("elsewhere", "elsewhare"), "SRS0=aaaaaa=bb=a.example=x@proseware.com",
                   "SRS1=aaaaaa=a.example==x=y=b.example=c@proseware.com", rewritten.replace("SRS0", "SRS1")):
        reply = c.rcpt(forged, "550 5.1.1")
        refused(server, reply, "550 5.1.1", "recipient.srs-forged")
    agrees(server, reply, "recipient.srs-forged", client=HOTEL, **{"from": "<>"}, to=forged)
    server.wait_empty()
    # The key is the server's alone.
    key = server.state / "keys/srs.key"
    assert key.stat().st_mode & 0o777 == 0o600 and len(key.read_text().strip()) >= 16
