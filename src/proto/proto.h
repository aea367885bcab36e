/* proto.h - the protocols an inbound can speak, and what each needs to be one.
 *
 * Adding a protocol: a folder, its line in registry.c, and of the places in the table of
 * docs/ARCHITECTURE.md, section 3, those that apply.  Nothing that carries bytes is among them: what a
 * protocol keeps, and where, is behind these operations.
 */
#ifndef WEIR_PROTO_PROTO_H
#define WEIR_PROTO_PROTO_H

#include "net/addr.h"
#include "stream/dgram.h"
#include "stream/stream.h"
#include "user/user.h"

enum proto_singmux {
	PROTO_SINGMUX_ANY, /* sing-box's multiplex, for whoever asks */
	PROTO_SINGMUX_PADDED,
	PROTO_SINGMUX_OFF, /* its name is a destination like any other */
};

/* What the server layers of one inbound on one worker share.  Outlives them. */
struct proto_inbound {
	const struct user_table *users; /* the worker's present table; swapped between turns */
	const void *conf; /* the protocol's own settings; NULL: it has none, or the usual ones */
	void *port;	  /* what it keeps of this inbound on this worker; NULL: nothing */
	/* a fallback stands behind: a short first read goes there */
	bool first_pull_decides;
	uint8_t singmux; /* enum proto_singmux */
};

/* What comes by UDP beside the listeners of an inbound.  All of it outlives the associations that it
 * opened, and is there until the next use() has returned. */
struct proto_udp_service {
	const struct proto_inbound *inbound;
	bool hidden; /* packets come through a plugin: where they come from says nothing */
	/* `client` is the callee's from now on: it frees it when the association has ended.  `request`
	 * holds during the call and names the user and the first destination. */
	void (*opened)(void *arg, struct dgram *client, const struct stream_request *request,
		       const struct addr *peer);
	void *arg;
};

/* One bound UDP socket of a protocol, on one worker. */
struct proto_udp_ops {
	/* On failure `fd` stays the caller's.  0, -ENOMEM, -errno. */
	int (*start)(struct loop *loop, int fd, int family, const struct proto_udp_service *service,
		     void **out);
	/* New associations are as `service` says; those that are there go on if they can. */
	void (*use)(void *udp, const struct proto_udp_service *service);
	void (*close)(void *udp);
	void (*let_go)(void *udp); /* the same, but the socket is the caller's again */
};

struct proto {
	const char *name;
	size_t key_len, secret_len; /* of the credential's index key, and what else is kept of it */
	/* Credential text to index key.  -ERR_MALFORMED: an invalid user (panel-apis 3.2).  NULL: it
	 * takes the inbound's settings too. */
	int (*user_key)(const char *credential, size_t len, uint8_t *key);
	/* What else is kept, from the index key; where secret_len says so. */
	int (*user_secret)(const uint8_t *key, uint8_t *secret);
	/* In the place of these two: under these settings.  Would all users be the same under both? */
	int (*user_derive)(const void *conf, const char *credential, size_t len, uint8_t *key,
			   uint8_t *secret);
	bool (*same_users)(const void *a, const void *b);
	bool pack; /* users are looked through one by one: user_table_secrets() */
	/* The inbound layer over `lower`, whose ownership passes.  NULL: no memory, `lower` is
	 * freed.
	 */
	struct stream *(*server)(struct stream *lower, const struct proto_inbound *inbound);
	bool falls_back; /* what begins a request tells a stranger: a web server may stand behind */
	bool reality;	 /* may stand on REALITY */

	/* What it keeps besides users; each pair NULL where that is nothing. */

	/* Of a node as long as it is there, for all workers: what has come before a change of the
	 * configuration has come before.  0 or -ENOMEM. */
	int (*memory_new)(void **out);
	void (*memory_free)(void *memory);
	/* Of one configuration; made by node/inbound_proto.c, which knows how panels say it. */
	void (*conf_free)(void *conf);
	/* Of one inbound on one worker, of which there are so many.  What it is made from outlives it.
	 * 0 or -ENOMEM. */
	int (*port_new)(const void *conf, void *memory, unsigned workers, void **out);
	void (*port_free)(void *port); /* NULL is fine */

	const struct proto_udp_ops *udp; /* NULL: it comes through streams alone */
};

const struct proto *proto_find(const char *name); /* NULL: not in this build */

#endif
