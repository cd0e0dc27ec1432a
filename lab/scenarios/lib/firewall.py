# SPDX-License-Identifier: GPL-2.0
"""Rules on the LB, as nft has them: a strict firewall, marks."""
from . import basics

STRICT = '''table inet strict {{
    counter invalid {{ }}
    counter unwelcome {{ }}
    chain pre {{
        type filter hook prerouting priority 0
        ct state invalid counter name invalid drop
    }}
    chain in {{
        type filter hook input priority 0; policy drop
        ct state invalid counter name invalid drop
        iif lo accept
        icmpv6 type 128-255 accept
        {nft} daddr {vip} {protocol} dport {port} accept
        counter name unwelcome
    }}
    chain out {{
        type filter hook output priority 0
        ct state invalid counter name invalid drop
    }}
    chain post {{
        type filter hook postrouting priority 0
        ct state invalid counter name invalid drop
    }}
}}'''


def strict_nft(family, protocol, port=8000):
    """What is invalid is dropped everywhere, and INPUT admits this port of the VIP only; of ICMP
    what IPv6 cannot do without, but no error."""
    return STRICT.format(nft=family.nft, vip=family.vip, protocol=protocol, port=port)


def check_unnoticed(t):
    """Those rules have dropped nothing, and conntrack knows of nobody."""
    for name in ('invalid', 'unwelcome'):
        text = t.lb.run(f'nft list counter inet strict {name}').out
        basics.check('packets 0 ' in text, f'counter {name}: {text}')
    basics.equal(t.lb.run('conntrack -L 2>/dev/null').out, '', 'conntrack entries')


def mark_rules(family, mark, vips, ports):
    """The mark for several VIPs and ports; and a conntrack that must not mind."""
    return f'''table inet marks {{
    counter invalid {{ }}
    chain set_mark {{
        type filter hook prerouting priority mangle
        meta l4proto {{ tcp, udp }} {family.nft} daddr {{ {', '.join(vips)} }} \
th dport {{ {', '.join(map(str, ports))} }} meta mark set {mark}
    }}
    chain strict {{
        type filter hook prerouting priority filter
        ct state invalid counter name invalid drop
    }}
    chain in {{
        type filter hook input priority filter
        ct state invalid counter name invalid drop
    }}
}}'''
