/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Random numbers that are the same on every machine. Each packet has its own
 * sequence, made from the seed and the packet's number: any packet of a run can
 * be made again alone.
 */
#ifndef FUZZ_RNG_H
#define FUZZ_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
	uint64_t state;
};

/* splitmix64 */
static inline uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static inline void rng_seed(struct rng *r, uint64_t seed, uint64_t number)
{
	r->state = seed;
	r->state = rng_next(r) ^ number;
	rng_next(r);
}

/* From 0 to below n. */
static inline uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (uint32_t)(((rng_next(r) >> 32) * n) >> 32);
}

static inline uint32_t rng_range(struct rng *r, uint32_t from, uint32_t to)
{
	return from + rng_below(r, to - from + 1);
}

static inline bool rng_percent(struct rng *r, uint32_t percent)
{
	return rng_below(r, 100) < percent;
}

static inline void rng_fill(struct rng *r, uint8_t *p, unsigned int len)
{
	while (len--)
		*p++ = (uint8_t)(rng_next(r) >> 56);
}

#define rng_pick(r, array)	((array)[rng_below(r, sizeof(array) / sizeof((array)[0]))])

#endif
