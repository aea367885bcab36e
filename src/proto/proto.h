/* proto.h - the protocols an inbound can speak, and what each needs to be one.
 *
 * Adding a protocol: a folder, its line in registry.c, and the places that docs/ARCHITECTURE.md
 * lists in section 3.
 */
#ifndef WEIR_PROTO_PROTO_H
#define WEIR_PROTO_PROTO_H

#include "stream/stream.h"
#include "user/user.h"

/* What the server layers of one inbound on one worker share.  Outlives them. */
struct ss_port;
struct vmess_port;

enum proto_singmux {
	PROTO_SINGMUX_ANY, /* sing-box's multiplex, for whoever asks */
	PROTO_SINGMUX_PADDED,
	PROTO_SINGMUX_OFF, /* its name is a destination like any other */
};

struct proto_inbound {
	const struct user_table *users; /* the worker's present table; swapped between turns */
	const struct ss_port *ss;	/* Shadowsocks; NULL for others */
	const struct vmess_port *vmess; /* likewise */
	/* a fallback stands behind: a short first read goes there */
	bool first_pull_decides;
	uint8_t singmux; /* enum proto_singmux */
	bool vision; /* VLESS: TCP is asked for with the flow xtls-rprx-vision, and not without */
};

struct proto {
	const char *name;
	size_t key_len, secret_len; /* of the credential's index key, and what else is kept of it */
	/* Credential text to index key.  -ERR_MALFORMED: an invalid user (panel-apis 3.2).  NULL:
	 * Shadowsocks, where it takes the inbound's method (ss_user_derive()). */
	int (*user_key)(const char *credential, size_t len, uint8_t *key);
	/* What else is kept, from the index key; where secret_len says so (again not Shadowsocks). */
	int (*user_secret)(const uint8_t *key, uint8_t *secret);
	bool pack; /* users are looked through one by one: user_table_secrets() */
	/* The inbound layer over `lower`, whose ownership passes.  NULL: no memory, `lower` is
	 * freed.
	 */
	struct stream *(*server)(struct stream *lower, const struct proto_inbound *inbound);
};

const struct proto *proto_find(const char *name); /* NULL: not in this build */

#endif
