/* load_way.c - the way to a server under test, and what it spends. */
#include "load_way.h"

#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "client/from_link.h"
#include "dns/dns.h"

void load_die(const char *what, int err)
{
	fprintf(stderr, "load: %s: %s\n", what, err_text(err));
	exit(1);
}

/* Seconds of all its threads, those that have ended too. */
double load_cpu_of(pid_t pid)
{
	struct timespec ts;
	clockid_t clock;
	int err = clock_getcpuclockid(pid, &clock);

	if (err || clock_gettime(clock, &ts) < 0)
		load_die("the server's clock", err ? -err : -errno);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void open_link(const char *text, struct outbound_conf *out)
{
	struct link_trust trust = {.insecure = true};
	char why[FROM_LINK_WHY] = "";
	struct share_link link;
	const char *what = "";
	struct arena mem;
	int err;

	arena_init(&mem, 0);
	err = share_link_parse(text, strlen(text), &mem, &link, &what);
	if (!err)
		err = outbound_conf_of_link(&link, &trust, out, why);
	arena_done(&mem);
	if (err)
		load_die(*why ? why : what, err);
}

void load_way_open(struct load_way *w, struct loop *l, const char *link, const struct addr *source)
{
	static struct own_addr own;
	static struct dns *dns;

	if (!dns) {
		dns = dns_new(l);
		own_addr_init(&own);
	}
	if (!dns)
		load_die("resolver", -ENOMEM);
	w->anywhere = (struct direct_conf){.allow_private = true};
	if (source)
		w->anywhere.source = *source;
	direct_init(&w->direct, dns_resolver(dns), &w->anywhere, &own);
	w->dialer = &w->direct.dialer;
	if (!link)
		return;
	open_link(link, &w->conf);
	outbound_init(&w->outbound, &w->direct.dialer, &w->conf);
	w->dialer = &w->outbound.dialer;
}

void load_run(struct load *l, nsec_t duration)
{
	nsec_t end = loop_now(l->loop) + duration;

	do
		loop_turn(l->loop, 10 * NSEC_MS);
	while (loop_now(l->loop) < end);
}

void load_settle(struct load *l, size_t pending)
{
	nsec_t end = loop_now(l->loop) + 30 * NSEC_SEC;

	while (l->npending > pending) {
		loop_turn(l->loop, 10 * NSEC_MS);
		if (loop_now(l->loop) > end)
			load_die("what was to come", -ETIMEDOUT);
	}
}

void load_moved(struct load *l, bool *begun, size_t n)
{
	if (!*begun && n > 0) {
		*begun = true;
		l->npending--;
	}
	l->moved += n;
}
