# SPDX-License-Identifier: GPL-2.0
"""What kernels, wires and servers tell about FULLNAT, in the words of the
scenarios."""
import re
import time

import pcap

from . import basics
from .topology import V4

TOA_KINDS = (200, 253, 254)


def tcp_counters(host):
    """The counters of TCP and MPTCP in /proc/net/netstat and /proc/net/snmp."""
    found = {}
    for name in ('snmp', 'netstat'):
        lines = host.proc_net(name).splitlines()
        for names, values in zip(lines[::2], lines[1::2]):
            if names.split(':')[0] in ('Tcp', 'TcpExt', 'MPTcpExt'):
                found.update(zip(names.split()[1:], map(int, values.split()[1:])))
    return found


def lost(t):
    """Where packets were dropped, in words, for a scenario that misses one; '' if nowhere."""
    return ', '.join(
        f'{host} {name} {value}' for host in t.hosts
        for name, value in (tcp_counters(host) | host.fullnat_stats()).items()
        if value and re.search('drop_|Drop|Overflow|PAWS|AckSkipped|ReqQFull', name))


def overview(host):
    """/proc/net/ip_vs_fullnat: {'service tcp 203.0.113.80:80': {'conns': 1, ...}, ...}."""
    found = {}
    for line in host.proc_net('ip_vs_fullnat').splitlines():
        if not line.startswith(('service ', 'laddr ')):
            continue
        name = re.match(r'service fwmark \d+( ipv6)?|service \S+ \S+|laddr \S+', line)[0]
        words = line[len(name):].replace(' local ', ' local 1 ').replace(' absent ', ' local 0 ')
        words = words.split()
        found[name] = {key: int(value) if value.isdigit() else value
                       for key, value in zip(words[::2], words[1::2])}
    return found


def laddr(host, address):
    """What /proc/net/ip_vs_fullnat tells of a local address."""
    return overview(host)['laddr ' + (f'[{address}]' if ':' in address else address)]


def connections(packets):
    """The connections that a server's capture shows: {(LIP, port): packets from there},
    of those whose SYN is in it."""
    found = {}
    for packet in packets:
        if packet.flags == 'S':
            found.setdefault(packet.source, [])
    for packet in packets:
        if packet.source in found:
            found[packet.source].append(packet)
    return found


def with_toa(packets):
    """Those that carry a TOA."""
    return [packet for packet in packets if packet.toa]


def accepting(sent):
    """Of a connection's packets the first that could make the socket at the server: a SYN with
    data, else the first after the SYN. None: it never came so far."""
    return next((packet for packet in sent if 'R' not in packet.flags and
                 (packet.flags != 'S' or packet.payload_len)), None)


def check_accepting(packets, clients):
    """In a server's capture the first packet of each connection that could make the socket
    names the client in its TOA; the clients so named are these. Returns the packets of each
    connection."""
    found, named = {}, []
    for source, sent in connections(packets).items():
        first = accepting(sent)
        if first:
            basics.check(first.toa, f'it could make the socket, and is without TOA: {first}')
            found[source] = sent
            named.append(first.toa)
    basics.equal(sorted(named), sorted(clients), 'clients named on the wire')
    return found


def ipvs_state(host, port):
    """The state in which ip_vs has the client's connection with this port; None: it has none."""
    for line in host.proc_net('ip_vs_conn').splitlines():
        words = line.split()
        if words[0] == 'TCP' and int(words[2], 16) == port:
            return words[7]
    return None


def timeouts(lb, protocol='TCP'):
    """[(state, seconds left)] of the connections that ip_vs has."""
    found = re.findall(rf'^{protocol} +(\d+):(\d+) +(\w+)', lb.run('ipvsadm -Lcn').out, re.M)
    return [(state, int(minutes) * 60 + int(seconds)) for minutes, seconds, state in found]


def sum_of(name, stats):
    """A counter's sum over several dictionaries."""
    return sum(one[name] for one in stats)


def fast(t):
    """(requests, replies) that took the fast path so far."""
    stats = t.lb.fullnat_stats()
    return stats['fast_request'], stats['fast_reply']


def drops(lb):
    """What the LB has dropped: the counters that are not 0."""
    return {name: value for name, value in lb.fullnat_stats().items()
            if name.startswith('drop_') and value}


def settled(read):
    """What read() returns once that does not change any more: the last packets of a connection
    that is over may still be under way."""
    before, now = None, read()
    while now != before:
        time.sleep(0.2)
        before, now = now, read()
    return now


def check_counters(t, wanted, captures, wanted_drops=None):
    """The LB's counters, the servers' captures and toa's counters tell of the same
    connections, `wanted` of them, each with its TOA."""
    lb = settled(t.lb.fullnat_stats)
    toas = [server.toa_stats() for server in t.servers]
    packets = [capture.packets() for capture in captures]
    # a local port may be used towards several ports of a server at once
    seen = {(packet.source, packet.destination) for one in packets for packet in one
            if packet.flags == 'S'}
    basics.equal(len(seen), wanted, 'connections in the captures')
    basics.equal(lb['conns'], wanted, 'conns')
    basics.equal(lb['conns_with_toa'], wanted, 'conns_with_toa')
    basics.equal(lb['conns_without_toa'], 0, 'conns_without_toa')
    syn_acks = sum(packet.flags == 'SA' for one in packets for packet in one)
    basics.equal(lb['mss_lowered'], syn_acks, 'mss_lowered, as the captures have SYN-ACKs')
    basics.equal(sum_of('stored', toas), wanted, 'stored by toa')
    basics.equal(sum_of('absent', toas), 0, 'absent by toa')
    on_wire = sum(len(with_toa(one)) for one in packets)
    basics.equal(lb['toa_packets'], on_wire, 'toa_packets, as the captures have them')
    basics.equal(drops(t.lb), wanted_drops or {}, 'drops')
    return packets


def check_checksums(packets):
    """Every checksum on the wire that the capture could judge is right."""
    judged = [packet for packet in packets if packet.checksums is not None]
    wrong = [str(packet) for packet in judged if not packet.checksums]
    basics.check(judged and not wrong, lambda: f'{len(wrong)} of {len(judged)} checksums are '
                                               f'wrong: {wrong[:3]}')


def check_one_toa_first(packets):
    """Whoever carries a TOA carries one, before all other options."""
    for packet in packets:
        kinds = [kind for kind, _ in packet.options if kind in TOA_KINDS]
        basics.check(len(kinds) <= 1 and (not kinds or packet.options[0][0] == kinds[0]),
                     lambda p=packet: f'not one TOA in front: {p}')


def frames(capture):
    """The bytes of every captured frame."""
    capture.stop()
    with open(capture.path, 'rb') as file:
        return [frame for _, _, frame in pcap.records(file.read())]


def offloads(host, device, on):
    """Checksum and segmentation offload of an interface. Off: what a capture behind it
    shows is what a wire would carry."""
    state = 'on' if on else 'off'
    host.run(f'ethtool -K {device} tx {state} tso {state} gso {state} gro {state} '
             f'tx-checksum-ip-generic {state}')


def real_wire(t):
    """No offloads anywhere: checksums are computed by who sends, segments are cut there."""
    for host, device in ((t.client, 'eth0'), (t.lb, 'outer'), (t.lb, 'inner'),
                         (t.rs1, 'eth0'), (t.rs2, 'eth0')):
        offloads(host, device, False)


def narrow_pool(t, port, first, last, family=V4):
    """A FULLNAT service over rs1 with one local address and few ports."""
    family.fullnat(t, port, lip_ports=f'{first}-{last}')
