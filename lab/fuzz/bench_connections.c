// SPDX-License-Identifier: GPL-2.0
/*
 * What a connection costs, from SYN to FIN, where the clock counts instructions.
 *
 *   bench-connections CLIENT SERVER ADDRESS:PORT LISTEN:PORT CONNECTIONS ROUNDS
 *
 * CLIENT and SERVER are namespaces. The client's end connects to ADDRESS:PORT, sends a small HTTP
 * request, and reads until the server closes; the server's end accepts at LISTEN:PORT, takes the
 * request (whatever is in front of it, such as a PROXY header), answers and closes. Both are
 * this one thread, with the kernel's own TCP, so that nobody waits while nothing happens.
 * Prints "connection N", the nanoseconds of one of CONNECTIONS in the best of ROUNDS.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

#define BUFFER	1024

static const char request[] = "GET /index.html HTTP/1.0\r\nHost: bench\r\nUser-Agent: b\r\n\r\n";
static const char response[] = "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n"
			       "Content-Length: 6\r\nConnection: close\r\n\r\nhello\n";

static socklen_t address_of(const struct endpoint *e, struct sockaddr_storage *address)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;
	struct sockaddr_in *in = (struct sockaddr_in *)address;

	memset(address, 0, sizeof(*address));
	address->ss_family = (sa_family_t)e->family;
	if (e->family == AF_INET) {
		in->sin_port = htons(e->port);
		memcpy(&in->sin_addr, e->addr, sizeof(in->sin_addr));
		return sizeof(*in);
	}
	in6->sin6_port = htons(e->port);
	memcpy(&in6->sin6_addr, e->addr, sizeof(in6->sin6_addr));
	return sizeof(*in6);
}

static int listen_at(const struct endpoint *e)
{
	struct sockaddr_storage address;
	socklen_t len = address_of(e, &address);
	int fd = socket(e->family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&address, len) || listen(fd, 64))
		die("listen", "server");
	return fd;
}

static int connect_to(const struct endpoint *e)
{
	struct sockaddr_storage address;
	socklen_t len = address_of(e, &address);
	int fd = socket(e->family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, len))
		die("connect", "client");
	return fd;
}

static void send_text(int fd, const char *text, size_t len)
{
	if (send(fd, text, len, 0) != (ssize_t)len)
		die("send", "socket");
}

/* The server's end: all until the empty line. */
static void take_request(int fd)
{
	char buf[BUFFER];
	size_t have = 0;
	ssize_t got;

	while (have < 4 || memcmp(buf + have - 4, "\r\n\r\n", 4)) {
		got = recv(fd, buf + have, sizeof(buf) - have, 0);
		if (got <= 0)
			die("request", got ? "receive" : "the connection was closed");
		have += (size_t)got;
	}
}

static void take_response(int fd)
{
	char buf[BUFFER];
	size_t have = 0;
	ssize_t got;

	while ((got = recv(fd, buf + have, sizeof(buf) - have, 0)) > 0)
		have += (size_t)got;
	if (got || have != sizeof(response) - 1 || memcmp(buf, response, have))
		die("response", "not what was sent");
}

static void one_connection(const struct endpoint *target, int listener)
{
	int client = connect_to(target), server;

	send_text(client, request, sizeof(request) - 1);
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (server < 0)
		die("accept", "server");
	take_request(server);
	send_text(server, response, sizeof(response) - 1);
	close(server);
	take_response(client);
	close(client);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
	double best = 0, began, one;
	struct endpoint target, own;
	unsigned int i, round, connections, rounds;
	int listener;

	if (argc != 7) {
		fprintf(stderr, "usage: see the head of the source\n");
		return 2;
	}
	target = parse_endpoint(argv[3]);
	own = parse_endpoint(argv[4]);
	connections = (unsigned int)strtoul(argv[5], NULL, 0);
	rounds = (unsigned int)strtoul(argv[6], NULL, 0);
	wire_enter(argv[2]);
	listener = listen_at(&own);
	wire_enter(argv[1]);
	/* the first ones find neighbours and fill caches */
	for (i = 0; i < connections; i++)
		one_connection(&target, listener);
	mark_begin();
	for (round = 0; round < rounds; round++) {
		began = now();
		for (i = 0; i < connections; i++)
			one_connection(&target, listener);
		one = (now() - began) / connections;
		if (!round || one < best)
			best = one;
	}
	mark_end();
	printf("connection %.0f\n", best);
	return 0;
}
