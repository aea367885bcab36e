#include "proto/vmess/vmess_seal.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "crypto/aes_block.h"
#include "crypto/ct.h"
#include "crypto/hash.h"

#define BLOCK	    64
#define TEXT(s)	    ((struct iovec){(void *)(uintptr_t)(s), sizeof(s) - 1})
#define BYTES(p, n) ((struct iovec){(void *)(uintptr_t)(p), (n)})
#define PARTS	    (VMESS_PATH_MAX + 2)

/* ---- keys -------------------------------------------------------------------------------- */

/* HMAC with the HMAC of the level below as its hash; at the bottom SHA-256 under a constant key. */
static int nested(const uint8_t (*keys)[BLOCK], int level, const struct iovec *msg, int n,
		  uint8_t out[32])
{
	static const char bottom[] = "VMess AEAD KDF";
	uint8_t pad[BLOCK], inner[32];
	struct iovec iov[PARTS];
	int err;

	if (level == 0)
		return hmac_iov(HASH_SHA256, bottom, sizeof(bottom) - 1, msg, n, out);
	assert(n < PARTS);
	for (int i = 0; i < BLOCK; i++)
		pad[i] = keys[level - 1][i] ^ 0x36;
	iov[0] = BYTES(pad, BLOCK);
	memcpy(iov + 1, msg, (size_t)n * sizeof(*msg));
	err = nested(keys, level - 1, iov, n + 1, inner);
	for (int i = 0; i < BLOCK; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	iov[1] = BYTES(inner, sizeof(inner));
	return err ? err : nested(keys, level - 1, iov, 2, out);
}

int vmess_kdf(const void *key, size_t len, const struct iovec *path, int n, uint8_t out[32])
{
	uint8_t keys[VMESS_PATH_MAX][BLOCK] = {0};
	struct iovec msg = BYTES(key, len);

	assert(n <= VMESS_PATH_MAX);
	for (int i = 0; i < n; i++) {
		assert(path[i].iov_len <= BLOCK);
		memcpy(keys[i], path[i].iov_base, path[i].iov_len);
	}
	return nested((const uint8_t(*)[BLOCK])keys, n, &msg, 1, out);
}

int vmess_command_key(const uint8_t id[16], uint8_t key[VMESS_KEY_LEN])
{
	const struct iovec iov[2] = {BYTES(id, 16), TEXT("c48619fe-8f02-49e0-b9e9-edf763e17e21")};

	return hash_iov(HASH_MD5, iov, 2, key);
}

int vmess_id_key(const uint8_t command_key[VMESS_KEY_LEN], uint8_t key[16])
{
	const struct iovec path = TEXT("AES Auth ID Encryption");
	uint8_t out[32];
	int err = vmess_kdf(command_key, VMESS_KEY_LEN, &path, 1, out);

	if (!err)
		memcpy(key, out, 16);
	return err;
}

int vmess_turn(const uint8_t request[VMESS_KEY_LEN], uint8_t answer[VMESS_KEY_LEN])
{
	uint8_t out[32];
	int err = hash(HASH_SHA256, request, VMESS_KEY_LEN, out);

	if (!err)
		memcpy(answer, out, VMESS_KEY_LEN);
	return err;
}

/* ---- AES-128-GCM under a key for one message --------------------------------------------- */

struct once {
	uint8_t key[32], nonce[32]; /* the first 16, and 12 bytes */
};

static int seal_once(const struct once *o, const void *aad, size_t aadlen, const void *in,
		     size_t len, uint8_t *out)
{
	struct aead_key k;
	int err;

	aead_key_set(&k, AEAD_AES_128_GCM, o->key);
	err = aead_seal(&k, o->nonce, aad, aadlen, in, len, out);
	aead_key_clear(&k);
	return err;
}

/* `len` without the tag. */
static int open_once(const struct once *o, const void *aad, size_t aadlen, const void *in,
		     size_t len, uint8_t *out)
{
	struct aead_key k;
	int err;

	aead_key_set(&k, AEAD_AES_128_GCM, o->key);
	err = aead_open(&k, o->nonce, aad, aadlen, in, len + AEAD_TAG, out);
	aead_key_clear(&k);
	return err;
}

/* ---- the request ------------------------------------------------------------------------- */

static int head_once(const uint8_t *key, const uint8_t *sealed_id, const uint8_t *nonce,
		     bool of_length, struct once *o)
{
	const struct iovec path[2][VMESS_PATH_MAX] = {
		{of_length ? TEXT("VMess Header AEAD Key_Length") : TEXT("VMess Header AEAD Key"),
		 BYTES(sealed_id, VMESS_ID_LEN), BYTES(nonce, VMESS_NONCE)},
		{of_length ? TEXT("VMess Header AEAD Nonce_Length")
			   : TEXT("VMess Header AEAD Nonce"),
		 BYTES(sealed_id, VMESS_ID_LEN), BYTES(nonce, VMESS_NONCE)},
	};
	int err = vmess_kdf(key, VMESS_KEY_LEN, path[0], 3, o->key);

	return err ? err : vmess_kdf(key, VMESS_KEY_LEN, path[1], 3, o->nonce);
}

int vmess_head_open(const uint8_t key[VMESS_KEY_LEN], const uint8_t head[VMESS_HEAD], size_t *len)
{
	struct once o;
	uint8_t n[2];
	int err = head_once(key, head, head + VMESS_ID_LEN + VMESS_SEALED_U16, true, &o);

	if (!err)
		err = open_once(&o, head, VMESS_ID_LEN, head + VMESS_ID_LEN, sizeof(n), n);
	if (!err)
		*len = (size_t)n[0] << 8 | n[1];
	return err;
}

int vmess_request_open(const uint8_t key[VMESS_KEY_LEN], const uint8_t head[VMESS_HEAD], size_t len,
		       uint8_t *text)
{
	struct once o;
	int err = head_once(key, head, head + VMESS_ID_LEN + VMESS_SEALED_U16, false, &o);

	return err ? err : open_once(&o, head, VMESS_ID_LEN, head + VMESS_HEAD, len, text);
}

int vmess_head_seal(const uint8_t key[VMESS_KEY_LEN], const uint8_t id[VMESS_ID_LEN],
		    const uint8_t nonce[VMESS_NONCE], const uint8_t *request, size_t len,
		    struct wr *w)
{
	const uint8_t n[2] = {(uint8_t)(len >> 8), (uint8_t)len};
	uint8_t *out = wr_room(w, VMESS_HEAD + len + AEAD_TAG), id_key[16];
	struct once o;
	int err = out ? vmess_id_key(key, id_key) : w->err;

	if (!err)
		err = aes_block_encrypt(id_key, sizeof(id_key), id, out);
	if (!err)
		err = head_once(key, out, nonce, true, &o);
	if (!err)
		err = seal_once(&o, out, VMESS_ID_LEN, n, sizeof(n), out + VMESS_ID_LEN);
	if (!err)
		err = head_once(key, out, nonce, false, &o);
	if (!err) {
		memcpy(out + VMESS_HEAD - VMESS_NONCE, nonce, VMESS_NONCE);
		err = seal_once(&o, out, VMESS_ID_LEN, request, len, out + VMESS_HEAD);
	}
	cleanse(id_key, sizeof(id_key));
	return err;
}

/* ---- the answer -------------------------------------------------------------------------- */

static int answer_once(const uint8_t *key, const uint8_t *iv, bool of_length, struct once *o)
{
	const struct iovec path[2] = {
		of_length ? TEXT("AEAD Resp Header Len Key") : TEXT("AEAD Resp Header Key"),
		of_length ? TEXT("AEAD Resp Header Len IV") : TEXT("AEAD Resp Header IV"),
	};
	int err = vmess_kdf(key, VMESS_KEY_LEN, &path[0], 1, o->key);

	return err ? err : vmess_kdf(iv, VMESS_KEY_LEN, &path[1], 1, o->nonce);
}

int vmess_answer_seal(const uint8_t *key, const uint8_t *iv, uint8_t first,
		      uint8_t out[VMESS_SEALED_ANSWER])
{
	const uint8_t n[2] = {0, VMESS_ANSWER_LEN}, text[VMESS_ANSWER_LEN] = {first};
	struct once o;
	int err = answer_once(key, iv, true, &o);

	if (!err)
		err = seal_once(&o, NULL, 0, n, sizeof(n), out);
	if (!err)
		err = answer_once(key, iv, false, &o);
	return err ? err : seal_once(&o, NULL, 0, text, sizeof(text), out + VMESS_SEALED_U16);
}

int vmess_answer_len(const uint8_t *key, const uint8_t *iv, const uint8_t *sealed, size_t *len)
{
	struct once o;
	uint8_t n[2];
	int err = answer_once(key, iv, true, &o);

	if (!err)
		err = open_once(&o, NULL, 0, sealed, sizeof(n), n);
	if (!err)
		*len = (size_t)n[0] << 8 | n[1];
	return err;
}

int vmess_answer_open(const uint8_t *key, const uint8_t *iv, const uint8_t *sealed, size_t len,
		      uint8_t *text)
{
	struct once o;
	int err = answer_once(key, iv, false, &o);

	return err ? err : open_once(&o, NULL, 0, sealed, len, text);
}
