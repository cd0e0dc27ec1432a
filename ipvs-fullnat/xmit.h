/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The two ways through the load balancer, and what they share. All of it runs
 * in softirq, or in process context (LOCAL_OUT), under rcu_read_lock().
 */
#ifndef FNAT_XMIT_H
#define FNAT_XMIT_H

#include <linux/netfilter.h>
#include <linux/skbuff.h>

#include "flow.h"
#include "stats.h"

struct dst_entry;
struct fnat_net;
struct fnat_service;
struct ip_vs_conn;

/* A packet under rewriting. */
struct fnat_pkt {
	struct sk_buff *skb;
	struct fnat_net *fn;
	struct fnat_flow *flow;
	struct dst_entry *dst;		/* where it goes; the reference is RCU's */
	enum fnat_dir dir;
	unsigned int thoff;		/* offset of the transport header */
};

/*
 * Why a packet must be dropped, as an int beside 0 for "go on": the counter's
 * name. The packet may be half-rewritten then.
 */
#define FNAT_DROP(name)		(-1 - (int)FNAT_STAT_##name)
#define FNAT_DROP_STAT(err)	((enum fnat_stat)(-1 - (err)))

/* Counts what FNAT_DROP() said. */
#define fnat_stat_inc_drop(fn, err)	this_cpu_inc((fn)->stats->value[FNAT_DROP_STAT(err)])

/* request.c: C:cp -> VIP:vp becomes LIP:lp -> RS:rp. */
unsigned int fnat_request(struct fnat_net *fn, struct sk_buff *skb, struct ip_vs_conn *cp,
			  unsigned int thoff);

void fnat_flow_set_options(struct fnat_flow *f, const struct fnat_service *svc);
bool fnat_flow_is_steady(const struct fnat_flow *f);
void fnat_after_packet(struct fnat_net *fn, struct fnat_flow *f, struct ip_vs_conn *cp);

/* reply.c: RS:rp -> LIP:lp becomes VIP:vp -> C:cp. */
unsigned int fnat_reply(struct fnat_net *fn, struct sk_buff *skb, struct fnat_flow *f,
			unsigned int thoff);

/* rewrite.c: headers and checksums, for both directions; see also rewrite.h. */
struct fnat_csum {
	__wsum before;
	unsigned int len;		/* of transport header and payload */
};

int fnat_prepare(struct fnat_pkt *pkt, unsigned int hdr_len, unsigned int grow);
void fnat_csum_begin(const struct fnat_pkt *pkt, unsigned int hdr_len, struct fnat_csum *csum);
void fnat_csum_end(const struct fnat_pkt *pkt, unsigned int hdr_len, const struct fnat_csum *csum);
bool fnat_may_hop(const struct fnat_pkt *pkt);
bool fnat_may_pass(const struct fnat_pkt *pkt);
bool fnat_send(struct fnat_pkt *pkt, bool ipvs_done);

#endif
