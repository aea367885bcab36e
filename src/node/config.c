#include "node/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/print.h"
#include "node/config_load.h"

/* --- cores --------------------------------------------------------------------------------- */

const char *config_core_type(const char *text)
{
	static const char *const types[][2] = {
		{"xray", "xray"},    {"sing", "sing"},	   {"sing-box", "sing"},
		{"singbox", "sing"}, {"hy2", "hysteria2"}, {"hysteria2", "hysteria2"},
	};

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (!strcasecmp(text, types[i][0]))
			return types[i][1];
	}
	return NULL;
}

/* The built-in engine goes by all entries at once.  They have been read and reported already: what
 * is wrong is said to nobody here.
 */
static int merge_core(struct config_loader *l, const struct json_value *entry)
{
	struct conf_report silence;
	struct conf_reader r = {
		.arena = l->arena, .report = &silence, .file = "", .getenv = l->r.getenv};
	int err;

	conf_report_init(&silence);
	err = conf_apply(&r, &config_core_schema, entry, &l->conf->engine);
	conf_report_done(&silence);
	return err;
}

static void core_defaults(struct config_core *core, const char *type)
{
	core->type = type;
	if (!*core->name)
		core->name = type;
	if (strcmp(type, "xray") && !conf_is_set(&config_core_log_schema, &core->log, level))
		core->log.level = CONFIG_LOG_ERROR;
}

static void warn_of_core(struct config_loader *l, const struct json_value *entry,
			 const struct config_core *core, bool again)
{
	if (again)
		conf_warn(&l->r, entry->at, NULL,
			  "another core of type %s; their settings are merged", core->type);
	if (strcmp(core->log.access_path, "none"))
		conf_warn(&l->r, entry->at, "Log.AccessPath",
			  "not implemented yet; there is no access log");
}

/* Keep the entries of known types; `entry` is the JSON of the first. */
static int settle_cores(struct config_loader *l, const struct json_value *entry)
{
	struct config_core *core = l->conf->cores.items;
	size_t kept = 0;
	int err = 0;

	for (size_t i = 0; i < l->conf->cores.count && !err; i++, entry = entry->next) {
		const char *type = config_core_type(core[i].type);
		size_t mark = conf_enter(&l->r, "Cores", (int64_t)i);
		bool again = false;

		if (!type)
			conf_warn(&l->r, entry->at, "Type",
				  "\"%.40s\" is no known core, the entry is ignored; write xray, "
				  "sing or "
				  "hysteria2",
				  core[i].type);
		for (size_t k = 0; type && k < kept; k++)
			again |= !strcmp(core[k].type, type);
		if (type) {
			core_defaults(&core[i], type);
			warn_of_core(l, entry, &core[i], again);
			core[kept++] = core[i];
			err = merge_core(l, entry);
		}
		conf_leave(&l->r, mark);
	}
	l->conf->cores.count = kept;
	return err;
}

/* --- environment --------------------------------------------------------------------------- */

static const char *from_env(const struct config_loader *l, const char *name)
{
	const char *value = l->r.getenv ? l->r.getenv(name) : getenv(name);

	return value && *value ? value : NULL;
}

static int read_env(struct config_loader *l)
{
	struct config *c = l->conf;
	const char *value = from_env(l, "PPROF_ADDR");

	if (value && !conf_is_set(&config_metrics_schema, &c->metrics, listen))
		c->metrics.listen = arena_strdup(l->arena, value);
	value = from_env(l, "XRAY_LOCATION_ASSET");
	if (value && !conf_is_set(&config_core_schema, &c->engine, asset_path))
		c->engine.asset_path = arena_strdup(l->arena, value);
	return c->metrics.listen && c->engine.asset_path ? 0 : -ENOMEM;
}

/* --- the file ------------------------------------------------------------------------------ */

static int load_nodes(struct config_loader *l, const struct config_source *source)
{
	const struct json_value *list = l->conf->nodes_value;
	int64_t i = 0;
	int err = 0;

	if (!list || (list->type == JSON_T_ARRAY && !list->len)) {
		struct json_pos at = list ? list->at : (struct json_pos){0};

		if (!l->conf->manager && !l->conf->yassp.count)
			conf_error(&l->r, at, "Nodes", "there are none; add an entry");
		return 0;
	}
	if (list->type != JSON_T_ARRAY) {
		conf_error(&l->r, list->at, "Nodes", "expected an array of objects");
		return 0;
	}
	for (struct json_value *e = list->child; e && !err; e = e->next) {
		size_t mark = conf_enter(&l->r, "Nodes", i++);

		err = config_node_load(l, e, source);
		conf_leave(&l->r, mark);
	}
	return err;
}

static int gather_nodes(struct config_loader *l)
{
	struct config *c = l->conf;
	const struct config_node **nodes = arena_alloc(l->arena, (l->nnodes + 1) * sizeof(*nodes));

	if (!nodes)
		return -ENOMEM;
	for (struct config_node_link *n = l->first; n; n = n->next)
		nodes[c->nnodes++] = n->node;
	c->nodes = nodes;
	config_nodes_compare(l);
	return 0;
}

static int load_tree(struct config_loader *l, const struct json_value *doc,
		     const struct config_source *source)
{
	struct config *c = l->conf;
	const struct json_value *cores;
	int err;

	err = conf_defaults(&l->r, &config_core_schema, &c->engine);
	if (!err)
		err = conf_apply(&l->r, &config_schema, doc, c);
	cores = json_get(doc, "Cores");
	if (!err && c->cores.count)
		err = settle_cores(l, cores->type == JSON_T_ARRAY ? cores->child : cores);
	if (!err)
		err = read_env(l);
	/* [] is how some write an empty object. */
	if (!err && (doc->type == JSON_T_OBJECT || (doc->type == JSON_T_ARRAY && !doc->len)))
		err = load_nodes(l, source);
	if (!err)
		err = gather_nodes(l);
	if (!err && l->env.sections)
		err = l->env.sections(l->env.arg, &l->r, doc, c);
	return err;
}

static int set_path(struct config_loader *l, const char *path)
{
	const char *slash = strrchr(path, '/');

	l->conf->path = arena_strdup(l->arena, path);
	if (!slash)
		l->conf->dir = ".";
	else
		l->conf->dir =
			slash == path ? "/" : arena_dup(l->arena, path, (size_t)(slash - path));
	return l->conf->path && l->conf->dir ? 0 : -ENOMEM;
}

static int load(struct config_loader *l, const char *text, size_t len, const char *path)
{
	struct config_source source = {0};
	struct json_value *doc = NULL;
	int err;

	err = conf_defaults(&l->r, &config_schema, l->conf);
	if (!err)
		err = set_path(l, path);
	if (err)
		return err;
	l->conf->api_type = l->env.api_type;
	source.path = source.shown = l->r.file = l->conf->path;
	if (text)
		err = config_text_load(l, text, len, &doc);
	else
		err = config_file_load(l, &source, (struct json_pos){0}, &doc);
	return err || !doc ? err : load_tree(l, doc, &source);
}

static struct config *build(const char *text, size_t len, const char *path,
			    const struct config_env *env, struct conf_report *report)
{
	struct arena arena;
	struct config_loader l = {.r = {.arena = &arena, .report = report, .file = path}};
	int err;

	arena_init(&arena, CONFIG_ARENA_MAX);
	l.arena = &arena;
	l.last = &l.first;
	if (env)
		l.env = *env;
	l.conf = arena_alloc(&arena, sizeof(*l.conf));
	err = l.conf ? load(&l, text, len, path) : -ENOMEM;
	if (err)
		conf_report_add(report, false, path, (struct json_pos){0}, "", "out of memory");
	if (err || report->errors) {
		arena_done(&arena);
		return NULL;
	}
	l.conf->arena = arena;
	return l.conf;
}

struct config *config_parse(const char *text, size_t len, const char *path,
			    struct conf_report *report)
{
	return build(text, len, path, NULL, report);
}

struct config *config_load(const char *path, const struct config_env *env,
			   struct conf_report *report)
{
	return build(NULL, 0, path, env, report);
}

void config_free(struct config *c)
{
	struct arena arena;

	if (!c)
		return;
	arena = c->arena; /* the config lies in it */
	arena_done(&arena);
}

/* --- what follows from it ------------------------------------------------------------------ */

int config_cert_path(const struct config *c, const struct config_node *n, const char *domain,
		     bool key, char *out, size_t cap)
{
	const char *pattern = key ? n->cert.key_file : n->cert.cert_file;
	FILE *f = fmemopen(out, cap, "w");
	bool fits;

	if (!f)
		return -ENOBUFS;
	if (!*pattern)
		fprintf(f, "%s/cert/%s.%s", c->dir, domain, key ? "key" : "crt");
	while (*pattern) {
		if (!strncmp(pattern, "{domain}", 8)) {
			fputs(domain, f);
			pattern += 8;
		} else if (!strncmp(pattern, "{email}", 7)) {
			fputs(n->cert.email, f);
			pattern += 7;
		} else {
			putc(*pattern++, f);
		}
	}
	putc(0, f);
	fits = fflush(f) == 0 && !ferror(f);
	return fclose(f) == 0 && fits ? 0 : -ENOBUFS;
}

void config_print_reference(FILE *to)
{
	static const struct conf_schema *const sections[] = {
		&config_schema,
		&config_log_schema,
		&config_core_schema,
		&config_core_log_schema,
		&config_core_connection_schema,
		&config_core_ntp_schema,
		&config_node_schema,
		&config_limit_schema,
		&config_dynamic_schema,
		&config_cert_schema,
		&config_fallback_schema,
		&config_multiplex_schema,
		&config_state_schema,
		&config_metrics_schema,
		&config_plugins_schema,
		&config_site_schema,
	};

	fputs("# Configuration reference\n\n"
	      "Generated by `weir check --reference` from the tables that the program reads with; "
	      "do not "
	      "edit.\n\n"
	      "The file is JSON; `//` and `/* */` comments and trailing commas are welcome. Keys "
	      "are found "
	      "in any case. Numbers may stand in quotes. An unknown key is a warning, a wrong "
	      "value an "
	      "error, and `weir check` tells all of them at once.\n\n"
	      "*change* says what a new value costs while the program runs: `live` is applied as "
	      "it is, "
	      "`rebuild` builds the node's inbound anew beside the old one, `anew` ends the "
	      "manager or the site and starts it again, `restart` waits for "
	      "the next "
	      "start.\n",
	      to);
	for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
		fprintf(to, "\n## %s\n\n%s\n\n", sections[i]->name, sections[i]->help);
		conf_print_reference(sections[i], to);
	}
}
