# SPDX-License-Identifier: GPL-2.0
"""What the scenarios of toa.ko share. They need root, in a machine that may be thrown away.

Two network namespaces joined by a veth: in "toa-s" real sockets accept, in
"toa-c" a packet socket speaks TCP by hand, so that any option can be on any
packet and any address can be the source. One line per case, "ok NAME" or
"not ok NAME: why" or "skip NAME: why"; the exit status is 1 if a case failed.

  scenario_toa....py [NAME...]
"""
import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import random
import select
import socket
import struct
import subprocess
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
TIME_WAIT = '06'
SO_PEERNAME = 28
SO_PROTOCOL = 38
SO_NAT64_PEER = 4096
IPPROTO_MPTCP = 262
TCP_ULP, TCP_DEFER_ACCEPT, TCP_FASTOPEN = 31, 9, 23
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

SRV4, SRV6 = '10.9.0.1', 'fd00:9::1'
LIP4, LIP6 = '10.9.0.2', 'fd00:9::2'        # trusted by default
FAR4 = '198.51.100.9'                       # not
FAR_SRV4 = '10.9.0.3'                       # what the server itself connects to
NOBODY4 = '10.9.0.77'
CLIENT4, CLIENT6 = '203.0.113.7', '2001:db8::7'
TOOL = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), 'toa-diag')
MARK = 'toa: a test begins to look here'
TS = bytes.fromhex('0101080a') + struct.pack('!II', 1, 0)
MSS = bytes.fromhex('020405b4')
MP_CAPABLE = bytes.fromhex('1e040101')      # a SYN's


class Failed(Exception):
    """A case did not see what it should."""


class Skipped(Exception):
    """What this kernel does not have."""


def expect(what, got, want):
    """Complain unless `got` is `want`."""
    if got != want:
        raise Failed(f'{what}: {got!r}, not {want!r}')


def run(*command, check=True):
    """Run a command quietly."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise Failed(f'{" ".join(command)}: {done.stderr.strip() or done.stdout.strip()}')
    return done


def wait_for(what, condition, seconds=20):
    """Poll until `condition` holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failed(f'{what}: not within {seconds} s')
        time.sleep(0.02)


@contextlib.contextmanager
def netns(name):
    """This thread is in the namespace meanwhile (None: the initial one); sockets stay where
    they were made."""
    if not name:
        yield
        return
    with open('/proc/thread-self/ns/net', 'rb') as old, \
            open('/run/netns/' + name, 'rb') as new:
        if LIBC.setns(new.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), 'setns')
        try:
            yield
        finally:
            LIBC.setns(old.fileno(), CLONE_NEWNET)


# --- the module

def load(*params, check=True):
    """modprobe toa."""
    return run('modprobe', 'toa', *params, check=check)


def unload():
    """rmmod toa; a connection cannot hold it."""
    run('rmmod', 'toa')


def is_loaded():
    """Is it there?"""
    return os.path.exists('/sys/module/toa')


def reload_module(*params):
    """Load it afresh, so that counters start at 0."""
    if is_loaded():
        unload()
    load(*params)


def stats(ns='toa-s'):
    """/proc/net/toa_stats of a namespace."""
    with netns(ns), open('/proc/thread-self/net/toa_stats', encoding='ascii') as file:
        return {k: v for k, _, v in (line.strip().partition(' ') for line in file)}


def counters(ns='toa-s'):
    """The counters that are not 0, without the module's."""
    return {k: int(v) for k, v in stats(ns).items()
            if not k.startswith('module_') and int(v)}


def entries():
    """Connections in the table."""
    return int(stats()['module_entries'])


def sysctl(name, value=None, ns='toa-s'):
    """Read or write a sysctl of a namespace."""
    path = '/proc/sys/' + name.replace('.', '/')
    with netns(ns), open(path, 'r' if value is None else 'w', encoding='ascii') as file:
        if value is None:
            return file.read().strip()
        file.write(value)
        return None


def selftest():
    """Run it; its result."""
    path = '/sys/module/toa/parameters/selftest'
    try:
        with open(path, 'w', encoding='ascii') as file:
            file.write('1')
    except OSError as error:
        expect('selftest', error.errno, errno.EBADMSG)
    with open(path, encoding='ascii') as file:
        return file.read().strip()


def mark_kernel_log():
    """What kernel_log() returns begins here: old lines go when the log is full, so no line has
    a place that one could remember."""
    with open('/dev/kmsg', 'w', encoding='ascii') as file:
        file.write(f'{MARK}\n')


def kernel_log():
    """What dmesg has said since mark_kernel_log(), which each case begins with."""
    before, mark, since = run('dmesg').stdout.rpartition(MARK + '\n')
    if not mark:
        raise Failed(f'the log was overwritten: {before[:200]!r}...')
    return since


# --- TCP by hand

def mac_of(ns, dev):
    """The address of an interface."""
    return run('ip', '-n', ns, '-br', 'link', 'show', dev).stdout.split()[2]


def toa(kind, addr, port, length=None):
    """The bytes of a TOA option."""
    family = socket.AF_INET6 if ':' in addr else socket.AF_INET
    body = struct.pack('!H', port) + socket.inet_pton(family, addr)
    return struct.pack('BB', kind, length or len(body) + 2) + body


# family of the listener, where the client connects to, its TOA's kind and address
LAYOUTS = [(socket.AF_INET, SRV4, 200, CLIENT4), (socket.AF_INET6, SRV4, 200, CLIENT4),
           (socket.AF_INET6, SRV6, 253, CLIENT6), (socket.AF_INET6, SRV4, 254, CLIENT6)]


def rows(port):
    """All kinds of listeners and clients, each with its own port: (family of the listener, where
    the client connects to, TOA, what the application is told)."""
    return [(family, dst, toa(kind, client, port + number), (told(family, client), port + number))
            for number, (family, dst, kind, client) in enumerate(LAYOUTS)]


def checksum(data):
    """The internet checksum."""
    data += b'\0' * (len(data) % 2)
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


class Wire:
    """The packet socket of the client's side."""

    def __init__(self):
        with netns('toa-c'):
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self.sock.bind(('toa-c0', 0))
            self.mac = self.sock.getsockname()[4]
        self.sock.settimeout(5)
        self.options = b''      # of the last segment received
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.peer_mac = bytes.fromhex(mac_of('toa-s', 'toa-s0').replace(':', ''))

    def send(self, src, dst, segment):
        """Send a TCP segment whose checksum is still missing."""
        family = socket.AF_INET6 if ':' in src else socket.AF_INET
        pair = socket.inet_pton(family, src) + socket.inet_pton(family, dst)
        pseudo = pair + struct.pack('!II', len(segment), socket.IPPROTO_TCP)
        segment = segment[:16] + struct.pack('!H', checksum(pseudo + segment)) + segment[18:]
        if family == socket.AF_INET6:
            head = struct.pack('!IHBB', 6 << 28, len(segment), socket.IPPROTO_TCP, 64) + pair
        else:
            head = struct.pack('!BBHHHBBH', 0x45, 0, 20 + len(segment), 1, 0x4000, 64,
                               socket.IPPROTO_TCP, 0) + pair
            head = head[:10] + struct.pack('!H', checksum(head)) + head[12:]
        kind = b'\x86\xdd' if family == socket.AF_INET6 else b'\x08\x00'
        self.sock.send(self.peer_mac + self.mac + kind + head + segment)

    def receive(self, src, sport, dport):
        """The next segment for src:sport: (flags, seq, ack, payload)."""
        while True:
            frame, info = self.sock.recvfrom(65536)
            if info[2] == socket.PACKET_OUTGOING:
                continue
            if frame[12:14] == b'\x08\x00' and frame[23] == 6:
                family, dst = socket.AF_INET, frame[30:34]
                segment = frame[34:14 + struct.unpack('!H', frame[16:18])[0]]
            elif frame[12:14] == b'\x86\xdd' and frame[20] == 6:
                family, dst, segment = socket.AF_INET6, frame[38:54], frame[54:]
            else:
                continue
            if (':' in src) != (family == socket.AF_INET6) or \
                    dst != socket.inet_pton(family, src) or \
                    struct.unpack('!HH', segment[:4]) != (dport, sport):
                continue
            seq, ack, offset, flags = struct.unpack('!IIBB', segment[4:14])
            self.options = segment[20:(offset >> 4) * 4]
            return flags, seq, ack, segment[(offset >> 4) * 4:]


class Peer:
    """A connection that the load balancer would make."""
    ports = iter(range(20000, 60000))

    def __init__(self, wire, dst, dport, src=None, sport=None):
        self.wire, self.dst, self.dport = wire, dst, dport
        self.src = src or (LIP6 if ':' in dst else LIP4)
        self.sport = sport or next(self.ports)
        self.seq = random.getrandbits(32)
        self.ack = 0

    def send(self, flags, options=b'', payload=b''):
        """Send one segment."""
        options += b'\x01' * (-len(options) % 4)
        segment = struct.pack('!HHIIBBHHH', self.sport, self.dport, self.seq, self.ack,
                              (5 + len(options) // 4) << 4, flags, 65535, 0, 0)
        self.wire.send(self.src, self.dst, segment + options + payload)
        length = len(payload) + bool(flags & SYN) + bool(flags & FIN)
        self.seq = self.seq + length & 0xffffffff

    def syn(self, options=b'', payload=b''):
        """SYN, and wait for its SYN-ACK."""
        self.send(SYN, MSS + options, payload)
        flags = 0
        while flags & (SYN | ACK) != SYN | ACK:
            flags, seq, _, _ = self.wire.receive(self.src, self.sport, self.dport)
        self.ack = seq + 1 & 0xffffffff

    def connect(self, options=b''):
        """The whole handshake, `options` on its last ACK."""
        self.syn()
        self.send(ACK, options)
        return self

    def connect_mptcp(self, options=b''):
        """The handshake of a client that speaks MPTCP."""
        self.syn(MP_CAPABLE)
        at = self.wire.options.find(b'\x1e\x0c\x01')
        if at < 0:
            raise Failed('the SYN-ACK has no MP_CAPABLE')
        keys = random.randbytes(8) + self.wire.options[at + 4:at + 12]
        self.send(ACK, options + bytes.fromhex('1e140101') + keys)
        return self

    def payload(self):
        """The next data that comes."""
        data = b''
        while not data:
            _, _, _, data = self.wire.receive(self.src, self.sport, self.dport)
        return data

    def receive_fin(self):
        """The other side has closed."""
        flags = 0
        while not flags & FIN:
            flags, seq, _, _ = self.wire.receive(self.src, self.sport, self.dport)
        self.ack = seq + 1 & 0xffffffff

    def reset(self):
        """End it at once."""
        self.send(RST | ACK)


# --- calls that sleep

class SlowPage:
    """A page of memory that does not come, to whoever reads it, until somebody says so
    (userfaultfd)."""
    USERFAULTFD, API, UFFDIO_API, UFFDIO_REGISTER = 323, 0xaa, 0xc018aa3f, 0xc020aa00
    REGISTER_MODE_MISSING = 1

    def __init__(self):
        self.memory = mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.fd = LIBC.syscall(self.USERFAULTFD, os.O_CLOEXEC | os.O_NONBLOCK)
        if self.fd < 0:
            raise Skipped('a kernel without userfaultfd')
        self._ioctl(self.UFFDIO_API, self.API, 0, 0)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self._ioctl(self.UFFDIO_REGISTER, address, mmap.PAGESIZE, self.REGISTER_MODE_MISSING, 0)

    def _ioctl(self, request, *values):
        fcntl.ioctl(self.fd, request, struct.pack(f'{len(values)}Q', *values))

    def wait_for_reader(self, seconds=20):
        """Until somebody sleeps."""
        if not select.select([self.fd], [], [], seconds)[0]:
            raise Failed(f'nobody has read the page within {seconds} s')

    def come(self):
        """Who sleeps goes on."""
        os.close(self.fd)


def sleeps(tid):
    """Does the thread of ours sleep, until something happens that no signal can be?"""
    with open(f'/proc/self/task/{tid}/stat', encoding='ascii') as file:
        return file.read().rpartition(')')[2].split()[0] == 'D'


# --- the server's side

def listen(family=socket.AF_INET, proto=0, options=(), ns='toa-s', port=0):
    """A listening socket; IPv6 ones are dual-stack."""
    with netns(ns):
        sock = socket.socket(family, socket.SOCK_STREAM, proto)
    for level, name, value in options:
        sock.setsockopt(level, name, value)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(('::' if family == socket.AF_INET6 else '0.0.0.0', port))
    sock.listen(4096)
    sock.settimeout(10)
    return sock


def port_of(sock):
    """The port that a socket is bound to."""
    return sock.getsockname()[1]


def abort(sock):
    """Close with a RST, so that nothing of it lingers."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    sock.close()


def peername_by_sockopt(sock):
    """(address, port) as SO_PEERNAME has it."""
    size = 28 if sock.family == socket.AF_INET6 else 16
    raw = sock.getsockopt(socket.SOL_SOCKET, SO_PEERNAME, size)
    port = struct.unpack('!H', raw[2:4])[0]
    if sock.family == socket.AF_INET6:
        return socket.inet_ntop(socket.AF_INET6, raw[8:24]), port
    return socket.inet_ntop(socket.AF_INET, raw[4:8]), port


def check_names(conn, accepted, want):
    """Everyone who tells the peer's name says `want`, an (address, port)."""
    expect('accept()', accepted[:2], want)
    expect('getpeername()', conn.getpeername()[:2], want)
    expect('SO_PEERNAME', peername_by_sockopt(conn), want)


@contextlib.contextmanager
def accepted(server, peer):
    """The accepted socket of a peer and its name; both ends are closed afterwards."""
    conn, name = server.accept()
    try:
        yield conn, name
    finally:
        peer.reset()
        conn.close()


def told(family, address):
    """An address of the wire as a socket of this family tells it."""
    return '::ffff:' + address if family == socket.AF_INET6 and ':' not in address else address


def states(peer):
    """Those of the server's sockets for this peer, as /proc has them."""
    remote = f':{peer.sport:04X}'
    with netns('toa-s'):
        lines = []
        for name in ('tcp', 'tcp6'):
            with open(f'/proc/thread-self/net/{name}', encoding='ascii') as file:
                lines += file.readlines()
    fields = [line.split() for line in lines]
    return [field[3] for field in fields if field[2].endswith(remote)]


def exists(peer):
    """Does the server still have a socket for this peer?"""
    return bool(states(peer))


def check_without_module(conn, peer, arrives=b'hello', leaves=b'hello'):
    """The module leaves while the connection lives. That has the wire's name then, its data flow
    ("hello" each way, on the wire as these bytes), and it ends before the module is there again."""
    unload()
    expect('after rmmod', conn.getpeername()[:2], (told(conn.family, peer.src), peer.sport))
    peer.send(ACK | PSH, b'', arrives)
    expect('received after rmmod', conn.recv(64), b'hello')
    conn.send(b'hello')
    expect('sent after rmmod', peer.payload(), leaves)
    expect('a socket before its end', exists(peer), True)
    conn.close()
    peer.reset()
    wait_for('the socket is gone', lambda: not exists(peer))
    load()
    expect('entries', entries(), 0)


def check(wire, server, dst, options, want, src=None):
    """Connect with `options` on the handshake's ACK; None: the wire's own name is right."""
    peer = Peer(wire, dst, port_of(server), src).connect(options)
    with accepted(server, peer) as (conn, name):
        check_names(conn, name, want or (told(server.family, peer.src), peer.sport))
        expect('getsockname()', conn.getsockname()[:2],
               (told(server.family, dst), port_of(server)))


# --- the cases

CASES = []


def case(function):
    """Register a case; it finds the module freshly loaded."""
    CASES.append(function)
    return function


# --- the namespaces

def setup():
    """toa-c0 in toa-c and toa-s0 in toa-s, joined; neighbours are fixed, nobody answers ARP."""
    for ns in ('toa-c', 'toa-s'):
        run('ip', 'netns', 'add', ns)
        run('ip', '-n', ns, 'link', 'set', 'lo', 'up')
    run('ip', 'link', 'add', 'toa-c0', 'netns', 'toa-c', 'type', 'veth',
        'peer', 'toa-s0', 'netns', 'toa-s')
    for ns, dev in (('toa-c', 'toa-c0'), ('toa-s', 'toa-s0')):
        with netns(ns):
            run('sysctl', '-qw', 'net.ipv6.conf.all.accept_dad=0',
                f'net.ipv6.conf.{dev}.accept_dad=0')
        run('ip', '-n', ns, 'link', 'set', dev, 'up')
    address_server()
    run('ip', '-n', 'toa-c', 'addr', 'add', FAR_SRV4 + '/24', 'dev', 'toa-c0')


def address_server():
    """The server's addresses, and its neighbours. A device that enters or leaves a VRF loses
    them."""
    run('ip', '-n', 'toa-s', 'addr', 'replace', SRV4 + '/24', 'dev', 'toa-s0')
    run('ip', '-n', 'toa-s', 'addr', 'replace', SRV6 + '/64', 'dev', 'toa-s0', 'nodad')
    run('ip', '-n', 'toa-s', 'route', 'replace', FAR4, 'dev', 'toa-s0')
    # The client's stack owns none of the sources: it must not answer what the packet
    # socket gets.
    mac = mac_of('toa-c', 'toa-c0')
    for addr in (LIP4, LIP6, FAR4):
        run('ip', '-n', 'toa-s', 'neigh', 'replace', addr, 'lladdr', mac, 'dev', 'toa-s0',
            'nud', 'permanent')


def teardown():
    """Remove them."""
    for ns in ('toa-c', 'toa-s'):
        run('ip', 'netns', 'del', ns, check=False)


def main():
    """Run the cases."""
    unknown = set(sys.argv[1:]) - {c.__name__ for c in CASES}
    if unknown:
        sys.exit(f'no such case: {" ".join(sorted(unknown))}')
    failed = 0
    setup()
    wire = Wire()
    try:
        for function in CASES:
            name = function.__name__
            if sys.argv[1:] and name not in sys.argv[1:]:
                continue
            try:
                mark_kernel_log()
                reload_module()
                function(wire)
                print(f'ok {name}', flush=True)
            except Skipped as reason:
                print(f'skip {name}: {reason}', flush=True)
            except (Failed, OSError) as error:
                failed += 1
                print(f'not ok {name}: {error}', flush=True)
        if is_loaded():
            unload()
    finally:
        teardown()
    return 1 if failed else 0
