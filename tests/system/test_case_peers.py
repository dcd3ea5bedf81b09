"""relay-cases.md, 1 to 6, as people's tools see them: swaks with its exit codes, Python's smtplib with its exceptions. The
words that a person reads are the same in both, and whole."""
import smtplib
import ssl
import subprocess

from harness import options, tool, until
from world import *

LOGIN = ("terri@proseware.com", "secret")
OURS_TO, OTHERS_TO = "ceo@proseware.com", "bob@adatum.com"
UNABLE = "5.7.1 Unable to relay to adatum.com for {client}: not logged in and not in an authorised network. "
REMEDY = "Log in, or use the outgoing server of the network you are in"  # port 0: no port to name

# number, client, login, to, what swaks exits with, granted by
CASES_SEEN = (
    ("1", HOME, False, OURS_TO, 0, ""),
    ("2", HOME, False, OTHERS_TO, 0, "office"),
    ("3", WORK, False, OURS_TO, 0, ""),
    ("4", WORK, False, OTHERS_TO, 24, None),
    ("5", HOTEL, False, OTHERS_TO, 24, None),
    ("5a", HOTEL, False, OURS_TO, 0, ""),
    ("6", HOTEL, True, OTHERS_TO, 0, "people"),
)


def expect_text(server, text, client):
    """The whole reply, and the event it leads to."""
    said = UNABLE.format(client=client) + REMEDY
    assert said in text, (said, text)
    session = re.search(r"\[relay\.no-grant (\w+)\]", text)[1]
    assert server.event("refused", session=session, reason="relay.no-grant")["to"] == OTHERS_TO


def accepted(server, number, count, granted):
    events = until(lambda: len(e := server.events("accepted")) >= count and e, f"case {number} accepted")
    assert events[-1].get("granted_by", "") == granted, (number, events[-1])


@options(seconds=120)
def test_cases_by_swaks(t):
    server, sink = world(t)
    swaks, count = tool("swaks"), 0
    for number, client, login, to, code, granted in CASES_SEEN:
        address, port = server.at("submission" if login else "internet")
        words = [swaks, "--server", address, "--port", str(port), "--local-interface", client, "--from", LOGIN[0], "--to", to]
        words += ["--helo", "client.example", "--header", f"Subject: case {number}"]
        words += ["-tls", "--auth", "PLAIN", "--auth-user", LOGIN[0], "--auth-password", LOGIN[1]] if login else []
        done = subprocess.run(words, text=True, capture_output=True, timeout=60)
        assert done.returncode == code, (number, done.stdout, done.stderr)
        count += code == 0
        if code:
            expect_text(server, done.stdout, client)
        else:
            accepted(server, number, count, granted)
    until(lambda: len(sink.messages) == 2, "cases 2 and 6 relayed")
    wrong = [swaks, "--server", *map(str, (server.at("submission")[0], "--port", server.at("submission")[1])), "-tls", "--to", OTHERS_TO]
    wrong += ["--local-interface", HOTEL, "--auth", "PLAIN", "--auth-user", LOGIN[0], "--auth-password", "guess", "--from", LOGIN[0]]
    done = subprocess.run(wrong, text=True, capture_output=True, timeout=60)
    assert done.returncode == 28 and "535 5.7.8 Wrong login or password" in done.stdout, done.stdout


@options(seconds=120)
def test_cases_by_smtplib(t):
    server, sink = world(t)
    count = 0
    for number, client, login, to, code, granted in CASES_SEEN:
        c = smtplib.SMTP(*server.at("submission" if login else "internet"), "client.example", 30, (client, 0))
        if login:
            c.starttls(context=ssl._create_unverified_context())
            c.login(*LOGIN)
        try:
            assert c.sendmail(LOGIN[0], [to], letter(LOGIN[0], to, f"case {number}")) == {} and not code
            count += 1
            accepted(server, number, count, granted)
        except smtplib.SMTPRecipientsRefused as refused_:
            assert code, (number, refused_)
            got, text = refused_.recipients[to]
            assert got == 550
            expect_text(server, text.decode(), client)
        c.quit()
    until(lambda: len(sink.messages) == 2, "cases 2 and 6 relayed")
    c = smtplib.SMTP(*server.at("submission"), "client.example", 30, (HOTEL, 0))
    c.starttls(context=ssl._create_unverified_context())
    try:
        c.login(LOGIN[0], "guess")
        raise AssertionError("a wrong password was taken")
    except smtplib.SMTPAuthenticationError as wrong:
        assert wrong.smtp_code == 535 and wrong.smtp_error.startswith(b"5.7.8 Wrong login or password"), wrong
