/* panel_user.c - `weir panel user`. */
#include <errno.h>
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
static const struct option_key keys[] = {
	{"--uuid", "uuid"},
	{"--speed", "speed_limit"},
	{"--devices", "device_limit"},
	{"--conns", "conn_limit"},
	{"--quota", "quota"},
	{"--expire", "expire"},
	{"--name", "name"},
	{"--id", "id"},
	{"--enabled", "enabled"},
};

static const char *key_of(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (!strcasecmp(word, keys[i].option + 2) || !strcasecmp(word, keys[i].key))
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
		return panel_complain(s, err, "user add", &why);
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
		return panel_complain(s, err, "user list", NULL);
	}
	return a->json ? panel_print(a, rows) : CMD_OK;
}

static int user_show(struct panel_args *a, struct store *s)
{
	struct panel_user u;
	int64_t id;
	int err = panel_args_id(a, 0, &id);

	if (err)
		return err;
	err = store_user_get(s, id, &u);
	return err ? panel_complain(s, err, a->words[0], NULL)
		   : panel_print(a, panel_user_emit(&u));
}

static int user_set(struct panel_args *a, struct store *s)
{
	struct panel_user u;
	struct fault why;
	int64_t id;
	int err = panel_args_id(a, 0, &id);

	if (err)
		return err;
	err = edit_user_change(s, id, a->body, &u, &why);
	if (err)
		return panel_complain(s, err, a->words[0], &why);
	return a->json ? panel_print(a, panel_user_emit(&u)) : CMD_OK;
}

static int user_rm(struct panel_args *a, struct store *s)
{
	int64_t id;
	int err = a->n ? CMD_OK : panel_args_id(a, 0, &id);

	for (int i = 0; i < a->n && !err; i++) {
		err = panel_args_id(a, i, &id);
		if (!err && (err = store_user_del(s, id)) < 0)
			return panel_complain(s, err, a->words[i], NULL);
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
		return panel_complain(s, err, a->words[0], &why);
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
	struct csv c;
	char *text;
	size_t len;
	int status;

	if (a->n != 1) {
		fprintf(stderr, "weir panel user import: expected one file\n");
		return CMD_USAGE;
	}
	text = panel_file_read(a->words[0], &len);
	if (!text)
		return CMD_FAILED;
	list = json_array();
	csv_init(&c, text, len);
	status = csv_users(a->words[0], &c, list);
	if (!status)
		status = import_all(a, s, list);
	json_decref(list);
	free(text);
	return status;
}

int panel_user_run(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(struct panel_args *a, struct store *s);
	} verbs[] = {{"add", user_add}, {"list", user_list}, {"show", user_show},
		     {"set", user_set}, {"rm", user_rm},     {"import", user_import}};
	struct panel_args a;
	struct store *s;
	int status;

	for (size_t i = 0; argc > 1 && i < ARRAY_LEN(verbs); i++) {
		if (strcmp(argv[1], verbs[i].name) != 0)
			continue;
		status = panel_args_read(&a, argc - 1, argv + 1, keys, ARRAY_LEN(keys), user_pair);
		if (!status)
			status = panel_args_open(&a, &s);
		if (!status) {
			status = verbs[i].run(&a, s);
			store_close(s);
		}
		panel_args_done(&a);
		return status;
	}
	fprintf(stderr, "weir panel user: expected add, list, show, set, rm, import or link\n");
	return CMD_USAGE;
}
