/* The plugin of a node: runs as long as what is served wants it (docs/internals/session.md is what
 * happens behind it).  It is started when Shadowsocks listens on loopback on all workers, stopped
 * when the node stops serving or wants another, and the public port is taken back once it has gone.
 */
#include <stdio.h>

#include "base/err.h"
#include "base/log.h"
#include "node/inbound_plugin.h"
#include "node/node_impl.h"

#define RETRY_FIRST (500 * NSEC_MS)
#define RETRY_MAX   (60 * NSEC_SEC)

static void start(struct node *n)
{
	const struct inbound_plugin *p = n->in->plugin;
	const struct addr *at = &n->in->listen[p->inner];
	const char *folders[INBOUND_PLUGIN_LIST + 1];
	char local[ADDR_TEXT_MAX], why[PLUGIN_WHY_MAX] = "";
	const struct plugin_spec spec = {
		.tag = n->tag,
		.name = p->name,
		.options = p->options,
		.path = inbound_plugin_list(&n->file->plugins.path, folders),
		.remote_host = p->hosts,
		.remote_port = p->port,
		.local_host = addr_format_ip(at, local),
		.local_port = addr_port(at),
		.no_probe = p->tcp != PLUGIN_LOOPBACK,
	};
	const struct plugin_hooks none = {0};
	int err = plugin_start(node_loop(n), &spec, &none, &n->plugin, why);

	if (!err) {
		n->plugged = n->in;
		n->plugged->refs++;
		return;
	}
	log_msg(LOG_ERROR, "node", "%s: plugin %s cannot be started: %s", n->tag, p->name,
		*why ? why : err_text(err));
}

static void on_stopped(void *arg, struct plugin *p)
{
	struct node *n = arg;

	node_plugin_done(n);
	if (n->stale && !n->apply)
		node_refresh(n);
	node_plugin_settle(n);
}

/* The operator's word counts at once, also where nothing can be served in the plugin's place. */
static const struct inbound *wanted(const struct node *n)
{
	const struct inbound *in = n->state == NODE_SERVING ? n->in : NULL;

	if (in && in->plugin && !inbound_plugin_allowed(n->file, in->plugin->name))
		return NULL;
	return in;
}

static void stop(struct node *n)
{
	const char *name = n->plugged->plugin->name;

	if (!inbound_plugin_allowed(n->file, name))
		log_msg(LOG_WARN, "node", "%s: plugin %s is no longer in Plugins.Allow: stopped",
			n->tag, name);
	plugin_stop(n->plugin, on_stopped, n);
}

/* It could not be started, or something still holds the port that is taken back from it: a helper of
 * the plugin takes a moment to die.
 */
static bool lacks_something(const struct node *n, const struct inbound *want)
{
	return want && (want->partial || (want->plugin && !n->plugin));
}

static void try_again_later(struct node *n)
{
	n->retry_in = n->retry_in ? MIN(2 * n->retry_in, RETRY_MAX) : RETRY_FIRST;
	timer_set(node_loop(n), &n->retry, loop_now(node_loop(n)) + n->retry_in);
}

static void on_retry(struct timer *t)
{
	struct node *n = container_of(t, struct node, retry);

	if (n->state == NODE_SERVING && n->in->partial && !n->apply)
		node_refresh(n);
	node_plugin_settle(n);
}

void node_plugin_settle(struct node *n)
{
	const struct inbound *want = wanted(n);

	timer_stop(&n->retry);
	if (n->apply || (n->plugin && plugin_state(n->plugin) >= PLUGIN_STOPPING))
		return; /* the end of that comes here again */
	if (n->plugin && !inbound_plugin_same(n->plugged, want)) {
		stop(n);
		return;
	}
	if (!n->plugin && want && want->plugin)
		start(n);
	if (lacks_something(n, want))
		try_again_later(n);
	else
		n->retry_in = 0;
}

static bool given_up(const struct node *n)
{
	return n->plugin && plugin_state(n->plugin) == PLUGIN_GIVEN_UP;
}

void node_plugin_revive(struct node *n)
{
	if (given_up(n))
		plugin_stop(n->plugin, on_stopped, n);
}

void node_plugin_report(const struct node *n)
{
	if (given_up(n))
		log_msg(LOG_WARN, "node",
			"%s: plugin %s has been given up: nobody gets through it before a reload",
			n->tag, n->plugged->plugin->name);
}

void node_plugin_init(struct node *n)
{
	timer_init(&n->retry, on_retry);
}

void node_plugin_done(struct node *n)
{
	plugin_free(n->plugin);
	n->plugin = NULL;
	inbound_put(n->plugged);
	n->plugged = NULL;
}
