// SPDX-License-Identifier: GPL-2.0
/*
 * Lists of prefixes: as text, and whether an address is in one of them. To whom
 * a list belongs, toa_policy.c knows.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/ctype.h>
#include <linux/inet.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <net/ipv6.h>

#include "toa.h"

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

static bool toa_prefix_match(const struct toa_prefix *p, u16 family, const u8 *addr)
{
	unsigned int bytes = p->len / 8, bits = p->len % 8;

	if (p->family != family || memcmp(p->addr, addr, bytes))
		return false;
	return !bits || (p->addr[bytes] ^ addr[bytes]) >> (8 - bits) == 0;
}

/* Any context. */
bool toa_trust_has(const struct toa_trust *t, const struct toa_client *wire)
{
	unsigned int i;

	for (i = 0; i < t->n; i++)
		if (toa_prefix_match(&t->p[i], wire->family, wire->addr.v6))
			return true;
	return false;
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
struct toa_trust *toa_trust_parse(struct net *net, const char *text)
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
			toa_setting_err(net, "trust: more than %d prefixes\n",
					TOA_TRUST_MAX_PREFIXES);
			goto err_free;
		}
		wrong = toa_prefix_parse(word, &t->p[t->n]);
		if (wrong) {
			toa_setting_err(net, "trust: '%*pE': %s\n",
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

struct toa_trust *toa_trust_copy(const struct toa_trust *t)
{
	return kmemdup(t, struct_size(t, p, TOA_TRUST_MAX_PREFIXES), GFP_KERNEL);
}

/* Readers in RCU sections may go on with it. */
void toa_trust_free(struct toa_trust *t)
{
	if (t)
		kfree_rcu(t, rcu);
}

static size_t toa_prefix_print(const struct toa_prefix *p, char *buf, size_t size)
{
	return scnprintf(buf, size, p->family == AF_INET ? "%pI4/%u" : "%pI6c/%u",
			 p->addr, p->len);
}

/* In the way that toa_trust_parse() reads them. */
void toa_trust_print(const struct toa_trust *t, char *buf, size_t size)
{
	size_t used = 0;
	unsigned int i;

	buf[0] = '\0';
	for (i = 0; i < t->n; i++) {
		if (i)
			used += scnprintf(buf + used, size - used, ",");
		used += toa_prefix_print(&t->p[i], buf + used, size - used);
	}
}

static bool toa_trust_covers(const struct toa_trust *t, const struct toa_prefix *p)
{
	unsigned int i;

	for (i = 0; i < t->n; i++)
		if (t->p[i].len <= p->len && toa_prefix_match(&t->p[i], p->family, p->addr))
			return true;
	return false;
}

/* Is each prefix of @t part of one of @outer? If not, the first other one is put into @other. */
bool toa_trust_within(const struct toa_trust *t, const struct toa_trust *outer,
		      char other[TOA_PREFIX_TEXT_MAX])
{
	unsigned int i;

	for (i = 0; i < t->n; i++) {
		if (!toa_trust_covers(outer, &t->p[i])) {
			toa_prefix_print(&t->p[i], other, TOA_PREFIX_TEXT_MAX);
			return false;
		}
	}
	return true;
}
