# SPDX-License-Identifier: GPL-2.0
"""What keepalived-conf/ ships, without a cluster: the examples, the rules, the two checks, the
metrics. The cluster itself: lab/cluster/."""
import contextlib
import fcntl
import glob
import importlib.machinery
import importlib.util
import io
import os
import re
import shutil
import sys

from lib import *
from lib import basics

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
    path = t.lb.write('rules', text)
    return t.lb.run([f'{CONF}/ipvs-fullnat-rules', '-f', path, *(words or ('load',))], **options)


def program():
    """ipvs-fullnat-rules as a module, to start it often."""
    if 'ipvs_fullnat_rules' not in sys.modules:
        loader = importlib.machinery.SourceFileLoader('ipvs_fullnat_rules',
                                                      f'{CONF}/ipvs-fullnat-rules')
        spec = importlib.util.spec_from_loader(loader.name, loader)
        sys.modules[loader.name] = importlib.util.module_from_spec(spec)
        loader.exec_module(sys.modules[loader.name])
    return sys.modules['ipvs_fullnat_rules']


def quick(t, text, *words):
    """What ipvs-fullnat-rules says on standard error, and why it fails ('': it does not)."""
    path = t.lb.path('wrong')
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)
    said, why = io.StringIO(), ''
    with t.lb, contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            program().main([*(words or ('-f', path, 'load'))])
        except program().Wrong as wrong:
            why = str(wrong)
    return said.getvalue(), why


def load(t, text):
    """Load these rules; nothing is said."""
    equal(quick(t, text), ('', ''), 'it says')


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


def test_rules_lips_stay(t):
    """Default LIPs that leave the file stay for a service of their family that IPVS still has,
    and the node may be master; unload leaves them, too."""
    install()
    four, six = '10.0.0.100', 'fd00::100'
    own = f'-P -z {four}\n-E {V4.service(80)} --fullnat\n'
    load(t, f'{own}-P -z {six}\n-E {V6.service(80)} --fullnat\n')
    t.lb.run(f'/usr/sbin/ipvsadm -A {V6.service(80)}')
    for command, left in (('load', True), ('unload', False), ('load', True)):
        said = quick(t, own, '-f', t.lb.path('wrong'), command)[0]
        check(f'{V6.service(80)} stays FULLNAT' in said, f'{command}: {said}')
        equal([f'-P -z {lip}' in saved(t) for lip in (four, six)], [left, True],
              f'LIPs after {command}')
    t.lb.run(f'{SCRIPTS}/check-node')
    t.lb.run(f'/usr/sbin/ipvsadm -D {V6.service(80)}')
    load(t, own)
    equal(saved(t), own.splitlines(), 'without the service')


def test_rules_one_at_a_time(t):
    """Who loads while another one loads waits, and then takes the file as it is by then."""
    load(t, '-P -z 10.0.0.100\n-E --vips 203.0.113.0/24 --fullnat\n')
    before = saved(t)
    path = t.lb.write('rules', '-P -z 10.0.0.101\n')
    for command in ('load', 'unload'):
        with open('/run/ipvs-fullnat.lock', 'w', encoding='ascii') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            other = t.lb.spawn([f'{CONF}/ipvs-fullnat-rules', '-f', path, command])
            until(lambda one=other: str(one.pid) in waiters('WRITE') or one.poll() is not None,
                  what='it waits')
            t.lb.write('rules', before[0].replace('100', '102') + f'\n{before[1]}\n')
            equal(saved(t), before, f'{command}: meanwhile')
        equal(other.wait(30), 0, f'exit status of {command}')
        before = saved(t)
        equal(len(before), 2 if command == 'load' else 0, f'lines after {command}: {before}')
        check(not before or before[0] == '-P -z 10.0.0.102', f'{before}')
    program().LOCK = '/nosuch/lock'     # who is not root has another reason
    why = quick(t, RULES)[1]
    check('/nosuch/lock: No such file' in why and 'by root' in why, f'without a lock: {why!r}')


def shown(t):
    """How the real servers are reached."""
    return re.findall(r'-> \S+:\d+ +(\S+)', t.lb.run('ipvsadm -Ln').out)


def test_rules_prefix(t, family):
    """A prefix of VIPs leaves the file and stays in the kernel as long as a service of IPVS is
    FULLNAT by nothing else: it would be plain NAT."""
    prefix = {'v4': '203.0.113.0/24', 'v6': '2001:db8:f::/64'}[family.name]
    wider = {'v4': '203.0.112.0/23', 'v6': '2001:db8::/32'}[family.name]
    other = f'-P -z {family.lip}\n-E {family.service(443)} --fullnat\n'
    quick(t, f'{other}-E --vips {prefix} --fullnat --conn-timeout 60\n'
             f'-P --vips {prefix} -z {family.lip2}\n')
    t.lb.run(f'/usr/sbin/ipvsadm -A {family.service(80)}; '
             f'/usr/sbin/ipvsadm -a {family.service(80)} -r {address_port(family.rs1, 80)} -m')
    equal(shown(t), ['FullNat'], 'with the prefix')
    for command in ('load', 'unload'):
        said = quick(t, other, '-f', t.lb.path('wrong'), command)[0]
        check(f'--vips {prefix} stays FULLNAT as long as IPVS has {family.service(80)}'
              in said, f'{command}: no note: {said}')
        equal(shown(t), ['FullNat'], f'after {command} without the prefix')
        check(f'-P --vips {prefix} -z {family.lip2}' in saved(t), f'{command}: its LIP')
    for instead in (f'-E --vips {wider} --fullnat', f'-E {family.service(80)} --fullnat'):
        quick(t, f'{other}-E --vips {prefix} --fullnat\n')
        equal(quick(t, f'{other}{instead}\n'), ('', ''), f'with {instead} instead')
        equal(shown(t), ['FullNat'], f'with {instead} instead')
        check(not any(prefix in line for line in saved(t)), f'{instead}: {prefix} is left')
    t.lb.run(f'/usr/sbin/ipvsadm -D {family.service(80)}')
    equal(quick(t, other), ('', ''), 'without the service')
    equal(saved(t), [f'-P -z {family.lip}', f'-E {family.service(443)} --fullnat'], 'at last')


WRONG = ('-A -t 203.0.113.81:80 -s rr --fullnat', '-E -t 203.0.113.81:80', '-E -t foo:80 --fullnat',
         '-P -z 10.0.0.9-3', '-P -z', '-P -z 10.0.0.1:70000-1', '-P -z 10.0.0.0/8', '-P -z -1', '"',
         '-E -t 203.0.113.81:99999 --fullnat', '-E -t 203.0.113.81:80 --fullnat --toa 7',
         '-P -t 203.0.113.99:80 -z 10.0.0.1', '-E -t 203.0.113.80:80 --fullnat', 'rm -rf /',
         '-E -t \u00e9:80 --fullnat', '-E -f 0 --fullnat', '-P -z ' + 'x' * 5000,
         # what only the kernel or ipvsadm -R would refuse
         '-P -z 127.0.0.1', '-P -z 224.0.0.1', '-P -z ::1', '-P -z fe80::1', '-P -z fe80::1%lo',
         '-P -z ::ffff:10.0.0.9', '-P -z 126.255.255.250-127.0.0.3', '-P -z 10.0.0.101',
         '-P -t 203.0.113.80:80 -z 10.0.0.101:20000-30000', '-P -t 203.0.113.80:80 -z fd00::9',
         '-P -z 10.0.0.90-10.0.0.110:20000-30000', '-P -z [fd00::1-fd00::1000]:20000-30000',
         '-E -t 203.0.113.81:80 --fullnat --toa 253', '-E -f 9 -6 --fullnat --toa 200',
         '-E -t 203.0.113.81:80 --fullnat --toa off --toa 254',
         '-E -u 203.0.113.81:80 --fullnat --toa 254',
         '-E -u 203.0.113.81:80 --fullnat --timestamps pass',
         '-E -t 203.0.113.81:80 --fullnat --timestamps keep',
         '-E -t 203.0.113.81:80 --fullnat --conn-timeout 2678401',
         '-E -t 203.0.113.81:80 --fullnat --conn-timeout -1',
         '-E -t 203.0.113.81:80 --fullnat --conn-timeout ""', '-E --vips 0.0.0.0/0 --fullnat',
         '-E --vips 203.0.113.0 --fullnat', '-E --vips 203.0.113.1/24 --fullnat',
         '-E -t [fe80::80%lo]:80 --fullnat', '--secret-file /nosuch', '--secret-file secret',
         '--secret-file "/a secret"', '--secret-file /dev/null', '--secret-file /etc/passwd')


def test_rules_wrong(t):
    """A wrong line is named, by --test too, and nothing has changed."""
    rules(t, RULES)
    before = saved(t)
    number = RULES.count('\n') + 1
    path = t.lb.path('wrong')
    for line in WRONG:
        said, why = quick(t, f'{RULES}{line}\n')
        check(why.startswith(f'{path}, line {number}: '), f'{line}: it says {why}')
        equal(quick(t, f'{RULES}{line}\n', '--test', path), (said, why), f'{line}: --test')
    equal(saved(t), before, 'ipvsadm -S after all of them')
    for words in (['-f', path, 'load'], ['--test', path]):
        done = t.lb.run([f'{CONF}/ipvs-fullnat-rules', *words], check=False)
        equal((done.rc, done.text), (1, f'ipvs-fullnat-rules: {why}\n'), f'{words}')


# beside other ports for what is there already, which must go before these can come
UNLOADABLE = {
    'no_secret': '--secret-file /nosuch', 'an_open_secret': '--secret-file {open}',
    'an_unusable_LIP': '-P -z 127.0.0.1',
    'two_ranges_of_ports': '-P -t 203.0.113.80:80 -z 10.0.0.100:30000-40000',
    'a_default_entry_too_many': '\n'.join(f'-E --vips 10.{n}.0.0/16 --fullnat' for n in range(65))}


@each(UNLOADABLE)
def test_rules_refused(t, what):
    """A load that is refused is not half applied: the pool is what it was. A line that only the
    kernel refuses is named as it stands in the file."""
    secret = t.lb.path('open')
    with open(secret, 'w', encoding='ascii') as file:
        file.write('a secret of the cluster')
    os.chmod(secret, 0o644)
    load(t, RULES)
    before = saved(t)
    text = RULES.replace(':10000-65535', ':20000-65535') + UNLOADABLE[what].format(open=secret)
    why = quick(t, text + '\n')[1]
    equal(saved(t), before, f'the table; it says {why}')
    found = re.match(r'.*/wrong, line (\d+): (.*)', why)
    check(found, f'{what}: it says {why}')
    line = text.splitlines()[int(found[1]) - 1]
    check(line in UNLOADABLE[what].format(open=secret), f'{what}: it names {line}')
    if what == 'a_default_entry_too_many':
        check(found[2].startswith(f'{line}: ') and '64 default entries' in found[2] and
              'nothing of them is applied' in found[2], f'it says {why}')
        load(t, RULES.replace(':10000-65535', ':20000-65535'))
        check('-P -z 10.0.0.100-10.0.0.103:20000-65535' in saved(t), f'other ports: {saved(t)}')


def test_rules_other_pool(t):
    """A LIP moves to another pool, with other ports."""
    load(t, RULES)
    load(t, RULES.replace('10.0.0.100-', '10.0.0.101-') +
         '-P -t 203.0.113.80:80 -z 10.0.0.100:20000-30000\n')
    check({'-P -z 10.0.0.101-10.0.0.103:10000-65535',
           '-P -t 203.0.113.80:80 -z 10.0.0.100:20000-30000'} <= set(saved(t)), f'{saved(t)}')


def test_rules_marks(t):
    """The largest marks, twice, and what check-node says of them."""
    install()
    text = '-P -z 10.0.0.100\n-P -z fd00::100\n-E -f 2147483648 --fullnat\n' \
           '-E -f 4294967295 -6 --fullnat\n'
    load(t, text)
    t.lb.run('/usr/sbin/ipvsadm -A -f 2147483648; '
             '/usr/sbin/ipvsadm -a -f 2147483648 -r 10.0.0.11:0 -m')
    load(t, text)
    t.lb.run(f'{SCRIPTS}/check-node')
    equal(shown(t), ['FullNat'], 'method')


def test_settings_with_late_module(t):
    """The module comes after boot: its settings come with it, once."""
    wanted = {'sync_refresh_period': '10', 'sync_threshold': '3\t0'}
    run('modprobe -r ip_vs_fullnat; modprobe ip_vs', check=False)
    shutil.copy(f'{CONF}/sysctl.conf', '/usr/lib/sysctl.d/60-ipvs-fullnat.conf')
    local = '/etc/sysctl.d/99-wrong.conf'
    try:
        for name, value in (('sync_refresh_period', 0), ('sync_threshold', '3 50')):
            t.lb.sysctl(f'net.ipv4.vs.{name}', value)
        load(t, RULES)
        equal({name: t.lb.sysctl(f'net.ipv4.vs.{name}') for name in wanted}, wanted, 'settings')
        t.lb.sysctl('net.ipv4.vs.sync_refresh_period', 20)
        load(t, RULES)
        equal(t.lb.sysctl('net.ipv4.vs.sync_refresh_period'), '20', 'after a reload')
        t.lb.run('ipvsadm -C')
        until(lambda: not run('modprobe -r ip_vs_fullnat', check=False).rc, what='it unloads')
        with open(local, 'w', encoding='ascii') as file:
            file.write('net.ipv4.vs.sync_version = 77\n')
        said = quick(t, RULES)
        check('not all settings of IPVS could be made' in said[0] and not said[1], f'{said}')
    finally:
        for path in (local, '/usr/lib/sysctl.d/60-ipvs-fullnat.conf'):
            if os.path.exists(path):
                os.unlink(path)


def test_check_other_node(t):
    """Another node's file and the number of its kernel's secret come on standard input, as ssh
    would fetch them: what differs is said, also if only the secrets do."""
    def differs(text):
        done = rules(t, own, '--check', '-', stdin=text, check=False)
        return done.rc, done.out.splitlines()

    secret = t.lb.write('secret', 'a secret of the cluster', 0o600)
    own = RULES + f'--secret-file {secret}\n'
    rules(t, own)
    line = next(line for line in t.lb.proc_net('ip_vs_fullnat').splitlines()
                if line.startswith('secret '))
    number = line.split()[1]
    same = f'{own}\n# secret in the kernel: {number}\n'
    with open(t.lb.path('other'), 'w', encoding='ascii') as file:
        file.write(same)
    equal(differs(own), (0, []), 'the same file')
    equal(differs(same), (0, []), 'the same file and secret')
    code, said = differs(same.replace('-f 7 -6', '-f 8 -6'))
    equal((code, said), (1, ['only here: -E -f 7 -6 --fullnat', 'only in -: -E -f 8 -6 --fullnat']),
          'another mark')
    for other in ('random', '0badcafe'):
        code, said = differs(same.replace(number, other))
        equal((code, len(said)), (1, 1), f'{other}: exit status and lines ({said})')
        check(f'{number} here, {other} in -' in said[0], f'{other}: it says {said}')
    # a module of before there were secrets, which no kernel here has
    program().KERNEL = '/dev/null'
    why = quick(t, own, '-f', t.lb.path('wrong'), '--check', t.lb.path('other'))[1]
    check('older than this program' in why, f'it says {why}')


REMOTE = '''#!/bin/sh
[ ! -e {hide} ] || SSH_ORIGINAL_COMMAND=$(
	echo "$SSH_ORIGINAL_COMMAND" | sed s,/proc/net/ip_vs_fullnat,/nowhere,g)
exec sh -c "$SSH_ORIGINAL_COMMAND"
'''


@contextlib.contextmanager
def lb2_by_ssh(t):
    """`ssh lb2` leads to the real server's namespace, which has its own table of the module;
    with the file `hide`, its module is not to be seen."""
    key, hide = t.rs1.path('key'), t.rs1.path('hide')
    run(f'ssh-keygen -q -t ed25519 -N "" -f {key}')
    os.makedirs('/run/sshd', exist_ok=True)
    os.makedirs('/root/.ssh', exist_ok=True)
    with open('/root/.ssh/config', 'w', encoding='ascii') as file:
        file.write(f'Host lb2\n HostName {RS1}\n User root\n IdentityFile {key}\n'
                   ' LogLevel ERROR\n StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n')
    with open(t.rs1.path('command'), 'w', encoding='ascii') as file:
        file.write(REMOTE.format(hide=hide))
    os.chmod(file.name, 0o755)
    sshd = t.rs1.spawn(['/usr/sbin/sshd', '-D', '-e', '-f', '/dev/null', '-h', key, '-o',
                        f'AuthorizedKeysFile={key}.pub', '-o', 'StrictModes=no', '-o',
                        'PermitRootLogin=yes', '-o', f'ForceCommand={file.name}'])
    t.rs1.wait_listening(22)
    try:
        yield sshd, hide
    finally:
        os.unlink('/root/.ssh/config')
        shutil.rmtree('/etc/ipvs-fullnat', ignore_errors=True)


def test_check_by_ssh(t):
    """--check HOST: the other node's file and secret by a real ssh; what cannot be had is said."""
    secret = t.lb.path('secret')

    def load_there(value):
        t.lb.write('secret', value, 0o600)
        t.rs1.run([f'{CONF}/ipvs-fullnat-rules', 'load'])

    def says():
        done = rules(t, own, '--check', 'lb2', check=False)
        check('Traceback' not in done.text, done.text)
        return done.rc, done.text

    own = f'{RULES}--secret-file {secret}\n'
    with lb2_by_ssh(t) as (sshd, hide):
        os.makedirs('/etc/ipvs-fullnat', exist_ok=True)
        with open('/etc/ipvs-fullnat/rules', 'w', encoding='ascii') as file:
            file.write(own)
        load_there('a secret of the cluster')
        rules(t, own)
        equal(says(), (0, ''), 'the same')
        load_there('another secret of it')
        code, text = says()
        check(code == 1 and re.fullmatch(r'secret in the kernel: \w+ here, \w+ in lb2: .*\n', text),
              f'another secret: {code}, {text}')
        with open(hide, 'w', encoding='ascii'):
            code, text = says()
        check(code == 1 and 'here, none (ip_vs_fullnat is not loaded) in lb2' in text,
              f'no module there: {code}, {text}')
        os.unlink('/etc/ipvs-fullnat/rules')
        code, text = says()
        check(code == 1 and '/etc/ipvs-fullnat/rules: No such file' in text, f'no file: {text}')
        t.rs1.stop(sshd)
        code, text = says()
        check(code == 1 and 'Connection refused' in text, f'nobody there: {code}, {text}')


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


def test_check_node_sorry_server(t):
    """A server of the node itself is IPVS's own business in every FULLNAT service, also in those
    that are FULLNAT by a prefix or a scheduler; not where a service is plain NAT."""
    install()
    load(t, '-P -z 10.0.0.100\n-E --vips 203.0.113.0/24 --fullnat\n')
    for service in ('-t 203.0.113.80:80', '-t 192.0.2.80:80 -s fullnat'):
        name = ' '.join(service.split()[:2])
        t.lb.run(f'ipvsadm -A {service}; ipvsadm -a {name} -r 10.0.0.11:80 -m; '
                 f'ipvsadm -a {name} -r 10.0.0.254:8080 -m')
    equal(sorted(shown(t)), ['FullNat', 'FullNat', 'Local', 'Local'], 'methods')
    t.lb.run(f'{SCRIPTS}/check-node')
    t.lb.run('ipvsadm -A -t 192.0.2.81:80; ipvsadm -a -t 192.0.2.81:80 -r 10.0.0.254:8080 -m')
    said = t.lb.run(f'{SCRIPTS}/check-node', check=False).err
    check('-t 192.0.2.81:80 is plain NAT' in said, f'it says {said!r}')


def test_check_node_without_awk(t):
    """Who cannot look at the table does not know that all is well."""
    install()
    load(t, RULES)
    t.lb.write('awk', '#!/bin/sh\nexit 1\n', 0o755)
    script = t.lb.path('check-node')
    t.lb.run(f'sed s,^PATH=,PATH={t.lb.path("")}:, {SCRIPTS}/check-node >{script}')
    done = t.lb.run(f'sh {script}', check=False)
    check(done.rc == 1 and 'its look at the table fails' in done.err, done.text)


def waiters(kind):
    """Who waits for a lock of a file: PIDs."""
    with open('/proc/locks', encoding='ascii') as file:
        return re.findall(rf'-> FLOCK +ADVISORY +{kind} +(\d+)', file.read())


def waiter():
    """Who waits for a lock, and is not the one that waited last time: its PID, or None."""
    return next(iter(waiters('READ')), None)


def test_check_node_waits(t):
    """A load that is under way, with everything half done, is waited for; one that takes longer
    than that is no reason either, if all is well when it is looked at again."""
    install()
    load(t, RULES)
    with open('/run/ipvsadm.lock', 'w', encoding='ascii') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        t.lb.run('ipvsadm -Q -z 10.0.0.100-103')
        node = t.lb.spawn(f'{SCRIPTS}/check-node')
        first = until(waiter, what='check-node waits for the lock')
        until(lambda: waiter() not in (None, first) or node.poll() is not None,
              what='it looks a second time')
        equal(node.poll(), None, 'exit status after the first look')
        t.lb.run('ipvsadm -P -z 10.0.0.100-103:10000-65535')
    equal(node.wait(30), 0, 'exit status')


def test_check_node_beside_loads(t):
    """check-node while rules are loaded that change every port of every LIP: nothing is wrong."""
    install()
    many = RULES + ''.join(f'-E -t 203.0.113.81:{port} --fullnat\n' for port in range(1, 50))
    load(t, many)
    stop = t.lb.path('stop')
    node = t.lb.spawn(f'while [ ! -e {stop} ]; do {SCRIPTS}/check-node || exit 1; done')
    for first in (11000, 12000, 13000, 14000):
        load(t, many.replace(':10000-', f':{first}-'))
    with open(stop, 'w', encoding='ascii'):
        pass
    equal(node.wait(60), 0, 'exit status of check-node')


def test_metrics_of_many(t):
    """Thousands of LIPs are written within the time that the timer leaves."""
    lines = ''.join(f'laddr 10.0.{n >> 8}.{n & 255} ports 1025-65535 local conns {n} conflicts 0\n'
                    for n in range(1 << 14))
    table, script = t.lb.path('table'), t.lb.path('textfile')
    for path, text in ((table, lines), (table + '_stats', 'conns 1\n')):
        with open(path, 'w', encoding='ascii') as file:
            file.write(text)
    t.lb.run(f'sed s,^balancer=.*,balancer={table}, {CONF}/monitoring/textfile >{script}')
    out = t.lb.run(f'sh {script}', timeout=10).out.splitlines()
    for metric in ('local', 'ports', 'conns', 'conflicts'):
        found = [line for line in out if line.startswith(f'ipvs_fullnat_laddr_{metric}{{')]
        equal(len(found), 1 << 14, f'lines of {metric}')
    check('ipvs_fullnat_laddr_conns{address="10.0.63.255",ports="1025-65535"} 16383' in out,
          f'the last one: {out[-1]}')


def test_metrics_in_time(t):
    """One that systemd ends, since it took too long, leaves nothing behind."""
    target = t.lb.path('metrics')
    os.makedirs(target)
    t.lb.write('check-node', '#!/bin/sh\nsleep 100\n', 0o755)      # beside it, as installed
    load(t, RULES)
    writer = t.lb.spawn(['sh', shutil.copy(f'{CONF}/monitoring/textfile', t.lb.path('')), target])
    until(lambda: os.listdir(target), what='it writes')
    t.lb.run(f'pkill -TERM -P {writer.pid}; kill -TERM {writer.pid}')
    equal((writer.wait(30), os.listdir(target)), (143, []), 'exit status, files')


def test_metrics_where_others_write(t):
    """Another user could put a link in the file's place: nothing is written there."""
    install()
    target = t.lb.path('metrics')
    os.makedirs(target)
    for prepare in (lambda: os.chmod(target, 0o777),
                    lambda: (os.chmod(target, 0o755), os.chown(target, 65534, 65534))):
        prepare()
        done = t.lb.run(f'{SCRIPTS}/textfile {target}', check=False)
        check(done.rc == 1 and 'others can write there' in done.err, done.text)
        equal(os.listdir(target), [], 'files')


def test_lock_of_nobody(t):
    """Who is not root cannot keep the rules from being loaded."""
    load(t, RULES)
    lock = program().LOCK
    os.chmod(lock, 0o644)       # as older releases left it
    load(t, RULES)
    equal(oct(os.stat(lock).st_mode & 0o777), '0o600', 'mode of the lock')


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
    command = f'{CONF}/check-from-lip --timeout {basics.SCALE:.0f}'
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
    unreachable = {'v4': '192.0.2.1', 'v6': '2001:db8:99::1'}[family.name]
    for lip, nonlocal_bind in ((family.lip2, 0), (family.lip2, 1), (unreachable, 1)):
        for version in ('ipv4', 'ipv6'):
            t.lb.sysctl(f'net.{version}.ip_nonlocal_bind', nonlocal_bind)
        what = f'{lip}, ip_nonlocal_bind {nonlocal_bind}'
        t.lb.run(f'{command} {lip} {family.rs1} 80')
        equal(t.lb.run(f'{command} --absent down {lip} {family.rs1} 80', check=False).rc, 1,
              f'--absent down: {what}')
        t.lb.run(f'{command} --absent up {lip} {family.rs1} 81')
    equal(t.lb.run(f'{command} {family.lip2} {family.rs1} 81', check=False).rc, 1, 'refused')
    done = t.lb.run(f'{command} junk {family.rs1} 80', check=False)
    check(done.rc == 1 and 'junk' in done.err and 'Traceback' not in done.err, f'{done.err}')
