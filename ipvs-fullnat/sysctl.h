/* SPDX-License-Identifier: GPL-2.0 */
/* net.ipv4.vs.fullnat_*: settings of a network namespace. */
#ifndef FNAT_SYSCTL_H
#define FNAT_SYSCTL_H

#include <linux/types.h>

struct ctl_table_header;
struct fnat_net;

/* Seconds unless they say otherwise; read without locks by the data path. */
struct fnat_sysctl {
	/* 1..3600: until the client has answered the RS's SYN-ACK */
	int timeout_synrecv;
	/* 1..3600: connections that both sides have closed */
	int timeout_timewait;
	/* 1..3600: connections that were reset */
	int timeout_close;
	/* 1..3600: UDP, until the client goes on after an answer */
	int timeout_udp;
	/* 1..100 percent of a local address's ports that half-open
	 * connections to one RS may hold before the oldest of them are
	 * recycled
	 */
	int half_open_percent;
	/* 0..1: an open TCP connection whose time is up is reset at both ends */
	int expire_rst;
	/* 0..1: TCP packets of no connection, to a VIP or a LIP, are answered by an RST */
	int unknown_rst;
	/* 0..1: packets of established connections go from device to device at once */
	int fast_path;
	struct ctl_table_header *header;
};

int fnat_sysctl_net_init(struct fnat_net *fn);
void fnat_sysctl_net_exit(struct fnat_net *fn);

#endif
