# SPDX-License-Identifier: GPL-2.0
"""No memory: every allocation of our modules fails at some time. What cannot be done then is
refused or dropped, whole, and counted as what it is; nobody sees a wrong client; afterwards
all works again. Whether memory is lost by it, kmemleak says at the end of the file.

Only on the debug kernel. Seen failing: traffic_lb, with a chunk of ports without memory counted
as "no port is free". docs/testing.md says which have been run to their end.
"""
import ctypes
import errno
import os
import threading

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import faults, observe
from lib import genetlink as nl
from lib.basics import SCALE

LIBC = ctypes.CDLL(None, use_errno=True)
FINIT_MODULE, CLONE_NEWNET = 313, 0x40000000
NO_MEMORY = (errno.ENOMEM, errno.ENOBUFS)
SERVICE = f'-t {VIP}:8000'
MODULES = ('ip_vs_fullnat', 'toa')
LIPS = '10.9.0.0/24'


def loaded(name):
    """Is the module there?"""
    return os.path.exists(f'/sys/module/{name}/initstate')


def finit_module(fd):
    """Load a module whose dependencies are loaded."""
    if LIBC.syscall(FINIT_MODULE, fd, b'', 0):
        raise OSError(ctypes.get_errno(), 'finit_module')


def module_file(name):
    """A descriptor of the module's file."""
    return os.open(run(['modinfo', '-n', name]).out.strip(), os.O_RDONLY)


def check_connection(t, server):
    """A connection passes and shows its client."""
    own, answer = t.client.ask(VIP, 8000, b'x')
    equal(answer, f'{own[0]} {own[1]}\nx'.encode(), 'answer')
    equal(server.clients[-1], own, 'client')


def load_dependencies(name):
    """What finit_module() needs, and `modprobe -r` has removed."""
    for line in run(['modprobe', '--show-depends', name]).out.splitlines()[:-1]:
        if line.startswith('insmod '):
            run(['modprobe', os.path.basename(line.split()[1]).partition('.')[0]])


def load_with_faults(name):
    """Load the module once for each allocation of that; returns how many failed. A fault may
    be survived (the self-test of toa is then skipped, say)."""
    fd = module_file(name)
    refused = 0
    for fault in faults.Nth():
        error = fault.run(finit_module, fd)
        if error:
            check(error.errno == errno.ENOMEM, f'{name}, allocation {fault.number}: {error}')
            check(fault.hit, f'{name}: {error} without a fault')
            check(not loaded(name), f'{name}: failed, and is loaded')
            refused += 1
        else:
            until(lambda: run(['rmmod', name], check=False).rc == 0, what=f'rmmod {name}')
    os.close(fd)
    return refused


DUMPS = (r'vmalloc error|kmem_cache_create_usercopy\(.*failed|sysctl could not get directory|'
         # the kernel's own warning for want of memory, of our tracepoints' fields
         r'WARNING: .* event_define_fields\+')


@limit(900)
@dumps(DUMPS)
def test_module_load(t):
    """Each allocation of loading each module fails once: loading is refused with ENOMEM and
    nothing is left, or it succeeds; then the modules work."""
    run('modprobe -a ip_vs_fullnat toa; modprobe -r ip_vs_fullnat toa; modprobe ip_vs_rr')
    for name in MODULES:
        load_dependencies(name)
    for host in (*t.hosts[1:], t.switch):       # one besides the first is enough, and quicker
        run(['ip', 'netns', 'del', host.name])
    t.client.sysctl('kernel.panic_on_warn', 0)  # see DUMPS; another warning is a failure
    try:
        for name in MODULES:
            refused = load_with_faults(name)
            print(f'# {name}: {refused} allocations', flush=True)
            check(refused > 20, f'{name}: only {refused} faults')
    finally:
        t.client.sysctl('kernel.panic_on_warn', 1)
    run(['ip', 'netns', 'del', t.client.name])
    t = Topology(t.directory)
    t.fullnat(8000, servers=(RS1,))
    check_connection(t, t.rs1.peer_server(8000))


@limit(600)
@dumps(DUMPS)
def test_namespaces(t):
    """New namespaces while the allocations of our modules in them fail: refused, or whole."""
    t.fullnat(8000, servers=(RS1,))
    server = t.rs1.peer_server(8000)
    for name in MODULES:
        made = 0
        with faults.failing(5, code=faults.module_range(name)):
            for _ in range(40):
                made += new_namespace()
            count = faults.injected()
        check(0 < made < 40 and count, f'{name}: {made} of 40 made, {count} faults')
    check_connection(t, server)


def new_namespace():
    """Make a namespace in a process that ends at once; 1 if that succeeded, 0 for ENOMEM."""
    pid = os.fork()
    if pid == 0:
        done = LIBC.unshare(CLONE_NEWNET)
        os._exit(ctypes.get_errno() if done else 0)
    number = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    check(number in (0, errno.ENOMEM), f'unshare: {os.strerror(number)}')
    return number == 0


def service(*more, port=8000):
    """A nest that names a service."""
    return nl.nest(nl.SERVICE, nl.u16(nl.SVC_FAMILY, 2), nl.u16(nl.SVC_PROTOCOL, 6),
                   nl.address(nl.SVC_ADDR, VIP), nl.be16(nl.SVC_PORT, port), *more)


def laddrs(first='10.0.0.150', last='10.0.0.157'):
    """A nest that names local addresses."""
    return nl.nest(nl.LADDR, nl.u16(nl.LADDR_FAMILY, 2), nl.address(nl.LADDR_ADDR, first),
                   nl.address(nl.LADDR_ADDR_END, last))


# a command, and what takes it back
COMMANDS = {
    'new service': ((nl.SET_SERVICE, service(port=8001)), (nl.DEL_SERVICE, service(port=8001))),
    'other options': ((nl.SET_SERVICE, service(nl.u8(nl.SVC_TOA_V4, 254))),
                      (nl.SET_SERVICE, service(nl.u8(nl.SVC_TOA_V4, 200)))),
    'new addresses': ((nl.ADD_LADDR, service() + laddrs()),
                      (nl.DEL_LADDR, service() + laddrs())),
    'new default pool': ((nl.ADD_LADDR, laddrs()), (nl.DEL_LADDR, laddrs())),
    'fewer addresses': ((nl.DEL_LADDR, service() + laddrs('10.0.0.140', '10.0.0.142')),
                        (nl.ADD_LADDR, service() + laddrs('10.0.0.140', '10.0.0.142'))),
    'no service': ((nl.DEL_SERVICE, service(port=8002)), (nl.SET_SERVICE, service(port=8002))),
}


class Link:
    """Requests over a socket of their own each: a fault may break a socket."""

    def __init__(self, host):
        self.host = host

    def open(self):
        """A socket."""
        link = nl.Genetlink(self.host, 'IPVS_FULLNAT')
        link.sock.settimeout(10 * SCALE)
        return link

    def ask(self, command, message):
        """The answer to a command that has to succeed."""
        answer = self.open().ask(command, message)
        equal(answer.errno, 0, f'command {command}: {answer}')

    def tables(self):
        """All declarations and pools."""
        link = self.open()
        dumps = link.dump(nl.GET_SERVICE), link.dump(nl.GET_LADDR)
        equal([dump.errno for dump in dumps], [0, 0], 'errors of the dumps')
        return [sorted(dump.messages) for dump in dumps]


def has_failed(what, result):
    """Has it? Then for want of memory; or the answer is missing, which is a loss of netlink's."""
    if isinstance(result, TimeoutError):
        return True
    check(result.errno in (0, *NO_MEMORY), f'{what}: {result}')
    return result.errno != 0


def command_with_faults(link, what, command, undo):
    """A command with each of its allocations failing once: the tables are as before, or as
    they are after it (the acknowledgement can fail as well)."""
    before = link.tables()
    link.ask(*command)
    after = link.tables()
    link.ask(*undo)
    refused = 0
    for fault in faults.Nth():
        one = link.open()
        result = fault.run(one.ask, *command)
        one.sock.close()
        failed = has_failed(f'{what}, allocation {fault.number}', result)
        now = link.tables()
        check(now in (before, after), f'{what}, allocation {fault.number}: half done: {now}')
        check(now == after or failed, f'{what}, allocation {fault.number}: not done')
        refused += now == before
        if now == after:
            link.ask(*undo)
    check(refused > 1, f'{what}: {refused} refused')
    print(f'# {what}: {fault.number} calls, {refused} refused', flush=True)


def declared(t):
    """Services and pools."""
    server = t.rs1.peer_server(8000)
    t.fullnat(8000, servers=(RS1,))
    link = Link(t.lb)
    link.ask(nl.SET_SERVICE, service(port=8002))
    link.ask(nl.ADD_LADDR, service() + laddrs('10.0.0.140', '10.0.0.142'))
    return link, server


@limit(600)
def test_netlink(t):
    """Each allocation of each command fails once: done wholly or not at all; errors are
    ENOMEM and ENOBUFS. Dumps are complete or end in an error."""
    link, server = declared(t)
    for what, (command, undo) in COMMANDS.items():
        command_with_faults(link, what, command, undo)
    whole = link.tables()
    for command, wanted in zip((nl.GET_SERVICE, nl.GET_LADDR), whole):
        for fault in faults.Nth():
            result = fault.run(link.open().dump, command)
            check(has_failed(f'dump {command}, allocation {fault.number}', result) or
                  sorted(result.messages) == wanted, f'dump {command}: not whole: {result}')
    check_connection(t, server)
    for fault in faults.Nth():
        one = link.open()
        has_failed(f'flush, allocation {fault.number}', fault.run(one.ask, nl.FLUSH))
        one.sock.close()
    # a local address goes when the last connection of it is forgotten
    until(lambda: link.tables() == [[], []], 150, 'all is gone after FLUSH')


FILES = ('/proc/thread-self/net/ip_vs_fullnat', '/proc/thread-self/net/ip_vs_fullnat_stats',
         '/proc/thread-self/net/toa_stats', '/proc/thread-self/net/toa_table',
         '/proc/sys/net/ipv4/vs/fullnat_timeout_close', '/proc/sys/net/toa/trust')


def read_file(path):
    """A file's text, by system calls only."""
    fd = os.open(path, os.O_RDONLY)
    try:
        parts = []
        while True:
            data = os.read(fd, 4096)
            if not data:
                return b''.join(parts)
            parts.append(data)
    finally:
        os.close(fd)


def write_file(path, data):
    """Write to a file, by system calls only."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def file_with_faults(path):
    """Reading it with each allocation failing once gives all or an error."""
    whole = read_file(path)
    for fault in faults.Nth():
        result = fault.run(read_file, path)
        if isinstance(result, OSError):
            check(result.errno in NO_MEMORY, f'{path}: {result}')
        else:
            equal(len(result.split()), len(whole.split()), f'{path}: words')


@limit(600)
def test_proc(t):
    """Each allocation of reading our files and of writing our settings fails once."""
    _, server = declared(t)
    with t.lb:
        for path in FILES:
            file_with_faults(path)
        for path in FILES[-2:]:
            before = read_file(path)
            for fault in faults.Nth():
                result = fault.run(write_file, path, before)
                check(result is None or result.errno in NO_MEMORY, f'{path}: {result}')
                equal(read_file(path), before, f'{path} after allocation {fault.number}')
    check_connection(t, server)


@limit(600)
def test_ipvsadm(t):
    """The tool, while a tenth of the allocations fails that our module makes for it: it says
    so and ends with an error, or has done it; nothing is half done."""
    _, server = declared(t)
    saved = sorted(t.lb.run('ipvsadm -S -n').out.splitlines())
    commands = (f'-E {SERVICE} -s rr --fullnat --toa 254',
                f'-E {SERVICE} -s rr --fullnat --toa 200',
                f'-P {SERVICE} -z 10.0.0.160-10.0.0.169',
                f'-Q {SERVICE} -z 10.0.0.160-10.0.0.169', '-Ln', '-G', '-S -n')
    failed = 0
    with faults.failing(10, code=faults.module_range('ip_vs_fullnat'), task_filter=True):
        for line in commands:
            check(any(attempt(t, line) for _ in range(50)), f'ipvsadm {line}: never')
        failed = faults.injected()
    check(failed > 3, f'only {failed} faults')
    equal(sorted(t.lb.run('ipvsadm -S -n').out.splitlines()), saved, 'rules')
    check_connection(t, server)


def attempt(t, line):
    """Run ipvsadm as a process whose allocations may fail. True: it has succeeded."""
    done = t.lb.run(f'echo 1 >/proc/self/make-it-fail; exec ipvsadm {line}', check=False)
    said = done.err.lower()
    check(done.rc == 0 or 'memory' in said or 'exist' in said or 'no such' in said,
          f'ipvsadm {line}: {done.rc}: {done.text}')
    return done.rc == 0 or 'exist' in said or 'no such' in said


class Clients:
    """Connections one after the other from several threads; each answer must name its own."""

    def __init__(self, t, threads=4):
        self.t = t
        self.over = threading.Event()
        self.wrong, self.unanswered, self.right = [], 0, 0
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def _run(self):
        while not self.over.is_set():
            self._one()

    def _one(self):
        try:
            own, answer = self.t.client.ask(VIP, 8000, b'x' * 3000, timeout=10)
        except TimeoutError:
            with self.lock:
                self.unanswered += 1
            return
        except OSError as error:
            with self.lock:
                self.wrong.append(f'{error}')
            return
        with self.lock:
            if answer == f'{own[0]} {own[1]}\n'.encode() + b'x' * 3000:
                self.right += 1
            else:
                self.wrong.append(f'{own}: {answer[:60]}')

    def stop(self):
        """End them."""
        self.over.set()
        for thread in self.threads:
            thread.join(60)


def traffic_with_faults(t, module, percent, wanted=120):
    """Traffic while some of the allocations fail that the module makes. Through many LIPs: the
    first connection of each needs memory for its ports."""
    t.lb.run(f'ip route add local {LIPS} dev lo')
    t.fullnat(8000, lips=(LIPS,))
    for server in t.servers:
        server.run(f'ip route add {LIPS} via {LB_INNER}')
        server.peer_server(8000)
    t.lb.sysctl('net.ipv4.vs.fullnat_timeout_close', 1)
    with faults.failing(percent, code=faults.module_range(module)):
        clients = Clients(t)
        until(lambda: clients.right + len(clients.wrong) >= wanted and faults.injected() > 20,
              200, 'answers and faults')
        clients.stop()
        count = faults.injected()
    print(f'# {module}: {count} faults, {clients.right} answers, {clients.unanswered} without',
          flush=True)
    return clients


@limit(600)
def test_traffic_lb(t):
    """The load balancer's packets: some are dropped, and counted as drop_nomem and nothing
    else; every answer names its client; then all connections succeed."""
    clients = traffic_with_faults(t, 'ip_vs_fullnat', 10)
    equal(clients.wrong, [], 'wrong answers')
    stats = t.lb.fullnat_stats()
    check(stats['drop_nomem'], 'drop_nomem is 0')
    equal({name: stats[name] for name in ('drop_exhausted', 'drop_no_laddr', 'takeover_closed',
                                          'takeover_half_open', 'conns_without_toa')},
          dict.fromkeys(('drop_exhausted', 'drop_no_laddr', 'takeover_closed',
                         'takeover_half_open', 'conns_without_toa'), 0), 'counted as')
    equal(sum(line['exhausted'] for name, line in observe.overview(t.lb).items()
              if name.startswith('laddr ')), 0, 'addresses that had no port')
    for _ in range(20):
        own, answer = t.client.ask(VIP, 8000, b'x')
        equal(answer, f'{own[0]} {own[1]}\nx'.encode(), 'answer afterwards')


@limit(600)
def test_traffic_toa(t):
    """The real servers': a client that could not be remembered is counted as no_memory; it is
    shown as its LIP, never as somebody else."""
    clients = traffic_with_faults(t, 'toa', 30)
    forgotten = sum(server.toa_stats()['no_memory'] for server in t.servers)
    check(forgotten, 'no_memory is 0')
    check(all(": b'10.9.0." in text for text in clients.wrong), f'wrong: {clients.wrong[:3]}')
    check(len(clients.wrong) <= forgotten, f'{len(clients.wrong)} LIPs, {forgotten} counted')
    for _ in range(20):
        own, answer = t.client.ask(VIP, 8000, b'x')
        equal(answer, f'{own[0]} {own[1]}\nx'.encode(), 'answer afterwards')
