/* panel_headers.c - the small texts of requests to the panel, and of forms: numbers, tags, codings,
 * sizes, dates.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "lines.h"
#include "panel/field.h"
#include "panel/headers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void numbers(const char *s)
{
	char again[32];
	int64_t n, m;

	if (decimal_parse(s, strlen(s), &n) == 0) {
		snprintf(again, sizeof(again), "%" PRId64, n);
		assert(n >= 0 && decimal_parse(again, strlen(again), &m) == 0 && n == m);
	}
	if (bytes_parse(s, &n) == 0)
		assert(n >= 0);
	if (date_parse(s, 1763730000, &n) == 0)
		assert(n >= 0);
}

/* Whatever stands in a list as a tag is found there. */
static void tags(const char *s)
{
	char header[128];

	(void)etag_listed(s, "5d41402abc4b2a76b9719d911017c592");
	if (strpbrk(s, ",") || strlen(s) > 64)
		return;
	snprintf(header, sizeof(header), "\"x\" , W/\"%s\", \"y\"", s);
	assert(etag_listed(header, s));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct lines l = lines_of(data, len);
	const char *s = l.text[0], *token = bearer_token(s);

	numbers(s);
	assert(!token || (token >= s + 7 && token <= s + strlen(s)));
	tags(s);
	(void)gzip_accepted(s);
	(void)html_accepted(s);
	lines_done(&l);
	return 0;
}
