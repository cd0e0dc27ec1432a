/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between the kernels that we build for. Each FNAT_HAVE_* comes
 * from a compile probe in Kbuild (probes/), since stable updates change interfaces too.
 */
#ifndef FNAT_COMPAT_H
#define FNAT_COMPAT_H

#include <linux/skbuff.h>
#include <linux/sysctl.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>
#ifdef FNAT_HAVE_NET_GSO_H
#include <net/gso.h>		/* skb_gso_validate_network_len() */
#endif
#ifdef FNAT_HAVE_UNALIGNED_H
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

static inline struct ctl_table_header *
fnat_register_net_sysctl(struct net *net, const char *path, struct ctl_table *table, size_t count)
{
#ifdef FNAT_HAVE_NET_SYSCTL_SZ
	return register_net_sysctl_sz(net, path, table, count);
#else
	return register_net_sysctl(net, path, table);
#endif
}

/* The attributes of the request that a dump answers. */
static inline struct nlattr **fnat_dump_attrs(struct netlink_callback *cb)
{
#ifdef FNAT_HAVE_DUMPIT_INFO
	return genl_dumpit_info(cb)->info.attrs;
#else
	return genl_dumpit_info(cb)->attrs;
#endif
}

#endif
