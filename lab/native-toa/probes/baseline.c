// SPDX-License-Identifier: GPL-2.0
/* Compiles wherever the module can: else a probe that fails would say nothing. */
#include <linux/sysctl.h>
#include <linux/tracepoint.h>
#include <net/lab_hooks.h>
#include <net/net_namespace.h>

#ifndef CONFIG_TRACEPOINTS
#error "needs CONFIG_TRACEPOINTS"
#endif
