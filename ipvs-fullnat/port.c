// SPDX-License-Identifier: GPL-2.0
/*
 * Port allocation: a bitmap for each (LIP, protocol, RS:rp), searched next-fit,
 * so that a port rests as long as possible before it is used again. When none
 * is free, a port is taken over from a flow that has closed, else from the
 * oldest half-open one.
 *
 * Everything here runs in softirq or process context, under rcu_read_lock(), unless
 * it says otherwise. Order of locks: fnat_portmap.lock, then a bucket of the
 * flow table; fnat_laddr.lock is outside of both.
 */
#include <linux/bitmap.h>
#include <linux/random.h>
#include <linux/rhashtable.h>
#include <linux/slab.h>
#include <net/ip.h>

#include "flow.h"
#include "laddr.h"
#include "net.h"
#include "port.h"
#include "seam.h"
#include "trace.h"

/* Flows that are looked at for one whose port others may have. */
#define FNAT_OLDEST_TRIES	64

/* A port map that no flow uses is kept this long for its cursor and marks. */
#define FNAT_PORTMAP_IDLE	(2 * FNAT_MARK_LIFE)

/* The same while there are more than half as many as there may be. */
#define FNAT_PORTMAP_IDLE_MANY	(FNAT_PORTMAP_IDLE / 16)

/*
 * A port map takes as much memory as two flows. A service of all ports has one for each
 * LIP, real server and port: so many that are idle must not follow from one flood.
 */
#define FNAT_PORTMAPS_SHARE	4	/* of flow_max */
#define FNAT_PORTMAPS_MIN	16384

/* Port maps of one LIP that are looked at with its lock held. */
#define FNAT_PORTMAP_GC_BATCH	256

/* ip_local_reserved_ports may have changed: search again after this. */
#define FNAT_NONE_FREE_RETRY	HZ

/* Local addresses that fnat_port_is_left() looks at. */
#define FNAT_PORT_PROBES	16

static const struct rhashtable_params portmap_params = {
	.head_offset = offsetof(struct fnat_portmap, rnode),
	.key_offset = offsetof(struct fnat_portmap, key),
	.key_len = offsetofend(struct fnat_portmap_key, protocol),
	.automatic_shrinking = true,
};

static struct rhashtable portmaps;
static atomic_t portmap_count;		/* with those that are about to be freed */

/* Process context. */
int fnat_port_init(void)
{
	return rhashtable_init(&portmaps, &portmap_params);
}

/* Process context, after rcu_barrier(): it is empty. */
void fnat_port_exit(void)
{
	rhashtable_destroy(&portmaps);
}

static unsigned int portmaps_max(void)
{
	return max_t(unsigned int, fnat_flow_max() / FNAT_PORTMAPS_SHARE, FNAT_PORTMAPS_MIN);
}

static void portmap_free_rcu(struct rcu_head *rcu)
{
	struct fnat_portmap *pm = container_of(rcu, struct fnat_portmap, rcu);
	unsigned int i;

	for (i = 0; i < FNAT_PORT_CHUNKS; i++)
		kfree(pm->chunk[i]);
	fnat_route_free(&pm->route);
	kfree(pm);
	atomic_dec(&portmap_count);
}

static void portmap_put(struct fnat_portmap *pm)
{
	if (!refcount_dec_and_test(&pm->refcnt))
		return;
	fnat_route_clear(&pm->route);
	fnat_laddr_put(pm->key.laddr);
	call_rcu(&pm->rcu, portmap_free_rcu);
}

/* Puts it into the table and the list of its LIP, unless there is another; or -ENOENT. */
static struct fnat_portmap *portmap_insert(struct fnat_portmap *pm)
{
	struct fnat_laddr *laddr = pm->key.laddr;
	struct fnat_portmap *old = ERR_PTR(-ENOENT);

	spin_lock_bh(&laddr->lock);
	/* as long as it is not dead the table of LIPs holds a reference */
	if (!laddr->dead)
		old = rhashtable_lookup_get_insert_fast(&portmaps, &pm->rnode, portmap_params);
	if (!old) {
		refcount_inc(&laddr->refcnt);
		list_add_tail_rcu(&pm->laddr_list, &laddr->portmaps);
		atomic_inc(&portmap_count);
	}
	spin_unlock_bh(&laddr->lock);
	return old;
}

static struct fnat_portmap *portmap_create(const struct fnat_portmap_key *key)
{
	struct fnat_portmap *pm, *old;

	if (atomic_read(&portmap_count) >= portmaps_max())
		return ERR_PTR(-ENOSPC);
	pm = kzalloc(sizeof(*pm), GFP_ATOMIC);
	if (!pm)
		return ERR_PTR(-ENOMEM);
	memcpy(&pm->key, key, sizeof(*key));
	refcount_set(&pm->refcnt, 2);	/* the list of the LIP, and the caller */
	spin_lock_init(&pm->lock);
	INIT_LIST_HEAD(&pm->closed_list);
	INIT_LIST_HEAD(&pm->half_open_list);
	pm->next = get_random_u32();
	pm->last_used = jiffies;

	old = portmap_insert(pm);
	if (!old)
		return pm;

	kfree(pm);
	if (IS_ERR(old))
		return old;
	return refcount_inc_not_zero(&old->refcnt) ? old : ERR_PTR(-EAGAIN);
}

static void portmap_make_key(struct fnat_portmap_key *key, struct fnat_laddr *laddr, u16 protocol,
			     const union nf_inet_addr *daddr, __be16 dport)
{
	memset(key, 0, sizeof(*key));
	key->laddr = laddr;
	key->daddr = *daddr;
	key->dport = dport;
	key->protocol = protocol;
}

/*
 * With a reference; -ENOMEM; -ENOSPC: there are too many; -ENOENT: the LIP is forgotten;
 * -EAGAIN: an old one is going away.
 */
static struct fnat_portmap *portmap_get(struct fnat_laddr *laddr, const struct fnat_flow *f)
{
	struct fnat_portmap_key key;
	struct fnat_portmap *pm;

	portmap_make_key(&key, laddr, f->protocol, &f->daddr, f->dport);
	pm = rhashtable_lookup(&portmaps, &key, portmap_params);
	if (pm && refcount_inc_not_zero(&pm->refcnt))
		return pm;
	return portmap_create(&key);
}

struct port_range {
	unsigned int min;
	unsigned int max;
};

static unsigned int range_size(const struct port_range *r)
{
	return r->max - r->min + 1;
}

/* Counts anew what is in use when the range of the LIP has changed. */
static struct port_range portmap_range(struct fnat_portmap *pm)
{
	const struct fnat_laddr *laddr = pm->key.laddr;
	unsigned int gen = smp_load_acquire(&laddr->range_gen);	/* laddr_set_range() */
	struct port_range r = { READ_ONCE(laddr->port_min), READ_ONCE(laddr->port_max) };
	unsigned int port;

	if (likely(pm->range_gen == gen))
		return r;
	pm->range_gen = gen;
	pm->none_free = false;
	pm->used = 0;
	for (port = r.min; port <= r.max; port++) {
		const unsigned long *chunk = pm->chunk[port / FNAT_PORT_CHUNK];

		if (chunk && test_bit(port % FNAT_PORT_CHUNK, chunk))
			pm->used++;
	}
	return r;
}

/* The first port from "from" to "to" that is not in use; 0: none; -ENOMEM. */
static int portmap_scan(struct fnat_portmap *pm, const struct net *net,
			unsigned int from, unsigned int to)
{
	unsigned int port = from;

	while (port <= to) {
		unsigned int idx = port / FNAT_PORT_CHUNK;
		unsigned int base = idx * FNAT_PORT_CHUNK;
		unsigned int end = min(to - base + 1, (unsigned int)FNAT_PORT_CHUNK);
		unsigned int bit;

		if (!pm->chunk[idx])
			pm->chunk[idx] = bitmap_zalloc(FNAT_PORT_CHUNK, GFP_ATOMIC);
		if (!pm->chunk[idx])
			return -ENOMEM;
		bit = find_next_zero_bit(pm->chunk[idx], end, port - base);
		if (bit > port - base)
			atomic64_add(bit - (port - base), &pm->key.laddr->conflicts);
		port = base + bit;
		if (bit < end) {
			if (!inet_is_local_reserved_port((struct net *)net, port))
				return port;
			port++;
		}
	}
	return 0;
}

/* Is it known that a search would find nothing? Without the lock it is advice. */
static bool none_is_free(const struct fnat_portmap *pm, const struct port_range *r)
{
	return READ_ONCE(pm->used) >= range_size(r) ||
	       (READ_ONCE(pm->none_free) &&
		time_before(jiffies, READ_ONCE(pm->none_since) + FNAT_NONE_FREE_RETRY));
}

/* A free port, marked as used; 0: none; -ENOMEM. */
static int portmap_take_free(struct fnat_portmap *pm, const struct net *net)
{
	struct port_range r = portmap_range(pm);
	unsigned int start;
	int port;

	if (none_is_free(pm, &r))
		return 0;

	start = pm->next;
	if (start < r.min || start > r.max)
		start = r.min + reciprocal_scale(get_random_u32(), range_size(&r));
	port = portmap_scan(pm, net, start, r.max);
	if (!port && start > r.min)
		port = portmap_scan(pm, net, r.min, start - 1);
	if (!port) {
		pm->none_free = true;
		pm->none_since = jiffies;
	}
	if (port <= 0)
		return port;
	__set_bit(port % FNAT_PORT_CHUNK, pm->chunk[port / FNAT_PORT_CHUNK]);
	pm->used++;
	pm->next = port + 1;
	return port;
}

static void flow_leave_list(struct fnat_portmap *pm, struct fnat_flow *f)
{
	if (f->port_state == FNAT_PORT_HALF_OPEN)
		pm->half_open--;
	list_del_init(&f->port_list);
}

static void flow_join_list(struct fnat_portmap *pm, struct fnat_flow *f,
			   enum fnat_port_state state)
{
	/* what flow_settle() has set comes first: fnat_flow_has_port() */
	smp_store_release(&f->port_state, state);
	if (state == FNAT_PORT_HALF_OPEN) {
		pm->half_open++;
		list_add_tail(&f->port_list, &pm->half_open_list);
	} else if (state == FNAT_PORT_CLOSED) {
		list_add_tail(&f->port_list, &pm->closed_list);
	}
}

/*
 * The one whose port another flow may have first. A range may have been made smaller, and
 * other nodes have ranges of their own: such ports go with the flows that have them, which
 * give way to the others of the list.
 */
static struct fnat_flow *oldest_in_range(struct fnat_portmap *pm, struct list_head *list)
{
	struct port_range r = portmap_range(pm);
	unsigned int left = FNAT_OLDEST_TRIES;
	struct fnat_flow *f, *next;

	list_for_each_entry_safe(f, next, list, port_list) {
		if (likely(ntohs(f->lport) >= r.min && ntohs(f->lport) <= r.max))
			return f;
		list_move_tail(&f->port_list, list);
		if (!--left)
			break;
	}
	return NULL;
}

/* The victim loses its reply tuple; what is left of it ends with its ip_vs_conn. */
static unsigned int portmap_take_from(struct fnat_portmap *pm, struct fnat_flow *victim)
{
	fnat_clock_flow_ends(victim, pm);
	flow_leave_list(pm, victim);
	WRITE_ONCE(victim->port_state, FNAT_PORT_NONE);
	trace_fullnat_conn_end(victim);
	fnat_flow_unhash(victim, FNAT_DIR_REPLY);
	/* a flood must not fill ip_vs with connections that can do nothing any more */
	fnat_seam_expire_now(victim->cp);
	atomic_dec(&pm->key.laddr->conns);
	atomic64_inc(&pm->key.laddr->takeovers);
	return ntohs(victim->lport);
}

static unsigned long half_open_grace(const struct fnat_portmap *pm)
{
	return pm->key.protocol == IPPROTO_UDP ? FNAT_HALF_OPEN_GRACE_UDP : FNAT_HALF_OPEN_GRACE;
}

/* The victim is for the caller of fnat_port_alloc(), who tells the RS. */
static unsigned int portmap_take_half_open(struct fnat_net *fn, struct fnat_portmap *pm,
					   struct fnat_flow **recycled)
{
	struct fnat_flow *victim;

	victim = oldest_in_range(pm, &pm->half_open_list);
	if (!victim || (u32)jiffies - victim->created < half_open_grace(pm))
		return 0;
	fnat_stat_inc(fn, takeover_half_open);
	*recycled = victim;
	return portmap_take_from(pm, victim);
}

static unsigned int portmap_take_closed(struct fnat_net *fn, struct fnat_portmap *pm)
{
	struct fnat_flow *victim;

	victim = oldest_in_range(pm, &pm->closed_list);
	if (!victim)
		return 0;
	fnat_stat_inc(fn, takeover_closed);
	return portmap_take_from(pm, victim);
}

static bool half_open_share_used(const struct fnat_net *fn, struct fnat_portmap *pm)
{
	struct port_range r = portmap_range(pm);
	unsigned int percent = READ_ONCE(fn->sysctl.half_open_percent);

	return pm->half_open > range_size(&r) * percent / 100;
}

/* Want of memory takes no port away from anybody. A port; 0: none; -ENOMEM. */
static int portmap_take(struct fnat_net *fn, struct fnat_portmap *pm,
			struct fnat_flow **recycled)
{
	int port = 0;

	if (half_open_share_used(fn, pm))
		port = portmap_take_half_open(fn, pm, recycled);
	if (!port)
		port = portmap_take_free(pm, fn->net);
	if (!port)
		port = portmap_take_closed(fn, pm);
	if (!port)
		port = portmap_take_half_open(fn, pm, recycled);
	return port;
}

/*
 * The port is marked as used, for this flow. Under the lock of the port map. Packets of
 * the client may find the flow already.
 */
static void flow_settle(struct fnat_portmap *pm, struct fnat_flow *f, u16 port,
			enum fnat_port_state state)
{
	f->laddr = pm->key.laddr->addr;
	f->lport = htons(port);
	f->portmap = pm;
	if (f->sync_state == FNAT_SYNC_NONE)
		f->created = (u32)jiffies;
	pm->last_used = jiffies;
	INIT_LIST_HEAD(&f->port_list);
	fnat_flow_set_csum_diff(f);
	trace_fullnat_conn_begin(f);
	flow_join_list(pm, f, state);
	fnat_flow_hash_reply(f);
}

/* 0; -EADDRINUSE: no port is left; -ENOMEM; -EAGAIN: the port map is going away. */
static int port_alloc_in(struct fnat_net *fn, struct fnat_portmap *pm, struct fnat_flow *f,
			 struct fnat_flow **recycled)
{
	int port, err;

	spin_lock_bh(&pm->lock);
	port = likely(!pm->dead) ? portmap_take(fn, pm, recycled) : -EAGAIN;
	err = port ? port : -EADDRINUSE;
	if (port > 0) {
		flow_settle(pm, f, port, FNAT_PORT_HALF_OPEN);
		err = 0;
	}
	spin_unlock_bh(&pm->lock);
	return err;
}

static bool port_is_taken(const struct fnat_portmap *pm, u16 port)
{
	const unsigned long *chunk = pm->chunk[port / FNAT_PORT_CHUNK];

	return chunk && test_bit(port % FNAT_PORT_CHUNK, chunk);
}

/*
 * Whoever holds a port that is taken. NULL: it cannot be told, since the real server is also
 * a client of this address, with the same two ports: its requests look like replies. Under
 * the lock of the port map, and RCU.
 */
static struct fnat_flow *port_holder(const struct fnat_portmap *pm, const struct fnat_flow *f,
				     u16 port)
{
	struct fnat_tuple t = {
		.saddr = f->daddr,
		.daddr = pm->key.laddr->addr,
		.sport = f->dport,
		.dport = htons(port),
		.af = f->af,
		.protocol = f->protocol,
	};
	struct fnat_flow *holder;
	enum fnat_dir dir;

	holder = fnat_flow_find(fnat_seam_net(f->cp), &t, &dir);
	return holder && dir == FNAT_DIR_REPLY ? holder : NULL;
}

/*
 * Another node has given the port to a new connection. What is known here of its former
 * one is out of date, unless this node itself carries that. It is the claimant that is
 * the former one if its record was refused, is tried again, and the port has been given
 * away meanwhile; or if it has closed: messages of several threads of the sync daemon
 * overtake each other.
 */
static bool may_replace(const struct fnat_net *fn, const struct fnat_portmap *pm,
			const struct fnat_flow *claimant, enum fnat_port_state state,
			const struct fnat_flow *holder)
{
	if ((s32)(claimant->created - holder->created) < 0 ||
	    (state == FNAT_PORT_CLOSED && holder->port_state != FNAT_PORT_CLOSED))
		return false;
	return holder->sync_state == FNAT_SYNC_STANDBY ||
	       holder->port_state == FNAT_PORT_CLOSED ||
	       !fnat_laddr_is_local(fn, pm->key.laddr);
}

static int portmap_mark(struct fnat_portmap *pm, u16 port)
{
	unsigned long **chunk = &pm->chunk[port / FNAT_PORT_CHUNK];
	struct port_range r = portmap_range(pm);

	if (!*chunk)
		*chunk = bitmap_zalloc(FNAT_PORT_CHUNK, GFP_ATOMIC);
	if (!*chunk)
		return -ENOMEM;
	__set_bit(port % FNAT_PORT_CHUNK, *chunk);
	if (port >= r.min && port <= r.max)
		pm->used++;
	return 0;
}

/* As port_alloc_in(), one port and no other; -EADDRINUSE: it is in use here. */
static int port_claim_in(struct fnat_net *fn, struct fnat_portmap *pm, struct fnat_flow *f,
			 u16 port, enum fnat_port_state state)
{
	struct fnat_flow *holder;
	int err = 0;

	spin_lock_bh(&pm->lock);
	if (pm->dead) {
		err = -EAGAIN;
	} else if (!port_is_taken(pm, port)) {
		err = portmap_mark(pm, port);
	} else {
		holder = port_holder(pm, f, port);
		if (holder && may_replace(fn, pm, f, state, holder))
			portmap_take_from(pm, holder);
		else
			err = -EADDRINUSE;
	}
	if (!err)
		flow_settle(pm, f, port, state);
	spin_unlock_bh(&pm->lock);
	return err;
}

/*
 * Gives the flow a port of this LIP: this one, or any if it is 0 ("recycled" is for that
 * alone). 0, -EADDRINUSE, -ENOENT, -ENOSPC, -ENOMEM.
 */
static int port_get_from(struct fnat_net *fn, struct fnat_laddr *laddr, struct fnat_flow *f,
			 u16 port, enum fnat_port_state state, struct fnat_flow **recycled)
{
	struct fnat_portmap *pm;
	int err;

	for (;;) {
		pm = portmap_get(laddr, f);
		err = PTR_ERR_OR_ZERO(pm);
		if (!err) {
			err = port ? port_claim_in(fn, pm, f, port, state) :
				     port_alloc_in(fn, pm, f, recycled);
			if (err)
				portmap_put(pm);
		}
		if (err != -EAGAIN)
			break;
		/* until fnat_portmap_gc() has taken the dead one out of the table */
		spin_lock_bh(&laddr->lock);
		spin_unlock_bh(&laddr->lock);
	}

	if (!err)
		atomic_inc(&laddr->conns);
	else if (err != -EADDRINUSE && err != -ENOENT && err != -ENOSPC)
		err = -ENOMEM;
	return err;
}

static int port_alloc_from(struct fnat_net *fn, struct fnat_laddr *laddr, struct fnat_flow *f,
			   struct fnat_flow **recycled)
{
	int err = port_get_from(fn, laddr, f, 0, FNAT_PORT_HALF_OPEN, recycled);

	if (err == -EADDRINUSE)
		atomic64_inc(&laddr->exhausted);
	return err;
}

/**
 * fnat_port_claim - give a flow exactly one local address and port
 * @fn: the namespace
 * @laddr: the address; it need not be local here
 * @f: its family, protocol and real server are set; its reply tuple gets hashed
 * @port: of any range
 * @state: the flow's from now on
 *
 * Return: 0; -EADDRINUSE: a connection that this node carries, or a newer one, has it;
 * -ENOENT: the address is declared no longer; -ENOSPC: there are too many port maps;
 * -ENOMEM.
 */
int fnat_port_claim(struct fnat_net *fn, struct fnat_laddr *laddr, struct fnat_flow *f, u16 port,
		    enum fnat_port_state state)
{
	return port_get_from(fn, laddr, f, port, state, NULL);
}

/*
 * A random address of the pool, of this family if they are not rare. In a pool of both
 * families, the one behind those of the other would be the first of too many flows.
 */
static unsigned int pool_start(const struct fnat_pool *pool, u8 af)
{
	unsigned int start, tries = FNAT_PORT_PROBES;

	do
		start = reciprocal_scale(get_random_u32(), pool->count);
	while (pool->laddr[start]->af != af && --tries);
	return start;
}

/**
 * fnat_port_alloc - give a flow its local address and port
 * @fn: the namespace
 * @pool: the addresses to choose from, each of them if need be
 * @f: its family, protocol and real server are set; its reply tuple gets hashed
 * @recycled: gets the half-open flow that has lost its port to it, if there is one, for as
 *	long as RCU keeps it
 *
 * Begins at a random address: a round robin would run in step with the
 * scheduler's, and each RS would see only some of the addresses.
 *
 * Return: 0; -EADDRNOTAVAIL: no address of the pool is local here;
 * -EADDRINUSE: no port is left; -ENOSPC: there are too many port maps, and
 * FNAT_PORT_PROBES addresses had none for this real server; -ENOMEM.
 */
int fnat_port_alloc(struct fnat_net *fn, struct fnat_pool *pool, struct fnat_flow *f,
		    struct fnat_flow **recycled)
{
	unsigned int i, start, probes = FNAT_PORT_PROBES;
	int err = -EADDRNOTAVAIL, one;

	if (!pool || !pool->count)
		return err;
	start = pool_start(pool, f->af);
	for (i = 0; i < pool->count; i++) {
		struct fnat_laddr *laddr = pool->laddr[(start + i) % pool->count];

		if (laddr->af != f->af || !fnat_laddr_is_local(fn, laddr))
			continue;
		one = port_alloc_from(fn, laddr, f, recycled);
		if (!one)
			return 0;
		/* the bound on port maps is that of all addresses */
		if (one == -ENOSPC && !--probes)
			break;
		/* an address that might have had a port: not all are exhausted */
		if (err != -ENOMEM && err != -ENOSPC)
			err = one;
	}
	if (err == -ENOSPC)
		fnat_laddr_gc_soon(fn);
	return err;
}

/* No port is free, and no flow has closed that would give one up. No lock: it is advice. */
static bool portmap_is_full(const struct fnat_portmap *pm)
{
	const struct fnat_laddr *laddr = pm->key.laddr;
	struct port_range r = { READ_ONCE(laddr->port_min), READ_ONCE(laddr->port_max) };

	if (!list_empty(&pm->closed_list) ||
	    READ_ONCE(pm->range_gen) != READ_ONCE(laddr->range_gen))
		return false;
	return none_is_free(pm, &r);
}

/**
 * fnat_port_is_left - would a connection to a real server find a local port?
 * @fn: the namespace
 * @pool: where it would look
 * @af: of the real server
 * @protocol: of the connection
 * @daddr: the real server
 * @dport: its port
 *
 * For the scheduler, which asks for each new connection: of a large pool only
 * FNAT_PORT_PROBES addresses are looked at, beginning at a random one. An empty
 * pool says yes: choosing another server would not help.
 */
bool fnat_port_is_left(const struct fnat_net *fn, const struct fnat_pool *pool, u8 af,
		       u16 protocol, const union nf_inet_addr *daddr, __be16 dport)
{
	struct fnat_portmap_key key;
	unsigned int i, start, probes;
	bool full = false;

	if (!pool || !pool->count)
		return true;
	probes = min_t(unsigned int, pool->count, FNAT_PORT_PROBES);
	start = reciprocal_scale(get_random_u32(), pool->count);
	for (i = 0; i < probes; i++) {
		struct fnat_laddr *laddr = pool->laddr[(start + i) % pool->count];
		const struct fnat_portmap *pm;

		if (laddr->af != af || !fnat_laddr_is_local(fn, laddr))
			continue;
		portmap_make_key(&key, laddr, protocol, daddr, dport);
		if (af == AF_INET)	/* of ip_vs the rest may be anything */
			memset(&key.daddr.ip6[1], 0, sizeof(key.daddr) - sizeof(key.daddr.ip));
		pm = rhashtable_lookup(&portmaps, &key, portmap_params);
		if (!pm || !portmap_is_full(pm))
			return true;
		full = true;
	}
	return !full;
}

/* How many half-open flows hold a port of this LIP now. Under RCU. */
unsigned int fnat_port_half_open(const struct fnat_laddr *laddr)
{
	const struct fnat_portmap *pm;
	unsigned int count = 0;

	list_for_each_entry_rcu(pm, &laddr->portmaps, laddr_list)
		count += READ_ONCE(pm->half_open);
	return count;
}

/* Moves the flow to the list of its state, unless it has lost its port. */
void fnat_port_set_state(struct fnat_flow *f, enum fnat_port_state state)
{
	struct fnat_portmap *pm = f->portmap;

	if (likely(READ_ONCE(f->port_state) == state) || !pm)
		return;
	spin_lock_bh(&pm->lock);
	if (f->port_state != state && f->port_state != FNAT_PORT_NONE) {
		flow_leave_list(pm, f);
		flow_join_list(pm, f, state);
	}
	spin_unlock_bh(&pm->lock);
}

static void portmap_clear_port(struct fnat_portmap *pm, unsigned int port)
{
	struct port_range r = portmap_range(pm);

	__clear_bit(port % FNAT_PORT_CHUNK, pm->chunk[port / FNAT_PORT_CHUNK]);
	if (port >= r.min && port <= r.max)
		pm->used--;
	pm->none_free = false;
}

/**
 * fnat_port_take_away - a flow loses its port
 * @f: the flow; RCU or the caller's reference keeps it
 *
 * From now on no packet of a real server finds it, and none of its client gets
 * through. Any context, BH off or on.
 */
void fnat_port_take_away(struct fnat_flow *f)
{
	struct fnat_portmap *pm = READ_ONCE(f->portmap);
	bool held = false;

	if (!pm)
		return;
	spin_lock_bh(&pm->lock);
	if (f->port_state != FNAT_PORT_NONE) {
		held = true;
		fnat_flow_unhash(f, FNAT_DIR_REPLY);
		fnat_clock_flow_ends(f, pm);
		flow_leave_list(pm, f);
		WRITE_ONCE(f->port_state, FNAT_PORT_NONE);
		trace_fullnat_conn_end(f);
		portmap_clear_port(pm, ntohs(f->lport));
		pm->last_used = jiffies;
	}
	spin_unlock_bh(&pm->lock);
	if (held)
		atomic_dec(&pm->key.laddr->conns);
}

/* The end of the flow's hold on its port and port map; its reply tuple goes first. */
void fnat_port_release(struct fnat_flow *f)
{
	struct fnat_portmap *pm = f->portmap;

	if (!pm)
		return;
	fnat_port_take_away(f);
	portmap_put(pm);
}

/* Of clocks that have been keyed anew. Process context. */
void fnat_portmap_forget_marks(struct fnat_laddr *laddr)
{
	struct fnat_portmap *pm;

	rcu_read_lock();
	list_for_each_entry_rcu(pm, &laddr->portmaps, laddr_list) {
		spin_lock_bh(&pm->lock);
		pm->isn_mark.valid = false;
		pm->ts_lead.valid = false;
		pm->odd_clocks.valid = false;
		spin_unlock_bh(&pm->lock);
	}
	rcu_read_unlock();
}

static bool portmap_retire(struct fnat_portmap *pm, bool all)
{
	bool many = atomic_read(&portmap_count) > portmaps_max() / 2;
	unsigned long idle = many ? FNAT_PORTMAP_IDLE_MANY : FNAT_PORTMAP_IDLE;
	bool retire;

	spin_lock_bh(&pm->lock);
	retire = all || (refcount_read(&pm->refcnt) == 1 &&
			 time_after(jiffies, pm->last_used + idle));
	if (retire)
		pm->dead = true;
	spin_unlock_bh(&pm->lock);
	return retire;
}

/* Out of the table, dead already. Under the lock of its LIP. */
static void portmap_drop(struct fnat_portmap *pm)
{
	rhashtable_remove_fast(&portmaps, &pm->rnode, portmap_params);
	list_del_rcu(&pm->laddr_list);
	fnat_route_clear(&pm->route);
	portmap_put(pm);
}

/*
 * Takes port maps that no flow uses (all: every one) out of the table; flows
 * that still use one keep it. Process context; once at a time for each LIP.
 */
void fnat_portmap_gc(struct fnat_laddr *laddr, bool all)
{
	struct fnat_portmap *pm, *next;
	unsigned int seen = 0;

	spin_lock_bh(&laddr->lock);
	list_for_each_entry_safe(pm, next, &laddr->portmaps, laddr_list) {
		if (portmap_retire(pm, all))
			portmap_drop(pm);
		if (++seen % FNAT_PORTMAP_GC_BATCH)
			continue;
		/* others only add at the end, so the next one stays */
		spin_unlock_bh(&laddr->lock);
		cond_resched();
		spin_lock_bh(&laddr->lock);
	}
	spin_unlock_bh(&laddr->lock);
}
