// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include "packet.h"

/* The Internet checksum; sum: what was added up before. */
uint16_t checksum(const uint8_t *data, unsigned int len, uint32_t sum)
{
	unsigned int i;

	for (i = 0; i + 1 < len; i += 2)
		sum += get16(data + i);
	if (len & 1)
		sum += (uint32_t)data[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* The Ethernet header. */
void frame_begin(struct frame *f, const uint8_t *to, const uint8_t *from, int family)
{
	memset(&f->vnet, 0, sizeof(f->vnet));
	memcpy(f->data, to, 6);
	memcpy(f->data + 6, from, 6);
	put16(f->data + 12, family == AF_INET ? 0x0800 : 0x86dd);
	f->len = ETH_LEN;
	f->transport = ETH_LEN;
}

/* Appends; NULL: zeros. */
void frame_add(struct frame *f, const void *data, unsigned int len)
{
	if (len > FRAME_MAX - f->len)
		len = FRAME_MAX - f->len;
	if (data)
		memcpy(f->data + f->len, data, len);
	else
		memset(f->data + f->len, 0, len);
	f->len += len;
}

/* In front of what is at "at". */
void frame_insert(struct frame *f, unsigned int at, const void *data, unsigned int len)
{
	if (len > FRAME_MAX - f->len)
		return;
	memmove(f->data + at + len, f->data + at, f->len - at);
	memcpy(f->data + at, data, len);
	f->len += len;
	if (f->transport >= at)
		f->transport += len;
}

/* The IP header; frame_finish() completes it. */
void frame_ip(struct frame *f, const struct endpoint *src, const struct endpoint *dst,
	      uint8_t protocol)
{
	uint8_t *ip = f->data + ETH_LEN;

	f->protocol = protocol;
	frame_add(f, NULL, ip_header_len(src->family));
	f->transport = f->len;
	if (src->family == AF_INET) {
		ip[0] = 0x45;
		put16(ip + 6, 0x4000);
		ip[8] = 64;
		ip[9] = protocol;
		memcpy(ip + 12, src->addr, 4);
		memcpy(ip + 16, dst->addr, 4);
	} else {
		ip[0] = 0x60;
		ip[6] = protocol;
		ip[7] = 64;
		memcpy(ip + 8, src->addr, 16);
		memcpy(ip + 24, dst->addr, 16);
	}
}

static void add_tcp(struct frame *f, const struct segment *s)
{
	uint8_t tcp[TCP_LEN] = {};

	put16(tcp, s->src.port);
	put16(tcp + 2, s->dst.port);
	put32(tcp + 4, s->seq);
	put32(tcp + 8, s->ack);
	tcp[12] = (uint8_t)((TCP_LEN + s->options_len) / 4 << 4);
	tcp[13] = s->flags;
	put16(tcp + 14, 65535);
	frame_add(f, tcp, TCP_LEN);
	frame_add(f, s->options, s->options_len);
}

static void add_udp(struct frame *f, const struct segment *s)
{
	uint8_t udp[UDP_LEN] = {};

	put16(udp, s->src.port);
	put16(udp + 2, s->dst.port);
	put16(udp + 4, UDP_LEN + s->payload_len);
	frame_add(f, udp, UDP_LEN);
}

/* IP and transport header and payload, after frame_begin(). */
void frame_segment(struct frame *f, const struct segment *s)
{
	frame_ip(f, &s->src, &s->dst, s->protocol);
	if (s->protocol == IPPROTO_TCP)
		add_tcp(f, s);
	else
		add_udp(f, s);
	frame_add(f, s->payload, s->payload_len);
}

/* Header checksum and total length. */
void frame_fix_ipv4(struct frame *f)
{
	uint8_t *ip = f->data + ETH_LEN;
	unsigned int header = (ip[0] & 15) * 4u;

	if (header > f->len - ETH_LEN)
		header = f->len - ETH_LEN;
	put16(ip + 2, f->len - ETH_LEN);
	put16(ip + 10, 0);
	put16(ip + 10, checksum(ip, header, 0));
}

static uint32_t pseudo_sum(const struct frame *f, unsigned int len)
{
	const uint8_t *ip = f->data + ETH_LEN;
	bool v4 = frame_is_v4(f);

	if (f->protocol == IPPROTO_ICMP)
		return 0;
	return (uint16_t)~checksum(ip + (v4 ? 12 : 8), v4 ? 8 : 32, f->protocol + len);
}

unsigned int checksum_offset(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return 16;
	case IPPROTO_UDP:
		return 6;
	default:
		return 2;
	}
}

/* Of what follows IP; whole or partial, as the frame's vnet header says. */
void frame_fix_checksum(struct frame *f)
{
	unsigned int len = f->len - f->transport, offset = checksum_offset(f->protocol);
	uint8_t *start = f->data + f->transport;

	if (len < offset + 2)
		return;
	put16(start + offset, 0);
	if (f->vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		put16(start + offset, (uint16_t)~checksum(NULL, 0, pseudo_sum(f, len)));
	else
		put16(start + offset, checksum(start, len, pseudo_sum(f, len)));
}

/* Lengths and checksums. */
void frame_finish(struct frame *f)
{
	frame_fix_checksum(f);
	if (frame_is_v4(f))
		frame_fix_ipv4(f);
	else
		put16(f->data + ETH_LEN + 4, f->len - ETH_LEN - IPV6_LEN);
}
