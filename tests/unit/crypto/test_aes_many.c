/* One block under many keys is what it is under each of them. */
#include "crypto/aes_block.h"
#include "crypto/aes_many.h"
#include "crypto/random.h"
#include "unit.h"

static void every_number_of_keys_decrypts_as_each_of_them_does(void **state)
{
	uint8_t raw[AES_MANY][16], kept[AES_MANY][AES_MANY_KEY], out[AES_MANY][16];
	uint8_t block[16], want[16];

	for (int round = 0; round < 200; round++) {
		int n = round % (AES_MANY + 1);

		random_bytes(raw, sizeof(raw));
		random_bytes(block, sizeof(block));
		for (int i = 0; i < n; i++)
			assert_int_equal(aes_many_key(raw[i], kept[i]), 0);
		memset(out, 0xee, sizeof(out));
		assert_int_equal(aes_many_decrypt(kept[0], n, block, out), 0);
		for (int i = 0; i < n; i++) {
			assert_int_equal(aes_block_decrypt(raw[i], 16, block, want), 0);
			assert_memory_equal(out[i], want, 16);
		}
		for (int i = n; i < AES_MANY; i++)
			assert_int_equal(out[i][0], 0xee);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_number_of_keys_decrypts_as_each_of_them_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
