/* Both ends of mux.cool.  What the reference does is in docs/protocols/mux.md; where its server's answer
 * to a second New with a number in use is to leak the first, here the first is ended.
 *
 * There is no flow control in this protocol: a child that does not take what it is sent stops the whole
 * connection (mux_core.h).  The end of a session is that of both directions, whoever says it; children of a client say
 * that they cannot half-close.
 */
#include "transport/muxcool/muxcool.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "transport/muxcool/muxcool_flow.h"

#define IDLE	    (60 * NSEC_SEC)
#define CLIENT_IDLE (16 * NSEC_SEC) /* the reference's; less than any server's */
#define NUMBER_MAX  0xffff
#define FRAME_MAX   8192 /* what the reference sends */
#define HEAD_MIN    6	 /* of a frame */

struct muxcool {
	struct mux_core core; /* first */
	size_t left;	      /* data of the present frame that has not come, or not been taken */
	uint16_t to;	      /* whose it is */
	bool dropped;	      /* nobody's */
	int32_t refused;      /* the number that End was said to last; -1: none */
	unsigned owed;	      /* Ends of ours that may be answered with one */
	bool client;
	uint16_t last; /* of a client: the number given last */
};

/* Of a client. */
struct muxcool_stream {
	struct mux_stream ms;
	bool begun; /* New has been said */
};

static struct muxcool *of(struct mux_core *m)
{
	return container_of(m, struct muxcool, core);
}

/* ---- what we say ------------------------------------------------------------------------------- */

static int say(struct mux_core *m, const struct muxcool_frame *f, struct bufq *src, size_t n)
{
	uint8_t mem[XUDP_HEAD_MAX];
	struct wr w = wr_of(mem, sizeof(mem));

	muxcool_frame_emit(&w, f);
	return w.err ? w.err : mux_emit(m, mem, w.len, src, n);
}

static int say_end(struct mux_core *m, uint32_t id, bool error)
{
	const struct muxcool_frame f = {
		.session = (uint16_t)id, .status = MUXCOOL_END, .error = error};

	of(m)->owed++;
	return say(m, &f, NULL, 0);
}

static int on_data(struct mux_core *m, struct mux_child *c, struct bufq *src, size_t n)
{
	const struct muxcool_frame f = {
		.session = (uint16_t)c->id,
		.status = MUXCOOL_KEEP,
		.has_data = true,
		.data_len = n,
	};

	return say(m, &f, src, n);
}

static int on_fin(struct mux_core *m, struct mux_child *c)
{
	return say_end(m, c->id, false);
}

static int on_reset(struct mux_core *m, struct mux_child *c)
{
	const struct mux_stream *ms = mux_stream_of(c);

	of(m)->refused = (int32_t)c->id; /* what is still on its way to it needs no word more */
	return ms && ms->fin ? 0 : say_end(m, c->id, true);
}

/* ---- what we are told -------------------------------------------------------------------------- */

/* Who it was does not know yet, or has forgotten: once is enough, and never for who does not listen. */
static int refuse(struct muxcool *mc, uint16_t id)
{
	if (mc->refused == id || bufq_len(&mc->core.out) >= MUX_OUT_MAX)
		return 0;
	mc->refused = id;
	return say_end(&mc->core, id, true);
}

/* A server that has said it may wait for ours. */
static int end_child(struct muxcool *mc, struct mux_child *c, bool error)
{
	struct mux_stream *ms = mux_stream_of(c);
	int err = 0;

	if (!ms) {
		muxcool_flow_end(muxcool_flow_of(c));
		return 0;
	}
	if (mc->client && !ms->fin)
		err = say_end(&mc->core, c->id, false);
	mux_child_detach(c);
	mux_stream_end(ms, error && !ms->fin ? -ECONNRESET : 0);
	return err;
}

static int new_stream(struct muxcool *mc, const struct muxcool_frame *f)
{
	struct mux_core *m = &mc->core;
	struct mux_stream *ms;

	if (m->terms.udp_only)
		return -ERR_PROTOCOL;
	ms = mux_stream_new(m, f->session);
	if (!ms)
		return refuse(mc, f->session);
	ms->request.network = NETWORK_TCP;
	dest_copy(&ms->request.dest, &f->dest);
	ms->known = true;
	m->terms.sink->stream(m->terms.sink, &ms->s);
	return 0;
}

static int new_flow(struct muxcool *mc, const struct muxcool_frame *f)
{
	struct mux_core *m = &mc->core;
	struct muxcool_flow *flow;
	int err = muxcool_flow_new(m, f, &flow);

	if (err == -ECONNREFUSED)
		mc->refused = f->session;
	if (err)
		return refuse(mc, f->session);
	if (f->has_data && f->data_len <= XUDP_DATA_MAX) {
		muxcool_flow_feed(flow, &m->in, f->data_len, &f->dest);
		mc->left = 0;
	}
	return 0;
}

/* A number that is still in use was given up by the client: what comes now is for the new one. */
static int on_new(struct muxcool *mc, const struct muxcool_frame *f)
{
	struct mux_child *old = mux_find(&mc->core, f->session);
	int err = old || mc->client ? mux_glitch(&mc->core) : 0;

	if (!err && mc->client) /* a server begins nothing */
		mc->dropped = true;
	if (err || mc->client)
		return err;
	if (old)
		err = end_child(mc, old, true);
	if (err)
		return err;
	mc->refused = -1;
	if (!mux_has_room(&mc->core))
		return mux_glitch(&mc->core) ? -ERR_PROTOCOL : refuse(mc, f->session);
	return f->network == MUXCOOL_TCP ? new_stream(mc, f) : new_flow(mc, f);
}

static int on_keep(struct muxcool *mc, const struct muxcool_frame *f)
{
	struct mux_child *c = mux_find(&mc->core, f->session);
	struct muxcool_flow *flow = c ? muxcool_flow_of(c) : NULL;

	if (!f->has_data || (f->data_len == 0 && !flow))
		return mux_glitch(&mc->core);
	if (!c)
		return mux_stray(&mc->core, HEAD_MIN) ? -ERR_PROTOCOL : refuse(mc, f->session);
	if (flow && f->data_len <= XUDP_DATA_MAX) {
		muxcool_flow_feed(flow, &mc->core.in, f->data_len, &f->dest);
		mc->left = 0;
	}
	return 0;
}

static int on_end(struct muxcool *mc, const struct muxcool_frame *f)
{
	struct mux_child *c = mux_find(&mc->core, f->session);
	struct mux_stream *ms = c ? mux_stream_of(c) : NULL;
	bool spoken = ms ? ms->spoken : c && muxcool_flow_answered(muxcool_flow_of(c));
	bool early = c && !spoken; /* it cost us a connection, and him nothing */
	bool echo = mc->owed > 0 && (!c || (ms && ms->fin));
	int err;

	mc->owed -= echo;
	if (c)
		err = end_child(mc, c, f->error);
	else
		err = echo ? 0 : mux_stray(&mc->core, HEAD_MIN);
	if (err || mc->client) /* what is refused is no fault of who refuses */
		return err;
	return !echo && (f->error || early) ? mux_glitch(&mc->core) : 0;
}

static int on_frame(struct muxcool *mc, const struct muxcool_frame *f)
{
	mc->left = f->data_len;
	mc->to = f->session;
	mc->dropped = f->status != MUXCOOL_NEW && f->status != MUXCOOL_KEEP;
	switch (f->status) {
	case MUXCOOL_NEW:
		return on_new(mc, f);
	case MUXCOOL_KEEP:
		return on_keep(mc, f);
	case MUXCOOL_END:
		return on_end(mc, f);
	default:
		return mux_glitch(&mc->core);
	}
}

/* ---- reading ----------------------------------------------------------------------------------- */

/* Data of a stream, as it comes; nobody's is dropped.  0: all of the frame, or all that has come. */
static int take_data(struct muxcool *mc)
{
	struct mux_core *m = &mc->core;

	while (mc->left > 0 && !bufq_empty(&m->in)) {
		struct mux_child *c = mc->dropped ? NULL : mux_find(m, mc->to);
		struct mux_stream *ms = c ? mux_stream_of(c) : NULL;
		size_t n = MIN(mc->left, bufq_len(&m->in)), room = ms ? mux_stream_room(ms) : n;

		if (room == 0) {
			mux_stall(ms);
			return -EAGAIN;
		}
		n = MIN(n, room);
		if (!ms && mux_stray(m, n))
			return -ERR_PROTOCOL;
		if (!ms)
			bufq_drain(&m->in, n);
		else if (mux_stream_feed(ms, &m->in, n))
			return -ENOMEM;
		mc->left -= n;
	}
	return 0;
}

/* Where the head lies in one piece, as most do, it is parsed there. */
static int parse_head(struct mux_core *m, struct muxcool_frame *f, size_t *used)
{
	struct rd r = rd_of(buf_head(m->in.head), buf_len(m->in.head));
	int err = muxcool_frame_parse(&r, f);
	const uint8_t *bytes;
	size_t got;

	if (err == -ERR_MORE && r.len < bufq_len(&m->in)) {
		bytes = bufq_linear(&m->in, XUDP_HEAD_MAX, &got);
		if (!bytes)
			return -ENOMEM;
		r = rd_of(bytes, got);
		err = muxcool_frame_parse(&r, f);
	}
	*used = r.pos;
	return err;
}

/* A packet is taken whole, and only where there is room for it.  0: go on. */
static int wait_for_packet(const struct muxcool *mc, const struct muxcool_frame *f, size_t used)
{
	const struct mux_core *m = &mc->core;
	struct mux_child *c = f->status == MUXCOOL_KEEP ? mux_find(m, f->session) : NULL;
	struct muxcool_flow *flow = c ? muxcool_flow_of(c) : NULL;
	bool begins = f->status == MUXCOOL_NEW && f->network == MUXCOOL_UDP;

	if (!f->has_data || f->data_len > XUDP_DATA_MAX || (!flow && !begins))
		return 0;
	if (bufq_len(&m->in) < used + f->data_len)
		return -ERR_MORE;
	/* a client's own consumers are sockets beside it, and none holds the others up */
	return flow && muxcool_flow_is_full(flow) && (mc->client || m->nchildren == 1) ? -EAGAIN
										       : 0;
}

static int on_input(struct mux_core *m)
{
	struct muxcool *mc = of(m);
	struct muxcool_frame f;
	size_t used;
	int err = take_data(mc);

	while (!err && !bufq_empty(&m->in)) {
		err = parse_head(m, &f, &used);
		if (!err)
			err = wait_for_packet(mc, &f, used);
		if (err)
			break;
		bufq_drain(&m->in, used);
		err = on_frame(mc, &f);
		if (!err)
			err = take_data(mc);
	}
	return err == -ERR_MORE ? 0 : err;
}

static const struct mux_codec codec = {
	.name = "mux.cool",
	.child_size = sizeof(struct mux_stream),
	.frame_max = FRAME_MAX,
	.idle = IDLE,
	.input = on_input,
	.data = on_data,
	.fin = on_fin,
	.reset = on_reset,
};

static struct mux *serve(struct stream *carrier, const struct mux_terms *terms)
{
	struct muxcool *mc = calloc(1, sizeof(*mc));

	if (!mc) {
		stream_free(carrier);
		return NULL;
	}
	mc->refused = -1;
	return mux_core_start(&mc->core, &codec, carrier, terms);
}

const struct mux_kind muxcool_kind = {
	.name = "mux.cool",
	.host = "v1.mux.cool",
	.serve = serve,
};

/* ---- the client -------------------------------------------------------------------------------- */

static struct muxcool_stream *stream_of(struct mux_child *c)
{
	return container_of(c, struct muxcool_stream, ms.c);
}

static int client_data(struct mux_core *m, struct mux_child *c, struct bufq *src, size_t n)
{
	struct muxcool_stream *s = stream_of(c);
	struct muxcool_frame f = {
		.session = (uint16_t)c->id,
		.status = s->begun ? MUXCOOL_KEEP : MUXCOOL_NEW,
		.has_data = n > 0,
		.data_len = n,
	};

	if (!s->begun) {
		f.network = MUXCOOL_TCP;
		dest_copy(&f.dest, &s->ms.request.dest);
	}
	s->begun = true;
	return say(m, &f, n ? src : NULL, n);
}

/* Who has nothing to say may be waiting to be told something. */
static int client_fin(struct mux_core *m, struct mux_child *c)
{
	int err = stream_of(c)->begun ? 0 : client_data(m, c, NULL, 0);

	return err ? err : say_end(m, c->id, false);
}

static int client_reset(struct mux_core *m, struct mux_child *c)
{
	const struct muxcool_stream *s = stream_of(c);

	if (!s->begun)
		return 0;
	of(m)->refused = (int32_t)c->id;
	return s->ms.fin ? 0 : say_end(m, c->id, true);
}

static const struct mux_codec client_codec = {
	.name = "mux.cool-client",
	.child_size = sizeof(struct muxcool_stream),
	.frame_max = FRAME_MAX,
	.idle = CLIENT_IDLE,
	.input = on_input,
	.data = client_data,
	.fin = client_fin,
	.reset = client_reset,
	.whole_end = true,
};

static struct mux *client_start(struct stream *carrier, struct sink *sink, bool padding)
{
	const struct mux_terms terms = {.sink = sink};
	struct muxcool *mc = calloc(1, sizeof(*mc));

	if (!mc) {
		stream_free(carrier);
		return NULL;
	}
	mc->client = true;
	mc->refused = -1;
	return mux_core_start(&mc->core, &client_codec, carrier, &terms);
}

/* Numbers are not used again: what was said to the first would be heard by the second. */
static uint16_t next_number(struct muxcool *mc)
{
	if (++mc->last == NUMBER_MAX)
		mux_drain(&mc->core.mux, 0);
	return mc->last;
}

static struct stream *client_stream(struct mux *mux, const struct dest *to)
{
	struct muxcool *mc = container_of(mux, struct muxcool, core.mux);
	struct mux_stream *ms = mux_stream_new(&mc->core, next_number(mc));

	if (!ms)
		return NULL;
	dest_copy(&ms->request.dest, to);
	return &ms->s;
}

static struct dgram *client_packets(struct mux *mux, const struct dest *first, const uint8_t id[8])
{
	struct muxcool *mc = container_of(mux, struct muxcool, core.mux);

	return muxcool_flow_open(&mc->core, next_number(mc), first, id);
}

const struct mux_client_kind muxcool_client = {
	.name = "mux.cool",
	.whole_end = true,
	.start = client_start,
	.stream = client_stream,
	.packets = client_packets,
};
