// SPDX-License-Identifier: GPL-2.0
/*
 * ip_vs_fullnat: FULLNAT for the stock IPVS. Both addresses of a packet are
 * rewritten (client to VIP becomes LIP to RS), and the client's address travels
 * in a TCP option. Loading, unloading, and the life of a namespace.
 *
 * docs/architecture.md follows a packet through these files.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <net/genetlink.h>
#include <net/netns/generic.h>
#include <uapi/linux/ip_vs_fullnat.h>

#include "compat.h"
#include "flow.h"
#include "hooks.h"
#include "laddr.h"
#include "net.h"
#include "netlink.h"
#include "port.h"
#include "scheduler.h"
#include "seam.h"
#include "service.h"

unsigned int fnat_net_id;

static void drop_secret(struct fnat_net *fn)
{
	mutex_lock(&fn->lock);
	fnat_secret_put(rcu_replace_pointer(fn->secret, NULL, lockdep_is_held(&fn->lock)));
	mutex_unlock(&fn->lock);
}

static int __net_init fnat_net_init(struct net *net)
{
	struct fnat_net *fn = fnat_net(net);
	int err;

	fn->net = net;
	mutex_init(&fn->lock);
	fnat_sync_net_init(fn);
	INIT_LIST_HEAD(&fn->prefixes);
	fn->gen = 1;
	RCU_INIT_POINTER(fn->secret, fnat_secret_random());
	if (!rcu_access_pointer(fn->secret))
		return -ENOMEM;
	fn->stats = alloc_percpu(struct fnat_stats);
	if (!fn->stats) {
		err = -ENOMEM;
		goto err_stats;
	}
	err = fnat_sysctl_net_init(fn);
	if (err)
		goto err_sysctl;
	err = fnat_proc_net_init(fn);
	if (err)
		goto err_proc;
	err = fnat_seam_net_init(fn);
	if (err)
		goto err_seam;
	fnat_laddr_net_init(fn);
	return 0;

err_seam:
	fnat_proc_net_exit(fn);
err_proc:
	fnat_sysctl_net_exit(fn);
err_sysctl:
	free_percpu(fn->stats);
err_stats:
	drop_secret(fn);
	return err;
}

/* Before ip_vs drops the connections of the namespace: see net.h. */
static void __net_exit fnat_net_exit(struct net *net)
{
	struct fnat_net *fn = fnat_net(net);

	mutex_lock(&fn->lock);		/* scheduler.c opens no service any more */
	WRITE_ONCE(fn->exiting, true);
	mutex_unlock(&fn->lock);
	fnat_hooks_net_exit(fn);
	fnat_seam_net_exit(fn);
	synchronize_rcu();	/* ip_vs may be inside fnat_request() */
	fnat_hooks_net_free(fn);
	fnat_sync_net_exit(fn);
	fnat_scheduler_net_exit(fn);
	mutex_lock(&fn->lock);
	fnat_service_flush(fn);
	mutex_unlock(&fn->lock);
	fnat_laddr_net_exit(fn);
	fnat_proc_net_exit(fn);
	fnat_sysctl_net_exit(fn);
	free_percpu(fn->stats);
	drop_secret(fn);
}

/*
 * Routes are released by RCU callbacks, and those of IPv6 count in what the namespace's
 * IPv6 has, which goes next: a grace period is not enough, the callbacks must have run.
 */
static void __net_exit fnat_net_exit_batch(struct list_head *nets)
{
	rcu_barrier();
}

static struct pernet_operations fnat_net_ops = {
	.init = fnat_net_init,
	.exit = fnat_net_exit,
	.exit_batch = fnat_net_exit_batch,
	.id = &fnat_net_id,
	.size = sizeof(struct fnat_net),
};

/*
 * How far the module's start has come. It has a worker of its own: ip_vs loads us for the
 * scheduler "fullnat" while it holds the lock of generic netlink, which the registration of
 * our family needs, and its own mutex, which a namespace that goes away waits for, while
 * the registration of ours waits for that one. So fnat_init() must not wait for the worker if it is
 * stuck there; it ends as soon as ip_vs's own command has.
 */
static struct {
	struct work_struct work;
	struct completion done;
	int err;			/* valid once done */
	bool at_netlink;
} start;

#define FNAT_START_POLL		msecs_to_jiffies(20)
#define FNAT_START_PATIENCE	(10 * HZ)	/* with the namespaces */
#define FNAT_NETLINK_PATIENCE	(HZ / 2)

static int start_all(void)
{
	int err = register_pernet_subsys(&fnat_net_ops);

	if (err)
		return err;
	WRITE_ONCE(start.at_netlink, true);
	err = fnat_netlink_init();
	if (err)
		goto err_netlink;
	/* last: connections may take references on us from here on */
	err = fnat_seam_init();
	if (err)
		goto err_seam;
	fnat_scheduler_ready();
	return 0;

err_seam:
	fnat_netlink_exit();
err_netlink:
	unregister_pernet_subsys(&fnat_net_ops);
	return err;
}

static void start_work(struct work_struct *work)
{
	start.err = start_all();
	if (start.err)
		pr_err("cannot start: error %d\n", start.err);
	else
		pr_info("FULLNAT for IPVS is ready\n");
	complete_all(&start.done);
}

/* What has come of it, or 0 if that cannot be waited for. */
static int start_wait(void)
{
	unsigned long until = jiffies + FNAT_START_PATIENCE;
	bool at_netlink = false;

	while (!wait_for_completion_timeout(&start.done, FNAT_START_POLL)) {
		if (!at_netlink && READ_ONCE(start.at_netlink)) {
			at_netlink = true;
			until = jiffies + FNAT_NETLINK_PATIENCE;
		}
		if (time_after(jiffies, until))
			return 0;
	}
	return start.err;
}

static int __init fnat_init(void)
{
	int err = fnat_flow_tab_init();

	if (err)
		return err;
	err = fnat_port_init();
	if (err)
		goto err_port;
	err = fnat_scheduler_init();
	if (err)
		goto err_scheduler;
	init_completion(&start.done);
	INIT_WORK(&start.work, start_work);
	queue_work(fnat_unbound_wq, &start.work);
	err = start_wait();
	if (err)
		goto err_start;
	/* no way back from here: there may be connections */
	if (fnat_scheduler_register())
		pr_warn("there is a scheduler \"fullnat\" already: ours cannot be used\n");
	return 0;

err_start:
	flush_work(&start.work);
	fnat_scheduler_exit();
err_scheduler:
	rcu_barrier();
	fnat_port_exit();
err_port:
	fnat_flow_tab_exit();
	return err;
}

static void __exit fnat_exit(void)
{
	flush_work(&start.work);
	fnat_scheduler_unregister();
	if (!start.err) {
		fnat_netlink_exit();
		fnat_seam_exit();
		synchronize_rcu();	/* nobody is inside our app_conn_bind */
		unregister_pernet_subsys(&fnat_net_ops);
	}
	fnat_scheduler_exit();
	rcu_barrier();		/* flows, port maps, local addresses */
	fnat_port_exit();
	fnat_flow_tab_exit();
}

module_init(fnat_init);
module_exit(fnat_exit);

MODULE_DESCRIPTION("FULLNAT forwarding for IPVS, with the client's address in a TCP option (TOA)");
MODULE_LICENSE("GPL");
MODULE_VERSION(FNAT_VERSION);
MODULE_ALIAS_GENL_FAMILY(FULLNAT_GENL_NAME);
