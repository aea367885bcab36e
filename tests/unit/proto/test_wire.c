/* The pure codecs: known answers, round trips, and what every parser keeps: a strict prefix asks for
 * more, nothing behind the message is touched.
 */
#include "vectors.h"

#include "proto/socks/socks_wire.h"
#include "proto/trojan/trojan_wire.h"
#include "proto/vless/vless_udp.h"
#include "proto/vless/vless_wire.h"
#include "transport/muxcool/xudp.h"
#include "transport/muxcool/xudp_wire.h"

#define ID "b831381d-6324-4d53-ad4f-8cda48b30811"

static struct dest dest_of(const char *text)
{
	struct dest d;

	assert_int_equal(dest_parse(&d, text), 0);
	return d;
}

typedef int parser(struct rd *in, void *out);

static int vless_request(struct rd *in, void *out)
{
	return vless_request_parse(in, out);
}

static int trojan_request(struct rd *in, void *out)
{
	return trojan_request_parse(in, out);
}

static int trojan_packet(struct rd *in, void *out)
{
	struct dest d;
	size_t len;

	return trojan_packet_parse(in, &d, &len);
}

static int mux_frame(struct rd *in, void *out)
{
	return muxcool_frame_parse(in, out);
}

static int socks_request(struct rd *in, void *out)
{
	struct dest d;
	uint8_t cmd;

	return socks_request_parse(in, &cmd, &d);
}

static void keeps_parser_rules(parser *parse, const uint8_t *msg, size_t len)
{
	uint8_t mem[2048];
	union {
		struct vless_request v;
		struct trojan_request t;
		struct muxcool_frame m;
	} out;

	memcpy(mem, msg, len);
	memset(mem + len, 0xee, 32);
	for (size_t cut = 0; cut < len; cut++) {
		struct rd r = rd_of(mem, cut);

		assert_int_equal(parse(&r, &out), -ERR_MORE);
		assert_int_equal(r.pos, 0);
	}
	struct rd r = rd_of(mem, len + 32);

	assert_int_equal(parse(&r, &out), 0);
	assert_int_equal(r.pos, len);
	for (size_t i = 0; i < len; i++) { /* no byte value at any place may do worse than fail */
		for (unsigned bit = 0; bit < 8; bit++) {
			mem[i] ^= (uint8_t)(1u << bit);
			r = rd_of(mem, len);
			(void)!parse(&r, &out);
			assert_true(r.pos <= len);
			mem[i] ^= (uint8_t)(1u << bit);
		}
	}
}

static void check_vless(const char *name, uint8_t cmd, uint8_t flow, const char *dest)
{
	struct vless_request req, want = {.cmd = cmd, .flow = flow};
	uint8_t msg[512], again[512];
	size_t len = vector_bytes("vless", name, msg);
	struct wr w = wr_of(again, sizeof(again));
	struct rd r = rd_of(msg, len);

	assert_int_equal(vless_request_parse(&r, &req), 0);
	assert_int_equal(vless_id_of_text(ID, strlen(ID), want.id), 0);
	assert_memory_equal(req.id, want.id, VLESS_ID_LEN);
	assert_int_equal(req.cmd, cmd);
	assert_int_equal(req.flow, flow);
	if (dest) {
		want.dest = dest_of(dest);
		assert_true(dest_equal(&req.dest, &want.dest));
	}
	vless_request_emit(&w, &want);
	assert_int_equal(w.len, len);
	assert_memory_equal(again, msg, len);
	keeps_parser_rules(vless_request, msg, len);
}

static void vless_requests_are_those_of_the_vectors(void **state)
{
	check_vless("req_tcp_domain", VLESS_TCP, VLESS_FLOW_NONE, "example.com:443");
	check_vless("req_tcp_vision_v4", VLESS_TCP, VLESS_FLOW_VISION, "192.0.2.1:80");
	check_vless("req_udp_v6", VLESS_UDP, VLESS_FLOW_NONE, "[2001:db8::1]:53");
	check_vless("req_mux_vision", VLESS_MUX, VLESS_FLOW_VISION, NULL);
}

static void vless_ids_come_from_uuids_and_from_any_short_text(void **state)
{
	static const char *const names[][2] = {
		{"example", "id_example"},
		{"我爱🍉老师1314", "id_utf8"},
	};
	uint8_t id[16], want[16];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *uuid = vector_text("vless", names[i][1]);

		assert_int_equal(vless_id_of_text(names[i][0], strlen(names[i][0]), id), 0);
		assert_int_equal(vless_id_of_text(uuid, strlen(uuid), want), 0);
		assert_memory_equal(id, want, 16);
	}
	assert_int_equal(vless_id_of_text("", 0, id), -ERR_MALFORMED);
	assert_int_equal(vless_id_of_text("1234567890123456789012345678901", 31, id),
			 -ERR_MALFORMED);
	assert_int_equal(vless_id_of_text(ID "0", 37, id), -ERR_MALFORMED);
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

static void trojan_messages_are_those_of_the_vectors(void **state)
{
	struct trojan_request req, want = {.cmd = TROJAN_CONNECT};
	uint8_t msg[512], again[512], key[TROJAN_KEY_LEN];
	const char *password = "password";
	size_t len, payload;
	struct dest d, dns = dest_of("8.8.8.8:53");
	struct wr w = wr_of(again, sizeof(again));
	struct rd r;

	assert_int_equal(trojan_key_of_password(password, strlen(password), key), 0);
	len = vector_bytes("trojan", "hash", msg);
	assert_memory_equal(key, msg, len);

	len = vector_bytes("trojan", "req_tcp", msg);
	r = rd_of(msg, len);
	assert_int_equal(trojan_request_parse(&r, &req), 0);
	memcpy(want.key, key, sizeof(key));
	want.dest = dest_of("example.com:443");
	assert_memory_equal(req.key, key, sizeof(key));
	assert_true(dest_equal(&req.dest, &want.dest));
	trojan_request_emit(&w, &want);
	assert_int_equal(w.len, len);
	assert_memory_equal(again, msg, len);
	keeps_parser_rules(trojan_request, msg, len);

	len = vector_bytes("trojan", "req_udp", msg);
	r = rd_of(msg, len);
	assert_int_equal(trojan_request_parse(&r, &req), 0);
	assert_int_equal(req.cmd, TROJAN_UDP);

	len = vector_bytes("trojan", "udp_packet", msg);
	r = rd_of(msg, len);
	assert_int_equal(trojan_packet_parse(&r, &d, &payload), 0);
	assert_true(dest_equal(&d, &dns));
	assert_int_equal(payload, 4);
	assert_memory_equal(msg + r.pos, "ping", 4);
	w = wr_of(again, sizeof(again));
	trojan_packet_emit(&w, &dns, 4);
	assert_memory_equal(again, msg, w.len);
	keeps_parser_rules(trojan_packet, msg, r.pos);
}

static void a_trojan_hash_is_lower_case(void **state)
{
	uint8_t msg[512], key[TROJAN_KEY_LEN];
	size_t len = vector_bytes("trojan", "req_tcp", msg);
	struct rd r = rd_of(msg, len);

	msg[0] = 'D';
	assert_int_equal(trojan_prefix_parse(&r, key), -ERR_MALFORMED);
}

static struct muxcool_frame mux_of(const char *name, uint8_t *msg, size_t *len)
{
	struct muxcool_frame f;
	struct rd r;

	*len = vector_bytes("muxcool", name, msg);
	r = rd_of(msg, *len);
	assert_int_equal(muxcool_frame_parse(&r, &f), 0);
	keeps_parser_rules(mux_frame, msg, r.pos);
	return f;
}

static void muxcool_frames_are_those_of_the_vectors(void **state)
{
	static const char *const names[] = {"new_tcp",	      "keep_tcp",	 "end",
					    "end_error",      "keepalive",	 "xudp_new",
					    "xudp_keep_addr", "xudp_keep_noaddr"};
	uint8_t msg[512], again[512];
	struct dest want = dest_of("8.8.8.8:53");
	struct muxcool_frame f;
	size_t len;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct wr w = wr_of(again, sizeof(again));

		f = mux_of(names[i], msg, &len);
		muxcool_frame_emit(&w, &f);
		assert_int_equal(w.err, 0);
		assert_int_equal(w.len + f.data_len, len);
		assert_memory_equal(again, msg, w.len);
	}
	f = mux_of("xudp_new", msg, &len);
	assert_int_equal(f.session, 0);
	assert_int_equal(f.status, MUXCOOL_NEW);
	assert_int_equal(f.network, MUXCOOL_UDP);
	assert_true(dest_equal(&f.dest, &want));
	assert_true(f.has_global_id);
	assert_memory_equal(f.global_id, "\1\2\3\4\5\6\7\10", 8);
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

static void xudp_refuses_tcp_and_a_second_session(void **state)
{
	struct framed_state st = {0};
	struct framed_head h;
	uint8_t msg[512];
	size_t len = vector_bytes("muxcool", "new_tcp", msg);
	struct rd r = rd_of(msg, len);

	assert_int_equal(xudp_framing.parse(&st, &r, &h), -ERR_UNSUPPORTED);
	len = vector_bytes("muxcool", "xudp_new", msg);
	r = rd_of(msg, len);
	assert_int_equal(xudp_framing.parse(&st, &r, &h), 0);
	msg[3] = 1; /* the session's id */
	r = rd_of(msg, len);
	assert_int_equal(xudp_framing.parse(&st, &r, &h), -ERR_UNSUPPORTED);
	free(st.fixed);
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
		cmocka_unit_test(vless_requests_are_those_of_the_vectors),
		cmocka_unit_test(vless_ids_come_from_uuids_and_from_any_short_text),
		cmocka_unit_test(the_vless_key_ignores_the_routing_bytes),
		cmocka_unit_test(a_wrong_vless_version_is_a_stranger),
		cmocka_unit_test(vless_addons_skip_what_they_do_not_know),
		cmocka_unit_test(a_vless_answer_is_skipped_whatever_its_addons),
		cmocka_unit_test(trojan_messages_are_those_of_the_vectors),
		cmocka_unit_test(a_trojan_hash_is_lower_case),
		cmocka_unit_test(muxcool_frames_are_those_of_the_vectors),
		cmocka_unit_test(short_mux_metadata_can_never_be_right),
		cmocka_unit_test(xudp_sends_new_once_then_keep),
		cmocka_unit_test(xudp_refuses_tcp_and_a_second_session),
		cmocka_unit_test(plain_vless_udp_names_one_destination),
		cmocka_unit_test(socks_requests_survive_the_wire),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
