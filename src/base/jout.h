/* jout.h - JSON text that grows while it is written: answers of a hundred thousand entries without
 * a tree in between.
 *
 *     struct jout j = {0};
 *
 *     jout_str(&j, "{\"name\":");
 *     jout_quoted(&j, user->name);
 *     jout_str(&j, "}");
 *     if (j.failed)
 *             ...                      no memory at some point; free(j.at) all the same
 *
 * The text belongs to the caller, ends in NUL and is released with free(j.at).
 */
#ifndef WEIR_JOUT_H
#define WEIR_JOUT_H

#include "base/base.h"
#include "base/json_value.h"

struct jout {
	char *at;
	size_t len, cap;
	bool failed;
};

void jout_bytes(struct jout *j, const void *bytes, size_t n);
void jout_str(struct jout *j, const char *s);
void jout_int(struct jout *j, int64_t v);
void jout_real(struct jout *j, double v);	 /* 80, 0.5: as short as it reads back */
void jout_quoted(struct jout *j, const char *s); /* a JSON string; `s` is UTF-8 */
/* A whole value, without blanks; members and elements with bad text are left out. */
void jout_value(struct jout *j, const struct json_value *v);

#endif
