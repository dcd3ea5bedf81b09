"""`postern explain`: every reason id and cause, misspelt ones, bounces and replies in every form they come in, and
the reply of a running server as it came."""
import json
import subprocess
import sys
from pathlib import Path

from world import *

ROOT = Path(__file__).resolve().parent.parent.parent


def explain(t, *words, text=None):
    done = subprocess.run([f"{t.builds['sanitized']}/src/bin/postern", "explain", *map(str, words)], input=text or "",
                          text=True, capture_output=True, errors="replace")
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
    return done


def told(t, *words, text=None):
    """The one object that --json gives."""
    done = explain(t, "--json", *words, text=text)
    assert done.returncode in (0, 1) and len(done.stdout.splitlines()) == 1, done
    return json.loads(done.stdout)


# --- names ----------------------------------------------------------------------------------------------


def test_explain_every_reason_and_cause(t):
    listed = explain(t, "list", "--json")
    rows = [json.loads(line) for line in listed.stdout.splitlines()]
    reasons = [r for r in rows if "section" in r]
    causes = [r for r in rows if "section" not in r]
    text = explain(t).stdout
    assert len(reasons) > 100 and len(causes) > 40 and listed.returncode == 0
    assert explain(t, "--list").stdout == explain(t, "list").stdout == text
    # What is piped in is meant, though nobody said "-".
    fed = explain(t, text="550 5.7.1 Unable to relay\n")
    assert "relay-not-authorised" in fed.stdout and len(fed.stdout) < len(text) / 4, fed
    assert explain(t, "--list", text="550 5.7.1 Unable to relay\n").stdout == text
    for row in reasons:
        assert row["kind"] == "reason" and f"  {row['reason']} " in text
        assert all(row["fixes"][whose] for whose in ("client", "administrator", "postmaster"))
        assert row["recipients"][0]["cause"] == row["reason"] and len(row["recipients"][0]["fix"]) == 3
    for row in causes:
        assert row["kind"] == "reason" and f"  {row['cause']} " in text and row["explanation"]
    one = json.loads(explain(t, "auth.failed", "--json").stdout)
    assert [r["code"] for r in one["replies"]] == [535, 421] and one in rows
    assert told(t, "mailbox-full") in rows
    assert "Who must act" in explain(t, "mailbox-full").stdout


def test_explain_what_is_wrong(t):
    for given, said in (("relay.nogrant", "did you mean relay.no-grant"), ("mailbox-ful", "did you mean mailbox-full"),
                        ("no.such-thing-at-all", "explain list"), ("/no/such/file", "there is no file"), ("bounce.eml", "there is no file"),
                        ("--jsno", "--json"), ("--command=RCTP", "one of connect"), ("--code=77", "three digits")):
        done = explain(t, given)
        assert done.returncode == 64 and said in done.stderr and not done.stdout, (given, done)
    for words in (("good morning, everybody",), ("-",)):
        done = explain(t, *words)
        assert done.returncode == 1 and done.stdout.startswith("This is not a bounce:"), done


def test_explain_a_reply_as_it_came(t):
    server, _ = world(t)
    c = server.session(source=HOTEL).ehlo()
    c.mail("terri@proseware.com")
    reply = c.cmd("RCPT TO:<bob@adatum.com>")
    for words in ([str(reply)], str(reply).split()):
        done = explain(t, *words)
        assert done.returncode == 0 and done.stdout.startswith("relay.no-grant  (550 5.7.1)"), done
    assert "Log in on the submission port" in done.stdout


# --- replies --------------------------------------------------------------------------------------------

RELAY = "550 5.7.1 Unable to relay"


def test_explain_replies(t):
    for text in (RELAY, "  " + RELAY + "\r\n", "550-5.7.1 Unable\n550 5.7.1 to relay", f"> {RELAY}", f'"{RELAY}"',
                 f"Hello,\nthe printer shows this:\n\n   {RELAY}\n\nWhat now?\n"):
        for answer in (told(t, text), told(t, "-", text=text)):
            r = answer["recipients"][0]
            assert answer["kind"] == "reply" and len(answer["recipients"]) == 1, (text, answer)
            assert (r["code"], r["enhanced"], r["cause"]) == (550, "5.7.1", "relay-not-authorised"), (text, r)
    several = told(t, "-", text="550 5.1.1 User unknown\n\n452-4.2.2 Mailbox\n452 4.2.2 full\n")
    assert [(r["code"], r["cause"]) for r in several["recipients"]] == [(550, "recipient-unknown"), (452, "mailbox-full")]
    assert explain(t, *RELAY.split()).stdout == explain(t, RELAY).stdout
    hinted = told(t, "--step", "rcpt", "--host", "mx.contoso.com", "--to", "bob@contoso.com", "--code", "550", "No such user here")
    r = hinted["recipients"][0]
    assert (r["command"], r["host"], r["address"], r["code"]) == ("RCPT", "mx.contoso.com", "bob@contoso.com", 550)
    text = explain(t, "--step", "RCPT", "--host", "mx.contoso.com", "--to", "bob@contoso.com", RELAY).stdout
    assert text.startswith("mx.contoso.com refused bob@contoso.com at the recipient (RCPT TO):"), text
    assert "Who must act:" in text and "1. " in text and "Trying again helps:" in text and "% sure" in text


SWAKS = """=== Trying mail.contoso.com:25...
=== Connected to mail.contoso.com.
<-  220 mail.contoso.com ESMTP
 -> EHLO client.example.com
<-  250-mail.contoso.com
<-  250 HELP
 -> MAIL FROM:<alice@example.com>
<-  250 2.1.0 Ok
 -> RCPT TO:<bob@fabrikam.com>
<** 554 5.7.1 <bob@fabrikam.com>: Relay access denied
 -> QUIT
<-  221 2.0.0 Bye
"""
TELNET = """Connected to mail.contoso.com.
220 mail.contoso.com ESMTP
EHLO client.example.com
250 mail.contoso.com
MAIL FROM:<alice@example.com>
250 ok
RCPT TO:<bob@fabrikam.com>
554 5.7.1 Relay access denied
"""
PYTHON = ("smtplib.SMTPRecipientsRefused: {'bob@fabrikam.com': (554, b'5.7.1 <bob@fabrikam.com>: Relay access denied'), "
          "'eve@adatum.com': (550, b\"5.1.1 We don't know eve: no such user\")}")
# What programs print, and: format, step, code, cause.
SCREENS = [
    (SWAKS, "transcript", "RCPT", 554, "relay-not-authorised"),
    (TELNET, "transcript", "RCPT", 554, "relay-not-authorised"),
    (SWAKS.replace("<** ", "<~* ").replace(" -> ", " ~> "), "transcript", "RCPT", 554, "relay-not-authorised"),
    (PYTHON, "python", "RCPT", 554, "relay-not-authorised"),
    ("smtplib.SMTPSenderRefused: (530, b'5.7.0 Authentication required', 'a@example.com')", "python", "MAIL", 530, "auth-required"),
    ("com.sun.mail.smtp.SMTPAddressFailedException: 550 5.7.1 <bob@fabrikam.com>... Relaying denied\n\tat com.sun.mail.smtp.X",
     "java", "RCPT", 550, "relay-not-authorised"),
    ("System.Net.Mail.SmtpFailedRecipientException: Mailbox unavailable. The server response was: 5.7.1 Unable to relay",
     "dotnet", "RCPT", 550, "relay-not-authorised"),
    ('Expected response code "250" but got code "550", with message "550 5.7.1 Unable to relay".', "php", None, 550, "relay-not-authorised"),
    ("SMTP Error: The following recipients failed: bob@fabrikam.com: Unable to relay SMTP code: 550 Additional SMTP info: 5.7.1",
     "php", "RCPT", 550, "relay-not-authorised"),
    ("{ Error: Can't send mail - all recipients were rejected: 550 5.7.1 Unable to relay\n  code: 'EENVELOPE',\n"
     "  response: '550 5.7.1 Unable to relay',\n  responseCode: 550,\n  command: 'RCPT TO' }", "nodemailer", "RCPT", 550, "relay-not-authorised"),
    ("The message could not be sent because one of the recipients was rejected by the server. The rejected e-mail address was "
     "'bob@fabrikam.com'. Subject 'x', Account: 'home', Server: 'mail.contoso.com', Protocol: SMTP, Server Response: "
     "'550 5.7.1 Unable to relay for bob@fabrikam.com', Port: 25, Secure(SSL): No, Server Error: 550, Error Number: 0x800CCC79",
     "dialog", "RCPT", 550, "relay-not-authorised"),
    ("An error occurred while sending mail. The mail server responded:  5.7.1 <bob@fabrikam.com>: Relay access denied. "
     "Please check the message recipient \"bob@fabrikam.com\" and try again.", "dialog", "RCPT", None, "relay-not-authorised"),
]


def test_explain_what_stands_on_the_screen(t):
    for text, format_, step, code, cause in SCREENS:
        answer = told(t, "-", text=text)
        r = answer["recipients"][0]
        assert (answer["kind"], answer["format"]) == ("reply", format_), (text, answer)
        assert (r.get("command"), r.get("code"), r["cause"]) == (step, code, cause), (text, r)
        if step == "RCPT" and "bob@" in text:
            assert r["address"] == "bob@fabrikam.com", (text, r)
    assert told(t, "-", text=SWAKS)["recipients"][0]["host"] == "mail.contoso.com"
    assert [r["address"] for r in told(t, "-", text=PYTHON)["recipients"]] == ["bob@fabrikam.com", "eve@adatum.com"]


# Nobody has spoken: the words are the program's.
PROGRAMS = [
    ("getaddrinfo ENOTFOUND smtp.contoso.com", "host-unknown"),
    ("[Errno 111] Connection refused", "unreachable"),
    ("No connection could be made because the target machine actively refused it 192.0.2.7:587", "unreachable"),
    ("smtplib.SMTPServerDisconnected: Connection unexpectedly closed", "unreachable"),
    ("dial tcp 192.0.2.7:25: i/o timeout", "timeout"),
    ("x509: certificate signed by unknown authority", "tls-failed"),
    ("smtplib.SMTPNotSupportedError: SMTP AUTH extension not supported by server.", "auth-mechanism"),
]


def test_explain_programs_that_reached_nobody(t):
    for text, cause in PROGRAMS:
        answer = told(t, "-", text=text)
        assert answer["kind"] == "reply" and answer["recipients"][0]["cause"] == cause, (text, answer)


def test_explain_what_is_no_reply(t):
    for text in ("Dear colleagues,\n\nwe met at 550 Main Street.\nThe minutes follow.\n", "\n\n", "call 555 1234", "\0\1\2" * 100):
        answer = told(t, "-", text=text)
        assert answer["kind"] == "not-a-bounce" and answer["because"] and not answer["recipients"], (text, answer)


def test_explain_a_conversation(t):
    """What a later step made good, or only follows from an earlier refusal, is not what went wrong."""
    good = SWAKS.replace("<** 554 5.7.1 <bob@fabrikam.com>: Relay access denied\n", "<-  250 2.1.5 Ok\n")
    r = told(t, "-", text=good)["recipients"][0]
    assert (r["action"], r["cause"], r["code"]) == ("relayed", "delivered", 250), r
    assert told(t, "-", text=SWAKS)["sender"] == "alice@example.com"
    login = SWAKS.replace(" -> MAIL", " -> AUTH CRAM-MD5\n<** 535 5.7.8 Authentication failed\n -> AUTH PLAIN xx\n<-  235 2.7.0 ok\n -> MAIL")
    assert [r["command"] for r in told(t, "-", text=login)["recipients"]] == ["RCPT"]
    pipelined = ("<-  220 mail.contoso.com\n -> EHLO x\n<-  250 PIPELINING\n -> MAIL FROM:<a@example.com>\n -> RCPT TO:<b@fabrikam.com>\n"
                 " -> DATA\n<** 530 5.7.0 Authentication required\n<** 503 5.5.1 Need MAIL\n<** 503 5.5.1 Need RCPT\n")
    assert [(r["command"], r["cause"]) for r in told(t, "-", text=pipelined)["recipients"]] == [("MAIL", "auth-required")]


# --- logs -----------------------------------------------------------------------------------------------

MAILLOG = """Nov 20 09:30:00 mail postfix/qmgr[1]: 4F0B2A1: from=<alice@example.com>, size=2000, nrcpt=2 (queue active)
Nov 20 09:30:01 mail postfix/smtp[2]: 4F0B2A1: to=<bob@fabrikam.com>, relay=mx.fabrikam.com[192.0.2.7]:25, delay=1, dsn=5.1.1, status=bounced (host mx.fabrikam.com[192.0.2.7] said: 550 5.1.1 <bob@fabrikam.com>: User unknown (in reply to RCPT TO command))
Nov 20 09:30:01 mail postfix/smtp[2]: 4F0B2A1: to=<eve@adatum.com>, relay=mx.adatum.com[192.0.2.8]:25, delay=1, dsn=2.0.0, status=sent (250 ok)
Nov 20 09:30:02 mail postfix/smtpd[3]: NOQUEUE: reject: RCPT from unknown[203.0.113.9]: 554 5.7.1 <x@adatum.com>: Relay access denied; from=<a@example.com> to=<x@adatum.com> proto=ESMTP helo=<x>
"""


def test_explain_lines_of_logs(t):
    answer = told(t, "-", text=MAILLOG)
    assert (answer["kind"], answer["format"], answer["reporter"]) == ("log", "postfix", "mail"), answer
    assert [(r["address"], r["command"], r["cause"]) for r in answer["recipients"]] == [
        ("bob@fabrikam.com", "RCPT", "recipient-unknown"), ("x@adatum.com", "RCPT", "relay-not-authorised")]
    one = told(t, MAILLOG.splitlines()[1])
    assert one["recipients"][0]["host"] == "mx.fabrikam.com" and one["kind"] == "log", one
    path = t.folder / "mail.log"
    path.write_text(MAILLOG)
    text = explain(t, path).stdout
    assert text.startswith("mx.fabrikam.com refused bob@fabrikam.com at the recipient") and "mail refused x@adatum.com" in text, text
    quiet = told(t, "-", text=MAILLOG.splitlines(True)[0])
    assert quiet["kind"] == "not-a-bounce" and "log" in quiet["because"], quiet
    many = explain(t, "-", text="".join(MAILLOG.splitlines(True)[1].replace("fabrikam.com", f"dest{i}.example") for i in range(40))).stdout
    assert many.startswith("40 refusals, told by cause") and many.count("Who must act") == 1 and "and 32 more" in many, many
    exim = ("2026-11-20 09:30:00 1tDxyz-000001-Ab ** bob@fabrikam.com R=dnslookup T=remote_smtp H=mx.fabrikam.com [192.0.2.7]: SMTP error from "
            "remote mail server after RCPT TO:<bob@fabrikam.com>: 550 5.1.1 No such user")
    assert told(t, *exim.split())["recipients"][0]["cause"] == "recipient-unknown"


# --- messages -------------------------------------------------------------------------------------------

BOUNCE = """From: MAILER-DAEMON@mail.contoso.com (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: alice@example.com
Date: Fri, 20 Nov 2026 09:30:00 +0000
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b1"

--b1
Content-Type: text/plain

<bob@fabrikam.com>: host mx.fabrikam.com[192.0.2.7] said: 550 5.1.1
    <bob@fabrikam.com>: Recipient address rejected: User unknown (in reply to
    RCPT TO command)

--b1
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.contoso.com

Final-Recipient: rfc822; bob@fabrikam.com
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.fabrikam.com
Diagnostic-Code: smtp; 550 5.1.1 <bob@fabrikam.com>: Recipient address rejected: User unknown

--b1
Content-Type: text/rfc822-headers

From: alice@example.com
To: bob@fabrikam.com
Subject: the numbers

--b1--
"""
LETTER = "From: alice@example.com\nTo: bob@fabrikam.com\nSubject: hello\nDate: Fri, 20 Nov 2026 09:30:00 +0000\n\nHow are you?\n"


def test_explain_a_bounce(t):
    path = t.folder / "bounce.eml"
    path.write_text(BOUNCE)
    for answer in (told(t, path), told(t, "-", text=BOUNCE), told(t, "-", text=BOUNCE.replace("\n", "\r\n"))):
        r = answer["recipients"][0]
        assert answer["kind"] == "bounce" and len(answer["recipients"]) == 1, answer
        assert (r["address"], r["action"], r["code"], r["enhanced"]) == ("bob@fabrikam.com", "failed", 550, "5.1.1")
        assert (r["host"], r["cause"], r["who"], r["permanent"]) == ("mx.fabrikam.com", "recipient-unknown", "sender", True)
        assert r["explanation"] and r["fix"] and 0 < r["confidence"] <= 1 and r["rule"] and r["reason"] == "userunknown"
    part = BOUNCE[BOUNCE.index("Reporting-MTA") : BOUNCE.index("\n--b1\nContent-Type: text/rfc822")]
    assert told(t, "-", text=part)["recipients"][0]["address"] == "bob@fabrikam.com"
    text = explain(t, path)
    assert text.returncode == 0 and text.stdout.startswith("mx.fabrikam.com refused bob@fabrikam.com"), text
    path.write_text(LETTER)
    answer, done = told(t, path), explain(t, path)
    assert answer["kind"] == "not-a-bounce" and answer["because"] and answer["recipients"] == [], answer
    assert done.returncode == 1 and done.stdout.startswith("This is not a bounce: ")


ARF = """From: <abuse@adatum.com>
To: <abuse@example.com>
Subject: FW: offer
Date: Fri, 20 Nov 2026 09:30:00 +0000
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="x"

--x
Content-Type: text/plain

This is a complaint.
--x
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: loop/1
Version: 1
Original-Rcpt-To: <bob@adatum.com>
Source-IP: 192.0.2.1

--x
Content-Type: message/rfc822

From: <news@example.com>
To: <bob@adatum.com>
Subject: offer

hi
--x--
"""
VACATION = ("From: bob@fabrikam.com\nTo: alice@example.com\nSubject: Out of office: numbers\nAuto-Submitted: auto-replied\n"
            "Date: Fri, 20 Nov 2026 09:30:00 +0000\n\nBack on Monday. 550 5.7.1 Unable to relay was solved.\n")
DELIVERED = BOUNCE.replace("Action: failed", "Action: relayed").replace("Status: 5.1.1", "Status: 2.1.5").replace(
    "550 5.1.1 <bob@fabrikam.com>: Recipient address rejected: User unknown", "250 2.1.5 Ok").replace(
    BOUNCE[BOUNCE.index("<bob@fabrikam.com>: host"):BOUNCE.index("RCPT TO command)")], "<bob@fabrikam.com>: relayed (")


def test_explain_reports(t):
    """What is no refusal is called what it is, whatever words stand in it."""
    for text, action, cause in ((ARF, "feedback", "feedback"), (VACATION, "vacation", "vacation"), (DELIVERED, "relayed", "delivered")):
        answer = told(t, "-", text=text)
        r = answer["recipients"][0]
        assert (answer["kind"], r["action"], r["cause"]) == ("report", action, cause), answer
        done = explain(t, "-", text=text)
        assert done.returncode == 0 and "not a bounce" not in done.stdout and "refused" not in done.stdout, done
    assert explain(t, "-", text=ARF).stdout.startswith("A server reports a complaint about mail to bob@adatum.com")


def test_explain_many_messages(t):
    box, folder, mbox = t.folder / "Maildir", t.folder / "folder", t.folder / "mbox"
    for name in ("cur", "new", "tmp", ".Old/cur", ".Old/new", ".Old/tmp"):
        (box / name).mkdir(parents=True)
    (box / "cur/1:2,S").write_text(BOUNCE)
    (box / "new/2").write_text(BOUNCE.replace("bob@", "carol@"))
    (box / "tmp/3").write_text(BOUNCE)
    (box / "dovecot-uidlist").write_text("3 V1")
    (box / ".Old/cur/4:2,").write_text(LETTER)
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.eml").write_text(BOUNCE.replace("bob@", f"bob{i}@"))
    (folder / ".hidden").write_text(BOUNCE)
    separator = "From MAILER-DAEMON Fri Nov 20 09:30:00 2026\n"
    mbox.write_text("\n".join(separator + m for m in (BOUNCE, LETTER + "\nFrom here on\nFrom there\n", BOUNCE)))
    lines = lambda *paths: [json.loads(line) for line in explain(t, "--json", *paths).stdout.splitlines()]  # noqa: E731
    assert [(a["kind"], a["source"]) for a in lines(box)] == [
        ("not-a-bounce", f"{box}/.Old/cur/4:2,"), ("bounce", f"{box}/cur/1:2,S"), ("bounce", f"{box}/new/2")]
    assert [a["recipients"][0]["address"] for a in lines(folder)] == [f"bob{i}@fabrikam.com" for i in range(3)]
    assert [(a["kind"], a["number"]) for a in lines(mbox)] == [("bounce", 1), ("not-a-bounce", 2), ("bounce", 3)]
    assert len(lines(*sorted(folder.glob("*.eml")))) == 3
    table = explain(t, folder, mbox)
    assert table.returncode == 0 and table.stdout.startswith("6 messages: 5 bounces, 0 reports, 0 replies, 0 logs, 1 neither"), table
    assert "recipient-unknown  sender " in table.stdout and " 5         5 " in table.stdout, table.stdout
    each = explain(t, "--each", folder).stdout
    assert each.count("refused bob") == 3 and f"== {folder}/0.eml\n" in each
    done = explain(t, "--json", t.folder / "nothing-here", folder / "0.eml")
    assert done.returncode == 1 and "not-a-bounce" in done.stdout  # a text, since there is no such file
    (t.folder / "empty").mkdir()
    done = explain(t, t.folder / "empty")
    assert done.returncode == 0 and "no files" in done.stderr and not done.stdout


def test_explain_mbox_in_blocks(t):
    """Where a message ends is seen wherever a block that was read ends; a letter's own "From " ends nothing."""
    separator, block = "From MAILER-DAEMON Fri Nov 20 09:30:00 2026\n", 256 * 1024
    mbox = t.folder / "mbox"
    for short in (0, 1, 2, 6, 20, len(separator), len(separator) + 1):
        filled = separator + BOUNCE
        filled += "x" * (block - len(filled) - short - 2) + "\n\n"
        text = filled + separator + LETTER + "From here on\n\nFrom there, too\n\n" + separator + BOUNCE.replace("bob@", "carol@")
        assert len(filled) == block - short
        mbox.write_text(text)
        for done in (explain(t, "--json", mbox), explain(t, "--json", "-", text=text)):
            answers = [json.loads(line) for line in done.stdout.splitlines()]
            assert [a["kind"] for a in answers] == ["bounce", "not-a-bounce", "bounce"], (short, answers)
            assert answers[2]["recipients"][0]["address"] == "carol@fabrikam.com"


def test_explain_hostile_input(t):
    """Nothing that moves the cursor reaches a terminal, whatever it came in."""
    evil = "550 5.1.1 \x1b[2Jno\x07such\x1b]0;title\x07 user\x9b31m \u202egnp.exe \x00 \x7f"
    for text in (evil, BOUNCE.replace("User unknown", evil), BOUNCE.replace("the numbers", "\x1b[31mred")):
        for words in (("-",), ("-", "--json")):
            out = explain(t, *words, text=text).stdout
            assert not any(c < " " and c != "\n" for c in out) and "\x7f" not in out and "\u202e" not in out, out
    big = t.folder / "big"
    with open(big, "w", encoding="ascii") as f:
        f.write(BOUNCE)
        for _ in range(100):
            f.write(("x" * 76 + "\n") * (1024 * 1024 // 77))
    answer = told(t, big)
    assert answer["cut"] and answer["recipients"][0]["address"] == "bob@fabrikam.com"


def test_explain_own_rules(t):
    rules = t.folder / "mine.rules"
    rules.write_text("rule mine\n  cause mailbox-full\n  confidence 0.90\n  words the cat sat on it\n")
    r = told(t, "--rules", rules, "550 the cat sat on it")["recipients"][0]
    assert (r["cause"], r["rule"]) == ("mailbox-full", "mine")
    rules.write_text("rule mine\n  cause no-such-cause\n")
    assert explain(t, "--rules", t.folder / "none.rules", RELAY).returncode == 66
    done = explain(t, "--rules", rules, RELAY)
    assert done.returncode == 65 and f"{rules}:2" in done.stderr, done


def test_explain_score(t):
    """tools/score.py: right answers pass, one that is wrong is shown and ends with 1."""
    def score():
        return subprocess.run([sys.executable, f"{ROOT}/tools/score.py", "--wrong", "--postern",
                               f"{t.builds['sanitized']}/src/bin/postern", str(t.folder)], text=True, capture_output=True)

    (t.folder / "classes.tsv").write_text("class\taccepted\twho\nrelay\trelay-not-authorised (or so)\tsender-admin\nfull\tmailbox-full|quota\t\n")
    rows = "id\tstep\tclass\treply\n1\tRCPT\trelay\t" + RELAY + "\n2\tRCPT\tfull\t452 4.2.2 Mailbox full\n"
    (t.folder / "replies.tsv").write_text(rows)
    (t.folder / "one.eml").write_text(BOUNCE)
    expected = "sample\trecipient_no\tstatus\treply_code\treason\taddress\none\t1\t5.1.1\t550\tuserunknown\tbob@fabrikam.com\n"
    (t.folder / "expected.tsv").write_text(expected)
    done = score()
    assert done.returncode == 0 and "MISSED" not in done.stdout and "recipients       1 of     1  100.00%" in done.stdout, done
    (t.folder / "replies.tsv").write_text(rows.replace("\tfull\t", "\trelay\t"))
    (t.folder / "expected.tsv").write_text(expected.replace("userunknown", "mailboxfull") + "one\t2\t\t\t\t\n")
    done = score()
    assert done.returncode == 1 and "missed: " in done.stdout, done
    for line in ("relay-not-authorised                     mailbox-full", "mailboxfull                              userunknown",
                 "one: recipients: 1, not 2"):
        assert line in done.stdout, (line, done.stdout)
