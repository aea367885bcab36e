/* v2sp_users.c - any bytes as a user list: the same answer however they are cut, and agreement with
 * a parser that sees the whole document.
 */
#include <assert.h>
#include <string.h>

#include "sync/users.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static enum answer_class read_in_steps(const char *s, size_t len, size_t step,
				       struct user_list *out)
{
	struct notes notes = {0};
	struct users_reader r;
	enum answer_class class;
	int err = users_reader_init(&r, &dialect_v2sp);

	assert(!err);
	for (size_t i = 0; i < len && !err; i += step)
		err = users_reader_feed(&r, s + i, MIN(step, len - i));
	class = users_reader_end(&r, out, &notes);
	assert(class == ANSWER_OK || *notes.why);
	users_reader_done(&r);
	return class;
}

static void check_same(const struct user_list *a, const struct user_list *b)
{
	assert(a->n == b->n);
	for (size_t i = 0; i < a->n; i++) {
		const struct user_entry *x = &a->v[i], *y = &b->v[i];

		assert(x->id == y->id && x->credential_len == y->credential_len);
		assert(x->speed_bps == y->speed_bps && x->device_limit == y->device_limit);
		assert(x->id >= 0 && (!x->id || x->credential_len));
	}
}

/* What the list's reader takes for correct is correct to the parser too, unless one of the two ran
 * into its own limit: nesting is counted from the element here, from the document there.
 */
static void check_whole(const char *s, size_t len)
{
	struct json_value *doc;
	struct arena a;
	int err;

	arena_init(&a, 64 << 20);
	err = json_parse(s, len, 0, &a, &doc, NULL, NULL);
	assert(!err || err == -ERR_TOO_BIG);
	arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *s = (const char *)data;
	size_t step = len % 13 + 1;
	struct user_list a, b;
	enum answer_class class;

	user_list_init(&a);
	user_list_init(&b);
	class = read_in_steps(s, len, len + 1, &a);
	assert(read_in_steps(s, len, step, &b) == class);
	check_same(&a, &b);
	if (class == ANSWER_OK)
		check_whole(s, len);
	user_list_done(&a);
	user_list_done(&b);
	return 0;
}
