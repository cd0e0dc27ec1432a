# SPDX-License-Identifier: GPL-2.0
"""Boots stock kernels in QEMU and talks to them.

    with Run('6.12', 'demo') as run:
        lb = run.vm('lb', nics=[...])
        lb.start(); lb.wait_ready()
        print(lb.run('uname -a').out)

Every run has a directory build/lab/<run>/ with each machine's console
(<vm>.console) and a directory <vm>/ that the guest sees, writable, as /lab.
"""
import atexit
import base64
import contextlib
import ctypes
import dataclasses
import functools
import glob
import hashlib
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import initramfs

LAB = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(LAB)
BUILD = os.path.abspath(os.environ.get('BUILD') or os.path.join(TOP, 'build'))
KEEP_RUNS = 30
# The debug kernel: shadow memory, freed memory in quarantine, lockdep's tables; and its time
DEBUG_MEMORY = 2
DEBUG_TIME = 4

# What a healthy kernel never prints, and the few lines that look like it.
PROBLEM = re.compile(
    r'BUG:|BUG at|WARNING:|KASAN|UBSAN|Oops|general protection|Call Trace|lockdep|'
    r'possible (recursive|circular)|INFO: (rcu|task|possible)|refcount_t|Kernel panic|'
    r'unregister_netdevice: waiting|Attempt to release alive|kernel memory leak')
HARMLESS = re.compile(r'Spectre|Firmware Bug|clocksource:|sched_clock|'
                      r'RCU lockdep checking is enabled')


class LabError(Exception):
    """The lab could not do its part; the message says what and why."""


def script(name, *args):
    """Run one of the lab's shell scripts and return the line that it prints."""
    done = subprocess.run([os.path.join(LAB, name), *args], stdout=subprocess.PIPE,
                          text=True, check=False, env={**os.environ, 'BUILD': BUILD})
    if done.returncode:
        raise LabError(f'lab/{name} {" ".join(args)} failed')
    return done.stdout.strip()


def die_with_parent():
    """Let the kernel end QEMU when the lab's process dies, however it does."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


@dataclasses.dataclass
class Kernel:
    """An unpacked stock kernel, or the debug kernel."""
    release: str
    directory: str

    @classmethod
    def get(cls, name):
        """Fetch and unpack the kernel if that was not done before."""
        release = script('kernel', 'release', name)
        return cls(release, script('kernel', 'image', release))

    @property
    def is_debug(self):
        """Is it the kernel with every checker?"""
        return '-debug-' in self.release

    @property
    def is_native(self):
        """Does this host execute it as a process?"""
        return '-native-' in self.release

    @property
    def vmlinuz(self):
        """The kernel itself; newer ones lie beside their modules."""
        path = f'{self.directory}/boot/vmlinuz-{self.release}'
        return path if os.path.exists(path) else f'{self.modules}/vmlinuz'

    @property
    def modules(self):
        """Its tree of modules."""
        return f'{self.directory}/lib/modules/{self.release}'

    def initrd(self):
        """The initramfs, made when something that goes into it changed."""
        key = hashlib.sha256()
        for path in (initramfs.__file__, os.path.join(LAB, 'guest', 'initramfs-init')):
            with open(path, 'rb') as file:
                key.update(file.read())
        path = f'{BUILD}/{self.release}/initramfs-{key.hexdigest()[:12]}.gz'
        if not os.path.exists(path):
            for old in glob.glob(f'{BUILD}/{self.release}/initramfs-*.gz'):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(old)
            initramfs.make(self.modules, path)
        return path


TCG = ['-accel', 'tcg', '-cpu', 'max']
KVM_CANDIDATES = (['-accel', 'kvm', '-cpu', 'host'],
                  ['-accel', 'kvm', '-cpu', 'host,-arch-capabilities'])


def probe_boot(kernel, options):
    """Does a tiny guest boot with these options within ten seconds?"""
    command = ['qemu-system-x86_64', *options, *BASE, '-m', '256',
               '-kernel', kernel.vmlinuz, '-initrd', kernel.initrd(),
               '-serial', 'stdio', '-append', 'console=ttyS0 lab.probe panic=-1']
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=10, check=False, preexec_fn=die_with_parent)
    except subprocess.TimeoutExpired:
        return False
    return b'lab: probe ok' in done.stdout


BASE = ['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot']


def accelerator(kernel):
    """QEMU's options for the fastest accelerator that really boots here."""
    if not os.access('/dev/kvm', os.R_OK | os.W_OK):
        return TCG
    wanted = os.environ.get('LAB_ACCEL')
    if wanted == 'tcg':
        return TCG
    machine = f'{os.uname().release} {os.uname().version}'
    cache = os.path.join(BUILD, 'accelerator.json')
    with contextlib.suppress(OSError, ValueError):
        with open(cache, encoding='utf-8') as file:
            known = json.load(file)
        if known['machine'] == machine:
            return known['options']
    print('lab: /dev/kvm is here; trying to boot a guest with it', file=sys.stderr)
    options = next((o for o in KVM_CANDIDATES if probe_boot(kernel, o)), TCG)
    if options is TCG:
        print('lab: it does not boot: guests run without KVM', file=sys.stderr)
    with open(cache, 'w', encoding='utf-8') as file:
        json.dump({'machine': machine, 'options': options}, file)
    return options


@dataclasses.dataclass
class Result:
    """What a command in a guest did."""
    rc: int
    out: str
    err: str
    timeout: bool = False


class CommandFailed(LabError):
    """A command in a guest that should have succeeded did not."""

    def __init__(self, where, command, result):
        self.result = result
        why = 'timed out' if result.timeout else f'exit status {result.rc}'
        said = (result.err.strip() or result.out.strip())[-2000:]
        super().__init__(f'{where}# {command}\n  {why}: {said}')


def problems_in(path):
    """The lines of a console that a healthy kernel never prints."""
    with contextlib.suppress(OSError):
        with open(path, errors='replace', encoding='utf-8') as file:
            return [line.strip() for line in file
                    if PROBLEM.search(line) and not HARMLESS.search(line)]
    return []


class Network:
    """A wire: what one card sends, every other card on it receives."""
    indices = itertools.count(1)

    def __init__(self, name):
        self.name = name
        self.index = next(self.indices)
        number = int.from_bytes(os.urandom(4), 'big')
        self.group = f'230.{number >> 24 & 127}.{number >> 16 & 255}.{self.index}'
        self.port = 20000 + number % 30000


@dataclasses.dataclass
class Nic:
    """A network card: the wire it is on, its name in the guest, its MAC."""
    network: Network
    name: str
    mac: str
    capture: bool = False


class Vm:
    """One guest. icount: its one processor is emulated, and its clock counts instructions: a
    nanosecond is one instruction. systemd: that is its init, and starts what is enabled in
    rootfs(), which is copied over the guest's root at each boot. disk: a file with an ext4, which
    has what the guest writes and so lets it boot again as it was. plugin: one of QEMU's, which
    writes into this machine's directory."""

    def __init__(self, run, name, *, nics=(), memory=512, cpus=1, console=False, icount=False,
                 systemd=False, disk=None, words=(), plugin=None):
        self.owner = run
        self.kernel = run.kernel    # what it boots next
        self.name = name
        self.nics = nics
        self.memory = memory
        self.cpus = cpus
        self.with_console = console
        self.icount = icount
        self.systemd = systemd
        self.disk = disk
        self.words = list(words)    # for the kernel's command line
        self.plugin = plugin
        self.directory = os.path.join(run.directory, name)
        self.console_path = os.path.join(run.directory, f'{name}.console')
        self.process = None
        self.control = self.console = self.monitor = None
        self.ready = threading.Event()
        self.gone = threading.Event()
        self.replies = {}
        self.idents = itertools.count(1)
        self.lock = threading.Lock()
        self.console_tap = None

    def capture_path(self, nic_name):
        """The pcap of everything that the card received (and sent)."""
        return os.path.join(self.owner.directory, f'{self.name}-{nic_name}.pcap')

    def rootfs(self):
        """A directory that is copied over the guest's root at boot."""
        path = os.path.join(self.directory, 'rootfs')
        os.makedirs(path, exist_ok=True)
        return path

    def command_line(self, control_fd, console_fd, monitor_fd):
        """QEMU's arguments."""
        run = self.owner
        shares = {'root': (run.root, True), 'image': (self.kernel.modules, True),
                  'share': (run.share, True), 'repo': (TOP, True),
                  'out': (self.directory, False)}
        append = ['console=ttyS0', 'loglevel=6', 'oops=panic', 'panic_on_warn=1',
                  'panic=-1', 'softlockup_panic=1', 'watchdog_thresh=60', 'no_timer_check',
                  'mitigations=off', 'rcupdate.rcu_cpu_stall_timeout=120', f'lab.name={self.name}',
                  *self.words]
        if self.with_console:
            append.append('lab.shell')
        if self.systemd:
            # from 6.4 on udev would rename a card that is up already
            append += ['lab.systemd', 'systemd.getty_auto=no', 'systemd.show_status=no',
                       'net.ifnames=0']
        if self.disk:
            append.append('lab.disk')
        if self.plugin:
            # a kernel on one processor would take the locks out of its instructions
            append.append('noreplace-smp')
        accel = list(TCG if self.icount else run.accelerator)
        if self.icount:
            accel += ['-icount', 'shift=0,sleep=off']
        elif accel == TCG:
            # QEMU before 8.1 loses a rewritten instruction when one processor
            # translates it while another rewrites it (jump labels, ftrace): both
            # then spin at it for ever. One thread for all processors is safe.
            accel[1] += ',thread=' + ('single' if self.cpus > 1 else 'multi')
        # The older machine's _PRT is a loop, which takes ACPI's interpreter longer than its
        # limit (30 s) when every allocation is watched
        machine = ['-machine', 'q35'] if self.kernel.is_debug else []
        command = ['qemu-system-x86_64', '-name', self.name, *machine, *accel, *BASE,
                   '-m', str(self.memory), '-smp', str(self.cpus),
                   '-kernel', self.kernel.vmlinuz, '-initrd', self.kernel.initrd(),
                   '-append', ' '.join(append),
                   '-chardev', f'socket,id=console,fd={console_fd}',
                   '-serial', 'chardev:console',
                   '-device', 'virtio-serial-pci',
                   '-chardev', f'socket,id=control,fd={control_fd}',
                   '-device', 'virtserialport,chardev=control,name=lab.ctl',
                   '-chardev', f'socket,id=monitor,fd={monitor_fd}',
                   '-mon', 'chardev=monitor,mode=control']
        for tag, (path, readonly) in shares.items():
            flags = ',readonly=on' if readonly else ''
            path = path.replace(',', ',,')
            command += ['-fsdev', f'local,id={tag},path={path},security_model=none,'
                                  f'multidevs=remap{flags}',
                        '-device', f'virtio-9p-pci,fsdev={tag},mount_tag={tag}']
        if self.plugin:
            command += ['-plugin', f'{self.plugin},out={self.directory}']
        if self.disk:
            command += ['-drive', f'file={self.disk.replace(",", ",,")},format=raw,if=none,id=disk',
                        '-device', 'virtio-blk-pci,drive=disk']
        for index, nic in enumerate(self.nics):
            wire = nic.network
            command += ['-netdev', f'socket,id=net{index},mcast={wire.group}:{wire.port},'
                                   'localaddr=127.0.0.1',
                        '-device', f'virtio-net-pci,netdev=net{index},id=nic{index},'
                                   f'mac={nic.mac},romfile=']
            if nic.capture:
                command += ['-object', f'filter-dump,id=dump{index},netdev=net{index},'
                                       f'file={self.capture_path(nic.name)}']
        return command

    def start(self):
        """Start QEMU. Only from the main thread: QEMU ends with its parent thread."""
        os.makedirs(self.directory, exist_ok=True)
        with open(f'{self.directory}/nics.{self.name}', 'w', encoding='ascii') as file:
            file.writelines(f'{nic.mac} {nic.name}\n' for nic in self.nics)
        self.owner.give_tools(self.directory)
        self.ready, self.gone = threading.Event(), threading.Event()
        ours, theirs = zip(*(socket.socketpair() for _ in range(3)))
        self.control, self.console, self.monitor = ours
        fds = tuple(end.fileno() for end in theirs)
        with open(os.path.join(self.owner.directory, f'{self.name}.qemu'), 'wb') as log:
            self.process = subprocess.Popen(
                self.command_line(*fds), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=fds, preexec_fn=die_with_parent)
        for end in theirs:
            end.close()
        threading.Thread(target=self._read_control, args=(self.control, self.ready, self.gone),
                         daemon=True).start()
        threading.Thread(target=self._read_console, args=(self.console,), daemon=True).start()

    def _read_console(self, console):
        """Keep what the console says; show it to who is watching."""
        with open(self.console_path, 'ab', buffering=0) as log:
            while True:
                try:
                    data = console.recv(65536)
                except OSError:
                    return
                if not data:
                    return
                log.write(data)
                tap = self.console_tap
                if tap:
                    tap(data)

    def _read_control(self, control, ready, gone):
        """Hand each line of the agent to who asked for it."""
        pending = b''
        while True:
            try:
                data = control.recv(1 << 20)
            except OSError:
                break
            if not data:
                break
            pending += data
            *lines, pending = pending.split(b'\n')
            for line in lines:
                self._dispatch(json.loads(line))
        gone.set()
        ready.set()
        with self.lock:
            waiting = list(self.replies.values())
        for reply in waiting:
            reply['event'].set()

    def _dispatch(self, message):
        if message.get('ready'):
            self.ready.set()
            return
        with self.lock:
            reply = self.replies.get(message['id'])
        if reply is None:
            return
        if message.get('done'):
            reply['message'] = message
            reply['event'].set()
        elif reply['stream']:
            reply['stream'](message['fd'], message['text'])

    def wait_ready(self, timeout=180):
        """Wait until the agent says that it is there."""
        if self.owner.kernel.is_debug:
            timeout *= DEBUG_TIME
        if not self.ready.wait(timeout):
            raise LabError(f'{self.name}: no agent after {timeout} s; {self.last_words()}')
        if self.gone.is_set():
            raise LabError(f'{self.name}: did not come up; {self.last_words()}')

    def last_words(self):
        """The end of the console, for error messages."""
        texts = []
        for path in (self.console_path, os.path.join(self.owner.directory, f'{self.name}.qemu')):
            with contextlib.suppress(OSError):
                with open(path, errors='replace', encoding='utf-8') as file:
                    lines = file.readlines()
                first = next((i for i, line in enumerate(lines) if PROBLEM.search(line)
                              and not HARMLESS.search(line)), max(0, len(lines) - 20))
                texts.append(''.join(lines[first:first + 30]))
        return f'{self.console_path} ends:\n' + '\n'.join(texts)

    def request(self, operation, *, on_output=None, limit=600, **arguments):
        """Ask the agent and wait for the answer."""
        reply = {'event': threading.Event(), 'stream': on_output, 'message': None}
        ident = next(self.idents)
        with self.lock:
            self.replies[ident] = reply
            line = json.dumps({'id': ident, 'op': operation, **arguments}) + '\n'
            try:
                self.control.sendall(line.encode())
            except OSError:
                self.gone.set()
        answered = False
        if not self.gone.is_set():
            answered = reply['event'].wait(limit)
        with self.lock:
            del self.replies[ident]
        message = reply['message']
        if message is None:
            if answered or self.gone.is_set():
                raise LabError(f'{self.name}: the machine died during {operation}; '
                               f'{self.last_words()}')
            raise LabError(f'{self.name}: no answer to {operation} within {limit} s; '
                           f'{self.last_words()}')
        if 'error' in message:
            raise LabError(f'{self.name}: {operation}: {message["error"]}')
        return message

    def run(self, command, *, timeout=60, check=True, stream=None, **options):
        """Run a command: a list, or a line for bash. With `stream`, a function
        of (fd, text) gets the output as it comes, and the result has none."""
        key = 'sh' if isinstance(command, str) else 'argv'
        message = self.request('run', on_output=stream, stream=stream is not None,
                               timeout=timeout, limit=timeout + 60,
                               **{key: command}, **options)
        result = Result(message['rc'], message['out'], message['err'], message['timeout'])
        if check and (result.rc or result.timeout):
            shown = command if isinstance(command, str) else ' '.join(command)
            raise CommandFailed(self.name, shown, result)
        return result

    def spawn(self, command, *, log='/dev/null', **options):
        """Start a command in the background; returns its pid."""
        key = 'sh' if isinstance(command, str) else 'argv'
        return self.request('spawn', log=log, **{key: command}, **options)['pid']

    def wait(self, pid, timeout=60):
        """A spawned command's exit status; None if it still runs."""
        return self.request('wait', pid=pid, timeout=timeout, limit=timeout + 60)['rc']

    def kill(self, pid, sig=signal.SIGTERM):
        """Signal a spawned command and its children."""
        self.request('kill', pid=pid, sig=int(sig))

    def write(self, path, data, mode=0o644):
        """Make a file in the guest."""
        if isinstance(data, str):
            data = data.encode()
        self.request('write', path=path, data=base64.b64encode(data).decode(), mode=mode)

    def read(self, path):
        """A file of the guest, as text."""
        data = base64.b64decode(self.request('read', path=path)['data'])
        return data.decode('utf-8', 'surrogateescape')

    def problems(self):
        """Lines of the console that a healthy kernel never prints."""
        return problems_in(self.console_path)

    def stop(self):
        """Power off; kill if that takes too long."""
        if self.process is None:
            return
        if self.process.poll() is None and self.ready.is_set() and not self.gone.is_set():
            with contextlib.suppress(OSError):
                self.control.sendall(b'{"op": "quit"}\n')
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(15)
        if self.process.poll() is None:
            self.process.kill()
        self._close()

    def power_off(self):
        """What happens when somebody pulls the plug. start() boots it again."""
        self.process.kill()
        self._close()

    def shut_down(self, timeout=300, command='systemctl poweroff'):
        """The guest's systemd does it."""
        self.spawn(command)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise LabError(f'{self.name}: still up {timeout} s after "{command}"; '
                           f'{self.last_words()}') from error
        self._close()

    def reboot(self, timeout=300):
        """Shut it down; then it is started again."""
        self.shut_down(timeout, 'systemctl reboot')
        self.start()
        self.wait_ready(timeout)

    def _close(self):
        """QEMU has ended or is about to."""
        self.process.wait()
        for end in (self.control, self.console, self.monitor):
            end.close()

    def set_link(self, nic_name, is_up):
        """Pull the cable out of a card, or put it back."""
        index = [nic.name for nic in self.nics].index(nic_name)
        self._qmp('qmp_capabilities')
        self._qmp('set_link', name=f'nic{index}', up=is_up)

    def _qmp(self, command, **arguments):
        """A command to QEMU itself; asking for the capabilities twice is no harm."""
        request = {'execute': command, 'arguments': arguments, 'id': command}
        self.monitor.sendall(json.dumps(request).encode())
        said = b''
        while f'"id": "{command}"'.encode() not in said:
            said += self.monitor.recv(65536)
        if b'"error"' in said and command != 'qmp_capabilities':
            raise LabError(f'{self.name}: QEMU: {command}: {said.decode()}')


class Run:
    """A set of guests that are up together, and the directory of their traces."""

    def __init__(self, kernel, name, *, root='', bare=False):
        """root: which one of lab/root; bare: without our modules and tools."""
        self.kernel = Kernel.get(kernel)
        self.root = script('root', *root.split())
        self.bare = bare
        stamp = time.strftime('%Y%m%d-%H%M%S')
        self.directory = os.path.join(BUILD, 'lab', f'{stamp}-{name}-{os.getpid()}')
        self.share = os.path.join(self.directory, 'share')
        os.makedirs(self.share)
        self.vms = []
        self._prune()
        self._snapshot()
        atexit.register(self.stop)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @functools.cached_property
    def accelerator(self):
        """QEMU's options for it."""
        return accelerator(self.kernel)

    @property
    def is_kvm(self):
        """Do the guests run at full speed?"""
        return 'kvm' in self.accelerator

    @staticmethod
    def _prune():
        """Old runs go."""
        runs = sorted(glob.glob(os.path.join(BUILD, 'lab', '2*')))
        for old in runs[:-KEEP_RUNS]:
            shutil.rmtree(old, ignore_errors=True)

    def _snapshot(self):
        """Our modules and tools as they are now, ready for modprobe: what is
        built while the guests run does not disturb them."""
        tree = os.path.join(self.share, 'lib/modules', self.kernel.release)
        updates = os.path.join(tree, 'updates')
        os.makedirs(updates)
        for module in glob.glob(f'{BUILD}/{self.kernel.release}/*.ko'):
            if not self.bare:
                shutil.copy(module, updates)
        for name in os.listdir(self.kernel.modules):
            if name == 'kernel' or name in ('modules.order', 'modules.builtin',
                                            'modules.builtin.modinfo'):
                os.symlink(os.path.join(self.kernel.modules, name), os.path.join(tree, name))
        path = os.environ.get('PATH', '') + ':/usr/sbin:/sbin'
        subprocess.run([shutil.which('depmod', path=path), '-b', self.share,
                        self.kernel.release], check=True)
        for name in os.listdir(tree):
            if os.path.islink(os.path.join(tree, name)):
                os.unlink(os.path.join(tree, name))
        os.rename(tree, os.path.join(self.share, 'modules'))
        shutil.rmtree(os.path.join(self.share, 'lib'))
        if not self.bare:
            self._snapshot_tools()

    def _snapshot_tools(self):
        """Our programs, for the guests' /usr/local/sbin."""
        target = os.path.join(self.share, 'bin')
        for pattern in ('ipvsadm/ipvsadm', 'ipvsadm/ipvsadm-*', 'fuzz/*'):
            for path in glob.glob(os.path.join(BUILD, pattern)):
                if os.path.isfile(path) and os.access(path, os.X_OK):
                    os.makedirs(target, exist_ok=True)
                    shutil.copy(path, target)

    def give_tools(self, directory):
        """Our programs, to a guest's /lab."""
        tools = os.path.join(self.share, 'bin')
        if os.path.isdir(tools):
            shutil.copytree(tools, f'{directory}/bin', dirs_exist_ok=True)

    def vm(self, name, **options):
        """A new guest, not started yet."""
        machine = Vm(self, name, **options)
        if self.kernel.is_debug:
            machine.memory *= DEBUG_MEMORY
        self.vms.append(machine)
        return machine

    def boot(self):
        """Start all guests and wait for them."""
        for machine in self.vms:
            machine.start()
        for machine in self.vms:
            machine.wait_ready()

    def problems(self):
        """Complaints of any kernel, each with the name of its machine."""
        return [f'{machine.name}: {line}' for machine in self.vms
                for line in machine.problems()]

    def stop(self):
        """Power all guests off."""
        stoppers = [threading.Thread(target=machine.stop) for machine in self.vms]
        for stopper in stoppers:
            stopper.start()
        for stopper in stoppers:
            stopper.join()
