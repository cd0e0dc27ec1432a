# SPDX-License-Identifier: GPL-2.0
"""The client's address, always: whatever makes the connection at the real server, however full
the headers are, whatever connection had the tuple before.

Seen failing, each with a copy of the modules that was broken like this:

  no TOA on a packet with payload, nor on a SYN: fin_with_first_data, full_header, fast_open,
    fast_open_client, defer_accept, syn_cookies
  MPTCP and cookies not taken out of a SYN: mptcp
  ISNs and timestamps not rewritten: reuse_in_each_state
  the server not told of a half-open connection that expired: syn_after_expiry, whose second SYN
    got a challenge
  a FIN before the handshake's end left as TIME_WAIT: fin_before_handshake
  a SYN with the former connection's number taken for that one's: reuse_in_each_state
  a client's SYN-ACK passed on, with a toa that waits until the connection is established:
    syn_ack_with_data
  a pending SYN in the window of the one before: two_syns_at_once, and by chance
    reuse_in_each_state
"""
import socket
import struct
import threading

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import basics, observe
from lib.rawtcp import MSS, SACK_PERMITTED, WINDOW_SCALE, RawTcp, timestamps, toa
from lib.segments import full_payload

TS = timestamps(5000)
SYN_OPTIONS = MSS + SACK_PERMITTED + TS[2:] + b'\1' + WINDOW_SCALE     # as Linux has them
TAKES_DATA, WANTS_COOKIES = 0x602, 0x402        # of any listener: net.ipv4.tcp_fastopen
MPTCP, TFO, TIMESTAMPS = 30, 34, 8
IPPROTO_MPTCP = 262
MP_CAPABLE = bytes((MPTCP, 4, 0x01, 0x81))
COOKIE_REQUEST = bytes((1, 1, TFO, 2))
COOKIE = bytes((1, 1, TFO, 10)) + b'a cookie'


def served(t, family, port=8000, **options):
    """A FULLNAT service over rs1 alone, with a server there, and a capture of it."""
    family.fullnat(t, port)
    server = t.rs1.peer_server(port, family=family.af, **options)
    return server, t.rs1.capture()


class Gate:
    """Nobody is answered while it is closed: what a server sends before the SYN-ACK has passed the
    LB is taken there for a former connection's, and comes only when it is sent again."""

    def __init__(self, server):
        self.event = threading.Event()
        self.behind = server.handler
        server.handler = self.handler

    def handler(self, sock, seen):
        """The server's, when the gate is open."""
        check(self.event.wait(60 * basics.SCALE), 'the gate stays closed')
        self.behind(sock, seen)

    def syn(self, peer, *arguments):
        """peer.syn() with the gate closed; it is open afterwards."""
        self.event.clear()
        answer = peer.syn(*arguments)
        self.event.set()
        return answer


def check_all_named(t, server, capture, clients):
    """Applications, the wire, the LB's and toa's counters tell of these clients."""
    equal(server.clients, clients, 'clients')
    equal([seen.accepted for seen in server.seen], clients, 'clients, as accept() has them')
    packets, = observe.check_counters(t, len(clients), [capture])
    observe.check_one_toa_first(packets)
    return observe.check_accepting(packets, clients)


def test_fin_with_first_data(t, family):
    """The first data come together with the FIN; the ACK before them is there or lost; the
    packet is small, or so long that its TOA makes two of it: then the FIN is the second's."""
    server, capture = served(t, family, speaks_first=False)
    host = family.raw(t)
    clients = []
    for size in (3, full_payload(family, TS)):
        for ack_lost in (False, True):
            peer = RawTcp(host, family.vip, 8000)
            peer.syn(SYN_OPTIONS)
            if not ack_lost:
                peer.send('A', TS)
            peer.send('FPA', TS, b'x' * size)
            wanted = greeting(peer.own) + b'x' * size
            equal(peer.read(len(wanted)), wanted, f'{size} bytes, ACK lost: {ack_lost}')
            peer.expect(lambda p: 'F' in p.flags, what='the server\'s FIN')
            clients.append(peer.own)
    equal(t.lb.fullnat_stats()['toa_split'], 2, 'toa_split')
    for sent in check_all_named(t, server, capture, clients).values():
        data = [packet for packet in sent if packet.payload_len]
        equal([packet.toa for packet in data], [sent[-1].toa or data[0].toa] * len(data), 'TOAs')
        check('F' in data[-1].flags, f'the FIN is not with the last data: {data[-1]}')
        check(not any('F' in packet.flags for packet in data[:-1]), 'a FIN before the end')


def kinds(packet):
    """The kinds of the packet's options."""
    return [kind for kind, _ in packet.options]


def test_full_header(t, family):
    """All 40 bytes of options taken, by timestamps, SACK, MPTCP and an unknown one, on a SYN with
    data (Fast Open, whose cookie has to go anyway) or without, and on what follows: what must
    stay stays."""
    t.rs1.sysctl('net.ipv4.tcp_fastopen', TAKES_DATA)
    server, capture = served(t, family, speaks_first=False)
    gate = Gate(server)
    host = family.raw(t)
    full = TS + bytes((5, 10)) + bytes(8) + MP_CAPABLE + bytes((99, 14)) + bytes(12)
    clients = []
    for early in (b'early', b''):
        peer = RawTcp(host, family.vip, 8000)
        answer = gate.syn(peer, SYN_OPTIONS + COOKIE + MP_CAPABLE + bytes((99, 4, 0, 0)), early)
        equal(answer.ack, (peer.isn + 1 + len(early)) & 0xffffffff, 'acknowledged with the SYN')
        peer.send('A', full)
        peer.send('PA', full, b'late')
        wanted = greeting(peer.own) + early + b'late'
        equal(peer.read(len(wanted)), wanted, 'answer')
        peer.reset()
        clients.append(peer.own)
    for sent in check_all_named(t, server, capture, clients).values():
        check({2, 3, 4, TIMESTAMPS} <= set(kinds(sent[0])), f'options of the SYN: {sent[0]}')
        check(not any({MPTCP, TFO} & set(kinds(packet)) for packet in sent), 'MPTCP or TFO')
        check(all(p.timestamps for p in sent[:3]), f'no timestamps: {sent[1]}, {sent[2]}')
    check(t.lb.fullnat_stats()['toa_dropped_options'] >= 2, 'nothing had to give way')


def test_mptcp(t, family):
    """A real client that offers MPTCP talks TCP, to a server with MPTCP and to one without."""
    for port, protocol in ((8000, 0), (8001, IPPROTO_MPTCP)):
        family.fullnat(t, port)
        server = t.rs1.peer_server(port, family=family.af, protocol=protocol)
        capture, offered = t.rs1.capture(), t.client.capture()
        with t.client.socket(family.af, proto=IPPROTO_MPTCP) as sock:
            sock.settimeout(20)
            sock.connect((family.vip, port))
            own = sock.getsockname()[:2]
            sock.sendall(b'hello')
            wanted = greeting(own) + b'hello'
            equal(read_until(sock, len(wanted)), wanted, 'answer')
        equal(server.clients, [own], 'clients')
        syns = [packet for packet in offered.packets() if packet.flags == 'S']
        check(all(MPTCP in kinds(packet) for packet in syns), 'the client does not offer MPTCP')
        packets = capture.packets()
        equal([str(p) for p in packets if MPTCP in kinds(p)], [], 'MPTCP at the server')
        observe.check_accepting(packets, [own])
    equal(t.lb.fullnat_stats()['conns_without_toa'], 0, 'conns_without_toa')


def fast_open(t, family, gate, server_mode, cookie, accepted):
    """A raw SYN with data; the server takes the data or does not. Returns the client."""
    t.rs1.sysctl('net.ipv4.tcp_fastopen', server_mode)
    peer = RawTcp(family.raw(t), family.vip, 8000)
    answer = gate.syn(peer, SYN_OPTIONS + cookie, b'early')
    taken = (answer.ack - peer.isn - 1) & 0xffffffff
    equal(taken, 5 if accepted else 0, f'mode {server_mode:#x}, {cookie}: taken of the data')
    peer.send('A', TS, b'early'[taken:])
    wanted = greeting(peer.own) + b'early'
    equal(peer.read(len(wanted)), wanted, f'mode {server_mode:#x}, {cookie}: answer')
    peer.reset()
    return peer.own


def test_fast_open(t, family):
    """A SYN with data and no cookie, the wish for one, or a cookie, to a server that wants
    none and to one that does: taken at once or not, the client is known."""
    t.rs1.sysctl('net.ipv4.tcp_fastopen', TAKES_DATA)
    server, capture = served(t, family)
    gate = Gate(server)
    clients = [fast_open(t, family, gate, server_mode, cookie, accepted)
               for server_mode, accepted in ((TAKES_DATA, True), (WANTS_COOKIES, False))
               for cookie in (b'', COOKIE_REQUEST, COOKIE)]
    for sent in check_all_named(t, server, capture, clients).values():
        syn = sent[0]
        check(syn.toa and syn.payload == b'early', f'SYN with data: {syn}')
        check(TFO not in kinds(syn), f'a cookie that only the client\'s address fits: {syn}')


def test_fast_open_ack_damaged(t, family):
    """The server has spoken before the handshake's end, and does not get the client's ACK: it
    sends its SYN-ACK again, which comes to the client."""
    t.rs1.sysctl('net.ipv4.tcp_fastopen', TAKES_DATA)
    server, _ = served(t, family)
    gate = Gate(server)
    peer = RawTcp(family.raw(t), family.vip, 8000)
    gate.syn(peer, SYN_OPTIONS, b'early')
    wanted = greeting(peer.own) + b'early'
    peer.expect(lambda p: p.payload_len, what='data')
    peer.send('A', TS, damage=1)
    peer.expect(lambda p: p.flags == 'SA', what='the SYN-ACK once more')
    peer.send('A', TS)
    equal(peer.read(len(wanted)), wanted, 'answer')
    equal(server.clients, [peer.own], 'clients')
    equal(observe.drops(t.lb), {}, 'drops')


def test_fast_open_client(t, family):
    """A real client: without cookies its data travel in the SYN; with cookies it gets none and
    falls back."""
    t.rs1.sysctl('net.ipv4.tcp_fastopen', TAKES_DATA)
    server, capture = served(t, family)
    clients = []
    for client_mode, server_mode, in_syn in ((0x5, TAKES_DATA, True), (0x1, WANTS_COOKIES, False),
                                             (0x1, WANTS_COOKIES, False)):
        t.client.sysctl('net.ipv4.tcp_fastopen', client_mode)
        t.rs1.sysctl('net.ipv4.tcp_fastopen', server_mode)
        before = observe.tcp_counters(t.rs1)['TCPFastOpenPassive']
        with t.client.socket(family.af) as sock:
            # a socket with Python's timeout would not wait for the connection
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack('ll', 20, 0))
            sock.sendto(b'early', socket.MSG_FASTOPEN, (family.vip, 8000))
            sock.settimeout(20)
            clients.append(sock.getsockname()[:2])
            wanted = greeting(clients[-1]) + b'early'
            equal(read_until(sock, len(wanted)), wanted, 'answer')
        passive = observe.tcp_counters(t.rs1)['TCPFastOpenPassive'] - before
        equal(passive, int(in_syn), 'connections made by the SYN alone')
    check_all_named(t, server, capture, clients)


def test_defer_accept(t, family):
    """TCP_DEFER_ACCEPT: the server throws the handshake's ACK away; the data that make the
    connection carry the TOA, with the FIN as well."""
    server, capture = served(t, family, speaks_first=False,
                             options=((socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 20),))
    clients = []
    for number, half_close in enumerate((False, True)):
        with t.client.connect(family.vip, 8000) as sock:
            clients.append(sock.getsockname()[:2])
            until(lambda n=number: observe.tcp_counters(t.rs1)['TCPDeferAcceptDrop'] == n + 1,
                  what='the server has thrown the ACK away')
            equal(server.clients, clients[:-1], 'clients before the data')
            sock.sendall(b'data')
            if half_close:
                sock.shutdown(socket.SHUT_WR)
            wanted = greeting(clients[-1]) + b'data'
            equal(read_until(sock, len(wanted)), wanted, 'answer')
    check_all_named(t, server, capture, clients)


def test_syn_cookies(t, family):
    """SYN cookies forced on at the server, which knows nothing of the SYN when the ACK comes;
    with and without timestamps (which carry window scale and SACK), the ACK there or lost."""
    t.rs1.sysctl('net.ipv4.tcp_syncookies', 2)
    server, capture = served(t, family, speaks_first=False)
    host = family.raw(t)
    clients = []
    for with_timestamps in (True, False):
        t.client.sysctl('net.ipv4.tcp_timestamps', int(with_timestamps))
        own, answer = t.client.ask(family.vip, 8000, b'x')
        equal(answer, greeting(own) + b'x', 'answer')
        clients.append(own)
        for flags in ('PA', 'FPA'):
            peer = RawTcp(host, family.vip, 8000)
            answer = peer.syn(SYN_OPTIONS if with_timestamps else MSS)
            echo = timestamps(5001, answer.timestamps[0]) if with_timestamps else b''
            peer.send(flags, echo, b'lost ACK')
            wanted = greeting(peer.own) + b'lost ACK'
            equal(peer.read(len(wanted)), wanted, f'{flags}: answer')
            peer.reset()
            clients.append(peer.own)
    # more when this machine is so slow that a client sends again what is only on its way
    cookies = observe.tcp_counters(t.rs1)['SyncookiesRecv']
    check(cookies >= len(clients), f'{cookies} valid cookies of {len(clients)} clients')
    check_all_named(t, server, capture, clients)


def test_syn_after_expiry(t, family):
    """The half-open entry has expired when the SYN comes again: a new flow, through another
    port, or through the same one, at which the server has been told to forget the first."""
    service = family.fullnat(t)
    server = t.rs1.peer_server(8000, family=family.af)
    capture = t.rs1.capture()
    t.lb.sysctl('net.ipv4.vs.fullnat_timeout_close', 1)
    host = family.raw(t)
    clients = []
    for same_port in (False, True):
        if same_port:
            t.lb.run(f'ipvsadm -Q {service} -z {family.lip}; '
                     f'ipvsadm -P {service} -z {family.with_ports(30000, 30000)}')
        t.lb.sysctl('net.ipv4.vs.fullnat_timeout_synrecv', 1)
        first = RawTcp(host, family.vip, 8000)
        first.syn(SYN_OPTIONS)
        until(lambda: 'flows_all_namespaces 0\n' in t.lb.proc_net('ip_vs_fullnat'), what='expiry')
        t.lb.sysctl('net.ipv4.vs.fullnat_timeout_synrecv', 30)
        while host.receive(0.05):
            pass            # SYN-ACKs that were sent again before the expiry
        again = RawTcp(host, family.vip, 8000, sport=first.sport, isn=first.isn)
        again.begin_anew(SYN_OPTIONS, challenges=0)
        again.send('A', TS)
        equal(again.read(len(greeting(again.own))), greeting(again.own), 'greeting')
        again.send('PA', TS, b'x')
        equal(again.read(1), b'x', 'echo')
        again.reset()
        clients.append(again.own)
    equal(server.clients, clients, 'clients')
    stats = t.lb.fullnat_stats()
    equal((stats['conns_with_toa'], stats['conns_without_toa']), (2, 0),
          'conns_with_toa, conns_without_toa')
    named = [packet.toa for packet in capture.packets() if packet.toa]
    equal(named, clients, 'clients named on the wire')


def test_fin_before_handshake(t, family):
    """The client's FIN overtakes its last ACK of the handshake, and a copy of its SYN comes
    later still: one connection, which the server can answer whenever it likes."""
    told = threading.Event()

    def answers_when_told(sock, seen):
        told.wait(60)
        sock.sendall(greeting(seen.peername))

    server, capture = served(t, family, handler=answers_when_told)
    peer = RawTcp(family.raw(t), family.vip, 8000)
    peer.syn(SYN_OPTIONS)
    peer.send('FA', TS)
    peer.expect(lambda p: p.flags == 'A' and p.ack == peer.seq, what='the ACK of the FIN')
    equal([state for state, _ in observe.timeouts(t.lb)], ['CLOSE_WAIT'], 'state of ip_vs')
    peer.send('S', SYN_OPTIONS, seq=peer.isn)
    peer.expect(lambda p: p.flags == 'A', what='the ACK that answers the SYN')
    told.set()
    equal(peer.read(len(greeting(peer.own))), greeting(peer.own), 'answer')
    equal(t.lb.fullnat_stats()['conns'], 1, 'conns')
    check_all_named(t, server, capture, [peer.own])


def test_two_syns_at_once(t, family):
    """Another SYN in the same moment: the server refuses neither. It challenges the second one,
    the client's RST makes it forget the first, and the second sent again is answered."""
    server, capture = served(t, family)
    host = family.raw(t)
    clients = []
    for _ in range(5):
        old = RawTcp(host, family.vip, 8000)
        new = RawTcp(host, family.vip, 8000, sport=old.sport)
        old.send('S', SYN_OPTIONS, seq=old.isn)
        new.send('S', SYN_OPTIONS, seq=new.isn)
        answer = new.expect(lambda p: p.flags != 'SA', what='an answer to the second SYN')
        equal((answer.flags, answer.ack), ('A', (old.isn + 1) & 0xffffffff), 'answer')
        new.send('R', seq=answer.ack)
        new.begin_anew(SYN_OPTIONS, challenges=0, former=old)
        new.send('A', TS)
        wanted = greeting(new.own)
        equal(new.read(len(wanted)), wanted, 'greeting')
        new.reset()
        clients.append(new.own)
    equal(server.clients, clients, 'clients')
    refused = [str(p) for p in capture.packets() if p.src == family.rs1 and 'R' in p.flags]
    equal(refused, [], 'RSTs of the server')
    equal(t.lb.fullnat_stats()['conns_without_toa'], 0, 'conns_without_toa')


def test_syn_ack_with_data(t, family):
    """No client has a reason to send one. Of this the server would make a connection, and then
    drop it, with its TOA."""
    server, capture = served(t, family)
    peer = RawTcp(family.raw(t), family.vip, 8000)
    peer.syn(SYN_OPTIONS)
    peer.send('SA', TS, b'x', seq=peer.isn)
    peer.send('A', TS)
    wanted = greeting(peer.own)
    equal(peer.read(len(wanted)), wanted, 'greeting')
    equal(server.clients, [peer.own], 'clients')
    packets, = observe.check_counters(t, 1, [capture], {'drop_malformed': 1})
    observe.check_one_toa_first(packets)


def syn_recv(peer):
    """A SYN that is answered, and nothing more."""
    peer.syn(SYN_OPTIONS)


def established(peer):
    """A whole connection, at rest."""
    peer.connect(SYN_OPTIONS, TS)
    wanted = greeting(peer.own)
    equal(peer.read(len(wanted)), wanted, 'greeting of the first connection')


def client_closes(peer):
    """The client's FIN, and the server's ACK of it."""
    peer.send('FA', TS)
    peer.expect(lambda p: p.flags == 'A' and p.ack == peer.seq, what='the ACK of the FIN')


def close_wait(peer):
    """The client has closed, the server has not."""
    established(peer)
    client_closes(peer)


def fin_wait(peer):
    """The server has closed, the client has not."""
    established(peer)
    peer.send('PA', TS, b'close')
    fin = peer.expect(lambda p: 'F' in p.flags, what='the server\'s FIN')
    peer.ack = (fin.seq + 1) & 0xffffffff
    peer.send('A', TS)


def time_wait(peer):
    """Both have closed, the server first."""
    fin_wait(peer)
    client_closes(peer)


def close(peer):
    """The client has reset it."""
    established(peer)
    peer.reset()


# LAST_ACK is missing: the table of ip_vs (tcp_states) has it for no connection whose replies
# it sees. The number: how many ACKs of the former connection may answer the SYN.
STATES = {syn_recv: 1, established: 1, close_wait: 1, fin_wait: 1, time_wait: 0, close: 0}


def greets_and_closes_when_told(sock, seen):
    """A server that says FIN when it is told to, and only then."""
    sock.sendall(greeting(seen.peername))
    while True:
        data = sock.recv(100)
        if data == b'close':
            sock.shutdown(socket.SHUT_WR)
        elif data:
            sock.sendall(data)
        else:
            break
    until(lambda: False, 1000, 'the end of the scenario')


def reuse(t, family, host, state, distance):
    """A connection in this state, then another one of the same tuple, whose ISN and timestamps
    are so far from the first's, and which forges a TOA. Returns the client."""
    old = RawTcp(host, family.vip, 8000)
    state(old)
    name = state.__name__.upper()
    until(lambda: observe.ipvs_state(t.lb, old.sport) == name, what=f'ip_vs says {name}')
    new = RawTcp(host, family.vip, 8000, sport=old.sport, isn=(old.isn + distance) & 0xffffffff)
    stamp = timestamps(5000 + distance)
    syn_options = MSS + SACK_PERMITTED + stamp + WINDOW_SCALE
    wanted = STATES[state] if distance or state is not syn_recv else 0
    challenges = new.begin_anew(syn_options, wanted, old)
    check(challenges == wanted, f'{name}: {challenges} ACKs of the former connection')
    new.send('A', stamp + toa(family.kinds[0], family.forged, 6666))
    wanted = greeting(new.own)
    equal(new.read(len(wanted)), wanted, f'{name}: greeting of the second connection')
    new.send('PA', stamp, b'new')
    equal(new.read(3), b'new', f'{name}: echo')
    new.reset()
    return new.own


@limit(270)
def test_reuse_in_each_state(t, family):
    """A new SYN on a tuple whose connection is in any state, with a number and a time behind
    the first's, the same, or ahead, for both conn_reuse_modes: a new connection with its own
    TOA, without detour where the first one is over."""
    server, capture = served(t, family, handler=greets_and_closes_when_told)
    host = family.raw(t)
    wanted = []
    for mode in (0, 1):
        t.lb.sysctl('net.ipv4.vs.conn_reuse_mode', mode)
        for state in STATES:
            for distance in (-(1 << 20), 0, 1 << 20):
                own = reuse(t, family, host, state, distance)
                wanted += [own] * (1 + (state is not syn_recv))
                equal(server.clients, wanted, f'clients, {state.__name__}, mode {mode}')
    stats = t.lb.fullnat_stats()
    equal((stats['conns_with_toa'], stats['conns_without_toa']), (len(wanted), 0),
          'conns_with_toa, conns_without_toa')
    equal(t.rs1.toa_stats()['stored'], len(wanted), 'stored by toa')
    packets = capture.packets()
    observe.check_one_toa_first(packets)
    first_data = [p for p in packets if p.dst == family.rs1 and p.payload == b'new']
    equal(len({p.source for p in first_data if p.toa}), 0, 'TOAs after the server has spoken')
