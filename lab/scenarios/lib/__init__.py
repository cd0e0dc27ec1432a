# SPDX-License-Identifier: GPL-2.0
"""What scenarios import: `from lib import *`. See lab/README.md."""
import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

# pylint: disable=wrong-import-position
import pcap
from .basics import (CommandFailed, Failure, Result, Skip, check, equal, limit, long, read_until,
                     run, until)
from . import families
from .namespace import Namespace
from .servers import Nginx, PeerServer, Seen
from .capture import Capture
from .topology import (CLIENT, CLIENT2, CLIENT_V6, LB_INNER, LB_INNER_V6, LB_OUTER, LB_OUTER_V6,
                       LIP, LIP2, LIP_V6, RS1, RS1_V6, RS2, RS2_V6, VIP, VIP_V6, Topology)

__all__ = ['CLIENT', 'CLIENT2', 'CLIENT_V6', 'LB_INNER', 'LB_INNER_V6', 'LB_OUTER',
           'LB_OUTER_V6', 'LIP', 'LIP2', 'LIP_V6', 'RS1', 'RS1_V6', 'RS2', 'RS2_V6', 'VIP',
           'VIP_V6', 'Capture', 'CommandFailed', 'Failure', 'Namespace', 'Nginx', 'PeerServer',
           'Result', 'Seen', 'Skip', 'Topology', 'check', 'equal', 'limit', 'long',
           'pcap', 'read_until', 'run', 'until']
