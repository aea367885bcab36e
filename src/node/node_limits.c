/* Limits that the file sets for a node beyond those of each user: how much all of them may move together,
 * and who is slowed down for a while because he has moved much.  Both change live.
 */
#include "node/node_impl.h"

static void on_look(struct timer *t)
{
	struct node *n = container_of(t, struct node, dynamic);
	const struct config_dynamic *c = &n->conf->limit.dynamic;
	const struct user_dynamic rule = {
		.bytes = (uint64_t)c->traffic,
		.speed_bps = (uint64_t)(c->speed_Mbps * 1e6),
		.expire = c->expire_min * 60 * NSEC_SEC,
	};

	if (n->users)
		user_registry_dynamic(n->users, &rule, loop_now(node_loop(n)));
	timer_set(node_loop(n), t, loop_now(node_loop(n)) + c->period_s * NSEC_SEC);
}

void node_limits_set(struct node *n)
{
	const struct config_limit *c = &n->conf->limit;
	uint64_t Bps = (uint64_t)(n->conf->node_speed_Mbps * 1e6 / 8);

	if (n->conf->node_speed_Mbps > 0)
		Bps = MAX(Bps, (uint64_t)1);
	for (int dir = 0; dir < 2; dir++)
		rate_set(&n->cap[dir], Bps);
	timer_stop(&n->dynamic);
	/* A limit of 0 would be none: such a rule slows nobody down. */
	if (c->dynamic_enable && c->dynamic.speed_Mbps > 0)
		on_look(&n->dynamic); /* the first look is where counting begins */
	else if (n->users)
		user_registry_dynamic(n->users, NULL, 0);
}

void node_limits_init(struct node *n)
{
	timer_init(&n->dynamic, on_look);
	node_limits_set(n);
}

void node_limits_done(struct node *n)
{
	timer_stop(&n->dynamic);
}
