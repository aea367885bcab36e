/* yassp.h - a shadowsocks node as a YaSSP host: a flat list of ports, one for each user (spec D.2,
 * D.8).
 *
 * The node names the host (`yassp_host`, `yassp_psk`); the port of a user is the node's port plus
 * his id, so that it never changes hands.  Users whose port would be above 65535 are not listed.
 */
#ifndef WEIR_PANEL_YASSP_H
#define WEIR_PANEL_YASSP_H

#include "base/base.h"
#include "panel/roster.h"

/* What the list says of one user. */
struct yassp_place {
	uint16_t port;
	char password[PANEL_CREDENTIAL_MAX + 1];
};

bool yassp_is_host(const struct panel_node *n);

/* 0; -ERR_CONFIG: the user is not on the list, because his port would be above 65535 or his
 * credential makes no key for the cipher.
 */
MUST_CHECK int yassp_place(const struct panel_node *n, const struct panel_user *u,
			   struct yassp_place *out);

/* The enabled node of that host name; the first if several claim it. */
struct roster_node *yassp_node(struct roster *r, const char *host);

/* Bring n->profiles up to date.  `now` is wall clock. */
MUST_CHECK int yassp_profiles(struct roster *r, struct roster_node *n, int64_t now);

/* Turn ports into user ids, in place. */
void yassp_ports_to_users(const struct roster_node *n, struct push_report *report);

#endif
