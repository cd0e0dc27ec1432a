// SPDX-License-Identifier: GPL-2.0
/*
 * The IPVS scheduler "fullnat": weighted least-connection that passes over real
 * servers towards which no local port is free. It is also a door for programs
 * that know nothing of us: ip_vs loads the module for it (it asks for
 * ip_vs_<scheduler>), and a service that has it is FULLNAT without a
 * declaration, with the default pool and options.
 *
 * Schedulers are an interface that ip_vs offers, so this file sees its services
 * and destinations; all else that touches ip_vs is in seam.c.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <net/ip_vs.h>
#include <uapi/linux/ip_vs_fullnat.h>

#include "ip.h"
#include "laddr.h"
#include "net.h"
#include "port.h"
#include "route.h"
#include "scheduler.h"
#include "seam.h"
#include "service.h"

/* A service that has the scheduler. */
struct door {
	struct list_head list;		/* door_lock */
	struct netns_ipvs *ipvs;
	struct fnat_svc_key key;
	bool open;			/* door_lock; the table of services has it */
	struct rcu_work work;		/* takes it out of there */
};

/* Order: __ip_vs_mutex of ip_vs, then door_lock, then fnat_net.lock. */
static DEFINE_MUTEX(door_lock);
static LIST_HEAD(doors);
static bool door_ready;			/* door_lock */
static struct workqueue_struct *door_wq;

/* 0, also in a namespace that goes away: it stays closed there. -ENOMEM. */
static int door_open(struct door *door)
{
	struct fnat_net *fn = fnat_net(door->ipvs->net);
	int err = 0;

	lockdep_assert_held(&door_lock);
	mutex_lock(&fn->lock);
	if (!READ_ONCE(fn->exiting)) {
		err = fnat_service_open(fn, &door->key);
		WRITE_ONCE(door->open, !err);
		fnat_net_changed(fn);
	}
	mutex_unlock(&fn->lock);
	return err;
}

/*
 * ip_vs binds the scheduler to a service: process context, under its mutex. The
 * module may still be on its way, see main.c: then fnat_scheduler_ready() does it.
 */
static int fullnat_init_service(struct ip_vs_service *svc)
{
	struct door *door;
	int err = 0;

	if (!svc->fwmark && svc->protocol != IPPROTO_TCP && svc->protocol != IPPROTO_UDP)
		return -EOPNOTSUPP;
	if (svc->flags & IP_VS_SVC_F_ONEPACKET)
		return -EOPNOTSUPP;
	door = kzalloc(sizeof(*door), GFP_KERNEL);
	if (!door)
		return -ENOMEM;
	door->ipvs = svc->ipvs;
	fnat_seam_service_key(svc, &door->key);

	mutex_lock(&door_lock);
	if (door_ready)
		err = door_open(door);
	if (!err)
		list_add_tail(&door->list, &doors);
	mutex_unlock(&door_lock);
	if (err) {
		kfree(door);
		return err;
	}
	svc->sched_data = door;
	return 0;
}

/* A grace period after the scheduler has been unbound. */
static void door_close_work(struct work_struct *work)
{
	struct door *door = container_of(to_rcu_work(work), struct door, work);
	struct fnat_net *fn = fnat_net(door->ipvs->net);

	mutex_lock(&fn->lock);
	fnat_service_close(fn, &door->key);
	fnat_net_changed(fn);
	mutex_unlock(&fn->lock);
	atomic_dec(&fn->doors_closing);
	kfree(door);
}

/*
 * ip_vs takes the scheduler from a service: process context, under its mutex.
 * Whoever has been scheduled already is still about to become a connection, and
 * must find that the service is FULLNAT.
 */
static void fullnat_done_service(struct ip_vs_service *svc)
{
	struct door *door = svc->sched_data;
	struct fnat_net *fn;

	WRITE_ONCE(svc->sched_data, NULL);
	mutex_lock(&door_lock);
	list_del(&door->list);
	fn = door->open ? fnat_net(door->ipvs->net) : NULL;
	if (fn && !READ_ONCE(fn->exiting)) {
		atomic_inc(&fn->doors_closing);
		INIT_RCU_WORK(&door->work, door_close_work);
		queue_rcu_work(door_wq, &door->work);
		door = NULL;
	}
	mutex_unlock(&door_lock);
	if (door)
		kfree_rcu(door, work.rcu);
}

/* Under RCU. */
static bool is_open(const struct ip_vs_service *svc)
{
	const struct door *door = READ_ONCE(svc->sched_data);

	return door && READ_ONCE(door->open);
}

static bool may_be_chosen(const struct ip_vs_dest *dest)
{
	return !(dest->flags & IP_VS_DEST_F_OVERLOAD) && atomic_read(&dest->weight) > 0;
}

/* Is FULLNAT what happens to connections to it, and is a local port free for one? */
static bool has_port(const struct fnat_net *fn, const struct fnat_pool *pool, u16 protocol,
		     const struct ip_vs_dest *dest, __be16 dport)
{
	unsigned int method = atomic_read(&dest->conn_flags) & IP_VS_CONN_F_FWD_MASK;

	if (method != IP_VS_CONN_F_MASQ && method != IP_VS_CONN_F_FULLNAT)
		return true;
	return fnat_port_is_left(fn, pool, dest->af, protocol, &dest->addr, dport);
}

/* The port of a destination that takes over the client's. */
static __be16 asked_port(const struct sk_buff *skb, const struct ip_vs_iphdr *iph)
{
	__be16 _ports[2], *ports;

	ports = skb_header_pointer(skb, iph->len, sizeof(_ports), _ports);
	return ports ? ports[1] : 0;
}

/* Softirq, or process context (LOCAL_OUT), under RCU. */
static struct ip_vs_dest *fullnat_schedule(struct ip_vs_service *svc, const struct sk_buff *skb,
					   struct ip_vs_iphdr *iph)
{
	struct ip_vs_dest *dest, *least = NULL, *fallback = NULL;
	s64 overhead, least_overhead = 0, fallback_overhead = 0;
	const struct fnat_pool *pool;
	struct fnat_svc_key key;
	struct fnat_net *fn;

	/* until we can do it, nothing may go out as plain NAT; of SCTP we never can */
	if (!is_open(svc) || !fnat_is_transport(iph->protocol))
		return NULL;
	fn = fnat_net(svc->ipvs->net);
	fnat_seam_service_key(svc, &key);
	pool = fnat_service_pool(fn, fnat_service_get(fn, &key));
	list_for_each_entry_rcu(dest, &svc->destinations, n_list) {
		s64 weight = atomic_read(&dest->weight);

		if (!may_be_chosen(dest))
			continue;
		overhead = ip_vs_dest_conn_overhead(dest);
		if (!fallback ||
		    fallback_overhead * weight > overhead * atomic_read(&fallback->weight)) {
			fallback = dest;
			fallback_overhead = overhead;
		}
		if (least && least_overhead * weight <= overhead * atomic_read(&least->weight))
			continue;
		if (has_port(fn, pool, iph->protocol, dest,
			     dest->port ? : asked_port(skb, iph))) {
			least = dest;
			least_overhead = overhead;
		}
	}
	/* none has a port: its drop is silent, and the client comes again */
	if (!least)
		least = fallback;
	if (!least)
		ip_vs_scheduler_err(svc, "no destination available");
	return least;
}

static struct ip_vs_scheduler fullnat_scheduler = {
	.name = "fullnat",
	.refcnt = ATOMIC_INIT(0),
	.module = THIS_MODULE,
	.n_list = LIST_HEAD_INIT(fullnat_scheduler.n_list),
	.init_service = fullnat_init_service,
	.done_service = fullnat_done_service,
	.schedule = fullnat_schedule,
};

/* The namespaces are there, and the seam: the services that came before, too. */
void fnat_scheduler_ready(void)
{
	struct door *door;

	mutex_lock(&door_lock);
	list_for_each_entry(door, &doors, list)
		if (door_open(door))
			pr_err("ip_vs_fullnat: no memory for a service with the scheduler fullnat: it drops connections until it is made anew\n");
	door_ready = true;
	mutex_unlock(&door_lock);
}

/* A namespace goes: no service of it is opened or closed behind its back. */
void fnat_scheduler_net_exit(struct fnat_net *fn)
{
	if (!atomic_read(&fn->doors_closing))
		return;
	rcu_barrier();
	flush_workqueue(door_wq);
}

/* Module load. */
int fnat_scheduler_init(void)
{
	door_wq = alloc_workqueue("ip_vs_fullnat", WQ_UNBOUND, 0);
	return door_wq ? 0 : -ENOMEM;
}

/* Module load; from now on services may have it. */
int fnat_scheduler_register(void)
{
	return register_ip_vs_scheduler(&fullnat_scheduler);
}

/* Module unload: no service has it, but some may just have lost it. */
void fnat_scheduler_unregister(void)
{
	unregister_ip_vs_scheduler(&fullnat_scheduler);
	rcu_barrier();
	flush_workqueue(door_wq);
}

void fnat_scheduler_exit(void)
{
	destroy_workqueue(door_wq);
}
