// SPDX-License-Identifier: GPL-2.0
/*
 * The table of declared services. Changes in process context under
 * fnat_net.lock, lookups under RCU in any context.
 */
#include <linux/in.h>
#include <linux/inetdevice.h>
#include <linux/jhash.h>
#include <linux/slab.h>
#include <net/ipv6.h>
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

/* Is the address in the prefix of a default entry? */
bool fnat_prefix_has(const struct fnat_svc_key *prefix, u8 af, const union nf_inet_addr *addr)
{
	if (prefix->af != af)
		return false;
	if (af == AF_INET)
		return !((prefix->addr.ip ^ addr->ip) & inet_make_mask(prefix->prefix_len));
	return ipv6_prefix_equal(&prefix->addr.in6, &addr->in6, prefix->prefix_len);
}

/*
 * The default entry for a service that ip_vs has and nobody has declared; NULL: none.
 * Once for each connection, under RCU. The longest prefixes stand first.
 */
struct fnat_service *fnat_service_default(const struct fnat_net *fn, u8 af,
					  const union nf_inet_addr *addr)
{
	struct fnat_service *svc;

	list_for_each_entry_rcu(svc, &fn->prefixes, prefix_list)
		if (fnat_prefix_has(&svc->key, af, addr))
			return svc;
	return NULL;
}

/* Where a service's connections get their addresses; NULL is an empty pool. Under RCU. */
struct fnat_pool *fnat_service_pool(const struct fnat_net *fn, const struct fnat_service *svc)
{
	struct fnat_pool *pool = svc ? rcu_dereference(svc->pool) : NULL;

	return pool && pool->count ? pool : rcu_dereference(fn->default_pool);
}

/* Before the first one that is shorter. */
static void prefix_insert(struct fnat_net *fn, struct fnat_service *new)
{
	struct list_head *at = &fn->prefixes;
	struct fnat_service *svc;

	list_for_each_entry(svc, &fn->prefixes, prefix_list) {
		if (svc->key.prefix_len < new->key.prefix_len)
			break;
		at = &svc->prefix_list;
	}
	list_add_rcu(&new->prefix_list, at);
	WRITE_ONCE(fn->prefix_count, fn->prefix_count + 1);
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
	if (key->fwmark || key->prefix_len)
		fnat_filter_open(&fn->filter);
	else
		fnat_filter_add(&fn->filter, key->af, &key->addr, key->port);
	hlist_add_head_rcu(&svc->hnode, &fn->svc_hash[svc_hash(key)]);
	if (key->prefix_len)
		prefix_insert(fn, svc);
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

/* Takes the service out of the table, for service_free() after a grace period. */
static void service_unhash(struct fnat_net *fn, struct fnat_service *svc)
{
	lockdep_assert_held(&fn->lock);
	hlist_del_rcu(&svc->hnode);
	if (svc->key.prefix_len) {
		list_del_rcu(&svc->prefix_list);
		WRITE_ONCE(fn->prefix_count, fn->prefix_count - 1);
	}
	WRITE_ONCE(fn->svc_count, fn->svc_count - 1);
}

static void service_free(struct fnat_net *fn, struct fnat_service *svc)
{
	fnat_pool_free(fnat_pool_detach(fn, &svc->pool));
	kfree(svc);
}

/* What is left of a declaration while the scheduler says that the service is FULLNAT. */
static struct fnat_pool *service_undeclare(struct fnat_net *fn, struct fnat_service *svc)
{
	svc->declared = false;
	fnat_service_set_options(svc, &fnat_svc_default_options);
	return fnat_pool_detach(fn, &svc->pool);
}

/*
 * Takes the declaration back. The caller holds fnat_net.lock. Live connections go on as
 * they are.
 */
void fnat_service_delete(struct fnat_net *fn, struct fnat_service *svc)
{
	struct fnat_pool *pool;

	if (svc->doors) {
		pool = service_undeclare(fn, svc);
		synchronize_rcu();
		fnat_pool_free(pool);
		return;
	}
	service_unhash(fn, svc);
	synchronize_rcu();
	service_free(fn, svc);
}

/* A service with the scheduler "fullnat". The caller holds fnat_net.lock. 0, -ENOMEM. */
int fnat_service_open(struct fnat_net *fn, const struct fnat_svc_key *key)
{
	struct fnat_service *svc = fnat_service_get(fn, key);

	if (!svc)
		svc = fnat_service_create(fn, key, &fnat_svc_default_options);
	if (!svc)
		return -ENOMEM;
	svc->doors++;
	return 0;
}

/* It has that scheduler no longer. The caller holds fnat_net.lock. */
void fnat_service_close(struct fnat_net *fn, const struct fnat_svc_key *key)
{
	struct fnat_service *svc = fnat_service_get(fn, key);

	if (WARN_ON(!svc || !svc->doors))
		return;
	svc->doors--;
	if (!svc->doors && !svc->declared)
		fnat_service_delete(fn, svc);
}

/*
 * All declarations and all pools. A service with the scheduler "fullnat" stays what it is,
 * with default options; not in a namespace that goes away. The caller holds fnat_net.lock.
 */
void fnat_service_flush(struct fnat_net *fn)
{
	struct fnat_pool *default_pool = fnat_pool_detach(fn, &fn->default_pool);
	struct hlist_head gone = HLIST_HEAD_INIT;
	struct fnat_service *svc;
	struct hlist_node *next;
	unsigned int i;

	for (i = 0; i < FNAT_SVC_HASH_SIZE; i++) {
		hlist_for_each_entry_safe(svc, next, &fn->svc_hash[i], hnode) {
			if (svc->doors && !fn->exiting) {
				fnat_service_delete(fn, svc);
				continue;
			}
			service_unhash(fn, svc);
			hlist_add_head(&svc->gone, &gone);
		}
	}
	synchronize_rcu();	/* one for all of them */
	fnat_pool_free(default_pool);
	hlist_for_each_entry_safe(svc, next, &gone, gone)
		service_free(fn, svc);
}
