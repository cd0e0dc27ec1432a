// SPDX-License-Identifier: GPL-2.0
/*
 * getsockopt(fd, IPPROTO_IP, 4096, ...): the IPv6 client behind an IPv4
 * connection (NAT64 on the balancer), which getpeername() of an IPv4 socket has no
 * room for. Option and answer are those of DPVS, for which patches of nginx and
 * others exist.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/in6.h>
#include <linux/module.h>
#include <linux/netfilter.h>
#include <linux/uaccess.h>

#include "toa.h"

#define TOA_SO_NAT64_PEER 4096

struct toa_nat64_peer {
	struct in6_addr saddr;
	__be16 port;
	u16 pad;
};

static int toa_sockopt_get(struct sock *sk, int option, void __user *user, int *len)
{
	struct toa_nat64_peer peer = {};
	struct toa_client client;
	int err;

	BUILD_BUG_ON(sizeof(peer) != 20);
	if (*len < (int)sizeof(peer))
		return -EINVAL;
	err = toa_conn_nat64_client(sk, &client);
	if (err)
		return err;
	memcpy(&peer.saddr, client.addr.v6, sizeof(peer.saddr));
	peer.port = client.port;
	if (copy_to_user(user, &peer, sizeof(peer)))
		return -EFAULT;
	*len = sizeof(peer);
	return 0;
}

static struct nf_sockopt_ops toa_sockopt_ops = {
	.pf = PF_INET,
	.get_optmin = TOA_SO_NAT64_PEER,
	.get_optmax = TOA_SO_NAT64_PEER + 1,
	.get = toa_sockopt_get,
	.owner = THIS_MODULE,
};

int toa_sockopt_init(void)
{
	int err = nf_register_sockopt(&toa_sockopt_ops);

	if (err)
		pr_err("another module has getsockopt(IPPROTO_IP, %d): error %d\n",
		       TOA_SO_NAT64_PEER, err);
	return err;
}

void toa_sockopt_exit(void)
{
	nf_unregister_sockopt(&toa_sockopt_ops);
}
