/* probe.h - a transfer through an outbound to a target of our own: how many bytes went each way,
 * and whether they were the right ones.
 *
 * Both ends live on one loop.  The target answers `up` bytes of a pattern with `down` bytes of
 * another; both ends compare what they get.
 */
#ifndef WEIR_CLIENT_PROBE_H
#define WEIR_CLIENT_PROBE_H

#include "net/listener.h"
#include "stream/dialer.h"

struct probe_end {
	struct probe *probe;
	struct stream *s;
	struct waiter run;
	struct bufq queue;   /* to be pushed */
	uint64_t sent, got;  /* payload bytes */
	uint64_t send, want; /* how many each should be */
	bool shut, eof;
};

struct probe {
	struct loop *loop;
	struct listener target;
	struct addr at; /* of the target */
	struct probe_end client, server;
	struct dial *dial;
	struct waiter dialled;
	struct timer deadline;
	uint64_t up, down;
	bool done;
	int err; /* 0: every byte arrived as it was sent */
	void (*finished)(struct probe *p);
};

/* Opens the target; 0 or -errno. */
MUST_CHECK int probe_init(struct probe *p, struct loop *l, void (*finished)(struct probe *p));

/* One transfer; finished() comes once.  -ENOMEM. */
MUST_CHECK int probe_start(struct probe *p, struct dialer *through, uint64_t up, uint64_t down,
			   nsec_t timeout);
void probe_done(struct probe *p); /* at any time */

#endif
