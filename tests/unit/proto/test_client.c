/* The client side: a request in front, an answer that is skipped. */
#include "unit.h"

#include "proto/trojan/trojan.h"
#include "proto/vless/vless.h"

#include "hostile.h"
#include "one_end.h"
#include "watcher.h"

static const uint8_t id[VLESS_ID_LEN] = "0123456789abcdef";

static uint8_t request[VLESS_REQ_MAX]; /* that was made last */
static size_t request_len;

/* A VLESS client; the other end is the server. */
static void one_open(struct one *o, size_t capacity)
{
	struct vless_request req = {.cmd = VLESS_TCP};
	struct wr w = wr_of(request, sizeof(request));

	assert_int_equal(dest_parse(&req.dest, "target.example:80"), 0);
	memcpy(req.id, id, sizeof(id));
	vless_request_emit(&w, &req);
	request_len = w.len;
	o->s = vless_client_new(one_begin(o, capacity), id, &req.dest);
	assert_non_null(o->s);
	assert_int_equal(stream_open(o->s), 0);
}

static ssize_t push(struct stream *s, const void *bytes, size_t len, size_t *left)
{
	struct bufq q;
	ssize_t n;

	bufq_init(&q, loop_pool(s->loop), SIZE_MAX);
	assert_int_equal(bufq_append(&q, bytes, len), 0);
	n = stream_push(s, &q);
	assert_int_equal(bufq_len(&q), n > 0 ? len - (size_t)n : len); /* S6 */
	for (size_t i = n > 0 ? (size_t)n : 0; i < len; i++) {
		uint8_t b;

		assert_int_equal(bufq_take(&q, &b, 1), 1);
		assert_int_equal(b, ((const uint8_t *)bytes)[i]);
	}
	if (left)
		*left = n > 0 ? len - (size_t)n : len;
	return n;
}

static ssize_t pull(struct stream *s, void *out, size_t max)
{
	struct bufq q;
	ssize_t n;

	bufq_init(&q, loop_pool(s->loop), SIZE_MAX);
	n = stream_pull(s, &q, max);
	if (n > 0)
		bufq_take(&q, out, (size_t)n);
	bufq_done(&q);
	return n;
}

static void the_request_rides_with_the_first_bytes(void **state)
{
	uint8_t got[1024];
	struct one o;

	one_open(&o, 65536);
	assert_int_equal(pull(o.far, got, 1024), -EAGAIN);
	assert_int_equal(push(o.s, "hello", 5, NULL), 5);
	assert_int_equal(pull(o.far, got, 1024), request_len + 5);
	assert_memory_equal(got, request, request_len);
	assert_memory_equal(got + request_len, "hello", 5);
	assert_int_equal(push(o.s, "again", 5, NULL), 5);
	assert_int_equal(pull(o.far, got, 1024), 5);
	one_close(&o);
}

static void who_only_reads_sends_it_alone(void **state)
{
	uint8_t got[1024];
	struct one o;

	one_open(&o, 65536);
	assert_int_equal(pull(o.s, got, 1), -EAGAIN);
	assert_int_equal(pull(o.far, got, 1024), request_len);
	assert_int_equal(push(o.s, "hello", 5, NULL), 5);
	assert_int_equal(pull(o.far, got, 1024), 5);
	one_close(&o);
}

static void who_only_ends_sends_it_alone(void **state)
{
	uint8_t got[1024];
	struct one o;

	one_open(&o, 65536);
	assert_int_equal(stream_shut(o.s), 0);
	assert_int_equal(pull(o.far, got, 1024), request_len);
	assert_int_equal(pull(o.far, got, 1024), 0);
	one_close(&o);
}

/* Until then the lower stream would hand over bytes of ours as the payload.  A pair cannot be
 * bypassed, so that what it says tells that it has been asked.
 */
static void the_lower_stream_is_bypassed_only_behind_the_headers(void **state)
{
	uint8_t got[1024];
	struct one o;

	one_open(&o, 65536);
	assert_int_equal(stream_bypass(o.s, STREAM_OUT), -EAGAIN);
	assert_int_equal(push(o.s, "hello", 5, NULL), 5);
	assert_int_equal(stream_bypass(o.s, STREAM_OUT), -ENOTSUP);
	assert_int_equal(stream_bypass(o.s, STREAM_IN), -EAGAIN);
	assert_int_equal(push(o.far, "\0\0world", 7, NULL), 7);
	assert_int_equal(pull(o.s, got, 5), 5);
	assert_int_equal(stream_bypass(o.s, STREAM_IN), -ENOTSUP);
	one_close(&o);
}

/* S4: somebody who waits to read does not know that there is still something to send. */
static void S4_a_request_that_did_not_fit_at_once_goes_without_further_calls(void **state)
{
	struct watcher x = {0};
	uint8_t got[1024];
	struct one o;
	size_t sent = 0;

	waiter_init(&x.w, watcher_wake);
	one_open(&o, 10);
	assert_int_equal(pull(o.s, got, 1), -EAGAIN);
	stream_want(o.s, STREAM_RD, &x.w);
	for (int i = 0; i < 20 && sent < request_len; i++) {
		ssize_t n = pull(o.far, got + sent, 1024);

		if (n > 0)
			sent += (size_t)n;
		loop_turn(o.l, 0);
	}
	assert_int_equal(sent, request_len);
	assert_memory_equal(got, request, request_len);
	one_close(&o);
}

static void a_push_that_did_not_fit_is_all_the_caller_s_again(void **state)
{
	uint8_t got[1024];
	struct one o;
	size_t left = 5, sent = 0;

	for (size_t capacity = 1; capacity < 60; capacity++) {
		one_open(&o, capacity);
		left = 5;
		sent = 0;
		for (int i = 0; i < 200 && (left || sent < request_len + 5); i++) {
			ssize_t n;

			if (left)
				push(o.s, &"hello"[5 - left], left, &left);
			n = pull(o.far, got + sent, 1024);
			if (n > 0)
				sent += (size_t)n;
		}
		assert_int_equal(sent, request_len + 5);
		assert_memory_equal(got, request, request_len);
		assert_memory_equal(got + request_len, "hello", 5);
		one_close(&o);
	}
}

static void a_stream_that_breaks_may_have_taken_some(void **state)
{
	for (uint64_t seed = 1; seed < 200; seed++) {
		struct dribble_conf conf = DRIBBLE(seed);
		struct dest to;
		struct stream *near, *far, *s;
		struct loop *l = loop_new(LOOP_VIRTUAL, 1);
		struct bufq q;
		ssize_t n;

		conf.max = 200;
		conf.again = 0;
		conf.cut_out = 0;
		conf.cut_out_err = -ECONNRESET;
		assert_int_equal(dest_parse(&to, "192.0.2.1:80"), 0);
		assert_int_equal(pair_new(l, 65536, &near, &far), 0);
		s = vless_client_new(dribble_new(near, &conf), id, &to);
		bufq_init(&q, loop_pool(l), SIZE_MAX);
		assert_int_equal(bufq_append(&q, "hello", 5), 0);
		do {
			n = stream_push(s, &q);
		} while (n == -EAGAIN);
		assert_int_equal(n, -ECONNRESET);
		assert_true(bufq_len(&q) <= 5);
		bufq_done(&q);
		stream_free(s);
		stream_free(far);
		loop_free(l);
	}
}

static void the_answer_is_skipped_in_any_pieces_addons_too(void **state)
{
	static const uint8_t answer[] = "\0\5addonpayload";
	size_t len = sizeof(answer) - 1;
	uint8_t got[1024];
	struct one o;

	for (size_t cut = 1; cut <= len; cut++) {
		size_t n = 0;

		one_open(&o, 65536);
		assert_int_equal(push(o.far, answer, cut, NULL), cut);
		for (ssize_t k; (k = pull(o.s, got + n, 3)) > 0;)
			n += (size_t)k;
		assert_int_equal(n, cut > 7 ? cut - 7 : 0);
		if (cut < len)
			assert_int_equal(push(o.far, answer + cut, len - cut, NULL), len - cut);
		for (ssize_t k; (k = pull(o.s, got + n, 3)) > 0;)
			n += (size_t)k;
		assert_int_equal(n, len - 7);
		assert_memory_equal(got, "payload", 7);
		one_close(&o);
	}
}

static void a_wrong_answer_fails_and_a_short_one_is_a_truncation(void **state)
{
	uint8_t got[16];
	struct one o;

	one_open(&o, 65536);
	assert_int_equal(push(o.far, "\1\0", 2, NULL), 2);
	assert_int_equal(pull(o.s, got, 16), -ERR_MALFORMED);
	one_close(&o);

	one_open(&o, 65536);
	assert_int_equal(push(o.far, "\0\5ab", 4, NULL), 4);
	stream_shut(o.far);
	assert_int_equal(pull(o.s, got, 16), -ERR_TRUNCATED);
	one_close(&o);

	one_open(&o, 65536);
	stream_shut(o.far);
	assert_int_equal(pull(o.s, got, 16), -ERR_TRUNCATED);
	one_close(&o);
}

static void the_end_behind_the_answer_is_orderly(void **state)
{
	uint8_t got[16];
	struct one o;

	one_open(&o, 65536);
	assert_int_equal(push(o.far, "\0\0", 2, NULL), 2);
	stream_shut(o.far);
	assert_int_equal(pull(o.s, got, 16), 0);
	one_close(&o);
}

static void trojan_has_no_answer_to_wait_for(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	uint8_t key[TROJAN_KEY_LEN], got[1024];
	struct stream *near, *far, *s;
	struct dest to;

	assert_int_equal(dest_parse(&to, "192.0.2.1:80"), 0);
	assert_int_equal(trojan_key_of_password("alice", 5, key), 0);
	assert_int_equal(pair_new(l, 65536, &near, &far), 0);
	s = trojan_client_new(near, key, &to);
	assert_int_equal(push(far, "at once", 7, NULL), 7);
	assert_int_equal(pull(s, got, 16), 7);
	assert_int_equal(pull(far, got, 1024), TROJAN_PREFIX + 1 + 1 + 4 + 2 + 2);
	stream_free(s);
	stream_free(far);
	loop_free(l);
}

/* ---- over a stream that misbehaves --------------------------------------------------------------
 * The far end reads the request off before it talks.
 */
struct duo {
	struct talker a, b;
};

static struct stream *dribbled(struct stream *s)
{
	uint64_t seed;

	loop_random(s->loop, &seed, sizeof(seed));
	return dribble_new(s, &DRIBBLE(seed));
}

static void duo_start(struct loop *l, void *state)
{
	struct duo *t = state;
	struct stream *x, *y;
	struct dest to;

	assert_int_equal(dest_parse(&to, "target.example:80"), 0);
	assert_int_equal(pair_new(l, 70, &x, &y), 0);
	assert_int_equal(push(y, "\0\3add", 5, NULL), 5);
	t->b.skip = VLESS_PREFIX + 1 + 1 + 2 + 1 + 1 + strlen("target.example");
	talker_start(&t->b, dribbled(y), 350, 2, 1);
	talker_start(&t->a, vless_client_new(dribbled(x), id, &to), 300, 1, 2);
}

static void duo_check(void *state)
{
	struct duo *t = state;

	assert_int_equal(t->a.err, 0);
	assert_int_equal(t->b.err, 0);
	assert_int_equal(t->a.received, 350);
	assert_int_equal(t->b.received, 300);
}

static void the_layer_survives_a_dribble_and_a_kill_at_each_turn(void **state)
{
	struct scenario sc = {duo_start, talkers_done, talkers_stop, duo_check, sizeof(struct duo)};

	for (uint64_t seed = 1; seed <= 3; seed++)
		assert_true(kill_at_each_turn(&sc, seed) > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_request_rides_with_the_first_bytes),
		cmocka_unit_test(who_only_reads_sends_it_alone),
		cmocka_unit_test(who_only_ends_sends_it_alone),
		cmocka_unit_test(the_lower_stream_is_bypassed_only_behind_the_headers),
		cmocka_unit_test(S4_a_request_that_did_not_fit_at_once_goes_without_further_calls),
		cmocka_unit_test(a_push_that_did_not_fit_is_all_the_caller_s_again),
		cmocka_unit_test(a_stream_that_breaks_may_have_taken_some),
		cmocka_unit_test(the_answer_is_skipped_in_any_pieces_addons_too),
		cmocka_unit_test(a_wrong_answer_fails_and_a_short_one_is_a_truncation),
		cmocka_unit_test(the_end_behind_the_answer_is_orderly),
		cmocka_unit_test(trojan_has_no_answer_to_wait_for),
		cmocka_unit_test(the_layer_survives_a_dribble_and_a_kill_at_each_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
