# SPDX-License-Identifier: GPL-2.0
"""IPv4 and IPv6 for scenarios that hold for both; see topology.Family."""
from .topology import FAMILIES, V4, V6, Family

__all__ = ['FAMILIES', 'V4', 'V6', 'Family']
