/* prober.h - a port with a reject policy of silence, and somebody who tries what it says. */
#ifndef WEIR_TESTS_PROBER_H
#define WEIR_TESTS_PROBER_H

#include "event/loop.h"
#include "session/session.h"
#include "stage.h"
#include "stream/pair.h"
#include "unit.h"

#define PROBER_DEADLINE (10 * NSEC_SEC)

struct probed {
	struct loop *l;
	struct session_inbound in;
	struct session_times times;
	struct dialer nowhere;
	struct session_report report;
	size_t ended, dials;
};

static inline void probed_ended(struct session_inbound *in, const struct session_report *r)
{
	struct probed *p = container_of(in, struct probed, in);

	p->report = *r;
	p->ended++;
}

/* A way out that is closed: who authenticates is let in, and that is all. */
static inline struct dial *probed_no_way(struct dialer *d, struct loop *l, const struct dest *to,
					 struct waiter *w)
{
	container_of(d, struct probed, nowhere)->dials++;
	return NULL;
}

/* `stack` makes the server of `proto` over what has been accepted. */
static inline void probed_open(struct probed *p, struct loop *l, const struct proto_inbound *proto,
			       struct stream *(*stack)(struct session_inbound *in,
						       struct stream *leaf))
{
	static const struct dialer_ops nowhere = {.name = "nowhere", .dial = probed_no_way};

	*p = (struct probed){.l = l, .nowhere.ops = &nowhere};
	p->times = (struct session_times){.handshake = PROBER_DEADLINE, .dial = NSEC_SEC};
	p->in = (struct session_inbound){
		.proto = *proto,
		.loop = l,
		.stack = stack,
		.outbound = &p->nowhere,
		.times = &p->times,
		.reject = REJECT_DRAIN,
		.ended = probed_ended,
	};
	list_init(&p->in.sessions);
}

static inline struct stream *probed_connect(struct probed *p)
{
	struct stream *near, *far;

	assert_int_equal(pair_new(p->l, 1 << 20, &near, &far), 0);
	session_start(&p->in, near);
	return far;
}

/* Somebody whom it knows is let in by these bytes. */
static inline void probed_lets_in(struct probed *p, const uint8_t *bytes, size_t len)
{
	struct stream *far = probed_connect(p);
	size_t dials = p->dials, ended = p->ended;

	put_bytes(far, bytes, len);
	for (int i = 0; i < 20 && p->ended == ended; i++)
		loop_turn(p->l, NSEC_MS);
	assert_int_equal(p->dials, dials + 1);
	stream_free(far);
}

/* Nothing has come. */
static inline ssize_t prober_hears(struct stream *far)
{
	uint8_t got[4096];
	ssize_t end;

	assert_int_equal(get_bytes(far, got, sizeof(got), &end), 0);
	return end;
}

/* One probe, from its first byte to its end; up to `more` bytes of it come again after a second. */
static inline void probe(struct probed *p, const uint8_t *bytes, size_t len, size_t more)
{
	static const uint8_t noise[300] = {1, 2, 3};
	struct stream *far = probed_connect(p);
	size_t before = p->ended, dials = p->dials;
	nsec_t since = loop_now(p->l);
	ssize_t end = -EAGAIN;

	if (len)
		put_bytes(far, bytes, len);
	loop_turn(p->l, NSEC_SEC);
	assert_int_equal(prober_hears(far), -EAGAIN);
	if (len && more) /* and goes on about it */
		put_bytes(far, bytes, MIN(len, more));
	for (int i = 0; i < 1000 && end == -EAGAIN; i++) {
		loop_turn(p->l, NSEC_SEC);
		end = prober_hears(far);
	}
	assert_int_equal(end, 0); /* an orderly end, and not a reset */
	assert_in_range(loop_now(p->l) - since, PROBER_DEADLINE, PROBER_DEADLINE + 5 * NSEC_MS);
	assert_int_equal(p->ended, before); /* what comes after it is read, too, for a second */
	put_bytes(far, noise, sizeof(noise));
	loop_turn(p->l, NSEC_MS);
	assert_int_equal(prober_hears(far), 0);
	for (int i = 0; i < 1000 && p->ended == before; i++)
		loop_turn(p->l, NSEC_SEC);
	assert_int_equal(p->ended, before + 1);
	assert_in_range(loop_now(p->l) - since, PROBER_DEADLINE + NSEC_SEC,
			PROBER_DEADLINE + NSEC_SEC + 5 * NSEC_MS);
	assert_int_equal(prober_hears(far), 0); /* no reset: nothing was left unread */
	stream_free(far);
	assert_int_equal(p->report.up + p->report.down, 0);
	assert_int_equal(p->dials, dials);
	loop_turn(p->l, 0);
}

#endif
