// SPDX-License-Identifier: GPL-2.0
/*
 * Routes for rewritten packets: from a VIP to a client, from a LIP to an RS.
 * Softirq or process context, under rcu_read_lock(), which keeps what is returned alive.
 */
#include <linux/slab.h>
#include <net/dst.h>
#include <net/ip6_fib.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/route.h>

#include "ip.h"
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

static struct dst_entry *route_lookup_v6(struct net *net, const union nf_inet_addr *saddr,
					 const union nf_inet_addr *daddr, u8 protocol, u32 mark)
{
	struct flowi6 fl6 = {
		.saddr = saddr->in6,
		.daddr = daddr->in6,
		.flowi6_proto = protocol,
		.flowi6_mark = mark,
		.flowi6_flags = FLOWI_FLAG_ANYSRC,
	};
	struct dst_entry *dst = ip6_route_output(net, NULL, &fl6);

	if (dst->error) {
		dst_release(dst);
		return NULL;
	}
	/* IPsec; ip_route_output_key() does the same of IPv4 */
	dst = xfrm_lookup(net, dst, flowi6_to_flowi(&fl6), NULL, 0);
	return IS_ERR(dst) ? NULL : dst;
}

/* With a reference that the caller must release; NULL: no route. */
struct dst_entry *fnat_route_lookup(struct net *net, u8 af, const union nf_inet_addr *saddr,
				    const union nf_inet_addr *daddr, u8 protocol, u32 mark)
{
	if (fnat_is_v6(af))
		return route_lookup_v6(net, saddr, daddr, protocol, mark);
	return route_lookup_v4(net, saddr, daddr, protocol, mark);
}

/* For fnat_route_is_fresh(). */
u32 fnat_route_cookie(const struct dst_entry *dst, u8 af)
{
	return fnat_is_v6(af) ? rt6_get_cookie(container_of(dst, struct rt6_info, dst)) : 0;
}

static void entry_free(struct fnat_route_entry *e)
{
	dst_release(e->dst);
	kfree(e);
}

static void entry_free_rcu(struct rcu_head *rcu)
{
	entry_free(container_of(rcu, struct fnat_route_entry, rcu));
}

/* Readers may still use the old one. Any context. */
static void route_replace(struct fnat_route *route, struct fnat_route_entry *e)
{
	e = unrcu_pointer(xchg(&route->entry, RCU_INITIALIZER(e)));
	if (e)
		call_rcu(&e->rcu, entry_free_rcu);
}

/* Puts a new route there, and returns it without a reference; NULL: none, or no memory. */
struct dst_entry *fnat_route_renew(struct net *net, struct fnat_route *route, u8 af,
				   const union nf_inet_addr *saddr,
				   const union nf_inet_addr *daddr, u8 protocol)
{
	struct fnat_route_entry *e = kmalloc(sizeof(*e), GFP_ATOMIC);

	if (!e)
		return NULL;
	e->dst = fnat_route_lookup(net, af, saddr, daddr, protocol, 0);
	if (!e->dst) {
		kfree(e);
		fnat_route_clear(route);
		return NULL;
	}
	e->cookie = fnat_route_cookie(e->dst, af);
	route_replace(route, e);
	return e->dst;
}

/* To a neighbour on a device, without tunnels, IPsec and the like on the way. */
bool fnat_route_is_plain(struct dst_entry *dst, u8 af)
{
	if (dst->lwtstate || dst_xfrm(dst) || dst->error)
		return false;
	if (fnat_is_v6(af))
		return !(container_of_const(dst, struct rt6_info, dst)->rt6i_flags &
			 (RTF_LOCAL | RTF_REJECT | RTF_ANYCAST));
	return container_of_const(dst, struct rtable, dst)->rt_type == RTN_UNICAST;
}

bool fnat_route_is_local(const struct dst_entry *dst, u8 af)
{
	if (fnat_is_v6(af))
		return container_of_const(dst, struct rt6_info, dst)->rt6i_flags & RTF_LOCAL;
	return container_of_const(dst, struct rtable, dst)->rt_flags & RTCF_LOCAL;
}

/* Any context. */
void fnat_route_clear(struct fnat_route *route)
{
	route_replace(route, NULL);
}

/*
 * A grace period after fnat_route_clear() and the last use: what a reader that was
 * already inside has put there since.
 */
void fnat_route_free(struct fnat_route *route)
{
	struct fnat_route_entry *e = unrcu_pointer(xchg(&route->entry, NULL));

	if (e)
		entry_free(e);
}

/* Is the address one of this host? An AnyIP route (ip route add local ...) counts as well. */
bool fnat_route_addr_is_local(struct net *net, u8 af, const union nf_inet_addr *addr)
{
	struct rt6_info *rt;
	bool local;

	if (!fnat_is_v6(af))
		return inet_addr_type(net, addr->ip) == RTN_LOCAL;
	rt = rt6_lookup(net, &addr->in6, NULL, 0, NULL, 0);
	local = rt && rt->rt6i_flags & RTF_LOCAL;
	ip6_rt_put(rt);
	return local;
}
