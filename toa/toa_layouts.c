// SPDX-License-Identifier: GPL-2.0
/* Sets of layouts (TOA_LAYOUT_*): as text, "kind/length" each. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/ctype.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "toa.h"

static const struct toa_layout_row {
	u8 kind, len;
} toa_layout_rows[] = {
	{ TOA_KIND_200, TOA_LEN_V4 },
	{ TOA_KIND_254, TOA_LEN_V4 },
	{ TOA_KIND_253, TOA_LEN_V6 },
	{ TOA_KIND_254, TOA_LEN_V6 },
};

/* The bit of "kind/length", 0 for anything else. */
static unsigned int toa_layout_parse(char *word)
{
	char *slash = strchr(word, '/');
	unsigned int bit = 0;
	u8 kind, len;

	if (!slash)
		return 0;
	*slash = '\0';
	if (isdigit(word[0]) && !kstrtou8(word, 10, &kind) &&
	    isdigit(slash[1]) && !kstrtou8(slash + 1, 10, &len))
		bit = toa_layout(kind, len);
	*slash = '/';
	return bit;
}

/* Layouts separated by commas or white space. Returns the set, or an error. */
int toa_layouts_parse(struct net *net, const char *text)
{
	char *copy = kstrdup(text, GFP_KERNEL);
	char *rest = copy, *word;
	unsigned int bit, set = 0;

	if (!copy)
		return -ENOMEM;
	while ((word = strsep(&rest, ", \t\n"))) {
		if (!*word)
			continue;
		bit = toa_layout_parse(word);
		if (!bit) {
			toa_setting_err(net, "layouts: '%*pE': none of " TOA_LAYOUTS_DEFAULT "\n",
					(int)min_t(size_t, strlen(word), 64), word);
			kfree(copy);
			return -EINVAL;
		}
		set |= bit;
	}
	kfree(copy);
	if (set)
		return set;
	toa_setting_err(net, "layouts: the list is empty (an empty net.toa.trust believes nobody)\n");
	return -EINVAL;
}

void toa_layouts_print(unsigned int set, char *buf, size_t size)
{
	const struct toa_layout_row *row;
	size_t used = 0;
	unsigned int i;

	buf[0] = '\0';
	for (i = 0; i < ARRAY_SIZE(toa_layout_rows); i++) {
		row = &toa_layout_rows[i];
		if (set & toa_layout(row->kind, row->len))
			used += scnprintf(buf + used, size - used, "%s%u/%u",
					  used ? "," : "", row->kind, row->len);
	}
}
