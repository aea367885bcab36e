/* via_plugin.h - a SIP003 plugin on the way to a server: started, waited for, and where to connect.
 *
 *     via_plugin_start(loop, &spec, ready, ended, arg, &v, why)
 *     ready(arg, at): streams, packets or both go there from now on
 *
 * A port of loopback is chosen; should the plugin end before it listens there, another one, three
 * in all.  Threads: the loop's, which is the thread that started us (a child dies with it).
 */
#ifndef WEIR_CLIENT_VIA_PLUGIN_H
#define WEIR_CLIENT_VIA_PLUGIN_H

#include "net/dest.h"
#include "plugin/plugin.h"

struct via_spec {
	const char *program, *options;
	const struct dest *server;
	enum plugin_net net; /* what it carries */
};

struct via_plugin;

struct via_hooks {
	void *arg;
	/* Once: what it carries may go to `at`. */
	void (*ready)(void *arg, const struct addr *at);
	/* It has ended, for good as far as this goes: "exited with status 1". */
	void (*ended)(void *arg, const char *how);
};

/* What `spec` points to outlives it.  0, or an error with a sentence in `why`. */
MUST_CHECK int via_plugin_start(struct loop *l, const struct via_spec *spec,
				const struct via_hooks *hooks, struct via_plugin **out,
				char why[PLUGIN_WHY_MAX]);
void via_plugin_free(struct via_plugin *v); /* NULL is fine */

#endif
