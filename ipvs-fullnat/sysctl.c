// SPDX-License-Identifier: GPL-2.0
/* net.ipv4.vs.fullnat_*, for each namespace. Process context. */
#include <linux/slab.h>
#include <linux/sysctl.h>
#include <net/net_namespace.h>

#include "compat.h"
#include "net.h"
#include "sysctl.h"

static int max_timeout = 3600;
static int max_percent = 100;

#define FNAT_SYSCTL(_name, _min, _max) {				\
	.procname = "fullnat_" #_name,				\
	.data = (void *)offsetof(struct fnat_sysctl, _name),	\
	.maxlen = sizeof(int),					\
	.mode = 0644,						\
	.proc_handler = proc_dointvec_minmax,			\
	.extra1 = (_min),					\
	.extra2 = (_max),					\
}

static const struct ctl_table fnat_sysctl_template[] = {
	FNAT_SYSCTL(timeout_synrecv, SYSCTL_ONE, &max_timeout),
	FNAT_SYSCTL(timeout_timewait, SYSCTL_ONE, &max_timeout),
	FNAT_SYSCTL(timeout_close, SYSCTL_ONE, &max_timeout),
	FNAT_SYSCTL(timeout_udp, SYSCTL_ONE, &max_timeout),
	FNAT_SYSCTL(half_open_percent, SYSCTL_ONE, &max_percent),
	FNAT_SYSCTL(expire_rst, SYSCTL_ZERO, SYSCTL_ONE),
	FNAT_SYSCTL(unknown_rst, SYSCTL_ZERO, SYSCTL_ONE),
	FNAT_SYSCTL(fast_path, SYSCTL_ZERO, SYSCTL_ONE),
};

#define FNAT_SYSCTL_COUNT ARRAY_SIZE(fnat_sysctl_template)

int fnat_sysctl_net_init(struct fnat_net *fn)
{
	struct fnat_sysctl *s = &fn->sysctl;
	struct ctl_table *table;
	unsigned int i;

	s->timeout_synrecv = 30;
	s->timeout_timewait = 20;
	s->timeout_close = 10;
	s->timeout_udp = 30;
	s->half_open_percent = 50;
	s->expire_rst = 1;
	s->fast_path = 1;

	/* one more, empty: older kernels look for an end mark */
	table = kcalloc(FNAT_SYSCTL_COUNT + 1, sizeof(*table), GFP_KERNEL);
	if (!table)
		return -ENOMEM;
	memcpy(table, fnat_sysctl_template, sizeof(fnat_sysctl_template));
	for (i = 0; i < FNAT_SYSCTL_COUNT; i++)
		table[i].data = (void *)s + (uintptr_t)table[i].data;

	s->header = fnat_register_net_sysctl(fn->net, "net/ipv4/vs", table, FNAT_SYSCTL_COUNT);
	if (!s->header) {
		kfree(table);
		return -ENOMEM;
	}
	return 0;
}

void fnat_sysctl_net_exit(struct fnat_net *fn)
{
	const struct ctl_table *table = fn->sysctl.header->ctl_table_arg;

	unregister_net_sysctl_table(fn->sysctl.header);
	kfree(table);
}
