#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/counters.h"

static const uint8_t epoch[COUNTERS_EPOCH_LEN] = "0123456789abcde";
static char dir[] = "/tmp/weir-counters-XXXXXX";
static char path[128];

static int make_dir(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/counters", dir);
	return 0;
}

static int remove_dir(void **state)
{
	unlink(path);
	return rmdir(dir);
}

static void totals_are_the_sum_of_all_workers(void **state)
{
	struct counters *c;
	struct traffic t;
	uint32_t slot;

	assert_int_equal(counters_create(NULL, epoch, 3, &c), 0);
	assert_int_equal(counters_alloc(c, 1, 42, &slot), 0);
	counters_add(c, 0, slot, TRAFFIC_UP, 1);
	counters_add(c, 1, slot, TRAFFIC_UP, 10);
	counters_add(c, 2, slot, TRAFFIC_DOWN, 1ull << 40);
	counters_add(c, 2, slot, TRAFFIC_DOWN, 5);
	counters_total(c, slot, &t);
	assert_int_equal(t.up, 11);
	assert_int_equal(t.down, (1ull << 40) + 5);
	counters_free(c);
}

static void growing_moves_nothing(void **state)
{
	struct counters *c;
	struct counter *first;
	uint32_t slot, s;
	struct traffic t;

	unlink(path);
	assert_int_equal(counters_create(path, epoch, 2, &c), 0);
	assert_int_equal(counters_alloc(c, 1, 1, &slot), 0);
	first = counters_at(c, 1, slot);
	for (int i = 2; i < 5000; i++) {
		assert_int_equal(counters_alloc(c, 1, i, &s), 0);
		counters_add(c, 0, s, TRAFFIC_UP, (uint64_t)i);
	}
	assert_ptr_equal(counters_at(c, 1, slot), first);
	counters_total(c, s, &t);
	assert_int_equal(t.up, 4999);
	assert_int_equal(counters_slots(c), 4999);
	assert_int_equal(counters_sync(c), 0);
	counters_free(c);
	unlink(path);
}

static void a_released_slot_keeps_its_bytes_and_starts_another_life(void **state)
{
	struct counters_owner o;
	struct counters *c;
	struct traffic t;
	uint32_t a, b;

	assert_int_equal(counters_create(NULL, epoch, 1, &c), 0);
	assert_int_equal(counters_alloc(c, 3, 7, &a), 0);
	counters_add(c, 0, a, TRAFFIC_UP, 100);
	counters_release(c, a);
	counters_owner(c, a, &o);
	assert_int_equal(o.user, 0);
	assert_int_equal(o.life, 1);
	assert_int_equal(counters_alloc(c, 4, 8, &b), 0);
	assert_int_equal(a, b);
	counters_owner(c, b, &o);
	assert_int_equal(o.node, 4);
	assert_int_equal(o.user, 8);
	counters_total(c, b, &t);
	assert_int_equal(t.up, 100);
	counters_free(c);
}

static void kill_9_loses_nothing(void **state)
{
	struct counters_owner o;
	struct counters *c;
	struct traffic t;
	uint32_t slot;
	int status;
	pid_t pid;

	unlink(path);
	pid = fork();
	if (!pid) {
		if (counters_create(path, epoch, 2, &c) || counters_alloc(c, 9, 1234, &slot))
			_exit(1);
		counters_add(c, 0, slot, TRAFFIC_UP, 111);
		counters_add(c, 1, slot, TRAFFIC_DOWN, 222);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));

	assert_int_equal(counters_open(path, &c), 0);
	assert_memory_equal(c->epoch, epoch, sizeof(epoch));
	counters_owner(c, 0, &o);
	assert_int_equal(o.node, 9);
	assert_int_equal(o.user, 1234);
	counters_total(c, 0, &t);
	assert_int_equal(t.up, 111);
	assert_int_equal(t.down, 222);
	counters_free(c);
	unlink(path);
}

static void a_living_process_keeps_its_file(void **state)
{
	struct counters *c, *other;

	unlink(path);
	assert_int_equal(counters_create(path, epoch, 1, &c), 0);
	assert_int_equal(counters_open(path, &other), -EWOULDBLOCK);
	assert_int_equal(counters_create(path, epoch, 1, &other), -EEXIST);
	counters_free(c);
	assert_int_equal(counters_open(path, &other), 0);
	counters_free(other);
	unlink(path);
}

static void poke(off_t at, uint8_t value)
{
	int fd = open(path, O_WRONLY);

	assert_int_equal(pwrite(fd, &value, 1, at), 1);
	close(fd);
}

static void a_damaged_or_foreign_file_is_told_apart(void **state)
{
	struct counters *c;
	uint32_t slot;

	for (off_t at = 0; at < 48; at++) {
		unlink(path);
		assert_int_equal(counters_create(path, epoch, 1, &c), 0);
		assert_int_equal(counters_alloc(c, 1, 1, &slot), 0);
		counters_free(c);
		poke(at, 0xa5);
		assert_int_equal(counters_open(path, &c), -ERR_MALFORMED);
	}
	assert_int_equal(truncate(path, 20), 0);
	assert_int_equal(counters_open(path, &c), -ERR_MALFORMED);
	unlink(path);
	assert_int_equal(counters_open(path, &c), -ENOENT);
}

static void a_segment_that_was_not_finished_is_not_there(void **state)
{
	struct counters *c;
	struct stat st;
	uint32_t slot;

	unlink(path);
	assert_int_equal(counters_create(path, epoch, 1, &c), 0);
	assert_int_equal(counters_alloc(c, 1, 1, &slot), 0);
	counters_free(c);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size + 4096), 0);
	assert_int_equal(counters_open(path, &c), 0);
	assert_int_equal(counters_slots(c), COUNTERS_SEG_SLOTS);
	counters_free(c);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(totals_are_the_sum_of_all_workers),
		cmocka_unit_test(growing_moves_nothing),
		cmocka_unit_test(a_released_slot_keeps_its_bytes_and_starts_another_life),
		cmocka_unit_test(kill_9_loses_nothing),
		cmocka_unit_test(a_living_process_keeps_its_file),
		cmocka_unit_test(a_damaged_or_foreign_file_is_told_apart),
		cmocka_unit_test(a_segment_that_was_not_finished_is_not_there),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
