/* main.c - finds the subcommand and runs it. */
#include <signal.h>
#include <string.h>

#include "base/base.h"
#include "cmd/cmd.h"
#include "cmd/habit.h"

static const struct cmd cmds[] = {
	{"check", "everything that is wrong with a configuration", cmd_check},
	{"config", "show, validate or make a configuration", cmd_config},
	{"connect", "a local SOCKS5 server through a share link", cmd_connect},
	{"demo", "a panel, a node and a client on this machine, and a transfer", cmd_demo},
	{"link", "share links: make them, show their parts, as QR codes", cmd_link},
	{"panel", "the reference panel: nodes, users, traffic", cmd_panel},
	{"reality", "a key pair for REALITY, new or of a node", cmd_reality},
	{"run", "the node: serve what the configuration says", cmd_run},
	{"server", "the same, under its older name", cmd_server},
	{"ss-manager", "Shadowsocks servers by command, as ss-manager runs them", cmd_ss_manager},
	{"ssmanager", "the same, with the options of ssmanager", cmd_ss_manager},
	{"ssserver", "the same, under the name of the Python server", cmd_ss_manager},
	{"uuid", "UUIDs, random or of a text", cmd_uuid},
	{"version", "print name, version and features", cmd_version},
	{"vlessenc", "the two halves of a VLESS Encryption", cmd_vlessenc},
	{"x25519", "a new X25519 key pair", cmd_x25519},
	{"yassp", "Shadowsocks ports as a YaSSP panel lists them, by an INI file", cmd_yassp},
	{"yassp-server", "the same, under its older name", cmd_yassp},
};

/* Programs that we stand in for: whoever is called by such a name is that command. */
static const char *const forerunners[] = {"ss-manager", "ssmanager", "ssserver", "yassp-server"};

static const struct cmd_set weir = {"weir", cmds, ARRAY_LEN(cmds), NULL};

/* One of them has commands: those that unit files and scripts call, and those that read its file. */
static const struct cmd v2bx_cmds[] = {
	{"check", "everything that is wrong with a configuration", cmd_check},
	{"config", "show, validate or make a configuration", cmd_config},
	{"link", "share links: make them, show their parts, as QR codes", cmd_link},
	{"server", "the node: serve what the configuration says", cmd_v2bx_server},
	{"version", "print name, version and features", cmd_version},
	{"x25519", "a new X25519 key pair", cmd_x25519},
};

static const struct cmd_set v2bx = {
	V2BX_NAME, v2bx_cmds, ARRAY_LEN(v2bx_cmds),
	"This is weir under another name; the rest is `weir`, systemctl and journalctl.\n"};

static char *name_of(char **argv)
{
	char *slash = strrchr(argv[0], '/');

	return slash ? slash + 1 : argv[0];
}

static const struct cmd *called_as(char **argv)
{
	char *name = name_of(argv);

	for (size_t i = 0; i < ARRAY_LEN(forerunners); i++) {
		if (strcmp(name, forerunners[i]) != 0)
			continue;
		argv[0] = name;
		return cmd_find(&weir, name);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	const struct cmd *c = argc ? called_as(argv) : NULL;
	const struct cmd_set *set = argc && !strcmp(name_of(argv), v2bx.name) ? &v2bx : &weir;

	sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN},
		  NULL); /* splice() raises it */
	if (c)
		return c->run(argc, argv);
	if (argc > 1 && (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version")))
		return cmd_version(argc - 1, argv + 1);
	return cmd_dispatch(set, argc, argv);
}
