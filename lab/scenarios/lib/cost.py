# SPDX-License-Identifier: GPL-2.0
"""What a kernel function costs: the durations of its calls, by the function graph
tracer. Without KVM the clock is the host's, so look at medians and quotients."""
import re
import statistics

from . import basics, trace

TRACING = '/sys/kernel/tracing/'
DURATION = re.compile(r'\s([\d.]+) us\s')
BUFFER_KB = 8192


def write(name, value):
    """A file of tracefs."""
    with open(TRACING + name, 'w', encoding='ascii') as file:
        file.write(str(value))


class Cost:
    """`with Cost('function') as cost:` records; then cost.calls, cost.median (us)."""

    def __init__(self, function):
        self.function = function
        self.durations = []

    def __enter__(self):
        trace.need('set_graph_function')
        write('buffer_size_kb', BUFFER_KB)
        write('set_graph_function', self.function)
        write('set_ftrace_filter', self.function)
        write('max_graph_depth', 1)
        write('current_tracer', 'function_graph')
        return self

    def __exit__(self, *_):
        write('tracing_on', 0)
        with open(TRACING + 'trace', encoding='ascii', errors='replace') as file:
            self.durations = [float(found[1]) for found in map(DURATION.search, file) if found]
        write('current_tracer', 'nop')
        write('set_graph_function', '')
        write('set_ftrace_filter', '')
        write('max_graph_depth', 0)
        write('tracing_on', 1)

    @property
    def calls(self):
        """How many were seen."""
        return len(self.durations)

    @property
    def median(self):
        """Microseconds, with what the tracer itself takes."""
        basics.check(self.durations, f'no call of {self.function} was traced')
        return statistics.median(self.durations)
