/* plugin.h - a SIP003 plugin: a program between Shadowsocks and the network, run as our child.
 *
 *     server side   the plugin owns the public port; Shadowsocks listens on loopback, and is bound first
 *     client side   the plugin listens on loopback, Shadowsocks connects to it
 *
 *     plugin_loopback(hosts, nhosts, &at);             bind Shadowsocks there, port 0
 *     spec.local_host, spec.local_port = where that is
 *     plugin_start(loop, &spec, &hooks, &p, why);
 *     ...
 *     plugin_stop(p, stopped, arg);                     close the loopback listener before
 *     plugin_free(p);                                   in stopped(), or at any time
 *
 * A plugin that ends by itself is started again after 1, 2, 4 ... 60 s, with the same variables, so
 * what listens on loopback may stay as it is.  After ten failures in a row, or when it says that
 * its configuration is wrong (status 23) or cannot be executed, it is given up until it is started
 * anew.  It leads a process group of its own and dies with us.  What it prints goes to the log.
 *
 * Threads: the control thread's loop only (a child dies with the thread that started it).
 */
#ifndef WEIR_PLUGIN_PLUGIN_H
#define WEIR_PLUGIN_PLUGIN_H

#include "event/loop.h"
#include "net/addr.h"

#define PLUGIN_WHY_MAX	128
#define PLUGIN_HOST_MAX 1024

struct plugin_spec {
	const char *tag;	 /* what the log calls it: "8388" */
	const char *name;	 /* a path, or a name to be looked for */
	const char *options;	 /* "": none */
	const char *const *args; /* behind argv[0], NULL-terminated; NULL: none; never a panel's */
	const char *const *path; /* folders to search before PATH, NULL-terminated; NULL: none */
	bool client;
	/* server: the public address or addresses (plugin_hosts_join); client: the server's name or
	 * address */
	const char *remote_host;
	uint16_t remote_port;
	const char *local_host; /* bare IP */
	uint16_t local_port;
	nsec_t stop_timeout; /* from TERM to KILL; 0: 3 s */
	bool no_probe;	     /* do not look whether it accepts: udp_only */
};

enum plugin_state {
	PLUGIN_RUNNING,
	PLUGIN_RESTING,	 /* it has ended, and will be started again */
	PLUGIN_GIVEN_UP, /* it has ended, and will not */
	PLUGIN_STOPPING,
	PLUGIN_GONE,
};

struct plugin;

struct plugin_hooks {
	void *arg;
	/* It has ended by itself: "exited with status 3".  NULL: nobody needs to know. */
	void (*ended)(void *arg, struct plugin *p, const char *how);
	/* Once after each start: it accepts connections, or the time to wait for that (client 3 s,
	 * server 5 s) is over; where nobody can look, it is taken to accept then.  NULL likewise. */
	void (*ready)(void *arg, struct plugin *p, bool accepts);
};

/* The texts of `spec` are copied.  0; -ENOENT, -EACCES, -ERR_UNSUPPORTED (obfsproxy, which predates
 * SIP003), -ERR_MALFORMED (options), other -errno, with a sentence in `why`.
 */
MUST_CHECK int plugin_start(struct loop *l, const struct plugin_spec *spec,
			    const struct plugin_hooks *hooks, struct plugin **out,
			    char why[PLUGIN_WHY_MAX]);

/* What is in the pipes gets 200 ms to drain, then TERM to the group, after stop_timeout KILL.
 * stopped() comes later from the loop, once; then it is gone, and waits for plugin_free().
 */
void plugin_stop(struct plugin *p, void (*stopped)(void *arg, struct plugin *p), void *arg);

/* At any time but from inside `ready`: kills what still runs. */
void plugin_free(struct plugin *p);

enum plugin_state plugin_state(const struct plugin *p);
unsigned plugin_failures(const struct plugin *p); /* in a row */

/* ---- where and who: pure --------------------------------------------------------------------- */

/* Several listen addresses in one variable: "0.0.0.0|::".  "" among them is 0.0.0.0.  0 or
 * -ENOBUFS.
 */
MUST_CHECK int plugin_hosts_join(const char *const *hosts, size_t n, char out[PLUGIN_HOST_MAX]);

/* ::1 when all of them are IPv6 literals, else 127.0.0.1; port 0. */
struct addr plugin_loopback(const char *const *hosts, size_t n);

/* May somebody who is not the operator name this plugin?  `allow`: names, or absolute paths,
 * NULL-terminated; NULL: none.
 */
bool plugin_allowed(const char *const *allow, const char *name);

enum plugin_net {
	PLUGIN_TCP_ONLY,
	PLUGIN_TCP_AND_UDP,
	PLUGIN_UDP_ONLY,
};

/* "tcp_only" and so on; -ERR_MALFORMED. */
MUST_CHECK int plugin_net_parse(const char *text, enum plugin_net *out);

/* A port of 127.0.0.1 that nobody uses at this moment for any of `net`, for a client's plugin. */
MUST_CHECK int plugin_free_port(enum plugin_net net, uint16_t *port);

enum plugin_place {
	PLUGIN_NOWHERE,
	PLUGIN_PUBLIC,	 /* Shadowsocks itself, on the public address */
	PLUGIN_LOOPBACK, /* Shadowsocks behind the plugin */
};

/* Where Shadowsocks listens for TCP and for UDP, of the server's mode and the plugin's.
 * -ERR_CONFIG: the plugin would have nothing to do.
 */
MUST_CHECK int plugin_places(enum plugin_net server, enum plugin_net plugin, enum plugin_place *tcp,
			     enum plugin_place *udp);

#endif
