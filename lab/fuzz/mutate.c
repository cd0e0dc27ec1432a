// SPDX-License-Identifier: GPL-2.0
/*
 * Each packet begins as the next right one of a live connection, in either
 * direction, so that it gets past the lookups; then one kind of thing is made
 * wrong with it. What it is depends on the seed and the packet's number alone.
 */
#include <string.h>

#include "mutate.h"

#define PAYLOAD_MAX	1300
#define GSO_PAYLOAD_MAX	8000

const char *const kind_names[KIND_MAX] = {
	"transport", "stray", "icmp", "fragments", "gso", "ip", "ipv6", "damage",
};

/* How often, in percent. */
static const unsigned int kind_weights[KIND_MAX] = { 40, 8, 14, 10, 8, 8, 4, 8 };

static const uint8_t flag_choices[] = {
	TCP_ACK, TCP_ACK, TCP_ACK, TCP_PSH | TCP_ACK, TCP_PSH | TCP_ACK, TCP_PSH | TCP_ACK,
	TCP_ACK | TCP_URG, TCP_FIN | TCP_ACK, TCP_FIN, TCP_SYN, TCP_SYN, TCP_SYN | TCP_ACK,
	TCP_SYN | TCP_FIN, TCP_SYN | TCP_RST, TCP_RST, TCP_RST | TCP_ACK, 0, 0xff,
};

static uint32_t near(struct rng *r, uint32_t value)
{
	switch (rng_below(r, 10)) {
	case 0:
		return (uint32_t)rng_next(r);
	case 1:
	case 2:
		return value + rng_below(r, 4000) - 2000;
	case 3:
		return value + (1u << rng_below(r, 32));
	default:
		return value;
	}
}

/* The next packet of the flow from this side, by its right addresses and numbers. */
static void next_segment(struct rng *r, const struct flow *flow, enum from side,
			 struct segment *s)
{
	bool client = side == SIDE_CLIENT;

	memset(s, 0, sizeof(*s));
	s->protocol = flow->protocol;
	s->src = client ? flow->client : flow->rs;
	s->dst = client ? flow->vip : flow->local;
	s->flags = TCP_ACK | TCP_PSH;
	s->seq = client ? flow->client_seq : flow->rs_seq;
	s->ack = client ? flow->rs_seq : flow->client_seq_rs;
	s->payload_len = rng_percent(r, 50) ? rng_below(r, PAYLOAD_MAX) : rng_below(r, 3);
}

static void mutate_segment(struct rng *r, struct segment *s)
{
	s->flags = rng_pick(r, flag_choices);
	s->seq = near(r, s->seq);
	s->ack = near(r, s->ack);
	if (s->protocol == IPPROTO_TCP)
		s->options_len = random_tcp_options(r, s->options);
}

static void build(const struct mutator *m, enum from side, const struct segment *s,
		  struct frame *f)
{
	frame_begin(f, m->gateway[side], m->mac[side], s->src.family);
	frame_segment(f, s);
	frame_finish(f);
}

/* The fields of the TCP header that are not numbers of the connection. */
static void lie_in_tcp_header(struct rng *r, struct frame *f)
{
	uint8_t *tcp = f->data + f->transport;

	if (rng_percent(r, 10))
		tcp[12] = (uint8_t)(rng_below(r, 16) << 4 | (tcp[12] & 15));
	if (rng_percent(r, 5))
		tcp[12] |= (uint8_t)rng_below(r, 16);
	if (rng_percent(r, 20))
		put16(tcp + 14, (uint32_t)rng_next(r));
	if (rng_percent(r, 10))
		put16(tcp + 18, (uint32_t)rng_next(r));
	frame_finish(f);
	if (rng_percent(r, 8))
		put16(tcp + 16, (uint32_t)rng_next(r));
}

static void lie_in_udp_header(struct rng *r, struct frame *f)
{
	uint8_t *udp = f->data + f->transport;

	if (rng_percent(r, 20))
		put16(udp + 4, rng_percent(r, 50) ? rng_below(r, 16) : (uint32_t)rng_next(r));
	frame_finish(f);
	if (rng_percent(r, 20))
		put16(udp + 6, rng_percent(r, 50) ? 0 : (uint32_t)rng_next(r));
}

static void lie_in_header(struct rng *r, struct frame *f)
{
	if (f->protocol == IPPROTO_TCP)
		lie_in_tcp_header(r, f);
	else
		lie_in_udp_header(r, f);
}

static void make_transport(const struct mutator *m, struct rng *r, struct segment *s,
			   struct shot *shot)
{
	mutate_segment(r, s);
	build(m, shot->side, s, &shot->frames[0]);
	lie_in_header(r, &shot->frames[0]);
}

static void make_stray(const struct mutator *m, struct rng *r, struct segment *s,
		       struct shot *shot)
{
	static const uint16_t ports[] = { 0, 1, 22, 53, 80, 443, 1024, 1025, 8000, 32768, 65535 };

	if (rng_percent(r, 60))
		s->dst.port = rng_percent(r, 50) ? rng_pick(r, ports) : (uint16_t)rng_next(r);
	s->src.port = (uint16_t)rng_next(r);
	make_transport(m, r, s, shot);
}

/* An error that an ICMP of this family may be about; the rest of the header is noise. */
static void icmp_header(struct rng *r, int family, uint8_t *icmp)
{
	static const uint8_t types4[] = { 3, 3, 3, 3, 11, 12, 4, 5, 8, 0, 13, 17, 40 };
	static const uint8_t types6[] = { 1, 2, 2, 3, 4, 128, 129, 135, 137, 200 };
	static const uint16_t mtus[] = { 0, 1, 20, 68, 256, 552, 1200, 1280, 1400, 9000, 65535 };

	memset(icmp, 0, 8);
	icmp[0] = family == AF_INET ? rng_pick(r, types4) : rng_pick(r, types6);
	icmp[1] = (uint8_t)(rng_percent(r, 60) ? 4 : rng_below(r, 18));
	put16(icmp + 6, rng_pick(r, mtus));
	if (rng_percent(r, 20))
		icmp[4] = (uint8_t)rng_next(r);
	if (rng_percent(r, 10))
		rng_fill(r, icmp, 8);
}

static void flip_bits(struct rng *r, uint8_t *p, unsigned int len)
{
	unsigned int i, flips = rng_range(r, 1, 8);

	for (i = 0; i < flips && len; i++) {
		unsigned int at = rng_below(r, len);

		p[at] ^= (uint8_t)(1u << rng_below(r, 8));
	}
}

/* A packet that came to this side, as an error quotes it. */
static unsigned int make_quote(const struct mutator *m, struct rng *r, const struct segment *s,
			       enum from side, struct frame *quote)
{
	struct segment received = *s;
	unsigned int len, header;

	received.src = s->dst;
	received.dst = s->src;
	received.seq = near(r, s->ack);
	received.ack = near(r, s->seq);
	if (rng_percent(r, 30) && s->protocol == IPPROTO_TCP)
		received.options_len = random_tcp_options(r, received.options);
	build(m, side, &received, quote);
	len = quote->len - ETH_LEN;
	header = ip_header_len(s->src.family);
	if (rng_percent(r, 30))
		flip_bits(r, quote->data + ETH_LEN, header + TCP_LEN);
	switch (rng_below(r, 4)) {
	case 0:
		return header + 8;
	case 1:
		return rng_below(r, header + TCP_LEN);
	case 2:
		return rng_below(r, len + 1);
	default:
		return len > 548 ? 548 : len;
	}
}

static void make_icmp(const struct mutator *m, struct rng *r, struct segment *s,
		      struct shot *shot)
{
	struct frame *f = &shot->frames[0], *quote = &shot->frames[1];
	bool v4 = s->src.family == AF_INET;
	unsigned int len = make_quote(m, r, s, shot->side, quote);
	uint8_t icmp[8];

	icmp_header(r, s->src.family, icmp);
	/* some router on the way */
	if (rng_percent(r, 50))
		s->src.addr[addr_len(s->src.family) - 1] ^= (uint8_t)rng_below(r, 8);
	frame_begin(f, m->gateway[shot->side], m->mac[shot->side], s->src.family);
	frame_ip(f, &s->src, &s->dst, v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	frame_add(f, icmp, sizeof(icmp));
	frame_add(f, quote->data + ETH_LEN, len);
	frame_finish(f);
	if (rng_percent(r, 8))
		f->data[f->transport + 2] ^= 0x55;
}

static const uint16_t odd_sizes[] = { 0, 1, 7, 8, 100, 536, 1440, 1448, 1452, 1460, 9000, 65535 };

static void make_gso(const struct mutator *m, struct rng *r, struct segment *s,
		     struct shot *shot)
{
	static const uint8_t types[] = { 0, 1, 1, 1, 1, 3, 4, 5, 1 | 0x80 };
	struct frame *f = &shot->frames[0];
	unsigned int header;

	mutate_segment(r, s);
	s->payload_len = rng_below(r, GSO_PAYLOAD_MAX);
	build(m, shot->side, s, f);
	header = f->len - s->payload_len;
	f->vnet.flags = rng_percent(r, 90) ? VIRTIO_NET_HDR_F_NEEDS_CSUM : (uint8_t)rng_next(r);
	f->vnet.gso_type = s->src.family == AF_INET6 && rng_percent(r, 80) ? 4 : rng_pick(r, types);
	f->vnet.gso_size = rng_percent(r, 70) ? rng_pick(r, odd_sizes) : (uint16_t)rng_next(r);
	f->vnet.hdr_len = (uint16_t)(rng_percent(r, 80) ? header : rng_below(r, 200));
	f->vnet.csum_start = (uint16_t)(rng_percent(r, 85) ? f->transport :
					rng_below(r, header + 4));
	f->vnet.csum_offset = (uint16_t)(rng_percent(r, 90) ? checksum_offset(s->protocol) :
					 rng_below(r, 40));
	frame_finish(f);
	if (rng_percent(r, 15))
		lie_in_header(r, f);
}

static void lie_in_ipv4_header(struct rng *r, struct frame *f)
{
	uint8_t *ip = f->data + ETH_LEN;

	switch (rng_below(r, 8)) {
	case 0:
		ip[8] = (uint8_t)rng_below(r, 3);		/* TTL */
		break;
	case 1:
		ip[9] = (uint8_t)rng_next(r);			/* protocol */
		break;
	case 2:
		ip[1] = (uint8_t)rng_next(r);			/* TOS */
		break;
	case 3:
		put16(ip + 6, (uint32_t)rng_next(r) & 0xe000);	/* flags */
		break;
	default:
		break;
	}
	frame_fix_ipv4(f);
	switch (rng_below(r, 8)) {
	case 0:
		ip[0] = (uint8_t)(ip[0] & 0xf0) | rng_below(r, 16);
		break;
	case 1:
		put16(ip + 2, rng_below(r, 2000));
		break;
	case 2:
		put16(ip + 10, (uint32_t)rng_next(r));
		return;
	default:
		return;
	}
	put16(ip + 10, 0);
	put16(ip + 10, checksum(ip, (ip[0] & 15) * 4u, 0));
}

static void make_ip(const struct mutator *m, struct rng *r, struct segment *s,
		    struct shot *shot)
{
	struct frame *f = &shot->frames[0];
	uint8_t options[TCP_OPTIONS_MAX];
	unsigned int len;

	if (rng_percent(r, 40))
		mutate_segment(r, s);
	build(m, shot->side, s, f);
	if (!frame_is_v4(f)) {
		rng_fill(r, f->data + ETH_LEN + rng_below(r, 8), 1);
		return;
	}
	if (rng_percent(r, 60)) {
		len = random_ip_options(r, options);
		frame_insert(f, ETH_LEN + IPV4_LEN, options, len);
		f->data[ETH_LEN] += (uint8_t)(len / 4);
		frame_finish(f);
	}
	lie_in_ipv4_header(r, f);
}

/* Extension headers in front of the transport header; returns the first one's type. */
static uint8_t add_extensions(struct rng *r, struct frame *f, uint8_t next)
{
	static const uint8_t types[] = { 0, 43, 44, 60, 60, 51, 135, 59 };
	unsigned int i, count = rng_range(r, 1, 4), len;
	uint8_t header[64];

	for (i = 0; i < count; i++) {
		len = 8 * rng_range(r, 1, 5);
		rng_fill(r, header, len);
		header[0] = next;
		next = rng_pick(r, types);
		header[1] = (uint8_t)(len / 8 - 1);
		if (next == 0 || next == 60) {
			header[2] = 1;		/* PadN */
			header[3] = (uint8_t)(len - 4);
			memset(header + 4, 0, len - 4);
		} else if (next == 44) {
			len = 8;
			put16(header + 2, rng_percent(r, 60) ? 0 : (uint32_t)rng_next(r));
		}
		if (rng_percent(r, 10))
			rng_fill(r, header + rng_below(r, 4), 1);
		frame_insert(f, ETH_LEN + IPV6_LEN, header, len);
	}
	return next;
}

/* The same connection's packet; where it is IPv4, one between IPv6 addresses like it. */
static void to_v6(struct endpoint *e)
{
	if (e->family == AF_INET6)
		return;
	memmove(e->addr + 12, e->addr, 4);
	memset(e->addr, 0, 12);
	e->addr[0] = 0xfd;
	e->family = AF_INET6;
}

static void make_ipv6(const struct mutator *m, struct rng *r, struct segment *s,
		      struct shot *shot)
{
	struct frame *f = &shot->frames[0];
	uint8_t next;

	to_v6(&s->src);
	to_v6(&s->dst);
	mutate_segment(r, s);
	build(m, shot->side, s, f);
	next = add_extensions(r, f, s->protocol);
	f->data[ETH_LEN + 6] = next;
	put16(f->data + ETH_LEN + 4, f->len - ETH_LEN - IPV6_LEN);
	if (rng_percent(r, 20))
		put16(f->data + ETH_LEN + 4, rng_below(r, 1600));
}

static void make_damage(const struct mutator *m, struct rng *r, struct segment *s,
			struct shot *shot)
{
	struct frame *f = &shot->frames[0];

	mutate_segment(r, s);
	build(m, shot->side, s, f);
	if (rng_percent(r, 60))
		f->len = rng_range(r, ETH_LEN, f->len);
	/* half of those say so in their length */
	if (frame_is_v4(f) && f->len >= ETH_LEN + IPV4_LEN && rng_percent(r, 50))
		frame_fix_ipv4(f);
	if (rng_percent(r, 60))
		flip_bits(r, f->data + ETH_LEN, f->len - ETH_LEN);
}

/* One fragment: bytes from..to of what follows IP, said to be at "offset" and on. */
static void cut(const struct frame *whole, unsigned int from, unsigned int to,
		unsigned int offset, bool more, struct frame *f)
{
	const uint8_t *rest = whole->data + whole->transport;
	bool v4 = frame_is_v4(whole);
	uint8_t header[8] = {};

	memcpy(f->data, whole->data, whole->transport);
	f->vnet = whole->vnet;
	f->len = whole->transport;
	f->transport = whole->transport;
	f->protocol = whole->protocol;
	if (!v4) {
		header[0] = f->data[ETH_LEN + 6];
		f->data[ETH_LEN + 6] = 44;
		put16(header + 2, (offset & ~7u) | more);
		memcpy(header + 4, f->data + ETH_LEN + 8, 4);
		frame_add(f, header, sizeof(header));
	}
	frame_add(f, rest + from, to - from);
	if (v4) {
		put16(f->data + ETH_LEN + 6, offset / 8 | (more ? 0x2000 : 0));
		frame_fix_ipv4(f);
	} else {
		put16(f->data + ETH_LEN + 4, f->len - ETH_LEN - IPV6_LEN);
	}
}

/* "at" is where the fragment is said to be: overlapping, with a gap, beyond the end. */
static unsigned int fragment_offset(struct rng *r, unsigned int from)
{
	switch (rng_below(r, 12)) {
	case 0:
		return from >= 8 ? from - 8 : 0;
	case 1:
		return from + 8;
	case 2:
		return 8 * rng_below(r, 8192);
	default:
		return from;
	}
}

static void swap_frames(struct frame *a, struct frame *b)
{
	static struct frame t;

	t = *a;
	*a = *b;
	*b = t;
}

static void make_fragments(const struct mutator *m, struct rng *r, struct segment *s,
			   struct shot *shot)
{
	unsigned int count = rng_range(r, 2, SHOT_MAX - 1), from = 0, to, len, offset, i;
	bool more;
	struct frame *whole = &shot->frames[SHOT_MAX - 1];

	if (rng_percent(r, 40))
		mutate_segment(r, s);
	build(m, shot->side, s, whole);
	/* the same identification again spoils what waits to be completed */
	if (rng_percent(r, 90))
		put16(whole->data + ETH_LEN + 4, (uint32_t)rng_next(r));
	if (!frame_is_v4(whole))
		put16(whole->data + ETH_LEN + 4, whole->len - ETH_LEN - IPV6_LEN);
	len = whole->len - whole->transport;
	for (i = 0; i < count && from < len; i++) {
		to = i == count - 1 ? len : from + 8 * rng_range(r, 1, 1 + len / 8 / count);
		if (to > len)
			to = len;
		offset = fragment_offset(r, from);
		more = to < len || rng_percent(r, 5);
		cut(whole, from, to, offset, more, &shot->frames[i]);
		from = to;
	}
	shot->count = i;
	if (i > 1 && rng_percent(r, 30))
		swap_frames(&shot->frames[0], &shot->frames[rng_below(r, i)]);
	if (i > 1 && rng_percent(r, 15))
		shot->count--;
}

static enum kind random_kind(struct rng *r, unsigned int kinds)
{
	unsigned int kind, dice;

	for (;;) {
		dice = rng_below(r, 100);
		for (kind = 0; dice >= kind_weights[kind]; kind++)
			dice -= kind_weights[kind];
		if (kinds & 1u << kind)
			return kind;
	}
}

static void (*const makers[KIND_MAX])(const struct mutator *, struct rng *, struct segment *,
				      struct shot *) = {
	[KIND_TRANSPORT] = make_transport,
	[KIND_STRAY] = make_stray,
	[KIND_ICMP] = make_icmp,
	[KIND_FRAGMENTS] = make_fragments,
	[KIND_GSO] = make_gso,
	[KIND_IP] = make_ip,
	[KIND_IPV6] = make_ipv6,
	[KIND_DAMAGE] = make_damage,
};

/* The packet of this number. */
void mutate(const struct mutator *m, uint64_t number, struct shot *shot)
{
	const struct flow *flow;
	struct segment s;
	struct rng r;

	rng_seed(&r, m->seed, number);
	flow = &m->flows[rng_below(&r, m->flow_count)];
	shot->side = rng_percent(&r, 55) ? SIDE_CLIENT : SIDE_SERVER;
	shot->kind = random_kind(&r, m->kinds);
	shot->count = 1;
	next_segment(&r, flow, shot->side, &s);
	makers[shot->kind](m, &r, &s, shot);
}
