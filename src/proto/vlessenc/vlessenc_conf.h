/* vlessenc_conf.h - the dotted strings that VLESS Encryption is configured with, and what they say.
 *
 *     mlkem768x25519plus . native|xorpub|random . 600s | 300-600s | 0s . [padding…] . key…    server
 *     mlkem768x25519plus . native|xorpub|random . 0rtt | 1rtt          . [padding…] . key…    client
 *
 * Immutable once made; the client's carries the ticket that its connections share.
 *
 * Threads: making and put() by one; reading by any.
 */
#ifndef WEIR_PROTO_VLESSENC_CONF_H
#define WEIR_PROTO_VLESSENC_CONF_H

#include "base/arena.h"
#include "crypto/mlkem768.h"
#include "crypto/x25519.h"

#define VLESSENC_METHOD	  "mlkem768x25519plus"
#define VLESSENC_KEYS	  8	/* relays of a chain, at most */
#define VLESSENC_PADS	  32	/* lengths and gaps together */
#define VLESSENC_PAD_MIN  35	/* of the first length: a sealed length and a sealed byte */
#define VLESSENC_PAD_MAX  65553 /* of all lengths together: 18 bytes in front, 16 bits of the rest */
#define VLESSENC_LIFE_MAX 65535 /* seconds: a ticket has 16 bits for them */

enum vlessenc_mode {
	VLESSENC_NATIVE, /* keys and records as they are */
	VLESSENC_XORPUB, /* keys masked: every byte of the hello looks random */
	VLESSENC_RANDOM, /* headers of records as well: nothing but random bytes at all */
};

/* With probability prob/100 something of from..to-1, else 0. */
struct vlessenc_range {
	uint32_t prob, from, to;
};

/* Lengths in bytes and gaps in milliseconds, in turn. */
struct vlessenc_padding {
	struct vlessenc_range v[VLESSENC_PADS];
	unsigned n;
};

struct vlessenc_key {
	uint8_t priv[X25519_LEN];    /* server, X25519 */
	struct mlkem768_key *decaps; /* server, ML-KEM */
	uint8_t pub[MLKEM768_PUB];   /* X25519_LEN bytes of it for X25519 */
	uint8_t hash[32], mask[32];  /* BLAKE3 of pub; the key of the stream that masks a relay */
	bool mlkem;
};

struct vlessenc_conf {
	enum vlessenc_mode mode;
	bool server;
	bool zero_rtt;		     /* the client uses tickets; the server issues them */
	uint32_t life_from, life_to; /* seconds */
	struct vlessenc_padding padding;
	struct vlessenc_key *keys;
	unsigned nkeys;
	size_t relays;			  /* bytes between the iv and the first box */
	struct vlessenc_tickets *tickets; /* server: the node's, not owned; client: its own */
};

/* `tickets` (may be NULL: none are issued) outlives it.  0; -ERR_CONFIG with a phrase in *why
 * (static storage); -ENOMEM, -ERR_CRYPTO.
 */
MUST_CHECK int vlessenc_server_conf_new(const char *decryption, struct vlessenc_tickets *tickets,
					struct vlessenc_conf **out, const char **why);
MUST_CHECK int vlessenc_client_conf_new(const char *encryption, struct vlessenc_conf **out,
					const char **why);
void vlessenc_conf_free(struct vlessenc_conf *c); /* NULL is fine */

/* What clients of a server need, in `mem`: its mode, its public keys, 0rtt where it issues tickets.
 * Errors as above.
 */
MUST_CHECK int vlessenc_client_text(const char *decryption, struct arena *mem, const char **out,
				    const char **why);

/* A connection's paddings, drawn: *total bytes in all, len[i], then gap_ms[i], then len[i + 1]...
 * Returns the number of lengths.
 */
unsigned vlessenc_padding_draw(const struct vlessenc_padding *p, uint32_t len[VLESSENC_PADS],
			       uint32_t gap_ms[VLESSENC_PADS], uint32_t *total);

/* Seconds that a ticket shall live; 0: it cannot be resumed. */
uint32_t vlessenc_life_draw(const struct vlessenc_conf *c);

#endif
