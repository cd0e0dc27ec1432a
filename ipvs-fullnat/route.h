/* SPDX-License-Identifier: GPL-2.0 */
/* Routes for rewritten packets. */
#ifndef FNAT_ROUTE_H
#define FNAT_ROUTE_H

#include <linux/netfilter.h>
#include <linux/rcupdate.h>
#include <linux/types.h>

struct dst_entry;
struct fnat_route_entry;
struct net;

/* A cached route: read under RCU, replaced by whoever finds it stale. */
struct fnat_route {
	struct fnat_route_entry __rcu *entry;
};

struct dst_entry *fnat_route_lookup(struct net *net, u8 af, const union nf_inet_addr *saddr,
				    const union nf_inet_addr *daddr, u8 protocol, u32 mark);
struct dst_entry *fnat_route_get(struct net *net, struct fnat_route *route, u8 af,
				 const union nf_inet_addr *saddr,
				 const union nf_inet_addr *daddr, u8 protocol);
struct dst_entry *fnat_route_peek(const struct fnat_route *route);
bool fnat_route_is_fresh(struct dst_entry *dst, u32 cookie);
u32 fnat_route_cookie(const struct dst_entry *dst, u8 af);
bool fnat_route_is_plain(struct dst_entry *dst, u8 af);
bool fnat_route_is_local(const struct dst_entry *dst, u8 af);
bool fnat_route_addr_is_local(struct net *net, u8 af, const union nf_inet_addr *addr);
void fnat_route_clear(struct fnat_route *route);
void fnat_route_free(struct fnat_route *route);

#endif
