#!/usr/bin/env python3
"""What this server's reason ids mean, from data/reasons.txt.

    reasons.py                       writes docs/reasons.md to standard output
    reasons.py --c INPUT OUTPUT      writes the table of src/reply/reasons.h as C, at each build

Ends with 1 and says why if the file does not keep to the form that its head describes."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data/reasons.txt"

WHO = {
    "sender": "the sender",
    "sender-admin": "the sender's administrator",
    "recipient": "the recipient",
    "recipient-admin": "the administrator of the other server",
    "network-owner": "whoever owns the network",
    "server-admin": "the administrator of this server",
    "nobody": "nobody",
}
FIXES = {"client": "Client", "admin": "Administrator", "postmaster": "Postmaster"}
ID = re.compile(r"[a-z][a-z0-9]*\.[a-z][a-z0-9-]*")
REPLY = re.compile(r"[245]\d\d [245]\.\d{1,3}\.\d{1,3}|-ERR( \[[A-Z0-9/-]+\])?")


class Wrong(Exception):
    pass


def statements(text):
    """(line number, keyword, value), with what "+" continues."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("+"):
            if not found:
                raise Wrong(f"line {number}: nothing to go on with")
            found[-1][2] += " " + line[1:].strip()
            continue
        word, _, value = line.partition(" ")
        found.append([number, word, value.strip()])
    return found


def take(where, number, word, value):
    if not value:
        raise Wrong(f"line {number}: {word} says nothing")
    if word in ("reply", "intro"):
        where.setdefault(word, []).append(value)
    elif word in where:
        raise Wrong(f"line {number}: {word} stands there twice")
    else:
        where[word] = value


def complete(reason, section, number):
    for word in FIXES:
        reason.setdefault(word, section.get(word))
    for word in ("who", "means", *FIXES):
        if not reason.get(word):
            raise Wrong(f"line {number}: {reason['id']} has no {word}")
    if reason["who"] not in WHO:
        raise Wrong(f"line {number}: {reason['id']}: {reason['who']} is none of {' '.join(WHO)}")
    for reply in reason.get("reply", []):
        if not REPLY.fullmatch(reply):
            raise Wrong(f"line {number}: {reason['id']}: {reply} is no reply")
    for word in ("means", *FIXES):
        if not reason[word].endswith((".", "?")):
            raise Wrong(f"line {number}: {reason['id']}: {word} does not end in a full stop")


def load(text):
    """Sections in order: {"title", "intro", "client" ..., "reasons": [{"id", "reply", "who", ...}]}."""
    sections, seen, begun = [], set(), []
    for number, word, value in statements(text):
        if word == "section":
            sections.append({"title": value, "reasons": []})
        elif not sections:
            raise Wrong(f"line {number}: {word} before the first section")
        elif word == "reason":
            if value in seen or not ID.fullmatch(value):
                raise Wrong(f"line {number}: {value} {'stands there twice' if value in seen else 'is no reason id'}")
            seen.add(value)
            sections[-1]["reasons"].append({"id": value})
            begun.append((number, sections[-1], sections[-1]["reasons"][-1]))
        elif sections[-1]["reasons"]:
            if word not in ("reply", "who", "means", *FIXES):
                raise Wrong(f"line {number}: {word} is no keyword of a reason")
            take(sections[-1]["reasons"][-1], number, word, value)
        else:
            if word not in ("intro", *FIXES):
                raise Wrong(f"line {number}: {word} is no keyword of a section")
            take(sections[-1], number, word, value)
    for number, section, reason in begun:
        complete(reason, section, number)
    return sections


def all_reasons(text=None):
    text = DATA.read_text(encoding="utf-8") if text is None else text
    return {r["id"]: r for section in load(text) for r in section["reasons"]}


# --- docs/reasons.md ---------------------------------------------------------------------------------

HEAD = """# Reasons

Whenever Postern refuses, defers or complains it names a **reason id**. The id is the same in the reply, in the log,
in the history that `postern trace` reads, and in `postern why` and `postern check`. Ids are stable: scripts may rely
on them. A reply ends with the id and that of the session, `[relay.no-grant 4fq2]`; the session's id leads to the
events. `postern explain REASON` prints what stands here.

Where no reply is given the reason concerns this server's own affairs or an attempt to deliver, and stands in the log,
in `postern queue list` and in notices. *Client* below is whoever sends (or reads) mail: a person, a program, a device,
another server. *Administrator* is the one of this server, *postmaster* whoever answers people's questions here.

What other servers' replies mean is another list: [causes](causes.md).

Made from `data/reasons.txt` by `tools/reasons.py`; edit that file, not this one.
"""


def markdown(text):
    out = [HEAD]
    for section in load(text):
        out.append(f"## {section['title']}\n")
        out += [line + "\n" for line in section.get("intro", [])]
        common = [f"* {FIXES[w]}: {section[w]}" for w in FIXES if w in section]
        if common:
            out.append("Where nothing else is said:\n")
            out.append("\n".join(common) + "\n")
        for reason in section["reasons"]:
            replies = ", ".join(f"`{r}`" for r in reason.get("reply", []))
            out.append(f"### `{reason['id']}`\n")
            out.append(f"{reason['means']}\n")
            acts = f"{WHO[reason['who']].capitalize()} must act." if reason["who"] != "nobody" else "Nobody need act."
            out.append(f"{acts}{f' Reply: {replies}.' if replies else ''}\n")
            own = [f"* {FIXES[w]}: {reason[w]}" for w in FIXES if reason[w] != section.get(w)]
            if own:
                out.append("\n".join(own) + "\n")
    return "\n".join(out)


# --- C ---------------------------------------------------------------------------------------------------


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def c_table(text):
    rows = []
    for section in load(text):
        for reason in section["reasons"]:
            replies = "".join(quoted(r) + ", " for r in reason.get("reply", []))
            rows.append(
                f"    {{ .id = {quoted(reason['id'])},\n      .section = {quoted(section['title'])},\n"
                f"      .who = {quoted(reason['who'])},\n      .acts = {quoted(WHO[reason['who']])},\n"
                f"      .replies = (const char *const[]){{ {replies}NULL }},\n"
                f"      .means = {quoted(reason['means'])},\n"
                f"      .client = {quoted(reason['client'])},\n"
                f"      .administrator = {quoted(reason['admin'])},\n"
                f"      .postmaster = {quoted(reason['postmaster'])} }},\n"
            )
    return (
        '#include "reply/reasons.h"\n\n#include <stddef.h>\n\n'
        "extern const struct reason reason_rows[];\nextern const size_t reason_row_count;\n"
        f"const size_t reason_row_count = {len(rows)};\nconst struct reason reason_rows[] = {{\n{''.join(rows)}}};\n"
    )


def main():
    try:
        if len(sys.argv) == 4 and sys.argv[1] == "--c":
            table = c_table(Path(sys.argv[2]).read_text(encoding="utf-8"))
            Path(sys.argv[3]).write_text(table, encoding="utf-8")
        elif len(sys.argv) == 1:
            sys.stdout.write(markdown(DATA.read_text(encoding="utf-8")))
        else:
            sys.exit(__doc__)
    except Wrong as why:
        sys.exit(f"data/reasons.txt: {why}")


if __name__ == "__main__":
    main()
