#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "cmd/cmd.h"
#include "cmd/panel_cmd.h"
#include "panel/headers.h"

#define FILE_MAX (64 << 20)
#define KEYS_MAX 16

const char *panel_db_default(void)
{
	const char *db = getenv("WEIR_PANEL_DB");

	return db && *db ? db : PANEL_DB_DEFAULT;
}

static int take_pair(const struct panel_verb *verb, json_t *body, const char *text)
{
	const char *eq = strchr(text, '=');
	char key[128];

	if (!eq || eq == text || (size_t)(eq - text) >= sizeof(key))
		return opt_wrong(&verb->page, "'%s': KEY=VALUE is wanted", text);
	memcpy(key, text, (size_t)(eq - text));
	key[eq - text] = '\0';
	if (verb->pair(body, key, eq + 1) < 0)
		return opt_wrong(&verb->page, "'%s' is not UTF-8", text);
	return 0;
}

/* What came, by where it came from. */
struct given {
	const char *values[KEYS_MAX]; /* of the verb's keys */
	struct opt_many set;
};

static int take_values(const struct panel_verb *verb, struct panel_args *a, struct given *g)
{
	int status = 0;

	for (size_t i = 0; i < verb->n_keys; i++) {
		if (g->values[i] &&
		    json_object_set_new(a->body, verb->keys[i].key, json_string(g->values[i])) < 0)
			return opt_wrong(&verb->page, "--%s is not UTF-8", verb->keys[i].option);
	}
	for (size_t i = 0; i < g->set.n && !status; i++)
		status = take_pair(verb, a->body, g->set.v[i]);
	return status;
}

/* Operands: pairs go into the body, the rest are words. */
static int take_words(const struct panel_verb *verb, struct panel_args *a, int n, char **argv)
{
	int status = 0;

	a->words = argv;
	for (int i = 0; i < n && !status; i++) {
		if (verb->pair && strchr(argv[i], '='))
			status = take_pair(verb, a->body, argv[i]);
		else
			a->words[a->n++] = argv[i];
	}
	if (!status && (a->n < verb->min_words || a->n > verb->max_words))
		status = a->n < verb->min_words
				 ? opt_wrong(&verb->page, "%s is wanted", verb->page.operands)
				 : opt_wrong(&verb->page, "what is '%s'?",
					     a->words[verb->max_words]);
	return status;
}

/* 0 to go on; else ~ of the exit status. */
static int args_read(const struct panel_verb *verb, int argc, char **argv, struct panel_args *a)
{
	struct opt opts[KEYS_MAX + 5] = {
		{"db", 0, OPT_TEXT, &a->db, "FILE", "the panel's database"}};
	struct opt_page page = verb->page;
	struct given g = {0};
	size_t at = 1;
	int n, status;

	if (verb->reads_file)
		opts[at++] = (struct opt){
			"json",	  0,
			OPT_TEXT, &a->file,
			"FILE",	  "an object as the admin API takes it; - is standard input"};
	else
		opts[at++] = (struct opt){"json", 0, OPT_FLAG, &a->json, NULL, "print JSON"};
	if (verb->links)
		opts[at++] = (struct opt){"qr", 0, OPT_FLAG, &a->qr, NULL, "and its QR code"};
	if (verb->pair)
		opts[at++] = (struct opt){"set", 0, OPT_MANY, &g.set, "KEY=VALUE", "as an operand"};
	for (size_t i = 0; i < verb->n_keys; i++)
		opts[at++] = (struct opt){
			verb->keys[i].option, 0, OPT_TEXT, &g.values[i], verb->keys[i].arg,
			verb->keys[i].help};
	page.opts = opts;
	n = opt_parse(&page, argc, argv);
	if (n < 0)
		return n;
	status = take_values(verb, a, &g);
	if (!status)
		status = take_words(verb, a, n, argv + 1);
	return status ? ~status : 0;
}

static int verb_run(const struct panel_verb *verb, struct panel_args *a)
{
	struct store *s;
	struct fault why;
	int status;

	if (!verb->makes && access(a->db, F_OK)) {
		fprintf(stderr,
			"weir panel: %s: %s; --db FILE or WEIR_PANEL_DB names the database, "
			"`weir panel node add` makes one\n",
			a->db, err_text(-errno));
		return CMD_FAILED;
	}
	if (store_open(a->db, &s, &why) < 0) {
		fprintf(stderr, "weir panel: %s: %s\n", a->db, why.text);
		return CMD_FAILED;
	}
	status = verb->run(a, s);
	store_close(s);
	return status;
}

static void verbs_usage(const struct panel_verb *verbs, size_t n, const char *what, FILE *to)
{
	fprintf(to, "usage: %s COMMAND, which is one of\n", what);
	for (size_t i = 0; i < n; i++)
		fprintf(to, "  %-8s %.*s\n", verbs[i].name, (int)strcspn(verbs[i].page.what, "\n"),
			verbs[i].page.what);
	fprintf(to, "\n`%s COMMAND -h` tells more.\n", what);
}

int panel_verb_run(const struct panel_verb *verbs, size_t n, const char *what, int argc,
		   char **argv)
{
	for (size_t i = 0; argc > 1 && i < n; i++) {
		struct panel_args a = {.db = panel_db_default()};
		int stop;

		if (strcmp(argv[1], verbs[i].name) != 0)
			continue;
		a.body = json_object();
		stop = args_read(&verbs[i], argc - 1, argv + 1, &a);
		if (!stop)
			stop = ~verb_run(&verbs[i], &a);
		json_decref(a.body);
		return ~stop;
	}
	if (argc > 1 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))) {
		verbs_usage(verbs, n, what, stdout);
		return CMD_OK;
	}
	if (argc > 1)
		fprintf(stderr, "%s: no command '%s'\n\n", what, argv[1]);
	verbs_usage(verbs, n, what, stderr);
	return CMD_USAGE;
}

int panel_id(const char *word, int64_t *out)
{
	if (decimal_parse(word, strlen(word), out) == 0)
		return 0;
	fprintf(stderr, "weir panel: '%s': an id is wanted\n", word);
	return CMD_USAGE;
}

int panel_file_read(const char *path, struct file *out)
{
	int err = strcmp(path, "-") == 0 ? file_read_fd(STDIN_FILENO, FILE_MAX, out)
					 : file_read(path, FILE_MAX, 0, out);

	if (err)
		fprintf(stderr, "weir panel: %s: %s\n", path, err_text(err));
	return err ? CMD_FAILED : 0;
}

int panel_complain(struct store *s, int err, const char *thing, const char *what,
		   const struct fault *why)
{
	const char *text = err == -EINVAL	  ? why->text
			   : err == -ENOENT	  ? "not there"
			   : err == -EEXIST	  ? "the id, token or credential is already taken"
			   : err == -ERR_DATABASE ? store_error(s)
						  : err_text(err);

	fprintf(stderr, "weir panel: %s %s: %s\n", thing, what, text);
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
