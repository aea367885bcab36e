/* Connections of the panel that strangers hold: how many, and how long. */
#include "unit.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "net/addr.h"
#include "panel/panel.h"

#define TOKEN	  "the-right-one-of-the-panel"
#define LIMIT	  128 /* half of the descriptors there are when the panel starts */
#define ALLOWED	  "GET /admin/v1/nodes HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " TOKEN "\r\n\r\n"
#define FORBIDDEN "GET /admin/v1/nodes HTTP/1.1\r\nHost: h\r\n\r\n"

static char dir[] = "/tmp/weir-callers-XXXXXX", db[100];
static struct panel *panel;

/* With as many connections as there are in this test. */
static struct panel *panel_of(const char *listen, unsigned head_ms)
{
	struct panel_conf conf = PANEL_CONF_DEFAULT;
	struct rlimit files, few;
	struct panel *p;
	struct fault why;

	conf.listen = listen;
	conf.db = db;
	conf.admin_token = TOKEN;
	conf.threads = 1;
	conf.head_ms = head_ms;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	few = (struct rlimit){.rlim_cur = 2 * LIMIT, .rlim_max = files.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(panel_start(&conf, &p, &why), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	return p;
}

static void stop_panel(void)
{
	panel_stop(panel);
	panel = NULL;
}

static int start(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	snprintf(db, sizeof(db), "%s/p.db", dir);
	return 0;
}

static int stop(void **state)
{
	static const char *const ends[] = {"", "-wal", "-shm"};
	char file[120];

	stop_panel(); /* that of a test which failed */
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		snprintf(file, sizeof(file), "%s%s", db, ends[i]);
		unlink(file);
	}
	return rmdir(dir);
}

static int connect_from(const char *source)
{
	const struct timeval patience = {.tv_sec = 20};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct addr from, to;

	assert_true(fd >= 0);
	assert_int_equal(addr_parse(&to, panel_address(panel)), 0);
	assert_int_equal(addr_parse_ip(&from, source, 0), 0);
	assert_int_equal(bind(fd, &from.sa, from.len), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(connect(fd, &to.sa, to.len), 0);
	return fd;
}

static bool is_served(const char *source)
{
	int fd = connect_from(source);
	char text[12] = "";
	bool is;

	send(fd, ALLOWED, sizeof(ALLOWED) - 1, MSG_NOSIGNAL);
	is = recv(fd, text, sizeof(text), MSG_WAITALL) == 12 && !memcmp(text, "HTTP/1.1 200", 12);
	close(fd);
	return is;
}

static void open_all(int fd[], size_t n, const char *source)
{
	for (size_t i = 0; i < n; i++)
		fd[i] = connect_from(source);
}

static void close_all(const int fd[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fd[i]);
}

/* None of them is cut off before our patience ends: what is free is what they could not have. */
static void one_address_does_not_hold_all_connections(void **state)
{
	int fd[LIMIT + 8];

	panel = panel_of("0.0.0.0:0", 600000);
	open_all(fd, ARRAY_LEN(fd), "127.0.0.1");
	assert_true(is_served("127.0.0.2"));
	close_all(fd, ARRAY_LEN(fd));
	stop_panel();
}

static void on_loopback_a_proxy_has_them_all(void **state)
{
	int fd[LIMIT - 8];

	panel = panel_of("127.0.0.1:0", 600000);
	open_all(fd, ARRAY_LEN(fd), "127.0.0.1");
	assert_true(is_served("127.0.0.1"));
	close_all(fd, ARRAY_LEN(fd));
	stop_panel();
}

static bool has_ended(int fd)
{
	char bytes[4096];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void who_is_not_let_in_is_cut_off_however_busy_he_is(void **state)
{
	static const char *const says[] = {
		"a", FORBIDDEN, "GET / HTTP/1.1\r\nHost: h\r\nAccept: text/html\r\n\r\n"};
	int64_t head_ms = (int64_t)(3000 * unit_slow()), late = 5 * head_ms, from;
	int fd[ARRAY_LEN(says)], welcome;
	bool over[ARRAY_LEN(says)] = {0};
	size_t ended = 0;

	panel = panel_of("127.0.0.1:0", (unsigned)head_ms);
	welcome = connect_from("127.0.0.4");
	from = now_ms();
	open_all(fd, ARRAY_LEN(fd), "127.0.0.3");
	while (ended < ARRAY_LEN(says) && now_ms() - from < late) {
		for (size_t i = 0; i < ARRAY_LEN(says); i++) {
			send(fd[i], says[i], strlen(says[i]), MSG_NOSIGNAL);
			if (!over[i] && has_ended(fd[i])) {
				assert_in_range(now_ms() - from, head_ms - 10, late);
				over[i] = true;
				ended++;
			}
		}
		send(welcome, ALLOWED, sizeof(ALLOWED) - 1, MSG_NOSIGNAL);
		usleep(100000);
		assert_false(has_ended(welcome));
	}
	assert_int_equal(ended, ARRAY_LEN(says));
	close_all(fd, ARRAY_LEN(fd));
	close(welcome);
	stop_panel();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_address_does_not_hold_all_connections),
		cmocka_unit_test(on_loopback_a_proxy_has_them_all),
		cmocka_unit_test(who_is_not_let_in_is_cut_off_however_busy_he_is),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
