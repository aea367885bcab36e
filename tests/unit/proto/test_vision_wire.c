/* Vision without streams: what the filter sees, where padding ends, how much of it there is. */
#include "unit.h"

#include "proto/vless/vision_wire.h"

struct bytes {
	uint8_t p[40000];
	size_t n;
};

static void add_record(struct bytes *b, uint8_t type, size_t len)
{
	uint8_t head[] = {type, 3, 3, (uint8_t)(len >> 8), (uint8_t)len};

	memcpy(b->p + b->n, head, 5);
	memset(b->p + b->n + 5, 0xee, len);
	b->n += 5 + len;
}

/* A ServerHello of `cipher`; `v13`: it says 1.3 in its last extension. */
static void add_server_hello(struct bytes *b, uint16_t cipher, bool v13)
{
	static const uint8_t ext[] = {0, 0x2b, 0, 2, 3, 4};
	size_t at = b->n;

	add_record(b, 22, 122);
	memset(b->p + at + 5, 0, 122);
	b->p[at + 5] = 2;
	b->p[at + 43] = 32;
	b->p[at + 76] = (uint8_t)(cipher >> 8);
	b->p[at + 77] = (uint8_t)cipher;
	if (v13)
		memcpy(b->p + at + 121, ext, 6);
}

static void add_client_hello(struct bytes *b)
{
	size_t at = b->n;

	add_record(b, 22, 200);
	b->p[at + 2] = 1;
	b->p[at + 5] = 1;
}

static void only_tls13_with_a_common_cipher_goes_direct(void **state)
{
	static const struct {
		uint16_t cipher;
		bool v13, direct;
	} rows[] = {{0x1301, true, true},  {0x1302, true, true},  {0x1303, true, true},
		    {0x1304, true, true},  {0x1305, true, false}, {0xc02f, true, false},
		    {0x1301, false, false}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bytes b = {.n = 0};
		struct vision_filter f;

		vision_filter_init(&f);
		add_client_hello(&b);
		vision_filter_feed(&f, b.p, b.n);
		assert_true(f.tls && !f.answered && f.left == 7);
		b.n = 0;
		add_server_hello(&b, rows[i].cipher, rows[i].v13);
		vision_filter_feed(&f, b.p, b.n);
		assert_true(f.tls && f.answered);
		assert_int_equal(f.direct, rows[i].direct);
		assert_int_equal(f.left, 0);
	}
}

static void a_server_hello_in_two_pieces_is_searched_through(void **state)
{
	struct bytes b = {.n = 0};
	struct vision_filter f;

	add_server_hello(&b, 0x1301, true);
	vision_filter_init(&f);
	vision_filter_feed(&f, b.p, 100);
	assert_true(f.answered && !f.direct && f.left == 7);
	vision_filter_feed(&f, b.p + 100, b.n - 100);
	assert_true(f.direct && f.left == 0);
}

/* The sender's next block, checked against its own rules. */
static struct vision_block next(struct vision_out *out, struct vision_filter *f,
				const struct bytes *b, size_t *at, bool may_end)
{
	struct vision_block k = vision_next(out, f, b->p + *at, b->n - *at, may_end);

	assert_true(k.content > 0 && k.content <= VISION_CONTENT);
	*at += k.content;
	return k;
}

static void what_is_no_tls_ends_its_padding_after_some_pieces(void **state)
{
	struct bytes b = {.n = 100};
	struct vision_out out = {0};
	struct vision_filter f;
	int blocks = 0;

	vision_filter_init(&f);
	while (!out.ended) {
		size_t at = 0;
		struct vision_block k = next(&out, &f, &b, &at, true);

		assert_int_equal(k.command, out.ended ? VISION_END : VISION_CONTINUE);
		assert_false(k.roomy);
		blocks++;
	}
	assert_int_equal(blocks, 7);
	assert_false(out.direct);
}

static void the_flight_of_a_tls13_server_is_padded_until_the_client_has_finished(void **state)
{
	struct bytes b = {.n = 0};
	struct vision_out out = {0};
	struct vision_filter f;
	struct vision_block k;
	size_t at = 0;

	vision_filter_init(&f);
	add_server_hello(&b, 0x1301, true);
	add_record(&b, 20, 1);
	add_record(&b, 23, 1200);
	k = next(&out, &f, &b, &at, false);
	assert_true(at == b.n && k.command == VISION_CONTINUE && k.roomy);
	add_record(&b, 23, 3000); /* the rest of the certificate, in another read */
	k = next(&out, &f, &b, &at, false);
	assert_true(at == b.n && k.command == VISION_CONTINUE);
	add_record(&b, 23, 255); /* two tickets, and an answer of which not all is there */
	add_record(&b, 23, 255);
	add_record(&b, 23, 9000);
	k = next(&out, &f, &b, &at, true);
	assert_int_equal(k.content, 2 * 260);
	assert_int_equal(k.command, VISION_DIRECT);
	assert_true(k.roomy && out.ended && out.direct);
}

static void tls12_ends_its_padding_and_stays_inside(void **state)
{
	struct bytes b = {.n = 0};
	struct vision_out out = {0};
	struct vision_filter f;
	struct vision_block k;
	size_t at = 0;

	vision_filter_init(&f);
	add_server_hello(&b, 0xc02f, false);
	k = next(&out, &f, &b, &at, true);
	assert_int_equal(k.command, VISION_CONTINUE);
	add_record(&b, 23, 40);
	k = next(&out, &f, &b, &at, true);
	assert_int_equal(k.command, VISION_END);
	assert_true(out.ended && !out.direct);
}

/* 16 KiB records never fit into a block, and a read hardly ever ends where one does. */
static void a_large_record_is_cut_into_blocks_and_the_next_begins_at_its_border(void **state)
{
	struct bytes b = {.n = 0};
	struct vision_out out = {0};
	struct vision_filter f;
	struct vision_block k;
	size_t at = 0, all;

	vision_filter_init(&f);
	add_server_hello(&b, 0x1303, true);
	next(&out, &f, &b, &at, true);
	add_record(&b, 23, 16000);
	all = b.n;
	b.n -= 7000; /* not whole yet: begun, and continued */
	k = next(&out, &f, &b, &at, true);
	assert_int_equal(k.command, VISION_CONTINUE);
	k = next(&out, &f, &b, &at, true);
	assert_int_equal(at, b.n);
	b.n = all;
	add_record(&b, 23, 16000);
	add_record(&b, 23, 16);
	k = next(&out, &f, &b, &at, true);
	assert_int_equal(at, all); /* up to the border, and no further */
	assert_int_equal(k.command, VISION_CONTINUE);
	k = next(&out, &f, &b, &at, true);
	assert_int_equal(k.content, VISION_CONTENT);
	assert_int_equal(k.command, VISION_CONTINUE);
	k = next(&out, &f, &b, &at, true);
	assert_int_equal(at, all + 16005);
	assert_int_equal(k.command, VISION_DIRECT);
}

/* What pushes may offer less the next time than it has shown before. */
static void the_last_records_come_in_blocks_of_what_is_there(void **state)
{
	struct bytes b = {.n = 0};
	struct vision_out out = {0};
	struct vision_filter f;
	struct vision_block k;
	size_t at = 0, all;

	vision_filter_init(&f);
	add_server_hello(&b, 0x1303, true);
	next(&out, &f, &b, &at, true);
	add_record(&b, 23, 16000);
	all = b.n;
	next(&out, &f, &b, &at, true);
	b.n = at + 100;
	k = next(&out, &f, &b, &at, true);
	assert_int_equal(k.content, 100);
	assert_int_equal(k.command, VISION_CONTINUE);
	b.n = all;
	k = next(&out, &f, &b, &at, true);
	assert_int_equal(at, all);
	assert_int_equal(k.command, VISION_DIRECT);
}

static void padding_is_as_long_as_the_page_says(void **state)
{
	for (size_t content = 0; content <= VISION_CONTENT; content += content < 2000 ? 1 : 97) {
		for (uint32_t dice = 0; dice < 70000; dice += 997) {
			uint16_t roomy = vision_padding(content, true, dice);
			uint16_t small = vision_padding(content, false, dice);

			assert_true(small < 256);
			if (content < 900)
				assert_true(content + roomy >= 900 && content + roomy < 1400);
			else
				assert_true(roomy < 256);
			assert_true(VISION_FIRST + content + roomy <= VISION_BLOCK_MAX);
			assert_true(VISION_FIRST + content + small <= VISION_BLOCK_MAX);
		}
	}
}

static void a_command_nobody_knows_is_an_error(void **state)
{
	struct vision_in in = {.state = VISION_IN_HEAD};
	bool content;

	assert_int_equal(vision_unpad(&in, (const uint8_t *)"0123456789abcdef",
				      (const uint8_t *)"\3\0\0\0", 5, &content),
			 -ERR_PROTOCOL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_tls13_with_a_common_cipher_goes_direct),
		cmocka_unit_test(a_server_hello_in_two_pieces_is_searched_through),
		cmocka_unit_test(what_is_no_tls_ends_its_padding_after_some_pieces),
		cmocka_unit_test(
			the_flight_of_a_tls13_server_is_padded_until_the_client_has_finished),
		cmocka_unit_test(tls12_ends_its_padding_and_stays_inside),
		cmocka_unit_test(
			a_large_record_is_cut_into_blocks_and_the_next_begins_at_its_border),
		cmocka_unit_test(the_last_records_come_in_blocks_of_what_is_there),
		cmocka_unit_test(padding_is_as_long_as_the_page_says),
		cmocka_unit_test(a_command_nobody_knows_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
