/* read.h - the walker: fills structs from JSON by their schema, and reports everything that is
 * wrong.
 *
 *     struct conf_reader r = {.arena = &arena, .report = &report, .file = "config.json"};
 *
 *     err = conf_read(&r, &log_schema, json_get(doc, "Log"), &conf->log);
 *     if (err || report.errors)
 *             ...
 *
 * Several texts may fill one struct: conf_defaults() first, then conf_apply() for each, the weakest
 * first, then conf_require().  conf_read() is all three.  They return 0 or -ENOMEM; what is wrong
 * with the text goes to the report only, and the option keeps the value it had.
 *
 * The values and texts of the document are referred to, not copied: it lives in the same arena, or
 * one that lives as long.
 */
#ifndef WEIR_CONF_READ_H
#define WEIR_CONF_READ_H

#include "conf/report.h"
#include "conf/schema.h"

#define CONF_PATH_MAX 256

enum conf_read_flags {
	CONF_FILL = 1, /* only what no earlier text has set */
	/* from a panel: CONF_LOCAL rows are passed over, what is wrong only warns */
	CONF_REMOTE = 2,
};

struct conf_reader {
	struct arena *arena;
	struct conf_report *report;
	const char *file;
	unsigned flags;
	const char *(*getenv)(const char *name); /* NULL: the environment of the process */
	char path[CONF_PATH_MAX];		 /* where we are: "Nodes[2]" */
	size_t path_len;
	const struct conf_row *warned[64]; /* rows whose one warning is out */
	size_t nwarned;
};

MUST_CHECK int conf_read(struct conf_reader *r, const struct conf_schema *s,
			 const struct json_value *object, void *out);
MUST_CHECK int conf_defaults(struct conf_reader *r, const struct conf_schema *s, void *out);

/* `object` NULL or null: nothing to do. */
MUST_CHECK int conf_apply(struct conf_reader *r, const struct conf_schema *s,
			  const struct json_value *object, void *out);

/* Complain at `at` for each CONF_REQUIRED row that is not set or empty. */
void conf_require(struct conf_reader *r, const struct conf_schema *s, struct json_pos at,
		  const void *out);

/* Walk down for what follows, and back: name "Nodes" and index 2 give "Nodes[2]"; index < 0: none.
 */
size_t conf_enter(struct conf_reader *r, const char *name, int64_t index);
void conf_leave(struct conf_reader *r, size_t mark); /* what conf_enter() returned */

/* A problem at the path where the reader stands, or at a member of it. */
void conf_error(struct conf_reader *r, struct json_pos at, const char *member, const char *fmt, ...)
	PRINTF(4, 5);
void conf_warn(struct conf_reader *r, struct json_pos at, const char *member, const char *fmt, ...)
	PRINTF(4, 5);

#endif
