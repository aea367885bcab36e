#include "plugin/launch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

/* ---- the program ------------------------------------------------------------------------- */

static int runnable(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	return access(path, X_OK) < 0 ? -errno : 0;
}

/* What was found is better than what was found wanting, and that than nothing. */
static int try_dir(const char *dir, size_t len, const char *name, int so_far, char out[PATH_MAX])
{
	int n, err;

	if (!len || *dir != '/') /* the current folder, by whatever name */
		return so_far;
	n = snprintf(out, PATH_MAX, "%.*s/%s", (int)len, dir, name);
	err = n < PATH_MAX ? runnable(out) : -ENAMETOOLONG;
	return !err || err == -EACCES ? err : so_far;
}

int plugin_find(const char *name, const char *const *path, char out[PATH_MAX])
{
	const char *var = getenv("PATH");
	int err = -ENOENT;

	if (strchr(name, '/'))
		return snprintf(out, PATH_MAX, "%s", name) < PATH_MAX ? runnable(out)
								      : -ENAMETOOLONG;
	for (; path && *path && err; path++)
		err = try_dir(*path, strlen(*path), name, err, out);
	if (!var)
		var = "/usr/local/bin:/usr/bin:/bin";
	while (err && *var) {
		size_t len = strcspn(var, ":");

		err = try_dir(var, len, name, err, out);
		var += len + (var[len] == ':');
	}
	return err;
}

/* ---- its environment --------------------------------------------------------------------- */

/* Keys of DNS providers and panels are given to us by variables of many names; these are what their
 * names have in common.
 */
static bool is_secret(const char *entry)
{
	static const char *const words[] = {"API", "AUTH", "KEY",    "PASS",
					    "PSK", "CRED", "SECRET", "TOKEN"};
	size_t len = strcspn(entry, "=");

	for (size_t i = 0; i + 3 <= len; i++) {
		for (size_t w = 0; w < ARRAY_LEN(words); w++) {
			size_t n = strlen(words[w]);

			if (i + n <= len && !strncasecmp(entry + i, words[w], n))
				return true;
		}
	}
	return false;
}

static const char *const names[] = {"SS_REMOTE_HOST=", "SS_REMOTE_PORT=", "SS_LOCAL_HOST=",
				    "SS_LOCAL_PORT=", "SS_PLUGIN_OPTIONS="};

/* Another plugin's, if a plugin ever starts us. */
static bool is_sip003(const char *entry)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!strncmp(entry, names[i], strlen(names[i])))
			return true;
	}
	return false;
}

static char *variable(const char *name, const char *value)
{
	char *s;

	return asprintf(&s, "%s%s", name, value) < 0 ? NULL : s;
}

char **plugin_environ(const struct plugin_spec *s)
{
	char remote_port[8], local_port[8];
	const char *const values[] = {s->remote_host, remote_port, s->local_host, local_port,
				      s->options};
	size_t n = 0, last = *s->options ? ARRAY_LEN(names) : ARRAY_LEN(names) - 1;
	char **env;

	snprintf(remote_port, sizeof(remote_port), "%u", s->remote_port);
	snprintf(local_port, sizeof(local_port), "%u", s->local_port);
	while (environ && environ[n])
		n++;
	env = calloc(n + ARRAY_LEN(names) + 1, sizeof(*env));
	if (!env)
		return NULL;
	n = 0;
	for (char **e = environ; e && *e; e++) {
		if (!is_secret(*e) && !is_sip003(*e) && !(env[n++] = strdup(*e)))
			goto fail;
	}
	for (size_t i = 0; i < last; i++) {
		if (!(env[n++] = variable(names[i], values[i])))
			goto fail;
	}
	return env;
fail:
	plugin_environ_free(env);
	return NULL;
}

void plugin_environ_free(char **env)
{
	for (char **e = env; e && *e; e++)
		free(*e);
	free(env);
}
