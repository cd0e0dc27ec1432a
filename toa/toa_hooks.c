// SPDX-License-Identifier: GPL-2.0
/*
 * Where the kernel tells us, without a patch, a write to a const table or an
 * unexported symbol:
 *
 *	a listener has a new child	entry of tcp_child_process(), by ftrace
 *	a connection is established	entry of tcp_init_transfer(), by ftrace
 *	somebody asks for an address	return of inet_getname() and inet6_getname(), by kretprobe
 *	a socket is destroyed		tracepoint tcp_destroy_sock (toa_tracepoint.c)
 *
 * The first two are no kprobes, because one kprobe's handler that interrupts another's
 * is skipped, and connections arrive in softirq at any moment. The third may be
 * kretprobes: they only run in process context.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/ftrace.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/workqueue.h>

#include "toa.h"
#include "toa_compat.h"

/*
 * tcp_child_process(parent, child, skb): the packet that ends a handshake has made a socket.
 * Its lock is held since then, and accept() waits for that. It is not waited until the socket
 * is established: it may drop the very packet that made it (a SYN-ACK with data), and
 * accept() returns it all the same. What MPTCP has thrown away comes by closed.
 *
 * Softirqs are off, here, and in the next one where it stores.
 */
static void notrace toa_on_child(unsigned long ip, unsigned long parent_ip,
				 struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	struct sock *child = (struct sock *)toa_ftrace_argument(fregs, 1);
	struct sk_buff *skb = (struct sk_buff *)toa_ftrace_argument(fregs, 2);

	toa_conn_child(child, skb);
}

/*
 * tcp_init_transfer(sk, bpf_op, skb): a child that TCP Fast Open has made of a SYN with data
 * comes by only here, before it is queued for accept(). A connection that this host opened has
 * no client to tell; but its socket may have been an accepted one before (connect() with
 * AF_UNSPEC).
 */
static void notrace toa_on_init_transfer(unsigned long ip, unsigned long parent_ip,
					 struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	struct sock *sk = (struct sock *)toa_ftrace_argument(fregs, 0);
	int bpf_op = toa_ftrace_argument(fregs, 1);
	struct sk_buff *skb = (struct sk_buff *)toa_ftrace_argument(fregs, 2);

	toa_conn_established(sk, bpf_op, skb);
}

struct toa_traced {
	char symbol[20];	/* ftrace may write to it */
	struct ftrace_ops ops;
};

/* PERMANENT: kernel.ftrace_enabled=0 is refused. RECURSION: ftrace prevents it. */
#define TOA_TRACED(name, function) {								\
	.symbol = name,										\
	.ops.func = function,									\
	.ops.flags = FTRACE_OPS_FL_PERMANENT | FTRACE_OPS_FL_RECURSION | TOA_FTRACE_SAVE,	\
}

static struct toa_traced toa_traced[] = {
	TOA_TRACED("tcp_child_process", toa_on_child),
	TOA_TRACED("tcp_init_transfer", toa_on_init_transfer),
};

static int toa_trace(struct toa_traced *traced)
{
	int err;

	err = ftrace_set_filter(&traced->ops, traced->symbol, strlen(traced->symbol), 1);
	if (err == -EINVAL)
		err = -ENOENT;	/* its word for no match */
	if (!err)
		err = register_ftrace_function(&traced->ops);
	if (!err)
		return 0;
	ftrace_free_filter(&traced->ops);
	if (err == -EBUSY)
		pr_err("cannot trace %s: is kernel.ftrace_enabled 0?\n", traced->symbol);
	else if (err == -ENOENT)
		pr_err("cannot trace %s: this kernel has no such function that can be traced\n",
		       traced->symbol);
	else
		pr_err("cannot trace %s: error %d\n", traced->symbol, err);
	return err;
}

static void toa_ftrace_exit(int n)
{
	while (n--) {
		unregister_ftrace_function(&toa_traced[n].ops);
		ftrace_free_filter(&toa_traced[n].ops);
	}
}

static int toa_ftrace_init(void)
{
	int i, err;

	for (i = 0; i < ARRAY_SIZE(toa_traced); i++) {
		err = toa_trace(&toa_traced[i]);
		if (err) {
			toa_ftrace_exit(i);
			return err;
		}
	}
	return 0;
}

/* A call of getname() that we wait for to return. */
struct toa_getname {
	const struct sock *sk;
	struct sockaddr *uaddr;
};

/* A socket of our own, whose getname() shows whether the probes fire. */
static struct socket *toa_canary;
static bool toa_canary_seen;

static atomic_t toa_calls_of_others = ATOMIC_INIT(0);	/* of namespaces but the initial one */
static atomic_long_t toa_calls_refused = ATOMIC_LONG_INIT(0);
static unsigned int toa_calls_max = INT_MAX;	/* maxactive, once the kernel has it */

/*
 * There are maxactive instances for all of the host, and who keeps his own socket locked keeps
 * its callers in getname(). So a socket without a client must not cost one, nor must a namespace
 * whose root can make clients for himself cost them all.
 */
static bool toa_call_begins(const struct sock *sk)
{
	const struct net *net = sock_net(sk);

	if (!toa_conn_may_have_client(sk))
		return false;
	if (toa_share_take(net, &toa_calls_of_others, &toa_net(net)->calls, toa_calls_max))
		return true;
	atomic_long_inc(&toa_calls_refused);
	return false;
}

/*
 * inet_getname(sock, uaddr, peer): peer is 0 for getsockname(). Threads of the kernel (NFS,
 * iSCSI, DLM) decide by this address whom they talk to: they get the wire's.
 */
static int toa_on_getname(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct socket *sock = (struct socket *)regs_get_kernel_argument(regs, 0);
	struct toa_getname *call = (struct toa_getname *)ri->data;
	int peer = regs_get_kernel_argument(regs, 2);
	const struct sock *sk = sock->sk;

	if (sock == toa_canary)
		WRITE_ONCE(toa_canary_seen, true);
	if (!peer || current->flags & PF_KTHREAD || !sk || !toa_call_begins(sk))
		return 1;	/* no interest in the return */
	call->sk = sk;
	call->uaddr = (struct sockaddr *)regs_get_kernel_argument(regs, 1);
	return 0;
}

static int toa_on_getname_return(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	const struct toa_getname *call = (struct toa_getname *)ri->data;
	const struct net *net = sock_net(call->sk);	/* the caller holds the socket */
	int len = regs_return_value(regs);

	toa_share_give_back(net, &toa_calls_of_others, &toa_net(net)->calls);
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
		toa_calls_max = toa_probes[i].maxactive;
	}
	return 0;
}

/*
 * Calls of getname() that went unchanged because maxactive others were sleeping in it, or as
 * many as a namespace may have.
 */
unsigned long toa_hooks_missed_instances(void)
{
	unsigned long sum = atomic_long_read(&toa_calls_refused);
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
	unsigned long missed = toa_hooks_missed_instances();
	struct sockaddr_storage addr;
	bool armed;

	WRITE_ONCE(toa_canary_seen, false);
	kernel_getsockname(toa_canary, (struct sockaddr *)&addr);
	/* without an instance nobody told us, and that is counted */
	armed = READ_ONCE(toa_canary_seen) || toa_hooks_missed_instances() != missed;
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
	toa_ftrace_exit(ARRAY_SIZE(toa_traced));
	toa_probes_exit(ARRAY_SIZE(toa_probes));
	toa_tracepoint_exit();
	sock_release(toa_canary);
}
