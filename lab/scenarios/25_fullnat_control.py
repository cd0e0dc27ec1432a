# SPDX-License-Identifier: GPL-2.0
"""Declarations: early ones, double ones, incomplete ones, and nonsense.

Seen failing, each with a copy of the modules that was broken like this:

  a second declaration is an error: early_and_twice
  drop_no_laddr not counted: without_laddr
  any TOA kind accepted: nonsense
  any IPv6 LIP, the other family's LIP for a mark, a range of 2^64, SCTP, a TOA for UDP, any
  timeout accepted: nonsense, each of the lines about it
  FLUSH does nothing: mutations
  commands need no capability: unprivileged
  the timeout set to 0 by a message without it; a UDP service answers with a TOA: kinds_of_service
"""
import errno
import fnmatch
import functools
import os
import random
import socket
import sys
import threading

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import genetlink as nl
from lib import observe

SERVICE = f'-t {VIP}:8000'
VIP6 = '2001:db8::80'
INET6, TCP, UDP, SCTP = 10, 6, 17, 132
# the rest: IPv4-compatible, IPv4-mapped, link-local, multicast
UNUSABLE6 = ('::', '::1', '::10.0.0.1', '::ffff:10.0.0.1', 'fe80::1', 'febf::1', 'ff02::1')


def ask_in_background(t, results, **options):
    """A client that is patient; its answer is appended to `results`."""
    thread = threading.Thread(
        target=lambda: results.append(t.client.ask(VIP, 8000, b'x', **options)), daemon=True)
    thread.start()
    return thread


def test_early_and_twice(t):
    """A standby's declarations: the LIP is not local, ip_vs has no such service. Accepted
    with a note each; the same once more; then they work as soon as both are there."""
    run('modprobe toa')
    rules = f'-E {SERVICE} --fullnat\n-P {SERVICE} -z {LIP}\n'
    for _ in range(2):
        done = t.lb.run('ipvsadm -R', stdin=rules)
        check(done.text.count('Note:') == 2, f'not two notes: {done.text!r}')
    saved = t.lb.run('ipvsadm -S -n').out
    check('--fullnat' in saved and LIP in saved, f'saved: {saved!r}')
    view = observe.overview(t.lb)
    equal(view[f'laddr {LIP}']['local'], 0, f'{LIP} is local')
    equal(view[f'laddr {LIP}']['pools'], 1, 'pools')
    t.add_lip()
    t.lb.run(f'ipvsadm -A {SERVICE} -s rr --fullnat')
    t.lb.run(f'ipvsadm -a {SERVICE} -r {RS1}:8000')
    again = t.lb.run('ipvsadm -R', stdin=rules)
    equal(again.text, '', 'said when all is there')
    server = t.rs1.peer_server(8000)
    own, _ = t.client.ask(VIP, 8000, b'x')
    equal(server.clients, [own], 'clients')


def test_without_laddr(t):
    """A service without any LIP: a warning, connections are dropped and counted; so they are
    while the LIP is not local; the client's next SYN after it has come succeeds."""
    run('modprobe toa')
    said = t.lb.run(f'ipvsadm -A {SERVICE} -s rr --fullnat').err
    check('no local address' in said.lower() or 'dropped until' in said, f'no warning: {said!r}')
    t.lb.run(f'ipvsadm -a {SERVICE} -r {RS1}:8000')
    server = t.rs1.peer_server(8000)
    results = []
    client = ask_in_background(t, results, source_port=45000)
    until(lambda: t.lb.fullnat_stats()['drop_no_laddr'] >= 1, what='drop_no_laddr')
    note = t.lb.run(f'ipvsadm -P {SERVICE} -z {LIP}').text
    check('Note:' in note, f'no note: {note!r}')
    before = t.lb.fullnat_stats()['drop_no_laddr']
    until(lambda: t.lb.fullnat_stats()['drop_no_laddr'] > before, what='one more drop_no_laddr')
    equal((results, server.clients), ([], []), 'answers so far')
    t.add_lip()
    client.join(20)
    equal(server.clients, [(CLIENT, 45000)], 'clients')
    stats = t.lb.fullnat_stats()
    equal((stats['conns'], stats['drop_exhausted']), (1, 0), 'conns, drop_exhausted')
    equal(observe.overview(t.lb)[f'service tcp {VIP}:8000']['no_laddr'], stats['drop_no_laddr'],
          'no_laddr of the service')


def service(*more, family=2, protocol=TCP, port=8000, addr=VIP):
    """A nest that names a service."""
    return nl.nest(nl.SERVICE, nl.u16(nl.SVC_FAMILY, family), nl.u16(nl.SVC_PROTOCOL, protocol),
                   nl.address(nl.SVC_ADDR, addr), nl.be16(nl.SVC_PORT, port), *more)


def service6(*more, protocol=TCP):
    """A nest that names an IPv6 service."""
    return service(*more, family=INET6, protocol=protocol, addr=VIP6)


def laddr(*more, family=2, addr='10.0.0.150'):
    """A nest that names a local address."""
    return nl.nest(nl.LADDR, nl.u16(nl.LADDR_FAMILY, family), nl.address(nl.LADDR_ADDR, addr),
                   *more)


def laddr6(addr, end=None):
    """A nest that names an IPv6 local address, or a range."""
    return laddr(*([nl.address(nl.LADDR_ADDR_END, end)] if end else []), family=INET6, addr=addr)


def fwmark(value, *more, family=2):
    """A nest that names a service by its mark."""
    return nl.nest(nl.SERVICE, nl.u16(nl.SVC_FAMILY, family), nl.u32(nl.SVC_FWMARK, value), *more)


def each_refused(command, what, messages, errors=(errno.EINVAL,)):
    """Entries of NONSENSE of one kind, by what differs."""
    return {f'{what} {name}': (command, message, errors) for name, message in messages.items()}


OTHER = {'port': 8099}      # a service that is not declared
# what is wrong: command, message, errors that are right
NONSENSE = {
    'IPv6 LIP for an IPv4 service': (nl.ADD_LADDR, service() + laddr6('fd00::1'),
                                     (errno.EINVAL,)),
    'IPv4 LIP for an IPv6 service': (nl.ADD_LADDR, service6() + laddr(), (errno.EINVAL,)),
    'IPv6 LIP for an IPv4 fwmark service': (nl.ADD_LADDR, fwmark(5) + laddr6('fd00::1'),
                                            (errno.EINVAL,)),
    'IPv4 LIP for an IPv6 fwmark service': (nl.ADD_LADDR, fwmark(5, family=INET6) + laddr(),
                                            (errno.EINVAL,)),
    'IPv4 family, IPv6 address': (nl.ADD_LADDR, service() + laddr(addr='fd00::1'),
                                  (errno.EINVAL,)),
    'IPv6 family, IPv4 address': (nl.ADD_LADDR, service6() + laddr(family=INET6),
                                  (errno.EINVAL,)),
    'IPv6 family, IPv4 VIP': (nl.SET_SERVICE, service(family=INET6), (errno.EINVAL,)),
    'unknown family': (nl.ADD_LADDR, service() + laddr(family=99), (errno.EOPNOTSUPP,)),
    'LIP of loopback': (nl.ADD_LADDR, service() + laddr(addr='127.0.0.1'), (errno.EINVAL,)),
    'LIP of multicast': (nl.ADD_LADDR, service() + laddr(addr='224.0.0.1'), (errno.EINVAL,)),
    'LIP in no service': (nl.ADD_LADDR, service(**OTHER) + laddr(), (errno.ENOENT,)),
    'range backwards': (nl.ADD_LADDR, service() + laddr(
        nl.address(nl.LADDR_ADDR_END, '10.0.0.149')), (errno.EINVAL,)),
    'range too wide': (nl.ADD_LADDR, service() + laddr(
        nl.address(nl.LADDR_ADDR_END, '10.2.0.150')), (errno.E2BIG,)),
    'ports backwards': (nl.ADD_LADDR, service() + laddr(
        nl.u16(nl.LADDR_PORT_MIN, 3000), nl.u16(nl.LADDR_PORT_MAX, 2999)), (errno.EINVAL,)),
    'port 0': (nl.ADD_LADDR, service() + laddr(nl.u16(nl.LADDR_PORT_MIN, 0)),
               (errno.ERANGE, errno.EINVAL)),
    'other ports for a LIP that is there': (nl.ADD_LADDR, service() + laddr(
        nl.u16(nl.LADDR_PORT_MIN, 4000), addr=LIP), (errno.EEXIST,)),
    'no LIP': (nl.ADD_LADDR, service(), (errno.EINVAL,)),
    'LIP without address': (nl.ADD_LADDR, service() + nl.nest(
        nl.LADDR, nl.u16(nl.LADDR_FAMILY, 2)), (errno.EINVAL,)),
    'LIP that is not there': (nl.DEL_LADDR, service() + laddr(), (errno.ENOENT,)),
    'unknown TOA kind': (nl.SET_SERVICE, service(nl.u8(nl.SVC_TOA_V4, 7), **OTHER),
                         (errno.EINVAL,)),
    'TOA kind of the other family': (nl.SET_SERVICE, service(nl.u8(nl.SVC_TOA_V4, 253)),
                                     (errno.EINVAL,)),
    'unknown TOA kind for IPv6': (nl.SET_SERVICE, service(nl.u8(nl.SVC_TOA_V6, 200)),
                                  (errno.EINVAL,)),
    'unknown treatment of timestamps': (nl.SET_SERVICE, service(nl.u8(nl.SVC_TIMESTAMPS, 9)),
                                        (errno.ERANGE, errno.EINVAL)),
    **each_refused(nl.SET_SERVICE, 'protocol', {
        number: service(protocol=number) for number in (0, 1, SCTP, 6 + 256)},
        (errno.EOPNOTSUPP,)),
    **each_refused(nl.SET_SERVICE, 'UDP with', {
        'TOA': service(nl.u8(nl.SVC_TOA_V4, 0), protocol=UDP),
        'TOA for IPv6': service6(nl.u8(nl.SVC_TOA_V6, 253), protocol=UDP),
        'timestamps': service(nl.u8(nl.SVC_TIMESTAMPS, 1), protocol=UDP)}),
    'timeout of more than 31 days': (nl.SET_SERVICE, service(
        nl.u32(nl.SVC_CONN_TIMEOUT, 31 * 86400 + 1)), (errno.ERANGE,)),
    'timeout of two bytes': (nl.SET_SERVICE, service(nl.u16(nl.SVC_CONN_TIMEOUT, 60)),
                             (errno.ERANGE, errno.EINVAL)),
    **each_refused(nl.ADD_LADDR, 'IPv6 LIP', {
        addr: service6() + laddr6(addr) for addr in UNUSABLE6}),
    **each_refused(nl.ADD_LADDR, 'IPv6 range', {
        f'{first}-{last}': service6() + laddr6(first, last) for first, last in (
            ('fd00::2', 'fd00::1'), ('fd00:0:0:1::', 'fd00::ffff'), ('fe7f:' + 'ffff:' * 6 +
             'fff0', 'fe80::10'), ('febf:' + 'ffff:' * 6 + 'fff0', 'fec0::'),
            ('::fffe:ffff:fff0', '::ffff:0.0.0.5'), ('feff:' + 'ffff:' * 6 + 'ffff', 'ff00::'))}),
    **each_refused(nl.ADD_LADDR, 'too wide', {
        f'{first}-{last}': service6() + laddr6(first, last) for first, last in (
            ('fd00::1', 'fd00::1:1'), ('fd00::', 'fd00:0:0:1::'), ('fd00::', 'fd01::'))},
        (errno.E2BIG,)),
    'fwmark 0': (nl.SET_SERVICE, fwmark(0), (errno.EINVAL,)),
    'fwmark and port': (nl.SET_SERVICE, fwmark(5, nl.be16(nl.SVC_PORT, 80)), (errno.EINVAL,)),
    'service without port': (nl.SET_SERVICE, nl.nest(
        nl.SERVICE, nl.u16(nl.SVC_FAMILY, 2), nl.u16(nl.SVC_PROTOCOL, 6),
        nl.address(nl.SVC_ADDR, VIP)), (errno.EINVAL,)),
    'service that is not there': (nl.DEL_SERVICE, service(**OTHER), (errno.ENOENT,)),
    'no service': (nl.SET_SERVICE, b'', (errno.EINVAL,)),
    'unknown attribute': (nl.SET_SERVICE, service(**OTHER) + nl.u32(77, 1), (errno.EINVAL,)),
    'unknown attribute in the service': (nl.SET_SERVICE, service(nl.u32(77, 1), **OTHER),
                                         (errno.EINVAL,)),
    'unknown attribute in the LIP': (nl.ADD_LADDR, service() + laddr(nl.u32(77, 1)),
                                     (errno.EINVAL,)),
    'attribute too short': (nl.SET_SERVICE, service(nl.attribute(nl.SVC_TIMESTAMPS, b''),
                                                    **OTHER), (errno.ERANGE, errno.EINVAL)),
    'attribute too long': (nl.SET_SERVICE, service(nl.u32(nl.SVC_TOA_V4, 254), **OTHER),
                           (errno.ERANGE, errno.EINVAL)),
    'attribute longer than the message': (nl.SET_SERVICE, nl.attribute(
        nl.SERVICE | nl.NESTED, service(**OTHER)[4:], 400), (errno.EINVAL,)),
    'attribute longer than its nest': (nl.SET_SERVICE, service(
        nl.attribute(nl.SVC_TOA_V4, b'\xfe', 200), **OTHER), (errno.EINVAL,)),
    'attribute shorter than its header': (nl.SET_SERVICE, service(
        nl.attribute(nl.SVC_TOA_V4, b'\xfe', 2), **OTHER), (errno.EINVAL,)),
    'nest that is none': (nl.SET_SERVICE, nl.attribute(nl.SERVICE, service(**OTHER)[4:]),
                          (errno.EINVAL,)),
}


# the attribute that is blamed, with its nests; words of the sentence; which of NONSENSE
SAID = (
    ((nl.LADDR,), "not of the service's family", 'IPv6 LIP for an *', 'IPv4 LIP for an *'),
    ((nl.LADDR, nl.LADDR_ADDR), 'not of the given family', 'IPv? family, IPv? address'),
    ((nl.SERVICE, nl.SVC_ADDR), 'not of the given family', 'IPv6 family, IPv4 VIP'),
    ((nl.LADDR, nl.LADDR_FAMILY), 'IPv4 and IPv6 only', 'unknown family'),
    ((nl.LADDR, nl.LADDR_ADDR), 'not a unicast address', 'LIP of *', 'IPv6 LIP ::*',
     'IPv6 LIP f[ef]*', 'IPv6 range febf:*'),
    ((nl.LADDR, nl.LADDR_ADDR_END), 'not a unicast address', 'IPv6 range fe7f:*',
     'IPv6 range ::fffe:*', 'IPv6 range feff:*'),
    ((nl.LADDR, nl.LADDR_ADDR_END), 'the range ends before it begins', 'range backwards',
     'IPv6 range fd00:*'),
    ((nl.LADDR, nl.LADDR_ADDR_END), '65536 addresses at most', 'range too wide', 'too wide *'),
    ((nl.SERVICE,), 'not declared FULLNAT', 'LIP in no service', 'service that is not there'),
    ((nl.LADDR, nl.LADDR_PORT_MIN), 'the port range ends', 'ports backwards'),
    ((nl.LADDR, nl.LADDR_PORT_MIN), 'out of range', 'port 0'),
    ((), 'with other ports', 'other ports for a LIP that is there'),
    ((), 'the local address is missing', 'no LIP'),
    ((nl.LADDR,), 'has no address', 'LIP without address'),
    ((), 'no such local address', 'LIP that is not there'),
    ((nl.SERVICE, nl.SVC_TOA_V4), '200, 254 or 0', 'unknown TOA kind',
     'TOA kind of the other family'),
    ((nl.SERVICE, nl.SVC_TOA_V6), '253, 254 or 0', 'unknown TOA kind for IPv6'),
    ((nl.SERVICE, nl.SVC_TIMESTAMPS), 'out of range', 'unknown treatment of timestamps'),
    ((nl.SERVICE, nl.SVC_PROTOCOL), 'TCP and UDP only', 'protocol *'),
    ((nl.SERVICE, nl.SVC_TOA_V4), 'options of TCP', 'UDP with TOA'),
    ((nl.SERVICE, nl.SVC_TOA_V6), 'options of TCP', 'UDP with TOA for IPv6'),
    ((nl.SERVICE, nl.SVC_TIMESTAMPS), 'options of TCP', 'UDP with timestamps'),
    ((nl.SERVICE, nl.SVC_CONN_TIMEOUT), 'out of range', 'timeout of more than 31 days'),
    ((nl.SERVICE, nl.SVC_CONN_TIMEOUT), 'invalid attribute length',
     'timeout of two bytes'),
    ((nl.SERVICE, nl.SVC_FWMARK), 'cannot be 0', 'fwmark 0'),
    ((nl.SERVICE, nl.SVC_FWMARK), 'has no protocol, address or port', 'fwmark and port'),
    ((), 'named by protocol, address and port', 'service without port'),
    ((), 'the service is missing', 'no service'),
    ((77,), 'Unknown attribute type', 'unknown attribute'),
    ((nl.SERVICE, 77), 'Unknown attribute type', 'unknown attribute in the service'),
    ((nl.LADDR, 77), 'Unknown attribute type', 'unknown attribute in the LIP'),
    ((nl.SERVICE, nl.SVC_TIMESTAMPS), 'invalid attribute length', 'attribute too short'),
    ((nl.SERVICE, nl.SVC_TOA_V4), 'invalid attribute length', 'attribute too long'),
    ((), 'leftover', 'attribute longer than *', 'attribute shorter than its header'),
    ((nl.SERVICE,), 'NLA_F_NESTED is missing', 'nest that is none'))


def said_of(what):
    """The entry of SAID for one of NONSENSE."""
    found = [(blamed, words) for blamed, words, *names in SAID
             if any(fnmatch.fnmatchcase(what, name) for name in names)]
    check(len(found) == 1, f'{what}: {len(found)} entries of SAID')
    return found[0]


def tables(link):
    """All declarations and pools, as the dumps tell them."""
    services, pools = link.dump(nl.GET_SERVICE), link.dump(nl.GET_LADDR)
    equal((services.errno, pools.errno), (0, 0), 'errors of the dumps')
    check(services.messages and pools.messages, 'empty dumps')
    return services.messages, pools.messages


def declared(t):
    """A link to the family, and something declared that could be harmed."""
    t.lb.run('modprobe ip_vs_fullnat')
    link = nl.Genetlink(t.lb, 'IPVS_FULLNAT')
    for message in (service(), service6(), fwmark(5), fwmark(5, family=INET6)):
        equal(link.ask(nl.SET_SERVICE, message).errno, 0, 'SET_SERVICE')
    equal(link.ask(nl.ADD_LADDR, service() + laddr(addr=LIP)).errno, 0, 'ADD_LADDR')
    equal(link.ask(nl.ADD_LADDR, laddr(addr=LIP2)).errno, 0, 'ADD_LADDR of the default pool')
    return link


def answered(link, message):
    """What GET_SERVICE says of the service that a message names: {attribute: body}."""
    answer = link.ask(nl.GET_SERVICE, message)
    equal(answer.errno, 0, 'GET_SERVICE')
    return nl.attributes(nl.attributes(answer.messages[0][4:])[nl.SERVICE])


def conn_timeout(link, message):
    """The timeout of the service that a message names."""
    return int.from_bytes(answered(link, message)[nl.SVC_CONN_TIMEOUT], sys.byteorder)


# as /proc names them, and what names them in a message, with more attributes in the nest
KINDS = {
    f'service tcp {VIP}:8000': service,
    f'service udp {VIP}:8000': functools.partial(service, protocol=UDP),
    f'service tcp [{VIP6}]:8000': service6,
    f'service udp [{VIP6}]:8000': functools.partial(service6, protocol=UDP),
    'service fwmark 5': functools.partial(fwmark, 5),
    'service fwmark 5 ipv6': functools.partial(fwmark, 5, family=INET6),
}


def test_kinds_of_service(t):
    """Services of both families and protocols with one VIP and port, or one mark: each has its
    own options and LIPs. A timeout stays until another is said; at most 31 days."""
    t.lb.run('modprobe ip_vs_fullnat')
    link = nl.Genetlink(t.lb, 'IPVS_FULLNAT')
    lips = {name: laddr6('fd00::ffff:ffff', 'fd00::1:0:1') if 'ipv6' in name or '[' in name
            else laddr(addr=LIP) for name in KINDS}
    for seconds, (name, kind) in enumerate(KINDS.items(), 1):
        for command, message in ((nl.SET_SERVICE, kind(nl.u32(nl.SVC_CONN_TIMEOUT, seconds))),
                                 (nl.SET_SERVICE, kind()), (nl.ADD_LADDR, kind() + lips[name])):
            answer = link.ask(command, message)
            equal(answer.errno, 0, f'{name}: {answer}')
    view = observe.overview(t.lb)
    for seconds, (name, kind) in enumerate(KINDS.items(), 1):
        laddrs = 3 if 'ipv6' in name or '[' in name else 1
        equal((view[name]['conn_timeout'], view[name]['laddrs']), (seconds, laddrs), name)
        equal(conn_timeout(link, kind()), seconds, f'timeout of {name}')
        equal(nl.SVC_TOA_V4 in answered(link, kind()), 'udp' not in name, f'TOA of {name}')
    for seconds in (0, 31 * 86400):
        link.ask(nl.SET_SERVICE, service(nl.u32(nl.SVC_CONN_TIMEOUT, seconds)))
        equal(conn_timeout(link, service()), seconds, 'timeout')
    for command in (nl.ADD_LADDR, nl.DEL_LADDR):
        equal(link.ask(command, laddr6('fd00::1', 'fd00::1:0')).errno, 0, 'the widest range')
    gone = [name for name in KINDS if '[' in name or name.endswith('5')]
    for name in gone:
        equal(link.ask(nl.DEL_SERVICE, KINDS[name]()).errno, 0, f'DEL_SERVICE of {name}')
    left = [name for name in observe.overview(t.lb) if name.startswith('service')]
    equal(sorted(left), sorted(set(KINDS) - set(gone)), 'services that are left')


def test_nonsense(t):
    """Messages with something wrong: each gets its error and a sentence, and changes nothing.
    Then thousands of broken ones: refused or understood, and the kernel stays well."""
    link = declared(t)
    before = tables(link)
    for what, (command, message, errors) in NONSENSE.items():
        answer = link.ask(command, message)
        check(answer.errno in errors, f'{what}: {answer}, wanted '
                                      f'{[errno.errorcode[number] for number in errors]}')
        blamed, words = said_of(what)
        check(answer.blamed == blamed and words in answer.text,
              f'{what}: {answer}, wanted {words!r} {blamed}')
        equal(tables(link), before, f'{what}: the tables')
    equal(link.ask(99).errno, errno.EOPNOTSUPP, 'unknown command')
    equal(link.ask(nl.SET_SERVICE, cut=3).errno, errno.EINVAL, 'half a header')
    whole = service(**OTHER) + laddr()
    for cut in range(1, len(whole)):
        answer = link.ask(nl.ADD_LADDR, whole, cut=cut)
        check(answer.errno, f'understood although {cut} bytes were missing')
    equal(tables(link), before, 'tables after truncated messages')


def test_mutations(t):
    """Messages with random bytes changed: refused, or understood; the kernel stays well."""
    link = declared(t)
    rng = random.Random(2)
    wholes = (service(nl.u8(nl.SVC_TOA_V4, 254), nl.u32(nl.SVC_CONN_TIMEOUT, 3600)),
              service() + laddr(nl.address(nl.LADDR_ADDR_END, '10.0.0.155'),
                                nl.u16(nl.LADDR_PORT_MIN, 2000)),
              service6(nl.u8(nl.SVC_TOA_V6, 254), protocol=UDP),
              service6() + laddr6('fd00::ffff:ffff', 'fd00::1:0:5'))
    refused = 0
    for _ in range(2000):
        message = bytearray(rng.choice(wholes))
        for _ in range(rng.randint(1, 4)):
            message[rng.randrange(len(message))] = rng.choice((0, 1, 4, 127, 128, 255,
                                                               rng.randrange(256)))
        command = rng.choice((nl.SET_SERVICE, nl.ADD_LADDR, nl.DEL_LADDR, nl.DEL_SERVICE))
        refused += link.ask(command, bytes(message)).errno != 0
    check(refused > 1000, f'only {refused} were refused')
    equal(link.ask(nl.FLUSH).errno, 0, 'FLUSH')
    equal(len(link.dump(nl.GET_SERVICE).messages), 0, 'declarations after FLUSH')


def as_nobody(host, function):
    """Call the function in a process without rights, in this namespace; what it returns, a
    small number."""
    pid = os.fork()
    if pid == 0:
        result = 255
        try:
            with host:
                os.setgroups([])
                os.setresuid(65534, 65534, 65534)
                result = function()
        finally:
            os._exit(result)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_unprivileged(t):
    """Without CAP_NET_ADMIN nothing is shown and nothing changed."""
    tables_before = tables(declared(t))
    messages = {nl.SET_SERVICE: service(**OTHER), nl.DEL_SERVICE: service(),
                nl.GET_SERVICE: service(), nl.ADD_LADDR: service() + laddr(),
                nl.DEL_LADDR: service() + laddr(addr=LIP), nl.FLUSH: b''}
    for command, message in messages.items():
        # the module `socket` in place of a namespace: the process is in it already
        number = as_nobody(t.lb, lambda c=command, m=message: nl.Genetlink(
            socket, 'IPVS_FULLNAT').ask(c, m).errno)
        equal(number, errno.EPERM, f'errno of command {command}')
    for command in (nl.GET_SERVICE, nl.GET_LADDR):
        number = as_nobody(t.lb, lambda c=command: nl.Genetlink(
            socket, 'IPVS_FULLNAT').dump(c).errno)
        equal(number, errno.EPERM, f'errno of dump {command}')
    equal(tables(nl.Genetlink(t.lb, 'IPVS_FULLNAT')), tables_before, 'tables')
