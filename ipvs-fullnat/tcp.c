// SPDX-License-Identifier: GPL-2.0
/*
 * TCP through a flow. The RS must take all clients behind one LIP for one host,
 * whose ISNs and timestamps never run backwards (clock.h): a client's sequence
 * numbers and TSvals are shifted on the way in, what the RS acknowledges and
 * echoes is shifted back on the way out.
 *
 * A SYN on a live connection may be a new connection of the client, or a forgery:
 * its offsets are pending, used for this SYN only, until the RS's SYN-ACK
 * acknowledges it, or the RS goes on with the former connection.
 *
 * Softirq, or process context (LOCAL_OUT), under RCU.
 */
#include <linux/tcp.h>
#include <net/tcp.h>
#include <uapi/linux/ip_vs_fullnat.h>

#include "clock.h"
#include "ip.h"
#include "net.h"
#include "rewrite.h"
#include "seam.h"
#include "sync.h"
#include "tcp.h"

/* How far the first packets may be ahead of the RS's ISN and still be the first. */
#define FNAT_FIRST_WINDOW	BIT(20)

/*
 * No SYN-ACK offers a larger window. An RS that has answered one SYN refuses another
 * inside of it with an RST; outside it sends an ACK, and the client begins anew.
 */
#define FNAT_SYN_WINDOW		BIT(17)

/* RFC 7323: no window is larger. */
#define FNAT_MAX_WINDOW		BIT(30)

static const struct tcphdr *tcp_header(const struct fnat_pkt *pkt, struct tcphdr *buf)
{
	return skb_header_pointer(pkt->skb, pkt->thoff, sizeof(*buf), buf);
}

/* Bytes of header with options, all of them in the packet; 0: malformed. */
static unsigned int tcp_header_len(const struct fnat_pkt *pkt, const struct tcphdr *th)
{
	unsigned int len = th->doff * 4;

	if (len < sizeof(*th) || pkt->thoff + len > pkt->skb->len)
		return 0;
	return len;
}

bool fnat_tcp_is_syn(const struct fnat_pkt *pkt)
{
	struct tcphdr buf;
	const struct tcphdr *th = tcp_header(pkt, &buf);

	return th && th->syn && !th->ack;
}

/*
 * Has the RS closed, and the client not acknowledged it? Then the RS is in LAST_ACK if
 * the client has closed, too, and would challenge the next SYN from this port.
 */
bool fnat_tcp_awaits_last_ack(const struct fnat_flow *f)
{
	const struct fnat_tcp *tcp = &f->tcp;

	return READ_ONCE(tcp->rs_closed) && !(READ_ONCE(tcp->unknown) & FNAT_TCP_NO_CLIENT_ACK) &&
	       (s32)(READ_ONCE(tcp->client_ack) - READ_ONCE(tcp->rs_fin)) < 0;
}

/* Neither begins nor ends a connection. */
bool fnat_tcp_is_plain(const struct fnat_pkt *pkt)
{
	struct tcphdr buf;
	const struct tcphdr *th = tcp_header(pkt, &buf);

	return th && !th->syn && !th->fin && !th->rst;
}

/*
 * What the flow must know of the packet that begins it before it can have its
 * port. False: not a SYN, or malformed. No other packet can begin a flow: the
 * RS would not know the connection under its new port.
 */
bool fnat_tcp_flow_syn(const struct fnat_pkt *pkt, struct fnat_flow *f)
{
	u8 buf[15 * 4];
	const struct tcphdr *th = tcp_header(pkt, (struct tcphdr *)buf);
	unsigned int hdr_len = th ? tcp_header_len(pkt, th) : 0;

	/* no host has port 0, and no RS would believe it */
	if (!hdr_len || !th->syn || th->ack || !f->cport)
		return false;
	f->tcp.client_isn = ntohl(th->seq);
	th = skb_header_pointer(pkt->skb, pkt->thoff, hdr_len, buf);
	f->tcp.has_tsval = fnat_tcp_options_tsval((const u8 *)(th + 1), hdr_len - sizeof(*th),
						  &f->tcp.tsval);
	return true;
}

/* The offsets that make (isn, tsval) what the RS shall see in this SYN. */
static void choose_offsets(const struct fnat_flow *f, u32 isn, bool has_tsval, u32 tsval,
			   struct fnat_tcp_offsets *off)
{
	off->seq = fnat_clock_isn(f, f->portmap) - isn;
	off->ts = 0;
	if (has_tsval && f->tcp.timestamps == FULLNAT_TIMESTAMPS_REWRITE)
		off->ts = fnat_clock_tsval(f, f->portmap) - tsval;
}

/* For the SYN of fnat_tcp_flow_syn(), now that the flow has its port. */
void fnat_tcp_flow_offsets(struct fnat_pkt *pkt, struct fnat_flow *f)
{
	struct fnat_tcp *tcp = &f->tcp;

	/* before: of a secret that is changed meanwhile the offsets must not seem to be */
	tcp->secret_gen = fnat_clock_gen(f->portmap);
	if (tcp->has_tsval && tcp->timestamps == FULLNAT_TIMESTAMPS_REWRITE &&
	    fnat_clock_is_odd(f, f->portmap)) {
		tcp->timestamps = FULLNAT_TIMESTAMPS_STRIP;
		fnat_stat_inc(pkt->fn, timestamps_removed);
	}
	choose_offsets(f, tcp->client_isn, tcp->has_tsval, tcp->tsval, &tcp->off);
	tcp->seq_end = tcp->client_isn + tcp->off.seq;
	tcp->tsval += tcp->off.ts;
}

/* Another SYN on a live connection. Under the flow's lock. */
static void make_pending(struct fnat_flow *f, u32 isn, const u8 *opts, unsigned int opts_len)
{
	struct fnat_tcp *tcp = &f->tcp;
	struct fnat_tcp_offsets *off = &tcp->pending_off;
	bool has_tsval;
	u32 tsval = 0;

	has_tsval = fnat_tcp_options_tsval(opts, opts_len, &tsval);
	choose_offsets(f, isn, has_tsval, tsval, off);
	/* this connection may have run ahead of the clock */
	if (!(tcp->unknown & FNAT_TCP_NO_SEQ_END) && (s32)(isn + off->seq - tcp->seq_end) <= 0)
		off->seq = tcp->seq_end + 1 - isn;
	if (off->ts && tcp->has_tsval && !(tcp->unknown & FNAT_TCP_NO_SEQ_END) &&
	    (s32)(tsval + off->ts - tcp->tsval) < 0)
		off->ts = tcp->tsval - tsval;
	/* the clock takes 8 ms to leave the window of the former SYN */
	if (fnat_tcp_seq_within(isn + off->seq, tcp->client_isn + tcp->off.seq, FNAT_SYN_WINDOW))
		off->seq += FNAT_SYN_WINDOW;
	tcp->pending_isn = isn;
	tcp->pending_tsval = tsval + off->ts;
	WRITE_ONCE(tcp->has_pending, has_tsval ? FNAT_PENDING_SYN_TS : FNAT_PENDING_SYN);
}

/*
 * The offsets for a SYN: committed, pending, or new ones that become pending. Until the RS has
 * accepted, the same number is the same SYN, and the RS must see it once more. Afterwards it
 * may begin a new connection, too: there are clients with one number for all.
 */
static void syn_offsets(struct fnat_pkt *pkt, u32 isn, const u8 *opts, unsigned int opts_len,
			struct fnat_tcp_offsets *off)
{
	struct fnat_tcp *tcp = &pkt->flow->tcp;

	spin_lock_bh(&pkt->flow->lock);
	if (tcp->client_isn == isn && !tcp->accepted) {
		*off = tcp->off;
	} else {
		if (!tcp->has_pending || tcp->pending_isn != isn) {
			make_pending(pkt->flow, isn, opts, opts_len);
			fnat_stat_inc(pkt->fn, syn_pending);
		}
		*off = tcp->pending_off;
	}
	spin_unlock_bh(&pkt->flow->lock);
}

/* The client has answered the SYN-ACK, and knew its number: it is no forger. */
static void request_opens(struct fnat_flow *f, u32 ack)
{
	struct fnat_tcp *tcp = &f->tcp;

	spin_lock_bh(&f->lock);
	if (tcp->has_rs_isn && fnat_tcp_seq_within(ack, tcp->rs_isn + 1, FNAT_FIRST_WINDOW)) {
		WRITE_ONCE(tcp->client_ack, ack);
		WRITE_ONCE(tcp->opened, true);
		fnat_sync_publish(f);
	}
	spin_unlock_bh(&f->lock);
}

/* The first request of a flow that another node has made. */
static void request_resumes(struct fnat_flow *f, u32 ack)
{
	struct fnat_tcp *tcp = &f->tcp;

	spin_lock_bh(&f->lock);
	if (tcp->unknown & FNAT_TCP_NO_CLIENT_ACK) {
		WRITE_ONCE(tcp->client_ack, ack);
		/* what it has acknowledged of the RS's FIN is that node's knowledge */
		if (tcp->rs_closed)
			WRITE_ONCE(tcp->rs_fin, ack);
		WRITE_ONCE(tcp->unknown, tcp->unknown & ~FNAT_TCP_NO_CLIENT_ACK);
	}
	spin_unlock_bh(&f->lock);
}

/*
 * The client has received more than before, so the RS has sent it: that is proof, too, where
 * replies go through another node.
 */
static void request_accepts(struct fnat_flow *f)
{
	spin_lock_bh(&f->lock);
	if (!f->tcp.accepted && f->tcp.unknown & FNAT_TCP_NO_RS_ISN) {
		WRITE_ONCE(f->tcp.accepted, FNAT_TCP_ACCEPTED);
		fnat_sync_publish(f);
	}
	spin_unlock_bh(&f->lock);
}

/* The RS may have closed its socket. Under the flow's lock. */
static void accepted_once(struct fnat_flow *f)
{
	if (f->tcp.accepted != FNAT_TCP_ACCEPTED)
		return;
	WRITE_ONCE(f->tcp.accepted, FNAT_TCP_ACCEPTED_ONCE);
	fnat_sync_publish(f);
}

/* How far the client has come with the RS, for fnat_reset_flow(). */
static void request_advances(struct fnat_flow *f, const struct tcphdr *th)
{
	u32 ack = ntohl(th->ack_seq);

	if (unlikely(th->rst)) {
		spin_lock_bh(&f->lock);
		accepted_once(f);
		spin_unlock_bh(&f->lock);
	}
	if (!th->ack || th->syn || th->rst)
		return;
	if (unlikely(!READ_ONCE(f->tcp.opened))) {
		request_opens(f, ack);
	} else if (unlikely(READ_ONCE(f->tcp.unknown) & FNAT_TCP_NO_CLIENT_ACK)) {
		request_resumes(f, ack);
	} else if ((s32)(ack - READ_ONCE(f->tcp.client_ack)) > 0) {
		WRITE_ONCE(f->tcp.client_ack, ack);
		if (unlikely(!READ_ONCE(f->tcp.accepted)))
			request_accepts(f);
	}
}

/* Can the RS expect it? With more in flight than its largest window: no. */
static bool rst_is_credible(const struct fnat_tcp *tcp, u32 seq)
{
	u32 window = U16_MAX << READ_ONCE(tcp->rs_window_scale);

	return !READ_ONCE(tcp->opened) || READ_ONCE(tcp->unknown) & FNAT_TCP_NO_SEQ_END ||
	       fnat_tcp_seq_within(seq + tcp->off.seq, READ_ONCE(tcp->seq_end), window + 1);
}

/**
 * fnat_tcp_admit - keep from ip_vs what it would misunderstand: it looks at flags only
 * @f: the flow, in whose request direction the packet is
 * @skb: the packet
 * @thoff: its TCP header
 *
 * With any RST a connection is closed for ip_vs: its timeout becomes short, its port may
 * go to another one, the next SYN begins it anew. The RS ignores one that is outside of its
 * window, so whoever can guess the client's port would need no number (RFC 5961).
 *
 * Other flags than these no host sends. An RS ignores a packet without any of them, or with
 * RST and SYN, but for ip_vs the connection is closed. Of a SYN-ACK with data it makes a
 * socket, and then drops it: a toa.ko that waits for the connection to be established would
 * not see the TOA in it, and name the LIP.
 *
 * Return: 0 or FNAT_DROP().
 */
int fnat_tcp_admit(const struct fnat_flow *f, const struct sk_buff *skb, unsigned int thoff)
{
	struct tcphdr buf;
	const struct tcphdr *th = skb_header_pointer(skb, thoff, sizeof(buf), &buf);

	if (likely(!th || fnat_tcp_is_usual(th)))
		return 0;
	if (!th->rst || th->syn)
		return FNAT_DROP(drop_malformed);
	return rst_is_credible(&f->tcp, ntohl(th->seq)) ? 0 : FNAT_DROP(drop_false_rst);
}

/* Returns by how much the checksum's sum grows. The field is aligned as the header is. */
static __wsum add_to(__be32 *field, u32 delta)
{
	__be32 old = *field;

	*field = htonl(ntohl(old) + delta);
	return csum_sub((__force __wsum)*field, (__force __wsum)old);
}

/* What nearly all packets are: no SYN, and no options but timestamps. False: it is not. */
static bool request_rewrite_usual(struct fnat_pkt *pkt, struct tcphdr *th, unsigned int opts_len)
{
	const struct fnat_tcp_offsets *off = &pkt->flow->tcp.off;
	__be32 *ts;
	__wsum diff;

	if (th->syn || !fnat_tcp_options_usual((u8 *)(th + 1), opts_len, &ts))
		return false;
	fnat_rewrite_addrs(pkt);
	diff = csum_add(fnat_csum_addrs_diff(pkt), add_to(&th->seq, off->seq));
	if (ts && off->ts)
		diff = csum_add(diff, add_to(ts, off->ts));
	fnat_csum_fix(pkt, diff);
	return true;
}

/* "compose": fnat_toa_insert() will see the options. */
static void request_rewrite(struct fnat_pkt *pkt, struct tcphdr *th, unsigned int hdr_len,
			    bool compose)
{
	struct fnat_tcp *tcp = &pkt->flow->tcp;
	unsigned int opts_len = hdr_len - sizeof(*th);
	struct fnat_tcp_offsets off = tcp->off;
	u8 *opts = (u8 *)(th + 1);
	struct fnat_csum csum;

	if (likely(request_rewrite_usual(pkt, th, opts_len)))
		return;
	fnat_csum_begin(pkt, hdr_len, &csum);
	fnat_rewrite_addrs(pkt);
	if (th->syn && !th->ack) {
		syn_offsets(pkt, ntohl(th->seq), opts, opts_len, &off);
		fnat_tcp_options_neutralise_syn(opts, opts_len,
						tcp->timestamps == FULLNAT_TIMESTAMPS_STRIP);
	}
	th->seq = htonl(ntohl(th->seq) + off.seq);
	if (off.ts)
		fnat_tcp_options_add_tsval(opts, opts_len, off.ts);
	if (fnat_tcp_options_neutralise(opts, opts_len, !compose))
		fnat_stat_inc(pkt->fn, toa_forged);
	fnat_csum_end(pkt, hdr_len, &csum);
}

/* A SYN has one only with data, which makes the socket at once (TFO). */
static bool toa_wanted(const struct fnat_flow *f, const struct tcphdr *th, bool payload)
{
	if (!f->tcp.toa_kind || th->rst)
		return false;
	return th->syn ? payload : th->ack;
}

static void toa_was_sent(struct fnat_pkt *pkt)
{
	struct fnat_tcp *tcp = &pkt->flow->tcp;

	fnat_stat_inc(pkt->fn, toa_packets);
	if (READ_ONCE(tcp->toa_sent))
		return;
	spin_lock_bh(&pkt->flow->lock);
	if (!tcp->toa_sent) {
		WRITE_ONCE(tcp->toa_sent, true);
		fnat_stat_inc(pkt->fn, conns_with_toa);
	}
	spin_unlock_bh(&pkt->flow->lock);
}

int fnat_tcp_request(struct fnat_pkt *pkt)
{
	struct fnat_flow *f = pkt->flow;
	struct tcphdr buf, *th;
	const struct tcphdr *h = tcp_header(pkt, &buf);
	unsigned int hdr_len = h ? tcp_header_len(pkt, h) : 0;
	bool compose, with_toa;
	int err;

	if (!hdr_len)
		return FNAT_DROP(drop_malformed);
	/* also a SYN on an accepted connection, which may begin it anew */
	compose = h->syn || fnat_tcp_toa_is_due(f);
	err = fnat_prepare(pkt, hdr_len, compose ? FNAT_TOA_GROW_MAX : 0);
	if (err)
		return err;
	th = tcp_hdr(pkt->skb);
	/* where fnat_prepare() puts a checksum is the sender's choice, also in here */
	if (th->doff * 4 != hdr_len)
		return FNAT_DROP(drop_malformed);
	request_advances(f, th);
	request_rewrite(pkt, th, hdr_len, compose);
	if (!compose)
		return 0;

	with_toa = toa_wanted(f, th, pkt->skb->len > pkt->thoff + hdr_len);
	err = fnat_toa_insert(pkt, with_toa);
	if (!err && with_toa)
		toa_was_sent(pkt);
	return err;
}

/* The RS answers the pending SYN: that is the connection from now on. */
static void commit_pending(struct fnat_pkt *pkt, u32 rs_isn)
{
	struct fnat_tcp *tcp = &pkt->flow->tcp;

	tcp->off = tcp->pending_off;
	tcp->client_isn = tcp->pending_isn;
	tcp->has_tsval = tcp->has_pending == FNAT_PENDING_SYN_TS;
	WRITE_ONCE(tcp->has_pending, 0);
	tcp->seq_end = tcp->client_isn + tcp->off.seq;
	tcp->tsval = tcp->pending_tsval;
	tcp->rs_isn = rs_isn;
	tcp->has_rs_isn = true;
	WRITE_ONCE(tcp->opened, false);
	WRITE_ONCE(tcp->accepted, 0);
	WRITE_ONCE(tcp->rs_closed, false);
	WRITE_ONCE(tcp->toa_sent, false);
	WRITE_ONCE(tcp->unknown, 0);
	fnat_sync_publish(pkt->flow);
	fnat_stat_inc(pkt->fn, syn_committed);
}

/* Does the RS acknowledge the SYN with this ISN, with data of it perhaps? */
static bool acks_syn(u32 ack, u32 isn, const struct fnat_tcp_offsets *off)
{
	return fnat_tcp_seq_within(ack, isn + off->seq + 1, FNAT_FIRST_WINDOW);
}

/*
 * False: it answers a SYN of which nothing is known any more, on a connection. So the RS has
 * another socket, and its number is not for the client.
 */
static bool reply_synack(struct fnat_pkt *pkt, const struct tcphdr *th)
{
	struct fnat_tcp *tcp = &pkt->flow->tcp;
	u32 ack = ntohl(th->ack_seq), seq = ntohl(th->seq);
	bool is_ours = acks_syn(ack, tcp->client_isn, &tcp->off), is_known;

	if (tcp->has_pending && acks_syn(ack, tcp->pending_isn, &tcp->pending_off)) {
		commit_pending(pkt, seq);
		return true;
	}
	/* with TCP Fast Open the RS may have spoken before, and send it again nevertheless */
	is_known = tcp->accepted ? is_ours && seq == tcp->rs_isn : is_ours || !tcp->opened;
	if (!is_known) {
		accepted_once(pkt->flow);
	} else if (is_ours && !tcp->opened) {
		/* sent again it is the same, or another one with SYN cookies */
		tcp->rs_isn = seq;
		tcp->has_rs_isn = true;
	}
	return is_known;
}

/*
 * Payload, FIN, or an acknowledgment of more than the SYN, in the window of
 * this connection: the RS has a socket for it. An ACK that an older
 * incarnation of the port sends as a challenge proves nothing.
 */
static void reply_accepts(struct fnat_pkt *pkt, const struct tcphdr *th, bool payload)
{
	struct fnat_tcp *tcp = &pkt->flow->tcp;
	u32 rs_view_isn = tcp->client_isn + tcp->off.seq;

	if (th->rst || !tcp->has_rs_isn)
		return;
	if (!(tcp->unknown & FNAT_TCP_NO_RS_ISN) &&
	    !fnat_tcp_seq_within(ntohl(th->seq), tcp->rs_isn + 1, FNAT_FIRST_WINDOW))
		return;
	if (!payload && !th->fin &&
	    !(th->ack && fnat_tcp_seq_within(ntohl(th->ack_seq), rs_view_isn + 2, FNAT_MAX_WINDOW)))
		return;
	WRITE_ONCE(tcp->accepted, FNAT_TCP_ACCEPTED);
	fnat_sync_publish(pkt->flow);
	if (tcp->toa_kind && !tcp->toa_sent)
		fnat_stat_inc(pkt->fn, conns_without_toa);
}

/*
 * New data, or an acknowledgment of some: the RS goes on with the connection as it is, so
 * the pending SYN was a forgery, or one that it has challenged and that will come again.
 */
static bool reply_goes_on(const struct fnat_tcp *tcp, const struct tcphdr *th, bool payload)
{
	if (th->rst)
		return false;
	return payload || (th->ack && !(tcp->unknown & FNAT_TCP_NO_SEQ_END) &&
			   (s32)(ntohl(th->ack_seq) - tcp->seq_end) > 0);
}

static bool answers_syn(const struct fnat_tcp *tcp, const struct tcphdr *th)
{
	u32 ack = ntohl(th->ack_seq);

	return th->ack && (acks_syn(ack, tcp->client_isn, &tcp->off) ||
			   (tcp->has_pending &&
			    acks_syn(ack, tcp->pending_isn, &tcp->pending_off)));
}

/*
 * Before the RS has answered our SYN, its data, its FIN, and an RST that is no answer
 * either, belong to a former connection of this port: they are not for this client, and
 * ip_vs would take the end of that one for the end of this one. (A bare ACK of that kind
 * must pass: the client resets the former connection with its answer.)
 */
static bool reply_is_of_former(const struct fnat_tcp *tcp, const struct tcphdr *th, bool payload)
{
	if (likely(tcp->has_rs_isn) || th->syn)
		return false;
	return th->rst ? !answers_syn(tcp, th) : payload || th->fin;
}

/*
 * Advances the handshake and tells which offsets are this packet's. False: it is an answer
 * to an unknown SYN, or of a former connection.
 */
static bool reply_offsets(struct fnat_pkt *pkt, const struct tcphdr *th, unsigned int payload,
			  struct fnat_tcp_offsets *off)
{
	struct fnat_tcp *tcp = &pkt->flow->tcp;
	bool stale = false;

	if (likely(READ_ONCE(tcp->accepted) && !READ_ONCE(tcp->has_pending) &&
		   !(tcp_flag_word(th) & (TCP_FLAG_SYN | TCP_FLAG_FIN | TCP_FLAG_RST)))) {
		*off = tcp->off;
		return true;
	}
	spin_lock_bh(&pkt->flow->lock);
	if (reply_is_of_former(tcp, th, payload)) {
		spin_unlock_bh(&pkt->flow->lock);
		return false;
	}
	if (th->rst)
		accepted_once(pkt->flow);
	if (th->syn && th->ack)
		stale = !reply_synack(pkt, th);
	else if (!tcp->accepted)
		reply_accepts(pkt, th, payload);
	else if (reply_goes_on(tcp, th, payload))
		WRITE_ONCE(tcp->has_pending, 0);
	if (th->fin && tcp->accepted) {
		WRITE_ONCE(tcp->rs_fin, ntohl(th->seq) + payload + 1);
		WRITE_ONCE(tcp->rs_closed, true);
		accepted_once(pkt->flow);	/* which publishes both */
	}
	*off = tcp->off;
	/* the RS refuses the pending SYN: the client must recognise its number */
	if (th->rst && th->ack && tcp->has_pending &&
	    acks_syn(ntohl(th->ack_seq), tcp->pending_isn, &tcp->pending_off))
		*off = tcp->pending_off;
	spin_unlock_bh(&pkt->flow->lock);
	return !stale;
}

/* The first reply of a flow that another node has made. */
static void reply_resumes(struct fnat_flow *f, u32 ack, const u8 *opts, unsigned int opts_len)
{
	struct fnat_tcp *tcp = &f->tcp;
	u32 tsecr;

	spin_lock_bh(&f->lock);
	if (tcp->unknown & FNAT_TCP_NO_SEQ_END) {
		WRITE_ONCE(tcp->seq_end, ack);
		if (fnat_tcp_options_tsecr(opts, opts_len, &tsecr))
			WRITE_ONCE(tcp->tsval, tsecr);
		else
			WRITE_ONCE(tcp->has_tsval, false);
		WRITE_ONCE(tcp->unknown, tcp->unknown & ~FNAT_TCP_NO_SEQ_END);
	}
	spin_unlock_bh(&f->lock);
}

/*
 * How far the RS has come with this client, in its own numbers, for
 * fnat_clock_flow_ends(). Its word is believed; the client's own numbers might
 * be invented to push the clocks that all clients share.
 */
static void reply_advances(struct fnat_flow *f, const struct tcphdr *th, const u8 *opts,
			   unsigned int opts_len)
{
	u32 ack = ntohl(th->ack_seq), tsecr;
	struct fnat_tcp *tcp = &f->tcp;

	/* what comes before the SYN-ACK is about a former connection of the port */
	if (!th->ack || th->rst || !READ_ONCE(tcp->has_rs_isn))
		return;
	if (unlikely(READ_ONCE(tcp->unknown) & FNAT_TCP_NO_SEQ_END))
		reply_resumes(f, ack, opts, opts_len);
	if ((s32)(ack - READ_ONCE(tcp->seq_end)) > 0)
		WRITE_ONCE(tcp->seq_end, ack);
	if (READ_ONCE(tcp->has_tsval) && fnat_tcp_options_tsecr(opts, opts_len, &tsecr) &&
	    (s32)(tsecr - READ_ONCE(tcp->tsval)) > 0)
		WRITE_ONCE(tcp->tsval, tsecr);
}

static void reply_synack_options(struct fnat_pkt *pkt, u8 *opts, unsigned int opts_len)
{
	unsigned int by = fnat_toa_len(pkt->flow);
	unsigned int floor = fnat_is_v6(pkt->flow->af) ? 1220 : 536;

	if (by && fnat_tcp_options_lower_mss(opts, opts_len, by, floor))
		fnat_stat_inc(pkt->fn, mss_lowered);
	WRITE_ONCE(pkt->flow->tcp.rs_window_scale, fnat_tcp_options_window_scale(opts, opts_len));
}

/* As request_rewrite_usual(). */
static bool reply_rewrite_usual(struct fnat_pkt *pkt, struct tcphdr *th, unsigned int opts_len,
				const struct fnat_tcp_offsets *off)
{
	__be32 *ts;
	__wsum diff;

	if (th->syn || !th->ack || !fnat_tcp_options_usual((u8 *)(th + 1), opts_len, &ts))
		return false;
	fnat_rewrite_addrs(pkt);
	diff = csum_add(fnat_csum_addrs_diff(pkt), add_to(&th->ack_seq, -off->seq));
	if (ts && off->ts)
		diff = csum_add(diff, add_to(ts + 1, -off->ts));
	fnat_csum_fix(pkt, diff);
	return true;
}

int fnat_tcp_reply(struct fnat_pkt *pkt)
{
	struct tcphdr buf, *th;
	const struct tcphdr *h = tcp_header(pkt, &buf);
	unsigned int hdr_len = h ? tcp_header_len(pkt, h) : 0;
	unsigned int opts_len = hdr_len - sizeof(*th);
	struct fnat_tcp_offsets off;
	struct fnat_csum csum;
	int err;

	if (!hdr_len)
		return FNAT_DROP(drop_malformed);
	err = fnat_prepare(pkt, hdr_len, 0);
	if (err)
		return err;
	th = tcp_hdr(pkt->skb);
	if (th->doff * 4 != hdr_len)
		return FNAT_DROP(drop_malformed);
	if (!reply_offsets(pkt, th, pkt->skb->len - pkt->thoff - hdr_len, &off))
		return FNAT_DROP(drop_stale_reply);
	reply_advances(pkt->flow, th, (u8 *)(th + 1), opts_len);
	if (likely(reply_rewrite_usual(pkt, th, opts_len, &off)))
		return 0;

	fnat_csum_begin(pkt, hdr_len, &csum);
	fnat_rewrite_addrs(pkt);
	if (th->ack)
		th->ack_seq = htonl(ntohl(th->ack_seq) - off.seq);
	fnat_tcp_options_sub_reply((u8 *)(th + 1), opts_len, &off, th->ack);
	if (th->syn && th->ack)
		reply_synack_options(pkt, (u8 *)(th + 1), opts_len);
	fnat_csum_end(pkt, hdr_len, &csum);
	return 0;
}
