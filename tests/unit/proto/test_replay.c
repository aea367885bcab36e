/* A salt comes once, on whichever worker. */
#include "crypto/random.h"
#include "proto/replay.h"
#include "unit.h"

#include <pthread.h>

static void salt_of(uint32_t i, uint8_t salt[32])
{
	memset(salt, 0, 32);
	memcpy(salt + 8, &i, sizeof(i));
}

enum { MINUTE = 60, LATEST = 1 << 16 };

static struct replay *make(bool timed)
{
	struct replay *r;

	assert_int_equal(timed ? replay_new_timed(MINUTE * NSEC_SEC, &r)
			       : replay_new_counted(LATEST, &r),
			 0);
	return r;
}

static void a_salt_comes_once(void **state)
{
	for (int timed = 0; timed < 2; timed++) {
		for (size_t len = 16; len <= 32; len += 8) {
			struct replay *r = make(timed);
			uint8_t salt[32];

			for (uint32_t i = 0; i < 5000; i++) {
				salt_of(i, salt);
				assert_int_equal(replay_add(r, salt, len, NSEC_SEC), 0);
			}
			for (uint32_t i = 0; i < 5000; i++) {
				salt_of(i, salt);
				assert_int_equal(replay_add(r, salt, len, NSEC_SEC), -ERR_REPLAY);
			}
			replay_free(r);
		}
	}
}

/* Ports of several methods share one memory: what lies behind a short salt is not of it. */
static void salts_of_all_lengths_share_a_memory(void **state)
{
	static const size_t orders[][3] = {{32, 16, 24}, {16, 32, 24}, {24, 16, 32}};

	for (size_t i = 0; i < 2 * ARRAY_LEN(orders); i++) {
		const size_t *lens = orders[i / 2];
		struct replay *r = make(i % 2);
		uint8_t salt[32];

		for (uint32_t n = 0; n < 300; n++) {
			salt_of(n, salt);
			salt[0] = (uint8_t)lens[n % 3];
			memset(salt + lens[n % 3], 'a', sizeof(salt) - lens[n % 3]);
			assert_int_equal(replay_add(r, salt, lens[n % 3], NSEC_SEC), 0);
		}
		for (uint32_t n = 0; n < 300; n++) {
			salt_of(n, salt);
			salt[0] = (uint8_t)lens[n % 3];
			memset(salt + lens[n % 3], 'b', sizeof(salt) - lens[n % 3]);
			assert_int_equal(replay_add(r, salt, lens[n % 3], NSEC_SEC), -ERR_REPLAY);
		}
		replay_free(r);
	}
}

static void by_the_clock_it_is_kept_a_minute_and_not_for_ever(void **state)
{
	struct replay *r = make(true);
	uint8_t salt[32];

	for (nsec_t t = NSEC_SEC; t < 300 * NSEC_SEC; t += 7 * NSEC_SEC) {
		salt_of((uint32_t)(t / NSEC_SEC), salt);
		assert_int_equal(replay_add(r, salt, 16, t), 0);
		for (nsec_t past = t; past > MAX(t - MINUTE * NSEC_SEC, (nsec_t)0);
		     past -= 7 * NSEC_SEC) {
			salt_of((uint32_t)(past / NSEC_SEC), salt);
			assert_int_equal(replay_add(r, salt, 16, t), -ERR_REPLAY);
		}
	}
	salt_of(1, salt);
	assert_int_equal(replay_add(r, salt, 16, 300 * NSEC_SEC), 0);
	salt_of(295, salt);
	assert_int_equal(replay_add(r, salt, 16, 1000 * NSEC_SEC), 0);
	replay_free(r);
}

static void without_a_clock_so_many_are_kept_and_no_more(void **state)
{
	struct replay *r = make(false);
	uint8_t salt[32];

	for (uint32_t i = 0; i < 3 * LATEST; i++) {
		salt_of(i, salt);
		assert_int_equal(replay_add(r, salt, 32, NSEC_SEC), 0);
	}
	for (uint32_t i = 2 * LATEST; i < 3 * LATEST; i++) {
		salt_of(i, salt);
		assert_int_equal(replay_add(r, salt, 32, 1000 * NSEC_SEC), -ERR_REPLAY);
	}
	salt_of(0, salt); /* forgotten: memory is bounded */
	assert_int_equal(replay_add(r, salt, 32, NSEC_SEC), 0);
	replay_free(r);
}

static void the_salt_of_zeros_is_one_like_others(void **state)
{
	static const uint8_t zero[32];
	struct replay *r;

	for (int timed = 0; timed < 2; timed++) {
		r = make(timed);
		assert_int_equal(replay_add(r, zero, 32, NSEC_SEC), 0);
		assert_int_equal(replay_add(r, zero, 32, NSEC_SEC), -ERR_REPLAY);
		replay_free(r);
	}
}

/* ---- on several workers: for the thread sanitizer, and for the sum ------------------------ */

enum { THREADS = 4, SALTS = 20000 };

struct racer {
	pthread_t thread;
	struct replay *r;
	uint32_t won;
	unsigned seed;
};

static void *race(void *arg)
{
	struct racer *me = arg;

	for (uint32_t i = 0; i < SALTS; i++) {
		uint8_t salt[32];

		salt_of(me->seed & 1 ? i : SALTS - 1 - i, salt);
		if (!replay_add(me->r, salt, 32, NSEC_SEC))
			me->won++;
	}
	return NULL;
}

static void of_workers_that_see_the_same_salt_one_accepts_it(void **state)
{
	for (int timed = 0; timed < 2; timed++) {
		struct racer racers[THREADS] = {0};
		struct replay *r = make(timed);
		uint32_t sum = 0;

		for (unsigned i = 0; i < THREADS; i++) {
			racers[i].r = r;
			racers[i].seed = i;
			assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]),
					 0);
		}
		for (unsigned i = 0; i < THREADS; i++) {
			pthread_join(racers[i].thread, NULL);
			sum += racers[i].won;
		}
		assert_int_equal(sum, SALTS);
		replay_free(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_salt_comes_once),
		cmocka_unit_test(salts_of_all_lengths_share_a_memory),
		cmocka_unit_test(by_the_clock_it_is_kept_a_minute_and_not_for_ever),
		cmocka_unit_test(without_a_clock_so_many_are_kept_and_no_more),
		cmocka_unit_test(the_salt_of_zeros_is_one_like_others),
		cmocka_unit_test(of_workers_that_see_the_same_salt_one_accepts_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
