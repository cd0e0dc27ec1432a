/* SPDX-License-Identifier: GPL-2.0 */
/* Wrong packets of real connections. */
#ifndef FUZZ_MUTATE_H
#define FUZZ_MUTATE_H

#include "flows.h"
#include "rng.h"

#define SHOT_MAX	6	/* frames: a packet in fragments */

enum from {
	SIDE_CLIENT,
	SIDE_SERVER,
};

enum kind {
	KIND_TRANSPORT,		/* ports are right, and so is IP; what is between is not */
	KIND_STRAY,		/* to ports that no connection has */
	KIND_ICMP,		/* errors with quotes */
	KIND_FRAGMENTS,
	KIND_GSO,
	KIND_IP,		/* options, lengths, header fields */
	KIND_IPV6,		/* extension headers */
	KIND_DAMAGE,		/* truncated, bits turned over */
	KIND_MAX,
};

extern const char *const kind_names[KIND_MAX];

struct mutator {
	uint64_t seed;
	unsigned int kinds;		/* bits: which to make */
	const struct flow *flows;
	unsigned int flow_count;
	const uint8_t *mac[2];		/* by side: ours, and the LB's */
	const uint8_t *gateway[2];
};

/* One mutated packet, whole or in fragments. */
struct shot {
	enum from side;
	enum kind kind;
	unsigned int count;
	struct frame frames[SHOT_MAX];
};

void mutate(const struct mutator *m, uint64_t number, struct shot *shot);
unsigned int random_tcp_options(struct rng *r, uint8_t *options);
unsigned int random_ip_options(struct rng *r, uint8_t *options);

#endif
