/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between kernels, by the features that Kbuild probed (probes/). The
 * sources themselves have no such condition.
 */
#ifndef TOA_COMPAT_H
#define TOA_COMPAT_H

#include <linux/ftrace.h>
#include <linux/sysctl.h>
#include <net/inet6_hashtables.h>
#include <net/inet_hashtables.h>
#include <net/net_namespace.h>

#ifdef TOA_HAVE_FTRACE_ARGS
#define TOA_FTRACE_SAVE 0
#define toa_ftrace_argument(fregs, n) ftrace_regs_get_argument(fregs, n)
#else
#define TOA_FTRACE_SAVE FTRACE_OPS_FL_SAVE_REGS
#define toa_ftrace_argument(fregs, n) regs_get_kernel_argument(ftrace_get_regs(fregs), n)
#endif

#ifdef TOA_HAVE_CONST_CTL_TABLE
#define TOA_CTL_CONST const
#else
#define TOA_CTL_CONST
#endif

/* What kernel_bind() and kernel_connect() take */
#ifdef TOA_HAVE_SOCKADDR_UNSIZED
#define TOA_SOCKADDR struct sockaddr_unsized
#else
#define TOA_SOCKADDR struct sockaddr
#endif

/* Registers the @n rows of @table; without TOA_HAVE_NET_SYSCTL_SZ one empty row follows them. */
static inline struct ctl_table_header *toa_register_net_sysctl(struct net *net, const char *path,
							       struct ctl_table *table, size_t n)
{
#ifdef TOA_HAVE_NET_SYSCTL_SZ
	return register_net_sysctl_sz(net, path, table, n);
#else
	return register_net_sysctl(net, path, table);
#endif
}

/*
 * The socket of an established connection, with a reference, or NULL. "s" is the
 * peer, as the kernel's own functions have it. In an RCU read-side section.
 */
static inline struct sock *toa_lookup_established(struct net *net, __be32 saddr, __be16 sport,
						  __be32 daddr, u16 hnum, int dif)
{
#ifdef TOA_HAVE_LOOKUP_OF_NET
	return __inet_lookup_established(net, saddr, sport, daddr, hnum, dif, 0);
#else
	return __inet_lookup_established(net, net->ipv4.tcp_death_row.hashinfo, saddr, sport,
					 daddr, hnum, dif, 0);
#endif
}

#if IS_ENABLED(CONFIG_IPV6)
static inline struct sock *toa_lookup_established6(struct net *net, const struct in6_addr *saddr,
						   __be16 sport, const struct in6_addr *daddr,
						   u16 hnum, int dif)
{
#ifdef TOA_HAVE_LOOKUP_OF_NET
	return __inet6_lookup_established(net, saddr, sport, daddr, hnum, dif, 0);
#else
	return __inet6_lookup_established(net, net->ipv4.tcp_death_row.hashinfo, saddr, sport,
					  daddr, hnum, dif, 0);
#endif
}
#endif

#endif /* TOA_COMPAT_H */
