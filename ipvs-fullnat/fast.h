/* SPDX-License-Identifier: GPL-2.0 */
/* The short way for packets of established connections. See fast.c. */
#ifndef FNAT_FAST_H
#define FNAT_FAST_H

#include "xmit.h"

void fnat_fast_init(struct fnat_flow *f);
void fnat_fast_exit(struct fnat_flow *f);
void fnat_fast_permit_request(struct fnat_flow *f, int iif);
struct dst_entry *fnat_fast_reply_route(const struct fnat_flow *f, u32 mark);
void fnat_fast_permit_reply(struct fnat_flow *f, struct dst_entry *new, u32 mark, int iif);
bool fnat_fast(struct fnat_net *fn, struct sk_buff *skb, struct fnat_flow *f, enum fnat_dir dir,
	       unsigned int thoff);

#endif
