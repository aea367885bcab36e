#include "base/json_value.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* The tree while it grows.  What is open stands in an array, so that depth costs no stack. */
struct builder {
	struct arena *a;
	struct json_value *root;
	struct json_value *open[JSON_DEPTH], **tail[JSON_DEPTH];
	int depth;
};

static int set_text(struct json_value *v, const struct json_token *t, struct arena *a)
{
	char *text = arena_alloc(a, t->len + 1);

	if (!text || t->len > UINT32_MAX)
		return -ENOMEM;
	v->len = (uint32_t)json_unescape(t, text);
	v->text = text;
	v->bad = t->bad;
	return 0;
}

static int set_key(struct json_value *v, const struct json_token *t, struct arena *a)
{
	char *text = arena_alloc(a, t->len + 1);

	if (!text)
		return -ENOMEM;
	json_unescape(t, text);
	v->key = text;
	v->key_at = t->at;
	v->bad_key = t->bad;
	return 0;
}

static void hang_in(struct builder *b, struct json_value *v)
{
	int top = b->depth - 1;

	if (b->depth) {
		*b->tail[top] = v;
		b->tail[top] = &v->next;
		b->open[top]->len++;
	} else {
		b->root = v;
	}
	if (v->type == JSON_T_OBJECT || v->type == JSON_T_ARRAY) {
		b->open[b->depth] = v;
		b->tail[b->depth++] = &v->child;
	}
}

/* `t` begins a value, or is the KEY before one. */
static int add_value(struct builder *b, struct json *p, struct json_token *t)
{
	struct json_value *v = arena_alloc(b->a, sizeof(*v));
	int err = 0;

	if (!v)
		return -ENOMEM;
	if (t->type == JSON_T_KEY) {
		err = set_key(v, t, b->a);
		if (!err)
			err = json_next(p, t);
	}
	if (!err && (t->type == JSON_T_STRING || t->type == JSON_T_NUMBER))
		err = set_text(v, t, b->a);
	if (err)
		return err;
	v->type = (uint8_t)t->type;
	v->at = t->at;
	hang_in(b, v);
	return 0;
}

int json_read(struct json *p, const struct json_token *first, struct arena *a,
	      struct json_value **out)
{
	struct builder b = {.a = a};
	struct json_token t = *first;
	int err;

	for (;;) {
		if (t.type == JSON_T_OBJECT_END || t.type == JSON_T_ARRAY_END) {
			b.depth--;
		} else {
			err = add_value(&b, p, &t);
			if (err)
				return err;
		}
		if (b.depth == 0)
			break;
		err = json_next(p, &t);
		if (err)
			return err;
	}
	*out = b.root;
	return 0;
}

int json_parse(const char *text, size_t len, unsigned flags, struct arena *a,
	       struct json_value **out, struct json_pos *at, const char **what)
{
	struct json_value *v = NULL;
	struct json_token t;
	struct json p;
	int err;

	json_init(&p, text, len, flags);
	err = json_next(&p, &t);
	if (!err)
		err = json_read(&p, &t, a, &v);
	if (!err)
		err = json_next(&p, &t);
	if (err) {
		if (at)
			*at = p.at;
		if (what)
			*what = p.what ? p.what : "the document needs too much memory";
		return err;
	}
	*out = v;
	return 0;
}

const struct json_value *json_get(const struct json_value *v, const char *key)
{
	const struct json_value *exact = NULL, *like = NULL, *m;

	if (!v || v->type != JSON_T_OBJECT)
		return NULL;
	for (m = v->child; m; m = m->next) {
		if (m->bad_key)
			continue;
		if (!strcmp(m->key, key))
			exact = m;
		else if (!strcasecmp(m->key, key))
			like = m;
	}
	return exact ? exact : like;
}

const struct json_value *json_get_any(const struct json_value *v, const char *const keys[])
{
	for (; *keys; keys++) {
		const struct json_value *m = json_get(v, *keys);

		if (m && m->type != JSON_T_NULL)
			return m;
	}
	return NULL;
}

const struct json_value *json_unwrap(const struct json_value *doc, const char *key)
{
	const struct json_value *inner;

	if (json_get(doc, key))
		return doc;
	inner = json_get(doc, "data");
	return inner && (inner->type == JSON_T_OBJECT || inner->type == JSON_T_ARRAY) ? inner : doc;
}
