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

/* Behind extension headers. -1: it is a fragment, or there is none. */
int fnat_ip_find_transport_v6(const struct sk_buff *skb, u8 *protocol)
{
	unsigned short frag = 0;
	unsigned int off = 0;
	int flags = 0, found;

	found = ipv6_find_hdr(skb, &off, -1, &frag, &flags);
	if (found < 0 || flags & IP6_FH_F_FRAG)
		return -1;
	*protocol = found;
	return off;
}

/* Offset of the ICMP or ICMPv6 header; -1: not an ICMP packet, or a fragment. */
int fnat_ip_find_icmp(const struct sk_buff *skb, u8 af)
{
	u8 protocol = 0;
	int off = fnat_ip_find_transport(skb, af, &protocol);

	return protocol == (fnat_is_v6(af) ? IPPROTO_ICMPV6 : IPPROTO_ICMP) ? off : -1;
}

static int quoted_transport_v4(const struct sk_buff *skb, unsigned int off, struct fnat_tuple *t)
{
	struct iphdr _iph;
	const struct iphdr *iph = skb_header_pointer(skb, off, sizeof(_iph), &_iph);

	if (!iph || iph->version != 4 || iph->ihl < 5 || iph->frag_off & htons(IP_OFFSET))
		return -1;
	fnat_ip_copy_addrs(iph, AF_INET, t);
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
	fnat_ip_copy_addrs(iph, AF_INET6, t);
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

	if (thoff < 0 || !fnat_is_transport(t->protocol) || !fnat_ip_copy_ports(skb, thoff, t))
		return -1;
	return thoff;
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

/* Another identification for each of its segments; IPv4. */
void fnat_ip_select_ident(struct sk_buff *skb, struct net *net)
{
	unsigned int segs = 1;

	if (skb_is_gso(skb))
		segs = DIV_ROUND_UP(skb->len, skb_shinfo(skb)->gso_size);
	__ip_select_ident(net, ip_hdr(skb), segs);
}

/* icmpv6_send() wants a device; a packet of this host's own (LOCAL_OUT) has none. */
static void send_icmpv6(struct sk_buff *skb, struct net *net, u8 type, u8 code, u32 info)
{
	if (!skb->dev)
		skb->dev = net->loopback_dev;
	icmpv6_send(skb, type, code, info);
}

/* It was the last hop: tell the sender. */
void fnat_ip_send_time_exceeded(struct sk_buff *skb, u8 af, struct net *net)
{
	if (fnat_is_v6(af))
		send_icmpv6(skb, net, ICMPV6_TIME_EXCEED, ICMPV6_EXC_HOPLIMIT, 0);
	else
		icmp_send(skb, ICMP_TIME_EXCEEDED, ICMP_EXC_TTL, 0);
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
 * fragments of their size; IPv4 without DF is fragmented here, and so is what a
 * socket of this host lets be fragmented, which learns no MTU of a way to an address
 * of its own (as in ip_fragment() and ip6_fragment()).
 */
bool fnat_ip_too_big(const struct sk_buff *skb, u8 af, unsigned int mtu)
{
	unsigned int frag_max = fnat_is_v6(af) ? IP6CB(skb)->frag_max_size :
						 IPCB(skb)->frag_max_size;

	if (!fnat_is_v6(af) && !(ip_hdr(skb)->frag_off & htons(IP_DF)))
		return false;
	if (frag_max)
		return frag_max > mtu;
	if (skb->ignore_df)
		return false;
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
