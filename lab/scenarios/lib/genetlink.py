# SPDX-License-Identifier: GPL-2.0
"""Generic netlink by hand, so that messages can be wrong. Shares nothing with the
tool; the numbers are those of ipvs-fullnat/include/uapi/linux/ip_vs_fullnat.h."""
import dataclasses
import os
import socket
import struct

from . import basics

NETLINK_GENERIC = 16
SOL_NETLINK, NETLINK_CAP_ACK, NETLINK_EXT_ACK = 270, 10, 11
REQUEST, ACK, DUMP = 1, 4, 0x300
MULTI, DUMP_INTR = 2, 0x10
NLMSG_ERROR, NLMSG_DONE = 2, 3
ACK_TLVS, CAPPED = 0x200, 0x100
NLMSGERR_ATTR_MSG, NLMSGERR_ATTR_OFFS = 1, 2
GENL_ID_CTRL, CTRL_GETFAMILY, CTRL_FAMILY_ID, CTRL_FAMILY_NAME = 16, 3, 1, 2
NESTED = 0x8000
HEADERS = 16 + 4            # of netlink and generic netlink, before the attributes

SET_SERVICE, DEL_SERVICE, GET_SERVICE, ADD_LADDR, DEL_LADDR, GET_LADDR, FLUSH, ZERO, \
    SET_OPTIONS, GET_OPTIONS, GET_CONN, DEL_CONN = COMMANDS = range(1, 13)
SERVICE, LADDR, OPTIONS, CONN, ENDED = range(1, 6)
SVC_FAMILY, SVC_PROTOCOL, SVC_ADDR, SVC_PORT, SVC_FWMARK, SVC_TOA_V4, SVC_TOA_V6, \
    SVC_TIMESTAMPS, SVC_CONN_TIMEOUT = range(1, 10)
SVC_PREFIX_LEN, SVC_ORIGIN = 15, 16
LADDR_FAMILY, LADDR_ADDR, LADDR_ADDR_END, LADDR_PORT_MIN, LADDR_PORT_MAX, LADDR_LOCAL, \
    LADDR_CONNS = range(1, 8)
LADDR_DRAINING = 12
OPT_SECRET, OPT_SECRET_ID = 1, 2
CONN_FAMILY, CONN_PROTOCOL, CONN_CLIENT_ADDR, CONN_CLIENT_PORT, CONN_VIP_ADDR, CONN_VIP_PORT, \
    CONN_LADDR_ADDR, CONN_LADDR_PORT, CONN_RS_ADDR, CONN_RS_PORT, CONN_STATE, CONN_EXPIRES, \
    CONN_FLAGS = range(1, 14)


def attribute(kind, body, length=None):
    """An attribute; `length` overrides what its length field says."""
    header = struct.pack('=HH', 4 + len(body) if length is None else length, kind)
    return header + body + b'\0' * (-len(body) % 4)


def nest(kind, *parts):
    """A nest of attributes."""
    return attribute(kind | NESTED, b''.join(parts))


def attributes(data):
    """What attribute() and nest() make, taken apart: {kind: body}."""
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack('=HH', data[:4])
        found[kind & 0x3fff] = data[4:length]
        data = data[(length + 3) & ~3:]
    return found


def u8(kind, value):
    """An attribute of one byte."""
    return attribute(kind, struct.pack('=B', value))


def u16(kind, value):
    """An attribute of two bytes, in the host's order."""
    return attribute(kind, struct.pack('=H', value))


def u32(kind, value):
    """An attribute of four bytes, in the host's order."""
    return attribute(kind, struct.pack('=I', value))


def be16(kind, value):
    """An attribute of two bytes, in network order."""
    return attribute(kind, struct.pack('!H', value))


def address(kind, text):
    """An attribute with an address."""
    family = socket.AF_INET6 if ':' in text else socket.AF_INET
    return attribute(kind, socket.inet_pton(family, text))


@dataclasses.dataclass
class Answer:
    """What the kernel said: errno (0: done), its sentence, and the messages of a dump."""
    errno: int
    text: str = ''
    messages: tuple = ()
    interrupted: bool = False   # NLM_F_DUMP_INTR: changed meanwhile
    blamed: tuple = ()          # the attribute that the sentence is about, behind its nests

    def __str__(self):
        return f'{os.strerror(self.errno)}: {self.text!r} {self.blamed}'


def extack(body, flags, request):
    """The sentence of an NLMSG_ERROR, and the attribute of the request that it is about."""
    if not flags & ACK_TLVS:
        return '', ()
    size = struct.unpack('=I', body[4:8])[0]
    found = attributes(body[4 + (16 if flags & CAPPED else (size + 3) & ~3):])
    offset = found.get(NLMSGERR_ATTR_OFFS)
    blamed = attribute_at(request, struct.unpack('=I', offset)[0] - HEADERS) if offset else ()
    return found.get(NLMSGERR_ATTR_MSG, b'').rstrip(b'\0').decode(), blamed


def attribute_at(data, offset):
    """Which attribute begins there, with the nests that it is in? (-1,): none does."""
    at = 0
    while at <= offset and len(data) - at >= 4:
        length, kind = struct.unpack('=HH', data[at:at + 4])
        if at == offset:
            return (kind & 0x3fff,)
        if offset < at + length:
            return (kind & 0x3fff, *attribute_at(data[at + 4:at + length], offset - at - 4))
        at += max((length + 3) & ~3, 4)
    return (-1,)


class Genetlink:
    """A socket to one generic-netlink family in a namespace."""

    def __init__(self, namespace, family):
        self.sock = namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        self.sock.bind((0, 0))
        self.sock.settimeout(10)
        for option in (NETLINK_CAP_ACK, NETLINK_EXT_ACK):
            self.sock.setsockopt(SOL_NETLINK, option, 1)
        self.sequence = 0
        self.request = b''      # the attributes of the last one
        self.family = GENL_ID_CTRL
        name = attribute(CTRL_FAMILY_NAME, family.encode() + b'\0')
        answer = self.ask(CTRL_GETFAMILY, name, version=1)
        basics.check(not answer.errno, f'no family {family}: {answer}')
        number = attributes(answer.messages[0][4:])[CTRL_FAMILY_ID]
        self.family = struct.unpack('=H', number)[0]

    def ask(self, command, message=b'', *, flags=ACK, version=1, cut=0):
        """Send a command and read its answer; cut: leave out bytes of the end."""
        body = struct.pack('=BBH', command, version, 0) + message
        body = body[:len(body) - cut]
        self.request = body[4:]
        self.sequence += 1
        self.sock.send(struct.pack('=IHHII', 16 + len(body), self.family, REQUEST | flags,
                                   self.sequence, 0) + body)
        return self._answer()

    def dump(self, command, message=b''):
        """The messages of a dump."""
        return self.ask(command, message, flags=DUMP)

    def _answer(self):
        messages, interrupted = [], False
        while True:
            data = self.sock.recv(1 << 16)
            while data:
                length, kind, flags, sequence, _ = struct.unpack('=IHHII', data[:16])
                body, data = data[16:length], data[(length + 3) & ~3:]
                if sequence != self.sequence:
                    continue
                interrupted |= bool(flags & MULTI and flags & DUMP_INTR)
                if kind in (NLMSG_ERROR, NLMSG_DONE):
                    number = -struct.unpack('=i', body[:4])[0] if len(body) >= 4 else 0
                    text, blamed = extack(body, flags, self.request) \
                        if kind == NLMSG_ERROR else ('', ())
                    return Answer(number, text, tuple(messages), interrupted, blamed)
                messages.append(body)
