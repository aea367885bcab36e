/* The server of mux.cool under whatever an authenticated client sends, in pieces, with children that
 * answer, end, take nothing, or are freed as they are born.
 *
 * The first byte chooses what children do, the second the size of the pieces.  Held are: no frame of the
 * server is malformed, none is longer than 8192, and at the end every chunk is back.
 */
#include <errno.h>
#include <stdlib.h>

#include "stream/pair.h"
#include "transport/muxcool/muxcool.h"
#include "transport/muxcool/xudp_wire.h"

#define NEED(what)               \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)
#define KEPT 64

struct crowd {
	struct sink sink;
	struct loop *l;
	struct stream *streams[KEPT];
	struct dgram *packets[KEPT];
	unsigned nstreams, npackets;
	uint8_t mood;
};

static void on_stream(struct sink *k, struct stream *s)
{
	struct crowd *c = container_of(k, struct crowd, sink);
	union stream_value v;

	NEED(stream_query(s, STREAM_REQUEST, &v) == 0 && v.request->dest.type != DEST_NONE);
	if (c->nstreams == KEPT || (c->mood & 1 && c->nstreams % 3 == 2))
		stream_free(s);
	else
		c->streams[c->nstreams++] = s;
}

static void on_packets(struct sink *k, struct dgram *d)
{
	struct crowd *c = container_of(k, struct crowd, sink);

	if (c->npackets == KEPT || (c->mood & 2 && c->npackets % 3 == 2))
		dgram_free(d);
	else
		c->packets[c->npackets++] = d;
}

static void on_closed(struct sink *k)
{
}

/* What has come goes back. */
static void echo(struct crowd *c, struct stream *s)
{
	struct bufq q;
	ssize_t n;

	bufq_init(&q, loop_pool(c->l), SIZE_MAX);
	n = stream_pull(s, &q, 5000);
	if (n > 0 && !(c->mood & 4))
		(void)stream_push(s, &q);
	if (n == 0 || c->mood & 8)
		(void)stream_shut(s);
	bufq_done(&q);
}

static void echo_packets(struct dgram *d)
{
	struct packet p[4];
	int n = dgram_recv(d, p, 4), sent;

	if (n < 1)
		return;
	for (int i = 0; i < n; i++)
		NEED(p[i].dest.type != DEST_NONE);
	sent = dgram_send(d, p, n);
	for (int i = sent > 0 ? sent : 0; i < n; i++)
		buf_free(p[i].buf);
}

static void everybody(struct crowd *c)
{
	if (c->mood & 16)
		return;
	for (unsigned i = 0; i < c->nstreams; i++)
		echo(c, c->streams[i]);
	for (unsigned i = 0; i < c->npackets; i++)
		echo_packets(c->packets[i]);
}

static void settle(struct loop *l)
{
	for (int i = 0; i < 200 && loop_turn(l, 0) > 0; i++)
		;
}

static void check_answer(struct stream *far, struct bufq *heard)
{
	while (stream_pull(far, heard, 65536) > 0)
		;
	while (!bufq_empty(heard)) {
		struct muxcool_frame f;
		size_t got;
		const uint8_t *bytes = bufq_linear(heard, XUDP_HEAD_MAX, &got);
		struct rd r = rd_of(bytes, got);
		int err = muxcool_frame_parse(&r, &f);

		NEED(!err || err == -ERR_MORE);
		if (err || bufq_len(heard) < r.pos + f.data_len)
			return;
		NEED(f.status == MUXCOOL_KEEP || f.status == MUXCOOL_END);
		NEED(f.data_len <= XUDP_DATA_MAX);
		bufq_drain(heard, r.pos + f.data_len);
	}
}

static void feed(struct crowd *c, struct stream *far, const uint8_t *data, size_t len, size_t piece)
{
	struct bufq q, heard;

	bufq_init(&q, loop_pool(c->l), SIZE_MAX);
	bufq_init(&heard, loop_pool(c->l), SIZE_MAX);
	for (size_t at = 0; at < len; at += piece) {
		NEED(bufq_append(&q, data + at, MIN(piece, len - at)) == 0);
		if (stream_push(far, &q) < 0)
			break;
		settle(c->l);
		everybody(c);
		settle(c->l);
		check_answer(far, &heard);
	}
	bufq_done(&q);
	bufq_done(&heard);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct crowd c = {.sink = {on_stream, on_packets, on_closed}};
	struct stream *near, *far;
	struct mux_terms terms = {.sink = &c.sink};
	struct mux *mux;

	if (len < 2)
		return 0;
	c.l = loop_new(LOOP_VIRTUAL, 1);
	c.mood = data[0];
	terms.udp_only = c.mood & 32;
	NEED(c.l && pair_new(c.l, 1 << 18, &near, &far) == 0);
	mux = muxcool_kind.serve(near, &terms);
	NEED(mux);
	feed(&c, far, data + 2, len - 2, 1 + data[1] * 7u);
	if (c.mood & 64) /* the carrier first */
		mux_free(mux);
	for (unsigned i = 0; i < c.nstreams; i++)
		stream_free(c.streams[i]);
	for (unsigned i = 0; i < c.npackets; i++)
		dgram_free(c.packets[i]);
	if (!(c.mood & 64))
		mux_free(mux);
	stream_free(far);
	settle(c.l);
	NEED(loop_pool(c.l)->nused == 0);
	loop_free(c.l);
	return 0;
}
