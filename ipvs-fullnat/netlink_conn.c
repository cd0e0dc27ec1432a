// SPDX-License-Identifier: GPL-2.0
/*
 * The family's commands about connections: FULLNAT_CMD_GET_CONN and _DEL_CONN,
 * see include/uapi/linux/ip_vs_fullnat.h. Process context, under RCU; packets
 * make and end connections meanwhile.
 */
#include <linux/in.h>
#include <linux/sched.h>
#include <net/genetlink.h>
#include <net/sock.h>
#include <uapi/linux/ip_vs_fullnat.h>

#include "compat.h"
#include "flow.h"
#include "net.h"
#include "netlink.h"
#include "reset.h"
#include "seam.h"

/* Buckets that are looked at before others may run. */
#define FNAT_CONN_BATCH	1024

/* What a connection must have; a zero field says nothing. */
struct conn_filter {
	const struct net *net;
	bool has_svc;
	struct fnat_svc_key svc;
	u16 af;
	u16 protocol;
	bool has_client, has_laddr, has_rs;
	union nf_inet_addr client, laddr, rs;
	__be16 client_port, laddr_port, rs_port;
};

#define FNAT_ADDR_POLICY { .type = NLA_BINARY, .len = sizeof(struct in6_addr) }

const struct nla_policy fnat_conn_policy[FULLNAT_CONN_A_MAX + 1] = {
	[FULLNAT_CONN_A_FAMILY] = { .type = NLA_U16 },
	[FULLNAT_CONN_A_PROTOCOL] = { .type = NLA_U16 },
	[FULLNAT_CONN_A_CLIENT_ADDR] = FNAT_ADDR_POLICY,
	[FULLNAT_CONN_A_CLIENT_PORT] = { .type = NLA_U16 },
	[FULLNAT_CONN_A_LADDR_ADDR] = FNAT_ADDR_POLICY,
	[FULLNAT_CONN_A_LADDR_PORT] = { .type = NLA_U16 },
	[FULLNAT_CONN_A_RS_ADDR] = FNAT_ADDR_POLICY,
	[FULLNAT_CONN_A_RS_PORT] = { .type = NLA_U16 },
};

/* An address, and with it a port; neither is fine, too. */
static int parse_end(struct nlattr **tb, int addr_attr, int port_attr, u16 af,
		     struct netlink_ext_ack *extack, bool *has, union nf_inet_addr *addr,
		     __be16 *port)
{
	const struct nlattr *nla = tb[addr_attr], *nla_port = tb[port_attr];

	if (!nla && nla_port) {
		NL_SET_ERR_MSG_ATTR(extack, nla_port, "the port has no address with it");
		return -EINVAL;
	}
	if (nla_port) {
		*port = nla_get_be16(nla_port);
		if (!*port) {
			NL_SET_ERR_MSG_ATTR(extack, nla_port, "the port cannot be 0");
			return -EINVAL;
		}
	}
	if (!nla)
		return 0;
	*has = true;
	return fnat_nl_parse_addr(nla, af, extack, addr);
}

static int parse_conn(const struct nlattr *nla, struct netlink_ext_ack *extack,
		      struct conn_filter *cf)
{
	struct nlattr *tb[FULLNAT_CONN_A_MAX + 1];
	int err = nla_parse_nested(tb, FULLNAT_CONN_A_MAX, nla, fnat_conn_policy, extack);

	if (!err)
		err = fnat_nl_parse_family(tb[FULLNAT_CONN_A_FAMILY], extack, &cf->af);
	if (err)
		return err;
	if (tb[FULLNAT_CONN_A_PROTOCOL]) {
		cf->protocol = nla_get_u16(tb[FULLNAT_CONN_A_PROTOCOL]);
		if (cf->protocol != IPPROTO_TCP && cf->protocol != IPPROTO_UDP) {
			NL_SET_ERR_MSG_ATTR(extack, tb[FULLNAT_CONN_A_PROTOCOL],
					    "FULLNAT connections are of TCP or UDP");
			return -EINVAL;
		}
	}
	err = parse_end(tb, FULLNAT_CONN_A_CLIENT_ADDR, FULLNAT_CONN_A_CLIENT_PORT, cf->af,
			extack, &cf->has_client, &cf->client, &cf->client_port);
	if (!err)
		err = parse_end(tb, FULLNAT_CONN_A_LADDR_ADDR, FULLNAT_CONN_A_LADDR_PORT, cf->af,
				extack, &cf->has_laddr, &cf->laddr, &cf->laddr_port);
	if (!err)
		err = parse_end(tb, FULLNAT_CONN_A_RS_ADDR, FULLNAT_CONN_A_RS_PORT, cf->af,
				extack, &cf->has_rs, &cf->rs, &cf->rs_port);
	return err;
}

static int parse_filter(struct nlattr **attrs, struct netlink_ext_ack *extack,
			struct conn_filter *cf)
{
	int err;

	if (attrs[FULLNAT_A_SERVICE]) {
		err = fnat_nl_parse_svc_key(attrs[FULLNAT_A_SERVICE], extack, &cf->svc);
		if (err)
			return err;
		cf->has_svc = true;
	}
	if (!attrs[FULLNAT_A_CONN])
		return 0;
	err = parse_conn(attrs[FULLNAT_A_CONN], extack, cf);
	if (!err && cf->has_svc && cf->svc.af != cf->af) {
		NL_SET_ERR_MSG_ATTR(extack, attrs[FULLNAT_A_CONN],
				    "the service and the connection are not of one family");
		err = -EINVAL;
	}
	return err;
}

/* A connection whose destination is gone has only its own VIP and port. */
static bool is_of_service(const struct fnat_flow *f, const struct fnat_svc_key *svc)
{
	struct fnat_svc_key key;

	if (svc->prefix_len)
		return fnat_prefix_has(svc, f->af, &f->vaddr);
	if (fnat_seam_svc_key(f->cp, &key))
		return !memcmp(&key, svc, sizeof(key));
	return !svc->fwmark && svc->af == f->af && svc->protocol == f->protocol &&
	       nf_inet_addr_cmp(&svc->addr, &f->vaddr) &&
	       (!svc->port || svc->port == f->vport);
}

static bool end_is(bool has, const union nf_inet_addr *want, __be16 want_port,
		   const union nf_inet_addr *addr, __be16 port)
{
	return !has || (nf_inet_addr_cmp(want, addr) && (!want_port || want_port == port));
}

static bool conn_matches(const struct fnat_flow *f, const struct conn_filter *cf)
{
	if (READ_ONCE(f->port_state) == FNAT_PORT_NONE || fnat_flow_is_ended(f))
		return false;
	return (!cf->af || cf->af == f->af) &&
	       (!cf->protocol || cf->protocol == f->protocol) &&
	       end_is(cf->has_client, &cf->client, cf->client_port, &f->caddr, f->cport) &&
	       end_is(cf->has_laddr, &cf->laddr, cf->laddr_port, &f->laddr, f->lport) &&
	       end_is(cf->has_rs, &cf->rs, cf->rs_port, &f->daddr, f->dport) &&
	       (!cf->has_svc || is_of_service(f, &cf->svc));
}

static int put_end(struct sk_buff *msg, int addr_attr, int port_attr, u8 af,
		   const union nf_inet_addr *addr, __be16 port)
{
	return nla_put(msg, addr_attr, fnat_nl_addr_len(af), addr) ? :
	       nla_put_be16(msg, port_attr, port);
}

static u32 conn_flags(const struct fnat_flow *f)
{
	switch (READ_ONCE(f->port_state)) {
	case FNAT_PORT_HALF_OPEN:
		return FULLNAT_CONN_F_HALF_OPEN;
	case FNAT_PORT_CLOSED:
		return FULLNAT_CONN_F_CLOSED;
	}
	return 0;
}

static int put_conn(struct sk_buff *msg, const struct fnat_flow *f)
{
	struct nlattr *nest = nla_nest_start(msg, FULLNAT_A_CONN);
	unsigned int expires;
	const char *state = fnat_seam_state(f->cp, &expires);

	if (!nest || nla_put_u16(msg, FULLNAT_CONN_A_FAMILY, f->af) ||
	    nla_put_u16(msg, FULLNAT_CONN_A_PROTOCOL, f->protocol) ||
	    put_end(msg, FULLNAT_CONN_A_CLIENT_ADDR, FULLNAT_CONN_A_CLIENT_PORT, f->af,
		    &f->caddr, f->cport) ||
	    put_end(msg, FULLNAT_CONN_A_VIP_ADDR, FULLNAT_CONN_A_VIP_PORT, f->af,
		    &f->vaddr, f->vport) ||
	    put_end(msg, FULLNAT_CONN_A_LADDR_ADDR, FULLNAT_CONN_A_LADDR_PORT, f->af,
		    &f->laddr, f->lport) ||
	    put_end(msg, FULLNAT_CONN_A_RS_ADDR, FULLNAT_CONN_A_RS_PORT, f->af,
		    &f->daddr, f->dport) ||
	    nla_put_string(msg, FULLNAT_CONN_A_STATE, state) ||
	    nla_put_u32(msg, FULLNAT_CONN_A_EXPIRES, expires) ||
	    nla_put_u32(msg, FULLNAT_CONN_A_FLAGS, conn_flags(f)))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

/* What a dump knows from one message to the next, in netlink_callback.args. */
enum {
	DUMP_BUCKET,
	DUMP_SKIP,	/* connections of this bucket that are out already */
};

struct conn_dump {
	struct sk_buff *msg;
	struct netlink_callback *cb;
	struct conn_filter cf;
	long pos;		/* connections of the bucket at hand so far */
};

static int dump_one_conn(struct fnat_flow *f, void *arg)
{
	struct conn_dump *d = arg;
	void *hdr;

	if (!conn_matches(f, &d->cf) || d->pos++ < d->cb->args[DUMP_SKIP])
		return 0;
	hdr = fnat_nl_dump_header(d->msg, d->cb, FULLNAT_CMD_GET_CONN);
	if (!hdr)
		return -EMSGSIZE;
	if (put_conn(d->msg, f)) {
		genlmsg_cancel(d->msg, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(d->msg, hdr);
	return 0;
}

/*
 * A bucket goes into one message, or none of it: what comes and goes in it between two
 * messages would shift the rest. Only one that is larger than a message is cut.
 */
static int dump_bucket(struct conn_dump *d)
{
	unsigned int before = d->msg->len;
	int err;

	d->pos = 0;
	rcu_read_lock();
	err = fnat_flow_each(d->cb->args[DUMP_BUCKET], d->cf.net, FNAT_DIR_REPLY, dump_one_conn, d);
	rcu_read_unlock();
	if (!err) {
		d->cb->args[DUMP_SKIP] = 0;
		return 0;
	}
	if (before)
		skb_trim(d->msg, before);
	else
		d->cb->args[DUMP_SKIP] = d->pos - 1;
	return err;
}

int fnat_nl_dump_conns(struct sk_buff *msg, struct netlink_callback *cb)
{
	struct conn_dump d = {
		.msg = msg,
		.cb = cb,
		.cf = { .net = sock_net(cb->skb->sk) },
	};
	int err = parse_filter(fnat_dump_attrs(cb), cb->extack, &d.cf);

	if (err)
		return err;
	for (; cb->args[DUMP_BUCKET] < fnat_flow_buckets(); cb->args[DUMP_BUCKET]++) {
		if (dump_bucket(&d))
			break;
		if (cb->args[DUMP_BUCKET] % FNAT_CONN_BATCH == 0)
			cond_resched();
	}
	return msg->len;
}

struct conn_end {
	struct fnat_net *fn;
	struct conn_filter cf;
	u64 ended;
};

/*
 * Both ends are told at once, and once more if they send something: a TCP connection stays
 * for that, though any other may have its port if none is free. Under RCU, BH off.
 */
static void end_with_resets(struct fnat_net *fn, struct fnat_flow *f)
{
	enum fnat_port_state state = READ_ONCE(f->port_state);

	fnat_flow_end(f);
	if (state == FNAT_PORT_OPEN)
		fnat_reset_flow(fn, f);
	else if (state == FNAT_PORT_HALF_OPEN)
		fnat_reset_half_open(fn, f);
	fnat_port_set_state(f, FNAT_PORT_CLOSED);
	fnat_seam_expire_soon(f->cp);
}

/* Under RCU. */
static int end_one_conn(struct fnat_flow *f, void *arg)
{
	struct conn_end *e = arg;

	if (!conn_matches(f, &e->cf))
		return 0;
	local_bh_disable();
	if (f->protocol == IPPROTO_TCP && fnat_may_reset(e->fn, f)) {
		end_with_resets(e->fn, f);
	} else {	/* silently: the port is free at once */
		if (f->protocol == IPPROTO_UDP)
			fnat_flow_end(f);	/* no datagram begins it anew at this server */
		fnat_port_take_away(f);
		fnat_seam_expire_now(f->cp);
	}
	local_bh_enable();
	fnat_stat_inc(e->fn, conns_ended);
	e->ended++;
	return 0;
}

static void end_conns(struct conn_end *e)
{
	unsigned int i;

	for (i = 0; i < fnat_flow_buckets() && !fatal_signal_pending(current); i++) {
		rcu_read_lock();
		fnat_flow_each(i, e->cf.net, FNAT_DIR_REPLY, end_one_conn, e);
		rcu_read_unlock();
		cond_resched();
	}
}

int fnat_nl_del_conns(struct sk_buff *skb, struct genl_info *info)
{
	struct net *net = genl_info_net(info);
	struct conn_end e = { .fn = fnat_net(net), .cf = { .net = net } };
	struct sk_buff *msg;
	void *hdr;
	int err;

	if (!info->attrs[FULLNAT_A_SERVICE] && !info->attrs[FULLNAT_A_CONN]) {
		NL_SET_ERR_MSG(info->extack,
			       "which connections? Name a service, a client, a local address or a real server");
		return -EINVAL;
	}
	err = parse_filter(info->attrs, info->extack, &e.cf);
	if (err)
		return err;
	msg = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!msg)
		return -ENOMEM;
	hdr = fnat_nl_reply_header(msg, info, FULLNAT_CMD_DEL_CONN);
	end_conns(&e);
	if (!hdr || nla_put_u64_64bit(msg, FULLNAT_A_ENDED, e.ended, FULLNAT_A_PAD)) {
		nlmsg_free(msg);
		return -EMSGSIZE;
	}
	genlmsg_end(msg, hdr);
	return genlmsg_reply(msg, info);
}
