// SPDX-License-Identifier: GPL-2.0
/*
 * What the messages of the family say, see include/uapi/linux/ip_vs_fullnat.h.
 * Each refusal has a sentence that names what is wrong and the way out. Process
 * context, no lock.
 */
#include <linux/in.h>
#include <linux/inetdevice.h>
#include <net/genetlink.h>
#include <net/ipv6.h>
#include <uapi/linux/ip_vs_fullnat.h>

#include "compat.h"
#include "laddr.h"
#include "netlink.h"
#include "service.h"
#include "toa_wire.h"

/* not const: 6.1 would warn */
static struct netlink_range_validation conn_timeout_range = {
	.max = FULLNAT_CONN_TIMEOUT_MAX,
};

const struct nla_policy fnat_svc_policy[FULLNAT_SVC_A_MAX + 1] = {
	[FULLNAT_SVC_A_FAMILY] = { .type = NLA_U16 },
	[FULLNAT_SVC_A_PROTOCOL] = { .type = NLA_U16 },
	[FULLNAT_SVC_A_ADDR] = { .type = NLA_BINARY, .len = sizeof(struct in6_addr) },
	[FULLNAT_SVC_A_PORT] = { .type = NLA_U16 },
	[FULLNAT_SVC_A_FWMARK] = { .type = NLA_U32 },
	[FULLNAT_SVC_A_TOA_V4] = { .type = NLA_U8 },
	[FULLNAT_SVC_A_TOA_V6] = { .type = NLA_U8 },
	[FULLNAT_SVC_A_TIMESTAMPS] = NLA_POLICY_MAX(NLA_U8, FULLNAT_TIMESTAMPS_MAX),
	[FULLNAT_SVC_A_CONN_TIMEOUT] = NLA_POLICY_FULL_RANGE(NLA_U32, &conn_timeout_range),
	[FULLNAT_SVC_A_PREFIX_LEN] = NLA_POLICY_RANGE(NLA_U8, 1, 128),
};

const struct nla_policy fnat_laddr_policy[FULLNAT_LADDR_A_MAX + 1] = {
	[FULLNAT_LADDR_A_FAMILY] = { .type = NLA_U16 },
	[FULLNAT_LADDR_A_ADDR] = { .type = NLA_BINARY, .len = sizeof(struct in6_addr) },
	[FULLNAT_LADDR_A_ADDR_END] = { .type = NLA_BINARY, .len = sizeof(struct in6_addr) },
	[FULLNAT_LADDR_A_PORT_MIN] = NLA_POLICY_MIN(NLA_U16, 1),
	[FULLNAT_LADDR_A_PORT_MAX] = NLA_POLICY_MIN(NLA_U16, 1),
};

const struct nla_policy fnat_opt_policy[FULLNAT_OPT_A_MAX + 1] = {
	/* its length is judged by a sentence */
	[FULLNAT_OPT_A_SECRET] = { .type = NLA_BINARY },
};

/* The family's own address length; 0: a family that we do not forward. */
unsigned int fnat_nl_addr_len(u16 af)
{
	/* booted with ipv6.disable=1 the kernel has no tables to look an address up in */
	if (af == AF_INET6 && IS_ENABLED(CONFIG_IP_VS_IPV6) && ipv6_mod_enabled())
		return sizeof(struct in6_addr);
	return af == AF_INET ? sizeof(struct in_addr) : 0;
}

int fnat_nl_parse_family(const struct nlattr *nla, struct netlink_ext_ack *extack, u16 *af)
{
	if (!nla) {
		NL_SET_ERR_MSG(extack, "the address family is missing");
		return -EINVAL;
	}
	*af = nla_get_u16(nla);
	if (fnat_nl_addr_len(*af))
		return 0;
	if (*af == AF_INET6 && IS_ENABLED(CONFIG_IP_VS_IPV6))
		NL_SET_ERR_MSG_ATTR(extack, nla, "IPv6 is switched off (ipv6.disable=1 at boot)");
	else if (*af == AF_INET6)
		NL_SET_ERR_MSG_ATTR(extack, nla, "ip_vs of this kernel does not balance IPv6");
	else
		NL_SET_ERR_MSG_ATTR(extack, nla, "FULLNAT is for IPv4 and IPv6 only");
	return -EOPNOTSUPP;
}

int fnat_nl_parse_addr(const struct nlattr *nla, u16 af, struct netlink_ext_ack *extack,
		       union nf_inet_addr *addr)
{
	memset(addr, 0, sizeof(*addr));
	if (nla_len(nla) != fnat_nl_addr_len(af)) {
		NL_SET_ERR_MSG_ATTR(extack, nla, "the address is not of the given family");
		return -EINVAL;
	}
	memcpy(addr, nla_data(nla), nla_len(nla));
	return 0;
}

static int parse_svc_tuple(struct nlattr **tb, struct netlink_ext_ack *extack,
			   struct fnat_svc_key *key)
{
	if (!tb[FULLNAT_SVC_A_PROTOCOL] || !tb[FULLNAT_SVC_A_ADDR] || !tb[FULLNAT_SVC_A_PORT]) {
		NL_SET_ERR_MSG(extack,
			       "a service is named by protocol, address and port, or by a fwmark");
		return -EINVAL;
	}
	key->protocol = nla_get_u16(tb[FULLNAT_SVC_A_PROTOCOL]);
	if (key->protocol != IPPROTO_TCP && key->protocol != IPPROTO_UDP) {
		NL_SET_ERR_MSG_ATTR(extack, tb[FULLNAT_SVC_A_PROTOCOL],
				    "FULLNAT is for TCP and UDP only: use masquerading (ipvsadm -a ... -m)");
		return -EOPNOTSUPP;
	}
	key->port = nla_get_be16(tb[FULLNAT_SVC_A_PORT]);
	return fnat_nl_parse_addr(tb[FULLNAT_SVC_A_ADDR], key->af, extack, &key->addr);
}

/* A default entry. An address with bits behind the prefix is a slip of somebody's hand. */
static int parse_svc_prefix(struct nlattr **tb, struct netlink_ext_ack *extack,
			    struct fnat_svc_key *key)
{
	const struct nlattr *nla = tb[FULLNAT_SVC_A_PREFIX_LEN];
	struct fnat_svc_key first;
	int err;

	if (tb[FULLNAT_SVC_A_FWMARK] || tb[FULLNAT_SVC_A_PROTOCOL] || tb[FULLNAT_SVC_A_PORT]) {
		NL_SET_ERR_MSG_ATTR(extack, nla,
				    "a default entry has a prefix, and no protocol, port or fwmark");
		return -EINVAL;
	}
	if (!tb[FULLNAT_SVC_A_ADDR]) {
		NL_SET_ERR_MSG_ATTR(extack, nla, "the prefix has no address");
		return -EINVAL;
	}
	err = fnat_nl_parse_addr(tb[FULLNAT_SVC_A_ADDR], key->af, extack, &key->addr);
	if (err)
		return err;
	key->prefix_len = nla_get_u8(nla);
	if (key->prefix_len > fnat_nl_addr_len(key->af) * 8) {
		NL_SET_ERR_MSG_ATTR(extack, nla, "the prefix is longer than an address");
		return -EINVAL;
	}
	first = *key;
	if (key->af == AF_INET)
		first.addr.ip &= inet_make_mask(key->prefix_len);
	else
		ipv6_addr_prefix(&first.addr.in6, &key->addr.in6, key->prefix_len);
	if (!memcmp(&first.addr, &key->addr, sizeof(first.addr)))
		return 0;
	NL_SET_ERR_MSG_ATTR(extack, tb[FULLNAT_SVC_A_ADDR],
			    "the address is not the first one of the prefix");
	return -EINVAL;
}

static int parse_svc_key(struct nlattr **tb, struct netlink_ext_ack *extack,
			 struct fnat_svc_key *key)
{
	int err;

	memset(key, 0, sizeof(*key));
	err = fnat_nl_parse_family(tb[FULLNAT_SVC_A_FAMILY], extack, &key->af);
	if (err)
		return err;
	if (tb[FULLNAT_SVC_A_PREFIX_LEN])
		return parse_svc_prefix(tb, extack, key);
	if (!tb[FULLNAT_SVC_A_FWMARK])
		return parse_svc_tuple(tb, extack, key);
	if (tb[FULLNAT_SVC_A_PROTOCOL] || tb[FULLNAT_SVC_A_ADDR] || tb[FULLNAT_SVC_A_PORT]) {
		NL_SET_ERR_MSG_ATTR(extack, tb[FULLNAT_SVC_A_FWMARK],
				    "a fwmark service has no protocol, address or port");
		return -EINVAL;
	}
	key->fwmark = nla_get_u32(tb[FULLNAT_SVC_A_FWMARK]);
	if (!key->fwmark) {
		NL_SET_ERR_MSG_ATTR(extack, tb[FULLNAT_SVC_A_FWMARK], "the fwmark cannot be 0");
		return -EINVAL;
	}
	return 0;
}

int fnat_nl_parse_service(struct nlattr *nla, struct nlattr **tb, struct netlink_ext_ack *extack,
			  struct fnat_svc_key *key)
{
	int err;

	if (!nla) {
		NL_SET_ERR_MSG(extack, "the service is missing");
		return -EINVAL;
	}
	err = nla_parse_nested(tb, FULLNAT_SVC_A_MAX, nla, fnat_svc_policy, extack);
	return err ? : parse_svc_key(tb, extack, key);
}

/* Only the key of a service, to name it. */
int fnat_nl_parse_svc_key(struct nlattr *nla, struct netlink_ext_ack *extack,
			  struct fnat_svc_key *key)
{
	struct nlattr *tb[FULLNAT_SVC_A_MAX + 1];

	return fnat_nl_parse_service(nla, tb, extack, key);
}

/* Is there a row in the wire format for this kind and family? 0 = off. */
static int parse_toa_kind(const struct nlattr *nla, unsigned int len,
			  struct netlink_ext_ack *extack, u8 *kind)
{
	if (!nla)
		return 0;
	*kind = nla_get_u8(nla);
	if (!*kind || toa_layout(*kind, len))
		return 0;
	if (len == TOA_LEN_V4)
		NL_SET_ERR_MSG_ATTR(extack, nla,
				    "unknown TOA kind for IPv4: it is 200, 254 or 0 (off)");
	else
		NL_SET_ERR_MSG_ATTR(extack, nla,
				    "unknown TOA kind for IPv6: it is 253, 254 or 0 (off)");
	return -EINVAL;
}

/* A service that has no TCP connections is not asked about TCP options. */
int fnat_nl_check_tcp_options(struct nlattr **tb, const struct fnat_svc_key *key,
			      struct netlink_ext_ack *extack)
{
	const struct nlattr *nla = tb[FULLNAT_SVC_A_TOA_V4] ? : tb[FULLNAT_SVC_A_TOA_V6] ? :
				   tb[FULLNAT_SVC_A_TIMESTAMPS];

	if (!nla || key->protocol != IPPROTO_UDP)
		return 0;
	NL_SET_ERR_MSG_ATTR(extack, nla, "TOA and timestamps are options of TCP, not of UDP");
	return -EINVAL;
}

int fnat_nl_parse_svc_options(struct nlattr **tb, struct netlink_ext_ack *extack,
			      struct fnat_svc_options *opt)
{
	int err = parse_toa_kind(tb[FULLNAT_SVC_A_TOA_V4], TOA_LEN_V4, extack, &opt->toa_v4);

	if (!err)
		err = parse_toa_kind(tb[FULLNAT_SVC_A_TOA_V6], TOA_LEN_V6, extack, &opt->toa_v6);
	if (!err && tb[FULLNAT_SVC_A_TIMESTAMPS])
		opt->timestamps = nla_get_u8(tb[FULLNAT_SVC_A_TIMESTAMPS]);
	if (!err && tb[FULLNAT_SVC_A_CONN_TIMEOUT])
		opt->conn_timeout = nla_get_u32(tb[FULLNAT_SVC_A_CONN_TIMEOUT]);
	return err;
}

/* Not 0/8, loopback, multicast, broadcast. */
static bool is_laddr4(__be32 addr)
{
	return !ipv4_is_zeronet(addr) && !ipv4_is_loopback(addr) && ntohl(addr) < 0xe0000000;
}

/* Not ::, ::1 and the rest of ::/96, mapped, link-local (a LIP has no scope), multicast. */
static bool is_laddr6(const struct in6_addr *addr)
{
	const __be32 *word = addr->s6_addr32;

	return (word[0] | word[1] | word[2]) && !ipv6_addr_v4mapped(addr) &&
	       (word[0] & htonl(0xffc00000)) != htonl(0xfe800000) &&
	       !ipv6_addr_is_multicast(addr);
}

static int parse_laddr_addr(const struct nlattr *nla, u16 af, struct netlink_ext_ack *extack,
			    union nf_inet_addr *addr)
{
	int err = fnat_nl_parse_addr(nla, af, extack, addr);

	if (err)
		return err;
	if (af == AF_INET ? is_laddr4(addr->ip) : is_laddr6(&addr->in6))
		return 0;
	NL_SET_ERR_MSG_ATTR(extack, nla,
			    "not a unicast address that other hosts could answer to");
	return -EINVAL;
}

/* How far end is behind addr, or U64_MAX; end is not before addr. */
static u64 range_distance(u16 af, const union nf_inet_addr *addr, const union nf_inet_addr *end)
{
	u64 addr_high = get_unaligned_be64(&addr->ip6[0]), addr_low;
	u64 end_high = get_unaligned_be64(&end->ip6[0]), end_low;

	if (af == AF_INET)
		return ntohl(end->ip) - ntohl(addr->ip);
	addr_low = get_unaligned_be64(&addr->ip6[2]);
	end_low = get_unaligned_be64(&end->ip6[2]);
	/* with a borrow the low halves' difference is right as it is */
	return end_high - addr_high == (end_low < addr_low) ? end_low - addr_low : U64_MAX;
}

/*
 * What is no LIP are prefixes wider than a range can be: a range whose ends are
 * LIPs has none of them inside.
 */
static int parse_laddr_range(struct nlattr **tb, struct netlink_ext_ack *extack,
			     struct fnat_laddr_spec *spec)
{
	const struct nlattr *nla = tb[FULLNAT_LADDR_A_ADDR_END];
	union nf_inet_addr end;
	u64 distance;
	int err;

	spec->count = 1;
	if (!nla)
		return 0;
	err = parse_laddr_addr(nla, spec->af, extack, &end);
	if (err)
		return err;
	if (memcmp(&end, &spec->addr, sizeof(end)) < 0) {
		NL_SET_ERR_MSG_ATTR(extack, nla, "the range ends before it begins");
		return -EINVAL;
	}
	distance = range_distance(spec->af, &spec->addr, &end);
	if (distance >= FULLNAT_LADDR_RANGE_MAX) {
		NL_SET_ERR_MSG_ATTR(extack, nla, "a range can have 65536 addresses at most");
		return -E2BIG;
	}
	spec->count = distance + 1;
	return 0;
}

static int parse_laddr_ports(struct nlattr **tb, struct netlink_ext_ack *extack,
			     struct fnat_laddr_spec *spec)
{
	const struct nlattr *min = tb[FULLNAT_LADDR_A_PORT_MIN];
	const struct nlattr *max = tb[FULLNAT_LADDR_A_PORT_MAX];

	spec->port_min = min ? nla_get_u16(min) : FULLNAT_PORT_MIN_DEFAULT;
	spec->port_max = max ? nla_get_u16(max) : FULLNAT_PORT_MAX_DEFAULT;
	if (spec->port_min <= spec->port_max)
		return 0;
	NL_SET_ERR_MSG_ATTR(extack, min ? : max, "the port range ends before it begins");
	return -EINVAL;
}

int fnat_nl_parse_laddr(const struct nlattr *nla, struct netlink_ext_ack *extack,
			struct fnat_laddr_spec *spec)
{
	struct nlattr *tb[FULLNAT_LADDR_A_MAX + 1];
	u16 af;
	int err;

	if (!nla) {
		NL_SET_ERR_MSG(extack, "the local address is missing");
		return -EINVAL;
	}
	err = nla_parse_nested(tb, FULLNAT_LADDR_A_MAX, nla, fnat_laddr_policy, extack);
	if (!err)
		err = fnat_nl_parse_family(tb[FULLNAT_LADDR_A_FAMILY], extack, &af);
	if (err)
		return err;
	if (!tb[FULLNAT_LADDR_A_ADDR]) {
		NL_SET_ERR_MSG_ATTR(extack, nla, "the local address has no address");
		return -EINVAL;
	}
	spec->af = af;
	err = parse_laddr_addr(tb[FULLNAT_LADDR_A_ADDR], af, extack, &spec->addr);
	if (!err)
		err = parse_laddr_range(tb, extack, spec);
	if (!err)
		err = parse_laddr_ports(tb, extack, spec);
	return err;
}
