// SPDX-License-Identifier: GPL-2.0
/* Unit tests of toa_wire.h: rows of bytes in, bytes out. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "toa_wire.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Bytes of a row; the length is that of the literal. */
struct bytes {
	const char *b;
	unsigned int len;
};

#define B(lit) { lit, sizeof(lit) - 1 }

/* Building blocks of rows. The client is 203.0.113.7:50000 or [2001:db8::7]:50000. */
#define PORT	"\xc3\x50"
#define ADDR4	"\xcb\x00\x71\x07"
#define ADDR6	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"
#define T200	"\xc8\x08" PORT ADDR4
#define T254	"\xfe\x08" PORT ADDR4
#define T253_20	"\xfd\x14" PORT ADDR6
#define T254_20	"\xfe\x14" PORT ADDR6
#define NOP	"\x01"
#define EOL	"\x00"
#define MSS	"\x02\x04\x05\xb4"
#define WS	"\x03\x03\x07"
#define SACKOK	"\x04\x02"
#define TS	"\x08\x0a" "\x11\x22\x33\x44" "\x55\x66\x77\x88"
#define SACK1	"\x05\x0a" "ABCDEFGH"
#define SACK2	"\x05\x12" "ABCDEFGHIJKLMNOP"
#define SACK3	"\x05\x1a" "ABCDEFGHIJKLMNOPQRSTUVWX"
#define MPC20	"\x1e\x14" "0123456789abcdefgh"	/* MP_CAPABLE of a third ACK */
#define MPC12	"\x1e\x0c" "0123456789"		/* MP_CAPABLE of a SYN */
#define FORGED	"\xc8\x08" "\x00\x16" "\x7f\x00\x00\x01"

static struct toa_client client4(void)
{
	struct toa_client c = { .family = AF_INET, .port = htons(50000) };

	c.addr.v4 = inet_addr("203.0.113.7");
	return c;
}

static struct toa_client client6(void)
{
	struct toa_client c = { .family = AF_INET6, .port = htons(50000) };

	memcpy(c.addr.v6, ADDR6, 16);
	return c;
}

/* A copy that ends where its heap block ends, so that ASan sees a read past it. */
static u8 *tight(const char *b, unsigned int len)
{
	u8 *p = malloc(len);

	memcpy(p, b, len);
	return p;
}

static void test_is_kind(void **state)
{
	unsigned int kind;

	(void)state;
	for (kind = 0; kind < 256; kind++)
		assert_int_equal(toa_is_kind(kind), kind == 200 || kind == 253 || kind == 254);
}

static const struct {
	u8 kind;
	bool v6;
	struct bytes want;	/* empty: refused */
} encode_rows[] = {
	{ 200, false, B(T200) },
	{ 254, false, B(T254) },
	{ 253, true, B(T253_20) },
	{ 254, true, B(T254_20) },
	{ 253, false, B("") },
	{ 200, true, B("") },
	{ 252, false, B("") },
	{ 0, true, B("") },
};

static void test_encode(void **state)
{
	struct toa_client c, back;
	unsigned int i, n;
	u8 buf[TOA_LEN_V6];

	(void)state;
	for (i = 0; i < ARRAY_LEN(encode_rows); i++) {
		c = encode_rows[i].v6 ? client6() : client4();
		memset(buf, 0xaa, sizeof(buf));
		n = toa_encode(buf, encode_rows[i].kind, &c);
		assert_int_equal(n, encode_rows[i].want.len);
		assert_memory_equal(buf, encode_rows[i].want.b, n);
		if (!n) {
			assert_int_equal(buf[0], 0xaa);
			continue;
		}
		assert_int_equal(toa_parse(buf, n, TOA_LAYOUT_ALL, &back), TOA_FOUND);
		assert_memory_equal(&back, &c, sizeof(c));
	}
	c.family = AF_UNIX;
	assert_int_equal(toa_encode(buf, 200, &c), 0);
}

#define V4	4
#define V6	6

static const struct {
	const char *name;
	struct bytes in;
	unsigned int layouts;
	enum toa_parse_result want;
	int family;		/* V4 or V6 when found */
} parse_rows[] = {
	{ "200/8", B(T200), TOA_LAYOUT_ALL, TOA_FOUND, V4 },
	{ "254/8", B(T254), TOA_LAYOUT_ALL, TOA_FOUND, V4 },
	{ "253/20", B(T253_20), TOA_LAYOUT_ALL, TOA_FOUND, V6 },
	{ "254/20", B(T254_20), TOA_LAYOUT_ALL, TOA_FOUND, V6 },
	{ "empty", B(""), TOA_LAYOUT_ALL, TOA_NONE, 0 },
	{ "no TOA", B(NOP NOP TS), TOA_LAYOUT_ALL, TOA_NONE, 0 },
	{ "behind others, unaligned", B(NOP TS T200), TOA_LAYOUT_ALL, TOA_FOUND, V4 },
	{ "first of two", B(T200 FORGED), TOA_LAYOUT_ALL, TOA_FOUND, V4 },
	{ "layout not accepted", B(T254), TOA_LAYOUT_200_8, TOA_NONE, 0 },
	{ "254/20 but only 254/8", B(T254_20), TOA_LAYOUT_254_8, TOA_NONE, 0 },
	{ "254/8 but only 254/20", B(T254), TOA_LAYOUT_254_20, TOA_NONE, 0 },
	{ "253/20 not accepted", B(T253_20), TOA_LAYOUT_254_20, TOA_NONE, 0 },
	{ "200/8 not accepted", B(T200), TOA_LAYOUT_254_8, TOA_NONE, 0 },
	{ "skipped, then accepted", B("\xfe\x08" "xxyyyy" T200), TOA_LAYOUT_200_8, TOA_FOUND, V4 },
	{ "behind EOL", B(EOL T200), TOA_LAYOUT_ALL, TOA_NONE, 0 },
	{ "253/8 is in no table", B("\xfd\x08" PORT ADDR4), TOA_LAYOUT_ALL, TOA_MALFORMED, 0 },
	{ "200/20 neither", B("\xc8\x14" PORT ADDR6), TOA_LAYOUT_ALL, TOA_MALFORMED, 0 },
	{ "254/6 (SMC), then 200/8", B("\xfe\x06\xe2\xd4\xc3\xd9" T200), TOA_LAYOUT_ALL,
	  TOA_FOUND, V4 },
	{ "length 2", B("\xc8\x02" NOP NOP), TOA_LAYOUT_ALL, TOA_MALFORMED, 0 },
	{ "length 1", B("\xc8\x01" NOP NOP), TOA_LAYOUT_ALL, TOA_MALFORMED, 0 },
	{ "length 0", B("\xc8\x00" T200), TOA_LAYOUT_ALL, TOA_MALFORMED, 0 },
	{ "length byte missing", B(NOP NOP NOP "\xc8"), TOA_LAYOUT_ALL, TOA_MALFORMED, 0 },
	{ "cut short by one", B("\xc8\x08" PORT "\xcb\x00\x71"), TOA_LAYOUT_ALL, TOA_MALFORMED, 0 },
	{ "v6 cut short", B("\xfd\x14" PORT ADDR4), TOA_LAYOUT_ALL, TOA_MALFORMED, 0 },
	{ "behind a broken option", B("\x08\x01" T200), TOA_LAYOUT_ALL, TOA_NONE, 0 },
	{ "behind one that is too long", B("\x08\x0b" T200), TOA_LAYOUT_ALL, TOA_NONE, 0 },
	{ "inside another option", B("\x1e\x0a" T200), TOA_LAYOUT_ALL, TOA_NONE, 0 },
};

static void test_parse(void **state)
{
	struct toa_client c, want;
	unsigned int i;
	u8 *in;

	(void)state;
	for (i = 0; i < ARRAY_LEN(parse_rows); i++) {
		in = tight(parse_rows[i].in.b, parse_rows[i].in.len);
		memset(&c, 0xaa, sizeof(c));
		memset(&want, 0xaa, sizeof(want));
		if (parse_rows[i].family)
			want = parse_rows[i].family == V4 ? client4() : client6();
		print_message("parse: %s\n", parse_rows[i].name);
		assert_int_equal(toa_parse(in, parse_rows[i].in.len, parse_rows[i].layouts, &c),
				 parse_rows[i].want);
		assert_memory_equal(&c, &want, sizeof(c));
		free(in);
	}
}

static const struct {
	const char *addr;
	bool valid;
} valid_rows[] = {
	{ "203.0.113.7", true },
	{ "10.0.0.1", true },
	{ "1.0.0.0", true },
	{ "0.0.0.0", false },
	{ "0.1.2.3", false },
	{ "126.255.255.255", true },
	{ "127.0.0.1", false },
	{ "127.255.0.1", false },
	{ "128.0.0.0", true },
	{ "223.255.255.255", true },
	{ "224.0.0.1", false },
	{ "239.255.255.255", false },
	{ "240.0.0.1", true },
	{ "255.255.255.254", true },
	{ "255.255.0.255", true },
	{ "255.0.255.255", true },
	{ "254.255.255.255", true },
	{ "255.255.255.255", false },
	{ "2001:db8::7", true },
	{ "fe80::1", true },
	{ "fc00::1", true },
	{ "64:ff9b::203.0.113.7", true },
	{ "ff02::1", false },
	{ "::", false },
	{ "::1", false },
	{ "::203.0.113.7", false },
	{ "::ffff:203.0.113.7", false },
	{ "::ff:203.0.113.7", true },
	{ "::ff00:203.0.113.7", true },
	{ "::1:0:203.0.113.7", true },
	{ "100::", true },
};

static void test_valid(void **state)
{
	struct toa_client c;
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(valid_rows); i++) {
		memset(&c, 0, sizeof(c));
		c.family = strchr(valid_rows[i].addr, ':') ? AF_INET6 : AF_INET;
		c.port = htons(256);
		assert_int_equal(inet_pton(c.family, valid_rows[i].addr, &c.addr), 1);
		print_message("valid: %s\n", valid_rows[i].addr);
		assert_int_equal(toa_client_valid(&c), valid_rows[i].valid);
		c.port = 0;
		assert_false(toa_client_valid(&c));
		c.port = htons(1);
		c.family = AF_UNIX;
		assert_false(toa_client_valid(&c));
	}
}

#define FORGERY	TOA_COMPOSE_REMOVED_FORGED
#define DROPPED	TOA_COMPOSE_DROPPED_OPTIONS
#define BROKEN	TOA_COMPOSE_MALFORMED

static const struct {
	const char *name;
	bool syn;
	struct bytes toa, in, want;
	unsigned int flags;
} compose_rows[] = {
	{ "no options at all", false, B(""), B(""), B(""), 0 },
	{ "nothing to do", false, B(""), B(NOP NOP TS), B(NOP NOP TS), 0 },
	{ "only ours", false, B(T200), B(""), B(T200), 0 },
	{ "in front, layout kept", false, B(T200), B(NOP NOP TS), B(T200 NOP NOP TS), 0 },
	{ "odd layout kept", false, B(T200), B(TS NOP NOP), B(T200 TS NOP NOP), 0 },
	{ "a Linux SYN", true, B(T200), B(MSS SACKOK TS NOP WS),
	  B(T200 MSS SACKOK TS NOP WS), 0 },
	{ "a Linux SYN, IPv6: exactly 40", true, B(T253_20), B(MSS SACKOK TS NOP WS),
	  B(T253_20 MSS SACKOK TS NOP WS), 0 },
	{ "padded", false, B(T200), B(SACKOK), B(T200 SACKOK NOP NOP), 0 },
	{ "EOL ends, padding is NOP", false, B(T200), B(TS EOL T254), B(T200 TS NOP NOP), 0 },
	{ "forged, with ours", false, B(T200), B(FORGED NOP NOP TS), B(T200 NOP NOP TS), FORGERY },
	{ "forged, without ours", false, B(""), B(NOP NOP TS FORGED), B(NOP NOP TS), FORGERY },
	{ "forged v6", false, B(""), B(T253_20), B(""), FORGERY },
	{ "forged 254", false, B(""), B(T254 NOP), B(NOP NOP NOP NOP), FORGERY },
	{ "a TOA kind of another length", true, B(T200), B("\xfe\x06\xe2\xd4\xc3\xd9" MSS),
	  B(T200 MSS), FORGERY },
	{ "five forged ones", false, B(T200), B(FORGED FORGED FORGED FORGED FORGED), B(T200),
	  FORGERY },
	{ "forged one makes room", false, B(T200), B(FORGED NOP NOP TS MPC20),
	  B(T200 NOP NOP TS MPC20), FORGERY },
	{ "broken tail", false, B(T200), B(NOP NOP TS "\x05\x01" T254), B(T200 NOP NOP TS),
	  BROKEN },
	{ "broken tail too long", false, B(T200), B("\x05\x0b" T254), B(T200), BROKEN },
	{ "broken tail, last byte", false, B(T200), B(NOP NOP NOP "\x05"),
	  B(T200 NOP NOP NOP NOP), BROKEN },
	{ "broken forged one", false, B(T200), B("\xc8\x0a" "xxxxxx"), B(T200), BROKEN | FORGERY },
	{ "NOPs give way first", false, B(T253_20), B(NOP NOP TS NOP NOP SACK1),
	  B(T253_20 TS SACK1), 0 },
	{ "timestamps stay, a block of SACK goes", false, B(T253_20),
	  B(NOP NOP TS NOP NOP SACK2), B(T253_20 TS SACK1), DROPPED },
	{ "timestamps last", false, B(T253_20), B(NOP NOP SACK2 NOP NOP TS),
	  B(T253_20 SACK1 TS), DROPPED },
	{ "three blocks become two", false, B(T200), B(NOP NOP TS SACK3), B(T200 TS SACK2),
	  DROPPED },
	{ "no room for a block", false, B(T253_20), B(TS "\x63\x08" "xxxxxx" SACK2),
	  B(T253_20 TS "\x63\x08" "xxxxxx" NOP NOP), DROPPED },
	{ "only a timestamp is aligned", false, B(T253_20), B(SACK1 MPC20),
	  B(T253_20 SACK1 NOP NOP), DROPPED },
	{ "forged, and no room", false, B(T253_20), B(FORGED TS MPC20),
	  B(T253_20 NOP NOP TS), DROPPED | FORGERY },
	{ "what has room stays", false, B(T253_20), B(MPC20 TS SACKOK),
	  B(T253_20 TS SACKOK), DROPPED },
	{ "MPTCP third ACK", false, B(T200), B(NOP NOP TS MPC20 SACKOK NOP NOP),
	  B(T200 TS MPC20 SACKOK), 0 },
	{ "MPTCP third ACK, IPv6", false, B(T253_20), B(NOP NOP TS MPC20),
	  B(T253_20 NOP NOP TS), DROPPED },
	{ "MPTCP SYN", true, B(T253_20), B(MSS SACKOK TS NOP WS MPC12),
	  B(T253_20 MSS SACKOK TS WS NOP), DROPPED },
	{ "essentials behind the rest", true, B(T253_20), B(MPC12 MSS SACKOK TS WS),
	  B(T253_20 MSS SACKOK TS WS NOP), DROPPED },
	{ "SYN options without SYN are not essential", false, B(T253_20),
	  B(MPC12 MSS SACKOK TS WS), B(T253_20 MSS SACKOK TS WS NOP), DROPPED },
	{ "four timestamps", false, B(T253_20), B(TS TS TS TS), B(T253_20 TS TS), DROPPED },
	{ "timestamp of a wrong length", false, B(T253_20),
	  B("\x08\x0e" "0123456789ab" TS MPC12), B(T253_20 NOP NOP TS), DROPPED },
	{ "wrong MSS, SACK-permitted, scale", true, B(T253_20),
	  B("\x02\x08" "xxxxxx" "\x04\x06" "yyyy" "\x03\x08" "zzzzzz" TS MSS),
	  B(T253_20 "\x04\x06" "yyyy" TS MSS), DROPPED },
	{ "without TOA nothing is squeezed", true, B(""), B(MPC20 MSS SACKOK TS NOP WS),
	  B(MPC20 MSS SACKOK TS NOP WS), 0 },
};

static void test_compose(void **state)
{
	u8 out[TOA_OPT_SPACE + 8], *in, *toa;
	unsigned int i, flags;
	int n;

	(void)state;
	for (i = 0; i < ARRAY_LEN(compose_rows); i++) {
		in = tight(compose_rows[i].in.b, compose_rows[i].in.len);
		toa = tight(compose_rows[i].toa.b, compose_rows[i].toa.len);
		flags = BIT(31);
		memset(out, 0xaa, sizeof(out));
		n = toa_compose_options(out, in, compose_rows[i].in.len, compose_rows[i].syn,
					compose_rows[i].toa.len ? toa : NULL,
					compose_rows[i].toa.len, &flags);
		print_message("compose: %s\n", compose_rows[i].name);
		assert_int_equal(n, compose_rows[i].want.len);
		assert_memory_equal(out, compose_rows[i].want.b, n);
		assert_int_equal(flags, compose_rows[i].flags | BIT(31));
		assert_int_equal(out[TOA_OPT_SPACE], 0xaa);
		free(in);
		free(toa);
	}
}

static unsigned int count_option(const u8 *opts, unsigned int len, const char *want,
				 unsigned int want_len)
{
	struct toa_walk w;
	struct toa_opt o;
	unsigned int n = 0;

	toa_walk_init(&w, opts, len);
	while (toa_walk_next(&w, &o))
		if (o.len == want_len && !memcmp(o.p, want, want_len))
			n++;
	assert_false(w.malformed);
	return n;
}

/*
 * "No room is no excuse": the essential options in every order, with a foreign
 * option of every length in every place among them, always fit beside the
 * longest TOA.
 */
static void test_essentials_always_fit(void **state)
{
	static const struct bytes ess[] = { B(MSS), B(SACKOK), B(TS), B(WS) };
	unsigned int a, b, c, d, i, k, len, place, order[4], flags;
	u8 in[TOA_OPT_SPACE], out[TOA_OPT_SPACE];
	int n;

	(void)state;
	for (i = 0; i < 24; i++) {
		a = i / 6;
		b = (a + 1 + i / 2 % 3) % 4;
		for (c = 0; c == a || c == b;)
			c++;
		d = 6 - a - b - c;
		order[0] = a;
		order[1] = b;
		order[2] = i % 2 ? c : d;
		order[3] = i % 2 ? d : c;
		for (place = 0; place < 5; place++) {
			for (len = 2; len <= 21; len++) {
				n = 0;
				for (k = 0; k < 5; k++) {
					if (k == place) {
						memset(in + n, 0x55, len);
						in[n] = 30;
						in[n + 1] = len;
						n += len;
					}
					if (k == 4)
						break;
					memcpy(in + n, ess[order[k]].b, ess[order[k]].len);
					n += ess[order[k]].len;
				}
				flags = 0;
				n = toa_compose_options(out, in, n, true,
							(const u8 *)T253_20, TOA_LEN_V6, &flags);
				assert_in_range(n, 36, 40);
				assert_int_equal(n % 4, 0);
				assert_memory_equal(out, T253_20, TOA_LEN_V6);
				for (k = 0; k < 4; k++)
					assert_int_equal(count_option(out, n, ess[k].b,
								      ess[k].len), 1);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_is_kind),
		cmocka_unit_test(test_encode),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_compose),
		cmocka_unit_test(test_essentials_always_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
