// SPDX-License-Identifier: GPL-2.0
/*
 * Does it work on this kernel? A connection over 127.0.0.1 gets a TOA into the
 * packets of its handshake, and the accepted socket must name the client that
 * the TOA says: once by an IPv4 socket and once by a dual-stack IPv6 one. This
 * catches a kernel whose compiler inlined what we hook, and probes that are
 * switched off.
 *
 * Run when the module is loaded, and again by writing 1 to its parameter
 * "selftest". A wrong answer keeps the module out; where the connection cannot
 * be made at all (lo is down, a firewall) there is only a warning.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/net.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/tcp.h>
#include <net/inet_sock.h>
#include <net/ip.h>
#include <net/ipv6.h>

#include "toa.h"
#include "toa_compat.h"

#define TOA_SELFTEST_TIMEOUT (3 * HZ)	/* for connect() and for accept() */
#define TOA_SELFTEST_STRANGERS 16	/* connections of others that are passed over */

static DEFINE_MUTEX(toa_selftest_lock);	/* one run at a time; the variables below */
static bool toa_selftest_at_load = true;
static bool toa_selftest_ready;		/* the module is loaded: a write to the parameter runs it */
static char toa_selftest_text[128] = "off";

/* The connection of a running test: its client's port << 16 | its server's; 0 is none. */
static u32 toa_selftest_ports;

static const struct toa_client toa_selftest_client = {
	.family = AF_INET,
	.port = cpu_to_be16(54321),
	.addr.v4 = cpu_to_be32(0xc0000201),	/* 192.0.2.1 */
};

static u32 toa_selftest_pack(__be16 client, __be16 server)
{
	return (u32)ntohs(client) << 16 | ntohs(server);
}

/*
 * The one connection that is believed without being in a trusted prefix, and is
 * not counted. Nobody else can have its ports: our two sockets hold them.
 */
bool toa_selftest_owns(const struct sock *sk)
{
	u32 ports = READ_ONCE(toa_selftest_ports);
	const struct inet_sock *inet = inet_sk(sk);

	return ports && net_eq(sock_net(sk), &init_net) &&
	       inet->inet_daddr == htonl(INADDR_LOOPBACK) &&
	       ports == toa_selftest_pack(inet->inet_dport, inet->inet_sport);
}

/* A packet without SYN of the running test, from its client; IP header without options. */
static bool toa_selftest_wants(struct sk_buff *skb)
{
	const struct iphdr *iph = ip_hdr(skb);
	const struct tcphdr *th;

	if (iph->protocol != IPPROTO_TCP || iph->ihl != 5 || ip_is_fragment(iph) ||
	    iph->saddr != htonl(INADDR_LOOPBACK) || iph->daddr != htonl(INADDR_LOOPBACK) ||
	    !pskb_may_pull(skb, sizeof(*iph) + sizeof(*th)))
		return false;
	th = (const struct tcphdr *)(skb->data + sizeof(*iph));
	return !th->syn && th->doff * 4 + TOA_LEN_V4 <= sizeof(*th) + TOA_OPT_SPACE &&
	       toa_selftest_pack(th->source, th->dest) == READ_ONCE(toa_selftest_ports);
}

/* LOCAL_IN of the initial namespace, last: put the TOA first among the options. */
static unsigned int toa_selftest_inject(void *priv, struct sk_buff *skb,
					const struct nf_hook_state *state)
{
	const unsigned int headers = sizeof(struct iphdr) + sizeof(struct tcphdr);
	struct tcphdr *th;
	struct iphdr *iph;

	if (!toa_selftest_wants(skb))
		return NF_ACCEPT;
	if (skb_cow(skb, TOA_LEN_V4))
		return NF_DROP;

	skb_push(skb, TOA_LEN_V4);
	memmove(skb->data, skb->data + TOA_LEN_V4, headers);
	toa_encode(skb->data + headers, TOA_KIND_DEFAULT_V4, &toa_selftest_client);
	skb_reset_network_header(skb);
	skb_set_transport_header(skb, sizeof(*iph));

	iph = ip_hdr(skb);
	iph->tot_len = htons(ntohs(iph->tot_len) + TOA_LEN_V4);
	ip_send_check(iph);
	th = tcp_hdr(skb);
	th->doff += TOA_LEN_V4 / 4;
	skb->ip_summed = CHECKSUM_UNNECESSARY;
	return NF_ACCEPT;
}

static const struct nf_hook_ops toa_selftest_hook = {
	.hook = toa_selftest_inject,
	.pf = NFPROTO_IPV4,
	.hooknum = NF_INET_LOCAL_IN,
	.priority = NF_IP_PRI_LAST,
};

/* A TCP socket bound to 127.0.0.1, or to ::ffff:127.0.0.1. */
static int toa_selftest_socket(int family, struct socket **sock, __be16 *port)
{
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct sockaddr *addr = (struct sockaddr *)&sin;
	int err, len = sizeof(sin);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (family == AF_INET6) {
		ipv6_addr_set_v4mapped(htonl(INADDR_LOOPBACK), &sin6.sin6_addr);
		addr = (struct sockaddr *)&sin6;
		len = sizeof(sin6);
	}

	err = sock_create_kern(&init_net, family, SOCK_STREAM, IPPROTO_TCP, sock);
	if (err)
		return err;
	(*sock)->sk->sk_sndtimeo = TOA_SELFTEST_TIMEOUT;
	(*sock)->sk->sk_rcvtimeo = TOA_SELFTEST_TIMEOUT;
	(*sock)->sk->sk_ipv6only = 0;
	err = kernel_bind(*sock, (TOA_SOCKADDR *)addr, len);
	if (!err) {
		err = kernel_getsockname(*sock, addr);
		*port = family == AF_INET6 ? sin6.sin6_port : sin.sin_port;
	}
	if (err < 0) {
		sock_release(*sock);
		return err;
	}
	return 0;
}

static bool toa_selftest_is_client(int family, const struct sockaddr_storage *name)
{
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)name;
	const struct sockaddr_in *sin = (const struct sockaddr_in *)name;
	struct in6_addr mapped;

	if (family == AF_INET)
		return sin->sin_family == AF_INET && sin->sin_port == toa_selftest_client.port &&
		       sin->sin_addr.s_addr == toa_selftest_client.addr.v4;
	ipv6_addr_set_v4mapped(toa_selftest_client.addr.v4, &mapped);
	return sin6->sin6_family == AF_INET6 && sin6->sin6_port == toa_selftest_client.port &&
	       ipv6_addr_equal(&sin6->sin6_addr, &mapped);
}

/* The connection of our client: others may find the listener, too. */
static int toa_selftest_accept(struct socket *listener, struct socket **conn)
{
	int i, err;

	for (i = 0; i < TOA_SELFTEST_STRANGERS; i++) {
		err = kernel_accept(listener, conn, 0);
		if (err || toa_selftest_owns((*conn)->sk))
			return err;
		sock_release(*conn);
	}
	return -EBUSY;
}

/* Returns 0, -EBADMSG for a wrong name, or why the connection could not be made. */
static int toa_selftest_connect(int family, struct socket *listener, struct socket *client,
				__be16 port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = port };
	struct sockaddr_storage name;
	struct socket *conn;
	int err;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	err = kernel_connect(client, (TOA_SOCKADDR *)&to, sizeof(to), 0);
	if (err)
		return err;
	err = toa_selftest_accept(listener, &conn);
	if (err)
		return err;
	err = kernel_getpeername(conn, (struct sockaddr *)&name);
	sock_release(conn);
	if (err < 0)
		return err;
	if (toa_selftest_is_client(family, &name))
		return 0;
	pr_err("self-test: the peer's name is %pISpc, not %pI4:%u\n", &name,
	       &toa_selftest_client.addr.v4, ntohs(toa_selftest_client.port));
	return -EBADMSG;
}

static int toa_selftest_family(int family)
{
	struct socket *listener, *client;
	__be16 lport, cport;
	int err;

	err = toa_selftest_socket(family, &listener, &lport);
	if (err)
		return err;
	err = kernel_listen(listener, TOA_SELFTEST_STRANGERS);
	if (err)
		goto out_listener;
	err = toa_selftest_socket(AF_INET, &client, &cport);
	if (err)
		goto out_listener;

	WRITE_ONCE(toa_selftest_ports, toa_selftest_pack(cport, lport));
	err = nf_register_net_hook(&init_net, &toa_selftest_hook);
	if (!err) {
		err = toa_selftest_connect(family, listener, client, lport);
		nf_unregister_net_hook(&init_net, &toa_selftest_hook);
	}
	WRITE_ONCE(toa_selftest_ports, 0);
	sock_release(client);
out_listener:
	sock_release(listener);
	return err;
}

/* -EBADMSG when the module does not work here; 0 also if that could not be tried. */
static int toa_selftest_run(void)
{
	int err = -ENETDOWN;

	lockdep_assert_held(&toa_selftest_lock);
	if (init_net.loopback_dev->flags & IFF_UP)
		err = toa_selftest_family(AF_INET);
	if (!err && ipv6_mod_enabled())
		err = toa_selftest_family(AF_INET6);

	if (!err || err == -EBADMSG) {
		strscpy(toa_selftest_text, err ? "failed" : "ok", sizeof(toa_selftest_text));
		return err;
	}
	snprintf(toa_selftest_text, sizeof(toa_selftest_text), "skipped (%s, error %d)",
		 err == -ENETDOWN ? "lo is down" : "no connection over 127.0.0.1", err);
	pr_warn("self-test %s\n", toa_selftest_text);
	return 0;
}

const char *toa_selftest_result(void)
{
	return toa_selftest_text;
}

static int toa_selftest_param_set(const char *val, const struct kernel_param *kp)
{
	bool on;
	int err;

	err = kstrtobool(val, &on);
	if (err)
		return err;
	mutex_lock(&toa_selftest_lock);
	if (!toa_selftest_ready)
		toa_selftest_at_load = on;
	else if (on)
		err = toa_selftest_run();
	mutex_unlock(&toa_selftest_lock);
	return err;
}

static int toa_selftest_param_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%s\n", toa_selftest_text);
}

static const struct kernel_param_ops toa_selftest_param_ops = {
	.set = toa_selftest_param_set,
	.get = toa_selftest_param_get,
};

module_param_cb(selftest, &toa_selftest_param_ops, NULL, 0644);
MODULE_PARM_DESC(selftest, "0: no self-test at load; later, write 1 to run it, read its result");

int toa_selftest_init(void)
{
	int err = 0;

	mutex_lock(&toa_selftest_lock);
	if (toa_selftest_at_load)
		err = toa_selftest_run();
	toa_selftest_ready = !err;
	mutex_unlock(&toa_selftest_lock);
	if (err)
		pr_err("self-test failed: accept() and getpeername() would not name the client on this kernel; not loaded\n");
	return err;
}

/* Waits for a running test; later writes to the parameter find nothing to test. */
void toa_selftest_exit(void)
{
	mutex_lock(&toa_selftest_lock);
	toa_selftest_ready = false;
	mutex_unlock(&toa_selftest_lock);
}
