"""`postern check --live`: what it finds wrong with servers, certificates and names; that it sends no mail, and that it
ends in time."""
import json
import os
import socket
import subprocess
import time

from harness import tool
from test_parent import pair
from world import *

HERE = {"mail.proseware.com": {"A": ["8.8.4.9"], "TXT": ["v=spf1 a -all"]},
        "proseware.com": {"MX": ["10 mail.proseware.com"], "TXT": ["v=spf1 a:mail.proseware.com ip4:8.8.4.0/24 -all"]}}
SMART = {"smart.example": {"A": ["127.0.0.30"]}}


def looked(t, text, code, zones=None):
    """The findings of --live by id, and what was said meanwhile."""
    t.zones({**HERE, **(zones or {})})
    server = t.server(OURS + text, start=False)
    began = time.monotonic()
    done = server.run("check", "--live", "--json")
    assert time.monotonic() - began < 20
    assert done.returncode == code, done.stdout + done.stderr
    found = {}
    for finding in json.loads(done.stdout)["findings"]:
        if finding["id"].startswith("live."):
            found.setdefault(finding["id"], []).append(finding)
    return found, done.stderr


def route(via, more=""):
    return f'route "smart" {{ via = {{{via}}}  {more} }}\n'


def authority(folder, host):
    """A root of our own and a server's certificate by it: (root, (chain, key))."""
    root, root_key = pair(folder, "root", "Root")
    request, chain, key = folder / "host.csr", folder / "host.pem", folder / "host.key"
    extensions = folder / "host.ext"
    extensions.write_text(f"subjectAltName=DNS:{host}\n")
    run = lambda *words: subprocess.run([tool("openssl"), *words], check=True, capture_output=True)
    run("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={host}",
        "-keyout", key, "-out", request)
    run("x509", "-req", "-in", request, "-CA", root, "-CAkey", root_key, "-CAcreateserial", "-days", "30",
        "-extfile", extensions, "-out", chain)
    return root, (str(chain), str(key))


def login_file(t, text="relay:secret"):
    path = t.folder / "login"
    path.write_text(text + "\n")
    os.chmod(path, 0o600)
    return f'login = "file:{path}"'


def test_live_fine(t):
    sink = t.sink("127.0.0.30", 2525)
    found, said = looked(t, route('"smtp://smart.example:2525"', "tls = opportunistic"), 0, SMART)
    assert found == {}, found
    assert "smart.example [127.0.0.30]:2525: fine" in said, said
    assert not sink.messages and [c.split()[0] for c in sink.commands] == ["EHLO", "QUIT"], sink.commands


def test_live_login(t):
    root, chain = authority(t.folder, "smart.example")
    sink = t.sink("127.0.0.30", 587, certificate=chain, logins={"relay": "secret"})
    how = f'ca_file = "{root}"  ' + login_file(t)
    found, said = looked(t, route('"smtp://smart.example:587"', how), 0, SMART)
    assert found == {} and "verified, logged in" in said, (found, said)
    words = [c.split()[0] for c in sink.commands]
    assert words == ["EHLO", "STARTTLS", "EHLO", "AUTH", "QUIT"], words
    assert not sink.messages


def test_live_wrong_password(t):
    root, chain = authority(t.folder, "smart.example")
    t.sink("127.0.0.30", 587, certificate=chain, logins={"relay": "another"})
    how = f'ca_file = "{root}"  ' + login_file(t)
    found, _ = looked(t, route('"smtp://smart.example:587"', how), 1, SMART)
    (finding,) = found["live.login"]
    assert finding["severity"] == "error" and "535" in finding["text"] and finding["setting"] == "route smart: via"
    assert finding["line"] > 0 and "secret" not in json.dumps(found)


def test_live_certificate_of_nobody(t):
    """Not trusted: said so, and the password stays here."""
    chain = tuple(map(str, pair(t.folder, "own", "smart.example")))
    sink = t.sink("127.0.0.30", 587, certificate=chain, logins={"relay": "secret"})
    found, _ = looked(t, route('"smtp://smart.example:587"', login_file(t)), 1, SMART)
    assert "self-signed" in found["live.tls"][0]["text"], found
    assert not [c for c in sink.commands if c.startswith("AUTH")], sink.commands


def test_live_wrong_name(t):
    root, chain = authority(t.folder, "other.example")
    t.sink("127.0.0.30", 587, certificate=chain)
    found, _ = looked(t, route('"smtp://smart.example:587"', f'ca_file = "{root}"'), 1, SMART)
    assert "smart.example" in found["live.tls"][0]["text"] and "mismatch" in found["live.tls"][0]["text"], found


def test_live_no_starttls(t):
    t.sink("127.0.0.30", 587)
    found, _ = looked(t, route('"smtp://smart.example:587"'), 1, SMART)
    assert "STARTTLS" in found["live.starttls"][0]["text"], found


def test_live_unreachable(t):
    """A host that is down beside one that is there: both are told, and each for itself."""
    t.sink("127.0.0.30", 2525)
    zones = {**SMART, "both.example": {"A": ["127.0.0.30", "127.0.0.31"]}, "down.example": {"A": ["127.0.0.31"]}}
    vias = '"smtp://both.example:2525", "smtp://down.example:2525", "smtp://missing.example:2525"'
    found, _ = looked(t, route(vias, "tls = off"), 1, zones)
    by_host = {f["text"].split(" ")[0]: f for f in found["live.connect"]}
    assert by_host["both.example"]["severity"] == "warning" and "127.0.0.31" in by_host["both.example"]["text"], found
    assert by_host["down.example"]["severity"] == "error" and "refused" in by_host["down.example"]["text"], found
    assert "missing.example" in found["live.dns"][0]["text"], found


def test_live_silent(t):
    """Servers that do not speak, or not in words: ten seconds, all at once."""
    t.sink("127.0.0.30", 2525, replies={"banner": lambda a, s: __import__("sink").HANG})
    t.sink("127.0.0.31", 2525, replies={"EHLO": lambda a, s: __import__("sink").HANG})
    t.sink("127.0.0.32", 2525, replies={"banner": "554 5.7.1 Not you"})
    t.sink("127.0.0.33", 2525, replies={"banner": "hello there"})
    t.sink("127.0.0.34", 2525, replies={"EHLO": "550 No", "HELO": "550 No"})
    zones = {f"h{i}.example": {"A": [f"127.0.0.{i}"]} for i in range(30, 35)}
    vias = ", ".join(f'"smtp://h{i}.example:2525"' for i in range(30, 35))
    began = time.monotonic()
    found, _ = looked(t, route(vias, "tls = off"), 1, {**zones, "hang.example": "hang"})
    assert 9 < time.monotonic() - began < 16
    texts = {f["text"].split(" ")[0]: f for fs in found.values() for f in fs}
    assert "in time" in texts["h30.example"]["text"] and texts["h30.example"]["id"] == "live.banner", texts
    assert "in time" in texts["h31.example"]["text"] and texts["h31.example"]["id"] == "live.ehlo", texts
    assert "554" in texts["h32.example"]["text"] and texts["h32.example"]["id"] == "live.banner", texts
    assert "no sense" in texts["h33.example"]["text"], texts
    assert texts["h34.example"]["id"] == "live.ehlo", texts


def test_live_dns_hangs(t):
    found, _ = looked(t, route('"smtp://hang.example:25", "mx:nowhere.example"', "tls = off"), 1, {"hang.example": "hang"})
    assert len(found["live.dns"]) == 2, found


def test_live_domains(t):
    """Where our own domains' mail goes; one server for many domains is looked at once."""
    path = t.folder / "lmtp"
    lmtp = t.sink(str(path), None, lmtp=True)
    os.chmod(path, 0o777)
    smtp = t.sink("127.0.0.30", 2525)
    text = "".join(f'domain "d{i}.example" {{ deliver = "lmtp:unix:{path}" }}\n' for i in range(5))
    text += 'domain "e.example" { deliver = "smtp:127.0.0.30:2525" }\n'
    text += 'domain "f.example" { deliver = "lmtp:127.0.0.30:2424" }\n'
    found, said = looked(t, text, 1)
    assert lmtp.commands == [f"LHLO mail.proseware.com", "QUIT"] and smtp.connections == 1, (lmtp.commands, said)
    (finding,) = found["live.connect"]
    assert finding["setting"] == "domain f.example: deliver", found


def test_live_ourselves(t):
    t.sink("127.0.0.30", 2525, replies={"banner": "220 mail.proseware.com ESMTP"})
    found, _ = looked(t, route('"smtp://smart.example:2525"', "tls = off"), 1, SMART)
    assert "ourselves" in found["live.loop"][0]["text"] or "itself" in found["live.loop"][0]["text"], found


def test_live_own_certificates(t):
    used = pair(t.folder, "other", "other.example")
    os.chmod(used[1], 0o600)
    expired = t.folder / "expired.pem", t.folder / "expired.key"
    subprocess.run([tool("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3", "-subj", "/CN=x",
                    "-addext", "subjectAltName=DNS:box.example", "-keyout", expired[1], "-out", expired[0]],
                   check=True, capture_output=True)
    text = f'listener "internet" {{ bind = {{"127.0.0.1:2500"}} certificate = "{used[0]}" key = "{used[1]}" }}\n'
    text += f'certificate "box.example" {{ chain = "{expired[0]}" key = "{expired[1]}" }}\n'
    found, _ = looked(t, text, 0)
    assert "mail.proseware.com" in found["live.certificate"][0]["text"], found
    assert found["live.expiry"][0]["setting"] == "certificate box.example", found


def test_live_names(t):
    """A public address of ours without a name, one whose name leads elsewhere, and a hostname nobody knows."""
    from harness import need_root
    need_root()
    subprocess.run([tool("ip"), "address", "add", "8.8.4.4/32", "dev", "lo"], check=True)
    subprocess.run([tool("ip"), "address", "add", "8.8.4.5/32", "dev", "lo"], check=True)
    t.zones({"5.4.8.8.in-addr.arpa": {"PTR": ["elsewhere.example"]}, "elsewhere.example": {"A": ["192.0.2.1"]},
             "proseware.com": {"MX": ["10 mx.proseware.com"], "TXT": ["v=spf1 ip4:8.8.4.0/24 -all"]}, "mx.proseware.com": {"A": ["8.8.4.4"]}})
    server = t.server(OURS, start=False)
    done = server.run("check", "--live", "--json")
    found = [f for f in json.loads(done.stdout)["findings"] if f["id"].startswith("live.")]
    assert done.returncode == 0 and {f["id"] for f in found} == {"live.hostname", "live.ptr", "live.domain"}, found
    texts = " ".join(f["text"] for f in found)
    assert "8.8.4.4 has no name" in texts and "elsewhere.example, does not lead back" in texts, texts
    t.zones({"4.4.8.8.in-addr.arpa": {"PTR": ["mail.proseware.com"]}, "5.4.8.8.in-addr.arpa": {"PTR": ["mail.proseware.com"]},
             "mail.proseware.com": {"A": ["8.8.4.4", "8.8.4.5"]}, "proseware.com": HERE["proseware.com"]})
    done = server.run("check", "--live", "--json")
    assert not [f for f in json.loads(done.stdout)["findings"] if f["id"].startswith("live.")], done.stdout


def test_live_blocklists(t):
    """Our own address and our domain on lists; one that lists the world, and one that hardly anybody heeds, are nothing."""
    from harness import need_root
    from test_blocklist import list_zone
    need_root()
    subprocess.run([tool("ip"), "address", "add", "8.8.4.4/32", "dev", "lo"], check=True)
    own = "4.4.8.8"
    zones = {**HERE, f"{own}.in-addr.arpa": {"PTR": ["mail.proseware.com"]}, "mail.proseware.com": {"A": ["8.8.4.4"]},
             **list_zone("zen.spamhaus.org", [(own, ["127.0.0.3"])]),
             **list_zone("dnsbl-3.uceprotect.net", [(own, ["127.0.0.2"])]),
             **list_zone("bl.spamcop.net", [(own, ["127.0.0.2"])], world=True),
             "dbltest.com.dbl.spamhaus.org": {"A": ["127.0.1.2"]}, "proseware.com.dbl.spamhaus.org": {"A": ["127.0.1.104"]}}
    found, said = looked(t, 'route "out" { to = {"*"} via = {"smtp://127.0.0.30:2525"} source_address = "8.8.4.4" tls = off }\n', 1, zones)
    texts = {f["setting"]: f["text"] for f in found["live.blocklist"]}
    assert set(texts) == {"route out: source_address", "domain proseware.com"}, texts
    assert "8.8.4.4 is on the blocklist Spamhaus ZEN (zen.spamhaus.org): CSS" in texts["route out: source_address"], texts
    assert "abused for phishing" in texts["domain proseware.com"] and all(f["severity"] == "warning" for f in found["live.blocklist"])
    assert "blocklists: " in said, said


def test_live_our_domains(t):
    """A domain of ours whose mail leads elsewhere, one whose SPF does not let us send, one without, one that is not there."""
    from harness import need_root
    need_root()
    subprocess.run([tool("ip"), "address", "add", "8.8.4.4/32", "dev", "lo"], check=True)
    zones = {**HERE, "4.4.8.8.in-addr.arpa": {"PTR": ["mail.proseware.com"]}, "mail.proseware.com": {"A": ["8.8.4.4"], "TXT": ["v=spf1 a -all"]},
             "elsewhere.example.com": {"MX": ["10 mx.example.net"], "TXT": ["v=spf1 ip4:8.8.4.4 -all"]}, "mx.example.net": {"A": ["8.8.8.9"]},
             "forbids.example.com": {"MX": ["10 mail.proseware.com"], "TXT": ["v=spf1 ip4:192.0.2.1 -all"]},
             "silent.example.com": {"MX": ["10 mail.proseware.com"]}}
    text = "".join(f'domain "{name}.example.com" {{}}\n' for name in ("elsewhere", "forbids", "silent", "gone"))
    found, _ = looked(t, text, 0, zones)
    told = {(f["id"], f["setting"].split()[1].split(".")[0]): f["text"] for i in ("live.domain", "live.spf") for f in found[i]}
    assert set(told) == {("live.domain", "elsewhere"), ("live.spf", "forbids"), ("live.spf", "silent"), ("live.domain", "gone")}, told
    assert "mail.proseware.com" in told["live.domain", "elsewhere"] and "verify.mx" in told["live.domain", "elsewhere"], told
    assert "8.8.4.4" in told["live.spf", "forbids"] and "spf.not-covered" in told["live.spf", "forbids"], told
    assert "spf.none" in told["live.spf", "silent"] and "domain.none" in told["live.domain", "gone"], told


def test_live_no_dns(t):
    t.zones(HERE).silent = True
    server = t.server(OURS, start=False)
    done = server.run("check", "--live")
    assert done.returncode == 0 and "DNS did not answer" in done.stdout, done.stdout + done.stderr
