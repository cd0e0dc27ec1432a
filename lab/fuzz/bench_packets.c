// SPDX-License-Identifier: GPL-2.0
/*
 * What a packet of an established connection costs, where the clock counts instructions.
 *
 *   bench-packets OUR-CLIENT OUR-SERVER LB-OUTER LB-INNER SERVICE FLOWS PACKETS ROUNDS [nobody]
 *
 * The first four are NAMESPACE:DEVICE, SERVICE is PROTOCOL/VIP:PORT/RS:PORT. Makes FLOWS
 * connections, then sends PACKETS small packets of the first of them in turn, ROUNDS times, from
 * the client's side and then from the real server's. A packet is through when send returns: with
 * one processor the devices' softirqs run in there. Prints "request N" and "reply N", the
 * nanoseconds of one packet in the best round.
 *
 * "nobody": they are sent to a hardware address that is not the LB's, so that its first
 * look at them is the last. That is what the generator itself costs.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "flows.h"

#define PAYLOAD		16
#define FIRST_CLIENT	1	/* odd: it speaks with timestamps */
#define HEADERS		(ETH_LEN + IPV6_LEN + TCP_LEN + 12)
#define SMALL		(sizeof(struct virtio_net_hdr) + HEADERS + PAYLOAD)

/* A frame of a small packet, with nothing around it: there are very many. */
struct small {
	unsigned int len;
	uint8_t data[SMALL];
};

struct bench {
	struct small *requests;
	struct small *replies;
	uint32_t first;
	bool nobody;
};

static struct ends ends;

static const uint8_t timestamps[] = { 1, 1, 8, 10, 0, 0, 16, 1, 0, 0, 16, 0 };
static const uint8_t payload[PAYLOAD];

static void make_small(struct small *small, const struct wire *wire, const struct segment *s,
		       bool nobody)
{
	static struct frame f;

	frame_begin(&f, wire->gateway, wire->mac, s->src.family);
	frame_segment(&f, s);
	frame_finish(&f);
	if (nobody)
		f.data[5] ^= 1;
	small->len = (unsigned int)sizeof(f.vnet) + f.len;
	if (small->len > sizeof(small->data))
		die("frame", "too long");
	memset(small->data, 0, sizeof(f.vnet));
	memcpy(small->data + sizeof(f.vnet), f.data, f.len);
}

static void both_packets(void *context, uint32_t number, const struct flow *flow)
{
	struct bench *b = context;
	struct segment s = {
		.src = flow->client, .dst = flow->vip, .protocol = flow->protocol,
		.flags = TCP_PSH | TCP_ACK, .seq = flow->client_seq, .ack = flow->rs_seq + 1,
		.payload = payload, .payload_len = PAYLOAD,
	};

	if (flow->protocol == IPPROTO_TCP && number & 1) {
		s.options_len = sizeof(timestamps);
		memcpy(s.options, timestamps, sizeof(timestamps));
	}
	make_small(&b->requests[number - b->first], &ends.client, &s, b->nobody);
	s.src = flow->rs;
	s.dst = flow->local;
	s.seq = flow->rs_seq + 1;
	s.ack = flow->client_seq_rs;
	make_small(&b->replies[number - b->first], &ends.server, &s, b->nobody);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Nanoseconds of one packet, of each step'th flow in turn. */
static double send_all(const struct wire *wire, struct small *small, uint32_t flows,
		       uint32_t packets, uint32_t step)
{
	struct mmsghdr messages[WIRE_BATCH] = {};
	struct iovec iov[WIRE_BATCH];
	uint32_t i, at = 0, sent;
	double began = now();

	for (sent = 0; sent < packets; sent += WIRE_BATCH) {
		for (i = 0; i < WIRE_BATCH; i++) {
			iov[i] = (struct iovec){ small[at].data, small[at].len };
			messages[i].msg_hdr.msg_iov = &iov[i];
			messages[i].msg_hdr.msg_iovlen = 1;
			at = at + step < flows ? at + step : 0;
		}
		if (sendmmsg(wire->fd, messages, WIRE_BATCH, 0) != WIRE_BATCH)
			die("send", "packet socket");
	}
	return (now() - began) / sent;
}

/* Every second client of TCP speaks without timestamps: the others are measured. */
static double best(const struct wire *wire, struct small *small, uint32_t flows,
		   uint32_t packets, uint32_t rounds)
{
	double least, one;
	uint32_t i;

	/* of many flows they have been silent for too long by now to be fast */
	send_all(wire, small, flows, packets, 2);
	least = send_all(wire, small, flows, packets, 2);
	mark_begin();
	for (i = 0; i < rounds; i++) {
		one = send_all(wire, small, flows, packets, 2);
		if (one < least)
			least = one;
	}
	mark_end();
	return least;
}

int main(int argc, char **argv)
{
	uint32_t flows, packets, rounds, made;
	struct bench bench = { .first = FIRST_CLIENT };
	struct service svc;

	if (argc < 9) {
		fprintf(stderr, "usage: see the head of the source\n");
		return 2;
	}
	ends_open(&ends, argv[1], argv[2], argv[3], argv[4]);
	svc = parse_service(argv[5]);
	flows = (uint32_t)strtoul(argv[6], NULL, 0);
	packets = (uint32_t)strtoul(argv[7], NULL, 0);
	rounds = (uint32_t)strtoul(argv[8], NULL, 0);
	bench.nobody = argc > 9;
	bench.requests = calloc(flows, sizeof(*bench.requests));
	bench.replies = calloc(flows, sizeof(*bench.replies));
	if (!bench.requests || !bench.replies)
		die("memory", "frames");
	ends.server_speaks = true;
	ends_listen(&ends, argv[1], argv[2]);
	made = flows_make(&ends, &svc, bench.first, flows, both_packets, &bench);
	if (made != flows) {
		fprintf(stderr, "%u of %u connections were made\n", made, flows);
		return 1;
	}
	ends_deafen(&ends);
	/* a conversation in both directions: UDP counts as open then */
	send_all(&ends.client, bench.requests, flows, flows, 1);
	send_all(&ends.server, bench.replies, flows, flows, 1);
	send_all(&ends.client, bench.requests, flows, flows, 1);
	printf("request %.1f\n", best(&ends.client, bench.requests, flows, packets, rounds));
	printf("reply %.1f\n", best(&ends.server, bench.replies, flows, packets, rounds));
	return 0;
}
