/* Traffic on its way into the store, whichever API brought it. */
#include <errno.h>
#include <string.h>

#include "crypto/hash.h"
#include "panel/http.h"

#define PRUNE_EVERY 64 /* pushes */

/* 1 to 255 printable characters; *key NULL when there is none.  -EINVAL: refused. */
static int push_key(struct request *req, const char **key)
{
	const char *text = request_header(req, "Idempotency-Key");

	*key = text;
	if (!text)
		return 0;
	for (const char *c = text; *c; c++) {
		if (*c < 0x21 || *c > 0x7e || c - text >= PUSH_KEY_MAX)
			text = "";
	}
	if (*text)
		return 0;
	request_refuse(req, 400, "Idempotency-Key: expected up to %d printable characters",
		       PUSH_KEY_MAX);
	return -EINVAL;
}

/* P5, for programs that repeat a push without a key: the same bytes again within the window.  All
 * under the write lock, so that of two at the same time one is second; what could not be stored is not
 * remembered, or its sender would never be rid of it.
 */
static bool seen_before(struct request *req, const uint8_t *digest)
{
	struct panel *p = req->panel;
	nsec_t window = p->conf.repeat_window_s * NSEC_SEC;
	struct roster_node *n;
	bool seen;

	pthread_mutex_lock(&p->read_lock);
	n = roster_node(&p->roster, req->node);
	seen = n && n->memory.last_push_at && mono_now() - n->memory.last_push_at < window &&
	       memcmp(n->memory.last_push, digest, sizeof(n->memory.last_push)) == 0;
	pthread_mutex_unlock(&p->read_lock);
	return seen;
}

static void remember(struct request *req, const uint8_t *digest)
{
	struct panel *p = req->panel;
	struct roster_node *n;

	pthread_mutex_lock(&p->read_lock);
	n = roster_node(&p->roster, req->node);
	if (n) {
		n->memory.last_push_at = mono_now();
		memcpy(n->memory.last_push, digest, sizeof(n->memory.last_push));
	}
	pthread_mutex_unlock(&p->read_lock);
}

static int apply(struct request *req, const char *key, const struct push_report *report,
		 struct push_result *result)
{
	struct panel *p = req->panel;
	uint8_t digest[HASH_MAX];
	bool keyless = !key && p->conf.repeat_window_s > 0 &&
		       hash(HASH_SHA256, req->body, req->len, digest) >= 0;
	int err = 0;

	pthread_mutex_lock(&p->write_lock);
	if (keyless && seen_before(req, digest))
		*result = (struct push_result){.repeated = true};
	else
		err = store_push(p->writer, req->node, key, report, wall_now(), result);
	if (!err && keyless)
		remember(req, digest);
	if (!err && ++p->pushes % PRUNE_EVERY == 0)
		err = store_keys_prune(p->writer, wall_now(), PUSH_KEYS_KEEP, PUSH_KEYS_MOST);
	pthread_mutex_unlock(&p->write_lock);
	return err;
}

bool request_push(struct request *req, report_parse_fn parse, report_resolve_fn resolve,
		  struct push_result *result)
{
	struct push_report report;
	struct fault why;
	const char *key;
	int err;

	if (push_key(req, &key) < 0)
		return false;
	err = parse(req->body ? req->body : "", req->len, &report, &why);
	if (err == -EINVAL) {
		request_refuse(req, 400, "%s", why.text);
		return false;
	}
	if (!err) {
		err = resolve ? resolve(req, &report) : 0;
		if (!err)
			err = apply(req, key, &report, result);
		push_report_done(&report);
	}
	if (err)
		request_fail(req, err);
	return !err;
}
