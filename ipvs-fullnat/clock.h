/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The clocks behind the sequence numbers and timestamps that a real server
 * sees. All clients that share a local address must look like one host to it,
 * one whose ISNs (RFC 6528) and TCP timestamps (RFC 7323) never run backwards:
 * only then does the server's TIME_WAIT give way to a new SYN on the same port.
 */
#ifndef FNAT_CLOCK_H
#define FNAT_CLOCK_H

#include <linux/bitmap.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/siphash.h>
#include <linux/types.h>

struct fnat_flow;
struct fnat_portmap;

/* Keys the two clocks of a namespace. Never changed; another one takes its place. */
struct fnat_secret {
	siphash_key_t isn;
	siphash_key_t ts;
	u32 id;			/* tells secrets apart; 0: random */
	u8 gen;			/* counts the secrets that the namespace has had */
	refcount_t refcnt;
	struct rcu_head rcu;
};

/*
 * How far senders have run ahead of a clock on one (LIP, RS). A mark counts only for
 * FNAT_MARK_LIFE after it was made: longer than any TIME_WAIT on the server, shorter than half
 * a turn of the ISN clock (137 s). Written under the lock of the port map; a reader
 * without it may see a mark that is just being made, which is one that it
 * might as well have missed.
 */
struct fnat_mark {
	u32 value;		/* ISNs: the highest; timestamps: milliseconds ahead of the clock */
	unsigned long made;	/* jiffies */
	bool valid;
};

/*
 * Ports on one (LIP, RS) whose last client had timestamps that no clock of ours follows: the
 * server may still remember them. A bit for each remainder of the port's number. They count for
 * one to two times FNAT_MARK_LIFE, in which the recent ones become the former ones.
 */
#define FNAT_ODD_CLOCKS	256

struct fnat_odd_clocks {
	DECLARE_BITMAP(recent, FNAT_ODD_CLOCKS);
	DECLARE_BITMAP(former, FNAT_ODD_CLOCKS);
	unsigned long began;	/* jiffies, of the recent ones */
	bool valid;
};

#define FNAT_MARK_LIFE	(120 * HZ)

struct fnat_secret *fnat_secret_random(void);
struct fnat_secret *fnat_secret_derive(const u8 *bytes, unsigned int len);
void fnat_secret_put(struct fnat_secret *secret);
u32 fnat_clock_isn(const struct fnat_flow *f, const struct fnat_portmap *pm);
u32 fnat_clock_tsval(const struct fnat_flow *f, const struct fnat_portmap *pm);
u8 fnat_clock_gen(const struct fnat_portmap *pm);
bool fnat_clock_is_odd(const struct fnat_flow *f, const struct fnat_portmap *pm);
void fnat_clock_flow_ends(struct fnat_flow *f, struct fnat_portmap *pm);

#endif
