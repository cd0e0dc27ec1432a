# SPDX-License-Identifier: GPL-2.0
"""Hostile traffic, and honest connections beside it: mutated packets and floods.

Seen failing:

  with the module as it was before d7d0a8d (no room for the TOA of a SYN): fuzz_smoke
  as it was before ee3117d (a GSO packet was fragmented): fuzz_packets, after 450 000
  a SYN with RST handed to the stack: every_drop_counted
  the newest half-open connection recycled instead of the oldest: oldest_half_open_first,
    syn_flood
  the real server not told of recycled connections: syn_flood (29 of 31, 11 SYNs sent again)
  no limit of flows: flow_limit
  any RST believed: false_rst
  no bound for half-open connections (fullnat_half_open_percent 100): syn_flood
  as it was before the length of a TCP header was checked again after fnat_prepare():
    fuzz_packets, after 550 000 (an oops in fnat_toa_insert())
  replayed without -p, so that a source is another now and then: fuzz_smoke
Not seen failing yet: syn_with_data_on_live_connection, fragmented_ipv6_request (their bugs
  were, by the fuzzer), syn_flood_of_a_whole_address, which has not been run at all.
"""
import os
import re
import socket
import struct

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import basics, observe, strangers
from lib.rawtcp import MSS, WINDOW_SCALE, RawTcp, make_packet
from lib.traffic import greeted

FLOWS = '/lab/fuzz-flows'       # on the host: a panic leaves it there
SMOKE = 20000
# Every push sees the same packets; make fuzz-packets takes others each time
SMOKE_SEED, TRANSPORT_SEED = 1565294809, 4035704731

# What fuzzed packets are dropped for, whatever the seed
EXPECTED_DROPS = ('drop_no_conn', 'drop_no_flow', 'drop_malformed', 'drop_ttl')
FIRST_PORT = 30000
FRAGMENT_HEADER = 44


def random_seed():
    """A new one; it is printed, and the same one makes the same packets."""
    return int.from_bytes(os.urandom(4), 'big')


def fuzzed_services(t):
    """Both families and protocols, over the raw server, through the local addresses that
    the honest connections use."""
    t.add_lip(LIP_V6)
    return [strangers.raw_service(t, 9000, LIP if family == 4 else LIP_V6, family=family,
                                  protocol=protocol)
            for family in (4, 6) for protocol in ('tcp', 'udp')]


def fuzz(t, seed, count, timeout):
    """Mutated packets of connections to a raw server, beside honest ones. Returns what the
    fuzzer printed."""
    t.fullnat(8000, lips=(LIP, LIP2))
    servers = [server.peer_server(8000) for server in t.servers]
    services = fuzzed_services(t)
    t.lb.run('ipvsadm --set 60 10 10')
    with strangers.deep_queues():
        bystanders = strangers.Bystanders(t, 8000)
        print(f'# seed {seed}, {count} packets; connections: {FLOWS}', flush=True)
        fuzzer = strangers.Background(t, strangers.fuzz_command(seed, count, services, FLOWS))
        result = fuzzer.result(timeout)
        bystanders.stop()
    strangers.check_seen(servers)
    for server in t.servers:
        equal(server.toa_stats()['absent'], 0, 'accepted without TOA')
    return result


def check_fuzzed(t, result):
    """All was sent, from live connections; what was dropped was counted. (Not checked:
    conns_without_toa, since the raw server's forged packets accept what it never saw.)"""
    dropped = strangers.drops(t.lb)
    print(f'# {result}\n# {dropped}', flush=True)
    equal(result['flows_made'], result['flows_wanted'], 'connections to mutate packets of')
    sent = result['sent_by_client'] + result['sent_by_server']
    check(sent > result['packets'] * 0.9, 'too few packets were sent')
    equal([name for name in EXPECTED_DROPS if name not in dropped], [], 'not counted')


def test_fuzz_smoke(t):
    """A short run of the packet fuzzer; the same seed makes the same packets again."""
    seed = SMOKE_SEED
    result = fuzz(t, seed, SMOKE, 90)
    check_fuzzed(t, result)
    again = [strangers.values(run([*strangers.replay_command(one, SMOKE), '-r', FLOWS]).out)
             ['digest'] for one in (seed, seed + 1)]
    equal(again[0], result['digest'], 'digest of the same seed')
    check(again[1] != again[0], 'another seed makes the same packets')


@long
@limit(7000)
def test_fuzz_packets(t):
    """A million packets, or what "make fuzz-packets COUNT=... SEED=..." says."""
    seed = os.environ.get('LAB_FUZZ_SEED') or random_seed()
    count = os.environ.get('LAB_FUZZ_COUNT') or 1000000
    check_fuzzed(t, fuzz(t, seed, count, 6900))


def test_syn_with_data_on_live_connection(t):
    """A SYN of an accepted connection may begin it anew: with data it gets its TOA, for which
    there is room in front of a packet that came from anywhere (it was a panic)."""
    t.add_lip(LIP)
    t.add_lip(LIP_V6)
    for family, lip in ((4, LIP), (6, LIP_V6)):
        service = strangers.raw_service(t, 9000, lip, family=family)
        # client 0 has no options, client 1 has many
        equal(strangers.flood(service, 'speak', 0, 2)['done'], 2, 'connections')
        before = t.lb.fullnat_stats()['toa_packets']
        strangers.flood(service, 'SD', 0, 2)
        equal(t.lb.fullnat_stats()['toa_packets'] - before, 2, 'SYNs with a TOA')


def test_fragmented_ipv6_request(t):
    """A request in two fragments, too long for the path with its TOA: it leaves in segments
    (and once was fragmented as the GSO packet that it had become: a warning)."""
    V6.fullnat(t)
    server = t.rs1.peer_server(8000, dual_stack=True, speaks_first=False)
    host = V6.raw(t)
    peer = RawTcp(host, VIP_V6, 8000).connect()
    payload = os.urandom(1425)      # without room for 20 bytes more
    packet = make_packet(host.address, VIP_V6, peer.segment('PA', payload=payload))
    for first, last, more in ((40, 1240, 1), (1240, len(packet), 0)):
        fragment = struct.pack('!BBHI', socket.IPPROTO_TCP, 0, first - 40 | more, 4711)
        body = fragment + packet[first:last]
        host.send(packet[:4] + struct.pack('!HBB', len(body), FRAGMENT_HEADER, 64)
                  + packet[8:40] + body)
    peer.advance('PA', payload)
    line = greeting(peer.own)
    equal(peer.read(len(line) + len(payload)), line + payload, 'answer')
    equal(server.clients, [peer.own], 'clients')
    equal(t.lb.fullnat_stats()['toa_split'], 1, 'toa_split')


def test_false_rst(t, family):
    """RSTs whose sender guesses the number end nothing, neither for the server nor for ip_vs;
    the client's own does."""
    family.fullnat(t)
    server = t.rs1.peer_server(8000, family=family.af)
    peer = RawTcp(family.raw(t), family.vip, 8000).connect(MSS + WINDOW_SCALE)
    line = greeting(peer.own)
    equal(peer.read(len(line)), line, 'greeting')
    # far from the number, and on either side of what the server can have room for
    false = (peer.seq ^ 1 << 31, peer.seq + (1 << 27), peer.seq - 1)
    for seq in false:
        peer.send('R', seq=seq)
    equal(strangers.drops(t.lb), {'drop_false_rst': len(false)}, 'drops')
    equal([state for state, _ in observe.timeouts(t.lb)], ['ESTABLISHED'], 'state of ip_vs')
    peer.send('PA', payload=b'echo')
    equal(peer.read(4), b'echo', 'echo')
    peer.send('RA')
    until(lambda: server.errors, what='the server is told')
    equal([state for state, _ in observe.timeouts(t.lb)], ['CLOSE'], 'state of ip_vs')
    equal(strangers.drops(t.lb), {'drop_false_rst': len(false)}, 'drops')


COUNTING = '''table inet count {
    counter arrived { }
    counter left { }
    chain in {
        type filter hook prerouting priority -450
        meta l4proto { tcp, udp } counter name arrived
    }
    chain out {
        type filter hook postrouting priority 450
        meta l4proto { tcp, udp } counter name left
    }
}'''


def counted(t, name):
    """Packets of an nft counter."""
    text = t.lb.run(f'nft list counter inet count {name}').out
    return int(re.search(r'packets (\d+)', text)[1])


def rsts_made(t):
    """RSTs that the LB has made itself: of half-open connections whenever their time is up."""
    stats = t.lb.fullnat_stats()
    return stats['half_open_rst'] + 2 * stats['expire_rst']


def arrived_left_made(t):
    """Packets that came, that left, and that left without having come. None has come between the
    readings (a server sends again what is not acknowledged), and no timer has made an RST."""
    for _ in range(20):
        made, arrived, stats = rsts_made(t), counted(t, 'arrived'), t.lb.fullnat_stats()
        # the fast path leaves before any rule
        fast = stats['fast_request'] + stats['fast_reply']
        found = arrived, counted(t, 'left') + fast, made
        if (rsts_made(t), counted(t, 'arrived')) == (made, arrived):
            return found
    raise Failure('packets come all the time')


def test_every_drop_counted(t):
    """What is wrong only behind the IP header, of connections that are known: as many
    packets leave the LB as come, but for those that it counts as dropped."""
    t.add_lip(LIP)
    services = fuzzed_services(t)
    t.lb.nft(COUNTING)
    seed = TRANSPORT_SEED
    print(f'# seed {seed}', flush=True)
    run(strangers.fuzz_command(seed, 10000, services, FLOWS, 'transport'), timeout=90)
    arrived, left, made = arrived_left_made(t)
    dropped = strangers.drops(t.lb)
    stack = observe.tcp_counters(t.lb)
    print(f'# {arrived} came, {left} left, {made} of them made here, {dropped}, '
          f'{stack["InSegs"]} for the stack', flush=True)
    check(arrived >= 10000, 'too few packets')
    equal(left - made + sum(dropped.values()) + stack['InSegs'], arrived,
          'packets that left or were counted')
    # a connection may end between our hook and ip_vs
    check(stack['InSegs'] < 10 and stack['OutRsts'] == 0, 'the stack of the LB got packets')


def half_open_pool(t, ports):
    """The raw service with so many ports, and no answer to any SYN."""
    t.add_lip(LIP)
    return strangers.raw_service(t, 9000, f'{LIP}:{FIRST_PORT}-{FIRST_PORT + ports - 1}')


def test_oldest_half_open_first(t):
    """Half of 20 ports may be half-open: then it is the oldest one that loses its port."""
    service = half_open_pool(t, 20)
    strangers.flood(service, 'S', 0, 11)
    equal(observe.overview(t.lb)[f'laddr {LIP}']['conns'], 11, 'ports held')
    sent = 11

    def one_more():
        nonlocal sent
        strangers.flood(service, 'S', sent, 1)
        sent += 1
        return t.lb.fullnat_stats()['takeover_half_open'] >= 5

    until(one_more, 30, 'five have lost their ports')
    stats = t.lb.fullnat_stats()
    victims = stats['takeover_half_open']
    equal((stats['conns'], stats['drop_exhausted']), (sent, 0), 'conns, drop_exhausted')
    equal(observe.overview(t.lb)[f'laddr {LIP}']['conns'], sent - victims, 'ports held')
    strangers.flood(service, 'A', victims, sent - victims)
    equal(strangers.drops(t.lb), {}, 'drops of those that kept their ports')
    strangers.flood(service, 'A', 0, victims)
    dropped = strangers.drops(t.lb)
    equal((sum(dropped.values()), set(dropped) <= {'drop_port_lost', 'drop_no_conn'}),
          (victims, True), f'drops of the oldest ({dropped})')


def flooded(t, family, ports, syns, rate, timeout):
    """SYNs of invented clients to a real server: they hold no more than half of the ports
    (connections that have just closed may hold the others), established connections live, and
    new ones succeed. rate: SYNs per second for an idle machine; on a slow one honest handshakes
    take longer, too."""
    strangers.introduce(t)
    service = strangers.named(8000, family.rs1, vip=family.vip)
    bystanders = strangers.Bystanders(t, 8000, family=family)
    flood = strangers.Background(t, strangers.flood_command(service, 'S', 0, syns, 1,
                                                          int(rate / basics.SCALE)))
    held = []

    def over():
        held.append(observe.laddr(t.lb, family.lip)['half_open'])
        return not flood.running()

    capture = t.rs1.capture()
    until(over, timeout, 'the flood is over')
    capture.stop()
    equal(flood.result()['done'], syns, 'SYNs')
    stats = t.lb.fullnat_stats()
    again = observe.tcp_counters(t.client)['TCPSynRetrans']
    print(f'# half-open: at most {max(held)} of {ports}; {stats["takeover_half_open"]} taken '
          f'over; SYNs sent again: {again}; drops: {strangers.drops(t.lb)}', flush=True)
    bystanders.stop(percent=99)
    equal((stats['conns_without_toa'], t.rs1.toa_stats()['absent']), (0, 0),
          'conns_without_toa, absent')
    # those of the last 250 ms keep theirs
    check(ports // 4 < max(held) < ports * 3 // 4, f'half-open: {max(held)} of {ports} ports')
    return stats


def test_syn_flood(t, family):
    """Ten times as many spoofed SYNs as there are ports; over IPv6 half of that."""
    ports, syns = 200, 2000 if family is V4 else 1000
    observe.narrow_pool(t, 8000, FIRST_PORT, FIRST_PORT + ports - 1, family)
    t.lb.sysctl('net.ipv4.vs.fullnat_timeout_timewait', 1)
    server = t.rs1.peer_server(8000, family=family.af)
    stats = flooded(t, family, ports, syns, 250, 60)
    check(stats['takeover_half_open'] >= syns / 2, 'too few were recycled')
    strangers.check_seen([server])


@long
@limit(1800)
def test_syn_flood_of_a_whole_address(t):
    """650 000 SYNs as fast as they can be sent, to a local address with all its ports."""
    t.fullnat(8000, servers=(RS1,))
    server = t.rs1.peer_server(8000)
    ports = 64511
    stats = flooded(t, V4, ports, 650000, 0, 1500)
    check(stats['takeover_half_open'] >= 100000, 'too few were recycled')
    strangers.check_seen([server])


def test_flow_limit(t):
    """The module's limit of flows: what comes beyond is dropped and counted, what exists
    goes on, and it heals by itself."""
    limit_file = '/sys/module/ip_vs_fullnat/parameters/flow_max'
    run('modprobe ip_vs_fullnat')
    if not os.path.exists(limit_file):
        raise Skip('this ip_vs_fullnat has no flow_max')
    # namespaces of the scenario before may still be going away
    until(lambda: run('rmmod ip_vs_fullnat', check=False).rc == 0, what='the module goes')
    run('modprobe ip_vs_fullnat flow_max=200')
    t.fullnat(8000, servers=(RS1,))
    t.lb.sysctl('net.ipv4.vs.fullnat_timeout_synrecv', 4)
    t.rs1.peer_server(8000)
    service = strangers.raw_service(t, 9000, LIP)
    with t.client.connect(VIP, 8000) as sock:
        greeted(sock)
        strangers.flood(service, 'S', 0, 299)
        stats = t.lb.fullnat_stats()
        equal((stats['conns'], stats['drop_flow_limit']), (200, 100), 'conns, drop_flow_limit')
        strangers.Bystanders.echo(sock, b'still here')
    own, answer = t.client.ask(VIP, 8000, b'x')
    equal(answer, f'{own[0]} {own[1]}\nx'.encode(), 'after the flood')
