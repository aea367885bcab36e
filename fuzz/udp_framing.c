/* udp_framing.c - packets inside a stream, as Trojan, VLESS, XUDP, sing-box's multiplex and UDP over
 * TCP frame them, in both roles: the same packets and the same end however the stream is cut, and what was
 * read can be said again.
 *
 * The first byte: framing, role, and the sizes of the pieces.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/singmux/singmux_udp.h"
#include "proto/trojan/trojan_udp.h"
#include "proto/uot/uot.h"
#include "proto/vless/vless_udp.h"
#include "stream/framed.h"
#include "stream/pair.h"
#include "transport/muxcool/xudp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct run {
	const struct framing *framing;
	bool client;
	uint32_t sizes; /* 0: all at once */
	uint64_t seen;	/* hash over all packets */
	uint64_t packets, dropped;
	int end;
};

static struct dest fixed;

static void note(struct run *r, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < len; i++)
		r->seen = (r->seen ^ p[i]) * 0x100000001b3u;
}

/* A header for what was read, and read by the other role. */
static void say_again(const struct run *r, const struct packet *p)
{
	struct framed_state mine = {.client = r->client}, theirs = {.client = !r->client};
	uint8_t head[FRAMED_HEAD_MAX];
	struct framed_head h = {0};
	struct wr w = wr_of(head, sizeof(head));
	struct rd in;

	mine.fixed = dest_dup(&fixed);
	theirs.fixed = dest_dup(&fixed);
	if (buf_len(p->buf) <= r->framing->max &&
	    r->framing->emit(&mine, &w, &p->dest, buf_len(p->buf)) == 0) {
		assert(!w.err);
		in = rd_of(head, w.len);
		assert(r->framing->parse(&theirs, &in, &h) == 0 && in.pos == w.len);
		assert(h.len == buf_len(p->buf) && !h.skip && !h.end);
		assert(h.dest.type == DEST_NONE || dest_equal(&h.dest, &p->dest));
	}
	free(mine.fixed);
	free(theirs.fixed);
}

static void take(struct run *r, struct packet *p)
{
	char text[DEST_TEXT_MAX];

	assert(buf_len(p->buf) <= BUF_PAYLOAD && p->dest.type != DEST_NONE);
	dest_format(&p->dest, text);
	note(r, text, strlen(text) + 1);
	note(r, buf_head(p->buf), buf_len(p->buf));
	r->packets++;
	say_again(r, p);
	buf_free(p->buf);
}

static void feed(struct run *r, struct loop *l, struct stream *far, struct rd *in)
{
	size_t n = rd_left(in);
	struct bufq q;

	if (n == 0) {
		stream_shut(far);
		return;
	}
	if (r->sizes) {
		r->sizes = r->sizes * 1664525u + 1013904223u;
		n = MIN(n, (size_t)(1 + (r->sizes >> 24)));
	}
	bufq_init(&q, loop_pool(l), SIZE_MAX);
	assert(bufq_append(&q, rd_bytes(in, n), n) == 0);
	assert(stream_push(far, &q) == (ssize_t)n);
}

static void go(struct run *r, struct loop *l, const uint8_t *data, size_t len)
{
	struct rd in = rd_of(data, len);
	struct stream *near, *far;
	struct packet p[4];
	struct dgram *d;
	int n;

	assert(pair_new(l, SIZE_MAX >> 1, &near, &far) == 0);
	d = framed_new(near, r->framing, r->client, &fixed, NULL);
	assert(d);
	while ((n = dgram_recv(d, p, ARRAY_LEN(p))) > 0 || n == -EAGAIN) {
		for (int i = 0; i < n; i++)
			take(r, &p[i]);
		if (n == -EAGAIN)
			feed(r, l, far, &in);
	}
	r->end = n;
	r->dropped = d->dropped;
	dgram_free(d);
	stream_free(far);
	loop_turn(l, 0);
	assert(loop_pool(l)->nused == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct framing *const framings[] = {
		&trojan_framing,	&vless_udp_framing,    &xudp_framing,
		&singmux_fixed_framing, &singmux_addr_framing, &uot_framing,
		&uot_connect_framing,
	};
	static struct loop *l;
	struct run whole = {0}, cut;

	if (!l) {
		l = loop_new(LOOP_VIRTUAL, 1);
		assert(l && dest_parse(&fixed, "192.0.2.1:53") == 0);
	}
	if (len == 0)
		return 0;
	whole.framing = framings[data[0] % ARRAY_LEN(framings)];
	whole.client = data[0] & 128;
	cut = whole;
	cut.sizes = data[0] | 1;
	go(&whole, l, data + 1, len - 1);
	go(&cut, l, data + 1, len - 1);
	assert(whole.end == cut.end && whole.packets == cut.packets && whole.seen == cut.seen);
	assert(whole.dropped == cut.dropped);
	return 0;
}
