#include "conf/ini.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#define SECTIONS_MAX 1000
#define DEPTH_MAX    10
#define STEPS_MAX    10000 /* of replacing, for one section */

struct entry {
	struct entry *next;
	const char *key, *value; /* as written, joined from its lines */
	struct json_pos at;
};

struct section {
	struct section *next;
	const char *name;
	struct json_pos at;
	struct entry *first, **last;
	size_t n;
};

struct ini {
	struct arena mem;
	const char *file;
	struct section defaults; /* and in `next` the others */
};

struct parser {
	struct ini *ini;
	struct conf_report *report;
	struct section *section; /* NULL: none yet, or one that is not kept */
	struct entry *open;	 /* its value may go on */
	bool skipping;		 /* lines that belong to an entry that is not kept */
	size_t indent;		 /* of the line with its key */
	char *text, *to;	 /* where values are put together */
	uint32_t line;
};

struct line {
	const char *at; /* without blanks at either end */
	size_t len, indent;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

static struct line trim(const char *at, size_t len)
{
	struct line l = {at, len, 0};

	while (l.len && is_blank(l.at[0])) {
		l.at++;
		l.len--;
		l.indent++;
	}
	while (l.len && is_blank(l.at[l.len - 1]))
		l.len--;
	return l;
}

#define PROBLEM(p, warning, column, path, ...)                  \
	conf_report_add((p)->report, (warning), (p)->ini->file, \
			(struct json_pos){(p)->line, (uint32_t)(column)}, (path), __VA_ARGS__)

/* ---- values ------------------------------------------------------------------------------ */

/* All values together take at most the bytes of the file and one for each of its lines. */
static void put(struct parser *p, const char *bytes, size_t len)
{
	if (len)
		memcpy(p->to, bytes, len);
	p->to += len;
}

static void close_value(struct parser *p)
{
	p->skipping = false;
	if (!p->open)
		return;
	while (p->to > p->open->value && (p->to[-1] == '\n' || is_blank(p->to[-1])))
		p->to--;
	*p->to++ = '\0';
	p->open = NULL;
}

static void go_on(struct parser *p, const struct line *l)
{
	if (!p->open)
		return;
	*p->to++ = '\n';
	put(p, l->at, l->len);
}

/* ---- lines ------------------------------------------------------------------------------- */

static struct section *find_section(struct ini *ini, const char *name, size_t len)
{
	for (struct section *s = &ini->defaults; s; s = s->next) {
		if (strlen(s->name) == len && !memcmp(s->name, name, len))
			return s;
	}
	return NULL;
}

static struct entry *find_entry(const struct section *s, const char *key)
{
	for (struct entry *e = s->first; e; e = e->next) {
		if (!strcmp(e->key, key))
			return e;
	}
	return NULL;
}

static void add_section(struct parser *p, const char *name, size_t len, size_t column)
{
	struct section *s = arena_alloc(&p->ini->mem, sizeof(*s)), **at = &p->ini->defaults.next;
	size_t n = 0;

	p->section = NULL;
	for (; *at; at = &(*at)->next)
		n++;
	if (n >= SECTIONS_MAX) {
		PROBLEM(p, false, column, "", "more than %d sections", SECTIONS_MAX);
		p->skipping = true;
		return;
	}
	if (!s)
		return;
	s->name = arena_dup(&p->ini->mem, name, len);
	if (!s->name)
		return;
	s->at = (struct json_pos){p->line, (uint32_t)column};
	s->last = &s->first;
	p->section = *at = s;
}

static void section_line(struct parser *p, const struct line *l)
{
	const char *end = memrchr(l->at, ']', l->len);
	size_t column = l->indent + 1, len = end ? (size_t)(end - l->at) - 1 : 0;
	struct section *old;

	close_value(p);
	p->section = NULL;
	p->skipping = true; /* its keys have been complained about by this */
	if (!len) {
		PROBLEM(p, false, column, "", "not a section; write [name]");
		return;
	}
	p->skipping = false;
	if (end + 1 != l->at + l->len)
		PROBLEM(p, true, column, "", "what follows the section's name is ignored");
	old = find_section(p->ini, l->at + 1, len);
	if (!old) {
		add_section(p, l->at + 1, len, column);
		return;
	}
	p->section = old;
	if (old->at.line && old != &p->ini->defaults)
		PROBLEM(p, false, column, old->name, "this section is in line %u already",
			old->at.line);
	old->at = (struct json_pos){p->line, (uint32_t)column};
}

/* NULL: no memory, or it is there already. */
static struct entry *add_entry(struct parser *p, const char *name, size_t len, size_t column)
{
	char *key = arena_dup(&p->ini->mem, name, len);
	struct entry *e = arena_alloc(&p->ini->mem, sizeof(*e)), *old;

	if (!key || !e)
		return NULL;
	for (char *c = key; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	old = find_entry(p->section, key);
	if (old) {
		PROBLEM(p, false, column, key, "given in line %u already", old->at.line);
		return NULL;
	}
	if (p->section->n >= INI_KEYS_MAX) {
		PROBLEM(p, false, column, key, "more than %d keys in a section", INI_KEYS_MAX);
		return NULL;
	}
	e->key = key;
	e->value = p->to;
	e->at = (struct json_pos){p->line, (uint32_t)column};
	*p->section->last = e;
	p->section->last = &e->next;
	p->section->n++;
	return e;
}

static void key_line(struct parser *p, const struct line *l)
{
	size_t at = 0, column = l->indent + 1;
	struct line key, value;

	close_value(p);
	while (at < l->len && l->at[at] != '=' && l->at[at] != ':')
		at++;
	key = trim(l->at, at);
	if (at == l->len || !key.len) {
		PROBLEM(p, false, column, "", "neither `key = value` nor [section] nor a comment");
		return;
	}
	if (!p->section) {
		PROBLEM(p, false, column, "", "a key before any section; begin with [%s]",
			INI_DEFAULT);
		return;
	}
	value = trim(l->at + at + 1, l->len - at - 1);
	p->indent = l->indent;
	p->open = add_entry(p, key.at, key.len, column);
	p->skipping = !p->open;
	if (p->open)
		put(p, value.at, value.len);
}

static void read_line(struct parser *p, const char *at, size_t len)
{
	struct line l = trim(at, len);

	p->line++;
	if (l.len && (l.at[0] == '#' || l.at[0] == ';'))
		return;
	if (!l.len || ((p->open || p->skipping) && l.indent > p->indent))
		go_on(p, &l);
	else if (l.at[0] == '[')
		section_line(p, &l);
	else if (p->section || !p->skipping)
		key_line(p, &l);
}

/* ---- the file ---------------------------------------------------------------------------- */

static bool is_text(const char *text, size_t len, uint32_t *line)
{
	*line = 1;
	while (len) {
		size_t n = utf8_len(text, len);

		if (!n || !*text)
			return false;
		*line += *text == '\n';
		text += n;
		len -= n;
	}
	return true;
}

static void read_lines(struct parser *p, const char *text, size_t len)
{
	while (len) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len;

		read_line(p, text, n);
		n += end != NULL;
		text += n;
		len -= n;
	}
	close_value(p);
}

struct ini *ini_parse(const char *text, size_t len, const char *file, struct conf_report *report)
{
	struct ini *ini = calloc(1, sizeof(*ini));
	struct parser p = {.ini = ini, .report = report};

	if (!ini)
		return NULL;
	arena_init(&ini->mem, 0);
	ini->file = file;
	ini->defaults.name = INI_DEFAULT;
	ini->defaults.last = &ini->defaults.first;
	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
		text += 3;
		len -= 3;
	}
	if (len > INI_FILE_MAX) {
		PROBLEM(&p, false, 0, "", "larger than %d bytes", INI_FILE_MAX);
		return ini;
	}
	if (!is_text(text, len, &p.line)) {
		PROBLEM(&p, false, 0, "", "not a text in UTF-8");
		return ini;
	}
	p.line = 0;
	p.text = p.to = arena_alloc(&ini->mem, 2 * len + 2);
	if (!p.text) {
		ini_free(ini);
		return NULL;
	}
	read_lines(&p, text, len);
	return ini;
}

void ini_free(struct ini *ini)
{
	if (!ini)
		return;
	arena_done(&ini->mem);
	free(ini);
}

bool ini_has_section(const struct ini *ini, const char *name)
{
	for (const struct section *s = &ini->defaults; s; s = s->next) {
		if (!strcmp(s->name, name))
			return true;
	}
	return false;
}

size_t ini_section_names(const struct ini *ini, char *out, size_t cap)
{
	size_t n = 0, len = 0;

	*out = '\0';
	for (const struct section *s = ini->defaults.next; s; s = s->next, n++) {
		const char *mark = n ? ", " : "";

		if (strlen(mark) + strlen(s->name) >= cap - len) {
			len = cap; /* no more of them */
			continue;
		}
		len += (size_t)snprintf(out + len, cap - len, "%s%s", mark, s->name);
	}
	return n;
}

/* ---- a section, expanded ----------------------------------------------------------------- */

struct expansion {
	struct ini *ini;
	const struct section *section;
	const struct entry *entry; /* the one that is complained about */
	struct conf_report *report;
	char *out; /* INI_VALUE_MAX */
	size_t len;
	unsigned steps;
};

static bool wrong(struct expansion *x, const char *what, const char *name)
{
	conf_report_add(x->report, false, x->ini->file, x->entry->at, x->entry->key, "%s%s%s", what,
			*name ? ": " : "", name);
	return false;
}

static bool add(struct expansion *x, const char *bytes, size_t len)
{
	if (x->len + len > INI_VALUE_MAX)
		return wrong(x, "longer than 65536 bytes once it is expanded", "");
	memcpy(x->out + x->len, bytes, len);
	x->len += len;
	return true;
}

static bool expand(struct expansion *x, const char *text, unsigned depth);

/* At "%(": the key in parentheses.  Returns what is behind, or NULL. */
static const char *refer(struct expansion *x, const char *at, unsigned depth)
{
	const char *end = strchr(at, ')');
	const struct entry *e;
	char key[128];
	size_t len;

	at += 2;
	len = end ? (size_t)(end - at) : 0;
	if (!end || end[1] != 's' || !len || len >= sizeof(key)) {
		wrong(x, "a reference is written %(key)s, a percent sign %%", "");
		return NULL;
	}
	for (size_t i = 0; i < len; i++)
		key[i] = (char)tolower((unsigned char)at[i]);
	key[len] = '\0';
	e = find_entry(x->section, key);
	if (!e)
		e = find_entry(&x->ini->defaults, key);
	if (!e) {
		wrong(x, "refers to a key that is not there", key);
		return NULL;
	}
	if (depth >= DEPTH_MAX || ++x->steps > STEPS_MAX) {
		wrong(x, "references lead too deep", key);
		return NULL;
	}
	return expand(x, e->value, depth + 1) ? end + 2 : NULL;
}

static bool expand(struct expansion *x, const char *text, unsigned depth)
{
	while (text) {
		size_t plain = strcspn(text, "%");

		if (!add(x, text, plain))
			return false;
		text += plain;
		if (!*text)
			return true;
		if (text[1] == '(') {
			text = refer(x, text, depth);
		} else { /* the original refuses a lone one; nobody can have meant anything else */
			if (!add(x, "%", 1))
				return false;
			text += text[1] == '%' ? 2 : 1;
		}
	}
	return false;
}

/* A member of the object, in front of what is there; also without value where that is wrong, for its
 * key is not missing.  0 or -ENOMEM.
 */
static int add_member(struct expansion *x, const struct entry *e, struct json_value *object)
{
	struct json_value *v = arena_alloc(&x->ini->mem, sizeof(*v));
	char *text;

	x->entry = e;
	x->len = 0;
	if (!expand(x, e->value, 0))
		x->len = 0;
	text = arena_dup(&x->ini->mem, x->out, x->len);
	if (!v || !text)
		return -ENOMEM;
	*v = (struct json_value){.type = JSON_T_STRING,
				 .key = e->key,
				 .text = text,
				 .len = (uint32_t)x->len,
				 .at = e->at,
				 .key_at = e->at,
				 .next = object->child};
	object->child = v;
	object->len++;
	return 0;
}

int ini_section(struct ini *ini, const char *name, struct conf_report *report,
		const struct json_value **out)
{
	const struct section *s = find_section(ini, name, strlen(name));
	struct expansion x = {.ini = ini, .section = s, .report = report};
	struct json_value *object = arena_alloc(&ini->mem, sizeof(*object));
	int err = 0;

	x.out = malloc(INI_VALUE_MAX);
	if (!object || !x.out) {
		free(x.out);
		return -ENOMEM;
	}
	*object = (struct json_value){.type = JSON_T_OBJECT, .at = s->at};
	for (const struct entry *e = s->first; e && !err; e = e->next)
		err = add_member(&x, e, object);
	for (const struct entry *e = ini->defaults.first; e && !err && s != &ini->defaults;
	     e = e->next) {
		if (!find_entry(s, e->key))
			err = add_member(&x, e, object);
	}
	free(x.out);
	if (!err)
		*out = object;
	return err;
}
