/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of toa.ko share. */
#ifndef TOA_H
#define TOA_H

#include <linux/inet.h>
#include <linux/kernel.h>
#include <linux/ratelimit_types.h>
#include <linux/skbuff.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <net/sock.h>

#include "toa_wire.h"

struct seq_file;

/* toa_stats.c: counters per namespace, in the order of /proc/net/toa_stats */
enum toa_stat {
	TOA_STAT_STORED,	/* connections whose client is known from a TOA */
	TOA_STAT_NAT64,		/* the same, but only getsockopt() can name the client */
	TOA_STAT_ABSENT,	/* would be believed, but without TOA */
	TOA_STAT_UNTRUSTED,	/* with TOA, but from a stranger or at a port that is not listed */
	TOA_STAT_MALFORMED,	/* option of a TOA kind with a length in no table */
	TOA_STAT_BAD_CLIENT,	/* address that no client can have */
	TOA_STAT_TABLE_FULL,	/* max_entries, or a namespace's share of it */
	TOA_STAT_NO_MEMORY,
	TOA_STAT_ANSWERED,	/* accept(), getpeername() and the like that got the client */
	TOA_STAT_MAX
};

struct toa_stats {
	unsigned long count[TOA_STAT_MAX];
};

struct toa_policy {
	struct toa_trust __rcu *trust;	/* never NULL */
	struct toa_ports __rcu *ports;	/* NULL: all */
	unsigned int layouts;
};

/* Per namespace. */
struct toa_net {
	struct toa_stats __percpu *stats;
	struct toa_policy policy;
	struct ratelimit_state stranger_reports;
	struct ctl_table_header *sysctl;
	struct ctl_table *sysctl_table;
	/* these are not counted for the initial namespace */
	atomic_t entries;	/* in the table */
	atomic_t calls;		/* of getname() that are waited for */
};

extern unsigned int toa_net_id;

static inline struct toa_net *toa_net(const struct net *net)
{
	return net_generic(net, toa_net_id);
}

static inline void toa_count(const struct net *net, enum toa_stat stat)
{
	this_cpu_inc(toa_net(net)->stats->count[stat]);
}

int toa_stats_net_init(struct net *net, struct toa_net *tn);
void toa_stats_net_exit(struct net *net, struct toa_net *tn);

#define TOA_TEXT_MAX 4096	/* bytes of a setting as text, with the final NUL */

/* toa_trust.c: lists of prefixes */
#define TOA_TRUST_DEFAULT "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,fc00::/7"
#define TOA_PREFIX_TEXT_MAX (INET6_ADDRSTRLEN + sizeof("/128"))

struct toa_trust *toa_trust_parse(struct net *net, const char *text);
struct toa_trust *toa_trust_copy(const struct toa_trust *t);
void toa_trust_free(struct toa_trust *t);
bool toa_trust_has(const struct toa_trust *t, const struct toa_client *wire);
bool toa_trust_within(const struct toa_trust *t, const struct toa_trust *outer,
		      char other[TOA_PREFIX_TEXT_MAX]);
void toa_trust_print(const struct toa_trust *t, char *buf, size_t size);

/* toa_ports.c: sets of local ports */
struct toa_ports *toa_ports_parse(struct net *net, const char *text);
struct toa_ports *toa_ports_copy(const struct toa_ports *ports);
void toa_ports_free(struct toa_ports *ports);
bool toa_ports_has(const struct toa_ports *ports, u16 port);
bool toa_ports_within(const struct toa_ports *ports, const struct toa_ports *outer);
void toa_ports_print(struct toa_ports *ports, char *buf, size_t size);

/* toa_layouts.c: sets of layouts */
#define TOA_LAYOUTS_DEFAULT "200/8,254/8,253/20,254/20"

int toa_layouts_parse(struct net *net, const char *text);
void toa_layouts_print(unsigned int set, char *buf, size_t size);

/* toa_policy.c: which TOA is believed */
struct toa_policy_text {
	const char *trust, *ports, *layouts;
};

enum toa_verdict {
	TOA_BELIEVED,
	TOA_STRANGER,		/* the source is in no trusted prefix */
	TOA_OTHER_PORT,		/* connections to this local port have no balancer */
};

/* Why a setting of a namespace is refused. Process context. */
#define toa_setting_err(net, ...)		\
do {						\
	if (toa_policy_may_complain(net))	\
		pr_err(__VA_ARGS__);		\
} while (0)

bool toa_policy_may_complain(const struct net *net);
int toa_policy_net_init(struct net *net, const struct toa_policy_text *text);
void toa_policy_net_exit(struct net *net);
unsigned int toa_policy_layouts(const struct net *net);
enum toa_verdict toa_policy_judge(const struct net *net, const struct toa_client *wire, u16 port);
void toa_policy_report_stranger(struct net *net, const struct toa_client *wire);
int toa_policy_set_trust(struct net *net, const char *text);
int toa_policy_set_ports(struct net *net, const char *text);
int toa_policy_set_layouts(struct net *net, const char *text);
void toa_policy_print_trust(const struct net *net, char *buf, size_t size);
void toa_policy_print_ports(const struct net *net, char *buf, size_t size);
void toa_policy_print_layouts(const struct net *net, char *buf, size_t size);

/* toa_sysctl.c: net.toa.* */
int toa_sysctl_net_init(struct net *net, struct toa_net *tn);
void toa_sysctl_net_exit(struct toa_net *tn);

/* toa_share.c: what namespaces may have of what is the host's */
bool toa_take(atomic_t *count, unsigned int max);
bool toa_share_take(const struct net *net, atomic_t *of_others, atomic_t *of_net,
		    unsigned int max);
void toa_share_give_back(const struct net *net, atomic_t *of_others, atomic_t *of_net);

/* toa_table.c: the clients, by socket */
int toa_table_init(void);
void toa_table_exit(void);
int toa_table_insert(const struct sock *sk, const struct toa_client *client,
		     const struct toa_client *wire);
void toa_table_forget(const struct sock *sk);
bool toa_table_has(const struct sock *sk);
bool toa_table_lookup(const struct sock *sk, struct toa_client *client);
int toa_table_net_init(struct net *net);
void toa_table_net_exit(struct net *net);
unsigned int toa_table_entries(void);
unsigned int toa_table_max(void);

/* toa_conn.c: what happens to a connection */
void toa_conn_wire(const struct sock *sk, struct toa_client *wire);
void toa_conn_child(struct sock *child, struct sk_buff *skb);
void toa_conn_established(struct sock *sk, int bpf_op, struct sk_buff *skb);
bool toa_conn_may_have_client(const struct sock *sk);
void toa_conn_peername(const struct sock *sk, struct sockaddr *uaddr);
int toa_conn_nat64_client(struct sock *sk, struct toa_client *client);

/* toa_mptcp.c */
bool toa_mptcp_may_have_client(const struct sock *msk);
bool toa_mptcp_client(const struct sock *msk, struct toa_client *client);

/* toa_sockopt.c: NAT64 clients, by getsockopt() */
int toa_sockopt_init(void);
void toa_sockopt_exit(void);

/* toa_tracepoint.c: when a socket is destroyed */
int toa_tracepoint_init(void);
void toa_tracepoint_exit(void);

/* toa_hooks.c: where the kernel tells us */
int toa_hooks_init(unsigned int maxactive);
void toa_hooks_exit(void);
unsigned long toa_hooks_missed_instances(void);
unsigned long toa_hooks_missed_probes(void);
bool toa_hooks_armed(void);

/* toa_selftest.c */
int toa_selftest_init(void);
void toa_selftest_exit(void);
bool toa_selftest_owns(const struct sock *sk);
const char *toa_selftest_result(void);

#endif /* TOA_H */
