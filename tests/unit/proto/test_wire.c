/* The pure codecs, beyond the known answers of tests/vectors: what is refused, what is skipped. */
#include "parser_rules.h"
#include "vectors.h"

#include "proto/socks/socks_wire.h"
#include "proto/trojan/trojan_wire.h"
#include "proto/vless/vless_udp.h"
#include "proto/vless/vless_wire.h"
#include "transport/muxcool/xudp.h"
#include "transport/muxcool/xudp_wire.h"

static struct dest dest_of(const char *text)
{
	struct dest d;

	assert_int_equal(dest_parse(&d, text), 0);
	return d;
}

static int socks_request(struct rd *in)
{
	struct dest d;
	uint8_t cmd;

	return socks_request_parse(in, &cmd, &d);
}

static void the_vless_key_ignores_the_routing_bytes(void **state)
{
	uint8_t a[16] = {0}, b[16] = {0}, ka[16], kb[16];

	a[6] = 1;
	b[7] = 2;
	vless_key_of_id(a, ka);
	vless_key_of_id(b, kb);
	assert_memory_equal(ka, kb, 16);
	b[8] = 1;
	vless_key_of_id(b, kb);
	assert_memory_not_equal(ka, kb, 16);
}

static void a_wrong_vless_version_is_a_stranger(void **state)
{
	uint8_t id[16];
	struct rd r = rd_of("\x01", 1);

	assert_int_equal(vless_prefix_parse(&r, id), -ERR_AUTH);
	r = rd_of("GET / HTTP/1.1\r\n\r\n", 18);
	assert_int_equal(vless_prefix_parse(&r, id), -ERR_AUTH);
	r = rd_of("\0", 1);
	assert_int_equal(vless_prefix_parse(&r, id), -ERR_MORE);
}

static void vless_addons_skip_what_they_do_not_know(void **state)
{
	static const char odd[] = "\x10\x05"   /* field 2, varint */
				  "\x1a\x02zz" /* field 3, bytes */
				  "\x0a\x03"
				  "abc"		 /* a flow, overridden */
				  "\x25\1\2\3\4" /* field 4, fixed32 */
				  "\x0a\x10xtls-rprx-vision";
	struct rd r = rd_of(odd, sizeof(odd) - 1);
	uint8_t flow;

	assert_int_equal(vless_addons_parse(&r, &flow), 0);
	assert_int_equal(flow, VLESS_FLOW_VISION);
	r = rd_of("\x0a\x05xy", 4); /* longer than what is there */
	assert_int_equal(vless_addons_parse(&r, &flow), -ERR_MALFORMED);
	r = rd_of("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11);
	assert_int_equal(vless_addons_parse(&r, &flow), -ERR_MALFORMED);
	r = rd_of("\x0b", 1); /* a group: no such wire type any more */
	assert_int_equal(vless_addons_parse(&r, &flow), -ERR_MALFORMED);
}

static void a_vless_answer_is_skipped_whatever_its_addons(void **state)
{
	struct rd r = rd_of("\0\x03"
			    "abcX",
			    6);

	assert_int_equal(vless_response_parse(&r), 0);
	assert_int_equal(r.pos, 5);
	r = rd_of("\x01\0", 2);
	assert_int_equal(vless_response_parse(&r), -ERR_MALFORMED);
	r = rd_of("\0\x03"
		  "ab",
		  4);
	assert_int_equal(vless_response_parse(&r), -ERR_MORE);
}

static void a_trojan_hash_is_lower_case(void **state)
{
	uint8_t msg[512], key[TROJAN_KEY_LEN];
	size_t len = vector_bytes("trojan", "req_tcp", msg);
	struct rd r = rd_of(msg, len);

	msg[0] = 'D';
	assert_int_equal(trojan_prefix_parse(&r, key), -ERR_MALFORMED);
}

static void short_mux_metadata_can_never_be_right(void **state)
{
	struct muxcool_frame f;
	struct rd r = rd_of("\0\3\0\0\2", 5);

	assert_int_equal(muxcool_frame_parse(&r, &f), -ERR_MALFORMED);
	r = rd_of("\2\1", 2); /* 513 */
	assert_int_equal(muxcool_frame_parse(&r, &f), -ERR_MALFORMED);
	r = rd_of("\0\4\0\0\1\1", 6); /* New without a target */
	assert_int_equal(muxcool_frame_parse(&r, &f), -ERR_MALFORMED);
}

static void xudp_sends_new_once_then_keep(void **state)
{
	struct framed_state st = {.client = true};
	struct dest d = dest_of("8.8.8.8:53");
	uint8_t head[64];
	struct wr w = wr_of(head, sizeof(head));

	assert_int_equal(xudp_framing.emit(&st, &w, &d, 4), 0);
	assert_int_equal(head[4], MUXCOOL_NEW);
	w = wr_of(head, sizeof(head));
	assert_int_equal(xudp_framing.emit(&st, &w, &d, 4), 0);
	assert_int_equal(head[4], MUXCOOL_KEEP);
}

static void xudp_is_answered_by_keep_and_end_and_never_by_new(void **state)
{
	static const uint8_t end[] = {0, 4, 0, 0, MUXCOOL_END, 0};
	struct framed_state st = {.client = true};
	struct framed_head h;
	uint8_t msg[512];
	struct rd r;

	r = rd_of(msg, vector_bytes("muxcool", "xudp_new", msg));
	assert_int_equal(xudp_framing.parse(&st, &r, &h), -ERR_PROTOCOL);
	r = rd_of(msg, vector_bytes("muxcool", "xudp_keep_addr", msg));
	assert_int_equal(xudp_framing.parse(&st, &r, &h), 0);
	assert_false(h.skip || h.end);
	r = rd_of(end, sizeof(end));
	assert_int_equal(xudp_framing.parse(&st, &r, &h), 0);
	assert_true(h.end);
}

static void plain_vless_udp_names_one_destination(void **state)
{
	struct dest d = dest_of("8.8.8.8:53"), other = dest_of("8.8.4.4:53");
	struct framed_state st = {.fixed = &d};
	uint8_t head[8];
	struct wr w = wr_of(head, sizeof(head));

	assert_int_equal(vless_udp_framing.emit(&st, &w, &other, 4), -ERR_DENIED);
	assert_int_equal(vless_udp_framing.emit(&st, &w, &d, 258), 0);
	assert_memory_equal(head, "\1\2", 2);
}

static void socks_requests_survive_the_wire(void **state)
{
	struct dest d = dest_of("example.com:443"), back;
	uint8_t mem[SOCKS_MSG_MAX], cmd;
	struct wr w = wr_of(mem, sizeof(mem));
	struct rd r;
	bool no_auth;

	socks_request_emit(&w, SOCKS_CONNECT, &d);
	keeps_parser_rules(socks_request, mem, w.len);
	r = rd_of(mem, w.len);
	assert_int_equal(socks_request_parse(&r, &cmd, &back), 0);
	assert_true(dest_equal(&d, &back));
	r = rd_of("\5\2\1\0", 4);
	assert_int_equal(socks_greeting_parse(&r, &no_auth), 0);
	assert_true(no_auth);
	r = rd_of("\5\1\2", 3);
	assert_int_equal(socks_greeting_parse(&r, &no_auth), 0);
	assert_false(no_auth);
	r = rd_of("\0\0\1\1\1\2\3\4\0\5", 10);
	assert_int_equal(socks_udp_parse(&r, &back), -ERR_UNSUPPORTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_vless_key_ignores_the_routing_bytes),
		cmocka_unit_test(a_wrong_vless_version_is_a_stranger),
		cmocka_unit_test(vless_addons_skip_what_they_do_not_know),
		cmocka_unit_test(a_vless_answer_is_skipped_whatever_its_addons),
		cmocka_unit_test(a_trojan_hash_is_lower_case),
		cmocka_unit_test(short_mux_metadata_can_never_be_right),
		cmocka_unit_test(xudp_sends_new_once_then_keep),
		cmocka_unit_test(xudp_is_answered_by_keep_and_end_and_never_by_new),
		cmocka_unit_test(plain_vless_udp_names_one_destination),
		cmocka_unit_test(socks_requests_survive_the_wire),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
