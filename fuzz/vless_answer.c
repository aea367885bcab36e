/* vless_answer.c - what a server says to our VLESS client, in pieces: behind a right answer every
 * byte comes out, a wrong one or half of one is an error.  The first byte chooses the pieces.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "proto/vless/vless.h"
#include "stream/pair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void feed(struct loop *l, struct stream *far, struct rd *in, uint32_t *sizes)
{
	struct bufq q;
	size_t n;

	if (rd_left(in) == 0) {
		stream_shut(far);
		return;
	}
	*sizes = *sizes * 1664525u + 1013904223u;
	n = MIN(rd_left(in), (size_t)(1 + (*sizes >> 28)));
	bufq_init(&q, loop_pool(l), SIZE_MAX);
	assert(bufq_append(&q, rd_bytes(in, n), n) == 0);
	assert(stream_push(far, &q) == (ssize_t)n);
}

/* Everything that comes out, compared with `want`; the way it ended. */
static ssize_t drain(struct loop *l, struct stream *s, struct stream *far, struct rd *in,
		     uint32_t sizes, struct rd *want)
{
	uint8_t mem[256];
	struct bufq q;
	ssize_t n;

	bufq_init(&q, loop_pool(l), SIZE_MAX);
	while ((n = stream_pull(s, &q, sizeof(mem))) > 0 || n == -EAGAIN) {
		size_t got = bufq_take(&q, mem, sizeof(mem));

		if (got)
			assert(got <= rd_left(want) && !memcmp(mem, rd_bytes(want, got), got));
		if (n == -EAGAIN)
			feed(l, far, in, &sizes);
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint8_t id[VLESS_ID_LEN] = "an id for tests";
	static struct loop *l;
	struct stream *near, *far, *s;
	struct rd in, want;
	struct dest dest;
	ssize_t end;
	int err;

	if (!l)
		l = loop_new(LOOP_VIRTUAL, 1);
	if (len == 0)
		return 0;
	in = want = rd_of(data + 1, len - 1);
	err = vless_response_parse(&want);
	assert(l && dest_parse(&dest, "example.com:443") == 0);
	assert(pair_new(l, SIZE_MAX >> 1, &near, &far) == 0);
	s = vless_client_new(near, id, &dest);
	assert(s && stream_open(s) == 0);
	end = drain(l, s, far, &in, data[0], &want);
	if (err == -ERR_MORE)
		assert(end == -ERR_TRUNCATED);
	else if (err)
		assert(end == err);
	else
		assert(end == 0 && rd_left(&want) == 0);
	stream_free(s);
	stream_free(far);
	loop_turn(l, 0);
	assert(loop_pool(l)->nused == 0);
	return 0;
}
