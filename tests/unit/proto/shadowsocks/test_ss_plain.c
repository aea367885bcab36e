/* Shadowsocks without integrity: stream ciphers and none, both ends. */
#include "unit.h"

#include "crypto/random.h"
#include "crypto/stream_cipher.h"
#include "proto/shadowsocks/ss_cipher.h"
#include "stream/pair.h"

#include "hostile.h"
#include "ss_house.h"
#include "stage.h"
#include "vectors.h"

static const char *const methods[] = {
	"none",	       "aes-128-cfb", "aes-192-cfb", "aes-256-cfb",   "aes-128-ctr", "aes-192-ctr",
	"aes-256-ctr", "rc4-md5",     "chacha20",    "chacha20-ietf", "xchacha20",
};

struct gate {
	struct loop *l;
	struct ss_house house;
	struct stream *s, *far;
};

static void gate_again(struct gate *g)
{
	struct stream *near;

	stream_free(g->s);
	stream_free(g->far);
	assert_int_equal(pair_new(g->l, 65536, &near, &g->far), 0);
	g->s = shadowsocks_proto.server(near, &g->house.in);
	assert_non_null(g->s);
}

static void gate_open(struct gate *g, const char *method)
{
	*g = (struct gate){.l = loop_new(LOOP_VIRTUAL, 1)};
	ss_house_open(&g->house, method);
	gate_again(g);
}

static void gate_close(struct gate *g)
{
	stream_free(g->s);
	stream_free(g->far);
	loop_turn(g->l, 0);
	assert_int_equal(loop_pool(g->l)->nused, 0);
	loop_free(g->l);
	ss_house_close(&g->house);
}

static void assert_asks_for(struct gate *g, const char *to, const char *text)
{
	char dest[DEST_TEXT_MAX];
	uint8_t got[65536];
	union stream_value v;
	struct bufq first;

	assert_int_equal(stream_open(g->s), 0);
	assert_int_equal(stream_query(g->s, STREAM_REQUEST, &v), 0);
	assert_int_equal(user_id(v.request->user), 1);
	assert_string_equal(dest_format(&v.request->dest, dest), to);
	bufq_init(&first, loop_pool(g->l), 16);
	g->s = stream_peel(g->s, &first);
	assert_true(bufq_empty(&first));
	assert_int_equal(get_bytes(g->s, got, sizeof(got), NULL), strlen(text));
	assert_memory_equal(got, text, strlen(text));
}

static void recorded_requests_are_understood(void **state)
{
	static const struct {
		const char *method, *vector;
	} cases[] = {
		{"aes-256-cfb", "aes_256_cfb"},
		{"aes-256-ctr", "aes_256_ctr"},
		{"rc4-md5", "rc4_md5"},
		{"chacha20-ietf", "chacha20_ietf"},
	};
	uint8_t wire[256];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct gate g;

		gate_open(&g, cases[i].method);
		put_bytes(g.far, wire, vector_bytes("shadowsocks_stream", cases[i].vector, wire));
		assert_asks_for(&g, "www.example.com:443", "hello");
		gate_close(&g);
	}
}

/* RFC 6229, the key 01 02 ... 10. */
static void rc4_is_rc4(void **state)
{
	static const uint8_t key[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
	static const uint8_t want[16] = {0x9a, 0xc7, 0xcc, 0x9a, 0x60, 0x9d, 0x1e, 0xf7,
					 0xb2, 0x93, 0x28, 0x99, 0xcd, 0xe4, 0x1b, 0x97};
	struct stream_cipher *c = stream_cipher_new(STREAM_RC4, key, sizeof(key), NULL, true);
	uint8_t out[16] = {0};

	assert_non_null(c);
	assert_int_equal(stream_cipher_run(c, out, 5, out), 0);
	assert_int_equal(stream_cipher_run(c, out + 5, 11, out + 5), 0);
	assert_memory_equal(out, want, sizeof(want));
	stream_cipher_free(c);
}

static void ciphers_do_not_care_how_bytes_are_cut(void **state)
{
	static const uint8_t key[32] = "0123456789abcdefghijklmnopqrstu", iv[24] = {9};
	static uint8_t a[5000], b[5000];

	for (int alg = STREAM_AES_CFB; alg <= STREAM_XCHACHA20; alg++) {
		struct stream_cipher *x = stream_cipher_new(alg, key, 32, iv, true);
		struct stream_cipher *y = stream_cipher_new(alg, key, 32, iv, true);
		struct stream_cipher *z = stream_cipher_new(alg, key, 32, iv, false);

		memset(a, 7, sizeof(a));
		memset(b, 7, sizeof(b));
		assert_int_equal(stream_cipher_run(x, a, sizeof(a), a), 0);
		for (size_t at = 0, n; at < sizeof(b); at += n) {
			n = MIN(1u + random_below(100), sizeof(b) - at);
			assert_int_equal(stream_cipher_run(y, b + at, n, b + at), 0);
		}
		assert_memory_equal(a, b, sizeof(a));
		assert_int_equal(stream_cipher_run(z, a, sizeof(a), a), 0);
		for (size_t i = 0; i < sizeof(a); i++)
			assert_int_equal(a[i], 7);
		stream_cipher_free(x);
		stream_cipher_free(y);
		stream_cipher_free(z);
	}
}

static struct ss_house *duo_house;

static void duo_start(struct loop *l, void *state)
{
	struct talker *t = state;
	struct ss_client_conf conf;
	struct stream *x, *y;
	struct dest dest;

	assert_int_equal(dest_parse(&dest, "target.example:443"), 0);
	ss_house_client(duo_house, SS_ALICE, &conf);
	assert_int_equal(pair_new(l, 300, &x, &y), 0);
	x = dribble_new(x, &DRIBBLE(1));
	y = dribble_new(y, &DRIBBLE(2));
	talker_start(&t[0], ss_client_new(x, &conf, &dest), 600, 1, 2);
	talker_start(&t[1], shadowsocks_proto.server(y, &duo_house->in), 700, 2, 1);
}

static void duo_check(void *state)
{
	struct talker *t = state;

	assert_int_equal(t[0].err, 0);
	assert_int_equal(t[1].err, 0);
	assert_int_equal(t[1].received, 600);
	assert_int_equal(t[0].received, 700);
}

static void every_byte_arrives_over_the_worst_of_networks_killed_at_each_turn(void **state)
{
	const struct scenario sc = {duo_start, talkers_done, talkers_stop, duo_check,
				    2 * sizeof(struct talker)};

	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		struct ss_house house;

		ss_house_open(&house, methods[i]);
		duo_house = &house;
		kill_at_each_turn(&sc, i + 1);
		ss_house_close(&house);
	}
}

static void noise_is_a_stranger_and_every_prefix_waits(void **state)
{
	uint8_t wire[1024], got[64];
	struct gate g;

	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		struct ss_client_conf conf;
		struct stream *near, *far;
		struct dest dest;
		size_t len, refused = 0;

		gate_open(&g, methods[i]);
		ss_house_client(&g.house, SS_ALICE, &conf);
		assert_int_equal(dest_parse(&dest, "a.example:1"), 0);
		assert_int_equal(pair_new(g.l, 65536, &near, &far), 0);
		near = ss_client_new(near, &conf, &dest);
		put_bytes(near, "x", 1);
		len = get_bytes(far, wire, sizeof(wire), NULL);
		stream_free(near);
		stream_free(far);
		for (size_t n = 1; n < len - 1; n++) {
			gate_again(&g);
			put_bytes(g.far, wire, n);
			assert_int_equal(stream_open(g.s), -EAGAIN);
		}
		for (int k = 0; k < 200; k++) {
			gate_again(&g);
			random_bytes(wire, 300);
			put_bytes(g.far, wire, 300);
			refused += stream_open(g.s) == -ERR_AUTH;
			assert_int_equal(get_bytes(g.far, got, sizeof(got), NULL), 0);
		}
		assert_true(refused > 150); /* 1, 3 and 4 of 256 look like the type of an address */
		gate_close(&g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recorded_requests_are_understood),
		cmocka_unit_test(rc4_is_rc4),
		cmocka_unit_test(ciphers_do_not_care_how_bytes_are_cut),
		cmocka_unit_test(every_byte_arrives_over_the_worst_of_networks_killed_at_each_turn),
		cmocka_unit_test(noise_is_a_stranger_and_every_prefix_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
