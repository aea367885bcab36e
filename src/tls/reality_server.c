/* reality_server.c - the target mirrored until a hello is ours, and back to it whenever something is
 * not: there is no answer of our own to anything that is wrong, the target gives it.
 *
 *     MIRROR --- hello is ours ---> COLLECT --- target has answered ---> FLIGHT --- Finished ---> done
 *        \____________________________\___________________________________\________________> rejected
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "crypto/ct.h"
#include "net/proxy_proto.h"
#include "stream/tcp.h"
#include "tls/layer.h"
#include "tls/reality_impl.h"

#define READ_SIZE 16384
#define SAID_MAX  16384 /* of the target, while a Finished is awaited */

enum mirror_state {
	MIRROR,	 /* what the client sends goes to the target, and is read along */
	COLLECT, /* he is ours: the target's answer is awaited */
	FLIGHT,	 /* we have answered: his Finished is awaited */
};

enum wants {
	WANT_CLIENT = 1,
	WANT_TARGET_RD = 2,
	WANT_TARGET_WR = 4,
};

struct reality {
	struct tls_handshake base;
	struct tls *t;
	struct reality_conf *conf;
	struct dialer *dialer;
	struct dial *dial;
	struct stream *target;
	struct waiter dialled;
	struct bufq to, from; /* for the target: not yet taken; from it: not yet used */
	size_t mirrored;      /* this much of rq's front has been copied to `to` */
	uint8_t state, wants;
	size_t tail; /* of conf's: which name, which kind of ALPN */
	bool begun, reached, rejecting;
	uint8_t auth[REALITY_AUTH_KEY];
	uint8_t *hello; /* his, once he is ours */
	size_t hellolen;
	struct reality_answer answer;
};

static struct reality *of(struct tls *t)
{
	return container_of(t->hs, struct reality, base);
}

/* ---- the target -------------------------------------------------------------------------- */

static void on_dialled(struct waiter *w)
{
	tls_wake(container_of(w, struct reality, dialled)->t);
}

static int begin(struct tls *t, struct reality *r)
{
	const struct reality_options *o = &r->conf->o;

	if (atomic_load_explicit(&r->conf->loops, memory_order_relaxed))
		return -ELOOP;
	r->begun = true;
	if (o->target)
		return unix_connect(t->base.loop, o->target, &r->target);
	r->dial = dialer_dial(r->dialer, t->base.loop, &o->dest, &r->dialled);
	return r->dial ? 0 : -ENOMEM;
}

static int add_proxy_header(struct tls *t, struct reality *r)
{
	struct addr peer = {0}, local = {0};
	uint8_t head[PROXY_EMIT_MAX];
	struct wr w = wr_of(head, sizeof(head));

	if (r->conf->o.xver == 0)
		return 0;
	(void)stream_peer(t->lower, &peer); /* unknown makes UNKNOWN */
	(void)stream_local(t->lower, &local);
	proxy_emit(&w, r->conf->o.xver, &peer, &local);
	return w.err ? w.err : bufq_prepend(&r->to, head, w.len);
}

/* A target that is our own listener, by a name or an address that nobody could know at start. */
static bool is_loop(const struct tls *t, const struct reality *r)
{
	uint16_t port = r->conf->o.port;
	struct addr here, there;

	if (!stream_peer(r->target, &there) || (port && addr_port(&there) != port))
		return false; /* asking the client's socket as well would cost it memory for good */
	return stream_local(t->lower, &here) && addr_equal(&here, &there);
}

/* 0: there.  -EAGAIN: on the way.  <0: not to be had. */
static int reach(struct tls *t, struct reality *r)
{
	int err = r->begun ? 0 : begin(t, r);

	if (err || r->reached)
		return err;
	if (r->dial) {
		err = dial_result(r->dial, &r->target);
		if (err == -EAGAIN)
			return err;
		r->dial = NULL;
	} else {
		err = stream_open(r->target);
		if (err == -EAGAIN)
			r->wants |= WANT_TARGET_WR;
	}
	if (!err && is_loop(t, r))
		err = -ELOOP;
	if (!err)
		err = add_proxy_header(t, r);
	r->reached = !err;
	return err;
}

/* What the client has sent goes on.  A target that takes no more is for the relay to notice. */
static void give(struct reality *r)
{
	while (!bufq_empty(&r->to)) {
		ssize_t n = stream_push(r->target, &r->to);

		if (n == -EAGAIN)
			r->wants |= WANT_TARGET_WR;
		else if (n < 0)
			r->rejecting = true;
		if (n < 0)
			return;
	}
}

/* ---- the client, until he is known ------------------------------------------------------- */

static int copy_tail(struct bufq *to, const struct bufq *from, size_t n)
{
	uint8_t part[2048];
	size_t at = bufq_len(from) - n;
	int err = 0;

	for (; n > 0 && !err; n -= MIN(n, sizeof(part))) {
		size_t got = bufq_peek(from, at, part, MIN(n, sizeof(part)));

		err = bufq_append(to, part, got);
		at += got;
	}
	return err;
}

static int keep_hello(struct tls *t, struct reality *r, const struct tls_hello *h)
{
	char name[DEST_NAME_MAX + 1];

	r->hello = malloc(h->raw.len);
	if (!r->hello)
		return -ENOMEM;
	memcpy(r->hello, h->raw.p, h->raw.len);
	r->hellolen = h->raw.len;
	r->tail = reality_name_index(&r->conf->o, h->sni) * ALPN_CLASSES + reality_alpn_class(h);
	if (h->sni.len > 0)
		memcpy(name, h->sni.p, h->sni.len);
	name[h->sni.len] = '\0';
	return tls_set_names(t, name, NULL, 0);
}

/* A question of ours to the target that has come here.  Nothing changes for who brings it: somebody
 * may have seen it on its way, and wants to know who knows it.  Nor for anybody else, once the
 * target has answered; before, who also keeps the question from it can have the node take the target
 * for itself, until the next question is answered.
 */
static void look_for_question(struct reality *r, const struct tls_hello *h)
{
	uint64_t random;

	memcpy(&random, h->random, sizeof(random));
	if (random && random == atomic_load_explicit(&r->conf->asking, memory_order_relaxed))
		atomic_store(&r->conf->came_back, true);
}

/* Is what has come a hello of ours?  0: yes.  -ERR_MORE: not yet.  Others: no. */
static int recognise(struct tls *t, struct reality *r)
{
	int64_t now_ms = loop_wall(t->base.loop) * 1000;
	struct tls_hello h;
	struct rd in;
	int err = tls_look_at_hello(t, &in, &h);

	if (!err)
		look_for_question(r, &h);
	if (!err)
		err = reality_authenticate(&r->conf->o, r->conf->key, &h, now_ms, r->auth);
	if (!err)
		err = keep_hello(t, r, &h);
	if (err)
		return err;
	bufq_drain(&t->rq, in.pos);
	r->mirrored -= in.pos;
	return 0;
}

/* An error is one of ours: bytes that the target should have are lost.  A connection cut off looks
 * cut off then, not as if somebody had answered with an end.
 */
static int listen_to_client(struct tls *t, struct reality *r)
{
	static const union stream_value yes = {.num = 1};
	int err = -ERR_MORE;

	while (err == -ERR_MORE && bufq_len(&t->rq) < TLS_HELLO_MAX) {
		ssize_t n = stream_pull(t->lower, &t->rq, TLS_HELLO_MAX - bufq_len(&t->rq));

		if (n == -EAGAIN) {
			r->wants |= WANT_CLIENT;
			return 0;
		}
		if (n <= 0)
			break;
		err = copy_tail(&r->to, &t->rq, (size_t)n);
		if (err) {
			stream_set(t->lower, STREAM_ABORT, yes);
			return err;
		}
		r->mirrored = bufq_len(&t->rq);
		if (r->reached) /* whether he is ours takes time to find out, which must not show */
			give(r);
		err = recognise(t, r);
	}
	if (err)
		r->rejecting = true;
	else
		r->state = COLLECT;
	return 0;
}

/* ---- the target's answer ----------------------------------------------------------------- */

static int answer(struct tls *t, struct reality *r, const struct target_flight *f)
{
	uint8_t *scratch = loop_scratch(t->base.loop);
	struct x25519 *mine = x25519_new(NULL);
	struct reality_secrets s = {r->auth, mine, r->conf->signer, r->conf->mldsa};
	struct wr w = wr_of(scratch, REALITY_ANSWER_MAX);
	int err = scratch && mine ? 0 : -ENOMEM;

	if (!err)
		err = reality_answer_emit(&s, (struct tls_bytes){r->hello, r->hellolen}, f,
					  &r->answer, &w);
	x25519_free(mine);
	if (!err)
		err = bufq_append(&t->wq, scratch, w.len);
	return err;
}

static int collect(struct tls *t, struct reality *r)
{
	struct target_flight f;
	const uint8_t *p;
	size_t n;
	int err;

	p = bufq_linear(&r->from, FLIGHT_MAX, &n);
	if (!p)
		return -ENOMEM;
	err = target_flight_parse(rd_of(p, n), &f);
	return err ? err : answer(t, r, &f);
}

static void listen_to_target(struct tls *t, struct reality *r)
{
	int err = -ERR_MORE;

	while (err == -ERR_MORE && bufq_len(&r->from) < FLIGHT_MAX) {
		ssize_t n = stream_pull(r->target, &r->from, FLIGHT_MAX - bufq_len(&r->from));

		if (n == -EAGAIN) {
			r->wants |= WANT_TARGET_RD;
			return;
		}
		if (n <= 0 || r->state == MIRROR)
			break; /* it speaks before it could know him */
		err = collect(t, r);
	}
	if (err) {
		r->rejecting = true;
		return;
	}
	bufq_done(&r->from); /* has been imitated, with what came along with it */
	r->state = FLIGHT;
}

static int run_mirror(struct tls *t, struct reality *r)
{
	int away = reach(t, r), err = 0;

	if (away && away != -EAGAIN)
		return away;
	if (r->state == MIRROR && !r->rejecting)
		err = listen_to_client(t, r);
	if (err || away)
		return err ? err : away;
	give(r);
	if (!r->rejecting)
		listen_to_target(t, r);
	if (r->rejecting)
		return -ERR_REJECTED;
	return r->state == FLIGHT ? 0 : -EAGAIN;
}

/* ---- our flight is out ------------------------------------------------------------------- */

/* The target waits for a Finished that will not come.  When it loses its patience so do we: all that
 * it says meanwhile is what who has only repeated a hello must see, and is kept for him.
 */
static bool target_waits(struct reality *r)
{
	while (bufq_len(&r->from) < SAID_MAX) {
		ssize_t n = stream_pull(r->target, &r->from, SAID_MAX - bufq_len(&r->from));

		if (n == -EAGAIN) {
			r->wants |= WANT_TARGET_RD;
			return true;
		}
		if (n <= 0)
			return false;
	}
	return false;
}

/* What the target would say now: its tickets, or what a server of HTTP/2 begins with.  What has come
 * along with its flight has been imitated there.
 */
static int put_tail(struct tls *t, struct reality *r)
{
	uint8_t *record = loop_scratch(t->base.loop);
	struct reality_tail tail;
	int err = record ? 0 : -ENOMEM;

	reality_tail_get(r->conf, r->tail, &tail);
	for (unsigned i = (unsigned)r->answer.out_seq; i < tail.n && !err; i++) {
		err = tls_seal_padded(&t->rec.out, TLS_DATA, NULL, 0, tail.wire[i], record);
		if (!err)
			err = bufq_append(&t->wq, record, tail.wire[i]);
	}
	return err;
}

static int done(struct tls *t, struct reality *r)
{
	struct tls13 *k = &r->answer.keys;
	struct tls_secrets s = {.suite = k->suite, .out_seq = r->answer.out_seq};
	int err;

	memcpy(s.in, k->c_ap, sizeof(s.in));
	memcpy(s.out, k->s_ap, sizeof(s.out));
	err = tls_hand_over(t, &s);
	cleanse(&s, sizeof(s));
	if (!err)
		err = put_tail(t, r);
	if (err) /* the records have not taken over, whatever has been sealed of the tail */
		t->state = TLS_STATE_HANDSHAKE;
	return err;
}

/* 0: he has finished.  -ERR_MORE. */
static int look_for_finished(struct tls *t, struct reality *r)
{
	const uint8_t *p;
	struct rd in;
	size_t n;
	int err;

	p = bufq_linear(&t->rq, READ_SIZE, &n);
	if (!p)
		return bufq_empty(&t->rq) ? -ERR_MORE : -ENOMEM;
	in = rd_of(p, n);
	err = reality_finished_parse(&in, &r->answer);
	if (!err)
		bufq_drain(&t->rq, in.pos);
	return err;
}

static int run_flight(struct tls *t, struct reality *r)
{
	int err = tls_flush(t);

	if (err && err != -EAGAIN)
		return err;
	if (!target_waits(r))
		return -ERR_REJECTED;
	err = look_for_finished(t, r);
	while (err == -ERR_MORE && bufq_len(&t->rq) < READ_SIZE) {
		ssize_t n = stream_pull(t->lower, &t->rq, READ_SIZE - bufq_len(&t->rq));

		if (n == -EAGAIN) {
			r->wants |= WANT_CLIENT;
			return -EAGAIN;
		}
		if (n <= 0)
			break;
		err = look_for_finished(t, r);
	}
	return err ? -ERR_REJECTED : done(t, r);
}

/* ---- as a handshake ---------------------------------------------------------------------- */

static int reality_run(struct tls *t)
{
	struct reality *r = of(t);
	int err = 0;

	r->t = t;
	r->wants = 0;
	if (!r->to.pool) {
		bufq_init(&r->to, t->rq.pool, SIZE_MAX);
		bufq_init(&r->from, t->rq.pool, SIZE_MAX);
	}
	if (r->state != FLIGHT)
		err = run_mirror(t, r);
	return err ? err : run_flight(t, r);
}

/* The waiter is that of whoever waits for the layer: both streams outlive us when they are handed
 * over, and know then nobody who does not.
 */
static void reality_want(struct tls *t)
{
	struct reality *r = of(t);
	struct waiter *w = t->up_rd ? t->up_rd : t->up_wr;
	unsigned ev = 0;

	if (r->wants & WANT_CLIENT)
		stream_want(t->lower, STREAM_RD, w);
	if (r->wants & WANT_TARGET_RD)
		ev |= STREAM_RD;
	if (r->wants & WANT_TARGET_WR)
		ev |= STREAM_WR;
	if (ev && r->target)
		stream_want(r->target, ev, w);
}

static int reality_reject(struct tls *t, struct stream **target)
{
	struct reality *r = of(t);

	if (!r->reached || !bufq_empty(&t->wq))
		return -ENOTSUP;
	if (r->state == FLIGHT) {
		/* what the target has not been shown yet */
		bufq_drain(&t->rq, MIN(r->mirrored, bufq_len(&t->rq)));
		stream_unread(t->lower, &t->rq);
	}
	bufq_done(&t->rq);
	stream_unread(t->lower, &r->to);
	stream_unread(r->target, &r->from);
	*target = r->target;
	r->target = NULL;
	return 0;
}

static void reality_free(struct tls_handshake *base)
{
	struct reality *r = container_of(base, struct reality, base);

	dial_cancel(r->dial);
	stream_free(r->target);
	waiter_cancel(&r->dialled);
	if (r->to.pool) {
		bufq_done(&r->to);
		bufq_done(&r->from);
	}
	free(r->hello);
	tls13_clear(&r->answer.keys);
	cleanse(&r->auth, sizeof(r->auth));
	reality_conf_put(r->conf);
	free(r);
}

static const struct tls_handshake_ops reality_ops = {
	.run = reality_run,
	.free = reality_free,
	.want = reality_want,
	.reject = reality_reject,
};

struct stream *reality_server_new(struct stream *lower, struct reality_conf *conf,
				  struct dialer *dialer)
{
	struct reality *r = calloc(1, sizeof(*r));

	if (!r) {
		stream_free(lower);
		return NULL;
	}
	r->base.ops = &reality_ops;
	r->conf = reality_conf_get(conf);
	r->dialer = dialer;
	waiter_init(&r->dialled, on_dialled);
	return tls_layer_new(lower, &r->base, false);
}
