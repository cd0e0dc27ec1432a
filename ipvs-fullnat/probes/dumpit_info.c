// SPDX-License-Identifier: GPL-2.0
/* 6.7: the attributes of a dump request moved into a struct genl_info. */
#include <net/genetlink.h>

struct nlattr **probe(struct netlink_callback *cb);
struct nlattr **probe(struct netlink_callback *cb)
{
	return genl_dumpit_info(cb)->info.attrs;
}
