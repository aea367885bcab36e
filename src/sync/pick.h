/* pick.h - taking fields out of a panel's document: several places in order, several spellings
 * each, lenient readings, and a remark instead of an error (panel-apis 2.2, L8-L11).
 *
 *     port = pick_int(&p, KEYS("server_port", "port"), 0);
 *     if (p.last < 0) ...                        there, but no integer: remarked, the default taken
 *
 * A value that is null, "", [] or {} counts as absent, so that the next spelling or place may have
 * it. Results live in `mem`.  Values of fields that may be secret never reach a remark: only
 * numbers do.
 */
#ifndef WEIR_SYNC_PICK_H
#define WEIR_SYNC_PICK_H

#include "base/json_value.h"
#include "node/info.h"
#include "sync/notes.h"
#include "sync/url.h"

#define KEYS(...) ((const char *const[]){__VA_ARGS__, NULL})

#define PICK_PLACES 5

struct pick {
	struct arena *mem;
	struct notes *notes;
	const char *where; /* before a field's name in remarks: "" or "tls_settings." */
	const struct json_value *in[PICK_PLACES]; /* first hit wins; NULLs are skipped */
	int last; /* of the last pick: 0, JSON_DEFAULT (absent), or negative (wrong) */
	bool oom; /* sticky */
};

/* NULL: absent. */
const struct json_value *pick_value(struct pick *p, const char *const keys[]);

int64_t pick_int(struct pick *p, const char *const keys[], int64_t otherwise);
int64_t pick_uint(struct pick *p, const char *const keys[], int64_t otherwise); /* < 0 is wrong */
double pick_decimal(struct pick *p, const char *const keys[], double otherwise);
bool pick_bool(struct pick *p, const char *const keys[], bool otherwise);
const char *pick_text(struct pick *p, const char *const keys[]); /* NULL: absent, wrong or "" */
const char *pick_name(struct pick *p, const char *const keys[]); /* trimmed, lower-case; NULL */

/* Empty when absent. */
struct text_list pick_list(struct pick *p, const char *const keys[]);  /* L6 */
struct text_list pick_lines(struct pick *p, const char *const keys[]); /* L6n, or JSON in a text */

/* An object (L5), or NULL. */
const struct json_value *pick_object(struct pick *p, const char *const keys[]);

/* Any object or array as compact JSON text, or NULL. */
const char *pick_json(struct pick *p, const char *const keys[]);

/* Header values, each a text or a list; those named Host go to `hosts` (when not NULL). */
struct header_list pick_headers(struct pick *p, const char *const keys[], struct text_list *hosts);

/* A Go duration ("3s", "1m30s", "500ms"), or a bare number in units of `unit_ms`. */
int64_t pick_duration_ms(struct pick *p, const char *const keys[], int64_t unit_ms,
			 int64_t otherwise);

/* An object's fields, remarked under `where`. */
struct pick pick_into(const struct pick *p, const char *where, const struct json_value *object);

/* "1h2m3.5s" -> milliseconds; 0 or -ERR_MALFORMED. */
MUST_CHECK int duration_parse_ms(const char *text, int64_t *out);

/* Compact JSON, members in their order. */
void json_compact(const struct json_value *v, struct text *out);

#endif
