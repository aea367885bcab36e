/* What strangers get, under each policy. */
#include "unit.h"

#include "hostile.h"
#include "stage.h"

/* ---- strangers ---------------------------------------------------------------------------------
 */

/* Strangers of all kinds, by number.  Returns how many bytes they say. */
#define STRANGERS 213

static size_t stranger(struct stage *g, size_t i, uint8_t out[1024])
{
	size_t len = stage_request(g, "nobody", "target.example:443", out);

	if (i < 200) { /* noise, 1..200 bytes */
		loop_random(g->l, out, i + 1);
		if (i % 2 && stage_is_vless(g))
			out[0] = 0;
		return i + 1;
	}
	switch (i) {
	case 200: /* no user of ours */
		return len;
	case 201: /* half of that */
		return len / 2;
	case 202: /* wrong in its first byte */
		out[0] ^= 0x20;
		return len;
	case 203: /* a request of the web */
		memcpy(out, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", 36);
		return 36;
	case 204: /* a user, in the other case or with the wrong version */
		len = stage_request(g, "alice", "target.example:443", out);
		out[0] = stage_is_vless(g) ? 1 : 'X';
		return len;
	case 205: /* all but the last byte of what decides */
		stage_request(g, "alice", "target.example:443", out);
		return stage_is_vless(g) ? 16 : 57;
	case 210: /* behind a user's name: a command that is none */
	case 211: /* an address that is none */
	case 212: /* a flow that he has not; no line's end */
		len = stage_request(g, "alice", "target.example:443", out);
		out[stage_is_vless(g) ? (size_t[]){18, 21, 17}[i - 210]
				      : (size_t[]){58, 59, 57}[i - 210]] = 9;
		return len;
	default: /* a TLS ClientHello's beginning, a TLS alert, zeroes */
		memset(out, 0, 600);
		memcpy(out, i & 1 ? "\x16\x03\x01\x02\x00\x01" : "\x15\x03\x03\0\2\2", 6);
		if (i == 209)
			memset(out, 0, 6);
		return i == 206 ? 600 : 7;
	}
}

static void drain_answers_nothing_and_ends_at_the_same_moment_for_every_cause(void **state)
{
	uint8_t sent[1024], got[65536];
	struct stage g;
	ssize_t end;

	FOR_EACH_PROTOCOL(g, "alice")
	{
		g.in.reject = REJECT_DRAIN;
		for (size_t i = 0; i < STRANGERS; i++) {
			struct stream *far = stage_connect(&g, "192.0.2.7:1000");
			size_t len = stranger(&g, i, sent);
			nsec_t since = loop_now(g.l);

			put_bytes(far, sent, len);
			for (int s = 0; s < 3; s++) { /* and goes on about it */
				loop_turn(g.l, NSEC_SEC);
				settle_now(g.l);
				if (i % 5 == 0 && len > 60)
					put_bytes(far, sent, len);
				assert_int_equal(get_all(far, got, &end), 0);
				assert_int_equal(end, -EAGAIN);
			}
			for (int turn = 0; turn < 1000 && end == -EAGAIN; turn++) {
				loop_turn(g.l, NSEC_SEC);
				assert_int_equal(get_all(far, got, &end), 0);
			}
			assert_int_equal(end, 0);
			assert_in_range(loop_now(g.l) - since, 60 * NSEC_SEC,
					60 * NSEC_SEC + 2 * NSEC_MS);
			assert_int_equal(g.in.nsessions, 1);
			put_bytes(far, sent, len); /* is read, too: no reset */
			assert_in_range(stage_until_ended(&g, since), 61 * NSEC_SEC,
					61 * NSEC_SEC + 5 * NSEC_MS);
			assert_int_equal(g.user, 0);
			assert_int_equal(g.report.up + g.report.down, 0);
			stream_free(far);
		}
		assert_int_equal(g.out.dials + g.fall.dials, 0);
	}
}

static void drain_ends_when_the_stranger_does_alike_for_every_cause(void **state)
{
	uint8_t sent[1024], got[65536];
	struct stage g;
	ssize_t end;

	FOR_EACH_PROTOCOL(g, "alice")
	{
		g.in.reject = REJECT_DRAIN;
		for (size_t i = 0; i < STRANGERS; i++) {
			struct stream *far = stage_connect(&g, NULL);

			put_bytes(far, sent, stranger(&g, i, sent));
			stream_shut(far);
			settle_now(g.l);
			assert_int_equal(g.ended, i + 1);
			assert_int_equal(g.report.err, -ERR_AUTH);
			assert_true(g.report.rejected);
			assert_int_equal(get_all(far, got, &end), 0);
			assert_int_equal(end, 0);
			stream_free(far);
		}
	}
}

static void close_ends_in_order_and_says_nothing(void **state)
{
	uint8_t sent[1024], got[65536];
	struct stage g;
	ssize_t end;

	FOR_EACH_PROTOCOL(g, "alice")
	{
		for (size_t i = 200; i < 204; i++) {
			struct stream *far = stage_connect(&g, NULL);

			put_bytes(far, sent, stranger(&g, i, sent));
			settle_now(g.l);
			if (i == 201) /* half a request, which could still become one */
				stream_shut(far);
			settle_now(g.l);
			assert_int_equal(g.ended, i - 199);
			assert_int_equal(g.report.err, -ERR_AUTH);
			assert_int_equal(get_all(far, got, &end), 0);
			assert_int_equal(end, 0);
			stream_free(far);
		}
	}
}

static void with_fallback(struct stage *g, const char *path, uint8_t xver)
{
	struct fallback f[2] = {{0}};
	char star[] = "";

	f[0].sni = f[0].alpn = star;
	f[0].path = (char *)(uintptr_t)path;
	f[0].xver = xver;
	assert_int_equal(dest_parse(&f[0].dest, "127.0.0.1:8080"), 0);
	g->in.reject = REJECT_FALLBACK;
	g->in.proto.first_pull_decides = true;
	fallback_table_free((void *)(uintptr_t)g->in.fallbacks);
	g->in.fallbacks = fallback_table_new(f, 1);
	assert_non_null(g->in.fallbacks);
}

static void without_fallback(struct stage *g)
{
	fallback_table_free((void *)(uintptr_t)g->in.fallbacks);
	g->in.fallbacks = NULL;
}

static void a_fallback_gets_the_proxy_header_then_every_byte_and_its_answer_goes_back(void **state)
{
	static const char text[] = "PROXY TCP4 192.0.2.7 203.0.113.80 1000 443\r\n";
	uint8_t sent[1024], got[65536];
	struct stage g;
	ssize_t end;

	FOR_EACH_PROTOCOL(g, "alice")
	{
		for (size_t i = 0; i < STRANGERS; i++) {
			uint8_t xver = (uint8_t)(i % 3);
			size_t len = stranger(&g, i, sent), head = 0;
			struct stream *far;

			with_fallback(&g, "", xver);
			far = stage_connect(&g, "192.0.2.7:1000");
			put_bytes(far, sent, len);
			settle_now(g.l);
			assert_int_equal(g.fall.dials, i + 1);
			assert_string_equal(g.fall.to, "127.0.0.1:8080");
			put_bytes(far, "and more", 8);
			settle_now(g.l);
			assert_non_null(g.fall.target);
			head = xver == 1 ? sizeof(text) - 1 : xver == 2 ? 28 : 0;
			assert_int_equal(get_all(g.fall.target, got, &end), head + len + 8);
			if (xver == 1)
				assert_memory_equal(got, text, head);
			if (xver == 2)
				assert_memory_equal(got,
						    "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"
						    "\xc0\0\2\7\xcb\0\x71\x50\3\xe8\1\xbb",
						    28);
			assert_memory_equal(got + head, sent, len);
			assert_memory_equal(got + head + len, "and more", 8);
			put_bytes(g.fall.target, "HTTP/1.1 400\r\n", 14);
			stream_shut(g.fall.target);
			settle_now(g.l);
			assert_int_equal(get_all(far, got, &end), 14);
			assert_memory_equal(got, "HTTP/1.1 400\r\n", 14);
			assert_int_equal(end, 0);
			stream_shut(far);
			settle_now(g.l);
			assert_int_equal(g.ended, i + 1);
			assert_int_equal(g.report.err, 0);
			assert_true(g.report.rejected);
			assert_int_equal(g.user, 0);
			assert_int_equal(g.report.up + g.report.down, 0); /* nobody's traffic */
			stream_free(far);
		}
		assert_int_equal(g.out.dials, 0);
		without_fallback(&g);
	}
}

static void an_unknown_peer_is_unknown_in_the_proxy_header(void **state)
{
	uint8_t got[65536];
	struct stream *far;
	struct stage g;

	stage_open(&g, "vless", "alice");
	with_fallback(&g, "", 1);
	far = stage_connect(&g, NULL);
	put_bytes(far, "GET / HTTP/1.1\r\n\r\n", 18);
	settle_now(g.l);
	assert_int_equal(get_all(g.fall.target, got, NULL), 15 + 18);
	assert_memory_equal(got, "PROXY UNKNOWN\r\nGET", 18);
	stream_free(far);
	session_end_all(&g.in);
	without_fallback(&g);
	stage_close(&g);
}

static void a_fallback_that_is_not_there_closes_in_order(void **state)
{
	uint8_t got[65536];
	struct stream *far;
	struct stage g;
	ssize_t end;

	stage_open(&g, "vless", "alice");
	/* none is selected */
	with_fallback(&g, "/only", 0);
	far = stage_connect(&g, NULL);
	put_bytes(far, "GET / HTTP/1.1\r\n\r\n", 18);
	settle_now(g.l);
	assert_int_equal(g.ended, 1);
	assert_int_equal(g.report.err, -ERR_AUTH);
	assert_int_equal(get_all(far, got, &end), 0);
	assert_int_equal(end, 0);
	stream_free(far);
	/* it refuses */
	with_fallback(&g, "", 0);
	g.fall.answer = STAGE_REFUSES;
	far = stage_connect(&g, NULL);
	put_bytes(far, "GET / HTTP/1.1\r\n\r\n", 18);
	stage_until_ended(&g, 0);
	assert_int_equal(g.report.err, -ECONNREFUSED);
	assert_int_equal(get_all(far, got, &end), 0);
	assert_int_equal(end, 0);
	stream_free(far);
	/* it says nothing */
	g.fall.answer = STAGE_IS_SILENT;
	far = stage_connect(&g, NULL);
	put_bytes(far, "GET / HTTP/1.1\r\n\r\n", 18);
	assert_in_range(stage_until_ended(&g, loop_now(g.l)), 15 * NSEC_SEC,
			15 * NSEC_SEC + 5 * NSEC_MS);
	assert_int_equal(g.fall.cancelled, 1);
	assert_int_equal(get_all(far, got, &end), 0);
	assert_int_equal(end, 0);
	stream_free(far);
	without_fallback(&g);
	stage_close(&g);
}

static void a_fallback_relay_has_its_idle_time_too(void **state)
{
	struct stream *far;
	struct stage g;
	nsec_t since;

	stage_open(&g, "trojan", "alice");
	with_fallback(&g, "", 0);
	far = stage_connect(&g, NULL);
	since = loop_now(g.l);
	put_bytes(far, "GET / HTTP/1.1\r\n\r\n", 18);
	assert_in_range(stage_until_ended(&g, since), 300 * NSEC_SEC, 300 * NSEC_SEC + 5 * NSEC_MS);
	stream_free(far);
	without_fallback(&g);
	stage_close(&g);
}

/* Each policy, killed at each turn; the stranger's bytes dribble in. */
struct reject_case {
	struct stage g;
	struct talker stranger, web;
	enum reject_policy policy;
};

static enum reject_policy policy_under_test;

static void accept_web(struct stage_dialer *d, struct stream *target)
{
	struct reject_case *t = d->arg;

	talker_start(&t->web, target, 300, 9, 200);
}

static void start_reject(struct loop *l, void *state)
{
	struct reject_case *t = state;

	stage_init(&t->g, l, "trojan", "alice");
	t->policy = policy_under_test;
	t->g.dribble = true;
	t->g.capacity = 100;
	if (t->policy == REJECT_FALLBACK)
		with_fallback(&t->g, "", 0);
	t->g.in.reject = t->policy;
	t->g.fall.accepted = accept_web;
	t->g.fall.arg = t;
	talker_start(&t->stranger, stage_connect(&t->g, "192.0.2.7:1000"), 150, 200, 9);
}

static bool done_reject(void *state)
{
	struct reject_case *t = state;

	return t->g.ended && (t->policy != REJECT_FALLBACK || talker_done(&t->web));
}

static void stop_reject(void *state)
{
	struct reject_case *t = state;

	session_end_all(&t->g.in);
	talker_stop(&t->stranger);
	if (t->web.s)
		talker_stop(&t->web);
	without_fallback(&t->g);
	stage_done(&t->g);
}

static void check_reject(void *state)
{
	struct reject_case *t = state;

	assert_true(t->g.report.rejected);
	if (t->policy != REJECT_FALLBACK)
		return;
	assert_int_equal(t->web.err, 0);
	assert_int_equal(t->web.received, 150);
}

static void each_policy_may_be_killed_at_each_turn(void **state)
{
	struct scenario sc = {start_reject, done_reject, stop_reject, check_reject,
			      sizeof(struct reject_case)};

	for (policy_under_test = REJECT_CLOSE; policy_under_test <= REJECT_FALLBACK;
	     policy_under_test++)
		assert_true(kill_at_each_turn(&sc, 1) >= 2);
}

/* Nobody's patience but the web server's is what such a one measures. */
static void who_does_not_go_on_is_the_fallback_s_at_the_deadline(void **state)
{
	uint8_t req[1024], got[65536];
	struct stage g;
	ssize_t end;

	FOR_EACH_PROTOCOL(g, "alice")
	{
		size_t len = stage_request(&g, "alice", "target.example:443", req);
		/* Nothing; or what shows a user, and not what he wants. */
		const size_t said[] = {0, len - 1};

		for (size_t i = 0; i < ARRAY_LEN(said); i++) {
			struct stream *far;

			with_fallback(&g, "", 0);
			far = stage_connect(&g, "192.0.2.7:1000");
			put_bytes(far, req, said[i]);
			settle_now(g.l);
			assert_int_equal(g.fall.dials, i);
			for (int s = 0; s < 61; s++)
				loop_turn(g.l, NSEC_SEC);
			settle_now(g.l);
			assert_int_equal(g.fall.dials, i + 1);
			assert_int_equal(g.ended, i);
			assert_int_equal(get_all(g.fall.target, got, &end), said[i]);
			assert_memory_equal(got, req, said[i]);
			put_bytes(far, "GET /", 5);
			settle_now(g.l);
			assert_int_equal(get_all(g.fall.target, got, &end), 5);
			put_bytes(g.fall.target, "HTTP/1.1 408\r\n", 14);
			stream_shut(g.fall.target);
			settle_now(g.l);
			assert_int_equal(get_all(far, got, &end), 14);
			assert_int_equal(end, 0);
			stream_shut(far);
			settle_now(g.l);
			assert_int_equal(g.ended, i + 1);
			assert_true(g.report.rejected);
			assert_int_equal(g.report.up + g.report.down, 0);
			stream_free(far);
		}
		without_fallback(&g);
	}
}

/* Its own words are not there yet: there is nothing to hand on. */
static void who_does_not_finish_the_layers_below_is_nobody_s(void **state)
{
	uint8_t got[65536];
	struct stream *far;
	struct stage g;
	ssize_t end;

	stage_open(&g, "vless", "alice");
	g.proxied = true;
	with_fallback(&g, "", 0);
	far = stage_connect(&g, "192.0.2.7:1000");
	put_bytes(far, "PROXY TCP4 1", 12);
	assert_in_range(stage_until_ended(&g, loop_now(g.l)), 60 * NSEC_SEC,
			60 * NSEC_SEC + 2 * NSEC_MS);
	assert_int_equal(g.report.err, -ERR_TIMEOUT);
	assert_int_equal(g.fall.dials, 0);
	assert_int_equal(get_all(far, got, &end), 0);
	assert_int_equal(end, 0);
	stream_free(far);
	without_fallback(&g);
	stage_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(drain_answers_nothing_and_ends_at_the_same_moment_for_every_cause),
		cmocka_unit_test(drain_ends_when_the_stranger_does_alike_for_every_cause),
		cmocka_unit_test(close_ends_in_order_and_says_nothing),
		cmocka_unit_test(
			a_fallback_gets_the_proxy_header_then_every_byte_and_its_answer_goes_back),
		cmocka_unit_test(an_unknown_peer_is_unknown_in_the_proxy_header),
		cmocka_unit_test(a_fallback_that_is_not_there_closes_in_order),
		cmocka_unit_test(a_fallback_relay_has_its_idle_time_too),
		cmocka_unit_test(each_policy_may_be_killed_at_each_turn),
		cmocka_unit_test(who_does_not_go_on_is_the_fallback_s_at_the_deadline),
		cmocka_unit_test(who_does_not_finish_the_layers_below_is_nobody_s),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
