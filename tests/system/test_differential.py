"""`postern why` says of thousands of random transactions what the running server does with them: verdict, codes, reason
and connector, over random configurations. POSTERN_SEED draws others; a failure names its seed."""
import json
import os
import random
import subprocess
import time
from collections import Counter

import differential as d
from harness import options
from world import ADATUM

SEED = os.environ.get("POSTERN_SEED", "1")


def people(server):
    for user in (*d.USERS, d.DISABLED, d.PIA, d.QUIN):
        server.command("user", "add", user, "--password-stdin", input=d.PASSWORD + "\n")
    for alias, target in d.ALIASES.items():
        server.command("alias", "add", alias, target)
    for (user, name), bounds in d.APPS.items():
        d.APP_PASSWORDS[name] = server.json("user", "app-password", "add", user, name, *bounds)[0]["password"]
    for user, right in d.RIGHTS:
        server.command("user", "allow-sender", user, right)


def reload_drawn(server, draw):
    """A configuration that the server takes; some that are drawn contradict themselves."""
    while True:
        configuration = draw()
        if server.reload(configuration.text)["event"] == "reloaded":
            return configuration


def judge(server, driver, since, number, configuration, seen):
    found = d.differences(server, driver, since)
    seen.update(s["reason"] or f"accepted at {step}" for _, _, s, step in driver.asked)
    for c in driver.open.values():
        c.close()
    text = f"seed {SEED}, configuration {number}:\n{configuration.text}\n"
    kinds = Counter(f"{step}: server {a['reason'] or a['verdict']}, why {b['reason'] or b['verdict']}" for _, _, a, b, step in found)
    assert not found, f"{dict(kinds)}\n{text}{len(found)} of {len(driver.asked)} differ\n" + "\n".join(
        json.dumps(row, indent=1) for row in found[:3])


def compare(t, build, configurations, transactions):
    rng = random.Random(f"{SEED} {build}")
    t.zones(d.ZONE)
    server = t.server(d.Configuration(random.Random(0)).text, build=build)
    people(server)
    server.command("user", "disable", d.DISABLED)
    seen, began = Counter(), time.monotonic()
    for number in range(configurations):
        configuration = reload_drawn(server, lambda: d.Configuration(rng))
        since, driver = server.log.stat().st_size, d.Driver(server)
        for _ in range(transactions // configurations):
            driver.run(d.draw_transaction(rng, configuration))
        judge(server, driver, since, number, configuration, seen)
    print(f"{transactions} transactions, {time.monotonic() - began:.1f} s: {dict(seen.most_common())}")
    return seen


def certificates(folder):
    """Two, with their keys, and how a connector names them."""
    made = []
    for name in ("first", "second"):
        pair = (f"{folder}/{name}.pem", f"{folder}/{name}.key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9",
                        "-subj", f"/CN={name}", "-out", pair[0], "-keyout", pair[1]], check=True, capture_output=True)
        key = subprocess.run(f"openssl x509 -in {pair[0]} -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum",
                             shell=True, check=True, capture_output=True, text=True).stdout.split()[0]
        made.append((*pair, f"spki-sha256:{key}"))
    return made


@options(seconds=240)
def test_differential_with_memory(t):
    """Limits that fill up, POP windows, certificates: why asks the running server."""
    rng = random.Random(f"{SEED} memory")
    t.zones(d.ZONE)
    server = t.server(d.Configuration(random.Random(0)).text, build="shipped")
    people(server)
    server.command("user", "disable", d.DISABLED)
    pairs, seen, began = certificates(t.folder), Counter(), time.monotonic()
    for number in range(12):
        configuration = reload_drawn(server, lambda: d.Remembering(rng, pairs))
        since, driver = server.log.stat().st_size, d.Asking(server)
        try:
            for n in range(125):
                if n % 40 == 0 and "pop_before_smtp" in configuration.text:
                    client = rng.choice(configuration.clients_drawn)
                    server.command("pop", "open", rng.choice(d.USERS), client)
                driver.run(d.draw_remembered(rng, configuration))
            judge(server, driver, since, number, configuration, seen)
            held = [rule["because"] for said in driver.answers() for rule in said["rules"] if rule["matched"]]
            seen.update(f"by {how}" for how in ("client_certificate", "pop_before_smtp") for because in held if how in because)
        finally:
            driver.close()
    print(f"{time.monotonic() - began:.1f} s: {dict(seen.most_common())}")
    if SEED == "1":
        assert min(seen[what] for what in ("limit.messages", "limit.recipients", "by client_certificate", "by pop_before_smtp")) > 0, seen


def expect_variety(seen):
    if SEED != "1":
        return
    for reason in ("relay.no-grant", "sender.not-yours", "header.not-yours", "header.blocked", "auth.required", "auth.not-here",
                   "auth.mechanism", "tls.required", "recipient.unknown", "limit.recipients", "limit.size", "sender.blocked",
                   "relay.grant-expired", "relay.tenant-network", "auth.app-network", "reputation.blocklist", "syntax.header", "accepted at RCPT", "accepted at DATA"):
        assert seen[reason] >= 3, f"too few {reason}: {seen}"


@options(seconds=150)
def test_differential(t):
    """The sanitized server, and fewer transactions."""
    compare(t, "sanitized", 6, 600)


@options(seconds=300)
def test_differential_ten_thousand(t):
    expect_variety(compare(t, "shipped", 20, 10000))
