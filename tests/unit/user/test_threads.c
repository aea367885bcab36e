/* What workers share, used from several threads at once: meant for ThreadSanitizer too. */
#include "users.h"

#include <pthread.h>
#include <time.h>

#define THREADS 4

static nsec_t clock_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_SEC + ts.tv_nsec;
}

struct flow {
	pthread_t thread;
	struct rate *rate;
	nsec_t until;
	uint64_t moved;
};

static void *flow_main(void *arg)
{
	struct flow *f = arg;

	for (nsec_t now = clock_now(); now < f->until; now = clock_now()) {
		nsec_t pause = rate_wait(f->rate, now);

		if (pause > 0) { /* a timer of 1 ms resolution */
			struct timespec ts = {.tv_nsec = MIN(pause + NSEC_MS, 100 * NSEC_MS)};

			nanosleep(&ts, NULL);
			continue;
		}
		rate_charge(f->rate, now, rate_quantum(rate_get(f->rate)));
		f->moved += rate_quantum(rate_get(f->rate));
	}
	return NULL;
}

static void one_rate_holds_over_several_threads(void **state)
{
	struct flow flows[THREADS];
	struct rate rate = {0};
	nsec_t start = clock_now(), span = NSEC_SEC;
	uint64_t moved = 0;

	rate_set(&rate, 20000000);
	for (int i = 0; i < THREADS; i++) {
		flows[i] = (struct flow){.rate = &rate, .until = start + span};
		assert_int_equal(pthread_create(&flows[i].thread, NULL, flow_main, &flows[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(flows[i].thread, NULL);
		moved += flows[i].moved;
	}
	printf("20 MB/s over %d threads for 1 s: %.3f MB\n", THREADS, (double)moved / 1e6);
	/* Above never; below only as far as a busy machine lets threads sleep too long. */
	assert_true(moved < 20600000);
	assert_true(moved > 10000000);
}

/* ---- sessions come and go on two workers while control pulls lists ----------------------- */

struct worker {
	pthread_t thread;
	struct loop *loop;
	struct user_worker user;
	const struct user_table *table; /* its private pointer */
	struct village *village;
	uint64_t counted;
	uint32_t begun, kicked, refused;
	_Atomic bool *stop;
	unsigned seed;
};

struct swap {
	struct message m;
	struct worker *w;
	struct user_publication *pub;
	const struct user_table *table;
	_Atomic int *acks;
};

static void run_swap(struct message *m)
{
	struct swap *s = container_of(m, struct swap, m);

	s->w->table = s->table;
	atomic_fetch_add_explicit(s->acks, 1, memory_order_release);
	free(s);
}

#define GUESTS 24

struct guest {
	struct user_conn conn;
	struct waiter kicked;
	struct worker *w;
};

static void on_kick(struct waiter *waiter)
{
	struct guest *g = container_of(waiter, struct guest, kicked);

	g->w->kicked++;
	user_conn_end(&g->conn, 0);
}

static void step(struct worker *w, struct guest *g, nsec_t now)
{
	char name[KEY_LEN + 1];
	struct user *u;

	if (g->conn.user) {
		user_conn_count(&g->conn, w->seed & 1, 1000, now);
		w->counted += 1000;
		if (w->seed % 7 == 0) {
			user_conn_end(&g->conn, now);
			waiter_cancel(&g->kicked);
		}
		return;
	}
	snprintf(name, sizeof(name), "u%u", w->seed % 40);
	u = look_up(w->table, name);
	if (!u)
		return;
	user_conn_init(&g->conn, &w->user, &g->kicked);
	{
		uint8_t bytes[4] = {10, 0, 0, (uint8_t)(w->seed >> 20)};
		struct addr a = addr_from_ip4(bytes, 1);
		int err = user_conn_begin(&g->conn, u, &a, w->seed & 2, now);

		w->begun += !err;
		w->refused += err != 0;
	}
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct guest guests[GUESTS];

	for (int i = 0; i < GUESTS; i++) {
		guests[i] = (struct guest){.w = w};
		user_conn_init(&guests[i].conn, &w->user, &guests[i].kicked);
		waiter_init(&guests[i].kicked, on_kick);
	}
	while (!atomic_load(w->stop)) {
		loop_turn(w->loop, 0);
		for (int i = 0; i < 50; i++) {
			w->seed = w->seed * 1664525 + 1013904223;
			step(w, &guests[(w->seed >> 8) % GUESTS], i);
		}
	}
	for (int i = 0; i < GUESTS; i++) {
		user_conn_end(&guests[i].conn, 0);
		waiter_cancel(&guests[i].kicked);
	}
	while (loop_turn(w->loop, 0) > 0) /* swaps that are still in the mailbox */
		;
	return NULL;
}

static uint64_t settled_bytes, reported_of_slot[65536];
static struct counters *settled_counters;

static int settle(void *arg, const uint32_t *slots, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct traffic t;

		counters_total(settled_counters, slots[i], &t);
		settled_bytes += t.up + t.down - reported_of_slot[slots[i]];
		reported_of_slot[slots[i]] = t.up + t.down;
	}
	return 0;
}

static struct user_publication *random_pull(struct village *v, unsigned *seed)
{
	char text[1024] = "";
	size_t at = 0;

	for (int i = 0; i < 40; i++) {
		*seed = *seed * 1664525 + 1013904223;
		if ((*seed >> 16) % 4)
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%u:u%d/%u/%u/%u ",
					       i + 1 + ((*seed >> 18) % 3 == 0 ? 100 : 0), i,
					       (*seed >> 20) % 2 * 100, (*seed >> 22) % 4,
					       (*seed >> 24) % 4);
	}
	return village_pull(v, text);
}

static void mail(struct worker *w, struct user_publication *pub, _Atomic int *acks)
{
	struct swap *s = malloc(sizeof(*s));

	*s = (struct swap){.m = {.run = run_swap}, .w = w, .table = pub->table, .acks = acks};
	loop_post(w->loop, &s->m);
}

static void publish(struct worker *w, struct user_publication *pub)
{
	_Atomic int acks = 0;

	if (!pub)
		return;
	pub->acks = 2;
	for (int i = 0; i < 2; i++)
		mail(&w[i], pub, &acks);
	while (atomic_load_explicit(&acks, memory_order_acquire) < 2)
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	user_publication_ack(pub);
	assert_true(user_publication_ack(pub));
}

static void no_byte_is_lost_while_users_come_and_go(void **state)
{
	struct user_publication *pub;
	_Atomic bool stop = false;
	struct worker w[2] = {0};
	struct village v;
	unsigned seed = 7;
	uint64_t counted, left = 0;

	village_init(&v, NULL);
	settled_counters = v.counters;
	settled_bytes = 0;
	pub = random_pull(&v, &seed);
	pub->acks = 1;
	user_publication_ack(pub);
	for (int i = 0; i < 2; i++) {
		w[i].loop = loop_new(LOOP_EPOLL, 1);
		w[i].seed = 99 + (unsigned)i;
		w[i].stop = &stop;
		w[i].table = user_registry_table(v.reg);
		user_worker_init(&w[i].user, w[i].loop, v.counters, (unsigned)i);
		assert_int_equal(pthread_create(&w[i].thread, NULL, worker_main, &w[i]), 0);
	}
	for (int round = 0; round < 200; round++) {
		publish(w, random_pull(&v, &seed));
		user_registry_report_online(v.reg, 0, false, round * 200 * NSEC_SEC, NULL, NULL);
		assert_true(user_registry_reap(v.reg, settle, NULL) >= 0);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(w[i].thread, NULL);

	counted = w[0].counted + w[1].counted;
	printf("begun %u, kicked %u, refused %u\n", w[0].begun + w[1].begun,
	       w[0].kicked + w[1].kicked, w[0].refused + w[1].refused);
	assert_int_equal(user_registry_reap(v.reg, settle, NULL), 0);
	for (size_t i = 0; i < user_table_count(user_registry_table(v.reg)); i++) {
		struct user *u = user_table_at(user_registry_table(v.reg), i);
		struct traffic t;

		assert_int_equal(u->refs, 0);
		counters_total(v.counters, u->slot, &t);
		left += t.up + t.down - reported_of_slot[u->slot];
	}
	assert_int_equal(settled_bytes + left, counted);
	for (int i = 0; i < 2; i++) {
		user_worker_done(&w[i].user);
		loop_free(w[i].loop);
	}
	village_done(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_rate_holds_over_several_threads),
		cmocka_unit_test(no_byte_is_lost_while_users_come_and_go),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
