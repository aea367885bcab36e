/* The phases.  Each returns the next one, the same one with -EAGAIN to wait, or an error that ends
 * the session.
 */
#include "session/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "session/session_impl.h"

static const struct {
	int (*run)(struct session *s);
} phases[] = {
	[PHASE_OPEN] = {session_open},		 [PHASE_DIAL] = {session_dial},
	[PHASE_RELAY] = {session_relay},	 [PHASE_UDP] = {session_udp},
	[PHASE_REJECT] = {session_reject},	 [PHASE_DRAIN] = {session_drain},
	[PHASE_FALL_DIAL] = {session_fall_dial}, [PHASE_REFUSED] = {session_refused},
	[PHASE_CLOSING] = {session_closing},	 [PHASE_LATE] = {session_late},
	[PHASE_PARTING] = {session_drain},	 [PHASE_MUX] = {session_mux},
};

static struct session *of_run(struct waiter *w)
{
	return container_of(w, struct session, run);
}

const struct addr *session_peer(const struct session *s, struct addr *mem)
{
	if (s->phase == PHASE_UDP)
		return s->udp_peer.len ? &s->udp_peer : NULL;
	if (s->phase == PHASE_MUX)
		return s->mux_peer.len ? &s->mux_peer : NULL;
	return s->client && stream_peer(s->client, mem) ? mem : NULL;
}

/* A stranger's bytes are nobody's traffic. */
static uint64_t moved(const struct session *s, enum relay_dir dir)
{
	if (s->phase == PHASE_UDP)
		return s->udp.flow[dir].bytes;
	return s->phase == PHASE_RELAY && !s->rejected ? s->relay.flow[dir].bytes : 0;
}

static void report(struct session *s, int err)
{
	struct addr mem;
	struct session_report r = {
		.peer = session_peer(s, &mem),
		.user = s->conn.user ? s->conn.user : s->refused,
		.dest = s->mirrored ? NULL : s->dest,
		.network = s->network,
		.up = moved(s, RELAY_UP),
		.down = moved(s, RELAY_DOWN),
		.spliced = s->phase == PHASE_RELAY ? relay_spliced(&s->relay) : 0,
		.lasted = loop_now(s->in->loop) - s->started,
		.rejected = s->rejected,
		.carrier = s->phase == PHASE_MUX,
		.crowded = s->crowded,
		.err = err,
	};

	if (s->in->ended)
		s->in->ended(s->in, &r);
}

/* A stream cut off must look cut off: a reset where the end was not an orderly one.  Before there is
 * something to cut off every end looks the same, whatever the peer did wrong.
 */
static void mark_abort(struct session *s, int err)
{
	static const union stream_value yes = {.num = 1};

	if (s->phase != PHASE_DIAL && s->phase != PHASE_RELAY)
		return;
	if (!err || err == -ERR_IDLE || err == -ERR_TIMEOUT)
		return;
	if (s->half_open && err == -ERR_LIMIT) /* a server that makes room ends in order */
		return;
	/* An answer that has ended in order is whole, whatever became of the upload: but who is shown a
	 * target sees what the target does. */
	if (s->client && (s->mirrored || s->phase != PHASE_RELAY || !s->relay.flow[RELAY_DOWN].eof))
		stream_set(s->client, STREAM_ABORT, yes);
	if (s->target)
		stream_set(s->target, STREAM_ABORT, yes);
}

/* His address may be known only when a PROXY header has come: asked again until it is. */
int session_enter_half_open(struct session *s)
{
	struct half_open *h = s->in->half_open;
	union stream_value v;
	uint32_t source;

	if (!s->half_open || s->source || stream_query(s->client, STREAM_SOURCE, &v))
		return 0;
	source = half_open_source(h->sources, v.addr);
	s->crowded = half_open_enter(h->sources, source) != 0;
	if (s->crowded)
		return -ERR_LIMIT;
	s->source = source;
	return 0;
}

void session_leave_half_open(struct session *s)
{
	if (!s->half_open)
		return;
	s->half_open = false;
	s->in->half_open->n--;
	if (s->source)
		half_open_leave(s->in->half_open->sources, s->source);
	s->source = 0;
	list_del(&s->link);
	list_add_tail(&s->in->sessions, &s->link);
}

/* The newest of them.  When there are too many the oldest goes. */
static void put_half_open(struct session *s)
{
	struct half_open *h = s->in->half_open;

	if (!h)
		return;
	if (h->max && h->n >= h->max)
		session_end(list_entry(h->sessions.next, struct session, link), -ERR_LIMIT);
	list_del(&s->link);
	list_add_tail(&h->sessions, &s->link);
	s->half_open = true;
	h->n++;
}

static void end_phase(struct session *s)
{
	if (s->phase == PHASE_RELAY) {
		relay_stop(&s->relay);
	} else if (s->phase == PHASE_UDP) {
		session_udp_end(s);
	} else if (s->phase == PHASE_MUX) {
		mux_free(s->mux);
	} else {
		timer_stop(&s->deadline);
		dial_cancel(s->dial);
		bufq_done(&s->first);
	}
}

void session_end(struct session *s, int err)
{
	nsec_t now = loop_now(s->in->loop);

	report(s, err);
	waiter_cancel(&s->run);
	end_phase(s);
	mark_abort(s, err);
	session_leave_half_open(s);
	stream_free(s->client);
	stream_free(s->target);
	user_conn_end(&s->conn, now);
	free(s->dest);
	list_del(&s->link);
	s->in->nsessions--;
	loop_free_later(s->in->loop, s);
}

static void session_run(struct waiter *w)
{
	struct session *s = of_run(w);
	int next;

	if (atomic_load_explicit(&s->conn.why, memory_order_relaxed)) {
		session_end(s, atomic_load_explicit(&s->conn.why, memory_order_relaxed));
		return;
	}
	do {
		next = phases[s->phase].run(s);
		if (next >= 0 &&
		    next != PHASE_END) /* what has to be let go depends on the last one */
			s->phase = (uint8_t)next;
	} while (next >= 0 && next != PHASE_END);
	if (next == PHASE_END)
		session_end(s, 0);
	else if (next != -EAGAIN)
		session_end(s, next);
}

/* 0: he has been told, and it goes on for a moment. */
static int child_is_late(struct session *s)
{
	int next = s->phase == PHASE_DIAL ? session_refuse(s, -ERR_TIMEOUT) : -ERR_TIMEOUT;

	if (next != PHASE_REFUSED)
		return s->phase == PHASE_REFUSED ? s->why : next;
	s->phase = PHASE_REFUSED;
	loop_queue(s->in->loop, &s->run);
	return 0;
}

static void on_deadline(struct timer *t)
{
	struct session *s = container_of(t, struct session, deadline);
	/* Who is silent waits for the web server's patience to end, not for ours. */
	int err = s->phase == PHASE_OPEN ? session_mirror(s) : -ENOTSUP;

	if (!err)
		return;
	if (s->child)
		err = child_is_late(s);
	if (!err)
		return;
	if (err != -ENOTSUP) {
		session_end(s, err);
		return;
	}
	if (s->phase == PHASE_OPEN && s->in->reject == REJECT_FALLBACK) {
		s->phase = PHASE_REJECT;
		loop_queue(s->in->loop, &s->run);
		return;
	}
	if (!session_part(s))
		session_end(s, s->rejected ? -ERR_AUTH : -ERR_TIMEOUT);
}

static size_t session_allow(struct meter *m, enum relay_dir dir, size_t want, nsec_t now,
			    nsec_t *pause)
{
	struct session *s = container_of(m, struct session, meter);

	if (s->in->cap)
		want = rate_allow(&s->in->cap[dir], want, now, pause);
	return want && s->conn.user
		       ? user_allow(s->conn.user, (enum traffic_dir)dir, want, now, pause)
		       : want;
}

static void session_count(struct meter *m, enum relay_dir dir, size_t bytes, nsec_t now)
{
	struct session *s = container_of(m, struct session, meter);

	if (s->in->cap)
		rate_charge(&s->in->cap[dir], now, bytes);
	if (s->conn.user)
		user_conn_count(&s->conn, (enum traffic_dir)dir, bytes, now);
}

struct session *session_new(struct session_inbound *in)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->in = in;
	s->started = loop_now(in->loop);
	s->phase = PHASE_OPEN;
	s->meter = (struct meter){.allow = session_allow, .count = session_count};
	bufq_init(&s->first, loop_pool(in->loop), SIZE_MAX);
	waiter_init(&s->run, session_run);
	timer_init(&s->deadline, on_deadline);
	user_conn_init(&s->conn, in->user_worker, &s->run);
	list_add_tail(&in->sessions, &s->link);
	in->nsessions++;
	return s;
}

void session_start(struct session_inbound *in, struct stream *leaf)
{
	struct session *s = session_new(in);

	if (!s) {
		stream_free(leaf);
		return;
	}
	s->client = in->stack(in, leaf);
	if (!s->client) {
		session_end(s, -ENOMEM);
		return;
	}
	put_half_open(s);
	timer_set(in->loop, &s->deadline, s->started + in->times->handshake);
	loop_queue(in->loop, &s->run);
}

void session_start_udp(struct session_inbound *in, struct dgram *client,
		       const struct stream_request *request, const struct addr *peer)
{
	struct session *s = session_new(in);
	int err = s ? session_open_udp(s, client, request, peer) : -ENOMEM;

	if (!err)
		return;
	dgram_free(client);
	if (s)
		session_end(s, err);
}

void session_end_all(struct session_inbound *in)
{
	struct list_node *pos, *tmp;

	while (in->half_open && !list_empty(&in->half_open->sessions))
		session_end(list_entry(in->half_open->sessions.next, struct session, link),
			    -ERR_CANCELED);
	list_for_each_safe(pos, tmp, &in->sessions)
		session_end(list_entry(pos, struct session, link), -ERR_CANCELED);
}

static void end_stuck(struct list_node *sessions, nsec_t before)
{
	struct list_node *pos, *tmp;

	list_for_each_safe(pos, tmp, sessions) {
		struct session *s = list_entry(pos, struct session, link);

		if (s->phase == PHASE_RELAY && relay_stuck(&s->relay, before))
			session_end(s, -ENOMEM);
	}
}

void session_end_stuck(struct session_inbound *in, nsec_t stuck)
{
	nsec_t before = loop_now(in->loop) - stuck;

	end_stuck(&in->sessions, before);
	if (in->half_open)
		end_stuck(&in->half_open->sessions, before);
}
