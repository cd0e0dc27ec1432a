// SPDX-License-Identifier: GPL-2.0
/*
 * Shares of what the host has only so much of. Who is root in namespaces of his own can make
 * connections that have any name there: he shall not use it up for the host, nor with one
 * namespace for the others. Another namespace than the initial one may have a quarter of it, all
 * of them 7/8. Any context.
 */
#include "toa.h"

#define TOA_SHARE 4

/* One more, if there are fewer than max. */
bool toa_take(atomic_t *count, unsigned int max)
{
	if (atomic_inc_return(count) <= max)
		return true;
	atomic_dec(count);
	return false;
}

/**
 * toa_share_take - one more for a namespace?
 * @net: the namespace; the initial one has no bound of its own
 * @of_others: what all others have
 * @of_net: what this one has, if it is one of them
 * @max: what there is
 */
bool toa_share_take(const struct net *net, atomic_t *of_others, atomic_t *of_net,
		    unsigned int max)
{
	unsigned int share = DIV_ROUND_UP(max, TOA_SHARE);

	if (net_eq(net, &init_net))
		return true;
	if (!toa_take(of_others, max - share / 2))
		return false;
	if (toa_take(of_net, share))
		return true;
	atomic_dec(of_others);
	return false;
}

void toa_share_give_back(const struct net *net, atomic_t *of_others, atomic_t *of_net)
{
	if (net_eq(net, &init_net))
		return;
	atomic_dec(of_net);
	atomic_dec(of_others);
}
