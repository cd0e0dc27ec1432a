/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The first question to each packet that this host receives: can its destination be one of
 * ours? Some bits for each VIP:port and each local address that a namespace has had. They
 * are never taken back: what is gone only costs a look into the tables. The gate is asked
 * first, and is all that most packets of others meet: it has the addresses, like "addrs", but
 * all bits once any address may be a VIP. "laddrs" has local addresses only.
 */
#ifndef FNAT_FILTER_H
#define FNAT_FILTER_H

#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netfilter.h>
#include <linux/types.h>

#define FNAT_FILTER_BITS	12

/* In place of a port: something of the address is ours, or all of it. */
#define FNAT_FILTER_SOME	cpu_to_be16(0)
#define FNAT_FILTER_ALL		cpu_to_be16(0xffff)

struct fnat_filter {
	unsigned long gate[BITS_TO_LONGS(1 << FNAT_FILTER_BITS)];
	unsigned long addrs[BITS_TO_LONGS(1 << FNAT_FILTER_BITS)];
	unsigned long laddrs[BITS_TO_LONGS(1 << FNAT_FILTER_BITS)];
	unsigned long seen[BITS_TO_LONGS(1 << FNAT_FILTER_BITS)];
};

static __always_inline u32 fnat_filter_bit(u8 af, const void *addr, __be16 port)
{
	const u32 *word = addr;
	u32 sum = word[0];

	if (af == AF_INET6)
		sum ^= word[1] * 3 ^ word[2] * 5 ^ word[3] * 7;
	return ((sum ^ (__force u32)port << 8) * 0x61c88647) >> (32 - FNAT_FILTER_BITS);
}

static inline bool fnat_filter_test(const struct fnat_filter *filter, u8 af, const void *addr,
				    __be16 port)
{
	return test_bit(fnat_filter_bit(af, addr, port), filter->seen);
}

/* Port 0: all of them. Any context. */
static inline void fnat_filter_add(struct fnat_filter *filter, u8 af,
				   const union nf_inet_addr *addr, __be16 port)
{
	set_bit(fnat_filter_bit(af, addr, FNAT_FILTER_SOME), filter->gate);
	set_bit(fnat_filter_bit(af, addr, FNAT_FILTER_SOME), filter->addrs);
	set_bit(fnat_filter_bit(af, addr, port ? port : FNAT_FILTER_ALL), filter->seen);
}

/* The same of a local address. */
static inline void fnat_filter_add_laddr(struct fnat_filter *filter, u8 af,
					 const union nf_inet_addr *addr)
{
	set_bit(fnat_filter_bit(af, addr, FNAT_FILTER_SOME), filter->laddrs);
	fnat_filter_add(filter, af, addr, 0);
}

/* A packet may be ours whatever its destination. The caller holds fnat_net.lock. */
static inline void fnat_filter_open(struct fnat_filter *filter)
{
	bitmap_fill(filter->gate, 1 << FNAT_FILTER_BITS);
}

/* In a hook of IP, where skb->data is its header: ipt_do_table() and nft rely on it, too. */
static __always_inline u32 fnat_filter_daddr_bit(u8 af, const struct sk_buff *skb)
{
	unsigned int off = af == AF_INET6 ? offsetof(struct ipv6hdr, daddr) :
					    offsetof(struct iphdr, daddr);

	return fnat_filter_bit(af, skb->data + off, FNAT_FILTER_SOME);
}

/* These take that bit. False: the packet is certainly not ours, nor an ICMP error about one. */
static __always_inline bool fnat_filter_gate(const struct fnat_filter *filter, u32 bit)
{
	return test_bit(bit, filter->gate);
}

/* The same, but for services of any address. */
static __always_inline bool fnat_filter_addr(const struct fnat_filter *filter, u32 bit)
{
	return test_bit(bit, filter->addrs);
}

/* False: it is certainly not addressed to a local address. */
static __always_inline bool fnat_filter_to_laddr(const struct fnat_filter *filter, u32 bit)
{
	return test_bit(bit, filter->laddrs);
}

/* The question of the port, where the address was not enough. */
static inline bool fnat_filter_port(const struct fnat_filter *filter, u8 af,
				    const union nf_inet_addr *addr, __be16 port)
{
	return fnat_filter_test(filter, af, addr, port) ||
	       fnat_filter_test(filter, af, addr, FNAT_FILTER_ALL);
}

#endif
