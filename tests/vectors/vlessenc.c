/* VLESS Encryption against the known answers: every key, box, mask and record of both sides. */
#include "base/base64.h"
#include "crypto/blake3.h"
#include "proto/vlessenc/vlessenc_record.h"
#include "vectors.h"

#define HELLO_MAX 4096

/* One section, as far as it has been opened. */
struct run {
	const char *section;
	struct vlessenc_conf *conf;
	enum aead_alg alg;
	uint8_t united[VLESSENC_UNITED];
	struct vlessenc_aead nfs;
};

static void assert_vector(const char *section, const char *name, const void *got, size_t len)
{
	uint8_t want[HELLO_MAX];

	assert_int_equal(vector_bytes(section, name, want), len);
	assert_memory_equal(got, want, len);
}

static void run_open(struct run *r, const char *section, const char *mode, enum aead_alg alg)
{
	char text[512], key[BASE64_TEXT(64)];
	uint8_t secret[64];
	size_t n = vector_bytes(section, "server_secret", secret);
	const char *why;

	memset(r, 0, sizeof(*r));
	r->section = section;
	r->alg = alg;
	base64_encode(BASE64_URL, secret, n, key);
	snprintf(text, sizeof(text), "mlkem768x25519plus.%s.600s.%s", mode, key);
	assert_int_equal(vlessenc_server_conf_new(text, NULL, &r->conf, &why), 0);
	n = r->conf->keys[0].mlkem ? MLKEM768_PUB : X25519_LEN;
	assert_vector(section, "server_public", r->conf->keys[0].pub, n);
	assert_vector(section, "hash32_of_public", r->conf->keys[0].hash, 32);
}

static void run_close(struct run *r)
{
	vlessenc_aead_clear(&r->nfs);
	vlessenc_conf_free(r->conf);
}

/* The iv and the relays: returns what follows them. */
static uint8_t *open_relays(struct run *r, uint8_t *hello)
{
	uint8_t *secret = r->united + VLESSENC_PFS;

	assert_int_equal(vlessenc_relays_open(r->conf, hello, hello + VLESSENC_IV, secret), 0);
	vlessenc_aead_set(&r->nfs, r->alg, hello, VLESSENC_IV, secret, VLESSENC_SECRET);
	return hello + VLESSENC_IV + r->conf->relays;
}

static size_t open_len(struct vlessenc_aead *a, uint8_t **at)
{
	uint8_t len[2];

	assert_int_equal(vlessenc_open(a, *at, VLESSENC_LEN_BOX, len), 0);
	*at += VLESSENC_LEN_BOX;
	return vlessenc_be16(len);
}

static void open_box(struct vlessenc_aead *a, uint8_t **at, size_t len)
{
	assert_int_equal(vlessenc_open(a, *at, len, *at), 0);
	*at += len;
}

/* The records of a direction, byte by byte, are the texts, then nothing. */
static void open_records(struct vlessenc_dir *d, struct buf_pool *pool, const uint8_t *bytes,
			 size_t len, const char *const *texts)
{
	struct bufq in, out;
	uint8_t got[64];

	bufq_init(&in, pool, SIZE_MAX);
	bufq_init(&out, pool, SIZE_MAX);
	for (size_t i = 0; i < len; i++) {
		ssize_t n;

		assert_int_equal(bufq_append(&in, bytes + i, 1), 0);
		n = vlessenc_record_open(d, &in, &out);
		if (n == -ERR_MORE)
			continue;
		assert_non_null(*texts);
		assert_int_equal(n, (ssize_t)strlen(*texts));
		bufq_take(&out, got, (size_t)n);
		assert_memory_equal(got, *texts++, (size_t)n);
	}
	assert_null(*texts);
	assert_true(bufq_empty(&in));
	vlessenc_dir_clear(d);
}

static void check_records(struct run *r, const char *name, const void *ctx, size_t len,
			  uint64_t count, const uint8_t iv[16], const char *const *texts)
{
	uint8_t bytes[HELLO_MAX];
	size_t n = vector_bytes(r->section, name, bytes);
	struct vlessenc_dir d = {0};
	struct buf_pool pool;

	buf_pool_init(&pool, 0, 0);
	vlessenc_aead_set(&d.aead, r->alg, ctx, len, r->united, sizeof(r->united));
	d.aead.count = count;
	if (r->conf->mode == VLESSENC_RANDOM)
		assert_int_equal(vlessenc_dir_mask(&d, r->united, iv), 0);
	open_records(&d, &pool, bytes, n, texts);
	buf_pool_done(&pool);
}

static void check_first(struct run *r)
{
	static const char *const down[] = {"server data 1", "server data 2", NULL};
	static const char *const up[] = {"client data 1", "client data 2", NULL};
	uint8_t hello[HELLO_MAX], answer[HELLO_MAX], client[VLESSENC_HALF_C], seed[MLKEM768_SEED];
	uint8_t raw[BLAKE3_LEN], ct[MLKEM768_CT], *at, *box;
	size_t n = vector_bytes(r->section, "client_hello", hello), len;
	static struct mlkem768_key kem;
	struct vlessenc_aead s = {0};
	struct blake3_context c;

	at = open_relays(r, hello);
	assert_vector(r->section, "nfs_key", r->united + VLESSENC_PFS, VLESSENC_SECRET);
	blake3_context_set_bytes(&c, hello, VLESSENC_IV);
	blake3_derive(&c, r->united + VLESSENC_PFS, VLESSENC_SECRET, raw, sizeof(raw));
	assert_vector(r->section, "nfs_aead_key", raw, sizeof(raw));
	len = open_len(&r->nfs, &at);
	assert_int_equal(len, VLESSENC_HALF_C + AEAD_TAG);
	box = at;
	open_box(&r->nfs, &at, len);
	assert_vector(r->section, "client_pfs_public", box, VLESSENC_HALF_C);
	memcpy(client, box, sizeof(client));
	open_box(&r->nfs, &at, open_len(&r->nfs, &at));
	assert_ptr_equal(at, hello + n);

	/* the answer, as a client reads it */
	assert_int_equal(vector_bytes(r->section, "client_pfs_mlkem_seed", seed), sizeof(seed));
	mlkem768_key_set(&kem, seed);
	assert_memory_equal(kem.pub, client, sizeof(kem.pub));
	assert_int_equal(vector_bytes(r->section, "pfs_key", r->united), VLESSENC_PFS);
	n = vector_bytes(r->section, "server_hello", answer);
	assert_int_equal(vlessenc_open_last(&r->nfs, answer, VLESSENC_HALF_S + AEAD_TAG, answer),
			 0);
	assert_int_equal(vector_bytes(r->section, "server_mlkem_ct", ct), sizeof(ct));
	assert_memory_equal(answer, ct, sizeof(ct));
	mlkem768_decaps(&kem, ct, raw);
	assert_memory_equal(raw, r->united, MLKEM768_SECRET);
	assert_vector(r->section, "server_x25519_public", answer + MLKEM768_CT, X25519_LEN);
	assert_vector(r->section, "united_key", r->united, sizeof(r->united));
	vlessenc_aead_set(&s, r->alg, answer, VLESSENC_HALF_S, r->united, sizeof(r->united));
	at = box = answer + VLESSENC_HALF_S + AEAD_TAG;
	open_box(&s, &at, VLESSENC_TICKET_BOX);
	assert_vector(r->section, "ticket", box, VLESSENC_TICKET);
	open_box(&s, &at, open_len(&s, &at));
	assert_ptr_equal(at, answer + n);
	check_records(r, "server_records", answer, VLESSENC_HALF_S, s.count, box, down);
	check_records(r, "client_records", client, sizeof(client), 0, hello, up);
	vlessenc_aead_clear(&s);
}

static void check_resumed(struct run *r, const char *const *up, const char *const *down)
{
	uint8_t hello[HELLO_MAX], sealed[VLESSENC_TICKET_BOX], pre[VLESSENC_IV], *at;
	size_t n = vector_bytes(r->section, "zero_rtt_client_hello", hello);

	at = open_relays(r, hello);
	assert_int_equal(open_len(&r->nfs, &at), VLESSENC_TICKET_BOX);
	memcpy(sealed, at, sizeof(sealed));
	open_box(&r->nfs, &at, sizeof(sealed));
	assert_vector(r->section, "ticket", at - sizeof(sealed), VLESSENC_TICKET);
	assert_ptr_equal(at, hello + n);
	assert_vector(r->section, "zero_rtt_united_key", r->united, sizeof(r->united));
	assert_int_equal(vector_bytes(r->section, "zero_rtt_server_prefix", pre), sizeof(pre));
	check_records(r, "zero_rtt_client_record", sealed, sizeof(sealed), 0, hello, up);
	check_records(r, "zero_rtt_server_record", pre, sizeof(pre), 0, pre, down);
}

static void check(const char *section, const char *mode, enum aead_alg alg)
{
	static const char *const up[] = {"0rtt client", NULL}, *const down[] = {"0rtt server",
										NULL};
	struct run r;

	run_open(&r, section, mode, alg);
	check_first(&r);
	check_resumed(&r, up, down);
	run_close(&r);
}

static void native_over_x25519_is_as_in_the_vectors(void **state)
{
	check("vlessenc_native_x25519_aes", "native", AEAD_AES_256_GCM);
}

static void xorpub_over_x25519_is_as_in_the_vectors(void **state)
{
	check("vlessenc_xorpub_x25519_chacha", "xorpub", AEAD_CHACHA20_POLY1305);
}

static void random_over_mlkem_is_as_in_the_vectors(void **state)
{
	check("vlessenc_random_mlkem_aes", "random", AEAD_AES_256_GCM);
}

/* server_secrets is a list, which the helper for texts does not read. */
static void a_chain_of_two_relays_is_as_in_the_vectors(void **state)
{
	static const char *const secrets[] = {
		"bb98ef8e72d727d67e4ca05f935b463e3de0b52aa274733afaf4fc11096da2d4",
		"757a46a926a83505b063b5ac4863583d80d61c75837488981be02d2bde4ebb8b",
	};
	char text[512], key[2][BASE64_TEXT(64)];
	uint8_t raw[64], iv[16], relays[512], secret[32];
	struct vlessenc_conf *c;
	const char *why;

	for (int i = 0; i < 2; i++) {
		size_t n = strlen(secrets[i]) / 2;

		for (size_t j = 0; j < n; j++) {
			unsigned byte;

			assert_int_equal(sscanf(secrets[i] + 2 * j, "%2x", &byte), 1);
			raw[j] = (uint8_t)byte;
		}
		base64_encode(BASE64_URL, raw, n, key[i]);
	}
	snprintf(text, sizeof(text), "mlkem768x25519plus.xorpub.600s.%s.%s", key[0], key[1]);
	assert_int_equal(vlessenc_server_conf_new(text, NULL, &c, &why), 0);
	assert_int_equal(vector_bytes("vlessenc_two_relays", "iv", iv), 16);
	assert_int_equal(vector_bytes("vlessenc_two_relays", "relays_wire", relays), c->relays);
	assert_int_equal(vlessenc_relays_open(c, iv, relays, secret), 0);
	assert_vector("vlessenc_two_relays", "nfs_key_2", secret, 32);
	vlessenc_conf_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(native_over_x25519_is_as_in_the_vectors),
		cmocka_unit_test(xorpub_over_x25519_is_as_in_the_vectors),
		cmocka_unit_test(random_over_mlkem_is_as_in_the_vectors),
		cmocka_unit_test(a_chain_of_two_relays_is_as_in_the_vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
