#include "cmd/hosted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "cmd/service.h"

#define RETRY (30 * NSEC_SEC)

struct part {
	struct hosted *hosted;
	struct list_node link;
	const char *name;
	struct service_conf conf; /* of what runs, or is tried again */
	struct service *run;	  /* NULL: it could not be started */
	struct service_conf next; /* of what comes when this one has ended; empty: nothing */
	bool stopping;
	nsec_t until; /* connections may go on, while stopping */
	int failed;   /* the last start */
	struct timer retry, hasten;
	struct waiter gone;
	char text[]; /* the name */
};

/* ---- a part ------------------------------------------------------------------------------ */

static const char *area_of(const struct part *p)
{
	return service_conf_area(&p->conf);
}

static void part_drop(struct part *p)
{
	struct hosted *h = p->hosted;

	timer_stop(&p->retry);
	timer_stop(&p->hasten);
	waiter_cancel(&p->gone);
	list_del(&p->link);
	service_conf_free(&p->conf);
	service_conf_free(&p->next);
	free(p);
	if (--h->count == 0 && h->stopping)
		loop_queue(h->world.loop, &h->gone);
}

static void part_start(struct part *p)
{
	struct hosted *h = p->hosted;
	const struct service_world world = {
		.loop = h->world.loop,
		.workers = h->world.workers,
		.http = h->world.http,
		.state_root = h->state_dir,
		.again = p->failed != 0, /* for the same reason, most likely */
	};
	int err = service_start(&world, &p->conf, &p->run);
	bool known = err == p->failed;

	p->failed = err;
	if (!err)
		return;
	p->run = NULL;
	log_msg(known ? LOG_DEBUG : LOG_ERROR, area_of(p),
		"%s is not served: %s; trying again every %d s", p->name, err_text(err),
		(int)(RETRY / NSEC_SEC));
	timer_set(h->world.loop, &p->retry, loop_now(h->world.loop) + RETRY);
}

static void on_retry(struct timer *t)
{
	part_start(container_of(t, struct part, retry));
}

/* A port or a folder is free that somebody may wait for. */
static void retry_now(struct hosted *h)
{
	struct list_node *n;

	list_for_each(n, &h->parts) {
		struct part *p = list_entry(n, struct part, link);

		if (timer_armed(&p->retry))
			timer_set(h->world.loop, &p->retry, loop_now(h->world.loop));
	}
}

static void on_hasten(struct timer *t)
{
	struct part *p = container_of(t, struct part, hasten);

	service_hasten(p->run);
}

/* It has stopped: gone, or what comes instead. */
static void on_gone(struct waiter *w)
{
	struct part *p = container_of(w, struct part, gone);

	timer_stop(&p->hasten);
	service_free(p->run);
	p->run = NULL;
	p->stopping = false;
	p->failed = 0;
	retry_now(p->hosted);
	if (!service_conf_given(&p->next)) {
		part_drop(p);
		return;
	}
	service_conf_free(&p->conf);
	p->conf = p->next;
	p->next = (struct service_conf){0};
	part_start(p);
}

static void part_stopped(void *arg)
{
	struct part *p = arg;

	loop_queue(p->hosted->world.loop, &p->gone);
}

/* Only ever sooner. */
static void part_stop(struct part *p, nsec_t grace)
{
	nsec_t now = loop_now(p->hosted->world.loop), until = now + MAX(grace, (nsec_t)0);

	if (!p->run) {
		part_drop(p);
		return;
	}
	if (p->stopping) {
		if (until < p->until)
			timer_set(p->hosted->world.loop, &p->hasten, until);
		p->until = MIN(until, p->until);
		return;
	}
	p->stopping = true;
	p->until = until;
	service_stop(p->run, grace, part_stopped, p);
}

/* From one configuration to another: by an end, whoever is connected. */
static void part_change(struct part *p, struct service_conf conf)
{
	if (p->run) {
		service_conf_free(&p->next);
		p->next = conf;
		part_stop(p, 0);
		return;
	}
	timer_stop(&p->retry);
	service_conf_free(&p->conf);
	p->conf = conf;
	p->failed = 0;
	part_start(p);
}

static void part_add(struct hosted *h, const char *name, struct service_conf conf)
{
	struct part *p = calloc(1, sizeof(*p) + strlen(name) + 1);

	if (!p) {
		log_msg(LOG_ERROR, service_conf_area(&conf), "%s is not served: no memory", name);
		service_conf_free(&conf);
		return;
	}
	p->hosted = h;
	p->name = memcpy(p->text, name, strlen(name) + 1);
	p->conf = conf;
	timer_init(&p->retry, on_retry);
	timer_init(&p->hasten, on_hasten);
	waiter_init(&p->gone, on_gone);
	list_add_tail(&h->parts, &p->link);
	h->count++;
	part_start(p);
}

/* ---- all of them ------------------------------------------------------------------------- */

static void on_all_gone(struct waiter *w)
{
	struct hosted *h = container_of(w, struct hosted, gone);

	h->stopped(h->arg);
}

void hosted_init(struct hosted *h, const struct hosted_world *world)
{
	*h = (struct hosted){.world = *world};
	snprintf(h->state_dir, sizeof(h->state_dir), "%s", world->state_dir);
	list_init(&h->parts);
	waiter_init(&h->gone, on_all_gone);
}

static struct part *find_manager(struct hosted *h)
{
	struct list_node *n;

	list_for_each(n, &h->parts) {
		struct part *p = list_entry(n, struct part, link);

		if (p->conf.manager)
			return p;
	}
	return NULL;
}

static struct part *find_site(struct hosted *h, const struct site_conf *c)
{
	struct list_node *n;

	list_for_each(n, &h->parts) {
		struct part *p = list_entry(n, struct part, link);

		if (p->conf.site && site_conf_is(p->conf.site, c))
			return p;
	}
	return NULL;
}

static bool stays(const struct part *p, const struct sections *s)
{
	if (p->conf.manager)
		return s->manager != NULL;
	for (size_t i = 0; i < s->nsites; i++) {
		if (site_conf_is(p->conf.site, s->sites[i]))
			return true;
	}
	return false;
}

/* Nothing is to be done: it runs with what it shall have, or will. */
static bool is_on_its_way(const struct part *p, bool same)
{
	return same && p->run && (!p->stopping || service_conf_given(&p->next));
}

static void apply_manager(struct hosted *h, bool same, struct manager_file *f)
{
	const struct service_conf conf = {.manager = f};
	struct part *p = find_manager(h);

	if (!p) {
		part_add(h, "Manager", conf);
		return;
	}
	if (is_on_its_way(p, same)) {
		manager_file_free(f);
		return;
	}
	log_msg(LOG_INFO, "manager", "starting anew");
	part_change(p, conf);
}

static void apply_site(struct hosted *h, struct site_conf *c)
{
	const struct service_conf conf = {.site = c};
	struct part *p = find_site(h, c);
	const struct site_conf *own = !p ? NULL : p->next.site ? p->next.site : p->conf.site;

	if (!p) {
		char name[512];

		snprintf(name, sizeof(name), "[%.200s] of %.200s", c->section, c->file);
		part_add(h, name, conf);
		return;
	}
	if (is_on_its_way(p, sections_same_site(own, c))) {
		site_conf_free(c);
		return;
	}
	log_msg(LOG_INFO, "yassp", "%s: starting anew", c->section);
	part_change(p, conf);
}

static void part_leave(struct part *p, nsec_t drain)
{
	service_conf_free(&p->next);
	if (p->stopping)
		return;
	log_msg(LOG_INFO, area_of(p), "%s: no longer configured, draining", p->name);
	part_stop(p, drain);
}

void hosted_apply(struct hosted *h, const struct config *before, const struct config *now,
		  struct sections *s, nsec_t drain)
{
	struct list_node *n, *next;

	/* Who leaves, first: its push server's port may be a new one's. */
	list_for_each_safe(n, next, &h->parts) {
		struct part *p = list_entry(n, struct part, link);

		if (!stays(p, s))
			part_leave(p, drain);
	}
	if (s->manager)
		apply_manager(h, before && sections_same_manager(before, now), s->manager);
	for (size_t i = 0; i < s->nsites; i++)
		apply_site(h, s->sites[i]);
	free(s->sites);
	*s = (struct sections){0};
}

void hosted_sync(struct hosted *h)
{
	struct list_node *n;

	list_for_each(n, &h->parts) {
		struct part *p = list_entry(n, struct part, link);

		if (p->run)
			service_sync(p->run);
	}
}

void hosted_stop(struct hosted *h, nsec_t grace, void (*stopped)(void *arg), void *arg)
{
	struct list_node *n, *next;

	h->stopping = true;
	h->stopped = stopped;
	h->arg = arg;
	if (!h->count)
		loop_queue(h->world.loop, &h->gone);
	list_for_each_safe(n, next, &h->parts) {
		struct part *p = list_entry(n, struct part, link);

		service_conf_free(&p->next);
		part_stop(p, grace);
	}
}

void hosted_hurry(struct hosted *h)
{
	struct list_node *n, *next;

	list_for_each_safe(n, next, &h->parts) {
		struct part *p = list_entry(n, struct part, link);

		if (p->stopping)
			service_hurry(p->run);
	}
}

void hosted_done(struct hosted *h)
{
	struct list_node *n, *next;

	if (!h->world.loop)
		return;
	list_for_each_safe(n, next, &h->parts) {
		struct part *p = list_entry(n, struct part, link);

		if (p->run)
			service_free(p->run);
		part_drop(p);
	}
	waiter_cancel(&h->gone);
}
