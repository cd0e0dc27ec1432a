// SPDX-License-Identifier: GPL-2.0
#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "flows.h"

#define RCVBUF		(128 << 20)
#define ROUNDS		8	/* a first packet is sent at most this often */
#define PATIENCE	1000	/* ms to wait for answers when all is sent */
#define CLIENT_PORT	1024

static const uint8_t client_net4[] = { 198, 18 };
static const uint8_t client_net6[] = { 0x20, 0x01, 0x0d, 0xb8, 0x0b, 0xad };

/* MSS, SACK permitted, timestamps, window scale: what hosts send. */
static const uint8_t syn_options[] = {
	2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 16, 0, 0, 0, 0, 0, 1, 3, 3, 7,
};

/* All are NAMESPACE:DEVICE: ours, and the LB's on the same wires. */
void ends_open(struct ends *e, const char *client, const char *server, const char *outer,
	       const char *inner)
{
	wire_open(&e->client, client, outer);
	wire_open(&e->server, server, inner);
	e->client_out.wire = &e->client;
	e->server_out.wire = &e->server;
	e->client_rx = -1;
	e->server_rx = -1;
}

void ends_listen(struct ends *e, const char *client, const char *server)
{
	e->client_rx = wire_listen(client, RCVBUF);
	e->server_rx = wire_listen(server, RCVBUF);
}

void ends_deafen(struct ends *e)
{
	close(e->client_rx);
	close(e->server_rx);
}

/* "tcp/203.0.113.80:80/10.0.0.77:80" */
struct service parse_service(char *text)
{
	struct service svc = {};
	char *vip = strchr(text, '/'), *rs = vip ? strchr(vip + 1, '/') : NULL;

	if (!rs)
		die("not PROTOCOL/VIP:PORT/RS:PORT", text);
	svc.protocol = strncmp(text, "udp/", 4) ? IPPROTO_TCP : IPPROTO_UDP;
	*rs = 0;
	svc.vip = parse_endpoint(vip + 1);
	svc.rs = parse_endpoint(rs + 1);
	return svc;
}

/* The invented client of this number: 65536 addresses, then the next port. */
struct endpoint client_of(uint32_t number, int family)
{
	struct endpoint e = { .family = family, .port = (uint16_t)(CLIENT_PORT + (number >> 16)) };

	if (family == AF_INET)
		memcpy(e.addr, client_net4, sizeof(client_net4));
	else
		memcpy(e.addr, client_net6, sizeof(client_net6));
	put16(e.addr + addr_len(family) - 2, number & 0xffff);
	return e;
}

static uint32_t number_of(const struct endpoint *e)
{
	return (uint32_t)(e->port - CLIENT_PORT) << 16 | get16(e->addr + addr_len(e->family) - 2);
}

static bool same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
	return a->family == b->family && a->port == b->port &&
	       !memcmp(a->addr, b->addr, addr_len(a->family));
}

void outbox_flush(struct outbox *o)
{
	wire_send(o->wire, o->frames, o->count);
	o->count = 0;
}

void outbox_add(struct outbox *o, const struct segment *s)
{
	struct frame *f = &o->frames[o->count++];

	frame_begin(f, o->wire->gateway, o->wire->mac, s->src.family);
	frame_segment(f, s);
	frame_finish(f);
	if (o->count == WIRE_BATCH)
		outbox_flush(o);
}

/* What this client begins with; every second TCP client has all the usual options. */
void first_packet(const struct service *svc, uint32_t number, uint8_t flags,
		  struct segment *s)
{
	memset(s, 0, sizeof(*s));
	s->src = client_of(number, svc->vip.family);
	s->dst = svc->vip;
	s->protocol = svc->protocol;
	s->flags = flags;
	s->seq = number * 2654435761u;
	if (flags & TCP_SYN && number & 1) {
		s->options_len = sizeof(syn_options);
		memcpy(s->options, syn_options, sizeof(syn_options));
	}
	if (svc->protocol == IPPROTO_UDP)
		s->payload_len = 4;
}

/* A packet in answer to another, with nothing in it yet. */
static void answer_to(const struct segment *s, struct segment *answer)
{
	memset(answer, 0, sizeof(*answer));
	answer->src = s->dst;
	answer->dst = s->src;
	answer->protocol = s->protocol;
	answer->flags = TCP_ACK;
	answer->seq = s->ack;
	answer->ack = s->seq + s->payload_len + !!(s->flags & TCP_SYN);
}

/*
 * The RS's end. Its ISN (or the payload of UDP) tells the client's end which
 * entry of "learned" has the local address.
 */
static void server_takes(struct ends *e, const struct service *svc, const struct segment *s)
{
	bool udp = s->protocol == IPPROTO_UDP;
	struct segment answer;
	uint8_t tag[4];

	if (s->protocol != svc->protocol || !same_endpoint(&s->dst, &svc->rs))
		return;
	answer_to(s, &answer);
	if (udp || (s->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN) {
		e->learned_next = (e->learned_next + 1) % FLOWS_LEARNED;
		e->learned[e->learned_next].local = s->src;
		e->learned[e->learned_next].client_seq_rs = answer.ack;
		answer.flags = TCP_SYN | TCP_ACK;
		answer.seq = e->learned_next << 16;
		answer.options_len = s->options_len;
		memcpy(answer.options, s->options, s->options_len);
		put32(tag, e->learned_next << 16);
		answer.payload = tag;
		answer.payload_len = udp ? sizeof(tag) : 0;
	} else if (e->server_speaks && !s->payload_len && !(s->flags & (TCP_RST | TCP_FIN))) {
		answer.flags = TCP_PSH | TCP_ACK;
		answer.payload_len = 1;
	} else {
		return;
	}
	outbox_add(&e->server_out, &answer);
}

struct making {
	const struct service *svc;
	uint32_t first;
	uint32_t count;
	uint32_t done_count;
	uint8_t *done;		/* by number */
	flow_made made;
	void *context;
};

static void flow_is_made(struct ends *e, struct making *m, const struct segment *s,
			 uint32_t tag)
{
	const struct learned *l = &e->learned[tag >> 16];
	struct flow flow = {
		.protocol = s->protocol,
		.client = s->dst,
		.vip = s->src,
		.local = l->local,
		.rs = m->svc->rs,
		.client_seq = s->ack,
		.client_seq_rs = l->client_seq_rs,
		.rs_seq = s->seq + 1,
	};
	uint32_t index = number_of(&s->dst) - m->first;

	if (index >= m->count || m->done[index])
		return;
	m->done[index] = 1;
	m->done_count++;
	if (m->made)
		m->made(m->context, m->first + index, &flow);
}

/* The client's end. */
static void client_takes(struct ends *e, struct making *m, const struct segment *s)
{
	struct segment answer;

	if (s->protocol != m->svc->protocol || !same_endpoint(&s->src, &m->svc->vip))
		return;
	if (s->protocol == IPPROTO_UDP) {
		if (s->payload_len == 4)
			flow_is_made(e, m, s, get32(s->payload));
		return;
	}
	if ((s->flags & (TCP_SYN | TCP_ACK)) != (TCP_SYN | TCP_ACK))
		return;
	answer_to(s, &answer);
	outbox_add(&e->client_out, &answer);
	flow_is_made(e, m, s, s->seq);
}

/* Takes and answers all that has come. Returns if there was something. */
static bool pump(struct ends *e, struct making *m)
{
	struct arrival a;
	bool some = false;
	int got;

	while ((got = wire_receive(e->server_rx, &a)) >= 0) {
		some = true;
		if (got)
			server_takes(e, m->svc, &a.seg);
	}
	outbox_flush(&e->server_out);
	while ((got = wire_receive(e->client_rx, &a)) >= 0) {
		some = true;
		if (got)
			client_takes(e, m, &a.seg);
	}
	outbox_flush(&e->client_out);
	return some;
}

static void wait_for_answers(struct ends *e, struct making *m)
{
	struct pollfd fds[] = {
		{ .fd = e->client_rx, .events = POLLIN },
		{ .fd = e->server_rx, .events = POLLIN },
	};

	while (m->done_count < m->count && poll(fds, 2, PATIENCE) > 0)
		pump(e, m);
}

/**
 * flows_make - complete handshakes
 * @e: after ends_listen()
 * @first: number of the first client
 * @made: called for each, may be NULL
 *
 * Return: how many of @count were made.
 */
uint32_t flows_make(struct ends *e, const struct service *svc, uint32_t first, uint32_t count,
		    flow_made made, void *context)
{
	struct making m = {
		.svc = svc, .first = first, .count = count, .done = calloc(count, 1),
		.made = made, .context = context,
	};
	unsigned int round;
	struct segment s;
	uint32_t i;

	if (!m.done)
		die("memory", "flows");
	for (round = 0; round < ROUNDS && m.done_count < count; round++) {
		for (i = 0; i < count; i++) {
			if (m.done[i])
				continue;
			first_packet(svc, first + i, TCP_SYN, &s);
			outbox_add(&e->client_out, &s);
			if (!e->client_out.count)
				pump(e, &m);
		}
		outbox_flush(&e->client_out);
		wait_for_answers(e, &m);
	}
	/* the answers to the last ACKs */
	pump(e, &m);
	free(m.done);
	return m.done_count;
}

static void endpoint_write(FILE *file, const struct endpoint *e)
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(e->family, e->addr, text, sizeof(text));
	fprintf(file, e->family == AF_INET ? " %s:%u" : " [%s]:%u", text, e->port);
}

/* A line: generation, protocol, four endpoints, three numbers. */
void flow_write(FILE *file, unsigned int generation, const struct flow *flow)
{
	fprintf(file, "%u %u", generation, flow->protocol);
	endpoint_write(file, &flow->client);
	endpoint_write(file, &flow->vip);
	endpoint_write(file, &flow->local);
	endpoint_write(file, &flow->rs);
	fprintf(file, " %u %u %u\n", flow->client_seq, flow->client_seq_rs, flow->rs_seq);
}

/* False: no more. */
bool flow_read(FILE *file, unsigned int *generation, struct flow *flow)
{
	struct endpoint *ends[] = { &flow->client, &flow->vip, &flow->local, &flow->rs };
	unsigned int i, protocol;
	char text[64];

	if (fscanf(file, "%u %u", generation, &protocol) != 2)
		return false;
	flow->protocol = (uint8_t)protocol;
	for (i = 0; i < 4; i++) {
		if (fscanf(file, "%63s", text) != 1)
			return false;
		*ends[i] = parse_endpoint(text);
	}
	return fscanf(file, "%u %u %u", &flow->client_seq, &flow->client_seq_rs,
		      &flow->rs_seq) == 3;
}
