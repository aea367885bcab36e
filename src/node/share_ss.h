/* share_ss.h - the ss:// links of SIP002 and the older form, as share_link.c asks for them.  Pure.
 */
#ifndef WEIR_NODE_SHARE_SS_H
#define WEIR_NODE_SHARE_SS_H

#include "node/share_link.h"

/* What stands in front of the @: "method:password", plainly or in base64.  The texts lie in `a`.
 * 0, -ERR_MALFORMED, -ENOMEM. */
MUST_CHECK int share_ss_account(const char *text, size_t len, struct arena *a,
				struct share_link *out);

/* The older form, where "method:password@host:port" is base64 as a whole: that text.  NULL with 0:
 * it is not that. */
MUST_CHECK int share_ss_unpack(const char *text, size_t len, struct arena *a, const char **out);

void share_ss_emit_account(const struct share_link *l, struct wr *w);

/* Of a node: cipher, the client's password, the plugin.  0, -ERR_CONFIG with *why, -ENOMEM. */
MUST_CHECK int share_ss_of_node(const struct node_info *info, struct arena *a, struct share_link *l,
				const char **why);

#endif
