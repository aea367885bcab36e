#include "unit.h"

#include "crypto/random.h"
#include "tls/record.h"

static struct buf_pool pool;
static struct tls_records a, b; /* two ends: what `a` seals, `b` opens */

static const uint16_t suites[] = {0x1301, 0x1302, 0x1303};

static void connect_ends(uint16_t suite)
{
	uint8_t s1[48], s2[48];

	random_bytes(s1, sizeof(s1));
	random_bytes(s2, sizeof(s2));
	tls_records_init(&a, true);
	tls_records_init(&b, false);
	assert_int_equal(tls_dir_set(&a.out, suite, s1, 0), 0);
	assert_int_equal(tls_dir_set(&b.in, suite, s1, 0), 0);
	assert_int_equal(tls_dir_set(&b.out, suite, s2, 2), 0);
	assert_int_equal(tls_dir_set(&a.in, suite, s2, 2), 0);
}

static int setup(void **state)
{
	buf_pool_init(&pool, 64, 0);
	connect_ends(0x1301);
	return 0;
}

static int teardown(void **state)
{
	tls_records_clear(&a);
	tls_records_clear(&b);
	buf_pool_done(&pool);
	return 0;
}

static void fill(struct bufq *q, size_t len)
{
	uint8_t *p = malloc(len + 1);

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 7 + i / 251);
	assert_int_equal(bufq_append(q, p, len), 0);
	free(p);
}

static void check(struct bufq *q, size_t len)
{
	uint8_t *p = malloc(len + 1);

	assert_int_equal(bufq_len(q), len);
	bufq_take(q, p, len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(p[i], (uint8_t)(i * 7 + i / 251));
	free(p);
}

static void queues(struct bufq *plain, struct bufq *wire, struct bufq *out)
{
	bufq_init(plain, &pool, SIZE_MAX);
	bufq_init(wire, &pool, SIZE_MAX);
	bufq_init(out, &pool, SIZE_MAX);
}

static size_t count_records(const struct bufq *wire)
{
	size_t n = 0, at = 0;
	uint8_t h[5];

	while (bufq_peek(wire, at, h, 5) == 5) {
		at += 5 + (size_t)(h[3] << 8 | h[4]);
		n++;
	}
	assert_int_equal(at, bufq_len(wire));
	return n;
}

static void what_one_seals_the_other_opens(void **state)
{
	static const size_t lens[] = {1,     2,	    100,   1400,   8191,  8192,
				      16383, 16384, 16385, 100000, 262144};
	struct bufq plain, wire, out;

	queues(&plain, &wire, &out);
	for (size_t s = 0; s < ARRAY_LEN(suites); s++) {
		connect_ends(suites[s]);
		for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
			fill(&plain, lens[i]);
			assert_int_equal(tls_records_seal(&a, &plain, SIZE_MAX, false, &wire),
					 lens[i]);
			assert_int_equal(count_records(&wire), (lens[i] + 16383) / 16384);
			while (!bufq_empty(&wire))
				assert_int_equal(tls_records_open(&b, &wire, &out), TLS_GOT_RECORD);
			check(&out, lens[i]);
		}
		tls_records_clear(&a);
		tls_records_clear(&b);
	}
}

static void small_pieces_share_a_record(void **state)
{
	struct bufq plain, wire, out;

	queues(&plain, &wire, &out);
	for (int i = 0; i < 10; i++) {
		struct buf *c = buf_new(&pool);

		memset(c->data + c->end, 'a' + i, 100);
		c->end += 100;
		bufq_push(&plain, c);
	}
	assert_int_equal(tls_records_seal(&a, &plain, SIZE_MAX, false, &wire), 1000);
	assert_int_equal(count_records(&wire), 1);
	assert_int_equal(tls_records_open(&b, &wire, &out), TLS_GOT_RECORD);
	assert_int_equal(bufq_len(&out), 1000);
	bufq_done(&out);
}

static void a_full_chunk_is_sealed_where_it_lies(void **state)
{
	struct bufq plain, wire, out;
	struct buf *chunk;

	queues(&plain, &wire, &out);
	fill(&plain, 2 * 16384);
	chunk = plain.head;
	assert_int_equal(tls_records_seal(&a, &plain, SIZE_MAX, false, &wire), 2 * 16384);
	assert_ptr_equal(wire.head, chunk);
	assert_int_equal(tls_records_open(&b, &wire, &out), TLS_GOT_RECORD);
	assert_ptr_equal(out.head, chunk); /* and opened there */
	assert_int_equal(tls_records_open(&b, &wire, &out), TLS_GOT_RECORD);
	check(&out, 2 * 16384);
}

static void whole_records_take_all_chunks_together(void **state)
{
	struct bufq plain, wire, out;

	queues(&plain, &wire, &out);
	for (int i = 0; i < 2; i++) {
		struct buf *c = buf_new(&pool);

		memset(c->data + c->end, 'x', 8192);
		c->end += 8192;
		bufq_push(&plain, c);
	}
	assert_int_equal(tls_records_seal(&a, &plain, SIZE_MAX, true, &wire), 16384);
	assert_int_equal(count_records(&wire), 1);
	bufq_done(&wire);
}

static void a_record_opens_however_it_is_cut(void **state)
{
	struct bufq plain, wire, cut, out;

	queues(&plain, &wire, &out);
	bufq_init(&cut, &pool, SIZE_MAX);
	for (size_t piece = 1; piece < 20000; piece = piece * 5 + 1) {
		fill(&plain, 3000);
		assert_int_equal(tls_records_seal(&a, &plain, SIZE_MAX, false, &wire), 3000);
		while (!bufq_empty(&wire)) {
			struct buf *c = buf_new(&pool);

			assert_int_equal(tls_records_open(&b, &cut, &out), TLS_GOT_MORE);
			assert_true(tls_records_need(&cut) > bufq_len(&cut));
			c->end += (uint32_t)bufq_take(&wire, c->data + c->end,
						      MIN(piece, (size_t)BUF_PAYLOAD));
			bufq_push(&cut, c);
		}
		assert_int_equal(tls_records_open(&b, &cut, &out), TLS_GOT_RECORD);
		check(&out, 3000);
	}
}

static void max_fragment_length_is_kept(void **state)
{
	struct bufq plain, wire, out;

	queues(&plain, &wire, &out);
	a.fragment = 512;
	fill(&plain, 20000);
	assert_int_equal(tls_records_seal(&a, &plain, SIZE_MAX, false, &wire), 20000);
	assert_int_equal(count_records(&wire), (20000 + 511) / 512);
	b.fragment = 512;
	while (!bufq_empty(&wire))
		assert_int_equal(tls_records_open(&b, &wire, &out), TLS_GOT_RECORD);
	check(&out, 20000);
	a.fragment = 1024;
	fill(&plain, 1024);
	assert_int_equal(tls_records_seal(&a, &plain, SIZE_MAX, false, &wire), 1024);
	assert_int_equal(tls_records_open(&b, &wire, &out), TLS_GOT_FAIL);
	assert_int_equal(b.alert, TLS_RECORD_OVERFLOW);
	bufq_done(&wire);
}

static void keys_change_and_both_go_on(void **state)
{
	struct bufq plain, wire, out;

	queues(&plain, &wire, &out);
	for (int i = 0; i < 5; i++) {
		fill(&plain, 100);
		assert_int_equal(tls_records_seal(&a, &plain, SIZE_MAX, false, &wire), 100);
		assert_int_equal(tls_records_rekey(&a, &wire), 0);
		assert_int_equal(a.out.seq, 0);
		fill(&plain, 20000);
		assert_int_equal(tls_records_seal(&a, &plain, SIZE_MAX, false, &wire), 20000);
		assert_int_equal(tls_records_open(&b, &wire, &out), TLS_GOT_RECORD);
		check(&out, 100);
		while (!bufq_empty(&wire))
			assert_int_equal(tls_records_open(&b, &wire, &out), TLS_GOT_RECORD);
		check(&out, 20000);
	}
}

static void own_keys_change_before_they_are_worn_out(void **state)
{
	struct bufq plain, wire, out;

	queues(&plain, &wire, &out);
	a.out.seq = b.in.seq = ((uint64_t)1 << 23) - 1;
	for (int i = 0; i < 3; i++) {
		fill(&plain, 10);
		assert_int_equal(tls_records_seal(&a, &plain, SIZE_MAX, false, &wire), 10);
	}
	assert_int_equal(count_records(&wire), 4);
	assert_int_equal(a.out.seq, 2);
	while (!bufq_empty(&wire))
		assert_int_equal(tls_records_open(&b, &wire, &out), TLS_GOT_RECORD);
	assert_int_equal(bufq_len(&out), 30);
	bufq_done(&out);
}

static void tickets_pass_by_a_client_but_not_a_server(void **state)
{
	static const uint8_t ticket[] = {4, 0, 0, 6, 1, 2, 3, 4, 5, 6};
	struct bufq wire, out, unused;

	queues(&unused, &wire, &out);
	assert_int_equal(tls_records_put(&b, TLS_HANDSHAKE, ticket, 7, &wire), 0);
	assert_int_equal(tls_records_put(&b, TLS_HANDSHAKE, ticket + 7, 3, &wire), 0);
	assert_int_equal(tls_records_put(&b, TLS_DATA, "data", 4, &wire), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(tls_records_open(&a, &wire, &out), TLS_GOT_RECORD);
	assert_int_equal(bufq_len(&out), 4);
	bufq_done(&out);
	assert_int_equal(tls_records_put(&a, TLS_HANDSHAKE, ticket, 10, &wire), 0);
	assert_int_equal(tls_records_open(&b, &wire, &out), TLS_GOT_FAIL);
	assert_int_equal(b.alert, TLS_UNEXPECTED_MESSAGE);
}

static void a_wrong_record_lets_nothing_out(void **state)
{
	struct bufq plain, wire, out;

	queues(&plain, &wire, &out);
	fill(&plain, 1000);
	assert_int_equal(tls_records_seal(&a, &plain, SIZE_MAX, false, &wire), 1000);
	wire.head->data[wire.head->start + 500] ^= 1;
	assert_int_equal(tls_records_open(&b, &wire, &out), TLS_GOT_FAIL);
	assert_int_equal(b.alert, TLS_BAD_RECORD_MAC);
	assert_true(bufq_empty(&out));
	bufq_done(&wire);
}

static void one_direction_is_small(void **state)
{
	assert_true(sizeof(struct tls_dir) <= 120);
	assert_int_equal(tls_dir_set(&a.in, 0x1304, (const uint8_t *)"", 0), -ERR_UNSUPPORTED);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_one_seals_the_other_opens),
		T(small_pieces_share_a_record),
		T(a_full_chunk_is_sealed_where_it_lies),
		T(whole_records_take_all_chunks_together),
		T(a_record_opens_however_it_is_cut),
		T(max_fragment_length_is_kept),
		T(keys_change_and_both_go_on),
		T(own_keys_change_before_they_are_worn_out),
		T(tickets_pass_by_a_client_but_not_a_server),
		T(a_wrong_record_lets_nothing_out),
		T(one_direction_is_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
