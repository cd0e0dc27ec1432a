// SPDX-License-Identifier: GPL-2.0
/*
 * /proc/net/toa_stats: "name value" on each line. First the counters of the
 * namespace, then, from "module_" on, what is the module's as a whole.
 */
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

#include "toa.h"

static const char *const toa_stat_names[] = {
	[TOA_STAT_STORED] = "stored",
	[TOA_STAT_NAT64] = "nat64",
	[TOA_STAT_ABSENT] = "absent",
	[TOA_STAT_UNTRUSTED] = "untrusted",
	[TOA_STAT_MALFORMED] = "malformed",
	[TOA_STAT_BAD_CLIENT] = "bad_client",
	[TOA_STAT_TABLE_FULL] = "table_full",
	[TOA_STAT_NO_MEMORY] = "no_memory",
	[TOA_STAT_ANSWERED] = "answered",
};

static unsigned long toa_stats_sum(const struct toa_net *tn, enum toa_stat stat)
{
	unsigned long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += per_cpu_ptr(tn->stats, cpu)->count[stat];
	return sum;
}

static int toa_stats_show(struct seq_file *m, void *v)
{
	const struct toa_net *tn = toa_net(seq_file_single_net(m));
	int i;

	BUILD_BUG_ON(ARRAY_SIZE(toa_stat_names) != TOA_STAT_MAX);
	for (i = 0; i < TOA_STAT_MAX; i++)
		seq_printf(m, "%s %lu\n", toa_stat_names[i], toa_stats_sum(tn, i));

	seq_printf(m, "module_entries %u\n", toa_table_entries());
	seq_printf(m, "module_max_entries %u\n", toa_table_max());
	seq_printf(m, "module_missed_instances %lu\n", toa_hooks_missed_instances());
	seq_printf(m, "module_missed_probes %lu\n", toa_hooks_missed_probes());
	seq_printf(m, "module_probes_armed %d\n", toa_hooks_armed());
	seq_printf(m, "module_selftest %s\n", toa_selftest_result());
	return 0;
}

int toa_stats_net_init(struct net *net, struct toa_net *tn)
{
	tn->stats = alloc_percpu(struct toa_stats);
	if (!tn->stats)
		return -ENOMEM;
	if (!proc_create_net_single("toa_stats", 0444, net->proc_net, toa_stats_show, NULL)) {
		free_percpu(tn->stats);
		return -ENOMEM;
	}
	return 0;
}

void toa_stats_net_exit(struct net *net, struct toa_net *tn)
{
	remove_proc_entry("toa_stats", net->proc_net);
	free_percpu(tn->stats);
}
