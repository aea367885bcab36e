/* What a log leaves behind, in a folder of its own. */
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/log_files.h"

static char dir[64], path[96];

static int setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/weir-logs-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/weir.log", dir);
	return 0;
}

static void at(char out[160], const char *name)
{
	snprintf(out, 160, "%s/%s", dir, name);
}

static int teardown(void **state)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char name[512];

	while ((e = readdir(d))) {
		snprintf(name, sizeof(name), "%s/%s", dir, e->d_name);
		(void)!unlink(name);
	}
	closedir(d);
	return rmdir(dir);
}

static void put(const char *name, const char *text)
{
	char file[160];
	int fd;

	at(file, name);
	fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static bool there(const char *name)
{
	char file[160];

	at(file, name);
	return access(file, F_OK) == 0;
}

static const struct timespec noon = {.tv_sec = 1769860800, .tv_nsec = 123456789}; /* 2026-01-31 */

static void a_file_is_put_aside_when_it_has_its_size(void **state)
{
	struct log_keep k = {.max_size = 10};

	assert_int_equal(log_files_rotate(path, &k, &noon), 0); /* there is none */
	put("weir.log", "012345678");
	assert_int_equal(log_files_rotate(path, &k, &noon), 0);
	put("weir.log", "0123456789");
	assert_int_equal(log_files_rotate(path, &k, &noon), 1);
	assert_false(there("weir.log"));
	assert_true(there("weir.log.20260131T120000.123"));

	/* Never over another. */
	put("weir.log", "9876543210");
	assert_int_equal(log_files_rotate(path, &k, &noon), 0);
	assert_true(there("weir.log"));
	k.max_size = 0;
	assert_int_equal(log_files_rotate(path, &k, &(struct timespec){.tv_sec = 1}), 0);
}

static void what_was_put_aside_is_compressed_whole(void **state)
{
	static char text[100001], back[100002];
	struct log_keep k = {.compress = true};
	char file[160];
	struct stat st;
	gzFile gz;

	for (size_t i = 0; i < sizeof(text) - 1; i++)
		text[i] = (char)('a' + i % 23);
	put("weir.log.20260131T120000.123", text);
	put("weir.log.20260130T120000.123.gz.part", "what a crash has left");
	assert_int_equal(log_files_tidy(path, &k, noon.tv_sec), 0);
	assert_false(there("weir.log.20260131T120000.123"));
	assert_false(there("weir.log.20260130T120000.123.gz.part"));
	at(file, "weir.log.20260131T120000.123.gz");
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07137, 0);
	gz = gzopen(file, "rb");
	assert_int_equal(gzread(gz, back, sizeof(back)), sizeof(text) - 1);
	gzclose(gz);
	assert_string_equal(back, text);
}

static void the_newest_are_kept(void **state)
{
	struct log_keep k = {.max_backups = 2};

	put("weir.log", "now");
	put("weir.log.20260128T120000.000.gz", "1");
	put("weir.log.20260129T120000.000", "2");
	put("weir.log.20260130T120000.000.gz", "3");
	put("weir.log.20260131T120000.000", "4");
	assert_int_equal(log_files_tidy(path, &k, noon.tv_sec), 0);
	assert_false(there("weir.log.20260128T120000.000.gz"));
	assert_false(there("weir.log.20260129T120000.000"));
	assert_true(there("weir.log.20260130T120000.000.gz"));
	assert_true(there("weir.log.20260131T120000.000"));
	assert_true(there("weir.log"));
}

static void what_a_crash_has_left_takes_no_place(void **state)
{
	struct log_keep k = {.max_backups = 1, .compress = true};

	put("weir.log.20260131T120000.000.gz.part", "half");
	put("weir.log.20260131T120000.000", "whole");
	assert_int_equal(log_files_tidy(path, &k, noon.tv_sec), 0);
	assert_true(there("weir.log.20260131T120000.000.gz"));
	assert_false(there("weir.log.20260131T120000.000.gz.part"));

	/* Packed, and not yet removed. */
	k.max_backups = 2;
	put("weir.log.20260130T120000.000.gz", "older");
	put("weir.log.20260131T120000.000", "whole");
	assert_int_equal(log_files_tidy(path, &k, noon.tv_sec), 0);
	assert_true(there("weir.log.20260131T120000.000.gz"));
	assert_false(there("weir.log.20260131T120000.000"));
	assert_true(there("weir.log.20260130T120000.000.gz"));
}

static void a_link_is_never_moved_nor_packed(void **state)
{
	struct log_keep k = {.max_size = 1, .compress = true};
	char file[160];

	put("elsewhere", "0123456789");
	assert_int_equal(symlink("elsewhere", path), 0);
	assert_int_equal(log_files_rotate(path, &k, &noon), 0);
	assert_true(there("weir.log"));
	at(file, "weir.log.20260131T120000.000");
	assert_int_equal(symlink("elsewhere", file), 0);
	assert_int_equal(log_files_tidy(path, &k, noon.tv_sec), -ELOOP);
	assert_true(there("elsewhere"));
}

static void the_old_are_let_go_of(void **state)
{
	struct log_keep k = {.max_age = 86400};

	put("weir.log.20260130T115959.000", "a second too old");
	put("weir.log.20260130T120000.000", "a day old");
	assert_int_equal(log_files_tidy(path, &k, noon.tv_sec), 0);
	assert_false(there("weir.log.20260130T115959.000"));
	assert_true(there("weir.log.20260130T120000.000"));
}

static void files_of_others_stay(void **state)
{
	static const char *const others[] = {
		"weir.log.1",
		"weir.log.bak",
		"weir.log.20260131T120000.12x",
		"weir.log.20260131T120000.123.bz2",
		"weir.logs.20260131T120000.123",
		"other.log.20260131T120000.123",
	};
	struct log_keep k = {.max_backups = 1, .max_age = 1, .compress = true};

	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		put(others[i], "not yours");
	assert_int_equal(log_files_tidy(path, &k, noon.tv_sec + 1000000), 0);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_true(there(others[i]));
}

static void what_cannot_be_done_is_told(void **state)
{
	struct log_keep k = {.max_size = 1, .compress = true};
	char folder[160];

	assert_int_equal(log_files_tidy("/nonexistent/weir.log", &k, 0), -ENOENT);
	assert_int_equal(log_files_rotate("/dev/null/weir.log", &k, &noon), -ENOTDIR);

	/* The others are done all the same. */
	at(folder, "weir.log.20260131T120000.124");
	assert_int_equal(mkdir(folder, 0700), 0);
	put("weir.log.20260131T120000.123", "text");
	assert_int_equal(log_files_tidy(path, &k, noon.tv_sec), -EINVAL);
	assert_true(there("weir.log.20260131T120000.123.gz"));
	assert_false(there("weir.log.20260131T120000.124.gz"));
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_file_is_put_aside_when_it_has_its_size, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_was_put_aside_is_compressed_whole, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_newest_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_crash_has_left_takes_no_place, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_link_is_never_moved_nor_packed, setup, teardown),
		cmocka_unit_test_setup_teardown(the_old_are_let_go_of, setup, teardown),
		cmocka_unit_test_setup_teardown(files_of_others_stay, setup, teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_done_is_told, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
