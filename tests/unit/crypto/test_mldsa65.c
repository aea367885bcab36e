#include "unit.h"

#include "crypto/hash.h"
#include "crypto/keccak.h"
#include "crypto/mldsa65.h"
#include "hex.h"
#include "vectors.h"

/* Public keys and deterministic signatures of an empty message in one digest: the accumulated
 * vectors of C2SP/CCTV, ML-DSA.
 */
static void accumulate(int rounds, uint8_t digest[32])
{
	uint8_t seed[MLDSA65_SEED], sig[MLDSA65_SIG];
	struct keccak in, all;
	struct mldsa65_key *k;

	shake128_init(&in);
	shake128_init(&all);
	for (int i = 0; i < rounds; i++) {
		keccak_squeeze(&in, seed, sizeof(seed));
		k = mldsa65_key_new(seed);
		assert_non_null(k);
		keccak_absorb(&all, mldsa65_public(k), MLDSA65_PUB);
		mldsa65_sign(k, NULL, "", 0, sig);
		keccak_absorb(&all, sig, sizeof(sig));
		assert_int_equal(mldsa65_verify(mldsa65_public(k), "", 0, sig, sizeof(sig)), 0);
		mldsa65_key_free(k);
	}
	keccak_squeeze(&all, digest, 32);
}

static void keys_and_signatures_are_those_of_the_reference(void **state)
{
	uint8_t digest[32];

	accumulate(100, digest);
	assert_hex(digest, 32, "8358a1843220194417cadbc2651295cd8fc65125b5a5c1a239a16dc8b57ca199");
}

static void another_implementation_s_signature_is_accepted(void **state)
{
	uint8_t seed[32], want[32], got[32], msg[64], sig[MLDSA65_SIG];
	struct mldsa65_key *k;

	assert_int_equal(vector_bytes("reality_mldsa", "seed", seed), 32);
	assert_int_equal(vector_bytes("reality_mldsa", "public_sha256", want), 32);
	assert_int_equal(vector_bytes("reality_mldsa", "signed_message", msg), 64);
	assert_int_equal(vector_bytes("reality_mldsa", "signature", sig), sizeof(sig));
	k = mldsa65_key_new(seed);
	assert_non_null(k);
	assert_int_equal(hash(HASH_SHA256, mldsa65_public(k), MLDSA65_PUB, got), 0);
	assert_memory_equal(got, want, 32);
	assert_int_equal(mldsa65_verify(mldsa65_public(k), msg, 64, sig, sizeof(sig)), 0);
	mldsa65_key_free(k);
}

static void no_changed_bit_of_key_message_or_signature_is_accepted(void **state)
{
	uint8_t seed[32] = {7}, rnd[32] = {9}, msg[100] = {3}, sig[MLDSA65_SIG], pub[MLDSA65_PUB];
	struct mldsa65_key *k = mldsa65_key_new(seed);

	assert_non_null(k);
	memcpy(pub, mldsa65_public(k), sizeof(pub));
	mldsa65_sign(k, rnd, msg, sizeof(msg), sig);
	assert_int_equal(mldsa65_verify(pub, msg, sizeof(msg), sig, sizeof(sig)), 0);
	assert_int_equal(mldsa65_verify(pub, msg, sizeof(msg) - 1, sig, sizeof(sig)), -ERR_AUTH);
	assert_int_equal(mldsa65_verify(pub, msg, sizeof(msg), sig, sizeof(sig) - 1), -ERR_AUTH);
	assert_int_equal(mldsa65_verify(pub, msg, sizeof(msg), sig, 0), -ERR_AUTH);
	for (size_t i = 0; i < sizeof(sig); i += 13) {
		sig[i] ^= 1;
		assert_int_equal(mldsa65_verify(pub, msg, sizeof(msg), sig, sizeof(sig)),
				 -ERR_AUTH);
		sig[i] ^= 1;
	}
	/* the hint, to the last byte: every signature has one form */
	for (size_t i = sizeof(sig) - 61; i < sizeof(sig); i++) {
		sig[i] ^= 0x40;
		assert_int_equal(mldsa65_verify(pub, msg, sizeof(msg), sig, sizeof(sig)),
				 -ERR_AUTH);
		sig[i] ^= 0x40;
	}
	for (size_t i = 0; i < sizeof(pub); i += 61) {
		pub[i] ^= 0x80;
		assert_int_equal(mldsa65_verify(pub, msg, sizeof(msg), sig, sizeof(sig)),
				 -ERR_AUTH);
		pub[i] ^= 0x80;
	}
	assert_int_equal(mldsa65_verify(pub, msg, sizeof(msg), sig, sizeof(sig)), 0);
	mldsa65_key_free(k);
}

static void hedged_signatures_differ_and_both_hold(void **state)
{
	uint8_t seed[32] = {1}, rnd[32] = {1}, a[MLDSA65_SIG], b[MLDSA65_SIG], c[MLDSA65_SIG];
	struct mldsa65_key *k = mldsa65_key_new(seed);

	assert_non_null(k);
	mldsa65_sign(k, NULL, "abc", 3, a);
	mldsa65_sign(k, NULL, "abc", 3, b);
	mldsa65_sign(k, rnd, "abc", 3, c);
	assert_memory_equal(a, b, sizeof(a));
	assert_memory_not_equal(a, c, sizeof(a));
	assert_int_equal(mldsa65_verify(mldsa65_public(k), "abc", 3, c, sizeof(c)), 0);
	mldsa65_key_free(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_and_signatures_are_those_of_the_reference),
		cmocka_unit_test(another_implementation_s_signature_is_accepted),
		cmocka_unit_test(no_changed_bit_of_key_message_or_signature_is_accepted),
		cmocka_unit_test(hedged_signatures_differ_and_both_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
