# SPDX-License-Identifier: GPL-2.0
"""Hostile traffic, and honest connections beside it.
"""
import os

from lib import *       # noqa: F403  pylint: disable=wildcard-import,unused-wildcard-import
from lib import strangers

FLOWS = '/lab/fuzz-flows'       # on the host: a panic leaves it there
SMOKE = 20000
# What fuzzed packets are dropped for, whatever the seed
EXPECTED_DROPS = ('drop_no_conn', 'drop_no_flow', 'drop_malformed', 'drop_ttl')


def fuzz(t, seed, count, timeout):
    """Mutated packets of connections to a raw server, beside honest ones through the same
    local addresses. Returns what the fuzzer printed."""
    t.fullnat(8000, lips=(LIP, LIP2))
    servers = [server.peer_server(8000) for server in t.servers]
    name = strangers.raw_service(t, 9000, (LIP, LIP2))
    t.lb.run('ipvsadm --set 60 10 10')
    bystanders = strangers.Bystanders(t, 8000)
    print(f'# seed {seed}, {count} packets; connections: {FLOWS}', flush=True)
    fuzzer = strangers.Background(t, strangers.fuzz_command(seed, count, [name], FLOWS))
    result = fuzzer.result(timeout)
    bystanders.stop()
    strangers.check_seen(servers)
    return result


def check_fuzzed(t, result):
    """All was sent, from live connections; what was dropped was counted."""
    print(f'# {result}', flush=True)
    equal(result['flows_made'], result['flows_wanted'], 'connections to mutate packets of')
    check(result['sent_by_client'] + result['sent_by_server'] > result['packets'] * 0.9,
          'too few packets were sent')
    dropped = strangers.drops(t.lb)
    print(f'# {dropped}', flush=True)
    equal([name for name in EXPECTED_DROPS if name not in dropped], [], 'not counted')
    stats = t.lb.fullnat_stats()
    equal(stats['conns_without_toa'], 0, 'conns_without_toa')


def test_fuzz_smoke(t):
    """A short run of the packet fuzzer; the same seed makes the same packets again."""
    seed = int.from_bytes(os.urandom(4), 'big')
    result = fuzz(t, seed, SMOKE, 90)
    check_fuzzed(t, result)


@long
@limit(7000)
def test_fuzz_packets(t):
    """make fuzz-packets"""
    seed = os.environ.get('LAB_FUZZ_SEED') or int.from_bytes(os.urandom(4), 'big')
    count = os.environ.get('LAB_FUZZ_COUNT') or 1000000
    result = fuzz(t, seed, count, 6900)
    check_fuzzed(t, result)
