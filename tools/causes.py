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


LISTS = ("fix", "sees", "because", "prevent")


def causes(text):
    found, current = {}, None
    in_rule = False
    for word, value in statements(text):
        if word == "rule":
            in_rule = True
        elif word == "cause" and not in_rule:
            current = found.setdefault(value, {word: [] for word in LISTS} | {"rules": 0})
        elif word == "cause" and in_rule:
            found[value]["rules"] += 1
        elif current is not None and not in_rule and word in LISTS:
            current[word].append(value)
        elif current is not None and not in_rule and word != "let":
            current[word] = value
        if word in ("let", "family"):
            current = None
    return found


def families(text):
    """The names of the families of servers, and what people call them."""
    found, name = {}, None
    for word, value in statements(text):
        if word == "family":
            name = value
            found[name] = value
        elif word == "title" and name:
            found[name] = value
        elif word in ("cause", "rule"):
            name = None
    return found


PERMANENT = {"yes": "permanent", "no": "temporary", "as-said": "permanent if the code is 5xx"}

def main():
    print("# What replies mean\n")
    print("The causes that Postern tells apart when a server refuses or puts off a message: in notices")
    print("of non-delivery, and wherever a reply is explained. Made from `data/replies/` by")
    print("`tools/causes.py`; edit those files, not this one.\n")
    text = ""
    for file in sys.argv[1:]:
        with open(file, encoding="utf-8") as f:
            text += f.read() + "\n"
    found = causes(text)
    print("## The map to the coarse reasons of other tools\n")
    print("`postern explain --json` gives this name as `reason`; a rule may know better than its cause.\n")
    print("| cause | reason | who must act | lasting | severity |\n|---|---|---|---|---|")
    for name, cause in found.items():
        anchor = f"[{name}](#{name})"
        lasting = PERMANENT[cause["permanent"]]
        print(f"| {anchor} | {cause['reason']} | {cause['who']} | {lasting} | {cause['severity']} |")
    print()
    for name, cause in found.items():
        print(f"## {name}\n")
        print(cause["explanation"] + "\n")
        print(f"Who must act: {cause['who']}. {PERMANENT[cause['permanent']].capitalize()}.\n")
        for i, line in enumerate(cause["fix"], 1):
            print(f"{i}. {line}")
        print(f"\n[More](errors/{name}.md): what you see, how it comes about, how it does not come again.\n")
    print("## The families of servers\n")
    print("Known by their words, their names or their greetings (`family` in `postern explain --json`); rules can ask for them.\n")
    print(", ".join(f"{title} (`{name}`)" for name, title in families(text).items()) + ".")


if __name__ == "__main__":
    main()
