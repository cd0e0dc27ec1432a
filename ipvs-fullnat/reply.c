// SPDX-License-Identifier: GPL-2.0
/*
 * Replies: RS:rp -> LIP:lp becomes VIP:vp -> C:cp. Softirq, under RCU, which
 * keeps the flow and its connection in memory; no reference is held.
 */
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <net/dst.h>

#include "fast.h"
#include "net.h"
#include "reset.h"
#include "rewrite.h"
#include "route.h"
#include "seam.h"
#include "sync.h"
#include "tcp.h"
#include "xmit.h"

/*
 * IPv6 takes a reference on the route for each fragment: that must not be one which another
 * CPU may let go meanwhile, with the flow's own reference. What dst_mtu() says is at least
 * the route's metric, or what every path carries; it is asked later.
 */
static bool may_be_fragmented(const struct fnat_pkt *pkt)
{
	return fnat_is_v6(pkt->flow->af) && !skb_is_gso(pkt->skb) &&
	       (pkt->skb->len > (dst_metric_raw(pkt->dst, RTAX_MTU) ? : IPV6_MIN_MTU) ||
		IP6CB(pkt->skb)->frag_max_size);
}

/*
 * The way to the client: the flow's; or a new one, with a reference that the caller must
 * release. False: dropped and counted.
 */
static bool reply_route(struct fnat_pkt *pkt, struct dst_entry **new)
{
	struct fnat_flow *f = pkt->flow;
	u32 mark = pkt->skb->mark;

	pkt->dst = fnat_fast_reply_route(f, mark);
	if (!pkt->dst || may_be_fragmented(pkt)) {
		*new = fnat_route_lookup(pkt->fn->net, f->af, &f->vaddr, &f->caddr, f->protocol,
					 mark);
		pkt->dst = *new;
	}
	if (!pkt->dst) {
		fnat_stat_inc(pkt->fn, drop_no_route);
		return false;
	}
	return fnat_may_pass(pkt);
}

/* Can ip_vs's own state and timeout not change by this packet, nor need ours in place? */
static bool reply_is_steady(const struct fnat_pkt *pkt)
{
	const struct fnat_flow *f = pkt->flow;

	return fnat_flow_is_steady(f) && (f->protocol == IPPROTO_UDP || fnat_tcp_is_plain(pkt));
}

/*
 * ip_vs sets the state and the timeout on the way out. Where that may change
 * the state, hold the connection across it and put our own timeout in place.
 */
static void reply_send(struct fnat_pkt *pkt, struct dst_entry *new, bool steady)
{
	struct ip_vs_conn *cp = pkt->flow->cp;
	bool missed = fnat_seam_misses_replies(cp);
	bool held = (missed || !steady) && fnat_seam_get(cp);
	u32 mark = pkt->skb->mark;
	int iif = pkt->skb->skb_iif;

	fnat_sync_packet(pkt->fn, pkt->flow);
	if (missed && held)
		fnat_seam_set_state(cp, FNAT_DIR_REPLY, pkt->skb, pkt->thoff);
	if (fnat_send(pkt, false))
		fnat_fast_permit_reply(pkt->flow, new, mark, iif);
	if (!held) {
		/* ended while it was on its way: ip_vs has just given it more time */
		if (unlikely(fnat_flow_is_ended(pkt->flow)))
			fnat_seam_expire_soon(cp);
		return;
	}
	fnat_after_packet(pkt->fn, pkt->flow, cp);
	fnat_seam_put_rearm(cp);
}

unsigned int fnat_reply(struct fnat_net *fn, struct sk_buff *skb, struct fnat_flow *f,
			unsigned int thoff)
{
	struct fnat_pkt pkt = {
		.skb = skb,
		.fn = fn,
		.flow = f,
		.dir = FNAT_DIR_REPLY,
		.thoff = thoff,
	};
	struct dst_entry *new = NULL;
	bool steady;
	int err;

	if (skb_warn_if_lro(skb))
		return fnat_drop(pkt.fn, skb, drop_lro);
	if (unlikely(fnat_flow_is_ended(f))) {
		fnat_reset_ended(pkt.fn, skb, f, FNAT_DIR_REPLY, thoff);
		kfree_skb(skb);
		return NF_STOLEN;
	}
	/* ip_vs would take it for one of the client's new connection, by VIP and client */
	if (fnat_flow_is_replaced(f))
		return fnat_drop(pkt.fn, skb, drop_stale_reply);
	if (!reply_route(&pkt, &new))
		goto drop;
	steady = reply_is_steady(&pkt);
	err = fnat_rewrite(&pkt);
	if (err) {
		fnat_stat_inc_drop(pkt.fn, err);
		goto drop;
	}
	reply_send(&pkt, new, steady);
	dst_release(new);
	return NF_STOLEN;

drop:
	dst_release(new);
	kfree_skb(skb);
	return NF_STOLEN;
}
