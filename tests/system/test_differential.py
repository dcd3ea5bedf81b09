"""`postern why` says of thousands of random transactions what the running server does with them: verdict, codes, reason
and connector, over random configurations. POSTERN_SEED draws others; a failure names its seed."""
import json
import os
import random
import time
from collections import Counter

import differential as d
from harness import options, until
from world import ADATUM

SEED = os.environ.get("POSTERN_SEED", "1")


def people(server):
    for user in (*d.USERS, d.DISABLED):
        server.command("user", "add", user, "--password-stdin", input=d.PASSWORD + "\n")
    for alias, target in d.ALIASES.items():
        server.command("alias", "add", alias, target)
    for user, right in d.RIGHTS:
        server.command("user", "allow-sender", user, right)


def keeper_is_back(server):
    """A reload starts the keeper again; until it answers, a login gets 454."""
    try:
        c = server.session("submissions", d.FILTER, tls=True).ehlo()
        reply = c.cmd("AUTH PLAIN " + d.plain(d.USERS[0]))
        c.close()
        return reply.code != 454
    except d.Gone:
        return False


def compare(t, build, configurations, transactions):
    rng = random.Random(f"{SEED} {build}")
    server = t.server(d.Configuration(random.Random(0)).text, build=build)
    people(server)
    server.command("user", "disable", d.DISABLED)
    seen, total, began, connections = Counter(), 0, time.monotonic(), 0
    for number in range(configurations):
        while True:
            configuration = d.Configuration(rng)
            if server.reload(configuration.text)["event"] == "reloaded":
                break
        until(lambda: keeper_is_back(server), "the keeper answers again")
        since = server.log.stat().st_size
        driver = d.Driver(server)
        for _ in range(transactions // configurations):
            driver.run(d.draw_transaction(rng, configuration))
        found = d.differences(server, driver, since)
        total += len(driver.asked)
        connections += driver.connections
        seen.update(s["reason"] or f"accepted at {step}" for _, _, s, step in driver.asked)
        for c in driver.open.values():
            c.close()
        text = f"seed {SEED}, configuration {number}:\n{configuration.text}\n"
        kinds = Counter(f"{step}: server {a['reason'] or a['verdict']}, why {b['reason'] or b['verdict']}" for _, _, a, b, step in found)
        assert not found, f"{dict(kinds)}\n" + text + f"{len(found)} of {len(driver.asked)} differ\n" + "\n".join(
            json.dumps(row, indent=1) for row in found[:3])
    seconds = time.monotonic() - began
    print(f"{transactions} transactions, {total} verdicts, {connections} connections, {seconds:.1f} s: {dict(seen.most_common())}")
    return seen


def expect_variety(seen):
    if SEED != "1":
        return
    for reason in ("relay.no-grant", "sender.not-yours", "header.not-yours", "header.blocked", "auth.required", "auth.not-here",
                   "auth.mechanism", "tls.required", "recipient.unknown", "limit.recipients", "limit.size", "sender.blocked",
                   "relay.grant-expired", "syntax.header", "accepted at RCPT", "accepted at DATA"):
        assert seen[reason] >= 3, f"too few {reason}: {seen}"


@options(seconds=150)
def test_differential(t):
    """The sanitized server, and fewer transactions."""
    compare(t, "sanitized", 6, 600)


@options(seconds=300)
def test_differential_ten_thousand(t):
    expect_variety(compare(t, "shipped", 20, 10000))
