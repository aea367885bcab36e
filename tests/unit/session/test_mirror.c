/* An inbound under REALITY: strangers are the target's from their first byte to its last, users are
 * served.
 */
#include "unit.h"

#include "base/base64.h"
#include "crypto/aead.h"
#include "crypto/x25519.h"
#include "hostile.h"
#include "proto/vlessenc/vlessenc.h"
#include "proto/vlessenc/vlessenc_tickets.h"
#include "stage.h"
#include "stream/pair.h"
#include "tls/reality.h"

static uint8_t priv[32], pub[32];
static struct reality_conf *conf;
static struct vlessenc_tickets *tickets;
static struct vlessenc_conf *encryption;
static struct stream *(*plain_stack)(struct session_inbound *in, struct stream *leaf);

static int make_encryption(void)
{
	char key[BASE64_TEXT(32)], text[128];
	const char *what;

	base64_encode(BASE64_URL, priv, 32, key);
	snprintf(text, sizeof(text), "mlkem768x25519plus.native.600s.%s", key);
	return vlessenc_tickets_new(&tickets) ||
	       vlessenc_server_conf_new(text, tickets, &encryption, &what);
}

static int make_all(void **state)
{
	static const char *const names[] = {"target.example"};
	static const uint8_t ids[1][REALITY_SHORT_ID];
	struct reality_options o = {
		.names = names,
		.nnames = 1,
		.short_ids = ids,
		.nshort_ids = 1,
		.private_key = priv,
	};

	assert_null(aead_init("auto"));
	assert_int_equal(x25519_keygen(priv, pub), 0);
	assert_int_equal(dest_parse(&o.dest, "target.example:443"), 0);
	conf = reality_conf_new(&o);
	assert_non_null(conf);
	return make_encryption();
}

static int drop_all(void **state)
{
	vlessenc_conf_free(encryption);
	vlessenc_tickets_free(tickets);
	reality_conf_put(conf);
	return 0;
}

static struct stream *stack(struct session_inbound *in, struct stream *leaf)
{
	struct stream *s = reality_server_new(leaf, conf, in->fallback_dialer);

	return s ? plain_stack(in, s) : NULL;
}

static struct stream *encrypted_stack(struct session_inbound *in, struct stream *leaf)
{
	struct stream *s = reality_server_new(leaf, conf, in->fallback_dialer);

	s = s ? vlessenc_server_new(s, encryption) : NULL;
	return s ? plain_stack(in, s) : NULL;
}

/* With a layer that does not step aside. */
static struct stream *stubborn_stack(struct session_inbound *in, struct stream *leaf)
{
	struct stream *s = reality_server_new(leaf, conf, in->fallback_dialer);

	s = s ? dribble_new(s, &DRIBBLE(1)) : NULL;
	return s ? plain_stack(in, s) : NULL;
}

static void mirror_open(struct stage *g, const char *proto, bool encrypted)
{
	stage_open(g, proto, "alice");
	plain_stack = g->in.stack;
	g->in.stack = encrypted ? encrypted_stack : stack;
	g->times.mirror = (struct relay_conf){.idle = 600 * NSEC_SEC, .linger = 600 * NSEC_SEC};
}

/* 0..ROWS-1: what a stranger says.  Returns how many bytes. */
#define ROWS 12

static size_t stranger(struct stage *g, int i, uint8_t out[1024])
{
	static const char *const words[] = {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01",
					    "\x15\x03\x01\x01\x02\x01\x02", "\x05\x01\x01"};

	if (i < 4)
		return strlen(strcpy((char *)out, words[i]));
	loop_random(g->l, out, 1024);
	if (i % 2)
		memcpy(out, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
	return (size_t[]){1, 5, 60, 300, 517, 518, 700, 1024}[i - 4];
}

/* What comes until there are `want` bytes. */
static void take(struct stage *g, struct stream *s, uint8_t *out, size_t want)
{
	size_t n = 0;
	ssize_t end;

	for (int turn = 0; turn < 10000 && n < want; turn++) {
		n += get_all(s, out + n, &end);
		loop_turn(g->l, NSEC_MS);
	}
	assert_int_equal(n, want);
}

static void every_stranger_is_the_targets(void **state)
{
	uint8_t sent[1024], got[65536];
	struct stage g;
	ssize_t end;

	for (int how = 0; how < 4; how++) {
		mirror_open(&g, "vless", how >= 2);
		g.dribble = how % 2;
		for (int i = 0; i < ROWS; i++) {
			struct stream *far = stage_connect(&g, "192.0.2.7:1000");
			size_t len = stranger(&g, i, sent);

			put_bytes(far, sent, len);
			for (int t = 0; t < 50; t++)
				loop_turn(g.l, NSEC_MS);
			take(&g, g.fall.target, got, len);
			assert_memory_equal(got, sent, len);
			put_bytes(g.fall.target, "not here", 8);
			settle_now(g.l);
			take(&g, far, got, 8);
			assert_memory_equal(got, "not here", 8);
			if (i % 3 == 0) {
				pair_reset(g.fall.target, -ECONNRESET);
				stage_until_ended(&g, loop_now(g.l));
				assert_int_equal(g.report.err, -ECONNRESET);
				get_all(far, got, &end);
				assert_int_equal(end, -ECONNRESET);
			} else {
				stream_shut(g.fall.target);
				settle_now(g.l);
				loop_turn(g.l, NSEC_SEC);
				settle_now(g.l);
				put_bytes(far, "still here", 10); /* its end is not his */
				take(&g, g.fall.target, got, 10);
				stream_shut(far);
				stage_until_ended(&g, loop_now(g.l));
				assert_int_equal(g.report.err, 0);
			}
			assert_true(g.report.rejected);
			assert_int_equal(g.report.up + g.report.down, 0);
			assert_int_equal(g.out.dials, 0);
			stream_free(far);
		}
		stage_close(&g);
	}
}

static void the_deadline_ends_nobody_but_leaves_him_to_the_target(void **state)
{
	uint8_t got[65536];
	struct stage g;
	ssize_t end;

	for (int how = 0; how < 4; how++) {
		int bytes = how % 2;
		struct stream *far;
		nsec_t since;

		mirror_open(&g, how < 2 ? "trojan" : "vless", how >= 2);
		since = loop_now(g.l);
		far = stage_connect(&g, NULL);
		if (bytes)
			put_bytes(far, "\x16\x03\x01\x02\x00\x01", 6);
		while (loop_now(g.l) < since + 100 * NSEC_SEC)
			loop_turn(g.l, NSEC_SEC);
		settle_now(g.l);
		assert_int_equal(g.ended, 0);
		put_bytes(far, "late", 4);
		settle_now(g.l);
		assert_int_equal(get_all(g.fall.target, got, &end), 4 + 6 * bytes);
		assert_memory_equal(got + 6 * bytes, "late", 4);
		since = loop_now(g.l);
		assert_in_range(stage_until_ended(&g, since), 600 * NSEC_SEC, 601 * NSEC_SEC);
		assert_int_equal(g.report.err, -ERR_IDLE);
		get_all(far, got, &end);
		assert_int_equal(end, 0);
		stream_free(far);
		stage_close(&g);
	}
}

static void a_target_that_is_away_ends_a_stranger_without_a_byte(void **state)
{
	uint8_t got[65536];
	struct stage g;
	struct stream *far;
	ssize_t end;

	mirror_open(&g, "vless", false);
	g.fall.answer = STAGE_REFUSES;
	g.fall.err = -ECONNREFUSED;
	far = stage_connect(&g, NULL);
	stage_until_ended(&g, loop_now(g.l));
	assert_int_equal(g.report.err, -ECONNREFUSED);
	assert_int_equal(get_all(far, got, &end), 0);
	stream_free(far);

	g.fall.answer = STAGE_IS_SILENT;
	far = stage_connect(&g, NULL);
	put_bytes(far, "hello", 5);
	assert_in_range(stage_until_ended(&g, loop_now(g.l)), 60 * NSEC_SEC, 61 * NSEC_SEC);
	assert_int_equal(g.report.err, -ERR_TIMEOUT);
	assert_int_equal(get_all(far, got, &end), 0);
	stream_free(far);
	stage_close(&g);
}

static void who_cannot_be_handed_over_is_let_go(void **state)
{
	for (int bytes = 0; bytes < 2; bytes++) {
		struct stream *far;
		struct stage g;

		mirror_open(&g, "vless", false);
		g.in.stack = stubborn_stack;
		far = stage_connect(&g, NULL);
		if (bytes)
			put_bytes(far, "GET / HTTP/1.1\r\n\r\n", 18);
		stage_until_ended(&g, loop_now(g.l));
		assert_int_equal(g.report.err, -ERR_REJECTED);
		assert_true(g.report.rejected);
		stream_free(far);
		stage_close(&g);
	}
}

/* How long 100,000 bytes take to the target, or from it. */
static nsec_t time_to_pass(struct stage *g, struct stream *from, struct stream *to)
{
	static uint8_t bytes[20000], got[65536];
	size_t sent = 0, came = 0;
	struct bufq q;
	nsec_t since = loop_now(g->l);
	ssize_t end;

	bufq_init(&q, loop_pool(g->l), SIZE_MAX);
	while (came < 100000) {
		assert_true(loop_now(g->l) < since + 100 * NSEC_SEC);
		if (sent < 100000 && bufq_empty(&q)) {
			assert_int_equal(bufq_append(&q, bytes, sizeof(bytes)), 0);
			sent += sizeof(bytes);
		}
		if (!bufq_empty(&q))
			(void)stream_push(from, &q);
		settle_now(g->l);
		came += get_all(to, got, &end);
		loop_turn(g->l, 5 * NSEC_MS);
	}
	assert_int_equal(came, 100000);
	bufq_done(&q);
	return loop_now(g->l) - since;
}

static void strangers_are_slowed_down_as_the_rules_say(void **state)
{
	const struct throttle_rule rules[2] = {
		[RELAY_UP] = {.after = 10000, .rate_Bps = 20000, .burst = 30000},
		[RELAY_DOWN] = {.rate_Bps = 40000}, /* less than a second's worth is no burst */
	};
	struct stage g;

	for (int how = 0; how < 2; how++) {
		_Atomic uint64_t sums[2] = {0};
		struct stream *far;
		nsec_t up, down;

		mirror_open(&g, "vless", false);
		g.in.throttle = how ? rules : NULL;
		g.in.strangers = sums;
		far = stage_connect(&g, "192.0.2.7:1000");
		put_bytes(far, "GET / HTTP/1.1\r\n\r\n", 18);
		for (int t = 0; t < 50; t++)
			loop_turn(g.l, NSEC_MS);
		take(&g, g.fall.target, (uint8_t[18]){0}, 18);
		up = time_to_pass(&g, far, g.fall.target);
		down = time_to_pass(&g, g.fall.target, far);
		/* (100,000 - 10,000 - 30,000) / 20,000, and (100,000 - 40,000) / 40,000 */
		assert_in_range(up, how ? 2950 * NSEC_MS : 0, how ? 3100 * NSEC_MS : 100 * NSEC_MS);
		assert_in_range(down, how ? 1450 * NSEC_MS : 0,
				how ? 1600 * NSEC_MS : 100 * NSEC_MS);
		/* what has been read along with the hello is none of the relay's */
		assert_in_range(sums[RELAY_UP], 100000, 100018);
		assert_int_equal(sums[RELAY_DOWN], 100000);
		stream_free(far);
		stage_close(&g);
	}
}

static bool is_there(struct stage *g, struct stream *far)
{
	uint8_t got[65536];
	ssize_t end;

	for (int t = 0; t < 20; t++)
		loop_turn(g->l, NSEC_MS);
	assert_int_equal(get_all(far, got, &end), 0);
	assert_true(end == -EAGAIN || end == 0);
	return end == -EAGAIN;
}

static void one_source_has_only_so_many_strangers(void **state)
{
	static const char *const same[] = {"192.0.2.7:1", "192.0.2.7:2", "192.0.2.7:3",
					   "[::ffff:192.0.2.7]:4"};
	static const char *const net[] = {"[2001:db8::1]:1", "[2001:db8::2]:2",
					  "[2001:db8:0:0:ffff::3]:3", "[2001:db8:0:1::3]:3"};
	struct stream *far[4], *six[4];
	struct stage g;

	mirror_open(&g, "vless", false);
	g.in.half_open = &g.half_open;
	g.sources.max = 2;
	for (int i = 0; i < 4; i++) {
		far[i] = stage_connect(&g, same[i]);
		six[i] = stage_connect(&g, net[i]);
		if (i == 0) /* this one is mirrored, the others are in their handshake */
			put_bytes(far[i], "GET / HTTP/1.1\r\n\r\n", 18);
		assert_int_equal(is_there(&g, far[i]), i < 2);
		assert_int_equal(is_there(&g, six[i]), i != 2);
	}
	assert_int_equal(g.fall.dials, 5); /* and the target has heard of nobody else */
	assert_int_equal(g.report.err, -ERR_LIMIT);
	assert_true(g.report.crowded);
	hang_up(far[0]);
	for (int t = 0; t < 20; t++)
		loop_turn(g.l, NSEC_MS);
	far[0] = stage_connect(&g, same[2]);
	assert_true(is_there(&g, far[0]));
	for (int i = 0; i < 4; i++) {
		stream_free(far[i]);
		stream_free(six[i]);
	}
	stage_close(&g);
	for (int row = 0; row < HALF_OPEN_ROWS; row++)
		for (int i = 0; i < HALF_OPEN_ROW; i++)
			assert_int_equal(g.sources.row[row][i], 0);
}

static void beyond_the_limit_of_all_the_oldest_stranger_goes(void **state)
{
	struct stream *far[6];
	struct stage g;

	mirror_open(&g, "vless", false);
	g.in.half_open = &g.half_open;
	g.half_open.max = 3;
	for (int i = 0; i < 6; i++) {
		far[i] = stage_connect(&g, NULL);
		if (i % 2)
			put_bytes(far[i], "GET / HTTP/1.1\r\n\r\n", 18);
		assert_true(is_there(&g, far[i]));
		assert_int_equal(g.half_open.n, MIN(i + 1, 3));
		if (i >= 3) { /* an end in order, as of a server that makes room */
			assert_false(is_there(&g, far[i - 3]));
			assert_int_equal(g.report.err, -ERR_LIMIT);
			assert_false(g.report.crowded);
		}
	}
	for (int i = 0; i < 6; i++)
		stream_free(far[i]);
	stage_close(&g);
	assert_int_equal(g.half_open.n, 0);
}

static void who_is_a_user_takes_no_strangers_place(void **state)
{
	struct stream *far[8];
	struct stage g;

	stage_open(&g, "vless", "alice");
	g.in.half_open = &g.half_open;
	g.half_open.max = 2;
	g.sources.max = 1;
	for (int i = 0; i < 8; i++) {
		far[i] = stage_served(&g, "alice", "192.0.2.7:1000");
		assert_int_equal(g.half_open.n, 0);
	}
	assert_int_equal(g.ended, 0);
	for (int i = 0; i < 8; i++)
		stream_free(far[i]);
	stage_close(&g);
}

static void who_comes_by_a_proxy_counts_as_whom_it_names(void **state)
{
	struct stream *far[3];
	struct stage g;

	stage_open(&g, "vless", "alice");
	g.proxied = true;
	g.in.half_open = &g.half_open;
	g.sources.max = 1;
	for (int i = 0; i < 3; i++) {
		char head[64];

		far[i] = stage_connect(&g, "192.0.2.7:1000");
		assert_true(is_there(&g, far[i]));
		snprintf(head, sizeof(head), "PROXY TCP4 198.51.100.%d 192.0.2.1 1 443\r\n",
			 MIN(i, 1));
		put_bytes(far[i], head, strlen(head));
		assert_int_equal(is_there(&g, far[i]), i < 2);
	}
	for (int i = 0; i < 3; i++)
		stream_free(far[i]);
	stage_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_stranger_is_the_targets),
		cmocka_unit_test(the_deadline_ends_nobody_but_leaves_him_to_the_target),
		cmocka_unit_test(a_target_that_is_away_ends_a_stranger_without_a_byte),
		cmocka_unit_test(who_cannot_be_handed_over_is_let_go),
		cmocka_unit_test(strangers_are_slowed_down_as_the_rules_say),
		cmocka_unit_test(one_source_has_only_so_many_strangers),
		cmocka_unit_test(beyond_the_limit_of_all_the_oldest_stranger_goes),
		cmocka_unit_test(who_is_a_user_takes_no_strangers_place),
		cmocka_unit_test(who_comes_by_a_proxy_counts_as_whom_it_names),
	};

	return cmocka_run_group_tests(tests, make_all, drop_all);
}
