"""POP3 with every mechanism, by clients that others wrote: mpop (GNU SASL over GnuTLS), curl, and for the channel's binding OpenSSL's
s_client; EXTERNAL with a client certificate; and app passwords, which open no window for POP before SMTP."""
import base64
import hashlib
import hmac
import os
import re
import subprocess

from harness import tool
from test_certificates import Authority
from test_pop3 import Pop, deliver, fails, pop
from test_pop_before_smtp import sends, windows
from world import *

TERRI, WORD = "terri@proseware.com", "correct-horse-7"
ALL = '"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN", "CRAM-MD5", "EXTERNAL"'
POP3 = f"""
listener "pop3"  {{ bind = {{"127.0.0.1:0"}}  service = pop3  tls = require   mechanisms = {{{ALL}}} }}
listener "pop3s" {{ bind = {{"127.0.0.1:0"}}  service = pop3  tls = implicit  mechanisms = {{{ALL}}} }}
listener "words" {{ bind = {{"127.0.0.1:0"}}  service = pop3  tls = implicit }}
"""
AFTER_POP = """
connector "after-pop" { pop_before_smtp = 15min  may_relay_to = {"*"}  senders = own  note = "two legacy sites" }
"""


def begin(t, more="", options=("--reversible", "--password-stdin")):
    server = t.server(OURS + LISTENERS + POP3 + PEOPLE + QUICK + more)
    server.command("user", "add", TERRI, *options, input=WORD + "\n")
    return server


def test_mpop_logs_in(t):
    """Each mechanism over STLS and over TLS from the start; the mail comes once, a wrong password gets none."""
    server = begin(t)
    config, box = t.folder / "mpoprc", t.folder / "box"
    for listener, starttls in (("pop3", "on"), ("pop3s", "off")):
        host, port = server.at(listener)
        for mechanism in ("user", "PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"):
            deliver(server)
            box.write_text("")
            before = len(server.events("authenticated"))
            for word, good in (("wrong", False), (WORD, True)):
                config.write_text(f'account default\nhost {host}\nport {port}\nuser {TERRI}\npassword "{word}"\nauth {mechanism.lower()}\n'
                                  f"tls on\ntls_starttls {starttls}\ntls_certcheck off\ndelivery mbox {box}\nkeep off\n"
                                  f"uidls_file {t.folder}/uidls\n")
                config.chmod(0o600)
                done = subprocess.run([tool("mpop"), "-C", config], text=True, capture_output=True, timeout=60)
                assert (done.returncode == 0) == good, (listener, mechanism, done)
                assert box.read_text().count("\nSubject: number") == good, (mechanism, box.read_text())
            found = server.events("authenticated")[before:]
            assert [e["mechanism"] for e in found] == [mechanism if mechanism != "user" else "PLAIN"], found
            assert found[0]["listener"] == listener and found[0]["login"] == TERRI


def test_pop3_external(t):
    """curl and mpop with a certificate and no password; a key that is not allowed, none at all, and a name an authority vouches for."""
    a = Authority(t.folder)
    a.issue("root", "ca")
    key, named, stranger = a.issue("box", "ca"), a.issue("gw", "gw", by="root"), a.issue("stranger", "gw")
    trust = f"""connector "partner" {{ client_certificate = {{"ca:{t.folder}/root.crt name:x.adatum.com"}}  may_relay_to = {{"adatum.com"}}
    senders = any  note = "adatum's gateway; its authority vouches for names" }}
"""
    server = begin(t, trust, ("--no-password",))
    deliver(server)
    host, port = server.at("pop3s")

    def curl(pair, code, login=TERRI, at=("pop3s", port), more=()):
        line = [tool("curl"), "-sS", "-k", "--ssl-reqd", "--login-options", "AUTH=EXTERNAL", "-u", f"{login}:", f"{at[0]}://{host}:{at[1]}/1", *more]
        done = subprocess.run(line + (["--cert", pair[0], "--key", pair[1]] if pair else []), text=True, capture_output=True, timeout=60)
        assert done.returncode == code, (pair, done)
        assert ("Subject: number 0" in done.stdout) == (code == 0), done

    curl(key, 67)
    server.command("user", "allow-certificate", TERRI, a.spki(key[0]))
    for version in ("1.2", "1.3"):
        curl(key, 0, more=("--tls-max", version))
    curl(key, 0, at=("pop3", server.at("pop3")[1]))
    curl(key, 67, login="ceo@proseware.com")
    curl(stranger, 67)
    curl(None, 67)  # it is not offered
    curl(named, 67)
    server.command("user", "allow-certificate", TERRI, f"ca:{t.folder}/root.crt name:gw.adatum.com")
    curl(named, 0)
    server.command("user", "deny-certificate", TERRI, a.spki(key[0]))
    curl(key, 67)
    curl(key, 67, at=("pop3s", server.at("words")[1]))
    config, box = t.folder / "mpoprc", t.folder / "box"
    config.write_text(f"account default\nhost {host}\nport {port}\nuser {TERRI}\nauth external\ntls on\ntls_starttls off\ntls_certcheck off\n"
                      f"tls_cert_file {named[0]}\ntls_key_file {named[1]}\ndelivery mbox {box}\nuidls_file {t.folder}/uidls\nkeep on\n")
    config.chmod(0o600)
    done = subprocess.run([tool("mpop"), "-C", config], text=True, capture_output=True, timeout=60)
    assert done.returncode == 0 and "Subject: number 0" in box.read_text(), done
    assert {e["mechanism"] for e in server.events("authenticated")} == {"EXTERNAL"}


def test_pop3_asks_for_certificates(t):
    """Only where EXTERNAL is named: mail programs show their user a dialog when they are asked."""
    server = begin(t, f'connector "partner" {{ client_certificate = {{"spki-sha256:{"ab" * 32}"}}  may_relay_to = {{"adatum.com"}}  senders = any\n'
                      '    note = "grants relaying, so no POP3 listener asks for its sake" }\n')

    def asked(listener, *more):
        host, port = server.at(listener)
        done = subprocess.run([tool("openssl"), "s_client", "-connect", f"{host}:{port}", "-tls1_2", *more], input="QUIT\r\n", text=True,
                              capture_output=True, timeout=60)
        assert "Server certificate" in done.stdout, done
        return "Requested Signature Algorithms" in done.stdout

    assert asked("pop3", "-starttls", "pop3") and asked("pop3s")
    assert not asked("words")


# --- the channel's binding --------------------------------------------------------------------


class Bound:
    """POP3 through openssl s_client, which tells the keying material of the TLS it speaks (RFC 9266)."""

    def __init__(self, t, server):
        host, port = server.at("pop3s")
        self.process = subprocess.Popen([tool("openssl"), "s_client", "-connect", f"{host}:{port}", "-tls1_3", "-nocommands", "-keymatexport",
                                         "EXPORTER-Channel-Binding", "-keymatexportlen", "32"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL)
        t.closers.append(self.process.kill)
        text = b""
        while not (line := self.process.stdout.readline()).startswith(b"+OK"):
            assert line, text
            text += line
        self.binding = bytes.fromhex(re.search(rb"Keying material: ([0-9A-F]{64})", text)[1].decode())

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\r\n")
        self.process.stdin.flush()
        while True:  # s_client tells of session tickets in between
            answer = self.process.stdout.readline()
            if not answer or answer.startswith((b"+", b"-ERR")):
                return answer.strip().decode()


class Unique(Bound):
    """The same by Python's ssl, which knows what TLS 1.2 binds to (RFC 5929)."""

    def __init__(self, t, server):
        import socket
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        sock = context.wrap_socket(socket.create_connection(server.at("pop3s"), 20))
        self.binding = sock.get_channel_binding("tls-unique")
        self.client = Pop(sock)

    def say(self, line):
        self.client._putcmd(line)
        return self.client._getline()[0].decode()


def scram_plus(c, kind, binding, word=WORD):
    """RFC 5802 with RFC 7677 by hand; the last reply, the server's proof having been checked."""

    def decoded(answer):
        assert answer.startswith("+ "), answer
        return base64.b64decode(answer[2:]).decode()

    def encoded(octets):
        return base64.b64encode(octets if isinstance(octets, bytes) else octets.encode()).decode()

    header = f"p={kind},,"
    bare = f"n={TERRI},r={encoded(os.urandom(18))}"
    challenge = decoded(c.say("AUTH SCRAM-SHA-256-PLUS " + encoded(header + bare)))
    values = dict(part.split("=", 1) for part in challenge.split(","))
    salted = hashlib.pbkdf2_hmac("sha256", word.encode(), base64.b64decode(values["s"]), int(values["i"]))
    final = f"c={encoded(header.encode() + binding)},r={values['r']}"
    text = f"{bare},{challenge},{final}".encode()
    key = hmac.digest(salted, b"Client Key", "sha256")
    signature = hmac.digest(hashlib.sha256(key).digest(), text, "sha256")
    answer = c.say(encoded(f"{final},p={encoded(bytes(a ^ b for a, b in zip(key, signature)))}"))
    if answer.startswith("-ERR"):
        return answer
    assert decoded(answer) == "v=" + encoded(hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), text, "sha256"))
    return c.say("")


def test_pop3_binds_the_channel(t):
    """SCRAM-SHA-256-PLUS; what is bound to another channel is refused."""
    server = begin(t)
    for kind, channel in (("tls-exporter", Bound), ("tls-unique", Unique)):
        c = channel(t, server)
        other = bytes(octet ^ 1 for octet in c.binding)
        for binding, word, said in ((other, WORD, "-ERR [AUTH]"), (c.binding, "wrong", "-ERR [AUTH]"), (c.binding, WORD, "+OK Logged in")):
            answer = scram_plus(c, kind, binding, word)
            assert answer.startswith(said), (kind, word, answer)
        assert c.say("STAT").startswith("+OK 0"), kind
        c.say("QUIT")
    assert len(server.events("authenticated", mechanism="SCRAM-SHA-256-PLUS")) == 2


# --- app passwords ----------------------------------------------------------------------------


def test_pop_app_passwords_open_nothing(t):
    """Reading mail with an app password opens no window, so there is none to close when it is taken away; and that closes no window which
    the login's own password opened. One for SMTP only does not read mail at all."""
    t.zones(ADATUM)
    server = begin(t, AFTER_POP)
    words = {s: server.command("user", "app-password", "add", TERRI, s, "--service", s).strip() for s in ("pop3", "smtp")}

    def read(word):
        pop(server, source=HOTEL, password=word).quit()

    client = pop(server, source=HOTEL, user=None)
    client.user(TERRI)
    assert "[AUTH]" in fails(client.pass_, words["smtp"])
    client.quit()
    read(words["pop3"])
    assert not server.event("mailbox-opened").get("pop_before_smtp")
    assert not windows(server) and sends(server, HOTEL).code == 550
    read(WORD)
    assert windows(server) == [(TERRI, HOTEL)] and sends(server, HOTEL).code == 250
    read(words["pop3"])
    again = server.run("user", "app-password", "add", TERRI, "pop3", "--service", "pop3")
    assert again.returncode == 65 and "already" in again.stderr, "to change one is to remove it first"
    server.command("user", "app-password", "remove", TERRI, "pop3")
    assert windows(server) == [(TERRI, HOTEL)] and sends(server, HOTEL).code == 250, "that window is another password's"
    client = pop(server, source=HOTEL, user=None)
    client.user(TERRI)
    assert "[AUTH]" in fails(client.pass_, words["pop3"])
    client.quit()
    server.command("user", "passwd", TERRI, "--password-stdin", input=WORD + "\n")
    assert not windows(server) and sends(server, HOTEL).code == 550
