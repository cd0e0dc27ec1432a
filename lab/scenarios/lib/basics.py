# SPDX-License-Identifier: GPL-2.0
"""Commands, waiting, and verdicts."""
import dataclasses
import os
import re
import signal
import subprocess
import time

# A busy or slow host gets more time: how long the boot took says how much more
SCALE = float(os.environ.get('LAB_SCALE', '1'))


class Failure(Exception):
    """What a scenario expected did not happen."""


class Skip(Exception):
    """This machine cannot run the scenario; the message says why."""


@dataclasses.dataclass
class Result:
    """What a command did."""
    command: str
    rc: int
    out: str
    err: str

    @property
    def text(self):
        """All that it said."""
        return self.out + self.err


class CommandFailed(Failure):
    """A command that should have succeeded did not."""

    def __init__(self, result):
        self.result = result
        super().__init__(f'{result.command}: exit status {result.rc}: '
                         f'{result.text.strip()[-2000:]}')


def argv(command):
    """A line for bash, or a list, as the list."""
    return ['/bin/bash', '-c', command] if isinstance(command, str) else command


def run(command, *, check=True, timeout=60, stdin='', **options):
    """Run a command (a line for bash, or a list) to its end. Unless `check` is
    false, a failure of the command is a failure of the scenario."""
    shown = command if isinstance(command, str) else ' '.join(command)
    with subprocess.Popen(argv(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, errors='surrogateescape',
                          start_new_session=True, **options) as process:
        try:
            out, err = process.communicate(stdin, timeout * SCALE)
        except subprocess.TimeoutExpired as error:
            os.killpg(process.pid, signal.SIGKILL)
            raise Failure(f'{shown}: not done after {timeout * SCALE:.0f} s') from error
    result = Result(shown, process.returncode, out, err)
    if check and result.rc:
        raise CommandFailed(result)
    return result


def until(condition, timeout=30, what=None):
    """Poll until the condition is true and return its value. Its exceptions of
    the kinds that mean "not yet" (OSError, Failure) count as false."""
    deadline = time.monotonic() + timeout * SCALE
    while True:
        error = None
        try:
            value = condition()
            if value:
                return value
        except (OSError, Failure) as caught:
            error = caught
        if time.monotonic() > deadline:
            what = what or getattr(condition, '__doc__', None) or 'the condition'
            raise Failure(f'not within {timeout * SCALE:.0f} s: {what}' + (f' ({error})' if error else ''))
        time.sleep(0.02)


def check(condition, message):
    """Fail with the message unless the condition holds."""
    if not condition:
        raise Failure(message() if callable(message) else message)


def equal(got, wanted, what='value'):
    """Fail unless both are equal."""
    if got != wanted:
        raise Failure(f'{what}: got {got!r}, wanted {wanted!r}')


def limit(seconds):
    """Decorator: how long a scenario may take (default 120 s)."""
    def mark(function):
        function.limit = seconds
        return function
    return mark


def long(function):
    """Decorator: too long for every push; "make check-long" runs it, "make check" does not."""
    function.long = True
    return function


def dumps(pattern):
    """Decorator: the kernel shows a call trace after lines like this, and is right."""
    def mark(function):
        function.dumps = re.compile(pattern)
        return function
    return mark


def each(values):
    """Decorator: the scenario is test_NAME(t, value) and runs once for each of the values,
    as NAME_VALUE."""
    def mark(function):
        function.values = tuple(values)
        return function
    return mark


def read_to_end(sock):
    """What comes until the other side's FIN."""
    data = b''
    while part := sock.recv(1 << 16):
        data += part
    return data


def read_until(sock, length):
    """This many bytes."""
    data = b''
    while len(data) < length:
        part = sock.recv(1 << 18)
        check(part, f'the connection ended after {len(data)} of {length} bytes')
        data += part
    return data
