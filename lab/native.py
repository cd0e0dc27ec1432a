# SPDX-License-Identifier: GPL-2.0
"""Machines whose kernel this host executes as a process (User-Mode Linux).

They are as fast as the host, have one processor and no network but their own namespaces, and
boot anew for each command.
"""
import os
import shlex
import signal
import subprocess
import time

import vm

INIT = os.path.join(vm.LAB, 'guest', 'native-init')


class Native:
    """One machine; what it writes to /lab is in its directory. It has one of the host's
    processors, which are counted from 0. words: for the kernel's command line."""

    def __init__(self, run, name, *, memory, processor=-1, words=()):
        self.owner = run
        self.memory = memory * (vm.DEBUG_MEMORY if run.kernel.is_debug else 1)
        processors = sorted(os.sched_getaffinity(0))
        self.processor = processors[processor % len(processors)]
        self.words = list(words)
        self.directory = os.path.join(run.directory, name)
        self.boots = 0
        self.console_path = os.path.join(run.directory, f'{name}.console')

    def start(self):
        """Nothing is to be booted yet."""
        os.makedirs(self.directory, exist_ok=True)
        self.owner.give_tools(self.directory)

    def wait_ready(self):
        """It is."""

    def stop(self):
        """It has ended with its command."""

    def problems(self):
        """Lines of the console that a healthy kernel never prints."""
        return vm.problems_in(self.console_path)

    def _command_line(self):
        """The kernel is the program."""
        run = self.owner
        shared = {'ROOT': run.root, 'IMAGE': run.kernel.modules, 'SHARE': run.share,
                  'REPO': vm.TOP, 'OUT': self.directory}
        return [run.kernel.vmlinuz, f'mem={self.memory}M', 'root=/dev/root', 'rootfstype=hostfs',
                'rootflags=/', 'ro', f'init={INIT}', 'con=null', 'ssl=null', 'lab.name=native',
                'oops=panic', 'panic_on_warn=1', 'panic=-1', *self.words,
                *(f'LAB_{name}={path}' for name, path in shared.items())]

    def _on_its_processor(self):
        """The kernel and its processes are processes of the host, which take turns: each turn
        would take three times as long if it were another processor's."""
        os.sched_setaffinity(0, [self.processor])
        vm.die_with_parent()

    def _boot(self):
        """Its memory is a file in TMPDIR. Another session, which is killed as a whole."""
        with open(self.console_path, 'ab') as log:
            return subprocess.Popen(
                self._command_line(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, 'TMPDIR': '/dev/shm'}, start_new_session=True,
                preexec_fn=self._on_its_processor)

    @staticmethod
    def _follow(process, path, deadline, stream):
        """Hand the output on until the kernel ends. Returns whether that was in time."""
        with open(path, 'a+', encoding='utf-8', errors='replace') as file:
            file.seek(0)
            while True:
                ended = process.poll() is not None
                text = file.read()
                if text:
                    stream(1, text)
                if ended:
                    return True
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.2)

    def _keep_coverage(self):
        """Each boot counts anew (lab/coverage)."""
        self.boots += 1
        if os.path.isdir(f'{self.directory}/gcov'):
            os.renames(f'{self.directory}/gcov', f'{self.directory}.{self.boots}/gcov')

    def run(self, argv, *, timeout, stream, cwd='/', env=(), check=False):
        """Boot, run the command, end: see vm.Vm.run(). Its errors are part of its output."""
        output, status = f'{self.directory}/output', f'{self.directory}/status'
        for path in (output, status):
            with open(path, 'w', encoding='ascii'):
                pass
        with open(f'{self.directory}/command', 'w', encoding='utf-8') as file:
            file.writelines(f'export {name}={shlex.quote(value)}\n'
                            for name, value in dict(env).items())
            file.write(f'cd {cwd}\nexec {shlex.join(argv)}\n')
        process = self._boot()
        try:
            in_time = self._follow(process, output, time.monotonic() + timeout, stream)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._keep_coverage()
        with open(status, encoding='ascii') as file:
            said = file.read()
        if in_time and not said:
            raise vm.LabError('the kernel ended before the command did; '
                              f'console: {self.console_path}')
        result = vm.Result(int(said or -1), '', '', not in_time)
        if check and (result.rc or result.timeout):
            raise vm.CommandFailed('native', shlex.join(argv), result)
        return result
