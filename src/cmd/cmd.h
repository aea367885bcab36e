/* cmd.h - the subcommands: argument parsing and wiring, one file each, nothing else.
 *
 * Each gets its own name as argv[0] and returns the exit status (spec: config G.8, G.14).
 */
#ifndef WEIR_CMD_CMD_H
#define WEIR_CMD_CMD_H

#include <stddef.h>

enum cmd_status {
	CMD_OK = 0,
	CMD_FAILED = 1,
	CMD_USAGE = 2,
	CMD_CONFIG = 78,
};

struct cmd {
	const char *name, *help;
	int (*run)(int argc, char **argv);
};

/* Those behind one word: `weir`, `weir config`. */
struct cmd_set {
	const char *name;
	const struct cmd *cmds;
	size_t n;
	const char *more; /* what the usage says besides, in lines; NULL: nothing */
};

const struct cmd *cmd_find(const struct cmd_set *set, const char *name); /* NULL: there is none */

/* Runs the one that argv[1] names, or prints the usage. */
int cmd_dispatch(const struct cmd_set *set, int argc, char **argv);

int cmd_check(int argc, char **argv);
int cmd_config(int argc, char **argv);
int cmd_connect(int argc, char **argv);
int cmd_demo(int argc, char **argv);
int cmd_link(int argc, char **argv);
int cmd_panel(int argc, char **argv);
int cmd_reality(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_server(int argc, char **argv);
int cmd_ss_manager(int argc, char **argv);
int cmd_uuid(int argc, char **argv);
int cmd_v2bx_server(int argc, char **argv);
int cmd_version(int argc, char **argv);
int cmd_vlessenc(int argc, char **argv);
int cmd_x25519(int argc, char **argv);
int cmd_yassp(int argc, char **argv);

#endif
