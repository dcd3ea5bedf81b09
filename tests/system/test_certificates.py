"""Client certificates as grants, with clients that are nothing of ours: Python's ssl, openssl s_client, swaks."""
import hashlib
import smtplib
import ssl
import subprocess

from harness import tool, until
from world import *

EXTENSIONS = """
[ca]
basicConstraints = critical,CA:TRUE
[gw]
subjectAltName = DNS:gw.adatum.com,email:ops@adatum.com
extendedKeyUsage = clientAuth
[server]
subjectAltName = DNS:gw.adatum.com
extendedKeyUsage = serverAuth
[other]
subjectAltName = DNS:other.adatum.com
"""


class Authority:
    """Two authorities of the same name, one below, and certificates that they sign."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "extensions").write_text(EXTENSIONS)

    def run(self, *words, **more):
        return subprocess.run([tool("openssl"), *(str(w) for w in words)], check=True, capture_output=True, **more).stdout

    def issue(self, name, section, by=None, days=30, subject=None):
        file = self.folder / name
        self.run("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={subject or name}",
                 "-keyout", f"{file}.key", "-out", f"{file}.csr")
        signer = ("-CA", self.folder / f"{by}.crt", "-CAkey", self.folder / f"{by}.key", "-CAcreateserial") if by else ("-signkey", f"{file}.key")
        self.run("x509", "-req", "-in", f"{file}.csr", *signer, "-days", days, "-extfile", self.folder / "extensions",
                 "-extensions", section, "-out", f"{file}.crt")
        return f"{file}.crt", f"{file}.key"

    def chain(self, name, *behind):
        """One file with the certificate and those behind it."""
        file = self.folder / "-".join((name, *behind, "chain"))
        file.write_text("".join((self.folder / f"{n}.crt").read_text() for n in (name, *behind)))
        return str(file), str(self.folder / f"{name}.key")

    def spki(self, crt):
        key = self.run("pkey", "-pubin", "-outform", "DER", input=self.run("x509", "-in", crt, "-noout", "-pubkey"))
        return "spki-sha256:" + hashlib.sha256(key).hexdigest()


def authority(t):
    a = Authority(t.folder)
    a.issue("root", "ca")
    a.issue("middle", "ca", by="root")
    a.issue("false-root", "ca", subject="root")
    return a


def context(pair=None, version=ssl.TLSVersion.TLSv1_3):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    c.minimum_version = c.maximum_version = version
    if pair:
        c.load_cert_chain(*pair)
    return c


def rcpt(server, tls, to="bob@adatum.com", listener="internet"):
    with smtplib.SMTP(*server.at(listener), source_address=(PARTNER, 0), timeout=30) as c:
        c.starttls(context=tls)
        c.ehlo("gw.adatum.com")
        assert c.mail("anybody@elsewhere.example")[0] == 250
        code, text = c.rcpt(to)
        return code, text.decode()


def partner(certificates):
    return f"""connector "partner" {{ client_certificate = {{{certificates}}}  may_relay_to = {{"adatum.com"}}  listeners = {{"internet"}}
    senders = any  note = "adatum's gateway" }}
"""


def test_case_28_by_key(t):
    a = authority(t)
    one, two = a.issue("one", "gw", by="false-root"), a.issue("two", "gw", by="false-root")
    server, sink = world(t, CASES + partner(f'"{a.spki(one[0])}"'))
    facts = dict(client=PARTNER, tls=True, offline=True, to="bob@adatum.com", **{"from": "anybody@elsewhere.example"})
    for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
        assert rcpt(server, context(one, version))[0] == 250  # an authority nobody knows fails no handshake
        code, text = rcpt(server, context(one, version), to="bob@contoso.com")
        assert code == 550 and "relay.no-grant" in text, text
        for nothing in context(None, version), context(two, version):
            code, text = rcpt(server, nothing)
            assert code == 550 and "relay.no-grant" in text, text
    assert server.why(certificate=one[0], **facts)["verdict"] == "accept"
    changes = server.why(certificate=two[0], **facts)["changes"]
    mend = [c for c in changes if c["kind"] == "add-certificate"]
    assert mend and not mend[0]["safe"] and mend[0]["argument"] == f"partner {a.spki(two[0])}", changes
    # Applied, it makes it pass.
    server.reload(CASES + partner(f'"{a.spki(one[0])}", "{a.spki(two[0])}"'))
    until(lambda: rcpt(server, context(two))[0] == 250, "the new key counts")


def test_case_28_by_authority_and_name(t):
    a = authority(t)
    for name, section, by in (("gw", "gw", "middle"), ("webby", "server", "middle"), ("other", "other", "middle"), ("forged", "gw", "false-root")):
        a.issue(name, section, by=by)
    a.issue("old", "gw", by="root", days=-1)
    server, sink = world(t, CASES + partner(f'"ca:{t.folder}/root.crt name:GW.adatum.com"'))
    facts = dict(client=PARTNER, tls=True, offline=True, to="bob@adatum.com", **{"from": "anybody@elsewhere.example"})
    trials = (
        (a.chain("gw", "middle"), None),
        (a.chain("webby", "middle"), None),
        (a.chain("gw"), "unable to get local issuer"),
        (a.chain("other", "middle"), "does not name gw.adatum.com"),
        (a.chain("forged", "false-root"), "does not vouch"),
        (a.chain("old"), "expired"),
    )
    for pair, because in trials:
        for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
            code, text = rcpt(server, context(pair, version))
            assert code == (550 if because else 250), (pair, text)
        why = server.why(certificate=pair[0], **facts)
        assert why["verdict"] == ("refuse" if because else "accept"), (pair, why)
        if because:
            event = [e for e in server.events("refused") if e.get("to") == "bob@adatum.com"][-1]
            assert any("partner" in r and because in r for r in event["rules"]), (because, event)
            assert any(r["rule"] == "connector partner" and because in r["because"] for r in why["rules"]), (because, why)


def test_resumed_sessions_keep_what_was_found_out(t):
    a = authority(t)
    a.issue("gw", "gw", by="middle")
    server, _ = world(t, CASES + partner(f'"ca:{t.folder}/root.crt name:gw.adatum.com"'), workers=2)
    tls = context(a.chain("gw", "middle"), ssl.TLSVersion.TLSv1_2)
    session = None
    for turn in range(6):  # with two workers some are resumed by the other one
        c = smtplib.SMTP(*server.at("internet"), source_address=(PARTNER, 0), timeout=30)
        c.ehlo("gw.adatum.com")
        c.docmd("STARTTLS")
        c.sock = tls.wrap_socket(c.sock, session=session)
        c.file = None
        assert c.sock.session_reused == bool(session), turn
        session = c.sock.session
        c.ehlo("gw.adatum.com")
        c.mail("anybody@elsewhere.example")
        assert c.rcpt("bob@adatum.com")[0] == 250, turn
        c.quit()


def test_asked_for_where_it_could_matter(t):
    a = authority(t)
    pair = a.issue("gw", "gw", by="root")
    server, sink = world(t, CASES + partner(f'"{a.spki(pair[0])}"'))

    def hello(listener, *more):
        address, port = server.at(listener)
        done = subprocess.run([tool("openssl"), "s_client", "-connect", f"{address}:{port}", "-tls1_2", *more],
                              input="QUIT\r\n", text=True, capture_output=True, timeout=60)
        return done.stdout

    assert "Requested Signature Algorithms" in hello("internet", "-starttls", "smtp")
    assert "Requested Signature Algorithms" not in hello("submissions")
    swaks = subprocess.run([tool("swaks"), "--server", server.at("internet")[0], "--port", str(server.at("internet")[1]), "-tls",
                            "--tls-cert", pair[0], "--tls-key", pair[1], "--local-interface", PARTNER, "--helo", "gw.adatum.com",
                            "--from", "anybody@elsewhere.example", "--to", "bob@adatum.com"], text=True, capture_output=True, timeout=60)
    assert swaks.returncode == 0, swaks.stdout + swaks.stderr
    until(lambda: len(sink.messages) == 1, "relayed")
    # The matrix of check knows the grant, and the proof counts no address for it.
    matrix = server.run("check")
    assert matrix.returncode == 0 and "1 client certificate" in matrix.stdout, matrix.stdout + matrix.stderr


def test_an_authority_that_is_none(t):
    (t.folder / "no.pem").write_text("-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n")
    server = t.server(CASES + partner(f'"ca:{t.folder}/no.pem name:gw.adatum.com"'), start=False)
    done = server.run("serve")
    assert done.returncode != 0 and "no.pem" in done.stderr + done.stdout, done
    missing = t.server(CASES + partner(f'"ca:{t.folder}/none.pem name:gw.adatum.com"'), start=False).run("check")
    assert missing.returncode == 1 and "none.pem" in missing.stdout + missing.stderr, missing
    nameless = t.server(CASES + partner(f'"ca:{t.folder}/no.pem"'), start=False).run("check")
    assert nameless.returncode == 1 and "name:" in nameless.stdout + nameless.stderr, nameless
