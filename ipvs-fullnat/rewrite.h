/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What both directions and both ways, the slow one and the fast one, do to each packet.
 * Inline: the fast path is a few hundred instructions.
 */
#ifndef FNAT_REWRITE_H
#define FNAT_REWRITE_H

#include <linux/in.h>
#include <net/dst.h>

#include "ip.h"
#include "net.h"
#include "tcp.h"
#include "udp.h"
#include "xmit.h"

/* As its protocol and its direction want it. 0 or FNAT_DROP(). */
static inline int fnat_rewrite(struct fnat_pkt *pkt)
{
	bool request = pkt->dir == FNAT_DIR_REQUEST;

	if (pkt->flow->protocol == IPPROTO_TCP)
		return request ? fnat_tcp_request(pkt) : fnat_tcp_reply(pkt);
	return request ? fnat_udp_request(pkt) : fnat_udp_reply(pkt);
}

/* All rewritten, and about to leave by its route: nothing of its way here sticks to it. */
static inline void fnat_finish(const struct fnat_pkt *pkt)
{
	struct sk_buff *skb = pkt->skb;
	u8 af = pkt->flow->af;

	fnat_ip_new_ident(skb, af, pkt->fn->net);
	fnat_ip_set_len(skb, af);
	skb_dst_drop(skb);
	skb_dst_set_noref(skb, pkt->dst);
	skb_orphan(skb);
	if (skb->dev)
		skb_clear_tstamp(skb);
}

#endif
