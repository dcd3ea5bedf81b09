"""A mail server that fails where its script says so, once for each port. A script is {step: action}; a step is "banner",
"EHLO", "HELO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "end", "RSET", "QUIT", "XCLIENT"; an action is the reply, or one of the
functions below, which is given the connection. What the script does not name goes as it should.

    Failing({"RCPT": "550 5.7.1 Unable to relay"}).port

"tls" is (certificate, key) or an ssl.SSLContext: STARTTLS is offered then; "implicit": TLS from the first octet; "login":
(user, password) that AUTH takes; "extra": lines for EHLO."""
import base64
import datetime
import hashlib
import hmac
import socket
import ssl
import struct
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

NAME = "mail.example.com"


# --- actions -------------------------------------------------------------------------------


class Over(Exception):
    """The connection is to be closed."""


def close(c):
    raise Over


def reset(c):
    c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise Over


def silent(c):
    c.wait_for_the_end()


def drip(text, pause=0.4):
    """One octet after the other, more slowly than anybody waits."""

    def act(c):
        for octet in text.encode():
            c.send(bytes([octet]))
            time.sleep(pause)

    return act


def slow(text, seconds):
    def act(c):
        time.sleep(seconds)
        c.reply(text)

    return act


def forever(octets, pause=0):
    """Until nobody takes it any more."""

    def act(c):
        while True:
            c.send(octets)
            time.sleep(pause)

    return act


def raw(octets, then=None):
    def act(c):
        c.send(octets)
        if then:
            then(c)

    return act


def reply_then(text, then):
    def act(c):
        c.reply(text)
        then(c)

    return act


def by_argument(table, otherwise):
    """The first action whose key is in the command's argument."""

    def act(c):
        for key, action in table.items():
            if key in c.argument:
                return c.do(action)
        return c.do(otherwise)

    return act


def by_login(with_it, without):
    return lambda c: c.do(with_it if c.user else without)


def by_sender(table, otherwise):
    def act(c):
        for key, action in table.items():
            if key in c.sender:
                return c.do(action)
        return c.do(otherwise)

    return act


# --- the server ------------------------------------------------------------------------------


class Connection:
    def __init__(self, server, sock):
        self.server, self.script, self.socket = server, server.script, sock
        self.file = None
        self.tls, self.user, self.sender, self.argument = False, None, "", ""

    # --- octets

    def send(self, octets):
        try:
            self.socket.sendall(octets)
        except OSError:
            raise Over from None

    def reply(self, text):
        self.send("".join(line + "\r\n" for line in text.split("\n")).encode("latin-1"))

    def line(self):
        try:
            line = self.file.readline(70000)
        except (OSError, ValueError):
            raise Over from None
        if not line:
            raise Over
        return line.decode("latin-1").rstrip("\r\n")

    def wait_for_the_end(self):
        try:
            while self.socket.recv(65536):
                pass
        except OSError:
            pass
        raise Over

    def wrap(self):
        context = self.script["tls"]
        if isinstance(context, tuple):
            pair, context = context, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*pair)
        try:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        except (OSError, ValueError):
            raise Over from None
        self.file = self.socket.makefile("rb")
        self.tls = True

    # --- the conversation

    def do(self, action):
        """The first line of a reply decides whether a step went well."""
        if callable(action):
            action(self)
            return None
        self.reply(action)
        return int(action[:3]) if action[:3].isdigit() else None

    def act(self, step, good):
        return self.do(self.script.get(step, good))

    def ehlo(self):
        lines = [NAME, "PIPELINING", "SIZE 1000000", "8BITMIME", "ENHANCEDSTATUSCODES"] + self.script.get("extra", [])
        if "tls" in self.script and not self.tls and not self.script.get("hidden"):
            lines.append("STARTTLS")
        mechanisms = self.script.get("mechanisms", "PLAIN LOGIN" if "login" in self.script else "")
        if mechanisms and (self.tls or not self.script.get("auth-after-tls")):
            lines.append("AUTH " + mechanisms)
        self.act("EHLO", "\n".join(f"250{' ' if i == len(lines) - 1 else '-'}{line}" for i, line in enumerate(lines)))

    def starttls(self):
        if self.act("STARTTLS", "220 2.0.0 Ready" if "tls" in self.script else "502 5.5.1 What?") == 220:
            self.wrap()

    def response(self, challenge=""):
        self.reply("334 " + base64.b64encode(challenge.encode()).decode())
        line = self.line()
        return None if line == "*" else base64.b64decode(line)

    def login(self, mechanism, initial):
        """The user, or None."""
        user, password = self.script["login"]
        if mechanism == "PLAIN":
            words = (base64.b64decode(initial) if initial else self.response()).split(b"\0")
            return user if words[1:] == [user.encode(), password.encode()] else None
        if mechanism == "LOGIN":
            given = self.response("Username:"), self.response("Password:")
            return user if given == (user.encode(), password.encode()) else None
        challenge = "<1.2@mail.example.com>"
        right = user + " " + hmac.new(password.encode(), challenge.encode(), hashlib.md5).hexdigest()
        return user if self.response(challenge) == right.encode() else None

    def auth(self):
        if "AUTH" in self.script:
            return self.do(self.script["AUTH"])
        mechanism, _, initial = self.argument.partition(" ")
        self.user = self.login(mechanism.upper(), initial) if "login" in self.script else None
        self.reply("235 2.7.0 Welcome" if self.user else "535 5.7.8 Authentication credentials invalid")

    def data(self):
        if self.act("DATA", "354 Go on") != 354:
            return
        lines = []
        while (line := self.line()) != ".":
            lines.append(line)
        if self.act("end", "250 2.0.0 Queued as 4711") == 250:
            self.server.messages.append("\n".join(lines))

    def command(self, line):
        verb, _, self.argument = line.partition(" ")
        verb = verb.upper()
        self.server.commands.append(line)
        if verb in ("EHLO", "LHLO"):
            self.ehlo()
        elif verb == "STARTTLS":
            self.starttls()
        elif verb == "AUTH":
            self.auth()
        elif verb == "DATA":
            self.data()
        elif verb == "QUIT":
            self.act("QUIT", "221 2.0.0 Bye")
            raise Over
        elif verb in ("HELO", "MAIL", "RCPT", "RSET", "XCLIENT"):
            self.sender = self.argument if verb == "MAIL" else self.sender
            self.act(verb, "220 " + NAME if verb == "XCLIENT" else "250 2.0.0 Ok")
        else:
            self.reply("500 5.5.1 Unknown command")

    def run(self):
        self.socket.settimeout(60)
        if self.script.get("implicit"):
            self.wrap()
        self.file = self.socket.makefile("rb")
        self.act("banner", f"220 {NAME} ESMTP")
        while True:
            self.command(self.line())


class Failing:
    def __init__(self, script, address="127.0.0.1", port=0):
        self.script, self.commands, self.messages = script, [], []
        self.socket = socket.create_server((address, port), backlog=64)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        connection = Connection(self, sock)
        try:
            connection.run()
        except (Over, OSError):
            pass
        finally:
            try:
                connection.socket.close()
                sock.close()
            except OSError:
                pass

    def close(self):
        self.socket.close()


# --- certificates -----------------------------------------------------------------------------


def _key(weak):
    return rsa.generate_private_key(65537, 1024) if weak else ec.generate_private_key(ec.SECP256R1())


def _save(folder, name, chain, key):
    certificate, private = folder / f"{name}.pem", folder / f"{name}.key"
    certificate.write_bytes(b"".join(c.public_bytes(serialization.Encoding.PEM) for c in chain))
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return str(certificate), str(private)


class Authority:
    """A root, an authority below it, and servers' certificates by that one."""

    def __init__(self, folder):
        self.folder, self.count = folder, 0
        self.root, self.root_key = self._make("Test Root", None, None, ca=True)
        self.middle, self.middle_key = self._make("Test Middle", self.root, self.root_key, ca=True)
        self.file = _save(folder, "root", [self.root], self.root_key)[0]

    def _make(self, subject, issuer, issuer_key, names=(), days=(-1, 90), ca=False, weak=False):
        key = _key(weak)
        now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
        builder = (x509.CertificateBuilder().subject_name(name).issuer_name(issuer.subject if issuer else name)
                   .public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now + datetime.timedelta(days=days[0])).not_valid_after(now + datetime.timedelta(days=days[1]))
                   .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
        return builder.sign(issuer_key or key, hashes.SHA256()), key

    def pair(self, names=(NAME,), days=(-1, 90), self_signed=False, whole=True, weak=False):
        self.count += 1
        issuer = (None, None) if self_signed else (self.middle, self.middle_key)
        certificate, key = self._make(names[0], *issuer, names=names, days=days, weak=weak)
        chain = [certificate] if self_signed or not whole else [certificate, self.middle]
        return _save(self.folder, f"pair{self.count}", chain, key)

    def context(self, maximum=None, minimum=None, ciphers=None, **how):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers(ciphers or "ALL:@SECLEVEL=0")
        context.minimum_version = minimum or ssl.TLSVersion.TLSv1
        if maximum:
            context.maximum_version = maximum
        context.load_cert_chain(*self.pair(**how))
        return context
