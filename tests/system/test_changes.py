"""What `postern why` proposes, done: each change is applied to the configuration, the directory or the transaction, and the
running server must then accept what it refused. (tests/unit/decide/test_changes.c does it for every refusal there is.)"""
import re

import differential as d
from harness import options, until

CONF = f"""
domain "{d.OURS}" {{}}
queue {{ retry = {{"1h"}} }}
route "nowhere" {{ to = {{"*"}} via = {{"smtp://127.0.0.1:1"}} }}
blocked_senders = {{"spam.example"}}
blocked_headers = {{"forged.example"}}
listener "internet"   {{ bind = {{"127.0.0.1:0"}} tls = offer auth = off max_message_size = 64KiB  PEERS }}
listener "submission" {{ bind = {{"127.0.0.1:0"}} tls = require auth = require  PEERS }}
listener "offering"   {{ bind = {{"127.0.0.1:0"}} tls = offer auth = offer mechanisms = {{"SCRAM-SHA-256", "PLAIN"}}  PEERS }}
connector "people"  {{ auth = any  may_relay_to = {{"*"}} }}
connector "office"  {{ clients = {{"192.0.2.0/24"}}  except = {{"192.0.2.128/25"}}  listeners = {{"internet"}}
                      may_relay_to = {{"adatum.com"}}  senders = {{"*@{d.OURS}"}}  note = "LAN" }}
connector "copiers" {{ clients = {{"198.51.100.8"}}  without_auth_on = {{"submission"}}  without_tls_on = {{"submission"}}
                      may_relay_to = {{"*"}}  senders = {{"scanner@{d.OURS}"}}  note = "copiers" }}
connector "old"     {{ clients = {{"203.0.113.9"}}  may_relay_to = {{"*"}}  senders = any  expires = "2020-01-01"  note = "over" }}
""".replace("PEERS", f'xclient_from = {{"{d.FILTER}"}} proxy_protocol_from = {{"{d.BALANCER}"}} max_connections_per_client = 1000')

ANN, HOTEL, OTHERS = d.USERS[0], "198.51.100.7", "bob@adatum.com"


def transaction(**more):
    t = {"how": "xclient", "listener": "internet", "tls": False, "client": HOTEL, "user": None, "mechanism": None, "from": ANN,
         "to": [OTHERS], "size": None, "listed": False}
    return t | more


def header(mailbox):
    return {"From": [[mailbox]], "Sender": [], "Reply-To": []}


LOGGED_IN = {"listener": "submission", "tls": True, "user": ANN, "mechanism": "PLAIN"}

SCANNER = {"from": f"scanner@{d.OURS}"}

# what is refused: its reason, and the changes that must be among those proposed
SCENES = (
    (transaction(), "relay.no-grant", "login add-client host-domain"),
    (transaction(client="192.0.2.200"), "relay.no-grant", "login drop-except"),
    (transaction(client="192.0.2.5", listener="offering"), "relay.no-grant", "listener"),
    (transaction(client="192.0.2.5", to=["x@contoso.com"]), "relay.no-grant", "widen-relay"),
    (transaction(client="203.0.113.9", to=["x@contoso.com"]), "relay.grant-expired", "renew"),
    (transaction(**{"from": "x@contoso.com"}, to=["y@contoso.com"]), "relay.no-grant", "add-connector"),
    (transaction(**LOGGED_IN, **{"from": d.USERS[1]}), "sender.not-yours", "own-sender allow-sender"),
    (transaction(client="192.0.2.5", **{"from": "x@contoso.com"}), "sender.not-yours", "own-sender add-sender"),
    (transaction(**LOGGED_IN, header=header(d.USERS[2])), "header.not-yours", "own-header allow-sender"),
    (transaction(client="192.0.2.5", header=header("x@contoso.com")), "header.not-yours", "own-header add-sender"),
    (transaction(to=[ANN], **{"from": "x@contoso.com"}, header=header("x@forged.example")), "header.blocked", "unblock"),
    (transaction(to=[ANN], **{"from": "x@spam.example"}), "sender.blocked", "unblock"),
    (transaction(listener="submission", how="proxy", **SCANNER), "tls.required", "starttls login add-client"),
    (transaction(**LOGGED_IN | {"tls": False, "how": "proxy"}), "tls.required", "starttls"),
    (transaction(listener="submission", tls=True, **SCANNER), "auth.required", "login add-client"),
    (transaction(**LOGGED_IN | {"listener": "internet"}), "auth.not-here", "login"),
    (transaction(**LOGGED_IN | {"listener": "offering", "mechanism": "CRAM-MD5"}), "auth.mechanism", "mechanism"),
    (transaction(**LOGGED_IN | {"listener": "offering", "tls": False}), "tls.required", "starttls"),
    (transaction(**LOGGED_IN | {"user": d.DISABLED}, **{"from": d.DISABLED}), "auth.failed", "enable-user"),
    (transaction(**LOGGED_IN | {"user": f"ghost@{d.OURS}"}, **{"from": f"ghost@{d.OURS}"}), "auth.failed", "add-user"),
    (transaction(to=[f"nobody@{d.OURS}"]), "recipient.unknown", "fix-recipient add-user"),
    (transaction(to=[ANN], size=70000), "limit.size", "smaller raise-size"),
)


# --- making the changes: each edits the configuration, the directory or the transaction -------------------------------


def edit(text, section, setting, value, replace=False):
    """Adds to a list of a section, or gives a setting another value."""
    begin = text.index(section)
    end = text.index("\n", text.index("}", text.index(setting, begin))) if setting in text[begin : begin + 500] else None
    part = text[begin:end]
    assert end, (section, setting)
    if replace:
        part = re.sub(rf"{setting} = \S+", f"{setting} = {value}", part, count=1)
    else:
        part = re.sub(rf"{setting} = \{{", f'{setting} = {{"{value}", ', part, count=1)
    return text[:begin] + part + text[end:]


def connector(argument):
    name, value = argument.split(" ", 1)
    return f'connector "{name}"', value


def add_to(setting):
    def make(server, text, t, argument):
        section, value = connector(argument)
        return edit(text, section, setting, value)

    return make


def of_transaction(**changed):
    def make(server, text, t, argument):
        t |= {key: value(argument) if callable(value) else value for key, value in changed.items()}
        return text

    return make


def log_in(server, text, t, argument):
    t |= LOGGED_IN | {"listener": argument, "from": t["from"] if t["from"] in d.USERS else ANN, "how": "xclient"}
    return text


def own_header(server, text, t, argument):
    t["header"] = header(argument)
    return text


def directory(*words):
    def make(server, text, t, argument):
        command = [*words, *argument.split(" ")]
        secret = d.PASSWORD + "\n" if "add" in words else None
        server.command("user", *command, *(["--password-stdin"] if secret else []), input=secret)
        return text

    return make


def more_text(form):
    return lambda server, text, t, argument: text + form.format(*argument.split(" "), argument=argument)


MAKERS = {
    "login": log_in,
    "add-client": add_to("clients"),
    "add-network": add_to("clients"),
    "drop-except": lambda s, text, t, argument: text.replace('except = {"192.0.2.128/25"}', ""),
    "host-domain": lambda s, text, t, argument: text + f'domain "{argument}" {{ recipients = any }}\n',
    "add-connector": more_text('connector "mine" {{ clients = {{"{0}"}} may_relay_to = {{"{1}"}} senders = any note = "mine" }}\n'),
    "listener": of_transaction(listener=str),
    "widen-relay": add_to("may_relay_to"),
    "renew": lambda s, text, t, argument: edit(text, f'connector "{argument}"', "expires", '"2099-01-01"', True),
    "own-sender": of_transaction(**{"from": str}),
    "add-sender": add_to("senders"),
    "own-header": own_header,
    "allow-sender": directory("allow-sender"),
    "unblock": lambda s, text, t, argument: re.sub(r"blocked_(senders|headers) = \{.*\}\n", "", text),
    "starttls": of_transaction(tls=True, how="xclient"),
    "mechanism": of_transaction(mechanism="PLAIN"),
    "enable-user": directory("enable"),
    "add-user": directory("add"),
    "fix-recipient": of_transaction(to=[ANN]),
    "smaller": of_transaction(size=int),
    "raise-size": lambda s, text, t, argument: edit(text, f'listener "{argument.split()[0]}"', "max_message_size", argument.split()[1], True),
}
AT_ANOTHER_SERVER = {"outgoing-server", "pop-login"}
UNDO = {"allow-sender": "deny-sender", "enable-user": "disable", "add-user": "remove"}


def seen(server, t):
    """The last verdict of the server, and the question that `why` is asked for it."""
    driver = d.Driver(server)
    driver.run(t)
    for c in driver.open.values():
        c.close()
    _, asked, verdict, _ = driver.asked[-1]
    return asked, verdict


def keeper_answers(server):
    try:
        c = server.session("submission", d.FILTER).ehlo().starttls().ehlo()
        code = c.cmd("AUTH PLAIN " + d.plain(d.USERS[4])).code
        c.close()
        return code == 235
    except d.Gone:
        return False


def reload(server, text):
    event = server.reload(text)
    assert event["event"] == "reloaded", (event, text)
    until(lambda: keeper_answers(server), "the keeper answers again")


def tried(server, scene, reason, change):
    """The change made, by itself; whether the server then accepts."""
    t = dict(scene)
    text = MAKERS[change["kind"]](server, CONF, t, change["argument"])
    if text != CONF:
        reload(server, text)
    # Another fault, seen only now that the first is mended, is not the change's.
    behind = ("recipient.unknown", "auth.required" if change["kind"] == "starttls" else None)
    # For clients that need no TLS; a password does.
    behind += ("tls.required",) if reason == "tls.required" and t["user"] and change["kind"] in ("add-client", "add-network") else ()
    verdict = until(lambda: (v := seen(server, t)[1]) and (v["verdict"] == "accept" or v["reason"] in behind) and v,
                    f"{reason}: {change} makes it pass", 5, 0.2)
    if text != CONF:
        reload(server, CONF)
    if change["kind"] in UNDO:
        server.command("user", UNDO[change["kind"]], *change["argument"].split(" "))
    return verdict


@options(seconds=240)
def test_changes_made_lead_to_acceptance(t):
    server = t.server(CONF, build="shipped")
    for user in (*d.USERS, d.DISABLED):
        server.user(user, d.PASSWORD)
    server.command("user", "disable", d.DISABLED)
    made = set()
    for scene, reason, kinds in SCENES:
        asked, verdict = seen(server, dict(scene))
        assert verdict["reason"] == reason, (scene, verdict)
        why = d.ask_why(server, [asked])[0]
        assert why["reason"] == reason and set(kinds.split()) <= {c["kind"] for c in why["changes"]}, (reason, why["changes"])
        for change in why["changes"]:
            if change["kind"] in AT_ANOTHER_SERVER:
                continue
            tried(server, scene, reason, change)
            made.add(change["kind"])
    assert made == set(MAKERS), f"never proposed: {set(MAKERS) - made}"
