#!/usr/bin/env python3
"""Writes the error reference, docs/errors/: a page for each cause, from data/replies, and one for each common reply,
from data/pages/replies.txt, which takes what it does not say itself from its cause.

    tools/pages.py            write them, and remove what is no page any more
    tools/pages.py --check    print what is not as it would be written; end with 1 if anything is not"""
import re
import sys
from pathlib import Path

import causes as cause_data

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs/errors"
LISTS = ("because", "fix", "prevent")
WHO = {
    "sender": "the sender",
    "sender-admin": "the administrator of the sender's mail server, application or device",
    "recipient": "the recipient",
    "recipient-admin": "the administrator of the recipient's mail server",
    "network-owner": "whoever runs the address the mail came from: provider, hoster, administrator",
    "server-admin": "the administrator of the server that said it",
    "nobody": "nobody",
}
LASTING = {
    "yes": "No: it will be refused again until this is put right.",
    "no": "Yes: what is behind it passes. Mail servers try again by themselves for some days.",
    "as-said": "As the code says: after 4xx yes, and servers do so by themselves; after 5xx no.",
}
NOTE = "<!-- Made by tools/pages.py from data/replies and data/pages: edit those. -->\n"


class Wrong(Exception):
    pass


def replies(text):
    found = []
    for word, value in cause_data.statements(text):
        if word == "reply":
            found.append({"reply": value} | {name: [] for name in LISTS})
        elif not found:
            raise Wrong(f"data/pages/replies.txt: {word} stands before the first reply")
        elif word in LISTS:
            found[-1][word].append(value)
        elif word in ("speaker", "step", "cause", "happening") and word not in found[-1]:
            found[-1][word] = value
        else:
            raise Wrong(f"data/pages/replies.txt: {word} in {found[-1]['reply']}")
    for reply in found:
        for word in ("speaker", "cause", "happening"):
            if word not in reply:
                raise Wrong(f"data/pages/replies.txt: {reply['reply']} has no {word}")
    return found


def all_causes():
    text = "\n".join(p.read_text(encoding="utf-8") for p in sorted((ROOT / "data/replies").glob("*.rules")))
    return cause_data.causes(text)


def all_replies():
    return replies((ROOT / "data/pages/replies.txt").read_text(encoding="utf-8"))


def slug(reply):
    """Codes and the first words, as long as a file's name may well be."""
    words = re.findall(r"[a-z0-9]+(?:\.[a-z0-9]+)*", re.sub(r"https?://\S+|<[^>]*>|\[[^]]*\]", "", reply.lower()))
    while len("-".join(words)) > 60:
        words.pop()
    return "-".join(words)


def link(reply):
    return f"* [`{reply['reply']}`](replies/{slug(reply['reply'])}.md)\n"


def section(title, lines, numbered=False):
    if not lines:
        return ""
    marks = (f"{i}." if numbered else "*" for i in range(1, len(lines) + 1))
    return f"## {title}\n" + "".join(f"{mark} {line}\n" for mark, line in zip(marks, lines)) + "\n"


def code(text):
    return "    " + text + "\n"


def cause_page(name, cause, of_it):
    out = f"# {name}\n{NOTE}\n## What you see\n" + "".join(code(s) for s in cause["sees"])
    if not cause["sees"]:
        out += "No words of its own: it is seen in what kind of message it is.\n"
    out += f"\n## What is really happening\n{cause['explanation']}\n\n"
    out += section("Common causes", cause["because"]) + section("How to fix it", cause["fix"], True)
    out += section("How to stop it recurring", cause["prevent"])
    out += f"## Whose move it is\nWho must act: {WHO[cause['who']]}.\n\nDoes trying again help? {LASTING[cause['permanent']]}\n"
    if of_it:
        out += "\n## Replies with a page of their own\n" + "".join(link(r) for r in of_it)
    return out


def reply_page(reply, cause):
    text = {name: reply[name] or cause[name] for name in LISTS}
    out = f"# `{reply['reply']}`\n{NOTE}\n## What you see\n{code(reply['reply'])}\nSaid by: {reply['speaker']}."
    out += f" It answers {reply['step']}.\n\n" if "step" in reply else "\n\n"
    out += f"## What is really happening\n{reply['happening']}\n\n"
    out += section("Common causes", text["because"]) + section("How to fix it", text["fix"], True)
    out += section("How to stop it recurring", text["prevent"])
    out += f"## Whose move it is\nWho must act: {WHO[cause['who']]}.\n\nDoes trying again help? {LASTING[cause['permanent']]}\n\n"
    return out + f"The cause, and other replies that mean the same: [{reply['cause']}](../{reply['cause']}.md)\n"


def index(found, common):
    out = f"# The error reference\n{NOTE}\nWhat a server's words mean, what is really happening, and how it is put right. `postern explain TEXT` finds the page's\n"
    out += "cause for any reply, bounce or line of a log, and says how sure it is.\n\n## By the reply\n"
    out += "".join(link(r) for r in sorted(common, key=lambda r: r["reply"]))
    out += "\n## By the cause\n| cause | what it is |\n|---|---|\n"
    for name, cause in found.items():
        out += f"| [{name}]({name}.md) | {re.split(r'(?<=[.:]) ', cause['explanation'])[0]} |\n"
    return out


def pages():
    """Each page's path below docs/errors, and what stands in it."""
    found, common = all_causes(), all_replies()
    out = {"README.md": index(found, common)}
    for name, cause in found.items():
        out[f"{name}.md"] = cause_page(name, cause, [r for r in common if r["cause"] == name])
    for reply in common:
        if reply["cause"] not in found:
            raise Wrong(f"data/pages/replies.txt: there is no cause {reply['cause']}")
        path = f"replies/{slug(reply['reply'])}.md"
        if path in out:
            raise Wrong(f"data/pages/replies.txt: two replies would have the page {path}")
        out[path] = reply_page(reply, found[reply["cause"]])
    return out


def differences():
    wanted = pages()
    there = {str(p.relative_to(FOLDER)) for p in FOLDER.rglob("*.md")}
    changed = {name for name, text in wanted.items() if name in there and (FOLDER / name).read_text(encoding="utf-8") != text}
    return sorted(changed | (set(wanted) ^ there))


def main():
    wanted = pages()
    if sys.argv[1:] == ["--check"]:
        for name in differences():
            print(f"docs/errors/{name}: is not as tools/pages.py makes it")
        return 1 if differences() else 0
    for old in FOLDER.rglob("*.md"):
        if str(old.relative_to(FOLDER)) not in wanted:
            old.unlink()
    for name, text in wanted.items():
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Wrong as why:
        sys.exit(str(why))
