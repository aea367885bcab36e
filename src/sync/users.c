#include "sync/users.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"

#define SCRATCH_MAX (16 << 20)

/* What may come next inside the user array. */
enum expect {
	FIRST,	 /* an element, or the end */
	ELEMENT, /* an element: behind a comma or a colon */
	KEY,	 /* behind a comma, of an object */
	COLON,
	SEPARATOR,
	IN_KEY,
	IN_ELEMENT, /* inside brackets */
	IN_STRING,  /* inside an element that is a string */
	IN_WORD,    /* inside an element that is a number, true, null */
};

int users_reader_init(struct users_reader *r, const struct dialect *d)
{
	*r = (struct users_reader){.dialect = d};
	user_list_init(&r->list);
	arena_init(&r->scratch, SCRATCH_MAX);
	r->hash = hash_new(HASH_SHA256);
	return r->hash ? 0 : -ENOMEM;
}

void users_reader_done(struct users_reader *r)
{
	user_list_done(&r->list);
	arena_done(&r->scratch);
	hash_free(r->hash);
	text_done(&r->skeleton);
	text_done(&r->element);
	r->hash = NULL;
}

int users_reader_hash(const struct users_reader *r, uint8_t out[32])
{
	return hash_peek(r->hash, out);
}

static void fail(struct users_reader *r, int err)
{
	if (!r->err)
		r->err = err;
}

/* --- the skeleton ---------------------------------------------------------------------------- */

static void add_skeleton(struct users_reader *r, const char *s, size_t len)
{
	size_t room = USERS_SKELETON_MAX - r->skeleton.len;

	if (len > room) {
		r->lost = true;
		fail(r, -ERR_TOO_BIG);
	}
	text_add(&r->skeleton, s, MIN(len, room));
	if (r->skeleton.err)
		fail(r, r->skeleton.err);
}

static bool is_object(const struct users_reader *r, unsigned depth)
{
	return depth && (r->objects >> (depth - 1) & 1);
}

static void open_bracket(struct users_reader *r, bool object)
{
	if (r->depth == JSON_DEPTH) {
		fail(r, -ERR_TOO_BIG);
		return;
	}
	r->objects &= ~((uint64_t)1 << r->depth);
	r->objects |= (uint64_t)object << r->depth;
	r->depth++;
}

static void close_bracket(struct users_reader *r)
{
	if (r->depth == 0)
		fail(r, -ERR_MALFORMED);
	else
		r->depth--;
}

/* How good a place this is for the user list, of a bracket that opens now; 0: none. */
static uint8_t rank_of(const struct users_reader *r, char bracket)
{
	bool data = is_object(r, 1) && !strcasecmp(r->key[0], "data");

	if (r->depth == 1 && is_object(r, 1)) {
		if (!strcmp(r->key[0], "users"))
			return 5;
		if (!strcasecmp(r->key[0], "users"))
			return 4;
		return data && bracket == '[' ? 1 : 0;
	}
	if (r->depth == 2 && data && is_object(r, 2) && !strcasecmp(r->key[1], "users"))
		return !strcmp(r->key[1], "users") ? 3 : 2;
	return 0;
}

/* Of two arrays the better placed counts, of two alike the later one (L9). */
static void enter_array(struct users_reader *r, uint8_t rank)
{
	r->array = r->depth;
	r->expect = FIRST;
	r->taken = rank >= r->rank;
	if (r->taken) {
		r->rank = rank;
		user_list_done(&r->list);
		user_list_init(&r->list);
	}
}

static void note_key_byte(struct users_reader *r, char c)
{
	char *key = r->depth >= 1 && r->depth <= 2 ? r->key[r->depth - 1] : NULL;

	if (!key)
		return;
	if (r->key_len < USERS_KEY_MAX)
		key[r->key_len++] = c;
	key[r->key_len] = '\0';
}

static void outside_string(struct users_reader *r, char c)
{
	if (r->escape)
		r->escape = false;
	else if (c == '\\')
		r->escape = true;
	else if (c == '"')
		r->in_string = false;
	note_key_byte(r, r->in_string ? c : '\0');
}

/* Bytes around the user array; returns how many were used: all, or up to the array. */
static size_t scan_outside(struct users_reader *r, const char *s, size_t len)
{
	size_t i = 0;
	uint8_t rank = 0;

	while (i < len && !rank && !r->err) {
		char c = s[i++];

		if (r->in_string) {
			outside_string(r, c);
		} else if (c == '"') {
			r->in_string = true;
			r->key_len = 0;
			note_key_byte(r, '\0');
			r->key_len = 0;
		} else if (c == '{' || c == '[') {
			rank = rank_of(r, c);
			open_bracket(r, c == '{');
		} else if (c == '}' || c == ']') {
			close_bracket(r);
		}
	}
	add_skeleton(r, s, i);
	if (rank && !r->err)
		enter_array(r, rank);
	return i;
}

/* --- elements -------------------------------------------------------------------------------- */

static void take_element(struct users_reader *r, const char *s, size_t len)
{
	struct user_entry e = {0};
	struct json_value *v;
	int err;

	arena_reset(&r->scratch);
	err = json_parse(s, len, 0, &r->scratch, &v, NULL, NULL);
	if (err) {
		fail(r, err == -ENOMEM ? err : -ERR_MALFORMED);
		return;
	}
	if (!r->taken)
		return;
	if (v->type == JSON_T_OBJECT)
		r->wrong_fields += r->dialect->user(v, &e);
	err = user_list_add(&r->list, &e);
	if (err)
		fail(r, err);
}

static void take_overlong(struct users_reader *r)
{
	const struct user_entry invalid = {0};
	int err = r->taken ? user_list_add(&r->list, &invalid) : 0;

	if (err)
		fail(r, err);
}

/* The bytes of an element that began earlier or begin at s[0].  Returns how many belong to it and
 * sets expect to SEPARATOR when it is complete.
 */
static size_t scan_element(struct users_reader *r, const char *s, size_t len)
{
	size_t i = 0;

	for (; i < len && r->expect != SEPARATOR && !r->err; i++) {
		char c = s[i];

		if (r->in_string) {
			if (r->escape)
				r->escape = false;
			else if (c == '\\')
				r->escape = true;
			else if (c == '"')
				r->in_string = false;
			if (!r->in_string && r->expect == IN_STRING)
				r->expect = SEPARATOR;
		} else if (r->expect == IN_WORD) {
			if (strchr(",]} \t\r\n", c) && c) {
				r->expect = SEPARATOR;
				return i;
			}
		} else if (c == '"') {
			r->in_string = true;
		} else if (c == '{' || c == '[') {
			open_bracket(r, c == '{');
		} else if (c == '}' || c == ']') {
			close_bracket(r);
			if (r->depth == r->array)
				r->expect = SEPARATOR;
		}
	}
	return i;
}

/* Most elements lie whole in what came: those are read where they lie, others are gathered. */
static size_t eat_element(struct users_reader *r, const char *s, size_t len)
{
	size_t n = scan_element(r, s, len);
	bool whole = r->expect == SEPARATOR;

	if (r->element.len + n > USERS_ELEMENT_MAX)
		r->overlong = true;
	if (r->overlong) {
		r->element.len = 0;
		if (whole)
			take_overlong(r);
	} else if (whole && !r->element.len) {
		take_element(r, s, n);
	} else {
		text_add(&r->element, s, n);
		if (r->element.err)
			fail(r, r->element.err);
		else if (whole)
			take_element(r, r->element.s, r->element.len);
	}
	if (whole) {
		r->element.len = 0;
		r->overlong = false;
	}
	return n;
}

static void leave_array(struct users_reader *r, char c)
{
	if (c != (is_object(r, r->array) ? '}' : ']')) {
		fail(r, -ERR_MALFORMED);
		return;
	}
	r->array = 0;
	close_bracket(r);
	add_skeleton(r, &c, 1);
}

static void begin_element(struct users_reader *r, char c)
{
	if (c == '{' || c == '[')
		r->expect = IN_ELEMENT;
	else if (c == '"')
		r->expect = IN_STRING;
	else if (strchr("-0123456789tfn", c) && c)
		r->expect = IN_WORD;
	else
		fail(r, -ERR_MALFORMED);
}

/* The key of an element, when a PHP list with gaps came as an object.  Nobody asks what it says,
 * but it must be correct.
 */
static void eat_key_byte(struct users_reader *r, char c)
{
	struct json_value *v;

	text_add(&r->element, &c, 1);
	if (r->element.err || r->element.len > USERS_ELEMENT_MAX) {
		fail(r, r->element.err ? r->element.err : -ERR_TOO_BIG);
	} else if (r->escape) {
		r->escape = false;
	} else if (c == '\\') {
		r->escape = true;
	} else if (c == '"') {
		arena_reset(&r->scratch);
		if (json_parse(r->element.s, r->element.len, 0, &r->scratch, &v, NULL, NULL))
			fail(r, -ERR_MALFORMED);
		r->element.len = 0;
		r->expect = COLON;
	}
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* A byte between elements. */
static void eat_between(struct users_reader *r, char c)
{
	bool object = is_object(r, r->array);

	if (is_blank(c))
		return;
	if ((r->expect == FIRST || r->expect == SEPARATOR) && (c == ']' || c == '}'))
		leave_array(r, c);
	else if (r->expect == SEPARATOR && c == ',')
		r->expect = object ? KEY : ELEMENT;
	else if (r->expect == COLON && c == ':')
		r->expect = ELEMENT;
	else if (!object || (r->expect != FIRST && r->expect != KEY) || c != '"')
		fail(r, -ERR_MALFORMED);
	else {
		r->expect = IN_KEY;
		text_add(&r->element, "\"", 1);
	}
}

static size_t scan_inside(struct users_reader *r, const char *s, size_t len)
{
	char c = *s;

	if (r->expect >= IN_ELEMENT)
		return eat_element(r, s, len);
	if (r->expect == IN_KEY) {
		eat_key_byte(r, c);
		return 1;
	}
	if (!is_blank(c) && c != ']' && c != '}' &&
	    (r->expect == ELEMENT || (r->expect == FIRST && !is_object(r, r->array)))) {
		begin_element(r, c);
		return r->err ? 1 : eat_element(r, s, len);
	}
	eat_between(r, c);
	return 1;
}

int users_reader_feed(struct users_reader *r, const char *bytes, size_t len)
{
	int err = hash_update(r->hash, bytes, len);

	if (err)
		fail(r, err);
	while (len && !r->err) {
		size_t n = r->array ? scan_inside(r, bytes, len) : scan_outside(r, bytes, len);

		bytes += n;
		len -= n;
	}
	return r->err;
}

/* A list of which nothing is a user says that its writer is broken, not that everybody has left. */
static bool nobody_valid(const struct user_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].id > 0 && l->v[i].credential_len > 0)
			return false;
	}
	return l->n > 0;
}

/* --- the end --------------------------------------------------------------------------------- */

static enum answer_class judge(struct users_reader *r, struct notes *notes)
{
	char message[ANSWER_MESSAGE_MAX];
	struct json_value *doc;
	struct json_pos at;
	const char *what;

	arena_reset(&r->scratch);
	if (r->err == -ENOMEM) {
		notes_why(notes, "no memory");
		return ANSWER_VALID;
	}
	if (json_parse(r->skeleton.s ? r->skeleton.s : "", r->skeleton.len, 0, &r->scratch, &doc,
		       &at, &what)) {
		notes_why(notes, "not JSON: %s", r->array ? "a wrong byte in the list" : what);
		return ANSWER_PARSE;
	}
	if (r->err) {
		notes_why(notes, "not JSON: %s", err_text(r->err));
		return ANSWER_PARSE;
	}
	if (r->rank && nobody_valid(&r->list)) {
		notes_why(notes, "no entry of users is a user");
		return ANSWER_VALID;
	}
	if (r->rank)
		return ANSWER_OK;
	if (answer_is_failure(doc, message)) {
		notes_why(notes, "%s", *message ? message : "the panel reports a failure");
		return ANSWER_APP;
	}
	notes_why(notes, "users is missing, or is no list");
	return ANSWER_VALID;
}

enum answer_class users_reader_end(struct users_reader *r, struct user_list *out,
				   struct notes *notes)
{
	enum answer_class class = judge(r, notes);

	if (class != ANSWER_OK)
		return class;
	if (r->wrong_fields)
		notes_add(notes, "users: %llu fields with impossible values, taken for none",
			  (unsigned long long)r->wrong_fields);
	*out = r->list;
	user_list_init(&r->list);
	return ANSWER_OK;
}
