/* A node through its life, on one real worker; the control loop's clock is the test's. */
#include "node/bed.h"

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
