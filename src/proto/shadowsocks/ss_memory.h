/* ss_memory.h - what a Shadowsocks server remembers as long as it is there, whatever its
 * configuration becomes: salts, UDP sessions, and who has been here.
 *
 * Threads: making and freeing by one; the parts have their locks.
 */
#ifndef WEIR_PROTO_SHADOWSOCKS_MEMORY_H
#define WEIR_PROTO_SHADOWSOCKS_MEMORY_H

#include "proto/known.h"
#include "proto/replay.h"
#include "proto/shadowsocks/shadowsocks.h"
#include "proto/shadowsocks/ss_sessions.h"

#define SS_REPLAY_KEEP (60 * NSEC_SEC) /* what is older no clock allows */
#define SS_REPLAY_MIN  (1u << 16)
/* Of UDP packets: two small tables that stay in the cache.  Of busy ports neither number looks back long. */
#define SS_REPLAY_PACKETS (1u << 13)

struct ss_memory {
	struct replay *streams;	     /* salts of SIP004, which has no clock */
	struct replay *streams_2022; /* which has one in every request */
	struct replay *packets;	     /* of SIP004's packets */
	struct ss_sessions *sessions;
	struct known *known;
};

MUST_CHECK int ss_memory_new(struct ss_memory **out); /* 0 or -ENOMEM */
void ss_memory_free(struct ss_memory *m);	      /* NULL is fine */

/* `c`, whose method is set, has its salts remembered here. */
void ss_memory_of_salts(const struct ss_memory *m, struct ss_conf *c);

#endif
