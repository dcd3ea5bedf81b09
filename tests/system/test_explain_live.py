"""`postern explain --live`: what servers, name servers and blocklists on loopback say about a refusal, what that makes
of its cause, and that nothing they do or do not keeps it waiting."""
import json
import subprocess
import time

from test_parent import pair
from test_blocklist import list_zone, reversed_
from world import *

CLIENT = "203.0.113.7"
KEY = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

BOUNCE = """From: MAILER-DAEMON@mail.example.com (Mail Delivery System)
To: ann@example.com
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

I'm sorry to have to inform you that your message could not be delivered.

<bob@contoso.com>: host {host}[127.0.0.30] said: {reply} (in reply to RCPT TO command)

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example.com
X-Postfix-Sender: rfc822; ann@example.com

Final-Recipient: rfc822; bob@contoso.com
Action: failed
Status: 5.7.1
Remote-MTA: dns; {host}
Diagnostic-Code: smtp; {reply}

--b
Content-Type: message/rfc822

Received: from laptop (unknown [{client}]) by mail.example.com
DKIM-Signature: v=1; a=ed25519-sha256; d=example.com; s={selector}; h=from:subject;
 bh=abc; b=def
From: Ann <ann@example.com>
To: bob@contoso.com
Subject: Hello

Hello
--b--
"""


def explain(t, *words, text=None, code=0):
    began = time.monotonic()
    done = subprocess.run([f"{t.builds['sanitized']}/src/bin/postern", "explain", "--live", "--dns", t.dns.where, *map(str, words)],
                          input=text or "", text=True, capture_output=True, errors="replace")
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
    assert done.returncode == code, done
    done.seconds = time.monotonic() - began
    return done


def told(t, *words, text=None):
    answer = json.loads(explain(t, "--json", *words, text=text).stdout)
    found = {}
    for finding in answer["live"]:
        found.setdefault(finding["id"], []).append(finding)
    return answer, found


def bounce(host="mx.contoso.com", reply="550 5.7.1 <bob@contoso.com>: Relay access denied", client=CLIENT, selector="k1"):
    return BOUNCE.format(host=host, reply=reply, client=client, selector=selector)


def domains(t, **more):
    t.zones({"mail.example.com": {"A": [CLIENT]}, "contoso.com": {"MX": ["10 mx.contoso.com"]}, "mx.contoso.com": {"A": ["127.0.0.30"]},
             "example.com": {"TXT": [f"v=spf1 ip4:{CLIENT} -all"]}, "k1._domainkey.example.com": {"TXT": [KEY]},
             "_dmarc.example.com": {"TXT": ["v=DMARC1; p=reject"]}, **more})


def test_live_explain_mx(t):
    """The recipient's own server does not know the domain: that is the recipient's administrator's to mend."""
    domains(t)
    sink = t.sink("127.0.0.30", 25)
    answer, found = told(t, "-", text=bounce())
    (mx,), (login,) = found["live.mx"], found["live.login"]
    assert mx["severity"] == "info" and mx["about"] == "mx.contoso.com" and "is a mail server (MX) of contoso.com" in mx["seen"]
    assert "port 25: no login is offered; port 587: " in login["seen"] and "refused" in login["seen"], login
    (recipient,) = answer["recipients"]
    assert recipient["cause"] == "relay-domain-not-hosted" and recipient["who"] == "recipient-admin", recipient
    assert not sink.messages and [c.split()[0] for c in sink.commands] == ["EHLO", "QUIT"], sink.commands


def test_live_explain_smart_host(t):
    """An outgoing server, which wants a login after STARTTLS on 587: the words are vague, the facts are not."""
    chain = tuple(map(str, pair(t.folder, "own", "smtp.provider.example")))
    domains(t, **{"smtp.provider.example": {"A": ["127.0.0.31"]}})
    t.sink("127.0.0.31", 25)
    sink = t.sink("127.0.0.31", 587, certificate=chain, logins={"ann": "secret"})
    reply = "550 5.1.1 <bob@contoso.com>: invalid recipient"
    answer, found = told(t, "-", text=bounce("smtp.provider.example", reply))
    (mx,), (login,) = found["live.mx"], found["live.login"]
    assert mx["severity"] == "warning" and "which are mx.contoso.com" in mx["seen"] and mx["fix"], mx
    assert "port 587: a login is offered (PLAIN" in login["seen"] and login["who"] == "sender", login
    (recipient,) = answer["recipients"]
    assert recipient["cause"].startswith("relay-") and recipient["reason"] == "norelaying", recipient
    assert "by its words alone" in found["live.cause"][0]["seen"], found
    assert not [c for c in sink.commands if c.split()[0] not in ("EHLO", "STARTTLS", "QUIT")], sink.commands
    text = explain(t, "-", text=bounce("smtp.provider.example", reply)).stdout
    assert "What the network says:" in text and "warning: live.mx: smtp.provider.example" in text, text


def test_live_explain_operator(t):
    """Machines behind a provider's MX have names of their own; an address in common says it too."""
    domains(t, **{"mx.contoso.com": {"A": ["127.0.0.30"]}, "contoso.com": {"MX": ["10 contoso-com.in.bigmail.example"]},
                  "contoso-com.in.bigmail.example": {"A": ["127.0.0.30"]}, "fe7.bigmail.example": {"A": ["127.0.0.32"]}})
    _, found = told(t, "-", text=bounce("fe7.bigmail.example"))
    assert "belongs to whoever runs" in found["live.mx"][0]["seen"], found
    _, found = told(t, "-", text=bounce("mx.contoso.com"))
    assert "its address is one of" in found["live.mx"][0]["seen"], found


def test_live_explain_client(t):
    """The address that the message came from: listed, without a name; the proof of the sender."""
    domains(t, **list_zone("zen.spamhaus.org", [(reversed_(CLIENT), ["127.0.0.4"])]), **list_zone("bl.spamcop.net"))
    _, found = told(t, "-", text=bounce())
    (listed,) = found["blocklist.listed"]
    assert found["live.client"][0]["about"] == f"mail.example.com [{CLIENT}]"
    assert listed["about"] == CLIENT and "XBL" in listed["seen"] and listed["severity"] == "error", listed
    assert "has no name" in found["live.ptr"][0]["seen"], found["live.ptr"]
    assert ": pass" in found["live.spf"][0]["seen"] and "is published (ed25519" in found["live.dkim"][0]["seen"], found
    assert "DMARC passes by SPF" in found["live.dmarc"][0]["seen"], found["live.dmarc"]
    t.zones({"4.4.8.8.in-addr.arpa": {"PTR": ["mail.example.com"]}, "mail.example.com": {"A": ["8.8.4.4"]}})
    _, found = told(t, "-", "--client", "8.8.4.4", text=bounce(selector="gone"))
    assert "blocklist.listed" not in found and "none of the 2 blocklists that answered" in found["live.listed"][0]["seen"], found
    assert "leads back" in found["live.ptr"][0]["seen"]
    (spf,), (dkim,), (dmarc,) = found["live.spf"], found["live.dkim"], found["live.dmarc"]
    assert spf["severity"] == "error" and ": fail" in spf["seen"] and "-all" in spf["seen"], spf
    assert dkim["severity"] == "error" and "is not published" in dkim["seen"] and "gone._domainkey.example.com" in dkim["fix"][0]
    assert dmarc["severity"] == "error" and "DMARC fails" in dmarc["seen"] and "reject" in dmarc["seen"], dmarc


def test_live_explain_bare_reply(t):
    """Words alone: what is missing is named, and can be given."""
    domains(t, **{"dnsbl.sorbs.net": {"NS": ["ns.test"]}})
    _, found = told(t, "554 5.7.1 Service unavailable; client blocked using dnsbl.sorbs.net")
    assert all(f[0].get("skipped") for k, f in found.items() if k in ("live.mx", "live.listed", "live.spf", "live.dkim", "live.dmarc"))
    assert "--host" in found["live.mx"][0]["seen"] and "--client" in found["live.spf"][0]["seen"]
    (ended,) = found["live.list-ended"]
    assert ended["who"] == "recipient-admin" and "2024" in ended["seen"], ended
    t.sink("127.0.0.30", 25)
    _, found = told(t, "550 5.7.1 Unable to relay", "--host", "mx.contoso.com", "--to", "bob@contoso.com", "--from",
                    "ann@example.com", "--client", CLIENT)
    assert found["live.mx"][0]["severity"] == "info" and ": pass" in found["live.spf"][0]["seen"], found


def test_live_explain_domain_gone(t):
    domains(t)
    _, found = told(t, "550 5.1.2 no such host", "--to", "bob@gone.example")
    (gone,) = found["live.domain"]
    assert gone["who"] == "sender" and "does not exist" in gone["seen"], gone


def test_live_explain_time(t):
    """Name servers that say nothing, hosts that drip, bind and lie: it ends in time, and says what was not had."""
    t.zones({}).silent = True
    done = explain(t, "--json", "-", text=bounce())
    assert done.seconds < 25, done.seconds
    found = {f["id"]: f for f in json.loads(done.stdout)["live"]}
    assert all(found[i]["skipped"] for i in ("live.mx", "live.login", "live.listed", "live.spf", "live.dkim", "live.dmarc")), found
    t.dns.silent = False
    domains(t)
    t.sink("127.0.0.30", 25, replies={"banner": lambda a, s: __import__("sink").HANG})
    t.sink("127.0.0.30", 587, replies={"banner": "220 \x1b[2J\x07" + "x" * 30000})
    done = explain(t, "-", text=bounce())
    assert done.seconds < 25 and "its greeting did not come in time" in " ".join(done.stdout.split()), done
    assert all(c.isprintable() or c == "\n" for c in done.stdout), done.stdout


def test_live_explain_misuse(t):
    domains(t)
    for words, said in ((("--client", "nobody", "550 no"), "is no address"), (("--dns", "nonsense", "550 5.7.1 Unable to relay"), "--dns takes")):
        done = subprocess.run([f"{t.builds['sanitized']}/src/bin/postern", "explain", "--live", *words], text=True, capture_output=True)
        assert said in done.stderr, done
    done = subprocess.run([f"{t.builds['sanitized']}/src/bin/postern", "explain", "--client", CLIENT, "550 no"], text=True, capture_output=True)
    assert done.returncode == 64 and "--live" in done.stderr, done
