"""`postern doctor` against a scripted server that fails in every way at every step: it blames the right step, with the right
exit code and cause; it ends in time, sends no mail, and gives no password away."""
import json
import os
import pty
import re
import socket
import ssl
import subprocess
import termios
import time
from concurrent.futures import ThreadPoolExecutor

from failing_server import (Authority, Failing, by_argument, by_login, by_sender, close, drip, forever, raw, reply_then, reset,
                            silent, slow)
from harness import need_root, options, tool, until
from world import *

PASSWORD = "Tr0ub4dor-and-3"
LOGIN = ("alice@example.com", PASSWORD)
ZONES = {
    "example.com": {"MX": ["10 mail.example.com"]},
    "mail.example.com": {"A": ["127.0.0.1"]},
    "example.net": {"MX": ["10 mail.example.net"]},
    "mail.example.net": {"A": ["127.0.0.9"]},
    "example.org": {"MX": ["10 mail.example.net"]},
    "nowhere.example": {"MX": ["0 ."]},
    "noaddress.example": {"MX": ["10 gone.noaddress.example"]},
    "hangs.example": "hang",
}
ENV = {**os.environ, "DOCTOR_PASSWORD": PASSWORD, "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0"}
PROBES = "probes"  # in a case's words: with the conversations that tell causes apart
LOOK = "look"      # with those that look at TLS


def doctor(t, *words, code=None, build="sanitized"):
    """(exit code, JSON, all that was written)"""
    done = subprocess.run([f"{t.builds[build]}/src/bin/postern", "doctor", "--json", "--dns", t.dns.where, *map(str, words)], env=ENV,
                          text=True, capture_output=True, timeout=100, stdin=subprocess.DEVNULL)
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
    if code is not None:
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stdout + done.stderr


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def full_backlog():
    """A port that nobody answers at: what comes waits for an accept that never comes."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(0)
    waiting = []
    for _ in range(4):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(server.getsockname())
        waiting.append(one)
    return server, waiting


def asks_on(c):
    """Whatever the client says, it asks for more."""
    while True:
        c.reply("334 VXNlcm5hbWU6")
        c.line()


# name: (script, words, step, exit, causes). {port} is where the script is played; the target is mail.example.com:{port} if
# no other is named.
def cases(a):
    fine = {"tls": a.pair()}
    to = "--to bob@example.com"
    foreign = "--to bob@example.org"
    login = "--user alice@example.com --password-env DOCTOR_PASSWORD"
    log_in = {"tls": a.pair(), "login": LOGIN}
    quick = "--timeout 3"
    tls = lambda **how: {"tls": a.context(**how)}
    return {
        # --- nothing is wrong
        "fine": (fine, f"{to} {LOOK}", None, 0, None),
        "fine-login": ({**log_in, "auth-after-tls": True}, f"{to} {login}", None, 0, None),
        "fine-cram": ({**log_in, "mechanisms": "CRAM-MD5"}, f"{to} {login}", None, 0, None),
        "fine-send": (fine, f"{to} --send", None, 0, None),
        "fine-implicit": ({**fine, "implicit": True}, f"{to} --tls-on-connect", None, 0, None),
        "fine-slow-banner": ({**fine, "banner": slow("220-mail.example.com\n220 wait", 1.2)}, to, None, 0, None),
        # --- names and connections
        "dns-unknown": ({}, "nosuch.example", "DNS", 2, "host-unknown"),
        "dns-null-mx": ({}, "bob@nowhere.example", "DNS", 2, "domain-takes-no-mail"),
        "dns-mx-without-address": ({}, "bob@noaddress.example", "DNS", 2, "host-unknown"),
        "dns-silent": ({}, "mail.hangs.example --time 6", "DNS", 2, "timeout"),
        "dns-no-ipv6": ({}, "mail.example.com:{port} -6", "DNS", 2, "host-unknown"),
        "connect-refused": ("closed", "", "connect", 2, "unreachable"),
        "connect-refused-ipv6": ("closed", "[::1]:{port}", "connect", 2, "unreachable"),
        "connect-filtered": ("full", quick, "connect", 2, "timeout"),
        "connect-source": (fine, "--source 192.0.2.77", "connect", 2, "unreachable"),
        # --- the greeting
        "banner-closed": ({"banner": close}, "", "banner", 21, "unreachable"),
        "banner-reset": ({"banner": reset}, "", "banner", 21, "unreachable"),
        "banner-silent": ({"banner": silent}, quick, "banner", 21, "timeout"),
        "banner-554": ({"banner": "554 5.7.1 No SMTP service here for you"}, "", "banner", 21, "client-denied"),
        "banner-554-listed": ({"banner": "554 5.7.1 Service unavailable; Client host [127.0.0.1] blocked using bl.example.net"}, "",
                              "banner", 21, "blocklisted"),
        "banner-421-many": ({"banner": "421 4.7.0 mail.example.com Error: too many connections from 127.0.0.1"}, "", "banner", 21,
                            "rate-limited"),
        "banner-421-closed": ({"banner": reply_then("421 4.3.2 Service shutting down", close)}, "", "banner", 21, None),
        "banner-ssh": ({"banner": "SSH-2.0-OpenSSH_9.2p1"}, "", "banner", 21, "syntax"),
        "banner-imap": ({"banner": "* OK [CAPABILITY IMAP4rev1] Ready."}, "", "banner", 21, "syntax"),
        "banner-pop": ({"banner": "+OK ready"}, "", "banner", 21, "syntax"),
        "banner-http": ({"banner": "HTTP/1.1 400 Bad Request\nConnection: close\n"}, "", "banner", 21, "syntax"),
        "banner-binary": ({"banner": raw(bytes(range(256)) * 4 + b"\n", close)}, "", "banner", 21, "syntax"),
        "banner-endless-lines": ({"banner": forever(b"220-mail.example.com hello\r\n")}, "", "banner", 21, "syntax"),
        "banner-endless-line": ({"banner": forever(b"x" * 65536)}, "", "banner", 21, "syntax"),
        "banner-drip": ({"banner": drip("220 mail.example.com ESMTP" * 9)}, quick, "banner", 21, "timeout"),
        "banner-code-changes": ({"banner": "220-mail.example.com\n554 no"}, "", "banner", 21, "syntax"),
        "banner-tls-port": ({**fine, "implicit": True}, quick, "banner", 21, "timeout"),
        "banner-too-soon": ({"banner": "220 mail.example.com\n250 ok"}, "", "EHLO", 22, "syntax"),
        # --- EHLO
        "ehlo-refused": ({"EHLO": "550 5.7.1 Access denied", "HELO": "550 5.7.1 Access denied"}, "", "EHLO", 22, "client-denied"),
        "ehlo-name": ({"EHLO": "504 5.5.2 <x>: Helo command rejected: need fully-qualified hostname",
                       "HELO": "504 5.5.2 <x>: Helo command rejected: need fully-qualified hostname"}, "", "EHLO", 22, None),
        "ehlo-421": ({"EHLO": "421 4.3.2 Try later"}, "", "EHLO", 22, None),
        "ehlo-521": ({"EHLO": "521 5.3.2 This host takes no mail"}, "", "EHLO", 22, None),
        "ehlo-closed": ({"EHLO": close}, "", "EHLO", 22, "server-fault"),
        "ehlo-silent": ({"EHLO": silent}, quick, "EHLO", 22, "timeout"),
        "ehlo-nonsense": ({"EHLO": "what do you want"}, "", "EHLO", 22, "syntax"),
        "ehlo-name": ({"EHLO": "550 5.7.1 <pc>: Helo command rejected: need fully-qualified hostname", "HELO": "550 5.7.1 <pc>: Helo command rejected: need fully-qualified hostname"}, "", "EHLO", 22,
                      "client-denied"),
        "ehlo-endless": ({"EHLO": forever(b"250-X-MORE\r\n")}, "", "EHLO", 22, "syntax"),
        "ehlo-megabyte": ({"EHLO": raw(b"250-" + b"y" * 1000000 + b"\r\n250 ok\r\n", silent)}, quick, "EHLO", 22, "syntax"),
        "ehlo-after-tls": ({"tls": a.pair(), "EHLO": lambda c: close(c) if c.tls else c.reply("250-x\n250 STARTTLS")}, "", "EHLO", 22,
                           "server-fault"),
        # --- STARTTLS and the certificate
        "tls-not-offered": ({}, f"--tls require {to}", "STARTTLS", 29, "tls-failed"),
        "tls-not-offered-login": ({"login": LOGIN}, f"{login} {to}", "STARTTLS", 29, "tls-failed"),
        "tls-refused": ({**fine, "STARTTLS": "454 4.7.0 TLS not available due to local problem"}, to, "STARTTLS", 29, "tls-failed"),
        "tls-refused-require": ({**fine, "STARTTLS": "554 5.7.3 no"}, f"{to} -tls", "STARTTLS", 29, "tls-failed"),
        "tls-closed": ({**fine, "STARTTLS": reply_then("220 go", close)}, to, "STARTTLS", 29, "tls-failed"),
        "tls-reset": ({**fine, "STARTTLS": reply_then("220 go", reset)}, to, "STARTTLS", 29, "tls-failed"),
        "tls-silent": ({**fine, "STARTTLS": reply_then("220 go", silent)}, f"{to} {quick}", "STARTTLS", 29, "tls-failed"),
        "tls-garbage": ({**fine, "STARTTLS": reply_then("220 go", lambda c: raw(b"\x16garbage" * 99, silent)(c))}, f"{to} {quick}", "STARTTLS",
                        29, "tls-failed"),
        "tls-plain-behind": ({**fine, "STARTTLS": reply_then("220 go\n250 injected", silent)}, f"{to} {quick}", "STARTTLS", 29,
                             "tls-failed"),
        "tls-plain-port": ({}, "--tls-on-connect", "STARTTLS", 29, "tls-failed"),
        "tls-old": (tls(maximum=ssl.TLSVersion.TLSv1_1), f"{to} {LOOK}", "STARTTLS", 29, "tls-failed"),
        "tls-expired": ({"tls": a.pair(days=(-90, -3))}, to, "STARTTLS", 29, "tls-failed"),
        "tls-early": ({"tls": a.pair(days=(3, 90))}, to, "STARTTLS", 29, "tls-failed"),
        "tls-name": ({"tls": a.pair(names=("other.example.com",))}, to, "STARTTLS", 29, "tls-failed"),
        "tls-self-signed": ({"tls": a.pair(self_signed=True)}, to, "STARTTLS", 29, "tls-failed"),
        "tls-chain": ({"tls": a.pair(whole=False)}, to, "STARTTLS", 29, "tls-failed"),
        "tls-expired-verify": ({"tls": a.pair(days=(-90, -3))}, f"{to} --tls verify", "STARTTLS", 29, "tls-failed"),
        "tls-name-verify": ({"tls": a.pair(names=("other.example.com",))}, f"{to} --tls verify", "STARTTLS", 29, "tls-failed"),
        "tls-bad-login": ({"tls": a.pair(self_signed=True), "login": LOGIN}, f"{login} {to}", "STARTTLS", 29, "tls-failed"),
        # --- AUTH
        "auth-wrong": ({**log_in, "login": ("alice@example.com", "other")}, login, "AUTH", 28, "auth-failed"),
        "auth-app-password": ({**log_in, "AUTH": "534 5.7.9 Application-specific password required."}, login, "AUTH", 28, "auth-failed"),
        "auth-disabled": ({**log_in, "AUTH": "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant"},
                          login, "AUTH", 28, "auth-disabled"),
        "auth-not-offered": (fine, login, "AUTH", 28, "auth-mechanism"),
        "auth-after-tls": ({**log_in, "auth-after-tls": True}, f"{login} --tls off", "AUTH", 28, "tls-required"),
        "auth-unknown-mechanism": ({**log_in, "mechanisms": "GSSAPI NTLM"}, login, "AUTH", 28, "auth-mechanism"),
        "auth-other-mechanism": ({**log_in, "mechanisms": "PLAIN"}, f"{login} --auth CRAM-MD5", "AUTH", 28, "auth-mechanism"),
        "auth-454": ({**log_in, "AUTH": "454 4.7.0 Temporary authentication failure"}, login, "AUTH", 28, None),
        "auth-closed": ({**log_in, "AUTH": close}, login, "AUTH", 28, "server-fault"),
        "auth-silent": ({**log_in, "AUTH": silent}, f"{login} {quick}", "AUTH", 28, "timeout"),
        "auth-false-proof": ({**log_in, "mechanisms": "SCRAM-SHA-256", "AUTH": "235 2.7.0 Never mind"}, login, "AUTH", 28, "auth-failed"),
        "auth-asks-on": (
            {**log_in, "mechanisms": "LOGIN", "AUTH": asks_on}, f"{login} --time 20", "AUTH", 28, "syntax"),
        "auth-endless-challenges": ({**log_in, "mechanisms": "LOGIN", "AUTH": forever(b"334 VXNlcm5hbWU6\r\n", 0.01)}, login, "AUTH", 28, None),
        # --- MAIL
        "mail-blocked": ({**fine, "MAIL": "550 5.7.1 Sender address rejected: blocked"}, to, "MAIL", 23, "sender-blocked"),
        "mail-login": ({**fine, "MAIL": "530 5.7.0 Authentication required"}, to, "MAIL", 23, "auth-required"),
        "mail-tls": ({"tls": a.pair(), "MAIL": "530 5.7.0 Must issue a STARTTLS command first"}, f"{to} --tls off", "MAIL", 23, "tls-required"),
        "mail-domain": ({**fine, "MAIL": "450 4.1.8 <x@nosuch.example>: Sender address rejected: Domain not found"},
                        f"{to} -f x@nosuch.example", "MAIL", 23, "sender-domain-invalid"),
        "mail-size": ({**fine, "MAIL": "552 5.3.4 Message size exceeds fixed limit"}, f"{to} --send", "MAIL", 23, "too-big"),
        "mail-full": ({**fine, "MAIL": "452 4.3.1 Insufficient system storage"}, to, "MAIL", 23, "system-full"),
        "mail-not-yours": ({**log_in, "MAIL": "553 5.7.1 <carol@example.com>: Sender address rejected: not owned by user alice@example.com"},
                           f"{to} {login} -f carol@example.com", "MAIL", 23, "sender-not-permitted"),
        "mail-closed": ({**fine, "MAIL": close}, to, "MAIL", 23, "server-fault"),
        "mail-354": ({**fine, "MAIL": "354 go on"}, to, "MAIL", 23, "syntax"),
        # --- RCPT
        "rcpt-relay": ({**fine, "RCPT": "550 5.7.1 Unable to relay"}, foreign, "RCPT", 24, "relay-not-authorised"),
        "rcpt-relay-451": ({**fine, "RCPT": "451 4.7.1 Relaying temporarily denied"}, foreign, "RCPT", 24, "relay-not-authorised"),
        "rcpt-unknown": ({**fine, "RCPT": "550 5.1.1 <bob@example.com>: Recipient address rejected: User unknown"}, to, "RCPT", 24,
                         "recipient-unknown"),
        "rcpt-not-hosted": ({**fine, "RCPT": "554 5.7.1 <bob@example.com>: Relay access denied"}, f"{to} {PROBES}", "RCPT", 24,
                            "relay-domain-not-hosted"),
        "rcpt-unknown-all": ({**fine, "RCPT": "550 5.1.1 Recipient address rejected: User unknown"}, f"{to} {PROBES}", "RCPT", 24,
                             "recipient-unknown"),
        "rcpt-disguise": ({**fine, "RCPT": by_argument({"example.com": "250 ok"}, "550 5.1.1 Invalid recipient")}, f"{foreign} {PROBES}",
                          "RCPT", 24, "relay-not-authorised"),
        "rcpt-vague-sender": ({**fine, "RCPT": by_sender({"<>": "250 ok"}, "550 Administrative prohibition")},
                              f"{to} -f x@example.net {PROBES}", "RCPT", 24, "sender-blocked"),
        "rcpt-own-sender": ({**fine, "RCPT": by_sender({"@example.com": "550 5.7.1 Access denied"}, "250 ok")},
                            f"{to} -f alice@example.com {PROBES}", "RCPT", 24, "auth-required"),
        "rcpt-all": ({**fine, "RCPT": "554 5.7.1 Transaction failed"}, f"{to} -f x@example.net --hosted carol@example.com {PROBES}", "RCPT", 24,
                     "client-denied"),
        "rcpt-login-sender": ({**log_in, "RCPT": by_sender({"alice@": "250 ok"}, "550 5.7.1 Not permitted")},
                              f"{foreign} {login} -f x@example.net {PROBES}", "RCPT", 24, "sender-not-permitted"),
        "rcpt-login-in-vain": ({**log_in, "RCPT": "550 5.7.1 Relaying denied"}, f"{foreign} {login} {PROBES}", "RCPT", 24,
                               "relay-not-authorised"),
        "rcpt-login-missing": ({**log_in, "RCPT": by_login("250 ok", "530 5.7.1 Client was not authenticated")}, f"{foreign} {PROBES}",
                               "RCPT", 24, "auth-required"),
        "rcpt-grey": ({**fine, "RCPT": "451 4.7.1 Greylisting in action, please come back later"}, to, "RCPT", 24, "greylisted"),
        "rcpt-full": ({**fine, "RCPT": "452 4.2.2 The email account that you tried to reach is over quota"}, to, "RCPT", 24, "mailbox-full"),
        "rcpt-listed": ({**fine, "RCPT": "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.example.net"}, to,
                        "RCPT", 24, "blocklisted"),
        "rcpt-many": ({**fine, "RCPT": "452 4.5.3 Too many recipients"}, to, "RCPT", 24, "too-many-recipients"),
        "rcpt-one-of-two": ({**fine, "RCPT": by_argument({"carol": "550 5.1.1 User unknown"}, "250 ok")}, f"{to},carol@example.com", "RCPT",
                            24, "recipient-unknown"),
        "rcpt-closed": ({**fine, "RCPT": close}, to, "RCPT", 24, "server-fault"),
        "rcpt-silent": ({**fine, "RCPT": silent}, f"{to} {quick}", "RCPT", 24, "timeout"),
        "rcpt-421": ({**fine, "RCPT": reply_then("421 4.7.0 Too many errors", close)}, to, "RCPT", 24, None),
        "rcpt-pipelined": ({**fine, "RCPT": "550 5.7.1 Relaying denied"}, f"{foreign} --pipeline", "RCPT", 24, "relay-not-authorised"),
        # --- DATA, the final dot, QUIT
        "data-refused": ({**fine, "DATA": "554 5.5.1 Error: no valid recipients"}, f"{to} --send", "DATA", 25, None),
        "data-closed": ({**fine, "DATA": close}, f"{to} --send", "DATA", 25, "server-fault"),
        "data-silent": ({**fine, "DATA": silent}, f"{to} --send {quick}", "DATA", 25, "timeout"),
        "data-250": ({**fine, "DATA": "250 ok"}, f"{to} --send", "DATA", 25, "syntax"),
        "end-spam": ({**fine, "end": "550 5.7.1 Message rejected as spam"}, f"{to} --send", "end", 26, "spam-content"),
        "end-virus": ({**fine, "end": "554 5.7.1 Virus found: Eicar-Test-Signature"}, f"{to} --send", "end", 26, "virus"),
        "end-dmarc": ({**fine, "end": "550 5.7.26 Unauthenticated email from example.net is not accepted due to domain's DMARC policy"},
                      f"{to} --send", "end", 26, "dmarc-failed"),
        "end-closed": ({**fine, "end": close}, f"{to} --send", "end", 26, "server-fault"),
        "end-451": ({**fine, "end": "451 4.3.0 Temporary queue file write failure"}, f"{to} --send", "end", 26, None),
        "quit-refused": ({**fine, "QUIT": "500 5.5.1 What?"}, to, "QUIT", 27, None),
        "quit-closed": ({**fine, "QUIT": close}, to, None, 0, None),
        "quit-silent": ({**fine, "QUIT": silent}, to, None, 0, None),
        "quit-flood": ({**fine, "QUIT": forever(b"250 more\r\n" * 1000)}, to, None, 0, None),
        "rset-refused": ({**fine, "RSET": "500 5.5.1 What?"}, to, None, 0, None),
        "helo-only": ({"EHLO": "502 5.5.1 What?"}, to, None, 0, None),
        # --- XCLIENT, PROXY
        "xclient-refused": ({**fine, "extra": ["XCLIENT NAME ADDR"], "XCLIENT": "550 5.7.0 insufficient authorization"},
                            f"{to} --xclient ADDR=192.0.2.1", "XCLIENT", 33, None),
        "xclient-fine": ({**fine, "extra": ["XCLIENT NAME ADDR"]}, f"{to} --xclient ADDR=192.0.2.1", None, 0, None),
    }


# What the findings must say besides.
FINDINGS = {
    "tls-expired": "tls.expired", "tls-early": "tls.early", "tls-name": "tls.name", "tls-self-signed": "tls.self-signed",
    "tls-chain": "tls.chain", "tls-refused": "tls.refused", "tls-not-offered-login": "tls.not-offered", "tls-expired-verify": "tls.expired",
    "quit-flood": "quit.flood", "helo-only": "ehlo.helo-only", "auth-wrong": "auth.refused", "fine-send": "data.accepted",
    "rcpt-one-of-two": "rcpt.refused", "auth-after-tls": "tls.starttls",
}

# What to do must be about what is wrong, not about its kind.
FIXES = {
    "banner-imap": "Name the outgoing server", "banner-pop": "Name the outgoing server", "banner-http": "name and the port",
    "auth-app-password": "app password", "ehlo-name": "port 587 or 465 with a login, where that name does not matter",
    "tls-expired": "Renew", "tls-expired-verify": "Renew", "tls-name-verify": "a certificate with this name",
    "rcpt-unknown-all": "letter by letter",
}


def play(t, authority, name, case):
    script, words, step, code, cause = case
    server = None
    if script == "closed":
        port = closed_port()
    elif script == "full":
        held = full_backlog()
        port = held[0].getsockname()[1]
    else:
        server = Failing(script)
        port = server.port
    given = [w.replace("{port}", str(port)) for w in words.split()]
    more = [] if LOOK in given else ["--no-tls-look"]
    more += [] if PROBES in given else ["--no-probes"]
    given = [w for w in given if w not in (LOOK, PROBES)]
    target = [] if given and (given[0][0] != "-") else [f"mail.example.com:{port}"]
    began = time.monotonic()
    got, result, text = doctor(t, *target, *given, *more, "--ca", authority.file)
    wrong = []
    if result["blamed_step"] != step or result["exit"] != code or got != code:
        wrong.append(f"blames {result['blamed_step']} ({got}), not {step} ({code})")
    if cause and result["cause"] != cause:
        wrong.append(f"cause {result['cause']} (rule {result['rule']}), not {cause}")
    if code > 1 and not (result["cause"] and result["who"] and result["fix"] and result["explanation"]):
        wrong.append("says too little")
    if name in FINDINGS and not any(f["id"] == FINDINGS[name] for f in result["findings"]):
        wrong.append(f"no finding {FINDINGS[name]}")
    if FIXES.get(name, "") not in "".join(result["fix"][:1]):
        wrong.append(f"first says {result['fix'][:1]}")
    if PASSWORD in text or re.search(r"[\x00-\x08\x0b-\x1f]", text):
        wrong.append("a password, or a control octet, came through")
    if time.monotonic() - began > 45:
        wrong.append(f"took {time.monotonic() - began:.0f} s")
    if server:
        sent = len(server.messages)
        if sent != ("--send" in given and code == 0):
            wrong.append(f"{sent} messages were sent")
        server.close()
    return [f"{name}: {w}: {result['words'][:200]}" for w in wrong]


@options(seconds=150)
def test_doctor_blames_the_right_step(t):
    t.zones(ZONES)
    authority = Authority(t.folder)
    table = cases(authority)
    assert len(table) > 90
    chosen = os.environ.get("DOCTOR_CASES", "").split()
    rows = [(name, case) for name, case in table.items() if not chosen or name in chosen]
    with ThreadPoolExecutor(8) as pool:
        wrong = [w for found in pool.map(lambda row: play(t, authority, *row), rows) for w in found]
    assert not wrong, "\n" + "\n".join(wrong)


# --- names, addresses, ports -----------------------------------------------------------------


def findings(result, id):
    return [f for f in result["findings"] if f["id"] == id]


def here(t, zones=None):
    t.zones({**ZONES, **(zones or {})})
    return Authority(t.folder)


def transcript(result, mark):
    return [line["text"] for line in result["transcript"] if line["mark"] == mark]


def test_doctor_ports(t):
    a = here(t, {"ports.example": {"A": ["127.0.0.31"]}})
    Failing({"tls": a.pair(names=("ports.example",))}, "127.0.0.31", 25)
    Failing({"tls": a.pair(names=("ports.example",)), "login": LOGIN, "auth-after-tls": True, "implicit": True}, "127.0.0.31", 465)
    server = socket.socket()
    server.bind(("127.0.0.31", 2525))
    server.listen(0)
    waiting = [socket.socket() for _ in range(4)]
    for one in waiting:
        one.setblocking(False)
        one.connect_ex(("127.0.0.31", 2525))
    _, result, _ = doctor(t, "ports.example", "--ca", a.file, "--no-tls-look", "--timeout", 4, code=0)
    about = lambda id: sorted(f["about"] for f in findings(result, id))
    assert about("port.open") == ["ports.example [127.0.0.31]:25", "ports.example [127.0.0.31]:465"], result["findings"]
    assert about("port.refused") == ["ports.example [127.0.0.31]:587"]
    assert about("port.filtered") == ["ports.example [127.0.0.31]:2525"]
    assert result["host"] == "ports.example [127.0.0.31]:25"
    # Who logs in begins where logins are taken.
    _, result, _ = doctor(t, "ports.example", "--user", LOGIN[0], "--password-env", "DOCTOR_PASSWORD", "--ca", a.file, "--no-tls-look",
                          "--timeout", 4, code=0)
    assert result["host"] == "ports.example [127.0.0.31]:465" and findings(result, "auth.accepted")


def test_doctor_port_25_is_shut(t):
    """Mail for a domain comes to port 25: that another port is open is no answer, but says where to look."""
    a = here(t, {"shut.example": {"MX": ["10 mx.shut.example"]}, "mx.shut.example": {"A": ["127.0.0.38"]}})
    Failing({"tls": a.pair(names=("mx.shut.example",))}, "127.0.0.38", 587)
    _, result, _ = doctor(t, "bob@shut.example", "--ca", a.file, code=2)
    assert result["cause"] == "unreachable" and result["who"] == "recipient-admin", result
    assert "port 587 answers" in result["because"] and result["host"] == "mx.shut.example [127.0.0.38]:25", result


def test_doctor_another_port_takes_it(t):
    a = here(t, {"ways.example": {"A": ["127.0.0.39"]}})
    Failing({"RCPT": "550 5.7.1 Unable to relay"}, "127.0.0.39", 25)
    Failing({}, "127.0.0.39", 587)
    _, result, _ = doctor(t, "ways.example", "--to", "bob@fabrikam.com", "--ca", a.file, "--no-tls-look", code=24)
    assert result["cause"] == "relay-not-authorised" and "Use port 587:" in result["fix"][0], result


def test_doctor_port_25_is_somebody_elses(t):
    a = here(t, {"masked.example": {"A": ["127.0.0.32"]}, "stripped.example": {"A": ["127.0.0.33"]}})
    Failing({"banner": "220 ************************2****0*", "EHLO": "250-mail.example.com\n250-XXXXXXXA\n250 8BITMIME"}, "127.0.0.32", 25)
    _, result, _ = doctor(t, "masked.example", "--ca", a.file, code=1)
    assert findings(result, "port.hijacked")[0]["who"] == "network-owner" and result["blamed_step"] is None
    Failing({"EHLO": "250-smtp.hotel.example\n250 8BITMIME"}, "127.0.0.33", 25)
    Failing({"tls": a.pair(names=("stripped.example",))}, "127.0.0.33", 587)
    _, result, _ = doctor(t, "stripped.example", "--ca", a.file, "--no-tls-look", code=0)
    assert findings(result, "port.stripped"), result["findings"]


def test_doctor_wrong_way_to_begin(t):
    """A port that wants TLS at once, and one that does not."""
    a = here(t)
    tls = Failing({"tls": a.pair(), "implicit": True})
    _, result, _ = doctor(t, f"mail.example.com:{tls.port}", "--ca", a.file, "--timeout", 2, code=21)
    assert result["cause"] == "tls-required" and "--tls-on-connect" in result["fix"][0] and result["tried"][0]["accepted"], result
    plain = Failing({})
    _, result, _ = doctor(t, f"mail.example.com:{plain.port}", "-tlsc", "--ca", a.file, "--timeout", 5, code=29)
    assert "In plain text it greets" in result["because"], result


def test_doctor_all_mx(t):
    a = here(t, {"two.example": {"MX": ["10 mx1.two.example", "20 mx2.two.example"]}, "mx1.two.example": {"A": ["127.0.0.34"]},
                 "mx2.two.example": {"A": ["127.0.0.35"]}})
    Failing({"tls": a.pair(names=("mx1.two.example",))}, "127.0.0.34", 25)
    second = Failing({"tls": a.pair(names=("mx2.two.example",)), "RCPT": "550 5.7.1 Relaying denied"}, "127.0.0.35", 25)
    how = ["--ca", a.file, "--no-tls-look", "--no-probes"]
    _, result, _ = doctor(t, "bob@two.example", *how, code=0)
    assert result["host"] == "mx1.two.example [127.0.0.34]:25" and not [c for c in second.commands if c.startswith("MAIL")]
    _, result, _ = doctor(t, "bob@two.example", "--all-mx", *how, code=24)
    assert result["host"] == "mx2.two.example [127.0.0.35]:25" and result["cause"] == "relay-domain-not-hosted", result
    assert "mx2.two.example [127.0.0.35]:25" in [f["about"] for f in findings(result, "mx.host")]


def test_doctor_dane(t):
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    import hashlib

    a = here(t)
    pair = a.pair(self_signed=True)
    server = Failing({"tls": pair})
    certificate = x509.load_pem_x509_certificate(open(pair[0], "rb").read())
    spki = certificate.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    name = f"_{server.port}._tcp.mail.example.com"
    for record, severity, said in ((f"3 1 1 {hashlib.sha256(spki).hexdigest()}", "info", "fits the 1 TLSA record"),
                                   (f"3 0 2 {hashlib.sha512(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()}", "info", "fits"),
                                   (f"3 1 1 {'00' * 32}", "warning", "fits none"),
                                   (f"1 1 1 {hashlib.sha256(spki).hexdigest()}", "warning", "usage")):
        t.dns.records[name] = {"TLSA": [record]}
        _, result, _ = doctor(t, f"mail.example.com:{server.port}", "--tls", "try", code=0)
        found = findings(result, "tls.dane")[0]
        assert found["severity"] == severity and said in found["seen"], (record, found)


def test_doctor_tls_versions(t):
    a = here(t)
    server = Failing({"tls": a.context(maximum=ssl.TLSVersion.TLSv1_2)})
    _, result, _ = doctor(t, f"mail.example.com:{server.port}", "--to", "bob@example.com", "--ca", a.file, code=0)
    seen = [f["seen"] for f in findings(result, "tls.version")]
    assert seen == ["it speaks TLSv1", "it speaks TLSv1.1", "it speaks TLSv1.2", "it does not speak TLSv1.3"], seen
    assert "not enforced" in findings(result, "tls.enforced")[0]["seen"]
    server = Failing({"tls": a.pair(), "MAIL": lambda c: c.reply("250 ok" if c.tls else "530 5.7.0 Must issue a STARTTLS command first")})
    _, result, _ = doctor(t, f"mail.example.com:{server.port}", "--to", "bob@example.com", "--ca", a.file, code=0)
    assert "without TLS it refuses" in findings(result, "tls.enforced")[0]["seen"]


# --- options -------------------------------------------------------------------------------------


def test_doctor_misuse(t):
    here(t)
    for words, said in (([], "say what to look at"), (["a b"], "a b:"), (["mail.example.com", "-ap", "secret"], "can be read by everybody"),
                        (["mail.example.com", "--auth", "NTLM", "--user", "x"], "is not known"), (["mail.example.com", "--tls", "yes"], "--tls takes"),
                        (["mail.example.com", "-q", "never"], "--quit-after takes"), (["mail.example.com", "--body", "x"], "--send"),
                        (["mail.example.com", "--to", "nobody"], "--to: nobody"), (["mail.example.com", "-4", "-6"], "exclude"),
                        (["mail.example.com", "--porst", "1"], "did you mean --port"), (["mail.example.com", "--proxy-protocol", "x"], "--proxy-protocol"),
                        (["mail.example.com", "--send", "-q", "rcpt"], "exclude"), (["mail.example.com", "--send"], "--to ADDRESS"),
                        (["mail.example.com", "-p", "70000"], "from 1 to 65535"), (["mail.example.com", "--ports", "1,x"], "--ports"),
                        (["mail.example.com", "--timeout", "soon"], "duration"), (["x@y@z"], "x@y@z")):
        code, _, text = doctor(t, *words)
        assert code == 64 and said in text, (words, text)
    assert doctor(t, "mail.example.com", "--ca", "/no/such/file")[0] == 66


def test_doctor_stops_where_told(t):
    a = here(t)
    expected = {"connect": [], "banner": ["QUIT"], "ehlo": ["EHLO", "QUIT"], "tls": ["EHLO", "STARTTLS", "QUIT"],
                "auth": ["EHLO", "STARTTLS", "EHLO", "AUTH", "QUIT"], "mail": ["EHLO", "STARTTLS", "EHLO", "AUTH", "MAIL", "RSET", "QUIT"],
                "rcpt": ["EHLO", "STARTTLS", "EHLO", "AUTH", "MAIL", "RCPT", "RSET", "QUIT"]}
    for step, commands in expected.items():
        server = Failing({"tls": a.pair(), "login": LOGIN, "mechanisms": "PLAIN"})
        doctor(t, f"mail.example.com:{server.port}", "-q", step, "--to", "bob@example.com", "--user", LOGIN[0], "--password-env",
               "DOCTOR_PASSWORD", "--ca", a.file, "--no-tls-look", code=0)
        # With TLS that ends at once, QUIT may come too late to be read.
        assert [c.split()[0] for c in server.commands] in (commands, commands[:-1]), (step, server.commands)


def test_doctor_passwords(t):
    a = here(t)
    secret = t.folder / "secret"
    secret.write_text(PASSWORD + "\n")
    server = Failing({"tls": a.pair(), "login": LOGIN, "mechanisms": "PLAIN LOGIN CRAM-MD5"})
    words = [f"mail.example.com:{server.port}", "--user", LOGIN[0], "--ca", a.file, "--no-tls-look"]
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5"):
        _, result, text = doctor(t, *words, "-a", mechanism, "--password-file", secret, code=0)
        assert f"logged in with {mechanism}" in findings(result, "auth.accepted")[0]["seen"] and PASSWORD not in text
    command = [f"{t.builds['sanitized']}/src/bin/postern", "doctor", "--dns", t.dns.where, *words]
    done = subprocess.run([*command, "--password-stdin"], input=PASSWORD + "\n", text=True, capture_output=True)
    assert done.returncode == 0 and PASSWORD not in done.stdout + done.stderr, done
    # Asked for on the terminal.
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(command[0], command, ENV)
    said = b""
    while b"Password:" not in said:
        said += os.read(terminal, 4096)
    until(lambda: not termios.tcgetattr(terminal)[3] & termios.ECHO, "the echo is off")
    os.write(terminal, (PASSWORD + "\n").encode())
    try:
        while piece := os.read(terminal, 4096):
            said += piece
    except OSError:
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0 and PASSWORD.encode() not in said, said
    # A server that says it aloud.
    server = Failing({"tls": a.pair(), "login": LOGIN, "AUTH": f"535 5.7.8 {PASSWORD} is wrong"})
    _, result, text = doctor(t, f"mail.example.com:{server.port}", *words[1:], "--password-file", secret, code=28)
    assert PASSWORD not in text and "********" in result["words"]


def test_doctor_never_in_the_clear(t):
    """Not without TLS, not over TLS that does not hold; but where it is asked for."""
    need_root()
    a = here(t, {"far.example": {"A": ["192.0.2.44"]}})
    subprocess.run([tool("ip"), "addr", "add", "192.0.2.44/32", "dev", "lo"], check=True)
    got = []

    def listen(c):
        got.append(c.argument)
        c.reply("535 5.7.8 no")

    plain = Failing({"login": LOGIN, "AUTH": listen}, "192.0.2.44")
    forged = Failing({"tls": a.pair(self_signed=True), "login": LOGIN, "AUTH": listen}, "192.0.2.44")
    login = ["--user", LOGIN[0], "--password-env", "DOCTOR_PASSWORD", "--no-tls-look"]
    for server in (plain, forged):
        _, result, _ = doctor(t, f"far.example:{server.port}", *login, code=29)
        assert not got and "was not sent" in result["words"], (got, result)
        doctor(t, f"far.example:{server.port}", *login, "--allow-plain", code=28)
        assert got
        got.clear()


def test_doctor_sends(t):
    a = here(t)
    file = t.folder / "picture.bin"
    file.write_bytes(bytes(range(256)))
    server = Failing({"tls": a.pair()})
    where = [f"mail.example.com:{server.port}", "--ca", a.file, "--no-tls-look", "-t", "bob@example.com", "-f", "alice@example.net", "--send"]
    _, result, _ = doctor(t, *where, "--header", "Subject: hello", "--body", "first\n.second\n", "--attach", file, code=0)
    import email
    message = email.message_from_string(server.messages[0])
    parts = message.get_payload()
    assert result["sent"] and message["Subject"] == "hello" and message["To"] == "bob@example.com" and message["From"] == "alice@example.net"
    assert ".second" in parts[0].get_payload() and parts[1].get_payload(decode=True) == bytes(range(256)), server.messages
    whole = t.folder / "whole.eml"
    whole.write_text("Subject: mine\n\nas it is\n")
    doctor(t, *where, "--data", whole, code=0)
    assert server.messages[1] == "Subject: mine\n\nas it is", server.messages[1]
    code, _, text = doctor(t, *where, "--header", "no header")
    assert code == 64 and "--header" in text


def test_doctor_headers_in_front(t):
    """PROXY goes first; XCLIENT makes it begin anew."""
    here(t)
    seen = []

    def banner(c):
        seen.append(c.line())
        c.reply("220 mail.example.com")

    server = Failing({"banner": banner, "extra": ["XCLIENT ADDR NAME"]})
    doctor(t, f"127.0.0.1:{server.port}", "--proxy-protocol", "192.0.2.1:1234,198.51.100.1", "--xclient", "ADDR=192.0.2.9", "-t", "bob@example.com", code=0)
    assert seen[0] == "PROXY TCP4 192.0.2.1 198.51.100.1 1234 25", seen
    assert [c.split()[0] for c in server.commands] == ["EHLO", "XCLIENT", "EHLO", "MAIL", "RCPT", "RSET", "QUIT"], server.commands


def test_doctor_lmtp(t):
    here(t)
    server = Failing({"end": lambda c: c.reply("250 2.0.0 one\n550 5.2.2 Mailbox full".replace("\n", "\r\n"))})
    _, result, _ = doctor(t, f"127.0.0.1:{server.port}", "--lmtp", "-t", "bob@example.com,carol@example.com", "--send", code=26)
    assert server.commands[0].startswith("LHLO") and result["blamed_step"] == "end" and "Mailbox full" in result["words"], result


def test_doctor_several_targets(t):
    a = here(t)
    good, bad = Failing({"tls": a.pair()}), Failing({"banner": "554 5.7.1 no"})
    done = subprocess.run([f"{t.builds['sanitized']}/src/bin/postern", "doctor", "--json", "--dns", t.dns.where, "--ca", a.file, "--no-tls-look",
                           f"mail.example.com:{good.port}", f"mail.example.com:{bad.port}"], text=True, capture_output=True)
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 21 and [r["exit"] for r in results] == [0, 21], done


def test_doctor_has_an_end(t):
    """--time holds for all of it, whatever the server does."""
    a = here(t)
    slowly = Failing({"tls": a.pair(), "banner": slow("220 x", 2), "EHLO": slow("250-x\n250 STARTTLS", 2), "MAIL": slow("250 ok", 3), "RCPT": slow("550 no", 3)})
    began = time.monotonic()
    _, result, _ = doctor(t, f"mail.example.com:{slowly.port}", "-t", "bob@example.com", "--ca", a.file, "--time", 6)
    assert time.monotonic() - began < 12 and result["cause"] == "timeout", (time.monotonic() - began, result["cause"])


def test_doctor_for_people(t):
    a = here(t)
    server = Failing({"tls": a.pair(), "RCPT": "550 5.7.1 \x1b[31mUnable to relay\x07 \xff"})
    done = subprocess.run([f"{t.builds['sanitized']}/src/bin/postern", "doctor", "--dns", t.dns.where, "--ca", a.file, f"mail.example.com:{server.port}", "-t",
                           "bob@example.org", "-f", "alice@example.com"], capture_output=True)
    text = done.stdout.decode()
    assert done.returncode == 24 and not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text), text
    for words in ("<-  220 mail.example.com ESMTP", " -> STARTTLS", " ~> RCPT TO:<bob@example.org>", "<~* 550 5.7.1", "RCPT is to blame (exit 24)",
                  "relay-not-authorised", "Whose move", "Tried, to tell causes apart (nothing was sent)", "1. "):
        assert words in text, (words, text)
    assert not server.messages


def test_doctor_mta_sts(t):
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    import threading

    class Policy(BaseHTTPRequestHandler):
        text = ""

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.end_headers()
            self.wfile.write(Policy.text.encode())

        def log_message(self, *_):
            pass

    a = here(t, {"sts.example": {"MX": ["10 mx.sts.example"]}, "mx.sts.example": {"A": ["127.0.0.36"]}})
    Failing({"tls": a.pair(names=("mx.sts.example",))}, "127.0.0.36", 25)

    def look(severity, said):
        _, result, _ = doctor(t, "sts.example", "--mx", "--ports", "none", "--ca", a.file)
        found = findings(result, "tls.mta-sts")[0]
        assert found["severity"] == severity and said in found["seen"], found

    look("info", "no MTA-STS policy")
    t.dns.records["_mta-sts.sts.example"] = {"TXT": ["v=STSv1; id="]}
    look("warning", "grammar")
    t.dns.records["_mta-sts.sts.example"] = {"TXT": ["v=STSv1; id=1"]}
    look("warning", "no address")
    t.dns.records["mta-sts.sts.example"] = {"A": ["127.0.0.37"]}
    look("warning", "not to be had")
    server = ThreadingHTTPServer(("127.0.0.37", 443), Policy)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*a.pair(names=("mta-sts.sts.example",)))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    policy = "version: STSv1\nmode: {}\nmx: {}\nmax_age: 604800\n"
    Policy.text = policy.format("enforce", "*.sts.example")
    look("info", "names this host")
    Policy.text = policy.format("enforce", "mx2.sts.example")
    look("error", "does not name")
    Policy.text = policy.format("testing", "mx2.sts.example")
    look("warning", "does not name")
    Policy.text = "mode: yes"
    look("warning", "cannot be used")
