// SPDX-License-Identifier: GPL-2.0
/*
 * The seam to ip_vs: how connections of the stock, unpatched module become
 * ours. Nothing else in this module knows what is inside of ip_vs.
 *
 * ip_vs_conn_new() and ip_vs_try_bind_dest() call pp->app_conn_bind(cp) for
 * each new connection of a protocol whose pd->appcnt is not 0, after the
 * transmitter was chosen and before the connection is hashed. We stand in front
 * of that function. A connection of ours gets our transmitter and, as its
 * "application", an incarnation of ours: ip_vs_conn_expire() then calls our
 * done_conn() and drops the module reference that we took, so that the module
 * stays while connections live.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kallsyms.h>
#include <linux/module.h>
#include <net/ip_vs.h>
#include <uapi/linux/ip_vs_fullnat.h>

#include "flow.h"
#include "icmp.h"
#include "laddr.h"
#include "net.h"
#include "reset.h"
#include "route.h"
#include "seam.h"
#include "sync.h"
#include "xmit.h"

/* How long packets of a connection that has been ended are answered by RSTs. */
#define FNAT_ENDED_LIFE	(2 * HZ)

/* The protocols in whose connections we have a say. */
static struct seam_protocol {
	u16 protocol;
	const char *stock_name;		/* of its app_conn_bind() */
	struct ip_vs_protocol *pp;
	int (*stock_app_conn_bind)(struct ip_vs_conn *cp);
} seam_protocols[] = {
	{ .protocol = IPPROTO_TCP, .stock_name = "tcp_app_conn_bind" },
	{ .protocol = IPPROTO_UDP, .stock_name = "udp_app_conn_bind" },
};

static struct ip_vs_app fullnat_app = {
	.name = "fullnat",
	.type = IP_VS_APP_TYPE_FTP,	/* read by nobody for an app that is not listed */
	.module = THIS_MODULE,
};

static int fullnat_done_conn(struct ip_vs_app *app, struct ip_vs_conn *cp);

static struct ip_vs_app fullnat_inc = {
	.name = "fullnat",
	.module = THIS_MODULE,
	.app = &fullnat_app,		/* ip_vs_app_inc_put() drops its module reference */
	.done_conn = fullnat_done_conn,
};

struct net *fnat_seam_net(const struct ip_vs_conn *cp)
{
	return cp->ipvs->net;
}

/* Pointers are compared: under RCU, also where the namespace is not the caller's. */
bool fnat_seam_is_of(const struct ip_vs_conn *cp, const struct net *net)
{
	return cp->ipvs == net->ipvs;
}

void fnat_seam_service_key(const struct ip_vs_service *svc, struct fnat_svc_key *key)
{
	memset(key, 0, sizeof(*key));
	key->af = svc->af;
	key->fwmark = svc->fwmark;
	if (svc->fwmark)
		return;
	key->protocol = svc->protocol;
	key->port = svc->port;
	ip_vs_addr_copy(svc->af, &key->addr, &svc->addr);
}

/* The service that has scheduled the connection, under RCU. False: nobody knows any more. */
bool fnat_seam_svc_key(const struct ip_vs_conn *cp, struct fnat_svc_key *key)
{
	const struct ip_vs_dest *dest = READ_ONCE(cp->dest);
	const struct ip_vs_service *svc = dest ? rcu_dereference(dest->svc) : NULL;

	if (!svc)
		return false;
	fnat_seam_service_key(svc, key);
	return true;
}

/* The declaration that the connection falls under; NULL: none. */
struct fnat_service *fnat_seam_service(const struct fnat_net *fn, const struct ip_vs_conn *cp)
{
	struct fnat_service *svc;
	struct fnat_svc_key key;

	key.fwmark = 0;
	if (fnat_seam_svc_key(cp, &key))
		svc = fnat_service_get(fn, &key);
	else
		svc = fnat_service_match(fn, cp->af, cp->protocol, &cp->vaddr, cp->vport,
					 cp->fwmark);
	if (svc || key.fwmark)	/* a default entry is for services of addresses */
		return svc;
	return fnat_service_default(fn, cp->af, &cp->vaddr);
}

/* What ip_vs calls the connection's state, and the seconds that it has left. Under RCU. */
const char *fnat_seam_state(const struct ip_vs_conn *cp, unsigned int *expires)
{
	const struct ip_vs_protocol *pp = ip_vs_proto_get(cp->protocol);
	long left = READ_ONCE(cp->timer.expires) - jiffies;

	*expires = timer_pending(&cp->timer) && left > 0 ? left / HZ : 0;
	return pp && pp->state_name ? pp->state_name(READ_ONCE(cp->state)) : "NONE";
}

static bool is_hashed(const struct ip_vs_conn *cp)
{
#ifdef FNAT_HAVE_CONN_HNODE
	return !hlist_bl_unhashed(&cp->hn0.node);
#else
	return !hlist_unhashed(&cp->c_list);
#endif
}

/*
 * A destination that came late (ip_vs_try_bind_dest()) may make the connection another
 * module's or plain NAT's: nobody would end its flow then. What else can be there is a
 * small number of the FTP helper.
 */
static void drop_flow(struct ip_vs_conn *cp)
{
	if (likely(!is_hashed(cp)))
		return;
	spin_lock_bh(&cp->lock);
	if ((unsigned long)cp->app_data >= PAGE_SIZE) {
		fnat_flow_free(cp->app_data);
		cp->app_data = NULL;
	}
	spin_unlock_bh(&cp->lock);
}

/*
 * The sync daemon sends the record (sync.h) of a connection with either of these flags.
 * Nothing in ip_vs itself sets this one without the other: its FTP helper changes only
 * what servers say. So a backup knows FULLNAT by it, even if nobody has declared the
 * service there.
 *
 * It is set before anybody else knows the connection: ip_vs_sync_conn() looks twice whether
 * there is a record, to make room and to write it.
 */
#define FNAT_CONN_F_RECORD	IP_VS_CONN_F_IN_SEQ

static bool conn_has_record(const struct ip_vs_conn *cp)
{
	return (cp->flags & IP_VS_CONN_F_SEQ_MASK) == FNAT_CONN_F_RECORD;
}

static bool conn_is_ours(const struct fnat_net *fn, const struct ip_vs_conn *cp)
{
	/* a template makes no packets; without a client port it is FTP data */
	if (cp->flags & (IP_VS_CONN_F_TEMPLATE | IP_VS_CONN_F_NO_CPORT))
		return false;
	if (fnat_seam_is_synced(cp) && conn_has_record(cp))
		return true;
	switch (IP_VS_FWD_METHOD(cp)) {
	case IP_VS_CONN_F_FULLNAT:
		return true;
	case IP_VS_CONN_F_MASQ:
		/* a server on this host (a sorry server, say) needs no FULLNAT */
		return fnat_seam_service(fn, cp) &&
		       !fnat_route_addr_is_local(fn->net, cp->daf, &cp->daddr);
	}
	return false;
}

/*
 * ip_vs calls it for each packet of a connection of ours, under RCU: in softirq,
 * or in process context for a client on this host (LOCAL_OUT, BH on).
 */
static int fullnat_xmit(struct sk_buff *skb, struct ip_vs_conn *cp, struct ip_vs_protocol *pp,
			struct ip_vs_iphdr *iph)
{
	struct fnat_net *fn = fnat_net(cp->ipvs->net);

	if (ip_vs_iph_icmp(iph)) {
		struct fnat_flow *f = fnat_seam_flow(cp);

		if (!f || !fnat_flow_has_port(f))
			return fnat_drop(fn, skb, drop_no_flow);
		return fnat_icmp_to_rs(skb, fn, f);
	}
	if (unlikely(cp->af != cp->daf))
		return fnat_drop(fn, skb, drop_bad_rs);
	return fnat_request(fn, skb, cp, iph->len);
}

/*
 * For one-packet scheduling (ipvsadm -o): such a connection is freed without a
 * grace period, so no flow can hang on it. It lives and dies with the packet.
 */
static int refuse_xmit(struct sk_buff *skb, struct ip_vs_conn *cp, struct ip_vs_protocol *pp,
		       struct ip_vs_iphdr *iph)
{
	return fnat_drop(fnat_net(cp->ipvs->net), skb, drop_one_packet);
}

static int stock_app_conn_bind(struct ip_vs_conn *cp)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(seam_protocols); i++)
		if (seam_protocols[i].protocol == cp->protocol)
			return seam_protocols[i].stock_app_conn_bind(cp);
	return 0;
}

/*
 * In place of tcp_app_conn_bind() and udp_app_conn_bind(), whose result nobody
 * reads. Softirq, or process context (LOCAL_OUT with BH on, the sync thread),
 * under RCU.
 */
static int fullnat_app_conn_bind(struct ip_vs_conn *cp)
{
	struct fnat_net *fn = fnat_net(cp->ipvs->net);

	if (!conn_is_ours(fn, cp)) {
		drop_flow(cp);
		return stock_app_conn_bind(cp);
	}

	if (cp->flags & IP_VS_CONN_F_ONE_PACKET) {
		cp->packet_xmit = refuse_xmit;
		return 0;
	}
	/* In doubt no transmitter, which is an RST, but never plain NAT. */
	cp->packet_xmit = NULL;
	if (!try_module_get(THIS_MODULE)) {
		drop_flow(cp);
		return 0;
	}
	/*
	 * ip_vs_try_bind_dest() gets here with a connection that is hashed:
	 * its method must stay what it is, and whether it has a record.
	 */
	if (!is_hashed(cp))
		cp->flags = (cp->flags & ~(IP_VS_CONN_F_FWD_MASK | IP_VS_CONN_F_NOOUTPUT)) |
			    IP_VS_CONN_F_FULLNAT | FNAT_CONN_F_RECORD;
	cp->packet_xmit = fullnat_xmit;
	atomic_inc(&fullnat_inc.usecnt);
	cp->app = &fullnat_inc;
	if (fnat_seam_is_synced(cp))
		fnat_sync_expect(fn, cp);
	return 0;
}

static void flow_time_is_up(struct fnat_net *fn, const struct fnat_flow *f)
{
	enum fnat_port_state state = READ_ONCE(f->port_state);

	if (state != FNAT_PORT_OPEN && state != FNAT_PORT_HALF_OPEN)
		return;
	rcu_read_lock();
	if (fnat_may_reset(fn, f)) {
		if (state == FNAT_PORT_OPEN)
			fnat_reset_flow(fn, f);
		else
			fnat_reset_half_open(fn, f);
	}
	rcu_read_unlock();
}

/*
 * ip_vs_conn_expire(), or ip_vs_try_bind_dest() about to bind anew: only the
 * first ends the connection. It can run after this namespace's exit.
 */
static int fullnat_done_conn(struct ip_vs_app *app, struct ip_vs_conn *cp)
{
	struct fnat_flow *f = cp->app_data;

	if (refcount_read(&cp->refcnt) || !f)
		return 0;
	cp->app_data = NULL;
	local_bh_disable();
	if (f->protocol == IPPROTO_TCP)
		flow_time_is_up(fnat_net(cp->ipvs->net), f);
	fnat_flow_free(f);
	local_bh_enable();
	return 0;
}

/*
 * Is there a connection that ip_vs knows and we do not: a destination with another
 * forwarding method in a FULLNAT service; or plain NAT's, whose client is this host.
 */
bool fnat_seam_has_conn(const struct fnat_net *fn, u8 af, const struct sk_buff *skb)
{
	struct netns_ipvs *ipvs = net_ipvs(fn->net);
	struct ip_vs_iphdr iph;
	struct ip_vs_conn *cp;

	if (!ip_vs_fill_iph_skb(af, skb, false, &iph))
		return false;
	cp = ip_vs_conn_in_get_proto(ipvs, af, skb, &iph);
	if (!cp)
		cp = ip_vs_conn_out_get_proto(ipvs, af, skb, &iph);
	if (!cp)
		return false;
	__ip_vs_conn_put(cp);
	return true;
}

/* Does ip_vs make connections of any packet of TCP? */
bool fnat_seam_is_sloppy(const struct fnat_net *fn)
{
	return sysctl_sloppy_tcp(net_ipvs(fn->net));
}

void fnat_seam_fill_flow(struct fnat_flow *f, struct ip_vs_conn *cp)
{
	f->cp = cp;
	f->af = cp->af;
	f->protocol = cp->protocol;
	ip_vs_addr_copy(cp->af, &f->caddr, &cp->caddr);
	ip_vs_addr_copy(cp->af, &f->vaddr, &cp->vaddr);
	ip_vs_addr_copy(cp->af, &f->daddr, &cp->daddr);
	f->cport = cp->cport;
	f->vport = cp->vport;
	f->dport = cp->dport;
	fnat_seam_untrack(cp);
}

/* FULLNAT needs no conntrack: see the early hook. Under fnat_seam_lock(). */
void fnat_seam_untrack(struct ip_vs_conn *cp)
{
	cp->flags &= ~IP_VS_CONN_F_NFCT;
}

struct fnat_flow *fnat_seam_flow(struct ip_vs_conn *cp)
{
	return READ_ONCE(cp->app_data);
}

/*
 * Will done_conn() end a flow of the connection? Not while ip_vs binds it anew. Under
 * fnat_seam_lock().
 */
bool fnat_seam_is_bound(const struct ip_vs_conn *cp)
{
	return READ_ONCE(cp->app) == &fullnat_inc;
}

/* Serialise the making of a connection's flow. */
void fnat_seam_lock(struct ip_vs_conn *cp)
	__acquires(&cp->lock)
{
	spin_lock_bh(&cp->lock);
}

void fnat_seam_unlock(struct ip_vs_conn *cp)
	__releases(&cp->lock)
{
	spin_unlock_bh(&cp->lock);
}

/* Under fnat_seam_lock(). */
void fnat_seam_set_flow(struct ip_vs_conn *cp, struct fnat_flow *f)
{
	/* pairs with the readers' address dependency */
	smp_store_release(&cp->app_data, f);
}

/* Lets the connection go as soon as ip_vs puts it (ip_vs_conn_put()). */
void fnat_seam_expire(struct ip_vs_conn *cp)
{
	cp->timeout = 0;
}

/* TCP: both sides have closed. */
bool fnat_seam_is_time_wait(const struct ip_vs_conn *cp)
{
	return READ_ONCE(cp->state) == IP_VS_TCP_S_TIME_WAIT;
}

/* TCP: both sides have closed, or one has reset. */
bool fnat_seam_is_closed(const struct ip_vs_conn *cp)
{
	u16 state = READ_ONCE(cp->state);

	return state == IP_VS_TCP_S_TIME_WAIT || state == IP_VS_TCP_S_CLOSE;
}

/*
 * A client's FIN that overtakes the last ACK of the handshake: for ip_vs that is
 * TIME_WAIT, though the RS is at the beginning. The state that it has when they come
 * in order. The caller has seen no FIN of the RS.
 */
void fnat_seam_undo_time_wait(struct ip_vs_conn *cp)
{
	const struct ip_vs_proto_data *pd;

	if (likely(!fnat_seam_is_time_wait(cp)))
		return;
	pd = ip_vs_proto_data_get(cp->ipvs, cp->protocol);
	spin_lock_bh(&cp->lock);
	if (cp->state == IP_VS_TCP_S_TIME_WAIT) {
		WRITE_ONCE(cp->state, IP_VS_TCP_S_CLOSE_WAIT);
		cp->timeout = pd->timeout_table[IP_VS_TCP_S_CLOSE_WAIT];
	}
	spin_unlock_bh(&cp->lock);
}

/*
 * Has its time run out: ip_vs has told it to (the server is gone, or quiesced)
 * and its timer has not run yet? A new connection that has not been put yet has
 * no timer running.
 */
bool fnat_seam_is_expiring(const struct ip_vs_conn *cp)
{
	return timer_pending(&cp->timer) && time_before_eq(cp->timer.expires, jiffies);
}

/* As ip_vs_conn_expire_now(), which is not exported. Any context. */
void fnat_seam_expire_now(struct ip_vs_conn *cp)
{
	if (timer_pending(&cp->timer) && time_after(cp->timer.expires, jiffies))
		mod_timer_pending(&cp->timer, jiffies);
}

/* For a connection that has been ended: long enough to tell both sides. Any context. */
void fnat_seam_expire_soon(struct ip_vs_conn *cp)
{
	cp->timeout = FNAT_ENDED_LIFE;
	if (timer_pending(&cp->timer) &&
	    time_after(cp->timer.expires, jiffies + FNAT_ENDED_LIFE))
		mod_timer_pending(&cp->timer, jiffies + FNAT_ENDED_LIFE);
}

/* TCP: will a packet without SYN, FIN and RST leave the state as it is? */
bool fnat_seam_state_is_steady(const struct ip_vs_conn *cp)
{
	return READ_ONCE(cp->state) == IP_VS_TCP_S_ESTABLISHED;
}

static unsigned long stock_timeout(const struct ip_vs_conn *cp)
{
	return ip_vs_proto_data_get(cp->ipvs, cp->protocol)->timeout_table[cp->state];
}

/*
 * ip_vs sets its own timeout with each packet; put ours in its place. It takes
 * effect when the connection is put. Where ip_vs's shall hold it is set, too: the SYN-ACK
 * on another CPU may just have put that of half-open connections there.
 */
void fnat_seam_adjust_timeout(const struct fnat_net *fn, struct ip_vs_conn *cp,
			      enum fnat_port_state state, unsigned long idle_timeout)
{
	const struct fnat_sysctl *sysctl = &fn->sysctl;
	bool tcp = cp->protocol == IPPROTO_TCP;

	if (tcp && cp->state == IP_VS_TCP_S_TIME_WAIT) {
		cp->timeout = READ_ONCE(sysctl->timeout_timewait) * HZ;
	} else if (tcp && cp->state == IP_VS_TCP_S_CLOSE) {
		cp->timeout = READ_ONCE(sysctl->timeout_close) * HZ;
	} else if (state != FNAT_PORT_OPEN) {
		cp->timeout = (tcp ? READ_ONCE(sysctl->timeout_synrecv) :
				     READ_ONCE(sysctl->timeout_udp)) * HZ;
	} else if (idle_timeout && (!tcp || cp->state == IP_VS_TCP_S_ESTABLISHED)) {
		cp->timeout = idle_timeout;
	} else {
		cp->timeout = stock_timeout(cp);
	}
}

/* A reference across the reply's way through ip_vs; false: it is expiring. */
bool fnat_seam_get(struct ip_vs_conn *cp)
{
	return __ip_vs_conn_get(cp);
}

/* Puts the reference and starts the timer with the timeout that is set now. */
void fnat_seam_put_rearm(struct ip_vs_conn *cp)
{
	ip_vs_conn_put(cp);
}

/* Puts the reference and leaves the timer as it is. */
void fnat_seam_put(struct ip_vs_conn *cp)
{
	__ip_vs_conn_put(cp);
}

/* Does the namespace listen to what other nodes tell of their connections? */
bool fnat_seam_is_backup(const struct fnat_net *fn)
{
	const struct netns_ipvs *ipvs = net_ipvs(fn->net);

	return READ_ONCE(ipvs->sync_state) & IP_VS_STATE_BACKUP;
}

/* Has another node told of the connection first? */
bool fnat_seam_is_synced(const struct ip_vs_conn *cp)
{
	return cp->flags & IP_VS_CONN_F_SYNC;
}

/* Of one that is synced: ip_vs starts the timer after it has copied the record. */
bool fnat_seam_is_complete(const struct ip_vs_conn *cp)
{
	return timer_pending(&cp->timer);
}

/*
 * ip_vs sends these as they are and keeps them as they come, with other connections' it
 * corrects sequence numbers in the transmitter for NAT, which ours never meet. The sync
 * daemon locks nothing here: a record has a hash.
 */
void fnat_seam_get_record(const struct ip_vs_conn *cp, struct fnat_record *rec)
{
	rec->word[0] = READ_ONCE(cp->in_seq.init_seq);
	rec->word[1] = READ_ONCE(cp->in_seq.delta);
	rec->word[2] = READ_ONCE(cp->in_seq.previous_delta);
	rec->word[3] = READ_ONCE(cp->out_seq.init_seq);
	rec->word[4] = READ_ONCE(cp->out_seq.delta);
	rec->word[5] = READ_ONCE(cp->out_seq.previous_delta);
}

void fnat_seam_set_record(struct ip_vs_conn *cp, const struct fnat_record *rec)
{
	WRITE_ONCE(cp->in_seq.init_seq, rec->word[0]);
	WRITE_ONCE(cp->in_seq.delta, rec->word[1]);
	WRITE_ONCE(cp->in_seq.previous_delta, rec->word[2]);
	WRITE_ONCE(cp->out_seq.init_seq, rec->word[3]);
	WRITE_ONCE(cp->out_seq.delta, rec->word[4]);
	WRITE_ONCE(cp->out_seq.previous_delta, rec->word[5]);
}

/* The first word alone. */
u32 fnat_seam_record_hash(const struct ip_vs_conn *cp)
{
	return READ_ONCE(cp->in_seq.init_seq);
}

/*
 * A connection that was synced before this node knew its server, and got it later, is
 * hashed as masquerading, and its method must stay what it is: ip_vs does not find it by
 * what we send to its client, nor asks our transmitter about ICMP.
 */
bool fnat_seam_misses_replies(const struct ip_vs_conn *cp)
{
	return IP_VS_FWD_METHOD(cp) == IP_VS_CONN_F_MASQ;
}

/* For a packet that ip_vs does not know to be this connection's, what it would have done. */
void fnat_seam_set_state(struct ip_vs_conn *cp, enum fnat_dir dir, const struct sk_buff *skb,
			 unsigned int thoff)
{
	struct ip_vs_proto_data *pd = ip_vs_proto_data_get(cp->ipvs, cp->protocol);
	int direction = dir == FNAT_DIR_REQUEST ? IP_VS_DIR_INPUT : IP_VS_DIR_OUTPUT;

#ifdef FNAT_HAVE_STATE_IPH_LEN
	pd->pp->state_transition(cp, direction, skb, pd, thoff);
#else
	pd->pp->state_transition(cp, direction, skb, pd);
#endif
}

/* Of the destination and its service. */
bool fnat_seam_dest_is_available(const struct ip_vs_conn *cp)
{
	const struct ip_vs_dest *dest = READ_ONCE(cp->dest);

#ifdef IP_VS_DEST_CF_AVAILABLE
	return dest && READ_ONCE(dest->cflags) & IP_VS_DEST_CF_AVAILABLE;
#else
	return dest && READ_ONCE(dest->flags) & IP_VS_DEST_F_AVAILABLE;
#endif
}

/*
 * Does the sync daemon, if it runs, know the connection? ip_vs counts the packet that is
 * at hand when it has been sent.
 */
bool fnat_seam_is_past_first_sync(const struct ip_vs_conn *cp)
{
	struct netns_ipvs *ipvs = cp->ipvs;

	return !(READ_ONCE(ipvs->sync_state) & IP_VS_STATE_MASTER) ||
	       atomic_read(&cp->in_pkts) + 1 >= sysctl_sync_threshold(ipvs);
}

/* ip_vs has not seen so many requests. False: the sync daemon must hear of them by and by. */
bool fnat_seam_count_requests(struct ip_vs_conn *cp, unsigned int count)
{
	if (READ_ONCE(cp->ipvs->sync_state) & IP_VS_STATE_MASTER)
		return false;
	atomic_set(&cp->in_pkts, atomic_read(&cp->in_pkts) + count);
	return true;
}

/*
 * "count" requests have not been seen by ip_vs: it sends a connection to the backup with
 * every sync_period'th packet. If that was one of them, it is the one at hand.
 */
void fnat_seam_add_requests(struct ip_vs_conn *cp, unsigned int count)
{
	struct netns_ipvs *ipvs = cp->ipvs;
	int period = sysctl_sync_period(ipvs);
	int next = atomic_read(&cp->in_pkts) + count + 1, since;

	if (fnat_seam_count_requests(cp, count))
		return;
	if (period > 0) {
		since = (next - sysctl_sync_threshold(ipvs)) % period;
		if (since >= 0 && since <= (int)count)
			next -= since;
	}
	atomic_set(&cp->in_pkts, next - 1);
}

static struct ip_vs_cpu_stats __percpu *total_stats(const struct netns_ipvs *ipvs)
{
#ifdef FNAT_HAVE_TOT_STATS_RCU
	return ipvs->tot_stats->s.cpustats;
#else
	return ipvs->tot_stats.cpustats;
#endif
}

static void count_packet(struct ip_vs_cpu_stats __percpu *stats, bool request, unsigned int len)
{
	struct ip_vs_cpu_stats *s = this_cpu_ptr(stats);

	u64_stats_update_begin(&s->syncp);
	if (request) {
		u64_stats_inc(&s->cnt.inpkts);
		u64_stats_add(&s->cnt.inbytes, len);
	} else {
		u64_stats_inc(&s->cnt.outpkts);
		u64_stats_add(&s->cnt.outbytes, len);
	}
	u64_stats_update_end(&s->syncp);
}

/* As ip_vs_in_stats() and ip_vs_out_stats() do. BH off. */
void fnat_seam_count(struct ip_vs_conn *cp, bool request, unsigned int len)
{
	const struct ip_vs_dest *dest = READ_ONCE(cp->dest);
	const struct ip_vs_service *svc = dest ? rcu_dereference(dest->svc) : NULL;

	if (!svc)
		return;
	count_packet(dest->stats.cpustats, request, len);
	count_packet(svc->stats.cpustats, request, len);
	count_packet(total_stats(cp->ipvs), request, len);
}

static void net_exit_protocols(struct netns_ipvs *ipvs, unsigned int count)
{
	while (count--) {
		struct ip_vs_proto_data *pd;

		pd = ip_vs_proto_data_get(ipvs, seam_protocols[count].protocol);
		if (pd)
			atomic_dec(&pd->appcnt);
	}
}

/* Once for each namespace: ip_vs asks app_conn_bind only while appcnt is not 0. */
int fnat_seam_net_init(struct fnat_net *fn)
{
	struct netns_ipvs *ipvs = net_ipvs(fn->net);
	unsigned int i;

	if (!ipvs)
		return -EPROTONOSUPPORT;
	for (i = 0; i < ARRAY_SIZE(seam_protocols); i++) {
		struct ip_vs_proto_data *pd;

		pd = ip_vs_proto_data_get(ipvs, seam_protocols[i].protocol);
		if (!pd) {
			net_exit_protocols(ipvs, i);
			return -EPROTONOSUPPORT;
		}
		atomic_inc(&pd->appcnt);
	}
	return 0;
}

void fnat_seam_net_exit(struct fnat_net *fn)
{
	net_exit_protocols(net_ipvs(fn->net), ARRAY_SIZE(seam_protocols));
}

/* Is the function the one of ip_vs itself, and not another module's like ours? */
static bool is_stock(const void *func, const char *name)
{
	char symbol[KSYM_SYMBOL_LEN];
	size_t len = strlen(name);

	snprintf(symbol, sizeof(symbol), "%ps", func);
	return !strncmp(symbol, name, len) && (!symbol[len] || !strcmp(symbol + len, " [ip_vs]"));
}

static int find_protocol(struct seam_protocol *sp)
{
	sp->pp = ip_vs_proto_get(sp->protocol);
	if (!sp->pp || sp->pp->protocol != sp->protocol) {
		pr_err("this kernel's ip_vs does not balance protocol %u\n", sp->protocol);
		return -EPROTONOSUPPORT;
	}
	if (!is_stock(sp->pp->app_conn_bind, sp->stock_name)) {
		pr_err("app_conn_bind of ip_vs is %ps, not %s: is another module hooked in there?\n",
		       sp->pp->app_conn_bind, sp->stock_name);
		return -EBUSY;
	}
	sp->stock_app_conn_bind = sp->pp->app_conn_bind;
	return 0;
}

/* Module load. All or nothing. */
int fnat_seam_init(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(seam_protocols); i++) {
		int err = find_protocol(&seam_protocols[i]);

		if (err)
			return err;
	}
	for (i = 0; i < ARRAY_SIZE(seam_protocols); i++)
		WRITE_ONCE(seam_protocols[i].pp->app_conn_bind, fullnat_app_conn_bind);
	return 0;
}

/*
 * Module unload: no connection of ours is left, or they would hold references.
 * The caller waits for a grace period before the module's text goes.
 */
void fnat_seam_exit(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(seam_protocols); i++) {
		struct seam_protocol *sp = &seam_protocols[i];

		if (!WARN_ON(sp->pp->app_conn_bind != fullnat_app_conn_bind))
			WRITE_ONCE(sp->pp->app_conn_bind, sp->stock_app_conn_bind);
	}
}
