#include "unit.h"

#include "net/proxy_proto.h"

#define SIG "\r\n\r\n\0\r\nQUIT\n"

static struct addr at(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(&a, text), 0);
	return a;
}

static int parse(const void *data, size_t len, struct proxy_header *h, size_t *pos)
{
	struct rd r = rd_of(data, len);
	int err = proxy_parse(&r, h);

	*pos = r.pos;
	return err;
}

static void expect_tuple(const struct proxy_header *h, const char *src, const char *dst)
{
	struct addr s = at(src), d = at(dst);

	assert_false(h->local);
	assert_true(addr_equal(&h->src, &s));
	assert_true(addr_equal(&h->dst, &d));
}

static void the_vectors_of_the_page_are_read(void **state)
{
	static const char v1[] = "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\nGET";
	static const char v2[] =
		SIG "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"
		    "GET";
	static const char local[] = SIG "\x20\x00\x00\x00"
					"GET";
	static const char v1_6[] = "PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n";
	static const char unknown[] = "PROXY UNKNOWN anything at all 1.2.3.4\r\nx";
	struct proxy_header h;
	size_t pos;

	assert_int_equal(parse(v1, sizeof(v1) - 1, &h, &pos), 0);
	assert_int_equal(pos, sizeof(v1) - 4);
	assert_int_equal(h.version, 1);
	expect_tuple(&h, "192.0.2.1:56324", "198.51.100.2:443");
	assert_int_equal(parse(v2, sizeof(v2) - 1, &h, &pos), 0);
	assert_int_equal(pos, sizeof(v2) - 4);
	assert_int_equal(h.version, 2);
	expect_tuple(&h, "192.0.2.1:56324", "198.51.100.2:443");
	assert_int_equal(parse(local, sizeof(local) - 1, &h, &pos), 0);
	assert_int_equal(pos, 16);
	assert_true(h.local);
	assert_int_equal(h.src.len, 0);
	assert_int_equal(parse(v1_6, sizeof(v1_6) - 1, &h, &pos), 0);
	expect_tuple(&h, "[2001:db8::1]:1", "[2001:db8::2]:2");
	assert_int_equal(parse(unknown, sizeof(unknown) - 1, &h, &pos), 0);
	assert_int_equal(pos, sizeof(unknown) - 2);
	assert_true(h.local);
	assert_int_equal(parse("PROXY UNKNOWN\r\n", 15, &h, &pos), 0);
}

static void a_wrong_line_is_malformed(void **state)
{
	static const char *const rows[] = {
		"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
		"PROXYX TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
		"GET / HTTP/1.1",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
		"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\r\n",
		"PROXY TCP4 ::1 ::2 1 2\r\n",
		"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
		"PROXY TCP6 [::1] ::2 1 2\r\n",
		"PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n",
		"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
		"PROXY UNKNOWNX\r\n",
		"PROXY \r\n",
		"\r\n\r\n\r",
	};
	char line[200];
	struct proxy_header h;
	size_t pos;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (parse(rows[i], strlen(rows[i]), &h, &pos) != -ERR_MALFORMED)
			fail_msg("row %zu passes: %s", i, rows[i]);
		assert_int_equal(pos, 0);
	}
	/* 107 bytes are allowed, more are not, and nobody waits for them. */
	memset(line, 'x', sizeof(line));
	memcpy(line, "PROXY UNKNOWN ", 14);
	assert_int_equal(parse(line, 106, &h, &pos), -ERR_MORE);
	assert_int_equal(parse(line, 107, &h, &pos), -ERR_MALFORMED);
	memcpy(line + 105, "\r\n", 2);
	assert_int_equal(parse(line, sizeof(line), &h, &pos), 0);
	assert_int_equal(pos, 107);
}

static void a_wrong_binary_header_is_malformed(void **state)
{
	static const struct {
		uint8_t tail[4];
		int err;
	} rows[] = {
		{{0x22, 0x11, 0, 12}, -ERR_MALFORMED},
		{{0x11, 0x11, 0, 12}, -ERR_MALFORMED},
		{{0x21, 0x13, 0, 12}, -ERR_MALFORMED},
		{{0x20, 0x13, 0, 0}, -ERR_MALFORMED},
		{{0x21, 0x00, 0, 0}, -ERR_MALFORMED},
		{{0x21, 0x11, 0, 11}, -ERR_MALFORMED},
		{{0x21, 0x21, 0, 35}, -ERR_MALFORMED},
		{{0x21, 0x31, 0, 215}, -ERR_MALFORMED},
		{{0x20, 0x00, 0x10, 1}, -ERR_MALFORMED},
		{{0x20, 0x00, 0x10, 0}, -ERR_MORE},
		{{0x20, 0x11, 0, 0}, 0},
	};
	struct proxy_header h;
	uint8_t wire[16];
	size_t pos;

	memcpy(wire, SIG, 12);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		memcpy(wire + 12, rows[i].tail, 4);
		assert_int_equal(parse(wire, 16, &h, &pos), rows[i].err);
	}
	wire[11] = '\r';
	assert_int_equal(parse(wire, 12, &h, &pos), -ERR_MALFORMED);
}

static void tlvs_are_skipped_and_unix_addresses_are_none(void **state)
{
	uint8_t wire[16 + 216 + 7] =
		SIG "\x21\x12\x00\x0f\x01\x01\x01\x01\x02\x02\x02\x02\x00\x05\x00\x06"
		    "tlv"
		    "next";
	struct proxy_header h;
	size_t pos;

	assert_int_equal(parse(wire, 35, &h, &pos), 0);
	assert_int_equal(pos, 31);
	assert_true(h.dgram);
	expect_tuple(&h, "1.1.1.1:5", "2.2.2.2:6");
	memcpy(wire + 12, "\x21\x31\x00\xd8", 4);
	assert_int_equal(parse(wire, sizeof(wire), &h, &pos), 0);
	assert_int_equal(pos, 16 + 216);
	assert_true(h.local);
	assert_false(h.dgram);
}

static const char *const pairs[][2] = {
	{"192.0.2.1:56324", "198.51.100.2:443"},
	{"0.0.0.0:0", "255.255.255.255:65535"},
	{"[2001:db8::1]:1", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
	{"[::ffff:1.2.3.4]:5", "6.7.8.9:10"},
	{"1.2.3.4:5", "[::1]:6"}, /* of two families: none */
};

static void what_is_emitted_is_parsed_and_every_prefix_wants_more(void **state)
{
	for (int version = 1; version <= 2; version++) {
		for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
			struct addr src = at(pairs[i][0]), dst = at(pairs[i][1]);
			uint8_t wire[PROXY_EMIT_MAX + 1];
			struct wr w = wr_of(wire, PROXY_EMIT_MAX);
			struct proxy_header h;
			size_t pos;

			proxy_emit(&w, version, &src, &dst);
			assert_int_equal(w.err, 0);
			wire[w.len] = 'x';
			assert_int_equal(parse(wire, w.len + 1, &h, &pos), 0);
			assert_int_equal(pos, w.len);
			assert_int_equal(h.version, version);
			assert_int_equal(h.local, i == 4);
			if (!h.local)
				expect_tuple(&h, pairs[i][0], pairs[i][1]);
			for (size_t cut = 0; cut < w.len; cut++) {
				assert_int_equal(parse(wire, cut, &h, &pos), -ERR_MORE);
				assert_int_equal(pos, 0);
			}
		}
	}
}

static void the_emitted_forms_are_those_of_the_page(void **state)
{
	struct addr src = at("[::ffff:192.0.2.1]:56324"), dst = at("198.51.100.2:443"), none = {0};
	uint8_t wire[PROXY_EMIT_MAX];
	struct wr w = wr_of(wire, sizeof(wire));

	proxy_emit(&w, 1, &src, &dst);
	proxy_emit(&w, 1, &src, &none);
	assert_int_equal(w.len, 60);
	assert_memory_equal(wire,
			    "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\nPROXY UNKNOWN\r\n", 60);
	w = wr_of(wire, sizeof(wire));
	proxy_emit(&w, 2, &src, &dst);
	proxy_emit(&w, 2, &none, &dst);
	assert_int_equal(w.len, 28 + 16);
	assert_memory_equal(wire,
			    SIG
			    "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb" SIG
			    "\x20\x00\x00\x00",
			    44);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_vectors_of_the_page_are_read),
		cmocka_unit_test(a_wrong_line_is_malformed),
		cmocka_unit_test(a_wrong_binary_header_is_malformed),
		cmocka_unit_test(tlvs_are_skipped_and_unix_addresses_are_none),
		cmocka_unit_test(what_is_emitted_is_parsed_and_every_prefix_wants_more),
		cmocka_unit_test(the_emitted_forms_are_those_of_the_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
