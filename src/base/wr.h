/* wr.h - a writing cursor with a sticky error: the mirror of rd.h.
 *
 * Writing past the end sets -ENOBUFS and writes nothing more.
 */
#ifndef WEIR_WR_H
#define WEIR_WR_H

#include "base/base.h"

struct wr {
	uint8_t *base;
	size_t cap, len;
	int err;
};

static inline struct wr wr_of(void *data, size_t cap)
{
	return (struct wr){.base = data, .cap = cap};
}

/* Room for `n` bytes, counted as written, or NULL with -ENOBUFS. */
uint8_t *wr_room(struct wr *w, size_t n);

void wr_bytes(struct wr *w, const void *data, size_t n);
void wr_str(struct wr *w, const char *s); /* without its NUL */
void wr_u8(struct wr *w, uint8_t v);
void wr_be16(struct wr *w, uint16_t v);
void wr_be24(struct wr *w, uint32_t v);
void wr_be32(struct wr *w, uint32_t v);
void wr_be64(struct wr *w, uint64_t v);
void wr_le16(struct wr *w, uint16_t v);
void wr_le32(struct wr *w, uint32_t v);
void wr_hex(struct wr *w, const void *data, size_t n); /* 2n lower-case digits */

#endif
