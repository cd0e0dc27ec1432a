# SPDX-License-Identifier: GPL-2.0
"""Whole conversations: bulk both ways, many requests, every way to end, and loss.

Seen failing, each with a copy of the modules that was broken like this:

  the client's port in the TOA off by one: download, upload, keepalive, endings, refused,
    sshd, third_ack_lost
  the MSS not lowered: mss_and_timestamps
  SACK blocks not translated: loss
  netem given GSO packets, which it loses whole (no loss at all in 1 run of 8): loss
"""
import hashlib
import os
import re
import socket
import struct

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import observe
from lib.servers import digest_of_rest

BULK = 20 << 20


def send_rst(sock):
    """Close with an RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    sock.close()


def read_all(sock):
    """Everything until the other side's FIN."""
    parts = []
    while True:
        data = sock.recv(1 << 18)
        if not data:
            return b''.join(parts)
        parts.append(data)


def read_line(sock):
    """One line, without its end."""
    line = b''
    while not line.endswith(b'\n'):
        data = sock.recv(1)
        check(data, f'the connection ended after {line!r}')
        line += data
    return line[:-1].decode()


def served(t, port=8000, **options):
    """A FULLNAT service over rs1 alone, with a server there."""
    t.fullnat(port, servers=(RS1,))
    return t.rs1.peer_server(port, **options)


def digest_of_stream(sock, _):
    """A server that answers with the sha256 of what it was sent, after the FIN."""
    sock.sendall(digest_of_rest(sock).hexdigest().encode())


def check_no_drops(t):
    """The LB dropped nothing, and no connection came without its TOA."""
    drops = {name: value for name, value in t.lb.fullnat_stats().items()
             if value and (name.startswith('drop_') or name == 'conns_without_toa')}
    equal(drops, {}, 'drops')


def test_download(t):
    """20 MB from nginx by curl, sha256 equal."""
    t.fullnat(80, servers=(RS1,))
    nginx = t.rs1.nginx()
    blob = os.urandom(BULK)
    with open(os.path.join(nginx.files, 'blob'), 'wb') as file:
        file.write(blob)
    got = t.client.run(f'curl -sS --max-time 90 --local-port 41000 http://{VIP}/files/blob | '
                       'sha256sum', timeout=100).out.split()[0]
    equal(got, hashlib.sha256(blob).hexdigest(), 'sha256')
    until(nginx.log, what='nginx has logged')
    equal(nginx.log(), [(CLIENT, 41000, '/files/blob')], 'logged')
    check_no_drops(t)


def test_upload(t):
    """20 MB to a server, sha256 equal; it answers after the client's FIN."""
    server = served(t, handler=digest_of_stream)
    blob = os.urandom(BULK)
    own, answer = t.client.ask(VIP, 8000, blob, timeout=90)
    equal(answer.decode(), hashlib.sha256(blob).hexdigest(), 'sha256')
    equal(server.clients, [own], 'clients')
    check_no_drops(t)


def test_keepalive(t):
    """1000 requests on one connection: nginx names the client each time."""
    t.fullnat(80, servers=(RS1,))
    nginx = t.rs1.nginx()
    wanted = f'rs1 {CLIENT} 42000\n'.encode()
    with t.client.connect(VIP, 80, source_port=42000) as sock:
        for number in range(1000):
            sock.sendall(f'GET /{number} HTTP/1.1\r\nHost: vip\r\n\r\n'.encode())
            answer = b''
            while not answer.endswith(wanted):
                data = sock.recv(4096)
                check(data, f'request {number}: the connection ended after {answer!r}')
                answer += data
    until(lambda: len(nginx.log()) == 1000, what='nginx has logged')
    equal(nginx.log(), [(CLIENT, 42000, f'/{number}') for number in range(1000)], 'logged')
    equal(t.lb.fullnat_stats()['conns'], 1, 'conns')
    check_no_drops(t)


def test_endings(t):
    """Half-close from either side, RST from either side, and a server that speaks first:
    what one side does, the other sees."""
    blob = os.urandom(1 << 20)

    def serve(sock, seen):
        sock.sendall(greeting(seen.peername))
        how = read_line(sock)
        if how == 'client half-closes':
            check(read_all(sock) == b'bye', 'server: not the whole request')
            sock.sendall(blob)
        elif how == 'server half-closes':
            sock.shutdown(socket.SHUT_WR)
            ended[how] = read_all(sock)
        elif how == 'server resets':
            send_rst(sock)
        elif how == 'client resets':
            try:
                ended[how] = read_all(sock)
            except OSError as error:
                ended[how] = error

    def start(how):
        sock = t.client.connect(VIP, 8000)
        own = sock.getsockname()
        equal(read_line(sock), f'{own[0]} {own[1]}', 'the server speaks first')
        sock.sendall(how.encode() + b'\n')
        return sock

    ended = {}
    served(t, handler=serve)
    with start('client half-closes') as sock:
        sock.sendall(b'bye')
        sock.shutdown(socket.SHUT_WR)
        check(read_all(sock) == blob, 'answer after the FIN')
    with start('server half-closes') as sock:
        equal(read_all(sock), b'', 'after the server\'s FIN')
        sock.sendall(blob)
        sock.shutdown(socket.SHUT_WR)
        until(lambda: ended.get('server half-closes') == blob, what='the server has it all')
    with start('server resets') as sock:
        try:
            equal(read_all(sock), 'an RST', 'from the server')
        except ConnectionResetError:
            pass
    sock = start('client resets')
    send_rst(sock)
    until(lambda: 'client resets' in ended, what='the server sees the RST')
    check(isinstance(ended['client resets'], ConnectionResetError), f'{ended["client resets"]!r}')
    check_no_drops(t)


def test_refused(t):
    """No listener at the real server: its RST reaches the client at once; later it works."""
    t.fullnat(8000, servers=(RS1,))
    for _ in range(3):
        try:
            t.client.connect(VIP, 8000, source_port=43000, timeout=10).close()
        except ConnectionRefusedError:
            continue
        raise Failure('connected to nobody')
    t.rs1.peer_server(8000)
    own, answer = t.client.ask(VIP, 8000, b'x', source_port=43000)
    equal(answer, f'{own[0]} {own[1]}\nx'.encode(), 'answer')
    check_no_drops(t)


def test_sshd(t):
    """A real server that speaks first logs the client."""
    t.fullnat(22, servers=(RS1,))
    key = t.rs1.path('key')
    run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', key])
    os.makedirs('/run/sshd', exist_ok=True)
    t.rs1.spawn(['/usr/sbin/sshd', '-D', '-e', '-f', '/dev/null', '-h', key, '-o',
                 'LogLevel=VERBOSE', '-o', 'UsePAM=no'], t.rs1.path('sshd.log'))
    t.rs1.wait_listening(22)
    with t.client.connect(VIP, 22, source_port=44000) as sock:
        banner = read_line(sock)
    check(banner.startswith('SSH-2.0-OpenSSH'), f'banner: {banner}')

    def logged():
        with open(t.rs1.path('sshd.log'), encoding='utf-8') as file:
            return f'Connection from {CLIENT} port 44000' in file.read()
    until(logged, what='sshd names the client')


def drop_first_ack(t):
    """The next bare ACK to the VIP is lost on its way to the LB's stack."""
    t.lb.nft(f'''table ip loss {{
        chain pre {{
            type filter hook prerouting priority -300
            ip daddr {VIP} tcp flags & (fin|syn|rst|ack) == ack limit rate 1/day burst 1 packets \
counter drop
        }}
    }}''')


def lost_acks(t):
    """Forget the rule; how many packets it dropped."""
    text = t.lb.run('nft list table ip loss').out
    t.lb.run('nft delete table ip loss')
    return int(text.split('counter packets ')[1].split()[0])


def test_third_ack_lost(t):
    """The ACK of the handshake is lost: whatever comes next (data, FIN, or the ACK sent
    again) carries the TOA and makes the connection."""
    server = served(t, speaks_first=False)
    speaker = t.rs1.peer_server(8001)
    t.lb.run(f'ipvsadm -A -t {VIP}:8001 -s rr --fullnat')
    t.lb.run(f'ipvsadm -P -t {VIP}:8001 -z {LIP}')
    t.lb.run(f'ipvsadm -a -t {VIP}:8001 -r {RS1}:8001')
    for how, port in (('data', 8000), ('FIN', 8000), ('nothing', 8001)):
        capture = t.rs1.capture()
        drop_first_ack(t)
        with t.client.connect(VIP, port) as sock:
            own = sock.getsockname()
            if how == 'data':
                sock.sendall(b'hello')
                equal(sock.recv(100), f'{own[0]} {own[1]}\nhello'.encode(), 'answer')
            elif how == 'FIN':
                sock.shutdown(socket.SHUT_WR)
                equal(read_all(sock), b'', 'answer')
            else:
                equal(read_line(sock), f'{own[0]} {own[1]}', 'answer')
        equal(lost_acks(t), 1, f'{how}: ACKs lost')
        wanted = speaker if how == 'nothing' else server
        until(lambda w=wanted, o=own: o in w.clients, what=f'{how}: the server saw {own}')
        sent = list(observe.connections(capture.packets()).values())[0]
        first = next(packet for packet in sent if packet.flags != 'S')
        equal(first.toa, own, f'{how}: TOA of the first packet after the SYN ({first})')
        if how == 'data':
            equal(first.payload, b'hello', 'its payload')
        if how == 'FIN':
            check('F' in first.flags, f'the FIN comes first: {first}')
    check_no_drops(t)


def test_mss_and_timestamps(t):
    """The MSS in the SYN-ACK leaves room for the TOA. Both sides see sane timestamps: what
    a client is echoed it has sent; a real server sees one clock that never runs back."""
    served(t)
    at_client, at_server = t.client.capture(), t.rs1.capture()
    for number in range(20):
        t.client.ask(VIP, 8000, b'x' * 3000, source=(CLIENT, CLIENT2)[number % 2])
    inside, outside = at_server.packets(), at_client.packets()
    equal({p.mss for p in inside if p.flags == 'SA'}, {1460}, 'MSS that the server offers')
    equal({p.mss for p in outside if p.flags == 'SA'}, {1452}, 'MSS that the client sees')
    equal({p.mss for p in inside if p.flags == 'S'}, {1460}, 'MSS of the client, untouched')
    sent = {}
    for packet in outside:
        if packet.dst == VIP:
            sent.setdefault(packet.source, set()).add(packet.timestamps[0])
        elif 'R' not in packet.flags:
            check(packet.timestamps[1] in sent[packet.destination], f'echo of nothing: {packet}')
    clock = [p.timestamps[0] for p in inside if p.dst == RS1 and p.flags == 'S']
    equal(len(clock), 20, 'SYNs')
    check(all((after - before) & 0xffffffff < 1 << 31 for before, after in zip(clock, clock[1:])),
          f'the clock of {LIP} runs backwards: {clock}')


def test_loss(t):
    """2 % of all packets are lost on the client's side, both ways: SACK works (none of its
    blocks is foreign to who gets them), data arrives whole."""
    served(t, handler=digest_of_stream)
    t.lb.run(f'ipvsadm -A -t {VIP}:8001 -s rr --fullnat')
    t.lb.run(f'ipvsadm -P -t {VIP}:8001 -z {LIP}')
    t.lb.run(f'ipvsadm -a -t {VIP}:8001 -r {RS1}:8001')
    blob = os.urandom(3 << 20)
    t.rs1.peer_server(8001, handler=lambda sock, _: sock.sendall(blob))
    for host, device in ((t.client, 'eth0'), (t.lb, 'outer'), (t.lb, 'inner'), (t.rs1, 'eth0')):
        observe.offloads(host, device, False)
    lossy = (t.client, 'eth0'), (t.lb, 'outer')
    for host, device in lossy:
        # TCP hands out GSO packets even to a device that has no GSO; netem would lose or keep
        # all segments of one together, and now and then none at all
        host.run(f'ip link set {device} gso_max_segs 1')
        host.run(f'tc qdisc add dev {device} root netem limit 10000 loss 2%')
    _, answer = t.client.ask(VIP, 8000, blob, timeout=60)
    equal(answer.decode(), hashlib.sha256(blob).hexdigest(), 'upload')
    _, answer = t.client.ask(VIP, 8001, timeout=60)
    check(answer == blob, 'download differs')
    for host, device in lossy:
        lost = int(re.search(r'dropped (\d+)', host.run(f'tc -s qdisc show dev {device}').out)[1])
        check(lost >= 10, f'{host} lost {lost} packets only')
    for name, host in (('client', t.client), ('rs1', t.rs1)):
        counters = observe.tcp_counters(host)
        check(counters['TCPSackRecovery'], f'{name} never recovered by SACK')
        equal(counters['TCPSACKDiscard'], 0, f'SACK blocks that {name} discarded')
    check_no_drops(t)
