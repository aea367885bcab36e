/* vision_filter.c - anything as the inner bytes of both directions, and as the blocks of a peer.
 *
 * The first byte chooses the pieces.  Held are: blocks never exceed their limit, what the sender
 * makes the receiver gives back byte for byte, whatever the pieces, with the same end; and a
 * stranger's blocks are followed without a step beyond the input.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "proto/vless/vision_wire.h"

#define NEED(what)               \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const uint8_t id[VLESS_ID_LEN] = "an id for tests";

static size_t piece(uint32_t *dice, size_t most)
{
	*dice = *dice * 1664525u + 1013904223u;
	return MIN(most, (size_t)1 + (*dice >> (*dice >> 31 ? 29 : 18)));
}

/* What `wire` says; returns how much of it was read, the content in `out`. */
static size_t receive(struct vision_in *in, const uint8_t *wire, size_t len, uint32_t dice,
		      uint8_t *out, size_t *got)
{
	size_t at = 0, until = 0;

	while (at < len && in->state < VISION_IN_PLAIN) {
		bool content;
		ssize_t n;

		if (at == until)
			until += piece(&dice, len - at);
		n = vision_unpad(in, id, wire + at, until - at, &content);
		if (n < 0) {
			NEED(n == -ERR_PROTOCOL);
			return at;
		}
		NEED((size_t)n <= until - at && (n > 0 || in->state == VISION_IN_PLAIN));
		if (content)
			memcpy(out + *got, wire + at, (size_t)n);
		*got += content ? (size_t)n : 0;
		at += (size_t)n;
	}
	return at;
}

static void there_and_back(const uint8_t *data, size_t len, uint32_t dice)
{
	uint8_t *wire = NULL, *back = malloc(len + 1);
	struct vision_filter f, other;
	struct vision_out out = {0};
	struct vision_in in = {0};
	size_t at = 0, n = 0, got = 0, until = 0, cap = 0;

	NEED(back);
	vision_filter_init(&f);
	other = f;
	while (at < len && !out.ended) {
		struct vision_block b;
		uint16_t padding;
		struct wr w;

		if (n + VISION_BLOCK_MAX > cap) {
			cap = 2 * (n + VISION_BLOCK_MAX);
			wire = realloc(wire, cap);
			NEED(wire);
		}
		w = wr_of(wire + n, VISION_BLOCK_MAX);
		if (at == until)
			until += piece(&dice, len - at);
		b = vision_next(&out, &f, data + at, until - at, dice & 1);
		NEED(b.content > 0 && b.content <= until - at && b.content <= VISION_CONTENT);
		padding = vision_padding(b.content, b.roomy, dice);
		vision_block_emit(&w, out.started ? NULL : id, &b, padding);
		out.started = true;
		wr_bytes(&w, data + at, b.content);
		memset(wr_room(&w, padding), 0, padding);
		NEED(!w.err);
		NEED(out.ended == (b.command != VISION_CONTINUE));
		n += w.len;
		at += b.content;
	}
	NEED(receive(&in, wire, n, dice, back, &got) == n);
	NEED(got == at && !memcmp(back, data, at));
	if (out.ended)
		NEED(in.state == (out.direct ? VISION_IN_DIRECT : VISION_IN_PLAIN));
	else
		NEED(!vision_in_block(&in));
	vision_filter_feed(&other, data, len);
	free(wire);
	free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct vision_in in = {0}, behind_id = {.state = VISION_IN_HEAD};
	uint8_t *out;
	size_t got = 0;

	if (len == 0 || len > 20000)
		return 0;
	out = malloc(len);
	NEED(out);
	receive(&in, data + 1, len - 1, data[0], out, &got);
	got = 0;
	receive(&behind_id, data + 1, len - 1, data[0], out, &got);
	free(out);
	there_and_back(data + 1, len - 1, data[0]);
	return 0;
}
