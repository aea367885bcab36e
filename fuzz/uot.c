/* uot.c - UDP over TCP from its first byte, as a server reads it: version 2's request, then packets with
 * or without addresses as it says.  What was read is what would be said, but for addresses that have two
 * ways to be written; nothing beyond a message is taken.
 *
 * The first byte: version 1 (no request) or 2.
 */
#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "proto/uot/uot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Every strict prefix of a message asks for more. */
static void cut_request(const uint8_t *data, size_t len)
{
	for (size_t n = 0; n < len; n++) {
		struct rd r = rd_of(data, n);
		struct uot_request q;

		assert(uot_request_parse(&r, &q) == -ERR_MORE && r.pos == 0);
	}
}

static void check_request(const struct uot_request *q)
{
	uint8_t mem[UOT_REQUEST_MAX];
	struct wr w = wr_of(mem, sizeof(mem));
	struct uot_request again;
	struct rd r;

	uot_request_emit(&w, q);
	assert(!w.err);
	r = rd_of(mem, w.len);
	assert(uot_request_parse(&r, &again) == 0 && r.pos == w.len);
	assert(again.connect == q->connect && again.dest.type == q->dest.type);
	assert(q->dest.type == DEST_NONE || dest_equal(&again.dest, &q->dest));
	cut_request(mem, w.len);
}

static void check_packet(const struct framing *f, const struct framed_head *h)
{
	struct framed_state st = {0};
	struct framed_head again;
	uint8_t mem[FRAMED_HEAD_MAX];
	struct wr w = wr_of(mem, sizeof(mem));
	struct rd r;

	assert(!h->skip && !h->end && h->len <= UINT16_MAX);
	assert((h->dest.type == DEST_NONE) == (f == &uot_connect_framing));
	assert(f->emit(&st, &w, &h->dest, h->len) == 0 && !w.err);
	for (size_t n = 0; n < w.len; n++) {
		r = rd_of(mem, n);
		assert(f->parse(&st, &r, &again) == -ERR_MORE && r.pos == 0);
	}
	r = rd_of(mem, w.len);
	assert(f->parse(&st, &r, &again) == 0 && r.pos == w.len && again.len == h->len);
	assert(h->dest.type == DEST_NONE || dest_equal(&again.dest, &h->dest));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct framed_state st = {0};
	const struct framing *f = &uot_framing;
	struct framed_head h;
	struct rd in;

	if (len == 0)
		return 0;
	in = rd_of(data + 1, len - 1);
	if (data[0] & 1) {
		struct uot_request q;

		if (uot_request_parse(&in, &q)) {
			assert(in.pos == 0);
			return 0;
		}
		check_request(&q);
		f = q.connect ? &uot_connect_framing : f;
	}
	while (f->parse(&st, &in, &h) == 0) {
		check_packet(f, &h);
		rd_bytes(&in, h.len);
		if (in.err)
			break;
	}
	return 0;
}
