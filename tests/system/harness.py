"""The server under test, as tests see it: Context gives each test a folder, a DNS server, sinks and
servers of its own, and at the end looks whether any of them has something to complain about."""
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import isolation
from dns_server import Dns
from sink import Sink
from smtp_session import Session

ROOT = Path(__file__).resolve().parent.parent.parent
PEERS = ROOT / "build" / "peers"
WAIT = 20  # seconds, for whatever should happen soon; sanitizers and two cores are slow

COMPLAINTS = re.compile(r"(AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|runtime error:|bug: |MUST)")


def readable(report):
    """A sanitizer's stacks with names and lines: sandboxed processes cannot start a symbolizer."""

    def name(match):
        done = subprocess.run(["addr2line", "-fpse", match[1], match[2]], text=True, capture_output=True)
        return done.stdout.strip() or match[0]

    report = re.sub(r"Shadow bytes around.*?(?===\d+==|\Z)", "", report, flags=re.S)
    return re.sub(r"\((/\S+/postern[a-z-]*)\+(0x[0-9a-f]+)\)", name, report)


class Skip(Exception):
    """Raised by a test that this machine cannot run; the text says why."""


def options(**given):
    """seconds: the limit; alone: nothing else at that time."""

    def mark(test):
        test.options = given
        return test

    return mark


def until(condition, what, seconds=WAIT, every=0.02):
    """Waits for other processes: the first true value of condition()."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds} s still not: {what}")
        time.sleep(every)


def need_root():
    if isolation.KIND != "root":
        raise Skip("needs root, and namespaces")


class Context:
    def __init__(self, builds, folder):
        self.builds, self.folder = builds, Path(folder)
        self.servers, self.processes, self.closers, self.logs = [], [], [], []
        self.dns = None

    # --- what tests ask for ---

    def zones(self, records=None):
        """A DNS server with these records: {"example.com": {"MX": ["10 mail.example.com"]}, ...}."""
        if not self.dns:
            self.dns = Dns(records or {})
            self.closers.append(self.dns.close)
        elif records:
            self.dns.records.update(records)
        return self.dns

    def sink(self, address="127.0.0.25", port=25, **how):
        sink = Sink(address, port, **how)
        self.closers.append(sink.close)
        return sink

    def server(self, text, start=True, **how):
        server = Server(self, text, **how)
        self.servers.append(server)
        if start:
            server.start()
        return server

    def process(self, *command, **more):
        """Anything else that is to run until the test ends."""
        log = open(self.folder / f"process-{len(self.processes)}.log", "wb")
        more.setdefault("stdout", log)
        more.setdefault("stderr", subprocess.STDOUT)
        more.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen([str(c) for c in command], **more)
        process.log = Path(log.name)
        self.processes.append(process)
        return process

    # --- the end ---

    def close(self, quiet=False):
        for server in self.servers:
            server.close(quiet)
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        for closer in reversed(self.closers):
            closer()

    def show_logs(self):
        for server in self.servers:
            print(f"--- log of {server.name}:")
            print(readable(server.log.read_text(errors="replace")[-12000:]) if server.log.exists() else "none")
        for process in self.processes:
            print(f"--- {process.args}:\n{process.log.read_text(errors='replace')[-4000:]}")
        for log in self.logs:
            print(f"--- {log.name}:\n{log.read_text(errors='replace')[-4000:] if log.exists() else 'none'}")


class Server:
    """postern serve on a configuration of its own."""

    count = 0

    def __init__(self, context, text, build="sanitized", workers=2, run_as=None, head="", log=None):
        Server.count += 1
        self.context, self.name = context, f"server{Server.count}"
        self.folder = context.folder / self.name
        self.folder.mkdir()
        self.state, self.file = self.folder / "state", self.folder / "postern.conf"
        self.log = log or self.folder / "log"
        self.binary = Path(context.builds[build]) / "src/bin/postern"
        self.workers, self.head = workers, head
        self.run_as = run_as or ("root" if os.getuid() == 0 else None)
        self.process = None
        self.crashes_expected = False
        self.environment = dict(os.environ)
        self.environment["ASAN_OPTIONS"] = "detect_leaks=1:detect_stack_use_after_return=0:abort_on_error=0"
        self.environment["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
        self.environment["LSAN_OPTIONS"] = "print_suppressions=0"
        self.write(text)

    def write(self, text):
        self.text = text
        lines = [f'hostname = "mail.proseware.com"', f'state_dir = "{self.state}"', f"workers = {self.workers}"]
        if self.run_as:
            lines.append(f'run_as = "{self.run_as}"')
        if self.context.dns and "dns =" not in self.head:
            lines.append(f'dns = {{"{self.context.dns.where}"}}')
        self.file.write_text("\n".join(lines) + "\n" + self.head + "\n" + text)

    # --- running ---

    def start(self, ready=True, wrap=()):
        self.crashed_before = 0
        offset = self.log.stat().st_size if self.log.exists() else 0
        self.offset = offset
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*wrap, str(self.binary), "serve", "-c", str(self.file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                start_new_session=True,
                cwd=self.folder,
            )
        if ready:
            event = until(self._ready_or_gone, "ready", 40)
            assert event is not True, "the server ended:\n" + self.log.read_text(errors="replace")[offset:]
            self.listeners = event["listeners"]
        return self

    def _ready_or_gone(self):
        ready = self.events("ready", since=self.offset)
        return ready[-1] if ready else self.process.poll() is not None

    @property
    def pid(self):
        return self.events("ready", since=self.offset)[-1]["pid"]

    def children(self):
        """{pid: command line} of the parent's children."""
        found = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                if int(stat.read_text().rsplit(")", 1)[1].split()[1]) == self.pid:
                    line = (stat.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found[int(stat.parent.name)] = line
            except (OSError, IndexError):
                continue
        return found

    def children_of(self, kind):
        return sorted(pid for pid, line in self.children().items() if f"--child={kind}" in line)

    def send_signal(self, number):
        os.kill(self.pid, number)

    def reload(self, text=None):
        """SIGHUP; the event that answers it."""
        if text is not None:
            self.write(text)
        size = self.log.stat().st_size
        self.send_signal(signal.SIGHUP)
        return until(
            lambda: (self.events("reloaded", since=size) + self.events("reload-refused", since=size))[:1],
            "an answer to SIGHUP",
        )[0]

    def stop(self, number=signal.SIGTERM, seconds=30):
        if self.process and self.process.poll() is None:
            ready = self.events("ready", since=self.offset)
            os.kill(ready[-1]["pid"] if ready else self.process.pid, number)
            self.process.wait(seconds)
        return self.process.returncode if self.process else 0

    def kill(self):
        """All of it at once, as a power cut would but for the disk."""
        group = self.process.pid
        os.killpg(group, signal.SIGKILL)
        self.process.wait()
        until(lambda: not self._lives(group), "the end of all of it", 10)

    @staticmethod
    def _lives(group):
        try:
            while os.waitpid(-group, os.WNOHANG)[0]:  # orphans are ours where this is process 1
                pass
        except ChildProcessError:
            pass
        try:
            os.killpg(group, 0)
            return True
        except ProcessLookupError:
            return False

    def close(self, quiet):
        try:
            code = self.stop()
        except subprocess.TimeoutExpired:
            self.kill()
            code = "none: it had to be killed"
        if quiet or not self.process:
            return
        text = self.log.read_text(errors="replace")
        found = COMPLAINTS.search(text)
        assert not found, readable("complaint in the log:\n" + text[max(0, found.start() - 2000) : found.start() + 6000])
        if not self.crashes_expected:
            assert code in (0, 78), f"the server's exit code is {code}"
            ended = self.events("child-ended") + self.events("worker-failed") + self.events("child-not-started")
            ended = [e for e in ended if e.get("how") != "exited with 0"]  # on reload
            assert not ended, f"children ended: {ended}"

    # --- looking ---

    def events(self, name=None, since=0, **fields):
        found = []
        if not self.log.exists():
            return found
        with open(self.log, "rb") as log:
            log.seek(since)
            for line in log:
                if not line.startswith(b'{"time"') or not line.endswith(b"\n"):
                    continue
                event = json.loads(line)
                if name not in (None, event["event"]):
                    continue
                if all(event.get(k) == v for k, v in fields.items()):
                    found.append(event)
        return found

    def event(self, name, seconds=WAIT, **fields):
        return until(lambda: self.events(name, **fields), f"event {name} {fields}", seconds)[-1]

    def at(self, listener="internet", index=0):
        """(address, port) of a listener."""
        address, _, port = self.listeners[listener][index].rpartition(":")
        return address.strip("[]"), int(port)

    # --- speaking ---

    def session(self, listener="internet", source=None, **how):
        return Session(*self.at(listener), source=source, **how)

    def command(self, *words, input=None, code=0, binary=None):
        """postern WORDS -c FILE; asserts the exit code (None: any); stdout."""
        done = self.run(*words, input=input, binary=binary)
        if code is not None:
            assert done.returncode == code, f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def run(self, *words, input=None, binary=None):
        head = 2 if words[0] in ("queue", "user", "alias", "group", "pop", "grants") else 1
        line = [str(binary or self.binary), *words[:head], "-c", str(self.file), *words[head:]]
        done = subprocess.run(line, input=input, text=True, capture_output=True, env=self.environment, timeout=60)
        assert not COMPLAINTS.search(done.stderr), done.stderr
        if words[0] in ("user", "alias", "group"):
            time.sleep(0.06)  # what a worker has just looked up holds for 50 ms
        return done

    def json(self, *words, code=0):
        return [json.loads(line) for line in self.command(*words, "--json", code=code).splitlines()]

    def user(self, address, password="secret"):
        self.command("user", "add", address, "--password-stdin", input=password + "\n")

    def queue(self):
        return self.json("queue", "list")

    def why(self, **facts):
        """`postern why` about these facts; its JSON."""
        words = []
        for key, value in facts.items():
            name = "--" + key.replace("_", "-")
            if value is True:
                words.append(name)
            elif value is not None:
                words += [name, str(value)]
        sender = [] if "sender" not in facts else []
        done = self.run("why", *words, *sender, "--json")
        assert done.returncode in (0, 1), done.stdout + done.stderr
        return json.loads(done.stdout)

    def wait_empty(self, seconds=WAIT):
        until(lambda: not self.queue(), "an empty queue", seconds, 0.1)

    def maildir(self, address):
        """Messages delivered to a Maildir, oldest first."""
        local, _, domain = address.partition("@")
        folder = self.state / "mail" / domain / local / "new"
        files = sorted(folder.glob("*"), key=lambda p: p.stat().st_mtime_ns) if folder.exists() else []
        return [p.read_bytes() for p in files]

    def wait_maildir(self, address, count=1, seconds=WAIT):
        return until(
            lambda: (m := self.maildir(address)) and len(m) >= count and m, f"{count} messages in {address}", seconds
        )


def tool(name):
    """A program that Debian may keep in /usr/sbin."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not found:
        raise Skip(f"{name} is not installed")
    return found
