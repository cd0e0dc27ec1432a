// SPDX-License-Identifier: GPL-2.0
/*
 * Putting the TOA into a request, first of its options. No room is no excuse:
 * when the header is full, options that can be missed give way; when the packet
 * gets too long for the path, it becomes a GSO packet (or one with smaller
 * segments), so that the stack cuts it and each segment carries the TOA.
 *
 * Softirq, or process context (LOCAL_OUT), under RCU. The packet is rewritten
 * already, and its headers are ours (fnat_prepare()).
 */
#include <linux/tcp.h>
#include <net/dst.h>
#include <net/ip.h>
#include <net/tcp.h>

#include "ip.h"
#include "net.h"
#include "tcp.h"
#include "toa_wire.h"

/* Bytes that a TOA of this TCP flow takes: 8, 20, or 0 when it sends none. */
unsigned int fnat_toa_len(const struct fnat_flow *f)
{
	if (!f->tcp.toa_kind)
		return 0;
	return fnat_is_v6(f->af) ? TOA_LEN_V6 : TOA_LEN_V4;
}

/* May requests of the flow still carry one? */
bool fnat_toa_is_due(const struct fnat_flow *f)
{
	return f->protocol == IPPROTO_TCP && fnat_tcp_toa_is_due(f);
}

static unsigned int toa_encode_flow(const struct fnat_flow *f, u8 *toa)
{
	struct toa_client client = {
		.family = f->af,
		.port = f->cport,
	};

	if (f->af == AF_INET)
		client.addr.v4 = f->caddr.ip;
	else
		memcpy(client.addr.v6, &f->caddr.in6, sizeof(client.addr.v6));
	return toa_encode(toa, f->tcp.toa_kind, &client);
}

static void count_compose(struct fnat_net *fn, unsigned int flags)
{
	if (flags & TOA_COMPOSE_REMOVED_FORGED)
		fnat_stat_inc(fn, toa_forged);
	if (flags & TOA_COMPOSE_DROPPED_OPTIONS)
		fnat_stat_inc(fn, toa_dropped_options);
	if (flags & TOA_COMPOSE_MALFORMED)
		fnat_stat_inc(fn, options_malformed);
}

/* Moves the headers up to make "grow" bytes of room behind the fixed TCP header. */
static struct tcphdr *grow_header(struct fnat_pkt *pkt, unsigned int grow)
{
	struct sk_buff *skb = pkt->skb;
	unsigned int keep = pkt->thoff + sizeof(struct tcphdr);

	if (grow) {
		skb_push(skb, grow);
		memmove(skb->data, skb->data + grow, keep);
		skb_reset_network_header(skb);
		skb_set_transport_header(skb, pkt->thoff);
		tcp_hdr(skb)->doff += grow / 4;
	}
	return tcp_hdr(skb);
}

static void replace_options(struct fnat_pkt *pkt, const u8 *opts, unsigned int new_len,
			    unsigned int old_len)
{
	struct fnat_csum csum;
	struct tcphdr *th;

	fnat_csum_begin(pkt, sizeof(*th) + old_len, &csum);
	th = grow_header(pkt, new_len - old_len);
	memcpy(th + 1, opts, new_len);
	fnat_csum_end(pkt, sizeof(*th) + new_len, &csum);
}

/* Devices have limits to both, and queues count the segments. */
static void set_segments(struct sk_buff *skb, unsigned int headers, unsigned int size)
{
	skb_shinfo(skb)->gso_size = size;
	skb_shinfo(skb)->gso_segs = DIV_ROUND_UP(skb->len - headers, size);
}

/*
 * The length of a segment with the TOA must fit: payload of a GSO packet is
 * shared out anew. False: no room for any payload at all.
 */
static bool shrink_segments(struct fnat_pkt *pkt, unsigned int mtu)
{
	struct sk_buff *skb = pkt->skb;
	unsigned int headers = pkt->thoff + tcp_hdrlen(skb);

	if (headers + skb_shinfo(skb)->gso_size <= mtu)
		return true;
	if (headers + 8 > mtu)
		return false;
	set_segments(skb, headers, mtu - headers);
	/* skb_segment() cannot cut the members of a list to another size */
	if (skb_has_frag_list(skb) && skb_linearize(skb))
		return false;
	fnat_stat_inc(pkt->fn, toa_gso);
	return true;
}

/* GSO computes checksums: a wrong one must not become right by it. */
static bool checksum_is_good(const struct fnat_pkt *pkt)
{
	struct sk_buff *skb = pkt->skb;
	unsigned int len = skb->len - pkt->thoff;
	__wsum sum;

	if (skb->ip_summed != CHECKSUM_NONE)
		return true;
	sum = skb_checksum(skb, pkt->thoff, len, 0);
	return !fnat_ip_magic(skb, pkt->flow->af, len, IPPROTO_TCP, sum);
}

static void checksum_set_partial(const struct fnat_pkt *pkt)
{
	struct sk_buff *skb = pkt->skb;
	struct fnat_csum unused = {};

	skb->ip_summed = CHECKSUM_PARTIAL;
	skb->csum_offset = offsetof(struct tcphdr, check);
	fnat_csum_end(pkt, 0, &unused);
}

/* Makes a plain packet a GSO packet, whose segments fit. 0 or the reason to drop it. */
static int split(struct fnat_pkt *pkt, unsigned int mtu)
{
	struct sk_buff *skb = pkt->skb;
	unsigned int headers = pkt->thoff + tcp_hdrlen(skb);

	if (headers + 8 > mtu)
		return FNAT_DROP(drop_toobig);
	if (!checksum_is_good(pkt))
		return FNAT_DROP(drop_csum);
	if (skb_unclone(skb, GFP_ATOMIC) || (skb_has_frag_list(skb) && skb_linearize(skb)))
		return FNAT_DROP(drop_nomem);
	if (tcp_hdr(skb)->syn || tcp_hdr(skb)->urg) {
		/*
		 * A SYN cannot be cut in two, and both parts would have the same urgent pointer;
		 * the client sends again what the RS lacks.
		 */
		if (pskb_trim(skb, mtu))
			return FNAT_DROP(drop_nomem);
		tcp_hdr(skb)->fin = 0;
	} else {
		skb_shinfo(skb)->gso_type = SKB_GSO_DODGY |
			(fnat_is_v6(pkt->flow->af) ? SKB_GSO_TCPV6 : SKB_GSO_TCPV4) |
			(tcp_hdr(skb)->cwr ? SKB_GSO_TCP_ECN : 0);
		set_segments(skb, headers, mtu - headers);
		fnat_ip_forget_fragments(skb, pkt->flow->af);
	}
	checksum_set_partial(pkt);
	fnat_stat_inc(pkt->fn, toa_split);
	return 0;
}

static int fit_to_path(struct fnat_pkt *pkt)
{
	unsigned int mtu = dst_mtu(pkt->dst);

	if (skb_is_gso(pkt->skb))
		return shrink_segments(pkt, mtu) ? 0 : FNAT_DROP(drop_toobig);
	if (pkt->skb->len > mtu)
		return split(pkt, mtu);
	return 0;
}

/* The new options, as toa_compose_options() makes them; what most packets have needs no walk. */
static unsigned int compose(struct fnat_pkt *pkt, u8 *opts, unsigned int old_len, const u8 *toa,
			    unsigned int toa_len)
{
	const struct tcphdr *th = tcp_hdr(pkt->skb);
	unsigned int new_len, flags = 0;
	u8 *old = (u8 *)(th + 1);
	__be32 *ts;

	if (fnat_tcp_options_usual(old, old_len, &ts)) {
		memcpy(opts, toa, toa_len);
		memcpy(opts + toa_len, old, old_len);
		return toa_len + old_len;
	}
	new_len = toa_compose_options(opts, old, old_len, th->syn, toa, toa_len, &flags);
	count_compose(pkt->fn, flags);
	return new_len;
}

/**
 * fnat_toa_insert - compose the options of a request anew
 * @pkt: the packet
 * @with_toa: put the flow's TOA first; else only take out what the client must
 *	not send
 *
 * Return: 0 or FNAT_DROP().
 */
int fnat_toa_insert(struct fnat_pkt *pkt, bool with_toa)
{
	struct tcphdr *th = tcp_hdr(pkt->skb);
	unsigned int old_len = th->doff * 4 - sizeof(*th);
	unsigned int new_len, toa_len = 0;
	u8 toa[TOA_LEN_V6], opts[TOA_OPT_SPACE];

	if (!with_toa && !old_len)
		return 0;
	if (with_toa)
		toa_len = toa_encode_flow(pkt->flow, toa);
	new_len = compose(pkt, opts, old_len, toa, toa_len);
	/* a header never shrinks: NOPs take the place of what went */
	if (new_len < old_len) {
		memset(opts + new_len, TCPOPT_NOP, old_len - new_len);
		new_len = old_len;
	}
	if (new_len == old_len && !memcmp(opts, th + 1, old_len))
		return 0;
	/* a GSO packet must not outgrow the length field of IP; sent again it is smaller */
	if (pkt->skb->len + new_len - old_len > IP_MAX_MTU)
		return FNAT_DROP(drop_toobig);
	replace_options(pkt, opts, new_len, old_len);
	return fit_to_path(pkt);
}
