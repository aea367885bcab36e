/* Packets in a stream, with a framing made for the purpose: `kind, u16 length`. */
#include "unit.h"

#include "stream/framed.h"
#include "stream/pair.h"

#include "hostile.h"
#include "packets.h"
#include "watcher.h"

#define TOY_MAX 9000

enum toy_kind {
	TOY_PACKET,
	TOY_FROM, /* behind the length: the port of 192.0.2.1 */
	TOY_SKIP,
	TOY_END,
	TOY_KINDS,
};

static int toy_parse(struct framed_state *st, struct rd *in, struct framed_head *out)
{
	struct framed_head h = {0};
	struct rd r = *in;
	struct addr a;
	uint8_t kind;

	kind = rd_u8(&r);
	rd_check(&r, kind < TOY_KINDS);
	h.len = rd_be16(&r);
	if (kind == TOY_FROM) {
		assert_int_equal(addr_parse_ip(&a, "192.0.2.1", rd_be16(&r)), 0);
		dest_set_addr(&h.dest, &a);
	}
	h.skip = kind == TOY_SKIP;
	h.end = kind == TOY_END;
	if (r.err)
		return r.err;
	*in = r;
	*out = h;
	return 0;
}

static int toy_emit(struct framed_state *st, struct wr *w, const struct dest *dest, size_t len)
{
	if (dest->type == DEST_NAME)
		return -ERR_NO_ADDRESS;
	wr_u8(w, dest->type == DEST_NONE ? TOY_PACKET : TOY_FROM);
	wr_be16(w, (uint16_t)len);
	if (dest->type != DEST_NONE)
		wr_be16(w, dest->port);
	return 0;
}

static const struct framing toy = {
	.name = "toy",
	.max = TOY_MAX,
	.parse = toy_parse,
	.emit = toy_emit,
};

/* A toy association over one end of a pair; the other end is the test's. */
struct one {
	struct loop *l;
	struct dgram *d;
	struct stream *far;
};

static void one_open(struct one *o, size_t capacity)
{
	struct stream *near;

	o->l = loop_new(LOOP_VIRTUAL, 1);
	assert_int_equal(pair_new(o->l, capacity, &near, &o->far), 0);
	o->d = framed_new(near, &toy, false, NULL, NULL);
	assert_non_null(o->d);
}

static void one_close(struct one *o)
{
	dgram_free(o->d);
	stream_free(o->far);
	loop_turn(o->l, 0);
	assert_int_equal(loop_pool(o->l)->nused, 0);
	loop_free(o->l);
}

static void write_bytes(struct one *o, const void *bytes, size_t len)
{
	struct bufq q;

	bufq_init(&q, loop_pool(o->l), SIZE_MAX);
	assert_int_equal(bufq_append(&q, bytes, len), 0);
	while (!bufq_empty(&q))
		assert_true(stream_push(o->far, &q) > 0);
	bufq_done(&q);
}

#define WRITE(o, literal) write_bytes((o), (literal), sizeof(literal) - 1)

static void write_frame(struct one *o, uint8_t kind, size_t len)
{
	uint8_t head[3] = {kind, (uint8_t)(len >> 8), (uint8_t)len};
	uint8_t *body = calloc(1, len + 1);

	write_bytes(o, head, sizeof(head));
	if (len)
		write_bytes(o, body, len);
	free(body);
}

static ssize_t read_bytes(struct one *o, void *out, size_t len)
{
	struct bufq q;
	ssize_t n;

	bufq_init(&q, loop_pool(o->l), SIZE_MAX);
	n = stream_pull(o->far, &q, len);
	if (n > 0)
		bufq_take(&q, out, len);
	bufq_done(&q);
	return n;
}

static int receive_none(struct one *o)
{
	struct packet p;

	return dgram_recv(o->d, &p, 1);
}

/* ---- what arrives ------------------------------------------------------------------------ */

static void packets_in_one_read_come_as_a_batch(void **state)
{
	struct packet p[8];
	struct one o;

	one_open(&o, 65536);
	WRITE(&o, "\0\0\1a"
		  "\1\0\2\0\7bc"
		  "\0\0\0"
		  "\0\0\1d");
	assert_int_equal(dgram_recv(o.d, p, 8), 4);
	assert_int_equal(buf_len(p[1].buf), 2);
	assert_int_equal(p[0].dest.type, DEST_NONE);
	assert_int_equal(p[1].dest.type, DEST_IP4);
	assert_int_equal(p[1].dest.port, 7);
	assert_int_equal(buf_len(p[2].buf), 0);
	for (int i = 0; i < 4; i++)
		buf_free(p[i].buf);
	assert_int_equal(receive_none(&o), -EAGAIN);
	one_close(&o);
}

static void a_packet_without_a_destination_has_the_fixed_one(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct one o = {.l = l};
	struct stream *near;
	struct dest fixed;

	assert_int_equal(dest_parse(&fixed, "name.example:53"), 0);
	assert_int_equal(pair_new(l, 1000, &near, &o.far), 0);
	o.d = framed_new(near, &toy, false, &fixed, NULL);
	WRITE(&o, "\0\0\1a"
		  "\1\0\1\0\7b");
	packet_expect(o.d, "a", "name.example:53");
	packet_expect(o.d, "b", "192.0.2.1:7");
	one_close(&o);
}

static void a_packet_may_come_in_any_pieces(void **state)
{
	static const char text[] = "\1\0\5\0\7hello";
	struct one o;

	for (size_t cut = 1; cut < sizeof(text) - 1; cut++) {
		one_open(&o, 1000);
		write_bytes(&o, text, cut);
		assert_int_equal(receive_none(&o), -EAGAIN);
		write_bytes(&o, text + cut, sizeof(text) - 1 - cut);
		packet_expect(o.d, "hello", "192.0.2.1:7");
		one_close(&o);
	}
}

static void what_came_before_a_wrong_byte_is_delivered_then_the_error(void **state)
{
	struct packet p[8];
	struct one o;

	one_open(&o, 1000);
	WRITE(&o, "\0\0\1a"
		  "\0\0\1b"
		  "\11\0\1c");
	assert_int_equal(dgram_recv(o.d, p, 8), 2);
	buf_free(p[0].buf);
	buf_free(p[1].buf);
	assert_int_equal(dgram_recv(o.d, p, 8), -ERR_MALFORMED);
	assert_int_equal(dgram_recv(o.d, p, 8), -ERR_MALFORMED);
	one_close(&o);
}

static void an_end_between_packets_is_orderly_and_one_inside_is_not(void **state)
{
	static const char text[] = "\0\0\1a"
				   "\0\0\3bcd";
	struct one o;

	for (size_t cut = 0; cut < sizeof(text); cut++) {
		bool whole = cut == 0 || cut == 4 || cut == sizeof(text) - 1;

		one_open(&o, 1000);
		if (cut)
			write_bytes(&o, text, cut);
		stream_shut(o.far);
		if (cut >= 4)
			packet_expect(o.d, "a", NULL);
		if (cut == sizeof(text) - 1)
			packet_expect(o.d, "bcd", NULL);
		assert_int_equal(receive_none(&o), whole ? 0 : -ERR_TRUNCATED);
		one_close(&o);
	}
}

static void an_end_inside_a_skipped_frame_is_a_truncation(void **state)
{
	struct one o;

	one_open(&o, 1000);
	WRITE(&o, "\2\0\4abc");
	stream_shut(o.far);
	assert_int_equal(receive_none(&o), -ERR_TRUNCATED);
	one_close(&o);
}

static void the_peer_ends_the_association_with_a_frame(void **state)
{
	struct packet p[4];
	struct one o;

	one_open(&o, 1000);
	WRITE(&o, "\0\0\1a"
		  "\3\0\0"
		  "\0\0\1b");
	assert_int_equal(dgram_recv(o.d, p, 4), 1);
	buf_free(p[0].buf);
	assert_int_equal(dgram_recv(o.d, p, 4), 0);
	assert_int_equal(dgram_recv(o.d, p, 4), 0);
	one_close(&o);
}

static void skipped_frames_are_passed_over_payload_and_all(void **state)
{
	struct one o;

	one_open(&o, 1 << 20);
	write_frame(&o, TOY_SKIP, 0);
	write_frame(&o, TOY_SKIP, 65535);
	WRITE(&o, "\0\0\1a");
	packet_expect(o.d, "a", NULL);
	assert_int_equal(o.d->dropped, 0);
	one_close(&o);
}

static void a_packet_larger_than_a_chunk_is_dropped_whole_and_counted(void **state)
{
	struct packet p;
	struct one o;

	one_open(&o, 1 << 20);
	write_frame(&o, TOY_PACKET, BUF_PAYLOAD + 1);
	write_frame(&o, TOY_PACKET, 65535);
	WRITE(&o, "\0\0\1a");
	packet_expect(o.d, "a", NULL);
	assert_int_equal(o.d->dropped, 2);
	write_frame(&o, TOY_PACKET, BUF_PAYLOAD);
	assert_int_equal(dgram_recv(o.d, &p, 1), 1);
	assert_int_equal(buf_len(p.buf), BUF_PAYLOAD);
	buf_free(p.buf);
	one_close(&o);
}

static void S2_a_stream_of_nothing_but_skipped_frames_leaves_others_their_turn(void **state)
{
	struct watcher x = {0};
	struct one o;
	struct packet p;
	int calls = 0;

	waiter_init(&x.w, watcher_wake);
	one_open(&o, 4 << 20);
	for (int i = 0; i < 32; i++)
		write_frame(&o, TOY_SKIP, 65535);
	WRITE(&o, "\0\0\1a");
	while (dgram_recv(o.d, &p, 1) == -EAGAIN) {
		calls++;
		dgram_want(o.d, STREAM_RD, &x.w);
		assert_true(loop_turn(o.l, 0) > 0); /* there is more: nothing need happen for it */
		loop_turn(o.l, 0);
		assert_int_equal(x.wakes, calls);
	}
	assert_true(calls >= 4);
	buf_free(p.buf);
	one_close(&o);
}

/* ---- what is sent ------------------------------------------------------------------------ */

static void the_head_goes_in_front_of_the_first_packet(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct one o = {.l = l};
	struct stream *near;
	struct bufq first;
	struct packet p;
	char got[16];

	assert_int_equal(pair_new(l, 1000, &near, &o.far), 0);
	bufq_init(&first, loop_pool(l), 10);
	assert_int_equal(bufq_append(&first, "HD", 2), 0);
	o.d = framed_new(near, &toy, false, NULL, &first);
	assert_true(bufq_empty(&first));
	assert_int_equal(read_bytes(&o, got, 16), -EAGAIN);
	p = packet_of(l, "x", NULL);
	assert_int_equal(dgram_send(o.d, &p, 1), 1);
	assert_int_equal(read_bytes(&o, got, 16), 6);
	assert_memory_equal(got, "HD\0\0\1x", 6);
	one_close(&o);
}

static void the_head_goes_alone_before_the_end_when_there_was_no_packet(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct one o = {.l = l};
	struct stream *near;
	struct bufq first;
	char got[16];

	assert_int_equal(pair_new(l, 1000, &near, &o.far), 0);
	bufq_init(&first, loop_pool(l), 10);
	assert_int_equal(bufq_append(&first, "HD", 2), 0);
	o.d = framed_new(near, &toy, false, NULL, &first);
	dgram_free(o.d);
	o.d = NULL;
	assert_int_equal(read_bytes(&o, got, 16), 2);
	assert_memory_equal(got, "HD", 2);
	assert_int_equal(read_bytes(&o, got, 16), 0);
	one_close(&o);
}

static void what_the_framing_cannot_say_is_dropped_and_counted(void **state)
{
	struct packet p[3];
	struct one o;
	char got[16];

	one_open(&o, 65536);
	p[0] = packet_of(o.l, "name", "name.example:1");
	p[1] = packet_of(o.l, "", NULL);
	p[1].buf->end += TOY_MAX + 1;
	p[2] = packet_of(o.l, "ok", "192.0.2.1:5");
	assert_int_equal(dgram_send(o.d, p, 3), 3);
	assert_int_equal(o.d->dropped, 2);
	assert_int_equal(read_bytes(&o, got, 16), 7);
	assert_memory_equal(got, "\1\0\2\0\5ok", 7);
	one_close(&o);
}

static void a_chunk_without_front_room_gets_its_header_all_the_same(void **state)
{
	struct packet p;
	struct one o;
	char got[16];

	one_open(&o, 65536);
	p.buf = buf_new(loop_pool(o.l));
	p.dest.type = DEST_NONE;
	p.buf->start = 0;
	p.buf->end = 2;
	memcpy(p.buf->data, "hi", 2);
	assert_int_equal(dgram_send(o.d, &p, 1), 1);
	assert_int_equal(read_bytes(&o, got, 16), 5);
	assert_memory_equal(got, "\0\0\2hi", 5);
	one_close(&o);
}

static int fill_up(struct one *o)
{
	int sent = 0;

	for (;;) {
		struct packet p = packet_of(o->l, "", NULL);
		int n;

		p.buf->end += 8000;
		n = dgram_send(o->d, &p, 1);
		if (n < 1) {
			buf_free(p.buf);
			assert_int_equal(n, -EAGAIN);
			return sent;
		}
		sent++;
	}
}

static void small_packets_that_wait_take_no_chunk_each(void **state)
{
	static const size_t sizes[] = {1, 500, 1025, 1400, 5000};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		size_t used = 0, most = 0;
		struct one o;
		int n = 1;

		one_open(&o, 100);
		for (int sent = 0; n == 1 && sent < 100000; sent++) {
			struct packet p = packet_of(o.l, "", NULL);

			p.buf->end += (uint32_t)sizes[i];
			memset(buf_head(p.buf), 0, sizes[i]);
			n = dgram_send(o.d, &p, 1);
			if (n != 1)
				buf_free(p.buf);
			used = loop_pool(o.l)->nused;
			most = MAX(most, used);
		}
		assert_int_equal(n, -EAGAIN);
		assert_in_range(most, 1, 2 + 3 * (256 * 1024 / BUF_PAYLOAD) + 65536 / 1025);
		one_close(&o);
	}
}

static void a_full_stream_refuses_and_wakes_who_waits(void **state)
{
	struct watcher wr = {0}, rd = {0};
	static char got[65536];
	struct one o;
	int sent;

	waiter_init(&wr.w, watcher_wake);
	waiter_init(&rd.w, watcher_wake);
	one_open(&o, 20000);
	sent = fill_up(&o);
	assert_in_range(sent, 30, 60); /* a bounded number */
	dgram_want(o.d, STREAM_WR, &wr.w);
	assert_int_equal(receive_none(&o), -EAGAIN);
	dgram_want(o.d, STREAM_RD, &rd.w);
	loop_turn(o.l, 0);
	assert_int_equal(wr.wakes, 0);
	for (size_t left = (size_t)sent * 8003; left > 0;) {
		ssize_t n = read_bytes(&o, got, sizeof(got));

		if (n == -EAGAIN) {
			assert_true(loop_turn(o.l, 0) > 0); /* S4: it flushes by itself */
			continue;
		}
		assert_true(n > 0);
		left -= (size_t)n;
	}
	loop_turn(o.l, 0);
	loop_turn(o.l, 0);
	assert_int_equal(wr.wakes, 1);
	assert_true(fill_up(&o) > 0);
	assert_int_equal(o.d->dropped, 0);
	one_close(&o);
}

static void a_stream_that_breaks_under_it_wakes_who_waits_to_send(void **state)
{
	struct watcher wr = {0};
	struct packet p;
	struct one o;

	waiter_init(&wr.w, watcher_wake);
	one_open(&o, 20000);
	fill_up(&o);
	dgram_want(o.d, STREAM_WR, &wr.w);
	pair_reset(o.far, -ECONNRESET);
	loop_turn(o.l, 0);
	loop_turn(o.l, 0);
	assert_int_equal(wr.wakes, 1);
	p = packet_of(o.l, "x", NULL);
	assert_int_equal(dgram_send(o.d, &p, 1), -ECONNRESET);
	buf_free(p.buf);
	assert_int_equal(receive_none(&o), -ECONNRESET);
	one_close(&o);
}

/* ---- all of it, over a stream that misbehaves ------------------------------------------------ */

struct duo {
	struct correspondent a, b;
};

static void duo_start(struct loop *l, void *state)
{
	struct duo *t = state;
	struct stream *x, *y;

	assert_int_equal(pair_new(l, 60, &x, &y), 0);
	t->a = (struct correspondent){.total = 12, .expected = 9, .max = 40};
	t->b = (struct correspondent){.total = 9, .expected = 12, .max = 40};
	assert_int_equal(dest_parse(&t->a.to, "192.0.2.1:77"), 0);
	t->b.from = t->a.to;
	x = dribble_new(x, &DRIBBLE(1));
	y = dribble_new(y, &DRIBBLE(2));
	correspondent_start(&t->a, framed_new(x, &toy, true, NULL, NULL), 1, 2);
	correspondent_start(&t->b, framed_new(y, &toy, false, NULL, NULL), 2, 1);
}

static bool duo_done(void *state)
{
	struct duo *t = state;

	return correspondent_done(&t->a) && correspondent_done(&t->b);
}

static void duo_stop(void *state)
{
	struct duo *t = state;

	correspondent_stop(&t->a);
	correspondent_stop(&t->b);
}

static void duo_check(void *state)
{
	struct duo *t = state;

	assert_int_equal(t->a.err, 0);
	assert_int_equal(t->b.err, 0);
}

static void packets_survive_a_dribble_and_a_kill_at_each_turn(void **state)
{
	struct scenario sc = {duo_start, duo_done, duo_stop, duo_check, sizeof(struct duo)};

	assert_true(kill_at_each_turn(&sc, 1) > 20);
}

static void many_small_packets_and_large_ones_arrive_in_order(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct duo t = {
		.a = {.total = 3000, .expected = 300, .max = 3, .rx_max = TOY_MAX, .batch = 32},
		.b = {.total = 300, .expected = 3000, .max = TOY_MAX, .rx_max = 3, .batch = 7},
	};
	struct stream *x, *y;

	assert_int_equal(pair_new(l, 5000, &x, &y), 0);
	correspondent_start(&t.a, framed_new(x, &toy, true, NULL, NULL), 1, 2);
	correspondent_start(&t.b, framed_new(y, &toy, false, NULL, NULL), 2, 1);
	assert_true(run_until(l, duo_done, &t));
	duo_stop(&t);
	assert_int_equal(loop_pool(l)->nused, 0);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_in_one_read_come_as_a_batch),
		cmocka_unit_test(a_packet_without_a_destination_has_the_fixed_one),
		cmocka_unit_test(a_packet_may_come_in_any_pieces),
		cmocka_unit_test(what_came_before_a_wrong_byte_is_delivered_then_the_error),
		cmocka_unit_test(an_end_between_packets_is_orderly_and_one_inside_is_not),
		cmocka_unit_test(an_end_inside_a_skipped_frame_is_a_truncation),
		cmocka_unit_test(the_peer_ends_the_association_with_a_frame),
		cmocka_unit_test(skipped_frames_are_passed_over_payload_and_all),
		cmocka_unit_test(a_packet_larger_than_a_chunk_is_dropped_whole_and_counted),
		cmocka_unit_test(
			S2_a_stream_of_nothing_but_skipped_frames_leaves_others_their_turn),
		cmocka_unit_test(the_head_goes_in_front_of_the_first_packet),
		cmocka_unit_test(the_head_goes_alone_before_the_end_when_there_was_no_packet),
		cmocka_unit_test(what_the_framing_cannot_say_is_dropped_and_counted),
		cmocka_unit_test(a_chunk_without_front_room_gets_its_header_all_the_same),
		cmocka_unit_test(small_packets_that_wait_take_no_chunk_each),
		cmocka_unit_test(a_full_stream_refuses_and_wakes_who_waits),
		cmocka_unit_test(a_stream_that_breaks_under_it_wakes_who_waits_to_send),
		cmocka_unit_test(packets_survive_a_dribble_and_a_kill_at_each_turn),
		cmocka_unit_test(many_small_packets_and_large_ones_arrive_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
