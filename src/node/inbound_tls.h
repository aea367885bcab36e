/* inbound_tls.h - certificates and TLS options of an inbound (spec: config G.5). */
#ifndef WEIR_NODE_INBOUND_TLS_H
#define WEIR_NODE_INBOUND_TLS_H

#include "node/inbound.h"

/* *out is NULL when the node runs in clear behind a TLS terminator (CertMode none). */
MUST_CHECK int inbound_tls(const struct inbound_plan *plan, struct tls_server_conf **out,
			   char why[INBOUND_WHY_MAX]);

/* The panel says TLS, and it is somebody else's in front of the node (CertMode none). */
bool inbound_tls_in_clear(const struct config_node *conf, const struct node_info *info);

/* Grows or changes when one of the certificate files does: compare to see a renewal.  0 where there
 * are none.
 */
uint64_t inbound_tls_stamp(const struct inbound_plan *plan);

#endif
