#include "unit.h"

#include "crypto/keccak.h"
#include "hex.h"

/* FIPS 202: the empty message, and "abc" (NIST's example values). */
static void digests_are_the_published_ones(void **state)
{
	uint8_t out[64];

	sha3_256("", 0, out);
	assert_hex(out, 32, "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a");
	sha3_256("abc", 3, out);
	assert_hex(out, 32, "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532");
	sha3_512("abc", 3, out);
	assert_hex(out, 64,
		   "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e"
		   "10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0");
}

static void shakes_are_the_published_ones(void **state)
{
	struct keccak k;
	uint8_t out[32];

	shake128_init(&k);
	keccak_squeeze(&k, out, 32);
	assert_hex(out, 32, "7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26");
	shake256_init(&k);
	keccak_squeeze(&k, out, 32);
	assert_hex(out, 32, "46b9dd2b0ba88d13233b3feb743eeb243fcd52ea62b81b82b50c27646ed5762f");
}

static void how_a_message_is_cut_changes_nothing(void **state)
{
	uint8_t in[1000], whole[700], cut[700];
	struct keccak k;

	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 7);
	shake256_init(&k);
	keccak_absorb(&k, in, sizeof(in));
	keccak_squeeze(&k, whole, sizeof(whole));
	for (size_t step = 1; step < 400; step += 3) {
		shake256_init(&k);
		for (size_t at = 0; at < sizeof(in); at += step)
			keccak_absorb(&k, in + at, MIN(step, sizeof(in) - at));
		for (size_t at = 0; at < sizeof(cut); at += step)
			keccak_squeeze(&k, cut + at, MIN(step, sizeof(cut) - at));
		assert_memory_equal(cut, whole, sizeof(cut));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests_are_the_published_ones),
		cmocka_unit_test(shakes_are_the_published_ones),
		cmocka_unit_test(how_a_message_is_cut_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
