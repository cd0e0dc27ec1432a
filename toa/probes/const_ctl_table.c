// SPDX-License-Identifier: GPL-2.0
/* 6.11: the handler of a sysctl gets a const table. */
#include <linux/sysctl.h>

proc_handler *probe(int (*handler)(const struct ctl_table *table, int write, void *buffer,
				   size_t *lenp, loff_t *ppos));
proc_handler *probe(int (*handler)(const struct ctl_table *table, int write, void *buffer,
				   size_t *lenp, loff_t *ppos))
{
	return handler;
}
