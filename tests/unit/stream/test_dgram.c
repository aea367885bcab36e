#include "unit.h"

#include <unistd.h>

#include "stream/dgram_relay.h"
#include "stream/pair.h"
#include "stream/udp.h"

#include "watcher.h"

static void settle(struct loop *l)
{
	while (loop_turn(l, 5 * NSEC_MS) > 0)
		;
}

static struct packet packet_to(struct loop *l, const char *text, const char *dest)
{
	struct packet p = {.buf = buf_new(loop_pool(l))};

	assert_non_null(p.buf);
	memcpy(p.buf->data + p.buf->end, text, strlen(text));
	p.buf->end += (uint32_t)strlen(text);
	if (dest)
		assert_int_equal(dest_parse(&p.dest, dest), 0);
	return p;
}

static void send_one(struct dgram *d, const char *text, const char *dest)
{
	struct packet p = packet_to(d->loop, text, dest);

	assert_int_equal(dgram_send(d, &p, 1), 1);
}

/* One packet within a moment; false: none came. */
static bool expect(struct dgram *d, const char *text, char *from)
{
	struct packet p;
	int n = -EAGAIN;

	for (int i = 0; i < 20 && n == -EAGAIN; i++) {
		n = dgram_recv(d, &p, 1);
		if (n == -EAGAIN)
			loop_turn(d->loop, 5 * NSEC_MS);
	}
	if (n == -EAGAIN)
		return false;
	assert_int_equal(n, 1);
	assert_int_equal(buf_len(p.buf), strlen(text));
	assert_memory_equal(buf_head(p.buf), text, strlen(text));
	if (from)
		dest_format(&p.dest, from);
	buf_free(p.buf);
	return true;
}

static void address_of(struct dgram *d, char *out)
{
	union stream_value v;

	assert_int_equal(d->ops->query(d, STREAM_LOCAL, &v), 0);
	addr_format(v.addr, out);
}

static struct dgram *bound(struct loop *l, const char *at)
{
	struct dgram *d;
	struct addr a;

	assert_int_equal(addr_parse(&a, at), 0);
	assert_int_equal(udp_dgram_new(l, a.sa.sa_family, &a, &d), 0);
	return d;
}

static void packets_arrive_with_the_address_they_came_from(void **state)
{
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct dgram *a = bound(l, "127.0.0.1:0"), *b = bound(l, "127.0.0.1:0");
	char at_a[ADDR_TEXT_MAX], at_b[ADDR_TEXT_MAX], from[DEST_TEXT_MAX];

	address_of(a, at_a);
	address_of(b, at_b);
	send_one(a, "one", at_b);
	send_one(a, "", at_b);
	assert_true(expect(b, "one", from));
	assert_string_equal(from, at_a);
	assert_true(expect(b, "", from));
	dgram_free(a);
	dgram_free(b);
	assert_int_equal(loop_pool(l)->nused, 0);
	loop_free(l);
}

static void the_second_family_comes_with_its_first_packet(void **state)
{
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct watcher x = {0};
	struct dgram *d, *v6;
	char at[ADDR_TEXT_MAX], from[DEST_TEXT_MAX];
	struct packet p;
	struct addr any;

	assert_int_equal(addr_parse(&any, "[::1]:0"), 0);
	if (udp_dgram_new(l, AF_INET6, &any, &v6)) {
		loop_free(l);
		skip(); /* a host without IPv6 */
	}
	address_of(v6, at);
	assert_int_equal(udp_dgram_new(l, AF_INET, NULL, &d), 0);
	waiter_init(&x.w, watcher_wake);
	assert_int_equal(dgram_recv(d, &p, 1), -EAGAIN);
	dgram_want(d, STREAM_RD, &x.w); /* before that socket exists */
	send_one(d, "over six", at);
	assert_true(expect(v6, "over six", from));
	settle(l);
	if (dgram_recv(d, &p, 1) == -EAGAIN)
		dgram_want(d, STREAM_RD, &x.w);
	x.wakes = 0;
	send_one(v6, "back", from);
	settle(l);
	assert_int_equal(x.wakes, 1);
	assert_true(expect(d, "back", NULL));
	dgram_free(d);
	dgram_free(v6);
	loop_free(l);
}

static void what_cannot_be_sent_is_dropped_and_counted(void **state)
{
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct dgram *a = bound(l, "127.0.0.1:0"), *b = bound(l, "127.0.0.1:0");
	struct packet p[4];
	char at[ADDR_TEXT_MAX];

	address_of(b, at);
	p[0] = packet_to(l, "name", "name.example:53");
	p[1] = packet_to(l, "nowhere", NULL);
	p[2] = packet_to(l, "port", "127.0.0.1:0");
	p[3] = packet_to(l, "good", at);
	assert_int_equal(dgram_send(a, p, 4), 4);
	assert_int_equal(a->dropped, 3);
	assert_true(expect(b, "good", NULL));
	dgram_free(a);
	dgram_free(b);
	assert_int_equal(loop_pool(l)->nused, 0);
	loop_free(l);
}

static void packets_longer_than_a_chunk_are_dropped_on_arrival(void **state)
{
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct dgram *b = bound(l, "127.0.0.1:0");
	static uint8_t big[BUF_PAYLOAD + 1];
	union stream_value v;
	struct packet p;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(b->ops->query(b, STREAM_LOCAL, &v), 0);
	assert_int_equal(sendto(fd, big, sizeof(big), 0, &v.addr->sa, v.addr->len), sizeof(big));
	assert_int_equal(sendto(fd, big, BUF_PAYLOAD, 0, &v.addr->sa, v.addr->len), BUF_PAYLOAD);
	settle(l);
	while (dgram_recv(b, &p, 1) != 1)
		loop_turn(l, NSEC_MS);
	assert_int_equal(buf_len(p.buf), BUF_PAYLOAD);
	assert_int_equal(b->dropped, 1);
	buf_free(p.buf);
	close(fd);
	dgram_free(b);
	loop_free(l);
}

static void a_flood_comes_in_batches_and_complete(void **state)
{
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct dgram *a = bound(l, "127.0.0.1:0"), *b = bound(l, "127.0.0.1:0");
	struct packet p[DGRAM_BATCH];
	char at[ADDR_TEXT_MAX];
	int got = 0, largest = 0, n;

	address_of(b, at);
	for (int i = 0; i < 100; i++)
		send_one(a, "x", at);
	settle(l);
	while ((n = dgram_recv(b, p, DGRAM_BATCH)) > 0) {
		largest = MAX(largest, n);
		got += n;
		while (n > 0)
			buf_free(p[--n].buf);
	}
	assert_int_equal(got, 100);
	assert_int_equal(largest, DGRAM_BATCH);
	dgram_free(a);
	dgram_free(b);
	assert_int_equal(loop_pool(l)->nused, 0);
	loop_free(l);
}

/* ---- dgram_relay ------------------------------------------------------------------------- */

struct fake_meter {
	struct meter m;
	size_t bytes[2], per_second; /* 0: unlimited */
	nsec_t paid_until[2];
};

static size_t fake_allow(struct meter *m, enum relay_dir dir, size_t want, nsec_t now,
			 nsec_t *pause)
{
	struct fake_meter *f = container_of(m, struct fake_meter, m);

	if (f->per_second && f->paid_until[dir] > now) {
		*pause = f->paid_until[dir] - now;
		return 0;
	}
	return want;
}

static void fake_count(struct meter *m, enum relay_dir dir, size_t bytes, nsec_t now)
{
	struct fake_meter *f = container_of(m, struct fake_meter, m);

	f->bytes[dir] += bytes;
	if (f->per_second)
		f->paid_until[dir] = MAX(f->paid_until[dir], now) +
				     (nsec_t)bytes * NSEC_SEC / (nsec_t)f->per_second;
}

struct bed {
	struct loop *l;
	struct dgram *user, *a, *b, *target;
	struct dgram_relay r;
	struct fake_meter meter;
	struct waiter done;
	int dones;
};

static void on_done(struct waiter *w)
{
	container_of(w, struct bed, done)->dones++;
}

static void bed_open(struct bed *t, nsec_t idle)
{
	*t = (struct bed){.l = loop_new(LOOP_VIRTUAL, 1),
			  .meter.m = {.allow = fake_allow, .count = fake_count}};
	assert_int_equal(pair_dgram_new(t->l, 8, &t->user, &t->a), 0);
	assert_int_equal(pair_dgram_new(t->l, 8, &t->b, &t->target), 0);
	waiter_init(&t->done, on_done);
	dgram_relay_start(&t->r, t->a, t->b, &t->meter.m, idle, &t->done);
}

static void bed_close(struct bed *t)
{
	dgram_relay_stop(&t->r);
	dgram_relay_stop(&t->r);
	dgram_free(t->user);
	dgram_free(t->a);
	dgram_free(t->b);
	dgram_free(t->target);
	assert_int_equal(loop_pool(t->l)->nused, 0);
	loop_free(t->l);
}

static void packets_are_relayed_both_ways_and_metered(void **state)
{
	struct bed t;
	char to[DEST_TEXT_MAX];

	bed_open(&t, 0);
	send_one(t.user, "question", "192.0.2.1:53");
	send_one(t.target, "the answer", "192.0.2.9:53");
	settle(t.l);
	assert_true(expect(t.target, "question", to));
	assert_string_equal(to, "192.0.2.1:53");
	assert_true(expect(t.user, "the answer", to));
	assert_string_equal(to, "192.0.2.9:53");
	assert_int_equal(t.meter.bytes[RELAY_UP], 8);
	assert_int_equal(t.meter.bytes[RELAY_DOWN], 10);
	assert_int_equal(t.r.flow[RELAY_UP].packets, 1);
	bed_close(&t);
}

static void silence_ends_an_association(void **state)
{
	struct bed t;
	nsec_t begun;

	bed_open(&t, 60 * NSEC_SEC);
	begun = loop_now(t.l);
	loop_turn(t.l, 30 * NSEC_SEC);
	loop_turn(t.l, begun + 30 * NSEC_SEC - loop_now(t.l));
	send_one(t.user, "x", "192.0.2.1:53");
	while (!t.dones && loop_turn(t.l, -1))
		;
	assert_int_equal(t.r.result, -ERR_IDLE);
	assert_true(loop_now(t.l) - begun >= 90 * NSEC_SEC);
	assert_true(loop_now(t.l) - begun < 91 * NSEC_SEC);
	bed_close(&t);
}

static void one_side_ending_ends_it_in_order(void **state)
{
	struct bed t;

	bed_open(&t, 0);
	send_one(t.user, "last", "192.0.2.1:53");
	dgram_free(t.user);
	t.user = NULL;
	settle(t.l);
	assert_int_equal(t.dones, 1);
	assert_int_equal(t.r.result, 0);
	assert_true(expect(t.target, "last", NULL));
	bed_close(&t);
}

static void a_full_receiver_stops_its_direction_only(void **state)
{
	struct bed t;
	struct packet p;
	int got = 0;

	bed_open(&t, 0);
	pair_dgram_set_blocking(t.b);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 8; i++)
			send_one(t.user, "x", "192.0.2.1:53");
		settle(t.l);
	}
	assert_int_equal(t.r.flow[RELAY_UP].packets, 16); /* 8 with the receiver, one batch held */
	assert_int_equal(t.r.flow[RELAY_UP].nheld, 8);
	send_one(t.target, "back", "192.0.2.1:53");
	settle(t.l);
	assert_true(expect(t.user, "back", NULL));
	while (dgram_recv(t.target, &p, 1) == 1 ||
	       (settle(t.l), dgram_recv(t.target, &p, 1) == 1)) {
		buf_free(p.buf);
		got++;
	}
	assert_int_equal(got, 24);
	assert_null(t.r.flow[RELAY_UP].held);
	bed_close(&t);
}

static void a_rate_holds_over_time(void **state)
{
	struct bed t;
	nsec_t begun;

	bed_open(&t, 0);
	t.meter.per_second = 1000;
	begun = loop_now(t.l);
	while (loop_now(t.l) < begun + 10 * NSEC_SEC) {
		struct packet p;

		send_one(t.user, "0123456789012345678901234567890123456789", "192.0.2.1:53");
		loop_turn(t.l, 10 * NSEC_MS);
		while (dgram_recv(t.target, &p, 1) == 1)
			buf_free(p.buf);
	}
	assert_in_range(t.meter.bytes[RELAY_UP], 9500, 10500);
	bed_close(&t);
}

static void a_stop_with_packets_held_frees_them(void **state)
{
	struct bed t;

	bed_open(&t, 0);
	pair_dgram_set_blocking(t.b);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 8; i++)
			send_one(t.user, "x", "192.0.2.1:53");
		settle(t.l);
	}
	assert_non_null(t.r.flow[RELAY_UP].held);
	bed_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_arrive_with_the_address_they_came_from),
		cmocka_unit_test(the_second_family_comes_with_its_first_packet),
		cmocka_unit_test(what_cannot_be_sent_is_dropped_and_counted),
		cmocka_unit_test(packets_longer_than_a_chunk_are_dropped_on_arrival),
		cmocka_unit_test(a_flood_comes_in_batches_and_complete),
		cmocka_unit_test(packets_are_relayed_both_ways_and_metered),
		cmocka_unit_test(silence_ends_an_association),
		cmocka_unit_test(one_side_ending_ends_it_in_order),
		cmocka_unit_test(a_full_receiver_stops_its_direction_only),
		cmocka_unit_test(a_rate_holds_over_time),
		cmocka_unit_test(a_stop_with_packets_held_frees_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
