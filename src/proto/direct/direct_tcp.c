/* Happy eyeballs (RFC 8305): resolve, then start an attempt every 250 ms, or at once when one
 * fails; the first that connects wins and the others are let go.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "proto/direct/direct_dial.h"
#include "stream/tcp.h"

#define ATTEMPT_DELAY (250 * NSEC_MS)

struct direct_dial {
	struct dial dial;
	struct direct *direct;
	struct loop *loop;
	struct waiter *up;  /* who asked */
	struct waiter wake; /* resolver and attempts */
	struct timer next_at;
	struct resolve q;
	uint16_t port;
	int n, next; /* addresses to try; the next one */
	struct stream *attempt[RESOLVE_MAX];
	int err; /* of the last attempt that failed */
	bool resolving, done;
	struct stream *won;
};

static void let_go(struct direct_dial *d)
{
	timer_stop(&d->next_at);
	waiter_cancel(&d->wake);
	waiter_cancel(d->up);
	resolver_cancel(d->direct->resolver, &d->q);
	for (int i = 0; i < RESOLVE_MAX; i++)
		stream_free(d->attempt[i]);
	stream_free(d->won);
	loop_free_later(d->loop, d);
}

static void finish(struct direct_dial *d, int err)
{
	timer_stop(&d->next_at);
	d->err = err;
	d->done = true;
	loop_queue(d->loop, d->up);
}

/* Drive attempt `i`: true while it is still going. */
static bool drive(struct direct_dial *d, int i)
{
	int err = stream_open(d->attempt[i]);

	if (err == -EAGAIN) {
		stream_want(d->attempt[i], STREAM_WR, &d->wake);
		return true;
	}
	if (err) {
		stream_free(d->attempt[i]);
		d->err = err;
	} else {
		d->won = d->attempt[i];
	}
	d->attempt[i] = NULL;
	return false;
}

/* Start attempts until one is under way. */
static void start_next(struct direct_dial *d)
{
	while (d->next < d->n && !d->won) {
		int i = d->next++;
		const struct addr *to = &d->q.addrs[i];
		int err = tcp_connect(d->loop, to, direct_source(d->direct, to), &d->attempt[i]);

		if (err)
			d->err = err;
		else if (drive(d, i))
			break;
	}
	if (d->next < d->n && !d->won)
		timer_set(d->loop, &d->next_at, loop_now(d->loop) + ATTEMPT_DELAY);
}

static void attempts(struct direct_dial *d)
{
	int going = 0, failed = 0;

	for (int i = 0; i < d->next && !d->won; i++) {
		if (!d->attempt[i])
			continue;
		if (drive(d, i))
			going++;
		else
			failed++;
	}
	if (!d->won && (failed || d->next == 0)) {
		start_next(d);
		for (int i = 0; i < d->next; i++)
			going += d->attempt[i] != NULL;
	}
	if (d->won)
		finish(d, 0);
	else if (!going && d->next >= d->n)
		finish(d, d->err ? d->err : -ERR_NO_ADDRESS);
}

static void resolved(struct direct_dial *d)
{
	int n;

	d->resolving = false;
	if (d->q.err) {
		finish(d, d->q.err);
		return;
	}
	n = direct_select(d->direct, d->q.addrs, d->q.n, d->port);
	if (n < 0) {
		finish(d, n);
		return;
	}
	d->n = n;
	d->err = 0;
	attempts(d);
}

static void dial_wake(struct waiter *w)
{
	struct direct_dial *d = container_of(w, struct direct_dial, wake);

	if (d->done)
		return;
	if (!d->resolving)
		attempts(d);
	else if (!d->q.query)
		resolved(d);
}

static void dial_next(struct timer *t)
{
	struct direct_dial *d = container_of(t, struct direct_dial, next_at);

	start_next(d);
	loop_queue(d->loop, &d->wake);
}

static int dial_get(struct dial *dial, struct stream **out)
{
	struct direct_dial *d = container_of(dial, struct direct_dial, dial);
	struct stream *won = d->won;
	int err = d->err;

	if (!d->done)
		return -EAGAIN;
	d->won = NULL;
	let_go(d);
	if (err)
		return err;
	*out = won;
	return 0;
}

static void dial_abandon(struct dial *dial)
{
	let_go(container_of(dial, struct direct_dial, dial));
}

static const struct dial_ops direct_dial_ops = {
	.result = dial_get,
	.cancel = dial_abandon,
};

/* An IP needs no resolver, but takes the same road: its answer is there at once. */
static int look_up(struct direct_dial *d, const struct dest *to)
{
	if (to->type == DEST_NAME)
		return resolver_start(d->direct->resolver, &d->q, (const char *)to->bytes,
				      &d->wake);
	d->q = (struct resolve){.n = 1};
	d->q.err = dest_addr(to, &d->q.addrs[0]);
	return 0;
}

struct dial *direct_dial(struct dialer *dialer, struct loop *l, const struct dest *to,
			 struct waiter *w)
{
	struct direct_dial *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->dial.ops = &direct_dial_ops;
	d->direct = container_of(dialer, struct direct, dialer);
	d->loop = l;
	d->up = w;
	d->port = to->port;
	d->resolving = true;
	waiter_init(&d->wake, dial_wake);
	timer_init(&d->next_at, dial_next);
	if (look_up(d, to) != -EAGAIN)
		resolved(d);
	return &d->dial;
}
