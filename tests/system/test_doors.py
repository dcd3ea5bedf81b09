"""PROXY and XCLIENT, and addresses behind which many may hide."""
import socket
import struct
import subprocess

from harness import need_root, options, tool, until
from smtp_session import Gone, Session
from world import *

PROXIED = OURS + OFFICE.replace('listeners = {"internet"}', "") + QUICK + """
listener "internet" { bind = {"127.0.0.1:0"}  tls = off  auth = off }
listener "proxied"  { bind = {"127.0.0.1:0"}  tls = off  auth = off  proxy_protocol_from = {"127.0.9.0/24"} }
listener "behind"   { bind = {"127.0.0.1:0"}  tls = off  auth = off  xclient_from = {"127.0.9.0/24"} }
"""
PROXY = "127.0.9.9"
V2 = b"\r\n\r\n\x00\r\nQUIT\n"


def v2(source, command=1, family=0x11):
    addresses = socket.inet_aton(source) + socket.inet_aton("127.0.0.1") + struct.pack("!HH", 40000, 25)
    return V2 + bytes([0x20 | command, family]) + struct.pack("!H", len(addresses)) + addresses


def relays(session):
    session.ehlo()
    session.mail("terri@proseware.com")
    return session.cmd("RCPT TO:<bob@adatum.com>")


def test_proxy(t):
    server, _ = world(t, PROXIED)
    at_home = (f"PROXY TCP4 {HOME} 127.0.0.1 40000 25\r\n".encode(), v2(HOME))
    for header in at_home:
        assert relays(server.session("proxied", PROXY, first=header)).code == 250
    for header in (f"PROXY TCP4 {HOTEL} 127.0.0.1 40000 25\r\n".encode(), v2(HOTEL)):
        reply = relays(server.session("proxied", PROXY, first=header))
        refused(server, reply, "550 5.7.1", "relay.no-grant")
        assert HOTEL in reply.text
    assert {e["client"] for e in server.events("refused")} == {HOTEL}
    # Health checks are answered, and earn no network grant even from inside one.
    for header in (b"PROXY UNKNOWN\r\n", v2(HOME, command=0)):
        assert relays(server.session("proxied", PROXY, first=header)).code == 550
    # No header, a broken one, or one from somebody who is not listed.
    for first in (b"EHLO x.example\r\n", b"PROXY TCP4 999.1.1.1 127.0.0.1 1 2\r\n", b"PROXY TCP4 1.2.3.4\r\n", V2 + b"\x21\x11\x00\x02ab",
                  b"PROXY " + b"A" * 200 + b"\r\n"):
        try:
            reply = server.session("proxied", PROXY, first=first).last
            assert reply.code >= 400, (first, reply)
        except Gone:
            pass
    try:
        stranger = server.session("proxied", HOTEL, first=at_home[0])
        assert stranger.last.code == 220
        assert stranger.read().code >= 500, "PROXY from a stranger is no command"
        assert relays(stranger).code == 550
    except Gone:
        pass


def test_xclient(t):
    server, _ = world(t, PROXIED)
    c = server.session("behind", PROXY).ehlo()
    assert "XCLIENT" in c.extensions, c.extensions
    c.want(f"XCLIENT ADDR={HOME} NAME=home.example PROTO=ESMTP HELO=there.example", "220")
    assert relays(c).code == 250
    c = server.session("behind", PROXY).ehlo()
    c.want(f"XCLIENT ADDR={HOTEL} NAME=[UNAVAILABLE]", "220")
    reply = relays(c)
    refused(server, reply, "550 5.7.1", "relay.no-grant")
    assert HOTEL in reply.text
    c = server.session("behind", PROXY).ehlo()
    reply = c.cmd(f"XCLIENT ADDR={HOTEL} LOGIN=terri@proseware.com")
    assert reply.code >= 500 or relays(c).code == 550, "LOGIN counts only where xclient_login says so"
    stranger = server.session("behind", HOTEL).ehlo()
    assert "XCLIENT" not in stranger.extensions
    assert stranger.cmd(f"XCLIENT ADDR={HOME}").code >= 500
    assert relays(stranger).code == 550


def ip(*words):
    subprocess.run([tool("ip"), *words], check=True, capture_output=True)


def test_gateway_and_bridge(t):
    """A default gateway, and this host's bridge addresses, earn no grant though they lie inside a granted network; a
    neighbour does. Interfaces that appear later count too."""
    need_root()
    import ctypes
    import os

    # Another network namespace plays the neighbours: 10.9.0.1 (the gateway) and 10.9.0.7.
    ip("netns", "add", "side") if os.path.isdir("/run/netns") else (os.makedirs("/run/netns"), ip("netns", "add", "side"))
    try:
        ip("link", "add", "here", "type", "veth", "peer", "name", "there", "netns", "side")
        ip("addr", "add", "10.9.0.2/24", "dev", "here")
        ip("link", "set", "here", "up")
        for words in ("addr add 10.9.0.1/24 dev there", "addr add 10.9.0.7/24 dev there", "link set there up", "link set lo up"):
            ip("-n", "side", *words.split())
        ip("route", "add", "default", "via", "10.9.0.1")
        text = OURS + QUICK + """
listener "internet" { bind = {"0.0.0.0:2528"}  tls = off  auth = off }
connector "lan" { clients = {"10.9.0.0/24", "10.8.0.0/24"}  may_relay_to = {"*"}  senders = any  note = "the LAN" }
"""
        server, _ = world(t, text, users=())

        def ask(source, to="10.9.0.2"):
            script = f"""
import sys; sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r})
from smtp_session import Session
c = Session({to!r}, 2528, source={source!r}).ehlo()
c.mail("x@contoso.com")
print(c.cmd("RCPT TO:<bob@adatum.com>"))
"""
            line = [tool("ip"), "netns", "exec", "side", "python3", "-c", script]
            if source.startswith("10.8"):
                line = ["python3", "-c", script]
            done = subprocess.run(line, text=True, capture_output=True, timeout=30)
            assert done.returncode == 0, done.stderr
            return done.stdout

        assert ask("10.9.0.7").startswith("250"), ask("10.9.0.7")
        said = ask("10.9.0.1")
        assert said.startswith("550 5.7.1"), said
        ip("link", "add", "br9", "type", "bridge")
        ip("addr", "add", "10.8.0.1/24", "dev", "br9")
        ip("link", "set", "br9", "up")
        until(lambda: ask("10.8.0.1", "10.8.0.1").startswith("550"), "the bridge's own address has no grant", 10, 0.2)
        ip("route", "del", "default")
        ip("route", "add", "default", "via", "10.9.0.7")
        until(lambda: ask("10.9.0.7").startswith("550"), "the new gateway has no grant", 10, 0.2)
        assert ask("10.9.0.1").startswith("250"), "the old one is a neighbour now"
        # Named outright, check fails.
        server.write(text.replace('"10.9.0.0/24"', '"10.9.0.7/32"'))
        assert server.run("check").returncode != 0
    finally:
        subprocess.run([tool("ip"), "netns", "del", "side"], capture_output=True)
