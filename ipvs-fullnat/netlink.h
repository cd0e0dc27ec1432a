/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The generic-netlink family: netlink.c, netlink_conn.c for connections, and
 * netlink_parse.c, which both use.
 */
#ifndef FNAT_NETLINK_H
#define FNAT_NETLINK_H

#include <linux/netfilter.h>
#include <linux/netlink.h>
#include <net/genetlink.h>
#include <uapi/linux/ip_vs_fullnat.h>

#include "service.h"

struct fnat_laddr_spec;

int fnat_netlink_init(void);
void fnat_netlink_exit(void);

void *fnat_nl_reply_header(struct sk_buff *msg, struct genl_info *info, u8 cmd);
void *fnat_nl_dump_header(struct sk_buff *msg, struct netlink_callback *cb, u8 cmd);

/* netlink_parse.c */
extern const struct nla_policy fnat_svc_policy[FULLNAT_SVC_A_MAX + 1];
extern const struct nla_policy fnat_laddr_policy[FULLNAT_LADDR_A_MAX + 1];
extern const struct nla_policy fnat_opt_policy[FULLNAT_OPT_A_MAX + 1];
unsigned int fnat_nl_addr_len(u16 af);
int fnat_nl_parse_family(const struct nlattr *nla, struct netlink_ext_ack *extack, u16 *af);
int fnat_nl_parse_addr(const struct nlattr *nla, u16 af, struct netlink_ext_ack *extack,
		       union nf_inet_addr *addr);
int fnat_nl_parse_svc_key(struct nlattr *nla, struct netlink_ext_ack *extack,
			  struct fnat_svc_key *key);
int fnat_nl_parse_service(struct nlattr *nla, struct nlattr **tb, struct netlink_ext_ack *extack,
			  struct fnat_svc_key *key);
int fnat_nl_check_tcp_options(struct nlattr **tb, const struct fnat_svc_key *key,
			      struct netlink_ext_ack *extack);
int fnat_nl_parse_svc_options(struct nlattr **tb, struct netlink_ext_ack *extack,
			      struct fnat_svc_options *opt);
int fnat_nl_parse_laddr(const struct nlattr *nla, struct netlink_ext_ack *extack,
			struct fnat_laddr_spec *spec);

/* netlink_conn.c */
extern const struct nla_policy fnat_conn_policy[FULLNAT_CONN_A_MAX + 1];
int fnat_nl_dump_conns(struct sk_buff *msg, struct netlink_callback *cb);
int fnat_nl_del_conns(struct sk_buff *skb, struct genl_info *info);

#endif
