/* Whose stream and whose packet: among many, after changes, and in a flood. */
#include "crowd.h"
#include "proto/budget.h"
#include "proto/known.h"
#include "unit.h"

#define MANY 1000

static const uint8_t length[2] = {0x01, 0x23};
static const uint8_t address[12] = {1, 8, 8, 8, 8, 0, 53, 'h', 'e', 'l', 'l', 'o'};

static struct ss_finder *finder_among(const struct crowd_users *c, struct known *known)
{
	struct ss_finder_conf conf = {.method = c->method, .workers = 1, .known = known};
	struct ss_finder *f;

	assert_int_equal(ss_finder_new(&conf, &f), 0);
	return f;
}

static struct ss_finder *finder(const struct crowd_users *c)
{
	return finder_among(c, NULL);
}

#define among(table, time) (&(struct ss_asker){.users = (table), .now = (time)})

/* All turns of one search. */
static int find(struct ss_finder *f, const struct user_table *t, const struct addr *peer,
		nsec_t now, const uint8_t *stream, struct ss_found *out, int *turns)
{
	const struct ss_asker asker = {t, peer, now};
	struct ss_search s = {0};
	int err, n = 0;

	do {
		err = ss_find_stream(f, &s, &asker, stream, stream + 32, out);
		n++;
	} while (err == -EAGAIN && n < 10000);
	if (turns)
		*turns = n;
	return err;
}

/* A head with the sealed part at 32, whatever the salt's length. */
static void head_of(const struct crowd_users *c, size_t who, uint8_t out[32 + SS_HEAD_LEN])
{
	uint8_t all[32 + SS_HEAD_LEN];
	size_t salt = c->method->salt_len;

	crowd_seal(c, who, length, sizeof(length), all);
	memcpy(out, all, salt);
	memcpy(out + 32, all + salt, SS_HEAD_LEN);
}

static void every_user_is_found_by_stream_and_packet(void **state)
{
	static const char *const names[] = {"aes-128-gcm", "aes-192-gcm", "aes-256-gcm",
					    "chacha20-ietf-poly1305", "xchacha20-ietf-poly1305"};
	static const size_t sizes[] = {1, 15, 16, 17, 100};

	for (size_t m = 0; m < ARRAY_LEN(names); m++) {
		for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
			struct crowd_users c;
			struct ss_found found;
			struct ss_finder *f;

			crowd_init(&c, names[m], sizes[k]);
			f = finder(&c);
			for (size_t i = 0; i < c.n; i++) {
				uint8_t head[50], packet[100];
				struct addr peer = crowd_addr(0x0a000000u + (uint32_t)i);
				size_t len = crowd_seal(&c, i, address, sizeof(address), packet);

				head_of(&c, i, head);
				assert_int_equal(find(f, c.table, &peer, 1, head, &found, NULL), 0);
				assert_ptr_equal(found.user, c.v[i]);
				assert_int_equal(
					ss_find_packet(f, among(c.table, 1), packet, len, &found),
					0);
				assert_ptr_equal(found.user, c.v[i]);
			}
			ss_finder_free(f);
			crowd_done(&c);
		}
	}
}

static void what_is_touched_is_nobodys(void **state)
{
	struct crowd_users c;
	struct ss_found found = {0};
	struct ss_finder *f;
	uint8_t head[50], packet[100];
	size_t len;

	crowd_init(&c, "aes-128-gcm", 5);
	f = finder(&c);
	head_of(&c, 3, head);
	len = crowd_seal(&c, 3, address, sizeof(address), packet);
	for (size_t bit = 0; bit < 8 * sizeof(head); bit++) {
		if (bit / 8 >= 16 && bit / 8 < 32)
			continue; /* between the salt and the length */
		head[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(find(f, c.table, NULL, 1, head, &found, NULL), -ERR_AUTH);
		head[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t bit = 0; bit < 8 * len; bit++) {
		packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(ss_find_packet(f, among(c.table, 1), packet, len, &found),
				 -ERR_AUTH);
		packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t n = 0; n < len; n++)
		assert_int_equal(ss_find_packet(f, among(c.table, 1), packet, n, &found),
				 -ERR_AUTH);
	assert_null(found.user);
	ss_finder_free(f);
	crowd_done(&c);
}

static void who_has_been_here_is_found_in_one_turn(void **state)
{
	struct addr home = crowd_addr(0x0a000001), elsewhere = crowd_addr(0x0b000001);
	struct crowd_users c;
	struct ss_found found;
	struct ss_finder *f;
	uint8_t head[50];
	int turns;

	crowd_init(&c, "aes-128-gcm", MANY);
	f = finder(&c);
	head_of(&c, MANY - 1, head);
	assert_int_equal(find(f, c.table, &home, 1, head, &found, &turns), 0);
	assert_true(turns > 1); /* the last of a long table */
	head_of(&c, MANY - 1, head);
	assert_int_equal(find(f, c.table, &home, 1, head, &found, &turns), 0);
	assert_int_equal(turns, 1);
	head_of(&c, MANY - 1, head);
	assert_int_equal(find(f, c.table, &elsewhere, 1, head, &found, &turns), 0);
	assert_int_equal(turns, 1);
	assert_ptr_equal(found.user, c.v[MANY - 1]);
	ss_finder_free(f);
	crowd_done(&c);
}

static void a_removed_user_is_nobody_though_known(void **state)
{
	struct addr home = crowd_addr(0x0a000001);
	struct crowd_users c;
	struct user_table *fewer;
	struct ss_found found;
	struct ss_finder *f;
	uint8_t head[50];

	crowd_init(&c, "chacha20-ietf-poly1305", MANY);
	fewer = crowd_table(c.v, 1, MANY - 1);
	f = finder(&c);
	head_of(&c, 0, head);
	assert_int_equal(find(f, c.table, &home, 1, head, &found, NULL), 0);
	head_of(&c, 0, head);
	assert_int_equal(find(f, fewer, &home, 1, head, &found, NULL), -ERR_AUTH);
	head_of(&c, 1, head);
	assert_int_equal(find(f, fewer, &home, 1, head, &found, NULL), 0);
	assert_ptr_equal(found.user, c.v[1]);
	user_table_free(fewer);
	ss_finder_free(f);
	crowd_done(&c);
}

static void a_table_that_changes_under_a_search_is_searched_whole(void **state)
{
	struct crowd_users c;
	struct user_table *other;
	struct ss_search s = {0};
	struct ss_found found;
	struct ss_finder *f;
	uint8_t head[50];
	int err;

	crowd_init(&c, "aes-128-gcm", 2 * MANY);
	other = crowd_table(c.v, MANY, MANY); /* who was behind is in front now */
	f = finder(&c);
	head_of(&c, MANY, head);
	err = ss_find_stream(f, &s, among(c.table, 1), head, head + 32, &found);
	assert_int_equal(err, -EAGAIN);
	for (int i = 0; i < 100 && err == -EAGAIN; i++)
		err = ss_find_stream(f, &s, among(other, 1), head, head + 32, &found);
	assert_int_equal(err, 0);
	assert_ptr_equal(found.user, c.v[MANY]);
	user_table_free(other);
	ss_finder_free(f);
	crowd_done(&c);
}

static uint32_t noise(struct ss_finder *f, const struct crowd_users *c, uint32_t base,
		      uint32_t step, uint32_t n, nsec_t now)
{
	struct ss_found found;
	uint32_t sum = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct addr peer = crowd_addr(base + i * step);
		uint8_t head[50];
		int turns;

		random_bytes(head, sizeof(head));
		assert_int_equal(find(f, c->table, &peer, now, head, &found, &turns), -ERR_AUTH);
		sum += (uint32_t)turns;
	}
	return sum;
}

static void one_noisy_network_spends_its_own_budget_and_nobody_elses(void **state)
{
	struct addr stranger = crowd_addr(0x0c000001);
	struct crowd_users c;
	struct ss_found found;
	struct ss_finder *f;
	uint8_t head[50];
	uint32_t turns;

	crowd_init(&c, "aes-128-gcm", 2 * MANY);
	f = finder(&c);
	turns = noise(f, &c, 0x0b000000, 1, 200, NSEC_SEC); /* one /24 */
	assert_true(turns < 200 + 2 * (uint32_t)(BUDGET_SOURCE_BURST / 512));
	head_of(&c, 2 * MANY - 1, head);
	assert_int_equal(find(f, c.table, &stranger, NSEC_SEC, head, &found, NULL), 0);
	/* a second later it may try again */
	assert_true(noise(f, &c, 0x0b000000, 1, 1, 3 * NSEC_SEC) > 1);
	ss_finder_free(f);
	crowd_done(&c);
}

static void a_flood_from_everywhere_starves_nobody_who_is_known(void **state)
{
	struct addr home = crowd_addr(0x0a000001), elsewhere = crowd_addr(0x0a7f0001);
	struct crowd_users c;
	struct ss_found found;
	struct ss_finder *f;
	uint8_t head[50];
	uint32_t turns;

	crowd_init(&c, "aes-128-gcm", 2 * MANY);
	f = finder(&c);
	head_of(&c, 77, head);
	assert_int_equal(find(f, c.table, &home, NSEC_SEC, head, &found, NULL), 0);
	turns = noise(f, &c, 0x20000000, 256, 2000, NSEC_SEC);
	assert_true(turns < 2000 + 2 * (uint32_t)(BUDGET_ALL_BURST / 512));
	head_of(&c, 77, head);
	assert_int_equal(find(f, c.table, &home, NSEC_SEC, head, &found, NULL), 0);
	head_of(&c, 77, head); /* its key was active lately, from wherever it comes */
	assert_int_equal(find(f, c.table, &elsewhere, NSEC_SEC, head, &found, NULL), 0);
	head_of(&c, 78, head); /* unknown, and strangers are out of budget */
	assert_int_equal(find(f, c.table, &elsewhere, NSEC_SEC, head, &found, NULL), -ERR_AUTH);
	head_of(&c, 78, head);
	assert_int_equal(find(f, c.table, &elsewhere, 2 * NSEC_SEC, head, &found, NULL), 0);
	ss_finder_free(f);
	crowd_done(&c);
}

static void who_is_known_to_one_worker_is_known_to_all(void **state)
{
	struct addr home = crowd_addr(0x0a000001);
	struct ss_finder *one, *other;
	struct crowd_users c;
	struct known *known;
	struct ss_found found;
	uint8_t head[50];

	crowd_init(&c, "aes-128-gcm", 2 * MANY);
	assert_int_equal(known_new(&known), 0);
	one = finder_among(&c, known);
	other = finder_among(&c, known);
	head_of(&c, 77, head);
	assert_int_equal(find(one, c.table, &home, NSEC_SEC, head, &found, NULL), 0);
	(void)noise(other, &c, 0x20000000, 256, 2000, NSEC_SEC);
	head_of(&c, 78, head);
	assert_int_equal(find(other, c.table, &home, NSEC_SEC, head, &found, NULL), -ERR_AUTH);
	head_of(&c, 77, head);
	assert_int_equal(find(other, c.table, &home, NSEC_SEC, head, &found, NULL), 0);
	assert_ptr_equal(found.user, c.v[77]);
	ss_finder_free(one);
	ss_finder_free(other);
	known_free(known);
	crowd_done(&c);
}

static void key_of(uint32_t i, uint8_t key[SS_KEY_MAX])
{
	memset(key, 0, SS_KEY_MAX);
	memcpy(key, &i, sizeof(i));
}

static void more_known_keys_than_are_kept_forgets_the_oldest_only(void **state)
{
	enum { N = KNOWN_MAX + 1000 };
	uint8_t key[SS_KEY_MAX], got[16][SS_KEY_MAX];
	uint32_t at = 0, seen = 0;
	struct known k;
	int n;

	known_init(&k);
	for (uint32_t i = 0; i < N; i++) {
		struct addr peer = crowd_addr(0x0a000000u + i % 4000);

		key_of(i, key);
		known_touch(&k, key, &peer);
		n = known_from(&k, &peer, got);
		assert_true(n >= 1);
		assert_memory_equal(got[0], key, SS_KEY_MAX);
	}
	while ((n = known_next(&k, &at, got, 16)) > 0) {
		for (int i = 0; i < n; i++, seen++) {
			key_of(N - 1 - seen, key);
			assert_memory_equal(got[i], key, SS_KEY_MAX);
		}
	}
	assert_int_equal(seen, KNOWN_TRIED);
	assert_int_equal(k.n, KNOWN_MAX);
	key_of(N - 5000, key); /* not the newest any more, moved to the front */
	known_touch(&k, key, NULL);
	at = 0;
	assert_int_equal(known_next(&k, &at, got, 2), 2);
	assert_memory_equal(got[0], key, SS_KEY_MAX);
	key_of(N - 1, key);
	assert_memory_equal(got[1], key, SS_KEY_MAX);
	assert_int_equal(k.n, KNOWN_MAX);
	known_done(&k);
}

/* docs/protocols/shadowsocks.md: the identity header of the vectors. */
static void an_identity_header_names_the_user(void **state)
{
	static const uint8_t psk[] = "24920decf83f6960";
	static const uint8_t eih[] = {0xed, 0xbd, 0xaf, 0xca, 0xb6, 0x9b, 0x0e, 0x17,
				      0xf6, 0x51, 0xcf, 0x94, 0x89, 0x8d, 0x0c, 0x5d};
	static const uint8_t want[] = {0x4c, 0x23, 0x73, 0xf9, 0xa0, 0xa5, 0x5a, 0xf8,
				       0x68, 0x59, 0xbf, 0x14, 0xe0, 0x14, 0xe1, 0x67};
	struct ss_finder_conf conf = {.psk = psk};
	struct crowd_users c;
	struct ss_search s = {0};
	struct ss_found found;
	struct ss_finder *f;
	uint8_t salt[16], bad[16];

	crowd_init(&c, "2022-blake3-aes-128-gcm", 50);
	user_table_free(c.table);
	assert_int_equal(ss_user_derive(c.method, SS_CREDENTIAL_TEXT, "3f2504e0-4f89-11d3", 18,
					c.v[7]->bytes, c.v[7]->bytes + SS_KEY_MAX),
			 0);
	c.table = crowd_table(c.v, 0, 50);
	conf.method = c.method;
	assert_int_equal(ss_finder_new(&conf, &f), 0);
	for (int i = 0; i < 16; i++)
		salt[i] = (uint8_t)i;
	assert_int_equal(ss_find_stream(f, &s, among(c.table, 0), salt, eih, &found), 0);
	assert_ptr_equal(found.user, c.v[7]);
	assert_memory_equal(found.subkey, want, 16);
	for (int bit = 0; bit < 128; bit++) {
		memcpy(bad, eih, 16);
		bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(ss_find_stream(f, &s, among(c.table, 0), salt, bad, &found),
				 -ERR_AUTH);
	}
	ss_finder_free(f);
	crowd_done(&c);
}

static void without_a_name_there_is_one_user_or_none(void **state)
{
	struct crowd_users one, two;
	struct ss_search s = {0};
	struct ss_found found;
	struct ss_finder *f;
	uint8_t salt[32] = {0}, want[32];

	crowd_init(&one, "2022-blake3-chacha20-poly1305", 1);
	crowd_init(&two, "2022-blake3-chacha20-poly1305", 2);
	f = finder(&one);
	assert_int_equal(ss_find_stream(f, &s, among(one.table, 0), salt, NULL, &found), 0);
	assert_int_equal(ss_subkey(one.method, user_secret(one.v[0]), salt, 32, want), 0);
	assert_memory_equal(found.subkey, want, 32);
	assert_int_equal(ss_find_stream(f, &s, among(two.table, 0), salt, NULL, &found), -ERR_AUTH);
	ss_finder_free(f);
	crowd_done(&one);
	crowd_done(&two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_user_is_found_by_stream_and_packet),
		cmocka_unit_test(what_is_touched_is_nobodys),
		cmocka_unit_test(who_has_been_here_is_found_in_one_turn),
		cmocka_unit_test(a_removed_user_is_nobody_though_known),
		cmocka_unit_test(a_table_that_changes_under_a_search_is_searched_whole),
		cmocka_unit_test(one_noisy_network_spends_its_own_budget_and_nobody_elses),
		cmocka_unit_test(a_flood_from_everywhere_starves_nobody_who_is_known),
		cmocka_unit_test(who_is_known_to_one_worker_is_known_to_all),
		cmocka_unit_test(more_known_keys_than_are_kept_forgets_the_oldest_only),
		cmocka_unit_test(an_identity_header_names_the_user),
		cmocka_unit_test(without_a_name_there_is_one_user_or_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
