"""postern doctor against real servers, each set up wrongly in six ways: whom it blames, and that what it advises helps."""
import json
import subprocess

import victims
from harness import options
from peers import Peers
from test_parent import pair
from victims import ADDRESS, BEHIND, BOSS, CLIENT, DOMAIN, FOREIGN, NAME, USER

SCANNER = f"scanner@{DOMAIN}"
NETWORK = "127.0.51.0/24"


def doctor(t, *words):
    """(exit code, JSON)"""
    binary = f"{t.builds['sanitized']}/src/bin/postern"
    line = [binary, "doctor", "--source", CLIENT, "--ca", t.root[0], "--dns", t.dns.where, "--json", "--helo", "client.fabrikam.com",
            "--ports", "none", "--timeout", "10s", *words]
    done = subprocess.run([str(w) for w in line], text=True, capture_output=True, timeout=60)
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
    assert done.stdout.startswith("{"), (line, done)
    return done.returncode, json.loads(done.stdout)


class Look:
    """What a user gives the doctor."""

    def __init__(self, port=25, login=False, sender=SCANNER, to=FOREIGN, target=None, more=()):
        self.port, self.login, self.sender, self.to, self.target, self.more = port, login, sender, to, target, more

    def words(self, t, kind):
        login = ("--user", USER, "--password-file", t.password) if self.login else ()
        where = (self.target,) if self.target else (kind.name, "--to", self.to)
        return (*where, "--port", self.port, "--from", self.sender, *login, *self.more)


class Case:
    """How a server is set up, what the user does, what he is told; and what he does then, and the server's administrator, to the
    effect that nothing is wrong any more. tells: the words of a finding or a fix that must be there."""

    def __init__(self, settings, look, expected, mended=None, look_again=None, tells=(), mend=None):
        self.settings, self.look, self.expected = settings, look, expected
        self.mended = settings if mended is None else mended
        self.look_again, self.tells, self.mend = look_again or look, tells, mend


NOTHING = "0 None None nobody"
LOGIN = dict(login=True, sender=USER)
MX = Look(sender="anna@fabrikam.com", target=USER)
VERIFY = Look(more=("--tls", "verify", "--quit-after", "starttls"))
UNDER_NO_TLS = Look(**LOGIN, more=("--tls", "off", "--auth", "PLAIN"))  # Postern offers SCRAM to anybody

CASES = {
    "no relay for the network": Case({}, Look(), "24 RCPT relay-not-authorised sender-admin", mended={"clients": NETWORK}),
    "AUTH only after TLS": Case({}, UNDER_NO_TLS, "28 AUTH tls-required sender", look_again=Look(**LOGIN)),
    "no AUTH on 25": Case({"auth_25": False}, Look(**LOGIN, more=("--ports", "587")), "28 AUTH auth-mechanism sender", look_again=Look(587, **LOGIN), tells=("587",)),
    "sender restricted": Case({}, Look(login=True, sender=BOSS), "24 RCPT sender-not-permitted sender", mended={"own": False}),
    "sender restricted, own used": Case({}, Look(login=True, sender=BOSS), "24 RCPT sender-not-permitted sender", look_again=Look(**LOGIN)),
    "expired": Case({"pair": "expired"}, VERIFY, "29 STARTTLS tls-failed server-admin", mended={}, tells=("tls.expired",)),
    "wrong name": Case({"pair": "name"}, VERIFY, "29 STARTTLS tls-failed server-admin", mended={}, tells=("tls.name",)),
    "domain missing": Case({"domains": "proseware.com"}, MX, "24 RCPT relay-domain-not-hosted recipient-admin", mended={}),
}
# Servers that judge the sender at MAIL.
SENDER_AT_MAIL = {name: Case(CASES[name].settings, CASES[name].look, "23 MAIL sender-not-permitted sender", CASES[name].mended, CASES[name].look_again)
                  for name in ("sender restricted", "sender restricted, own used")}


def set_up(t, kind, **sink):
    t.zones({DOMAIN: {"MX": [f"10 {kind.name}"]}, kind.name: {"A": [ADDRESS]}, "adatum.com": {"MX": ["10 mx.adatum.com"]},
             "mx.adatum.com": {"A": [BEHIND]}, "fabrikam.com": {"MX": ["10 mx.fabrikam.com"]}, "mx.fabrikam.com": {"A": ["127.0.0.26"]}})
    t.sink(BEHIND, **sink)
    t.root = pair(t.folder, "root", "Root")
    t.password = t.folder / "password"
    t.password.write_text("secret\n")
    t.password.chmod(0o600)
    t.pairs = {which: victims.make_pair(t.folder, name, days, t.root)
               for which, name, days in (("good", kind.name, 30), ("expired", kind.name, -1), ("name", "other.example", 30))}
    return kind(t, Peers(t))


def verdict(code, found):
    return f"{code} {found.get('blamed_step')} {found.get('cause')} {found.get('who')}"


def told(found):
    return [f"{f['id']}: {f['seen']}" for f in found["findings"] if f["severity"] != "info"]


def look(t, victim, settings, look):
    victim.start(**{**settings, "pair": t.pairs[settings.get("pair", "good")]})
    return doctor(t, *look.words(t, type(victim)))


def examine(t, victim, name, case):
    """What is wrong with the verdicts, if anything."""
    code, found = look(t, victim, case.settings, case.look)
    if code != found["exit"] or verdict(code, found) != case.expected:
        yield f"{name}: expected {case.expected}, got {verdict(code, found)}: {told(found)}"
    if not found["fix"] or not found["explanation"]:
        yield f"{name}: nothing said, or to do, about it"
    whole = json.dumps([found["findings"], found["fix"]])
    yield from (f"{name}: does not tell of {word}: {whole}" for word in case.tells if word not in whole)
    if case.mend:
        case.mend(t)
    code, found = look(t, victim, case.mended, case.look_again)
    if verdict(code, found) != NOTHING:
        yield f"{name}, put right: got {verdict(code, found)}: {told(found)}"


def matrix(t, kind, cases, **more):
    victim = set_up(t, kind, **more)
    wrong = [line for name, case in cases.items() for line in examine(t, victim, name, case)]
    assert not wrong, "\n".join(wrong)


@options(seconds=120)
def test_doctor_postfix(t):
    matrix(t, victims.Postfix, CASES)


@options(seconds=120)
def test_doctor_exim(t):
    matrix(t, victims.Exim, {**CASES, **SENDER_AT_MAIL})


@options(seconds=120)
def test_doctor_opensmtpd(t):
    """Says "Sender rejected" and "Invalid recipient", and means a sender that is not the login's, and a relay that it is not."""
    matrix(t, victims.OpenSmtpd, {**CASES, **SENDER_AT_MAIL})


def refuses_boss(argument, _):
    return f"553 5.7.1 <{BOSS}>: Sender address rejected: not owned by user {USER}" if BOSS in argument else None


@options(seconds=120)
def test_doctor_dovecot(t):
    """Submission alone: nobody passes without a login, whatever his network; it knows no domains; and whose sender may be whose says
    the server behind it."""
    own = Case({}, Look(login=True, sender=BOSS), "23 MAIL sender-not-permitted sender", look_again=Look(**LOGIN))
    matrix(t, victims.Dovecot, {
        **{name: case for name, case in CASES.items() if not name.startswith(("sender", "domain"))},
        "no relay for the network": Case({"clients": NETWORK}, Look(), "23 MAIL auth-required sender", look_again=Look(587, **LOGIN)),
        "no AUTH on 25": Case({"auth_25": False}, Look(**LOGIN, more=("--ports", "587")), "2 connect unreachable server-admin",
                              look_again=Look(587, **LOGIN), tells=("587",)),
        "sender restricted": own,
        "at last, domain missing": Case({}, MX, "23 MAIL relay-domain-not-hosted recipient-admin",
                                        mend=lambda t: t.dns.records.update({NAME: {"A": [BEHIND]}})),
    }, replies={"MAIL": refuses_boss})


@options(seconds=120)
def test_doctor_postern(t):
    matrix(t, victims.Postern, CASES)
