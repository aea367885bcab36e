/* print.h - what a schema knows, for people: a struct as JSON, and the reference of its options. */
#ifndef WEIR_CONF_PRINT_H
#define WEIR_CONF_PRINT_H

#include <jansson.h>
#include <stdio.h>

#include "conf/schema.h"

enum conf_print_flags {
	CONF_PRINT_DEFAULTS = 1, /* what was not given too */
};

/* A new reference, or NULL without memory.  Values of CONF_SECRET rows come masked. */
json_t *conf_to_json(const struct conf_schema *s, const void *object, unsigned flags);

/* A secret as it may be shown: all of it hidden up to 8 characters, else all but the first and last
 * four.  `out` has CONF_MASK_MAX bytes and is returned.
 */
#define CONF_MASK_MAX 16
const char *conf_mask(const char *secret, char out[CONF_MASK_MAX]);

/* One Markdown table, without a heading; objects and arrays point at the section of their schema.
 */
void conf_print_reference(const struct conf_schema *s, FILE *to);

#endif
