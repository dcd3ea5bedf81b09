#!/usr/bin/env python3
"""Hold the documents against the code: what the code names and the documents do not, and the other
way round, is an error.

  * every option, action and subcommand of src/bin/cmd_*.c stands in its manual page and in the
    completion of bash; every command of src/bin/main.c has a manual page;
  * data/reasons.txt has every reason id in src/, and no other, with the replies that the decision
    gives for it; docs/reasons.md is what tools/reasons.py makes of it;
  * docs/dns.md tells of each finding that src/doctor/domain*.c makes, and of no other; docs/doctor.md of those of
    `postern doctor` and `postern relaytest`;
  * each of the numbered cases that must come out right has a test: a function test_case_N of
    tests/system, or a talk whose first lines say "case N"; but for those whose feature is not built;
  * the table of events in docs/operations.md has a row for every event in src/, and no other;
  * every file that a document names in `code` exists, and every `function()` of ARCHITECTURE.md;
  * every RFC that a comment names stands in docs/rfc-map.md;
  * docs/errors and docs/causes.md are what tools/pages.py and tools/causes.py make of data/replies and data/pages;
    with a program, each reply that they show is explained by the cause whose page it stands on;
  * manual pages and the completion are well-formed, as far as groff and bash are installed;
  * with --postern PROGRAM, or a build of this tree: `postern check` takes every file in examples/ but
    the whole postern.conf; README.md shows examples/first.conf as it is, names the
    settings that are not built yet, and shows what a command really says.

Prints what is wrong, one line each, and ends with 1 if there is anything."""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pages
import reasons

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
MAN = ROOT / "docs/man"

# Strings of the form of a reason id that are none.
NO_REASONS = {"example.com", "example.net", "example.org", "jakarta.mail", "javax.mail", "localhost.localdomain", "submit.sock"}
# Ids that are put together: "backend.%s" of sys/channel.c with the names that channel_open is given.
CHANNEL = re.compile(r'\bchannel_open\([^;]*?"([a-z]+)"\s*\)')
REASON = re.compile(r'"([a-z][a-z0-9]*\.[a-z][a-z0-9-]*)"')
FILE_ENDINGS = (".sock", ".db", ".crt", ".key", ".conf", ".lock", ".pem", ".new", ".com", ".net", ".org", ".eu")

# Where the name of an event is no literal: the files, and how their names are found.
EVENT_TABLES = {
    "src/schedule/operate.c": re.compile(r'\[ORDER_\w+\]\s*=\s*\{\s*"([a-z-]+)"'),
    "src/schedule/attempt.c": None,  # names of recipients' states, see settled_events
}
# Some are written before, or beside, base/event.c.
EVENT_BY_HAND = re.compile(r'\\"event\\":\\"([a-z-]+)')

COMMAND_ROW = re.compile(r'\{\s*"([a-z]+)",\s*cmd_\w+,')
OPTION = re.compile(r'(?:\.name\s*=\s*|\bTEXT\(|\bEACH\(|\bFLAG\(|\{\s*)"(--?[A-Za-z0-9][a-z0-9-]*)"')
ACTION = re.compile(r'\{\s*"([a-z][a-z-]*)",\s*(?:"[^"]*"|\w+),\s*"')
SENDMAIL_FLAG = re.compile(r"\{ '([A-Za-z])', (?:ALONE|WITH_VALUE|ATTACHED), take_\w+ \}")

wrong = []


def complain(where, text):
    wrong.append(f"{where}: {text}")


def read(path):
    return path.read_text(encoding="utf-8")


def sources(*patterns):
    for pattern in patterns or ("*/*.c", "*/*.h"):
        yield from sorted(SRC.glob(pattern))


def without_comments(text):
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


def code(path):
    return without_comments(read(path))


def name_of(path):
    return str(path.relative_to(ROOT))


# --- commands ------------------------------------------------------------------------------------


def plain_man(path):
    """The text of a manual page without what roff adds."""
    text = re.sub(r"\\f[BIRP]", "", read(path))
    text = text.replace("\\-", "-").replace("\\(aq", "'").replace("\\&", "")
    return re.sub(r"^\.(?:BR|BI|RB|RI|IR|IB|B|I)\s+", "", text, flags=re.M).replace('"', "")


def has_word(text, word):
    return re.search(r"(?<![\w-])" + re.escape(word) + r"(?![\w-])", text) is not None


def command_names():
    return COMMAND_ROW.findall(code(SRC / "bin/main.c"))


def page_of(command):
    found = sorted(MAN.glob(f"postern-{command}.[1-8]"))
    return found[0] if found else None


def options_of(command):
    text = code(SRC / f"bin/cmd_{command}.c")
    if "people_run" in text:
        text += code(SRC / "bin/people.c")
    # The children's way in is not for people.
    return sorted({option for option in OPTION.findall(text) if not option.startswith("--child")})


def actions_of(command):
    return ACTION.findall(code(SRC / f"bin/cmd_{command}.c"))


def check_commands():
    completion = read(ROOT / "packaging/completion/postern.bash")
    overview = plain_man(MAN / "postern.1")
    for command in command_names():
        source = SRC / f"bin/cmd_{command}.c"
        if not has_word(overview, f"postern-{command}"):
            complain("docs/man/postern.1", f"does not name postern-{command}")
        if not has_word(completion, command):
            complain("packaging/completion/postern.bash", f"does not know {command}")
        page = page_of(command)
        if not page:
            complain("docs/man", f"has no page for postern {command}")
            continue
        if not source.exists():
            continue
        text = plain_man(page)
        for word in options_of(command) + actions_of(command):
            if not has_word(text, word):
                complain(name_of(page), f"does not mention {word}")
            if not has_word(completion, word):
                complain("packaging/completion/postern.bash", f"does not know {word} of {command}")
    check_pages_of_nothing()
    check_sendmail()


def check_pages_of_nothing():
    """A page for a command may come before the command; an option in it may not."""
    for page in sorted(MAN.glob("postern-*.[1-8]")):
        command = page.name[len("postern-") : page.name.rindex(".")]
        if not (SRC / f"bin/cmd_{command}.c").exists():
            continue
        known = set(options_of(command)) | {"--help", "-h"}
        for option in re.findall(r"^\.TP\n\.B[RI]?\s+(\S+)", read(page), re.M):
            option = re.sub(r"\\f[BIRP]", "", option).replace("\\-", "-").strip('"')
            if option.startswith("-") and option not in known:
                complain(name_of(page), f"describes {option}, which the command does not have")


def check_sendmail():
    source = SRC / "bin/cmd_send.c"
    if not source.exists():
        return
    text = code(source)
    page = plain_man(MAN / "postern-sendmail.8")
    letters = set(SENDMAIL_FLAG.findall(text))
    for letter in sorted(letters):
        if not re.search(rf"(?<![\w-])-{letter}", page):
            complain("docs/man/postern-sendmail.8", f"does not mention -{letter}")


# --- reasons and events ----------------------------------------------------------------------------


def reasons_in_source(known):
    """Ids of findings (doctor/finding.h) look the same; files that make some are believed to know what they say."""
    found = set()
    for path in sources():
        text = code(path)
        finder = "struct finding " in text or "finding_add(" in text or "finding_skip(" in text or path.parent.name == "doctor"
        for reason in REASON.findall(text):
            if reason not in NO_REASONS and not reason.endswith(FILE_ENDINGS) and (reason in known or not finder):
                found.add(reason)
        found |= {f"backend.{name}" for name in CHANNEL.findall(text)}
    return found


def first_cells(text):
    """What stands in `code` in the first cell of each row of the tables."""
    found = []
    for line in text.splitlines():
        cell = re.match(r"\|\s*(`[^|]*)\|", line)
        if cell:
            found += re.findall(r"`([^`]+)`", cell.group(1))
    return found


def compare(document, what, documented, in_source):
    seen = set()
    for name in documented:
        if name in seen:
            complain(document, f"{what} {name} stands there twice")
        seen.add(name)
    for name in sorted(in_source - seen):
        complain(document, f"{what} {name} of the source is missing")
    for name in sorted(seen - in_source):
        complain(document, f"{what} {name} is not in the source")


REFUSAL = re.compile(r'\{\s*(?:PERM|TEMP),\s*(\d+),\s*"([\d.]+)",\s*"([a-z0-9.-]+)"')


def check_reasons():
    try:
        known = reasons.all_reasons()
    except reasons.Wrong as why:
        return complain("data/reasons.txt", str(why))
    compare("data/reasons.txt", "reason", list(known), reasons_in_source(known))
    for code_, status, reason in REFUSAL.findall(code(SRC / "decide/decide.c")):
        if f"{code_} {status}" not in known.get(reason, {}).get("reply", []):
            complain("data/reasons.txt", f"{reason} does not name the reply {code_} {status} that the decision gives")
    for name in ("refusals.txt", "wire.txt"):  # what the tests have heard
        for reply, reason in re.findall(r"\b(\d{3} \d\.\d+\.\d+) .*\[([a-z0-9.-]+) \w+\]$", read(ROOT / "tests/golden" / name), re.M):
            if reply not in known.get(reason, {}).get("reply", []):
                complain("data/reasons.txt", f"{reason} does not name the reply {reply} of tests/golden/{name}")
    if read(ROOT / "docs/reasons.md") != reasons.markdown(read(reasons.DATA)):
        complain("docs/reasons.md", "is not made from data/reasons.txt: python3 tools/reasons.py > docs/reasons.md")


# The cases that must come out right, as the tests number them; and what some of them wait for.
CASES = [str(n) for n in range(1, 38)] + ["5a"]
CASE_NEEDS = {"8": "pop_before_smtp", "13": "tenant", "21": "group", "22": "srs_secret", "24": "limit", "25": "blocklists",
              "28": "client_certificate"}


def cases_tested():
    found = set()
    for path in sorted((ROOT / "tests/system").glob("test_*.py")):
        found |= {n.lstrip("0") for n in re.findall(r"^def test_case_(\d+[a-z]?)(?:_\w*)?\(", read(path), re.M)}
    for path in sorted((ROOT / "tests/talk").rglob("*.talk")):
        head = " ".join(read(path).splitlines()[:4])
        for numbers in re.findall(r"\b[Cc]ases? ((?:\d+[a-z]?(?:, | and )?)+)", head):
            found |= set(re.findall(r"\d+[a-z]?", numbers))
    return found


FINDING = re.compile(r'"((?:bimi|dane|dkim|dmarc|dns|dnssec|domain|egress|mx|ns|ptr|soa|spf|sts|time|tlsrpt|verify|wildcard)\.[a-z0-9-]+)"')


DOCTOR_FILES = [f"doctor/{name}.c" for name in ("examine", "ports", "probes", "relaytest", "relaytest_judge", "session", "sts_probe", "target", "tls_probe")]
DOCTOR_FILES.append("bin/cmd_relaytest.c")
DOCTOR_FINDING = re.compile(r'"((?:auth|banner|connect|data|dns|ehlo|facts|mail|mx|port|probe|quit|rcpt|relaytest|tls)(?:\.[a-z0-9-]+)?)"')


def check_doctor_findings():
    """docs/doctor.md has a row for each finding of `postern doctor` and `relaytest`, and for no other."""
    made = set().union(*(DOCTOR_FINDING.findall(code(SRC / name)) for name in DOCTOR_FILES))
    told = set(first_cells(read(ROOT / "docs/doctor.md").partition("## Findings")[2]))
    made -= set(reasons.all_reasons()) - told  # why a look-up failed
    made -= {"tls", "connect", "relaytest", "dns.failed", "relaytest.invalid"}  # words, a reason, a name
    for finding in sorted(made - told):
        complain("docs/doctor.md", f"does not tell of {finding}")
    for finding in sorted(told - made):
        complain("docs/doctor.md", f"tells of {finding}, which the doctor does not find")


def check_findings():
    """docs/dns.md has a row for each finding of `postern dns`, and for no other."""
    made, told = set(), set(first_cells(read(ROOT / "docs/dns.md")))
    for path in sources("doctor/domain*.c"):
        made |= set(FINDING.findall(code(path)))
    for finding in sorted(made - told):
        complain("docs/dns.md", f"does not tell of {finding}")
    for finding in sorted(told - made):
        complain("docs/dns.md", f"tells of {finding}, which no file of src/doctor/domain*.c finds")


def check_cases():
    waiting = {needed for section, setting in not_built_rows() for needed in (setting or section,)}
    waiting |= {"group"} - set(command_names())
    for case in CASES:
        if case not in cases_tested() and CASE_NEEDS.get(case) not in waiting:
            complain("tests", f"case {case} has no test: a function test_case_{case} or a talk that names it")


def settled_events():
    """What an attempt comes to: the final states of a recipient, and "deferred"."""
    names = re.findall(r'\[RECIPIENT_\w+\]\s*=\s*\{\s*"([a-z]+)"', code(SRC / "flow/settlement.c"))
    return {n for n in names if n not in ("due", "sending", "held")}


def events_in_source():
    found = set()
    for path in sources("*/*.c"):
        text = code(path)
        found |= set(re.findall(r'\bevent_begin\("([a-z-]+)"\)', text))
        found |= set(EVENT_BY_HAND.findall(text))
        where = name_of(path)
        if path == SRC / "base/event.c" or not re.search(r"\bevent_begin\([^\")]", text):
            continue
        if where not in EVENT_TABLES:
            complain("tools/docs_check.py", f"{where} begins an event by a name it cannot find: add a row")
        elif EVENT_TABLES[where]:
            found |= set(EVENT_TABLES[where].findall(text))
        else:
            found |= settled_events()
    return found


def check_events():
    text = read(ROOT / "docs/operations.md")
    section = re.search(r"^## Events\n(.*?)(?=^## )", text, re.M | re.S)
    if not section:
        complain("docs/operations.md", 'has no section "Events"')
        return
    compare("docs/operations.md", "event", first_cells(section.group(1)), events_in_source())


# --- what documents point to -----------------------------------------------------------------------

TOP = ("src/", "tests/", "tools/", "docs/", "data/", "fuzz/", "bench/", "packaging/", "examples/")


def documents():
    yield from sorted(ROOT.glob("*.md"))
    yield from sorted((ROOT / "docs").rglob("*.md"))


def check_paths():
    for path in documents():
        for token in re.findall(r"`([^`\s]+)`", read(path)):
            if token.startswith(TOP) and not re.search(r"[A-Z*<>{}]{3,}|[*<>{}]", token):
                if not (ROOT / token).exists():
                    complain(name_of(path), f"`{token}` does not exist")
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", read(path)):
            if not (path.parent / target).exists():
                complain(name_of(path), f"the link to {target} leads nowhere")


def check_standards():
    """What the code says it follows stands in the map; what addr.c lists is one row there."""
    mapped = read(ROOT / "docs/rfc-map.md")
    for path in sources():
        if path == SRC / "base/addr.c":
            continue
        for number in sorted(set(re.findall(r"RFC (\d+)", read(path)))):
            if not re.search(rf"RFC {number}\b", mapped):
                complain("docs/rfc-map.md", f"RFC {number}, which {name_of(path)} names, is missing")


def check_functions():
    everything = "\n".join(code(p) for p in sources())
    for function in sorted(set(re.findall(r"`([a-z_]\w*)\(\)`", read(ROOT / "ARCHITECTURE.md")))):
        if not re.search(rf"\b{function}\(", everything):
            complain("ARCHITECTURE.md", f"there is no function {function}()")


def check_shown_output(program):
    """What README.md shows a command to say is what it says."""
    readme = read(ROOT / "README.md")
    for command in re.findall(r"^    \$ postern (why .*)$", readme, re.M):
        done = subprocess.run([program, *command.split()], cwd=ROOT, text=True, capture_output=True, timeout=60)
        lines = ["$ postern " + command, *done.stdout.splitlines()]
        if "\n".join("    " + line if line else "" for line in lines) not in readme:
            complain("README.md", f"postern {command} says something else now")


def check_pages():
    """The error reference is up to date."""
    try:
        for name in pages.differences():
            complain(f"docs/errors/{name}", "is not made from data/: python3 tools/pages.py")
    except pages.Wrong as why:
        complain("data/pages", str(why))
    rules = sorted((ROOT / "data/replies").glob("*.rules"))
    made = subprocess.run([sys.executable, ROOT / "tools/causes.py", *rules], text=True, capture_output=True, check=True).stdout
    if made != read(ROOT / "docs/causes.md"):
        complain("docs/causes.md", "is not made from data/replies: python3 tools/causes.py data/replies/*.rules > docs/causes.md")


def check_shown_replies(program):
    """The replies that the error reference shows are explained by the causes on whose pages they stand."""
    shown = [(reply, name) for name, cause in pages.all_causes().items() for reply in cause["sees"]]
    shown += [(r["reply"], r["cause"]) for r in pages.all_replies()]
    with tempfile.TemporaryDirectory(prefix="postern-docs-") as folder:
        for i, (reply, _) in enumerate(shown):
            Path(folder, f"{i:04}").write_text(reply, encoding="utf-8")
        done = subprocess.run([program, "explain", "--json", folder], text=True, capture_output=True, timeout=60)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if len(answers) != len(shown):
        return complain("docs/errors", f"postern explain answers {len(answers)} of {len(shown)} replies: {done.stderr}")
    for (reply, cause), answer in zip(shown, answers):
        said = [r["cause"] for r in answer["recipients"]]
        if said != [cause]:
            complain("docs/errors", f"{reply}: postern explain says {', '.join(said) or 'nothing'}, the page {cause}")


def not_built_rows():
    table = re.search(r"not_built\[\] = \{(.*?)\n\};", code(SRC / "config/schema.c"), re.S).group(1)
    return re.findall(r'\{\s*"(\w*)",\s*(?:"(\w+)"|NULL)', table)


def check_not_built():
    """What README.md says is not built yet is what the configuration refuses for that reason."""
    refused = {setting or section for section, setting in not_built_rows()}
    section = re.search(r"^## What is not built yet\n(.*?)\nCommands", read(ROOT / "README.md"), re.M | re.S)
    said = set(re.findall(r"`(\w+)`", section.group(1) if section else ""))
    for name in sorted(refused - said):
        complain("README.md", f"does not say that {name} is not built yet")
    for name in sorted(said - refused):
        complain("README.md", f"says that {name} is not built yet")


# --- examples ----------------------------------------------------------------------------------------


def find_program():
    built = [ROOT / d / "src/bin/postern" for d in ("build", "build-check")]
    built += sorted(ROOT.glob("build*/src/bin/postern"))
    return next((p for p in built if p.exists()), None)


def make_files(text, folder):
    """What an example refers to below /etc/postern, made in a directory of its own."""
    for path in re.findall(r'"file:/etc/postern/([\w.-]+)"', text):
        secret = folder / path
        secret.write_text("user:password\n")
        secret.chmod(0o600)
    for chain, key in re.findall(r'certificate = "/etc/postern/([\w.-]+)"\s+key = "/etc/postern/([\w.-]+)"', text):
        subprocess.run(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=mail".split()
            + ["-out", folder / chain, "-keyout", folder / key],
            check=True,
            capture_output=True,
        )
        (folder / key).chmod(0o600)


def check_examples(program):
    with tempfile.TemporaryDirectory(prefix="postern-docs-") as name:
        folder = Path(name)
        for example in sorted((ROOT / "examples").glob("*.conf")):
            if example.name == "postern.conf":  # all settings, those that are not built yet too
                continue
            text = read(example)
            make_files(text, folder)
            mended = folder / example.name
            mended.write_text(text.replace("/etc/postern/", f"{folder}/"))
            done = subprocess.run([program, "check", "-c", mended], text=True, capture_output=True, timeout=60)
            if done.returncode:
                complain(name_of(example), f"postern check ends with {done.returncode}")
                wrong.extend("    " + line for line in (done.stdout + done.stderr).splitlines())


def check_first_example():
    """The configuration that README.md shows is the one that is checked."""
    shown = "\n".join("    " + line if line else "" for line in read(ROOT / "examples/first.conf").splitlines())
    if shown not in read(ROOT / "README.md"):
        complain("README.md", "does not show examples/first.conf as it is")


def check_forms():
    """Completion and manual pages, by the tools that know them, where they are installed."""
    if shutil.which("bash"):
        script = ROOT / "packaging/completion/postern.bash"
        done = subprocess.run(["bash", "-n", script], text=True, capture_output=True)
        if done.returncode:
            complain(name_of(script), done.stderr.strip())
    if shutil.which("groff"):
        for page in sorted(MAN.glob("*.[1-8]")):
            done = subprocess.run(
                ["groff", "-man", "-Tutf8", "-ww", page],
                text=True,
                capture_output=True,
                env={**os.environ, "LC_ALL": "C.UTF-8"},
            )
            for line in done.stderr.splitlines():
                complain(name_of(page), line)


def main():
    parser = argparse.ArgumentParser(description="Hold the documents against the code.")
    parser.add_argument("--postern", type=Path, help="the program that checks examples/")
    given = parser.parse_args()
    check_commands()
    check_reasons()
    check_findings()
    check_doctor_findings()
    check_cases()
    check_events()
    check_paths()
    check_functions()
    check_standards()
    check_first_example()
    check_not_built()
    check_pages()
    check_forms()
    program = given.postern or find_program()
    if program and "check" in command_names():
        check_examples(program.resolve())
        check_shown_output(program.resolve())
        check_shown_replies(program.resolve())
    else:
        print("docs_check: examples were not checked: there is no postern built here that could")
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
