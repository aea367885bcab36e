/* VLESS messages against the known answers. */
#include "parser_rules.h"
#include "proto/vless/vless_wire.h"
#include "vectors.h"

#define ID "b831381d-6324-4d53-ad4f-8cda48b30811"

static int request(struct rd *in)
{
	struct vless_request req;

	return vless_request_parse(in, &req);
}

static int answer(struct rd *in)
{
	return vless_response_parse(in);
}

static void check_request(const char *name, uint8_t cmd, uint8_t flow, const char *dest)
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
		assert_int_equal(dest_parse(&want.dest, dest), 0);
		assert_true(dest_equal(&req.dest, &want.dest));
	}
	vless_request_emit(&w, &want);
	assert_int_equal(w.len, len);
	assert_memory_equal(again, msg, len);
	keeps_parser_rules(request, msg, len);
}

static void requests_are_those_of_the_vectors(void **state)
{
	check_request("req_tcp_domain", VLESS_TCP, VLESS_FLOW_NONE, "example.com:443");
	check_request("req_tcp_vision_v4", VLESS_TCP, VLESS_FLOW_VISION, "192.0.2.1:80");
	check_request("req_udp_v6", VLESS_UDP, VLESS_FLOW_NONE, "[2001:db8::1]:53");
	check_request("req_mux_vision", VLESS_MUX, VLESS_FLOW_VISION, NULL);
}

static void addons_and_answer_are_those_of_the_vectors(void **state)
{
	uint8_t msg[64], again[64], flow = VLESS_FLOW_NONE;
	size_t len = vector_bytes("vless", "addons_vision", msg);
	struct wr w = wr_of(again, sizeof(again));
	struct rd r = rd_of(msg, len);

	assert_int_equal(vless_addons_parse(&r, &flow), 0);
	assert_int_equal(flow, VLESS_FLOW_VISION);

	len = vector_bytes("vless", "resp", msg);
	vless_response_emit(&w);
	assert_int_equal(w.len, len);
	assert_memory_equal(again, msg, len);
	keeps_parser_rules(answer, msg, len);
}

static void ids_come_from_uuids_and_from_any_short_text(void **state)
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_those_of_the_vectors),
		cmocka_unit_test(addons_and_answer_are_those_of_the_vectors),
		cmocka_unit_test(ids_come_from_uuids_and_from_any_short_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
