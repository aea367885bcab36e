/* alive_list.c - any bytes as a panel's list of devices online: refused with a reason, or what
 * comes out keeps its promises and, written down again, reads the same.
 */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "sync/alive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_again(const struct alive_list *l)
{
	struct alive_list again = {0};
	struct notes notes = {0};
	struct text t = {0};

	text_adds(&t, "{\"alive\":{");
	for (size_t i = 0; i < l->n; i++)
		text_addf(&t, "%s\"%" PRId64 "\":%" PRIu32, i ? "," : "", l->v[i].id,
			  l->v[i].devices);
	text_adds(&t, "}}");
	assert(alive_decode(t.s, t.len, &again, &notes) == ANSWER_OK && notes.n == 0);
	assert(again.n == l->n);
	for (size_t i = 0; i < l->n; i++)
		assert(again.v[i].id == l->v[i].id && again.v[i].devices == l->v[i].devices);
	alive_list_done(&again);
	text_done(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct alive_list l = {0};
	struct notes notes = {0};

	if (alive_decode((const char *)data, len, &l, &notes) != ANSWER_OK) {
		assert(*notes.why && !l.v && !l.n);
		return 0;
	}
	for (size_t i = 0; i < l.n; i++)
		assert(l.v[i].id > 0);
	check_again(&l);
	alive_list_done(&l);
	return 0;
}
