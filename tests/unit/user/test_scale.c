/* 100,000 users: times and memory are printed, for people; only what must hold is asserted. */
#include "unit.h"

#include <malloc.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "crypto/hash.h"
#include "user/registry.h"

#define USERS 100000

static double ms_since(const struct timespec *t)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - t->tv_sec) * 1e3 + (double)(now.tv_nsec - t->tv_nsec) / 1e6;
}

static size_t rss(void)
{
	unsigned long size, resident;
	FILE *f = fopen("/proc/self/statm", "r");
	int n = fscanf(f, "%lu %lu", &size, &resident);

	fclose(f);
	return n == 2 ? resident * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

/* As the trojan protocol has it: 28 bytes of SHA-224. */
static int derive_sha224(void *arg, const char *credential, size_t len, uint8_t *key,
			 uint8_t *secret)
{
	return hash(HASH_SHA224, credential, len, key);
}

static void make_list(struct user_list *l, size_t from, size_t n, uint64_t bps)
{
	user_list_init(l);
	for (size_t i = from; i < from + n; i++) {
		char text[40];
		struct user_entry e = {.id = (int64_t)i + 1, .credential = text, .speed_bps = bps};

		e.credential_len =
			(uint32_t)snprintf(text, sizeof(text), "%08zx-%04zx-4abc-9def-%012zx",
					   i * 2654435761u & 0xffffffff, i & 0xffff, i);
		assert_int_equal(user_list_add(l, &e), 0);
	}
}

static void apply(struct user_registry *r, struct user_list *l, const char *what)
{
	struct user_publication *pub = NULL;
	struct user_changes changes;
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	assert_int_equal(user_registry_apply(r, l, &changes, &pub), 0);
	printf("%-28s %7.1f ms  (+%u -%u ~%u =%u)\n", what, ms_since(&t), changes.added,
	       changes.removed, changes.changed, changes.kept);
	if (pub) {
		pub->acks = 1;
		user_publication_ack(pub);
	}
	clock_gettime(CLOCK_MONOTONIC, &t);
	assert_int_equal(user_registry_reap(r, NULL, NULL), 0);
	printf("%-28s %7.1f ms\n", "  reap", ms_since(&t));
}

static void hundred_thousand_users(void **state)
{
	static const uint8_t epoch[COUNTERS_EPOCH_LEN];
	struct user_registry_conf conf = {.node = 1, .key_len = 28, .derive = derive_sha224};
	struct user_list one, limits, moved, none;
	struct user_registry *r;
	struct traffic sum = {0}, t;
	struct timespec start;
	size_t before, after;

	make_list(&one, 0, USERS, 0);
	make_list(&limits, 0, USERS, 1000000);
	make_list(&moved, USERS / 100, USERS, 1000000);
	user_list_init(&none);
	malloc_trim(0);
	before = rss();
	assert_int_equal(counters_create(NULL, epoch, 4, &conf.counters), 0);
	assert_int_equal(user_registry_new(&conf, &r), 0);
	apply(r, &one, "first list");
	malloc_trim(0);
	for (uint32_t i = 0; i < USERS; i++) /* everybody has been on every worker */
		for (unsigned w = 0; w < 4; w++)
			counters_add(conf.counters, w, i, TRAFFIC_UP, 1);
	after = rss();
	printf("RSS per user with its credential of 36 bytes: %zu bytes, of which counters of 4 "
	       "workers 80\n",
	       (after - before) / USERS);
	apply(r, &one, "the same again");
	apply(r, &limits, "every limit changed");
	apply(r, &moved, "1 % replaced");
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (uint32_t i = 0; i < counters_slots(conf.counters); i++) {
		counters_total(conf.counters, i, &t);
		sum.up += t.up;
	}
	printf("%-28s %7.1f ms\n", "all totals", ms_since(&start));
	assert_int_equal(sum.up, USERS * 4);
	apply(r, &none, "everybody removed");
	user_registry_free(r);
	counters_free(conf.counters);
	user_list_done(&one);
	user_list_done(&limits);
	user_list_done(&moved);
	user_list_done(&none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hundred_thousand_users),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
