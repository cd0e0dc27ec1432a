# SPDX-License-Identifier: GPL-2.0
"""Two load balancers with systemd and keepalived, as an operator installs them, and the world
around them (world.py), each a machine of its own."""
import contextlib
import json
import os
import subprocess
import time

import vm
from lib import basics

VIP, VIP_V6 = '203.0.113.80', '2001:db8:f::80'
LIPS = ('10.0.0.100', '10.0.0.101', 'fd00::100', 'fd00::101')
CLIENT, CLIENT_V6 = '198.51.100.1', '2001:db8:c::1'
EXAMPLES = os.path.join(vm.TOP, 'keepalived-conf/examples')
NETWORK = '''# SPDX-License-Identifier: GPL-2.0
[Unit]
Description=The lab's addresses
DefaultDependencies=no
After=systemd-sysctl.service
Before=network-online.target
Wants=network-online.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -ec '\\
	ip link set outer up; ip link set inner up; \\
	ip addr add 203.0.113.{host}/24 dev outer; ip addr add 10.0.0.25{number}/24 dev inner; \\
	ip addr add 2001:db8:f::{host}/64 dev outer nodad; \\
	ip addr add fd00::25{number}/64 dev inner nodad; \\
	ip route add default via 203.0.113.1; ip route add default via 2001:db8:f::1'
[Install]
WantedBy=multi-user.target
'''
# keepalived writes what it knows when it is told to
VRRP_STATE = r'''
systemctl -q is-active keepalived || exit 0
rm -f /tmp/keepalived.data
kill -USR1 "$(cat /run/keepalived.pid)"
for _ in $(seq 50); do
	sed -n '/^ VRRP Instance = fullnat$/,/ State = /s/^ *State = //p' /tmp/keepalived.data | grep . && exit
	sleep 0.1
done 2>/dev/null
'''
ORDER_LIMIT = 300   # seconds for what the world is told to do
# of FULLNAT and of toa, see Cluster.alarms()
ALARMS = ('conns_without_toa', 'drop_exhausted', 'drop_no_laddr', 'drop_flow_limit', 'drop_nomem',
          'drop_no_route', *(f'sync_refused_{why}' for why in
                             ('no_record', 'malformed', 'version', 'no_laddr', 'collision',
                              'conflict', 'nomem')))
TOA_ALARMS = ('untrusted', 'malformed', 'bad_client', 'table_full', 'no_memory',
              'module_missed_instances', 'module_missed_probes')
QUIET_BOOT = 40     # seconds that the three take on two idle cores without KVM


class Node:
    """One of the load balancers."""

    def __init__(self, run, number, networks):
        self.number = number
        self.name = f'lb{number}'
        nics = [vm.Nic(network, network.name,
                       f'52:54:00:01:{network.index:02x}:{number:02x}') for network in networks]
        self.machine = run.vm(self.name, nics=nics, memory=384, systemd=True)
        self.kernel = run.kernel

    def install(self):
        """What "make install ROLE=lb" installs, the example configuration, and the network."""
        root = self.machine.rootfs()
        subprocess.run([os.path.join(vm.LAB, 'install'), root], check=True,
                       stderr=subprocess.DEVNULL,
                       env={**os.environ, 'BUILD': vm.BUILD, 'ROLE': 'lb',
                            'KERNEL_RELEASE': self.kernel.release})
        self.put('/etc/keepalived/keepalived.conf', example('keepalived.conf'))
        self.put('/etc/ipvs-fullnat/rules', example('rules'))
        self.put('/etc/systemd/system/lab-network.service',
                 NETWORK.format(host=10 + self.number, number=self.number))
        wants = os.path.join(root, 'etc/systemd/system/multi-user.target.wants')
        os.makedirs(wants, exist_ok=True)
        for unit in ('lab-network', 'keepalived', 'ipvs-fullnat'):
            with contextlib.suppress(FileExistsError):
                os.symlink(f'/lib/systemd/system/{unit}.service' if unit != 'lab-network' else
                           '../lab-network.service', os.path.join(wants, f'{unit}.service'))

    def put(self, path, text):
        """A file that the node has when it boots."""
        target = self.machine.rootfs() + path
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, 'w', encoding='utf-8') as file:
            file.write(text)

    def boot(self, prepare=''):
        """Start it; `prepare` is a shell script that runs before systemd does."""
        path = os.path.join(self.machine.directory, 'prepare')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(prepare)
        self.machine.start()

    def reboot(self):
        """As an operator would; what was changed in the running system is forgotten."""
        self.run('systemctl stop keepalived')
        self.machine.stop()
        self.boot()
        self.machine.wait_ready()

    def run(self, command, **options):
        """A command, as root."""
        options.setdefault('timeout', 60 * basics.SCALE)
        return self.machine.run(command, **options)

    @property
    def is_up(self):
        """Is the machine running?"""
        return self.machine.process.poll() is None

    def addresses(self):
        """All addresses that it has now."""
        out = self.run('ip -o addr show').out
        return {word.split('/')[0] for line in out.splitlines() for word in line.split()[3:4]}

    def is_master(self):
        """Has it the VIPs and all LIPs?"""
        return {VIP, VIP_V6, *LIPS} <= self.addresses()

    def has_none(self):
        """Has it none of them?"""
        return not {VIP, VIP_V6, *LIPS} & self.addresses()

    def weights(self, service, server):
        """The weights of a real server in the services whose names begin like this."""
        rows = [line.split() for line in self.run('ipvsadm -Sn').out.splitlines()]
        return [int(row[-1]) for row in rows if row[0] == '-a' and row[2].startswith(service) and
                row[row.index('-r') + 1].startswith(server)]

    def has_servers(self, count=None):
        """Are all real servers of the example there, and up?"""
        weights = self.weights('', '')
        return (len(weights) == (count or example('keepalived.conf').count('real_server ')) and
                all(weights))

    def state(self, unit):
        """active, inactive, failed..."""
        return self.run(['systemctl', 'is-active', unit], check=False).out.strip()

    def journal(self, unit, lines=30):
        """What a unit said last."""
        return self.run(['journalctl', '-q', '-o', 'cat', '-n', str(lines), '-u', unit]).out

    def vrrp(self):
        """The state that keepalived says it is in: MASTER, BACKUP, FAULT, or '' if it does not
        run. Asked for, since a start that ends in FAULT is nothing that it logs."""
        return self.run(VRRP_STATE, check=False).out.strip()

    def connections(self):
        """Open connections: protocol, client, VIP, each with its port."""
        lines = self.run('cat /proc/net/ip_vs_conn').out.splitlines()[1:]
        return {tuple(line.split()[:5]) for line in lines
                if line.split()[7] in ('ESTABLISHED', 'UDP')}

    def end_connections(self):
        """All that it knows."""
        self.run('; '.join(f'ipvsadm --kill -z {lip}' for lip in LIPS))
        basics.until(lambda: not self.connections(), 30, f'{self.name} knows no connection')

    def stats(self):
        """The counters of ip_vs_fullnat."""
        lines = self.run('cat /proc/net/ip_vs_fullnat_stats').out.splitlines()
        return {line.split()[0]: int(line.split()[1]) for line in lines}


def example(name, of='cluster'):
    """A file of a shipped example."""
    with open(os.path.join(EXAMPLES, of, name), encoding='utf-8') as file:
        return file.read()


class Cluster:
    """All three machines."""

    def __init__(self, kernel):
        self.run = vm.Run(kernel, 'cluster')
        networks = [vm.Network('outer'), vm.Network('inner')]
        nics = [vm.Nic(network, network.name, f'52:54:00:01:{network.index:02x}:0a', capture=True)
                for network in networks]
        self.world_machine = self.run.vm('world', nics=nics, memory=768)
        self.nodes = [Node(self.run, number, networks) for number in (1, 2)]
        self.lb1, self.lb2 = self.nodes

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.run.stop()

    def boot(self):
        """All of them, and the world's servers."""
        began = time.monotonic()
        self.world_machine.start()
        for node in self.nodes:
            node.install()
            node.boot()
        self.world_machine.wait_ready()
        self.world_machine.spawn(['python3', '/srv/fullnat/lab/cluster/world.py'],
                                 log='/lab/world.log')
        for node in self.nodes:
            node.machine.wait_ready()
        basics.SCALE = min(max((time.monotonic() - began) / QUIET_BOOT, 1.0), 6.0)
        basics.until(lambda: not self.world_machine.run(['test', '-S', '/run/world'],
                                                        check=False).rc,
                     60, 'the world is there (world/world.log)')

    def world(self, order, **arguments):
        """Give the world an order; see world.World."""
        line = json.dumps({'do': order, **arguments}) + '\n'
        limit = ORDER_LIMIT * basics.SCALE
        done = self.world_machine.run(['socat', '-t', str(int(limit)), '-',
                                       'UNIX-CONNECT:/run/world'], stdin=line, timeout=limit)
        answer = json.loads(done.out or '{"error": "the world has ended: world/world.log"}')
        if 'error' in answer:
            raise basics.Failure(f'world: {order}: {answer["error"]}')
        return answer['result']

    def other(self, node):
        """The other load balancer."""
        return self.nodes[2 - node.number]

    def await_master(self, node, timeout=60):
        """Until the node is master, and the other one has no address of the cluster."""
        basics.until(node.is_master, timeout, f'{node.name} is master')
        other = self.other(node)
        if other.is_up:
            basics.until(other.has_none, timeout, f'{other.name} has given up its addresses')

    def settle(self, master=None):
        """Both nodes healthy, the given one master (or lb1): what every scenario begins with."""
        master = master or self.lb1
        for node in self.nodes:
            if not node.is_up:
                node.boot()
                node.machine.wait_ready()
        for node in self.nodes:
            if node.state('keepalived') != 'active':
                node.run('systemctl reset-failed keepalived ipvs-fullnat; '
                         'systemctl start keepalived')
        other = self.other(master)
        basics.until(lambda: any(node.is_master() for node in self.nodes), 60, 'a master')
        basics.until(lambda: {node.vrrp() for node in self.nodes} == {'MASTER', 'BACKUP'}, 60,
                     'master and backup')
        if not master.is_master():
            other.run('systemctl restart keepalived')
        self.await_master(master)
        for node in self.nodes:
            basics.until(node.has_servers, 90, f'{node.name}: all real servers are up')

    def ask(self, address, port=80):
        """A whole request, which nginx answers with the client's own address."""
        client = CLIENT_V6 if ':' in address else CLIENT
        answer = self.world('http', address=address, source=client, port=port)
        said = f'{address}, port {port}: {answer["text"]}'
        basics.equal(answer['rc'], 0, f'curl {said}')
        basics.equal(answer['text'].split()[1:2], [client], f'the client ({said})')

    def ask_all(self):
        """Whole requests by IPv4 and IPv6, HTTP and another TCP service, answered with the
        client's own address."""
        for address in (VIP, VIP_V6):
            self.ask(address)
            self.connect(address, 4)

    def connect(self, address, count, **options):
        """New connections, all of which succeed on their first SYN."""
        result = self.world('connect', address=address, count=count, **options)
        basics.equal(result, {'failed': 0, 'again': 0, 'error': ''},
                     f'{count} new connections to {address}')

    def refused(self):
        """Nobody answers a client, and nothing of it comes to a real server."""
        for address, client in ((VIP, CLIENT), (VIP_V6, CLIENT_V6)):
            answer = self.world('http', address=address, source=client, timeout=5)
            basics.check(answer['rc'], f'{address} answered: {answer["text"]}')
            result = self.world('connect', address=address, count=2, timeout=5)
            basics.equal(result['failed'], 2, f'connections to {address} that failed')
        self.no_leak()

    def no_leak(self):
        """No real server has got a packet from a client's own address."""
        leaked = self.world('leaked')
        basics.check(not leaked, lambda: f'{len(leaked)} packets came to a real server from the '
                                         f'address of a client: {leaked[:3]}')

    def alarms(self):
        """The counters that docs/counters.md says to alert on, of all that are up."""
        found = {f'toa {name}': value for name, value in self.world('toa').items()
                 if name in TOA_ALARMS}
        for node in self.nodes:
            if node.is_up:
                found |= {f'{node.name} {name}': value for name, value in node.stats().items()
                          if name in ALARMS}
        return found

    def no_alarm_since(self, before):
        """None of them has moved."""
        grown = {name: value for name, value in self.alarms().items()
                 if value > before.get(name, 0)}
        basics.equal(grown, {}, 'counters to alert on')

    def give_up(self):
        """After a failure: the next scenario finds the nodes as they were installed, and a world
        without connections."""
        with contextlib.suppress(basics.Failure):
            self.world('close')
        for node in self.nodes:
            if node.is_up:
                node.machine.power_off()

    def keep(self, name):
        """What a failed scenario leaves: journals of the nodes, in the run's directory."""
        for node in self.nodes:
            with contextlib.suppress(vm.LabError):
                path = os.path.join(self.run.directory, f'{name}-{node.name}.journal')
                with open(path, 'w', encoding='utf-8') as file:
                    file.write(node.run('journalctl -q -o short-monotonic -n 600; ip addr; '
                                        'ipvsadm -Ln; ipvsadm -G; cat /proc/net/ip_vs_fullnat '
                                        '/proc/net/ip_vs_fullnat_stats', check=False).out)
