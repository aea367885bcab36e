/* hello.h - a TLS ClientHello, read but not answered.
 *
 * For the server's certificate choice, for sniffing, for REALITY.  Pure: everything in a struct
 * tls_hello points into the bytes that were parsed.  Lists are left as they lie on the wire and
 * walked with the functions below; the parser has checked that they are well-formed.
 */
#ifndef WEIR_TLS_HELLO_H
#define WEIR_TLS_HELLO_H

#include "base/base.h"
#include "base/rd.h"

/* The longest ClientHello that is gathered; those with post-quantum shares are about 2 KB. */
#define TLS_HELLO_MAX 16384

struct tls_bytes {
	const uint8_t *p; /* NULL: the extension was not there */
	size_t len;
};

struct tls_hello {
	struct tls_bytes raw;	     /* the whole handshake message with its four bytes of header */
	uint16_t version;	     /* legacy_version: 0x0303 for anything modern */
	const uint8_t *random;	     /* 32 bytes */
	struct tls_bytes session_id; /* 0..32 bytes */
	struct tls_bytes ciphers;    /* of 16 bits each */
	struct tls_bytes compression; /* methods, a byte each */
	struct tls_bytes sni;	      /* the host name, as sent */
	struct tls_bytes alpn;	      /* protocols, each behind its length byte */
	struct tls_bytes versions;    /* of 16 bits each */
	struct tls_bytes groups;      /* of 16 bits each */
	struct tls_bytes sigalgs;     /* of 16 bits each */
	struct tls_bytes shares;      /* group, length, key */
	struct tls_bytes extensions;  /* all of them */
	bool psk, early_data, ech;
};

/* A handshake message: type, length, body.  -ERR_MORE for a prefix. */
MUST_CHECK int tls_hello_parse(struct rd *in, struct tls_hello *out);

/* The same out of TLS records, as they come from the wire.  A message split over records is
 * gathered into `buf` (TLS_HELLO_MAX bytes), one that is not stays where it lies.  -ERR_TOO_BIG
 * beyond that. On success `in` stands behind the last record that was needed; whatever else that
 * record holds is -ERR_MALFORMED, as nothing may follow a ClientHello.
 */
MUST_CHECK int tls_hello_read(struct rd *in, uint8_t *buf, struct tls_hello *out);

/* Is `value` in a list of 16-bit numbers? */
bool tls_hello_lists(struct tls_bytes list, uint16_t value);

/* TLS 1.3 offered? */
static inline bool tls_hello_is_13(const struct tls_hello *h)
{
	return tls_hello_lists(h->versions, 0x0304);
}

/* The key share of `group`, or { NULL }. */
struct tls_bytes tls_hello_share(const struct tls_hello *h, uint16_t group);

/* The next protocol name of `list`, which moves on; false at its end. */
bool tls_hello_next_alpn(struct tls_bytes *list, struct tls_bytes *name);

/* Any other extension by number, or { NULL }. */
struct tls_bytes tls_hello_extension(const struct tls_hello *h, uint16_t type);

#endif
