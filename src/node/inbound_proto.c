#include "node/inbound_proto.h"

typedef int part(const struct inbound_plan *plan, struct inbound *in, char why[INBOUND_WHY_MAX]);

static part *const parts[NODE_TYPES] = {
	[NODE_VLESS] = inbound_vless,
	[NODE_SHADOWSOCKS] = inbound_ss,
};

int inbound_proto(const struct inbound_plan *plan, struct inbound *in, char why[INBOUND_WHY_MAX])
{
	part *own = parts[plan->info->type];

	return own ? own(plan, in, why) : 0;
}
