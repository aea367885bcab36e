/* Whose auth id: found among very many, wherever he stands, and strangers cost a bounded share. */
#include "unit.h"

#include "crypto/aes_block.h"
#include "crypto/aes_many.h"
#include "crypto/random.h"
#include "proto/vmess/vmess_seal.h"
#include "vmess_house.h"

#define NOW	1700000000
#define USERS	40000
#define SECONDS NSEC_SEC

struct crowd {
	struct loop *l;
	struct vmess_house house;
};

static void crowd_open(struct crowd *c, unsigned users)
{
	struct user_publication *pub;
	struct user_changes changes;
	struct user_list list;
	char name[16];

	c->l = loop_new(LOOP_VIRTUAL, 1);
	vmess_house_open(&c->house, c->l, "");
	user_list_init(&list);
	for (unsigned i = 1; i <= users; i++) {
		struct user_entry e = {.id = i, .credential = name};

		e.credential_len = (uint32_t)snprintf(name, sizeof(name), "user-%u", i);
		assert_int_equal(user_list_add(&list, &e), 0);
	}
	assert_int_equal(user_registry_apply(c->house.people.reg, &list, &changes, &pub), 0);
	assert_int_equal(changes.added, users);
	user_list_done(&list);
	c->house.people.in.users = pub->table;
	pub->acks = 1;
	assert_true(user_publication_ack(pub));
}

static void crowd_close(struct crowd *c)
{
	vmess_house_close(&c->house);
	loop_free(c->l);
}

static void id_of(unsigned user, int64_t time, uint8_t id[VMESS_ID_LEN])
{
	uint8_t key[VMESS_KEY_LEN], id_key[16], noise[4];
	char name[16];

	snprintf(name, sizeof(name), "user-%u", user);
	assert_int_equal(vmess_proto.user_key(name, strlen(name), key), 0);
	assert_int_equal(vmess_id_key(key, id_key), 0);
	random_bytes(noise, sizeof(noise));
	vmess_id_make(time, noise, id);
	assert_int_equal(aes_block_encrypt(id_key, 16, id, id), 0);
}

static struct addr from(unsigned n)
{
	uint8_t ip[4] = {10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};

	return addr_from_ip4(ip, 1000);
}

/* The user's number, or what went wrong; *turns is how many it took. */
static int64_t find(struct crowd *c, const uint8_t *id, const struct addr *peer, nsec_t now,
		    unsigned *turns)
{
	const struct vmess_asker asker = {c->house.people.in.users, peer, now, NOW};
	struct vmess_search s = {0};
	struct user *u = NULL;
	int err;

	*turns = 0;
	do {
		err = vmess_find(c->house.port.finder, &s, &asker, id, &u);
		assert_true(++*turns <= USERS);
	} while (err == -EAGAIN);
	return err ? err : user_id(u);
}

static void everybody_is_found_wherever_he_stands(void **state)
{
	static const unsigned sizes[] = {1, 2, 15, 16, 17, 256, 257, 1000};
	uint8_t id[VMESS_ID_LEN];
	unsigned turns;

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct crowd c;

		crowd_open(&c, sizes[i]);
		for (unsigned u = 1; u <= sizes[i]; u++) {
			struct addr peer = from(u);

			id_of(u, NOW + (int)(u % 241) - 120, id);
			assert_int_equal(find(&c, id, u % 3 ? &peer : NULL, u * SECONDS, &turns),
					 u);
		}
		crowd_close(&c);
	}
}

static void an_id_of_another_time_is_nobodys(void **state)
{
	static const int64_t times[] = {0, -1, NOW - 121, NOW + 121, INT64_MAX, INT64_MIN};
	uint8_t id[VMESS_ID_LEN];
	unsigned turns;
	struct crowd c;

	crowd_open(&c, 20);
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		id_of(7, times[i], id);
		assert_int_equal(find(&c, id, NULL, SECONDS, &turns), -ERR_AUTH);
	}
	crowd_close(&c);
}

/* Its owner's clock may be two minutes ahead, and seconds are whole: until 241 seconds later. */
static void an_id_is_remembered_for_as_long_as_it_is_good(void **state)
{
	const nsec_t first = 1000 * SECONDS, used = first + VMESS_REPLAY_KEEP - 1;
	uint8_t one[VMESS_ID_LEN] = {1}, id[VMESS_ID_LEN], clear[VMESS_ID_LEN], noise[4] = {0};
	struct replay *r;

	vmess_id_make(NOW + VMESS_WINDOW_S, noise, clear);
	assert_true(vmess_id_timely(clear, NOW));
	assert_true(vmess_id_timely(clear, NOW + 240));
	assert_false(vmess_id_timely(clear, NOW + 241));
	id_of(1, NOW + VMESS_WINDOW_S, id);
	assert_int_equal(replay_new_timed(VMESS_REPLAY_KEEP, &r), 0);
	/* at the end of a generation, which others begin and turn */
	assert_int_equal(replay_add(r, one, sizeof(one), first), 0);
	assert_int_equal(replay_add(r, id, sizeof(id), used), 0);
	one[0]++;
	assert_int_equal(replay_add(r, one, sizeof(one), used + 1), 0);
	assert_int_equal(replay_add(r, id, sizeof(id), used + 241 * SECONDS - 1), -ERR_REPLAY);
	replay_free(r);
}

static void a_large_table_is_looked_through_in_slices(void **state)
{
	uint8_t id[VMESS_ID_LEN];
	struct addr peer = from(1);
	unsigned turns;
	struct crowd c;

	crowd_open(&c, USERS);
	id_of(USERS, NOW, id);
	assert_int_equal(find(&c, id, &peer, SECONDS, &turns), USERS);
	assert_int_equal(turns, aes_many_fast() ? 3 : 40);
	/* from an address that he has used he is known at once */
	id_of(USERS, NOW, id);
	assert_int_equal(find(&c, id, &peer, SECONDS, &turns), USERS);
	assert_int_equal(turns, 1);
	crowd_close(&c);
}

/* 40 searches of 40,000, or 5 without AES instructions, cost what the budget of a second is; then nobody is
 * looked for but those who are known, until it has filled again.  From as many addresses as you like. */
static void a_flood_of_noise_leaves_those_in_who_are_known(void **state)
{
	uint8_t id[VMESS_ID_LEN], noise[VMESS_ID_LEN];
	struct addr peer, home = from(1);
	unsigned turns, looked = 0;
	struct crowd c;

	crowd_open(&c, USERS);
	id_of(USERS, NOW, id);
	assert_int_equal(find(&c, id, &home, SECONDS, &turns), USERS);
	for (unsigned i = 0; i < 2000; i++) {
		random_bytes(noise, sizeof(noise));
		peer = from(1000 + i * 300);
		assert_int_equal(find(&c, noise, &peer, SECONDS, &turns), -ERR_AUTH);
		looked += turns > 1;
	}
	assert_in_range(looked, aes_many_fast() ? 40 : 5, aes_many_fast() ? 200 : 12);
	id_of(USERS, NOW, id);
	assert_int_equal(find(&c, id, &home, SECONDS, &turns), USERS);
	/* also if his address is another one now */
	peer = from(2000000);
	id_of(USERS, NOW, id);
	assert_int_equal(find(&c, id, &peer, SECONDS, &turns), USERS);
	assert_int_equal(turns, 1);
	/* a newcomer has to wait for the next seconds */
	peer = from(5);
	id_of(77, NOW, id);
	assert_int_equal(find(&c, id, &peer, SECONDS, &turns), -ERR_AUTH);
	assert_int_equal(find(&c, id, &peer, 3 * SECONDS, &turns), 77);
	crowd_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everybody_is_found_wherever_he_stands),
		cmocka_unit_test(an_id_of_another_time_is_nobodys),
		cmocka_unit_test(an_id_is_remembered_for_as_long_as_it_is_good),
		cmocka_unit_test(a_large_table_is_looked_through_in_slices),
		cmocka_unit_test(a_flood_of_noise_leaves_those_in_who_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
