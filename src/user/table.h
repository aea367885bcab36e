/* table.h - building a user_table: for the registry.  Looking up is in user.h. */
#ifndef WEIR_USER_TABLE_H
#define WEIR_USER_TABLE_H

#include "base/hash.h"
#include "user/user.h"

/* Empty, with room for `cap` users; NULL: no memory. */
struct user_table *user_table_new(size_t cap, size_t key_len, const struct hash_key *hash);
void user_table_free(struct user_table *t); /* the users stay */

/* False: a user with this key is there already.  The table is not published yet. */
bool user_table_add(struct user_table *t, struct user *u);

/* Once all are in: user_table_secrets().  False: no memory. */
bool user_table_pack(struct user_table *t, size_t secret_len);

#endif
