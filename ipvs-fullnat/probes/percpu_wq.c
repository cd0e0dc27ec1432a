// SPDX-License-Identifier: GPL-2.0
/* 6.17: system_wq and system_unbound_wq have other names; the old ones are complained about. */
#include <linux/workqueue.h>

struct workqueue_struct *probe(int unbound);
struct workqueue_struct *probe(int unbound)
{
	return unbound ? system_dfl_wq : system_percpu_wq;
}
