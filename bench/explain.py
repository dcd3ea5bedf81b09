#!/usr/bin/env python3
"""bench/explain.py POSTERN [MESSAGES]: how long `postern explain` takes for a bounce, and for a mailbox of them.

Bounces of eight makes, each with other names, numbers and sizes, are written as a Maildir and as an mbox (10,000 by default), and
explained as a table and as JSON; standard error is a terminal, so that the bar is drawn and counted. Start-up is the time of one bounce alone. Goals:
5 ms a bounce after start-up, 20 s for 10,000, of the processor: the program waits for nothing, and other load does not
count. Ends with 1 if one is missed, or if an answer is missing or wrong."""
import json
import os
import pty
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PER_BOUNCE_MS, ALL_S, FOR = 5, 20, 10000

DSN = """Return-Path: <>
From: MAILER-DAEMON@{reporter} (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: {sender}
Date: Fri, 20 Nov 2026 09:30:00 +0000
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b{n}"

--b{n}
Content-Type: text/plain; charset=us-ascii

This is the mail system at host {reporter}.

{people}

--b{n}
Content-Type: message/delivery-status

Reporting-MTA: dns; {reporter}

{fields}
--b{n}
Content-Type: message/rfc822

From: {sender}
To: list@{domain}
Subject: message {n}
Message-ID: <{n}@{reporter}>

{body}
--b{n}--
"""
PLAIN = """From: {daemon}
Subject: {subject}
To: {sender}
Date: Fri, 20 Nov 2026 09:30:00 +0000

{text}

{copy}
From: {sender}
Subject: message {n}

{body}
"""
REPLIES = ["550 5.1.1 <{to}>: Recipient address rejected: User unknown", "452 4.2.2 <{to}>: mailbox full",
           "554 5.7.1 <{to}>: Relay access denied", "554 5.7.1 Service unavailable; Client host [192.0.2.7] blocked using bl.example.org",
           "550 5.7.26 example.com does not pass DMARC, policy reject", "550-5.7.1 Message\n    550 5.7.1 refused as spam"]


def recipients(n):
    return [f"user{n}.{i}@dest{n % 97}.example" for i in range(1 if n % 10 else 20)]


def dsn(n, names):
    reply = REPLIES[n % len(REPLIES)]
    people = "\n\n".join(f"<{to}>: host mx.{names['domain']}[192.0.2.7] said: {reply.format(to=to)} (in reply to RCPT TO command)"
                         for to in recipients(n))
    fields = "\n".join(f"Final-Recipient: rfc822; {to}\nAction: failed\nStatus: 5.0.0\nRemote-MTA: dns; mx.{names['domain']}\n"
                       f"Diagnostic-Code: smtp; {reply.format(to=to)}\n" for to in recipients(n))
    return DSN.format(people=people, fields=fields, **names)


def exim(n, names):
    text = ("This message was created automatically by mail delivery software.\n\nA message that you sent could not be delivered to one or more of "
            "its\nrecipients. This is a permanent error. The following address(es) failed:\n\n")
    for to in recipients(n):
        text += (f"  {to}\n    host mx.{names['domain']} [192.0.2.7]\n    SMTP error from remote mail server after RCPT TO:<{to}>:\n"
                 f"    {REPLIES[n % len(REPLIES)].format(to=to)}\n")
    return PLAIN.format(daemon=f"Mailer-Daemon@{names['reporter']}", subject="Mail delivery failed: returning message to sender", text=text,
                        copy="------ This is a copy of the message, including all the headers. ------\n", **names)


def qmail(n, names):
    text = (f"Hi. This is the qmail-send program at {names['reporter']}.\nI'm afraid I wasn't able to deliver your message to the following addresses.\n"
            "This is a permanent error; I've given up. Sorry it didn't work out.\n")
    for to in recipients(n):
        text += f"\n<{to}>:\n192.0.2.7 does not like recipient.\nRemote host said: {REPLIES[n % len(REPLIES)].format(to=to)}\nGiving up on 192.0.2.7.\n"
    return PLAIN.format(daemon=f"MAILER-DAEMON@{names['reporter']}", subject="failure notice", text=text, copy="--- Below this line is a copy of the message.\n",
                        **names)


def letter(n, names):
    return PLAIN.format(daemon=names["sender"], subject=f"Re: message {n}", text="No, it was you.", copy="> On Friday you wrote:", **names)


MAKERS = [dsn, exim, dsn, qmail, dsn, exim, dsn, letter]


def messages(count):
    for n in range(count):
        names = {"n": n, "reporter": f"mail{n % 13}.example.com", "sender": f"sender{n % 7}@example.com", "domain": f"dest{n % 97}.example",
                 "body": "a line of the message that came back\n" * (n % 200)}
        make = MAKERS[n % len(MAKERS)]
        yield make(n, names), 0 if make is letter else len(recipients(n))


def write(folder, count):
    """The messages as a Maildir and as an mbox; how many recipients each has."""
    for name in ("cur", "new", "tmp"):
        (folder / "Maildir" / name).mkdir(parents=True)
    wanted = []
    with open(folder / "mbox", "w", encoding="ascii") as mbox:
        for n, (text, many) in enumerate(messages(count)):
            (folder / "Maildir/cur" / f"{n:07}:2,S").write_text(text, encoding="ascii")
            mbox.write("From MAILER-DAEMON Fri Nov 20 09:30:00 2026\n" + text + "\n")
            wanted.append(many)
    return wanted


def run(program, *words):
    """Seconds, seconds of the processor, what was said, and whether the bar was drawn, on a terminal of its own."""
    ours, theirs = pty.openpty()
    seen = bytearray()

    def look():
        try:
            while data := os.read(ours, 65536):
                seen.extend(data)
        except OSError:
            pass

    started = time.monotonic()
    child = subprocess.Popen([program, "explain", *map(str, words)], stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    looker = threading.Thread(target=look)
    looker.start()
    said = child.stdout.read().decode()
    usage = os.wait4(child.pid, 0)[2]
    took = time.monotonic() - started
    looker.join()
    os.close(ours)
    return took, usage.ru_utime + usage.ru_stime, said, b" messages, " in seen


def main():
    program, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 10000
    wrong = []
    with tempfile.TemporaryDirectory(prefix="postern-explain-") as name:
        folder = Path(name)
        wanted = write(folder, count)
        alone = min(run(program, folder / "Maildir/cur/0000000:2,S")[1] for _ in range(5))
        print(f"one bounce alone, with start-up: {alone * 1000:.0f} ms of the processor")
        for form in ("Maildir", "mbox"):
            for words in ((), ("--json",)):
                took, cpu, said, bar = run(program, *words, folder / form)
                each = (cpu - alone) / count * 1000
                what = f"{form} {'as JSON' if words else 'as a table'}"
                print(f"{what}: {count} messages in {took:.2f} s, {cpu:.2f} s of the processor, {each:.3f} ms each{', with a bar' if bar else ''}")
                if each > PER_BOUNCE_MS or cpu > ALL_S * count / FOR:
                    wrong.append(f"{what}: too slow")
                if took > 1 and not bar:
                    wrong.append(f"{what}: no bar was drawn")
                if words:
                    got = [len(json.loads(line)["recipients"]) for line in said.splitlines()]
                    if got != wanted:
                        wrong.append(f"{what}: {sum(a != b for a, b in zip(got, wanted))} of {len(wanted)} answers are wrong, {len(got)} there are")
                elif not said.startswith(f"{count} messages: "):
                    wrong.append(f"{what}: {said[:80]}")
    for line in wrong:
        print("missed: " + line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
