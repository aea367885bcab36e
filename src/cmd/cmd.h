/* cmd.h - the subcommands: argument parsing and wiring, one file each, nothing else.
 *
 * Each gets its own name as argv[0] and returns the exit status (spec: config G.8, G.14).
 */
#ifndef WEIR_CMD_CMD_H
#define WEIR_CMD_CMD_H

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

int cmd_check(int argc, char **argv);
int cmd_config(int argc, char **argv);
int cmd_connect(int argc, char **argv);
int cmd_demo(int argc, char **argv);
int cmd_link(int argc, char **argv);
int cmd_panel(int argc, char **argv);
int cmd_reality(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_ss_manager(int argc, char **argv);
int cmd_uuid(int argc, char **argv);
int cmd_version(int argc, char **argv);
int cmd_vlessenc(int argc, char **argv);
int cmd_x25519(int argc, char **argv);
int cmd_yassp(int argc, char **argv);

#endif
