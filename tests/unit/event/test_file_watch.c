#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "event/file_watch.h"

struct bed {
	struct loop *l;
	struct file_watch f;
	unsigned changes;
	char dir[64], path[96];
};

static struct bed bed;

static void on_change(struct file_watch *f)
{
	bed.changes++;
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static int setup(void **state)
{
	const char *paths[1] = {bed.path};

	bed = (struct bed){.l = loop_new(LOOP_EPOLL, 0)};
	snprintf(bed.dir, sizeof(bed.dir), "/tmp/weir-watch-XXXXXX");
	if (!mkdtemp(bed.dir))
		return -1;
	snprintf(bed.path, sizeof(bed.path), "%s/a.json", bed.dir);
	put(bed.path, "1");
	return file_watch_open(&bed.f, bed.l, paths, 1, 50 * NSEC_MS, on_change);
}

static int teardown(void **state)
{
	file_watch_close(&bed.f);
	loop_free(bed.l);
	unlink(bed.path);
	return rmdir(bed.dir);
}

static void turn_for(nsec_t time)
{
	nsec_t end = loop_now(bed.l) + time;

	while (loop_now(bed.l) < end)
		loop_turn(bed.l, 10 * NSEC_MS);
}

static void many_writes_within_the_settling_time_are_one_change(void **state)
{
	for (int i = 0; i < 20; i++)
		put(bed.path, "2");
	turn_for(300 * NSEC_MS);
	assert_int_equal(bed.changes, 1);
}

static void a_file_renamed_over_is_a_change_and_again(void **state)
{
	char other[128];

	snprintf(other, sizeof(other), "%s.new", bed.path);
	for (unsigned i = 1; i <= 2; i++) {
		put(other, "3");
		assert_int_equal(rename(other, bed.path), 0);
		turn_for(300 * NSEC_MS);
		assert_int_equal(bed.changes, i);
	}
}

static void other_files_of_the_directory_do_not_matter(void **state)
{
	char other[128];

	snprintf(other, sizeof(other), "%s.swp", bed.path);
	put(other, "4");
	unlink(other);
	turn_for(200 * NSEC_MS);
	assert_int_equal(bed.changes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(many_writes_within_the_settling_time_are_one_change,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_renamed_over_is_a_change_and_again, setup,
						teardown),
		cmocka_unit_test_setup_teardown(other_files_of_the_directory_do_not_matter, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
