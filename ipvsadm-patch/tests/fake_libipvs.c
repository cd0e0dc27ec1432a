// SPDX-License-Identifier: GPL-2.0
/*
 * A libipvs that talks to no kernel: the patched ipvsadm is linked with it, so
 * that everything above netlink can be tested by anybody, and under valgrind.
 * The tables live in the file $FAKE_STATE from one command to the next.
 *
 * What it answers is what the kernel answers: the transcripts in golden/ run
 * against both.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libipvs/fullnat.h"

#define MAX 128
#define MAX_LADDRS 1024
#define MAX_CONNS 8

struct ip_vs_getinfo ipvs_info = { .version = 0x010201, .size = 4096 };

static struct {
	int module;	/* 0 = not to be had, 1 = can be loaded, 2 = loaded */
	unsigned int nsvc, nfullnat, nladdr, nlocal, nconn;
	ipvs_fullnat_conn_t conn[MAX_CONNS];
	ipvs_service_entry_t svc[MAX];
	ipvs_dest_entry_t dest[MAX][MAX];
	ipvs_fullnat_service_t fullnat[MAX];
	ipvs_fullnat_laddr_t laddr[MAX_LADDRS];
	union nf_inet_addr local[MAX];
} st;

static void *last_func;
static const char *sentence;

static int error(int err)
{
	errno = err;
	return -1;
}

static void save(void)
{
	FILE *f = fopen(getenv("FAKE_STATE"), "w");

	if (!f || fwrite(&st, sizeof(st), 1, f) != 1 || fclose(f))
		abort();
}

static void end(ipvs_fullnat_end_t *e, int af, const char *addr, int port)
{
	e->set = 1;
	if (inet_pton(af, addr, &e->addr) <= 0)
		abort();
	e->port = htons(port);
}

/* $FAKE_CONNS: an IPv4 and an IPv6 connection */
static void make_conns(void)
{
	ipvs_fullnat_conn_t *c = st.conn;

	memset(st.conn, 0, sizeof(st.conn));
	st.nconn = 2;
	c->af = AF_INET;
	c->protocol = IPPROTO_TCP;
	end(&c->client, AF_INET, "198.51.100.1", 40000);
	end(&c->vip, AF_INET, "10.9.0.1", 80);
	end(&c->laddr, AF_INET, "10.9.1.1", 1025);
	end(&c->rs, AF_INET, "10.9.2.1", 8080);
	strcpy(c->state, "ESTABLISHED");
	c->expires = 899;
	c++;
	c->af = AF_INET6;
	c->protocol = IPPROTO_UDP;
	end(&c->client, AF_INET6, "2001:db8:c::1", 5353);
	end(&c->vip, AF_INET6, "2001:db8::1", 53);
	end(&c->laddr, AF_INET6, "fd00::1", 65535);
	end(&c->rs, AF_INET6, "2001:db8::2", 53);
	strcpy(c->state, "UDP");
	c->expires = 5;
}

/* FAKE_LOCAL and FAKE_MODULE change the state before the command runs */
int ipvs_init(void)
{
	const char *module = getenv("FAKE_MODULE");
	char *local = getenv("FAKE_LOCAL"), *a;
	FILE *f = fopen(getenv("FAKE_STATE"), "r");

	st.module = 1;
	if (f && fread(&st, sizeof(st), 1, f) != 1)
		abort();
	if (f)
		fclose(f);
	if (module)
		st.module = atoi(module);
	st.nlocal = 0;
	for (a = local ? strtok(local, " ") : NULL; a; a = strtok(NULL, " ")) {
		memset(&st.local[st.nlocal], 0, sizeof(st.local[0]));
		if (inet_pton(strchr(a, ':') ? AF_INET6 : AF_INET, a,
			      &st.local[st.nlocal++]) <= 0)
			abort();
	}
	if (getenv("FAKE_CONNS"))
		make_conns();
	atexit(save);
	return 0;
}

void ipvs_close(void)
{
}

/* ip_vs */

static int find_svc(u_int32_t fwmark, u_int16_t af, u_int16_t protocol,
		    const union nf_inet_addr *addr, u_int16_t port)
{
	unsigned int i;

	for (i = 0; i < st.nsvc; i++) {
		ipvs_service_entry_t *s = &st.svc[i];

		if (s->fwmark != fwmark || s->af != af)
			continue;
		if (fwmark || (s->protocol == protocol && s->port == port &&
			       !memcmp(&s->addr, addr, sizeof(*addr))))
			return i;
	}
	return -1;
}

static int find(ipvs_service_t *s)
{
	return find_svc(s->fwmark, s->af, s->protocol, &s->addr, s->port);
}

static int fill(ipvs_service_entry_t *e, ipvs_service_t *s)
{
	if (!strcmp(s->sched_name, "nosuch"))
		return error(ENOENT);
	e->af = s->af;
	e->fwmark = s->fwmark;
	if (!s->fwmark) {
		e->protocol = s->protocol;
		e->addr = s->addr;
		e->port = s->port;
	}
	strcpy(e->sched_name, s->sched_name);
	strcpy(e->pe_name, s->pe_name);
	e->flags = s->flags | IP_VS_SVC_F_HASHED;
	e->timeout = s->timeout;
	e->netmask = s->netmask;
	return 0;
}

int ipvs_add_service(ipvs_service_t *s)
{
	last_func = ipvs_add_service;
	if (find(s) >= 0)
		return error(EEXIST);
	memset(&st.svc[st.nsvc], 0, sizeof(st.svc[0]));
	if (fill(&st.svc[st.nsvc], s))
		return -1;
	st.nsvc++;
	return 0;
}

int ipvs_update_service(ipvs_service_t *s)
{
	int i = find(s);

	last_func = ipvs_update_service;
	return i < 0 ? error(ESRCH) : fill(&st.svc[i], s);
}

int ipvs_del_service(ipvs_service_t *s)
{
	int i = find(s);

	last_func = ipvs_del_service;
	if (i < 0)
		return error(ESRCH);
	st.nsvc--;
	memmove(&st.svc[i], &st.svc[i + 1], (st.nsvc - i) * sizeof(st.svc[0]));
	memmove(&st.dest[i], &st.dest[i + 1], (st.nsvc - i) * sizeof(st.dest[0]));
	return 0;
}

int ipvs_zero_service(ipvs_service_t *s)
{
	last_func = ipvs_zero_service;
	return find(s) < 0 && (s->fwmark || s->port) ? error(ESRCH) : 0;
}

int ipvs_flush(void)
{
	st.nsvc = 0;
	return 0;
}

static int find_dest(int i, ipvs_dest_t *d)
{
	unsigned int j;

	for (j = 0; j < st.svc[i].num_dests; j++)
		if (st.dest[i][j].af == d->af && st.dest[i][j].port == d->port &&
		    !memcmp(&st.dest[i][j].addr, &d->addr, sizeof(d->addr)))
			return j;
	return -1;
}

static int fill_dest(ipvs_dest_entry_t *e, ipvs_dest_t *d)
{
	memset(e, 0, sizeof(*e));
	e->af = d->af;
	e->addr = d->addr;
	e->port = d->port;
	e->conn_flags = d->conn_flags & IP_VS_CONN_F_FWD_MASK;
	/* a kernel that drops methods it does not know */
	if (getenv("FAKE_NO_METHOD") && e->conn_flags == IP_VS_CONN_F_FULLNAT)
		e->conn_flags = 0;
	e->weight = d->weight;
	e->u_threshold = d->u_threshold;
	e->l_threshold = d->l_threshold;
	e->tun_type = d->tun_type;
	e->tun_port = d->tun_port;
	e->tun_flags = d->tun_flags;
	return 0;
}

int ipvs_add_dest(ipvs_service_t *s, ipvs_dest_t *d)
{
	int i = find(s);

	last_func = ipvs_add_dest;
	if (i < 0)
		return error(ESRCH);
	if (find_dest(i, d) >= 0)
		return error(EEXIST);
	return fill_dest(&st.dest[i][st.svc[i].num_dests++], d);
}

int ipvs_update_dest(ipvs_service_t *s, ipvs_dest_t *d)
{
	int i = find(s);

	last_func = ipvs_update_dest;
	if (i < 0)
		return error(ESRCH);
	if (find_dest(i, d) < 0)
		return error(ENOENT);
	return fill_dest(&st.dest[i][find_dest(i, d)], d);
}

int ipvs_del_dest(ipvs_service_t *s, ipvs_dest_t *d)
{
	int i = find(s), j;

	last_func = ipvs_del_dest;
	if (i < 0)
		return error(ESRCH);
	j = find_dest(i, d);
	if (j < 0)
		return error(ENOENT);
	st.svc[i].num_dests--;
	memmove(&st.dest[i][j], &st.dest[i][j + 1],
		(st.svc[i].num_dests - j) * sizeof(st.dest[0][0]));
	return 0;
}

struct ip_vs_get_services *ipvs_get_services(void)
{
	struct ip_vs_get_services *get = malloc(sizeof(*get) + sizeof(st.svc));

	get->num_services = st.nsvc;
	memcpy(get->entrytable, st.svc, sizeof(st.svc));
	return get;
}

struct ip_vs_get_dests *ipvs_get_dests(ipvs_service_entry_t *se)
{
	struct ip_vs_get_dests *get = calloc(1, sizeof(*get) + sizeof(st.dest[0]));
	int i = find_svc(se->fwmark, se->af, se->protocol, &se->addr, se->port);

	if (i < 0)
		abort();
	get->num_dests = st.svc[i].num_dests;
	memcpy(get->entrytable, st.dest[i], sizeof(st.dest[0]));
	return get;
}

ipvs_service_entry_t *ipvs_get_service(__u32 fwmark, __u16 af, __u16 protocol,
				       union nf_inet_addr addr, __u16 port)
{
	int i = find_svc(fwmark, af, protocol, &addr, port);
	ipvs_service_entry_t *se = malloc(sizeof(*se));

	last_func = ipvs_get_service;
	if (i < 0) {
		free(se);
		errno = ESRCH;
		return NULL;
	}
	*se = st.svc[i];
	return se;
}

int ipvs_cmp_services(ipvs_service_entry_t *s1, ipvs_service_entry_t *s2)
{
	int r = s1->fwmark < s2->fwmark ? -1 : s1->fwmark > s2->fwmark;

	r = r ? r : s1->af - s2->af;
	r = r ? r : s1->protocol - s2->protocol;
	r = r ? r : memcmp(&s1->addr, &s2->addr, sizeof(s1->addr));
	return r ? r : ntohs(s1->port) - ntohs(s2->port);
}

void ipvs_sort_services(struct ip_vs_get_services *s, ipvs_service_cmp_t f)
{
	qsort(s->entrytable, s->num_services, sizeof(s->entrytable[0]),
	      (int (*)(const void *, const void *))f);
}

int ipvs_cmp_dests(ipvs_dest_entry_t *d1, ipvs_dest_entry_t *d2)
{
	int r = memcmp(&d1->addr, &d2->addr, sizeof(d1->addr));

	return r ? r : ntohs(d1->port) - ntohs(d2->port);
}

void ipvs_sort_dests(struct ip_vs_get_dests *d, ipvs_dest_cmp_t f)
{
	qsort(d->entrytable, d->num_dests, sizeof(d->entrytable[0]),
	      (int (*)(const void *, const void *))f);
}

int ipvs_set_timeout(ipvs_timeout_t *to)
{
	(void)to;
	return 0;
}

int ipvs_start_daemon(ipvs_daemon_t *dm)
{
	(void)dm;
	return 0;
}

int ipvs_stop_daemon(ipvs_daemon_t *dm)
{
	(void)dm;
	return 0;
}

ipvs_timeout_t *ipvs_get_timeout(void)
{
	return calloc(1, sizeof(ipvs_timeout_t));
}

ipvs_daemon_t *ipvs_get_daemon(void)
{
	return calloc(2, sizeof(ipvs_daemon_t));
}

const char *ipvs_strerror(int err)
{
	if (last_func == ipvs_add_service && err == EEXIST)
		return "Service already exists";
	if (last_func == ipvs_add_service && err == ENOENT)
		return "Scheduler or persistence engine not found";
	if (last_func == ipvs_update_service && err == ENOENT)
		return "Scheduler or persistence engine not found";
	if ((last_func == ipvs_add_dest || last_func == ipvs_update_dest) &&
	    err == ESRCH)
		return "Service not defined";
	if (last_func == ipvs_add_dest && err == EEXIST)
		return "Destination already exists";
	if (err == ESRCH)
		return "No such service";
	if (err == ENOENT)
		return "No such destination";
	return strerror(err);
}

/* ip_vs_fullnat, in the words of ipvs-fullnat/netlink.c */
#define ONLY_TCP_UDP "FULLNAT is for TCP and UDP only: use masquerading (ipvsadm -a ... -m)"
#define NOT_DECLARED "the service is not declared FULLNAT: declare it with ipvsadm -A ... --fullnat"

int ipvs_fullnat_available(void)
{
	return st.module == 2;
}

int ipvs_fullnat_load(void)
{
	if (!st.module)
		return error(EPROTONOSUPPORT);
	st.module = 2;
	return 0;
}

const char *ipvs_fullnat_strerror(int err)
{
	return sentence ? sentence : strerror(err);
}

static int refuse(int err, const char *text)
{
	sentence = text;
	return error(err);
}

static int same_key(const ipvs_fullnat_key_t *a, const ipvs_fullnat_key_t *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static ipvs_fullnat_service_t *find_fullnat(const ipvs_fullnat_key_t *key)
{
	unsigned int i;

	for (i = 0; i < st.nfullnat; i++)
		if (same_key(&st.fullnat[i].key, key))
			return &st.fullnat[i];
	return NULL;
}

static ipvs_fullnat_service_t *new_fullnat(const ipvs_fullnat_key_t *key)
{
	ipvs_fullnat_service_t *s = &st.fullnat[st.nfullnat++];
	int tcp = key->protocol != IPPROTO_UDP;

	memset(s, 0, sizeof(*s));
	s->key = *key;
	s->origin = FULLNAT_ORIGIN_DECLARED;
	s->toa_v4 = tcp ? 200 : IPVS_FULLNAT_UNSET;
	s->toa_v6 = tcp ? 253 : IPVS_FULLNAT_UNSET;
	s->timestamps = tcp ? FULLNAT_TIMESTAMPS_REWRITE : IPVS_FULLNAT_UNSET;
	return s;
}

int ipvs_fullnat_set_service(const ipvs_fullnat_service_t *svc)
{
	ipvs_fullnat_service_t *s = find_fullnat(&svc->key);

	if (svc->key.protocol == IPPROTO_SCTP)
		return refuse(EOPNOTSUPP, ONLY_TCP_UDP);
	if (svc->key.protocol == IPPROTO_UDP &&
	    (svc->toa_v4 != IPVS_FULLNAT_UNSET || svc->toa_v6 != IPVS_FULLNAT_UNSET ||
	     svc->timestamps != IPVS_FULLNAT_UNSET))
		return refuse(EINVAL, "TOA and timestamps are options of TCP, not of UDP");
	if (!s)
		s = new_fullnat(&svc->key);
	if (svc->toa_v4 != IPVS_FULLNAT_UNSET)
		s->toa_v4 = svc->toa_v4;
	if (svc->toa_v6 != IPVS_FULLNAT_UNSET)
		s->toa_v6 = svc->toa_v6;
	if (svc->timestamps != IPVS_FULLNAT_UNSET)
		s->timestamps = svc->timestamps;
	if (svc->conn_timeout != IPVS_FULLNAT_UNSET)
		s->conn_timeout = svc->conn_timeout;
	return 0;
}

/* l->af == 0: all addresses of the pool */
static int is_named(const ipvs_fullnat_laddr_t *l, const ipvs_fullnat_laddr_t *entry)
{
	size_t len = l->af == AF_INET6 ? 16 : 4;

	return same_key(&entry->key, &l->key) &&
	       (!l->af || (entry->af == l->af && memcmp(&entry->addr, &l->addr, len) >= 0 &&
			   memcmp(&entry->addr, &l->addr_end, len) <= 0));
}

static void remove_laddrs(const ipvs_fullnat_laddr_t *l)
{
	unsigned int i, n = 0;

	for (i = 0; i < st.nladdr; i++)
		if (!is_named(l, &st.laddr[i]))
			st.laddr[n++] = st.laddr[i];
	st.nladdr = n;
}

int ipvs_fullnat_del_service(const ipvs_fullnat_key_t *key)
{
	ipvs_fullnat_laddr_t all = { .key = *key };
	ipvs_fullnat_service_t *s = find_fullnat(key);

	if (key->protocol == IPPROTO_SCTP)
		return refuse(EOPNOTSUPP, ONLY_TCP_UDP);
	if (!s)
		return refuse(ENOENT, NOT_DECLARED);
	remove_laddrs(&all);
	*s = st.fullnat[--st.nfullnat];
	return 0;
}

static void count_laddrs(ipvs_fullnat_service_t *s)
{
	unsigned int i;

	s->num_laddrs = 0;
	for (i = 0; i < st.nladdr; i++)
		s->num_laddrs += same_key(&st.laddr[i].key, &s->key);
}

int ipvs_fullnat_get_service(const ipvs_fullnat_key_t *key,
			     ipvs_fullnat_service_t *svc)
{
	ipvs_fullnat_service_t *s = find_fullnat(key);

	if (!s)
		return refuse(ENOENT, NOT_DECLARED);
	count_laddrs(s);
	*svc = *s;
	return 0;
}

int ipvs_fullnat_get_services(ipvs_fullnat_service_t **svcs)
{
	unsigned int i;

	for (i = 0; i < st.nfullnat; i++)
		count_laddrs(&st.fullnat[i]);
	*svcs = malloc(sizeof(st.fullnat));
	memcpy(*svcs, st.fullnat, sizeof(st.fullnat));
	return st.nfullnat;
}

static void next(union nf_inet_addr *addr, u_int16_t af)
{
	unsigned char *a = (unsigned char *)addr;
	int i = af == AF_INET6 ? 16 : 4;

	while (i-- > 0 && ++a[i] == 0)
		;
}

static int check_pool(const ipvs_fullnat_laddr_t *l)
{
	if (l->key.protocol == IPPROTO_SCTP)
		return refuse(EOPNOTSUPP, ONLY_TCP_UDP);
	if (l->key.af && l->key.af != l->af)
		return refuse(EINVAL, "the local address is not of the service's family");
	if (l->key.af && !find_fullnat(&l->key))
		return refuse(ENOENT, NOT_DECLARED);
	return 0;
}

int ipvs_fullnat_add_laddr(const ipvs_fullnat_laddr_t *laddr)
{
	ipvs_fullnat_laddr_t l = *laddr;
	unsigned int i;

	if (check_pool(&l))
		return -1;
	if (!l.port_min)
		l.port_min = FULLNAT_PORT_MIN_DEFAULT;
	if (!l.port_max)
		l.port_max = FULLNAT_PORT_MAX_DEFAULT;
	for (;; next(&l.addr, l.af)) {
		int is_there = 0;

		for (i = 0; i < st.nladdr; i++) {
			if (st.laddr[i].af != l.af ||
			    memcmp(&st.laddr[i].addr, &l.addr, sizeof(l.addr)))
				continue;
			if (st.laddr[i].port_min != l.port_min ||
			    st.laddr[i].port_max != l.port_max)
				return refuse(EEXIST,
					      "the local address is already declared with other ports: remove it from every pool first");
			is_there |= same_key(&st.laddr[i].key, &l.key);
		}
		if (!is_there) {
			if (st.nladdr == MAX_LADDRS)
				return refuse(ENOMEM, NULL);
			st.laddr[st.nladdr++] = l;
		}
		if (!memcmp(&l.addr, &l.addr_end, sizeof(l.addr)))
			return 0;
	}
}

int ipvs_fullnat_del_laddr(const ipvs_fullnat_laddr_t *l)
{
	union nf_inet_addr addr = l->addr;
	unsigned int i, count = 1;

	if (check_pool(l))
		return -1;
	for (; memcmp(&addr, &l->addr_end, sizeof(addr)); next(&addr, l->af))
		count++;
	for (i = 0; i < st.nladdr; i++)
		count -= is_named(l, &st.laddr[i]);
	if (count)
		return refuse(ENOENT, "no such local address in this pool");
	remove_laddrs(l);
	return 0;
}

int ipvs_fullnat_get_laddrs(const ipvs_fullnat_key_t *key,
			    ipvs_fullnat_laddr_t **laddrs)
{
	unsigned int i, j;
	int num = 0;

	*laddrs = malloc(sizeof(st.laddr));
	for (i = 0; i < st.nladdr; i++) {
		ipvs_fullnat_laddr_t *l = &(*laddrs)[num];

		if (key && !same_key(key, &st.laddr[i].key))
			continue;
		*l = st.laddr[i];
		l->addr_end = l->addr;
		for (j = 0; j < st.nlocal; j++)
			if (!memcmp(&l->addr, &st.local[j], sizeof(l->addr)))
				l->local = 1;
		num++;
	}
	return num;
}

int ipvs_fullnat_flush(void)
{
	st.nfullnat = 0;
	st.nladdr = 0;
	return 0;
}

int ipvs_fullnat_zero(const ipvs_fullnat_key_t *key)
{
	return key && !find_fullnat(key) ? refuse(ENOENT, NOT_DECLARED) : 0;
}

int ipvs_fullnat_set_secret(const void *secret, size_t len)
{
	(void)secret;
	return len < FULLNAT_SECRET_MIN || len > FULLNAT_SECRET_MAX ?
	       refuse(EINVAL, "a secret has 16 to 64 bytes") : 0;
}

static int end_is(const ipvs_fullnat_end_t *want, const ipvs_fullnat_end_t *is)
{
	return !want->set || (!memcmp(&want->addr, &is->addr, sizeof(is->addr)) &&
			      (!want->port || want->port == is->port));
}

static int conn_is(const ipvs_fullnat_conn_t *want, const ipvs_fullnat_conn_t *is)
{
	const ipvs_fullnat_key_t *key = &want->key;

	return (!want->af || want->af == is->af) && end_is(&want->client, &is->client) &&
	       end_is(&want->laddr, &is->laddr) && end_is(&want->rs, &is->rs) &&
	       (!key->af || (key->af == is->af && key->protocol == is->protocol &&
			     key->port == is->vip.port &&
			     !memcmp(&key->addr, &is->vip.addr, sizeof(key->addr))));
}

int ipvs_fullnat_get_conns(const ipvs_fullnat_conn_t *which,
			   ipvs_fullnat_conn_t **conns)
{
	unsigned int i;
	int num = 0;

	*conns = malloc(sizeof(st.conn));
	for (i = 0; i < st.nconn; i++)
		if (conn_is(which, &st.conn[i]))
			(*conns)[num++] = st.conn[i];
	return num;
}

int ipvs_fullnat_end_conns(const ipvs_fullnat_conn_t *which, __u64 *ended)
{
	unsigned int i, kept = 0;

	for (i = 0; i < st.nconn; i++)
		if (!conn_is(which, &st.conn[i]))
			st.conn[kept++] = st.conn[i];
	*ended = st.nconn - kept;
	st.nconn = kept;
	return 0;
}
