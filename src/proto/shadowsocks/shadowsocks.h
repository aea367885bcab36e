/* shadowsocks.h - Shadowsocks over any byte stream, server and client (docs/protocols/shadowsocks.md). */
#ifndef WEIR_PROTO_SHADOWSOCKS_H
#define WEIR_PROTO_SHADOWSOCKS_H

#include "proto/proto.h"
#include "proto/replay.h"
#include "proto/shadowsocks/ss_method.h"
#include "proto/shadowsocks/ss_users.h"
#include "stream/dgram.h"

struct known;
struct ss_sessions;

extern const struct proto shadowsocks_proto;

/* ---- server ------------------------------------------------------------------------------ */

/* One inbound, all its workers: proto_inbound.conf.  Immutable but for what it remembers in, which has
 * locks of its own.  Its port is the worker's struct ss_finder; NULL for methods without integrity. */
struct ss_conf {
	const struct ss_method *method;
	uint8_t psk[SS_KEY_MAX];
	bool named;		      /* users come with identity headers, under `psk` */
	bool uot;		      /* UDP over TCP is served */
	struct replay *replay;	      /* NULL: salts may come twice */
	struct replay *packets;	      /* SIP004's salts of UDP packets, likewise */
	struct ss_sessions *sessions; /* 2022's UDP sessions; NULL: one worker */
	struct known *known;	      /* who has been here; likewise */
};

/* ---- client ------------------------------------------------------------------------------ */

struct ss_client_conf {
	const struct ss_method *method;
	uint8_t key[SS_KEY_MAX];
	/* 2022 with identity headers: the servers' keys, outermost first */
	uint8_t ipsk[2][SS_KEY_MAX];
	unsigned nipsk;
};

/* From a password as links and configurations write it: "key", "ipsk:key", "ipsk:ipsk:key" for 2022,
 * any text for the others.  0, -ERR_MALFORMED, -ERR_CRYPTO. */
MUST_CHECK int ss_client_conf_set(struct ss_client_conf *c, const struct ss_method *m,
				  const char *password);

/* A TCP request to `dest` over `lower`, whose ownership passes; `conf` is read only here.  NULL: no
 * memory, `lower` is freed.
 */
struct stream *ss_client_new(struct stream *lower, const struct ss_client_conf *conf,
			     const struct dest *dest);

/* The same as a UDP association inside such a stream: UDP over TCP, `version` 1 or 2. */
struct dgram *ss_client_uot(struct stream *lower, const struct ss_client_conf *conf, int version);

/* A full-cone UDP association with the server at `server` over `udp`, whose ownership passes (SIP004 and
 * 2022).  NULL: no memory, `udp` is freed.
 */
struct dgram *ss_client_udp(struct dgram *udp, const struct dest *server,
			    const struct ss_client_conf *conf);

#endif
