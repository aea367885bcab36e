/* Shadowsocks streams, both ends: what is served, what a stranger sees, what a bad network does. */
#include "unit.h"

#include "crypto/random.h"
#include "proto/shadowsocks/ss_layer.h"
#include "vectors.h"

#include "ss_house.h"
#define GATE_HOUSE struct ss_house
#include "gate.h"

static struct stream *gate_server(struct gate *g, struct stream *near)
{
	return shadowsocks_proto.server(near, &g->house.in);
}

static void gate_open(struct gate *g, const char *method)
{
	*g = (struct gate){.l = loop_new(LOOP_VIRTUAL, 1)};
	ss_house_open(&g->house, method);
	gate_again(g);
}

static void gate_close(struct gate *g)
{
	gate_take_down(g);
	loop_free(g->l);
	ss_house_close(&g->house);
}

#define FOR_EACH_METHOD(g)                                                               \
	for (size_t m_ = 0; m_ < ARRAY_LEN(ss_sealed_methods); m_++)                     \
		for (bool once_ = (gate_open(&(g), ss_sealed_methods[m_]), true); once_; \
		     once_ = (gate_close(&(g)), false))

/* What a client of `who` sends for `to` with `text`. */
static size_t record(struct gate *g, const char *who, const char *to, const char *text,
		     uint8_t out[4096])
{
	struct ss_client_conf conf;
	struct stream *near, *far;
	struct dest dest;
	size_t len;

	ss_house_client(&g->house, who, &conf);
	assert_int_equal(dest_parse(&dest, to), 0);
	assert_int_equal(pair_new(g->l, 65536, &near, &far), 0);
	near = ss_client_new(near, &conf, &dest);
	assert_non_null(near);
	assert_int_equal(stream_open(near), 0);
	if (*text)
		put_bytes(near, text, strlen(text));
	else
		assert_int_equal(stream_shut(near), 0);
	len = get_bytes(far, out, 4096, NULL);
	stream_free(near);
	stream_free(far);
	return len;
}

/* ---- known answers ----------------------------------------------------------------------- */

static void recorded_requests_are_understood(void **state)
{
	static const struct {
		const char *method, *section, *vector;
	} cases[] = {
		{"aes-128-gcm", "shadowsocks_aead", "tcp_aes_128_gcm"},
		{"aes-192-gcm", "shadowsocks_aead", "tcp_aes_192_gcm"},
		{"aes-256-gcm", "shadowsocks_aead", "tcp_aes_256_gcm"},
		{"chacha20-ietf-poly1305", "shadowsocks_aead", "tcp_chacha20_ietf_poly1305"},
		{"2022-blake3-aes-128-gcm", "shadowsocks_2022", "request"},
	};
	uint8_t wire[1024];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct gate g;

		gate_open(&g, cases[i].method);
		put_bytes(g.far, wire, vector_bytes(cases[i].section, cases[i].vector, wire));
		assert_int_equal(stream_open(g.s), 0);
		assert_request(&g, 1, "www.example.com:443");
		assert_text(g.s, "hello");
		gate_close(&g);
	}
}

/* The recorded answer, to a client whose request had the recorded salt. */
static void a_recorded_answer_opens_with_its_keys(void **state)
{
	const struct ss_method *m = ss_method_find("2022-blake3-aes-128-gcm");
	uint8_t wire[256], want[64], text[64];
	size_t len = vector_bytes("shadowsocks_2022", "response", wire);
	size_t head = vector_bytes("shadowsocks_2022", "response_header", want);
	struct ss_dir d;

	assert_int_equal(ss_dir_derive(&d, m, (const uint8_t *)SS_ALICE, wire), 0);
	assert_int_equal(ss_open_piece(&d, wire + 16, head + AEAD_TAG, text), 0);
	assert_memory_equal(text, want, head);
	assert_int_equal(ss_open_piece(&d, wire + 32 + head, len - 32 - head, text), 0);
	assert_memory_equal(text, "world", 5);
}

/* ---- served ------------------------------------------------------------------------------ */

static void nothing_is_lost_when_memory_runs_out(void **state)
{
	static const char text[] = "the first chunkand the second";
	struct ss_client_conf conf;
	struct stream *c;
	struct dest dest;
	struct gate g;

	assert_int_equal(dest_parse(&dest, "a.example:1"), 0);
	FOR_EACH_METHOD(g)
	{
		ss_house_client(&g.house, SS_ALICE, &conf);
		c = ss_client_new(g.far, &conf, &dest);
		assert_int_equal(stream_open(c), 0);
		g.far = c;
		put_bytes(c, "hello", 5);
		assert_int_equal(stream_open(g.s), 0);
		assert_text(g.s, "hello");
		put_bytes(c, "the first chunk", 15);
		put_bytes(c, "and the second", 14);
		assert_comes_when_memory_is_scarce(g.s, text, sizeof(text) - 1);
		/* and the answer, of which the first bytes are in the head */
		put_bytes(g.s, "the first chunk", 15);
		put_bytes(g.s, "and the second", 14);
		assert_comes_when_memory_is_scarce(c, text, sizeof(text) - 1);
	}
}

static void a_request_tells_user_and_destination_and_carries_its_first_bytes(void **state)
{
	static const char *const to[] = {"192.0.2.1:80", "[2001:db8::1]:443", "a.example:65535"};
	uint8_t wire[4096];
	struct gate g;

	FOR_EACH_METHOD(g)
	{
		bool many = ss_house_has_bob(&g.house);

		for (int i = 0; i < 12; i++) {
			bool bob = many && i % 2;
			size_t len = record(&g, bob ? SS_BOB : SS_ALICE, to[i % 3],
					    i < 6 ? "first" : "", wire);

			gate_again(&g);
			put_bytes(g.far, wire, len);
			assert_int_equal(stream_open(g.s), 0);
			assert_request(&g, bob ? 2 : 1, to[i % 3]);
			assert_text(g.s, i < 6 ? "first" : "");
		}
	}
}

static void the_answer_and_its_head_are_one_write(void **state)
{
	uint8_t wire[4096], got[65536];
	struct gate g;

	FOR_EACH_METHOD(g)
	{
		const struct ss_method *m = g.house.conf.method;
		size_t head = m->class == SS_2022 ? m->salt_len + SS_MORE + 9 + m->salt_len
						  : m->salt_len + SS_MORE;

		put_bytes(g.far, wire, record(&g, SS_ALICE, "a.example:1", "x", wire));
		assert_int_equal(stream_open(g.s), 0);
		assert_int_equal(get_bytes(g.far, got, sizeof(got), NULL), 0);
		put_bytes(g.s, "answer", 6);
		assert_int_equal(get_bytes(g.far, got, sizeof(got), NULL), head + 6);
		/* and what was needed until then is gone */
		assert_null(sealed_of(g.s)->head);
	}
}

static struct ss_house *duo_house;

static void duo_start(struct loop *l, void *state)
{
	struct ss_client_conf conf;
	struct stream *x, *y;
	struct dest dest;

	assert_int_equal(dest_parse(&dest, "target.example:443"), 0);
	ss_house_client(duo_house, SS_ALICE, &conf);
	duo_pair(l, state, &x, &y);
	duo_talk(state, ss_client_new(x, &conf, &dest),
		 shadowsocks_proto.server(y, &duo_house->in));
}

static const struct scenario duo_scene = {duo_start, talkers_done, talkers_stop, duo_check,
					  sizeof(struct duo)};

static void every_byte_arrives_over_the_worst_of_networks_killed_at_each_turn(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(ss_sealed_methods); i++) {
		struct ss_house house;

		ss_house_open(&house, ss_sealed_methods[i]);
		duo_house = &house;
		duo_dribbles = true;
		duo_up = 700;
		duo_down = 900;
		kill_at_each_turn(&duo_scene, i + 1);
		ss_house_close(&house);
	}
}

static void bulk_arrives_whole_both_ways(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(ss_sealed_methods); i++) {
		struct ss_house house;
		struct duo t = {0};

		ss_house_open(&house, ss_sealed_methods[i]);
		duo_house = &house;
		duo_bulk(&duo_scene, &t);
		ss_house_close(&house);
	}
}

static void an_end_between_chunks_is_orderly_and_inside_one_it_is_a_cut(void **state)
{
	uint8_t wire[4096];
	struct gate g;

	FOR_EACH_METHOD(g)
	{
		size_t len = record(&g, SS_ALICE, "a.example:1", "hello", wire);

		assert_ends(&g, wire, len, "more");
	}
}

/* ---- strangers --------------------------------------------------------------------------- */

static void every_prefix_of_a_request_waits_for_the_rest(void **state)
{
	uint8_t wire[4096];
	struct gate g;

	FOR_EACH_METHOD(g)
	{
		size_t len = record(&g, SS_ALICE, "a.example:1", "hello", wire);

		for (size_t n = 0; n < len; n++)
			assert_int_equal(knock(&g, wire, n), -EAGAIN);
		assert_int_equal(knock(&g, wire, len), 0);
	}
}

/* A flipped bit either makes it nobody's, or leaves it waiting for bytes that will not come: the
 * session's deadline is the same for both. */
/* With -ERR_KICKED his connection ends before it has begun; until then he is there. */
static void a_user_who_is_removed_while_he_asks_is_held_until_it_ends(void **state)
{
	struct gate g;

	FOR_EACH_METHOD(g)
	{
		struct user_list nobody;
		struct user_changes changes;
		struct user_publication *pub;
		struct user_conn c;
		uint8_t bytes[4096];
		size_t len = record(&g, SS_ALICE, "target.example:443", "hello", bytes);

		put_bytes(g.far, bytes, len - 10);
		assert_int_equal(stream_open(g.s), -EAGAIN);
		user_list_init(&nobody);
		assert_int_equal(user_registry_apply(g.house.reg, &nobody, &changes, &pub), 0);
		pub->acks = 1;
		g.house.in.users = pub->table;
		assert_true(user_publication_ack(pub));
		assert_int_equal(user_registry_reap(g.house.reg, NULL, NULL), 1);
		put_bytes(g.far, bytes + len - 10, 10);
		assert_int_equal(stream_open(g.s), 0);
		user_conn_init(&c, NULL, NULL);
		assert_int_equal(user_conn_begin(&c, request_of(&g)->user, NULL, false, 0),
				 -ERR_KICKED);
		gate_again(&g);
		loop_turn(g.l, 0);
		assert_int_equal(user_registry_reap(g.house.reg, NULL, NULL), 0);
	}
}

static void one_wrong_bit_anywhere_and_nobody_is_there(void **state)
{
	uint8_t wire[4096];
	struct gate g;

	FOR_EACH_METHOD(g)
	{
		size_t len = record(&g, SS_ALICE, "a.example:1", "hello", wire);

		for (size_t bit = 0; bit < len * 8; bit++) {
			int err;

			wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
			err = knock(&g, wire, len);
			assert_true(err == -ERR_AUTH || err == -EAGAIN);
			wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		assert_int_equal(knock(&g, wire, len), 0);
	}
}

static void bytes_of_a_second_chunk_that_came_along_are_judged_with_the_first(void **state)
{
	uint8_t wire[4096];
	struct gate g;

	FOR_EACH_METHOD(g)
	{
		struct ss_client_conf conf;
		struct stream *near, *far;
		struct dest dest;
		size_t len;

		ss_house_client(&g.house, SS_ALICE, &conf);
		assert_int_equal(dest_parse(&dest, "a.example:1"), 0);
		assert_int_equal(pair_new(g.l, 65536, &near, &far), 0);
		near = ss_client_new(near, &conf, &dest);
		assert_int_equal(stream_open(near), 0);
		put_bytes(near, "one", 3);
		put_bytes(near, "two", 3);
		len = get_bytes(far, wire, sizeof(wire), NULL);
		stream_free(near);
		stream_free(far);

		assert_int_equal(knock(&g, wire, len), 0);
		assert_text(g.s, "onetwo");
		wire[len - 1] ^= 1;
		assert_int_equal(knock(&g, wire, len), -ERR_AUTH);
	}
}

static void a_stranger_of_any_length_is_nobody_and_gets_no_word(void **state)
{
	uint8_t wire[2000];
	struct gate g;

	FOR_EACH_METHOD(g)
	{
		for (size_t n = 1; n <= sizeof(wire); n += 1 + n / 40) {
			int err;

			random_bytes(wire, n);
			err = knock(&g, wire, n);
			assert_int_equal(err, n < 75 ? err : -ERR_AUTH);
			stream_shut(g.far);
			assert_int_equal(stream_open(g.s), -ERR_AUTH);
		}
	}
}

static void what_a_stranger_sent_comes_back_whole_for_a_fallback(void **state)
{
	uint8_t wire[4096], got[65536];
	struct gate g;

	FOR_EACH_METHOD(g)
	{
		size_t len = record(&g, SS_ALICE, "a.example:1", "hello", wire);

		g.house.in.first_pull_decides = true;
		assert_int_equal(knock(&g, wire, len), 0);
		assert_text(g.s, "hello");
		len = record(&g, SS_ALICE, "a.example:1", "hello", wire);
		for (size_t bit = 0; bit < len * 8; bit += 5) {
			wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
			if (knock(&g, wire, len) == -ERR_AUTH) {
				assert_int_equal(get_bytes(g.s, got, sizeof(got), NULL), len);
				assert_memory_equal(got, wire, len);
				put_bytes(g.far, "more", 4);
				assert_text(g.s, "more");
				put_bytes(g.s, "HTTP", 4);
				assert_text(g.far, "HTTP");
			}
			wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		assert_int_equal(knock(&g, wire, 10), -ERR_AUTH);
		g.house.in.first_pull_decides = false;
	}
}

/* The virtual clock says 1,700,000,000 at first. */
static void a_clock_that_is_off_by_more_than_30_seconds_is_refused(void **state)
{
	uint8_t wire[4096];
	struct gate g;

	FOR_EACH_METHOD(g)
	{
		size_t len = record(&g, SS_ALICE, "a.example:1", "hello", wire);
		bool timed = g.house.conf.method->class == SS_2022;

		loop_turn(g.l, 30 * NSEC_SEC);
		assert_int_equal(knock(&g, wire, len), 0);
		loop_turn(g.l, NSEC_SEC);
		assert_int_equal(knock(&g, wire, len), timed ? -ERR_AUTH : 0);
	}
}

static void a_recording_played_back_is_nobody(void **state)
{
	uint8_t wire[4096], got[65536];
	struct gate g;

	FOR_EACH_METHOD(g)
	{
		size_t len = record(&g, SS_ALICE, "a.example:1", "hello", wire);

		ss_house_remember(&g.house);
		/* what is wrong, or not whole, uses nothing up */
		wire[len - 1] ^= 1;
		if (g.house.conf.method->class == SS_AEAD)
			assert_int_equal(knock(&g, wire, len), -ERR_AUTH);
		wire[len - 1] ^= 1;
		assert_int_equal(knock(&g, wire, 40), -EAGAIN);
		assert_int_equal(knock(&g, wire, len), 0);
		for (int i = 0; i < 3; i++)
			assert_int_equal(knock(&g, wire, len), -ERR_AUTH);
		len = record(&g, SS_ALICE, "a.example:1", "hello", wire);
		assert_int_equal(knock(&g, wire, len), 0);
		/* nor is our own answer a request */
		memset(got, 'x', 100);
		put_bytes(g.s, got, 100);
		len = get_bytes(g.far, got, sizeof(got), NULL);
		assert_int_equal(knock(&g, got, len), -ERR_AUTH);
	}
}

/* ---- the client -------------------------------------------------------------------------- */

static void a_client_believes_only_the_answer_to_its_own_request(void **state)
{
	uint8_t wire[4096], got[65536], answer[4096];
	struct gate g;

	FOR_EACH_METHOD(g)
	{
		struct ss_client_conf conf;
		struct stream *c[2], *far[2];
		struct dest dest;
		struct bufq q;
		size_t len;
		ssize_t n;

		ss_house_client(&g.house, SS_ALICE, &conf);
		assert_int_equal(dest_parse(&dest, "a.example:1"), 0);
		for (int i = 0; i < 2; i++) {
			assert_int_equal(pair_new(g.l, 65536, &c[i], &far[i]), 0);
			c[i] = ss_client_new(c[i], &conf, &dest);
			assert_int_equal(stream_open(c[i]), 0);
			put_bytes(c[i], "hi", 2);
		}
		len = get_bytes(far[0], wire, sizeof(wire), NULL);
		gate_again(&g);
		put_bytes(g.far, wire, len);
		assert_int_equal(stream_open(g.s), 0);
		put_bytes(g.s, "answer", 6);
		len = get_bytes(g.far, answer, sizeof(answer), NULL);

		put_bytes(far[1], answer, len);
		bufq_init(&q, loop_pool(g.l), SIZE_MAX);
		n = stream_pull(c[1], &q, 100);
		assert_int_equal(n, conf.method->class == SS_2022 ? -ERR_AUTH : 6);
		bufq_done(&q);

		for (size_t at = 0; at < len; at++) {
			put_bytes(far[0], answer + at, 1);
			n = (ssize_t)get_bytes(c[0], got, sizeof(got), NULL);
			assert_int_equal(n, at + 1 < len ? 0 : 6);
		}
		assert_memory_equal(got, "answer", 6);
		for (int i = 0; i < 2; i++) {
			stream_free(c[i]);
			stream_free(far[i]);
		}
	}
}

static void passwords_of_links_become_client_keys(void **state)
{
	const struct ss_method *m = ss_method_find("2022-blake3-aes-128-gcm");
	struct ss_client_conf c;

	assert_int_equal(
		ss_client_conf_set(&c, m, "MjQ5MjBkZWNmODNmNjk2MA==:M2YyNTA0ZTAtNGY4OS0xMQ=="), 0);
	assert_int_equal(c.nipsk, 1);
	assert_memory_equal(c.ipsk[0], SS_IPSK, 16);
	assert_memory_equal(c.key, SS_ALICE, 16);
	assert_int_equal(ss_client_conf_set(&c, m, "MjQ5MjBkZWNmODNmNjk2MA=="), 0);
	assert_int_equal(c.nipsk, 0);
	assert_int_equal(ss_client_conf_set(&c, m, "short:M2YyNTA0ZTAtNGY4OS0xMQ=="),
			 -ERR_MALFORMED);
	assert_int_equal(ss_client_conf_set(&c, ss_method_find("aes-128-gcm"), "a:b"), 0);
	assert_int_equal(c.nipsk, 0);
}

static void a_connection_under_way_is_small(void **state)
{
	assert_true(sizeof(struct ss_layer) <= 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recorded_requests_are_understood),
		cmocka_unit_test(a_recorded_answer_opens_with_its_keys),
		cmocka_unit_test(nothing_is_lost_when_memory_runs_out),
		cmocka_unit_test(a_request_tells_user_and_destination_and_carries_its_first_bytes),
		cmocka_unit_test(the_answer_and_its_head_are_one_write),
		cmocka_unit_test(every_byte_arrives_over_the_worst_of_networks_killed_at_each_turn),
		cmocka_unit_test(bulk_arrives_whole_both_ways),
		cmocka_unit_test(an_end_between_chunks_is_orderly_and_inside_one_it_is_a_cut),
		cmocka_unit_test(every_prefix_of_a_request_waits_for_the_rest),
		cmocka_unit_test(a_user_who_is_removed_while_he_asks_is_held_until_it_ends),
		cmocka_unit_test(one_wrong_bit_anywhere_and_nobody_is_there),
		cmocka_unit_test(bytes_of_a_second_chunk_that_came_along_are_judged_with_the_first),
		cmocka_unit_test(a_stranger_of_any_length_is_nobody_and_gets_no_word),
		cmocka_unit_test(what_a_stranger_sent_comes_back_whole_for_a_fallback),
		cmocka_unit_test(a_clock_that_is_off_by_more_than_30_seconds_is_refused),
		cmocka_unit_test(a_recording_played_back_is_nobody),
		cmocka_unit_test(a_client_believes_only_the_answer_to_its_own_request),
		cmocka_unit_test(passwords_of_links_become_client_keys),
		cmocka_unit_test(a_connection_under_way_is_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
