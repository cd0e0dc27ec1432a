/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counters of a network namespace, one set for each CPU. They are shown as
 * /proc/net/ip_vs_fullnat_stats. All count packets unless they say otherwise;
 * they start at 0 when the namespace (or the module) starts, and never go back.
 */
#ifndef FNAT_STATS_H
#define FNAT_STATS_H

#include <linux/netfilter.h>
#include <linux/percpu.h>
#include <linux/skbuff.h>

enum fnat_stat {
	/* connections that got a local port */
	FNAT_STAT_conns,
	/* the same, of which a packet with TOA was sent; a connection that
	 * begins anew (syn_committed) counts again
	 */
	FNAT_STAT_conns_with_toa,
	/* connections that the RS accepted without one: stays 0 */
	FNAT_STAT_conns_without_toa,
	/* request packets sent with a TOA */
	FNAT_STAT_toa_packets,
	/* of these: made a GSO packet since the TOA made them too long */
	FNAT_STAT_toa_split,
	/* of these: GSO packets whose segments were made shorter */
	FNAT_STAT_toa_gso,
	/* of these: other options dropped, there was no room for all */
	FNAT_STAT_toa_dropped_options,
	/* request packets whose options of a TOA kind were taken out */
	FNAT_STAT_toa_forged,
	/* request packets whose malformed options were cut off */
	FNAT_STAT_options_malformed,
	/* ports taken from closed flows / from half-open flows */
	FNAT_STAT_takeover_closed,
	FNAT_STAT_takeover_half_open,
	/* SYNs with another ISN on a live connection */
	FNAT_STAT_syn_pending,
	/* of these: the RS answered, so the connection is a new one */
	FNAT_STAT_syn_committed,
	/* connections without timestamps since their port's last client had an odd clock */
	FNAT_STAT_timestamps_removed,
	/* SYN-ACKs whose MSS was lowered by the length of the TOA */
	FNAT_STAT_mss_lowered,
	/* path-MTU messages sent to a client / to an RS */
	FNAT_STAT_icmp_toobig_client,
	FNAT_STAT_icmp_toobig_rs,
	/* ICMP errors translated towards the RS / the client */
	FNAT_STAT_icmp_to_rs,
	FNAT_STAT_icmp_to_client,
	/* connections reset at both ends since their time was up */
	FNAT_STAT_expire_rst,
	/* half-open connections that lost their port or timed out: the RS was told */
	FNAT_STAT_half_open_rst,
	/* connections made from a record of another node; of these: that have
	 * carried a packet here; connections whose record has become another one
	 */
	FNAT_STAT_sync_accepted,
	FNAT_STAT_sync_taken_over,
	FNAT_STAT_sync_replaced,
	/* records refused: there is none in the message; not one, or damaged; of
	 * another version; of a client that has not proved that it exists; their
	 * LIP is not declared here; more than one LIP may be meant; another flow
	 * has the port, or the connection is carried here; no memory
	 */
	FNAT_STAT_sync_refused_no_record,
	FNAT_STAT_sync_refused_malformed,
	FNAT_STAT_sync_refused_version,
	FNAT_STAT_sync_refused_half_open,
	FNAT_STAT_sync_refused_no_laddr,
	FNAT_STAT_sync_refused_collision,
	FNAT_STAT_sync_refused_conflict,
	FNAT_STAT_sync_refused_nomem,
	/* connections that an operator has ended */
	FNAT_STAT_conns_ended,
	/* packets of no connection that were answered by an RST */
	FNAT_STAT_unknown_rst,
	/* packets of established connections that took the fast path */
	FNAT_STAT_fast_request,
	FNAT_STAT_fast_reply,
	/* drops: every free port of every local address is in use */
	FNAT_STAT_drop_exhausted,
	/* the pool is empty, or none of its addresses is local here */
	FNAT_STAT_drop_no_laddr,
	/* not a SYN, to a FULLNAT service, of no known connection */
	FNAT_STAT_drop_no_conn,
	/* to a port of a local address, of no known flow */
	FNAT_STAT_drop_no_flow,
	/* data, FIN or RST of a former connection of the port, before the RS's SYN-ACK */
	FNAT_STAT_drop_stale_reply,
	/* RSTs of a client with a number that the RS cannot expect: forged, or late */
	FNAT_STAT_drop_false_rst,
	/* of a connection whose port another one has taken over */
	FNAT_STAT_drop_port_lost,
	/* of a connection that another node has told of, whose record was refused */
	FNAT_STAT_drop_sync_refused,
	/* the same SYN became two connections: the second one's */
	FNAT_STAT_drop_duplicate_conn,
	/* of a connection that an operator has ended */
	FNAT_STAT_drop_ended,
	/* there are as many connections as the parameter flow_max allows, or port maps for them */
	FNAT_STAT_drop_flow_limit,
	/* one-packet scheduling (ipvsadm -o), which FULLNAT cannot do */
	FNAT_STAT_drop_one_packet,
	/* memory allocation failed */
	FNAT_STAT_drop_nomem,
	/* truncated, or a header that contradicts itself */
	FNAT_STAT_drop_malformed,
	/* no route to the RS / to the client */
	FNAT_STAT_drop_no_route,
	/* TTL used up */
	FNAT_STAT_drop_ttl,
	/* larger than the path's MTU and not to be fragmented */
	FNAT_STAT_drop_toobig,
	/* merged by LRO, which must be off where packets are forwarded */
	FNAT_STAT_drop_lro,
	/* a protocol, family or ICMP error that is not forwarded */
	FNAT_STAT_drop_unsupported,
	/* wrong checksum, seen when a packet had to be cut in two */
	FNAT_STAT_drop_csum,
	/* the RS is an address of this host or another family */
	FNAT_STAT_drop_bad_rs,
	__FNAT_STAT_MAX
};

struct fnat_stats {
	u64 value[__FNAT_STAT_MAX];
};

struct fnat_net;

/* Softirq, or process context (LOCAL_OUT). */
#define fnat_stat_inc(fn, name) \
	this_cpu_inc((fn)->stats->value[FNAT_STAT_##name])

/* Verdict and counter in one call, so that no packet vanishes without a trace. */
#define fnat_drop(fn, skb, name)				\
({								\
	fnat_stat_inc(fn, name);				\
	kfree_skb(skb);						\
	NF_STOLEN;						\
})

int fnat_proc_net_init(struct fnat_net *fn);
void fnat_proc_net_exit(struct fnat_net *fn);

#endif
