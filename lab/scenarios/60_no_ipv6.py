# SPDX-License-Identifier: GPL-2.0
"""A host whose IPv6 is switched off at boot: the kernel has the code, but no tables for it.

# boot: ipv6.disable=1

Seen failing: with IPv6 accepted as on any other host, the first reading of the LIP is an oops.
"""
from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib.traffic import greeted

OFF = 'IPv6 is switched off'


def test_refused(t):
    """Whatever has an IPv6 address is refused, by a sentence; nothing is left of it."""
    check(not FAMILIES[1:], 'the kernel has IPv6')
    t.lb.run('ipvsadm -P -z 10.0.0.100')
    for words in ('-P -z fd00::100', '-E -t [2001:db8:f::80]:80 --fullnat',
                  '-A -t [2001:db8:f::80]:80 --fullnat', '-A -f 7 -6 --fullnat'):
        done = t.lb.run(f'ipvsadm {words}', check=False)
        check(done.rc and OFF in done.err, f'{words}: {done.rc} {done.text}')
    for words in ('-G', '-Ln', '-Sn'):
        said = t.lb.run(f'ipvsadm {words}').out
        check('fd00' not in said and '2001' not in said, f'{words}: {said}')
    check('fd00' not in t.lb.proc_net('ip_vs_fullnat'), 'a LIP in /proc')


def test_ipv4(t):
    """IPv4 is as everywhere, and so is toa's self-test at its load."""
    run('modprobe toa')
    V4.fullnat(t)
    t.rs1.peer_server(8000)
    with t.client.connect(VIP, 8000) as sock:
        greeted(sock)
    dump = run('cat /proc/net/toa_stats').out
    check('module_selftest ok' in dump, dump)
