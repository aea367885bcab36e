/* csv.c - any bytes as comma-separated text: fields stay inside it, and quoted and read once more
 * they are the same.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "panel/csv.h"
#include "sync/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { FIELDS = 8 };

static void quote(struct text *t, const char *field)
{
	text_adds(t, "\"");
	for (; *field; field++)
		text_add(t, *field == '"' ? "\"\"" : field, *field == '"' ? 2 : 1);
	text_adds(t, "\"");
}

static void check_record(char **fields, int n)
{
	struct text t = {0};
	char *again[FIELDS];
	struct csv c;

	for (int i = 0; i < n; i++) {
		text_adds(&t, i ? "," : "");
		quote(&t, fields[i]);
	}
	text_adds(&t, "\r\n");
	csv_init(&c, t.s, t.len);
	assert(csv_record(&c, again, FIELDS) == n);
	for (int i = 0; i < n; i++)
		assert(!strcmp(fields[i], again[i]));
	assert(csv_record(&c, again, FIELDS) == 0);
	text_done(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 1), *fields[FIELDS];
	unsigned line = 0;
	struct csv c;
	int n;

	if (!text)
		abort();
	if (len)
		memcpy(text, data, len);
	csv_init(&c, text, len);
	while ((n = csv_record(&c, fields, FIELDS)) > 0) {
		assert(n <= FIELDS && c.line > line);
		line = c.line;
		for (int i = 0; i < n; i++)
			assert(fields[i] >= text && fields[i] + strlen(fields[i]) <= text + len);
		check_record(fields, n);
	}
	free(text);
	return 0;
}
