"""Every refusal that is no decision, as a client reads it: form, order, logins, limits of a session, over SMTP and POP3. The
words stand in tests/golden/wire.txt; with POSTERN_WRITE_GOLDEN=1 it is written anew, to be read before it is committed.
(What the decision says stands in tests/golden/refusals.txt.)"""
import base64
import os
import re
import socket
from pathlib import Path

from harness import ROOT, options
from smtp_session import Gone
from world import *

GOLDEN = ROOT / "tests/golden/wire.txt"
EHLO, HELLO = "EHLO client.example", ("EHLO client.example",)
MAIL, RCPT = "MAIL FROM:<x@adatum.com>", "RCPT TO:<terri@proseware.com>"
WRONG = "AUTH PLAIN " + base64.b64encode(b"\0terri@proseware.com\0guess").decode()
RIGHT = "AUTH PLAIN " + base64.b64encode(b"\0terri@proseware.com\0secret").decode()

# title, listener, TLS first, what is said before (its replies do not matter), the line in question
SMTP = (
    ("before EHLO", "internet", False, (), MAIL),
    ("no such command", "internet", False, HELLO, "FROBNICATE"),
    ("nothing", "internet", False, HELLO, ""),
    ("a browser", "internet", False, (), "GET / HTTP/1.1"),
    ("EHLO without a name", "internet", False, (), "EHLO"),
    ("MAIL without FROM", "internet", False, HELLO, "MAIL"),
    ("MAIL without brackets", "internet", False, HELLO, "MAIL FROM:"),
    ("an address without end", "internet", False, HELLO, "MAIL FROM:<x@adatum.com"),
    ("an address without domain", "internet", False, HELLO, "MAIL FROM:<x>"),
    ("letters beyond ASCII", "internet", False, HELLO, "MAIL FROM:<jörg@adatum.com>"),
    ("RCPT beyond ASCII", "internet", False, (EHLO, MAIL), "RCPT TO:<jörg@proseware.com>"),
    ("RCPT without brackets", "internet", False, (EHLO, MAIL), "RCPT TO: terri"),
    ("RCPT to nobody", "internet", False, (EHLO, MAIL), "RCPT TO:<>"),
    ("no such parameter", "internet", False, HELLO, MAIL + " FOO=1"),
    ("SIZE that is none", "internet", False, HELLO, MAIL + " SIZE=many"),
    ("SIZE twice", "internet", False, HELLO, MAIL + " SIZE=1 SIZE=2"),
    ("BODY that is none", "internet", False, HELLO, MAIL + " BODY=9BIT"),
    ("RET that is none", "internet", False, HELLO, MAIL + " RET=ALL"),
    ("NOTIFY that is none", "internet", False, (EHLO, MAIL), RCPT + " NOTIFY=SOMETIMES"),
    ("no such RCPT parameter", "internet", False, (EHLO, MAIL), RCPT + " FOO"),
    ("MAIL twice", "internet", False, (EHLO, MAIL), MAIL),
    ("RCPT before MAIL", "internet", False, HELLO, RCPT),
    ("DATA before RCPT", "internet", False, (EHLO, MAIL), "DATA"),
    ("DATA with words", "internet", False, (EHLO, MAIL, RCPT), "DATA now"),
    ("BDAT without a number", "internet", False, (EHLO, MAIL, RCPT), "BDAT"),
    ("BDAT before RCPT", "internet", False, HELLO, "BDAT 0"),
    ("VRFY", "internet", False, HELLO, "VRFY terri"),
    ("EXPN", "internet", False, HELLO, "EXPN staff"),
    ("STARTTLS with words", "internet", False, HELLO, "STARTTLS now"),
    ("STARTTLS within TLS", "submission", True, HELLO, "STARTTLS"),
    ("XCLIENT of a stranger", "internet", False, HELLO, "XCLIENT ADDR=192.0.2.1"),
    ("too long a command", "internet", False, HELLO, "NOOP " + "x" * 9000),
    ("too long a login", "submission", True, HELLO, "AUTH PLAIN " + "A" * 13000),
    ("a wrong password", "submission", True, HELLO, WRONG),
    ("a login that is no Base64", "submission", True, HELLO, "AUTH PLAIN !!!"),
    ("a login of another form", "submission", True, HELLO, "AUTH PLAIN AAAA"),
    ("a cancelled login", "submission", True, (EHLO, "AUTH LOGIN"), "*"),
    ("AUTH without a mechanism", "submission", True, HELLO, "AUTH"),
    ("a login twice", "submission", True, (EHLO, RIGHT), RIGHT),
    ("a login within a message", "offering", True, (EHLO, MAIL), RIGHT),
)
POP3 = (
    ("no such command", (), "FROBNICATE"),
    ("before the login", (), "STAT"),
    ("PASS before USER", (), "PASS secret"),
    ("a wrong password", ("USER terri@proseware.com",), "PASS guess"),
    ("no such mechanism", (), "AUTH FROBNICATE"),
    ("no such message", ("USER terri@proseware.com", "PASS secret"), "RETR 9"),
    ("a number that is none", ("USER terri@proseware.com", "PASS secret"), "DELE x"),
    ("no number", ("USER terri@proseware.com", "PASS secret"), "RETR"),
    ("TOP without lines", ("USER terri@proseware.com", "PASS secret"), "TOP 1"),
    ("a second login", ("USER terri@proseware.com", "PASS secret"), "USER terri@proseware.com"),
)


def without_session(text):
    return re.sub(r"\[((?:[a-z0-9.-]+ )?)\w{12}\]$", r"[\1SESSION]", text)


def smtp_reply(server, listener, tls, before, line):
    c = server.session(listener, HOTEL).ehlo()
    if tls:
        c.starttls()
    elif before[:1] != HELLO:
        c.close()
        c = server.session(listener, HOTEL)
    for said in before:
        c.cmd(said)
    c.send(line.encode() + b"\r\n")
    reply = c.read()
    c.close()
    assert len(reply.lines) == 1 and len(reply.text) <= 506, reply
    return f"{reply.code} {without_session(reply.text)}"


def pop3_reply(server, before, line):
    c = server.session("pop3s", HOTEL, tls=True, banner=False)
    c.line()
    for said in before:
        c.send(said + "\r\n")
        assert c.line().startswith("+OK"), said
    c.send(line + "\r\n")
    reply = c.line()
    c.close()
    assert reply.startswith("-ERR") and len(reply) <= 510, reply
    return without_session(reply)


@options(seconds=180)
def test_words_on_the_wire(t):
    server, _ = world(t, CASES + 'listener "pop3s" { bind = {"127.0.0.1:0"} service = pop3 tls = implicit }\n')
    lines = ["SMTP"]
    lines += [f"  {title:<28} {smtp_reply(server, *how)}" for title, *how in SMTP]
    lines += ["POP3"] + [f"  {title:<28} {pop3_reply(server, *how)}" for title, *how in POP3]
    text = "\n".join(lines) + "\n"
    if os.environ.get("POSTERN_WRITE_GOLDEN"):
        GOLDEN.write_text(text)
    for was, now in zip(GOLDEN.read_text().splitlines(), lines, strict=True):
        assert was == now, f"tests/golden/wire.txt says\n{was}\nnow it is\n{now}"
