#include "dns/dns.h"

#include <ares.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "dns/cache.h"
#include "net/dest.h"

#define TTL_MIN	   (5 * NSEC_SEC)
#define TTL_MAX	   (3600 * NSEC_SEC)
#define TTL_FAILED (5 * NSEC_SEC)
#define TRY_MS	   2000 /* one server, one try */
#define TRIES	   2
#define SOCKETS	   16

/* So many at once are asked for anew: more would not fit into a socket. */
#define PORTION	      64
#define PORTION_EVERY (2 * NSEC_MS)

/* One struct resolve that waits for an entry. */
struct dns_wait {
	struct list_node link;
	struct dns_entry *entry;
	struct resolve *q;
};

struct dns_sock {
	struct watch w;
	struct dns *dns;
};

struct dns {
	struct resolver resolver;
	struct loop *loop;
	ares_channel ares;
	struct timer tick;    /* c-ares looks at its time-outs, while a question is out */
	struct timer portion; /* the next of what is due */
	struct dns_sock socks[SOCKETS];
	struct dns_cache cache;
	struct dns_options opt;
	size_t out;	 /* questions of c-ares */
	size_t given_up; /* those of them that have no entry any more */
	bool dying;
};

/* What an answer needs to find its entry again, which is pinned in the cache until then. */
struct dns_query {
	struct dns *dns;
	struct dns_entry *entry; /* NULL: it has been given up */
};

/* c-ares could say when its next time-out is, but looks through all that is out to know. */
static void set_tick(struct dns *d)
{
	nsec_t try = (d->opt.try_ms ? d->opt.try_ms : TRY_MS) * NSEC_MS;

	if (d->out && !timer_armed(&d->tick))
		timer_set(d->loop, &d->tick, loop_now(d->loop) + try / 8);
}

static void on_tick(struct timer *t)
{
	struct dns *d = container_of(t, struct dns, tick);

	ares_process_fd(d->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	set_tick(d);
}

static void on_socket(struct watch *w, unsigned ev)
{
	struct dns_sock *s = container_of(w, struct dns_sock, w);
	struct dns *d = s->dns;

	ares_process_fd(d->ares, ev & IO_RD ? w->fd : ARES_SOCKET_BAD,
			ev & IO_WR ? w->fd : ARES_SOCKET_BAD);
}

/* c-ares opens, changes (rd, wr) and is about to close (neither) one of its sockets. */
static void on_state(void *arg, ares_socket_t fd, int rd, int wr)
{
	struct dns *d = arg;
	struct dns_sock *s = NULL;

	for (size_t i = 0; i < SOCKETS && !s; i++) {
		if (d->socks[i].w.fd == fd)
			s = &d->socks[i];
	}
	for (size_t i = 0; i < SOCKETS && !s; i++) {
		if (d->socks[i].w.fd < 0)
			s = &d->socks[i];
	}
	if (!s)
		return; /* more servers than sockets: this one times out, the others answer */
	s->w.fd = fd;
	/* A watch that cannot be set means a time-out, which is an answer, too. */
	(void)!watch_set(d->loop, &s->w, (rd ? IO_RD : 0u) | (wr ? IO_WR : 0u));
	if (!rd && !wr)
		s->w.fd = -1;
}

static void answer(struct resolve *q, const struct dns_entry *e)
{
	q->query = NULL;
	q->err = e->err;
	q->n = MIN(e->n, RESOLVE_MAX);
	for (int i = 0; i < q->n; i++)
		q->addrs[i] = e->addrs[i];
}

static void wake_waiting(struct dns *d, struct dns_entry *e)
{
	struct list_node *n;

	while ((n = list_pop(&e->waiting))) {
		struct dns_wait *wait = list_entry(n, struct dns_wait, link);

		answer(wait->q, e);
		loop_queue(d->loop, wait->q->waiter);
		free(wait);
	}
}

static void learn(struct dns *d, struct dns_entry *e, const struct addr *addrs, int n, int err,
		  nsec_t ttl)
{
	dns_cache_state(&d->cache, e, DNS_KNOWN);
	dns_entry_set(e, addrs, n, err, loop_now(d->loop) + ttl);
	wake_waiting(d, e);
}

static int count_family(const struct ares_addrinfo *ai, int family)
{
	int n = 0;

	for (const struct ares_addrinfo_node *node = ai->nodes; node; node = node->ai_next)
		n += node->ai_family == family;
	return n;
}

/* What fits, in the order of c-ares.  Where there is too much, each family has its half: whoever
 * may use only one of them must find it.
 */
static int collect(const struct ares_addrinfo *ai, struct addr *out, nsec_t *ttl)
{
	const struct ares_addrinfo_node *node;
	int room4 = RESOLVE_MAX - MIN(count_family(ai, AF_INET6), RESOLVE_MAX / 2);
	int room6 = RESOLVE_MAX - MIN(count_family(ai, AF_INET), room4);
	int n = 0;

	for (node = ai->nodes; node; node = node->ai_next) {
		if (node->ai_family == AF_INET && room4-- > 0) {
			const struct sockaddr_in *in = (const void *)node->ai_addr;

			out[n++] = addr_from_ip4(&in->sin_addr, 0);
		} else if (node->ai_family == AF_INET6 && room6-- > 0) {
			const struct sockaddr_in6 *in6 = (const void *)node->ai_addr;

			out[n++] = addr_from_ip6(&in6->sin6_addr, 0);
		}
		*ttl = MIN(*ttl, MAX(TTL_MIN, node->ai_ttl * NSEC_SEC));
	}
	return n;
}

static int err_of_status(int status)
{
	switch (status) {
	case ARES_ENOTFOUND:
	case ARES_ENODATA:
		return -ERR_NO_ADDRESS;
	case ARES_ENOMEM:
		return -ENOMEM;
	default:
		return -ERR_RESOLVE;
	}
}

/* Its channel went because there is another one. */
static void lose_question(struct dns *d, struct dns_entry *e)
{
	dns_cache_state(&d->cache, e, list_empty(&e->waiting) ? DNS_KNOWN : DNS_DUE);
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *ai)
{
	struct dns_query *query = arg;
	struct dns *d = query->dns;
	struct dns_entry *e = query->entry;
	struct addr addrs[RESOLVE_MAX];
	nsec_t ttl = TTL_MAX;
	int n = 0, err = 0;

	free(query);
	d->out--;
	if (status == ARES_SUCCESS)
		n = collect(ai, addrs, &ttl);
	else
		err = err_of_status(status);
	if (ai)
		ares_freeaddrinfo(ai);
	if (n == 0 && !err)
		err = -ERR_NO_ADDRESS;
	if (e)
		e->query = NULL;
	if (!e)
		d->given_up--;
	else if (status == ARES_EDESTRUCTION)
		lose_question(d, e);
	else if (!d->dying)
		learn(d, e, addrs, n, err, err ? TTL_FAILED : ttl);
}

static int ask(struct dns *d, struct dns_entry *e)
{
	const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC,
						  .ai_socktype = SOCK_STREAM};
	struct dns_query *query = calloc(1, sizeof(*query));

	if (!query)
		return -ENOMEM;
	query->dns = d;
	query->entry = e;
	e->query = query;
	d->out++;
	dns_cache_state(&d->cache, e, e->state == DNS_DUE ? DNS_AGAIN : DNS_ASKED);
	ares_getaddrinfo(d->ares, e->name, NULL, &hints, on_answer, query);
	set_tick(d);
	return 0;
}

static void ask_portion(struct dns *d)
{
	struct dns_entry *e;

	for (int i = 0; i < PORTION && (e = dns_cache_oldest(&d->cache, DNS_DUE)); i++) {
		int err = ask(d, e);

		if (err)
			learn(d, e, NULL, 0, err, 0);
	}
	if (dns_cache_oldest(&d->cache, DNS_DUE))
		timer_set(d->loop, &d->portion, loop_now(d->loop) + PORTION_EVERY);
}

static void on_portion(struct timer *t)
{
	ask_portion(container_of(t, struct dns, portion));
}

/* As if its time were up. */
static void give_up(struct dns *d, struct dns_entry *e)
{
	if (e->query) {
		d->given_up++;
		e->query->entry = NULL;
		e->query = NULL;
	}
	learn(d, e, NULL, 0, -ERR_RESOLVE, 0);
}

/* Whoever asks for names that nobody answers shall not keep the others from asking: where all places
 * are taken by questions under way, one of them gives way.  c-ares cannot take one question back, so
 * once as many as there are places have been given up, it goes with all of them, and another one is
 * asked what is waited for.
 */
static struct dns_entry *entry_of(struct dns *d, const char *name)
{
	struct dns_entry *old;

	if (strlen(name) > DEST_NAME_MAX)
		return NULL;
	if (dns_cache_in_the_way(&d->cache) && !dns_cache_find(&d->cache, name)) {
		if (d->given_up >= DNS_CACHE_MAX && dns_reread(d))
			return NULL;
		old = dns_cache_in_the_way(&d->cache);
		if (old)
			give_up(d, old);
	}
	return dns_cache_get(&d->cache, name);
}

/* The answer will be worth something to the next one who asks, unless there is no room for it. */
static void if_unheard(struct dns *d, struct dns_entry *e)
{
	if (list_empty(&e->waiting))
		dns_cache_state(&d->cache, e, e->query ? DNS_UNHEARD : DNS_KNOWN);
}

static int dns_start(struct resolver *r, struct resolve *q, const char *name)
{
	struct dns *d = container_of(r, struct dns, resolver);
	struct dns_entry *e = entry_of(d, name);
	struct dns_wait *wait;

	q->err = -ENOMEM;
	if (!e)
		return 0;
	if (e->state == DNS_KNOWN && e->expires <= loop_now(d->loop) && ask(d, e))
		return 0;
	if (e->state == DNS_KNOWN) { /* or answered from the hosts file just now */
		answer(q, e);
		return 0;
	}
	wait = calloc(1, sizeof(*wait));
	if (!wait) {
		if_unheard(d, e);
		return 0;
	}
	wait->entry = e;
	wait->q = q;
	q->query = wait;
	list_add_tail(&e->waiting, &wait->link);
	if (e->state == DNS_UNHEARD)
		dns_cache_state(&d->cache, e, DNS_ASKED);
	return -EAGAIN;
}

static void dns_cancel(struct resolver *r, struct resolve *q)
{
	struct dns_wait *wait = q->query;

	list_del(&wait->link);
	if_unheard(container_of(r, struct dns, resolver), wait->entry);
	free(wait);
	q->query = NULL;
}

static const struct resolver_ops dns_ops = {
	.start = dns_start,
	.cancel = dns_cancel,
};

/* Reads resolv.conf. */
static int open_channel(struct dns *d, ares_channel *out)
{
	struct ares_options opt = {
		.timeout = d->opt.try_ms ? d->opt.try_ms : TRY_MS,
		.tries = d->opt.tries ? d->opt.tries : TRIES,
		.resolvconf_path = (char *)(uintptr_t)d->opt.file, /* copied */
		.udp_port = d->opt.port,
		.tcp_port = d->opt.port,
		.sock_state_cb = on_state,
		.sock_state_cb_data = d,
	};
	int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;

	if (d->opt.file)
		mask |= ARES_OPT_RESOLVCONF;
	if (d->opt.port)
		mask |= ARES_OPT_UDP_PORT | ARES_OPT_TCP_PORT;
	return ares_init_options(out, &opt, mask) ? -ERR_CONFIG : 0;
}

struct dns *dns_new(struct loop *l)
{
	return dns_new_with(l, &(struct dns_options){0});
}

struct dns *dns_new_with(struct loop *l, const struct dns_options *opt)
{
	struct dns *d = calloc(1, sizeof(*d));
	uint64_t seed;

	if (!d)
		return NULL;
	d->opt = *opt;
	for (size_t i = 0; i < SOCKETS; i++)
		d->socks[i] = (struct dns_sock){.w = {.fd = -1, .fire = on_socket}, .dns = d};
	if (open_channel(d, &d->ares)) {
		free(d);
		return NULL;
	}
	d->resolver.ops = &dns_ops;
	d->loop = l;
	timer_init(&d->tick, on_tick);
	timer_init(&d->portion, on_portion);
	loop_random(l, &seed, sizeof(seed));
	dns_cache_init(&d->cache, seed);
	return d;
}

int dns_reread(struct dns *d)
{
	ares_channel old = d->ares, fresh;
	int err = open_channel(d, &fresh);

	if (err)
		return err;
	d->ares = fresh;
	ares_destroy(old); /* on_answer() says what is due */
	ask_portion(d);
	return 0;
}

static void forget_waiting(struct dns_entry *e)
{
	struct list_node *n;

	while ((n = list_pop(&e->waiting))) {
		struct dns_wait *wait = list_entry(n, struct dns_wait, link);

		wait->q->query = NULL;
		free(wait);
	}
}

void dns_free(struct dns *d)
{
	struct list_node *pos;

	if (!d)
		return;
	d->dying = true;
	timer_stop(&d->tick);
	timer_stop(&d->portion);
	ares_destroy(d->ares); /* calls on_answer for what is under way */
	for (int i = 0; i < DNS_STATES; i++) {
		list_for_each(pos, &d->cache.age[i])
			forget_waiting(list_entry(pos, struct dns_entry, age));
	}
	dns_cache_done(&d->cache);
	free(d);
}

struct resolver *dns_resolver(struct dns *d)
{
	return &d->resolver;
}

size_t dns_cached(const struct dns *d)
{
	return d->cache.n;
}

size_t dns_given_up(const struct dns *d)
{
	return d->given_up;
}

int dns_set_servers(struct dns *d, const char *csv)
{
	return ares_set_servers_ports_csv(d->ares, csv) ? -ERR_CONFIG : 0;
}
