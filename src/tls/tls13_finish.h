/* tls13_finish.h - what a client sends between our flight and its Finished.
 *
 * Everything else that may come there is answered as libssl answers it, alert by alert; a prober sees
 * no difference.  Pure but for the cipher.
 */
#ifndef WEIR_TLS_TLS13_FINISH_H
#define WEIR_TLS_TLS13_FINISH_H

#include "tls/record.h"

#define TLS13_FINISH_MAX 64 /* libssl's limit for the body of a Finished */

struct tls13_finish {
	uint8_t text[4 + TLS13_FINISH_MAX]; /* the message, as far as it has come */
	uint8_t have;
	uint8_t empty, warnings; /* in a row */
	bool strict_spec; /* an odd change_cipher_spec is unexpected, as libssl of 3.5 has it */
	uint8_t alert;	  /* after -ERR_TLS: to be sent; TLS13_FINISH_SILENT: none */
};

#define TLS13_FINISH_SILENT 255

/* One whole record of `len` bytes, whose header tls_header_alert() has let pass; it is opened where it
 * lies.  `verify`, `size`: what the Finished must say.  0: it has.  -EAGAIN: more records have
 * to come.  -ERR_TLS.
 */
MUST_CHECK int tls13_finish_record(struct tls13_finish *f, struct tls_dir *in, uint8_t *record,
				   size_t len, const uint8_t *verify, size_t size);

#endif
