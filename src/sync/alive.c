#include "sync/alive.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/json_value.h"

#define SCRATCH_MAX (1 << 20)
#define ONLINE_MAX  200 /* addresses of one user (D7) */

void alive_list_done(struct alive_list *l)
{
	free(l->v);
	*l = (struct alive_list){0};
}

static int add(struct alive_list *l, int64_t id, int64_t devices)
{
	struct user_alive *v = grow(l->v, l->n, &l->cap, sizeof(*v));

	if (!v)
		return -ENOMEM;
	l->v = v;
	l->v[l->n++] = (struct user_alive){
		.id = id, .devices = (uint32_t)MIN(MAX(devices, (int64_t)0), (int64_t)UINT32_MAX)};
	return 0;
}

/* --- reading --------------------------------------------------------------------------------- */

struct alive_reader {
	struct json p;
	struct arena scratch;
	struct alive_list list;
	bool found;
	unsigned skipped;
};

/* The value that begins with `t`, as a number of devices for `id`. */
static int read_devices(struct alive_reader *r, const struct json_token *t, int64_t id)
{
	struct json_value *v;
	int64_t devices;
	int err;

	arena_reset(&r->scratch);
	err = json_read(&r->p, t, &r->scratch, &v);
	if (err)
		return err;
	if (id <= 0 || json_to_int(v, &devices) != 0) {
		r->skipped++;
		return 0;
	}
	return add(&r->list, id, devices);
}

static int64_t id_of_key(const struct json_token *t)
{
	int64_t id;

	return !t->escaped && !json_int_of_text(t->text, t->len, &id) ? id : 0;
}

static int read_map(struct alive_reader *r, bool object)
{
	struct json_token t;
	int64_t id = 0;
	int err;

	for (;; id++) {
		err = json_next(&r->p, &t);
		if (err || t.type == JSON_T_OBJECT_END || t.type == JSON_T_ARRAY_END)
			return err;
		if (object) {
			id = id_of_key(&t);
			err = json_next(&r->p, &t);
		}
		if (!err)
			err = read_devices(r, &t, id);
		if (err)
			return err;
	}
}

/* Behind the key `alive`. */
static int read_alive(struct alive_reader *r)
{
	struct json_token t;
	int err = json_next(&r->p, &t);

	if (err)
		return err;
	if (t.type == JSON_T_OBJECT || t.type == JSON_T_ARRAY) {
		alive_list_done(&r->list);
		r->found = true;
		return read_map(r, t.type == JSON_T_OBJECT);
	}
	r->found |= t.type == JSON_T_NULL;
	return 0;
}

/* The members of an object whose bracket was read; `data` is looked into once (L12). */
static int read_members(struct alive_reader *r, bool in_data)
{
	struct json_token t;
	int err;

	while (!(err = json_next(&r->p, &t)) && t.type != JSON_T_OBJECT_END) {
		if (json_key_like(&t, "alive") && !(in_data && r->found)) {
			err = read_alive(r);
		} else if (!in_data && json_key_like(&t, "data")) {
			err = json_next(&r->p, &t);
			if (!err)
				err = t.type == JSON_T_OBJECT ? read_members(r, true)
							      : json_skip(&r->p, &t);
		} else {
			err = json_skip(&r->p, &t);
		}
		if (err)
			break;
	}
	return err;
}

static int read_document(struct alive_reader *r)
{
	struct json_token t;
	int err = json_next(&r->p, &t);

	if (!err && t.type == JSON_T_OBJECT)
		err = read_members(r, false);
	else if (!err)
		err = json_skip(&r->p, &t);
	return err ? err : json_next(&r->p, &t);
}

/* What it was instead of a list. */
static enum answer_class explain(const char *body, size_t len, struct notes *notes)
{
	enum answer_class class = ANSWER_VALID;
	char message[ANSWER_MESSAGE_MAX];
	struct json_value *doc;
	struct arena a;

	arena_init(&a, SCRATCH_MAX);
	notes_why(notes, "alive is missing");
	if (!json_parse(body, len, 0, &a, &doc, NULL, NULL) && answer_is_failure(doc, message)) {
		notes_why(notes, "%s", *message ? message : "the panel reports a failure");
		class = ANSWER_APP;
	}
	arena_done(&a);
	return class;
}

enum answer_class alive_decode(const char *body, size_t len, struct alive_list *out,
			       struct notes *notes)
{
	struct alive_reader r = {0};
	enum answer_class class = ANSWER_OK;
	int err;

	json_init(&r.p, body, len, 0);
	arena_init(&r.scratch, SCRATCH_MAX);
	err = read_document(&r);
	if (err == -ENOMEM) {
		notes_why(notes, "no memory");
		class = ANSWER_VALID;
	} else if (err) {
		notes_why(notes, "not JSON: line %u, column %u: %s", r.p.at.line, r.p.at.column,
			  r.p.what ? r.p.what : "?");
		class = ANSWER_PARSE;
	} else if (!r.found) {
		class = explain(body, len, notes);
	}
	arena_done(&r.scratch);
	if (class != ANSWER_OK) {
		alive_list_done(&r.list);
		return class;
	}
	if (r.skipped)
		notes_add(notes, "alive: %u entries that are no user or no number", r.skipped);
	*out = r.list;
	return class;
}

/* --- reports --------------------------------------------------------------------------------- */

void traffic_body(const struct ledger_entry *v, size_t n, struct text *out)
{
	text_adds(out, "{");
	for (size_t i = 0; i < n; i++)
		text_addf(out, "%s\"%" PRId64 "\":[%" PRIu64 ",%" PRIu64 "]", i ? "," : "",
			  v[i].user, v[i].up, v[i].down);
	text_adds(out, "}");
}

void online_body_begin(struct text *out)
{
	text_adds(out, "{");
}

void online_body_add(struct text *out, int64_t id, const struct addr *addrs, size_t n)
{
	char ip[ADDR_TEXT_MAX];

	text_addf(out, "%s\"%" PRId64 "\":[", out->len > 1 ? "," : "", id);
	for (size_t i = 0; i < MIN(n, (size_t)ONLINE_MAX); i++) {
		struct addr a = addr_unmap(&addrs[i]);

		text_addf(out, "%s\"%s\"", i ? "," : "", addr_format_ip(&a, ip));
	}
	text_adds(out, "]");
}

void online_body_end(struct text *out)
{
	text_adds(out, "}");
}
