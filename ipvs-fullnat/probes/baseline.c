// SPDX-License-Identifier: GPL-2.0
/* Compiles wherever the module can: else a probe that fails would say nothing. */
#include <linux/sysctl.h>
#include <net/genetlink.h>
#include <net/ip_vs.h>

#if !IS_ENABLED(CONFIG_IP_VS) || !IS_ENABLED(CONFIG_IP_VS_PROTO_TCP)
#error "needs a kernel with CONFIG_IP_VS and CONFIG_IP_VS_PROTO_TCP"
#endif
