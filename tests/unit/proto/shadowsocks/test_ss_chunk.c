/* The pieces of a sealed stream: what is sealed opens, however it lies in buffers. */
#include "unit.h"

#include <errno.h>

#include "crypto/random.h"
#include "proto/shadowsocks/ss_chunk.h"
#include "vectors.h"

static const char *const names[] = {"aes-128-gcm", "xchacha20-ietf-poly1305",
				    "2022-blake3-aes-256-gcm"};

static uint8_t byte_at(size_t i)
{
	return (uint8_t)(i * 131 + (i >> 8) * 7 + 3);
}

struct bench {
	struct buf_pool pool;
	struct ss_dir seal, open;
	struct bufq src, wire, got;
	size_t sent, read;
};

static void bench_init(struct bench *b, const char *method)
{
	const struct ss_method *m = ss_method_find(method);
	uint8_t key[SS_KEY_MAX] = {1, 2, 3}, salt[SS_SALT_MAX] = {4, 5};

	*b = (struct bench){0};
	buf_pool_init(&b->pool, 64, 0);
	bufq_init(&b->src, &b->pool, SIZE_MAX);
	bufq_init(&b->wire, &b->pool, SIZE_MAX);
	bufq_init(&b->got, &b->pool, SIZE_MAX);
	assert_int_equal(ss_dir_derive(&b->seal, m, key, salt), 0);
	assert_int_equal(ss_dir_derive(&b->open, m, key, salt), 0);
}

static void bench_done(struct bench *b)
{
	bufq_done(&b->src);
	bufq_done(&b->wire);
	bufq_done(&b->got);
	buf_pool_done(&b->pool);
}

/* A buffer of its own with `len` bytes, its front room short of `used`. */
static void add(struct bench *b, size_t len, size_t used)
{
	struct buf *x = buf_new(&b->pool);

	x->start -= (uint32_t)used;
	x->end = x->start + (uint32_t)len;
	for (size_t i = 0; i < len; i++)
		buf_head(x)[i] = byte_at(b->sent++);
	bufq_push(&b->src, x);
}

static void check(struct bench *b)
{
	uint8_t c;

	while (bufq_take(&b->got, &c, 1) == 1)
		assert_int_equal(c, byte_at(b->read++));
}

/* Seal all, then open all. */
static void there_and_back(struct bench *b, size_t burst)
{
	ssize_t n;

	while (!bufq_empty(&b->src))
		assert_true(ss_seal(&b->seal, &b->src, burst, &b->wire) > 0);
	while ((n = ss_open_chunk(&b->open, &b->wire, &b->got)) > 0)
		check(b);
	assert_int_equal(n, -ERR_MORE);
	assert_true(bufq_empty(&b->wire));
	assert_int_equal(b->read, b->sent);
}

#define FOR_EACH_METHOD(b)                                                    \
	for (size_t m_ = 0; m_ < ARRAY_LEN(names); m_++)                      \
		for (bool once_ = (bench_init(&(b), names[m_]), true); once_; \
		     once_ = (bench_done(&(b)), false))

static void full_buffers_are_sealed_where_they_lie_and_lose_nothing(void **state)
{
	struct bench b;

	FOR_EACH_METHOD(b)
	{
		size_t out;

		for (int i = 0; i < 80; i++)
			add(&b, BUF_PAYLOAD, 0);
		out = b.pool.nused;
		there_and_back(&b, SIZE_MAX);
		/* in place: at no time more buffers than were there, but for one being opened */
		assert_true(b.pool.nused + b.pool.nfree <= out + 1);
	}
}

static void buffers_of_any_length_and_room_are_sealed(void **state)
{
	struct bench b;

	FOR_EACH_METHOD(b)
	{
		for (int i = 0; i < 300; i++) {
			size_t used = i % 3 ? 0 : random_below(BUF_FRONT + 1);
			size_t len = i % 2 ? 1 + random_below(200)
					   : 1 + random_below((uint32_t)(BUF_PAYLOAD + used));

			add(&b, len, used);
			if (i % 7 == 0)
				there_and_back(&b, i % 14 ? SIZE_MAX : 20000);
		}
		there_and_back(&b, SIZE_MAX);
	}
}

static void what_is_sealed_opens_however_it_is_cut(void **state)
{
	struct bench b;

	FOR_EACH_METHOD(b)
	{
		struct bufq slow;
		ssize_t n;

		bufq_init(&slow, &b.pool, SIZE_MAX);
		for (int i = 0; i < 40; i++)
			add(&b, 1 + random_below(i % 2 ? 16384 : 60), 0);
		while (!bufq_empty(&b.src))
			assert_true(ss_seal(&b.seal, &b.src, SIZE_MAX, &b.wire) > 0);
		while (!bufq_empty(&b.wire)) {
			bufq_move(&slow, &b.wire, 1 + random_below(random_below(5) ? 50 : 20000));
			while ((n = ss_open_chunk(&b.open, &slow, &b.got)) > 0)
				check(&b);
			assert_int_equal(n, -ERR_MORE);
		}
		assert_int_equal(b.read, b.sent);
	}
}

/* What a peer may send and we do not: one piece of up to 65535 bytes. */
static void the_largest_chunk_of_2022_opens_from_one_buffer_or_from_many(void **state)
{
	static uint8_t text[65535], sealed[65535 + SS_MORE];
	const uint8_t length[2] = {0xff, 0xff};

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = byte_at(i);
	for (int way = 0; way < 3; way++) {
		struct bench b;
		size_t at = 0;

		bench_init(&b, names[2]);
		b.sent = sizeof(text);
		assert_int_equal(ss_seal_piece(&b.seal, length, 2, sealed), 0);
		assert_int_equal(ss_seal_piece(&b.seal, text, sizeof(text), sealed + SS_LEN), 0);
		while (at < sizeof(sealed)) {
			size_t n = MIN(way == 0	  ? (size_t)BUF_PAYLOAD
				       : way == 1 ? 700u
						  : 13u,
				       sizeof(sealed) - at);
			struct buf *x = buf_new(&b.pool);

			memcpy(buf_head(x), sealed + at, n);
			x->end += (uint32_t)n;
			bufq_push(&b.wire, x);
			at += n;
		}
		assert_int_equal(ss_open_chunk(&b.open, &b.wire, &b.got), sizeof(text));
		check(&b);
		assert_int_equal(b.read, b.sent);
		assert_true(bufq_empty(&b.wire));
		bench_done(&b);
	}
}

/* The pool is at its limit at each point at which opening takes a buffer. */
static void a_large_chunk_opens_once_there_is_memory_again(void **state)
{
	static const uint8_t length[2] = {0xea, 0x60};
	static uint8_t text[60000], sealed[sizeof(text) + SS_MORE];
	bool refused = false;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = byte_at(i);
	for (size_t spare = 0; spare < 4; spare++) {
		struct bench b;
		ssize_t n;

		bench_init(&b, names[2]);
		b.sent = sizeof(text);
		assert_int_equal(ss_seal_piece(&b.seal, length, 2, sealed), 0);
		assert_int_equal(ss_seal_piece(&b.seal, text, sizeof(text), sealed + SS_LEN), 0);
		assert_int_equal(bufq_append(&b.wire, sealed, sizeof(sealed)), 0);
		/* what stands behind it must not be lost either */
		assert_int_equal(bufq_append(&b.wire, text, 100), 0);
		b.pool.max = b.pool.nused + spare;
		n = ss_open_chunk(&b.open, &b.wire, &b.got);
		if (n == -ENOMEM) {
			refused = true;
			assert_true(bufq_empty(&b.got));
			assert_int_equal(bufq_len(&b.wire), sizeof(sealed) - SS_LEN + 100);
			b.pool.max = 0;
			n = ss_open_chunk(&b.open, &b.wire, &b.got);
		}
		assert_int_equal(n, sizeof(text));
		check(&b);
		assert_int_equal(b.read, b.sent);
		assert_int_equal(bufq_len(&b.wire), 100);
		bench_done(&b);
	}
	assert_true(refused);
}

static void one_wrong_bit_anywhere_is_refused_and_lets_nothing_out(void **state)
{
	struct bench b;

	FOR_EACH_METHOD(b)
	{
		const size_t len = 40 + SS_MORE;
		uint8_t wire[100];

		add(&b, 40, 0);
		assert_int_equal(ss_seal(&b.seal, &b.src, SIZE_MAX, &b.wire), 40);
		assert_int_equal(bufq_take(&b.wire, wire, sizeof(wire)), len);
		for (size_t bit = 0; bit < len * 8; bit++) {
			struct ss_dir fresh = b.open;

			wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(bufq_append(&b.wire, wire, len), 0);
			assert_int_equal(ss_open_chunk(&fresh, &b.wire, &b.got), -ERR_AUTH);
			assert_true(bufq_empty(&b.got));
			bufq_done(&b.wire);
			wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

static void lengths_that_no_chunk_has_are_refused(void **state)
{
	static const struct {
		int method;
		uint8_t length[2];
	} cases[] = {{0, {0x40, 0}}, {0, {0xff, 0xff}}, {1, {0x40, 0}}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint8_t sealed[SS_LEN];
		struct bench b;

		bench_init(&b, names[cases[i].method]);
		assert_int_equal(ss_seal_piece(&b.seal, cases[i].length, 2, sealed), 0);
		assert_int_equal(bufq_append(&b.wire, sealed, sizeof(sealed)), 0);
		assert_int_equal(ss_open_chunk(&b.open, &b.wire, &b.got), -ERR_MALFORMED);
		bench_done(&b);
	}
}

static void put_empty(struct bench *b)
{
	static const uint8_t zero[2];
	uint8_t sealed[SS_MORE];

	assert_int_equal(ss_seal_piece(&b->seal, zero, 2, sealed), 0);
	assert_int_equal(ss_seal_piece(&b->seal, zero, 0, sealed + SS_LEN), 0);
	assert_int_equal(bufq_append(&b->wire, sealed, sizeof(sealed)), 0);
}

/* Byte by byte, so that it is waited for in the middle of the empty one too. */
static void an_empty_chunk_says_nothing_and_is_passed_over(void **state)
{
	struct bench b;

	FOR_EACH_METHOD(b)
	{
		struct bufq slow;

		bufq_init(&slow, &b.pool, SIZE_MAX);
		for (int i = 0; i < 3; i++) {
			put_empty(&b);
			add(&b, 40, 0);
			assert_int_equal(ss_seal(&b.seal, &b.src, SIZE_MAX, &b.wire), 40);
			while (bufq_len(&b.wire) > 1) {
				bufq_move(&slow, &b.wire, 1);
				assert_int_equal(ss_open_chunk(&b.open, &slow, &b.got), -ERR_MORE);
			}
			bufq_move(&slow, &b.wire, 1);
			assert_int_equal(ss_open_chunk(&b.open, &slow, &b.got), 40);
			check(&b);
		}
		assert_true(bufq_empty(&slow));
	}
}

static void a_row_of_empty_chunks_is_refused(void **state)
{
	struct bench b;

	FOR_EACH_METHOD(b)
	{
		put_empty(&b);
		put_empty(&b);
		assert_int_equal(ss_open_chunk(&b.open, &b.wire, &b.got), -ERR_MALFORMED);
		bufq_done(&b.wire);
	}
}

static void one_wrong_bit_of_an_empty_chunk_is_refused(void **state)
{
	struct bench b;

	FOR_EACH_METHOD(b)
	{
		uint8_t wire[SS_MORE];

		put_empty(&b);
		assert_int_equal(bufq_take(&b.wire, wire, sizeof(wire)), SS_MORE);
		for (size_t bit = 0; bit < SS_MORE * 8; bit++) {
			struct ss_dir fresh = b.open;

			wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(bufq_append(&b.wire, wire, SS_MORE), 0);
			assert_int_equal(ss_open_chunk(&fresh, &b.wire, &b.got), -ERR_AUTH);
			bufq_done(&b.wire);
			wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_buffers_are_sealed_where_they_lie_and_lose_nothing),
		cmocka_unit_test(buffers_of_any_length_and_room_are_sealed),
		cmocka_unit_test(what_is_sealed_opens_however_it_is_cut),
		cmocka_unit_test(the_largest_chunk_of_2022_opens_from_one_buffer_or_from_many),
		cmocka_unit_test(a_large_chunk_opens_once_there_is_memory_again),
		cmocka_unit_test(one_wrong_bit_anywhere_is_refused_and_lets_nothing_out),
		cmocka_unit_test(lengths_that_no_chunk_has_are_refused),
		cmocka_unit_test(an_empty_chunk_says_nothing_and_is_passed_over),
		cmocka_unit_test(a_row_of_empty_chunks_is_refused),
		cmocka_unit_test(one_wrong_bit_of_an_empty_chunk_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
