/* model.h - what the panel knows: nodes and users, their JSON and what is allowed in it.
 *
 * The admin API, the command line and the store all speak these two structs.
 */
#ifndef WEIR_PANEL_MODEL_H
#define WEIR_PANEL_MODEL_H

#include <jansson.h>

#include "base/base.h"
#include "panel/fault.h"

#define PANEL_NAME_MAX	     128
#define PANEL_CREDENTIAL_MAX 256
#define PANEL_TOKEN_MAX	     128
#define PANEL_HOST_MAX	     253

struct panel_user {
	int64_t id;
	char name[PANEL_NAME_MAX + 1];
	char credential[PANEL_CREDENTIAL_MAX + 1]; /* UUID or password, unique */
	double speed_mbps;			   /* 0 in any limit: none */
	int64_t device_limit, conn_limit;
	int64_t quota;	  /* bytes, up and down together */
	int64_t expire;	  /* seconds since 1970 */
	int64_t up, down; /* bytes so far; they saturate */
	int64_t created;
	bool enabled;
};

struct panel_node {
	int64_t id;
	char name[PANEL_NAME_MAX + 1];
	char type[16]; /* canonical: node_type_canonical() */
	char host[PANEL_HOST_MAX + 1];
	char port[32]; /* "443"; hysteria2 also "20000-50000" and "443,20000-50000" */
	char token[PANEL_TOKEN_MAX + 1]; /* unique */
	json_t *settings;		 /* an object, owned; spec A.4.2 */
	int64_t up, down, ignored;	 /* bytes reported; entries for users unknown */
	int64_t created;
	bool enabled;
};

/* A user with defaults: a random UUID, enabled, no limits. */
void panel_user_init(struct panel_user *u);

/* The changes that `from`, an object, asks for.  On failure `u` is in an undefined state. */
MUST_CHECK int panel_user_read(struct panel_user *u, json_t *from, struct fault *why);

/* May the user be served at `now`: enabled, not expired, under quota?  (P4) */
bool panel_user_active(const struct panel_user *u, int64_t now);
json_t *panel_user_emit(const struct panel_user *u); /* NULL: no memory */

/* A node with defaults: a random token, enabled.  Done with panel_node_done(). */
MUST_CHECK int panel_node_init(struct panel_node *n);
void panel_node_done(struct panel_node *n);

/* As panel_user_read(); `settings` are merged (RFC 7396: null takes a key away).  What can be made
 * is made: REALITY keys and short id, Shadowsocks cipher and server key.
 */
MUST_CHECK int panel_node_read(struct panel_node *n, json_t *from, struct fault *why);
json_t *panel_node_emit(const struct panel_node *n);

/* The answer to action=config: node fields, and beside them the shape of a local configuration
 * file, for programs that look there (spec A.4.1).  NULL: no memory.
 */
json_t *panel_node_config(const struct panel_node *n);

/* The name that spec 3.1 gives to `text`; 0 or -EINVAL.  `hysteria` without a version is
 * hysteria2 when `stored` is (may be NULL).
 */
MUST_CHECK int node_type_canonical(const char *text, const char *stored, char out[16]);

#endif
