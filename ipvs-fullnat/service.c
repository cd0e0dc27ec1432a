// SPDX-License-Identifier: GPL-2.0
/*
 * The table of declared services. Changes in process context under
 * fnat_net.lock, lookups under RCU in any context.
 */
#include <linux/in.h>
#include <linux/jhash.h>
#include <linux/slab.h>
#include <uapi/linux/ip_vs_fullnat.h>

#include "hooks.h"
#include "laddr.h"
#include "net.h"
#include "service.h"
#include "toa_wire.h"

const struct fnat_svc_options fnat_svc_default_options = {
	.toa_v4 = TOA_KIND_DEFAULT_V4,
	.toa_v6 = TOA_KIND_DEFAULT_V6,
	.timestamps = FULLNAT_TIMESTAMPS_REWRITE,
};

static u32 svc_hash(const struct fnat_svc_key *key)
{
	BUILD_BUG_ON(sizeof(*key) % sizeof(u32));
	return jhash2((const u32 *)key, sizeof(*key) / sizeof(u32), 0) &
	       (FNAT_SVC_HASH_SIZE - 1);
}

struct fnat_service *fnat_service_get(const struct fnat_net *fn, const struct fnat_svc_key *key)
{
	struct fnat_service *svc;

	hlist_for_each_entry_rcu(svc, &fn->svc_hash[svc_hash(key)], hnode,
				 lockdep_is_held(&fn->lock))
		if (!memcmp(&svc->key, key, sizeof(*key)))
			return svc;
	return NULL;
}

/* The declaration that a packet's destination falls under, as ip_vs would find its service. */
struct fnat_service *fnat_service_match(const struct fnat_net *fn, u8 af, u16 protocol,
					const union nf_inet_addr *addr, __be16 port,
					u32 mark)
{
	struct fnat_service *svc;
	struct fnat_svc_key key;

	if (!READ_ONCE(fn->svc_count))
		return NULL;
	memset(&key, 0, sizeof(key));
	key.af = af;
	key.fwmark = mark;
	svc = mark ? fnat_service_get(fn, &key) : NULL;
	if (svc)
		return svc;
	key.fwmark = 0;
	key.protocol = protocol;
	key.port = port;
	if (af == AF_INET)
		key.addr.ip = addr->ip;
	else
		key.addr = *addr;
	svc = fnat_service_get(fn, &key);
	if (svc)
		return svc;
	key.port = 0;
	return fnat_service_get(fn, &key);
}

/* NULL: no memory. The caller holds fnat_net.lock and knows that the key is new. */
struct fnat_service *fnat_service_create(struct fnat_net *fn, const struct fnat_svc_key *key,
					 const struct fnat_svc_options *opt)
{
	struct fnat_service *svc;

	lockdep_assert_held(&fn->lock);
	if (fnat_hooks_need(fn))
		return NULL;
	svc = kzalloc(sizeof(*svc), GFP_KERNEL_ACCOUNT);
	if (!svc)
		return NULL;
	svc->key = *key;
	svc->opt = *opt;
	if (key->fwmark)
		WRITE_ONCE(fn->has_marks, true);
	else
		fnat_filter_add(&fn->filter, key->af, &key->addr, key->port);
	hlist_add_head_rcu(&svc->hnode, &fn->svc_hash[svc_hash(key)]);
	WRITE_ONCE(fn->svc_count, fn->svc_count + 1);
	return svc;
}

/* The data path reads each of them with READ_ONCE(). The caller holds fnat_net.lock. */
void fnat_service_set_options(struct fnat_service *svc, const struct fnat_svc_options *opt)
{
	WRITE_ONCE(svc->opt.toa_v4, opt->toa_v4);
	WRITE_ONCE(svc->opt.toa_v6, opt->toa_v6);
	WRITE_ONCE(svc->opt.timestamps, opt->timestamps);
	WRITE_ONCE(svc->opt.conn_timeout, opt->conn_timeout);
}

/* Takes the declaration out of the table, for service_free() after a grace period. */
static void service_unhash(struct fnat_net *fn, struct fnat_service *svc)
{
	lockdep_assert_held(&fn->lock);
	hlist_del_rcu(&svc->hnode);
	WRITE_ONCE(fn->svc_count, fn->svc_count - 1);
}

static void service_free(struct fnat_net *fn, struct fnat_service *svc)
{
	fnat_pool_free(fnat_pool_detach(fn, &svc->pool));
	kfree(svc);
}

/* The caller holds fnat_net.lock. Live connections go on as they are. */
void fnat_service_delete(struct fnat_net *fn, struct fnat_service *svc)
{
	service_unhash(fn, svc);
	synchronize_rcu();
	service_free(fn, svc);
}

/* All declarations and all pools. The caller holds fnat_net.lock. */
void fnat_service_flush(struct fnat_net *fn)
{
	struct fnat_pool *default_pool = fnat_pool_detach(fn, &fn->default_pool);
	struct hlist_head gone = HLIST_HEAD_INIT;
	struct fnat_service *svc;
	struct hlist_node *next;
	unsigned int i;

	for (i = 0; i < FNAT_SVC_HASH_SIZE; i++) {
		hlist_for_each_entry_safe(svc, next, &fn->svc_hash[i], hnode) {
			service_unhash(fn, svc);
			hlist_add_head(&svc->gone, &gone);
		}
	}
	synchronize_rcu();	/* one for all of them */
	fnat_pool_free(default_pool);
	hlist_for_each_entry_safe(svc, next, &gone, gone)
		service_free(fn, svc);
}
