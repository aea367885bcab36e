#include "session/throttle.h"

#define QUANTUM_MAX 65536

static uint64_t capacity(const struct throttle_rule *rule)
{
	return MAX(rule->burst, rule->rate_Bps);
}

static uint64_t bytes_in(const struct throttle_rule *rule, nsec_t time)
{
	return (uint64_t)((unsigned __int128)time * rule->rate_Bps / NSEC_SEC);
}

static nsec_t time_of(const struct throttle_rule *rule, uint64_t bytes)
{
	unsigned __int128 t =
		((unsigned __int128)bytes * NSEC_SEC + rule->rate_Bps - 1) / rule->rate_Bps;

	return (nsec_t)MIN(t, (unsigned __int128)INT64_MAX / 4);
}

/* A full bucket stays a full one however long nothing moves. */
static nsec_t empty_at(const struct throttle *t, const struct throttle_rule *rule, nsec_t now)
{
	return MAX(t->empty_at, now - time_of(rule, capacity(rule)));
}

static bool is_free(const struct throttle *t, const struct throttle_rule *rule)
{
	return rule->rate_Bps == 0 || t->moved < rule->after;
}

/* Not byte by byte: what 20 ms bring, or a bucket that is smaller. */
size_t throttle_allow(const struct throttle *t, const struct throttle_rule *rule, size_t want,
		      nsec_t now, nsec_t *pause)
{
	uint64_t there, least;
	nsec_t since;

	if (rule->rate_Bps == 0)
		return want;
	if (is_free(t, rule))
		return (size_t)MIN((uint64_t)want, rule->after - t->moved);
	since = empty_at(t, rule, now);
	there = now > since ? bytes_in(rule, now - since) : 0;
	least = MIN(MAX(rule->rate_Bps / 50, (uint64_t)1), (uint64_t)QUANTUM_MAX);
	if (there >= least)
		return (size_t)MIN((uint64_t)want, there);
	*pause = MAX(since + time_of(rule, least) - now, (nsec_t)1);
	return 0;
}

void throttle_count(struct throttle *t, const struct throttle_rule *rule, size_t bytes, nsec_t now)
{
	bool was_free = is_free(t, rule);

	t->moved += bytes;
	if (rule->rate_Bps == 0)
		return;
	if (was_free) /* full when the free ones are through */
		t->empty_at = now - time_of(rule, capacity(rule));
	else
		t->empty_at = empty_at(t, rule, now) + time_of(rule, bytes);
}
