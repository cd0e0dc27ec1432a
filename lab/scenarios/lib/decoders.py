# SPDX-License-Identifier: GPL-2.0
"""How others find the client in a packet: scapy, and the modules of other load balancers' real
servers by their rules. Shares nothing with pcap.py nor with toa_wire.h."""
import importlib
import ipaddress

# (kind, length) that each accepts, the first in the header wins; all want port, then address
RULES = {
    'LVS of 2012, UCloud': {(200, 8)},
    'Alibaba LVS': {(254, 8), (253, 20)},
    'DPVS': {(254, 8), (254, 20)},
}
LINK_HEADER = 14


def client(body):
    """(address, port) of an option's body."""
    return str(ipaddress.ip_address(body[2:])), int.from_bytes(body[:2], 'big')


def tcp_header(frame):
    """The TCP header of an Ethernet frame without tags and extension headers."""
    ip = frame[LINK_HEADER:]
    start = 40 if ip[0] >> 4 == 6 else (ip[0] & 15) * 4
    return ip[start:start + (ip[start + 12] >> 4) * 4]


def by_rules(frame, rules):
    """Whom a module with these rules (see RULES) would name; None: nobody."""
    options = tcp_header(frame)[20:]
    while options:
        kind = options[0]
        if kind == 0:
            return None
        if kind == 1:
            options = options[1:]
            continue
        if len(options) < 2 or not 2 <= options[1] <= len(options):
            return None
        length = options[1]
        if (kind, length) in rules:
            return client(options[2:length])
        options = options[length:]
    return None


def by_scapy(frame):
    """Every option that scapy does not know, in the order of the header: (kind, body)."""
    # importing it takes seconds, which most scenarios need not spend
    from scapy.layers.l2 import Ether   # pylint: disable=import-outside-toplevel
    from scapy.layers import inet   # pylint: disable=import-outside-toplevel
    importlib.import_module('scapy.layers.inet6')   # or Ether does not know IPv6
    options = Ether(frame)[inet.TCP].options
    return [(kind, bytes(body)) for kind, body in options if isinstance(kind, int)]
