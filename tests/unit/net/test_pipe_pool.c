#include "unit.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "net/pipe_pool.h"

static void a_clean_pipe_comes_back_and_a_dirty_one_does_not(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct pipe_pair *a = pipe_get(l), *b;
	char byte;

	assert_non_null(a);
	assert_true(a->size >= 64 * 1024);
	assert_int_equal(read(a->r, &byte, 1), -1);
	assert_int_equal(errno, EAGAIN);
	pipe_put(l, a, false);
	b = pipe_get(l);
	assert_ptr_equal(a, b);
	assert_int_equal(write(b->w, "x", 1), 1);
	pipe_put(l, b, true);
	b = pipe_get(l);
	assert_int_equal(read(b->r, &byte, 1), -1);
	pipe_put(l, b, false);
	pipe_put(l, NULL, false);
	loop_free(l);
}

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void the_pool_keeps_a_bounded_number_and_goes_with_the_loop(void **state)
{
	enum { MANY = PIPE_KEEP + 8 };
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct pipe_pair *p[MANY];
	int before = open_fds();

	for (int i = 0; i < MANY; i++)
		assert_non_null(p[i] = pipe_get(l));
	for (int i = 0; i < MANY; i++)
		pipe_put(l, p[i], false);
	assert_int_equal(open_fds(), before + 2 * PIPE_KEEP);
	loop_free(l);
	assert_int_equal(open_fds(), before);
}

static void without_descriptors_there_is_no_pipe(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct rlimit old, none = {0};

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_null(pipe_get(l));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_clean_pipe_comes_back_and_a_dirty_one_does_not),
		cmocka_unit_test(the_pool_keeps_a_bounded_number_and_goes_with_the_loop),
		cmocka_unit_test(without_descriptors_there_is_no_pipe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
