"""postern check: what is closed passes, what is open does not, in whatever pieces it comes."""
import json

from world import *


def check(t, text, good=False):
    """The server's words about a configuration, which must be refused (or not)."""
    server = t.server(OURS + 'listener "internet" { bind = {"127.0.0.1:0"} }\n' + text, start=False)
    done = server.run("check")
    said = done.stdout + done.stderr
    assert (done.returncode == 0) == good, f"exit {done.returncode}:\n{said}\n{text}"
    return said


def grant(*clients, more='note = "x"'):
    listed = ", ".join(f'"{c}"' for c in clients)
    return f'connector "c" {{ clients = {{{listed}}}  may_relay_to = {{"*"}}  senders = any  {more} }}\n'


def test_check_open_networks(t):
    for clients in (["0.0.0.0/0"], ["::/0"], ["0.0.0.0/1", "128.0.0.0/1"], ["::/1", "8000::/1"],
                    [f"{4 * n}.0.0.0/6" for n in range(64)], ["2000::/3"], ["::ffff:0:0/96"], ["::ffff:0.0.0.0/97", "::ffff:128.0.0.0/97"]):
        said = check(t, grant(*clients))
        assert "error" in said and ("public" in said or "Internet" in said), said


def test_check_pieces_over_connectors(t):
    parts = "".join(grant(f"{64 * n}.0.0.0/2").replace('"c"', f'"c{n}"') for n in range(4))
    check(t, parts)
    check(t, grant("0.0.0.0/0", more='note = "x"  except = {"192.0.2.0/24"}'))
    check(t, grant("0.0.0.0/0", more='note = "x"  senders = {"a@proseware.com"}').replace("senders = any  ", ""))


def test_check_mistakes(t):
    said = check(t, grant("192.0.2.1/24"))
    assert "192.0.2.0/24" in said, said
    said = check(t, grant("192.0.2.0/24", more=""))
    assert "note" in said, said
    said = check(t, grant("192.0.2.0/24") + grant("198.51.100.0/24"))
    assert "postern.conf:" in said
    assert "expected" in check(t, "queue { give_up = yesterday }\n")
    assert "workerz" in check(t, "workerz = 3\n")
    assert "not built" in check(t, 'counters = "redis://127.0.0.1"\n')


def test_check_wide_domains_and_peers(t):
    server = t.server('domain "*" {}\nlistener "internet" { bind = {"127.0.0.1:0"} }\n', start=False)
    assert server.run("check").returncode != 0
    for setting in ("proxy_protocol_from", "xclient_from"):
        text = OURS + f'listener "internet" {{ bind = {{"127.0.0.1:0"}}  {setting} = {{"10.0.0.0/8"}} }}\n'
        server = t.server(text, start=False)
        done = server.run("check")
        assert done.returncode != 0, done


def test_check_good(t):
    said = check(t, grant("192.0.2.0/24", "10.0.0.0/8"), good=True)
    assert "192.0.2.0/24" in said or "connector c" in said or "c" in said
    assert "lost client address" in said and "proxy_protocol_from" in said and "grants list" in said, said
    assert "lost client address" not in check(t, "", good=True), "nobody is granted anything by address"
    said = check(t, 'greylist = on\n', good=True)
    assert "yes, with a good reputation" in said and "no ()" not in said, said
    t.server("", start=False)
    server = t.server(CASES, start=False)
    whole = json.loads(server.command("check", "--json"))
    assert whole
    matrix = server.command("check")
    assert "office" in matrix and "people" in matrix, matrix


def test_check_warns(t):
    said = check(t, grant("8.0.0.0/15"), good=True)
    assert "warning" in said, said
    said = check(t, grant("192.0.2.0/24", more='note = "x"  expires = "2020-01-01"'), good=True)
    assert "warning" in said and "expire" in said, said


def test_empty_configuration_relays_nothing(t):
    server = t.server("", start=False)
    said = server.run("check")
    assert said.returncode == 0, said
    import os

    if os.getuid() == 0:
        server.start()
        assert "ready" in server.log.read_text()
