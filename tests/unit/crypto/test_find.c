/* Many keys at once say what one by one they would. */
#include "crypto/aead_find.h"
#include "crypto/hkdf_many.h"
#include "crypto/hkdf_sha1.h"
#include "crypto/kdf.h"
#include "crypto/random.h"
#include "unit.h"

static void hkdf_of_many_is_hkdf_of_each(void **state)
{
	uint8_t keys[HKDF_MANY][HKDF_MANY_KEY_MAX], out[HKDF_MANY][HKDF_MANY_KEY_MAX], want[32];
	uint8_t salt[64];
	struct hkdf_many m;

	random_bytes(keys, sizeof(keys));
	random_bytes(salt, sizeof(salt));
	for (size_t len = 16; len <= 32; len += 8) {
		for (size_t saltlen = 8; saltlen <= 64; saltlen += 8) {
			hkdf_many_start(&m, salt, saltlen, "ss-subkey");
			for (int n = 1; n <= HKDF_MANY; n++) {
				memset(out, 0xee, sizeof(out));
				hkdf_many(&m, (const uint8_t(*)[32])keys, n, len, out);
				for (int k = 0; k < n; k++) {
					const struct hkdf_input in = {salt, saltlen,	 keys[k],
								      len,  "ss-subkey", 9};

					assert_int_equal(hkdf(HASH_SHA1, &in, want, len), 0);
					assert_memory_equal(out[k], want, len);
				}
				if (n < HKDF_MANY)
					assert_int_equal(out[n][0], 0xee);
			}
		}
	}
}

static void hkdf_of_short_input_is_hkdf(void **state)
{
	static const char long_info[] = "more than fits into one block behind a digest";
	uint8_t salt[80], key[80], out[101], want[100];

	random_bytes(salt, sizeof(salt));
	random_bytes(key, sizeof(key));
	for (size_t saltlen = 0; saltlen <= sizeof(salt); saltlen += 8) {
		for (size_t len = 1; len <= sizeof(key); len++) {
			const char *info = long_info + (len % 2 ? 0 : 30);
			const struct hkdf_input in = {salt, saltlen, key, len, info, strlen(info)};
			size_t n = len + 20;

			memset(out, 0xee, sizeof(out));
			assert_int_equal(hkdf_sha1(&in, out, n), 0);
			assert_int_equal(hkdf(HASH_SHA1, &in, want, n), 0);
			assert_memory_equal(out, want, n);
			assert_int_equal(out[n], 0xee);
		}
	}
}

/* NULL where there is nothing. */
static void hkdf_of_empty_input_is_hkdf(void **state)
{
	static const char some[20] = "twenty bytes of text";
	uint8_t out[50], want[50];

	for (unsigned have = 0; have < 8; have++) {
		const struct hkdf_input in = {
			.salt = have & 1 ? some : NULL,
			.saltlen = have & 1 ? sizeof(some) : 0,
			.ikm = have & 2 ? some : NULL,
			.ikmlen = have & 2 ? sizeof(some) : 0,
			.info = have & 4 ? some : NULL,
			.infolen = have & 4 ? sizeof(some) : 0,
		};

		assert_int_equal(hkdf_sha1(&in, out, sizeof(out)), 0);
		assert_int_equal(hkdf(HASH_SHA1, &in, want, sizeof(want)), 0);
		assert_memory_equal(out, want, sizeof(want));
	}
}

static bool anything(const uint8_t *first, size_t n, size_t textlen)
{
	return true;
}

static bool begins_as_it_should(const uint8_t *first, size_t n, size_t textlen)
{
	return first[0] == 7 && (n < 2 || first[n - 1] == (uint8_t)(7 * n));
}

static bool nothing(const uint8_t *first, size_t n, size_t textlen)
{
	return false;
}

static const uint8_t zero[AEAD_NONCE_MAX];

static void seal_with(enum aead_alg alg, const uint8_t *key, size_t len, uint8_t *out)
{
	uint8_t text[1500];
	struct aead_key k;

	for (size_t i = 0; i < len; i++)
		text[i] = (uint8_t)(7 * (i + 1));
	aead_key_set(&k, alg, key);
	assert_int_equal(aead_seal(&k, zero, NULL, 0, text, len, out), 0);
	aead_key_clear(&k);
}

static void each_engine(void (*test)(void))
{
	static const char *const engines[] = {"evp", "ipsecmb"};

	for (size_t i = 0; i < ARRAY_LEN(engines); i++) {
		if (!aead_init(engines[i]))
			test();
	}
	assert_null(aead_init("auto"));
}

static void finds_in_every_place(void)
{
	static const size_t lens[] = {1, 2, 15, 16, 17, 100, 1500};
	uint8_t keys[AEAD_FIND_MANY][AEAD_KEY_MAX], in[1500 + AEAD_TAG], scratch[1500];

	random_bytes(keys, sizeof(keys));
	for (int alg = 0; alg < AEAD_ALGS; alg++) {
		for (int at = 0; at < AEAD_FIND_MANY; at++) {
			size_t len = lens[(size_t)at % ARRAY_LEN(lens)];
			struct aead_find q = {(enum aead_alg)alg, in, len + AEAD_TAG,
					      begins_as_it_should, scratch};

			seal_with(q.alg, keys[at], len, in);
			assert_int_equal(aead_find(&q, (const uint8_t(*)[32])keys, AEAD_FIND_MANY),
					 at);
			assert_int_equal(scratch[len - 1], (uint8_t)(7 * len));
			assert_int_equal(aead_find(&q, (const uint8_t(*)[32])keys, at + 1), at);
			if (at > 0)
				assert_int_equal(aead_find(&q, (const uint8_t(*)[32])keys, at),
						 -ERR_AUTH);
		}
	}
}

static void the_key_is_found_in_every_place(void **state)
{
	each_engine(finds_in_every_place);
}

static void a_message_that_was_touched_is_nobodys(void **state)
{
	uint8_t keys[AEAD_FIND_MANY][AEAD_KEY_MAX], in[2 + AEAD_TAG], scratch[2];

	random_bytes(keys, sizeof(keys));
	for (int alg = 0; alg < AEAD_ALGS; alg++) {
		struct aead_find q = {(enum aead_alg)alg, in, sizeof(in), anything, scratch};

		seal_with(q.alg, keys[3], 2, in);
		for (size_t bit = 0; bit < 8 * sizeof(in); bit++) {
			in[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(aead_find(&q, (const uint8_t(*)[32])keys, 16), -ERR_AUTH);
			in[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		assert_int_equal(aead_find(&q, (const uint8_t(*)[32])keys, 16), 3);
		for (q.len = 0; q.len < AEAD_TAG; q.len++)
			assert_int_equal(aead_find(&q, (const uint8_t(*)[32])keys, 16), -ERR_AUTH);
	}
}

static void what_is_not_plausible_is_not_opened(void **state)
{
	uint8_t keys[1][AEAD_KEY_MAX], in[2 + AEAD_TAG], scratch[2];
	struct aead_find q = {AEAD_CHACHA20_POLY1305, in, sizeof(in), nothing, scratch};

	random_bytes(keys, sizeof(keys));
	seal_with(q.alg, keys[0], 2, in);
	assert_int_equal(aead_find(&q, (const uint8_t(*)[32])keys, 1), -ERR_AUTH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hkdf_of_many_is_hkdf_of_each),
		cmocka_unit_test(hkdf_of_short_input_is_hkdf),
		cmocka_unit_test(hkdf_of_empty_input_is_hkdf),
		cmocka_unit_test(the_key_is_found_in_every_place),
		cmocka_unit_test(a_message_that_was_touched_is_nobodys),
		cmocka_unit_test(what_is_not_plausible_is_not_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
