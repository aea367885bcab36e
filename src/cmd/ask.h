/* ask.h - a question to a panel that a command waits for: what is this node, who are its users?
 *
 * The same requests and decoders as the node's own, on a loop that lives as long as the question.
 */
#ifndef WEIR_CMD_ASK_H
#define WEIR_CMD_ASK_H

#include "node/config.h"
#include "node/info.h"
#include "user/user_list.h"

#define ASK_WHY_MAX 512

/* The panel's description of the node.  0, with a reference that the caller puts; or negative, with
 * a sentence without secrets in `why`.
 */
MUST_CHECK int ask_node(const struct config_node *node, struct node_info **out,
			char why[ASK_WHY_MAX]);

/* Its users; `out` is the caller's to be done with. */
MUST_CHECK int ask_users(const struct config_node *node, struct user_list *out,
			 char why[ASK_WHY_MAX]);

#endif
