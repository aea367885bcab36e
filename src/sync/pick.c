#include "sync/pick.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"

static bool is_empty(const struct json_value *v)
{
	switch (v->type) {
	case JSON_T_NULL:
		return true;
	case JSON_T_STRING:
	case JSON_T_OBJECT:
	case JSON_T_ARRAY:
		return v->len == 0;
	default:
		return false;
	}
}

const struct json_value *pick_value(struct pick *p, const char *const keys[])
{
	for (size_t i = 0; i < PICK_PLACES; i++) {
		for (const char *const *k = keys; p->in[i] && *k; k++) {
			const struct json_value *v = json_get(p->in[i], *k);

			if (v && !is_empty(v)) {
				p->last = 0;
				return v;
			}
		}
	}
	p->last = JSON_DEFAULT;
	return NULL;
}

/* `v` could not be read as `what`: say so, with its text where that is a number. */
static void remark(struct pick *p, const struct json_value *v, const char *key, const char *what)
{
	char text[41] = "";

	if (p->last == -ENOMEM) {
		p->oom = true;
		return;
	}
	if (v->type == JSON_T_NUMBER)
		notes_printable(v->text, v->len, text, sizeof(text));
	notes_add(p->notes, "%s%s: not %s%s%s", p->where, key, what, *text ? ": " : "", text);
}

int64_t pick_int(struct pick *p, const char *const keys[], int64_t otherwise)
{
	const struct json_value *v = pick_value(p, keys);
	int64_t n = otherwise;

	if (!v)
		return otherwise;
	p->last = json_to_int(v, &n);
	if (p->last < 0)
		remark(p, v, keys[0], "an integer");
	return n;
}

int64_t pick_uint(struct pick *p, const char *const keys[], int64_t otherwise)
{
	int64_t n = pick_int(p, keys, otherwise);

	if (p->last == 0 && n < 0) {
		notes_add(p->notes, "%s%s: below 0: %lld", p->where, keys[0], (long long)n);
		p->last = -ERANGE;
		return otherwise;
	}
	return n;
}

double pick_decimal(struct pick *p, const char *const keys[], double otherwise)
{
	const struct json_value *v = pick_value(p, keys);
	double n = otherwise;

	if (!v)
		return otherwise;
	p->last = json_to_decimal(v, &n);
	if (p->last < 0)
		remark(p, v, keys[0], "a number");
	return n;
}

bool pick_bool(struct pick *p, const char *const keys[], bool otherwise)
{
	const struct json_value *v = pick_value(p, keys);
	bool b = otherwise;

	if (!v)
		return otherwise;
	p->last = json_to_bool(v, &b);
	if (p->last < 0)
		remark(p, v, keys[0], "a boolean");
	return b;
}

const char *pick_text(struct pick *p, const char *const keys[])
{
	const struct json_value *v = pick_value(p, keys);
	const char *s = NULL, *copy;

	if (!v)
		return NULL;
	p->last = json_to_text(v, p->mem, &s);
	if (p->last < 0) {
		remark(p, v, keys[0], "text");
		return NULL;
	}
	copy = arena_strdup(p->mem, s);
	if (!copy)
		p->oom = true;
	return copy;
}

const char *pick_name(struct pick *p, const char *const keys[])
{
	const struct json_value *v = pick_value(p, keys);
	const char *s = NULL;
	char *copy;
	size_t len;

	if (!v)
		return NULL;
	p->last = json_to_text(v, p->mem, &s);
	if (p->last < 0) {
		remark(p, v, keys[0], "text");
		return NULL;
	}
	while (isspace((unsigned char)*s))
		s++;
	len = strlen(s);
	while (len && isspace((unsigned char)s[len - 1]))
		len--;
	copy = arena_dup(p->mem, s, len);
	if (!copy) {
		p->oom = true;
		return NULL;
	}
	for (char *c = copy; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return len ? copy : NULL;
}

/* --- lists --------------------------------------------------------------------------------- */

static struct text_list copy_list(struct pick *p, const struct json_list *l)
{
	struct text_list out = {0};

	for (size_t i = 0; i < l->count; i++) {
		if (text_list_add(p->mem, &out, l->items[i], strlen(l->items[i])))
			p->oom = true;
	}
	return out;
}

struct text_list pick_list(struct pick *p, const char *const keys[])
{
	const struct json_value *v = pick_value(p, keys);
	struct json_list l = {0};

	if (!v)
		return (struct text_list){0};
	p->last = json_to_list(v, p->mem, &l);
	if (p->last < 0)
		remark(p, v, keys[0], "a list");
	return copy_list(p, &l);
}

struct text_list pick_lines(struct pick *p, const char *const keys[])
{
	const struct json_value *v = pick_value(p, keys);
	struct json_list l = {0};
	struct json_value *inner;

	if (!v)
		return (struct text_list){0};
	if (v->type == JSON_T_STRING && !v->bad && v->text[strspn(v->text, " \t\r\n")] == '[' &&
	    !json_parse(v->text, v->len, 0, p->mem, &inner, NULL, NULL))
		v = inner;
	p->last = json_to_lines(v, p->mem, &l);
	if (p->last < 0)
		remark(p, v, keys[0], "a list of lines");
	return copy_list(p, &l);
}

/* --- objects ------------------------------------------------------------------------------- */

const struct json_value *pick_object(struct pick *p, const char *const keys[])
{
	const struct json_value *v = pick_value(p, keys), *o = NULL;

	if (!v)
		return NULL;
	p->last = json_to_object(v, p->mem, &o);
	if (p->last < 0)
		remark(p, v, keys[0], "an object");
	return o;
}

struct pick pick_into(const struct pick *p, const char *where, const struct json_value *object)
{
	return (struct pick){.mem = p->mem, .notes = p->notes, .where = where, .in = {object}};
}

static void compact_text(const char *s, size_t len, struct text *out)
{
	text_adds(out, "\"");
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '"' || c == '\\')
			text_addf(out, "\\%c", c);
		else if (c < 0x20)
			text_addf(out, "\\u%04x", c);
		else
			text_add(out, s + i, 1);
	}
	text_adds(out, "\"");
}

/* Recursion ends: the parser admits JSON_DEPTH levels. */
void json_compact(const struct json_value *v, struct text *out)
{
	bool object = v->type == JSON_T_OBJECT;

	switch (v->type) {
	case JSON_T_STRING:
		compact_text(v->text, v->len, out);
		break;
	case JSON_T_NUMBER:
		text_add(out, v->text, v->len);
		break;
	case JSON_T_OBJECT:
	case JSON_T_ARRAY:
		text_adds(out, object ? "{" : "[");
		for (const struct json_value *m = v->child; m; m = m->next) {
			if (object) {
				compact_text(m->key, strlen(m->key), out);
				text_adds(out, ":");
			}
			json_compact(m, out);
			if (m->next)
				text_adds(out, ",");
		}
		text_adds(out, object ? "}" : "]");
		break;
	default:
		text_adds(out, v->type == JSON_T_TRUE	 ? "true"
			       : v->type == JSON_T_FALSE ? "false"
							 : "null");
	}
}

const char *pick_json(struct pick *p, const char *const keys[])
{
	const struct json_value *v = pick_value(p, keys);
	const char *copy = NULL;
	struct json_value *inner;
	struct text t = {0};

	if (!v)
		return NULL;
	if (v->type == JSON_T_STRING && !v->bad &&
	    !json_parse(v->text, v->len, 0, p->mem, &inner, NULL, NULL))
		v = inner;
	if (v->type != JSON_T_OBJECT && v->type != JSON_T_ARRAY) {
		p->last = -ERR_MALFORMED;
		remark(p, v, keys[0], "an object or a list");
		return NULL;
	}
	json_compact(v, &t);
	if (!t.err)
		copy = arena_dup(p->mem, t.s, t.len);
	text_done(&t);
	if (!copy)
		p->oom = true;
	return copy;
}

/* --- headers ------------------------------------------------------------------------------- */

struct header_list pick_headers(struct pick *p, const char *const keys[], struct text_list *hosts)
{
	const struct json_value *o = pick_object(p, keys);
	struct header_list out = {0};
	struct json_list l;

	if (!o)
		return out;
	out.v = arena_alloc(p->mem, o->len * sizeof(*out.v));
	if (!out.v) {
		p->oom = true;
		return out;
	}
	for (const struct json_value *m = o->child; m; m = m->next) {
		const char *one = m->text;
		struct text_list values;

		/* A text is one value here, commas and all. */
		l = (struct json_list){.items = &one, .count = 1};
		if (m->bad_key || m->bad ||
		    (m->type != JSON_T_STRING && json_to_list(m, p->mem, &l))) {
			notes_add(p->notes, "%s%s: a header that is neither text nor list",
				  p->where, keys[0]);
			continue;
		}
		values = copy_list(p, &l);
		if (hosts && !strcasecmp(m->key, "host")) {
			*hosts = hosts->n ? *hosts : values;
			continue;
		}
		out.v[out.n].name = arena_strdup(p->mem, m->key);
		p->oom |= !out.v[out.n].name;
		out.v[out.n++].values = values;
	}
	return out;
}

/* --- durations ----------------------------------------------------------------------------- */

static const struct {
	const char *name;
	double ms;
} units[] = {
	{"ms", 1}, {"us", 1e-3}, {"µs", 1e-3}, {"ns", 1e-6}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3},
};

static const char *take_unit(const char *s, double *ms)
{
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		size_t len = strlen(units[i].name);

		if (!strncmp(s, units[i].name, len)) {
			*ms = units[i].ms;
			return s + len;
		}
	}
	return NULL;
}

int duration_parse_ms(const char *text, int64_t *out)
{
	double sum = 0, ms = 0;

	if (!*text)
		return -ERR_MALFORMED;
	while (*text) {
		char *end;
		double n;

		if (!isdigit((unsigned char)*text) && *text != '.')
			return -ERR_MALFORMED;
		n = strtod(text, &end);
		text = end == text ? NULL : take_unit(end, &ms);
		if (!text)
			return -ERR_MALFORMED;
		sum += n * ms;
	}
	if (!(sum < 1e15))
		return -ERANGE;
	*out = (int64_t)(sum + 0.5);
	return 0;
}

int64_t pick_duration_ms(struct pick *p, const char *const keys[], int64_t unit_ms,
			 int64_t otherwise)
{
	const struct json_value *v = pick_value(p, keys);
	double n = 0;
	int64_t ms = otherwise;

	if (!v)
		return otherwise;
	p->last = json_to_decimal(v, &n);
	if (p->last == 0 && n >= 0 && n < 1e12)
		return (int64_t)(n * (double)unit_ms + 0.5);
	p->last = v->type == JSON_T_STRING && !v->bad ? duration_parse_ms(v->text, &ms)
						      : -ERR_MALFORMED;
	if (p->last < 0)
		remark(p, v, keys[0], "a duration");
	return ms;
}
