/* yassp_push.h - tells YaSSP hosts at once when their list has changed (spec D.8, Y3).
 *
 * A thread of its own looks once a second; a host whose `yassp_push` address does not answer is
 * tried three times in all and then left to its next pull.  At most one request at a time.
 */
#ifndef WEIR_PANEL_YASSP_PUSH_H
#define WEIR_PANEL_YASSP_PUSH_H

#include "base/base.h"

struct panel;
struct yassp_push;

MUST_CHECK int yassp_push_start(struct panel *p, struct yassp_push **out);

/* Waits for a request that is under way, 10 s at most.  NULL is fine. */
void yassp_push_stop(struct yassp_push *y);

#endif
