/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between kernels, by the features that Kbuild probed (probes/). The
 * sources themselves have no such condition.
 */
#ifndef TOA_COMPAT_H
#define TOA_COMPAT_H

#include <linux/ftrace.h>
#include <linux/sysctl.h>
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

#endif /* TOA_COMPAT_H */
