/* SPDX-License-Identifier: GPL-2.0 */
/* RSTs of our own making. */
#ifndef FNAT_RESET_H
#define FNAT_RESET_H

#include "flow.h"

struct fnat_net;
struct sk_buff;

bool fnat_may_reset(const struct fnat_net *fn, const struct fnat_flow *f);
void fnat_reset_flow(struct fnat_net *fn, const struct fnat_flow *f);
void fnat_reset_half_open(struct fnat_net *fn, const struct fnat_flow *f);
void fnat_reset_ended(struct fnat_net *fn, const struct sk_buff *skb, const struct fnat_flow *f,
		      enum fnat_dir dir, unsigned int thoff);
void fnat_reset_unknown(struct fnat_net *fn, const struct sk_buff *skb,
			const struct fnat_tuple *t, unsigned int thoff);

#endif
