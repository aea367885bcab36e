#include "unit.h"

#include "base/base64.h"
#include "base/hash.h"
#include "base/hex.h"
#include "base/utf8.h"
#include "base/uuid.h"

static void hex_reads_both_cases_and_writes_lower(void **state)
{
	uint8_t out[4];
	char text[9];

	assert_int_equal(hex_parse("00aBFf10", 8, out, 4), 4);
	assert_memory_equal(out, "\x00\xab\xff\x10", 4);
	assert_string_equal(hex_format(out, 4, text), "00abff10");
	assert_int_equal(hex_parse("", 0, out, 0), 0);
	assert_int_equal(hex_parse("0", 1, out, 4), -ERR_MALFORMED);
	assert_int_equal(hex_parse("0g", 2, out, 4), -ERR_MALFORMED);
	assert_int_equal(hex_parse("0011223344", 10, out, 4), -ENOBUFS);
}

/* RFC 4648, section 10. */
static void base64_gives_the_rfc_s_vectors(void **state)
{
	static const char *const rows[][2] = {
		{"", ""},
		{"f", "Zg=="},
		{"fo", "Zm8="},
		{"foo", "Zm9v"},
		{"foob", "Zm9vYg=="},
		{"fooba", "Zm9vYmE="},
		{"foobar", "Zm9vYmFy"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = strlen(rows[i][0]), bare = strcspn(rows[i][1], "=");
		char text[BASE64_TEXT(6)], out[6];

		assert_int_equal(base64_encode(BASE64_STD, rows[i][0], len, text),
				 strlen(rows[i][1]));
		assert_string_equal(text, rows[i][1]);
		assert_int_equal(base64_encode(BASE64_URL, rows[i][0], len, text), bare);
		assert_int_equal(base64_decode(rows[i][1], strlen(rows[i][1]), out, 6), len);
		assert_memory_equal(out, rows[i][0], len);
		assert_int_equal(base64_decode(rows[i][1], bare, out, 6), len);
		if (len)
			assert_int_equal(base64_decode(rows[i][1], bare, out, len - 1), -ENOBUFS);
	}
}

static void base64_takes_either_alphabet(void **state)
{
	uint8_t all[3] = {0xfb, 0xff, 0xbf}, out[3];
	char text[5];

	base64_encode(BASE64_STD, all, 3, text);
	assert_string_equal(text, "+/+/");
	base64_encode(BASE64_URL_PAD, all, 3, text);
	assert_string_equal(text, "-_-_");
	assert_int_equal(base64_decode("+/-_", 4, out, 3), 3);
	assert_memory_equal(out, all, 3);
}

static void base64_refuses_what_no_encoder_makes(void **state)
{
	static const char *const rows[] = {"A",	   "Zg=",   "Zg===", "Z===",   "====", "Zh==",
					   "Zm9=", "Zm9v=", "Zm 9v", "Zm9v\n", "=Zm9", "Zg==Zg=="};
	uint8_t out[16];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(base64_decode(rows[i], strlen(rows[i]), out, 16), -ERR_MALFORMED);
}

static void uuid_dashes_may_be_left_out(void **state)
{
	static const char full[] = "feb54431-301b-52bb-a6dd-e1e93e81bb9e";
	static const char *const same[] = {
		"feb54431301b52bba6dde1e93e81bb9e",
		"FEB54431-301B-52BB-A6DD-E1E93E81BB9E",
		"feb54431-301b52bba6dd-e1e93e81bb9e",
	};
	static const char *const bad[] = {
		"",
		"feb54431-301b-52bb-a6dd-e1e93e81bb9",
		"feb54431-301b-52bb-a6dd-e1e93e81bb9e0",
		"feb5443-1301b-52bb-a6dd-e1e93e81bb9e",
		"-feb54431301b52bba6dde1e93e81bb9e",
		"feb54431--301b52bba6dde1e93e81bb9e",
		"feb54431-301b-52bb-a6dd-e1e93e81bb9g",
		"feb54431-301b-52bb-a6dd-e1e93e81bb9e-",
	};
	uint8_t id[UUID_LEN], other[UUID_LEN];
	char text[UUID_TEXT];

	assert_int_equal(uuid_parse(id, full, strlen(full)), 0);
	assert_string_equal(uuid_format(id, text), full);
	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		assert_int_equal(uuid_parse(other, same[i], strlen(same[i])), 0);
		assert_memory_equal(id, other, UUID_LEN);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(uuid_parse(id, bad[i], strlen(bad[i])), -ERR_MALFORMED);
	memset(other, 0xff, sizeof(other));
	uuid_from_random(id, other);
	assert_string_equal(uuid_format(id, text), "ffffffff-ffff-4fff-bfff-ffffffffffff");
}

/* The example of the paper's appendix A, and the empty message. */
static void siphash_gives_its_authors_vectors(void **state)
{
	struct hash_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
	uint8_t msg[15];

	for (uint8_t i = 0; i < sizeof(msg); i++)
		msg[i] = i;
	assert_true(hash_bytes(&key, msg, sizeof(msg)) == 0xa129ca6149be45e5);
	assert_true(hash_bytes(&key, msg, 0) == 0x726fdb47dd0e0e31);
}

static int find(const struct hash_index *ix, const uint64_t *keys, uint64_t key, uint64_t hash)
{
	struct hash_iter it;
	int64_t i;

	for (i = hash_index_first(ix, hash, &it); i >= 0; i = hash_index_next(ix, hash, &it)) {
		if (keys[i] == key)
			return (int)i;
	}
	return -1;
}

static void an_index_finds_what_is_in_it_and_nothing_else(void **state)
{
	enum { MANY = 5000 };
	struct hash_key key = {1, 2};
	struct hash_index ix = {0};
	uint64_t *keys = calloc(MANY, sizeof(*keys));

	assert_int_equal(find(&ix, keys, 1, 1), -1);
	for (uint32_t i = 0; i < MANY; i++) {
		keys[i] = i * 977u;
		assert_int_equal(hash_index_add(&ix, hash_bytes(&key, &keys[i], 8), i), 0);
	}
	for (uint32_t i = 0; i < MANY; i += 2)
		assert_true(hash_index_remove(&ix, hash_bytes(&key, &keys[i], 8), i));
	assert_false(hash_index_remove(&ix, hash_bytes(&key, &keys[0], 8), 0));
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(find(&ix, keys, keys[i], hash_bytes(&key, &keys[i], 8)),
				 i % 2 ? (int)i : -1);
	/* Adding and removing for ever does not grow it for ever. */
	for (uint32_t i = 0; i < 20 * MANY; i++) {
		assert_int_equal(hash_index_add(&ix, i, 7), 0);
		assert_true(hash_index_remove(&ix, i, 7));
	}
	assert_true(ix.mask < 4 * MANY);
	hash_index_done(&ix);
	free(keys);
}

static void equal_hashes_are_told_apart_by_their_keys(void **state)
{
	uint64_t keys[] = {10, 20, 30};
	struct hash_index ix;

	assert_int_equal(hash_index_init(&ix, 3), 0);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(hash_index_add(&ix, 5, i), 0);
	assert_true(hash_index_remove(&ix, 5, 1));
	assert_int_equal(find(&ix, keys, 30, 5), 2);
	assert_int_equal(find(&ix, keys, 20, 5), -1);
	hash_index_done(&ix);
}

static void utf8_is_what_the_rfc_allows(void **state)
{
	static const char *const good[] = {
		"", "a", "\xc3\xa9", "\xe6\x88\x91", "\xf0\x9f\x8d\x89", "\xf4\x8f\xbf\xbf"};
	static const char *const bad[] = {"\x80",
					  "\xc0\x80",
					  "\xc1\xbf",
					  "\xc3",
					  "\xe0\x9f\xbf",
					  "\xed\xa0\x80",
					  "\xf0\x8f\xbf\xbf",
					  "\xf4\x90\x80\x80",
					  "\xf5\x80\x80\x80",
					  "\xe6\x88",
					  "\xc3\x28",
					  "\xff"};

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(utf8_valid(good[i], strlen(good[i])));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(utf8_valid(bad[i], strlen(bad[i])));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hex_reads_both_cases_and_writes_lower),
		cmocka_unit_test(base64_gives_the_rfc_s_vectors),
		cmocka_unit_test(base64_takes_either_alphabet),
		cmocka_unit_test(base64_refuses_what_no_encoder_makes),
		cmocka_unit_test(uuid_dashes_may_be_left_out),
		cmocka_unit_test(siphash_gives_its_authors_vectors),
		cmocka_unit_test(an_index_finds_what_is_in_it_and_nothing_else),
		cmocka_unit_test(equal_hashes_are_told_apart_by_their_keys),
		cmocka_unit_test(utf8_is_what_the_rfc_allows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
