#include "user/rate.h"

void rate_set(struct rate *r, uint64_t Bps)
{
	if (rate_get(r) == Bps)
		return;
	atomic_store_explicit(&r->Bps, Bps, memory_order_relaxed);
	/* A debt of seconds under a trickle must not outlive the trickle. */
	atomic_store_explicit(&r->paid_at, 0, memory_order_relaxed);
}

nsec_t rate_wait(const struct rate *r, nsec_t now)
{
	nsec_t at;

	if (!rate_get(r))
		return 0;
	at = atomic_load_explicit(&r->paid_at, memory_order_relaxed);
	return at > now ? at - now : 0;
}

size_t rate_allow(const struct rate *r, size_t want, nsec_t now, nsec_t *pause)
{
	uint64_t Bps = rate_get(r);
	nsec_t wait = rate_wait(r, now);

	if (wait > 0) {
		*pause = wait;
		return 0;
	}
	return Bps ? MIN(want, rate_quantum(Bps)) : want;
}

void rate_charge(struct rate *r, nsec_t now, size_t bytes)
{
	uint64_t Bps = rate_get(r);
	nsec_t at, next, cost;

	if (!Bps || !bytes)
		return;
	cost = (nsec_t)((unsigned __int128)bytes * NSEC_SEC / Bps);
	at = atomic_load_explicit(&r->paid_at, memory_order_relaxed);
	do {
		/* Late by a timer's resolution: the promise counts.  Quiet for longer: now counts.
		 */
		next = (at < now - RATE_SLACK ? now : at) + cost;
	} while (!atomic_compare_exchange_weak_explicit(
		&r->paid_at, &at, next, memory_order_relaxed, memory_order_relaxed));
}
