#include "panel/headers.h"

#include <string.h>
#include <strings.h>

#include "base/err.h"

int decimal_parse(const char *text, size_t len, int64_t *out)
{
	uint64_t v = 0;

	if (len == 0 || len > 64)
		return -ERR_MALFORMED;
	for (size_t i = 0; i < len; i++) {
		unsigned digit = (unsigned)(unsigned char)text[i] - '0';

		if (digit > 9 || v > ((uint64_t)INT64_MAX - digit) / 10)
			return -ERR_MALFORMED;
		v = v * 10 + digit;
	}
	*out = (int64_t)v;
	return 0;
}

/* One element of a list: [at, at+len), with *rest behind its comma.  NULL at the end. */
static const char *list_element(const char **rest, size_t *len)
{
	const char *at = *rest + strspn(*rest, " \t,");
	size_t n = strcspn(at, ",");

	if (!*at)
		return NULL;
	*rest = at + n;
	while (n > 0 && (at[n - 1] == ' ' || at[n - 1] == '\t'))
		n--;
	*len = n;
	return at;
}

bool etag_listed(const char *header, const char *etag)
{
	const char *at;
	size_t len;

	if (!header)
		return false;
	while ((at = list_element(&header, &len))) {
		if (len == 1 && *at == '*')
			return true;
		if (len > 2 && (at[0] == 'W' || at[0] == 'w') && at[1] == '/') {
			at += 2;
			len -= 2;
		}
		if (len >= 2 && at[0] == '"' && at[len - 1] == '"') {
			at++;
			len -= 2;
		}
		if (len == strlen(etag) && memcmp(at, etag, len) == 0)
			return true;
	}
	return false;
}

/* "q=0", "q=0.", "q=0.000" among the parameters: not acceptable. */
static bool weight_is_zero(const char *params, size_t len)
{
	for (size_t i = 0; i + 2 < len; i++) {
		if ((params[i] != 'q' && params[i] != 'Q') || params[i + 1] != '=')
			continue;
		for (size_t k = i + 2; k < len && params[k] != ';' && params[k] != ' '; k++) {
			if (params[k] != '0' && params[k] != '.')
				return false;
		}
		return true;
	}
	return false;
}

static bool word_is(const char *at, size_t len, const char *word)
{
	return len == strlen(word) && strncasecmp(at, word, len) == 0;
}

bool gzip_accepted(const char *header)
{
	bool any = false;
	const char *at;
	size_t len;

	if (!header)
		return false;
	while ((at = list_element(&header, &len))) {
		size_t word = 0;

		while (word < len && at[word] != ';' && at[word] != ' ')
			word++;
		bool wanted = !weight_is_zero(at + word, len - word);

		if (word_is(at, word, "gzip") || word_is(at, word, "x-gzip"))
			return wanted;
		if (word_is(at, word, "*"))
			any = wanted;
	}
	return any;
}

bool html_accepted(const char *header)
{
	return header && strcasestr(header, "text/html");
}

const char *bearer_token(const char *header)
{
	if (!header || strncasecmp(header, "Bearer ", 7) != 0)
		return NULL;
	header += 7;
	return header + strspn(header, " ");
}
