/* manager_send.h - `weir ss-manager --send`: a word to a manager that runs, for people and scripts.
 */
#ifndef WEIR_CMD_MANAGER_SEND_H
#define WEIR_CMD_MANAGER_SEND_H

#include "cmd/opt.h"
#include "manager/endpoint.h"

/* Each command in turn; what is answered goes to standard output, a line each.  An exit status: failed
 * where nobody is there, a command stays without an answer, or an `add` or `remove` is answered by
 * anything but "ok".  None of them subscribes to reports.
 */
int manager_send(const struct endpoint_conf *to, const struct opt_many *commands);

#endif
