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
#include <linux/ip.h>
#include <linux/tcp.h>
#include <net/dst.h>
#include <net/icmp.h>
#include <net/ip.h>
#include <net/route.h>

#include "icmp.h"
#include "net.h"
#include "route.h"
#include "tcp.h"
#include "xmit.h"

/* RFC 792: what an error must quote of the transport header. For TCP: ports and sequence. */
#define QUOTED_LEN	8

static bool is_error(u8 type)
{
	return type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED ||
	       type == ICMP_PARAMETERPROB;
}

/**
 * fnat_icmp_parse - look into an ICMP error
 * @skb: data at the IP header
 * @quote: where things are
 * @t: the tuple of the connection as the quoted packet's receiver sends it,
 *	which is the one that fnat_flow_find() knows
 *
 * False: not an error about a TCP packet, or truncated.
 */
bool fnat_icmp_parse(const struct sk_buff *skb, struct fnat_icmp_quote *quote,
		     struct fnat_tuple *t)
{
	const struct iphdr *iph = ip_hdr(skb), *inner;
	const struct icmphdr *icmph;
	struct icmphdr _icmph;
	struct iphdr _inner;
	__be16 _ports[2];
	const __be16 *ports;

	if (iph->protocol != IPPROTO_ICMP || ip_is_fragment(iph))
		return false;
	quote->icmp = skb_network_offset(skb) + iph->ihl * 4;
	icmph = skb_header_pointer(skb, quote->icmp, sizeof(_icmph), &_icmph);
	if (!icmph || !is_error(icmph->type))
		return false;
	quote->ip = quote->icmp + sizeof(_icmph);
	inner = skb_header_pointer(skb, quote->ip, sizeof(_inner), &_inner);
	if (!inner || inner->version != 4 || inner->ihl < 5 || inner->protocol != IPPROTO_TCP ||
	    inner->frag_off & htons(IP_OFFSET))
		return false;
	quote->transport = quote->ip + inner->ihl * 4;
	ports = skb_header_pointer(skb, quote->transport, sizeof(_ports), _ports);
	if (!ports || quote->transport + QUOTED_LEN > skb->len)
		return false;
	fnat_tuple_set_v4(t, inner->protocol, inner->daddr, ports[1], inner->saddr, ports[0]);
	return true;
}

static __sum16 icmp_checksum(const struct sk_buff *skb, const struct fnat_icmp_quote *quote)
{
	return csum_fold(skb_checksum(skb, quote->icmp, skb->len - quote->icmp, 0));
}

/* The RS numbers the client's bytes in its own way: see tcp.c. */
static void translate_quoted_seq(struct fnat_pkt *pkt, __be32 *seq)
{
	if (pkt->dir == FNAT_DIR_REPLY)
		*seq = htonl(ntohl(*seq) - pkt->flow->tcp.off.seq);
}

static void translate(struct fnat_pkt *pkt, const struct fnat_icmp_quote *quote)
{
	const struct fnat_flow *f = pkt->flow;
	bool request = pkt->dir == FNAT_DIR_REQUEST;
	u8 *data = pkt->skb->data;
	struct icmphdr *icmph = (struct icmphdr *)(data + quote->icmp);
	struct iphdr *inner = (struct iphdr *)(data + quote->ip);
	struct tcphdr *th = (struct tcphdr *)(data + quote->transport);
	struct iphdr *iph = ip_hdr(pkt->skb);

	iph->saddr = request ? f->laddr.ip : f->vaddr.ip;
	iph->daddr = request ? f->daddr.ip : f->caddr.ip;
	inner->saddr = iph->daddr;
	inner->daddr = iph->saddr;
	th->source = request ? f->dport : f->cport;
	th->dest = request ? f->lport : f->vport;
	translate_quoted_seq(pkt, &th->seq);
	ip_send_check(inner);
	icmph->checksum = 0;
	icmph->checksum = icmp_checksum(pkt->skb, quote);
	pkt->skb->ip_summed = CHECKSUM_NONE;
}

/* False: dropped and counted. */
static bool prepare(struct fnat_pkt *pkt, const struct fnat_icmp_quote *quote)
{
	struct sk_buff *skb = pkt->skb;

	if (!pkt->dst) {
		fnat_stat_inc(pkt->fn, drop_no_route);
		return false;
	}
	if (!fnat_decrease_ttl(pkt)) {
		fnat_stat_inc(pkt->fn, drop_ttl);
		return false;
	}
	if (skb_ensure_writable(skb, quote->transport + QUOTED_LEN) ||
	    skb_cow_head(skb, LL_RESERVED_SPACE(pkt->dst->dev))) {
		fnat_stat_inc(pkt->fn, drop_nomem);
		return false;
	}
	skb_set_transport_header(skb, quote->icmp);
	return true;
}

/*
 * An error of the client's side. ip_vs has verified its checksum, found the
 * connection and counted the packet.
 */
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

	if (!fnat_icmp_parse(skb, &quote, &t))
		return fnat_drop(fn, skb, drop_unsupported);
	pkt.dst = fnat_route_get(fn->net, &f->portmap->route, f->af, &f->laddr, &f->daddr,
				 f->protocol);
	if (!prepare(&pkt, &quote)) {
		kfree_skb(skb);
		return NF_STOLEN;
	}
	translate(&pkt, &quote);
	fnat_fix_network_header(&pkt);
	fnat_stat_inc(fn, icmp_to_rs);
	return fnat_send(&pkt, true);
}

/*
 * The path to the RS has a smaller MTU. No socket of the LB would learn that,
 * so tell the routing cache; while a TOA is being added the client must leave
 * room for it.
 */
static void learn_path_mtu(struct fnat_pkt *pkt, const struct fnat_icmp_quote *quote)
{
	struct icmphdr *icmph = (struct icmphdr *)(pkt->skb->data + quote->icmp);
	unsigned int mtu = ntohs(icmph->un.frag.mtu);
	unsigned int toa = fnat_toa_len(pkt->flow);

	if (icmph->type != ICMP_DEST_UNREACH || icmph->code != ICMP_FRAG_NEEDED || !mtu)
		return;
	skb_pull(pkt->skb, quote->ip);
	ipv4_update_pmtu(pkt->skb, pkt->fn->net, mtu, 0, IPPROTO_TCP);
	skb_push(pkt->skb, quote->ip);
	if (!READ_ONCE(pkt->flow->tcp.accepted) && mtu > toa)
		icmph->un.frag.mtu = htons(mtu - toa);
}

/*
 * RFC 5927: an attacker who cannot see the connection must guess a sequence
 * number that was under way lately. Larger windows than this are not expected
 * before the path's MTU is known.
 */
static bool quotes_recent(const struct fnat_pkt *pkt, const struct fnat_icmp_quote *quote)
{
	__be32 _seq;
	const __be32 *seq = skb_header_pointer(pkt->skb, quote->transport +
					       offsetof(struct tcphdr, seq), sizeof(_seq), &_seq);

	return seq && ntohl(*seq) - READ_ONCE(pkt->flow->tcp.seq_end) + BIT(22) < BIT(23);
}

/* An error of the RS's side about a request of this flow. */
unsigned int fnat_icmp_to_client(struct sk_buff *skb, struct fnat_flow *f,
				 const struct fnat_icmp_quote *quote)
{
	struct fnat_pkt pkt = {
		.skb = skb,
		.fn = fnat_net(f->net),
		.flow = f,
		.dir = FNAT_DIR_REPLY,
	};

	if (icmp_checksum(skb, quote) || !quotes_recent(&pkt, quote))
		return fnat_drop(pkt.fn, skb, drop_malformed);
	pkt.dst = fnat_route_lookup(pkt.fn->net, f->af, &f->vaddr, &f->caddr, IPPROTO_ICMP,
				    skb->mark);
	if (!prepare(&pkt, quote)) {
		kfree_skb(skb);
	} else {
		learn_path_mtu(&pkt, quote);
		translate(&pkt, quote);
		fnat_fix_network_header(&pkt);
		fnat_stat_inc(pkt.fn, icmp_to_client);
		fnat_send(&pkt, true);
	}
	dst_release(pkt.dst);
	return NF_STOLEN;
}
