// SPDX-License-Identifier: GPL-2.0
/*
 * Flows that other nodes tell of. ip_vs makes a connection of each message of its
 * sync daemon, and asks us (seam.c) before it has copied the record: so the flow
 * waits in a list until the connection's timer runs, which ip_vs starts last. Then
 * it gets exactly the local address and port of its record.
 *
 * Of later messages about the same connection nobody tells us. The record's first
 * word is compared with each request, and a walk through all flows looks for what
 * has changed while the backup daemon runs: a reply may be the first packet.
 *
 * No reference on a connection is held but for a moment: the flow dies with it, as
 * any other. Locks: the connection's, then those of port.c and flow.c, then the
 * flow's, then sync_lock.
 */
#include <linux/jhash.h>
#include <linux/tcp.h>
#include <net/net_namespace.h>
#include <net/tcp.h>

#include "compat.h"
#include "laddr.h"
#include "net.h"
#include "port.h"
#include "seam.h"
#include "sync.h"
#include "udp.h"
#include "xmit.h"

/* The walk through the flows: every so often a share of the table, never more than so many. */
#define FNAT_WALK_INTERVAL	(HZ / 4)
#define FNAT_WALK_SHARE		8
#define FNAT_WALK_BUCKETS_MAX	65536
#define FNAT_WALK_STEP		512

/* Flows that one run of the work completes. */
#define FNAT_WAITING_BATCH	4096

/* A record whose hash is wrong may be half copied. Not for so long. */
#define FNAT_RECORD_COPIED	(HZ / 10)

static DEFINE_SPINLOCK(sync_lock);	/* the lists of waiting flows, of all namespaces */

static bool is_tcp(const struct fnat_flow *f)
{
	return f->protocol == IPPROTO_TCP;
}

static u32 record_hash(const struct fnat_record *rec)
{
	return jhash2(&rec->word[1], FNAT_RECORD_WORDS - 1, FNAT_RECORD_MAGIC);
}

static unsigned int record_version(const struct fnat_record *rec)
{
	return rec->word[2] >> 12 & 0xf;
}

static u16 record_port(const struct fnat_record *rec)
{
	return rec->word[2] >> 16;
}

static u8 record_flags(const struct fnat_record *rec)
{
	return rec->word[2];
}

static u8 flow_flags(const struct fnat_flow *f)
{
	const struct fnat_tcp *tcp = &f->tcp;

	if (!is_tcp(f))
		return (READ_ONCE(f->udp.answered) ? FNAT_RECORD_ANSWERED : 0) |
		       (READ_ONCE(f->udp.stream) ? FNAT_RECORD_STREAM : 0);
	return (tcp->opened ? FNAT_RECORD_OPENED : 0) |
	       (tcp->accepted ? FNAT_RECORD_ACCEPTED : 0) |
	       (tcp->accepted == FNAT_TCP_ACCEPTED_ONCE ? FNAT_RECORD_RS_CLOSED : 0) |
	       (tcp->rs_closed ? FNAT_RECORD_RS_CLOSED : 0) |
	       (tcp->has_tsval ? FNAT_RECORD_TIMESTAMPS : 0);
}

static void record_make(const struct fnat_flow *f, struct fnat_record *rec)
{
	bool tcp = is_tcp(f);
	u32 scale = tcp ? min_t(u32, READ_ONCE(f->tcp.rs_window_scale), TCP_MAX_WSCALE) : 0;

	rec->word[1] = fnat_laddr_id(f->af, &f->laddr);
	rec->word[2] = (u32)ntohs(f->lport) << 16 | FNAT_RECORD_VERSION << 12 | scale << 8 |
		       flow_flags(f);
	rec->word[3] = tcp ? f->tcp.off.seq : 0;
	rec->word[4] = tcp ? f->tcp.off.ts : 0;
	rec->word[5] = tcp ? f->tcp.client_isn : 0;
	rec->word[0] = record_hash(rec);
}

/* Softirq or BH off. */
void fnat_sync_publish(struct fnat_flow *f)
{
	struct fnat_record rec;

	record_make(f, &rec);
	fnat_seam_set_record(f->cp, &rec);
	WRITE_ONCE(f->record, rec.word[0]);
}

/* Does nothing unless it is waiting. Any context. */
void fnat_sync_forget(struct fnat_flow *f)
{
	if (READ_ONCE(f->sync_state) != FNAT_SYNC_WAITING)
		return;
	spin_lock_bh(&sync_lock);
	if (f->sync_state == FNAT_SYNC_WAITING) {
		WRITE_ONCE(f->sync_state, FNAT_SYNC_REFUSED);
		list_del(&f->sync_list);
	}
	spin_unlock_bh(&sync_lock);
}

/* Under RCU: not in a namespace that goes away, whose exit waits for a grace period. */
static void kick(struct fnat_net *fn, unsigned long delay)
{
	if (!READ_ONCE(fn->exiting))
		mod_delayed_work(fnat_percpu_wq, &fn->sync.work, delay);
}

/* A new flow in place of none; it has no port yet. NULL: counted. Under fnat_seam_lock(). */
static struct fnat_flow *flow_expect(struct fnat_net *fn, struct ip_vs_conn *cp)
{
	struct fnat_flow *f = fnat_flow_alloc();

	if (IS_ERR(f)) {
		fnat_stat_inc(fn, sync_refused_nomem);
		return NULL;
	}
	fnat_seam_fill_flow(f, cp);
	f->created = (u32)jiffies;
	f->sync_state = FNAT_SYNC_REFUSED;
	/* from here on ICMP about it is ours, too */
	fnat_flow_hash_request(f);
	fnat_seam_set_flow(cp, f);
	return f;
}

/*
 * A connection that the sync daemon is making (seam.c). The sync thread, in process
 * context, under RCU.
 */
void fnat_sync_expect(struct fnat_net *fn, struct ip_vs_conn *cp)
{
	struct fnat_flow *f = NULL;
	bool first = false;

	fnat_seam_lock(cp);
	if (!fnat_seam_flow(cp) && !READ_ONCE(fn->exiting))
		f = flow_expect(fn, cp);
	if (f) {
		spin_lock(&sync_lock);
		first = list_empty(&fn->sync.waiting);
		WRITE_ONCE(f->sync_state, FNAT_SYNC_WAITING);
		list_add_tail(&f->sync_list, &fn->sync.waiting);
		spin_unlock(&sync_lock);
	}
	fnat_seam_unlock(cp);
	if (first)
		kick(fn, 1);
}

/* 0, or FNAT_DROP() with the reason's counter. */
static int record_check(const struct fnat_flow *f, const struct fnat_record *rec)
{
	u8 flags = record_flags(rec);

	if (!rec->word[0] && !rec->word[1] && !rec->word[2])
		return FNAT_DROP(sync_refused_no_record);
	if (rec->word[0] != record_hash(rec))
		return FNAT_DROP(sync_refused_malformed);
	if (record_version(rec) != FNAT_RECORD_VERSION)
		return FNAT_DROP(sync_refused_version);
	if (!record_port(rec))
		return FNAT_DROP(sync_refused_malformed);
	if (is_tcp(f) && !(flags & FNAT_RECORD_OPENED))
		return FNAT_DROP(sync_refused_half_open);
	return 0;
}

/* What the other node's word is worth to us: FNAT_TCP_ACCEPTED*, 0 */
static u8 record_accepted(u8 flags)
{
	if (!(flags & FNAT_RECORD_ACCEPTED))
		return 0;
	return flags & FNAT_RECORD_RS_CLOSED ? FNAT_TCP_ACCEPTED_ONCE : FNAT_TCP_ACCEPTED;
}

static void flow_resume_tcp(struct fnat_flow *f, const struct fnat_record *rec)
{
	u8 flags = record_flags(rec);
	struct fnat_tcp *tcp = &f->tcp;

	tcp->off.seq = rec->word[3];
	tcp->off.ts = rec->word[4];
	tcp->client_isn = rec->word[5];
	tcp->rs_window_scale = rec->word[2] >> 8 & 0xf;
	tcp->opened = true;
	tcp->has_rs_isn = true;
	tcp->accepted = record_accepted(flags);
	tcp->rs_closed = !!(flags & FNAT_RECORD_RS_CLOSED);
	tcp->has_tsval = !!(flags & FNAT_RECORD_TIMESTAMPS);
	/* whoever has made it has counted it */
	tcp->toa_sent = true;
	tcp->unknown = FNAT_TCP_NO_RS_ISN | FNAT_TCP_NO_CLIENT_ACK | FNAT_TCP_NO_SEQ_END;
}

static void flow_resume(struct fnat_net *fn, struct fnat_flow *f, const struct fnat_record *rec)
{
	fnat_flow_set_options(f, fnat_seam_service(fn, f->cp));
	if (is_tcp(f)) {
		flow_resume_tcp(f, rec);
		return;
	}
	f->udp.answered = !!(record_flags(rec) & FNAT_RECORD_ANSWERED);
	f->udp.stream = !!(record_flags(rec) & FNAT_RECORD_STREAM);
}

static enum fnat_port_state resumed_port_state(const struct fnat_flow *f)
{
	if (!is_tcp(f))
		return fnat_udp_port_state(f);
	return fnat_seam_is_closed(f->cp) ? FNAT_PORT_CLOSED : FNAT_PORT_OPEN;
}

/* FNAT_DROP() of what fnat_laddr_find_id() or fnat_port_claim() say. */
static int claim_failed(int err)
{
	switch (err) {
	case -ENOENT:
		return FNAT_DROP(sync_refused_no_laddr);
	case -EEXIST:
		return FNAT_DROP(sync_refused_collision);
	case -EADDRINUSE:
		return FNAT_DROP(sync_refused_conflict);
	}
	return FNAT_DROP(sync_refused_nomem);
}

/* The record's LIP, port and offsets for the flow. 0, or FNAT_DROP(). */
static int flow_claim(struct fnat_net *fn, struct fnat_flow *f, const struct fnat_record *rec)
{
	struct fnat_laddr *laddr = fnat_laddr_find_id(fn, f->af, rec->word[1]);
	int err;

	if (IS_ERR(laddr))
		return claim_failed(PTR_ERR(laddr));
	flow_resume(fn, f, rec);
	if (hlist_unhashed(&f->node[FNAT_DIR_REQUEST].hnode) && !fnat_flow_hash_request(f))
		return FNAT_DROP(sync_refused_conflict);
	err = fnat_port_claim(fn, laddr, f, record_port(rec), resumed_port_state(f));
	if (!err) {
		if (is_tcp(f))
			f->tcp.secret_gen = fnat_clock_gen(f->portmap);
		return 0;
	}
	return claim_failed(err);
}

/*
 * The flow has no port, and the connection's record is complete. Once more with the
 * same record and result, it is not counted again: its LIP may have been declared since.
 */
static void flow_complete(struct fnat_net *fn, struct fnat_flow *f)
{
	struct fnat_record rec;
	bool again;
	int err;

	fnat_seam_get_record(f->cp, &rec);
	err = record_check(f, &rec);
	if (err == FNAT_DROP(sync_refused_malformed) && f->sync_state == FNAT_SYNC_WAITING &&
	    (u32)jiffies - f->created < FNAT_RECORD_COPIED)
		return;
	again = f->sync_state == FNAT_SYNC_REFUSED && f->record == rec.word[0];
	if (f->sync_state == FNAT_SYNC_REFUSED && !again)
		f->created = (u32)jiffies;
	fnat_sync_forget(f);
	if (!err)
		err = flow_claim(fn, f, &rec);
	WRITE_ONCE(f->record, rec.word[0]);
	if (!err) {
		WRITE_ONCE(f->sync_state, FNAT_SYNC_STANDBY);
		fnat_seam_untrack(f->cp);
		fnat_stat_inc(fn, sync_accepted);
	} else if (!again) {
		fnat_stat_inc_drop(fn, err);
	}
}

/* Is the record about the flow as it is? */
static bool record_is_of(const struct fnat_record *rec, const struct fnat_flow *f)
{
	if (rec->word[1] != fnat_laddr_id(f->af, &f->laddr) ||
	    record_port(rec) != ntohs(f->lport))
		return false;
	return !is_tcp(f) || (rec->word[3] == f->tcp.off.seq && rec->word[4] == f->tcp.off.ts);
}

/* The other node knows more of the same connection. Under the flow's lock. */
static void flow_merge(struct fnat_flow *f, const struct fnat_record *rec)
{
	u8 flags = record_flags(rec);
	struct fnat_tcp *tcp = &f->tcp;

	if (!is_tcp(f)) {
		if (flags & FNAT_RECORD_ANSWERED)
			WRITE_ONCE(f->udp.answered, true);
		if (flags & FNAT_RECORD_STREAM)
			WRITE_ONCE(f->udp.stream, true);
		return;
	}
	if (record_accepted(flags) > tcp->accepted)
		WRITE_ONCE(tcp->accepted, record_accepted(flags));
	if (flags & FNAT_RECORD_RS_CLOSED && !tcp->rs_closed) {
		WRITE_ONCE(tcp->rs_fin, READ_ONCE(tcp->client_ack));
		WRITE_ONCE(tcp->rs_closed, true);
	}
}

/* A connection that this node itself carries: no record of another one replaces it. */
static bool flow_is_carried(const struct fnat_net *fn, const struct fnat_flow *f)
{
	return f->sync_state != FNAT_SYNC_STANDBY &&
	       fnat_laddr_is_local(fn, f->portmap->key.laddr);
}

/*
 * The record of a flow that has its port is not what it was. True: the flow stays,
 * and its record is its own again. False: the record is another connection's of the
 * same client port.
 */
static bool flow_stays(struct fnat_net *fn, struct fnat_flow *f)
{
	struct fnat_record rec;
	bool stays = true;
	int err = 0;

	spin_lock_bh(&f->lock);
	if (fnat_sync_is_news(f)) {
		fnat_seam_get_record(f->cp, &rec);
		err = record_check(f, &rec);
		if (!err && record_is_of(&rec, f))
			flow_merge(f, &rec);
		else if (!err && flow_is_carried(fn, f))
			err = FNAT_DROP(sync_refused_conflict);
		else
			stays = err;
		if (stays)
			fnat_sync_publish(f);
	}
	spin_unlock_bh(&f->lock);
	if (err)
		fnat_stat_inc_drop(fn, err);
	if (stays && !is_tcp(f))	/* replies alone do not, of a client that is silent */
		fnat_port_set_state(f, fnat_udp_port_state(f));
	return stays;
}

/**
 * fnat_sync_update - make the flow what the connection's record says
 * @fn: its namespace
 * @cp: the connection, under fnat_seam_lock()
 *
 * Softirq or BH off, under RCU.
 *
 * Return: the connection's flow, without a port if the record is refused or there is
 * none yet; NULL: neither flow nor record; -ENOMEM.
 */
struct fnat_flow *fnat_sync_update(struct fnat_net *fn, struct ip_vs_conn *cp)
{
	struct fnat_flow *f = fnat_seam_flow(cp);
	bool replaced = false;

	if (f && (f->sync_state == FNAT_SYNC_WAITING || f->sync_state == FNAT_SYNC_REFUSED)) {
		if (fnat_seam_is_complete(cp))
			flow_complete(fn, f);
		return f;
	}
	if (f) {
		if (!fnat_sync_is_news(f) || (fnat_flow_has_port(f) && flow_stays(fn, f)))
			return f;
		replaced = true;
		fnat_seam_set_flow(cp, NULL);
		fnat_flow_free(f);
	}
	if (!fnat_seam_is_bound(cp) ||
	    (!replaced && !(fnat_seam_is_synced(cp) && fnat_seam_record_hash(cp))))
		return NULL;
	f = flow_expect(fn, cp);
	if (!f)
		return ERR_PTR(-ENOMEM);
	flow_complete(fn, f);
	if (replaced && fnat_flow_has_port(f))
		fnat_stat_inc(fn, sync_replaced);
	return f;
}

/* Softirq or BH off. */
void fnat_sync_first_packet(struct fnat_net *fn, struct fnat_flow *f)
{
	spin_lock_bh(&f->lock);
	if (f->sync_state == FNAT_SYNC_STANDBY) {
		WRITE_ONCE(f->sync_state, FNAT_SYNC_TAKEN_OVER);
		fnat_stat_inc(fn, sync_taken_over);
	}
	spin_unlock_bh(&f->lock);
}

/* Under RCU. */
static void conn_update(struct fnat_net *fn, struct ip_vs_conn *cp)
{
	if (!fnat_seam_get(cp))
		return;
	fnat_seam_lock(cp);
	fnat_sync_update(fn, cp);
	fnat_seam_unlock(cp);
	fnat_seam_put(cp);
}

/* The connection of the next flow of the list, which goes back to those that wait. */
static struct ip_vs_conn *next_waiting(struct fnat_net *fn, struct list_head *todo)
{
	struct fnat_flow *f;

	spin_lock_bh(&sync_lock);
	f = list_first_entry_or_null(todo, struct fnat_flow, sync_list);
	if (f)
		list_move_tail(&f->sync_list, &fn->sync.waiting);
	spin_unlock_bh(&sync_lock);
	return f ? f->cp : NULL;
}

static bool complete_waiting(struct fnat_net *fn)
{
	unsigned int left = FNAT_WAITING_BATCH;
	struct ip_vs_conn *cp;
	LIST_HEAD(todo);
	bool some;

	spin_lock_bh(&sync_lock);
	list_splice_init(&fn->sync.waiting, &todo);
	spin_unlock_bh(&sync_lock);
	do {
		rcu_read_lock();
		cp = next_waiting(fn, &todo);
		if (cp)
			conn_update(fn, cp);
		rcu_read_unlock();
		cond_resched();
	} while (cp && --left);

	spin_lock_bh(&sync_lock);
	list_splice(&todo, &fn->sync.waiting);
	some = !list_empty(&fn->sync.waiting);
	spin_unlock_bh(&sync_lock);
	return some;
}

/* Under RCU. */
static int visit_flow(struct fnat_flow *f, void *arg)
{
	struct fnat_net *fn = arg;
	u8 state = READ_ONCE(f->sync_state);

	if (state == FNAT_SYNC_REFUSED || (state != FNAT_SYNC_WAITING && fnat_sync_is_news(f)))
		conn_update(fn, f->cp);
	else if (state == FNAT_SYNC_STANDBY && is_tcp(f) && fnat_seam_is_closed(f->cp))
		fnat_port_set_state(f, FNAT_PORT_CLOSED);
	return 0;
}

static void walk_flows(struct fnat_net *fn)
{
	u32 left = min_t(u32, fnat_flow_buckets() / FNAT_WALK_SHARE, FNAT_WALK_BUCKETS_MAX);

	while (left--) {
		rcu_read_lock();
		fnat_flow_each(fn->sync.bucket, fn->net, FNAT_DIR_REQUEST, visit_flow, fn);
		rcu_read_unlock();
		fn->sync.bucket = (fn->sync.bucket + 1) & (fnat_flow_buckets() - 1);
		if (left % FNAT_WALK_STEP == 0)
			cond_resched();
	}
}

/* Process context. */
static void sync_work(struct work_struct *work)
{
	struct fnat_net *fn = container_of(to_delayed_work(work), struct fnat_net, sync.work);
	bool backup = fnat_seam_is_backup(fn);
	bool some = complete_waiting(fn);

	if (backup && time_after_eq(jiffies, fn->sync.next_walk)) {
		walk_flows(fn);
		fn->sync.next_walk = jiffies + FNAT_WALK_INTERVAL;
	}
	if (some)
		queue_delayed_work(fnat_percpu_wq, &fn->sync.work, 1);
	else if (backup)
		queue_delayed_work(fnat_percpu_wq, &fn->sync.work, FNAT_WALK_INTERVAL);
}

/* From time to time: begins to look for news once the backup daemon runs. Process context. */
void fnat_sync_kick(struct fnat_net *fn)
{
	rcu_read_lock();	/* see kick() */
	if (fnat_seam_is_backup(fn) && !READ_ONCE(fn->exiting))
		queue_delayed_work(fnat_percpu_wq, &fn->sync.work, FNAT_WALK_INTERVAL);
	rcu_read_unlock();
}

void fnat_sync_net_init(struct fnat_net *fn)
{
	INIT_LIST_HEAD(&fn->sync.waiting);
	INIT_DELAYED_WORK(&fn->sync.work, sync_work);
	fn->sync.next_walk = jiffies;
}

/*
 * After a grace period since fnat_net.exiting was set. The flows that wait leave
 * their list one by one, when ip_vs drops their connections.
 */
void fnat_sync_net_exit(struct fnat_net *fn)
{
	cancel_delayed_work_sync(&fn->sync.work);
	spin_lock_bh(&sync_lock);
	list_del_init(&fn->sync.waiting);
	spin_unlock_bh(&sync_lock);
}
