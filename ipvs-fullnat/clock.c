// SPDX-License-Identifier: GPL-2.0
/* See clock.h. Softirq or BH off. */
#include <linux/random.h>
#include <linux/ktime.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <uapi/linux/ip_vs_fullnat.h>

#include "clock.h"
#include "compat.h"
#include "flow.h"
#include "laddr.h"

/*
 * Milliseconds by which the clock of timestamps follows a client's that is faster than time. What
 * an RS echoes is what the client says, so this is also how far any client can push the clock
 * of all.
 */
#define FNAT_TS_LEAD_MAX	(60 * MSEC_PER_SEC)

/* A fast client's last segments are not echoed: their TSvals may be this much higher. */
#define FNAT_TS_SLACK	4096

/* Others' clocks tick at other moments than ours, and at nearly the same rate. */
#define FNAT_TS_JITTER	8

static struct fnat_secret *secret_alloc(void)
{
	struct fnat_secret *secret = kzalloc(sizeof(*secret), GFP_KERNEL_ACCOUNT);

	if (secret)
		refcount_set(&secret->refcnt, 1);
	return secret;
}

/* Process context; NULL: no memory. */
struct fnat_secret *fnat_secret_random(void)
{
	struct fnat_secret *secret = secret_alloc();

	if (!secret)
		return NULL;
	get_random_bytes(&secret->isn, sizeof(secret->isn));
	get_random_bytes(&secret->ts, sizeof(secret->ts));
	return secret;
}

/* Of bytes that the nodes of a cluster share. Process context; NULL: no memory. */
struct fnat_secret *fnat_secret_derive(const u8 *bytes, unsigned int len)
{
	struct fnat_secret *secret = secret_alloc();
	struct {
		siphash_key_t isn, ts;
	} keys;
	u32 id;

	if (!secret)
		return NULL;
	BUILD_BUG_ON(sizeof(keys) != BLAKE2S_HASH_SIZE);
	fnat_blake2s((u8 *)&keys, sizeof(keys), bytes, len);
	fnat_blake2s((u8 *)&id, sizeof(id), (u8 *)&keys, sizeof(keys));
	secret->isn = keys.isn;
	secret->ts = keys.ts;
	secret->id = le32_to_cpu((__force __le32)id) ? : 1;
	memzero_explicit(&keys, sizeof(keys));
	return secret;
}

static void secret_free_rcu(struct rcu_head *rcu)
{
	kfree_sensitive(container_of(rcu, struct fnat_secret, rcu));
}

/* NULL is fine. Any context; readers under RCU may still have it. */
void fnat_secret_put(struct fnat_secret *secret)
{
	if (secret && refcount_dec_and_test(&secret->refcnt))
		call_rcu(&secret->rcu, secret_free_rcu);
}

/*
 * RFC 6528's M: ticks of 64 ns as in secure_tcp_seq(). Wall-clock time, so that
 * it neither starts anew with a reboot nor differs between nodes that share
 * their secret.
 */
static u32 isn_ticks(void)
{
	return (u32)(ktime_get_real_ns() >> 6);
}

/* Milliseconds, as Linux counts TCP timestamps. */
static u32 ts_ticks(void)
{
	return (u32)div_u64(ktime_get_real_ns(), NSEC_PER_MSEC);
}

/* RFC 6528's F(): of the whole tuple. */
static u32 isn_base(const struct fnat_secret *secret, const struct fnat_flow *f)
{
	struct {
		union nf_inet_addr laddr, daddr;
		__be16 lport, dport;
	} __aligned(SIPHASH_ALIGNMENT) key = {
		f->laddr, f->daddr, f->lport, f->dport,
	};

	return (u32)siphash(&key, offsetofend(typeof(key), dport), &secret->isn);
}

/* The timestamp clock belongs to the pair of hosts, not to the ports. */
static u32 ts_base(const struct fnat_secret *secret, const struct fnat_flow *f)
{
	struct {
		union nf_inet_addr laddr, daddr;
	} __aligned(SIPHASH_ALIGNMENT) key = { f->laddr, f->daddr };

	return (u32)siphash(&key, sizeof(key), &secret->ts);
}

static bool mark_is_live(const struct fnat_mark *mark)
{
	return mark->valid && time_before(jiffies, mark->made + FNAT_MARK_LIFE);
}

static void mark_set(struct fnat_mark *mark, u32 value)
{
	mark->value = value;
	mark->made = jiffies;
	mark->valid = true;
}

/* The clock, or just past the mark where a sender has outrun the clock. */
static u32 isn_now(const struct fnat_mark *mark)
{
	u32 ticks = isn_ticks();

	if (mark_is_live(mark) && (s32)(mark->value - ticks) >= 0)
		return mark->value + 1;
	return ticks;
}

static void isn_outrun(struct fnat_mark *mark, u32 value)
{
	if ((s32)(value - isn_ticks()) <= 0)
		return;
	if (mark_is_live(mark) && (s32)(value - mark->value) <= 0)
		return;
	mark_set(mark, value);
}

static u32 ts_lead(const struct fnat_portmap *pm)
{
	return mark_is_live(&pm->ts_lead) ? pm->ts_lead.value : 0;
}

static void odd_clock(struct fnat_odd_clocks *odd, __be16 port)
{
	unsigned long age = jiffies - odd->began;

	if (!odd->valid || age >= FNAT_MARK_LIFE) {
		if (odd->valid && age < 2 * FNAT_MARK_LIFE)
			bitmap_copy(odd->former, odd->recent, FNAT_ODD_CLOCKS);
		else
			bitmap_zero(odd->former, FNAT_ODD_CLOCKS);
		bitmap_zero(odd->recent, FNAT_ODD_CLOCKS);
		odd->began = jiffies;
		odd->valid = true;
	}
	__set_bit(ntohs(port) % FNAT_ODD_CLOCKS, odd->recent);
}

/*
 * A flow ends, so far ahead of the time. A client with an ordinary clock is as far ahead as our
 * clock was when it began, and adds nothing.
 */
static void ts_outrun(struct fnat_portmap *pm, const struct fnat_flow *f, s32 ahead)
{
	s32 lead = ts_lead(pm);

	if (ahead <= 0)
		return;
	if (ahead > FNAT_TS_LEAD_MAX + FNAT_TS_JITTER) {
		odd_clock(&pm->odd_clocks, f->lport);
		return;
	}
	if (ahead > lead + FNAT_TS_JITTER)
		lead = min_t(s32, ahead + FNAT_TS_SLACK, FNAT_TS_LEAD_MAX);
	mark_set(&pm->ts_lead, clamp(ahead, lead, (s32)FNAT_TS_LEAD_MAX));
}

/* The ISN that the RS shall see in a SYN of this flow. Under RCU. */
u32 fnat_clock_isn(const struct fnat_flow *f, const struct fnat_portmap *pm)
{
	return isn_base(rcu_dereference(pm->key.laddr->secret), f) +
	       isn_now(&pm->isn_mark);
}

/* The TSval that the RS shall see in a SYN of this flow. Under RCU. */
u32 fnat_clock_tsval(const struct fnat_flow *f, const struct fnat_portmap *pm)
{
	return ts_base(rcu_dereference(pm->key.laddr->secret), f) + ts_ticks() + ts_lead(pm);
}

/*
 * May the RS remember a timestamp of the flow's port that is ahead of our clock? It would challenge
 * a SYN with one of ours, but not a SYN without.
 */
bool fnat_clock_is_odd(const struct fnat_flow *f, const struct fnat_portmap *pm)
{
	const struct fnat_odd_clocks *odd = &pm->odd_clocks;
	unsigned int bit = ntohs(f->lport) % FNAT_ODD_CLOCKS;
	unsigned long age = jiffies - odd->began;

	if (likely(!READ_ONCE(odd->valid)))
		return false;
	return (age < 2 * FNAT_MARK_LIFE && test_bit(bit, odd->recent)) ||
	       (age < FNAT_MARK_LIFE && test_bit(bit, odd->former));
}

/* Which secret it is that keys the numbers now. Under RCU. */
u8 fnat_clock_gen(const struct fnat_portmap *pm)
{
	return rcu_dereference(pm->key.laddr->secret)->gen;
}

/* Remembers how far the flow has run ahead. The caller holds pm->lock. */
void fnat_clock_flow_ends(struct fnat_flow *f, struct fnat_portmap *pm)
{
	const struct fnat_secret *secret;

	lockdep_assert_held(&pm->lock);
	/* another node's offsets may have come from another secret */
	if (f->protocol != IPPROTO_TCP || f->sync_state != FNAT_SYNC_NONE)
		return;
	rcu_read_lock();
	secret = rcu_dereference(pm->key.laddr->secret);
	/* of another clock it tells nothing about this one */
	if (f->tcp.secret_gen == secret->gen)
		isn_outrun(&pm->isn_mark, f->tcp.seq_end - isn_base(secret, f));
	if (f->tcp.secret_gen == secret->gen && f->tcp.has_tsval &&
	    f->tcp.timestamps == FULLNAT_TIMESTAMPS_REWRITE)
		ts_outrun(pm, f, f->tcp.tsval - ts_base(secret, f) - ts_ticks());
	rcu_read_unlock();
}
