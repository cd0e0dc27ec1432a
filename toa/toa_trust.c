// SPDX-License-Identifier: GPL-2.0
/*
 * Whom to believe: a TOA counts only when its packet comes from one of the
 * prefixes of the namespace. They are set by the parameter "trust" (for the
 * initial namespace) and by the sysctl net.toa.trust (for each); a new namespace
 * starts with those of the initial one.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/ctype.h>
#include <linux/inet.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/sysctl.h>
#include <net/ipv6.h>

#include "toa.h"
#include "toa_compat.h"

#define TOA_TRUST_MAX_PREFIXES 64

struct toa_prefix {
	u16 family;
	u8 len;			/* 0 to 32 or 128 bits */
	u8 addr[16];		/* network order; the first 4 bytes for IPv4; host bits zero */
};

struct toa_trust {
	struct rcu_head rcu;
	unsigned int n;
	struct toa_prefix p[];
};

static DEFINE_MUTEX(toa_trust_lock);	/* writers of all namespaces */

static bool toa_prefix_match(const struct toa_prefix *p, const struct toa_client *wire)
{
	unsigned int bytes = p->len / 8, bits = p->len % 8;
	const u8 *a = wire->addr.v6;

	if (p->family != wire->family || memcmp(p->addr, a, bytes))
		return false;
	return !bits || (p->addr[bytes] ^ a[bytes]) >> (8 - bits) == 0;
}

/* Any context. */
bool toa_trusted(const struct net *net, const struct toa_client *wire)
{
	const struct toa_trust *t;
	bool found = false;
	unsigned int i;

	rcu_read_lock();
	t = rcu_dereference(toa_net(net)->trust);
	for (i = 0; i < t->n && !found; i++)
		found = toa_prefix_match(&t->p[i], wire);
	rcu_read_unlock();
	return found;
}

static bool toa_prefix_has_host_bits(const struct toa_prefix *p, unsigned int max)
{
	unsigned int bit;

	for (bit = p->len; bit < max; bit++)
		if (p->addr[bit / 8] & (0x80 >> bit % 8))
			return true;
	return false;
}

/* @word is "address" or "address/length". Returns what is wrong with it, or NULL. */
static const char *toa_prefix_parse(char *word, struct toa_prefix *p)
{
	char *slash = strchr(word, '/');
	unsigned int max;

	if (slash)
		*slash = '\0';
	memset(p, 0, sizeof(*p));
	if (in4_pton(word, -1, p->addr, '\0', NULL)) {
		p->family = AF_INET;
		max = 32;
	} else if (in6_pton(word, -1, p->addr, '\0', NULL)) {
		p->family = AF_INET6;
		max = 128;
		if (ipv6_addr_v4mapped((struct in6_addr *)p->addr))
			return "write it as an IPv4 address";
	} else {
		return "not an IP address";
	}

	p->len = max;
	if (slash) {
		*slash = '/';
		if (!isdigit(slash[1]) || kstrtou8(slash + 1, 10, &p->len) || p->len > max)
			return "bad prefix length";
	}
	return toa_prefix_has_host_bits(p, max) ? "bits set behind the prefix length" : NULL;
}

/* Prefixes separated by commas or white space; none at all trusts nobody. */
static struct toa_trust *toa_trust_parse(const char *text)
{
	struct toa_trust *t;
	char *copy, *rest, *word;
	const char *wrong;
	int err = -EINVAL;

	t = kzalloc(struct_size(t, p, TOA_TRUST_MAX_PREFIXES), GFP_KERNEL);
	copy = kstrdup(text, GFP_KERNEL);
	if (!t || !copy) {
		err = -ENOMEM;
		goto err_free;
	}
	rest = copy;
	while ((word = strsep(&rest, ", \t\n"))) {
		if (!*word)
			continue;
		if (t->n == TOA_TRUST_MAX_PREFIXES) {
			pr_err_ratelimited("trust: more than %d prefixes\n",
					   TOA_TRUST_MAX_PREFIXES);
			goto err_free;
		}
		wrong = toa_prefix_parse(word, &t->p[t->n]);
		if (wrong) {
			pr_err_ratelimited("trust: '%*pE': %s\n",
					   (int)min_t(size_t, strlen(word), 64), word, wrong);
			goto err_free;
		}
		t->n++;
	}
	kfree(copy);
	return t;

err_free:
	kfree(copy);
	kfree(t);
	return ERR_PTR(err);
}

static void toa_trust_set(struct toa_net *tn, struct toa_trust *t)
{
	struct toa_trust *old;

	mutex_lock(&toa_trust_lock);
	old = rcu_replace_pointer(tn->trust, t, lockdep_is_held(&toa_trust_lock));
	mutex_unlock(&toa_trust_lock);
	if (old)
		kfree_rcu(old, rcu);
}

/* The prefixes of @net in the way that toa_trust_parse() reads them. Process context. */
void toa_trust_print(const struct net *net, char *buf, size_t size)
{
	const struct toa_prefix *p;
	const struct toa_trust *t;
	size_t used = 0;
	unsigned int i;

	buf[0] = '\0';
	rcu_read_lock();
	t = rcu_dereference(toa_net(net)->trust);
	for (i = 0; i < t->n; i++) {
		p = &t->p[i];
		used += scnprintf(buf + used, size - used,
				  p->family == AF_INET ? "%s%pI4/%u" : "%s%pI6c/%u",
				  i ? "," : "", p->addr, p->len);
	}
	rcu_read_unlock();
}

static int toa_trust_sysctl_write(struct net *net, const char *buffer, size_t len)
{
	struct toa_trust *t;
	char *text;

	if (len >= TOA_TRUST_TEXT_MAX)
		return -EINVAL;
	text = kmemdup_nul(buffer, len, GFP_KERNEL);
	if (!text)
		return -ENOMEM;
	t = toa_trust_parse(text);
	kfree(text);
	if (IS_ERR(t))
		return PTR_ERR(t);
	toa_trust_set(toa_net(net), t);
	return 0;
}

static int toa_trust_sysctl(TOA_CTL_CONST struct ctl_table *ctl, int write, void *buffer,
			    size_t *lenp, loff_t *ppos)
{
	struct ctl_table show = { .maxlen = TOA_TRUST_TEXT_MAX };
	struct net *net = ctl->data;
	int err;

	if (write) {
		/* One write() is one list: half a list would trust half of the balancers. */
		err = *ppos ? -EINVAL : toa_trust_sysctl_write(net, buffer, *lenp);
		if (!err)
			*ppos += *lenp;
		return err;
	}
	show.data = kmalloc(TOA_TRUST_TEXT_MAX, GFP_KERNEL);
	if (!show.data)
		return -ENOMEM;
	toa_trust_print(net, show.data, TOA_TRUST_TEXT_MAX);
	err = proc_dostring(&show, 0, buffer, lenp, ppos);
	kfree(show.data);
	return err;
}

static const struct ctl_table toa_sysctl_table[] = {
	{
		.procname = "trust",
		.mode = 0644,
		.proc_handler = toa_trust_sysctl,
	},
	{ }
};

/* What a new namespace starts with: @initial, or if NULL the list of the initial namespace. */
static struct toa_trust *toa_trust_initial(const char *initial)
{
	struct toa_trust *t;
	char *text;

	if (initial)
		return toa_trust_parse(initial);
	text = kmalloc(TOA_TRUST_TEXT_MAX, GFP_KERNEL);
	if (!text)
		return ERR_PTR(-ENOMEM);
	toa_trust_print(&init_net, text, TOA_TRUST_TEXT_MAX);
	t = toa_trust_parse(text);
	kfree(text);
	return t;
}

int toa_trust_net_init(struct net *net, struct toa_net *tn, const char *initial)
{
	struct toa_trust *t = toa_trust_initial(initial);

	if (IS_ERR(t))
		return PTR_ERR(t);
	tn->sysctl_table = kmemdup(toa_sysctl_table, sizeof(toa_sysctl_table), GFP_KERNEL);
	if (!tn->sysctl_table)
		goto err_free_trust;
	tn->sysctl_table[0].data = net;
	toa_trust_set(tn, t);
	tn->sysctl = toa_register_net_sysctl(net, "net/toa", tn->sysctl_table,
					     ARRAY_SIZE(toa_sysctl_table) - 1);
	if (!tn->sysctl)
		goto err_free_table;
	return 0;

err_free_table:
	kfree(tn->sysctl_table);
	RCU_INIT_POINTER(tn->trust, NULL);
err_free_trust:
	kfree(t);
	return -ENOMEM;
}

/* No packet and no socket of the namespace is left. */
void toa_trust_net_exit(struct toa_net *tn)
{
	unregister_net_sysctl_table(tn->sysctl);
	kfree(tn->sysctl_table);
	toa_trust_set(tn, NULL);
}
