#!/usr/bin/env python3
"""Run the tests of the whole server: every function test_* of the files test_*.py beside this one.

Each test runs in a process of its own, where the machine allows it with network, mounts and process
ids of its own: ports do not collide, no packet leaves, and whatever a test started ends with it.

    run.py [--sanitized BUILD] [--shipped BUILD] [--jobs N] [-v] [NAME ...]

NAME is a part of a test's name. One line a test; what a failed one wrote stands below its line."""
import argparse
import importlib
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))

import isolation  # noqa: E402
from harness import Context, Skip  # noqa: E402

OUTPUT_SHOWN = 20000
SKIPPED = 77


def find_tests():
    tests = []
    for path in sorted(HERE.glob("test_*.py")):
        module = importlib.import_module(path.stem)
        found = [f for name, f in vars(module).items() if name.startswith("test_") and callable(f)]
        tests += sorted((f for f in found if f.__module__ == path.stem), key=lambda f: f.__code__.co_firstlineno)
    return tests


def option(test, name, default):
    return getattr(test, "options", {}).get(name, default)


def in_child(test, builds, folder):
    """Runs in the test's own process; returns its exit code."""
    context = Context(builds, folder)
    try:
        test(context)
        context.close()
        return 0
    except Skip as why:
        print(why)
        context.close(quiet=True)
        return SKIPPED
    except BaseException:
        traceback.print_exc()
        try:
            context.close(quiet=True)
            context.show_logs()
        except Exception:
            traceback.print_exc()
        return 1


class Running:
    def __init__(self, test, builds):
        self.test, self.began = test, time.monotonic()
        self.limit = option(test, "seconds", 60)
        self.folder = Path(tempfile.mkdtemp(prefix="postern-"))
        self.folder.chmod(0o755)
        self.output = tempfile.TemporaryFile()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            os.dup2(self.output.fileno(), 1)
            os.dup2(self.output.fileno(), 2)
            os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
            code = isolation.run(lambda: in_child(test, builds, self.folder), isolation.KIND)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        self.pidfd = os.pidfd_open(self.pid)

    def end(self, overdue):
        if overdue:
            os.killpg(self.pid, signal.SIGKILL)
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.pidfd)
        self.seconds = time.monotonic() - self.began
        self.output.seek(0)
        text = self.output.read().decode(errors="replace")
        self.output.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        code = os.waitstatus_to_exitcode(status)
        if overdue:
            return "FAILED", f"not done after {self.limit} s\n{text}"
        return {0: "ok", SKIPPED: "skipped"}.get(code, "FAILED"), text


def report(running, verdict, text, verbose):
    print(f"{verdict:<7} {running.test.__name__[5:]}  ({running.seconds:.1f} s)", end="")
    if verdict == "skipped":
        print(": " + text.strip().splitlines()[-1], end="")
    print(flush=True)
    if verdict == "FAILED" or verbose:
        if len(text) > OUTPUT_SHOWN:
            text = text[: OUTPUT_SHOWN // 2] + "\n...\n" + text[-OUTPUT_SHOWN // 2 :]
        for line in text.splitlines():
            print("    | " + line)
    sys.stdout.flush()


def run_all(tests, builds, jobs, verbose):
    waiting, running = list(tests), {}
    counts = {"ok": 0, "FAILED": 0, "skipped": 0}
    selector = selectors.DefaultSelector()
    while waiting or running:
        alone = any(option(r.test, "alone", False) for r in running.values())
        while waiting and len(running) < jobs and not alone:
            if option(waiting[0], "alone", False):
                if running:
                    break
                alone = True
            one = Running(waiting.pop(0), builds)
            running[one.pidfd] = one
            selector.register(one.pidfd, selectors.EVENT_READ)
        nearest = min(r.began + r.limit for r in running.values())
        ready = {key.fd for key, _ in selector.select(max(0, nearest - time.monotonic()))}
        for fd, one in list(running.items()):
            overdue = fd not in ready and time.monotonic() > one.began + one.limit
            if fd in ready or overdue:
                selector.unregister(fd)
                del running[fd]
                verdict, text = one.end(overdue)
                counts[verdict] += 1
                report(one, verdict, text, verbose)
    return counts


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sanitized", default=str(ROOT / "build-check"))
    parser.add_argument("--shipped", default=str(ROOT / "build"))
    parser.add_argument("--jobs", type=int, default=2 * (os.cpu_count() or 1))
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    builds = {"sanitized": os.path.abspath(given.sanitized), "shipped": os.path.abspath(given.shipped)}
    tests = [t for t in find_tests() if not given.names or any(n in t.__name__ for n in given.names)]
    tests.sort(key=lambda t: option(t, "alone", False))
    fetched = subprocess.run([sys.executable, str(HERE / "peers.py")], text=True, capture_output=True)
    if fetched.returncode:
        print("real peers could not be fetched:\n" + fetched.stdout + fetched.stderr)
    counts = run_all(tests, builds, given.jobs if isolation.KIND != "none" else 1, given.verbose)
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    print(f"{counts['ok']} passed, {counts['FAILED']} failed{skipped}")
    return 1 if counts["FAILED"] else 0


if __name__ == "__main__":
    sys.exit(main())
