"""The two servers under test, each started afresh with an empty queue for every measurement. mode: `hold`
keeps the mail in the queue, `relay` sends it on to the sink."""
import shutil
import subprocess
import threading

from machine import ROOT, WORK, pids, sh, spawn, stop, wait_for_port, wait_until

SINK = 2599
LOGIN, PASSWORD = 'user@mta.test', 'secret'


class Postern:
    name, port, submission = 'postern', 2560, 2567

    def __init__(self, program):
        self.program = program
        self.state = WORK / 'postern'

    def start(self, mode):
        shutil.rmtree(self.state, ignore_errors=True)
        (self.state / 'state').mkdir(parents=True)
        config = self.state / 'postern.conf'
        next_hop = SINK if mode == 'relay' else 1       # nobody listens on port 1
        config.write_text(f'''
hostname = "mta.test"
state_dir = "{self.state}/state"
run_as = "root"
log = "file:{self.state}/log"
dns = {{"127.0.0.1:53"}}
domain "mta.test" {{ }}
listener "internet"   {{ bind = {{"127.0.0.1:{self.port}"}} tls = offer auth = off max_connections_per_client = 5000
                        certificate = "{WORK}/rsa.crt" key = "{WORK}/rsa.key" }}
listener "submission" {{ bind = {{"127.0.0.1:{self.submission}"}} tls = require auth = require
                        max_connections_per_client = 5000
                        certificate = "{WORK}/rsa.crt" key = "{WORK}/rsa.key" }}
connector "people" {{ auth = any may_relay_to = {{"*"}} }}
connector "load"   {{ clients = {{"127.0.0.1/32"}} may_relay_to = {{"*"}} senders = any header_from = any
                     note = "the load" }}
route "sink" {{ via = {{"smtp://127.0.0.1:{next_hop}"}} tls = off max_connections = 100 }}
queue {{ retry = {{"1d"}} }}
''')
        sh(self.program, 'user', 'add', LOGIN, '--password-stdin', '-c', config, input=PASSWORD.encode() + b'\n',
           stdout=subprocess.DEVNULL)
        with open(WORK / 'postern.log', 'w') as log:
            spawn('server', self.program, 'serve', '-c', config, stdout=log, stderr=log)
        wait_until(lambda: '"event":"ready"' in (self.state / 'log').read_text(), 'ready', self.state / 'log')

    def stop(self):
        stop('server')


class Postfix:
    """As Debian ships it, but for the limits that would stall a load from one address."""
    name, port, submission = 'postfix', 2510, 2517

    def start(self, mode):
        etc = ROOT / 'etc/postfix'
        shutil.copy(etc / 'main.cf.shipped', etc / 'main.cf')
        for suffix in ('crt', 'key'):
            shutil.copy(WORK / f'rsa.{suffix}', etc)
        processes = 2500 if mode == 'idle' else 200
        sh('chroot', ROOT, 'postconf', '-e', 'myhostname=mta.test', 'mydestination=localhost',
           'mynetworks=127.0.0.1/32', 'inet_interfaces=127.0.0.1', 'inet_protocols=ipv4', 'compatibility_level=3.6',
           f'relayhost=[127.0.0.1]:{SINK}', f'default_process_limit={processes}', 'in_flow_delay=0',
           'smtpd_client_connection_count_limit=0', 'initial_destination_concurrency=20',
           'default_destination_concurrency_limit=100', 'maillog_file=/var/log/postfix.log',
           'smtpd_relay_restrictions=permit_mynetworks permit_sasl_authenticated reject_unauth_destination',
           'smtpd_tls_security_level=may', 'smtpd_tls_cert_file=/etc/postfix/rsa.crt',
           'smtpd_tls_key_file=/etc/postfix/rsa.key',
           *(['smtpd_client_restrictions=check_client_access static:HOLD'] if mode == 'hold' else []))
        lines = (etc / 'master.cf.shipped').read_text().splitlines()
        services = [line for line in lines if not line.startswith(('smtp      inet', 'postlog '))]
        services += [
            f'127.0.0.1:{self.port} inet n - y - - smtpd', f'127.0.0.1:{self.submission} inet n - n - - smtpd',
            ' -o smtpd_tls_security_level=encrypt', ' -o smtpd_sasl_auth_enable=yes',
            ' -o smtpd_relay_restrictions=permit_sasl_authenticated,reject',
            'postlog unix-dgram n - n - 1 postlogd',
        ]
        (etc / 'master.cf').write_text('\n'.join(services) + '\n')
        (etc / 'sasl').mkdir(exist_ok=True)
        (etc / 'sasl/smtpd.conf').write_text('pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN\n')
        (ROOT / 'etc/sasldb2').unlink(missing_ok=True)
        user, domain = LOGIN.split('@')
        sh('chroot', ROOT, 'saslpasswd2', '-p', '-c', '-u', domain, user, input=PASSWORD.encode() + b'\n')
        sh('chroot', ROOT, 'chgrp', 'postfix', '/etc/sasldb2')
        sh('chroot', ROOT, 'newaliases')
        spool = ROOT / 'var/spool/postfix'
        for queue in ('active', 'deferred', 'defer', 'hold', 'incoming', 'bounce', 'maildrop'):
            shutil.rmtree(spool / queue, ignore_errors=True)
        (spool / 'etc').mkdir(exist_ok=True)
        for name in ('resolv.conf', 'hosts', 'services', 'nsswitch.conf'):
            shutil.copy(ROOT / 'etc' / name, spool / 'etc' / name)
        with open(WORK / 'postfix.log', 'w') as log:
            sh('chroot', ROOT, 'postfix', 'set-permissions', stdout=log, stderr=log)
            spawn('server', 'chroot', ROOT, 'postfix', 'start', stdout=log, stderr=log).wait()
        wait_for_port(self.port)

    def stop(self):
        stop('server')


def sync_calls(server, make_load, count):
    """Calls per message that wait for the disk, counted by strace while `make_load` hands in `count`. It
    would miss O_DSYNC and io_uring, which neither server uses."""
    out = WORK / 'syncs'
    command = ['strace', '-f', '-c', '-U', 'name,calls', '-e', 'trace=fsync,fdatasync,sync,syncfs,sync_file_range,msync',
               '-o', str(out)]
    for pid in pids('server'):
        command += ['-p', pid]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    attached = 0
    while attached < len(pids('server')):
        attached += 'attached' in tracer.stderr.readline()
    threading.Thread(target=tracer.stderr.read, daemon=True).start()
    make_load()
    tracer.terminate()
    tracer.wait()
    calls = [line.split() for line in out.read_text().splitlines()]
    return sum(int(words[1]) for words in calls if len(words) == 2 and 'sync' in words[0]) / count

