/* SPDX-License-Identifier: GPL-2.0 */
/* Packet sockets on an interface of a network namespace. */
#ifndef FUZZ_WIRE_H
#define FUZZ_WIRE_H

#include <stdint.h>

#include "packet.h"

#define WIRE_BATCH	64

struct wire {
	int fd;
	uint8_t mac[6];
	uint8_t gateway[6];	/* the LB's interface on this wire */
	uint64_t sent;
	uint64_t refused;	/* by our own kernel */
};

/* A packet that came, parsed. */
struct arrival {
	struct segment seg;
	uint8_t buf[2048];
};

/* No-ops for lab/bench/profile.c: it counts what is executed between them. */
static inline void mark_begin(void)
{
	asm volatile(".byte 0x0f, 0x1f, 0x80, 1, 0x4d, 0x4e, 0x46" : : : "memory");
}

static inline void mark_end(void)
{
	asm volatile(".byte 0x0f, 0x1f, 0x80, 2, 0x4d, 0x4e, 0x46" : : : "memory");
}

void die(const char *what, const char *which);
void wire_enter(const char *where);
void wire_open(struct wire *w, const char *where, const char *gateway);
void wire_send(struct wire *w, struct frame *frames, unsigned int count);
int wire_listen(const char *where, int rcvbuf);
int wire_receive(int fd, struct arrival *a);
struct endpoint parse_endpoint(const char *text);

#endif
