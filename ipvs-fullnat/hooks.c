// SPDX-License-Identifier: GPL-2.0
/*
 * The netfilter hooks. Requests reach us through ip_vs itself (seam.c); these
 * hooks see what ip_vs would not: replies to a local address, and packets that
 * must not reach the LB's own stack. Softirq, under RCU.
 */
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/tcp.h>
#include <net/netfilter/nf_conntrack.h>

#include "flow.h"
#include "hooks.h"
#include "icmp.h"
#include "ip.h"
#include "laddr.h"
#include "net.h"
#include "reset.h"
#include "seam.h"
#include "service.h"
#include "tcp.h"
#include "xmit.h"

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
	if (!fnat_ip_parse(skb, state->pf, &t, &thoff) &&
	    !fnat_icmp_parse(skb, state->pf, &quote, &t))
		return NF_ACCEPT;
	if (fnat_flow_find(fn->net, &t, &dir) ||
	    fnat_service_match(fn, t.af, t.protocol, &t.daddr, t.dport, skb->mark))
		nf_ct_set(skb, NULL, IP_CT_UNTRACKED);
	return NF_ACCEPT;
}

/* An error from the RS's side is ours; ip_vs itself looks after the client's. */
static unsigned int local_in_icmp(struct fnat_net *fn, struct sk_buff *skb, u8 af)
{
	struct fnat_icmp_quote quote;
	struct fnat_tuple t;
	struct fnat_flow *f;
	enum fnat_dir dir;

	if (!fnat_icmp_parse(skb, af, &quote, &t))
		return NF_ACCEPT;
	f = fnat_flow_find(fn->net, &t, &dir);
	if (!f)
		return NF_ACCEPT;
	if (dir == FNAT_DIR_REPLY)
		return fnat_icmp_to_client(skb, f, &quote);
	if (likely(!fnat_seam_misses_replies(f->cp)))
		return NF_ACCEPT;
	/* ip_vs would not ask us, and translate it as of plain NAT */
	if (READ_ONCE(f->port_state) == FNAT_PORT_NONE)
		return fnat_drop(fn, skb, drop_no_flow);
	return fnat_icmp_to_rs(skb, fn, f);
}

/* ip_vs makes connections of SYNs and of datagrams. */
static bool may_begin_conn(const struct sk_buff *skb, u8 protocol, unsigned int thoff)
{
	struct tcphdr _th;
	const struct tcphdr *th;

	if (protocol != IPPROTO_TCP)
		return true;
	th = skb_header_pointer(skb, thoff, sizeof(_th), &_th);
	return th && th->syn && !th->ack && !th->rst;
}

/* ip_vs comes next, unless it would draw a wrong conclusion from the packet. */
static unsigned int request_of_flow(struct fnat_net *fn, struct sk_buff *skb,
				    const struct fnat_flow *f, unsigned int thoff)
{
	int err = f->protocol == IPPROTO_TCP ? fnat_tcp_admit(f, skb, thoff) : 0;

	if (likely(!err))
		return NF_ACCEPT;
	fnat_stat_inc_drop(fn, err);
	kfree_skb(skb);
	return NF_STOLEN;
}

static void maybe_reset(struct fnat_net *fn, const struct sk_buff *skb,
			const struct fnat_tuple *t, unsigned int thoff)
{
	if (t->protocol == IPPROTO_TCP && READ_ONCE(fn->sysctl.unknown_rst))
		fnat_reset_unknown(fn, skb, t, thoff);
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
		if (may_begin_conn(skb, t->protocol, thoff) ||
		    fnat_seam_has_conn(fn, t->af, skb))
			return NF_ACCEPT;
		maybe_reset(fn, skb, t, thoff);
		return fnat_drop(fn, skb, drop_no_conn);
	}
	laddr = fnat_laddr_find(fn, t->af, &t->daddr);
	if (laddr && fnat_laddr_owns(laddr, t->dport)) {
		maybe_reset(fn, skb, t, thoff);
		return fnat_drop(fn, skb, drop_no_flow);
	}
	return NF_ACCEPT;
}

/*
 * Before the filter table: a reply of a live flow passes an INPUT policy that
 * drops by default. Fragments have been reassembled: by ip_local_deliver(), or
 * by nf_defrag_ipv6, which ip_vs switches on with its first IPv6 service.
 */
static unsigned int local_in_hook(void *priv, struct sk_buff *skb,
				  const struct nf_hook_state *state)
{
	struct fnat_net *fn = fnat_net(state->net);
	struct fnat_tuple t;
	struct fnat_flow *f;
	unsigned int thoff;
	enum fnat_dir dir;

	if (!fnat_ip_parse(skb, state->pf, &t, &thoff))
		return local_in_icmp(fn, skb, state->pf);
	f = fnat_flow_find(fn->net, &t, &dir);
	if (!f)
		return unknown_packet(fn, skb, &t, thoff);
	if (dir == FNAT_DIR_REQUEST)
		return request_of_flow(fn, skb, f, thoff);
	return fnat_reply(skb, f, thoff);
}

#define FNAT_HOOK(_hook, _pf, _hooknum, _priority) \
	{ .hook = _hook, .pf = _pf, .hooknum = _hooknum, .priority = _priority }

static const struct nf_hook_ops fnat_hook_ops[] = {
	FNAT_HOOK(early_hook, NFPROTO_IPV4, NF_INET_PRE_ROUTING, NF_IP_PRI_CONNTRACK - 1),
	FNAT_HOOK(local_in_hook, NFPROTO_IPV4, NF_INET_LOCAL_IN, NF_IP_PRI_FILTER - 1),
#ifdef CONFIG_IP_VS_IPV6
	FNAT_HOOK(early_hook, NFPROTO_IPV6, NF_INET_PRE_ROUTING, NF_IP6_PRI_CONNTRACK - 1),
	FNAT_HOOK(local_in_hook, NFPROTO_IPV6, NF_INET_LOCAL_IN, NF_IP6_PRI_FILTER - 1),
#endif
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
