# SPDX-License-Identifier: GPL-2.0
"""The main job: requests through the LB show the client's own address."""
from lib import *


@limit(60)
def test_one_request(t):
    """One connection: the server sees the client, the wire carries one TOA."""
    t.fullnat(8000)
    server = t.rs1.peer_server(8000)
    t.rs2.peer_server(8000)
    capture = t.rs1.capture()
    own, answer = t.client.ask(VIP, 8000, b'hello', source_port=40000)
    equal(answer, b'198.51.100.1 40000\nhello', 'answer')
    equal(server.clients, [own], 'clients')
    acks = [p for p in capture.packets() if p.toa]
    equal(acks[0].toa, own, 'TOA on the wire')
    check(t.lb.fullnat_stats()['conns'] == 1, 'one connection counted')
