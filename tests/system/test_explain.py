"""`postern explain`: every reason id, misspelt ones, and the reply of a running server as it came."""
import json
import subprocess

from world import *


def explain(t, *words):
    done = subprocess.run([f"{t.builds['sanitized']}/src/bin/postern", "explain", *words], text=True, capture_output=True)
    assert "Sanitizer" not in done.stderr, done.stderr
    return done


def test_explain_every_reason(t):
    listed = explain(t, "list", "--json")
    rows = [json.loads(line) for line in listed.stdout.splitlines()]
    assert len(rows) > 100 and listed.returncode == 0
    text = explain(t).stdout
    for row in rows:
        assert row["kind"] == "reason" and f"  {row['reason']} " in text
        assert all(row["fixes"][whose] for whose in ("client", "administrator", "postmaster"))
        assert row["recipients"][0]["cause"] == row["reason"] and len(row["recipients"][0]["fix"]) == 3
    one = json.loads(explain(t, "auth.failed", "--json").stdout)
    assert [r["code"] for r in one["replies"]] == [535, 421] and one in rows


def test_explain_what_is_wrong(t):
    for given, said in (("relay.nogrant", "did you mean relay.no-grant"), ("no.such-thing-at-all", "explain list"),
                        ("-", "not built yet"), (__file__, "not built yet"), ("/no/such/file", "there is no file"),
                        ("550 5.7.1 We do not relay", "not built yet"), ("--jsno", "--json")):
        done = explain(t, given)
        assert done.returncode == 64 and said in done.stderr and not done.stdout, (given, done)


def test_explain_a_reply_as_it_came(t):
    server, _ = world(t)
    c = server.session(source=HOTEL).ehlo()
    c.mail("terri@proseware.com")
    reply = c.cmd("RCPT TO:<bob@adatum.com>")
    for words in ([str(reply)], str(reply).split()):
        done = explain(t, *words)
        assert done.returncode == 0 and done.stdout.startswith("relay.no-grant  (550 5.7.1)"), done
    assert "Log in on the submission port" in done.stdout
