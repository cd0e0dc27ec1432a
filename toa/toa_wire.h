/* SPDX-License-Identifier: GPL-2.0 */
/*
 * TOA, the TCP option that carries a client's address: its wire format, and
 * how it is put in front of the options that a packet already has.
 *
 *	kind/len  body, network order   who
 *	200/8     port 16, IPv4 32      LVS of 2012, Tencent, UCloud; our default
 *	254/8     port 16, IPv4 32      Alibaba LVS, DPVS, Huawei
 *	253/20    port 16, IPv6 128     Alibaba LVS; our default for IPv6
 *	254/20    port 16, IPv6 128     DPVS
 *
 * Only bytes and lengths here, no skb and no lock: ip_vs_fullnat, toa, the unit
 * tests and the fuzzer all compile this one file. Any context. Options can be
 * unaligned, so they are read and written bytewise or by memcpy().
 */
#ifndef TOA_WIRE_H
#define TOA_WIRE_H

#ifdef __KERNEL__
#include <linux/bits.h>
#include <linux/socket.h>
#include <linux/string.h>
#include <linux/types.h>
#else
#include <linux/types.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
typedef __u8 u8;
typedef __u16 u16;
#ifndef BIT
#define BIT(n) (1U << (n))
#endif
#endif

enum {
	TOA_KIND_200 = 200,
	TOA_KIND_253 = 253,
	TOA_KIND_254 = 254,

	TOA_KIND_DEFAULT_V4 = TOA_KIND_200,
	TOA_KIND_DEFAULT_V6 = TOA_KIND_253,
};

#define TOA_LEN_V4	8
#define TOA_LEN_V6	20
#define TOA_OPT_SPACE	40	/* bytes of options that a TCP header can have */

/* Sets of layouts that a decoder accepts. */
#define TOA_LAYOUT_200_8	BIT(0)
#define TOA_LAYOUT_254_8	BIT(1)
#define TOA_LAYOUT_253_20	BIT(2)
#define TOA_LAYOUT_254_20	BIT(3)
#define TOA_LAYOUT_ALL		(TOA_LAYOUT_200_8 | TOA_LAYOUT_254_8 | \
				 TOA_LAYOUT_253_20 | TOA_LAYOUT_254_20)

/* The standard options that toa_compose_options() never drops (RFC 9293, 7323, 2018). */
enum {
	TOA_TCPOPT_EOL = 0,
	TOA_TCPOPT_NOP = 1,
	TOA_TCPOPT_MSS = 2,
	TOA_TCPOPT_WINDOW = 3,
	TOA_TCPOPT_SACK_PERM = 4,
	TOA_TCPOPT_SACK = 5,
	TOA_TCPOPT_TIMESTAMP = 8,
};

#define TOA_TCPOLEN_MSS		4
#define TOA_TCPOLEN_WINDOW	3
#define TOA_TCPOLEN_SACK_PERM	2
#define TOA_TCPOLEN_TIMESTAMP	10
#define TOA_TCPOLEN_SACK_BASE	2
#define TOA_TCPOLEN_SACK_BLOCK	8

struct toa_client {
	u16 family;		/* AF_INET or AF_INET6 */
	__be16 port;
	union {
		__be32 v4;
		u8 v6[16];
	} addr;
};

enum toa_parse_result {
	TOA_NONE,		/* no option of an accepted layout */
	TOA_FOUND,
	TOA_MALFORMED,		/* none, but a TOA kind of a length outside the table */
};

/* True for an option that no client may send through a load balancer, whatever its length. */
static inline bool toa_is_kind(u8 kind)
{
	return kind == TOA_KIND_200 || kind == TOA_KIND_253 || kind == TOA_KIND_254;
}

/* The TOA_LAYOUT_* bit of (kind, len), 0 when the table above has no such row. */
static inline unsigned int toa_layout(u8 kind, unsigned int len)
{
	switch (kind) {
	case TOA_KIND_200:
		return len == TOA_LEN_V4 ? TOA_LAYOUT_200_8 : 0;
	case TOA_KIND_253:
		return len == TOA_LEN_V6 ? TOA_LAYOUT_253_20 : 0;
	case TOA_KIND_254:
		if (len == TOA_LEN_V4)
			return TOA_LAYOUT_254_8;
		return len == TOA_LEN_V6 ? TOA_LAYOUT_254_20 : 0;
	}
	return 0;
}

/**
 * struct toa_walk - a position in the options of a TCP header
 * @p: next byte to look at
 * @left: bytes left from there
 * @malformed: set by the walker when it stopped at an option with a bad
 *	length, which it did not return; @p and @left stay on that option
 */
struct toa_walk {
	const u8 *p;
	unsigned int left;
	bool malformed;
};

struct toa_opt {
	const u8 *p;		/* the kind byte; @len bytes from here are readable */
	u8 kind;
	u8 len;			/* of the whole option: 1 for a NOP, else 2 or more */
};

static inline void toa_walk_init(struct toa_walk *w, const u8 *opts, unsigned int len)
{
	w->p = opts;
	w->left = len;
	w->malformed = false;
}

/*
 * The next option, NOPs included. False at the end, at EOL, and at an option
 * whose length is below 2 or goes past the end (where the kernel's own
 * tcp_parse_options() stops, too).
 */
static inline bool toa_walk_next_raw(struct toa_walk *w, struct toa_opt *o)
{
	if (!w->left || *w->p == TOA_TCPOPT_EOL)
		return false;

	o->p = w->p;
	o->kind = w->p[0];
	if (o->kind == TOA_TCPOPT_NOP) {
		o->len = 1;
	} else {
		if (w->left < 2 || w->p[1] < 2 || w->p[1] > w->left) {
			w->malformed = true;
			return false;
		}
		o->len = w->p[1];
	}
	w->p += o->len;
	w->left -= o->len;
	return true;
}

/* The next option that is not a NOP. */
static inline bool toa_walk_next(struct toa_walk *w, struct toa_opt *o)
{
	while (toa_walk_next_raw(w, o))
		if (o->kind != TOA_TCPOPT_NOP)
			return true;
	return false;
}

/**
 * toa_encode - write the option
 * @buf: room for TOA_LEN_V6 bytes
 * @kind: one of TOA_KIND_*
 * @c: the client
 *
 * Return: bytes written, TOA_LEN_V4 or TOA_LEN_V6; 0 when the table has no row
 * for @kind and the client's family, and @buf is untouched then.
 */
static inline unsigned int toa_encode(u8 *buf, u8 kind, const struct toa_client *c)
{
	unsigned int len;

	if (c->family == AF_INET)
		len = TOA_LEN_V4;
	else if (c->family == AF_INET6)
		len = TOA_LEN_V6;
	else
		return 0;
	if (!toa_layout(kind, len))
		return 0;

	buf[0] = kind;
	buf[1] = len;
	memcpy(buf + 2, &c->port, 2);
	memcpy(buf + 4, &c->addr, len - 4);
	return len;
}

/* Decode an option whose (kind, len) is a row of the table. */
static inline void toa_decode(const struct toa_opt *o, struct toa_client *out)
{
	memset(out, 0, sizeof(*out));
	out->family = o->len == TOA_LEN_V4 ? AF_INET : AF_INET6;
	memcpy(&out->port, o->p + 2, 2);
	memcpy(&out->addr, o->p + 4, o->len - 4);
}

/**
 * toa_parse - find the client's address among the options of a TCP header
 * @opts: the bytes after the fixed header
 * @len: how many
 * @layouts: set of TOA_LAYOUT_*; a row outside it is skipped like a foreign option
 * @out: written on TOA_FOUND only
 *
 * The first match wins: a load balancer puts its own option first. Whether the
 * sender may be believed, and toa_client_valid(), is up to the caller.
 */
static inline enum toa_parse_result toa_parse(const u8 *opts, unsigned int len,
					      unsigned int layouts, struct toa_client *out)
{
	enum toa_parse_result res = TOA_NONE;
	struct toa_walk w;
	struct toa_opt o;
	unsigned int bit;

	toa_walk_init(&w, opts, len);
	while (toa_walk_next(&w, &o)) {
		if (!toa_is_kind(o.kind))
			continue;
		bit = toa_layout(o.kind, o.len);
		if (bit & layouts) {
			toa_decode(&o, out);
			return TOA_FOUND;
		}
		if (!bit)
			res = TOA_MALFORMED;
	}
	if (w.malformed && toa_is_kind(*w.p))
		res = TOA_MALFORMED;
	return res;
}

static inline bool toa_v4_valid(const u8 *a)
{
	return a[0] != 0 && a[0] != 127 &&
	       (a[0] & 0xf0) != 224 &&				/* multicast */
	       !(a[0] == 255 && a[1] == 255 && a[2] == 255 && a[3] == 255);
}

/*
 * Can this be the address of a TCP client on another host? Refused are port 0,
 * 0/8, 127/8, multicast, broadcast, ::, ::1, and IPv4 addresses dressed as IPv6
 * (mapped or compatible): no packet comes from those, and software that trusts
 * loopback would believe it.
 */
static inline bool toa_client_valid(const struct toa_client *c)
{
	static const u8 zero[10];
	const u8 *a = c->addr.v6;

	if (!c->port)
		return false;
	if (c->family == AF_INET)
		return toa_v4_valid((const u8 *)&c->addr.v4);
	if (c->family != AF_INET6 || a[0] == 0xff)
		return false;
	if (memcmp(a, zero, sizeof(zero)))
		return true;
	/* ::/96 holds ::, ::1 and the compatible addresses; ::ffff:0:0/96 the mapped ones */
	return !((a[10] == 0 && a[11] == 0) || (a[10] == 0xff && a[11] == 0xff));
}

/* What toa_compose_options() had to do, for counters. */
#define TOA_COMPOSE_REMOVED_FORGED	BIT(0)	/* the packet came with options of a TOA kind */
#define TOA_COMPOSE_DROPPED_OPTIONS	BIT(1)	/* no room for all that is not essential */
#define TOA_COMPOSE_MALFORMED		BIT(2)	/* options after one with a bad length cut off */

/*
 * Bit of an option that must survive, 0 for others. Without MSS, SACK-permitted
 * and window scale on the SYN the whole connection is slower, without
 * timestamps its segments are rejected (RFC 7323).
 */
static inline unsigned int toa_essential(const struct toa_opt *o, bool syn)
{
	if (o->kind == TOA_TCPOPT_TIMESTAMP)
		return o->len == TOA_TCPOLEN_TIMESTAMP ? BIT(0) : 0;
	if (!syn)
		return 0;
	if (o->kind == TOA_TCPOPT_MSS)
		return o->len == TOA_TCPOLEN_MSS ? BIT(1) : 0;
	if (o->kind == TOA_TCPOPT_SACK_PERM)
		return o->len == TOA_TCPOLEN_SACK_PERM ? BIT(2) : 0;
	if (o->kind == TOA_TCPOPT_WINDOW)
		return o->len == TOA_TCPOLEN_WINDOW ? BIT(3) : 0;
	return 0;
}

/* What the options of a packet amount to, TOA kinds left out. Lengths in bytes. */
struct toa_measure {
	unsigned int verbatim;		/* all of them, with NOPs */
	unsigned int essential;		/* the first of each essential kind */
	unsigned int flags;		/* TOA_COMPOSE_* */
};

static inline void toa_measure_options(struct toa_measure *m, const u8 *opts,
				       unsigned int len, bool syn)
{
	unsigned int seen = 0, bit;
	struct toa_walk w;
	struct toa_opt o;

	memset(m, 0, sizeof(*m));
	toa_walk_init(&w, opts, len);
	while (toa_walk_next_raw(&w, &o)) {
		if (toa_is_kind(o.kind)) {
			m->flags |= TOA_COMPOSE_REMOVED_FORGED;
			continue;
		}
		m->verbatim += o.len;
		bit = toa_essential(&o, syn);
		if (bit & ~seen)
			m->essential += o.len;
		seen |= bit;
	}
	if (w.malformed) {
		m->flags |= TOA_COMPOSE_MALFORMED;
		if (toa_is_kind(*w.p))
			m->flags |= TOA_COMPOSE_REMOVED_FORGED;
	}
}

/* All options as they are, for the case that they fit. Returns the new end of @out. */
static inline unsigned int toa_copy_verbatim(u8 *out, unsigned int n, const u8 *opts,
					     unsigned int len)
{
	struct toa_walk w;
	struct toa_opt o;

	toa_walk_init(&w, opts, len);
	while (toa_walk_next_raw(&w, &o)) {
		if (toa_is_kind(o.kind))
			continue;
		memcpy(out + n, o.p, o.len);
		n += o.len;
	}
	return n;
}

/*
 * How much of a SACK option fits: its first blocks are the latest (RFC 2018). A sender to
 * whom losses are told without any goes by its timers. 0 of other options.
 */
static inline unsigned int toa_shorten_sack(const struct toa_opt *o, unsigned int room)
{
	if (o->kind != TOA_TCPOPT_SACK || room < TOA_TCPOLEN_SACK_BASE + TOA_TCPOLEN_SACK_BLOCK)
		return 0;
	return room - (room - TOA_TCPOLEN_SACK_BASE) % TOA_TCPOLEN_SACK_BLOCK;
}

/* With the length that it has now. Returns that. */
static inline unsigned int toa_copy_option(u8 *out, const struct toa_opt *o)
{
	memcpy(out, o->p, o->len);
	if (o->len > 1)
		out[1] = o->len;
	return o->len;
}

/*
 * The essential options, and of the others in their order what has room beside
 * them; no NOPs. Returns the new end of @out, TOA_OPT_SPACE at most.
 */
static inline unsigned int toa_copy_squeezed(u8 *out, unsigned int n, const u8 *opts,
					     unsigned int len, bool syn, struct toa_measure *m)
{
	unsigned int spare = TOA_OPT_SPACE - n - m->essential;
	unsigned int seen = 0, bit;
	struct toa_walk w;
	struct toa_opt o;

	toa_walk_init(&w, opts, len);
	while (toa_walk_next(&w, &o)) {
		if (toa_is_kind(o.kind))
			continue;
		bit = toa_essential(&o, syn) & ~seen;
		seen |= bit;
		if (!bit) {
			if (o.len > spare) {
				m->flags |= TOA_COMPOSE_DROPPED_OPTIONS;
				o.len = toa_shorten_sack(&o, spare);
			}
			spare -= o.len;
		}
		n += toa_copy_option(out + n, &o);
	}
	return n;
}

/*
 * Move a lone timestamp to where hosts have it, behind two NOPs, so that its
 * words are aligned. @from is the end of the TOA.
 */
static inline unsigned int toa_align_timestamp(u8 *out, unsigned int from, unsigned int n)
{
	if (n - from != TOA_TCPOLEN_TIMESTAMP || out[from] != TOA_TCPOPT_TIMESTAMP)
		return n;
	memmove(out + from + 2, out + from, TOA_TCPOLEN_TIMESTAMP);
	out[from] = TOA_TCPOPT_NOP;
	out[from + 1] = TOA_TCPOPT_NOP;
	return n + 2;
}

/**
 * toa_compose_options - the options of a packet that leaves the load balancer
 * @out: where to write; must not overlap @opts
 * @opts: the options as the client sent them
 * @len: their length in bytes
 * @syn: the packet is a SYN
 * @toa: our own option as toa_encode() wrote it, or NULL
 * @toa_len: its length, 0, TOA_LEN_V4 or TOA_LEN_V6
 * @flags: TOA_COMPOSE_* are or'ed in
 *
 * Ours comes first, then the packet's without any of a TOA kind, so that nobody
 * can forge an address through us. If all fit they keep their layout. If not,
 * timestamps (on a SYN also MSS, SACK-permitted and window scale) stay and
 * others are dropped from the end: 20 + 10 + 4 + 2 + 3 = 39 bytes always fit.
 * What follows an option with a bad length is never copied: another parser
 * might see a TOA in it.
 *
 * Return: bytes in @out, a multiple of 4, TOA_OPT_SPACE at most.
 */
static inline int toa_compose_options(u8 out[TOA_OPT_SPACE], const u8 *opts, unsigned int len,
				      bool syn, const u8 *toa, unsigned int toa_len,
				      unsigned int *flags)
{
	struct toa_measure m;
	unsigned int n = 0;

	if (toa_len) {
		memcpy(out, toa, toa_len);
		n = toa_len;
	}
	toa_measure_options(&m, opts, len, syn);
	if (n + m.verbatim <= TOA_OPT_SPACE) {
		n = toa_copy_verbatim(out, n, opts, len);
	} else {
		n = toa_copy_squeezed(out, n, opts, len, syn, &m);
		n = toa_align_timestamp(out, toa_len, n);
	}
	while (n % 4)
		out[n++] = TOA_TCPOPT_NOP;
	*flags |= m.flags;
	return n;
}

#endif /* TOA_WIRE_H */
