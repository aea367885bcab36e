/* What has been moved, on its way to the clients (spec: M13 to M17).
 *
 * With one subscriber, the last one that spoke, a report is a batch of the ledger: frozen when the time
 * has come and nothing older waits, cut into messages, handed over message by message, acknowledged
 * after the last.  A client that does not read, or has gone, finds the rest where it was.
 *
 * With several, a batch is acknowledged as soon as each of them has it in his own account and the
 * accounts are on disk (manager_owed.c).  Who has gone keeps his until he speaks again; while all have,
 * everything stays where it is, for whoever comes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "manager/manager_impl.h"

#define PRESS_AFTER (50 * NSEC_MS)
#define BATCH_USERS 5000

/* ---- clients ----------------------------------------------------------------------------- */

static void drop_client(struct manager *m, unsigned i)
{
	free(m->clients[i].owed);
	m->nclients--;
	memmove(&m->clients[i], &m->clients[i + 1], (m->nclients - i) * sizeof(m->clients[0]));
}

/* He goes to the front; behind the sixteenth nobody is remembered. */
void manager_heard(struct manager *m, const struct peer *from)
{
	struct client c = {.at = *from};
	unsigned i;

	if (m->conf.dialect != MANAGER_WIKI || !peer_named(from))
		return;
	for (i = 0; i < m->nclients && !peer_equal(&m->clients[i].at, from); i++)
		;
	if (i < m->nclients)
		c = m->clients[i];
	else if (m->nclients == CLIENTS_MAX)
		drop_client(m, --i);
	if (i == m->nclients && m->conf.subscribers == SUBSCRIBERS_ALL)
		manager_changed(m);
	memmove(&m->clients[1], &m->clients[0], i * sizeof(m->clients[0]));
	if (i == m->nclients)
		m->nclients++;
	c.failures = 0;
	m->clients[0] = c;
}

static bool has_gone(const struct client *c)
{
	return c->failures >= CLIENT_FAILURES;
}

static bool anybody_there(const struct manager *m)
{
	for (unsigned i = 0; i < m->nclients; i++) {
		if (!has_gone(&m->clients[i]))
			return true;
	}
	return false;
}

/* 0: taken.  -EAGAIN: in a moment.  Others: not now; who fails three times has gone.  With one
 * subscriber what he has not got is the ledger's, and he is forgotten.
 */
static int hand_over(struct manager *m, struct client *c, const char *text, size_t len)
{
	int err = endpoint_try(&m->endpoint, &c->at, text, len);

	if (!err)
		c->failures = 0;
	else if (err != -EAGAIN)
		c->failures++;
	if (has_gone(c) && m->conf.subscribers == SUBSCRIBERS_LAST)
		drop_client(m, (unsigned)(c - m->clients));
	return err;
}

/* ---- batches ----------------------------------------------------------------------------- */

static int by_port(const void *a, const void *b)
{
	const struct stat_port *x = a, *y = b;

	return (x->port > y->port) - (x->port < y->port);
}

/* A port has an entry per generation and user: they become one.  Returns how many are left. */
static size_t merge(struct stat_port *v, size_t n)
{
	size_t to = 0;

	if (n)
		qsort(v, n, sizeof(*v), by_port);
	for (size_t i = 0; i < n; i++) {
		if (to && v[to - 1].port == v[i].port)
			v[to - 1].bytes += v[i].bytes;
		else
			v[to++] = v[i];
	}
	return to;
}

static int load(struct manager *m, int64_t seq)
{
	struct ledger_batch b;
	struct stat_port *v;
	int err = ledger_load(m->conf.ledger, seq, &b);

	if (err)
		return err;
	v = calloc(b.n + 1, sizeof(*v));
	for (uint32_t i = 0; v && i < b.n; i++)
		v[i] = (struct stat_port){traffic_port(b.entries[i].user),
					  b.entries[i].up + b.entries[i].down};
	if (v) {
		m->report.v = v;
		m->report.n = merge(v, b.n);
		/* Where an earlier process stopped in the middle of it. */
		if (m->report.seq != seq)
			m->report.at = 0;
		m->report.at = MIN(m->report.at, m->report.n);
		m->report.seq = seq;
	}
	ledger_batch_done(&b);
	return v ? 0 : -ENOMEM;
}

/* The oldest that waits, or, with `fresh`, what has been moved up to now.  0, -ENOENT: nothing. */
static int next_batch(struct manager *m, bool *fresh)
{
	const struct ledger_freeze how = {.batch_users = BATCH_USERS, .always = true};
	struct ledger_batch head;
	int n;

	if (m->report.v)
		return 0;
	n = ledger_batches(m->conf.ledger, m->conf.ledger_node, &head, 1);
	if (n == 0 && *fresh) {
		*fresh = false;
		n = ledger_freeze(m->conf.ledger, m->conf.ledger_node, &how);
		if (n > 0)
			n = ledger_batches(m->conf.ledger, m->conf.ledger_node, &head, 1);
	}
	if (n <= 0)
		return n ? n : -ENOENT;
	return load(m, head.seq);
}

static int finish_batch(struct manager *m)
{
	int err = ledger_ack(m->conf.ledger, m->report.seq);

	if (err)
		return err; /* `at` stands at the end: only this is tried again */
	free(m->report.v);
	m->report = (struct report){0};
	return 0;
}

/* ---- one subscriber ---------------------------------------------------------------------- */

static int deliver_batch(struct manager *m)
{
	struct report *r = &m->report;
	char text[STAT_BYTES_MAX];
	size_t len, n;
	int err = 0;

	while (r->at < r->n && !err) {
		if (!m->nclients)
			return -ENOENT;
		n = stat_emit(r->v + r->at, r->n - r->at, text, &len);
		err = hand_over(m, &m->clients[0], text, len);
		if (!err)
			r->at += n;
	}
	return err ? err : finish_batch(m);
}

static int deliver_last(struct manager *m, bool fresh)
{
	int err = 0;

	while (!err && m->nclients) {
		err = next_batch(m, &fresh);
		if (!err)
			err = deliver_batch(m);
	}
	return err;
}

/* ---- several ----------------------------------------------------------------------------- */

static int make_room(struct client *c, size_t n)
{
	struct stat_port *more;

	if (c->nowed + n <= c->cap)
		return 0;
	more = reallocarray(c->owed, c->nowed + n, sizeof(*more));
	if (!more)
		return -ENOMEM;
	c->owed = more;
	c->cap = c->nowed + n;
	return 0;
}

/* What is left of the report, to all of them or to none, and once: it may stay until the ledger has
 * room to forget it.
 */
static int owe_all(struct manager *m)
{
	struct report *r = &m->report;
	size_t n = r->n - r->at;
	int err = 0;

	for (unsigned i = 0; i < m->nclients && !err; i++)
		err = make_room(&m->clients[i], n);
	if (err)
		return err;
	for (unsigned i = 0; i < m->nclients && n; i++) {
		struct client *c = &m->clients[i];

		memcpy(c->owed + c->nowed, r->v + r->at, n * sizeof(*r->v));
		c->nowed = merge(c->owed, c->nowed + n);
	}
	r->at = r->n;
	return 0;
}

/* What the ledger forgets next, the state file must know. */
static int save_owed(struct manager *m)
{
	if (!m->report.n)
		return 0;
	if (m->closed && !m->last_ports)
		return -ENOMEM; /* the ports on disk are all there is of them */
	m->dirty = m->owing = true;
	return manager_state_save(m);
}

static int deliver_owed(struct manager *m, struct client *c)
{
	char text[STAT_BYTES_MAX];
	size_t len, n;
	int err = 0;

	while (c->nowed && !err) {
		n = stat_emit(c->owed, c->nowed, text, &len);
		err = hand_over(m, c, text, len);
		if (err)
			break;
		c->nowed -= n;
		memmove(c->owed, c->owed + n, c->nowed * sizeof(*c->owed));
	}
	return err;
}

/* What is owed before or after a round is not what the state file says. */
static void note_owing(struct manager *m)
{
	bool owing = false;

	for (unsigned i = 0; i < m->nclients; i++)
		owing |= m->clients[i].nowed > 0 && !has_gone(&m->clients[i]);
	if (owing || m->owing)
		manager_changed(m);
	m->owing = owing;
}

static int deliver_all(struct manager *m, bool fresh)
{
	int err = 0, result = 0;

	while (!err && anybody_there(m)) {
		err = next_batch(m, &fresh);
		if (!err)
			err = owe_all(m);
		if (!err)
			err = save_owed(m);
		if (!err)
			err = finish_batch(m);
	}
	for (unsigned i = m->nclients; i-- > 0;) {
		if (!has_gone(&m->clients[i]) && deliver_owed(m, &m->clients[i]) == -EAGAIN)
			result = -EAGAIN;
	}
	note_owing(m);
	return err && err != -ENOENT ? err : result;
}

/* ---- timers ------------------------------------------------------------------------------ */

static void deliver(struct manager *m, bool fresh)
{
	int err = m->conf.subscribers == SUBSCRIBERS_ALL ? deliver_all(m, fresh)
							 : deliver_last(m, fresh);

	if (err == -EAGAIN)
		timer_set(m->conf.loop, &m->press, loop_now(m->conf.loop) + PRESS_AFTER);
	else if (err == -ERR_DATABASE || err == -ENOSPC || err == -ENOMEM)
		log_msg(LOG_ERROR, "manager", "a report has to wait: %s", err_text(err));
}

static void on_press(struct timer *t)
{
	deliver(container_of(t, struct manager, press), false);
}

/* In the dialect of totals nothing is ever acknowledged: accounts of ports that are gone would stay. */
static bool present(void *arg, int64_t id)
{
	struct manager *m = arg;
	struct engine_server s;

	return engine_get(m->conf.engine, traffic_port(id), &s) &&
	       (s.generation & 0x7fffffffu) == traffic_generation(id);
}

static void on_stat(struct timer *t)
{
	struct manager *m = container_of(t, struct manager, stat);

	timer_set(m->conf.loop, t, loop_now(m->conf.loop) + m->conf.stat_interval);
	engine_settle(m->conf.engine);
	if (m->conf.dialect == MANAGER_WIKI) {
		deliver(m, true);
	} else if (m->prune && !m->closed) {
		m->prune = ledger_prune(m->conf.ledger, m->conf.ledger_node, present, m) < 0;
	}
}

void manager_stat_start(struct manager *m)
{
	timer_init(&m->stat, on_stat);
	timer_init(&m->press, on_press);
	timer_set(m->conf.loop, &m->stat, loop_now(m->conf.loop) + m->conf.stat_interval);
}

void manager_report(struct manager *m)
{
	if (m->conf.dialect == MANAGER_WIKI)
		deliver(m, true);
}

void manager_stat_done(struct manager *m)
{
	timer_stop(&m->stat);
	timer_stop(&m->press);
	while (m->nclients)
		drop_client(m, m->nclients - 1);
	free(m->report.v);
	m->report = (struct report){0};
}

/* ---- totals ------------------------------------------------------------------------------ */

/* Every port, also without traffic, with all that its present generation has moved: here and in
 * earlier processes.
 */
static size_t gather(struct manager *m, const struct ledger_entry *entries, size_t n,
		     struct stat_port *v, size_t cap)
{
	struct engine_server s;
	unsigned port = 0;
	size_t to = 0;

	while (to < cap && engine_next(m->conf.engine, port, &s)) {
		port = s.profile->port;
		v[to++] = (struct stat_port){.port = (uint16_t)port};
	}
	for (size_t i = 0; i < n; i++) {
		struct stat_port key = {.port = traffic_port(entries[i].user)}, *found;

		if (!present(m, entries[i].user))
			continue;
		found = bsearch(&key, v, to, sizeof(*v), by_port);
		if (found)
			found->bytes += entries[i].up + entries[i].down;
	}
	return to;
}

void manager_totals(struct manager *m, const struct peer *to)
{
	size_t cap = engine_count(m->conf.engine), count, at = 0, len;
	struct stat_port *v = calloc(cap + 1, sizeof(*v));
	char text[STAT_BYTES_MAX + 1];
	struct ledger_entry *entries = NULL;
	int n;

	engine_settle(m->conf.engine);
	n = v ? ledger_unreported(m->conf.ledger, m->conf.ledger_node, &entries) : -ENOMEM;
	if (n < 0) {
		log_msg(LOG_ERROR, "manager", "ping: %s", err_text(n));
		free(v);
		return;
	}
	count = gather(m, entries, (size_t)n, v, cap);
	do {
		at += stat_emit(v + at, count - at, text, &len);
		if (m->conf.reply_newline)
			text[len++] = '\n';
		endpoint_send(&m->endpoint, to, text, len);
	} while (at < count);
	free(entries);
	free(v);
}
