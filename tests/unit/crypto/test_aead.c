#include "unit.h"

#include <pthread.h>

#include "crypto/aead.h"
#include "crypto/hchacha.h"
#include "crypto/random.h"
#include "hex.h"

static const char *const engines[] = {"evp", "ipsecmb"};

#define SUNSCREEN                                                                              \
	"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the " \
	"future, sunscreen would be it."

/* The GCM specification's cases 4, 10 and 16; RFC 8439 §2.8.2; draft-irtf-cfrg-xchacha-03 A.3.1. */
#define GCM_KEY "feffe9928665731c6d6a8f9467308308"
#define GCM_TEXT                                                                                   \
	"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e24" \
	"49a6b525b16aedf5aa0de657ba637b39"
#define GCM_AAD "feedfacedeadbeeffeedfacedeadbeefabaddad2"

static const struct vector {
	enum aead_alg alg;
	const char *key, *nonce, *aad, *text, *out;
} vectors[] = {
	{AEAD_AES_128_GCM, GCM_KEY, "cafebabefacedbaddecaf888", GCM_AAD, GCM_TEXT,
	 "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aa"
	 "c84"
	 "aa051ba30b396a0aac973d58e091 5bc94fbc3221a5db94fae95ae7121a47"},
	{AEAD_AES_192_GCM, GCM_KEY "feffe9928665731c", "cafebabefacedbaddecaf888", GCM_AAD,
	 GCM_TEXT,
	 "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c7d773d00c144c525ac619d18c"
	 "84a"
	 "3f4718e2448b2fe324d9ccda2710 2519498e80f1478f37ba55bd6d27618c"},
	{AEAD_AES_256_GCM, GCM_KEY GCM_KEY, "cafebabefacedbaddecaf888", GCM_AAD, GCM_TEXT,
	 "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b105"
	 "682"
	 "8838c5f61e6393ba7a0abcc9f662 76fc6ece0f4e1768cddf8853bb2d551b"},
	{AEAD_CHACHA20_POLY1305, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
	 "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7", NULL,
	 "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69d"
	 "a92"
	 "728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad6759455858"
	 "08b"
	 "4831d7bc3ff4def08e4b7a9de576d26586cec64b6116 1ae10b594f09e26a7e902ecbd0600691"},
	{AEAD_XCHACHA20_POLY1305,
	 "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
	 "404142434445464748494a4b4c4d4e4f5051525354555657", "50515253c0c1c2c3c4c5c6c7", NULL,
	 "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4"
	 "eda"
	 "7e39ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b23"
	 "835"
	 "65d3fff921f9664c97637da9768812f615c68b13b52e c0875924c1c7987947deafd8780acf49"},
};

static bool use(const char *engine)
{
	return aead_init(engine) == NULL;
}

static void each_engine_gives_the_published_ciphertexts(void **state)
{
	for (size_t e = 0; e < ARRAY_LEN(engines); e++) {
		if (!use(engines[e]))
			continue;
		for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
			const struct vector *v = &vectors[i];
			uint8_t raw[32], nonce[24], aad[32], text[128], out[144], back[128];
			size_t aadlen, len;
			struct aead_key k;

			assert_int_equal(unhex(v->key, raw), aead_key_len(v->alg));
			assert_int_equal(unhex(v->nonce, nonce), aead_nonce_len(v->alg));
			aadlen = unhex(v->aad, aad);
			len = v->text ? unhex(v->text, text) : strlen(SUNSCREEN);
			if (!v->text)
				memcpy(text, SUNSCREEN, len);
			aead_key_set(&k, v->alg, raw);
			assert_int_equal(aead_seal(&k, nonce, aad, aadlen, text, len, out), 0);
			assert_hex(out, len + AEAD_TAG, v->out);
			assert_int_equal(
				aead_open(&k, nonce, aad, aadlen, out, len + AEAD_TAG, back), 0);
			assert_memory_equal(back, text, len);
			aead_key_clear(&k);
		}
	}
}

/* draft-irtf-cfrg-xchacha-03 §2.2.1. */
static void hchacha20_matches_the_draft(void **state)
{
	uint8_t key[32], nonce[16], out[32];

	unhex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", key);
	unhex("000000090000004a0000000031415927", nonce);
	hchacha20(key, nonce, out);
	assert_hex(out, 32, "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc");
}

static void wrong_bytes_are_refused_and_nothing_is_let_out(void **state)
{
	uint8_t raw[32], nonce[24] = {0}, aad[5] = "12345", text[300], sealed[316], out[300],
			 zero[300] = {0};
	struct aead_key k;

	random_bytes(text, sizeof(text));
	random_bytes(raw, sizeof(raw));
	for (size_t e = 0; e < ARRAY_LEN(engines); e++) {
		if (!use(engines[e]))
			continue;
		for (int alg = 0; alg < AEAD_ALGS; alg++) {
			aead_key_set(&k, alg, raw);
			assert_int_equal(aead_seal(&k, nonce, aad, 5, text, 300, sealed), 0);
			for (size_t i = 0; i < sizeof(sealed); i += 7) {
				memset(out, 7, sizeof(out));
				sealed[i] ^= 0x10;
				assert_int_equal(aead_open(&k, nonce, aad, 5, sealed, 316, out),
						 -ERR_AUTH);
				assert_memory_equal(out, zero, 300);
				sealed[i] ^= 0x10;
			}
			assert_int_equal(aead_open(&k, nonce, aad, 4, sealed, 316, out), -ERR_AUTH);
			assert_int_equal(aead_open(&k, nonce, aad, 5, sealed, 315, out), -ERR_AUTH);
			assert_int_equal(aead_open(&k, nonce, aad, 5, sealed, 15, out), -ERR_AUTH);
			nonce[3] ^= 1;
			assert_int_equal(aead_open(&k, nonce, aad, 5, sealed, 316, out), -ERR_AUTH);
			nonce[3] ^= 1;
			assert_int_equal(aead_open(&k, nonce, aad, 5, sealed, 316, out), 0);
			assert_memory_equal(out, text, 300);
			aead_key_clear(&k);
			assert_int_equal(k.id, 0);
		}
	}
}

/* Cut [0, len) into up to `max` pieces at random. */
static int cut(struct iovec *iov, int max, uint8_t *p, size_t len)
{
	int n = 0;

	while (n < max - 1 && len > 0) {
		size_t part = random_below((uint32_t)len + 1);

		iov[n++] = (struct iovec){p, part};
		p += part;
		len -= part;
	}
	iov[n++] = (struct iovec){p, len};
	return n;
}

static void engines_agree_on_random_messages_however_they_are_cut(void **state)
{
	static uint8_t text[20000], want[20016], got[20016];
	struct iovec iov[6];
	int n;

	for (int round = 0; round < 400; round++) {
		enum aead_alg alg = round % AEAD_ALGS;
		size_t len = random_below(round % 3 ? 2000 : sizeof(text)),
		       aadlen = random_below(40);
		uint8_t raw[32], nonce[24], aad[40];
		struct aead_key k;

		random_bytes(text, len);
		random_bytes(raw, sizeof(raw));
		random_bytes(nonce, sizeof(nonce));
		random_bytes(aad, sizeof(aad));
		aead_key_set(&k, alg, raw);
		assert_true(use("evp"));
		assert_int_equal(aead_seal(&k, nonce, aad, aadlen, text, len, want), 0);
		for (size_t e = 0; e < ARRAY_LEN(engines); e++) {
			if (!use(engines[e]))
				continue;
			n = cut(iov, ARRAY_LEN(iov), text, len);
			assert_int_equal(aead_seal_iov(&k, nonce, aad, aadlen, iov, n, got), 0);
			assert_memory_equal(got, want, len + AEAD_TAG);
			/* in place, cut again */
			n = cut(iov, ARRAY_LEN(iov), got, len);
			assert_int_equal(
				aead_open_iov(&k, nonce, aad, aadlen, iov, n, got + len, got), 0);
			assert_memory_equal(got, text, len);
			assert_int_equal(aead_seal(&k, nonce, aad, aadlen, got, len, got), 0);
			assert_memory_equal(got, want, len + AEAD_TAG);
		}
		aead_key_clear(&k);
	}
}

/* More keys than the cache holds, used in turns. */
static void many_keys_in_turn_never_mix(void **state)
{
	enum { KEYS = 100 };
	static struct aead_key keys[KEYS];
	static uint8_t sealed[KEYS][40 + AEAD_TAG];
	uint8_t raw[32], nonce[24] = {0}, text[40], out[40];

	for (size_t e = 0; e < ARRAY_LEN(engines); e++) {
		if (!use(engines[e]))
			continue;
		for (int i = 0; i < KEYS; i++) {
			random_bytes(raw, sizeof(raw));
			memset(text, i, sizeof(text));
			aead_key_set(&keys[i], i % AEAD_ALGS, raw);
			assert_int_equal(aead_seal(&keys[i], nonce, "", 0, text, 40, sealed[i]), 0);
		}
		for (int i = 0; i < 1000; i++) {
			int j = (int)random_below(KEYS);

			memset(text, j, sizeof(text));
			assert_int_equal(aead_open(&keys[j], nonce, "", 0, sealed[j], 56, out), 0);
			assert_memory_equal(out, text, 40);
		}
		for (int i = 0; i < KEYS; i++)
			aead_key_clear(&keys[i]);
	}
}

static void *open_elsewhere(void *arg)
{
	static const uint8_t nonce[24];
	uint8_t *sealed = (uint8_t *)arg + sizeof(struct aead_key), out[8];

	return aead_open(arg, nonce, "", 0, sealed, 24, out) || memcmp(out, "message", 8) ? arg
											  : NULL;
}

static void a_key_works_on_another_thread(void **state)
{
	struct {
		struct aead_key k;
		uint8_t sealed[24];
	} a;
	uint8_t raw[32] = {1}, nonce[24] = {0};
	pthread_t t;
	void *ret;

	aead_key_set(&a.k, AEAD_AES_256_GCM, raw);
	assert_int_equal(aead_seal(&a.k, nonce, "", 0, "message", 8, a.sealed), 0);
	assert_int_equal(pthread_create(&t, NULL, open_elsewhere, &a), 0);
	pthread_join(t, &ret);
	assert_null(ret);
	aead_key_clear(&a.k);
}

static void an_unknown_engine_is_refused_with_a_text(void **state)
{
	assert_true(use("evp"));
	assert_non_null(aead_init("magic"));
	assert_string_equal(aead_engine(), "evp");
	assert_true(use("auto"));
	aead_key_clear(&(struct aead_key){0});
}

static void a_key_is_small(void **state)
{
	assert_true(sizeof(struct aead_key) <= 48);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_engine_gives_the_published_ciphertexts),
		cmocka_unit_test(hchacha20_matches_the_draft),
		cmocka_unit_test(wrong_bytes_are_refused_and_nothing_is_let_out),
		cmocka_unit_test(engines_agree_on_random_messages_however_they_are_cut),
		cmocka_unit_test(many_keys_in_turn_never_mix),
		cmocka_unit_test(a_key_works_on_another_thread),
		cmocka_unit_test(an_unknown_engine_is_refused_with_a_text),
		cmocka_unit_test(a_key_is_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
