// SPDX-License-Identifier: GPL-2.0
/*
 * The netfilter hooks. Requests reach us through ip_vs itself (seam.c); these
 * hooks see what ip_vs would not: replies to a local address, and packets that
 * must not reach the LB's own stack. Softirq, under RCU.
 */
#include <linux/ip.h>
#include <linux/netfilter_ipv4.h>
#include <linux/tcp.h>
#include <net/ip.h>
#include <net/netfilter/nf_conntrack.h>

#include "flow.h"
#include "hooks.h"
#include "icmp.h"
#include "laddr.h"
#include "net.h"
#include "seam.h"
#include "service.h"
#include "xmit.h"

/* False: no TCP header that we could look at. */
static bool packet_tuple_v4(const struct sk_buff *skb, struct fnat_tuple *t, unsigned int *thoff)
{
	const struct iphdr *iph = ip_hdr(skb);
	__be16 _ports[2];
	const __be16 *ports;

	if (iph->protocol != IPPROTO_TCP || ip_is_fragment(iph))
		return false;
	*thoff = skb_network_offset(skb) + iph->ihl * 4;
	ports = skb_header_pointer(skb, *thoff, sizeof(_ports), _ports);
	if (!ports)
		return false;
	fnat_tuple_set_v4(t, iph->protocol, iph->saddr, ports[0], iph->daddr, ports[1]);
	return true;
}

/*
 * Before conntrack: it sees only one side of each of our two connections,
 * would call the RS's SYN-ACK and the client's FIN invalid, and rules that drop
 * what is invalid would break connections.
 */
static unsigned int early_hook(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	struct fnat_net *fn = fnat_net(state->net);
	struct fnat_icmp_quote quote;
	struct fnat_tuple t;
	unsigned int thoff;
	enum fnat_dir dir;

	if (skb_get_nfct(skb))
		return NF_ACCEPT;
	if (!packet_tuple_v4(skb, &t, &thoff) && !fnat_icmp_parse(skb, &quote, &t))
		return NF_ACCEPT;
	if (fnat_flow_find(fn->net, &t, &dir) ||
	    fnat_service_match(fn, t.af, t.protocol, &t.daddr, t.dport, skb->mark))
		nf_ct_set(skb, NULL, IP_CT_UNTRACKED);
	return NF_ACCEPT;
}

/* An error from the RS's side is ours; ip_vs itself looks after the client's. */
static unsigned int local_in_icmp(struct fnat_net *fn, struct sk_buff *skb)
{
	struct fnat_icmp_quote quote;
	struct fnat_tuple t;
	struct fnat_flow *f;
	enum fnat_dir dir;

	if (!fnat_icmp_parse(skb, &quote, &t))
		return NF_ACCEPT;
	f = fnat_flow_find(fn->net, &t, &dir);
	if (!f || dir == FNAT_DIR_REQUEST)
		return NF_ACCEPT;
	return fnat_icmp_to_client(skb, f, &quote);
}

static bool is_first_syn(const struct sk_buff *skb, unsigned int thoff)
{
	struct tcphdr _th;
	const struct tcphdr *th = skb_header_pointer(skb, thoff, sizeof(_th), &_th);

	return th && th->syn && !th->ack;
}

/*
 * A packet that no flow knows. Handed up, it would meet an RST from the local
 * stack, which kills a connection that another node or a late sync still knows.
 */
static unsigned int unknown_packet(struct fnat_net *fn, struct sk_buff *skb,
				   const struct fnat_tuple *t, unsigned int thoff)
{
	const struct fnat_laddr *laddr;

	if (fnat_service_match(fn, t->af, t->protocol, &t->daddr, t->dport, skb->mark)) {
		if (is_first_syn(skb, thoff) || fnat_seam_has_conn(fn, t->af, skb))
			return NF_ACCEPT;
		return fnat_drop(fn, skb, drop_no_conn);
	}
	laddr = fnat_laddr_find(fn, t->af, &t->daddr);
	if (laddr && fnat_laddr_owns(laddr, t->dport))
		return fnat_drop(fn, skb, drop_no_flow);
	return NF_ACCEPT;
}

/*
 * Before the filter table: a reply of a live flow passes an INPUT policy that
 * drops by default. Fragments have been reassembled by ip_local_deliver().
 */
static unsigned int local_in_hook(void *priv, struct sk_buff *skb,
				  const struct nf_hook_state *state)
{
	struct fnat_net *fn = fnat_net(state->net);
	struct fnat_tuple t;
	struct fnat_flow *f;
	unsigned int thoff;
	enum fnat_dir dir;

	if (!packet_tuple_v4(skb, &t, &thoff))
		return local_in_icmp(fn, skb);
	f = fnat_flow_find(fn->net, &t, &dir);
	if (!f)
		return unknown_packet(fn, skb, &t, thoff);
	if (dir == FNAT_DIR_REQUEST)
		return NF_ACCEPT;	/* ip_vs comes next */
	return fnat_reply(skb, f, thoff);
}

static const struct nf_hook_ops fnat_hook_ops[] = {
	{
		.hook = early_hook,
		.pf = NFPROTO_IPV4,
		.hooknum = NF_INET_PRE_ROUTING,
		.priority = NF_IP_PRI_CONNTRACK - 1,
	},
	{
		.hook = local_in_hook,
		.pf = NFPROTO_IPV4,
		.hooknum = NF_INET_LOCAL_IN,
		.priority = NF_IP_PRI_FILTER - 1,
	},
};

int fnat_hooks_net_init(struct fnat_net *fn)
{
	return nf_register_net_hooks(fn->net, fnat_hook_ops, ARRAY_SIZE(fnat_hook_ops));
}

/* Nobody is inside the hooks once this returns and a grace period has passed. */
void fnat_hooks_net_exit(struct fnat_net *fn)
{
	nf_unregister_net_hooks(fn->net, fnat_hook_ops, ARRAY_SIZE(fnat_hook_ops));
}
