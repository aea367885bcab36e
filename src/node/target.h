/* target.h - the side of a node that its control source talks to: take this configuration, these
 * users, these numbers from elsewhere; tell me who is online.
 *
 * sync (and whatever else drives a node) calls it, the node implements it.  All calls come on the
 * control thread, one apply at a time.
 */
#ifndef WEIR_NODE_TARGET_H
#define WEIR_NODE_TARGET_H

#include "node/info.h"
#include "user/registry.h"
#include "user/user_list.h"

struct node_target;

/* What became of an apply that returned -EINPROGRESS; once, on the control loop. */
typedef void node_applied(void *arg, int err);

struct node_target_ops {
	/* Serve `info` to `users`.  NULL means: as before; the first successful call has both, and
	 * only then do listeners open.
	 *
	 * 0: done.  -EINPROGRESS: done(arg, err) will come, unless free or a later stop comes
	 * first; `info` and `users` live until then.  Other negative: nothing has changed, what ran
	 * before runs on (C6); the same is offered again later.  -ERR_UNSUPPORTED and -ERR_CONFIG
	 * are taken for permanent: only the log differs.  Who keeps `info` takes a reference.
	 */
	int (*apply)(struct node_target *t, struct node_info *info, const struct user_list *users,
		     node_applied *done, void *arg);

	/* Devices online anywhere, by user; n = 0: the panel could not be asked for too long (D5).
	 */
	void (*alive)(struct node_target *t, const struct user_alive *v, size_t n);

	/* user_registry_report_online() with these arguments. */
	void (*online)(struct node_target *t, uint64_t min_bytes, user_online *each, void *arg);

	/* The panel disabled the node (SuspendOnForbidden): close the listeners; or open them
	 * again. */
	void (*suspend)(struct node_target *t, bool on);

	/* Before traffic is frozen: settle users who have gone (user_registry_reap).  May be NULL.
	 */
	void (*settle)(struct node_target *t);

	/* What protects `info` as it is served here, for the log.  May be NULL: the panel's word.
	 */
	const char *(*protection)(const struct node_target *t, const struct node_info *info);
};

struct node_target {
	const struct node_target_ops *ops;
};

#endif
