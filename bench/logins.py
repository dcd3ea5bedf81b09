#!/usr/bin/env python3
"""bench/logins.py POSTERN [SECONDS]: logins a second, and what a flood of wrong ones costs everybody else.

20 distinct logins, PLAIN (within TLS) and SCRAM-SHA-256 (without), each login in a session of its own; cold: the first right answer of
each login after a start; warm: the same ones again. Then a flood of wrong passwords, from addresses of 127.99.0.0/16, beside sessions that log in rightly
and others that only say NOOP: medians of their replies, with the flood and without, side by side. Run it on a quiet machine."""
import base64
import hashlib
import hmac
import json
import os
import random
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

LOGINS = [f"user{n}@bench.example" for n in range(20)]
WORD = "a password of some length"
CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
CONTEXT.check_hostname, CONTEXT.verify_mode = False, ssl.CERT_NONE


class Client:
    def __init__(self, port, source="127.0.0.1", tls=False):
        self.socket = socket.socket()
        self.socket.settimeout(60)
        self.socket.bind((source, 0))
        self.socket.connect(("127.0.0.1", port))
        if tls:
            self.socket = CONTEXT.wrap_socket(self.socket)
        self.file = self.socket.makefile("rb")
        self.reply()
        self.ask("EHLO bench.example")

    def reply(self):
        while True:
            line = self.file.readline()
            if not line:
                return ""
            if line[3:4] != b"-":
                return line.decode().strip()

    def ask(self, line):
        self.socket.sendall(line.encode() + b"\r\n")
        return self.reply()

    def plain(self, login, word):
        return self.ask("AUTH PLAIN " + base64.b64encode(f"\0{login}\0{word}".encode()).decode())

    def scram(self, login, word):
        nonce = base64.b64encode(os.urandom(18)).decode()
        bare = f"n={login},r={nonce}"
        answer = self.ask("AUTH SCRAM-SHA-256 " + base64.b64encode(f"n,,{bare}".encode()).decode())
        first = base64.b64decode(answer[4:]).decode()
        parts = dict(p.split("=", 1) for p in first.split(","))
        salted = keys(word, parts["s"], int(parts["i"]))
        client = hmac.digest(salted, b"Client Key", "sha256")
        last = f"c=biws,r={parts['r']}"
        signature = hmac.digest(hashlib.sha256(client).digest(), f"{bare},{first},{last}".encode(), "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(client, signature))).decode()
        answer = self.ask(base64.b64encode(f"{last},p={proof}".encode()).decode())
        return self.ask("") if answer.startswith("334") else answer

    def close(self):
        self.socket.close()


KEYS = {}


def keys(word, salt, iterations):
    """As mail programs do, derived once."""
    if (word, salt) not in KEYS:
        KEYS[word, salt] = hashlib.pbkdf2_hmac("sha256", word.encode(), base64.b64decode(salt), iterations)
    return KEYS[word, salt]


def start(binary, folder):
    conf = folder / "postern.conf"
    conf.write_text(f"""state_dir = "{folder}/state"
run_as = "{'root' if os.getuid() == 0 else os.environ['USER']}"
domain "bench.example" {{ }}
listener "plain" {{ bind = {{"127.0.0.1:0"}}  auth = offer  max_connections_per_client = 1000 }}
listener "tls" {{ bind = {{"127.0.0.1:0"}}  tls = implicit  auth = offer  max_connections_per_client = 1000 }}
""")
    for login in LOGINS:
        if not (folder / "made").exists():
            subprocess.run([binary, "user", "add", "-c", conf, login, "--password-stdin"], input=WORD + "\n", text=True, check=True,
                           stdout=subprocess.DEVNULL)
    (folder / "made").touch()
    process = subprocess.Popen([binary, "serve", "-c", conf], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    for line in process.stderr:
        event = json.loads(line) if line.startswith(b"{") else {}
        if event.get("event") == "ready":
            threading.Thread(target=lambda: [None for _ in process.stderr], daemon=True).start()
            return process, {name: int(where[0].rsplit(":", 1)[1]) for name, where in event["listeners"].items()}
    sys.exit("the server did not start")


def stop(process):
    process.terminate()
    process.wait(30)


def timed(client, how, login):
    began = time.perf_counter()
    answer = getattr(client, how)(login, WORD)
    assert answer.startswith("235"), answer
    return time.perf_counter() - began


def rate(port, how, tls, rounds):
    """(a second, median ms of the exchange alone): connections are made before the clock starts."""
    clients = [(Client(port, tls=tls), login) for _ in range(rounds) for login in LOGINS]
    times, share = [], [clients[i::4] for i in range(4)]

    def work(mine):
        times.extend(timed(client, how, login) for client, login in mine)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in share]
    began = time.perf_counter()
    [t.start() for t in threads]
    [t.join() for t in threads]
    took = time.perf_counter() - began
    [client.close() for client, _ in clients]
    return len(clients) / took, statistics.median(times) * 1000


def flood(port, until, addresses, count):
    """Wrong passwords without end, each session once, as those do that are not slowed down by waiting for the answer."""
    while time.monotonic() < until[0]:
        try:
            source = f"127.99.{random.randrange(addresses) // 250}.{random.randrange(addresses) % 250 + 1}"
            client = Client(port, source, tls=True)
            client.socket.sendall(b"AUTH PLAIN " + base64.b64encode(f"\0{random.choice(LOGINS)}\0wrong{random.random()}".encode()) + b"\r\n")
            count.append(1)
            client.socket.close()
        except OSError:
            pass


def others(ports, seconds):
    """(median ms of NOOP, of a right login) over some seconds, from an address that has logged in before."""
    idle, noops, logins = Client(ports["plain"]), [], []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.perf_counter()
        idle.ask("NOOP")
        noops.append(time.perf_counter() - began)
        client = Client(ports["plain"])
        logins.append(timed(client, "scram", random.choice(LOGINS)))
        client.close()
    return statistics.median(noops) * 1000, statistics.median(logins) * 1000


def main():
    binary, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 10
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for how, listener in (("plain", "tls"), ("scram", "plain")):
            process, ports = start(binary, folder)
            for state, rounds in (("cold", 1), ("warm", 10)):
                per_second, median = rate(ports[listener], how, listener == "tls", rounds)
                print(f"{how:6} {state}  {per_second:7.0f} logins a second   median {median:6.2f} ms", flush=True)
            stop(process)
        process, ports = start(binary, folder)
        quiet = others(ports, seconds)
        for addresses in (1, 500):
            until, count = [time.monotonic() + seconds], []
            floods = [threading.Thread(target=flood, args=(ports["tls"], until, addresses, count)) for _ in range(8)]
            [t.start() for t in floods]
            loud = others(ports, seconds)
            [t.join() for t in floods]
            print(f"flood from {addresses:3} addresses, {len(count) / seconds:5.0f} a second: NOOP {quiet[0]:.2f} -> {loud[0]:.2f} ms, "
                  f"right login {quiet[1]:.2f} -> {loud[1]:.2f} ms (medians)", flush=True)
        stop(process)


if __name__ == "__main__":
    main()
