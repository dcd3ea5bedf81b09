"""The table "Which step answers what" of relay-cases.md."""
import time

from harness import options, until
from smtp_session import Gone, Session
from world import *

LOGIN = ("terri@proseware.com", "secret")


def secured(server):
    return server.session("submission", HOTEL).ehlo().starttls().ehlo()


def test_step_connections(t):
    text = CASES.replace('auth = off }', 'auth = off  max_connections_per_client = 3 }')
    server, _ = world(t, text, users=())
    held = [server.session(source=HOTEL) for _ in range(3)]
    fourth = server.session(source=HOTEL)
    event = refused(server, fourth.last, "421", "limit.connections")
    assert event["enhanced"] == "4.7.0"  # RFC 2034 section 3: not in a greeting itself
    assert fourth.gone()
    assert server.session(source=WORK).last.code == 220
    held[0].quit()
    until(lambda: server.session(source=HOTEL).last.code == 220, "room again", 5, 0.1)


def test_step_idle(t):
    text = CASES.replace('auth = off }', 'auth = off  idle_timeout = 2s }')
    server, _ = world(t, text, users=())
    c = server.session(source=HOTEL).ehlo()
    assert c.read().is_ == "421 4.4.2" and c.gone()
    # An octet now and then keeps nothing open.
    c = server.session(source=HOTEL).ehlo()
    began = time.monotonic()
    try:
        while time.monotonic() - began < 15:
            c.send(b"N")
            c.socket.settimeout(0.5)
            try:
                reply = c.read()
                break
            except TimeoutError:
                continue
    except (Gone, OSError):
        reply = None
    assert time.monotonic() - began < 14, "kept open by single octets"


def test_step_too_many_errors(t):
    server, _ = world(t, users=())
    c = server.session(source=HOTEL).ehlo()
    for number in range(200):
        reply = c.cmd(f"NONSENSE{number}")
        if reply.code == 421:
            break
        assert reply.code == 500 or reply.code == 502, reply
    assert reply.is_ == "421 4.7.0" and c.gone()


def test_step_auth(t):
    server, _ = world(t)
    c = secured(server)
    c.want("AUTH PLAIN", "334")
    c.want("*", "501 5.0.0")
    c.want("AUTH PLAIN ===", "501")
    c.want("AUTH", "501")
    long = c.cmd("AUTH PLAIN " + "A" * 12400)
    assert long.is_ == "500 5.5.6", long
    c.auth_plain("terri@proseware.com", "nope", "535 5.7.8")
    c.auth_plain(*LOGIN)
    c.want("AUTH PLAIN AAA", "503 5.5.1")
    c.mail("terri@proseware.com")
    c.want("AUTH PLAIN AAA", "503 5.5.1")
    c.quit()
    # Not inside a transaction either.
    c = server.session("offering", HOTEL).ehlo().starttls().ehlo()
    c.mail("x@contoso.com")
    c.want("AUTH PLAIN AHRlcnJpQHByb3Nld2FyZS5jb20Ac2VjcmV0", "503 5.5.1")


def test_step_mail(t):
    text = CASES.replace('auth = off }', 'auth = off  max_message_size = 64KiB }')
    server, _ = world(t, 'blocked_senders = {"spammer@contoso.com", ".bad.example"}\n' + text)
    c = server.session(source=HOTEL).ehlo()
    refused(server, c.cmd("MAIL FROM:<x@contoso.com> SIZE=70000"), "552 5.3.4", "limit.size")
    for sender in ("spammer@contoso.com", "x@very.bad.example"):
        reply = c.cmd(f"MAIL FROM:<{sender}>")
        refused(server, reply, "550 5.7.1", "sender.blocked")
        c.want("RSET", "250")
    c.want("MAIL FROM:<x@contoso.com> FROBNICATE=1", "555 5.5.4")
    c.want("MAIL FROM:<x@contoso.com> AUTH=<>", "250")
    c.want("RSET", "250")
    c.want("MAIL FROM:<x@contoso.com> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=abc", "250")
    c.rcpt("terri@proseware.com", more=" NOTIFY=FAILURE,DELAY ORCPT=rfc822;terri@proseware.com")
    # More than was announced, and more than is allowed.
    refused(server, c.data(letter("x@contoso.com", "terri@proseware.com", body=("z" * 70 + "\n") * 1000), "552 5.3.4"), "552 5.3.4", "limit.size")
    c.quit()


def test_step_recipients(t):
    text = CASES.replace('auth = off }', 'auth = off  max_recipients = 4 }')
    server, _ = world(t, text)
    for number in range(5):
        server.user(f"user{number}@proseware.com")
    c = server.session(source=HOTEL).ehlo()
    c.mail("x@contoso.com")
    for number in range(4):
        c.rcpt(f"user{number}@proseware.com")
    refused(server, c.cmd("RCPT TO:<user4@proseware.com>"), "452 4.5.3", "limit.recipients")
    c.data(letter("x@contoso.com", "users@proseware.com"))
    for number in range(4):
        assert server.wait_maildir(f"user{number}@proseware.com")
    assert not server.maildir("user4@proseware.com")


def test_step_after_data(t):
    server, sink = world(t)
    c = server.session(source=HOME).ehlo()
    for ending in (b"x\n.\nMAIL FROM:<smuggled@contoso.com>\r\n", b"x\n.\r\n", b"x\r.\r\n", b"x\r\n.\nRSET\r\n", b"a\nb\r\n", b"a\rb\r\n"):
        c.mail("terri@proseware.com")
        c.rcpt("bob@adatum.com")
        c.want("DATA", "354")
        c.send(letter("terri@proseware.com", "bob@adatum.com").replace("\n", "\r\n").encode() + ending + b"\r\n.\r\n")
        reply = c.read()
        refused(server, reply, "550 5.6.0", "syntax.bare-newline")
        c.want("NOOP", "250")
    c.mail("terri@proseware.com")
    c.rcpt("bob@adatum.com")
    c.data(letter("terri@proseware.com", "bob@adatum.com"))
    until(lambda: sink.messages, "the good one")
    assert len(sink.messages) == 1 and sink.messages[0].session.bare_newlines == 0
    assert "smuggled" not in str(sink.commands)


def test_step_header_blocked(t):
    server, _ = world(t, 'blocked_headers = {"contoso.com"}\n' + CASES)
    c = server.session(source=HOTEL).ehlo()
    c.mail("x@adatum.com")
    c.rcpt("terri@proseware.com")
    reply = c.data(letter("boss@contoso.com", "terri@proseware.com"), "550 5.7.1")
    refused(server, reply, "550 5.7.1", "header.blocked")


def test_step_order_of_commands(t):
    server, _ = world(t)
    c = server.session(source=HOTEL)
    c.want("MAIL FROM:<x@contoso.com>", "503")
    c.ehlo()
    c.want("RCPT TO:<terri@proseware.com>", "503 5.5.1")
    c.want("DATA", "503 5.5.1")
    c.mail("x@contoso.com")
    c.want("MAIL FROM:<x@contoso.com>", "503 5.5.1")
    c.want("DATA", "503 5.5.1")
    c.want("MAIL", "50")
    c.want("RCPT TO:<>", "55")
    c.want("NOOP x", "250")
    c.want("VRFY terri", "252")
    c.want("EXPN staff", "50")
    c.want("HELP", "214")
    c.want("TURN", "50")
    c.send(b"X" * 100000 + b"\r\n")
    assert c.read().code in (500, 421)


def test_step_starttls_injection(t):
    server, _ = world(t)
    c = server.session("offering", HOTEL).ehlo()
    c.send(b"STARTTLS\r\nMAIL FROM:<injected@contoso.com>\r\nNOOP\r\n")
    reply = c.read()
    if reply.code != 220:  # said outright
        assert reply.code in (421, 501, 503, 554), reply
        return
    c._wrap()
    c.want("RCPT TO:<terri@proseware.com>", "503")
    c.ehlo()
    c.want("RCPT TO:<terri@proseware.com>", "503")


def test_step_pipelining_and_chunking(t):
    server, _ = world(t)
    c = server.session(source=HOTEL).ehlo()
    content = letter("x@contoso.com", "terri@proseware.com", body=".dots\n..\n.").replace("\n", "\r\n")
    c.send("MAIL FROM:<x@contoso.com>\r\nRCPT TO:<terri@proseware.com>\r\nRCPT TO:<nobody@proseware.com>\r\n"
           f"BDAT 10\r\n{content[:10]}BDAT {len(content) - 10} LAST\r\n{content[10:]}RSET\r\nNOOP\r\n")
    assert [c.read().code for _ in range(7)] == [250, 250, 550, 250, 250, 250, 250]
    assert b".dots\n..\n.\n" in server.wait_maildir("terri@proseware.com")[0]
