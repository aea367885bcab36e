/* reload.h - SIGHUP: read the file again, and change only what changed (config G.8). */
#ifndef WEIR_CMD_RELOAD_H
#define WEIR_CMD_RELOAD_H

#include "cmd/program.h"

/* A file with errors changes nothing, and all of them are logged. */
void program_reload(struct program *p);

/* Watch the files that the present configuration was read from (config G12). */
void program_watch(struct program *p);

/* In program.c: start serving one more entry.  Failures are logged. */
MUST_CHECK int program_add_node(struct program *p, const struct config_node *conf);

/* In program.c: keep n->node in step with its panel, as n->conf says.  Failures are logged. */
MUST_CHECK int program_start_sync(struct program_node *n);

/* The log as the file asks for it. */
int program_open_log(const struct config *c);

#endif
