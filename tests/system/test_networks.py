"""Addresses behind which anybody may be: default gateways and this host's own bridge addresses, IPv4 and IPv6, come and
gone while the server runs. (The plain case, seen from a neighbour's machine: test_doors.)"""
import json
import subprocess

from harness import Skip, need_root, options, tool, until
from smtp_session import Session
from world import *

LAN, LAN6 = "10.7.0", "fd07:1"
PORT = 2530

TEXT = OURS + PEOPLE + QUICK + f"""
listener "internet"   {{ bind = {{"*:{PORT}"}}  tls = offer  auth = offer }}
listener "proxied"    {{ bind = {{"127.0.0.1:{PORT + 1}"}}  tls = off  auth = off  proxy_protocol_from = {{"127.0.9.9"}} }}
connector "lan" {{
    clients = {{"{LAN}.0/24", "{LAN6}::/64", "10.8.0.0/24"}}
    may_relay_to = {{"*"}}  senders = any  note = "the LAN"
}}
"""


def ip(*words):
    done = subprocess.run([tool("ip"), *" ".join(words).split()], text=True, capture_output=True)
    if done.returncode:
        raise Skip(f"ip {' '.join(words)}: {done.stderr.strip()}")


def network():
    """All addresses are this host's own, so that the test can speak from each of them: the gateway (.1), us (.2), a
    neighbour (.7)."""
    need_root()
    ip("link add lan0 type veth peer name far0")  # nobody is at the far end
    ip("link set lan0 up")
    ip("link set far0 up")
    for last in (2, 1, 7, 8):  # with the first one the others would go
        ip(f"addr add {LAN}.{last}/24 dev lan0")
        ip(f"-6 addr add {LAN6}::{last}/64 dev lan0 nodad")


def asked(source, sender="x@contoso.com"):
    c = Session(f"{LAN6}::2" if ":" in source else f"{LAN}.2", PORT, source=source).ehlo()
    c.mail(sender)
    reply = c.cmd("RCPT TO:<bob@adatum.com>")
    c.close()
    return reply


def granted(source):
    reply = asked(source)
    assert reply.code == 250 or reply.is_ == "550 5.7.1", reply
    return reply.code == 250


def soon(source, wanted):
    until(lambda: granted(source) == wanted, f"{source} is {'granted' if wanted else 'refused'}", 10, 0.1)


@options(seconds=90)
def test_gateways_of_both_families(t):
    network()
    # A route may lead through an address that answers nobody, if it is not ours.
    ip(f"addr del {LAN}.1/24 dev lan0")
    ip(f"-6 addr del {LAN6}::1/64 dev lan0")
    ip(f"route add default via {LAN}.1 dev lan0")
    ip(f"-6 route add default via {LAN6}::1 dev lan0")
    # Now it is ours as well: what comes from there looks as what NAT there lets through.
    ip(f"addr add {LAN}.1/32 dev lo")
    ip(f"-6 addr add {LAN6}::1/128 dev lo nodad")
    server, sink = world(t, TEXT)
    for source in (f"{LAN}.7", f"{LAN6}::7"):
        assert granted(source), source
    for source in (f"{LAN}.1", f"{LAN6}::1"):
        reply = asked(source)
        assert reply.is_ == "550 5.7.1" and "relay.no-grant" in reply.text, reply
    event = server.events("refused")[-1]
    assert "gateway" in json.dumps(event["rules"]), event
    # A login there is a login; mail for us is mail for us.
    c = Session(f"{LAN}.2", PORT, source=f"{LAN}.1").ehlo().starttls().ehlo()
    c.auth_plain("terri@proseware.com", "secret")
    c.mail("terri@proseware.com")
    c.rcpt("bob@adatum.com")
    c = Session(f"{LAN}.2", PORT, source=f"{LAN}.1").ehlo()
    c.mail("x@contoso.com")
    c.rcpt("terri@proseware.com")
    # why says the same.
    why = server.why(client=f"{LAN}.1", listener="internet", to="bob@adatum.com", **{"from": "x@contoso.com"})
    assert why["reason"] == "relay.no-grant" and "gateway" in json.dumps(why["rules"]), why
    assert server.why(client=f"{LAN}.7", listener="internet", to="bob@adatum.com", **{"from": "x@contoso.com"})["verdict"] == "accept"
    # And who claims to be the gateway, through a balancer, earns no more.
    c = Session("127.0.0.1", PORT + 1, source="127.0.9.9", first=f"PROXY TCP4 {LAN}.1 127.0.0.1 1 25\r\n".encode()).ehlo()
    c.mail("x@contoso.com")
    c.want("RCPT TO:<bob@adatum.com>", "550 5.7.1")


@options(seconds=90)
def test_gateways_come_and_go(t):
    """A default route that appears, moves and disappears; two next hops at once; a route to some network is none."""
    network()
    server, _ = world(t, TEXT, users=())
    assert granted(f"{LAN}.7") and granted(f"{LAN6}::7")
    ip(f"addr del {LAN}.7/24 dev lan0")
    ip(f"route add default via {LAN}.7 dev lan0")
    ip(f"addr add {LAN}.7/32 dev lo")
    soon(f"{LAN}.7", False)
    assert granted(f"{LAN}.8")
    ip("route del default")
    soon(f"{LAN}.7", True)
    ip(f"addr del {LAN}.7/32 dev lo")
    ip(f"addr del {LAN}.8/24 dev lan0")
    ip(f"route add default nexthop via {LAN}.7 dev lan0 nexthop via {LAN}.8 dev lan0")
    ip(f"addr add {LAN}.7/32 dev lo")
    ip(f"addr add {LAN}.8/32 dev lo")
    soon(f"{LAN}.7", False)
    soon(f"{LAN}.8", False)
    ip("route del default")
    soon(f"{LAN}.7", True)
    soon(f"{LAN}.8", True)
    ip(f"addr del {LAN}.7/32 dev lo")
    ip(f"route add 192.0.2.0/24 via {LAN}.7 dev lan0")
    ip(f"addr add {LAN}.7/32 dev lo")
    assert granted(f"{LAN}.7")


@options(seconds=90)
def test_bridges_come_and_go(t):
    """A container network that starts after the server: the bridge's own address is where its NAT speaks from."""
    network()
    server, _ = world(t, TEXT, users=())
    ip("link add plain0 type veth peer name far1")
    ip("link set plain0 up")
    ip("addr add 10.8.0.1/24 dev plain0")

    def from_there():
        c = Session("10.8.0.1", PORT, source="10.8.0.1").ehlo()
        c.mail("x@contoso.com")
        return c.cmd("RCPT TO:<bob@adatum.com>").code

    assert from_there() == 250, "an address of this host on a plain interface is like any other"
    ip("link del plain0")
    ip("link add br7 type bridge")
    ip("addr add 10.8.0.1/24 dev br7")
    ip("link set br7 up")
    until(lambda: from_there() == 550, "the bridge's address earns nothing", 10, 0.1)
    ip("addr add 10.8.0.5/24 dev br7")
    ip("addr del 10.8.0.1/24 dev br7")
    ip("addr add 10.8.0.1/32 dev lo")
    until(lambda: from_there() == 250, "it is no longer the bridge's", 10, 0.1)
    ip("link del br7")


@options(seconds=90)
def test_check_names_gateways(t):
    """Named outright they are an error, for check, serve and reload; inside a network a warning; with an exception nothing."""
    network()
    ip(f"addr del {LAN}.1/24 dev lan0")
    ip(f"route add default via {LAN}.1 dev lan0")
    ip("link add br7 type bridge")
    ip("addr add 10.8.0.1/24 dev br7")
    ip("link set br7 up")
    server, _ = world(t, TEXT, users=())

    def findings(clients, more=""):
        text = TEXT.replace(f'"{LAN}.0/24", "{LAN6}::/64", "10.8.0.0/24"', clients).replace("senders = any", "senders = any " + more)
        server.write(text)
        done = server.run("check", "--json")
        found = json.loads(done.stdout)["findings"]
        return done.returncode, {f["severity"] for f in found if "gateway" in f["text"]}, text

    for clients in (f'"{LAN}.1"', f'"{LAN}.1/32", "192.0.2.0/24"', '"10.8.0.1"', f'"::ffff:{LAN}.1"'):
        code, severities, text = findings(clients)
        assert code == 1 and severities == {"error"}, (clients, code, severities)
        assert server.reload(text)["event"] == "reload-refused"
    assert granted(f"{LAN}.7"), "the old one holds"
    code, severities, _ = findings(f'"{LAN}.0/24"')
    assert code == 0 and severities == {"warning"}
    code, severities, _ = findings(f'"{LAN}.0/24"', f'except = {{"{LAN}.1"}}')
    assert code == 0 and not severities
    server.stop()
    server.write(findings(f'"{LAN}.1"')[2])
    server.start(ready=False)
    assert server.process.wait(20) == 78
    server.process = None
