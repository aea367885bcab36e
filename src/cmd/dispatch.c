/* dispatch.c - from the first word to the command that it names. */
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "cmd/cmd.h"

const struct cmd *cmd_find(const struct cmd_set *set, const char *name)
{
	for (size_t i = 0; i < set->n; i++) {
		if (!strcmp(name, set->cmds[i].name))
			return &set->cmds[i];
	}
	return NULL;
}

static void usage(const struct cmd_set *set, FILE *to)
{
	size_t width = 0;

	for (size_t i = 0; i < set->n; i++)
		width = MAX(width, strlen(set->cmds[i].name));
	fprintf(to, "usage: %s COMMAND [OPTION...]\n\n", set->name);
	for (size_t i = 0; i < set->n; i++)
		fprintf(to, "  %-*s  %s\n", (int)width, set->cmds[i].name, set->cmds[i].help);
	if (set->more)
		fprintf(to, "\n%s", set->more);
	fprintf(to, "\n`%s COMMAND -h` tells more.\n", set->name);
}

static bool is_help(const char *word)
{
	return !strcmp(word, "-h") || !strcmp(word, "--help") || !strcmp(word, "help");
}

/* `help panel node add` is `panel node add -h`. */
static int help_of(const struct cmd_set *set, int argc, char **argv)
{
	static char flag[] = "-h";

	for (int i = 1; i < argc - 1; i++)
		argv[i] = argv[i + 1];
	argv[argc - 1] = flag;
	return cmd_dispatch(set, argc, argv);
}

int cmd_dispatch(const struct cmd_set *set, int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : NULL;
	const struct cmd *c = word ? cmd_find(set, word) : NULL;

	if (c)
		return c->run(argc - 1, argv + 1);
	if (word && !strcmp(word, "help") && argc > 2)
		return help_of(set, argc, argv);
	if (word && is_help(word)) {
		usage(set, stdout);
		return CMD_OK;
	}
	if (word)
		fprintf(stderr, "%s: no command '%s'\n\n", set->name, word);
	usage(set, stderr);
	return CMD_USAGE;
}
