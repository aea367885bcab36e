/* yassp_list.c - any bytes as the list of a YaSSP panel: refused with a reason, or ports in order, each
 * once, that can be served.
 */
#include <assert.h>
#include <string.h>

#include "yassp/list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const allow[] = {"obfs-server", NULL};
	const struct yassp_rules rules = {.allow = allow};
	char why[PROFILE_WHY_MAX] = "";
	struct yassp_list l;

	if (yassp_list_parse((const char *)data, len, &rules, &l, why)) {
		assert(*why);
		return 0;
	}
	for (size_t i = 0; i < l.n; i++) {
		const struct profile *p = l.v[i];

		assert(p->port && *p->password && *p->method && p->mode);
		assert(!p->plugin || !strcmp(p->plugin, allow[0]));
		assert(!p->plugin_args.count && !p->listen.count);
		assert(i == 0 || l.v[i - 1]->port < p->port);
		assert(yassp_list_find(&l, p->port) == p);
	}
	yassp_list_done(&l);
	return 0;
}
