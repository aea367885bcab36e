#include "cmd/hosted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "cmd/manager_host.h"

#define RETRY (30 * NSEC_SEC)

struct part;

struct part_ops {
	const char *area;
	/* `again`: as the last time it fails for the same reason, most likely */
	int (*start)(struct hosted *h, void *conf, bool again, void **run);
	void (*stop)(void *run, nsec_t grace, void (*stopped)(void *arg), void *arg);
	void (*hasten)(void *run);     /* connections end now */
	void (*hurry)(struct part *p); /* and nobody is waited for */
	void (*sync)(void *run);
	void (*free)(void *run);
	void (*conf_free)(void *conf);
};

struct part {
	struct hosted *hosted;
	struct list_node link;
	const struct part_ops *ops;
	const char *name;
	void *conf; /* of what runs, or is tried again */
	void *run;  /* NULL: it could not be started */
	void *next; /* conf of what comes when this one has ended; NULL: nothing */
	bool stopping;
	nsec_t until; /* connections may go on, while stopping */
	int failed;   /* the last start */
	struct timer retry, hasten;
	struct waiter gone;
	char text[]; /* the name */
};

/* ---- the two kinds ----------------------------------------------------------------------- */

static void part_stopped(void *arg)
{
	struct part *p = arg;

	loop_queue(p->hosted->world.loop, &p->gone);
}

static int manager_start(struct hosted *h, void *conf, bool again, void **run)
{
	const struct manager_world world = {.loop = h->world.loop,
					    .workers = h->world.workers,
					    .state_root = h->state_dir,
					    .again = again};
	struct manager_host *m;
	int err = manager_host_start(&world, conf, &m);

	if (err)
		return err;
	log_msg(LOG_INFO, "manager", "at %s, %zu ports by %s, state in %s",
		((struct manager_file *)conf)->endpoint.address, manager_host_ports(m),
		((struct manager_file *)conf)->server_mode, manager_host_dir(m));
	*run = m;
	return 0;
}

static void manager_stop(void *run, nsec_t grace, void (*stopped)(void *arg), void *arg)
{
	manager_host_stop(run, grace, stopped, arg);
}

static void manager_hasten(void *run)
{
	manager_host_hasten(run);
}

static void manager_hurry(struct part *p)
{
	manager_host_stop(p->run, 0, part_stopped, p);
}

static void manager_sync(void *run)
{
	manager_host_sync(run);
}

static void manager_gone(void *run)
{
	manager_host_free(run);
}

static void manager_conf_free(void *conf)
{
	manager_file_free(conf);
}

static const struct part_ops manager_ops = {
	.area = "manager",
	.start = manager_start,
	.stop = manager_stop,
	.hasten = manager_hasten,
	.hurry = manager_hurry,
	.sync = manager_sync,
	.free = manager_gone,
	.conf_free = manager_conf_free,
};

static int site_begin(struct hosted *h, void *conf, bool again, void **run)
{
	const struct site_world world = {.loop = h->world.loop,
					 .workers = h->world.workers,
					 .http = h->world.http,
					 .state_root = h->state_dir,
					 .again = again};
	const struct site_conf *c = conf;
	struct site *s;
	int err = site_start(&world, c, &s);

	if (err)
		return err;
	log_msg(LOG_INFO, "yassp", "%s: ports by %s, state in %s", c->section,
		yassp_daemon_name(c->conf.daemon), site_dir(s));
	*run = s;
	return 0;
}

static void site_end(void *run, nsec_t grace, void (*stopped)(void *arg), void *arg)
{
	site_stop(run, grace, stopped, arg);
}

static void site_hasten_part(void *run)
{
	site_hasten(run);
}

static void site_hurry_part(struct part *p)
{
	site_hurry(p->run);
}

static void site_sync_part(void *run)
{
	site_sync(run);
}

static void site_gone(void *run)
{
	site_free(run);
}

static void site_forget(void *conf)
{
	site_conf_free(conf);
}

static const struct part_ops site_ops = {
	.area = "yassp",
	.start = site_begin,
	.stop = site_end,
	.hasten = site_hasten_part,
	.hurry = site_hurry_part,
	.sync = site_sync_part,
	.free = site_gone,
	.conf_free = site_forget,
};

/* ---- a part ------------------------------------------------------------------------------ */

static void part_drop(struct part *p)
{
	struct hosted *h = p->hosted;

	timer_stop(&p->retry);
	timer_stop(&p->hasten);
	waiter_cancel(&p->gone);
	list_del(&p->link);
	p->ops->conf_free(p->conf);
	if (p->next)
		p->ops->conf_free(p->next);
	free(p);
	if (--h->count == 0 && h->stopping)
		loop_queue(h->world.loop, &h->gone);
}

static void part_start(struct part *p)
{
	struct hosted *h = p->hosted;
	int err = p->ops->start(h, p->conf, p->failed != 0, &p->run);
	bool known = err == p->failed;

	p->failed = err;
	if (!err)
		return;
	p->run = NULL;
	log_msg(known ? LOG_DEBUG : LOG_ERROR, p->ops->area,
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

	p->ops->hasten(p->run);
}

/* It has stopped: gone, or what comes instead. */
static void on_gone(struct waiter *w)
{
	struct part *p = container_of(w, struct part, gone);

	timer_stop(&p->hasten);
	p->ops->free(p->run);
	p->run = NULL;
	p->stopping = false;
	p->failed = 0;
	retry_now(p->hosted);
	if (!p->next) {
		part_drop(p);
		return;
	}
	p->ops->conf_free(p->conf);
	p->conf = p->next;
	p->next = NULL;
	part_start(p);
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
	p->ops->stop(p->run, grace, part_stopped, p);
}

/* From one configuration to another: by an end, whoever is connected. */
static void part_change(struct part *p, void *conf)
{
	if (p->run) {
		if (p->next)
			p->ops->conf_free(p->next);
		p->next = conf;
		part_stop(p, 0);
		return;
	}
	timer_stop(&p->retry);
	p->ops->conf_free(p->conf);
	p->conf = conf;
	p->failed = 0;
	part_start(p);
}

static void part_add(struct hosted *h, const struct part_ops *ops, const char *name, void *conf)
{
	struct part *p = calloc(1, sizeof(*p) + strlen(name) + 1);

	if (!p) {
		log_msg(LOG_ERROR, ops->area, "%s is not served: no memory", name);
		ops->conf_free(conf);
		return;
	}
	p->hosted = h;
	p->ops = ops;
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

		if (p->ops == &manager_ops)
			return p;
	}
	return NULL;
}

static struct part *find_site(struct hosted *h, const struct site_conf *c)
{
	struct list_node *n;

	list_for_each(n, &h->parts) {
		struct part *p = list_entry(n, struct part, link);

		if (p->ops == &site_ops && site_conf_is(p->conf, c))
			return p;
	}
	return NULL;
}

static bool stays(const struct part *p, const struct sections *s)
{
	if (p->ops == &manager_ops)
		return s->manager != NULL;
	for (size_t i = 0; i < s->nsites; i++) {
		if (site_conf_is(p->conf, s->sites[i]))
			return true;
	}
	return false;
}

/* Nothing is to be done: it runs with what it shall have, or will. */
static bool is_on_its_way(const struct part *p, bool same)
{
	return same && p->run && (!p->stopping || p->next);
}

static void apply_manager(struct hosted *h, bool same, struct manager_file *f)
{
	struct part *p = find_manager(h);

	if (!p) {
		part_add(h, &manager_ops, "Manager", f);
		return;
	}
	if (is_on_its_way(p, same)) {
		manager_file_free(f);
		return;
	}
	log_msg(LOG_INFO, "manager", "starting anew");
	part_change(p, f);
}

static void apply_site(struct hosted *h, struct site_conf *c)
{
	struct part *p = find_site(h, c);
	const struct site_conf *own = !p ? NULL : p->next ? p->next : p->conf;

	if (!p) {
		char name[512];

		snprintf(name, sizeof(name), "[%.200s] of %.200s", c->section, c->file);
		part_add(h, &site_ops, name, c);
		return;
	}
	if (is_on_its_way(p, sections_same_site(own, c))) {
		site_conf_free(c);
		return;
	}
	log_msg(LOG_INFO, "yassp", "%s: starting anew", c->section);
	part_change(p, c);
}

static void part_leave(struct part *p, nsec_t drain)
{
	if (p->next)
		p->ops->conf_free(p->next);
	p->next = NULL;
	if (p->stopping)
		return;
	log_msg(LOG_INFO, p->ops->area, "%s: no longer configured, draining", p->name);
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
			p->ops->sync(p->run);
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

		if (p->next)
			p->ops->conf_free(p->next);
		p->next = NULL;
		part_stop(p, grace);
	}
}

void hosted_hurry(struct hosted *h)
{
	struct list_node *n, *next;

	list_for_each_safe(n, next, &h->parts) {
		struct part *p = list_entry(n, struct part, link);

		if (p->stopping)
			p->ops->hurry(p);
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
			p->ops->free(p->run);
		part_drop(p);
	}
	waiter_cancel(&h->gone);
}
