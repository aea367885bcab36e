/* hex.h - bytes as hexadecimal digits.  Fixed forms inside messages are rd_hex() and wr_hex(). */
#ifndef WEIR_HEX_H
#define WEIR_HEX_H

#include "base/base.h"

/* 2 * len lower-case digits and a NUL into `out`, which is returned. */
char *hex_format(const void *data, size_t len, char *out);

/* Digits of either case, exactly `len` of them (even), into len / 2 bytes.  The count of bytes,
 * -ERR_MALFORMED, or -ENOBUFS when `cap` is too small.
 */
MUST_CHECK ssize_t hex_parse(const char *text, size_t len, void *out, size_t cap);

#endif
