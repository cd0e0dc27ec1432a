// SPDX-License-Identifier: GPL-2.0
/*
 * MPTCP: an application has a socket that is no TCP connection but has some, its
 * subflows. The client is that of the first one, whose addresses and ports the
 * kernel has copied into the application's socket: so it is found by them. Where
 * the kernel keeps its subflows itself, no module can see.
 */
#include <linux/ktime.h>
#include <linux/netdevice.h>
#include <linux/tcp.h>
#include <net/inet6_hashtables.h>
#include <net/inet_hashtables.h>
#include <net/inet_sock.h>
#include <net/ipv6.h>

#include "toa.h"
#include "toa_compat.h"

#define TOA_MPTCP_WAIT (100 * NSEC_PER_MSEC)	/* a virtual CPU can be away for a while */

/* A reference, or NULL; it may be any kind of TCP socket. In an RCU read-side section. */
static struct sock *toa_mptcp_find(const struct sock *msk, int dif)
{
	const struct inet_sock *inet = inet_sk(msk);
	struct net *net = sock_net(msk);

#if IS_ENABLED(CONFIG_IPV6)
	if (msk->sk_family == AF_INET6 && !ipv6_addr_v4mapped(&msk->sk_v6_daddr))
		return toa_lookup_established6(net, &msk->sk_v6_daddr, inet->inet_dport,
					       &msk->sk_v6_rcv_saddr, inet->inet_num, dif);
#endif
	return toa_lookup_established(net, inet->inet_daddr, inet->inet_dport,
				      inet->inet_rcv_saddr, inet->inet_num, dif);
}

/*
 * When the first subflow is gone its addresses may already be those of another
 * connection. A subflow has the struct socket of its MPTCP socket, no other
 * connection has. A reference, or NULL.
 */
static struct sock *toa_mptcp_subflow_at(const struct sock *msk, int dif)
{
	struct sock *ssk = toa_mptcp_find(msk, dif);

	if (!ssk || (sk_fullsock(ssk) && READ_ONCE(ssk->sk_socket) == READ_ONCE(msk->sk_socket)))
		return ssk;
	sock_gen_put(ssk);
	return NULL;
}

static bool toa_mptcp_is_link_local(const struct sock *msk)
{
#if IS_ENABLED(CONFIG_IPV6)
	return msk->sk_family == AF_INET6 &&
	       (ipv6_addr_type(&msk->sk_v6_daddr) & IPV6_ADDR_LINKLOCAL);
#else
	return false;
#endif
}

/*
 * The kernel itself binds a connection to the VRF that it came by, or to the device if
 * its addresses are link-local, and does not tell the MPTCP socket.
 */
static struct sock *toa_mptcp_subflow(const struct sock *msk)
{
	struct sock *ssk = toa_mptcp_subflow_at(msk, msk->sk_bound_dev_if);
	bool link_local = toa_mptcp_is_link_local(msk);
	const struct net_device *dev;

	if (ssk || msk->sk_bound_dev_if)
		return ssk;
	for_each_netdev_rcu(sock_net(msk), dev) {
		if (link_local || netif_is_l3_master(dev))
			ssk = toa_mptcp_subflow_at(msk, dev->ifindex);
		if (ssk)
			break;
	}
	return ssk;
}

/*
 * Is the handshake's last packet still being received? The entry is made before the
 * state changes. TCP Fast Open makes it still earlier, and leaves the state.
 */
static bool toa_mptcp_handshaking(const struct sock *ssk)
{
	return inet_sk_state_load(ssk) == TCP_SYN_RECV &&
	       !rcu_access_pointer(tcp_sk(ssk)->fastopen_rsk);
}

/*
 * accept() can be here before the subflow's entry is, which another CPU is about to
 * make: microseconds. There is no sleeping here, so it is waited for, but not for
 * ever.
 */
static bool toa_mptcp_lookup(const struct sock *ssk, struct toa_client *client)
{
	if (unlikely(toa_mptcp_handshaking(ssk))) {
		u64 end = ktime_get_ns() + TOA_MPTCP_WAIT;

		while (toa_mptcp_handshaking(ssk) && ktime_get_ns() < end)
			cpu_relax();
	}
	return toa_table_lookup(ssk, client);
}

/**
 * toa_mptcp_may_have_client - may toa_mptcp_client() find one?
 * @msk: the socket that the application has
 *
 * Any context.
 */
bool toa_mptcp_may_have_client(const struct sock *msk)
{
	bool may = false;
	struct sock *ssk;

	rcu_read_lock();
	ssk = toa_mptcp_subflow(msk);
	if (ssk) {
		may = toa_mptcp_handshaking(ssk) || toa_table_has(ssk);
		sock_gen_put(ssk);
	}
	rcu_read_unlock();
	return may;
}

/**
 * toa_mptcp_client - the client of an MPTCP socket
 * @msk: the socket that the application has
 * @client: the answer
 *
 * Preemption is off.
 */
bool toa_mptcp_client(const struct sock *msk, struct toa_client *client)
{
	bool found = false;
	struct sock *ssk;

	rcu_read_lock();
	ssk = toa_mptcp_subflow(msk);
	if (ssk) {
		found = toa_mptcp_lookup(ssk, client);
		sock_gen_put(ssk);
	}
	rcu_read_unlock();
	return found;
}
