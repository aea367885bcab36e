/* ss_udp_impl.h - the association as the socket sees it.  Internal to ss_udp*.c. */
#ifndef WEIR_PROTO_SHADOWSOCKS_UDP_IMPL_H
#define WEIR_PROTO_SHADOWSOCKS_UDP_IMPL_H

#include "base/hash.h"
#include "base/list.h"
#include "crypto/aead.h"
#include "crypto/replay_window.h"
#include "net/mmsg.h"
#include "proto/shadowsocks/ss_packet.h"
#include "proto/shadowsocks/ss_sessions.h"
#include "proto/shadowsocks/ss_udp.h"

/* A 2022 session. */
struct ss_assoc_2022 {
	uint8_t client[SS_SESSION_LEN];
	struct ss_separate out; /* our session, and the number of its next packet */
	struct aead_key open, seal;
	struct replay_window window;
};

struct ss_assoc {
	struct dgram d; /* while `live` somebody's */
	struct ss_udp *udp;
	struct ss_assoc *chain; /* in its bucket */
	struct list_node link;	/* of all with an owner, least lately used first; or of the ended */
	struct list_node blocked; /* waits for the socket to send */
	struct buf *first, *last; /* came, not taken yet: address and payload */
	struct waiter *rd, *wr;
	const struct ss_method *method;
	struct addr peer, local; /* where it is, and which of our addresses it talks to */
	nsec_t used;
	uint64_t hash;
	uint16_t held;
	bool live;		  /* the owner has the dgram; else only numbers are remembered */
	bool ended;		  /* among the ended */
	bool over;		  /* the socket is gone */
	uint8_t name[SS_KEY_MAX]; /* the user's index key */
	uint8_t key[SS_KEY_MAX];  /* what packets are sealed under: master key, or PSK */
	struct ss_assoc_2022 s[]; /* one, for 2022 */
};

struct ss_udp {
	struct loop *loop;
	struct io io;
	struct waiter run, writable;
	struct ss_member *member; /* where sessions of all workers are known; NULL: nowhere */
	struct timer sweep;
	struct ss_udp_service service;
	ss_udp_opened *opened;
	void *arg;
	struct hash_key hash;
	struct ss_assoc **buckets;
	uint32_t mask, n; /* buckets - 1; 0: none yet */
	struct list_node all, blocked;
	struct list_node ended; /* 2022 sessions without an owner, the first to end first */
	uint32_t nended;
	uint32_t held; /* packets that wait in all associations */
	int family;
	uint8_t batch;
	struct ss_udp_count count;
};

#define SS_UDP_ASSOC_HELD 64		  /* packets of one association that wait */
#define SS_UDP_HELD	  2048		  /* of all */
#define SS_UDP_REMEMBER	  (60 * NSEC_SEC) /* a 2022 session's numbers, when it has ended early */

/* In the bucket of `hash`, and in the list.  -ENOMEM: not. */
MUST_CHECK int ss_assoc_add(struct ss_udp *u, struct ss_assoc *a, uint64_t hash);
struct ss_assoc *ss_assoc_first(const struct ss_udp *u, uint64_t hash);
struct ss_assoc *ss_assoc_next(struct ss_assoc *a); /* of the same hash */

/* A new one, not added; NULL: no memory. */
struct ss_assoc *ss_assoc_new(struct ss_udp *u, const struct ss_method *m);
/* Nobody has its dgram (any more): remembered among the ended, of which the oldest may have to go. */
void ss_assoc_rest(struct ss_assoc *a);
void ss_assoc_free(struct ss_assoc *a); /* out of the table too; nobody has its dgram */

/* `b` (address and payload) has come for it, from there; the chunk passes. */
void ss_assoc_take(struct ss_assoc *a, struct buf *b, const struct addr *peer,
		   const struct addr *local);

/* The socket closes, or its keys change. */
void ss_assoc_end(struct ss_assoc *a);

#endif
