/* smux version 1, both ends (docs/protocols/mux.md, section 5).
 *
 * A FIN is the end of both directions: who has sent it has forgotten the stream, and who has received
 * it writes no more; streams of a client say that they cannot half-close.  There are no windows: a stream whose consumer is slow holds up the carrier.
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
	int err;

	if (!c)
		return mux_stray(&s->core, SMUX_HEAD);
	err = mux_session_given_up(s, c);
	mux_stream_end(&c->ms, 0);
	mux_child_detach(&c->ms.c);
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

static struct mux_session_child *of(struct mux_child *c)
{
	return container_of(c, struct mux_session_child, ms.c);
}

static int smux_data(struct mux_core *m, struct mux_child *c, struct bufq *src, size_t n)
{
	of(c)->spoken = true;
	return emit(m, SMUX_PSH, c->id, src, n);
}

static int smux_fin(struct mux_core *m, struct mux_child *c)
{
	of(c)->spoken = true;
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

/* ---- the client -------------------------------------------------------------------------- */

#define FIRST_NUMBER 3 /* the reference's */

static int introduce(struct mux_core *m, struct mux_child *c)
{
	if (of(c)->spoken)
		return 0;
	of(c)->spoken = true;
	return emit(m, SMUX_SYN, c->id, NULL, 0);
}

static int client_data(struct mux_core *m, struct mux_child *c, struct bufq *src, size_t n)
{
	int err = introduce(m, c);

	return err ? err : emit(m, SMUX_PSH, c->id, src, n);
}

static int client_fin(struct mux_core *m, struct mux_child *c)
{
	int err = introduce(m, c);

	return err ? err : smux_fin(m, c);
}

static int client_reset(struct mux_core *m, struct mux_child *c)
{
	return of(c)->spoken ? smux_reset(m, c) : 0;
}

static struct mux_stream *client_open(struct mux_session *s)
{
	struct mux_session_child *c = mux_session_open(s);

	return c ? &c->ms : NULL;
}

static const struct mux_codec client_codec = {
	.name = "smux-client",
	.child_size = sizeof(struct mux_session_child),
	.frame_max = MUX_CHUNK,
	.idle = MUX_CLIENT_IDLE,
	.input = smux_input,
	.data = client_data,
	.fin = client_fin,
	.reset = client_reset,
	.whole_end = true,
};

int smux_begin(struct mux_session *s)
{
	bool client = mux_session_is_client(s);

	s->core.codec = client ? &client_codec : &smux_codec;
	s->open = client ? client_open : NULL;
	s->number = FIRST_NUMBER;
	return 0;
}
