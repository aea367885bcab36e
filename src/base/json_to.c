/* json_to.c - the lenient readings of a value: rules L1 to L8 of the panel interfaces. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json_value.h"

static bool is_default(const struct json_value *v)
{
	return !v || v->type == JSON_T_NULL || (v->type == JSON_T_STRING && v->len == 0);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void trim(const char **s, size_t *len)
{
	while (*len && is_blank(**s)) {
		(*s)++;
		(*len)--;
	}
	while (*len && is_blank((*s)[*len - 1]))
		(*len)--;
}

/* A decimal number taken apart: digits[0..n) without leading zeros, times ten to the `exp`. */
struct decimal {
	const char *text;
	size_t whole, fraction; /* digits before and behind the point; the point lies between */
	long exp;
	bool negative;
};

static size_t count_digits(const char *s, size_t len)
{
	size_t n = 0;

	while (n < len && is_digit(s[n]))
		n++;
	return n;
}

static bool take_exponent(const char **s, size_t *len, long *out)
{
	bool negative;
	long v = 0;
	size_t n;

	(*s)++;
	(*len)--;
	negative = *len && **s == '-';
	if (*len && (**s == '-' || **s == '+')) {
		(*s)++;
		(*len)--;
	}
	n = count_digits(*s, *len);
	if (n == 0)
		return false;
	for (size_t i = 0; i < n; i++)
		v = v < 100000 ? v * 10 + ((*s)[i] - '0') : v;
	*s += n;
	*len -= n;
	*out = negative ? -v : v;
	return true;
}

/* [+-] digits [. digits] [e [+-] digits], with nothing around it. */
static bool split_decimal(const char *s, size_t len, struct decimal *d)
{
	*d = (struct decimal){0};
	if (len && (*s == '-' || *s == '+')) {
		d->negative = *s == '-';
		s++;
		len--;
	}
	d->text = s;
	d->whole = count_digits(s, len);
	s += d->whole;
	len -= d->whole;
	if (len && *s == '.') {
		d->fraction = count_digits(s + 1, len - 1);
		s += d->fraction + 1;
		len -= d->fraction + 1;
	}
	if (d->whole + d->fraction == 0)
		return false;
	if (len && (*s == 'e' || *s == 'E') && !take_exponent(&s, &len, &d->exp))
		return false;
	return len == 0;
}

/* The n-th digit of whole and fraction together. */
static unsigned digit_at(const struct decimal *d, size_t n)
{
	return (unsigned)(d->text[n < d->whole ? n : n + 1] - '0');
}

int json_int_of_text(const char *text, size_t len, int64_t *out)
{
	size_t total, integral;
	struct decimal d;
	uint64_t v = 0;
	long places;

	trim(&text, &len);
	if (!split_decimal(text, len, &d))
		return -ERR_MALFORMED;
	total = d.whole + d.fraction;
	places = (long)d.whole + d.exp; /* digits before the point once the exponent is applied */
	integral = places < 0 ? 0 : (size_t)places;
	for (size_t i = integral; i < total; i++) {
		if (digit_at(&d, i) != 0)
			return -ERR_MALFORMED;
	}
	for (size_t i = 0; i < integral; i++) {
		unsigned digit = i < total ? digit_at(&d, i) : 0;

		if (v > (UINT64_MAX - digit) / 10)
			return -ERANGE;
		v = v * 10 + digit;
		if (v == 0 && i >= total)
			break; /* zeros to the end, however many */
	}
	if (v > (uint64_t)INT64_MAX + d.negative)
		return -ERANGE;
	*out = d.negative ? (int64_t)(0 - v) : (int64_t)v;
	return 0;
}

int json_to_int(const struct json_value *v, int64_t *out)
{
	if (is_default(v))
		return JSON_DEFAULT;
	switch (v->type) {
	case JSON_T_TRUE:
	case JSON_T_FALSE:
		*out = v->type == JSON_T_TRUE;
		return 0;
	case JSON_T_NUMBER:
	case JSON_T_STRING:
		return json_int_of_text(v->text, v->len, out);
	default:
		return -ERR_MALFORMED;
	}
}

int json_to_decimal(const struct json_value *v, double *out)
{
	struct decimal d;
	const char *s;
	size_t len;
	double n;

	if (is_default(v))
		return JSON_DEFAULT;
	if (v->type != JSON_T_NUMBER && v->type != JSON_T_STRING)
		return -ERR_MALFORMED;
	s = v->text;
	len = v->len;
	trim(&s, &len);
	if (!split_decimal(s, len, &d))
		return -ERR_MALFORMED;
	/* What follows the number is a blank or the NUL, so strtod() ends where we do. */
	n = strtod(s, NULL);
	if (!isfinite(n))
		return -ERANGE;
	*out = n;
	return 0;
}

static int bool_of_text(const char *s, size_t len, bool *out)
{
	static const struct {
		const char *text;
		bool value;
	} words[] = {
		{"0", false},  {"1", true},   {"true", true}, {"false", false},
		{"yes", true}, {"no", false}, {"on", true},   {"off", false},
	};

	trim(&s, &len);
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strlen(words[i].text) == len && !strncasecmp(words[i].text, s, len)) {
			*out = words[i].value;
			return 0;
		}
	}
	return -ERR_MALFORMED;
}

int json_to_bool(const struct json_value *v, bool *out)
{
	int64_t n;

	if (is_default(v))
		return JSON_DEFAULT;
	switch (v->type) {
	case JSON_T_TRUE:
	case JSON_T_FALSE:
		*out = v->type == JSON_T_TRUE;
		return 0;
	case JSON_T_NUMBER:
		if (json_int_of_text(v->text, v->len, &n) || (n != 0 && n != 1))
			return -ERR_MALFORMED;
		*out = n;
		return 0;
	case JSON_T_STRING:
		return bool_of_text(v->text, v->len, out);
	default:
		return -ERR_MALFORMED;
	}
}

static const char *shortest_decimal(const struct json_value *v, struct arena *a)
{
	double d = strtod(v->text, NULL);
	char text[40];
	int64_t n;

	if (strcspn(v->text, ".eE") == v->len)
		return v->text;
	if (!json_int_of_text(v->text, v->len, &n))
		return arena_printf(a, "%lld", (long long)n);
	if (!isfinite(d))
		return v->text;
	for (int digits = 1; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, d);
		if (strtod(text, NULL) == d)
			break;
	}
	return arena_strdup(a, text);
}

int json_to_text(const struct json_value *v, struct arena *a, const char **out)
{
	const char *text;

	if (!v || v->type == JSON_T_NULL)
		return JSON_DEFAULT;
	if (v->bad || (v->type != JSON_T_STRING && v->type != JSON_T_NUMBER))
		return -ERR_MALFORMED;
	text = v->type == JSON_T_STRING ? v->text : shortest_decimal(v, a);
	if (!text)
		return -ENOMEM;
	*out = text;
	return 0;
}

int json_to_object(const struct json_value *v, struct arena *a, const struct json_value **out)
{
	struct json_value *inner;
	int err;

	if (is_default(v))
		return JSON_DEFAULT;
	if (v->type == JSON_T_OBJECT) {
		*out = v;
		return 0;
	}
	if (v->type == JSON_T_ARRAY && v->len == 0) {
		inner = arena_alloc(a, sizeof(*inner));
		if (!inner)
			return -ENOMEM;
		inner->type = JSON_T_OBJECT;
		inner->at = v->at;
		*out = inner;
		return 0;
	}
	if (v->type != JSON_T_STRING || v->bad)
		return -ERR_MALFORMED;
	err = json_parse(v->text, v->len, 0, a, &inner, NULL, NULL);
	if (err == -ENOMEM)
		return err;
	if (err || (inner->type != JSON_T_OBJECT && (inner->type != JSON_T_ARRAY || inner->len)))
		return -ERR_MALFORMED;
	inner->type = JSON_T_OBJECT; /* [] again */
	*out = inner;
	return 0;
}

/* --- lists --------------------------------------------------------------------------------- */

static int list_of_array(const struct json_value *v, struct arena *a, struct json_list *out)
{
	const char **items = arena_alloc(a, ((size_t)v->len + 1) * sizeof(*items));
	size_t n = 0;
	int err;

	if (!items)
		return -ENOMEM;
	for (const struct json_value *e = v->child; e; e = e->next) {
		err = json_to_text(e, a, &items[n]);
		if (err < 0)
			return err;
		n += err == 0;
	}
	*out = (struct json_list){items, n};
	return 0;
}

static int list_of_text(const struct json_value *v, const char *seps, struct arena *a,
			struct json_list *out)
{
	const char **items, *s = v->text;
	size_t n = 0, most = 1;

	if (v->bad)
		return -ERR_MALFORMED;
	for (const char *c = s; *c; c++)
		most += strchr(seps, *c) != NULL;
	items = arena_alloc(a, most * sizeof(*items));
	if (!items)
		return -ENOMEM;
	for (;;) {
		size_t piece = strcspn(s, seps), len = piece;
		const char *start = s;

		trim(&start, &len);
		if (len) {
			items[n] = arena_dup(a, start, len);
			if (!items[n++])
				return -ENOMEM;
		}
		if (!s[piece])
			break;
		s += piece + 1;
	}
	*out = (struct json_list){items, n};
	return 0;
}

struct keyed {
	int64_t key;
	const struct json_value *value;
};

static int by_key(const void *a, const void *b)
{
	const struct keyed *x = a, *y = b;

	return (x->key > y->key) - (x->key < y->key);
}

/* A PHP list with gaps: the values in the order of their keys. */
static int list_of_object(const struct json_value *v, struct arena *a, struct json_list *out)
{
	struct keyed *k = arena_alloc(a, ((size_t)v->len + 1) * sizeof(*k));
	const char **items = arena_alloc(a, ((size_t)v->len + 1) * sizeof(*items));
	size_t n = 0, count = 0;
	int err;

	if (!k || !items)
		return -ENOMEM;
	for (const struct json_value *m = v->child; m; m = m->next, n++) {
		k[n].value = m;
		if (m->bad_key || json_int_of_text(m->key, strlen(m->key), &k[n].key))
			return -ERR_MALFORMED;
	}
	qsort(k, n, sizeof(*k), by_key);
	for (size_t i = 0; i < n; i++) {
		err = json_to_text(k[i].value, a, &items[count]);
		if (err < 0)
			return err;
		count += err == 0;
	}
	*out = (struct json_list){items, count};
	return 0;
}

static int to_list(const struct json_value *v, const char *seps, struct arena *a,
		   struct json_list *out)
{
	if (!v || v->type == JSON_T_NULL)
		return JSON_DEFAULT;
	switch (v->type) {
	case JSON_T_ARRAY:
		return list_of_array(v, a, out);
	case JSON_T_STRING:
		return list_of_text(v, seps, a, out);
	case JSON_T_OBJECT:
		return list_of_object(v, a, out);
	default:
		return -ERR_MALFORMED;
	}
}

int json_to_list(const struct json_value *v, struct arena *a, struct json_list *out)
{
	return to_list(v, ",\n", a, out);
}

int json_to_lines(const struct json_value *v, struct arena *a, struct json_list *out)
{
	return to_list(v, "\n", a, out);
}

/* --- maps by id ---------------------------------------------------------------------------- */

int json_ids_init(struct json_ids *it, const struct json_value *v)
{
	if (is_default(v))
		return JSON_DEFAULT;
	if (v->type != JSON_T_OBJECT && v->type != JSON_T_ARRAY)
		return -ERR_MALFORMED;
	*it = (struct json_ids){.next = v->child, .array = v->type == JSON_T_ARRAY};
	return 0;
}

static bool id_of_key(const char *key, int64_t *id)
{
	int64_t v = 0;

	if (!*key || strlen(key) > 19 || key[strspn(key, "0123456789")])
		return false;
	return json_int_of_text(key, strlen(key), &v) == 0 && (*id = v, true);
}

bool json_ids_next(struct json_ids *it, int64_t *id, const struct json_value **value)
{
	while (it->next) {
		const struct json_value *m = it->next;

		it->next = m->next;
		if (it->array)
			*id = it->index++;
		else if (m->bad_key || !id_of_key(m->key, id)) {
			it->bad++;
			continue;
		}
		*value = m;
		return true;
	}
	return false;
}
