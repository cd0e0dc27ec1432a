// SPDX-License-Identifier: GPL-2.0
/* Sets of local ports: as text, in the way of net.ipv4.ip_local_reserved_ports. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/sysctl.h>

#include "toa.h"

#define TOA_PORTS 65536

struct toa_ports {
	struct rcu_head rcu;
	DECLARE_BITMAP(map, TOA_PORTS);
};

/* Any context. */
bool toa_ports_has(const struct toa_ports *ports, u16 port)
{
	return test_bit(port, ports->map);
}

bool toa_ports_within(const struct toa_ports *ports, const struct toa_ports *outer)
{
	return bitmap_subset(ports->map, outer->map, TOA_PORTS);
}

/* @text in, or out; 0 or what proc_do_large_bitmap() says. *@len as it leaves it. */
static int toa_ports_text(struct toa_ports *ports, int write, char *text, size_t *len)
{
	unsigned long *map = ports->map;
	struct ctl_table table = { .data = &map, .maxlen = TOA_PORTS };
	loff_t pos = 0;

	return proc_do_large_bitmap(&table, write, text, len, &pos);
}

static int toa_ports_fill(struct toa_ports *ports, const char *text)
{
	char *copy = kstrdup(text, GFP_KERNEL);
	char *list;
	size_t len;
	int err;

	if (!copy)
		return -ENOMEM;
	list = strim(copy);
	len = strlen(list);
	err = toa_ports_text(ports, 1, list, &len);
	kfree(copy);
	if (!err && toa_ports_has(ports, 0))
		err = -EINVAL;
	return err;
}

/* Something like "80,443,8000-8100"; NULL for the empty text. */
struct toa_ports *toa_ports_parse(struct net *net, const char *text)
{
	struct toa_ports *ports = kvzalloc(sizeof(*ports), GFP_KERNEL);
	int err;

	if (!ports)
		return ERR_PTR(-ENOMEM);
	err = toa_ports_fill(ports, text);
	if (!err && !bitmap_empty(ports->map, TOA_PORTS))
		return ports;
	if (err == -EINVAL)
		toa_setting_err(net, "ports: '%*pE': not a list of ports like 80,443,8000-8100\n",
				(int)min_t(size_t, strlen(text), 64), text);
	kvfree(ports);
	return ERR_PTR(err);
}

struct toa_ports *toa_ports_copy(const struct toa_ports *ports)
{
	struct toa_ports *copy = kvmalloc(sizeof(*copy), GFP_KERNEL);

	if (copy)
		bitmap_copy(copy->map, ports->map, TOA_PORTS);
	return copy;
}

/* Readers in RCU sections may go on with it. */
void toa_ports_free(struct toa_ports *ports)
{
	if (ports)
		kvfree_rcu(ports, rcu);
}

/* As toa_ports_parse() reads them; never longer than what it has read. */
void toa_ports_print(struct toa_ports *ports, char *buf, size_t size)
{
	size_t len = size - 1;

	toa_ports_text(ports, 0, buf, &len);
	buf[len] = '\0';
	strim(buf);
}
