// SPDX-License-Identifier: GPL-2.0
/*
 * Local addresses and pools. Changes come from the control plane, in process
 * context under fnat_net.lock; the data path reads under RCU.
 */
#include <linux/jhash.h>
#include <linux/mm.h>
#include <linux/netlink.h>
#include <linux/slab.h>
#include <net/route.h>
#include <uapi/linux/ip_vs_fullnat.h>

#include "compat.h"
#include "hooks.h"
#include "laddr.h"
#include "net.h"
#include "port.h"
#include "route.h"
#include "sync.h"

#define FNAT_GC_INTERVAL	(60 * HZ)

/* How long the answer of fnat_laddr_is_local() may be old, at most. */
#define FNAT_LOCAL_LIFE		(HZ / 10 ? : 1)

/*
 * 32 bits for an address, alike on all nodes: of IPv4 itself, of IPv6 a hash (see
 * fnat_laddr_find_id()).
 */
u32 fnat_laddr_id(u8 af, const union nf_inet_addr *addr)
{
	u32 word[4];
	unsigned int i;

	if (af == AF_INET)
		return ntohl(addr->ip);
	for (i = 0; i < ARRAY_SIZE(word); i++)
		word[i] = ntohl(addr->ip6[i]);
	return jhash2(word, ARRAY_SIZE(word), AF_INET6);
}

static u32 id_hash(u8 af, u32 id)
{
	return jhash_1word(id, af) & (FNAT_LADDR_HASH_SIZE - 1);
}

static u32 laddr_hash(u8 af, const union nf_inet_addr *addr)
{
	return id_hash(af, fnat_laddr_id(af, addr));
}

static bool laddr_is(const struct fnat_laddr *laddr, u8 af, const union nf_inet_addr *addr)
{
	return laddr->af == af && nf_inet_addr_cmp(&laddr->addr, addr);
}

/* Under RCU or fnat_net.lock. The unused bytes of an IPv4 address are 0. */
struct fnat_laddr *fnat_laddr_find(const struct fnat_net *fn, u8 af,
				   const union nf_inet_addr *addr)
{
	struct fnat_laddr *laddr;

	hlist_for_each_entry_rcu(laddr, &fn->laddr_hash[laddr_hash(af, addr)], hnode,
				 lockdep_is_held(&fn->lock))
		if (laddr_is(laddr, af, addr))
			return laddr;
	return NULL;
}

/*
 * The address that another node calls by its id. ERR_PTR: -ENOENT: not declared here;
 * -EEXIST: two IPv6 addresses have this id. Under RCU.
 */
struct fnat_laddr *fnat_laddr_find_id(const struct fnat_net *fn, u8 af, u32 id)
{
	struct fnat_laddr *laddr, *found = NULL;

	hlist_for_each_entry_rcu(laddr, &fn->laddr_hash[id_hash(af, id)], hnode) {
		if (laddr->af != af || fnat_laddr_id(af, &laddr->addr) != id)
			continue;
		if (found)
			return ERR_PTR(-EEXIST);
		found = laddr;
	}
	return found ? : ERR_PTR(-ENOENT);
}

/*
 * Is the port ours, so that a packet to it that belongs to no flow must not
 * reach the LB itself? With the default range all ports are; an address with
 * a range of its own is shared with the LB, which has the other ports.
 */
bool fnat_laddr_owns(const struct fnat_laddr *laddr, __be16 port)
{
	u16 p = ntohs(port);

	if (!READ_ONCE(laddr->pools))
		return false;
	return READ_ONCE(laddr->whole) ||
	       (p >= READ_ONCE(laddr->port_min) && p <= READ_ONCE(laddr->port_max));
}

/*
 * Is it an address of this host now? Under RCU. What the routes said is
 * remembered for a moment, so that a flood cannot make us ask for each address
 * of a large pool and each packet; a change of the IPv4 routes tells at once.
 */
bool fnat_laddr_is_local(const struct fnat_net *fn, struct fnat_laddr *laddr)
{
	u64 now = jiffies / FNAT_LOCAL_LIFE + 1;
	u64 seen = atomic64_read(&laddr->local_seen);
	bool local;

	if (laddr->af == AF_INET)
		now ^= (u64)(u32)rt_genid_ipv4(fn->net) << 32;
	now <<= 1;
	if (likely((seen & ~1ULL) == now))
		return seen & 1;
	local = fnat_route_addr_is_local(fn->net, laddr->af, &laddr->addr);
	atomic64_set(&laddr->local_seen, now | local);
	return local;
}

void fnat_laddr_put(struct fnat_laddr *laddr)
{
	if (!refcount_dec_and_test(&laddr->refcnt))
		return;
	fnat_secret_put(rcu_dereference_protected(laddr->secret,
						  !refcount_read(&laddr->refcnt)));
	kfree_rcu(laddr, rcu);
}

/* Under fnat_net.lock. */
static void laddr_set_secret(struct fnat_net *fn, struct fnat_laddr *laddr,
			     struct fnat_secret *secret)
{
	refcount_inc(&secret->refcnt);
	fnat_secret_put(rcu_replace_pointer(laddr->secret, secret, lockdep_is_held(&fn->lock)));
}

/*
 * From now on the namespace's clocks are keyed by this, whose reference becomes its own.
 * What was remembered of the old clocks is forgotten. Process context, under fnat_net.lock.
 */
void fnat_laddr_set_secret(struct fnat_net *fn, struct fnat_secret *secret)
{
	struct fnat_laddr *laddr;
	unsigned int i;

	secret->gen = rcu_dereference_protected(fn->secret, lockdep_is_held(&fn->lock))->gen + 1;
	for (i = 0; i < FNAT_LADDR_HASH_SIZE; i++) {
		hlist_for_each_entry(laddr, &fn->laddr_hash[i], hnode) {
			laddr_set_secret(fn, laddr, secret);
			fnat_portmap_forget_marks(laddr);
		}
		cond_resched();
	}
	fnat_secret_put(rcu_replace_pointer(fn->secret, secret, lockdep_is_held(&fn->lock)));
}

static struct fnat_laddr *laddr_create(struct fnat_net *fn, u8 af,
				       const union nf_inet_addr *addr)
{
	struct fnat_laddr *laddr;

	if (fnat_hooks_need(fn))
		return NULL;
	laddr = kzalloc(sizeof(*laddr), GFP_KERNEL_ACCOUNT);
	if (!laddr)
		return NULL;
	refcount_set(&laddr->refcnt, 1);	/* the table's */
	laddr->af = af;
	laddr->addr = *addr;
	laddr_set_secret(fn, laddr, rcu_dereference_protected(fn->secret,
							      lockdep_is_held(&fn->lock)));
	fnat_filter_add_laddr(&fn->filter, af, addr);
	spin_lock_init(&laddr->lock);
	INIT_LIST_HEAD(&laddr->portmaps);
	hlist_add_head_rcu(&laddr->hnode, &fn->laddr_hash[laddr_hash(af, addr)]);
	return laddr;
}

static bool is_default_range(u16 port_min, u16 port_max)
{
	return port_min == FULLNAT_PORT_MIN_DEFAULT && port_max == FULLNAT_PORT_MAX_DEFAULT;
}

static void laddr_set_range(struct fnat_laddr *laddr, u16 port_min, u16 port_max)
{
	WRITE_ONCE(laddr->port_min, port_min);
	WRITE_ONCE(laddr->port_max, port_max);
	WRITE_ONCE(laddr->whole, is_default_range(port_min, port_max));
	smp_store_release(&laddr->range_gen, laddr->range_gen + 1);	/* portmap_range() */
}

/*
 * Only when no pool and no connection needs it any more: is it forgotten? Who has just
 * found it in the table (fnat_laddr_find_id()) holds no reference, and may be about to
 * claim a port of it.
 */
static bool laddr_forget_unused(struct fnat_laddr *laddr)
{
	bool unused;

	if (laddr->pools)
		return false;
	spin_lock_bh(&laddr->lock);
	unused = list_empty(&laddr->portmaps);
	laddr->dead = unused;
	spin_unlock_bh(&laddr->lock);
	if (!unused)
		return false;
	hlist_del_rcu(&laddr->hnode);
	fnat_laddr_put(laddr);
	return true;
}

static struct fnat_pool *pool_get(struct fnat_net *fn, struct fnat_pool __rcu **poolp)
{
	return rcu_dereference_protected(*poolp, lockdep_is_held(&fn->lock));
}

static struct fnat_pool *pool_alloc(unsigned int count)
{
	struct fnat_pool *pool = kvzalloc(struct_size(pool, laddr, count), GFP_KERNEL_ACCOUNT);

	if (pool)
		pool->count = count;
	return pool;
}

/* Marks the addresses of a pool, to tell quickly which are in it. */
static void pool_mark(struct fnat_net *fn, struct fnat_pool *pool)
{
	unsigned int i;

	fn->pool_mark++;
	for (i = 0; pool && i < pool->count; i++)
		pool->laddr[i]->pool_mark = fn->pool_mark;
}

static bool in_marked_pool(const struct fnat_net *fn, const struct fnat_laddr *laddr)
{
	return laddr->pool_mark == fn->pool_mark;
}

/* The n-th address after the first of a range. */
static union nf_inet_addr addr_plus(u8 af, const union nf_inet_addr *addr, u32 n)
{
	union nf_inet_addr a = *addr;
	unsigned int word = af == AF_INET ? 0 : 3;
	u64 sum = (u64)ntohl(a.ip6[word]) + n;

	a.ip6[word] = htonl((u32)sum);
	/* at most FULLNAT_LADDR_RANGE_MAX: one carry, which netlink.c has ruled out for IPv4 */
	while (sum >> 32 && word--) {
		sum = (u64)ntohl(a.ip6[word]) + 1;
		a.ip6[word] = htonl((u32)sum);
	}
	return a;
}

/* An address that is in use somewhere keeps its ports. */
static int spec_check(const struct fnat_net *fn, const struct fnat_laddr_spec *spec,
		      struct netlink_ext_ack *extack)
{
	unsigned int i;

	for (i = 0; i < spec->count; i++) {
		union nf_inet_addr a = addr_plus(spec->af, &spec->addr, i);
		const struct fnat_laddr *laddr = fnat_laddr_find(fn, spec->af, &a);

		cond_resched();	/* the hash chains of many large ranges are long */
		if (laddr && laddr->pools &&
		    (laddr->port_min != spec->port_min || laddr->port_max != spec->port_max)) {
			NL_SET_ERR_MSG(extack,
				       "the local address is already declared with other ports: remove it from every pool first");
			return -EEXIST;
		}
	}
	return 0;
}

static void pool_put_laddrs(struct fnat_pool *pool, unsigned int from)
{
	unsigned int i;

	for (i = from; i < pool->count; i++) {
		struct fnat_laddr *laddr = pool->laddr[i];

		WRITE_ONCE(laddr->pools, laddr->pools - 1);
		laddr_forget_unused(laddr);
		fnat_laddr_put(laddr);
	}
}

static int pool_append(struct fnat_net *fn, struct fnat_pool *pool, unsigned int *count,
		       u8 af, const union nf_inet_addr *addr)
{
	struct fnat_laddr *laddr = fnat_laddr_find(fn, af, addr);

	if (!laddr)
		laddr = laddr_create(fn, af, addr);
	if (!laddr)
		return -ENOMEM;
	refcount_inc(&laddr->refcnt);
	WRITE_ONCE(laddr->pools, laddr->pools + 1);
	pool->laddr[(*count)++] = laddr;
	return 0;
}

/**
 * fnat_pool_add - add addresses to a pool
 * @fn: the namespace, its lock held
 * @poolp: where the pool hangs; NULL there is an empty pool
 * @spec: what to add; addresses that are in the pool already stay in it
 * @extack: gets the sentence for the user
 *
 * All or nothing. Return: 0, -EEXIST, -ENOMEM.
 */
int fnat_pool_add(struct fnat_net *fn, struct fnat_pool __rcu **poolp,
		  const struct fnat_laddr_spec *spec, struct netlink_ext_ack *extack)
{
	struct fnat_pool *old = pool_get(fn, poolp), *new;
	unsigned int i, kept = old ? old->count : 0, count = kept;
	int err = spec_check(fn, spec, extack);

	if (err)
		return err;
	new = pool_alloc(kept + spec->count);
	if (!new)
		return -ENOMEM;
	if (old)
		memcpy(new->laddr, old->laddr, kept * sizeof(*new->laddr));
	pool_mark(fn, old);
	for (i = 0; i < spec->count && !err; i++) {
		union nf_inet_addr a = addr_plus(spec->af, &spec->addr, i);
		const struct fnat_laddr *laddr = fnat_laddr_find(fn, spec->af, &a);

		if (!laddr || !in_marked_pool(fn, laddr))
			err = pool_append(fn, new, &count, spec->af, &a);
		cond_resched();
	}
	new->count = count;
	if (err || count == kept) {
		pool_put_laddrs(new, kept);
		kvfree(new);
		return err;
	}
	for (i = kept; i < count; i++)
		if (new->laddr[i]->port_min != spec->port_min ||
		    new->laddr[i]->port_max != spec->port_max)
			laddr_set_range(new->laddr[i], spec->port_min, spec->port_max);
	rcu_assign_pointer(*poolp, new);
	if (old)
		kvfree_rcu(old, rcu);
	return 0;
}

static bool spec_has(const struct fnat_laddr_spec *spec, const struct fnat_laddr *laddr)
{
	unsigned int word = laddr->af == AF_INET ? 0 : 3;

	if (laddr->af != spec->af)
		return false;
	if (word && memcmp(laddr->addr.ip6, addr_plus(spec->af, &spec->addr,
						      ntohl(laddr->addr.ip6[3]) -
						      ntohl(spec->addr.ip6[3])).ip6, 12))
		return false;
	return ntohl(laddr->addr.ip6[word]) - ntohl(spec->addr.ip6[word]) < spec->count;
}

/**
 * fnat_pool_del - remove addresses from a pool
 * @fn: the namespace, its lock held
 * @poolp: where the pool hangs
 * @spec: what to remove; ports are ignored
 * @extack: gets the sentence for the user
 *
 * Connections that use an address go on (it drains). All or nothing.
 * Return: 0, -ENOENT if one of the addresses is not in the pool, -ENOMEM.
 */
int fnat_pool_del(struct fnat_net *fn, struct fnat_pool __rcu **poolp,
		  const struct fnat_laddr_spec *spec, struct netlink_ext_ack *extack)
{
	struct fnat_pool *old = pool_get(fn, poolp), *new, *gone;
	unsigned int i, found = 0, kept = 0;

	for (i = 0; old && i < old->count; i++)
		found += spec_has(spec, old->laddr[i]);
	if (found < spec->count) {
		NL_SET_ERR_MSG(extack, "no such local address in this pool");
		return -ENOENT;
	}
	new = pool_alloc(old->count - found);
	gone = pool_alloc(found);
	if (!new || !gone) {
		kvfree(new);
		kvfree(gone);
		return -ENOMEM;
	}
	for (i = 0, found = 0; i < old->count; i++) {
		if (spec_has(spec, old->laddr[i]))
			gone->laddr[found++] = old->laddr[i];
		else
			new->laddr[kept++] = old->laddr[i];
	}
	rcu_assign_pointer(*poolp, new);
	synchronize_rcu();	/* nobody allocates from the old pool any more */
	pool_put_laddrs(gone, 0);
	kvfree(gone);
	kvfree(old);
	return 0;
}

/*
 * Takes the pool away; connections go on. The caller holds fnat_net.lock and
 * passes what it gets to fnat_pool_free() after a grace period.
 */
struct fnat_pool *fnat_pool_detach(struct fnat_net *fn, struct fnat_pool __rcu **poolp)
{
	return rcu_replace_pointer(*poolp, NULL, lockdep_is_held(&fn->lock));
}

/* Nobody allocates from the pool any more; NULL is fine. Under fnat_net.lock. */
void fnat_pool_free(struct fnat_pool *pool)
{
	if (!pool)
		return;
	pool_put_laddrs(pool, 0);
	kvfree(pool);
}

static void laddr_gc(struct work_struct *work)
{
	struct fnat_net *fn = container_of(to_delayed_work(work), struct fnat_net, gc_work);
	struct fnat_laddr *laddr;
	struct hlist_node *next;
	unsigned int i;

	mutex_lock(&fn->lock);
	for (i = 0; i < FNAT_LADDR_HASH_SIZE; i++) {
		hlist_for_each_entry_safe(laddr, next, &fn->laddr_hash[i], hnode) {
			fnat_portmap_gc(laddr, false);
			if (laddr_forget_unused(laddr))
				fnat_net_changed(fn);
		}
		cond_resched();
	}
	mutex_unlock(&fn->lock);
	fnat_sync_kick(fn);
	schedule_delayed_work(&fn->gc_work, FNAT_GC_INTERVAL);
}

/*
 * There are too many port maps: look for idle ones within a second, and then once a second
 * at most. Under RCU, in a namespace that does not go away: its exit waits for a grace period.
 */
void fnat_laddr_gc_soon(struct fnat_net *fn)
{
	if (!READ_ONCE(fn->exiting) &&
	    time_after(READ_ONCE(fn->gc_work.timer.expires), jiffies + HZ))
		mod_delayed_work(fnat_percpu_wq, &fn->gc_work, HZ);
}

void fnat_laddr_net_init(struct fnat_net *fn)
{
	INIT_DELAYED_WORK(&fn->gc_work, laddr_gc);
	schedule_delayed_work(&fn->gc_work, FNAT_GC_INTERVAL);
}

/* After the pools: drops the table's references; flows keep theirs. */
void fnat_laddr_net_exit(struct fnat_net *fn)
{
	struct fnat_laddr *laddr;
	struct hlist_node *next;
	unsigned int i;

	cancel_delayed_work_sync(&fn->gc_work);
	for (i = 0; i < FNAT_LADDR_HASH_SIZE; i++) {
		hlist_for_each_entry_safe(laddr, next, &fn->laddr_hash[i], hnode) {
			fnat_portmap_gc(laddr, true);
			laddr_forget_unused(laddr);
		}
	}
}
