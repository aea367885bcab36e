#include "base/jout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool jout_grow(struct jout *j, size_t n)
{
	size_t cap = j->cap ? j->cap : 256;
	char *at;

	if (j->failed)
		return false;
	while (cap - j->len <= n) /* one more for the NUL */
		cap *= 2;
	if (cap == j->cap)
		return true;
	at = realloc(j->at, cap);
	if (!at) {
		j->failed = true;
		return false;
	}
	j->at = at;
	j->cap = cap;
	return true;
}

void jout_bytes(struct jout *j, const void *bytes, size_t n)
{
	if (!jout_grow(j, n))
		return;
	memcpy(j->at + j->len, bytes, n);
	j->len += n;
	j->at[j->len] = '\0';
}

void jout_str(struct jout *j, const char *s)
{
	jout_bytes(j, s, strlen(s));
}

void jout_int(struct jout *j, int64_t v)
{
	char digits[24], *p = digits + sizeof(digits);
	uint64_t rest = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	do {
		*--p = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest);
	if (v < 0)
		*--p = '-';
	jout_bytes(j, p, (size_t)(digits + sizeof(digits) - p));
}

void jout_real(struct jout *j, double v)
{
	char text[32];

	if (v >= -1e15 && v <= 1e15 && (double)(int64_t)v == v) {
		jout_int(j, (int64_t)v);
		return;
	}
	snprintf(text, sizeof(text), "%.15g", v);
	jout_str(j, text);
}

void jout_quoted(struct jout *j, const char *s)
{
	jout_bytes(j, "\"", 1);
	while (*s) {
		size_t plain = 0;

		while ((unsigned char)s[plain] >= 0x20 && s[plain] != '"' && s[plain] != '\\')
			plain++;
		jout_bytes(j, s, plain);
		s += plain;
		if (*s) {
			char esc[8];

			jout_bytes(j, esc,
				   (size_t)snprintf(esc, sizeof(esc), "\\u%04x", (unsigned)*s));
			s++;
		}
	}
	jout_bytes(j, "\"", 1);
}

static void jout_children(struct jout *j, const struct json_value *v, bool object)
{
	bool first = true;

	for (const struct json_value *c = v->child; c; c = c->next) {
		if (c->bad || (object && c->bad_key))
			continue;
		if (!first)
			jout_bytes(j, ",", 1);
		first = false;
		if (object) {
			jout_quoted(j, c->key);
			jout_bytes(j, ":", 1);
		}
		jout_value(j, c);
	}
}

/* As deep as the parser lets a document be. */
void jout_value(struct jout *j, const struct json_value *v)
{
	switch (v->type) {
	case JSON_T_OBJECT:
	case JSON_T_ARRAY:
		jout_str(j, v->type == JSON_T_OBJECT ? "{" : "[");
		jout_children(j, v, v->type == JSON_T_OBJECT);
		jout_str(j, v->type == JSON_T_OBJECT ? "}" : "]");
		break;
	case JSON_T_STRING:
		jout_quoted(j, v->text);
		break;
	case JSON_T_NUMBER:
		jout_bytes(j, v->text, v->len);
		break;
	default:
		jout_str(j, v->type == JSON_T_TRUE    ? "true"
			    : v->type == JSON_T_FALSE ? "false"
						      : "null");
	}
}
