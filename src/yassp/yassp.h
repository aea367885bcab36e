/* yassp.h - a YaSSP site: keeps an engine's ports equal to a panel's list, and tells the panel what
 * each of them has moved (spec shadowsocks-management D; docs/internals/yassp.md).
 *
 *     yassp_new(&env, &y);               the first pull leaves in the next turn
 *     yassp_push(y, body, len, ...);     a list that came by push
 *     yassp_stop(y, grace, stopped, arg);       no more pulls, engine down, last report
 *     yassp_free(y);
 *
 * Threads: control only.
 */
#ifndef WEIR_YASSP_YASSP_H
#define WEIR_YASSP_YASSP_H

#include "manager/engine.h"
#include "sync/http.h"
#include "sync/ledger.h"
#include "yassp/conf.h"

struct yassp;

/* What a site works with; all of it the caller's, and outlives the site. */
struct yassp_env {
	struct loop *loop;
	struct http *http;
	struct ledger *ledger;
	uint32_t ledger_node;
	struct engine *engine; /* the caller frees it, after yassp_stop() or yassp_free() */
	const struct yassp_conf *conf;
	const char *tag;	  /* for the log: the section */
	const char *snapshot_dir; /* of the last good list; NULL: none is kept */
};

MUST_CHECK int yassp_new(const struct yassp_env *env, struct yassp **out);

/* A list that was pushed.  0: done() comes once it has been applied, maybe at once.  -ERR_MALFORMED,
 * -ERR_CONFIG, -ENOMEM with a sentence in `why`, and nothing has changed.
 */
typedef void yassp_pushed(void *arg);
MUST_CHECK int yassp_push(struct yassp *y, const char *body, size_t len, yassp_pushed *done,
			  void *arg, char why[PROFILE_WHY_MAX]);

/* No done() will come for this arg. */
void yassp_push_forget(struct yassp *y, void *arg);

/* Once.  Connections end within `grace` (at least a moment), then everything is reported, for at most
 * 10 s; what is left waits in the ledger.
 */
void yassp_stop(struct yassp *y, nsec_t grace, void (*stopped)(void *arg), void *arg);

/* After that: no more patience with connections; reports are as they were. */
void yassp_hasten(struct yassp *y);

/* The same, and no more reports.  stopped() still comes. */
void yassp_hurry(struct yassp *y);

/* At any time: calls off what is under way. */
void yassp_free(struct yassp *y);

#endif
