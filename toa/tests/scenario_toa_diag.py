#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""toa-diag: what it tells an operator in each state of a real server."""
import contextlib
import socket
import subprocess
import sys

from harness import (ACK, CLIENT4, CLIENT6, FAR4, FIN, LIP4, MSS, SRV4, SRV6, SYN, TOOL, TS, Failed,
                     Peer, accepted, case, expect, is_loaded, listen, load, main, netns, port_of,
                     run, stats, sysctl, toa, unload, wait_for)


def packet_sockets():
    """Of the server's namespace."""
    with netns('toa-s'), open('/proc/thread-self/net/packet', encoding='ascii') as file:
        return len(file.readlines()) - 1


@contextlib.contextmanager
def diag(port, status, *wanted, seconds=60, count=1):
    """toa-diag watches meanwhile, and then says all of this."""
    command = ['ip', 'netns', 'exec', 'toa-s', TOOL, str(port), '-s', str(seconds),
               '-c', str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as tool:
        try:
            wait_for('the tool watches', packet_sockets)
            yield
            text = tool.communicate(timeout=120)[0]
        finally:
            tool.kill()
    for word in wanted:
        if word not in text:
            raise Failed(f'no {word!r} in: {text!r}')
    expect(f'exit status after {text!r}', tool.returncode, status)


def one(wire, server, option, dst=SRV4, src=None):
    """A connection that the server accepts, with this option on its last ACK."""
    peer = Peer(wire, dst, port_of(server), src).connect(option)
    with accepted(server, peer):
        pass


@case
def all_well(wire):
    """Options that arrive, are trusted and decoded, over both families."""
    with listen(socket.AF_INET6) as server:
        port = port_of(server)
        with diag(port, 0, 'probes armed, self-test ok', 'all is well', 'stored 2',
                  f'{LIP4} 1 connections, 1 with TOA (200/8 in 1 packets); '
                  f'client {CLIENT4}:50016', f'client [{CLIENT6}]:50017', count=2):
            one(wire, server, toa(200, CLIENT4, 50016))
            one(wire, server, toa(253, CLIENT6, 50017), SRV6)


@case
def behind_other_options(wire):
    """A TOA that is not the first option is seen as well; another port's is not."""
    with listen() as server, listen() as other:
        with diag(port_of(server), 0, 'all is well', '1 with TOA', f'client {CLIENT4}:50016'):
            one(wire, other, toa(200, CLIENT4, 50099))
            one(wire, server, TS + toa(254, CLIENT4, 50016))


@case
def not_trusted(wire):
    """The source is named, and the command that would trust it."""
    with listen() as server:
        with diag(port_of(server), 1, 'untrusted 1', f'{FAR4}', 'NOT TRUSTED',
                  f'"$(sysctl -n net.toa.trust),{FAR4}"'):
            one(wire, server, toa(200, CLIENT4, 50016), src=FAR4)


@case
def no_option_arrives(wire):
    """Connections without TOA."""
    with listen() as server:
        with diag(port_of(server), 1, 'absent 1', 'no TOA arrives'):
            one(wire, server, TS)


@case
def switched_off(wire):
    """The port, or the layout, is not in the lists of net.toa."""
    with listen() as server:
        port = port_of(server)
        sysctl('net.toa.ports', '1')
        with diag(port, 1, f'port {port} is not in net.toa.ports'):
            one(wire, server, toa(200, CLIENT4, 50016))
        sysctl('net.toa.ports', '\n')
        sysctl('net.toa.layouts', '254/8')
        with diag(port, 1, 'not in net.toa.layouts: 200/8'):
            one(wire, server, toa(200, CLIENT4, 50016))


@case
def wrong_length(wire):
    """An option of our kind that nobody writes like that."""
    with listen() as server:
        with diag(port_of(server), 1, '1 options of a wrong length', 'whose length nobody writes'):
            one(wire, server, bytes((200, 6, 1, 2, 3, 4)))


@case
def old_connection_ends(wire):
    """The load balancer sends the TOA again once the server has closed: that of a connection from
    before says nothing of new ones."""
    with listen() as server:
        peer = Peer(wire, SRV4, port_of(server)).connect(toa(200, CLIENT4, 50016))
        conn, _ = server.accept()
        with diag(port_of(server), 3, 'no connection came', seconds=2):
            conn.close()
            peer.receive_fin()
            peer.send(ACK, toa(200, CLIENT4, 50016))
            peer.send(ACK | FIN, toa(200, CLIENT4, 50016))


@case
def nat64_only(wire):
    """IPv6 clients of an IPv4 server, whom only getsockopt() can name."""
    with listen() as server:
        with diag(port_of(server), 0, 'all is well', 'stored 0', 'nat64 1'):
            one(wire, server, toa(254, CLIENT6, 50016))


@case
def nothing_comes(_):
    """No traffic: nothing is known, and that is what it says."""
    with diag(80, 3, 'no connection came', seconds=0.5):
        pass


@case
def nobody_listens(wire):
    """Trusted options of connections that no socket accepts."""
    with diag(9, 1, 'does anything listen there?'):
        peer = Peer(wire, SRV4, 9)
        peer.send(SYN, MSS)
        peer.send(ACK, toa(200, CLIENT4, 50016))


@case
def module_away(wire):
    """Without the module."""
    unload()
    with listen() as server:
        with diag(port_of(server), 1, 'NOT LOADED', 'toa:" says why\n'):
            Peer(wire, SRV4, port_of(server)).syn()
    load()


def said_without_module(*setup):
    """What the tool says after this, which nobody else sees."""
    script = '; '.join((*setup, f'{TOOL} 80 -s 0.1'))
    done = run('ip', 'netns', 'exec', 'toa-s', 'sh', '-ec', script, check=False)
    expect(f'exit status ({done.stderr.strip()})', done.returncode, 1)
    return done.stdout


@case
def signed_modules_only(_):
    """Without the module, where the kernel may have refused it: nothing of that is in "toa:" lines
    of the log. What the kernel tells is imitated: it would stay so until the next boot."""
    unload()
    locked = 'echo "none [integrity] confidentiality" >/sys/kernel/security/lockdown'
    enforce = '/sys/module/module/parameters'
    mount = 'mount -t tmpfs none /sys/kernel/security'
    for setup, why in (([mount, locked], '(lockdown is "integrity"): if modprobe'),
                       ([mount, locked.replace('none [integrity]', '[none] integrity'),
                        f'mount -t tmpfs none {enforce}', f'echo Y >{enforce}/sig_enforce'],
                        '(module.sig_enforce is on): if modprobe')):
        said = said_without_module(*setup)
        if why not in said or 'mokutil --import /var/lib/dkms/mok.pub' not in said:
            raise Failed(f'no {why!r} in: {said!r}')
    load()


@case
def probes_are_off(wire):
    """Kprobes that somebody has switched off."""
    path = '/sys/kernel/debug/kprobes/enabled'
    with open(path, 'w', encoding='ascii') as file:
        file.write('0')
    try:
        wait_for('noticed', lambda: stats()['module_probes_armed'] == '0')
        with listen() as server:
            with diag(port_of(server), 1, 'probes OFF', path):
                Peer(wire, SRV4, port_of(server)).syn()
    finally:
        with open(path, 'w', encoding='ascii') as file:
            file.write('1')


@case
def usage(_):
    """What it cannot do is refused by name."""
    for words, why in ((['0'], 'port 0: not 1 to 65535'), (['65536'], 'port 65536'),
                       (['http'], 'http'), ([], 'port'), (['80', '-s', '0'], 'seconds 0'),
                       (['80', '-s', '-1'], 'seconds -1'), (['80', '-c', '0'], 'count 0'),
                       (['80', '-x'], '-x')):
        done = run(TOOL, *words, check=False)
        expect(f'exit status of {words}', done.returncode, 2)
        if why not in done.stderr:
            raise Failed(f'{words}: {done.stderr}')
    done = run('setpriv', '--reuid=1', TOOL, '80', check=False)
    expect('exit status of another user', done.returncode, 2)
    if 'only root' not in done.stderr:
        raise Failed(done.stderr)
    expect('loaded', is_loaded(), True)


if __name__ == '__main__':
    sys.exit(main())
