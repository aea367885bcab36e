/* libev.c - one ss-server process per port, each with a private configuration file and a socket of ours
 * to report to.
 *
 * A process says every few seconds how much it has moved since it was started, also when that is
 * nothing: its totals are counted by difference, and silence means that it hangs.  When one has ended,
 * what it sent before is read first; only then its successor's totals begin at zero.
 *
 * It says nothing more when it is told to end, and what it has moved since its last report would go with
 * it.  So who is to be stopped is heard once more first, and told right after.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/jout.h"
#include "base/log.h"
#include "manager/external.h"

#define LOOK_EVERY   (50 * NSEC_MS) /* while it starts */
#define START_WITHIN (10 * NSEC_SEC)
#define CHECK_EVERY  (30 * NSEC_SEC)
#define SILENCE	     (90 * NSEC_SEC)
#define LAST_WORDS   (6 * NSEC_SEC) /* it reports every five */

struct libev {
	struct engine e;
	struct endpoint stat;
	char socket[108];
	struct timer check;
};

struct process {
	struct instance i;
	struct child child;
	struct profile *p;
	struct tally tally;
	struct timer timer; /* starting: look; ended: start again; stopping: patience */
	char *file;
	nsec_t started, heard, pause;
	bool announced, stopping, up;
	bool told; /* to end, while stopping */
};

static struct libev *all_of(struct process *pr)
{
	return container_of(pr->i.engine, struct libev, e);
}

static struct loop *loop_of(struct process *pr)
{
	return pr->i.engine->conf.loop;
}

/* ---- its file ---------------------------------------------------------------------------- */

static void emit_listen(struct jout *j, const struct engine *e, const struct profile *p)
{
	const struct json_list *l = p->listen.count ? &p->listen : &e->conf.listen;

	jout_str(j, ",\"server\":[");
	for (size_t i = 0; i < l->count; i++) {
		jout_str(j, i ? "," : "");
		jout_quoted(j, l->items[i]);
	}
	jout_str(j, l->count ? "]" : "\"0.0.0.0\"]");
}

/* What we do not know ourselves goes along; of a key given twice the last one counts. */
static char *configuration(const struct engine *e, const struct profile *p)
{
	struct jout j = {0};

	jout_str(&j, "{\"server_port\":");
	jout_int(&j, p->port);
	jout_str(&j, ",\"password\":");
	jout_quoted(&j, p->password);
	jout_str(&j, ",\"method\":");
	jout_quoted(&j, p->method);
	jout_str(&j, ",\"mode\":");
	jout_quoted(&j, profile_net_name(p->mode));
	jout_str(&j, ",\"timeout\":");
	jout_int(&j, p->timeout_s ? p->timeout_s : 300);
	jout_str(&j, p->fast_open ? ",\"fast_open\":true" : ",\"fast_open\":false");
	if (p->no_delay)
		jout_str(&j, ",\"no_delay\":true");
	emit_listen(&j, e, p);
	if (p->plugin) {
		jout_str(&j, ",\"plugin\":");
		jout_quoted(&j, p->plugin);
	}
	if (p->plugin_opts) {
		jout_str(&j, ",\"plugin_opts\":");
		jout_quoted(&j, p->plugin_opts);
	}
	if (strcmp(p->extra, "{}") != 0) {
		jout_str(&j, ",");
		jout_bytes(&j, p->extra + 1, strlen(p->extra) - 2);
	}
	jout_str(&j, "}\n");
	if (j.failed) {
		free(j.at);
		return NULL;
	}
	return j.at;
}

static int launch(struct process *pr)
{
	struct engine *e = pr->i.engine;
	char *text = configuration(e, pr->p);
	const char *argv[16] = {e->conf.program && *e->conf.program ? e->conf.program : "ss-server",
				"-c", pr->file, "--manager-address", all_of(pr)->socket};
	int n = 5, err = text ? external_write(pr->file, text, strlen(text)) : -ENOMEM;

	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
	if (err)
		return err;
	if (pr->p->mode != PROFILE_TCP)
		argv[n++] = pr->p->mode == PROFILE_UDP ? "-U" : "-u";
	if (e->conf.acl && *e->conf.acl) {
		argv[n++] = "--acl";
		argv[n++] = e->conf.acl;
	}
	pr->started = pr->heard = loop_now(loop_of(pr));
	pr->up = false;
	tally_restart(&pr->tally);
	err = external_run(e, &pr->child, argv);
	if (err) {
		unlink(pr->file);
		return err;
	}
	timer_set(loop_of(pr), &pr->timer, pr->started + LOOK_EVERY);
	return 0;
}

/* ---- its life ---------------------------------------------------------------------------- */

static void rest(struct process *pr)
{
	nsec_t now = loop_now(loop_of(pr));

	if (now - pr->started > BACKOFF_RESET)
		pr->pause = 0;
	pr->pause = pr->pause ? MIN(2 * pr->pause, BACKOFF_MAX) : NSEC_SEC;
	timer_set(loop_of(pr), &pr->timer, now + pr->pause);
}

static void go(struct process *pr)
{
	timer_stop(&pr->timer);
	unlink(pr->file);
	engine_gone(&pr->i);
}

static void tell_to_end(struct process *pr)
{
	timer_stop(&pr->timer);
	if (!pr->told)
		child_stop(&pr->child, EXTERNAL_STOP);
	pr->told = true;
}

/* It has its sockets, so it has read its file. */
static void is_up(struct process *pr)
{
	pr->up = true;
	unlink(pr->file);
	if (pr->announced) {
		engine_tell(&pr->i, ENGINE_UP, 0, NULL);
		return;
	}
	pr->announced = true;
	engine_started(&pr->i, 0, NULL);
}

static void fell(struct process *pr, const char *how)
{
	bool announced = pr->announced;

	log_msg(LOG_WARN, "manager", "port %u: ss-server %s", pr->p->port, how);
	if (pr->stopping) {
		go(pr);
	} else if (!announced) {
		timer_stop(&pr->timer);
		unlink(pr->file);
		engine_started(&pr->i, -ECHILD, how);
	} else {
		rest(pr);
		engine_tell(&pr->i, ENGINE_DOWN, -ECHILD, how);
	}
}

static void on_timer(struct timer *t)
{
	struct process *pr = container_of(t, struct process, timer);
	nsec_t now = loop_now(loop_of(pr));

	if (pr->stopping) {
		tell_to_end(pr);
	} else if (!pr->child.pid) { /* it has rested */
		int err = launch(pr);

		if (err) {
			log_msg(LOG_WARN, "manager", "port %u: ss-server: %s", pr->p->port,
				err_text(err));
			rest(pr);
		}
	} else if (external_probe(pr->i.engine, pr->p) == -EADDRINUSE) {
		is_up(pr);
	} else if (now - pr->started > START_WITHIN) {
		child_stop(&pr->child, EXTERNAL_STOP);
	} else {
		timer_set(loop_of(pr), t, now + LOOK_EVERY);
	}
}

static void on_ended(struct child *c, int status)
{
	struct process *pr = container_of(c, struct process, child);
	char how[64];

	endpoint_drain(&all_of(pr)->stat); /* its last words, before its successor's first */
	if (pr->stopping)
		go(pr);
	else
		fell(pr, external_how(status, how));
}

static int libev_start(struct engine *e, const struct profile *p, uint32_t generation,
		       struct instance *old, struct instance **out, char why[PROFILE_WHY_MAX])
{
	struct process *pr;
	int err;

	if (old)
		return -EAGAIN;
	if (p->nusers) {
		snprintf(why, PROFILE_WHY_MAX, "ss-server has no users");
		return -ERR_CONFIG;
	}
	err = external_probe(e, p);
	if (err)
		return err;
	pr = calloc(1, sizeof(*pr));
	if (!pr)
		return -ENOMEM;
	pr->i.engine = e;
	child_init(&pr->child, e->conf.loop, on_ended);
	timer_init(&pr->timer, on_timer);
	pr->p = profile_new(p);
	if (!pr->p || asprintf(&pr->file, "%s/ss-%u.json", e->conf.run_dir, p->port) < 0) {
		pr->file = NULL;
		err = -ENOMEM;
	}
	if (!err)
		err = tally_new(e, p->port, generation, &pr->tally);
	if (!err) {
		err = launch(pr);
		if (err) {
			snprintf(why, PROFILE_WHY_MAX, "ss-server: %s", err_text(err));
			tally_end(e, &pr->tally, true);
		}
	}
	if (err) {
		profile_free(pr->p);
		free(pr->file);
		free(pr);
		return err;
	}
	*out = &pr->i;
	return -EINPROGRESS;
}

static void libev_stop(struct instance *i, nsec_t grace)
{
	struct process *pr = container_of(i, struct process, i);
	bool again = pr->stopping;

	pr->stopping = true;
	timer_stop(&pr->timer);
	if (!pr->child.pid)
		go(pr);
	else if (again || !pr->up)
		tell_to_end(pr);
	else
		timer_set(loop_of(pr), &pr->timer, loop_now(loop_of(pr)) + LAST_WORDS);
}

static void libev_traffic(const struct instance *i, struct traffic *out)
{
	tally_traffic(i->engine, &container_of(i, struct process, i)->tally, out);
}

static size_t libev_slots(const struct instance *i, uint32_t *out)
{
	if (out)
		*out = container_of(i, struct process, i)->tally.slot;
	return 1;
}

static void libev_free(struct instance *i, bool settled)
{
	struct process *pr = container_of(i, struct process, i);

	child_done(&pr->child);
	timer_stop(&pr->timer);
	tally_end(i->engine, &pr->tally, settled);
	profile_free(pr->p);
	free(pr->file);
	free(pr);
}

/* ---- all of them ------------------------------------------------------------------------- */

static void on_total(void *arg, uint16_t port, uint64_t bytes)
{
	struct engine *e = arg;
	struct list_node *pos;

	/* By port there is one process at a time, though another may rest. */
	list_for_each(pos, &e->live) {
		struct process *pr = container_of(pos, struct process, i.link);

		if (pr->p->port != port)
			continue;
		pr->heard = loop_now(e->conf.loop);
		tally_total(e, &pr->tally, bytes);
		if (pr->stopping)
			tell_to_end(pr);
		return;
	}
}

static void on_report(void *arg, char *text, size_t len, const struct peer *from)
{
	external_stat(text, len, on_total, arg);
}

static void on_check(struct timer *t)
{
	struct libev *l = container_of(t, struct libev, check);
	nsec_t now = loop_now(l->e.conf.loop);
	struct list_node *pos;

	list_for_each(pos, &l->e.live) {
		struct process *pr = container_of(pos, struct process, i.link);

		if (!pr->child.pid || pr->stopping || now - pr->heard < SILENCE)
			continue;
		log_msg(LOG_WARN, "manager", "port %u: ss-server is silent, starting it again",
			pr->p->port);
		child_stop(&pr->child, EXTERNAL_STOP);
	}
	timer_set(l->e.conf.loop, t, now + CHECK_EVERY);
}

static int libev_init(struct engine *e, char why[PROFILE_WHY_MAX])
{
	struct libev *l = container_of(e, struct libev, e);
	const struct endpoint_conf conf = {.address = l->socket};
	int err = external_check(&e->conf, "ss-server", why);

	if (err)
		return err;
	if (snprintf(l->socket, sizeof(l->socket), "%s/stat.sock", e->conf.run_dir) >=
	    (int)sizeof(l->socket)) {
		snprintf(why, PROFILE_WHY_MAX, "%.120s is too long for a socket in it",
			 e->conf.run_dir);
		return -ERR_CONFIG;
	}
	err = endpoint_open(&l->stat, e->conf.loop, &conf, on_report, e, why);
	if (err)
		return err;
	timer_init(&l->check, on_check);
	timer_set(e->conf.loop, &l->check, loop_now(e->conf.loop) + CHECK_EVERY);
	return 0;
}

static void libev_done(struct engine *e)
{
	struct libev *l = container_of(e, struct libev, e);

	timer_stop(&l->check);
	endpoint_close(&l->stat);
}

const struct engine_ops engine_libev = {
	.kind = "libev",
	.size = sizeof(struct libev),
	.init = libev_init,
	.start = libev_start,
	.stop = libev_stop,
	.traffic = libev_traffic,
	.slots = libev_slots,
	.free = libev_free,
	.done = libev_done,
};
