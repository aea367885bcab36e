#include "unit.h"

#include "base/rd.h"
#include "base/wr.h"

static void what_is_written_is_read_back(void **state)
{
	uint8_t mem[64], key[2];
	struct wr w = wr_of(mem, sizeof(mem));
	struct rd r;

	wr_u8(&w, 0x12);
	wr_be16(&w, 0x3456);
	wr_be24(&w, 0x789abc);
	wr_be32(&w, 0xdef01234);
	wr_be64(&w, 0x56789abcdef01234);
	wr_le16(&w, 0x0102);
	wr_le32(&w, 0x01020304);
	wr_hex(&w, "\xab\x0f", 2);
	assert_int_equal(w.err, 0);

	r = rd_of(mem, w.len);
	assert_int_equal(rd_u8(&r), 0x12);
	assert_int_equal(rd_be16(&r), 0x3456);
	assert_int_equal(rd_be24(&r), 0x789abc);
	assert_int_equal(rd_be32(&r), 0xdef01234);
	assert_true(rd_be64(&r) == 0x56789abcdef01234);
	assert_int_equal(rd_le16(&r), 0x0102);
	assert_int_equal(rd_le32(&r), 0x01020304);
	rd_hex(&r, key, 2);
	assert_memory_equal(key, "\xab\x0f", 2);
	assert_int_equal(r.err, 0);
	assert_int_equal(rd_left(&r), 0);
}

static void running_off_the_end_says_more_and_stays(void **state)
{
	struct rd r = rd_of("\x01\x02", 2);

	assert_int_equal(rd_be32(&r), 0);
	assert_int_equal(r.err, -ERR_MORE);
	assert_int_equal(rd_u8(&r), 0);
	assert_int_equal(r.pos, 0);
}

static void a_wrong_byte_is_named_by_position(void **state)
{
	struct rd r = rd_of("GET /", 5);

	rd_expect(&r, "GEX", 3);
	assert_int_equal(r.err, -ERR_MALFORMED);
	assert_int_equal(r.pos, 2);

	r = rd_of("aG", 2);
	rd_hex(&r, (uint8_t[1]){0}, 1);
	assert_int_equal(r.err, -ERR_MALFORMED);
	assert_int_equal(r.pos, 1);
}

static void writing_past_the_end_writes_nothing_more(void **state)
{
	uint8_t mem[3] = {9, 9, 9};
	struct wr w = wr_of(mem, 2);

	wr_be32(&w, 1);
	wr_u8(&w, 1);
	assert_int_equal(w.err, -ENOBUFS);
	assert_int_equal(w.len, 0);
	assert_memory_equal(mem, "\x09\x09\x09", 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(running_off_the_end_says_more_and_stays),
		cmocka_unit_test(a_wrong_byte_is_named_by_position),
		cmocka_unit_test(writing_past_the_end_writes_nothing_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
