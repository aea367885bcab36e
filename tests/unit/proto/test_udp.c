/* UDP inside VLESS and Trojan: both roles, through the real request, over streams that misbehave.
 */
#include "unit.h"

#include "proto/trojan/trojan.h"
#include "proto/vless/vless.h"
#include "proto/vless/vless_udp.h"
#include "stream/pair.h"
#include "transport/muxcool/xudp.h"
#include "transport/muxcool/xudp_wire.h"

#include "far_end.h"
#include "hostile.h"
#include "packets.h"
#include "people.h"
#include "stage.h"

enum kind {
	PLAIN, /* VLESS, command 2 */
	XUDP,  /* VLESS, command 3 */
	TROJAN,
	KINDS,
};

static const struct {
	const char *proto;
	size_t min, max; /* payload that the framing carries */
} kinds[KINDS] = {
	[PLAIN] = {"vless", 1, VLESS_UDP_MAX},
	[XUDP] = {"vless", 0, XUDP_DATA_MAX},
	[TROJAN] = {"trojan", 1, TROJAN_UDP_MAX},
};

static struct dest dest_of(const char *text)
{
	struct dest d;

	assert_int_equal(dest_parse(&d, text), 0);
	return d;
}

static struct dgram *client_udp(enum kind kind, struct stream *lower, const char *to)
{
	struct dest dest = dest_of(to);
	uint8_t key[USER_KEY_MAX];

	if (kind == TROJAN) {
		assert_int_equal(trojan_key_of_password("alice", 5, key), 0);
		return trojan_client_udp(lower, key, &dest);
	}
	assert_int_equal(vless_id_of_text("alice", 5, key), 0);
	return vless_client_udp(lower, key, &dest, kind == PLAIN);
}

/* What has come is here when somebody looks. */
static void expect(struct dgram *d, const char *text, const char *from)
{
	settle_now(d->loop);
	packet_expect(d, text, from);
}

/* An association without anything hostile. */
struct line {
	struct loop *l;
	struct people people;
	struct dgram *client, *server;
	struct far_end far;
};

static void line_open(struct line *t, enum kind kind, const char *to)
{
	struct stream *x, *y;
	struct packet p;

	*t = (struct line){.l = loop_new(LOOP_VIRTUAL, 1)};
	people_init(&t->people, kinds[kind].proto, t->l, "alice");
	assert_int_equal(pair_new(t->l, 1 << 20, &x, &y), 0);
	t->client = client_udp(kind, x, to);
	p = packet_of(t->l, "first", to);
	assert_int_equal(dgram_send(t->client, &p, 1), 1);
	y = t->people.proto->server(y, &t->people.in);
	assert_int_equal(stream_open(y), 0);
	far_end_start(&t->far, y);
	settle_now(t->l);
	t->server = t->far.d;
	packet_expect(t->server, "first", to);
}

static void line_close(struct line *t)
{
	dgram_free(t->client);
	dgram_free(t->server);
	mux_free(t->far.mux);
	loop_turn(t->l, 0);
	assert_int_equal(loop_pool(t->l)->nused, 0);
	loop_free(t->l);
	people_done(&t->people);
}

static int send_text(struct dgram *d, const char *text, const char *dest)
{
	struct packet p = packet_of(d->loop, text, dest);

	return dgram_send(d, &p, 1);
}

static int send_size(struct dgram *d, size_t len, const char *dest)
{
	struct packet p = packet_of(d->loop, "", dest);

	p.buf->end += (uint32_t)len;
	return dgram_send(d, &p, 1);
}

static int receive_size(struct dgram *d)
{
	struct packet p;
	int n;

	settle_now(d->loop);
	n = dgram_recv(d, &p, 1);

	if (n < 1)
		return n < 0 ? n : -1;
	n = (int)buf_len(p.buf);
	buf_free(p.buf);
	return n;
}

/* ---- who names what -------------------------------------------------------------------------- */

static void an_answer_carries_its_source_where_the_framing_can(void **state)
{
	for (enum kind kind = PLAIN; kind < KINDS; kind++) {
		struct line t;

		line_open(&t, kind, "dns.example:53");
		assert_int_equal(send_text(t.server, "answer", "dns.example:53"), 1);
		expect(t.client, "answer", "dns.example:53");
		assert_int_equal(send_text(t.server, "stranger", "[2001:db8::1]:53"), 1);
		if (kind == PLAIN)
			assert_int_equal(receive_size(t.client), -EAGAIN);
		else
			expect(t.client, "stranger", "[2001:db8::1]:53");
		assert_int_equal(t.server->dropped, kind == PLAIN ? 1 : 0);
		line_close(&t);
	}
}

static void each_packet_goes_where_it_says_where_the_framing_can(void **state)
{
	for (enum kind kind = PLAIN; kind < KINDS; kind++) {
		struct line t;

		line_open(&t, kind, "192.0.2.1:53");
		assert_int_equal(send_text(t.client, "two", "198.51.100.9:99"), 1);
		assert_int_equal(send_text(t.client, "three", "192.0.2.1:53"), 1);
		if (kind != PLAIN)
			expect(t.server, "two", "198.51.100.9:99");
		expect(t.server, "three", "192.0.2.1:53");
		line_close(&t);
	}
}

static void xudp_without_an_address_means_that_of_the_first_frame(void **state)
{
	struct line t;

	line_open(&t, XUDP, "192.0.2.1:53");
	assert_int_equal(send_text(t.client, "again", NULL), 1);
	expect(t.server, "again", "192.0.2.1:53");
	line_close(&t);
}

static void the_vless_answer_rides_with_the_first_packet(void **state)
{
	for (enum kind kind = PLAIN; kind <= XUDP; kind++) {
		struct loop *l = loop_new(LOOP_VIRTUAL, 1);
		struct stream *x, *y, *s;
		struct people people;
		struct far_end far;
		struct dgram *d, *client;
		uint8_t got[4];
		struct bufq q;

		people_init(&people, "vless", l, "alice");
		assert_int_equal(pair_new(l, 65536, &x, &y), 0);
		/* the client's bytes, by hand: its end of the pair stays ours to look at */
		client = client_udp(kind, x, "192.0.2.1:53");
		assert_int_equal(send_text(client, "q", "192.0.2.1:53"), 1);
		s = people.proto->server(y, &people.in);
		assert_int_equal(stream_open(s), 0);
		far_end_start(&far, s);
		settle_now(l);
		d = far.d;
		bufq_init(&q, loop_pool(l), SIZE_MAX);
		assert_int_equal(stream_pull(x, &q, 100), -EAGAIN);
		assert_int_equal(send_text(d, "a", "192.0.2.1:53"), 1);
		settle_now(l);
		assert_true(stream_pull(x, &q, 100) > 4);
		assert_int_equal(bufq_take(&q, got, 2), 2);
		assert_int_equal(got[0] | got[1], 0);
		bufq_done(&q);
		dgram_free(d);
		mux_free(far.mux);
		dgram_free(client);
		loop_free(l);
		people_done(&people);
	}
}

/* ---- sizes ----------------------------------------------------------------------------------- */

static void the_largest_packet_passes_and_a_larger_one_is_dropped_never_split(void **state)
{
	for (enum kind kind = PLAIN; kind < KINDS; kind++) {
		size_t max = kinds[kind].max;
		struct line t;

		line_open(&t, kind, "192.0.2.1:53");
		for (int up = 0; up < 2; up++) {
			struct dgram *from = up ? t.client : t.server,
				     *to = up ? t.server : t.client;

			assert_int_equal(send_size(from, max + 1, "192.0.2.1:53"), 1);
			assert_int_equal(send_size(from, BUF_PAYLOAD, "192.0.2.1:53"), 1);
			assert_int_equal(send_size(from, max, "192.0.2.1:53"), 1);
			assert_int_equal(from->dropped, 2);
			assert_int_equal(receive_size(to), max);
			assert_int_equal(receive_size(to), -EAGAIN);
		}
		line_close(&t);
	}
}

static void an_empty_packet_passes_only_where_peers_take_it(void **state)
{
	for (enum kind kind = PLAIN; kind < KINDS; kind++) {
		struct line t;

		line_open(&t, kind, "192.0.2.1:53");
		assert_int_equal(send_text(t.server, "", "192.0.2.1:53"), 1);
		assert_int_equal(send_text(t.server, "next", "192.0.2.1:53"), 1);
		if (kind == XUDP)
			expect(t.client, "", "192.0.2.1:53");
		expect(t.client, "next", "192.0.2.1:53");
		line_close(&t);
	}
}

/* A peer that sends more than we would: what fits a chunk arrives, what does not is passed over. */
static void larger_packets_of_a_peer_arrive_up_to_a_chunk(void **state)
{
	static uint8_t frame[2 + 65535];
	struct stream *near, *far;
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	static const uint16_t sizes[] = {BUF_PAYLOAD, BUF_PAYLOAD + 1, 65535, 3};
	struct dest fixed = dest_of("192.0.2.1:53");
	struct dgram *d;

	assert_int_equal(pair_new(l, 1 << 20, &near, &far), 0);
	d = framed_new(near, &vless_udp_framing, false, &fixed, NULL);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct bufq q;

		bufq_init(&q, loop_pool(l), SIZE_MAX);
		frame[0] = (uint8_t)(sizes[i] >> 8);
		frame[1] = (uint8_t)sizes[i];
		assert_int_equal(bufq_append(&q, frame, 2u + sizes[i]), 0);
		assert_int_equal(stream_push(far, &q), 2 + sizes[i]);
	}
	assert_int_equal(receive_size(d), BUF_PAYLOAD);
	assert_int_equal(receive_size(d), 3);
	assert_int_equal(d->dropped, 2);
	dgram_free(d);
	stream_free(far);
	loop_free(l);
}

/* ---- both roles, over streams that misbehave ------------------------------------------------- */

struct duo {
	struct people people;
	struct correspondent a, b;
	struct stream *s; /* the server layer until it is open */
	struct far_end far;
	struct waiter w;
	int err;
};

static void duo_wake(struct waiter *w)
{
	struct duo *t = container_of(w, struct duo, w);

	t->err = stream_open(t->s);
	if (t->err == -EAGAIN)
		stream_want(t->s, STREAM_RD | STREAM_WR, w);
	if (t->err)
		return;
	far_end_start(&t->far, t->s);
	t->s = NULL;
}

/* Of a multiplexer the packets come when there is one. */
static void look_for_packets(struct duo *t)
{
	if (t->far.d)
		correspondent_start(&t->b, t->far.d, 2, 1);
	t->far.d = NULL;
}

static struct stream *dribbled(struct stream *s)
{
	uint64_t seed;

	loop_random(s->loop, &seed, sizeof(seed));
	return dribble_new(s, &DRIBBLE(seed));
}

static void duo_start(struct loop *l, struct duo *t, enum kind kind)
{
	size_t min = kinds[kind].min;
	struct stream *x, *y;

	people_init(&t->people, kinds[kind].proto, l, "alice");
	assert_int_equal(pair_new(l, 60, &x, &y), 0);
	t->a = (struct correspondent){.total = 9, .expected = 7, .min = min, .max = 40};
	t->b = (struct correspondent){.total = 7, .expected = 9, .min = min, .max = 40};
	t->a.to = t->b.to = t->b.from = dest_of("t.example:77");
	t->a.from = kind == PLAIN ? t->a.from : t->b.to;
	t->s = t->people.proto->server(dribbled(y), &t->people.in);
	waiter_init(&t->w, duo_wake);
	loop_queue(l, &t->w);
	correspondent_start(&t->a, client_udp(kind, dribbled(x), "t.example:77"), 1, 2);
}

static void start_plain(struct loop *l, void *state)
{
	duo_start(l, state, PLAIN);
}

static void start_xudp(struct loop *l, void *state)
{
	duo_start(l, state, XUDP);
}

static void start_trojan(struct loop *l, void *state)
{
	duo_start(l, state, TROJAN);
}

static bool duo_done(void *state)
{
	struct duo *t = state;

	look_for_packets(t);
	return !t->s && correspondent_done(&t->a) && t->b.d && correspondent_done(&t->b);
}

static void duo_stop(void *state)
{
	struct duo *t = state;

	waiter_cancel(&t->w);
	stream_free(t->s);
	correspondent_stop(&t->a);
	if (t->b.d)
		correspondent_stop(&t->b);
	dgram_free(t->far.d);
	mux_free(t->far.mux);
	people_done(&t->people);
}

static void duo_check(void *state)
{
	struct duo *t = state;

	assert_int_equal(t->a.err, 0);
	assert_int_equal(t->b.err, 0);
	assert_int_equal(t->a.d->dropped + t->b.d->dropped, 0);
}

static void associations_survive_a_dribble_and_a_kill_at_each_turn(void **state)
{
	static void (*const starts[])(struct loop * l, void *state) = {start_plain, start_xudp,
								       start_trojan};

	for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
		struct scenario sc = {starts[i], duo_done, duo_stop, duo_check, sizeof(struct duo)};

		assert_true(kill_at_each_turn(&sc, 1 + i) > 20);
	}
}

static void many_packets_of_all_sizes_arrive_in_order_under_back_pressure(void **state)
{
	for (enum kind kind = PLAIN; kind < KINDS; kind++) {
		struct line t;
		struct {
			struct correspondent a, b;
		} c = {
			.a = {.total = 2000, .expected = 200, .batch = DGRAM_BATCH},
			.b = {.total = 200, .expected = 2000, .batch = DGRAM_BATCH},
		};

		line_open(&t, kind, "192.0.2.1:53");
		c.a.min = c.b.min = kinds[kind].min;
		c.a.max = c.b.rx_max = 20;
		c.b.max = c.a.rx_max = kinds[kind].max;
		c.a.to = c.b.to = dest_of("192.0.2.1:53");
		correspondent_start(&c.a, t.client, 1, 2);
		correspondent_start(&c.b, t.server, 2, 1);
		for (int i = 0; i < 100000 && loop_turn(t.l, 0) > 0; i++)
			;
		assert_true(correspondent_done(&c.a) && correspondent_done(&c.b));
		assert_int_equal(c.a.err | c.b.err, 0);
		line_close(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_carries_its_source_where_the_framing_can),
		cmocka_unit_test(each_packet_goes_where_it_says_where_the_framing_can),
		cmocka_unit_test(xudp_without_an_address_means_that_of_the_first_frame),
		cmocka_unit_test(the_vless_answer_rides_with_the_first_packet),
		cmocka_unit_test(the_largest_packet_passes_and_a_larger_one_is_dropped_never_split),
		cmocka_unit_test(an_empty_packet_passes_only_where_peers_take_it),
		cmocka_unit_test(larger_packets_of_a_peer_arrive_up_to_a_chunk),
		cmocka_unit_test(associations_survive_a_dribble_and_a_kill_at_each_turn),
		cmocka_unit_test(many_packets_of_all_sizes_arrive_in_order_under_back_pressure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
