#include "unit.h"

#include <pthread.h>

#include "crypto/ct.h"
#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "crypto/random.h"
#include "hex.h"

/* "abc": RFC 1321 A.5, FIPS 180-2 appendices. */
static void digests_of_abc_are_the_published_ones(void **state)
{
	static const char *want[HASH_ALGS] = {
		[HASH_MD5] = "900150983cd24fb0d6963f7d28e17f72",
		[HASH_SHA1] = "a9993e364706816aba3e25717850c26c9cd0d89d",
		[HASH_SHA224] = "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7",
		[HASH_SHA256] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		[HASH_SHA384] = "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
				"8086072ba1e7cc2358baeca134c825a7",
		[HASH_SHA512] = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
				"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
	};
	uint8_t out[HASH_MAX];

	for (int i = 0; i < HASH_ALGS; i++) {
		assert_int_equal(hash(i, "abc", 3, out), 0);
		assert_hex(out, hash_size(i), want[i]);
	}
}

static void pieces_hash_like_the_whole(void **state)
{
	struct iovec iov[3] = {{"a", 1}, {"", 0}, {"bc", 2}};
	uint8_t a[HASH_MAX], b[HASH_MAX];

	for (int i = 0; i < HASH_ALGS; i++) {
		assert_int_equal(hash(i, "abc", 3, a), 0);
		assert_int_equal(hash_iov(i, iov, 3, b), 0);
		assert_memory_equal(a, b, hash_size(i));
	}
}

static void a_growing_hash_can_be_looked_at_on_the_way(void **state)
{
	struct hash *h = hash_new(HASH_SHA256);
	uint8_t a[HASH_MAX], b[HASH_MAX];

	assert_int_equal(hash_update(h, "a", 1), 0);
	assert_int_equal(hash_peek(h, a), 0);
	assert_int_equal(hash(HASH_SHA256, "a", 1, b), 0);
	assert_memory_equal(a, b, 32);
	assert_int_equal(hash_update(h, "bc", 2), 0);
	assert_int_equal(hash_peek(h, a), 0);
	assert_int_equal(hash(HASH_SHA256, "abc", 3, b), 0);
	assert_memory_equal(a, b, 32);
	hash_free(h);
}

/* RFC 4231 cases 1, 2, 6 (key longer than a block). */
static void hmac_matches_rfc4231(void **state)
{
	uint8_t key[131], out[HASH_MAX];
	const char *big = "Test Using Larger Than Block-Size Key - Hash Key First";

	memset(key, 0x0b, 20);
	assert_int_equal(hmac(HASH_SHA256, key, 20, "Hi There", 8, out), 0);
	assert_hex(out, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	assert_int_equal(hmac(HASH_SHA224, "Jefe", 4, "what do ya want for nothing?", 28, out), 0);
	assert_hex(out, 28, "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44");
	memset(key, 0xaa, 131);
	assert_int_equal(hmac(HASH_SHA256, key, 131, big, strlen(big), out), 0);
	assert_hex(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	assert_int_equal(hmac(HASH_SHA384, key, 131, big, strlen(big), out), 0);
	assert_hex(out, 48,
		   "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c6"
		   "0c2ef6ab4030fe8296248df163f44952");
}

/* RFC 5869 A.1, A.3 and A.4. */
static void hkdf_matches_rfc5869(void **state)
{
	uint8_t ikm[22], salt[13], info[10], prk[HASH_MAX], out[42];

	memset(ikm, 0x0b, sizeof(ikm));
	unhex("000102030405060708090a0b0c", salt);
	unhex("f0f1f2f3f4f5f6f7f8f9", info);
	assert_int_equal(hkdf_extract(HASH_SHA256, salt, 13, ikm, 22, prk), 0);
	assert_hex(prk, 32, "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
	assert_int_equal(hkdf_expand(HASH_SHA256, prk, 32, info, 10, out, 42), 0);
	assert_hex(out, 42,
		   "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
		   "34007208d5b887185865");
	assert_int_equal(hkdf(HASH_SHA256, &(struct hkdf_input){.ikm = ikm, .ikmlen = 22}, out, 42),
			 0);
	assert_hex(out, 42,
		   "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
		   "9d201395faa4b61a96c8");
	assert_int_equal(
		hkdf(HASH_SHA1, &(struct hkdf_input){salt, 13, ikm, 11, info, 10}, out, 42), 0);
	assert_hex(out, 42,
		   "085a01ea1b10f36933068b56efa5ad81a4f14b822f5b091568a9cdd4f155fda2"
		   "c22e422478d305f3f896");
}

/* RFC 8448 section 3: the server's application traffic secret and its key and iv. */
static void label_expansion_matches_rfc8448(void **state)
{
	uint8_t secret[32], out[32];

	unhex("a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643", secret);
	assert_int_equal(hkdf_label(HASH_SHA256, secret, "key", NULL, 0, out, 16), 0);
	assert_hex(out, 16, "9f02283b6c9c07efc26bb9f2ac92e356");
	assert_int_equal(hkdf_label(HASH_SHA256, secret, "iv", NULL, 0, out, 12), 0);
	assert_hex(out, 12, "cf782b88dd83549aadf1e984");
}

static void ct_equal_tells_equal_from_different(void **state)
{
	uint8_t a[40], b[40];

	random_bytes(a, sizeof(a));
	memcpy(b, a, sizeof(b));
	assert_true(ct_equal(a, b, sizeof(a)));
	for (size_t i = 0; i < sizeof(a); i++) {
		b[i] ^= 1 << (i % 8);
		assert_false(ct_equal(a, b, sizeof(a)));
		b[i] = a[i];
	}
	cleanse(a, sizeof(a));
	for (size_t i = 0; i < sizeof(a); i++)
		assert_int_equal(a[i], 0);
}

static void random_below_stays_below_and_reaches_all(void **state)
{
	unsigned seen[7] = {0};

	for (int i = 0; i < 2000; i++) {
		uint32_t v = random_below(7);

		assert_true(v < 7);
		seen[v]++;
	}
	for (int i = 0; i < 7; i++)
		assert_true(seen[i] > 150);
	assert_int_not_equal(random_u64(), random_u64());
}

static void *hash_in_a_thread(void *arg)
{
	uint8_t out[HASH_MAX];

	return hash(HASH_SHA256, "abc", 3, out) || out[0] != 0xba ? arg : NULL;
}

static void threads_have_contexts_of_their_own(void **state)
{
	pthread_t t[4];
	void *ret;

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, hash_in_a_thread, "failed"), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &ret);
		assert_null(ret);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests_of_abc_are_the_published_ones),
		cmocka_unit_test(pieces_hash_like_the_whole),
		cmocka_unit_test(a_growing_hash_can_be_looked_at_on_the_way),
		cmocka_unit_test(hmac_matches_rfc4231),
		cmocka_unit_test(hkdf_matches_rfc5869),
		cmocka_unit_test(label_expansion_matches_rfc8448),
		cmocka_unit_test(ct_equal_tells_equal_from_different),
		cmocka_unit_test(random_below_stays_below_and_reaches_all),
		cmocka_unit_test(threads_have_contexts_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
