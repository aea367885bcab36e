/* loop.c - one turn, and what does not depend on the backend: the run queue, the mailbox, deferred
 * frees, the clock and randomness.  timer.c is the wheel, io.c the descriptors.
 */
#include "event/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "event/loop_impl.h"

#define VIRTUAL_START (1000 * NSEC_SEC) /* not 0: a zero time means "never" to many */
#define VIRTUAL_WALL  1700000000
#define IDLE	      NSEC_SEC /* a sleep of this length gives spare memory back first */

struct loop *loop_new(enum loop_backend backend, uint64_t seed)
{
	struct loop *l = aligned_alloc(_Alignof(struct loop), sizeof(*l));

	if (!l)
		return NULL;
	memset(l, 0, sizeof(*l));
	l->backend = backend;
	l->epfd = l->wakefd = -1;
	l->prng = seed;
	list_init(&l->runq);
	list_init(&l->bulk);
	list_init(&l->round);
	buf_pool_init(&l->pool, LOOP_KEEP, 0);
	if (backend == LOOP_VIRTUAL) {
		l->now = VIRTUAL_START;
	} else if (io_backend_open(l)) {
		io_backend_close(l);
		free(l);
		return NULL;
	}
	wheel_init(&l->wheel, l->now);
	return l;
}

/* Newest first to oldest first. */
static struct message *reverse(struct message *m)
{
	struct message *out = NULL;

	while (m) {
		struct message *next = m->next;

		m->next = out;
		out = m;
		m = next;
	}
	return out;
}

static int run_mail(struct loop *l)
{
	struct message *m;
	int n = 0;

	if (!atomic_load_explicit(&l->mail, memory_order_relaxed))
		return 0;
	m = reverse(atomic_exchange(&l->mail, NULL));
	while (m) {
		struct message *next = m->next;

		m->run(m);
		m = next;
		n++;
	}
	return n;
}

static void collect_garbage(struct loop *l)
{
	struct loop_garbage *g;

	while ((g = l->garbage)) {
		l->garbage = g->next;
		free(g);
	}
}

static void free_locals(struct loop *l)
{
	struct loop_local *local;

	while ((local = l->locals)) {
		l->locals = local->next;
		local->free(local);
	}
}

/* Messages own memory and perhaps references: they run, with nothing left to run after them.  A
 * message that posts another is served too, one that never stops posting is not.
 */
void loop_free(struct loop *l)
{
	if (!l)
		return;
	for (int i = 0; i < 64 && run_mail(l); i++)
		collect_garbage(l);
	free_locals(l);
	while (list_pop(&l->runq) || list_pop(&l->round) || list_pop(&l->bulk))
		;
	wheel_done(&l->wheel);
	collect_garbage(l);
	buf_pool_done(&l->pool);
	free(l->scratch);
	io_backend_close(l);
	free(l);
}

static void be_idle(struct loop *l)
{
	buf_pool_trim(&l->pool);
	free(l->scratch);
	l->scratch = NULL;
}

static bool hoards(const struct loop *l)
{
	return l->pool.nfree > 0 || l->scratch;
}

static bool has_waiters(const struct loop *l)
{
	return !list_empty(&l->runq) || !list_empty(&l->round) || !list_empty(&l->bulk);
}

static void poll_epoll(struct loop *l, nsec_t deadline)
{
	nsec_t until;

	if (deadline <= l->now || !hoards(l)) {
		io_poll(l, deadline);
		return;
	}
	until = loop_clock() + IDLE;
	io_poll(l, MIN(deadline, until));
	if (l->now >= until && !has_waiters(l) && l->nfired == 0)
		be_idle(l);
}

static void poll_virtual(struct loop *l, nsec_t deadline)
{
	if (!atomic_load(&l->mail) && deadline != LOOP_NEVER && deadline > l->now)
		l->now = deadline;
}

static int fire_timers(struct loop *l)
{
	struct list_node batch, *node;
	int n = 0;

	wheel_advance(&l->wheel, l->now);
	list_init(&batch);
	list_splice_tail(&batch, &l->wheel.due);
	while ((node = list_pop(&batch))) {
		struct timer *t = list_entry(node, struct timer, link);

		t->fire(t);
		n++;
	}
	return n;
}

/* Who queues itself while the batch runs comes after everybody in it, and after the next poll. */
static int run_waiters(struct loop *l)
{
	struct list_node batch, *node;
	int n = 0;

	list_init(&batch);
	list_splice_tail(&batch, &l->runq);
	while (n < LOOP_BUDGET && (node = list_pop(&batch))) {
		struct waiter *w = list_entry(node, struct waiter, link);

		w->wake(w);
		n++;
	}
	l->woken = (unsigned)n;
	/* Out of budget: the rest goes back in front of those that came meanwhile. */
	list_splice_tail(&batch, &l->runq);
	list_splice_tail(&l->runq, &batch);
	return n;
}

/* One after the other, at least one, until as much time has gone as the run queue took since `since`
 * (0: it was empty): a flood of those stops no bulk, and bulk holds those up for a slice and one waiter.
 * A turn that timers or messages have made long is not made longer.  Where the clock stands still, a
 * round.
 */
static int run_bulk(struct loop *l, nsec_t since)
{
	nsec_t began = 0, slice = 0;
	struct list_node *node;
	int n = 0;

	if (list_empty(&l->round)) {
		l->crowd = l->served;
		l->served = 0;
		list_splice_tail(&l->round, &l->bulk);
	}
	if (l->backend == LOOP_EPOLL && !list_empty(&l->round)) {
		began = loop_clock();
		slice = since ? MAX(began - since, LOOP_SLICE) : LOOP_SLICE;
	}
	while ((node = list_pop(&l->round))) {
		struct waiter *w = list_entry(node, struct waiter, link);

		w->wake(w);
		n++;
		if (slice && loop_clock() - began > slice)
			break;
	}
	l->served += (unsigned)n;
	return n;
}

static int turn_once(struct loop *l, nsec_t deadline)
{
	nsec_t next = wheel_next(&l->wheel), since;
	int n;

	if (has_waiters(l))
		next = 0;
	if (l->backend == LOOP_EPOLL)
		poll_epoll(l, MIN(deadline, next));
	else
		poll_virtual(l, MIN(deadline, next));
	n = fire_timers(l);
	n += io_fire_watches(l);
	n += run_mail(l);
	since = l->backend == LOOP_EPOLL && !list_empty(&l->runq) ? loop_clock() : 0;
	n += run_waiters(l);
	n += run_bulk(l, since);
	collect_garbage(l);
	return n;
}

int loop_turn(struct loop *l, nsec_t max_wait)
{
	nsec_t deadline = LOOP_NEVER;
	int n;

	if (max_wait == 0)
		deadline = 0;
	else if (max_wait > 0)
		deadline = (l->backend == LOOP_EPOLL ? loop_clock() : l->now) + max_wait;
	for (;;) {
		n = turn_once(l, deadline);
		if (n > 0 || l->now >= deadline || atomic_load(&l->stop))
			return n;
		if (l->backend == LOOP_VIRTUAL && wheel_next(&l->wheel) == WHEEL_NEVER &&
		    deadline == LOOP_NEVER)
			return 0;
	}
}

void loop_run(struct loop *l)
{
	while (!atomic_load(&l->stop)) {
		if (loop_turn(l, -1) == 0 && l->backend == LOOP_VIRTUAL)
			break;
	}
	atomic_store(&l->stop, false);
}

static void wake_if_asleep(struct loop *l)
{
	if (atomic_load(&l->sleeping) && atomic_exchange(&l->sleeping, false))
		io_wakeup(l);
}

void loop_stop(struct loop *l)
{
	atomic_store(&l->stop, true);
	wake_if_asleep(l);
}

void loop_post(struct loop *l, struct message *m)
{
	struct message *head = atomic_load_explicit(&l->mail, memory_order_relaxed);

	do {
		m->next = head;
	} while (!atomic_compare_exchange_weak(&l->mail, &head, m));
	wake_if_asleep(l);
}

nsec_t loop_now(const struct loop *l)
{
	return l->now;
}

int64_t loop_wall(const struct loop *l)
{
	if (l->backend == LOOP_VIRTUAL)
		return VIRTUAL_WALL + (l->now - VIRTUAL_START) / NSEC_SEC;
	return time(NULL);
}

/* splitmix64: short, full period, and good enough to be anybody's randomness in a test. */
static uint64_t prng_next(struct loop *l)
{
	uint64_t z = l->prng += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static void kernel_random(void *dst, size_t n)
{
	uint8_t *out = dst;

	while (n > 0) {
		ssize_t got = getrandom(out, n, 0);

		if (got < 0) {
			if (errno != EINTR)
				abort(); /* no randomness: nothing that follows would be safe */
			continue;
		}
		out += got;
		n -= (size_t)got;
	}
}

/* Small requests are served from a block, and wiped there: a call per nonce would cost more than
 * the nonce's use.
 */
static void buffered_random(struct loop *l, void *dst, size_t n)
{
	if (n > sizeof(l->entropy) / 2) {
		kernel_random(dst, n);
		return;
	}
	if (l->entropy_left < n) {
		kernel_random(l->entropy, sizeof(l->entropy));
		l->entropy_left = sizeof(l->entropy);
	}
	l->entropy_left -= (unsigned)n;
	memcpy(dst, l->entropy + l->entropy_left, n);
	explicit_bzero(l->entropy + l->entropy_left, n);
}

void loop_random(struct loop *l, void *dst, size_t n)
{
	uint8_t *out = dst;

	if (l->backend == LOOP_EPOLL) {
		buffered_random(l, dst, n);
		return;
	}
	for (size_t i = 0; i < n; i += 8) {
		uint64_t v = prng_next(l);

		memcpy(out + i, &v, MIN(n - i, sizeof(v)));
	}
}

unsigned loop_woken(const struct loop *l)
{
	unsigned bulk = MAX(l->crowd, l->served);

	return MAX(l->woken, bulk);
}

struct buf_pool *loop_pool(struct loop *l)
{
	return &l->pool;
}

uint8_t *loop_scratch(struct loop *l)
{
	if (!l->scratch)
		l->scratch = malloc(LOOP_SCRATCH);
	return l->scratch;
}

void loop_queue(struct loop *l, struct waiter *w)
{
	if (!list_linked(&w->link))
		list_add_tail(&l->runq, &w->link);
}

void loop_queue_bulk(struct loop *l, struct waiter *w)
{
	if (!list_linked(&w->link))
		list_add_tail(&l->bulk, &w->link);
}

void loop_free_later(struct loop *l, void *p)
{
	struct loop_garbage *g = p;

	if (!g)
		return;
	g->next = l->garbage;
	l->garbage = g;
}

void loop_local_add(struct loop *l, struct loop_local *local)
{
	local->next = l->locals;
	l->locals = local;
}

struct loop_local *loop_local_find(struct loop *l, const void *key)
{
	struct loop_local *local = l->locals;

	while (local && local->key != key)
		local = local->next;
	return local;
}
