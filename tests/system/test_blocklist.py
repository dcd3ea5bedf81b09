"""`postern blocklist` against a name server on loopback with lists of every kind: one that has the address, one that
has not, dead ones, one that lists the world, ones that will not be asked, silent ones."""
import json
import os
import subprocess
import time

from harness import options
from world import *

HIT, CLEAN = "203.0.113.7", "203.0.113.8"


def reversed_(address):
    return ".".join(reversed(address.split(".")))


def list_zone(zone, entries=(), listed="127.0.0.2", world=False):
    """A list in good order, with its test entries of RFC 5782."""
    records = {f"2.0.0.127.{zone}": {"A": [listed]}, zone: {"NS": ["ns.test"]}}
    if world:
        records[f"1.0.0.127.{zone}"] = {"A": [listed]}
    for name, codes, *text in entries:
        records[f"{name}.{zone}"] = {"A": codes, "TXT": text}
    return records


def blocklist(t, *words, code=0, dns=True, env=None):
    began = time.monotonic()
    done = subprocess.run([f"{t.builds['sanitized']}/src/bin/postern", "blocklist", *words,
                           *(["--dns", t.dns.where] if dns else [])], text=True, capture_output=True, env=env)
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
    assert done.returncode == code, done
    done.seconds = time.monotonic() - began
    return done


def looked(t, *words, code=0):
    return json.loads(blocklist(t, *words, "--json", code=code).stdout)


def by_zone(found, subject):
    (one,) = [s for s in found["subjects"] if s["subject"] == subject]
    return {r["zone"]: r for r in one["lists"]}


def test_blocklist_listed_and_clean(t):
    hit = reversed_(HIT)
    t.zones({**list_zone("zen.spamhaus.org", [(hit, ["127.0.0.4", "127.0.0.10"], "https://check.example/7")]),
             **list_zone("bl.spamcop.net"), **list_zone("list.dnswl.org", [(hit, ["127.0.5.2"])])})
    found = looked(t, HIT, code=1)
    zones = by_zone(found, HIT)
    zen = zones["zen.spamhaus.org"]
    assert zen["state"] == "listed" and zen["against"] and zen["text"] == "https://check.example/7", zen
    assert {c["code"] for c in zen["codes"]} == {"127.0.0.4", "127.0.0.10"} and all("means" in c for c in zen["codes"])
    assert zones["bl.spamcop.net"]["state"] == "clean" and not zones["list.dnswl.org"]["against"]
    # All the others are not served here, and so lack their own test entries.
    assert zones["psbl.surriel.com"]["state"] == "dead" and zones["b.barracudacentral.org"]["state"] == "refused"
    first = found["findings"][0]
    assert first["id"] == "blocklist.listed" and first["severity"] == "error" and first["about"] == HIT, first
    assert first["who"] == "sender-admin" and any("587" in fix for fix in first["fix"]), first
    (allowed,) = [f for f in found["findings"] if f["id"] == "blocklist.allowed"]
    assert "medium trust" in allowed["seen"], allowed
    text = blocklist(t, HIT, code=1).stdout
    assert text.startswith(f"{HIT}: listed by 1 of the ") and ": Spamhaus ZEN; 1 speaks for it" in " ".join(text.split()) and "error: blocklist.listed" in text, text
    text = blocklist(t, CLEAN, "--only", "zen.spamhaus.org").stdout
    assert text == f"{CLEAN}: not listed by any of the 1 lists that answered\n", text


def test_blocklist_lists_that_are_none(t):
    """Each of these would be taken for a listing, or for none, by who does not look twice."""
    hit = reversed_(HIT)
    everyone = {f"{name}.parked.example": {"A": ["192.0.2.80"]} for name in (hit, "2.0.0.127", "1.0.0.127")}
    t.zones({**list_zone("good.example"), **everyone,
             **list_zone("world.example", [(hit, ["127.0.0.2"])], world=True),
             **list_zone("quota.example", [(hit, ["127.255.255.254"])]),
             **list_zone("refuses.example", [(hit, ["127.0.0.1"])]),
             **list_zone("bl.spamcop.net", [(hit, ["127.255.255.255"])]),
             "dead.example": {"NS": ["ns.test"]}, "hang.example": "hang", f"{hit}.fault.example": "servfail"})
    names = ("good", "parked", "world", "quota", "refuses", "dead", "hang", "fault")
    wanted = [w for n in names for w in ("--only", f"{n}.example")] + ["--only", "SpamCop", "--timeout", "3s"]
    found = looked(t, HIT, *wanted)
    states = {zone.split(".")[0]: r["state"] for zone, r in by_zone(found, HIT).items()}
    assert states == {"good": "clean", "parked": "dead", "world": "world", "quota": "refused", "refuses": "refused",
                      "dead": "dead", "hang": "silent", "fault": "silent", "bl": "refused"}, states
    assert all(f["severity"] == "info" for f in found["findings"]), found
    done = blocklist(t, HIT, *wanted)
    assert done.seconds < 10 and "8 could not be asked" in " ".join(done.stdout.split()), done
    assert "it did not answer in time:\n    hang.example\n" in done.stdout, done
    assert "it lists even what must never be listed: the whole world:\n    world.example\n" in done.stdout, done


def test_blocklist_time_is_limited(t):
    """Forty lists that never answer cost the time allowed once, not forty times."""
    t.zones({}).silent = True
    done = blocklist(t, HIT, "--timeout", "2", code=75)
    assert 1.5 < done.seconds < 8 and "whether there is a network" in done.stderr, done
    assert "not known, no list could be asked" in done.stdout, done
    # A name server that knows no name at all proves nothing either.
    t.dns.silent = False
    done = blocklist(t, HIT, code=75)
    assert "no such name" in done.stderr and "not known" in done.stdout, done


def test_blocklist_names(t):
    """A host: its name on lists of domains, its addresses on lists of addresses; with --mx its mail servers too."""
    t.zones({"mail.example.com": {"A": [CLEAN], "AAAA": ["2001:db8::7"], "MX": ["10 mx.example.com"]},
             "mx.example.com": {"A": [HIT]},
             **list_zone("zen.spamhaus.org", [(reversed_(HIT), ["127.0.0.2"]),
                                              (".".join(reversed("20010db8" + "0" * 23 + "7")), ["127.0.0.3"])]),
             "dbltest.com.dbl.spamhaus.org": {"A": ["127.0.1.2"]},
             "mail.example.com.dbl.spamhaus.org": {"A": ["127.0.1.104"]}})
    wanted = "--only", "zen.spamhaus.org", "--only", "dbl.spamhaus.org"
    found = looked(t, "Mail.Example.COM.", *wanted, code=1)
    assert [s["subject"] for s in found["subjects"]] == ["mail.example.com", "example.com", "2001:db8::7", CLEAN], found
    assert by_zone(found, "mail.example.com")["dbl.spamhaus.org"]["codes"][0]["means"].endswith("for phishing")
    assert by_zone(found, "2001:db8::7")["zen.spamhaus.org"]["against"]
    assert [s.get("of") for s in found["subjects"]] == [None] + ["mail.example.com"] * 3
    found = looked(t, "bob@mail.example.com", "--mx", *wanted, code=1)
    assert by_zone(found, HIT)["zen.spamhaus.org"]["against"], found
    found = looked(t, "nowhere.example", *wanted)
    assert [f["about"] for f in found["findings"] if f["id"] == "blocklist.no-address"] == ["nowhere.example"], found


def test_blocklist_bits_keys_and_unknown_lists(t):
    t.zones({"test.surbl.org.multi.surbl.org": {"A": ["127.0.0.254"]}, "spam.example.multi.surbl.org": {"A": ["127.0.0.72"]},
             **list_zone("s3cret.zen.dq.spamhaus.net", [(reversed_(HIT), ["127.0.0.9"])]),
             **list_zone("mine.example", [(reversed_(HIT), ["127.0.0.99"], "because \x1b[31mwe say so")])})
    found = looked(t, "spam.example", "--only", "multi.surbl.org", code=1)
    (one,) = by_zone(found, "spam.example").values()
    assert one["codes"][0]["code"] == "127.0.0.72" and one["against"], one
    found = looked(t, HIT, "--only", "s3cret.zen.dq.spamhaus.net", "--with", "mine.example", code=1)
    zones = by_zone(found, HIT)
    assert zones["s3cret.zen.dq.spamhaus.net"]["codes"][0]["means"].startswith("DROP"), zones
    assert zones["mine.example"]["against"] and "\x1b" not in json.dumps(found), zones
    assert found["findings"][0]["who"] == "network-owner", found["findings"][0]


def test_blocklist_hostile_words(t):
    """What a list says comes from strangers: no escapes, no endless text, no million of codes."""
    hit = reversed_(HIT)
    t.zones(list_zone("mine.example", [(hit, [f"127.0.1.{i}" for i in range(1, 120)], "\x1b]0;owned\x07\r\n\xff" * 12)]))
    done = blocklist(t, HIT, "--only", "mine.example", code=1)
    assert all(c.isprintable() or c == "\n" for c in done.stdout) and len(done.stdout) < 3000, done.stdout


def test_blocklist_own_file_and_misuse(t):
    t.zones(list_zone("mine.example", [(reversed_(HIT), ["127.0.0.5"])]))
    own = t.folder / "lists.txt"
    own.write_text("list mine.example\n  name Mine\n  of ipv4\n  means Ours.\n  delist https://mine.example/\n"
                   "  severity error\n  code 127.0.0.5 five\n    fix Ask\n    + us.\n")
    found = looked(t, HIT, "--lists", str(own), code=1)
    assert found["findings"][0]["fix"] == ["Ask us."] and found["findings"][0]["severity"] == "error", found
    own.write_text("list mine.example\n  of ipv5\n")
    assert "lists.txt:2: of takes" in blocklist(t, HIT, "--lists", str(own), code=65).stderr
    assert "lists.txt" in blocklist(t, HIT, "--lists", str(own) + "-missing", code=66).stderr
    for words, said in (((), "which address"), (("203.0.113.0/24",), "is a network"), (("no..such",), "neither an address"),
                        (("300.1.1.1",), "four numbers from 0 to 255"),
                        ((HIT, "--only", "zen.spamhaus.rog"), "did you mean zen.spamhaus.org"),
                        ((HIT, "--timeout", "1h"), "--timeout"), ((HIT, "--josn"), "--json"),
                        ((HIT, "--only", "not a zone"), "--list shows"), (("a\x1b[31mb",), "neither")):
        done = blocklist(t, *words, code=64)
        assert said in done.stderr and "\x1b" not in done.stderr and not done.stdout, (words, done)
    assert "--dns takes" in blocklist(t, HIT, "--dns", "nonsense", dns=False, code=64).stderr


def test_blocklist_the_lists_shown(t):
    rows = [json.loads(line) for line in blocklist(t, "--list", "--json", dns=False).stdout.splitlines()]
    asked = [r for r in rows if r["asked"]]
    assert 30 <= len(asked) <= 50 and len(rows) > len(asked) and all(r["codes"] for r in asked), len(asked)
    assert {k for r in asked for k in r["of"]} == {"ipv4", "ipv6", "domain"}
    text = blocklist(t, "--list", dns=False).stdout
    assert all(r["zone"] in text for r in rows) and "ended 2024" in text
    assert "IP|HOST|DOMAIN" in blocklist(t, "--help", dns=False).stdout
