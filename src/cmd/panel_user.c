/* panel_user.c - `weir panel user`. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "cmd/cmd.h"
#include "cmd/panel_cmd.h"
#include "panel/csv.h"
#include "panel/edit.h"

#define CSV_COLUMNS 16

/* Options, and the column names of an import; the keys themselves are columns too. */
static const struct panel_key keys[] = {
	{"name", "TEXT", "name", "for people"},
	{"uuid", "TEXT", "uuid", "UUID or password, instead of a random UUID"},
	{"speed", "MBPS", "speed_limit", "in each direction; 0 is no limit, here and below"},
	{"devices", "N", "device_limit", "addresses at one time"},
	{"conns", "N", "conn_limit", "connections at one time"},
	{"quota", "BYTES", "quota", "both directions together: 100GB, 1TiB"},
	{"expire", "DATE", "expire", "2026-12-31, +30d, …"},
	{"enabled", "BOOL", "enabled", "whether nodes serve him"},
	{"id", "N", "id", "instead of the next one"},
};

static const char *key_of(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (!strcasecmp(word, keys[i].option) || !strcasecmp(word, keys[i].key))
			return keys[i].key;
	}
	return NULL;
}

/* Nothing behind the '=' means the key's zero. */
static int user_pair(json_t *body, const char *key, const char *value)
{
	const char *known = key_of(key);
	json_t *v = *value ? json_string(value) : json_null();

	return json_object_set_new(body, known ? known : key, v) < 0 ? -EINVAL : 0;
}

static int user_add(struct panel_args *a, struct store *s)
{
	struct panel_user u;
	struct fault why;
	int err = edit_user_add(s, a->body, &u, &why);

	if (err)
		return panel_complain(s, err, "user", "add", &why);
	if (a->json)
		return panel_print(a, panel_user_emit(&u));
	printf("id: %lld\nuuid: %s\n", (long long)u.id, u.credential);
	return CMD_OK;
}

static const char *state_of(const struct panel_user *u)
{
	int64_t now = time(NULL);

	if (panel_user_active(u, now))
		return "active";
	if (!u->enabled)
		return "disabled";
	return u->expire && now > u->expire ? "expired" : "over quota";
}

static int list_row(const struct panel_user *u, void *arg)
{
	printf("%-8lld %-36s %-10s %6g %4lld %15lld %15lld %15lld  %s\n", (long long)u->id,
	       u->credential, state_of(u), u->speed_mbps, (long long)u->device_limit,
	       (long long)u->quota, (long long)u->up, (long long)u->down, u->name);
	return 0;
}

static int list_json(const struct panel_user *u, void *arg)
{
	return json_array_append_new(arg, panel_user_emit(u)) < 0 ? -ENOMEM : 0;
}

static int user_list(struct panel_args *a, struct store *s)
{
	json_t *rows = a->json ? json_array() : NULL;
	int err;

	if (!a->json)
		printf("%-8s %-36s %-10s %6s %4s %15s %15s %15s  %s\n", "ID", "UUID", "STATE",
		       "MBPS", "DEV", "QUOTA", "UP", "DOWN", "NAME");
	err = store_users(s, 0, 0, a->json ? list_json : list_row, rows);
	if (err) {
		json_decref(rows);
		return panel_complain(s, err, "user", "list", NULL);
	}
	return a->json ? panel_print(a, rows) : CMD_OK;
}

static int user_show(struct panel_args *a, struct store *s)
{
	struct panel_user u;
	int64_t id;
	int err = panel_id(a->words[0], &id);

	if (err)
		return err;
	err = store_user_get(s, id, &u);
	return err ? panel_complain(s, err, "user", a->words[0], NULL)
		   : panel_print(a, panel_user_emit(&u));
}

static int user_set(struct panel_args *a, struct store *s)
{
	struct panel_user u;
	struct fault why;
	int64_t id;
	int err = panel_id(a->words[0], &id);

	if (err)
		return err;
	err = edit_user_change(s, id, a->body, &u, &why);
	if (err)
		return panel_complain(s, err, "user", a->words[0], &why);
	return a->json ? panel_print(a, panel_user_emit(&u)) : CMD_OK;
}

static int user_rm(struct panel_args *a, struct store *s)
{
	int64_t id;
	int err = 0;

	for (int i = 0; i < a->n && !err; i++) {
		err = panel_id(a->words[i], &id);
		if (!err && (err = store_user_del(s, id)) < 0)
			return panel_complain(s, err, "user", a->words[i], NULL);
	}
	return err;
}

static int csv_complain(const char *file, unsigned line, const char *what)
{
	fprintf(stderr, "weir panel: %s:%u: %s\n", file, line, what);
	return CMD_FAILED;
}

/* The first record names the columns. */
static int csv_header(const char *file, struct csv *c, const char **columns, int *n)
{
	char *fields[CSV_COLUMNS];

	*n = csv_record(c, fields, CSV_COLUMNS);
	if (*n <= 0)
		return csv_complain(file, c->line, "expected a line with the names of the columns");
	for (int i = 0; i < *n; i++) {
		columns[i] = key_of(fields[i] + strspn(fields[i], " "));
		if (!columns[i])
			return csv_complain(
				file, c->line,
				"columns are name, uuid, speed, devices, conns, quota, expire, "
				"enabled and id");
	}
	return CMD_OK;
}

/* The records as a list for the model; an empty field is a default. */
static int csv_users(const char *file, struct csv *c, json_t *list)
{
	const char *columns[CSV_COLUMNS];
	char *fields[CSV_COLUMNS];
	int n, width, status = csv_header(file, c, columns, &width);

	while (!status && (n = csv_record(c, fields, CSV_COLUMNS)) != 0) {
		json_t *o = json_object();

		if (n < 0 || n > width)
			status = csv_complain(file, c->line,
					      n < 0 ? err_text(n) : "too many fields");
		for (int i = 0; i < n && !status; i++) {
			if (*fields[i] &&
			    json_object_set_new(o, columns[i], json_string(fields[i])) < 0)
				status = csv_complain(file, c->line, "not UTF-8");
		}
		json_array_append_new(list, o);
	}
	return status;
}

static int import_all(struct panel_args *a, struct store *s, json_t *list)
{
	json_t *made = json_array();
	struct fault why;
	int err = edit_users_add(s, list, made, &why);

	if (err) {
		json_decref(made);
		return panel_complain(s, err, "import", a->words[0], &why);
	}
	if (a->json)
		return panel_print(a, made);
	printf("%zu users imported\n", json_array_size(made));
	json_decref(made);
	return CMD_OK;
}

static int user_import(struct panel_args *a, struct store *s)
{
	json_t *list;
	struct file file;
	struct csv c;
	int status = panel_file_read(a->words[0], &file);

	if (status)
		return status;
	list = json_array();
	csv_init(&c, file.text, file.len);
	status = csv_users(a->words[0], &c, list);
	if (!status)
		status = import_all(a, s, list);
	json_decref(list);
	file_done(&file);
	return status;
}

static const struct panel_verb verbs[] = {
	{.name = "add",
	 .page = {"weir panel user add", "[OPTION…]",
		  "Adds a user and prints his id and credential.",
		  "weir panel user add --name alice --quota 100GB --expire +30d"},
	 .keys = keys,
	 .n_keys = ARRAY_LEN(keys),
	 .pair = user_pair,
	 .makes = true,
	 .run = user_add},
	{.name = "list",
	 .page = {"weir panel user list", "", "Lists the users.", "weir panel user list --json"},
	 .run = user_list},
	{.name = "show",
	 .page = {"weir panel user show", "ID", "Shows a user.", "weir panel user show 41"},
	 .min_words = 1,
	 .max_words = 1,
	 .run = user_show},
	{.name = "set",
	 .page = {"weir panel user set", "ID KEY=VALUE…",
		  "Changes a user; an empty value takes a limit away.",
		  "weir panel user set 41 speed=50 quota="},
	 .keys = keys,
	 .n_keys = ARRAY_LEN(keys) - 1,
	 .pair = user_pair,
	 .min_words = 1,
	 .max_words = 1,
	 .run = user_set},
	{.name = "rm",
	 .page = {"weir panel user rm", "ID…", "Removes users.", "weir panel user rm 41 42"},
	 .min_words = 1,
	 .max_words = INT_MAX,
	 .run = user_rm},
	{.name = "import",
	 .page = {"weir panel user import", "FILE.csv",
		  "Adds all users of a table, or none.\nIts first line names the columns, among "
		  "name, uuid, speed, devices, conns, quota, expire, enabled and id.",
		  "weir panel user import members.csv"},
	 .min_words = 1,
	 .max_words = 1,
	 .makes = true,
	 .run = user_import},
	{.name = "link",
	 .page = {"weir panel user link", "USER NODE",
		  "Prints the link with which the user reaches the node, by their ids.",
		  "weir panel user link 41 7 --qr"},
	 .min_words = 2,
	 .max_words = 2,
	 .run = panel_user_link,
	 .links = true},
};

int panel_user_run(int argc, char **argv)
{
	return panel_verb_run(verbs, ARRAY_LEN(verbs), "weir panel user", argc, argv);
}
