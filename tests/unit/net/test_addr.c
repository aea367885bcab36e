#include "unit.h"

#include "net/addr.h"

static struct addr ip(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse_ip(&a, text, 0), 0);
	return a;
}

static void text_comes_back_in_its_shortest_form(void **state)
{
	static const char *const rows[][2] = {
		{"192.0.2.1:443", "192.0.2.1:443"},
		{"0.0.0.0:0", "0.0.0.0:0"},
		{"[::]:65535", "[::]:65535"},
		{"[2001:DB8:0:0:1:0:0:1]:80", "[2001:db8::1:0:0:1]:80"},
		{"[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.1]:1"},
		{"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
		 "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
	};
	char text[ADDR_TEXT_MAX];
	struct addr a;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(addr_parse(&a, rows[i][0]), 0);
		assert_string_equal(addr_format(&a, text), rows[i][1]);
	}
	a = (struct addr){0};
	assert_string_equal(addr_format(&a, text), "-");
	a = ip("[2001:db8::1]");
	assert_string_equal(addr_format_ip(&a, text), "2001:db8::1");
}

static void text_that_is_no_address_is_refused(void **state)
{
	static const char *const rows[] = {
		"",
		":",
		"1.2.3.4",
		"1.2.3.4:",
		"1.2.3.4:65536",
		"1.2.3:1",
		"1.2.3.4:+1",
		"1.2.3.4: 1",
		"1.2.3.256:1",
		"::1:443",
		"[::1]",
		"[::1:443",
		"::1]:443",
		"[1.2.3.4.5]:1",
		"[]:1",
		"[::1%lo]:1",
		"name:1",
		"01.2.3.4:1",
		"1.2.3.4:000001",
		"[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd:eeee]:1",
	};
	struct addr a;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(addr_parse(&a, rows[i]), -ERR_MALFORMED);
}

static void a_mapped_address_equals_its_ipv4(void **state)
{
	struct addr a, b, c;

	assert_int_equal(addr_parse(&a, "[::ffff:192.0.2.1]:7"), 0);
	assert_int_equal(addr_parse(&b, "192.0.2.1:7"), 0);
	assert_true(addr_equal(&a, &b));
	c = addr_unmap(&a);
	assert_int_equal(c.sa.sa_family, AF_INET);
	assert_int_equal(addr_port(&c), 7);
	addr_set_port(&c, 8);
	assert_false(addr_equal(&b, &c));
	addr_set_port(&a, 8);
	assert_true(addr_equal(&a, &c));
}

static void private_means_not_the_public_internet(void **state)
{
	static const char *const no[] = {
		"0.0.0.0",
		"0.1.2.3",
		"10.0.0.1",
		"100.64.0.1",
		"100.127.255.255",
		"127.0.0.1",
		"127.255.255.255",
		"169.254.169.254",
		"172.16.0.1",
		"172.31.255.255",
		"192.0.0.1",
		"192.0.2.1",
		"192.88.99.1",
		"192.168.1.1",
		"198.18.0.1",
		"198.19.255.255",
		"198.51.100.1",
		"203.0.113.1",
		"224.0.0.1",
		"239.255.255.255",
		"240.0.0.1",
		"255.255.255.255",
		/* IPv6 */
		"::",
		"::1",
		"::7f00:1",
		"100::1",
		"fc00::1",
		"fdff::1",
		"fe80::1",
		"fec0::1",
		"ff02::1",
		"2001::1",
		"2001:2::1",
		"2001:10::1",
		"2001:db8::1",
		"3fff::1",
		"4000::1",
		"64:ff9b:1::1",
		/* an IPv4 address inside */
		"::ffff:127.0.0.1",
		"::ffff:10.0.0.1",
		"::ffff:100.64.0.1",
		"64:ff9b::10.0.0.1",
		"64:ff9b::127.0.0.1",
		"64:ff9b::a9fe:a9fe",
		"2002:7f00:1::1",
		"2002:0a00:1::",
		"2002:c0a8:101::1",
		"2002:6440:1::1",
	};
	static const char *const yes[] = {
		"1.1.1.1",
		"9.255.255.255",
		"11.0.0.0",
		"100.63.255.255",
		"100.128.0.0",
		"126.255.255.255",
		"128.0.0.0",
		"169.253.255.255",
		"169.255.0.0",
		"172.15.255.255",
		"172.32.0.0",
		"192.0.1.0",
		"192.167.255.255",
		"192.169.0.0",
		"198.17.255.255",
		"198.20.0.0",
		"223.255.255.255",
		"2001:4860:4860::8888",
		"2606:4700:4700::1111",
		"2a00::1",
		"3ffe::1",
		"::ffff:1.1.1.1",
		"64:ff9b::1.1.1.1",
		"2002:101:101::1",
	};

	for (size_t i = 0; i < ARRAY_LEN(no); i++) {
		struct addr a = ip(no[i]);

		if (!addr_is_private(&a))
			fail_msg("%s passes for public", no[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		struct addr a = ip(yes[i]);

		if (addr_is_private(&a))
			fail_msg("%s passes for private", yes[i]);
	}
	assert_true(addr_is_private(&(struct addr){0}));
}

static void a_prefix_matches_what_lies_in_it(void **state)
{
	static const struct {
		const char *cidr, *ip;
		bool in;
	} rows[] = {
		{"10.0.0.0/8", "10.255.0.1", true},
		{"10.0.0.0/8", "11.0.0.0", false},
		{"10.0.0.0/8", "::ffff:10.1.1.1", true},
		{"192.0.2.128/25", "192.0.2.129", true},
		{"192.0.2.128/25", "192.0.2.127", false},
		{"0.0.0.0/0", "8.8.8.8", true},
		{"0.0.0.0/0", "2001:db8::1", false},
		{"::/0", "2001:db8::1", true},
		{"::/0", "1.2.3.4", true},
		{"2001:db8::/33", "2001:db8:7fff::", true},
		{"2001:db8::/33", "2001:db8:8000::", false},
		{"::1", "::1", true},
		{"::1", "::2", false},
		{"1.2.3.4", "1.2.3.4", true},
		{"1.2.3.4/32", "1.2.3.5", false},
	};
	static const char *const bad[] = {"",	      "/",   "10.0.0.0/33", "::/129",
					  "1.2.3.4/", "x/8", "1.2.3.4/8/8", "1.2.3.4/-1"};
	struct cidr c;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct addr a = ip(rows[i].ip);

		assert_int_equal(cidr_parse(&c, rows[i].cidr), 0);
		assert_int_equal(cidr_match(&c, &a), rows[i].in);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(cidr_parse(&c, bad[i]), -ERR_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_comes_back_in_its_shortest_form),
		cmocka_unit_test(text_that_is_no_address_is_refused),
		cmocka_unit_test(a_mapped_address_equals_its_ipv4),
		cmocka_unit_test(private_means_not_the_public_internet),
		cmocka_unit_test(a_prefix_matches_what_lies_in_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
