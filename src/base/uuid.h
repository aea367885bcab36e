/* uuid.h - 16 bytes, written in five groups (RFC 9562).
 *
 * The rule by which VLESS and VMess turn any short text into an id needs SHA-1 and lives with those
 * protocols; uuid_looks_hex() tells which rule applies.
 */
#ifndef WEIR_UUID_H
#define WEIR_UUID_H

#include "base/base.h"

#define UUID_LEN  16
#define UUID_TEXT 37 /* with its NUL */

/* Hexadecimal digits of either case in groups of 8-4-4-4-12; each '-' may be left out.  0 or
 * -ERR_MALFORMED.
 */
MUST_CHECK int uuid_parse(uint8_t id[UUID_LEN], const char *text, size_t len);

/* Into `out` (UUID_TEXT), which is returned. */
char *uuid_format(const uint8_t id[UUID_LEN], char *out);

/* A version 4 id out of 16 random bytes. */
void uuid_from_random(uint8_t id[UUID_LEN], const uint8_t random[UUID_LEN]);

/* Of the length of a hexadecimal id: 32 to 36.  Shorter texts (1 to 30) are names to be hashed, all
 * others are wrong (docs/protocols/vless.md, section 1).
 */
static inline bool uuid_looks_hex(size_t len)
{
	return len >= 32 && len <= 36;
}

#endif
