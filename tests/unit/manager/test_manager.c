/* The manager's state file and the accounts of several subscribers, over an engine without servers. */
#include "unit.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../yassp/fake_engine.h"
#include "base/log.h"
#include "manager/manager.h"
#include "net/addr.h"

#define STAT_EVERY (30 * NSEC_MS)

struct bed {
	struct loop *loop;
	struct ledger *ledger;
	uint32_t node;
	struct engine *e;
	struct manager *m;
	char dir[32], address[64], state[64];
	struct profile defaults;
	const char *allowed;
	enum manager_dialect dialect;
	enum manager_subscribers subscribers;
};

static bool allow(void *arg, const char *plugin)
{
	const struct bed *b = arg;

	return b->allowed && !strcmp(b->allowed, plugin);
}

static void start(struct bed *b, const char *default_plugin)
{
	const struct manager_conf conf = {
		.loop = b->loop,
		.engine = b->e,
		.ledger = b->ledger,
		.ledger_node = b->node,
		.endpoint = {.address = b->address},
		.dialect = b->dialect,
		.subscribers = b->subscribers,
		.stat_interval = STAT_EVERY,
		.rules = {.defaults = &b->defaults, .plugin_allowed = allow, .plugin_arg = b},
		.state_file = b->state,
	};
	char why[PROFILE_WHY_MAX];

	b->defaults = (struct profile){
		.mode = PROFILE_BOTH, .plugin_mode = PROFILE_TCP, .plugin = default_plugin};
	assert_int_equal(manager_new(&conf, &b->m, why), 0);
}

static void open_bed(struct bed *b)
{
	log_set_level(LOG_NONE);
	*b = (struct bed){.dir = "/tmp/weir-manager-XXXXXX", .subscribers = SUBSCRIBERS_ALL};
	assert_non_null(mkdtemp(b->dir));
	snprintf(b->address, sizeof(b->address), "%s/m.sock", b->dir);
	snprintf(b->state, sizeof(b->state), "%s/state", b->dir);
	b->loop = loop_new(LOOP_EPOLL, 0);
	loop_turn(b->loop, NSEC_MS); /* for its clock */
	assert_int_equal(ledger_open(NULL, 2, &b->ledger, NULL), 0);
	assert_int_equal(ledger_node(b->ledger, "test", 0, "shadowsocks", &b->node), 0);
	b->e = fake_engine_new(b->loop, b->ledger, b->node);
}

static void close_bed(struct bed *b)
{
	static const char *const names[] = {"state", "state.new", "m.sock", "0", "1", "2"};
	char path[64];

	manager_free(b->m);
	engine_free(b->e);
	ledger_close(b->ledger);
	loop_turn(b->loop, 0);
	loop_free(b->loop);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", b->dir, names[i]);
		unlink(path);
	}
	rmdir(b->dir);
}

static void pass(struct bed *b, nsec_t time)
{
	nsec_t end = loop_now(b->loop) + time;

	while (loop_now(b->loop) < end)
		loop_turn(b->loop, NSEC_MS);
}

static void put(struct bed *b, uint16_t port)
{
	const struct profile p = {.port = port, .password = "a", .method = "aes-256-gcm"};

	engine_put(b->e, &(struct engine_put){.profile = &p, .keep = true}, NULL, NULL);
}

static bool all_is_acknowledged(struct bed *b)
{
	struct ledger_totals t;

	assert_int_equal(ledger_totals(b->ledger, b->node, &t), 0);
	return t.pending.up + t.pending.down + t.carried.up + t.carried.down + t.frozen.up +
		       t.frozen.down ==
	       0;
}

static const char *state_of(const struct bed *b)
{
	static char text[4096];
	FILE *f = fopen(b->state, "r");

	memset(text, 0, sizeof(text));
	if (f) {
		(void)!fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
	}
	return text;
}

/* ---- clients ----------------------------------------------------------------------------- */

static int client(const struct bed *b, int number)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s/%d", b->dir, number);
	unlink(at.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

/* Says something, and has its answer. */
static void speak(struct bed *b, int fd)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	char text[64] = "";

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", b->address);
	assert_int_equal(sendto(fd, "ping", 4, 0, (struct sockaddr *)&at, sizeof(at)), 4);
	for (int i = 0; i < 5000 && recv(fd, text, sizeof(text) - 1, 0) < 0; i++)
		pass(b, NSEC_MS);
	assert_string_equal(text, "pong");
}

/* It is told of so many bytes of port 8001, however long that takes, and of no more. */
static void assert_told(struct bed *b, int fd, unsigned want)
{
	nsec_t now = loop_now(b->loop), late = now + 20 * NSEC_SEC, end = now + 2 * STAT_EVERY;
	unsigned sum = 0, bytes;
	char text[256];
	ssize_t n;

	while (now < end || (sum < want && now < late)) {
		pass(b, NSEC_MS);
		now = loop_now(b->loop);
		n = recv(fd, text, sizeof(text) - 1, 0);
		if (n < 0)
			continue;
		text[n] = '\0';
		assert_int_equal(sscanf(text, "stat: {\"8001\":%u}", &bytes), 1);
		sum += bytes;
		end = now + 2 * STAT_EVERY;
	}
	assert_int_equal(sum, want);
}

static void ended(void *arg)
{
}

/* ---- tests ------------------------------------------------------------------------------- */

static void nothing_is_acknowledged_before_the_accounts_are_on_disk(void **state)
{
	struct bed b;
	int here, away;

	open_bed(&b);
	put(&b, 8001);
	start(&b, NULL);
	here = client(&b, 0);
	away = client(&b, 1);
	speak(&b, away);
	speak(&b, here);
	pass(&b, NSEC_SEC); /* what their coming has changed is saved */
	close(away);
	fake_engine_move(b.e, 8001, 1000, 234);
	for (int i = 0; i < 5000 && !all_is_acknowledged(&b); i++)
		loop_turn(b.loop, NSEC_MS);
	assert_true(all_is_acknowledged(&b));
	assert_non_null(strstr(state_of(&b), "\"owed\":{\"8001\":1234}"));
	assert_told(&b, here, 1234);
	pass(&b, NSEC_SEC);
	assert_non_null(strstr(state_of(&b), "\"owed\":{}")); /* his who was here */
	assert_non_null(strstr(state_of(&b), "\"owed\":{\"8001\":1234}"));
	close_bed(&b);
	close(here);
}

static void who_is_away_for_long_finds_his_account(void **state)
{
	struct bed b;
	int here, away;

	open_bed(&b);
	put(&b, 8001);
	start(&b, NULL);
	here = client(&b, 0);
	away = client(&b, 1);
	speak(&b, away);
	speak(&b, here);
	close(away);
	for (int i = 0; i < 6; i++) { /* three failures are enough to be taken for gone */
		fake_engine_move(b.e, 8001, 100, 0);
		assert_told(&b, here, 100);
	}
	away = client(&b, 1);
	assert_told(&b, away, 0); /* he has to say something */
	speak(&b, away);
	assert_told(&b, away, 600);
	assert_told(&b, here, 0);
	close_bed(&b);
	close(here);
	close(away);
}

static void while_all_are_away_it_waits_for_who_comes(void **state)
{
	struct bed b;
	int fd;

	open_bed(&b);
	put(&b, 8001);
	start(&b, NULL);
	fd = client(&b, 0);
	speak(&b, fd);
	close(fd);
	fake_engine_move(b.e, 8001, 5, 0);
	for (int i = 0; i < 6; i++) /* also on a busy machine three rounds at least */
		pass(&b, 2 * STAT_EVERY);
	fake_engine_move(b.e, 8001, 70, 0);
	pass(&b, 4 * STAT_EVERY);
	fd = client(&b, 1);
	speak(&b, fd);
	assert_told(&b, fd, 70);
	close(fd);
	fd = client(&b, 0);
	speak(&b, fd);
	assert_told(&b, fd, 75);
	close_bed(&b);
	close(fd);
}

static void a_plugin_that_is_no_longer_allowed_is_not_restored(void **state)
{
	static const char *const allowed[] = {"v2", NULL, "obfs"};
	struct bed b;
	FILE *f;

	for (size_t i = 0; i < ARRAY_LEN(allowed); i++) {
		open_bed(&b);
		b.allowed = allowed[i];
		f = fopen(b.state, "w");
		fprintf(f, "{\"version\":1,\"generation\":9,\"ports\":["
			   "{\"generation\":7,\"server_port\":8001,\"password\":\"a\","
			   "\"method\":\"aes-256-gcm\",\"plugin\":\"v2\"},"
			   "{\"generation\":8,\"server_port\":8002,\"password\":\"a\","
			   "\"method\":\"aes-256-gcm\"},"
			   "{\"generation\":9,\"server_port\":8003,\"password\":\"a\","
			   "\"method\":\"aes-256-gcm\",\"plugin\":\"mine\"}]}");
		fclose(f);
		start(&b, "mine"); /* which nobody needs leave for */
		assert_int_equal(b.e->v[8001].there, i == 0);
		assert_true(b.e->v[8002].there);
		assert_true(b.e->v[8003].there);
		close_bed(&b);
	}
}

/* The ports that end with the section look like removed ones from then on. */
static void totals_outlive_the_end_of_the_section(void **state)
{
	static const char remove[] = "remove: {\"server_port\":8002}";
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct ledger_totals t;
	struct bed b;
	int fd;

	open_bed(&b);
	b.dialect = MANAGER_LIBEV;
	put(&b, 8001);
	put(&b, 8002);
	start(&b, NULL);
	pass(&b, 2 * STAT_EVERY); /* the pruning of the start */
	fake_engine_move(b.e, 8001, 1000, 234);
	fd = client(&b, 0);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", b.address);
	assert_int_equal(sendto(fd, remove, strlen(remove), 0, (struct sockaddr *)&at, sizeof(at)),
			 strlen(remove));
	loop_turn(b.loop, NSEC_SEC);
	assert_int_equal(engine_count(b.e), 1);
	manager_close(b.m);
	engine_stop(b.e, 0, ended, NULL);
	pass(&b, 2 * STAT_EVERY);
	assert_int_equal(ledger_totals(b.ledger, b.node, &t), 0);
	assert_int_equal(t.carried.up, 1000);
	assert_int_equal(t.carried.down, 234);
	close_bed(&b);
	close(fd);
}

static void ignore(void *arg, char *text, size_t len, const struct peer *from)
{
}

static void another_has_its_path_while_it_ends_and_it_still_reports(void **state)
{
	struct endpoint other;
	char why[ENDPOINT_WHY_MAX];
	struct bed b;
	int fd;

	open_bed(&b);
	put(&b, 8001);
	start(&b, NULL);
	fd = client(&b, 0);
	speak(&b, fd);
	manager_close(b.m);
	assert_int_not_equal(access(b.address, F_OK), 0);
	assert_int_equal(endpoint_open(&other, b.loop,
				       &(struct endpoint_conf){.address = b.address}, ignore, NULL,
				       why),
			 0);
	fake_engine_move(b.e, 8001, 1000, 234);
	engine_stop(b.e, 0, ended, NULL);
	pass(&b, STAT_EVERY);
	manager_report(b.m);
	assert_told(&b, fd, 1234);
	manager_free(b.m);
	b.m = NULL;
	assert_int_equal(access(b.address, F_OK), 0); /* it is not his to remove */
	endpoint_close(&other);
	assert_int_not_equal(access(b.address, F_OK), 0);
	close_bed(&b);
	close(fd);
}

/* One of 127.0.0.1, with the manager's address as where it sends to. */
static int udp_client(const struct bed *b)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	struct addr at, here;

	assert_int_equal(addr_parse(&at, b->address), 0);
	assert_int_equal(addr_parse_ip(&here, "127.0.0.1", 0), 0);
	assert_int_equal(bind(fd, &here.sa, here.len), 0);
	assert_int_equal(connect(fd, &at.sa, at.len), 0);
	return fd;
}

static int unix_client(const struct bed *b, int number)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = client(b, number);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", b->address);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static void say(struct bed *b, int fd, const char *command, const char *answer)
{
	char text[64] = "";

	assert_int_equal(send(fd, command, strlen(command), 0), (ssize_t)strlen(command));
	for (int i = 0; i < 5000 && recv(fd, text, sizeof(text) - 1, 0) < 0; i++)
		pass(b, NSEC_MS);
	assert_memory_equal(text, answer, strlen(answer));
}

static void free_udp_address(struct bed *b)
{
	struct addr at;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(addr_parse_ip(&at, "127.0.0.1", 0), 0);
	assert_int_equal(bind(fd, &at.sa, at.len), 0);
	at.len = sizeof(at.in6);
	assert_int_equal(getsockname(fd, &at.sa, &at.len), 0);
	snprintf(b->address, sizeof(b->address), "127.0.0.1:%u", (unsigned)ntohs(at.in.sin_port));
	close(fd);
}

/* More of them than a manager remembers, each gone as soon as it has its answer. */
static void look_in_quietly(struct bed *b, bool udp)
{
	static const char *const says[] = {"list quiet", "ping quiet"};
	static const char *const hears[] = {"[{", "pong"};

	for (int i = 0; i < 18; i++) {
		int fd = udp ? udp_client(b) : unix_client(b, 1);

		say(b, fd, says[i % 2], hears[i % 2]);
		close(fd);
	}
}

static void who_asks_quietly_takes_no_report_from_who_bills(void **state)
{
	for (int i = 0; i < 4; i++) {
		bool udp = i & 1;
		struct bed b;
		int fd;

		open_bed(&b);
		b.subscribers = i & 2 ? SUBSCRIBERS_ALL : SUBSCRIBERS_LAST;
		if (udp)
			free_udp_address(&b);
		put(&b, 8001);
		start(&b, NULL);
		fd = udp ? udp_client(&b) : unix_client(&b, 0);
		say(&b, fd, "ping", "pong");
		look_in_quietly(&b, udp);
		fake_engine_move(b.e, 8001, 1000, 234);
		assert_told(&b, fd, 1234);
		close(fd);
		close_bed(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_acknowledged_before_the_accounts_are_on_disk),
		cmocka_unit_test(who_is_away_for_long_finds_his_account),
		cmocka_unit_test(while_all_are_away_it_waits_for_who_comes),
		cmocka_unit_test(a_plugin_that_is_no_longer_allowed_is_not_restored),
		cmocka_unit_test(totals_outlive_the_end_of_the_section),
		cmocka_unit_test(who_asks_quietly_takes_no_report_from_who_bills),
		cmocka_unit_test(another_has_its_path_while_it_ends_and_it_still_reports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
