"""The place where it happens: a Postfix root made by debootstrap, a network namespace with nothing but
loopback, cgroups that account CPU and memory. Only processes in these cgroups are ever ended."""
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
WORK = pathlib.Path(os.environ.get('BENCH', HERE.parent / '.bench')).resolve()
ROOT = WORK / 'postfix'
NAME = 'postern-bench'
CGROUP = pathlib.Path('/sys/fs/cgroup')
V2 = (CGROUP / 'cgroup.controllers').exists()
GROUPS = ('server', 'load')


def sh(*command, **options):
    return subprocess.run([str(word) for word in command], check=True, **options)


# --- making it ---------------------------------------------------------------------------------

def mirror():
    """Where this machine's apt takes Debian from."""
    lines = subprocess.run(
        ['apt-get', 'indextargets', '--format', '$(REPO_URI) $(CODENAME)', 'Created-By: Packages',
         'Component: main'], capture_output=True, text=True, check=True).stdout.split('\n')
    codename = dict(line.split('=', 1) for line in open('/etc/os-release') if '=' in line)['VERSION_CODENAME'].strip()
    for line in lines:
        url, _, suite = line.partition(' ')
        if suite == codename:
            return url, codename
    sys.exit(f'bench: apt names no mirror of {codename}')


def make_root():
    """A minimal Debian with Postfix, as its packages leave it."""
    if ROOT.exists():
        return
    part = WORK / 'postfix.part'
    url, codename = mirror()
    print(f'bench: debootstrap {codename} with Postfix into {ROOT}, once', file=sys.stderr)
    sh('rm', '-rf', '--one-file-system', part)
    with open(WORK / 'debootstrap.log', 'w') as log:
        sh('debootstrap', '--variant=minbase', '--include=postfix,sasl2-bin,libsasl2-modules', codename, part, url,
           stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    (part / 'etc/resolv.conf').write_text('nameserver 127.0.0.1\noptions timeout:1 attempts:1\n')
    (part / 'etc/hosts').write_text('127.0.0.1 localhost mta.test\n127.0.0.2 client.test\n')
    for name in ('main.cf', 'master.cf'):
        shipped = part / 'etc/postfix' / name
        if not shipped.exists():             # debconf was not asked; the packages' own templates
            template = {'main.cf': 'main.cf.debian', 'master.cf': 'master.cf.proto'}[name]
            sh('cp', part / 'usr/share/postfix' / template, shipped)
        sh('cp', shipped, f'{shipped}.shipped')
    part.rename(ROOT)


def make():
    if os.geteuid() != 0:
        sys.exit('bench: needs root, for a network namespace, cgroups and a chroot')
    WORK.mkdir(parents=True, exist_ok=True)
    make_root()
    if not (WORK / 'rsa.crt').exists():
        sh('openssl', 'req', '-x509', '-nodes', '-newkey', 'rsa:2048', '-days', '3650', '-subj', '/CN=mta.test',
           '-keyout', WORK / 'rsa.key', '-out', WORK / 'rsa.crt', stderr=subprocess.DEVNULL)
    sh('cc', '-O2', '-o', WORK / 'load', HERE / 'load.c', '-lssl', '-lcrypto')
    if not pathlib.Path('/run/netns', NAME).exists():
        sh('ip', 'netns', 'add', NAME)
    sh('ip', '-n', NAME, 'link', 'set', 'lo', 'up')
    for group in GROUPS:
        for folder in folders(group):
            folder.mkdir(exist_ok=True)
    if V2:
        try:
            (CGROUP / 'cgroup.subtree_control').write_text('+memory')
        except OSError:
            print('bench: no memory controller; F has no figures', file=sys.stderr)
    sh('mount', '-t', 'proc', 'proc', ROOT / 'proc')


def unmake():
    for group in GROUPS:
        stop(group)
        for folder in folders(group):
            folder.rmdir()
    subprocess.run(['umount', ROOT / 'proc'], check=False)
    subprocess.run(['ip', 'netns', 'del', NAME], check=False)


# --- processes ---------------------------------------------------------------------------------

def folders(group):
    if V2:
        return [CGROUP / f'{NAME}-{group}']
    return [CGROUP / controller / f'{NAME}-{group}' for controller in ('cpuacct', 'memory')]


def pids(group):
    return folders(group)[0].joinpath('cgroup.procs').read_text().split()


def spawn(group, *command, **options):
    """Start it in a cgroup and in the namespace."""
    def enter():
        for folder in folders(group):
            (folder / 'cgroup.procs').write_text(str(os.getpid()))
    options.setdefault('stdin', subprocess.DEVNULL)
    return subprocess.Popen(['ip', 'netns', 'exec', NAME, *map(str, command)], preexec_fn=enter, **options)


def stop(group):
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
        for pid in pids(group):
            try:
                os.kill(int(pid), number)
            except ProcessLookupError:
                pass
        for _ in range(50):
            if not pids(group):
                return
            time.sleep(0.1)
    sys.exit(f'bench: processes left: {pids(group)}')


def wait_until(ready, what, log):
    for _ in range(100):
        try:
            if ready():
                return
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit(f'bench: not {what} within 10 s: see {log}')


def wait_for_port(port):
    def listening():
        return subprocess.run(['ip', 'netns', 'exec', NAME, 'ss', '-Hltn', f'sport = :{port}'], capture_output=True,
                              check=True).stdout
    wait_until(listening, f'listening on port {port}', WORK)


# --- measuring ---------------------------------------------------------------------------------

def cpu_used(group):
    """Seconds, ended processes included."""
    folder = folders(group)[0]
    if V2:
        return int((folder / 'cpu.stat').read_text().split()[1]) / 1e6
    return int((folder / 'cpuacct.usage').read_text()) / 1e9


def memory_used(group):
    """Octets, anonymous and of the kernel (sockets); None where nobody counts them."""
    folder = folders(group)[-1]
    try:
        stat = dict(line.split() for line in (folder / 'memory.stat').read_text().splitlines())
        if V2:
            return int(stat['anon']) + int(stat['kernel'])
        return int(stat['rss']) + int((folder / 'memory.kmem.usage_in_bytes').read_text())
    except (OSError, KeyError):
        return None


def resident(group):
    """Octets of all its processes; what they share counts once for each."""
    total = 0
    for pid in pids(group):
        try:
            total += int(pathlib.Path('/proc', pid, 'statm').read_text().split()[1])
        except (OSError, IndexError):
            pass
    return total * os.sysconf('SC_PAGESIZE')


class Meter:
    """CPU, and the most memory seen, from its making to finish()."""

    def __init__(self):
        self.cpu, self.load = cpu_used('server'), cpu_used('load')
        self.peak = 0
        self.over = threading.Event()
        self.watcher = threading.Thread(target=self.watch)
        self.watcher.start()
        self.begun = time.monotonic()

    def watch(self):
        while not self.over.wait(0.2):
            self.peak = max(self.peak, resident('server'))

    def stop_clock(self):
        self.seconds = time.monotonic() - self.begun

    def finish(self, count):
        before = cpu_used('server')
        for _ in range(40):                  # until what it still does is counted too
            time.sleep(0.25)
            after = cpu_used('server')
            if after - before < 0.003:
                break
            before = after
        self.over.set()
        self.watcher.join()
        return {
            'per second': count / self.seconds,
            'CPU s per 1,000': (after - self.cpu) * 1000 / count,
            'load CPU s per 1,000': (cpu_used('load') - self.load) * 1000 / count,
            'memory MiB': self.peak / 2**20,
        }
