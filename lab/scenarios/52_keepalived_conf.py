# SPDX-License-Identifier: GPL-2.0
"""What keepalived-conf/ ships, without a cluster: the examples, the rules, the two checks, the
metrics. The cluster itself: lab/cluster/."""
import glob
import os
import shutil

from lib import *

CONF = '/srv/fullnat/keepalived-conf'
SCRIPTS = '/usr/lib/ipvs-fullnat'
RULES = '''
-P -z 10.0.0.100-10.0.0.103:10000-65535
-P -z [fd00::100-fd00::101]:10000-65535     # both families
-E -t 203.0.113.80:80 --fullnat
-E -t 203.0.113.80:8000 --fullnat --toa 254
-E -f 7 -6 --fullnat
'''


def install():
    """The scripts, where the configurations expect them."""
    os.makedirs(SCRIPTS, exist_ok=True)
    for name in ('check-node', 'check-from-lip', 'monitoring/textfile'):
        shutil.copy(f'{CONF}/{name}', SCRIPTS)
    for path in ('/', '/usr', '/usr/lib', SCRIPTS):     # else no script runs
        os.chown(path, 0, 0)


def rules(t, text, *words, **options):
    """Run ipvs-fullnat-rules with a file of this text."""
    path = t.lb.path('rules')
    with open(path, 'w', encoding='ascii') as file:
        file.write(text)
    return t.lb.run([f'{CONF}/ipvs-fullnat-rules', '-f', path, *(words or ('load',))], **options)


def saved(t):
    """The kernel's table."""
    return t.lb.run('ipvsadm -Sn').out.splitlines()


@each([path.split('/')[-2] for path in sorted(glob.glob(f'{CONF}/examples/*/keepalived.conf'))]
      or ['none'])
def test_example(t, name):
    """keepalived finds nothing to say about it, on either node, and its rules can be loaded; what
    it has as virtual servers is declared, and nothing else."""
    install()
    path = f'{CONF}/examples/{name}'
    before = run('hostname').out.strip()
    try:
        for node in ('lb1', 'lb2'):
            run(['hostname', node])
            # With a MISC_CHECK 2.2.7 ends its test by a SIGTERM to its own group
            done = t.lb.run(f"trap '' TERM; keepalived -t -f {path}/keepalived.conf")
            equal(done.text, '', 'keepalived says')
    finally:
        run(['hostname', before])
    with open(f'{path}/rules', encoding='ascii') as file:
        rules(t, file.read())
    declared = sum(line.startswith('-E') for line in saved(t))
    with open(f'{path}/keepalived.conf', encoding='ascii') as file:
        text = file.read()
    servers = text.count('\nvirtual_server ')
    if name == 'groups':    # one group: .80, .81 twice, .82 and .83
        servers = 5
    equal(declared, servers, 'declared services')
    check(name != 'fwmark' or t.lb.run(f'nft -c -f {path}/nftables.conf').rc == 0, 'nftables.conf')


def test_rules_load(t):
    """Twice is the same as once; what leaves the file leaves the kernel, but not the declaration
    of a service that IPVS has; ports of a LIP change."""
    rules(t, RULES)
    before = saved(t)
    equal(before, ['-P -z 10.0.0.100-10.0.0.103:10000-65535',
                   '-P -z [fd00::100-fd00::101]:10000-65535',
                   '-E -t 203.0.113.80:80 --fullnat',
                   '-E -t 203.0.113.80:8000 --fullnat --toa 254', '-E -f 7 -6 --fullnat'],
          'ipvsadm -S')
    rules(t, RULES)
    equal(saved(t), before, 'the second time')
    t.lb.run('/usr/sbin/ipvsadm -A -t 203.0.113.80:80 -s rr')
    less = '-P -z 10.0.0.101:20000-30000\n-P -z 10.0.0.102:10000-65535\n-E -t 203.0.113.80:8000 --fullnat\n'
    done = rules(t, less)
    check('203.0.113.80:80 stays FULLNAT' in done.err, f'no note: {done.err}')
    equal(saved(t), ['-P -z 10.0.0.101:20000-30000', '-P -z 10.0.0.102:10000-65535',
                     '-A -t 203.0.113.80:80 -s rr --fullnat', '-E -t 203.0.113.80:8000 --fullnat'],
          'with a smaller file')
    t.lb.run('/usr/sbin/ipvsadm -D -t 203.0.113.80:80')
    rules(t, less)
    equal(saved(t)[2:], ['-E -t 203.0.113.80:8000 --fullnat'], 'without the service')
    rules(t, less, 'unload')
    equal(saved(t), [], 'after unload')


WRONG = ('-A -t 203.0.113.81:80 -s rr --fullnat', '-E -t 203.0.113.81:80', '-E -t foo:80 --fullnat',
         '-P -z 10.0.0.9-3', '-P -z', '-P -z 10.0.0.1:70000-1', '-P -z 10.0.0.0/8', '-P -z -1', '"',
         '-E -t 203.0.113.81:99999 --fullnat', '-E -t 203.0.113.81:80 --fullnat --toa 7',
         '-P -t 203.0.113.99:80 -z 10.0.0.1', '-E -t 203.0.113.80:80 --fullnat', 'rm -rf /',
         '-E -t \u00e9:80 --fullnat', '-E -f 0 --fullnat', '-P -z ' + 'x' * 5000)


def test_rules_wrong(t):
    """A wrong line is named, and nothing has changed."""
    rules(t, RULES)
    before = saved(t)
    path = t.lb.path('wrong')
    for line in WRONG:
        with open(path, 'w', encoding='utf-8') as file:
            file.write(RULES + line + '\n')
        done = t.lb.run([f'{CONF}/ipvs-fullnat-rules', '-f', path, 'load'], check=False)
        equal(done.rc, 1, f'exit status of {line}')
        check(done.err.startswith('ipvs-fullnat-rules: ') and 'Traceback' not in done.err,
              f'{line}: it says {done.err}')
        equal(saved(t), before, f'ipvsadm -S after {line}')


def test_check_other_node(t):
    """Another node's file and the number of its kernel's secret come on standard input, as ssh
    would fetch them: what differs is said, also if only the secrets do."""
    def differs(text):
        done = rules(t, own, '--check', '-', stdin=text, check=False)
        return done.rc, done.out.splitlines()

    secret = t.lb.path('secret')
    with open(secret, 'w', encoding='ascii') as file:
        file.write('a secret of the cluster')
    os.chmod(secret, 0o600)
    own = RULES + f'--secret-file {secret}\n'
    rules(t, own)
    line = next(line for line in t.lb.proc_net('ip_vs_fullnat').splitlines()
                if line.startswith('secret '))
    number = line.split()[1]
    same = f'{own}\n# secret in the kernel: {number}\n'
    equal(differs(own), (0, []), 'the same file')
    equal(differs(same), (0, []), 'the same file and secret')
    code, said = differs(same.replace('-f 7 -6', '-f 8 -6'))
    equal((code, said), (1, ['only here: -E -f 7 -6 --fullnat', 'only in -: -E -f 8 -6 --fullnat']),
          'another mark')
    for other in ('random', '0badcafe'):
        code, said = differs(same.replace(number, other))
        equal((code, len(said)), (1, 1), f'{other}: exit status and lines ({said})')
        check(f'{number} here, {other} in -' in said[0], f'{other}: it says {said}')


def test_check_node(t):
    """Every reason for which a node must not be master."""
    install()

    def says():
        return t.lb.run(f'{SCRIPTS}/check-node', check=False).err.strip().removeprefix('check-node: ')

    shutil.rmtree('/run/ipvs-fullnat', ignore_errors=True)
    run('modprobe ip_vs_fullnat')
    check(says().startswith('no declarations were loaded'), 'without declarations')
    rules(t, RULES)
    equal(says(), '', 'with rules')
    t.lb.run('/usr/sbin/ipvsadm -A -t 203.0.113.81:25; '
             '/usr/sbin/ipvsadm -a -t 203.0.113.81:25 -r 10.0.0.11:25 -m')
    equal(says(), '-t 203.0.113.81:25 is plain NAT: declare it in /etc/ipvs-fullnat/rules', 'NAT')
    os.makedirs('/etc/ipvs-fullnat', exist_ok=True)
    with open('/etc/ipvs-fullnat/plain-nat', 'w', encoding='ascii') as file:
        file.write('# mail\n-t 203.0.113.81:25\n')
    try:
        equal(says(), '', 'NAT that is meant')
    finally:
        os.unlink('/etc/ipvs-fullnat/plain-nat')
    t.lb.run('/usr/sbin/ipvsadm -C')
    t.lb.run('/usr/sbin/ipvsadm -A -t 203.0.113.80:80; '
             '/usr/sbin/ipvsadm -a -t 203.0.113.80:80 -r 10.0.0.11:80 -m')
    equal(says(), '', 'a declared service of another client')
    t.lb.run('ipvsadm -Q -z fd00::100-fd00::101')
    equal(says(), '-f 7 -6 has no local address', 'without LIPs of the family')
    t.lb.run('ipvsadm -D -t 203.0.113.80:8000')
    check('-t 203.0.113.80:8000 is not declared any more' in says(), f'undeclared: {says()}')
    out = t.lb.run(f'{SCRIPTS}/textfile').out
    check('\nipvs_fullnat_up 0\n' in out, f'metrics: {out[:300]}')
    t.lb.run('ipvsadm -C')
    shutil.rmtree('/run/ipvs-fullnat')


def test_metrics(t):
    """What a scraper reads: every line is a comment, or a metric with a number; the numbers of a
    connection are right. The file appears as a whole."""
    install()
    rules(t, RULES)
    t.add_lip('10.0.0.100')
    t.lb.run('ipvsadm -A -t 203.0.113.80:8000; ipvsadm -a -t 203.0.113.80:8000 -r 10.0.0.11:8000')
    run('modprobe toa')
    t.rs1.peer_server(8000)
    t.client.ask(VIP, 8000, b'x')
    target = t.lb.path('metrics')
    os.makedirs(target)
    t.lb.run(f'{SCRIPTS}/textfile {target}')
    equal(os.listdir(target), ['ipvs-fullnat.prom'], 'files')
    with open(f'{target}/ipvs-fullnat.prom', encoding='ascii') as file:
        lines = file.read().splitlines()
    metrics = dict(line.rsplit(' ', 1) for line in lines if line[0] != '#')
    check(all(value.isdigit() for value in metrics.values()), f'no numbers: {metrics}')
    label = 'address="10.0.0.100",ports="10000-65535"'
    for name, value in ((f'ipvs_fullnat_laddr_local{{{label}}}', 1),
                        (f'ipvs_fullnat_laddr_ports{{{label}}}', 55536),
                        ('ipvs_fullnat_laddr_local{address="fd00::100",ports="10000-65535"}', 0),
                        ('ipvs_fullnat_service_conns{service="tcp 203.0.113.80:8000"}', 1),
                        ('ipvs_fullnat_total{name="conns_with_toa"}', 1),
                        ('ipvs_fullnat_up', 1)):
        equal(metrics.get(name), str(value), name)
    types = [line.split()[2] for line in lines if line.startswith('# TYPE')]
    equal(sorted(set(types)), sorted(types), 'one TYPE line for each metric')
    out = t.rs1.run(f'{SCRIPTS}/textfile').out
    check('\ntoa_total{name="stored"} 1\n' in out, f'real server: {out[:600]}')


def test_check_from_lip(t, family):
    """It connects from the LIP, below the LIP's ports: a LIP that is all FULLNAT's does not get
    its answers, and a firewall that does not admit the LIP is seen."""
    command = f'{CONF}/check-from-lip --timeout 1'
    target = f'{family.lip} {family.rs1} 80'
    lip = family.with_ports(10000, 65535)
    t.fullnat(80, family=family, servers=(family.rs1,), lips=())
    t.add_lip(family.lip)
    t.lb.run(f'ipvsadm -P {family.service(80)} -z {lip}')
    server = t.rs1.nginx()
    t.lb.run(f'{command} {target}')
    t.lb.run(f'{command} --http / {target}')
    own, port, _ = server.log()[-1]
    equal(own, family.lip, 'source of the check')
    check(1025 <= port <= 9999, f'source port {port}')
    done = t.lb.run(f'{command} --http /files/none {target}', check=False)
    check(done.rc == 1 and '404' in done.err, f'404: {done.text}')
    done = t.lb.run(f'{command} --ports 20000-30000 {target}', check=False)
    check(done.rc == 1 and 'timed out' in done.err, f'from a port of FULLNAT: {done.text}')
    t.rs1.nft(f'table {family.nft} f {{ chain i {{ type filter hook input priority 0\n'
              f'{family.nft} saddr {family.lip} drop\n}}\n}}\n')
    check(t.lb.run(f'{command} {target}', check=False).rc == 1, 'a firewall was not seen')
    absent = f'{family.lip2} {family.rs1} 80'
    t.lb.run(f'{command} {absent}')
    equal(t.lb.run(f'{command} --absent down {absent}', check=False).rc, 1, '--absent down')
    t.lb.run(f'{command} --absent up {family.lip2} {family.rs1} 81')
    equal(t.lb.run(f'{command} {family.lip2} {family.rs1} 81', check=False).rc, 1, 'refused')
