/* State.Dir: counters, unsent reports, last good answers; and what is done when there is no room in it. */
#include <errno.h>

#include "base/err.h"
#include "base/log.h"
#include "cmd/daemon.h"
#include "cmd/program.h"

static bool is_full(int err)
{
	return err == -ENOSPC || err == -EDQUOT;
}

/* A node that does not start keeps its users waiting for a disk.  What starting costs is said. */
static int start_without(struct program *p, unsigned nworkers, int err)
{
	log_msg(LOG_ERROR, "state",
		"no room in %s (%s): serving without it and trying again. Until then traffic that the "
		"panel has not taken is lost with this process, and what was left unreported before waits",
		p->conf->state.dir, err_text(err));
	return ledger_open(NULL, nworkers, &p->ledger, NULL);
}

int program_open_state(struct program *p, unsigned nworkers)
{
	const char *dir = p->conf->state.dir;
	char why[LEDGER_WHY_MAX] = "";
	int err = daemon_make_dir(dir);

	if (!err)
		err = daemon_lock_dir(dir, &p->state);
	if (err == -EBUSY) {
		log_msg(LOG_ERROR, "state", "%s is in use by another weir; give each its State.Dir",
			dir);
		return err;
	}
	if (!err)
		err = ledger_open(dir, nworkers, &p->ledger, why);
	if (is_full(err))
		return start_without(p, nworkers, err);
	if (err)
		log_msg(LOG_ERROR, "state", "cannot use State.Dir %s: %s%s%s", dir, err_text(err),
			*why ? ": " : "", why);
	else if (*why)
		log_msg(LOG_WARN, "state", "%s", why);
	return err;
}

void program_return_to_state(struct program *p)
{
	const char *dir = p->conf->state.dir;
	int err;

	if (!ledger_in_memory(p->ledger))
		return;
	err = daemon_make_dir(dir);
	if (!err && p->state < 0)
		err = daemon_lock_dir(dir, &p->state);
	if (!err)
		err = ledger_move_in(p->ledger, dir);
	if (err)
		log_msg(is_full(err) ? LOG_DEBUG : LOG_ERROR, "state", "still cannot use %s: %s",
			dir, err_text(err));
	else
		log_msg(LOG_WARN, "state",
			"room in %s: reports are kept there from now on. What is counted between two "
			"reports outlives a crash again after the next start",
			dir);
}
