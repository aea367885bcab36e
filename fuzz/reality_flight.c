/* reality_flight.c - any bytes as what a target answers, and as the end of a client's handshake:
 * what is believed can be answered within the room for it, and nothing points outside.
 */
#include <assert.h>
#include <string.h>

#include "base/wr.h"
#include "crypto/aead.h"
#include "tls/reality_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static unsigned sum;

static void check(const struct target_flight *f, size_t len)
{
	size_t total = 0;

	for (int i = 0; i < (f->combined ? 1 : 4); i++) {
		assert(f->wire[i] >= 6 && f->wire[i] <= FLIGHT_RECORD_MAX);
		total += f->wire[i];
	}
	for (unsigned i = 0; i < f->nextra; i++)
		total += f->extra[i];
	assert(f->nextra <= FLIGHT_EXTRA && total <= len);
	assert(f->hello.share.p >= f->hello.raw.p &&
	       f->hello.share.p + f->hello.share.len <= f->hello.raw.p + f->hello.raw.len);
	for (size_t i = 0; i < f->hello.raw.len; i++)
		sum += f->hello.raw.p[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct reality_answer a = {.keys = {.suite = 0x1301, .size = 32}};
	struct target_flight f, again;
	struct rd r = rd_of(data, len);

	if (target_flight_parse(r, &f) == 0) {
		check(&f, len);
		/* more of the same changes nothing that was decided */
		if (len > 0 && target_flight_parse(rd_of(data, len - 1), &again) == 0)
			assert(again.combined == f.combined && again.wire[0] == f.wire[0]);
	}
	if (reality_finished_parse(&r, &a) == 0)
		assert(r.pos <= len);
	return 0;
}
