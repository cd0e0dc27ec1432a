/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A flow is what FULLNAT adds to a connection of ip_vs: the local address and
 * port, and what is needed to rewrite TCP. It lives exactly as long as its
 * ip_vs_conn (see seam.c) and is found by the tuple of a packet in either
 * direction:
 *
 *	request	C:cp -> VIP:vp	becomes	LIP:lp -> RS:rp
 *	reply	RS:rp -> LIP:lp	becomes	VIP:vp -> C:cp
 */
#ifndef FNAT_FLOW_H
#define FNAT_FLOW_H

#include <linux/minmax.h>
#include <linux/netfilter.h>
#include <linux/rculist.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <net/net_namespace.h>

#include "port.h"

struct dst_entry;
struct ip_vs_conn;

enum fnat_dir {
	FNAT_DIR_REQUEST,
	FNAT_DIR_REPLY,
};

/* Addresses and ports as a packet carries them. */
struct fnat_tuple {
	union nf_inet_addr saddr;
	union nf_inet_addr daddr;
	__be16 sport;
	__be16 dport;
	u8 af;
	u8 protocol;
};

/* The same connection in the other direction. */
static inline void fnat_tuple_turn(struct fnat_tuple *t)
{
	swap(t->saddr, t->daddr);
	swap(t->sport, t->dport);
}

struct fnat_flow_node {
	struct hlist_node hnode;	/* RCU; pprev is NULL when not hashed */
	u8 dir;				/* enum fnat_dir */
	u8 ended;			/* of the request's: see fnat_flow_is_ended() */
	u16 fast_packets;		/* fast.c; requests since slow_at, about */
	u32 slow_at;			/* fast.c; jiffies */
};

/* What is added to the client's numbers to make the RS's (modulo 2^32). */
struct fnat_tcp_offsets {
	u32 seq;
	u32 ts;
};

/* See tcp.c. Fields are written under fnat_flow.lock where it says so; single
 * words are read without it.
 */
struct fnat_tcp {
	struct fnat_tcp_offsets off;		/* lock */
	struct fnat_tcp_offsets pending_off;	/* lock */
	u32 client_isn;		/* lock; of the SYN that "off" was made for */
	u32 pending_isn;	/* lock; these three are valid if has_pending */
	u32 pending_tsval;	/* as the RS sees it */
	u32 rs_isn;		/* lock; valid if has_rs_isn */
	u32 seq_end;		/* the RS has acknowledged this much */
	u32 client_ack;		/* the client has; valid if opened */
	u32 rs_fin;		/* the number after the RS's FIN; valid if rs_closed */
	u32 tsval;		/* highest TSval that the RS has echoed */
	u8 has_pending;		/* lock; FNAT_PENDING_* */
	u8 has_rs_isn;		/* lock; the RS has answered the current SYN */
	u8 has_tsval;
	u8 opened;		/* lock; the client has acknowledged rs_isn */
	u8 accepted;		/* lock; the RS has proved it; FNAT_TCP_ACCEPTED* */
	u8 rs_closed;		/* lock; the RS has sent its FIN */
	u8 toa_sent;		/* lock; at least one packet carried the TOA */
	u8 rs_window_scale;	/* of the RS's SYN-ACK, RFC 7323; 0..14 */
	u8 toa_kind;		/* TOA_KIND_*, 0 = off; constant */
	u8 timestamps;		/* enum fnat_timestamps; constant once the flow has its port */
	u8 unknown;		/* lock; FNAT_TCP_NO_* */
	u8 secret_gen;		/* of the clocks behind "off"; constant */
};

/* There is a pending SYN / one with timestamps. */
#define FNAT_PENDING_SYN	1
#define FNAT_PENDING_SYN_TS	2

/* The RS has a socket / had one: after a FIN of it, an RST, or its SYN-ACK for another SYN. */
#define FNAT_TCP_ACCEPTED	1
#define FNAT_TCP_ACCEPTED_ONCE	2

/*
 * What a flow that a record of another node has made does not know before its
 * packets tell it: rs_isn / client_ack / seq_end and tsval.
 */
#define FNAT_TCP_NO_RS_ISN	1
#define FNAT_TCP_NO_CLIENT_ACK	2
#define FNAT_TCP_NO_SEQ_END	4

/* See udp.c. Single bytes, no lock: to miscount costs a port some time. */
struct fnat_udp {
	u8 answered;		/* the RS has sent something */
	u8 stream;		/* and the client after that, or the RS more than it was asked */
	u8 unanswered;		/* requests, 255 at most */
};

/* Where a flow comes from, see sync.c. */
enum fnat_sync_state {
	FNAT_SYNC_NONE,		/* made here, by a packet */
	FNAT_SYNC_WAITING,	/* for its record; in fnat_sync.waiting, without a port */
	FNAT_SYNC_REFUSED,	/* its record is not good here; without a port */
	FNAT_SYNC_STANDBY,	/* as its record says; it has carried no packet here */
	FNAT_SYNC_TAKEN_OVER,	/* and one that has */
};

struct fnat_flow {
	struct fnat_flow_node node[2];	/* by enum fnat_dir */
	/* fast.c; where the packet came in that permits fast ones, by enum fnat_dir */
	int iif[2];
	struct ip_vs_conn *cp;		/* freed after the flow */
	/* in the order in which a request has them, and then a reply */
	union nf_inet_addr caddr;
	union nf_inet_addr vaddr;
	union nf_inet_addr daddr;
	union nf_inet_addr laddr;
	__be16 cport;
	__be16 vport;
	__be16 dport;
	__be16 lport;
	/* by how much the sum of addresses and ports grows on the way to the RS */
	__wsum csum_diff;
	u8 af;
	u8 protocol;
	u8 port_state;			/* enum fnat_port_state; portmap lock */
	u8 sync_state;			/* enum fnat_sync_state; lock of the connection */
	spinlock_t lock;		/* tcp; softirq and BH off */
	union {				/* by protocol */
		struct fnat_tcp tcp;
		struct fnat_udp udp;
	};
	/* jiffies, of the service; 0: as ip_vs has it. 31 days at most, which fits */
	u32 idle_timeout;
	u32 reply_cookie;		/* of reply_dst */
	struct dst_entry *reply_dst;	/* fast.c; holds a reference */
	struct fnat_portmap *portmap;	/* holds a reference */
	/* jiffies, when it got its port; of a record: when that was first seen */
	u32 created;
	u32 record;			/* first word of its record in the connection */
	union {				/* each comes after the one before */
		struct list_head sync_list;	/* sync_lock; FNAT_SYNC_WAITING */
		struct list_head port_list;	/* portmap lock; with a port, by port_state */
		struct rcu_head rcu;
	};
};

/*
 * Does it hold a port? Only then laddr, lport, csum_diff and portmap may be read, of a flow
 * that was not found by its reply's tuple: pairs with flow_settle() in port.c.
 */
static inline bool fnat_flow_has_port(const struct fnat_flow *f)
{
	/* what flow_settle() has set before: flow_join_list() */
	return smp_load_acquire(&f->port_state) != FNAT_PORT_NONE;
}

bool fnat_flow_has_successor(const struct fnat_flow *f);

/* Has its client begun a new connection, which is another flow? Replies to this one are late. */
static inline bool fnat_flow_is_replaced(const struct fnat_flow *f)
{
	return unlikely(hlist_unhashed_lockless(&f->node[FNAT_DIR_REQUEST].hnode)) &&
	       fnat_flow_has_successor(f);
}

/* By an operator: who goes on is reset. It stays so. */
static inline bool fnat_flow_is_ended(const struct fnat_flow *f)
{
	return READ_ONCE(f->node[FNAT_DIR_REQUEST].ended);
}

static inline void fnat_flow_end(struct fnat_flow *f)
{
	WRITE_ONCE(f->node[FNAT_DIR_REQUEST].ended, true);
}

int fnat_flow_tab_init(void);
void fnat_flow_tab_exit(void);

struct fnat_flow *fnat_flow_alloc(void);
bool fnat_flow_hash_request(struct fnat_flow *f);
void fnat_flow_set_csum_diff(struct fnat_flow *f);
void fnat_flow_hash_reply(struct fnat_flow *f);
void fnat_flow_unhash(struct fnat_flow *f, enum fnat_dir dir);
void fnat_flow_free(struct fnat_flow *f);
void fnat_flow_tuple(const struct fnat_flow *f, enum fnat_dir dir, struct fnat_tuple *t);
struct fnat_flow *fnat_flow_find(const struct net *net, const struct fnat_tuple *t,
				 enum fnat_dir *dir);
unsigned int fnat_flow_count(void);
unsigned int fnat_flow_max(void);
u32 fnat_flow_buckets(void);
int fnat_flow_each(u32 bucket, const struct net *net, enum fnat_dir dir,
		   int (*look)(struct fnat_flow *f, void *arg), void *arg);

#endif
