/* SPDX-License-Identifier: GPL-2.0 */
/* The IPVS scheduler "fullnat". */
#ifndef FNAT_SCHEDULER_H
#define FNAT_SCHEDULER_H

struct fnat_net;

int fnat_scheduler_init(void);
int fnat_scheduler_register(void);
void fnat_scheduler_ready(void);
void fnat_scheduler_net_exit(struct fnat_net *fn);
void fnat_scheduler_unregister(void);
void fnat_scheduler_exit(void);

#endif
