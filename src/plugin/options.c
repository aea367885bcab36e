#include "plugin/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

static bool is_special(char c)
{
	return c == ';' || c == '=' || c == '\\';
}

int plugin_options_check(const char *text)
{
	if (strlen(text) > PLUGIN_OPTIONS_MAX)
		return -ERR_TOO_BIG;
	return strpbrk(text, "\r\n") ? -ERR_MALFORMED : 0;
}

/* Bytes up to an unescaped one of `ends`, without their backslashes, and a NUL.  NULL: the text
 * ends in a backslash.
 */
static const char *take(const char *at, const char *ends, char **to)
{
	while (*at && !strchr(ends, *at)) {
		if (*at == '\\' && !*++at)
			return NULL;
		*(*to)++ = *at++;
	}
	*(*to)++ = '\0';
	return at;
}

/* At most as many options as there are semicolons, and one.  Each byte of text makes at most one of
 * memory, and each option two more: its NULs, and the "1" of one without a value.
 */
static int room(const char *text, struct plugin_options *o)
{
	size_t most = 1;

	for (const char *c = text; *c; c++)
		most += *c == ';';
	o->v = calloc(most, sizeof(*o->v));
	o->mem = malloc(strlen(text) + most * 3);
	return o->v && o->mem ? 0 : -ENOMEM;
}

static int parse(const char *at, struct plugin_options *o, const char **why)
{
	char *to = o->mem;

	for (;;) {
		struct plugin_option *p = &o->v[o->n];

		p->key = to;
		at = take(at, ";=", &to);
		p->value = to;
		if (at && *p->key && *at == '=') {
			at = take(at + 1, ";", &to);
		} else {
			*to++ = '1';
			*to++ = '\0';
		}
		*why = at ? "a key is empty" : "it ends in a backslash";
		if (!at || !*p->key)
			return -ERR_MALFORMED;
		o->n++;
		if (!*at++)
			return 0;
	}
}

int plugin_options_parse(const char *text, struct plugin_options *out, const char **why)
{
	struct plugin_options o = {0};
	int err = plugin_options_check(text);

	*why = err == -ERR_TOO_BIG ? "longer than 8192 bytes" : "it holds a newline";
	if (!err && *text) {
		err = room(text, &o);
		*why = "no memory";
		if (!err)
			err = parse(text, &o, why);
	}
	if (err) {
		plugin_options_done(&o);
		return err;
	}
	*out = o;
	return 0;
}

void plugin_options_done(struct plugin_options *o)
{
	free(o->v);
	free(o->mem);
	*o = (struct plugin_options){0};
}

const char *plugin_options_get(const struct plugin_options *o, const char *key)
{
	for (size_t i = 0; i < o->n; i++) {
		if (!strcmp(o->v[i].key, key))
			return o->v[i].value;
	}
	return NULL;
}

static void emit_escaped(struct wr *w, const char *s)
{
	for (; *s; s++) {
		if (is_special(*s))
			wr_u8(w, '\\');
		wr_u8(w, (uint8_t)*s);
	}
}

void plugin_options_emit(struct wr *w, const char *key, const char *value)
{
	if (w->len)
		wr_u8(w, ';');
	emit_escaped(w, key);
	wr_u8(w, '=');
	emit_escaped(w, value);
}
