// SPDX-License-Identifier: GPL-2.0
/*
 * Many connections, or the beginnings of many.
 *
 *   flood OUR-CLIENT OUR-SERVER LB-OUTER LB-INNER SERVICE MODE FIRST COUNT [STEP [RATE]]
 *
 * The first four are NAMESPACE:DEVICE, SERVICE is PROTOCOL/VIP:PORT/RS:PORT. MODE is
 * "make" (whole handshakes, also the RS's end), "speak" (the RS's end also sends a
 * byte, which proves that it has accepted), or TCP flags like "S", "R", "A": one
 * packet for each client that nobody answers, "D" among them for four bytes of
 * data. FIRST, COUNT and STEP are numbers of invented clients, RATE is packets
 * per second at most. Prints "name value" lines.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "flows.h"

#define BATCH	8

static struct ends ends;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void sleep_for(double seconds)
{
	struct timespec t = {
		.tv_sec = (time_t)seconds,
		.tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9),
	};

	nanosleep(&t, NULL);
}

static uint8_t parse_flags(const char *text)
{
	static const char letters[] = "FSRPAU";
	const char *letter;
	uint8_t flags = 0;

	for (; *text; text++) {
		if (*text == 'D')
			continue;
		letter = strchr(letters, *text);
		if (!letter)
			die("no such flag", text);
		flags |= (uint8_t)(1u << (letter - letters));
	}
	return flags;
}

/*
 * Small batches when there is a rate, so that they are spread evenly. After a
 * pause of the machine nothing is made up for: that would be a burst.
 */
static void flood(const struct service *svc, const char *mode, uint32_t first, uint32_t count,
		  uint32_t step, double rate)
{
	uint8_t flags = parse_flags(mode);
	struct segment s;
	uint32_t i;

	for (i = 0; i < count; i++) {
		first_packet(svc, first + i * step, flags, &s);
		/* after the SYN */
		s.seq += !(flags & TCP_SYN);
		if (strchr(mode, 'D'))
			s.payload_len = 4;
		outbox_add(&ends.client_out, &s);
		if (rate > 0 && i % BATCH == BATCH - 1) {
			outbox_flush(&ends.client_out);
			sleep_for(BATCH / rate);
		}
	}
	outbox_flush(&ends.client_out);
}

int main(int argc, char **argv)
{
	uint32_t first, count, step, done;
	struct service svc;
	const char *mode;
	double began;

	if (argc < 9) {
		fprintf(stderr, "usage: see the head of the source\n");
		return 2;
	}
	ends_open(&ends, argv[1], argv[2], argv[3], argv[4]);
	svc = parse_service(argv[5]);
	mode = argv[6];
	first = (uint32_t)strtoul(argv[7], NULL, 0);
	count = (uint32_t)strtoul(argv[8], NULL, 0);
	step = argc > 9 ? (uint32_t)strtoul(argv[9], NULL, 0) : 1;
	began = now();
	if (!strcmp(mode, "make") || !strcmp(mode, "speak")) {
		ends.server_speaks = !strcmp(mode, "speak");
		ends_listen(&ends, argv[1], argv[2]);
		done = flows_make(&ends, &svc, first, count, NULL, NULL);
	} else {
		flood(&svc, mode, first, count, step, argc > 10 ? atof(argv[10]) : 0);
		done = count;
	}
	printf("done %u\nsent %llu\nrefused %llu\nmilliseconds %.0f\n", done,
	       (unsigned long long)(ends.client.sent + ends.server.sent),
	       (unsigned long long)(ends.client.refused + ends.server.refused),
	       (now() - began) * 1000);
	return done < count;
}
