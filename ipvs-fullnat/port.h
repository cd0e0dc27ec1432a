/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which ports of one local address are in use towards one real server. A
 * tuple (protocol, RS:rp, LIP:lp) belongs to at most one flow, so every LIP
 * serves 64k connections to each RS.
 */
#ifndef FNAT_PORT_H
#define FNAT_PORT_H

#include <linux/list.h>
#include <linux/netfilter.h>
#include <linux/refcount.h>
#include <linux/rhashtable-types.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "clock.h"
#include "route.h"

struct fnat_flow;
struct fnat_laddr;
struct fnat_net;
struct fnat_pool;

/* A bitmap of all ports in pieces that are allocated when first needed. */
#define FNAT_PORT_CHUNK		4096
#define FNAT_PORT_CHUNKS	(65536 / FNAT_PORT_CHUNK)

/* Half-open flows younger than this are never recycled: an honest client may
 * still be on its way to answer. With UDP it is the RS whose answer may still
 * come, and nothing in it would tell that it is not for the port's next client.
 */
#define FNAT_HALF_OPEN_GRACE		(HZ / 4)
#define FNAT_HALF_OPEN_GRACE_UDP	(5 * HZ)

enum fnat_port_state {
	FNAT_PORT_NONE,		/* holds no port (any more) */
	/* the client has not answered the SYN-ACK; UDP: the RS has sent nothing */
	FNAT_PORT_HALF_OPEN,
	FNAT_PORT_OPEN,
	/* both sides have closed, or one has reset; UDP: request and answer, no more so far */
	FNAT_PORT_CLOSED,
};

struct fnat_portmap_key {
	struct fnat_laddr *laddr;
	union nf_inet_addr daddr;
	__be16 dport;
	u16 protocol;
};

/* Found under RCU; a flow holds a reference, and so does the LIP's list. */
struct fnat_portmap {
	struct rhash_head rnode;
	struct fnat_portmap_key key;	/* key.laddr holds a reference */
	refcount_t refcnt;
	spinlock_t lock;		/* softirq and BH off; all below */
	bool dead;			/* out of the table: look it up again */
	bool none_free;			/* a search found every port taken */
	unsigned int range_gen;		/* of the LIP, when "used" was counted */
	unsigned int used;		/* ports in use inside the LIP's range */
	unsigned int half_open;		/* length of half_open_list */
	u32 next;			/* where the next search begins */
	unsigned long none_since;	/* jiffies, when none_free was set */
	unsigned long last_used;	/* jiffies */
	struct list_head closed_list;	/* flows, oldest first */
	struct list_head half_open_list;
	struct fnat_mark isn_mark;
	struct fnat_mark ts_lead;
	struct fnat_odd_clocks odd_clocks;
	unsigned long *chunk[FNAT_PORT_CHUNKS];
	struct fnat_route route;	/* LIP to RS; has its own rules */
	struct list_head laddr_list;	/* RCU; lock of the LIP */
	struct rcu_head rcu;
};

int fnat_port_init(void);
void fnat_port_exit(void);

int fnat_port_alloc(struct fnat_net *fn, struct fnat_pool *pool, struct fnat_flow *f,
		    struct fnat_flow **recycled);
int fnat_port_claim(struct fnat_net *fn, struct fnat_laddr *laddr, struct fnat_flow *f, u16 port,
		    enum fnat_port_state state);
bool fnat_port_is_left(const struct fnat_net *fn, const struct fnat_pool *pool, u8 af,
		       u16 protocol, const union nf_inet_addr *daddr, __be16 dport);
void fnat_port_take_away(struct fnat_flow *f);
void fnat_portmap_forget_marks(struct fnat_laddr *laddr);
unsigned int fnat_port_half_open(const struct fnat_laddr *laddr);
void fnat_port_set_state(struct fnat_flow *f, enum fnat_port_state state);
void fnat_port_release(struct fnat_flow *f);
void fnat_portmap_gc(struct fnat_laddr *laddr, bool all);

#endif
