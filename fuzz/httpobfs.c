/* Both heads of simple-obfs: what parses is within its bounds, and what is no HTTP stays that. */
#include <stdlib.h>
#include <string.h>

#include "transport/httpobfs/httpobfs_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const hosts[] = {"", "www.example.com"};

	for (int i = 0; i < 2; i++) {
		struct rd r = rd_of(data, len), part;
		int err = httpobfs_request_parse(&r, hosts[i]);

		if (err ? r.pos != 0 : r.pos > HTTPOBFS_HEAD_MAX || data[r.pos - 1] != '\n')
			abort();
		if (err)
			continue;
		part = rd_of(data, r.pos); /* nothing behind it was needed */
		if (httpobfs_request_parse(&part, hosts[i]) != 0)
			abort();
		part = rd_of(data, r.pos - 1);
		if (httpobfs_request_parse(&part, hosts[i]) != -ERR_MORE)
			abort();
	}
	struct rd r = rd_of(data, len);

	if (httpobfs_answer_parse(&r) == 0 && (r.pos < 14 || r.pos > HTTPOBFS_HEAD_MAX))
		abort();
	return 0;
}
