/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints (/sys/kernel/tracing/events/ip_vs_fullnat/): which client is behind a LIP and
 * port, from when to when. Under the lock of the port map, BH off; twice for a connection.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM ip_vs_fullnat

#if !defined(FNAT_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define FNAT_TRACE_H

#include <linux/in.h>
#include <linux/in6.h>
#include <linux/string.h>
#include <linux/tracepoint.h>
#include <net/net_namespace.h>

#include "flow.h"
#include "seam.h"

#ifndef FNAT_TRACE_ADDR
#define FNAT_TRACE_ADDR
/* As %pISpc prints it. */
static inline void fnat_trace_addr(void *to, u8 af, const union nf_inet_addr *addr, __be16 port)
{
	struct sockaddr_in6 *v6 = to;
	struct sockaddr_in *v4 = to;

	memset(to, 0, sizeof(*v6));
	v4->sin_family = af;		/* both have the port at the same place */
	v4->sin_port = port;
	if (af == AF_INET6)
		v6->sin6_addr = addr->in6;
	else
		v4->sin_addr.s_addr = addr->ip;
}
#endif

DECLARE_EVENT_CLASS(fullnat_conn,
		    TP_PROTO(const struct fnat_flow *f),
		    TP_ARGS(f),
		    TP_STRUCT__entry(__field(u32, netns)
				     __field(u8, protocol)
				     __array(u8, client, sizeof(struct sockaddr_in6))
				     __array(u8, vip, sizeof(struct sockaddr_in6))
				     __array(u8, lip, sizeof(struct sockaddr_in6))
				     __array(u8, rs, sizeof(struct sockaddr_in6))
		    ),
		    TP_fast_assign(__entry->netns = fnat_seam_net(f->cp)->ns.inum;
				   __entry->protocol = f->protocol;
				   fnat_trace_addr(__entry->client, f->af, &f->caddr, f->cport);
				   fnat_trace_addr(__entry->vip, f->af, &f->vaddr, f->vport);
				   fnat_trace_addr(__entry->lip, f->af, &f->laddr, f->lport);
				   fnat_trace_addr(__entry->rs, f->af, &f->daddr, f->dport);
		    ),
		    TP_printk("netns=%u protocol=%u client=%pISpc vip=%pISpc lip=%pISpc rs=%pISpc",
			      __entry->netns, __entry->protocol, __entry->client, __entry->vip,
			      __entry->lip, __entry->rs)
);

/* It has got its port, by a packet or by a record of another node. */
DEFINE_EVENT(fullnat_conn, fullnat_conn_begin,
	     TP_PROTO(const struct fnat_flow *f),
	     TP_ARGS(f)
);

/* It has its port no longer: the next one with the same LIP and port may be another client's. */
DEFINE_EVENT(fullnat_conn, fullnat_conn_end,
	     TP_PROTO(const struct fnat_flow *f),
	     TP_ARGS(f)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
