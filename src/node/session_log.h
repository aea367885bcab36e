/* session_log.h - the one place that writes about sessions: a line for each, when it has ended. */
#ifndef WEIR_NODE_SESSION_LOG_H
#define WEIR_NODE_SESSION_LOG_H

#include "session/session.h"

/* `port`: of a port of its own (port.h), whose users have no numbers; 0: a node's, whose users do. */
void session_log(const struct session_report *r, uint16_t port);

#endif
