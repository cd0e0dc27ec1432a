#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Runs the scenarios of one file, in the guest:  runner.py FILE [PATTERN]

runner.py --leave NAME: only the verdicts at the end of a file, after another script.

A scenario is a function test_NAME(t) with a Topology. Each runs in a process of
its own, with namespaces of its own; afterwards nothing of it may be left, and
the kernel must not have complained. Prints "ok FILE/NAME", "not ok FILE/NAME:
why" or "skip FILE/NAME: why"; lines that begin with # explain.
"""
import fnmatch
import functools
import importlib.util
import inspect
import os
import re
import shutil
import stat
import signal
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# pylint: disable=wrong-import-position
import lib
from lib import basics, checkers, namespace, observe

WORK = '/tmp/scenario'
KEEP = '/lab/failed'
COVERAGE = '/lab/gcov'
DEFAULT_LIMIT = 120
LONG = bool(os.environ.get('LAB_LONG'))     # the @long scenarios, and no others
PROBLEM = re.compile(r'BUG:|WARNING:|Oops|Call Trace|refcount_t|possible (recursive|circular)|'
                     r'unregister_netdevice: waiting|general protection|INFO: (rcu|task)|'
                     r'UBSAN|KASAN')
NOISE = re.compile(r'entered \w+ (state|mode)|left \w+ mode|ADDRCONF\(NETDEV|bridge: filtering')


class Kmsg:
    """What the kernel says from now on."""

    def __init__(self):
        self.fd = os.open('/dev/kmsg', os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self.fd, 0, os.SEEK_END)

    def lines(self):
        """New messages."""
        found = []
        while True:
            try:
                record = os.read(self.fd, 8192).decode('utf-8', 'replace')
            except BlockingIOError:
                return found
            except BrokenPipeError:     # overwritten before we came
                continue
            line = record.partition(';')[2].split('\n')[0]
            if not NOISE.search(line):
                found.append('kernel: ' + line)


def variant(function, value):
    """The scenario of one value, see basics.each()."""
    @functools.wraps(function)
    def scenario(t):
        function(t, value)
    scenario.__name__ = f'{function.__name__}_{value}'
    return scenario


def variants(function):
    """A scenario as it is; one with a parameter once for each of its values, which are the
    families if the parameter is `family`."""
    values = getattr(function, 'values', None)
    if values is None and 'family' in inspect.signature(function).parameters:
        values = lib.FAMILIES
    return [function] if values is None else [variant(function, value) for value in values]


def load(path):
    """The scenarios of a file, in their order."""
    spec = importlib.util.spec_from_file_location('scenarios', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    functions = [value for name, value in vars(module).items()
                 if name.startswith('test_') and inspect.isfunction(value)]
    functions.sort(key=lambda f: f.__code__.co_firstlineno)
    return [one for function in functions for one in variants(function)]


def what_was_lost(topology):
    """Words to add to the reason of a failure: nobody has more than that of a run elsewhere."""
    try:
        lost = topology and observe.lost(topology)
    except (OSError, basics.Failure):   # a machine, or our module, is gone
        return ''
    return f' (dropped: {lost})' if lost else ''


def in_child(function, directory, report):
    """Run one scenario and write the verdict to the pipe `report`."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    topology = None
    try:
        topology = lib.Topology(directory)
        function(topology)
        text = 'ok'
    except basics.Skip as skip:
        text = f'skip {skip}'
    except BaseException as error:  # pylint: disable=broad-except
        reason = str(error).strip() or type(error).__name__
        if not isinstance(error, (basics.Failure, OSError)):
            reason = f'{type(error).__name__}: {reason}'
        frames = traceback.format_exc().strip()
        text = f'fail {reason}{what_was_lost(topology)}\n{frames}'
    os.write(report, text.encode('utf-8', 'surrogateescape')[:60000])
    os._exit(0)


def end_children(pgid):
    """Nothing of a test survives it."""
    try:
        os.killpg(pgid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    names = sorted(os.listdir(namespace.RUN))
    for pid in namespace.processes(names):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    for name in names:
        namespace.delete(name)


def wait(pid, seconds):
    """Wait for the child; kill it when it takes too long. True if it ended itself."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return True
        time.sleep(0.02)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False


def complaints(said, expected):
    """The lines that a healthy kernel does not print. A call trace belongs to one of the lines
    before it (registers may be between them), and is no complaint if that is an expected one."""
    return [line for number, line in enumerate(said) if PROBLEM.search(line) and not (
        expected and (expected.search(line) or 'Call Trace' in line and
                      any(expected.search(before) for before in said[max(0, number - 25):number])))]


def run_one(function, directory):
    """(verdict, reason, details) of one scenario."""
    kmsg = Kmsg()
    receive, report = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        os.close(receive)
        in_child(function, directory, report)
    try:
        os.setpgid(pid, pid)
    except OSError:
        pass
    os.close(report)
    seconds = getattr(function, 'limit', DEFAULT_LIMIT) * basics.SCALE
    ended = wait(pid, seconds)
    end_children(pid)
    text = os.read(receive, 65536).decode('utf-8', 'surrogateescape')
    os.close(receive)
    said = kmsg.lines()
    problems = complaints(said, getattr(function, 'dumps', None))
    if problems:
        return 'not ok', f'the kernel says: {problems[0]}', '\n'.join(said)
    if not ended:
        return 'not ok', f'not done after {seconds:.0f} s', '\n'.join(said)
    if text == 'ok':
        return 'ok', '', ''
    if text.startswith('skip '):
        return 'skip', text[5:], ''
    reason, _, details = text.partition('\n')
    return 'not ok', reason.removeprefix('fail ') or 'died', details + '\n' + '\n'.join(said)


def sockets(directory, names):
    """What cannot be copied."""
    return [name for name in names
            if stat.S_ISSOCK(os.lstat(os.path.join(directory, name)).st_mode)]


def keep(directory, name):
    """Keep what a failed test left: logs and captures."""
    target = os.path.join(KEEP, name)
    shutil.rmtree(target, ignore_errors=True)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copytree(directory, target, ignore=sockets, ignore_dangling_symlinks=True)
    print(f'# logs and captures: {target}')


def unload():
    """Our modules leave when nobody uses them: the sign that nothing leaked."""
    with open('/proc/modules', encoding='ascii') as file:
        loaded = {line.split()[0] for line in file}
    for module in ('toa', 'ip_vs_fullnat'):
        if module in loaded:
            basics.until(
                lambda m=module: basics.run(['rmmod', m], timeout=60).rc == 0,
                30, f'rmmod {module}')


def scenario_name(function):
    """What verdicts and patterns call it."""
    return function.__name__.removeprefix('test_')


def wanted(pattern, stem, function):
    """Is the scenario of the kind that runs now, and does the pattern select it?"""
    name = scenario_name(function)
    full = f'{stem}/{name}'
    if getattr(function, 'long', False) != LONG:
        return False
    if not pattern:
        return True
    if any(c in pattern for c in '*?['):
        return any(fnmatch.fnmatch(text, pattern) for text in (full, stem, name))
    return pattern in full


def leave(stem):
    """The verdicts at the end of a file: our modules go, and nothing is left of them."""
    verdict(f'{stem}/nothing_left', unload)
    if checkers.has_checkers():
        verdict(f'{stem}/no_complaint', checkers.check_silent)
        checkers.keep_coverage(COVERAGE)


def verdict(name, function):
    """Call the function and print the verdict."""
    try:
        function()
        print(f'ok {name}', flush=True)
    except (basics.Failure, OSError) as failure:
        first, _, rest = str(failure).partition('\n')
        print(f'not ok {name}: {first}', flush=True)
        for line in rest.splitlines():
            print('# ' + line, flush=True)


def main():
    """Run the scenarios of a file."""
    if sys.argv[1] == '--leave':
        leave(sys.argv[2])
        return
    path = sys.argv[1]
    pattern = sys.argv[2] if len(sys.argv) > 2 else ''
    stem = os.path.basename(path).removesuffix('.py')
    if checkers.has_checkers():
        checkers.no_scan_unasked()
    namespace.prepare()
    ran = 0
    for function in load(path):
        if not wanted(pattern, stem, function):
            continue
        name = scenario_name(function)
        ran += 1
        directory = os.path.join(WORK, name)
        began = time.monotonic()
        verdict, reason, details = run_one(function, directory)
        seconds = time.monotonic() - began
        reason = ': ' + ' '.join(reason.split()) if reason else ''
        print(f'{verdict} {stem}/{name}{reason}', flush=True)
        print(f'# {seconds:.1f} s', flush=True)
        if verdict == 'not ok':
            for line in details.splitlines():
                print('# ' + line)
            keep(directory, f'{stem}/{name}')
        shutil.rmtree(directory, ignore_errors=True)
    if ran:
        leave(stem)


if __name__ == '__main__':
    main()
