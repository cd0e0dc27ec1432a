// SPDX-License-Identifier: GPL-2.0
/* net.toa.*: the policy of a namespace, read and written as text. */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/sysctl.h>

#include "toa.h"
#include "toa_compat.h"

struct toa_setting {
	int (*set)(struct net *net, const char *text);
	void (*print)(const struct net *net, char *buf, size_t size);
};

static const struct toa_setting toa_settings[] = {
	{ toa_policy_set_trust, toa_policy_print_trust },
	{ toa_policy_set_ports, toa_policy_print_ports },
	{ toa_policy_set_layouts, toa_policy_print_layouts },
};

static int toa_sysctl_write(struct net *net, const struct toa_setting *setting,
			    const char *buffer, size_t len)
{
	char *text;
	int err;

	if (len >= TOA_TEXT_MAX)
		return -EINVAL;
	text = kmemdup_nul(buffer, len, GFP_KERNEL);
	if (!text)
		return -ENOMEM;
	err = setting->set(net, text);
	kfree(text);
	return err;
}

static int toa_sysctl_handler(TOA_CTL_CONST struct ctl_table *ctl, int write, void *buffer,
			      size_t *lenp, loff_t *ppos)
{
	struct ctl_table show = { .maxlen = TOA_TEXT_MAX };
	const struct toa_setting *setting = ctl->extra1;
	struct net *net = ctl->data;
	int err;

	if (write) {
		/* One write() is one list: half a list would trust half of the balancers. */
		err = *ppos ? -EINVAL : toa_sysctl_write(net, setting, buffer, *lenp);
		if (!err)
			*ppos += *lenp;
		return err;
	}
	show.data = kmalloc(TOA_TEXT_MAX, GFP_KERNEL);
	if (!show.data)
		return -ENOMEM;
	setting->print(net, show.data, TOA_TEXT_MAX);
	err = proc_dostring(&show, 0, buffer, lenp, ppos);
	kfree(show.data);
	return err;
}

#define TOA_SYSCTL(name, setting) {		\
	.procname = name,			\
	.mode = 0644,				\
	.proc_handler = toa_sysctl_handler,	\
	.extra1 = (void *)(setting),		\
}

static const struct ctl_table toa_sysctl_table[] = {
	TOA_SYSCTL("trust", &toa_settings[0]),
	TOA_SYSCTL("ports", &toa_settings[1]),
	TOA_SYSCTL("layouts", &toa_settings[2]),
	{ }
};

int toa_sysctl_net_init(struct net *net, struct toa_net *tn)
{
	size_t i, rows = ARRAY_SIZE(toa_sysctl_table) - 1;

	tn->sysctl_table = kmemdup(toa_sysctl_table, sizeof(toa_sysctl_table), GFP_KERNEL);
	if (!tn->sysctl_table)
		return -ENOMEM;
	for (i = 0; i < rows; i++)
		tn->sysctl_table[i].data = net;
	tn->sysctl = toa_register_net_sysctl(net, "net/toa", tn->sysctl_table, rows);
	if (!tn->sysctl) {
		kfree(tn->sysctl_table);
		return -ENOMEM;
	}
	return 0;
}

/* On return nobody reads or writes the settings any more. */
void toa_sysctl_net_exit(struct toa_net *tn)
{
	unregister_net_sysctl_table(tn->sysctl);
	kfree(tn->sysctl_table);
}
