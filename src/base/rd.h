/* rd.h - a reading cursor with a sticky error.
 *
 * Reads past the end set -ERR_MORE, a wrong byte sets -ERR_MALFORMED; the first error stays, and
 * `pos` stays at the byte that caused it.  After an error every read returns zero and moves
 * nothing, so a parser is a straight list of reads with one look at `err` at its end.
 */
#ifndef WEIR_RD_H
#define WEIR_RD_H

#include "base/base.h"
#include "base/err.h"

struct rd {
	const uint8_t *base;
	size_t len, pos;
	int err;
};

static inline struct rd rd_of(const void *data, size_t len)
{
	return (struct rd){.base = data, .len = len};
}

static inline size_t rd_left(const struct rd *r)
{
	return r->len - r->pos;
}

static inline void rd_fail(struct rd *r, int err)
{
	if (!r->err)
		r->err = err;
}

/* `n` bytes in place, or NULL with -ERR_MORE. */
const uint8_t *rd_bytes(struct rd *r, size_t n);

uint8_t rd_u8(struct rd *r);
uint16_t rd_be16(struct rd *r);
uint32_t rd_be24(struct rd *r);
uint32_t rd_be32(struct rd *r);
uint64_t rd_be64(struct rd *r);
uint16_t rd_le16(struct rd *r);
uint32_t rd_le32(struct rd *r);

void rd_copy(struct rd *r, void *dst, size_t n);
void rd_skip(struct rd *r, size_t n);

/* The bytes must be exactly these; -ERR_MALFORMED at the first that differs. */
void rd_expect(struct rd *r, const void *bytes, size_t n);

/* What was just read must satisfy `ok`: else -ERR_MALFORMED, one byte back. */
void rd_check(struct rd *r, bool ok);

/* 2*n lower-case hexadecimal digits into n bytes. */
void rd_hex(struct rd *r, void *dst, size_t n);

/* A cursor over the next `n` bytes, which are consumed here.  On error an empty one that has it. */
struct rd rd_sub(struct rd *r, size_t n);

#endif
