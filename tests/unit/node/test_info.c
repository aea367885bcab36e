/* test_info.c - names, references, and a comparison that sees every field. */
#include "unit.h"

#include "node/info.h"

static void type_names_and_aliases_are_folded(void **state)
{
	assert_int_equal(node_type_parse(" V2Ray\t"), NODE_VMESS);
	assert_int_equal(node_type_parse("shadowsocks2022"), NODE_SHADOWSOCKS);
	assert_int_equal(node_type_parse("SS"), NODE_SHADOWSOCKS);
	assert_int_equal(node_type_parse("hy"), NODE_HYSTERIA);
	assert_int_equal(node_type_parse("hy2"), NODE_HYSTERIA2);
	assert_int_equal(node_type_parse("socks5"), NODE_SOCKS);
	assert_int_equal(node_type_parse("https"), NODE_HTTP);
	assert_int_equal(node_type_parse("unknown"), NODE_TYPE_NONE);
	assert_int_equal(node_type_parse(""), NODE_TYPE_NONE);
	assert_int_equal(node_type_parse("a name that is longer than any name there is"),
			 NODE_TYPE_NONE);
	for (int t = 1; t < NODE_TYPES; t++)
		assert_int_equal(node_type_parse(node_type_name((enum node_type)t)), t);
}

static void network_names_and_aliases_are_folded(void **state)
{
	static const struct {
		const char *name;
		enum node_network n;
	} rows[] = {
		{"", NET_TCP},	   {"raw", NET_TCP},	     {"websocket", NET_WS},
		{"gun", NET_GRPC}, {"splithttp", NET_XHTTP}, {"http", NET_H2},
		{"mkcp", NET_KCP}, {"QUIC", NET_QUIC},
	};
	enum node_network n;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(node_network_parse(rows[i].name, &n), 0);
		assert_int_equal(n, rows[i].n);
	}
	assert_int_equal(node_network_parse("carrier pigeon", &n), -ERR_UNSUPPORTED);
}

static struct node_info *sample(void)
{
	struct node_info *i = node_info_new();
	struct node_route *r = arena_alloc(&i->mem, sizeof(*r));

	i->type = NODE_VLESS;
	i->port = 443;
	i->host = arena_strdup(&i->mem, "a.example");
	assert_int_equal(text_list_add(&i->mem, &i->tls.server_names, "a.example", 9), 0);
	assert_int_equal(text_list_add(&i->mem, &i->tls.server_names, "b.example", 9), 0);
	r->action = "block";
	assert_int_equal(text_list_add(&i->mem, &r->match, "regexp:x", 8), 0);
	i->routes = (struct route_list){r, 1};
	return i;
}

static void equal_documents_compare_equal_whatever_their_memory(void **state)
{
	struct node_info *a = sample(), *b = sample();
	const char *field = "?";

	assert_true(node_info_equal(a, b));
	assert_int_equal(node_info_diff(a, b, &field), NODE_SAME);
	assert_null(field);
	node_info_put(a);
	node_info_put(b);
}

static void routes_and_intervals_are_live_and_the_rest_rebuilds(void **state)
{
	struct node_info *a = sample(), *b = sample();
	const char *field;

	b->routes.v[0].match.v[0] = "regexp:y";
	assert_int_equal(node_info_diff(a, b, &field), NODE_LIVE);
	assert_string_equal(field, "routes");
	b->pull_interval_s = 7;
	assert_int_equal(node_info_diff(a, b, NULL), NODE_LIVE);
	b->port = 444;
	assert_int_equal(node_info_diff(a, b, &field), NODE_REBUILD);
	assert_string_equal(field, "port");
	b->port = 443;
	b->tls.server_names.v[1] = "c.example";
	assert_int_equal(node_info_diff(a, b, &field), NODE_REBUILD);
	assert_string_equal(field, "tls.server_names");
	b->tls.server_names.v[1] = "b.example";
	b->host = NULL;
	assert_int_equal(node_info_diff(a, b, &field), NODE_REBUILD);
	node_info_put(a);
	node_info_put(b);
}

static void numbers_and_flags_do_not_escape_the_comparison(void **state)
{
	struct node_info *a = node_info_new(), *b = node_info_new();

#define FLIP(field)                                             \
	do {                                                    \
		memset(&b->field, 1, sizeof(b->field));         \
		assert_false(node_info_equal(a, b));            \
		memcpy(&b->field, &a->field, sizeof(b->field)); \
		assert_true(node_info_equal(a, b));             \
	} while (0)
	FLIP(hop_from);
	FLIP(hop_to);
	FLIP(network);
	FLIP(security);
	FLIP(transport.accept_proxy_protocol);
	FLIP(transport.early_data);
	FLIP(transport.heartbeat_s);
	FLIP(transport.multi_mode);
	FLIP(transport.mtu);
	FLIP(transport.congestion);
	FLIP(tls.reject_unknown_sni);
	FLIP(tls.ech_enabled);
	FLIP(reality.private_key);
	FLIP(reality.xver);
	FLIP(reality.max_time_diff_ms);
	FLIP(reality.limit_up);
	FLIP(reality.limit_down);
	FLIP(vless.vision);
	FLIP(hysteria.up_mbps);
	FLIP(hysteria.ignore_client_bandwidth);
	FLIP(tuic.zero_rtt);
	FLIP(tuic.heartbeat_ms);
	FLIP(multiplex.brutal_down_mbps);
	FLIP(cert.http_port);
	FLIP(report_min_kb);
	FLIP(online_min_kb);
	FLIP(remote.set);
	FLIP(remote.speed_limit_mbps);
	FLIP(remote.enable_fallback);
#undef FLIP
	node_info_put(a);
	node_info_put(b);
}

static void memory_lives_until_the_last_reference(void **state)
{
	struct node_info *a = sample();

	node_info_get(a);
	node_info_put(a);
	assert_string_equal(a->host, "a.example");
	node_info_put(a);
	node_info_put(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(type_names_and_aliases_are_folded),
		cmocka_unit_test(network_names_and_aliases_are_folded),
		cmocka_unit_test(equal_documents_compare_equal_whatever_their_memory),
		cmocka_unit_test(routes_and_intervals_are_live_and_the_rest_rebuilds),
		cmocka_unit_test(numbers_and_flags_do_not_escape_the_comparison),
		cmocka_unit_test(memory_lives_until_the_last_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
