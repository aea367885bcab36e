/* What a stream inside of a multiplexer is told when its target cannot be reached. */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			who_asked_for_a_target_that_refuses_is_told_and_may_have_spoken_ahead),
		cmocka_unit_test(who_asked_for_a_target_that_is_silent_is_told_at_the_deadline),
		cmocka_unit_test(a_refused_stream_goes_with_its_client_or_soon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
