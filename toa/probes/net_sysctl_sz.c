// SPDX-License-Identifier: GPL-2.0
/* 6.6: a table of sysctls comes with its size, instead of an empty last row. */
#include <net/net_namespace.h>

void *probe(struct net *net, struct ctl_table *table);
void *probe(struct net *net, struct ctl_table *table)
{
	return register_net_sysctl_sz(net, "net/toa", table, 1);
}
