# SPDX-License-Identifier: GPL-2.0
"""The same packets from two CPUs at once."""
import ctypes
import mmap
import os

from . import basics

CPUS = (0, 1)
PAUSE = bytes.fromhex('f390c3')     # x86: pause; ret


def pauser():
    """A function by which a CPU that waits for another one says so. (QEMU without KVM goes on
    with the next CPU then, instead of in many milliseconds.)"""
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(PAUSE)
    pause = ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    pause.code = code
    return pause


def send_in_step(host, packets, cpu, sent):
    """On this CPU, each packet no earlier than the other CPU is about to send it, too."""
    os.sched_setaffinity(0, {cpu})
    pause = pauser()
    for number, packet in enumerate(packets, 1):
        sent[cpu] = number
        while sent[1 - cpu] < number:
            pause()
        host.send(packet)


def send_twice(host, packets):
    """A RawHost sends each packet from two CPUs at once. A packet is worked on where it was
    sent, up to the network of the real servers."""
    basics.check(os.cpu_count() > 1, 'this machine has one CPU')
    sent = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast('Q')
    children = []
    for cpu in CPUS:
        pid = os.fork()
        if not pid:
            send_in_step(host, packets, cpu, sent)
            os._exit(0)
        children.append(pid)
    basics.equal([os.waitpid(pid, 0)[1] for pid in children], [0, 0], 'how the senders ended')
