#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "event/loop.h"

struct counter {
	struct waiter w;
	struct loop *loop;
	struct counter *cancels;
	int runs, again, order;
};

static int sequence;

static void count(struct waiter *w)
{
	struct counter *c = container_of(w, struct counter, w);

	c->runs++;
	c->order = ++sequence;
	if (c->cancels)
		waiter_cancel(&c->cancels->w);
	if (c->again-- > 0)
		loop_queue(c->loop, w);
}

static void counter_init(struct counter *c, struct loop *l)
{
	*c = (struct counter){.loop = l};
	waiter_init(&c->w, count);
}

static void every_waiter_runs_once_and_in_order(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct counter c[5];

	sequence = 0;
	for (int i = 0; i < 5; i++) {
		counter_init(&c[i], l);
		loop_queue(l, &c[i].w);
		loop_queue(l, &c[i].w);
	}
	assert_int_equal(loop_turn(l, 0), 5);
	assert_int_equal(loop_turn(l, 0), 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(c[i].runs, 1);
		assert_int_equal(c[i].order, i + 1);
	}
	loop_free(l);
}

static void who_queues_itself_again_runs_in_the_next_turn(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct counter a, b;

	counter_init(&a, l);
	counter_init(&b, l);
	a.again = 2;
	loop_queue(l, &a.w);
	loop_queue(l, &b.w);
	assert_int_equal(loop_turn(l, -1), 2);
	assert_int_equal(a.runs, 1);
	assert_int_equal(b.runs, 1);
	assert_int_equal(loop_turn(l, -1), 1);
	assert_int_equal(loop_turn(l, -1), 1);
	assert_int_equal(a.runs, 3);
	loop_free(l);
}

static void a_cancelled_waiter_does_not_run_even_in_the_same_turn(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct counter a, b;

	counter_init(&a, l);
	counter_init(&b, l);
	a.cancels = &b;
	loop_queue(l, &a.w);
	loop_queue(l, &b.w);
	assert_int_equal(loop_turn(l, 0), 1);
	assert_int_equal(b.runs, 0);
	loop_free(l);
}

static void the_budget_keeps_the_order(void **state)
{
	enum { MANY = 1000 };
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct counter *c = calloc(MANY, sizeof(*c));
	int turns = 0;

	sequence = 0;
	for (int i = 0; i < MANY; i++) {
		counter_init(&c[i], l);
		loop_queue(l, &c[i].w);
	}
	c[0].again = 1; /* its second run comes after everybody's first */
	while (loop_turn(l, 0))
		turns++;
	assert_true(turns > 1);
	for (int i = 1; i < MANY; i++)
		assert_int_equal(c[i].order, i + 1);
	assert_int_equal(c[0].order, MANY + 1);
	free(c);
	loop_free(l);
}

/* ---- bulk -------------------------------------------------------------------------------- */

static void count_bulk(struct waiter *w)
{
	struct counter *c = container_of(w, struct counter, w);

	c->runs++;
	c->order = ++sequence;
	if (c->again-- > 0)
		loop_queue_bulk(c->loop, w);
}

static void bulk_comes_after_the_others_of_its_turn_and_nobody_has_two_turns_in_a_round(
	void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct counter c[4], other;

	sequence = 0;
	counter_init(&other, l);
	for (int i = 0; i < 4; i++) {
		counter_init(&c[i], l);
		c[i].w.wake = count_bulk;
		c[i].again = 1;
		loop_queue_bulk(l, &c[i].w);
		loop_queue(l, &c[i].w); /* stays where it is */
	}
	loop_queue(l, &other.w);
	waiter_cancel(&c[3].w);
	assert_int_equal(loop_turn(l, 0), 4);
	assert_int_equal(other.order, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(c[i].order, i + 2);
	assert_int_equal(loop_turn(l, 0), 3);
	assert_int_equal(loop_woken(l), 3); /* the round before this one */
	assert_int_equal(loop_turn(l, 0), 0);
	assert_int_equal(loop_turn(l, 0), 0);
	assert_int_equal(loop_woken(l), 0);
	assert_int_equal(c[3].runs, 0);
	loop_queue_bulk(l, &c[3].w);
	loop_free(l);
	assert_int_equal(c[3].runs, 0);
}

static nsec_t clock_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_SEC + ts.tv_nsec;
}

static void spin(struct waiter *w)
{
	nsec_t until = clock_now() + NSEC_MS;

	while (clock_now() < until)
		;
	container_of(w, struct counter, w)->runs++;
}

/* On a busy machine a turn may seem long that was not: then more of them have theirs in it. */
static void a_turn_leaves_bulk_for_the_next_one_and_the_others_have_it_first(void **state)
{
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct counter c[3], other;
	int one_at_a_time = 0;

	for (int round = 0; round < 100 && !one_at_a_time; round++) {
		int ran = 0, turns = 0;

		counter_init(&other, l);
		for (int i = 0; i < 3; i++) {
			counter_init(&c[i], l);
			c[i].w.wake = spin;
			loop_queue_bulk(l, &c[i].w);
		}
		while (ran < 3) {
			loop_queue(l, &other.w);
			loop_turn(l, -1);
			assert_int_equal(other.runs, ++turns);
			ran = c[0].runs + c[1].runs + c[2].runs;
			assert_true(ran >= turns);
			assert_true(c[0].runs >= c[1].runs && c[1].runs >= c[2].runs);
		}
		one_at_a_time = turns == 3;
	}
	assert_true(one_at_a_time);
	loop_free(l);
}

struct long_mail {
	struct message m;
	nsec_t time;
};

static void take_long(struct message *m)
{
	nsec_t until = clock_now() + container_of(m, struct long_mail, m)->time;

	while (clock_now() < until)
		;
}

static void a_turn_that_mail_has_made_long_is_not_made_longer_by_bulk(void **state)
{
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct long_mail mail = {{.run = take_long}, 30 * NSEC_MS};
	struct counter c[3];

	for (int i = 0; i < 3; i++) {
		counter_init(&c[i], l);
		c[i].w.wake = spin;
		loop_queue_bulk(l, &c[i].w);
	}
	loop_post(l, &mail.m);
	loop_turn(l, -1);
	assert_int_equal(c[0].runs + c[1].runs + c[2].runs, 1);
	loop_free(l);
}

/* ---- messages ---------------------------------------------------------------------------- */

struct note {
	struct message m;
	int *sum;
	int *last;
	int value;
};

static void take_note(struct message *m)
{
	struct note *n = container_of(m, struct note, m);

	*n->sum += n->value;
	if (n->last) {
		assert_int_equal(n->value, *n->last + 1); /* in the order of posting */
		*n->last = n->value;
	}
	free(n);
}

static void post_note(struct loop *l, int *sum, int *last, int value)
{
	struct note *n = malloc(sizeof(*n));

	*n = (struct note){.m.run = take_note, .sum = sum, .last = last, .value = value};
	loop_post(l, &n->m);
}

static void messages_run_in_the_order_of_posting(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	int sum = 0, last = 0;

	for (int i = 1; i <= 10; i++)
		post_note(l, &sum, &last, i);
	assert_int_equal(loop_turn(l, -1), 10);
	assert_int_equal(sum, 55);
	loop_free(l);
}

enum { POSTERS = 4, POSTS = 20000 };

struct poster {
	pthread_t thread;
	struct loop *loop;
	int sum, last;
};

static void *post_many(void *arg)
{
	struct poster *p = arg;

	for (int i = 1; i <= POSTS; i++)
		post_note(p->loop, &p->sum, &p->last, i);
	return NULL;
}

static void messages_of_several_threads_all_arrive_and_wake_the_loop(void **state)
{
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct poster p[POSTERS];
	int got = 0;

	for (int i = 0; i < POSTERS; i++) {
		p[i] = (struct poster){.loop = l};
		pthread_create(&p[i].thread, NULL, post_many, &p[i]);
	}
	while (got < POSTERS * POSTS) {
		int n = loop_turn(l, 20 * NSEC_SEC);

		assert_true(n > 0); /* a lost wake-up would end in the deadline */
		got += n;
	}
	for (int i = 0; i < POSTERS; i++) {
		pthread_join(p[i].thread, NULL);
		assert_int_equal(p[i].last, POSTS);
	}
	loop_free(l);
}

static void a_message_left_in_the_mailbox_runs_when_the_loop_is_freed(void **state)
{
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	int sum = 0;

	post_note(l, &sum, NULL, 7);
	loop_free(l);
	assert_int_equal(sum, 7);
}

static void *stop_soon(void *arg)
{
	usleep(20000);
	loop_stop(arg);
	return NULL;
}

static void stop_from_another_thread_ends_run(void **state)
{
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	pthread_t t;

	pthread_create(&t, NULL, stop_soon, l);
	loop_run(l);
	pthread_join(t, NULL);
	loop_stop(l); /* a stop that comes first is not lost */
	loop_run(l);
	loop_free(l);
}

/* ---- memory ------------------------------------------------------------------------------ */

struct mortal {
	void *link;
	struct waiter w;
	struct loop *loop;
	int alive;
};

static void die(struct waiter *w)
{
	struct mortal *m = container_of(w, struct mortal, w);

	loop_free_later(m->loop, m);
	m->alive = 0; /* still ours until the turn ends */
}

static void memory_let_go_in_a_wake_stays_until_the_turn_ends(void **state)
{
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct mortal *m = calloc(1, sizeof(*m));

	m->loop = l;
	waiter_init(&m->w, die);
	loop_queue(l, &m->w);
	assert_int_equal(loop_turn(l, 0), 1);
	loop_free_later(l, malloc(100)); /* the sanitizer says whether this is freed too */
	loop_free_later(l, NULL);
	loop_free(l);
}

static void an_idle_loop_gives_spare_memory_back(void **state)
{
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct buf *b = buf_new(loop_pool(l));

	memset(loop_scratch(l), 1, LOOP_SCRATCH);
	buf_free(b);
	assert_int_equal(loop_pool(l)->nfree, 1);
	loop_turn(l, 0);
	assert_int_equal(loop_pool(l)->nfree, 1);
	loop_turn(l, 1100 * NSEC_MS);
	assert_int_equal(loop_pool(l)->nfree, 0);
	loop_free(l);
}

struct pet {
	struct loop_local local;
	int *freed;
};

static void free_pet(struct loop_local *local)
{
	struct pet *p = container_of(local, struct pet, local);

	++*p->freed;
	free(p);
}

static void what_a_loop_keeps_for_others_is_found_and_freed_with_it(void **state)
{
	static const char key, other;
	struct loop *l = loop_new(LOOP_VIRTUAL, 1);
	struct pet *p = calloc(1, sizeof(*p));
	int freed = 0;

	p->freed = &freed;
	p->local.key = &key;
	p->local.free = free_pet;
	assert_null(loop_local_find(l, &key));
	loop_local_add(l, &p->local);
	assert_ptr_equal(loop_local_find(l, &key), &p->local);
	assert_null(loop_local_find(l, &other));
	loop_free(l);
	assert_int_equal(freed, 1);
}

/* ---- clock and randomness ---------------------------------------------------------------- */

static void a_virtual_loop_repeats_itself_with_the_same_seed(void **state)
{
	struct loop *a = loop_new(LOOP_VIRTUAL, 42), *b = loop_new(LOOP_VIRTUAL, 42);
	struct loop *c = loop_new(LOOP_VIRTUAL, 43);
	uint8_t x[100], y[100], z[100];

	loop_random(a, x, sizeof(x));
	loop_random(b, y, sizeof(y));
	loop_random(c, z, sizeof(z));
	assert_memory_equal(x, y, sizeof(x));
	assert_memory_not_equal(x, z, sizeof(x));
	assert_int_equal(loop_wall(a), 1700000000);
	loop_free(a);
	loop_free(b);
	loop_free(c);
}

static void kernel_randomness_does_not_repeat(void **state)
{
	struct loop *l = loop_new(LOOP_EPOLL, 42);
	uint8_t seen[64][16], big[1000];

	for (int i = 0; i < 64; i++) {
		loop_random(l, seen[i], 16);
		for (int k = 0; k < i; k++)
			assert_memory_not_equal(seen[i], seen[k], 16);
	}
	loop_random(l, big, sizeof(big));
	assert_memory_not_equal(big, big + 500, 500);
	loop_free(l);
}

/* ---- descriptors ------------------------------------------------------------------------- */

static void edges_wake_once_and_only_after_the_bit_was_cleared(void **state)
{
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct counter c;
	struct io io;
	char byte;
	int fd[2];

	counter_init(&c, l);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	assert_int_equal(io_add(l, &io, fd[0]), 0);
	assert_int_equal(io.ready, IO_RD | IO_WR);

	io_want(l, &io, IO_RD, &c.w); /* noted as ready: at once, perhaps in vain */
	assert_int_equal(loop_turn(l, 0), 1);
	assert_int_equal(read(fd[0], &byte, 1), -1);
	io.ready &= (uint8_t)~IO_RD;
	io_want(l, &io, IO_RD, &c.w);
	assert_int_equal(loop_turn(l, 5 * NSEC_MS), 0);

	assert_int_equal(write(fd[1], "ab", 2), 2);
	assert_int_equal(loop_turn(l, NSEC_SEC), 1);
	assert_int_equal(c.runs, 2);
	assert_true(io.ready & IO_RD);
	assert_int_equal(loop_turn(l, 5 * NSEC_MS), 0); /* one-shot, edge-triggered */

	assert_false(io.hup);
	close(fd[1]);
	io.ready = 0;
	io_want(l, &io, IO_RD, &c.w);
	assert_int_equal(loop_turn(l, NSEC_SEC), 1);
	assert_true(io.hup);
	io_del(l, &io);
	close(fd[0]);
	loop_free(l);
}

static void a_removed_io_forgets_its_waiters(void **state)
{
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct counter c;
	struct io io;
	int fd[2];

	counter_init(&c, l);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	assert_int_equal(io_add(l, &io, fd[0]), 0);
	io.ready = 0;
	io_want(l, &io, IO_RD | IO_WR, &c.w);
	io_del(l, &io);
	assert_int_equal(write(fd[1], "a", 1), 1);
	assert_int_equal(loop_turn(l, 5 * NSEC_MS), 0);
	assert_int_equal(c.runs, 0);
	close(fd[0]);
	close(fd[1]);
	loop_free(l);
}

struct watcher {
	struct watch w;
	struct loop *loop;
	struct watcher *removes;
	unsigned seen;
	int fired;
};

static void seen(struct watch *w, unsigned ev)
{
	struct watcher *x = container_of(w, struct watcher, w);

	x->fired++;
	x->seen = ev;
	if (x->removes)
		assert_int_equal(watch_set(x->loop, &x->removes->w, 0), 0);
}

static void watches_fire_as_long_as_the_descriptor_is_ready(void **state)
{
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct watcher x = {.w.fire = seen, .loop = l};
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	x.w.fd = fd[0];
	assert_int_equal(watch_set(l, &x.w, IO_RD), 0);
	assert_int_equal(loop_turn(l, 0), 0);
	assert_int_equal(write(fd[1], "a", 1), 1);
	assert_int_equal(loop_turn(l, NSEC_SEC), 1);
	assert_int_equal(loop_turn(l, NSEC_SEC), 1);
	assert_int_equal(x.seen, IO_RD);
	assert_int_equal(watch_set(l, &x.w, 0), 0);
	assert_int_equal(loop_turn(l, 0), 0);
	assert_int_equal(watch_set(l, &x.w, 0), 0); /* twice is harmless */
	close(fd[0]);
	close(fd[1]);
	loop_free(l);
}

static void a_watch_removed_by_another_in_the_same_turn_does_not_fire(void **state)
{
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct watcher a = {.w.fire = seen, .loop = l}, b = {.w.fire = seen, .loop = l};
	int p[2], q[2];

	assert_int_equal(pipe(p), 0);
	assert_int_equal(pipe(q), 0);
	a.w.fd = p[1];
	b.w.fd = q[1];
	a.removes = &b;
	b.removes = &a;
	assert_int_equal(watch_set(l, &a.w, IO_WR), 0);
	assert_int_equal(watch_set(l, &b.w, IO_WR), 0);
	assert_int_equal(loop_turn(l, NSEC_SEC), 1);
	assert_int_equal(a.fired + b.fired, 1);
	for (int i = 0; i < 2; i++) {
		close(p[i]);
		close(q[i]);
	}
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_waiter_runs_once_and_in_order),
		cmocka_unit_test(who_queues_itself_again_runs_in_the_next_turn),
		cmocka_unit_test(a_cancelled_waiter_does_not_run_even_in_the_same_turn),
		cmocka_unit_test(the_budget_keeps_the_order),
		cmocka_unit_test(
			bulk_comes_after_the_others_of_its_turn_and_nobody_has_two_turns_in_a_round),
		cmocka_unit_test(a_turn_leaves_bulk_for_the_next_one_and_the_others_have_it_first),
		cmocka_unit_test(a_turn_that_mail_has_made_long_is_not_made_longer_by_bulk),
		cmocka_unit_test(messages_run_in_the_order_of_posting),
		cmocka_unit_test(messages_of_several_threads_all_arrive_and_wake_the_loop),
		cmocka_unit_test(a_message_left_in_the_mailbox_runs_when_the_loop_is_freed),
		cmocka_unit_test(stop_from_another_thread_ends_run),
		cmocka_unit_test(memory_let_go_in_a_wake_stays_until_the_turn_ends),
		cmocka_unit_test(an_idle_loop_gives_spare_memory_back),
		cmocka_unit_test(what_a_loop_keeps_for_others_is_found_and_freed_with_it),
		cmocka_unit_test(a_virtual_loop_repeats_itself_with_the_same_seed),
		cmocka_unit_test(kernel_randomness_does_not_repeat),
		cmocka_unit_test(edges_wake_once_and_only_after_the_bit_was_cleared),
		cmocka_unit_test(a_removed_io_forgets_its_waiters),
		cmocka_unit_test(watches_fire_as_long_as_the_descriptor_is_ready),
		cmocka_unit_test(a_watch_removed_by_another_in_the_same_turn_does_not_fire),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
