# SPDX-License-Identifier: GPL-2.0
"""tcpdump in a namespace, with a sure beginning and a sure end."""
import os
import re
import signal
import socket

import pcap

from . import basics

MARK = b'lab: end of capture'
# everything but neighbour discovery and memberships, which come when they like
TRAFFIC = ('ip or (ip6 and not (icmp6 and ip6[40] >= 133 and ip6[40] <= 137) and '
           'not (ip6[6] = 0 and ip6[40] = 58))')
MARK_TYPE = 0x88b5      # an ethertype for experiments


class Capture:
    """Captures on an interface from construction until stop()."""
    count = 0

    def __init__(self, namespace, device='eth0', expression=TRAFFIC, snaplen=256):
        Capture.count += 1
        self.namespace = namespace
        self.device = device
        self.path = namespace.path(f'{device}-{Capture.count}.pcap')
        self.log = self.path + '.log'
        self.searched = 0
        self.process = namespace.spawn(
            ['tcpdump', '-i', device, '-U', '--immediate-mode', '-B', '65536', '-Z', 'root',
             '-s', str(snaplen), '-w', self.path,
             f'({expression}) or ether proto {MARK_TYPE:#x}'], self.log)
        basics.until(self._started, 30, f'tcpdump starts ({self.log})')

    def _said(self):
        with open(self.log, encoding='utf-8', errors='replace') as file:
            return file.read()

    def _started(self):
        basics.check(self.process.poll() is None, lambda: f'tcpdump: {self._said()}')
        return 'listening on' in self._said()

    def _marked(self):
        """Is the mark in what was written since the last look? Traffic goes on after it."""
        with open(self.path, 'rb') as file:
            file.seek(max(0, self.searched - len(MARK)))
            found = MARK in file.read()
            self.searched = file.tell()
        return found

    def stop(self):
        """End it; everything sent or received before this call is in it."""
        if self.process.poll() is None:
            self.searched = os.path.getsize(self.path)
            with self.namespace:
                with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
                    sock.bind((self.device, MARK_TYPE))
                    sock.send(b'\xff' * 6 + b'\x02' * 6 + MARK_TYPE.to_bytes(2, 'big') + MARK)
            basics.until(self._marked, 60, 'the capture is written')
            self.namespace.stop(self.process, signal.SIGINT)
        lost = re.search(r'(\d+) packets? dropped by kernel', self._said())
        basics.check(lost and lost[1] == '0', f'tcpdump lost packets: {self._said()}')
        return self

    def packets(self):
        """Stop, and return what was captured; see pcap.Packet."""
        self.stop()
        return pcap.packets(self.path)
