/* json_value.h - a JSON document as a tree in an arena, and the lenient readings of its values.
 *
 * For documents that fit in memory many times over: configuration, a panel's node description, one
 * element of a long list.  The long list itself is walked with json.h, and each element built here:
 *
 *     while ((err = json_next(&p, &t)) == 0 && t.type != JSON_T_ARRAY_END) {
 *             arena_reset(&scratch);
 *             err = json_read(&p, &t, &scratch, &user);
 *             ...
 *     }
 *
 * Real panels are PHP over SQL: numbers come as text, empty maps as [], missing values as null. The
 * json_to_*() functions take what such programs mean (spec: panel-apis 2.2, rules L1-L8);
 * hand-written configuration is read with the same ones.  All of them return
 *
 *     0               *out is set
 *     JSON_DEFAULT    absent (a NULL value), null, or (numbers, booleans, objects) "": *out is
 * untouched -ERR_MALFORMED  another kind of value: a field error -ERANGE         an integer beyond
 * 64 bits, a decimal beyond double -ENOMEM         the arena is full
 *
 * so a caller fills in the default first and looks for < 0.
 */
#ifndef WEIR_JSON_VALUE_H
#define WEIR_JSON_VALUE_H

#include "base/arena.h"
#include "base/base.h"
#include "base/json.h"

#define JSON_DEFAULT 1

/* A value and its place among its siblings.  `type` is one of JSON_T_OBJECT, ARRAY, STRING, NUMBER,
 * TRUE, FALSE, NULL.
 */
struct json_value {
	struct json_value *next; /* the next member or element */
	const char *key;	 /* of a member; NUL-terminated */
	union {
		const char *text;	  /* STRING, NUMBER: NUL-terminated; `len` without it */
		struct json_value *child; /* OBJECT, ARRAY: the first member or element */
	};
	uint32_t len; /* of the text; how many children */
	struct json_pos at, key_at;
	uint8_t type;
	bool bad, bad_key; /* NUL or not UTF-8: no reading as text succeeds */
};

/* The whole document.  0, a parser's error with its place in *at and a phrase in *what (both may be
 * NULL), or -ENOMEM.
 */
MUST_CHECK int json_parse(const char *text, size_t len, unsigned flags, struct arena *a,
			  struct json_value **out, struct json_pos *at, const char **what);

/* The value that begins with `t`, the token that json_next() gave last (not a KEY nor an END). */
MUST_CHECK int json_read(struct json *p, const struct json_token *t, struct arena *a,
			 struct json_value **out);

/* The member of an object: exactly that key first, then ASCII case-insensitively; of duplicates the
 * last one.  NULL where there is none, or `v` is NULL or no object.
 */
const struct json_value *json_get(const struct json_value *v, const char *key);

/* json_get() for the first of several spellings that is there and not null; a NULL ends the list.
 */
const struct json_value *json_get_any(const struct json_value *v, const char *const keys[]);

/* L12: `doc` when it has `key`; else its `data` when that is an object or array; else `doc`. */
const struct json_value *json_unwrap(const struct json_value *doc, const char *key);

/* L1: an integral number (60.0 and 1e3 too), text of one with blanks and sign, true, false. */
MUST_CHECK int json_to_int(const struct json_value *v, int64_t *out);

/* L2: a number or text of one. */
MUST_CHECK int json_to_decimal(const struct json_value *v, double *out);

/* L3: true, false, 0, 1, or text: 0 1 true false yes no on off, in any case. */
MUST_CHECK int json_to_bool(const struct json_value *v, bool *out);

/* L4: text, or a number as its shortest decimal text.  The text of a string is the value's own. */
MUST_CHECK int json_to_text(const struct json_value *v, struct arena *a, const char **out);

/* L5: an object; [] is an empty one; text that holds an object is parsed once. */
MUST_CHECK int json_to_object(const struct json_value *v, struct arena *a,
			      const struct json_value **out);

struct json_list {
	const char **items; /* NUL-terminated */
	size_t count;
};

/* L6: a list of texts: array of text or numbers; one text, split at commas and newlines, trimmed,
 * empties dropped; an object with numeric keys, in the order of its keys.
 */
MUST_CHECK int json_to_list(const struct json_value *v, struct arena *a, struct json_list *out);

/* L6n: the same, but one text is split at newlines only. */
MUST_CHECK int json_to_lines(const struct json_value *v, struct arena *a, struct json_list *out);

/* L7: a map keyed by user id: an object with decimal keys, or an array, whose indices are the keys.
 *
 *     struct json_ids it;
 *
 *     err = json_ids_init(&it, v);
 *     while (json_ids_next(&it, &id, &value))
 *             ...
 *
 * Keys that are no numbers are skipped and counted in it.bad.
 */
struct json_ids {
	const struct json_value *next;
	int64_t index;
	bool array;
	size_t bad;
};
MUST_CHECK int json_ids_init(struct json_ids *it, const struct json_value *v);
bool json_ids_next(struct json_ids *it, int64_t *id, const struct json_value **value);

/* An integer as json_to_int() reads it from text; shared with query strings and the like. */
MUST_CHECK int json_int_of_text(const char *text, size_t len, int64_t *out);

#endif
