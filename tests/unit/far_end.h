/* far_end.h - the packets of a request, whether they come out of a stream or of a multiplexer over it. */
#ifndef WEIR_TESTS_FAR_END_H
#define WEIR_TESTS_FAR_END_H

#include "stream/mux.h"
#include "unit.h"

struct far_end {
	struct sink sink;
	struct mux *mux;
	struct dgram *d; /* NULL: not yet */
};

static inline void far_end_take(struct sink *k, struct dgram *d)
{
	container_of(k, struct far_end, sink)->d = d;
}

static inline void far_end_closed(struct sink *k)
{
}

/* `s`, whose request has been read, passes. */
static inline void far_end_start(struct far_end *t, struct stream *s)
{
	struct bufq first;
	struct mux_terms terms = {.sink = &t->sink, .first = &first};
	const struct mux_kind *kind;
	struct stream *lower;
	union stream_value v;

	*t = (struct far_end){.sink = {.dgram = far_end_take, .closed = far_end_closed}};
	assert_int_equal(stream_query(s, STREAM_REQUEST, &v), 0);
	terms.user = v.request->user;
	kind = v.request->mux;
	if (!kind) {
		assert_int_equal(v.request->network, NETWORK_UDP);
		t->d = v.request->udp(s);
		return;
	}
	bufq_init(&first, loop_pool(s->loop), 64);
	lower = stream_peel(s, &first);
	t->mux = kind->serve(lower ? lower : s, &terms);
	bufq_done(&first);
}

#endif
