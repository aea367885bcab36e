/* Folders of state and of sockets. */
#include "unit.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/daemon.h"

struct place {
	char root[32], dir[64];
};

static int set_up(void **state)
{
	static struct place p;

	p = (struct place){.root = "/tmp/weir-daemon-XXXXXX"};
	assert_non_null(mkdtemp(p.root));
	snprintf(p.dir, sizeof(p.dir), "%s/run", p.root);
	*state = &p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	if (rmdir(p->dir))
		unlink(p->dir);
	return rmdir(p->root);
}

static void a_run_folder_is_made_private_and_found_again(void **state)
{
	struct place *p = *state;
	struct stat st;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(daemon_make_run_dir(p->dir), 0);
		assert_int_equal(lstat(p->dir, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0700);
	}
}

static void one_that_others_may_write_in_is_refused(void **state)
{
	static const mode_t open_to[] = {0720, 0702, 0777, 01777};
	struct place *p = *state;

	assert_int_equal(mkdir(p->dir, 0700), 0);
	for (size_t i = 0; i < ARRAY_LEN(open_to); i++) {
		assert_int_equal(chmod(p->dir, open_to[i]), 0);
		assert_int_equal(daemon_make_run_dir(p->dir), -EPERM);
	}
	assert_int_equal(chmod(p->dir, 0755), 0); /* to look is no harm */
	assert_int_equal(daemon_make_run_dir(p->dir), 0);
}

static void a_link_to_one_is_refused(void **state)
{
	struct place *p = *state;

	assert_int_equal(symlink(p->root, p->dir), 0);
	assert_int_equal(daemon_make_run_dir(p->dir), -EPERM);
	assert_int_equal(daemon_make_dir(p->dir),
			 0); /* of state it may be: who made it knows why */
}

static void that_of_somebody_else_is_refused(void **state)
{
	struct place *p = *state;

	if (geteuid() != 0)
		skip(); /* nobody else can be made the owner */
	assert_int_equal(mkdir(p->dir, 0700), 0);
	assert_int_equal(chown(p->dir, 65534, 65534), 0);
	assert_int_equal(daemon_make_run_dir(p->dir), -EPERM);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_run_folder_is_made_private_and_found_again),
		TEST(one_that_others_may_write_in_is_refused),
		TEST(a_link_to_one_is_refused),
		TEST(that_of_somebody_else_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
