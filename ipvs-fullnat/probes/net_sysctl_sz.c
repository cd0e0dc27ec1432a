// SPDX-License-Identifier: GPL-2.0
/* 6.6: a table of sysctls comes with its size, instead of an empty last row. */
#include <linux/sysctl.h>
#include <net/net_namespace.h>

struct ctl_table_header *probe(struct net *net, struct ctl_table *table);
struct ctl_table_header *probe(struct net *net, struct ctl_table *table)
{
	return register_net_sysctl_sz(net, "", table, 0);
}
