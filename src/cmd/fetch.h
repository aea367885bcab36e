/* fetch.h - a document behind an address, waited for: what an `Include` of the configuration names.
 *
 * On a loop of its own that lives as long as the question; the caller stands still for up to
 * FETCH_TIMEOUT.  A https:// address is not followed to where anybody could change what it says.
 */
#ifndef WEIR_CMD_FETCH_H
#define WEIR_CMD_FETCH_H

#include "node/config.h"

#define FETCH_TIMEOUT (10 * NSEC_SEC)
#define FETCH_MAX     (1 << 20)

MUST_CHECK int fetch_include(const char *url, char **text, size_t *len, char why[CONFIG_FETCH_WHY]);

#endif
