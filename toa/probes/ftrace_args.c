// SPDX-License-Identifier: GPL-2.0
/* 6.2: the arguments of a traced function, without saving all registers. */
#include <linux/ftrace.h>

#ifndef CONFIG_DYNAMIC_FTRACE_WITH_ARGS
#error "not for this architecture"
#endif

unsigned long probe(struct ftrace_regs *fregs);
unsigned long probe(struct ftrace_regs *fregs)
{
	return ftrace_regs_get_argument(fregs, 0);
}
