"""Five mail servers for the doctor and relaytest to look at, set up alike: each hosts contoso.com, whose one user Terri may log in,
relays for those it knows to a smart host, and greets at ADDRESS on ports 25 and 587. What is said with each start
is all that differs from a good server; a server is set right by starting it again."""
import subprocess
from pathlib import Path

from peers import NEXT, ROOT

ADDRESS, BEHIND, CLIENT = "127.0.0.60", "127.0.0.25", "127.0.51.1"
NAME, DOMAIN = "mail.contoso.com", "contoso.com"
USER, PASSWORD = "terri@contoso.com", "secret"
BOSS, FOREIGN = "ceo@contoso.com", "bob@adatum.com"
NOBODY = "127.9.9.9/32"
# clients: the network that may relay; auth_25: logins there; plain: logins without TLS too; own: senders are the login's; catch_all:
# anybody in the domain; by_sender: relays for whoever calls himself one of the domain
GOOD = {"clients": NOBODY, "auth_25": True, "plain": False, "own": True, "domains": DOMAIN, "pair": None, "catch_all": False, "by_sender": False}


def make_pair(folder, name=NAME, days=30, authority=None):
    """A certificate for this name, expired with days < 0; self-signed, or by an authority's pair. RSA, as one of the five can do no other."""
    stem = f"{name}-{days}-{'signed' if authority else 'alone'}"
    crt, key, request = folder / f"{stem}.crt", folder / f"{stem}.key", folder / f"{stem}.csr"
    extensions = folder / f"{stem}.ext"
    extensions.write_text(f"subjectAltName=DNS:{name}\n")

    def openssl(*words):
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)

    openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
    signed = ("-CA", authority[0], "-CAkey", authority[1], "-CAcreateserial") if authority else ("-signkey", key)
    openssl("x509", "-req", "-in", request, *signed, "-days", days, "-extfile", extensions, "-out", crt)
    return str(crt), str(key)


class Victim:
    """A server that can be started again with other settings."""
    name = NAME

    def __init__(self, t, peers):
        self.t, self.peers, self.running, self.settings = t, peers, [], None

    def start(self, **settings):
        assert set(settings) <= set(GOOD), settings
        settings = {**GOOD, **settings}
        if settings == self.settings:
            return self
        self.stop()
        self.settings = settings
        self.set_up(**self.settings)
        for port in self.ports():
            self.peers.wait_port(ADDRESS, port, self.log)
        return self

    def ports(self):
        return (25, 587)

    def stop(self):
        for process in self.running:
            process.terminate()
            process.wait(20)
        self.running = []

    def run(self, *command, **more):
        self.running.append(self.peers.start(*command, **more))

    def pem(self, pair, folder, root=ROOT):
        """Certificate and key as the server sees them."""
        self.peers.write(f"{folder}/crt.pem", Path(pair[0]).read_text(), root=root)
        self.peers.write(f"{folder}/key.pem", Path(pair[1]).read_text(), 0o600, root)
        return f"/{folder}/crt.pem", f"/{folder}/key.pem"


class Postfix(Victim):
    log = "var/log/postfix.log"

    def __init__(self, t, peers):
        super().__init__(t, peers)
        private = ROOT / "var/spool/postfix/private"
        private.mkdir()
        peers.dovecot("", {USER: PASSWORD}, """
service auth {
  unix_listener /var/spool/postfix/private/auth {
    mode = 0666
  }
}
""", "127.0.0.61", None)

    def set_up(self, clients, auth_25, plain, own, domains, pair, catch_all, by_sender):
        crt, key = self.pem(pair, "etc/postfix")
        anybody = f"@{DOMAIN}=terri/, " if catch_all else ""
        trusting = f"check_sender_access inline:{{ {DOMAIN}=OK }}, " if by_sender else ""
        main = f"""smtpd_tls_cert_file = {crt}
smtpd_tls_key_file = {key}
smtpd_tls_security_level = may
mynetworks = {clients}
myhostname = {NAME}
mydomain = {DOMAIN}
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, {trusting}reject_unauth_destination
smtpd_sender_restrictions = {"reject_sender_login_mismatch" if own else ""}
smtpd_sender_login_maps = inline:{{ {USER}={USER}, {BOSS}={BOSS} }}
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
smtpd_sasl_auth_enable = {"yes" if auth_25 else "no"}
smtpd_tls_auth_only = {"no" if plain else "yes"}
virtual_mailbox_domains = {domains}
virtual_mailbox_maps = inline:{{ {anybody}{USER}=terri/ }}
smtpd_client_connection_rate_limit = 0
smtpd_error_sleep_time = 0
relayhost = [{BEHIND}]
smtpd_delay_reject = yes
"""
        submission = [f"{ADDRESS}:587 inet n - n - - smtpd", "  -o smtpd_sasl_auth_enable=yes", "  -o smtpd_tls_security_level=encrypt",
                      "  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject"]
        self.running.append(self.peers.postfix(main, ADDRESS, services=submission))


class Exim(Victim):
    log = "var/log/exim4/mainlog"

    def set_up(self, clients, auth_25, plain, own, domains, pair, catch_all, by_sender):
        crt, key = self.pem(pair, "etc/exim4")
        where = [] if auth_25 else ["{eq{$received_port}{587}}"]
        where += [] if plain else ["{!eq{$tls_in_cipher}{}}"]
        self.peers.exim(f"""primary_hostname = {NAME}
domainlist local_domains = {domains}
hostlist relay_from_hosts = {clients}
tls_advertise_hosts = *
tls_certificate = {crt}
tls_privatekey = {key}
acl_smtp_mail = acl_mail
acl_smtp_rcpt = acl_rcpt
begin acl
acl_mail:
  deny condition = {"${if and{{def:authenticated_id}{!eqi{$sender_address}{$authenticated_id}}}}" if own else "false"}
       message = Sender <$sender_address> is not allowed for user $authenticated_id
  accept
acl_rcpt:
  accept hosts = +relay_from_hosts
  accept authenticated = *
  {f"accept senders = *@{DOMAIN}" if by_sender else ""}
  require message = relay not permitted
          domains = +local_domains
  deny local_parts = ^[./|] : ^.*[@%!/|]
  require verify = recipient
  accept
begin routers
away:
  driver = manualroute
  domains = ! +local_domains
  route_list = * {BEHIND}
  self = send
  transport = away
here:
  driver = accept
  {"" if catch_all else "local_parts = terri"}
  transport = here
begin transports
away:
  driver = smtp
  allow_localhost
here:
  driver = appendfile
  file = /var/spool/exim4/inbox
  user = Debian-exim
begin retry
* * F,1h,1m
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_condition = ${{if and{{{{eq{{$auth2}}{{{USER}}}}}{{eq{{$auth3}}{{{PASSWORD}}}}}}}}}
  server_set_id = $auth2
  {"server_advertise_condition = ${if and{" + "".join(where) + "}}" if where else ""}
""")
        self.run("/usr/sbin/exim4", "-bdf", "-q1h", "-oX", f"<; [{ADDRESS}]:25; [{ADDRESS}]:587", env={"PATH": "/usr/sbin:/usr/bin"})


class OpenSmtpd(Victim):
    log = "var/log/smtpd.log"

    def __init__(self, t, peers):
        super().__init__(t, peers)
        peers.next_release()

    def set_up(self, clients, auth_25, plain, own, domains, pair, catch_all, by_sender):
        crt, key = self.pem(pair, "etc/smtpd", NEXT)
        self.peers.write("etc/ssl/certs/ca-certificates.crt", Path(pair[0]).read_text(), root=NEXT)  # it wants one to start
        senders = "senders <may>" if own else ""
        hosted = f'match from any for domain "{domains}" action "here"' if domains else ""
        self.peers.opensmtpd(f"""table creds {{ "{USER}" = "$5$0123456789abcdef$r6nzC5LUC0uVXFw52gWstJ181ms.XFW71j20yui2zG7" }}
table may {{ "{USER}" = "{USER}", "{BOSS}" = "{BOSS}" }}
table people {{ {f'"@" = "vmail"' if catch_all else f'"{USER}" = "vmail"'} }}
pki mail cert "{crt}"
pki mail key "{key}"
listen on {ADDRESS} port 25 hostname {NAME} tls pki mail {f"auth-optional <creds> {senders}" if auth_25 else ""}
listen on {ADDRESS} port 587 hostname {NAME} tls-require pki mail auth <creds> {senders}
action "away" relay host "smtp+notls://{BEHIND}"
action "here" maildir "/var/vmail/%{{dest.user}}" virtual <people>
match from src {{ {clients} }} for any action "away"
match auth from any for any action "away"
{f'match from any mail-from "@{DOMAIN}" for any action "away"' if by_sender else ""}
{hosted}
""")
        self.run("/usr/sbin/smtpd", "-d", "-f", "/etc/smtpd/smtpd.conf", root=NEXT, env={"PATH": "/usr/sbin:/usr/bin"})


class Dovecot(Victim):
    """Submission alone: it takes logins only, and has everything else decided by the server behind it, here a sink."""
    log = "var/log/dovecot.log"

    def ports(self):
        return (25, 587) if self.settings["auth_25"] else (587,)

    def set_up(self, clients, auth_25, plain, own, domains, pair, catch_all, by_sender):
        crt, key = self.pem(pair, "etc/dovecot")
        on_25 = "inet_listener smtp {\n    port = 25\n  }" if auth_25 else ""
        self.running.append(self.peers.dovecot("submission", {USER: PASSWORD}, f"""
hostname = {NAME}
ssl = yes
ssl_cert = <{crt}
ssl_key = <{key}
disable_plaintext_auth = {"no" if plain else "yes"}
submission_relay_host = {BEHIND}
submission_relay_trusted = no
service submission-login {{
  inet_listener submission {{
    port = 587
  }}
  {on_25}
}}
""", ADDRESS, None))


class Postern(Victim):
    log = "var/log/none"
    name = "mail.proseware.com"  # as the harness sets it

    def __init__(self, t, peers):
        super().__init__(t, peers)
        self.server = None

    def set_up(self, clients, auth_25, plain, own, domains, pair, catch_all, by_sender, expected="reloaded"):
        tls = f'certificate = "{pair[0]}"  key = "{pair[1]}"'
        text = f"""
listener "internet"   {{ bind = {{"{ADDRESS}:25"}}   tls = offer    auth = {"offer" if auth_25 else "off"}  {tls} }}
listener "submission" {{ bind = {{"{ADDRESS}:587"}}  tls = require  auth = require  {tls} }}
connector "people" {{ auth = any  may_relay_to = {{"*"}}  senders = {"own" if own else "any"} }}
connector "office" {{ clients = {{"{clients}"}}  may_relay_to = {{"*"}}  senders = any  note = "the test's own" }}
route "away" {{ via = {{"smtp://{BEHIND}:25"}}  tls = off }}
"""
        if domains:
            text += f'domain "{domains}" {{ {"recipients = any  deliver = " + chr(34) + "smtp:" + BEHIND + ":25" + chr(34) if catch_all else ""} }}\n'
        if self.server:
            event = self.server.reload(text)
            assert event["event"] == expected, event
            return
        self.server = self.t.server(text)
        self.server.user(USER, PASSWORD)
        self.server.user(BOSS, PASSWORD)


ALL = (Postfix, Exim, OpenSmtpd, Dovecot, Postern)
