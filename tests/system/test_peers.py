"""Real clients in front, real servers behind."""
import email.policy
import os
import smtplib
import subprocess
from email.message import EmailMessage

from harness import Skip, options, tool, until
from peers import ROOT, Peers
from test_outbound import certificate, hand_in, ndr
from world import *

LOGIN = ("terri@proseware.com", "secret")


def run(*command, code=0, **more):
    done = subprocess.run([str(c) for c in command], text=True, capture_output=True, timeout=60, **more)
    assert done.returncode == code, done
    return done.stdout + done.stderr


# --- in front -----------------------------------------------------------------------------


def test_swaks(t):
    server, sink = world(t)
    swaks = tool("swaks")

    def say(listener, *more, source=HOTEL, code=0, to="bob@adatum.com"):
        address, port = server.at(listener)
        return run(swaks, "--server", address, "--port", port, "--local-interface", source, "--from", LOGIN[0], "--to", to,
                   "--h-From", LOGIN[0], "--helo", "client.example", *more, code=code)

    logins = ("--auth-user", LOGIN[0], "--auth-password", LOGIN[1])
    say("internet", source=HOME)
    say("submission", "-tls", "--auth", "PLAIN", *logins)
    say("submissions", "-tlsc", "--auth", "LOGIN", *logins)
    until(lambda: len(sink.messages) == 3, "three relayed")
    assert "Unable to relay" in say("internet", code=24)
    assert "530" in say("submission", "-tls", code=23)
    assert "535" in say("submission", "-tls", "--auth", "PLAIN", "--auth-user", LOGIN[0], "--auth-password", "no", code=28)


def test_smtplib(t):
    server, sink = world(t)
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = LOGIN[0], "bob@adatum.com", "Grüße"
    message.set_content("Ärger mit Umlauten\n.\n..zwei Punkte\n" + "x" * 2000 + "\n")
    message.add_attachment(os.urandom(300000), maintype="application", subtype="octet-stream", filename="random")
    with smtplib.SMTP(*server.at("submission"), source_address=(HOTEL, 0), timeout=30) as c:
        c.starttls()
        c.login(*LOGIN)
        raw = message.as_bytes(policy=email.policy.SMTP)
        c.sendmail(LOGIN[0], ["bob@adatum.com"], raw)
        c.sendmail(LOGIN[0], ["bob@adatum.com"], raw)
    until(lambda: len(sink.messages) == 2, "two relayed")
    for got in sink.messages:
        assert got.data.split(b"\r\n\r\n", 1)[1] == raw.split(b"\r\n\r\n", 1)[1], "the body changed on its way"
        assert got.session.bare_newlines == 0


def test_msmtp(t):
    server, sink = world(t)
    address, port = server.at("submission")
    config = t.folder / "msmtprc"
    config.write_text(f"""account default
host {address}
port {port}
from {LOGIN[0]}
auth scram-sha-256
user {LOGIN[0]}
password {LOGIN[1]}
tls on
tls_starttls on
tls_certcheck off
source_ip {HOTEL}
""")
    config.chmod(0o600)
    run(tool("msmtp"), "-C", config, "bob@adatum.com", input=letter(LOGIN[0]))
    until(lambda: sink.messages, "relayed")
    assert server.events("authenticated")[0]["mechanism"].startswith("SCRAM-SHA-256")
    config.write_text(config.read_text().replace("auth scram-sha-256", "auth plain").replace("password secret", "password wrong"))
    assert "535" in run(tool("msmtp"), "-C", config, "bob@adatum.com", input=letter(LOGIN[0]), code=77)


def test_nodemailer(t):
    server, sink = world(t)
    if not (ROOT / "usr/share/nodejs/nodemailer").exists():
        raise Skip("nodemailer could not be fetched")
    script = """
const [where, port, secure, user, pass, local] = process.argv.slice(2);
const transport = require('nodemailer').createTransport({ host: where, port: +port, secure: secure === 'yes', auth: { user, pass },
    tls: { rejectUnauthorized: false }, localAddress: local, pool: true, maxConnections: 3 });
const mail = (n) => transport.sendMail({ from: user, to: `bob${n}@adatum.com, carl@adatum.com`, subject: 'Nodemailer ✓', text: 'plain', html: '<p>rich</p>',
    attachments: [{ filename: 'a.txt', content: '.\\r\\n..\\r\\n' }] });
Promise.all([0, 1, 2, 3, 4].map(mail)).then(() => process.exit(0), (e) => { console.error(e.message); process.exit(1); });
"""
    environment = {**os.environ, "NODE_PATH": str(ROOT / "usr/share/nodejs")}

    def node(listener, secure, password, code=0):
        return run(tool("node"), "-e", script, "--", *server.at(listener), secure, LOGIN[0], password, HOTEL, code=code, env=environment)

    script = script.replace("slice(2)", "slice(1)")
    node("submission", "no", LOGIN[1])
    node("submissions", "yes", LOGIN[1])
    until(lambda: len(sink.messages) == 10, "ten relayed")
    assert all(len(m.recipients) == 2 for m in sink.messages), "one transaction for both recipients"
    assert "535" in node("submission", "no", "wrong", code=1)


def test_smtp_source_and_sink(t):
    """Postfix's own load tools on both sides."""
    t.zones({**ADATUM})
    peers = Peers(t)
    server = t.server(CASES.replace("auth = off }", "auth = off  max_connections_per_client = 500 }")
                      + 'connector "load" { clients = {"127.0.0.1/32"}  may_relay_to = {"*"}  senders = any  note = "load" }\n')
    dump = ROOT / "tmp"
    dump.chmod(0o777)
    peers.start("/usr/sbin/smtp-sink", "-u", "nobody", "-d", "/tmp/%M.", "127.0.0.25:25", "100")
    peers.wait_port("127.0.0.25", 25, "none")
    address, port = server.at()
    peers.run("/usr/sbin/smtp-source", "-s", "10", "-m", "300", "-l", "4096", "-d", "-f", "terri@proseware.com", "-t", "bob@adatum.com", f"{address}:{port}")
    peers.run("/usr/sbin/smtp-source", "-s", "10", "-m", "100", "-l", "100000", "-f", "terri@proseware.com", "-t", "bob@adatum.com", "-r", "3", f"{address}:{port}")
    until(lambda: len(list(dump.iterdir())) >= 400, "400 messages in the sink", 40, 0.2)
    server.wait_empty()
    assert not server.events("refused")


# --- behind -------------------------------------------------------------------------------

ADATUM_POSTFIX = """virtual_mailbox_domains = adatum.com
virtual_mailbox_maps = inline:{bob@adatum.com=bob/, carl@adatum.com=carl/}
"""


def test_postfix_behind(t):
    pair = certificate(t, "mx.adatum.com")
    t.zones(ADATUM)
    peers = Peers(t)
    peers.postfix(ADATUM_POSTFIX, "127.0.0.25", pair=pair)
    server, _ = world(t, sink=False)
    id = hand_in(server)
    text = until(lambda: peers.mailbox("bob"), "in Postfix's mailbox")[0]
    assert "by mail.proseware.com (Postern)" in text and "by mx.adatum.com (Postfix)" in text
    assert "TLSv1.3" in server.event("relayed", message=id)["tls"]
    # Several recipients, one of whom is not there: one NDR for that one, in Postfix's words.
    c = server.session(source=HOME).ehlo()
    c.mail("terri@proseware.com")
    for to in ("bob", "carl", "nobody"):
        c.rcpt(f"{to}@adatum.com")
    c.data(letter(body="é\n.\n..\n" + "y" * 990 + "\n"))
    report = ndr(server)
    assert "nobody@adatum.com" in report and "User unknown" in report and "Remote-MTA: dns; mx.adatum.com" in report
    assert "Final-Recipient: rfc822; bob" not in report
    until(lambda: len(peers.mailbox("bob")) == 2 and len(peers.mailbox("carl")) == 1, "the others have it")
    server.wait_empty()


def test_postfix_denies_relaying(t):
    """The everyday case: somebody else's Postfix says Relay access denied."""
    t.zones(ADATUM)
    peers = Peers(t)
    peers.postfix("virtual_mailbox_domains = other.example\nmynetworks = 127.9.9.9/32\n", "127.0.0.25")
    server, _ = world(t, sink=False)
    id = hand_in(server)
    report = ndr(server)
    assert "Relay access denied" in report and "mx.adatum.com" in report and "RCPT" in report
    assert server.event("bounced", message=id)["code"] in (454, 554)


def test_postfix_in_front(t):
    t.zones(ADATUM)
    peers = Peers(t)
    server, sink = world(t)
    address, port = server.at()
    peers.postfix(f"relayhost = [{address}]:{port}\nsmtp_tls_security_level = may\nsmtp_bind_address = {HOME}\n"
                  "default_destination_concurrency_limit = 5\n", "127.0.0.42", 2525)
    peers.run("/usr/sbin/smtp-source", "-s", "5", "-m", "50", "-l", "2000", "-f", "terri@proseware.com", "-t", "bob@adatum.com", "127.0.0.42:2525")
    until(lambda: len(sink.messages) == 50, "50 relayed through both", 40)
    assert all("by mx.adatum.com (Postfix)" in m.text for m in sink.messages)


def test_dovecot_lmtp(t):
    """LMTP by TCP and by a unix socket; each recipient gets his own answer."""
    t.zones(ADATUM)
    peers = Peers(t)
    path = peers.dovecot_lmtp()
    for way in ("lmtp:127.0.0.41:24", f"lmtp:unix:{path}"):
        text = CASES + f'domain "contoso.com" {{ recipients = any  deliver = "{way}" }}\n'
        server, _ = world(t, text, sink=False)
        before = len(peers.mailbox("carl@contoso.com"))
        c = server.session(source=HOME).ehlo()
        c.mail("terri@proseware.com")
        for to in ("carl", "dora", "missing"):
            c.rcpt(f"{to}@contoso.com")
        c.data(letter(to="carl@contoso.com", body="by LMTP\n.\n"))
        until(lambda: len(peers.mailbox("carl@contoso.com")) == before + 1, f"in Dovecot's mailbox by {way}")
        until(lambda: len(peers.mailbox("dora@contoso.com")) == before + 1, "the second one")
        got = peers.mailbox("carl@contoso.com")[-1]
        assert "by LMTP" in got and "Return-Path: <terri@proseware.com>" in got
        report = ndr(server)
        assert "missing@contoso.com" in report and "carl@contoso.com" not in report.split("message/rfc822")[0].split("text/rfc822-headers")[0].replace("To: <carl@contoso.com>", "")
        server.wait_empty()
        server.stop()


def test_nsd(t):
    """A real DNS server with the zones."""
    peers = Peers(t)
    where = peers.nsd({
        "adatum.com": "@ IN MX 10 mx\n@ IN MX 20 spare\nmx IN A 127.0.0.97\nspare IN A 127.0.0.25\nspare IN AAAA ::1",
        "null.example": "@ IN MX 0 .",
        "alias.example": "@ IN MX 10 www\nwww IN CNAME spare.adatum.com.",
        "plain.example": "@ IN A 127.0.0.25",
    })
    server, sink = None, t.sink()
    server = t.server(CASES, head=f'dns = {{"{where}"}}')
    server.user("terri@proseware.com")
    for domain in ("adatum.com", "plain.example", "alias.example"):
        hand_in(server, f"bob@{domain}")
        until(lambda: sink.to(f"bob@{domain}"), f"relayed to {domain}")
    for domain, status in (("null.example", "5.1.10"),):
        id = hand_in(server, f"bob@{domain}")
        assert server.event("bounced", message=id)["enhanced"] == status
