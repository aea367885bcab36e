#include "conf/diff.h"

#include <stdio.h>
#include <string.h>

struct walk {
	void (*differs)(void *arg, const char *path, const struct conf_row *row);
	void *arg;
	char path[256];
	size_t count;
};

static bool same_list(const struct json_list *a, const struct json_list *b)
{
	for (size_t i = 0; i < a->count && a->count == b->count; i++) {
		if (strcmp(a->items[i], b->items[i]))
			return false;
	}
	return a->count == b->count;
}

static bool same_map(const struct conf_map *a, const struct conf_map *b)
{
	for (size_t i = 0; i < a->count && a->count == b->count; i++) {
		if (strcmp(a->items[i].name, b->items[i].name) ||
		    strcmp(a->items[i].value, b->items[i].value))
			return false;
	}
	return a->count == b->count;
}

static bool same_array(const struct conf_schema *sub, const struct conf_array *a,
		       const struct conf_array *b)
{
	for (size_t i = 0; i < a->count && a->count == b->count; i++) {
		const char *x = a->items, *y = b->items;

		if (conf_diff(sub, x + i * sub->size, y + i * sub->size, NULL, NULL))
			return false;
	}
	return a->count == b->count;
}

/* Text by text, in the order in which they were written. */
bool conf_same_value(const struct json_value *a, const struct json_value *b)
{
	bool nested = a && (a->type == JSON_T_OBJECT || a->type == JSON_T_ARRAY);

	if (!a || !b)
		return a == b;
	if (a->type != b->type || a->len != b->len || !a->key != !b->key ||
	    (a->key && strcmp(a->key, b->key)))
		return false;
	if (!nested)
		return !a->len || !memcmp(a->text, b->text, a->len);
	for (a = a->child, b = b->child; a && b; a = a->next, b = b->next) {
		if (!conf_same_value(a, b)) /* as deep as the parser lets documents be: 64 */
			return false;
	}
	return true;
}

static bool same(const struct conf_row *row, const void *x, const void *y)
{
	switch (row->type) {
	case CONF_T_BOOL:
		return *(const bool *)x == *(const bool *)y;
	case CONF_T_INT:
	case CONF_T_SIZE:
	case CONF_T_WORD:
		return *(const int64_t *)x == *(const int64_t *)y;
	case CONF_T_DECIMAL:
		return *(const double *)x == *(const double *)y;
	case CONF_T_TEXT:
		return !strcmp(*(const char *const *)x, *(const char *const *)y);
	case CONF_T_LIST:
		return same_list(x, y);
	case CONF_T_MAP:
		return same_map(x, y);
	case CONF_T_ARRAY:
		return same_array(row->sub, x, y);
	case CONF_T_VALUE:
		return conf_same_value(*(const struct json_value *const *)x,
				       *(const struct json_value *const *)y);
	case CONF_T_OBJECT:
	case CONF_T_NONE:
		break;
	}
	return true;
}

static void walk(struct walk *w, const struct conf_schema *s, const void *a, const void *b)
{
	size_t mark = strlen(w->path);

	for (size_t i = 0; i < s->count; i++) {
		const struct conf_row *row = &s->rows[i];
		const char *x = (const char *)a + row->offset, *y = (const char *)b + row->offset;

		snprintf(w->path + mark, sizeof(w->path) - mark, "%s%s", mark ? "." : "",
			 row->name);
		if (row->type == CONF_T_OBJECT) {
			walk(w, row->sub, x, y);
		} else if (!same(row, x, y)) {
			w->count++;
			if (w->differs)
				w->differs(w->arg, w->path, row);
		}
		w->path[mark] = 0;
	}
}

size_t conf_diff(const struct conf_schema *s, const void *a, const void *b,
		 void (*differs)(void *arg, const char *path, const struct conf_row *row),
		 void *arg)
{
	struct walk w = {.differs = differs, .arg = arg};

	walk(&w, s, a, b);
	return w.count;
}

static void keep_dearest(void *arg, const char *path, const struct conf_row *row)
{
	enum conf_reload *most = arg;

	*most = MAX(*most, row->reload);
}

enum conf_reload conf_diff_reload(const struct conf_schema *s, const void *a, const void *b)
{
	enum conf_reload most = CONF_LIVE;

	conf_diff(s, a, b, keep_dearest, &most);
	return most;
}
