# SPDX-License-Identifier: GPL-2.0
"""A network namespace, and what one does in it."""
import ctypes
import functools
import os
import signal
import socket
import subprocess
import threading

from . import basics

CLONE_NEWNET = 0x40000000
MS_BIND, MNT_DETACH = 4096, 2
RUN = '/run/netns'
LIBC = ctypes.CDLL(None, use_errno=True)
# of each thread: where it was before it entered the namespaces that it is in
INSIDE = threading.local()


def libc(name, *arguments):
    """A system call that Python 3.11 does not have."""
    if getattr(LIBC, name)(*arguments):
        raise OSError(ctypes.get_errno(), name)


def setns(fd):
    """Move this thread into a network namespace."""
    libc('setns', fd, CLONE_NEWNET)


@functools.cache
def prepare():
    """What iproute2 does to RUN, so that a namespace that is deleted leaves the mount namespaces
    of `ip netns exec` as well. Once: children of who has called it know."""
    basics.run('ip netns add prepare && ip netns del prepare')


def add(name):
    """As `ip netns add` does it, without a process: that is most of a small scenario's time."""
    prepare()
    os.close(os.open(f'{RUN}/{name}', os.O_CREAT | os.O_EXCL | os.O_RDONLY, 0))
    before = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
    libc('unshare', CLONE_NEWNET)
    try:
        libc('mount', b'/proc/thread-self/ns/net', f'{RUN}/{name}'.encode(), b'none', MS_BIND,
             None)
    finally:
        setns(before)
        os.close(before)


def delete(name):
    """As `ip netns del` does it."""
    libc('umount2', f'{RUN}/{name}'.encode(), MNT_DETACH)
    os.unlink(f'{RUN}/{name}')


def processes(names):
    """The processes in any of these namespaces."""
    inside = {os.stat(f'{RUN}/{name}').st_ino for name in names}
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            if os.stat(f'/proc/{pid}/ns/net').st_ino in inside:
                yield int(pid)
        except (FileNotFoundError, ProcessLookupError):      # it has just ended
            pass


class Namespace:
    """A named network namespace. `with namespace:` moves the calling thread
    into it: sockets made there stay there."""

    def __init__(self, name, directory):
        self.name = name
        self.directory = os.path.join(directory, name)
        os.makedirs(self.directory, exist_ok=True)
        add(name)

    def __enter__(self):
        before = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
        inside = os.open(f'{RUN}/{self.name}', os.O_RDONLY)
        setns(inside)
        os.close(inside)
        INSIDE.__dict__.setdefault('before', []).append(before)
        return self

    def __exit__(self, *_):
        before = INSIDE.before.pop()
        setns(before)
        os.close(before)

    def __repr__(self):
        return self.name

    def path(self, name):
        """A file of this namespace's own directory (kept when the test fails)."""
        return os.path.join(self.directory, name)

    def write(self, name, text, mode=0o644):
        """A file of its own with this text; returns its path."""
        with open(self.path(name), 'w', encoding='ascii') as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
        return file.name

    def wrap(self, command):
        """The command as one to run from outside, or that needs the /sys of this namespace."""
        return ['ip', 'netns', 'exec', self.name, *basics.argv(command)]

    def run(self, command, *, check=True, **options):
        """Run a command to its end; see basics.run."""
        with self:
            result = basics.run(command, check=False, **options)
        shown = command if isinstance(command, str) else ' '.join(command)
        result.command = f'{self.name}# {shown}'
        if check and result.rc:
            raise basics.CommandFailed(result)
        return result

    def spawn(self, command, log=None, **options):
        """Start a command in the background; ends with the test. Returns a Popen."""
        with open(log or self.path('spawn.log'), 'ab') as file, self:
            return subprocess.Popen(basics.argv(command), stdin=subprocess.DEVNULL, stdout=file,
                                    stderr=file, start_new_session=True, **options)

    @staticmethod
    def stop(process, sig=signal.SIGTERM, timeout=30):
        """End a spawned command and return its exit status."""
        process.send_signal(sig)
        return process.wait(timeout)

    def batch(self, lines):
        """Run many `ip` commands at once."""
        basics.run(['ip', '-n', self.name, '-batch', '-'], stdin='\n'.join(lines) + '\n')

    def sysctl(self, name, value=None):
        """Read or write a sysctl of this namespace."""
        path = '/proc/sys/' + name.replace('.', '/')
        with self:
            if value is None:
                with open(path, encoding='ascii') as file:
                    return file.read().strip()
            with open(path, 'w', encoding='ascii') as file:
                file.write(str(value))
        return str(value)

    def proc_net(self, name):
        """The text of /proc/net/NAME in this namespace."""
        with self:
            with open(f'/proc/thread-self/net/{name}', encoding='ascii') as file:
                return file.read()

    def counters(self, name):
        """A /proc/net file of "name value" lines as a dictionary, of the numbers in it."""
        pairs = (line.split() for line in self.proc_net(name).splitlines())
        return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}

    def fullnat_stats(self):
        """Counters of ip_vs_fullnat."""
        return self.counters('ip_vs_fullnat_stats')

    def toa_stats(self):
        """Counters of toa."""
        return self.counters('toa_stats')

    def nft(self, rules):
        """Load nftables rules."""
        self.run(['nft', '-f', '-'], stdin=rules)

    def listening(self, port):
        """Does someone listen on this TCP port?"""
        suffix = f':{port:04X}'
        for table in ('tcp', 'tcp6'):
            for line in self.proc_net(table).splitlines()[1:]:
                fields = line.split()
                if fields[3] == '0A' and fields[1].endswith(suffix):
                    return True
        return False

    def wait_listening(self, port, timeout=30):
        """Wait until someone listens."""
        basics.until(lambda: self.listening(port), timeout, f'{self.name} listens on {port}')

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, proto=0):
        """A socket that belongs to this namespace."""
        with self:
            return socket.socket(family, kind, proto)

    def connect(self, address, port, *, source=None, source_port=0, timeout=30):
        """A TCP connection from here; of a given source address and port."""
        family = socket.AF_INET6 if ':' in address else socket.AF_INET
        sock = self.socket(family)
        sock.settimeout(timeout)
        try:
            if source or source_port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind((source or ('::' if family == socket.AF_INET6 else '0.0.0.0'),
                           source_port))
            sock.connect((address, port))
        except OSError as error:
            sock.close()
            raise type(error)(f'{self.name}: connect {address}:{port}: {error}') from error
        return sock

    def ask(self, address, port, payload=b'', **options):
        """Connect, send the payload and a FIN, read to the end. Returns
        (own address and port, answer)."""
        with self.connect(address, port, **options) as sock:
            local = sock.getsockname()[:2]
            if payload:
                sock.sendall(payload)
            sock.shutdown(socket.SHUT_WR)
            return local, basics.read_to_end(sock)
