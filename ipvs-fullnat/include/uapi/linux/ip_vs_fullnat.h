/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Control interface of ip_vs_fullnat: one generic-netlink family per network
 * namespace. This header is the contract; the module and the patched ipvsadm
 * include it, nothing else defines these numbers.
 *
 * Every command needs CAP_NET_ADMIN in the user namespace that owns the
 * network namespace. Parsing is strict: an unknown or malformed attribute is
 * refused with a sentence in the extended ACK, and nothing is changed.
 *
 * The message tree ("*" = required, "?" = optional, "<" = only in answers):
 *
 *   FULLNAT_CMD_SET_SERVICE     create the declaration or change it
 *     FULLNAT_A_SERVICE *       nest: the key and the options below
 *   FULLNAT_CMD_DEL_SERVICE     remove the declaration and its pool
 *     FULLNAT_A_SERVICE *       nest: the key
 *   FULLNAT_CMD_GET_SERVICE     do: one declaration; dump: all of them
 *     FULLNAT_A_SERVICE * (do)  nest: the key; the answer carries options and
 *                               counters as well
 *   FULLNAT_CMD_ADD_LADDR       add local addresses to a pool
 *   FULLNAT_CMD_DEL_LADDR       remove local addresses from a pool
 *     FULLNAT_A_SERVICE ?       nest: the key; absent: the default pool
 *     FULLNAT_A_LADDR *         nest
 *   FULLNAT_CMD_GET_LADDR       dump only: the local addresses of every pool,
 *     FULLNAT_A_SERVICE ?       or of one service's
 *     FULLNAT_A_LADDR <         one message for each address; without
 *                               FULLNAT_A_SERVICE it is in the default pool
 *                               and with FULLNAT_LADDR_A_DRAINING it is in
 *                               none
 *   FULLNAT_CMD_FLUSH           remove all declarations and all pools
 *   FULLNAT_CMD_ZERO            set counters to 0: those of one declaration,
 *     FULLNAT_A_SERVICE ?       nest: the key; absent: those of all
 *                               declarations and of all local addresses
 *   FULLNAT_CMD_SET_OPTIONS     change the namespace's options that are given
 *   FULLNAT_CMD_GET_OPTIONS     get them
 *     FULLNAT_A_OPTIONS * (set) nest
 *   FULLNAT_CMD_GET_CONN        dump only: the connections that hold a local
 *                               port. One that lives throughout the dump is in
 *                               it once, whatever comes and goes meanwhile
 *   FULLNAT_CMD_DEL_CONN        end connections: both sides of an open TCP
 *                               connection are reset, unless the sysctl
 *                               fullnat_expire_rst is 0. Others can have its
 *                               local port at once
 *     FULLNAT_A_SERVICE ?       nest: the key; only connections of this service
 *                               (of those whose VIP is in the prefix, if it is a
 *                               default entry)
 *     FULLNAT_A_CONN ?          nest: only connections with these addresses and
 *                               ports. FULLNAT_CMD_DEL_CONN needs one of the two
 *     FULLNAT_A_CONN <          dump: one message for each connection
 *     FULLNAT_A_ENDED <         u64: how many FULLNAT_CMD_DEL_CONN has ended
 *
 *   FULLNAT_A_SERVICE
 *     FULLNAT_SVC_A_FAMILY *    u16: AF_INET or AF_INET6
 *     FULLNAT_SVC_A_PROTOCOL    u16: IPPROTO_TCP/_UDP } either these three
 *     FULLNAT_SVC_A_ADDR        4 or 16 bytes         }
 *     FULLNAT_SVC_A_PORT        be16, 0 = all ports   }
 *     FULLNAT_SVC_A_FWMARK      u32, not 0              or this one
 *     FULLNAT_SVC_A_ADDR        the first of a prefix } or these two: a default
 *     FULLNAT_SVC_A_PREFIX_LEN  u8: 1..32, 1..128     } entry, for each service
 *                               with such a VIP that has no declaration of its
 *                               own. The longest prefix counts; there can be
 *                               FULLNAT_PREFIXES_MAX of them
 *     FULLNAT_SVC_A_TOA_V4 ?    u8: kind for IPv4 clients:    }
 *                               200, 254, 0 = off             }
 *     FULLNAT_SVC_A_TOA_V6 ?    u8: kind for IPv6 clients:    } not with
 *                               253, 254, 0 = off             } IPPROTO_UDP
 *     FULLNAT_SVC_A_TIMESTAMPS? u8: enum fullnat_timestamps   }
 *     FULLNAT_SVC_A_CONN_TIMEOUT? u32: seconds without a packet after which an
 *                               established connection (UDP: one that both
 *                               sides have used) expires; 0 = as ip_vs has it
 *                               (ipvsadm --set); at most
 *                               FULLNAT_CONN_TIMEOUT_MAX
 *     FULLNAT_SVC_A_LADDRS <    u32: local addresses in its own pool
 *     FULLNAT_SVC_A_CONNS <     u64: connections that got a local port
 *     FULLNAT_SVC_A_EXHAUSTED < u64: packets dropped because no local address
 *                               had a free port
 *     FULLNAT_SVC_A_NO_LADDR <  u64: packets dropped because the pool was
 *                               empty or held no local address of this host
 *     FULLNAT_SVC_A_ORIGIN <    u8: FULLNAT_ORIGIN_* flags
 *
 *   FULLNAT_A_LADDR
 *     FULLNAT_LADDR_A_FAMILY *    u16: AF_INET or AF_INET6
 *     FULLNAT_LADDR_A_ADDR *      4 or 16 bytes
 *     FULLNAT_LADDR_A_ADDR_END ?  4 or 16 bytes: the last address of a range
 *                                 (inclusive, at most FULLNAT_LADDR_RANGE_MAX
 *                                 addresses)
 *                                 Unicast addresses only; no loopback; of IPv6
 *                                 none that is link-local, IPv4-mapped or
 *                                 IPv4-compatible. With a service, also one by
 *                                 fwmark: of its family
 *     FULLNAT_LADDR_A_PORT_MIN ?  u16, 1..65535, default 1025
 *     FULLNAT_LADDR_A_PORT_MAX ?  u16, PORT_MIN..65535, default 65535
 *     FULLNAT_LADDR_A_LOCAL <     u8: 1 = an address of this host; only these
 *                                 are used for new connections
 *     FULLNAT_LADDR_A_CONNS <     u32: connections that hold a port now
 *     FULLNAT_LADDR_A_CONFLICTS < u64: ports found taken while searching
 *     FULLNAT_LADDR_A_TAKEOVERS < u64: ports taken over from connections that
 *                                 were closed or half-open, or, on a backup, by
 *                                 the record of a newer connection
 *     FULLNAT_LADDR_A_EXHAUSTED < u64: times that no port was left for a
 *                                 real server
 *     FULLNAT_LADDR_A_DRAINING <  flag: in no pool any more; it has connections
 *                                 that go on
 *
 *   FULLNAT_A_OPTIONS
 *     FULLNAT_OPT_A_SECRET ?      FULLNAT_SECRET_MIN..FULLNAT_SECRET_MAX bytes,
 *                                 never in an answer: keys the sequence numbers
 *                                 and timestamps that real servers see. The
 *                                 nodes of a cluster share it, so that these do
 *                                 not run backwards at a takeover. Without one
 *                                 it is random
 *     FULLNAT_OPT_A_SECRET_ID <   u32: the same on nodes that have the same
 *                                 secret; absent: it is random
 *
 *   FULLNAT_A_CONN
 *     FULLNAT_CONN_A_FAMILY *     u16: AF_INET or AF_INET6
 *     FULLNAT_CONN_A_PROTOCOL ?   u16: IPPROTO_TCP or IPPROTO_UDP
 *     FULLNAT_CONN_A_CLIENT_ADDR ?  4 or 16 bytes
 *     FULLNAT_CONN_A_CLIENT_PORT ?  be16, with the address
 *     FULLNAT_CONN_A_VIP_ADDR <
 *     FULLNAT_CONN_A_VIP_PORT <
 *     FULLNAT_CONN_A_LADDR_ADDR ?   4 or 16 bytes
 *     FULLNAT_CONN_A_LADDR_PORT ?   be16, with the address
 *     FULLNAT_CONN_A_RS_ADDR ?      4 or 16 bytes
 *     FULLNAT_CONN_A_RS_PORT ?      be16, with the address
 *     FULLNAT_CONN_A_STATE <      string: what ip_vs calls its state
 *     FULLNAT_CONN_A_EXPIRES <    u32: seconds until it expires
 *     FULLNAT_CONN_A_FLAGS <      u32: FULLNAT_CONN_F_* flags
 *
 * Declarations outlive the services of ip_vs: they may name a service that
 * ip_vs does not have yet and an address that is not local yet. Saying the
 * same thing twice succeeds and changes nothing.
 *
 * Errors (errno and extended ACK):
 *   EINVAL  missing, contradictory or out-of-range attribute
 *   ENOENT  no such service declared, or no such address in the pool; for
 *           FULLNAT_CMD_DEL_SERVICE also a service that is FULLNAT only by its
 *           scheduler
 *   EEXIST  the address is already declared with other ports
 *   E2BIG   range of more than FULLNAT_LADDR_RANGE_MAX addresses
 *   ENOSPC  there are FULLNAT_PREFIXES_MAX default entries
 *   EOPNOTSUPP  protocol other than TCP and UDP (use masquerading), family
 *               that ip_vs of this kernel does not balance, IPv6 with
 *               ipv6.disable=1
 *   ENOMEM
 */
#ifndef _UAPI_LINUX_IP_VS_FULLNAT_H
#define _UAPI_LINUX_IP_VS_FULLNAT_H

#define FULLNAT_GENL_NAME	"IPVS_FULLNAT"
#define FULLNAT_GENL_VERSION	1

/* The forwarding method in IPVS_DEST_ATTR_FWD_METHOD and in the connection
 * flags: the number that Alibaba LVS and DPVS use; ip_vs itself has no name
 * for it.
 */
#define IP_VS_CONN_F_FULLNAT	0x0005

/* Addresses that one FULLNAT_CMD_ADD_LADDR may name. */
#define FULLNAT_LADDR_RANGE_MAX	65536

/* Seconds in FULLNAT_SVC_A_CONN_TIMEOUT: 31 days, like ipvsadm --set. */
#define FULLNAT_CONN_TIMEOUT_MAX	(31 * 24 * 60 * 60)

#define FULLNAT_PORT_MIN_DEFAULT	1025
#define FULLNAT_PORT_MAX_DEFAULT	65535

/* Default entries that a namespace may have. */
#define FULLNAT_PREFIXES_MAX	64

/* Bytes of FULLNAT_OPT_A_SECRET. */
#define FULLNAT_SECRET_MIN	16
#define FULLNAT_SECRET_MAX	64

enum fullnat_cmd {
	FULLNAT_CMD_UNSPEC,
	FULLNAT_CMD_SET_SERVICE,
	FULLNAT_CMD_DEL_SERVICE,
	FULLNAT_CMD_GET_SERVICE,
	FULLNAT_CMD_ADD_LADDR,
	FULLNAT_CMD_DEL_LADDR,
	FULLNAT_CMD_GET_LADDR,
	FULLNAT_CMD_FLUSH,
	FULLNAT_CMD_ZERO,
	FULLNAT_CMD_SET_OPTIONS,
	FULLNAT_CMD_GET_OPTIONS,
	FULLNAT_CMD_GET_CONN,
	FULLNAT_CMD_DEL_CONN,
	__FULLNAT_CMD_MAX,
};

#define FULLNAT_CMD_MAX (__FULLNAT_CMD_MAX - 1)

enum fullnat_attr {
	FULLNAT_A_UNSPEC,
	FULLNAT_A_SERVICE,	/* nest: enum fullnat_svc_attr */
	FULLNAT_A_LADDR,	/* nest: enum fullnat_laddr_attr */
	FULLNAT_A_OPTIONS,	/* nest: enum fullnat_opt_attr */
	FULLNAT_A_CONN,		/* nest: enum fullnat_conn_attr */
	FULLNAT_A_ENDED,	/* u64, answer */
	FULLNAT_A_PAD,
	__FULLNAT_A_MAX,
};

#define FULLNAT_A_MAX (__FULLNAT_A_MAX - 1)

enum fullnat_svc_attr {
	FULLNAT_SVC_A_UNSPEC,
	FULLNAT_SVC_A_FAMILY,		/* u16 */
	FULLNAT_SVC_A_PROTOCOL,		/* u16 */
	FULLNAT_SVC_A_ADDR,		/* 4 or 16 bytes, network order */
	FULLNAT_SVC_A_PORT,		/* be16 */
	FULLNAT_SVC_A_FWMARK,		/* u32 */
	FULLNAT_SVC_A_TOA_V4,		/* u8 */
	FULLNAT_SVC_A_TOA_V6,		/* u8 */
	FULLNAT_SVC_A_TIMESTAMPS,	/* u8, enum fullnat_timestamps */
	FULLNAT_SVC_A_CONN_TIMEOUT,	/* u32 */
	FULLNAT_SVC_A_LADDRS,		/* u32, answer */
	FULLNAT_SVC_A_CONNS,		/* u64, answer */
	FULLNAT_SVC_A_EXHAUSTED,	/* u64, answer */
	FULLNAT_SVC_A_NO_LADDR,		/* u64, answer */
	FULLNAT_SVC_A_PAD,
	FULLNAT_SVC_A_PREFIX_LEN,	/* u8 */
	FULLNAT_SVC_A_ORIGIN,		/* u8, answer */
	__FULLNAT_SVC_A_MAX,
};

#define FULLNAT_SVC_A_MAX (__FULLNAT_SVC_A_MAX - 1)

enum fullnat_laddr_attr {
	FULLNAT_LADDR_A_UNSPEC,
	FULLNAT_LADDR_A_FAMILY,		/* u16 */
	FULLNAT_LADDR_A_ADDR,		/* 4 or 16 bytes, network order */
	FULLNAT_LADDR_A_ADDR_END,	/* 4 or 16 bytes, network order */
	FULLNAT_LADDR_A_PORT_MIN,	/* u16 */
	FULLNAT_LADDR_A_PORT_MAX,	/* u16 */
	FULLNAT_LADDR_A_LOCAL,		/* u8, answer */
	FULLNAT_LADDR_A_CONNS,		/* u32, answer */
	FULLNAT_LADDR_A_CONFLICTS,	/* u64, answer */
	FULLNAT_LADDR_A_TAKEOVERS,	/* u64, answer */
	FULLNAT_LADDR_A_EXHAUSTED,	/* u64, answer */
	FULLNAT_LADDR_A_PAD,
	FULLNAT_LADDR_A_DRAINING,	/* flag, answer */
	__FULLNAT_LADDR_A_MAX,
};

#define FULLNAT_LADDR_A_MAX (__FULLNAT_LADDR_A_MAX - 1)

enum fullnat_opt_attr {
	FULLNAT_OPT_A_UNSPEC,
	FULLNAT_OPT_A_SECRET,		/* bytes */
	FULLNAT_OPT_A_SECRET_ID,	/* u32, answer */
	__FULLNAT_OPT_A_MAX,
};

#define FULLNAT_OPT_A_MAX (__FULLNAT_OPT_A_MAX - 1)

enum fullnat_conn_attr {
	FULLNAT_CONN_A_UNSPEC,
	FULLNAT_CONN_A_FAMILY,		/* u16 */
	FULLNAT_CONN_A_PROTOCOL,	/* u16 */
	FULLNAT_CONN_A_CLIENT_ADDR,	/* 4 or 16 bytes, network order */
	FULLNAT_CONN_A_CLIENT_PORT,	/* be16 */
	FULLNAT_CONN_A_VIP_ADDR,	/* answer */
	FULLNAT_CONN_A_VIP_PORT,	/* answer */
	FULLNAT_CONN_A_LADDR_ADDR,
	FULLNAT_CONN_A_LADDR_PORT,
	FULLNAT_CONN_A_RS_ADDR,
	FULLNAT_CONN_A_RS_PORT,
	FULLNAT_CONN_A_STATE,		/* string, answer */
	FULLNAT_CONN_A_EXPIRES,		/* u32, answer */
	FULLNAT_CONN_A_FLAGS,		/* u32, answer */
	__FULLNAT_CONN_A_MAX,
};

#define FULLNAT_CONN_A_MAX (__FULLNAT_CONN_A_MAX - 1)

/* FULLNAT_SVC_A_ORIGIN: why a service is FULLNAT. */
#define FULLNAT_ORIGIN_DECLARED		0x1	/* FULLNAT_CMD_SET_SERVICE */
#define FULLNAT_ORIGIN_SCHEDULER	0x2	/* ip_vs has it with "fullnat" */

/* FULLNAT_CONN_A_FLAGS */
#define FULLNAT_CONN_F_HALF_OPEN	0x1	/* the client has proved nothing yet */
#define FULLNAT_CONN_F_CLOSED		0x2	/* it gives up its port if one is needed */

/* What happens to the TCP timestamps of a client (RFC 7323). */
enum fullnat_timestamps {
	/* Shifted per flow, so that an RS sees one clock at a port of the LIP, which does not run
	 * backwards as long as it remembers. Taken out where that cannot be. The default.
	 */
	FULLNAT_TIMESTAMPS_REWRITE,
	/* Taken out of the SYN: the connection runs without timestamps. */
	FULLNAT_TIMESTAMPS_STRIP,
	/* Left as the client sent them. */
	FULLNAT_TIMESTAMPS_PASS,
	__FULLNAT_TIMESTAMPS_MAX,
};

#define FULLNAT_TIMESTAMPS_MAX (__FULLNAT_TIMESTAMPS_MAX - 1)

#endif /* _UAPI_LINUX_IP_VS_FULLNAT_H */
