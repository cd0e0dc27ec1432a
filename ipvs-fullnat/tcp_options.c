// SPDX-License-Identifier: GPL-2.0
/*
 * Changes to options that a packet has, in place and without changing lengths.
 * Pure functions on bytes: any context.
 */
#include <net/mptcp.h>
#include <net/tcp.h>

#include "compat.h"
#include "tcp.h"
#include "toa_wire.h"

/* NOP NOP TS: what nearly every packet has; skips the walk. */
static u8 *aligned_timestamp(u8 *opts, unsigned int len)
{
	if (len == TCPOLEN_TSTAMP_ALIGNED &&
	    get_unaligned_be32(opts) == ((TCPOPT_NOP << 24) | (TCPOPT_NOP << 16) |
					 (TCPOPT_TIMESTAMP << 8) | TCPOLEN_TIMESTAMP))
		return opts + 4;
	return NULL;
}

/* The eight bytes TSval and TSecr; NULL: no timestamps. */
static u8 *find_timestamp(u8 *opts, unsigned int len)
{
	u8 *ts = aligned_timestamp(opts, len);
	struct toa_walk w;
	struct toa_opt o;

	if (ts || !len)
		return ts;
	toa_walk_init(&w, opts, len);
	while (toa_walk_next(&w, &o))
		if (o.kind == TCPOPT_TIMESTAMP && o.len == TCPOLEN_TIMESTAMP)
			return (u8 *)o.p + 2;
	return NULL;
}

/*
 * Where the only options are timestamps in their usual place, which "ts" is then, or none
 * at all, which is NULL. False: others.
 */
bool fnat_tcp_options_usual(u8 *opts, unsigned int len, __be32 **ts)
{
	*ts = (__be32 *)aligned_timestamp(opts, len);
	return *ts || !len;
}

static void be32_add(u8 *p, u32 delta)
{
	put_unaligned_be32(get_unaligned_be32(p) + delta, p);
}

bool fnat_tcp_options_tsval(const u8 *opts, unsigned int len, u32 *tsval)
{
	const u8 *ts = find_timestamp((u8 *)opts, len);

	if (!ts)
		return false;
	*tsval = get_unaligned_be32(ts);
	return true;
}

bool fnat_tcp_options_tsecr(const u8 *opts, unsigned int len, u32 *tsecr)
{
	const u8 *ts = find_timestamp((u8 *)opts, len);

	if (!ts)
		return false;
	*tsecr = get_unaligned_be32(ts + 4);
	return true;
}

void fnat_tcp_options_add_tsval(u8 *opts, unsigned int len, u32 delta)
{
	u8 *ts = find_timestamp(opts, len);

	if (ts)
		be32_add(ts, delta);
}

static void sub_sack(const struct toa_opt *o, u32 delta)
{
	u8 *p = (u8 *)o->p + TCPOLEN_SACK_BASE;
	const u8 *end = o->p + o->len;

	for (; p + 4 <= end; p += 4)
		be32_add(p, -delta);
}

/* What a reply echoes of requests: TSecr (valid with ACK, RFC 7323) and SACK blocks. */
void fnat_tcp_options_sub_reply(u8 *opts, unsigned int len, const struct fnat_tcp_offsets *off,
				bool ack)
{
	u8 *ts = aligned_timestamp(opts, len);
	struct toa_walk w;
	struct toa_opt o;

	if (!ack)
		return;
	if (ts) {
		be32_add(ts + 4, -off->ts);
		return;
	}
	toa_walk_init(&w, opts, len);
	while (toa_walk_next(&w, &o)) {
		if (o.kind == TCPOPT_TIMESTAMP && o.len == TCPOLEN_TIMESTAMP)
			be32_add((u8 *)o.p + 6, -off->ts);
		else if (o.kind == TCPOPT_SACK)
			sub_sack(&o, off->seq);
	}
}

/*
 * Options of a SYN that cannot work through us: MPTCP, whose other subflows
 * would not reach the same RS, and the TFO cookie, which is bound to addresses
 * that the RS never sees. The experimental TFO option has a TOA's kind.
 */
void fnat_tcp_options_neutralise_syn(u8 *opts, unsigned int len, bool strip_timestamps)
{
	struct toa_walk w;
	struct toa_opt o;

	toa_walk_init(&w, opts, len);
	while (toa_walk_next(&w, &o))
		if (o.kind == TCPOPT_MPTCP || o.kind == TCPOPT_FASTOPEN ||
		    (strip_timestamps && o.kind == TCPOPT_TIMESTAMP))
			memset((u8 *)o.p, TCPOPT_NOP, o.len);
}

/*
 * Makes NOPs of MPTCP, which has no place in a request: with SYN cookies an RS would take it
 * from the last ACK of a handshake. And, where toa_compose_options() does not, of every TOA,
 * and of what another parser might see behind the end of the options or one with a bad length.
 * True if there was a TOA.
 */
bool fnat_tcp_options_neutralise(u8 *opts, unsigned int len, bool toa)
{
	bool found = false;
	struct toa_walk w;
	struct toa_opt o;

	toa_walk_init(&w, opts, len);
	while (toa_walk_next(&w, &o)) {
		if (o.kind != TCPOPT_MPTCP && !(toa && toa_is_kind(o.kind)))
			continue;
		memset((u8 *)o.p, TCPOPT_NOP, o.len);
		found |= o.kind != TCPOPT_MPTCP;
	}
	if (toa) {
		found |= w.malformed && toa_is_kind(*w.p);
		memset((u8 *)w.p, TCPOPT_NOP, w.left);
	}
	return found;
}

/* The sender's window scale; 0: none. */
u8 fnat_tcp_options_window_scale(const u8 *opts, unsigned int len)
{
	struct toa_walk w;
	struct toa_opt o;

	toa_walk_init(&w, opts, len);
	while (toa_walk_next(&w, &o))
		if (o.kind == TCPOPT_WINDOW && o.len == TCPOLEN_WINDOW)
			return min_t(u8, o.p[2], TCP_MAX_WSCALE);
	return 0;
}

/* Never below the floor. True if it was changed. */
bool fnat_tcp_options_lower_mss(u8 *opts, unsigned int len, unsigned int by, unsigned int floor)
{
	struct toa_walk w;
	struct toa_opt o;

	toa_walk_init(&w, opts, len);
	while (toa_walk_next(&w, &o)) {
		unsigned int mss;

		if (o.kind != TCPOPT_MSS || o.len != TCPOLEN_MSS)
			continue;
		mss = get_unaligned_be16(o.p + 2);
		if (mss <= floor)
			return false;
		put_unaligned_be16(max(mss - min(by, mss), floor), (u8 *)o.p + 2);
		return true;
	}
	return false;
}
