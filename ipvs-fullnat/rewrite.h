/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What both directions and both ways, the slow one and the fast one, do to each packet.
 * Inline: the fast path is a few hundred instructions.
 */
#ifndef FNAT_REWRITE_H
#define FNAT_REWRITE_H

#include <linux/in.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/checksum.h>
#include <net/dst.h>

#include "ip.h"
#include "net.h"
#include "tcp.h"
#include "udp.h"
#include "xmit.h"

/* Where the checksum of the transport header is. */
static inline __sum16 *fnat_check_field(const struct fnat_pkt *pkt)
{
	if (pkt->flow->protocol == IPPROTO_TCP)
		return &tcp_hdr(pkt->skb)->check;
	return &udp_hdr(pkt->skb)->check;
}

/* What fnat_rewrite_addrs() adds to the sum of what a checksum covers. */
static inline __wsum fnat_csum_addrs_diff(const struct fnat_pkt *pkt)
{
	__wsum diff = pkt->flow->csum_diff;

	return pkt->dir == FNAT_DIR_REQUEST ? diff : ~diff;
}

/* After a change of headers by which that sum has grown by "diff". */
static inline void fnat_csum_fix(const struct fnat_pkt *pkt, __wsum diff)
{
	bool udp = pkt->flow->protocol == IPPROTO_UDP;
	__sum16 *check = fnat_check_field(pkt);
	struct sk_buff *skb = pkt->skb;

	if (skb->ip_summed == CHECKSUM_PARTIAL) {
		*check = ~fnat_ip_magic(skb, pkt->flow->af, skb->len - pkt->thoff,
					pkt->flow->protocol, 0);
		return;
	}
	if (udp && !*check)
		return;		/* sent without a checksum */
	csum_replace_by_diff(check, diff);
	if (udp && !*check)
		*check = CSUM_MANGLED_0;
}

/* The new addresses and ports; checksums are the caller's business. */
static inline void fnat_rewrite_addrs(const struct fnat_pkt *pkt)
{
	const struct fnat_flow *f = pkt->flow;
	__be16 *ports = (__be16 *)skb_transport_header(pkt->skb);
	void *iph = skb_network_header(pkt->skb);

	if (pkt->dir == FNAT_DIR_REQUEST) {
		fnat_ip_set_addrs(iph, f->af, &f->laddr, &f->daddr);
		ports[0] = f->lport;
		ports[1] = f->dport;
	} else {
		fnat_ip_set_addrs(iph, f->af, &f->vaddr, &f->caddr);
		ports[0] = f->vport;
		ports[1] = f->cport;
	}
}

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

	fnat_ip_decrease_ttl(skb, af);
	fnat_ip_new_ident(skb, af, pkt->fn->net);
	fnat_ip_set_len(skb, af);
	skb_dst_drop(skb);
	skb_dst_set_noref(skb, pkt->dst);
	skb_orphan(skb);
	if (skb->dev)
		skb_clear_tstamp(skb);
}

#endif
