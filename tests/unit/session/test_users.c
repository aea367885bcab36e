/* Sessions and their users: removal, limits, speed. */
#include "unit.h"

#include "net/proxy_proto.h"

#include "hostile.h"
#include "packets.h"
#include "stage.h"

/* ---- users -------------------------------------------------------------------------------------
 */

static void a_user_who_is_taken_out_ends_within_a_turn(void **state)
{
	struct stage g;
	uint8_t req[1024], got[65536];
	ssize_t end;

	FOR_EACH_PROTOCOL(g, "alice bob")
	{
		struct stream *a = stage_served(&g, "alice", NULL), *b, *c;
		struct dgram *u;

		put_bytes(a, "up", 2);
		settle_now(g.l);
		u = stage_served_udp(&g, "alice");
		b = stage_served(&g, "bob", NULL);
		g.out.answer = STAGE_IS_SILENT;
		c = stage_connect(&g, NULL); /* still dialling */
		put_bytes(c, req, stage_request(&g, "alice", "target.example:443", req));
		settle_now(g.l);
		assert_int_equal(g.in.nsessions, 4 + stage_is_vless(&g)); /* XUDP has a carrier */

		people_set(&g.people, "bob");
		loop_turn(g.l, 0);
		assert_int_equal(g.in.nsessions, 1);
		assert_int_equal(g.ended, 3);
		assert_int_equal(g.report.err, -ERR_KICKED);
		assert_int_equal(g.user, 1);
		assert_int_equal(g.out.cancelled, 1);
		assert_int_equal(user_registry_reap(g.people.reg, NULL, NULL), 0);
		get_all(a, got, &end);
		assert_int_equal(end, -ECONNRESET);
		get_all(b, got, &end);
		assert_int_equal(end, -EAGAIN);
		stream_free(a);
		stream_free(b);
		stream_free(c);
		dgram_free(u);
	}
}

static void a_new_table_takes_effect_for_those_who_come_and_keeps_those_who_are_here(void **state)
{
	struct stage g;
	uint8_t sent[1024];

	FOR_EACH_PROTOCOL(g, "alice")
	{
		struct stream *a = stage_served(&g, "alice", NULL), *b = stage_connect(&g, NULL);

		people_set(&g.people, "alice bob");
		g.in.proto.users = g.people.in.users;
		settle_now(g.l);
		assert_int_equal(g.in.nsessions, 2);
		/* b was accepted under the old table and asks under the new one */
		put_bytes(b, sent, stage_request(&g, "bob", "target.example:443", sent));
		settle_now(g.l);
		assert_int_equal(g.in.nsessions, 2);
		hang_up(a);
		settle_now(g.l);
		hang_up(b);
		settle_now(g.l);
		assert_int_equal(g.ended, 2);
		assert_int_equal(g.report.err, -ECONNRESET);
		assert_int_equal(g.user, 2);
	}
}

static void one_device_too_many_is_refused_and_its_user_named(void **state)
{
	struct stage g;
	uint8_t req[1024], got[65536];
	ssize_t end;

	FOR_EACH_PROTOCOL(g, "alice/0/1")
	{
		struct stream *a = stage_served(&g, "alice", "192.0.2.7:1000");
		struct stream *b = stage_served(&g, "alice", "192.0.2.7:2000"), *c;

		c = stage_connect(&g, "192.0.2.8:1000");
		put_bytes(c, req, stage_request(&g, "alice", "target.example:443", req));
		settle_now(g.l);
		assert_int_equal(g.ended, 1);
		assert_int_equal(g.report.err, -ERR_LIMIT);
		assert_int_equal(g.user, 1);
		assert_string_equal(g.peer, "192.0.2.8:1000");
		assert_int_equal(g.out.dials, 2);
		assert_int_equal(get_all(c, got, &end), 0);
		assert_int_equal(end, 0);
		assert_int_equal(g.in.nsessions, 2);
		stream_free(a);
		stream_free(b);
		stream_free(c);
	}
}

static void one_connection_too_many_ends_the_oldest(void **state)
{
	struct stage g;
	uint8_t got[65536];
	ssize_t end;

	FOR_EACH_PROTOCOL(g, "alice/0/0/2")
	{
		struct stream *s[3];

		for (int i = 0; i < 3; i++)
			s[i] = stage_served(&g, "alice", NULL);
		assert_int_equal(g.ended, 1);
		assert_int_equal(g.report.err, -ERR_LIMIT);
		assert_int_equal(g.in.nsessions, 2);
		get_all(s[0], got, &end);
		assert_int_equal(end, -ECONNRESET);
		for (int i = 1; i < 3; i++) {
			get_all(s[i], got, &end);
			assert_int_equal(end, -EAGAIN);
		}
		for (int i = 0; i < 3; i++)
			stream_free(s[i]);
	}
}

static void a_proxy_header_names_the_device(void **state)
{
	uint8_t msg[1024 + PROXY_EMIT_MAX];
	struct stream *far[2];
	struct stage g;

	stage_open(&g, "vless", "alice/0/1");
	g.proxied = true;
	for (int i = 0; i < 2; i++) {
		struct wr w = wr_of(msg, PROXY_EMIT_MAX);
		struct addr src, dst;

		assert_int_equal(addr_parse(&src, i ? "198.51.100.2:7" : "198.51.100.1:7"), 0);
		assert_int_equal(addr_parse(&dst, "203.0.113.80:443"), 0);
		proxy_emit(&w, 1, &src, &dst);
		far[i] = stage_connect(&g, "10.0.0.1:99");
		put_bytes(far[i], msg,
			  w.len + stage_request(&g, "alice", "target.example:443", msg + w.len));
		settle_now(g.l);
	}
	assert_int_equal(g.ended, 1);
	assert_int_equal(g.report.err, -ERR_LIMIT);
	assert_string_equal(g.peer, "198.51.100.2:7");
	for (int i = 0; i < 2; i++)
		stream_free(far[i]);
	stage_close(&g);
}

/* ---- speed -------------------------------------------------------------------------------------
 */

struct race {
	struct stage g;
	struct talker client[3], target[3];
	size_t n, accepted, up, down;
};

static void accept_racer(struct stage_dialer *d, struct stream *target)
{
	struct race *r = d->arg;

	talker_start(&r->target[r->accepted++], target, r->down, 2, 1);
}

static bool race_over(void *state)
{
	struct race *r = state;
	bool over = r->accepted == r->n;

	for (size_t i = 0; i < r->n && over; i++)
		over = talker_done(&r->client[i]) && talker_done(&r->target[i]);
	return over;
}

/* `n` connections of one user with 8 Mbps, `up` and `down` bytes each.  Returns how long it takes.
 */
static double race(size_t n, size_t up, size_t down)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct race r = {.n = n, .up = up, .down = down};
	nsec_t since;

	stage_init(&r.g, l, "trojan", "alice/8");
	r.g.out.accepted = accept_racer;
	r.g.out.arg = &r;
	since = loop_now(l);
	for (size_t i = 0; i < n; i++)
		talker_start(&r.client[i],
			     stage_client(&r.g, stage_connect(&r.g, NULL), "alice", "t.example:80"),
			     up, 1, 2);
	assert_true(run_until(l, race_over, &r));
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(r.client[i].err | r.target[i].err, 0);
		assert_int_equal(r.client[i].received, down);
		assert_int_equal(r.target[i].received, up);
	}
	since = loop_now(l) - since;
	session_end_all(&r.g.in);
	for (size_t i = 0; i < n; i++) {
		talker_stop(&r.client[i]);
		talker_stop(&r.target[i]);
	}
	stage_done(&r.g);
	loop_free(l);
	return (double)since / 1e9;
}

static void near(double got, double want)
{
	if (got < want * 0.97 || got > want * 1.03)
		fail_msg("%.3f s, not %.3f s", got, want);
}

static void a_speed_limit_is_kept_each_way_and_shared_by_the_user_s_connections(void **state)
{
	near(race(1, 0, 5000000), 5);
	near(race(1, 5000000, 0), 5);
	near(race(1, 3000000, 3000000), 3);
	near(race(3, 0, 1000000), 3);
}

static void a_limit_that_changes_holds_from_then_on(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct race r = {.n = 1, .down = 3000000};
	nsec_t since = loop_now(l);

	stage_init(&r.g, l, "vless", "alice/8");
	r.g.out.accepted = accept_racer;
	r.g.out.arg = &r;
	talker_start(&r.client[0],
		     stage_client(&r.g, stage_connect(&r.g, NULL), "alice", "t.example:80"), 0, 1,
		     2);
	while (loop_now(l) - since < NSEC_SEC)
		loop_turn(l, 10 * NSEC_MS);
	people_set(&r.g.people, "alice/16");
	assert_true(run_until(l, race_over, &r));
	near((double)(loop_now(l) - since) / 1e9, 2);
	session_end_all(&r.g.in);
	talker_stop(&r.client[0]);
	talker_stop(&r.target[0]);
	stage_done(&r.g);
	loop_free(l);
}

struct stream_of_packets {
	struct stage g;
	struct correspondent client, target;
};

static bool packets_over(void *state)
{
	struct stream_of_packets *t = state;

	if (t->g.out.dgram && !t->target.d) {
		correspondent_start(&t->target, t->g.out.dgram, 2, 1);
		t->g.out.dgram = NULL;
	}
	return t->target.d && correspondent_done(&t->client) && correspondent_done(&t->target);
}

static void udp_is_held_to_the_same_limit(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct stream_of_packets t = {0};
	nsec_t since = loop_now(l);

	stage_init(&t.g, l, "trojan", "alice/8");
	t.client = (struct correspondent){.total = 1, .expected = 2000, .min = 1000, .max = 1000};
	t.target = (struct correspondent){.total = 2000, .expected = 1, .min = 1000, .max = 1000};
	assert_int_equal(dest_parse(&t.client.to, "dns.example:53"), 0);
	t.target.to = t.client.to;
	correspondent_start(
		&t.client,
		stage_client_udp(&t.g, stage_connect(&t.g, NULL), "alice", "dns.example:53"), 1, 2);
	assert_true(run_until(l, packets_over, &t));
	near((double)(loop_now(l) - since) / 1e9, 2);
	session_end_all(&t.g.in);
	correspondent_stop(&t.client);
	correspondent_stop(&t.target);
	stage_done(&t.g);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_user_who_is_taken_out_ends_within_a_turn),
		cmocka_unit_test(
			a_new_table_takes_effect_for_those_who_come_and_keeps_those_who_are_here),
		cmocka_unit_test(one_device_too_many_is_refused_and_its_user_named),
		cmocka_unit_test(one_connection_too_many_ends_the_oldest),
		cmocka_unit_test(a_proxy_header_names_the_device),
		cmocka_unit_test(
			a_speed_limit_is_kept_each_way_and_shared_by_the_user_s_connections),
		cmocka_unit_test(a_limit_that_changes_holds_from_then_on),
		cmocka_unit_test(udp_is_held_to_the_same_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
