/* users.h - reading a user list while it arrives: constant memory besides the result (L13).
 *
 *     users_reader_init(&r, dialect);
 *     err = users_reader_feed(&r, bytes, len);        as often as bytes come
 *     class = users_reader_end(&r, &list, notes);
 *     users_reader_done(&r);
 *
 * The document is cut while it streams by: each element of the user array is read by itself and
 * forgotten; everything around the array, with the array empty, is the skeleton, which is read at
 * the end and must be correct JSON too.  So one bad element spoils the list like any other wrong
 * byte, and a failure envelope is found where it stands.
 *
 * The array is `users`, also one level down in `data`; or `data` itself (L12).  An object with keys
 * in its place is a PHP list with gaps.
 */
#ifndef WEIR_SYNC_USERS_H
#define WEIR_SYNC_USERS_H

#include "base/json_value.h"
#include "crypto/hash.h"
#include "sync/dialect.h"

#define USERS_SKELETON_MAX (64 * 1024)
#define USERS_ELEMENT_MAX  (64 * 1024) /* a longer one is an invalid user */
#define USERS_KEY_MAX	   32

struct users_reader {
	const struct dialect *dialect;
	struct user_list list;
	struct hash *hash; /* of the body so far */
	struct text skeleton, element;
	struct arena scratch;
	int err;	       /* sticky */
	bool lost;	       /* the skeleton was cut at its limit */
	uint64_t wrong_fields; /* replaced by defaults */
	uint64_t negative;

	/* the scanner */
	unsigned depth;
	uint64_t objects; /* bit n: the bracket at depth n + 1 is an object */
	bool in_string, escape, overlong;
	unsigned array;			/* depth of the user array while inside it; 0: outside */
	bool taken;			/* its elements count */
	uint8_t rank;			/* of the best array so far: 0 none */
	uint8_t expect;			/* inside the array: enum expect of users.c */
	char key[2][USERS_KEY_MAX + 1]; /* at depth 1 and 2: the last string, a key once ':' came */
	size_t key_len;
};

MUST_CHECK int users_reader_init(struct users_reader *r, const struct dialect *d);
void users_reader_done(struct users_reader *r);

/* 0, or -ENOMEM, or what ends the transfer early: -ERR_MALFORMED, -ERR_TOO_BIG. */
MUST_CHECK int users_reader_feed(struct users_reader *r, const char *bytes, size_t len);

/* ANSWER_OK with the list moved into *out (done by the caller), or why not. */
enum answer_class users_reader_end(struct users_reader *r, struct user_list *out,
				   struct notes *notes);

/* SHA-256 of all bytes fed. */
MUST_CHECK int users_reader_hash(const struct users_reader *r, uint8_t out[32]);

#endif
