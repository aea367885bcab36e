/* A session from accept to end: clients and targets are pairs in memory, the clock is virtual. */
#include "unit.h"

#include "net/proxy_proto.h"
#include "stream/pair.h"

#include "hostile.h"
#include "packets.h"
#include "stage.h"

static const char *const protocols[] = {"vless", "trojan"};

static void open_stage(struct stage *g, const char *proto, const char *users)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);

	assert_non_null(l);
	stage_init(g, l, proto, users);
}

static void close_stage(struct stage *g)
{
	struct loop *l = g->l;

	session_end_all(&g->in);
	stage_done(g);
	assert_int_equal(loop_turn(l, 3600 * NSEC_SEC), 0);
	assert_int_equal(loop_pool(l)->nused, 0);
	loop_free(l);
}

#define FOR_EACH_PROTOCOL(g, users)                                                        \
	for (size_t p_ = 0; p_ < ARRAY_LEN(protocols); p_++)                               \
		for (bool once_ = (open_stage(&(g), protocols[p_], (users)), true); once_; \
		     once_ = (close_stage(&(g)), false))

static bool is_vless(const struct stage *g)
{
	return !strcmp(g->people.proto->name, "vless");
}

/* Let time pass until a session has ended; returns when, from `since`. */
static nsec_t until_ended(struct stage *g, nsec_t since)
{
	unsigned before = g->ended;

	while (g->ended == before)
		assert_true(loop_turn(g->l, -1) > 0);
	return g->ended_at - since;
}

static size_t get(struct stream *s, void *out, ssize_t *end)
{
	return get_bytes(s, out, 65536, end);
}

/* A session that is served, up to the relay: the client's end is raw. */
static struct stream *served(struct stage *g, const char *name, const char *peer)
{
	struct stream *far = stage_connect(g, peer);
	uint8_t req[1024];

	put_bytes(far, req, stage_request(g, name, "target.example:443", req));
	settle_now(g->l);
	assert_non_null(g->out.target);
	return far;
}

static void hang_up(struct stream *far)
{
	static const union stream_value yes = {.num = 1};

	stream_set(far, STREAM_ABORT, yes);
	stream_free(far);
}

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

	open_stage(&g, "vless", "alice");
	far = served(&g, "alice", NULL);
	assert_int_equal(get(far, got, &end), 0);
	assert_int_equal(end, -EAGAIN);
	put_bytes(g.out.target, "answer", 6);
	settle_now(g.l);
	assert_int_equal(get(far, got, &end), 8);
	assert_memory_equal(got, "\0\0answer", 8);
	put_bytes(g.out.target, "more", 4);
	settle_now(g.l);
	assert_int_equal(get(far, got, &end), 4);
	stream_free(far);

	far = served(&g, "alice", NULL);
	assert_int_equal(stream_shut(g.out.target), 0);
	settle_now(g.l);
	assert_int_equal(get(far, got, &end), 2);
	assert_memory_equal(got, "\0\0", 2);
	assert_int_equal(end, 0);
	stream_free(far);
	close_stage(&g);
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
		assert_int_equal(get(g.out.target, got, NULL), 5);
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
		struct stream *far = served(&g, "alice", NULL);
		size_t head = is_vless(&g) ? 2 : 0;

		put_bytes(far, "question", 8);
		assert_int_equal(stream_shut(far), 0);
		settle_now(g.l);
		assert_int_equal(get(g.out.target, got, &end), 8);
		assert_int_equal(end, 0);
		put_bytes(g.out.target, "answer", 6);
		settle_now(g.l);
		assert_int_equal(get(far, got, &end), head + 6);
		assert_int_equal(end, -EAGAIN);
		assert_int_equal(g.in.nsessions, 1);
		assert_int_equal(stream_shut(g.out.target), 0);
		settle_now(g.l);
		assert_int_equal(get(far, got, &end), 0);
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

static struct dgram *served_udp(struct stage *g, const char *name)
{
	struct stream *far = stage_connect(g, NULL);
	struct dgram *d = stage_client_udp(g, far, name, "dns.example:53");
	struct packet p = packet_of(g->l, "query", "dns.example:53");

	assert_int_equal(dgram_send(d, &p, 1), 1);
	settle_now(g->l);
	assert_non_null(g->out.dgram);
	packet_expect(g->out.dgram, "query", "dns.example:53");
	return d;
}

static void a_silent_association_ends(void **state)
{
	struct stage g;

	FOR_EACH_PROTOCOL(g, "alice")
	{
		nsec_t since = loop_now(g.l);
		struct dgram *d = served_udp(&g, "alice");

		assert_in_range(until_ended(&g, since), 60 * NSEC_SEC, 60 * NSEC_SEC + 5 * NSEC_MS);
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

		assert_in_range(until_ended(&g, since), 60 * NSEC_SEC, 60 * NSEC_SEC + 5 * NSEC_MS);
		assert_int_equal(g.report.err, -ERR_TIMEOUT);
		assert_int_equal(g.user, 0);
		assert_string_equal(g.peer, "192.0.2.7:1000");
		assert_int_equal(get(far, got, &end), 0);
		assert_int_equal(end, 0);
		stream_free(far);
	}
}

static void a_silent_relay_ends_and_a_half_closed_one_sooner(void **state)
{
	struct stage g;

	FOR_EACH_PROTOCOL(g, "alice")
	{
		struct stream *far = served(&g, "alice", NULL);
		nsec_t since = loop_now(g.l);

		assert_in_range(until_ended(&g, since), 300 * NSEC_SEC,
				300 * NSEC_SEC + 5 * NSEC_MS);
		assert_int_equal(g.report.err, -ERR_IDLE);
		stream_free(far);

		far = served(&g, "alice", NULL);
		since = loop_now(g.l);
		stream_shut(far);
		assert_in_range(until_ended(&g, since), 10 * NSEC_SEC, 10 * NSEC_SEC + 5 * NSEC_MS);
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
		until_ended(&g, 0);
		assert_int_equal(g.report.err, -ECONNREFUSED);
		assert_int_equal(g.user, 1);
		assert_string_equal(g.dest, "target.example:443");
		assert_int_equal(get(far, got, &end), 0);
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
		assert_in_range(until_ended(&g, since), 15 * NSEC_SEC, 15 * NSEC_SEC + 5 * NSEC_MS);
		assert_int_equal(g.report.err, -ERR_TIMEOUT);
		assert_int_equal(g.out.cancelled, 1);
		stream_free(far);
	}
}

/* ---- strangers ---------------------------------------------------------------------------------
 */

/* Strangers of all kinds, by number.  Returns how many bytes they say. */
#define STRANGERS 210

static size_t stranger(struct stage *g, size_t i, uint8_t out[1024])
{
	size_t len = stage_request(g, "nobody", "target.example:443", out);

	if (i < 200) { /* noise, 1..200 bytes */
		loop_random(g->l, out, i + 1);
		if (i % 2 && is_vless(g))
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
		out[0] = is_vless(g) ? 1 : 'X';
		return len;
	case 205: /* all but the last byte of what decides */
		stage_request(g, "alice", "target.example:443", out);
		return is_vless(g) ? 16 : 57;
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
				assert_int_equal(get(far, got, &end), 0);
				assert_int_equal(end, -EAGAIN);
			}
			assert_in_range(until_ended(&g, since), 60 * NSEC_SEC,
					60 * NSEC_SEC + 2 * NSEC_MS);
			assert_int_equal(g.user, 0);
			assert_int_equal(g.report.up + g.report.down, 0);
			assert_int_equal(get(far, got, &end), 0);
			assert_int_equal(end, 0);
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
			assert_int_equal(get(far, got, &end), 0);
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
			assert_int_equal(get(far, got, &end), 0);
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
			assert_int_equal(get(g.fall.target, got, &end), head + len + 8);
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
			assert_int_equal(get(far, got, &end), 14);
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

	open_stage(&g, "vless", "alice");
	with_fallback(&g, "", 1);
	far = stage_connect(&g, NULL);
	put_bytes(far, "GET / HTTP/1.1\r\n\r\n", 18);
	settle_now(g.l);
	assert_int_equal(get(g.fall.target, got, NULL), 15 + 18);
	assert_memory_equal(got, "PROXY UNKNOWN\r\nGET", 18);
	stream_free(far);
	session_end_all(&g.in);
	without_fallback(&g);
	close_stage(&g);
}

static void a_fallback_that_is_not_there_closes_in_order(void **state)
{
	uint8_t got[65536];
	struct stream *far;
	struct stage g;
	ssize_t end;

	open_stage(&g, "vless", "alice");
	/* none is selected */
	with_fallback(&g, "/only", 0);
	far = stage_connect(&g, NULL);
	put_bytes(far, "GET / HTTP/1.1\r\n\r\n", 18);
	settle_now(g.l);
	assert_int_equal(g.ended, 1);
	assert_int_equal(g.report.err, -ERR_AUTH);
	assert_int_equal(get(far, got, &end), 0);
	assert_int_equal(end, 0);
	stream_free(far);
	/* it refuses */
	with_fallback(&g, "", 0);
	g.fall.answer = STAGE_REFUSES;
	far = stage_connect(&g, NULL);
	put_bytes(far, "GET / HTTP/1.1\r\n\r\n", 18);
	until_ended(&g, 0);
	assert_int_equal(g.report.err, -ECONNREFUSED);
	assert_int_equal(get(far, got, &end), 0);
	assert_int_equal(end, 0);
	stream_free(far);
	/* it says nothing */
	g.fall.answer = STAGE_IS_SILENT;
	far = stage_connect(&g, NULL);
	put_bytes(far, "GET / HTTP/1.1\r\n\r\n", 18);
	assert_in_range(until_ended(&g, loop_now(g.l)), 15 * NSEC_SEC, 15 * NSEC_SEC + 5 * NSEC_MS);
	assert_int_equal(g.fall.cancelled, 1);
	assert_int_equal(get(far, got, &end), 0);
	assert_int_equal(end, 0);
	stream_free(far);
	without_fallback(&g);
	close_stage(&g);
}

static void a_fallback_relay_has_its_idle_time_too(void **state)
{
	struct stream *far;
	struct stage g;
	nsec_t since;

	open_stage(&g, "trojan", "alice");
	with_fallback(&g, "", 0);
	far = stage_connect(&g, NULL);
	since = loop_now(g.l);
	put_bytes(far, "GET / HTTP/1.1\r\n\r\n", 18);
	assert_in_range(until_ended(&g, since), 300 * NSEC_SEC, 300 * NSEC_SEC + 5 * NSEC_MS);
	stream_free(far);
	without_fallback(&g);
	close_stage(&g);
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

static void a_flaw_behind_a_user_s_id_closes_under_every_policy(void **state)
{
	uint8_t req[1024], got[65536];
	struct stream *far;
	struct stage g;
	ssize_t end;

	open_stage(&g, "vless", "alice");
	g.in.reject = REJECT_DRAIN;
	far = stage_connect(&g, NULL);
	stage_request(&g, "alice", "target.example:443", req);
	req[18] = 9;
	put_bytes(far, req, 40);
	settle_now(g.l);
	assert_int_equal(g.ended, 1);
	assert_int_equal(g.report.err, -ERR_MALFORMED);
	assert_false(g.report.rejected);
	assert_int_equal(get(far, got, &end), 0);
	assert_int_equal(end, 0);
	stream_free(far);
	close_stage(&g);
}

/* ---- users -------------------------------------------------------------------------------------
 */

static void a_user_who_is_taken_out_ends_within_a_turn(void **state)
{
	struct stage g;
	uint8_t req[1024], got[65536];
	ssize_t end;

	FOR_EACH_PROTOCOL(g, "alice bob")
	{
		struct stream *a = served(&g, "alice", NULL), *b, *c;
		struct dgram *u;

		put_bytes(a, "up", 2);
		settle_now(g.l);
		u = served_udp(&g, "alice");
		b = served(&g, "bob", NULL);
		g.out.answer = STAGE_IS_SILENT;
		c = stage_connect(&g, NULL); /* still dialling */
		put_bytes(c, req, stage_request(&g, "alice", "target.example:443", req));
		settle_now(g.l);
		assert_int_equal(g.in.nsessions, 4);

		people_set(&g.people, "bob");
		loop_turn(g.l, 0);
		assert_int_equal(g.in.nsessions, 1);
		assert_int_equal(g.ended, 3);
		assert_int_equal(g.report.err, -ERR_KICKED);
		assert_int_equal(g.user, 1);
		assert_int_equal(g.out.cancelled, 1);
		assert_int_equal(user_registry_reap(g.people.reg, NULL, NULL), 0);
		get(a, got, &end);
		assert_int_equal(end, -ECONNRESET);
		get(b, got, &end);
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
		struct stream *a = served(&g, "alice", NULL), *b = stage_connect(&g, NULL);

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
		struct stream *a = served(&g, "alice", "192.0.2.7:1000");
		struct stream *b = served(&g, "alice", "192.0.2.7:2000"), *c;

		c = stage_connect(&g, "192.0.2.8:1000");
		put_bytes(c, req, stage_request(&g, "alice", "target.example:443", req));
		settle_now(g.l);
		assert_int_equal(g.ended, 1);
		assert_int_equal(g.report.err, -ERR_LIMIT);
		assert_int_equal(g.user, 1);
		assert_string_equal(g.peer, "192.0.2.8:1000");
		assert_int_equal(g.out.dials, 2);
		assert_int_equal(get(c, got, &end), 0);
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
			s[i] = served(&g, "alice", NULL);
		assert_int_equal(g.ended, 1);
		assert_int_equal(g.report.err, -ERR_LIMIT);
		assert_int_equal(g.in.nsessions, 2);
		get(s[0], got, &end);
		assert_int_equal(end, -ECONNRESET);
		for (int i = 1; i < 3; i++) {
			get(s[i], got, &end);
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

	open_stage(&g, "vless", "alice/0/1");
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
	close_stage(&g);
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

static void udp_is_held_to_the_same_limit(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct conversation t = {0};
	nsec_t since = loop_now(l);

	stage_init(&t.g, l, "trojan", "alice/8");
	t.uc = (struct correspondent){.total = 1, .expected = 2000, .min = 1000, .max = 1000};
	t.ut = (struct correspondent){.total = 2000, .expected = 1, .min = 1000, .max = 1000};
	assert_int_equal(dest_parse(&t.uc.to, "dns.example:53"), 0);
	t.ut.to = t.uc.to;
	correspondent_start(
		&t.uc, stage_client_udp(&t.g, stage_connect(&t.g, NULL), "alice", "dns.example:53"),
		1, 2);
	assert_true(run_until(l, done_udp, &t));
	near((double)(loop_now(l) - since) / 1e9, 2);
	stop_udp(&t);
	loop_free(l);
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
		cmocka_unit_test(drain_answers_nothing_and_ends_at_the_same_moment_for_every_cause),
		cmocka_unit_test(drain_ends_when_the_stranger_does_alike_for_every_cause),
		cmocka_unit_test(close_ends_in_order_and_says_nothing),
		cmocka_unit_test(
			a_fallback_gets_the_proxy_header_then_every_byte_and_its_answer_goes_back),
		cmocka_unit_test(an_unknown_peer_is_unknown_in_the_proxy_header),
		cmocka_unit_test(a_fallback_that_is_not_there_closes_in_order),
		cmocka_unit_test(a_fallback_relay_has_its_idle_time_too),
		cmocka_unit_test(each_policy_may_be_killed_at_each_turn),
		cmocka_unit_test(a_flaw_behind_a_user_s_id_closes_under_every_policy),
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
