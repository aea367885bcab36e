/* base64.h - RFC 4648 base64, in both alphabets.
 *
 * Panels, links and headers disagree about alphabet and padding, so decoding takes either alphabet,
 * with or without padding.  It is strict otherwise: no white space, no bits left over.
 */
#ifndef WEIR_BASE64_H
#define WEIR_BASE64_H

#include "base/base.h"

enum base64_form {
	BASE64_STD, /* "+/", padded */
	BASE64_URL, /* "-_", not padded */
	BASE64_URL_PAD,
	BASE64_STD_NOPAD,
};

/* Room for the text of `len` bytes and its NUL. */
#define BASE64_TEXT(len) (((len) + 2) / 3 * 4 + 1)
/* Room for the bytes of a text. */
#define BASE64_BYTES(len) (((len) + 3) / 4 * 3)

/* Text and a NUL into `out` (BASE64_TEXT(len)); its length without the NUL. */
size_t base64_encode(enum base64_form form, const void *data, size_t len, char *out);

/* The count of bytes, -ERR_MALFORMED, or -ENOBUFS when `cap` is too small. */
MUST_CHECK ssize_t base64_decode(const char *text, size_t len, void *out, size_t cap);

#endif
