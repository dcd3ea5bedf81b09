"""Group commit, as the kernel sees it: few syncs, and no 250 before the sync that covers its message."""
import re

from harness import options, tool, until
from load import Load
from world import *

CALL = re.compile(r"^(\d+) +(?:\d+\.\d+ )?(\w+)\((.*)$")
RESUMED = re.compile(r"^(\d+) +(?:\d+\.\d+ )?<\.\.\. (\w+) resumed>(.*)$")


def calls(path):
    """(began, ended, name, first argument, text) of each call; times are line numbers of the trace."""
    open_calls, found = {}, []
    with open(path, errors="replace") as lines:
        for at, line in enumerate(lines):
            match = RESUMED.match(line)
            if match:
                began = open_calls.pop(match[1], None)
                if began:
                    found.append((began[0], at, match[2], began[1], began[2] + match[3]))
                continue
            match = CALL.match(line)
            if not match:
                continue
            file = match[3].split(">", 1)[0]
            if line.rstrip().endswith("<unfinished ...>"):
                open_calls[match[1]] = (at, file, match[3])
            else:
                found.append((at, at, match[2], file, match[3]))
    return found


@options(seconds=170, alone=True)
def test_syncs(t):
    """100 senders, 4 KiB messages: under 0.2 fdatasync a message; each 250 is written after the return of a sync
    that began after the message's record was written to that file."""
    t.zones(ADATUM)
    sink = t.sink(keep_data=False)
    server = t.server(OURS + OFFICE + 'listener "internet" { bind = {"127.0.0.1:0"}  tls = off  auth = off '
                      ' max_connections_per_client = 1000 }', build="shipped", start=False)
    trace = t.folder / "trace"
    server.start(wrap=[tool("strace"), "-f", "-y", "-s", "400000", "-qq", "-o", str(trace), "-e",
                       "trace=fdatasync,fsync,sync_file_range,write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg"])
    load = Load(t, server.at(), senders=100, count=3000, source="127.0.2.{}", limit=120).wait()
    assert len(load.acked) == load.count and not load.doubtful, (len(load.acked), load.wrong[:3])
    until(lambda: len(sink.messages) >= load.count, "relayed", 60, 0.2)
    server.stop()
    every = calls(trace)
    syncs = [c for c in every if c[2] in ("fdatasync", "fsync") and "/state/spool/" in c[3]]
    all_syncs = [c for c in every if c[2] in ("fdatasync", "fsync")]
    print(f"{len(syncs)} syncs of the spool, {len(all_syncs)} of all files, for {load.count} messages")
    assert len(syncs) < 0.2 * load.count, f"{len(syncs) / load.count:.3f} syncs a message"
    written, said = {}, {}
    for began, ended, name, file, text in every:
        if "/spool/" in file and name in ("write", "writev", "pwrite64", "pwritev", "pwritev2"):
            for number in re.findall(r"Message-ID: <(\d+\.load@client\.example)>", text):
                written.setdefault("<" + number + ">", (ended, file))
        elif "250 2.0.0" in text:
            for id in re.findall(r"queued as ([\w-]+)", text):
                said.setdefault(id, began)
    late = []
    for name, id in load.acked.items():
        assert name in written and id in said, f"{name} {id}: not seen in the trace"
        at, file = written[name]
        if not any(at < began and ended < said[id] and file == f for began, ended, _, f, _ in syncs):
            late.append((name, id, at, said[id]))
    assert not late, f"{len(late)} replies without a sync before them, such as {late[:3]}"
