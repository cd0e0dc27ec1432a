# SPDX-License-Identifier: GPL-2.0
"""What a backup makes of the records in messages of the IPVS sync daemon: good ones, foreign
ones, garbage. The messages are made by hand.

Seen failing, with the module as it was before the port went by the age of records:
newer_record_has_the_port, overtaken_by_the_newer; as it was before a later record of UDP moved
the port's state: udp_subscription; with one whose port_holder() does not look at
the direction: server_is_a_client; with ones that ignore protocol, port or VIP where there is no
service: kill_without_service. The others not yet, with a copy of the module that was broken on
purpose.
"""
import random
import re
import socket
import struct

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import genetlink as nl
from lib import observe
from lib.rawtcp import RawHost, RawTcp, make_packet
from lib.syncd import ANSWERED, F_MASQ, STREAM, TIME_WAIT, Conn, Master, Record, message
from lib.udp import udp_service, udp_socket

PORT, CPORT, LPORT = 8000, 40000, 45678
PAIRS = 12      # so many fit into a message
MASK = 0xffffffff
# protocol, type and code of "port unreachable"
UNREACHABLE = {V4: (socket.IPPROTO_ICMP, 3, 3), V6: (socket.IPPROTO_ICMPV6, 1, 4)}
SEQ_OFFSET, TS_OFFSET = 0x12345678, 0x9abcdef0


class Backup:
    """The LB as a backup, a client and a real server without a stack, and a master."""

    def __init__(self, t, family, port=PORT):
        self.t = t
        self.family = family
        self.port = port
        t.lb.run('ipvsadm -Ln')
        run('modprobe ip_vs_fullnat')
        t.lb.run('ipvsadm --start-daemon backup --mcast-interface inner --syncid 7')
        self.master = Master(t.rs2, RS2)
        self.client = family.raw(t)
        self.server = RawHost(t.rs1, 'eth0', family.host(77), t.lb, 'inner')

    def serve(self, **options):
        """The service, over the real server without a stack."""
        return self.t.fullnat(self.port, family=self.family, servers=(self.server.address,),
                              toa=False, **options)

    def conn(self, record=None, **fields):
        """The connection, as a message tells of it."""
        return Conn((self.client.address, CPORT), (self.family.vip, self.port),
                    (self.server.address, self.port), record and record.words(), **fields)

    def record(self, **fields):
        """Its record."""
        return Record(self.family.lip, **{'port': LPORT, 'seq': SEQ_OFFSET, 'timestamp': TS_OFFSET,
                                          'isn': 1000, **fields})

    def tell(self, *conns, counter=None, more=1):
        """A message, which moves this counter."""
        before = self.t.lb.fullnat_stats()
        self.master.tell(*conns)
        if counter:
            until(lambda: self.t.lb.fullnat_stats()[counter] == before[counter] + more, 20,
                  f'{counter} moves')

    def from_server(self, port=LPORT):
        """The server's end."""
        end = RawTcp(self.server, self.family.lip, port, sport=self.port, isn=70000)
        end.seq, end.ack = 70001, 1500 + SEQ_OFFSET & MASK
        return end

    def from_client(self):
        """The client's end."""
        end = RawTcp(self.client, self.family.vip, self.port, sport=CPORT, isn=1000)
        end.seq, end.ack = 1500, 70001
        return end

    def goes_on(self, port=LPORT):
        """A reply comes first, and then a request."""
        server, client = self.from_server(port), self.from_client()
        server.send('PA', payload=b'push')
        got = client.expect(lambda p: p.payload_len, what='the reply')
        equal((got.payload, got.seq, got.ack), (b'push', 70001, 1500), 'reply')
        client.ack = got.seq + 4
        client.send('PA', payload=b'request')
        got = server.expect(lambda p: p.payload_len, what='the request')
        equal((got.payload, got.seq, got.ack), (b'request', 1500 + SEQ_OFFSET & MASK, 70005),
              'request')
        return got


def unreachable(family, client, vip):
    """The ICMP error of a client that nobody listens, about a reply of the service."""
    protocol, kind, code = UNREACHABLE[family]
    reply = struct.pack('!HHIIBBHHH', PORT, CPORT, 70001, 1500, 5 << 4, 0x10, 65535, 0, 0)
    body = struct.pack('!BBHI', kind, code, 0, 0) + make_packet(vip, client, reply)
    pair = socket.inet_pton(family.af, client) + socket.inet_pton(family.af, vip)
    pseudo = pair + struct.pack('!II', len(body), protocol) if family is V6 else b''
    body = body[:2] + struct.pack('!H', pcap.checksum(pseudo + body)) + body[4:]
    if family is V6:
        return struct.pack('!IHBB', 6 << 28, len(body), protocol, 64) + pair + body
    head = struct.pack('!BBHHHBBH', 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0) + pair
    return head[:10] + struct.pack('!H', pcap.checksum(head)) + head[12:] + body


def state(t):
    """{state: seconds} of ip_vs's connections."""
    return dict(observe.timeouts(t.lb))


@each(FAMILIES)
def test_accepted(t, family):
    """A record makes the connection with its numbers; the reply comes first. With the server's
    FIN ip_vs's own state follows."""
    backup = Backup(t, family)
    backup.serve()
    backup.tell(backup.conn(backup.record()), counter='sync_accepted')
    equal(observe.laddr(t.lb, family.lip)['conns'], 1, 'ports held')
    backup.goes_on()
    server = backup.from_server()
    server.seq = 70005
    server.send('FA')
    backup.from_client().expect(lambda p: 'F' in p.flags, what='the FIN')
    until(lambda: 'FIN_WAIT' in state(t), what=f'FIN_WAIT: {state(t)}')
    equal(observe.drops(t.lb), {}, 'drops')
    equal(t.lb.fullnat_stats()['sync_taken_over'], 1, 'sync_taken_over')


def refusals(backup):
    """(counter, the connection as a message tells of it) for all that is no good."""
    good = backup.record()
    broken = good.words()
    broken[3] ^= 1
    yield 'version', backup.conn(backup.record(version=2))
    yield 'malformed', backup.conn(backup.record(port=0))
    yield 'half_open', backup.conn(backup.record(flags=0))
    yield 'no_laddr', backup.conn(Record(backup.family.host(55), LPORT))
    yield 'no_record', backup.conn()
    conn = backup.conn(good)
    conn.words = broken
    yield 'malformed', conn


@each(FAMILIES)
def test_refused(t, family):
    """What is no good is counted by its reason. Packets of such a connection are dropped, they
    never leave for the server, neither as plain NAT nor with another LIP; its SYN begins anew."""
    backup = Backup(t, family)
    backup.serve()
    capture = t.rs1.capture(expression=f'host {backup.server.address} and tcp')
    for number, (reason, conn) in enumerate(refusals(backup)):
        conn.client = (conn.client[0], CPORT + number)
        backup.tell(conn, counter=f'sync_refused_{reason}')
        end = RawTcp(backup.client, family.vip, PORT, sport=conn.client[1])
        end.send('PA', payload=b'lost', ack=70001)
        until(lambda n=number: t.lb.fullnat_stats()['drop_sync_refused'] == n + 1, what='dropped')
    equal(observe.drops(t.lb), {'drop_sync_refused': 6}, 'drops')
    equal(capture.packets(), [], 'what the server got')
    end = RawTcp(backup.client, family.vip, PORT, sport=CPORT)
    end.send('S')
    until(lambda: backup.server.receive(1), what='the new SYN')
    equal(t.lb.fullnat_stats()['conns'], 1, 'conns')


@each(FAMILIES)
def test_declared_later(t, family):
    """A LIP that is declared after the record came: the connection is claimed all the same."""
    backup = Backup(t, family)
    service = backup.serve(lips=())
    backup.tell(backup.conn(backup.record()), counter='sync_refused_no_laddr')
    t.add_lip(family.lip)
    t.lb.run(f'ipvsadm -P {service} -z {family.lip}')
    until(lambda: t.lb.fullnat_stats()['sync_accepted'] == 1, 20, 'accepted')
    equal(t.lb.fullnat_stats()['sync_refused_no_laddr'], 1, 'counted once')
    backup.goes_on()


@each(FAMILIES)
def test_service_later(t, family):
    """The service comes after the connection, as keepalived adds it: with masquerading. ip_vs
    binds the connection with the next message; it goes on, with state, timer and ICMP."""
    backup = Backup(t, family)
    t.add_lip(family.lip)
    t.lb.run(f'ipvsadm -P -z {family.lip}')
    conn = backup.conn(backup.record(), flags=F_MASQ)
    backup.tell(conn, counter='sync_accepted')
    service = family.service(PORT)
    t.lb.run(f'ipvsadm -A {service} -s rr --fullnat')
    t.lb.run(f'/usr/sbin/ipvsadm -a {service} -r {address_port(backup.server.address, PORT)} -m')
    backup.tell(conn)
    until(lambda: t.lb.run('ipvsadm -Ln').out.split()[-2:] == ['1', '0'], what='it is bound')
    backup.goes_on()
    server = backup.from_server()
    server.seq = 70005
    server.send('FA')
    backup.from_client().expect(lambda p: 'F' in p.flags, what='the FIN')
    until(lambda: 'FIN_WAIT' in state(t), what='FIN_WAIT')
    backup.client.send(unreachable(family, family.raw_client, family.vip))
    error = until(lambda: (got := backup.server.receive(1)) and got.proto != pcap.TCP and got,
                  what='the error')
    equal((error.proto, error.src), (UNREACHABLE[family][0], family.lip), 'the error')
    equal(t.lb.fullnat_stats()['icmp_to_rs'], 1, 'icmp_to_rs')
    equal(observe.drops(t.lb), {}, 'drops')


@each(FAMILIES)
def test_kill_without_service(t, family):
    """The backup has no service yet: `--kill` knows the connection by its protocol, VIP and port,
    and ends no other one."""
    backup = Backup(t, family)
    t.add_lip(family.lip)
    t.lb.run(f'ipvsadm -P -z {family.lip}')
    backup.tell(backup.conn(backup.record()), counter='sync_accepted')
    name = family.service(PORT)
    other_vip = family.service(PORT, family.vip.replace('80', '81'))
    for other in (name.replace('-t', '-u'), family.service(PORT + 1), other_vip,
                  family.fwmark(7)):
        equal(t.lb.run(f'ipvsadm --kill {other}').out, '0 connections ended\n', other)
    equal(t.lb.run(f'ipvsadm --kill {name}').out, '1 connection ended\n', name)
    equal(t.lb.fullnat_stats()['conns_ended'], 1, 'conns_ended')


@each(FAMILIES)
def test_port_moves(t, family):
    """Records in their order: the same connection at another port; its port at another client;
    closed there. Always the newest holds."""
    backup = Backup(t, family)
    backup.serve()
    backup.tell(backup.conn(backup.record()), counter='sync_accepted')
    moved = backup.conn(backup.record(port=LPORT + 1))
    backup.tell(moved, counter='sync_replaced')
    equal(observe.laddr(t.lb, family.lip)['conns'], 1, 'ports held')
    backup.goes_on(LPORT + 1)
    other = backup.conn(backup.record(port=LPORT))
    other.client = (family.client2, CPORT)
    backup.tell(other, counter='sync_accepted')
    other.client = (family.client2, CPORT + 1)
    backup.tell(other, counter='sync_accepted')
    equal(observe.laddr(t.lb, family.lip)['conns'], 2, 'ports held')


def owners(t):
    """{local port: port of the client} of all connections that have one."""
    said = t.lb.run('ipvsadm -Lcn --fullnat').out
    return {int(lport): int(cport) for cport, lport in
            re.findall(r'^TCP +\S+ +\S+ +\S+:(\d+) +\S+ +\S+:(\d+) +\S+$', said, re.M)}


@each(FAMILIES)
def test_newer_record_has_the_port(t, family):
    """Twelve connections, and twelve others that got their ports on the master later, are all
    refused: their LIP is declared last. Whichever is tried again first, the newer ones have the
    ports, and what the server sends goes to them."""
    backup = Backup(t, family)
    service = backup.serve(lips=())
    for first in (CPORT, CPORT + PAIRS):
        conns = [backup.conn(backup.record(port=LPORT + number)) for number in range(PAIRS)]
        for number, conn in enumerate(conns):
            conn.client = (conn.client[0], first + number)
        backup.tell(*conns, counter='sync_refused_no_laddr', more=PAIRS)
    t.add_lip(family.lip)
    t.lb.run(f'ipvsadm -P {service} -z {family.lip}')
    newer = {LPORT + number: CPORT + PAIRS + number for number in range(PAIRS)}
    until(lambda: owners(t) == newer, 20, 'the newer ones have the ports')
    client = backup.from_client()
    for port, client.sport in newer.items():
        backup.from_server(port).send('PA', payload=b'push')
        client.expect(lambda p: p.payload == b'push', what=f'what comes through port {port}')
    equal(observe.drops(t.lb), {}, 'drops')
    equal(observe.laddr(t.lb, family.lip)['conns'], PAIRS, 'ports held')


def test_overtaken_by_the_newer(t):
    """The last message of a connection that has closed comes after the first one of the one that
    got its port."""
    backup = Backup(t, V4)
    backup.serve()
    backup.tell(backup.conn(backup.record()), counter='sync_accepted')
    older = backup.conn(backup.record(), state=TIME_WAIT)
    older.client = (V4.client2, CPORT)
    backup.tell(older, counter='sync_refused_conflict')
    equal(owners(t), {LPORT: CPORT}, 'who has the port')
    backup.goes_on()


@each(FAMILIES)
def test_server_is_a_client(t, family):
    """The VIP is a LIP as well, and the real server a client of it, from its service's port to
    the very port that a connection to it holds. A third one that claims that port takes it from
    neither."""
    backup = Backup(t, family)
    service = backup.serve()
    t.lb.run(f'ipvsadm -P {service} -z {address_port(family.vip, f"{PORT}-{PORT}")}')
    record = Record(family.vip, PORT)
    backup.tell(backup.conn(record), counter='sync_accepted')
    client = backup.conn(backup.record())
    client.client = client.server
    backup.tell(client, counter='sync_accepted')
    before = owners(t)
    equal(before, {PORT: CPORT, LPORT: PORT}, 'who has the ports')
    third = backup.conn(record)
    third.client = (family.client2, CPORT + 1)
    backup.tell(third, counter='sync_refused_conflict')
    equal(owners(t), before, 'who has the ports afterwards')


@each(FAMILIES)
def test_conflict(t, family):
    """A connection that this LB carries itself keeps its port and its numbers, whatever others
    say."""
    backup = Backup(t, family)
    backup.serve()
    client = RawTcp(backup.client, family.vip, PORT, sport=CPORT)
    client.send('S')
    syn = until(lambda: backup.server.receive(1), what='the SYN')
    server = RawTcp(backup.server, *syn.source, sport=PORT)
    server.ack = syn.seq + 1 & MASK
    server.send('SA')
    client.synack(client.expect(lambda p: p.flags == 'SA', what='SYN-ACK'))
    client.send('PA', payload=b'one')
    server.expect(lambda p: p.payload == b'one', what='data')
    other = backup.conn(backup.record(port=syn.source[1]))
    other.client = (family.client2, CPORT)
    backup.tell(other, counter='sync_refused_conflict')
    backup.tell(backup.conn(backup.record()), counter='sync_refused_conflict')
    client.send('PA', payload=b'two')
    server.expect(lambda p: p.payload == b'two', what='more data')
    equal(observe.laddr(t.lb, family.lip)['conns'], 1, 'ports held')


@each(FAMILIES)
def test_udp(t, family):
    """UDP: accepted with its port; and refused, dropped, and then begun anew by its client."""
    backup = Backup(t, family)
    udp_service(t, family, PORT, servers=(family.rs1,))
    server = t.rs1.socket(family.af, socket.SOCK_DGRAM)
    server.bind((family.rs1, PORT))
    client = t.client.socket(family.af, socket.SOCK_DGRAM)
    client.bind((family.client, CPORT))
    for sock in (server, client):
        sock.settimeout(20)
    conn = Conn((family.client, CPORT), (family.vip, PORT), (family.rs1, PORT),
                backup.record(flags=ANSWERED).words(), socket.IPPROTO_UDP, 0)
    backup.tell(conn, counter='sync_accepted')
    server.sendto(b'news', (family.lip, LPORT))
    equal(client.recv(100), b'news', 'a reply comes first')
    client.sendto(b'thanks', (family.vip, PORT))
    equal(server.recvfrom(100)[1][:2], (family.lip, LPORT), 'who thanks')
    conn.client = (family.client, CPORT + 1)
    conn.words = Record(family.host(55), LPORT).words()
    backup.tell(conn, counter='sync_refused_no_laddr')
    late = t.client.socket(family.af, socket.SOCK_DGRAM)
    late.bind((family.client, CPORT + 1))
    late.sendto(b'refused', (family.vip, PORT))
    until(lambda: t.lb.fullnat_stats()['drop_sync_refused'] == 1, what='dropped')
    until(lambda: late.sendto(b'anew', (family.vip, PORT)) and t.lb.fullnat_stats()['conns'] == 1,
          what='begun anew')
    equal(server.recvfrom(100)[0], b'anew', 'what the server gets')


def port_is_kept(link):
    """Is the only connection one that does not give up its port if another one needs it?"""
    message, = link.dump(nl.GET_CONN).messages
    conn = nl.attributes(nl.attributes(message[4:])[nl.CONN])
    return conn[nl.CONN_FLAGS] == bytes(4)


@each(FAMILIES)
def test_udp_subscription(t, family):
    """That an answered question has become a conversation is told by a later record: its port is
    its own from then on, also while only the server speaks, and ports are few."""
    backup = Backup(t, family)
    udp_service(t, family, PORT, servers=(family.rs1,), lip_ports=f'{LPORT}-{LPORT + 3}')
    server = t.rs1.socket(family.af, socket.SOCK_DGRAM)
    server.bind((family.rs1, PORT))
    server.settimeout(20)
    conn = Conn((family.client, CPORT), (family.vip, PORT), (family.rs1, PORT),
                backup.record(flags=ANSWERED).words(), socket.IPPROTO_UDP, 0)
    backup.tell(conn, counter='sync_accepted')
    conn.words = backup.record(flags=ANSWERED | STREAM).words()
    backup.tell(conn)
    link = nl.Genetlink(t.lb, 'IPVS_FULLNAT')
    until(lambda: port_is_kept(link), 20, 'the port is its own')
    with udp_socket(t.client, family, port=CPORT) as subscriber:
        for number in range(8):
            server.sendto(b'news', (family.lip, LPORT))
            equal(subscriber.recv(100), b'news', 'what the subscriber gets')
            with udp_socket(t.client, family) as other:
                other.sendto(b'question', (family.vip, PORT))
                _, peer = server.recvfrom(100)
                check(peer[1] != LPORT, f'number {number} has the subscriber\'s port')
                server.sendto(b'answer', peer)
                equal(other.recv(100), b'answer', 'what the others get')
    link.sock.close()


def test_flood(t):
    """3000 connections of random records, and 2000 messages of garbage: nothing is taken for a
    record, the module goes on and forgets them."""
    backup = Backup(t, V4)
    backup.serve()
    dice = random.Random(5)
    for number in range(0, 3000, 20):
        conns = []
        for one in range(number, number + 20):
            conn = backup.conn(timeout=5)
            conn.client = ('198.18.0.1', 1000 + one)
            conn.words = [dice.getrandbits(32) for _ in range(6)]
            conns.append(conn)
        backup.tell(*conns)
        if number % 500 == 480:         # so many fit into the daemon's buffer
            until(lambda n=number: t.lb.fullnat_stats()['sync_refused_malformed'] == n + 20,
                  30, 'all are refused')
    good = message([backup.conn(backup.record(), timeout=1)] * 3)
    for _ in range(2000):
        data = bytearray(good)
        for _ in range(dice.randrange(1, 6)):
            data[dice.randrange(8, len(data))] = dice.getrandbits(8)
        backup.master.send(bytes(data[:dice.randrange(1, len(data) + 1)])
                           if dice.random() < 0.3 else bytes(data))
    backup.tell(backup.conn(backup.record(port=LPORT + 5)))
    until(lambda: observe.laddr(t.lb, V4.lip)['conns'] >= 1, 20, 'a good one is accepted')
    until(lambda: len(t.lb.proc_net('ip_vs_conn').splitlines()) < 1000, 60, 'they expire')


def test_exit(t):
    """The namespace goes while records wait, are refused and are claimed; and the module after
    it."""
    backup = Backup(t, V4)
    backup.serve()
    for number in range(0, 1000, 20):
        conns = []
        for one in range(number, number + 20):
            record = backup.record(port=2000 + one, version=1 + one % 2)
            conn = backup.conn(record)
            conn.client = ('198.18.0.1', 1000 + one)
            conns.append(conn)
        backup.master.tell(*conns)
    until(lambda: t.lb.fullnat_stats()['sync_accepted'], what='some are accepted')
    run('ip netns del lb')
    until(lambda: run('rmmod ip_vs_fullnat', check=False).rc == 0, what='rmmod')
