#!/usr/bin/env python3
"""Scores `postern explain` against labelled sets, which lie outside this tree: replies, and bounces.

    tools/score.py --postern build/src/bin/postern DATA...

Each DATA is a file, or a folder in which these are looked for:

  replies   a table (tab-separated, a line of names first) with the columns `reply` and `class`, and if there are, `id`,
            `step` and `host`. Beside it lies classes.tsv: class, accepted causes (a|b), who must act.
  bounces   expected.tsv with the columns `sample` and `recipient_no`, and any of `status`, `reply_code`, `reason`,
            `hard_bounce`, `address`, `cause`; the messages lie beside it as SAMPLE.eml.

A value that is empty is not asked for, and neither is a status 4.0.9xx or 5.0.9xx. Prints how many of each column are
right, the pairs that are mixed up, and with --wrong every one that is wrong. Ends with 1 if a goal is missed."""
import argparse
import collections
import concurrent.futures
import csv
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

STEPS = {"connect", "banner", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "end"}
RELAY = "relay-"
GOALS = {  # share that must be right
    "replies": {"cause": 0.98, "relay found": 1.0, "no relay": 1.0},
    "bounces": {"recipients": 1.0, "status": 0.98, "reply_code": 0.98, "reason": 0.95},
}


def rows(path):
    with open(path, encoding="utf-8", errors="replace", newline="") as f:
        return list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))


class Score:
    """Counts of one set: right and asked for in each column, and the pairs (wanted, said)."""

    def __init__(self, name, kind):
        self.name, self.kind = name, kind
        self.right, self.asked = collections.Counter(), collections.Counter()
        self.confused = collections.defaultdict(collections.Counter)
        self.wrong = []

    def count(self, column, wanted, said, right, where, detail=""):
        self.asked[column] += 1
        if right:
            self.right[column] += 1
            return
        self.confused[column][(wanted, said)] += 1
        self.wrong.append(f"{where}: {column}: {said or 'nothing'}, not {wanted}{'  | ' + detail if detail else ''}")

    def share(self, column):
        return self.right[column] / self.asked[column] if self.asked[column] else 1.0

    def missed(self):
        return [c for c, goal in GOALS[self.kind].items() if self.share(c) < goal]

    def print(self, with_wrong):
        print(f"{self.name}")
        for column in self.asked:
            goal = GOALS[self.kind].get(column)
            mark = "" if goal is None else f"  goal {goal:.0%}{'' if self.share(column) >= goal else ': MISSED'}"
            print(f"  {column:12} {self.right[column]:5} of {self.asked[column]:5}  {self.share(column):7.2%}{mark}")
        for column, pairs in self.confused.items():
            print(f"  {column}: wanted, said")
            for (wanted, said), times in pairs.most_common(40):
                print(f"    {times:4}  {wanted:40} {said}")
        for line in self.wrong if with_wrong else []:
            print("  " + line)
        print()


def explain(program, *words, text=None):
    done = subprocess.run([program, "explain", "--json", *words], input=text, capture_output=True, timeout=300)
    if done.returncode not in (0, 1):
        sys.exit(f"score: postern explain ends with {done.returncode}: {done.stderr.decode(errors='replace')}")
    return [json.loads(line) for line in done.stdout.decode("utf-8", "replace").splitlines()]


# --- replies ------------------------------------------------------------------------------------------


def accepted_causes(path):
    found = {}
    for row in rows(path):
        cells = list(row.values())
        causes = re.sub(r"\(.*?\)", "", cells[1]).split("|")
        found[cells[0]] = ({c.strip() for c in causes}, cells[2].strip() if len(cells) > 2 and cells[2] else None)
    return found


def explain_reply(program, row):
    hints = []
    if row.get("step") in STEPS:
        hints += ["--command", row["step"]]
    if row.get("host"):
        hints += ["--host", row["host"]]
    answers = explain(program, *hints, "-", text=row["reply"].encode())
    told = answers[0]["recipients"] if answers else []
    return told[0] if told else {"cause": "not-a-bounce", "who": "", "rule": ""}


def score_replies(program, path):
    score = Score(str(path), "replies")
    classes = accepted_causes(path.parent / "classes.tsv")
    table = [r for r in rows(path) if r.get("reply") and r.get("class") in classes]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda r: explain_reply(program, r), table))
    for row, said in zip(table, answers):
        causes, who = classes[row["class"]]
        wanted, where = "|".join(sorted(causes)), f"{row.get('id', '')} {row['reply'][:110]}"
        score.count("cause", wanted, said["cause"], said["cause"] in causes, where, said["rule"])
        is_relay = any(c.startswith(RELAY) for c in causes)
        if is_relay:
            score.count("relay found", wanted, said["cause"], said["cause"].startswith(RELAY) or said["cause"] in causes, where)
        else:
            score.count("no relay", wanted, said["cause"], not said["cause"].startswith(RELAY), where)
        if who:
            score.count("who", who, said["who"], said["who"] == who, where)
    return score


# --- bounces ------------------------------------------------------------------------------------------


def invented(status):
    return re.fullmatch(r"[245]\.0\.9\d\d", status or "") is not None


def samples_of(path):
    wanted = collections.defaultdict(list)
    for row in rows(path):
        wanted[row["sample"]].append(row)
    return wanted


def explain_files(program, files):
    """All in one run, by the names of files that lead to them."""
    with tempfile.TemporaryDirectory(prefix="postern-score-") as folder:
        for name, file in files.items():
            os.symlink(file.resolve(), Path(folder, name + ".eml"))
        answers = collections.defaultdict(list)
        for answer in explain(program, folder):
            answers[Path(answer["source"]).stem].append(answer)
        return answers


def score_recipient(score, where, row, said):
    status, code, reason = row.get("status"), row.get("reply_code"), row.get("reason")
    words = said.get("text", "")[:120]
    if status and not invented(status):
        score.count("status", status, said.get("enhanced", ""), said.get("enhanced") == status, where, words)
    if code:
        score.count("reply_code", code, str(said.get("code", "")), str(said.get("code", "")) == code, where, words)
    if reason:
        detail = f"{said.get('cause')} by {said.get('rule')}: {words}"
        score.count("reason", reason, said.get("reason", ""), said.get("reason") == reason, where, detail)
    if row.get("cause"):
        score.count("cause", row["cause"], said.get("cause", ""), said.get("cause") in row["cause"].split("|"), where, words)
    if row.get("address"):
        score.count("address", row["address"], said.get("address", ""), said.get("address", "").lower() == row["address"].lower(), where)
    if row.get("hard_bounce") in ("0", "1"):
        hard = "1" if said.get("permanent") else "0"
        score.count("hard_bounce", row["hard_bounce"], hard, hard == row["hard_bounce"], where)


def score_bounces(program, path):
    score = Score(str(path), "bounces")
    wanted = samples_of(path)
    files = {sample: path.parent / f"{sample}.eml" for sample in wanted}
    answers = explain_files(program, {s: f for s, f in files.items() if f.exists()})
    for sample, expected in wanted.items():
        said = [r for a in answers.get(sample, []) for r in a["recipients"]]
        kind = answers[sample][0]["kind"] if answers.get(sample) else "no file"
        score.count("recipients", str(len(expected)), str(len(said)), len(said) == len(expected), sample, kind)
        for i, row in enumerate(expected):
            score_recipient(score, f"{sample} {row['recipient_no']}", row, said[i] if i < len(said) else {})
    return score


# --- which is which --------------------------------------------------------------------------------------


def tables(path):
    """Each table below a path, with what scores it."""
    for file in [path] if path.is_file() else sorted(path.rglob("*.tsv")):
        with open(file, encoding="utf-8", errors="replace") as f:
            names = f.readline().rstrip("\n").split("\t")
        if "sample" in names:
            yield file, score_bounces
        elif "reply" in names and "class" in names:
            yield file, score_replies


def main():
    parser = argparse.ArgumentParser(description="Score `postern explain` against labelled sets.")
    parser.add_argument("--postern", default="build/src/bin/postern", help="the program")
    parser.add_argument("--wrong", action="store_true", help="print every answer that is wrong")
    parser.add_argument("data", nargs="+", type=Path, metavar="DATA", help="a table, or a folder with tables")
    given = parser.parse_args()
    scores = [score(given.postern, file) for path in given.data for file, score in tables(path)]
    if not scores:
        sys.exit("score: there is no table of replies or bounces")
    for score in scores:
        score.print(given.wrong)
    missed = [f"{s.name}: {c}" for s in scores for c in s.missed()]
    for line in missed:
        print(f"missed: {line}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
