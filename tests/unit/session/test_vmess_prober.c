/* A prober at a VMess port: whatever it sends, it gets nothing, and the same end at the same time. */
#include "prober.h"

#include "proto/vmess/vmess_seal.h"
#include "proto/vmess/vmess_users.h"

#include "../proto/vmess/vmess_house.h"

struct port {
	struct vmess_house house;
	struct probed p;
};

static struct stream *stack(struct session_inbound *in, struct stream *leaf)
{
	return vmess_proto.server(leaf, &in->proto);
}

static void port_open(struct port *t)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);

	vmess_house_open(&t->house, l, "alice bob");
	t->house.port.replay = t->house.replay;
	probed_open(&t->p, l, &t->house.people.in, stack);
}

static void port_close(struct port *t)
{
	loop_free(t->p.l);
	vmess_house_close(&t->house);
}

/* What a client's first bytes are; *head: up to where they are the request. */
static size_t request_of(struct port *t, uint8_t out[4096], size_t *head)
{
	struct vmess_client_conf conf = vmess_house_client("alice", vmess_ways[1]);
	uint8_t key[VMESS_KEY_LEN];
	struct stream *near, *far;
	struct dest d;
	size_t n, len;

	assert_int_equal(dest_parse(&d, "target.example:443"), 0);
	assert_int_equal(pair_new(t->p.l, 1 << 20, &near, &far), 0);
	near = vmess_client_new(near, &conf, &d);
	assert_non_null(near);
	assert_int_equal(stream_open(near), 0);
	put_bytes(near, "hello", 5);
	n = get_bytes(far, out, 4096, NULL);
	stream_free(near);
	stream_free(far);
	assert_int_equal(vmess_proto.user_key("alice", 5, key), 0);
	assert_int_equal(vmess_head_open(key, out, &len), 0);
	*head = VMESS_HEAD + len + AEAD_TAG;
	assert_true(n > *head);
	return n;
}

static void whatever_a_prober_sends_it_gets_silence_and_the_same_end(void **state)
{
	uint8_t bytes[4096];
	size_t len, head;
	struct port t;

	port_open(&t);
	for (size_t n = 0; n <= 2000; n += n < 150 ? 1 : 53) {
		loop_random(t.p.l, bytes, n);
		probe(&t.p, bytes, n, n % 3 ? 0 : 100);
	}
	for (size_t i = 0;;
	     i++) { /* made anew each time: the probes take longer than an id is good */
		len = request_of(&t, bytes, &head);
		if (i >= head)
			break;
		bytes[i] ^= (uint8_t)(1 << i % 8);
		probe(&t.p, bytes, len, 0);
	}
	port_close(&t);
}

static void the_beginning_of_a_request_waits_for_the_rest_as_noise_does(void **state)
{
	uint8_t bytes[4096];
	struct port t;
	size_t head;

	port_open(&t);
	for (size_t n = 1;; n++) {
		(void)request_of(&t, bytes, &head);
		if (n >= head)
			break;
		probe(&t.p, bytes, n, 0);
	}
	port_close(&t);
}

static void a_recording_gets_what_noise_gets(void **state)
{
	uint8_t bytes[4096];
	size_t len, head;
	struct port t;

	port_open(&t);
	len = request_of(&t, bytes, &head);
	probed_lets_in(&t.p, bytes, len); /* it was good once */
	for (int i = 0; i < 3; i++)
		probe(&t.p, bytes, len, 0);
	port_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_a_prober_sends_it_gets_silence_and_the_same_end),
		cmocka_unit_test(the_beginning_of_a_request_waits_for_the_rest_as_noise_does),
		cmocka_unit_test(a_recording_gets_what_noise_gets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
