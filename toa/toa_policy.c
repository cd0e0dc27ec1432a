// SPDX-License-Identifier: GPL-2.0
/*
 * Which TOA is believed: one of an accepted layout, for a connection to a listed
 * local port, in a packet from a trusted source. Each namespace has its own
 * policy. That of the initial one comes from the module's parameters; another
 * starts with a copy of it.
 *
 * Who is root in a container only must not be able to believe more than the host
 * does. So a TOA in another namespace must pass the initial one's policy as well,
 * whatever has changed there meanwhile; and a setting that could never have an
 * effect is refused when it is written.
 *
 * Each of the three parts is replaced as a whole, so that a reader sees the old
 * one or the new one.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/mutex.h>
#include <linux/printk.h>
#include <linux/ratelimit.h>
#include <linux/rcupdate.h>

#include "toa.h"

static DEFINE_MUTEX(toa_policy_lock);	/* writers, and readers that may sleep, of all namespaces */

#define toa_policy_locked(p) rcu_dereference_protected(p, lockdep_is_held(&toa_policy_lock))

#define TOA_REPORT_INTERVAL (5 * 60 * HZ)	/* between two strangers in a namespace */
#define TOA_REPORTS_OF_OTHERS 10	/* in it, of all namespaces but the initial one */

/* Who is root in namespaces of his own shall not fill the log: of strangers, of refused settings */
static struct ratelimit_state toa_reports_of_others =
	RATELIMIT_STATE_INIT_FLAGS(toa_reports_of_others, TOA_REPORT_INTERVAL,
				   TOA_REPORTS_OF_OTHERS, RATELIMIT_MSG_ON_RELEASE);
static struct ratelimit_state toa_complaints_of_others =
	RATELIMIT_STATE_INIT_FLAGS(toa_complaints_of_others, TOA_REPORT_INTERVAL,
				   TOA_REPORTS_OF_OTHERS, RATELIMIT_MSG_ON_RELEASE);

static struct toa_policy *toa_policy(const struct net *net)
{
	return &toa_net(net)->policy;
}

/* Set of TOA_LAYOUT_*. Any context. */
unsigned int toa_policy_layouts(const struct net *net)
{
	return READ_ONCE(toa_policy(net)->layouts) & READ_ONCE(toa_policy(&init_net)->layouts);
}

static bool toa_policy_has_port(const struct net *net, u16 port)
{
	const struct toa_ports *ports = rcu_dereference(toa_policy(net)->ports);

	return !ports || toa_ports_has(ports, port);
}

static bool toa_policy_trusts(const struct net *net, const struct toa_client *wire)
{
	return toa_trust_has(rcu_dereference(toa_policy(net)->trust), wire);
}

/**
 * toa_policy_judge - is the TOA of a packet believed?
 * @net: the namespace
 * @wire: where the packet comes from
 * @port: the local port of its connection
 *
 * Any context.
 */
enum toa_verdict toa_policy_judge(const struct net *net, const struct toa_client *wire, u16 port)
{
	enum toa_verdict verdict = TOA_BELIEVED;

	rcu_read_lock();
	if (!toa_policy_has_port(net, port) || !toa_policy_has_port(&init_net, port))
		verdict = TOA_OTHER_PORT;
	else if (!toa_policy_trusts(net, wire) || !toa_policy_trusts(&init_net, wire))
		verdict = TOA_STRANGER;
	rcu_read_unlock();
	return verdict;
}

/**
 * toa_policy_report_stranger - log whose TOA was not believed, and how to trust it
 * @net: the namespace, a few minutes after its last report at the earliest
 * @wire: the source
 *
 * Any context. The command reads the list itself: that may be longer than a line
 * of the log, and may change before somebody runs the command.
 */
void toa_policy_report_stranger(struct net *net, const struct toa_client *wire)
{
	char in[48] = "", where[64] = "", source[INET6_ADDRSTRLEN];
	bool trusted_outside;

	if (!__ratelimit(&toa_net(net)->stranger_reports) ||
	    (!net_eq(net, &init_net) && !__ratelimit(&toa_reports_of_others)))
		return;
	snprintf(source, sizeof(source), wire->family == AF_INET ? "%pI4" : "%pI6c", &wire->addr);
	if (!net_eq(net, &init_net)) {
		rcu_read_lock();
		trusted_outside = toa_policy_trusts(&init_net, wire);
		rcu_read_unlock();
		snprintf(in, sizeof(in), " in network namespace %u", net->ns.inum);
		snprintf(where, sizeof(where), "%sthere, ",
			 trusted_outside ? "" : "in the initial network namespace and then ");
	}
	pr_notice("not believed: TOA from %s%s (to trust it, %srun: sysctl -w net.toa.trust=\"$(sysctl -n net.toa.trust),%s/%d\")\n",
		  source, in, where, source, wire->family == AF_INET ? 32 : 128);
}

/* The settings of a namespace as text. Process context, like all that follows. */

/* Is there room in the log for what is wrong with a setting of the namespace? */
bool toa_policy_may_complain(const struct net *net)
{
	return net_eq(net, &init_net) || __ratelimit(&toa_complaints_of_others);
}

void toa_policy_print_trust(const struct net *net, char *buf, size_t size)
{
	mutex_lock(&toa_policy_lock);
	toa_trust_print(toa_policy_locked(toa_policy(net)->trust), buf, size);
	mutex_unlock(&toa_policy_lock);
}

void toa_policy_print_ports(const struct net *net, char *buf, size_t size)
{
	struct toa_ports *ports;

	buf[0] = '\0';
	mutex_lock(&toa_policy_lock);
	ports = toa_policy_locked(toa_policy(net)->ports);
	if (ports)
		toa_ports_print(ports, buf, size);
	mutex_unlock(&toa_policy_lock);
}

void toa_policy_print_layouts(const struct net *net, char *buf, size_t size)
{
	toa_layouts_print(READ_ONCE(toa_policy(net)->layouts), buf, size);
}

static int toa_policy_replace_trust(struct net *net, struct toa_trust **t)
{
	const struct toa_trust *outer = toa_policy_locked(toa_policy(&init_net)->trust);
	char other[TOA_PREFIX_TEXT_MAX];

	/* When the module ends, the initial namespace may be without a list already. */
	if (!net_eq(net, &init_net) && outer && !toa_trust_within(*t, outer, other)) {
		toa_setting_err(net, "trust: %s is not trusted by the initial network namespace, and another cannot widen that; first, in the initial one: sysctl -w net.toa.trust=\"$(sysctl -n net.toa.trust),%s\"\n",
				other, other);
		return -EPERM;
	}
	*t = rcu_replace_pointer(toa_policy(net)->trust, *t, lockdep_is_held(&toa_policy_lock));
	return 0;
}

int toa_policy_set_trust(struct net *net, const char *text)
{
	struct toa_trust *t = toa_trust_parse(net, text);
	int err;

	if (IS_ERR(t))
		return PTR_ERR(t);
	mutex_lock(&toa_policy_lock);
	err = toa_policy_replace_trust(net, &t);
	mutex_unlock(&toa_policy_lock);
	toa_trust_free(t);
	return err;
}

/* All ports (NULL) may be written anywhere: that adds no restriction, and lifts none. */
static int toa_policy_replace_ports(struct net *net, struct toa_ports **ports)
{
	const struct toa_ports *outer = toa_policy_locked(toa_policy(&init_net)->ports);

	if (!net_eq(net, &init_net) && *ports && outer && !toa_ports_within(*ports, outer)) {
		toa_setting_err(net, "ports: not all of them are in net.toa.ports of the initial network namespace, and another cannot widen that; first add them in the initial one\n");
		return -EPERM;
	}
	*ports = rcu_replace_pointer(toa_policy(net)->ports, *ports,
				     lockdep_is_held(&toa_policy_lock));
	return 0;
}

int toa_policy_set_ports(struct net *net, const char *text)
{
	struct toa_ports *ports = toa_ports_parse(net, text);
	int err;

	if (IS_ERR(ports))
		return PTR_ERR(ports);
	mutex_lock(&toa_policy_lock);
	err = toa_policy_replace_ports(net, &ports);
	mutex_unlock(&toa_policy_lock);
	toa_ports_free(ports);
	return err;
}

int toa_policy_set_layouts(struct net *net, const char *text)
{
	int layouts = toa_layouts_parse(net, text);
	int err = 0;

	if (layouts < 0)
		return layouts;
	mutex_lock(&toa_policy_lock);
	if (!net_eq(net, &init_net) && layouts & ~toa_policy(&init_net)->layouts) {
		toa_setting_err(net, "layouts: not all of them are in net.toa.layouts of the initial network namespace, and another cannot widen that; first add them in the initial one\n");
		err = -EPERM;
	} else {
		WRITE_ONCE(toa_policy(net)->layouts, layouts);
	}
	mutex_unlock(&toa_policy_lock);
	return err;
}

static int toa_policy_parse(struct net *net, const struct toa_policy_text *text)
{
	int err;

	err = toa_policy_set_trust(net, text->trust);
	if (!err)
		err = toa_policy_set_ports(net, text->ports);
	if (!err)
		err = toa_policy_set_layouts(net, text->layouts);
	return err;
}

static int toa_policy_inherit(struct toa_policy *to, const struct toa_policy *from)
{
	const struct toa_ports *ports;
	struct toa_ports *copy = NULL;
	struct toa_trust *trust;

	lockdep_assert_held(&toa_policy_lock);
	trust = toa_trust_copy(toa_policy_locked(from->trust));
	ports = toa_policy_locked(from->ports);
	if (ports)
		copy = toa_ports_copy(ports);
	to->layouts = from->layouts;
	rcu_assign_pointer(to->trust, trust);
	rcu_assign_pointer(to->ports, copy);
	return trust && !ports == !copy ? 0 : -ENOMEM;
}

/* @text is for the initial namespace. */
int toa_policy_net_init(struct net *net, const struct toa_policy_text *text)
{
	struct ratelimit_state *reports = &toa_net(net)->stranger_reports;
	int err;

	ratelimit_state_init(reports, TOA_REPORT_INTERVAL, 1);
	ratelimit_set_flags(reports, RATELIMIT_MSG_ON_RELEASE);	/* no word about others */
	if (net_eq(net, &init_net)) {
		err = toa_policy_parse(net, text);
	} else {
		mutex_lock(&toa_policy_lock);
		err = toa_policy_inherit(toa_policy(net), toa_policy(&init_net));
		mutex_unlock(&toa_policy_lock);
	}
	if (err)
		toa_policy_net_exit(net);
	return err;
}

/* No packet and no socket of the namespace is left. */
void toa_policy_net_exit(struct net *net)
{
	struct toa_policy *p = toa_policy(net);

	mutex_lock(&toa_policy_lock);
	toa_trust_free(rcu_replace_pointer(p->trust, NULL, lockdep_is_held(&toa_policy_lock)));
	toa_ports_free(rcu_replace_pointer(p->ports, NULL, lockdep_is_held(&toa_policy_lock)));
	mutex_unlock(&toa_policy_lock);
}
