/* SPDX-License-Identifier: GPL-2.0 */
/* The generic-netlink family: uapi/linux/ip_vs_fullnat.h has the contract. */
#ifndef FNAT_NETLINK_H
#define FNAT_NETLINK_H

int fnat_netlink_init(void);
void fnat_netlink_exit(void);

#endif
