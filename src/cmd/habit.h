/* habit.h - which configuration is meant where nobody says, and in which dialect its nodes ask: by the
 * name that the program was called by.  All commands that read a configuration keep to it, so that
 * what is checked is what runs.
 *
 * Threads: any.
 */
#ifndef WEIR_CMD_HABIT_H
#define WEIR_CMD_HABIT_H

#include "node/config.h"

#define V2BX_NAME	  "V2bX"
#define V2BX_DEFAULT_PATH "/etc/V2bX/config.json"

struct habit {
	const char *path;	   /* of the file */
	const char *instead, *out; /* what options say that name another */
	int64_t api_type;	   /* enum config_api_type of nodes that do not say theirs */
};

const struct habit *habit_of_name(void);

#endif
