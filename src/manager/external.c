#include "manager/external.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "event/signals.h"
#include "net/listener.h"
#include "net/sock.h"

int external_write(const char *path, const char *text, size_t len)
{
	ssize_t n;
	int fd, err = 0;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	n = write(fd, text, len);
	if (n != (ssize_t)len)
		err = n < 0 ? -errno : -ENOSPC;
	close(fd);
	if (err)
		unlink(path);
	return err;
}

static bool runnable(const char *dir, size_t len, const char *name)
{
	char path[4096];

	return snprintf(path, sizeof(path), "%.*s/%s", (int)len, dir, name) < (int)sizeof(path) &&
	       access(path, X_OK) == 0;
}

int external_check(const struct engine_conf *conf, const char *fallback, char why[PROFILE_WHY_MAX])
{
	const char *name = conf->program && *conf->program ? conf->program : fallback;
	const char *path = getenv("PATH");
	bool found = strchr(name, '/') && access(name, X_OK) == 0;

	while (!strchr(name, '/') && path && *path && !found) {
		size_t len = strcspn(path, ":");

		found = runnable(path, len, name);
		path += len + (path[len] == ':');
	}
	if (!found)
		snprintf(why, PROFILE_WHY_MAX, "%.120s is not there, or is no program", name);
	return found ? 0 : -ERR_CONFIG;
}

int external_run(const struct engine *e, struct child *c, const char *const *argv)
{
	int out = e->conf.print_log ? STDERR_FILENO : -1;
	const struct child_spec spec = {.argv = argv, .fd_in = -1, .fd_out = out, .fd_err = out};

	return child_start(c, &spec);
}

const char *external_how(int status, char out[64])
{
	if (WIFSIGNALED(status))
		snprintf(out, 64, "killed by %s", signal_name(WTERMSIG(status)));
	else
		snprintf(out, 64, "exited with status %d", WEXITSTATUS(status));
	return out;
}

/* ---- probing ----------------------------------------------------------------------------- */

static int probe_one(const struct profile *p, const struct addr *at)
{
	const struct listener_conf lc = {.v6only = true};
	int fd, err = 0;

	if (p->mode & PROFILE_TCP) {
		err = listener_bind(at, &lc, &fd);
		if (!err)
			close(fd);
	}
	if (!err && p->mode & PROFILE_UDP && (!p->plugin || p->plugin_mode == PROFILE_TCP)) {
		err = sock_udp_open(at, false, &fd);
		if (!err)
			close(fd);
	}
	return err;
}

/* Names are the server's business; what can be looked at is. */
int external_probe(const struct engine *e, const struct profile *p)
{
	const struct json_list *l = p->listen.count ? &p->listen : &e->conf.listen;
	struct addr at;
	int err = 0;

	if (!l->count)
		err = addr_parse_ip(&at, "0.0.0.0", p->port) ? 0 : probe_one(p, &at);
	for (size_t i = 0; i < l->count && !err; i++) {
		if (!addr_parse_ip(&at, *l->items[i] ? l->items[i] : "0.0.0.0", p->port))
			err = probe_one(p, &at);
	}
	return err;
}

/* ---- reports ----------------------------------------------------------------------------- */

bool external_stat(const char *text, size_t len,
		   void (*each)(void *arg, uint16_t port, uint64_t bytes), void *arg)
{
	const struct json_value *object;
	struct command c;
	struct arena mem;

	command_parse(text, len, &c);
	if (c.word != COMMAND_STAT)
		return false;
	arena_init(&mem, 16 << 20);
	if (!command_object(&c, &mem, &object))
		stat_each(object, each, arg);
	arena_done(&mem);
	return true;
}
