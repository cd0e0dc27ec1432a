/* SPDX-License-Identifier: GPL-2.0 */
/* TCP of a flow: what changes besides addresses and ports. */
#ifndef FNAT_TCP_H
#define FNAT_TCP_H

#include <linux/tcp.h>

#include "xmit.h"

/* tcp.c; what returns int returns 0 or FNAT_DROP(). */
bool fnat_tcp_is_syn(const struct fnat_pkt *pkt);
bool fnat_tcp_is_plain(const struct fnat_pkt *pkt);
bool fnat_tcp_awaits_last_ack(const struct fnat_flow *f);
bool fnat_tcp_flow_syn(const struct fnat_pkt *pkt, struct fnat_flow *f);
void fnat_tcp_flow_offsets(struct fnat_pkt *pkt, struct fnat_flow *f);
int fnat_tcp_admit(const struct fnat_flow *f, const struct sk_buff *skb, unsigned int thoff);
int fnat_tcp_request(struct fnat_pkt *pkt);
int fnat_tcp_reply(struct fnat_pkt *pkt);

/* Does x lie in [from, from + size)? Sequence numbers, modulo 2^32. */
static inline bool fnat_tcp_seq_within(u32 x, u32 from, u32 size)
{
	return x - from < size;
}

/* Of what a host sends, what ip_vs does not misunderstand: see fnat_tcp_admit(). */
static inline bool fnat_tcp_is_usual(const struct tcphdr *th)
{
	__be32 flags = tcp_flag_word(th) & (TCP_FLAG_SYN | TCP_FLAG_RST | TCP_FLAG_ACK);

	return flags == TCP_FLAG_ACK || flags == TCP_FLAG_SYN;
}

/*
 * May a request make a socket at the RS? From the client's last ACK of the handshake until
 * the RS has proved that it accepted the connection any of them may (lost ACK,
 * TCP_DEFER_ACCEPT, SYN cookies). And again when the RS may have that socket no longer: then
 * the same ACK may make another one, by a SYN that we know nothing of, or by its SYN cookie.
 */
static inline bool fnat_tcp_toa_is_due(const struct fnat_flow *f)
{
	return READ_ONCE(f->tcp.accepted) != FNAT_TCP_ACCEPTED;
}

/* toa_insert.c */
unsigned int fnat_toa_len(const struct fnat_flow *f);
bool fnat_toa_is_due(const struct fnat_flow *f);
int fnat_toa_insert(struct fnat_pkt *pkt, bool with_toa);

/* The most by which fnat_toa_insert() can make a header grow: a TOA and its padding. */
#define FNAT_TOA_GROW_MAX	24

/*
 * tcp_options.c: changes in place, on "len" bytes of options; the caller takes
 * care of the checksum. An option with a bad length ends the walk.
 */
bool fnat_tcp_options_usual(u8 *opts, unsigned int len, __be32 **ts);
bool fnat_tcp_options_tsval(const u8 *opts, unsigned int len, u32 *tsval);
bool fnat_tcp_options_tsecr(const u8 *opts, unsigned int len, u32 *tsecr);
void fnat_tcp_options_add_tsval(u8 *opts, unsigned int len, u32 delta);
void fnat_tcp_options_sub_reply(u8 *opts, unsigned int len, const struct fnat_tcp_offsets *off,
				bool ack);
void fnat_tcp_options_neutralise_syn(u8 *opts, unsigned int len, bool strip_timestamps);
bool fnat_tcp_options_neutralise(u8 *opts, unsigned int len, bool toa);
u8 fnat_tcp_options_window_scale(const u8 *opts, unsigned int len);
bool fnat_tcp_options_lower_mss(u8 *opts, unsigned int len, unsigned int by,
				unsigned int floor);

#endif
