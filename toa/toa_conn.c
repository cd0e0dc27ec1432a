// SPDX-License-Identifier: GPL-2.0
/*
 * What happens to a connection: when it gets a socket, the TOA of the packet
 * that did it is read, judged and remembered; when somebody asks for the name of
 * its peer, the remembered client is the answer.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/net.h>
#include <linux/tcp.h>
#include <net/inet_sock.h>
#include <net/ipv6.h>
#include <net/tcp_states.h>

#include "toa.h"

/* The bytes behind the fixed TCP header, which TCP has made linear; NULL if it has not. */
static const u8 *toa_conn_options(const struct sk_buff *skb, unsigned int *len)
{
	const u8 *end = skb_tail_pointer(skb);
	const struct tcphdr *th;
	unsigned int hlen;

	if (!skb_transport_header_was_set(skb))
		return NULL;
	th = tcp_hdr(skb);
	if ((const u8 *)(th + 1) > end)
		return NULL;
	hlen = th->doff * 4;
	if (hlen < sizeof(*th) || (const u8 *)th + hlen > end)
		return NULL;
	*len = hlen - sizeof(*th);
	return (const u8 *)(th + 1);
}

/* Where the packets really come from: the load balancer's local address. */
void toa_conn_wire(const struct sock *sk, struct toa_client *wire)
{
	memset(wire, 0, sizeof(*wire));
	wire->port = inet_sk(sk)->inet_dport;
#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6 && !ipv6_addr_v4mapped(&sk->sk_v6_daddr)) {
		wire->family = AF_INET6;
		memcpy(wire->addr.v6, &sk->sk_v6_daddr, sizeof(wire->addr.v6));
		return;
	}
#endif
	wire->family = AF_INET;
	wire->addr.v4 = inet_sk(sk)->inet_daddr;
}

static enum toa_stat toa_conn_store(const struct sock *sk, const struct toa_client *client,
				    const struct toa_client *wire)
{
	if (!toa_client_valid(client))
		return TOA_STAT_BAD_CLIENT;

	switch (toa_table_insert(sk, client, wire)) {
	case 0:
		return client->family == AF_INET6 && sk->sk_family == AF_INET ?
			TOA_STAT_NAT64 : TOA_STAT_STORED;
	case -ENOSPC:
		return TOA_STAT_TABLE_FULL;
	default:
		return TOA_STAT_NO_MEMORY;
	}
}

/**
 * toa_conn_new - a connection has got a socket
 * @sk: the socket, locked; a listener's child, which nobody has accepted yet
 * @skb: the packet that did it: the handshake's last ACK, the first data after
 *	it (TCP_DEFER_ACCEPT), or a SYN with data (TCP Fast Open)
 *
 * Softirq, or process context with softirqs off.
 */
static void toa_conn_new(struct sock *sk, const struct sk_buff *skb)
{
	struct net *net = sock_net(sk);
	struct toa_client client, wire;
	enum toa_parse_result res;
	unsigned int len;
	const u8 *opts;
	enum toa_verdict verdict;

	toa_table_forget(sk);
	opts = toa_conn_options(skb, &len);
	if (!opts)
		return;

	toa_conn_wire(sk, &wire);
	if (unlikely(toa_selftest_owns(sk))) {
		if (toa_parse(opts, len, TOA_LAYOUT_ALL, &client) == TOA_FOUND)
			toa_conn_store(sk, &client, &wire);
		return;
	}
	res = toa_parse(opts, len, toa_policy_layouts(net), &client);
	verdict = toa_policy_judge(net, &wire, inet_sk(sk)->inet_num);
	if (res == TOA_FOUND && verdict == TOA_STRANGER)
		toa_policy_report_stranger(net, &wire);

	if (res == TOA_FOUND)
		toa_count(net, verdict == TOA_BELIEVED ? toa_conn_store(sk, &client, &wire) :
							 TOA_STAT_UNTRUSTED);
	else if (res == TOA_MALFORMED)
		toa_count(net, TOA_STAT_MALFORMED);
	else if (verdict == TOA_BELIEVED)
		toa_count(net, TOA_STAT_ABSENT);
}

/* A listener has a child, locked. As toa_conn_new(). */
void toa_conn_child(struct sock *child, struct sk_buff *skb)
{
	if (child->sk_state == TCP_SYN_RECV)
		toa_conn_new(child, skb);
}

/* Simultaneous open ends as if the other side had begun. RCU frees a struct socket. */
static bool toa_conn_is_connecting(const struct sock *sk)
{
	const struct socket *sock = READ_ONCE(sk->sk_socket);

	return sock && READ_ONCE(sock->state) == SS_CONNECTING;
}

/* A connection is established, as @bpf_op says, by @skb if there is one. As toa_conn_new(). */
void toa_conn_established(struct sock *sk, int bpf_op, struct sk_buff *skb)
{
	if (bpf_op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB || toa_conn_is_connecting(sk))
		toa_table_forget(sk);
	else if (skb && rcu_access_pointer(tcp_sk(sk)->fastopen_rsk))
		toa_conn_new(sk, skb);
}

/* Is a client known? TCP's socket has its entry before anybody has the socket. Any context. */
bool toa_conn_may_have_client(const struct sock *sk)
{
	if (sk->sk_protocol == IPPROTO_MPTCP)
		return toa_mptcp_may_have_client(sk);
	return sk->sk_protocol == IPPROTO_TCP && toa_table_has(sk);
}

static bool toa_conn_client(const struct sock *sk, struct toa_client *client)
{
	if (sk->sk_protocol == IPPROTO_MPTCP)
		return toa_mptcp_client(sk, client);
	return toa_table_lookup(sk, client);
}

/**
 * toa_conn_peername - put the client where the kernel has put the wire's source
 * @sk: the connection; the caller holds a reference
 * @uaddr: the answer, in kernel memory; its family decides how it looks
 *
 * Preemption is off.
 */
void toa_conn_peername(const struct sock *sk, struct sockaddr *uaddr)
{
	struct toa_client client;

	if (!toa_conn_client(sk, &client))
		return;

	if (uaddr->sa_family == AF_INET && client.family == AF_INET) {
		struct sockaddr_in *sin = (struct sockaddr_in *)uaddr;

		sin->sin_port = client.port;
		sin->sin_addr.s_addr = client.addr.v4;
	} else if (uaddr->sa_family == AF_INET6) {
		struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)uaddr;

		sin6->sin6_port = client.port;
		sin6->sin6_scope_id = 0;
		if (client.family == AF_INET)
			ipv6_addr_set_v4mapped(client.addr.v4, &sin6->sin6_addr);
		else
			memcpy(&sin6->sin6_addr, client.addr.v6, sizeof(sin6->sin6_addr));
	} else {
		return;		/* NAT64: toa_conn_nat64_client() has it */
	}
	if (likely(!toa_selftest_owns(sk)))
		toa_count(sock_net(sk), TOA_STAT_ANSWERED);
}

/**
 * toa_conn_nat64_client - the IPv6 client of an IPv4 connection
 * @sk: any socket; the caller holds a reference
 * @client: the answer
 *
 * Process context. The socket's lock is taken because it is held while the entry
 * of a new connection is made.
 *
 * Return: 0; -EINVAL when no client is known, -EFAULT when it is one that
 * getpeername() names, -ENOTCONN when there is no connection.
 */
int toa_conn_nat64_client(struct sock *sk, struct toa_client *client)
{
	struct toa_client wire;
	int err = 0;

	if (sk->sk_protocol != IPPROTO_TCP || sk->sk_type != SOCK_STREAM)
		return -EINVAL;

	lock_sock(sk);
	toa_conn_wire(sk, &wire);
	if (!wire.port || (1 << sk->sk_state) & (TCPF_CLOSE | TCPF_SYN_SENT))
		err = -ENOTCONN;
	else if (!toa_table_lookup(sk, client))
		err = -EINVAL;
	else if (client->family != AF_INET6 || wire.family != AF_INET)
		err = -EFAULT;
	release_sock(sk);
	if (!err)
		toa_count(sock_net(sk), TOA_STAT_ANSWERED);
	return err;
}
