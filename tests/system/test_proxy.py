"""Load balancers and filters that speak for others: what PROXY and XCLIENT change besides the grant, in which forms they
come, and what they cannot do. (Who is believed at all: test_doors.)"""
import socket
import struct
import time

from harness import options, until
from smtp_session import Gone, Session
from world import *

BALANCER, FILTER = "127.0.9.9", "127.0.9.10"
HOME6 = "2001:db8:5::77"

TEXT = OURS + PEOPLE + QUICK + f"""
connector "office" {{
    clients = {{"127.0.2.0/24", "2001:db8:5::/48", "127.0.9.0/24"}}
    may_relay_to = {{"*"}}  senders = {{"*@proseware.com"}}  note = "the access network, and the balancers themselves"
}}
listener "internet" {{ bind = {{"127.0.0.1:0"}}  proxy_protocol_from = {{"{BALANCER}"}}  xclient_from = {{"{FILTER}"}}
                      max_connections_per_client = 5 }}
listener "submissions" {{ bind = {{"127.0.0.1:0"}}  tls = implicit  auth = require  proxy_protocol_from = {{"{BALANCER}"}} }}
listener "filtered" {{ bind = {{"127.0.0.1:0"}}  auth = off  xclient_from = {{"{FILTER}"}}  xclient_login = yes }}
"""


def v1(client, family="TCP4", server="127.0.0.1"):
    return f"PROXY {family} {client} {server} 40000 25\r\n".encode()


def v2(client, command=1, extra=b""):
    kind, family = (socket.AF_INET6, 0x21) if ":" in client else (socket.AF_INET, 0x11)
    ends = socket.inet_pton(kind, client) + socket.inet_pton(kind, "::1" if ":" in client else "127.0.0.1")
    body = ends + struct.pack("!HH", 40000, 25) + extra
    return b"\r\n\r\n\x00\r\nQUIT\n" + bytes([0x20 | command, family]) + struct.pack("!H", len(body)) + body


def through(server, header, listener="internet", **more):
    return server.session(listener, BALANCER, first=header, **more)


def relays(session):
    session.ehlo()
    session.mail("terri@proseware.com")
    return session.cmd("RCPT TO:<bob@adatum.com>")


def test_proxy_forms(t):
    """IPv4, IPv6, IPv4 mapped into IPv6, both versions, with extra fields: all name the client that counts."""
    server, _ = world(t, TEXT, users=())
    tlv = b"\x04\x00\x10" + b"\0" * 16  # PP2_TYPE_NOOP
    for header in (v1(HOME), v1(HOME6, "TCP6", "::1"), v1(f"::ffff:{HOME}", "TCP6", "::1"), v2(HOME), v2(HOME6),
                   v2(f"::ffff:{HOME}"), v2(HOME, extra=tlv)):
        reply = relays(through(server, header))
        assert reply.code == 250, (header, reply)
    for client in (HOTEL, "2001:db8:6::1", f"::ffff:{HOTEL}"):
        reply = relays(through(server, v2(client)))
        refused(server, reply, "550 5.7.1", "relay.no-grant")
        assert client.rpartition("::ffff:")[2] in reply.text
    for header in (b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", v2(HOME, command=0)):
        assert relays(through(server, header)).is_ == "550 5.7.1", "the balancer itself earns nothing, though it is in a network"


def test_trace_says_whose_address_counts(t):
    """Behind a balancer or filter the events and the rules of why tell which address was judged, and who told it."""
    server, _ = world(t, TEXT, users=())
    ways = {"from": "terri@proseware.com", "to": "bob@adatum.com"}

    def judged(reply, peer, by):
        event = refused(server, reply, "550 5.7.1", "relay.no-grant")
        assert (event["peer"], event["client_told_by"]) == (peer, by), event
        return event

    assert judged(relays(through(server, v1(HOTEL))), BALANCER, "PROXY")["client"] == HOTEL
    why = server.why(client=HOTEL, proxy=BALANCER, **ways)
    assert [r["because"] for r in why["rules"] if r["rule"] == "client"] == [f"{HOTEL} counts: {BALANCER} told it by PROXY"], why
    judged(relays(through(server, b"PROXY UNKNOWN\r\n")), BALANCER, "PROXY")
    c = server.session("internet", FILTER)
    c.ehlo()
    assert c.cmd(f"XCLIENT ADDR={HOTEL}").code == 220
    assert judged(relays(c), FILTER, "XCLIENT")["client"] == HOTEL
    why = server.why(client=HOTEL, proxy=FILTER, **ways)
    assert [r["because"] for r in why["rules"] if r["rule"] == "client"] == [f"{HOTEL} counts: {FILTER} told it by XCLIENT"], why
    why = server.why(client=BALANCER, **ways)
    assert any("proxy_protocol_from" in r["rule"] and not r["matched"] for r in why["rules"]), why
    assert why["reason"] == "relay.no-grant" and not any(BALANCER in c["change"] for c in why["changes"]), why
    done = server.run("why", "--client", HOTEL, "--proxy", "127.0.9.99", "--from", "a@b.example", "--to", "b@c.example")
    assert done.returncode == 64 and "no such peer" in done.stderr, done


def test_proxy_in_single_octets(t):
    """However it is cut up; and what follows at once belongs to the session."""
    server, _ = world(t, TEXT, users=())
    for header in (v1(HOME), v2(HOME)):
        c = through(server, b"", banner=False)
        for octet in header + b"EHLO x.example\r\n":
            c.send(bytes([octet]))
        assert c.read().code == 220 and c.read().code == 250
        c.close()
    c = through(server, v1(HOTEL) + v1(HOME), banner=False)
    assert c.read().code == 220
    assert c.read().code >= 500, "a second header is a command that is not known"
    refused(server, relays(c), "550 5.7.1", "relay.no-grant")


def test_proxy_before_tls(t):
    """The header comes before the handshake, on an implicit TLS port."""
    server, sink = world(t, TEXT)
    c = through(server, v2(HOTEL), "submissions", tls=True).ehlo()
    c.auth_plain("terri@proseware.com", "secret")
    c.mail("terri@proseware.com")
    c.rcpt("bob@adatum.com")
    c.data(letter("terri@proseware.com"))
    message = until(lambda: sink.messages, "relayed")[0]
    received = message.text.split("\r\nFrom:")[0]
    assert HOTEL in received or "client.example" in received, received
    assert BALANCER not in message.text
    assert server.event("authenticated")["client"] == HOTEL


def test_proxy_counts_the_client(t):
    """Limits hold for the client behind the balancer, not for the balancer."""
    server, _ = world(t, TEXT, users=())
    held = [through(server, v1(f"127.0.51.{n}")) for n in range(1, 9)]
    assert all(c.last.code == 220 for c in held)
    same = [through(server, v1(HOTEL)) for _ in range(4)]  # the fifth of this address
    assert all(c.last.code == 220 for c in same)
    sixth = through(server, v1(HOTEL))
    refused(server, sixth.last, "421", "limit.connections")
    assert sixth.gone()
    assert len(held) == 8


@options(seconds=90)
def test_proxy_missing(t):
    """Who is listed must send it: anything else is closed without a word, and told to the administrator."""
    server, _ = world(t, TEXT, users=())
    junk = (b"EHLO x.example\r\n", b"\r\n\r\nEHLO", b"PROXY\r\n", b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 70000\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n", b"PROXY " + b"x" * 500, v2(HOME)[:12] + b"\x31\x11\x00\x0c" + b"\0" * 12,
            v2(HOME)[:12] + b"\x21\x11\xff\xff" + b"\0" * 3000, b"\x16\x03\x01\x02\x00\x01\x00")
    for number, first in enumerate(junk, 1):
        c = through(server, first, banner=False)
        assert c.gone(), first
        until(lambda: len(server.events("proxy-refused", peer=BALANCER)) >= number, f"told: {first[:20]}")
    assert not server.events("accepted")


def test_proxy_half(t):
    """Half a header, or none: the connection ends as any idle one does, and has earned nothing."""
    server, _ = world(t, TEXT.replace("max_connections_per_client = 5", "idle_timeout = 2s"), users=())
    for first in (b"", b"\r\n", v2(HOME)[:20], v1(HOME)[:-1]):
        began = time.monotonic()
        c = through(server, first, banner=False)
        try:
            while c.read().code != 421:
                pass
        except Gone:
            pass
        assert 1 < time.monotonic() - began < 15, first


# --- XCLIENT ---


def test_xclient_login(t):
    """xclient_login = yes: the filter tells who logged in, and that login's rights hold, no others."""
    server, sink = world(t, TEXT)
    c = server.session("filtered", FILTER).ehlo()
    assert "LOGIN" in c.extensions["XCLIENT"]
    c.want(f"XCLIENT ADDR={HOTEL} LOGIN=terri@proseware.com HELO=laptop.example PROTO=ESMTP", "220")
    c.ehlo("laptop.example")
    c.mail("ceo@proseware.com")
    refused(server, c.cmd("RCPT TO:<bob@adatum.com>"), "553 5.7.1", "sender.not-yours")
    c.want("RSET", "250")
    c.mail("terri@proseware.com")
    c.rcpt("bob@adatum.com")
    c.data(letter("terri@proseware.com"))
    message = until(lambda: sink.messages, "relayed")[0]
    assert "laptop.example" in message.text and FILTER not in message.text
    accepted = server.event("accepted")
    assert (accepted["login"], accepted["client"], accepted["granted_by"]) == ("terri@proseware.com", HOTEL, "people")
    assert server.event("xclient")["peer"] == FILTER
    # Where it is not said, LOGIN is refused; somebody unknown has no rights at all.
    c = server.session("internet", FILTER).ehlo()
    assert "LOGIN" not in c.extensions["XCLIENT"]
    c.want(f"XCLIENT ADDR={HOTEL} LOGIN=terri@proseware.com", "501")
    assert relays(server.session("internet", HOTEL)).is_ == "550 5.7.1"
    c = server.session("filtered", FILTER).ehlo()
    c.want(f"XCLIENT ADDR={HOTEL} LOGIN=somebody@proseware.com", "220")
    assert relays(c).code == 550


def test_xclient_addresses(t):
    server, _ = world(t, TEXT, users=())
    for address, code in ((HOME, 250), (f"IPV6:{HOME6}", 250), (f"IPV6:::ffff:{HOME}", 250), (HOTEL, 550), ("IPV6:2001:db8:6::1", 550),
                          ("[UNAVAILABLE]", 550), ("[TEMPUNAVAIL]", 550)):
        c = server.session("internet", FILTER).ehlo()
        c.want(f"XCLIENT ADDR={address}", "220")
        reply = relays(c)
        assert reply.code == code, (address, reply)
    # Back to the filter itself it cannot talk its way: each XCLIENT counts anew.
    c = server.session("internet", FILTER).ehlo()
    c.want(f"XCLIENT ADDR={HOME}", "220")
    c.ehlo()
    c.want(f"XCLIENT ADDR={HOTEL}", "220")
    assert relays(c).is_ == "550 5.7.1"


def test_xclient_out_of_place(t):
    server, _ = world(t, TEXT, users=())
    c = server.session("internet", FILTER).ehlo()
    c.mail("terri@proseware.com")
    c.want(f"XCLIENT ADDR={HOME}", "503 5.5.1")
    c.want("RSET", "250")
    for line in ("XCLIENT", "XCLIENT ADDR", "XCLIENT ADDR=999.1.1.1", "XCLIENT COLOUR=red", f"XCLIENT ADDR={HOME} ADDR={HOTEL}",
                 "XCLIENT HELO=+0D+0AMAIL", "XCLIENT ADDR=+ZZ"):
        reply = c.cmd(line)
        assert 500 <= reply.code < 560, (line, reply)
    assert relays(c).is_.startswith("250"), "nothing of it was taken: the filter's own address is in the network"
    stranger = server.session("internet", HOTEL).ehlo()
    assert "XCLIENT" not in stranger.extensions
    assert stranger.cmd(f"XCLIENT ADDR={HOME}").code >= 500 and relays(stranger).is_ == "550 5.7.1"
