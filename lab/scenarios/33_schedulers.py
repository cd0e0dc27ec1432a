# SPDX-License-Identifier: GPL-2.0
"""What the stock ip_vs decides holds for FULLNAT: schedulers, weights, thresholds,
persistence, servers that go, client ports that come again.

Seen failing, each with a copy of the modules that was broken like this:

  the client's port in the TOA off by one: all of TCP but quiesced_during_handshake
  replies of UDP from the port after the VIP's: udp_drain_and_removal
  a flow whose conn is expiring still counts as a twin: quiesced_during_handshake
"""
import glob
import os
import re

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import observe
from lib.rawtcp import MSS, RawTcp
from lib.servers import says_and_closes
from lib.traffic import Chain, echo, greeted, reset
from lib.udp import UdpServer, ask_udp, udp_service, udp_socket

NO_SCHEDULERS = {'ftp', 'pe_sip'}

# Connections held open at once that rs1 (weight 3) and rs2 (weight 1) get. Two clients in turn
# make them.
SHARES = {
    'rr': (2, 2), 'lc': (2, 2),
    'wrr': (3, 1), 'wlc': (3, 1), 'sed': (3, 1), 'nq': (3, 1),
    'fo': (4, 0),           # all to the largest weight
    'ovf': (4, 2),          # to the next one when there are more than the weight says
}
# Which server is a hash's choice, or chance's: so many of them have how many clients
BY_CLIENT, BY_VIP, ANY = 'client', 'vip', 'any'
CHOICES = {'sh': BY_CLIENT, 'mh': BY_CLIENT, 'dh': BY_VIP, 'lblc': ANY, 'lblcr': ANY,
           'twos': ANY}


def schedulers():
    """Those that the kernel's package brings."""
    names = glob.glob(f'/lib/modules/{os.uname().release}/kernel/net/netfilter/ipvs/ip_vs_*.ko*')
    found = {re.search(r'ip_vs_(\w+)\.ko', name)[1] for name in names} - NO_SCHEDULERS
    check({'rr', 'wlc', 'mh'} <= found, f'schedulers in the package: {found}')
    return sorted(found)


def check_choice(name, visits):
    """Where the connections of a scheduler went, by client and server."""
    servers = {client: {visit.server for visit in visits if visit.own[0] == client}
               for client in {visit.own[0] for visit in visits}}
    if CHOICES[name] in (BY_CLIENT, BY_VIP):
        equal([len(some) for some in servers.values()], [1, 1], f'{name}: servers per client')
    if CHOICES[name] == BY_VIP:
        equal(len(set.union(*servers.values())), 1, f'{name}: servers')


def declare(t, family, ports):
    """A service of each scheduler at the port that `ports` says."""
    run('modprobe toa')
    t.add_lip(family.lip)
    rules = [f'-P -z {family.lip}']
    for name, port in ports.items():
        service = family.service(port)
        rules.append(f'-A {service} -s {name} --fullnat')
        rules += [f'-a {service} -r {address_port(server, port)} -w {weight}'
                  for server, weight in zip(family.servers, (3, 1))]
    t.lb.run('ipvsadm -R', stdin='\n'.join(rules) + '\n')


def test_every_scheduler(t, family):
    """Each scheduler that the kernel has shares connections out as it does for NAT."""
    ports = {name: port for port, name in enumerate(schedulers(), 8000)}
    declare(t, family, ports)
    chain = Chain(t, *ports.values(), family=family)
    held = []
    for name, port in ports.items():
        visits = [chain.open(family.vip, port,
                             source=(family.client, family.client2)[number % 2])
                  for number in range(sum(SHARES.get(name, (2, 2))))]
        held += visits
        if name in SHARES:
            equal(tuple(sum(visit.server is server for visit in visits)
                        for server in t.servers), SHARES[name], f'{name}: rs1, rs2')
        else:
            check_choice(name, visits)
    for visit in held:
        reset(visit.sock)
    chain.check()


def edit(t, service, server, options):
    """Change a destination in place."""
    t.lb.run(f'ipvsadm -e {service} -r {address_port(server, 8000)} {options}')


def test_weights_and_drain(t, family):
    """Weights changed under traffic count at once; with weight 0 a server gets no new
    connections and keeps the old ones; it stays a FULLNAT destination all the time."""
    service = t.fullnat(8000, family=family, scheduler='wrr')
    chain = Chain(t, 8000, family=family)
    held = [chain.open(family.vip, 8000) for _ in range(4)]
    edit(t, service, family.servers[0], '-w 3')
    equal(chain.visits(family.vip, (8000,), 8), [6, 2], 'connections at weights 3, 1')
    edit(t, service, family.servers[0], '-w 0')
    equal(chain.visits(family.vip, (8000,), 6), [0, 6], 'connections at weights 0, 1')
    equal([visit.server for visit in held].count(t.rs1), 2, 'connections held at rs1')
    for visit in held:
        echo(visit.sock, os.urandom(20000))
    edit(t, service, family.servers[0], '-w 1')
    equal(chain.visits(family.vip, (8000,), 6), [3, 3], 'connections at weights 1, 1')
    equal(t.lb.run('ipvsadm -Ln').out.count('FullNat'), 2, 'FULLNAT destinations')
    for visit in held:
        echo(visit.sock)
    chain.check()


def refused(t, family):
    """Is a new connection refused? Anything else but a greeting raises."""
    try:
        sock = t.client.connect(family.vip, 8000)
    except ConnectionRefusedError:
        return True
    greeted(sock)
    return False


def conns(lb):
    """How many connections ip_vs has."""
    return len(lb.proc_net('ip_vs_conn').splitlines()) - 1


def templates(lb):
    """How many of them are templates of persistence: they are of no client port."""
    return sum(line.split()[2] == '0000'
               for line in lb.proc_net('ip_vs_conn').splitlines()[1:])


def test_thresholds(t, family):
    """-x is the most connections that a server gets. When all have theirs a client is refused,
    as by stock NAT; a server is open again when it has fewer than -y."""
    service = t.fullnat(8000, family=family)
    t.lb.sysctl('net.ipv4.vs.fullnat_timeout_close', 1)
    edit(t, service, family.servers[0], '-x 2 -y 1')
    edit(t, service, family.servers[1], '-x 4')
    chain = Chain(t, 8000, family=family)
    held = [chain.open(family.vip, 8000) for _ in range(6)]
    equal(chain.connections(), [2, 4], 'connections')
    check(refused(t, family), 'not refused with all servers full')
    first, second = [visit for visit in held if visit.server is t.rs1]
    reset(first.sock)
    until(lambda: conns(t.lb) == 5, what='one connection less')
    check(refused(t, family), 'not refused with as many connections as -y says')
    reset(second.sock)
    # refused as long as the second has not expired
    equal(until(lambda: chain.ask(family.vip, 8000), what='a server is open again'), t.rs1,
          'the server that is open again')
    chain.check()


def test_persistence(t, family):
    """A client meets the same server again, whatever its port and the LIP."""
    lips = (family.lip, family.lip2)
    t.fullnat(8000, family=family, lips=lips, service_options='-p 300')
    chain = Chain(t, 8000, family=family)
    equal(sorted((chain.visits(family.vip, (8000,), 10, source=family.client),
                  chain.visits(family.vip, (8000,), 10, source=family.client2))),
          [[0, 10], [10, 0]], 'connections per client')
    equal(templates(t.lb), 2, 'templates')
    seen = {lip for packets in chain.check() for lip, _ in observe.connections(packets)}
    equal(seen, set(lips), 'local addresses')


def test_persistence_expires(t, family):
    """When a template has expired its client is scheduled anew."""
    t.fullnat(8000, family=family, service_options='-p 3')
    t.lb.sysctl('net.ipv4.vs.fullnat_timeout_close', 1)
    chain = Chain(t, 8000, family=family)
    before = []
    for client in (family.client, family.client2):
        visit = chain.open(family.vip, 8000, source=client)
        before.append(visit.server)
        reset(visit.sock)
    # a template that meets a live connection when it expires waits for another minute
    until(lambda: not templates(t.lb), 80, 'no template is left')
    after = [chain.ask(family.vip, 8000, source=client)
             for client in (family.client2, family.client)]
    equal(after, before, 'servers of the second and the first client, in the order of rr')
    chain.check()


def test_quiescent_template(t, family):
    """Persistence to a server of weight 0 goes on, or, with expire_quiescent_template, ends."""
    service = t.fullnat(8000, family=family, service_options='-p 300')
    chain = Chain(t, 8000, family=family)
    server = chain.ask(family.vip, 8000)
    other = t.servers[server is t.rs1]
    edit(t, service, family.servers[server is t.rs2], '-w 0')
    equal([chain.ask(family.vip, 8000) for _ in range(3)], [server] * 3, 'servers')
    t.lb.sysctl('net.ipv4.vs.expire_quiescent_template', 1)
    equal([chain.ask(family.vip, 8000) for _ in range(3)], [other] * 3,
          'servers with expire_quiescent_template')
    chain.check()


def test_server_removed_and_back(t, family):
    """A destination is removed: what it had waits and goes on when it is back, the others
    notice nothing, and it gets nothing new."""
    service = t.fullnat(8000, family=family)
    chain = Chain(t, 8000, family=family)
    held = {visit.server: visit.sock for visit in (chain.open(family.vip, 8000)
                                                   for _ in range(2))}
    destination = f'{service} -r {address_port(family.servers[0], 8000)}'
    t.lb.run(f'ipvsadm -d {destination}')
    sent_again = observe.tcp_counters(t.client)['RetransSegs']
    held[t.rs1].sendall(b'patience')
    equal(chain.visits(family.vip, (8000,), 4), [0, 4], 'new connections')
    echo(held[t.rs2], os.urandom(20000))
    until(lambda: observe.tcp_counters(t.client)['RetransSegs'] > sent_again,
          what='the client sends again')
    t.lb.run(f'ipvsadm -a {destination}')
    equal(read_until(held[t.rs1], 8), b'patience', 'what had to wait')
    equal(chain.visits(family.vip, (8000,), 4), [2, 2], 'new connections')
    chain.check()


def test_expire_nodest_conn(t, family):
    """With expire_nodest_conn the connections of a removed destination end at once: both ends
    are told by an RST, flows and ports are free, and the client's port may come again."""
    service = t.fullnat(8000, family=family)
    t.lb.sysctl('net.ipv4.vs.expire_nodest_conn', 1)
    chain = Chain(t, 8000, family=family)
    held = {visit.server: visit for visit in (chain.open(family.vip, 8000) for _ in range(2))}
    t.lb.run(f'ipvsadm -d {service} -r {address_port(family.servers[0], 8000)}')
    try:
        raise Failure(f'received {held[t.rs1].sock.recv(1)} from a server that is gone')
    except ConnectionResetError:
        pass
    until(lambda: [type(error) for error in chain.listening[t.rs1][0].errors]
          == [ConnectionResetError], what='the server\'s socket is reset')
    equal(conns(t.lb), 1, 'connections left')
    equal(observe.laddr(t.lb, family.lip)['conns'], 1, 'ports held')
    equal(chain.visits(family.vip, (8000,), 4), [0, 4], 'new connections')
    echo(held[t.rs2].sock, os.urandom(20000))
    # the same client port again: a connection like any other
    client, port = held[t.rs1].own
    equal(chain.ask(family.vip, 8000, source=client, source_port=port), t.rs2, 'server')
    chain.check_clients()


def converse(family, sock):
    """A question and its answer, three times."""
    for _ in range(3):
        equal(ask_udp(sock, (family.vip, 8000), b'abc'), b'cba', 'answer')


def conversations(t, family, servers):
    """A socket for each server that talks to it; the server of the first one."""
    found = {}
    for _ in servers:
        before = [len(server.peers) for server in servers]
        sock = udp_socket(t.client, family)
        converse(family, sock)
        more = [len(server.peers) - count for server, count in zip(servers, before)]
        found[more.index(3)] = sock
    equal(sorted(found), [0, 1], 'servers that have a conversation')
    return [found[number] for number in sorted(found)]


def check_newcomers(t, family, servers):
    """Others are served, by the second server."""
    before = [len(server.peers) for server in servers]
    for _ in range(3):
        with udp_socket(t.client, family) as sock:
            converse(family, sock)
    equal([len(server.peers) - count for server, count in zip(servers, before)], [0, 9],
          'datagrams of newcomers')


def test_udp_drain_and_removal(t, family):
    """Conversations over UDP: with weight 0 a server keeps those it has. Of one that is removed
    they stand still until it is back; with expire_nodest_conn its ports are free, and the next
    datagram goes to another server."""
    service = udp_service(t, family, 8000)
    servers = [UdpServer(host, 8000, family) for host in t.servers]
    first, second = conversations(t, family, servers)
    mine = servers[0].peers[-1]
    edit(t, service, family.rs1, '-w 0')
    check_newcomers(t, family, servers)
    converse(family, first)

    destination = f'{service} -r {address_port(family.rs1, 8000)}'
    t.lb.run(f'ipvsadm -d {destination}')
    first.sendto(b'nobody gets it', (family.vip, 8000))
    converse(family, second)
    check_newcomers(t, family, servers)
    t.lb.run(f'ipvsadm -a {destination}')
    converse(family, first)
    equal(servers[0].peers, [mine] * 9, 'datagrams of the conversation')

    t.lb.sysctl('net.ipv4.vs.expire_nodest_conn', 1)
    held = observe.laddr(t.lb, family.lip)['conns']
    t.lb.run(f'ipvsadm -d {destination}')
    until(lambda: observe.laddr(t.lb, family.lip)['conns'] == held - 1, what='its port is free')
    converse(family, first)
    equal(len(servers[0].peers), 9, 'datagrams at the server that is gone')
    equal(observe.drops(t.lb), {}, 'drops')


def same_port_again(t, family, chain, port, times):
    """Connections from one client port, each as soon as the client's end of the last is gone."""
    for _ in range(times):
        visit = chain.open(family.vip, port, source=family.client, source_port=45000)
        with visit.sock as sock:
            equal(sock.recv(1), b'', 'after the greeting')
        until(lambda: f':{45000:04X} ' not in t.client.proc_net('tcp') +
              t.client.proc_net('tcp6'), what='the client has no such socket')


def test_conn_reuse_mode(t, family):
    """The client's port comes again while the LB and the server are in TIME_WAIT: scheduled
    anew in mode 1, the same connection, server and LIP:port in mode 0; the SYN is never sent
    twice."""
    times = 6
    chain = Chain(t, 8000, 8001, family=family, handler=says_and_closes)
    wanted = {1: (times, 0, [3, 3]), 0: (1, times - 1, [0, times])}
    for mode, (conns_made, committed, visits) in wanted.items():
        t.fullnat(8000 + mode, family=family)
        t.lb.sysctl('net.ipv4.vs.conn_reuse_mode', mode)
        before, visited = t.lb.fullnat_stats(), chain.connections()
        same_port_again(t, family, chain, 8000 + mode, times)
        after = t.lb.fullnat_stats()
        equal(tuple(after[name] - before[name] for name in ('conns', 'syn_committed')),
              (conns_made, committed), f'mode {mode}: conns, syn_committed')
        equal(sorted(new - old for new, old in zip(chain.connections(), visited)), visits,
              f'mode {mode}: connections per server')
    chain.check_clients()
    equal(observe.tcp_counters(t.client)['TCPSynRetrans'], 0, 'SYNs sent again')


def test_quiesced_during_handshake(t, family):
    """With expire_nodest_conn a server is quiesced while it owes the SYN-ACK: the client's
    first retransmission already goes to another server."""
    service = t.fullnat(8000, family=family)
    t.lb.sysctl('net.ipv4.vs.expire_nodest_conn', 1)
    edit(t, service, family.servers[1], '-w 0')
    t.rs1.nft('''table inet deaf {
        chain in {
            type filter hook input priority filter
            tcp dport 8000 drop
        }
    }''')
    servers = [server.peer_server(8000, family=family.af) for server in t.servers]
    peer = RawTcp(family.raw(t), family.vip, 8000)
    peer.send('S', MSS, seq=peer.isn)
    until(lambda: t.lb.fullnat_stats()['conns'] == 1, what='the SYN has a connection')
    edit(t, service, family.servers[1], '-w 1')
    edit(t, service, family.servers[0], '-w 0')
    peer.send('S', MSS, seq=peer.isn)
    try:
        answer = peer.expect(lambda packet: packet.flags == 'SA', what='SYN-ACK')
    except Failure as failure:
        raise Failure(f'{failure}; drops: {observe.drops(t.lb)}') from failure
    peer.seq, peer.ack = answer.ack, answer.seq + 1
    peer.send('A')
    until(lambda: [server.clients for server in servers] == [[], [peer.own]],
          what='rs2 has accepted the client')
    equal(observe.drops(t.lb), {}, 'drops')
    equal(t.lb.fullnat_stats()['conns_without_toa'], 0, 'conns_without_toa')
    peer.reset()
