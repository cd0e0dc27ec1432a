# SPDX-License-Identifier: GPL-2.0
"""What a cluster must do. A scenario is a function test_NAME(c) with a machines.Cluster; they
run in the order of this file, in the same machines."""
import time

from lib.basics import check, each, equal, long, until
from machines import VIP, VIP_V6, example

NEW_VIP = '203.0.113.81'
# What DKMS leaves when it fails: no module
NO_MODULE = """
find /lib/modules -name 'ip_vs_fullnat.ko*' -delete
depmod
"""
# a module that has come from another kernel's directory
OTHER_MODULE = """
sed -i 's/-amd64 SMP /-amd64 SMX /' /lib/modules/*/updates/ip_vs_fullnat.ko
"""
REPAIR_MODULE = """
cp /lab/rootfs/lib/modules/$(uname -r)/updates/*.ko /lib/modules/$(uname -r)/updates/; depmod"""
NO_RULES = ': >/etc/ipvs-fullnat/rules\n'
REPAIR_RULES = 'cp /lab/rootfs/etc/ipvs-fullnat/rules /etc/ipvs-fullnat/rules'


def test_startup(c):
    """Declarations before keepalived; lb1, with the higher priority, or whoever was first is
    master; clients are who they are."""
    for node in c.nodes:
        until(lambda n=node: n.state('keepalived') == 'active', 60, f'keepalived of {node.name}')
        times = node.run('systemctl show -P ActiveEnterTimestampMonotonic ipvs-fullnat; '
                         'systemctl show -P ExecMainStartTimestampMonotonic keepalived').out.split()
        check(0 < int(times[0]) < int(times[1]), f'{node.name}: declared at {times[0]}, keepalived '
                                                 f'started at {times[1]}')
    c.settle()
    equal(c.lb2.vrrp(), 'BACKUP', 'lb2')
    c.ask_all()
    equal(c.lb1.stats()['conns_without_toa'], 0, 'conns_without_toa')
    for node in c.nodes:
        node.run('/usr/lib/ipvs-fullnat/check-node')
        said = node.run('/usr/lib/ipvs-fullnat/textfile').out
        check('\nipvs_fullnat_up 1\n' in said and
              f'ipvs_fullnat_laddr_local{{address="10.0.0.100",ports="10000-65535"}} '
              f'{int(node is c.lb1)}\n' in said, f'{node.name}: metrics: {said[:600]}')


def test_checks(c):
    """HTTP_GET takes a server without nginx out and in. The check from a LIP sees a firewall that
    admits the load balancer and not its LIPs, which its other checks do not."""
    def weight(server, port):
        return c.lb1.weights(f'{VIP}:{port}', f'{server}:')[0]

    c.settle()
    c.world('stop_server', name='rs1')
    until(lambda: weight('10.0.0.11', 80) == 0, 60, 'rs1 is out of the HTTP service')
    equal(weight('10.0.0.11', 8000), 1, 'weight of rs1 in the other service')
    c.ask_all()
    c.world('stop_server', name='rs1', is_back=True)
    until(lambda: weight('10.0.0.11', 80) == 1, 60, 'rs1 is in again')
    c.world('firewall', name='rs2', rules='table ip f { chain i { type filter hook input '
            'priority 0\nip saddr 10.0.0.100-10.0.0.101 drop\n}\n}\n')
    until(lambda: weight('10.0.0.12', 8000) == 0, 90, 'rs2 is out of the service with the LIP check')
    equal(weight('10.0.0.12', 80), 1, 'weight of rs2 in the HTTP service')
    c.world('firewall', name='rs2')
    until(lambda: weight('10.0.0.12', 8000) == 1, 90, 'rs2 is in again')


def _with_new_service(c, command):
    """Both nodes get another VIP with a service, and the command. Returns the files as they were."""
    rules, config = example('rules'), example('keepalived.conf')
    for node in c.nodes:
        node.machine.write('/etc/ipvs-fullnat/rules', rules + f'-E -t {NEW_VIP}:80 --fullnat\n')
        node.machine.write('/etc/keepalived/keepalived.conf', config.replace(
            f'{VIP_V6}/128 dev outer', f'{VIP_V6}/128 dev outer\n        {NEW_VIP}/32 dev outer')
            + config[config.index(f'virtual_server {VIP} 80'):config.index(
                '# Connected to from')].replace(VIP, NEW_VIP))
        node.run(command)
    return rules, config


def test_reload(c):
    """A reload of keepalived loads new declarations first. A wrong rules file changes nothing
    and is named; what is taken out of the file is taken out of the kernel."""
    c.settle()
    rules, config = _with_new_service(c, 'systemctl reload keepalived')
    until(lambda: NEW_VIP in c.lb1.addresses(), 60, 'the new VIP')
    check(f'-A -t {NEW_VIP}:80 -s wlc --fullnat' in c.lb1.run('ipvsadm -Sn').out, 'not FULLNAT')
    c.ask(NEW_VIP)

    before = c.lb1.run('ipvsadm -Sn').out
    c.lb1.machine.write('/etc/ipvs-fullnat/rules', rules + '-E -t 203.0.113.82:80\n')
    done = c.lb1.run('systemctl reload keepalived', check=False)
    check(done.rc, 'a wrong rules file was taken')
    number = len(rules.splitlines()) + 1
    check(f'rules, line {number}: -E needs' in c.lb1.journal('keepalived'),
          lambda: f'the journal does not name line {number}: {c.lb1.journal("keepalived")}')
    equal(c.lb1.run('ipvsadm -Sn').out, before, 'ipvsadm -S')
    check(c.lb1.is_master(), 'lb1 is no master any more')
    _as_shipped(c, rules, config)


def test_restart(c):
    """A start of keepalived loads the declarations first: new ones, and those that the node has
    lost since ipvs-fullnat.service loaded them."""
    c.settle()
    rules, config = _with_new_service(c, 'systemctl stop keepalived; ipvsadm -C; '
                                         'systemctl start keepalived')
    until(lambda: {node.vrrp() for node in c.nodes} == {'MASTER', 'BACKUP'}, 60,
          'master and backup')
    until(lambda: any(NEW_VIP in node.addresses() for node in c.nodes), 60, 'the new VIP')
    for node in c.nodes:
        check(f'-A -t {NEW_VIP}:80 -s wlc --fullnat' in node.run('ipvsadm -Sn').out,
              f'{node.name}: not FULLNAT')
    c.ask(NEW_VIP)
    c.ask_all()
    _as_shipped(c, rules, config)


def _as_shipped(c, rules, config):
    """Back to the example's files. A declaration goes when keepalived has the service no more."""
    done = c.lb2.run(['ipvs-fullnat-rules', '--check', '-'], stdin=rules, check=False)
    equal(done.out, f'only here: -E -t {NEW_VIP}:80 --fullnat\n', 'the difference')
    for node in c.nodes:
        node.machine.write('/etc/ipvs-fullnat/rules', rules)
        node.machine.write('/etc/keepalived/keepalived.conf', config)
        node.run('systemctl reload keepalived')
        until(lambda n=node: f'-A -t {NEW_VIP}:80' not in n.run('ipvsadm -Sn').out, 60,
              'the service is gone')
        check(f'-E -t {NEW_VIP}:80 --fullnat' in node.run('ipvsadm -Sn').out,
              'the declaration went before the service')
        node.run('systemctl reload keepalived')
        check(NEW_VIP not in node.run('ipvsadm -Sn').out, 'the declaration is still there')
    equal(c.lb2.run(['ipvs-fullnat-rules', '--check', '-'], stdin=rules).out, '', 'the difference')


def test_stop_and_back(c):
    """keepalived is stopped: the other node takes over. It is started again: nothing moves."""
    c.settle()
    c.lb1.run('systemctl stop keepalived')
    c.await_master(c.lb2)
    c.ask_all()
    c.lb1.run('systemctl start keepalived')
    until(lambda: c.lb1.vrrp() == 'BACKUP', 60, 'lb1 is backup')
    c.ask_all()
    check(c.lb2.is_master() and c.lb1.has_none(), 'lb1 has taken its addresses back')


def test_cut_outer(c):
    """The master loses the network of the clients."""
    _cut(c, 'outer')


def test_cut_inner(c):
    """The master loses the network of the real servers, which is VRRP's, too."""
    _cut(c, 'inner')


def _cut(c, card):
    c.settle(c.lb2)
    c.lb2.machine.set_link(card, False)
    try:
        c.await_master(c.lb1)
        equal(c.lb2.vrrp(), 'FAULT', 'lb2')
        c.ask_all()
    finally:
        c.lb2.machine.set_link(card, True)
    until(lambda: c.lb2.vrrp() == 'BACKUP', 60, 'lb2 is backup')
    check(c.lb1.is_master(), 'lb1 has lost its addresses')


def test_undeclared(c):
    """A node that loses its declarations while it runs, or gets a service that is plain NAT, is
    master no more."""
    c.settle()
    c.lb1.run(f'ipvsadm -A -t {NEW_VIP}:80; ipvsadm -a -t {NEW_VIP}:80 -r 10.0.0.11:80 -m')
    done = c.lb1.run('/usr/lib/ipvs-fullnat/check-node', check=False)
    equal(done.err.strip(), f'check-node: -t {NEW_VIP}:80 is plain NAT: declare it in '
                            '/etc/ipvs-fullnat/rules', 'check-node')
    c.await_master(c.lb2)
    equal(c.lb1.vrrp(), 'FAULT', 'lb1')
    c.lb1.run(f'ipvsadm -D -t {NEW_VIP}:80')
    until(lambda: c.lb1.vrrp() == 'BACKUP', 60, 'lb1 is backup')
    c.lb2.run('ipvsadm -Q -z 10.0.0.100-101')
    c.await_master(c.lb1)
    equal(c.lb2.vrrp(), 'FAULT', 'lb2')
    c.ask_all()
    c.lb2.run('systemctl reload ipvs-fullnat')
    until(lambda: c.lb2.vrrp() == 'BACKUP', 60, 'lb2 is backup')
    c.no_leak()


def test_power_off(c):
    """The master is gone at once. Fail closed: it comes back without a module, and does not become
    master even when the other is gone, neither by systemd nor, when an operator has taken our
    drop-in away, by keepalived. Then the build is repaired."""
    c.settle()
    c.lb1.machine.power_off()
    c.await_master(c.lb2)
    c.ask_all()
    _never_master(c, NO_MODULE, 'cannot be loaded')
    _repair(c, REPAIR_MODULE)


def _never_master(c, prepare, why):
    """lb1 boots, after this script, and cannot do FULLNAT, and lb2 is gone: nobody answers,
    nothing leaks."""
    c.lb1.boot(prepare)
    c.lb1.machine.wait_ready()
    until(lambda: c.lb1.state('ipvs-fullnat') == 'failed', 90, 'ipvs-fullnat.service has failed')
    said = c.lb1.journal('ipvs-fullnat')
    check(why in said, f'the journal does not say why: {said}')
    c.lb2.run('systemctl stop keepalived')
    check(c.lb1.state('keepalived') != 'active', 'keepalived runs')
    done = c.lb1.run('systemctl start keepalived', check=False)
    check(done.rc, 'keepalived can be started')
    c.refused()
    c.lb1.run('mkdir /run/away; mv /lib/systemd/system/keepalived.service.d /run/away/; '
              'systemctl daemon-reload; systemctl start keepalived')
    until(lambda: c.lb1.vrrp() == 'FAULT', 60, 'lb1 is in FAULT')
    c.refused()
    check(c.lb1.has_none(), 'lb1 has become master')
    c.lb1.run('systemctl stop keepalived; mv /run/away/* /lib/systemd/system/; '
              'systemctl daemon-reload')


def _repair(c, command):
    """lb1 is repaired, and master at once: there is no other. A module that has come this late
    has its settings too."""
    c.lb1.run(f'{command}; systemctl reset-failed; systemctl start keepalived')
    c.await_master(c.lb1)
    equal(c.lb1.run('sysctl -n net.ipv4.vs.sync_refresh_period').out.strip(), '10',
          'sync_refresh_period')
    c.ask_all()
    c.no_leak()


VIPS = [f'203.0.113.{number}' for number in range(80, 84)]
VIPS_V6 = [f'2001:db8:f::{number}' for number in range(80, 84)]
# An example for one node: its VIPs, and how many real servers its services have in all
SINGLE = {'single': ([VIP], 8), 'groups': (VIPS, 10), 'fwmark': (VIPS + VIPS_V6, 4)}


@each(SINGLE)
def test_example(c, name):
    """The examples for one node as an operator uses them: every service answers, with the name of
    the client; a server that fails its check is out of all services of its kind."""
    vips, count = SINGLE[name]
    c.settle()
    c.lb2.run('systemctl stop keepalived')
    c.lb1.run('systemctl stop keepalived ipvs-fullnat')
    try:
        _addresses(c.lb1, 'add', vips)
        _configure(c.lb1, name)
        if name == 'fwmark':
            c.lb1.run(['nft', '-f', '-'], stdin=example('nftables.conf', name))
        c.lb1.run('systemctl start keepalived')
        until(lambda: c.lb1.has_servers(count), 90, 'all real servers are up')
        c.lb1.run('/usr/lib/ipvs-fullnat/check-node')
        {'single': _ask_single, 'groups': _ask_groups, 'fwmark': _ask_marked}[name](c, vips)
    finally:
        c.lb1.run('systemctl stop keepalived ipvs-fullnat; nft flush ruleset', check=False)
        _addresses(c.lb1, 'del', vips)
        _configure(c.lb1, 'cluster')


def _addresses(node, verb, vips):
    """Add or delete these VIPs and the examples' LIPs, as what configures the network does. The
    node talks from none of them."""
    lips = [net + str(number) for net in ('10.0.0.', 'fd00::') for number in range(100, 104)]
    node.run(['ip', '-force', '-batch', '-'], stdin='\n'.join(
        f'addr {verb} {address} dev {card}' + ' nodad preferred_lft 0' * (':' in address)
        for card, addresses in (('outer', vips), ('inner', lips)) for address in addresses))


def _configure(node, name):
    """Give it the files of an example."""
    for directory, file in (('ipvs-fullnat', 'rules'), ('keepalived', 'keepalived.conf')):
        node.machine.write(f'/etc/{directory}/{file}', example(file, name))


def _ask_single(c, vips):
    """HTTP, TLS, ssh and DNS."""
    vip, = vips
    c.ask(vip)
    c.connect(vip, 4, port=443)
    c.world('open', vip=vip, vip_v6='', counts={'ssh': 2})
    c.world('settle', seconds=0)
    c.world('close')
    equal(c.world('name_server', address=vip), 29, 'bytes of the answer to a question of 29')
    _out_and_in(c, f'{vip}:80', lambda is_back: c.world('stop_server', name='rs1', is_back=is_back),
                lambda: c.ask(vip))


def _ask_groups(c, _vips):
    """All members, whose servers are checked once for all of them."""
    def ask():
        for vip, port in ((80, 80), (81, 80), (81, 8080), (82, 80), (83, 80)):
            c.ask(f'203.0.113.{vip}', port)
    ask()
    _out_and_in(c, '', lambda is_back: c.world('stop_server', name='rs1', is_back=is_back), ask)


def _ask_marked(c, vips):
    """Two ports of all VIPs are one service, where a client stays with its server."""
    def ask():
        for vip in vips:
            c.ask(vip)
            c.connect(vip, 2, port=443)
    ask()
    lines = c.lb1.run('ipvsadm -Lnc').out.splitlines()
    servers = {line.split()[5].rsplit(':', 1)[0] for line in lines if ' ESTABLISHED ' in line or
               ' TIME_WAIT ' in line or ' FIN_WAIT ' in line}
    equal(len(servers), 2, f'servers of one client by IPv4 and IPv6 ({servers})')
    _out_and_in(c, '80', lambda is_back: c.world(
        'firewall', name='rs1', rules='' if is_back else 'table inet f { chain i { type filter '
        'hook input priority 0\ntcp dport 443 drop\n}\n}\n'), ask)


def _out_and_in(c, service, turn, ask):
    """rs1 fails its check and is out of the services whose names begin like this, which the
    other server still answers; then it is well again."""
    def weights():
        return c.lb1.weights(service, ('10.0.0.11:', '[fd00::11]:'))

    turn(is_back=False)
    until(lambda: not any(weights()), 90, 'rs1 is out')
    ask()
    turn(is_back=True)
    until(lambda: all(weights()), 90, 'rs1 is in again')


UNABLE = {'no_declarations': (NO_RULES, 'declares no service', REPAIR_RULES),
          'other_module': (OTHER_MODULE, 'cannot be loaded', REPAIR_MODULE)}


@long
@each(UNABLE)
def test_boot_with(c, what):
    """The same with an empty file of rules, and with another kernel's module."""
    prepare, why, repair = UNABLE[what]
    c.settle(c.lb2)
    c.lb1.machine.power_off()
    _never_master(c, prepare, why)
    _repair(c, repair)


# 200 connections, every third one IPv6 where the kind has both
KINDS = {'download': 30, 'upload': 30, 'push': 40, 'echo': 40, 'idle': 30, 'udp': 26, 'ssh': 4}
NEW = 2000
REPORT = '# {:14} {:>11} {:>6} {:>14} {:>14}  {}'


def _open(c, kinds):
    """Connections of all kinds, which the backup knows. What others have left goes before: a node
    whose keepalived was stopped does not hear how its connections ended elsewhere."""
    for node in c.nodes:
        node.end_connections()
    c.world('open', vip=VIP, vip_v6=VIP_V6, counts=kinds)
    c.world('settle', seconds=3, timeout=120)
    _await_synced(c, sum(kinds.values()))


def _await_synced(c, count):
    """Every connection of the master is known to the backup."""
    master = next(node for node in c.nodes if node.is_master())
    backup = c.other(master)

    def known():
        """That is so, and they are as many as they should be."""
        ours = master.connections()
        return len(ours) >= count and ours <= backup.connections()
    until(known, 90, f'{backup.name} knows {count} connections')


def _survived(c, title, gap):
    """Print how every kind got over it, and want that none is lost."""
    rows = c.world('report', timeout=60)
    print(f'# {title}: nobody answered for {gap} ms')
    print(REPORT.format('kind', 'connections', 'lost', 'median gap, ms', 'longest gap, ms', ''))
    for kind, (count, lost, median, longest, why) in sorted(rows.items()):
        print(REPORT.format(kind, count, lost, median, longest, why), flush=True)
    return {kind: [row[1], row[4]] for kind, row in rows.items() if row[1]}


def _over(c, title, act, to):
    """Do something to the master while everything goes on; returns what was lost."""
    c.world('probe_begin', vip=VIP)
    c.world('mark')
    act()
    c.await_master(to)
    c.connect(VIP, 1)
    gap = c.world('probe_end')
    return _survived(c, title, gap)


@long
@each(['stopped', 'power_off', 'outer_cut', 'inner_cut'])
def test_failover(c, how):
    """200 connections of all kinds go on at the other node, and 2 000 new ones succeed there on
    their first SYN."""
    c.settle()
    alarms = c.alarms()
    _open(c, KINDS)
    act = {'stopped': lambda: c.lb1.run('systemctl stop keepalived'),
           'power_off': c.lb1.machine.power_off,
           'outer_cut': lambda: c.lb1.machine.set_link('outer', False),
           'inner_cut': lambda: c.lb1.machine.set_link('inner', False)}[how]
    try:
        lost = _over(c, how.replace('_', ' '), act, c.lb2)
        began = time.monotonic()
        result = c.world('connect', address=VIP, count=NEW, timeout=60)
        print(f'# {NEW} new connections after it in {time.monotonic() - began:.0f} s: {result}')
    finally:
        c.world('close')
        if c.lb1.is_up:
            for card in ('outer', 'inner'):
                c.lb1.machine.set_link(card, True)
    equal(lost, {}, 'connections lost')
    equal(result['failed'], 0, f'new connections that failed ({result["error"]})')
    c.no_alarm_since(alarms)


@long
def test_fail_back(c):
    """The connections go to the other node and back again, as those do that are made there."""
    c.settle()
    alarms = c.alarms()
    _open(c, KINDS)
    try:
        lost = _over(c, 'to lb2', lambda: c.lb1.run('systemctl stop keepalived'), c.lb2)
        equal(lost, {}, 'connections lost on the way to lb2')
        c.world('open', vip=VIP, vip_v6=VIP_V6, counts={'echo': 20})
        c.lb1.run('systemctl start keepalived')
        until(lambda: c.lb1.vrrp() == 'BACKUP', 60, 'lb1 is backup')
        c.world('settle', seconds=3, timeout=120)
        _await_synced(c, sum(KINDS.values()) + 20)
        lost = _over(c, 'back to lb1', lambda: c.lb2.run('systemctl stop keepalived'), c.lb1)
    finally:
        c.world('close')
    equal(lost, {}, 'connections lost on the way back')
    c.no_alarm_since(alarms)


@long
def test_runbook(c):
    """The upgrade of docs/high-availability.md: the backup is rebooted, the connections move
    there, the other one is rebooted, they move back. None is lost."""
    kinds = {kind: count // 3 for kind, count in KINDS.items()}
    c.settle()
    _open(c, kinds)
    try:
        for old, new in ((c.lb1, c.lb2), (c.lb2, c.lb1)):
            new.reboot()
            until(lambda n=new: n.vrrp() == 'BACKUP', 120, f'{new.name} is backup')
            c.world('report')       # the idle ones speak once, and are told
            _await_synced(c, sum(kinds.values()))
            lost = _over(c, f'to {new.name}', lambda o=old: o.run('systemctl stop keepalived'), new)
            equal(lost, {}, f'connections lost on the way to {new.name}')
            old.run('systemctl start keepalived')
    finally:
        c.world('close')
