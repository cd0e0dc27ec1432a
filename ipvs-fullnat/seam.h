/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The seam: all that this module knows of the inside of ip_vs is in seam.c.
 * What it offers to the other files is here.
 */
#ifndef FNAT_SEAM_H
#define FNAT_SEAM_H

#include <linux/netfilter.h>
#include <linux/skbuff.h>

#include "port.h"
#include "service.h"

struct fnat_flow;
struct fnat_net;
struct ip_vs_conn;
struct ip_vs_service;

int fnat_seam_init(void);
void fnat_seam_exit(void);
int fnat_seam_net_init(struct fnat_net *fn);
void fnat_seam_net_exit(struct fnat_net *fn);

/* The data path asks these; softirq or process context, under rcu_read_lock(). */
struct fnat_service *fnat_seam_service(const struct fnat_net *fn, const struct ip_vs_conn *cp);
void fnat_seam_service_key(const struct ip_vs_service *svc, struct fnat_svc_key *key);
bool fnat_seam_svc_key(const struct ip_vs_conn *cp, struct fnat_svc_key *key);
const char *fnat_seam_state(const struct ip_vs_conn *cp, unsigned int *expires);
bool fnat_seam_is_sloppy(const struct fnat_net *fn);
bool fnat_seam_has_conn(const struct fnat_net *fn, u8 af, const struct sk_buff *skb);
void fnat_seam_fill_flow(struct fnat_flow *f, struct ip_vs_conn *cp);
struct net *fnat_seam_net(const struct ip_vs_conn *cp);
bool fnat_seam_is_of(const struct ip_vs_conn *cp, const struct net *net);
struct fnat_flow *fnat_seam_flow(struct ip_vs_conn *cp);
bool fnat_seam_is_bound(const struct ip_vs_conn *cp);
void fnat_seam_lock(struct ip_vs_conn *cp);
void fnat_seam_unlock(struct ip_vs_conn *cp);
void fnat_seam_set_flow(struct ip_vs_conn *cp, struct fnat_flow *f);
void fnat_seam_expire(struct ip_vs_conn *cp);
bool fnat_seam_is_closed(const struct ip_vs_conn *cp);
bool fnat_seam_is_time_wait(const struct ip_vs_conn *cp);
void fnat_seam_undo_time_wait(struct ip_vs_conn *cp);
bool fnat_seam_is_expiring(const struct ip_vs_conn *cp);
void fnat_seam_expire_soon(struct ip_vs_conn *cp);
void fnat_seam_expire_now(struct ip_vs_conn *cp);
void fnat_seam_adjust_timeout(const struct fnat_net *fn, struct ip_vs_conn *cp,
			      enum fnat_port_state state, unsigned long idle_timeout);
bool fnat_seam_get(struct ip_vs_conn *cp);
void fnat_seam_put_rearm(struct ip_vs_conn *cp);
bool fnat_seam_state_is_steady(const struct ip_vs_conn *cp);
bool fnat_seam_dest_is_available(const struct ip_vs_conn *cp);
bool fnat_seam_is_past_first_sync(const struct ip_vs_conn *cp);
bool fnat_seam_count_requests(struct ip_vs_conn *cp, unsigned int count);
void fnat_seam_add_requests(struct ip_vs_conn *cp, unsigned int count);
void fnat_seam_count(struct ip_vs_conn *cp, bool request, unsigned int len);

/* sync.c asks these. */
struct fnat_record;

bool fnat_seam_is_backup(const struct fnat_net *fn);
bool fnat_seam_is_synced(const struct ip_vs_conn *cp);
bool fnat_seam_is_complete(const struct ip_vs_conn *cp);
void fnat_seam_untrack(struct ip_vs_conn *cp);
u32 fnat_seam_record_hash(const struct ip_vs_conn *cp);
void fnat_seam_get_record(const struct ip_vs_conn *cp, struct fnat_record *rec);
void fnat_seam_set_record(struct ip_vs_conn *cp, const struct fnat_record *rec);
void fnat_seam_put(struct ip_vs_conn *cp);
bool fnat_seam_misses_replies(const struct ip_vs_conn *cp);
void fnat_seam_set_state(struct ip_vs_conn *cp, enum fnat_dir dir, const struct sk_buff *skb,
			 unsigned int thoff);

#endif
