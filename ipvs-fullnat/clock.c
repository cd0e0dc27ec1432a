// SPDX-License-Identifier: GPL-2.0
/* See clock.h. Softirq or BH off. */
#include <linux/random.h>
#include <linux/ktime.h>
#include <linux/timekeeping.h>
#include <uapi/linux/ip_vs_fullnat.h>

#include "clock.h"
#include "flow.h"
#include "laddr.h"

/* A client's last segments are not echoed: their TSvals may be this much higher. */
#define FNAT_TS_SLACK	4096

/* Process context. */
void fnat_secret_init(struct fnat_secret *secret)
{
	get_random_bytes(secret, sizeof(*secret));
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

/* The clock, or just past the mark where a sender has outrun the clock. */
static u32 clock_or_mark(u32 ticks, const struct fnat_mark *mark)
{
	if (mark_is_live(mark) && (s32)(mark->value - ticks) >= 0)
		return mark->value + 1;
	return ticks;
}

static void mark_raise(struct fnat_mark *mark, u32 value, u32 ticks)
{
	if ((s32)(value - ticks) <= 0)
		return;
	if (mark_is_live(mark) && (s32)(value - mark->value) <= 0)
		return;
	mark->value = value;
	mark->made = jiffies;
	mark->valid = true;
}

/* The ISN that the RS shall see in a SYN of this flow. */
u32 fnat_clock_isn(const struct fnat_flow *f, const struct fnat_portmap *pm)
{
	return isn_base(&pm->key.laddr->secret, f) + clock_or_mark(isn_ticks(), &pm->isn_mark);
}

/* The TSval that the RS shall see in a SYN of this flow. */
u32 fnat_clock_tsval(const struct fnat_flow *f, const struct fnat_portmap *pm)
{
	return ts_base(&pm->key.laddr->secret, f) + clock_or_mark(ts_ticks(), &pm->ts_mark);
}

/* Remembers how far the flow has run ahead. The caller holds pm->lock. */
void fnat_clock_flow_ends(struct fnat_flow *f, struct fnat_portmap *pm)
{
	const struct fnat_secret *secret = &pm->key.laddr->secret;

	lockdep_assert_held(&pm->lock);
	/* another node's offsets may have come from another secret */
	if (f->protocol != IPPROTO_TCP || f->sync_state != FNAT_SYNC_NONE)
		return;
	mark_raise(&pm->isn_mark, f->tcp.seq_end - isn_base(secret, f), isn_ticks());
	if (f->tcp.has_tsval && f->tcp.timestamps == FULLNAT_TIMESTAMPS_REWRITE)
		mark_raise(&pm->ts_mark, f->tcp.tsval + FNAT_TS_SLACK - ts_base(secret, f),
			   ts_ticks() + FNAT_TS_SLACK);
}
