/* ss_users.h - whose stream, whose packet: the user among thousands on one Shadowsocks port.
 *
 * AEAD methods name nobody: the user is the one whose key opens the first sealed piece.  Keys are
 * tried in this order: those that authenticated from this source before, those that were active
 * lately, all the rest.  The last step is dear (docs/internals/shadowsocks-users.md), so it is taken
 * in slices, and strangers pay for it out of a budget: a flood of noise takes a bounded share of the
 * worker, and nothing from those whose address or key is known.
 *
 * 2022 methods name the user in an identity header: one look-up.  Without identity headers there is
 * one user, and what is found is a claim like theirs: true once the fixed header has opened.
 *
 *     struct ss_search search = {0};                            in the connection
 *     err = ss_find_stream(f, &search, &asker, salt, sealed, &found);
 *     -EAGAIN: queue yourself, call again with the same bytes in a later turn
 *
 * A registry that serves these users has `key` of SS_KEY_MAX bytes, zeros behind shorter ones: the
 * master key for AEAD methods; for 2022 methods the first 16 bytes of BLAKE3(key), with the key itself
 * as `secret`, SS_KEY_MAX bytes too.
 *
 * Threads: a finder belongs to one worker; nothing in it is shared or locked.  It keeps keys, never
 * users, so a new user_table needs no word to it.
 */
#ifndef WEIR_PROTO_SHADOWSOCKS_USERS_H
#define WEIR_PROTO_SHADOWSOCKS_USERS_H

#include "net/addr.h"
#include "proto/shadowsocks/ss_method.h"
#include "user/user.h"

#define SS_HEAD_LEN 18 /* a sealed length: what tells an AEAD user */

struct ss_finder;
struct known;

struct ss_finder_conf {
	const struct ss_method *method; /* outlives the finder */
	const uint8_t *psk; /* 2022 with identity headers: the server's key; else NULL */
	unsigned workers;   /* that share the inbound, and the budget for strangers */
	/* who has been here, shared by them; outlives the finder; NULL: it is alone */
	struct known *known;
};

/* 0 or -ENOMEM. */
MUST_CHECK int ss_finder_new(const struct ss_finder_conf *conf, struct ss_finder **out);
void ss_finder_free(struct ss_finder *f); /* NULL is fine */

/* Where the search for one stream's user stands; zero at first. */
struct ss_search {
	const struct user_table *users; /* that `at` counts in */
	uint32_t at;
	uint16_t tried; /* of the recent ones */
	uint8_t stage;
};

/* Who asks: from where, among whom, and when. */
struct ss_asker {
	const struct user_table *users;
	const struct addr *peer; /* NULL: it cannot be told */
	nsec_t now;
};

struct ss_found {
	struct user *user;
	uint8_t subkey[SS_KEY_MAX]; /* of the session; wiped by its owner */
};

/* The user of a stream that began with `salt`.  `sealed` is what follows it: SS_HEAD_LEN bytes for AEAD
 * methods, the identity header (SS_IDENTITY_LEN) for 2022 ones that have it, else not looked at.
 * 0; -EAGAIN: not yet, call again in a later turn; -ERR_AUTH: nobody, or a stranger
 * whose budget is used up; -ERR_CRYPTO.
 */
MUST_CHECK int ss_find_stream(struct ss_finder *f, struct ss_search *search,
			      const struct ss_asker *asker, const uint8_t *salt,
			      const uint8_t *sealed, struct ss_found *out);

/* The user whose key opens this whole AEAD packet (salt in front); it is opened by the caller.  Never
 * -EAGAIN: a packet is looked at once.
 */
MUST_CHECK int ss_find_packet(struct ss_finder *f, const struct ss_asker *asker,
			      const uint8_t *packet, size_t len, struct ss_found *out);

/* The user with this name (SS_IDENTITY_LEN bytes of BLAKE3(key)); NULL: nobody. */
struct user *ss_find_identity(const struct user_table *users, const uint8_t *name);

#endif
