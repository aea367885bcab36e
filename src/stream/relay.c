/* relay.c - see relay.h.
 *
 * One waiter serves both directions: a wake gives each of them one step.  A step first hands on
 * what is in flight, then reads once, hands that on, and leaves; who could go on is queued again.
 * Whoever moves much has his turn behind all others and reads several times in it.
 * Bytes are taken from the source only when nothing is in flight, so that a slow receiver slows the
 * sender: at most one read (256 KiB, 1 MiB in a pipe) is held per direction.
 *
 * That rule also tells the two meanings of EAGAIN apart: the pipe is always empty when the source
 * is spliced into it, so it is the source that has nothing.  What cannot be told is whether a short
 * splice has emptied the source (a pipe also fills by number of fragments), so the `ready` bit of
 * the source falls by EAGAIN only.
 *
 * A flow begins by copying, goes over to splice when a read comes back big, and returns to copying
 * after a few small ones: for those a pipe only adds system calls.
 */
#include "stream/relay.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#include "base/err.h"
#include "net/pipe_pool.h"
#include "net/sock.h"

#define COPY_MAX   (256 * 1024)
#define SPLICE_MAX (256 * 1024)	 /* among many a larger bite saves nothing, and holds them up */
#define SPLICE_FEW (1024 * 1024) /* who is nearly alone is woken for less with smaller ones */
#define FEW	   4
#define PIPE_MIN   (256 * 1024)
#define BIG	   (16 * 1024) /* a read of this size is bulk */
#define LITTLE	   (64 * 1024) /* after a splice of less the source is most likely empty */
#define QUIET_MAX  4	       /* small ones in a row that end splicing */

/* Who moves much.  To go on with one connection is cheaper than to go round, because what belongs to
 * it is in the cache then, and makes all others wait.  So whoever has had BULK pieces in big reads
 * gives way to those who have not: he waits in the queue that the loop has for it, and takes up to
 * BULK_READS when it is his turn, each handed on before the next.  A read that emptied the source
 * halves what he has had, and who has been silent for BULK_REST begins anew.
 */
#define BULK_PIECE (64 * 1024)
#define BULK	   16
#define BULK_MAX   (2 * BULK)
#define BULK_READS 8
#define BULK_REST  (100 * NSEC_MS)

/* Small arrivals.  A sender of 16 KiB records wakes us for each of them, and a wake costs more than
 * the record.  After enough of those, so fast that many more would come within a tick, only GATHER
 * of their bytes wake us.  When the sender pauses, what has come lies for up to GATHER_WAIT and a tick, once:
 * then any byte wakes us again.  Where little was gathered until then, twice as many small arrivals
 * must come before it is tried again, so that who asks for one piece after the other waits a few
 * times and no more; where it was worth it, half as many.
 */
#define GATHER	     (256 * 1024)
#define SMALL	     (GATHER / 2)
#define GATHER_WAIT  2000				/* us */
#define GATHER_PACE  (GATHER_WAIT * BIG / (2 * GATHER)) /* us from one to the next, in the mean */
#define GATHER_WORTH (4 * GATHER / BIG)
#define GATHER_AFTER 4
#define PATIENCE     2
#define PATIENCE_MAX 10
#define NEVER	     127

enum flow_mode {
	FLOW_COPY,
	FLOW_SPLICE,
	FLOW_COPY_ONLY, /* one of the streams will never be raw */
};

static struct relay_flow *opposite(struct relay *r, struct relay_flow *f)
{
	return f == &r->flow[RELAY_UP] ? &r->flow[RELAY_DOWN] : &r->flow[RELAY_UP];
}

static enum relay_dir dir_of(const struct relay *r, const struct relay_flow *f)
{
	return f == &r->flow[RELAY_UP] ? RELAY_UP : RELAY_DOWN;
}

/* For up to `max` bytes, which count as memory in use.  A small pipe (the kernel grants an unprivileged
 * user so much in all) costs more than copying.
 */
static struct pipe_pair *pipe_for_bulk(struct relay *r, struct relay_flow *f, size_t max)
{
	struct buf_pool *pool = loop_pool(r->pace.loop);
	size_t chunks = (max + BUF_PAYLOAD - 1) / BUF_PAYLOAD;
	struct pipe_pair *p;

	if (buf_pool_short(pool) || !buf_pool_hold(pool, chunks))
		return NULL;
	p = pipe_get(r->pace.loop);
	if (p && p->size >= PIPE_MIN) {
		f->held = (uint8_t)chunks;
		return p;
	}
	pipe_put(r->pace.loop, p, false);
	buf_pool_let_go(pool, chunks);
	return NULL;
}

/* Memory for what has come, not for what might have. */
static void pipe_holds(struct relay *r, struct relay_flow *f, size_t n)
{
	uint8_t chunks = (uint8_t)MIN((n + BUF_PAYLOAD - 1) / BUF_PAYLOAD, (size_t)f->held);

	f->in_pipe = (uint32_t)n;
	buf_pool_let_go(loop_pool(r->pace.loop), f->held - chunks);
	f->held = chunks;
}

static void pipe_done(struct relay *r, struct relay_flow *f)
{
	if (!f->pipe)
		return;
	pipe_put(r->pace.loop, f->pipe, f->in_pipe > 0);
	buf_pool_let_go(loop_pool(r->pace.loop), f->held);
	f->held = 0;
	f->pipe = NULL;
	f->in_pipe = 0;
}

static void flow_release(struct relay *r, struct relay_flow *f)
{
	bufq_done(&f->queue);
	pipe_done(r, f);
}

/* Any byte wakes us again, and those that have come already are found by the next read. */
static void gather_end(struct relay_flow *f)
{
	union stream_value none = {0};

	if (!f->gathering)
		return;
	f->gathering = false;
	f->small = 0;
	(void)stream_set(f->src, STREAM_GATHER, none);
}

static void relay_let_go(struct relay *r)
{
	r->ended = true;
	waiter_cancel(&r->run);
	timer_stop(&r->pace.timer);
	gather_end(&r->flow[RELAY_UP]);
	gather_end(&r->flow[RELAY_DOWN]);
	flow_release(r, &r->flow[RELAY_UP]);
	flow_release(r, &r->flow[RELAY_DOWN]);
}

static void relay_end(struct relay *r, int err)
{
	if (!r->result)
		r->result = err;
	relay_let_go(r);
	loop_queue(r->pace.loop, r->done);
}

/* ---- handing on -------------------------------------------------------------------------- */

static int flush_pipe(struct relay *r, struct relay_flow *f)
{
	struct stream_raw raw;
	ssize_t n;
	int err;

	err = stream_splice(f->dst, STREAM_OUT, &raw);
	if (err)
		return err;
	while (f->in_pipe > 0) {
		if (!(raw.io->ready & IO_WR))
			return -EAGAIN;
		n = splice(f->pipe->r, NULL, raw.io->fd, NULL, f->in_pipe,
			   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			raw.io->ready &= ~IO_WR;
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		f->in_pipe -= (uint32_t)n;
		r->pace.last = loop_now(r->pace.loop);
	}
	pipe_done(r, f);
	return 0;
}

static int flush_queue(struct relay *r, struct relay_flow *f)
{
	ssize_t n;

	while (!bufq_empty(&f->queue)) {
		n = stream_push(f->dst, &f->queue);
		if (n < 0)
			return (int)n;
		r->pace.last = loop_now(r->pace.loop);
	}
	return 0;
}

/* The head joins what goes first: no chunk is held for it while nothing does. */
static int put_head(struct relay *r, struct relay_flow *f)
{
	size_t n = r->nhead;

	if (f != &r->flow[RELAY_DOWN] || (bufq_empty(&f->queue) && !f->eof))
		return 0;
	r->nhead = 0;
	return bufq_prepend(&f->queue, r->head, n);
}

/* 0: nothing is in flight any more.  -EAGAIN: dst will wake us. */
static int flow_flush(struct relay *r, struct relay_flow *f)
{
	int err = r->nhead ? put_head(r, f) : 0;

	if (err)
		return err;

	if (f->pipe)
		err = flush_pipe(r, f);
	else if (!bufq_empty(&f->queue))
		err = flush_queue(r, f);
	if (err == -EAGAIN)
		stream_want(f->dst, STREAM_WR, &r->run);
	return err;
}

/* ---- taking ------------------------------------------------------------------------------ */

/* Too little to wake us by itself?  A short splice does not tell: fragments may have filled the pipe. */
static bool holds_little(int fd)
{
	int left;

	return ioctl(fd, FIONREAD, &left) == 0 && left < GATHER;
}

/* As stream_pull(), into the pipe; -ENOTSUP: not now, or never. */
static ssize_t take_spliced(struct relay *r, struct relay_flow *f, size_t max)
{
	struct stream_raw in, out;
	ssize_t n;
	int err;

	err = stream_splice(f->src, STREAM_IN, &in);
	if (!err)
		err = stream_splice(f->dst, STREAM_OUT, &out);
	if (err) {
		f->mode = err == -ENOTSUP ? FLOW_COPY_ONLY : FLOW_COPY;
		return -ENOTSUP;
	}
	if (!(in.io->ready & IO_RD))
		return -EAGAIN;
	f->pipe = pipe_for_bulk(r, f, max);
	if (!f->pipe)
		return -ENOTSUP;
	do {
		n = splice(in.io->fd, NULL, f->pipe->w, NULL, max,
			   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		/* A look that finds a record or two is what gathering spares; the timer looks. */
		if (f->gathering && (size_t)n < max && !in.io->hup && holds_little(in.io->fd))
			in.io->ready &= ~IO_RD;
		pipe_holds(r, f, (size_t)n);
		r->spliced += (uint64_t)n;
		return n;
	}
	err = n < 0 ? -errno : 0;
	if (err == -EAGAIN)
		in.io->ready &= ~IO_RD;
	pipe_done(r, f);
	return err;
}

static ssize_t take(struct relay *r, struct relay_flow *f, size_t max)
{
	ssize_t n;

	if (f->mode == FLOW_SPLICE) {
		n = take_spliced(r, f, max);
		if (n != -ENOTSUP)
			return n;
	}
	return stream_pull(f->src, &f->queue, MIN(max, (size_t)COPY_MAX));
}

/* Choose the way of the next read by the size of this one. */
static void flow_adapt(struct relay *r, struct relay_flow *f, size_t got)
{
	if (got >= BIG) {
		f->quiet = 0;
		if (f->mode == FLOW_COPY && r->conf->splice)
			f->mode = FLOW_SPLICE;
	} else if (f->mode == FLOW_SPLICE && ++f->quiet >= QUIET_MAX) {
		f->quiet = 0;
		f->mode = FLOW_COPY;
	}
}

static void gather_begin(struct relay_flow *f)
{
	union stream_value v = {.num = GATHER};

	if (stream_set(f->src, STREAM_GATHER, v)) {
		f->patience = NEVER;
		return;
	}
	f->gathering = true;
	f->gathered = 0;
}

/* Microseconds, in the few bits that a flow keeps: only differences mean something. */
static uint32_t gather_clock(const struct relay *r)
{
	return (uint32_t)(loop_now(r->pace.loop) / 1000);
}

static bool too_slow(const struct relay_flow *f, uint32_t now)
{
	return f->small > 0 && now - f->since > (uint32_t)f->small * GATHER_PACE;
}

/* `n` bytes have come. */
static void flow_gather(struct relay *r, struct relay_flow *f, size_t n)
{
	uint32_t now = gather_clock(r);

	if (f->gathering || f->patience == NEVER) {
		f->since = now;
		f->gathered = (uint8_t)MIN(f->gathered + n / BIG, (size_t)GATHER_WORTH);
		return;
	}
	if (n < BIG || n >= SMALL || too_slow(f, now))
		f->small = 0;
	if (f->small == 0)
		f->since = now;
	f->small += n >= BIG && n < SMALL;
	if (f->small >= GATHER_AFTER << f->patience) {
		f->since = now;
		gather_begin(f);
	}
}

/* When what has come is looked at all the same; 0: not gathering. */
static nsec_t gather_deadline(const struct relay *r, const struct relay_flow *f)
{
	int32_t left = (int32_t)(f->since + GATHER_WAIT - gather_clock(r));

	return f->gathering ? loop_now(r->pace.loop) + left * (nsec_t)1000 : 0;
}

/* In line: it is not the streams that are silent, it is others who have their turn first. */
static bool waits_for_turn(const struct relay *r)
{
	return list_linked(&r->run.link);
}

/* Too little has come for too long. */
static void gather_expire(struct relay *r, struct relay_flow *f)
{
	if (!f->gathering || gather_clock(r) - f->since < GATHER_WAIT)
		return;
	if (waits_for_turn(r)) {
		f->since = gather_clock(r);
		return;
	}
	if (f->gathered < GATHER_WORTH)
		f->patience += f->patience < PATIENCE_MAX;
	else
		f->patience -= f->patience > 0;
	gather_end(f);
	loop_queue(r->pace.loop, &r->run);
}

static size_t bite(const struct relay *r, const struct relay_flow *f)
{
	if (f->mode != FLOW_SPLICE)
		return COPY_MAX;
	return loop_woken(r->pace.loop) <= FEW ? SPLICE_FEW : SPLICE_MAX;
}

/* After a read of less, of `max` allowed, the source is most likely empty, or taken for it.  Who is
 * under a limit looks again a turn later: those who share it with him must not always come second.
 */
static size_t little(const struct relay *r, const struct relay_flow *f, size_t max)
{
	if (f->mode != FLOW_SPLICE || max < bite(r, f))
		return BIG;
	return f->gathering ? bite(r, f) : LITTLE;
}

/* >0: in flight now, and counted.  0: src has ended.  -EAGAIN: src or the timer will wake us. */
static ssize_t flow_take(struct relay *r, struct relay_flow *f, size_t *max)
{
	ssize_t n;

	*max = pace_allow(&r->pace, dir_of(r, f), bite(r, f));
	if (*max == 0)
		return -EAGAIN;
	n = take(r, f, *max);
	if (n == -EAGAIN)
		stream_want(f->src, STREAM_RD, &r->run);
	if (n < 0)
		return n;
	/* Before the first of them is handed on: what the receiver got is never more than this. */
	pace_count(&r->pace, dir_of(r, f), (size_t)n);
	if (n == 0)
		return 0;
	f->bytes += (uint64_t)n;
	flow_adapt(r, f, (size_t)n);
	flow_gather(r, f, (size_t)n);
	return n;
}

/* ---- one direction ----------------------------------------------------------------------- */

static bool can_half_close(const struct stream *s)
{
	union stream_value v;

	return stream_query(s, STREAM_HALF_CLOSE, &v) == 0 && v.num != 0;
}

/* src has ended and all of it has been handed on: dst is told. */
static int flow_shut(struct relay *r, struct relay_flow *f)
{
	int err;

	if (!opposite(r, f)->eof && !can_half_close(f->dst)) {
		(void)stream_set(f->dst, STREAM_PARTING, (union stream_value){.num = 1});
		return 0;
	}
	err = stream_shut(f->dst);
	if (err == -EAGAIN) {
		stream_want(f->dst, STREAM_WR, &r->run);
		return 0;
	}
	f->done = err == 0;
	return err;
}

/* dst does not take what it is sent.  It may have said why, ahead of closing: let that arrive. */
static int flow_broken(struct relay *r, struct relay_flow *f, int err)
{
	if (opposite(r, f)->eof || r->conf->linger == 0)
		return err;
	if (!r->result)
		r->result = err;
	flow_release(r, f);
	f->eof = f->done = true;
	return 0;
}

/* src has ended and dst knows: what may still come is a reset, of which reading never tells. */
static int flow_watch(struct relay *r, struct relay_flow *f)
{
	struct stream_raw raw;
	int err = 0;

	if (!r->conf->resets || r->result || stream_splice(f->src, STREAM_IN, &raw))
		return 0;
	if (raw.io->ready & IO_RD)
		err = sock_error(raw.io->fd);
	raw.io->ready &= ~IO_RD;
	if (!err)
		stream_want(f->src, STREAM_RD, &r->run);
	return err;
}

/* `n` bytes have come.  Who is under a limit is nobody who moves much: those who share it with him must
 * not always come second.
 */
static void relay_learn(struct relay *r, size_t n, bool many, bool limited)
{
	if (!many)
		r->bulk /= 2;
	else if (limited)
		r->bulk = 0;
	else
		r->bulk = (uint8_t)MIN(r->bulk + n / BULK_PIECE, (size_t)BULK_MAX);
}

/* One step.  1: could go on at once.  0: somebody will wake us.  <0: the relay is over.
 * After a small read the source is most likely empty, which a second look makes certain, often
 * without a system call; to queue for it would cost a turn.
 */
static int flow_step(struct relay *r, struct relay_flow *f)
{
	int small = 2, big = r->queued_bulk ? BULK_READS : 1;
	size_t want, max;
	ssize_t n;
	bool many;
	int err;

	for (;;) {
		if (f->done)
			return flow_watch(r, f);
		err = flow_flush(r, f);
		if (err == -EAGAIN)
			return 0;
		if (err)
			return flow_broken(r, f, err);
		if (f->eof) {
			err = flow_shut(r, f);
			return err ? flow_broken(r, f, err) : 0;
		}
		if (small == 0 || big == 0)
			return 1;
		want = bite(r, f);
		n = flow_take(r, f, &max);
		if (n == -EAGAIN)
			return 0;
		if (n < 0)
			return (int)n;
		f->eof = n == 0;
		many = n >= (ssize_t)little(r, f, max);
		relay_learn(r, (size_t)n, many, max < want);
		if (many)
			big = r->bulk < BULK ? 0 : big - 1;
		else
			small--;
	}
}

/* ---- the relay --------------------------------------------------------------------------- */

/* How long silence may last; 0: for ever. */
static nsec_t silence_limit(const struct relay *r)
{
	nsec_t idle = r->conf->idle, linger = r->conf->linger;
	bool half = r->flow[RELAY_UP].eof || r->flow[RELAY_DOWN].eof;

	return half && linger && (!idle || linger < idle) ? linger : idle;
}

static void relay_arm(struct relay *r)
{
	pace_arm_all(&r->pace, silence_limit(r));
	for (int dir = RELAY_UP; dir <= RELAY_DOWN; dir++)
		pace_arm(&r->pace, gather_deadline(r, &r->flow[dir]));
}

static void wait_for_turn(struct relay *r)
{
	waiter_cancel(&r->run); /* a stream may have queued it among the others */
	r->queued_bulk = true;
	loop_queue_bulk(r->pace.loop, &r->run);
}

/* Woken among those who have little to move, with much. */
static bool gives_way(struct relay *r)
{
	if (r->queued_bulk)
		return false;
	if (loop_now(r->pace.loop) - r->pace.last > BULK_REST)
		r->bulk = 0;
	return r->bulk >= BULK;
}

static void relay_run(struct waiter *w)
{
	struct relay *r = container_of(w, struct relay, run);
	bool again = false;

	if (r->ended)
		return;
	if (gives_way(r)) {
		wait_for_turn(r);
		return;
	}
	for (int dir = RELAY_UP; dir <= RELAY_DOWN; dir++) {
		struct relay_flow *f = &r->flow[dir], *other = opposite(r, f);
		bool eof = f->eof;
		int step = flow_step(r, f);

		if (step < 0) {
			relay_end(r, step);
			return;
		}
		/* The other direction may be waiting for just this end, to shut its own. */
		again |= step > 0 || (f->eof != eof && other->eof && !other->done);
	}
	if (r->flow[RELAY_UP].done && r->flow[RELAY_DOWN].done) {
		relay_end(r, 0);
		return;
	}
	relay_arm(r);
	if (again && r->queued_bulk && r->bulk >= BULK) {
		wait_for_turn(r);
		return;
	}
	r->queued_bulk = false;
	if (again)
		loop_queue(r->pace.loop, &r->run);
}

/* Silent for too long.  For a stream that cannot half-close this is how the end arrives. */
static void relay_expire(struct relay *r)
{
	int err = -ERR_IDLE;

	for (int dir = RELAY_UP; dir <= RELAY_DOWN; dir++) {
		struct relay_flow *f = &r->flow[dir];
		bool in_flight = f->pipe || !bufq_empty(&f->queue);

		if (f->eof && !f->done && !in_flight && !can_half_close(f->dst)) {
			stream_shut(f->dst);
			err = 0;
		}
	}
	relay_end(r, err);
}

static void relay_timer(struct timer *t)
{
	struct relay *r = container_of(t, struct relay, pace.timer);
	nsec_t now = loop_now(r->pace.loop);
	nsec_t deadline = pace_silence(&r->pace, silence_limit(r));

	if (deadline && now >= deadline) {
		if (!waits_for_turn(r)) {
			relay_expire(r);
			return;
		}
		r->pace.last = now;
	}
	for (int dir = RELAY_UP; dir <= RELAY_DOWN; dir++)
		gather_expire(r, &r->flow[dir]);
	if (pace_resume(&r->pace))
		loop_queue(r->pace.loop, &r->run);
	relay_arm(r);
}

static void flow_init(struct relay_flow *f, struct loop *l, struct stream *src, struct stream *dst)
{
	*f = (struct relay_flow){.src = src, .dst = dst, .patience = PATIENCE};
	bufq_init(&f->queue, loop_pool(l), COPY_MAX);
}

void relay_start(struct relay *r, const struct relay_plan *plan)
{
	struct loop *loop = plan->a->loop;

	*r = (struct relay){.conf = plan->conf, .done = plan->done};
	flow_init(&r->flow[RELAY_UP], loop, plan->a, plan->b);
	flow_init(&r->flow[RELAY_DOWN], loop, plan->b, plan->a);
	waiter_init(&r->run, relay_run);
	pace_init(&r->pace, loop, plan->meter, relay_timer);
	if (plan->first) {
		assert(bufq_len(plan->first) <= RELAY_HEAD);
		r->nhead = (uint8_t)bufq_take(plan->first, r->head, RELAY_HEAD);
	}
	relay_arm(r);
	loop_queue(loop, &r->run);
}

void relay_stop(struct relay *r)
{
	if (r->ended && r->done)
		waiter_cancel(r->done);
	r->done = NULL;
	/* The streams may have queued it between the end and this call: they still know it. */
	waiter_cancel(&r->run);
	if (!r->ended)
		relay_let_go(r);
}

uint64_t relay_spliced(const struct relay *r)
{
	return r->spliced;
}

bool relay_stuck(const struct relay *r, nsec_t since)
{
	const struct relay_flow *up = &r->flow[RELAY_UP], *down = &r->flow[RELAY_DOWN];

	return !r->ended && r->pace.last < since &&
	       (up->pipe || down->pipe || !bufq_empty(&up->queue) || !bufq_empty(&down->queue));
}
