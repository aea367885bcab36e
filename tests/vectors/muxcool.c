/* mux.cool frames, XUDP's among them, against the known answers. */
#include "parser_rules.h"
#include "transport/muxcool/xudp_wire.h"
#include "vectors.h"

static int frame(struct rd *in)
{
	struct muxcool_frame f;

	return muxcool_frame_parse(in, &f);
}

static struct muxcool_frame frame_of(const char *name, uint8_t *msg, size_t *len)
{
	struct muxcool_frame f;
	struct rd r;

	*len = vector_bytes("muxcool", name, msg);
	r = rd_of(msg, *len);
	assert_int_equal(muxcool_frame_parse(&r, &f), 0);
	keeps_parser_rules(frame, msg, r.pos);
	return f;
}

static void frames_are_those_of_the_vectors(void **state)
{
	static const char *const names[] = {"new_tcp",	      "keep_tcp",	 "end",
					    "end_error",      "keepalive",	 "xudp_new",
					    "xudp_keep_addr", "xudp_keep_noaddr"};
	uint8_t msg[512], again[512];
	struct muxcool_frame f;
	size_t len;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct wr w = wr_of(again, sizeof(again));

		f = frame_of(names[i], msg, &len);
		muxcool_frame_emit(&w, &f);
		assert_int_equal(w.err, 0);
		assert_int_equal(w.len + f.data_len, len);
		assert_memory_equal(again, msg, w.len);
	}
}

static void the_first_xudp_frame_says_whom_and_for_whom(void **state)
{
	struct dest want;
	uint8_t msg[512];
	size_t len;
	struct muxcool_frame f = frame_of("xudp_new", msg, &len);

	assert_int_equal(dest_parse(&want, "8.8.8.8:53"), 0);
	assert_int_equal(f.session, 0);
	assert_int_equal(f.status, MUXCOOL_NEW);
	assert_int_equal(f.network, MUXCOOL_UDP);
	assert_true(dest_equal(&f.dest, &want));
	assert_true(f.has_global_id);
	assert_memory_equal(f.global_id, "\1\2\3\4\5\6\7\10", 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_are_those_of_the_vectors),
		cmocka_unit_test(the_first_xudp_frame_says_whom_and_for_whom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
