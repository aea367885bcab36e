/* throttle.h - how fast strangers may be relayed to the server that they are shown: each direction
 * of each connection by itself, as Xray's limitFallbackUpload and limitFallbackDownload say it.
 *
 * The first `after` bytes are free; then a bucket of `burst` bytes, full when these are through, that
 * is refilled with `rate_Bps`.  Who measures can see it: off unless somebody asks.
 */
#ifndef WEIR_SESSION_THROTTLE_H
#define WEIR_SESSION_THROTTLE_H

#include "base/base.h"

struct throttle_rule {
	uint64_t after;	   /* bytes */
	uint64_t rate_Bps; /* 0: no limit */
	uint64_t burst;	   /* bytes; less than a second's worth counts as that */
};

/* Of one direction of one connection; all zero: nothing has moved yet. */
struct throttle {
	uint64_t moved;
	nsec_t empty_at; /* when the bucket would have been empty: time since then fills it */
};

/* How much of `want` may move now; 0: nothing for *pause. */
size_t throttle_allow(const struct throttle *t, const struct throttle_rule *rule, size_t want,
		      nsec_t now, nsec_t *pause);
void throttle_count(struct throttle *t, const struct throttle_rule *rule, size_t bytes, nsec_t now);

#endif
