"""POP before SMTP: case 8 of relay-cases, and all that may go wrong with it: other addresses, the end of the window, many
logins behind one address, users that are disabled, restarts, and another POP3 server beside us."""
import json
import os
import signal
import socket
import subprocess

from harness import until
from test_pop3 import POP3, TERRI, Pop, pop, trusting
from test_proxy import BALANCER, v1
from world import *

CEO, OUT = "ceo@proseware.com", "bob@adatum.com"
AFTER_POP = """
connector "after-pop" { pop_before_smtp = WINDOW  may_relay_to = {"*"}  senders = own  note = "two legacy sites" }
"""


def text(window="15min", more=""):
    return OURS + LISTENERS + POP3 + PEOPLE + AFTER_POP.replace("WINDOW", window) + QUICK + more


def sends(server, source=HOTEL, sender=TERRI, to=OUT, listener="internet", **more):
    """The reply to RCPT of somebody who does not log in."""
    c = server.session(listener, source, **more).ehlo()
    c.mail(sender)
    reply = c.cmd(f"RCPT TO:<{to}>")
    c.close()
    return reply


def read_mail(server, source=HOTEL, user=TERRI):
    client = pop(server, source=source, user=user)
    client.quit()


def windows(server, *words):
    return [(w["login"], w["address"]) for w in server.json("pop", "list", *words)]


def test_case_8(t):
    """A POP3 login, then SMTP without AUTH from the same address; not before, not from another, not afterwards."""
    server, sink = world(t, text())
    refused(server, sends(server), "550 5.7.1", "relay.no-grant")
    agrees(server, sends(server), "relay.no-grant", client=HOTEL, **{"from": TERRI, "to": OUT})
    read_mail(server)
    c = server.session("internet", HOTEL).ehlo()
    c.mail(TERRI)
    c.rcpt(OUT)
    c.data(letter(TERRI))
    until(lambda: sink.messages, "relayed")
    assert server.event("accepted")["popped"] == TERRI and server.event("accepted")["granted_by"] == "after-pop"
    agrees(server, sends(server), client=HOTEL, **{"from": TERRI, "to": OUT})
    refused(server, sends(server, WORK), "550 5.7.1", "relay.no-grant")
    agrees(server, sends(server, WORK), "relay.no-grant", client=WORK, **{"from": TERRI, "to": OUT})
    why = server.why(client=HOTEL, at="2031-01-01T00:00:00Z", **{"from": TERRI, "to": OUT})
    assert why["reason"] == "relay.no-grant", why
    assert server.why(client=HOTEL, offline=True, **{"from": TERRI, "to": OUT})["verdict"] == "refuse"
    assert server.why(client=WORK, popped=TERRI, offline=True, **{"from": TERRI, "to": OUT})["verdict"] == "accept"


def test_pop_sender_is_bound(t):
    """The window is the login's: its senders, for recipients of ours too; and no reply names the login."""
    server, _ = world(t, text(), sink=False)
    read_mail(server)
    for to in (OUT, CEO):
        reply = sends(server, sender="x@contoso.com", to=to)
        refused(server, reply, "553 5.7.1", "sender.not-yours")
        assert TERRI not in reply.text, reply
    assert sends(server, WORK, "x@contoso.com", CEO).code == 250, "elsewhere it is mail from outside"
    c = server.session("internet", HOTEL).ehlo()
    c.mail(TERRI)
    c.rcpt(OUT)
    c.data(letter(CEO), "550 5.7.1")
    why = server.why(client=HOTEL, **{"from": "x@contoso.com", "to": OUT})
    assert why["reason"] == "sender.not-yours" and why["changes"], why


def test_pop_window_ends(t):
    """It ends by itself, and each login begins it anew."""
    server, _ = world(t, text("1min"), sink=False)
    read_mail(server)
    at = server.json("pop", "list")[0]["at"]
    for seconds, verdict in ((59, "accept"), (61, "refuse")):
        when = subprocess.run(["date", "-u", "-d", f"@{at // 1000 + seconds}", "+%Y-%m-%dT%H:%M:%SZ"], text=True,
                              capture_output=True, check=True).stdout.strip()
        assert server.why(client=HOTEL, at=when, **{"from": TERRI, "to": OUT})["verdict"] == verdict
    read_mail(server)
    assert server.json("pop", "list")[0]["at"] > at and len(windows(server)) == 1
    event = server.reload(text("15min").replace(AFTER_POP.replace("WINDOW", "15min"), ""))
    assert event["event"] == "reloaded"
    refused(server, sends(server), "550 5.7.1", "relay.no-grant")


def test_pop_nat(t):
    """Many logins behind one address: each sender stands for its own."""
    server, _ = world(t, text(), sink=False)
    server.command("alias", "add", "info@proseware.com", CEO)
    server.command("user", "allow-sender", TERRI, "team@contoso.com")
    read_mail(server)
    refused(server, sends(server, sender=CEO), "553 5.7.1", "sender.not-yours")
    read_mail(server, user=CEO)
    for sender in (TERRI, CEO, "info@proseware.com", "team@contoso.com", "terri+x@proseware.com"):
        reply = sends(server, sender=sender)
        assert reply.code == 250, (sender, reply)
        agrees(server, reply, client=HOTEL, **{"from": sender, "to": OUT})
    refused(server, sends(server, sender="scanner@proseware.com"), "553 5.7.1", "sender.not-yours")
    assert server.command("pop", "close", CEO, HOTEL).split() == ["closed", "1"]
    for sender in (CEO, "info@proseware.com"):
        refused(server, sends(server, sender=sender), "553 5.7.1", "sender.not-yours")
    assert sends(server).code == 250, "the other's stays open"


def test_pop_closes(t):
    """By hand, by a new password, by a user that is disabled or removed, with the server running or not."""
    server, _ = world(t, text(), sink=False)

    def closed():
        refused(server, sends(server), "550 5.7.1", "relay.no-grant")
        assert not windows(server)

    read_mail(server)
    assert sends(server).code == 250 and windows(server) == [(TERRI, HOTEL)]
    server.command("pop", "close", HOTEL)
    closed()
    read_mail(server)
    server.command("user", "passwd", TERRI, "--password-stdin", input="secret\n")
    closed()
    read_mail(server)
    server.command("user", "disable", TERRI)
    closed()
    server.command("user", "enable", TERRI)
    refused(server, sends(server), "550 5.7.1", "relay.no-grant")
    read_mail(server)
    assert sends(server).code == 250
    server.stop()
    server.command("user", "passwd", TERRI, "--password-stdin", input="secret\n")
    server.start()
    assert windows(server) == [(TERRI, HOTEL)], "nobody could tell the server,"
    refused(server, sends(server), "550 5.7.1", "relay.no-grant")  # but it knows
    read_mail(server)
    assert sends(server).code == 250
    server.command("user", "remove", TERRI)
    server.user(TERRI)
    refused(server, sends(server), "550 5.7.1", "relay.no-grant")
    read_mail(server, WORK, CEO)
    server.command("pop", "close", "--all")
    assert not windows(server)


def test_pop_survives(t):
    """A worker that dies, a restart: what was open is open; and all workers know."""
    server, _ = world(t, text(), sink=False, workers=3)
    server.crashes_expected = True
    read_mail(server)
    for worker in server.children_of("worker"):
        os.kill(worker, signal.SIGKILL)
    until(lambda: len(server.children_of("worker")) == 3 and sends(server).code == 250, "still open", 40, 0.2)
    server.stop()
    server.start()
    for _ in range(6):
        assert sends(server).code == 250


def test_pop_which_address(t):
    """PROXY decides which address it is, on both sides; a proxy that does not say who calls opens and earns nothing."""
    server, _ = world(t, text(more=f"""
listener "behind" {{ bind = {{"127.0.0.1:0"}}  proxy_protocol_from = {{"{BALANCER}"}} }}
listener "popbehind" {{ bind = {{"127.0.0.1:0"}}  service = pop3  tls = offer  proxy_protocol_from = {{"{BALANCER}"}} }}
"""), sink=False)

    def read_through(header, source=BALANCER):
        c = socket.create_connection(server.at("popbehind"), 20, source_address=(source, 0))
        c.sendall(header)
        client = Pop(c)
        client.stls(trusting())
        client.user(TERRI)
        client.pass_("secret")
        client.quit()

    read_through(b"PROXY UNKNOWN\r\n")
    assert not windows(server)
    read_through(v1(HOTEL))
    assert windows(server) == [(TERRI, HOTEL)]
    assert sends(server, BALANCER, listener="behind", first=v1(HOTEL)).code == 250
    assert sends(server, HOTEL).code == 250
    refused(server, sends(server, BALANCER), "550 5.7.1", "relay.no-grant")
    read_mail(server, BALANCER)  # the balancer itself reads mail, say: that is nobody behind it
    assert sends(server, BALANCER).code == 250
    refused(server, sends(server, BALANCER, listener="behind", first=b"PROXY UNKNOWN\r\n"), "550 5.7.1", "relay.no-grant")
    read_through(v1("::ffff:" + WORK, "TCP6", "::1"))
    assert (TERRI, WORK) in windows(server), "a mapped address is the address"
    read_through(v1("2001:db8::7", "TCP6", "::1"))
    assert sends(server, BALANCER, listener="behind", first=v1("2001:db8::7", "TCP6", "::1")).code == 250
    refused(server, sends(server, BALANCER, listener="behind", first=v1("2001:db8::8", "TCP6", "::1")), "550 5.7.1", "relay.no-grant")


def test_pop_command(t):
    """`postern pop`, and the same over the control socket: what another POP3 server's post-login script calls."""
    server, _ = world(t, text(), sink=False)
    script = t.folder / "post-login"
    script.write_text(f'#!/bin/sh\n"{server.binary}" pop open -c "{server.file}" "$USER" "$IP" || true\nexec "$@"\n')
    script.chmod(0o755)
    done = subprocess.run([script, "echo", "session"], env=dict(server.environment, USER=TERRI.upper(), IP=HOTEL), text=True,
                          capture_output=True, check=True)
    assert done.stdout.splitlines()[-1] == "session", done
    assert sends(server).code == 250
    assert server.event("pop-opened")["operator"], "who did it"
    control = socket.socket(socket.AF_UNIX)
    control.connect(str(server.state / "run/control.sock"))
    control.sendall(json.dumps({"command": "pop-open", "login": CEO, "address": "2001:db8::7"}).encode() + b"\n")
    answer = json.loads(control.makefile().read())
    assert answer["login"] == CEO and answer["address"] == "2001:db8::7" and answer["until"] > answer["opened"], answer
    assert sorted(windows(server)) == sorted([(TERRI, HOTEL), (CEO, "2001:db8::7")])
    assert windows(server, HOTEL) == [(TERRI, HOTEL)] and windows(server, CEO, "2001:db8::7")
    for words, code, said in (
        (("open", "nobody@proseware.com", HOTEL), 1, "not a user"),
        (("open", TERRI, "not-an-address"), 64, "IP address"),
        (("open", TERRI), 64, ""),
        (("close",), 64, "--all"),
        (("lst",), 64, "list"),
    ):
        done = server.run("pop", words[0], *words[1:])
        assert done.returncode == code and said in done.stderr, (words, done)
    server.stop()
    done = server.run("pop", "list")
    assert done.returncode == 69 and "no server" in done.stderr, done


def test_pop_without_connector(t):
    """Where no connector asks for it, nothing is noted."""
    server, _ = world(t, OURS + LISTENERS + POP3 + PEOPLE + QUICK, sink=False)
    read_mail(server)
    assert "pop_before_smtp" not in server.event("mailbox-opened")
    done = server.run("pop", "open", TERRI, HOTEL)
    assert done.returncode == 1 and "no connector" in done.stderr, done


def test_pop_checked(t):
    """`postern check` knows it: the matrix, windows that are long, a source that is not there."""
    server, _ = world(t, text("2h"), sink=False, users=())
    found = server.run("check", "--json")
    assert "proof.pop-window" in found.stdout, found.stdout
    assert "POP3 login" in server.run("check").stdout


def ask(server, **request):
    control = socket.socket(socket.AF_UNIX)
    control.connect(str(server.state / "run/control.sock"))
    control.sendall(json.dumps(request).encode() + b"\n")
    return [json.loads(line) for line in control.makefile()]


def test_pop_many(t):
    """More windows than one page holds are listed whole; a login that comes from everywhere pushes out its own oldest only."""
    users = [f"u{n}@proseware.com" for n in range(16)]
    server, _ = world(t, text(), sink=False, users=users)
    for user in users:
        for n in range(64):
            assert ask(server, command="pop-open", login=user, address=f"2001:db8::{n:x}")[0]["login"] == user
    assert len(set(windows(server))) == 1024
    for n in range(100):
        ask(server, command="pop-open", login=users[0], address=f"2001:db8:1::{n:x}")
    assert len(windows(server, users[0])) == 64 and len(windows(server)) == 1024
    assert len(windows(server, "2001:db8::7")) == 15, "each login's own oldest went"
    assert ask(server, command="pop-close", address="2001:db8::7") == [{"closed": 15}]
    for wrong in ({"login": users[0]}, {"address": "2001:db8::1"}, {"login": users[0], "address": "x"}, {}):
        assert "error" in ask(server, command="pop-open", **wrong)[0], wrong
