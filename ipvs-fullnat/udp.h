/* SPDX-License-Identifier: GPL-2.0 */
/* UDP of a flow. */
#ifndef FNAT_UDP_H
#define FNAT_UDP_H

#include "xmit.h"

/* udp.c; what returns int returns 0 or FNAT_DROP(). */
int fnat_udp_request(struct fnat_pkt *pkt);
int fnat_udp_reply(struct fnat_pkt *pkt);
enum fnat_port_state fnat_udp_port_state(const struct fnat_flow *f);

#endif
