#include "client/via_plugin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define TRIES 3

struct via_plugin {
	struct loop *loop;
	struct via_spec spec;
	struct via_hooks hooks;
	struct plugin *plugin;
	struct addr at;
	char host[DEST_NAME_MAX + 1];
	unsigned tries;
	bool ready;
};

static int try_port(struct via_plugin *v, char why[PLUGIN_WHY_MAX]);

static void on_ready(void *arg, struct plugin *p, bool accepts)
{
	struct via_plugin *v = arg;

	/* Not yet may become soon: a connection that is refused says so by itself. */
	v->ready = true;
	v->hooks.ready(v->hooks.arg, &v->at);
}

static void on_ended(void *arg, struct plugin *p, const char *how)
{
	struct via_plugin *v = arg;
	char text[PLUGIN_WHY_MAX];

	/* A port that was free a moment ago may have been taken since. */
	if (!v->ready && plugin_state(p) != PLUGIN_GIVEN_UP && v->tries < TRIES) {
		plugin_free(p);
		v->plugin = NULL;
		if (try_port(v, text) == 0)
			return;
		how = text;
	}
	v->hooks.ended(v->hooks.arg, how);
}

static int try_port(struct via_plugin *v, char why[PLUGIN_WHY_MAX])
{
	const struct plugin_hooks hooks = {.arg = v, .ended = on_ended, .ready = on_ready};
	uint16_t port;
	struct plugin_spec spec = {
		.tag = v->host,
		.name = v->spec.program,
		.options = v->spec.options,
		.client = true,
		.remote_host = v->host,
		.remote_port = v->spec.server->port,
		.local_host = "127.0.0.1",
		.no_probe = v->spec.net == PLUGIN_UDP_ONLY,
	};
	int err = plugin_free_port(v->spec.net, &port);

	if (err) {
		snprintf(why, PLUGIN_WHY_MAX, "no free port: %s", err_text(err));
		return err;
	}
	v->tries++;
	v->at = plugin_loopback(NULL, 0);
	addr_set_port(&v->at, port);
	spec.local_port = port;
	return plugin_start(v->loop, &spec, &hooks, &v->plugin, why);
}

/* Names go unresolved, addresses without brackets. */
static void set_host(struct via_plugin *v)
{
	struct addr a;

	if (dest_addr(v->spec.server, &a) == 0)
		addr_format_ip(&a, v->host);
	else
		memcpy(v->host, v->spec.server->bytes, (size_t)v->spec.server->len + 1);
}

int via_plugin_start(struct loop *l, const struct via_spec *spec, const struct via_hooks *hooks,
		     struct via_plugin **out, char why[PLUGIN_WHY_MAX])
{
	struct via_plugin *v = calloc(1, sizeof(*v));
	int err;

	if (!v)
		return -ENOMEM;
	v->loop = l;
	v->spec = *spec;
	v->hooks = *hooks;
	set_host(v);
	err = try_port(v, why);
	if (err) {
		via_plugin_free(v);
		return err;
	}
	*out = v;
	return 0;
}

void via_plugin_free(struct via_plugin *v)
{
	if (!v)
		return;
	plugin_free(v->plugin);
	free(v);
}
