/* callers.h - connections that owe a request: whoever does not send the whole head of one that is let in,
 * within `patience` of his connection or of the last answer, is cut off.  libmicrohttpd's own patience is
 * for silence, and a byte now and then keeps it.
 *
 *     c = callers_start(patience);
 *     MHD_start_daemon(…, MHD_OPTION_NOTIFY_CONNECTION, callers_on_connection, c, …);
 *     …  caller_let_in(conn) … caller_answered(conn)
 *     MHD_stop_daemon(…);
 *     callers_stop(c);
 *
 * Threads: any; it has one of its own.
 */
#ifndef WEIR_PANEL_CALLERS_H
#define WEIR_PANEL_CALLERS_H

#include <microhttpd.h>

#include "base/base.h"

struct callers;

/* NULL: no memory, or no thread. */
struct callers *callers_start(nsec_t patience);
void callers_stop(struct callers *c); /* NULL is fine */

void callers_on_connection(void *callers, struct MHD_Connection *conn, void **context,
			   enum MHD_ConnectionNotificationCode what);

/* His request may take its time: how long the rest lasts is ours, or that of somebody with a token. */
void caller_let_in(struct MHD_Connection *conn);

/* A request that was let in is over: the next one is owed. */
void caller_answered(struct MHD_Connection *conn);

#endif
