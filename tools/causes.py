#!/usr/bin/env python3
"""Writes docs/causes.md from the reply rules: causes.py data/replies/*.rules > docs/causes.md."""
import sys


def statements(text):
    lines = []
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("+") and lines:
            lines[-1] += " " + line[1:].strip()
        elif line and not line.startswith("#"):
            lines.append(line)
    return [(line.split(None, 1) + [""])[:2] for line in lines]


def causes(text):
    found, current = {}, None
    in_rule = False
    for word, value in statements(text):
        if word == "rule":
            in_rule = True
        elif word == "cause" and not in_rule:
            current = found.setdefault(value, {"fix": [], "rules": 0})
        elif word == "cause" and in_rule:
            found[value]["rules"] += 1
        elif current is not None and not in_rule and word == "fix":
            current["fix"].append(value)
        elif current is not None and not in_rule and word != "let":
            current[word] = value
        if word == "let":
            current = None
    return found


PERMANENT = {"yes": "permanent", "no": "temporary", "as-said": "permanent if the code is 5xx"}

print("# What replies mean\n")
print("The causes that Postern tells apart when a server refuses or puts off a message: in notices")
print("of non-delivery, and wherever a reply is explained. Made from `data/replies/` by")
print("`tools/causes.py`; edit those files, not this one.\n")
text = ""
for file in sys.argv[1:]:
    with open(file, encoding="utf-8") as f:
        text += f.read() + "\n"
for name, cause in causes(text).items():
    print(f"## {name}\n")
    print(cause["explanation"] + "\n")
    print(f"Who must act: {cause['who']}. {PERMANENT[cause['permanent']].capitalize()}.\n")
    for i, fix in enumerate(cause["fix"], 1):
        print(f"{i}. {fix}")
    if cause["fix"]:
        print()
