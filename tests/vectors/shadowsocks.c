/* Every cipher of Shadowsocks without integrity, none, and XChaCha20-Poly1305, against the known
 * answers of shadowsocks.json, which another implementation has made (make_shadowsocks.py).
 */
#define VECTOR_FILE "shadowsocks.json"

#include "event/loop.h"
#include "proto/shadowsocks/ss_chunk.h"
#include "proto/shadowsocks/ss_cipher.h"
#include "proto/shadowsocks/ss_packet.h"
#include "vectors.h"

#define MESSAGE_MAX 1024

static struct loop *l;

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

static void key_of(const struct ss_method *m, uint8_t key[SS_KEY_MAX])
{
	const char *password = vector_text("about", "password");

	assert_int_equal(ss_key(m, password, strlen(password), key), 0);
}

static struct buf *buf_of(const uint8_t *bytes, size_t len)
{
	struct buf *b = buf_new(loop_pool(l));

	assert_non_null(b);
	memcpy(b->data + b->end, bytes, len);
	b->end += (uint32_t)len;
	return b;
}

static void assert_buf(struct buf *b, const uint8_t *want, size_t len)
{
	assert_int_equal(buf_len(b), len);
	assert_memory_equal(buf_head(b), want, len);
	buf_free(b);
}

/* All but the AEAD and 2022 ones. */
static const struct ss_method *plain_method(size_t i)
{
	const struct ss_method *m = ss_method_at(i);

	while (m && !ss_method_insecure(m))
		m = ss_method_at(++i);
	return m;
}

static void check_stream(const struct ss_method *m, const uint8_t *key, const uint8_t *msg,
			 size_t len, const uint8_t *text)
{
	struct stream_cipher *seal = ss_cipher_make(m, key, msg, true);
	struct stream_cipher *open = ss_cipher_make(m, key, msg, false);
	uint8_t got[MESSAGE_MAX];

	assert_non_null(seal);
	assert_non_null(open);
	assert_int_equal(stream_cipher_run(seal, text, len - m->salt_len, got), 0);
	assert_memory_equal(got, msg + m->salt_len, len - m->salt_len);
	assert_int_equal(stream_cipher_run(open, msg + m->salt_len, len - m->salt_len, got), 0);
	assert_memory_equal(got, text, len - m->salt_len);
	stream_cipher_free(seal);
	stream_cipher_free(open);
}

static void check_packet(const struct ss_method *m, const uint8_t *key, const uint8_t *msg,
			 size_t len)
{
	uint8_t text[MESSAGE_MAX], payload[MESSAGE_MAX], scratch[BUF_SIZE];
	size_t ntext = vector_bytes("about", "text", text);
	size_t npayload = vector_bytes("about", "payload", payload);
	struct buf *b = buf_of(msg, len);
	struct dest to;

	assert_int_equal(ss_packet_open(m, key, b, scratch), 0);
	assert_buf(b, text, ntext);
	assert_int_equal(dest_parse(&to, "www.example.com:443"), 0);
	b = buf_of(payload, npayload);
	assert_int_equal(ss_packet_seal(m, key, msg, b, &to), 0);
	assert_buf(b, msg, len);
}

static void each_cipher_without_integrity_has_a_known_answer(void **state)
{
	const struct ss_method *m;
	size_t seen = 0;

	for (size_t i = 0; (m = plain_method(i)); i = (size_t)(m - ss_method_at(0)) + 1, seen++) {
		uint8_t key[SS_KEY_MAX] = {0}, want[SS_KEY_MAX] = {0}, msg[MESSAGE_MAX],
			text[MESSAGE_MAX];
		size_t len = vector_bytes(m->name, "message", msg);

		assert_int_equal(vector_bytes("about", "text", text), len - m->salt_len);
		assert_int_equal(vector_bytes(m->name, "key", want), m->key_len);
		if (m->class == SS_STREAM) {
			key_of(m, key);
			assert_memory_equal(key, want, m->key_len);
			check_stream(m, key, msg, len, text);
		}
		check_packet(m, key, msg, len);
	}
	assert_int_equal(seen, 11);
}

static void xchacha20_poly1305_has_a_known_answer(void **state)
{
	const struct ss_method *m = ss_method_find("xchacha20-ietf-poly1305");
	uint8_t key[SS_KEY_MAX], msg[MESSAGE_MAX], text[MESSAGE_MAX], got[MESSAGE_MAX], length[2];
	size_t n = vector_bytes("about", "text", text);
	struct ss_dir d;

	key_of(m, key);
	check_packet(m, key, msg, vector_bytes(m->name, "packet", msg));
	assert_int_equal(vector_bytes(m->name, "stream", msg), m->salt_len + n + SS_MORE);
	assert_int_equal(ss_dir_derive(&d, m, key, msg), 0);
	length[0] = (uint8_t)(n >> 8);
	length[1] = (uint8_t)n;
	assert_int_equal(ss_seal_piece(&d, length, 2, got), 0);
	assert_int_equal(ss_seal_piece(&d, text, n, got + SS_LEN), 0);
	assert_memory_equal(got, msg + m->salt_len, n + SS_MORE);
	ss_dir_clear(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_cipher_without_integrity_has_a_known_answer),
		cmocka_unit_test(xchacha20_poly1305_has_a_known_answer),
	};

	if (aead_init("auto"))
		return 1;
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
