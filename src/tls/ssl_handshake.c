#include "tls/ssl_handshake.h"

#include <errno.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/ct.h"

/* One direction's application secret, as the key log tells it, and the records since. */
struct traffic {
	uint8_t secret[TLS_SECRET_MAX];
	size_t len; /* 0: not yet known */
	uint64_t records;
};

struct ssl_handshake {
	struct tls_handshake base;
	const struct ssl_role *role;
	void *conf;
	SSL *ssl;
	struct buf_pool *pool; /* where what libssl takes is counted... */
	size_t held;	       /* ...as so many chunks */
	struct traffic in, out;
	unsigned again; /* records that ask for another handshake, ... */
	nsec_t since;	/* ...since then */
};

enum {
	HELD_RUNNING = 3, /* 48 KB while it shakes hands */
	HELD_STAYED = 1,  /* 14 KB when it stays */
	AGAIN_MAX = 16,	  /* a peer that means it gives up after the first refusal */
};

#define AGAIN_TIME (60 * NSEC_SEC) /* after which they are forgotten */

static struct ssl_handshake *handshake_of(struct tls_handshake *h)
{
	return container_of(h, struct ssl_handshake, base);
}

/* ---- the BIO: reads rq, appends to wq ---------------------------------------------------- */

static BIO_METHOD *queue_method;
static pthread_once_t queue_once = PTHREAD_ONCE_INIT;

static int queue_read(BIO *b, char *out, int len)
{
	struct tls *t = BIO_get_data(b);
	size_t n = bufq_take(&t->rq, out, (size_t)len);

	BIO_clear_retry_flags(b);
	if (n > 0)
		return (int)n;
	BIO_set_retry_read(b);
	return -1;
}

static int queue_write(BIO *b, const char *p, int len)
{
	struct tls *t = BIO_get_data(b);

	BIO_clear_retry_flags(b);
	return bufq_append(&t->wq, p, (size_t)len) ? -1 : len;
}

static long queue_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	return cmd == BIO_CTRL_FLUSH || cmd == BIO_CTRL_DUP;
}

static int queue_create(BIO *b)
{
	BIO_set_init(b, 1);
	return 1;
}

static void make_queue_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weir queues");

	if (!m || !BIO_meth_set_read(m, queue_read) || !BIO_meth_set_write(m, queue_write) ||
	    !BIO_meth_set_ctrl(m, queue_ctrl) || !BIO_meth_set_create(m, queue_create))
		abort(); /* at start, without memory for 100 bytes */
	queue_method = m;
}

/* ---- what libssl tells on the way -------------------------------------------------------- */

static void take_secret(struct traffic *tr, const char *hex)
{
	size_t n = 0;

	for (; n < TLS_SECRET_MAX && hex[2 * n] && hex[2 * n + 1]; n++) {
		unsigned v = 0;

		for (int i = 0; i < 2; i++) {
			char c = hex[2 * n + i];

			v = v << 4 | (unsigned)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
		}
		tr->secret[n] = (uint8_t)v;
	}
	tr->len = n;
	tr->records = 0;
}

/* "LABEL client-random secret", in hexadecimal. */
static void on_keylog(const SSL *ssl, const char *line)
{
	struct ssl_handshake *h = SSL_get_app_data(ssl);
	bool client = !strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24);
	const char *secret;

	if (!h || (!client && strncmp(line, "SERVER_TRAFFIC_SECRET_0 ", 24)))
		return;
	secret = strchr(line + 24, ' ');
	if (secret)
		take_secret(client == h->role->client ? &h->out : &h->in, secret + 1);
}

static void on_message(int writing, int version, int type, const void *p, size_t len, SSL *ssl,
		       void *arg)
{
	struct ssl_handshake *h = SSL_get_app_data(ssl);
	struct traffic *tr;

	if (!h || type != SSL3_RT_HEADER)
		return;
	if (h->held == HELD_STAYED && !writing && *(const uint8_t *)p == SSL3_RT_HANDSHAKE)
		h->again++;
	tr = writing ? &h->out : &h->in;
	if (tr->len > 0)
		tr->records++;
}

void ssl_handshake_ctx(SSL_CTX *ctx)
{
	SSL_CTX_set_keylog_callback(ctx, on_keylog);
	SSL_CTX_set_msg_callback(ctx, on_message);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_max_early_data(ctx, 0);
	SSL_CTX_set_read_ahead(ctx, 0);
}

void ssl_error_text(char *why, size_t len)
{
	unsigned long e = ERR_peek_last_error();

	if (e)
		ERR_error_string_n(e, why, len);
	else
		snprintf(why, len, "handshake failed");
}

/* ---- the handshake ----------------------------------------------------------------------- */

static int start(struct tls *t, struct ssl_handshake *h)
{
	BIO *b;

	if (!buf_pool_hold(t->rq.pool, HELD_RUNNING))
		return -ENOMEM;
	h->pool = t->rq.pool;
	h->held = HELD_RUNNING;
	pthread_once(&queue_once, make_queue_method);
	ERR_clear_error();
	h->ssl = h->role->make(h->conf);
	b = h->ssl ? BIO_new(queue_method) : NULL;
	if (!b)
		return -ENOMEM;
	BIO_set_data(b, t);
	BIO_up_ref(b);
	SSL_set0_rbio(h->ssl, b);
	SSL_set0_wbio(h->ssl, b);
	SSL_set_app_data(h->ssl, h);
	return 0;
}

static int remember_names(struct tls *t, struct ssl_handshake *h)
{
	const char *sni = SSL_get_servername(h->ssl, TLSEXT_NAMETYPE_host_name);
	const unsigned char *alpn;
	unsigned len;

	SSL_get0_alpn_selected(h->ssl, &alpn, &len);
	t->version = (uint16_t)SSL_version(h->ssl);
	return tls_set_names(t, sni ? sni : "", alpn, len);
}

/* Exactly what we believe, or no hand-over: a server has written its tickets, one record each, and
 * nobody anything else under the application keys; nothing read lies inside libssl.
 */
static bool is_clean(const struct ssl_handshake *h, uint16_t suite)
{
	size_t len = tls_secret_len(suite);

	return SSL_version(h->ssl) == TLS1_3_VERSION && len > 0 && h->in.len == len &&
	       h->out.len == len && h->in.records == 0 && !SSL_has_pending(h->ssl) &&
	       h->out.records <= (h->role->client ? 0 : SSL_get_num_tickets(h->ssl));
}

static int finish(struct tls *t, struct ssl_handshake *h)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(h->ssl);
	struct tls_secrets s;
	uint8_t mfl;
	int err;

	err = remember_names(t, h);
	if (err)
		return err;
	s.suite = SSL_CIPHER_get_protocol_id(cipher);
	if (!is_clean(h, s.suite)) {
		buf_pool_let_go(h->pool, h->held - HELD_STAYED);
		h->held = HELD_STAYED;
		h->since = loop_now(t->base.loop);
		return 0; /* libssl goes on */
	}
	/* RFC 6066 §4: 2^9 to 2^12 bytes. */
	mfl = SSL_SESSION_get_max_fragment_length(SSL_get_session(h->ssl));
	if (mfl >= 1 && mfl <= 4)
		t->rec.fragment = (uint16_t)(256 << mfl);
	memcpy(s.in, h->in.secret, sizeof(s.in));
	memcpy(s.out, h->out.secret, sizeof(s.out));
	s.in_seq = 0;
	s.out_seq = h->out.records;
	err = tls_hand_over(t, &s);
	cleanse(&s, sizeof(s));
	return err;
}

static int ssl_run(struct tls *t)
{
	struct ssl_handshake *h = handshake_of(t->hs);
	int ret, err;

	if (!h->ssl) {
		/* Scanners connect and say nothing: no 14 KB for them. */
		if (!h->role->client && bufq_empty(&t->rq))
			return -EAGAIN;
		err = start(t, h);
		if (err)
			return err;
	}
	ERR_clear_error();
	ret = SSL_do_handshake(h->ssl);
	if (ret == 1)
		return finish(t, h);
	return SSL_get_error(h->ssl, ret) == SSL_ERROR_WANT_READ ? -EAGAIN : -ERR_TLS;
}

static void ssl_handshake_free(struct tls_handshake *base)
{
	struct ssl_handshake *h = handshake_of(base);

	if (h->ssl) {
		/* Without this, libssl takes the session for a broken one and its ticket is void.
		 */
		SSL_set_shutdown(h->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
		SSL_free(h->ssl);
	}
	if (h->pool)
		buf_pool_let_go(h->pool, h->held);
	h->role->put(h->conf);
	cleanse(&h->in, sizeof(h->in));
	cleanse(&h->out, sizeof(h->out));
	free(h);
}

/* ---- when it stays ----------------------------------------------------------------------- */

/* libssl refuses each request to renegotiate with a warning and reads on, for ever: a peer that asks
 * at full speed and reads none of them would hold the loop, and fill wq.  Who asks now and then may.
 */
static bool asks_too_often(const struct tls *t, struct ssl_handshake *h)
{
	nsec_t now = loop_now(t->base.loop);

	if (h->again > AGAIN_MAX)
		return true;
	if (now - h->since >= AGAIN_TIME) {
		h->since = now;
		h->again = 0;
	}
	return false;
}

static ssize_t ssl_open(struct tls *t, struct bufq *dst, size_t max)
{
	struct ssl_handshake *h = handshake_of(t->hs);
	size_t got = 0;
	int ret = 1;

	if (t->rerr)
		return t->rerr;
	while (got < max) {
		struct buf *b = bufq_tail_room(dst, 1);

		if (!b)
			return got ? (ssize_t)got : -ENOMEM;
		ERR_clear_error();
		ret = SSL_read(h->ssl, b->data + b->end, (int)MIN(max - got, buf_room(b)));
		bufq_commit(dst, ret > 0 ? (size_t)ret : 0);
		if (ret <= 0)
			break;
		got += (size_t)ret;
	}
	if (got > 0)
		return (ssize_t)got;
	switch (SSL_get_error(h->ssl, ret)) {
	case SSL_ERROR_WANT_READ:
		if (!asks_too_often(t, h))
			return -EAGAIN;
		t->werr = t->werr ? t->werr : -ERR_TLS;
		return t->rerr = -ERR_TLS;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		t->werr = t->werr ? t->werr : -ERR_TLS;
		return t->rerr = -ERR_TLS;
	}
}

static ssize_t ssl_seal(struct tls *t, struct bufq *src, size_t max)
{
	struct ssl_handshake *h = handshake_of(t->hs);
	size_t done = 0;

	while (!bufq_empty(src) && done < max) {
		size_t n = MIN(buf_len(src->head), max - done);
		int ret;

		ERR_clear_error();
		ret = SSL_write(h->ssl, buf_head(src->head), (int)n);
		if (ret <= 0)
			return -ERR_TLS;
		bufq_drain(src, (size_t)ret);
		done += (size_t)ret;
	}
	return (ssize_t)done;
}

static int ssl_close(struct tls *t)
{
	struct ssl_handshake *h = handshake_of(t->hs);

	ERR_clear_error();
	return SSL_shutdown(h->ssl) < 0 ? -ERR_TLS : 0;
}

static const struct tls_handshake_ops ssl_ops = {
	.run = ssl_run,
	.free = ssl_handshake_free,
	.open = ssl_open,
	.seal = ssl_seal,
	.close = ssl_close,
};

bool ssl_handshake_random(const struct tls *t, void *out, size_t len)
{
	const struct ssl_handshake *h;

	if (!t->hs || t->hs->ops != &ssl_ops)
		return false;
	h = handshake_of(t->hs);
	return h->role->client && h->ssl && SSL_get_client_random(h->ssl, out, len) == len;
}

struct tls_handshake *ssl_handshake_new(const struct ssl_role *role, void *conf)
{
	struct ssl_handshake *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->base.ops = &ssl_ops;
	h->role = role;
	h->conf = conf;
	return &h->base;
}
