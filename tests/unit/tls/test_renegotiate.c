/* TLS 1.2 that stays with libssl, and a peer that asks for new handshakes without end and reads no
 * answer.  The peer is a server of libssl, which may ask as often as it likes; what answers it is the
 * same for both roles.
 */
#include "unit.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "stream/pair.h"
#include "tls/client.h"
#include "tls/self_signed.h"

struct rig {
	struct loop *loop;
	struct tls_client_conf *conf;
	struct stream *ours, *far;
	SSL_CTX *ctx;
	SSL *peer;
	struct bufq q;
};

static SSL_CTX *server_ctx(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	char *cert, *key;
	EVP_PKEY *k;
	X509 *x;
	BIO *b;

	assert_int_equal(self_signed_pem("one.example", &cert, &key), 0);
	b = BIO_new_mem_buf(cert, -1);
	x = PEM_read_bio_X509(b, NULL, NULL, NULL);
	BIO_free(b);
	b = BIO_new_mem_buf(key, -1);
	k = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
	BIO_free(b);
	SSL_CTX_use_certificate(ctx, x);
	SSL_CTX_use_PrivateKey(ctx, k);
	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	X509_free(x);
	EVP_PKEY_free(k);
	free(cert);
	free(key);
	return ctx;
}

/* What the peer has written, to us. */
static void deliver(struct rig *r)
{
	uint8_t buf[20000];
	int n = BIO_read(SSL_get_wbio(r->peer), buf, sizeof(buf));

	if (n <= 0)
		return;
	assert_int_equal(bufq_append(&r->q, buf, (size_t)n), 0);
	assert_int_equal(stream_push(r->far, &r->q), n);
}

/* What we have written, to the peer. */
static void collect(struct rig *r)
{
	uint8_t buf[20000];
	ssize_t n = stream_pull(r->far, &r->q, sizeof(buf));

	if (n <= 0)
		return;
	bufq_take(&r->q, buf, (size_t)n);
	BIO_write(SSL_get_rbio(r->peer), buf, (int)n);
}

static void rig_up(struct rig *r)
{
	struct tls_client_options o = {.server_name = "one.example", .verify = TLS_VERIFY_NONE};
	char why[200];
	int done = 0;

	r->loop = loop_new(LOOP_VIRTUAL, 1);
	r->conf = tls_client_conf_new(&o, why, sizeof(why));
	assert_int_equal(pair_new(r->loop, 100000, &r->far, &r->ours), 0);
	r->ours = tls_client_new(r->ours, r->conf);
	bufq_init(&r->q, loop_pool(r->loop), SIZE_MAX);
	r->ctx = server_ctx();
	r->peer = SSL_new(r->ctx);
	SSL_set_bio(r->peer, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_accept_state(r->peer);
	for (int i = 0; i < 10 && done != 1; i++) {
		(void)!stream_open(r->ours);
		collect(r);
		done = SSL_do_handshake(r->peer);
		deliver(r);
	}
	assert_int_equal(stream_open(r->ours), 0);
}

static void rig_down(struct rig *r)
{
	SSL_set_quiet_shutdown(r->peer, 1);
	SSL_free(r->peer);
	SSL_CTX_free(r->ctx);
	stream_free(r->ours);
	stream_free(r->far);
	bufq_done(&r->q);
	while (loop_turn(r->loop, 0) > 0)
		;
	loop_free(r->loop);
	tls_client_conf_put(r->conf);
}

/* One request to start again; what a pull says behind it. */
static ssize_t ask_again(struct rig *r)
{
	struct bufq in;
	ssize_t n;

	assert_int_equal(SSL_renegotiate(r->peer), 1);
	assert_int_equal(SSL_do_handshake(r->peer), 1);
	deliver(r);
	bufq_init(&in, loop_pool(r->loop), SIZE_MAX);
	n = stream_pull(r->ours, &in, 1000);
	bufq_done(&in);
	return n;
}

static void a_few_requests_are_refused_and_the_connection_goes_on(void **state)
{
	struct bufq in;
	struct rig r;

	rig_up(&r);
	for (int i = 0; i < 16; i++)
		assert_int_equal(ask_again(&r), -EAGAIN);
	assert_int_equal(SSL_write(r.peer, "hello", 5), 5);
	deliver(&r);
	bufq_init(&in, loop_pool(r.loop), SIZE_MAX);
	assert_int_equal(stream_pull(r.ours, &in, 1000), 5);
	bufq_done(&in);
	rig_down(&r);
}

static void who_asks_without_end_is_left(void **state)
{
	struct rig r;

	rig_up(&r);
	for (int i = 0; i < 16; i++)
		assert_int_equal(ask_again(&r), -EAGAIN);
	assert_int_equal(ask_again(&r), -ERR_TLS);
	rig_down(&r);
}

static void who_asks_now_and_then_is_not(void **state)
{
	struct rig r;

	rig_up(&r);
	for (int i = 0; i < 40; i++) {
		nsec_t until = loop_now(r.loop) + 61 * NSEC_SEC;

		assert_int_equal(ask_again(&r), -EAGAIN);
		while (i % 10 == 9 && loop_now(r.loop) < until)
			loop_turn(r.loop, until - loop_now(r.loop));
	}
	rig_down(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_few_requests_are_refused_and_the_connection_goes_on),
		cmocka_unit_test(who_asks_without_end_is_left),
		cmocka_unit_test(who_asks_now_and_then_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
