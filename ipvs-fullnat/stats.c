// SPDX-License-Identifier: GPL-2.0
/*
 * /proc/net/ip_vs_fullnat_stats: "name value" lines, sums over all CPUs.
 * /proc/net/ip_vs_fullnat: the services and local addresses for people;
 * programs use netlink. Both for root only: they show who is behind the VIPs.
 */
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <uapi/linux/ip_vs_fullnat.h>

#include "flow.h"
#include "laddr.h"
#include "net.h"
#include "port.h"
#include "route.h"
#include "service.h"
#include "stats.h"

static const char *const stat_names[__FNAT_STAT_MAX] = {
	[FNAT_STAT_conns] = "conns",
	[FNAT_STAT_conns_with_toa] = "conns_with_toa",
	[FNAT_STAT_conns_without_toa] = "conns_without_toa",
	[FNAT_STAT_toa_packets] = "toa_packets",
	[FNAT_STAT_toa_split] = "toa_split",
	[FNAT_STAT_toa_gso] = "toa_gso",
	[FNAT_STAT_toa_dropped_options] = "toa_dropped_options",
	[FNAT_STAT_toa_forged] = "toa_forged",
	[FNAT_STAT_options_malformed] = "options_malformed",
	[FNAT_STAT_takeover_closed] = "takeover_closed",
	[FNAT_STAT_takeover_half_open] = "takeover_half_open",
	[FNAT_STAT_syn_pending] = "syn_pending",
	[FNAT_STAT_syn_committed] = "syn_committed",
	[FNAT_STAT_timestamps_removed] = "timestamps_removed",
	[FNAT_STAT_mss_lowered] = "mss_lowered",
	[FNAT_STAT_icmp_toobig_client] = "icmp_toobig_client",
	[FNAT_STAT_icmp_toobig_rs] = "icmp_toobig_rs",
	[FNAT_STAT_icmp_to_rs] = "icmp_to_rs",
	[FNAT_STAT_icmp_to_client] = "icmp_to_client",
	[FNAT_STAT_expire_rst] = "expire_rst",
	[FNAT_STAT_half_open_rst] = "half_open_rst",
	[FNAT_STAT_sync_accepted] = "sync_accepted",
	[FNAT_STAT_sync_taken_over] = "sync_taken_over",
	[FNAT_STAT_sync_replaced] = "sync_replaced",
	[FNAT_STAT_sync_refused_no_record] = "sync_refused_no_record",
	[FNAT_STAT_sync_refused_malformed] = "sync_refused_malformed",
	[FNAT_STAT_sync_refused_version] = "sync_refused_version",
	[FNAT_STAT_sync_refused_half_open] = "sync_refused_half_open",
	[FNAT_STAT_sync_refused_no_laddr] = "sync_refused_no_laddr",
	[FNAT_STAT_sync_refused_collision] = "sync_refused_collision",
	[FNAT_STAT_sync_refused_conflict] = "sync_refused_conflict",
	[FNAT_STAT_sync_refused_nomem] = "sync_refused_nomem",
	[FNAT_STAT_conns_ended] = "conns_ended",
	[FNAT_STAT_unknown_rst] = "unknown_rst",
	[FNAT_STAT_fast_request] = "fast_request",
	[FNAT_STAT_fast_reply] = "fast_reply",
	[FNAT_STAT_drop_exhausted] = "drop_exhausted",
	[FNAT_STAT_drop_no_laddr] = "drop_no_laddr",
	[FNAT_STAT_drop_no_conn] = "drop_no_conn",
	[FNAT_STAT_drop_no_flow] = "drop_no_flow",
	[FNAT_STAT_drop_stale_reply] = "drop_stale_reply",
	[FNAT_STAT_drop_false_rst] = "drop_false_rst",
	[FNAT_STAT_drop_port_lost] = "drop_port_lost",
	[FNAT_STAT_drop_sync_refused] = "drop_sync_refused",
	[FNAT_STAT_drop_duplicate_conn] = "drop_duplicate_conn",
	[FNAT_STAT_drop_ended] = "drop_ended",
	[FNAT_STAT_drop_flow_limit] = "drop_flow_limit",
	[FNAT_STAT_drop_one_packet] = "drop_one_packet",
	[FNAT_STAT_drop_nomem] = "drop_nomem",
	[FNAT_STAT_drop_malformed] = "drop_malformed",
	[FNAT_STAT_drop_no_route] = "drop_no_route",
	[FNAT_STAT_drop_ttl] = "drop_ttl",
	[FNAT_STAT_drop_toobig] = "drop_toobig",
	[FNAT_STAT_drop_lro] = "drop_lro",
	[FNAT_STAT_drop_unsupported] = "drop_unsupported",
	[FNAT_STAT_drop_csum] = "drop_csum",
	[FNAT_STAT_drop_bad_rs] = "drop_bad_rs",
};

static u64 stat_sum(const struct fnat_net *fn, enum fnat_stat stat)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(fn->stats, cpu)->value[stat]);
	return sum;
}

static int stats_show(struct seq_file *seq, void *v)
{
	const struct fnat_net *fn = fnat_net(seq_file_single_net(seq));
	unsigned int i;

	for (i = 0; i < __FNAT_STAT_MAX; i++)
		seq_printf(seq, "%s %llu\n", stat_names[i], stat_sum(fn, i));
	return 0;
}

static void show_addr(struct seq_file *seq, u8 af, const union nf_inet_addr *addr)
{
	if (af == AF_INET)
		seq_printf(seq, "%pI4", &addr->ip);
	else
		seq_printf(seq, "[%pI6c]", &addr->in6);
}

static void show_service(struct seq_file *seq, const struct fnat_service *svc)
{
	const struct fnat_pool *pool = rcu_dereference(svc->pool);

	seq_puts(seq, "service ");
	if (svc->key.prefix_len) {
		seq_puts(seq, "prefix ");
		show_addr(seq, svc->key.af, &svc->key.addr);
		seq_printf(seq, "/%u", svc->key.prefix_len);
	} else if (svc->key.fwmark) {
		/* a mark has a service in each family */
		seq_printf(seq, "fwmark %u%s", svc->key.fwmark,
			   svc->key.af == AF_INET6 ? " ipv6" : "");
	} else {
		seq_puts(seq, svc->key.protocol == IPPROTO_TCP ? "tcp " : "udp ");
		show_addr(seq, svc->key.af, &svc->key.addr);
		seq_printf(seq, ":%u", ntohs(svc->key.port));
	}
	seq_printf(seq, " toa_v4 %u toa_v6 %u timestamps %u laddrs %u conns %lld exhausted %lld no_laddr %lld conn_timeout %u origin %s\n",
		   svc->opt.toa_v4, svc->opt.toa_v6, svc->opt.timestamps,
		   pool ? pool->count : 0, (s64)atomic64_read(&svc->conns),
		   (s64)atomic64_read(&svc->exhausted), (s64)atomic64_read(&svc->no_laddr),
		   svc->opt.conn_timeout,
		   !svc->doors ? "declared" : svc->declared ? "both" : "scheduler");
}

static void show_laddr(struct seq_file *seq, const struct fnat_net *fn,
		       struct fnat_laddr *laddr)
{
	seq_puts(seq, "laddr ");
	show_addr(seq, laddr->af, &laddr->addr);
	seq_printf(seq, " ports %u-%u %s pools %u conns %u half_open %u conflicts %lld takeovers %lld exhausted %lld\n",
		   laddr->port_min, laddr->port_max,
		   fnat_route_addr_is_local(fn->net, laddr->af, &laddr->addr) ? "local" : "absent",
		   laddr->pools, atomic_read(&laddr->conns), fnat_port_half_open(laddr),
		   (s64)atomic64_read(&laddr->conflicts), (s64)atomic64_read(&laddr->takeovers),
		   (s64)atomic64_read(&laddr->exhausted));
}

/* Nodes of a cluster have the same one. */
static void show_secret(struct seq_file *seq, const struct fnat_net *fn)
{
	u32 id = rcu_dereference(fn->secret)->id;

	if (id)
		seq_printf(seq, "secret %08x\n", id);
	else
		seq_puts(seq, "secret random\n");
}

static int overview_show(struct seq_file *seq, void *v)
{
	const struct fnat_net *fn = fnat_net(seq_file_single_net(seq));
	const struct fnat_service *svc;
	struct fnat_laddr *laddr;
	unsigned int i;

	seq_printf(seq, "flows_all_namespaces %u\n", fnat_flow_count());
	rcu_read_lock();
	show_secret(seq, fn);
	for (i = 0; i < FNAT_SVC_HASH_SIZE; i++)
		hlist_for_each_entry_rcu(svc, &fn->svc_hash[i], hnode)
			show_service(seq, svc);
	for (i = 0; i < FNAT_LADDR_HASH_SIZE; i++)
		hlist_for_each_entry_rcu(laddr, &fn->laddr_hash[i], hnode)
			show_laddr(seq, fn, laddr);
	rcu_read_unlock();
	return 0;
}

int fnat_proc_net_init(struct fnat_net *fn)
{
	struct proc_dir_entry *dir = fn->net->proc_net;

	if (!proc_create_net_single("ip_vs_fullnat_stats", 0400, dir, stats_show, NULL))
		return -ENOMEM;
	if (!proc_create_net_single("ip_vs_fullnat", 0400, dir, overview_show, NULL)) {
		remove_proc_entry("ip_vs_fullnat_stats", dir);
		return -ENOMEM;
	}
	return 0;
}

void fnat_proc_net_exit(struct fnat_net *fn)
{
	remove_proc_entry("ip_vs_fullnat", fn->net->proc_net);
	remove_proc_entry("ip_vs_fullnat_stats", fn->net->proc_net);
}
