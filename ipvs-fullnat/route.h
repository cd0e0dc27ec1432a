/* SPDX-License-Identifier: GPL-2.0 */
/* Routes for rewritten packets. */
#ifndef FNAT_ROUTE_H
#define FNAT_ROUTE_H

#include <linux/netfilter.h>
#include <linux/rcupdate.h>
#include <linux/types.h>
#include <net/dst.h>

struct net;

/* A route in a cache. Written once, so a reader never sees half of two. */
struct fnat_route_entry {
	struct dst_entry *dst;		/* holds a reference */
	u32 cookie;			/* for dst_check(); IPv6 */
	struct rcu_head rcu;
};

/* A cached route: read under RCU, replaced by whoever finds it stale. */
struct fnat_route {
	struct fnat_route_entry __rcu *entry;
};

struct dst_entry *fnat_route_lookup(struct net *net, u8 af, const union nf_inet_addr *saddr,
				    const union nf_inet_addr *daddr, u8 protocol, u32 mark);
struct dst_entry *fnat_route_renew(struct net *net, struct fnat_route *route, u8 af,
				   const union nf_inet_addr *saddr,
				   const union nf_inet_addr *daddr, u8 protocol);
u32 fnat_route_cookie(const struct dst_entry *dst, u8 af);
bool fnat_route_is_plain(struct dst_entry *dst, u8 af);
bool fnat_route_is_local(const struct dst_entry *dst, u8 af);
bool fnat_route_addr_is_local(struct net *net, u8 af, const union nf_inet_addr *addr);
void fnat_route_clear(struct fnat_route *route);
void fnat_route_free(struct fnat_route *route);

/* Is it still what a lookup would find? Routes, devices and path MTUs change. */
static inline bool fnat_route_is_fresh(struct dst_entry *dst, u32 cookie)
{
	return !dst->obsolete || dst->ops->check(dst, cookie);
}

/* The cached route if it is fresh, without a reference; else NULL. */
static inline struct dst_entry *fnat_route_peek(const struct fnat_route *route)
{
	const struct fnat_route_entry *e = rcu_dereference(route->entry);

	return e && fnat_route_is_fresh(e->dst, e->cookie) ? e->dst : NULL;
}

/* The same, made anew if it is stale; NULL: there is no route, or no memory. */
static inline struct dst_entry *
fnat_route_get(struct net *net, struct fnat_route *route, u8 af, const union nf_inet_addr *saddr,
	       const union nf_inet_addr *daddr, u8 protocol)
{
	return fnat_route_peek(route) ? :
	       fnat_route_renew(net, route, af, saddr, daddr, protocol);
}

#endif
