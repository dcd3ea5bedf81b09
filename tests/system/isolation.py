"""What a test is shut off from the machine with: Linux namespaces, as far as they are allowed here."""
import ctypes
import fcntl
import os
import signal
import socket
import struct
import sys

NEWNS, NEWUSER, NEWPID, NEWNET = 0x20000, 0x10000000, 0x20000000, 0x40000000
PRIVATE = NEWNS | NEWPID | NEWNET
MS_REC, MS_PRIVATE, MS_NOSUID_NODEV_NOEXEC = 0x4000, 0x40000, 14

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags):
    if _libc.unshare(flags):
        raise OSError(ctypes.get_errno(), "unshare")


def mount(source, target, kind, flags=0, data=""):
    if _libc.mount(source.encode(), str(target).encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()):
        raise OSError(ctypes.get_errno(), f"mount {target}")


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS, IFF_UP | IFF_RUNNING


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


def _enter(kind):
    uid, gid = os.getuid(), os.getgid()
    if kind == "user":
        unshare(NEWUSER | PRIVATE)
        write("/proc/self/setgroups", "deny")
        write("/proc/self/uid_map", f"{uid} {uid} 1")
        write("/proc/self/gid_map", f"{gid} {gid} 1")
    else:
        unshare(PRIVATE)


def _keep_mounts_in():
    """Nothing mounted from here on is seen outside."""
    try:
        mount("none", "/", "", MS_REC | MS_PRIVATE)
    except OSError:  # in a chroot / is no mount point: whatever can be seen, then
        with open("/proc/self/mountinfo") as table:
            for target in {line.split()[4] for line in table}:
                mount("none", target.replace("\\040", " "), "", MS_PRIVATE)


def _settle():
    _keep_mounts_in()
    mount("proc", "/proc", "proc", MS_NOSUID_NODEV_NOEXEC)
    loopback_up()
    # Ports such as 25 are everybody's in here.
    write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")


def run(function, kind):
    """Runs it in this process, shut off as `kind` says; returns its result, a small number."""
    if kind == "none":
        return function()
    _enter(kind)
    pid = os.fork()
    if pid == 0:  # process 1 in here: when it ends the kernel ends all others
        _settle()
        code = function()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    status = os.waitpid(pid, 0)[1]
    return os.waitstatus_to_exitcode(status) & 0xFF


def _find_kind():
    """root: all namespaces; user: all, by a user namespace; none."""
    for kind in ("root", "user") if os.getuid() == 0 else ("user",):
        pid = os.fork()
        if pid == 0:
            try:
                os.setsid()
                code = run(lambda: 0, kind)
            except OSError:
                code = 1
            os._exit(code)
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0:
            return kind
    return "none"


KIND = _find_kind()
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
