// SPDX-License-Identifier: GPL-2.0
/* A socket is destroyed: the tracepoint tcp_destroy_sock tells, and its client is forgotten. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/tracepoint.h>

#include "toa.h"

/* Any context up to softirq. */
static void toa_on_destroy_sock(void *data, struct sock *sk)
{
	toa_table_forget(sk);
}

static struct tracepoint *toa_tracepoint;

static void toa_tracepoint_match(struct tracepoint *tp, void *priv)
{
	if (!strcmp(tp->name, "tcp_destroy_sock"))
		toa_tracepoint = tp;
}

/* Process context, as its end. */
int toa_tracepoint_init(void)
{
	int err;

	for_each_kernel_tracepoint(toa_tracepoint_match, NULL);
	if (!toa_tracepoint) {
		pr_err("cannot use the tracepoint tcp_destroy_sock: this kernel has no such tracepoint\n");
		return -ENOENT;
	}
	err = tracepoint_probe_register(toa_tracepoint, toa_on_destroy_sock, NULL);
	if (err)
		pr_err("cannot use the tracepoint tcp_destroy_sock: error %d\n", err);
	return err;
}

void toa_tracepoint_exit(void)
{
	tracepoint_probe_unregister(toa_tracepoint, toa_on_destroy_sock, NULL);
	tracepoint_synchronize_unregister();
}
