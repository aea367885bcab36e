/* alpn.h - a list of protocol names on the wire (RFC 7301), and a server's choice.  Internal to
 * src/tls. */
#ifndef WEIR_TLS_ALPN_H
#define WEIR_TLS_ALPN_H

#include "base/base.h"

struct alpn_list {
	uint8_t *wire; /* each name behind its length */
	unsigned len;
};

/* From names, NULL at the end (or NULL: none).  False: no memory, or a name of 0 or over 255 bytes.
 */
bool alpn_list_set(struct alpn_list *l, const char *const *names);
void alpn_list_done(struct alpn_list *l);

enum alpn_choice {
	ALPN_CHOSEN,
	ALPN_SILENT, /* go on as if nobody had asked */
	ALPN_NONE,   /* nothing in common */
};

/* The first of ours that the client offers.  As Go has it: a client that knows HTTP/1.1 may talk to
 * a server of HTTP/2 without agreement.
 */
enum alpn_choice alpn_choose(const struct alpn_list *ours, const uint8_t *offer, unsigned len,
			     const uint8_t **out, uint8_t *outlen);

#endif
