/* session_impl.h - what the files of session/ share. */
#ifndef WEIR_SESSION_IMPL_H
#define WEIR_SESSION_IMPL_H

#include "session/session.h"
#include "stream/dgram_relay.h"
#include "stream/mux.h"

enum session_phase {
	PHASE_OPEN, /* handshakes, request, authentication */
	PHASE_DIAL,
	PHASE_RELAY,
	PHASE_UDP,
	PHASE_MUX,    /* it carries others, which are sessions of their own */
	PHASE_REJECT, /* choose what a stranger gets */
	PHASE_DRAIN,
	PHASE_LATE,    /* as PARTING, of who has not said enough to be judged */
	PHASE_PARTING, /* the end is said, and what still comes is read a while */
	PHASE_FALL_DIAL,
	PHASE_REFUSED, /* a child has been told that nothing can be had: the last word is its own */
	PHASE_CLOSING,
	PHASE_END,
};

struct session {
	struct list_node link;
	struct session_inbound *in;
	struct stream *client, *target;
	union {
		struct dest *dest;
		struct throttle *throttle; /* where `mirrored`: by enum relay_dir; NULL: none */
	};
	struct user_conn conn;
	const struct user *refused; /* for the report */
	struct waiter run;	    /* for everything: streams, dial, relay, being kicked */
	struct meter meter;
	nsec_t started;
	uint8_t phase, network;
	bool rejected : 1, mirrored : 1;
	bool half_open : 1; /* in that list */
	bool crowded : 1;   /* refused: too many of his source are in it */
	bool child : 1;	    /* of a multiplexer: whose user is known, and who is no stranger */
	uint32_t source;    /* counted there as; 0: not */
	union {		    /* by phase: there are very many sessions that only relay */
		struct {
			struct dial *dial;
			struct timer deadline;
			struct bufq first; /* to the client before anything from the target */
			const struct fallback *fallback;
			int why; /* REFUSED */
		};
		struct relay relay;
		struct {
			struct dgram_relay udp;
			struct dgram *udp_client, *udp_target;
			struct addr udp_peer; /* len 0: unknown; others ask the client's stream */
		};
		struct {
			struct mux *mux;
			struct sink children;
			struct addr mux_peer; /* as udp_peer */
		};
	};
};

/* Who has connected, in `mem`; NULL: unknown. */
const struct addr *session_peer(const struct session *s, struct addr *mem);

void session_end(struct session *s, int err);

/* As one of those who are no users yet: 0, or -ERR_LIMIT when there are too many of his source. */
MUST_CHECK int session_enter_half_open(struct session *s);
void session_leave_half_open(struct session *s); /* harmless where he is not */

int session_open(struct session *s);
/* A new one, in the phase OPEN; NULL: no memory. */
struct session *session_new(struct session_inbound *in);
/* Straight to PHASE_UDP.  On error `client` is still the caller's. */
int session_open_udp(struct session *s, struct dgram *client, const struct stream_request *req,
		     const struct addr *peer);
int session_dial(struct session *s);
/* Nothing can be had, for this reason: PHASE_REFUSED where he is told, else `err`. */
int session_refuse(struct session *s, int err);
int session_refused(struct session *s);
/* The request has been read: it is for a multiplexer.  The next phase. */
int session_start_mux(struct session *s, const struct mux_kind *kind, bool udp_only);
int session_mux(struct session *s);
int session_relay(struct session *s);
int session_udp(struct session *s);
void session_udp_end(struct session *s);
/* Of a relay that is nobody's traffic, in s->meter. */
struct meter *session_stranger_meter(struct session *s);
/* The client's layers mirror a target: relay him to it.  0; -ENOTSUP: they do not, or no more; others
 * end the session. */
int session_mirror(struct session *s);
int session_reject(struct session *s);
int session_drain(struct session *s);
int session_late(struct session *s);
/* At the deadline of who has a drain coming: true when the session goes on to part. */
bool session_part(struct session *s);
int session_fall_dial(struct session *s);
int session_closing(struct session *s);

#endif
