/* panel_url.c - an address from the configuration, a key and a node's id, a line each, through
 * every dialect: what is asked holds them escaped, and what is logged of it does not hold the key.
 */
#include <assert.h>
#include <ctype.h>

#include "lines.h"
#include "sync/dialect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_escaped(const char *value, struct text *out)
{
	text_add_escaped(out, value);
	for (size_t i = 0; i < out->len; i++)
		assert(isalnum((unsigned char)out->s[i]) || strchr("-._~%", out->s[i]));
	assert(out->len >= strlen(value));
}

/* A key is looked for only where it cannot be part of what may be shown. */
static void check_masked(const struct panel *p, const char *url, const char *key)
{
	struct text masked = {0}, shown = {0};

	text_adds(&shown, "action node_type node_id token alivelist ");
	text_adds(&shown, p->host);
	text_add_escaped(&shown, p->node_id);
	url_mask(&masked, url);
	if (strlen(key) >= 8 && !strstr(shown.s, key))
		assert(!strstr(masked.s, key));
	text_done(&masked);
	text_done(&shown);
}

static void ask(const struct panel *p, const struct dialect *d, enum ask a)
{
	struct text url = {0}, key = {0}, origin = {0};

	d->url(p, a, &url);
	assert(!url.err && url.s && strlen(url.s) == url.len);
	text_adds(&key, "");
	check_escaped(p->key, &key);
	assert(strstr(url.s, key.s));
	check_masked(p, url.s, key.s);
	url_origin(&origin, url.s);
	assert(origin.len <= url.len);
	text_done(&url);
	text_done(&key);
	text_done(&origin);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct dialect *const dialects[] = {&dialect_v2sp, &dialect_uniproxy,
							 &dialect_xboard2, &dialect_v2node};
	struct lines l = lines_of(data, len);
	struct panel p = {.host = l.text[0], .key = l.text[1], .node_id = l.text[2]};

	p.type = len % 2 ? NODE_VLESS : NODE_TYPE_NONE;
	(void)url_is_bare(p.host);
	for (size_t i = 0; i < ARRAY_LEN(dialects); i++) {
		for (enum ask a = 0; a < ASKS; a++)
			ask(&p, dialects[i], a);
	}
	lines_done(&l);
	return 0;
}
