/* diff.h - what differs between two structs of one schema, and what applying it costs. */
#ifndef WEIR_CONF_DIFF_H
#define WEIR_CONF_DIFF_H

#include "conf/schema.h"

/* Calls `differs` (may be NULL) for each row whose value differs, nested ones with their path
 * ("LimitConfig.SpeedLimit").  Returns how many.  Whether a value was given or is the default makes
 * no difference.  Secrets compare like all others; the caller must not print them.
 */
size_t conf_diff(const struct conf_schema *s, const void *a, const void *b,
		 void (*differs)(void *arg, const char *path, const struct conf_row *row),
		 void *arg);

/* Documents that an owner decodes: the same, but for blanks and comments?  NULL is only like NULL. */
bool conf_same_value(const struct json_value *a, const struct json_value *b);

/* The dearest class among the rows that differ; CONF_LIVE when none does. */
enum conf_reload conf_diff_reload(const struct conf_schema *s, const void *a, const void *b);

#endif
