// SPDX-License-Identifier: GPL-2.0
/*
 * What toa_hooks.c is on a kernel without kprobes and ftrace: User-Mode Linux, which calls us at
 * the same places (lab/own-kernel.patch). All the rest of toa is as everywhere, and
 * is what the scenarios find there; toa_hooks.c itself they find on the other kernels.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bpf.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/tracepoint.h>
#include <net/lab_hooks.h>
#include <net/tcp.h>

#include "toa.h"

static void toa_on_child(struct sock *child, struct sk_buff *skb)
{
	if (child->sk_state == TCP_SYN_RECV)
		toa_conn_new(child, skb);
}

static void toa_on_init_transfer(struct sock *sk, int bpf_op, struct sk_buff *skb)
{
	const struct socket *sock = READ_ONCE(sk->sk_socket);

	if (bpf_op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB ||
	    (sock && READ_ONCE(sock->state) == SS_CONNECTING))
		toa_table_forget(sk);
	else if (skb && rcu_access_pointer(tcp_sk(sk)->fastopen_rsk))
		toa_conn_new(sk, skb);
}

static void toa_on_getname(struct socket *sock, struct sockaddr *uaddr, int peer, int len)
{
	const struct sock *sk = sock->sk;

	if (len > 0 && peer && !(current->flags & PF_KTHREAD) && sk &&
	    (sk->sk_protocol == IPPROTO_MPTCP ||
	     (sk->sk_protocol == IPPROTO_TCP && toa_table_has(sk))))
		toa_conn_peername(sk, uaddr);
}

static const struct lab_hooks toa_lab_hooks = {
	.child = toa_on_child,
	.init_transfer = toa_on_init_transfer,
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

int toa_hooks_init(unsigned int maxactive)
{
	int err;

	for_each_kernel_tracepoint(toa_tracepoint_match, NULL);
	err = toa_tracepoint ? tracepoint_probe_register(toa_tracepoint, toa_on_destroy_sock, NULL)
			     : -ENOENT;
	if (!err)
		rcu_assign_pointer(lab_hooks, &toa_lab_hooks);
	return err;
}

void toa_hooks_exit(void)
{
	RCU_INIT_POINTER(lab_hooks, NULL);
	synchronize_rcu();
	tracepoint_probe_unregister(toa_tracepoint, toa_on_destroy_sock, NULL);
	tracepoint_synchronize_unregister();
}
