#include "conf/schema.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* Is `key` (of `len` bytes) among the blank-separated words of `list`? */
static bool in_words(const char *list, const char *key, bool fold)
{
	size_t len = strlen(key);

	while (list && *list) {
		size_t n = strcspn(list, " ");

		if (n == len && (fold ? !strncasecmp(list, key, n) : !strncmp(list, key, n)))
			return true;
		list += n + (list[n] == ' ');
	}
	return false;
}

static const struct conf_row *find(const struct conf_schema *s, const char *key, bool alias,
				   bool fold)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct conf_row *row = &s->rows[i];

		/* A name may have blanks: those of INI files do. */
		if (alias ? in_words(row->aliases, key, fold)
			  : !(fold ? strcasecmp(row->name, key) : strcmp(row->name, key)))
			return row;
	}
	return NULL;
}

const struct conf_row *conf_row_find(const struct conf_schema *s, const char *key)
{
	const struct conf_row *row = find(s, key, false, false);

	if (!row)
		row = find(s, key, true, false);
	if (!row)
		row = find(s, key, false, true);
	if (!row)
		row = find(s, key, true, true);
	return row;
}

/* Insertions, deletions, replacements and swaps of neighbours that lead from `a` to `b`, letters in
 * any case (optimal string alignment); `limit` + 1 when there are more, or the words are too long.
 */
static unsigned distance(const char *a, size_t la, const char *b, size_t lb, unsigned limit)
{
	enum { MOST = 48 };
	unsigned rows[3][MOST + 1];
	unsigned *before = rows[0], *last = rows[1], *now = rows[2];

	if (la > MOST || lb > MOST)
		return limit + 1;
	for (size_t j = 0; j <= lb; j++)
		last[j] = (unsigned)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned *spare = before;

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= lb; j++) {
			int x = tolower((unsigned char)a[i - 1]),
			    y = tolower((unsigned char)b[j - 1]);
			unsigned best = last[j - 1] + (x != y);

			best = MIN(best, last[j] + 1);
			best = MIN(best, now[j - 1] + 1);
			if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
			    y == tolower((unsigned char)a[i - 2]))
				best = MIN(best, before[j - 2] + 1);
			now[j] = best;
		}
		before = last;
		last = now;
		now = spare;
	}
	return last[lb];
}

const char *conf_row_nearest(const struct conf_schema *s, const char *key)
{
	size_t len = strlen(key);
	unsigned best = (unsigned)MIN(1 + len / 4, (size_t)4) + 1;
	const char *nearest = NULL;

	for (size_t i = 0; i < s->count; i++) {
		const char *name = s->rows[i].name;
		unsigned d = distance(key, len, name, strlen(name), best);

		if (d < best && d < strlen(name)) {
			best = d;
			nearest = name;
		}
	}
	return nearest;
}

bool conf_row_is_set(const struct conf_schema *s, const struct conf_row *row, const void *object)
{
	const struct conf_set *set = object;
	size_t n = (size_t)(row - s->rows);

	return set->bits[n / 64] >> (n % 64) & 1;
}

bool conf_field_is_set(const struct conf_schema *s, const void *object, size_t offset)
{
	for (size_t i = 0; i < s->count; i++) {
		if (s->rows[i].offset == offset && s->rows[i].type != CONF_T_NONE)
			return conf_row_is_set(s, &s->rows[i], object);
	}
	return false;
}

const char *conf_word_name(const struct conf_word *words, int64_t value)
{
	for (; words->name; words++) {
		if (words->value == value)
			return words->name;
	}
	return "?";
}
