// SPDX-License-Identifier: GPL-2.0
/*
 * toa: on a server behind a load balancer, accept() and getpeername() name the
 * client instead of the balancer's local address. The client comes in a TCP
 * option (toa_wire.h) of the packet that makes the connection.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>

#include "toa.h"

static char toa_trust_default[] = TOA_TRUST_DEFAULT;
static char *toa_trust_param = toa_trust_default;
module_param_named(trust, toa_trust_param, charp, 0444);
MODULE_PARM_DESC(trust, "prefixes to believe a TOA from, as ADDRESS[/LENGTH],... (default "
		 TOA_TRUST_DEFAULT "); changed later by the sysctl net.toa.trust");

static char *toa_ports_param = "";
module_param_named(ports, toa_ports_param, charp, 0444);
MODULE_PARM_DESC(ports, "local ports at which to believe a TOA, like 80,443,8000-8100 (default all); changed later by the sysctl net.toa.ports");

static char *toa_layouts_param = TOA_LAYOUTS_DEFAULT;
module_param_named(layouts, toa_layouts_param, charp, 0444);
MODULE_PARM_DESC(layouts, "layouts of the TOA to understand, as KIND/LENGTH,... (default all, "
		 TOA_LAYOUTS_DEFAULT "); changed later by the sysctl net.toa.layouts");

static unsigned int toa_maxactive = 1024;
module_param_named(maxactive, toa_maxactive, uint, 0444);
MODULE_PARM_DESC(maxactive, "calls of getpeername() that may sleep at once (default 1024)");

unsigned int toa_net_id __read_mostly;

static int __net_init toa_net_init(struct net *net)
{
	const struct toa_policy_text text = { toa_trust_param, toa_ports_param, toa_layouts_param };
	struct toa_net *tn = toa_net(net);
	int err;

	err = toa_stats_net_init(net, tn);
	if (err)
		return err;
	err = toa_table_net_init(net);
	if (err)
		goto err_stats;
	err = toa_policy_net_init(net, &text);
	if (err)
		goto err_table;
	err = toa_sysctl_net_init(net, tn);
	if (err)
		goto err_policy;
	return 0;

err_policy:
	toa_policy_net_exit(net);
err_table:
	toa_table_net_exit(net);
err_stats:
	toa_stats_net_exit(net, tn);
	return err;
}

static void __net_exit toa_net_exit(struct net *net)
{
	struct toa_net *tn = toa_net(net);

	toa_sysctl_net_exit(tn);
	toa_policy_net_exit(net);
	toa_table_net_exit(net);
	toa_stats_net_exit(net, tn);
}

static struct pernet_operations toa_net_ops = {
	.init = toa_net_init,
	.exit = toa_net_exit,
	.id = &toa_net_id,
	.size = sizeof(struct toa_net),
};

/* The lines that say what we believe. */
static void toa_announce(void)
{
	char *text = kmalloc(TOA_TEXT_MAX, GFP_KERNEL);

	if (!text)
		return;
	toa_policy_print_trust(&init_net, text, TOA_TEXT_MAX);
	if (toa_trust_param == toa_trust_default)
		pr_info("client addresses are believed from private sources: %s (change: trust=, net.toa.trust)\n",
			text);
	else
		pr_info("client addresses are believed from %s\n", *text ? text : "nobody");
	toa_policy_print_ports(&init_net, text, TOA_TEXT_MAX);
	if (*text)
		pr_info("and only at the local ports %s\n", text);
	kfree(text);
}

static int __init toa_init(void)
{
	int err;

	err = toa_table_init();
	if (err)
		return err;
	err = register_pernet_subsys(&toa_net_ops);
	if (err)
		goto err_table;
	err = toa_hooks_init(toa_maxactive);
	if (err)
		goto err_net;
	err = toa_selftest_init();
	if (err)
		goto err_hooks;
	/* Last: nothing waits for its callers when a later step fails. */
	err = toa_sockopt_init();
	if (err)
		goto err_selftest;
	toa_announce();
	return 0;

err_selftest:
	toa_selftest_exit();
err_hooks:
	toa_hooks_exit();
err_net:
	unregister_pernet_subsys(&toa_net_ops);
err_table:
	toa_table_exit();
	return err;
}

static void __exit toa_exit(void)
{
	toa_sockopt_exit();
	toa_selftest_exit();
	toa_hooks_exit();
	unregister_pernet_subsys(&toa_net_ops);
	toa_table_exit();
}

module_init(toa_init);
module_exit(toa_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("TCP option address: the client's address behind a load balancer");
MODULE_VERSION(TOA_VERSION);
MODULE_SOFTDEP("pre: ipv6");
