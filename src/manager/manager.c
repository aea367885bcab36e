#include "manager/manager.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/jout.h"
#include "base/log.h"
#include "manager/manager_impl.h"

#define SAVE_AFTER   (500 * NSEC_MS)
#define COMMAND_HEAP (16 << 20)

static void reply(struct manager *m, const struct peer *to, const char *text)
{
	char line[64];

	snprintf(line, sizeof(line), "%s%s", text, m->conf.reply_newline ? "\n" : "");
	endpoint_send(&m->endpoint, to, line, strlen(line));
}

/* ---- saving ------------------------------------------------------------------------------ */

static void on_save(struct timer *t)
{
	struct manager *m = container_of(t, struct manager, save);

	if (m->dirty && manager_state_save(m))
		timer_set(m->conf.loop, t, loop_now(m->conf.loop) + 10 * NSEC_SEC);
}

void manager_changed(struct manager *m)
{
	m->dirty = true;
	if (m->conf.state_file && !m->closed && !timer_armed(&m->save))
		timer_set(m->conf.loop, &m->save, loop_now(m->conf.loop) + SAVE_AFTER);
}

/* ---- add --------------------------------------------------------------------------------- */

/* A command whose answer is to come. */
struct adding {
	struct manager *manager;
	struct peer from;
	uint16_t port;
};

/* What the client is told: libev's words. */
static const char *add_result(int err)
{
	if (!err)
		return "ok";
	return err == -ERR_CONFIG || err == -ERR_UNSUPPORTED || err == -ECHILD
		       ? "err"
		       : "port is not available";
}

static void added(void *arg, int err, const char *why)
{
	struct adding *a = arg;
	struct manager *m = a->manager;

	m->adding--;
	if (err)
		log_msg(LOG_WARN, "manager", "add: port %u: %s", a->port, why);
	else
		log_msg(LOG_INFO, "manager", "add: port %u", a->port);
	if (!m->closed)
		reply(m, &a->from, add_result(err));
	manager_changed(m);
	free(a);
}

/* A port that is there goes on in its account, whatever changes; a new one begins one. */
static uint32_t generation_for(struct manager *m, uint16_t port)
{
	struct engine_server s;

	if (engine_get(m->conf.engine, port, &s))
		return s.generation;
	return ++m->generation;
}

static void refuse(struct manager *m, const struct peer *to, const char *word, const char *why)
{
	log_msg(LOG_WARN, "manager", "%s: %s", word, why);
	reply(m, to, "err");
}

static void do_add(struct manager *m, const struct json_value *object, const struct peer *from)
{
	char why[PROFILE_WHY_MAX];
	struct profile *p = NULL;
	struct adding *a;
	int err = profile_read(object, &m->conf.rules, &p, why);

	if (err) {
		refuse(m, from, "add", *why ? why : err_text(err));
		return;
	}
	a = calloc(1, sizeof(*a));
	if (a) {
		*a = (struct adding){.manager = m, .from = *from, .port = p->port};
		m->adding++;
		engine_put(m->conf.engine,
			   &(struct engine_put){.profile = p,
						.generation = generation_for(m, p->port)},
			   added, a);
	} else {
		refuse(m, from, "add", err_text(-ENOMEM));
	}
	profile_free(p);
}

/* ---- remove ------------------------------------------------------------------------------ */

static void do_remove(struct manager *m, const struct json_value *object, const struct peer *from)
{
	static const char *const keys[] = {"server_port", "port", NULL};
	const struct json_value *v = json_get_any(object, keys);
	int64_t port = 0;

	if (object->type != JSON_T_OBJECT) {
		refuse(m, from, "remove", "not an object");
		return;
	}
	if (!v && json_get(object, "server")) { /* ssmanager drops its dummy port so */
		reply(m, from, "ok");
		return;
	}
	if (json_to_int(v, &port) || port < 1 || port > 65535) {
		refuse(m, from, "remove", "server_port is no number from 1 to 65535");
		return;
	}
	log_msg(LOG_INFO, "manager", "remove: port %u", (unsigned)port);
	engine_remove(m->conf.engine, (uint16_t)port, NULL, NULL);
	m->prune = true;
	manager_changed(m);
	reply(m, from, "ok");
}

/* ---- list -------------------------------------------------------------------------------- */

static void send_list(struct manager *m, const struct peer *to, struct jout *j)
{
	enum listing_form form =
		m->conf.dialect == MANAGER_LIBEV ? LISTING_TABBED : LISTING_COMPACT;

	listing_end(j, form);
	if (m->conf.reply_newline)
		jout_str(j, "\n");
	if (!j->failed)
		endpoint_send(&m->endpoint, to, j->at, j->len);
	free(j->at);
	*j = (struct jout){0};
}

static void do_list(struct manager *m, const struct peer *to)
{
	enum listing_form form =
		m->conf.dialect == MANAGER_LIBEV ? LISTING_TABBED : LISTING_COMPACT;
	struct jout j = {0};
	struct engine_server s;
	unsigned port = 0;

	while (engine_next(m->conf.engine, port, &s)) {
		port = s.profile->port;
		if (listing_add(&j, form, s.profile))
			continue;
		send_list(m, to, &j);
		(void)!listing_add(&j, form, s.profile);
	}
	send_list(m, to, &j);
}

/* ---- commands ---------------------------------------------------------------------------- */

static void do_object(struct manager *m, const struct command *c, const struct peer *from)
{
	const char *word = c->word == COMMAND_ADD ? "add" : "remove";
	const struct json_value *object;
	struct arena mem;
	int err;

	arena_init(&mem, COMMAND_HEAP);
	err = command_object(c, &mem, &object);
	if (err)
		refuse(m, from, word, err == -ENOMEM ? err_text(err) : "no JSON object");
	else if (c->word == COMMAND_ADD)
		do_add(m, object, from);
	else
		do_remove(m, object, from);
	arena_done(&mem);
}

static void received(void *arg, char *text, size_t len, const struct peer *from)
{
	struct manager *m = arg;
	struct command c;

	if (m->closed)
		return;
	command_parse(text, len, &c);
	if (c.word != COMMAND_UNKNOWN && c.word != COMMAND_STAT && !c.quiet)
		manager_heard(m, from);
	switch (c.word) {
	case COMMAND_ADD:
	case COMMAND_REMOVE:
		do_object(m, &c, from);
		break;
	case COMMAND_LIST:
		do_list(m, from);
		break;
	case COMMAND_PING:
		if (m->conf.dialect == MANAGER_LIBEV)
			manager_totals(m, from);
		else
			reply(m, from, "pong");
		break;
	case COMMAND_STAT: /* a server's own report; ours report to their engine */
		break;
	case COMMAND_UNKNOWN:
		log_msg(LOG_DEBUG, "manager", "a command nobody knows, of %zu bytes", len);
		break;
	}
}

/* ---- life -------------------------------------------------------------------------------- */

/* What the state file says of them is no longer so. */
static void note_configured(struct manager *m)
{
	for (size_t i = 0; i < m->conf.nports; i++) {
		uint16_t port = m->conf.ports[i]->port;

		m->of_file[port / 64] |= UINT64_C(1) << port % 64;
	}
}

/* Under the number they had, so that an account goes on over a restart. */
static void put_configured(struct manager *m)
{
	for (size_t i = 0; i < m->conf.nports; i++)
		engine_put(m->conf.engine,
			   &(struct engine_put){.profile = m->conf.ports[i], .keep = true}, NULL,
			   NULL);
	m->conf.ports = NULL; /* the caller's, and maybe not for long */
	m->conf.nports = 0;
}

int manager_new(const struct manager_conf *conf, struct manager **out, char why[PROFILE_WHY_MAX])
{
	struct manager *m = calloc(1, sizeof(*m));
	int err;

	if (!m)
		return -ENOMEM;
	m->conf = *conf;
	m->endpoint.fd = -1;
	m->prune = conf->dialect == MANAGER_LIBEV;
	timer_init(&m->save, on_save);
	note_configured(m);
	/* Nothing is received before the loop turns, and who fails here has started no port. */
	err = endpoint_open(&m->endpoint, conf->loop, &conf->endpoint, received, m, why);
	if (!err)
		err = manager_state_load(m, why);
	if (err) {
		endpoint_close(&m->endpoint);
		timer_stop(&m->save);
		while (m->nclients)
			free(m->clients[--m->nclients].owed);
		free(m);
		return err;
	}
	put_configured(m);
	manager_stat_start(m);
	*out = m;
	return 0;
}

void manager_close(struct manager *m)
{
	if (m->closed)
		return;
	m->closed = true;
	timer_stop(&m->save);
	endpoint_leave(&m->endpoint);
	if (manager_state_keep(m) || manager_state_save(m))
		log_msg(LOG_ERROR, "manager", "the state could not be saved");
}

void manager_free(struct manager *m)
{
	if (!m)
		return;
	manager_close(m);
	m->dirty = true;
	if (m->last_ports)
		(void)manager_state_save(m); /* with how far the last report came */
	free(m->last_ports);
	manager_stat_done(m);
	endpoint_close(&m->endpoint);
	free(m);
}
