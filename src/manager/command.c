#include "manager/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/jout.h"
#include "manager/profile.h"

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static const struct {
	const char *text;
	enum command_word word;
} words[] = {
	{"add", COMMAND_ADD},	{"remove", COMMAND_REMOVE}, {"list", COMMAND_LIST},
	{"ping", COMMAND_PING}, {"stat", COMMAND_STAT},
};

static size_t letters(const char *text, size_t len)
{
	size_t n = 0;

	while (n < len && text[n] >= 'a' && text[n] <= 'z')
		n++;
	return n;
}

static bool ends_at(const char *text, size_t len, size_t n)
{
	return n == len || text[n] == ':' || blank(text[n]);
}

static bool is_quiet(const char *text, size_t len)
{
	static const char word[] = "quiet";
	size_t n;

	while (len && blank(*text)) {
		text++;
		len--;
	}
	n = letters(text, len);
	return n == sizeof(word) - 1 && !memcmp(text, word, n) && ends_at(text, len, n);
}

static enum command_word word_of(const char *text, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strlen(words[i].text) == len && !memcmp(words[i].text, text, len))
			return words[i].word;
	}
	return COMMAND_UNKNOWN;
}

void command_parse(const char *text, size_t len, struct command *out)
{
	struct command c = {0};
	size_t n;

	if (len && !text[len - 1])
		len--;
	while (len && blank(*text)) {
		text++;
		len--;
	}
	n = letters(text, len);
	if (ends_at(text, len, n))
		c.word = word_of(text, n);
	c.quiet = is_quiet(text + n, len - n);
	if (n < len)
		c.json = memchr(text + n, '{', len - n);
	if (c.json)
		c.len = (size_t)(text + len - c.json);
	*out = c;
}

int command_object(const struct command *c, struct arena *a, const struct json_value **out)
{
	struct json_value *v;
	struct json_token t;
	struct json p;
	int err;

	if (!c->json)
		return -ERR_MORE;
	json_init(&p, c->json, c->len, 0);
	err = json_next(&p, &t);
	if (!err)
		err = json_read(&p, &t, a, &v);
	if (err)
		return err;
	*out = v;
	return 0;
}

/* ---- stat -------------------------------------------------------------------------------- */

size_t stat_emit(const struct stat_port *v, size_t n, char out[STAT_BYTES_MAX], size_t *len)
{
	static const char head[] = "stat: {";
	size_t at = sizeof(head) - 1, taken = 0;
	char entry[40];

	memcpy(out, head, at);
	while (taken < n && taken < STAT_PORTS_MAX) {
		int more = snprintf(entry, sizeof(entry), "%s\"%u\":%llu", taken ? "," : "",
				    (unsigned)v[taken].port, (unsigned long long)v[taken].bytes);

		if (at + (size_t)more + 1 > STAT_BYTES_MAX)
			break;
		memcpy(out + at, entry, (size_t)more);
		at += (size_t)more;
		taken++;
	}
	out[at++] = '}';
	*len = at;
	return taken;
}

void stat_each(const struct json_value *object,
	       void (*each)(void *arg, uint16_t port, uint64_t bytes), void *arg)
{
	for (const struct json_value *m = object->child; m; m = m->next) {
		int64_t port, bytes;

		if (m->bad_key || json_int_of_text(m->key, strlen(m->key), &port) || port < 1 ||
		    port > 65535 || json_to_int(m, &bytes) || bytes < 0)
			continue;
		each(arg, (uint16_t)port, (uint64_t)bytes);
	}
}

/* ---- list -------------------------------------------------------------------------------- */

bool listing_add(struct jout *j, enum listing_form form, const struct profile *p)
{
	const char *first = form == LISTING_TABBED ? "[\n\t{" : "[{";
	const char *next = form == LISTING_TABBED ? ",\n\t{" : ",{";
	char *members = profile_members(p, form == LISTING_TABBED);
	size_t len;

	if (!members) {
		j->failed = true;
		return true;
	}
	len = strlen(members);
	if (j->len && j->len + len + 8 > LISTING_MAX) {
		free(members);
		return false;
	}
	jout_str(j, j->len ? next : first);
	jout_bytes(j, members, len);
	jout_str(j, "}");
	free(members);
	return true;
}

void listing_end(struct jout *j, enum listing_form form)
{
	if (!j->len)
		jout_str(j, "[]");
	else
		jout_str(j, form == LISTING_TABBED ? "\n]" : "]");
}
