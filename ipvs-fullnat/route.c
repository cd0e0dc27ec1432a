// SPDX-License-Identifier: GPL-2.0
/*
 * Routes for rewritten packets: from a VIP to a client, from a LIP to an RS.
 * Softirq or process context, under rcu_read_lock(), which keeps what is returned alive.
 */
#include <net/dst.h>
#include <net/ip.h>
#include <net/route.h>

#include "route.h"

static struct dst_entry *route_lookup_v4(struct net *net, const union nf_inet_addr *saddr,
					 const union nf_inet_addr *daddr, u8 protocol, u32 mark)
{
	struct flowi4 fl4 = {
		.saddr = saddr->ip,
		.daddr = daddr->ip,
		.flowi4_proto = protocol,
		.flowi4_mark = mark,
		/* a synced LIP or VIP need not be an address of this host */
		.flowi4_flags = FLOWI_FLAG_ANYSRC,
	};
	struct rtable *rt = ip_route_output_key(net, &fl4);

	return IS_ERR(rt) ? NULL : &rt->dst;
}

/* With a reference that the caller must release; NULL: no route. */
struct dst_entry *fnat_route_lookup(struct net *net, u8 af, const union nf_inet_addr *saddr,
				    const union nf_inet_addr *daddr, u8 protocol, u32 mark)
{
	if (af != AF_INET)
		return NULL;
	return route_lookup_v4(net, saddr, daddr, protocol, mark);
}

static bool route_is_fresh(struct dst_entry *dst)
{
	return !dst->obsolete || dst->ops->check(dst, 0);
}

/* The cached route, made anew if it is stale. Without a reference; NULL: none. */
struct dst_entry *fnat_route_get(struct net *net, struct fnat_route *route, u8 af,
				 const union nf_inet_addr *saddr,
				 const union nf_inet_addr *daddr, u8 protocol)
{
	struct dst_entry *dst = rcu_dereference(route->dst);

	if (likely(dst && route_is_fresh(dst)))
		return dst;

	dst = fnat_route_lookup(net, af, saddr, daddr, protocol, 0);
	/* readers may still use the old one: dst_release() frees it after a grace period */
	dst_release(unrcu_pointer(xchg(&route->dst, RCU_INITIALIZER(dst))));
	return dst;
}

bool fnat_route_is_local(const struct dst_entry *dst)
{
	return container_of_const(dst, struct rtable, dst)->rt_flags & RTCF_LOCAL;
}

/* Any context. */
void fnat_route_clear(struct fnat_route *route)
{
	dst_release(unrcu_pointer(xchg(&route->dst, NULL)));
}
