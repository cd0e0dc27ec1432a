// SPDX-License-Identifier: GPL-2.0
/*
 * The generic-netlink family IPVS_FULLNAT; its contract is
 * include/uapi/linux/ip_vs_fullnat.h. Process context; fnat_net.lock serialises.
 */
#include <linux/in.h>
#include <linux/module.h>
#include <net/genetlink.h>
#include <net/sock.h>
#include <uapi/linux/ip_vs_fullnat.h>

#include "clock.h"
#include "compat.h"
#include "laddr.h"
#include "net.h"
#include "netlink.h"
#include "route.h"
#include "service.h"

static struct genl_family fnat_family;

static const struct nla_policy fnat_policy[FULLNAT_A_MAX + 1] = {
	[FULLNAT_A_SERVICE] = NLA_POLICY_NESTED(fnat_svc_policy),
	[FULLNAT_A_LADDR] = NLA_POLICY_NESTED(fnat_laddr_policy),
	[FULLNAT_A_OPTIONS] = NLA_POLICY_NESTED(fnat_opt_policy),
	[FULLNAT_A_CONN] = NLA_POLICY_NESTED(fnat_conn_policy),
};

/* Under fnat_net.lock. */
static int set_service(struct fnat_net *fn, struct fnat_service *svc,
		       const struct fnat_svc_key *key, const struct fnat_svc_options *opt,
		       struct netlink_ext_ack *extack)
{
	if (!svc && key->prefix_len && fn->prefix_count >= FULLNAT_PREFIXES_MAX) {
		NL_SET_ERR_MSG(extack, "there are 64 default entries already: remove one first");
		return -ENOSPC;
	}
	if (svc)
		fnat_service_set_options(svc, opt);
	else
		svc = fnat_service_create(fn, key, opt);
	if (!svc)
		return -ENOMEM;
	svc->declared = true;
	return 0;
}

static int cmd_set_service(struct sk_buff *skb, struct genl_info *info)
{
	struct fnat_net *fn = fnat_net(genl_info_net(info));
	struct fnat_svc_options opt = fnat_svc_default_options;
	struct nlattr *tb[FULLNAT_SVC_A_MAX + 1];
	struct fnat_service *svc;
	struct fnat_svc_key key;
	int err;

	err = fnat_nl_parse_service(info->attrs[FULLNAT_A_SERVICE], tb, info->extack, &key);
	if (!err)
		err = fnat_nl_check_tcp_options(tb, &key, info->extack);
	if (err)
		return err;
	mutex_lock(&fn->lock);
	svc = fnat_service_get(fn, &key);
	if (svc)
		opt = svc->opt;
	err = fnat_nl_parse_svc_options(tb, info->extack, &opt);
	if (!err)
		err = set_service(fn, svc, &key, &opt, info->extack);
	fnat_net_changed(fn);
	mutex_unlock(&fn->lock);
	return err;
}

/* The declaration that a message names; NULL: none, and the user is told. */
static struct fnat_service *find_service(struct fnat_net *fn, struct nlattr *nla,
					 const struct fnat_svc_key *key,
					 struct netlink_ext_ack *extack)
{
	struct fnat_service *svc = fnat_service_get(fn, key);

	if (!svc)
		NL_SET_ERR_MSG_ATTR(extack, nla,
				    "the service is not declared FULLNAT: declare it with ipvsadm -A ... --fullnat");
	return svc;
}

static int cmd_del_service(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *nla = info->attrs[FULLNAT_A_SERVICE], *tb[FULLNAT_SVC_A_MAX + 1];
	struct fnat_net *fn = fnat_net(genl_info_net(info));
	struct fnat_service *svc;
	struct fnat_svc_key key;
	int err;

	err = fnat_nl_parse_service(nla, tb, info->extack, &key);
	if (err)
		return err;
	mutex_lock(&fn->lock);
	svc = find_service(fn, nla, &key, info->extack);
	if (svc && !svc->declared) {
		NL_SET_ERR_MSG_ATTR(info->extack, nla,
				    "the service is FULLNAT by its scheduler: give it another one with ipvsadm -E ... -s");
		svc = NULL;
	}
	if (svc)
		fnat_service_delete(fn, svc);
	fnat_net_changed(fn);
	mutex_unlock(&fn->lock);
	return svc ? 0 : -ENOENT;
}

static int cmd_flush(struct sk_buff *skb, struct genl_info *info)
{
	struct fnat_net *fn = fnat_net(genl_info_net(info));

	mutex_lock(&fn->lock);
	fnat_service_flush(fn);
	fnat_net_changed(fn);
	mutex_unlock(&fn->lock);
	return 0;
}

static void zero_service(struct fnat_service *svc)
{
	atomic64_set(&svc->conns, 0);
	atomic64_set(&svc->exhausted, 0);
	atomic64_set(&svc->no_laddr, 0);
}

/* Under fnat_net.lock. */
static void zero_all(struct fnat_net *fn)
{
	struct fnat_service *svc;
	struct fnat_laddr *laddr;
	unsigned int i;

	for (i = 0; i < FNAT_SVC_HASH_SIZE; i++)
		hlist_for_each_entry(svc, &fn->svc_hash[i], hnode)
			zero_service(svc);
	for (i = 0; i < FNAT_LADDR_HASH_SIZE; i++) {
		hlist_for_each_entry(laddr, &fn->laddr_hash[i], hnode) {
			atomic64_set(&laddr->conflicts, 0);
			atomic64_set(&laddr->takeovers, 0);
			atomic64_set(&laddr->exhausted, 0);
		}
		cond_resched();
	}
}

static int cmd_zero(struct sk_buff *skb, struct genl_info *info)
{
	struct fnat_net *fn = fnat_net(genl_info_net(info));
	struct nlattr *nla = info->attrs[FULLNAT_A_SERVICE];
	struct fnat_service *svc = NULL;
	struct fnat_svc_key key;
	int err = nla ? fnat_nl_parse_svc_key(nla, info->extack, &key) : 0;

	if (err)
		return err;
	mutex_lock(&fn->lock);
	if (nla)
		svc = find_service(fn, nla, &key, info->extack);
	if (svc)
		zero_service(svc);
	else if (!nla)
		zero_all(fn);
	mutex_unlock(&fn->lock);
	return nla && !svc ? -ENOENT : 0;
}

static int parse_secret(const struct nlattr *nla, struct netlink_ext_ack *extack,
			struct fnat_secret **secret)
{
	if (nla_len(nla) < FULLNAT_SECRET_MIN || nla_len(nla) > FULLNAT_SECRET_MAX) {
		NL_SET_ERR_MSG_ATTR(extack, nla, "a secret has 16 to 64 bytes");
		return -EINVAL;
	}
	*secret = fnat_secret_derive(nla_data(nla), nla_len(nla));
	return *secret ? 0 : -ENOMEM;
}

static int cmd_set_options(struct sk_buff *skb, struct genl_info *info)
{
	struct fnat_net *fn = fnat_net(genl_info_net(info));
	struct nlattr *nla = info->attrs[FULLNAT_A_OPTIONS], *tb[FULLNAT_OPT_A_MAX + 1];
	struct fnat_secret *secret;
	int err;

	if (!nla) {
		NL_SET_ERR_MSG(info->extack, "the options are missing");
		return -EINVAL;
	}
	err = nla_parse_nested(tb, FULLNAT_OPT_A_MAX, nla, fnat_opt_policy, info->extack);
	if (err || !tb[FULLNAT_OPT_A_SECRET])
		return err;
	err = parse_secret(tb[FULLNAT_OPT_A_SECRET], info->extack, &secret);
	if (err)
		return err;
	mutex_lock(&fn->lock);
	/* the same once more changes nothing for connections */
	if (rcu_dereference_protected(fn->secret, lockdep_is_held(&fn->lock))->id != secret->id)
		fnat_laddr_set_secret(fn, secret);
	else
		fnat_secret_put(secret);
	mutex_unlock(&fn->lock);
	return 0;
}

static int put_options(struct sk_buff *msg, const struct fnat_net *fn)
{
	struct nlattr *nest = nla_nest_start(msg, FULLNAT_A_OPTIONS);
	u32 id;

	rcu_read_lock();
	id = rcu_dereference(fn->secret)->id;
	rcu_read_unlock();
	if (!nest || (id && nla_put_u32(msg, FULLNAT_OPT_A_SECRET_ID, id)))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

static int cmd_get_options(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *msg = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	void *hdr;

	if (!msg)
		return -ENOMEM;
	hdr = genlmsg_put_reply(msg, info, &fnat_family, 0, FULLNAT_CMD_GET_OPTIONS);
	if (!hdr || put_options(msg, fnat_net(genl_info_net(info)))) {
		nlmsg_free(msg);
		return -EMSGSIZE;
	}
	genlmsg_end(msg, hdr);
	return genlmsg_reply(msg, info);
}

typedef int (*pool_change_fn)(struct fnat_net *fn, struct fnat_pool __rcu **poolp,
			      const struct fnat_laddr_spec *spec,
			      struct netlink_ext_ack *extack);

/* Adds to or removes from the pool that the message names. */
static int change_pool(struct genl_info *info, pool_change_fn change)
{
	struct nlattr *nla = info->attrs[FULLNAT_A_SERVICE], *tb[FULLNAT_SVC_A_MAX + 1];
	struct fnat_net *fn = fnat_net(genl_info_net(info));
	struct fnat_service *svc = NULL;
	struct fnat_laddr_spec spec;
	struct fnat_svc_key key;
	int err = 0;

	if (nla)
		err = fnat_nl_parse_service(nla, tb, info->extack, &key);
	if (!err)
		err = fnat_nl_parse_laddr(info->attrs[FULLNAT_A_LADDR], info->extack, &spec);
	/* a service by fwmark has a family, too: ip_vs keeps one for each */
	if (!err && nla && key.af != spec.af) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[FULLNAT_A_LADDR],
				    "the local address is not of the service's family");
		err = -EINVAL;
	}
	if (err)
		return err;

	mutex_lock(&fn->lock);
	if (nla)
		svc = find_service(fn, nla, &key, info->extack);
	if (nla && !svc)
		err = -ENOENT;
	else
		err = change(fn, svc ? &svc->pool : &fn->default_pool, &spec, info->extack);
	fnat_net_changed(fn);
	mutex_unlock(&fn->lock);
	return err;
}

static int cmd_add_laddr(struct sk_buff *skb, struct genl_info *info)
{
	return change_pool(info, fnat_pool_add);
}

static int cmd_del_laddr(struct sk_buff *skb, struct genl_info *info)
{
	return change_pool(info, fnat_pool_del);
}

static int put_svc_key(struct sk_buff *msg, const struct fnat_svc_key *key)
{
	if (nla_put_u16(msg, FULLNAT_SVC_A_FAMILY, key->af))
		return -EMSGSIZE;
	if (key->fwmark)
		return nla_put_u32(msg, FULLNAT_SVC_A_FWMARK, key->fwmark);
	if (key->prefix_len)
		return nla_put(msg, FULLNAT_SVC_A_ADDR, fnat_nl_addr_len(key->af), &key->addr) ? :
		       nla_put_u8(msg, FULLNAT_SVC_A_PREFIX_LEN, key->prefix_len);
	if (nla_put_u16(msg, FULLNAT_SVC_A_PROTOCOL, key->protocol) ||
	    nla_put(msg, FULLNAT_SVC_A_ADDR, fnat_nl_addr_len(key->af), &key->addr) ||
	    nla_put_be16(msg, FULLNAT_SVC_A_PORT, key->port))
		return -EMSGSIZE;
	return 0;
}

static int put_tcp_options(struct sk_buff *msg, const struct fnat_svc_options *opt)
{
	if (nla_put_u8(msg, FULLNAT_SVC_A_TOA_V4, opt->toa_v4) ||
	    nla_put_u8(msg, FULLNAT_SVC_A_TOA_V6, opt->toa_v6) ||
	    nla_put_u8(msg, FULLNAT_SVC_A_TIMESTAMPS, opt->timestamps))
		return -EMSGSIZE;
	return 0;
}

static int put_counter(struct sk_buff *msg, int attr, int pad, const atomic64_t *counter)
{
	return nla_put_u64_64bit(msg, attr, atomic64_read(counter), pad);
}

static int put_service(struct sk_buff *msg, struct fnat_net *fn, const struct fnat_service *svc)
{
	const struct fnat_pool *pool = rcu_dereference_protected(svc->pool,
								 lockdep_is_held(&fn->lock));
	struct nlattr *nest = nla_nest_start(msg, FULLNAT_A_SERVICE);

	if (!nest || put_svc_key(msg, &svc->key) ||
	    (svc->key.protocol != IPPROTO_UDP && put_tcp_options(msg, &svc->opt)) ||
	    nla_put_u32(msg, FULLNAT_SVC_A_CONN_TIMEOUT, svc->opt.conn_timeout) ||
	    nla_put_u32(msg, FULLNAT_SVC_A_LADDRS, pool ? pool->count : 0) ||
	    put_counter(msg, FULLNAT_SVC_A_CONNS, FULLNAT_SVC_A_PAD, &svc->conns) ||
	    put_counter(msg, FULLNAT_SVC_A_EXHAUSTED, FULLNAT_SVC_A_PAD, &svc->exhausted) ||
	    put_counter(msg, FULLNAT_SVC_A_NO_LADDR, FULLNAT_SVC_A_PAD, &svc->no_laddr) ||
	    nla_put_u8(msg, FULLNAT_SVC_A_ORIGIN,
		       (svc->declared ? FULLNAT_ORIGIN_DECLARED : 0) |
		       (svc->doors ? FULLNAT_ORIGIN_SCHEDULER : 0)))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

static int cmd_get_service(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *nla = info->attrs[FULLNAT_A_SERVICE], *tb[FULLNAT_SVC_A_MAX + 1];
	struct fnat_net *fn = fnat_net(genl_info_net(info));
	struct fnat_service *svc;
	struct fnat_svc_key key;
	struct sk_buff *msg;
	void *hdr;
	int err;

	err = fnat_nl_parse_service(nla, tb, info->extack, &key);
	if (err)
		return err;
	msg = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	if (!msg)
		return -ENOMEM;
	hdr = genlmsg_put_reply(msg, info, &fnat_family, 0, FULLNAT_CMD_GET_SERVICE);
	mutex_lock(&fn->lock);
	svc = find_service(fn, nla, &key, info->extack);
	err = !svc ? -ENOENT : !hdr ? -EMSGSIZE : put_service(msg, fn, svc);
	mutex_unlock(&fn->lock);
	if (err) {
		nlmsg_free(msg);
		return err;
	}
	genlmsg_end(msg, hdr);
	return genlmsg_reply(msg, info);
}

/* The begin of an answer to a command that is no dump. */
void *fnat_nl_reply_header(struct sk_buff *msg, struct genl_info *info, u8 cmd)
{
	return genlmsg_put_reply(msg, info, &fnat_family, 0, cmd);
}

void *fnat_nl_dump_header(struct sk_buff *msg, struct netlink_callback *cb, u8 cmd)
{
	void *hdr = genlmsg_put(msg, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &fnat_family,
				NLM_F_MULTI, cmd);

	if (hdr)
		genl_dump_check_consistent(cb, hdr);
	return hdr;
}

/* Calls put() for each declaration; the position is the count of those done. */
static int each_service(struct fnat_net *fn, int (*put)(struct fnat_service *svc, void *arg),
			void *arg)
{
	struct fnat_service *svc;
	unsigned int i;
	int err = 0;

	for (i = 0; i < FNAT_SVC_HASH_SIZE && !err; i++) {
		hlist_for_each_entry(svc, &fn->svc_hash[i], hnode) {
			err = put(svc, arg);
			if (err)
				break;
		}
	}
	return err;
}

struct dump_ctx {
	struct sk_buff *msg;
	struct netlink_callback *cb;
	struct fnat_net *fn;
	const struct fnat_svc_key *only;	/* NULL: all pools */
	long pos;				/* entries passed so far, shown or not */
};

/* Has an earlier message of this dump carried the entry? Counts it. */
static bool dump_skips(struct dump_ctx *ctx)
{
	return ctx->pos++ < ctx->cb->args[0];
}

static int dump_done_one(struct dump_ctx *ctx, void *hdr, int err)
{
	if (err) {
		if (hdr)
			genlmsg_cancel(ctx->msg, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(ctx->msg, hdr);
	ctx->cb->args[0] = ctx->pos;
	return 0;
}

static int dump_one_service(struct fnat_service *svc, void *arg)
{
	struct dump_ctx *ctx = arg;
	void *hdr;

	if (dump_skips(ctx))
		return 0;
	hdr = fnat_nl_dump_header(ctx->msg, ctx->cb, FULLNAT_CMD_GET_SERVICE);
	return dump_done_one(ctx, hdr, hdr ? put_service(ctx->msg, ctx->fn, svc) : -EMSGSIZE);
}

static int dump_services(struct sk_buff *msg, struct netlink_callback *cb)
{
	struct fnat_net *fn = fnat_net(sock_net(cb->skb->sk));
	struct dump_ctx ctx = { .msg = msg, .cb = cb, .fn = fn };

	mutex_lock(&fn->lock);
	cb->seq = fn->gen;
	each_service(fn, dump_one_service, &ctx);
	mutex_unlock(&fn->lock);
	return msg->len;
}

static int put_laddr(struct sk_buff *msg, const struct fnat_net *fn,
		     const struct fnat_laddr *laddr)
{
	struct nlattr *nest = nla_nest_start(msg, FULLNAT_A_LADDR);
	bool local;

	rcu_read_lock();
	local = fnat_route_addr_is_local(fn->net, laddr->af, &laddr->addr);
	rcu_read_unlock();
	if (!nest || nla_put_u16(msg, FULLNAT_LADDR_A_FAMILY, laddr->af) ||
	    nla_put(msg, FULLNAT_LADDR_A_ADDR, fnat_nl_addr_len(laddr->af), &laddr->addr) ||
	    nla_put_u16(msg, FULLNAT_LADDR_A_PORT_MIN, laddr->port_min) ||
	    nla_put_u16(msg, FULLNAT_LADDR_A_PORT_MAX, laddr->port_max) ||
	    nla_put_u8(msg, FULLNAT_LADDR_A_LOCAL, local) ||
	    nla_put_u32(msg, FULLNAT_LADDR_A_CONNS, atomic_read(&laddr->conns)) ||
	    put_counter(msg, FULLNAT_LADDR_A_CONFLICTS, FULLNAT_LADDR_A_PAD,
			&laddr->conflicts) ||
	    put_counter(msg, FULLNAT_LADDR_A_TAKEOVERS, FULLNAT_LADDR_A_PAD,
			&laddr->takeovers) ||
	    put_counter(msg, FULLNAT_LADDR_A_EXHAUSTED, FULLNAT_LADDR_A_PAD,
			&laddr->exhausted) ||
	    (!laddr->pools && nla_put_flag(msg, FULLNAT_LADDR_A_DRAINING)))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

static int dump_one_laddr(struct dump_ctx *ctx, const struct fnat_svc_key *key,
			  const struct fnat_laddr *laddr)
{
	struct nlattr *nest = NULL;
	void *hdr;
	int err;

	if (dump_skips(ctx))
		return 0;
	hdr = fnat_nl_dump_header(ctx->msg, ctx->cb, FULLNAT_CMD_GET_LADDR);
	err = hdr ? 0 : -EMSGSIZE;
	if (!err && key) {
		nest = nla_nest_start(ctx->msg, FULLNAT_A_SERVICE);
		err = nest ? put_svc_key(ctx->msg, key) : -EMSGSIZE;
		if (!err)
			nla_nest_end(ctx->msg, nest);
	}
	return dump_done_one(ctx, hdr, err ? : put_laddr(ctx->msg, ctx->fn, laddr));
}

static int dump_pool(struct dump_ctx *ctx, const struct fnat_svc_key *key,
		     struct fnat_pool __rcu **poolp)
{
	const struct fnat_pool *pool = rcu_dereference_protected(*poolp,
								 lockdep_is_held(&ctx->fn->lock));
	unsigned int i;
	int err = 0;

	for (i = 0; pool && i < pool->count && !err; i++)
		err = dump_one_laddr(ctx, key, pool->laddr[i]);
	return err;
}

static int dump_service_pool(struct fnat_service *svc, void *arg)
{
	struct dump_ctx *ctx = arg;

	if (ctx->only && memcmp(ctx->only, &svc->key, sizeof(svc->key)))
		return 0;
	return dump_pool(ctx, &svc->key, &svc->pool);
}

/*
 * Those that no pool has any more, as long as they have connections. One without keeps its
 * position, since connections come and go and no dump is told.
 */
static void dump_draining(struct dump_ctx *ctx)
{
	const struct fnat_laddr *laddr;
	unsigned int i;
	int err = 0;

	for (i = 0; i < FNAT_LADDR_HASH_SIZE && !err; i++) {
		hlist_for_each_entry(laddr, &ctx->fn->laddr_hash[i], hnode) {
			if (laddr->pools)
				continue;
			if (atomic_read(&laddr->conns))
				err = dump_one_laddr(ctx, NULL, laddr);
			else
				ctx->pos++;
			if (err)
				break;
		}
	}
}

static int dump_laddrs(struct sk_buff *msg, struct netlink_callback *cb)
{
	struct fnat_net *fn = fnat_net(sock_net(cb->skb->sk));
	struct dump_ctx ctx = { .msg = msg, .cb = cb, .fn = fn };
	struct nlattr *svc = fnat_dump_attrs(cb)[FULLNAT_A_SERVICE];
	struct nlattr *tb[FULLNAT_SVC_A_MAX + 1];
	struct fnat_svc_key key;
	int err;

	if (svc) {
		err = fnat_nl_parse_service(svc, tb, cb->extack, &key);
		if (err)
			return err;
		ctx.only = &key;
	}
	mutex_lock(&fn->lock);
	cb->seq = fn->gen;
	err = 0;
	if (ctx.only && !find_service(fn, svc, &key, cb->extack))
		err = -ENOENT;
	else if (!ctx.only)
		err = dump_pool(&ctx, NULL, &fn->default_pool);
	if (!err)
		err = each_service(fn, dump_service_pool, &ctx);
	if (!err && !ctx.only)
		dump_draining(&ctx);
	mutex_unlock(&fn->lock);
	return err == -ENOENT ? err : msg->len;
}

static const struct genl_ops fnat_ops[] = {
	{
		.cmd = FULLNAT_CMD_SET_SERVICE,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = cmd_set_service,
	}, {
		.cmd = FULLNAT_CMD_DEL_SERVICE,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = cmd_del_service,
	}, {
		.cmd = FULLNAT_CMD_GET_SERVICE,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = cmd_get_service,
		.dumpit = dump_services,
	}, {
		.cmd = FULLNAT_CMD_ADD_LADDR,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = cmd_add_laddr,
	}, {
		.cmd = FULLNAT_CMD_DEL_LADDR,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = cmd_del_laddr,
	}, {
		.cmd = FULLNAT_CMD_GET_LADDR,
		.flags = GENL_UNS_ADMIN_PERM,
		.dumpit = dump_laddrs,
	}, {
		.cmd = FULLNAT_CMD_FLUSH,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = cmd_flush,
	}, {
		.cmd = FULLNAT_CMD_ZERO,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = cmd_zero,
	}, {
		.cmd = FULLNAT_CMD_SET_OPTIONS,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = cmd_set_options,
	}, {
		.cmd = FULLNAT_CMD_GET_OPTIONS,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = cmd_get_options,
	}, {
		.cmd = FULLNAT_CMD_GET_CONN,
		.flags = GENL_UNS_ADMIN_PERM,
		.dumpit = fnat_nl_dump_conns,
	}, {
		.cmd = FULLNAT_CMD_DEL_CONN,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = fnat_nl_del_conns,
	},
};

/* not __ro_after_init: it may be registered later, see main.c */
static struct genl_family fnat_family = {
	.name = FULLNAT_GENL_NAME,
	.version = FULLNAT_GENL_VERSION,
	.maxattr = FULLNAT_A_MAX,
	.policy = fnat_policy,
	.netnsok = true,
	.parallel_ops = true,		/* fnat_net.lock orders changes */
	.module = THIS_MODULE,
	.ops = fnat_ops,
	.n_ops = ARRAY_SIZE(fnat_ops),
};

int fnat_netlink_init(void)
{
	return genl_register_family(&fnat_family);
}

void fnat_netlink_exit(void)
{
	genl_unregister_family(&fnat_family);
}
