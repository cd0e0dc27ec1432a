// SPDX-License-Identifier: GPL-2.0
/*
 * What both directions do to a packet whatever the protocol: make its headers
 * writable, change addresses and ports, keep the checksums true, send it.
 * Softirq, or process context (LOCAL_OUT), under RCU.
 */
#include <linux/ip.h>
#include <linux/tcp.h>
#include <net/checksum.h>
#include <net/dst.h>
#include <net/icmp.h>
#include <net/ip.h>
#include <net/ip_vs.h>

#include "compat.h"
#include "net.h"
#include "xmit.h"

/**
 * fnat_prepare - make the headers of a packet linear, private and moveable
 * @pkt: the packet, not changed so far
 * @hdr_len: bytes of transport header, all present
 * @grow: by how much the transport header may grow
 *
 * False: no memory. Pointers into the packet are stale afterwards.
 */
bool fnat_prepare(struct fnat_pkt *pkt, unsigned int hdr_len, unsigned int grow)
{
	struct sk_buff *skb = pkt->skb;

	if (skb_ensure_writable(skb, pkt->thoff + hdr_len))
		return false;
	if (skb_cow_head(skb, LL_RESERVED_SPACE(pkt->dst->dev) + grow))
		return false;
	skb_set_transport_header(skb, pkt->thoff);
	skb_forward_csum(skb);
	if (skb->ip_summed == CHECKSUM_PARTIAL && skb_checksum_start_offset(skb) != pkt->thoff &&
	    skb_checksum_help(skb))
		return false;

	if (skb_is_gso(skb)) {
		/* the shared info of a clone is not ours to change */
		if (skb_unclone(skb, GFP_ATOMIC))
			return false;
		/* a packet merged into a list would get only some of our changes in
		 * its other segments: DODGY makes the stack segment it anew
		 */
		skb_shinfo(skb)->gso_type |= SKB_GSO_DODGY;
		skb_shinfo(skb)->gso_segs = 0;
	}
	return true;
}

static __wsum pseudo_sum(const struct fnat_pkt *pkt)
{
	return csum_partial(&ip_hdr(pkt->skb)->saddr, 2 * sizeof(__be32), 0);
}

static __wsum header_sum(const struct fnat_pkt *pkt, unsigned int hdr_len, unsigned int len)
{
	__wsum sum = csum_partial(skb_transport_header(pkt->skb), hdr_len, pseudo_sum(pkt));

	return csum_add(sum, (__force __wsum)htonl(len));
}

/*
 * Around a change of headers: the checksum is updated by the difference that
 * the change makes to the sum of the headers and the pseudo header, so that a
 * packet that arrived damaged stays damaged.
 */
void fnat_csum_begin(const struct fnat_pkt *pkt, unsigned int hdr_len, struct fnat_csum *csum)
{
	csum->len = pkt->skb->len - pkt->thoff;
	if (pkt->skb->ip_summed != CHECKSUM_PARTIAL)
		csum->before = header_sum(pkt, hdr_len, csum->len);
}

/* hdr_len is the new length of the transport header. */
void fnat_csum_end(const struct fnat_pkt *pkt, unsigned int hdr_len, const struct fnat_csum *csum)
{
	struct sk_buff *skb = pkt->skb;
	__sum16 *check = &tcp_hdr(skb)->check;
	unsigned int len = skb->len - pkt->thoff;
	__wsum after;

	if (skb->ip_summed == CHECKSUM_PARTIAL) {
		*check = ~csum_tcpudp_magic(ip_hdr(skb)->saddr, ip_hdr(skb)->daddr, len,
					    IPPROTO_TCP, 0);
		skb->csum_start = skb_transport_header(skb) - skb->head;
		return;
	}
	after = header_sum(pkt, hdr_len, len);
	csum_replace_by_diff(check, csum_sub(after, csum->before));
}

/* The new addresses and ports; checksums are the caller's business. */
void fnat_rewrite_addrs(const struct fnat_pkt *pkt)
{
	const struct fnat_flow *f = pkt->flow;
	struct tcphdr *th = tcp_hdr(pkt->skb);
	struct iphdr *iph = ip_hdr(pkt->skb);
	bool request = pkt->dir == FNAT_DIR_REQUEST;

	iph->saddr = request ? f->laddr.ip : f->vaddr.ip;
	iph->daddr = request ? f->daddr.ip : f->caddr.ip;
	th->source = request ? f->lport : f->vport;
	th->dest = request ? f->dport : f->cport;
}

/* After changes of addresses or length. */
void fnat_fix_network_header(const struct fnat_pkt *pkt)
{
	struct iphdr *iph = ip_hdr(pkt->skb);

	/* a packet merged beyond that has 0 there (BIG TCP) */
	iph->tot_len = pkt->skb->len <= IP_MAX_MTU ? htons(pkt->skb->len) : 0;
	ip_send_check(iph);
}

/* False: it was the last hop, and the sender has been told. */
bool fnat_decrease_ttl(const struct fnat_pkt *pkt)
{
	struct sk_buff *skb = pkt->skb;

	if (ip_hdr(skb)->ttl <= 1) {
		icmp_send(skb, ICMP_TIME_EXCEEDED, ICMP_EXC_TTL, 0);
		return false;
	}
	if (skb_ensure_writable(skb, skb_network_offset(skb) + sizeof(struct iphdr)))
		return false;
	ip_decrease_ttl(ip_hdr(skb));
	return true;
}

/* Must the sender learn of a smaller MTU? A packet without DF is fragmented. */
static bool too_big(const struct fnat_pkt *pkt, unsigned int mtu)
{
	const struct sk_buff *skb = pkt->skb;

	if (!(ip_hdr(skb)->frag_off & htons(IP_DF)))
		return false;
	if (skb_is_gso(skb))
		return !skb_gso_validate_network_len(skb, mtu);
	return skb->len > mtu;
}

static void tell_mtu(const struct fnat_pkt *pkt, unsigned int mtu)
{
	if (pkt->dir == FNAT_DIR_REQUEST)
		fnat_stat_inc(pkt->fn, icmp_toobig_client);
	else
		fnat_stat_inc(pkt->fn, icmp_toobig_rs);
	icmp_send(pkt->skb, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, htonl(mtu));
}

/**
 * fnat_may_pass - what a router checks before it forwards: MTU and TTL
 * @pkt: the packet, as it came, and its route
 * @spare: bytes by which the sender's packets shall stay below the path's MTU
 *
 * False: dropped and counted, and the sender has been told.
 */
bool fnat_may_pass(const struct fnat_pkt *pkt, unsigned int spare)
{
	unsigned int mtu = dst_mtu(pkt->dst);

	if (too_big(pkt, mtu)) {
		tell_mtu(pkt, mtu - spare);
		fnat_stat_inc(pkt->fn, drop_toobig);
		return false;
	}
	if (!fnat_decrease_ttl(pkt)) {
		fnat_stat_inc(pkt->fn, drop_ttl);
		return false;
	}
	return true;
}

/**
 * fnat_send - send the packet, as ip_vs's own transmitters do it
 * @pkt: all rewritten
 * @ipvs_done: ip_vs has nothing more to do with it. Not for a reply: there
 *	ip_vs_out_hook() finds the connection and does the statistics, the state
 *	and the timer.
 */
unsigned int fnat_send(struct fnat_pkt *pkt, bool ipvs_done)
{
	struct sk_buff *skb = pkt->skb;

	skb_dst_drop(skb);
	skb_dst_set_noref(skb, pkt->dst);
	skb->ipvs_property = ipvs_done;
	ip_vs_notrack(skb);
	skb_orphan(skb);
	if (skb->dev)
		skb_clear_tstamp(skb);
	/* what is too big has been refused; now nobody shall send ICMP errors to a LIP */
	skb->ignore_df = 1;
	NF_HOOK(NFPROTO_IPV4, NF_INET_LOCAL_OUT, pkt->fn->net, NULL, skb, NULL,
		pkt->dst->dev, dst_output);
	return NF_STOLEN;
}
