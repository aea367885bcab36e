/* panel_cmd.h - what the files of `weir panel` share: verbs as a table, arguments as JSON for the
 * model, the store, output.
 */
#ifndef WEIR_CMD_PANEL_CMD_H
#define WEIR_CMD_PANEL_CMD_H

#include <jansson.h>

#include "base/base.h"
#include "base/file.h"
#include "cmd/opt.h"
#include "panel/store.h"

#define PANEL_DB_DEFAULT "weir-panel.db"

/* An option whose value becomes a member of `body`: --speed 80 is "speed_limit": "80". */
struct panel_key {
	const char *option, *arg, *key, *help;
};

struct panel_args {
	const char *db;	  /* --db, WEIR_PANEL_DB, or the default */
	bool json;	  /* --json: print JSON */
	bool qr;	  /* --qr: draw it, too */
	const char *file; /* --json FILE, where a verb reads one */
	json_t *body;	  /* of options and pairs */
	char **words;	  /* what is neither */
	int n;
};

/* `weir panel node add` and its like. */
struct panel_verb {
	const char *name;
	struct opt_page page; /* its options are added */
	const struct panel_key *keys;
	size_t n_keys;
	int (*pair)(json_t *body, const char *key,
		    const char *value); /* of KEY=VALUE; NULL: none */
	bool reads_file;
	int min_words, max_words;
	int (*run)(struct panel_args *a, struct store *s);
	bool links; /* prints a link, and has --qr */
	bool makes; /* the database, where there is none */
};

/* Runs the verb that argv[1] names, with the store open.  `what` is "weir panel node". */
int panel_verb_run(const struct panel_verb *verbs, size_t n, const char *what, int argc,
		   char **argv);

/* `--db` when it is not given. */
const char *panel_db_default(void);

/* A word as an id: 0, or CMD_USAGE with the complaint printed. */
MUST_CHECK int panel_id(const char *word, int64_t *out);

/* A file, "-" for standard input.  0, or CMD_FAILED with the complaint printed. */
MUST_CHECK int panel_file_read(const char *path, struct file *out);

/* Says on standard error why something did not work, `what` of a `thing`; returns CMD_FAILED. */
int panel_complain(struct store *s, int err, const char *thing, const char *what,
		   const struct fault *why);

/* JSON, or lines of "key: value"; `o` is taken.  0 or CMD_FAILED. */
int panel_print(const struct panel_args *a, json_t *o);

/* `weir panel user link`: panel_link.c. */
int panel_user_link(struct panel_args *a, struct store *s);
/* Says on standard error what weir's own node would refuse of `n`: a hint, others may serve it. */
void panel_node_hint(const struct panel_node *n);

int panel_node_run(int argc, char **argv);
int panel_user_run(int argc, char **argv);

#endif
