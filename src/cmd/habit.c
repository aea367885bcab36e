#include "cmd/habit.h"

#include <errno.h>
#include <string.h>

#define HABIT(path, api)                                                                 \
	{                                                                                \
		path, "instead of " path, "instead of " path "; -: standard output", api \
	}

const struct habit *habit_of_name(void)
{
	static const struct habit ours = HABIT(CONFIG_DEFAULT_PATH, CONFIG_API_V2SP);
	/* Its files never say ApiType: it knew one. */
	static const struct habit v2bx = HABIT(V2BX_DEFAULT_PATH, CONFIG_API_UNIPROXY);

	return strcmp(program_invocation_short_name, V2BX_NAME) ? &ours : &v2bx;
}
