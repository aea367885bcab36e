#include "tls/reality_learn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "net/proxy_proto.h"
#include "stream/tcp.h"
#include "tls/client.h"
#include "tls/layer.h"
#include "tls/reality_impl.h"
#include "tls/ssl_handshake.h"

#define PATIENCE (10 * NSEC_SEC) /* for a handshake */
#define SILENCE	 (1 * NSEC_SEC)	 /* behind it: then the target has said what it says unasked */
#define LONGEST	 (5 * NSEC_SEC)
#define READS	 16		 /* a turn */
#define AGAIN	 (60 * NSEC_SEC) /* after a failure */
#define REFRESH	 (3600 * NSEC_SEC)

enum learn_state {
	RESTING,
	REACHING, /* dial, then handshake */
	COUNTING,
};

struct reality_learn {
	struct loop *loop;
	struct reality_conf *conf;
	struct dialer *dialer;
	reality_told *told;
	void *arg;
	struct waiter run;
	struct timer timer;
	struct dial *dial;
	struct stream *raw, *tls; /* raw: until the other is made */
	struct bufq q;
	size_t question; /* names * classes */
	bool failed;	 /* one of this round */
	int *results;	 /* by question: as told last; 1: not yet */
	uint8_t state;
	nsec_t since; /* of COUNTING */
	size_t skip;  /* bytes of a record that has been counted */
	struct reality_tail tail;
};

static const char *const alpn_names[ALPN_CLASSES] = {"", "http/1.1", "h2"};

static size_t questions(const struct reality_learn *r)
{
	return r->conf->o.nnames * ALPN_CLASSES;
}

/* So that our own listener knows the question when it comes back. */
static void mark_question(struct reality_learn *r)
{
	uint64_t random = 0;

	if (r->tls &&
	    ssl_handshake_random(container_of(r->tls, struct tls, base), &random, sizeof(random)))
		atomic_store(&r->conf->asking, random);
}

static void let_go(struct reality_learn *r)
{
	atomic_store(&r->conf->asking, 0);
	dial_cancel(r->dial);
	stream_free(r->raw);
	stream_free(r->tls);
	r->dial = NULL;
	r->raw = r->tls = NULL;
	bufq_done(&r->q);
	waiter_cancel(&r->run);
	timer_stop(&r->timer);
}

static void set_timer(struct reality_learn *r, nsec_t in)
{
	timer_set(r->loop, &r->timer, loop_now(r->loop) + in);
}

static void finish(struct reality_learn *r, int err)
{
	size_t i = r->question++;

	let_go(r);
	if (!err)
		atomic_store(&r->conf->answered, true);
	if (atomic_exchange(&r->conf->came_back, false) || !err)
		atomic_store(&r->conf->loops, err && !atomic_load(&r->conf->answered));
	if (err && atomic_load(&r->conf->loops))
		err = -ELOOP;
	r->state = RESTING;
	r->failed |= err != 0;
	if (!err)
		reality_tail_set(r->conf, i, &r->tail);
	if (r->results[i] != err) {
		r->results[i] = err;
		r->told(r->arg, r->conf->o.names[i / ALPN_CLASSES], alpn_names[i % ALPN_CLASSES],
			err);
	}
	if (r->question < questions(r)) {
		set_timer(r, 0);
		return;
	}
	set_timer(r, r->failed ? AGAIN : REFRESH);
	r->question = 0;
	r->failed = false;
}

/* ---- asking ------------------------------------------------------------------------------ */

static int begin(struct reality_learn *r)
{
	const struct reality_options *o = &r->conf->o;

	r->state = REACHING;
	r->skip = 0;
	r->tail = (struct reality_tail){0};
	set_timer(r, PATIENCE);
	loop_queue(r->loop, &r->run);
	if (o->target)
		return unix_connect(r->loop, o->target, &r->raw);
	r->dial = dialer_dial(r->dialer, r->loop, &o->dest, &r->run);
	return r->dial ? 0 : -ENOMEM;
}

static int say_who_asks(struct reality_learn *r)
{
	struct addr local = {0}, peer = {0};
	uint8_t head[PROXY_EMIT_MAX];
	struct wr w = wr_of(head, sizeof(head));
	ssize_t n;
	int err;

	if (r->conf->o.xver == 0)
		return 0;
	(void)stream_local(r->raw, &local);
	(void)stream_peer(r->raw, &peer);
	proxy_emit(&w, r->conf->o.xver, &local, &peer);
	err = w.err ? w.err : bufq_append(&r->q, head, w.len);
	if (err)
		return err;
	n = stream_push(r->raw, &r->q);
	return n == (ssize_t)w.len ? 0 : n < 0 ? (int)n : -EIO;
}

static int begin_tls(struct reality_learn *r)
{
	static const char *const offers[ALPN_CLASSES][3] = {
		{NULL}, {"http/1.1", NULL}, {"h2", "http/1.1", NULL}};
	const char *name = r->conf->o.names[r->question / ALPN_CLASSES];
	struct tls_client_options o = {
		.server_name = *name ? name : NULL,
		.alpn = offers[r->question % ALPN_CLASSES],
		.verify = TLS_VERIFY_NONE,
		/* as browsers have them: a ticket's size depends on what is chosen */
		.suites = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
			  "TLS_CHACHA20_POLY1305_SHA256",
		.min_version = 0x0304,
	};
	struct tls_client_conf *c;
	char why[200];
	int err = say_who_asks(r);

	if (err)
		return err;
	c = tls_client_conf_new(&o, why, sizeof(why));
	if (!c)
		return -ENOMEM;
	r->tls = tls_client_new(r->raw, c);
	r->raw = NULL;
	tls_client_conf_put(c);
	return r->tls ? 0 : -ENOMEM;
}

static int reach(struct reality_learn *r)
{
	int err = 0;

	if (r->dial) {
		err = dial_result(r->dial, &r->raw);
		if (err == -EAGAIN)
			return err;
		r->dial = NULL;
	}
	if (!err && !r->tls) {
		err = stream_open(r->raw);
		if (err == -EAGAIN)
			stream_want(r->raw, STREAM_WR, &r->run);
		if (!err)
			err = begin_tls(r);
	}
	if (err)
		return err;
	err = stream_open(r->tls);
	mark_question(r);
	if (err == -EAGAIN)
		stream_want(r->tls, STREAM_RD | STREAM_WR, &r->run);
	return err;
}

/* ---- counting ---------------------------------------------------------------------------- */

static void count(struct reality_learn *r)
{
	uint8_t h[TLS_HEADER];

	for (;;) {
		size_t n = MIN(r->skip, bufq_len(&r->q)), wire;

		bufq_drain(&r->q, n);
		r->skip -= n;
		if (r->skip > 0 || bufq_peek(&r->q, 0, h, sizeof(h)) < sizeof(h))
			return;
		wire = TLS_HEADER + (size_t)(h[3] << 8 | h[4]);
		if (h[0] == TLS_DATA && wire >= TLS_OVERHEAD && wire <= FLIGHT_RECORD_MAX &&
		    r->tail.n < FLIGHT_EXTRA)
			r->tail.wire[r->tail.n++] = (uint16_t)wire;
		r->skip = wire;
	}
}

/* From the first byte behind the target's Finished, unopened: the TLS layer has taken no more than
 * what it needed, and the rest lies where it reads.
 */
static void count_all(struct reality_learn *r)
{
	struct tls *t = container_of(r->tls, struct tls, base);

	(void)bufq_move(&r->q, &t->rq, SIZE_MAX);
	count(r);
	for (int i = 0; r->tail.n < FLIGHT_EXTRA; i++) {
		ssize_t n;

		if (loop_now(r->loop) - r->since >= LONGEST)
			break;
		if (i == READS) {
			loop_queue(r->loop, &r->run);
			return;
		}
		n = stream_pull(t->lower, &r->q, BUF_PAYLOAD);
		if (n == -EAGAIN) {
			stream_want(t->lower, STREAM_RD, &r->run);
			set_timer(r, SILENCE);
			return;
		}
		if (n <= 0)
			break;
		count(r);
	}
	finish(r, 0);
}

static void on_run(struct waiter *w)
{
	struct reality_learn *r = container_of(w, struct reality_learn, run);
	int err;

	if (r->state == REACHING) {
		err = reach(r);
		if (err == -EAGAIN)
			return;
		if (!err && container_of(r->tls, struct tls, base)->state != TLS_STATE_RECORDS)
			err = -ERR_UNSUPPORTED;
		if (err) {
			finish(r, err);
			return;
		}
		r->state = COUNTING;
		r->since = loop_now(r->loop);
	}
	if (r->state == COUNTING)
		count_all(r);
}

static void on_timer(struct timer *t)
{
	struct reality_learn *r = container_of(t, struct reality_learn, timer);
	int err;

	if (r->state == RESTING) {
		err = begin(r);
		if (err)
			finish(r, err);
		return;
	}
	finish(r, r->state == COUNTING ? 0 : -ERR_TIMEOUT);
}

struct reality_learn *reality_learn_new(struct loop *l, struct reality_conf *conf,
					struct dialer *dialer, reality_told *told, void *arg)
{
	struct reality_learn *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	*r = (struct reality_learn){.loop = l, .dialer = dialer, .told = told, .arg = arg};
	r->conf = reality_conf_get(conf);
	bufq_init(&r->q, loop_pool(l), SIZE_MAX);
	waiter_init(&r->run, on_run);
	timer_init(&r->timer, on_timer);
	r->results = malloc(MAX(questions(r), (size_t)1) * sizeof(*r->results));
	if (!r->results) {
		reality_conf_put(conf);
		free(r);
		return NULL;
	}
	for (size_t i = 0; i < questions(r); i++)
		r->results[i] = 1;
	if (questions(r) > 0)
		set_timer(r, 0);
	return r;
}

void reality_learn_free(struct reality_learn *r)
{
	if (!r)
		return;
	let_go(r);
	reality_conf_put(r->conf);
	free(r->results);
	loop_free_later(r->loop, r);
}
