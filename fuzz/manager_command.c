/* A datagram to the manager: its word, its object, the profile that add would make of it.  What is taken
 * is written as `list` writes it, and is the same when it is read again.
 */
#include <stdlib.h>
#include <string.h>

#include "base/jout.h"
#include "manager/command.h"
#include "manager/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add_up(void *arg, uint16_t port, uint64_t bytes)
{
	if (!port)
		abort();
	*(uint64_t *)arg += bytes;
}

/* What list says of it, read as add reads it. */
static void read_back(const struct profile *p, const struct profile_rules *rules, struct arena *mem)
{
	struct jout j = {0};
	struct json_value *list;
	struct profile *again;
	char why[PROFILE_WHY_MAX];

	if (!listing_add(&j, LISTING_COMPACT, p))
		abort();
	listing_end(&j, LISTING_COMPACT);
	if (j.failed)
		return;
	if (json_parse(j.at, j.len, 0, mem, &list, NULL, NULL) || list->len != 1)
		abort();
	if (profile_read(list->child, rules, &again, why))
		abort();
	if (!profile_equal(p, again))
		abort();
	profile_free(again);
	free(j.at);
}

static void try_profile(const struct json_value *object, struct arena *mem)
{
	const struct profile_rules rules = {.own_listen = true, .own_args = true};
	struct profile *p;
	char why[PROFILE_WHY_MAX];

	if (profile_read(object, &rules, &p, why))
		return;
	read_back(p, &rules, mem);
	profile_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct json_value *object;
	struct command c;
	struct arena mem;
	uint64_t sum = 0;

	command_parse((const char *)data, size, &c);
	arena_init(&mem, 8 << 20);
	if (!command_object(&c, &mem, &object)) {
		if (c.word == COMMAND_STAT)
			stat_each(object, add_up, &sum);
		else
			try_profile(object, &mem);
	}
	arena_done(&mem);
	return 0;
}
