/* inbound_ss.h - the Shadowsocks part of an inbound: cipher, keys, and what the operator allows. */
#ifndef WEIR_NODE_INBOUND_SS_H
#define WEIR_NODE_INBOUND_SS_H

#include "node/inbound.h"

/* NULL when this can be served, else a sentence that says why not. */
const char *inbound_ss_refuse(const struct config_node *conf, const struct node_info *info);

/* in->ss and in->obfs: what every worker of the inbound shares.  0, -ERR_UNSUPPORTED, -ENOMEM. */
MUST_CHECK int inbound_ss(const struct inbound_plan *plan, struct inbound *in,
			  char why[INBOUND_WHY_MAX]);

#endif
