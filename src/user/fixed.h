/* fixed.h - users that come and go together: those of one port, of which there are thousands.
 *
 * A registry (registry.h) follows a list that changes while it is served, which takes memory of its
 * own.  Here the table is made once and lives until nobody uses it: no publication, no reaping.
 *
 * Threads: control; the table is read by the worker that serves it.
 */
#ifndef WEIR_USER_FIXED_H
#define WEIR_USER_FIXED_H

#include "user/registry.h"

/* Each of them has a slot.  All or nothing: -ERR_MALFORMED for a credential that is none,
 * -EEXIST for one that came before; -ENOMEM, -ENOSPC, -errno of the counters file, derive()'s.  `rules` of
 * `conf` hold for everybody; what an entry says of limits is not looked at.
 */
MUST_CHECK int user_fixed_new(const struct user_registry_conf *conf, const struct user_entry *v,
			      size_t n, struct user_table **out);

/* What their slots hold, all together.  Slots are not cleared when they change hands: what was in
 * them at the beginning is not theirs.
 */
void user_fixed_traffic(const struct user_table *t, const struct counters *c, struct traffic *out);

/* Their slots, for settling: user_table_count() of them. */
void user_fixed_slots(const struct user_table *t, uint32_t *out);

/* Every connection has ended, nobody looks at the table any more and the slots are settled:
 * releases them and frees everything.  `c` NULL: they are not released.  `t` NULL is fine.
 */
void user_fixed_free(struct user_table *t, struct counters *c);

#endif
