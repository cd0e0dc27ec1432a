# SPDX-License-Identifier: GPL-2.0
"""The end of a connection: idle timeouts, RSTs to both ends, packets that come too late.

Seen failing, each with a copy of the module that was broken like this:

  the RST's number one too high: idle_v4, server_gone_v4; the RS's own in it: idle_v6
  net.ipv4.vs.fullnat_expire_rst ignored: idle_silent_v6
  the timeout counted from the connection's beginning: traffic_keeps_v4
  ip_vs's timeout left in place after a reply: last_reply_v6
  open connections given the timeout of half-open ones: ip_vs_timeouts
  an RST answered by an RST: unknown_reset_v4; a FIN not counted: unknown_reset_v6
"""
import socket
import time

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import basics, observe
from lib.rawtcp import RawTcp
from lib.traffic import echo, greeted, reset
from lib.udp import UdpServer, ask_udp, udp_service, udp_socket

PORT = 8000
IDLE = round(2 * basics.SCALE)     # seconds; a busy machine must come to speak in that time


def timeouts(t):
    """{state: seconds left} of the LB's TCP connections."""
    return dict(observe.timeouts(t.lb))


def ended_by_rst(sock, last_words=b''):
    """What the end of a connection is told, when it sends or waits: an RST."""
    try:
        sock.sendall(last_words)
        return f'data or FIN: {sock.recv(100)!r}'
    except ConnectionResetError:
        return 'RST'


def spoken(t, family, **options):
    """A connection that has carried data both ways: (client's socket, server's socket)."""
    accepted = []
    release = []

    def serve(sock, seen):
        sock.sendall(greeting(seen.peername))
        sock.sendall(sock.recv(100))
        accepted.append(sock)
        until(lambda: release, 300, 'the test lets go')

    family.fullnat(t, PORT, **options)
    t.rs1.peer_server(PORT, family=family.af, handler=serve)
    client = t.client.connect(family.vip, PORT, source=family.client)
    greeted(client)
    echo(client, b'spoken')
    until(lambda: accepted, what='the server has served')
    return client, accepted[0]


def check_rst(packets, told):
    """The last packet is an RST for this end of the connection, which continues the numbers
    of the last that it has sent itself."""
    packets = [packet for packet in packets if packet.proto == pcap.TCP]
    last = [packet for packet in packets if packet.src == told][-1]
    rst = packets[-1]
    equal((rst.flags, rst.destination), ('RA', last.source), 'the last packet')
    equal((rst.seq, rst.ack), (last.ack, last.seq + last.payload_len & 0xffffffff),
          f'numbers of the RST to {told}')


@each(FAMILIES)
def test_idle(t, family):
    """A connection that has been idle for the service's own timeout is gone, and both ends
    are told at once, with the numbers that they expect."""
    captures = t.client.capture(), t.rs1.capture()
    client, server = spoken(t, family, service_options=f'--conn-timeout {IDLE}')
    check(timeouts(t).get('ESTABLISHED', 0) <= IDLE, f'{timeouts(t)}')
    for sock in (client, server):
        sock.settimeout(60)
        equal(ended_by_rst(sock), 'RST', 'after the timeout')
    equal(timeouts(t), {}, 'connections of ip_vs')
    stats = t.lb.fullnat_stats()
    equal((stats['expire_rst'], stats['conns']), (1, 1), 'expire_rst, conns')
    equal(observe.drops(t.lb), {}, 'drops')
    for capture, told in zip(captures, (family.client, family.rs1)):
        check_rst(capture.packets(), told)


@each(FAMILIES)
def test_idle_silent(t, family):
    """Switched off: nobody is told."""
    t.lb.run('ipvsadm -Ln')         # loads ip_vs
    run('modprobe ip_vs_fullnat')
    t.lb.sysctl('net.ipv4.vs.fullnat_expire_rst', 0)
    client, server = spoken(t, family, service_options=f'--conn-timeout {IDLE}')
    until(lambda: not timeouts(t), 60, 'the connection is gone')
    for sock in (client, server):
        sock.setblocking(False)
        try:
            equal(sock.recv(100), 'nothing', 'after the timeout')
        except BlockingIOError:
            pass
    client.sendall(b'too late')
    until(lambda: t.lb.fullnat_stats()['drop_no_conn'] >= 1, what='dropped')
    stats = t.lb.fullnat_stats()
    equal((stats['expire_rst'], stats['unknown_rst']), (0, 0), 'expire_rst, unknown_rst')


def until_moment(moment):
    """Until time.monotonic() is so late."""
    until(lambda: time.monotonic() >= moment)


@each(FAMILIES)
def test_traffic_keeps(t, family):
    """Whichever end has something to say from time to time keeps a connection with a timeout
    of its own alive beyond it."""
    client, server = spoken(t, family, service_options=f'--conn-timeout {IDLE}')
    for sender, receiver in ((client, server), (server, client)):
        receiver.settimeout(30)
        began = time.monotonic()
        for after in range(20):                 # one and a half timeouts
            until_moment(began + after * IDLE * 1.5 / 20)
            sender.sendall(b'%03d' % after)
            equal(read_until(receiver, 3), b'%03d' % after, 'data')
    equal(t.lb.fullnat_stats()['expire_rst'], 0, 'expire_rst')


@each(FAMILIES)
def test_last_reply(t, family):
    """The service's own timeout holds also when the last packet is the server's: a client that
    has vanished does not keep the connection for ip_vs's longer one."""
    family.fullnat(t, PORT, service_options='--conn-timeout 60')
    t.rs1.peer_server(PORT, family=family.af)
    client = RawTcp(family.raw(t), family.vip, PORT).connect()
    client.expect(lambda p: p.payload_len, what='the greeting')
    until(lambda: timeouts(t)['ESTABLISHED'] <= 60, 10, 'the own timeout after the greeting')


def check_left(t, protocol, state, seconds):
    """The only connection in this state has about so much time left."""
    found = dict(observe.timeouts(t.lb, protocol))
    check(seconds - 30 <= found.get(state, 0) <= seconds, f'{seconds} s of {state}: {found}')


@each(FAMILIES)
def test_ip_vs_timeouts(t, family):
    """What `ipvsadm --set` says holds for open connections, for those that the server has
    closed, and for conversations over UDP; those that are closed or not yet open have FULLNAT's
    own, shorter ones."""
    t.lb.run('ipvsadm --set 1234 120 300')
    client, server = spoken(t, family)
    check_left(t, 'TCP', 'ESTABLISHED', 1234)
    t.lb.run('ipvsadm --set 2345 0 0')
    # a packet of the fast path leaves the timer alone
    until(lambda: client.send(b'more') and 2345 - 30 <= timeouts(t)['ESTABLISHED'] <= 2345,
          10, 'the new timeout')
    t.lb.run('ipvsadm --set 0 77 66')
    client.sendall(b'still open')
    check_left(t, 'TCP', 'ESTABLISHED', 2345)
    server.shutdown(socket.SHUT_WR)
    until(lambda: 'FIN_WAIT' in timeouts(t), 10, 'FIN_WAIT')
    check_left(t, 'TCP', 'FIN_WAIT', 77)
    reset(client)
    until(lambda: timeouts(t).get('CLOSE', 99) <= 10, 10, 'the timeout of CLOSE')
    half_open = RawTcp(family.raw(t), family.vip, PORT)
    half_open.syn()
    check(timeouts(t)['SYN_RECV'] <= 30, f'{timeouts(t)}')
    half_open.send('A')
    half_open.send('FA')
    until(lambda: 'CLOSE_WAIT' in timeouts(t), 10, 'CLOSE_WAIT')
    check_left(t, 'TCP', 'CLOSE_WAIT', 60)      # which cannot be set
    udp_service(t, family, PORT, servers=(family.rs1,))
    UdpServer(t.rs1, PORT, family)
    with udp_socket(t.client, family) as sock:
        for _ in range(2):
            ask_udp(sock, (family.vip, PORT), b'talk')
    check_left(t, 'UDP', 'UDP', 66)


@each(FAMILIES)
def test_server_gone(t, family):
    """With expire_nodest_conn a client of a real server that was removed is reset with its
    next packet, instead of waiting for an answer that cannot come."""
    t.lb.run('ipvsadm -Ln')
    t.lb.sysctl('net.ipv4.vs.expire_nodest_conn', 1)
    client, _ = spoken(t, family)
    t.lb.run(f'ipvsadm -d {family.service(PORT)} -r {address_port(family.rs1, PORT)}')
    client.settimeout(30)
    equal(ended_by_rst(client, b'still there?'), 'RST', 'what the client gets')


@each(FAMILIES)
def test_unknown_reset(t, family):
    """By option, packets of no connection, to the VIP and to a LIP, are answered by an RST
    with the right number; an RST never is."""
    family.fullnat(t, PORT)
    t.lb.sysctl('net.ipv4.vs.fullnat_unknown_rst', 1)
    client = RawTcp(family.raw(t), family.vip, PORT)
    client.send('A', ack=123456)
    answer = client.expect(lambda p: 'R' in p.flags, what='RST for an ACK')
    equal((answer.flags, answer.seq), ('R', 123456), 'RST for an ACK')
    client.send('F', payload=b'1234', seq=1000)
    answer = client.expect(lambda p: 'R' in p.flags, what='RST for a FIN')
    equal((answer.flags, answer.seq, answer.ack), ('RA', 0, 1005), 'RST for a FIN')
    client.send('R', seq=1000)
    until(lambda: t.lb.fullnat_stats()['drop_no_conn'] == 3, what='dropped')
    equal(t.lb.fullnat_stats()['unknown_rst'], 2, 'unknown_rst')
    stray = t.rs1.socket(family.af)
    stray.settimeout(10)
    stray.bind((family.rs1, PORT))
    try:
        stray.connect((family.lip, 33333))
        raise Failure('connected to a LIP')
    except ConnectionRefusedError:
        pass
    stats = t.lb.fullnat_stats()
    equal((stats['unknown_rst'], stats['drop_no_flow']), (3, 1), 'unknown_rst, drop_no_flow')
