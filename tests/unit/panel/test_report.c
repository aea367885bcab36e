#include "unit.h"

#include <stdio.h>

#include "net/addr.h"
#include "panel/report.h"

static int push_err(const char *text)
{
	struct push_report r;
	struct fault why;
	int err = push_report_parse(text, strlen(text), &r, &why);

	if (!err)
		push_report_done(&r);
	return err;
}

static void a_push_is_ids_and_pairs_sorted_by_id(void **state)
{
	static const char text[] = " {\"41\": [52311, 9120044], \"2\":[0,9223372036854775807]}\n";
	struct push_report r;
	struct fault why;

	assert_int_equal(push_report_parse(text, strlen(text), &r, &why), 0);
	assert_int_equal(r.n, 2);
	assert_true(r.entries[0].user == 2 && r.entries[0].up == 0 &&
		    r.entries[0].down == INT64_MAX);
	assert_true(r.entries[1].user == 41 && r.entries[1].up == 52311 &&
		    r.entries[1].down == 9120044);
	push_report_done(&r);

	assert_int_equal(push_report_parse("{}", 2, &r, &why), 0);
	assert_int_equal(r.n, 0);
	push_report_done(&r);
}

static void one_wrong_entry_refuses_the_whole_push(void **state)
{
	static const char *const wrong[] = {
		"",
		"null",
		"[]",
		"[[1,2]]",
		"{\"1\":[1,2]",
		"{\"1\":[1,2]} x",
		"{\"1\":[1,2]}{}",
		"{\"1\":[1,2],}",
		"{\"1\":[1,2],\"2\":[1]}",
		"{\"1\":[1,2],\"2\":[1,2,3]}",
		"{\"1\":[1,2],\"2\":[1,-2]}",
		"{\"1\":[1,2],\"2\":[1,2.0]}",
		"{\"1\":[1,2],\"2\":[1,1e3]}",
		"{\"1\":[1,2],\"2\":[1,\"2\"]}",
		"{\"1\":[1,2],\"2\":[1,null]}",
		"{\"1\":[1,2],\"2\":{\"u\":1,\"d\":2}}",
		"{\"1\":[1,2],\"2\":5}",
		"{\"1\":[1,2],\"2\":[1,9223372036854775808]}",
		"{\"1\":[1,2],\"x\":[1,2]}",
		"{\"1\":[1,2],\"-2\":[1,2]}",
		"{\"1\":[1,2],\"\":[1,2]}",
		"{\"1\":[1,2],\"2 \":[1,2]}",
		"{\"1\":[1,2],\"\\u0032\":[1,2]}",
		"{\"1\":[1,2],\"01\":[1,2]}",
		"{\"1\":[1,2],\"9223372036854775808\":[1,2]}",
		"{1:[1,2]}",
	};

	assert_int_equal(push_err("{\"1\":[1,2]}"), 0);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(push_err(wrong[i]), -EINVAL);
}

static void every_prefix_of_a_push_is_refused(void **state)
{
	static const char text[] = "{\"41\":[1,2],\"42\":[3,4]}";
	struct push_report r;
	struct fault why;

	for (size_t n = 0; n < strlen(text); n++)
		assert_int_equal(push_report_parse(text, n, &r, &why), -EINVAL);
}

static void alive_addresses_are_normalised_and_once_each(void **state)
{
	static const char text[] =
		"{\"41\":[\"198.51.100.7\",\"::ffff:198.51.100.7\",\"2001:DB8::5\"],"
		"\"7\":[],\"8\":[\"2001:db8:0:0::5\"]}";
	struct alive_report r;
	struct addr a;
	struct fault why;
	uint8_t ip[16];

	assert_int_equal(alive_report_parse(text, strlen(text), &r, &why), 0);
	assert_int_equal(r.n, 3);
	assert_int_equal(r.n_ips, 3);
	assert_int_equal(r.users[0].n, 2);
	assert_int_equal(r.users[1].n, 0);
	assert_true(r.users[1].user == 7);
	assert_int_equal(r.users[2].first, 2);
	assert_int_equal(addr_parse_ip(&a, "198.51.100.7", 0), 0);
	addr_ip16(&a, ip);
	assert_memory_equal(r.ips[0], ip, 16);
	assert_memory_equal(r.ips[1], r.ips[2], 16);
	alive_report_done(&r);
}

static void what_is_no_address_refuses_the_whole_report(void **state)
{
	static const char *const wrong[] = {
		"",
		"[]",
		"{\"1\":\"192.0.2.1\"}",
		"{\"1\":{}}",
		"{\"1\":[\"192.0.2.1\"],\"2\":[1]}",
		"{\"1\":[\"192.0.2.1\"],\"2\":[\"\"]}",
		"{\"1\":[\"192.0.2.1\"],\"2\":[\"192.0.2\"]}",
		"{\"1\":[\"192.0.2.1\"],\"2\":[\"192.0.2.1:80\"]}",
		"{\"1\":[\"192.0.2.1\"],\"2\":[\"[::1]\"]}",
		"{\"1\":[\"192.0.2.1\"],\"2\":[\"fe80::1%eth0\"]}",
		"{\"1\":[\"192.0.2.1\"],\"2\":[\"192.0.2.1\\u0000\"]}",
		"{\"1\":[\"192.0.2.1\"],\"2\":[null]}",
		"{\"1\":[\"192.0.2.1\"],\"2\":[[\"192.0.2.1\"]]}",
		"{\"1\":[\"192.0.2.1\"],\"y\":[]}",
	};
	struct alive_report r;
	struct fault why;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(alive_report_parse(wrong[i], strlen(wrong[i]), &r, &why), -EINVAL);
}

static void a_user_has_at_most_two_hundred_addresses(void **state)
{
	static char text[16384];
	struct alive_report r;
	struct fault why;
	size_t n = 0;

	n += (size_t)snprintf(text, sizeof(text), "{\"1\":[");
	for (int i = 0; i < 300; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s\"10.0.%d.%d\"", i ? "," : "",
				      i / 256, i % 256);
	n += (size_t)snprintf(text + n, sizeof(text) - n, "]}");
	assert_int_equal(alive_report_parse(text, n, &r, &why), 0);
	assert_int_equal(r.users[0].n, ALIVE_IPS_MAX);
	alive_report_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_push_is_ids_and_pairs_sorted_by_id),
		cmocka_unit_test(one_wrong_entry_refuses_the_whole_push),
		cmocka_unit_test(every_prefix_of_a_push_is_refused),
		cmocka_unit_test(alive_addresses_are_normalised_and_once_each),
		cmocka_unit_test(what_is_no_address_refuses_the_whole_report),
		cmocka_unit_test(a_user_has_at_most_two_hundred_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
