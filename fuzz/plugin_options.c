/* plugin_options.c - any bytes as SIP003 options: refused, or what comes out says the same when it
 * is written and read again.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(const char *text)
{
	static uint8_t again[4 * PLUGIN_OPTIONS_MAX];
	struct wr w = wr_of(again, sizeof(again) - 1);
	struct plugin_options a, b;
	const char *why;

	if (plugin_options_parse(text, &a, &why) < 0)
		return;
	for (size_t i = 0; i < a.n; i++)
		plugin_options_emit(&w, a.v[i].key, a.v[i].value);
	assert(!w.err);
	again[w.len] = '\0';
	/* Escapes make it longer, maybe beyond the limit. */
	if (w.len <= PLUGIN_OPTIONS_MAX) {
		int err = plugin_options_parse((char *)again, &b, &why);

		assert(!err && a.n == b.n);
		for (size_t i = 0; i < a.n; i++)
			assert(!strcmp(a.v[i].key, b.v[i].key) &&
			       !strcmp(a.v[i].value, b.v[i].value));
		plugin_options_done(&b);
	}
	plugin_options_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 1);

	if (!text)
		return 0;
	if (len)
		memcpy(text, data, len);
	text[len] = '\0';
	check(text);
	free(text);
	return 0;
}
