// SPDX-License-Identifier: GPL-2.0
/*
 * ICMP errors. One from the client's side quotes a reply (VIP:vp -> C:cp) and is
 * for the RS; one from the RS's side quotes a request (LIP:lp -> RS:rp) and is
 * for the client. Either way the receiver must see an error from the address
 * that it talks to, which quotes the packet as it has sent it: the quoted
 * addresses and ports are those of the translated error, turned round.
 *
 * Softirq, or process context (LOCAL_OUT), under RCU.
 */
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/checksum.h>
#include <net/dst.h>
#include <net/ip.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/route.h>

#include "icmp.h"
#include "ip.h"
#include "net.h"
#include "route.h"
#include "seam.h"
#include "tcp.h"
#include "xmit.h"

/* What an error must quote of the transport header: ports, and TCP's sequence or UDP's checksum. */
#define QUOTED_LEN	8

static bool is_error(u8 type, u8 af)
{
	if (fnat_is_v6(af))
		return !(type & ICMPV6_INFOMSG_MASK);
	return type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED ||
	       type == ICMP_PARAMETERPROB;
}

/**
 * fnat_icmp_parse - look into an ICMP error
 * @skb: data at the IP header
 * @af: its family
 * @quote: where things are
 * @t: the tuple of the connection as the quoted packet's receiver sends it,
 *	which is the one that fnat_flow_find() knows
 *
 * False: not an error about a TCP or UDP packet, or truncated.
 */
bool fnat_icmp_parse(const struct sk_buff *skb, u8 af, struct fnat_icmp_quote *quote,
		     struct fnat_tuple *t)
{
	struct icmphdr _icmph;		/* ICMPv6's begins alike and is as long */
	const struct icmphdr *icmph;
	int off = fnat_ip_find_icmp(skb, af);

	if (off < 0)
		return false;
	quote->icmp = off;
	icmph = skb_header_pointer(skb, off, sizeof(_icmph), &_icmph);
	if (!icmph || !is_error(icmph->type, af))
		return false;
	quote->ip = off + sizeof(_icmph);
	t->af = af;
	off = fnat_ip_find_quoted(skb, quote->ip, t);
	if (off < 0 || off + QUOTED_LEN > skb->len)
		return false;
	quote->transport = off;
	fnat_tuple_turn(t);
	return true;
}

/* 0 when the checksum in the packet is right; what it must be when the field is 0. */
static __sum16 icmp_checksum(const struct sk_buff *skb, u8 af,
			     const struct fnat_icmp_quote *quote)
{
	unsigned int len = skb->len - quote->icmp;
	__wsum sum = skb_checksum(skb, quote->icmp, len, 0);

	return fnat_is_v6(af) ? fnat_ip_magic(skb, af, len, IPPROTO_ICMPV6, sum) :
				csum_fold(sum);
}

/* The RS numbers the client's bytes in its own way: see tcp.c. */
static void translate_quoted_seq(const struct fnat_pkt *pkt, __be32 *seq)
{
	if (pkt->dir == FNAT_DIR_REPLY)
		*seq = htonl(ntohl(*seq) - pkt->flow->tcp.off.seq);
}

/* The sum of what changes in a quoted packet. */
static __wsum quoted_sum(const void *inner, u8 af, const __be16 *ports)
{
	return csum_partial(ports, 2 * sizeof(*ports), fnat_ip_addrs_sum(inner, af));
}

/* The quoted packet as its sender has sent it: the error's own addresses, turned round. */
static void translate_quoted(const struct fnat_pkt *pkt, const struct fnat_icmp_quote *quote)
{
	const struct fnat_flow *f = pkt->flow;
	bool request = pkt->dir == FNAT_DIR_REQUEST;
	void *inner = pkt->skb->data + quote->ip;
	__be16 *ports = (__be16 *)(pkt->skb->data + quote->transport);
	__wsum before = quoted_sum(inner, f->af, ports);
	struct udphdr *uh = (struct udphdr *)ports;

	if (request)
		fnat_ip_set_addrs(inner, f->af, &f->daddr, &f->laddr);
	else
		fnat_ip_set_addrs(inner, f->af, &f->caddr, &f->vaddr);
	ports[0] = request ? f->dport : f->cport;
	ports[1] = request ? f->lport : f->vport;
	if (!fnat_is_v6(f->af))
		ip_send_check(inner);
	if (f->protocol == IPPROTO_TCP)
		translate_quoted_seq(pkt, &((struct tcphdr *)ports)->seq);
	else if (uh->check)
		csum_replace_by_diff(&uh->check,
				     csum_sub(quoted_sum(inner, f->af, ports), before));
}

static void translate(const struct fnat_pkt *pkt, const struct fnat_icmp_quote *quote)
{
	const struct fnat_flow *f = pkt->flow;
	struct sk_buff *skb = pkt->skb;
	struct icmphdr *icmph = (struct icmphdr *)(skb->data + quote->icmp);

	if (pkt->dir == FNAT_DIR_REQUEST)
		fnat_ip_set_addrs(skb_network_header(skb), f->af, &f->laddr, &f->daddr);
	else
		fnat_ip_set_addrs(skb_network_header(skb), f->af, &f->vaddr, &f->caddr);
	translate_quoted(pkt, quote);
	icmph->checksum = 0;
	icmph->checksum = icmp_checksum(skb, f->af, quote);
	skb->ip_summed = CHECKSUM_NONE;
}

/* False: dropped and counted. */
static bool prepare(struct fnat_pkt *pkt, const struct fnat_icmp_quote *quote)
{
	struct sk_buff *skb = pkt->skb;

	if (!pkt->dst) {
		fnat_stat_inc(pkt->fn, drop_no_route);
		return false;
	}
	if (!fnat_may_hop(pkt))
		return false;
	if (skb_ensure_writable(skb, quote->transport + QUOTED_LEN) ||
	    skb_cow_head(skb, LL_RESERVED_SPACE(pkt->dst->dev))) {
		fnat_stat_inc(pkt->fn, drop_nomem);
		return false;
	}
	skb_set_transport_header(skb, quote->icmp);
	return true;
}

/* An error of the client's side about a flow that has a port. */
unsigned int fnat_icmp_to_rs(struct sk_buff *skb, struct fnat_net *fn, struct fnat_flow *f)
{
	struct fnat_pkt pkt = {
		.skb = skb,
		.fn = fn,
		.flow = f,
		.dir = FNAT_DIR_REQUEST,
	};
	struct fnat_icmp_quote quote;
	struct fnat_tuple t;

	if (!fnat_icmp_parse(skb, f->af, &quote, &t))
		return fnat_drop(fn, skb, drop_unsupported);
	if (icmp_checksum(skb, f->af, &quote))
		return fnat_drop(fn, skb, drop_malformed);
	pkt.dst = fnat_route_get(fn->net, &f->portmap->route, f->af, &f->laddr, &f->daddr,
				 f->protocol);
	if (!prepare(&pkt, &quote)) {
		kfree_skb(skb);
		return NF_STOLEN;
	}
	translate(&pkt, &quote);
	fnat_stat_inc(fn, icmp_to_rs);
	fnat_send(&pkt, true);
	return NF_STOLEN;
}

static void learn_path_mtu_v4(struct fnat_pkt *pkt, struct icmphdr *icmph, unsigned int spare)
{
	unsigned int mtu = ntohs(icmph->un.frag.mtu);

	if (icmph->type != ICMP_DEST_UNREACH || icmph->code != ICMP_FRAG_NEEDED || !mtu)
		return;
	ipv4_update_pmtu(pkt->skb, pkt->fn->net, mtu, 0, pkt->flow->protocol);
	if (mtu > spare)
		icmph->un.frag.mtu = htons(mtu - spare);
}

static void learn_path_mtu_v6(struct fnat_pkt *pkt, struct icmp6hdr *icmph, unsigned int spare)
{
	unsigned int mtu = ntohl(icmph->icmp6_mtu);

	if (icmph->icmp6_type != ICMPV6_PKT_TOOBIG)
		return;
	ip6_update_pmtu(pkt->skb, pkt->fn->net, icmph->icmp6_mtu, 0, 0, GLOBAL_ROOT_UID);
	if (mtu > IPV6_MIN_MTU)
		icmph->icmp6_mtu = htonl(max(mtu - spare, (unsigned int)IPV6_MIN_MTU));
}

/*
 * The path to the RS has a smaller MTU. No socket of the LB would learn that,
 * so tell the routing cache; while a TOA is being added the client must leave
 * room for it.
 */
static void learn_path_mtu(struct fnat_pkt *pkt, const struct fnat_icmp_quote *quote)
{
	void *icmph = pkt->skb->data + quote->icmp;
	unsigned int spare = fnat_toa_is_due(pkt->flow) ? fnat_toa_len(pkt->flow) : 0;

	/* the routing code reads the quoted packet at skb->data */
	__skb_pull(pkt->skb, quote->ip);
	if (fnat_is_v6(pkt->flow->af))
		learn_path_mtu_v6(pkt, icmph, spare);
	else
		learn_path_mtu_v4(pkt, icmph, spare);
	__skb_push(pkt->skb, quote->ip);
}

/* A larger window is not expected before the path's MTU is known. Bytes. */
#define FNAT_QUOTED_WINDOW	BIT(22)

/*
 * RFC 5927: an attacker who cannot see the connection must guess a sequence
 * number that was under way lately. UDP has nothing of the kind but its ports.
 */
static bool quotes_recent(const struct fnat_pkt *pkt, const struct fnat_icmp_quote *quote)
{
	__be32 _seq;
	const __be32 *seq = skb_header_pointer(pkt->skb, quote->transport +
					       offsetof(struct tcphdr, seq), sizeof(_seq), &_seq);

	if (pkt->flow->protocol != IPPROTO_TCP ||
	    READ_ONCE(pkt->flow->tcp.unknown) & FNAT_TCP_NO_SEQ_END)
		return true;
	return seq && fnat_tcp_seq_within(ntohl(*seq), READ_ONCE(pkt->flow->tcp.seq_end) -
					  FNAT_QUOTED_WINDOW, 2 * FNAT_QUOTED_WINDOW);
}

/* An error of the RS's side about a request of this flow. */
unsigned int fnat_icmp_to_client(struct sk_buff *skb, struct fnat_flow *f,
				 const struct fnat_icmp_quote *quote)
{
	struct fnat_pkt pkt = {
		.skb = skb,
		.fn = fnat_net(fnat_seam_net(f->cp)),
		.flow = f,
		.dir = FNAT_DIR_REPLY,
	};

	if (icmp_checksum(skb, f->af, quote) || !quotes_recent(&pkt, quote))
		return fnat_drop(pkt.fn, skb, drop_malformed);
	pkt.dst = fnat_route_lookup(pkt.fn->net, f->af, &f->vaddr, &f->caddr,
				    fnat_is_v6(f->af) ? IPPROTO_ICMPV6 : IPPROTO_ICMP, skb->mark);
	if (!prepare(&pkt, quote)) {
		kfree_skb(skb);
	} else {
		learn_path_mtu(&pkt, quote);
		translate(&pkt, quote);
		fnat_stat_inc(pkt.fn, icmp_to_client);
		fnat_send(&pkt, true);
	}
	dst_release(pkt.dst);
	return NF_STOLEN;
}
