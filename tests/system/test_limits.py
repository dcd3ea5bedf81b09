"""relay-cases.md, 13, 23 and 24, with real processes: limits that workers share, that outlive them and the server, that
`postern why` knows; and customers under one roof."""
import os
import re
import signal
import threading

from harness import until
from world import *

LIMITED = """
connector "people" { auth = any  may_relay_to = {"*"}  senders = own  limit = {"5/day"} }
"""

TEXT = 'postmaster = "boss@proseware.com"\n' + OURS + LISTENERS + LIMITED + OFFICE + QUICK
TERRI = "terri@proseware.com"


def log_in(server, login=TERRI, listener="submissions", source=HOTEL):
    how = {"tls": True} if listener == "submissions" else {}
    session = server.session(listener, source, **how).ehlo()
    session.auth_plain(login, "secret")
    return session


def submit(session, sender=TERRI, to="bob@adatum.com"):
    session.mail(sender)
    reply = session.cmd(f"RCPT TO:<{to}>")
    if reply.code == 250:
        session.data(letter(sender, to))
    return reply


def test_case_24_a_day_is_used_up(t):
    server, _ = world(t, TEXT, users=USERS + ("boss@proseware.com",))
    c = log_in(server)
    for _ in range(5):
        assert submit(c).code == 250
    reply = submit(c)
    event = refused(server, reply, "450 4.7.1", "limit.messages", "The limit of 5 messages in 1d for login terri@")
    until_ = re.search(r"until (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)", reply.text)[1]
    assert event["login"] == TERRI
    alarm = server.event("limit-reached", login=TERRI)
    assert alarm["alarm"] and alarm["most"] == 5 and alarm["limit"] == "connector people"
    mail = server.wait_maildir("boss@proseware.com")[0]
    assert b"limit-reached" in mail and b"stolen password" in mail
    # Another login has its own; why knows both, now and when there is room again.
    assert submit(log_in(server, "ceo@proseware.com"), "ceo@proseware.com").code == 250
    facts = {"client": HOTEL, "listener": "submissions", "to": "bob@adatum.com"}
    why = agrees(server, reply, "limit.messages", user=TERRI, **{"from": TERRI}, **facts)
    assert until_ in why["text"], (until_, why["text"])
    assert why["changes"][0]["kind"] == "wait" and why["changes"][0]["argument"] == until_
    assert server.why(user=TERRI, **{"from": TERRI}, at=until_, **facts)["verdict"] == "accept"
    assert server.why(user=TERRI, **{"from": TERRI}, offline=True, **facts)["verdict"] == "accept"
    assert server.why(user=TERRI, **{"from": TERRI}, sent=5, **facts)["reason"] == "limit.messages"
    ceo = "ceo@proseware.com"
    assert server.why(user=ceo, **{"from": ceo}, **facts)["verdict"] == "accept"


def test_limits_outlive_worker_and_server(t):
    server, _ = world(t, TEXT)
    server.crashes_expected = True
    c = log_in(server)
    for _ in range(4):
        assert submit(c).code == 250
    c.mail(TERRI)
    c.rcpt("bob@adatum.com")  # the last place is held while this message is under way
    other = log_in(server)
    other.mail(TERRI)
    assert other.cmd("RCPT TO:<bob@adatum.com>").code == 450
    for pid in server.children_of("worker"):
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(server.events("child-ended")) >= 2, "workers that ended")

    def again():
        try:
            session = log_in(server)
        except Exception:
            return None
        return session

    c = until(again, "workers again")
    assert submit(c).code == 250  # what the dead held was given back; what was taken still counts
    assert submit(c).code == 450
    server.stop()
    facts = {"client": HOTEL, "listener": "submissions", "user": TERRI, "from": TERRI, "to": "bob@adatum.com"}
    done = server.run("why", *sum((["--" + k, v] for k, v in facts.items()), []))
    assert done.returncode == 0 and "no server" in done.stderr, done.stderr
    server.start()
    assert submit(log_in(server)).code == 450
    server.kill()
    server.start()
    assert submit(log_in(server)).code == 450


def test_workers_and_sessions_together(t):
    """Twenty sessions at once on four workers: exactly as many messages as there are places."""
    text = TEXT.replace("5/day", "30/day")
    server, sink = world(t, text, workers=4)
    taken, lock = [], threading.Lock()

    def send():
        c = log_in(server)
        for _ in range(4):
            if submit(c).code == 250:
                with lock:
                    taken.append(1)
        c.quit()

    threads = [threading.Thread(target=send) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 30, len(taken)
    assert len(server.events("accepted", login=TERRI)) == 30


def test_case_23_recipients_of_one_message(t):
    text = TEXT.replace("limit = {", "max_recipients = 500  limit_recipients = {\"600/day\"}  limit = {")
    server, sink = world(t, text)
    c = log_in(server)
    c.mail(TERRI)
    for i in range(500):
        c.rcpt(f"u{i}@adatum.com")
    reply = c.cmd("RCPT TO:<last@adatum.com>")
    refused(server, reply, "452 4.5.3", "limit.recipients", "500 recipients")
    agrees(server, reply, "limit.recipients", client=HOTEL, listener="submissions", user=TERRI, **{"from": TERRI},
           to="last@adatum.com", recipients=501)
    c.data(letter(TERRI, "u0@adatum.com"))
    c.mail(TERRI)
    for i in range(100):
        c.rcpt(f"u{i}@adatum.com")
    reply = c.cmd("RCPT TO:<last@adatum.com>")
    refused(server, reply, "450 4.7.1", "limit.recipients", "600 recipients in 1d")


TENANTS = OURS + """
domain "northwind.example" {}
tenant "northwind" {
    domains = {"northwind.example"}  hostname = "box.northwind.example"  address = "127.0.0.40"
    clients = {"127.0.2.0/24"}  limit = {"2/day"}  admins = {"admin@northwind.example"}
}
listener "box" { bind = {"127.0.0.40:0"} tls = offer auth = offer }
""" + LISTENERS + PEOPLE + QUICK


def test_case_13_and_a_tenants_face(t):
    anna = "anna@northwind.example"
    server, sink = world(t, TENANTS, users=(TERRI, anna))
    assert server.session("box", HOTEL).banner.text.startswith("box.northwind.example")
    c = log_in(server, anna)  # AUTH is answered as usual
    for to in ("bob@adatum.com", anna, TERRI):
        c.mail(anna)
        reply = c.cmd(f"RCPT TO:<{to}>")
        refused(server, reply, "550 5.7.1", "relay.tenant-network")
        agrees(server, reply, "relay.tenant-network", client=HOTEL, listener="submissions", user=anna,
               **{"from": anna}, to=to)
        c.cmd("RSET")
    c = log_in(server, anna, source=HOME)
    assert submit(c, anna).code == 250
    assert submit(log_in(server)).code == 250
    until(lambda: len(sink.to("bob@adatum.com")) >= 2, "both relayed")
    hops = {e["from"]: e["next_hop"] for e in server.events("relayed")}
    assert hops == {anna: "mx:adatum.com@northwind", TERRI: "mx:adatum.com"}, hops
    assert submit(c, anna).code == 250
    reply = submit(c, anna)
    refused(server, reply, "450 4.7.1", "limit.messages", "for this customer")
    assert server.event("limit-reached", limit="tenant northwind")["tenant"] == "northwind"
