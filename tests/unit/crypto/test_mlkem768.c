#include "unit.h"

#include "crypto/keccak.h"
#include "crypto/mlkem768.h"
#include "hex.h"
#include "vectors.h"

/* Keys, ciphertexts and secrets, of good and of random ciphertexts, in one digest: the "accumulated"
 * vectors of C2SP/CCTV, with the digests for FIPS 203 that Go's crypto/mlkem publishes.
 */
static void accumulate(int rounds, uint8_t digest[32])
{
	static struct mlkem768_key key;
	uint8_t seed[MLKEM768_SEED], m[32], random[MLKEM768_CT], ct[MLKEM768_CT];
	uint8_t secret[32], got[32];
	struct keccak in, all;

	shake128_init(&in);
	shake128_init(&all);
	for (int i = 0; i < rounds; i++) {
		keccak_squeeze(&in, seed, sizeof(seed));
		keccak_squeeze(&in, m, sizeof(m));
		keccak_squeeze(&in, random, sizeof(random));
		mlkem768_key_set(&key, seed);
		assert_int_equal(mlkem768_encaps_with(key.pub, m, ct, secret), 0);
		mlkem768_decaps(&key, ct, got);
		assert_memory_equal(got, secret, sizeof(secret));
		mlkem768_decaps(&key, random, got);
		keccak_absorb(&all, key.pub, sizeof(key.pub));
		keccak_absorb(&all, ct, sizeof(ct));
		keccak_absorb(&all, secret, sizeof(secret));
		keccak_absorb(&all, got, sizeof(got));
	}
	keccak_squeeze(&all, digest, 32);
}

static void keys_and_secrets_are_those_of_the_reference(void **state)
{
	uint8_t digest[32];

	accumulate(100, digest);
	assert_hex(digest, 32, "1114b1b6699ed191734fa339376afa7e285c9e6acf6ff0177d346696ce564415");
	if (unit_slow() > 1)
		return;
	accumulate(10000, digest);
	assert_hex(digest, 32, "8a518cc63da366322a8e7a818c7a0d63483cb3528d34a4cf42f35d5ad73f22fc");
}

/* A public key whose matrix takes more than 575 bytes of SHAKE128 for one polynomial (C2SP/CCTV,
 * unluckysample).
 */
static const char unlucky[] = "f029cc40c924b4ac401a14b4bbfb4012989042b3c11df73eb8b6ac35808b1b1b"
			      "b4bc82cf970b83ce5c09e008caca9c364a2a6d7964b76aaa574532407fe293f5"
			      "07a0937b3f4f124a2f5946d2c78191d0cd7ff6bbc0ac4386259aad68b83b0716"
			      "4e35a24eb7a169c0191fb698db22b9e1f46a7b389fbc648f1ee7850459b60335"
			      "316e33171ce81d9fb5a35c2c7531248479e14bd0f4904009701ae9404fea0e5c"
			      "6765b21b74be55252ee9c4c7d97b38807c74a73ff5e9406c53079ed13baa96b1"
			      "95396567366bef571aedf9c108b7462800605f1c8a44fa8316521287b1933960"
			      "3d16dc9df8bbcf249cae26a0bdb2f899dfab8168ba648d648ac47b27ae373102"
			      "4ac012910e5479ca7d913e1b350fc7282cd8f8b10c8bcade27081e760c41713e"
			      "be25bb4cd10952310c4c23c68de567019a8978ca3649f17a2c1270e3a78237d8"
			      "1ad6971cd62815467a8472d290e9f78f7fa755b9b882a236cef03407c5d71776"
			      "27c568e344c32c35fd5116f38020338a1b8e706efcf3b02284b79f8964af027e"
			      "8b686cd769153e31c8284243e44c44c7b8caace43fdcd02c0da14fe6b17811c4"
			      "2686710642289ce7eb3bf648902f0c019e48b8508b764e3b6b67a90437616ad0"
			      "88a82928b4c61128abc2c8ff72add3ab85a2c3572b8a445dc519e6b50f71dbaa"
			      "15977d3b66810f880ba6e037caf36146d2b72eb16e435bac8e114461bb2bbd75"
			      "98aff3c01046395d0347f062b5488c3460f489589756ecb9c3dcc044c01c078d"
			      "14592caa1a497baff0e3444e123549bc19a4f229d967ca05d940a2354a673b9f"
			      "e8b2cac9f55b2bb4081fb68e4dd436ebe12a024569d83284a60a25cd089a8140"
			      "1cf2b7344432c6cbf2430de1446f5204851cca9bbbcc3f134083f1b8c25144bc"
			      "399817539074e90c23a3669c55667158ce3b24cebea93b3325590408b2642c9b"
			      "07d07aab1c524021af746477d45132b64771816000a582bc9aa8880f723540cb"
			      "36766c46fbbbb14b418650b8c70443559b6b94c07caa584067c7aa216ce50d2a"
			      "2c08d0ca6280fb488b28b75e794f405948b4ca8a66006bea75050a795086cb33"
			      "b607b75cb2678b8276ff2aa07eb26805c3c64034115e7491e8b2cf434cc52364"
			      "8b9c4727502c402466299f985ec221565c990ce2c4b7fbb98c591ca9a7891195"
			      "9a4035d2a1389c53b4aba0e407969998b2d93b18ba074f2f90911bbca80109ce"
			      "5af819b09205ce78a38d15c602e2b950a95df3d3371a938749345424dc8b9d09"
			      "44419a01f3b59b5c5c0369ebade574bcb1cb553514307f7356b95a812deb1df2"
			      "18c2b671ab2e5c4b800c37fd0c60d3fa8eabe895e020ba1d59018ffa263e1795"
			      "6f97360265918432b2c92a046c63adbcd88a3acb1099ac9ddd372d6f866f2017"
			      "ca58a1664cd65525f95910a3a4149b08b63cb7f250798b9ca82d40377c4c2994"
			      "309fdce095f101c23b25ba98fa9d377228d8799f5d035a069a0ce39cbc7fe716"
			      "7a7b283684a38a3011774885ef50b642c615317ccd5fa342acd415970b5630eb"
			      "52e246b3d1856ff2c69c92e25dccf99e38b0482807ab7b34133d30112cd5c12b"
			      "ac272ec05c17d2810848ab835a2f387b2a8d451dc18c31cc2b43ac95954f202a"
			      "5c3c6fe50d06fc1bbbffafc56ab7050f2773ee8ef8d28ca4b97b43c8d7202e71";

static void drawing_goes_on_however_many_candidates_are_rejected(void **state)
{
	uint8_t pub[MLKEM768_PUB], m[32], ct[MLKEM768_CT], secret[32], digest[32];

	assert_int_equal(unhex(unlucky, pub), sizeof(pub));
	unhex("e48f74ad416e99631003ded1478aec62a02c245d88ed7f2fae92aedf13ca03b3", m);
	assert_int_equal(mlkem768_encaps_with(pub, m, ct, secret), 0);
	assert_hex(secret, 32, "821a5e7294086332d139f210070ad873a80f28c550dc38e78a1a9f0023332d47");
	sha3_256(ct, sizeof(ct), digest);
	assert_hex(digest, 32, "0b8875c3a1cb6ff976110c410446f82c3cf82713855c74183a23d41db8b9e936");
}

static void a_hybrid_share_decapsulates_to_the_known_secret(void **state)
{
	static struct mlkem768_key key;
	uint8_t seed[64], share[1216], ct[MLKEM768_CT], both[64], secret[32];

	assert_int_equal(vector_bytes("reality_hybrid", "client_mlkem_seed", seed), 64);
	assert_int_equal(vector_bytes("reality_hybrid", "client_share", share), 1216);
	assert_int_equal(vector_bytes("reality_hybrid", "mlkem_ct", ct), MLKEM768_CT);
	assert_int_equal(vector_bytes("reality_hybrid", "shared_secret", both), 64);
	mlkem768_key_set(&key, seed);
	assert_memory_equal(key.pub, share, sizeof(key.pub));
	mlkem768_decaps(&key, ct, secret);
	assert_memory_equal(secret, both, 32);
}

static void put_coefficient(uint8_t *pub, int i, int v)
{
	uint8_t *at = pub + i / 2 * 3;

	if (i % 2 == 0) {
		at[0] = (uint8_t)v;
		at[1] = (uint8_t)((at[1] & 0xf0) | v >> 8);
	} else {
		at[1] = (uint8_t)((at[1] & 0x0f) | v << 4);
		at[2] = (uint8_t)(v >> 4);
	}
}

static void a_public_key_with_a_number_beyond_the_modulus_is_refused(void **state)
{
	static struct mlkem768_key key;
	uint8_t seed[64] = {1}, pub[MLKEM768_PUB], ct[MLKEM768_CT], secret[32];

	mlkem768_key_set(&key, seed);
	assert_int_equal(mlkem768_check(key.pub), 0);
	for (int i = 0; i < 768; i++) {
		memcpy(pub, key.pub, sizeof(pub));
		put_coefficient(pub, i, 3328);
		assert_int_equal(mlkem768_check(pub), 0);
		put_coefficient(pub, i, 3329 + i % 767);
		assert_int_equal(mlkem768_check(pub), -ERR_MALFORMED);
		memset(secret, 0xcc, sizeof(secret));
		assert_int_equal(mlkem768_encaps(pub, ct, secret), -ERR_MALFORMED);
		assert_int_equal(secret[0], 0xcc);
	}
}

static void a_changed_ciphertext_yields_another_secret_every_time_the_same(void **state)
{
	static struct mlkem768_key key;
	uint8_t seed[64] = {2}, ct[MLKEM768_CT], secret[32], got[32], again[32];

	mlkem768_key_set(&key, seed);
	assert_int_equal(mlkem768_encaps(key.pub, ct, secret), 0);
	for (size_t i = 0; i < sizeof(ct); i += 31) {
		ct[i] ^= 1;
		mlkem768_decaps(&key, ct, got);
		mlkem768_decaps(&key, ct, again);
		ct[i] ^= 1;
		assert_memory_not_equal(got, secret, 32);
		assert_memory_equal(got, again, 32);
	}
	mlkem768_decaps(&key, ct, got);
	assert_memory_equal(got, secret, 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_and_secrets_are_those_of_the_reference),
		cmocka_unit_test(drawing_goes_on_however_many_candidates_are_rejected),
		cmocka_unit_test(a_hybrid_share_decapsulates_to_the_known_secret),
		cmocka_unit_test(a_public_key_with_a_number_beyond_the_modulus_is_refused),
		cmocka_unit_test(a_changed_ciphertext_yields_another_secret_every_time_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
