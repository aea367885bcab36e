#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cmd/cmd.h"
#include "cmd/panel_cmd.h"
#include "panel/headers.h"

#define FILE_MAX (64 << 20)

/* Is argv[*i] the option `name`?  Its value is behind '=' or in the next argument. */
static bool option_value(int argc, char **argv, int *i, const char *name, const char **value)
{
	size_t len = strlen(name);

	if (strncmp(argv[*i], name, len) != 0 || (argv[*i][len] && argv[*i][len] != '='))
		return false;
	if (argv[*i][len] == '=')
		*value = argv[*i] + len + 1;
	else if (*i + 1 < argc && strncmp(argv[*i + 1], "--", 2) != 0)
		*value = argv[++*i];
	else
		*value = NULL; /* the next option is not this one's value */
	return true;
}

static int complain(const char *arg, const char *what)
{
	fprintf(stderr, "weir panel: %s: %s; `weir panel -h` tells more\n", arg, what);
	return CMD_USAGE;
}

static int take_pair(struct panel_args *a, const char *text, pair_fn pair)
{
	const char *eq = text ? strchr(text, '=') : NULL;
	char key[128];

	if (!eq || eq == text || (size_t)(eq - text) >= sizeof(key))
		return complain(text ? text : "--set", "expected KEY=VALUE");
	memcpy(key, text, (size_t)(eq - text));
	key[eq - text] = '\0';
	return pair(a->body, key, eq + 1) < 0 ? complain(text, "cannot be set") : CMD_OK;
}

/* --json, or --json FILE: a word behind it that is no option and no pair is a file. */
static void take_json(struct panel_args *a, int argc, char **argv, int *i)
{
	const char *next = *i + 1 < argc ? argv[*i + 1] : NULL;

	if (argv[*i][6] == '=')
		a->file = argv[*i] + 7;
	else if (next && (next[0] != '-' || !next[1]) && !strchr(next, '='))
		a->file = argv[++*i];
	else
		a->json = true;
}

static int take_option(struct panel_args *a, int argc, char **argv, int *i,
		       const struct option_key *keys, size_t n, pair_fn pair)
{
	const char *name = argv[*i], *value;

	if (!strncmp(name, "--json", 6) && (!name[6] || name[6] == '=')) {
		take_json(a, argc, argv, i);
		return CMD_OK;
	}
	if (option_value(argc, argv, i, "--db", &value)) {
		a->db = value;
		return value ? CMD_OK : complain(name, "needs a value");
	}
	if (pair && option_value(argc, argv, i, "--set", &value))
		return take_pair(a, value, pair);
	for (size_t k = 0; k < n; k++) {
		if (!option_value(argc, argv, i, keys[k].option, &value))
			continue;
		if (!value)
			return complain(name, "needs a value");
		if (json_object_set_new(a->body, keys[k].key, json_string(value)) < 0)
			return complain(name, "is not UTF-8");
		return CMD_OK;
	}
	return complain(name, "no such option");
}

int panel_args_read(struct panel_args *a, int argc, char **argv, const struct option_key *keys,
		    size_t n, pair_fn pair)
{
	const char *db = getenv("WEIR_PANEL_DB");
	int status = CMD_OK;

	*a = (struct panel_args){.db = db && *db ? db : "weir-panel.db", .body = json_object()};
	for (int i = 1; i < argc && !status; i++) {
		if (!strncmp(argv[i], "--", 2))
			status = take_option(a, argc, argv, &i, keys, n, pair);
		else if (pair && strchr(argv[i], '='))
			status = take_pair(a, argv[i], pair);
		else if (a->n < (int)ARRAY_LEN(a->words))
			a->words[a->n++] = argv[i];
		else
			status = complain(argv[i], "too many arguments");
	}
	return status;
}

void panel_args_done(struct panel_args *a)
{
	json_decref(a->body);
}

int panel_args_open(const struct panel_args *a, struct store **out)
{
	struct fault why;

	if (store_open(a->db, out, &why) == 0)
		return CMD_OK;
	fprintf(stderr, "weir panel: %s: %s\n", a->db, why.text);
	return CMD_FAILED;
}

int panel_args_id(const struct panel_args *a, int i, int64_t *out)
{
	if (i >= a->n)
		return complain("ID", "is missing");
	if (decimal_parse(a->words[i], strlen(a->words[i]), out) < 0)
		return complain(a->words[i], "expected an id");
	return CMD_OK;
}

char *panel_file_read(const char *path, size_t *len)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	size_t cap = 65536, n = 0;
	char *text = NULL, *more;

	while (f && !ferror(f) && cap <= FILE_MAX) {
		more = realloc(text, cap + 1);
		if (!more)
			break;
		text = more;
		n += fread(text + n, 1, cap - n, f);
		if (n < cap)
			break;
		cap *= 2;
	}
	if (!f || ferror(f) || !text || n == cap) {
		fprintf(stderr, "weir panel: %s: %s\n", path,
			n == cap ? "too large" : err_text(-errno));
		free(text);
		text = NULL;
	}
	if (f && f != stdin)
		fclose(f);
	*len = n;
	return text;
}

int panel_complain(struct store *s, int err, const char *what, const struct fault *why)
{
	const char *text = err == -EINVAL	  ? why->text
			   : err == -ENOENT	  ? "not there"
			   : err == -EEXIST	  ? "the id, token or credential is already taken"
			   : err == -ERR_DATABASE ? store_error(s)
						  : err_text(err);

	fprintf(stderr, "weir panel: %s: %s\n", what, text);
	return CMD_FAILED;
}

static void print_line(const char *key, json_t *v)
{
	char *text;

	if (json_is_string(v)) {
		printf("%s: %s\n", key, json_string_value(v));
		return;
	}
	text = json_dumps(v, JSON_ENCODE_ANY | JSON_INDENT(2) | JSON_REAL_PRECISION(15));
	printf("%s: %s\n", key, text ? text : "");
	free(text);
}

int panel_print(const struct panel_args *a, json_t *o)
{
	const char *key;
	json_t *v;

	if (!o)
		return CMD_FAILED;
	if (a->json) {
		json_dumpf(o, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
		putchar('\n');
	} else {
		json_object_foreach(o, key, v) print_line(key, v);
	}
	json_decref(o);
	return fflush(stdout) ? CMD_FAILED : CMD_OK;
}
