/* read.c - objects: which member belongs to which row, defaults, unknown keys, paths. */
#include "conf/read.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "conf/field.h"

/* --- where we are -------------------------------------------------------------------------- */

size_t conf_enter(struct conf_reader *r, const char *name, int64_t index)
{
	size_t mark = r->path_len, room = sizeof(r->path) - mark;
	int n;

	if (index >= 0)
		n = snprintf(r->path + mark, room, "%s%s[%lld]", mark && *name ? "." : "", name,
			     (long long)index);
	else
		n = snprintf(r->path + mark, room, "%s%s", mark && *name ? "." : "", name);
	r->path_len += MIN((size_t)n, room - 1);
	return mark;
}

void conf_leave(struct conf_reader *r, size_t mark)
{
	r->path_len = mark;
	r->path[mark] = 0;
}

PRINTF(5, 0)
static void complain(struct conf_reader *r, bool warning, struct json_pos at, const char *member,
		     const char *fmt, va_list ap)
{
	char text[512];
	size_t mark = conf_enter(r, member ? member : "", -1);

	vsnprintf(text, sizeof(text), fmt, ap);
	conf_report_add(r->report, warning, r->file, at, r->path, "%s", text);
	conf_leave(r, mark);
}

void conf_error(struct conf_reader *r, struct json_pos at, const char *member, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(r, r->flags & CONF_REMOTE, at, member, fmt, ap);
	va_end(ap);
}

void conf_warn(struct conf_reader *r, struct json_pos at, const char *member, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(r, true, at, member, fmt, ap);
	va_end(ap);
}

/* --- defaults ------------------------------------------------------------------------------ */

static void *field_of(const struct conf_row *row, void *object)
{
	return (char *)object + row->offset;
}

static int default_of(struct conf_reader *r, const struct conf_row *row, void *object)
{
	struct json_value text = {.type = JSON_T_STRING};

	if (row->type == CONF_T_OBJECT)
		return conf_defaults(r, row->sub, field_of(row, object));
	if (row->type == CONF_T_TEXT) {
		*(const char **)field_of(row, object) = row->fallback ? row->fallback : "";
		return 0;
	}
	if (!row->fallback)
		return 0;
	text.text = row->fallback;
	text.len = (uint32_t)strlen(row->fallback);
	return conf_field_read(r, row, &text, field_of(row, object)) == -ENOMEM ? -ENOMEM : 0;
}

int conf_defaults(struct conf_reader *r, const struct conf_schema *s, void *out)
{
	memset(out, 0, s->size);
	for (size_t i = 0; i < s->count; i++) {
		int err = default_of(r, &s->rows[i], out);

		if (err)
			return err;
	}
	return 0;
}

/* --- members ------------------------------------------------------------------------------- */

static bool first_warning(struct conf_reader *r, const struct conf_row *row)
{
	for (size_t i = 0; i < r->nwarned; i++) {
		if (r->warned[i] == row)
			return false;
	}
	if (r->nwarned < ARRAY_LEN(r->warned))
		r->warned[r->nwarned++] = row;
	return true;
}

static void unknown_key(struct conf_reader *r, const struct conf_schema *s,
			const struct json_value *m)
{
	const char *near = m->bad_key ? NULL : conf_row_nearest(s, m->key);

	/* Panels send what other programs understand; only files are written by hand. */
	if (r->flags & CONF_REMOTE)
		return;
	if (m->bad_key)
		conf_warn(r, m->key_at, NULL, "a key that is not plain text; ignored");
	else if (near)
		conf_warn(r, m->key_at, m->key, "unknown key, ignored; did you mean %s?", near);
	else
		conf_warn(r, m->key_at, m->key, "unknown key, ignored");
}

/* What is to come is not asked for: it is as he wants it. */
static bool declines(const struct conf_row *row, const struct json_value *v)
{
	bool on;

	return row->flags & CONF_NOT_YET && row->type == CONF_T_BOOL && !json_to_bool(v, &on) &&
	       !on;
}

static void warn_of_flags(struct conf_reader *r, const struct conf_row *row,
			  const struct json_value *m)
{
	if (r->flags & CONF_REMOTE || row->flags & CONF_SILENT ||
	    !(row->flags & (CONF_NOT_YET | CONF_IGNORED)) || declines(row, m) ||
	    !first_warning(r, row))
		return;
	if (row->flags & CONF_NOT_YET)
		conf_warn(r, m->key_at, row->name, "not implemented yet; accepted without effect");
	else
		conf_warn(r, m->key_at, row->name, "has no meaning for this program; ignored");
}

/* How well a member's key fits its row, to choose among several: 3 the name, 2 an alias, 1 any
 * case. */
static int fit(const struct conf_row *row, const char *key)
{
	if (!strcmp(row->name, key))
		return 3;
	return strcasecmp(row->name, key) && row->aliases && strstr(row->aliases, key) ? 2 : 1;
}

/* The member that speaks for each row: the best spelling; of equal ones the last. */
static void choose(struct conf_reader *r, const struct conf_schema *s,
		   const struct json_value *object, const struct json_value *chosen[])
{
	for (const struct json_value *m = object->child; m; m = m->next) {
		const struct conf_row *row = m->bad_key ? NULL : conf_row_find(s, m->key);
		size_t n;

		if (!row) {
			unknown_key(r, s, m);
			continue;
		}
		n = (size_t)(row - s->rows);
		if (!chosen[n] || fit(row, m->key) >= fit(row, chosen[n]->key)) {
			const struct json_value *old = chosen[n];

			chosen[n] = m;
			if (old && !(r->flags & CONF_REMOTE))
				conf_warn(r, old->key_at, old->key,
					  "given again in line %u, which counts", m->key_at.line);
		} else if (!(r->flags & CONF_REMOTE)) {
			conf_warn(r, m->key_at, m->key, "%s in line %u counts instead",
				  chosen[n]->key, chosen[n]->key_at.line);
		}
	}
}

static int apply_row(struct conf_reader *r, const struct conf_schema *s, const struct conf_row *row,
		     const struct json_value *m, void *out)
{
	struct conf_set *set = out;
	size_t n = (size_t)(row - s->rows), mark;
	int err;

	if (r->flags & CONF_REMOTE && row->flags & CONF_LOCAL)
		return 0;
	if (r->flags & CONF_FILL && row->type != CONF_T_OBJECT && conf_row_is_set(s, row, out))
		return 0;
	warn_of_flags(r, row, m);
	if (row->type == CONF_T_NONE)
		return 0;
	mark = conf_enter(r, row->name, -1);
	err = conf_field_read(r, row, m, field_of(row, out));
	conf_leave(r, mark);
	if (err == 0)
		set->bits[n / 64] |= (uint64_t)1 << (n % 64);
	return err == -ENOMEM ? err : 0;
}

int conf_apply(struct conf_reader *r, const struct conf_schema *s, const struct json_value *value,
	       void *out)
{
	const struct json_value *chosen[CONF_ROWS_MAX] = {0}, *object = NULL;
	int err = json_to_object(value, r->arena, &object);

	if (err == JSON_DEFAULT)
		return 0;
	if (err < 0 && err != -ENOMEM)
		conf_error(r, value->at, NULL, "expected an object; write { \"key\": value }");
	if (err < 0)
		return err == -ENOMEM ? err : 0;
	choose(r, s, object, chosen);
	for (size_t i = 0; i < s->count && !err; i++) {
		if (chosen[i])
			err = apply_row(r, s, &s->rows[i], chosen[i], out);
	}
	return err;
}

void conf_require(struct conf_reader *r, const struct conf_schema *s, struct json_pos at,
		  const void *out)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct conf_row *row = &s->rows[i];
		const void *field = (const char *)out + row->offset;

		/* What was there and is wrong is not missing. */
		if (!(row->flags & CONF_REQUIRED) ||
		    conf_report_has(r->report, r->file, r->path, row->name))
			continue;
		if (!conf_row_is_set(s, row, out))
			conf_error(r, at, row->name, "is missing; %s", row->absent);
		else if (row->type == CONF_T_TEXT && !**(const char *const *)field)
			conf_error(r, at, row->name, "is empty; %s", row->absent);
	}
}

int conf_read(struct conf_reader *r, const struct conf_schema *s, const struct json_value *object,
	      void *out)
{
	int err = conf_defaults(r, s, out);

	if (!err)
		err = conf_apply(r, s, object, out);
	/* Of what is no object at all nothing is missing. */
	if (!err && (!object || object->type == JSON_T_OBJECT))
		conf_require(r, s, object ? object->at : (struct json_pos){0}, out);
	return err;
}
