/* panel_cmd.h - what the files of `weir panel` share: arguments, which become JSON for the model,
 * the store, output.
 */
#ifndef WEIR_CMD_PANEL_CMD_H
#define WEIR_CMD_PANEL_CMD_H

#include <jansson.h>
#include <stdio.h>

#include "base/base.h"
#include "panel/store.h"

/* An option whose value becomes a member of `body`: --speed 80 is "speed_limit": "80". */
struct option_key {
	const char *option, *key;
};

/* Puts a key=value where it belongs: 0 or -EINVAL. */
typedef int (*pair_fn)(json_t *body, const char *key, const char *value);

struct panel_args {
	const char *db;
	const char *file; /* --json FILE */
	bool json;	  /* --json */
	json_t *body;
	const char *words[64]; /* what is neither an option nor a pair */
	int n;
};

/* Reads argv[1…].  Every command also takes --db, --json and --set; `pair` NULL: no pairs.  0, or
 * CMD_USAGE with the complaint printed; panel_args_done() in any case.
 */
MUST_CHECK int panel_args_read(struct panel_args *a, int argc, char **argv,
			       const struct option_key *keys, size_t n, pair_fn pair);
void panel_args_done(struct panel_args *a);

/* 0 or CMD_FAILED with the complaint printed. */
MUST_CHECK int panel_args_open(const struct panel_args *a, struct store **out);

/* The word at `i` as an id: 0, or CMD_USAGE with the complaint printed. */
MUST_CHECK int panel_args_id(const struct panel_args *a, int i, int64_t *out);

/* A file, "-" for standard input, with a byte of room behind it.  NULL: complained. */
char *panel_file_read(const char *path, size_t *len);

/* Says on stderr why something did not work; returns CMD_FAILED. */
int panel_complain(struct store *s, int err, const char *what, const struct fault *why);

/* JSON, or lines of "key: value"; `o` is taken.  0 or CMD_FAILED. */
int panel_print(const struct panel_args *a, json_t *o);

int panel_serve_run(int argc, char **argv);
int panel_node_run(int argc, char **argv);
int panel_user_run(int argc, char **argv);

#endif
