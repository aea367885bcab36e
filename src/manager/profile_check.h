/* profile_check.h - whether a port can be served in this process at all: what can be told without
 * opening it.
 *
 * Threads: any; nothing is kept.
 */
#ifndef WEIR_MANAGER_PROFILE_CHECK_H
#define WEIR_MANAGER_PROFILE_CHECK_H

#include "manager/profile.h"
#include "proto/shadowsocks/ss_method.h"

/* The method of that name, where it may be used: those without integrity are for who names them in
 * `insecure`, never because a client or a panel says so.  -ERR_CONFIG with a sentence.
 */
MUST_CHECK int profile_method(const char *name, const struct json_list *insecure,
			      const struct ss_method **out, char why[PROFILE_WHY_MAX]);

/* All of it: method, keys, and the addresses it names itself.  -ERR_CONFIG with a sentence that holds no
 * secret.
 */
MUST_CHECK int profile_check(const struct profile *p, const struct json_list *insecure,
			     char why[PROFILE_WHY_MAX]);

/* Is each of `l` one to listen on? */
MUST_CHECK int profile_check_listen(const struct json_list *l, char why[PROFILE_WHY_MAX]);

#endif
