/* list.h - the flat list of ports that a YaSSP panel sends (spec D.2).  Pure.
 *
 * One bad entry never spoils the rest: it is left out, and told.
 */
#ifndef WEIR_YASSP_LIST_H
#define WEIR_YASSP_LIST_H

#include "manager/profile.h"

#define YASSP_LIST_MAX (16 << 20) /* bytes of a document */

struct yassp_list {
	struct profile **v; /* ascending by port, each port once */
	size_t n;
	size_t invalid; /* entries that were left out */
};

struct yassp_rules {
	const char *const *allow; /* plugins, NULL-terminated; NULL: none */
	/* What is left out, or not done as written: "entry 3, port 9101: method is missing".  May be
	 * NULL. */
	void (*remark)(void *arg, const char *what);
	void *arg;
};

/* 0; -ERR_MALFORMED (no JSON, no array), -ERR_CONFIG (entries, and not one of them valid), -ENOMEM,
 * with a sentence in `why`.
 */
MUST_CHECK int yassp_list_parse(const char *text, size_t len, const struct yassp_rules *rules,
				struct yassp_list *out, char why[PROFILE_WHY_MAX]);
void yassp_list_done(struct yassp_list *l);

/* The place of that port, or of the first above it. */
size_t yassp_list_at(const struct yassp_list *l, unsigned port);
const struct profile *yassp_list_find(const struct yassp_list *l, uint16_t port);

#endif
