// SPDX-License-Identifier: GPL-2.0
/*
 * The table of flows. One table for all namespaces, as ip_vs has it: flows
 * outlive their namespace's part of this module by a moment (net.h).
 *
 * Lookups run under RCU in any context. Changes take the lock of one bucket
 * group, in softirq or with BH off.
 */
#include <linux/hash.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <net/checksum.h>
#include <net/netns/hash.h>

#include "fast.h"
#include "flow.h"
#include "net.h"
#include "seam.h"
#include "sync.h"

#define FNAT_FLOW_LOCKS		1024	/* power of two */
#define FNAT_FLOW_BITS_MIN	10
#define FNAT_FLOW_BITS_MAX	24

static unsigned int flow_tab_bits;
module_param(flow_tab_bits, uint, 0444);
MODULE_PARM_DESC(flow_tab_bits,
		 "log2 of the buckets of the flow table, 10..24; default by memory, 2 KiB of RAM for each byte of table");

static unsigned int flow_max;
module_param(flow_max, uint, 0444);
MODULE_PARM_DESC(flow_max,
		 "connections at most, of all namespaces; default: what a quarter of RAM can hold");

/* What a connection takes: ours, that of ip_vs, and the places in the tables. */
#define FNAT_FLOW_COST		640

static struct hlist_head *flow_tab;
static spinlock_t *flow_locks;
static u32 flow_seed[10];
static struct kmem_cache *flow_cache;
static atomic_t flow_count;

unsigned int fnat_flow_count(void)
{
	return atomic_read(&flow_count);
}

/* Of all namespaces. */
unsigned int fnat_flow_max(void)
{
	return flow_max;
}

static unsigned int flow_tab_default_bits(void)
{
	u64 buckets = ((u64)totalram_pages() << PAGE_SHIFT) / 2048 / sizeof(*flow_tab);

	return clamp_t(unsigned int, ilog2(buckets | 1), 14, 20);
}

static unsigned int flow_default_max(void)
{
	u64 fit = ((u64)totalram_pages() << PAGE_SHIFT) / 4 / FNAT_FLOW_COST;

	return clamp_t(u64, fit, 65536, UINT_MAX);
}

/* Process context. */
int fnat_flow_tab_init(void)
{
	unsigned int i;

	if (!flow_tab_bits)
		flow_tab_bits = flow_tab_default_bits();
	if (flow_tab_bits < FNAT_FLOW_BITS_MIN || flow_tab_bits > FNAT_FLOW_BITS_MAX) {
		pr_err("flow_tab_bits=%u is out of range, it must be %u..%u\n",
		       flow_tab_bits, FNAT_FLOW_BITS_MIN, FNAT_FLOW_BITS_MAX);
		return -EINVAL;
	}
	if (!flow_max)
		flow_max = flow_default_max();
	get_random_bytes(flow_seed, sizeof(flow_seed));

	flow_cache = kmem_cache_create("fnat_flow", sizeof(struct fnat_flow), 0,
				       SLAB_HWCACHE_ALIGN, NULL);
	if (!flow_cache)
		return -ENOMEM;
	flow_tab = kvcalloc(BIT(flow_tab_bits), sizeof(*flow_tab), GFP_KERNEL);
	flow_locks = kvmalloc_array(FNAT_FLOW_LOCKS, sizeof(*flow_locks), GFP_KERNEL);
	if (!flow_tab || !flow_locks) {
		kvfree(flow_locks);
		kvfree(flow_tab);
		kmem_cache_destroy(flow_cache);
		return -ENOMEM;
	}
	for (i = 0; i < FNAT_FLOW_LOCKS; i++)
		spin_lock_init(&flow_locks[i]);
	return 0;
}

/* Process context, after rcu_barrier(): no flow is left. */
void fnat_flow_tab_exit(void)
{
	kvfree(flow_locks);
	kvfree(flow_tab);
	kmem_cache_destroy(flow_cache);
}

/* Two words of a key, as NH has them (of UMAC, RFC 4418); nobody outside knows the seeds. */
static u64 nh(u32 a, u32 b, unsigned int i)
{
	return (u64)(u32)(a + flow_seed[i]) * (u32)(b + flow_seed[i + 1]);
}

/* It is computed for each packet, more than once: a third of what jhash takes. */
static __always_inline u32 tuple_hash(const struct net *net, const struct fnat_tuple *t)
{
	u32 ports = (__force u32)t->sport << 16 | (__force u32)t->dport;
	u64 hash = nh(t->saddr.all[0], t->daddr.all[0], 0) +
		   nh(ports, t->protocol ^ net_hash_mix(net), 2);

	if (t->af == AF_INET6)
		hash += nh(t->saddr.all[1], t->daddr.all[1], 4) +
			nh(t->saddr.all[2], t->daddr.all[2], 6) +
			nh(t->saddr.all[3], t->daddr.all[3], 8);
	return hash_64(hash, flow_tab_bits);
}

static spinlock_t *bucket_lock(u32 hash)
{
	return &flow_locks[hash & (FNAT_FLOW_LOCKS - 1)];
}

/* What packets of that direction carry when they reach us. */
void fnat_flow_tuple(const struct fnat_flow *f, enum fnat_dir dir, struct fnat_tuple *t)
{
	bool request = dir == FNAT_DIR_REQUEST;

	t->af = f->af;
	t->protocol = f->protocol;
	t->saddr = request ? f->caddr : f->daddr;
	t->daddr = request ? f->vaddr : f->laddr;
	t->sport = request ? f->cport : f->dport;
	t->dport = request ? f->vport : f->lport;
}

static bool addr_equal(const union nf_inet_addr *a, const union nf_inet_addr *b, u8 af)
{
	if (af == AF_INET)
		return a->ip == b->ip;
	return nf_inet_addr_cmp(a, b);
}

/* Of a flow in whose packets of one direction these are source and destination. */
static __always_inline bool flow_has_tuple(const struct fnat_flow *f, const struct net *net,
					   const struct fnat_tuple *t,
					   const union nf_inet_addr *saddr,
					   const union nf_inet_addr *daddr,
					   __be16 sport, __be16 dport)
{
	return t->sport == sport && t->dport == dport &&
	       t->af == f->af && t->protocol == f->protocol &&
	       addr_equal(&t->saddr, saddr, t->af) && addr_equal(&t->daddr, daddr, t->af) &&
	       fnat_seam_is_of(f->cp, net);
}

static __always_inline bool request_has_tuple(const struct fnat_flow *f, const struct net *net,
					      const struct fnat_tuple *t)
{
	return flow_has_tuple(f, net, t, &f->caddr, &f->vaddr, f->cport, f->vport);
}

static __always_inline bool reply_has_tuple(const struct fnat_flow *f, const struct net *net,
					    const struct fnat_tuple *t)
{
	return flow_has_tuple(f, net, t, &f->daddr, &f->laddr, f->dport, f->lport);
}

static struct fnat_flow *node_flow(struct fnat_flow_node *n)
{
	if (n->dir == FNAT_DIR_REQUEST)
		return container_of(n, struct fnat_flow, node[FNAT_DIR_REQUEST]);
	return container_of(n, struct fnat_flow, node[FNAT_DIR_REPLY]);
}

static __always_inline struct fnat_flow *
bucket_find(u32 hash, const struct net *net, const struct fnat_tuple *t, enum fnat_dir *dir)
{
	struct fnat_flow_node *n;

	hlist_for_each_entry_rcu(n, &flow_tab[hash], hnode,
				 lockdep_is_held(bucket_lock(hash))) {
		struct fnat_flow *f = node_flow(n);

		*dir = n->dir;
		if (*dir == FNAT_DIR_REQUEST ? request_has_tuple(f, net, t) :
					       reply_has_tuple(f, net, t))
			return f;
	}
	return NULL;
}

/* The flow that a packet belongs to. Under RCU; no reference is taken. */
struct fnat_flow *fnat_flow_find(const struct net *net, const struct fnat_tuple *t,
				 enum fnat_dir *dir)
{
	return bucket_find(tuple_hash(net, t), net, t, dir);
}

/* Does another flow have its client's packets now? Under RCU. */
bool fnat_flow_has_successor(const struct fnat_flow *f)
{
	struct fnat_tuple t;
	enum fnat_dir dir;

	fnat_flow_tuple(f, FNAT_DIR_REQUEST, &t);
	return fnat_flow_find(fnat_seam_net(f->cp), &t, &dir) && dir == FNAT_DIR_REQUEST;
}

/* Softirq or BH off. ERR_PTR: -ENOMEM, or -ENOSPC when there are flow_max. */
struct fnat_flow *fnat_flow_alloc(void)
{
	struct fnat_flow *f;

	/* a debug kernel's locks are larger */
	BUILD_BUG_ON(sizeof(spinlock_t) == 4 && sizeof(struct fnat_flow) > 256);
	if (fnat_flow_count() >= flow_max)
		return ERR_PTR(-ENOSPC);
	f = kmem_cache_zalloc(flow_cache, GFP_ATOMIC);
	if (!f)
		return ERR_PTR(-ENOMEM);
	f->node[FNAT_DIR_REQUEST].dir = FNAT_DIR_REQUEST;
	f->node[FNAT_DIR_REPLY].dir = FNAT_DIR_REPLY;
	spin_lock_init(&f->lock);
	fnat_fast_init(f);
	atomic_inc(&flow_count);
	return f;
}

/*
 * Two CPUs that see the same SYN or datagram at once may both make a connection
 * of it. The first flow that is alive (and has this ISN) has it; any other flow
 * that still holds the tuple belongs to a connection that ip_vs is replacing.
 */
static bool flow_is_twin(const struct fnat_flow *old, const struct fnat_flow *new)
{
	if (fnat_seam_is_expiring(old->cp))
		return false;
	if (new->protocol != IPPROTO_TCP)
		return true;
	return old->tcp.client_isn == new->tcp.client_isn && !fnat_seam_is_closed(old->cp);
}

/* False: another connection has this client's packets already. Softirq or BH off. */
bool fnat_flow_hash_request(struct fnat_flow *f)
{
	struct net *net = fnat_seam_net(f->cp);
	struct fnat_flow *old;
	struct fnat_tuple t;
	enum fnat_dir dir;
	bool unique = true;
	u32 hash;

	fnat_flow_tuple(f, FNAT_DIR_REQUEST, &t);
	hash = tuple_hash(net, &t);
	spin_lock_bh(bucket_lock(hash));
	old = bucket_find(hash, net, &t, &dir);
	if (old && dir == FNAT_DIR_REQUEST) {
		if (flow_is_twin(old, f))
			unique = false;
		else
			hlist_del_init_rcu(&old->node[FNAT_DIR_REQUEST].hnode);
	}
	if (unique)
		hlist_add_head_rcu(&f->node[FNAT_DIR_REQUEST].hnode, &flow_tab[hash]);
	/* a destination with method 5 may be behind a service that is not declared */
	if (unique)
		fnat_filter_add(&fnat_net(net)->filter, f->af, &f->vaddr, f->vport);
	spin_unlock_bh(bucket_lock(hash));
	return unique;
}

/* The sum of addresses and ports, as they are in packets of this direction. */
static __wsum tuple_sum(const struct fnat_flow *f, enum fnat_dir dir)
{
	size_t len = f->af == AF_INET ? sizeof(f->caddr.ip) : sizeof(f->caddr.in6);
	struct fnat_tuple t;
	__wsum sum;

	fnat_flow_tuple(f, dir, &t);
	sum = csum_partial(&t.saddr, len, csum_partial(&t.daddr, len, 0));
	return csum_partial(&t.sport, sizeof(t.sport) + sizeof(t.dport), sum);
}

/* Both of its tuples are known; nobody takes it for one that has a port so far. */
void fnat_flow_set_csum_diff(struct fnat_flow *f)
{
	f->csum_diff = csum_sub(tuple_sum(f, FNAT_DIR_REPLY), tuple_sum(f, FNAT_DIR_REQUEST));
}

/* The port map has made sure that the tuple is free. Softirq or BH off. */
void fnat_flow_hash_reply(struct fnat_flow *f)
{
	const struct net *net = fnat_seam_net(f->cp);
	struct fnat_tuple t;
	u32 hash;

	fnat_flow_tuple(f, FNAT_DIR_REPLY, &t);
	hash = tuple_hash(net, &t);
	spin_lock_bh(bucket_lock(hash));
	hlist_add_head_rcu(&f->node[FNAT_DIR_REPLY].hnode, &flow_tab[hash]);
	spin_unlock_bh(bucket_lock(hash));
}

/* Does nothing if it is not hashed. Softirq or BH off. */
void fnat_flow_unhash(struct fnat_flow *f, enum fnat_dir dir)
{
	const struct net *net = fnat_seam_net(f->cp);
	struct fnat_tuple t;
	u32 hash;

	fnat_flow_tuple(f, dir, &t);
	hash = tuple_hash(net, &t);
	spin_lock_bh(bucket_lock(hash));
	hlist_del_init_rcu(&f->node[dir].hnode);
	spin_unlock_bh(bucket_lock(hash));
}

u32 fnat_flow_buckets(void)
{
	return BIT(flow_tab_bits);
}

/**
 * fnat_flow_each - look at the flows of one bucket
 * @bucket: 0 .. fnat_flow_buckets() - 1
 * @net: their namespace
 * @dir: by which of their tuples: the request's, or the reply's, which those have that
 *	hold a port
 * @look: gets each of them, and may end it; anything but 0 ends the walk
 * @arg: for @look
 *
 * Under RCU. A flow stays in its bucket for as long as it has the tuple, so a walk
 * over all of them meets it once.
 */
int fnat_flow_each(u32 bucket, const struct net *net, enum fnat_dir dir,
		   int (*look)(struct fnat_flow *f, void *arg), void *arg)
{
	struct fnat_flow_node *n;
	int ret = 0;

	hlist_for_each_entry_rcu(n, &flow_tab[bucket], hnode) {
		if (n->dir == dir && fnat_seam_is_of(node_flow(n)->cp, net))
			ret = look(node_flow(n), arg);
		if (ret)
			break;
	}
	return ret;
}

static void flow_free_rcu(struct rcu_head *rcu)
{
	struct fnat_flow *f = container_of(rcu, struct fnat_flow, rcu);

	fnat_fast_exit(f);
	kmem_cache_free(flow_cache, f);
	atomic_dec(&flow_count);
}

/* Ends the flow: no packet finds it any more, its port is free. BH off. */
void fnat_flow_free(struct fnat_flow *f)
{
	fnat_sync_forget(f);
	fnat_flow_unhash(f, FNAT_DIR_REQUEST);
	fnat_port_release(f);
	fnat_fast_exit(f);
	call_rcu(&f->rcu, flow_free_rcu);
}
