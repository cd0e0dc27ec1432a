// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer target for toa_wire.h. Input: one byte of choices, then a client
 * (18 bytes), then options. ASan watches the reads, because each input is copied
 * to a block of exactly its size; the checks below watch the meaning.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "toa_wire.h"

#define CHECK(cond) do {						\
	if (!(cond)) {							\
		fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);	\
		abort();						\
	}								\
} while (0)

static const u8 kinds[] = { 200, 253, 254, 8 };

/* The bits of the essential options that @opts has, each in its right length. */
static unsigned int essentials(const u8 *opts, unsigned int len, bool syn)
{
	unsigned int bits = 0;
	struct toa_walk w;
	struct toa_opt o;

	toa_walk_init(&w, opts, len);
	while (toa_walk_next(&w, &o))
		bits |= toa_essential(&o, syn);
	return bits;
}

static void check_compose(const u8 *opts, unsigned int len, bool syn, const u8 *toa,
			  unsigned int toa_len)
{
	unsigned int flags = 0, again = 0;
	u8 out[TOA_OPT_SPACE], twice[TOA_OPT_SPACE];
	struct toa_walk w;
	struct toa_opt o;
	int n, m;

	n = toa_compose_options(out, opts, len, syn, toa, toa_len, &flags);
	CHECK(n >= 0 && n <= TOA_OPT_SPACE && n % 4 == 0);
	CHECK(n >= (int)toa_len && !memcmp(out, toa, toa_len));

	/* Nothing of a TOA kind but our own, and nothing that another parser reads otherwise. */
	toa_walk_init(&w, out + toa_len, n - toa_len);
	while (toa_walk_next(&w, &o))
		CHECK(!toa_is_kind(o.kind));
	CHECK(!w.malformed && !w.left);

	CHECK(essentials(opts, len, syn) == essentials(out + toa_len, n - toa_len, syn));
	CHECK(!(flags & TOA_COMPOSE_DROPPED_OPTIONS) || toa_len);

	/* What we let through once, we let through again unchanged. */
	m = toa_compose_options(twice, out + toa_len, n - toa_len, syn, toa, toa_len, &again);
	CHECK(!again && m == n && !memcmp(out, twice, n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct toa_client in, c, back;
	u8 toa[TOA_LEN_V6], *opts;
	enum toa_parse_result res;
	unsigned int len, toa_len;
	u8 choice;

	if (size < 19)
		return 0;
	choice = data[0];
	memset(&in, 0, sizeof(in));
	in.family = choice & 1 ? AF_INET6 : data[18] == 0xff ? AF_UNSPEC : AF_INET;
	memcpy(&in.port, data + 1, 2);
	memcpy(&in.addr, data + 3, choice & 1 ? 16 : 4);
	toa_client_valid(&in);
	len = size - 19;
	opts = malloc(len);
	memcpy(opts, data + 19, len);

	memset(&c, 0xaa, sizeof(c));
	back = c;
	res = toa_parse(opts, len, choice >> 4, &c);
	if (res == TOA_FOUND)
		CHECK(c.family == AF_INET || c.family == AF_INET6);
	else
		CHECK(!memcmp(&c, &back, sizeof(c)));

	toa_len = toa_encode(toa, kinds[choice >> 1 & 3], &in);
	if (toa_len) {
		CHECK(toa_parse(toa, toa_len, TOA_LAYOUT_ALL, &back) == TOA_FOUND);
		CHECK(!memcmp(&in, &back, sizeof(in)));
	}
	/* A header has no more than TOA_OPT_SPACE; the parser above takes any length. */
	if (len > TOA_OPT_SPACE)
		len = TOA_OPT_SPACE;
	check_compose(opts, len, choice & 8, toa, toa_len);
	free(opts);
	return 0;
}
