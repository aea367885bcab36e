/* alpn.c - any bytes as the protocols that a client offers: what is chosen is among ours and among
 * his.
 */
#include <assert.h>
#include <string.h>

#include "tls/alpn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const names[] = {"h2", "http/1.1", "x", NULL};
	struct alpn_list ours;
	const uint8_t *chosen;
	uint8_t n;

	assert(alpn_list_set(&ours, names));
	if (alpn_choose(&ours, data, (unsigned)len, &chosen, &n) == ALPN_CHOSEN) {
		assert(chosen > data && chosen + n <= data + len && chosen[-1] == n);
		assert(memmem(ours.wire, ours.len, chosen - 1, n + 1u));
	}
	alpn_list_done(&ours);
	return 0;
}
