/* dialect.h - what differs from panel to panel: how a question is written down, and how its answer
 * is read.  Scheduling, caching, comparing and accounting are shared (panel-apis, section 1).
 *
 * All functions are pure: no sockets, no clock, no log.  A new dialect is a file with one of these
 * tables and a line in dialect.c.
 */
#ifndef WEIR_SYNC_DIALECT_H
#define WEIR_SYNC_DIALECT_H

#include "node/info.h"
#include "sync/answer.h"
#include "sync/http.h"
#include "sync/notes.h"
#include "sync/url.h"
#include "user/user_list.h"

enum ask {
	ASK_CONFIG,
	ASK_USERS,
	ASK_ALIVE,    /* how many devices are online elsewhere */
	TELL_TRAFFIC, /* POST */
	TELL_ONLINE,  /* POST */
	ASKS,
};

const char *ask_name(enum ask a);

/* The other side, as a dialect needs to know it. */
struct panel {
	const char *host, *key, *node_id;
	enum node_type type;	/* configured; NODE_TYPE_NONE: to be learned */
	enum node_type learned; /* from the last good configuration */
	const char *path;	/* rule A1: what to put behind a bare host; NULL: nothing */
	int enable_vless;	/* EnableVless: 1, 0, or -1 when the local file does not say */
	bool allow_remote;	/* AllowRemoteOptions */
	bool accept_listen_ip;	/* AcceptPanelListenIP */
	bool swap_bandwidth;	/* SwapBandwidth */
};

struct json_value;

struct dialect {
	const char *name;
	uint32_t batch_users; /* TR3 */
	/* a push is applied whole or not at all: every answer >= 400 is definitive, and repeating
	 * is the default (TR4, TR5)
	 */
	bool whole_push;
	bool may_lack_alive; /* panels exist without alive and alivelist (B.1) */
	bool conditional;    /* sends and understands ETags */

	/* The address of a question; sets out->err when memory runs out. */
	void (*url)(const struct panel *p, enum ask a, struct text *out);

	/* Rule A1: the n-th other path to try when the first answer is no good; NULL: no more. */
	const char *(*other_path)(const struct panel *p, unsigned n);

	/* ANSWER_OK with *out, or why not, with a sentence in notes->why. */
	enum answer_class (*config)(const struct panel *p, const char *body, size_t len,
				    struct node_info **out, struct notes *notes);

	/* One element of the user list.  An invalid user gets id 0.  Returns how many of its fields
	 * were wrong and replaced by their default.
	 */
	unsigned (*user)(const struct json_value *element, struct user_entry *out);
};

extern const struct dialect dialect_v2sp, dialect_uniproxy, dialect_xboard2, dialect_v2node;

/* By ApiType, aliases included; NULL: none of that name is built in. */
const struct dialect *dialect_find(const char *name);

#endif
