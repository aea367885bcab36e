/* panel.h - the reference panel as a service: a store, the node API and the admin API on one port.
 *
 *     struct panel_conf conf = PANEL_CONF_DEFAULT;
 *
 *     conf.listen = "127.0.0.1:0";
 *     conf.db = "panel.db";
 *     err = panel_start(&conf, &panel, &why);
 *     …
 *     panel_stop(panel);
 *
 * It runs on threads of its own.  Several panels may run in one process, on different files.
 */
#ifndef WEIR_PANEL_PANEL_H
#define WEIR_PANEL_PANEL_H

#include "base/base.h"
#include "panel/fault.h"

struct panel;

struct panel_conf {
	const char *listen;	 /* "127.0.0.1:8080", "[::1]:0" */
	const char *db;		 /* file, made when absent */
	const char *admin_token; /* NULL: the one whose digest is in the file, or a new one */
	/* also serve the node API here, "/…"; NULL: only where it always is */
	const char *node_path;
	unsigned threads;
	unsigned alive_ttl_s; /* how long an address counts as online (P6) */
	unsigned rate_per_s;  /* requests of one node (P8); 0: no limit */
	/* ignore an identical push without a key within this (P5); 0: apply */
	unsigned repeat_window_s;
	unsigned stop_ms; /* how long panel_stop() lets requests finish */
	unsigned head_ms; /* how long a connection may be there without a request that is let in */
};

#define PANEL_CONF_DEFAULT                                                                       \
	{                                                                                        \
		.listen = "127.0.0.1:8080", .threads = 4, .alive_ttl_s = 300, .rate_per_s = 100, \
		.stop_ms = 5000, .head_ms = 90000                                                \
	}

/* 0, or -errno / -ERR_* with a sentence in `why`.  `conf` and its texts are not needed afterwards.
 */
MUST_CHECK int panel_start(const struct panel_conf *conf, struct panel **out, struct fault *why);

/* Take no more connections, let requests finish, close the store.  NULL is fine. */
void panel_stop(struct panel *p);

/* The address that it listens on, with the port that the kernel chose for port 0. */
const char *panel_address(const struct panel *p);

/* The admin token, if panel_start() had to make one: shown once, only its digest is kept.  Else
 * NULL. */
const char *panel_new_token(const struct panel *p);

#endif
