/* session.h - one request from accept to end: open, dial, relay, or reject.
 *
 * A session is one object and one waiter.  It drives the inbound's stack until a request has been
 * read and authenticated, dials, relays with the user's meter, and reports once, when it ends.  A
 * peer that does not authenticate gets the inbound's one reject policy, whatever it did wrong.
 *
 * Threads: everything of an inbound on one worker's loop.
 */
#ifndef WEIR_SESSION_SESSION_H
#define WEIR_SESSION_SESSION_H

#include "base/list.h"
#include "net/addr.h"
#include "proto/proto.h"
#include "session/fallback.h"
#include "session/half_open.h"
#include "session/throttle.h"
#include "stream/dialer.h"
#include "stream/relay.h"
#include "user/user.h"

enum reject_policy {
	/* An orderly end as soon as it is sure.  Who counts the bytes until then learns what a request
	 * begins with: only for those who do not mind. */
	REJECT_CLOSE,
	REJECT_DRAIN, /* read and discard until the handshake deadline */
	/* Become a relay to the web server behind; at the deadline also who has said nothing yet. */
	REJECT_FALLBACK,
};

struct session_times {
	nsec_t handshake; /* accept to authenticated request */
	nsec_t dial;
	nsec_t udp_idle;
	struct relay_conf relay;
	struct relay_conf
		mirror; /* of strangers to a target that is mirrored: its own patience counts */
};

/* What a session was, when it ends.  Pointers hold during the call. */
struct session_report {
	const struct addr *peer;
	const struct user *user; /* NULL: not authenticated */
	const struct dest *dest; /* NULL: no request */
	enum stream_network network;
	uint64_t up, down;
	uint64_t spliced; /* of these, what the kernel moved by itself */
	nsec_t lasted;
	bool rejected; /* went to the reject policy */
	bool carrier;  /* of a multiplexer, whose children report for themselves */
	/* With -ERR_LIMIT and no user: too many of his source are half open; else of all. */
	bool crowded;
	int err; /* 0: an orderly end */
};

/* One generation of an inbound on one worker.  The owner fills it, and keeps it until `sessions` is
 * empty.
 */
struct session_inbound {
	struct proto_inbound proto;
	struct loop *loop;
	struct user_worker *user_worker;
	/* TLS, transport and protocol over an accepted socket; ownership passes; NULL: no memory. */
	struct stream *(*stack)(struct session_inbound *in, struct stream *leaf);
	struct dialer *outbound;
	struct dialer *fallback_dialer; /* not subject to the private-destination block */
	const struct fallback_table *fallbacks;
	const struct session_times *times;
	enum reject_policy reject;
	struct rate *cap; /* by enum traffic_dir, of all users together; NULL: none */
	/* By enum relay_dir: what strangers have moved to servers that they are shown, of nobody's
	 * traffic.  Written by this worker only; NULL: not counted. */
	_Atomic uint64_t *strangers;
	struct half_open *half_open; /* NULL: handshakes and strangers are not counted */
	const struct throttle_rule
		*throttle; /* by enum relay_dir: of strangers to a target; NULL */
	void (*ended)(struct session_inbound *in, const struct session_report *report);
	/* A child of a multiplexer is to become a session, which ends like others: false refuses it.
	 * NULL: welcome. */
	bool (*child)(struct session_inbound *in);

	struct list_node sessions;
	size_t nsessions;
	nsec_t quiet; /* of session_drain_carriers() */
	bool drained;
};

/* The session of an accepted stream, whose ownership passes.  On no memory it is freed. */
void session_start(struct session_inbound *in, struct stream *leaf);

/* Memory is short: end (-ENOMEM) the relays that hold bytes which nobody has taken for `stuck`. */
void session_end_stuck(struct session_inbound *in, nsec_t stuck);

/* The session of a UDP association that has authenticated already: `request` says whose it is and where
 * its first packet goes, `client` is its packets; ownership of that passes.
 */
void session_start_udp(struct session_inbound *in, struct dgram *client,
		       const struct stream_request *request, const struct addr *peer);

/* No more children where clients can be told; carriers end that have had none for `quiet`, those that
 * are still to come, too. */
void session_drain_carriers(struct session_inbound *in, nsec_t quiet);

/* End all sessions of the inbound now (-ERR_CANCELED). */
void session_end_all(struct session_inbound *in);

#endif
