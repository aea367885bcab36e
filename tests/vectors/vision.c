/* Vision's blocks against the known answers. */
#include "proto/vless/vision_wire.h"
#include "unit.h"
#include "vectors.h"

static uint8_t id[VLESS_ID_LEN];

static int get_id(void **state)
{
	assert_int_equal(vector_bytes("vision", "uuid", id), VLESS_ID_LEN);
	return 0;
}

/* The block of a vector, made again from what it says. */
static void check_block(const char *name, bool first, uint8_t command, const char *content,
			size_t len, uint16_t padding)
{
	struct vision_block b = {.command = command, .content = (uint16_t)len};
	uint8_t want[256], got[256];
	size_t n = vector_bytes("vision", name, want);
	struct wr w = wr_of(got, sizeof(got));

	vision_block_emit(&w, first ? id : NULL, &b, padding);
	wr_bytes(&w, content, len);
	memset(wr_room(&w, padding), 0, padding);
	assert_int_equal(w.len, n);
	assert_memory_equal(got, want, n);
}

static void blocks_are_those_of_the_vectors(void **state)
{
	check_block("block_continue_first", true, VISION_CONTINUE, "GET", 3, 4);
	check_block("block_end", false, VISION_END, "abc", 3, 2);
	check_block("block_direct", false, VISION_DIRECT, "\x17\x03\x03\0\1x", 6, 3);
}

/* Cut at every place, twice. */
static void the_stream_of_the_vectors_is_the_same_however_it_is_cut(void **state)
{
	uint8_t stream[256], want[64], got[64];
	size_t len = vector_bytes("vision", "stream_two_blocks_then_raw", stream);
	size_t nwant = vector_bytes("vision", "stream_content", want);

	for (size_t a = 0; a <= len; a++) {
		for (size_t b = a; b <= len; b++) {
			struct vision_in in = {0};
			size_t cuts[] = {a, b, len}, at = 0, n = 0;

			for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
				while (at < cuts[i]) {
					bool content;
					ssize_t k = vision_unpad(&in, id, stream + at, cuts[i] - at,
								 &content);

					assert_true(k > 0);
					if (content)
						memcpy(got + n, stream + at, (size_t)k);
					n += content ? (size_t)k : 0;
					at += (size_t)k;
				}
			}
			assert_int_equal(in.state, VISION_IN_PLAIN);
			assert_int_equal(n, nwant);
			assert_memory_equal(got, want, n);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_are_those_of_the_vectors),
		cmocka_unit_test(the_stream_of_the_vectors_is_the_same_however_it_is_cut),
	};

	return cmocka_run_group_tests(tests, get_id, NULL);
}
