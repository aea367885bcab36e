/* manager_host.h - a Shadowsocks manager with all that it works with: state folder, ledger, engine, socket.
 * What `weir ss-manager` runs, and `weir run` for the section Manager.
 *
 *     manager_host_start(&world, file, &h);
 *     manager_host_stop(h, grace, stopped, arg);    then, from the loop, manager_host_free(h)
 *
 * Threads: control only.
 */
#ifndef WEIR_CMD_MANAGER_HOST_H
#define WEIR_CMD_MANAGER_HOST_H

#include "manager/manager_file.h"

struct manager_host;

struct manager_world {
	struct loop *loop;
	struct workers *workers;
	const char *state_root; /* of the folder of state, unless the file says otherwise */
	bool again;		/* what is wrong has been told: to the debug log */
};

/* `f` outlives it; its ports are the engine's from then on.  0, or an error that has been logged, and
 * everything is as before.
 */
MUST_CHECK int manager_host_start(const struct manager_world *world, struct manager_file *f,
				  struct manager_host **out);

const char *manager_host_dir(const struct manager_host *h); /* of its state */
size_t manager_host_ports(const struct manager_host *h);

void manager_host_sync(struct manager_host *h); /* counters to disk, now and then */

/* Commands are no longer heard, and the path of the socket is free; connections end within `grace`, and
 * the last report goes out.  Again with 0 for those who cannot wait, not even for the last count of ss-server's kind.
 */
void manager_host_stop(struct manager_host *h, nsec_t grace, void (*stopped)(void *arg), void *arg);
void manager_host_hasten(struct manager_host *h); /* after that: connections end now */
void manager_host_free(struct manager_host *h);	  /* after `stopped`, not from within it */

#endif
