#include "unit.h"

#include "base/buf.h"

static struct buf_pool pool;

static int setup(void **state)
{
	buf_pool_init(&pool, 4, 0);
	return 0;
}

static int teardown(void **state)
{
	buf_pool_done(&pool); /* asserts that every chunk came back */
	return 0;
}

static void fill(struct bufq *q, size_t len, unsigned seed)
{
	uint8_t *p = malloc(len);

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(seed + i * 7);
	assert_int_equal(bufq_append(q, p, len), 0);
	free(p);
}

static void check(struct bufq *q, size_t len, unsigned seed)
{
	uint8_t *p = malloc(len);

	assert_int_equal(bufq_take(q, p, len), len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(p[i], (uint8_t)(seed + i * 7));
	free(p);
}

static void what_is_held_elsewhere_counts_against_the_limit(void **state)
{
	struct buf_pool p;
	struct buf *b;

	buf_pool_init(&p, 0, 8);
	assert_true(buf_pool_hold(&p, 6));
	assert_false(buf_pool_short(&p));
	b = buf_new(&p);
	assert_non_null(b);
	assert_true(buf_pool_short(&p));
	assert_false(buf_pool_hold(&p, 2));
	assert_true(buf_pool_hold(&p, 1));
	assert_null(buf_new(&p));
	buf_pool_let_go(&p, 7);
	buf_free(b);
	buf_pool_done(&p);
}

static void append_spans_chunks_and_take_gives_the_same_bytes(void **state)
{
	struct bufq q;

	bufq_init(&q, &pool, SIZE_MAX);
	fill(&q, 3 * BUF_PAYLOAD + 5, 1);
	assert_int_equal(bufq_len(&q), 3 * BUF_PAYLOAD + 5);
	check(&q, 3 * BUF_PAYLOAD + 5, 1);
	assert_true(bufq_empty(&q));
	assert_int_equal(pool.nused, 0);
}

static void move_takes_whole_chunks_by_pointer(void **state)
{
	struct bufq a, b;
	struct buf *first;

	bufq_init(&a, &pool, SIZE_MAX);
	bufq_init(&b, &pool, SIZE_MAX);
	fill(&a, 2 * BUF_PAYLOAD, 9);
	first = a.head;
	assert_int_equal(bufq_move(&b, &a, BUF_PAYLOAD), BUF_PAYLOAD);
	assert_ptr_equal(b.head, first);
	assert_int_equal(bufq_move(&b, &a, 100), 100);
	assert_int_equal(bufq_move(&b, &a, SIZE_MAX), BUF_PAYLOAD - 100);
	check(&b, 2 * BUF_PAYLOAD, 9);
}

static void prepend_goes_into_front_room_or_a_chunk_of_its_own(void **state)
{
	struct bufq q;
	uint8_t big[BUF_FRONT + 1], out[3];

	bufq_init(&q, &pool, SIZE_MAX);
	assert_int_equal(bufq_prepend(&q, "abc", 3), 0);
	assert_int_equal(bufq_prepend(&q, "xy", 2), 0);
	assert_int_equal(bufq_peek(&q, 1, out, 3), 3);
	assert_memory_equal(out, "yab", 3);
	memset(big, 'z', sizeof(big));
	assert_int_equal(bufq_prepend(&q, big, sizeof(big)), 0);
	assert_int_equal(bufq_len(&q), sizeof(big) + 5);
	bufq_done(&q);
}

static void linear_gathers_without_losing_bytes(void **state)
{
	struct bufq q;
	const uint8_t *p;
	size_t got;

	bufq_init(&q, &pool, SIZE_MAX);
	assert_null(bufq_linear(&q, 10, &got));
	for (int i = 0; i < 4; i++) {
		struct buf *b = buf_new(&pool);

		b->data[b->end++] = (uint8_t)i;
		bufq_push(&q, b);
	}
	p = bufq_linear(&q, 10, &got);
	assert_int_equal(got, 4);
	assert_memory_equal(p, "\0\1\2\3", 4);
	assert_int_equal(bufq_len(&q), 4);
	bufq_done(&q);
}

static void a_fresh_tail_without_commit_is_freed(void **state)
{
	struct bufq q;

	bufq_init(&q, &pool, SIZE_MAX);
	assert_non_null(bufq_tail_room(&q, 10));
	bufq_commit(&q, 0);
	assert_null(q.head);
	fill(&q, BUF_PAYLOAD, 3);
	assert_non_null(bufq_tail_room(&q, 10));
	bufq_commit(&q, 0);
	check(&q, BUF_PAYLOAD, 3);
}

static void a_full_pool_leaves_the_queue_as_it_was(void **state)
{
	struct buf_pool small;
	struct bufq q;
	uint8_t block[2 * BUF_PAYLOAD] = {0};

	buf_pool_init(&small, 0, 1);
	bufq_init(&q, &small, SIZE_MAX);
	assert_int_equal(bufq_append(&q, "abc", 3), 0);
	assert_int_equal(bufq_append(&q, block, sizeof(block)), -ENOMEM);
	assert_int_equal(bufq_len(&q), 3);
	bufq_done(&q);
	buf_pool_done(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_held_elsewhere_counts_against_the_limit),
		cmocka_unit_test(append_spans_chunks_and_take_gives_the_same_bytes),
		cmocka_unit_test(move_takes_whole_chunks_by_pointer),
		cmocka_unit_test(prepend_goes_into_front_room_or_a_chunk_of_its_own),
		cmocka_unit_test(linear_gathers_without_losing_bytes),
		cmocka_unit_test(a_fresh_tail_without_commit_is_freed),
		cmocka_unit_test(a_full_pool_leaves_the_queue_as_it_was),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
