// SPDX-License-Identifier: GPL-2.0
/*
 * The fast path: packets of established connections are rewritten at PRE_ROUTING and
 * handed to the neighbour at once. No routing, no netfilter, no ip_vs after that point.
 *
 * The slow path permits it: each direction may be fast for FNAT_FAST_TERM after a packet
 * of it came through the slow path from end to end, through all rules, hooks and tables
 * that are there. So at least every FNAT_FAST_TERM one does, which keeps ip_vs's state and
 * timer true; and whatever the slow path would refuse (a new rule, a VIP that has moved
 * away, a namespace in backup_only) ends the permission. What must not wait that long is
 * looked at for each packet: routes, MTUs, the destination, the state.
 *
 * Softirq or BH off, under RCU.
 */
#include <linux/tcp.h>
#include <net/arp.h>
#include <net/dst.h>
#include <net/ip.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/neighbour.h>
#include <net/route.h>

#include "compat.h"
#include "fast.h"
#include "ip.h"
#include "net.h"
#include "rewrite.h"
#include "route.h"
#include "seam.h"
#include "tcp.h"

/* Less than half of the least timeout that can be set anywhere, which is a second. */
#define FNAT_FAST_TERM	(2 * HZ / 5)

/* ip_vs takes a connection with less than nine requests for one that nobody needs. */
#define FNAT_FAST_BATCH	8

void fnat_fast_init(struct fnat_flow *f)
{
	u32 long_ago = (u32)jiffies - HZ;

	f->node[FNAT_DIR_REQUEST].slow_at = long_ago;
	f->node[FNAT_DIR_REPLY].slow_at = long_ago;
}

/*
 * At the end of the flow, and once more a grace period later for what a packet that was
 * already inside has put there. At once, since a namespace that goes away waits for one grace
 * period, and dst_release() needs one for itself.
 */
void fnat_fast_exit(struct fnat_flow *f)
{
	dst_release(xchg(&f->reply_dst, NULL));
}

/* The next ones of this direction may be fast, if they come in where this one did. */
static void permit(struct fnat_flow *f, enum fnat_dir dir, int iif)
{
	WRITE_ONCE(f->iif[dir], iif);
	WRITE_ONCE(f->node[dir].slow_at, (u32)jiffies);
}

/*
 * A packet that comes in elsewhere has not been looked at by rp_filter or the rules, whose
 * word about that device may be another one.
 */
static bool is_permitted(const struct fnat_flow *f, enum fnat_dir dir, int iif)
{
	return (u32)jiffies - READ_ONCE(f->node[dir].slow_at) < FNAT_FAST_TERM &&
	       READ_ONCE(f->iif[dir]) == iif;
}

/* A request has come through the slow path, from this device. ip_vs has not counted it yet. */
void fnat_fast_permit_request(struct fnat_flow *f, int iif)
{
	struct fnat_flow_node *n = &f->node[FNAT_DIR_REQUEST];
	u16 count = READ_ONCE(n->fast_packets);

	if (count) {
		WRITE_ONCE(n->fast_packets, 0);
		fnat_seam_add_requests(f->cp, count);
	}
	if (fnat_seam_is_past_first_sync(f->cp))
		permit(f, FNAT_DIR_REQUEST, iif);
}

/*
 * Two CPUs may do this at once, a third one reads: each of the two values is true for some
 * route to the client, and one that does not belong to the other makes the route stale at
 * worst. dst_release() frees after a grace period.
 */
static void set_reply_route(struct fnat_flow *f, struct dst_entry *dst)
{
	WRITE_ONCE(f->reply_cookie, fnat_route_cookie(dst, f->af));
	dst_release(xchg(&f->reply_dst, dst_clone(dst)));
}

/*
 * A reply has come through the slow path, from this device. "new" is the route that it took,
 * on which the caller holds a reference; NULL: that of fnat_fast_reply_route(). A mark may
 * choose the route, so it stays slow: the cache is for one route. An IPv6 route is given a
 * new cookie when its neighbours in the table change.
 */
void fnat_fast_permit_reply(struct fnat_flow *f, struct dst_entry *new, u32 mark, int iif)
{
	if (mark)
		return;
	if (new)
		set_reply_route(f, new);
	if (READ_ONCE(f->port_state) == FNAT_PORT_OPEN)
		permit(f, FNAT_DIR_REPLY, iif);
}

/* What a lookup would find, for a reply with this mark. NULL: look. No reference is taken. */
struct dst_entry *fnat_fast_reply_route(const struct fnat_flow *f, u32 mark)
{
	struct dst_entry *dst = mark ? NULL : READ_ONCE(f->reply_dst);

	return dst && fnat_route_is_fresh(dst, READ_ONCE(f->reply_cookie)) ? dst : NULL;
}

/* Nothing that only the slow path understands: options, extension headers, the last hop. */
static bool network_is_plain(const struct sk_buff *skb, u8 af, unsigned int thoff)
{
	if (fnat_is_v6(af))
		return thoff == sizeof(struct ipv6hdr) && ipv6_hdr(skb)->hop_limit > 1 &&
		       !IP6CB(skb)->frag_max_size;
	return thoff == sizeof(struct iphdr) && ip_hdr(skb)->ttl > 1 && !IPCB(skb)->frag_max_size;
}

/* Nobody else has plans with it: IPsec, a bridge with netfilter, an MPTCP socket. */
static bool skb_is_plain(struct sk_buff *skb)
{
	return skb->pkt_type == PACKET_HOST && !skb_has_extensions(skb);
}

/* Neither side begins, ends or begins anew, and the RS has the client's address. */
static bool tcp_is_plain(const struct fnat_pkt *pkt)
{
	struct tcphdr buf;
	const struct tcphdr *th = skb_header_pointer(pkt->skb, pkt->thoff, sizeof(buf), &buf);

	if (!th || (tcp_flag_word(th) & (TCP_FLAG_ACK | TCP_FLAG_SYN | TCP_FLAG_FIN |
					 TCP_FLAG_RST)) != TCP_FLAG_ACK)
		return false;
	return !fnat_tcp_toa_is_due(pkt->flow) && !READ_ONCE(pkt->flow->tcp.has_pending) &&
	       fnat_seam_state_is_steady(pkt->flow->cp);
}

/* Is it established, and would ip_vs just let the packet pass? */
static bool flow_is_plain(const struct fnat_pkt *pkt)
{
	const struct fnat_flow *f = pkt->flow;

	/* pairs with flow_settle(): a request may find it before it has a port map */
	if (smp_load_acquire(&f->port_state) != FNAT_PORT_OPEN || fnat_flow_is_ended(f) ||
	    !fnat_seam_dest_is_available(f->cp))
		return false;
	return f->protocol == IPPROTO_UDP || tcp_is_plain(pkt);
}

/* NULL: there is none, it is stale, or it is no plain one. */
static struct dst_entry *fresh_route(const struct fnat_pkt *pkt)
{
	const struct fnat_flow *f = pkt->flow;
	struct dst_entry *dst;

	if (pkt->dir == FNAT_DIR_REQUEST)
		dst = fnat_route_peek(&f->portmap->route);
	else
		dst = fnat_fast_reply_route(f, pkt->skb->mark);
	return dst && fnat_route_is_plain(dst, f->af) ? dst : NULL;
}

/* Into the device's MTU, as it is or as segments. */
static bool fits(const struct sk_buff *skb, const struct dst_entry *dst)
{
	unsigned int mtu = dst_mtu(dst);

	return likely(skb->len <= mtu) ||
	       (skb_is_gso(skb) && skb_gso_validate_network_len(skb, mtu));
}

/*
 * ip_vs's own count of requests decides whether a connection is busy (drop_entry) and when
 * the sync daemon tells of it.
 */
static void count_request(struct fnat_flow *f)
{
	struct fnat_flow_node *n = &f->node[FNAT_DIR_REQUEST];
	u16 packets = READ_ONCE(n->fast_packets);

	if (packets < U16_MAX)
		packets++;
	if (packets % FNAT_FAST_BATCH == 0 && fnat_seam_count_requests(f->cp, packets))
		packets = 0;
	WRITE_ONCE(n->fast_packets, packets);
}

static void count(const struct fnat_pkt *pkt, unsigned int len)
{
	bool request = pkt->dir == FNAT_DIR_REQUEST;

	fnat_seam_count(pkt->flow->cp, request, len);
	if (request) {
		fnat_stat_inc(pkt->fn, fast_request);
		count_request(pkt->flow);
	} else {
		fnat_stat_inc(pkt->fn, fast_reply);
	}
}

/* The next hop, as ip_finish_output2() and ip6_finish_output2() find it. */
static struct neighbour *next_hop(const struct fnat_pkt *pkt, bool *skip_cache)
{
	struct dst_entry *dst = pkt->dst;
	struct sk_buff *skb = pkt->skb;

	if (!fnat_is_v6(pkt->flow->af))
		return ip_neigh_for_gw(container_of(dst, struct rtable, dst), skb, skip_cache);
	return ip_neigh_gw6(dst->dev, rt6_nexthop(container_of(dst, struct rt6_info, dst),
						  &ipv6_hdr(skb)->daddr));
}

static void send(struct fnat_pkt *pkt)
{
	struct sk_buff *skb = pkt->skb;
	bool skip_cache = false;
	struct neighbour *neigh;

	fnat_finish(pkt);
	skb->dev = pkt->dst->dev;
	neigh = next_hop(pkt, &skip_cache);
	if (IS_ERR(neigh)) {
		fnat_stat_inc(pkt->fn, drop_nomem);
		kfree_skb(skb);
		return;
	}
	neigh_output(neigh, skb, skip_cache);
}

static void forward(struct fnat_pkt *pkt)
{
	unsigned int len = pkt->skb->len;
	int err = fnat_rewrite(pkt);

	if (unlikely(err)) {
		fnat_stat_inc_drop(pkt->fn, err);
		kfree_skb(pkt->skb);
		return;
	}
	count(pkt, len);
	send(pkt);
}

/**
 * fnat_fast - forward a packet at once, if it is an ordinary one of an established flow
 * @fn: the namespace
 * @skb: a packet at PRE_ROUTING
 * @f: its flow
 * @dir: its direction
 * @thoff: its transport header
 *
 * False: not touched, the slow path has it. True: it is gone.
 */
bool fnat_fast(struct fnat_net *fn, struct sk_buff *skb, struct fnat_flow *f, enum fnat_dir dir,
	       unsigned int thoff)
{
	struct fnat_pkt pkt = {
		.skb = skb,
		.fn = fn,
		.flow = f,
		.dir = dir,
		.thoff = thoff,
	};

	/* what a program had from a queue comes in its context, and the rest of PRE_ROUTING here */
	if (unlikely(!in_softirq()))
		return false;
	if (!is_permitted(f, dir, skb->skb_iif) || !skb_is_plain(skb) ||
	    !network_is_plain(skb, f->af, thoff) || !flow_is_plain(&pkt))
		return false;
	if (skb_is_gso(skb) && skb_warn_if_lro(skb))
		return false;
	pkt.dst = fresh_route(&pkt);
	if (!pkt.dst || !fits(skb, pkt.dst))
		return false;
	forward(&pkt);
	return true;
}
