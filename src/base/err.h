/* err.h - what can go wrong, once, with a name, a sentence and whose fault it is.
 *
 * A function that can fail returns 0 or a count, or a negative number: -errno for what the kernel
 * said, -ERR_* for what we say.  The two ranges do not meet.
 */
#ifndef WEIR_ERR_H
#define WEIR_ERR_H

#include "base/base.h"

/* Who caused it: decides log level, metric label and whether the reject policy applies. */
enum err_origin {
	ERR_FROM_PEER, /* whoever talks to us: client, target, panel */
	ERR_FROM_SELF, /* our own limit or decision */
	ERR_FROM_ENV,  /* the machine: memory, descriptors, files */
};

/* clang-format off */
#define ERR_LIST(X)                                                                \
	X(MORE,        PEER, "more bytes are needed")                              \
	X(MALFORMED,   PEER, "a byte that can never be right")                     \
	X(TRUNCATED,   PEER, "the stream was cut short")                           \
	X(AUTH,        PEER, "not an authenticated user")                          \
	X(REJECTED,    PEER, "rejected; the stream belongs to the reject policy")  \
	X(UNSUPPORTED, PEER, "a feature we do not offer")                          \
	X(PROTOCOL,    PEER, "a message that does not belong here")                \
	X(TOO_BIG,     PEER, "larger than the limit")                              \
	X(REPLAY,      PEER, "seen before")                                        \
	X(TLS,         PEER, "TLS failure")                                        \
	X(TIMEOUT,     PEER, "deadline passed")                                    \
	X(IDLE,        PEER, "idle for too long")                                  \
	X(KICKED,      SELF, "the user was removed or replaced")                   \
	X(DENIED,      SELF, "denied by policy")                                   \
	X(LIMIT,       SELF, "over a limit of this user")                          \
	X(BLOCKED,     SELF, "blocked by a route")                                 \
	X(CANCELED,    SELF, "called off")                                         \
	X(CONFIG,      SELF, "wrong configuration")                                \
	X(NO_ADDRESS,  ENV,  "the name has no usable address")                     \
	X(RESOLVE,     ENV,  "the name could not be resolved")                     \
	X(HTTP,        PEER, "an HTTP answer that says no")                        \
	X(UNREACHED,   PEER, "the node could not reach the target")                \
	X(DATABASE,    ENV,  "the database failed")                                \
	X(CRYPTO,      ENV,  "the crypto library failed")
/* clang-format on */

enum err {
	ERR_FIRST = 1000, /* above every errno */
#define X(name, origin, text) ERR_##name,
	ERR_LIST(X)
#undef X
};

/* The short name ("MALFORMED", "ECONNRESET") or "OK" for >= 0.  Never NULL; static storage. */
const char *err_name(int err);

/* A sentence for people.  Never NULL; static storage. */
const char *err_text(int err);

enum err_origin err_origin(int err);

/* `err`, and what is wrong, as a sentence, in `why`, cut to `max` bytes with its NUL. */
PRINTF(4, 5) int err_say(int err, char *why, size_t max, const char *fmt, ...);

#endif
