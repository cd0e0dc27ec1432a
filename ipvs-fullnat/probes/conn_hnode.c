// SPDX-License-Identifier: GPL-2.0
/* 7.0: a connection is hashed for both directions, by nodes of their own. */
#include <net/ip_vs.h>

bool probe(const struct ip_vs_conn *cp);
bool probe(const struct ip_vs_conn *cp)
{
	return hlist_bl_unhashed(&cp->hn0.node);
}
