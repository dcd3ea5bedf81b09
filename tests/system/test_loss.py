"""250 means on disk: nothing that was acknowledged is ever missing, whatever is killed."""
import collections
import datetime
import os
import signal
import time

from harness import options, until
from load import Load
from world import *

WRITTEN_DOWN = 0.5  # seconds; a delivery is on disk by then (within 100 ms and a sync, it is promised)

FIXED = OURS + OFFICE + QUICK + """
listener "internet" { bind = {"127.0.0.1:2526"}  tls = off  auth = off  max_connections_per_client = 1000 }
"""


def seconds(event):
    return datetime.datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp()


def in_flight(server, kills):
    """Messages that had been accepted, and whose delivery was not on disk yet, at one of these times."""
    accepted, relayed = {}, {}
    for event in server.events("accepted"):
        accepted.setdefault(event["message_id"], seconds(event))
    for event in server.events("relayed"):
        relayed.setdefault(event["message_id"], seconds(event))
    return {
        id
        for id, at in accepted.items()
        if any(at <= kill + 0.05 and relayed.get(id, kill) > kill - WRITTEN_DOWN for kill in kills)
    }


@options(seconds=220, alone=True)
def test_kill_9(t):
    """20 times kill -9, of a worker or of the whole server, while 20 senders push 10,000 messages: each message that
    got 250 arrives, and only those in flight arrive twice."""
    t.zones(ADATUM)
    sink = t.sink(keep_data=False)
    server = t.server(FIXED, build="shipped")
    server.crashes_expected = True
    load = Load(t, server.at(), senders=20, count=10000, pace=0.04)
    kills, goal = [], 0
    for number in range(20):
        goal += 450
        until(lambda: load.progress() >= goal, f"{goal} messages taken", 120)
        if number % 2:
            server.kill()
            kills.append(time.time())
            server.start()
        else:
            workers = until(lambda: server.children_of("worker"), "a worker")
            os.kill(workers[number // 2 % len(workers)], signal.SIGKILL)
            kills.append(time.time())
    load.wait()
    assert not load.wrong, load.wrong[:5]
    assert len(load.acked) == load.count, f"only {len(load.acked)} of {load.count} got 250"
    arrived = collections.Counter()
    until(lambda: {m.id for m in list(sink.messages)} >= set(load.acked), "all arrived", 90, 0.5)
    server.wait_empty(30)
    for message in sink.messages:
        arrived[message.id] += 1
    double = {id for id, times in arrived.items() if times > 1}
    print(f"{len(load.acked)} acknowledged, {len(arrived)} arrived, {len(double)} twice, {len(load.doubtful)} without a reply")
    strange = double - load.doubtful - in_flight(server, kills)
    assert not strange, f"twice without being in flight: {sorted(strange)[:10]}"
    assert set(arrived) <= set(load.acked) | load.doubtful
    assert not server.events("spool-damage"), server.events("spool-damage")


@options(seconds=90)
def test_worker_killed_and_back(t):
    """The lane of a killed worker is served again, and mail that waited in it still goes out."""
    t.zones(ADATUM)
    sink = t.sink(replies={"RCPT": lambda to, sink: None if getattr(sink, "open", False) else "450 4.2.0 Later"})
    server = t.server(FIXED)
    server.crashes_expected = True
    load = Load(t, server.at(), senders=4, count=40, processes=2).wait()
    assert len(load.acked) == 40, load.wrong
    before = server.children_of("worker")
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(set(server.children_of("worker")) - set(before)) == 2, "two new workers")
    assert len(server.events("child-ended")) >= 2
    sink.open = True
    until(lambda: {m.id for m in list(sink.messages)} == set(load.acked), "all arrived", 40, 0.2)
    assert len(sink.messages) == 40
    c = server.session(source=HOME).ehlo()
    c.mail("terri@proseware.com")
    c.rcpt("bob@adatum.com")
    c.data(letter())


@options(seconds=90)
def test_stop_finishes_what_is_under_way(t):
    """SIGTERM: a session in the middle of a message may end it; new ones are turned away; then the server is gone."""
    t.zones(ADATUM)
    sink = t.sink()
    server = t.server(FIXED)
    idle = server.session(source=HOME).ehlo()
    c = server.session(source=HOME).ehlo()
    c.mail("terri@proseware.com")
    c.rcpt("bob@adatum.com")
    c.want("DATA", "354")
    c.send("From: <terri@proseware.com>\r\n")
    server.send_signal(signal.SIGTERM)
    server.event("stopping")
    c.send("Subject: last\r\n\r\nwords\r\n.\r\n")
    assert c.read().code == 250
    assert c.gone()
    try:
        assert idle.read().is_ == "421 4.3.2", idle.last
    except AssertionError:
        raise
    assert idle.gone()
    assert server.process.wait(30) == 0
    server.start()
    until(lambda: sink.messages, "the last message goes out", 20)
    assert len(sink.messages) == 1


@options(seconds=120)
def test_everything_survives_a_restart(t):
    t.zones(ADATUM)
    sink = t.sink(replies={"RCPT": lambda to, sink: None if getattr(sink, "open", False) else "450 4.2.0 Later"})
    server = t.server(FIXED, workers=2)
    load = Load(t, server.at(), senders=4, count=60, processes=2).wait()
    assert len(load.acked) == 60, load.wrong
    server.stop()
    server.workers = 1  # its lanes are served all the same
    server.write(FIXED)
    server.start()
    assert {m["id"] for m in server.queue()} == set(load.acked.values())
    sink.open = True
    server.command("queue", "retry", "--all", code=None)
    until(lambda: {m.id for m in list(sink.messages)} == set(load.acked), "all arrived", 40, 0.2)
    server.wait_empty()
    time.sleep(0.5)  # what was settled is on disk a tenth of a second later; before that a kill may double it
    server.kill()
    server.start()
    assert server.queue() == []
    assert len(sink.messages) == 60
