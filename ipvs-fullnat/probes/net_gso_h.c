// SPDX-License-Identifier: GPL-2.0
/* 6.6: skb_gso_validate_network_len() and its like moved to a header of their own. */
#include <linux/skbuff.h>
#include <net/gso.h>
