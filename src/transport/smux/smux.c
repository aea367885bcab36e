/* smux version 1, as a server (docs/protocols/mux.md, section 5).
 *
 * A FIN is the end of both directions: who has sent it has forgotten the stream, and who has received
 * it writes no more.  There are no windows: a stream whose consumer is slow holds up the carrier.
 */
#include <errno.h>

#include "base/err.h"
#include "transport/mux_session/mux_session.h"
#include "transport/smux/smux_wire.h"

static int emit(struct mux_core *m, enum smux_command command, uint32_t stream, struct bufq *src,
		size_t n)
{
	uint8_t mem[SMUX_HEAD];
	struct wr w = wr_of(mem, sizeof(mem));

	smux_frame_emit(&w, &(struct smux_frame){(uint8_t)command, (uint16_t)n, stream});
	return mux_emit(m, mem, w.len, src, n);
}

/* The number of a stream that lives, again: the reference takes no notice. */
static int take_syn(struct mux_session *s, uint32_t id)
{
	struct mux_session_child *c;

	if (mux_session_find(s, id))
		return mux_glitch(&s->core);
	if (mux_session_accept(s, id, &c))
		return 0;
	if (mux_glitch(&s->core))
		return -ERR_PROTOCOL;
	return emit(&s->core, SMUX_FIN, id, NULL, 0);
}

static int take_fin(struct mux_session *s, uint32_t id)
{
	struct mux_session_child *c = mux_session_find(s, id);
	int err = c ? mux_session_given_up(s, c) : 0;

	if (c) {
		mux_stream_end(&c->ms, 0);
		mux_child_detach(&c->ms.c);
	}
	return err;
}

static int take(struct mux_session *s, const struct smux_frame *f)
{
	switch (f->command) {
	case SMUX_SYN:
		return take_syn(s, f->stream);
	case SMUX_FIN:
		return take_fin(s, f->stream);
	case SMUX_PSH:
		s->stream = f->stream;
		s->left = f->len;
		return f->len ? 0 : mux_glitch(&s->core);
	default: /* SMUX_NOP */
		return mux_glitch(&s->core);
	}
}

static int smux_input(struct mux_core *m)
{
	struct mux_session *s = mux_session_of(m);
	int err = mux_session_body(s);

	while (!err && !s->left) {
		uint8_t mem[SMUX_HEAD];
		struct rd r = rd_of(mem, bufq_peek(&m->in, 0, mem, sizeof(mem)));
		struct smux_frame f;

		err = smux_frame_parse(&r, &f);
		if (err)
			return err == -ERR_MORE ? 0 : err;
		bufq_drain(&m->in, r.pos);
		err = take(s, &f);
		if (!err)
			err = mux_session_body(s);
	}
	return err;
}

static int smux_data(struct mux_core *m, struct mux_child *c, struct bufq *src, size_t n)
{
	container_of(c, struct mux_session_child, ms.c)->spoken = true;
	return emit(m, SMUX_PSH, c->id, src, n);
}

static int smux_fin(struct mux_core *m, struct mux_child *c)
{
	container_of(c, struct mux_session_child, ms.c)->spoken = true;
	return emit(m, SMUX_FIN, c->id, NULL, 0);
}

static int smux_reset(struct mux_core *m, struct mux_child *c)
{
	struct mux_stream *ms = container_of(c, struct mux_stream, c);

	return ms->fin ? 0 : emit(m, SMUX_FIN, c->id, NULL, 0);
}

static const struct mux_codec smux_codec = {
	.name = "smux",
	.child_size = sizeof(struct mux_session_child),
	.frame_max = MUX_CHUNK,
	.idle = MUX_SESSION_IDLE,
	.input = smux_input,
	.data = smux_data,
	.fin = smux_fin,
	.reset = smux_reset,
};

int smux_begin(struct mux_session *s)
{
	s->core.codec = &smux_codec;
	return 0;
}
