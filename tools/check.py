#!/usr/bin/env python3
"""Run every test there is and count: `make check`.

Prints a line a group, what failed with its output, and at the end `N passed, N failed`. Everything is
built twice: in build-check with the sanitizers, and in build as it is shipped; some tests of the
whole server (speed, tracing of system calls) need the second."""
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SANITIZED, SHIPPED = ROOT / "build-check", ROOT / "build"
SUITES = {
    "unit": "unit tests",
    "fuzz": "fuzz corpora",
    "talk": "conversations",
    "crash": "power cuts",
}
TAIL = 60  # lines of a failed test's output


class Count:
    def __init__(self):
        self.passed = self.failed = 0
        self.began = time.monotonic()

    def add(self, what, passed, failed):
        self.passed += passed
        self.failed += failed
        verdict = f"{passed} passed" + (f", {failed} FAILED" if failed else "")
        print(f"{what:<18} {verdict}  ({time.monotonic() - self.began:.0f} s)", flush=True)
        self.began = time.monotonic()


def tail(text, lines=TAIL):
    return "\n".join("    " + line for line in text.rstrip().splitlines()[-lines:])


def run(*command, **more):
    return subprocess.run(
        command, cwd=ROOT, text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more
    )


def check_one(count, what, *command):
    done = run(*command)
    if done.returncode:
        print(tail(done.stdout))
    count.add(what, int(done.returncode == 0), int(done.returncode != 0))
    return done.returncode == 0


def check_format(count):
    listed = run("git", "ls-files", "*.c", "*.h")
    if listed.returncode:  # an unpacked archive
        files = [str(p) for d in ("src", "tests", "fuzz", "bench") for p in (ROOT / d).rglob("*.[ch]")]
    else:
        files = [f for f in listed.stdout.split() if (ROOT / f).exists()]
    check_one(count, "format", "clang-format", "--dry-run", "-Werror", *files)


def build(count, what, directory, *options):
    if not (directory / "build.ninja").exists():
        made = run("meson", "setup", str(directory), *options)
        if made.returncode:
            print(tail(made.stdout))
            count.add(what, 0, 1)
            return False
    return check_one(count, what, "ninja", "-C", str(directory))


def forget_log():
    log = SANITIZED / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    return log


def check_meson(count):
    log = forget_log()
    done = run("meson", "test", "-C", str(SANITIZED), "--no-rebuild", "--print-errorlogs")
    if not log.exists():
        print(tail(done.stdout))
        count.add("meson test", 0, 1)
        return
    groups = {suite: [0, 0] for suite in SUITES}
    for line in log.read_text().splitlines():
        test = json.loads(line)
        suite = next((s for s in SUITES if f"{s} / " in test["name"]), "unit")
        if test["result"] == "SKIP":
            print(f"  skipped {test['name']}")
            continue
        ok = test["result"] in ("OK", "EXPECTEDFAIL")
        # cmocka says "[       OK ]" and "[  FAILED  ]" a test; any other program counts as one.
        output = test.get("stdout", "") + test.get("stderr", "")
        passed = len(re.findall(r"^\[ +OK +\]", output, re.M)) or int(ok)
        groups[suite][0] += passed
        if not ok:
            groups[suite][1] += max(1, len(re.findall(r"^\[  FAILED  \] \S+$", output, re.M)) // 2)
            print(f"  FAILED {test['name']} ({test['result']})\n{tail(output)}")
    for suite, (passed, failed) in groups.items():
        if passed or failed:
            count.add(SUITES[suite], passed, failed)


def check_system(count):
    """tests/system/run.py ends with its own count; its lines are shown as they come."""
    command = [sys.executable, str(ROOT / "tests/system/run.py"), "--sanitized", str(SANITIZED), "--shipped", str(SHIPPED)]
    passed = failed = 0
    with subprocess.Popen(command, cwd=ROOT, text=True, errors="replace", stdout=subprocess.PIPE) as running:
        for line in running.stdout:
            found = re.match(r"(\d+) passed, (\d+) failed", line)
            if found:
                passed, failed = int(found[1]), int(found[2])
            else:
                print("  " + line.rstrip(), flush=True)
    if running.returncode and not failed:
        failed = 1
    count.add("whole server", passed, failed)


def main():
    os.environ.setdefault("ASAN_OPTIONS", "detect_stack_use_after_return=1:strict_string_checks=1")
    os.environ.setdefault("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1")
    count = Count()
    check_one(count, "layers", sys.executable, "tools/layers.py")
    check_format(count)
    shipped = build(count, "build", SHIPPED)
    program = ("--postern", str(SHIPPED / "src/bin/postern")) if shipped else ()
    check_one(count, "documents", sys.executable, "tools/docs_check.py", *program)
    sanitized = build(
        count, "build, sanitized", SANITIZED, "-Dtests=true", "-Dbuildtype=debugoptimized", "-Db_sanitize=address,undefined"
    )
    if sanitized:
        check_meson(count)
    if shipped and sanitized:
        check_system(count)
    print(f"{count.passed} passed, {count.failed} failed")
    return 1 if count.failed or not (shipped and sanitized) else 0


if __name__ == "__main__":
    sys.exit(main())
