/* UDP over TCP while memory is short: the linker leads every allocation of src by here. */
#include "unit.h"

#include "proto/uot/uot.h"
#include "ss_house.h"
#include "stream/pair.h"

/* The allocation that fails, counted down to; 0: none. */
static unsigned left;

static bool fails(void)
{
	return left && --left == 0;
}

void *__real_calloc(size_t n, size_t size);
void *__real_malloc(size_t size);
void *__real_aligned_alloc(size_t align, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
	return fails() ? NULL : __real_aligned_alloc(align, size);
}

/* On a loop of its own, whose pool is cold.  True: nothing failed. */
static bool client_without(const struct ss_client_conf *conf, int version, unsigned nth)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct stream *x, *y;
	struct dgram *d;
	bool whole;

	assert_non_null(l);
	assert_int_equal(pair_new(l, 1 << 20, &x, &y), 0);
	left = nth;
	d = ss_client_uot(x, conf, version);
	whole = left > 0;
	left = 0;
	assert_int_equal(d != NULL, whole);
	dgram_free(d);
	stream_free(y);
	loop_turn(l, 0);
	assert_int_equal(loop_pool(l)->nused, 0);
	loop_free(l);
	return whole;
}

static void a_client_that_gets_no_memory_leaves_nothing_behind(void **state)
{
	static const char *const methods[] = {"aes-256-gcm", "none"};
	struct ss_client_conf conf;
	struct ss_house house;

	for (size_t m = 0; m < ARRAY_LEN(methods); m++) {
		ss_house_open(&house, methods[m]);
		ss_house_client(&house, SS_ALICE, &conf);
		for (int version = 1; version <= 2; version++) {
			unsigned nth = 1;

			while (!client_without(&conf, version, nth))
				nth++;
			assert_in_range(nth, 3, 20);
		}
		ss_house_close(&house);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_that_gets_no_memory_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
