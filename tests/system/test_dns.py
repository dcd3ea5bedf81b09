"""`postern dns` against a name server on loopback: a good domain, of which nothing is to be said, and each fault by
itself, made by changing one thing of it. Servers have public addresses, in a network of the test's own."""
import functools
import hashlib
import http.server
import json
import ssl
import subprocess
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from dnssec import SignedDns
from harness import need_root, options, tool
from sink import CLOSE, HANG
from test_parent import pair
from world import *

MX1, MX2, WEB, NS1, NS2 = "8.8.4.10", "8.8.4.11", "8.8.4.12", "8.8.4.13", "8.8.4.14"
HOSTS = {"mx1": MX1, "mx2": MX2, "mta-sts": WEB, "ns1": NS1, "ns2": NS2}
SOA = "ns1.contoso.com hostmaster.contoso.com 1 14400 3600 1209600 300"
POLICY = "version: STSv1\r\nmode: enforce\r\nmx: mx1.contoso.com\r\nmx: mx2.contoso.com\r\nmax_age: 604800\r\n"


@functools.cache
def rsa_key(bits, number=1):
    done = subprocess.run(f"openssl genrsa {bits} 2>/dev/null | openssl rsa -pubout -outform DER 2>/dev/null | base64 -w0",
                          shell=True, check=True, capture_output=True, text=True)
    return done.stdout


def good():
    zone = {
        "contoso.com": {"SOA": [SOA], "NS": ["ns1.contoso.com", "ns2.contoso.com"],
                        "MX": ["10 mx1.contoso.com", "20 mx2.contoso.com"], "TXT": ["v=spf1 mx ip4:8.8.4.20 -all", "other=text"]},
        "_dmarc.contoso.com": {"TXT": ["v=DMARC1; p=reject; rua=mailto:dmarc@contoso.com"]},
        "_mta-sts.contoso.com": {"TXT": ["v=STSv1; id=20261128"]},
        "_smtp._tls.contoso.com": {"TXT": ["v=TLSRPTv1; rua=mailto:tls@contoso.com"]},
        "default._bimi.contoso.com": {"TXT": ["v=BIMI1; l=https://contoso.com/logo.svg; a=https://contoso.com/vmc.pem"]},
        "s1._domainkey.contoso.com": {"TXT": ["v=DKIM1; k=rsa; p=" + rsa_key(2048)]},
    }
    for name, address in HOSTS.items():
        zone[f"{name}.contoso.com"] = {"A": [address]}
        zone[reverse(address)] = {"PTR": [f"{name}.contoso.com"]}
    return zone


def reverse(address):
    return ".".join(reversed(address.split("."))) + ".in-addr.arpa"


def dns(t, *words, code=None, domain="contoso.com"):
    """What was found, and the findings by id."""
    began = time.monotonic()
    done = subprocess.run([f"{t.builds['sanitized']}/src/bin/postern", "dns", domain, "--dns", t.dns.where, "--json", *words],
                          text=True, capture_output=True, timeout=60)
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
    assert code is None or done.returncode == code, done
    assert time.monotonic() - began < 40
    report = json.loads(done.stdout)
    found = {}
    for finding in report["findings"]:
        found.setdefault(finding["id"], []).append(finding)
    wrong = {i for i, fs in found.items() if any(f["severity"] != "info" for f in fs)}
    assert done.returncode == (1 if wrong else 0), done
    return report, found, wrong


class World:
    """The good domain, to be spoiled."""

    def __init__(self, t, domain="contoso.com"):
        self.t, self.zone = t, good()
        t.zones({})

    def look(self, *words, **how):
        self.t.dns.records = self.zone
        return dns(self.t, "--no-fetch", "--selector", "s1", *words, **how)

    def wrong(self, *words, **how):
        """Only the ids of what is wrong."""
        return self.look(*words, **how)[2]


def spoil(t, changes, expected, *words, also=()):
    """These changes ({name: {type: values} or None}) to the good domain lead to these findings, and to nothing else but
    what `also` names."""
    w = World(t)
    for name, records in changes.items():
        if isinstance(records, dict):
            w.zone[name] = {**w.zone.get(name, {}), **records} if isinstance(w.zone.get(name), dict) else records
            w.zone[name] = {k: v for k, v in w.zone[name].items() if v}
        elif records is None:
            w.zone.pop(name, None)
        else:
            w.zone[name] = records
    report, found, wrong = w.look(*words)
    expected = {expected} if isinstance(expected, str) else set(expected)
    assert expected <= wrong and wrong <= expected | set(also), (changes, wrong, found)
    return report, found


# --- what is well ------------------------------------------------------------------------------------------------


class Web:
    """The policy's web server."""

    def __init__(self, t, certificate, body=POLICY, status=200, address=WEB, port=443):
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                web.asked.append((self.path, self.headers["Host"]))
                self.send_response(web.status)
                if web.status // 100 == 3:
                    self.send_header("Location", "https://elsewhere.example/")
                self.end_headers()
                self.wfile.write(web.body.encode())

            def log_message(self, *_):
                pass

        self.body, self.status, self.asked = body, status, []
        self.server = http.server.ThreadingHTTPServer((address, port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        t.closers.append(self.server.shutdown)
        self.port = self.server.server_address[1]


def addresses(*more):
    need_root()
    for address in (*HOSTS.values(), "8.8.4.20", *more):
        subprocess.run([tool("ip"), "address", "add", f"{address}/32", "dev", "lo"], check=True)


class Authority:
    def __init__(self, folder):
        self.folder = folder
        self.root, self.key = pair(folder, "root", "Root")

    def certificate(self, host, days=30):
        request, chain, key, extensions = (self.folder / f"{host}.{e}" for e in ("csr", "pem", "key", "ext"))
        extensions.write_text(f"subjectAltName=DNS:{host}\n")
        run = lambda *words: subprocess.run([tool("openssl"), *words], check=True, capture_output=True)
        run("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={host}",
            "-keyout", key, "-out", request)
        run("x509", "-req", "-in", request, "-CA", self.root, "-CAkey", self.key, "-CAcreateserial", "-days", str(days),
            "-extfile", extensions, "-out", chain)
        return str(chain), str(key)


def key_digest(chain):
    key = x509.load_pem_x509_certificate(open(chain, "rb").read()).public_key()
    return hashlib.sha256(key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)).hexdigest()


@options(seconds=120)
def test_dns_good(t):
    """Everything there is, servers and policy asked as well: not one warning."""
    addresses()
    w = World(t)
    authority = Authority(t.folder)
    for host, address in (("mx1", MX1), ("mx2", MX2)):
        chain = authority.certificate(f"{host}.contoso.com")
        sink = t.sink(address, 25, certificate=chain, extensions=("PIPELINING", "STARTTLS"))
        w.zone[f"_25._tcp.{host}.contoso.com"] = {"TLSA": ["3 1 1 " + key_digest(chain[0])]}
        sink.asked = chain
    web = Web(t, authority.certificate("mta-sts.contoso.com"))
    t.dns.records = w.zone
    report, found, wrong = dns(t, "--connect", "--ca", authority.root, "--selector", "s1", code=0)
    assert not wrong, (wrong, found)
    assert {"mx.answers", "mx.certificate", "dane.matches", "dane.found", "sts.enforce", "tlsrpt.found", "bimi.found", "dkim.found",
            "dmarc.policy", "ptr.fine", "spf.all", "ns.found", "dnssec.unknown"} <= set(found), found.keys()
    assert len(found["mx.answers"]) == 2 and len(found["dane.matches"]) == 2
    assert web.asked == [("/.well-known/mta-sts.txt", "mta-sts.contoso.com")], web.asked
    assert not sink.messages and [c.split(":")[0].split()[0] for c in sink.commands][-2:] != ["DATA"], sink.commands
    assert any(c.startswith("RCPT TO:<postmaster@contoso.com>") for c in sink.commands), sink.commands
    assert any(c.startswith("MAIL FROM:<>") for c in sink.commands) and "DATA" not in sink.commands
    assert [h["host"] for h in report["mx"]] == ["mx1.contoso.com", "mx2.contoso.com"]
    assert report["spf"]["lookups"] == 1 and report["dmarc"]["policy"] == "reject" and report["mta_sts"]["mode"] == "enforce"


def test_dns_good_text(t):
    w = World(t)
    t.dns.records = w.zone
    done = subprocess.run([f"{t.builds['sanitized']}/src/bin/postern", "dns", "joe@Contoso.COM.", "--dns", t.dns.where, "--no-fetch"],
                          text=True, capture_output=True)
    assert done.returncode == 0 and "Nothing wrong was found." in done.stdout and "10 mx1.contoso.com [8.8.4.10]" in done.stdout, done
    assert "s1: rsa, 2048 bits" in done.stdout  # a common name
    for line in done.stdout.splitlines():
        assert all(" " <= c for c in line)


# --- the zone -----------------------------------------------------------------------------------------------------


def test_dns_no_domain(t):
    t.zones({})
    report, found, wrong = dns(t, code=1, domain="nowhere.example")
    assert wrong == {"domain.none"} and not report["exists"], found


@options(seconds=240)
def test_dns_zone(t):
    spoil(t, {"contoso.com": {"SOA": ["ns1.contoso.com h.contoso.com 1 14400 3600 86400 300"]}}, "soa.times")
    spoil(t, {"contoso.com": {"SOA": ["ns1.contoso.com h.contoso.com 1 14400 14400 1209600 300"]}}, "soa.times")
    spoil(t, {"contoso.com": {"SOA": ["ns1.contoso.com h.contoso.com 1 14400 3600 1209600 259200"]}}, "soa.times")
    spoil(t, {"contoso.com": {"NS": ["ns1.contoso.com"]}}, "ns.single")
    spoil(t, {"ns2.contoso.com": None}, "ns.no-address")
    spoil(t, {"ns2.contoso.com": {"A": ["10.0.0.1"]}}, "ns.private")
    spoil(t, {"contoso.com": {"NS": ["ns1.sedoparking.com", "ns2.sedoparking.com"]}, "ns1.sedoparking.com": {"A": [NS1]},
              "ns2.sedoparking.com": {"A": [NS2]}}, "domain.parked")
    spoil(t, {"contoso.com": {"NS": []}}, "ns.none")
    wild = "postern-has-not-made-this-name.contoso.com"
    spoil(t, {wild: {"MX": ["10 mx1.contoso.com"]}}, "wildcard.mx")
    spoil(t, {wild: {"TXT": ["v=spf1 -all"]}}, "wildcard.txt")


# --- MX -------------------------------------------------------------------------------------------------------------


@options(seconds=240)
def test_dns_mx(t):
    spoil(t, {"contoso.com": {"MX": []}}, "mx.nowhere", also=("spf.void", "dmarc.report-nowhere"))
    spoil(t, {"contoso.com": {"MX": [], "A": [WEB]}}, "mx.none", also=("spf.void",))
    spoil(t, {"contoso.com": {"MX": ["0 .", "10 mx1.contoso.com"]}}, "mx.null-mixed")
    spoil(t, {"mx2.contoso.com": {"A": [], "CNAME": ["mx1.contoso.com"]}}, {"mx.cname", "mx.same-address"})
    spoil(t, {"mx2.contoso.com": None}, "mx.no-address")
    spoil(t, {"contoso.com": {"MX": ["10 mx1.contoso.com", "20 8.8.4.11"]}}, "mx.literal")
    spoil(t, {"contoso.com": {"MX": ["10 mx1.contoso.com", "20 mx_2.contoso.com"]}}, "mx.name")
    spoil(t, {"contoso.com": {"MX": ["10 mx1.contoso.com", "20 localhost"]}}, "mx.name", also=("spf.private",))
    spoil(t, {"mx2.contoso.com": {"A": ["192.168.1.2"]}}, "mx.private", also=("spf.private",))
    spoil(t, {"mx2.contoso.com": {"A": ["127.0.0.1"]}}, "mx.private", also=("spf.private",))
    spoil(t, {"mx2.contoso.com": {"A": ["240.0.0.1"]}}, "mx.private", also=("spf.private",))
    spoil(t, {"contoso.com": {"MX": ["10 mx1.contoso.com", "20 mx1.contoso.com"]}}, {"mx.duplicate", "mx.same-address"})
    spoil(t, {"mx2.contoso.com": {"A": [MX1]}}, "mx.same-address")
    report, found = spoil(t, {"contoso.com": {"MX": ["10 mx1.contoso.com"]}}, set())
    assert "mx.single" in found and "mx.no-ipv6" in found
    spoil(t, {"mx1.contoso.com": {"A": [], "AAAA": ["2606:4700::10"]}, "mx2.contoso.com": {"A": [], "AAAA": ["2606:4700::11"]}},
          "mx.no-ipv4", also=("ptr.none",))
    spoil(t, {"mx2.contoso.com": "servfail"}, "mx.failed", also=("spf.failed",))


def test_dns_null_mx(t):
    report, found = spoil(t, {"contoso.com": {"MX": ["0 ."], "TXT": ["v=spf1 -all"]}}, set(), also=("dmarc.report-nowhere",))
    assert report["null_mx"] and "mx.null" in found and "domain.no-mail" in found, found
    _, found = spoil(t, {"contoso.com": {"MX": ["0 ."], "TXT": []}, "_dmarc.contoso.com": None}, {"spf.none", "dmarc.none"}, also=("bimi.policy",))
    assert "v=spf1 -all" in found["spf.none"][0]["fix"][0] and "p=reject" in found["dmarc.none"][0]["fix"][0], found


@options(seconds=240)
def test_dns_names(t):
    spoil(t, {reverse(MX2): None}, "ptr.none")
    spoil(t, {reverse(MX2): {"PTR": ["elsewhere.example"]}, "elsewhere.example": {"A": ["8.8.8.8"]}}, "ptr.mismatch")
    spoil(t, {reverse(MX2): {"PTR": ["nowhere.example"]}}, "ptr.mismatch")
    for name in ("8-8-4-11.pool.example.net", "host11.dsl.example.net", "ip-08080-40b.static.example.net", "0808040b.example.net",
                 "11.4.8.8.example.net"):
        spoil(t, {reverse(MX2): {"PTR": [name]}, name: {"A": [MX2]}}, "ptr.generic" if name[:6] != "ip-080" else set(),
              also=("ptr.generic",))
    spoil(t, {reverse(MX2): "servfail"}, "ptr.failed")


# --- the servers -----------------------------------------------------------------------------------------------------


def connected(t, expected, replies=None, also=(), **how):
    w = World(t)
    one = t.sink(MX1, 25, replies=replies, **how)
    t.dns.records = w.zone
    _, found, wrong = dns(t, "--connect", "--no-fetch", "--selector", "s1")
    one.close()
    assert expected <= wrong and wrong <= expected | {"mx.no-tls", "mx.unreachable"} | set(also), (wrong, found)
    return found


@options(seconds=180)
def test_dns_connect(t):
    """mx2 is away: a warning beside one that is there, an error with one that is not."""
    addresses()
    found = connected(t, {"mx.unreachable"})
    (away,) = found["mx.unreachable"]
    assert away["severity"] == "warning" and MX2 in away["about"] and "refused" in away["seen"], away
    found = connected(t, {"mx.greeting"}, {"banner": "554 5.7.1 Not for you"})
    assert found["mx.greeting"][0]["severity"] == "error" and "Not for you" in found["mx.greeting"][0]["seen"], found["mx.greeting"]
    found = connected(t, {"mx.stale"}, {"RCPT": "550 5.7.1 Relaying denied"})
    assert found["mx.stale"][0]["severity"] == "error" and "Relaying denied" in found["mx.stale"][0]["seen"]
    connected(t, {"mx.stale"}, {"RCPT": "554 5.7.1 <postmaster@contoso.com>: Relay access denied"})
    connected(t, {"mx.postmaster"}, {"RCPT": "550 5.1.1 <postmaster@contoso.com>: Recipient address rejected: User unknown"})
    connected(t, {"mx.refuses"}, {"RCPT": "550 5.7.1 Service unavailable; client host blocked using zen.spamhaus.org"})
    found = connected(t, set(), {"RCPT": "450 4.2.0 Greylisted, try again later"})
    assert "mx.later" in found
    w = World(t)
    w.zone["mx2.contoso.com"]["AAAA"] = ["2606:4700::11"]  # no IPv6 leads out of here
    w.zone["contoso.com"]["MX"] = ["10 mx2.contoso.com"]
    w.zone["1.1.0.0." + "0." * 20 + "0.0.7.4.6.0.6.2.ip6.arpa"] = {"PTR": ["mx2.contoso.com"]}
    sink = t.sink(MX2, 25)
    t.dns.records = w.zone
    _, found, wrong = dns(t, "--connect", "--no-fetch", "--selector", "s1")
    sink.close()
    assert found["mx.no-way"][0]["skipped"] and "2606:4700::11" in found["mx.no-way"][0]["about"] and wrong == {"mx.no-tls"}, (wrong, found)
    connected(t, {"mx.greeting"}, {"EHLO": CLOSE, "HELO": CLOSE}, also=("mx.unreachable",))


@options(seconds=120)
def test_dns_connect_tls(t):
    """A certificate of nobody's, one for another name, a handshake that fails, and what an enforced policy makes of it."""
    addresses()
    w = World(t)
    w.zone["contoso.com"]["MX"] = ["10 mx1.contoso.com"]
    t.dns.records = w.zone
    own = tuple(map(str, pair(t.folder, "own", "mx1.contoso.com")))
    authority = Authority(t.folder)

    def look(certificate, *words, replies=None):
        sink = t.sink(MX1, 25, certificate=certificate, extensions=("STARTTLS",), replies=replies or {})
        try:
            return dns(t, "--connect", "--selector", "s1", "--ca", authority.root, *words)
        finally:
            sink.close()

    _, found, wrong = look(own, "--no-fetch")
    assert wrong == {"mx.certificate"} and found["mx.certificate"][0]["severity"] == "warning", found
    _, found, wrong = look(authority.certificate("other.contoso.com"), "--no-fetch")
    assert wrong == {"mx.certificate"} and "mismatch" in found["mx.certificate"][0]["seen"], found
    web = Web(t, authority.certificate("mta-sts.contoso.com"), body=POLICY)
    _, found, wrong = look(own)
    assert wrong == {"mx.certificate"} and found["mx.certificate"][0]["severity"] == "error", found
    _, found, wrong = look(own, "--no-fetch", replies={"STARTTLS": "454 4.7.0 TLS not available"})
    assert wrong == {"mx.tls-fails"}, found
    assert web.asked


@options(seconds=90)
def test_dns_connect_silent(t):
    """A server that says nothing, and a name server that says nothing about one name: all of it ends."""
    addresses()
    w = World(t)
    w.zone["s1._domainkey.contoso.com"] = "hang"
    t.sink(MX1, 25, replies={"banner": HANG})
    t.dns.records = w.zone
    began = time.monotonic()
    _, found, wrong = dns(t, "--connect", "--no-fetch", "--selector", "s1", "--timeout", "3s")
    assert time.monotonic() - began < 15
    assert "mx.greeting" in wrong or "mx.unreachable" in wrong, wrong
    assert "dkim.failed" in wrong and "time.over" in wrong, found


@options(seconds=120)
def test_dns_dane(t):
    addresses()
    authority = Authority(t.folder)
    chain = authority.certificate("mx1.contoso.com")
    t.sink(MX1, 25, certificate=chain, extensions=("STARTTLS",))
    t.sink(MX2, 25)
    look = lambda zone: (setattr(t.dns, "records", zone), dns(t, "--connect", "--no-fetch", "--selector", "s1", "--ca", authority.root))[1]
    w = World(t)
    w.zone["_25._tcp.mx1.contoso.com"] = {"TLSA": ["3 1 1 " + "00" * 32]}
    _, found, wrong = look(w.zone)
    assert wrong == {"dane.mismatch", "dane.partial", "mx.no-tls"}, (wrong, found)
    whole = hashlib.sha512(x509.load_pem_x509_certificate(open(chain[0], "rb").read()).public_bytes(serialization.Encoding.DER)).hexdigest()
    w.zone["_25._tcp.mx1.contoso.com"] = {"TLSA": ["3 1 1 " + "00" * 32, "3 0 2 " + whole, "1 1 1 " + "00" * 32]}
    w.zone["_25._tcp.mx2.contoso.com"] = {"TLSA": ["3 1 1 " + "00" * 32]}
    _, found, wrong = look(w.zone)
    assert wrong == {"dane.unusable", "dane.no-tls", "mx.no-tls"}, (wrong, found)
    w.zone["_25._tcp.mx1.contoso.com"] = {"TLSA": ["0 0 1 " + "00" * 32]}
    del w.zone["_25._tcp.mx2.contoso.com"]
    _, found, wrong = look(w.zone)
    assert wrong == {"dane.unusable", "dane.none-usable", "dane.partial", "mx.no-tls"}, (wrong, found)


# --- SPF ---------------------------------------------------------------------------------------------------------------


def spf(t, record, expected, also=(), **zones):
    """A record of contoso.com; zones: TXT records of includes, as name_example="..."."""
    changes = {name.replace("_", ".", 1): {"TXT": [text] if isinstance(text, str) else text} for name, text in zones.items()}
    texts = record if isinstance(record, list) else [record]
    return spoil(t, {"contoso.com": {"TXT": texts}, **changes}, expected, also=also)


@options(seconds=240)
def test_dns_spf(t):
    spf(t, ["nothing of SPF"], "spf.none")
    spf(t, ["v=spf1 mx -all", "v=spf1 a -all"], "spf.several")
    _, found = spf(t, "v=spf1 mx ipv4:8.8.4.1 -all", "spf.syntax")
    assert "term 2" in found["spf.syntax"][0]["seen"] and "ipv4:8.8.4.1" in found["spf.syntax"][0]["seen"], found
    spf(t, "v=spf1 mx +all", "spf.plus-all")
    spf(t, "v=spf1 mx all", "spf.plus-all")
    spf(t, "v=spf1 mx ?all", "spf.neutral-all")
    spf(t, "v=spf1 mx", "spf.no-all")
    spf(t, "v=spf1 -all mx", "spf.after-all")
    spf(t, "v=spf1 mx redirect=a.example -all", "spf.redirect-ignored", a_example="v=spf1 -all")
    spf(t, "v=spf1 mx mx -all", "spf.duplicate")
    spf(t, "v=spf1 ptr -all", "spf.ptr")
    report, found = spf(t, "v=spf1 -all", set())
    assert "spf.sends-nothing" in found
    spf(t, "v=spf1 ip4:8.0.0.0/8 -all", "spf.wide")
    spf(t, "v=spf1 ip6:2600::/20 -all", "spf.wide")
    spf(t, "v=spf1 ip4:192.168.1.2 mx -all", "spf.private")
    spf(t, "v=spf1 a:nowhere.contoso.com mx -all", "spf.void")
    spf(t, "v=spf1 a:n1.contoso.com a:n2.contoso.com exists:n3.contoso.com -all", {"spf.void", "spf.voids"})
    spf(t, "v=spf1 include:a.example -all", "spf.include-none", a_example="no SPF")
    spf(t, "v=spf1 include:a.example -all", "spf.include-several", a_example=["v=spf1 -all", "v=spf1 ~all"])
    spf(t, "v=spf1 include:a.example -all", "spf.syntax", a_example="v=spf1 ip4:1.2.3 -all")
    spf(t, "v=spf1 include:a.example -all", "spf.loop", a_example="v=spf1 include:contoso.com -all")
    spf(t, "v=spf1 include:a.example -all", "spf.wide", a_example="v=spf1 ip4:8.0.0.0/9 -all")
    spf(t, "v=spf1 mx -all " + " ".join(f"x{i}={'y' * 40}" for i in range(12)), "spf.long", also=("spf.after-all",))
    spoil(t, {"contoso.com": {"TXT": ["v=spf1 include:a.example -all"]}, "a.example": "servfail"}, "spf.failed")
    spoil(t, {"contoso.com": {"TXT": ["v=spf1 mx:many.example -all"]}, "many.example": {"MX": [f"10 m{i}.example" for i in range(11)]}},
          "spf.mx-many")


def test_dns_spf_limits(t):
    nine = " ".join(f"exists:e{i}.example" for i in range(9))
    there = {f"e{i}.example": {"A": ["127.0.0.2"]} for i in range(12)}
    report, _ = spoil(t, {"contoso.com": {"TXT": [f"v=spf1 {nine} -all"]}, **there}, "spf.lookups-near")
    assert report["spf"]["lookups"] == 9
    report, found = spoil(t, {"contoso.com": {"TXT": ["v=spf1 include:a.example include:b.example mx -all"]},
                              "a.example": {"TXT": [f"v=spf1 {nine} ~all"]}, "b.example": {"TXT": ["v=spf1 ip4:8.8.4.1 ~all"]}, **there},
                          "spf.lookups")
    assert report["spf"]["lookups"] == 12 and len(report["spf"]["tree"]) == 12
    assert report["spf"]["tree"][1]["depth"] == 2


# --- DKIM, DMARC, the rest ----------------------------------------------------------------------------------------------


@options(seconds=240)
def test_dns_dkim(t):
    name = "s1._domainkey.contoso.com"
    key = lambda text: {name: {"TXT": [text] if isinstance(text, str) else text}}
    spoil(t, {name: None}, "dkim.missing")
    _, found = spoil(t, key("v=DKIM1; p=" + rsa_key(1024)), "dkim.short")
    assert found["dkim.short"][0]["severity"] == "warning"
    _, found = spoil(t, key("v=DKIM1; p=" + rsa_key(768)), "dkim.short")
    assert found["dkim.short"][0]["severity"] == "error"
    good_key = rsa_key(2048)
    spoil(t, key("v=DKIM1; p="), "dkim.revoked")
    spoil(t, key("v=DKIM1; t=y; p=" + good_key), "dkim.testing")
    spoil(t, key("v=DKIM1; h=sha1; p=" + good_key), "dkim.sha1")
    spoil(t, key("v=DKIM1; s=tlsrpt; p=" + good_key), "dkim.not-mail")
    spoil(t, key("v=DKIM1; k=rsa; p=AAAA"), "dkim.syntax")
    spoil(t, key("v=DKIM1; k=rsa"), "dkim.syntax")
    spoil(t, key(["v=DKIM1; p=" + good_key, "v=DKIM1; p=" + rsa_key(2048, 2)]), "dkim.several")
    spoil(t, key("v=DKIM1; p=" + rsa_key(4224)), "dkim.long")
    report, found = spoil(t, {"google._domainkey.contoso.com": {"TXT": ["v=DKIM1; p=" + good_key]},
                              "s2._domainkey.contoso.com": {"TXT": ["v=DKIM1; p="]}}, set())
    assert {s["selector"] for s in report["dkim"]} == {"s1", "s2", "google"} and "dkim.revoked" in found
    w = World(t)
    del w.zone[name]
    t.dns.records = w.zone
    _, found, wrong = dns(t, "--no-fetch")
    assert not wrong and found["dkim.unknown"][0]["skipped"], found


@options(seconds=240)
def test_dns_dmarc(t):
    dmarc = lambda text: {"_dmarc.contoso.com": {"TXT": [text] if isinstance(text, str) else text}}
    spoil(t, {"_dmarc.contoso.com": None}, "dmarc.none", also=("bimi.policy",))
    spoil(t, dmarc(["v=DMARC1; p=reject", "v=DMARC1; p=none"]), "dmarc.several", also=("bimi.policy",))
    _, found = spoil(t, dmarc("v=DMARC1; p=rejekt"), "dmarc.syntax", also=("bimi.policy",))
    assert found["dmarc.syntax"][0]["severity"] == "error"
    rua = "; rua=mailto:a@contoso.com"
    spoil(t, dmarc("v=DMARC1; p=reject; pct=many" + rua), "dmarc.syntax")
    spoil(t, dmarc("v=DMARC1; p=none" + rua), "dmarc.policy-none", also=("bimi.policy",))
    spoil(t, dmarc("v=DMARC1; p=reject; sp=none" + rua), "dmarc.subdomains", also=("bimi.policy",))
    spoil(t, dmarc("v=DMARC1; p=reject; pct=10" + rua), "dmarc.percent", also=("bimi.policy",))
    spoil(t, dmarc("v=DMARC1; p=reject; t=y" + rua), "dmarc.testing")
    spoil(t, dmarc("v=DMARC1; p=reject"), "dmarc.no-reports")
    external = dmarc("v=DMARC1; p=reject; rua=mailto:a@reports.example.net")
    mx = {"reports.example.net": {"MX": ["10 mx1.contoso.com"]}}
    spoil(t, {**external, **mx}, "dmarc.external")
    _, found = spoil(t, {**external, **mx, "contoso.com._report._dmarc.reports.example.net": {"TXT": ["v=DMARC1"]}}, set())
    assert "dmarc.external-fine" in found
    spoil(t, {**external, "reports.example.net": {"MX": ["0 ."]}}, {"dmarc.external", "dmarc.report-nowhere"})
    w = World(t)
    w.zone["mail.contoso.com"] = {"MX": ["10 mx1.contoso.com", "20 mx2.contoso.com"], "TXT": ["v=spf1 mx -all"]}
    t.dns.records = w.zone
    report, found, wrong = dns(t, "--no-fetch", domain="mail.contoso.com")
    assert not wrong and report["dmarc"]["domain"] == "contoso.com", (wrong, report)
    assert found["bimi.found"][0]["about"] == "default._bimi.contoso.com", found["bimi.found"]


@options(seconds=240)
def test_dns_records(t):
    spoil(t, {"_smtp._tls.contoso.com": None}, "tlsrpt.none")
    spoil(t, {"_smtp._tls.contoso.com": {"TXT": ["v=TLSRPTv1; rua=a@contoso.com"]}}, "tlsrpt.syntax")
    spoil(t, {"_smtp._tls.contoso.com": {"TXT": ["v=TLSRPTv1; rua=mailto:a@contoso.com", "v=TLSRPTv1; rua=mailto:b@contoso.com"]}},
          "tlsrpt.several")
    spoil(t, {"_mta-sts.contoso.com": {"TXT": ["v=STSv1; id=a-b"]}}, "sts.syntax")
    spoil(t, {"_mta-sts.contoso.com": {"TXT": ["v=STSv1; id=1", "v=STSv1; id=2"]}}, "sts.several")
    bimi = "default._bimi.contoso.com"
    spoil(t, {bimi: {"TXT": ["v=BIMI1; l=http://contoso.com/l.svg"]}}, "bimi.syntax")
    spoil(t, {bimi: {"TXT": ["v=BIMI1; l=https://contoso.com/l.svg", "v=BIMI1; l="]}}, "bimi.several")
    spoil(t, {bimi: {"TXT": ["v=BIMI1; l=https://contoso.com/l.svg"]},
              "_dmarc.contoso.com": {"TXT": ["v=DMARC1; p=none; rua=mailto:a@contoso.com"]}}, {"bimi.policy", "dmarc.policy-none"})


@options(seconds=120)
def test_dns_sts(t):
    """The policy, fetched from a server of the test's own."""
    authority = Authority(t.folder)
    web = Web(t, authority.certificate("mta-sts.contoso.com"), address="127.0.0.1", port=0)
    there = ("--sts-connect", f"127.0.0.1:{web.port}", "--ca", authority.root, "--selector", "s1")
    w = World(t)
    t.dns.records = w.zone

    def look(body=POLICY, status=200, words=there):
        web.body, web.status = body, status
        return dns(t, *words)

    report, found, wrong = look()
    assert not wrong and report["mta_sts"]["mode"] == "enforce", (wrong, found)
    assert look(POLICY.replace("enforce", "testing"))[2] == {"sts.testing"}
    assert look("version: STSv1\nmode: none\nmax_age: 86400\n")[2] == set()
    _, found, wrong = look(POLICY.replace("mx: mx2.contoso.com\r\n", ""))
    assert wrong == {"sts.mx-not-covered"} and "mx2.contoso.com" in found["sts.mx-not-covered"][0]["seen"], found
    _, found, wrong = look(POLICY + "mx: *.example.net\r\n")
    assert not wrong and "sts.mx-unused" in found
    assert look(POLICY.replace("604800", "3600"))[2] == {"sts.max-age"}
    assert look("<html>not found</html>")[2] == {"sts.policy-syntax"}
    assert look("x" * 100000)[2] == {"sts.unreachable"}
    assert look(status=404)[2] == {"sts.status"}
    assert look(status=301)[2] == {"sts.status"}
    _, found, wrong = look(words=("--sts-connect", f"127.0.0.1:{web.port}", "--selector", "s1"))  # the system's roots
    assert wrong == {"sts.unreachable"} and "certificate" in found["sts.unreachable"][0]["seen"], found
    other = Web(t, authority.certificate("other.contoso.com"), address="127.0.0.1", port=0)
    _, found, wrong = look(words=("--sts-connect", f"127.0.0.1:{other.port}", "--ca", authority.root, "--selector", "s1"))
    assert wrong == {"sts.unreachable"}, found
    _, found, wrong = look(words=("--sts-connect", "127.0.0.1:1", "--selector", "s1"))
    assert wrong == {"sts.unreachable"}, found
    w.zone.pop("mta-sts.contoso.com")
    _, found, wrong = look(words=("--selector", "s1"))
    assert wrong == {"sts.no-host"}, found
    w.zone["mta-sts.contoso.com"] = {"A": ["127.0.0.1"]}
    _, found, wrong = look(words=("--selector", "s1"))
    assert wrong == {"sts.unreachable"} and "no public address" in found["sts.unreachable"][0]["seen"], found


# --- bad input ------------------------------------------------------------------------------------------------------------


@options(seconds=120)
def test_dns_hostile(t):
    """What strangers publish reaches no terminal as it is, and makes nobody ask without end."""
    bad = "\x1b[31m\x07\r\n\x9b"
    w = World(t)
    w.zone["contoso.com"]["TXT"] = ["v=spf1 " + " ".join(f"include:i{i}.contoso.com" for i in range(60)) + f" x{bad} -all"]
    w.zone["_dmarc.contoso.com"] = {"TXT": [f"v=DMARC1; p={bad}; {bad}=1; rua=mailto:a@{bad}"]}
    w.zone["s1._domainkey.contoso.com"] = {"TXT": [f"v=DKIM1; k={bad}; p=AAAA"]}
    w.zone["_smtp._tls.contoso.com"] = {"TXT": [f"v=TLSRPTv1; rua={bad}"]}
    w.zone["_mta-sts.contoso.com"] = {"TXT": [f"v=STSv1; id={bad}"]}
    w.zone["default._bimi.contoso.com"] = {"TXT": [f"v=BIMI1; l=https://{bad}.svg"]}
    t.dns.records = w.zone
    for words in ((), ("--all",)):
        done = subprocess.run([f"{t.builds['sanitized']}/src/bin/postern", "dns", "contoso.com", "--dns", t.dns.where, "--no-fetch",
                               "--selector", "s1", *words], capture_output=True)
        assert done.returncode == 1 and b"Sanitizer" not in done.stderr, done
        assert not set(done.stdout) & (set(range(32)) - {10} | {127}) and "\x9b" not in done.stdout.decode(), done.stdout
    _, found, wrong = dns(t, "--no-fetch", "--selector", "s1")
    assert {"spf.syntax", "dmarc.syntax", "dkim.syntax", "tlsrpt.syntax", "sts.syntax"} <= wrong, wrong
    # A tree of includes without end: two each, 2^n of them.
    tree = {f"t{i}.contoso.com": {"TXT": [f"v=spf1 include:t{2 * i + 1}.contoso.com include:t{2 * i + 2}.contoso.com ?all"]} for i in range(3000)}
    w.zone.update(tree)
    w.zone["contoso.com"]["TXT"] = ["v=spf1 include:t0.contoso.com -all"]
    t.dns.asked.clear()
    report, found, wrong = dns(t, "--no-fetch", "--selector", "s1")
    assert "spf.lookups" in wrong and "at least" in found["spf.lookups"][0]["seen"], found["spf.lookups"]
    assert len(t.dns.asked) < 400 and len(report["spf"]["tree"]) < 100, len(t.dns.asked)


# --- DNSSEC -------------------------------------------------------------------------------------------------------------


def test_dns_dnssec(t):
    """Signed, not signed, and signed wrongly: three states, and TLSA that count only in the first."""
    zone = {name: records for name, records in good().items()}
    zone["_25._tcp.mx1.contoso.com"] = zone["_25._tcp.mx2.contoso.com"] = {"TLSA": ["3 1 1 " + "ab" * 32]}
    zone["fabrikam.com"] = {"SOA": [SOA], "NS": ["ns1.contoso.com", "ns2.contoso.com"], "MX": ["10 mx.fabrikam.com"],
                            "TXT": ["v=spf1 mx -all"]}
    zone["mx.fabrikam.com"] = {"A": [MX1]}
    zone["_25._tcp.mx.fabrikam.com"] = {"TLSA": ["3 1 1 " + "ab" * 32]}
    zone["_dmarc.fabrikam.com"] = {"TXT": ["v=DMARC1; p=reject; rua=mailto:a@fabrikam.com"]}
    t.dns = SignedDns(zone, "contoso.com")
    t.closers.append(t.dns.close)
    anchor = t.folder / "anchor"
    anchor.write_text(t.dns.anchor())
    server = t.server(OURS, start=False, head=f'dns_trust_anchor = "file:{anchor}"')

    def look(domain):
        done = server.run("dns", domain, "--json", "--no-fetch", "--selector", "s1")
        report = json.loads(done.stdout)
        own = ("spf.not-covered", "egress.no-address", "ptr.none", "spf.helo-fails", "dkim.missing")
        return report, {f["id"]: f for f in report["findings"]}, \
            {f["id"] for f in report["findings"] if f["severity"] != "info" and f["id"] not in own}

    report, found, wrong = look("contoso.com")
    assert report["dnssec"] == "secure" and not wrong and "dnssec.secure" in found and "dane.found" in found, (wrong, found)
    report, found, wrong = look("fabrikam.com")
    assert report["dnssec"] == "insecure" and wrong == {"dane.insecure"}, (wrong, found)
    t.dns.forged.add(("contoso.com", "TXT"))
    report, found, wrong = look("contoso.com")
    assert report["dnssec"] == "secure" and found["dnssec.bogus"]["step"] == "SPF" and "dnssec.bogus" in wrong, (wrong, found)
    t.dns.forged.add(("contoso.com", "SOA"))
    report, found, wrong = look("contoso.com")
    assert report["dnssec"] == "bogus" and "dnssec.bogus" in wrong, (wrong, found)


# --- our own ------------------------------------------------------------------------------------------------------------


def test_dns_covers(t):
    """Which of the addresses of a configuration SPF covers."""
    addresses()
    w = World(t)
    w.zone["mail.proseware.com"] = {"A": ["8.8.4.20"]}
    w.zone[reverse("8.8.4.20")] = {"PTR": ["mail.proseware.com"]}
    w.zone["smtp.example.net"] = {"A": ["8.8.8.25"]}
    t.dns.records = w.zone
    server = t.server('domain "contoso.com" {}\n'
                      'route "away" { from = {"*@fabrikam.com"} to = {"*"} via = {"smtp://smtp.example.net:587"} }\n'
                      'route "bulk" { to = {"adatum.com"} via = {"mx:adatum.com"} source_address = "8.8.4.21" }\n', start=False)

    def covers(domain):
        done = server.run("dns", domain, "--json", "--no-fetch")
        report = json.loads(done.stdout)
        return {e["address"]: e for e in report["egress"]}, {f["about"]: f for f in report["findings"] if f["id"] == "spf.not-covered"}, report

    egress, missing, report = covers("contoso.com")
    assert egress["8.8.4.20"]["spf"] == "pass" and egress["8.8.4.20"]["by"] == "ip4:8.8.4.20", egress
    assert egress["8.8.4.10"]["spf"] == "pass" and egress["8.8.4.10"]["by"] == "mx"
    assert egress["8.8.4.20"]["confirmed"] and egress["8.8.4.21"]["spf"] == "fail", egress
    assert "8.8.8.25" not in egress
    assert any("route bulk" in a for a in missing), missing
    w.zone["fabrikam.com"] = {"SOA": [SOA], "NS": ["ns1.contoso.com", "ns2.contoso.com"], "MX": ["10 mx1.contoso.com"],
                              "TXT": ["v=spf1 mx -all"]}
    egress, missing, report = covers("fabrikam.com")
    assert set(egress) == {"8.8.8.25", "8.8.4.21"}, egress
    (smart,) = [f for a, f in missing.items() if "route away" in a]
    assert smart["severity"] == "warning" and "include" in " ".join(smart["fix"]), smart


def test_dns_own_addresses(t):
    """A hostname that nobody knows, an address without a name, a name in EHLO whose SPF record speaks against us."""
    addresses("8.8.4.30")
    w = World(t)
    w.zone["contoso.com"]["TXT"] = ["v=spf1 mx ip4:8.8.4.0/24 -all"]
    t.dns.records = w.zone
    server = t.server('domain "contoso.com" {}\n', start=False)

    def look():
        done = server.run("dns", "contoso.com", "--json", "--no-fetch", "--selector", "s1")
        return {f["id"] + " " + f.get("about", ""): f for f in json.loads(done.stdout)["findings"] if f["severity"] != "info"}

    wrong = look()
    assert "egress.no-address hostname" in wrong and "ptr.none 8.8.4.30 (an address of this host)" in wrong, wrong
    assert wrong["ptr.none 8.8.4.30 (an address of this host)"]["severity"] == "error"
    w.zone["mail.proseware.com"] = {"A": ["8.8.4.30"], "TXT": ["v=spf1 -all"]}
    w.zone[reverse("8.8.4.30")] = {"PTR": ["mail.proseware.com"]}
    wrong = look()
    assert not any(k.startswith(("egress", "ptr.none 8.8.4.30")) for k in wrong), wrong
    assert "spf.helo-fails mail.proseware.com from 8.8.4.30" in wrong, wrong
    w.zone["mail.proseware.com"]["TXT"] = ["v=spf1 a -all"]
    assert "spf.helo-fails mail.proseware.com from 8.8.4.30" not in look()


def test_dns_private(t):
    """A host behind NAT: which address the world sees is not known, and said so."""
    w = World(t)
    t.dns.records = w.zone
    w.zone["mail.proseware.com"] = {"A": ["192.168.7.7"]}
    text = 'domain "contoso.com" {}\nroute "inner" { to = {"adatum.com"}  via = {"smtp://10.0.0.5"} }\n'
    done = t.server(text, start=False).run("dns", "contoso.com", "--json", "--no-fetch")
    report = json.loads(done.stdout)
    findings = report["findings"]
    assert len(report["egress"]) == 2 and not any("spf" in e for e in report["egress"]), report["egress"]
    private = [f["about"] for f in findings if f["id"] == "ptr.private" and f["skipped"]]
    assert private == ["10.0.0.5 (route inner: via 10.0.0.5)", "192.168.7.7 (hostname)"], findings
    assert "spf.not-covered" not in {f["id"] for f in findings}, findings


def test_dns_publish(t):
    """What is printed for a domain of ours, and that it is good once it is published."""
    addresses()
    t.zones({})
    own = tuple(map(str, pair(t.folder, "own", "mail.proseware.com")))
    server = t.server('domain "contoso.com" {}\ndomain "fabrikam.com" {}\n' + LISTENERS +
                      'route "mail" { from = {"*@fabrikam.com"} via = {"smtp://smtp.sendgrid.net:587"} }\n', start=False)
    done = server.run("dns", "--publish", "contoso.com")
    assert done.returncode == 0 and "contoso.com. 3600 IN MX 10 mail.proseware.com.\n" in done.stdout, done
    lines = [l.split(None, 4) for l in done.stdout.splitlines() if l and not l.startswith(";")]
    zone = {"contoso.com": {"SOA": [SOA], "NS": ["ns1.adatum.com", "ns2.adatum.com"]}, "ns1.adatum.com": {"A": [NS1]},
            "ns2.adatum.com": {"A": [NS2]}}
    for name, _, _, kind, value in lines:
        if kind == "TXT":
            value = "".join(value.split('"')[1::2])
        zone.setdefault(name.rstrip("."), {}).setdefault(kind, []).append(value)
    assert all(f"ip4:{a}" in zone["contoso.com"]["TXT"][0] for a in HOSTS.values()), zone
    assert "_mta-sts.contoso.com" in zone and "_smtp._tls.contoso.com" in zone and "_dmarc.contoso.com" in zone
    assert zone[reverse(MX1)]["PTR"] == ["mail.proseware.com."]
    t.dns.records = zone
    done = server.run("dns", "--verify", "contoso.com", "--json", "--no-fetch")
    report = json.loads(done.stdout)
    verify = {f["id"]: f for f in report["findings"] if f["id"].startswith("verify.") and f["severity"] != "info"}
    assert not verify, verify
    assert {"verify.mx-same", "verify.spf-same", "verify.addresses-same", "verify.dmarc-same", "verify.tlsrpt-same", "verify.ptr-same"} <= \
        {f["id"] for f in report["findings"]}
    # Something else is there.
    zone["contoso.com"]["MX"] = ["10 mx.adatum.com"]
    zone["contoso.com"]["TXT"] = ["v=spf1 ip4:8.8.4.10 -all"]
    zone["mail.proseware.com"]["A"] = [MX1]
    zone[reverse(MX2)] = {"PTR": ["mx2.contoso.com"]}
    del zone["_dmarc.contoso.com"], zone["_smtp._tls.contoso.com"], zone["_mta-sts.contoso.com"]
    done = server.run("dns", "--verify", "contoso.com", "--json", "--no-fetch")
    found = {f["id"]: f for f in json.loads(done.stdout)["findings"]}
    assert done.returncode == 1
    assert {"verify.mx", "verify.spf", "verify.addresses", "verify.dmarc", "verify.tlsrpt", "verify.sts", "verify.ptr"} <= set(found), found.keys()
    assert "published: 10 mx.adatum.com; should be: 10 mail.proseware.com" == found["verify.mx"]["seen"]
    assert "published: v=spf1 ip4:8.8.4.10 -all; should be: v=spf1" in found["verify.spf"]["seen"]
    # Servers beside ours, a policy without ours, a key that is not ours.
    zone["contoso.com"]["MX"] = ["10 mail.proseware.com", "20 mx2.contoso.com"]
    zone["_25._tcp.mail.proseware.com"] = {"TLSA": ["3 1 1 " + "00" * 32]}
    zone["_mta-sts.contoso.com"] = {"TXT": ["v=STSv1; id=1"]}
    authority = Authority(t.folder)
    web = Web(t, authority.certificate("mta-sts.contoso.com"), address="127.0.0.1", port=0)
    server.write(server.text + f'certificate "mail.proseware.com" {{ chain = "{own[0]}"  key = "{own[1]}" }}\n')
    done = server.run("dns", "--verify", "contoso.com", "--json", "--sts-connect", f"127.0.0.1:{web.port}", "--ca", authority.root)
    found = {f["id"]: f for f in json.loads(done.stdout)["findings"]}
    assert {"verify.mx-others", "verify.sts-mx", "verify.tlsa"} <= set(found), found.keys()
    assert found["verify.tlsa"]["seen"] == f"published: 3 1 1 {'00' * 32}; should be: 3 1 1 {key_digest(own[0])}", found["verify.tlsa"]
    zone["_25._tcp.mail.proseware.com"] = {"TLSA": ["3 1 1 " + key_digest(own[0])]}
    done = server.run("dns", "--verify", "contoso.com", "--json", "--no-fetch")
    assert "verify.tlsa-same" in {f["id"] for f in json.loads(done.stdout)["findings"]}
    done = server.run("dns", "--publish", "contoso.com")
    assert f"_25._tcp.mail.proseware.com. 3600 IN TLSA 3 1 1 {key_digest(own[0])}\n" in done.stdout, done.stdout
    # All domains; a smart host that is known by name.
    done = server.run("dns", "--publish", "--json")
    plans = {p["domain"]: p for p in map(json.loads, done.stdout.splitlines())}
    assert set(plans) == {"contoso.com", "fabrikam.com"} and "include:sendgrid.net -all" in plans["fabrikam.com"]["text"], plans
    done = server.run("dns", "--publish", "adatum.com")
    assert done.returncode == 64 and "contoso.com, fabrikam.com" in done.stderr, done


def test_dns_usage(t):
    run = lambda *words: subprocess.run([f"{t.builds['sanitized']}/src/bin/postern", "dns", *words], text=True, capture_output=True)
    for words, says in (((), "which domain"), (("192.0.2.1",), "postern blocklist"), (("a..b",), "no domain"), (("localhost",), "full"),
                        (("example.com", "--port", "0"), "--port"), (("example.com", "--timeout", "x"), "--timeout"),
                        (("example.com", "--publish", "--verify"), "exclude"), (("example.com", "--selektor", "x"), "--selector"),
                        (("example.com", "--dns", "nowhere"), "--dns"), (("example.com", "--sts-connect", "x"), "--sts-connect")):
        done = run(*words)
        assert done.returncode == 64 and says in done.stderr, (words, done)
    assert run("example.com", "-c", "/nowhere").returncode == 78
    assert run("example.com", "--ca", "/nowhere").returncode == 66
    t.zones({}).silent = True
    done = run("example.com", "--dns", t.dns.where, "--timeout", "1s")
    assert done.returncode == 75 and "no answers" in done.stderr, done
