"""Every way to log in, by programs that others wrote: curl, swaks, msmtp, GNU SASL's gsasl, Nodemailer, Postfix's client; hashes that
other programs made; app passwords; and the sources of logins besides our own database: a real Dovecot and a real PAM."""
import base64
import os
import select
import signal
import socket
import sqlite3
import subprocess
import threading
from contextlib import closing
from pathlib import Path

from harness import Skip, options, tool, until
from peers import ROOT, Peers
from smtp_session import Session
from world import HOTEL, LISTENERS, OURS, PEOPLE, QUICK, letter

ME, WORD = "terri@proseware.com", "correct horse 7"
ALL = '"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN", "CRAM-MD5", "EXTERNAL"'
EVERY = LISTENERS.replace("auth = require }", f"auth = require  mechanisms = {{{ALL}}} }}")


# Of "pässword", by argon2(1), libxcrypt and htpasswd.
OTHERS = (
    "$argon2id$v=19$m=4096,t=2,p=4$c29tZXNhbHQxNm9jdGV0cw$7uQvqefx770aqyOCNkXddqj+/g29m0WYSqB9t0I0l6Y",
    "$y$j75$k2XAnEHBqQ1Ct2aMXFKNa/HAmA1BpMnBsYHMWB4NZN4$hC2sLwlWfVbSGvKuXoTwyy5/hfdvEAeFFaGVCNFR8x1",
    "{BLF-CRYPT}$2y$04$KBCwKxOzLha2MUDgW0PjXeOFNhhE26rSq5ykPKV1b1AA/mfxHit1m",
)


def start(t, text=OURS + EVERY + PEOPLE + QUICK, options=("--reversible",), word=WORD, **how):
    server = t.server(text, **how)
    server.command("user", "add", ME, *(["--password-stdin"] if word else []), *options, input=word + "\n")
    return server


def run(*command, code=0, **more):
    done = subprocess.run([str(c) for c in command], text=True, capture_output=True, timeout=60, **more)
    assert done.returncode == code, (command, done)
    return done.stdout + done.stderr


def write_mail(path):
    text = letter(ME)
    text = text if isinstance(text, str) else text.decode()
    path.write_bytes("\r\n".join(text.splitlines() + [""]).encode())


def logged_in(server, mechanism, count=1, **more):
    server.event("authenticated", mechanism=mechanism, login=ME, **more)
    assert len(server.events("authenticated", mechanism=mechanism, **more)) >= count


def plain(session, login, word):
    return session.cmd("AUTH PLAIN " + base64.b64encode(f"\0{login}\0{word}".encode()).decode())


def try_plain(server, word, login=ME, listener="submissions"):
    with closing(server.session(listener, source=HOTEL, tls=listener == "submissions")) as s:
        s.ehlo()
        return plain(s, login, word).code


def test_curl_logs_in(t):
    server = start(t)
    address, port = server.at("submissions")
    mail = t.folder / "mail"
    write_mail(mail)
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5"):
        line = [tool("curl"), "-sS", "-k", f"smtps://{address}:{port}", "--login-options", f"AUTH={mechanism}", "--mail-from", ME,
                "--mail-rcpt", ME, "-T", mail]
        run(*line, "-u", f"{ME}:{WORD}")
        logged_in(server, mechanism)
        run(*line, "-u", f"{ME}:wrong", code=67)


def test_swaks_logs_in(t):
    server = start(t)
    address, port = server.at("submission")
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5"):
        line = [tool("swaks"), "--server", address, "--port", port, "-tls", "--from", ME, "--to", ME, "--auth", mechanism, "--auth-user", ME]
        run(*line, "--auth-password", WORD)
        logged_in(server, mechanism)
        run(*line, "--auth-password", "wrong", code=28)


def test_msmtp_logs_in(t):
    server = start(t)
    address, port = server.at("submission")
    config = t.folder / "msmtprc"
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"):
        for word, code in ((WORD, 0), ("wrong", 77)):
            config.write_text(f'account default\nhost {address}\nport {port}\nfrom {ME}\nauth {mechanism.lower()}\nuser {ME}\n'
                              f'password "{word}"\ntls on\ntls_starttls on\ntls_certcheck off\n')
            config.chmod(0o600)
            run(tool("msmtp"), "-C", config, ME, input=letter(ME), code=code)
        assert any(e["mechanism"].startswith(mechanism) for e in server.events("authenticated")), mechanism


def test_gsasl_logs_in(t):
    """Without TLS: it says STARTTLS before EHLO, which is refused. So only what hides the password is offered to it."""
    server = start(t, OURS + LISTENERS.replace("auth = offer }", f"auth = offer  mechanisms = {{{ALL}}} }}") + PEOPLE + QUICK)
    for mechanism in ("CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"):
        line = [tool("gsasl"), "--client", "--smtp", "--no-starttls", "-m", mechanism, "-a", ME, "-z", ""]
        address, port = server.at("offering")
        for word, count in ((WORD, 1), ("wrong", 1)):
            done = subprocess.run([*line, "-p", word, address, str(port)], text=True, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
            assert len(server.events("authenticated", mechanism=mechanism)) == count, (mechanism, done)


class HelloFirst(threading.Thread):
    """Between gsasl, which says STARTTLS to a server that has not heard its name yet, and the server: says EHLO in its place, and is
    a pipe from then on. TLS goes through it from end to end."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.listening = server, socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.start()

    def run(self):
        while True:
            client, _ = self.listening.accept()
            with closing(client), closing(socket.create_connection(self.server)) as there:
                lines = there.makefile("rb", buffering=0)
                client.sendall(lines.readline())
                there.sendall(b"EHLO between.example\r\n")
                while lines.readline()[3:4] == b"-":
                    pass
                other = {client: there, there: client}
                while other:
                    for one in select.select(list(other), [], [])[0]:
                        octets = one.recv(65536)
                        if not octets:
                            other = {}
                            break
                        other[one].sendall(octets)


def test_gsasl_binds_the_channel(t):
    """SCRAM-SHA-256-PLUS by GNU SASL over GnuTLS: tls-unique with TLS 1.2, tls-exporter with 1.3."""
    server = start(t)
    between = HelloFirst(server.at("submission"))
    for version in ("1.2", "1.3"):
        line = [tool("gsasl"), "--client", "--smtp", "--starttls", "--x509-ca-file=", "-m", "SCRAM-SHA-256-PLUS", "-a", ME, "-z", "",
                f"--priority=NORMAL:-VERS-ALL:+VERS-TLS{version}"]
        before = len(server.events("authenticated"))
        for word in (WORD, "wrong"):
            done = subprocess.run([*line, "-p", word, "127.0.0.1", str(between.port)], text=True, capture_output=True, timeout=60,
                                  stdin=subprocess.DEVNULL)
            found = server.events("authenticated", mechanism="SCRAM-SHA-256-PLUS")
            assert len(found) == before + 1, (version, word, done)
        assert server.events("refused", reason="auth.failed", mechanism="SCRAM-SHA-256-PLUS")


def test_nodemailer_logs_in(t):
    server = start(t)
    if not (ROOT / "usr/share/nodejs/nodemailer").exists():
        raise Skip("nodemailer could not be fetched")
    script = """
const [host, port, user, pass, method] = process.argv.slice(1);
require('nodemailer').createTransport({ host, port: +port, authMethod: method, auth: { user, pass }, tls: { rejectUnauthorized: false } })
    .sendMail({ from: user, to: user, subject: method, text: 'x' }).then(() => process.exit(0), (e) => { console.error(e.message); process.exit(1); });
"""
    environment = {**os.environ, "NODE_PATH": str(ROOT / "usr/share/nodejs")}
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5"):
        line = [tool("node"), "-e", script, "--", *server.at("submission"), ME]
        run(*line, WORD, mechanism, env=environment)
        logged_in(server, mechanism)
        assert "535" in run(*line, "wrong", mechanism, code=1, env=environment)


@options(seconds=150)
def test_postfix_logs_in(t):
    """As a smart host's customer: Postfix's SMTP client with Cyrus SASL's mechanisms, each by a transport that knows no other."""
    if not list(ROOT.glob("usr/lib/*/sasl2/libplain.so")):
        raise Skip("Cyrus SASL's mechanisms could not be fetched")
    word = "no-blanks-7"
    server = start(t, word=word)
    peers = Peers(t)
    address, port = server.at("submission")
    mechanisms = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256")
    transports = " ".join(f"{{ {ME.replace('@', '+' + m.lower() + '@')} = {m.lower()}:[{address}]:{port} }}" for m in mechanisms)
    peers.postfix(f"""transport_maps = inline:{{ {transports} }}
smtpd_relay_restrictions = permit_mynetworks, reject
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = static:{ME}:{word}
smtp_sasl_security_options =
smtp_tls_security_level = encrypt
""", "127.0.0.61", extra=[f"{m.lower()} unix - - n - - smtp\n  -o smtp_sasl_mechanism_filter={m.lower()}" for m in mechanisms])
    with closing(Session("127.0.0.61", 25)) as s:
        s.ehlo()
        for m in mechanisms:
            s.mail(ME)
            s.rcpt(ME.replace("@", f"+{m.lower()}@"))
            s.data(letter(ME))
    server.wait_maildir(ME, len(mechanisms), 60)
    seen = sorted(e["mechanism"] for e in server.events("authenticated"))
    assert seen == sorted(mechanisms), seen


def test_external_by_key(t):
    """curl and openssl with a client certificate; no password anywhere."""
    server = start(t, options=("--no-password",), word="")
    key, crt = t.folder / "client.key", t.folder / "client.crt"
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", crt, "-subj", "/CN=box",
        "-days", "2")
    der = subprocess.run(f"openssl x509 -in {crt} -pubkey -noout | openssl pkey -pubin -outform DER | sha256sum", shell=True, text=True,
                         capture_output=True).stdout.split()[0]
    address, port = server.at("submissions")
    mail = t.folder / "mail"
    write_mail(mail)
    line = [tool("curl"), "-sS", "-k", f"smtps://{address}:{port}", "--login-options", "AUTH=EXTERNAL", "-u", f"{ME}:", "--mail-from", ME,
            "--mail-rcpt", ME, "-T", mail, "--cert", crt, "--key", key]
    run(*line, code=67)
    server.command("user", "allow-certificate", ME, "spki-sha256:" + der)
    run(*line)
    logged_in(server, "EXTERNAL")
    assert der in server.command("user", "show", ME)
    server.command("user", "disable", ME)
    run(*line, code=67)
    server.command("user", "enable", ME)
    server.command("user", "deny-certificate", ME, "spki-sha256:" + der)
    run(*line, code=67)


def test_imported_hashes(t):
    """Made by openssl passwd; each is replaced by keys at the first right password."""
    server = start(t)
    lines, names = ["# from another system", ""], {}
    for option in ("-1", "-5", "-6"):
        hashed = run("openssl", "passwd", option, "-salt", "0123456789", "grüße 1").strip()
        names[option] = f"user{option[1:]}@proseware.com"
        lines.append(f"{names[option]}:{hashed}:1000:1000::/home/x:")
    for number, hashed in enumerate(OTHERS):
        lines.append(f"other{number}@proseware.com:{hashed}")
    file = t.folder / "users"
    file.write_text("\n".join(lines) + "\n")
    assert server.command("user", "import", str(file)).strip() == f"imported {3 + len(OTHERS)}, refused 0"
    for name in names.values():
        assert server.json("user", "show", name)[0]["password"] == "imported"
        assert try_plain(server, "wrong", name) == 535
        assert try_plain(server, "grüße 1", name) == 235
        assert server.json("user", "show", name)[0]["password"] == "set"
        assert try_plain(server, "grüße 1", name) == 235
    for number in range(len(OTHERS)):  # within the sandbox too
        assert try_plain(server, "wrong", f"other{number}@proseware.com") == 535
        assert try_plain(server, "pässword", f"other{number}@proseware.com") == 235
    bad = server.run("user", "import", "-", input="x@proseware.com:plain\nno-hash\n")
    assert bad.returncode == 65 and "line 1" in bad.stderr and "line 2" in bad.stderr
    assert server.run("user", "show", "x@proseware.com").returncode == 67


def test_app_passwords(t):
    server = start(t)
    word = server.command("user", "app-password", "add", ME, "copier", "--service", "smtp", "--sender", "scan@proseware.com", "--network",
                          "127.0.2.0/24").strip()
    assert len(word) == 20
    listed = server.json("user", "app-password", "list", ME)[0]
    assert (listed["name"], listed["services"], listed["networks"]) == ("copier", ["smtp"], ["127.0.2.0/24"])
    server.command("user", "allow-sender", ME, "scan@proseware.com")

    def send(source, sender, login_word=word):
        with closing(server.session("submissions", source=source, tls=True)) as s:
            s.ehlo()
            assert plain(s, ME, login_word).code == 235
            s.cmd(f"MAIL FROM:<{sender}>")
            return s.cmd("RCPT TO:<bob@adatum.com>")

    def why(client, sender):
        return server.why(client=client, listener="submissions", user=ME, app_password="copier", **{"from": sender, "to": "bob@adatum.com"})

    for client, sender, code, reason in (("127.0.2.9", "scan@proseware.com", 250, None), ("127.0.2.9", ME, 553, "sender.not-yours"),
                                         (HOTEL, "scan@proseware.com", 550, "auth.app-network")):
        reply, simulated = send(client, sender), why(client, sender)
        assert reply.code == code == simulated["code"], (reply, simulated)
        assert not reason or (reason in str(reply) and simulated["reason"] == reason)
    assert send(HOTEL, ME, WORD).code == 250, "the login's own password is not bound"
    assert server.events("authenticated", app_password="copier")
    server.command("user", "app-password", "remove", ME, "copier")
    assert try_plain(server, word) == 535
    missing = server.run("user", "app-password", "remov", ME, "copier")
    assert missing.returncode == 64 and "remove" in missing.stderr


def test_secrets_damaged_or_missing(t):
    """A fault of ours is 454, never 535."""
    server = start(t)
    assert try_plain(server, WORD) == 235
    secrets = server.state / "keeper/secrets.db"
    with closing(sqlite3.connect(secrets)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    away = secrets.with_name("away.db")
    secrets.rename(away)
    code = try_plain(server, WORD)
    assert code == 454, code
    for rest in secrets.parent.glob("secrets.db-*"):
        rest.unlink()
    secrets.write_bytes(b"nonsense" * 1000)
    assert try_plain(server, WORD) == 454
    secrets.unlink()
    for rest in secrets.parent.glob("secrets.db-*"):
        rest.unlink()
    away.rename(secrets)
    until(lambda: try_plain(server, WORD) == 235, "logins again")


@options(seconds=150)
def test_failures_survive_a_reload(t):
    server = start(t)
    for _ in range(5):
        try_plain(server, "wrong")
    with closing(server.session("submissions", source=HOTEL, tls=True)) as s:
        s.ehlo()
        reply = plain(s, ME, "wrong")
        assert reply.code == 535, reply
        assert s.read().code == 421, "the sixth ends the session"
    assert server.reload()["event"] == "reloaded"
    until(lambda: (server.state / "keeper/failures").exists(), "failures on disk")

    def next_wrong():
        with closing(server.session("submissions", source=HOTEL, tls=True)) as s:
            s.ehlo()
            if plain(s, ME, "wrong").code == 454:
                return None  # the old keeper was just leaving
            return s.read().code

    assert until(next_wrong, "the new keeper") == 421, "it knows of the old one's failures"
    with closing(server.session("submissions", source="127.0.77.1", tls=True)) as s:
        s.ehlo()
        assert plain(s, ME, WORD).code == 235, "nobody is locked out"


@options(seconds=120)
def test_dovecot_as_source(t):
    peers = Peers(t)
    peers.write("etc/dovecot/users", "terri@proseware.com:{PLAIN}dove word::::::\nbob:{PLAIN}bob word::::::user=bob@proseware.com\n")
    peers.write("etc/dovecot/dovecot.conf", """
protocols =
log_path = /var/log/dovecot.log
ssl = no
auth_mechanisms = plain
auth_failure_delay = 0
passdb {
  driver = passwd-file
  args = /etc/dovecot/users
}
userdb {
  driver = static
  args = uid=vmail gid=vmail home=/tmp
}
service auth {
  unix_listener auth-client {
    mode = 0666
  }
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
""")
    socket = ROOT / "run/dovecot/auth-client"
    t.logs.append(ROOT / "var/log/dovecot.log")
    dovecot = peers.start("/usr/sbin/dovecot", "-F", "-c", "/etc/dovecot/dovecot.conf", env={"PATH": "/usr/sbin:/usr/bin"})
    until(socket.exists, "Dovecot's socket", 20)
    server = start(t, OURS + LISTENERS + PEOPLE + QUICK + f'logins = {{"directory", "dovecot:{socket}"}}\n', options=("--no-password",), word="")
    server.user("own@proseware.com")
    with closing(server.session("submissions", source=HOTEL, tls=True)) as s:
        assert s.ehlo().extensions["AUTH"] == ["PLAIN", "LOGIN"]
    assert try_plain(server, "dove word") == 235
    assert try_plain(server, "dove wort") == 535
    assert try_plain(server, "secret", "own@proseware.com") == 235
    assert try_plain(server, "nobody's", "nobody@proseware.com") == 535
    server.command("user", "disable", ME)
    assert try_plain(server, "dove word") == 535, "disabled here counts"
    server.command("user", "enable", ME)
    os.killpg(dovecot.pid, signal.SIGKILL)
    dovecot.wait(20)
    until(lambda: try_plain(server, "dove word") == 454, "Dovecot down is 454")
    assert try_plain(server, "secret", "own@proseware.com") == 235


def test_pam_as_source(t):
    """pam_exec judges: a module that needs a process and the password, as many do."""
    if os.getuid() != 0:
        raise Skip("a service of PAM can only be made by root")
    service = Path(f"/etc/pam.d/postern-test-{os.getpid()}")
    judge = t.folder / "judge"
    judge.write_text('#!/bin/sh\nread -r word\n[ "$PAM_USER" = terri ] && [ "$word" = "pam word" ]\n')
    judge.chmod(0o755)
    # pam_exec calls a refusal a fault of its own; pam_deny says what it is
    service.write_text(f"auth [success=1 default=ignore] pam_exec.so expose_authtok quiet {judge}\nauth requisite pam_deny.so\n"
                       "auth required pam_permit.so\naccount required pam_permit.so\n")
    try:
        server = start(t, OURS + LISTENERS + PEOPLE + QUICK + f'logins = {{"directory", "pam:{service.name}@proseware.com"}}\n',
                       options=("--no-password",), word="")
        assert server.children_of("pam")
        assert try_plain(server, "pam word") == 235
        assert try_plain(server, "pam wort") == 535
        assert try_plain(server, "pam word", "terri") == 235, "a name without a domain gets it"
        assert try_plain(server, "pam word", "terri@contoso.com") == 535
        judge.write_text("#!/bin/sh\nsleep 100\n")
        service.unlink()
        assert try_plain(server, "pam word") == 454, "no service of that name is no wrong password"
        for pid in server.children_of("pam"):
            os.kill(pid, 9)
        server.crashes_expected = True
        service.write_text("auth required pam_permit.so\naccount required pam_permit.so\n")
        until(lambda: try_plain(server, "anything") == 235, "PAM again, by a new helper")
    finally:
        service.unlink(missing_ok=True)
