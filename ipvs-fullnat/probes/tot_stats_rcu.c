// SPDX-License-Identifier: GPL-2.0
/* 6.2: the statistics of a namespace are freed by RCU. */
#include <net/ip_vs.h>

struct ip_vs_cpu_stats __percpu *probe(struct netns_ipvs *ipvs);
struct ip_vs_cpu_stats __percpu *probe(struct netns_ipvs *ipvs)
{
	return ipvs->tot_stats->s.cpustats;
}
