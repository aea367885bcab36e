#include "cmd/opt.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_value.h"
#include "cmd/cmd.h"

void opt_usage(const struct opt_page *page, FILE *to)
{
	fprintf(to, "usage: %s%s%s\n\n%s\n", page->command, *page->operands ? " " : "",
		page->operands, page->what);
	if (page->opts && page->opts->name)
		fprintf(to, "\n");
	for (const struct opt *o = page->opts; o && o->name; o++) {
		char left[64];

		snprintf(left, sizeof(left), "%s%s%s%s", *o->name ? "--" : "", o->name,
			 *o->name && o->arg ? " " : "", o->arg ? o->arg : "");
		if (o->letter)
			fprintf(to, "  -%c%c %-24s %s\n", o->letter, *o->name ? ',' : ' ', left,
				o->help);
		else
			fprintf(to, "      %-24s %s\n", left, o->help);
	}
	if (page->example)
		fprintf(to, "\nexample: %s\n", page->example);
}

int opt_wrong(const struct opt_page *page, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", page->command);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n`%s -h` tells more.\n", page->command);
	return CMD_USAGE;
}

/* One argument on its way: the option it names, and the value if it came in the same argument. */
struct given {
	const struct opt *opt;
	const char *value;
};

static bool find(const struct opt_page *page, const char *arg, struct given *out)
{
	bool long_form = arg[1] == '-';
	const char *name = arg + (long_form ? 2 : 1);
	size_t len = long_form ? strcspn(name, "=") : 1;

	for (const struct opt *o = page->opts; o && o->name; o++) {
		bool same = long_form
				    ? len && strlen(o->name) == len && !strncmp(o->name, name, len)
				    : o->letter == *name;

		if (!same)
			continue;
		out->opt = o;
		out->value = name[len] ? name + len + (name[len] == '=') : NULL;
		return true;
	}
	return false;
}

static bool set_flag(const struct opt *o, const char *text)
{
	struct json_value v = {.type = JSON_T_STRING, .text = text, .len = (uint32_t)strlen(text)};

	return json_to_bool(&v, o->value) == 0;
}

static bool set_int(const struct opt *o, const char *text)
{
	int64_t n;

	if (json_int_of_text(text, strlen(text), &n))
		return false;
	if ((o->min || o->max) && (n < o->min || n > o->max))
		return false;
	*(int64_t *)o->value = n;
	return true;
}

static bool set_many(const struct opt *o, const char *text)
{
	struct opt_many *many = o->value;

	if (many->n == OPT_MANY_MAX)
		return false;
	many->v[many->n++] = text;
	return true;
}

static bool set(const struct opt *o, const char *text)
{
	switch (o->type) {
	case OPT_FLAG:
		return set_flag(o, text);
	case OPT_TEXT:
		*(const char **)o->value = text;
		return true;
	case OPT_INT:
		return set_int(o, text);
	case OPT_MANY:
		return set_many(o, text);
	}
	return false;
}

static int wrong_value(const struct opt_page *page, const struct given *g)
{
	const struct opt *o = g->opt;
	char name[64], what[64] = "neither true nor false";

	if (*o->name)
		snprintf(name, sizeof(name), "--%s", o->name);
	else
		snprintf(name, sizeof(name), "-%c", o->letter);
	if (o->type == OPT_MANY)
		return opt_wrong(page, "%s: more than %d of them", name, OPT_MANY_MAX);
	if (o->type == OPT_INT)
		snprintf(what, sizeof(what), "no whole number");
	if (o->type == OPT_INT && (o->min || o->max))
		snprintf(what, sizeof(what), "no whole number from %lld to %lld", (long long)o->min,
			 (long long)o->max);
	return opt_wrong(page, "%s: '%s' is %s", name, g->value, what);
}

/* The option at argv[*i], whose value may be the next argument.  0, or a status. */
static int take(const struct opt_page *page, int argc, char **argv, int *i)
{
	struct given g;

	if (!find(page, argv[*i], &g))
		return opt_wrong(page, "no option '%s'", argv[*i]);
	if (!g.value && g.opt->type == OPT_FLAG)
		g.value = "true";
	if (!g.value) {
		if (*i + 1 >= argc)
			return opt_wrong(page, "%s wants %s", argv[*i], g.opt->arg);
		g.value = argv[++*i];
	}
	return set(g.opt, g.value) ? 0 : wrong_value(page, &g);
}

int opt_parse(const struct opt_page *page, int argc, char **argv)
{
	bool only_operands = false;
	int n = 0, status;

	for (int i = 1; i < argc; i++) {
		if (only_operands || argv[i][0] != '-' || !argv[i][1]) {
			argv[++n] = argv[i];
		} else if (!strcmp(argv[i], "--")) {
			only_operands = true;
		} else if (!strcmp(argv[i], "-h") || !strcmp(argv[i], "--help")) {
			opt_usage(page, stdout);
			return ~CMD_OK;
		} else {
			status = take(page, argc, argv, &i);
			if (status)
				return ~status;
		}
	}
	return n;
}
