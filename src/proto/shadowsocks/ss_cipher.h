/* ss_cipher.h - a Shadowsocks stream cipher as a layer: an IV in front of each direction, then
 * enciphered bytes.  Nothing tells a changed byte from a right one.
 */
#ifndef WEIR_PROTO_SS_CIPHER_H
#define WEIR_PROTO_SS_CIPHER_H

#include "crypto/stream_cipher.h"
#include "proto/shadowsocks/ss_method.h"
#include "stream/stream.h"

/* `m` is of class SS_STREAM, `key` of m->key_len bytes, copied.  NULL: no memory, `lower` is freed. */
struct stream *ss_cipher_new(struct stream *lower, const struct ss_method *m, const uint8_t *key);

/* What does it, for one direction of a stream or one packet, after an IV of m->salt_len bytes.  NULL: no
 * memory, or libcrypto does not offer it.
 */
struct stream_cipher *ss_cipher_make(const struct ss_method *m, const uint8_t *key,
				     const uint8_t *iv, bool encrypt);

#endif
