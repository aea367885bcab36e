/* config_node.c - an entry of Nodes: its forms, and the files it may include. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "node/config_load.h"

/* --- forms --------------------------------------------------------------------------------- */

/* Take the member of that name (in any case) out of an object. */
static struct json_value *take(struct json_value *object, const char *key)
{
	const struct json_value *found = json_get(object, key);
	struct json_value **link = &object->child, *m;

	while (*link && *link != found)
		link = &(*link)->next;
	m = *link;
	if (!m)
		return NULL;
	*link = m->next;
	m->next = NULL;
	object->len--;
	return m;
}

static struct json_value *new_text(struct arena *a, const char *key, struct json_pos at,
				   const char *text)
{
	struct json_value *v = arena_alloc(a, sizeof(*v));

	if (!v || !text)
		return NULL;
	v->type = JSON_T_STRING;
	v->key = key;
	v->at = v->key_at = at;
	v->text = text;
	v->len = (uint32_t)strlen(text);
	return v;
}

/* { "Server": …, "ServerPort": … } as { "Dest": "server:port", "Alpn": … } */
static struct json_value *fallback_of_sing(struct arena *a, const struct json_value *from,
					   const char *alpn)
{
	const struct json_value *server = json_get(from, "Server"),
				*port = json_get(from, "ServerPort");
	struct json_value *out = arena_alloc(a, sizeof(*out)), *dest;
	const char *host = "127.0.0.1", *number = "0";

	if (!out || json_to_text(server, a, &host) == -ENOMEM ||
	    json_to_text(port, a, &number) == -ENOMEM)
		return NULL;
	dest = new_text(a, "Dest", from->at,
			arena_printf(a, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, number));
	if (!dest)
		return NULL;
	dest->next = alpn ? new_text(a, "Alpn", from->at, alpn) : NULL;
	if (alpn && !dest->next)
		return NULL;
	out->type = JSON_T_OBJECT;
	out->at = from->at;
	out->child = dest;
	out->len = alpn ? 2 : 1;
	return out;
}

static void append(struct json_value *array, struct json_value *v)
{
	struct json_value **link = &array->child;

	while (*link)
		link = &(*link)->next;
	*link = v;
	array->len++;
}

/* The sing spelling of FallBackConfigs, {FallBack{…}, FallBackForALPN{alpn:{…}}}, becomes the
 * array. */
static int translate_fallbacks(struct arena *a, struct json_value *object)
{
	struct json_value *v = (struct json_value *)json_get(object, "FallBackConfigs"), array;
	const struct json_value *plain = json_get(v, "FallBack"),
				*alpn = json_get(v, "FallBackForALPN");
	struct json_value *one;

	if (!plain && !alpn)
		return 0;
	array = *v;
	array.type = JSON_T_ARRAY;
	array.child = NULL;
	array.len = 0;
	for (const struct json_value *m = alpn && alpn->type == JSON_T_OBJECT ? alpn->child : NULL;
	     m; m = m->next) {
		one = fallback_of_sing(a, m, m->key);
		if (!one)
			return -ENOMEM;
		append(&array, one);
	}
	if (plain) {
		one = fallback_of_sing(a, plain, NULL);
		if (!one)
			return -ENOMEM;
		append(&array, one);
	}
	*v = array;
	return 0;
}

/* The rows of the panel stand before the row Name. */
static bool is_api_row(const struct conf_row *row)
{
	return row < conf_row_find(&config_node_schema, "Name");
}

/* Keys at the wrong level count, but say so. */
static void warn_of_level(struct config_loader *l, const struct json_value *object, bool api,
			  bool options)
{
	for (const struct json_value *m = object->child; m; m = m->next) {
		const struct conf_row *row =
			m->bad_key ? NULL : conf_row_find(&config_node_schema, m->key);

		if (!row || (is_api_row(row) ? api : options))
			continue;
		conf_warn(&l->r, m->key_at, m->key, "belongs into %s; it counts here too",
			  is_api_row(row) ? "ApiConfig" : "Options");
	}
}

static int apply_part(struct config_loader *l, const char *name, struct json_value *part,
		      struct config_node *n)
{
	size_t mark = conf_enter(&l->r, name, -1);
	int err = 0;

	if (part && part->type == JSON_T_OBJECT) {
		err = translate_fallbacks(l->arena, part);
		if (!err && !strcmp(name, "ApiConfig"))
			warn_of_level(l, part, true, false);
		if (!err && !strcmp(name, "Options"))
			warn_of_level(l, part, false, true);
	}
	if (part && !err)
		err = conf_apply(&l->r, &config_node_schema, part, n);
	conf_leave(&l->r, mark);
	return err;
}

/* The parts of an entry, the weakest first: nested engine options lose against flat keys. */
static int apply_forms(struct config_loader *l, struct json_value *entry, struct config_node *n)
{
	static const char *const nested[] = {"XrayOptions", "SingOptions", "RawOptions"};
	struct json_value *api = take(entry, "ApiConfig"), *options = take(entry, "Options");
	bool split = api || options;
	int err = 0;

	for (size_t i = 0; i < ARRAY_LEN(nested) && !err; i++) {
		err = apply_part(l, nested[i], take(entry, nested[i]), n);
		if (!err && options && options->type == JSON_T_OBJECT)
			err = apply_part(l, nested[i], take(options, nested[i]), n);
	}
	if (!err)
		err = apply_part(l, "ApiConfig", api, n);
	if (!err)
		err = apply_part(l, "Options", options, n);
	if (split && !err)
		warn_of_level(l, entry, false, false);
	return err ? err : apply_part(l, "", entry, n);
}

static int add_node(struct config_loader *l, struct json_value *entry, const char *name)
{
	struct config_node_link *link = arena_alloc(l->arena, sizeof(*link));
	struct config_node *n = arena_alloc(l->arena, sizeof(*n));
	int err;

	if (!link || !n)
		return -ENOMEM;
	err = conf_defaults(&l->r, &config_node_schema, n);
	n->at = entry->at;
	n->file = l->r.file;
	n->where = arena_strdup(l->arena, l->r.path);
	if (!n->where)
		return -ENOMEM;
	if (!err)
		err = apply_forms(l, entry, n);
	if (name)
		n->name = name;
	conf_require(&l->r, &config_node_schema, entry->at, n);
	if (!err)
		err = config_node_settle(l, n);
	link->node = n;
	*l->last = link;
	l->last = &link->next;
	l->nnodes++;
	return err;
}

/* --- includes ------------------------------------------------------------------------------ */

static int load_document(struct config_loader *l, struct json_value *doc, const char *name,
			 const struct config_source *source)
{
	int64_t i = 0;
	int err = 0;

	if (doc->type == JSON_T_OBJECT) {
		if (json_get(doc, "Include"))
			return config_node_load(l, doc, source);
		return add_node(l, doc, name);
	}
	if (doc->type != JSON_T_ARRAY) {
		conf_error(&l->r, doc->at, NULL, "expected an object or an array of objects");
		return 0;
	}
	if (name)
		conf_warn(&l->r, doc->at, NULL,
			  "an array of nodes; the Name beside its Include has no meaning");
	for (struct json_value *e = doc->child; e && !err; e = e->next) {
		size_t mark = conf_enter(&l->r, "", i++);

		err = config_node_load(l, e, source);
		conf_leave(&l->r, mark);
	}
	return err;
}

static int include_url(struct config_loader *l, const struct json_value *what, const char *url,
		       struct config_source *source, struct json_value **doc)
{
	char shown[512];

	if (!strncasecmp(url, "http://", 7) && !l->conf->allow_http_include) {
		conf_error(&l->r, what->at, NULL,
			   "anybody on the way could change it: take https://, or set "
			   "AllowHttpInclude");
		return 0;
	}
	source->remote = true;
	source->path = url;
	source->shown = arena_strdup(l->arena, conf_redact_url(url, shown, sizeof(shown)));
	return source->shown ? config_url_load(l, source, what->at, doc) : -ENOMEM;
}

static int include_file(struct config_loader *l, const struct json_value *what, const char *path,
			struct config_source *source, struct json_value **doc)
{
	if (source->parent->remote) {
		conf_error(&l->r, what->at, NULL,
			   "what is behind an address may name addresses, not files");
		return 0;
	}
	source->path = source->shown = config_resolve(l->arena, source->parent->path, path);
	return source->path ? config_file_load(l, source, what->at, doc) : -ENOMEM;
}

/* What `what` names, as a tree; *doc stays NULL when that is in the report. */
static int include_text(struct config_loader *l, const struct json_value *what,
			struct config_source *source, struct json_value **doc)
{
	const char *path = NULL;

	if (json_to_text(what, l->arena, &path) || !*path)
		conf_error(&l->r, what->at, NULL, "expected the path of a file, or an address");
	else if (source->depth > CONFIG_INCLUDE_DEPTH)
		conf_error(&l->r, what->at, NULL, "included more than %d levels deep",
			   CONFIG_INCLUDE_DEPTH);
	else if (!strncasecmp(path, "http://", 7) || !strncasecmp(path, "https://", 8))
		return include_url(l, what, path, source, doc);
	else
		return include_file(l, what, path, source, doc);
	return 0;
}

static int include(struct config_loader *l, const struct json_value *what, const char *name,
		   const struct config_source *from)
{
	struct config_source source = {.parent = from, .depth = from->depth + 1};
	const char *file = l->r.file;
	char place[CONF_PATH_MAX];
	size_t mark = conf_enter(&l->r, "Include", -1);
	struct json_value *doc = NULL;
	int err = include_text(l, what, &source, &doc);

	conf_leave(&l->r, mark);
	if (err || !doc)
		return err;

	/* Paths within the other file begin anew. */
	memcpy(place, l->r.path, sizeof(place));
	mark = l->r.path_len;
	conf_leave(&l->r, 0);
	l->r.file = source.shown;
	err = load_document(l, doc, name, &source);
	l->r.file = file;
	memcpy(l->r.path, place, sizeof(place));
	l->r.path_len = mark;
	return err;
}

int config_node_load(struct config_loader *l, struct json_value *entry,
		     const struct config_source *from)
{
	const struct json_value *what = json_get(entry, "Include");
	const char *name = NULL;

	if (entry->type != JSON_T_OBJECT) {
		conf_error(&l->r, entry->at, NULL, "expected an object");
		return 0;
	}
	if (!what)
		return add_node(l, entry, NULL);
	if (json_to_text(json_get(entry, "Name"), l->arena, &name) < 0)
		conf_error(&l->r, entry->at, "Name", "expected text");
	return include(l, what, name, from);
}
