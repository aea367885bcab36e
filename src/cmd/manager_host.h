/* manager_host.h - a Shadowsocks manager with all that it works with, as a service: what `weir ss-manager`
 * runs, and `weir run` for the section Manager.
 *
 * Once told to stop it hears no more commands, and the path of the socket is free; the last report goes out
 * when connections have ended.  In a hurry nobody waits for the last count of ss-server's kind either.
 *
 * Threads: control only.
 */
#ifndef WEIR_CMD_MANAGER_HOST_H
#define WEIR_CMD_MANAGER_HOST_H

#include "cmd/service.h"
#include "manager/manager_file.h"

/* As service_start(). */
MUST_CHECK int manager_host_start(const struct service_world *world, struct manager_file *f,
				  struct service **out);

#endif
