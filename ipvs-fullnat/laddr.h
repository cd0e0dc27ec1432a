/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Local addresses (LIPs) and the pools that services draw them from.
 *
 * A LIP is one object in its namespace, however many pools list it: its port
 * range, its ports in use and its counters belong to the address.
 */
#ifndef FNAT_LADDR_H
#define FNAT_LADDR_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/netfilter.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>

#include "clock.h"

struct fnat_net;

struct fnat_laddr {
	struct hlist_node hnode;	/* RCU; fnat_net.lock */
	refcount_t refcnt;
	u8 af;
	bool whole;			/* every port is ours: see fnat_laddr_owns() */
	union nf_inet_addr addr;
	struct fnat_secret __rcu *secret;	/* of the namespace; a reference; fnat_net.lock */
	u16 port_min;			/* fnat_net.lock; read once by the data path */
	u16 port_max;
	unsigned int range_gen;		/* counts changes of the range */
	unsigned int pools;		/* that list it; fnat_net.lock */
	unsigned int pool_mark;		/* of the pool at hand; fnat_net.lock */
	spinlock_t lock;		/* changes of the next two; BH off */
	bool dead;			/* forgotten: it gets no port maps any more */
	struct list_head portmaps;	/* RCU */
	atomic64_t local_seen;		/* see fnat_laddr_is_local() */
	atomic_t conns;			/* ports held now */
	atomic64_t conflicts;		/* ports found taken while searching */
	atomic64_t takeovers;
	atomic64_t exhausted;		/* times that no port was left for an RS */
	struct rcu_head rcu;
};

struct fnat_pool {
	struct rcu_head rcu;
	unsigned int count;
	struct fnat_laddr *laddr[];	/* the pool holds a reference on each */
};

/* What a request of the control plane names. */
struct fnat_laddr_spec {
	u8 af;
	union nf_inet_addr addr;
	unsigned int count;		/* consecutive addresses, 1 or more */
	u16 port_min;
	u16 port_max;
};

struct netlink_ext_ack;

void fnat_laddr_put(struct fnat_laddr *laddr);
u32 fnat_laddr_id(u8 af, const union nf_inet_addr *addr);
struct fnat_laddr *fnat_laddr_find(const struct fnat_net *fn, u8 af,
				   const union nf_inet_addr *addr);
struct fnat_laddr *fnat_laddr_find_id(const struct fnat_net *fn, u8 af, u32 id);
bool fnat_laddr_owns(const struct fnat_laddr *laddr, __be16 port);
bool fnat_laddr_is_local(const struct fnat_net *fn, struct fnat_laddr *laddr);

int fnat_pool_add(struct fnat_net *fn, struct fnat_pool __rcu **poolp,
		  const struct fnat_laddr_spec *spec, struct netlink_ext_ack *extack);
int fnat_pool_del(struct fnat_net *fn, struct fnat_pool __rcu **poolp,
		  const struct fnat_laddr_spec *spec, struct netlink_ext_ack *extack);
struct fnat_pool *fnat_pool_detach(struct fnat_net *fn, struct fnat_pool __rcu **poolp);
void fnat_pool_free(struct fnat_pool *pool);

void fnat_laddr_set_secret(struct fnat_net *fn, struct fnat_secret *secret);
void fnat_laddr_gc_soon(struct fnat_net *fn);
void fnat_laddr_net_init(struct fnat_net *fn);
void fnat_laddr_net_exit(struct fnat_net *fn);

#endif
