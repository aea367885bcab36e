/* sync_log.c - what is said about a panel, and that it is said once: a panel that is down for a
 * night gets one line at its beginning and one at its end.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "sync/sync_impl.h"

#define KEY_MASK_MIN 4

/* The panel may echo our token: it stays out of the log (H10). */
static void mask_key(char *line, const char *key)
{
	size_t len = strlen(key);
	char *at;

	if (len < KEY_MASK_MIN)
		return;
	while ((at = strstr(line, key))) {
		memset(at, '*', 3);
		memmove(at + 3, at + len, strlen(at + len) + 1);
	}
}

void node_log(struct sync_node *n, enum log_level level, const char *fmt, ...)
{
	char line[768];
	va_list ap;

	if (!log_on(level))
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	mask_key(line, n->panel->key);
	log_msg(level, "sync", "%s: %s", n->conf.tag, line);
}

bool node_first_time(struct sync_node *n, const void *bytes, size_t len)
{
	static const struct hash_key key = {0x5eed, 0x109};
	uint64_t h = hash_bytes(&key, bytes, len) | 1;

	for (size_t i = 0; i < SYNC_SEEN; i++) {
		if (n->seen[i] == h)
			return false;
	}
	n->seen[n->seen_at++ % SYNC_SEEN] = h;
	return true;
}

void node_remarks(struct sync_node *n, const struct notes *notes)
{
	for (unsigned i = 0; i < notes->n; i++) {
		if (node_first_time(n, notes->text[i], strlen(notes->text[i])))
			node_log(n, LOG_WARN, "%s", notes->text[i]);
	}
	if (notes->lost && node_first_time(n, &notes->lost, sizeof(notes->lost)))
		node_log(n, LOG_WARN, "%u more remarks of this kind", notes->lost);
}

/* C: what to do about it, where we know. */
static const char *advice(const struct sync_node *n, int status)
{
	switch (status) {
	case 400:
		return n->panel->type == NODE_TYPE_NONE ? "; set NodeType" : "";
	case 401:
		return "; check ApiKey";
	case 403:
		return "; the node may be disabled on the panel";
	case 404:
		return "; check ApiHost, ApiType and NodeID";
	default:
		return "";
	}
}

static void complain(struct sync_node *n, enum ask a, enum answer_class class, const char *why)
{
	bool denied = n->call.status == 401 || n->call.status == 403 || n->call.status == 404;
	struct text url = {0};

	url_mask(&url, n->url.s ? n->url.s : "");
	if (class == ANSWER_NET)
		node_log(n, LOG_WARN, "%s: %s (%s)", ask_name(a), why, url.s ? url.s : "");
	else
		node_log(n, class == ANSWER_HTTP && denied ? LOG_ERROR : LOG_WARN,
			 "%s: %s, status %d%s%s%s (%s)", ask_name(a), answer_name(class),
			 n->call.status, *why ? ": " : "", why, advice(n, n->call.status),
			 url.s ? url.s : "");
	text_done(&url);
}

/* What a body looks like, but never one that may hold credentials or keys: JSON stays out. */
static void show_body(struct sync_node *n, enum ask a)
{
	const char *body = n->reading ? n->reader.skeleton.s : n->call.answer;
	size_t len = n->reading ? n->reader.skeleton.len : n->call.answer_len, skip = 0;
	char text[201];

	while (skip < len && strchr(" \t\r\n\xef\xbb\xbf", body[skip]) && body[skip])
		skip++;
	if (skip == len || strchr("{[\"", body[skip]) || !node_first_time(n, body, len))
		return;
	notes_printable(body + skip, len - skip, text, sizeof(text));
	node_log(n, LOG_WARN, "%s: the answer begins: %s", ask_name(a), text);
}

static void all_is_well(struct sync_node *n, enum ask a)
{
	if (n->failures[a])
		node_log(n, LOG_INFO, "%s: answers again after %u failures", ask_name(a),
			 n->failures[a]);
	n->failures[a] = 0;
	n->complained[a].class = ANSWER_NONE;
}

void node_answered(struct sync_node *n, enum ask a, enum answer_class class, const char *why)
{
	bool same = n->complained[a].class == class && n->complained[a].status == n->call.status &&
		    n->complained[a].err == n->call.err;

	n->status.ask[a].last = class;
	n->status.ask[a].http_status = n->call.status;
	if (class == ANSWER_OK || class == ANSWER_SAME) {
		all_is_well(n, a);
		n->status.ask[a].ok++;
		n->status.ask[a].ok_at = node_now(n);
		if (a == ASK_CONFIG || a == ASK_USERS)
			n->status.error[0] = '\0';
		return;
	}
	n->status.ask[a].failed++;
	n->failures[a]++;
	snprintf(n->status.error, sizeof(n->status.error), "%s: %s: %.150s", ask_name(a),
		 answer_name(class), why);
	mask_key(n->status.error, n->panel->key);
	if (!same)
		complain(n, a, class, why);
	if (class == ANSWER_PARSE || class == ANSWER_VALID)
		show_body(n, a);
	n->complained[a].class = class;
	n->complained[a].status = n->call.status;
	n->complained[a].err = n->call.err;
}
