// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include "wire.h"

void die(const char *what, const char *which)
{
	fprintf(stderr, "%s: %s: %s\n", what, which, strerror(errno));
	exit(1);
}

/* Enters the namespace that is named up to a colon, for good. */
void wire_enter(const char *where)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%.*s", (int)strcspn(where, ":"), where);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die("namespace", path);
	close(fd);
}

/* "NAMESPACE:DEVICE": enters the namespace for good, returns the device. */
static const char *enter(const char *where)
{
	const char *device = strchr(where, ':');

	if (!device)
		die("not NAMESPACE:DEVICE", where);
	wire_enter(where);
	return device + 1;
}

static int packet_socket(const char *device, uint16_t protocol)
{
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(protocol),
		.sll_ifindex = (int)if_nametoindex(device),
	};
	/* nothing is received before it is bound */
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0 || !addr.sll_ifindex || bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		die("packet socket", device);
	return fd;
}

static void device_mac(int fd, const char *device, uint8_t *mac)
{
	struct ifreq request = {};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
	if (ioctl(fd, SIOCGIFHWADDR, &request))
		die("hardware address", device);
	memcpy(mac, request.ifr_hwaddr.sa_data, 6);
}

/* For sending from "where" to "gateway", both NAMESPACE:DEVICE. */
void wire_open(struct wire *w, const char *where, const char *gateway)
{
	const char *device = enter(where);
	int one = 1, fd;

	w->fd = packet_socket(device, 0);
	device_mac(w->fd, device, w->mac);
	if (setsockopt(w->fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)))
		die("packet socket", where);
	device = enter(gateway);
	fd = packet_socket(device, 0);
	device_mac(fd, device, w->gateway);
	close(fd);
}

static void send_batch(struct wire *w, struct frame *frames, unsigned int count)
{
	struct mmsghdr messages[WIRE_BATCH] = {};
	struct iovec iov[WIRE_BATCH][2];
	unsigned int i, done = 0;
	int sent;

	for (i = 0; i < count; i++) {
		iov[i][0] = (struct iovec){ &frames[i].vnet, sizeof(frames[i].vnet) };
		iov[i][1] = (struct iovec){ frames[i].data, frames[i].len };
		messages[i].msg_hdr.msg_iov = iov[i];
		messages[i].msg_hdr.msg_iovlen = 2;
	}
	while (done < count) {
		sent = sendmmsg(w->fd, messages + done, count - done, 0);
		if (sent > 0) {
			done += (unsigned int)sent;
			w->sent += (unsigned int)sent;
		} else if (errno == ENETDOWN || errno == ENXIO) {
			die("send", "packet socket");
		} else if (errno != EINTR) {
			w->refused++;
			done++;
		}
	}
}

/* What the kernel refuses to send is counted and left out. */
void wire_send(struct wire *w, struct frame *frames, unsigned int count)
{
	unsigned int part;

	for (; count; frames += part, count -= part) {
		part = count < WIRE_BATCH ? count : WIRE_BATCH;
		send_batch(w, frames, part);
	}
}

/* A socket that gets what arrives at "where", never blocking. */
int wire_listen(const char *where, int rcvbuf)
{
	int fd = packet_socket(enter(where), ETH_P_ALL), one = 1;

	if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &rcvbuf, sizeof(rcvbuf)))
		die("listen", where);
	return fd;
}

static bool parse_transport(struct arrival *a, const uint8_t *p, const uint8_t *end)
{
	struct segment *s = &a->seg;
	unsigned int header;

	if (end - p < UDP_LEN)
		return false;
	s->src.port = get16(p);
	s->dst.port = get16(p + 2);
	if (s->protocol == IPPROTO_TCP) {
		header = end - p < TCP_LEN ? 0 : (p[12] >> 4) * 4u;
		if (header < TCP_LEN || p + header > end)
			return false;
		s->seq = get32(p + 4);
		s->ack = get32(p + 8);
		s->flags = p[13];
		s->options_len = header - TCP_LEN;
		memcpy(s->options, p + TCP_LEN, s->options_len);
	} else if (s->protocol == IPPROTO_UDP) {
		header = UDP_LEN;
	} else {
		return false;
	}
	s->payload = p + header;
	s->payload_len = (unsigned int)(end - s->payload);
	return true;
}

static bool parse(struct arrival *a, unsigned int len)
{
	uint16_t type = len > ETH_LEN ? get16(a->buf + 12) : 0;
	const uint8_t *ip = a->buf + ETH_LEN, *end = a->buf + len;
	struct segment *s = &a->seg;
	bool v4 = type == 0x0800;
	unsigned int header;

	memset(s, 0, sizeof(*s));
	if ((!v4 && type != 0x86dd) || end - ip < (v4 ? IPV4_LEN : IPV6_LEN))
		return false;
	header = v4 ? (ip[0] & 15) * 4u : IPV6_LEN;
	if (end - ip < (long)header || (v4 && get16(ip + 6) & 0x3fff))
		return false;
	s->src.family = v4 ? AF_INET : AF_INET6;
	s->dst.family = s->src.family;
	s->protocol = ip[v4 ? 9 : 6];
	memcpy(s->src.addr, ip + (v4 ? 12 : 8), addr_len(s->src.family));
	memcpy(s->dst.addr, ip + (v4 ? 16 : 24), addr_len(s->src.family));
	return parse_transport(a, ip + header, end);
}

/* 1: a TCP or UDP packet; 0: something else; -1: nothing is there. */
int wire_receive(int fd, struct arrival *a)
{
	ssize_t len = recv(fd, a->buf, sizeof(a->buf), MSG_DONTWAIT);

	if (len < 0) {
		if (errno != EAGAIN && errno != EINTR)
			die("receive", "packet socket");
		return -1;
	}
	return parse(a, (unsigned int)len);
}

/* "10.0.0.1:80", "[fd00::1]:80" */
struct endpoint parse_endpoint(const char *text)
{
	const char *colon = strrchr(text, ':');
	struct endpoint e = { .family = *text == '[' ? AF_INET6 : AF_INET };
	char host[64];

	if (!colon)
		die("not ADDRESS:PORT", text);
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	host[strcspn(host, "]")] = 0;
	if (inet_pton(e.family, *host == '[' ? host + 1 : host, e.addr) != 1)
		die("not an address", text);
	e.port = (uint16_t)atoi(colon + 1);
	return e;
}
