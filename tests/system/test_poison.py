"""A message that ends the worker which works on it: the program is postern-with-faults, in which sending to
crash-the-worker@ anywhere does that."""
import json
from pathlib import Path

from harness import until
from smtp_session import Gone
from world import *

POISON = "crash-the-worker@adatum.com"


def poisoned(t, **how):
    server, sink = world(t, start=False, users=(), **how)
    server.binary = Path(t.builds["sanitized"]) / "tests/system/postern-with-faults"
    server.crashes_expected = True
    server.start()
    return server, sink


def send(server, recipient):
    c = server.session(source=HOME).ehlo()
    c.mail("terri@proseware.com")
    c.rcpt(recipient)
    c.data(letter("terri@proseware.com", recipient))
    c.quit()


def try_send(server, recipient):
    """False when the worker ended under it."""
    try:
        send(server, recipient)
        return True
    except (OSError, Gone, AssertionError):
        return False


def of(server, recipient):
    """The messages to it that can be seen at this moment: a worker may be on its way back."""
    lines = server.run("queue", "list", "--json").stdout.splitlines()
    return [m for m in map(json.loads, lines) if any(r["address"] == recipient for r in m.get("recipients", []))]


def state(server, recipient):
    return [r["state"] for m in of(server, recipient) for r in m["recipients"] if r["address"] == recipient]


def wait_held(server, recipient=POISON):
    until(lambda: state(server, recipient) == ["held"], f"{recipient} held", 60, 0.2)


def test_poison_is_held(t):
    server, sink = poisoned(t, workers=1)
    send(server, POISON)
    wait_held(server)
    crashes = [e for e in server.events("child-ended") if e["child"] == "worker"]
    message = of(server, POISON)[0]
    assert len(crashes) == 2 and {e["message"] for e in crashes} == {message["id"]}, crashes
    event = server.event("held")
    assert event["alarm"] and event["message"] == message["id"] and event["to"] == POISON, event
    assert "crashed twice" in message["recipients"][0]["reply"], message
    send(server, "bob@adatum.com")
    until(lambda: sink.to("bob@adatum.com"), "other mail")
    assert len([e for e in server.events("child-ended") if e["child"] == "worker"]) == 2


def test_poison_released(t):
    server, _ = poisoned(t, workers=1)
    send(server, POISON)
    wait_held(server)
    server.command("queue", "release", of(server, POISON)[0]["id"])
    # Tried again, and as nothing was mended, held again after two more crashes.
    until(lambda: len(server.events("held")) == 2, "held again", 60)
    wait_held(server)
    assert len([e for e in server.events("child-ended") if e["child"] == "worker"]) == 4


def test_poison_among_others(t):
    """Both workers, several bad messages at once, good ones in between: every good one arrives."""
    server, sink = poisoned(t, workers=2)
    bad = [f"crash-the-worker@{name}.adatum.com" for name in ("one", "two", "three")]
    for name in ("one", "two", "three"):
        t.zones({f"{name}.adatum.com": {"MX": ["10 mx.adatum.com"]}})
    good = [f"user{i}@adatum.com" for i in range(12)]
    for i, recipient in enumerate(good):
        until(lambda: try_send(server, recipient), f"sent to {recipient}", 60, 0.2)
        if i % 4 == 1:
            until(lambda: try_send(server, bad[i // 4]), "a bad one sent", 60, 0.2)
    for recipient in bad:
        wait_held(server, recipient)
    until(lambda: all(sink.to(recipient) for recipient in good), "all good ones", 60)
