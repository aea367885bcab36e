/* inbound_reality.h - tls 2 of a panel: what REALITY is to be built from. */
#ifndef WEIR_NODE_INBOUND_REALITY_H
#define WEIR_NODE_INBOUND_REALITY_H

#include "node/inbound.h"

/* `in` has its addresses already.  *out stays NULL where the node has no REALITY.  Errors as inbound_build(). */
MUST_CHECK int inbound_reality(const struct inbound_plan *plan, const struct inbound *in,
			       struct reality_conf **out, char why[INBOUND_WHY_MAX]);

/* "26.3.27", parts that are missing are 0: as one number.  -ERR_MALFORMED. */
MUST_CHECK int reality_version_parse(const char *text, uint32_t *out);

#endif
