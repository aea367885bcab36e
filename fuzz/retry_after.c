/* retry_after.c - two lines, Retry-After and Date: never a wait of more than ten minutes. */
#include <assert.h>

#include "lines.h"
#include "sync/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const int64_t clocks[] = {0, 784111777, 1763730000, INT32_MAX, 253402300799};
	struct lines l = lines_of(data, len);
	int64_t s;

	for (size_t i = 0; i < ARRAY_LEN(clocks); i++) {
		s = answer_retry_after(l.text[0], l.text[1], clocks[i]);
		assert(s >= 0 && s <= 600);
	}
	lines_done(&l);
	return 0;
}
