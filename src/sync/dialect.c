#include "sync/dialect.h"

#include <strings.h>

const char *ask_name(enum ask a)
{
	static const char *const names[ASKS] = {
		[ASK_CONFIG] = "config", [ASK_USERS] = "user",	  [ASK_ALIVE] = "alivelist",
		[TELL_TRAFFIC] = "push", [TELL_ONLINE] = "alive",
	};

	return (unsigned)a < ASKS ? names[a] : "?";
}

static const struct {
	const char *name;
	const struct dialect *dialect;
} dialects[] = {
	{"v2sp", &dialect_v2sp},	   {"", &dialect_v2sp}, /* ApiType's default */
	{"uniproxy", &dialect_uniproxy},   {"v2board", &dialect_uniproxy},
	{"newv2board", &dialect_uniproxy}, {"xboard", &dialect_uniproxy},
	{"xboard2", &dialect_xboard2},	   {"v2node", &dialect_v2node},
};

const struct dialect *dialect_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(dialects); i++) {
		if (!strcasecmp(name, dialects[i].name))
			return dialects[i].dialect;
	}
	return NULL;
}
