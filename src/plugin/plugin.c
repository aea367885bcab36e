#include "plugin/plugin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "event/child.h"
#include "event/lines.h"
#include "event/signals.h"
#include "plugin/launch.h"
#include "plugin/options.h"
#include "plugin/probe.h"

#define AREA	      "plugin"
#define DRAIN	      (200 * NSEC_MS)
#define STOP_TIMEOUT  (3 * NSEC_SEC)
#define CLIENT_WAIT   (3 * NSEC_SEC)
#define SERVER_WAIT   (5 * NSEC_SEC)
#define GOOD_UPTIME   (300 * NSEC_SEC)
#define REST_MAX_S    60
#define FAILURES_MAX  10
#define ARGS_MAX      64
#define WRONG_CONFIG  23 /* v2ray-plugin's, and by its example others' */
#define NOT_EXECUTED  126
#define NO_SUCH_THING 127

struct plugin {
	struct loop *loop;
	struct arena mem; /* the texts of `spec` */
	struct plugin_spec spec;
	struct plugin_hooks hooks;
	enum plugin_state state;
	struct child child;
	struct lines out;
	struct port_probe probe;
	struct timer rest, drain;
	struct timer lived; /* where nothing tells whether it accepts */
	nsec_t started_at;
	unsigned failures;
	struct waiter gone;
	void (*stopped)(void *arg, struct plugin *p);
	void *stopped_arg;
};

enum plugin_state plugin_state(const struct plugin *p)
{
	return p->state;
}

unsigned plugin_failures(const struct plugin *p)
{
	return p->failures;
}

/* ---- a start ----------------------------------------------------------------------------- */

static void on_line(struct lines *l, const char *text, unsigned missed)
{
	struct plugin *p = container_of(l, struct plugin, out);

	if (missed)
		log_msg(LOG_WARN, AREA, "[plugin %s] %u lines were not shown", p->spec.tag, missed);
	log_msg(LOG_INFO, AREA, "[plugin %s] %s", p->spec.tag, text);
}

/* Where to look whether it accepts: of several addresses the first. */
static int probe_at(const struct plugin *p, struct addr *at)
{
	static const uint8_t v6[16] = {[15] = 1}, zero[16];
	char first[ADDR_TEXT_MAX];
	size_t len;

	if (p->spec.client)
		return addr_parse_ip(at, p->spec.local_host, p->spec.local_port);
	len = strcspn(p->spec.remote_host, "|");
	if (len >= sizeof(first))
		return -ERR_MALFORMED;
	memcpy(first, p->spec.remote_host, len);
	first[len] = '\0';
	if (addr_parse_ip(at, first, p->spec.remote_port) < 0)
		return -ERR_MALFORMED;
	if (at->sa.sa_family == AF_INET && !at->in.sin_addr.s_addr)
		at->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else if (at->sa.sa_family == AF_INET6 && !memcmp(&at->in6.sin6_addr, zero, 16))
		*at = addr_from_ip6(v6, p->spec.remote_port);
	return 0;
}

static void on_probed(struct port_probe *probe, bool accepts)
{
	struct plugin *p = container_of(probe, struct plugin, probe);

	if (accepts)
		log_msg(LOG_INFO, AREA, "[plugin %s] %s accepts connections", p->spec.tag,
			p->spec.name);
	else
		log_msg(LOG_WARN, AREA, "[plugin %s] %s runs, and accepts no connections yet",
			p->spec.tag, p->spec.name);
	if (p->hooks.ready)
		p->hooks.ready(p->hooks.arg, p, accepts);
}

static void on_lived(struct timer *t)
{
	struct plugin *p = container_of(t, struct plugin, lived);

	if (p->hooks.ready)
		p->hooks.ready(p->hooks.arg, p, true);
}

/* How it does after a start.  One that cannot be asked is well when it is still there. */
static void watch(struct plugin *p)
{
	nsec_t wait = p->spec.client ? CLIENT_WAIT : SERVER_WAIT;
	struct addr at;

	if (!p->spec.no_probe && probe_at(p, &at) == 0)
		port_probe_start(&p->probe, &at, wait);
	else
		timer_set(p->loop, &p->lived, p->started_at + wait);
}

static int run(struct plugin *p, const char *file, char **env)
{
	const char *argv[ARGS_MAX + 2] = {p->spec.name};
	struct child_spec child = {.argv = argv,
				   .file = file,
				   .env = (const char *const *)env,
				   .env_only = true,
				   .fd_in = -1};
	int err, out;

	for (size_t i = 0; p->spec.args && p->spec.args[i]; i++)
		argv[i + 1] = p->spec.args[i];
	err = lines_open(&p->out, p->loop, on_line, &out);
	if (err)
		return err;
	child.fd_out = child.fd_err = out;
	err = child_start(&p->child, &child);
	close(out);
	if (err)
		lines_close(&p->out);
	return err;
}

static int launch(struct plugin *p)
{
	char file[PATH_MAX];
	char **env;
	int err = plugin_find(p->spec.name, p->spec.path, file);

	if (err)
		return err;
	env = plugin_environ(&p->spec);
	if (!env)
		return -ENOMEM;
	err = run(p, file, env);
	plugin_environ_free(env);
	if (err)
		return err;
	p->state = PLUGIN_RUNNING;
	p->started_at = loop_now(p->loop);
	watch(p);
	return 0;
}

/* ---- an end ------------------------------------------------------------------------------ */

static void failed(struct plugin *p, const char *how, bool for_good)
{
	int64_t pause = 1;

	if (++p->failures >= FAILURES_MAX)
		for_good = true;
	for (unsigned i = 1; i < p->failures && pause < REST_MAX_S; i++)
		pause *= 2;
	pause = MIN(pause, (int64_t)REST_MAX_S);
	p->state = for_good ? PLUGIN_GIVEN_UP : PLUGIN_RESTING;
	if (for_good)
		log_msg(LOG_ERROR, AREA,
			"[plugin %s] %s %s; it is not started again until its configuration changes",
			p->spec.tag, p->spec.name, how);
	else
		log_msg(LOG_ERROR, AREA, "[plugin %s] %s %s; it is started again in %d s",
			p->spec.tag, p->spec.name, how, (int)pause);
	if (!for_good)
		timer_set(p->loop, &p->rest, loop_now(p->loop) + pause * NSEC_SEC);
	if (p->hooks.ended)
		p->hooks.ended(p->hooks.arg, p, how);
}

static void on_rested(struct timer *t)
{
	struct plugin *p = container_of(t, struct plugin, rest);
	char how[PLUGIN_WHY_MAX];
	int err = launch(p);

	if (!err)
		return;
	snprintf(how, sizeof(how), "cannot be started: %s", err_text(err));
	failed(p, how, err == -ENOENT || err == -EACCES);
}

static void be_gone(struct plugin *p)
{
	p->state = PLUGIN_GONE;
	loop_queue(p->loop, &p->gone);
}

static void on_exited(struct child *c, int status)
{
	struct plugin *p = container_of(c, struct plugin, child);
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	char how[PLUGIN_WHY_MAX];

	port_probe_stop(&p->probe);
	timer_stop(&p->lived);
	lines_close(&p->out);
	if (p->state == PLUGIN_STOPPING) {
		timer_stop(&p->drain);
		be_gone(p);
		return;
	}
	if (loop_now(p->loop) - p->started_at >= GOOD_UPTIME)
		p->failures = 0;
	if (WIFSIGNALED(status))
		snprintf(how, sizeof(how), "was killed by %s", signal_name(WTERMSIG(status)));
	else
		snprintf(how, sizeof(how), "exited with status %d", code);
	failed(p, how, code == WRONG_CONFIG || code == NOT_EXECUTED || code == NO_SUCH_THING);
}

static void on_drained(struct timer *t)
{
	struct plugin *p = container_of(t, struct plugin, drain);

	child_stop(&p->child, p->spec.stop_timeout ? p->spec.stop_timeout : STOP_TIMEOUT);
}

static void on_gone(struct waiter *w)
{
	struct plugin *p = container_of(w, struct plugin, gone);

	p->stopped(p->stopped_arg, p);
}

void plugin_stop(struct plugin *p, void (*stopped)(void *arg, struct plugin *p), void *arg)
{
	p->stopped = stopped;
	p->stopped_arg = arg;
	if (p->state >= PLUGIN_STOPPING)
		return;
	timer_stop(&p->rest);
	timer_stop(&p->lived);
	port_probe_stop(&p->probe);
	if (p->state == PLUGIN_RUNNING) {
		p->state = PLUGIN_STOPPING;
		timer_set(p->loop, &p->drain, loop_now(p->loop) + DRAIN);
	} else {
		be_gone(p);
	}
}

void plugin_free(struct plugin *p)
{
	if (!p)
		return;
	timer_stop(&p->rest);
	timer_stop(&p->drain);
	timer_stop(&p->lived);
	port_probe_stop(&p->probe);
	waiter_cancel(&p->gone);
	child_done(&p->child);
	lines_close(&p->out);
	arena_done(&p->mem);
	loop_free_later(p->loop, p);
}

/* ---- making one -------------------------------------------------------------------------- */

/* Copies of a list of texts, NULL-terminated.  NULL: no memory. */
static const char *const *copy_list(struct arena *mem, const char *const *v)
{
	size_t n = 0;
	char **copy;

	while (v && v[n])
		n++;
	copy = arena_alloc(mem, (n + 1) * sizeof(*copy));
	for (size_t i = 0; copy && i < n; i++) {
		copy[i] = arena_strdup(mem, v[i]);
		if (!copy[i])
			return NULL;
	}
	return (const char *const *)copy;
}

static bool copy_spec(struct plugin *p, const struct plugin_spec *s)
{
	p->spec = *s;
	p->spec.tag = arena_strdup(&p->mem, s->tag);
	p->spec.name = arena_strdup(&p->mem, s->name);
	p->spec.options = arena_strdup(&p->mem, s->options);
	p->spec.args = copy_list(&p->mem, s->args);
	p->spec.path = copy_list(&p->mem, s->path);
	p->spec.remote_host = arena_strdup(&p->mem, s->remote_host);
	p->spec.local_host = arena_strdup(&p->mem, s->local_host);
	return p->spec.tag && p->spec.name && p->spec.options && p->spec.args && p->spec.path &&
	       p->spec.remote_host && p->spec.local_host;
}

static int check(const struct plugin_spec *s, char why[PLUGIN_WHY_MAX])
{
	const char *last = strrchr(s->name, '/');
	size_t args = 0;
	int err = plugin_options_check(s->options);

	if (err) {
		snprintf(why, PLUGIN_WHY_MAX,
			 "its options are longer than %d bytes or hold a newline",
			 PLUGIN_OPTIONS_MAX);
		return err;
	}
	while (s->args && s->args[args])
		args++;
	if (args > ARGS_MAX) {
		snprintf(why, PLUGIN_WHY_MAX, "it has more than %d arguments", ARGS_MAX);
		return -ERR_TOO_BIG;
	}
	if (!strcmp(last ? last + 1 : s->name, "obfsproxy")) {
		snprintf(why, PLUGIN_WHY_MAX, "obfsproxy is older than SIP003, and not supported");
		return -ERR_UNSUPPORTED;
	}
	return 0;
}

int plugin_start(struct loop *l, const struct plugin_spec *spec, const struct plugin_hooks *hooks,
		 struct plugin **out, char why[PLUGIN_WHY_MAX])
{
	struct plugin *p;
	int err = check(spec, why);

	if (err)
		return err;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->loop = l;
	p->hooks = *hooks;
	p->out.watch.fd = -1;
	arena_init(&p->mem, 0);
	child_init(&p->child, l, on_exited);
	port_probe_init(&p->probe, l, on_probed);
	timer_init(&p->rest, on_rested);
	timer_init(&p->drain, on_drained);
	timer_init(&p->lived, on_lived);
	waiter_init(&p->gone, on_gone);
	err = copy_spec(p, spec) ? launch(p) : -ENOMEM;
	if (err) {
		snprintf(why, PLUGIN_WHY_MAX, "%s: %.60s", err_text(err), spec->name);
		plugin_free(p);
		return err;
	}
	log_msg(LOG_INFO, AREA, "[plugin %s] %s started", spec->tag, spec->name);
	*out = p;
	return 0;
}
