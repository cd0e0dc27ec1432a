# SPDX-License-Identifier: GPL-2.0
"""What scenarios import: `from lib import *`. See lab/README.md."""
import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

# pylint: disable=wrong-import-position
import pcap
from .basics import (CommandFailed, Failure, Result, Skip, check, dumps, each, equal, limit, long,
                     read_to_end, read_until, run, until)
from .namespace import Namespace
from .servers import Nginx, PeerServer, Seen, greeting
from .capture import Capture
from .topology import (CLIENT, CLIENT2, CLIENT2_V6, CLIENT_V6, FAMILIES, LB_INNER, LB_INNER_V6,
                       LB_OUTER, LB_OUTER_V6, LIP, LIP2, LIP_V6, RS1, RS1_V6, RS2, RS2_V6, V4, V6,
                       VIP, VIP_V6, Family, Host, Topology, address_port)

__all__ = ['CLIENT', 'CLIENT2', 'CLIENT2_V6', 'CLIENT_V6', 'FAMILIES', 'LB_INNER', 'LB_INNER_V6',
           'LB_OUTER', 'LB_OUTER_V6', 'LIP', 'LIP2', 'LIP_V6', 'RS1', 'RS1_V6', 'RS2', 'RS2_V6',
           'V4', 'V6', 'VIP', 'VIP_V6', 'Capture', 'CommandFailed', 'Failure', 'Family', 'Host',
           'Namespace', 'Nginx', 'PeerServer', 'Result', 'Seen', 'Skip', 'Topology',
           'address_port', 'check', 'dumps', 'each', 'equal', 'greeting', 'limit', 'long',
           'pcap', 'read_to_end', 'read_until', 'run', 'until']
