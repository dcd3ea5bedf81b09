"""What is asked about callers from outside: DNS lists, names, the greylist, with the resolver and several workers."""
import os
import signal

from harness import until
from world import *

LISTS = 'blocklists = {"zen.example"}\nallowlists = {"white.example"}\n'


def listed(address, zone="zen.example"):
    return ".".join(reversed(address.split("."))) + "." + zone


def rcpt(server, source, to="terri@proseware.com", listener="internet", sender="<a@elsewhere.example>"):
    c = server.session(listener, source=source)
    c.ehlo("gw.elsewhere.example")
    c.want(f"MAIL FROM:{sender}", "250")
    reply = c.cmd(f"RCPT TO:<{to}>")
    c.close()
    return reply


def test_case_25_listed(t):
    dns = t.zones({
        listed(HOTEL): {"A": ["127.0.0.2"], "TXT": ["sent spam"]},
        listed(HOME): {"A": ["127.0.0.2"]},
        listed(WORK): {"A": ["127.0.0.2"]},
        listed(WORK, "white.example"): {"A": ["127.0.0.2"]},
    })
    server, sink = world(t, LISTS + CASES)
    reply = rcpt(server, HOTEL)
    refused(server, reply, "550 5.7.1", "reputation.blocklist", HOTEL, "zen.example", "sent spam")
    agrees(server, reply, "reputation.blocklist", client=HOTEL, to="terri@proseware.com", **{"from": "a@elsewhere.example"})
    why = server.why(client=PARTNER, listed="zen.example", offline=True, to="terri@proseware.com", **{"from": "a@elsewhere.example"})
    assert why["reason"] == "reputation.blocklist", why
    why = server.why(client=HOTEL, offline=True, to="terri@proseware.com", **{"from": "a@elsewhere.example"})
    assert why["verdict"] == "accept", why
    for source in HOME, WORK:
        assert rcpt(server, source).code == 250, source
    assert rcpt(server, HOTEL, to="postmaster@proseware.com").code == 250
    # A login is exempt.
    c = server.session("submissions", source=HOTEL, tls=True)
    c.ehlo("hotel.example")
    c.auth_plain("terri@proseware.com", "secret")
    c.mail("terri@proseware.com")
    c.rcpt("ceo@proseware.com")


def test_case_27_resolver_down(t):
    t.zones({listed(HOTEL): {"A": ["127.0.0.2"]}})
    server, _ = world(t, LISTS + CASES, workers=1)
    server.crashes_expected = True
    assert rcpt(server, HOTEL).code == 550
    # It stands still, as one does whose servers are out of reach: no time is lost for long, and no mail.
    for pid in server.children_of("resolver"):
        os.kill(pid, signal.SIGSTOP)
    try:
        assert rcpt(server, HOTEL).code == 250
        server.event("list-skipped", list="zen.example")
    finally:
        for pid in server.children_of("resolver"):
            os.kill(pid, signal.SIGCONT)
    until(lambda: rcpt(server, HOTEL).code == 550, "listed again")


def test_greylist_over_workers_and_restart(t):
    server, _ = world(t, 'greylist = on\ngreylist_delay = 2s\n' + CASES, workers=3)
    first = rcpt(server, HOTEL)
    refused(server, first, "450 4.7.1", "reputation.greylist")
    agrees(server, first, "reputation.greylist", client=HOTEL, to="terri@proseware.com", **{"from": "a@elsewhere.example"})
    assert server.why(client=HOTEL, retried=True, to="terri@proseware.com", **{"from": "a@elsewhere.example"})["verdict"] == "accept"
    until(lambda: rcpt(server, HOTEL).code == 250, "it has come back")
    assert all(rcpt(server, HOTEL).code == 250 for _ in range(6)), "each worker knows it"
    server.stop()
    server.start()
    assert rcpt(server, HOTEL).code == 250
    assert rcpt(server, HOME, sender="<terri@proseware.com>", to="ceo@proseware.com").code == 250


def test_tripwire_over_workers(t):
    server, _ = world(t, CASES + """
connector "lan" { clients = {"127.0.70.0/24"}  may_relay_to = {"*"}  senders = any  note = "containers" }
tripwire_senders = 4
""", workers=3)
    lan = "127.0.70.7"

    def relay(i):
        c = server.session("internet", source=lan)
        c.ehlo(f"h{i}.bulk{i}.example")
        c.want(f"MAIL FROM:<a@d{i}.example>", "250")
        reply = c.cmd("RCPT TO:<bob@adatum.com>")
        c.close()
        return reply

    assert server.command("grants", "list") == "no grant is suspended\n"
    assert [relay(i).code for i in range(3)] == [250, 250, 250]
    refused(server, relay(3), "450 4.7.1", "relay.grant-suspended", lan)
    event = server.event("grant-suspended", client=lan)
    assert event["connector"] == "lan" and event["senders"] == 4 and event["alarm"], event
    for pid in server.children_of("worker"):  # what they share outlives them
        server.crashes_expected = True
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(server.children_of("worker")) == 3, "workers again")
    facts = dict(client=lan, to="bob@adatum.com", **{"from": "a@d1.example"})
    agrees(server, relay(1), "relay.grant-suspended", **facts)
    assert server.why(offline=True, **facts)["verdict"] == "accept"
    assert len(server.events("grant-suspended")) == 1
    server.stop()
    server.start()
    assert relay(1).code == 450, "it survives a restart"
    assert [g["address"] for g in server.json("grants", "list")] == [lan]
    server.command("grants", "resume", "127.0.70.8", code=1)
    assert server.command("grants", "resume", lan) == "resumed 1\n"
    server.event("grant-resumed", client=lan)
    assert relay(1).code == 250
