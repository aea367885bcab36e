#include "stream/dgram_relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define ORDERLY_END (-ERR_FIRST) /* no error has this number */
#define USUAL_SIZE  1280 /* bytes of a packet, for turning an allowance into a number of packets */

static enum relay_dir dir_of(const struct dgram_relay *r, const struct dgram_flow *f)
{
	return f == &r->flow[RELAY_UP] ? RELAY_UP : RELAY_DOWN;
}

static void free_packets(struct packet *p, int n)
{
	for (int i = 0; i < n; i++)
		buf_free(p[i].buf);
}

static void flow_release(struct dgram_flow *f)
{
	if (!f->held)
		return;
	free_packets(f->held, f->nheld);
	free(f->held);
	f->held = NULL;
}

static void let_go(struct dgram_relay *r)
{
	r->ended = true;
	waiter_cancel(&r->run);
	timer_stop(&r->pace.timer);
	flow_release(&r->flow[RELAY_UP]);
	flow_release(&r->flow[RELAY_DOWN]);
}

static void end(struct dgram_relay *r, int err)
{
	r->result = err;
	let_go(r);
	loop_queue(r->pace.loop, r->done);
}

/* dst refuses these: they wait.  Without memory to wait in they are lost, as UDP is. */
static int hold(struct dgram_relay *r, struct dgram_flow *f, struct packet *p, int n)
{
	f->held = malloc((size_t)n * sizeof(*p));
	if (!f->held) {
		free_packets(p, n);
		f->dst->dropped += (uint64_t)n;
		return 0;
	}
	memcpy(f->held, p, (size_t)n * sizeof(*p));
	f->nheld = n;
	dgram_want(f->dst, STREAM_WR, &r->run);
	return -EAGAIN;
}

/* 0: all gone.  -EAGAIN: dst will wake us, what is left stays the caller's; *sent says where it
 * begins. */
static int send_all(struct dgram_flow *f, struct packet *p, int n, int *sent)
{
	*sent = 0;
	while (*sent < n) {
		int k = dgram_send(f->dst, p + *sent, n - *sent);

		if (k < 0)
			return k;
		*sent += k;
	}
	return 0;
}

static int flush_held(struct dgram_relay *r, struct dgram_flow *f)
{
	int sent, err;

	if (!f->held)
		return 0;
	err = send_all(f, f->held, f->nheld, &sent);
	f->nheld -= sent;
	memmove(f->held, f->held + sent, (size_t)f->nheld * sizeof(*f->held));
	if (err == -EAGAIN)
		dgram_want(f->dst, STREAM_WR, &r->run);
	if (!err) {
		free(f->held);
		f->held = NULL;
	}
	return err;
}

/* How many packets may be taken now; 0: paused. */
static int allowance(struct dgram_relay *r, struct dgram_flow *f)
{
	size_t max = pace_allow(&r->pace, dir_of(r, f), DGRAM_BATCH * USUAL_SIZE);

	return (int)MIN((max + USUAL_SIZE - 1) / USUAL_SIZE, (size_t)DGRAM_BATCH);
}

static void count(struct dgram_relay *r, struct dgram_flow *f, const struct packet *p, int n)
{
	size_t bytes = 0;

	for (int i = 0; i < n; i++)
		bytes += buf_len(p[i].buf);
	f->packets += (uint64_t)n;
	f->bytes += bytes;
	pace_count(&r->pace, dir_of(r, f), bytes);
}

/* One batch.  1: there may be more.  0: somebody will wake us.  <0: over. */
static int flow_step(struct dgram_relay *r, struct dgram_flow *f)
{
	UNINIT struct packet p[DGRAM_BATCH];
	int n, err, sent;

	err = flush_held(r, f);
	if (err)
		return err == -EAGAIN ? 0 : err;
	n = allowance(r, f);
	if (n == 0)
		return 0;
	n = dgram_recv(f->src, p, n);
	if (n == -EAGAIN) {
		dgram_want(f->src, STREAM_RD, &r->run);
		return 0;
	}
	if (n <= 0)
		return n < 0 ? n : ORDERLY_END;
	count(r, f, p, n);
	err = send_all(f, p, n, &sent);
	if (err == -EAGAIN)
		return hold(r, f, p + sent, n - sent) ? 0 : 1;
	if (err) {
		free_packets(p + sent, n - sent);
		return err;
	}
	return 1;
}

static void run(struct waiter *w)
{
	struct dgram_relay *r = container_of(w, struct dgram_relay, run);
	bool again = false;

	if (r->ended)
		return;
	for (int dir = RELAY_UP; dir <= RELAY_DOWN; dir++) {
		int step = flow_step(r, &r->flow[dir]);

		if (step < 0) {
			end(r, step == ORDERLY_END ? 0 : step);
			return;
		}
		again |= step > 0;
	}
	pace_arm_all(&r->pace, r->idle);
	if (again)
		loop_queue(r->pace.loop, &r->run);
}

static void fire(struct timer *t)
{
	struct dgram_relay *r = container_of(t, struct dgram_relay, pace.timer);
	nsec_t deadline = pace_silence(&r->pace, r->idle);

	if (deadline && loop_now(r->pace.loop) >= deadline) {
		end(r, -ERR_IDLE);
		return;
	}
	if (pace_resume(&r->pace))
		loop_queue(r->pace.loop, &r->run);
	pace_arm_all(&r->pace, r->idle);
}

void dgram_relay_start(struct dgram_relay *r, struct dgram *a, struct dgram *b, struct meter *meter,
		       nsec_t idle, struct waiter *done)
{
	*r = (struct dgram_relay){.idle = idle, .done = done};
	r->flow[RELAY_UP] = (struct dgram_flow){.src = a, .dst = b};
	r->flow[RELAY_DOWN] = (struct dgram_flow){.src = b, .dst = a};
	waiter_init(&r->run, run);
	pace_init(&r->pace, a->loop, meter, fire);
	pace_arm_all(&r->pace, r->idle);
	loop_queue(a->loop, &r->run);
}

void dgram_relay_stop(struct dgram_relay *r)
{
	if (r->ended && r->done)
		waiter_cancel(r->done);
	r->done = NULL;
	waiter_cancel(&r->run); /* a dgram may have queued it after the end */
	if (!r->ended)
		let_go(r);
}
