/* sync_start.c - the first rounds: configuration, users, alive list, then listeners (SC1); back-off
 * while the panel does not answer; and serving from the last good snapshot meanwhile (C9).
 */
#include <errno.h>
#include <stdlib.h>

#include "sync/sync_impl.h"

/* 5, 10, 20, 40, then 60 s. */
static nsec_t back_off(struct sync_node *n)
{
	nsec_t s = n->attempts >= 4 ? 60 : 5 << n->attempts;

	n->attempts++;
	return s * NSEC_SEC;
}

/* --- snapshots ------------------------------------------------------------------------------- */

static bool has_snapshots(const struct sync_node *n)
{
	return n->s->conf.snapshot_dir && n->conf.cache_max_age_s > 0;
}

static int name_of(const struct sync_node *n, char out[SNAPSHOT_NAME_LEN + 1])
{
	return snapshot_name(n->panel->host, n->panel->node_id, node_type_name(n->panel->type),
			     out);
}

void start_save(struct sync_node *n, bool config, bool users)
{
	const char *dir = n->s->conf.snapshot_dir;
	int64_t wall = loop_wall(n->s->conf.loop);
	char name[SNAPSHOT_NAME_LEN + 1];
	int err;

	if (!has_snapshots(n))
		return;
	err = name_of(n, name);
	if (!err && config)
		err = snapshot_save_config(dir, name, wall, n->new_body, n->new_body_len);
	if (!err && users)
		err = snapshot_save_users(dir, name, wall, &n->new_users);
	if (err && node_first_time(n, dir, 1))
		node_log(n, LOG_WARN, "no snapshot could be saved in %s: %s", dir, err_text(err));
}

/* A panel that is down, broken, or hidden by a broken proxy.  One that says no is obeyed: a
 * disabled node does not come back by a restart.
 */
static bool excuses_snapshot(const struct sync_node *n, enum answer_class class)
{
	switch (class) {
	case ANSWER_NET:
	case ANSWER_PARSE:
	case ANSWER_VALID:
		return true;
	case ANSWER_HTTP:
		return n->call.status >= 500 || n->call.status == 429 || n->call.status / 100 == 3;
	default:
		return false;
	}
}

static bool load_config(struct sync_node *n, const char *name)
{
	struct notes notes = {0};
	size_t len;
	char *body;
	bool ok;

	if (n->new_info) /* the panel got that far */
		return true;
	if (snapshot_load_config(n->s->conf.snapshot_dir, name, loop_wall(n->s->conf.loop),
				 n->conf.cache_max_age_s, &body, &len))
		return false;
	ok = n->conf.dialect->config(n->panel, body, len, &n->new_info, &notes) == ANSWER_OK;
	if (ok)
		n->panel->learned = n->new_info->type;
	free(body);
	return ok;
}

static bool load_snapshot(struct sync_node *n)
{
	char name[SNAPSHOT_NAME_LEN + 1];

	if (!has_snapshots(n) || name_of(n, name) || !load_config(n, name))
		return false;
	if (snapshot_load_users(n->s->conf.snapshot_dir, name, loop_wall(n->s->conf.loop),
				n->conf.cache_max_age_s, &n->new_users))
		return false;
	n->have_new_users = true;
	return true;
}

/* --- the first round ------------------------------------------------------------------------- */

static void try_later(struct sync_node *n)
{
	pull_forget(n);
	node_pull_in(n, back_off(n));
	node_idle(n);
}

static void start_failed(struct sync_node *n, enum answer_class class)
{
	if (!excuses_snapshot(n, class) || !load_snapshot(n)) {
		try_later(n);
		return;
	}
	n->from_snapshot = true;
	pull_offer(n);
}

/* A1: the address may lack its path. */
static bool try_other_path(struct sync_node *n, enum answer_class class)
{
	bool wrong_place =
		class == ANSWER_PARSE ||
		(class == ANSWER_HTTP && (n->call.status == 404 || n->call.status == 405));

	if (n->path_settled)
		return false;
	n->panel->path = NULL;
	if (wrong_place && n->conf.dialect->other_path)
		n->panel->path = n->conf.dialect->other_path(n->panel, n->other_path++);
	if (n->panel->path)
		return true;
	n->other_path = 0;
	return false;
}

static void first_config(struct sync_node *n, bool ok, enum answer_class class)
{
	if (ok) {
		if (!n->path_settled && n->panel->path)
			node_log(n, LOG_INFO, "the panel answers at %s", n->panel->path);
		n->path_settled = true;
		n->todo |= BIT(ASK_USERS);
		node_idle(n);
	} else if (try_other_path(n, class)) {
		n->todo |= BIT(ASK_CONFIG);
		node_idle(n);
	} else {
		start_failed(n, class);
	}
}

static void first_round(struct sync_node *n, enum ask a, bool ok, enum answer_class class)
{
	switch (a) {
	case ASK_CONFIG:
		first_config(n, ok, class);
		break;
	case ASK_USERS:
		if (ok)
			n->todo |= BIT(ASK_ALIVE);
		if (ok)
			node_idle(n);
		else
			start_failed(n, class);
		break;
	default: /* without it devices are counted here alone */
		if (n->new_info && n->have_new_users)
			pull_offer(n);
		else
			try_later(n);
	}
}

static void give_alive(struct sync_node *n)
{
	if (!n->alive_known)
		return;
	n->target->ops->alive(n->target, n->alive.v, n->alive.n);
	alive_list_done(&n->alive);
}

static void run(struct sync_node *n)
{
	n->phase = SYNC_RUNNING;
	n->attempts = 0;
	n->pulled_at = node_now(n);
	node_schedule(n);
}

void start_applied(struct sync_node *n, int err)
{
	bool cached = n->from_snapshot;

	n->from_snapshot = false;
	if (err) {
		try_later(n);
		return;
	}
	give_alive(n);
	if (cached) {
		node_log(n, LOG_WARN, "the panel is away: serving what was known before");
		n->phase = SYNC_CACHED;
		try_later(n);
		return;
	}
	run(n);
	node_idle(n);
}

/* --- serving from a snapshot ------------------------------------------------------------------ */

static void cached_round(struct sync_node *n, enum ask a, bool ok)
{
	if (ok && a <= ASK_USERS)
		n->fresh[a] = true;
	if (n->fresh[ASK_CONFIG] && n->fresh[ASK_USERS]) {
		node_log(n, LOG_INFO, "the panel is back");
		run(n);
	} else if (a == ASK_ALIVE) { /* the round's last */
		node_pull_in(n, back_off(n));
	}
	if (n->new_info || n->have_new_users)
		pull_offer(n);
	else
		node_idle(n);
}

void start_answered(struct sync_node *n, enum ask a, enum answer_class class)
{
	bool ok = class == ANSWER_OK || class == ANSWER_SAME;

	if (n->phase == SYNC_STARTING)
		first_round(n, a, ok, class);
	else
		cached_round(n, a, ok);
}
