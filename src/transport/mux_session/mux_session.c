#include "transport/mux_session/mux_session.h"

#include <errno.h>

#define STRAY_HEAD 8 /* the least that a frame has besides its data */

int mux_session_body(struct mux_session *s)
{
	struct bufq *in = &s->core.in;

	while (s->left && !bufq_empty(in)) {
		struct mux_session_child *c = mux_session_find(s, s->stream);
		size_t n = MIN((size_t)s->left, bufq_len(in));

		if (c) {
			size_t room = mux_stream_room(&c->ms);
			int err;

			if (room == 0) {
				mux_stall(&c->ms);
				return -EAGAIN;
			}
			n = MIN(n, room);
			err = mux_stream_feed(&c->ms, in, n);
			if (err)
				return err;
		} else {
			int err = mux_stray(&s->core, n + STRAY_HEAD);

			if (err)
				return err;
			bufq_drain(in, n);
		}
		s->left -= (uint32_t)n;
	}
	return 0;
}

bool mux_session_accept(struct mux_session *s, uint32_t id, struct mux_session_child **out)
{
	struct mux_stream *ms;

	if (mux_session_is_client(s) || !mux_has_room(&s->core))
		return false;
	ms = mux_stream_new(&s->core, id);
	if (!ms)
		return false;
	s->opened(s, ms);
	*out = mux_session_find(s, id);
	return true;
}

struct mux_session_child *mux_session_open(struct mux_session *s)
{
	struct mux_stream *ms = mux_stream_new(&s->core, s->number);

	if (!ms)
		return NULL;
	s->number += 2;
	if (s->number > INT32_MAX) /* they are not used again */
		mux_drain(&s->core.mux, 0);
	return container_of(ms, struct mux_session_child, ms);
}

int mux_session_given_up(struct mux_session *s, const struct mux_session_child *c)
{
	return c->spoken ? 0 : mux_glitch(&s->core);
}

int mux_session_begin(struct mux_session *s, uint8_t protocol)
{
	static int (*const begin[])(struct mux_session *) = {smux_begin, yamux_begin, h2mux_begin};

	return begin[protocol](s);
}
