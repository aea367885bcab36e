/* Client muxes with room are pooled (M8), and clients keep the other rules: each kind of client against the
 * server of the same.
 */
#include "unit.h"

#include "base/err.h"
#include "stream/mux_core.h"
#include "stream/pair.h"

#include "mux_rig.h"
#include "packets.h"
#include "stage.h"

#define FOR_EACH_KIND(i)      for (size_t i = 0; i < RIG_KINDS; i++)
#define FOR_EACH_STREAM(i, n) for (unsigned i = 0; i < (n); i++)
#define MOST		      40

struct bunch {
	struct rig r;
	struct talker t[MOST];
	unsigned n;
};

static void open_one(struct bunch *u, size_t total)
{
	struct talker *t = &u->t[u->n++];

	t->keep_open = true;
	t->burst = 40000;
	talker_start(t, rig_stream(&u->r, (uint16_t)u->n), total, (uint8_t)u->n, (uint8_t)u->n);
}

static bool all_came_back(void *state)
{
	struct bunch *u = state;

	FOR_EACH_STREAM(i, u->n)
	{
		if (u->t[i].s && !u->t[i].err && u->t[i].received < u->t[i].total)
			return false;
	}
	return true;
}

static void assert_came_back(struct bunch *u)
{
	assert_true(run_until(u->r.l, all_came_back, u));
	FOR_EACH_STREAM(i, u->n)
	{
		if (u->t[i].s)
			assert_int_equal(u->t[i].err, 0);
	}
}

static void user_open(struct bunch *u, size_t kind, unsigned streams)
{
	*u = (struct bunch){0};
	rig_init(&u->r, loop_new(LOOP_VIRTUAL, 1), kind, streams);
}

static void user_stop(void *state)
{
	struct bunch *u = state;

	FOR_EACH_STREAM(i, u->n)
	talker_stop(&u->t[i]);
	rig_stop(&u->r);
}

static void user_close(struct bunch *u)
{
	struct loop *l = u->r.l;

	user_stop(u);
	loop_turn(l, 0);
	assert_int_equal(loop_pool(l)->nused, 0);
	loop_free(l);
}

static void pass(struct loop *l, nsec_t time)
{
	nsec_t end = loop_now(l) + time;

	while (loop_now(l) < end && loop_turn(l, end - loop_now(l)) > 0)
		;
}

/* ---- M8 ---------------------------------------------------------------------------------- */

static void m8_streams_share_carriers_and_a_full_one_leads_to_a_new_one(void **state)
{
	static struct bunch u;

	FOR_EACH_KIND(k)
	{
		user_open(&u, k, 8);
		FOR_EACH_STREAM(i, 20)
		open_one(&u, 50000 + i);
		assert_came_back(&u);
		assert_int_equal(u.r.nends, 3);
		assert_int_equal(u.r.nserved, 20);
		user_close(&u);
	}
}

static void m8_room_that_is_free_again_is_used_again(void **state)
{
	static struct bunch u;

	FOR_EACH_KIND(k)
	{
		user_open(&u, k, 4);
		FOR_EACH_STREAM(i, 8)
		open_one(&u, 100);
		assert_came_back(&u);
		FOR_EACH_STREAM(i, 6)
		talker_stop(&u.t[i]);
		FOR_EACH_STREAM(i, 6)
		open_one(&u, 100);
		assert_came_back(&u);
		assert_int_equal(u.r.nends, 2);
		user_close(&u);
	}
}

/* Where there is no half-close who has ended waits for the answer, and takes nobody's place. */
static void m8_who_has_nothing_more_to_say_takes_no_room(void **state)
{
	static struct bunch u;
	union stream_value v;

	FOR_EACH_KIND(k)
	{
		user_open(&u, k, 2);
		FOR_EACH_STREAM(i, 2)
		open_one(&u, 100);
		assert_came_back(&u);
		assert_int_equal(stream_query(u.t[0].s, STREAM_HALF_CLOSE, &v), 0);
		assert_int_equal(v.num, !u.r.kind->whole_end);
		assert_int_equal(v.num, !u.r.kind->client->whole_end);
		if (u.r.kind->whole_end) {
			assert_int_equal(stream_set(u.t[0].s, STREAM_PARTING,
						    (union stream_value){.num = 1}),
					 0);
			assert_int_equal(stream_set(u.t[0].s, STREAM_PARTING,
						    (union stream_value){.num = 1}),
					 0);
			open_one(&u, 100);
			assert_came_back(&u);
			assert_int_equal(u.r.nends, 1);
			talker_stop(&u.t[0]);
			open_one(&u, 100); /* and it is gone once */
			assert_int_equal(u.r.nends, 2);
		}
		user_close(&u);
	}
}

static void m8_a_dead_carrier_fails_its_own_streams_and_is_not_picked_again(void **state)
{
	static struct bunch u;

	FOR_EACH_KIND(k)
	{
		user_open(&u, k, 3);
		FOR_EACH_STREAM(i, 6)
		open_one(&u, 100);
		assert_came_back(&u);
		rig_cut(&u.r, 0);
		settle_now(u.r.l);
		FOR_EACH_STREAM(i, 3)
		assert_int_equal(u.t[i].err, -ECONNRESET);
		FOR_EACH_STREAM(i, 3)
		{
			u.t[3 + i].total = 5000;
			loop_queue(u.r.l, &u.t[3 + i].w);
			talker_stop(&u.t[i]);
			open_one(&u, 100);
		}
		assert_came_back(&u);
		assert_int_equal(u.r.nends, 3);
		assert_int_equal(u.r.pool.ncarriers, 2);
		user_close(&u);
	}
}

static void m8_a_drained_carrier_serves_out_its_streams_and_gets_no_more(void **state)
{
	static struct bunch u;

	FOR_EACH_KIND(k)
	{
		user_open(&u, k, 8);
		FOR_EACH_STREAM(i, 2)
		open_one(&u, 100);
		assert_came_back(&u);
		mux_drain(u.r.ends[0].mux, MUX_QUIET);
		settle_now(u.r.l);
		/* only h2mux's server has a word for that which clients heed; the pool can always say it */
		if (u.r.kind->client->name[0] != 'h')
			u.r.conf.streams = 2;
		open_one(&u, 100);
		u.t[0].total = 5000;
		loop_queue(u.r.l, &u.t[0].w);
		assert_came_back(&u);
		assert_int_equal(u.r.nends, 2);
		user_close(&u);
	}
}

static void m8_a_carrier_without_streams_is_closed_in_time(void **state)
{
	static struct bunch u;

	FOR_EACH_KIND(k)
	{
		user_open(&u, k, 8);
		open_one(&u, 100);
		assert_came_back(&u);
		pass(u.r.l, 60 * NSEC_SEC);
		assert_int_equal(u.r.pool.ncarriers, 1);
		talker_stop(&u.t[0]);
		pass(u.r.l, 15 * NSEC_SEC);
		assert_int_equal(u.r.pool.ncarriers, 1);
		pass(u.r.l, 10 * NSEC_SEC);
		assert_int_equal(u.r.pool.ncarriers, 0);
		assert_true(u.r.ends[0].mux->ended);
		assert_int_equal(u.r.ends[0].mux->result, 0);
		user_close(&u);
	}
}

static void m8_a_carrier_that_owes_an_answer_is_not_picked(void **state)
{
	static struct bunch u;

	FOR_EACH_KIND(k)
	{
		user_open(&u, k, 8);
		u.r.deaf = true;
		open_one(&u, 100);
		pass(u.r.l, MUX_SILENCE / 2);
		open_one(&u, 100);
		assert_int_equal(u.r.nends, 1);
		pass(u.r.l, MUX_SILENCE);
		u.r.deaf = false;
		open_one(&u, 100);
		assert_int_equal(u.r.nends, 2);
		u.t[0].total = u.t[1].total = 0; /* they wait for ever */
		assert_came_back(&u);
		assert_int_equal(u.t[2].received, 100);
		user_close(&u);
	}
}

static void m8_a_carrier_that_cannot_be_opened_says_why(void **state)
{
	static struct bunch u;

	FOR_EACH_KIND(k)
	{
		user_open(&u, k, 8);
		u.r.wrong = true;
		FOR_EACH_STREAM(i, 2)
		open_one(&u, 100);
		assert_int_equal(stream_open(u.t[0].s), -EAGAIN);
		settle_now(u.r.l);
		FOR_EACH_STREAM(i, 2)
		assert_int_equal(u.t[i].err, -ERR_MALFORMED);
		assert_int_equal(u.r.nends, 1);
		assert_int_equal(u.r.pool.ncarriers, 0);
		user_close(&u);
	}
}

static void m8_of_a_given_number_the_least_busy_one_is_picked(void **state)
{
	static struct bunch u;

	FOR_EACH_KIND(k)
	{
		user_open(&u, k, 0);
		u.r.conf.carriers = 3;
		u.r.conf.min_streams = 2;
		FOR_EACH_STREAM(i, 4) /* two each, before there is another one */
		open_one(&u, 100);
		assert_came_back(&u);
		assert_int_equal(u.r.nends, 2);
		FOR_EACH_STREAM(i, 20)
		open_one(&u, 100);
		assert_came_back(&u);
		assert_int_equal(u.r.nends, 3);
		assert_int_equal(u.r.nserved, 24);
		user_close(&u);
	}
}

static void m8_a_pool_that_goes_takes_its_carriers_along(void **state)
{
	static struct bunch u;

	FOR_EACH_KIND(k)
	{
		user_open(&u, k, 2);
		FOR_EACH_STREAM(i, 6)
		open_one(&u, 300000);
		mux_pool_done(&u.r.pool);
		settle_now(u.r.l);
		FOR_EACH_STREAM(i, 6)
		assert_true(u.t[i].err < 0); /* M2 */
		user_close(&u);
	}
}

/* ---- bytes ------------------------------------------------------------------------------- */

#define DUO_BYTES 120

static size_t kind_now;
static bool shuts;

static void start_duo(struct loop *l, void *state)
{
	struct bunch *u = state;

	rig_init(&u->r, l, kind_now, 2);
	u->r.dribbles = true;
	FOR_EACH_STREAM(i, 3)
	{
		open_one(u, DUO_BYTES);
		u->t[i].burst = 0;
		u->t[i].keep_open = !shuts || u->r.kind->whole_end;
	}
}

static bool duo_done(void *state)
{
	struct bunch *u = state;

	FOR_EACH_STREAM(i, u->n)
	{
		if (!u->t[i].err && !u->t[i].keep_open && !u->t[i].eof)
			return false;
	}
	return all_came_back(state);
}

static void duo_check(void *state)
{
	struct bunch *u = state;

	FOR_EACH_STREAM(i, u->n)
	{
		assert_int_equal(u->t[i].err, 0);
		assert_int_equal(u->t[i].received, DUO_BYTES);
	}
	assert_int_equal(u->r.nends, 2);
}

static void streams_survive_a_carrier_that_dribbles_and_a_kill_at_each_turn(void **state)
{
	const struct scenario sc = {start_duo, duo_done, user_stop, duo_check,
				    sizeof(struct bunch)};

	FOR_EACH_KIND(k)
	{
		kind_now = k;
		for (int half = 0; half <= !rig_kinds[k].whole_end; half++) {
			shuts = half;
			kill_at_each_turn(&sc, 1 + k);
		}
	}
}

static void bulk_flows_both_ways_and_in_turns(void **state)
{
	static struct bunch u;

	FOR_EACH_KIND(k)
	{
		user_open(&u, k, 8);
		FOR_EACH_STREAM(i, 4)
		open_one(&u, 3000000);
		open_one(&u, 10);
		u.t[4].burst = 10;
		while (u.t[4].received < 10)
			assert_true(loop_turn(u.r.l, 0) > 0);
		FOR_EACH_STREAM(i, 4) /* M5 */
		assert_true(u.t[i].received < 3000000);
		assert_came_back(&u);
		user_close(&u);
	}
}

static void half_close_is_carried_where_the_protocol_has_it(void **state)
{
	static struct bunch u;

	FOR_EACH_KIND(k)
	{
		user_open(&u, k, 8);
		open_one(&u, 100000);
		u.t[0].keep_open = u.r.kind->whole_end;
		assert_came_back(&u);
		settle_now(u.r.l);
		assert_int_equal(u.t[0].eof, !u.r.kind->whole_end);
		assert_int_equal(u.t[0].received, 100000);
		user_close(&u);
	}
}

/* What a stream is freed with has to be said: the server lets go of its side, too. */
static void m3_who_is_freed_is_gone_at_the_server_and_the_others_are_not(void **state)
{
	static struct bunch u;

	FOR_EACH_KIND(k)
	{
		user_open(&u, k, 8);
		FOR_EACH_STREAM(i, 3)
		open_one(&u, 1000);
		assert_came_back(&u);
		talker_stop(&u.t[1]);
		settle_now(u.r.l);
		FOR_EACH_STREAM(i, 3)
		assert_int_equal(u.r.served[i].over || u.r.served[i].eof, i == 1);
		u.t[2].total = 5000;
		loop_queue(u.r.l, &u.t[2].w);
		assert_came_back(&u);
		user_close(&u);
	}
}

/* ---- what a server may say --------------------------------------------------------------- */

#define SPEAKERS 3
#define SAID	 60

/* All that the server says in a session of three streams, and then ends. */
struct tape {
	uint8_t bytes[16384];
	size_t len;
};

static void carry(struct stream *from, struct stream *to, struct tape *t)
{
	uint8_t mem[65536];
	ssize_t end;
	size_t n = get_bytes(from, mem, sizeof(mem), &end);

	if (n)
		put_bytes(to, mem, n);
	if (!t)
		return;
	assert_true(t->len + n <= sizeof(t->bytes));
	memcpy(t->bytes + t->len, mem, n);
	t->len += n;
}

static void speak(struct bunch *u, size_t kind)
{
	user_open(u, kind, SPEAKERS);
	u->r.deaf = true;
	FOR_EACH_STREAM(i, SPEAKERS)
	open_one(u, SAID);
	settle_now(u->r.l);
}

static void record(size_t kind, struct tape *t)
{
	static struct bunch u;
	struct stream *near, *far;

	t->len = 0;
	speak(&u, kind);
	assert_int_equal(pair_new(u.r.l, 1 << 20, &near, &far), 0);
	rig_serve(&u.r, 0, near);
	for (int i = 0; i < 20; i++) {
		carry(u.r.ends[0].raw, far, NULL);
		settle_now(u.r.l);
		carry(far, u.r.ends[0].raw, t);
		settle_now(u.r.l);
	}
	assert_true(all_came_back(&u));
	stream_free(far);
	user_close(&u);
}

/* What has come has come, and it is an error or nothing that follows. */
static void every_prefix_of_what_a_server_says_is_taken(void **state)
{
	static struct bunch u;
	static struct tape t;

	FOR_EACH_KIND(k)
	{
		record(k, &t);
		for (size_t n = 0; n <= t.len; n += u.r.kind && u.r.kind->padding ? 41 : 2) {
			speak(&u, k);
			if (n)
				put_bytes(u.r.ends[0].raw, t.bytes, n);
			settle_now(u.r.l);
			stream_shut(u.r.ends[0].raw);
			settle_now(u.r.l);
			assert_int_equal(u.r.pool.ncarriers, 0);
			FOR_EACH_STREAM(i, SPEAKERS)
			assert_true(u.t[i].received == SAID || u.t[i].err);
			user_close(&u);
		}
	}
}

/* Any one bit of it turned: nothing is lost but what is in that carrier. */
static void a_wrong_bit_anywhere_harms_its_carrier_at_most(void **state)
{
	static struct bunch u;
	static struct tape t;
	struct stream *s[SPEAKERS];
	uint8_t got[65536];
	ssize_t end;

	FOR_EACH_KIND(k)
	{
		record(k, &t);
		for (size_t n = 0; n < t.len * 8;
		     n += u.r.kind && u.r.kind->padding ? 101 : 5 + n % 7) {
			user_open(&u, k, SPEAKERS);
			u.r.deaf = true;
			FOR_EACH_STREAM(i, SPEAKERS)
			{
				s[i] = rig_stream(&u.r, (uint16_t)(i + 1));
				put_bytes(s[i], "hello", 5);
			}
			settle_now(u.r.l);
			t.bytes[n / 8] ^= (uint8_t)(1 << n % 8);
			put_bytes(u.r.ends[0].raw, t.bytes, t.len);
			t.bytes[n / 8] ^= (uint8_t)(1 << n % 8);
			settle_now(u.r.l);
			u.r.deaf = false;
			open_one(&u, 10);
			(void)stream_shut(u.r.ends[0].raw);
			settle_now(u.r.l);
			FOR_EACH_STREAM(i, SPEAKERS)
			{
				(void)get_bytes(s[i], got, sizeof(got), &end);
				assert_true(end <= 0 && end != -EAGAIN);
				stream_free(s[i]);
			}
			assert_true(u.t[0].err || u.t[0].received == 10 || u.r.nends == 1);
			user_close(&u);
		}
	}
}

/* ---- packets ----------------------------------------------------------------------------- */

static void send_text(struct bunch *u, struct dgram *d, const char *text, const char *to)
{
	struct packet p = packet_of(u->r.l, text, to);

	assert_int_equal(dgram_send(d, &p, 1), 1);
	settle_now(u->r.l);
}

static void packets_go_to_whom_they_name_and_name_whom_they_come_from(void **state)
{
	static struct bunch u;
	struct dgram *a, *b;

	FOR_EACH_KIND(k)
	{
		user_open(&u, k, 8);
		open_one(&u, 100);
		a = rig_packets(&u.r, NULL);
		b = rig_packets(&u.r, "192.0.2.9:53");
		send_text(&u, a, "one", "192.0.2.1:1000");
		send_text(&u, a, "two", "host.example:2000");
		send_text(&u, b, "three", "192.0.2.9:53");
		packet_expect(a, "one", "192.0.2.1:1000");
		packet_expect(a, "two", "host.example:2000");
		packet_expect(b, "three", "192.0.2.9:53");
		assert_came_back(&u);
		assert_int_equal(u.r.nends, 1);
		assert_int_equal(u.r.nserved, 3);
		dgram_free(a);
		dgram_free(b);
		user_close(&u);
	}
}

static void an_association_outlives_its_carrier(void **state)
{
	static struct bunch u;
	struct packet none;
	struct dgram *a;

	FOR_EACH_KIND(k)
	{
		user_open(&u, k, 8);
		a = rig_packets(&u.r, NULL);
		send_text(&u, a, "one", "192.0.2.1:1000");
		packet_expect(a, "one", "192.0.2.1:1000");
		rig_cut(&u.r, 0);
		settle_now(u.r.l);
		assert_int_equal(dgram_recv(a, &none, 1), -EAGAIN);
		send_text(&u, a, "two", "192.0.2.1:1000");
		packet_expect(a, "two", "192.0.2.1:1000");
		assert_int_equal(u.r.nends, 2);
		/* by its id mux.cool's server knows it again: XUDP */
		assert_int_equal(u.r.nserved, k == 0 ? 1 : 2);
		dgram_free(a);
		user_close(&u);
	}
}

struct woken {
	struct waiter w;
	unsigned n;
};

static void count_wake(struct waiter *w)
{
	container_of(w, struct woken, w)->n++;
}

/* Whoever waits to receive is woken where the association is now. */
static void who_waits_for_packets_waits_in_the_new_carrier(void **state)
{
	static struct bunch u;
	struct woken w;
	struct packet p;
	struct dgram *a;

	FOR_EACH_KIND(k)
	{
		user_open(&u, k, 8);
		a = rig_packets(&u.r, NULL);
		waiter_init(&w.w, count_wake);
		for (unsigned carriers = 1; carriers <= 3; carriers++) {
			w.n = 0;
			assert_int_equal(dgram_recv(a, &p, 1), -EAGAIN);
			dgram_want(a, STREAM_RD, &w.w); /* in no carrier */
			settle_now(u.r.l);
			assert_int_equal(w.n, 0);
			p = packet_of(u.r.l, "one", "192.0.2.1:1000");
			assert_int_equal(dgram_send(a, &p, 1), 1);
			settle_now(u.r.l);
			assert_true(w.n > 0);
			packet_expect(a, "one", "192.0.2.1:1000");
			assert_int_equal(u.r.nends, carriers);
			w.n = 0;
			assert_int_equal(dgram_recv(a, &p, 1), -EAGAIN);
			dgram_want(a, STREAM_RD, &w.w);
			send_text(&u, a, "two", "192.0.2.1:1000");
			assert_true(w.n > 0);
			packet_expect(a, "two", "192.0.2.1:1000");
			w.n = 0;
			assert_int_equal(dgram_recv(a, &p, 1), -EAGAIN);
			dgram_want(a, STREAM_RD, &w.w);
			rig_cut(&u.r, carriers - 1);
			settle_now(u.r.l);
			assert_true(w.n > 0);
		}
		dgram_free(a);
		user_close(&u);
	}
}

static void an_association_whose_carrier_cannot_be_opened_ends_with_the_reason(void **state)
{
	static struct bunch u;
	struct packet p;
	struct dgram *a;

	FOR_EACH_KIND(k)
	{
		user_open(&u, k, 8);
		u.r.wrong = true;
		a = rig_packets(&u.r, NULL);
		send_text(&u, a, "one", "192.0.2.1:1000");
		assert_int_equal(dgram_recv(a, &p, 1), -ERR_MALFORMED);
		dgram_free(a);
		user_close(&u);
	}
}

static void packets_of_quic_are_dropped_where_that_is_asked_for(void **state)
{
	static struct bunch u;
	struct packet p[5];
	struct dgram *a;
	int sent = 0;

	user_open(&u, 0, 8);
	u.r.conf.no_quic = true;
	a = rig_packets(&u.r, NULL);
	for (int i = 0; i < 5; i++)
		p[i] = packet_of(u.r.l, "x", i == 1 || i == 2 ? "192.0.2.1:443" : "192.0.2.1:444");
	while (sent < 5) {
		int n = dgram_send(a, p + sent, 5 - sent);

		assert_true(n > 0);
		sent += n;
	}
	settle_now(u.r.l);
	assert_int_equal(a->dropped, 2);
	for (int i = 0; i < 3; i++)
		packet_expect(a, "x", "192.0.2.1:444");
	assert_int_equal(dgram_recv(a, p, 1), -EAGAIN);
	dgram_free(a);
	user_close(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(m8_streams_share_carriers_and_a_full_one_leads_to_a_new_one),
		cmocka_unit_test(m8_room_that_is_free_again_is_used_again),
		cmocka_unit_test(m8_who_has_nothing_more_to_say_takes_no_room),
		cmocka_unit_test(m8_a_dead_carrier_fails_its_own_streams_and_is_not_picked_again),
		cmocka_unit_test(m8_a_drained_carrier_serves_out_its_streams_and_gets_no_more),
		cmocka_unit_test(m8_a_carrier_without_streams_is_closed_in_time),
		cmocka_unit_test(m8_a_carrier_that_owes_an_answer_is_not_picked),
		cmocka_unit_test(m8_a_carrier_that_cannot_be_opened_says_why),
		cmocka_unit_test(m8_of_a_given_number_the_least_busy_one_is_picked),
		cmocka_unit_test(m8_a_pool_that_goes_takes_its_carriers_along),
		cmocka_unit_test(streams_survive_a_carrier_that_dribbles_and_a_kill_at_each_turn),
		cmocka_unit_test(bulk_flows_both_ways_and_in_turns),
		cmocka_unit_test(half_close_is_carried_where_the_protocol_has_it),
		cmocka_unit_test(m3_who_is_freed_is_gone_at_the_server_and_the_others_are_not),
		cmocka_unit_test(every_prefix_of_what_a_server_says_is_taken),
		cmocka_unit_test(a_wrong_bit_anywhere_harms_its_carrier_at_most),
		cmocka_unit_test(packets_go_to_whom_they_name_and_name_whom_they_come_from),
		cmocka_unit_test(an_association_outlives_its_carrier),
		cmocka_unit_test(who_waits_for_packets_waits_in_the_new_carrier),
		cmocka_unit_test(
			an_association_whose_carrier_cannot_be_opened_ends_with_the_reason),
		cmocka_unit_test(packets_of_quic_are_dropped_where_that_is_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
