/* One packet: as others make it, there and back, and touched. */
#include "unit.h"

#include "../../crypto/hex.h"
#include "crypto/random.h"
#include "crypto/replay_window.h"
#include "event/loop.h"
#include "proto/shadowsocks/ss_packet.h"

/* docs/protocols/shadowsocks.md, 3.2 and 4.7. */
#define PASSWORD "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
#define TARGET	 "www.example.com:443"
#define AEAD_PACKET                                                                            \
	"000102030405060708090a0b0c0d0e0ffd4b7228a3d842f0641183795cf2092d2b2572478919daec0da3" \
	"2f9380d53c125cb79774088b64f6"
#define PACKET                                                                                     \
	"913c8b60edef1aba29d380bb23f01cfce306c2495fbe2c858e49b14e0e9513d120f2cdfc057a3c8ca6a9fcf4" \
	"23392a56667b7ef2c12b4fb973b50402b8ae6f6e314640ec300b36b8d8b24e1d9b1a49d200bf0b"
#define REPLY                                                                                          \
	"2725995dd7bcf32c7396eff18d4476050f27709cfdd590d50a17e583e65959806e6442d7e3421368286ff16eff8b" \
	"dbdae7a221d5c8555667a47d899c7eeb4f72a3a1e1d1363356b4e731d7"
#define IPSK "24920decf83f6960"
#define UPSK "3f2504e0-4f89-11"
#define TIME 1700000000u

static struct loop *l;
static uint8_t scratch[BUF_SIZE];

static int set_up(void **state)
{
	l = loop_new(LOOP_VIRTUAL, 1);
	return l ? 0 : -1;
}

static int tear_down(void **state)
{
	loop_free(l);
	return 0;
}

static struct buf *buf_of(const void *data, size_t len)
{
	struct buf *b = buf_new(loop_pool(l));

	assert_non_null(b);
	memcpy(b->data + b->end, data, len);
	b->end += (uint32_t)len;
	return b;
}

static struct buf *buf_of_hex(const char *text)
{
	uint8_t bytes[512];

	return buf_of(bytes, unhex(text, bytes));
}

static void expect(struct buf *b, const char *dest, const void *payload, size_t len)
{
	struct rd r = rd_of(buf_head(b), buf_len(b));
	struct dest d, want;

	rd_dest(&r, DEST_SOCKS, &d);
	assert_int_equal(r.err, 0);
	assert_int_equal(dest_parse(&want, dest), 0);
	assert_true(dest_equal(&d, &want));
	assert_int_equal(rd_left(&r), len);
	assert_memory_equal(r.base + r.pos, payload, len);
}

static void an_aead_packet_of_others_is_opened(void **state)
{
	const struct ss_method *m = ss_method_find("aes-128-gcm");
	struct buf *b = buf_of_hex(AEAD_PACKET);
	uint8_t key[SS_KEY_MAX];

	assert_int_equal(ss_key(m, PASSWORD, strlen(PASSWORD), key), 0);
	assert_int_equal(ss_packet_open(m, key, b, scratch), 0);
	expect(b, TARGET, "hello", 5);
	buf_free(b);
}

static void a_2022_packet_of_others_is_opened_and_ours_is_the_same(void **state)
{
	const struct ss_method *m = ss_method_find("2022-blake3-aes-128-gcm");
	uint8_t sub[SS_KEY_MAX], name[1][SS_IDENTITY_LEN], got[SS_IDENTITY_LEN], want[512];
	uint8_t ipsk[1][SS_KEY_MAX] = {IPSK};
	struct buf *b = buf_of_hex(PACKET);
	struct ss_separate sep;
	struct ss_packet_out o;
	struct aead_key k;
	struct ss_body body;
	struct dest d;

	ss_identity_hash(m, (const uint8_t *)UPSK, name[0]);
	assert_int_equal(ss_separate_open(m, (const uint8_t *)IPSK, buf_head(b), &sep), 0);
	assert_hex(sep.session, 8, "0102030405060708");
	assert_int_equal(sep.packet, 0);
	assert_int_equal(ss_packet_name(m, (const uint8_t *)IPSK, &sep, buf_head(b) + 16, got), 0);
	assert_memory_equal(got, name[0], SS_IDENTITY_LEN);
	assert_int_equal(ss_subkey(m, (const uint8_t *)UPSK, sep.session, 8, sub), 0);
	aead_key_set(&k, AEAD_AES_128_GCM, sub);
	assert_int_equal(ss_body_open(&k, &sep, 32, false, b, &body), 0);
	assert_int_equal(body.time, TIME);
	expect(b, TARGET, "hello", 5);
	buf_free(b);

	o = (struct ss_packet_out){
		.method = m,
		.session = &k,
		.header_key = (const uint8_t *)IPSK,
		.ipsk = (const uint8_t(*)[SS_KEY_MAX])ipsk,
		.name = (const uint8_t(*)[SS_IDENTITY_LEN])name,
		.nipsk = 1,
		.separate = sep,
		.time = TIME,
	};
	b = buf_of("hello", 5);
	assert_int_equal(dest_parse(&d, TARGET), 0);
	assert_int_equal(ss_packet_seal_2022(&o, b, &d), 0);
	assert_int_equal(buf_len(b), unhex(PACKET, want));
	assert_memory_equal(buf_head(b), want, buf_len(b));
	buf_free(b);
	aead_key_clear(&k);
}

static void a_2022_reply_of_others_is_opened(void **state)
{
	const struct ss_method *m = ss_method_find("2022-blake3-aes-128-gcm");
	struct buf *b = buf_of_hex(REPLY);
	uint8_t sub[SS_KEY_MAX];
	struct ss_separate sep;
	struct aead_key k;
	struct ss_body body;
	struct rd r;
	struct dest d;

	assert_int_equal(ss_separate_open(m, (const uint8_t *)UPSK, buf_head(b), &sep), 0);
	assert_hex(sep.session, 8, "1112131415161718");
	assert_int_equal(ss_subkey(m, (const uint8_t *)UPSK, sep.session, 8, sub), 0);
	aead_key_set(&k, AEAD_AES_128_GCM, sub);
	assert_int_equal(ss_body_open(&k, &sep, 16, true, b, &body), 0);
	assert_hex(body.client, 8, "0102030405060708");
	assert_int_equal(body.time, TIME);
	r = rd_of(buf_head(b), buf_len(b));
	rd_dest(&r, DEST_SOCKS, &d);
	assert_int_equal(r.err, 0);
	assert_memory_equal(r.base + r.pos, "world", 5);
	buf_free(b);
	aead_key_clear(&k);
}

static const char *const dests[] = {
	"192.0.2.1:53",
	"[2001:db8::1]:443",
	"x.example:1",
	"a-name-that-is-rather-long.a-name-that-is-rather-long.a-name-that-is-rather-long."
	"a-name-that-is-rather-long.a-name-that-is-rather-long.a-name-that-is-rather-long."
	"a-name-that-is-rather-long.a-name-that-is-rather-long.example:65535",
};
static const size_t lens[] = {0, 1, 100, 1400, 9000, BUF_PAYLOAD};

static void packets_of_one_key_go_there_and_back(void **state)
{
	uint8_t key[SS_KEY_MAX], payload[BUF_PAYLOAD];
	const struct ss_method *m;

	random_bytes(key, sizeof(key));
	random_bytes(payload, sizeof(payload));
	for (size_t i = 0; (m = ss_method_at(i)); i++) {
		for (size_t j = 0; m->class != SS_2022 && j < ARRAY_LEN(dests) * ARRAY_LEN(lens);
		     j++) {
			const char *to = dests[j % ARRAY_LEN(dests)];
			size_t len = lens[j / ARRAY_LEN(dests)];
			struct buf *b = buf_of(payload, len);
			struct dest d;
			int err;

			assert_int_equal(dest_parse(&d, to), 0);
			err = ss_packet_seal(m, key, payload, b, &d);
			if (len == BUF_PAYLOAD && err == -ERR_TOO_BIG) {
				buf_free(b);
				continue;
			}
			assert_int_equal(err, 0);
			assert_int_equal(ss_packet_open(m, key, b, scratch), 0);
			expect(b, to, payload, len);
			buf_free(b);
		}
	}
}

static void sealed_x(struct buf *b, const uint8_t *key, const uint8_t *client, uint16_t padding,
		     const char *to, uint64_t id)
{
	struct ss_packet_out o = {
		.method = ss_method_find("2022-blake3-chacha20-poly1305"),
		.header_key = key,
		.separate = {{1, 2, 3}, id},
		.time = TIME,
		.client = client,
		.padding = padding,
	};
	struct dest d;

	assert_int_equal(dest_parse(&d, to), 0);
	assert_int_equal(ss_packet_seal_2022(&o, b, &d), 0);
}

static void chacha_packets_of_2022_go_there_and_back(void **state)
{
	static const uint8_t client[8] = {9, 8, 7};
	uint8_t key[SS_KEY_MAX], payload[1400];

	random_bytes(key, sizeof(key));
	random_bytes(payload, sizeof(payload));
	for (size_t j = 0; j < ARRAY_LEN(dests) * 4; j++) {
		size_t len = lens[j / ARRAY_LEN(dests)];
		bool answer = j & 1;
		struct buf *b = buf_of(payload, len);
		struct ss_separate sep;
		struct ss_body body;

		sealed_x(b, key, answer ? client : NULL, (uint16_t)(j * 40),
			 dests[j % ARRAY_LEN(dests)], j);
		assert_int_equal(ss_body_open_x(key, answer, b, &sep, &body), 0);
		assert_int_equal(sep.packet, j);
		assert_int_equal(body.time, TIME);
		if (answer)
			assert_memory_equal(body.client, client, 8);
		expect(b, dests[j % ARRAY_LEN(dests)], payload, len);
		buf_free(b);
	}
}

static void a_request_is_no_answer(void **state)
{
	static const uint8_t client[8], key[SS_KEY_MAX];

	for (int answer = 0; answer < 2; answer++) {
		struct buf *b = buf_of("x", 1);
		struct ss_separate sep;
		struct ss_body body;

		sealed_x(b, key, answer ? client : NULL, 0, dests[0], 0);
		assert_int_equal(ss_body_open_x(key, !answer, b, &sep, &body), -ERR_MALFORMED);
		buf_free(b);
	}
}

static void whatever_is_cut_or_touched_is_refused(void **state)
{
	const struct ss_method *m = ss_method_find("aes-128-gcm");
	uint8_t key[SS_KEY_MAX], bytes[256];
	size_t len = unhex(AEAD_PACKET, bytes);

	assert_int_equal(ss_key(m, PASSWORD, strlen(PASSWORD), key), 0);
	for (size_t i = 0; i < 9 * len; i++) {
		struct buf *b = buf_of(bytes, i < len ? i : len);

		if (i >= len)
			buf_head(b)[(i - len) / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(ss_packet_open(m, key, b, scratch), -ERR_AUTH);
		assert_int_equal(buf_len(b), i < len ? i : len);
		buf_free(b);
	}
}

static void the_body_of_every_length_is_more_or_whole(void **state)
{
	uint8_t text[19 + 40] = {1, 0, 0, 0, 0, 0x65, 0x53, 0xf1, 0, 9, 9, 9, 9, 9, 9, 9, 9, 0, 40};
	struct ss_body body;

	for (size_t n = 0; n <= sizeof(text); n++) {
		struct rd r = rd_of(text, n);
		int err = ss_body_parse(&r, true, &body);

		assert_int_equal(err, n < sizeof(text) ? -ERR_MORE : 0);
		assert_int_equal(r.pos, err ? 0 : sizeof(text));
	}
}

static void a_window_takes_each_number_once(void **state)
{
	struct replay_window w = {0};
	uint8_t seen[6000] = {0};
	uint64_t newest = 0;

	for (int i = 0; i < 20000; i++) {
		uint64_t id = random_below((uint32_t)MIN(newest + 100, (uint64_t)6000));
		bool old = w.next > id && w.next - id > REPLAY_WINDOW;

		assert_int_equal(replay_window_fresh(&w, id), !seen[id] && !old);
		if (seen[id] || old)
			continue;
		replay_window_mark(&w, id);
		seen[id] = 1;
		newest = MAX(newest, id);
		assert_false(replay_window_fresh(&w, id));
	}
	replay_window_mark(&w, UINT64_MAX - 1);
	assert_false(replay_window_fresh(&w, UINT64_MAX - 1));
	assert_false(replay_window_fresh(&w, UINT64_MAX));
	assert_true(replay_window_fresh(&w, UINT64_MAX - 2));
	assert_false(replay_window_fresh(&w, 5999));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_aead_packet_of_others_is_opened),
		cmocka_unit_test(a_2022_packet_of_others_is_opened_and_ours_is_the_same),
		cmocka_unit_test(a_2022_reply_of_others_is_opened),
		cmocka_unit_test(packets_of_one_key_go_there_and_back),
		cmocka_unit_test(chacha_packets_of_2022_go_there_and_back),
		cmocka_unit_test(a_request_is_no_answer),
		cmocka_unit_test(whatever_is_cut_or_touched_is_refused),
		cmocka_unit_test(the_body_of_every_length_is_more_or_whole),
		cmocka_unit_test(a_window_takes_each_number_once),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
