#include "proto/carriers.h"

#include <string.h>

#include "proto/singmux/singmux.h"
#include "transport/muxcool/muxcool.h"

static const struct mux_kind *const kinds[] = {
	&muxcool_kind,
	&singmux_kind,
	&singmux_padded_kind,
};

/* Of the two kinds of sing-box's only the one that the inbound is for. */
static bool is_offered(const struct proto_inbound *in, const struct mux_kind *kind)
{
	if (kind == &singmux_kind)
		return in->singmux == PROTO_SINGMUX_ANY;
	return kind != &singmux_padded_kind || in->singmux == PROTO_SINGMUX_PADDED;
}

const struct mux_kind *carrier_find(const struct proto_inbound *in, const struct dest *d)
{
	for (size_t i = 0; d->type == DEST_NAME && i < ARRAY_LEN(kinds); i++) {
		const char *host = kinds[i]->host;

		if (d->len == strlen(host) && !memcmp(d->bytes, host, d->len) &&
		    is_offered(in, kinds[i]))
			return kinds[i];
	}
	return NULL;
}
