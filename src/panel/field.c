#include "panel/field.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "panel/headers.h"

int bytes_parse(const char *text, int64_t *out)
{
	static const struct {
		const char *name;
		int64_t bytes;
	} units[] = {
		{"", 1},
		{"B", 1},
		{"kB", 1000},
		{"KiB", 1 << 10},
		{"MB", 1000000},
		{"MiB", 1 << 20},
		{"GB", 1000000000},
		{"GiB", 1 << 30},
		{"TB", 1000000000000},
		{"TiB", (int64_t)1 << 40},
	};
	size_t digits = strspn(text, "0123456789");
	const char *unit = text + digits + strspn(text + digits, " ");
	int64_t v;

	if (decimal_parse(text, digits, &v) < 0)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (strcasecmp(unit, units[i].name) != 0)
			continue;
		return __builtin_mul_overflow(v, units[i].bytes, out) ? -EINVAL : 0;
	}
	return -EINVAL;
}

static int date_relative(const char *text, int64_t now, int64_t *out)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 7 * 86400}};
	size_t digits = strspn(text, "0123456789");
	int64_t v;

	if (decimal_parse(text, digits, &v) < 0 || v > 1000000000)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (text[digits] == units[i].unit && !text[digits + 1]) {
			*out = now + v * units[i].seconds;
			return 0;
		}
	}
	return -EINVAL;
}

int date_parse(const char *text, int64_t now, int64_t *out)
{
	struct tm tm = {0}, back;
	const char *end;
	time_t at;

	if (text[0] == '+')
		return date_relative(text + 1, now, out);
	if (decimal_parse(text, strlen(text), out) == 0)
		return 0;
	end = strptime(text, "%Y-%m-%d", &tm);
	if (!end)
		return -EINVAL;
	if (!*end) {
		/* A day that a subscription runs to is a day on which it works. */
		tm.tm_hour = 23;
		tm.tm_min = tm.tm_sec = 59;
	} else {
		end = strptime(end, "T%H:%M:%SZ", &tm);
		if (!end || *end)
			return -EINVAL;
	}
	back = tm;
	at = timegm(&back);
	if (at < 0 || back.tm_mday != tm.tm_mday) /* 31 February */
		return -EINVAL;
	*out = at;
	return 0;
}

int field_text(json_t *v, const char *name, size_t min, size_t max, char *out, struct fault *why)
{
	const char *s = json_string_value(v);

	if (!s)
		return fault_set(why, "%s: expected text", name);
	if (strlen(s) < min || strlen(s) > max)
		return fault_set(why, "%s: expected %zu to %zu bytes of text", name, min, max);
	for (const char *p = s; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return fault_set(why, "%s: control characters are not allowed", name);
	}
	memcpy(out, s, strlen(s) + 1);
	return 0;
}

int field_int(json_t *v, const char *name, int64_t min, int64_t max, int64_t *out,
	      struct fault *why)
{
	const char *s = json_string_value(v);
	int64_t i = json_integer_value(v);

	if ((!json_is_integer(v) && !s) || (s && decimal_parse(s, strlen(s), &i) < 0) || i < min ||
	    i > max)
		return fault_set(why, "%s: expected an integer of %lld to %lld", name,
				 (long long)min, (long long)max);
	*out = i;
	return 0;
}

static int field_real(json_t *v, const struct field *f, double *out, struct fault *why)
{
	const char *s = json_string_value(v);
	double d = json_number_value(v);
	char *end = NULL;

	/* strtod() knows words and hexadecimal too; nobody means those here. */
	if (s && strspn(s, "0123456789.") == strlen(s))
		d = strtod(s, &end);
	if ((!json_is_number(v) && !s) || (s && (!end || end == s || *end)) || !isfinite(d) ||
	    d < (double)f->min || d > (double)f->max)
		return fault_set(why, "%s: expected a number of %lld to %lld", f->name,
				 (long long)f->min, (long long)f->max);
	*out = d;
	return 0;
}

int field_bool(json_t *v, const char *name, bool *out, struct fault *why)
{
	static const char *const words[][2] = {
		{"false", "true"}, {"0", "1"}, {"no", "yes"}, {"off", "on"}};
	const char *s = json_string_value(v);

	if (json_is_boolean(v)) {
		*out = json_is_true(v);
		return 0;
	}
	if (json_is_integer(v) && (json_integer_value(v) == 0 || json_integer_value(v) == 1)) {
		*out = json_integer_value(v) == 1;
		return 0;
	}
	for (size_t i = 0; s && i < ARRAY_LEN(words) * 2; i++) {
		if (strcasecmp(s, words[i / 2][i % 2]) == 0) {
			*out = i % 2;
			return 0;
		}
	}
	return fault_set(why, "%s: expected true or false", name);
}

static int field_quantity(json_t *v, const struct field *f, int64_t *out, struct fault *why)
{
	const char *s = json_string_value(v);
	int64_t i;
	int err;

	if (!s)
		return field_int(v, f->name, f->min, f->max, out, why);
	err = f->kind == FIELD_BYTES ? bytes_parse(s, &i) : date_parse(s, time(NULL), &i);
	if (err || i < f->min || i > f->max)
		return fault_set(why, "%s: expected %s", f->name,
				 f->kind == FIELD_BYTES ? "bytes, such as 1048576 or 10GB"
							: "a date, such as 2026-12-31 or +30d");
	*out = i;
	return 0;
}

static void field_clear(const struct field *f, void *at)
{
	switch (f->kind) {
	case FIELD_TEXT:
		*(char *)at = '\0';
		break;
	case FIELD_BOOL:
		*(bool *)at = false;
		break;
	case FIELD_REAL:
		*(double *)at = 0;
		break;
	default:
		*(int64_t *)at = 0;
	}
}

static int field_read(const struct field *f, json_t *v, void *at, struct fault *why)
{
	if (json_is_null(v) && f->min <= 0) {
		field_clear(f, at);
		return 0;
	}
	switch (f->kind) {
	case FIELD_TEXT:
		return field_text(v, f->name, (size_t)f->min, (size_t)f->max, at, why);
	case FIELD_INT:
		return field_int(v, f->name, f->min, f->max, at, why);
	case FIELD_REAL:
		return field_real(v, f, at, why);
	case FIELD_BOOL:
		return field_bool(v, f->name, at, why);
	default:
		return field_quantity(v, f, at, why);
	}
}

static json_t *field_emit(const struct field *f, const void *at)
{
	switch (f->kind) {
	case FIELD_TEXT:
		return json_string(at);
	case FIELD_BOOL:
		return json_boolean(*(const bool *)at);
	case FIELD_REAL: {
		double d = *(const double *)at;

		return d == (double)(int64_t)d ? json_integer((int64_t)d) : json_real(d);
	}
	default:
		return json_integer(*(const int64_t *)at);
	}
}

static int read_only_same(const struct field *f, json_t *v, const void *to, struct fault *why)
{
	json_t *is = field_emit(f, (const char *)to + f->offset);
	bool same = is && json_equal(is, v);

	json_decref(is);
	return same ? 0 : fault_set(why, "%s: cannot be set", f->name);
}

int fields_read(const struct field *rows, size_t n, json_t *from, const char *const *skip, void *to,
		struct fault *why)
{
	const char *key;
	json_t *v;
	int err;

	if (!json_is_object(from))
		return fault_set(why, "expected an object");
	json_object_foreach(from, key, v)
	{
		const struct field *f = rows;
		const char *const *other = skip;

		while (other && *other && strcmp(*other, key) != 0)
			other++;
		if (other && *other)
			continue;
		while (f < rows + n && strcmp(f->name, key) != 0)
			f++;
		if (f == rows + n)
			return fault_set(why, "%.60s: no such key", key);
		err = f->read_only ? read_only_same(f, v, to, why)
				   : field_read(f, v, (char *)to + f->offset, why);
		if (err)
			return err;
	}
	return 0;
}

json_t *fields_emit(const struct field *rows, size_t n, const void *from)
{
	json_t *out = json_object();

	for (size_t i = 0; i < n; i++) {
		json_t *v = field_emit(&rows[i], (const char *)from + rows[i].offset);

		if (json_object_set_new(out, rows[i].name, v) < 0) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}
