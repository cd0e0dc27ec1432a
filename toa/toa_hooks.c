// SPDX-License-Identifier: GPL-2.0
/*
 * Where the kernel tells us, without a patch, a write to a const table or an
 * unexported symbol:
 *
 *	a connection is established	entry of tcp_init_transfer(), by ftrace
 *	somebody asks for an address	return of inet_getname() and inet6_getname(), by kretprobe
 *	a socket is destroyed		tracepoint tcp_destroy_sock
 *
 * The first is no kprobe, because one kprobe's handler that interrupts another's
 * is skipped, and connections arrive in softirq at any moment. The second may be
 * kretprobes: they only run in process context.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bpf.h>
#include <linux/ftrace.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/tracepoint.h>
#include <linux/workqueue.h>
#include <net/mptcp.h>

#include "toa.h"
#include "toa_compat.h"

/*
 * A connection that this host opened, also by simultaneous open, has no client
 * to tell; but its socket may have been an accepted one before (connect() with
 * AF_UNSPEC). A listener's child has no struct socket yet; only an MPTCP one can
 * have it, by an accept() on another CPU that waits for nobody.
 *
 * Softirqs are off: the caller holds the socket's lock.
 */
static void notrace toa_on_init_transfer(unsigned long ip, unsigned long parent_ip,
					 struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	struct sock *sk = (struct sock *)toa_ftrace_argument(fregs, 0);
	int bpf_op = toa_ftrace_argument(fregs, 1);
	struct sk_buff *skb = (struct sk_buff *)toa_ftrace_argument(fregs, 2);

	if (bpf_op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB && skb &&
	    (!sk->sk_socket || sk_is_mptcp(sk)))
		toa_conn_established(sk, skb);
	else
		toa_table_forget(sk);
}

/* PERMANENT: kernel.ftrace_enabled=0 is refused. RECURSION: we do not call what we trace. */
static struct ftrace_ops toa_ftrace_ops = {
	.func = toa_on_init_transfer,
	.flags = FTRACE_OPS_FL_PERMANENT | FTRACE_OPS_FL_RECURSION | TOA_FTRACE_SAVE,
};

#define TOA_TRACED "tcp_init_transfer"

static char toa_traced[] = TOA_TRACED;	/* ftrace may write to it */

static int toa_ftrace_init(void)
{
	int err;

	err = ftrace_set_filter(&toa_ftrace_ops, toa_traced, strlen(toa_traced), 1);
	if (err == -EINVAL)
		err = -ENOENT;	/* its word for no match */
	if (!err)
		err = register_ftrace_function(&toa_ftrace_ops);
	if (!err)
		return 0;
	ftrace_free_filter(&toa_ftrace_ops);
	if (err == -EBUSY)
		pr_err("cannot trace %s: is kernel.ftrace_enabled 0?\n", toa_traced);
	else if (err == -ENOENT)
		pr_err("cannot trace %s: this kernel has no such function that can be traced\n",
		       toa_traced);
	else
		pr_err("cannot trace %s: error %d\n", toa_traced, err);
	return err;
}

static void toa_ftrace_exit(void)
{
	unregister_ftrace_function(&toa_ftrace_ops);
	ftrace_free_filter(&toa_ftrace_ops);
}

/* A call of getname() that we wait for to return. */
struct toa_getname {
	const struct sock *sk;
	struct sockaddr *uaddr;
};

/* A socket of our own, whose getname() shows whether the probes fire. */
static struct socket *toa_canary;
static bool toa_canary_seen;

/*
 * inet_getname(sock, uaddr, peer): peer is 0 for getsockname(). Whether there is
 * an entry is not asked here but on return: getname() waits for the socket's
 * lock, which is held while the entry is made. Threads of the kernel (NFS, iSCSI,
 * DLM) decide by this address whom they talk to: they get the wire's.
 */
static int toa_on_getname(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct socket *sock = (struct socket *)regs_get_kernel_argument(regs, 0);
	struct toa_getname *call = (struct toa_getname *)ri->data;
	int peer = regs_get_kernel_argument(regs, 2);
	const struct sock *sk = sock->sk;

	if (sock == toa_canary)
		WRITE_ONCE(toa_canary_seen, true);
	if (!peer || current->flags & PF_KTHREAD || !sk ||
	    (sk->sk_protocol != IPPROTO_TCP && sk->sk_protocol != IPPROTO_MPTCP))
		return 1;	/* no interest in the return */
	call->sk = sk;
	call->uaddr = (struct sockaddr *)regs_get_kernel_argument(regs, 1);
	return 0;
}

static int toa_on_getname_return(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	const struct toa_getname *call = (struct toa_getname *)ri->data;
	int len = regs_return_value(regs);

	if (len > 0)
		toa_conn_peername(call->sk, call->uaddr);
	return 0;
}

#define TOA_GETNAME_PROBE(symbol) {				\
	.kp.symbol_name = symbol,				\
	.entry_handler = toa_on_getname,			\
	.handler = toa_on_getname_return,			\
	.data_size = sizeof(struct toa_getname),		\
}

static struct kretprobe toa_probes[] = {
	TOA_GETNAME_PROBE("inet_getname"),
#if IS_ENABLED(CONFIG_IPV6)
	TOA_GETNAME_PROBE("inet6_getname"),
#endif
};

static void toa_probes_exit(int n)
{
	while (n--)
		unregister_kretprobe(&toa_probes[n]);
}

/* Why not, for the log. Returns what insmod is to say: it takes EINVAL for a bad parameter. */
static int toa_probe_refused(const char *symbol, int err)
{
	switch (err) {
	case -ENOENT:
		pr_err("cannot probe %s: this kernel has no such function%s\n", symbol,
		       strncmp(symbol, "inet6", 5) ? "" :
		       " (built without IPv6, or is the module ipv6 not loaded?)");
		return err;
	case -EINVAL:
		pr_err("cannot probe %s: this kernel does not allow it\n", symbol);
		return -EOPNOTSUPP;
	default:
		pr_err("cannot probe %s: error %d\n", symbol, err);
		return err;
	}
}

static int toa_probes_init(unsigned int maxactive)
{
	int i, err;

	for (i = 0; i < ARRAY_SIZE(toa_probes); i++) {
		toa_probes[i].maxactive = maxactive;
		err = register_kretprobe(&toa_probes[i]);
		if (err) {
			toa_probes_exit(i);
			return toa_probe_refused(toa_probes[i].kp.symbol_name, err);
		}
	}
	return 0;
}

/* Calls of getname() that went unchanged because maxactive others were sleeping in it. */
unsigned long toa_hooks_missed_instances(void)
{
	unsigned long sum = 0;
	int i;

	for (i = 0; i < ARRAY_SIZE(toa_probes); i++)
		sum += READ_ONCE(toa_probes[i].nmissed);
	return sum;
}

/* Those that went unchanged because another probe's handler was running on the CPU. */
unsigned long toa_hooks_missed_probes(void)
{
	unsigned long sum = 0;
	int i;

	for (i = 0; i < ARRAY_SIZE(toa_probes); i++)
		sum += READ_ONCE(toa_probes[i].kp.nmissed);
	return sum;
}

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

static int toa_tracepoint_init(void)
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

static void toa_tracepoint_exit(void)
{
	tracepoint_probe_unregister(toa_tracepoint, toa_on_destroy_sock, NULL);
	tracepoint_synchronize_unregister();
}

/*
 * Unlike ftrace, the probes can be switched off behind our back (0 in debugfs
 * kprobes/enabled); applications would see the load balancer again. So they are
 * tried from time to time.
 */
#define TOA_WATCH_INTERVAL (10 * HZ)

static void toa_watch(struct work_struct *work);
static DECLARE_DELAYED_WORK(toa_watch_work, toa_watch);
static bool toa_armed = true;

static void toa_watch(struct work_struct *work)
{
	struct sockaddr_storage addr;
	bool armed;

	WRITE_ONCE(toa_canary_seen, false);
	kernel_getsockname(toa_canary, (struct sockaddr *)&addr);
	armed = READ_ONCE(toa_canary_seen);
	if (!armed && toa_armed)
		pr_warn("probes are switched off (debugfs kprobes/enabled): applications see the load balancer's address\n");
	else if (armed && !toa_armed)
		pr_info("probes are on again\n");
	WRITE_ONCE(toa_armed, armed);
	schedule_delayed_work(&toa_watch_work, TOA_WATCH_INTERVAL);
}

bool toa_hooks_armed(void)
{
	return READ_ONCE(toa_armed);
}

/*
 * In the order that entries live: who frees them is there first, who makes them
 * last. On the way out nobody makes or reads entries any more when freeing ends.
 */
int toa_hooks_init(unsigned int maxactive)
{
	int err;

	err = sock_create_kern(&init_net, AF_INET, SOCK_DGRAM, IPPROTO_UDP, &toa_canary);
	if (err)
		return err;
	err = toa_tracepoint_init();
	if (err)
		goto err_canary;
	err = toa_probes_init(maxactive);
	if (err)
		goto err_tracepoint;
	err = toa_ftrace_init();
	if (err)
		goto err_probes;
	schedule_delayed_work(&toa_watch_work, 0);
	return 0;

err_probes:
	toa_probes_exit(ARRAY_SIZE(toa_probes));
err_tracepoint:
	toa_tracepoint_exit();
err_canary:
	sock_release(toa_canary);
	return err;
}

/* On return none of our functions runs, and none will: each of these waits for it. */
void toa_hooks_exit(void)
{
	cancel_delayed_work_sync(&toa_watch_work);
	toa_ftrace_exit();
	toa_probes_exit(ARRAY_SIZE(toa_probes));
	toa_tracepoint_exit();
	sock_release(toa_canary);
}
