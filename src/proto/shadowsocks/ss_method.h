/* ss_method.h - the ciphers of Shadowsocks, and how keys come from passwords and salts
 * (docs/protocols/shadowsocks.md, sections 1 to 4).
 *
 *     m = ss_method_find("2022-blake3-aes-128-gcm");
 *     err = ss_key(m, password, strlen(password), key);         // the long-lived key
 *     err = ss_subkey(m, key, salt, m->salt_len, subkey);       // of one stream, one direction
 *     aead_key_set(&k, m->alg, subkey);
 *
 * Threads: any.
 */
#ifndef WEIR_PROTO_SS_METHOD_H
#define WEIR_PROTO_SS_METHOD_H

#include "base/base.h"
#include "crypto/aead.h"
#include "crypto/stream_cipher.h"

#define SS_KEY_MAX	32
#define SS_SALT_MAX	32
#define SS_SUBKEY_INFO	"ss-subkey" /* of HKDF-SHA1 */
#define SS_IDENTITY_LEN 16	    /* hash of a user's key in an identity header */

enum ss_class {
	SS_PLAIN,  /* "none": no cipher at all */
	SS_STREAM, /* no integrity: only where an operator asks for it by name */
	SS_AEAD,   /* SIP004 */
	SS_2022,   /* SIP022, SIP023 */
};

struct ss_method {
	const char *name; /* lower case, as panels and links write it */
	uint8_t class;	  /* enum ss_class */
	uint8_t alg;	  /* enum aead_alg; of SS_STREAM enum stream_cipher_alg */
	uint8_t key_len;  /* 0 for SS_PLAIN */
	uint8_t salt_len; /* the IV of SS_STREAM; 0 for SS_PLAIN */
	bool identity;	  /* has identity headers: several users with an O(1) look-up */
	uint16_t chunk;	  /* most payload in one chunk; 0: not framed */
};

/* By name, also "chacha20-poly1305", "plain" and the "AEAD_..." of old programs, whatever the case.
 * NULL: nobody's. */
const struct ss_method *ss_method_find(const char *name);
const struct ss_method *ss_method_at(size_t i); /* NULL behind the last */

/* SS_PLAIN and SS_STREAM: served only where the operator's own file allows it. */
bool ss_method_insecure(const struct ss_method *m);

/* The long-lived key, m->key_len bytes, of a password; of 2022: base64 of exactly that many bytes.
 * 0; -ERR_MALFORMED: not a key; -ERR_CRYPTO.
 */
MUST_CHECK int ss_key(const struct ss_method *m, const char *password, size_t len, uint8_t *key);

/* Of one stream or packet.  SS_AEAD: HKDF-SHA1; SS_2022: BLAKE3 (`salt` of a UDP session is its 8
 * byte id).  `subkey` receives m->key_len bytes.  0 or -ERR_CRYPTO. */
MUST_CHECK int ss_subkey(const struct ss_method *m, const uint8_t *key, const uint8_t *salt,
			 size_t saltlen, uint8_t *subkey);

/* SIP023.  The key under which a stream's identity header lies, and what it says of a user. */
void ss_identity_subkey(const struct ss_method *m, const uint8_t *ipsk, const uint8_t *salt,
			uint8_t *subkey);
void ss_identity_hash(const struct ss_method *m, const uint8_t *upsk, uint8_t id[SS_IDENTITY_LEN]);

/* What a user table is indexed by (user_derive of registry.h; the promise of ss_users.h): `key` and
 * `secret` are SS_KEY_MAX bytes each for every method, zeros behind what is shorter.  SS_2022: the
 * identity hash, and the PSK as the secret.  Others: the long-lived key (of SS_PLAIN a digest), and
 * no secret.
 */
enum ss_credential {
	SS_CREDENTIAL_TEXT, /* v2sp, UniProxy: the first key_len bytes of the text are the PSK */
	SS_CREDENTIAL_KEY,  /* everybody else: base64 of the PSK */
};

/* 0; -ERR_MALFORMED: an invalid user; -ERR_CRYPTO. */
MUST_CHECK int ss_user_derive(const struct ss_method *m, enum ss_credential form,
			      const char *credential, size_t len, uint8_t key[SS_KEY_MAX],
			      uint8_t secret[SS_KEY_MAX]);

/* The same of a PSK that is known already. */
int ss_user_of_psk(const struct ss_method *m, const uint8_t *psk, uint8_t key[SS_KEY_MAX],
		   uint8_t secret[SS_KEY_MAX]);

#endif
