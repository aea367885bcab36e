#include "sync/url.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- text ---------------------------------------------------------------------------------- */

static bool make_room(struct text *t, size_t more)
{
	size_t size = t->size ? t->size : 128;
	char *s;

	if (t->err)
		return false;
	if (t->size - t->len > more)
		return true;
	while (size - t->len <= more)
		size *= 2;
	s = realloc(t->s, size);
	if (!s) {
		t->err = -ENOMEM;
		return false;
	}
	t->s = s;
	t->size = size;
	return true;
}

void text_add(struct text *t, const char *bytes, size_t len)
{
	if (!make_room(t, len))
		return;
	if (len)
		memcpy(t->s + t->len, bytes, len);
	t->len += len;
	t->s[t->len] = '\0';
}

void text_adds(struct text *t, const char *s)
{
	text_add(t, s, strlen(s));
}

void text_addf(struct text *t, const char *fmt, ...)
{
	char small[256];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n < sizeof(small)) {
		text_add(t, small, (size_t)n);
		return;
	}
	if (!make_room(t, (size_t)n))
		return;
	va_start(ap, fmt);
	vsnprintf(t->s + t->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	t->len += (size_t)n;
}

void text_done(struct text *t)
{
	free(t->s);
	*t = (struct text){0};
}

/* --- urls ---------------------------------------------------------------------------------- */

void text_add_escaped(struct text *t, const char *value)
{
	static const char hex[] = "0123456789ABCDEF";

	for (const unsigned char *s = (const unsigned char *)value; *s; s++) {
		char escape[3] = {'%', hex[*s >> 4], hex[*s & 15]};

		if (isalnum(*s) || strchr("-._~", *s))
			text_add(t, (const char *)s, 1);
		else
			text_add(t, escape, sizeof(escape));
	}
}

void url_first_param(struct text *t, const char *name, const char *value)
{
	char last = t->len ? t->s[t->len - 1] : '\0';

	if (!t->s || !strchr(t->s, '?'))
		text_adds(t, "?");
	else if (last != '?' && last != '&')
		text_adds(t, "&");
	text_adds(t, name);
	text_adds(t, "=");
	text_add_escaped(t, value);
}

void url_param(struct text *t, const char *name, const char *value)
{
	text_adds(t, "&");
	text_adds(t, name);
	text_adds(t, "=");
	text_add_escaped(t, value);
}

void url_join(struct text *t, const char *base, const char *path)
{
	size_t len = strcspn(base, "?#");
	size_t end = len;

	while (end && base[end - 1] == '/')
		end--;
	while (*path == '/')
		path++;
	text_add(t, base, end);
	text_adds(t, "/");
	text_adds(t, path);
	if (base[len] == '?')
		text_adds(t, base + len);
}

/* Behind "scheme://"; the whole text when there is none, or one further behind, in the query. */
static const char *authority_of(const char *url)
{
	const char *s = url + strcspn(url, "/?#");

	return s > url && !strncmp(s - 1, "://", 3) ? s + 2 : url;
}

bool url_is_bare(const char *base)
{
	const char *s = authority_of(base);

	s += strcspn(s, "/?#");
	return !*s || !strcmp(s, "/");
}

/* The length of "user:password@", or 0. */
static size_t userinfo_len(const char *authority)
{
	size_t end = strcspn(authority, "/?#");

	for (size_t i = end; i > 0; i--) {
		if (authority[i - 1] == '@')
			return i;
	}
	return 0;
}

void url_origin(struct text *t, const char *url)
{
	const char *s = authority_of(url);
	size_t start = t->len;

	text_add(t, url, (size_t)(s - url));
	s += userinfo_len(s);
	text_add(t, s, strcspn(s, "/?#"));
	for (size_t i = start; i < t->len; i++)
		t->s[i] = (char)tolower((unsigned char)t->s[i]);
}

static bool is_secret(const char *name, size_t len)
{
	static const char *const secrets[] = {"token", "key", "muKey"};

	for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
		if (len == strlen(secrets[i]) && !strncasecmp(name, secrets[i], len))
			return true;
	}
	return false;
}

void url_mask(struct text *t, const char *url)
{
	const char *s = authority_of(url);
	size_t user = userinfo_len(s), len;

	text_add(t, url, (size_t)(s - url));
	if (user)
		text_adds(t, "***@");
	s += user;
	len = strcspn(s, "?");
	text_add(t, s, len);
	for (s += len; *s; s += len) { /* at '?' or '&' */
		size_t name = strcspn(s + 1, "=&");

		len = 1 + strcspn(s + 1, "&");
		if (is_secret(s + 1, name) && s[1 + name] == '=') {
			text_add(t, s, name + 2);
			text_adds(t, "***");
		} else {
			text_add(t, s, len);
		}
	}
}
