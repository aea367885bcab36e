/* site.h - a YaSSP site with all that it works with, push server included, as a service: what `weir yassp`
 * runs, and `weir run` for each entry of the section Yassp.
 *
 *     site_conf_load("sites.cfg", "site-1", &report, &conf);
 *     site_start(&world, conf, &s);
 *
 * In a hurry nobody waits for the panel either.  Threads: control only.
 */
#ifndef WEIR_CMD_SITE_H
#define WEIR_CMD_SITE_H

#include <string.h>

#include "cmd/service.h"
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

/* As service_start(). */
MUST_CHECK int site_start(const struct service_world *world, const struct site_conf *conf,
			  struct service **out);

#endif
