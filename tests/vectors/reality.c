/* REALITY against the known answers: a whole handshake, from the ClientHello to the client's
 * Finished, with every secret on its way.
 */
#include "crypto/aead.h"
#include "parser_rules.h"
#include "tls/reality_impl.h"
#include "vectors.h"

#define BYTES(name, out) vector_bytes("reality", name, out)

static void is_vector(const char *name, const uint8_t *got, size_t len)
{
	uint8_t want[8192];

	assert_int_equal(BYTES(name, want), len);
	assert_memory_equal(got, want, len);
}

static struct tls_hello hello_of(uint8_t *mem)
{
	size_t n = BYTES("client_hello", mem);
	struct rd r = rd_of(mem, n);
	struct tls_hello h;

	assert_int_equal(tls_hello_parse(&r, &h), 0);
	return h;
}

static struct reality_options options(void)
{
	static const char *const names[] = {"other.example", NULL, ""};
	static const uint8_t ids[2][REALITY_SHORT_ID] = {
		{9}, {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}};
	static uint8_t mem[1024], key[32];
	static char name[256];
	static const char *all[3];
	struct tls_hello h = hello_of(mem);

	memcpy(name, h.sni.p, h.sni.len);
	name[h.sni.len] = '\0';
	memcpy(all, names, sizeof(all));
	all[1] = name;
	BYTES("server_private", key);
	return (struct reality_options){
		.names = all,
		.nnames = 3,
		.short_ids = ids,
		.nshort_ids = 2,
		.private_key = key,
	};
}

static struct x25519 *server; /* the key of options() */

static void a_session_id_is_that_of_the_vectors(void **state)
{
	struct reality_claim c, want = {.version = 0x1a071c, .time = 0x6553f100};
	uint8_t hello[1024], shared[32], key[32], random[32], plain[16];
	size_t n = BYTES("client_hello", hello);

	BYTES("shared", shared);
	BYTES("client_random", random);
	assert_int_equal(reality_auth_key(shared, random, key), 0);
	is_vector("auth_key", key, sizeof(key));
	assert_int_equal(reality_claim_parse(hello, n, key, &c), 0);
	assert_int_equal(BYTES("session_id_plain", plain), 16);
	memcpy(want.short_id, plain + 8, 8);
	assert_int_equal(c.version, want.version);
	assert_int_equal(c.time, want.time);
	assert_memory_equal(c.short_id, want.short_id, 8);
	memset(hello + REALITY_ID_AT, 0xaa, REALITY_ID_LEN);
	assert_int_equal(reality_claim_emit(&want, key, hello, n), 0);
	is_vector("client_hello", hello, n);
}

static int64_t when(void)
{
	return (int64_t)0x6553f100 * 1000;
}

static void the_hello_of_the_vectors_is_ours(void **state)
{
	struct reality_options o = options();
	uint8_t mem[1024], key[32];
	struct tls_hello h = hello_of(mem);

	assert_int_equal(reality_authenticate(&o, server, &h, when(), key), 0);
	is_vector("auth_key", key, sizeof(key));
}

static void no_changed_bit_of_a_hello_is_ours(void **state)
{
	struct reality_options o = options();
	uint8_t mem[1024], key[32];
	size_t n = BYTES("client_hello", mem);

	for (size_t bit = 0; bit < 8 * n; bit++) {
		struct rd r = rd_of(mem, n);
		struct tls_hello h;

		mem[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (!tls_hello_parse(&r, &h))
			assert_int_equal(reality_authenticate(&o, server, &h, when(), key),
					 -ERR_AUTH);
		mem[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void names_ids_versions_and_clocks_have_limits(void **state)
{
	struct reality_options o = options(), p;
	uint8_t mem[1024], key[32];
	struct tls_hello h = hello_of(mem);

#define OURS(want, change)                                                                \
	do {                                                                              \
		p = o;                                                                    \
		change;                                                                   \
		assert_int_equal(reality_authenticate(&p, server, &h, when() + off, key), \
				 (want) ? 0 : -ERR_AUTH);                                 \
	} while (0)
	int64_t off = 0;

	OURS(false, p.nnames = 1);
	OURS(false, p.nshort_ids = 1);
	OURS(true, p.min_version = 0x1a071c);
	OURS(false, p.min_version = 0x1a071d);
	OURS(true, p.max_version = 0x1a071c);
	OURS(false, p.max_version = 0x1a071b);
	off = 5000;
	OURS(true, p.max_time_diff_ms = 5000);
	OURS(false, p.max_time_diff_ms = 4999);
	off = -5000;
	OURS(true, p.max_time_diff_ms = 5000);
	OURS(false, p.max_time_diff_ms = 4999);
	off = INT64_C(1000000000000);
	OURS(true, p.max_time_diff_ms = 0);
}

/* What the target sends: the ServerHello of the vectors, then records of these sizes. */
static size_t target_flight(const uint16_t *wire, size_t n, uint8_t *out)
{
	struct wr w = wr_of(out, 16384);
	uint8_t hello[1024];
	size_t len = BYTES("target_server_hello", hello);

	wr_bytes(&w, "\x16\x03\x03", 3);
	wr_be16(&w, (uint16_t)len);
	wr_bytes(&w, hello, len);
	wr_bytes(&w, "\x14\x03\x03\x00\x01\x01", 6);
	for (size_t i = 0; i < n; i++) {
		wr_bytes(&w, "\x17\x03\x03", 3);
		wr_be16(&w, (uint16_t)(wire[i] - 5));
		memset(wr_room(&w, wire[i] - 5u), 0x55, wire[i] - 5u);
	}
	assert_int_equal(w.err, 0);
	return w.len;
}

struct answered {
	struct reality_answer a;
	struct target_flight f;
	uint8_t target[16384], out[16384];
	struct wr w;
};

static int answer(struct answered *x, const uint16_t *wire, size_t n)
{
	uint8_t mem[1024], auth[32], x25519[32], seed[32];
	struct reality_secrets s = {.auth = auth};
	struct x25519 *mine;
	struct ed25519 *signer;
	struct tls_hello h = hello_of(mem);
	size_t len = target_flight(wire, n, x->target);
	int err;

	BYTES("auth_key", auth);
	BYTES("server_ephemeral_private", x25519);
	BYTES("ed25519_seed", seed);
	s.x25519 = mine = x25519_new(x25519);
	s.signer = signer = ed25519_new(seed);
	assert_non_null(signer);
	x->w = wr_of(x->out, sizeof(x->out));
	memset(&x->a, 0, sizeof(x->a));
	assert_int_equal(target_flight_parse(rd_of(x->target, len), &x->f), 0);
	err = reality_answer_emit(&s, h.raw, &x->f, &x->a, &x->w);
	x25519_free(mine);
	ed25519_free(signer);
	return err;
}

static void check_secrets(const struct reality_answer *a)
{
	uint8_t message[64] = {20, 0, 0, 32};

	is_vector("c_hs_traffic", a->keys.c_hs, 32);
	is_vector("s_hs_traffic", a->keys.s_hs, 32);
	is_vector("c_ap_traffic", a->keys.c_ap, 32);
	is_vector("s_ap_traffic", a->keys.s_ap, 32);
	memcpy(message + 4, a->finished, 32);
	is_vector("client_finished", message, 36);
}

/* What stands before the encrypted records: ServerHello and ChangeCipherSpec. */
static size_t plain_len(struct answered *x)
{
	size_t len = 5 + x->f.hello.raw.len;

	is_vector("server_hello", x->out + 5, x->f.hello.raw.len);
	assert_memory_equal(x->out + len, "\x14\x03\x03\x00\x01\x01", 6);
	return len + 6;
}

static void flights_are_those_of_the_vectors(void **state)
{
	static const uint16_t separate[] = {40, 1200, 286, 58}, combined[] = {1700},
			      ticket[] = {40, 1200, 286, 58, 250};
	struct answered x;
	size_t at;

	assert_int_equal(answer(&x, separate, 4), 0);
	at = plain_len(&x);
	is_vector("flight_separate", x.out + at, x.w.len - at);
	check_secrets(&x.a);
	tls13_clear(&x.a.keys);

	assert_int_equal(answer(&x, combined, 1), 0);
	at = plain_len(&x);
	is_vector("flight_combined_1700", x.out + at, x.w.len - at);
	check_secrets(&x.a);
	tls13_clear(&x.a.keys);

	assert_int_equal(answer(&x, ticket, 5), 0);
	assert_int_equal(x.a.out_seq, 1);
	is_vector("fake_post_handshake_record_250", x.out + x.w.len - 250, 250);
	tls13_clear(&x.a.keys);
}

static void records_too_small_for_us_are_refused(void **state)
{
	static const uint16_t smallest[4] = {28, 213, 94, 58};
	struct answered x;

	for (int i = 0; i < 4; i++) {
		uint16_t wire[4];

		memcpy(wire, smallest, sizeof(wire));
		wire[i]--;
		assert_int_equal(answer(&x, wire, 4), -ERR_TOO_BIG);
		tls13_clear(&x.a.keys);
	}
	assert_int_equal(answer(&x, smallest, 4), 0);
	tls13_clear(&x.a.keys);
}

static void the_certificate_is_that_of_the_vectors(void **state)
{
	uint8_t pub[32], auth[32], cert[REALITY_CERT_LEN], got[32];

	BYTES("ed25519_public", pub);
	BYTES("auth_key", auth);
	assert_int_equal(reality_cert_emit(pub, auth, cert), 0);
	is_vector("certificate", cert, sizeof(cert));
	assert_int_equal(reality_cert_check(cert, sizeof(cert), auth, got), 0);
	assert_memory_equal(got, pub, 32);
	for (size_t i = 0; i < sizeof(cert); i++) {
		cert[i] ^= 1;
		if ((i >= 72 && i < 104) || i >= sizeof(cert) - 64)
			assert_int_equal(reality_cert_check(cert, sizeof(cert), auth, got),
					 -ERR_AUTH);
		else /* names and dates prove nothing */
			(void)!reality_cert_check(cert, sizeof(cert), auth, got);
		cert[i] ^= 1;
	}
	auth[0] ^= 1;
	assert_int_equal(reality_cert_check(cert, sizeof(cert), auth, got), -ERR_AUTH);
}

static void the_certificate_with_mldsa_is_that_of_the_vectors(void **state)
{
	uint8_t pub[32], auth[32], want[8192], sig[8192], cert[REALITY_PQ_CERT_LEN], got[32],
		seed[64], mac[64];
	struct mldsa65_key *k;

	BYTES("ed25519_public", pub);
	BYTES("auth_key", auth);
	assert_int_equal(vector_bytes("reality_mldsa", "signature", sig), MLDSA65_SIG);
	assert_int_equal(reality_pq_cert_emit(pub, auth, sig, cert), 0);
	assert_int_equal(vector_bytes("reality_mldsa", "certificate", want), sizeof(cert));
	assert_memory_equal(cert, want, sizeof(cert));
	assert_memory_equal(cert + REALITY_PQ_AT, sig, MLDSA65_SIG);
	assert_int_equal(reality_cert_check(cert, sizeof(cert), auth, got), 0);
	assert_memory_equal(got, pub, 32);
	vector_bytes("reality_mldsa", "seed", seed);
	vector_bytes("reality_mldsa", "signed_message", mac);
	k = mldsa65_key_new(seed);
	assert_int_equal(
		mldsa65_verify(mldsa65_public(k), mac, 64, cert + REALITY_PQ_AT, MLDSA65_SIG), 0);
	mldsa65_key_free(k);
}

/* With a target whose certificate is that big: the signature is over what was sent. */
static void a_flight_with_mldsa_is_signed(void **state)
{
	static const uint16_t wire[] = {5000};
	uint8_t mem[1024], seed[64], text[8192], type, auth[32], eseed[32], x[32], mac[64];
	struct reality_secrets s = {.auth = auth};
	struct x25519 *mine;
	struct tls_hello h = hello_of(mem);
	struct mldsa65_key *k;
	struct ed25519 *signer;
	struct tls_dir d = {0};
	struct answered a;
	size_t n, len, at;

	BYTES("auth_key", auth);
	BYTES("server_ephemeral_private", x);
	BYTES("ed25519_seed", eseed);
	vector_bytes("reality_mldsa", "seed", seed);
	s.x25519 = mine = x25519_new(x);
	s.signer = signer = ed25519_new(eseed);
	s.mldsa = k = mldsa65_key_new(seed);
	memset(&a.a, 0, sizeof(a.a));
	len = target_flight(wire, 1, a.target);
	assert_int_equal(target_flight_parse(rd_of(a.target, len), &a.f), 0);
	a.w = wr_of(a.out, sizeof(a.out));
	assert_int_equal(reality_answer_emit(&s, h.raw, &a.f, &a.a, &a.w), 0);
	at = 5 + a.f.hello.raw.len + 6;
	assert_int_equal(tls_dir_set(&d, 0x1301, a.a.keys.s_hs, 0), 0);
	assert_int_equal(tls_open_one(&d, a.out + at, 5000, text, &n, &type), 0);
	assert_int_equal(reality_pq_signed(ed25519_public(signer), auth, h.raw,
					   (struct tls_bytes){a.out + 5, a.f.hello.raw.len}, mac),
			 0);
	/* behind EncryptedExtensions, and what stands before the certificate */
	assert_int_equal(mldsa65_verify(mldsa65_public(k), mac, 64, text + 6 + 11 + REALITY_PQ_AT,
					MLDSA65_SIG),
			 0);
	tls_dir_clear(&d);
	tls13_clear(&a.a.keys);
	x25519_free(mine);
	ed25519_free(signer);
	mldsa65_key_free(k);
}

static struct reality_answer finished_answer;

static int finished(struct rd *in)
{
	return reality_finished_parse(in, &finished_answer);
}

static void a_finished_is_believed_only_when_it_is_the_one(void **state)
{
	static const uint16_t wire[] = {1700};
	uint8_t message[64], record[128];
	struct tls_dir d = {0};
	struct answered x;
	size_t n = BYTES("client_finished", message);
	struct iovec iov = {message, n};
	struct rd r;

	assert_int_equal(answer(&x, wire, 1), 0);
	finished_answer = x.a;
	assert_int_equal(tls_dir_set(&d, 0x1301, x.a.keys.c_hs, 0), 0);
	memcpy(record, "\x14\x03\x03\x00\x01\x01", 6);
	assert_int_equal(tls_seal(&d, TLS_HANDSHAKE, &iov, 1, n, record + 6), 0);
	keeps_parser_rules(finished, record, 6 + n + TLS_OVERHEAD);
	keeps_parser_rules(finished, record + 6, n + TLS_OVERHEAD);
	for (size_t bit = 0; bit < 8 * (6 + n + TLS_OVERHEAD); bit++) {
		record[bit / 8] ^= (uint8_t)(1u << bit % 8);
		r = rd_of(record, 6 + n + TLS_OVERHEAD);
		assert_int_not_equal(finished(&r), 0);
		record[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	message[10] ^= 1; /* well sealed, and still wrong */
	assert_int_equal(tls_dir_set(&d, 0x1301, x.a.keys.c_hs, 0), 0);
	assert_int_equal(tls_seal(&d, TLS_HANDSHAKE, &iov, 1, n, record), 0);
	r = rd_of(record, n + TLS_OVERHEAD);
	assert_int_equal(finished(&r), -ERR_AUTH);
	tls_dir_clear(&d);
	tls13_clear(&x.a.keys);
}

static int engines(void **state)
{
	struct reality_options o = options();

	assert_null(aead_init("auto"));
	server = x25519_new(o.private_key);
	return server ? 0 : -1;
}

static int drop(void **state)
{
	x25519_free(server);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_id_is_that_of_the_vectors),
		cmocka_unit_test(the_hello_of_the_vectors_is_ours),
		cmocka_unit_test(no_changed_bit_of_a_hello_is_ours),
		cmocka_unit_test(names_ids_versions_and_clocks_have_limits),
		cmocka_unit_test(flights_are_those_of_the_vectors),
		cmocka_unit_test(records_too_small_for_us_are_refused),
		cmocka_unit_test(the_certificate_is_that_of_the_vectors),
		cmocka_unit_test(the_certificate_with_mldsa_is_that_of_the_vectors),
		cmocka_unit_test(a_flight_with_mldsa_is_signed),
		cmocka_unit_test(a_finished_is_believed_only_when_it_is_the_one),
	};

	return cmocka_run_group_tests(tests, engines, drop);
}
