/* One block of AES: the standard's examples, and lengths that are none. */
#include "crypto/aes_block.h"
#include "unit.h"

static void the_examples_of_the_standard_come_out(void **state)
{
	static const struct {
		size_t keylen;
		uint8_t sealed[AES_BLOCK];
	} cases[] = {
		{16,
		 {0x69, 0xc4, 0xe0, 0xd8, 0x6a, 0x7b, 0x04, 0x30, 0xd8, 0xcd, 0xb7, 0x80, 0x70,
		  0xb4, 0xc5, 0x5a}},
		{32,
		 {0x8e, 0xa2, 0xb7, 0xca, 0x51, 0x67, 0x45, 0xbf, 0xea, 0xfc, 0x49, 0x90, 0x4b,
		  0x49, 0x60, 0x89}},
	};
	uint8_t key[32], text[AES_BLOCK], out[AES_BLOCK];

	for (uint8_t i = 0; i < sizeof(key); i++)
		key[i] = i;
	for (uint8_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(0x11 * i);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(aes_block_encrypt(key, cases[i].keylen, text, out), 0);
		assert_memory_equal(out, cases[i].sealed, AES_BLOCK);
		assert_int_equal(aes_block_decrypt(key, cases[i].keylen, out, out), 0);
		assert_memory_equal(out, text, AES_BLOCK);
	}
}

/* Whatever method a caller has been given: it is told, and nothing ends. */
static void a_key_of_another_length_is_an_error(void **state)
{
	uint8_t key[64] = {0}, block[AES_BLOCK] = {0};

	for (size_t len = 0; len <= sizeof(key); len++) {
		int want = len == 16 || len == 32 ? 0 : -ERR_CRYPTO;

		assert_int_equal(aes_block_encrypt(key, len, block, block), want);
		assert_int_equal(aes_block_decrypt(key, len, block, block), want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_examples_of_the_standard_come_out),
		cmocka_unit_test(a_key_of_another_length_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
