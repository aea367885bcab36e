/* report.h - what is wrong with a configuration: all of it, each with its place.
 *
 * Reading a configuration never stops at the first problem; it adds to a report, and whoever asked
 * decides by `errors`.  A line reads
 *
 *     config.json:12:7: Nodes[2].Timout: warning: unknown key, ignored; did you mean Timeout?
 *
 * Threads: one at a time.
 */
#ifndef WEIR_CONF_REPORT_H
#define WEIR_CONF_REPORT_H

#include <stdio.h>

#include "base/arena.h"
#include "base/json.h"

#define CONF_REPORT_MAX 200 /* problems that are kept; the rest is counted */

struct conf_problem {
	struct conf_problem *next; /* in the order of their discovery */
	unsigned order;		   /* of the file, by its first problem */
	bool warning;
	const char *file;   /* "" when the configuration has no file */
	struct json_pos at; /* line 0: the file as a whole */
	const char *path;   /* "Nodes[2].Timeout"; "" for the document */
	const char *text;   /* "what is wrong; what to do" */
};

struct conf_report {
	struct arena arena;
	struct conf_problem *first, **last;
	size_t kept, errors, warnings; /* errors and warnings count what was not kept too */
	bool away; /* what is behind an address did not come: the same text may be good later */
};

void conf_report_init(struct conf_report *r);
void conf_report_done(struct conf_report *r);

/* Copies everything.  Where memory is short the problem is at least counted. */
void conf_report_add(struct conf_report *r, bool warning, const char *file, struct json_pos at,
		     const char *path, const char *fmt, ...) PRINTF(6, 7);

/* Whether an error has been told of this member of the object at `path`, in whichever part of it. */
bool conf_report_has(const struct conf_report *r, const char *file, const char *path,
		     const char *member);

/* A URL as it may be shown: user-info and query become "***".  `out` has `cap` bytes, is cut where
 * it must be, and is returned.
 */
const char *conf_redact_url(const char *url, char *out, size_t cap);

/* One line per problem, in the order of their places, then how many were not kept. */
void conf_report_print(const struct conf_report *r, FILE *to);

#endif
