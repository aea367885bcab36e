/* A prober at a Shadowsocks port: whatever it sends, it gets nothing, and the same end at the same time. */
#include "prober.h"

#include "ss_house.h"

struct port {
	struct ss_house house;
	struct probed p;
};

static struct stream *stack(struct session_inbound *in, struct stream *leaf)
{
	return shadowsocks_proto.server(leaf, &in->proto);
}

static void port_open(struct port *t, const char *method)
{
	ss_house_open(&t->house, method);
	ss_house_remember(&t->house);
	probed_open(&t->p, loop_new(LOOP_VIRTUAL, 1), &t->house.in, stack);
}

static void port_close(struct port *t)
{
	loop_free(t->p.l);
	ss_house_close(&t->house);
}

#define FOR_EACH_METHOD(t)                                                               \
	for (size_t m_ = 0; m_ < ARRAY_LEN(ss_sealed_methods); m_++)                     \
		for (bool once_ = (port_open(&(t), ss_sealed_methods[m_]), true); once_; \
		     once_ = (port_close(&(t)), false))

/* What a client's first bytes are. */
static size_t request_of(struct port *t, uint8_t out[4096])
{
	struct ss_client_conf conf;
	struct stream *near, *far;
	struct dest d;
	size_t n;

	ss_house_client(&t->house, SS_ALICE, &conf);
	assert_int_equal(dest_parse(&d, "target.example:443"), 0);
	assert_int_equal(pair_new(t->p.l, 1 << 20, &near, &far), 0);
	near = ss_client_new(near, &conf, &d);
	assert_non_null(near);
	assert_int_equal(stream_open(near), 0);
	put_bytes(near, "hello", 5);
	n = get_bytes(far, out, 4096, NULL);
	assert_true(n > 0);
	stream_free(near);
	stream_free(far);
	loop_turn(t->p.l, 0);
	return n;
}

static void whatever_a_prober_sends_it_gets_silence_and_the_same_end(void **state)
{
	uint8_t bytes[4096];
	struct port t;

	FOR_EACH_METHOD(t)
	{
		size_t len;

		for (size_t n = 0; n <= 2000; n += n < 150 ? 1 : 53) {
			loop_random(t.p.l, bytes, n);
			probe(&t.p, bytes, n, n % 3 ? 0 : 100);
		}
		len = request_of(&t, bytes);
		for (size_t i = 0; i < len; i++) {
			bytes[i] ^= (uint8_t)(1 << i % 8);
			probe(&t.p, bytes, len, 0);
			bytes[i] ^= (uint8_t)(1 << i % 8);
		}
	}
}

static void a_recording_gets_what_noise_gets(void **state)
{
	uint8_t bytes[4096];
	struct port t;

	FOR_EACH_METHOD(t)
	{
		size_t len = request_of(&t, bytes);

		probed_lets_in(&t.p, bytes, len); /* it was good once */
		for (size_t i = 0; i < 3; i++)
			probe(&t.p, bytes, len, i * 50);
	}
}

static void the_beginning_of_a_request_waits_for_the_rest_as_noise_does(void **state)
{
	uint8_t bytes[4096];
	struct port t;

	FOR_EACH_METHOD(t)
	{
		size_t len = request_of(&t, bytes);

		/* the first chunk holds the address: beyond it is a request */
		for (size_t n = 1; n < t.house.conf.method->salt_len + 18u; n++)
			probe(&t.p, bytes, MIN(n, len), 0);
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
