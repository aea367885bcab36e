/* TLS 1.2 that stays with libssl, and a peer that asks for new handshakes without end and reads no
 * answer.  A server of libssl may ask as often as it likes; a client of libssl asks once and waits, so
 * its one request is made of many records that begin like one each.
 */
#include "unit.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "stream/pair.h"
#include "tls/client.h"
#include "tls/self_signed.h"
#include "tls/server.h"

struct rig {
	struct loop *loop;
	struct tls_client_conf *conf; /* of one of both */
	struct tls_server_conf *server;
	struct stream *ours, *far;
	SSL_CTX *ctx;
	SSL *peer;
	struct bufq q;
	bool asks; /* a client that has shaken hands */
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

static void shake_hands(struct rig *r)
{
	int done = 0;

	r->peer = SSL_new(r->ctx);
	SSL_set_bio(r->peer, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	if (r->conf)
		SSL_set_accept_state(r->peer);
	else
		SSL_set_connect_state(r->peer);
	for (int i = 0; i < 10 && done != 1; i++) {
		(void)!stream_open(r->ours);
		collect(r);
		done = done == 1 ? 1 : SSL_do_handshake(r->peer);
		deliver(r);
	}
	assert_int_equal(done, 1);
	assert_int_equal(stream_open(r->ours), 0);
}

static void pair_up(struct rig *r)
{
	*r = (struct rig){.loop = loop_new(LOOP_VIRTUAL, 1)};
	assert_int_equal(pair_new(r->loop, 100000, &r->far, &r->ours), 0);
	bufq_init(&r->q, loop_pool(r->loop), SIZE_MAX);
}

static void rig_up(struct rig *r)
{
	struct tls_client_options o = {.server_name = "one.example", .verify = TLS_VERIFY_NONE};
	char why[200];

	pair_up(r);
	r->conf = tls_client_conf_new(&o, why, sizeof(why));
	r->ours = tls_client_new(r->ours, r->conf);
	r->ctx = server_ctx();
	shake_hands(r);
}

/* The type of a ClientHello, over and over, in an extension that nobody knows. */
static int add_ones(SSL *s, unsigned type, const unsigned char **out, size_t *len, int *al,
		    void *arg)
{
	static unsigned char ones[20000];
	const struct rig *r = arg;

	memset(ones, SSL3_MT_CLIENT_HELLO, sizeof(ones));
	*out = ones;
	*len = sizeof(ones);
	return r->asks;
}

static void rig_up_as_server(struct rig *r)
{
	struct tls_server_options o = {.certs = cert_store_new(), .max_version = TLS1_2_VERSION};
	char *cert, *key, why[200];

	pair_up(r);
	assert_int_equal(self_signed_pem("one.example", &cert, &key), 0);
	assert_int_equal(
		cert_store_add_pem(o.certs, cert, strlen(cert), key, strlen(key), why, sizeof(why)),
		0);
	free(cert);
	free(key);
	r->server = tls_server_conf_new(&o, why, sizeof(why));
	cert_store_put(o.certs);
	r->ours = tls_server_new(r->ours, r->server);
	r->ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_add_client_custom_ext(r->ctx, 65000, add_ones, NULL, r, NULL, NULL);
	SSL_CTX_set_max_send_fragment(r->ctx, 512);
	shake_hands(r);
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
	tls_server_conf_put(r->server);
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

/* The next record of the peer's alone; what a pull says behind it. */
static ssize_t deliver_one(struct rig *r)
{
	BIO *out = SSL_get_wbio(r->peer);
	struct bufq in;
	uint8_t buf[5 + 1000];
	size_t len;
	ssize_t n;

	assert_int_equal(BIO_read(out, buf, 5), 5);
	assert_int_equal(buf[0], SSL3_RT_HANDSHAKE);
	len = (size_t)buf[3] << 8 | buf[4];
	assert_in_range(len, 512, 1000);
	assert_int_equal(BIO_read(out, buf + 5, (int)len), len);
	assert_int_equal(bufq_append(&r->q, buf, 5 + len), 0);
	assert_int_equal(stream_push(r->far, &r->q), 5 + len);
	bufq_init(&in, loop_pool(r->loop), SIZE_MAX);
	n = stream_pull(r->ours, &in, 1000);
	bufq_done(&in);
	return n;
}

static void a_client_who_asks_without_end_is_left_too(void **state)
{
	struct rig r;

	rig_up_as_server(&r);
	r.asks = true;
	assert_int_equal(SSL_renegotiate(r.peer), 1);
	assert_int_equal(SSL_do_handshake(r.peer), -1); /* it has asked, and waits */
	for (int i = 0; i < 16; i++)
		assert_int_equal(deliver_one(&r), -EAGAIN);
	assert_int_equal(deliver_one(&r), -ERR_TLS);
	rig_down(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_few_requests_are_refused_and_the_connection_goes_on),
		cmocka_unit_test(who_asks_without_end_is_left),
		cmocka_unit_test(who_asks_now_and_then_is_not),
		cmocka_unit_test(a_client_who_asks_without_end_is_left_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
