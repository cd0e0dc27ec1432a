/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where the network headers of IPv4 and IPv6 differ, and TCP and UDP behind
 * them. Nothing here knows of flows. Softirq, or process context (LOCAL_OUT),
 * under RCU; "af" is AF_INET or AF_INET6, the packet's data begins with that
 * header.
 */
#ifndef FNAT_IP_H
#define FNAT_IP_H

#include <linux/netfilter.h>
#include <linux/skbuff.h>

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

bool fnat_ip_parse(const struct sk_buff *skb, u8 af, struct fnat_tuple *t, unsigned int *thoff);
int fnat_ip_find_icmp(const struct sk_buff *skb, u8 af);
int fnat_ip_find_quoted(const struct sk_buff *skb, unsigned int off, struct fnat_tuple *t);

void fnat_ip_set_addrs(void *iph, u8 af, const union nf_inet_addr *saddr,
		       const union nf_inet_addr *daddr);
__wsum fnat_ip_addrs_sum(const void *iph, u8 af);
__sum16 fnat_ip_magic(const struct sk_buff *skb, u8 af, unsigned int len, u8 protocol,
		      __wsum sum);
void fnat_ip_new_ident(struct sk_buff *skb, u8 af, struct net *net);
void fnat_ip_set_len(struct sk_buff *skb, u8 af);
bool fnat_ip_decrease_ttl(struct sk_buff *skb, u8 af, struct net *net);
void fnat_ip_forget_fragments(struct sk_buff *skb, u8 af);
bool fnat_ip_too_big(const struct sk_buff *skb, u8 af, unsigned int mtu);
void fnat_ip_send_too_big(struct sk_buff *skb, u8 af, struct net *net, unsigned int mtu);

#endif
