/* field.h - tables that say how the members of a struct look in JSON: one place for reading,
 * bounds and writing, whether the value came over the admin API or from the command line.
 *
 * Numbers and booleans are also taken as strings, which is what command lines and forms have.
 */
#ifndef WEIR_PANEL_FIELD_H
#define WEIR_PANEL_FIELD_H

#include <jansson.h>

#include "base/base.h"
#include "panel/fault.h"

enum field_kind {
	FIELD_TEXT,  /* char[max + 1]; UTF-8 of min..max bytes without control characters */
	FIELD_INT,   /* int64_t in min..max */
	FIELD_REAL,  /* double in min..max */
	FIELD_BOOL,  /* bool */
	FIELD_BYTES, /* int64_t; also "10GB", "512MiB" */
	FIELD_DATE,  /* int64_t seconds since 1970, 0 for never; also "2026-12-31", "+30d" */
};

struct field {
	const char *name;
	enum field_kind kind;
	bool read_only; /* shown, and accepted only with the value that it has */
	size_t offset;
	int64_t min, max;
};

/* Read every member of `from` that `rows` know into `to`; null means the kind's zero.  Keys of
 * `skip` (ends with NULL; may be NULL) are somebody else's, any other key is a fault.
 */
MUST_CHECK int fields_read(const struct field *rows, size_t n, json_t *from,
			   const char *const *skip, void *to, struct fault *why);

/* A new object with every field; NULL: no memory. */
json_t *fields_emit(const struct field *rows, size_t n, const void *from);

/* The single conversions, for whoever has no struct. */
MUST_CHECK int field_text(json_t *v, const char *name, size_t min, size_t max, char *out,
			  struct fault *why);
MUST_CHECK int field_int(json_t *v, const char *name, int64_t min, int64_t max, int64_t *out,
			 struct fault *why);
MUST_CHECK int field_bool(json_t *v, const char *name, bool *out, struct fault *why);

/* "2026-12-31" (its last second, UTC), "2026-12-31T08:00:00Z", "+30d" after `now`, seconds. */
MUST_CHECK int date_parse(const char *text, int64_t now, int64_t *out);

/* "1048576", "10GB", "1 GiB". */
MUST_CHECK int bytes_parse(const char *text, int64_t *out);

#endif
