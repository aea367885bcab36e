/* io.c - the epoll backend: descriptors of the data path (edge-triggered, one registration for
 * life), descriptors of libraries (level-triggered), and the eventfd that ends a sleep.
 *
 * epoll carries a pointer to the io or the watch, told apart by the lowest bit; NULL is the
 * eventfd.  An io's events only set bits and queue waiters, so nothing can be freed between the
 * kernel's answer and its use.  Watches call out: they are called after that, from the array of
 * events, where watch_set() blots out what it removes.
 */
#include "event/loop_impl.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define WATCH_TAG ((uintptr_t)1)

nsec_t loop_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_SEC + ts.tv_nsec;
}

int io_backend_open(struct loop *l)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};

	l->events = malloc(LOOP_EVENTS * sizeof(*l->events));
	if (!l->events)
		return -ENOMEM;
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epfd < 0)
		return -errno;
	l->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->wakefd < 0 || epoll_ctl(l->epfd, EPOLL_CTL_ADD, l->wakefd, &ev) < 0)
		return -errno;
	l->now = loop_clock();
	return 0;
}

void io_backend_close(struct loop *l)
{
	if (l->wakefd >= 0)
		close(l->wakefd);
	if (l->epfd >= 0)
		close(l->epfd);
	free(l->events);
}

void io_wakeup(struct loop *l)
{
	uint64_t one = 1;

	/* Only EAGAIN is possible, and then the counter is not zero: the wake is already there. */
	if (l->wakefd >= 0 && write(l->wakefd, &one, sizeof(one)) < 0)
		return;
}

static void wake_one(struct loop *l, struct waiter **slot)
{
	struct waiter *w = *slot;

	if (!w)
		return;
	*slot = NULL;
	loop_queue(l, w);
}

static void io_ready(struct loop *l, struct io *io, uint32_t events)
{
	const uint32_t broken = EPOLLHUP | EPOLLERR;

	if (events & (broken | EPOLLRDHUP))
		io->hup = true;
	if (events & (EPOLLIN | EPOLLRDHUP | broken)) {
		io->ready |= IO_RD;
		wake_one(l, &io->rd);
	}
	if (events & (EPOLLOUT | broken)) {
		io->ready |= IO_WR;
		wake_one(l, &io->wr);
	}
}

static void drain_wakefd(struct loop *l)
{
	uint64_t count;

	if (read(l->wakefd, &count, sizeof(count)) < 0)
		return;
}

/* Hands ios their news, and moves the watches to the front of the array. */
static void sort_events(struct loop *l, int n)
{
	l->fired = l->nfired = 0;
	for (int i = 0; i < n; i++) {
		struct epoll_event ev = l->events[i];

		if (!ev.data.ptr)
			drain_wakefd(l);
		else if ((uintptr_t)ev.data.ptr & WATCH_TAG)
			l->events[l->nfired++] = ev;
		else
			io_ready(l, ev.data.ptr, ev.events);
	}
}

static int timeout_ms(nsec_t now, nsec_t deadline)
{
	nsec_t ms;

	if (deadline == LOOP_NEVER)
		return -1;
	if (deadline <= now)
		return 0;
	ms = (deadline - now + NSEC_MS - 1) / NSEC_MS;
	return (int)MIN(ms, (nsec_t)3600 * 1000);
}

void io_poll(struct loop *l, nsec_t deadline)
{
	int wait = 0, n;

	if (deadline > l->now) {
		/* The order matters: first say that we may sleep, then look for mail.  loop_post()
		 * does it the other way round, so that one of the two sees the other. */
		atomic_store(&l->sleeping, true);
		if (!atomic_load(&l->mail) && !atomic_load(&l->stop))
			wait = timeout_ms(loop_clock(), deadline);
	}
	n = epoll_wait(l->epfd, l->events, LOOP_EVENTS, wait);
	atomic_store_explicit(&l->sleeping, false, memory_order_relaxed);
	l->now = loop_clock();
	sort_events(l, n);
}

int io_add(struct loop *l, struct io *io, int fd)
{
	struct epoll_event ev = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.ptr = io,
	};

	if (l->backend != LOOP_EPOLL)
		return -ENOTSUP;
	assert(((uintptr_t)io & WATCH_TAG) == 0);
	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	*io = (struct io){.fd = fd, .ready = IO_RD | IO_WR};
	return 0;
}

void io_del(struct loop *l, struct io *io)
{
	epoll_ctl(l->epfd, EPOLL_CTL_DEL, io->fd, NULL);
	io->rd = io->wr = NULL;
}

void io_want(struct loop *l, struct io *io, unsigned ev, struct waiter *w)
{
	if (io->ready & ev) {
		loop_queue(l, w);
		return;
	}
	if (ev & IO_RD)
		io->rd = w;
	if (ev & IO_WR)
		io->wr = w;
}

static void forget_watch(struct loop *l, const struct watch *w)
{
	for (int i = l->fired; i < l->nfired; i++) {
		if (l->events[i].data.u64 == ((uintptr_t)w | WATCH_TAG))
			l->events[i].data.ptr = NULL;
	}
}

int watch_set(struct loop *l, struct watch *w, unsigned ev)
{
	struct epoll_event e = {.data.u64 = (uintptr_t)w | WATCH_TAG};

	if (l->backend != LOOP_EPOLL)
		return -ENOTSUP;
	if (ev == 0) {
		forget_watch(l, w);
		epoll_ctl(l->epfd, EPOLL_CTL_DEL, w->fd, NULL);
		return 0;
	}
	e.events = (ev & IO_RD ? EPOLLIN | EPOLLRDHUP : 0u) | (ev & IO_WR ? EPOLLOUT : 0u);
	if (epoll_ctl(l->epfd, EPOLL_CTL_MOD, w->fd, &e) == 0)
		return 0;
	if (errno != ENOENT || epoll_ctl(l->epfd, EPOLL_CTL_ADD, w->fd, &e) < 0)
		return -errno;
	return 0;
}

int io_fire_watches(struct loop *l)
{
	int called = 0;

	while (l->fired < l->nfired) {
		struct epoll_event e = l->events[l->fired++];
		struct watch *w = (void *)((uintptr_t)e.data.u64 & ~WATCH_TAG);
		unsigned ev = 0;

		if (!w)
			continue;
		if (e.events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
			ev |= IO_RD;
		if (e.events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
			ev |= IO_WR;
		w->fire(w, ev);
		called++;
	}
	l->fired = l->nfired = 0;
	return called;
}
