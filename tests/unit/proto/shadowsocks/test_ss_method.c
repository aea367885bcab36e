#include "unit.h"

#include "base/base64.h"
#include "crypto/aes_block.h"
#include "proto/shadowsocks/ss_method.h"
#include "vectors.h"

#define UUID "3f2504e0-4f89-11d3-9a0c-0305e82c3301"

static void assert_vector(const char *section, const char *name, const uint8_t *got, size_t len)
{
	uint8_t want[256];

	assert_int_equal(vector_bytes(section, name, want), len);
	assert_memory_equal(got, want, len);
}

static const uint8_t *counting(void)
{
	static uint8_t salt[SS_SALT_MAX];

	for (size_t i = 0; i < sizeof(salt); i++)
		salt[i] = (uint8_t)i;
	return salt;
}

static void passwords_become_the_keys_that_everybody_derives(void **state)
{
	static const struct {
		const char *method, *password, *vector;
	} cases[] = {
		{"aes-128-gcm", UUID, "key16"},
		{"aes-192-gcm", UUID, "key24"},
		{"aes-256-gcm", UUID, "key32"},
		{"chacha20-ietf-poly1305", "test", "key32_of_test"},
	};
	uint8_t key[SS_KEY_MAX];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct ss_method *m = ss_method_find(cases[i].method);

		assert_int_equal(ss_key(m, cases[i].password, strlen(cases[i].password), key), 0);
		assert_vector("shadowsocks_aead", cases[i].vector, key, m->key_len);
	}
}

static void subkeys_of_the_aead_methods_are_the_known_ones(void **state)
{
	const struct ss_method *m = ss_method_find("aes-128-gcm");
	uint8_t key[SS_KEY_MAX], sub[SS_KEY_MAX];

	assert_int_equal(ss_key(m, UUID, strlen(UUID), key), 0);
	assert_int_equal(ss_subkey(m, key, counting(), 16, sub), 0);
	assert_vector("shadowsocks_aead", "subkey16_salt_00_0f", sub, 16);
	m = ss_method_find("aes-256-gcm");
	assert_int_equal(ss_key(m, UUID, strlen(UUID), key), 0);
	assert_int_equal(ss_subkey(m, key, counting(), 32, sub), 0);
	assert_vector("shadowsocks_aead", "subkey32_salt_00_1f", sub, 32);
}

static void keys_and_identities_of_2022_are_the_known_ones(void **state)
{
	const struct ss_method *m = ss_method_find("2022-blake3-aes-128-gcm");
	uint8_t ipsk[SS_KEY_MAX], upsk[SS_KEY_MAX], id[SS_KEY_MAX], sub[SS_KEY_MAX], out[16];
	const char *text = vector_text("shadowsocks_2022", "server_key_16");

	assert_int_equal(ss_key(m, text, strlen(text), ipsk), 0);
	assert_memory_equal(ipsk, "24920decf83f6960", 16);
	assert_int_equal(ss_user_derive(m, SS_CREDENTIAL_TEXT, UUID, strlen(UUID), id, upsk), 0);
	assert_memory_equal(upsk, UUID, 16);
	assert_vector("shadowsocks_2022", "upsk_hash", id, SS_IDENTITY_LEN);

	ss_identity_subkey(m, ipsk, counting(), sub);
	assert_vector("shadowsocks_2022", "identity_subkey", sub, 16);
	assert_int_equal(aes_block_encrypt(sub, 16, id, out), 0);
	assert_vector("shadowsocks_2022", "eih", out, 16);
	assert_int_equal(aes_block_decrypt(sub, 16, out, out), 0);
	assert_memory_equal(out, id, 16);

	assert_int_equal(ss_subkey(m, upsk, counting(), 16, sub), 0);
	assert_vector("shadowsocks_2022", "session_subkey", sub, 16);
	assert_int_equal(ss_subkey(m, ipsk, counting(), 16, sub), 0);
	assert_vector("shadowsocks_2022", "single_user_session_subkey", sub, 16);
	assert_int_equal(ss_subkey(m, upsk, (const uint8_t *)"\1\2\3\4\5\6\7\10", 8, sub), 0);
	assert_vector("shadowsocks_2022", "udp_session_subkey", sub, 16);

	m = ss_method_find("2022-blake3-aes-256-gcm");
	assert_int_equal(ss_subkey(m, (const uint8_t *)UUID, counting(), 32, sub), 0);
	assert_vector("shadowsocks_2022", "aes256_session_subkey", sub, 32);
}

static void the_text_and_the_key_of_a_panel_user_are_the_same_user(void **state)
{
	static const char *const names[] = {"2022-blake3-aes-128-gcm", "2022-blake3-aes-256-gcm"};
	static const char *const vectors[] = {"user_key_16", "user_key_32"};

	for (int i = 0; i < 2; i++) {
		const struct ss_method *m = ss_method_find(names[i]);
		const char *text = vector_text("shadowsocks_2022", vectors[i]);
		uint8_t a[2][SS_KEY_MAX], b[2][SS_KEY_MAX];

		assert_int_equal(
			ss_user_derive(m, SS_CREDENTIAL_TEXT, UUID, strlen(UUID), a[0], a[1]), 0);
		assert_int_equal(
			ss_user_derive(m, SS_CREDENTIAL_KEY, text, strlen(text), b[0], b[1]), 0);
		assert_memory_equal(a[0], b[0], SS_KEY_MAX);
		assert_memory_equal(a[1], b[1], SS_KEY_MAX);
	}
}

static void a_key_of_the_wrong_size_is_no_key(void **state)
{
	const struct ss_method *m = ss_method_find("2022-blake3-aes-128-gcm");
	uint8_t raw[40] = {7}, key[SS_KEY_MAX], secret[SS_KEY_MAX];
	char text[BASE64_TEXT(sizeof(raw))];

	for (size_t n = 0; n <= sizeof(raw); n++) {
		size_t len = base64_encode(BASE64_STD, raw, n, text);

		assert_int_equal(ss_key(m, text, len, key), n == 16 ? 0 : -ERR_MALFORMED);
	}
	assert_int_equal(ss_key(m, "not base64!", 11, key), -ERR_MALFORMED);
	assert_int_equal(ss_user_derive(m, SS_CREDENTIAL_TEXT, UUID, 15, key, secret),
			 -ERR_MALFORMED);
	assert_int_equal(ss_user_derive(m, SS_CREDENTIAL_TEXT, UUID, 0, key, secret),
			 -ERR_MALFORMED);
}

static void methods_are_found_by_every_name_they_have(void **state)
{
	static const char *const same[][2] = {
		{"chacha20-poly1305", "chacha20-ietf-poly1305"},
		{"AES-256-GCM", "aes-256-gcm"},
		{"AEAD_AES_128_GCM", "aes-128-gcm"},
		{"plain", "none"},
	};

	for (size_t i = 0; i < ARRAY_LEN(same); i++)
		assert_string_equal(ss_method_find(same[i][0])->name, same[i][1]);
	for (size_t i = 0; ss_method_at(i); i++)
		assert_ptr_equal(ss_method_find(ss_method_at(i)->name), ss_method_at(i));
	assert_null(ss_method_find("2022-blake3-rot13"));
	assert_null(ss_method_find(""));
}

static void only_what_authenticates_is_secure(void **state)
{
	for (size_t i = 0; ss_method_at(i); i++) {
		const struct ss_method *m = ss_method_at(i);

		assert_int_equal(ss_method_insecure(m), m->class < SS_AEAD);
		assert_int_equal(ss_method_insecure(m), m->chunk == 0);
		if (m->class >= SS_AEAD)
			assert_int_equal(m->key_len, aead_key_len(m->alg));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(passwords_become_the_keys_that_everybody_derives),
		cmocka_unit_test(subkeys_of_the_aead_methods_are_the_known_ones),
		cmocka_unit_test(keys_and_identities_of_2022_are_the_known_ones),
		cmocka_unit_test(the_text_and_the_key_of_a_panel_user_are_the_same_user),
		cmocka_unit_test(a_key_of_the_wrong_size_is_no_key),
		cmocka_unit_test(methods_are_found_by_every_name_they_have),
		cmocka_unit_test(only_what_authenticates_is_secure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
