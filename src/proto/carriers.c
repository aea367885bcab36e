#include "proto/carriers.h"

#include <string.h>

#include "transport/muxcool/muxcool.h"

static const struct mux_kind *const kinds[] = {
	&muxcool_kind,
};

const struct mux_kind *carrier_find(const struct proto_inbound *in, const struct dest *d)
{
	for (size_t i = 0; d->type == DEST_NAME && i < ARRAY_LEN(kinds); i++) {
		const char *host = kinds[i]->host;

		if (d->len == strlen(host) && !memcmp(d->bytes, host, d->len))
			return kinds[i];
	}
	return NULL;
}
