# SPDX-License-Identifier: GPL-2.0
"""Kprobe events, as perf and bpftrace make them: who calls a function of the kernel, and other
users of kprobes beside ours."""
import os

from .basics import Skip
from .checkers import read

TRACING = '/sys/kernel/tracing'


def need(name):
    """The scenario is not for kernels whose tracefs has no such file."""
    if not os.path.exists(os.path.join(TRACING, name)):
        raise Skip(f'this kernel has no {name}')


def write(name, text):
    """Write to a control file of tracefs. (Python's own open() seeks, which fails there.)"""
    fd = os.open(os.path.join(TRACING, name), os.O_WRONLY | os.O_APPEND)
    try:
        os.write(fd, text.encode('ascii'))
    finally:
        os.close(fd)


def lines():
    """What was traced."""
    return read(os.path.join(TRACING, 'trace'))


class Stacks:
    """Kprobe events of a group, {name: function and arguments}, in an instance of its own: the stack
    of each call for which the condition is true."""

    def __init__(self, group, probes, condition=''):
        self.group = group
        self.probes = probes
        self.condition = condition
        self.instance = f'instances/{group}'
        self.events = f'{self.instance}/events/{group}'

    def __enter__(self):
        need('kprobe_events')
        os.makedirs(os.path.join(TRACING, self.instance), exist_ok=True)
        for name, where in self.probes.items():
            write('kprobe_events', f'p:{self.group}/{name} {where}\n')
            if self.condition:
                write(f'{self.events}/{name}/filter', self.condition)
        write(f'{self.instance}/options/stacktrace', '1')
        write(f'{self.events}/enable', '1')
        return self

    def __exit__(self, *_):
        write(f'{self.events}/enable', '0')
        os.rmdir(os.path.join(TRACING, self.instance))
        for name in self.probes:
            write('kprobe_events', f'-:{self.group}/{name}\n')


class Calls(Stacks):
    """`with Calls('__pskb_pull_tail', 'delta=%si:s32', 'delta > 1500') as calls`: the calls for
    which the filter is true; calls.stacks() has their stacks."""

    def __init__(self, function, arguments, condition):
        super().__init__('lab', {'call': f'{function} {arguments}'}, condition)

    def stacks(self):
        """One text for each call so far."""
        return read(os.path.join(TRACING, self.instance, 'trace')).split('<stack trace>')[1:]


class Slow(Stacks):
    """`with Slow('ip_vs_conn_new'):` each call of the function takes longer, by the stacks that
    are written down for so many probes: what others can do meanwhile, they do."""

    def __init__(self, function, probes=32):
        super().__init__('lab_slow', {f'{function}_{number}': function
                                      for number in range(probes)})


class Events:
    """`with Events('ip_vs_fullnat') as events`: the tracepoints of a module, in an instance of
    its own; events.lines() are the lines so far, each (name, {field: text})."""

    def __init__(self, system):
        self.instance = 'instances/lab_events'
        self.switch = f'{self.instance}/events/{system}/enable'

    def __enter__(self):
        os.makedirs(os.path.join(TRACING, self.instance), exist_ok=True)
        write(self.switch, '1')
        return self

    def __exit__(self, *_):
        write(self.switch, '0')
        os.rmdir(os.path.join(TRACING, self.instance))

    def lines(self):
        """What was traced."""
        found = []
        for line in read(os.path.join(TRACING, self.instance, 'trace')).splitlines():
            if not line.startswith('#'):
                # task, CPU and time come first
                _, name, fields = line.split(': ', 2)
                found.append((name, dict(word.split('=', 1) for word in fields.split())))
        return found


class Probes:
    """`with Probes(('tcp_rcv_established', 'inet_getname')) as probes`: kprobes and kretprobes of
    somebody else at these functions; probes.hits() of each."""

    def __init__(self, functions):
        self.functions = functions
        self.names = [f'{kind}_{function}' for function in functions for kind in 'pr']

    def __enter__(self):
        need('kprobe_events')
        for name in self.names:
            write('kprobe_events', f'{name[0]}:lab/{name} {name[2:]}\n')
        write('events/lab/enable', '1')
        return self

    def __exit__(self, *_):
        write('events/lab/enable', '0')
        for name in self.names:
            write('kprobe_events', f'-:lab/{name}\n')
        write('trace', '')

    def hits(self):
        """How often each event came, by its name (p_FUNCTION, r_FUNCTION)."""
        profile = read(os.path.join(TRACING, 'kprobe_profile'))
        rows = [line.split() for line in profile.splitlines()]
        return {row[0]: int(row[1]) for row in rows if row[0] in self.names}
