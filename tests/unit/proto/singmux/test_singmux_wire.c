/* The messages of sing-box's multiplex, and the frames of smux and yamux: the bytes are what the
 * reference implementations' sources say, written out by hand.
 */
#include "parser_rules.h"

#include "proto/singmux/singmux_udp.h"
#include "proto/singmux/singmux_wire.h"
#include "transport/smux/smux_wire.h"
#include "transport/yamux/yamux_wire.h"

#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1

static struct dest dest_of(const char *text)
{
	struct dest d;

	assert_int_equal(dest_parse(&d, text), 0);
	return d;
}

/* What `emit` wrote is `want`. */
static void is(const struct wr *w, const uint8_t *want, size_t len)
{
	assert_int_equal(w->err, 0);
	assert_int_equal(w->len, len);
	assert_memory_equal(w->base, want, len);
}

static int hello(struct rd *in)
{
	struct singmux_hello h;

	return singmux_hello_parse(in, &h);
}

static int pad(struct rd *in)
{
	struct singmux_pad_head h;

	return singmux_pad_parse(in, &h);
}

static int request(struct rd *in)
{
	struct singmux_request q;

	return singmux_request_parse(in, &q);
}

static int answer(struct rd *in)
{
	struct singmux_answer a;

	return singmux_answer_parse(in, &a);
}

static int brutal(struct rd *in)
{
	struct singmux_brutal_answer a;

	return singmux_brutal_parse(in, &a);
}

static int smux(struct rd *in)
{
	struct smux_frame f;

	return smux_frame_parse(in, &f);
}

static int yamux(struct rd *in)
{
	struct yamux_frame f;

	return yamux_frame_parse(in, &f);
}

/* `at` is where the wrong byte is. */
static void is_refused(parser *parse, const uint8_t *bytes, size_t len, size_t at)
{
	struct rd r = rd_of(bytes, at);

	assert_int_equal(parse(&r), -ERR_MORE);
	for (size_t n = at + 1; n <= len; n++) {
		r = rd_of(bytes, n);
		if (parse(&r) == -ERR_MALFORMED) {
			assert_int_equal(r.pos, 0);
			return;
		}
	}
	fail_msg("%s", "nothing was refused");
}

/* ---- messages ---------------------------------------------------------------------------- */

static void a_carrier_begins_as_the_reference_writes_it(void **state)
{
	static const struct {
		struct singmux_hello h;
		const char *bytes;
		size_t len;
	} cases[] = {
		{{0, SINGMUX_SMUX, false, 0}, "\0\0", 2},
		{{0, SINGMUX_H2MUX, false, 0}, "\0\2", 2},
		{{1, SINGMUX_YAMUX, false, 0}, "\1\1\0", 3},
		{{1, SINGMUX_H2MUX, true, 300}, "\1\2\1\1\x2c", 5},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const uint8_t *bytes = (const uint8_t *)cases[i].bytes;
		uint8_t mem[SINGMUX_HELLO_MAX];
		struct wr w = wr_of(mem, sizeof(mem));
		struct rd r = rd_of(bytes, cases[i].len);
		struct singmux_hello h;

		singmux_hello_emit(&w, &cases[i].h);
		is(&w, bytes, cases[i].len);
		assert_int_equal(singmux_hello_parse(&r, &h), 0);
		assert_int_equal(h.version, cases[i].h.version);
		assert_int_equal(h.protocol, cases[i].h.protocol);
		assert_int_equal(h.padding, cases[i].h.padding);
		assert_int_equal(h.pad, cases[i].h.pad);
		keeps_parser_rules(hello, bytes, cases[i].len);
	}
	is_refused(hello, BYTES("\2\0"), 0);
	is_refused(hello, BYTES("\0\3"), 1);
}

static void a_stream_begins_with_flags_and_a_socks_address(void **state)
{
	static const struct {
		const char *dest;
		bool udp, addr;
		const char *bytes;
		size_t len;
	} cases[] = {
		{"1.2.3.4:80", false, false, "\0\0\1\1\2\3\4\0\x50", 9},
		{"a.example:443", true, false,
		 "\0\1\3\x09"
		 "a.example\1\xbb",
		 15},
		{"[2001:db8::1]:53", true, true,
		 "\0\3\4\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0\x35", 21},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct singmux_request q = {.udp = cases[i].udp,
					    .packet_addr = cases[i].addr,
					    .dest = dest_of(cases[i].dest)},
				       got;
		const uint8_t *bytes = (const uint8_t *)cases[i].bytes;
		uint8_t mem[SINGMUX_REQUEST_MAX];
		struct wr w = wr_of(mem, sizeof(mem));
		struct rd r = rd_of(bytes, cases[i].len);

		singmux_request_emit(&w, &q);
		is(&w, bytes, cases[i].len);
		assert_int_equal(singmux_request_parse(&r, &got), 0);
		assert_int_equal(got.udp, q.udp);
		assert_int_equal(got.packet_addr, q.packet_addr);
		assert_true(dest_equal(&got.dest, &q.dest));
		keeps_parser_rules(request, bytes, cases[i].len);
	}
	is_refused(request, BYTES("\0\0\2\1\2\3\4\0\x50"), 2);
}

/* The second bit says something about packets: a TCP stream has none. */
static void a_tcp_stream_has_no_packet_addresses(void **state)
{
	struct rd r = rd_of("\xff\xfe\1\1\2\3\4\0\x50", 9);
	struct singmux_request q;

	assert_int_equal(singmux_request_parse(&r, &q), 0);
	assert_false(q.udp);
	assert_false(q.packet_addr);
}

static void an_answer_is_a_status_and_of_an_error_a_text(void **state)
{
	char text[300];
	uint8_t mem[310];
	struct singmux_answer a = {0}, got;
	struct wr w = wr_of(mem, sizeof(mem));
	struct rd r;

	singmux_answer_emit(&w, &a);
	is(&w, BYTES("\0"));
	keeps_parser_rules(answer, BYTES("\0"));

	w = wr_of(mem, sizeof(mem));
	a = (struct singmux_answer){.error = true, .text = "no way", .len = 6};
	singmux_answer_emit(&w, &a);
	is(&w, BYTES("\1\6no way"));
	keeps_parser_rules(answer, BYTES("\1\6no way"));

	memset(text, 'x', sizeof(text));
	w = wr_of(mem, sizeof(mem));
	a = (struct singmux_answer){.error = true, .text = text, .len = sizeof(text)};
	singmux_answer_emit(&w, &a);
	assert_memory_equal(mem, "\1\xac\2x", 4);
	keeps_parser_rules(answer, mem, w.len);
	r = rd_of(mem, w.len);
	assert_int_equal(singmux_answer_parse(&r, &got), 0);
	assert_true(got.error);
	assert_int_equal(got.len, sizeof(text));
	assert_memory_equal(got.text, text, sizeof(text));

	is_refused(answer, BYTES("\2"), 0);
	is_refused(answer, BYTES("\1\x81\x80"), 2); /* longer than any text */
	is_refused(answer, BYTES("\1\x81\x08"), 2); /* one byte beyond the limit */
}

static void brutal_is_answered_with_a_rate_or_a_reason(void **state)
{
	struct singmux_brutal_answer a = {.ok = true, .rate_Bps = 0x0102030405060708};
	uint8_t mem[32];
	struct wr w = wr_of(mem, sizeof(mem));

	singmux_brutal_emit(&w, &a);
	is(&w, BYTES("\1\1\2\3\4\5\6\7\x08"));
	keeps_parser_rules(brutal, BYTES("\1\1\2\3\4\5\6\7\x08"));

	w = wr_of(mem, sizeof(mem));
	a = (struct singmux_brutal_answer){.text = "off", .len = 3};
	singmux_brutal_emit(&w, &a);
	is(&w, BYTES("\0\3off"));
	keeps_parser_rules(brutal, BYTES("\0\3off"));
}

static void a_padded_write_says_what_is_data_and_what_is_not(void **state)
{
	struct singmux_pad_head h = {.data = 0x0102, .pad = 0x0304};
	uint8_t mem[SINGMUX_PAD_HEAD];
	struct wr w = wr_of(mem, sizeof(mem));

	singmux_pad_emit(&w, &h);
	is(&w, BYTES("\1\2\3\4"));
	keeps_parser_rules(pad, BYTES("\1\2\3\4"));
}

static void the_names_are_matched_exactly(void **state)
{
	struct dest d;

	singmux_dest(&d);
	assert_true(singmux_is_carrier(&d));
	assert_int_equal(d.port, 444);
	d = dest_of("sp.mux.sing-box.arpa:7");
	assert_true(singmux_is_carrier(&d));
	d = dest_of("x.sp.mux.sing-box.arpa:444");
	assert_false(singmux_is_carrier(&d));
	d = dest_of("SP.mux.sing-box.arpa:444");
	assert_false(singmux_is_carrier(&d));
	d = dest_of("_BrutalBwExchange:0");
	assert_true(singmux_is_brutal(&d));
	assert_false(singmux_is_carrier(&d));
}

/* ---- packets ----------------------------------------------------------------------------- */

static int with_addr(struct rd *in)
{
	struct framed_state st = {0};
	struct framed_head h;

	return singmux_addr_framing.parse(&st, in, &h);
}

static int without_addr(struct rd *in)
{
	struct framed_state st = {0};
	struct framed_head h;

	return singmux_fixed_framing.parse(&st, in, &h);
}

static void packets_have_their_address_or_none(void **state)
{
	static const uint8_t addr[] = "\1\x08\x08\x08\x08\0\x35\0\4", fixed[] = "\0\4";
	struct dest d = dest_of("8.8.8.8:53");
	struct framed_state st = {0};
	struct framed_head h;
	uint8_t mem[FRAMED_HEAD_MAX];
	struct wr w = wr_of(mem, sizeof(mem));
	struct rd r = rd_of(addr, 9);

	assert_int_equal(singmux_addr_framing.emit(&st, &w, &d, 4), 0);
	is(&w, addr, 9);
	assert_int_equal(singmux_addr_framing.parse(&st, &r, &h), 0);
	assert_true(dest_equal(&h.dest, &d));
	assert_int_equal(h.len, 4);
	keeps_parser_rules(with_addr, addr, 9);
	is_refused(with_addr, BYTES("\2\1"), 0);

	w = wr_of(mem, sizeof(mem));
	assert_int_equal(singmux_fixed_framing.emit(&st, &w, &d, 4), 0);
	is(&w, fixed, 2);
	keeps_parser_rules(without_addr, fixed, 2);
}

static void who_cannot_be_named_is_not_heard(void **state)
{
	struct dest fixed = dest_of("192.0.2.1:53"), other = dest_of("192.0.2.2:53"),
		    none = {.type = DEST_NONE};
	struct dest name = dest_of("a.example:53");
	struct framed_state st = {.fixed = &fixed};
	uint8_t mem[FRAMED_HEAD_MAX];
	struct wr w = wr_of(mem, sizeof(mem));

	assert_int_equal(singmux_fixed_framing.emit(&st, &w, &other, 1), -ERR_DENIED);
	st.fixed = &name;
	assert_int_equal(singmux_fixed_framing.emit(&st, &w, &other, 1), -ERR_DENIED);
	assert_int_equal(singmux_addr_framing.emit(&st, &w, &none, 1), -ERR_NO_ADDRESS);
	assert_int_equal(w.len, 0);
}

/* ---- frames ------------------------------------------------------------------------------ */

static void smux_frames_are_the_reference_s(void **state)
{
	static const struct {
		struct smux_frame f;
		const char *bytes;
	} cases[] = {
		{{SMUX_SYN, 0, 3}, "\1\0\0\0\3\0\0\0"},
		{{SMUX_FIN, 0, 0x01020304}, "\1\1\0\0\4\3\2\1"},
		{{SMUX_PSH, 0x0102, 5}, "\1\2\2\1\5\0\0\0"},
		{{SMUX_NOP, 0, 0}, "\1\3\0\0\0\0\0\0"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const uint8_t *bytes = (const uint8_t *)cases[i].bytes;
		uint8_t mem[SMUX_HEAD];
		struct wr w = wr_of(mem, sizeof(mem));
		struct rd r = rd_of(bytes, SMUX_HEAD);
		struct smux_frame f;

		smux_frame_emit(&w, &cases[i].f);
		is(&w, bytes, SMUX_HEAD);
		assert_int_equal(smux_frame_parse(&r, &f), 0);
		assert_int_equal(f.command, cases[i].f.command);
		assert_int_equal(f.len, cases[i].f.len);
		assert_int_equal(f.stream, cases[i].f.stream);
		keeps_parser_rules(smux, bytes, SMUX_HEAD);
	}
	is_refused(smux, BYTES("\2\0\0\0\3\0\0\0"), 0); /* version 2 */
	is_refused(smux, BYTES("\1\4\0\0\3\0\0\0"), 1); /* its window update */
	is_refused(smux, BYTES("\1\0\1\0\3\0\0\0"), 3); /* a SYN with data */
}

static void yamux_frames_are_the_specification_s(void **state)
{
	static const struct {
		struct yamux_frame f;
		const char *bytes;
	} cases[] = {
		{{YAMUX_DATA, YAMUX_FIN, 1, 5}, "\0\0\0\4\0\0\0\1\0\0\0\5"},
		{{YAMUX_UPDATE, YAMUX_SYN | YAMUX_RST, 0x01020304, 0x40000},
		 "\0\1\0\x09\1\2\3\4\0\4\0\0"},
		{{YAMUX_PING, YAMUX_ACK, 0, 0x0a0b0c0d}, "\0\2\0\2\0\0\0\0\x0a\x0b\x0c\x0d"},
		{{YAMUX_GO_AWAY, 0, 0, YAMUX_INTERNAL}, "\0\3\0\0\0\0\0\0\0\0\0\2"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const uint8_t *bytes = (const uint8_t *)cases[i].bytes;
		uint8_t mem[YAMUX_HEAD];
		struct wr w = wr_of(mem, sizeof(mem));
		struct rd r = rd_of(bytes, YAMUX_HEAD);
		struct yamux_frame f;

		yamux_frame_emit(&w, &cases[i].f);
		is(&w, bytes, YAMUX_HEAD);
		assert_int_equal(yamux_frame_parse(&r, &f), 0);
		assert_int_equal(f.type, cases[i].f.type);
		assert_int_equal(f.flags, cases[i].f.flags);
		assert_int_equal(f.stream, cases[i].f.stream);
		assert_int_equal(f.len, cases[i].f.len);
		keeps_parser_rules(yamux, bytes, YAMUX_HEAD);
	}
	is_refused(yamux, BYTES("\1\0\0\0\0\0\0\1\0\0\0\0"), 0);
	is_refused(yamux, BYTES("\0\4\0\0\0\0\0\1\0\0\0\0"), 1);
	is_refused(yamux, BYTES("\0\0\0\0\0\0\0\0\0\0\0\0"), 7); /* data of no stream */
	is_refused(yamux, BYTES("\0\2\0\1\0\0\0\1\0\0\0\0"), 7); /* a ping of one */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_carrier_begins_as_the_reference_writes_it),
		cmocka_unit_test(a_stream_begins_with_flags_and_a_socks_address),
		cmocka_unit_test(a_tcp_stream_has_no_packet_addresses),
		cmocka_unit_test(an_answer_is_a_status_and_of_an_error_a_text),
		cmocka_unit_test(brutal_is_answered_with_a_rate_or_a_reason),
		cmocka_unit_test(a_padded_write_says_what_is_data_and_what_is_not),
		cmocka_unit_test(the_names_are_matched_exactly),
		cmocka_unit_test(packets_have_their_address_or_none),
		cmocka_unit_test(who_cannot_be_named_is_not_heard),
		cmocka_unit_test(smux_frames_are_the_reference_s),
		cmocka_unit_test(yamux_frames_are_the_specification_s),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
