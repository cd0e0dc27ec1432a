// SPDX-License-Identifier: GPL-2.0
/* See ip.h. */
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <net/checksum.h>
#include <net/icmp.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>
#include <net/ipv6.h>

#include "compat.h"
#include "ip.h"

/* Offset of the transport header of a packet that is no fragment; -1: none. */
static __always_inline int find_transport(const struct sk_buff *skb, u8 af, u8 *protocol)
{
	unsigned short frag = 0;
	unsigned int off = 0;
	int flags = 0, found;

	if (!fnat_is_v6(af)) {
		if (ip_is_fragment(ip_hdr(skb)))
			return -1;
		*protocol = ip_hdr(skb)->protocol;
		return skb_network_offset(skb) + ip_hdrlen(skb);
	}
	*protocol = ipv6_hdr(skb)->nexthdr;
	if (likely(fnat_is_transport(*protocol)))
		return skb_network_offset(skb) + sizeof(struct ipv6hdr);
	found = ipv6_find_hdr(skb, &off, -1, &frag, &flags);
	if (found < 0 || flags & IP6_FH_F_FRAG)
		return -1;
	*protocol = found;
	return off;
}

/* An address of an IPv4 or IPv6 header; the rest of the union stays 0. */
static __always_inline void copy_addrs(const void *iph, u8 af, struct fnat_tuple *t)
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

static __always_inline bool copy_ports(const struct sk_buff *skb, unsigned int thoff,
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
 * @af: its family
 * @t: the result
 * @thoff: where its transport header is, from skb->data
 *
 * False: another protocol, a fragment, or cut off before the ports.
 */
bool fnat_ip_parse(const struct sk_buff *skb, u8 af, struct fnat_tuple *t, unsigned int *thoff)
{
	u8 protocol;
	int off = find_transport(skb, af, &protocol);

	if (off < 0 || !fnat_is_transport(protocol))
		return false;
	copy_addrs(skb_network_header(skb), af, t);
	t->protocol = protocol;
	*thoff = off;
	return copy_ports(skb, off, t);
}

/* Offset of the ICMP or ICMPv6 header; -1: not an ICMP packet, or a fragment. */
int fnat_ip_find_icmp(const struct sk_buff *skb, u8 af)
{
	u8 protocol = 0;
	int off = find_transport(skb, af, &protocol);

	return protocol == (fnat_is_v6(af) ? IPPROTO_ICMPV6 : IPPROTO_ICMP) ? off : -1;
}

static int quoted_transport_v4(const struct sk_buff *skb, unsigned int off, struct fnat_tuple *t)
{
	struct iphdr _iph;
	const struct iphdr *iph = skb_header_pointer(skb, off, sizeof(_iph), &_iph);

	if (!iph || iph->version != 4 || iph->ihl < 5 || iph->frag_off & htons(IP_OFFSET))
		return -1;
	copy_addrs(iph, AF_INET, t);
	t->protocol = iph->protocol;
	return off + iph->ihl * 4;
}

static int quoted_transport_v6(const struct sk_buff *skb, unsigned int off, struct fnat_tuple *t)
{
	struct ipv6hdr _iph;
	const struct ipv6hdr *iph = skb_header_pointer(skb, off, sizeof(_iph), &_iph);
	__be16 frag = 0;
	int thoff;

	if (!iph || iph->version != 6)
		return -1;
	copy_addrs(iph, AF_INET6, t);
	t->protocol = iph->nexthdr;
	thoff = ipv6_skip_exthdr(skb, off + sizeof(_iph), &t->protocol, &frag);
	return frag & htons(IP6_OFFSET) ? -1 : thoff;
}

/**
 * fnat_ip_find_quoted - look into the packet that an ICMP error quotes
 * @skb: the error
 * @off: where the quoted network header is
 * @t: its af says of which family; the rest is the result, as the quoted packet
 *	has it
 *
 * Return: offset of the quoted transport header, -1: not TCP or UDP, not a
 * packet's first fragment, or cut off before the ports.
 */
int fnat_ip_find_quoted(const struct sk_buff *skb, unsigned int off, struct fnat_tuple *t)
{
	int thoff = fnat_is_v6(t->af) ? quoted_transport_v6(skb, off, t) :
					quoted_transport_v4(skb, off, t);

	if (thoff < 0 || !fnat_is_transport(t->protocol) || !copy_ports(skb, thoff, t))
		return -1;
	return thoff;
}

/* Checksums are the caller's business. */
void fnat_ip_set_addrs(void *iph, u8 af, const union nf_inet_addr *saddr,
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

/* The addresses' share of the pseudo header's sum. */
__wsum fnat_ip_addrs_sum(const void *iph, u8 af)
{
	if (fnat_is_v6(af))
		return csum_partial(&((const struct ipv6hdr *)iph)->saddr,
				    2 * sizeof(struct in6_addr), 0);
	return csum_partial(&((const struct iphdr *)iph)->saddr, 2 * sizeof(__be32), 0);
}

/* The checksum of pseudo header and sum, for a transport header and payload of len bytes. */
__sum16 fnat_ip_magic(const struct sk_buff *skb, u8 af, unsigned int len, u8 protocol,
		      __wsum sum)
{
	if (fnat_is_v6(af))
		return csum_ipv6_magic(&ipv6_hdr(skb)->saddr, &ipv6_hdr(skb)->daddr, len,
				       protocol, sum);
	return csum_tcpudp_magic(ip_hdr(skb)->saddr, ip_hdr(skb)->daddr, len, protocol, sum);
}

/*
 * All clients of a LIP are one sender to the RS: with the identifications that they have
 * chosen, fragments of two of them would become one datagram. Once the addresses are
 * rewritten. (IPv6 fragments get new ones anyway.)
 */
void fnat_ip_new_ident(struct sk_buff *skb, u8 af, struct net *net)
{
	unsigned int segs = 1;

	if (fnat_is_v6(af) ||
	    (ip_hdr(skb)->frag_off & htons(IP_DF) && !IPCB(skb)->frag_max_size))
		return;
	if (skb_is_gso(skb))
		segs = DIV_ROUND_UP(skb->len, skb_shinfo(skb)->gso_size);
	__ip_select_ident(net, ip_hdr(skb), segs);
}

/* After changes of addresses or length. A packet merged beyond the field has 0 (BIG TCP). */
void fnat_ip_set_len(struct sk_buff *skb, u8 af)
{
	if (fnat_is_v6(af)) {
		unsigned int len = skb->len - sizeof(struct ipv6hdr);

		ipv6_hdr(skb)->payload_len = len <= IPV6_MAXPLEN ? htons(len) : 0;
	} else {
		ip_hdr(skb)->tot_len = skb->len <= IP_MAX_MTU ? htons(skb->len) : 0;
		ip_send_check(ip_hdr(skb));
	}
}

/* icmpv6_send() wants a device; a packet of this host's own (LOCAL_OUT) has none. */
static void send_icmpv6(struct sk_buff *skb, struct net *net, u8 type, u8 code, u32 info)
{
	if (!skb->dev)
		skb->dev = net->loopback_dev;
	icmpv6_send(skb, type, code, info);
}

/* False: it was the last hop, and the sender has been told; or no memory. */
bool fnat_ip_decrease_ttl(struct sk_buff *skb, u8 af, struct net *net)
{
	unsigned int off = skb_network_offset(skb);

	if (fnat_is_v6(af)) {
		if (ipv6_hdr(skb)->hop_limit <= 1) {
			send_icmpv6(skb, net, ICMPV6_TIME_EXCEED, ICMPV6_EXC_HOPLIMIT, 0);
			return false;
		}
		if (skb_ensure_writable(skb, off + sizeof(struct ipv6hdr)))
			return false;
		ipv6_hdr(skb)->hop_limit--;
		return true;
	}
	if (ip_hdr(skb)->ttl <= 1) {
		icmp_send(skb, ICMP_TIME_EXCEEDED, ICMP_EXC_TTL, 0);
		return false;
	}
	if (skb_ensure_writable(skb, off + sizeof(struct iphdr)))
		return false;
	ip_decrease_ttl(ip_hdr(skb));
	return true;
}

/*
 * What came in fragments leaves in segments. IPv6 before 6.12 would fragment such a
 * GSO packet all the same, and warn.
 */
void fnat_ip_forget_fragments(struct sk_buff *skb, u8 af)
{
	if (fnat_is_v6(af))
		IP6CB(skb)->frag_max_size = 0;
	else
		IPCB(skb)->frag_max_size = 0;
}

/*
 * Must the sender learn of a smaller MTU? What came in fragments leaves in
 * fragments of their size; IPv4 without DF is fragmented here.
 */
bool fnat_ip_too_big(const struct sk_buff *skb, u8 af, unsigned int mtu)
{
	unsigned int frag_max = fnat_is_v6(af) ? IP6CB(skb)->frag_max_size :
						 IPCB(skb)->frag_max_size;

	if (!fnat_is_v6(af) && !(ip_hdr(skb)->frag_off & htons(IP_DF)))
		return false;
	if (frag_max)
		return frag_max > mtu;
	if (skb_is_gso(skb))
		return !skb_gso_validate_network_len(skb, mtu);
	return skb->len > mtu;
}

/* "Fragmentation needed" or "packet too big" to the sender of the packet. */
void fnat_ip_send_too_big(struct sk_buff *skb, u8 af, struct net *net, unsigned int mtu)
{
	if (fnat_is_v6(af))
		send_icmpv6(skb, net, ICMPV6_PKT_TOOBIG, 0, mtu);
	else
		icmp_send(skb, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, htonl(mtu));
}
