/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Declarations: which virtual services are FULLNAT, with what options. They
 * are independent of whether ip_vs has the service at this moment.
 */
#ifndef FNAT_SERVICE_H
#define FNAT_SERVICE_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/netfilter.h>
#include <linux/rcupdate.h>

struct fnat_net;
struct fnat_pool;

/* Compared with memcmp(): clear it before filling it in. */
struct fnat_svc_key {
	union nf_inet_addr addr;	/* 0 with a fwmark */
	u32 fwmark;			/* 0 without */
	__be16 port;			/* 0 = all ports */
	u16 protocol;			/* 0 with a fwmark or a prefix */
	u16 af;
	u16 prefix_len;			/* of a default entry; 0: it is none */
};

struct fnat_svc_options {
	u8 toa_v4;			/* TOA_KIND_*, 0 = off */
	u8 toa_v6;
	u8 timestamps;			/* enum fullnat_timestamps */
	u32 conn_timeout;		/* seconds; 0: as ip_vs has it */
};

struct fnat_service {
	struct hlist_node hnode;	/* RCU; fnat_net.lock */
	struct fnat_svc_key key;
	struct fnat_svc_options opt;	/* fnat_net.lock; read one by one */
	struct fnat_pool __rcu *pool;	/* NULL: the default pool */
	atomic64_t conns;
	atomic64_t exhausted;
	atomic64_t no_laddr;
	bool declared;			/* by the control plane; fnat_net.lock */
	unsigned int doors;		/* by its scheduler: scheduler.c; fnat_net.lock */
	struct list_head prefix_list;	/* of a default entry; RCU; fnat_net.lock */
	struct hlist_node gone;		/* while it is being flushed */
};

extern const struct fnat_svc_options fnat_svc_default_options;

struct fnat_service *fnat_service_get(const struct fnat_net *fn, const struct fnat_svc_key *key);
struct fnat_service *fnat_service_match(const struct fnat_net *fn, u8 af, u16 protocol,
					const union nf_inet_addr *addr, __be16 port,
					u32 mark);
struct fnat_service *fnat_service_default(const struct fnat_net *fn, u8 af,
					  const union nf_inet_addr *addr);
struct fnat_pool *fnat_service_pool(const struct fnat_net *fn, const struct fnat_service *svc);
bool fnat_prefix_has(const struct fnat_svc_key *prefix, u8 af, const union nf_inet_addr *addr);
struct fnat_service *fnat_service_create(struct fnat_net *fn, const struct fnat_svc_key *key,
					 const struct fnat_svc_options *opt);
void fnat_service_set_options(struct fnat_service *svc, const struct fnat_svc_options *opt);
void fnat_service_delete(struct fnat_net *fn, struct fnat_service *svc);
void fnat_service_flush(struct fnat_net *fn);
int fnat_service_open(struct fnat_net *fn, const struct fnat_svc_key *key);
void fnat_service_close(struct fnat_net *fn, const struct fnat_svc_key *key);

#endif
