// SPDX-License-Identifier: GPL-2.0
/* Options of TCP and of IPv4: right ones, wrong ones, and noise. */
#include <string.h>

#include "mutate.h"

#define IP_OPTIONS_MAX	40

/* kind, usual length; 0: none of both */
static const uint8_t tcp_options[][2] = {
	{ 0, 1 }, { 1, 1 }, { 1, 1 }, { 2, 4 }, { 3, 3 }, { 4, 2 }, { 5, 10 }, { 5, 18 }, { 5, 26 },
	{ 5, 34 }, { 8, 10 }, { 8, 10 }, { 19, 18 }, { 28, 4 }, { 29, 16 }, { 30, 4 }, { 30, 12 },
	{ 30, 20 }, { 30, 22 }, { 34, 2 }, { 34, 10 }, { 34, 18 }, { 200, 8 }, { 200, 8 },
	{ 253, 20 }, { 253, 8 }, { 254, 8 }, { 254, 20 }, { 254, 8 },
};

static const uint8_t ip_options[][2] = {
	{ 0, 1 }, { 1, 1 }, { 7, 7 }, { 7, 39 }, { 68, 8 }, { 68, 36 }, { 131, 7 }, { 137, 7 },
	{ 137, 11 }, { 148, 4 }, { 130, 11 }, { 134, 10 }, { 136, 4 },
};

/* Appends one option, its length wrong now and then; returns the new length. */
static unsigned int add_option(struct rng *r, uint8_t *options, unsigned int len,
			       const uint8_t *option, unsigned int max)
{
	unsigned int size = option[1];

	if (len + size > max)
		return len;
	rng_fill(r, options + len, size);
	options[len] = option[0];
	if (size > 1)
		options[len + 1] = (uint8_t)size;
	if (rng_percent(r, 8))
		options[len] = (uint8_t)rng_next(r);
	if (size > 1 && rng_percent(r, 8))
		options[len + 1] = (uint8_t)rng_below(r, rng_percent(r, 50) ? 44 : 256);
	return len + size;
}

static unsigned int pad(uint8_t *options, unsigned int len, uint8_t with)
{
	while (len % 4)
		options[len++] = with;
	return len;
}

/* Up to 40 bytes, a multiple of four. */
unsigned int random_tcp_options(struct rng *r, uint8_t *options)
{
	unsigned int i, len = 0, wanted = rng_below(r, 6);

	if (rng_percent(r, 5)) {
		len = 4 * rng_below(r, 11);
		rng_fill(r, options, len);
		return len;
	}
	for (i = 0; i < wanted; i++)
		len = add_option(r, options, len, rng_pick(r, tcp_options), TCP_OPTIONS_MAX);
	return pad(options, len, rng_percent(r, 80));
}

unsigned int random_ip_options(struct rng *r, uint8_t *options)
{
	unsigned int i, len = 0, wanted = rng_range(r, 1, 4);

	for (i = 0; i < wanted; i++)
		len = add_option(r, options, len, rng_pick(r, ip_options), IP_OPTIONS_MAX);
	/* a pointer that points somewhere */
	if (len > 2 && rng_percent(r, 70))
		options[2] = (uint8_t)(rng_percent(r, 60) ? 4 : rng_below(r, 45));
	return pad(options, len, rng_percent(r, 50));
}
