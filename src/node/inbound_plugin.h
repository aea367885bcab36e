/* inbound_plugin.h - a Shadowsocks inbound behind a SIP003 plugin that the panel has named: which
 * program, and who listens where.  Inside node.
 */
#ifndef WEIR_NODE_INBOUND_PLUGIN_H
#define WEIR_NODE_INBOUND_PLUGIN_H

#include "node/inbound.h"
#include "plugin/plugin.h"

struct inbound_plugin {
	char *name, *options, *hosts; /* hosts: as plugin_hosts_join() */
	uint16_t port;		      /* the public one */
	enum plugin_place tcp, udp;
	unsigned inner; /* in listen[]: Shadowsocks behind it */
};

#define INBOUND_PLUGIN_LIST 64

/* The first of a list as plugin.h wants it. */
const char *const *inbound_plugin_list(const struct json_list *l,
				       const char *out[INBOUND_PLUGIN_LIST + 1]);

/* After the cipher and the addresses are known.  Rows of listen[] that the plugin owns go, the row
 * behind it comes.  Without one: what another plugin of ours still holds (plan->held) is left out,
 * and `in` is partial.
 */
MUST_CHECK int inbound_plugin(const struct inbound_plan *plan, struct inbound *in,
			      char why[INBOUND_WHY_MAX]);
void inbound_plugin_free(struct inbound_plugin *p); /* NULL is fine */

/* Does the operator let this one run?  What a panel says is run only when he has said so before. */
bool inbound_plugin_allowed(const struct config *file, const char *name);

/* May what runs for one go on for the other?  NULL: none. */
bool inbound_plugin_same(const struct inbound *a, const struct inbound *b);

#endif
