/* python.c - one ssserver process for all ports, which takes the manager protocol's commands.
 *
 * Commands go one at a time, the next after the answer.  Who does not answer within ten seconds has
 * failed; before the next command a ping is sent, and what comes ahead of its pong is not listened to.
 * A process that leaves the ping unanswered too, or any command while we stop, hangs and is killed.
 * Whom the process dies over, or hangs over until it is killed, is offered to its successor once more,
 * behind all others; the second time he is given up.
 *
 * It reports what has been moved since its last report, every ten seconds, also for ports that were
 * removed meanwhile: those numbers go to the account that the port had last.  So at our end its ports are
 * removed, its next report is waited for, and then it is told to end; so it is when ports were removed
 * just before.
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

#define TICK	      (50 * NSEC_MS)
#define CALM_TICK     (NSEC_SEC)
#define ANSWER_WITHIN (10 * NSEC_SEC)
#define START_WITHIN  (8500 * NSEC_MS)
#define RESTART_AFTER (30 * NSEC_SEC)
#define LAST_WORDS    (12 * NSEC_SEC) /* it reports every ten */
#define REPORT_TIME   (200 * NSEC_MS)
#define PORTS	      65536

enum phase {
	DOWN,
	WAKING,	  /* pinged until it answers */
	CLEANING, /* its dummy port is being removed */
	READY,
};

enum step {
	WANTED,
	ADDING,
	ADDED,
	UNWANTED,
	REMOVING,
};

struct member {
	struct instance i;
	struct profile *p;
	struct tally tally;
	enum step step;
	bool announced; /* engine_started() has been told */
	bool poison;	/* given up */
	bool due;	/* its turn in a round is still to come */
	nsec_t since;
};

struct python {
	struct engine e;
	struct child child;
	struct endpoint ours;
	struct peer theirs;
	char socket[108], own[108];
	enum phase phase;
	struct timer tick;
	nsec_t started, asked;
	struct member *busy;   /* whose command is out */
	bool deaf;	       /* until the pong */
	bool killed;	       /* told to end */
	nsec_t owes_until;     /* ports that have closed may have moved what it reports by then */
	uint16_t suspect;      /* the port whose command it became deaf over; 0: it did nothing */
	uint32_t *last;	       /* by port: the last generation, plus 1 */
	uint8_t deaths[PORTS]; /* of processes over the port, since it was last added */
};

static struct python *of(struct engine *e)
{
	return container_of(e, struct python, e);
}

static nsec_t now_of(const struct python *py)
{
	return loop_now(py->e.conf.loop);
}

static void say(struct python *py, const char *text, size_t len)
{
	py->asked = now_of(py);
	endpoint_send(&py->ours, &py->theirs, text, len);
}

/* Once: another call would put SIGKILL off. */
static void kill_it(struct python *py)
{
	if (!py->child.pid || py->killed)
		return;
	log_msg(LOG_WARN, "manager", "ssserver does not answer");
	py->killed = true;
	child_stop(&py->child, EXTERNAL_STOP);
}

static void tell_to_end(struct python *py)
{
	timer_stop(&py->tick);
	if (!py->killed)
		child_stop(&py->child, EXTERNAL_STOP);
	py->killed = true;
}

/* ---- commands ---------------------------------------------------------------------------- */

static char *add_command(const struct python *py, const struct profile *p)
{
	const struct json_list *l = p->listen.count ? &p->listen : &py->e.conf.listen;
	struct jout j = {0};

	jout_str(&j, "add: {\"server_port\":");
	jout_int(&j, p->port);
	jout_str(&j, ",\"password\":");
	jout_quoted(&j, p->password);
	jout_str(&j, ",\"method\":");
	jout_quoted(&j, p->method);
	jout_str(&j, ",\"server\":");
	jout_quoted(&j, l->count ? l->items[0] : "0.0.0.0");
	jout_str(&j, ",\"timeout\":");
	jout_int(&j, p->timeout_s ? p->timeout_s : 300);
	jout_str(&j, p->fast_open ? ",\"fast_open\":true" : ",\"fast_open\":false");
	if (strcmp(p->extra, "{}") != 0) {
		jout_str(&j, ",");
		jout_bytes(&j, p->extra + 1, strlen(p->extra) - 2);
	}
	jout_str(&j, "}");
	if (j.failed) {
		free(j.at);
		return NULL;
	}
	return j.at;
}

static bool send_add(struct python *py, struct member *m)
{
	char *text = add_command(py, m->p);

	if (!text)
		return false;
	m->step = ADDING;
	py->busy = m;
	say(py, text, strlen(text));
	explicit_bzero(text, strlen(text));
	free(text);
	return true;
}

static void send_remove(struct python *py, struct member *m)
{
	char text[48];

	snprintf(text, sizeof(text), "remove: {\"server_port\":%u}", m->p->port);
	m->step = REMOVING;
	py->busy = m;
	say(py, text, strlen(text));
}

/* Removing goes first: what comes may want the same port; whom a process died over goes last. */
static struct member *next_member(struct python *py)
{
	struct list_node *pos;
	struct member *wanted = NULL, *doubtful = NULL;

	list_for_each(pos, &py->e.live) {
		struct member *m = container_of(pos, struct member, i.link);

		if (m->step == UNWANTED)
			return m;
		if (m->step != WANTED || m->poison)
			continue;
		if (!wanted && !py->deaths[m->p->port])
			wanted = m;
		else if (!doubtful && py->deaths[m->p->port])
			doubtful = m;
	}
	return wanted ? wanted : doubtful;
}

static void pump(struct python *py)
{
	struct member *m;

	if (py->phase != READY || py->busy || py->deaf)
		return;
	m = next_member(py);
	if (m && m->step == UNWANTED)
		send_remove(py, m);
	else if (m)
		(void)!send_add(py, m); /* no memory: the tick tries again */
}

/* ---- members ----------------------------------------------------------------------------- */

static void taken(struct python *py, struct member *m)
{
	m->step = ADDED;
	py->deaths[m->p->port] = 0;
	if (m->announced) {
		engine_tell(&m->i, ENGINE_UP, 0, NULL);
		return;
	}
	m->announced = true;
	engine_started(&m->i, 0, NULL);
}

static void refused(struct member *m, int err, const char *why)
{
	m->step = WANTED;
	if (!m->announced)
		engine_started(&m->i, err, why); /* and it is the engine's to bury */
	else
		engine_tell(&m->i, m->poison ? ENGINE_GAVE_UP : ENGINE_DOWN, err, why);
}

static void given_up(struct member *m, const char *why)
{
	m->poison = true;
	refused(m, -ERR_CONFIG, why);
}

static void closed(struct python *py, struct member *m)
{
	if (m->announced)
		py->owes_until = now_of(py) + LAST_WORDS;
	engine_gone(&m->i);
}

static void answered_ok(struct python *py)
{
	struct member *m = py->busy;

	if (py->phase == CLEANING) {
		py->phase = READY;
	} else if (m) {
		py->busy = NULL;
		if (m->step == REMOVING)
			closed(py, m);
		else if (m->step == UNWANTED)
			; /* changed its mind while it was being added: removed next */
		else
			taken(py, m);
	}
	pump(py);
}

static void on_bytes(void *arg, uint16_t port, uint64_t bytes)
{
	struct python *py = arg;
	struct list_node *pos;
	struct tally late;

	if (!bytes)
		return;
	list_for_each(pos, &py->e.live) {
		struct member *m = container_of(pos, struct member, i.link);

		if (m->p->port != port)
			continue;
		tally_add(&py->e, &m->tally, bytes);
		return;
	}
	/* Its port has gone: a slot for just this. */
	if (!py->last[port] || tally_new(&py->e, port, py->last[port] - 1, &late))
		return;
	tally_add(&py->e, &late, bytes);
	if (!py->e.conf.settle || !py->e.conf.settle(py->e.conf.settle_arg, &late.slot, 1))
		tally_end(&py->e, &late, true);
}

/* The rest of a report follows its first message at once; whose port has been closed is in it. */
static void reported(struct python *py)
{
	nsec_t end = now_of(py) + REPORT_TIME;

	py->owes_until = MIN(py->owes_until, end);
	if (py->e.ending && !py->killed)
		timer_set(py->e.conf.loop, &py->tick, end);
}

static bool is_word(const char *text, size_t len, const char *word)
{
	size_t n = strlen(word);

	return len >= n && !memcmp(text, word, n) && (len == n || text[n] <= ' ');
}

static void clean_up(struct python *py)
{
	static const char text[] = "remove: {\"server\":\"127.0.1.2\",\"server_port\":0}";

	py->phase = CLEANING;
	py->deaf = false;
	say(py, text, sizeof(text) - 1);
}

static void received(void *arg, char *text, size_t len, const struct peer *from)
{
	struct python *py = arg;

	if (external_stat(text, len, on_bytes, py)) {
		reported(py);
		return;
	}
	if (is_word(text, len, "pong") && py->phase == WAKING) {
		clean_up(py);
	} else if (is_word(text, len, "pong") && py->deaf) {
		py->deaf = false;
		pump(py);
	} else if (is_word(text, len, "ok") && !py->deaf) {
		answered_ok(py);
	}
}

/* ---- rounds ------------------------------------------------------------------------------ */

/* Whoever is told of one member may remove others and put new ones, so a round keeps no place in the list:
 * whose turn has come goes behind all others, where the new ones go, too.  So who is still due stands first.
 */
static void round_begin(struct python *py)
{
	struct list_node *pos;

	list_for_each(pos, &py->e.live)
		container_of(pos, struct member, i.link)->due = true;
}

static struct member *round_next(struct python *py)
{
	struct member *m;

	if (list_empty(&py->e.live))
		return NULL;
	m = container_of(py->e.live.next, struct member, i.link);
	if (!m->due)
		return NULL;
	m->due = false;
	list_del(&m->i.link);
	list_add_tail(&py->e.live, &m->i.link);
	return m;
}

/* ---- the process ------------------------------------------------------------------------- */

static int launch(struct python *py)
{
	const char *program = py->e.conf.program;
	const char *argv[] = {program && *program ? program : "ssserver",
			      "--manager-address",
			      py->socket,
			      "-s",
			      "127.0.1.2",
			      "-p",
			      "0",
			      "-k",
			      "unused",
			      NULL};

	unlink(py->socket);
	py->started = now_of(py);
	py->phase = WAKING;
	py->busy = NULL;
	py->deaf = py->killed = false;
	py->owes_until = 0;
	return external_run(&py->e, &py->child, argv);
}

static void process_ended(struct python *py, const char *how)
{
	struct member *m, *over = py->busy && py->busy->step == ADDING ? py->busy : NULL;
	uint16_t port = over ? over->p->port : py->deaf ? py->suspect : 0;

	if (port && py->deaths[port] < UINT8_MAX)
		py->deaths[port]++;
	py->busy = NULL;
	round_begin(py);
	while ((m = round_next(py))) {
		if (m->step == UNWANTED || m->step == REMOVING) {
			engine_gone(&m->i);
		} else if (m == over && py->deaths[port] > 1) {
			given_up(m, how);
		} else if (m->announced && !m->poison) {
			m->step = WANTED;
			engine_tell(&m->i, ENGINE_DOWN, -ECHILD, how);
		} else if (m == over) {
			m->step = WANTED;
		}
	}
}

static void on_ended(struct child *c, int status)
{
	struct python *py = container_of(c, struct python, child);
	char how[64];

	py->phase = DOWN; /* an answer among its last words shall not bring out another command */
	endpoint_drain(&py->ours);
	external_how(status, how);
	if (py->e.ending) {
		engine_ended(&py->e);
		return;
	}
	log_msg(LOG_WARN, "manager", "ssserver %s", how);
	process_ended(py, how);
}

/* Whose answer has not come in time. */
static void give_up_waiting(struct python *py)
{
	struct member *m = py->busy;

	if (py->phase == CLEANING) {
		py->phase = READY; /* it has no dummy, then */
		return;
	}
	py->busy = NULL;
	py->deaf = true;
	py->suspect = m && m->step == ADDING ? m->p->port : 0;
	if (py->e.stopping)
		kill_it(py);
	else
		say(py, "ping", 4);
	if (m && m->step == REMOVING)
		closed(py, m);
	else if (py->suspect && py->deaths[py->suspect])
		given_up(m, "ssserver does not answer, for the second time");
	else if (py->suspect)
		refused(m, -ETIMEDOUT, "ssserver does not answer");
}

static void wake(struct python *py)
{
	if (now_of(py) - py->started > START_WITHIN)
		kill_it(py);
	else /* it may not be there yet */
		(void)!endpoint_try(&py->ours, &py->theirs, "ping", 4);
}

/* Those that nobody has heard of while there is no process. */
static void lose_patience(struct python *py)
{
	struct member *m;

	round_begin(py);
	while ((m = round_next(py))) {
		if (m->step == WANTED && !m->announced && now_of(py) - m->since > START_WITHIN)
			refused(m, -ETIMEDOUT, "ssserver is not running");
	}
}

static void on_tick(struct timer *t)
{
	struct python *py = container_of(t, struct python, tick);
	nsec_t now = now_of(py), next = TICK;
	int err = 0;

	if (py->e.ending) {
		tell_to_end(py);
		return;
	}
	if (py->phase == DOWN && !py->child.pid && now - py->started > RESTART_AFTER)
		err = launch(py);
	if (err) {
		log_msg(LOG_WARN, "manager", "ssserver: %s", err_text(err));
		py->phase = DOWN;
	}
	if (py->phase == WAKING && py->child.pid)
		wake(py);
	else if ((py->busy || py->phase == CLEANING) && now - py->asked > ANSWER_WITHIN)
		give_up_waiting(py);
	else if (py->deaf && now - py->asked > ANSWER_WITHIN)
		kill_it(py);
	if (py->phase == DOWN || py->phase == WAKING)
		lose_patience(py);
	pump(py);
	if (py->phase == READY && !py->busy)
		next = CALM_TICK;
	timer_set(py->e.conf.loop, t, now + next);
}

/* ---- the engine -------------------------------------------------------------------------- */

static int python_start(struct engine *e, const struct profile *p, uint32_t generation,
			struct instance *old, struct instance **out, char why[PROFILE_WHY_MAX])
{
	struct python *py = of(e);
	struct member *m;
	int err;

	if (old)
		return -EAGAIN;
	if (p->nusers || p->plugin) {
		snprintf(why, PROFILE_WHY_MAX, "ssserver has neither users nor plugins");
		return -ERR_CONFIG;
	}
	err = external_probe(e, p);
	if (err)
		return err;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->i.engine = e;
	m->since = now_of(py);
	m->p = profile_new(p);
	err = m->p ? tally_new(e, p->port, generation, &m->tally) : -ENOMEM;
	if (err) {
		profile_free(m->p);
		free(m);
		return err;
	}
	if (py->last[p->port] != generation + 1)
		py->deaths[p->port] = 0; /* another one */
	py->last[p->port] = generation + 1;
	timer_set(e->conf.loop, &py->tick, now_of(py)); /* once it is in the list */
	*out = &m->i;
	return -EINPROGRESS;
}

static void python_stop(struct instance *i, nsec_t grace)
{
	struct python *py = of(i->engine);
	struct member *m = container_of(i, struct member, i);

	if (m->step == REMOVING || m->step == UNWANTED) {
		if (i->engine->stopping && grace <= 0)
			kill_it(py); /* asked for the second time */
		return;
	}
	if (m->step == WANTED || py->phase == DOWN) {
		engine_gone(i);
		return;
	}
	m->step = UNWANTED;
	pump(py);
}

static void python_traffic(const struct instance *i, struct traffic *out)
{
	tally_traffic(i->engine, &container_of(i, struct member, i)->tally, out);
}

static size_t python_slots(const struct instance *i, uint32_t *out)
{
	if (out)
		*out = container_of(i, struct member, i)->tally.slot;
	return 1;
}

static void python_free(struct instance *i, bool settled)
{
	struct member *m = container_of(i, struct member, i);

	tally_end(i->engine, &m->tally, settled);
	profile_free(m->p);
	free(m);
}

/* Its ports are closed, so what it reports next is final. */
static int python_end(struct engine *e)
{
	struct python *py = of(e);

	timer_stop(&py->tick);
	if (!py->child.pid)
		return 0;
	if (now_of(py) < py->owes_until && py->phase == READY && !py->killed)
		timer_set(e->conf.loop, &py->tick, py->owes_until);
	else
		tell_to_end(py);
	py->owes_until = 0; /* called again: hurry */
	return -EINPROGRESS;
}

static void python_done(struct engine *e)
{
	struct python *py = of(e);

	timer_stop(&py->tick);
	child_done(&py->child);
	endpoint_close(&py->ours);
	unlink(py->socket);
	free(py->last);
}

static int sockets(struct python *py, char why[PROFILE_WHY_MAX])
{
	const struct endpoint_conf conf = {.address = py->own};
	const char *dir = py->e.conf.run_dir;

	if (snprintf(py->own, sizeof(py->own), "%s/client.sock", dir) >= (int)sizeof(py->own) ||
	    snprintf(py->socket, sizeof(py->socket), "%s/server.sock", dir) >=
		    (int)sizeof(py->socket)) {
		snprintf(why, PROFILE_WHY_MAX, "%.120s is too long for a socket in it", dir);
		return -ERR_CONFIG;
	}
	py->theirs = (struct peer){.un.sun_family = AF_UNIX};
	snprintf(py->theirs.un.sun_path, sizeof(py->theirs.un.sun_path), "%s", py->socket);
	py->theirs.len =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(py->socket) + 1);
	return endpoint_open(&py->ours, py->e.conf.loop, &conf, received, py, why);
}

static int python_init(struct engine *e, char why[PROFILE_WHY_MAX])
{
	struct python *py = of(e);
	int err = external_check(&e->conf, "ssserver", why);

	if (err)
		return err;
	py->ours.fd = -1;
	child_init(&py->child, e->conf.loop, on_ended);
	timer_init(&py->tick, on_tick);
	py->last = calloc(PORTS, sizeof(*py->last));
	err = py->last ? sockets(py, why) : -ENOMEM;
	if (!err)
		err = launch(py);
	if (err) {
		if (!*why)
			snprintf(why, PROFILE_WHY_MAX, "ssserver: %s", err_text(err));
		python_done(e);
		return err;
	}
	timer_set(e->conf.loop, &py->tick, now_of(py) + TICK);
	return 0;
}

const struct engine_ops engine_python = {
	.kind = "python",
	.size = sizeof(struct python),
	.init = python_init,
	.start = python_start,
	.stop = python_stop,
	.traffic = python_traffic,
	.slots = python_slots,
	.free = python_free,
	.end = python_end,
	.done = python_done,
};
