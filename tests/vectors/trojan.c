/* Trojan messages against the known answers. */
#include "parser_rules.h"
#include "proto/trojan/trojan_wire.h"
#include "vectors.h"

static int request(struct rd *in)
{
	struct trojan_request req;

	return trojan_request_parse(in, &req);
}

static int packet(struct rd *in)
{
	struct dest d;
	size_t len;

	return trojan_packet_parse(in, &d, &len);
}

static void the_key_is_the_hash_of_the_password(void **state)
{
	uint8_t key[TROJAN_KEY_LEN], want[64];
	const char *password = vector_text("trojan", "password");

	assert_int_equal(trojan_key_of_password(password, strlen(password), key), 0);
	assert_int_equal(vector_bytes("trojan", "hash", want), sizeof(key));
	assert_memory_equal(key, want, sizeof(key));
}

static void check_request(const char *name, uint8_t cmd, const char *dest)
{
	struct trojan_request req, want = {.cmd = cmd};
	uint8_t msg[512], again[512];
	size_t len = vector_bytes("trojan", name, msg);
	struct wr w = wr_of(again, sizeof(again));
	struct rd r = rd_of(msg, len);

	assert_int_equal(trojan_request_parse(&r, &req), 0);
	assert_int_equal(vector_bytes("trojan", "hash", want.key), sizeof(want.key));
	assert_memory_equal(req.key, want.key, sizeof(req.key));
	assert_int_equal(req.cmd, cmd);
	if (dest) {
		assert_int_equal(dest_parse(&want.dest, dest), 0);
		assert_true(dest_equal(&req.dest, &want.dest));
	}
	dest_copy(&want.dest, &req.dest);
	trojan_request_emit(&w, &want);
	assert_int_equal(w.len, len);
	assert_memory_equal(again, msg, len);
	keeps_parser_rules(request, msg, len);
}

static void requests_are_those_of_the_vectors(void **state)
{
	check_request("req_tcp", TROJAN_CONNECT, "example.com:443");
	check_request("req_udp", TROJAN_UDP, NULL);
}

static void packets_are_those_of_the_vectors(void **state)
{
	uint8_t msg[512], again[512];
	size_t payload, len = vector_bytes("trojan", "udp_packet", msg);
	struct wr w = wr_of(again, sizeof(again));
	struct rd r = rd_of(msg, len);
	struct dest got, want;

	assert_int_equal(dest_parse(&want, "8.8.8.8:53"), 0);
	assert_int_equal(trojan_packet_parse(&r, &got, &payload), 0);
	assert_true(dest_equal(&got, &want));
	assert_int_equal(payload, 4);
	assert_int_equal(r.pos + payload, len);
	assert_memory_equal(msg + r.pos, "ping", 4);
	trojan_packet_emit(&w, &want, payload);
	assert_int_equal(w.len, r.pos);
	assert_memory_equal(again, msg, w.len);
	keeps_parser_rules(packet, msg, r.pos);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_key_is_the_hash_of_the_password),
		cmocka_unit_test(requests_are_those_of_the_vectors),
		cmocka_unit_test(packets_are_those_of_the_vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
