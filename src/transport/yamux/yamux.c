/* yamux, both ends (docs/protocols/mux.md, section 6).
 *
 * Windows are 256 KiB, which is what a child may hold; credit goes back when its consumer pulls, half a
 * window at a time.  A new stream is acknowledged at once: the client's patience for that is 5 s.
 *
 * A client could be told to go away, but sing-mux's client opens streams in such a session none the less: a
 * drained carrier goes on until it has none.
 */
#include <errno.h>

#include "base/err.h"
#include "transport/mux_session/mux_session.h"
#include "transport/yamux/yamux_wire.h"

struct yamux_child {
	struct mux_session_child base;
	uint32_t send, recv; /* what we, and the peer, may send */
	uint32_t owed;	     /* pulled, and not granted again yet */
	bool ending;	     /* the frame whose data comes in is the last one */
};

_Static_assert(YAMUX_WINDOW <= MUX_CHILD_MAX, "a window that is granted fits");

static struct yamux_child *of(struct mux_child *c)
{
	return container_of(c, struct yamux_child, base.ms.c);
}

static struct yamux_child *find(struct mux_session *s, uint32_t id)
{
	struct mux_child *c = mux_find(&s->core, id);

	return c ? of(c) : NULL;
}

static int emit(struct mux_core *m, const struct yamux_frame *f, struct bufq *src)
{
	uint8_t mem[YAMUX_HEAD];
	struct wr w = wr_of(mem, sizeof(mem));

	yamux_frame_emit(&w, f);
	return mux_emit(m, mem, w.len, src, src ? f->len : 0);
}

static int say(struct mux_core *m, uint32_t stream, uint16_t flags, uint32_t delta)
{
	return emit(m,
		    &(struct yamux_frame){
			    .type = YAMUX_UPDATE, .flags = flags, .stream = stream, .len = delta},
		    NULL);
}

/* ---- what the peer says ------------------------------------------------------------------ */

/* Its windows are there before anybody can write to it. */
static int take_syn(struct mux_session *s, uint32_t id)
{
	struct mux_session_child *base;
	int err;

	if (find(s, id))
		return -ERR_PROTOCOL;
	if (!mux_session_accept(s, id, &base)) {
		err = mux_glitch(&s->core);
		return err ? err : say(&s->core, id, YAMUX_RST, 0);
	}
	if (!base)
		return 0;
	of(&base->ms.c)->send = of(&base->ms.c)->recv = YAMUX_WINDOW;
	return say(&s->core, id, YAMUX_ACK, 0);
}

static void take_fin(struct yamux_child *c)
{
	mux_stream_end(&c->base.ms, 0);
	if (c->base.ms.fin)
		mux_child_detach(&c->base.ms.c);
}

static int take_rst(struct mux_session *s, struct yamux_child *c)
{
	int err = mux_session_given_up(s, &c->base);

	mux_stream_end(&c->base.ms, -ECONNRESET);
	mux_child_detach(&c->base.ms.c);
	return err;
}

static int take_update(struct mux_session *s, struct yamux_child *c, const struct yamux_frame *f)
{
	bool had = c->send > 0;

	if (f->len == 0 && !f->flags)
		return mux_glitch(&s->core);
	c->send = f->len > UINT32_MAX - c->send ? UINT32_MAX : c->send + f->len;
	if (!had && c->send)
		mux_child_writable(&c->base.ms.c);
	if (f->flags & YAMUX_FIN)
		take_fin(c);
	return 0;
}

/* More than was granted is no window at all: the reference ends everything, too.  Nor is there anything
 * behind an end.
 */
static int take_data(struct mux_session *s, struct yamux_child *c, const struct yamux_frame *f)
{
	if (f->len == 0 && !f->flags)
		return mux_glitch(&s->core);
	if (f->len > c->recv || c->base.ms.eof)
		return -ERR_PROTOCOL;
	c->recv -= f->len;
	c->ending = f->flags & YAMUX_FIN;
	return 0;
}

static int take_of_stream(struct mux_session *s, const struct yamux_frame *f)
{
	struct yamux_child *c;
	int err = f->flags & YAMUX_SYN ? take_syn(s, f->stream) : 0;

	if (f->type == YAMUX_DATA) {
		s->stream = f->stream;
		s->left = f->len;
	}
	c = err ? NULL : find(s, f->stream);
	if (!c) /* it has gone, and what is left of it is passed over */
		return err ? err : mux_stray(&s->core, YAMUX_HEAD);
	if (f->flags & YAMUX_RST)
		return take_rst(s, c);
	return f->type == YAMUX_DATA ? take_data(s, c, f) : take_update(s, c, f);
}

static int take_ping(struct mux_session *s, const struct yamux_frame *f)
{
	int err = mux_glitch(&s->core);

	if (err || !(f->flags & YAMUX_SYN))
		return err;
	return emit(&s->core,
		    &(struct yamux_frame){.type = YAMUX_PING, .flags = YAMUX_ACK, .len = f->len},
		    NULL);
}

static int take(struct mux_session *s, const struct yamux_frame *f)
{
	switch (f->type) {
	case YAMUX_PING:
		return take_ping(s, f);
	case YAMUX_GO_AWAY: /* he wants no more streams of ours; a server opens none */
		if (f->len == YAMUX_NORMAL && mux_session_is_client(s))
			mux_drain(&s->core.mux, 0);
		return f->len == YAMUX_NORMAL ? mux_glitch(&s->core) : -ERR_PROTOCOL;
	default:
		return take_of_stream(s, f);
	}
}

static int body(struct mux_session *s)
{
	struct yamux_child *c;
	int err = mux_session_body(s);

	if (err || s->left)
		return err;
	c = find(s, s->stream);
	if (c && c->ending)
		take_fin(c);
	return 0;
}

static int yamux_input(struct mux_core *m)
{
	struct mux_session *s = mux_session_of(m);
	int err = body(s);

	while (!err && !s->left) {
		uint8_t mem[YAMUX_HEAD];
		struct rd r = rd_of(mem, bufq_peek(&m->in, 0, mem, sizeof(mem)));
		struct yamux_frame f;

		err = yamux_frame_parse(&r, &f);
		if (err)
			return err == -ERR_MORE ? 0 : err;
		bufq_drain(&m->in, r.pos);
		err = take(s, &f);
		if (!err)
			err = body(s);
	}
	return err;
}

/* ---- what we say ------------------------------------------------------------------------- */

static int yamux_data(struct mux_core *m, struct mux_child *c, struct bufq *src, size_t n)
{
	struct yamux_child *y = of(c);

	y->base.spoken = true;
	y->send -= (uint32_t)n;
	return emit(m,
		    &(struct yamux_frame){.type = YAMUX_DATA, .stream = c->id, .len = (uint32_t)n},
		    src);
}

static int yamux_fin(struct mux_core *m, struct mux_child *c)
{
	of(c)->base.spoken = true;
	return say(m, c->id, YAMUX_FIN, 0);
}

static int yamux_reset(struct mux_core *m, struct mux_child *c)
{
	return say(m, c->id, YAMUX_RST, 0);
}

static int yamux_pulled(struct mux_core *m, struct mux_child *c, size_t n)
{
	struct yamux_child *y = of(c);
	uint32_t delta;

	y->owed += (uint32_t)n;
	if (y->owed < YAMUX_WINDOW / 2 || y->base.ms.eof)
		return 0;
	delta = y->owed;
	y->recv += delta;
	y->owed = 0;
	mux_kick(m);
	return say(m, c->id, 0, delta);
}

static size_t yamux_window(const struct mux_child *c)
{
	return container_of(c, const struct yamux_child, base.ms.c)->send;
}

static const struct mux_codec yamux_codec = {
	.name = "yamux",
	.child_size = sizeof(struct yamux_child),
	.frame_max = MUX_CHUNK,
	.idle = MUX_SESSION_IDLE,
	.input = yamux_input,
	.data = yamux_data,
	.fin = yamux_fin,
	.reset = yamux_reset,
	.pulled = yamux_pulled,
	.window = yamux_window,
};

/* ---- the client -------------------------------------------------------------------------- */

static int introduce(struct mux_core *m, struct mux_child *c)
{
	if (of(c)->base.spoken)
		return 0;
	of(c)->base.spoken = true;
	return say(m, c->id, YAMUX_SYN, 0);
}

static int client_data(struct mux_core *m, struct mux_child *c, struct bufq *src, size_t n)
{
	int err = introduce(m, c);

	return err ? err : yamux_data(m, c, src, n);
}

static int client_fin(struct mux_core *m, struct mux_child *c)
{
	int err = introduce(m, c);

	return err ? err : yamux_fin(m, c);
}

static int client_reset(struct mux_core *m, struct mux_child *c)
{
	return of(c)->base.spoken ? yamux_reset(m, c) : 0;
}

static struct mux_stream *client_open(struct mux_session *s)
{
	struct mux_session_child *c = mux_session_open(s);

	if (!c)
		return NULL;
	of(&c->ms.c)->send = of(&c->ms.c)->recv = YAMUX_WINDOW;
	return &c->ms;
}

static const struct mux_codec client_codec = {
	.name = "yamux-client",
	.child_size = sizeof(struct yamux_child),
	.frame_max = MUX_CHUNK,
	.idle = MUX_CLIENT_IDLE,
	.input = yamux_input,
	.data = client_data,
	.fin = client_fin,
	.reset = client_reset,
	.pulled = yamux_pulled,
	.window = yamux_window,
};

int yamux_begin(struct mux_session *s)
{
	bool client = mux_session_is_client(s);

	s->core.codec = client ? &client_codec : &yamux_codec;
	s->open = client ? client_open : NULL;
	s->number = 1;
	return 0;
}
