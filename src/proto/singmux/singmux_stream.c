#include "proto/singmux/singmux_stream.h"

#include <errno.h>
#include <string.h>

#include "proto/header.h"
#include "proto/singmux/singmux_udp.h"
#include "proto/singmux/singmux_wire.h"

#define REFUSED 2 /* header_server.state: of TCP Brutal, and the client has been told */

static struct header_server *of(const struct stream *s)
{
	return container_of(s, struct header_server, s);
}

static void say_ok(struct bufq *first)
{
	uint8_t mem[1];
	struct wr w = wr_of(mem, sizeof(mem));

	singmux_answer_emit(&w, &(struct singmux_answer){0});
	(void)!bufq_append(first, mem, w.len);
}

/* ---- packets ----------------------------------------------------------------------------- */

static struct dgram *packets(struct stream *s, const struct framing *framing)
{
	struct dest dest = of(s)->request.dest;
	struct stream *lower;
	struct bufq first;

	bufq_init(&first, loop_pool(s->loop), SIZE_MAX);
	lower = stream_peel(s, &first);
	return framed_new(lower, framing, false, &dest, &first);
}

static struct dgram *fixed_packets(struct stream *s)
{
	return packets(s, &singmux_fixed_framing);
}

static struct dgram *addr_packets(struct stream *s)
{
	return packets(s, &singmux_addr_framing);
}

/* ---- the request ------------------------------------------------------------------------- */

static int stream_parse(struct header_server *h, struct rd *in)
{
	struct singmux_request q;
	int err = singmux_request_parse(in, &q);

	if (err)
		return err;
	if (!q.udp && h->request.mux_udp_only)
		return -ERR_UNSUPPORTED;
	h->request.network = q.udp ? NETWORK_UDP : NETWORK_TCP;
	h->request.udp = !q.udp ? NULL : q.packet_addr ? addr_packets : fixed_packets;
	h->request.dest = q.dest;
	/* what the reference writes where it has no first address */
	if (q.packet_addr && singmux_is_carrier(&q.dest))
		h->request.dest = (struct dest){.type = DEST_NONE};
	return 0;
}

/* The client's rate, which is passed over: 0 when it has come. */
static int read_rate(struct header_server *h)
{
	while (bufq_len(&h->in) < SINGMUX_BRUTAL_REQUEST) {
		ssize_t n =
			stream_pull(h->lower, &h->in, SINGMUX_BRUTAL_REQUEST - bufq_len(&h->in));

		if (n <= 0)
			return n ? (int)n : -ERR_TRUNCATED;
	}
	return 0;
}

static int say_no(struct header_server *h)
{
	static const char why[] = "TCP Brutal is not offered here";
	uint8_t mem[8 + sizeof(why)];
	struct wr w = wr_of(mem, sizeof(mem));
	struct bufq q;
	ssize_t n;

	singmux_answer_emit(&w, &(struct singmux_answer){0});
	singmux_brutal_emit(&w,
			    &(struct singmux_brutal_answer){.text = why, .len = sizeof(why) - 1});
	bufq_init(&q, loop_pool(h->s.loop), SIZE_MAX);
	n = bufq_append(&q, mem, w.len);
	if (!n)
		n = stream_push(h->lower, &q);
	bufq_done(&q);
	return n < 0 ? (int)n : 0;
}

/* The client has the last word: a stream that went before it has read the answer might take that with
 * it.
 */
static int refuse_brutal(struct header_server *h)
{
	struct bufq rest;
	ssize_t n;
	int err = read_rate(h);

	h->reading = true; /* only bytes help... */
	if (!err && h->state != REFUSED) {
		err = say_no(h);
		h->reading = err != -EAGAIN; /* ...or to be able to write */
		h->state = err ? h->state : REFUSED;
	}
	if (err)
		return err;
	bufq_init(&rest, loop_pool(h->s.loop), SIZE_MAX);
	n = stream_pull(h->lower, &rest, BUF_PAYLOAD);
	bufq_done(&rest);
	return n < 0 ? (int)n : -ERR_UNSUPPORTED;
}

/* A request that is none is a glitch (M9), once; where the stream has gone that has been counted, and
 * it is not a fault what the kernel says.
 */
static void blame(struct header_server *h, int err)
{
	struct mux_child *c = &container_of(h->lower, struct mux_stream, s)->c;

	if (c->attached && err < -ERR_FIRST && mux_glitch(c->m))
		mux_fail(c->m, -ERR_PROTOCOL);
}

/* What is wrong here is a user's: there is nobody to hide from. */
static int stream_open_request(struct stream *s)
{
	struct header_server *h = of(s);
	bool settled = h->state;
	int err = header_open(s);

	if (!settled && h->state < 0)
		blame(h, err);
	if (err == -ERR_AUTH)
		return -ERR_TRUNCATED;
	if (!err && h->request.network == NETWORK_TCP && singmux_is_brutal(&h->request.dest))
		return refuse_brutal(h);
	return err;
}

static const struct header_ops singmux_stream_ops = {
	.stream =
		{
			.name = "singmux",
			.open = stream_open_request,
			.pull = header_pull,
			.push = header_push,
			.want = header_want,
			.shut = header_shut,
			.free = header_free,
			.peel = header_peel,
			.query = header_query,
			.set = header_set,
		},
	.max = SINGMUX_REQUEST_MAX,
	.parse = stream_parse,
	.answer = say_ok,
};

struct stream *singmux_stream_new(struct mux_stream *ms)
{
	const struct mux_terms *terms = &ms->c.m->terms;
	struct stream *s = header_server_new(&ms->s, &singmux_stream_ops, NULL);

	if (!s)
		return NULL;
	of(s)->request.user = terms->user;
	of(s)->request.mux_udp_only = terms->udp_only;
	of(s)->known = true;
	return s;
}
