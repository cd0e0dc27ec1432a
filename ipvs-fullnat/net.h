/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the module keeps for each network namespace. Created and destroyed with
 * the namespace (or the module), in process context; the data path reads it
 * under RCU.
 *
 * The namespace's exit runs before ip_vs drops its connections, and each of
 * these still holds a flow. Whatever a flow refers to (struct fnat_laddr,
 * struct fnat_portmap) is therefore counted by references of its own, and the
 * end of a flow touches nothing of this struct.
 */
#ifndef FNAT_NET_H
#define FNAT_NET_H

#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "clock.h"
#include "filter.h"
#include "stats.h"
#include "sync.h"
#include "sysctl.h"

#define FNAT_SVC_HASH_SIZE	256
#define FNAT_LADDR_HASH_SIZE	256

struct fnat_pool;
struct nf_hook_ops;

struct fnat_net {
	struct net *net;
	struct fnat_stats __percpu *stats;
	struct fnat_sysctl sysctl;
	struct fnat_secret __rcu *secret;	/* lock */
	bool exiting;		/* lock; set once; ip_vs's connections come to their end after it */
	struct nf_hook_ops *hook_ops;	/* fnat_net.lock; NULL: none are registered */
	bool has_marks;	/* a service of a fwmark was declared, once */
	struct fnat_filter filter;

	struct mutex lock;	/* serialises all changes of the tables below */
	struct hlist_head svc_hash[FNAT_SVC_HASH_SIZE];	/* RCU */
	struct hlist_head laddr_hash[FNAT_LADDR_HASH_SIZE];	/* RCU */
	struct fnat_pool __rcu *default_pool;
	struct list_head prefixes;	/* default entries, the longest first; RCU */
	unsigned int prefix_count;
	unsigned int svc_count;
	unsigned int gen;	/* of the tables, for consistent dumps; never 0 */
	unsigned int pool_mark;	/* last value given to fnat_laddr.pool_mark */

	atomic_t doors_closing;	/* see scheduler.c */
	struct delayed_work gc_work;	/* frees port maps that nobody uses */
	struct fnat_sync sync;
};

extern unsigned int fnat_net_id;

static inline struct fnat_net *fnat_net(const struct net *net)
{
	return net_generic(net, fnat_net_id);
}

/* A change has happened, or may have: a dump that is under way is told. Under the lock. */
static inline void fnat_net_changed(struct fnat_net *fn)
{
	fn->gen = fn->gen + 1 ? : 1;
}

#endif
