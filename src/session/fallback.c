#include "session/fallback.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/grow.h"

/* The rows of the finished table: every (name, alpn, path) that can be selected, inheritance done. */
struct row {
	const char *sni, *alpn, *path;
	const struct fallback *target;
};

struct fallback_table {
	struct fallback *own; /* the configured entries, owned */
	size_t nown;
	struct row *rows;
	size_t nrows, cap;
};

static struct row *find(const struct fallback_table *t, const char *sni, const char *alpn,
			const char *path)
{
	for (size_t i = 0; i < t->nrows; i++) {
		struct row *r = &t->rows[i];

		if (!strcmp(r->sni, sni) && !strcmp(r->alpn, alpn) &&
		    (!path || !strcmp(r->path, path)))
			return r;
	}
	return NULL;
}

static bool has_name(const struct fallback_table *t, const char *sni)
{
	for (size_t i = 0; i < t->nrows; i++) {
		if (!strcmp(t->rows[i].sni, sni))
			return true;
	}
	return false;
}

static bool add(struct fallback_table *t, const char *sni, const char *alpn, const char *path,
		const struct fallback *target, bool replace)
{
	struct row *r = find(t, sni, alpn, path), *rows;

	if (r) {
		if (replace)
			r->target = target;
		return true;
	}
	rows = grow(t->rows, t->nrows, &t->cap, sizeof(*rows));
	if (!rows)
		return false;
	t->rows = rows;
	t->rows[t->nrows++] = (struct row){sni, alpn, path, target};
	return true;
}

/* Give (sni, alpn) every path of (from_sni, from_alpn) that it lacks. */
static bool inherit(struct fallback_table *t, const char *sni, const char *alpn,
		    const char *from_sni, const char *from_alpn)
{
	for (size_t i = 0, n = t->nrows; i < n; i++) {
		struct row r = t->rows[i];

		if (strcmp(r.sni, from_sni) || strcmp(r.alpn, from_alpn))
			continue;
		if (!add(t, sni, alpn, r.path, r.target, false))
			return false;
	}
	return true;
}

/* 1. other names know the alpns of "": from 2 and 3 such an alpn takes the name's own "" paths, then
 *    those of "" for the alpn.
 * 2. inside each name: a non-empty alpn takes the paths of alpn "".
 * 3. every non-empty name takes, per alpn, the paths of name "".
 */
static bool inherit_all(struct fallback_table *t)
{
	size_t n = t->nrows;

	for (size_t i = 0; i < n; i++) { /* alpns of name "", into every other name */
		if (*t->rows[i].sni || !*t->rows[i].alpn)
			continue;
		for (size_t k = 0; k < n; k++) {
			if (*t->rows[k].sni &&
			    !inherit(t, t->rows[k].sni, t->rows[i].alpn, t->rows[k].sni, ""))
				return false;
		}
	}
	n = t->nrows;
	for (size_t i = 0; i < n; i++) {
		if (*t->rows[i].alpn &&
		    !inherit(t, t->rows[i].sni, t->rows[i].alpn, t->rows[i].sni, ""))
			return false;
	}
	n = t->nrows;
	for (size_t i = 0; i < n; i++) { /* per alpn of name "", into every other name */
		for (size_t k = 0; k < n; k++) {
			if (!*t->rows[i].sni && *t->rows[k].sni &&
			    !inherit(t, t->rows[k].sni, t->rows[i].alpn, "", t->rows[i].alpn))
				return false;
		}
	}
	return true;
}

static bool copy_entry(struct fallback *to, const struct fallback *from)
{
	*to = *from;
	to->sni = strdup(from->sni ? from->sni : "");
	to->alpn = strdup(from->alpn ? from->alpn : "");
	to->path = strdup(from->path ? from->path : "");
	to->unix_path = from->unix_path ? strdup(from->unix_path) : NULL;
	if (!to->sni || !to->alpn || !to->path || (from->unix_path && !to->unix_path))
		return false;
	for (char *p = to->sni; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	for (char *p = to->alpn; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return true;
}

struct fallback_table *fallback_table_new(const struct fallback *v, size_t n)
{
	struct fallback_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->own = calloc(n ? n : 1, sizeof(*t->own));
	if (!t->own)
		goto fail;
	for (; t->nown < n; t->nown++) {
		struct fallback *f = &t->own[t->nown];

		if (!copy_entry(f, &v[t->nown])) {
			t->nown++;
			goto fail;
		}
		if (!add(t, f->sni, f->alpn, f->path, f, true)) {
			t->nown++;
			goto fail;
		}
	}
	if (!inherit_all(t))
		goto fail;
	return t;

fail:
	fallback_table_free(t);
	return NULL;
}

void fallback_table_free(struct fallback_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->nown; i++) {
		free(t->own[i].sni);
		free(t->own[i].alpn);
		free(t->own[i].path);
		free(t->own[i].unix_path);
	}
	free(t->own);
	free(t->rows);
	free(t);
}

bool fallback_table_empty(const struct fallback_table *t)
{
	return !t || t->nrows == 0;
}

/* The request path: 8 bytes at most for the method, then `/…` up to `?` or a blank (within 64). */
static size_t request_path(const uint8_t *p, size_t len, const char **path)
{
	size_t i, j, end = MIN(len, (size_t)64);

	if (len < 18 || p[4] == '*')
		return 0;
	for (i = 4; i <= 8; i++) {
		if (p[i] == '/' && p[i - 1] == ' ')
			break;
	}
	if (i > 8)
		return 0;
	for (j = i + 1; j < end; j++) {
		if (p[j] == '\r' || p[j] == '\n')
			return 0;
		if (p[j] == '?' || p[j] == ' ') {
			*path = (const char *)p + i;
			return j - i;
		}
	}
	return 0;
}

/* The configured name to use for this SNI: itself, else the longest that is a substring of it. */
static const char *choose_name(const struct fallback_table *t, const char *sni)
{
	const char *best = NULL;

	if (has_name(t, sni))
		return sni;
	for (size_t i = 0; i < t->nrows; i++) {
		const char *name = t->rows[i].sni;

		if (*name && strstr(sni, name) && (!best || strlen(name) > strlen(best)))
			best = name;
	}
	return best ? best : "";
}

static void lower_copy(char *out, size_t cap, const char *in)
{
	size_t i;

	for (i = 0; in[i] && i + 1 < cap; i++)
		out[i] = (char)tolower((unsigned char)in[i]);
	out[i] = '\0';
}

const struct fallback *fallback_select(const struct fallback_table *t, const char *sni,
				       const char *alpn, const void *first, size_t len)
{
	char name[DEST_NAME_MAX + 1], proto[256], want[65];
	const char *path = "", *use;
	struct row *r;
	size_t n;

	if (fallback_table_empty(t))
		return NULL;
	lower_copy(name, sizeof(name), sni);
	lower_copy(proto, sizeof(proto), alpn);
	use = choose_name(t, name);
	if (!find(t, use, proto, NULL))
		proto[0] = '\0';
	n = request_path(first, len, &path);
	memcpy(want, path, n);
	want[n] = '\0';
	r = find(t, use, proto, want);
	if (!r)
		r = find(t, use, proto, "");
	return r ? r->target : NULL;
}

int fallback_parse_dest(struct fallback *f, const char *text)
{
	char local[32];

	if (text[0] == '/' || text[0] == '@') {
		f->unix_path = strdup(text);
		return f->unix_path ? 0 : -ERR_MALFORMED;
	}
	if (*text && strspn(text, "0123456789") == strlen(text) && strlen(text) <= 5) {
		memcpy(local, "127.0.0.1:", 10);
		memcpy(local + 10, text, strlen(text) + 1);
		return dest_parse(&f->dest, local);
	}
	return dest_parse(&f->dest, text);
}
