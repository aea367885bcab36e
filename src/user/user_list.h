/* user_list.h - a decoded user list, as a panel answered it: order kept, nothing judged yet.
 *
 * Threads: one at a time.
 */
#ifndef WEIR_USER_LIST_H
#define WEIR_USER_LIST_H

#include "base/base.h"

struct user_entry {
	int64_t id; /* <= 0 is an invalid user; so is a credential that is NULL or empty */
	const char *credential; /* in the list's memory, NUL-terminated */
	uint32_t credential_len;
	uint64_t speed_bps;    /* bits per second; 0: none */
	uint32_t device_limit; /* 0: none */
	uint32_t conn_limit;   /* 0: none */
	/* bytes, as the panel knows them; quota 0: none.  For EnforceQuota: the  registry does not
	 * look at them.
	 */
	uint64_t used, quota;
};

struct user_list {
	struct user_entry *v;
	size_t n, cap;
	struct user_list_block *blocks; /* of credential text */
};

void user_list_init(struct user_list *l);
void user_list_done(struct user_list *l);

/* Append a copy of `e`, credential included.  0 or -ENOMEM with the list unchanged. */
MUST_CHECK int user_list_add(struct user_list *l, const struct user_entry *e);

#endif
