#include "conf/report.h"

#include <stdlib.h>
#include <string.h>

void conf_report_init(struct conf_report *r)
{
	*r = (struct conf_report){0};
	arena_init(&r->arena, 0);
	r->last = &r->first;
}

void conf_report_done(struct conf_report *r)
{
	arena_done(&r->arena);
	conf_report_init(r);
}

/* What we quote came from a file or a panel: nothing of it may steer a terminal. */
static void defuse(char *text)
{
	for (; text && *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
	}
}

static unsigned file_order(const struct conf_report *r, const char *file)
{
	unsigned most = 0;

	for (const struct conf_problem *p = r->first; p; p = p->next) {
		if (!strcmp(p->file, file))
			return p->order;
		most = MAX(most, p->order);
	}
	return most + 1;
}

void conf_report_add(struct conf_report *r, bool warning, const char *file, struct json_pos at,
		     const char *path, const char *fmt, ...)
{
	struct conf_problem *p;
	char *place, *said;
	va_list ap;

	if (warning)
		r->warnings++;
	else
		r->errors++;
	if (r->kept == CONF_REPORT_MAX)
		return;
	p = arena_alloc(&r->arena, sizeof(*p));
	if (!p)
		return;
	p->warning = warning;
	p->at = at;
	p->file = arena_strdup(&r->arena, file);
	p->path = place = arena_strdup(&r->arena, path);
	va_start(ap, fmt);
	p->text = said = arena_vprintf(&r->arena, fmt, ap);
	va_end(ap);
	if (!p->file || !place || !said)
		return;
	defuse(place);
	defuse(said);
	p->order = file_order(r, file);
	*r->last = p;
	r->last = &p->next;
	r->kept++;
}

/* "Nodes[2]" and "Name": "Nodes[2].Name", and "Nodes[2].Options.Name". */
static bool is_member(const char *path, const char *object, const char *member)
{
	size_t len = strlen(path), head = strlen(object), tail = strlen(member);

	if (len < head + tail || strncmp(path, object, head) != 0 ||
	    strcmp(path + len - tail, member) != 0)
		return false;
	return (!head || path[head] == '.') && (len == tail || path[len - tail - 1] == '.');
}

bool conf_report_has(const struct conf_report *r, const char *file, const char *path,
		     const char *member)
{
	for (const struct conf_problem *p = r->first; p; p = p->next) {
		if (!p->warning && !strcmp(p->file, file) && is_member(p->path, path, member))
			return true;
	}
	return false;
}

const char *conf_redact_url(const char *url, char *out, size_t cap)
{
	const char *scheme = strstr(url, "://");
	size_t start = scheme ? (size_t)(scheme - url) + 3 : 0;
	size_t host = start + strcspn(url + start, "/?#"), query = strcspn(url, "?#"), at = 0;

	for (size_t i = start; i < host; i++) {
		if (url[i] == '@')
			at = i;
	}
	if (at)
		snprintf(out, cap, "%.*s***%.*s%s", (int)start, url, (int)(query - at), url + at,
			 url[query] ? "?***" : "");
	else
		snprintf(out, cap, "%.*s%s", (int)query, url, url[query] ? "?***" : "");
	return out;
}

static void print_place(const struct conf_problem *p, FILE *to)
{
	if (*p->file)
		fprintf(to, "%s:", p->file);
	if (p->at.line)
		fprintf(to, "%u:%u:", p->at.line, p->at.column);
	if (*p->file || p->at.line)
		putc(' ', to);
	if (*p->path)
		fprintf(to, "%s: ", p->path);
}

static int by_place(const void *a, const void *b)
{
	const struct conf_problem *x = *(const struct conf_problem *const *)a;
	const struct conf_problem *y = *(const struct conf_problem *const *)b;

	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	if (x->at.line != y->at.line)
		return x->at.line < y->at.line ? -1 : 1;
	if (x->at.column != y->at.column)
		return x->at.column < y->at.column ? -1 : 1;
	return strcmp(x->path, y->path);
}

void conf_report_print(const struct conf_report *r, FILE *to)
{
	const struct conf_problem *all[CONF_REPORT_MAX], *p = r->first;
	size_t n = 0;

	for (; p; p = p->next)
		all[n++] = p;
	qsort(all, n, sizeof(all[0]), by_place);
	for (size_t i = 0; i < n; i++) {
		print_place(all[i], to);
		fprintf(to, "%s%s\n", all[i]->warning ? "warning: " : "", all[i]->text);
	}
	if (r->errors + r->warnings > r->kept)
		fprintf(to, "and %zu more\n", r->errors + r->warnings - r->kept);
}
