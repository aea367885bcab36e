/* field.c - the types: from a lenient JSON reading to a field, with bounds and the right complaint.
 */
#include "conf/field.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *kind_of(const struct json_value *v)
{
	switch (v->type) {
	case JSON_T_OBJECT:
		return "an object";
	case JSON_T_ARRAY:
		return "an array";
	case JSON_T_STRING:
		return "text";
	case JSON_T_NUMBER:
		return "a number";
	default:
		return "true or false";
	}
}

/* Complain of a value of the wrong kind.  Secrets are not quoted. */
static int wrong(struct conf_reader *r, const struct conf_row *row, const struct json_value *v,
		 const char *expected)
{
	bool quote =
		!(row->flags & CONF_SECRET) && v->type == JSON_T_STRING && v->len < 60 && !v->bad;

	if (v->bad)
		conf_error(r, v->at, NULL, "holds a NUL or bytes that are not UTF-8; expected %s",
			   expected);
	else if (quote)
		conf_error(r, v->at, NULL, "expected %s, found \"%s\"", expected, v->text);
	else
		conf_error(r, v->at, NULL, "expected %s, found %s", expected, kind_of(v));
	return -ERR_CONFIG;
}

static int out_of_bounds(struct conf_reader *r, const struct conf_row *row,
			 const struct json_value *v)
{
	const char *unit = row->unit ? row->unit : "", *gap = row->unit ? " " : "";

	if (row->max)
		conf_error(r, v->at, NULL, "out of bounds; write %lld to %lld%s%s",
			   (long long)row->min, (long long)row->max, gap, unit);
	else
		conf_error(r, v->at, NULL, "out of bounds; write %lld%s%s or more",
			   (long long)row->min, gap, unit);
	return -ERR_CONFIG;
}

/* What the readings of json_value.h return, with the complaint made. */
static int judge(struct conf_reader *r, const struct conf_row *row, const struct json_value *v,
		 int err, const char *expected)
{
	if (err == -ERANGE)
		return out_of_bounds(r, row, v);
	if (err < 0 && err != -ENOMEM)
		return wrong(r, row, v, expected);
	return err;
}

static bool in_bounds(const struct conf_row *row, double n)
{
	return n >= (double)row->min && (row->max == 0 || n <= (double)row->max);
}

static int read_int(struct conf_reader *r, const struct conf_row *row, const struct json_value *v,
		    int64_t *field)
{
	int64_t n;
	int err = judge(r, row, v, json_to_int(v, &n), "a whole number");

	if (err)
		return err;
	if (n < row->min || (row->max && n > row->max))
		return out_of_bounds(r, row, v);
	*field = n;
	return 0;
}

static int read_decimal(struct conf_reader *r, const struct conf_row *row,
			const struct json_value *v, double *field)
{
	double n;
	int err = judge(r, row, v, json_to_decimal(v, &n), "a number");

	if (err)
		return err;
	if (!in_bounds(row, n))
		return out_of_bounds(r, row, v);
	*field = n;
	return 0;
}

/* "500MB", "2GiB", "1048576B": a number and its unit in bytes. */
static bool split_unit(const char *text, double *number, double *unit)
{
	static const struct {
		const char *name;
		double bytes;
	} units[] = {
		{"B", 1},	  {"kB", 1e3},	       {"MB", 1e6},
		{"GB", 1e9},	  {"TB", 1e12},	       {"KiB", 1024},
		{"MiB", 1048576}, {"GiB", 1073741824}, {"TiB", 1099511627776},
	};
	size_t len = strspn(text, "0123456789.");
	struct json_value n = {.type = JSON_T_STRING, .text = text, .len = (uint32_t)len};
	char digits[32];

	if (len == 0 || len >= sizeof(digits))
		return false;
	memcpy(digits, text, len);
	digits[len] = 0;
	n.text = digits;
	text += len + strspn(text + len, " ");
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (!strcasecmp(text, units[i].name)) {
			*unit = units[i].bytes;
			return json_to_decimal(&n, number) == 0;
		}
	}
	return false;
}

static int read_size(struct conf_reader *r, const struct conf_row *row, const struct json_value *v,
		     int64_t *field)
{
	double number, unit = (double)row->scale;
	int err = json_to_decimal(v, &number);

	if (err == -ERR_MALFORMED && v->type == JSON_T_STRING &&
	    split_unit(v->text, &number, &unit))
		err = 0;
	err = judge(r, row, v, err, "a size, a number or text like \"500MB\" or \"2GiB\"");
	if (err)
		return err;
	number *= unit;
	if (!in_bounds(row, number) || number > 9e18)
		return out_of_bounds(r, row, v);
	*field = (int64_t)number;
	return 0;
}

static int check_text(struct conf_reader *r, const struct conf_row *row, const struct json_value *v,
		      const char *text)
{
	const char *why = row->check ? row->check(text) : NULL;

	if (!why)
		return 0;
	if (row->flags & (CONF_SECRET | CONF_URL) || strlen(text) > 100)
		conf_error(r, v->at, NULL, "%s", why);
	else
		conf_error(r, v->at, NULL, "\"%s\" %s", text, why);
	return -ERR_CONFIG;
}

/* ${NAME} as the whole text: what the environment holds (G6). */
static int expand(struct conf_reader *r, const struct json_value *v, const char **text)
{
	size_t len = strlen(*text);
	const char *value;
	char *name;

	if (len < 4 || strncmp(*text, "${", 2) || (*text)[len - 1] != '}')
		return 0;
	name = arena_dup(r->arena, *text + 2, len - 3);
	if (!name)
		return -ENOMEM;
	value = r->getenv ? r->getenv(name) : getenv(name);
	if (!value) {
		conf_error(r, v->at, NULL,
			   "the environment has no %s; set it, or write the value here", name);
		return -ERR_CONFIG;
	}
	*text = arena_strdup(r->arena, value);
	return *text ? 0 : -ENOMEM;
}

static int read_text(struct conf_reader *r, const struct conf_row *row, const struct json_value *v,
		     const char **field)
{
	const char *text;
	int err = judge(r, row, v, json_to_text(v, r->arena, &text), "text");

	if (!err && row->flags & CONF_ENV && !(r->flags & CONF_REMOTE))
		err = expand(r, v, &text);
	if (!err && *text)
		err = check_text(r, row, v, text);
	if (err)
		return err;
	*field = text;
	return 0;
}

static const char *list_words(const struct conf_word *words, struct arena *a)
{
	char *text = NULL;

	for (const struct conf_word *w = words; w->name; w++) {
		bool spelling = w != words && w[-1].value == w->value;

		if (!spelling)
			text = arena_printf(a, "%s%s%s", text ? text : "", text ? ", " : "",
					    w->name);
	}
	return text ? text : "";
}

static int read_word(struct conf_reader *r, const struct conf_row *row, const struct json_value *v,
		     int64_t *field)
{
	const char *text;
	int err = judge(r, row, v, json_to_text(v, r->arena, &text), "text");

	if (err)
		return err;
	for (const struct conf_word *w = row->words; w->name; w++) {
		if (strcasecmp(w->name, text))
			continue;
		if (w->not_yet)
			conf_warn(r, v->at, NULL, "%s is not implemented yet", w->name);
		*field = w->value;
		return 0;
	}
	if (!*text)
		return JSON_DEFAULT;
	conf_error(r, v->at, NULL, "\"%.60s\" is not known; write one of %s", text,
		   list_words(row->words, r->arena));
	return -ERR_CONFIG;
}

static int read_list(struct conf_reader *r, const struct conf_row *row, const struct json_value *v,
		     struct json_list *field)
{
	struct json_list list;
	int err = judge(r, row, v, json_to_list(v, r->arena, &list), "a list of texts");

	for (size_t i = 0; i < list.count && !err; i++)
		err = check_text(r, row, v, list.items[i]);
	if (err)
		return err;
	*field = list;
	return 0;
}

static int read_map(struct conf_reader *r, const struct conf_row *row, const struct json_value *v,
		    struct conf_map *field)
{
	const struct json_value *object;
	struct conf_map map = {0};
	int err = judge(r, row, v, json_to_object(v, r->arena, &object), "an object of texts");

	if (err)
		return err;
	map.items = arena_alloc(r->arena, ((size_t)object->len + 1) * sizeof(*map.items));
	if (!map.items)
		return -ENOMEM;
	for (const struct json_value *m = object->child; m; m = m->next) {
		struct conf_pair *pair = &map.items[map.count];
		size_t mark = conf_enter(r, m->bad_key ? "?" : m->key, -1);

		pair->name = m->key;
		err = m->bad_key ? wrong(r, row, m, "a plain key")
				 : read_text(r, row, m, &pair->value);
		conf_leave(r, mark);
		if (err < 0)
			return err;
		map.count += err == 0;
	}
	*field = map;
	return 0;
}

static int read_array(struct conf_reader *r, const struct conf_row *row, const struct json_value *v,
		      struct conf_array *field)
{
	const struct json_value *e = v;
	struct conf_array array = {.count = 1};
	int err = 0;

	if (v->type == JSON_T_NULL)
		return JSON_DEFAULT;
	if (v->type == JSON_T_ARRAY) {
		e = v->child;
		array.count = v->len;
	} else if (v->type != JSON_T_OBJECT) {
		return wrong(r, row, v, "an array of objects");
	}
	array.items = arena_alloc(r->arena, (array.count + 1) * row->sub->size);
	if (!array.items)
		return -ENOMEM;
	for (size_t i = 0; i < array.count && !err; i++, e = e->next) {
		size_t mark = conf_enter(r, "", (int64_t)i);

		err = conf_read(r, row->sub, e, (char *)array.items + i * row->sub->size);
		conf_leave(r, mark);
	}
	if (err)
		return err;
	*field = array;
	return 0;
}

static int read_bool(struct conf_reader *r, const struct conf_row *row, const struct json_value *v,
		     bool *field)
{
	return judge(r, row, v, json_to_bool(v, field), "true or false");
}

int conf_field_read(struct conf_reader *r, const struct conf_row *row, const struct json_value *v,
		    void *field)
{
	switch (row->type) {
	case CONF_T_BOOL:
		return read_bool(r, row, v, field);
	case CONF_T_INT:
		return read_int(r, row, v, field);
	case CONF_T_DECIMAL:
		return read_decimal(r, row, v, field);
	case CONF_T_SIZE:
		return read_size(r, row, v, field);
	case CONF_T_TEXT:
		return read_text(r, row, v, field);
	case CONF_T_WORD:
		return read_word(r, row, v, field);
	case CONF_T_LIST:
		return read_list(r, row, v, field);
	case CONF_T_MAP:
		return read_map(r, row, v, field);
	case CONF_T_OBJECT:
		return conf_apply(r, row->sub, v, field);
	case CONF_T_ARRAY:
		return read_array(r, row, v, field);
	case CONF_T_VALUE:
		if (v->type == JSON_T_NULL)
			return JSON_DEFAULT;
		*(const struct json_value **)field = v;
		return 0;
	case CONF_T_NONE:
		break;
	}
	return 0;
}
