/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Flows in the sync daemon of ip_vs. Its messages carry 24 bytes of each
 * connection that nobody needs for ours (struct ip_vs_conn.in_seq and out_seq):
 * on the node that makes a flow they are its record, on the others the flow is
 * made from the record.
 */
#ifndef FNAT_SYNC_H
#define FNAT_SYNC_H

#include <linux/list.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "flow.h"
#include "seam.h"

struct fnat_net;
struct ip_vs_conn;

/*
 * Words, in the byte order of the host: messages of version 1 convert each of
 * them to the order of the network and back.
 *
 *	0  hash of the others with FNAT_RECORD_MAGIC: what is not ours, or is being
 *	   written at this moment, has another one
 *	1  the LIP: an IPv4 address, or fnat_laddr_id() of an IPv6 one
 *	2  bits 31..16 its port, 15..12 version, 11..8 window scale of the RS,
 *	   7..0 FNAT_RECORD_*
 *	3  TCP: offset of the sequence numbers
 *	4  TCP: offset of the timestamps
 *	5  TCP: ISN of the client
 *
 * Words 0 and 2 stay where they are in every version.
 */
#define FNAT_RECORD_WORDS	6
#define FNAT_RECORD_MAGIC	0x464e4154	/* "FNAT" */
#define FNAT_RECORD_VERSION	1

struct fnat_record {
	u32 word[FNAT_RECORD_WORDS];
};

/* TCP: the client has answered the SYN-ACK / the RS has accepted the connection. */
#define FNAT_RECORD_OPENED	0x01
#define FNAT_RECORD_ACCEPTED	0x02
/* TCP: the RS has sent its FIN / timestamps are in use */
#define FNAT_RECORD_RS_CLOSED	0x04
#define FNAT_RECORD_TIMESTAMPS	0x08
/* UDP: as in struct fnat_udp */
#define FNAT_RECORD_ANSWERED	0x10
#define FNAT_RECORD_STREAM	0x20

/* Of a namespace. */
struct fnat_sync {
	struct list_head waiting;	/* flows without a record so far; sync.c has the lock */
	struct delayed_work work;
	unsigned long next_walk;	/* jiffies; these two are the work's */
	u32 bucket;			/* where the walk through the flows goes on */
};

/* Under the flow's lock, or while nobody else knows it: its record is this from now on. */
void fnat_sync_publish(struct fnat_flow *f);

/* Has somebody else written the connection's record? */
static inline bool fnat_sync_is_news(const struct fnat_flow *f)
{
	return fnat_seam_record_hash(f->cp) != READ_ONCE(f->record);
}

void fnat_sync_expect(struct fnat_net *fn, struct ip_vs_conn *cp);
struct fnat_flow *fnat_sync_update(struct fnat_net *fn, struct ip_vs_conn *cp);
void fnat_sync_forget(struct fnat_flow *f);
void fnat_sync_first_packet(struct fnat_net *fn, struct fnat_flow *f);

/* A flow that a record has made carries a packet; see docs/counters.md. */
static inline void fnat_sync_packet(struct fnat_net *fn, struct fnat_flow *f)
{
	if (unlikely(READ_ONCE(f->sync_state) == FNAT_SYNC_STANDBY))
		fnat_sync_first_packet(fn, f);
}

void fnat_sync_kick(struct fnat_net *fn);
void fnat_sync_net_init(struct fnat_net *fn);
void fnat_sync_net_exit(struct fnat_net *fn);

#endif
