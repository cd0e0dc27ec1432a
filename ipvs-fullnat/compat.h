/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between the kernels that we build for. Each FNAT_HAVE_* comes
 * from a compile probe in Kbuild (probes/), since stable updates change interfaces too.
 */
#ifndef FNAT_COMPAT_H
#define FNAT_COMPAT_H

#include <crypto/blake2s.h>
#include <linux/skbuff.h>
#include <linux/sysctl.h>
#include <linux/workqueue.h>
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

#ifdef FNAT_HAVE_PERCPU_WQ
#define fnat_percpu_wq system_percpu_wq
#define fnat_unbound_wq system_dfl_wq
#else
#define fnat_percpu_wq system_wq
#define fnat_unbound_wq system_unbound_wq
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

/* Without a key. Any context. */
static inline void fnat_blake2s(u8 *out, size_t outlen, const u8 *in, size_t inlen)
{
#ifdef FNAT_HAVE_BLAKE2S_CTX
	blake2s(NULL, 0, in, inlen, out, outlen);
#else
	blake2s(out, in, NULL, outlen, inlen, 0);
#endif
}

#endif
