"""relay-cases.md, 1 to 20: who may send what from where, as a client meets it; and `postern why` says the same."""
import socket
import ssl
import time

from harness import until
from smtp_session import Gone, Session
from world import *

LOGIN = ("terri@proseware.com", "secret")


def submission(server, source=HOTEL, login=LOGIN):
    session = server.session("submission", source).ehlo().starttls().ehlo()
    if login:
        session.auth_plain(*login)
    return session


def test_case_01_home_to_ours(t):
    server, _ = world(t)
    c = server.session(source=HOME).ehlo()
    c.mail("ceo@proseware.com")
    reply = c.rcpt("terri@proseware.com")
    agrees(server, reply, client=HOME, **{"from": "ceo@proseware.com"}, to="terri@proseware.com")
    c.data(letter("ceo@proseware.com", "terri@proseware.com"))
    c.quit()
    assert b"Good day" in server.wait_maildir("terri@proseware.com")[0]


def test_case_02_home_to_elsewhere(t):
    server, sink = world(t)
    c = server.session(source=HOME).ehlo()
    c.mail("terri@proseware.com")
    reply = c.rcpt("bob@adatum.com")
    why = agrees(server, reply, client=HOME, **{"from": "terri@proseware.com"}, to="bob@adatum.com")
    assert why["connector"] == "office" and why["relay"]
    c.data(letter("terri@proseware.com", "bob@adatum.com"))
    until(lambda: sink.to("bob@adatum.com"), "relayed")
    assert server.event("accepted")["granted_by"] == "office"


def test_case_03_foreign_network_to_ours(t):
    server, _ = world(t)
    c = server.session(source=WORK).ehlo()
    c.mail("ceo@proseware.com")
    reply = c.rcpt("terri@proseware.com")
    agrees(server, reply, client=WORK, **{"from": "ceo@proseware.com"}, to="terri@proseware.com")
    c.data(letter("ceo@proseware.com", "terri@proseware.com"))
    assert server.wait_maildir("terri@proseware.com")


def test_case_04_foreign_network_to_elsewhere(t):
    server, sink = world(t)
    c = server.session(source=WORK).ehlo()
    c.mail("terri@proseware.com")
    reply = c.cmd("RCPT TO:<bob@adatum.com>")
    refused(server, reply, "550 5.7.1", "relay.no-grant", "Unable to relay")
    agrees(server, reply, "relay.no-grant", client=WORK, **{"from": "terri@proseware.com"}, to="bob@adatum.com")
    c.want("DATA", "5")
    c.quit()
    assert not sink.connections and server.queue() == []


def test_case_05_hotel_to_elsewhere(t):
    server, _ = world(t)
    c = server.session(source=HOTEL).ehlo()
    c.mail("terri@proseware.com")
    reply = c.cmd("RCPT TO:<bob@adatum.com>")
    refused(server, reply, "550 5.7.1", "relay.no-grant", "Unable to relay", "Log in", "outgoing server of the network")
    why = agrees(server, reply, "relay.no-grant", client=HOTEL, **{"from": "terri@proseware.com"}, to="bob@adatum.com")
    assert why["changes"][0]["safe"] and "log in" in why["changes"][0]["change"]
    assert [c["safe"] for c in why["changes"]] == sorted((c["safe"] for c in why["changes"]), reverse=True)


def test_case_05a_hotel_to_ours(t):
    server, _ = world(t)
    c = server.session(source=HOTEL).ehlo()
    c.mail("ceo@proseware.com")
    c.rcpt("terri@proseware.com")
    c.data(letter("ceo@proseware.com", "terri@proseware.com"))
    assert server.wait_maildir("terri@proseware.com")


def test_case_06_login_on_587_and_465(t):
    server, sink = world(t)
    first = submission(server)
    second = server.session("submissions", HOTEL, tls=True).ehlo()
    second.auth_login(*LOGIN)
    third = server.session("submission", HOTEL).ehlo().starttls().ehlo()
    third.auth_scram(*LOGIN)
    for number, c in enumerate((first, second, third)):
        c.mail("terri@proseware.com")
        reply = c.rcpt(f"bob{number}@adatum.com")
        c.data(letter("terri@proseware.com", f"bob{number}@adatum.com"))
        c.quit()
    agrees(server, reply, client=HOTEL, user=LOGIN[0], tls=True, **{"from": LOGIN[0]}, to="bob2@adatum.com")
    until(lambda: len(sink.messages) == 3, "three relayed")
    assert {e["mechanism"] for e in server.events("authenticated")} == {"PLAIN", "LOGIN", "SCRAM-SHA-256"}
    assert "secret" not in server.log.read_text()


def test_case_07_login_where_it_is_not_offered(t):
    server, _ = world(t, CASES.replace('"submission"  { bind = {"127.0.0.1:0"}', '"submission"  { bind = {"127.0.0.1:587"}'))
    c = server.session(source=HOTEL).ehlo()
    assert "AUTH" not in c.extensions
    reply = c.cmd("AUTH PLAIN AHRlcnJpQHByb3Nld2FyZS5jb20Ac2VjcmV0")
    refused(server, reply, "502 5.5.1", "auth.not-here", "587")


def test_case_09_wrong_password(t):
    server, _ = world(t)
    c = server.session("submission", HOTEL).ehlo().starttls().ehlo()
    pauses, began = [], time.monotonic()
    try:
        for attempt in range(12):
            reply = c.auth_plain("terri@proseware.com", f"wrong{attempt}", expected="")
            pauses.append(time.monotonic() - began)
            began = time.monotonic()
            if reply.code == 421:
                break
            refused(server, reply, "535 5.7.8", "auth.failed")
    except Gone:
        raise AssertionError("closed without 421")
    assert reply.code == 421, "never 421"
    assert pauses[-2] > pauses[-3] > pauses[0] + 0.5, f"no growing delay: {pauses}"
    assert c.gone()


def test_case_10_sender_not_ones_own(t):
    server, sink = world(t)
    c = submission(server)
    c.mail("terri@contoso.com")
    for to in ("bob@adatum.com", "ceo@proseware.com"):
        reply = c.cmd(f"RCPT TO:<{to}>")
        refused(server, reply, "553 5.7.1", "sender.not-yours")
        agrees(server, reply, "sender.not-yours", client=HOTEL, user=LOGIN[0], tls=True, **{"from": "terri@contoso.com"}, to=to)


def test_case_11_header_not_ones_own(t):
    server, sink = world(t, CASES.replace("senders = own", "senders = own  header_from = strict"))
    for more, kind in (("", "From"), ("Sender: <ceo@proseware.com>\n", "Sender"), ("Reply-To: <x@contoso.com>\n", "Reply-To")):
        c = submission(server)
        c.mail("terri@proseware.com")
        c.rcpt("bob@adatum.com")
        sender = "ceo@proseware.com" if kind == "From" else "terri@proseware.com"
        reply = c.data(letter(sender, "bob@adatum.com", more=more), expected="550 5.7.1")
        refused(server, reply, "550 5.7.1", "header.not-yours")
        c.quit()
    why = server.why(client=HOTEL, user=LOGIN[0], tls=True, to="bob@adatum.com", **{"from": LOGIN[0]}, header_from="ceo@proseware.com")
    assert (why["verdict"], why["reason"]) == ("refuse", "header.not-yours")
    assert server.queue() == [] and not sink.messages


def test_case_11_reply_to_is_free_unless_strict(t):
    server, sink = world(t)
    c = submission(server)
    c.mail("terri@proseware.com")
    c.rcpt("bob@adatum.com")
    c.data(letter("terri@proseware.com", "bob@adatum.com", more="Reply-To: <x@contoso.com>\n"))
    until(lambda: sink.messages, "relayed")


def test_case_12_send_as(t):
    server, sink = world(t)
    c = submission(server)
    c.mail("ceo@proseware.com")
    c.rcpt("bob@adatum.com", "553 5.7.1")
    server.command("user", "allow-sender", "terri@proseware.com", "ceo@proseware.com")

    def tried_anew():  # a transaction keeps what it learnt of its login when it began
        c.cmd("RSET")
        c.mail("ceo@proseware.com")
        reply = c.cmd("RCPT TO:<bob@adatum.com>")
        return reply.code == 250 and reply

    reply = until(tried_anew, "the right is known", 5, 0.3)
    agrees(server, reply, client=HOTEL, user=LOGIN[0], tls=True, **{"from": "ceo@proseware.com"}, to="bob@adatum.com")
    c.data(letter("ceo@proseware.com", "bob@adatum.com"))
    until(lambda: sink.messages, "relayed")


def test_case_14_copier(t):
    server, sink = world(t)
    c = server.session("submission", COPIER).ehlo()
    c.mail("scanner@proseware.com")
    reply = c.rcpt("bob@adatum.com")
    c.data(letter("scanner@proseware.com", "bob@adatum.com"))
    until(lambda: sink.messages, "relayed")
    agrees(server, reply, client=COPIER, listener="submission", **{"from": "scanner@proseware.com"}, to="bob@adatum.com")
    outside = server.session("submission", HOTEL).ehlo()
    refused(server, outside.cmd("MAIL FROM:<scanner@proseware.com>"), "530 5.7.0", "tls.required")
    outside.starttls().ehlo()
    refused(server, outside.cmd("MAIL FROM:<scanner@proseware.com>"), "530 5.7.0", "auth.required")
    plain = server.session(source=HOTEL).ehlo()
    plain.mail("scanner@proseware.com")
    refused(server, plain.cmd("RCPT TO:<bob@adatum.com>"), "550 5.7.1", "relay.no-grant")


def test_case_15_copier_as_somebody_else(t):
    server, _ = world(t)
    c = server.session("submission", COPIER).ehlo()
    c.mail("ceo@proseware.com")
    for to in ("bob@adatum.com", "terri@proseware.com"):
        reply = c.cmd(f"RCPT TO:<{to}>")
        refused(server, reply, "553 5.7.1", "sender.not-yours")
        agrees(server, reply, "sender.not-yours", client=COPIER, listener="submission", **{"from": "ceo@proseware.com"}, to=to)


def test_case_16_login_required(t):
    server, _ = world(t)
    c = server.session("submissions", HOTEL, tls=True).ehlo()
    reply = c.cmd("MAIL FROM:<terri@proseware.com>")
    refused(server, reply, "530 5.7.0", "auth.required")
    agrees(server, reply, "auth.required", client=HOTEL, listener="submissions", tls=True, **{"from": LOGIN[0]}, to="bob@adatum.com")


def test_case_17_tls_required(t):
    server, _ = world(t)
    c = server.session("submission", HOTEL).ehlo()
    assert "AUTH" not in c.extensions and "STARTTLS" in c.extensions
    for line in ("MAIL FROM:<terri@proseware.com>", "RCPT TO:<bob@adatum.com>", "DATA", "AUTH PLAIN AAA", "AUTH SCRAM-SHA-256",
                 "VRFY terri", "EXPN staff", "BDAT 5 LAST"):
        if line.startswith("BDAT"):
            c.send("BDAT 5 LAST\r\nhello")
            reply = c.read()
        else:
            reply = c.cmd(line)
        assert reply.is_ == "530 5.7.0" and "Must issue a STARTTLS command first" in reply.text, (line, reply)
    for line in ("NOOP", "HELO x.example", "EHLO x.example"):
        c.want(line, "250")
    c.starttls().ehlo()
    assert "AUTH" in c.extensions and "STARTTLS" not in c.extensions
    c.quit()
    server.session("submission", HOTEL).want("QUIT", "221")


def test_case_18_plain_without_tls(t):
    server, _ = world(t)
    for line in ("AUTH PLAIN AHRlcnJpQHByb3Nld2FyZS5jb20Ac2VjcmV0", "AUTH LOGIN"):
        c = server.session("offering", HOTEL).ehlo()
        assert "PLAIN" not in c.extensions.get("AUTH", [])
        refused(server, c.cmd(line), "538 5.7.11", "tls.required")
        c.quit()
    assert not server.events("authenticated")
    c = server.session("offering", HOTEL).ehlo()
    c.auth_scram(*LOGIN)


def test_case_19_mechanism_not_offered(t):
    server, _ = world(t)
    c = submission(server, login=None)
    reply = c.cmd("AUTH CRAM-MD5")
    refused(server, reply, "504 5.5.4", "auth.mechanism", "SCRAM-SHA-256", "PLAIN")
    c.auth_plain(*LOGIN)


def test_case_20_unknown_recipient(t):
    server, _ = world(t)
    c = server.session(source=HOTEL).ehlo()
    c.mail("x@adatum.com")
    reply = c.cmd("RCPT TO:<nobody@proseware.com>")
    refused(server, reply, "550 5.1.1", "recipient.unknown")
    agrees(server, reply, "recipient.unknown", client=HOTEL, **{"from": "x@adatum.com"}, to="nobody@proseware.com")
    c.rcpt("postmaster@proseware.com")
    c.rcpt("postmaster")
    c.data(letter("x@adatum.com", "postmaster@proseware.com"))


def test_case_30_ways_around(t):
    server, sink = world(t)
    tricks = ["user%adatum.com@proseware.com", '"user@adatum.com"@proseware.com', "@proseware.com:user@adatum.com",
              "adatum.com!user", "adatum.com!user@proseware.com", "user@[127.0.0.1]", "user@[127.0.0.25]", "user@adatum.com@proseware.com"]
    for source in (HOTEL, WORK):
        for trick in tricks:
            c = server.session(source=source).ehlo()
            c.mail("x@contoso.com")
            reply = c.cmd(f"RCPT TO:<{trick}>")
            assert 500 <= reply.code < 560, (trick, reply)
            c.quit()
    assert not sink.connections and server.queue() == []


def test_case_36_tls_on_the_wrong_port(t):
    server, _ = world(t)
    for listener in ("internet", "submission"):
        with socket.create_connection(server.at(listener)) as plain:
            context = ssl._create_unverified_context()
            try:
                context.wrap_socket(plain)
                raise AssertionError("a handshake on a plain port")
            except (ssl.SSLError, OSError):
                pass
        event = server.event("refused", listener=listener, reason="tls.wrong-port")
        assert "465" in str(event), event
    with socket.create_connection(server.at("submissions")) as plain:
        plain.sendall(b"EHLO x.example\r\n")
        plain.settimeout(10)
        got = b"".join(iter(lambda: plain.recv(1000), b""))
        assert not got.startswith(b"220"), got
    event = server.event("refused", listener="submissions", reason="tls.wrong-port")
    assert "587" in str(event), event


def test_case_37_two_from_fields_or_none(t):
    server, sink = world(t)
    good = letter("terri@proseware.com", "bob@adatum.com")
    without = good.split("\n", 1)[1]
    for content in ("From: <terri@proseware.com>\n" + good, without):
        c = submission(server)
        c.mail("terri@proseware.com")
        c.rcpt("bob@adatum.com")
        refused(server, c.data(content, expected="550 5.6.0"), "550 5.6.0", "syntax.header")
        c.quit()
    assert not sink.messages
