/* The server layer of vless, from the first byte to the last packet. */
#include "inbound.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct inbound_fuzz f;

	return fuzz_inbound(&f, "vless", data, len);
}
