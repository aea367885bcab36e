/* ss_sessions.h - which worker has which 2022 UDP session, for all workers of an inbound.
 *
 * The kernel gives a client's packets to a worker by its address.  When a session moves to another
 * address, the worker that gets its packets now asks here, and hands them to the one that knows the
 * session: its window, its user, its socket towards the world.  And a recording that is played back from
 * elsewhere meets the window that has seen it.
 *
 * Asked once per session, and for each packet of one that has moved; the rest never comes here.
 *
 * Threads: any; a member belongs to one, and what was handed over is delivered on that one's loop.
 */
#ifndef WEIR_PROTO_SHADOWSOCKS_SESSIONS_H
#define WEIR_PROTO_SHADOWSOCKS_SESSIONS_H

#include "event/loop.h"
#include "net/addr.h"
#include "proto/shadowsocks/ss_packet.h"

struct ss_sessions;
struct ss_member;

/* A packet that has authenticated, on its way to the member that has its session. */
struct ss_handed {
	struct message m;
	struct ss_member *to;
	struct ss_separate separate;
	uint8_t name[SS_KEY_MAX]; /* index key of the user who has sealed it */
	struct addr peer, local;
	size_t len;
	uint8_t bytes[]; /* address and payload */
};

/* 0 or -ENOMEM. */
MUST_CHECK int ss_sessions_new(struct ss_sessions **out);
void ss_sessions_free(struct ss_sessions *s); /* every member has left; NULL is fine */

/* `take` gets what others hand over; it does not own it. */
struct ss_member *ss_sessions_join(struct ss_sessions *s, struct loop *loop,
				   void (*take)(void *arg, const struct ss_handed *h), void *arg);
/* Forgets its sessions; what is on its way to it is lost. */
void ss_sessions_leave(struct ss_member *m);

/* 0: the session is `m`'s from now on (or has been).  -EALREADY: another's, to whom ss_sessions_hand() takes
 * packets.  -ENOMEM.
 */
MUST_CHECK int ss_sessions_claim(struct ss_member *m, const uint8_t session[SS_SESSION_LEN]);
void ss_sessions_release(struct ss_member *m, const uint8_t session[SS_SESSION_LEN]);

/* To whoever has the session; nobody: it is lost. */
void ss_sessions_hand(struct ss_sessions *s, const struct ss_separate *sep,
		      const uint8_t name[SS_KEY_MAX], const struct addr *peer,
		      const struct addr *local, const void *bytes, size_t len);

#endif
