#!/usr/bin/env python3
"""Postern in a minute: `make demo` shows one message that is relayed, one that is refused and one that bounces, each
with its explanation; `make run` (--stay) leaves the same server in the foreground.

Everything happens on loopback, in a folder that is removed afterwards: the server, a DNS server that knows two
names, and the mail server of adatum.com that the mail goes to. Exits 0 only if all of it went as told."""
import argparse
import json
import os
import re
import shutil
import signal
import smtplib
import socket
import struct
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
USER, PASSWORD = "ann@proseware.com", "paper-boat"
FRIEND, MISTYPED = "bob@adatum.com", "bbo@adatum.com"
HOTEL = "127.0.0.77"  # an address that no connector names
WAIT = 20  # seconds, for whatever should happen in a moment

CONFIGURATION = """\
hostname = "mail.proseware.com"
domain "proseware.com" {{ }}
listener "internet"    {{ bind = {{"127.0.0.1:0"}}  tls = offer    auth = off }}
listener "submission"  {{ bind = {{"127.0.0.1:0"}}  tls = require  auth = require }}
connector "people" {{
    auth         = any
    may_relay_to = {{"*"}}
    senders      = own
}}
"""

SURROUNDINGS = """\
# where this demonstration takes place
route "adatum" {{ to = {{"adatum.com"}}  via = {{"smtp://mx.adatum.com:{mx}"}}  tls = opportunistic }}
state_dir = "{folder}/state"
log       = "file:{folder}/log"
dns       = {{"127.0.0.1:{dns}"}}
workers   = 1
{run_as}
"""


class Failed(Exception):
    pass


def need(condition, otherwise):
    if not condition:
        raise Failed(otherwise)


def until(condition, what):
    end = time.monotonic() + WAIT
    while not (value := condition()):
        need(time.monotonic() < end, f"{what}: not within {WAIT} seconds")
        time.sleep(0.02)
    return value


# --- what stands around the server ---


class Names:
    """A DNS server that knows where mx.adatum.com is."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            packet, peer = self.socket.recvfrom(4096)
            try:
                self.socket.sendto(self._answer(packet), peer)
            except (IndexError, struct.error):
                pass

    @staticmethod
    def _answer(packet):
        labels, at = [], 12
        while packet[at]:
            labels.append(packet[at + 1 : at + 1 + packet[at]].decode("latin-1").lower())
            at += 1 + packet[at]
        kind = struct.unpack_from("!H", packet, at + 1)[0]
        known = labels == ["mx", "adatum", "com"]
        question, answer = packet[12 : at + 5], b""
        if known and kind == 1:
            answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton("127.0.0.1")
        flags = 0x8580 | (0 if known else 3)
        return packet[:2] + struct.pack("!5H", flags, 1, bool(answer), 0, 0) + question + answer


class Adatum:
    """adatum.com's mail server: it has a mailbox for bob and nobody else."""

    def __init__(self):
        self.messages = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            connection, _ = self.socket.accept()
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection):
        with connection, connection.makefile("rwb") as wire:
            self._say(wire, "220 mx.adatum.com ESMTP")
            while line := wire.readline(2048).decode("latin-1").strip():
                verb = line.split()[0].upper()
                if verb == "EHLO":
                    self._say(wire, "250-mx.adatum.com\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES")
                elif verb == "RCPT" and f"<{FRIEND}>" not in line.lower():
                    self._say(wire, "550 5.1.1 No mailbox of that name here")
                elif verb == "DATA":
                    self._say(wire, "354 Go ahead")
                    content = b"".join(iter(wire.readline, b".\r\n"))
                    self.messages.append(content.decode("utf-8", "replace"))
                    self._say(wire, "250 2.0.0 Taken, thank you")
                elif verb == "QUIT":
                    self._say(wire, "221 2.0.0 Bye")
                    return
                else:
                    self._say(wire, "250 2.0.0 Ok")

    @staticmethod
    def _say(wire, text):
        wire.write(text.encode() + b"\r\n")
        wire.flush()


# --- the server ---


class Server:
    def __init__(self, binary, folder, names, adatum):
        self.binary, self.folder = binary, folder
        self.file, self.log, self.errors = folder / "postern.conf", folder / "log", folder / "errors"
        run_as = f'run_as = "{account(binary)}"' if os.geteuid() == 0 else ""
        self.file.write_text(
            CONFIGURATION.format() + SURROUNDINGS.format(folder=folder, dns=names.port, mx=adatum.port, run_as=run_as)
        )

    def start(self):
        with open(self.errors, "wb") as errors:
            self.process = subprocess.Popen(
                [self.binary, "serve", "-c", self.file], stdin=subprocess.DEVNULL, stdout=errors, stderr=errors
            )
        ready = until(self._ready_or_ended, "the server's start")
        need(ready is not True, "the server did not start:\n" + self.errors.read_text() + self._log())
        self.ports = {name: int(at[0].rpartition(":")[2]) for name, at in ready["listeners"].items()}

    def _log(self):
        return self.log.read_text() if self.log.exists() else ""

    def _ready_or_ended(self):
        return next(iter(self.events("ready")), self.process.poll() is not None)

    def events(self, name, **fields):
        whole = [line for line in self._log().splitlines(True) if line.endswith("\n") and line.startswith("{")]
        found = [event for event in map(json.loads, whole) if event["event"] == name]
        return [e for e in found if all(e.get(key) == value for key, value in fields.items())]

    def run(self, *words, code=0, **more):
        head = 2 if words[0] in ("user", "queue") else 1
        line = [self.binary, *words[:head], "-c", self.file, *words[head:]]
        done = subprocess.run(line, text=True, capture_output=True, timeout=WAIT, **more)
        need(
            code in (None, done.returncode),
            f"postern {' '.join(words)}: exit code {done.returncode} in place of {code}\n{done.stdout}{done.stderr}",
        )
        return done.stdout

    def stop(self):
        self.process.terminate()
        return self.process.wait(WAIT)


def account(binary):
    """Whose the workers are, when root runs this: nobody, if that account can start the program at all."""
    try:
        tried = subprocess.run([binary, "--version"], user="nobody", group="nogroup", extra_groups=[], capture_output=True)
        return "nobody" if tried.returncode == 0 else "root"
    except (OSError, KeyError, LookupError, subprocess.SubprocessError):
        return "root"


# --- a client whose conversation can be read ---


class Client(smtplib.SMTP):
    """Shows what both sides say, but for extensions, passwords and contents."""

    def __init__(self, port, shown=True, **more):
        self.shown = shown
        super().__init__("127.0.0.1", port, timeout=WAIT, **more)

    def show(self, who, text):
        for line in textwrap.wrap(text.strip(), WIDTH - 12) if self.shown else ():
            print(f"    {who:<7} {line}")
            who = ""

    def send(self, data):
        text = data if isinstance(data, str) else data.decode("utf-8", "replace")
        if text.startswith("AUTH"):
            text = " ".join(text.split()[:2]) + " (login and password)"
        if text.count("\n") > 1:
            text = "(the message) ."
        self.show("client", text)
        super().send(data)

    def getreply(self):
        code, text = super().getreply()
        lines = text.decode("utf-8", "replace").splitlines()
        self.show("server", f"{code} {lines[0]}" + (f" (and {len(lines) - 1} extensions)" if len(lines) > 1 else ""))
        return code, text


# --- telling ---

WIDTH = min(100, max(72, shutil.get_terminal_size().columns))


def title(text):
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{bold}{text}{plain}\n{'-' * len(text)}")


def say(text):
    print(textwrap.fill(" ".join(text.split()), WIDTH))


def trace(server, of, *words):
    """`postern trace`, once the history, which is written a moment after the fact, has all these words."""

    def whole():
        done = server.run("trace", of, code=None)
        return all(word in done for word in words)

    until(whole, f"a trace of {of} with {', '.join(words)}")
    command(server, "trace", of)


def command(server, *words, code=0):
    """A command as one would type it, and what it prints."""
    print(f"\n    $ postern {' '.join(words)}")
    output = server.run(*words, code=code).rstrip()
    for line in output.splitlines():
        is_table = "  " in line.strip() and not line[0].isdigit()
        print(f"    {line}" if is_table else fold(line))
    print()
    return output


def fold(line):
    """A long line in several; what continues stands a little to the right of its beginning."""
    margin = "    " + line[: len(line) - len(line.lstrip())]
    hanging = margin + ("      " if line[:1].isdigit() else "  " if line.lstrip().startswith("- ") else "")
    return textwrap.fill(line.strip(), WIDTH, initial_indent=margin, subsequent_indent=hanging)


def letter(sender, to, subject, words):
    return f"From: Ann <{sender}>\r\nTo: <{to}>\r\nSubject: {subject}\r\n\r\n{words}\r\n"


def submit(server, to, subject, words, login_shown=True):
    """Ann, from anywhere, with her login; returns the id that the 250 names."""
    with Client(server.ports["submission"], login_shown) as client:
        client.ehlo("anns-laptop")
        client.starttls()
        client.ehlo("anns-laptop")
        client.user, client.password = USER, PASSWORD
        client.auth("PLAIN", client.auth_plain)
        client.shown = True
        for reply in (client.mail(USER), client.rcpt(to), client.data(letter(USER, to, subject, words))):
            need(reply[0] == 250, f"the server did not take the message: {reply}")
    found = re.search(r"queued as (\S+)", reply[1].decode())
    need(found, f"no id in the last reply: {reply}")
    return found[1]


# --- the three messages ---


def who_may(server):
    title("Who may relay here")
    say(
        """The configuration hosts proseware.com and has one connector: whoever logs in may send to anywhere, under an
        address of theirs. Before it serves anybody, Postern proves that nobody else may:"""
    )
    output = command(server, "check")
    need("Proof: closed" in output, "check does not say that the configuration is closed")


def relayed(server, adatum):
    title("1. A message that is relayed")
    say(f"Ann is in a foreign network, logs in on the submission port, and writes to {FRIEND}:")
    print()
    id = submit(server, FRIEND, "Lunch?", "Today at noon?")
    until(lambda: server.events("relayed", message=id), f"relaying {id}")
    need(len(adatum.messages) == 1 and "Today at noon?" in adatum.messages[0], "adatum.com did not get the message")
    print()
    say("The 250 meant: it is on disk. Meanwhile adatum.com's server has it. The trace tells every step:")
    trace(server, id, "accepted", "granted by connector people", "relayed")


def refused(server, adatum):
    title("2. A message that is refused")
    say("Somebody in a hotel tries the same on port 25, without a login:")
    print()
    with Client(server.ports["internet"], source_address=(HOTEL, 0)) as client:
        client.ehlo("hotel-guest")
        client.mail(USER)
        code, text = client.rcpt(FRIEND)
    text = text.decode()
    need(code == 550 and text.startswith("5.7.1 Unable to relay"), f"the server answered {code} {text}")
    session = re.search(r"(\w+)\]$", text)
    need(session and len(adatum.messages) == 1, "the refusal has no session id, or the message went out")
    print()
    say("The reply itself says what to do. It ends with the reason's id and that of the session, by which an administrator finds it:")
    trace(server, session[1], "refused", "relay.no-grant")
    say("And the reason in full, rule by rule, with the changes that would let it pass:")
    output = command(server, "why", "--client", HOTEL, "--from", USER, "--to", FRIEND, code=1)
    need("relay.no-grant" in output and "log in" in output, "why does not explain the refusal")


def bounced(server):
    title("3. A message that bounces")
    say(f"""Ann mistypes an address and writes to {MISTYPED}. Her server cannot know; adatum.com's refuses it.
        After the login, as before:""")
    print()
    id = submit(server, MISTYPED, "Dinner?", "Tonight at eight?", login_shown=False)
    until(lambda: server.events("bounced", message=id), f"the bounce of {id}")
    mailbox = server.folder / "state/mail/proseware.com/ann/new"
    report = until(lambda: [p.read_text() for p in mailbox.glob("*")] if mailbox.exists() else None, "the notice")[0]
    need("Status: 5.1.1" in report and "No mailbox of that name here" in report, "the notice is not what it should be")
    print()
    say("What Ann reads a moment later:")
    print()
    print(textwrap.indent(first_part(report), "  | ", lambda line: True))
    print()
    say("And its trace:")
    trace(server, id, "accepted", "bounced", "No mailbox of that name here")


def first_part(report):
    """Subject and the part for people."""
    import email
    import email.policy

    message = email.message_from_string(report, policy=email.policy.default)
    text = next(part for part in message.walk() if part.get_content_type() == "text/plain")
    return f"From: {message['From']}\nSubject: {message['Subject']}\n\n{text.get_content().strip()}"


def the_end(server):
    title("The queue")
    say("Nothing is left over:")
    output = command(server, "queue", "stats")
    need(re.search(r"^messages\s+0$", output, re.M), "the queue is not empty")
    need(server.stop() == 0, "the server did not stop properly:\n" + server.errors.read_text())
    print("The server has stopped. `make run` starts it again and leaves it running.")


# --- staying ---


def stay(server):
    internet, submission = server.ports["internet"], server.ports["submission"]
    title("Postern is running")
    say(f"It hosts proseware.com and takes mail on 127.0.0.1: port {internet} as from the Internet, port {submission} from people with a login.")
    print(
        f"""
    login       {USER}
    password    {PASSWORD}
    mailboxes   {server.folder}/state/mail
    settings    {server.file}

To be relayed, with swaks:
    swaks --server 127.0.0.1:{submission} --tls --auth-user {USER} --auth-password {PASSWORD} \\
          --from {USER} --to {FRIEND}
To be refused:
    swaks --server 127.0.0.1:{internet} --from {USER} --to {FRIEND}
To be told why, and what became of it:
    {server.binary} why -c {server.file} --client 127.0.0.1 --from {USER} --to {FRIEND}
    {server.binary} trace -c {server.file} {FRIEND}

The mail server of adatum.com, which plays along, has a mailbox for bob alone. Ctrl-C stops. What happens:
""",
        flush=True,
    )
    with open(server.log) as log:
        while server.process.poll() is None:
            line = log.readline()
            if not line:
                time.sleep(0.1)
            elif line.startswith("{"):
                brief(json.loads(line))
    raise Failed("the server ended:\n" + server.errors.read_text())


def brief(event):
    keys = ("message", "session", "client", "login", "from", "to", "code", "enhanced", "reason", "host", "text", "reply")
    values = [", ".join(v) if isinstance(v, list) else str(v) for v in map(event.get, keys) if v]
    print(textwrap.shorten(f"  {event['time'][11:19]}  {event['event']:<14} {'  '.join(values)}", 300), flush=True)


def play(given, folder):
    names, adatum = Names(), Adatum()
    server = Server(os.path.abspath(given.binary), folder, names, adatum)
    server.run("user", "add", USER, "--password-stdin", input=PASSWORD + "\n")
    try:
        if given.stay:
            server.start()
            stay(server)
            return
        who_may(server)
        server.start()
        relayed(server, adatum)
        refused(server, adatum)
        bounced(server)
        the_end(server)
    finally:
        if hasattr(server, "process") and server.process.poll() is None:
            server.stop()


def interrupted(*_):
    raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--stay", action="store_true", help="leave the server in the foreground")
    parser.add_argument("binary", nargs="?", default=ROOT / "build/postern")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, interrupted)
    with tempfile.TemporaryDirectory(prefix="postern-") as folder:
        os.chmod(folder, 0o755)
        try:
            play(given, Path(folder))
        except KeyboardInterrupt:
            print("\nStopped.")
        except (Failed, OSError, smtplib.SMTPException, subprocess.SubprocessError) as error:
            print(f"\nThis is not as it should be: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
