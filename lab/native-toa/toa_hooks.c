// SPDX-License-Identifier: GPL-2.0
/*
 * What toa_hooks.c is on a kernel without kprobes and ftrace: User-Mode Linux, which calls us at
 * the same places (lab/own-kernel.patch). All the rest of toa is as everywhere, and
 * is what the scenarios find there; toa_hooks.c itself they find on the other kernels.
 */
#include <linux/module.h>
#include <linux/net.h>
#include <net/lab_hooks.h>

#include "toa.h"

static void toa_on_getname(struct socket *sock, struct sockaddr *uaddr, int peer, int len)
{
	const struct sock *sk = sock->sk;

	if (len > 0 && peer && !(current->flags & PF_KTHREAD) && sk && toa_conn_may_have_client(sk))
		toa_conn_peername(sk, uaddr);
}

static const struct lab_hooks toa_lab_hooks = {
	.child = toa_conn_child,
	.init_transfer = toa_conn_established,
	.getname = toa_on_getname,
};

unsigned long toa_hooks_missed_instances(void)
{
	return 0;
}

unsigned long toa_hooks_missed_probes(void)
{
	return 0;
}

bool toa_hooks_armed(void)
{
	return true;
}

int toa_hooks_init(unsigned int maxactive)
{
	int err = toa_tracepoint_init();

	if (!err)
		rcu_assign_pointer(lab_hooks, &toa_lab_hooks);
	return err;
}

void toa_hooks_exit(void)
{
	RCU_INIT_POINTER(lab_hooks, NULL);
	synchronize_rcu();
	toa_tracepoint_exit();
}
