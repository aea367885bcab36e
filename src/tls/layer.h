/* layer.h - the TLS stream layer: a handshake of some kind, then our records.
 *
 * Internal to src/tls and to REALITY, which brings a handshake of its own.  Everybody else makes
 * TLS streams with server.h and client.h.
 *
 * A handshake works on the layer's two queues: bytes from below are in `rq`, what it appends to
 * `wq` is sent.  When it is done it either gives the secrets to the records (tls_hand_over()) and
 * is freed, or it stays and goes on en- and decrypting (TLS 1.2 in libssl).
 */
#ifndef WEIR_TLS_LAYER_H
#define WEIR_TLS_LAYER_H

#include "stream/stream.h"
#include "tls/hello.h"
#include "tls/record.h"

struct tls;

struct tls_handshake {
	const struct tls_handshake_ops *ops;
};

struct tls_handshake_ops {
	/* 0: done.  -EAGAIN: more bytes are needed.  <0: failed; what is in wq (an alert) is still
	 * sent. */
	int (*run)(struct tls *t);
	void (*free)(struct tls_handshake *h);

	/* Only for handshakes that read by themselves, and wait for more than the bytes below: run()
	 * then gets no bytes that it has not pulled. */
	/* After run() has said -EAGAIN: see to it that tls_wake() follows. */
	void (*want)(struct tls *t);
	/* STREAM_REJECT: ownership passes, and what both sides have yet to get is un-read into
	 * them.  -ENOTSUP: cannot now, or has been. */
	int (*reject)(struct tls *t, struct stream **target);

	/* Only for handshakes that stay: */
	/* As stream_ops.pull, out of rq alone: -EAGAIN asks for more bytes there. */
	ssize_t (*open)(struct tls *t, struct bufq *dst, size_t max);
	/* Encrypt up to `max` bytes into wq.  How many were taken, 0 when memory ran out, or an
	 * error. */
	ssize_t (*seal)(struct tls *t, struct bufq *src, size_t max);
	int (*close)(struct tls *t); /* close_notify into wq */
};

enum tls_state {
	TLS_STATE_LOWER, /* what is below is still opening */
	TLS_STATE_HANDSHAKE,
	TLS_STATE_RECORDS, /* handed over */
	TLS_STATE_STAYED,  /* the handshake's owner goes on */
};

struct tls {
	struct stream base;
	struct stream *lower;
	struct tls_handshake *hs; /* NULL in TLS_STATE_RECORDS */
	struct bufq rq, wq;	  /* ciphertext: not yet opened, not yet taken by what is below */
	struct waiter rd, wr;	  /* ours, for the lower stream */
	struct waiter *up_rd, *up_wr; /* who waits for us; NULL: nobody */
	char *names;		      /* "sni\0alpn", or NULL */
	struct tls_records rec;
	int rerr, werr; /* sticky */
	uint32_t burst; /* how much is sealed before what is below has taken it */
	uint16_t version;
	uint8_t state;	     /* enum tls_state */
	uint8_t record_mode; /* bits 1 << enum stream_dir */
	uint8_t bypass;	     /* likewise */
	uint8_t ending; /* enum tls_got: seen behind payload, to be acted on at the next pull */
	bool closed;	/* close_notify has come */
	bool shut;	/* ours is queued */
	bool answering; /* a KeyUpdate of ours is queued in answer to one */
	bool rejected;	/* what is below belongs to whoever peels */
};

/* A layer over `lower`, which it owns from now on, with `hs`, likewise.  NULL when memory ran out:
 * both are freed then.
 */
struct stream *tls_layer_new(struct stream *lower, struct tls_handshake *hs, bool client);

/* For handshakes with a want() of their own: whoever waits for the layer looks again. */
void tls_wake(struct tls *t);

/* Hand `wq` down.  0: it is empty.  -EAGAIN: the rest goes by itself.  Others are sticky. */
MUST_CHECK int tls_flush(struct tls *t);

/* Both secrets with the number of records that have gone under them; `in` is what we read with. */
struct tls_secrets {
	uint16_t suite;
	uint8_t in[TLS_SECRET_MAX], out[TLS_SECRET_MAX];
	uint64_t in_seq, out_seq;
};

/* From a handshake's run(), before it returns 0: the records take over; the layer frees the
 * handshake.  NULL: what they write with is in t->rec.out already, what they read with in t->rec.in. */
MUST_CHECK int tls_hand_over(struct tls *t, const struct tls_secrets *s);

/* The ClientHello that `rq` begins with, which is left there.  It lies in one piece at `*in`, whose
 * position is behind it; a hello that came in several records lies in the loop's scratch.  0;
 * -ERR_MORE; -ENOMEM; others: there is none.
 */
MUST_CHECK int tls_look_at_hello(struct tls *t, struct rd *in, struct tls_hello *out);

/* What STREAM_SNI and STREAM_ALPN answer.  -ENOMEM. */
MUST_CHECK int tls_set_names(struct tls *t, const char *sni, const void *alpn, size_t alpnlen);

#endif
