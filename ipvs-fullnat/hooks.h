/* SPDX-License-Identifier: GPL-2.0 */
/* Where packets meet this module, besides the transmitter of ip_vs: hooks.c. */
#ifndef FNAT_HOOKS_H
#define FNAT_HOOKS_H

struct fnat_net;

int fnat_hooks_need(struct fnat_net *fn);
void fnat_hooks_net_exit(struct fnat_net *fn);
void fnat_hooks_net_free(struct fnat_net *fn);

#endif
