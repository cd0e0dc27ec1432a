// SPDX-License-Identifier: GPL-2.0
/*
 * Requests: C:cp -> VIP:vp becomes LIP:lp -> RS:rp. ip_vs has found or made the
 * connection, chosen the RS, counted the packet and advanced the state before
 * it calls us. Softirq, or process context (LOCAL_OUT), under RCU; the caller holds a reference on
 * the connection and puts it afterwards.
 */
#include <linux/ip.h>
#include <linux/tcp.h>
#include <net/dst.h>

#include "fast.h"
#include "ip.h"
#include "laddr.h"
#include "net.h"
#include "reset.h"
#include "rewrite.h"
#include "route.h"
#include "seam.h"
#include "service.h"
#include "sync.h"
#include "tcp.h"
#include "udp.h"
#include "xmit.h"

static void count_no_port(struct fnat_net *fn, struct fnat_service *svc, int err)
{
	if (err == -EADDRINUSE) {
		fnat_stat_inc(fn, drop_exhausted);
		if (svc)
			atomic64_inc(&svc->exhausted);
	} else if (err == -ENOSPC) {
		fnat_stat_inc(fn, drop_flow_limit);
	} else if (err == -ENOMEM) {
		fnat_stat_inc(fn, drop_nomem);
	} else {
		fnat_stat_inc(fn, drop_no_laddr);
		if (svc)
			atomic64_inc(&svc->no_laddr);
	}
}

void fnat_flow_set_options(struct fnat_flow *f, const struct fnat_service *svc)
{
	const struct fnat_svc_options *opt = svc ? &svc->opt : &fnat_svc_default_options;

	f->idle_timeout = READ_ONCE(opt->conn_timeout) * HZ;
	if (f->protocol != IPPROTO_TCP)
		return;
	f->tcp.toa_kind = fnat_is_v6(f->af) ? READ_ONCE(opt->toa_v6) : READ_ONCE(opt->toa_v4);
	f->tcp.timestamps = READ_ONCE(opt->timestamps);
}

/* Gives the flow its place in both directions. False: dropped and counted. */
static bool flow_start(struct fnat_pkt *pkt, struct fnat_flow *f, struct fnat_service *svc,
		       struct fnat_flow **recycled)
{
	struct fnat_net *fn = pkt->fn;
	int err;

	if (f->protocol == IPPROTO_TCP && !fnat_tcp_flow_syn(pkt, f)) {
		fnat_stat_inc(fn, drop_no_conn);
		return false;
	}
	if (!fnat_flow_hash_request(f)) {
		fnat_stat_inc(fn, drop_duplicate_conn);
		return false;
	}
	err = fnat_port_alloc(fn, fnat_service_pool(fn, svc), f, recycled);
	if (err) {
		count_no_port(fn, svc, err);
		return false;
	}
	if (f->protocol == IPPROTO_TCP)
		fnat_tcp_flow_offsets(pkt, f);
	fnat_stat_inc(fn, conns);
	if (svc)
		atomic64_inc(&svc->conns);
	return true;
}

static struct fnat_flow *flow_create(struct fnat_pkt *pkt, struct ip_vs_conn *cp,
				     struct fnat_flow **recycled)
{
	struct fnat_service *svc = fnat_seam_service(pkt->fn, cp);
	struct fnat_flow *f = fnat_flow_alloc();

	if (IS_ERR(f)) {
		if (f == ERR_PTR(-ENOSPC))
			fnat_stat_inc(pkt->fn, drop_flow_limit);
		else
			fnat_stat_inc(pkt->fn, drop_nomem);
		return NULL;
	}
	fnat_seam_fill_flow(f, cp);
	fnat_flow_set_options(f, svc);
	if (flow_start(pkt, f, svc, recycled))
		return f;
	fnat_flow_free(f);
	return NULL;
}

static bool flow_is_lost(const struct fnat_flow *f)
{
	return !fnat_flow_has_port(f) || fnat_flow_is_ended(f);
}

/*
 * A connection without a port: it has lost it to another one (port.c) or been ended, or
 * another node's record of it was refused. A SYN may begin it anew, and so may a datagram;
 * with a record, or of an ended conversation, only once ip_vs has made a new connection of
 * it. Anything else has come too late.
 */
static bool flow_begins_anew(struct fnat_pkt *pkt, struct ip_vs_conn *cp, struct fnat_flow *f)
{
	bool refused = f->sync_state == FNAT_SYNC_WAITING || f->sync_state == FNAT_SYNC_REFUSED;
	bool tcp = f->protocol == IPPROTO_TCP;

	if (!tcp && fnat_flow_is_ended(f)) {
		fnat_stat_inc(pkt->fn, drop_ended);
		fnat_seam_expire(cp);
		return false;
	}
	if (!tcp && f->sync_state == FNAT_SYNC_REFUSED)
		fnat_seam_expire(cp);
	if (tcp ? !fnat_tcp_is_syn(pkt) : refused) {
		if (refused) {
			fnat_stat_inc(pkt->fn, drop_sync_refused);
		} else {
			fnat_stat_inc(pkt->fn, drop_port_lost);
			fnat_seam_expire(cp);	/* ip_vs has just given it more time */
		}
		return false;
	}
	fnat_seam_set_flow(cp, NULL);
	fnat_flow_free(f);
	return true;
}

/* A connection without a port gets one. NULL: dropped and counted. Under fnat_seam_lock(). */
static struct fnat_flow *request_begins(struct fnat_pkt *pkt, struct ip_vs_conn *cp,
					struct fnat_flow *f, struct fnat_flow **recycled)
{
	if (f && !flow_begins_anew(pkt, cp, f))
		return NULL;
	if (!fnat_seam_is_bound(cp)) {
		fnat_stat_inc(pkt->fn, drop_no_conn);
		return NULL;
	}
	f = flow_create(pkt, cp, recycled);
	if (!f) {
		fnat_seam_expire(cp);	/* the next SYN is scheduled anew */
		return NULL;
	}
	fnat_sync_publish(f);
	fnat_seam_set_flow(cp, f);
	return f;
}

/* The flow of the connection, made or made anew if need be. NULL: dropped and counted. */
static struct fnat_flow *request_makes_flow(struct fnat_pkt *pkt, struct ip_vs_conn *cp)
{
	struct fnat_flow *f, *recycled = NULL;

	fnat_seam_lock(cp);
	f = fnat_sync_update(pkt->fn, cp);
	if (IS_ERR(f)) {
		fnat_stat_inc(pkt->fn, drop_nomem);
		f = NULL;
	} else if (!f || flow_is_lost(f)) {
		f = request_begins(pkt, cp, f, &recycled);
	}
	fnat_seam_unlock(cp);
	/* before the SYN of the new connection, without its lock: it goes through all hooks */
	if (recycled && recycled->protocol == IPPROTO_TCP)
		fnat_reset_half_open(pkt->fn, recycled);
	return f;
}

/* TCP: the operator has ended the connection, and this does not begin a new one. */
static bool request_of_ended(struct fnat_pkt *pkt, struct ip_vs_conn *cp)
{
	const struct fnat_flow *f = fnat_seam_flow(cp);

	if (!f || f->protocol != IPPROTO_TCP || !fnat_flow_is_ended(f) || fnat_tcp_is_syn(pkt))
		return false;
	fnat_reset_ended(pkt->fn, pkt->skb, f, FNAT_DIR_REQUEST, pkt->thoff);
	fnat_seam_expire_soon(cp);
	return true;
}

/*
 * Of first packets that two CPUs saw at once ip_vs has two connections, and only one of
 * them has a flow. The other one ends at once, unless ip_vs takes the answer for its own:
 * then it finds the client's next packet to be its own as well. NULL: this is no such
 * packet.
 */
static struct fnat_flow *flow_of_twin(const struct fnat_pkt *pkt, struct ip_vs_conn *cp)
{
	u8 af = ip_hdr(pkt->skb)->version == 4 ? AF_INET : AF_INET6;
	struct fnat_tuple t;
	struct fnat_flow *f;
	unsigned int thoff;
	enum fnat_dir dir;

	if (!fnat_ip_parse(pkt->skb, af, &t, &thoff) ||
	    (t.protocol == IPPROTO_TCP && fnat_tcp_is_syn(pkt)))
		return NULL;
	f = fnat_flow_find(pkt->fn->net, &t, &dir);
	if (!f || dir != FNAT_DIR_REQUEST || f->cp == cp || flow_is_lost(f))
		return NULL;
	fnat_seam_expire(cp);
	return f;
}

/* NULL: the packet is to be dropped; counted. */
static struct fnat_flow *request_flow(struct fnat_pkt *pkt, struct ip_vs_conn *cp)
{
	struct fnat_flow *f = fnat_seam_flow(cp);

	if (likely(f && !flow_is_lost(f) && !fnat_sync_is_news(f)))
		return f;
	if (request_of_ended(pkt, cp))
		return NULL;
	return (f ? NULL : flow_of_twin(pkt, cp)) ? : request_makes_flow(pkt, cp);
}

/* The way to the RS. False: dropped and counted. */
static bool request_route(struct fnat_pkt *pkt)
{
	struct fnat_flow *f = pkt->flow;

	pkt->dst = fnat_route_get(pkt->fn->net, &f->portmap->route, f->af, &f->laddr, &f->daddr,
				  f->protocol);
	if (!pkt->dst) {
		fnat_stat_inc(pkt->fn, drop_no_route);
		return false;
	}
	if (fnat_route_is_local(pkt->dst, f->af)) {
		fnat_stat_inc(pkt->fn, drop_bad_rs);
		return false;
	}
	return fnat_may_pass(pkt);
}

static enum fnat_port_state port_state(const struct fnat_flow *f, const struct ip_vs_conn *cp)
{
	if (f->protocol == IPPROTO_UDP)
		return fnat_udp_port_state(f);
	if (fnat_seam_is_closed(cp) &&
	    !(fnat_seam_is_time_wait(cp) && fnat_tcp_awaits_last_ack(f)))
		return FNAT_PORT_CLOSED;
	return READ_ONCE(f->tcp.opened) ? FNAT_PORT_OPEN : FNAT_PORT_HALF_OPEN;
}

/*
 * Is it open, for ip_vs, too, and shall ip_vs's own timeout hold? Then a packet that neither
 * begins nor ends a connection changes nothing.
 */
bool fnat_flow_is_steady(const struct fnat_flow *f)
{
	if (f->idle_timeout)
		return false;
	if (f->protocol == IPPROTO_UDP)
		return READ_ONCE(f->udp.stream);
	return READ_ONCE(f->tcp.opened) && fnat_seam_state_is_steady(f->cp);
}

/* Also called after a reply. The skb is gone. */
void fnat_after_packet(struct fnat_net *fn, struct fnat_flow *f, struct ip_vs_conn *cp)
{
	enum fnat_port_state state;

	fnat_sync_packet(fn, f);
	if (likely(READ_ONCE(f->port_state) == FNAT_PORT_OPEN && fnat_flow_is_steady(f) &&
		   !fnat_flow_is_ended(f)))
		return;
	/* again if the connection has been opened meanwhile, by a packet on another CPU */
	do {
		state = port_state(f, cp);
		fnat_port_set_state(f, state);
		fnat_seam_adjust_timeout(fn, cp, state, f->idle_timeout);
	} while (unlikely(port_state(f, cp) != state));
	/* last: it may be ended while this runs */
	if (unlikely(fnat_flow_is_ended(f))) {
		fnat_port_set_state(f, FNAT_PORT_CLOSED);
		fnat_seam_expire_soon(cp);
	}
}

/* What ip_vs has done for a twin it has not done for the connection that has the flow. */
static void request_send(struct fnat_pkt *pkt, struct ip_vs_conn *cp)
{
	struct ip_vs_conn *own = pkt->flow->cp;
	bool held = unlikely(own != cp) && fnat_seam_get(own);
	int iif = pkt->skb->skb_iif;

	if (held)
		fnat_seam_set_state(own, FNAT_DIR_REQUEST, pkt->skb, pkt->thoff);
	if (fnat_send(pkt, true))
		fnat_fast_permit_request(pkt->flow, iif);
	if (likely(own == cp) || held)
		fnat_after_packet(pkt->fn, pkt->flow, own);
	if (held)
		fnat_seam_put_rearm(own);
}

unsigned int fnat_request(struct fnat_net *fn, struct sk_buff *skb, struct ip_vs_conn *cp,
			  unsigned int thoff)
{
	struct fnat_pkt pkt = {
		.skb = skb,
		.fn = fn,
		.dir = FNAT_DIR_REQUEST,
		.thoff = thoff,
	};
	int err;

	if (skb_warn_if_lro(skb))
		return fnat_drop(pkt.fn, skb, drop_lro);
	pkt.flow = request_flow(&pkt, cp);
	if (!pkt.flow)
		goto drop;
	if (pkt.flow->protocol == IPPROTO_TCP && !READ_ONCE(pkt.flow->tcp.rs_closed))
		fnat_seam_undo_time_wait(pkt.flow->cp);
	if (!request_route(&pkt))
		goto drop;
	err = fnat_rewrite(&pkt);
	if (err) {
		fnat_stat_inc_drop(pkt.fn, err);
		goto drop;
	}
	request_send(&pkt, cp);
	return NF_STOLEN;

drop:
	kfree_skb(skb);
	return NF_STOLEN;
}
