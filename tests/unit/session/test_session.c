/* A session that is served, from accept to end: clients and targets are pairs in memory, the clock
 * is virtual.
 */
#include "unit.h"

#include "hostile.h"
#include "packets.h"
#include "stage.h"

/* ---- served ------------------------------------------------------------------------------------
 */

struct conversation {
	struct stage g;
	struct talker client, target;
	struct correspondent uc, ut; /* UDP */
	const char *proto;
};

static void accept_talker(struct stage_dialer *d, struct stream *target)
{
	struct conversation *t = d->arg;

	talker_start(&t->target, target, 700, 2, 1);
}

static void start(struct loop *l, struct conversation *t, const char *proto)
{
	stage_init(&t->g, l, proto, "alice");
	t->g.dribble = true;
	t->g.capacity = 200;
	t->g.out.accepted = accept_talker;
	t->g.out.arg = t;
	talker_start(&t->client,
		     stage_client(&t->g, stage_connect(&t->g, "192.0.2.7:1000"), "alice",
				  "target.example:443"),
		     500, 1, 2);
}

static void start_vless(struct loop *l, void *state)
{
	start(l, state, "vless");
}

static void start_trojan(struct loop *l, void *state)
{
	start(l, state, "trojan");
}

static bool done(void *state)
{
	struct conversation *t = state;

	return t->g.ended && talker_done(&t->client) && talker_done(&t->target);
}

static void stop(void *state)
{
	struct conversation *t = state;

	session_end_all(&t->g.in);
	talker_stop(&t->client);
	if (t->target.s)
		talker_stop(&t->target);
	stage_done(&t->g);
}

static void check(void *state)
{
	struct conversation *t = state;
	struct traffic traffic = people_traffic(&t->g.people, "alice");

	assert_int_equal(t->client.err, 0);
	assert_int_equal(t->target.err, 0);
	assert_int_equal(t->client.received, 700);
	assert_int_equal(t->target.received, 500);
	assert_int_equal(traffic.up, 500);
	assert_int_equal(traffic.down, 700);
	assert_int_equal(t->g.report.up, 500);
	assert_int_equal(t->g.report.down, 700);
	assert_int_equal(t->g.report.err, 0);
	assert_int_equal(t->g.report.network, NETWORK_TCP);
	assert_false(t->g.report.rejected);
	assert_int_equal(t->g.user, 1);
	assert_string_equal(t->g.dest, "target.example:443");
	assert_string_equal(t->g.peer, "192.0.2.7:1000");
}

static void a_request_is_served_to_the_byte_and_may_be_killed_at_each_turn(void **state)
{
	struct scenario vless = {start_vless, done, stop, check, sizeof(struct conversation)};
	struct scenario trojan = {start_trojan, done, stop, check, sizeof(struct conversation)};

	assert_true(kill_at_each_turn(&vless, 1) > 20);
	assert_true(kill_at_each_turn(&trojan, 2) > 20);
}

static void the_vless_answer_rides_with_the_first_bytes_or_goes_before_the_end(void **state)
{
	struct stream *far;
	struct stage g;
	uint8_t got[65536];
	ssize_t end;

	stage_open(&g, "vless", "alice");
	far = stage_served(&g, "alice", NULL);
	assert_int_equal(get_all(far, got, &end), 0);
	assert_int_equal(end, -EAGAIN);
	put_bytes(g.out.target, "answer", 6);
	settle_now(g.l);
	assert_int_equal(get_all(far, got, &end), 8);
	assert_memory_equal(got, "\0\0answer", 8);
	put_bytes(g.out.target, "more", 4);
	settle_now(g.l);
	assert_int_equal(get_all(far, got, &end), 4);
	stream_free(far);

	far = stage_served(&g, "alice", NULL);
	assert_int_equal(stream_shut(g.out.target), 0);
	settle_now(g.l);
	assert_int_equal(get_all(far, got, &end), 2);
	assert_memory_equal(got, "\0\0", 2);
	assert_int_equal(end, 0);
	stream_free(far);
	stage_close(&g);
}

static void what_came_with_the_request_is_billed_and_delivered(void **state)
{
	struct stage g;
	uint8_t req[1024], got[65536];

	FOR_EACH_PROTOCOL(g, "alice")
	{
		struct stream *far = stage_connect(&g, NULL);
		size_t len = stage_request(&g, "alice", "target.example:443", req);

		memcpy(req + len, "early", 5);
		put_bytes(far, req, len + 5);
		settle_now(g.l);
		assert_int_equal(get_all(g.out.target, got, NULL), 5);
		assert_memory_equal(got, "early", 5);
		assert_int_equal(people_traffic(&g.people, "alice").up, 5);
		stream_free(far);
	}
}

static void an_end_of_one_direction_leaves_the_other_open(void **state)
{
	struct stage g;
	uint8_t got[65536];
	ssize_t end;

	FOR_EACH_PROTOCOL(g, "alice")
	{
		struct stream *far = stage_served(&g, "alice", NULL);
		size_t head = stage_is_vless(&g) ? 2 : 0;

		put_bytes(far, "question", 8);
		assert_int_equal(stream_shut(far), 0);
		settle_now(g.l);
		assert_int_equal(get_all(g.out.target, got, &end), 8);
		assert_int_equal(end, 0);
		put_bytes(g.out.target, "answer", 6);
		settle_now(g.l);
		assert_int_equal(get_all(far, got, &end), head + 6);
		assert_int_equal(end, -EAGAIN);
		assert_int_equal(g.in.nsessions, 1);
		assert_int_equal(stream_shut(g.out.target), 0);
		settle_now(g.l);
		assert_int_equal(get_all(far, got, &end), 0);
		assert_int_equal(end, 0);
		assert_int_equal(g.ended, 1);
		assert_int_equal(g.report.err, 0);
		stream_free(far);
	}
}

/* ---- UDP ---------------------------------------------------------------------------------------
 */

static void start_udp(struct loop *l, struct conversation *t, const char *proto)
{
	stage_init(&t->g, l, proto, "alice");
	t->g.dribble = true;
	t->g.capacity = 200;
	t->uc = (struct correspondent){.total = 6, .expected = 5, .min = 1, .max = 50};
	t->ut = (struct correspondent){.total = 5, .expected = 6, .min = 1, .max = 50};
	assert_int_equal(dest_parse(&t->uc.to, "dns.example:53"), 0);
	t->ut.to = t->ut.from = t->uc.from = t->uc.to;
	correspondent_start(&t->uc,
			    stage_client_udp(&t->g, stage_connect(&t->g, "192.0.2.7:1000"), "alice",
					     "dns.example:53"),
			    1, 2);
}

static void start_vless_udp(struct loop *l, void *state)
{
	start_udp(l, state, "vless");
}

static void start_trojan_udp(struct loop *l, void *state)
{
	start_udp(l, state, "trojan");
}

static bool done_udp(void *state)
{
	struct conversation *t = state;

	if (t->g.out.dgram && !t->ut.d) {
		correspondent_start(&t->ut, t->g.out.dgram, 2, 1);
		t->g.out.dgram = NULL;
	}
	if (t->uc.d && correspondent_done(&t->uc) && t->ut.d && correspondent_done(&t->ut))
		correspondent_stop(&t->uc);
	return t->g.ended > 0;
}

static void stop_udp(void *state)
{
	struct conversation *t = state;

	session_end_all(&t->g.in);
	if (t->uc.d)
		correspondent_stop(&t->uc);
	if (t->ut.d)
		correspondent_stop(&t->ut);
	stage_done(&t->g);
}

static size_t sizes(const struct correspondent *c)
{
	size_t sum = 0;

	for (unsigned i = 0; i < c->total; i++)
		sum += packet_size(c->tx, i, c->min, c->max);
	return sum;
}

static void check_udp(void *state)
{
	struct conversation *t = state;
	struct traffic traffic = people_traffic(&t->g.people, "alice");

	assert_int_equal(t->ut.received, 6);
	assert_int_equal(t->uc.received, 5);
	assert_int_equal(t->g.report.network, NETWORK_UDP);
	assert_int_equal(t->g.report.err, 0);
	assert_int_equal(t->g.report.up, sizes(&t->uc));
	assert_int_equal(t->g.report.down, sizes(&t->ut));
	assert_int_equal(traffic.up, t->g.report.up);
	assert_int_equal(traffic.down, t->g.report.down);
	assert_int_equal(t->g.user, 1);
}

static void an_association_is_served_and_may_be_killed_at_each_turn(void **state)
{
	struct scenario vless = {start_vless_udp, done_udp, stop_udp, check_udp,
				 sizeof(struct conversation)};
	struct scenario trojan = {start_trojan_udp, done_udp, stop_udp, check_udp,
				  sizeof(struct conversation)};

	assert_true(kill_at_each_turn(&vless, 1) > 20);
	assert_true(kill_at_each_turn(&trojan, 2) > 20);
}

static void a_silent_association_ends(void **state)
{
	struct stage g;

	FOR_EACH_PROTOCOL(g, "alice")
	{
		nsec_t since = loop_now(g.l);
		struct dgram *d = stage_served_udp(&g, "alice");

		assert_in_range(stage_until_ended(&g, since), 60 * NSEC_SEC,
				60 * NSEC_SEC + 5 * NSEC_MS);
		assert_int_equal(g.report.err, -ERR_IDLE);
		dgram_free(d);
	}
}

static void an_association_that_the_outside_refuses_ends(void **state)
{
	struct stage g;

	FOR_EACH_PROTOCOL(g, "alice")
	{
		struct dgram *d;
		struct packet p;

		g.out.answer = STAGE_REFUSES;
		g.out.err = -ERR_BLOCKED;
		d = stage_client_udp(&g, stage_connect(&g, NULL), "alice", "dns.example:53");
		p = packet_of(g.l, "query", "dns.example:53");
		assert_int_equal(dgram_send(d, &p, 1), 1);
		settle_now(g.l);
		assert_int_equal(g.ended, 1);
		assert_int_equal(g.report.err, -ERR_BLOCKED);
		assert_int_equal(g.user, 1);
		dgram_free(d);
	}
}

/* ---- deadlines ---------------------------------------------------------------------------------
 */

static void who_says_nothing_is_let_go_at_the_handshake_deadline(void **state)
{
	struct stage g;
	uint8_t got[65536];
	ssize_t end;

	FOR_EACH_PROTOCOL(g, "alice")
	{
		nsec_t since = loop_now(g.l);
		struct stream *far = stage_connect(&g, "192.0.2.7:1000");

		assert_in_range(stage_until_ended(&g, since), 60 * NSEC_SEC,
				60 * NSEC_SEC + 5 * NSEC_MS);
		assert_int_equal(g.report.err, -ERR_TIMEOUT);
		assert_int_equal(g.user, 0);
		assert_string_equal(g.peer, "192.0.2.7:1000");
		assert_int_equal(get_all(far, got, &end), 0);
		assert_int_equal(end, 0);
		stream_free(far);
	}
}

static void a_silent_relay_ends_and_a_half_closed_one_sooner(void **state)
{
	struct stage g;

	FOR_EACH_PROTOCOL(g, "alice")
	{
		struct stream *far = stage_served(&g, "alice", NULL);
		nsec_t since = loop_now(g.l);

		assert_in_range(stage_until_ended(&g, since), 300 * NSEC_SEC,
				300 * NSEC_SEC + 5 * NSEC_MS);
		assert_int_equal(g.report.err, -ERR_IDLE);
		stream_free(far);

		far = stage_served(&g, "alice", NULL);
		since = loop_now(g.l);
		stream_shut(far);
		assert_in_range(stage_until_ended(&g, since), 10 * NSEC_SEC,
				10 * NSEC_SEC + 5 * NSEC_MS);
		assert_int_equal(g.report.err, -ERR_IDLE);
		stream_free(far);
	}
}

static void a_target_that_refuses_ends_the_session_with_its_word(void **state)
{
	struct stage g;
	uint8_t req[1024], got[65536];
	ssize_t end;

	FOR_EACH_PROTOCOL(g, "alice")
	{
		struct stream *far = stage_connect(&g, NULL);

		g.out.answer = STAGE_REFUSES;
		g.out.delay = NSEC_SEC;
		put_bytes(far, req, stage_request(&g, "alice", "target.example:443", req));
		stage_until_ended(&g, 0);
		assert_int_equal(g.report.err, -ECONNREFUSED);
		assert_int_equal(g.user, 1);
		assert_string_equal(g.dest, "target.example:443");
		assert_int_equal(get_all(far, got, &end), 0);
		assert_int_equal(end, -ECONNRESET);
		stream_free(far);
	}
}

static void a_target_that_says_nothing_is_given_up_at_the_dial_deadline(void **state)
{
	struct stage g;
	uint8_t req[1024];

	FOR_EACH_PROTOCOL(g, "alice")
	{
		struct stream *far = stage_connect(&g, NULL);
		nsec_t since = loop_now(g.l);

		g.out.answer = STAGE_IS_SILENT;
		put_bytes(far, req, stage_request(&g, "alice", "target.example:443", req));
		assert_in_range(stage_until_ended(&g, since), 15 * NSEC_SEC,
				15 * NSEC_SEC + 5 * NSEC_MS);
		assert_int_equal(g.report.err, -ERR_TIMEOUT);
		assert_int_equal(g.out.cancelled, 1);
		stream_free(far);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_served_to_the_byte_and_may_be_killed_at_each_turn),
		cmocka_unit_test(
			the_vless_answer_rides_with_the_first_bytes_or_goes_before_the_end),
		cmocka_unit_test(what_came_with_the_request_is_billed_and_delivered),
		cmocka_unit_test(an_end_of_one_direction_leaves_the_other_open),
		cmocka_unit_test(an_association_is_served_and_may_be_killed_at_each_turn),
		cmocka_unit_test(a_silent_association_ends),
		cmocka_unit_test(an_association_that_the_outside_refuses_ends),
		cmocka_unit_test(who_says_nothing_is_let_go_at_the_handshake_deadline),
		cmocka_unit_test(a_silent_relay_ends_and_a_half_closed_one_sooner),
		cmocka_unit_test(a_target_that_refuses_ends_the_session_with_its_word),
		cmocka_unit_test(a_target_that_says_nothing_is_given_up_at_the_dial_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
