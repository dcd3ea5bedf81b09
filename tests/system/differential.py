"""Random configurations and random transactions, for comparing what a running server answers with what `postern why`
says it would: one question a transaction and recipient. Everything is drawn from a seed; a failure names it."""
import base64
import ipaddress
import json
import re
import ssl
import subprocess

from harness import ROOT, until
from smtp_session import Gone, Session

FILTER, BALANCER = "127.0.9.10", "127.0.9.9"  # XCLIENT and PROXY peers of every listener
PASSWORD = "secret"
ENOUGH_REFUSALS = 12  # of the 20 a session may have

OURS, CATCHALL, CUSTOMER = "proseware.com", "catchall.example", "north.example"
PIA, QUIN = f"pia@{CUSTOMER}", f"quin@{CUSTOMER}"  # a customer's, where the configuration has the customer
USERS = [f"{name}@{OURS}" for name in ("ann", "bob", "cyd", "dan", "eve")]
DISABLED = f"off@{OURS}"
ALIASES = {f"a.smith@{OURS}": USERS[0], f"sales@{OURS}": USERS[1]}
# Who logs in: mostly people, in whatever letters; those who may not are few, for their answers are delayed.
BARRED = [DISABLED, f"ghost@{OURS}", f"sales@{OURS}"]
LOGINS = [*USERS * 40, *[PIA, QUIN] * 20, *[USERS[0].upper(), "Bob@Proseware.com"] * 5, *BARRED]
# A DNS blocklist, and whom it has: some who are granted something, some who are not.
BLOCKLIST, LISTED = "bl.example", ("8.8.8.8", "198.51.100.200", "192.0.2.31", "203.0.113.9")
ZONE = {".".join(reversed(address.split("."))) + "." + BLOCKLIST: {"A": ["127.0.0.2"]} for address in LISTED}
# Passwords of a login beside its own: bound to a network, to a sender, to both.
APPS = {(USERS[0], "printer"): ("--network", "192.0.2.0/24"), (USERS[1], "news"): ("--sender", USERS[1]),
        (USERS[2], "both"): ("--sender", USERS[2], "--network", "127.0.0.0/8", "--network", "2001:db8::/32")}
APP_PASSWORDS = {}  # as the server made them
RIGHTS = [(USERS[0], f"{USERS[1]}"), (USERS[1], "*@news.example"), (USERS[2], "team@adatum.com"), (USERS[3], ".lists.example")]
OTHERS = ["adatum.com", "contoso.com", "news.example", "eu.lists.example", "spam.example", "x.spam.example"]

NETWORKS = ["192.0.2.0/24", "192.0.2.16/28", "198.51.100.0/25", "203.0.113.9/32", "127.0.2.0/24", "127.0.60.6/32",
            "10.1.0.0/16", "2001:db8:5::/48", "2001:db8:5:7::/64", "2001:db8:9::1/128", "::ffff:198.51.100.64/122"]
LISTENERS = ("internet", "submission", "submissions", "offering", "plain")


def built():
    """Which settings this release takes: the table of those it does not is the configuration's own."""
    text = (ROOT / "src/config/schema.c").read_text()
    table = re.search(r"not_built\[\] = \{(.*?)\n\};", text, re.S).group(1)
    rows = {(section, setting) for section, setting in re.findall(r'\{\s*"(\w*)",\s*(?:"(\w+)"|NULL)', table)}
    return lambda section, setting="": (section, setting) not in rows and (section, "") not in rows


# --- configurations ----------------------------------------------------------------------------------------------


def quoted(words):
    return "{" + ", ".join(f'"{w}"' for w in words) + "}"


class Configuration:
    """A text, and what its transactions are drawn from."""

    def __init__(self, rng):
        self.rng, self.networks, self.waived = rng, [], False
        count = rng.choice((0, 1, 2, 3, 4, 5, 7))
        self.text = self.head() + "".join(self.listener(name) for name in LISTENERS)
        self.text += "".join(self.connector(f"c{n}") for n in range(count))

    def some(self, words, least=1, most=3):
        return self.rng.sample(words, min(len(words), self.rng.randint(least, most)))

    def head(self):
        rng = self.rng
        text = f'domain "{OURS}" {{}}\ndomain "{CATCHALL}" {{ recipients = any }}\nqueue {{ retry = {{"1h"}} }}\n'
        text += f'domain "{CUSTOMER}" {{}}\n'
        self.lists = rng.random() < 0.3
        text += f'blocklists = {{"{BLOCKLIST}"}}\n' if self.lists else ""
        self.customer = rng.random() < 0.5
        text += self.tenant() if self.customer else ""
        text += 'route "nowhere" { to = {"*"} via = {"smtp://127.0.0.1:1"} }\n'
        if rng.random() < 0.6:
            text += f"blocked_senders = {quoted(self.some(['spam.example', '.spam.example', 'x@contoso.com', USERS[4]]))}\n"
        if rng.random() < 0.6:
            text += f"blocked_headers = {quoted(self.some(['spam.example', '.spam.example', 'x@contoso.com', USERS[4]]))}\n"
        return text + rng.choice(("", "explain = brief\n"))

    def tenant(self):
        rng = self.rng
        chosen = self.some(NETWORKS) if rng.random() < 0.6 else []
        self.networks += chosen
        text = f'tenant "north" {{\n  domains = {{"{CUSTOMER}"}}\n'
        text += f"  clients = {quoted(chosen)}\n" if chosen else ""
        text += f"  max_recipients = {rng.randint(1, 3)}\n" if rng.random() < 0.3 else ""
        return text + "}\n"

    def listener(self, name):
        rng = self.rng
        tls = {"internet": "offer", "submission": "require", "submissions": "implicit", "offering": "offer", "plain": "off"}[name]
        auth = {"internet": "off", "submission": "require", "submissions": "require", "offering": "offer", "plain": "offer"}[name]
        if name in ("offering", "submissions", "plain") and rng.random() < 0.3:
            auth = rng.choice(("off", "offer", "require"))
        text = f'listener "{name}" {{ bind = {{"127.0.0.1:0"}} tls = {tls} auth = {auth}\n'
        text += f'  xclient_from = {{"{FILTER}"}} proxy_protocol_from = {{"{BALANCER}"}} max_connections_per_client = 1000\n'
        if auth != "off" and rng.random() < 0.4:
            text += f"  mechanisms = {quoted(self.some(['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256', 'PLAIN', 'LOGIN'], 1, 4))}\n"
        if rng.random() < 0.3:
            text += f"  max_recipients = {rng.randint(1, 4)}\n"
        if rng.random() < 0.3:
            text += f"  max_message_size = {rng.choice(('64KiB', '1MiB'))}\n"
        return text + "}\n"

    def clients(self):
        chosen = self.some(NETWORKS)
        self.networks += chosen
        text = f"  clients = {quoted(chosen)}\n"
        if self.rng.random() < 0.4:
            wide = [n for n in map(ipaddress.ip_network, chosen) if n.num_addresses >= 8]
            inner = [str(next(n.subnets(2))) for n in wide]
            self.networks += inner
            text += f"  except = {quoted(inner)}\n" if inner else ""
        return text

    def senders(self, login):
        rng = self.rng
        lists = [USERS[0], f"*@{OURS}", "news.example", ".lists.example", "*", "<>", "scanner@proseware.com", "adatum.com"]
        if login and rng.random() < 0.6:
            return rng.choice(("", "  senders = own\n"))
        return rng.choice(("  senders = any\n", f"  senders = {quoted(self.some(lists))}\n"))

    def connector(self, name):
        rng = self.rng
        kind = rng.choice(("clients", "clients", "auth", "auth", "both", "waiver"))
        login = kind in ("auth", "both")
        text = f'connector "{name}" {{\n'
        text += self.clients() if kind != "auth" else ""
        if login:
            text += rng.choice(("  auth = any\n", f"  auth = {quoted(self.some(USERS + [DISABLED]))}\n"))
        if rng.random() < 0.3:
            text += f"  listeners = {quoted(self.some(LISTENERS, 1, 4))}\n"
        if kind == "waiver":
            text += f"  without_auth_on = {quoted(self.some(('submission', 'submissions'), 1, 2))}\n"
            text += rng.choice(("", '  without_tls_on = {"submission"}\n'))
        if rng.random() < 0.85:
            text += f"  may_relay_to = {quoted(self.some(['*', 'adatum.com', '.lists.example', 'x@contoso.com', 'contoso.com']))}\n"
        tenant = self.customer and rng.random() < 0.2
        text += f'  tenant = "north"\n  senders = {quoted([CUSTOMER])}\n' if tenant else self.senders(login)
        text += rng.choice(("", "", "  header_from = strict\n", "  header_from = any\n"))
        if rng.random() < 0.25:
            text += f"  expires = \"{rng.choice(('2020-01-01', '2020-01-01', '2099-01-01'))}\"\n"
        if rng.random() < 0.2:
            text += f"  max_recipients = {rng.randint(1, 3)}\n"
        return text + '  note = "drawn by lot"\n}\n'


# --- transactions -------------------------------------------------------------------------------------------------


def draw_client(rng, configuration):
    if configuration.networks and rng.random() < 0.6:
        network = ipaddress.ip_network(rng.choice(configuration.networks))
        edges = (0, network.num_addresses - 1, rng.randrange(network.num_addresses), rng.randrange(network.num_addresses))
        address = int(network.network_address) + rng.choice(edges) + rng.choice((0, 0, 0, 0, 1, -1))
        client = ipaddress.ip_address(address) if network.version == 4 else ipaddress.IPv6Address(address)
    else:
        client = ipaddress.ip_address(rng.choice(("198.51.100.200", "8.8.8.8", "127.0.51.1", "2001:4860::8888", "192.0.3.1")))
    if client.version == 6 and client.ipv4_mapped:
        client = client.ipv4_mapped
    if client.version == 4 and rng.random() < 0.1:
        return f"::ffff:{client}"
    return str(client)


def draw_address(rng, *others):
    local = rng.choice(("ann", "bob", "x", "team", "scanner", "postmaster", "ann+tag", "nobody", "a.smith", "eve"))
    return rng.choice((*USERS, *ALIASES, *others, f"{local}@{OURS}", f"{local}@{CATCHALL}", PIA, f"{local}@{rng.choice(OTHERS)}",
                       f"{local.upper()}@{rng.choice(OTHERS).upper()}"))


def draw_transaction(rng, configuration):
    """{"how", "listener", "tls", "client", "user", "mechanism", "from", "to": [...], "size", "header": {...}}"""
    listener = rng.choice(LISTENERS)
    tls = {"submissions": True, "plain": False}.get(listener, rng.random() < (0.8 if listener == "submission" else 0.3))
    user = rng.choice(LOGINS) if rng.random() < (0.75 if "subm" in listener else 0.3) else None
    t = {"listener": listener, "tls": tls, "client": draw_client(rng, configuration), "user": user}
    if user in BARRED:  # one address that fails again and again would be shut out
        t["client"] = f"198.18.{rng.randrange(256)}.{rng.randrange(256)}"
    t["mechanism"] = rng.choice(("PLAIN",) * 12 + ("LOGIN", "SCRAM-SHA-256-PLUS", "CRAM-MD5")) if user else None
    app = next((name for login, name in APPS if login == user), None)
    if app and t["mechanism"] in ("PLAIN", "LOGIN") and rng.random() < 0.3:
        t["app"] = app
    own = [user] * 6 if user else []
    t["from"] = rng.choice((draw_address(rng, *own, "", f"ann+tag@{OURS}"), *own))
    to = ["postmaster", "ann%adatum.com@proseware.com", '"ann@adatum.com"@proseware.com', "x@[127.0.0.1]", "postmaster@[127.0.0.1]"]
    t["to"] = [draw_address(rng, *to) for _ in range(rng.choice((1, 1, 1, 1, 2, 4)))]
    t["listed"] = configuration.lists and t["client"].rpartition(":")[2] in LISTED
    t["size"] = rng.choice((None, None, 100, 65536, 65537, 2 << 20))
    if rng.random() < 0.7:
        t["header"] = draw_header(rng, own + [t["from"]] * 4)
    client = ipaddress.ip_address(t["client"])
    direct = client.version == 4 and client.is_loopback and t["client"] not in (FILTER, BALANCER) and not t["client"].endswith(".0")
    unreachable = listener == "submission" and not tls  # XCLIENT would be refused as anything else is
    t["how"] = "bind" if direct and rng.random() < 0.7 else "proxy" if unreachable or rng.random() < 0.1 else "xclient"
    return t


def draw_header(rng, own):
    def mailbox():
        return rng.choice([a for a in own if a] + [draw_address(rng)] * 4)

    froms = rng.choice((1,) * 12 + (0, 2))
    return {
        "From": [[mailbox() for _ in range(rng.choice((1, 1, 1, 1, 2)))] for _ in range(froms)],
        "Sender": [[mailbox()]] if rng.random() < 0.2 else [],
        "Reply-To": [[mailbox()]] if rng.random() < 0.2 else [],
    }


def render(header):
    """The message, with the fields written in the ways that mail programs have."""
    lines = ["Subject: drawn by lot"]
    for field, values in header.items():
        for n, mailboxes in enumerate(values):
            forms = (f'"Somebody, really" <{{}}>', "<{}>", "{}", "=?utf-8?q?J=C3=B6rg?= <{}>", "(a comment) {}", "Jo\r\n <{}>")
            lines.append(f"{field}: " + ", ".join(forms[(n + i + len(m)) % len(forms)].format(m) for i, m in enumerate(mailboxes)))
    return ("\r\n".join(lines) + "\r\n\r\nGood day\r\n").encode()


def question(t, recipient, number, at_end):
    """What `postern why --batch` is asked."""
    q = {"client": t["client"], "listener": t["listener"], "tls": t["tls"], "from": t["from"], "to": recipient, "recipients": number}
    q |= {"user": t["user"], "mechanism": t["mechanism"]} if t["user"] else {}
    q |= {"size": t["size"]} if t["size"] else {}
    q |= {"listed": [BLOCKLIST]} if t["listed"] else {}
    q |= {"app-password": t["app"]} if t.get("app") else {}
    q |= {"certificate": t["key"]} if t.get("key") else {}
    if at_end:
        header = t["header"]
        for field, option in (("From", "header-from"), ("Sender", "sender-header"), ("Reply-To", "reply-to")):
            q[option] = [m for value in header[field] for m in value]
        q["from-fields"] = len(header["From"])
    return q


# --- asking the server ----------------------------------------------------------------------------------------------


def plain(user, app=None):
    return base64.b64encode(f"\0{user}\0{APP_PASSWORDS.get(app, PASSWORD)}".encode()).decode()


def observed(reply, connector=None):
    found = re.search(r"\[([a-z0-9.-]+) \w+\]$", reply.text)
    enhanced = reply.enhanced
    verdict = "accept" if reply.code < 300 else "later" if reply.code < 500 else "refuse"
    return {"verdict": verdict, "code": reply.code, "enhanced": enhanced, "reason": found[1] if found else "", "connector": connector}


class Driver:
    """Speaks the transactions, several to a session where XCLIENT may change whom it is for."""

    def __init__(self, server):
        self.server, self.open, self.context = server, {}, ssl._create_unverified_context()
        self.asked = []  # (transaction, question, observed)
        self.connections = 0

    def wrap(self, c, t):
        """TLS, with a certificate of its own if the client has one."""
        context = self.context
        if t.get("certificate"):
            context = ssl._create_unverified_context()
            context.load_cert_chain(*t["certificate"])
        c.socket = context.wrap_socket(c.socket, server_hostname="mail.proseware.com")

    def connect(self, t):
        self.connections += 1
        source = {"bind": t["client"].rpartition(":")[2], "proxy": BALANCER, "xclient": FILTER}[t["how"]]
        first = b""
        if t["how"] == "proxy":
            client = t["client"]
            family, here = ("TCP6", "::1") if ":" in client else ("TCP4", "127.0.0.1")
            first = f"PROXY {family} {client} {here} 40000 25\r\n".encode()
        c = self.server.session(t["listener"], source, first=first, banner=False)
        c.refusals = 0
        if t["listener"] == "submissions":
            self.wrap(c, t)
        c.read()
        if t["tls"] and t["listener"] != "submissions":
            c.ehlo().want("STARTTLS", "220")
            self.wrap(c, t)
        return c

    def session(self, t):
        if t["how"] != "xclient":
            return self.connect(t)
        key = (t["listener"], t["tls"])
        if key not in self.open or self.open[key].refusals > ENOUGH_REFUSALS:
            if key in self.open:
                self.open.pop(key).close()
            self.open[key] = self.connect(t)
        return self.open[key]

    def lines(self, t):
        """The commands up to RCPT, and which step each is."""
        yield "HELLO", "EHLO client.example"
        if t["how"] == "xclient":
            yield "HELLO", f"XCLIENT ADDR={'IPV6:' if ':' in t['client'] else ''}{t['client']}"
            yield "HELLO", "EHLO client.example"
        if t["user"]:
            yield "AUTH", f"AUTH {t['mechanism']}" + (f" {plain(t['user'], t.get('app'))}" if t["mechanism"] == "PLAIN" else "")
        yield "MAIL", f"MAIL FROM:<{t['from']}>" + (f" SIZE={t['size']}" if t["size"] else "")
        for to in t["to"]:
            yield "RCPT", f"RCPT TO:<{to}>"

    def log_in(self, c, t, reply):
        """LOGIN asks twice; a PLUS mechanism is only asked for, to see whether it is taken."""
        if reply.code == 334 and t["mechanism"] == "LOGIN":
            c.cmd(base64.b64encode(t["user"].encode()).decode())
            return c.cmd(base64.b64encode(APP_PASSWORDS.get(t.get("app"), PASSWORD).encode()).decode())
        return c.cmd("*") if reply.code == 334 else reply

    def run(self, t):
        """Again, while a reload still starts the keeper: until it answers, a login gets 454."""
        until(lambda: self.once(t), f"the keeper answers: {t}", 20, 0.2)

    def once(self, t):
        c = self.session(t)
        try:
            self.speak(c, t)
        finally:
            if t["how"] != "xclient":
                c.close()
        if not self.asked or self.asked[-1][2]["reason"] != "backend.auth":
            return True
        self.forget()
        return False

    def forget(self):
        self.asked.pop()

    def speak(self, c, t):
        steps = list(self.lines(t))
        # One write up to AUTH where that takes more than one answer, else all at once.
        at_once = t["mechanism"] in (None, "PLAIN")
        if at_once:
            c.send("".join(line + "\r\n" for _, line in steps).encode())
        accepted, number = [], 0
        for step, line in steps:
            reply = c.read() if at_once else c.cmd(line)
            if step == "AUTH" and not at_once:
                reply = self.log_in(c, t, reply)
                if reply.code == 501 and t["mechanism"] != "LOGIN":  # it would have been taken
                    return self.end(c)
            if reply.code >= 400:
                c.refusals += 1
            if step == "HELLO":
                assert reply.code in (220, 250), (t, line, reply)
            elif step != "RCPT" and reply.code >= 400:
                self.note(t, question(t, t["to"][0], 1, False), observed(reply), step)
                if "auth.failed" in reply.text:  # and 421 may follow
                    return self.drop(c)
                if at_once:
                    for _ in steps[steps.index((step, line)) + 1 :]:
                        c.read()
                        c.refusals += 1
                return self.end(c)
            elif step == "RCPT":
                to = t["to"][number]
                number += 1
                self.note(t, question(t, to, len(accepted) + 1, False), observed(reply), step)
                if reply.code < 300:
                    accepted.append(to)
        if len(accepted) == 1 and "header" in t and (t["size"] or 0) < 100000:
            return self.content(c, t, accepted[0])
        self.end(c)

    def content(self, c, t, to):
        c.want("DATA", "354")
        c.send(render(t["header"]) + b".\r\n")
        reply = c.read()
        c.refusals += reply.code >= 400
        queued = re.search(r"queued as (\S+)", reply.text)
        asked = question({**t, "size": None}, to, 1, True)
        self.note(t, asked, observed(reply, queued[1] if queued else None), "DATA")

    def drop(self, c):
        self.open = {key: other for key, other in self.open.items() if other is not c}
        c.close()

    def end(self, c):
        c.send(b"RSET\r\n")
        c.read()

    def note(self, t, asked, seen, step):
        self.asked.append((t, asked, seen, step))


# --- comparing --------------------------------------------------------------------------------------------------------


def ask_why(server, questions, binary=None):
    text = "".join(json.dumps(q) + "\n" for q in questions)
    line = [str(binary or server.binary), "why", "-c", str(server.file), "--batch", "--offline"]
    done = subprocess.run(line, input=text, text=True, capture_output=True, env=server.environment)
    assert done.returncode == 0, f"exit {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(questions), "an answer each"
    return answers


def granted(server, since):
    """{message id: connector} of the events."""
    return {e["message"]: e.get("granted_by", "") for e in server.events("accepted", since=since)}


def differences(server, driver, since):
    """[(transaction, question, seen, said)] where they differ."""
    answers = driver.answers() if hasattr(driver, "answers") else ask_why(server, [asked for _, asked, _, _ in driver.asked])
    connectors = granted(server, since)
    found = []
    for (t, asked, seen, step), said in zip(driver.asked, answers):
        seen = dict(seen)
        accepted = seen["verdict"] == "accept"
        seen["connector"] = connectors[seen["connector"]] if seen["connector"] else None
        same = said["verdict"] == seen["verdict"] and said["reason"] == seen["reason"]
        same = same and (accepted or (said["code"], said["enhanced"]) == (seen["code"], seen["enhanced"]))
        if seen["connector"] is not None:
            same = same and said["connector"] == seen["connector"]
        if not same:
            found.append((t, asked, seen, {k: said[k] for k in ("verdict", "code", "enhanced", "reason", "connector", "step", "rules")}, step))
    return found


# --- what the server remembers: limits, POP windows; and certificates ------------------------------------------------


class Remembering(Configuration):
    """With limits that fill up, and grants by certificate and by POP before SMTP. Its clients are few, so that they do."""

    def __init__(self, rng, certificates):
        self.certificates = certificates
        super().__init__(rng)
        self.clients_drawn = [draw_client(rng, self) for _ in range(5)]

    def limits(self, *settings):
        return "".join(f'  {s} = {{"{self.rng.randint(1, 6)}/hour"}}\n' for s in settings if self.rng.random() < 0.35)

    def head(self):
        text = super().head().replace('domains = {"north.example"}', f'domains = {{"north.example"}}\n{self.limits("limit", "limit_recipients")}')
        return text.replace(f'"{CATCHALL}" {{ recipients = any }}',
                                      f'"{CATCHALL}" {{ recipients = any\n{self.limits("limit", "limit_recipients")} }}')

    def listener(self, name):
        text = super().listener(name)
        return text[:-2] + (self.limits("limit_per_client", "limit_recipients_per_client") if self.rng.random() < 0.3 else "") + "}\n"

    def connector(self, name):
        rng, kind = self.rng, self.rng.random()
        text = super().connector(name)
        if kind < 0.2:
            text = f'connector "{name}" {{\n  pop_before_smtp = 15min\n  may_relay_to = {{"*"}}\n  senders = own\n  note = "drawn by lot"\n}}\n'
        elif kind < 0.45:
            key = rng.choice(self.certificates)[2]
            only = rng.random() < 0.6
            text = f'connector "{name}" {{\n  may_relay_to = {{"*"}}\n  senders = any\n  note = "drawn by lot"\n}}\n' if only else text
            text = text[: text.index("\n") + 1] + f'  client_certificate = {{"{key}"}}\n' + text[text.index("\n") + 1 :]
        return text.replace("  note =", self.limits("limit", "limit_total", "limit_recipients") + "  note =")


def draw_remembered(rng, configuration):
    t = draw_transaction(rng, configuration)
    t["client"] = rng.choice(configuration.clients_drawn)
    t["to"] = t["to"][:1]  # why takes a message's earlier recipients for ones that the same limits counted
    t["listed"] = configuration.lists and t["client"].rpartition(":")[2] in LISTED
    t["how"] = "proxy" if t["how"] == "bind" else t["how"]  # what was bound is another client now
    if t["tls"] and rng.random() < 0.4:
        t["how"], t["certificate"] = "proxy", rng.choice(configuration.certificates)[:2]
        t["key"] = next(c[2] for c in configuration.certificates if c[:2] == t["certificate"])
    return t


class Asking(Driver):
    """`postern why` is asked before each transaction, for the server's memory is another one behind it."""

    def __init__(self, server):
        super().__init__(server)
        line = [str(server.binary), "why", "-c", str(server.file), "--batch"]
        self.why = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL, text=True, env=server.environment)
        self.said, self.foretold = [], {}

    def ask(self, asked):
        asked = dict(asked)
        self.why.stdin.write(json.dumps(asked) + "\n")
        self.why.stdin.flush()
        return json.loads(self.why.stdout.readline())

    def run(self, t):
        questions = [question(t, to, n, False) for to in set(t["to"]) for n in range(1, len(t["to"]) + 1)]
        questions += [question({**t, "size": None}, to, 1, True) for to in set(t["to"]) if "header" in t]
        self.foretold = {json.dumps(q): self.ask(q) for q in questions}
        super().run(t)

    def note(self, t, asked, seen, step):
        self.said.append(self.foretold[json.dumps(asked)])
        super().note(t, asked, seen, step)

    def forget(self):
        self.said.pop()
        super().forget()

    def answers(self):
        return self.said

    def close(self):
        self.why.stdin.close()
        self.why.wait()
        self.why.stdout.close()
