/* SPDX-License-Identifier: GPL-2.0 */
/* ICMP errors about packets of a flow, in both directions. */
#ifndef FNAT_ICMP_H
#define FNAT_ICMP_H

#include "flow.h"

struct fnat_net;
struct sk_buff;

/* Offsets from skb->data. */
struct fnat_icmp_quote {
	unsigned int icmp;		/* the ICMP header */
	unsigned int ip;		/* the quoted IP header */
	unsigned int transport;		/* the quoted transport header, 8 bytes at least */
};

bool fnat_icmp_parse(const struct sk_buff *skb, u8 af, struct fnat_icmp_quote *quote,
		     struct fnat_tuple *t);
unsigned int fnat_icmp_to_rs(struct sk_buff *skb, struct fnat_net *fn, struct fnat_flow *f);
unsigned int fnat_icmp_to_client(struct sk_buff *skb, struct fnat_flow *f,
				 const struct fnat_icmp_quote *quote);

#endif
