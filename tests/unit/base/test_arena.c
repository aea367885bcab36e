#include "unit.h"

#include "base/arena.h"

static void memory_is_zeroed_and_aligned(void **state)
{
	struct arena a;

	arena_init(&a, 0);
	for (size_t size = 1; size < 5000; size += 97) {
		uint8_t *p = arena_alloc(&a, size);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xff, size);
	}
	arena_done(&a);
}

static void text_is_copied_and_printed(void **state)
{
	struct arena a;

	arena_init(&a, 0);
	assert_string_equal(arena_dup(&a, "abcd", 3), "abc");
	assert_string_equal(arena_dup(&a, NULL, 0), "");
	assert_string_equal(arena_strdup(&a, "abcd"), "abcd");
	assert_string_equal(arena_printf(&a, "%d %s", 7, "x"), "7 x");
	arena_done(&a);
}

static void the_limit_holds_and_done_gives_it_back(void **state)
{
	struct arena a;

	arena_init(&a, 10000);
	assert_null(arena_alloc(&a, 10001));
	assert_null(arena_alloc(&a, SIZE_MAX - 4));
	assert_non_null(arena_alloc(&a, 9000));
	assert_null(arena_alloc(&a, 9000));
	arena_done(&a);
	assert_non_null(arena_alloc(&a, 9000));
	arena_done(&a);
}

static void reset_keeps_one_block(void **state)
{
	struct arena a;

	arena_init(&a, 0);
	arena_reset(&a);
	for (int i = 0; i < 1000; i++) {
		arena_reset(&a);
		assert_non_null(arena_alloc(&a, 1500));
		assert_non_null(arena_alloc(&a, 1500));
	}
	assert_true(a.taken < 10000);
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zeroed_and_aligned),
		cmocka_unit_test(text_is_copied_and_printed),
		cmocka_unit_test(the_limit_holds_and_done_gives_it_back),
		cmocka_unit_test(reset_keeps_one_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
