// SPDX-License-Identifier: GPL-2.0
/* 6.1.187 and later: the caller tells state_transition() where the transport header is. */
#include <net/ip_vs.h>

void probe(struct ip_vs_protocol *pp, struct ip_vs_conn *cp, struct sk_buff *skb,
	   struct ip_vs_proto_data *pd);
void probe(struct ip_vs_protocol *pp, struct ip_vs_conn *cp, struct sk_buff *skb,
	   struct ip_vs_proto_data *pd)
{
	pp->state_transition(cp, IP_VS_DIR_OUTPUT, skb, pd, 20);
}
