"""A real Dovecot as a neighbour: its submission server, which logs in to Postern as its relay, and its POP3 server, whose post-login
script opens windows of POP before SMTP."""
import socket
from contextlib import closing
from pathlib import Path

from harness import options, until
from peers import ROOT, Peers
from smtp_session import Gone, Session
from test_pop3 import Pop, fails
from test_pop_before_smtp import AFTER_POP, sends, windows
from world import *

TERRI, WORD, POPS, SUBMITS = "terri@proseware.com", "dove word 7", "127.0.0.63", "127.0.0.64"
DOVE_WORD = "another"  # what Dovecot itself knows them by


def relay(server, listener, how, login=TERRI, word=WORD):
    address, port = server.at(listener)
    return f"""
hostname = submit.proseware.com
ssl = no
submission_relay_host = {address}
submission_relay_port = {port}
submission_relay_ssl = {how}
submission_relay_ssl_verify = no
submission_relay_user = {login}
submission_relay_password = {word}
service submission-login {{
  inet_listener submission {{
    address = {SUBMITS}
    port = 587
  }}
}}
"""


def submit(sender=TERRI, to="bob@adatum.com"):
    """What the client of Dovecot hears last."""
    with closing(Session(SUBMITS, 587)) as s:
        s.ehlo()
        try:
            s.auth_plain(TERRI, DOVE_WORD)
            for line in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{to}>"):
                if (reply := s.cmd(line)).code >= 400:
                    return reply
            s.data(letter(sender, to))
        except (Gone, AssertionError):
            pass
        return s.last


@options(seconds=120)
def test_dovecot_submission_logs_in(t):
    """By STARTTLS and by TLS from the start; what Postern refuses reaches Dovecot's client; a wrong password relays nothing."""
    peers = Peers(t)
    server, sink = world(t, users=())
    server.user(TERRI, WORD)
    count = 0
    for listener, how in (("submission", "starttls"), ("submissions", "smtps")):
        for word in ("wrong", WORD):
            dovecot = peers.dovecot("submission", {TERRI: DOVE_WORD}, relay(server, listener, how, word=word), SUBMITS, 587)
            reply = submit()
            if word == WORD:
                count += 1
                assert reply.code == 250, reply
                until(lambda: len(sink.messages) == count, "relayed")
                login = server.event("authenticated", listener=listener)
                assert login["login"] == TERRI and login["mechanism"] in ("PLAIN", "LOGIN"), login
                assert server.event("accepted", listener=listener)["granted_by"] == "people"
                reply = submit("ceo@contoso.com")
                assert reply.code == 553 and "sender.not-yours" in reply.text, reply
            else:
                assert reply.code >= 400, reply
                server.event("refused", reason="auth.failed", listener=listener, login_tried=TERRI)
                assert not server.events("authenticated", listener=listener)
            dovecot.terminate()
            dovecot.wait(20)
    assert len(sink.messages) == 2


def read_mail(source=HOTEL, word=DOVE_WORD):
    client = Pop(socket.create_connection((POPS, 110), 20, source_address=(source, 0)))
    client.user(TERRI)
    if word != DOVE_WORD:
        assert fails(client.pass_, word)
    else:
        client.pass_(word)
        assert client.stat()[0] == 0
    client.quit()


@options(seconds=120)
def test_dovecot_pop_before_smtp(t):
    """As postern-pop(1) says it is set up. A login that Dovecot refuses opens nothing; a Postern that is down keeps nobody from their mail."""
    peers = Peers(t)
    server, sink = world(t, OURS + LISTENERS + PEOPLE + AFTER_POP.replace("WINDOW", "15min") + QUICK, users=(TERRI,))
    peers.bring_in(server.folder)
    command = peers.postern(Path(t.builds["shipped"]) / "src/bin/postern")
    peers.write("tmp/postern-pop", f'#!/bin/sh\n{command} pop open -c {server.file} "$USER" "$IP" >/tmp/said 2>&1\nexec "$@"\n', 0o755)
    peers.write("tmp/said", "", 0o666)
    t.logs.append(ROOT / "tmp/said")
    peers.dovecot("pop3", {TERRI: DOVE_WORD}, f"""
ssl = no
service pop3-login {{
  inet_listener pop3 {{
    address = {POPS}
    port = 110
  }}
}}
service pop3 {{
  executable = pop3 postern-pop
}}
service postern-pop {{
  executable = script-login /tmp/postern-pop
  user = dovecot
  group = root
  unix_listener postern-pop {{
  }}
}}
""", POPS, 110)
    read_mail(word="wrong")
    assert not windows(server)
    refused(server, sends(server), "550 5.7.1", "relay.no-grant")
    read_mail()
    assert windows(server) == [(TERRI, HOTEL)], (ROOT / "tmp/said").read_text()
    c = server.session("internet", HOTEL).ehlo()
    c.mail(TERRI)
    c.rcpt("bob@adatum.com")
    c.data(letter(TERRI))
    until(lambda: sink.messages, "relayed")
    assert server.event("accepted")["popped"] == TERRI
    refused(server, sends(server, WORK), "550 5.7.1", "relay.no-grant")
    refused(server, sends(server, sender="x@contoso.com"), "553 5.7.1", "sender.not-yours")
    assert server.command("pop", "close", TERRI, HOTEL).split() == ["closed", "1"]
    refused(server, sends(server), "550 5.7.1", "relay.no-grant")
    read_mail(WORK)
    assert windows(server) == [(TERRI, WORK)] and sends(server, WORK).code == 250
    server.command("user", "disable", TERRI)
    read_mail()  # Dovecot does not know: the script is refused, the session goes on
    assert not windows(server)
    refused(server, sends(server), "550 5.7.1", "relay.no-grant")
    server.stop()
    read_mail()
