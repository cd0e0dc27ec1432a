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

#include "flow.h"
#include "hooks.h"
#include "laddr.h"
#include "net.h"
#include "netlink.h"
#include "port.h"
#include "seam.h"
#include "service.h"

unsigned int fnat_net_id;

static int __net_init fnat_net_init(struct net *net)
{
	struct fnat_net *fn = fnat_net(net);
	int err;

	fn->net = net;
	mutex_init(&fn->lock);
	fnat_secret_init(&fn->secret);
	fnat_sync_net_init(fn);
	fn->stats = alloc_percpu(struct fnat_stats);
	if (!fn->stats)
		return -ENOMEM;
	err = fnat_sysctl_net_init(fn);
	if (err)
		goto err_sysctl;
	err = fnat_proc_net_init(fn);
	if (err)
		goto err_proc;
	err = fnat_seam_net_init(fn);
	if (err)
		goto err_seam;
	err = fnat_hooks_net_init(fn);
	if (err)
		goto err_hooks;
	fnat_laddr_net_init(fn);
	return 0;

err_hooks:
	fnat_seam_net_exit(fn);
err_seam:
	fnat_proc_net_exit(fn);
err_proc:
	fnat_sysctl_net_exit(fn);
err_sysctl:
	free_percpu(fn->stats);
	return err;
}

/* Before ip_vs drops the connections of the namespace: see net.h. */
static void __net_exit fnat_net_exit(struct net *net)
{
	struct fnat_net *fn = fnat_net(net);

	WRITE_ONCE(fn->exiting, true);
	fnat_hooks_net_exit(fn);
	fnat_seam_net_exit(fn);
	synchronize_rcu();	/* ip_vs may be inside fnat_request() */
	fnat_sync_net_exit(fn);
	mutex_lock(&fn->lock);
	fnat_service_flush(fn);
	mutex_unlock(&fn->lock);
	fnat_laddr_net_exit(fn);
	fnat_proc_net_exit(fn);
	fnat_sysctl_net_exit(fn);
	free_percpu(fn->stats);
}

static struct pernet_operations fnat_net_ops = {
	.init = fnat_net_init,
	.exit = fnat_net_exit,
	.id = &fnat_net_id,
	.size = sizeof(struct fnat_net),
};

static int __init fnat_init(void)
{
	int err = fnat_flow_tab_init();

	if (err)
		return err;
	err = fnat_port_init();
	if (err)
		goto err_port;
	err = register_pernet_subsys(&fnat_net_ops);
	if (err)
		goto err_pernet;
	err = fnat_netlink_init();
	if (err)
		goto err_netlink;
	/* last: connections may take references on us from here on */
	err = fnat_seam_init();
	if (err)
		goto err_seam;
	pr_info("FULLNAT for IPVS is ready\n");
	return 0;

err_seam:
	fnat_netlink_exit();
err_netlink:
	unregister_pernet_subsys(&fnat_net_ops);
err_pernet:
	rcu_barrier();
	fnat_port_exit();
err_port:
	fnat_flow_tab_exit();
	return err;
}

static void __exit fnat_exit(void)
{
	fnat_netlink_exit();
	fnat_seam_exit();
	synchronize_rcu();	/* nobody is inside our app_conn_bind */
	unregister_pernet_subsys(&fnat_net_ops);
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
