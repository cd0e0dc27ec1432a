#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The guest's half of the control channel.

Reads one JSON object per line from a virtio-serial port, does what it says in
a thread of its own, and answers with JSON lines that carry the request's id:

  run    {argv|sh, stdin, timeout, env, cwd, stream}  -> {rc, out, err, timeout}
  spawn  {argv|sh, log, env, cwd}                     -> {pid}
  wait   {pid, timeout}                               -> {rc} (null: still runs)
  kill   {pid, sig}                                   -> {}
  write  {path, data (base64), mode}                  -> {}
  read   {path}                                       -> {data (base64)}
  quit   {}                                           the guest powers off

With "stream", output is sent as it comes: {id, fd, text}.
"""
import base64
import glob
import json
import os
import signal
import subprocess
import threading

PORT = 'lab.ctl'


def find_port():
    """The device of the virtio port that is called PORT."""
    for path in glob.glob('/sys/class/virtio-ports/*/name'):
        with open(path, encoding='ascii') as file:
            if file.read().strip() == PORT:
                return '/dev/' + path.split('/')[-2]
    raise SystemExit(f'agent: no virtio port named {PORT}')


class Agent:
    """Serves one control channel."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR)
        self.lock = threading.Lock()
        self.children = {}

    def send(self, **message):
        """Write one line to the host."""
        data = (json.dumps(message) + '\n').encode()
        with self.lock:
            while data:
                data = data[os.write(self.fd, data):]

    def serve(self):
        """Read requests until the host says quit."""
        with os.fdopen(os.dup(self.fd), 'rb', buffering=0) as port:
            pending = b''
            while True:
                data = port.read(65536)
                if not data:
                    return
                pending += data
                *lines, pending = pending.split(b'\n')
                for line in lines:
                    request = json.loads(line)
                    if request['op'] == 'quit':
                        return
                    threading.Thread(target=self.answer, args=(request,),
                                     daemon=True).start()

    def answer(self, request):
        """Do one request and send its final answer."""
        ident = request.pop('id')
        operation = getattr(self, 'do_' + request.pop('op'))
        try:
            self.send(id=ident, done=True, **operation(ident, **request))
        except Exception as error:  # pylint: disable=broad-except
            self.send(id=ident, done=True, error=f'{type(error).__name__}: {error}')

    @staticmethod
    def popen(argv, script, env, cwd, **streams):
        """Start a process in a session of its own."""
        if script is not None:
            argv = ['/bin/bash', '-c', script]
        return subprocess.Popen(argv, env={**os.environ, **(env or {})},
                                cwd=cwd or '/root', start_new_session=True, **streams)

    def collect(self, ident, stream, number, chunks, echo):
        """Read a pipe to its end."""
        while True:
            data = os.read(stream.fileno(), 65536)
            if not data:
                return
            text = data.decode('utf-8', 'surrogateescape')
            if echo:
                self.send(id=ident, fd=number, text=text)
            else:
                chunks.append(text)

    def do_run(self, ident, argv=None, sh=None, stdin='', timeout=None, env=None,
               cwd=None, stream=False):
        """Run a command to its end."""
        process = self.popen(argv, sh, env, cwd, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        outputs = ([], [])
        readers = []
        for number, pipe in ((1, process.stdout), (2, process.stderr)):
            readers.append(threading.Thread(
                target=self.collect,
                args=(ident, pipe, number, outputs[number - 1], stream), daemon=True))
            readers[-1].start()
        try:
            process.stdin.write(stdin.encode('utf-8', 'surrogateescape'))
            process.stdin.close()
        except BrokenPipeError:
            pass
        late = False
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            late = True
            self.kill_group(process.pid, signal.SIGKILL)
            process.wait()
        for reader in readers:
            # A process that the command left behind may hold the pipe
            reader.join(0.5 if late else 10)
        return {'rc': process.returncode, 'out': ''.join(outputs[0]),
                'err': ''.join(outputs[1]), 'timeout': late}

    def do_spawn(self, _ident, argv=None, sh=None, log='/dev/null', env=None, cwd=None):
        """Start a command and leave it running."""
        with open(log, 'ab') as file:
            process = self.popen(argv, sh, env, cwd, stdin=subprocess.DEVNULL,
                                 stdout=file, stderr=file)
        self.children[process.pid] = process
        return {'pid': process.pid}

    def do_wait(self, _ident, pid, timeout=None):
        """Wait for a spawned command."""
        try:
            return {'rc': self.children[pid].wait(timeout)}
        except subprocess.TimeoutExpired:
            return {'rc': None}

    @staticmethod
    def kill_group(pid, number):
        """Signal a process and what it started; it may be gone."""
        try:
            os.killpg(pid, number)
        except ProcessLookupError:
            pass

    def do_kill(self, _ident, pid, sig=signal.SIGTERM):
        """Signal a spawned command."""
        self.kill_group(pid, sig)
        return {}

    @staticmethod
    def do_write(_ident, path, data, mode=0o644):
        """Make a file."""
        with open(path, 'wb') as file:
            file.write(base64.b64decode(data))
        os.chmod(path, mode)
        return {}

    @staticmethod
    def do_read(_ident, path):
        """Return a file."""
        with open(path, 'rb') as file:
            return {'data': base64.b64encode(file.read()).decode('ascii')}


def main():
    """Serve until told to quit."""
    agent = Agent(find_port())
    agent.send(ready=True)
    agent.serve()


if __name__ == '__main__':
    main()
