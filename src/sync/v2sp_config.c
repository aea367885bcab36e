/* v2sp_config.c - the two shapes of a v2sp configuration (rule A3), ahead of the fields.
 *
 * A panel answers either with the flat description that every program reads, or, as the documents
 * say, with a whole local configuration whose `Nodes` holds our entry.  Both may be there at once.
 */
#include <string.h>

#include "sync/flat.h"
#include "sync/v2sp.h"

#define DOCUMENT_MEMORY (128 << 20)

/* A key that only a flat description (or our entry) has. */
static bool has_fields(const struct json_value *v)
{
	static const char *const keys[] = {
		"server_port",	    "port",  "ServerPort", "node_type", "networkSettings",
		"network_settings", "cipher"};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (json_get(v, keys[i]))
			return true;
	}
	return false;
}

/* L12. */
static const struct json_value *unwrap(const struct json_value *doc)
{
	const struct json_value *inner = json_get(doc, "data");

	if (has_fields(doc) || json_get(doc, "Nodes") || !inner || inner->type != JSON_T_OBJECT)
		return doc;
	return inner;
}

/* --- our entry ------------------------------------------------------------------------------- */

/* A key of an entry, which may be split into ApiConfig and Options. */
static const struct json_value *entry_get(const struct json_value *entry, const char *key)
{
	const struct json_value *v = json_get(json_get(entry, "ApiConfig"), key);

	return v ? v : json_get(entry, key);
}

static bool text_matches(const struct json_value *v, const char *text)
{
	return v && (v->type == JSON_T_STRING || v->type == JSON_T_NUMBER) && !v->bad &&
	       !strcmp(v->text, text);
}

static enum node_type entry_type(const struct json_value *entry)
{
	const struct json_value *v = entry_get(entry, "NodeType");

	return v && v->type == JSON_T_STRING && !v->bad ? node_type_parse(v->text) : NODE_TYPE_NONE;
}

static bool is_ours(const struct panel *p, const struct json_value *entry)
{
	enum node_type type = entry_type(entry);

	return entry->type == JSON_T_OBJECT &&
	       text_matches(entry_get(entry, "NodeID"), p->node_id) &&
	       (!p->type || !type || p->type == type ||
		(p->type == NODE_HYSTERIA && type == NODE_HYSTERIA2));
}

static const struct json_value *our_entry(const struct panel *p, const struct json_value *doc)
{
	const struct json_value *nodes = json_get(doc, "Nodes"), *e;

	if (!nodes || nodes->type != JSON_T_ARRAY)
		return NULL;
	if (nodes->len == 1)
		return nodes->child->type == JSON_T_OBJECT ? nodes->child : NULL;
	for (e = nodes->child; e; e = e->next) {
		if (is_ours(p, e))
			return e;
	}
	return NULL;
}

/* --- the document ---------------------------------------------------------------------------- */

static void set_places(struct flat *f, const struct json_value *doc, const struct json_value *entry)
{
	static const char *const keys[] = {"NodeInfo", "node_info", "Config", NULL};
	const struct json_value *options, *type;
	const struct json_value *inner;

	f->pick.in[0] = doc;
	if (!entry)
		return;
	inner = json_get_any(entry, keys);
	options = json_get(entry, "Options");
	type = entry_get(entry, "NodeType");
	f->pick.in[1] = inner && inner->type == JSON_T_OBJECT ? inner : NULL;
	f->pick.in[2] = entry;
	f->options = options && options->type == JSON_T_OBJECT ? options : entry;
	if (type && type->type == JSON_T_STRING && !type->bad)
		f->entry_type = type->text;
}

static enum answer_class decode(const struct panel *p, const struct json_value *doc,
				struct node_info *info, struct arena *mem, struct notes *notes)
{
	struct flat f = {.panel = p, .info = info};
	const struct json_value *entry = our_entry(p, doc);

	if (json_get(doc, "Nodes") && !entry && !has_fields(doc)) {
		notes_why(notes, "panel returned a full configuration without our node in it");
		return ANSWER_VALID;
	}
	f.pick = (struct pick){.mem = mem, .notes = notes, .where = ""};
	set_places(&f, doc, entry);
	if (entry && !pick_value(&f.pick, KEYS("server_port", "port", "ServerPort")) &&
	    !pick_value(&f.pick, KEYS("node_type", "protocol"))) {
		notes_why(notes, "panel returned a full configuration without inbound parameters "
				 "(server_port …)");
		return ANSWER_VALID;
	}
	return flat_decode(&f);
}

/* The tree is let go; what info keeps lives in its own arena. */
static enum answer_class read_document(const struct panel *p, const struct json_value *doc,
				       struct node_info **out, struct notes *notes)
{
	struct node_info *info = node_info_new();
	char message[ANSWER_MESSAGE_MAX];
	enum answer_class class;

	if (!info) {
		notes_why(notes, "no memory");
		return ANSWER_VALID;
	}
	class = decode(p, unwrap(doc), info, &info->mem, notes);
	if (class == ANSWER_OK) {
		*out = info;
		return class;
	}
	node_info_put(info);
	if (answer_is_failure(doc, message)) {
		notes_why(notes, "%s", *message ? message : "the panel reports a failure");
		return ANSWER_APP;
	}
	return class;
}

enum answer_class v2sp_config(const struct panel *p, const char *body, size_t len,
			      struct node_info **out, struct notes *notes)
{
	enum answer_class class;
	struct json_value *doc;
	struct json_pos at;
	const char *what;
	struct arena tree;

	arena_init(&tree, DOCUMENT_MEMORY);
	if (json_parse(body, len, 0, &tree, &doc, &at, &what)) {
		notes_why(notes, "not JSON: line %u, column %u: %s", at.line, at.column, what);
		class = ANSWER_PARSE;
	} else if (doc->type != JSON_T_OBJECT) {
		notes_why(notes, "not an object");
		class = ANSWER_VALID;
	} else {
		class = read_document(p, doc, out, notes);
	}
	arena_done(&tree);
	return class;
}
