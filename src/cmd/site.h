/* site.h - a YaSSP site with all that it works with: state folder, ledger, engine, push server.  What
 * `weir yassp` runs, and `weir run` for each entry of the section Yassp.
 *
 *     site_conf_load("sites.cfg", "site-1", &report, &conf);
 *     site_start(&world, conf, &s);
 *     site_stop(s, grace, stopped, arg);    then, from the loop, site_free(s)
 *
 * Threads: control only.
 */
#ifndef WEIR_CMD_SITE_H
#define WEIR_CMD_SITE_H

#include <string.h>

#include "node/workers.h"
#include "yassp/yassp.h"

/* A section of an INI file. */
struct site_conf {
	struct yassp_conf conf;
	const char *file, *section;
	const char *real; /* the file without links and dots, if it can be told */
	struct ini *ini;  /* these two hold the texts */
	struct arena mem;
};

/* A site is its file, whatever it is called, and its section. */
static inline bool site_conf_is(const struct site_conf *a, const struct site_conf *b)
{
	return !strcmp(a->real, b->real) && !strcmp(a->section, b->section);
}

/* Whatever is wrong goes to the report, at its place in the file.  0, -ENOMEM, -ERR_CONFIG. */
MUST_CHECK int site_conf_load(const char *file, const char *section, struct conf_report *report,
			      struct site_conf **out);
void site_conf_free(struct site_conf *c);

struct site;

struct site_world {
	struct loop *loop;
	struct workers *workers;
	struct http *http;
	const char *state_root; /* of the folder of state, unless the file says otherwise */
	bool again;		/* what is wrong has been told: to the debug log */
};

/* `conf` outlives it.  0, or an error that has been logged, and everything is as before. */
MUST_CHECK int site_start(const struct site_world *world, const struct site_conf *conf,
			  struct site **out);

const char *site_dir(const struct site *s); /* of its state */
void site_sync(struct site *s);		    /* counters to disk, now and then */

/* Once: ports close, connections end within `grace`, everything is reported. */
void site_stop(struct site *s, nsec_t grace, void (*stopped)(void *arg), void *arg);

/* After that: no more patience with connections; and none with the panel. */
void site_hasten(struct site *s);
void site_hurry(struct site *s);
void site_free(struct site *s); /* after `stopped`, not from within it */

#endif
