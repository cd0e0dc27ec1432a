/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Packets made by hand, IPv4 and IPv6, TCP and UDP. A frame is built from front to
 * back and is correct after frame_finish(); whoever wants a wrong one changes
 * it then.
 */
#ifndef FUZZ_PACKET_H
#define FUZZ_PACKET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <linux/virtio_net.h>

#define FRAME_MAX	10240
#define ETH_LEN		14
#define IPV4_LEN	20
#define IPV6_LEN	40
#define TCP_LEN		20
#define UDP_LEN		8
#define TCP_OPTIONS_MAX	40

enum {
	TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16, TCP_URG = 32,
};

struct endpoint {
	int family;		/* AF_INET: the address is the first four bytes */
	uint8_t addr[16];
	uint16_t port;
};

/* What one packet of a connection says. */
struct segment {
	struct endpoint src;
	struct endpoint dst;
	uint8_t protocol;	/* IPPROTO_TCP or IPPROTO_UDP */
	uint8_t flags;
	uint32_t seq;
	uint32_t ack;
	unsigned int options_len;	/* padded to four bytes by who sets it */
	uint8_t options[TCP_OPTIONS_MAX];
	unsigned int payload_len;
	const uint8_t *payload;		/* NULL: zeros */
};

struct frame {
	struct virtio_net_hdr vnet;	/* all zero: nothing is left to the kernel */
	unsigned int len;
	unsigned int transport;		/* where the header behind IP begins */
	uint8_t protocol;
	uint8_t data[FRAME_MAX];
};

static inline uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static inline void put16(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static inline void put32(uint8_t *p, uint32_t value)
{
	put16(p, value >> 16);
	put16(p + 2, value);
}

static inline unsigned int addr_len(int family)
{
	return family == AF_INET ? 4 : 16;
}

static inline unsigned int ip_header_len(int family)
{
	return family == AF_INET ? IPV4_LEN : IPV6_LEN;
}

static inline bool frame_is_v4(const struct frame *f)
{
	return get16(f->data + 12) == 0x0800;
}

uint16_t checksum(const uint8_t *data, unsigned int len, uint32_t sum);
unsigned int checksum_offset(uint8_t protocol);
void frame_begin(struct frame *f, const uint8_t *to, const uint8_t *from, int family);
void frame_ip(struct frame *f, const struct endpoint *src, const struct endpoint *dst,
	      uint8_t protocol);
void frame_add(struct frame *f, const void *data, unsigned int len);
void frame_insert(struct frame *f, unsigned int at, const void *data, unsigned int len);
void frame_segment(struct frame *f, const struct segment *s);
void frame_finish(struct frame *f);
void frame_fix_ipv4(struct frame *f);
void frame_fix_checksum(struct frame *f);

#endif
