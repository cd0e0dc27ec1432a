/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where the network headers of IPv4 and IPv6 differ, and TCP and UDP behind
 * them. Nothing here knows of flows. Softirq, or process context (LOCAL_OUT),
 * under RCU; "af" is AF_INET or AF_INET6, the packet's data begins with that
 * header.
 */
#ifndef FNAT_IP_H
#define FNAT_IP_H

#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netfilter.h>
#include <linux/skbuff.h>
#include <net/ip.h>
#include <net/ipv6.h>

#include "flow.h"

struct net;

/* False for IPv6 where this kernel's ip_vs has none: the compiler drops that code then. */
static inline bool fnat_is_v6(u8 af)
{
	return IS_ENABLED(CONFIG_IP_VS_IPV6) && af == AF_INET6;
}

/* What we forward. */
static inline bool fnat_is_transport(u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

int fnat_ip_find_transport_v6(const struct sk_buff *skb, u8 *protocol);
int fnat_ip_find_icmp(const struct sk_buff *skb, u8 af);
int fnat_ip_find_quoted(const struct sk_buff *skb, unsigned int off, struct fnat_tuple *t);

__wsum fnat_ip_addrs_sum(const void *iph, u8 af);
__sum16 fnat_ip_magic(const struct sk_buff *skb, u8 af, unsigned int len, u8 protocol,
		      __wsum sum);
void fnat_ip_forget_fragments(struct sk_buff *skb, u8 af);
bool fnat_ip_too_big(const struct sk_buff *skb, u8 af, unsigned int mtu);
void fnat_ip_select_ident(struct sk_buff *skb, struct net *net);
void fnat_ip_send_time_exceeded(struct sk_buff *skb, u8 af, struct net *net);
void fnat_ip_send_too_big(struct sk_buff *skb, u8 af, struct net *net, unsigned int mtu);

/* Offset of the transport header of a packet that is no fragment; -1: none. */
static __always_inline int fnat_ip_find_transport(const struct sk_buff *skb, u8 af, u8 *protocol)
{
	if (!fnat_is_v6(af)) {
		if (ip_is_fragment(ip_hdr(skb)))
			return -1;
		*protocol = ip_hdr(skb)->protocol;
		return skb_network_offset(skb) + ip_hdrlen(skb);
	}
	*protocol = ipv6_hdr(skb)->nexthdr;
	if (likely(fnat_is_transport(*protocol)))
		return skb_network_offset(skb) + sizeof(struct ipv6hdr);
	return fnat_ip_find_transport_v6(skb, protocol);
}

/* Those of an IPv4 or IPv6 header; the rest of the unions stays 0. */
static __always_inline void fnat_ip_copy_addrs(const void *iph, u8 af, struct fnat_tuple *t)
{
	memset(t, 0, sizeof(*t));
	t->af = af;
	if (fnat_is_v6(af)) {
		t->saddr.in6 = ((const struct ipv6hdr *)iph)->saddr;
		t->daddr.in6 = ((const struct ipv6hdr *)iph)->daddr;
	} else {
		t->saddr.ip = ((const struct iphdr *)iph)->saddr;
		t->daddr.ip = ((const struct iphdr *)iph)->daddr;
	}
}

static __always_inline bool fnat_ip_copy_ports(const struct sk_buff *skb, unsigned int thoff,
					       struct fnat_tuple *t)
{
	__be16 _ports[2];
	const __be16 *ports = skb_header_pointer(skb, thoff, sizeof(_ports), _ports);

	if (!ports)
		return false;
	t->sport = ports[0];
	t->dport = ports[1];
	return true;
}

/**
 * fnat_ip_parse - the tuple of a TCP or UDP packet
 * @skb: the packet
 * @af: its family, which the caller had better know when it is compiled
 * @t: the result
 * @thoff: where its transport header is, from skb->data
 *
 * False: another protocol, a fragment, or cut off before the ports.
 */
static __always_inline bool fnat_ip_parse(const struct sk_buff *skb, u8 af, struct fnat_tuple *t,
					  unsigned int *thoff)
{
	u8 protocol;
	int off = fnat_ip_find_transport(skb, af, &protocol);

	if (off < 0 || !fnat_is_transport(protocol))
		return false;
	fnat_ip_copy_addrs(skb_network_header(skb), af, t);
	t->protocol = protocol;
	*thoff = off;
	return fnat_ip_copy_ports(skb, off, t);
}

/* Checksums are the caller's business. */
static inline void fnat_ip_set_addrs(void *iph, u8 af, const union nf_inet_addr *saddr,
				     const union nf_inet_addr *daddr)
{
	if (fnat_is_v6(af)) {
		((struct ipv6hdr *)iph)->saddr = saddr->in6;
		((struct ipv6hdr *)iph)->daddr = daddr->in6;
	} else {
		((struct iphdr *)iph)->saddr = saddr->ip;
		((struct iphdr *)iph)->daddr = daddr->ip;
	}
}

static inline bool fnat_ip_is_last_hop(const struct sk_buff *skb, u8 af)
{
	return (fnat_is_v6(af) ? ipv6_hdr(skb)->hop_limit : ip_hdr(skb)->ttl) <= 1;
}

/* The header is writable; its checksum is fnat_ip_set_len()'s business. */
static inline void fnat_ip_decrease_ttl(struct sk_buff *skb, u8 af)
{
	if (fnat_is_v6(af))
		ipv6_hdr(skb)->hop_limit--;
	else
		ip_hdr(skb)->ttl--;
}

/*
 * All clients of a LIP are one sender to the RS: with the identifications that they have
 * chosen, fragments of two of them would become one datagram. Once the addresses are
 * rewritten, and while ignore_df is the sender's. (IPv6 fragments get new ones anyway.)
 */
static inline void fnat_ip_new_ident(struct sk_buff *skb, u8 af, struct net *net)
{
	if (!fnat_is_v6(af) &&
	    (!(ip_hdr(skb)->frag_off & htons(IP_DF)) || skb->ignore_df ||
	     IPCB(skb)->frag_max_size))
		fnat_ip_select_ident(skb, net);
}

/* After all other changes. A packet merged beyond the field has 0 (BIG TCP). */
static inline void fnat_ip_set_len(struct sk_buff *skb, u8 af)
{
	if (fnat_is_v6(af)) {
		unsigned int len = skb->len - sizeof(struct ipv6hdr);

		ipv6_hdr(skb)->payload_len = len <= IPV6_MAXPLEN ? htons(len) : 0;
	} else {
		ip_hdr(skb)->tot_len = skb->len <= IP_MAX_MTU ? htons(skb->len) : 0;
		ip_send_check(ip_hdr(skb));
	}
}

#endif
