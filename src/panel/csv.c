#include "panel/csv.h"

#include <string.h>

#include "base/err.h"

void csv_init(struct csv *c, char *text, size_t len)
{
	*c = (struct csv){.at = text, .end = text + len, .next_line = 1};
	*c->end = '\n'; /* every record ends, the last one too */
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		c->at += 3;
}

/* A quoted field from behind its opening quote; the quotes inside become single. */
static int quoted(struct csv *c, char **field)
{
	char *to = c->at;

	*field = to;
	for (;; c->at++) {
		if (c->at >= c->end)
			return -ERR_MALFORMED;
		if (*c->at == '"') {
			c->at++;
			if (c->at >= c->end || *c->at != '"')
				break;
		}
		c->next_line += *c->at == '\n';
		*to++ = *c->at;
	}
	if (c->at < c->end && !strchr(",\r\n", *c->at))
		return -ERR_MALFORMED;
	if (to < c->at)
		*to = '\0';
	return 0;
}

static int field_of(struct csv *c, char **field)
{
	if (*c->at == '"') {
		c->at++;
		return quoted(c, field);
	}
	*field = c->at;
	while (c->at < c->end && *c->at != ',' && *c->at != '\n')
		c->at++;
	return 0;
}

/* Behind a field: true when another follows.  The separator becomes the field's NUL. */
static bool field_end(struct csv *c, const char *field)
{
	char *stop = c->at;
	bool more = c->at < c->end && *c->at == ',';

	if (!more) {
		while (c->at < c->end && *c->at != '\n')
			c->at++; /* the \r of \r\n behind a quote */
		c->next_line++;
		if (stop > field && stop[-1] == '\r')
			stop[-1] = '\0';
	}
	c->at++;
	*stop = '\0';
	return more;
}

int csv_record(struct csv *c, char **fields, int max)
{
	int n = 0, err;
	bool more = true;

	for (; c->at < c->end && (*c->at == '\n' || *c->at == '\r'); c->at++)
		c->next_line += *c->at == '\n';
	c->line = c->next_line;
	if (c->at >= c->end)
		return 0;
	while (more) {
		if (n == max)
			return -ERR_TOO_BIG;
		err = field_of(c, &fields[n]);
		if (err)
			return err;
		more = field_end(c, fields[n++]);
	}
	return n;
}
