/* xray_outbound.c - any bytes as an outbound in Xray's JSON: what is taken can be dialed, or the
 * reason is a sentence.
 */
#include <assert.h>
#include <string.h>

#include "client/from_link.h"

#define ENOUGH (1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct link_trust trust = {.insecure = true}; /* no roots to load for every input */
	char why[FROM_LINK_WHY] = "";
	struct outbound_conf conf;
	struct json_value *doc;
	struct share_link link;
	struct arena arena;
	struct json_pos at;
	const char *what;
	int err;

	arena_init(&arena, ENOUGH);
	if (json_parse((const char *)data, len, JSON_RELAXED, &arena, &doc, &at, &what) == 0) {
		err = link_of_xray(doc, &arena, &link, &trust, why);
		if (err == 0)
			err = outbound_conf_of_link(&link, &trust, &conf, why);
		if (err == 0)
			outbound_conf_done(&conf);
		else
			assert(err < 0 && *why && memchr(why, 0, sizeof(why)));
	}
	arena_done(&arena);
	return 0;
}
