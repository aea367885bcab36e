/* one_end.h - a layer over one end of a pair; the other end is the test's. */
#ifndef WEIR_TESTS_ONE_END_H
#define WEIR_TESTS_ONE_END_H

#include "stream/pair.h"
#include "unit.h"

struct one {
	struct loop *l;
	struct stream *s, *far;
};

/* The end that `s` is to stand on. */
static inline struct stream *one_begin(struct one *o, size_t capacity)
{
	struct stream *near;

	o->l = loop_new(LOOP_VIRTUAL, 1);
	assert_int_equal(pair_new(o->l, capacity, &near, &o->far), 0);
	return near;
}

static inline void one_close(struct one *o)
{
	stream_free(o->s);
	stream_free(o->far);
	loop_turn(o->l, 0);
	assert_int_equal(loop_pool(o->l)->nused, 0);
	loop_free(o->l);
}

/* All of it, at once. */
static inline void send_bytes(struct stream *s, const void *bytes, size_t len)
{
	struct bufq q;

	if (len == 0)
		return;
	bufq_init(&q, loop_pool(s->loop), SIZE_MAX);
	assert_int_equal(bufq_append(&q, bytes, len), 0);
	assert_int_equal(stream_push(s, &q), len);
}

#endif
