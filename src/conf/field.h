/* field.h - one value into one field, by its row.  Inside the folder only. */
#ifndef WEIR_CONF_FIELD_H
#define WEIR_CONF_FIELD_H

#include "conf/read.h"

/* 0: `field` is set.  JSON_DEFAULT: null, or empty where that means so; untouched.  -ERR_CONFIG:
 * wrong, and in the report.  -ENOMEM.
 */
MUST_CHECK int conf_field_read(struct conf_reader *r, const struct conf_row *row,
			       const struct json_value *v, void *field);

#endif
