/* What survives a restart: the ports that came over the protocol, with their generations, and how much
 * of a report has been handed over.  The bytes themselves are the ledger's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/jout.h"
#include "base/log.h"
#include "manager/manager_impl.h"

#define STATE_MAX  (256 << 20)
#define STATE_HEAP (1 << 30)

static bool of_file(const struct manager *m, uint16_t port)
{
	return m->of_file[port / 64] >> port % 64 & 1;
}

/* ---- saving ------------------------------------------------------------------------------ */

static void emit_ports(const struct manager *m, struct jout *j)
{
	struct engine_server s;
	unsigned port = 0;
	size_t n = 0;

	while (engine_next(m->conf.engine, port, &s)) {
		char *members;

		port = s.profile->port;
		if (of_file(m, s.profile->port))
			continue;
		members = profile_members(s.profile, false);
		if (!members) {
			j->failed = true;
			return;
		}
		jout_str(j, n++ ? ",\n{\"generation\":" : "\n{\"generation\":");
		jout_int(j, s.generation);
		jout_str(j, ",");
		jout_str(j, members);
		jout_str(j, "}");
		free(members);
	}
}

void manager_state_emit(const struct manager *m, struct jout *j)
{
	jout_str(j, "{\"version\":1,\"generation\":");
	jout_int(j, m->generation);
	if (m->report.seq && m->report.at) {
		jout_str(j, ",\"report\":{\"batch\":");
		jout_int(j, m->report.seq);
		jout_str(j, ",\"sent\":");
		jout_int(j, (int64_t)m->report.at);
		jout_str(j, "}");
	}
	manager_owed_emit(m, j);
	jout_str(j, ",\"ports\":[");
	if (m->last_ports)
		jout_str(j, m->last_ports);
	else
		emit_ports(m, j);
	jout_str(j, "]}\n");
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* Under another name until it is whole. */
static int replace_file(const char *path, const char *text, size_t len)
{
	char *draft;
	int fd, err;

	if (asprintf(&draft, "%s.new", path) < 0)
		return -ENOMEM;
	fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	err = fd < 0 ? -errno : write_all(fd, text, len);
	if (fd >= 0)
		close(fd);
	if (!err && rename(draft, path) < 0)
		err = -errno;
	if (err)
		unlink(draft);
	free(draft);
	return err;
}

int manager_state_keep(struct manager *m)
{
	struct jout j = {0};

	jout_str(&j, "");
	emit_ports(m, &j);
	if (j.failed) {
		free(j.at);
		return -ENOMEM;
	}
	m->last_ports = j.at;
	return 0;
}

int manager_state_save(struct manager *m)
{
	struct jout j = {0};
	int err;

	if (!m->conf.state_file || (!m->dirty && !m->report.at))
		return 0;
	manager_state_emit(m, &j);
	err = j.failed ? -ENOMEM : replace_file(m->conf.state_file, j.at, j.len);
	free(j.at);
	if (err)
		log_msg(LOG_ERROR, "manager", "%s: %s", m->conf.state_file, err_text(err));
	else
		m->dirty = false;
	return err;
}

/* ---- loading ----------------------------------------------------------------------------- */

/* The default plugin is in the profile like one that the client has named, but nobody needed leave
 * for it.
 */
static bool plugin_allowed_still(void *arg, const char *plugin)
{
	const struct manager *m = arg;
	const struct profile_rules *rules = &m->conf.rules;

	if (rules->defaults && rules->defaults->plugin &&
	    strcmp(rules->defaults->plugin, plugin) == 0)
		return true;
	return !rules->plugin_allowed || rules->plugin_allowed(rules->plugin_arg, plugin);
}

/* What was let in once may run again, whatever the rules for newcomers are now; but for a program
 * that may not be run any more.
 */
static void restore_port(struct manager *m, const struct json_value *v)
{
	const struct profile_rules rules = {.own_listen = true,
					    .own_args = true,
					    .need_method = true,
					    .plugin_allowed = plugin_allowed_still,
					    .plugin_arg = m};
	char why[PROFILE_WHY_MAX];
	struct profile *p;
	int64_t generation = 0;
	int err = profile_read(v, &rules, &p, why);

	if (err || json_to_int(json_get(v, "generation"), &generation) < 0) {
		log_msg(LOG_WARN, "manager", "state: a port is left out: %s",
			err ? why : "generation is no number");
		if (!err)
			profile_free(p);
		return;
	}
	if (!of_file(m, p->port))
		engine_put(m->conf.engine,
			   &(struct engine_put){
				   .profile = p, .generation = (uint32_t)generation, .keep = true},
			   NULL, NULL);
	m->generation = MAX(m->generation, (uint32_t)generation);
	profile_free(p);
}

int manager_state_restore(struct manager *m, const char *text, size_t len)
{
	struct json_value *doc;
	const struct json_value *ports;
	struct arena mem;
	int64_t number = 0;
	int err;

	arena_init(&mem, STATE_HEAP);
	err = json_parse(text, len, 0, &mem, &doc, NULL, NULL);
	ports = err ? NULL : json_get(doc, "ports");
	if (!err && (!ports || ports->type != JSON_T_ARRAY ||
		     json_to_int(json_get(doc, "generation"), &number)))
		err = -ERR_MALFORMED;
	if (!err) {
		const struct json_value *report = json_get(doc, "report");
		int64_t seq = 0, sent = 0;

		m->generation = MAX(m->generation, (uint32_t)number);
		if (report && !json_to_int(json_get(report, "batch"), &seq) &&
		    !json_to_int(json_get(report, "sent"), &sent) && sent > 0) {
			m->report.seq = seq;
			m->report.at = (size_t)sent;
		}
		err = manager_owed_load(m, doc);
		for (const struct json_value *v = ports->child; v && !err; v = v->next)
			restore_port(m, v);
	}
	arena_done(&mem);
	return err;
}

/* A file that cannot be understood is put aside, not overwritten: it may be worth a look. */
static int put_aside(const struct manager *m)
{
	char *copy;
	int err = 0;

	if (asprintf(&copy, "%s.broken", m->conf.state_file) < 0)
		return -ENOMEM;
	if (rename(m->conf.state_file, copy) < 0)
		err = -errno;
	log_msg(LOG_ERROR, "manager", "%s is damaged: starting without, it is kept as %s",
		m->conf.state_file, copy);
	free(copy);
	return err;
}

int manager_state_load(struct manager *m, char why[PROFILE_WHY_MAX])
{
	const char *path = m->conf.state_file;
	struct file file;
	int err;

	if (!path)
		return 0;
	err = file_read(path, STATE_MAX, FILE_NO_LINK, &file);
	if (!err) {
		err = manager_state_restore(m, file.text, file.len);
		file_done(&file);
		if (err && err != -ENOMEM)
			err = put_aside(m);
	} else if (err == -ENOENT) {
		err = 0;
	}
	if (err)
		snprintf(why, PROFILE_WHY_MAX, "%.120s: %s", path, err_text(err));
	m->dirty = false;
	return err;
}
