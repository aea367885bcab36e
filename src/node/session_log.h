/* session_log.h - the one place that writes about sessions: a line for each, when it has ended. */
#ifndef WEIR_NODE_SESSION_LOG_H
#define WEIR_NODE_SESSION_LOG_H

#include "session/session.h"

/* `node`: its name, and its users have numbers; NULL: of a port of its own (port.h), `port`, whose
 * users have none.
 */
void session_log(const struct session_report *r, const char *node, uint16_t port);

#endif
