/* options.h - the option string of SIP003: key=value;key2;key3=v3 (docs/protocols/sip003.md).
 * Pure.
 *
 *     struct plugin_options o;
 *
 *     if (plugin_options_parse("obfs=http;host=a\\;b", &o, &why) == 0)
 *             plugin_options_get(&o, "host");           "a;b"
 *     plugin_options_done(&o);
 *
 * A backslash takes the next byte literally.  A key without '=' is present: its value is "1".  An
 * option given again is kept; where one value is wanted the first counts.  What a plugin gets is
 * the text as it was configured, never one that was parsed and written again.
 */
#ifndef WEIR_PLUGIN_OPTIONS_H
#define WEIR_PLUGIN_OPTIONS_H

#include "base/base.h"
#include "base/wr.h"

#define PLUGIN_OPTIONS_MAX 8192 /* bytes of an option string */

struct plugin_option {
	const char *key, *value; /* NUL-terminated */
};

struct plugin_options {
	struct plugin_option *v; /* in the order of the text */
	size_t n;
	char *mem;
};

/* 0; -ERR_MALFORMED (an empty key, a backslash at the end, a newline), -ERR_TOO_BIG, -ENOMEM, with
 * a phrase in *why (static storage).  "" has no options.
 */
MUST_CHECK int plugin_options_parse(const char *text, struct plugin_options *out, const char **why);
void plugin_options_done(struct plugin_options *o);

/* The first value of that key, or NULL. */
const char *plugin_options_get(const struct plugin_options *o, const char *key);

/* One more option at the end of what `w` holds (from its base on), escaped, with its ';' before.
 * Any bytes but NUL come back when it is parsed, an empty key and newlines excepted.
 */
void plugin_options_emit(struct wr *w, const char *key, const char *value);

/* May this be handed to a plugin at all?  0, or -ERR_MALFORMED (newline), -ERR_TOO_BIG. */
MUST_CHECK int plugin_options_check(const char *text);

#endif
