/* UDP over TCP: its messages, and associations inside Shadowsocks streams. */
#include "unit.h"

#include "proto/uot/uot.h"
#include "stream/pair.h"

#include "hostile.h"
#include "packets.h"
#include "ss_house.h"
#include "vectors.h"

static struct dest dest_of(const char *text)
{
	struct dest d;

	assert_int_equal(dest_parse(&d, text), 0);
	return d;
}

static void requests_are_the_recorded_ones_and_their_prefixes_want_more(void **state)
{
	static const struct {
		const char *vector, *dest;
		bool connect;
	} cases[] = {{"v2_request_connect", "8.8.8.8:53", true},
		     {"v2_request_unconnected", NULL, false}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct uot_request q = {.connect = cases[i].connect}, got;
		uint8_t wire[64], mem[UOT_REQUEST_MAX];
		size_t len = vector_bytes("uot", cases[i].vector, wire);
		struct wr w = wr_of(mem, sizeof(mem));
		struct rd r;

		if (cases[i].dest)
			q.dest = dest_of(cases[i].dest);
		for (size_t n = 0; n < len; n++) {
			r = rd_of(wire, n);
			assert_int_equal(uot_request_parse(&r, &got), -ERR_MORE);
		}
		r = rd_of(wire, len);
		assert_int_equal(uot_request_parse(&r, &got), 0);
		assert_int_equal(r.pos, len);
		assert_int_equal(got.connect, q.connect);
		assert_int_equal(got.dest.type, q.dest.type);
		assert_true(dest_equal(&got.dest, &q.dest) || !cases[i].dest);
		uot_request_emit(&w, &q);
		assert_int_equal(w.len, len);
		if (cases[i].dest)
			assert_memory_equal(mem, wire, len);
	}
}

static void packet_heads_are_the_recorded_ones(void **state)
{
	static const struct {
		const char *vector, *dest;
	} cases[] = {{"packet_v4", "8.8.8.8:53"}, {"packet_fqdn", "example.com:53"}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct framed_state st = {0};
		struct framed_head h;
		struct dest want = dest_of(cases[i].dest);
		uint8_t wire[64], mem[64];
		size_t len = vector_bytes("uot", cases[i].vector, wire);
		struct wr w = wr_of(mem, sizeof(mem));
		struct rd r;

		for (size_t n = 0; n < len - 4; n++) {
			r = rd_of(wire, n);
			assert_int_equal(uot_framing.parse(&st, &r, &h), -ERR_MORE);
		}
		r = rd_of(wire, len);
		assert_int_equal(uot_framing.parse(&st, &r, &h), 0);
		assert_int_equal(h.len, 4);
		assert_int_equal(r.pos, len - 4);
		assert_true(dest_equal(&h.dest, &want));
		assert_int_equal(uot_framing.emit(&st, &w, &want, 4), 0);
		assert_int_equal(w.len, len - 4);
		assert_memory_equal(mem, wire, w.len);
		wire[0] = 3;
		r = rd_of(wire, len);
		assert_int_equal(uot_framing.parse(&st, &r, &h), -ERR_MALFORMED);
	}
}

static void the_names_are_matched_exactly(void **state)
{
	struct dest d;

	for (int v = UOT_V1; v <= UOT_V2; v++) {
		uot_dest(v, &d);
		assert_int_equal(uot_version_of(&d), v);
	}
	d = dest_of("sp.udp-over-tcp.arpa:7");
	assert_int_equal(uot_version_of(&d), UOT_V1);
	d = dest_of("SP.udp-over-tcp.arpa:7");
	assert_int_equal(uot_version_of(&d), UOT_NONE);
	d = dest_of("x.sp.udp-over-tcp.arpa:7");
	assert_int_equal(uot_version_of(&d), UOT_NONE);
}

/* ---- inside Shadowsocks ------------------------------------------------------------------ */

struct line {
	struct loop *l;
	struct ss_house house;
	struct dgram *client, *server;
};

/* By the request as it is, `version` 1 or 2; 0: version 2 that is connected to 192.0.2.9:53. */
static struct dgram *client_of(struct line *t, struct stream *lower, int version)
{
	const struct uot_request q = {.connect = true, .dest = dest_of("192.0.2.9:53")};
	struct ss_client_conf conf;
	uint8_t mem[UOT_REQUEST_MAX];
	struct wr w = wr_of(mem, sizeof(mem));
	struct bufq first;
	struct dest to;

	ss_house_client(&t->house, SS_ALICE, &conf);
	if (version)
		return ss_client_uot(lower, &conf, version);
	uot_dest(UOT_V2, &to);
	uot_request_emit(&w, &q);
	bufq_init(&first, loop_pool(t->l), SIZE_MAX);
	assert_int_equal(bufq_append(&first, mem, w.len), 0);
	return framed_new(ss_client_new(lower, &conf, &to), &uot_connect_framing, true, &q.dest,
			  &first);
}

static void line_open(struct line *t, const char *method, int version)
{
	struct stream *x, *y;
	union stream_value v;
	struct packet p;

	*t = (struct line){.l = loop_new(LOOP_VIRTUAL, 1)};
	ss_house_open(&t->house, method);
	t->house.conf.uot = true;
	assert_int_equal(pair_new(t->l, 1 << 20, &x, &y), 0);
	t->client = client_of(t, x, version);
	assert_non_null(t->client);
	p = packet_of(t->l, "first", "192.0.2.9:53");
	assert_int_equal(dgram_send(t->client, &p, 1), 1);
	y = shadowsocks_proto.server(y, &t->house.in);
	assert_int_equal(stream_open(y), 0);
	assert_int_equal(stream_query(y, STREAM_REQUEST, &v), 0);
	assert_int_equal(v.request->network, NETWORK_UDP);
	assert_int_equal(v.request->dest.type, version ? DEST_NONE : DEST_IP4);
	t->server = v.request->udp(y);
	packet_expect(t->server, "first", "192.0.2.9:53");
}

static void line_close(struct line *t)
{
	dgram_free(t->client);
	dgram_free(t->server);
	loop_turn(t->l, 0);
	assert_int_equal(loop_pool(t->l)->nused, 0);
	loop_free(t->l);
	ss_house_close(&t->house);
}

static void every_packet_keeps_its_address_both_ways(void **state)
{
	static const char *const addresses[] = {"192.0.2.9:53", "[2001:db8::1]:1",
						"a.example:65535"};

	for (size_t m = 0; m < ARRAY_LEN(ss_sealed_methods); m++) {
		for (int version = 1; version <= 2; version++) {
			struct line t;

			line_open(&t, ss_sealed_methods[m], version);
			for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
				struct packet p = packet_of(t.l, i ? "up" : "", addresses[i]);

				assert_int_equal(dgram_send(t.client, &p, 1), 1);
				packet_expect(t.server, i ? "up" : "", addresses[i]);
				p = packet_of(t.l, "down", addresses[i]);
				assert_int_equal(dgram_send(t.server, &p, 1), 1);
				packet_expect(t.client, "down", addresses[i]);
			}
			line_close(&t);
		}
	}
}

static void a_connected_association_hears_only_its_peer(void **state)
{
	struct packet p, got;
	struct line t;

	line_open(&t, "aes-256-gcm", 0);
	p = packet_of(t.l, "stranger", "192.0.2.10:53");
	assert_int_equal(dgram_send(t.server, &p, 1), 1);
	assert_int_equal(dgram_recv(t.client, &got, 1), -EAGAIN);
	p = packet_of(t.l, "peer", "192.0.2.9:53");
	assert_int_equal(dgram_send(t.server, &p, 1), 1);
	packet_expect(t.client, "peer", "192.0.2.9:53");
	line_close(&t);
}

static void where_it_is_not_served_its_names_lead_nowhere(void **state)
{
	for (int version = 1; version <= 2; version++) {
		struct line t = {.l = loop_new(LOOP_VIRTUAL, 1)};
		struct stream *x, *y;
		union stream_value v;
		struct packet p;

		ss_house_open(&t.house, "2022-blake3-aes-128-gcm");
		assert_int_equal(pair_new(t.l, 1 << 20, &x, &y), 0);
		t.client = client_of(&t, x, version);
		p = packet_of(t.l, "first", "192.0.2.9:53");
		assert_int_equal(dgram_send(t.client, &p, 1), 1);
		y = shadowsocks_proto.server(y, &t.house.in);
		assert_int_equal(stream_open(y), -ERR_UNSUPPORTED);
		assert_int_equal(stream_query(y, STREAM_REQUEST, &v), -ENOTSUP);
		stream_free(y);
		line_close(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_the_recorded_ones_and_their_prefixes_want_more),
		cmocka_unit_test(packet_heads_are_the_recorded_ones),
		cmocka_unit_test(the_names_are_matched_exactly),
		cmocka_unit_test(every_packet_keeps_its_address_both_ways),
		cmocka_unit_test(a_connected_association_hears_only_its_peer),
		cmocka_unit_test(where_it_is_not_served_its_names_lead_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
