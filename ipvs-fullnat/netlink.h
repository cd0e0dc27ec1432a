/* SPDX-License-Identifier: GPL-2.0 */
/* The generic-netlink family: netlink.c, and netlink_conn.c for connections. */
#ifndef FNAT_NETLINK_H
#define FNAT_NETLINK_H

#include <linux/netfilter.h>
#include <linux/netlink.h>
#include <net/genetlink.h>
#include <uapi/linux/ip_vs_fullnat.h>

#include "service.h"

int fnat_netlink_init(void);
void fnat_netlink_exit(void);

/* What both files use. */
unsigned int fnat_nl_addr_len(u16 af);
int fnat_nl_parse_family(const struct nlattr *nla, struct netlink_ext_ack *extack, u16 *af);
int fnat_nl_parse_addr(const struct nlattr *nla, u16 af, struct netlink_ext_ack *extack,
		       union nf_inet_addr *addr);
int fnat_nl_parse_svc_key(struct nlattr *nla, struct netlink_ext_ack *extack,
			  struct fnat_svc_key *key);
void *fnat_nl_reply_header(struct sk_buff *msg, struct genl_info *info, u8 cmd);
void *fnat_nl_dump_header(struct sk_buff *msg, struct netlink_callback *cb, u8 cmd);

/* netlink_conn.c */
extern const struct nla_policy fnat_conn_policy[FULLNAT_CONN_A_MAX + 1];
int fnat_nl_dump_conns(struct sk_buff *msg, struct netlink_callback *cb);
int fnat_nl_del_conns(struct sk_buff *skb, struct genl_info *info);

#endif
