#!/usr/bin/env python3
"""Real mail servers and clients to test against, unpacked from Debian's packages into build/peers/root: nothing of them
is installed on this machine, nothing of this machine's own mail service is touched. They run in a chroot there.

As a program: fetch what is missing (nothing when all is there)."""
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent.parent / "build" / "peers"
ROOT = FOLDER / "root"
# One line a mail server, as they exclude one another; all is unpacked into one root nevertheless.
GROUPS = [["postfix", "dovecot-core", "dovecot-lmtpd", "dovecot-pop3d", "dovecot-submissiond", "nsd", "node-nodemailer", "libsasl2-modules",
           "dash", "coreutils"],  # for a post-login script
          ["exim4-daemon-light"]]
WANTED = [name for group in GROUPS for name in group]
# OpenSMTPD of Debian 12 (6.8) cannot do TLS with the OpenSSL 3 there: the next release's, in a root of its own.
NEXT, NEXT_RELEASE, NEXT_WANTED = FOLDER / "next", "trixie", ["opensmtpd"]
# What the closure of these names, and servers that run in the foreground never call.
LEAVE_OUT = re.compile(r"^(perl.*|libperl.*|.*-perl|dpkg|tar|cpio|e2fsprogs|logsave|usrmerge|adduser|passwd|debconf|ucf|"
                       r"sensible-utils|ssl-cert|sysvinit-utils|init-system-helpers|lsb-base|gcc-12-base|libpam-runtime)$")
ACCOUNTS = {"root": 0, "postfix": 901, "postdrop": 902, "dovecot": 903, "dovenull": 904, "vmail": 905, "nsd": 906, "Debian-exim": 907,
            "opensmtpd": 908, "opensmtpq": 909, "mail": 8, "adm": 4, "nobody": 65534}

MARK, NEXT_MARK = [*WANTED, *ACCOUNTS], [*NEXT_WANTED, *ACCOUNTS]  # what a root that is complete has


# --- fetching -----------------------------------------------------------------------------


def apt(*words, **more):
    return subprocess.run(["apt-get", "-q", *words], text=True, capture_output=True, **more)


def closure(groups, options=()):
    """All packages these need, as if nothing were installed."""
    names = set()
    for group in groups:
        done = apt(*options, "-o", "Dir::State::status=/dev/null", "-o", "Debug::NoLocking=1", "--no-install-recommends", "-y", "-s", "install", *group)
        if done.returncode:
            return None
        names.update(re.findall(r"^Inst (\S+)", done.stdout, re.M))
    return sorted(n for n in names if not LEAVE_OUT.match(n))


def unpack(deb, root):
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as tar:
        subprocess.run(["tar", "-x", "--keep-directory-symlink", "--no-same-owner", "-C", root], stdin=tar.stdout, check=True)


def is_complete(root=ROOT, mark=None):
    """All that is wanted now: what an earlier version of this file fetched may be less."""
    return (root / "complete").exists() and (root / "complete").read_text().split() == (mark or MARK)


def fetch_into(target, part, names, mark, options=()):
    """Downloads these packages and unpacks them; `target` is there at the end, and whole, or not at all."""
    debs, root = part / "debs", part / "root"
    debs.mkdir(parents=True, exist_ok=True)
    done = apt(*options, "download", *names, cwd=debs)
    if done.returncode:
        return done.stderr
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to("usr/" + name)
    for name in ("dev", "proc", "tmp", "run", "etc", "var/log"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "var/run").symlink_to("/run")
    for deb in sorted(debs.glob("*.deb")):
        unpack(deb, root)
    etc = root / "etc"
    etc.joinpath("passwd").write_text("".join(f"{n}:x:{i}:{i}::/:/bin/false\n" for n, i in ACCOUNTS.items()))
    etc.joinpath("group").write_text("".join(f"{n}:x:{i}:\n" for n, i in ACCOUNTS.items()))
    etc.joinpath("nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    etc.joinpath("hosts").write_text("127.0.0.1 localhost\n")
    etc.joinpath("services").write_text("smtp 25/tcp\nlmtp 24/tcp\ndomain 53/udp\n")
    (root / "complete").write_text("\n".join(mark))
    shutil.rmtree(target, ignore_errors=True)
    root.rename(target)
    shutil.rmtree(part)
    return None


def fetch():
    if is_complete():
        return
    part = FOLDER / "part"
    shutil.rmtree(part, ignore_errors=True)
    names = closure(GROUPS)
    if names is None:  # no package lists yet
        apt("update") if os.getuid() == 0 else subprocess.run(["sudo", "apt-get", "-q", "update"], capture_output=True)
        names = closure(GROUPS)
    if not names:
        sys.exit("apt-get finds no " + " ".join(WANTED))
    wrong = fetch_into(ROOT, part, names, MARK)
    if wrong:
        sys.exit(wrong)


def fetch_next():
    """From the same mirror, with package lists of its own; where that has none the tests that need it are skipped."""
    if is_complete(NEXT, NEXT_MARK):
        return
    part = FOLDER / "next-part"
    shutil.rmtree(part, ignore_errors=True)
    for name in ("lists/partial", "cache/archives/partial"):
        (part / name).mkdir(parents=True)
    listed = apt("indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian", "Component: main", "Suite: oldstable").stdout.split()
    listed += apt("indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian", "Component: main").stdout.split()
    if not listed:
        return print("apt names no Debian mirror")
    (part / "sources.list").write_text(f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {listed[0]} {NEXT_RELEASE} main\n")
    options = [f"-oDir::State::lists={part}/lists", f"-oDir::Cache={part}/cache", f"-oDir::Etc::sourcelist={part}/sources.list",
               "-oDir::Etc::sourceparts=-", "-oAcquire::Languages=none", "-oAPT::Sandbox::User=root", "-oDebug::NoLocking=1"]
    done = apt(*options, "update")
    names = closure([NEXT_WANTED], options)
    wrong = fetch_into(NEXT, part, names, NEXT_MARK, options) if names else done.stderr or f"{NEXT_RELEASE} has no {NEXT_WANTED}"
    if wrong:
        print(wrong)


# --- running ------------------------------------------------------------------------------


class Peers:
    """What a test runs in the chroot; needs root and the test's own mounts."""

    PRIVATE = ("etc/postfix", "etc/dovecot", "var/spool/postfix", "var/lib/postfix", "var/lib/dovecot", "var/vmail", "var/log",
               "run", "tmp", "etc/nsd", "var/lib/nsd", "etc/exim4", "var/spool/exim4")
    PRIVATE_NEXT = ("etc/smtpd", "etc/ssl/certs", "var/spool/smtpd", "var/vmail", "var/log", "run", "tmp")

    def __init__(self, context):
        from harness import Skip, need_root

        need_root()
        if not is_complete():
            raise Skip("the packages of real peers could not be fetched")
        self.context, self.folder = context, context.folder / "peers"
        self.shut_in(ROOT, self.folder, self.PRIVATE)
        if context.dns:
            self.write("etc/postfix/resolv.conf", f"nameserver {context.dns.where.split(':')[0]}\n")

    @staticmethod
    def shut_in(root, folder, private):
        """What a test writes there is its own."""
        import isolation

        for name in private:
            mine, there = folder / name, root / name
            mine.mkdir(parents=True)
            there.mkdir(parents=True, exist_ok=True)
            mine.chmod(0o755)
            isolation.mount(str(mine), there, "", 0x1000)  # MS_BIND
        isolation.mount("/dev", root / "dev", "", 0x5000)  # and what lies below
        isolation.mount("proc", root / "proc", "proc", 14)

    def next_release(self):
        """The root of what comes from there."""
        from harness import Skip

        if not is_complete(NEXT, NEXT_MARK):
            raise Skip(f"packages of {NEXT_RELEASE} could not be fetched")
        self.shut_in(NEXT, self.folder / "next", self.PRIVATE_NEXT)

    def write(self, name, text, mode=0o644, root=ROOT):
        path = root / name
        path.write_text(text)
        path.chmod(mode)

    def start(self, *command, root=ROOT, **more):
        return self.context.process(*command, preexec_fn=lambda: (os.chroot(root), os.chdir("/")), start_new_session=True, **more)

    def run(self, *command, seconds=120, **more):
        done = subprocess.run([str(c) for c in command], text=True, capture_output=True, timeout=seconds,
                              preexec_fn=lambda: (os.chroot(ROOT), os.chdir("/")), **more)
        assert done.returncode == 0, (command, done)
        return done.stdout

    # --- Postfix ---

    def postfix_main(self, more):
        """main.cf: nothing stands there twice, as each process would say so in the log, and postlogd waits for itself when it has as
        much to say as its own socket holds."""
        base = """compatibility_level = 3.6
maillog_file = /var/log/postfix.log
myhostname = mx.adatum.com
mydestination =
alias_maps =
inet_interfaces = all
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
virtual_mailbox_base = /var/vmail
virtual_uid_maps = static:905
virtual_gid_maps = static:905
smtp_host_lookup = native, dns
"""
        names = {line.split("=")[0].strip() for line in more.splitlines()}
        kept = [line for line in base.splitlines() if line.split("=")[0].strip() not in names]
        self.write("etc/postfix/main.cf", "\n".join(kept) + "\n" + more)

    def postfix(self, main, address, port=25, pair=None, extra=(), services=()):
        """Postfix, which listens there; `main` is what main.cf says besides, `extra` are more lines of master.cf, `services` those behind
        the listener's own."""
        spool = ROOT / "var/spool/postfix"
        spool.chmod(0o755)
        mode = {"maildrop": (0o730, 902), "public": (0o710, 902), "pid": (0o755, 0)}
        for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "maildrop", "pid", "private",
                     "public", "saved", "trace"):
            (spool / name).mkdir(exist_ok=True)
            bits, group = mode.get(name, (0o700, 0))
            os.chown(spool / name, 0 if name == "pid" else 901, group)
            (spool / name).chmod(bits)
        os.chown(ROOT / "var/lib/postfix", 901, 901)
        os.chown(ROOT / "var/vmail", 905, 905)
        tls = ""
        if pair:
            self.write("etc/postfix/crt.pem", Path(pair[0]).read_text())
            self.write("etc/postfix/key.pem", Path(pair[1]).read_text(), 0o600)
            tls = "smtpd_tls_cert_file = /etc/postfix/crt.pem\nsmtpd_tls_key_file = /etc/postfix/key.pem\nsmtpd_tls_security_level = may\n"
        self.postfix_main(tls + main)
        services = [f"{address}:{port} inet n - n - - smtpd", *services, "postlog unix-dgram n - n - 1 postlogd", "pickup unix n - n 60 1 pickup",
                    "cleanup unix n - n - 0 cleanup", "virtual unix - n n - - virtual",
                    "qmgr unix n - n 300 1 qmgr", "rewrite unix - - n - - trivial-rewrite"]
        services += [f"{n} unix - - n - 0 bounce" for n in ("bounce", "defer", "trace")]
        services += [f"{n} unix - - n - {limit} {program}" for n, limit, program in
                     (("tlsmgr", 1, "tlsmgr"), ("verify", 1, "verify"), ("flush", 0, "flush"), ("proxymap", "-", "proxymap"),
                      ("smtp", "-", "smtp"), ("relay", "-", "smtp"), ("error", "-", "error"), ("retry", "-", "error"),
                      ("lmtp", "-", "lmtp"), ("anvil", 1, "anvil"), ("scache", 1, "scache"))]
        services += extra
        self.write("etc/postfix/master.cf", "\n".join(services) + "\n")
        process = self.start("/usr/lib/postfix/sbin/master", "-c", "/etc/postfix", "-d", env={"MAIL_CONFIG": "/etc/postfix", "PATH": "/usr/sbin:/usr/bin"})
        self.wait_port(address, port, "var/log/postfix.log")
        return process

    # --- Dovecot ---

    def dovecot_lmtp(self, address="127.0.0.41", port=24):
        """Dovecot's LMTP server, there and on run/dovecot/lmtp; mailboxes in var/vmail/ADDRESS. Unknown users are refused."""
        os.chown(ROOT / "var/vmail", 905, 905)
        self.write("etc/dovecot/users", "carl@contoso.com:{PLAIN}x::::::\ndora@contoso.com:{PLAIN}x::::::\n")
        self.write("etc/dovecot/dovecot.conf", f"""
protocols = lmtp
listen = {address}
log_path = /var/log/dovecot.log
ssl = no
mail_location = maildir:/var/vmail/%u
passdb {{
  driver = passwd-file
  args = /etc/dovecot/users
}}
userdb {{
  driver = passwd-file
  args = /etc/dovecot/users
  override_fields = uid=vmail gid=vmail home=/var/vmail/%u
}}
service lmtp {{
  unix_listener lmtp {{
    mode = 0666
  }}
  inet_listener lmtp {{
    address = {address}
    port = {port}
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
""")
        self.start("/usr/sbin/dovecot", "-F", "-c", "/etc/dovecot/dovecot.conf", env={"PATH": "/usr/sbin:/usr/bin"})
        self.wait_port(address, port, "var/log/dovecot.log")
        return ROOT / "run/dovecot/lmtp"

    def dovecot(self, protocols, users, more, address, port):
        """Dovecot with these protocols, which listens there (port None: whoever calls waits for it); users is {login: password}, `more`
        the rest of its configuration."""
        os.chown(ROOT / "var/vmail", 905, 905)
        self.write("etc/dovecot/users", "".join(f"{user}:{{PLAIN}}{word}::::::\n" for user, word in users.items()))
        self.write("etc/dovecot/dovecot.conf", f"""
protocols = {protocols}
listen = {address}
log_path = /var/log/dovecot.log
auth_mechanisms = plain
auth_failure_delay = 0
disable_plaintext_auth = no
mail_location = maildir:/var/vmail/%u
passdb {{
  driver = passwd-file
  args = /etc/dovecot/users
}}
userdb {{
  driver = static
  args = uid=vmail gid=vmail home=/var/vmail/%u
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
{more}""")
        process = self.start("/usr/sbin/dovecot", "-F", "-c", "/etc/dovecot/dovecot.conf", env={"PATH": "/usr/sbin:/usr/bin"})
        if port:
            self.wait_port(address, port, "var/log/dovecot.log")
        return process

    # --- Exim and OpenSMTPD: their files; the caller starts them ---

    def exim(self, text):
        for folder, mode in (("var/spool/exim4", 0o750), ("var/log/exim4", 0o750)):
            (ROOT / folder).mkdir(exist_ok=True)
            os.chown(ROOT / folder, ACCOUNTS["Debian-exim"], ACCOUNTS["Debian-exim"])
            (ROOT / folder).chmod(mode)
        for name in ("crt.pem", "key.pem"):
            if (ROOT / "etc/exim4" / name).exists():
                os.chown(ROOT / "etc/exim4" / name, ACCOUNTS["Debian-exim"], 0)
        self.write("etc/exim4/exim4.conf", text)

    def opensmtpd(self, text):
        spool, queue = NEXT / "var/spool/smtpd", ACCOUNTS["opensmtpq"]
        spool.chmod(0o711)
        for name, user, group, mode in (("offline", 0, queue, 0o770), ("purge", queue, 0, 0o700), ("queue", queue, 0, 0o700),
                                        ("corrupt", queue, 0, 0o700), ("incoming", queue, 0, 0o700), ("temporary", queue, 0, 0o700)):
            (spool / name).mkdir(exist_ok=True)
            os.chown(spool / name, user, group)
            (spool / name).chmod(mode)
        self.write("etc/smtpd/smtpd.conf", text, 0o600, NEXT)

    def bring_in(self, folder):
        """A folder of this machine, to be seen in the chroot under its own name."""
        import isolation

        there = ROOT / str(folder).lstrip("/")
        there.mkdir(parents=True, exist_ok=True)
        isolation.mount(str(folder), there, "", 0x1000)  # MS_BIND

    def postern(self, binary):
        """The same for a build of Postern, with the libraries of this machine; a command that runs it in the chroot."""
        import isolation

        host = ROOT / "tmp/host"
        host.mkdir()
        isolation.mount("/", host, "", 0x5000)
        libraries = sorted({str(p.parent) for p in Path("/usr/lib").glob("*-linux-gnu/libc.so.6")})
        loader = next(p for p in sorted(Path("/lib64").glob("ld-linux*")) + sorted(Path("/lib").glob("ld-linux*")))
        self.write("tmp/postern", f'#!/bin/sh\nexec /tmp/host{loader} --library-path /tmp/host{libraries[0]} /tmp/host{binary} "$@"\n', 0o755)
        return "/tmp/postern"

    # --- NSD ---

    def nsd(self, zones, address="127.0.0.54", port=5354):
        """An authoritative server with these zones: {name: text}."""
        text = f"""server:
    ip-address: {address}@{port}
    username: ""
    chroot: ""
    zonesdir: "/etc/nsd"
    pidfile: "/run/nsd.pid"
    database: ""
    xfrdfile: "/tmp/xfrd"
    zonelistfile: "/tmp/zones"
    server-count: 1
remote-control:
    control-enable: no
"""
        for number, (name, records) in enumerate(zones.items()):
            self.write(f"etc/nsd/{number}.zone", f"$TTL 5\n@ IN SOA ns.test. root.test. 1 60 60 600 1\n@ IN NS ns.test.\n{records}\n")
            text += f'zone:\n    name: "{name}"\n    zonefile: "{number}.zone"\n'
        self.write("etc/nsd/nsd.conf", text)
        self.start("/usr/sbin/nsd", "-d", "-c", "/etc/nsd/nsd.conf")
        return f"{address}:{port}"

    def wait_port(self, address, port, log):
        import socket

        from harness import until

        def listens():
            try:
                socket.create_connection((address, port), 1).close()
                return True
            except OSError:
                return False

        if ROOT / log not in self.context.logs:
            self.context.logs.append(ROOT / log)
        until(listens, f"a listener on {address}:{port}", 20, 0.05)

    def mailbox(self, name):
        """What lies in var/vmail/NAME/new."""
        folder = ROOT / "var/vmail" / name / "new"
        return [p.read_text(errors="replace") for p in sorted(folder.glob("*"))] if folder.exists() else []


if __name__ == "__main__":
    fetch()
    fetch_next()
