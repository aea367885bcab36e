/* hostile.h - what the tests of every layer share: a lower stream that misbehaves within the
 * contract, users of a stream that check what arrives, and a driver that kills a stack after each
 * turn.
 *
 * Everything runs on the virtual loop and from a seed, so that a failure repeats.  The usual test
 * of a layer X, client and server, over a memory pair:
 *
 *     struct duo { struct talker a, b; };
 *
 *     static void start(struct loop *l, void *state)
 *     {
 *             struct duo *t = state;
 *             struct stream *x, *y;
 *
 *             assert_int_equal(pair_new(l, 300, &x, &y), 0);
 *             talker_start(&t->a, x_client(dribble_new(x, &DRIBBLE(1))), 5000, 1, 2);
 *             talker_start(&t->b, x_server(dribble_new(y, &DRIBBLE(2))), 7000, 2, 1);
 *     }
 *     kill_at_each_turn(&(struct scenario){start, talkers_done, talkers_stop, check,
 *                                          sizeof(struct duo)}, seed);
 *
 * Failures are cmocka's, with what was seen in the message.
 */
#ifndef WEIR_TESTS_HOSTILE_H
#define WEIR_TESTS_HOSTILE_H

#include "stream/stream.h"

/* ---- dribble: a stream layer over any other
 * ------------------------------------------------------ Moves 1..max bytes per call, says -EAGAIN
 * without need and wakes later, wakes without need, and cuts the stream at a byte.  It also watches
 * whoever stands on it: want() without a failed call before it (S1, S2) fails the test.  Nothing is
 * spliced through it.
 */
struct dribble_conf {
	uint64_t seed;
	unsigned max;	/* bytes per pull and push, at most */
	unsigned again; /* percent of calls that fail with -EAGAIN though they could do something */
	unsigned spurious; /* percent of want() calls that wake at once, for nothing */
	int64_t cut_in;	   /* after so many bytes pulled... <0: never */
	int cut_in_err;	   /* ...pull says this: 0 is an orderly end */
	int64_t cut_out;   /* the same for push, and shut */
	int cut_out_err;
};

#define DRIBBLE(s)              \
	((struct dribble_conf){ \
		.seed = (s), .max = 5, .again = 30, .spurious = 10, .cut_in = -1, .cut_out = -1})

/* Takes `lower` over. */
struct stream *dribble_new(struct stream *lower, const struct dribble_conf *conf);

/* ---- talker: somebody at the end of a stack
 * ------------------------------------------------------ Opens the stream, sends `total` bytes of
 * pattern `tx`, shuts, and reads to the end, comparing with pattern `rx`.  The fields are for the
 * test to read.
 */
struct talker {
	struct stream *s;
	struct waiter w;
	size_t total, sent, received;
	size_t burst;	 /* bytes offered per push; 0: 1000 */
	size_t appetite; /* bytes asked for per pull; 0: 16384 */
	size_t skip;	 /* bytes that are read off before it says or compares anything */
	uint8_t tx, rx;
	bool opened, keep_open; /* keep_open: do not shut after the last byte */
	bool shut, eof;
	int err; /* the first error; then it does nothing more */
};

uint8_t pattern_byte(uint8_t pattern, size_t offset);

/* Takes `s` over.  Fields that are to differ are set before. */
void talker_start(struct talker *t, struct stream *s, size_t total, uint8_t tx, uint8_t rx);
bool talker_done(const struct talker *t); /* all sent, shut and read to the end; or failed */
void talker_stop(struct talker *t);	  /* frees the stream; idempotent, and fine on zeroes */

/* The same of two, with which `state` begins: for scenarios. */
bool talkers_done(void *state);
void talkers_stop(void *state);

/* ---- driving --------------------------------------------------------------------------------- */

/* Turns until `done` says so.  False: nothing was left to do before that, or 1,000,000 turns
 * passed. */
bool run_until(struct loop *l, bool (*done)(void *state), void *state);

struct scenario {
	void (*start)(struct loop *l, void *state); /* `state` is zeroed */
	bool (*done)(void *state);
	void (*stop)(void *state);  /* free everything, at whatever point it is */
	void (*check)(void *state); /* may be NULL; after done, before stop */
	size_t size;		    /* of the state */
};

/* Run the scenario again and again on a new loop, stopped after 0, 1, 2... turns, the last time
 * after it is done.  After each stop nothing may run any more and every chunk must be back;
 * sanitizers see the rest.  Returns how many turns it takes.
 */
int kill_at_each_turn(const struct scenario *sc, uint64_t seed);

#endif
