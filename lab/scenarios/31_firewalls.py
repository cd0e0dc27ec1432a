# SPDX-License-Identifier: GPL-2.0
"""Beside firewalls, conntrack, NAT and policy routing: what a rule forbids stays forbidden, all
else passes.

Seen failing with a copy of the modules that was broken like this:

  the client's port in the TOA off by one: all of TCP
  replies of UDP left to ip_vs, behind INPUT's rules: udp_default_drop
  what is neither TCP nor UDP dropped: sctp_beside
  no xfrm_lookup() of IPv6 routes: ipsec_v6

and conntrack_and_masquerade_beside_v6 with a LIP that the LB may talk from (no preferred_lft 0).
"""
import os
import socket
import time

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import observe
from lib.firewall import check_unnoticed, strict_nft
from lib.traffic import Chain, echo, greeted, reset
from lib.udp import UdpServer, ask_udp, udp_service, udp_socket

TOOLS = {'v4': ('iptables-nft', 'iptables-legacy'), 'v6': ('ip6tables-nft', 'ip6tables-legacy')}
FAST_TERM = 0.4     # seconds: how late a new rule may be for a connection that is open
FAR_CLIENT = {'v4': '192.0.2.1', 'v6': '2001:db8:d::1'}


class NftBlock:
    """A rule of nft that drops a source at INPUT."""

    def __init__(self, t, family, source):
        self.lb = t.lb
        self.lb.nft(f'''table inet block {{
            chain in {{
                type filter hook input priority filter
                {family.nft} saddr {source} drop
            }}
        }}''')

    def remove(self):
        """Take it away."""
        self.lb.run('nft delete table inet block')


class IptablesBlock:
    """The same by iptables."""

    def __init__(self, t, tool, source):
        self.lb, self.tool, self.rule = t.lb, tool, f'INPUT -s {source} -j DROP'
        self.lb.run(f'{tool} -I {self.rule}')

    def remove(self):
        """Take it away."""
        self.lb.run(f'{self.tool} -D {self.rule}')


def blocks(t, family):
    """The rule, by every tool; each is there from the moment when it is yielded."""
    yield NftBlock(t, family, family.client2)
    for tool in TOOLS[str(family)]:
        yield IptablesBlock(t, tool, family.client2)


def check_silence(t, sock, payload):
    """What we send does not arrive: it is sent again, and nothing comes back."""
    sent_again = observe.tcp_counters(t.client)['RetransSegs']
    sock.sendall(payload)
    until(lambda: observe.tcp_counters(t.client)['RetransSegs'] > sent_again,
          what='the client sends again')
    timeout = sock.gettimeout()
    sock.setblocking(False)
    try:
        raise Failure(f'came back: {sock.recv(100)}')
    except BlockingIOError:
        sock.settimeout(timeout)


def test_input_rule_drops_client(t, family):
    """A rule at INPUT that drops a client's source: no new connection from there, and what
    exists stands still until the rule is gone. Other clients do not notice."""
    t.fullnat(8000, family=family)
    chain = Chain(t, 8000, family=family)
    held = chain.open(family.vip, 8000, source=family.client2).sock
    for number, block in enumerate(blocks(t, family)):
        made = time.monotonic()
        until(lambda: time.monotonic() - made > FAST_TERM, what='no packet is fast any more')
        check_silence(t, held, b'blocked')
        done = t.client.run(f'nc -z -w 1 -s {family.client2} {family.vip} 8000', check=False)
        check(done.rc, f'connected through rule {number}')
        chain.ask(family.vip, 8000, source=family.client)
        block.remove()
        equal(read_until(held, 7), b'blocked', 'what was sent before the rule was gone')
        chain.ask(family.vip, 8000, source=family.client2)
    chain.check()


def strict_rules(family):
    """INPUT admits the VIP's port and nothing else; what is invalid is dropped everywhere."""
    invalid = '-m conntrack --ctstate INVALID -j DROP'
    return ([f'-t {table} -A {chain} {invalid}' for table, chain in (
                ('mangle', 'PREROUTING'), ('filter', 'INPUT'), ('filter', 'OUTPUT'),
                ('mangle', 'POSTROUTING'))]
            + [f'-A INPUT -d {family.vip} -p tcp --dport 8000 -j ACCEPT', '-P INPUT DROP']
            + (['-A INPUT -p icmpv6 -j ACCEPT'] if family is V6 else []))


def invalid_packets(t, tool):
    """How many the rules for invalid packets have dropped."""
    listed = ''.join(t.lb.run(f'{tool} -t {table} -vnxL').out for table in ('mangle', 'filter'))
    lines = [line.split() for line in listed.splitlines() if 'INVALID' in line]
    equal(len(lines), 4, f'rules for invalid packets of {tool}')
    return sum(int(line[0]) for line in lines)


def test_iptables_default_drop(t, family):
    """The usual rules of iptables, of both kinds: INPUT drops all but the VIP's port, and what
    conntrack calls invalid is dropped. No flow is harmed, however it ends."""
    t.fullnat(8000, family=family)
    chain = Chain(t, 8000, family=family)
    for tool in TOOLS[str(family)]:
        t.lb.run(' && '.join(f'{tool} {rule}' for rule in strict_rules(family)))
        for _ in range(4):
            chain.ask(family.vip, 8000, b'x' * 100000)
            visit = chain.open(family.vip, 8000)
            echo(visit.sock)
            reset(visit.sock)
        equal(invalid_packets(t, tool), 0, f'packets that {tool} calls invalid')
        equal(t.lb.run('conntrack -L 2>/dev/null').out, '', 'conntrack entries')
        t.lb.run(f'{tool} -P INPUT ACCEPT && {tool} -F && {tool} -t mangle -F')
    equal(observe.tcp_counters(t.client)['TCPSynRetrans'], 0, 'SYNs sent again')
    chain.check()


def test_udp_default_drop(t, family):
    """nft's strict rules, and datagrams of all sizes: neither they nor their fragments are
    harmed, nor known to conntrack. What a rule drops afterwards stands still."""
    udp_service(t, family, 8000, servers=(family.rs1,))
    t.lb.nft(strict_nft(family, 'udp'))
    server = UdpServer(t.rs1, 8000, family)
    where = family.vip, 8000
    with udp_socket(t.client, family) as sock, \
            udp_socket(t.client, family, source=family.client2) as blocked:
        for size in (1, 8192, 60000, 1):
            blob = os.urandom(size)
            for one in (sock, blocked):
                check(ask_udp(one, where, blob) == blob[::-1], f'{size} bytes')
        check_unnoticed(t)
        equal(len(set(server.peers)), 2, 'local ports')
        block = NftBlock(t, family, family.client2)
        made = time.monotonic()
        until(lambda: time.monotonic() - made > FAST_TERM, what='no packet is fast any more')
        before = len(server.peers)
        for size in (1, 8192):
            blocked.sendto(bytes(size), where)
        equal(ask_udp(sock, where, b'abc'), b'cba', 'answer of another client')
        equal(len(server.peers) - before, 1, 'datagrams that have arrived')
        block.remove()
        equal(ask_udp(blocked, where, b'abc'), b'cba', 'answer without the rule')
    equal(observe.drops(t.lb), {}, 'drops')


SCTP = 132


def sctp_talks(t, family):
    """A connection of SCTP that names its client. Returns it."""
    sock = t.client.socket(family.af, proto=SCTP)
    sock.settimeout(30)
    sock.bind((family.client, 0))
    sock.connect((family.vip, 8000))
    greeted(sock)
    echo(sock)
    return sock


def test_sctp_beside(t, family):
    """Stock NAT of SCTP at the same VIP and port, beside FULLNAT and after our module has gone:
    it is none of our business."""
    run('modprobe sctp')
    t.fullnat(8000, family=family, servers=(family.rs1,))
    nat = f'--sctp-service {address_port(family.vip, 8000)}'
    t.lb.run(f'ipvsadm -A {nat} -s rr && '
             f'ipvsadm -a {nat} -r {address_port(family.rs1, 8000)} -m')
    t.lb.forward()
    t.lb.sysctl('net.ipv4.vs.fullnat_timeout_close', 1)
    t.rs1.run(f'ip route add {family.client}/{family.host_length} via {family.lb_inner}')
    servers = [t.rs1.peer_server(8000, family=family.af, address=family.rs1, protocol=protocol)
               for protocol in (SCTP, 0)]
    held = sctp_talks(t, family)
    equal(t.lb.fullnat_stats()['conns'], 0, 'conns')
    with t.client.connect(family.vip, 8000, source=family.client) as sock:
        greeted(sock)
        echo(sock)
        echo(held)
        stats = t.lb.fullnat_stats()
        equal((stats['conns'], stats['conns_without_toa']), (1, 0), 'conns, conns_without_toa')
        equal(observe.drops(t.lb), {}, 'drops')
        reset(sock)
    t.lb.run(f'ipvsadm -D {family.service(8000)}')
    until(lambda: run('rmmod ip_vs_fullnat', check=False).rc == 0, what='our module goes')
    echo(held)
    sctp_talks(t, family).close()
    held.close()
    equal([len(server.clients) for server in servers], [2, 1], 'connections of SCTP, of TCP')


STATEFUL = '''table inet stateful {{
    counter invalid {{ }}
    chain in {{
        type filter hook input priority filter; policy drop
        ct state invalid counter name invalid drop
        ct state established,related accept
        meta l4proto ipv6-icmp accept
        ct state new,untracked {nft} daddr {vip} tcp dport {{ 81, 8000 }} accept
    }}
    chain out {{
        type filter hook output priority filter
        ct state invalid counter name invalid drop
    }}
    chain nat_out {{
        type nat hook output priority -100
        tcp dport 8000 dnat {nft} to {elsewhere}
    }}
    chain nat_post {{
        type nat hook postrouting priority srcnat
        oifname "outer" masquerade
        oifname "inner" masquerade
    }}
}}'''


def test_conntrack_idle(t, family):
    """Without a rule that wants it, nobody tracks, though the module is always there: Debian's
    ip_vs needs it. We do not wake it up."""
    check('nf_conntrack' in run(['modinfo', '-F', 'depends', 'ip_vs']).out.split(','),
          'ip_vs does not need conntrack: then there should be a scenario without')
    t.fullnat(8000, family=family)
    udp_service(t, family, 8001)
    chain = Chain(t, 8000, family=family)
    servers = [UdpServer(host, 8001, family) for host in t.servers]
    visit = chain.open(family.vip, 8000)
    with udp_socket(t.client, family) as sock:
        equal(ask_udp(sock, (family.vip, 8001), b'abc'), b'cba', 'answer')
    equal(sum(len(server.peers) for server in servers), 1, 'datagrams')
    for host in (t.lb, *t.servers):
        equal(host.sysctl('net.netfilter.nf_conntrack_count'), '0', f'connections that {host} tracks')
    visit.sock.close()
    chain.check_clients()


def test_conntrack_and_masquerade_beside(t, family):
    """A stateful firewall, masquerading on both sides, and stock NAT with conntrack in the same
    LB (net.ipv4.vs.conntrack=1): NAT is tracked and masqueraded, FULLNAT is neither."""
    t.fullnat(8000, family=family)
    nat = family.service(81)
    t.lb.run(f'ipvsadm -A {nat} -s rr && '
             f'ipvsadm -a {nat} -r {address_port(family.servers[0], 81)} -m')
    t.lb.forward()
    t.lb.sysctl('net.ipv4.vs.conntrack', 1)
    t.lb.nft(STATEFUL.format(nft=family.nft, vip=family.vip, elsewhere=family.host(99)))
    chain = Chain(t, 8000, family=family)
    masqueraded = t.rs1.peer_server(81, family=family.af)
    for _ in range(5):
        chain.visits(family.vip, (8000,), 2)
        t.client.ask(family.vip, 81, b'x')
    equal({address for address, _ in masqueraded.clients}, {family.lb_inner}, 'NAT\'s clients')
    tracked = t.lb.run('conntrack -L 2>/dev/null').out
    equal((tracked.count('dport=81 '), tracked.count('port=8000 ')), (5, 0),
          'conntrack entries of NAT, of FULLNAT')
    counted = t.lb.run('nft list counter inet stateful invalid').out
    check('packets 0 ' in counted, f'invalid packets: {counted}')
    chain.check_clients()


def forwarded(router_captures):
    """The sources of the requests that each router has forwarded."""
    return [{packet.src for packet in capture.packets() if packet.dport == 8000}
            for capture in router_captures]


def test_ipsec(t, family):
    """A policy says that what goes from the VIP to the client is encrypted: so are replies,
    whether the stack or the fast path would send them."""
    mode = f'src {family.vip} dst {family.client} proto esp spi 0x100 mode transport'
    for host in (t.lb, t.client):
        host.run(f"ip xfrm state add {mode} enc cipher_null '' auth digest_null ''")
    t.lb.run(f'ip xfrm policy add src {family.vip} dst {family.client} dir out tmpl '
             f'src {family.vip} dst {family.client} proto esp mode transport')
    t.fullnat(8000, family=family)
    chain = Chain(t, 8000, family=family)
    capture = t.client.capture()
    visit = chain.open(family.vip, 8000, source=family.client)
    for _ in range(20):
        echo(visit.sock)
    visit.sock.close()
    kinds = {packet.proto for packet in capture.packets() if packet.src == family.vip}
    equal(kinds, {socket.IPPROTO_ESP}, 'protocols of replies')


def test_policy_routing(t, family):
    """Routes by source: the VIP's to the client, each LIP's by a router of its own, none in the
    main table. rp_filter=1. The rules change while connections live; then a mark, not the
    source, leads replies to the client."""
    t.add_bridge('far')
    routers = [t.add_router(f'router{number}', family, number, 'far') for number in (1, 2)]
    servers = t.move_servers(family, 'far', family.host(1, 1))
    for name in ('all', 'outer', 'inner'):
        t.lb.sysctl(f'net.ipv4.conf.{name}.rp_filter', 1)
    far = FAR_CLIENT[str(family)]
    t.client.batch([f'addr add {far}/{family.host_length} dev lo'])
    t.client.sysctl('net.ipv4.conf.all.arp_announce', 2)    # as a router asks for a neighbour
    flag = '-6' if family is V6 else '-4'
    t.lb.run(f'ip {flag} route add {far} via {family.client} table 100')
    for table, number in ((101, 1), (102, 2)):
        t.lb.run(f'ip {flag} route add {family.host(0, 1)}/{family.length} '
                 f'via {family.host(number)} table {table}')
    rules = [(family.vip, 100), (family.lip, 101), (family.lip2, 102)]
    for source, table in rules:
        t.lb.run(f'ip {flag} rule add from {source} lookup {table}')
    t.fullnat(8000, family=family, servers=servers, lips=(family.lip, family.lip2))
    chain = Chain(t, 8000, family=family)
    held = [chain.open(family.vip, 8000, source=far) for _ in range(32)]
    watched = [router.capture() for router in routers]
    for visit in held:
        echo(visit.sock)
    equal(forwarded(watched), [{family.lip}, {family.lip2}], 'LIPs by router')

    for source, table in rules[1:]:
        t.lb.run(f'ip {flag} rule del from {source} lookup {table} && '
                 f'ip {flag} rule add from {source} lookup {203 - table}')
    watched = [router.capture() for router in routers]
    for visit in held:
        echo(visit.sock)
    equal(forwarded(watched), [{family.lip2}, {family.lip}], 'LIPs by router afterwards')

    t.lb.run(f'ip {flag} rule add fwmark 5 lookup 100 && '
             f'ip {flag} rule del from {family.vip} lookup 100')
    t.lb.sysctl('net.ipv4.conf.all.src_valid_mark', 1)      # for rp_filter
    t.lb.nft('''table inet marks {
        chain pre {
            type filter hook prerouting priority mangle
            meta mark set 5
        }
    }''')
    for visit in held:
        echo(visit.sock)
    chain.visits(family.vip, (8000,), 4, source=far)
    chain.check()
    equal(observe.tcp_counters(t.lb)['IPReversePathFilter'], 0, 'dropped by rp_filter')
