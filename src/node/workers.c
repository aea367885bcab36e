#include "node/workers.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/workers_impl.h"

#define OWN_REFRESH (60 * NSEC_SEC)
#define QUIET_EVERY (5 * NSEC_SEC)
#define QUIET_MOVES 100		 /* so few in that time are quiet */
#define WORTH_MOVES 1000	 /* so many leave something worth walking the heap for */
#define LARGE_PIECE (100 * 1024) /* more than glibc's 64 KiB, less than what it maps by itself */
#define BUDGET_MIN  (2 * 1024 * 1024) /* of a worker: enough to serve somebody */
#define HEAP_END    (1024 * 1024)     /* what stays at the end of a thread's heap */

/* A message to each worker, and the one that comes back from the last. */
struct workers_call {
	struct message back;
	struct workers *workers;
	void (*fn)(struct node_worker *w, void *arg);
	void (*done)(void *arg);
	void *arg;
	_Atomic unsigned left;
	struct part {
		struct message m;
		struct workers_call *all;
		struct node_worker *worker;
	} part[];
};

static void run_done(struct message *m)
{
	struct workers_call *c = container_of(m, struct workers_call, back);

	if (c->done)
		c->done(c->arg);
	free(c);
}

static void run_part(struct message *m)
{
	struct part *p = container_of(m, struct part, m);
	struct workers_call *c = p->all;

	c->fn(p->worker, c->arg);
	if (atomic_fetch_sub(&c->left, 1) == 1)
		loop_post(c->workers->control, &c->back);
}

struct workers_call *workers_call_new(struct workers *ws,
				      void (*fn)(struct node_worker *w, void *arg),
				      void (*done)(void *arg), void *arg)
{
	struct workers_call *c = calloc(1, sizeof(*c) + ws->n * sizeof(c->part[0]));

	if (!c)
		return NULL;
	c->back.run = run_done;
	c->workers = ws;
	c->fn = fn;
	c->done = done;
	c->arg = arg;
	atomic_init(&c->left, ws->n);
	for (unsigned i = 0; i < ws->n; i++)
		c->part[i] = (struct part){.m.run = run_part, .all = c, .worker = &ws->v[i]};
	return c;
}

void workers_call_send(struct workers_call *c)
{
	unsigned n = c->workers->n; /* with the last message `c` may be gone */
	struct node_worker *v = c->workers->v;

	for (unsigned i = 0; i < n; i++)
		loop_post(v[i].loop, &c->part[i].m);
}

void workers_call_free(struct workers_call *c)
{
	free(c);
}

int workers_each(struct workers *ws, void (*fn)(struct node_worker *w, void *arg),
		 void (*done)(void *arg), void *arg)
{
	struct workers_call *c = workers_call_new(ws, fn, done, arg);

	if (!c)
		return -ENOMEM;
	workers_call_send(c);
	return 0;
}

/* The end of a thread's heap is out of malloc_trim()'s reach: glibc looks at it only when a large
 * piece is freed, and what the last handshakes gave back came as small ones.  So one large piece.
 */
static void trim_end_of_heap(void)
{
	void *volatile p = malloc(LARGE_PIECE);

	free(p);
}

/* What a burst of connections leaves behind are holes: chunks and handshakes (14 KB each in libssl)
 * between the small objects of those that stay.  Once it is quiet the pages in them go back: 1,140
 * bytes per idle connection became 970.  Never while connections come: they would use them again.
 * And once more when they have gone: 3,000 strangers who began a handshake took 145 MB along for
 * good.
 */
static void on_quiet(struct timer *t)
{
	struct node_worker *w = container_of(t, struct node_worker, quiet);

	if (w->moves - w->seen <= QUIET_MOVES && w->moves - w->trimmed >= WORTH_MOVES) {
		buf_pool_trim(loop_pool(w->loop));
		malloc_trim(0);
		trim_end_of_heap();
		w->trimmed = w->moves;
	}
	w->seen = w->moves;
	timer_set(w->loop, t, loop_now(w->loop) + QUIET_EVERY);
}

bool node_worker_full(struct node_worker *w)
{
	const struct buf_pool *pool = loop_pool(w->loop);

	if (pool->max && pool->nused >= pool->max / 10 * 9)
		w->full = true;
	else if (!buf_pool_short(pool))
		w->full = false;
	return w->full;
}

static void set_share(struct node_worker *w, void *arg)
{
	struct workers *ws = arg;
	uint64_t share = atomic_load(&ws->budget) / ws->n;

	loop_pool(w->loop)->max = share ? MAX(share, (uint64_t)BUDGET_MIN) / sizeof(struct buf) : 0;
}

int workers_set_budget(struct workers *ws, uint64_t budget)
{
	atomic_store(&ws->budget, budget);
	return workers_each(ws, set_share, NULL, ws);
}

static int worker_setup(struct worker *thread, void *arg)
{
	struct node_worker *w = arg;

	w->loop = thread->loop;
	w->dns = dns_new(w->loop);
	if (!w->dns)
		return -ENOMEM;
	timer_init(&w->quiet, on_quiet);
	timer_set(w->loop, &w->quiet, loop_now(w->loop) + QUIET_EVERY);
	return 0;
}

static void worker_teardown(struct worker *thread, void *arg)
{
	struct node_worker *w = arg;

	timer_stop(&w->quiet);
	dns_free(w->dns);
}

static const struct worker_ops worker_ops = {
	.setup = worker_setup,
	.teardown = worker_teardown,
};

static int start_one(struct workers *ws, unsigned i, const struct counters *counters)
{
	struct node_worker *w = &ws->v[i];
	char name[16];
	int err;

	w->index = i;
	w->control = ws->control;
	w->own = &ws->own;
	snprintf(name, sizeof(name), "weir-%u", i);
	err = worker_start(&w->thread, name, &worker_ops, w);
	if (!err)
		user_worker_init(&w->users, w->loop, counters, i);
	return err;
}

/* Interfaces come and go.  A failure keeps the old set, and the next minute asks again. */
static void on_refresh(struct timer *t)
{
	struct workers *ws = container_of(t, struct workers, refresh);

	own_addr_refresh(&ws->own);
	workers_reread_resolv(ws, false);
	timer_set(ws->control, t, loop_now(ws->control) + OWN_REFRESH);
}

int workers_start(struct workers *ws, struct loop *control, unsigned n,
		  const struct counters *counters)
{
	int err;

	/* Left alone, glibc raises it to twice the largest block that was ever freed: a list of
	 * 100,000 users would make each worker keep 64 MiB from then on.
	 */
	mallopt(M_TRIM_THRESHOLD, HEAP_END);

	*ws = (struct workers){.control = control};
	own_addr_init(&ws->own);
	timer_init(&ws->refresh, on_refresh);
	on_refresh(&ws->refresh);
	ws->v = calloc(n, sizeof(*ws->v));
	err = ws->v ? 0 : -ENOMEM;
	for (; !err && ws->n < n; ws->n++) {
		err = start_one(ws, ws->n, counters);
		if (err)
			break;
	}
	if (err)
		workers_stop(ws);
	else
		workers_resolv_watch(ws);
	return err;
}

void workers_stop(struct workers *ws)
{
	for (unsigned i = 0; i < ws->n; i++) {
		worker_stop(&ws->v[i].thread);
		user_worker_done(&ws->v[i].users);
	}
	free(ws->v);
	timer_stop(&ws->refresh);
	file_watch_close(&ws->resolv);
	own_addr_done(&ws->own);
	*ws = (struct workers){0};
}
