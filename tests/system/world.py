"""The world of relay-cases: proseware.com is ours, its authorised network is 127.0.2.0/24, adatum.com is somebody
else's, with its mail server on 127.0.0.25."""
import re

from smtp_session import letter  # noqa: F401

HOME, COPIER, WORK, HOTEL, PARTNER = "127.0.2.77", "127.0.2.17", "127.0.40.4", "127.0.51.1", "127.0.60.6"

LISTENERS = """
listener "internet"    { bind = {"127.0.0.1:0"}  tls = offer     auth = off }
listener "submission"  { bind = {"127.0.0.1:0"}  tls = require   auth = require }
listener "submissions" { bind = {"127.0.0.1:0"}  tls = implicit  auth = require }
listener "offering"    { bind = {"127.0.0.1:0"}  tls = offer     auth = offer }
"""

OURS = 'domain "proseware.com" {}\n'

PEOPLE = """
connector "people" { auth = any  may_relay_to = {"*"}  senders = own }
"""

OFFICE = """
connector "office" {
    clients = {"127.0.2.0/24"}  except = {"127.0.2.16/28"}  listeners = {"internet"}
    may_relay_to = {"*"}  senders = {"*@proseware.com"}  note = "the access network"
}
"""

COPIERS = """
connector "copiers" {
    clients = {"127.0.2.16/28"}  without_auth_on = {"submission"}  without_tls_on = {"submission"}
    may_relay_to = {"*"}  senders = {"scanner@proseware.com"}  note = "second floor, can do neither AUTH nor TLS"
}
"""

QUICK = 'queue { retry = {"1s"} }\n'

CASES = OURS + LISTENERS + PEOPLE + OFFICE + COPIERS + QUICK

ADATUM = {
    "adatum.com": {"MX": ["10 mx.adatum.com"]},
    "mx.adatum.com": {"A": ["127.0.0.25"]},
}

USERS = ("terri@proseware.com", "scanner@proseware.com", "ceo@proseware.com")


def world(t, text=CASES, users=USERS, **how):
    """A server with these users, and adatum.com's sink."""
    t.zones(ADATUM)
    sink = t.sink() if how.pop("sink", True) else None
    server = t.server(text, **how)
    for user in users:
        server.user(user)
    return server, sink


def refused(server, reply, expected, reason, *words):
    """A refusal as promised: right codes, one line, the reason, words a person can act on, and the session
    id, which finds the event. Returns the event."""
    assert reply.is_.startswith(expected), f"expected {expected}, got {reply}"
    assert len(reply.lines) == 1 and len(reply.text) <= 506, reply
    found = re.search(r"\[([a-z.-]+) (\w+)\]$", reply.text)
    assert found, f"no reason and session id in: {reply}"
    assert found[1] == reason, reply
    event = server.event("refused", session=found[2], reason=reason, code=reply.code)
    for word in words:
        assert word in reply.text, f"'{word}' is missing in: {reply}"
    return event


def agrees(server, reply, reason=None, **facts):
    """`postern why` gives the same verdict for the same facts."""
    why = server.why(**facts)
    if reply.code < 300:
        assert why["verdict"] == "accept", why
        return why
    assert why["verdict"] == ("later" if reply.code < 500 else "refuse"), why
    assert f"{why['code']} {why['enhanced']}" == reply.is_, (why, reply)
    assert why["reason"] == reason, why
    assert why["rules"], why
    return why
