"""POP3 with real clients, and what they may see: mail that is neither lost nor doubled with two clients at once, with a
cut connection, with deliveries and other readers of the same Maildir meanwhile."""
import os
import poplib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

from harness import options, tool, until
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
