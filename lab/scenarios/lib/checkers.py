# SPDX-License-Identifier: GPL-2.0
"""The debug kernel: checkers that do not speak up themselves, and what it counted of
our code."""
import glob
import os
import re
import shutil
import time

from . import basics

KMEMLEAK = '/sys/kernel/debug/kmemleak'
LOCKDEP = '/proc/lockdep_stats'
GCOV = '/sys/kernel/debug/gcov'
YOUNG = 5       # seconds; what is younger is no leak yet, says kmemleak
# sysfs_slab_add() of 6.1 forgets the name of a cache that it cannot add for want of memory
KERNELS_OWN = 'sysfs_slab_add'


def read(path):
    """A file's text."""
    with open(path, encoding='utf-8', errors='replace') as file:
        return file.read()


def write(path, text):
    """Write to a file of the kernel."""
    with open(path, 'w', encoding='ascii') as file:
        file.write(str(text))


def no_scan_unasked():
    """Every ten minutes kmemleak would look through all of the memory by itself, in the middle
    of a scenario; leaks() asks for it at the end of each file."""
    write(KMEMLEAK, 'scan=off')


def leaks():
    """What nobody points to any more, as kmemleak describes it, once; '' if nothing."""
    began = time.monotonic()
    write(KMEMLEAK, 'scan')     # the first scan only takes checksums
    basics.until(lambda: time.monotonic() - began > YOUNG, YOUNG + 1, 'the time passes')
    write(KMEMLEAK, 'scan')
    if read(KMEMLEAK):
        write(KMEMLEAK, 'scan')     # a pointer may have been on its way
    found = read(KMEMLEAK)
    write(KMEMLEAK, 'clear')
    return found


def lockdep_gave_up():
    """Lockdep stops at its first report, and when its tables are full."""
    return ['debug_locks:', '1'] not in [line.split() for line in read(LOCKDEP).splitlines()]


def check_silent():
    """Fail if kmemleak or lockdep have something to say."""
    basics.check(not lockdep_gave_up(), 'lockdep is off: it has found something or is full')
    found = [record for record in re.split(r'^(?=unreferenced object)', leaks(), flags=re.M)
             if record.strip() and KERNELS_OWN not in record]
    basics.check(not found, f'kmemleak: {len(found)} leaks\n' + ''.join(found))


def has_checkers():
    """Is this the debug kernel?"""
    return os.path.exists(KMEMLEAK)


def keep_coverage(directory):
    """Copy what gcov counted of our modules since the boot, also of unloaded ones."""
    for path in glob.glob(f'{GCOV}/**/*.gcda', recursive=True):
        target = directory + path.removeprefix(GCOV)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(path, target)
