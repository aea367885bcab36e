/* A whole multiplexed session of a server: any bytes as one carrier's upload, in each of the four framings,
 * with children that are served, refused, left alone or let go.
 *
 * The first byte chooses: bits 0-1 the framing (mux.cool, smux, yamux, h2mux), bit 2 that sing-box's are
 * padded, bit 3 that UDP alone is allowed, bit 4 that nobody reads what we say, bit 5 that the carrier is let
 * go ahead of its children, the rest the sizes of the pieces.  Where the last byte is odd the carrier is
 * drained half way, with bit 1 of that to be over at its last child.  Held are: a request names a destination,
 * what a carrier says beyond what it may owe stays bounded, and at the end every chunk is back.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "proto/singmux/singmux.h"
#include "proto/singmux/singmux_wire.h"
#include "stream/mux_core.h"
#include "stream/pair.h"
#include "transport/muxcool/muxcool.h"

#define NEED(what)               \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)
#define KEPT 48

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct child {
	struct stream *s;
	struct dgram *d;
	bool open, refused;
};

struct house {
	struct sink sink;
	struct loop *l;
	struct mux *mux;
	struct child kids[KEPT];
	unsigned n;
	bool over;
};

static void on_stream(struct sink *k, struct stream *s)
{
	struct house *h = container_of(k, struct house, sink);

	if (h->n == KEPT)
		stream_free(s);
	else
		h->kids[h->n++].s = s;
}

static void on_packets(struct sink *k, struct dgram *d)
{
	struct house *h = container_of(k, struct house, sink);

	if (h->n == KEPT)
		dgram_free(d);
	else
		h->kids[h->n++].d = d;
}

static void on_closed(struct sink *k)
{
	container_of(k, struct house, sink)->over = true;
}

static void let_go(struct child *c)
{
	stream_free(c->s);
	dgram_free(c->d);
	c->s = NULL;
	c->d = NULL;
}

static void push_all(struct stream *s, struct bufq *q)
{
	while (!bufq_empty(q) && stream_push(s, q) > 0)
		;
	bufq_done(q);
}

/* As the session does it: the request, then either a refusal or the answer. */
static void open_child(struct child *c, unsigned number)
{
	struct stream *s = c->s, *lower;
	int err = stream_open(s);
	union stream_value v;
	struct bufq first;

	if (err == -EAGAIN)
		return;
	if (err) {
		let_go(c);
		return;
	}
	c->open = true;
	NEED(stream_query(s, STREAM_REQUEST, &v) == 0);
	if (v.request->network == NETWORK_UDP) {
		c->s = NULL;
		c->d = v.request->udp(s);
		return;
	}
	NEED(v.request->dest.type != DEST_NONE);
	bufq_init(&first, loop_pool(s->loop), SIZE_MAX);
	lower = stream_peel(s, &first);
	c->s = lower ? lower : s;
	c->refused = number % 5 == 3 &&
		     !stream_set(c->s, STREAM_REFUSED, (union stream_value){.num = -ERR_RESOLVE});
	if (c->refused)
		bufq_done(&first);
	push_all(c->s, &first);
}

static void echo(struct child *c)
{
	struct bufq q;
	ssize_t n;

	bufq_init(&q, loop_pool(c->s->loop), SIZE_MAX);
	n = stream_pull(c->s, &q, 5000);
	if (n == 0)
		(void)stream_shut(c->s);
	if (c->refused)
		bufq_done(&q);
	push_all(c->s, &q);
	if (n < 0 && n != -EAGAIN)
		let_go(c);
}

static void echo_packets(struct child *c)
{
	struct packet p[4];
	int n = dgram_recv(c->d, p, 4), sent;

	if (n == 0 || (n < 0 && n != -EAGAIN))
		let_go(c);
	if (n < 1)
		return;
	sent = dgram_send(c->d, p, n);
	for (int i = MAX(sent, 0); i < n; i++)
		buf_free(p[i].buf);
}

static void everybody(struct house *h)
{
	for (unsigned i = 0; i < h->n; i++) {
		struct child *c = &h->kids[i];

		if (i % 7 == 5) /* left alone */
			continue;
		if (c->s && !c->open)
			open_child(c, i);
		if (c->s && c->open)
			echo(c);
		if (c->d)
			echo_packets(c);
		if (i % 7 == 6)
			let_go(c);
	}
}

static void settle(struct loop *l)
{
	for (int i = 0; i < 200 && loop_turn(l, 0) > 0; i++)
		;
}

static size_t forget(struct stream *far)
{
	size_t got = 0;
	struct bufq q;
	ssize_t n;

	bufq_init(&q, loop_pool(far->loop), SIZE_MAX);
	while ((n = stream_pull(far, &q, 65536)) > 0) {
		got += (size_t)n;
		bufq_done(&q);
	}
	bufq_done(&q);
	return got;
}

/* False: the carrier takes no more. */
static bool say(struct stream *far, const void *bytes, size_t len)
{
	struct bufq q;
	bool all;

	if (!len)
		return true;
	bufq_init(&q, loop_pool(far->loop), SIZE_MAX);
	NEED(bufq_append(&q, bytes, len) == 0);
	while (!bufq_empty(&q) && stream_push(far, &q) > 0)
		;
	all = bufq_empty(&q);
	bufq_done(&q);
	return all;
}

static void greet(struct stream *far, uint8_t choice)
{
	const struct singmux_hello hello = {.version = !!(choice & 4),
					    .protocol = (uint8_t)((choice & 3) - 1),
					    .padding = choice & 4};
	uint8_t mem[SINGMUX_HELLO_MAX];
	struct wr w = wr_of(mem, sizeof(mem));

	if (!(choice & 3))
		return;
	singmux_hello_emit(&w, &hello);
	NEED(say(far, mem, w.len));
}

static void talk(struct house *h, struct stream *far, uint8_t choice, const uint8_t *data,
		 size_t len)
{
	static const size_t pieces[] = {100000, 1, 9, 300};
	size_t piece = pieces[choice >> 6];
	bool drains = len > 0 && data[len - 1] & 1;

	for (size_t at = 0; at < len && !h->over; at += piece) {
		if (drains && at >= len / 2)
			mux_drain(h->mux, data[len - 1] & 2 ? 0 : MUX_QUIET);
		if (!say(far, data + at, MIN(piece, len - at)))
			break;
		settle(h->l);
		everybody(h);
		settle(h->l);
		if (!(choice & 16))
			forget(far);
	}
	(void)stream_shut(far);
	settle(h->l);
	everybody(h);
	settle(h->l);
	/* what it may have ready, and that much again for answers (mux_core.h) */
	NEED(forget(far) <= 2 * (MUX_OUT_MAX + MUX_OUT_OVER) + (1 << 18));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct house h = {.sink = {on_stream, on_packets, on_closed}};
	struct mux_terms terms = {.sink = &h.sink};
	struct stream *near, *far;
	struct mux *mux;

	if (len < 1)
		return 0;
	h.l = loop_new(LOOP_VIRTUAL, 1);
	terms.udp_only = data[0] & 8;
	NEED(h.l && pair_new(h.l, 1 << 18, &near, &far) == 0);
	mux = (data[0] & 3 ? singmux_kind : muxcool_kind).serve(near, &terms);
	NEED(mux);
	h.mux = mux;
	greet(far, data[0]);
	talk(&h, far, data[0], data + 1, len - 1);
	if (data[0] & 32)
		mux_free(mux);
	for (unsigned i = 0; i < h.n; i++)
		let_go(&h.kids[i]);
	if (!(data[0] & 32))
		mux_free(mux);
	stream_free(far);
	settle(h.l);
	NEED(loop_pool(h.l)->nused == 0);
	loop_free(h.l);
	return 0;
}
