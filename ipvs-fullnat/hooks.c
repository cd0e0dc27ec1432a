// SPDX-License-Identifier: GPL-2.0
/*
 * The netfilter hooks. Requests reach us through ip_vs itself (seam.c); these
 * hooks see what ip_vs would not: replies to a local address, and packets that
 * must not reach the LB's own stack. Softirq, under RCU.
 */
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/slab.h>
#include <linux/tcp.h>
#include <net/inet_hashtables.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_socket.h>

#include "fast.h"
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
 * The second quick look, since this module sees every packet that the host receives. A
 * service of a mark has any destination.
 */
static inline bool may_have_port(const struct fnat_net *fn, const struct fnat_tuple *t, u32 mark)
{
	return fnat_filter_port(&fn->filter, t->af, &t->daddr, t->dport) ||
	       (mark && READ_ONCE(fn->has_marks));
}

static void untrack_ours(const struct fnat_net *fn, struct sk_buff *skb, const struct fnat_flow *f,
			 const struct fnat_tuple *t)
{
	if (f || fnat_service_match(fn, t->af, t->protocol, &t->daddr, t->dport, skb->mark))
		nf_ct_set(skb, NULL, IP_CT_UNTRACKED);
}

static noinline unsigned int early_error(struct fnat_net *fn, struct sk_buff *skb, u8 af)
{
	struct fnat_icmp_quote quote;
	struct fnat_tuple t;
	enum fnat_dir dir;

	if (fnat_icmp_parse(skb, af, &quote, &t))
		untrack_ours(fn, skb, fnat_flow_find(fn->net, &t, &dir), &t);
	return NF_ACCEPT;
}

static __always_inline unsigned int early_packet(struct fnat_net *fn, struct sk_buff *skb, u8 af)
{
	struct fnat_tuple t;
	struct fnat_flow *f;
	unsigned int thoff;
	enum fnat_dir dir;

	if (!fnat_ip_parse(skb, af, &t, &thoff))
		return early_error(fn, skb, af);
	if (!may_have_port(fn, &t, skb->mark))
		return NF_ACCEPT;
	f = fnat_flow_find(fn->net, &t, &dir);
	if (f && READ_ONCE(fn->sysctl.fast_path) && fnat_fast(fn, skb, f, dir, thoff))
		return NF_STOLEN;
	untrack_ours(fn, skb, f, &t);
	return NF_ACCEPT;
}

/* One of each family, like all that follow: the compiler knows whose headers they are. */
static noinline unsigned int early_packet_v4(struct fnat_net *fn, struct sk_buff *skb)
{
	return early_packet(fn, skb, AF_INET);
}

#ifdef CONFIG_IP_VS_IPV6
static noinline unsigned int early_packet_v6(struct fnat_net *fn, struct sk_buff *skb)
{
	return early_packet(fn, skb, AF_INET6);
}
#endif

/*
 * Before conntrack: it sees only one side of each of our two connections,
 * would call the RS's SYN-ACK and the client's FIN invalid, and rules that drop
 * what is invalid would break connections.
 */
static __always_inline unsigned int early_hook(struct fnat_net *fn, struct sk_buff *skb, u8 pf)
{
	u32 bit = fnat_filter_daddr_bit(pf, skb);
	enum ip_conntrack_info ctinfo;

	if (!fnat_filter_gate(&fn->filter, bit))
		return NF_ACCEPT;
	if (!fnat_filter_addr(&fn->filter, bit) && !(skb->mark && READ_ONCE(fn->has_marks)))
		return NF_ACCEPT;
	/* a rule may have said "notrack"; somebody's conntrack or template is not ours to change */
	if (nf_ct_get(skb, &ctinfo))
		return NF_ACCEPT;
#ifdef CONFIG_IP_VS_IPV6
	if (pf == NFPROTO_IPV6)
		return early_packet_v6(fn, skb);
#endif
	return early_packet_v4(fn, skb);
}

/*
 * Errors about flows are ours, from either side: INPUT's rules come after this, and
 * "ct state related" knows neither of our connections. ip_vs, which would look after
 * those of the client's side, never saw them behind a default-drop INPUT.
 */
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
	if (likely(fnat_flow_has_port(f)))
		return fnat_icmp_to_rs(skb, fn, f);
	/* ip_vs asks us (which is a drop), but not here, where it translates it as of plain NAT */
	return fnat_seam_misses_replies(f->cp) ? fnat_drop(fn, skb, drop_no_flow) : NF_ACCEPT;
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

/*
 * ip_vs has not taken it: it leaves all packets alone with backup_only, or cannot use the
 * connection at this moment. The host's stack would reset a connection that lives.
 */
static unsigned int request_left_over(struct fnat_net *fn, struct sk_buff *skb)
{
	return fnat_drop(fn, skb, drop_no_conn);
}

static void maybe_reset(struct fnat_net *fn, const struct sk_buff *skb,
			const struct fnat_tuple *t, unsigned int thoff)
{
	if (t->protocol == IPPROTO_TCP && READ_ONCE(fn->sysctl.unknown_rst))
		fnat_reset_unknown(fn, skb, t, thoff);
}

static bool has_socket(const struct fnat_net *fn, const struct sk_buff *skb, u8 af)
{
	struct sock *sk;

#ifdef CONFIG_IP_VS_IPV6
	if (fnat_is_v6(af))
		sk = nf_sk_lookup_slow_v6(fn->net, skb, skb->dev);
	else
#endif
		sk = nf_sk_lookup_slow_v4(fn->net, skb, skb->dev);
	if (!sk)
		return false;
	sock_gen_put(sk);
	return true;
}

/*
 * Under a default entry ip_vs's services are not known to us, and its table cannot be asked.
 * But whom neither a connection nor a socket of this host knows would be answered by an RST.
 */
static bool is_of_default_service(const struct fnat_net *fn, const struct sk_buff *skb,
				  const struct fnat_tuple *t, unsigned int thoff)
{
	return READ_ONCE(fn->prefix_count) && t->protocol == IPPROTO_TCP &&
	       fnat_service_default(fn, t->af, &t->daddr) && !fnat_seam_is_sloppy(fn) &&
	       !may_begin_conn(skb, t->protocol, thoff) &&
	       !fnat_seam_has_conn(fn, t->af, skb) && !has_socket(fn, skb, t->af);
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
	if (laddr && !fnat_laddr_owns(laddr, t->dport))
		return NF_ACCEPT;	/* a port of the host's own */
	if (laddr) {
		maybe_reset(fn, skb, t, thoff);
		return fnat_drop(fn, skb, drop_no_flow);
	}
	if (is_of_default_service(fn, skb, t, thoff)) {
		maybe_reset(fn, skb, t, thoff);
		return fnat_drop(fn, skb, drop_no_conn);
	}
	return NF_ACCEPT;
}

static __always_inline unsigned int local_in_packet(struct fnat_net *fn, struct sk_buff *skb,
						    u8 af, bool late)
{
	struct fnat_tuple t;
	struct fnat_flow *f;
	unsigned int thoff;
	enum fnat_dir dir;

	if (!fnat_ip_parse(skb, af, &t, &thoff))
		return local_in_icmp(fn, skb, af);
	if (!may_have_port(fn, &t, skb->mark) && !READ_ONCE(fn->prefix_count))
		return NF_ACCEPT;
	f = fnat_flow_find(fn->net, &t, &dir);
	if (!f)
		return unknown_packet(fn, skb, &t, thoff);
	if (dir == FNAT_DIR_REPLY)
		return fnat_reply(fn, skb, f, thoff);
	return late ? request_left_over(fn, skb) : request_of_flow(fn, skb, f, thoff);
}

static noinline unsigned int local_in_packet_v4(struct fnat_net *fn, struct sk_buff *skb,
						bool late)
{
	return local_in_packet(fn, skb, AF_INET, late);
}

#ifdef CONFIG_IP_VS_IPV6
static noinline unsigned int local_in_packet_v6(struct fnat_net *fn, struct sk_buff *skb,
						bool late)
{
	return local_in_packet(fn, skb, AF_INET6, late);
}
#endif

/* The TCP header of a linear packet without extension headers, else NULL. */
static __always_inline const struct tcphdr *plain_tcp_header(const struct sk_buff *skb, u8 pf)
{
	unsigned int off = skb_network_offset(skb);

	if (pf == NFPROTO_IPV6)
		off += sizeof(struct ipv6hdr);
	else
		off += ip_hdrlen(skb);
	if (skb_headlen(skb) < off + sizeof(struct tcphdr))
		return NULL;
	return (const struct tcphdr *)(skb->data + off);
}

/*
 * A packet for a VIP that ip_vs cannot misunderstand: it may have it first. If it does not take
 * it, we see it once more: so a packet of a connection is looked up by ip_vs alone.
 */
static __always_inline bool is_for_ip_vs(const struct fnat_net *fn, const struct sk_buff *skb,
					 u8 pf, u32 daddr_bit)
{
	u8 protocol = pf == NFPROTO_IPV6 ? ipv6_hdr(skb)->nexthdr : ip_hdr(skb)->protocol;
	const struct tcphdr *th;

	if (fnat_filter_to_laddr(&fn->filter, daddr_bit))
		return false;
	if (protocol != IPPROTO_TCP)
		return protocol == IPPROTO_UDP;
	th = plain_tcp_header(skb, pf);
	return th && fnat_tcp_is_usual(th) && !fnat_seam_is_sloppy(fn);
}

/*
 * Twice: before the filter table, so that a reply of a live flow passes an INPUT policy that
 * drops by default; and late, after ip_vs, where next is the host's own stack. Fragments have
 * been reassembled: by ip_local_deliver(), or by nf_defrag_ipv6, which ip_vs switches on with
 * its first IPv6 service.
 */
static __always_inline unsigned int local_in_hook(struct fnat_net *fn, struct sk_buff *skb, u8 pf,
						  bool late)
{
	u32 bit = fnat_filter_daddr_bit(pf, skb);

	if (!fnat_filter_gate(&fn->filter, bit))
		return NF_ACCEPT;
	/* late: ip_vs has translated it, for a server or a client on this host */
	if (late ? skb->ipvs_property : is_for_ip_vs(fn, skb, pf, bit))
		return NF_ACCEPT;
#ifdef CONFIG_IP_VS_IPV6
	if (pf == NFPROTO_IPV6)
		return local_in_packet_v6(fn, skb, late);
#endif
	return local_in_packet_v4(fn, skb, late);
}

/* One of each family: some instructions less for packets that are not ours. */
static unsigned int early_hook_v4(void *fn, struct sk_buff *skb, const struct nf_hook_state *state)
{
	return early_hook(fn, skb, NFPROTO_IPV4);
}

static unsigned int local_in_hook_v4(void *fn, struct sk_buff *skb,
				     const struct nf_hook_state *state)
{
	return local_in_hook(fn, skb, NFPROTO_IPV4, false);
}

static unsigned int late_in_hook_v4(void *fn, struct sk_buff *skb,
				    const struct nf_hook_state *state)
{
	return local_in_hook(fn, skb, NFPROTO_IPV4, true);
}

#ifdef CONFIG_IP_VS_IPV6
static unsigned int early_hook_v6(void *fn, struct sk_buff *skb, const struct nf_hook_state *state)
{
	return early_hook(fn, skb, NFPROTO_IPV6);
}

static unsigned int local_in_hook_v6(void *fn, struct sk_buff *skb,
				     const struct nf_hook_state *state)
{
	return local_in_hook(fn, skb, NFPROTO_IPV6, false);
}

static unsigned int late_in_hook_v6(void *fn, struct sk_buff *skb,
				    const struct nf_hook_state *state)
{
	return local_in_hook(fn, skb, NFPROTO_IPV6, true);
}
#endif

/* ip_vs is at NF_IP_PRI_NAT_SRC - 1; at the very end conntrack confirms */
#define FNAT_PRI_LATE	(NF_IP_PRI_NAT_SRC + 1)

#define FNAT_HOOK(_hook, _pf, _hooknum, _priority) \
	{ .hook = _hook, .pf = _pf, .hooknum = _hooknum, .priority = _priority }

static const struct nf_hook_ops fnat_hook_ops[] = {
	FNAT_HOOK(early_hook_v4, NFPROTO_IPV4, NF_INET_PRE_ROUTING, NF_IP_PRI_CONNTRACK - 1),
	FNAT_HOOK(local_in_hook_v4, NFPROTO_IPV4, NF_INET_LOCAL_IN, NF_IP_PRI_FILTER - 1),
	FNAT_HOOK(late_in_hook_v4, NFPROTO_IPV4, NF_INET_LOCAL_IN, FNAT_PRI_LATE),
#ifdef CONFIG_IP_VS_IPV6
	FNAT_HOOK(early_hook_v6, NFPROTO_IPV6, NF_INET_PRE_ROUTING, NF_IP6_PRI_CONNTRACK - 1),
	FNAT_HOOK(local_in_hook_v6, NFPROTO_IPV6, NF_INET_LOCAL_IN, NF_IP6_PRI_FILTER - 1),
	FNAT_HOOK(late_in_hook_v6, NFPROTO_IPV6, NF_INET_LOCAL_IN, FNAT_PRI_LATE),
#endif
};

/*
 * Before the first service or local address is there: a namespace without them pays
 * nothing. Process context, under fnat_net.lock. Return: 0 or an error.
 */
int fnat_hooks_need(struct fnat_net *fn)
{
	struct nf_hook_ops *ops;
	unsigned int i;
	int err;

	lockdep_assert_held(&fn->lock);
	if (fn->hook_ops)
		return 0;
	/* each namespace has its own, which know whose they are */
	ops = kmemdup(fnat_hook_ops, sizeof(fnat_hook_ops), GFP_KERNEL_ACCOUNT);
	if (!ops)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(fnat_hook_ops); i++)
		ops[i].priv = fn;
	err = nf_register_net_hooks(fn->net, ops, ARRAY_SIZE(fnat_hook_ops));
	if (err)
		kfree(ops);
	else
		fn->hook_ops = ops;
	return err;
}

/* Nobody is inside the hooks once this returns and a grace period has passed. */
void fnat_hooks_net_exit(struct fnat_net *fn)
{
	if (fn->hook_ops)
		nf_unregister_net_hooks(fn->net, fn->hook_ops, ARRAY_SIZE(fnat_hook_ops));
}

/* After that grace period: "nft list hooks" may have been reading them until now. */
void fnat_hooks_net_free(struct fnat_net *fn)
{
	kfree(fn->hook_ops);
}
