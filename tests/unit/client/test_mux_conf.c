/* How connections are shared: the words of the command line, and of Xray's JSON. */
#include "unit.h"

#include "client/mux_conf.h"
#include "proto/singmux/singmux.h"
#include "transport/muxcool/muxcool.h"

static void the_command_line_names_a_kind_its_streams_and_padding(void **state)
{
	static const struct {
		const char *text;
		const struct mux_client_kind *kind;
		unsigned streams;
		bool padding, no_tcp;
	} good[] = {
		{"cool", &muxcool_client, 8, false, false},
		{"cool:1", &muxcool_client, 1, false, false},
		{"xudp:1024", &muxcool_client, 1024, false, true},
		{"smux", &singmux_smux_client, 8, false, false},
		{"yamux:16", &singmux_yamux_client, 16, false, false},
		{"h2mux,padding", &singmux_h2mux_client, 8, true, false},
		{"smux:4,padding", &singmux_smux_client, 4, true, false},
	};
	static const char *const wrong[] = {
		"",
		"cool:",
		"cool:0",
		"cool:1025",
		"cool:-1",
		"cool:10000",
		"cool:8x",
		"cools",
		"coo",
		"cool,padding",
		"xudp,padding",
		"smux,",
		"smux:,padding",
		"smux,pad",
		"smux,padding,padding",
		"smux:8,padding ",
		"SMUX",
		"brutal",
	};
	struct outbound_mux m;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(mux_conf_parse(good[i].text, &m), 0);
		assert_ptr_equal(m.kind, good[i].kind);
		assert_int_equal(m.streams, good[i].streams);
		assert_int_equal(m.padding, good[i].padding);
		assert_int_equal(m.no_tcp, good[i].no_tcp);
		assert_int_equal(m.quic, QUIC_ALLOWED);
	}
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		m.streams = 77;
		if (mux_conf_parse(wrong[i], &m) != -ERR_MALFORMED || m.streams != 77)
			fail_msg("\"%s\" is taken", wrong[i]);
	}
}

static void only_tcp_in_one_that_has_no_half_close_ends_whole(void **state)
{
	static const struct {
		const char *text;
		bool whole;
	} of[] = {{"cool", true},
		  {"smux:4,padding", true},
		  {"xudp", false},
		  {"yamux", false},
		  {"h2mux", false}};
	struct outbound_mux m = {0};

	assert_false(outbound_mux_ends_whole(&m));
	for (size_t i = 0; i < ARRAY_LEN(of); i++) {
		assert_int_equal(mux_conf_parse(of[i].text, &m), 0);
		assert_int_equal(outbound_mux_ends_whole(&m), of[i].whole);
	}
}

static int read_json(const char *text, struct outbound_mux *m, const char **why)
{
	struct json_value *doc;
	struct arena arena;
	int err;

	arena_init(&arena, 0);
	assert_int_equal(json_parse(text, strlen(text), JSON_RELAXED, &arena, &doc, NULL, NULL), 0);
	err = mux_conf_of_xray(doc, m, why);
	arena_done(&arena);
	return err;
}

static struct outbound_mux taken(const char *text)
{
	struct outbound_mux m = {0};
	const char *why;

	assert_int_equal(read_json(text, &m, &why), 0);
	return m;
}

static void an_outbound_of_xray_says_it_in_its_own_words(void **state)
{
	struct outbound_mux m = taken("{\"enabled\": true}");

	assert_ptr_equal(m.kind, &muxcool_client);
	assert_int_equal(m.streams, 8);
	assert_int_equal(m.udp_streams, 0);
	assert_int_equal(m.quic, QUIC_REJECTED);
	assert_false(m.no_tcp || m.no_udp);

	m = taken("{\"enabled\": true, \"concurrency\": 25, \"xudpConcurrency\": 16,"
		  "\"xudpProxyUDP443\": \"allow\"}");
	assert_int_equal(m.streams, 25);
	assert_int_equal(m.udp_streams, 16);
	assert_int_equal(m.quic, QUIC_ALLOWED);

	m = taken("{\"enabled\": true, \"concurrency\": -1, \"xudpConcurrency\": 16,"
		  "\"xudpProxyUDP443\": \"skip\"}");
	assert_true(m.no_tcp && !m.no_udp);
	assert_int_equal(m.quic, QUIC_ALONE);

	m = taken("{\"enabled\": true, \"xudpConcurrency\": -1}");
	assert_true(!m.no_tcp && m.no_udp);
}

static void what_is_off_leaves_everything_as_it_is(void **state)
{
	static const char *const off[] = {
		"{}",
		"null",
		"{\"enabled\": false, \"concurrency\": 8}",
		"{\"enabled\": true, \"concurrency\": -1}",
		"{\"enabled\": true, \"concurrency\": -1, \"xudpConcurrency\": -1}",
	};

	for (size_t i = 0; i < ARRAY_LEN(off); i++)
		assert_null(taken(off[i]).kind);
}

static void what_is_wrong_is_named(void **state)
{
	static const struct {
		const char *text, *word;
	} wrong[] = {
		{"{\"enabled\": \"perhaps\"}", "enabled"},
		{"{\"enabled\": true, \"concurrency\": \"many\"}", "concurrency"},
		{"{\"enabled\": true, \"concurrency\": 1025}", "concurrency"},
		{"{\"enabled\": true, \"xudpConcurrency\": {}}", "xudpConcurrency"},
		{"{\"enabled\": true, \"xudpProxyUDP443\": \"maybe\"}", "xudpProxyUDP443"},
		{"{\"enabled\": true, \"xudpProxyUDP443\": 1}", "xudpProxyUDP443"},
	};
	struct outbound_mux m = {0};
	const char *why = "";

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		assert_int_equal(read_json(wrong[i].text, &m, &why), -ERR_CONFIG);
		assert_non_null(strstr(why, wrong[i].word));
		assert_null(m.kind);
	}
}

/* A server ends a connection of a flow at the first stream in it. */
static void a_flow_takes_packets_alone(void **state)
{
	struct outbound_conf c = {.vision = true};
	const char *why;

	assert_int_equal(mux_conf_settle(&c, &why), 0);
	c.mux = taken("{\"enabled\": true, \"concurrency\": 8}");
	assert_int_equal(mux_conf_settle(&c, &why), -ERR_CONFIG);
	assert_int_equal(mux_conf_parse("smux", &c.mux), 0);
	assert_int_equal(mux_conf_settle(&c, &why), -ERR_CONFIG);
	assert_int_equal(mux_conf_parse("xudp", &c.mux), 0);
	assert_int_equal(mux_conf_settle(&c, &why), 0);
	assert_int_equal(c.mux.quic, QUIC_REJECTED);
	c.mux.quic = QUIC_ALLOWED;
	c.udp443 = true;
	assert_int_equal(mux_conf_settle(&c, &why), 0);
	assert_int_equal(c.mux.quic, QUIC_ALLOWED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_command_line_names_a_kind_its_streams_and_padding),
		cmocka_unit_test(only_tcp_in_one_that_has_no_half_close_ends_whole),
		cmocka_unit_test(an_outbound_of_xray_says_it_in_its_own_words),
		cmocka_unit_test(what_is_off_leaves_everything_as_it_is),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(a_flow_takes_packets_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
