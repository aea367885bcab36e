/* proxy_proto.c - any bytes: nothing is read beyond the header, and what was understood survives
 * being written and read again.
 */
#include <assert.h>
#include <string.h>

#include "net/proxy_proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void round_trip(const struct proxy_header *h, int version)
{
	uint8_t wire[PROXY_EMIT_MAX];
	struct wr w = wr_of(wire, sizeof(wire));
	struct proxy_header back;
	struct rd r;

	proxy_emit(&w, version, &h->src, &h->dst);
	assert(!w.err);
	r = rd_of(wire, w.len);
	if (proxy_parse(&r, &back))
		__builtin_trap();
	assert(r.pos == w.len && back.version == version);
	/* A mapped address beside a plain IPv6 one cannot be told. */
	assert(back.local || (addr_equal(&h->src, &back.src) && addr_equal(&h->dst, &back.dst)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rd r = rd_of(data, len), head;
	struct proxy_header h, again;
	int err = proxy_parse(&r, &h);

	if (err) {
		assert(r.pos == 0);
		assert(err == -ERR_MALFORMED || (err == -ERR_MORE && len < PROXY_MAX));
		return 0;
	}
	assert(r.pos <= len && r.pos <= PROXY_MAX);
	head = rd_of(data, r.pos);
	assert(proxy_parse(&head, &again) == 0 && again.local == h.local);
	head = rd_of(data, r.pos - 1);
	assert(proxy_parse(&head, &again) == -ERR_MORE);
	round_trip(&h, 1);
	round_trip(&h, 2);
	return 0;
}
