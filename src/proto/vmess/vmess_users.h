/* vmess_users.h - whose auth id it is, among the users of one VMess port.
 *
 * There is no index: the id is decrypted under the key of every user until one fits.  Keys are tried in
 * this order: those that came from this source before, then all.  The last step takes 4 ns a user where the machine has wide AES instructions; it is taken in slices,
 * and strangers pay for it out of a budget (budget.h), so that a flood of noise takes a bounded
 * share of the worker, and nothing from those whose address is known or who were active lately: they are
 * looked for where the budget is used up.
 *
 *     struct vmess_search search = {0};                            in the connection
 *     err = vmess_find(f, &search, &asker, id, &user);
 *     -EAGAIN: queue yourself, call again with the same id in a later turn
 *
 * A registry that serves these users has the command key as `key`, aes_many_key() of the key of auth ids
 * as `secret`, and should be asked to `pack`.
 *
 * Threads: a finder belongs to one worker; `known` has its own lock.
 */
#ifndef WEIR_PROTO_VMESS_USERS_H
#define WEIR_PROTO_VMESS_USERS_H

#include "net/addr.h"
#include "proto/vmess/vmess_wire.h"
#include "user/user.h"

struct known;
struct vmess_finder;

/* `known`: who has been here, shared by the inbound's workers; outlives the finder.  `workers` share the
 * budget for strangers.  0 or -ENOMEM. */
MUST_CHECK int vmess_finder_new(struct known *known, unsigned workers, struct vmess_finder **out);
void vmess_finder_free(struct vmess_finder *f); /* NULL is fine */

/* Where a search stands; zero at first. */
struct vmess_search {
	const struct user_table *users; /* that `at` counts in */
	uint32_t at;
	bool rest; /* those who came from this source have been tried */
};

/* Who asks: from where, among whom, and when. */
struct vmess_asker {
	const struct user_table *users;
	const struct addr *peer; /* NULL: it cannot be told */
	nsec_t now;
	int64_t wall; /* the same by the calendar, in seconds */
};

/* Whose auth id, of a time near `asker->wall`, is this?  0; -EAGAIN: not yet; -ERR_AUTH: nobody's, or that of
 * a stranger whose budget is used up; -ERR_CRYPTO.
 */
MUST_CHECK int vmess_find(struct vmess_finder *f, struct vmess_search *s,
			  const struct vmess_asker *asker, const uint8_t id[VMESS_ID_LEN],
			  struct user **out);

#endif
