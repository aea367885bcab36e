/* h2mux: HTTP/2 with prior knowledge, one CONNECT per stream, both ends (docs/protocols/mux.md,
 * section 7).  nghttp2 has the frames, the header compression and the windows; it is fed from the
 * core's input and writes into its output.
 *
 * A stream's window is what a child may hold, and its credit goes back when the consumer pulls.  The
 * connection's is returned at once: a slow stream holds up itself alone.  What a peer can do to make us
 * work for nothing (streams opened and reset, pings, settings, priorities, continuations, empty frames)
 * counts as glitches; nghttp2 has limits of its own for some of it.
 *
 * The server's goodbye has two steps (RFC 9113 section 6.8): that the end is near, and when the client has
 * had the time to hear that, which was the last stream; whatever it opened in between is served.  HTTP/2
 * of Go, as sing-mux uses it, ends the connection with all that is in it when it hears either: who names
 * himself so is told when his carrier has been quiet, or would not be for ten minutes.
 */
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "transport/mux_session/mux_session.h"

#define STREAMS	    1000
#define HEADERS_MAX 16384 /* of one request, as HTTP/2 counts: 32 for each besides name and value */
/* Less than a child may hold: a window that is used up leaves room, and nothing waits. */
#define CHILD_WINDOW (MUX_CHILD_MAX - 1)
#define FAREWELL     (2 * NSEC_SEC) /* between the two words of goodbye, where no answer says when */
#define FRAME_HEAD   9
#define PREFACE	     24

static const uint8_t farewell_ping[8] = "farewell";

enum goodbye { UNSAID, ANNOUNCED, SAID };

struct h2mux {
	nghttp2_session *ng;
	struct mux_session *s;
	int err;	 /* of a callback */
	bool inside;	 /* nghttp2 is on the stack and may not be entered again */
	bool opened;	 /* the connection's window, or all of them: whoever waits is told */
	bool broken;	 /* it has said goodbye for something the peer did */
	bool paused;	 /* it stopped behind a piece of data, and wants to be asked once more */
	uint32_t full;	 /* the stream that has no room; 0: none */
	size_t headers;	 /* of the request being read */
	bool is_connect; /* it is one that we serve... */
	bool is_200;	 /* ...or an answer that lets us */
	bool is_go;	 /* it says so */
	int64_t unseen;	 /* bytes it has been given that belong to no frame it has shown */
	bool heeds;	 /* a client that goes on with what it has when it hears a goodbye */
	enum goodbye goodbye;
};

struct h2_child {
	struct mux_session_child base;
	struct bufq *src; /* what it is about to say, and how much of that */
	size_t offer;
};

static struct h2_child *of(struct mux_child *c)
{
	return container_of(c, struct h2_child, base.ms.c);
}

static struct h2_child *find(struct h2mux *h, int32_t id)
{
	struct mux_child *c = id > 0 ? mux_find(&h->s->core, (uint32_t)id) : NULL;

	return c ? of(c) : NULL;
}

static int error_of(int ng)
{
	return ng == NGHTTP2_ERR_NOMEM ? -ENOMEM : -ERR_PROTOCOL;
}

/* What a callback says when `err` is to end it all. */
static int fail(struct h2mux *h, int err)
{
	if (!err)
		return 0;
	h->err = err;
	return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* ---- what goes out ----------------------------------------------------------------------- */

static ssize_t on_send(nghttp2_session *ng, const uint8_t *data, size_t len, int flags, void *user)
{
	struct h2mux *h = user;
	int err = bufq_append(&h->s->core.out, data, len);

	return err ? fail(h, err) : (ssize_t)len;
}

static int on_send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *head, size_t len,
			nghttp2_data_source *source, void *user)
{
	struct h2mux *h = user;
	struct h2_child *c = find(h, frame->hd.stream_id);
	int err = c && c->offer >= len ? mux_emit(&h->s->core, head, FRAME_HEAD, c->src, len)
				       : -ERR_PROTOCOL;

	if (!err)
		c->offer -= len;
	return fail(h, err);
}

/* One whose child has gone in order has nothing left but its end. */
static ssize_t on_read(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t max, uint32_t *flags,
		       nghttp2_data_source *source, void *user)
{
	struct h2_child *c = find(user, id);

	if (c && c->offer) {
		*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
		return (ssize_t)MIN(max, c->offer);
	}
	if (c && !c->base.ms.fin)
		return NGHTTP2_ERR_DEFERRED;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	return 0;
}

static int on_sent(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
	struct h2mux *h = user;

	struct h2_child *c = find(h, frame->hd.stream_id);

	if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR)
		h->broken = true;
	if (frame->hd.type == NGHTTP2_HEADERS && c) /* it has a window now */
		mux_child_writable(&c->base.ms.c);
	return 0;
}

/* All that nghttp2 has to say, into the core's output. */
static int flush(struct h2mux *h)
{
	int ng;

	if (h->inside)
		return 0; /* whoever has entered it does it on his way out */
	h->inside = true;
	ng = nghttp2_session_send(h->ng);
	h->inside = false;
	if (h->err)
		return h->err;
	return ng ? error_of(ng) : 0;
}

/* ---- streams ----------------------------------------------------------------------------- */

static int answer(struct h2mux *h, int32_t id, const char *status, bool body)
{
	nghttp2_nv nv = {(uint8_t *)(uintptr_t) ":status", (uint8_t *)(uintptr_t)status, 7, 3,
			 NGHTTP2_NV_FLAG_NONE};
	nghttp2_data_provider data = {.read_callback = on_read};
	int ng = nghttp2_submit_response(h->ng, id, &nv, 1, body ? &data : NULL);

	return ng ? error_of(ng) : 0;
}

static int refuse(struct h2mux *h, int32_t id, uint32_t code)
{
	int err = mux_glitch(&h->s->core);
	int ng = err ? 0 : nghttp2_submit_rst_stream(h->ng, 0, id, code);

	return ng ? error_of(ng) : err;
}

static int open_stream(struct h2mux *h, int32_t id)
{
	struct mux_session_child *c;

	if (!h->is_connect)
		return refuse(h, id, NGHTTP2_PROTOCOL_ERROR);
	h->heeds = !h->is_go;
	if (!mux_session_accept(h->s, (uint32_t)id, &c))
		return refuse(h, id, NGHTTP2_REFUSED_STREAM);
	return c ? answer(h, id, "200", true) : 0;
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
	struct h2mux *h = user;

	h->headers = 0;
	h->is_connect = h->is_200 = h->is_go = false;
	return 0;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
		     size_t nlen, const uint8_t *value, size_t vlen, uint8_t flags, void *user)
{
	struct h2mux *h = user;

	h->headers += nlen + vlen + 32;
	if (h->headers > HEADERS_MAX)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (nlen == 7 && !memcmp(name, ":method", 7))
		h->is_connect = vlen == 7 && !memcmp(value, "CONNECT", 7);
	if (nlen == 7 && !memcmp(name, ":status", 7))
		h->is_200 = vlen == 3 && !memcmp(value, "200", 3);
	if (nlen == 10 && !memcmp(name, "user-agent", 10))
		h->is_go = vlen >= 3 && !memcmp(value, "Go-", 3);
	return 0;
}

/* Of a stream that there is none of.  A request begins one, as long as any is served. */
static int pass_over(struct h2mux *h, const nghttp2_frame_hd *hd)
{
	bool begins = hd->type == NGHTTP2_HEADERS && !mux_session_is_client(h->s) &&
		      h->goodbye != SAID &&
		      hd->stream_id > nghttp2_session_get_last_proc_stream_id(h->ng);

	if (begins || hd->stream_id == 0 || find(h, hd->stream_id))
		return 0;
	return mux_stray(&h->s->core, FRAME_HEAD + hd->length);
}

/* Of each frame, whether it will be understood or not. */
static int on_begin_frame(nghttp2_session *ng, const nghttp2_frame_hd *hd, void *user)
{
	struct h2mux *h = user;
	bool empty;

	h->unseen -= FRAME_HEAD + (int64_t)hd->length;
	switch (hd->type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_WINDOW_UPDATE:
	case NGHTTP2_RST_STREAM: /* on_close() knows more */
		return fail(h, pass_over(h, hd));
	case NGHTTP2_PUSH_PROMISE: /* nobody has asked for any, and nghttp2 would keep each */
		return fail(h, -ERR_PROTOCOL);
	case NGHTTP2_DATA:
		empty = hd->length == 0 && !(hd->flags & NGHTTP2_FLAG_END_STREAM);
		if (empty)
			return fail(h, mux_glitch(&h->s->core));
		return fail(h, pass_over(h, hd));
	default:
		return fail(h, mux_glitch(&h->s->core));
	}
}

/* Every one of them may have been waiting for it. */
static void all_writable(struct mux_core *m)
{
	struct list_node *pos;

	list_for_each(pos, &m->children)
		mux_child_writable(list_entry(pos, struct mux_child, link));
}

/* Nothing else; on_begin_frame() has counted those without any. */
static bool is_padding(const nghttp2_frame *frame)
{
	return frame->hd.length > 0 && frame->hd.length == frame->data.padlen &&
	       !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
}

/* That was the last one. */
static int say_goodbye(struct h2mux *h)
{
	int ng = nghttp2_submit_goaway(h->ng, 0, nghttp2_session_get_last_proc_stream_id(h->ng),
				       NGHTTP2_NO_ERROR, NULL, 0);

	h->goodbye = SAID;
	h->s->core.farewell = 0;
	h->s->core.quiet = 0;
	return ng ? error_of(ng) : flush(h);
}

/* He has heard what we said before: what he opened ahead of that is here. */
static bool is_farewell(const struct h2mux *h, const nghttp2_frame *frame)
{
	return h->goodbye == ANNOUNCED && frame->hd.type == NGHTTP2_PING &&
	       frame->hd.flags & NGHTTP2_FLAG_ACK &&
	       !memcmp(frame->ping.opaque_data, farewell_ping, sizeof(farewell_ping));
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
	struct h2mux *h = user;
	int32_t id = frame->hd.stream_id;
	struct h2_child *c;
	int err = 0;

	if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		err = open_stream(h, id);
	if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_RESPONSE)
		err = h->is_200 ? 0 : refuse(h, id, NGHTTP2_CANCEL);
	if (frame->hd.type == NGHTTP2_GOAWAY && mux_session_is_client(h->s))
		h->s->core.draining =
			true; /* a client gets no more, and has nothing to say to it */
	if (is_farewell(h, frame))
		err = say_goodbye(h);
	if (frame->hd.type == NGHTTP2_DATA && is_padding(frame))
		err = mux_glitch(&h->s->core);
	c = err ? NULL : find(h, id);
	if (frame->hd.type == NGHTTP2_WINDOW_UPDATE && c)
		mux_child_writable(&c->base.ms.c);
	else if (frame->hd.type == NGHTTP2_WINDOW_UPDATE || frame->hd.type == NGHTTP2_SETTINGS)
		h->opened = true;
	else if (c && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		mux_stream_end(&c->base.ms, 0);
	return fail(h, err);
}

static int on_invalid(nghttp2_session *ng, const nghttp2_frame *frame, int error, void *user)
{
	struct h2mux *h = user;

	return fail(h, mux_glitch(&h->s->core));
}

/* For whatever reason it is over.  One that we have ended, and read to its end, has gone before. */
static int on_close(nghttp2_session *ng, int32_t id, uint32_t code, void *user)
{
	struct h2mux *h = user;
	struct h2_child *c = find(h, id);
	int err = 0;

	if (!c)
		return 0;
	if (!c->base.ms.eof || !c->base.ms.fin)
		err = mux_session_given_up(h->s, &c->base);
	mux_stream_end(&c->base.ms, -ECONNRESET);
	mux_child_detach(&c->base.ms.c);
	return fail(h, err);
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
		   void *user)
{
	struct h2mux *h = user;
	struct h2_child *c = find(h, id);
	int err;

	if (!c)
		return nghttp2_session_consume(ng, id, len) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
	err = mux_stream_append(&c->base.ms, data, len);
	if (!err && nghttp2_session_consume_connection(ng, len))
		err = -ERR_PROTOCOL;
	if (err || mux_stream_room(&c->base.ms))
		return fail(h, err);
	h->full = (uint32_t)id;
	h->paused = true;
	return NGHTTP2_ERR_PAUSE;
}

/* ---- the codec --------------------------------------------------------------------------- */

/* 0: there is room again, or nobody to have any. */
static int wait_for_room(struct h2mux *h)
{
	struct h2_child *c = h->full ? find(h, (int32_t)h->full) : NULL;

	if (c && !mux_stream_room(&c->base.ms)) {
		mux_stall(&c->base.ms);
		return -EAGAIN;
	}
	h->full = 0;
	return 0;
}

/* Data for streams that have gone it passes over and does not tell.  More than it can have of the
 * connection's first bytes and of a head that is not whole yet is such data. */
static int count_unseen(struct h2mux *h, size_t n)
{
	size_t stray;

	h->unseen += (int64_t)n;
	if (h->unseen <= PREFACE + FRAME_HEAD)
		return 0;
	stray = (size_t)h->unseen;
	h->unseen = 0;
	return mux_stray(&h->s->core, stray);
}

/* The next piece of the input, or nothing at all when it has only paused. */
static int feed(struct h2mux *h)
{
	struct bufq *in = &h->s->core.in;
	const uint8_t *at = bufq_empty(in) ? (const uint8_t *)"" : buf_head(in->head);
	size_t len = bufq_empty(in) ? 0 : buf_len(in->head);
	ssize_t n;

	h->paused = false;
	h->inside = true;
	n = nghttp2_session_mem_recv(h->ng, at, len);
	h->inside = false;
	if (h->err)
		return h->err;
	if (n < 0)
		return error_of((int)n);
	bufq_drain(in, (size_t)n);
	return count_unseen(h, (size_t)n);
}

/* Has nghttp2 nothing more to hear or to say?  After a goodbye in order there is no stream left, and the
 * core ends it like one that is drained.
 */
static int look_for_end(struct h2mux *h)
{
	if (nghttp2_session_want_read(h->ng) || nghttp2_session_want_write(h->ng))
		return 0;
	if (h->broken)
		return -ERR_PROTOCOL;
	h->goodbye = SAID;
	h->s->core.draining = true;
	h->s->core.quiet = 0;
	return 0;
}

static int h2_input(struct mux_core *m)
{
	struct h2mux *h = mux_session_of(m)->h2;
	int err = wait_for_room(h), sent;

	while (!err && (h->paused || !bufq_empty(&m->in))) {
		err = feed(h);
		if (!err)
			err = wait_for_room(h);
	}
	if (err && err != -EAGAIN)
		return err;
	if (h->opened) {
		h->opened = false;
		all_writable(m);
	}
	sent = flush(h);
	if (!sent)
		sent = look_for_end(h);
	return sent ? sent : err;
}

/* It may have been waiting for us, or for a window; both are right. */
static int resume(struct h2mux *h, struct mux_child *c)
{
	int ng = nghttp2_session_resume_data(h->ng, (int32_t)c->id);

	if (ng == NGHTTP2_ERR_NOMEM)
		return -ENOMEM;
	return flush(h);
}

static int h2_data(struct mux_core *m, struct mux_child *c, struct bufq *src, size_t n)
{
	struct h2_child *hc = of(c);
	int err;

	hc->base.spoken = true;
	hc->src = src;
	hc->offer = n;
	err = resume(mux_session_of(m)->h2, c);
	/* no more than the window has been asked for */
	if (!err && hc->offer)
		err = -ERR_PROTOCOL;
	hc->offer = 0;
	return err;
}

static int h2_fin(struct mux_core *m, struct mux_child *c)
{
	of(c)->base.spoken = true;
	return resume(mux_session_of(m)->h2, c);
}

static int h2_reset(struct mux_core *m, struct mux_child *c)
{
	struct h2mux *h = mux_session_of(m)->h2;
	int ng;

	mux_child_detach(c); /* whoever is going is not woken by on_close() any more */
	ng = nghttp2_submit_rst_stream(h->ng, 0, (int32_t)c->id, NGHTTP2_CANCEL);

	return ng ? error_of(ng) : flush(h);
}

static int h2_pulled(struct mux_core *m, struct mux_child *c, size_t n)
{
	struct h2mux *h = mux_session_of(m)->h2;
	int ng = nghttp2_session_consume_stream(h->ng, (int32_t)c->id, n);

	if (ng)
		return error_of(ng);
	mux_kick(m);
	return flush(h);
}

static size_t h2_window(const struct mux_child *c)
{
	nghttp2_session *ng = mux_session_of(c->m)->h2->ng;
	int32_t own = nghttp2_session_get_stream_remote_window_size(ng, (int32_t)c->id);
	int32_t all = nghttp2_session_get_remote_window_size(ng);

	return own > 0 && all > 0 ? (size_t)MIN(own, all) : 0;
}

static int announce_goodbye(struct h2mux *h)
{
	struct mux_core *m = &h->s->core;
	int ng = nghttp2_submit_shutdown_notice(h->ng);

	if (!ng)
		ng = nghttp2_submit_ping(h->ng, NGHTTP2_FLAG_NONE, farewell_ping);
	h->goodbye = ANNOUNCED;
	m->farewell = loop_now(m->mux.loop) + FAREWELL;
	return ng ? error_of(ng) : flush(h);
}

static int h2_go_away(struct mux_core *m, bool quiet)
{
	struct h2mux *h = mux_session_of(m)->h2;
	int err = 0;

	if (h->goodbye == UNSAID && (h->heeds || quiet))
		err = announce_goodbye(h);
	else if (h->goodbye == ANNOUNCED && loop_now(m->mux.loop) >= m->farewell)
		err = say_goodbye(h);
	if (err)
		return err;
	return h->goodbye == SAID ? 0 : -EAGAIN;
}

static void h2_done(struct mux_core *m)
{
	struct h2mux *h = mux_session_of(m)->h2;

	nghttp2_session_del(h->ng);
	free(h);
}

static const struct mux_codec h2_codec = {
	.name = "h2mux",
	.child_size = sizeof(struct h2_child),
	.frame_max = MUX_CHUNK,
	.idle = MUX_SESSION_IDLE,
	.input = h2_input,
	.data = h2_data,
	.fin = h2_fin,
	.reset = h2_reset,
	.pulled = h2_pulled,
	.window = h2_window,
	.go_away = h2_go_away,
	.done = h2_done,
};

/* ---- the client -------------------------------------------------------------------------- */

/* Requests wait in nghttp2 where the server wants no more at once.  A number that cannot be had: the
 * carrier is used up.
 */
static struct mux_stream *client_open(struct mux_session *s)
{
	static char words[] = ":method\0CONNECT\0:authority\0localhost";
	uint8_t *w = (uint8_t *)words;
	nghttp2_nv nv[] = {{w, w + 8, 7, 7, NGHTTP2_NV_FLAG_NONE},
			   {w + 16, w + 27, 10, 9, NGHTTP2_NV_FLAG_NONE}};
	nghttp2_data_provider data = {.read_callback = on_read};
	struct h2mux *h = s->h2;
	struct mux_stream *ms;
	int32_t id = nghttp2_submit_request(h->ng, NULL, nv, ARRAY_LEN(nv), &data, NULL);

	if (id <= 0) {
		mux_drain(&s->core.mux, 0);
		return NULL;
	}
	ms = mux_stream_new(&s->core, (uint32_t)id);
	if (!ms)
		nghttp2_submit_rst_stream(h->ng, 0, id, NGHTTP2_CANCEL);
	else
		mux_session_find(s, (uint32_t)id)->spoken = true;
	if (flush(h))
		mux_fail(&s->core, -ERR_PROTOCOL);
	mux_kick(&s->core);
	return ms;
}

/* What does not fit would wait in nghttp2, however much room other carriers have. */
static bool client_full(const struct mux_core *m)
{
	nghttp2_session *ng = container_of(m, const struct mux_session, core)->h2->ng;

	return m->nchildren >=
	       nghttp2_session_get_remote_settings(ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

static const struct mux_codec client_codec = {
	.name = "h2mux-client",
	.child_size = sizeof(struct h2_child),
	.frame_max = MUX_CHUNK,
	.idle = MUX_CLIENT_IDLE,
	.input = h2_input,
	.data = h2_data,
	.fin = h2_fin,
	.reset = h2_reset,
	.pulled = h2_pulled,
	.window = h2_window,
	.full = client_full,
	.done = h2_done,
};

/* ---- its beginning ----------------------------------------------------------------------- */

static int new_session(struct h2mux *h, bool client)
{
	nghttp2_session_callbacks *cb = NULL;
	nghttp2_option *opt = NULL;
	int ng = nghttp2_session_callbacks_new(&cb);

	if (!ng)
		ng = nghttp2_option_new(&opt);
	if (!ng) {
		nghttp2_session_callbacks_set_send_callback(cb, on_send);
		nghttp2_session_callbacks_set_send_data_callback(cb, on_send_data);
		nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
		nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
		nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
		nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
		nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
		nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid);
		nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
		nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
		nghttp2_option_set_no_auto_window_update(opt, 1);
		nghttp2_option_set_no_closed_streams(opt, 1);
		ng = client ? nghttp2_session_client_new2(&h->ng, cb, h, opt)
			    : nghttp2_session_server_new2(&h->ng, cb, h, opt);
	}
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(opt);
	return ng;
}

static int greet(struct h2mux *h, bool client)
{
	static const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS}, /* a server's alone */
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, CHILD_WINDOW},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADERS_MAX},
		{NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}, /* a client's alone */
	};
	int ng = nghttp2_submit_settings(h->ng, 0, settings + client, ARRAY_LEN(settings) - 1);

	return ng ? ng : nghttp2_session_set_local_window_size(h->ng, 0, 0, MUX_TOTAL_MAX);
}

int h2mux_begin(struct mux_session *s)
{
	bool client = mux_session_is_client(s);
	struct h2mux *h = calloc(1, sizeof(*h));
	int ng = h ? new_session(h, client) : NGHTTP2_ERR_NOMEM;

	if (!ng)
		ng = greet(h, client);
	if (ng) {
		if (h)
			nghttp2_session_del(h->ng);
		free(h);
		return error_of(ng);
	}
	h->s = s;
	s->h2 = h;
	s->core.codec = client ? &client_codec : &h2_codec;
	s->open = client ? client_open : NULL;
	return 0;
}
