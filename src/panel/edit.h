/* edit.h - changes of nodes and users as JSON, each in one transaction: what the admin API and the
 * command line have in common.
 *
 * Errors are the store's, and -EINVAL with the reason in `why` for what the model refuses.
 */
#ifndef WEIR_PANEL_EDIT_H
#define WEIR_PANEL_EDIT_H

#include <jansson.h>

#include "panel/store.h"

/* A new row may ask for its `id`. */
MUST_CHECK int edit_user_add(struct store *s, json_t *from, struct panel_user *out,
			     struct fault *why);
MUST_CHECK int edit_user_change(struct store *s, int64_t id, json_t *from, struct panel_user *out,
				struct fault *why);

/* All of `list` or none; `why` begins with the index.  The new users are appended to `made`. */
MUST_CHECK int edit_users_add(struct store *s, json_t *list, json_t *made, struct fault *why);

/* On success the node is the caller's: panel_node_done(). */
MUST_CHECK int edit_node_add(struct store *s, json_t *from, struct panel_node *out,
			     struct fault *why);
MUST_CHECK int edit_node_change(struct store *s, int64_t id, json_t *from, struct panel_node *out,
				struct fault *why);

/* A user's totals begin at zero again, over every node. */
MUST_CHECK int edit_traffic_reset(struct store *s, int64_t user);

#endif
