# SPDX-License-Identifier: GPL-2.0
"""A program that a firewall's rule hands packets to ("queue num N"), and that accepts them."""
import socket
import struct
import threading

from .genetlink import attribute, attributes

NETLINK_NETFILTER = 12
SUBSYSTEM = 3 << 8                          # NFNL_SUBSYS_QUEUE
PACKET, VERDICT, CONFIG = range(3)
CFG_CMD, CFG_PARAMS = 1, 2
PACKET_HDR, VERDICT_HDR = 1, 2
CMD_BIND, COPY_META, NF_ACCEPT = 1, 1, 1


class Accepting:
    """Accepts whatever comes to the queue of this number, until it is closed."""

    def __init__(self, namespace, number):
        self.number = number
        self.count = 0
        self.sock = namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.sock.bind((0, 0))
        self._send(CONFIG, attribute(CFG_CMD, struct.pack('!BBH', CMD_BIND, 0, 0)))
        self._send(CONFIG, attribute(CFG_PARAMS, struct.pack('!IB', 0, COPY_META)))
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _send(self, kind, attributes_):
        body = struct.pack('!BBH', socket.AF_UNSPEC, 0, self.number) + attributes_
        self.sock.send(struct.pack('=IHHII', 16 + len(body), SUBSYSTEM | kind, 1, 0, 0) + body)

    def _serve(self):
        while True:
            try:
                data = self.sock.recv(1 << 16)
            except OSError:
                return
            kind = struct.unpack('=H', data[4:6])[0]
            if kind != SUBSYSTEM | PACKET:
                continue
            ident = attributes(data[20:])[PACKET_HDR][:4]
            self.count += 1
            self._send(VERDICT, attribute(VERDICT_HDR, struct.pack('!I', NF_ACCEPT) + ident))
