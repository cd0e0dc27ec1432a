// SPDX-License-Identifier: GPL-2.0
/*
 * RSTs that we make: to both ends of a connection whose time is up, so that
 * neither keeps a socket that nobody can reach any more, and (by option) to who
 * sends packets of a connection that we do not know.
 *
 * Softirq (netfilter hooks, timers).
 */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <net/dst.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/route.h>
#include <net/tcp.h>

#include "ip.h"
#include "laddr.h"
#include "net.h"
#include "port.h"
#include "reset.h"
#include "route.h"

/*
 * May both ends of a TCP flow that has a port be reset? Not in a namespace that goes
 * away: it has no devices any more. Nor where another node may have the connection: it
 * is alive there while here its time is up. Under RCU.
 */
bool fnat_may_reset(const struct fnat_net *fn, const struct fnat_flow *f)
{
	return !READ_ONCE(fn->exiting) && READ_ONCE(fn->sysctl.expire_rst) &&
	       f->sync_state != FNAT_SYNC_STANDBY &&
	       !(f->tcp.unknown & (FNAT_TCP_NO_CLIENT_ACK | FNAT_TCP_NO_SEQ_END)) &&
	       fnat_laddr_is_local(fn, f->portmap->key.laddr);
}

/* The numbers of an RST; without an ACK flag ack_seq is 0. */
struct rst_numbers {
	u32 seq;
	u32 ack_seq;
	bool ack;
};

static void put_network_header(struct sk_buff *skb, const struct fnat_tuple *t,
			       struct dst_entry *dst)
{
	skb_reset_network_header(skb);
	if (fnat_is_v6(t->af)) {
		struct ipv6hdr *iph = skb_put(skb, sizeof(*iph));

		ip6_flow_hdr(iph, 0, 0);
		iph->nexthdr = IPPROTO_TCP;
		iph->hop_limit = ip6_dst_hoplimit(dst);
		skb->protocol = htons(ETH_P_IPV6);
	} else {
		struct iphdr *iph = skb_put_zero(skb, sizeof(*iph));

		iph->version = 4;
		iph->ihl = sizeof(*iph) / 4;
		iph->frag_off = htons(IP_DF);
		iph->protocol = IPPROTO_TCP;
		iph->ttl = ip4_dst_hoplimit(dst);
		skb->protocol = htons(ETH_P_IP);
	}
	fnat_ip_set_addrs(skb_network_header(skb), t->af, &t->saddr, &t->daddr);
}

static void put_rst(struct sk_buff *skb, const struct fnat_tuple *t, const struct rst_numbers *n)
{
	struct tcphdr *th;

	skb_set_transport_header(skb, skb->len);
	th = skb_put_zero(skb, sizeof(*th));
	th->source = t->sport;
	th->dest = t->dport;
	th->seq = htonl(n->seq);
	th->ack_seq = htonl(n->ack_seq);
	th->ack = n->ack;
	th->rst = 1;
	th->doff = sizeof(*th) / 4;
	th->check = fnat_ip_magic(skb, t->af, sizeof(*th), IPPROTO_TCP,
				  csum_partial(th, sizeof(*th), 0));
}

/* Under RCU. False: it cannot be sent, and nobody misses it. */
static bool send_rst(struct net *net, const struct fnat_tuple *t, const struct rst_numbers *n)
{
	struct dst_entry *dst = fnat_route_lookup(net, t->af, &t->saddr, &t->daddr, IPPROTO_TCP, 0);
	struct sk_buff *skb;

	if (!dst)
		return false;
	skb = alloc_skb(LL_MAX_HEADER + sizeof(struct ipv6hdr) + sizeof(struct tcphdr),
			GFP_ATOMIC);
	if (!skb) {
		dst_release(dst);
		return false;
	}
	skb_reserve(skb, LL_MAX_HEADER);
	put_network_header(skb, t, dst);
	put_rst(skb, t, n);
	fnat_ip_set_len(skb, t->af);
	skb_dst_set(skb, dst);
	skb->ipvs_property = 1;
	nf_ct_set(skb, NULL, IP_CT_UNTRACKED);
	NF_HOOK(t->af, NF_INET_LOCAL_OUT, net, NULL, skb, NULL, dst->dev, dst_output);
	return true;
}

/**
 * fnat_reset_flow - end a TCP connection whose time is up
 * @fn: its namespace
 * @f: the flow, which has its port and is open
 *
 * Both ends have been silent for long, so what each has acknowledged is what
 * it expects next: a receiver believes an RST only if it has that number.
 */
void fnat_reset_flow(struct fnat_net *fn, const struct fnat_flow *f)
{
	struct rst_numbers to_rs = {
		.seq = READ_ONCE(f->tcp.seq_end),
		.ack_seq = READ_ONCE(f->tcp.client_ack),
		.ack = true,
	};
	struct rst_numbers to_client = {
		.seq = to_rs.ack_seq,
		.ack_seq = to_rs.seq - f->tcp.off.seq,
		.ack = true,
	};
	struct fnat_tuple t;

	rcu_read_lock();
	fnat_flow_tuple(f, FNAT_DIR_REPLY, &t);
	fnat_tuple_turn(&t);
	send_rst(fn->net, &t, &to_rs);
	fnat_flow_tuple(f, FNAT_DIR_REQUEST, &t);
	fnat_tuple_turn(&t);
	send_rst(fn->net, &t, &to_client);
	rcu_read_unlock();
	fnat_stat_inc(fn, expire_rst);
}

/**
 * fnat_reset_half_open - let the RS forget a handshake that no client completes
 * @fn: its namespace
 * @f: the TCP flow, which gives up its port or has lost it
 *
 * The RS would take the next SYN from this port for a part of that handshake
 * and refuse it: a SYN flood would cost honest clients a second each. It
 * expects the number after the SYN's.
 */
void fnat_reset_half_open(struct fnat_net *fn, const struct fnat_flow *f)
{
	struct rst_numbers n = { .seq = f->tcp.client_isn + f->tcp.off.seq + 1 };
	struct fnat_tuple t;

	fnat_flow_tuple(f, FNAT_DIR_REPLY, &t);
	fnat_tuple_turn(&t);
	rcu_read_lock();
	if (send_rst(fn->net, &t, &n))
		fnat_stat_inc(fn, half_open_rst);
	rcu_read_unlock();
}

/* As a host without the connection would: RFC 9293, 3.10.7.1. Under RCU. */
static bool reset_answer(struct fnat_net *fn, const struct sk_buff *skb,
			 const struct fnat_tuple *t, unsigned int thoff)
{
	struct tcphdr _th;
	const struct tcphdr *th = skb_header_pointer(skb, thoff, sizeof(_th), &_th);
	struct fnat_tuple back = *t;
	struct rst_numbers n = {};

	if (!th || th->rst || skb->len < thoff + th->doff * 4)
		return false;
	if (th->ack) {
		n.seq = ntohl(th->ack_seq);
	} else {
		n.ack = true;
		n.ack_seq = ntohl(th->seq) + th->syn + th->fin + skb->len - thoff - th->doff * 4;
	}
	fnat_tuple_turn(&back);
	return send_rst(fn->net, &back, &n);
}

/**
 * fnat_reset_unknown - answer a TCP packet as a host without the connection would
 * @fn: its namespace
 * @skb: the packet, which stays the caller's
 * @t: its tuple
 * @thoff: its transport header
 *
 * Under RCU.
 */
void fnat_reset_unknown(struct fnat_net *fn, const struct sk_buff *skb,
			const struct fnat_tuple *t, unsigned int thoff)
{
	if (reset_answer(fn, skb, t, thoff))
		fnat_stat_inc(fn, unknown_rst);
}

/**
 * fnat_reset_ended - a packet of a connection that an operator has ended
 * @fn: its namespace
 * @skb: the packet, which stays the caller's
 * @f: its flow
 * @dir: its direction
 * @thoff: its transport header
 *
 * The RSTs that the end was told by first have the numbers that were acknowledged
 * last, and are ignored by who has got more since. This one has the number that
 * its receiver expects. Under RCU.
 */
void fnat_reset_ended(struct fnat_net *fn, const struct sk_buff *skb, const struct fnat_flow *f,
		      enum fnat_dir dir, unsigned int thoff)
{
	struct fnat_tuple t;

	fnat_stat_inc(fn, drop_ended);
	if (f->protocol != IPPROTO_TCP || !READ_ONCE(fn->sysctl.expire_rst))
		return;
	fnat_flow_tuple(f, dir, &t);
	reset_answer(fn, skb, &t, thoff);
}
