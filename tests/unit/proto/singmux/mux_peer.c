#include "mux_peer.h"

#include "transport/smux/smux_wire.h"
#include "transport/yamux/yamux_wire.h"

#include "hostile.h"
#include "unit.h"

#define PIECE	900
#define OUT_MAX 5000

static struct peer_stream *find(struct peer *p, uint32_t id)
{
	for (int i = 0; i < p->n; i++) {
		if (p->st[i].id == id)
			return &p->st[i];
	}
	return NULL;
}

static int number(const struct peer *p, const struct peer_stream *st)
{
	return (int)(st - p->st) + 1;
}

static bool all_received(const struct peer *p, const struct peer_stream *st)
{
	return st->received == p->down;
}

/* ---- what it says ------------------------------------------------------------------------ */

/* The next bytes of a stream, at most `max`: request, then pattern. */
static size_t next_bytes(struct peer *p, struct peer_stream *st, uint8_t *mem, size_t max)
{
	size_t n = 0, whole = st->nhead + p->up;

	while (n < max && st->sent < whole) {
		mem[n++] = st->sent < st->nhead
				   ? st->head[st->sent]
				   : pattern_byte((uint8_t)number(p, st), st->sent - st->nhead);
		st->sent++;
	}
	return n;
}

static bool has_more(const struct peer *p, const struct peer_stream *st)
{
	return st->sent < st->nhead + p->up;
}

static void put(struct peer *p, const struct wr *w, const void *data, size_t len)
{
	if (bufq_append(&p->out, w->base, w->len) || bufq_append(&p->out, data, len))
		p->err = -ENOMEM;
}

static void say_smux(struct peer *p, uint8_t command, uint32_t id, const void *data, size_t len)
{
	uint8_t mem[SMUX_HEAD];
	struct wr w = wr_of(mem, sizeof(mem));

	smux_frame_emit(&w, &(struct smux_frame){command, (uint16_t)len, id});
	put(p, &w, data, len);
}

static void say_yamux(struct peer *p, uint8_t type, uint16_t flags, uint32_t id, uint32_t len,
		      const void *data)
{
	uint8_t mem[YAMUX_HEAD];
	struct wr w = wr_of(mem, sizeof(mem));

	yamux_frame_emit(&w, &(struct yamux_frame){type, flags, id, len});
	put(p, &w, data, data ? len : 0);
}

static void smux_turn(struct peer *p, struct peer_stream *st)
{
	uint8_t mem[PIECE];
	size_t n;

	if (!st->opened)
		say_smux(p, SMUX_SYN, st->id, NULL, 0);
	st->opened = true;
	n = next_bytes(p, st, mem, sizeof(mem));
	if (n)
		say_smux(p, SMUX_PSH, st->id, mem, n);
	/* who says FIN hears no more */
	if (!has_more(p, st) && all_received(p, st) && !st->fin) {
		st->fin = true;
		say_smux(p, SMUX_FIN, st->id, NULL, 0);
	}
}

static void yamux_turn(struct peer *p, struct peer_stream *st)
{
	uint8_t mem[PIECE];
	size_t n;

	if (!st->opened)
		say_yamux(p, YAMUX_UPDATE, YAMUX_SYN, st->id, 0, NULL);
	st->opened = true;
	n = next_bytes(p, st, mem, MIN(sizeof(mem), st->window));
	st->window -= n;
	if (n)
		say_yamux(p, YAMUX_DATA, 0, st->id, (uint32_t)n, mem);
	if (!has_more(p, st) && !st->fin) {
		st->fin = true;
		say_yamux(p, YAMUX_UPDATE, YAMUX_FIN, st->id, 0, NULL);
	}
}

static ssize_t h2_read(nghttp2_session *ng, int32_t id, uint8_t *mem, size_t max, uint32_t *flags,
		       nghttp2_data_source *source, void *user)
{
	struct peer *p = user;
	struct peer_stream *st = find(p, (uint32_t)id);
	size_t n = next_bytes(p, st, mem, MIN(max, (size_t)PIECE));

	if (!has_more(p, st)) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		st->fin = true;
	}
	return (ssize_t)n;
}

static void h2_turn(struct peer *p, struct peer_stream *st)
{
#define NV(name, value)                                                                 \
	{(uint8_t *)(uintptr_t)(name), (uint8_t *)(uintptr_t)(value), sizeof(name) - 1, \
	 sizeof(value) - 1, 0}
	nghttp2_nv nv[] = {NV(":method", "CONNECT"), NV(":authority", "localhost"),
			   NV("user-agent", "test")};
	nghttp2_data_provider data = {.read_callback = h2_read};
	int32_t id;

	if (st->opened)
		return;
	id = nghttp2_submit_request(p->ng, NULL, nv, ARRAY_LEN(nv), &data, NULL);
	if (id < 0)
		p->err = id;
	else
		st->id = (uint32_t)id;
	st->opened = true;
}

static void speak(struct peer *p)
{
	const uint8_t *mem;
	ssize_t n;

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < p->n && bufq_len(&p->out) < OUT_MAX && !p->err; i++) {
			switch (p->protocol) {
			case SINGMUX_SMUX:
				smux_turn(p, &p->st[i]);
				break;
			case SINGMUX_YAMUX:
				yamux_turn(p, &p->st[i]);
				break;
			default:
				h2_turn(p, &p->st[i]);
			}
		}
	}
	while (p->ng && !p->err && bufq_len(&p->out) < OUT_MAX &&
	       (n = nghttp2_session_mem_send(p->ng, &mem)) != 0) {
		if (n < 0 || bufq_append(&p->out, mem, (size_t)n))
			p->err = -ENOMEM;
	}
}

/* ---- what it hears ----------------------------------------------------------------------- */

static void take_bytes(struct peer *p, struct peer_stream *st, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++, st->received++) {
		if (data[i] != pattern_byte((uint8_t)(100 + number(p, st)), st->received))
			p->err = -ERR_MALFORMED;
	}
}

static void take_body(struct peer *p)
{
	while (p->left && !bufq_empty(&p->in)) {
		struct peer_stream *st = find(p, p->left_of);
		uint8_t mem[512];
		size_t n = bufq_take(&p->in, mem, MIN(sizeof(mem), (size_t)p->left));

		p->left -= (uint32_t)n;
		if (!st) {
			p->err = -ERR_PROTOCOL;
			return;
		}
		take_bytes(p, st, mem, n);
		/* credit for each piece */
		if (p->protocol == SINGMUX_YAMUX && !p->left && !st->eof)
			say_yamux(p, YAMUX_UPDATE, 0, st->id, (uint32_t)p->owed, NULL);
	}
}

static int smux_head(struct peer *p, struct rd *r)
{
	struct smux_frame f = {0};
	int err = smux_frame_parse(r, &f);
	struct peer_stream *st = err ? NULL : find(p, f.stream);

	if (err)
		return err;
	p->left_of = f.stream;
	p->left = f.len;
	if (f.command == SMUX_FIN && st)
		st->eof = true;
	return f.command == SMUX_FIN || f.command == SMUX_PSH ? 0 : -ERR_PROTOCOL;
}

static int yamux_head(struct peer *p, struct rd *r)
{
	struct yamux_frame f = {0};
	int err = yamux_frame_parse(r, &f);
	struct peer_stream *st = err ? NULL : find(p, f.stream);

	if (err)
		return err;
	if (!st || f.flags & YAMUX_RST)
		return -ERR_PROTOCOL;
	if (f.type == YAMUX_DATA) {
		p->left_of = f.stream;
		p->left = f.len;
		p->owed = f.len;
	} else if (f.type == YAMUX_UPDATE) {
		st->window += f.len;
	}
	st->eof |= f.flags & YAMUX_FIN;
	return 0;
}

static void hear_frames(struct peer *p)
{
	take_body(p);
	while (!p->err && !p->left) {
		uint8_t mem[YAMUX_HEAD];
		struct rd r = rd_of(mem, bufq_peek(&p->in, 0, mem, sizeof(mem)));
		int err = p->protocol == SINGMUX_SMUX ? smux_head(p, &r) : yamux_head(p, &r);

		if (err == -ERR_MORE)
			return;
		p->err = err;
		bufq_drain(&p->in, r.pos);
		take_body(p);
	}
}

static int h2_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
		   void *user)
{
	struct peer_stream *st = find(user, (uint32_t)id);

	if (st)
		take_bytes(user, st, data, len);
	return 0;
}

static int h2_frame(nghttp2_session *ng, const nghttp2_frame *f, void *user)
{
	struct peer *p = user;
	struct peer_stream *st = find(p, (uint32_t)f->hd.stream_id);

	if (st && (f->hd.type == NGHTTP2_DATA || f->hd.type == NGHTTP2_HEADERS))
		st->eof |= f->hd.flags & NGHTTP2_FLAG_END_STREAM;
	if (f->hd.type == NGHTTP2_RST_STREAM || f->hd.type == NGHTTP2_GOAWAY)
		p->err = -ERR_PROTOCOL;
	return 0;
}

static void hear(struct peer *p)
{
	while (p->ng && !p->err && !bufq_empty(&p->in)) {
		ssize_t n =
			nghttp2_session_mem_recv(p->ng, buf_head(p->in.head), buf_len(p->in.head));

		if (n < 0)
			p->err = n == NGHTTP2_ERR_NOMEM ? -ENOMEM : -ERR_PROTOCOL;
		else
			bufq_drain(&p->in, (size_t)n);
	}
	if (!p->ng && !p->err)
		hear_frames(p);
}

/* ---- its life ---------------------------------------------------------------------------- */

static ssize_t exchange(struct peer *p)
{
	ssize_t n, moved = 0;

	n = stream_pull(p->s, &p->in, 4096);
	if (n > 0) {
		moved += n;
		hear(p);
	} else if (n != -EAGAIN) {
		p->err = n ? (int)n : -ERR_TRUNCATED;
	}
	speak(p);
	if (!p->err && !bufq_empty(&p->out)) {
		n = stream_push(p->s, &p->out);
		if (n > 0)
			moved += n;
		else if (n != -EAGAIN)
			p->err = (int)n;
	}
	return moved;
}

static void on_wake(struct waiter *w)
{
	struct peer *p = container_of(w, struct peer, w);
	int err = p->err ? p->err : stream_open(p->s);

	if (err) {
		if (err == -EAGAIN)
			stream_want(p->s, STREAM_RD | STREAM_WR, w);
		else
			p->err = err;
		return;
	}
	if (exchange(p) > 0 && !p->err) {
		loop_queue(p->s->loop, w);
		return;
	}
	if (!p->err)
		stream_want(p->s, STREAM_RD | (bufq_empty(&p->out) ? 0 : STREAM_WR), w);
}

static void start_h2(struct peer *p)
{
	nghttp2_session_callbacks *cb;

	if (nghttp2_session_callbacks_new(&cb)) {
		p->err = -ENOMEM;
		return;
	}
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, h2_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, h2_frame);
	if (nghttp2_session_client_new(&p->ng, cb, p) || nghttp2_submit_settings(p->ng, 0, NULL, 0))
		p->err = -ENOMEM;
	nghttp2_session_callbacks_del(cb);
}

void peer_start(struct peer *p, struct stream *carrier, uint8_t protocol, int n, size_t up,
		size_t down)
{
	p->s = carrier;
	p->protocol = protocol;
	p->n = n;
	p->up = up;
	p->down = down;
	bufq_init(&p->in, loop_pool(carrier->loop), SIZE_MAX);
	bufq_init(&p->out, loop_pool(carrier->loop), SIZE_MAX);
	for (int i = 0; i < n; i++) {
		struct singmux_request q = {.dest = {.type = DEST_IP4, .len = 4}};
		struct wr w = wr_of(p->st[i].head, sizeof(p->st[i].head));

		memcpy(q.dest.bytes, "\xc0\0\2\1", 4);
		q.dest.port = (uint16_t)(i + 1);
		singmux_request_emit(&w, &q);
		p->st[i].nhead = w.len;
		p->st[i].window = YAMUX_WINDOW;
		p->st[i].id = protocol == SINGMUX_H2MUX ? 0 : (uint32_t)(2 * i + 3);
	}
	if (protocol == SINGMUX_H2MUX)
		start_h2(p);
	waiter_init(&p->w, on_wake);
	loop_queue(carrier->loop, &p->w);
}

bool peer_done(const struct peer *p)
{
	for (int i = 0; i < p->n && !p->err; i++) {
		const struct peer_stream *st = &p->st[i];

		if (!st->eof || !st->fin || !all_received(p, st))
			return false;
	}
	return p->err || bufq_empty(&p->out);
}

void peer_stop(struct peer *p)
{
	if (!p->s)
		return;
	waiter_cancel(&p->w);
	nghttp2_session_del(p->ng);
	bufq_done(&p->in);
	bufq_done(&p->out);
	stream_free(p->s);
	p->s = NULL;
}
