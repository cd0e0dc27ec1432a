/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Connections through the LB without any stack at their ends: invented clients on
 * one side, an RS address that is nobody's on the other. No state is kept for
 * them but what learns the local address, so there may be millions.
 */
#ifndef FUZZ_FLOWS_H
#define FUZZ_FLOWS_H

#include <stdio.h>

#include "packet.h"
#include "wire.h"

#define FLOWS_LEARNED	65536	/* handshakes that may be under way */

struct service {
	uint8_t protocol;
	struct endpoint vip;
	struct endpoint rs;
};

struct flow {
	uint8_t protocol;
	struct endpoint client;
	struct endpoint vip;
	struct endpoint local;		/* LIP:lp */
	struct endpoint rs;
	uint32_t client_seq;		/* the client's next, as the client numbers */
	uint32_t client_seq_rs;		/* the same, as the RS numbers */
	uint32_t rs_seq;		/* the RS's next */
};

struct learned {
	struct endpoint local;
	uint32_t client_seq_rs;
};

struct outbox {
	struct wire *wire;
	unsigned int count;
	struct frame frames[WIRE_BATCH];
};

/* Both ends. */
struct ends {
	struct wire client;
	struct wire server;
	int client_rx;
	int server_rx;
	bool server_speaks;	/* a byte of payload answers the handshake's last ACK */
	struct outbox client_out;
	struct outbox server_out;
	struct learned learned[FLOWS_LEARNED];
	uint32_t learned_next;
};

typedef void (*flow_made)(void *context, uint32_t number, const struct flow *flow);

void ends_open(struct ends *e, const char *client, const char *server, const char *outer,
	       const char *inner);
void ends_listen(struct ends *e, const char *client, const char *server);
void ends_deafen(struct ends *e);
struct service parse_service(char *text);
struct endpoint client_of(uint32_t number, int family);
void first_packet(const struct service *svc, uint32_t number, uint8_t flags,
		  struct segment *s);
void outbox_add(struct outbox *o, const struct segment *s);
void outbox_flush(struct outbox *o);
uint32_t flows_make(struct ends *e, const struct service *svc, uint32_t first, uint32_t count,
		    flow_made made, void *context);
void flow_write(FILE *file, unsigned int generation, const struct flow *flow);
bool flow_read(FILE *file, unsigned int *generation, struct flow *flow);

#endif
