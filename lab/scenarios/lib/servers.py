# SPDX-License-Identifier: GPL-2.0
"""Servers of the scenarios. The Python ones run in threads of the test: only
their sockets live in the namespace."""
import dataclasses
import hashlib
import os
import socket
import threading


@dataclasses.dataclass
class Seen:
    """What a server was told about one client: by accept() and by getpeername()."""
    accepted: tuple
    peername: tuple
    local: tuple


def greeting(client):
    """What PeerServer says to the client that it sees as (address, port, ...)."""
    return f'{client[0]} {client[1]}\n'.encode()


class PeerServer:
    """Tells each client who it seems to be, see greeting(), then echoes.

    speaks_first=False: says so only after the client has sent something.
    handler: a function of (socket, Seen) that does it all instead.
    """

    def __init__(self, namespace, port, *, address=None, family=socket.AF_INET,
                 dual_stack=False, speaks_first=True, handler=None, backlog=512,
                 options=(), protocol=0):
        if dual_stack:
            family = socket.AF_INET6
        self.namespace = namespace
        self.port = port
        self.speaks_first = speaks_first
        self.handler = handler or self.echo
        self.seen = []
        self.ended = []     # those of them whose socket is closed
        self.errors = []
        self.listener = namespace.socket(family, proto=protocol)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            self.listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY,
                                     0 if dual_stack else 1)
        for option in options:
            self.listener.setsockopt(*option)
        self.listener.bind((address or ('::' if family == socket.AF_INET6 else '0.0.0.0'), port))
        self.listener.listen(backlog)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, address = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock, address), daemon=True).start()

    def _serve(self, sock, address):
        try:
            peername = sock.getpeername()[:2]
        except OSError as error:        # the client is gone already
            peername = (str(error), 0)
        seen = Seen(address[:2], peername, sock.getsockname()[:2])
        self.seen.append(seen)
        try:
            with sock:
                self.handler(sock, seen)
        except OSError as error:
            self.errors.append(error)
        self.ended.append(seen)

    def echo(self, sock, seen):
        """Name the client, then echo."""
        line = greeting(seen.peername)
        if self.speaks_first:
            sock.sendall(line)
        while True:
            data = sock.recv(65536)
            if not data:
                return
            if not self.speaks_first and line:
                data, line = line + data, b''
            sock.sendall(data)

    @property
    def clients(self):
        """(address, port) of every client, as getpeername told it."""
        return [seen.peername for seen in self.seen]

    def close(self):
        """Stop listening; what is connected stays."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def says_and_closes(sock, seen):
    """A handler that closes first: the server keeps the TIME_WAIT."""
    sock.sendall(greeting(seen.peername))


def waits_for_the_end(sock, seen):
    """A handler that lets the client close first: the server waits for the last ACK."""
    says_and_closes(sock, seen)
    sock.recv(100)


def digest_of_rest(sock):
    """Read to the other side's FIN; the sha256 of what came."""
    total = hashlib.sha256()
    while True:
        data = sock.recv(1 << 18)
        if not data:
            return total
        total.update(data)


NGINX = '''
daemon off;
pid {dir}/nginx.pid;
user root;
worker_processes {workers};
error_log {dir}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  log_format peer "$remote_addr $remote_port $request_uri $status $connection_requests";
  access_log {dir}/access.log peer;
  keepalive_requests 1000000;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  client_max_body_size 200m;
  server {{
    {listen}
    location / {{ return 200 "{name} $remote_addr $remote_port\\n"; }}
    location /files/ {{ alias {dir}/files/; }}
    {extra}
  }}
}}
'''


class Nginx:
    """An nginx that answers "NAME ADDRESS PORT" and logs what it saw; files in
    `files` are served below /files/. listen: directives to use instead of listening on both
    families' sockets; wrapper: a command that runs it."""

    def __init__(self, namespace, ports=(80,), extra='', *, listen='', workers=1, wrapper=()):
        self.namespace = namespace
        self.directory = namespace.path('nginx')
        self.files = os.path.join(self.directory, 'files')
        os.makedirs(self.files)
        config = os.path.join(self.directory, 'nginx.conf')
        listen = listen or ' '.join(f'listen {port}; listen [::]:{port};' for port in ports)
        with open(config, 'w', encoding='ascii') as file:
            file.write(NGINX.format(dir=self.directory, name=namespace.name, listen=listen,
                                    extra=extra, workers=workers))
        self.process = namespace.spawn([*wrapper, 'nginx', '-c', config],
                                       namespace.path('nginx.log'))
        for port in ports:
            namespace.wait_listening(port)

    def log(self):
        """(address, port, URI) of every request that was answered."""
        path = os.path.join(self.directory, 'access.log')
        with open(path, encoding='utf-8') as file:
            fields = [line.split() for line in file if line.endswith('\n')]
        return [(f[0], int(f[1]), f[2]) for f in fields]
