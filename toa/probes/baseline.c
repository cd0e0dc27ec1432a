// SPDX-License-Identifier: GPL-2.0
/* Compiles wherever the module can: else a probe that fails would say nothing. */
#include <linux/ftrace.h>
#include <linux/kprobes.h>
#include <linux/sysctl.h>
#include <linux/tracepoint.h>
#include <net/net_namespace.h>

#if !defined(CONFIG_DYNAMIC_FTRACE) || !defined(CONFIG_KRETPROBES) || !defined(CONFIG_TRACEPOINTS)
#error "needs CONFIG_DYNAMIC_FTRACE, CONFIG_KRETPROBES and CONFIG_TRACEPOINTS"
#endif
/* Ftrace and tracepoints call with preemption off, where its spinlocks and allocations sleep. */
#ifdef CONFIG_PREEMPT_RT
#error "not for PREEMPT_RT"
#endif
#ifndef CONFIG_HAVE_FUNCTION_ARG_ACCESS_API
#error "needs an architecture with regs_get_kernel_argument()"
#endif
