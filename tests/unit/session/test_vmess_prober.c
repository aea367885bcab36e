/* A prober at a VMess port: whatever it sends, it gets nothing, and the same end at the same moment. */
#include "unit.h"

#include "proto/vmess/vmess_seal.h"
#include "proto/vmess/vmess_users.h"
#include "session/session.h"
#include "stream/pair.h"

#include "../proto/vmess/vmess_house.h"
#include "stage.h"

#define DEADLINE (10 * NSEC_SEC)

struct port {
	struct vmess_house house;
	struct loop *l;
	struct session_inbound in;
	struct session_times times;
	struct dialer nowhere;
	struct session_report report;
	size_t ended, dials;
};

static struct stream *stack(struct session_inbound *in, struct stream *leaf)
{
	return vmess_proto.server(leaf, &in->proto);
}

static void ended(struct session_inbound *in, const struct session_report *r)
{
	struct port *p = container_of(in, struct port, in);

	p->report = *r;
	p->ended++;
}

/* A way out that is closed: who authenticates is let in, and that is all. */
static struct dial *no_way(struct dialer *d, struct loop *l, const struct dest *to,
			   struct waiter *w)
{
	container_of(d, struct port, nowhere)->dials++;
	return NULL;
}

static const struct dialer_ops nowhere = {.name = "nowhere", .dial = no_way};

static void port_open(struct port *p)
{
	memset(p, 0, sizeof(*p));
	p->l = loop_new(LOOP_VIRTUAL, 1);
	assert_non_null(p->l);
	vmess_house_open(&p->house, p->l, "alice bob");
	p->house.port.replay = p->house.replay;
	p->nowhere.ops = &nowhere;
	p->times = (struct session_times){.handshake = DEADLINE, .dial = NSEC_SEC};
	p->in = (struct session_inbound){
		.proto = p->house.people.in,
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
	vmess_house_close(&p->house);
}

static struct stream *connect_to(struct port *p)
{
	struct stream *near, *far;

	assert_int_equal(pair_new(p->l, 1 << 20, &near, &far), 0);
	session_start(&p->in, near);
	return far;
}

/* Nothing has come. */
static ssize_t silence(struct stream *far)
{
	uint8_t got[4096];
	ssize_t end;

	assert_int_equal(get_bytes(far, got, sizeof(got), &end), 0);
	return end;
}

/* What a client's first bytes are; *head: up to where they are the request. */
static size_t request_of(struct port *p, uint8_t out[4096], size_t *head)
{
	struct vmess_client_conf conf = vmess_house_client("alice", vmess_ways[1]);
	uint8_t key[VMESS_KEY_LEN];
	struct stream *near, *far;
	struct dest d;
	size_t n, len;

	assert_int_equal(dest_parse(&d, "target.example:443"), 0);
	assert_int_equal(pair_new(p->l, 1 << 20, &near, &far), 0);
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

/* One probe, from its first byte to its end. */
static void probe(struct port *p, const uint8_t *bytes, size_t len)
{
	static const uint8_t noise[300] = {1, 2, 3};
	struct stream *far = connect_to(p);
	size_t before = p->ended, dials = p->dials;
	nsec_t since = loop_now(p->l);
	ssize_t end = -EAGAIN;

	if (len)
		put_bytes(far, bytes, len);
	for (int i = 0; i < 1000 && end == -EAGAIN; i++) {
		loop_turn(p->l, NSEC_SEC);
		end = silence(far);
	}
	assert_int_equal(end, 0); /* an orderly end, and not a reset */
	assert_in_range(loop_now(p->l) - since, DEADLINE, DEADLINE + 5 * NSEC_MS);
	assert_int_equal(p->ended, before); /* what comes after it is read, too, for all alike */
	put_bytes(far, noise, sizeof(noise));
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
	uint8_t bytes[4096];
	struct port p;
	size_t len, head;

	port_open(&p);
	for (size_t n = 0; n <= 2000; n += n < 150 ? 1 : 53) {
		loop_random(p.l, bytes, n);
		probe(&p, bytes, n);
	}
	for (size_t i = 0;; i++) { /* made anew each time: the probes take longer than its time */
		len = request_of(&p, bytes, &head);
		if (i >= head)
			break;
		bytes[i] ^= (uint8_t)(1 << i % 8);
		probe(&p, bytes, len);
	}
	port_close(&p);
}

static void the_beginning_of_a_request_waits_for_the_rest_as_noise_does(void **state)
{
	uint8_t bytes[4096];
	struct port p;
	size_t head;

	port_open(&p);
	for (size_t n = 1;; n++) {
		(void)request_of(&p, bytes, &head);
		if (n >= head)
			break;
		probe(&p, bytes, n);
	}
	port_close(&p);
}

static void a_recording_gets_what_noise_gets(void **state)
{
	uint8_t bytes[4096];
	struct stream *far;
	size_t len, head;
	struct port p;

	port_open(&p);
	len = request_of(&p, bytes, &head);
	far = connect_to(&p);
	put_bytes(far, bytes, len);
	for (int i = 0; i < 20 && !p.ended; i++)
		loop_turn(p.l, NSEC_MS);
	assert_int_equal(p.dials, 1); /* it was good once */
	stream_free(far);
	for (int i = 0; i < 3; i++)
		probe(&p, bytes, len);
	port_close(&p);
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
