/* json.c - any bytes: the parser and the tree agree, the readings keep their promises. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What json_next() says of the whole document: 0 or its error; how many values it has. */
static int scan(const char *text, size_t len, unsigned flags, size_t *values)
{
	struct json_token t;
	struct json p;
	int err;

	*values = 0;
	json_init(&p, text, len, flags);
	do {
		err = json_next(&p, &t);
		if (err)
			return err;
		assert(t.type == JSON_T_END || (t.text >= text && t.text + t.len <= text + len));
		if (t.type == JSON_T_KEY || t.type == JSON_T_STRING) {
			char *copy = malloc(t.len + 1);

			assert(json_unescape(&t, copy) <= t.len);
			free(copy);
		}
		*values += t.type != JSON_T_END && t.type != JSON_T_KEY &&
			   t.type != JSON_T_OBJECT_END && t.type != JSON_T_ARRAY_END;
	} while (t.type != JSON_T_END);
	return 0;
}

static size_t read_all(const struct json_value *v, struct arena *a)
{
	const struct json_value *object;
	struct json_list list;
	struct json_ids ids;
	const char *text;
	size_t count = 1;
	double decimal;
	int64_t n;
	bool yes;

	if (json_to_int(v, &n) == 0 && v->type == JSON_T_NUMBER)
		assert(json_to_decimal(v, &decimal) == 0);
	if (json_to_decimal(v, &decimal) == 0)
		assert(decimal == decimal);
	if (json_to_text(v, a, &text) == 0 && v->type == JSON_T_STRING)
		assert(strlen(text) == v->len);
	if (json_to_bool(v, &yes) == 0)
		assert(v->type != JSON_T_OBJECT && v->type != JSON_T_ARRAY);
	if (json_to_object(v, a, &object) == 0)
		assert(object->type == JSON_T_OBJECT);
	if (json_to_list(v, a, &list) == 0)
		assert(list.count == 0 || list.items[list.count - 1]);
	if (json_ids_init(&ids, v) == 0) {
		while (json_ids_next(&ids, &n, &object))
			assert(n >= 0);
	}
	if (v->type != JSON_T_OBJECT && v->type != JSON_T_ARRAY)
		return count;
	for (const struct json_value *m = v->child; m; m = m->next) {
		if (m->key && !m->bad_key)
			assert(json_get(v, m->key));
		count += read_all(m, a);
	}
	return count;
}

static void try(const char *text, size_t len, unsigned flags)
{
	struct json_value *v = NULL;
	struct arena a;
	size_t values;
	int err;

	arena_init(&a, 8 << 20);
	err = json_parse(text, len, flags, &a, &v, NULL, NULL);
	if (err != -ENOMEM)
		assert(err == scan(text, len, flags, &values));
	if (!err && len < 4096) /* json_get() of every member is quadratic */
		assert(read_all(v, &a) == values);
	arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	try((const char *)data, len, 0);
	try((const char *)data, len, JSON_RELAXED);
	return 0;
}
