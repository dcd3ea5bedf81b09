"""An SMTP client for tests that says exactly what it is told to, octet for octet."""
import base64
import hashlib
import hmac
import os
import re
import socket
import ssl
import time


class Reply:
    def __init__(self, code, lines):
        self.code, self.lines = code, lines

    @property
    def text(self):
        return "\n".join(self.lines)

    @property
    def enhanced(self):
        found = re.match(r"([245]\.\d+\.\d+)\b", self.lines[-1])
        return found[1] if found else ""

    @property
    def is_(self):
        return f"{self.code} {self.enhanced}".strip()

    def __repr__(self):
        return f"{self.code} {self.text}"


class Gone(Exception):
    """The server closed the connection."""


class Session:
    """One connection. After each reply `last` is that reply."""

    def __init__(self, address, port, source=None, banner=True, tls=False, first=b"", timeout=30):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.settimeout(timeout)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect((address, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.last = None
        if first:
            self.socket.sendall(first)
        if tls:
            self._wrap()
        if banner:
            self.banner = self.read()

    # --- octets ---

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def line(self):
        while b"\n" not in self.buffer:
            try:
                more = self.socket.recv(65536)
            except (ConnectionResetError, ssl.SSLEOFError):
                more = b""
            if not more:
                raise Gone(self.last)
            self.buffer += more
        line, _, self.buffer = self.buffer.partition(b"\n")
        assert line.endswith(b"\r"), f"a bare LF: {line}"
        assert b"\r" not in line[:-1], f"a bare CR: {line}"
        assert len(line) <= 511, f"more than 512 octets: {line}"
        return line[:-1].decode()

    def read(self):
        lines = []
        while True:
            line = self.line()
            assert re.match(r"\d\d\d[ -]", line), line
            lines.append(line[4:])
            if line[3] == " ":
                self.last = Reply(int(line[:3]), lines)
                return self.last

    def gone(self):
        """Whether the server closes it now (or has)."""
        try:
            while True:
                self.line()
        except (Gone, OSError):
            return True

    # --- commands ---

    def cmd(self, line):
        self.send(line.encode("utf-8", "surrogateescape") + b"\r\n")
        return self.read()

    def want(self, line, expected):
        """Says the line; the reply must begin with `expected`, such as "550 5.7.1"."""
        reply = self.cmd(line)
        assert reply.is_.startswith(expected), f"{line}: expected {expected}, got {reply}"
        return reply

    def ehlo(self, name="client.example"):
        reply = self.want(f"EHLO {name}", "250")
        self.extensions = {l.split()[0].upper(): l.split()[1:] for l in reply.lines[1:]}
        return self

    def starttls(self):
        self.want("STARTTLS", "220")
        self._wrap()
        return self

    def _wrap(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket, server_hostname="mail.proseware.com")

    def mail(self, sender, expected="250", more=""):
        return self.want(f"MAIL FROM:<{sender}>{more}", expected)

    def rcpt(self, recipient, expected="250", more=""):
        return self.want(f"RCPT TO:<{recipient}>{more}", expected)

    def data(self, content, expected="250"):
        self.want("DATA", "354")
        content = content if isinstance(content, bytes) else content.encode()
        content = content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        if not content.endswith(b"\r\n"):
            content += b"\r\n"
        self.send((b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n")
        reply = self.read()
        assert reply.is_.startswith(expected), f"end of data: expected {expected}, got {reply}"
        return reply

    def quit(self):
        self.want("QUIT", "221")
        self.close()

    def close(self):
        self.socket.close()

    # --- logging in ---

    def auth_plain(self, user, password, expected="235"):
        token = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        return self.want(f"AUTH PLAIN {token}", expected)

    def auth_login(self, user, password, expected="235"):
        self.want("AUTH LOGIN", "334")
        self.want(base64.b64encode(user.encode()).decode(), "334")
        return self.want(base64.b64encode(password.encode()).decode(), expected)

    def auth_scram(self, user, password, expected="235"):
        """RFC 7677, without channel binding; checks the server's own proof too."""
        nonce = base64.b64encode(os.urandom(18)).decode()
        bare = f"n={user},r={nonce}"
        first = self.want("AUTH SCRAM-SHA-256 " + base64.b64encode(b"n,," + bare.encode()).decode(), "334")
        challenge = base64.b64decode(first.text).decode()
        values = dict(part.split("=", 1) for part in challenge.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(values["s"]), int(values["i"]))
        final = f"c=biws,r={values['r']}"
        text = f"{bare},{challenge},{final}".encode()
        key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(key).digest(), text, "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
        reply = self.cmd(base64.b64encode(f"{final},p={proof}".encode()).decode())
        if reply.code == 334:
            server = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), text, "sha256")
            assert base64.b64decode(reply.text).decode() == "v=" + base64.b64encode(server).decode()
            reply = self.cmd("")
        assert reply.is_.startswith(expected), f"SCRAM: expected {expected}, got {reply}"
        return reply


def letter(sender="a@proseware.com", to="b@adatum.com", subject="Hello", body="Good day", message_id=None, more=""):
    """A plain message."""
    message_id = message_id or f"<{time.time_ns()}.{os.urandom(4).hex()}@client.example>"
    return (
        f"From: <{sender}>\nTo: <{to}>\nSubject: {subject}\nMessage-ID: {message_id}\n"
        f"Date: Sat, 21 Nov 2026 10:00:00 +0000\n{more}\n{body}\n"
    )
