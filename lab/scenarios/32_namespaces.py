# SPDX-License-Identifier: GPL-2.0
"""Several load balancers in one kernel: nothing of one shows in the other, and one that goes
takes all that it has along, whatever it is doing.

Seen failing with a copy of the modules that was broken like this:

  the client's port in the TOA off by one: all
"""
import concurrent.futures
import os
import re
import threading

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import basics, observe
from lib.traffic import Chain, echo, reset

CYCLES = 2


def another(t, number):
    """The same topology once more."""
    return Topology(os.path.join(t.directory, str(number)), f'-{number}')


def flows(host):
    """How many flows the module has, in all namespaces."""
    return int(re.search(r'flows_all_namespaces (\d+)', host.proc_net('ip_vs_fullnat'))[1])


def narrow(t, family):
    """A service over both servers with four ports to each. Its chain."""
    service = t.fullnat(8000, family=family, lips=())
    t.add_lip(family.lip)
    t.lb.run(f'ipvsadm -P {service} -z {address_port(family.lip, "30000-30003")}')
    return Chain(t, 8000, family=family, capture=False)


def test_same_addresses(t, family):
    """Two LBs with all addresses alike: 8 connections in each with the same client ports, and
    with all the local ports that there are; then different clients in both, at once."""
    both = (t, another(t, 2))
    chains = [narrow(one, family) for one in both]
    held = [[chain.open(family.vip, 8000, source=family.client, source_port=40000 + number)
             for number in range(8)] for chain in chains]
    equal(flows(t.lb), 16, 'flows of both')
    for mine, other in zip(*held):
        echo(mine.sock, b'mine' * 1000)
        echo(other.sock, b'other' * 1000)
    for visits in held:
        for visit in visits:
            reset(visit.sock)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda chain, client: chain.visits(family.vip, (8000,), 20, source=client),
                      chains, (family.client, family.client2)))
    for chain in chains:
        chain.check_clients()
        equal(chain.t.lb.fullnat_stats()['conns'], 28, 'conns')


class Background:
    """Connections one after the other until it is stopped, by threads of their own."""

    def __init__(self, threads, connection):
        self.connection = connection
        self.over = threading.Event()
        self.done = 0
        self.errors = []
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def _run(self):
        while not self.over.is_set():
            try:
                self.connection()
                self.done += 1
            except (OSError, Failure) as error:
                self.errors.append(error)

    def more(self, count):
        """Wait until so many more are done."""
        goal = self.done + count
        until(lambda: self.done >= goal, what=f'{count} more connections')

    def stop(self):
        """End it; the errors that there were."""
        self.over.set()
        for thread in self.threads:
            thread.join(60)
            check(not thread.is_alive(), 'a client does not end')
        return self.errors


def doomed(t, family, number):
    """Another LB with declarations, live connections, and clients that do not stop."""
    other = another(t, number)
    other.fullnat(8000, family=family)
    other.lb.run(f'ipvsadm -E {family.service(9000)} --fullnat')
    chain = Chain(other, 8000, family=family, capture=False)
    held = [chain.open(family.vip, 8000) for _ in range(8)]
    traffic = Background(4, lambda: other.client.ask(family.vip, 8000, b'x',
                                                     timeout=2 * basics.SCALE))
    traffic.more(10)
    equal(traffic.errors, [], 'errors before the LB goes')
    return held, traffic


def test_deleted_under_traffic(t, family):
    """An LB's namespace is deleted while it works: its flows are gone, its clients notice, those
    of the other LB do not; in the end the module unloads."""
    t.fullnat(8000, family=family)
    chain = Chain(t, 8000, family=family)
    visit = chain.open(family.vip, 8000)
    steady = Background(1, lambda: chain.ask(family.vip, 8000))
    for number in range(2, 2 + CYCLES):
        held, traffic = doomed(t, family, number)
        check(flows(t.lb) >= 9, 'flows of both')
        run(f'ip netns del lb-{number}')
        until(lambda: traffic.errors, what='its clients notice')
        traffic.stop()
        steady.more(3)
        for one in held:
            reset(one.sock)
    equal(steady.stop(), [], 'errors of the other LB')
    echo(visit.sock)
    reset(visit.sock)
    until(lambda: flows(t.lb) == observe.laddr(t.lb, family.lip)['conns'],
          what='no flow is left but those of the first LB')
    chain.check()
    run('ip netns del lb')
    until(lambda: run('rmmod ip_vs_fullnat', check=False).rc == 0, what='rmmod')
