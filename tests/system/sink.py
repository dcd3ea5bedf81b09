"""An SMTP or LMTP server for tests, which answers as it is told to and keeps what it gets."""
import base64
import re
import socket
import ssl
import threading
import time


class Message:
    def __init__(self, sender, recipients, data, session):
        self.sender, self.recipients, self.data, self.session = sender, recipients, data, session
        self.time = time.time()

    @property
    def text(self):
        return self.data.decode("utf-8", "replace")

    @property
    def message_id(self):
        found = re.search(rb"^Message-ID:\s*(\S+)", self.data, re.I | re.M)
        return found[1].decode() if found else None


class Hang(Exception):
    """A reply that never comes."""


HANG, CLOSE = object(), object()


class Sink:
    """replies: {step: reply}, where step is banner EHLO HELO MAIL RCPT DATA END AUTH STARTTLS, and reply a
    text, HANG, CLOSE, a list used up one after the other, or a function(argument, sink) of one of these; None
    (or an empty list) is the usual reply."""

    def __init__(self, address, port, replies=None, extensions=("PIPELINING", "8BITMIME"), lmtp=False,
                 logins=None, certificate=None, keep_data=True, tokens=None, token_mechanisms="OAUTHBEARER XOAUTH2"):
        self.address, self.port, self.lmtp = address, port, lmtp
        self.replies, self.extensions = dict(replies or {}), list(extensions)
        self.tokens, self.token_mechanisms = tokens, token_mechanisms  # tokens(mechanism, user, token): is it good?
        self.logins, self.certificate, self.keep_data = logins, certificate, keep_data
        self.messages, self.commands, self.connections, self.held_open = [], [], 0, 0
        self.lock, self.closing = threading.Lock(), threading.Event()
        family = socket.AF_UNIX if port is None else socket.AF_INET6 if ":" in address else socket.AF_INET
        self.socket = socket.socket(family)
        if family != socket.AF_UNIX:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(address if port is None else (address, port))
        if port is not None:
            self.port = self.socket.getsockname()[1]
        self.socket.listen(1000)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self.closing.set()
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def to(self, address):
        """Messages that came for this recipient."""
        return [m for m in self.messages if address in m.recipients]

    def _serve(self):
        while not self.closing.is_set():
            try:
                connection, peer = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection, peer), daemon=True).start()

    def _talk(self, connection, peer):
        with self.lock:
            self.held_open += 1
        try:
            Conversation(self, connection, peer).run()
        except (OSError, ValueError, Hang):
            pass
        finally:
            connection.close()
            with self.lock:
                self.held_open -= 1

    def reply(self, step, argument, usual):
        reply = self.replies.get(step)
        if callable(reply):
            reply = reply(argument, self)
        if isinstance(reply, list):
            with self.lock:
                reply = reply.pop(0) if reply else None
        return usual if reply is None else reply


class Conversation:
    def __init__(self, sink, connection, peer):
        self.sink, self.connection, self.peer = sink, connection, peer
        if sink.port is not None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = connection.makefile("rb")
        self.helo = self.login = None
        self.tls = False
        self.bare_newlines = 0
        self._reset()

    def _reset(self):
        self.sender, self.recipients = None, []

    def say(self, step, argument, usual):
        """Sends the reply; whether it is a good one."""
        reply = self.sink.reply(step, argument, usual)
        if reply is HANG:
            self.sink.closing.wait(120)
            raise Hang
        if reply is CLOSE:
            raise Hang
        self.connection.sendall(reply.encode() + b"\r\n")
        return reply[0] in "23"

    def line(self):
        line = self.file.readline(70000)
        if not line.endswith(b"\n"):
            raise ValueError("end")
        return line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")

    def run(self):
        self.say("banner", None, "220 sink.example ESMTP")
        while True:
            line = self.line()
            verb, _, argument = line.partition(" ")
            verb = verb.upper()
            self.sink.commands.append(line)
            if verb == "QUIT":
                self.say("QUIT", None, "221 2.0.0 Bye")
                return
            handler = getattr(self, "on_" + verb.lower(), None)
            if handler:
                handler(argument)
            else:
                self.say(verb, argument, "502 5.5.2 What?")

    def on_ehlo(self, argument):
        self.helo = argument
        lines = ["sink.example", *self.sink.extensions]
        if self.sink.certificate and not self.tls:
            lines.append("STARTTLS")
        if self.sink.logins is not None:
            lines.append("AUTH PLAIN LOGIN")
        if self.sink.tokens:
            lines.append("AUTH " + self.sink.token_mechanisms)
        text = "\r\n".join("250" + (" " if i == len(lines) - 1 else "-") + line for i, line in enumerate(lines))
        self.say("EHLO", argument, text)

    on_lhlo = on_ehlo

    def on_helo(self, argument):
        self.helo = argument
        self.say("HELO", argument, "250 sink.example")

    def on_rset(self, _):
        self._reset()
        self.say("RSET", None, "250 2.0.0 Ok")

    def on_noop(self, _):
        self.say("NOOP", None, "250 2.0.0 Ok")

    def on_starttls(self, _):
        if not self.say("STARTTLS", None, "220 2.0.0 Go ahead"):
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.sink.certificate)
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.file = self.connection.makefile("rb")
        self.tls = True

    def on_auth(self, argument):
        mechanism, _, initial = argument.partition(" ")
        if self.sink.tokens:
            return self._auth_token(mechanism.upper(), initial)
        if mechanism.upper() == "LOGIN":
            user = self._ask(b"VXNlcm5hbWU6") if not initial else initial
            given = (self._decode(user), self._decode(self._ask(b"UGFzc3dvcmQ6")))
        else:
            parts = self._decode(initial or self._ask(b"")).split("\0")
            given = (parts[-2], parts[-1])
        good = self.sink.logins and self.sink.logins.get(given[0]) == given[1]
        if self.say("AUTH", given, "235 2.7.0 Welcome" if good else "535 5.7.8 Wrong"):
            self.login = given[0]

    def _auth_token(self, mechanism, initial):
        """As RFC 7628 and Google have it: a bad token is answered by a challenge first."""
        if mechanism not in self.sink.token_mechanisms.split():
            return self.say("AUTH", argument=None, usual="504 5.5.4 Not here")
        message = self._decode(initial or self._ask(b""))
        bearer = mechanism == "OAUTHBEARER"
        found = re.fullmatch(r"n,a=([^,]*),\x01(?:host=[^\x01]+\x01)?(?:port=\d+\x01)?auth=Bearer (\S+)\x01\x01" if bearer
                             else r"user=([^\x01]+)\x01auth=Bearer (\S+)\x01\x01", message)
        if found and self.sink.tokens(mechanism, found[1], found[2]):
            self.login = found[1]
            return self.say("AUTH", found[1], "235 2.7.0 Welcome")
        answer = self._ask(base64.b64encode(b'{"status":"400","schemes":"Bearer"}'))
        wanted = "AQ==" if bearer else ""
        return self.say("AUTH", None, "535 5.7.8 Token refused" if answer == wanted else "501 5.5.2 Not the answer")

    def _ask(self, challenge):
        self.connection.sendall(b"334 " + challenge + b"\r\n")
        return self.line()

    @staticmethod
    def _decode(text):
        return base64.b64decode(text).decode()

    def on_mail(self, argument):
        sender = re.match(r"FROM:<([^>]*)>", argument, re.I)[1]
        if self.say("MAIL", argument, "250 2.1.0 Ok"):
            self._reset()
            self.sender, self.mail = sender, argument

    def on_rcpt(self, argument):
        recipient = re.match(r"TO:<([^>]*)>", argument, re.I)[1]
        if self.say("RCPT", recipient, "250 2.1.5 Ok"):
            self.recipients.append(recipient)

    def on_data(self, _):
        if not self.recipients:
            self.say("DATA", None, "554 5.5.1 No recipients")
            return
        if not self.say("DATA", None, "354 Go on"):
            return
        data = bytearray()
        while True:
            line = self.file.readline(1 << 20)
            if not line:
                raise ValueError("end")
            if line == b".\r\n":
                break
            if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
                self.bare_newlines += 1
            data += line[1:] if line.startswith(b".") else line
        self._finish(bytes(data))

    def on_bdat(self, argument):
        words = argument.split()
        self.chunks = getattr(self, "chunks", b"") + self.file.read(int(words[0]))
        if len(words) < 2:
            self.say("BDAT", argument, "250 2.0.0 Go on")
            return
        data, self.chunks = self.chunks, b""
        self._finish(data)

    def _finish(self, data):
        message = Message(self.sender, self.recipients, data if self.sink.keep_data else b"", self)
        message.mail = self.mail
        message.id = message.message_id if self.sink.keep_data else Message(None, None, data[:4000], None).message_id
        good = []
        for recipient in self.recipients if self.sink.lmtp else [None]:
            reply = self.sink.reply("END", recipient or message, "250 2.0.0 Taken")
            if reply is HANG:
                self.sink.closing.wait(120)
                raise Hang
            if reply is CLOSE:
                raise Hang
            if reply[0] == "2":
                good.append(recipient)
                if len(good) == 1:
                    self.sink.messages.append(message)
            self.connection.sendall(reply.encode() + b"\r\n")
        if self.sink.lmtp:
            message.recipients = good
        self._reset()
