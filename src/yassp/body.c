#include "yassp/body.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "manager/engine.h"

static uint64_t add(uint64_t a, uint64_t b)
{
	return a + b < a || a + b > INT64_MAX ? (uint64_t)INT64_MAX : a + b;
}

void yassp_body(const struct ledger_batch *b, struct text *out)
{
	uint64_t *sum = calloc(65536, sizeof(*sum));
	const char *comma = "";

	if (!sum) {
		out->err = -ENOMEM;
		return;
	}
	for (uint32_t i = 0; i < b->n; i++) {
		uint64_t *port = &sum[traffic_port(b->entries[i].user)];

		*port = add(add(*port, b->entries[i].up), b->entries[i].down);
	}
	text_adds(out, "{");
	for (unsigned port = 0; port < 65536; port++) {
		if (!sum[port])
			continue;
		text_addf(out, "%s\"%u\":%" PRIu64, comma, port, sum[port]);
		comma = ",";
	}
	text_adds(out, "}");
	free(sum);
}
