/* VMess against the known answers: keys, headers, chunks. */
#include "parser_rules.h"
#include "proto/vless/vless_wire.h"
#include "proto/vmess/vmess_body.h"
#include "proto/vmess/vmess_seal.h"
#include "vectors.h"

static void bytes_of(const char *name, uint8_t *out, size_t len)
{
	uint8_t mem[512];

	assert_int_equal(vector_bytes("vmess", name, mem), len);
	memcpy(out, mem, len);
}

static void assert_vector(const void *got, size_t len, const char *name)
{
	uint8_t want[512];

	assert_true(vector_bytes("vmess", name, want) >= len);
	assert_memory_equal(got, want, len);
}

static struct vmess_request request_of(const uint8_t *text, size_t len)
{
	struct vmess_request req;
	struct rd r = rd_of(text, len);

	assert_int_equal(vmess_request_parse(&r, &req), 0);
	assert_int_equal(r.pos, len);
	return req;
}

static int parse_request(struct rd *in)
{
	struct vmess_request req;

	return vmess_request_parse(in, &req);
}

static void the_key_derivation_is_the_published_one(void **state)
{
	static const char *const words[] = {"Demo Path for KDF Value Test",
					    "Demo Path for KDF Value Test2",
					    "Demo Path for KDF Value Test3"};
	static const char key[] = "Demo Key for KDF Value Test";
	struct iovec path[3];
	uint8_t out[32];

	for (int i = 0; i < 3; i++)
		path[i] = (struct iovec){(void *)(uintptr_t)words[i], strlen(words[i])};
	assert_int_equal(vmess_kdf(key, strlen(key), path, 3, out), 0);
	assert_vector(out, sizeof(out), "kdf_public_vector");
}

static void a_users_keys_come_from_his_id(void **state)
{
	const char *text = vector_text("vmess", "uuid");
	uint8_t id[16], key[16], id_key[16];

	assert_int_equal(vless_id_of_text(text, strlen(text), id), 0);
	assert_int_equal(vmess_command_key(id, key), 0);
	assert_vector(key, sizeof(key), "cmdkey");
	assert_int_equal(vmess_id_key(key, id_key), 0);
	assert_vector(id_key, sizeof(id_key), "authid_key");
}

static void auth_ids_are_good_for_two_minutes(void **state)
{
	static const uint8_t noise[4] = {0xa1, 0xb2, 0xc3, 0xd4};
	const int64_t then = 1700000000;
	uint8_t id[16];

	vmess_id_make(then, noise, id);
	assert_vector(id, sizeof(id), "authid_plain");
	assert_true(vmess_id_fits(id, then));
	assert_true(vmess_id_fits(id, then - 120) && vmess_id_fits(id, then + 120));
	assert_false(vmess_id_fits(id, then - 121) || vmess_id_fits(id, then + 121));
	for (int bit = 0; bit < 128; bit++) {
		id[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(vmess_id_fits(id, then));
		id[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void the_recorded_request_is_understood(void **state)
{
	uint8_t wire[512], text[512], key[16], want[512];
	size_t len = vector_bytes("vmess", "request_header", wire), n;
	struct vmess_request req;
	struct dest dest;

	bytes_of("cmdkey", key, 16);
	assert_int_equal(vmess_head_open(key, wire, &n), 0);
	assert_int_equal(VMESS_HEAD + n + AEAD_TAG, len);
	assert_int_equal(vmess_request_open(key, wire, n, text), 0);
	assert_int_equal(vector_bytes("vmess", "header_plain", want), n);
	assert_memory_equal(text, want, n);

	req = request_of(text, n);
	assert_vector(req.iv, sizeof(req.iv), "body_iv");
	assert_vector(req.key, sizeof(req.key), "body_key");
	assert_int_equal(req.answer, 0x5a);
	assert_int_equal(req.option, VMESS_CHUNKS | VMESS_MASK | VMESS_PADDING);
	assert_int_equal(req.cipher, VMESS_AES_128_GCM);
	assert_int_equal(req.cmd, VMESS_TCP);
	assert_int_equal(dest_parse(&dest, "example.com:443"), 0);
	assert_true(dest_equal(&req.dest, &dest));
}

static void the_recorded_request_is_emitted_byte_for_byte(void **state)
{
	uint8_t mem[512], text[512], want[512], key[16], id[16], nonce[8];
	size_t n = vector_bytes("vmess", "header_plain", want);
	struct vmess_request req = request_of(want, n);
	struct wr t = wr_of(text, sizeof(text)), w = wr_of(mem, sizeof(mem));

	bytes_of("cmdkey", key, 16);
	bytes_of("authid_plain", id, 16);
	bytes_of("connection_nonce", nonce, 8);
	vmess_request_emit(&t, &req, want + n - 4 - 3, 3);
	assert_int_equal(t.len, n);
	assert_memory_equal(text, want, n);
	assert_int_equal(vmess_head_seal(key, id, nonce, text, t.len, &w), 0);
	assert_int_equal(w.len, vector_bytes("vmess", "request_header", want));
	assert_memory_equal(mem, want, w.len);
}

/* Any other bit changes the checksum; a wrong one of the fixed bytes is found where it is. */
static void a_request_keeps_the_rules_of_parsers(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} wrong[] = {{0, 0}, {35, 0x36}, {35, 0x32}, {35, 0x31}, {37, 0}, {37, 4}, {40, 9}};
	uint8_t text[512];
	size_t n = vector_bytes("vmess", "header_plain", text);
	struct vmess_request req;

	keeps_parser_rules(parse_request, text, n);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		uint8_t was = text[wrong[i].at];
		struct rd r = rd_of(text, wrong[i].at + 1);

		text[wrong[i].at] = wrong[i].value;
		assert_int_equal(vmess_request_parse(&r, &req), -ERR_MALFORMED);
		text[wrong[i].at] = was;
	}
	for (size_t bit = 0; bit < n * 8; bit++) {
		struct rd r = rd_of(text, n);

		text[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_true(vmess_request_parse(&r, &req) < 0);
		text[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void the_answer_is_the_recorded_one(void **state)
{
	uint8_t key[16], iv[16], turned[16], sealed[VMESS_SEALED_ANSWER], text[64];
	size_t len;

	bytes_of("body_key", key, 16);
	assert_int_equal(vmess_turn(key, turned), 0);
	assert_vector(turned, 16, "resp_key");
	bytes_of("body_iv", iv, 16);
	assert_int_equal(vmess_turn(iv, iv), 0);
	assert_vector(iv, 16, "resp_iv");
	assert_int_equal(vmess_answer_seal(turned, iv, 0x5a, sealed), 0);
	assert_int_equal(vector_bytes("vmess", "response_header", text), sizeof(sealed));
	assert_vector(sealed, sizeof(sealed), "response_header");
	assert_int_equal(vmess_answer_len(turned, iv, sealed, &len), 0);
	assert_int_equal(len, VMESS_ANSWER_LEN);
	assert_int_equal(vmess_answer_open(turned, iv, sealed + VMESS_SEALED_U16, len, text), 0);
	assert_vector(text, len, "resp_plain");
	sealed[20] ^= 1;
	assert_int_equal(vmess_answer_open(turned, iv, sealed + VMESS_SEALED_U16, len, text),
			 -ERR_AUTH);
}

/* ---- chunks ------------------------------------------------------------------------------ */

struct body {
	const char *name;
	uint8_t cipher, option;
	bool down;
	const char *text;
};

static const struct body bodies[] = {
	{"req_body_gcm_mask_pad", 3, 0x0d, false, "hello world"},
	{"req_body_gcm_mask", 3, 0x05, false, "hello world"},
	{"req_body_gcm_plainlen", 3, 0x01, false, "hello world"},
	{"req_body_gcm_authlen_pad", 3, 0x1d, false, "hello world"},
	{"req_body_chacha_mask_pad", 4, 0x0d, false, "hello world"},
	{"req_body_chacha_authlen_pad", 4, 0x1d, false, "hello world"},
	{"resp_body_gcm_mask_pad", 3, 0x0d, true, "hi there"},
	{"resp_body_gcm_authlen_pad", 3, 0x1d, true, "hi there"},
};

static struct vmess_dir dir_of(const struct body *b)
{
	struct vmess_request req = {.cipher = b->cipher, .option = b->option, .cmd = VMESS_TCP};
	uint8_t key[16], iv[16];
	struct vmess_dir d;

	bytes_of("body_key", req.key, 16);
	bytes_of("body_iv", req.iv, 16);
	bytes_of(b->down ? "resp_key" : "body_key", key, 16);
	bytes_of(b->down ? "resp_iv" : "body_iv", iv, 16);
	assert_int_equal(vmess_dir_set(&d, &req, key, iv), 0);
	return d;
}

/* However it is cut: nothing is taken before it is whole. */
static void recorded_bodies_are_opened(void **state)
{
	uint8_t wire[512], got[64];
	struct buf_pool pool;

	buf_pool_init(&pool, 4, 0);
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		size_t len = vector_bytes("vmess", bodies[i].name, wire), ends = 0;
		struct vmess_dir d = dir_of(&bodies[i]);
		struct bufq in, out;
		ssize_t n;

		bufq_init(&in, &pool, SIZE_MAX);
		bufq_init(&out, &pool, SIZE_MAX);
		for (size_t at = 0; at < len; at++) {
			assert_int_equal(bufq_append(&in, wire + at, 1), 0);
			n = vmess_chunk_open(&d, &in, &out);
			assert_true(n >= 0 || n == -ERR_MORE);
			ends += n == 0;
		}
		assert_int_equal(ends, 1);
		assert_true(bufq_empty(&in));
		assert_int_equal(bufq_take(&out, got, sizeof(got)), strlen(bodies[i].text));
		assert_memory_equal(got, bodies[i].text, strlen(bodies[i].text));
		vmess_dir_clear(&d);
	}
	buf_pool_done(&pool);
}

/* The recorded paddings are 0xee; ours are random, and so are left out. */
static void bodies_are_sealed_byte_for_byte(void **state)
{
	uint8_t wire[512], got[512];
	struct buf_pool pool;

	buf_pool_init(&pool, 4, 0);
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		size_t len = vector_bytes("vmess", bodies[i].name, wire), same = 0;
		struct vmess_dir d = dir_of(&bodies[i]);
		struct bufq src, out;

		bufq_init(&src, &pool, SIZE_MAX);
		bufq_init(&out, &pool, SIZE_MAX);
		assert_int_equal(bufq_append(&src, bodies[i].text, strlen(bodies[i].text)), 0);
		assert_int_equal(vmess_seal(&d, &src, SIZE_MAX, &out), strlen(bodies[i].text));
		assert_int_equal(vmess_seal_end(&d, &out), 0);
		assert_int_equal(bufq_take(&out, got, sizeof(got)), len);
		for (size_t k = 0; k < len; k++) {
			assert_true(got[k] == wire[k] || wire[k] == 0xee);
			same += got[k] == wire[k];
		}
		assert_true(same >= 2 * (2 + AEAD_TAG) + strlen(bodies[i].text));
		vmess_dir_clear(&d);
	}
	buf_pool_done(&pool);
}

static void a_wrong_bit_of_a_body_is_found(void **state)
{
	uint8_t wire[512];
	struct buf_pool pool;

	buf_pool_init(&pool, 4, 0);
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		/* up to the first chunk's tag, its padding is nobody's */
		size_t len = vector_bytes("vmess", bodies[i].name, wire);
		size_t head = bodies[i].option & 0x10 ? 18 : 2;

		for (size_t bit = 0; bit < 8 * (head + strlen(bodies[i].text) + 16); bit++) {
			struct vmess_dir d = dir_of(&bodies[i]);
			struct bufq in, out;
			ssize_t n;

			wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
			bufq_init(&in, &pool, SIZE_MAX);
			bufq_init(&out, &pool, SIZE_MAX);
			assert_int_equal(bufq_append(&in, wire, len), 0);
			n = vmess_chunk_open(&d, &in, &out);
			assert_true(n < 0);
			assert_true(bufq_empty(&out));
			bufq_done(&in);
			wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
			vmess_dir_clear(&d);
		}
	}
	buf_pool_done(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_key_derivation_is_the_published_one),
		cmocka_unit_test(a_users_keys_come_from_his_id),
		cmocka_unit_test(auth_ids_are_good_for_two_minutes),
		cmocka_unit_test(the_recorded_request_is_understood),
		cmocka_unit_test(the_recorded_request_is_emitted_byte_for_byte),
		cmocka_unit_test(a_request_keeps_the_rules_of_parsers),
		cmocka_unit_test(the_answer_is_the_recorded_one),
		cmocka_unit_test(recorded_bodies_are_opened),
		cmocka_unit_test(bodies_are_sealed_byte_for_byte),
		cmocka_unit_test(a_wrong_bit_of_a_body_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
