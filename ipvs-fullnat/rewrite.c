// SPDX-License-Identifier: GPL-2.0
/*
 * What both directions do to a packet whatever the protocol: make its headers
 * writable, change addresses and ports, keep the checksums true, send it.
 * Softirq, or process context (LOCAL_OUT), under RCU.
 */
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/checksum.h>
#include <net/dst.h>
#include <net/ip.h>
#include <net/ip_vs.h>
#include <net/ipv6.h>

#include "compat.h"
#include "ip.h"
#include "net.h"
#include "rewrite.h"
#include "xmit.h"

/* Is the checksum that is still to be computed that of our header, in its own field? */
static bool csum_is_ours(const struct fnat_pkt *pkt)
{
	u16 offset = pkt->flow->protocol == IPPROTO_TCP ? offsetof(struct tcphdr, check) :
							   offsetof(struct udphdr, check);

	return skb_checksum_start_offset(pkt->skb) == pkt->thoff &&
	       pkt->skb->csum_offset == offset;
}

/*
 * A checksum that is still to be computed is our header's, or is computed now: a virtual
 * machine or a packet socket may say otherwise, and later it would be written over
 * something of ours, such as the TOA. Of a GSO packet it cannot be computed now, and one that
 * begins in another header would be written into what is checked already (6.1: even before IP's).
 */
static int prepare_csum(const struct fnat_pkt *pkt)
{
	struct sk_buff *skb = pkt->skb;

	skb_forward_csum(skb);
	if (skb->ip_summed != CHECKSUM_PARTIAL || csum_is_ours(pkt))
		return 0;
	if (skb_is_gso(skb) || skb_checksum_start_offset(skb) < (int)pkt->thoff)
		return FNAT_DROP(drop_malformed);
	return skb_checksum_help(skb) ? FNAT_DROP(drop_nomem) : 0;
}

/**
 * fnat_prepare - make the headers of a packet linear, private and moveable
 * @pkt: the packet, not changed so far
 * @hdr_len: bytes of transport header, all present
 * @grow: by how much the transport header may grow
 *
 * Pointers into the packet are stale afterwards. Return: 0 or FNAT_DROP().
 */
int fnat_prepare(struct fnat_pkt *pkt, unsigned int hdr_len, unsigned int grow)
{
	struct sk_buff *skb = pkt->skb;
	int err;

	/* asked here, since most need no call */
	if ((skb_headlen(skb) < pkt->thoff + hdr_len || skb_cloned(skb)) &&
	    skb_ensure_writable(skb, pkt->thoff + hdr_len))
		return FNAT_DROP(drop_nomem);
	if (skb_cow_head(skb, LL_RESERVED_SPACE(pkt->dst->dev) + grow))
		return FNAT_DROP(drop_nomem);
	skb_set_transport_header(skb, pkt->thoff);
	err = prepare_csum(pkt);
	if (err || !skb_is_gso(skb))
		return err;

	/* the shared info of a clone is not ours to change */
	if (skb_unclone(skb, GFP_ATOMIC))
		return FNAT_DROP(drop_nomem);
	/* a packet merged into a list would get only some of our changes in
	 * its other segments: DODGY makes the stack segment it anew
	 */
	skb_shinfo(skb)->gso_type |= SKB_GSO_DODGY;
	fnat_ip_forget_fragments(skb, pkt->flow->af);
	return 0;
}

/* The sum of what we may change: transport header and pseudo header. */
static __wsum header_sum(const struct fnat_pkt *pkt, unsigned int hdr_len, unsigned int len)
{
	__wsum sum = fnat_ip_addrs_sum(skb_network_header(pkt->skb), pkt->flow->af);

	sum = csum_partial(skb_transport_header(pkt->skb), hdr_len, sum);
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
	__wsum diff = 0;

	if (skb->ip_summed == CHECKSUM_PARTIAL)
		skb->csum_start = skb_transport_header(skb) - skb->head;
	else
		diff = csum_sub(header_sum(pkt, hdr_len, skb->len - pkt->thoff), csum->before);
	fnat_csum_fix(pkt, diff);
}

/* Is this not the last hop? Else false: the sender has been told; counted. */
bool fnat_may_hop(const struct fnat_pkt *pkt)
{
	if (likely(!fnat_ip_is_last_hop(pkt->skb, pkt->flow->af)))
		return true;
	fnat_ip_send_time_exceeded(pkt->skb, pkt->flow->af, pkt->fn->net);
	fnat_stat_inc(pkt->fn, drop_ttl);
	return false;
}

/*
 * The client shall leave room for the TOA while one is being sent, but no sender less than
 * what every path must carry.
 */
static void tell_mtu(const struct fnat_pkt *pkt, unsigned int mtu)
{
	const struct fnat_flow *f = pkt->flow;
	u8 af = f->af;
	unsigned int least = fnat_is_v6(af) ? IPV6_MIN_MTU : IPV4_MIN_MTU;
	unsigned int spare = 0;

	if (pkt->dir == FNAT_DIR_REQUEST) {
		spare = fnat_toa_is_due(f) ? fnat_toa_len(f) : 0;
		fnat_stat_inc(pkt->fn, icmp_toobig_client);
	} else {
		fnat_stat_inc(pkt->fn, icmp_toobig_rs);
	}
	fnat_ip_send_too_big(pkt->skb, af, pkt->fn->net, max(mtu - spare, least));
}

/**
 * fnat_may_pass - what a router checks before it forwards: MTU and TTL
 * @pkt: the packet, as it came, and its route
 *
 * False: dropped and counted, and the sender has been told.
 */
bool fnat_may_pass(const struct fnat_pkt *pkt)
{
	unsigned int mtu = dst_mtu(pkt->dst);

	if (unlikely(pkt->skb->len > mtu) && fnat_ip_too_big(pkt->skb, pkt->flow->af, mtu)) {
		tell_mtu(pkt, mtu);
		fnat_stat_inc(pkt->fn, drop_toobig);
		return false;
	}
	return fnat_may_hop(pkt);
}

/* 1: through LOCAL_OUT's hooks. A constant family each, so that the compiler can choose. */
static int local_out(const struct fnat_pkt *pkt)
{
	struct net_device *dev = pkt->dst->dev;
	struct net *net = pkt->fn->net;
	struct sk_buff *skb = pkt->skb;

	if (fnat_is_v6(pkt->flow->af))
		return nf_hook(NFPROTO_IPV6, NF_INET_LOCAL_OUT, net, NULL, skb, NULL, dev,
			       dst_output);
	return nf_hook(NFPROTO_IPV4, NF_INET_LOCAL_OUT, net, NULL, skb, NULL, dev, dst_output);
}

/**
 * fnat_send - send the packet, as ip_vs's own transmitters do it
 * @pkt: all rewritten
 * @ipvs_done: ip_vs has nothing more to do with it. Not for a reply: there
 *	ip_vs_out_hook() finds the connection and does the statistics, the state
 *	and the timer.
 *
 * False: a rule of OUTPUT or POSTROUTING has dropped it, queued it, or sent it another way
 * by its mark. (What POSTROUTING queues cannot be told from what was sent.)
 */
bool fnat_send(struct fnat_pkt *pkt, bool ipvs_done)
{
	struct sk_buff *skb = pkt->skb;
	bool usual;
	u32 mark;

	fnat_finish(pkt);
	skb->ipvs_property = ipvs_done;
	ip_vs_notrack(skb);
	/* what is too big has been refused; now nobody shall send ICMP errors to a LIP */
	skb->ignore_df = 1;
	/* it came in fragments, and leaves in segments: both at once IPv6 cannot do */
	if (fnat_is_v6(pkt->flow->af) && skb_is_gso(skb))
		IP6CB(skb)->frag_max_size = 0;
	mark = skb->mark;
	if (local_out(pkt) != 1)
		return false;
	usual = skb_dst(skb) == pkt->dst && skb->mark == mark;
	return dst_output(pkt->fn->net, NULL, skb) >= 0 && usual;
}
