# SPDX-License-Identifier: GPL-2.0
"""Debian's own servers, as they are, on a real server with toa: each one tells its clients who
they are, and logs, admits or refuses them by their own addresses. All were seen failing with toa
loaded with "trust="."""
import ipaddress
import json
import os
import re
import struct

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import observe, trace
from lib.checkers import read

PORT = 8000
HTTP = b'GET / HTTP/1.0\r\n\r\n'
IPPROTO_MPTCP = 262

LISTEN = {'v4': (f'listen {PORT};', (V4,)),
          'v6': (f'listen [::]:{PORT} ipv6only=on;', (V6,)),
          'dual': (f'listen [::]:{PORT} ipv6only=off;', FAMILIES),
          'reuseport': (f'listen {PORT} reuseport; listen [::]:{PORT} reuseport;', FAMILIES)}

HAPROXY = '''
global
    log stdout format raw local0
defaults
    mode http
    log global
    log-format "%ci %cp %ST"
    timeout client 60s
    timeout server 60s
    timeout connect 60s
frontend web
    bind :::8000 v4v6
    http-request deny deny_status 403 if { src 198.51.100.2 2001:db8:c::2 }
    http-request return status 200 content-type text/plain lf-string "%ci %cp\\n"
'''

CADDY = '''
{
    admin off
}
http://:8000 {
    log {
        output file access.log
    }
    respond "{http.request.remote.host} {http.request.remote.port}"
}
'''

ASYNCIO = '''
import asyncio

async def answer(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    address, port = writer.get_extra_info("peername")[:2]
    print(address, port, flush=True)
    writer.write(f"HTTP/1.0 200 OK\\r\\n\\r\\n{address} {port}\\n".encode())
    await writer.drain()
    writer.close()

async def main():
    async with await asyncio.start_server(answer, None, 8000) as server:
        await server.serve_forever()

asyncio.run(main())
'''

# the server ends with the last mount of this namespace's /proc/fs/nfsd
NFSD = '''
set -e
mount -t nfsd nfsd /proc/fs/nfsd
echo -2 -3 +4 >/proc/fs/nfsd/versions
python3 - <<END
import socket
sock = socket.create_server(("0.0.0.0", 8000))
with open("/proc/fs/nfsd/portlist", "w") as file:
    file.write(str(sock.fileno()))
END
echo 1 >/proc/fs/nfsd/threads
exec sleep infinity
'''
NFSD_ACCEPTS = 'events/sunrpc/svc_xprt_accept'

POSTGRES = '/usr/lib/postgresql/15/bin'
PG_HBA = '''
host all all 198.51.100.1/32  trust
host all all 2001:db8:c::1/128 trust
host all all all reject
'''


def services(t):
    """VIP:8000 in both families."""
    for family in FAMILIES:
        family.fullnat(t, PORT)


def who(address, port):
    """An IPv4 client, also where a dual-stack socket tells it."""
    address = ipaddress.ip_address(address)
    return str(getattr(address, 'ipv4_mapped', None) or address), int(port)


def ask_by_http(t, families=FAMILIES):
    """Two clients of each family ask: [(who it is, status, body)]."""
    asked = []
    for family in families:
        for source in (family.client, family.client2):
            own, answer = t.client.ask(family.vip, PORT, HTTP, source=source)
            head, _, body = answer.decode().partition('\r\n\r\n')
            asked.append((own, head.split()[1], body))
    return asked


def check_told(asked):
    """Each client was told its own name. Returns the names."""
    for own, status, body in asked:
        equal((status, who(*body.split()[-2:])), ('200', own), 'status and body')
    return [own for own, _, _ in asked]


def check_logged(names, lines):
    """The server logs these clients; `lines` gets (address, port) of those it has logged."""
    until(lambda: len(lines()) >= len(names), what='all requests are logged')
    equal([who(*line) for line in lines()], names, 'logged')


def words(path):
    """The words of each whole line of a file."""
    return [line.split() for line in read(path).split('\n')[:-1]]


def check_toa(t, connections):
    """The clients came by TOA."""
    stats = t.rs1.toa_stats()
    equal((stats['stored'], stats['absent']), (connections, 0), 'stored, absent')


@each(LISTEN)
def test_nginx(t, listener):
    """nginx with all kinds of listeners."""
    directives, families = LISTEN[listener]
    services(t)
    nginx = t.rs1.nginx((PORT,), listen=directives, workers=4)
    names = check_told(ask_by_http(t, families))
    # each worker writes for itself
    check_logged(sorted(names), lambda: sorted(who(*line[:2]) for line in nginx.log()))
    check_toa(t, len(names))


def test_nginx_by_mptcp(t):
    """nginx listens by MPTCP (mptcpize), like programs of newer Go: clients that speak it (and
    are brought down to TCP by the LB) and that do not."""
    services(t)
    nginx = t.rs1.nginx((PORT,), wrapper=('mptcpize', 'run'))
    check(f':{PORT}' in t.rs1.run('ss -HMltn').out, 'nginx does not listen by MPTCP')
    names = check_told(ask_by_http(t))
    for family in FAMILIES:
        with t.client.socket(family.af, proto=IPPROTO_MPTCP) as sock:
            sock.settimeout(30)
            sock.connect((family.vip, PORT))
            names.append(sock.getsockname()[:2])
            sock.sendall(HTTP)
            equal(who(*read_to_end(sock).decode().split()[-2:]), names[-1], 'told')
    check_logged(names, lambda: [line[:2] for line in nginx.log()])
    counters = [observe.tcp_counters(host) for host in (t.client, t.rs1)]
    equal((counters[0]['MPCapableSYNTX'], counters[1]['MPCapableSYNRX']), (2, 0),
          'SYNs with MP_CAPABLE: sent, received')
    check_toa(t, len(names))


def test_haproxy(t):
    """HAProxy: its log, and an ACL that refuses the second clients by their addresses."""
    services(t)
    config, log = t.rs1.path('haproxy.cfg'), t.rs1.path('haproxy.log')
    with open(config, 'w', encoding='ascii') as file:
        file.write(HAPROXY)
    t.rs1.spawn(['haproxy', '-db', '-f', config], log)
    t.rs1.wait_listening(PORT)
    asked = ask_by_http(t)
    check_told([one for one in asked if one[0][0] in (CLIENT, CLIENT_V6)])
    equal([status for _, status, _ in asked], ['200', '403'] * 2, 'answers to first and second')
    check_logged([own for own, _, _ in asked],
                 lambda: [line[:2] for line in words(log) if line[-1] in ('200', '403')])
    check_toa(t, 4)


def test_go(t):
    """Go's net/http, in Caddy: one dual-stack socket; the client in its log."""
    services(t)
    directory = t.rs1.path('caddy')
    os.mkdir(directory)
    with open(f'{directory}/Caddyfile', 'w', encoding='ascii') as file:
        file.write(CADDY)
    t.rs1.spawn(['caddy', 'run', '--config', 'Caddyfile', '--adapter', 'caddyfile'],
                cwd=directory, env={**os.environ, 'HOME': directory})
    t.rs1.wait_listening(PORT)

    def lines():
        whole = read(f'{directory}/access.log').split('\n')[:-1]
        requests = [json.loads(line)['request'] for line in whole]
        return [(request['remote_ip'], request['remote_port']) for request in requests]

    check_logged(check_told(ask_by_http(t)), lines)
    check_toa(t, 4)


def test_asyncio(t):
    """Python's asyncio."""
    services(t)
    log = t.rs1.path('asyncio.log')
    t.rs1.spawn(['python3', '-c', ASYNCIO], log)
    t.rs1.wait_listening(PORT)
    check_logged(check_told(ask_by_http(t)), lambda: words(log))
    check_toa(t, 4)


def ssh(t, key, family, source, port):
    """Log in from an address and port; what the session knows of its connection."""
    return t.client.run(['ssh', '-F', '/dev/null', '-i', key, '-o', 'BatchMode=yes',
                         '-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null',
                         '-o', f'ProxyCommand=nc -s {source} -p {port} {family.vip} {PORT}',
                         'root@vip', 'echo $SSH_CONNECTION'], check=False, timeout=60)


def test_sshd(t):
    """sshd: its log, SSH_CONNECTION, and a key that is good from two addresses only."""
    services(t)
    key, keys = t.rs1.path('key'), t.rs1.path('authorized_keys')
    run(f'ssh-keygen -q -t ed25519 -N "" -f {key}')
    with open(key + '.pub', encoding='ascii') as public, open(keys, 'w', encoding='ascii') as file:
        file.write(f'from="{CLIENT},{CLIENT_V6}" {public.read()}')
    os.makedirs('/run/sshd', exist_ok=True)
    log = t.rs1.path('sshd.log')
    t.rs1.spawn(['/usr/sbin/sshd', '-D', '-e', '-f', '/dev/null', '-p', str(PORT), '-h', key,
                 '-o', f'AuthorizedKeysFile={keys}', '-o', 'StrictModes=no',
                 '-o', 'LogLevel=VERBOSE', '-o', 'PermitRootLogin=yes'], log)
    t.rs1.wait_listening(PORT)
    for number, family in enumerate(FAMILIES):
        admitted = ssh(t, key, family, family.client, 41000 + number)
        equal(admitted.out.split()[:2], [family.client, str(41000 + number)],
              f'SSH_CONNECTION ({admitted.err})')
        refused = ssh(t, key, family, family.client2, 42000 + number)
        check(refused.rc and 'Permission denied' in refused.err, f'{refused}')
        seen = [line[2:5:2] for line in words(log) if line[:2] == ['Connection', 'from']]
        for source, port in ((family.client, 41000), (family.client2, 42000)):
            check([source, str(port + number)] in seen, f'{source} is not in the log: {seen}')
    check_toa(t, 4)


def pg_messages(sock):
    """(kind, body) of the server's messages."""
    with sock.makefile('rb') as said:
        while head := said.read(5):
            kind, length = struct.unpack('!cI', head)
            yield kind, said.read(length - 4)


def pg_who_am_i(sock):
    """Log in without a password; (address, port) as SQL tells it. The server's reason if it
    does not admit us."""
    who_am_i = b'select host(inet_client_addr()), inet_client_port()\0'
    hello = struct.pack('!I', 196608) + b'user\0postgres\0database\0postgres\0\0'
    sock.sendall(struct.pack('!I', len(hello) + 4) + hello)
    for kind, body in pg_messages(sock):
        if kind == b'E':
            return next(text[1:].decode() for text in body.split(b'\0') if text[:1] == b'M')
        if kind == b'Z':
            sock.sendall(b'Q' + struct.pack('!I', len(who_am_i) + 4) + who_am_i)
        if kind == b'D':
            size, = struct.unpack('!I', body[2:6])
            return body[6:6 + size].decode(), int(body[10 + size:])
    raise Failure('PostgreSQL says nothing')


@limit(300)
def test_postgresql(t):
    """PostgreSQL: inet_client_addr(), its log, and pg_hba.conf, which refuses the second clients
    by their addresses."""
    services(t)
    home, log = t.rs1.path('postgres'), t.rs1.path('postgres.log')
    os.mkdir(home)
    user = ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups']
    run(f'chown postgres {home}')
    run([*user, f'{POSTGRES}/initdb', '-N', '-A', 'reject', '--locale=C', '-D', home], timeout=200)
    with open(f'{home}/pg_hba.conf', 'w', encoding='ascii') as file:
        file.write(PG_HBA)
    options = {'port': PORT, 'listen_addresses': '*', 'unix_socket_directories': '',
               'log_connections': 'on', 'shared_buffers': '8MB', 'fsync': 'off'}
    t.rs1.spawn([*user, f'{POSTGRES}/postgres', '-D', home,
                 *(f'--{name}={value}' for name, value in options.items())], log)
    until(lambda: 'ready to accept connections' in read(log), 100, 'PostgreSQL is up')
    for family in FAMILIES:
        with t.client.connect(family.vip, PORT, source=family.client) as sock:
            own = sock.getsockname()[:2]
            equal(pg_who_am_i(sock), own, 'told')
        with t.client.connect(family.vip, PORT, source=family.client2) as sock:
            reason = pg_who_am_i(sock)
        check(f'rejects connection for host "{family.client2}"' in reason, f'{reason}')
        line = f'connection received: host={own[0]} port={own[1]}\n'
        check(line in read(log), f'not in the log: {line}')
    check_toa(t, 4)


def test_nfsd(t):
    """The kernel's own NFS server goes on seeing the wire's address."""
    if run('modprobe nfsd', check=False).rc:
        raise Skip('this kernel has no NFS server')
    V4.fullnat(t, PORT)
    nfsd = t.rs1.spawn(t.rs1.wrap(NFSD))     # its mounts are its own
    t.rs1.wait_listening(PORT)
    trace.write(f'{NFSD_ACCEPTS}/enable', '1')
    try:
        with t.client.connect(VIP, PORT):
            until(lambda: 'client=' in trace.lines(), what='the NFS server has accepted')
        client = re.search(r'client=(\S+):(\d+)', trace.lines())
    finally:
        trace.write(f'{NFSD_ACCEPTS}/enable', '0')
        trace.write('trace', '')
        t.rs1.stop(nfsd)
        until(lambda: not run('rmmod nfsd', check=False).rc, what='nfsd is unloaded')
    equal(client[1], LIP, 'the client, for the NFS server')
    stats = t.rs1.toa_stats()
    equal((stats['stored'], stats['answered']), (1, 0), 'stored, answered')
