#include <sys/socket.h>
#include <unistd.h>

#include "unit.h"

#include "plugin/plugin.h"

static void several_hosts_are_joined(void **state)
{
	const char *two[] = {"0.0.0.0", "::"}, *none[] = {""};
	char out[PLUGIN_HOST_MAX];

	assert_int_equal(plugin_hosts_join(two, 2, out), 0);
	assert_string_equal(out, "0.0.0.0|::");
	assert_int_equal(plugin_hosts_join(none, 1, out), 0);
	assert_string_equal(out, "0.0.0.0");
	assert_int_equal(plugin_hosts_join(NULL, 0, out), 0);
	assert_string_equal(out, "0.0.0.0");
}

static void hosts_that_do_not_fit_are_refused(void **state)
{
	const char *many[100];
	char out[PLUGIN_HOST_MAX] = "as it was";

	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = "2001:db8:1:2:3:4:5:6";
	assert_int_equal(plugin_hosts_join(many, ARRAY_LEN(many), out), -ENOBUFS);
	assert_string_equal(out, "as it was");
}

static void check_loopback(const char *const *hosts, size_t n, const char *want)
{
	struct addr a = plugin_loopback(hosts, n);
	char text[ADDR_TEXT_MAX];

	assert_string_equal(addr_format_ip(&a, text), want);
	assert_int_equal(addr_port(&a), 0);
}

static void loopback_is_ipv6_only_where_all_else_is(void **state)
{
	const char *v6[] = {"::", "2001:db8::7"}, *both[] = {"::", "0.0.0.0"}, *name[] = {"a.test"};

	check_loopback(v6, 2, "::1");
	check_loopback(both, 2, "127.0.0.1");
	check_loopback(name, 1, "127.0.0.1");
	check_loopback(NULL, 0, "127.0.0.1");
}

static void only_listed_plugins_are_allowed(void **state)
{
	const char *allow[] = {"obfs-server", "/opt/ss/v2ray-plugin", "rel/ative", NULL};

	assert_true(plugin_allowed(allow, "obfs-server"));
	assert_true(plugin_allowed(allow, "/opt/ss/v2ray-plugin"));
	assert_false(plugin_allowed(allow, "v2ray-plugin"));
	assert_false(plugin_allowed(allow, "/tmp/obfs-server"));
	assert_false(plugin_allowed(allow, "obfs-serve"));
	assert_false(plugin_allowed(allow, "obfs-server "));
	assert_false(plugin_allowed(allow, "rel/ative"));
	assert_false(plugin_allowed(allow, ""));
	assert_false(plugin_allowed(NULL, "obfs-server"));
}

/* The table of F.6, row by row. */
static void both_modes_decide_who_listens_where(void **state)
{
	static const struct {
		enum plugin_net server, plugin;
		int err;
		enum plugin_place tcp, udp;
	} rows[] = {
		{PLUGIN_TCP_AND_UDP, PLUGIN_TCP_ONLY, 0, PLUGIN_LOOPBACK, PLUGIN_PUBLIC},
		{PLUGIN_TCP_AND_UDP, PLUGIN_TCP_AND_UDP, 0, PLUGIN_LOOPBACK, PLUGIN_LOOPBACK},
		{PLUGIN_TCP_AND_UDP, PLUGIN_UDP_ONLY, 0, PLUGIN_PUBLIC, PLUGIN_LOOPBACK},
		{PLUGIN_TCP_ONLY, PLUGIN_TCP_ONLY, 0, PLUGIN_LOOPBACK, PLUGIN_NOWHERE},
		{PLUGIN_TCP_ONLY, PLUGIN_TCP_AND_UDP, 0, PLUGIN_LOOPBACK, PLUGIN_NOWHERE},
		{PLUGIN_UDP_ONLY, PLUGIN_UDP_ONLY, 0, PLUGIN_NOWHERE, PLUGIN_LOOPBACK},
		{PLUGIN_UDP_ONLY, PLUGIN_TCP_AND_UDP, 0, PLUGIN_NOWHERE, PLUGIN_LOOPBACK},
		{PLUGIN_TCP_ONLY, PLUGIN_UDP_ONLY, -ERR_CONFIG, 0, 0},
		{PLUGIN_UDP_ONLY, PLUGIN_TCP_ONLY, -ERR_CONFIG, 0, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum plugin_place tcp = 0, udp = 0;

		assert_int_equal(plugin_places(rows[i].server, rows[i].plugin, &tcp, &udp),
				 rows[i].err);
		assert_int_equal(tcp, rows[i].tcp);
		assert_int_equal(udp, rows[i].udp);
	}
}

static void modes_have_three_names(void **state)
{
	enum plugin_net net = 0;

	assert_int_equal(plugin_net_parse("tcp_and_udp", &net), 0);
	assert_int_equal(net, PLUGIN_TCP_AND_UDP);
	assert_int_equal(plugin_net_parse("udp_only", &net), 0);
	assert_int_equal(net, PLUGIN_UDP_ONLY);
	assert_int_equal(plugin_net_parse("udp", &net), -ERR_MALFORMED);
}

static void a_free_port_is_free_for_all_that_goes_through(void **state)
{
	uint16_t port = 0;

	for (enum plugin_net net = PLUGIN_TCP_ONLY; net <= PLUGIN_UDP_ONLY; net++) {
		struct addr at = plugin_loopback(NULL, 0);

		assert_int_equal(plugin_free_port(net, &port), 0);
		assert_int_not_equal(port, 0);
		addr_set_port(&at, port);
		for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
			int fd = socket(AF_INET, type, 0);

			if (net == (type == SOCK_STREAM ? PLUGIN_UDP_ONLY : PLUGIN_TCP_ONLY)) {
				close(fd);
				continue;
			}
			assert_int_equal(bind(fd, &at.sa, at.len), 0);
			close(fd);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(several_hosts_are_joined),
		cmocka_unit_test(hosts_that_do_not_fit_are_refused),
		cmocka_unit_test(loopback_is_ipv6_only_where_all_else_is),
		cmocka_unit_test(only_listed_plugins_are_allowed),
		cmocka_unit_test(both_modes_decide_who_listens_where),
		cmocka_unit_test(modes_have_three_names),
		cmocka_unit_test(a_free_port_is_free_for_all_that_goes_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
