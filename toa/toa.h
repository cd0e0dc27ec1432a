/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of toa.ko share. */
#ifndef TOA_H
#define TOA_H

#include <linux/kernel.h>
#include <linux/skbuff.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <net/sock.h>

#include "toa_wire.h"

struct seq_file;

/* toa_stats.c: counters per namespace, in the order of /proc/net/toa_stats */
enum toa_stat {
	TOA_STAT_STORED,	/* connections whose client is known from a TOA */
	TOA_STAT_ABSENT,	/* from a trusted source, but without TOA */
	TOA_STAT_UNTRUSTED,	/* with TOA, but the source is in no trusted prefix */
	TOA_STAT_MALFORMED,	/* option of a TOA kind with a length in no table */
	TOA_STAT_BAD_CLIENT,	/* address that no client can have */
	TOA_STAT_BAD_FAMILY,	/* IPv6 client on an IPv4 socket */
	TOA_STAT_TABLE_FULL,	/* max_entries reached */
	TOA_STAT_NO_MEMORY,
	TOA_STAT_ANSWERED,	/* accept(), getpeername() and the like that got the client */
	TOA_STAT_MAX
};

struct toa_stats {
	unsigned long count[TOA_STAT_MAX];
};

/* Per namespace. */
struct toa_net {
	struct toa_stats __percpu *stats;
	struct toa_trust __rcu *trust;	/* never NULL; written under toa_trust_lock */
	struct ctl_table_header *sysctl;
	struct ctl_table *sysctl_table;
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

/* toa_trust.c: whom to believe */
#define TOA_TRUST_DEFAULT "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,fc00::/7"
#define TOA_TRUST_TEXT_MAX 4096	/* bytes, with the final NUL */

int toa_trust_net_init(struct net *net, struct toa_net *tn, const char *initial);
void toa_trust_net_exit(struct toa_net *tn);
bool toa_trusted(const struct net *net, const struct toa_client *wire);
void toa_trust_print(const struct net *net, char *buf, size_t size);

/* toa_table.c: the clients, by socket */
int toa_table_init(void);
void toa_table_exit(void);
int toa_table_insert(const struct sock *sk, const struct toa_client *client,
		     const struct toa_client *wire);
void toa_table_forget(const struct sock *sk);
bool toa_table_lookup(const struct sock *sk, struct toa_client *client);
int toa_table_net_init(struct net *net);
void toa_table_net_exit(struct net *net);
unsigned int toa_table_entries(void);
unsigned int toa_table_max(void);

/* toa_conn.c: what happens to a connection */
void toa_conn_established(struct sock *sk, const struct sk_buff *skb);
void toa_conn_peername(const struct sock *sk, struct sockaddr *uaddr);

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
