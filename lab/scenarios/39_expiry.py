# SPDX-License-Identifier: GPL-2.0
"""The end of a connection: idle timeouts, RSTs to both ends, packets that come too late.

Seen failing, each with a copy of the module that was broken like this:

  @FAIL@
"""
import re
import socket

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import observe
from lib.rawtcp import RawTcp
from lib.traffic import echo, greeted

PORT = 8000


def timeouts(t):
    """{state: seconds left} of the LB's TCP connections."""
    table = t.lb.run('ipvsadm -Lcn').out
    found = re.findall(r'^TCP +(\d+):(\d+) +(\w+)', table, re.M)
    return {state: int(minutes) * 60 + int(seconds) for minutes, seconds, state in found}


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
        sock.sendall(f'{seen.peername[0]} {seen.peername[1]}\n'.encode())
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


@each(FAMILIES)
def test_idle(t, family):
    """A connection that has been idle for the service's own timeout is gone, and both ends
    are told at once, with numbers that they believe."""
    client, server = spoken(t, family, service_options='--conn-timeout 2')
    check(timeouts(t)['ESTABLISHED'] <= 2, f'{timeouts(t)}')
    for sock in (client, server):
        sock.settimeout(60)
        equal(ended_by_rst(sock), 'RST', 'after the timeout')
    equal(timeouts(t), {}, 'connections of ip_vs')
    stats = t.lb.fullnat_stats()
    equal((stats['expire_rst'], stats['conns']), (1, 1), 'expire_rst, conns')
    # whoever sends now has come too late
    equal(observe.drops(t.lb), {}, 'drops')


@each(FAMILIES)
def test_idle_silent(t, family):
    """Switched off: nobody is told."""
    t.lb.run('ipvsadm -Ln')         # loads ip_vs
    run('modprobe ip_vs_fullnat')
    t.lb.sysctl('net.ipv4.vs.fullnat_expire_rst', 0)
    client, server = spoken(t, family, service_options='--conn-timeout 2')
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


@each(FAMILIES)
def test_traffic_keeps(t, family):
    """Packets of either direction alone keep a connection with a timeout of its own alive."""
    client, server = spoken(t, family, service_options='--conn-timeout 4')
    for sender, receiver in ((client, server), (server, client)):
        receiver.settimeout(30)
        for number in range(30):
            sender.sendall(b'%03d' % number)
            equal(read_until(receiver, 3), b'%03d' % number, 'data')
            try:
                until(lambda: False, 0.2)       # 6 s in all
            except Failure:
                pass
    equal(t.lb.fullnat_stats()['expire_rst'], 0, 'expire_rst')


def test_ip_vs_timeouts(t):
    """What `ipvsadm --set` says holds for open connections; those that are closed or not yet
    open have FULLNAT's own, shorter ones."""
    t.lb.run('ipvsadm --set 1234 120 300')
    client, _ = spoken(t, V4)
    check(1234 - 30 <= timeouts(t)['ESTABLISHED'] <= 1234, f'{timeouts(t)}')
    t.lb.run('ipvsadm --set 2345 0 0')
    client.sendall(b'more')
    until(lambda: 2345 - 30 <= timeouts(t)['ESTABLISHED'] <= 2345, 10, 'the new timeout')
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    client.close()
    until(lambda: timeouts(t).get('CLOSE', 99) <= 10, 10, 'the timeout of CLOSE')
    half_open = RawTcp(V4.raw(t), VIP, PORT)
    half_open.syn()
    check(timeouts(t)['SYN_RECV'] <= 30, f'{timeouts(t)}')


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
