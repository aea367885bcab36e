/* The panel over loopback, as far as who may have what: an answer that could not be built (torture
 * makes each allocation fail in turn) must not become another's.
 */
#include "unit.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/addr.h"
#include "panel/panel.h"

static char dir[] = "/tmp/weir-panel-XXXXXX", db[100];
static struct panel *panel;

static int start(void **state)
{
	struct panel_conf conf = PANEL_CONF_DEFAULT;
	struct fault why;

	if (!mkdtemp(dir))
		return -1;
	snprintf(db, sizeof(db), "%s/p.db", dir);
	conf.listen = "127.0.0.1:0";
	conf.db = db;
	conf.admin_token = "the-right-one-of-the-panel";
	conf.stop_ms = 100;
	return panel_start(&conf, &panel, &why);
}

static int stop(void **state)
{
	char file[120];

	panel_stop(panel);
	for (const char **end = (const char *[]){"", "-wal", "-shm", NULL}; *end; end++) {
		snprintf(file, sizeof(file), "%s%s", db, *end);
		unlink(file);
	}
	rmdir(dir);
	return 0;
}

/* The status of the answer; 0: none, the connection ended. */
static int ask(const char *head, const void *body, size_t len)
{
	struct timeval patience = {.tv_sec = 20};
	char text[400], answer[4000];
	struct addr to;
	size_t got = 0;
	ssize_t n;
	int fd, status;

	assert_int_equal(addr_parse(&to, panel_address(panel)), 0);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(connect(fd, &to.sa, to.len), 0);
	n = snprintf(text, sizeof(text),
		     "%s\r\nHost: x\r\nConnection: close\r\n"
		     "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
		     head, len);
	(void)!send(fd, text, (size_t)n, MSG_NOSIGNAL);
	(void)!send(fd, body, len, MSG_NOSIGNAL);
	while (got < sizeof(answer) - 1 &&
	       (n = recv(fd, answer + got, sizeof(answer) - 1 - got, 0)) > 0)
		got += (size_t)n;
	close(fd);
	answer[got] = '\0';
	return sscanf(answer, "HTTP/1.1 %d", &status) == 1 ? status : 0;
}

static bool memory_may_lack(void)
{
	const char *at = getenv("FAILMALLOC_AT");

	return at && strcmp(at, "0") != 0;
}

/* Hung up is for want of memory only. */
static void answered(int status, const char *head)
{
	int got = ask(head, "{}", 2);

	if (got != 0 || !memory_may_lack())
		assert_int_equal(got, status);
}

static void the_page_is_no_request_of_a_node(void **state)
{
	answered(200, "GET / HTTP/1.1\r\nAccept: text/html");
}

static void a_refusal_is_all_that_a_stranger_gets(void **state)
{
	answered(401, "GET /admin/v1/users HTTP/1.1");
	answered(401, "POST /admin/v1/users HTTP/1.1\r\nAuthorization: Bearer wrong");
	answered(404, "GET /nothing/here HTTP/1.1");
	answered(401, "POST /api/v2sp?act=config&node_id=1&token=wrong HTTP/1.1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_page_is_no_request_of_a_node),
		cmocka_unit_test(a_refusal_is_all_that_a_stranger_gets),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
