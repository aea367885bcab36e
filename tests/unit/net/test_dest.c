#include "unit.h"

#include "net/dest.h"

static struct dest of(const char *text)
{
	struct dest d;

	assert_int_equal(dest_parse(&d, text), 0);
	return d;
}

static const char *const samples[] = {
	"192.0.2.1:443", "[2001:db8::1]:0", "example.com:65535", "a:1", "_dmarc.x-y.example.:53",
};

static void every_destination_survives_both_wire_orders(void **state)
{
	for (enum dest_order order = DEST_SOCKS; order <= DEST_VLESS; order++) {
		for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
			struct dest d = of(samples[i]), back;
			uint8_t wire[300];
			struct wr w = wr_of(wire, sizeof(wire));
			struct rd r;

			wr_dest(&w, order, &d);
			assert_int_equal(w.err, 0);
			wire[w.len] = 0x55; /* the next message: not ours */
			r = rd_of(wire, w.len + 1);
			rd_dest(&r, order, &back);
			assert_int_equal(r.err, 0);
			assert_int_equal(r.pos, w.len);
			assert_true(dest_equal(&d, &back));
			for (size_t cut = 0; cut < w.len; cut++) {
				r = rd_of(wire, cut);
				rd_dest(&r, order, &back);
				assert_int_equal(r.err, -ERR_MORE);
			}
		}
	}
}

static void the_wire_forms_are_those_of_the_protocols(void **state)
{
	struct dest d = of("ab.c:258");
	uint8_t wire[32];
	struct wr w = wr_of(wire, sizeof(wire));

	wr_dest(&w, DEST_SOCKS, &d);
	assert_int_equal(w.len, 8);
	assert_memory_equal(wire,
			    "\x03\x04"
			    "ab.c"
			    "\x01\x02",
			    8);
	w = wr_of(wire, sizeof(wire));
	wr_dest(&w, DEST_VLESS, &d);
	assert_int_equal(w.len, 8);
	assert_memory_equal(wire,
			    "\x01\x02\x02\x04"
			    "ab.c",
			    8);
	d = of("1.2.3.4:5");
	w = wr_of(wire, sizeof(wire));
	wr_dest(&w, DEST_VLESS, &d);
	assert_memory_equal(wire, "\x00\x05\x01\x01\x02\x03\x04", 7);
	d = of("[::1]:5");
	w = wr_of(wire, sizeof(wire));
	wr_dest(&w, DEST_SOCKS, &d);
	assert_int_equal(wire[0], 4);
	assert_int_equal(w.len, 19);
	w = wr_of(wire, sizeof(wire));
	wr_dest(&w, DEST_VLESS, &d);
	assert_int_equal(wire[2], 3);
	wr_dest(&w, DEST_VLESS, &(struct dest){0});
	assert_int_equal(w.err, -EINVAL);
}

static void malformed_at(enum dest_order order, const char *wire, size_t len, size_t pos)
{
	struct rd r = rd_of(wire, len);
	struct dest d = {.type = 77};

	rd_dest(&r, order, &d);
	assert_int_equal(r.err, -ERR_MALFORMED);
	assert_int_equal(r.pos, pos);
	assert_int_equal(d.type, 77);
}

static void a_wrong_byte_is_malformed_where_it_stands(void **state)
{
	malformed_at(DEST_SOCKS, "\x00", 1, 0);
	malformed_at(DEST_SOCKS, "\x02", 1, 0);
	malformed_at(DEST_VLESS, "\x00\x01\x04", 3, 2);
	malformed_at(DEST_SOCKS, "\x03\x00\x00\x00", 4, 1); /* a name without a letter */
	malformed_at(DEST_VLESS, "\x00\x01\x02\x00", 4, 3);
	malformed_at(DEST_SOCKS,
		     "\x03\x03"
		     "a b\0\0",
		     7, 3);
	malformed_at(DEST_SOCKS,
		     "\x03\x03"
		     "ab\0\0\0",
		     7, 4);
	malformed_at(DEST_SOCKS,
		     "\x03\x03"
		     "a:1\0\0",
		     7, 3);
	malformed_at(DEST_VLESS,
		     "\x00\x01\x02\x02"
		     "\xc3\xa9",
		     6, 4);
}

static void a_name_that_is_an_address_becomes_one(void **state)
{
	struct rd r = rd_of("\x03\x09"
			    "127.0.0.1\0\x50",
			    13);
	struct dest d;
	struct addr a;

	rd_dest(&r, DEST_SOCKS, &d);
	assert_int_equal(r.err, 0);
	assert_int_equal(d.type, DEST_IP4);
	assert_int_equal(dest_addr(&d, &a), 0);
	assert_true(addr_is_private(&a));
	assert_int_equal(dest_set_name(&d, "::1", 3, 5), 0);
	assert_int_equal(d.type, DEST_IP6);
	assert_int_equal(d.port, 5);
	assert_int_equal(dest_set_name(&d, "[::ffff:1.2.3.4]", 16, 5), 0);
	assert_int_equal(d.type, DEST_IP4);
	assert_int_equal(dest_set_name(&d, "", 0, 5), -ERR_MALFORMED);
}

static void the_longest_name_fits_and_one_more_byte_does_not(void **state)
{
	char name[DEST_NAME_MAX + 1], text[DEST_TEXT_MAX];
	struct dest d, *copy, out;

	memset(name, 'x', sizeof(name));
	assert_int_equal(dest_set_name(&d, name, DEST_NAME_MAX + 1, 1), -ERR_MALFORMED);
	assert_int_equal(dest_set_name(&d, name, DEST_NAME_MAX, 65535), 0);
	assert_int_equal(strlen(dest_format(&d, text)), DEST_NAME_MAX + 6);
	copy = dest_dup(&d);
	dest_copy(&out, copy);
	assert_true(dest_equal(&out, &d));
	assert_int_equal(strlen((char *)out.bytes), DEST_NAME_MAX);
	free(copy);
}

static void a_short_copy_holds_only_what_it_needs(void **state)
{
	struct dest d = of("Example.COM:80"), *copy = dest_dup(&d), out;
	struct dest lower = of("example.com:80");
	char text[DEST_TEXT_MAX];

	memset(&out, 0xff, sizeof(out));
	dest_copy(&out, copy);
	free(copy);
	assert_string_equal(dest_format(&out, text), "Example.COM:80");
	assert_true(dest_equal(&out, &lower));
	lower.port = 81;
	assert_false(dest_equal(&out, &lower));
	assert_string_equal(dest_format(&(struct dest){0}, text), "-");
}

static void text_without_a_host_or_a_port_is_refused(void **state)
{
	static const char *const rows[] = {"",	  ":1",	   "a",	    "a:",    "a:b",   "a:1:2",
					   "::1", "::1:1", "[::1]", "[a]:1", "a b:1", "a:65536"};
	struct dest d;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(dest_parse(&d, rows[i]), -ERR_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_destination_survives_both_wire_orders),
		cmocka_unit_test(the_wire_forms_are_those_of_the_protocols),
		cmocka_unit_test(a_wrong_byte_is_malformed_where_it_stands),
		cmocka_unit_test(a_name_that_is_an_address_becomes_one),
		cmocka_unit_test(the_longest_name_fits_and_one_more_byte_does_not),
		cmocka_unit_test(a_short_copy_holds_only_what_it_needs),
		cmocka_unit_test(text_without_a_host_or_a_port_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
