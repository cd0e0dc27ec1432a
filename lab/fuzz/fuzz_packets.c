// SPDX-License-Identifier: GPL-2.0
/*
 * Sends mutated packets of live connections through the LB, from both its sides.
 *
 *   fuzz-packets -s SEED -n COUNT [-f FIRST] [-g GENERATION] [-k KIND,...]
 *                -l FLOWS -w CLIENT,SERVER,OUTER,INNER -v SERVICE [-v SERVICE...]
 *                [-p ADDRESS,...]
 *   fuzz-packets -s SEED -n COUNT [-f FIRST] ... -r FLOWS -o FILE.pcap
 *
 * New connections are made every GENERATION packets, and written to FLOWS. The
 * packets depend on the seed, their number and the connections only: -r makes
 * the same ones again from what was written, without a network, into a capture.
 * -p: addresses that no packet may claim to come from. Prints "name value" lines;
 * "digest" is of all the packets.
 */
#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mutate.h"

#define SERVICES_MAX	8
#define FLOWS_PER_SERVICE	64
#define PROTECTED_MAX	8

struct options {
	uint64_t seed, count, first, generation;
	unsigned int kinds;
	char *wires[4];			/* client, server, outer, inner */
	struct service services[SERVICES_MAX];
	unsigned int service_count;
	uint8_t protected[PROTECTED_MAX][4];
	unsigned int protected_count;
	FILE *flows;
	bool replay;
	FILE *pcap;
};

static struct options opt = { .seed = 1, .count = 1000, .generation = 10000, .kinds = ~0u };
static struct ends ends;
static struct flow flows[SERVICES_MAX * FLOWS_PER_SERVICE];
static unsigned int flow_count;
static uint32_t next_client = 1;
static uint64_t digest = 0xcbf29ce484222325ull;
static uint64_t made[KIND_MAX];
static uint64_t flows_wanted, flows_made_sum;

static unsigned int parse_kinds(char *text)
{
	unsigned int kinds = 0, i;
	char *word;

	for (word = strtok(text, ","); word; word = strtok(NULL, ",")) {
		for (i = 0; i < KIND_MAX && strcmp(word, kind_names[i]); i++)
			;
		if (i == KIND_MAX)
			die("no such kind", word);
		kinds |= 1u << i;
	}
	return kinds;
}

static void parse_protected(char *text)
{
	char *word;

	for (word = strtok(text, ","); word; word = strtok(NULL, ",")) {
		if (opt.protected_count == PROTECTED_MAX ||
		    inet_pton(AF_INET, word, opt.protected[opt.protected_count++]) != 1)
			die("not an address, or too many", word);
	}
}

static void parse_wires(char *text)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		opt.wires[i] = strtok(i ? NULL : text, ",");
	if (!opt.wires[3])
		die("four of them are wanted", "-w");
}

static FILE *open_file(const char *name, const char *mode)
{
	FILE *file = fopen(name, mode);

	if (!file)
		die("open", name);
	return file;
}

static void parse_options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "s:n:f:g:k:l:w:v:p:r:o:")) != -1) {
		switch (c) {
		case 's':
			opt.seed = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			opt.count = strtoull(optarg, NULL, 0);
			break;
		case 'f':
			opt.first = strtoull(optarg, NULL, 0);
			break;
		case 'g':
			opt.generation = strtoull(optarg, NULL, 0);
			break;
		case 'k':
			opt.kinds = parse_kinds(optarg);
			break;
		case 'l':
		case 'r':
			opt.replay = c == 'r';
			opt.flows = open_file(optarg, opt.replay ? "r" : "w");
			break;
		case 'w':
			parse_wires(optarg);
			break;
		case 'v':
			if (opt.service_count == SERVICES_MAX)
				die("too many services", optarg);
			opt.services[opt.service_count++] = parse_service(optarg);
			break;
		case 'p':
			parse_protected(optarg);
			break;
		case 'o':
			opt.pcap = open_file(optarg, "w");
			break;
		default:
			exit(2);
		}
	}
	if (!opt.flows || (!opt.replay && (!opt.wires[0] || !opt.service_count)))
		die("usage", "see the head of the source");
}

static void keep_flow(void *generation, uint32_t number, const struct flow *flow)
{
	(void)number;
	flows[flow_count++] = *flow;
	flow_write(opt.flows, *(unsigned int *)generation, flow);
}

static void make_flows(unsigned int generation)
{
	unsigned int i;

	flow_count = 0;
	/* so that some never leave the phase in which requests carry a TOA */
	ends.server_speaks = generation & 1;
	ends_listen(&ends, opt.wires[0], opt.wires[1]);
	for (i = 0; i < opt.service_count; i++) {
		flows_made_sum += flows_make(&ends, &opt.services[i], next_client,
					     FLOWS_PER_SERVICE, keep_flow, &generation);
		flows_wanted += FLOWS_PER_SERVICE;
		next_client += FLOWS_PER_SERVICE;
	}
	ends_deafen(&ends);
	/* a panic must not take the record along */
	fflush(opt.flows);
	fsync(fileno(opt.flows));
}

/* The flows of this generation as they were recorded. */
static void read_flows(unsigned int wanted)
{
	static struct flow next;
	static unsigned int next_generation;
	static bool pending;

	flow_count = 0;
	for (;;) {
		if (!pending && !flow_read(opt.flows, &next_generation, &next))
			return;
		pending = next_generation > wanted;
		if (pending)
			return;
		if (next_generation == wanted)
			flows[flow_count++] = next;
	}
}

static void begin_generation(unsigned int generation)
{
	if (opt.replay)
		read_flows(generation);
	else
		make_flows(generation);
	if (!flow_count) {
		printf("no_flows_in_generation %u\n", generation);
		exit(1);
	}
}

/* The addresses of legitimate hosts are left to them: see -p. */
static void keep_apart(struct frame *f)
{
	uint8_t *source = f->data + ETH_LEN + 12;
	unsigned int i;

	if (f->len < ETH_LEN + IPV4_LEN)
		return;
	for (i = 0; i < opt.protected_count; i++)
		if (!memcmp(source, opt.protected[i], 4))
			source[3] ^= 0x80;
}

/* FNV-1a, without the hardware addresses. */
static void digest_add(const uint8_t *p, unsigned int len)
{
	while (len--)
		digest = (digest ^ *p++) * 0x100000001b3ull;
}

static void pcap_header(void)
{
	const uint32_t header[] = { 0xa1b2c3d4, 2 | 4 << 16, 0, 0, 65535, 1 };

	fwrite(header, sizeof(header), 1, opt.pcap);
}

static void pcap_write(const struct frame *f)
{
	const uint32_t header[] = { 0, 0, f->len, f->len };

	fwrite(header, sizeof(header), 1, opt.pcap);
	fwrite(f->data, f->len, 1, opt.pcap);
}

/* Gathers frames for one side. */
static void send_frame(struct outbox *o, const struct frame *f)
{
	struct frame *copy = &o->frames[o->count++];

	memcpy(copy, f, offsetof(struct frame, data) + f->len);
	if (o->count == WIRE_BATCH)
		outbox_flush(o);
}

static void shoot(struct shot *shot)
{
	struct outbox *o = shot->side == SIDE_CLIENT ? &ends.client_out : &ends.server_out;
	unsigned int i;

	made[shot->kind]++;
	for (i = 0; i < shot->count; i++) {
		struct frame *f = &shot->frames[i];

		keep_apart(f);
		digest_add((uint8_t *)&f->vnet, sizeof(f->vnet));
		digest_add(f->data + 12, f->len - 12);
		if (opt.pcap)
			pcap_write(f);
		if (!opt.replay)
			send_frame(o, f);
	}
}

static void fuzz(void)
{
	struct mutator m = {
		.seed = opt.seed, .kinds = opt.kinds, .flows = flows,
		.mac = { ends.client.mac, ends.server.mac },
		.gateway = { ends.client.gateway, ends.server.gateway },
	};
	uint64_t number, end = opt.first + opt.count, generation = UINT64_MAX;
	static struct shot shot;

	for (number = opt.first; number < end; number++) {
		if (number / opt.generation != generation) {
			generation = number / opt.generation;
			begin_generation((unsigned int)generation);
			m.flow_count = flow_count;
		}
		mutate(&m, number, &shot);
		shoot(&shot);
	}
	outbox_flush(&ends.client_out);
	outbox_flush(&ends.server_out);
}

static void report(void)
{
	unsigned int i;

	printf("seed %llu\nfirst %llu\npackets %llu\ndigest %llu\n",
	       (unsigned long long)opt.seed, (unsigned long long)opt.first,
	       (unsigned long long)opt.count, (unsigned long long)digest);
	for (i = 0; i < KIND_MAX; i++)
		printf("%s %llu\n", kind_names[i], (unsigned long long)made[i]);
	printf("flows_wanted %llu\nflows_made %llu\n", (unsigned long long)flows_wanted,
	       (unsigned long long)flows_made_sum);
	printf("sent_by_client %llu\nsent_by_server %llu\nrefused %llu\n",
	       (unsigned long long)ends.client.sent, (unsigned long long)ends.server.sent,
	       (unsigned long long)(ends.client.refused + ends.server.refused));
}

int main(int argc, char **argv)
{
	parse_options(argc, argv);
	printf("seed %llu first %llu count %llu\n", (unsigned long long)opt.seed,
	       (unsigned long long)opt.first, (unsigned long long)opt.count);
	fflush(stdout);
	if (opt.pcap)
		pcap_header();
	if (!opt.replay)
		ends_open(&ends, opt.wires[0], opt.wires[1], opt.wires[2], opt.wires[3]);
	fuzz();
	report();
	if (opt.pcap && fclose(opt.pcap))
		die("write", "capture");
	return 0;
}
