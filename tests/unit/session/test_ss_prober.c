/* A prober at a Shadowsocks port: whatever it sends, it gets nothing, and the same end at the same moment. */
#include "event/loop.h"
#include "session/session.h"
#include "ss_house.h"
#include "stream/pair.h"

#define DEADLINE (10 * NSEC_SEC)

struct port {
	struct ss_house house;
	struct loop *l;
	struct session_inbound in;
	struct session_times times;
	struct dialer nowhere;
	struct session_report report;
	size_t ended, dials;
};

static struct port *of(struct session_inbound *in)
{
	return container_of(in, struct port, in);
}

static struct stream *stack(struct session_inbound *in, struct stream *leaf)
{
	return shadowsocks_proto.server(leaf, &in->proto);
}

static void ended(struct session_inbound *in, const struct session_report *r)
{
	of(in)->report = *r;
	of(in)->ended++;
}

/* A way out that is closed: who authenticates is let in, and that is all. */
static struct dial *no_way(struct dialer *d, struct loop *l, const struct dest *to,
			   struct waiter *w)
{
	container_of(d, struct port, nowhere)->dials++;
	return NULL;
}

static const struct dialer_ops nowhere = {.name = "nowhere", .dial = no_way};

static void port_open(struct port *p, const char *method)
{
	memset(p, 0, sizeof(*p));
	p->l = loop_new(LOOP_VIRTUAL, 1);
	assert_non_null(p->l);
	ss_house_open(&p->house, method);
	assert_int_equal(
		ss_replay_new(p->house.conf.method->class == SS_2022, &p->house.conf.replay), 0);
	p->nowhere.ops = &nowhere;
	p->times = (struct session_times){.handshake = DEADLINE, .dial = NSEC_SEC};
	p->in = (struct session_inbound){
		.proto = p->house.in,
		.loop = p->l,
		.stack = stack,
		.outbound = &p->nowhere,
		.times = &p->times,
		.reject = REJECT_DRAIN,
		.ended = ended,
	};
	list_init(&p->in.sessions);
}

static void port_close(struct port *p)
{
	loop_free(p->l);
	ss_house_close(&p->house);
}

static struct stream *connect_to(struct port *p)
{
	struct stream *near, *far;

	assert_int_equal(pair_new(p->l, 1 << 20, &near, &far), 0);
	session_start(&p->in, near);
	return far;
}

static void put(struct stream *far, const uint8_t *bytes, size_t len)
{
	struct bufq q;

	bufq_init(&q, loop_pool(far->loop), SIZE_MAX);
	assert_int_equal(bufq_append(&q, bytes, len), 0);
	while (!bufq_empty(&q))
		assert_true(stream_push(far, &q) > 0);
}

/* Nothing has come. */
static ssize_t silence(struct stream *far)
{
	struct bufq q;
	ssize_t n;

	bufq_init(&q, loop_pool(far->loop), SIZE_MAX);
	n = stream_pull(far, &q, 4096);
	assert_true(bufq_empty(&q));
	return n;
}

/* What a client's first bytes are. */
static size_t request_of(struct port *p, uint8_t *out, size_t cap)
{
	struct ss_client_conf conf;
	struct stream *near, *far, *c;
	struct dest d;
	struct bufq q;
	size_t n;

	ss_house_client(&p->house, SS_ALICE, &conf);
	assert_int_equal(dest_parse(&d, "target.example:443"), 0);
	assert_int_equal(pair_new(p->l, 1 << 20, &near, &far), 0);
	c = ss_client_new(near, &conf, &d);
	assert_int_equal(stream_open(c), 0);
	put(c, (const uint8_t *)"hello", 5);
	bufq_init(&q, loop_pool(p->l), SIZE_MAX);
	for (int i = 0; i < 10 && bufq_empty(&q); i++) {
		loop_turn(p->l, 0);
		(void)!stream_pull(far, &q, cap);
	}
	n = bufq_take(&q, out, cap);
	assert_true(n > 0);
	stream_free(c);
	stream_free(far);
	loop_turn(p->l, 0);
	return n;
}

/* One probe, from its first byte to its end. */
static void probe(struct port *p, const uint8_t *bytes, size_t len, size_t more)
{
	static const uint8_t noise[300] = {1, 2, 3};
	struct stream *far = connect_to(p);
	size_t before = p->ended, dials = p->dials;
	nsec_t since = loop_now(p->l);
	ssize_t end = -EAGAIN;

	put(far, bytes, len);
	loop_turn(p->l, NSEC_SEC);
	assert_int_equal(silence(far), -EAGAIN);
	if (len && more) /* and goes on about it */
		put(far, bytes, MIN(len, more));
	for (int i = 0; i < 1000 && end == -EAGAIN; i++) {
		loop_turn(p->l, NSEC_SEC);
		end = silence(far);
	}
	assert_int_equal(end, 0); /* an orderly end, and not a reset */
	assert_in_range(loop_now(p->l) - since, DEADLINE, DEADLINE + 5 * NSEC_MS);
	assert_int_equal(p->ended, before); /* what comes after it is read, too, for all alike */
	put(far, noise, sizeof(noise));
	loop_turn(p->l, NSEC_MS);
	assert_int_equal(silence(far), 0);
	for (int i = 0; i < 1000 && p->ended == before; i++)
		loop_turn(p->l, NSEC_SEC);
	assert_int_equal(p->ended, before + 1);
	assert_in_range(loop_now(p->l) - since, DEADLINE + NSEC_SEC,
			DEADLINE + NSEC_SEC + 5 * NSEC_MS);
	assert_int_equal(silence(far), 0); /* no reset: nothing was left unread */
	stream_free(far);
	assert_int_equal(p->report.up + p->report.down, 0);
	assert_int_equal(p->dials, dials);
	loop_turn(p->l, 0);
}

static void whatever_a_prober_sends_it_gets_silence_and_the_same_end(void **state)
{
	for (size_t m = 0; m < ARRAY_LEN(ss_sealed_methods); m++) {
		uint8_t bytes[2000];
		struct port p;
		size_t len;

		port_open(&p, ss_sealed_methods[m]);
		for (size_t n = 0; n <= 2000; n += n < 150 ? 1 : 53) {
			loop_random(p.l, bytes, n);
			probe(&p, bytes, n, n % 3 ? 0 : 100);
		}
		len = request_of(&p, bytes, sizeof(bytes));
		for (size_t i = 0; i < len; i++) {
			bytes[i] ^= (uint8_t)(1 << i % 8);
			probe(&p, bytes, len, 0);
			bytes[i] ^= (uint8_t)(1 << i % 8);
		}
		port_close(&p);
	}
}

static void a_recording_gets_what_noise_gets(void **state)
{
	for (size_t m = 0; m < ARRAY_LEN(ss_sealed_methods); m++) {
		uint8_t bytes[2000];
		struct stream *far;
		struct port p;
		size_t len;

		port_open(&p, ss_sealed_methods[m]);
		len = request_of(&p, bytes, sizeof(bytes));
		far = connect_to(&p);
		put(far, bytes, len);
		for (int i = 0; i < 20 && !p.ended; i++)
			loop_turn(p.l, NSEC_MS);
		assert_int_equal(p.dials, 1); /* it was good once */
		stream_free(far);
		for (int i = 0; i < 3; i++)
			probe(&p, bytes, len, i * 50u);
		port_close(&p);
	}
}

static void the_beginning_of_a_request_waits_for_the_rest_as_noise_does(void **state)
{
	for (size_t m = 0; m < ARRAY_LEN(ss_sealed_methods); m++) {
		uint8_t bytes[2000];
		struct port p;
		size_t len;

		port_open(&p, ss_sealed_methods[m]);
		len = request_of(&p, bytes, sizeof(bytes));
		/* the first chunk holds the address: beyond it is a request */
		for (size_t n = 1; n < p.house.conf.method->salt_len + 18u; n++)
			probe(&p, bytes, MIN(n, len), 0);
		port_close(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_a_prober_sends_it_gets_silence_and_the_same_end),
		cmocka_unit_test(a_recording_gets_what_noise_gets),
		cmocka_unit_test(the_beginning_of_a_request_waits_for_the_rest_as_noise_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
