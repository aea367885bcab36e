/* csv.h - records of comma-separated text (RFC 4180): quotes, doubled quotes, line ends of any
 * kind.
 *
 *     struct csv c;
 *
 *     csv_init(&c, text, len);
 *     while ((n = csv_record(&c, fields, ARRAY_LEN(fields))) > 0)
 *             …                       n fields, the record began at line c.line
 *
 * The text is changed in place: fields point into it and end in NUL.  Empty lines are skipped.
 */
#ifndef WEIR_PANEL_CSV_H
#define WEIR_PANEL_CSV_H

#include "base/base.h"

struct csv {
	char *at, *end;
	unsigned line, next_line;
};

/* `text` has room for one byte more than `len`. */
void csv_init(struct csv *c, char *text, size_t len);

/* The number of fields, 0 at the end, -ERR_MALFORMED, or -ERR_TOO_BIG for more than `max` of them.
 */
MUST_CHECK int csv_record(struct csv *c, char **fields, int max);

#endif
