/* A file as one text. */
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"

static char dir[64], path[96];

static int setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/weir-file-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/f", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)!unlink(path);
	return rmdir(dir);
}

static void put(const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
}

static void all_of_a_file_is_read_and_a_nul_stands_behind_it(void **state)
{
	struct file f;

	put("a\0b", 3);
	assert_int_equal(file_read(path, 100, 0, &f), 0);
	assert_int_equal(f.len, 3);
	assert_memory_equal(f.text, "a\0b", 4);
	assert_int_equal(f.st.st_size, 3);
	file_done(&f);
	put("", 0);
	assert_int_equal(file_read(path, 100, 0, &f), 0);
	assert_int_equal(f.len, 0);
	assert_string_equal(f.text, "");
	file_done(&f);
	file_done(&f);
}

static void what_is_too_large_is_refused_and_never_cut(void **state)
{
	struct file f = {0};

	put("12345", 5);
	assert_int_equal(file_read(path, 4, 0, &f), -EFBIG);
	assert_null(f.text);
	assert_int_equal(file_read(path, 5, 0, &f), 0);
	assert_string_equal(f.text, "12345");
	file_done(&f);
}

/* A child writes, as more than a pipe holds would keep us waiting for ourselves. */
static int pipe_of(const char *text, size_t len, struct file *out, size_t max)
{
	int fd[2], err;
	pid_t pid;

	assert_int_equal(pipe(fd), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(fd[0]);
		while (len > 0) {
			ssize_t n = write(fd[1], text, len);

			if (n < 0)
				_exit(1);
			text += n;
			len -= (size_t)n;
		}
		_exit(0);
	}
	close(fd[1]);
	err = file_read_fd(fd[0], max, out);
	close(fd[0]);
	return err;
}

static void a_pipe_is_read_to_its_end_within_the_limit(void **state)
{
	size_t len = 300000;
	char *text = calloc(1, len);
	struct file f = {0};

	assert_non_null(text);
	for (size_t i = 0; i < len; i++)
		text[i] = (char)('a' + i % 23);
	assert_int_equal(pipe_of(text, len, &f, len), 0);
	assert_int_equal(f.len, len);
	assert_memory_equal(f.text, text, len);
	file_done(&f);
	assert_int_equal(pipe_of(text, len, &f, len - 1), -EFBIG);
	assert_int_equal(pipe_of(text, 4096, &f, 4096), 0);
	assert_int_equal(f.len, 4096);
	file_done(&f);
	assert_int_equal(pipe_of(text, 0, &f, 0), 0);
	file_done(&f);
	free(text);
}

static void what_is_no_file_says_so(void **state)
{
	char link[128];
	struct file f = {0};

	assert_int_equal(file_read(path, 100, 0, &f), -ENOENT);
	assert_int_equal(file_read(dir, 100, 0, &f), -EISDIR);
	put("x", 1);
	snprintf(link, sizeof(link), "%s/link", dir);
	assert_int_equal(symlink(path, link), 0);
	assert_int_equal(file_read(link, 100, FILE_NO_LINK, &f), -ELOOP);
	assert_null(f.text);
	assert_int_equal(file_read(link, 100, 0, &f), 0);
	file_done(&f);
	assert_int_equal(unlink(link), 0);
}

/* The group is the operator's way to let a service read what it needs. */
static void a_file_is_exposed_when_others_may_read_or_write_it(void **state)
{
	static const struct {
		mode_t mode;
		bool exposed;
	} rows[] = {{0600, false}, {0640, false}, {0660, false}, {0644, true}, {0602, true}};
	char why[FILE_WARNING_MAX];
	struct file f;

	put("psk", 3);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(chmod(path, rows[i].mode), 0);
		assert_int_equal(file_read(path, 100, 0, &f), 0);
		assert_int_equal(file_exposed(&f, why), rows[i].exposed);
		file_done(&f);
	}
	assert_string_equal(why, "holds secrets and is open to others (mode 0602); chmod 600");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_of_a_file_is_read_and_a_nul_stands_behind_it,
						setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_too_large_is_refused_and_never_cut, setup,
						teardown),
		cmocka_unit_test(a_pipe_is_read_to_its_end_within_the_limit),
		cmocka_unit_test_setup_teardown(what_is_no_file_says_so, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_is_exposed_when_others_may_read_or_write_it,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
