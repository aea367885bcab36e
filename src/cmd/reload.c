#include "cmd/reload.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "conf/diff.h"

#define SETTLING (1200 * NSEC_MS) /* editors write in several steps */

int program_open_log(const struct config *c)
{
	struct log_conf conf = {
		.level = (enum log_level)c->log.level,
		.json = c->log.json,
		.path = c->log.output,
		.to_stdout = true,
	};

	return log_open(&conf);
}

static void log_report(const struct conf_report *r)
{
	for (const struct conf_problem *q = r->first; q; q = q->next)
		log_msg(q->warning ? LOG_WARN : LOG_ERROR, "config", "%s:%u:%u: %s%s%s", q->file,
			q->at.line, q->at.column, q->path, *q->path ? ": " : "", q->text);
}

static bool same_node(const struct config_node *a, const struct config_node *b)
{
	return !strcmp(a->api_host, b->api_host) && !strcmp(a->node_id, b->node_id) &&
	       !strcmp(a->node_type, b->node_type);
}

static const struct config_node *find_conf(const struct config *c, const struct config_node *like)
{
	for (size_t i = 0; i < c->nnodes; i++) {
		if (same_node(c->nodes[i], like))
			return c->nodes[i];
	}
	return NULL;
}

/* ---- leaving ----------------------------------------------------------------------------- */

static void node_gone(void *arg)
{
	struct program_node *n = arg, **at = &n->program->nodes;

	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	sync_node_free(n->sync);
	node_free(n->node);
	free(n);
}

static void node_closed(void *arg)
{
	struct program_node *n = arg;
	nsec_t budget = n->program->conf->shutdown_push_timeout_s * NSEC_SEC;

	if (n->sync)
		sync_node_stop(n->sync, budget, node_gone, n);
	else
		node_gone(n);
}

static void leave(struct program_node *n)
{
	log_msg(LOG_INFO, "node", "%s: no longer configured, draining", node_tag(n->node));
	n->leaving = true;
	node_close(n->node, n->program->conf->drain_timeout_s * NSEC_SEC, node_closed, n);
}

/* ---- changing ---------------------------------------------------------------------------- */

static void note_row(void *arg, const char *path, const struct conf_row *row)
{
	log_msg(LOG_INFO, "config", "%s: %s changed", (const char *)arg, path);
}

/* Options of the panel side: they need another sync, while the node serves on. */
static bool panel_side_differs(const struct config_node *a, const struct config_node *b)
{
	return strcmp(a->api_key, b->api_key) || a->api_type != b->api_type ||
	       a->timeout_s != b->timeout_s || strcmp(a->api_send_ip, b->api_send_ip) ||
	       a->api_insecure != b->api_insecure || a->ambiguous_push != b->ambiguous_push ||
	       a->push_batch_users != b->push_batch_users ||
	       a->pull_interval_s != b->pull_interval_s ||
	       a->push_interval_s != b->push_interval_s || a->report_min_KiB != b->report_min_KiB ||
	       a->device_online_min_kB != b->device_online_min_kB ||
	       a->cache_max_age_h != b->cache_max_age_h ||
	       a->suspend_on_forbidden != b->suspend_on_forbidden ||
	       a->enforce_quota != b->enforce_quota ||
	       a->allow_remote_options != b->allow_remote_options ||
	       a->accept_panel_listen_ip != b->accept_panel_listen_ip ||
	       a->swap_bandwidth != b->swap_bandwidth || a->enable_vless != b->enable_vless;
}

/* What was under way is called off: a batch in flight is sent again under its id. */
static void restart_sync(struct program_node *n)
{
	node_forget_asker(n->node);
	sync_node_free(n->sync);
	n->sync = NULL;
	(void)!program_start_sync(n); /* logged; the node serves whom it knows */
}

/* Options that are read once. */
static void warn_restart(const struct config *a, const struct config *b)
{
	if (a->workers != b->workers || a->aead != b->aead || strcmp(a->state.dir, b->state.dir))
		log_msg(LOG_WARN, "config",
			"Workers, AeadEngine and State.Dir take effect at the next start");
}

static void change(struct program_node *n, const struct config_plugins *plugins,
		   const struct config *file, const struct config_node *conf)
{
	void *tag = (void *)(uintptr_t)node_tag(n->node);
	bool differs = conf_diff(&config_node_schema, n->conf, conf, note_row, tag) > 0;
	bool panel_side = differs && panel_side_differs(n->conf, conf);

	/* a panel may name other plugins now, or fewer */
	differs |= conf_diff(&config_plugins_schema, plugins, &file->plugins, note_row, tag) > 0;

	n->conf = conf;
	if (panel_side)
		restart_sync(n);
	if (node_set_conf(n->node, file, conf, differs))
		log_msg(LOG_ERROR, "config", "%s: goes on as before", node_tag(n->node));
}

static bool keep_old(struct program *p)
{
	struct config **old = realloc(p->old, (p->nold + 1) * sizeof(*old));

	if (!old)
		return false;
	p->old = old;
	p->old[p->nold++] = p->conf;
	return true;
}

/* Nodes that leave still look at the old file: it stays until none of them is left. */
static void drop_old(struct program *p)
{
	for (struct program_node *n = p->nodes; n; n = n->next) {
		if (n->leaving)
			return;
	}
	while (p->nold > 0)
		config_free(p->old[--p->nold]);
}

static void switch_to(struct program *p, struct config *conf)
{
	struct program_node *n, *next;

	for (n = p->nodes; n; n = next) {
		const struct config_node *now = n->leaving ? NULL : find_conf(conf, n->conf);

		next = n->next;
		if (now)
			change(n, &p->conf->plugins, conf, now);
		else if (!n->leaving)
			leave(n);
	}
	p->conf = conf;
	for (size_t i = 0; i < conf->nnodes; i++) {
		bool known = false;

		for (n = p->nodes; n && !known; n = n->next)
			known = !n->leaving && n->conf == conf->nodes[i];
		if (!known)
			(void)!program_add_node(p, conf->nodes[i]);
	}
}

static void on_change(struct file_watch *f)
{
	struct program *p = container_of(f, struct program, files);

	if (!p->stopping)
		program_reload(p);
}

void program_watch(struct program *p)
{
	file_watch_close(&p->files);
	if (!p->watching)
		return;
	if (file_watch_open(&p->files, p->loop, p->conf->files, p->conf->nfiles, SETTLING,
			    on_change))
		log_msg(LOG_WARN, "config",
			"cannot watch the configuration: only SIGHUP reloads it");
}

void program_reload(struct program *p)
{
	struct conf_report report;
	struct sections sections;
	struct config *conf;

	conf_report_init(&report);
	conf = sections_load(p->conf->path, p->conf->api_type, &sections, &report);
	log_report(&report);
	conf_report_done(&report);
	if (!conf) {
		log_msg(LOG_ERROR, "config", "not reloaded: everything runs on as it was");
		return;
	}
	drop_old(p);
	if (!keep_old(p)) {
		config_free(conf);
		sections_done(&sections);
		return;
	}
	if (program_open_log(conf))
		log_msg(LOG_WARN, "log", "cannot open %s", conf->log.output);
	if (log_keeper_set(&p->log_keeper, &conf->log))
		log_msg(LOG_WARN, "config", "no memory for the log's new limits");
	workers_reread_resolv(&p->workers, true);
	warn_restart(p->conf, conf);
	if (program_share_memory(p, conf))
		log_msg(LOG_WARN, "config", "no memory for the new MemoryLimit");
	hosted_apply(&p->hosted, p->conf, conf, &sections, conf->drain_timeout_s * NSEC_SEC);
	switch_to(p, conf);
	program_watch(p);
	log_msg(LOG_INFO, "config", "reloaded");
}
