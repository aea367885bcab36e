/* mux_conf.h - how connections are shared, as the command line and Xray's JSON say it. */
#ifndef WEIR_CLIENT_MUX_CONF_H
#define WEIR_CLIENT_MUX_CONF_H

#include "base/json_value.h"
#include "client/outbound.h"

#define MUX_STREAMS	8 /* of a connection, where nothing is said: as the references have it */
#define MUX_STREAMS_MAX 1024

/* "cool", "xudp" (packets alone), "smux", "yamux", "h2mux"; each with ":N" for the streams of a
 * connection, the last three with ",padding" behind.  0 or -ERR_MALFORMED.
 */
MUST_CHECK int mux_conf_parse(const char *text, struct outbound_mux *out);

/* An outbound's `mux` (NULL: nothing).  0, or -ERR_CONFIG with a sentence in *why (static). */
MUST_CHECK int mux_conf_of_xray(const struct json_value *mux, struct outbound_mux *out,
				const char **why);

/* Does it go with the rest?  A flow takes packets alone, and its rule for QUIC with it.  0, or -ERR_CONFIG
 * likewise. */
MUST_CHECK int mux_conf_settle(struct outbound_conf *c, const char **why);

#endif
