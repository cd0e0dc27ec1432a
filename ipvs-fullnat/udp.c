// SPDX-License-Identifier: GPL-2.0
/*
 * UDP through a flow: addresses and ports, nothing else. A datagram that came
 * in fragments is here in one piece, and leaves in fragments again.
 *
 * Softirq, or process context (LOCAL_OUT), under RCU.
 */
#include <linux/udp.h>

#include "net.h"
#include "rewrite.h"
#include "sync.h"
#include "udp.h"

static int udp_rewrite(struct fnat_pkt *pkt)
{
	int err;

	if (pkt->skb->len < pkt->thoff + sizeof(struct udphdr))
		return FNAT_DROP(drop_malformed);
	err = fnat_prepare(pkt, sizeof(struct udphdr), 0);
	if (err)
		return err;
	fnat_rewrite_addrs(pkt);
	fnat_csum_fix(pkt, fnat_csum_addrs_diff(pkt));
	return 0;
}

/* The conversation has come further: other nodes must know. */
static void udp_advances(struct fnat_flow *f, u8 *what)
{
	if (READ_ONCE(*what))
		return;
	spin_lock_bh(&f->lock);
	WRITE_ONCE(*what, true);
	fnat_sync_publish(f);
	spin_unlock_bh(&f->lock);
}

int fnat_udp_request(struct fnat_pkt *pkt)
{
	struct fnat_udp *udp = &pkt->flow->udp;

	if (unlikely(!READ_ONCE(udp->stream))) {
		u8 unanswered = READ_ONCE(udp->unanswered);

		if (unanswered < U8_MAX)
			WRITE_ONCE(udp->unanswered, unanswered + 1);
		if (READ_ONCE(udp->answered))
			udp_advances(pkt->flow, &udp->stream);
	}
	return udp_rewrite(pkt);
}

int fnat_udp_reply(struct fnat_pkt *pkt)
{
	struct fnat_udp *udp = &pkt->flow->udp;

	if (unlikely(!READ_ONCE(udp->stream))) {
		u8 unanswered = READ_ONCE(udp->unanswered);

		if (unanswered)
			WRITE_ONCE(udp->unanswered, unanswered - 1);
		else
			udp_advances(pkt->flow, &udp->stream);
		udp_advances(pkt->flow, &udp->answered);
	}
	return udp_rewrite(pkt);
}

/*
 * UDP does not say when it begins or ends. A request and its answer are most
 * likely all there is (DNS): the port may go to somebody who needs it. A client
 * that goes on after an answer has a conversation, and so has one to whom the RS
 * sends more than was asked for (a subscription): the rest of it must not reach
 * whoever would get the port.
 */
enum fnat_port_state fnat_udp_port_state(const struct fnat_flow *f)
{
	if (READ_ONCE(f->udp.stream))
		return FNAT_PORT_OPEN;
	return READ_ONCE(f->udp.answered) ? FNAT_PORT_CLOSED : FNAT_PORT_HALF_OPEN;
}
