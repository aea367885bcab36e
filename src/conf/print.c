#include "conf/print.h"

#include <string.h>

#include "conf/report.h"

const char *conf_mask(const char *secret, char out[CONF_MASK_MAX])
{
	size_t len = strlen(secret);

	if (len <= 8)
		snprintf(out, CONF_MASK_MAX, "%s", len ? "***" : "");
	else
		snprintf(out, CONF_MASK_MAX, "%.4s***%.4s", secret, secret + len - 4);
	for (char *c = out; *c; c++) {
		if (*c & 0x80)
			*c = '?'; /* half a character is not UTF-8 */
	}
	return out;
}

/* --- a struct as JSON ---------------------------------------------------------------------- */

static json_t *text_of(const struct conf_row *row, const char *text)
{
	char mask[CONF_MASK_MAX], url[512];

	if (row->flags & CONF_SECRET)
		return json_string(conf_mask(text, mask));
	if (row->flags & CONF_URL)
		return json_string(conf_redact_url(text, url, sizeof(url)));
	return json_string(text);
}

static json_t *list_of(const struct conf_row *row, const struct json_list *list)
{
	json_t *out = json_array();

	for (size_t i = 0; i < list->count; i++)
		json_array_append_new(out, text_of(row, list->items[i]));
	return out;
}

static json_t *map_of(const struct conf_row *row, const struct conf_map *map)
{
	json_t *out = json_object();

	for (size_t i = 0; i < map->count; i++)
		json_object_set_new(out, map->items[i].name, text_of(row, map->items[i].value));
	return out;
}

static json_t *array_of(const struct conf_row *row, const struct conf_array *array, unsigned flags)
{
	json_t *out = json_array();

	for (size_t i = 0; i < array->count; i++) {
		const char *item = (const char *)array->items + i * row->sub->size;

		json_array_append_new(out, conf_to_json(row->sub, item, flags));
	}
	return out;
}

static json_t *number_of(double n)
{
	int64_t whole = n > -9e15 && n < 9e15 ? (int64_t)n : 0;

	return (double)whole == n ? json_integer(whole) : json_real(n);
}

/* A document that its owner decodes may hold anything, secrets too: only its presence is told. */
static json_t *value_of(const struct json_value *v)
{
	return v ? json_string("***") : json_null();
}

static json_t *field_of(const struct conf_row *row, const void *field, unsigned flags)
{
	switch (row->type) {
	case CONF_T_BOOL:
		return json_boolean(*(const bool *)field);
	case CONF_T_INT:
		return json_integer(*(const int64_t *)field);
	case CONF_T_SIZE:
		return json_sprintf("%lldB", (long long)*(const int64_t *)field);
	case CONF_T_WORD:
		return json_string(conf_word_name(row->words, *(const int64_t *)field));
	case CONF_T_DECIMAL:
		return number_of(*(const double *)field);
	case CONF_T_TEXT:
		return text_of(row, *(const char *const *)field);
	case CONF_T_LIST:
		return list_of(row, field);
	case CONF_T_MAP:
		return map_of(row, field);
	case CONF_T_OBJECT:
		return conf_to_json(row->sub, field, flags);
	case CONF_T_ARRAY:
		return array_of(row, field, flags);
	case CONF_T_VALUE:
		return value_of(*(const struct json_value *const *)field);
	case CONF_T_NONE:
		break;
	}
	return NULL;
}

json_t *conf_to_json(const struct conf_schema *s, const void *object, unsigned flags)
{
	json_t *out = json_object();

	for (size_t i = 0; i < s->count; i++) {
		const struct conf_row *row = &s->rows[i];

		if (row->type == CONF_T_NONE ||
		    (!(flags & CONF_PRINT_DEFAULTS) && !conf_row_is_set(s, row, object)))
			continue;
		json_object_set_new(out, row->name,
				    field_of(row, (const char *)object + row->offset, flags));
	}
	return out;
}

/* --- the reference ------------------------------------------------------------------------- */

static const char *type_name(const struct conf_row *row)
{
	static const char *const names[] = {
		[CONF_T_BOOL] = "true or false", [CONF_T_INT] = "whole number",
		[CONF_T_DECIMAL] = "number",	 [CONF_T_SIZE] = "size",
		[CONF_T_TEXT] = "text",		 [CONF_T_WORD] = "word",
		[CONF_T_LIST] = "list of texts", [CONF_T_MAP] = "object of texts",
		[CONF_T_OBJECT] = "object",	 [CONF_T_ARRAY] = "array of objects",
		[CONF_T_VALUE] = "object",	 [CONF_T_NONE] = "any",
	};

	return row->type == CONF_T_VALUE && (row->sub || row->flags & CONF_LISTED)
		       ? names[CONF_T_ARRAY]
		       : names[row->type];
}

static void print_words(const struct conf_word *words, FILE *to)
{
	fputs(": ", to);
	for (const struct conf_word *w = words; w->name; w++) {
		bool spelling = w != words && w[-1].value == w->value;

		fprintf(to, "%s`%s`%s",
			w == words ? ""
			: spelling ? " = "
				   : ", ",
			w->name, w->not_yet ? " (not yet)" : "");
	}
}

static void print_bounds(const struct conf_row *row, FILE *to)
{
	if (row->type != CONF_T_INT && row->type != CONF_T_DECIMAL)
		return;
	if (row->max)
		fprintf(to, ", %lld to %lld", (long long)row->min, (long long)row->max);
	else if (row->min > 0)
		fprintf(to, ", %lld or more", (long long)row->min);
}

static void print_type(const struct conf_row *row, FILE *to)
{
	fputs(type_name(row), to);
	if (row->words)
		print_words(row->words, to);
	if (row->unit)
		fprintf(to, " (%s)", row->unit);
	print_bounds(row, to);
}

static void print_default(const struct conf_row *row, FILE *to)
{
	if (row->flags & CONF_REQUIRED)
		fputs("required", to);
	else if (row->absent)
		fputs(row->absent, to);
	else if (row->fallback)
		fprintf(to, "`%s`", row->fallback);
	else if (row->type == CONF_T_BOOL)
		fputs("`false`", to);
	else if (row->type == CONF_T_INT || row->type == CONF_T_DECIMAL || row->type == CONF_T_SIZE)
		fputs("`0`", to);
}

static void print_notes(const struct conf_row *row, FILE *to)
{
	if (row->flags & CONF_NOT_YET)
		fputs(" *Not implemented yet.*", to);
	if (row->flags & CONF_IGNORED)
		fputs(" *Accepted, without effect.*", to);
	if (row->sub)
		fprintf(to, " See %s.", row->sub->name);
}

void conf_print_reference(const struct conf_schema *s, FILE *to)
{
	static const char *const reload[] = {
		[CONF_LIVE] = "live",
		[CONF_REBUILD] = "rebuild",
		[CONF_ANEW] = "anew",
		[CONF_RESTART] = "restart",
	};

	fputs("| key | type | default | change | meaning |\n| --- | --- | --- | --- | --- |\n", to);
	for (size_t i = 0; i < s->count; i++) {
		const struct conf_row *row = &s->rows[i];

		fprintf(to, "| `%s`", row->name);
		for (const char *a = row->aliases; a && *a;) {
			size_t n = strcspn(a, " ");

			fprintf(to, ", `%.*s`", (int)n, a);
			a += n + (a[n] == ' ');
		}
		fputs(" | ", to);
		print_type(row, to);
		fputs(" | ", to);
		print_default(row, to);
		fprintf(to, " | %s | %s", row->type == CONF_T_NONE ? "" : reload[row->reload],
			row->help ? row->help : "");
		print_notes(row, to);
		fputs(" |\n", to);
	}
}
