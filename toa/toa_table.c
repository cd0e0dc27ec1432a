// SPDX-License-Identifier: GPL-2.0
/*
 * The clients, by socket. An entry lives from the handshake of its connection to
 * the destruction of the socket; nothing is written into the socket itself, since
 * sk_user_data and sk_destruct belong to others (kTLS, sockmap, MPTCP).
 *
 * Memory of sockets is SLAB_TYPESAFE_BY_RCU, so the same address can become
 * another connection at once. No stale entry can answer for it: the entry is
 * taken out when the socket is destroyed, before its memory is free, and once
 * more when a new connection appears on the address.
 *
 * Insert and forget of one socket do not race: its lock is held, or nobody else
 * knows it. Any context up to softirq; readers need only RCU.
 */
#include <linux/hash.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/rculist.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <net/inet_sock.h>

#include "toa.h"

struct toa_entry {
	struct hlist_node node;		/* written under the bucket's lock */
	const struct sock *sk;		/* the key; never followed */
	const struct net *net;		/* compared, never followed */
	struct toa_client client;
	struct toa_client wire;		/* whom the socket is connected with */
	u16 local_port;
	struct rcu_head rcu;
};

struct toa_bucket {
	struct hlist_head head;
	spinlock_t lock;		/* writers of this chain; taken with softirqs off */
};

static unsigned int toa_max_entries = 1 << 20;
module_param_named(max_entries, toa_max_entries, uint, 0644);
MODULE_PARM_DESC(max_entries, "connections to remember at most (default 1048576)");

static struct kmem_cache *toa_cache;
static struct toa_bucket *toa_buckets;
static unsigned int toa_bucket_bits;
static atomic_t toa_entries = ATOMIC_INIT(0);
static atomic_t toa_entries_of_others = ATOMIC_INIT(0);	/* of namespaces but the initial one */

static struct toa_bucket *toa_bucket_of(const struct sock *sk)
{
	return &toa_buckets[hash_ptr(sk, toa_bucket_bits)];
}

/* The caller holds the bucket's lock, or is in an RCU read-side section. */
static struct toa_entry *toa_bucket_find(struct toa_bucket *b, const struct sock *sk)
{
	struct toa_entry *e;

	hlist_for_each_entry_rcu(e, &b->head, node, lockdep_is_held(&b->lock))
		if (e->sk == sk)
			return e;
	return NULL;
}

static bool toa_table_take(struct net *net)
{
	unsigned int max = toa_table_max();

	if (!toa_take(&toa_entries, max))
		return false;
	if (toa_share_take(net, &toa_entries_of_others, &toa_net(net)->entries, max))
		return true;
	atomic_dec(&toa_entries);
	return false;
}

static void toa_table_give_back(struct net *net)
{
	toa_share_give_back(net, &toa_entries_of_others, &toa_net(net)->entries);
	atomic_dec(&toa_entries);
}

/* -ENOSPC when the table is full, -ENOMEM without memory. The socket's lock is held. */
int toa_table_insert(const struct sock *sk, const struct toa_client *client,
		     const struct toa_client *wire)
{
	struct toa_bucket *b = toa_bucket_of(sk);
	struct toa_entry *e;

	if (!toa_table_take(sock_net(sk)))
		return -ENOSPC;
	e = kmem_cache_alloc(toa_cache, GFP_ATOMIC | __GFP_NOWARN);
	if (!e) {
		toa_table_give_back(sock_net(sk));
		return -ENOMEM;
	}
	e->sk = sk;
	e->net = sock_net(sk);
	e->client = *client;
	e->wire = *wire;
	e->local_port = inet_sk(sk)->inet_num;

	spin_lock_bh(&b->lock);
	hlist_add_head_rcu(&e->node, &b->head);
	spin_unlock_bh(&b->lock);
	return 0;
}

static void toa_entry_free(struct rcu_head *head)
{
	kmem_cache_free(toa_cache, container_of(head, struct toa_entry, rcu));
}

/* Any context. */
bool toa_table_has(const struct sock *sk)
{
	bool has;

	rcu_read_lock();
	has = toa_bucket_find(toa_bucket_of(sk), sk);
	rcu_read_unlock();
	return has;
}

/* Most sockets that end have no entry: they are told so without the lock. */
void toa_table_forget(const struct sock *sk)
{
	struct toa_bucket *b = toa_bucket_of(sk);
	struct toa_entry *e;

	if (!toa_table_has(sk))
		return;

	spin_lock_bh(&b->lock);
	e = toa_bucket_find(b, sk);
	if (e) {
		hlist_del_rcu(&e->node);
		toa_table_give_back(sock_net(sk));
		call_rcu(&e->rcu, toa_entry_free);
	}
	spin_unlock_bh(&b->lock);
}

/*
 * The caller holds a reference on @sk. A socket that was accepted once and connects to somebody
 * else now (connect() with AF_UNSPEC) has no client.
 */
bool toa_table_lookup(const struct sock *sk, struct toa_client *client)
{
	struct toa_client wire;
	struct toa_entry *e;
	bool found;

	toa_conn_wire(sk, &wire);
	rcu_read_lock();
	e = toa_bucket_find(toa_bucket_of(sk), sk);
	found = e && !memcmp(&e->wire, &wire, sizeof(wire));
	if (found)
		*client = e->client;
	rcu_read_unlock();
	return found;
}

unsigned int toa_table_entries(void)
{
	return atomic_read(&toa_entries);
}

unsigned int toa_table_max(void)
{
	return min_t(unsigned int, READ_ONCE(toa_max_entries), INT_MAX);
}

/*
 * /proc/net/toa_table, for root: the connections of a namespace as
 * "client wire local-port". A position is a bucket, so that reading on costs
 * nothing; a connection that comes or goes meanwhile may be seen or not.
 */

static void *toa_table_seq_start(struct seq_file *m, loff_t *pos)
{
	return *pos < 1UL << toa_bucket_bits ? &toa_buckets[*pos] : NULL;
}

static void *toa_table_seq_next(struct seq_file *m, void *v, loff_t *pos)
{
	++*pos;
	return toa_table_seq_start(m, pos);
}

static void toa_table_seq_stop(struct seq_file *m, void *v)
{
}

static void toa_table_print_address(struct seq_file *m, const struct toa_client *c)
{
	if (c->family == AF_INET)
		seq_printf(m, "%pI4:%u ", &c->addr.v4, ntohs(c->port));
	else
		seq_printf(m, "[%pI6c]:%u ", c->addr.v6, ntohs(c->port));
}

static int toa_table_seq_show(struct seq_file *m, void *v)
{
	struct toa_bucket *b = v;
	struct toa_entry *e;

	rcu_read_lock();
	hlist_for_each_entry_rcu(e, &b->head, node) {
		if (e->net != seq_file_net(m))
			continue;
		toa_table_print_address(m, &e->client);
		toa_table_print_address(m, &e->wire);
		seq_printf(m, "%u\n", e->local_port);
	}
	rcu_read_unlock();
	return 0;
}

static const struct seq_operations toa_table_seq_ops = {
	.start = toa_table_seq_start,
	.next = toa_table_seq_next,
	.stop = toa_table_seq_stop,
	.show = toa_table_seq_show,
};

int toa_table_net_init(struct net *net)
{
	if (!proc_create_net("toa_table", 0400, net->proc_net, &toa_table_seq_ops,
			     sizeof(struct seq_net_private)))
		return -ENOMEM;
	return 0;
}

void toa_table_net_exit(struct net *net)
{
	remove_proc_entry("toa_table", net->proc_net);
}

int toa_table_init(void)
{
	unsigned int i;

	/* About eight to a bucket when full; 2 MB of buckets by default. */
	toa_bucket_bits = ilog2(clamp_t(unsigned int, toa_table_max() / 8, 1 << 10, 1 << 20));
	toa_buckets = kvmalloc_array(1UL << toa_bucket_bits, sizeof(*toa_buckets), GFP_KERNEL);
	if (!toa_buckets)
		return -ENOMEM;
	for (i = 0; i < 1U << toa_bucket_bits; i++) {
		INIT_HLIST_HEAD(&toa_buckets[i].head);
		spin_lock_init(&toa_buckets[i].lock);
	}

	toa_cache = KMEM_CACHE(toa_entry, 0);
	if (!toa_cache) {
		kvfree(toa_buckets);
		return -ENOMEM;
	}
	return 0;
}

/* The hooks are gone: nobody inserts, forgets or looks up any more. */
void toa_table_exit(void)
{
	struct hlist_node *next;
	struct toa_entry *e;
	unsigned int i;

	rcu_barrier();
	for (i = 0; i < 1U << toa_bucket_bits; i++)
		hlist_for_each_entry_safe(e, next, &toa_buckets[i].head, node)
			kmem_cache_free(toa_cache, e);
	kmem_cache_destroy(toa_cache);
	kvfree(toa_buckets);
}
