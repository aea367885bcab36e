#include "cmd/sections.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "cmd/fetch.h"
#include "conf/diff.h"

/* ---- Manager ------------------------------------------------------------------------------- */

/* Keys of ss-manager's file that are about its process. */
static const char *const of_process[][2] = {
	{"user", "the process has one already"},
	{"nofile", "the process may have as many as there are"},
	{"workers", "Workers of the file holds"},
	{"log_level", "Log.Level of the file holds"},
};

static void warn_of_process(struct conf_reader *r, const struct json_value *object)
{
	for (size_t i = 0; i < ARRAY_LEN(of_process); i++) {
		const struct json_value *v = json_get(object, of_process[i][0]);

		if (v && v->type != JSON_T_NULL)
			conf_warn(r, v->key_at, of_process[i][0], "has no effect here: %s",
				  of_process[i][1]);
	}
}

/* What the section leaves open, Plugins says; who is silent in both allows none. */
static int add_plugins(struct manager_file *f, const struct config_plugins *p)
{
	int err = 0;

	if (!f->plugin_path && p->path.count)
		err = manager_file_names(f, &p->path, &f->plugin_path);
	if (!err && !f->plugin_allow)
		err = manager_file_names(f, &p->allow, &f->plugin_allow);
	return err;
}

/* What serves shall not end for one that never could. */
static void check_address(struct manager_file *f, struct conf_reader *r,
			  const struct json_value *at)
{
	char why[ENDPOINT_WHY_MAX];

	f->endpoint.no_names = true;
	if (endpoint_check(&f->endpoint, why))
		conf_error(r, at->at, "manager_address", "%s", why);
}

static int read_manager(struct sections *s, struct conf_reader *r, const struct config *c)
{
	static const struct manager_args none = MANAGER_ARGS_NONE;
	size_t mark = conf_enter(r, "Manager", -1);
	int err = manager_file_read(r, c->manager, &none, &s->manager);

	warn_of_process(r, c->manager);
	if (err ? !json_get(c->manager, "manager_address") : !s->manager->endpoint.address)
		conf_error(r, c->manager->at, "manager_address",
			   "is missing; a path, or host:port");
	else if (!err)
		check_address(s->manager, r, json_get(c->manager, "manager_address"));
	conf_leave(r, mark);
	if (!err)
		err = add_plugins(s->manager, &c->plugins);
	return err == -ENOMEM ? err : 0;
}

/* The next that matters. */
static const struct json_value *member(const struct json_value *v)
{
	for (size_t i = 0; v && i < ARRAY_LEN(of_process); i++) {
		if (strcmp(v->key, of_process[i][0]) != 0)
			continue;
		v = v->next;
		i = SIZE_MAX; /* from the first again */
	}
	return v;
}

static bool same_members(const struct json_value *a, const struct json_value *b)
{
	const struct json_value *x = member(a->child), *y = member(b->child);

	while (x && y && conf_same_value(x, y)) {
		x = member(x->next);
		y = member(y->next);
	}
	return !x && !y;
}

bool sections_same_manager(const struct config *a, const struct config *b)
{
	bool own = json_get(a->manager, "plugin_path") && json_get(a->manager, "plugin_allow");

	return a->manager && b->manager && same_members(a->manager, b->manager) &&
	       (own || !conf_diff(&config_plugins_schema, &a->plugins, &b->plugins, NULL, NULL));
}

/* ---- Yassp --------------------------------------------------------------------------------- */

static int copy_list(struct arena *a, const struct json_list *l, struct json_list *out)
{
	const char **items = arena_alloc(a, (l->count + 1) * sizeof(*items));

	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < l->count; i++) {
		items[i] = arena_strdup(a, l->items[i]);
		if (!items[i])
			return -ENOMEM;
	}
	*out = (struct json_list){.items = items, .count = l->count};
	return 0;
}

static int add_site_plugins(struct site_conf *c, const struct config_plugins *p)
{
	int err = 0;

	if (!conf_is_set(&yassp_schema, &c->conf, plugin_path))
		err = copy_list(&c->mem, &p->path, &c->conf.plugin_path);
	if (!err && !conf_is_set(&yassp_schema, &c->conf, plugin_allow))
		err = copy_list(&c->mem, &p->allow, &c->conf.plugin_allow);
	return err;
}

/* Two that count in one folder cannot run at once. */
static bool may_be(const struct sections *s, struct conf_reader *r, struct json_pos at,
		   const struct site_conf *c)
{
	for (size_t i = 0; i < s->nsites; i++) {
		const struct site_conf *o = s->sites[i];

		if (site_conf_is(o, c)) {
			conf_error(r, at, NULL, "the same site again; take one of them out");
			return false;
		}
		if (*c->conf.state && !strcmp(o->conf.state, c->conf.state)) {
			conf_error(r, at, NULL, "its state file is that of [%.100s], too",
				   o->section);
			return false;
		}
	}
	return true;
}

/* A file with several sites is one file. */
static int note_once(struct conf_reader *r, struct config *c, const char *path)
{
	for (size_t i = 0; i < c->nfiles; i++) {
		if (!strcmp(c->files[i], path))
			return 0;
	}
	return config_note_file(r, c, path);
}

static int read_site(struct sections *s, struct conf_reader *r, struct config *c,
		     const struct config_site *entry, struct json_pos at)
{
	const char *path = config_resolve(r->arena, c->path, entry->config);
	struct site_conf *site;
	int err = path ? note_once(r, c, path) : -ENOMEM;

	if (err)
		return err;
	if (access(path, R_OK)) { /* the place is here, not in a file that is not there */
		conf_error(r, at, "Config", "cannot read \"%.200s\": %s", path, err_text(-errno));
		return 0;
	}
	err = site_conf_load(path, entry->section, r->report, &site);
	if (err)
		return err == -ENOMEM ? err : 0;
	if (!may_be(s, r, at, site)) {
		site_conf_free(site);
		return 0;
	}
	s->sites[s->nsites++] = site;
	return add_site_plugins(site, &c->plugins);
}

static void note_difference(void *arg, const char *path, const struct conf_row *row)
{
	if (strcmp(path, "log level") != 0 && !(row->flags & CONF_IGNORED))
		*(bool *)arg = true;
}

bool sections_same_site(const struct site_conf *a, const struct site_conf *b)
{
	bool differs = false;

	conf_diff(&yassp_schema, &a->conf, &b->conf, note_difference, &differs);
	return !differs;
}

static int read_sites(struct sections *s, struct conf_reader *r, struct config *c,
		      const struct json_value *list)
{
	const struct config_site *entry = c->yassp.items;
	const struct json_value *v = list && list->type == JSON_T_ARRAY ? list->child : list;
	int err = 0;

	s->sites = calloc(c->yassp.count + 1, sizeof(struct site_conf *));
	if (!s->sites)
		return -ENOMEM;
	for (size_t i = 0; i < c->yassp.count && !err; i++) {
		size_t mark = conf_enter(r, "Yassp", (int64_t)i);

		if (*entry[i].config) /* else that has been told */
			err = read_site(s, r, c, &entry[i], v ? v->at : (struct json_pos){0});
		conf_leave(r, mark);
		v = v ? v->next : NULL;
	}
	return err;
}

/* ---- together ------------------------------------------------------------------------------ */

static int read_all(void *arg, struct conf_reader *r, const struct json_value *doc,
		    struct config *c)
{
	struct sections *s = arg;
	int err = c->manager ? read_manager(s, r, c) : 0;

	return err ? err : read_sites(s, r, c, json_get(doc, "Yassp"));
}

struct config *sections_load(const char *path, int64_t api_type, struct sections *s,
			     struct conf_report *report)
{
	const struct config_env env = {
		.fetch = fetch_include, .sections = read_all, .arg = s, .api_type = api_type};
	struct config *c;

	*s = (struct sections){0};
	c = config_load(path, &env, report);
	if (!c)
		sections_done(s);
	return c;
}

void sections_done(struct sections *s)
{
	manager_file_free(s->manager);
	for (size_t i = 0; i < s->nsites; i++)
		site_conf_free(s->sites[i]);
	free(s->sites);
	*s = (struct sections){0};
}
