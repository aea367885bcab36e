/* What a stream inside of a multiplexer is told when its target cannot be reached; what becomes of one that
 * asks for none, and of carriers where all is to end.
 */
#include "unit.h"

#include "proto/singmux/singmux.h"
#include "stream/mux.h"
#include "transport/muxcool/muxcool.h"

#include "stage.h"

static const struct mux_client_kind *const kinds[] = {
	&singmux_smux_client, &singmux_yamux_client, &singmux_h2mux_client,
	&muxcool_client, /* has no words for it */
};

static void on_closed(struct sink *k)
{
}

struct line {
	struct stage g;
	struct sink sink;
	struct mux *mux;
	struct stream *s;
};

/* A stream to a target, asked for. */
static void line_open(struct line *n, const struct mux_client_kind *kind)
{
	bool cool = kind == &muxcool_client;
	struct dest to;

	stage_open(&n->g, "vless", "alice");
	n->sink = (struct sink){.closed = on_closed};
	n->mux = kind->start(stage_client(&n->g, stage_connect(&n->g, NULL), "alice",
					  cool ? "v1.mux.cool:9527" : "sp.mux.sing-box.arpa:444"),
			     &n->sink, false);
	assert_int_equal(dest_parse(&to, "target.example:443"), 0);
	n->s = kind->stream(n->mux, &to);
}

static void line_close(struct line *n)
{
	stream_free(n->s);
	mux_free(n->mux);
	stage_close(&n->g);
}

/* The words, and behind them the end: nothing of the answer is said. */
static void assert_told(struct line *n, bool cool, int err)
{
	uint8_t got[65536];
	ssize_t end;

	settle_now(n->g.l);
	assert_int_equal(get_all(n->s, got, &end), 0);
	assert_int_equal(end, cool ? -ECONNRESET : -ERR_UNREACHED);
	assert_int_equal(n->g.report.err, err);
	assert_int_equal(n->g.user, 1);
	assert_string_equal(n->g.dest, "target.example:443");
}

static void who_asked_for_a_target_that_refuses_is_told_and_may_have_spoken_ahead(void **state)
{
	static struct line n;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		line_open(&n, kinds[i]);
		n.g.out.answer = STAGE_REFUSES;
		n.g.out.delay = NSEC_SEC;
		put_bytes(n.s, "hello", 5);
		settle_now(n.g.l);
		put_bytes(n.s, "and more of it", 14);
		stage_until_ended(&n.g, 0);
		assert_told(&n, kinds[i] == &muxcool_client, -ECONNREFUSED);
		line_close(&n);
	}
}

static void who_asked_for_a_target_that_is_silent_is_told_at_the_deadline(void **state)
{
	static struct line n;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		line_open(&n, kinds[i]);
		n.g.out.answer = STAGE_IS_SILENT;
		put_bytes(n.s, "hello", 5);
		stage_until_ended(&n.g, 0);
		assert_told(&n, kinds[i] == &muxcool_client, -ERR_TIMEOUT);
		line_close(&n);
	}
}

/* He has a second to end his side; and who does, ends it. */
static void a_refused_stream_goes_with_its_client_or_soon(void **state)
{
	static struct line n;

	for (int leaves = 0; leaves < 2; leaves++) {
		nsec_t told;

		line_open(&n, &singmux_yamux_client);
		n.g.out.answer = STAGE_REFUSES;
		put_bytes(n.s, "hello", 5);
		settle_now(n.g.l);
		told = loop_now(n.g.l);
		assert_int_equal(n.g.ended, 0);
		if (leaves) {
			stream_free(n.s);
			n.s = NULL;
			settle_now(n.g.l);
			assert_int_equal(n.g.ended, 1);
		} else {
			assert_in_range(stage_until_ended(&n.g, told), NSEC_SEC / 2, 2 * NSEC_SEC);
		}
		assert_int_equal(n.g.report.err, -ECONNREFUSED);
		assert_int_equal(n.g.report.up, 0);
		line_close(&n);
	}
}

/* ---- a carrier by hand ------------------------------------------------------------------- */

#define SMUX  "\0\0"
#define OPEN3 "\1\0\0\0\3\0\0\0"
#define END3  "\1\1\0\0\3\0\0\0"

/* smux, and what is said in it. */
static struct stream *say_in_carrier(struct stage *g, const void *bytes, size_t len)
{
	struct stream *s =
		stage_client(g, stage_connect(g, NULL), "alice", "sp.mux.sing-box.arpa:444");

	settle_now(g->l);
	put_bytes(s, bytes, len);
	settle_now(g->l);
	return s;
}

static void let_pass(struct loop *l, nsec_t time)
{
	nsec_t until = loop_now(l) + time;

	while (loop_now(l) < until && loop_turn(l, until - loop_now(l)) > 0)
		;
}

static void a_stream_that_asks_for_nothing_ends_at_its_deadline_and_its_carrier_goes_on(
	void **state)
{
	static struct stage g;
	struct stream *s;
	nsec_t since;

	stage_open(&g, "vless", "alice");
	s = say_in_carrier(&g, SMUX OPEN3, 10);
	assert_int_equal(g.in.nsessions, 2);
	since = loop_now(g.l);
	assert_in_range(stage_until_ended(&g, since), g.times.handshake - NSEC_SEC,
			g.times.handshake + NSEC_SEC);
	assert_true(g.report.err < 0);
	assert_int_equal(g.in.nsessions, 1);
	stream_free(s);
	stage_close(&g);
}

/* As one that is there already. */
static void a_carrier_that_comes_to_a_drained_inbound_ends_when_it_is_quiet(void **state)
{
	for (int drained = 0; drained < 2; drained++) {
		static struct stage g;
		struct stream *s;

		stage_open(&g, "vless", "alice");
		if (drained)
			session_drain_carriers(&g.in, MUX_QUIET);
		s = say_in_carrier(&g, SMUX OPEN3 END3, 18);
		let_pass(g.l, MUX_QUIET - NSEC_SEC);
		assert_int_equal(g.in.nsessions, 1);
		let_pass(g.l, 3 * NSEC_SEC);
		assert_int_equal(g.in.nsessions, !drained);
		stream_free(s);
		stage_close(&g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			who_asked_for_a_target_that_refuses_is_told_and_may_have_spoken_ahead),
		cmocka_unit_test(who_asked_for_a_target_that_is_silent_is_told_at_the_deadline),
		cmocka_unit_test(a_refused_stream_goes_with_its_client_or_soon),
		cmocka_unit_test(
			a_stream_that_asks_for_nothing_ends_at_its_deadline_and_its_carrier_goes_on),
		cmocka_unit_test(a_carrier_that_comes_to_a_drained_inbound_ends_when_it_is_quiet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
