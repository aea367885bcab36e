#include "cmd/program.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "cmd/cmd.h"
#include "cmd/daemon.h"
#include "cmd/reload.h"
#include "crypto/aead.h"
#include "node/memory.h"

static const int caught[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, 0};

/* ---- starting ---------------------------------------------------------------------------- */

static unsigned worker_count(const struct config *c)
{
	long n = c->workers ? (long)c->workers : sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : (unsigned)MIN(n, 256L);
}

static int start_sync(struct program *p)
{
	struct sync_conf conf = {.loop = p->loop, .ledger = p->ledger};
	static char snapshots[PATH_MAX];

	p->http = http_curl_new(p->loop, "weir/" WEIR_VERSION);
	if (!p->http)
		return -ENOMEM;
	snprintf(snapshots, sizeof(snapshots), "%s/snapshots", p->conf->state.dir);
	if (!daemon_make_dir(snapshots))
		conf.snapshot_dir = snapshots;
	conf.http = p->http;
	return sync_new(&conf, &p->sync);
}

static struct sync_node_conf sync_conf_of(const struct config_node *c, uint32_t ledger_node)
{
	return (struct sync_node_conf){
		.tag = c->name,
		.dialect = dialect_find(config_api_name(c->api_type)),
		.panel =
			{
				.host = c->api_host,
				.key = c->api_key,
				.node_id = c->node_id,
				.type = node_type_parse(c->node_type),
				.enable_vless = conf_is_set(&config_node_schema, c, enable_vless)
							? c->enable_vless
							: -1,
				.allow_remote = c->allow_remote_options,
				.accept_listen_ip = c->accept_panel_listen_ip,
				.swap_bandwidth = c->swap_bandwidth,
			},
		.timeout_s = c->timeout_s,
		.send_ip = *c->api_send_ip ? c->api_send_ip : NULL,
		.insecure = c->api_insecure,
		.ledger_node = ledger_node,
		.ambiguous = (enum sync_ambiguous)c->ambiguous_push,
		.push_batch_users = (uint32_t)c->push_batch_users,
		.cache_max_age_s = c->cache_max_age_h * 3600,
		.suspend_on_forbidden = c->suspend_on_forbidden,
		.enforce_quota = c->enforce_quota,
		.pull_interval_s = c->pull_interval_s,
		.push_interval_s = c->push_interval_s,
		.report_min_kib = conf_is_set(&config_node_schema, c, report_min_KiB)
					  ? c->report_min_KiB
					  : -1,
		.online_min_kb = conf_is_set(&config_node_schema, c, device_online_min_kB)
					 ? c->device_online_min_kB
					 : -1,
	};
}

static void link_node(struct program *p, struct program_node *n)
{
	struct program_node **at = &p->nodes;

	while (*at)
		at = &(*at)->next;
	*at = n;
}

int program_start_sync(struct program_node *n)
{
	struct sync_node_conf sc = sync_conf_of(n->conf, n->ledger_node);
	int err;

	if (!sc.dialect) {
		log_msg(LOG_ERROR, "node", "%s: cannot start: ApiType %s is not in this build",
			n->conf->name, config_api_name(n->conf->api_type));
		return -ERR_UNSUPPORTED;
	}
	err = sync_add(n->program->sync, &sc, node_target(n->node), &n->sync);
	if (err)
		log_msg(LOG_ERROR, "node", "%s: cannot start: %s", n->conf->name, err_text(err));
	return err;
}

int program_add_node(struct program *p, const struct config_node *conf)
{
	struct node_world env = {
		.workers = &p->workers,
		.counters = ledger_counters(p->ledger),
		.settle = ledger_settle,
		.settle_arg = p->ledger,
	};
	struct program_node *n = calloc(1, sizeof(*n));
	int err = n ? 0 : -ENOMEM;

	if (!err)
		err = ledger_node(p->ledger, conf->api_host, strtoll(conf->node_id, NULL, 10),
				  conf->node_type, &n->ledger_node);
	if (!err)
		err = node_new(&env, p->conf, conf, n->ledger_node, &n->node);
	if (err) {
		free(n);
		return err;
	}
	n->program = p;
	n->conf = conf;
	err = program_start_sync(n);
	if (err) {
		node_free(n->node);
		free(n);
		return err;
	}
	link_node(p, n);
	return 0;
}

static void on_housekeeping(struct timer *t)
{
	struct program *p = container_of(t, struct program, housekeeping);

	program_return_to_state(p);
	ledger_sync_counters(p->ledger);
	hosted_sync(&p->hosted);
	ledger_adopt(p->ledger);
	timer_set(p->loop, t,
		  loop_now(p->loop) + MAX((int64_t)1, p->conf->state.sync_s) * NSEC_SEC);
}

static const char *aead_word(int64_t engine)
{
	return engine == CONFIG_AEAD_EVP       ? "evp"
	       : engine == CONFIG_AEAD_IPSECMB ? "ipsecmb"
					       : "auto";
}

/* Half of what there is leaves the kernel room for the sockets of the same connections. */
int program_share_memory(struct program *p, const struct config *c)
{
	uint64_t bytes = c->memory_MiB ? (uint64_t)c->memory_MiB << 20 : memory_there("") / 2;

	return workers_set_budget(&p->workers, bytes);
}

static int start_parts(struct program *p)
{
	unsigned n = worker_count(p->conf);
	const char *why = aead_init(aead_word(p->conf->aead));
	int err = why ? -ERR_CONFIG : 0;

	if (err) {
		log_msg(LOG_ERROR, "crypto", "AeadEngine: %s", why);
		return err;
	}
	err = program_open_state(p, n);
	if (!err)
		err = workers_start(&p->workers, p->loop, n, ledger_counters(p->ledger));
	if (!err)
		err = program_share_memory(p, p->conf);
	if (!err)
		err = start_sync(p);
	if (!err)
		hosted_init(&p->hosted, &(struct hosted_world){.loop = p->loop,
							       .workers = &p->workers,
							       .http = p->http,
							       .state_dir = p->conf->state.dir});
	if (err)
		log_msg(LOG_ERROR, "weir", "cannot start: %s", err_text(err));
	return err;
}

static void program_done(struct program *p)
{
	sync_free(p->sync);
	hosted_done(&p->hosted);
	http_free(p->http);
	while (p->nodes) {
		struct program_node *n = p->nodes;

		p->nodes = n->next;
		node_free(n->node);
		free(n);
	}
	timer_stop(&p->housekeeping);
	file_watch_close(&p->files);
	if (p->workers.n)
		workers_stop(&p->workers);
	if (p->ledger)
		ledger_close(p->ledger);
	if (p->state >= 0)
		close(p->state);
	signals_close(&p->signals);
	log_keeper_done(&p->log_keeper);
	loop_free(p->loop);
	for (size_t i = 0; i < p->nold; i++)
		config_free(p->old[i]);
	free(p->old);
	config_free(p->conf);
}

static void on_signal(struct signals *s, int signo);

static int start(struct program *p)
{
	const struct config *conf = p->conf;
	int err;

	timer_init(&p->housekeeping, on_housekeeping);
	log_keeper_init(&p->log_keeper, p->loop);
	err = signals_open(&p->signals, p->loop, caught, on_signal);
	if (!err)
		err = log_keeper_set(&p->log_keeper, &conf->log);
	if (!err)
		err = start_parts(p);
	if (err)
		return err;
	for (size_t i = 0; i < conf->nnodes; i++)
		(void)!program_add_node(p, conf->nodes[i]); /* logged; the others run */
	/* Who runs a manager or a site beside them keeps those. */
	return p->nodes || !conf->nnodes || conf->manager || conf->yassp.count ? 0 : -ERR_CONFIG;
}

int program_start(struct program *p, struct config *conf, struct sections *sections, bool watch)
{
	int err;

	daemon_keep_large_apart();
	*p = (struct program){.conf = conf, .state = -1, .watching = watch};
	signals_block(caught);
	daemon_raise_files();
	p->loop = loop_new(LOOP_EPOLL, 0);
	if (!p->loop) {
		config_free(conf);
		sections_done(sections);
		return -ENOMEM;
	}
	err = start(p);
	if (err) {
		program_done(p);
		sections_done(sections);
		return err;
	}
	hosted_apply(&p->hosted, NULL, conf, sections, 0); /* logged; the others run */
	on_housekeeping(&p->housekeeping);
	program_watch(p);
	log_msg(LOG_INFO, "weir", "version %s, %u workers, AEAD by %s", WEIR_VERSION, p->workers.n,
		aead_engine());
	return 0;
}

/* ---- ending ------------------------------------------------------------------------------ */

static void part_ended(void *arg)
{
	struct program *p = arg;

	if (--p->ending == 0)
		loop_stop(p->loop);
}

static void all_pushed(void *arg)
{
	struct program *p = arg;

	if (!p->reported)
		part_ended(p);
	p->reported = true;
}

static void one_closed(void *arg)
{
	struct program *p = arg;

	if (--p->closing > 0)
		return;
	if (p->hurry)
		all_pushed(p);
	else
		sync_stop(p->sync, p->conf->shutdown_push_timeout_s * NSEC_SEC, all_pushed, p);
}

/* Listeners first, then the sessions, and once their last byte is counted the last push (TR10). */
static void stop(struct program *p)
{
	nsec_t grace = p->conf->shutdown_grace_s * NSEC_SEC;

	p->stopping = true;
	p->ending = 2;
	hosted_stop(&p->hosted, grace, part_ended, p);
	p->closing = 1;
	for (struct program_node *n = p->nodes; n; n = n->next) {
		if (node_state(n->node) == NODE_GONE)
			continue;
		p->closing++;
		node_close(n->node, grace, one_closed, p);
	}
	one_closed(p);
}

/* Asked twice: no grace and no last push.  What is not reported is in the ledger, for the next
 * start.
 */
static void stop_now(struct program *p)
{
	if (p->hurry)
		return;
	p->hurry = true;
	hosted_hurry(&p->hosted);
	if (p->closing == 0)
		all_pushed(p);
	for (struct program_node *n = p->nodes; n; n = n->next) {
		if (node_state(n->node) != NODE_GONE)
			node_close(n->node, 0, one_closed, p);
	}
}

static void on_signal(struct signals *s, int signo)
{
	struct program *p = container_of(s, struct program, signals);

	switch (signo) {
	case SIGHUP:
		if (!p->stopping)
			program_reload(p);
		break;
	case SIGUSR1:
		if (log_reopen())
			log_msg(LOG_WARN, "log", "cannot reopen the log file");
		break;
	default:
		log_msg(LOG_INFO, "weir", "%s: stopping%s", signo == SIGINT ? "SIGINT" : "SIGTERM",
			p->stopping ? " now" : "");
		if (p->stopping)
			stop_now(p);
		else
			stop(p);
	}
}

int program_run(struct program *p)
{
	loop_run(p->loop);
	program_done(p);
	return CMD_OK;
}
