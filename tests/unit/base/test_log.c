#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

static char dir[] = "/tmp/weir-log-XXXXXX";
static char path[64], moved[64];
static char content[1 << 20];

static int setup(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/log", dir);
	snprintf(moved, sizeof(moved), "%s/old", dir);
	return 0;
}

static int teardown(void **state)
{
	log_close();
	unlink(path);
	unlink(moved);
	return rmdir(dir);
}

static void start(enum log_level level, bool json)
{
	unlink(path);
	assert_int_equal(log_open(&(struct log_conf){.level = level, .json = json, .path = path}),
			 0);
	assert_int_equal(log_reopen(), 0);
}

static char *read_log(const char *name)
{
	int fd = open(name, O_RDONLY);
	ssize_t n = read(fd, content, sizeof(content) - 1);

	assert_true(n >= 0);
	content[n] = '\0';
	close(fd);
	return content;
}

static void a_line_of_text_has_time_level_area_and_pairs(void **state)
{
	struct log_line l;

	start(LOG_INFO, false);
	assert_true(log_begin(&l, LOG_WARN, "session", "ended"));
	log_str(&l, "to", "example.com:443");
	log_num(&l, "up", -5);
	log_error_of(&l, -ECONNRESET);
	log_str(&l, "text", "two words");
	log_str(&l, "none", NULL);
	log_end(&l);
	read_log(path);
	assert_int_equal(content[10], 'T');
	assert_string_equal(strchr(content, 'Z'),
			    "Z warn  session: ended to=example.com:443 up=-5 err=ECONNRESET "
			    "text=\"two words\" none=\"\"\n");
}

static void json_lines_are_json(void **state)
{
	struct log_line l;

	start(LOG_INFO, true);
	assert_true(log_begin(&l, LOG_ERROR, "panel", "say \"hi\"\n"));
	log_str(&l, "bytes", "\xff\x01\\\xc3\xa9\xc2\x85");
	log_num(&l, "n", 7);
	log_end(&l);
	assert_string_equal(
		strchr(read_log(path), 'Z'),
		"Z\",\"level\":\"error\",\"area\":\"panel\",\"msg\":\"say \\\"hi\\\"\\u000a\","
		"\"bytes\":\"\\ufffd\\u0001\\\\\xc3\xa9\\u0085\",\"n\":7}\n");
}

static void nobody_s_text_can_start_a_line_or_fake_a_key(void **state)
{
	struct log_line l;

	start(LOG_INFO, false);
	log_msg(LOG_INFO, "a", "one\ntwo %s", "x\r\n\033[31m");
	assert_true(log_begin(&l, LOG_INFO, "a", "m"));
	log_str(&l, "k", "v user=root");
	log_str(&l, "e", "a=b");
	log_end(&l);
	read_log(path);
	assert_non_null(strstr(content, "one\\u000atwo x\\u000d\\u000a\\u001b[31m\n"));
	assert_non_null(strstr(content, "m k=\"v user=root\" e=\"a=b\"\n"));
	assert_null(strchr(content, '\033'));
}

static void a_level_that_is_off_writes_nothing(void **state)
{
	struct log_line l;
	enum log_level level;

	start(LOG_WARN, false);
	log_msg(LOG_INFO, "a", "quiet");
	assert_false(log_begin(&l, LOG_DEBUG, "a", "quiet"));
	assert_string_equal(read_log(path), "");
	log_set_level(LOG_NONE);
	log_msg(LOG_ERROR, "a", "quiet");
	assert_false(log_on(LOG_NONE));
	assert_string_equal(read_log(path), "");
	assert_int_equal(log_level_parse("warning", &level), 0);
	assert_int_equal(level, LOG_WARN);
	assert_int_equal(log_level_parse(log_level_name(LOG_DEBUG), &level), 0);
	assert_int_equal(level, LOG_DEBUG);
	assert_int_equal(log_level_parse("loud", &level), -EINVAL);
}

/* Every length around the limit, in both forms: one line, closed quotes, never beyond the buffer.
 */
static void a_long_line_is_cut_and_stays_well_formed(void **state)
{
	static char big[3 * LOG_LINE_MAX];

	memset(big, 'x', sizeof(big) - 1);
	for (int json = 0; json < 2; json++) {
		for (size_t len = LOG_LINE_MAX - 200; len < LOG_LINE_MAX + 100; len++) {
			struct log_line l;
			size_t n;

			start(LOG_INFO, json);
			assert_true(log_begin(&l, LOG_INFO, "a",
					      len % 2 ? "m" : big + sizeof(big) - len));
			log_str(&l, "key", big + sizeof(big) - len);
			log_num(&l, "n", INT64_MIN);
			log_str(&l, "last", "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"");
			log_end(&l);
			n = strlen(read_log(path));
			assert_true(n <= LOG_LINE_MAX);
			assert_ptr_equal(strchr(content, '\n'), content + n - 1);
			if (json)
				assert_int_equal(content[n - 2], '}');
			if (json && n > LOG_LINE_MAX - 20)
				assert_true(content[n - 3] == '"' || content[n - 3] == '8');
		}
	}
}

static void after_a_rotation_lines_go_to_the_new_file(void **state)
{
	start(LOG_INFO, false);
	log_msg(LOG_INFO, "a", "first");
	assert_int_equal(rename(path, moved), 0);
	log_msg(LOG_INFO, "a", "second");
	assert_int_equal(log_reopen(), 0);
	log_msg(LOG_INFO, "a", "third");
	assert_non_null(strstr(read_log(moved), "second"));
	assert_null(strstr(content, "third"));
	assert_non_null(strstr(read_log(path), "third"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(log_follow(), 0);
	log_msg(LOG_INFO, "a", "of a file that was removed");
	assert_int_equal(log_follow(), 0); /* nothing to be done */
	assert_non_null(strstr(read_log(path), "removed"));
	assert_int_equal(log_open(&(struct log_conf){.path = "/nonexistent/x"}), -ENOENT);
	log_msg(LOG_INFO, "a", "fourth");
	assert_non_null(strstr(read_log(path), "fourth"));
}

static void without_a_path_lines_go_to_standard_output_where_asked(void **state)
{
	int kept = dup(STDOUT_FILENO), fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	fflush(stdout);
	dup2(fd, STDOUT_FILENO);
	assert_int_equal(log_open(&(struct log_conf){.level = LOG_INFO, .to_stdout = true}), 0);
	log_msg(LOG_INFO, "a", "out");
	log_close();
	dup2(kept, STDOUT_FILENO);
	close(kept);
	close(fd);
	assert_non_null(strstr(read_log(path), "out"));
}

static void a_stuck_pipe_loses_lines_and_says_so_later(void **state)
{
	char fifo[64], byte[4096];
	int fd;

	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	fd = open(fifo, O_RDWR | O_NONBLOCK);
	assert_int_equal(log_open(&(struct log_conf){.level = LOG_INFO, .path = fifo}), 0);
	for (int i = 0; i < 5000; i++)
		log_msg(LOG_INFO, "a", "line %d", i);
	while (read(fd, byte, sizeof(byte)) > 0)
		;
	log_msg(LOG_INFO, "a", "again");
	memset(content, 0, sizeof(content));
	assert_true(read(fd, content, sizeof(content) - 1) > 0);
	assert_non_null(strstr(content, "lines were lost lost="));
	assert_non_null(strstr(content, "again"));
	log_close();
	close(fd);
	unlink(fifo);
}

static void *chatter(void *arg)
{
	for (int i = 0; i < 2000; i++)
		log_msg(LOG_INFO, "t", "%s", (const char *)arg);
	return NULL;
}

static void lines_of_several_threads_do_not_mix(void **state)
{
	pthread_t t[2];
	int lines = 0;

	start(LOG_INFO, false);
	pthread_create(&t[0], NULL, chatter, "aaaaaaaaaa");
	pthread_create(&t[1], NULL, chatter, "bbbbbbbbbb");
	for (int i = 0; i < 20; i++)
		assert_int_equal(log_reopen(), 0);
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	read_log(path);
	for (char *p = content; *p; p = strchr(p, '\n') + 1) {
		char *text = strstr(p, "t: ");

		lines++;
		assert_true(memcmp(text, "t: aaaaaaaaaa\n", 14) == 0 ||
			    memcmp(text, "t: bbbbbbbbbb\n", 14) == 0);
	}
	assert_int_equal(lines, 4000);
}

static void a_limit_speaks_once_and_counts_the_rest(void **state)
{
	struct log_limit l = {0};
	unsigned missed = 9;

	assert_true(log_allow(&l, 100, NSEC_SEC, &missed));
	assert_int_equal(missed, 0);
	for (int i = 0; i < 5; i++)
		assert_false(log_allow(&l, 200, NSEC_SEC, &missed));
	assert_true(log_allow(&l, NSEC_SEC + 100, NSEC_SEC, &missed));
	assert_int_equal(missed, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_of_text_has_time_level_area_and_pairs),
		cmocka_unit_test(json_lines_are_json),
		cmocka_unit_test(nobody_s_text_can_start_a_line_or_fake_a_key),
		cmocka_unit_test(a_level_that_is_off_writes_nothing),
		cmocka_unit_test(a_long_line_is_cut_and_stays_well_formed),
		cmocka_unit_test(after_a_rotation_lines_go_to_the_new_file),
		cmocka_unit_test(without_a_path_lines_go_to_standard_output_where_asked),
		cmocka_unit_test(a_stuck_pipe_loses_lines_and_says_so_later),
		cmocka_unit_test(lines_of_several_threads_do_not_mix),
		cmocka_unit_test(a_limit_speaks_once_and_counts_the_rest),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
