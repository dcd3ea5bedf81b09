"""A user who is away, set by the command, answers a real client's message."""
import email
import email.policy
import smtplib
from email.message import EmailMessage

from harness import until
from world import *

ANN, SENDER = "ann@proseware.com", "bob@adatum.com"


def write(server, subject, **fields):
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = f"Bob <{SENDER}>", f"Ann <{ANN}>", subject
    message["Message-ID"] = f"<{len(subject)}.{abs(hash(subject))}@adatum.com>"
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    message.set_content("Where are you?\n")
    with smtplib.SMTP(*server.at("internet"), source_address=(HOTEL, 0), timeout=30) as c:
        c.sendmail(SENDER, [ANN], message.as_bytes(policy=email.policy.SMTP))
    return message


def test_vacation(t):
    """Set, answered once over a restart, shown by trace, ended; its mistakes are told."""
    server, sink = world(t)
    server.user(ANN)
    server.command("user", "vacation", ANN, "--text-stdin", "--until", "2001-01-01", input="Bin fort.\n", code=65)
    server.command("user", "vacation", ANN, "--text-stdin", "--until", "tomorrow", input="Bin fort.\n", code=64)
    server.command("user", "vacation", ANN, "--text-stdin", input="", code=65)
    server.command("user", "vacation", ANN, "of", code=64)
    server.command("user", "vacation", ANN, code=64)
    server.command("user", "vacation", "nobody@proseware.com", "show", code=67)
    assert server.json("user", "vacation", ANN, "show")[0]["vacation"] is None
    shown = server.command("user", "vacation", ANN, "--text-stdin", "--until", "2099-12-24", input="Bin in den Bergen, Grüße.\n")
    assert "Grüße" in shown and "2099-12-2" in shown and "answers   now" in shown, shown

    asked = write(server, "Fällige Rechnung")
    until(lambda: sink.messages, "the answer")
    answer = email.message_from_bytes(sink.messages[0].data, policy=email.policy.default)
    assert sink.messages[0].sender == "" and answer["To"] == SENDER and answer["From"] == ANN
    assert answer["Subject"] == "Auto: Fällige Rechnung" and answer["Auto-Submitted"] == "auto-replied"
    assert answer["In-Reply-To"] == asked["Message-ID"] == answer["References"]
    assert answer.get_content().replace("\r\n", "\n") == "Bin in den Bergen, Grüße.\n"
    told = server.event("vacation-answered", to=SENDER)

    def traced():
        trace = server.run("trace", told["message"]).stdout
        return "vacation-answered" in trace and told["answer"] in trace and "relayed" in trace

    until(traced, "the whole story in the history")

    server.stop()
    server.start()
    write(server, "again")
    server.event("vacation-silent", to=SENDER)
    server.command("user", "vacation", ANN, "off")
    write(server, "and again")
    until(lambda: len(server.events("delivered", to=ANN)) == 3, "three delivered")
    assert len(sink.messages) == 1
