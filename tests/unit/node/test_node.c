/* A node through its life, on one real worker; the control loop's clock is the test's. */
#include "unit.h"

#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "node/node.h"
#include "node/workers.h"
#include "tls/self_signed.h"

struct bed {
	struct loop *control;
	struct counters *counters;
	struct workers workers;
	struct config *file;
	struct node *node;
	struct node_info *info;
	struct user_list none;
	char dir[64], cert[96], key[96];
	int applied, closed;
};

static struct config *parse(const char *text)
{
	struct conf_report report;
	struct config *c;

	conf_report_init(&report);
	c = config_parse(text, strlen(text), "config.json", &report);
	conf_report_print(&report, stderr);
	conf_report_done(&report);
	assert_non_null(c);
	return c;
}

static struct config *file_with(const struct bed *b, const char *options)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "{\"Nodes\":[{\"ApiHost\":\"http://127.0.0.1:1/x\",\"ApiKey\":\"k\",\"NodeID\":1,"
		 "\"ListenIP\":\"127.0.0.1\",\"CertConfig\":{\"CertMode\":\"file\","
		 "\"CertFile\":\"%s\",\"KeyFile\":\"%s\"}%s}]}",
		 b->cert, b->key, options);
	return parse(text);
}

static uint16_t free_port(void)
{
	struct addr a;
	int fd;

	assert_int_equal(addr_parse_ip(&a, "127.0.0.1", 0), 0);
	assert_int_equal(listener_bind(&a, &(struct listener_conf){0}, &fd), 0);
	assert_int_equal(getsockname(fd, &a.sa, &a.len), 0);
	close(fd);
	return ntohs(a.in.sin_port);
}

static void open_bed(struct bed *b, enum node_security security)
{
	static const uint8_t epoch[COUNTERS_EPOCH_LEN];
	struct node_world env;

	*b = (struct bed){0};
	snprintf(b->dir, sizeof(b->dir), "/tmp/weir-node-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	snprintf(b->cert, sizeof(b->cert), "%s/c.crt", b->dir);
	snprintf(b->key, sizeof(b->key), "%s/c.key", b->dir);
	assert_int_equal(self_signed_files("weir.test", b->cert, b->key), 0);
	b->control = loop_new(LOOP_VIRTUAL, 1);
	assert_int_equal(counters_create(NULL, epoch, 1, &b->counters), 0);
	assert_int_equal(workers_start(&b->workers, b->control, 1, b->counters), 0);
	b->file = file_with(b, "");
	env = (struct node_world){.workers = &b->workers, .counters = b->counters};
	assert_int_equal(node_new(&env, b->file, b->file->nodes[0], 1, &b->node), 0);
	user_list_init(&b->none);
	b->info = node_info_new();
	b->info->type = NODE_VLESS;
	b->info->security = security;
	b->info->port = free_port();
}

/* Until `*flag`, with the virtual clock still.  Workers take their real time. */
static void wait_for(struct bed *b, const int *flag)
{
	for (int i = 0; i < 5000 && !*flag; i++) {
		loop_turn(b->control, 0);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	assert_true(*flag);
}

static void note_applied(void *arg, int err)
{
	struct bed *b = arg;

	assert_int_equal(err, 0);
	b->applied = 1;
}

static void note_closed(void *arg)
{
	((struct bed *)arg)->closed++;
}

static struct node_target *target_of(struct bed *b)
{
	return node_target(b->node);
}

static int apply(struct bed *b)
{
	struct node_target *t = target_of(b);

	b->applied = 0;
	return t->ops->apply(t, b->info, &b->none, note_applied, b);
}

static void serve(struct bed *b)
{
	assert_int_equal(apply(b), -EINPROGRESS);
	wait_for(b, &b->applied);
	assert_int_equal(node_state(b->node), NODE_SERVING);
}

static void visit(struct node_worker *w, void *arg)
{
}

static void note_back(void *arg)
{
	*(int *)arg = 1;
}

/* Messages keep their order, so what was on its way has arrived when this has come back; and twice
 * more for what that has set off.
 */
static void settle(struct bed *b)
{
	for (int i = 0; i < 3; i++) {
		int back = 0;

		assert_int_equal(workers_each(&b->workers, visit, note_back, &back), 0);
		wait_for(b, &back);
	}
}

static void pass_seconds(struct bed *b, int seconds)
{
	nsec_t end = loop_now(b->control) + seconds * NSEC_SEC;

	while (loop_now(b->control) < end)
		loop_turn(b->control, end - loop_now(b->control));
	settle(b);
}

static bool connects(const struct bed *b)
{
	struct addr a;
	bool ok;
	int fd;

	assert_int_equal(addr_parse_ip(&a, "127.0.0.1", (uint16_t)b->info->port), 0);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	ok = connect(fd, &a.sa, a.len) == 0;
	close(fd);
	return ok;
}

static void close_bed(struct bed *b)
{
	b->closed = 0;
	node_close(b->node, 0, note_closed, b);
	for (int i = 0; i < 5000 && !b->closed; i++) {
		loop_turn(b->control, 20 * NSEC_MS);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	assert_int_equal(b->closed, 1);
	workers_stop(&b->workers);
	loop_turn(b->control, 0);
	node_free(b->node);
	node_info_put(b->info);
	config_free(b->file);
	counters_free(b->counters);
	loop_free(b->control);
	unlink(b->cert);
	unlink(b->key);
	assert_int_equal(rmdir(b->dir), 0);
}

/* What a client is shown; 0: no handshake. */
static unsigned long shown(const struct bed *b)
{
	char command[256], line[128] = "";
	FILE *f;

	snprintf(
		command, sizeof(command),
		"openssl s_client -connect 127.0.0.1:%u -servername weir.test </dev/null 2>/dev/null |"
		"openssl x509 -noout -fingerprint -sha1 2>/dev/null | tail -c 30 | cksum",
		(unsigned)b->info->port);
	f = popen(command, "r");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	pclose(f);
	return strtoul(line, NULL, 10);
}

static void a_certificate_replaced_right_after_the_start_is_served(void **state)
{
	unsigned long first;
	struct bed b;

	open_bed(&b, SECURITY_TLS);
	serve(&b);
	first = shown(&b);
	pass_seconds(&b, 5);
	assert_int_equal(self_signed_files("weir.test", b.cert, b.key), 0);
	pass_seconds(&b, 61);
	assert_int_not_equal(shown(&b), first);
	close_bed(&b);
}

static void a_suspension_during_an_apply_stays_one(void **state)
{
	struct node_target *t;
	struct bed b;

	open_bed(&b, SECURITY_NONE);
	t = target_of(&b);
	serve(&b);
	b.info->port = free_port();
	assert_int_equal(apply(&b), -EINPROGRESS);
	t->ops->suspend(t, true);
	wait_for(&b, &b.applied);
	assert_int_equal(node_state(b.node), NODE_SUSPENDED);
	settle(&b);
	assert_false(connects(&b));
	t->ops->suspend(t, false);
	settle(&b);
	assert_true(connects(&b));
	assert_int_equal(node_state(b.node), NODE_SERVING);
	close_bed(&b);
}

static void a_reload_does_not_open_a_suspended_node(void **state)
{
	struct node_target *t;
	struct config *next;
	struct bed b;

	open_bed(&b, SECURITY_NONE);
	t = target_of(&b);
	serve(&b);
	t->ops->suspend(t, true);
	settle(&b);
	next = file_with(&b, ",\"IdleTimeout\":77");
	assert_int_equal(node_set_conf(b.node, next, next->nodes[0], true), 0);
	config_free(b.file);
	b.file = next;
	settle(&b);
	assert_int_equal(node_state(b.node), NODE_SUSPENDED);
	assert_false(connects(&b));
	close_bed(&b);
}

static void a_new_asker_opens_a_node_that_the_old_one_suspended(void **state)
{
	struct bed b;

	open_bed(&b, SECURITY_NONE);
	serve(&b);
	target_of(&b)->ops->suspend(target_of(&b), true);
	settle(&b);
	serve(&b);
	assert_true(connects(&b));
	close_bed(&b);
}

static void a_reload_during_an_apply_takes_effect_after_it(void **state)
{
	struct config *next;
	struct addr at;
	struct bed b;

	open_bed(&b, SECURITY_NONE);
	serve(&b);
	b.info->port = free_port();
	assert_int_equal(apply(&b), -EINPROGRESS);
	next = file_with(&b, ",\"ListenIP\":\"127.0.0.2\"");
	assert_int_equal(node_set_conf(b.node, next, next->nodes[0], true), 0);
	wait_for(&b, &b.applied);
	settle(&b);
	assert_true(node_listening(b.node, &at));
	assert_int_equal(ntohl(at.in.sin_addr.s_addr), 0x7f000002);
	config_free(b.file);
	b.file = next;
	close_bed(&b);
}

static void a_reload_that_failed_is_tried_again(void **state)
{
	struct config *next;
	struct addr at;
	struct bed b;
	int busy;

	open_bed(&b, SECURITY_NONE);
	serve(&b);
	assert_int_equal(addr_parse_ip(&at, "127.0.0.2", (uint16_t)b.info->port), 0);
	assert_int_equal(listener_bind(&at, &(struct listener_conf){0}, &busy), 0);
	next = file_with(&b, ",\"ListenIP\":\"127.0.0.2\"");
	assert_int_equal(node_set_conf(b.node, next, next->nodes[0], true), -EADDRINUSE);
	settle(&b);
	assert_true(connects(&b)); /* what ran runs on */
	close(busy);
	pass_seconds(&b, 61);
	assert_true(node_listening(b.node, &at));
	assert_int_equal(ntohl(at.in.sin_addr.s_addr), 0x7f000002);
	config_free(b.file);
	b.file = next;
	close_bed(&b);
}

static void closing_again_shortens_the_grace_and_is_done_once(void **state)
{
	struct bed b;

	open_bed(&b, SECURITY_NONE);
	serve(&b);
	node_close(b.node, 3600 * NSEC_SEC, note_closed, &b);
	close_bed(&b);
}

static void closing_during_an_apply_stays_closed(void **state)
{
	struct bed b;

	open_bed(&b, SECURITY_NONE);
	serve(&b);
	b.info->port = free_port();
	assert_int_equal(apply(&b), -EINPROGRESS);
	node_close(b.node, 3600 * NSEC_SEC, note_closed, &b);
	wait_for(&b, &b.applied);
	assert_int_equal(node_state(b.node), NODE_DRAINING);
	settle(&b);
	assert_false(connects(&b));
	close_bed(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_certificate_replaced_right_after_the_start_is_served),
		cmocka_unit_test(a_suspension_during_an_apply_stays_one),
		cmocka_unit_test(a_reload_does_not_open_a_suspended_node),
		cmocka_unit_test(a_new_asker_opens_a_node_that_the_old_one_suspended),
		cmocka_unit_test(a_reload_during_an_apply_takes_effect_after_it),
		cmocka_unit_test(a_reload_that_failed_is_tried_again),
		cmocka_unit_test(closing_again_shortens_the_grace_and_is_done_once),
		cmocka_unit_test(closing_during_an_apply_stays_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
