"""Logins by token, in and out, against a small identity provider that signs real ones."""
import base64
import json
import os
import subprocess
from pathlib import Path

from harness import Skip, need_root, tool, until
from peers import ROOT
from test_outbound import certificate, hand_in, ndr
from test_peers import run
from world import *

try:
    from identity import Identity, Key
except ImportError as missing:  # told by each test
    Identity = missing

ME = "terri@proseware.com"


def provider(t, **how):
    if isinstance(Identity, ImportError):
        raise Skip(f"needs python3-cryptography: {Identity}")
    identity = Identity(**how)
    t.closers.append(identity.close)
    return identity


def section(identity, more=""):
    return f"""
logins = {{"directory", "oauth:corp"}}
oauth "corp" {{ issuer = "{identity.url}"  audience = "mail"  {more} }}
"""


def oauth_world(t, more="", **how):
    identity = provider(t, **how)
    server, sink = world(t, CASES + section(identity, more))
    return identity, server, sink


def bearer(token, user=ME):
    return base64.b64encode(f"n,a={user},\x01host=h\x01port=587\x01auth=Bearer {token}\x01\x01".encode()).decode()


def xoauth2(token, user=ME):
    return base64.b64encode(f"user={user}\x01auth=Bearer {token}\x01\x01".encode()).decode()


def session(server):
    return server.session("submission", source=HOTEL).ehlo().starttls().ehlo()


def refuse(server, message, mechanism="OAUTHBEARER", expected="535 5.7.8"):
    """The dance of a bad token: a challenge, the client's answer, the refusal. The final reply."""
    c = session(server)
    reply = c.cmd(f"AUTH {mechanism} {message}")
    if reply.code == 334:
        said = json.loads(base64.b64decode(reply.text))
        assert said["status"] == ("401" if mechanism == "XOAUTH2" else "invalid_token"), said
        reply = c.cmd("" if mechanism == "XOAUTH2" else "AQ==")
    assert reply.is_ == expected, (expected, reply)
    c.quit()
    return reply


def send(server, message, mechanism="OAUTHBEARER", to="bob@adatum.com"):
    c = session(server)
    c.want(f"AUTH {mechanism} {message}", "235 2.7.0")
    c.mail(ME)
    c.rcpt(to)
    c.data(letter(ME, to), "250")
    c.quit()


# --- inward -------------------------------------------------------------------------------


def test_oauth_tokens(t):
    identity, server, sink = oauth_world(t)
    offered = session(server).extensions["AUTH"]
    assert "OAUTHBEARER" in offered and "XOAUTH2" in offered and "PLAIN" in offered, offered
    assert "AUTH" not in server.session("submission").ehlo().extensions, "a token is a secret: only within TLS"
    send(server, bearer(identity.token()))
    send(server, xoauth2(identity.token(email="TERRI@Proseware.com")), "XOAUTH2")
    send(server, bearer(identity.token(), user=ME.upper()))
    c = session(server)  # without an initial response
    c.want("AUTH OAUTHBEARER", "334")
    c.want(bearer(identity.token()), "235")
    until(lambda: len(sink.messages) == 3, "three relayed")
    assert identity.times("/keys") == 1, "keys are kept"
    assert server.events("authenticated")[0]["mechanism"] == "OAUTHBEARER"
    text = server.log.read_text()
    assert "eyJ" not in text and "Bearer" not in text, "a token in the log"


def test_oauth_bad_tokens(t):
    """Whatever is wrong with a token, it is 535; only what its holder may know is said."""
    identity, server, _ = oauth_world(t)
    other = Identity()
    t.closers.append(other.close)
    now = 1000000000
    told = {
        "expired": identity.token(iat=now, exp=now + 600),
        "not valid yet": identity.token(nbf=2 * now + now, exp=4 * now),
        "audience": identity.token(aud="web"),
        "names no mailbox": identity.token(email=None),
        "no login here": identity.token(email="nobody@proseware.com"),
        "not made out to the login": identity.token(email="ceo@proseware.com"),
    }
    hidden = {
        "another issuer": identity.token(iss="https://evil.example"),
        "signature is wrong": identity.token(key=type("K", (), {"alg": "RS256", "kid": identity.keys[0].kid, "sign": Key().sign})()),
        "does not publish": identity.token(header={"kid": "unknown"}),
        "signed in a way": identity.unsigned(),
        "a way that is not taken": identity.confused(),
        "way that is not taken": identity.token(header={"crit": ["exp"]}),
        "that can be read": "x" * 8500,
        "a token that can be read": "opaque-token",
    }
    user = {"no login here": "nobody@proseware.com"}
    source = iter(range(1, 100))
    for words, token in {**told, **hidden}.items():
        HOST = f"127.0.52.{next(source)}"
        c = server.session("submission", source=HOST).ehlo().starttls().ehlo()
        c.want("AUTH OAUTHBEARER " + bearer(token, user.get(words, ME)), "334")
        reply = c.cmd("AQ==")
        event = refused(server, reply, "535 5.7.8", "auth.failed")
        if words in told:
            assert words in reply.text, (words, reply)
        else:
            assert words in event["because"] and words not in reply.text, (words, event)
    # a disabled login, whose token is fine
    server.command("user", "disable", ME)
    assert "no login here" in refuse(server, bearer(identity.token())).text
    server.command("user", "enable", ME)
    assert not server.events("authenticated")
    assert "eyJ" not in server.log.read_text()


def test_oauth_dialogue(t):
    identity, server, _ = oauth_world(t)
    expired = identity.token(exp=1000000000)
    refuse(server, xoauth2(expired), "XOAUTH2")
    c = session(server)
    c.want("AUTH OAUTHBEARER " + bearer(expired), "334")
    c.want("*", "501")
    c.want("AUTH OAUTHBEARER " + bearer(identity.token()), "235")
    for garbage in ("!", base64.b64encode(b"n,,auth=Bearer x").decode(), base64.b64encode(b"user=a\x01auth=Bearer x\x01\x01").decode(),
                    base64.b64encode(b"p=tls-unique,,\x01auth=Bearer x\x01\x01").decode()):
        session(server).want("AUTH OAUTHBEARER " + garbage, "501 5.5")
    session(server).want("AUTH OAUTHBEARER " + "A" * 20000, "500")


def test_oauth_delay(t):
    """Bad tokens count as bad passwords do, even when the client does not stay for the refusal."""
    identity, server, _ = oauth_world(t)
    for _ in range(12):
        c = session(server)
        c.want("AUTH OAUTHBEARER " + bearer("opaque"), "334")
        c.close()
    c = session(server)
    c.want("AUTH OAUTHBEARER " + bearer("opaque"), "334")
    assert c.cmd("AQ==").code == 535 and c.read().code == 421
    send(server, bearer(identity.token()), to="ceo@proseware.com")  # the owner waits, and gets in


def test_oauth_rotation(t):
    identity, server, _ = oauth_world(t)
    send(server, bearer(identity.token()), to="ceo@proseware.com")
    identity.keys.append(Key("ES256"))
    # a fetch for a key that is not known waits for ten seconds after the last one
    source = iter(range(1, 200))

    def taken():
        c = server.session("submission", source=f"127.0.54.{next(source)}").ehlo().starttls().ehlo()
        return c.cmd("AUTH OAUTHBEARER " + bearer(identity.token())).code == 235

    until(taken, "a login with the new key", every=1)
    send(server, bearer(identity.token()), to="ceo@proseware.com")
    before = identity.times("/keys")
    for n in range(10):
        c = server.session("submission", source=f"127.0.53.{n + 1}").ehlo().starttls().ehlo()
        c.want("AUTH OAUTHBEARER " + bearer(identity.token(header={"kid": f"made-up-{n}"})), "334")
    assert identity.times("/keys") <= before + 1, "strangers drive our fetches"


def test_oauth_provider_down(t):
    """Down, slow, lying: 454, for tokens alone; and well again at once."""
    identity, server, _ = oauth_world(t)
    for fault in ("down", "lie", "big", "hang"):
        identity.fault = fault
        reply = refuse(server, bearer(identity.token()), expected="454 4.7.0")
        event = refused(server, reply, "454 4.7.0", "backend.oauth")
        assert event["because"], event
        session(server).auth_plain(ME, "secret")
    identity.fault = None
    until(lambda: session(server).cmd("AUTH OAUTHBEARER " + bearer(identity.token())).code == 235, "a login", every=0.5)
    identity.fault = "down"  # keys are there
    send(server, bearer(identity.token()), to="ceo@proseware.com")


def test_oauth_fetcher_gone(t):
    identity, server, _ = oauth_world(t)
    (pid,) = server.children_of("fetcher")
    server.crashes_expected = True
    os.kill(pid, 9)
    until(lambda: session(server).cmd("AUTH OAUTHBEARER " + bearer(identity.token())).code == 235, "a login", every=0.2)


def test_oauth_introspection(t):
    client = t.folder / "client"
    client.write_text("mail server:s3cret&\n")
    client.chmod(0o600)
    identity = provider(t, secrets={"mail server": "s3cret&"})
    more = f'introspection = "{identity.url}/introspect"  client = "file:{client}"  claim = "username"'
    server, _ = world(t, CASES + section(identity, more))
    identity.opaque["good"] = {"active": True, "username": ME, "aud": ["mail"], "scope": "smtp"}
    identity.opaque["web"] = {"active": True, "username": ME, "aud": "web"}
    identity.opaque["nobody"] = {"active": True, "aud": "mail"}
    send(server, xoauth2("good"), "XOAUTH2", to="ceo@proseware.com")
    send(server, bearer("good"), to="ceo@proseware.com")
    assert identity.times("/introspect") == 1, "a good answer is kept for a moment"
    assert "not active" in refuse(server, bearer("revoked")).text
    assert "audience" in refuse(server, bearer("web")).text
    assert "names no mailbox" in refuse(server, bearer("nobody")).text
    identity.secrets.clear()
    refuse(server, bearer("another"), expected="454 4.7.0")
    assert "client" in server.events("refused", reason="backend.oauth")[-1]["because"]
    assert "s3cret" not in server.log.read_text()


def test_oauth_key_file(t):
    """Keys in a file: no fetcher, nothing is asked."""
    identity = provider(t)
    keys = t.folder / "keys.json"
    keys.write_text(json.dumps(identity.jwks()))
    server, _ = world(t, CASES + section(identity, f'jwks = "file:{keys}"'))
    send(server, bearer(identity.token()), to="ceo@proseware.com")
    assert not server.children_of("fetcher") and not identity.asked
    identity.keys = [Key("ES256")]
    refuse(server, bearer(identity.token()))
    keys.write_text(json.dumps(identity.jwks()))
    assert server.reload()["event"] == "reloaded"
    until(lambda: session(server).cmd("AUTH OAUTHBEARER " + bearer(identity.token())).code == 235, "a login with the new key", every=0.2)


def test_oauth_redirect_and_https(t):
    """No redirect is followed; over TLS the provider's certificate is verified."""
    identity = provider(t)
    server, _ = world(t, CASES + section(identity, f'jwks = "{identity.url}/redirect"'))
    refuse(server, bearer(identity.token()), expected="454 4.7.0")
    assert identity.times("/keys") == 0 and "302" in server.events("refused")[-1]["because"]
    server.stop()
    crt, key = certificate_for(t, "127.0.0.1")
    secure = Identity(certificate=(crt, key))
    t.closers.append(secure.close)
    other = t.server(CASES + section(secure))
    other.user(ME)
    refuse(other, bearer(secure.token()), expected="454 4.7.0")
    assert "certificate" in other.events("refused")[-1]["because"]
    assert other.reload(CASES + section(secure, f'ca_file = "{crt}"'))["event"] == "reloaded"
    until(lambda: session(other).cmd("AUTH OAUTHBEARER " + bearer(secure.token())).code == 235, "a login", every=0.5)


def test_oauth_provider_by_name(t):
    """A name in a URL is looked up by the system's resolver, from within the sandbox; one that is unknown is 454."""
    need_root()
    import isolation

    hosts = t.folder / "hosts"
    hosts.write_text("127.0.0.1 localhost idp.example\n")
    isolation.mount(str(hosts), Path("/etc/hosts"), "", 0x1000)  # MS_BIND
    crt, key = certificate_for(t, "127.0.0.1", "DNS:idp.example")
    identity = provider(t, certificate=(crt, key))
    identity.url = identity.url.replace("127.0.0.1", "idp.example")
    server, _ = world(t, CASES + section(identity, f'ca_file = "{crt}"'))
    send(server, bearer(identity.token()), to="ceo@proseware.com")
    name = identity.url
    identity.url = name.replace("idp.example", "nowhere.example")
    assert server.reload(CASES + section(identity, f'ca_file = "{crt}"'))["event"] == "reloaded"
    until(lambda: session(server).cmd("AUTH OAUTHBEARER " + bearer(identity.token())).code == 454, "a refusal", every=0.5)
    assert "nowhere.example" in server.events("refused", reason="backend.oauth")[-1]["because"]


def certificate_for(t, address, more=""):
    crt, key = t.folder / "idp.pem", t.folder / "idp.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                    "-subj", "/CN=idp", "-addext", f"subjectAltName=IP:{address}" + (more and "," + more), "-keyout", key, "-out", crt], check=True, capture_output=True)
    return str(crt), str(key)


def test_oauth_not_offered_without_a_provider(t):
    server, _ = world(t, sink=False)
    assert "OAUTHBEARER" not in session(server).extensions["AUTH"]
    session(server).want("AUTH OAUTHBEARER " + bearer("x"), "504 5.5.4")
    assert not server.children_of("fetcher")


# --- clients of others --------------------------------------------------------------------


def test_oauth_clients(t):
    identity, server, sink = oauth_world(t)
    address, port = server.at("submission")
    mail = t.folder / "mail.txt"
    mail.write_text(letter(ME).replace("\n", "\r\n"))
    count = 0

    def relayed(what):
        nonlocal count
        count += 1
        until(lambda: len(sink.messages) == count, what)

    for mechanism in ("OAUTHBEARER", "XOAUTH2"):
        line = [tool("curl"), "-sS", f"smtp://{address}:{port}", "--ssl-reqd", "-k", "--login-options", f"AUTH={mechanism}", "-u", f"{ME}:",
                "--mail-from", ME, "--mail-rcpt", "bob@adatum.com", "-T", mail]
        run(*line, "--oauth2-bearer", identity.token())
        relayed(f"curl {mechanism}")
        run(*line, "--oauth2-bearer", identity.token(aud="web"), code=67)
    config = t.folder / "msmtprc"
    for mechanism in ("oauthbearer", "xoauth2"):
        token = t.folder / "token"
        token.write_text(identity.token())
        config.write_text(f"account default\nhost {address}\nport {port}\nfrom {ME}\nauth {mechanism}\nuser {ME}\npasswordeval cat {token}\n"
                          f"tls on\ntls_starttls on\ntls_certcheck off\nsource_ip {HOTEL}\n")
        config.chmod(0o600)
        run(tool("msmtp"), "-C", config, "bob@adatum.com", input=letter(ME))
        relayed(f"msmtp {mechanism}")
        token.write_text(identity.token(exp=1000000000))
        assert "expired" in run(tool("msmtp"), "-C", config, "bob@adatum.com", input=letter(ME), code=77)
    if not (ROOT / "usr/share/nodejs/nodemailer").exists():
        raise Skip("curl and msmtp passed; nodemailer could not be fetched")
    script = """
const [host, port, user, accessToken] = process.argv.slice(1);
const transport = require('nodemailer').createTransport({ host, port: +port, auth: { type: 'OAuth2', user, accessToken }, tls: { rejectUnauthorized: false } });
transport.sendMail({ from: user, to: 'bob@adatum.com', subject: 'x', text: 'y' }).then(() => process.exit(0), (e) => { console.error(e.message); process.exit(1); });
"""
    environment = {**os.environ, "NODE_PATH": str(ROOT / "usr/share/nodejs")}
    run(tool("node"), "-e", script, "--", address, port, ME, identity.token(), env=environment)
    relayed("Nodemailer")
    said = run(tool("node"), "-e", script, "--", address, port, ME, identity.token(aud="web"), env=environment, code=1)
    assert "access token" in said, said  # it would fetch another one


def test_oauth_pop3(t):
    identity = provider(t)
    server, _ = world(t, CASES + 'listener "pop3s" { bind = {"127.0.0.1:0"}  service = pop3  tls = implicit }\n' + section(identity), sink=False)
    send(server, bearer(identity.token()), to=ME)
    server.wait_maildir(ME, 1)
    address, port = server.at("pop3s")

    def fetch(mechanism, token, code=0):
        line = [tool("curl"), "-sS", f"pop3s://{address}:{port}/1", "-k", "--login-options", f"AUTH={mechanism}", "-u", f"{ME}:"]
        return run(*line, "--oauth2-bearer", token, code=code)

    for mechanism in ("OAUTHBEARER", "XOAUTH2"):
        assert "Subject: Hello" in fetch(mechanism, identity.token())
        fetch(mechanism, identity.token(exp=1000000000), code=67)
    refused = server.events("refused", reason="auth.failed")
    assert len(refused) == 2 and "expired" in refused[0]["text"], refused
    identity.keys = [Key()]
    identity.fault = "down"
    server.reload()
    until(lambda: fetch("XOAUTH2", identity.token(), code=67) is not None and server.events("refused", reason="backend.oauth"), "-ERR [SYS/TEMP]", every=0.5)


# --- outward ------------------------------------------------------------------------------


class Tokens:
    """What a sink that takes tokens only knows: who said what in AUTH."""

    def __init__(self, identity):
        self.identity, self.seen, self.void = identity, [], set()

    def __call__(self, mechanism, user, token):
        self.seen.append((mechanism, user, token))
        return token in self.identity.valid and token not in self.void


def smarthost(t, client, mechanisms="OAUTHBEARER XOAUTH2", route="", **how):
    """A server whose route logs in with this client at a sink that takes tokens only."""
    identity = provider(t, secrets={"device": "s3cret"}, **how)
    login = t.folder / "provider.login"
    login.write_text(json.dumps({"token_url": identity.url + "/token", "client_id": "device", "user": "relay@provider.example", **client}))
    login.chmod(0o600)
    pair = certificate(t)
    tokens = Tokens(identity)
    sink = t.sink("127.0.0.30", 2525, tokens=tokens, token_mechanisms=mechanisms, certificate=pair)
    server, _ = world(t, CASES + f'route "provider" {{ via = {{"smtp://127.0.0.30:2525"}}  tls = require  login = "file:{login}"  {route} }}\n', sink=False)
    return identity, server, sink, tokens


def test_oauth_copier_through_provider(t):
    """A copier that knows PLAIN only sends through a provider that takes OAuth 2.0 only."""
    identity, server, sink, tokens = smarthost(t, {"client_secret": "s3cret", "scope": "smtp.send"})
    c = server.session("offering", source=HOTEL).ehlo().starttls().ehlo()
    c.want("AUTH PLAIN " + base64.b64encode(f"\0scanner@proseware.com\0secret".encode()).decode(), "235")
    c.mail("scanner@proseware.com")
    c.rcpt("bob@adatum.com")
    c.data(letter("scanner@proseware.com"), "250")
    until(lambda: sink.messages, "relayed")
    assert tokens.seen == [("OAUTHBEARER", "relay@provider.example", "access-1")]
    assert ("/token", {"grant_type": "client_credentials", "scope": "smtp.send"}) in identity.asked
    hand_in(server)
    until(lambda: len(sink.messages) == 2, "another one")
    assert identity.times("/token") == 1, "the token is kept"
    text = server.log.read_text()
    assert "access-1" not in text and "s3cret" not in text, "a secret in the log"
    assert server.event("oauth-token")["route"] == "provider"


def test_oauth_xoauth2_only_provider(t):
    identity, server, sink, tokens = smarthost(t, {"client_secret": "s3cret", "client_auth": "body"}, mechanisms="LOGIN XOAUTH2")
    hand_in(server)
    until(lambda: sink.messages, "relayed")
    assert tokens.seen == [("XOAUTH2", "relay@provider.example", "access-1")]
    assert identity.asked[-1][1]["client_secret"] == "s3cret"


def test_oauth_refused_token_is_renewed_once(t):
    identity, server, sink, tokens = smarthost(t, {"client_secret": "s3cret"})
    tokens.void.add("access-1")
    id = hand_in(server)
    until(lambda: sink.messages, "relayed with the second token")
    assert [s[2] for s in tokens.seen] == ["access-1", "access-2"] and sink.connections == 1
    assert not server.events("deferred", message=id)
    tokens.void.update(f"access-{n}" for n in range(100))
    until(lambda: not sink.held_open, "the connection to be closed", 20, 0.1)
    id = hand_in(server)
    event = server.event("deferred", message=id)
    assert event["alarm"] and event["code"] == 535, event
    assert not server.events("bounced") and any(q["id"] == id for q in server.queue())
    tokens.void.clear()
    server.command("queue", "retry", id)
    until(lambda: len(sink.messages) == 2, "relayed once it is mended")


def test_oauth_refresh_token(t):
    """Renewed each time, kept on disk, private, and good after a restart; a new one in the file wins."""
    identity, server, sink, tokens = smarthost(t, {"client_secret": "s3cret", "refresh_token": "first"})
    identity.refresh["first"] = 0
    identity.lasts = 12  # they are not used in their last ten seconds
    hand_in(server)
    until(lambda: len(sink.messages) == 1, "the first message")
    for n in range(2, 40):  # connections are kept for five seconds, too
        if identity.count >= 3:
            break
        hand_in(server)
        until(lambda: len(sink.messages) == n, f"message {n}")
        until(lambda: not sink.held_open, "the connection to be closed", 20, 0.1)
    assert identity.count >= 3, "the token is not renewed"
    sent = len(sink.messages)
    kept = server.state / "fetcher" / "login-provider"
    assert kept.stat().st_mode & 0o777 == 0o600 and kept.parent.stat().st_mode & 0o777 == 0o700
    assert identity.refresh["first"] == 1 and [k for k, v in identity.refresh.items() if v == 0][0] in kept.read_text()
    server.stop()
    server.start()
    hand_in(server)
    until(lambda: len(sink.messages) == sent + 1, "relayed after a restart")
    # the provider forgets all of it: kept, with an alarm, until a new one is in the file
    for k in identity.refresh:
        identity.refresh[k] = 1
    server.stop()
    server.start()
    id = hand_in(server)
    event = server.event("oauth-token-failed")
    assert "invalid_grant" in event["text"] and event["alarm"], event
    assert server.event("deferred", message=id)["alarm"]
    identity.refresh["second"] = 0
    login = t.folder / "provider.login"
    login.write_text(login.read_text().replace('"first"', '"second"'))
    assert server.reload()["event"] == "reloaded"
    server.command("queue", "retry", id)
    until(lambda: len(sink.messages) == sent + 2, "relayed with the new one", 40)


def test_oauth_token_endpoint_down(t):
    identity, server, sink, tokens = smarthost(t, {"client_secret": "s3cret"})
    identity.fault = "down"
    id = hand_in(server)
    event = server.event("deferred", message=id)
    assert "503" in event["text"] if "text" in event else True, event
    assert not sink.messages and not server.events("bounced")
    identity.fault = None
    retried = lambda: sink.messages or server.run("queue", "retry", id) and False
    until(retried, "relayed when it is well again", 40, 1)


def test_oauth_wrong_client(t):
    identity, server, sink, tokens = smarthost(t, {"client_secret": "wrong"})
    id = hand_in(server)
    event = server.event("oauth-token-failed")
    assert event["alarm"] and "invalid_client" in event["text"] and "who are you" in event["text"], event
    assert server.event("deferred", message=id)["alarm"]
    assert "wrong" not in json.dumps(server.events("deferred"))


def test_oauth_workers_hold_no_client_secret(t):
    """The memory of a worker does not hold it; the fetcher's does."""
    secret = "k9Qz-unlikely-to-be-anywhere-else"
    identity, server, sink, tokens = smarthost(t, {"client_secret": secret})
    identity.secrets["device"] = secret
    hand_in(server)
    until(lambda: sink.messages, "relayed")

    def holds(pid):
        found = False
        with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
            for line in maps:
                where, rights = line.split()[:2]
                low, high = (int(x, 16) for x in where.split("-"))
                if "r" not in rights or "w" not in rights or high - low > 1 << 30:
                    continue
                try:
                    memory.seek(low)
                    found |= secret.encode() in memory.read(high - low)
                except (OSError, ValueError):
                    continue
        return found

    try:
        workers = [holds(pid) for pid in server.children_of("worker")]
    except PermissionError:
        raise Skip("may not look at memory here")
    assert not any(workers), "a worker holds the client's secret"
    assert any(holds(pid) for pid in server.children_of("fetcher")), "the test looks wrongly"


def test_oauth_accounts(t):
    """Workers, keeper and fetcher under two accounts: each gets at its own sockets and files, and no other's."""
    need_root()
    identity = provider(t, secrets={"device": ""})
    identity.refresh["first"] = 0
    login = t.folder / "provider.login"
    login.write_text(json.dumps({"token_url": identity.url + "/token", "client_id": "device", "client_auth": "body",
                                 "refresh_token": "first", "user": "relay@provider.example"}))
    login.chmod(0o600)
    tokens = Tokens(identity)
    sink = t.sink("127.0.0.30", 2525, tokens=tokens, certificate=certificate(t))
    route = f'route "provider" {{ via = {{"smtp://127.0.0.30:2525"}}  tls = require  login = "file:{login}" }}\n'
    server, _ = world(t, CASES + section(identity) + route, sink=False, build="shipped", run_as="nobody", head='keeper_as = "daemon"\n')
    send(server, bearer(identity.token()))
    until(lambda: sink.messages, "relayed")
    kept, run_folder = server.state / "fetcher" / "login-provider", server.state / "run"
    daemon, nobody = 1, 65534
    assert kept.stat().st_uid == daemon and kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_uid == daemon and kept.parent.stat().st_mode & 0o777 == 0o700
    owners = {"fetcher.sock": nobody, "tokens.sock": daemon, "keeper.sock": nobody}
    assert {name: (run_folder / name).stat().st_uid for name in owners} == owners
    (fetcher,) = server.children_of("fetcher")
    status = Path(f"/proc/{fetcher}/status").read_text()
    assert "Uid:\t1\t1\t1\t1" in status and "Seccomp:\t2" in status and "NoNewPrivs:\t1" in status, status


# --- check --live -------------------------------------------------------------------------


def test_oauth_check_live(t):
    identity = provider(t, secrets={"device": "s3cret"})
    login = t.folder / "provider.login"
    client = {"token_url": identity.url + "/token", "client_id": "device", "client_secret": "s3cret", "user": "relay@provider.example"}
    login.write_text(json.dumps(client))
    login.chmod(0o600)
    tokens = Tokens(identity)
    t.sink("127.0.0.30", 2525, tokens=tokens, certificate=certificate(t))
    t.zones({"mail.proseware.com": {"A": ["127.0.0.9"]}})
    route = f'route "provider" {{ via = {{"smtp://127.0.0.30:2525"}}  tls = require  login = "file:{login}" }}\n'
    server = t.server(OURS + section(identity) + route, start=False)

    def look(code):
        done = server.run("check", "--live", "--json")
        assert done.returncode == code, done.stdout + done.stderr
        assert "s3cret" not in done.stdout + done.stderr and "access-" not in done.stdout + done.stderr
        of_the_domain = ("live.domain", "live.spf")  # which is published nowhere
        return {f["id"]: f for f in json.loads(done.stdout)["findings"]
                if f["id"].startswith("live.") and f["id"] not in of_the_domain}, done.stderr

    found, said = look(0)
    assert not found and "logged in" in said, (found, said)
    assert tokens.seen == [("OAUTHBEARER", "relay@provider.example", "access-1")] and identity.times("/keys") == 1
    login.write_text(json.dumps({**client, "client_secret": "wrong"}))
    found, said = look(1)
    assert "invalid_client" in found["live.oauth"]["text"] and found["live.oauth"]["setting"] == "route provider: login", found
    login.write_text(json.dumps({**client, "refresh_token": "once"}))
    identity.refresh["once"] = 0
    found, said = look(0)
    assert identity.refresh["once"] == 0 and "not tried" in said, "a look used up the refresh token"
    identity.fault = "down"
    found, said = look(1)
    assert "503" in found["live.oauth"]["text"] and found["live.oauth"]["setting"] == "oauth corp: jwks", found
