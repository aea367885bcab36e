/* gate.h - a protocol's server over one end of a pair, and two talkers on both roles of it.
 *
 * A test says whose inbound it is (GATE_HOUSE, a type) before it includes this, and defines
 * gate_server().
 */
#ifndef WEIR_TESTS_GATE_H
#define WEIR_TESTS_GATE_H

#include "hostile.h"
#include "net/dest.h"
#include "stage.h"
#include "stream/pair.h"
#include "unit.h"
#include "user/user.h"

struct gate {
	struct loop *l;
	GATE_HOUSE house;
	struct stream *s, *far;
};

static struct stream *gate_server(struct gate *g, struct stream *near);

static inline void gate_again(struct gate *g)
{
	struct stream *near;

	stream_free(g->s);
	stream_free(g->far);
	assert_int_equal(pair_new(g->l, 1 << 20, &near, &g->far), 0);
	g->s = gate_server(g, near);
	assert_non_null(g->s);
}

/* Nothing of it is left; the loop is. */
static inline void gate_take_down(struct gate *g)
{
	stream_free(g->s);
	stream_free(g->far);
	loop_turn(g->l, 0);
	assert_int_equal(loop_pool(g->l)->nused, 0);
}

static inline const struct stream_request *request_of(struct gate *g)
{
	union stream_value v;

	assert_int_equal(stream_query(g->s, STREAM_REQUEST, &v), 0);
	return v.request;
}

static inline void assert_request(struct gate *g, int64_t user, const char *to)
{
	const struct stream_request *r = request_of(g);
	char text[DEST_TEXT_MAX];

	assert_int_equal(user_id(r->user), user);
	assert_int_equal(r->network, NETWORK_TCP);
	assert_string_equal(dest_format(&r->dest, text), to);
}

static inline void assert_text(struct stream *s, const char *text)
{
	uint8_t got[65536];

	assert_int_equal(get_bytes(s, got, sizeof(got), NULL), strlen(text));
	assert_memory_equal(got, text, strlen(text));
}

/* Feed `len` bytes to a new connection: what open() says; nothing may be answered. */
static inline int knock(struct gate *g, const uint8_t *wire, size_t len)
{
	uint8_t got[64];
	int err;

	gate_again(g);
	if (len)
		put_bytes(g->far, wire, len);
	err = stream_open(g->s);
	assert_int_equal(get_bytes(g->far, got, sizeof(got), NULL), 0);
	return err;
}

/* These bytes are a request with five of payload, and then the stream ends: between two chunks, or in
 * the middle of one, of which `more` is the beginning. */
static inline void assert_ends(struct gate *g, const uint8_t *wire, size_t len, const char *more)
{
	struct bufq q;

	for (int cut = 0; cut < 2; cut++) {
		gate_again(g);
		put_bytes(g->far, wire, len);
		if (cut)
			put_bytes(g->far, more, strlen(more));
		assert_int_equal(stream_open(g->s), 0);
		stream_shut(g->far);
		bufq_init(&q, loop_pool(g->l), SIZE_MAX);
		assert_int_equal(stream_pull(g->s, &q, 100), 5);
		assert_int_equal(stream_pull(g->s, &q, 100), cut ? -ERR_TRUNCATED : 0);
		bufq_done(&q);
	}
}

/* ---- two talkers: a scenario whose state begins with a duo ------------------------------- */

struct duo {
	struct talker client, server;
};

/* Of the scenario: its state begins as zeroes. */
static bool duo_dribbles;
static size_t duo_up, duo_down;

static inline void duo_pair(struct loop *l, struct duo *t, struct stream **x, struct stream **y)
{
	assert_int_equal(pair_new(l, duo_dribbles ? 300 : 100000, x, y), 0);
	if (duo_dribbles) {
		*x = dribble_new(*x, &DRIBBLE(1));
		*y = dribble_new(*y, &DRIBBLE(2));
	}
	t->client.burst = t->server.burst = duo_dribbles ? 0 : 40000;
}

static inline void duo_talk(struct duo *t, struct stream *client, struct stream *server)
{
	talker_start(&t->client, client, duo_up, 1, 2);
	talker_start(&t->server, server, duo_down, 2, 1);
}

static inline void duo_check(void *state)
{
	struct duo *t = state;

	assert_int_equal(t->client.err, 0);
	assert_int_equal(t->server.err, 0);
	assert_int_equal(t->server.received, duo_up);
	assert_int_equal(t->client.received, duo_down);
	assert_true(t->client.eof && t->server.eof);
}

/* Once through, 3 MB each way. */
static inline void duo_bulk(const struct scenario *sc, void *state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);

	duo_dribbles = false;
	duo_up = duo_down = 3000000;
	sc->start(l, state);
	assert_true(run_until(l, sc->done, state));
	sc->check(state);
	sc->stop(state);
	loop_turn(l, 0);
	assert_int_equal(loop_pool(l)->nused, 0);
	loop_free(l);
}

#endif
