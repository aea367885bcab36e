/* config_load.h - what the files that read a configuration share.  Inside the folder only. */
#ifndef WEIR_NODE_CONFIG_LOAD_H
#define WEIR_NODE_CONFIG_LOAD_H

#include <sys/stat.h>

#include "node/config.h"

#define CONFIG_INCLUDE_DEPTH 3
#define CONFIG_FILE_MAX	     (64 << 20)
#define CONFIG_ARENA_MAX     ((size_t)1 << 30)

/* A file or address that is being read, and the one that includes it. */
struct config_source {
	const struct config_source *parent;
	const char *path;
	const char *shown; /* in messages: an address without what may be a secret */
	bool remote;
	dev_t dev;
	ino_t ino;
	unsigned depth;
};

struct config_node_link {
	struct config_node_link *next;
	struct config_node *node;
};

struct config_loader {
	struct conf_reader r;
	struct arena *arena;
	struct config *conf;
	struct config_node_link *first, **last;
	size_t nnodes;
	struct config_env env;
};

/* Everything but an error in the text: 0 or -ENOMEM; what is wrong is in the report. */

/* An entry of Nodes, in whichever form; the reader's path leads to it. */
MUST_CHECK int config_node_load(struct config_loader *l, struct json_value *entry,
				const struct config_source *from);

/* What rows cannot say about one node; changes it to what it means. */
MUST_CHECK int config_node_settle(struct config_loader *l, struct config_node *n);

/* What is wrong between nodes. */
void config_nodes_compare(struct config_loader *l);

/* The canonical name of a type of core, or NULL. */
const char *config_core_type(const char *text);

/* The whole of a file as a tree, noted in the list of files, or of what is behind an address; *out
 * NULL when that did not work, which is in the report (at the reader's place and `at` when it could
 * not be read).
 */
MUST_CHECK int config_file_load(struct config_loader *l, struct config_source *source,
				struct json_pos at, struct json_value **out);
MUST_CHECK int config_url_load(struct config_loader *l, const struct config_source *source,
			       struct json_pos at, struct json_value **out);
MUST_CHECK int config_text_load(struct config_loader *l, const char *text, size_t len,
				struct json_value **out);

#endif
