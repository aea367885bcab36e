/* panel_admin.c - any JSON as a user and as a node of the panel: refused with a reason, or what it
 * became is shown, and what was shown is taken back unchanged.
 */
#include <assert.h>
#include <errno.h>

#include "panel/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void as_user(json_t *from)
{
	struct fault why = {""};
	struct panel_user u;
	json_t *shown, *again;

	panel_user_init(&u);
	if (panel_user_read(&u, from, &why)) {
		assert(why.text[0]);
		return;
	}
	assert(u.quota >= 0 && u.up >= 0 && u.down >= 0 && u.credential[0]);
	(void)panel_user_active(&u, u.created);
	shown = panel_user_emit(&u);
	assert(shown && panel_user_read(&u, shown, &why) == 0);
	again = panel_user_emit(&u);
	assert(json_equal(shown, again));
	json_decref(shown);
	json_decref(again);
}

static void as_node(json_t *from)
{
	struct fault why = {""};
	struct panel_node n;
	json_t *shown, *sent, *again, *config;

	assert(panel_node_init(&n) == 0);
	if (panel_node_read(&n, from, &why)) {
		assert(why.text[0]);
	} else {
		shown = panel_node_emit(&n);
		config = panel_node_config(&n);
		sent = json_deep_copy(shown); /* reading may change it */
		assert(shown && config && panel_node_read(&n, sent, &why) == 0);
		again = panel_node_emit(&n);
		assert(json_equal(shown, again));
		json_decref(shown);
		json_decref(again);
		json_decref(config);
		json_decref(sent);
	}
	panel_node_done(&n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	json_t *from = json_loadb((const char *)data, len, JSON_REJECT_DUPLICATES, NULL);

	if (from) {
		as_user(from);
		as_node(from);
	}
	json_decref(from);
	return 0;
}
