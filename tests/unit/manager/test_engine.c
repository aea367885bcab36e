/* The engine's table of servers over a kind whose instances do as the test says. */
#include "unit.h"

#include <stdio.h>

#include "base/log.h"
#include "manager/engine_impl.h"

struct fake {
	struct instance i;
	struct profile *p;
	struct tally tally;
	bool starting;
};

struct fake_engine {
	struct engine e;
};

/* What the kind shall do next. */
static struct {
	int start;	   /* what start() returns */
	bool beside;	   /* can take over an old one's sockets */
	bool gone_at_once; /* stop() says so itself */
	unsigned starts, stops;
} will;

static bool alive(const struct engine *e, uint16_t port)
{
	const struct list_node *pos;

	list_for_each(pos, &e->live) {
		if (container_of(pos, struct fake, i.link)->p->port == port)
			return true;
	}
	return false;
}

static int fake_start(struct engine *e, const struct profile *p, uint32_t generation,
		      struct instance *old, struct instance **out, char why[PROFILE_WHY_MAX])
{
	struct fake *f;

	if (old && !will.beside)
		return -EAGAIN;
	if (!old)
		assert_false(alive(e, p->port)); /* two would bind one port */
	will.starts++;
	if (will.start && will.start != -EINPROGRESS) {
		snprintf(why, PROFILE_WHY_MAX, "as told");
		return will.start;
	}
	f = calloc(1, sizeof(*f));
	assert_int_equal(tally_new(e, p->port, generation, &f->tally), 0);
	f->p = profile_new(p);
	f->starting = will.start == -EINPROGRESS;
	*out = &f->i;
	return will.start;
}

static void gone(struct instance *i)
{
	engine_gone(i);
}

static void fake_stop(struct instance *i, nsec_t grace)
{
	will.stops++;
	if (will.gone_at_once)
		gone(i);
}

static void fake_traffic(const struct instance *i, struct traffic *out)
{
	tally_traffic(i->engine, &container_of(i, struct fake, i)->tally, out);
}

static size_t fake_slots(const struct instance *i, uint32_t *out)
{
	if (out)
		*out = container_of(i, struct fake, i)->tally.slot;
	return 1;
}

static void fake_free(struct instance *i, bool settled)
{
	struct fake *f = container_of(i, struct fake, i);

	tally_end(i->engine, &f->tally, settled);
	profile_free(f->p);
	free(f);
}

static const struct engine_ops fake_ops = {
	.kind = "fake",
	.size = sizeof(struct fake_engine),
	.start = fake_start,
	.stop = fake_stop,
	.traffic = fake_traffic,
	.slots = fake_slots,
	.free = fake_free,
};

struct bed {
	struct loop *loop;
	struct counters *counters;
	struct engine *e;
	uint64_t settled; /* bytes */
	int err, answers, stopped;
	uint64_t seen[64]; /* per slot, settled before */
};

static int settle(void *arg, const uint32_t *slots, size_t n)
{
	struct bed *b = arg;
	struct traffic t;

	for (size_t i = 0; i < n; i++) {
		counters_total(b->counters, slots[i], &t);
		b->settled += t.up + t.down - b->seen[slots[i]];
		b->seen[slots[i]] = t.up + t.down;
	}
	return 0;
}

static void open_bed_that_retries(struct bed *b, nsec_t every)
{
	static const uint8_t epoch[COUNTERS_EPOCH_LEN];
	struct engine_conf conf;
	char why[PROFILE_WHY_MAX];

	log_set_level(LOG_NONE);
	*b = (struct bed){0};
	memset(&will, 0, sizeof(will));
	b->loop = loop_new(LOOP_VIRTUAL, 1);
	assert_int_equal(counters_create(NULL, epoch, 2, &b->counters), 0);
	conf = (struct engine_conf){
		.loop = b->loop,
		.counters = b->counters,
		.settle = settle,
		.settle_arg = b,
		.retry_every = every,
	};
	assert_int_equal(engine_make(&fake_ops, &conf, &b->e, why), 0);
}

static void open_bed(struct bed *b)
{
	open_bed_that_retries(b, 0);
}

static void note_stopped(void *arg)
{
	((struct bed *)arg)->stopped++;
}

static void close_bed(struct bed *b)
{
	will.gone_at_once = true;
	engine_stop(b->e, 0, note_stopped, b);
	for (int i = 0; i < 100 && !b->stopped; i++)
		loop_turn(b->loop, NSEC_SEC);
	assert_int_equal(b->stopped, 1);
	engine_free(b->e);
	counters_free(b->counters);
	loop_free(b->loop);
}

static void answered(void *arg, int err, const char *why)
{
	struct bed *b = arg;

	b->err = err;
	b->answers++;
	assert_int_equal(err != 0, *why != '\0');
}

static void put(struct bed *b, uint16_t port, const char *password, uint32_t generation, bool keep)
{
	const struct profile p = {.port = port, .password = password, .mode = PROFILE_BOTH};

	engine_put(b->e,
		   &(struct engine_put){.profile = &p, .generation = generation, .keep = keep},
		   answered, b);
}

static struct fake *running(struct bed *b, uint16_t port)
{
	struct list_node *pos;

	list_for_each(pos, &b->e->live) {
		struct instance *i = list_entry(pos, struct instance, link);

		if (i->server && i->server->port == port && i->server->run == i)
			return container_of(i, struct fake, i);
	}
	return NULL;
}

/* The oldest that has been told to go. */
static struct instance *leaver(struct bed *b)
{
	struct list_node *pos;

	list_for_each(pos, &b->e->live) {
		struct instance *i = list_entry(pos, struct instance, link);

		if (i->stopping)
			return i;
	}
	return NULL;
}

static void pass(struct bed *b, int seconds)
{
	nsec_t end = loop_now(b->loop) + seconds * NSEC_SEC;

	while (loop_now(b->loop) < end)
		loop_turn(b->loop, end - loop_now(b->loop));
}

static void the_same_again_changes_nothing_and_keeps_its_generation(void **state)
{
	struct engine_server s;
	struct bed b;

	open_bed(&b);
	put(&b, 1, "a", 7, false);
	put(&b, 1, "a", 8, false);
	assert_int_equal(b.answers, 2);
	assert_int_equal(will.starts, 1);
	assert_true(engine_get(b.e, 1, &s));
	assert_int_equal(s.generation, 7);
	assert_int_equal(s.state, ENGINE_RUNNING);
	close_bed(&b);
}

static void a_server_that_cannot_be_started_leaves_nothing_behind(void **state)
{
	struct engine_server s;
	struct bed b;

	open_bed(&b);
	will.start = -EADDRINUSE;
	put(&b, 1, "a", 0, false);
	assert_int_equal(b.err, -EADDRINUSE);
	assert_false(engine_get(b.e, 1, &s));
	assert_int_equal(b.e->n, 0);
	pass(&b, 120);
	assert_int_equal(will.starts, 1);
	close_bed(&b);
}

static void one_that_is_wanted_whatever_comes_is_tried_again(void **state)
{
	struct engine_server s;
	struct bed b;

	open_bed(&b);
	will.start = -EADDRINUSE;
	put(&b, 1, "a", 0, true);
	assert_int_equal(b.err, -EADDRINUSE);
	pass(&b, 65);
	assert_int_equal(will.starts, 3);
	assert_true(engine_get(b.e, 1, &s));
	assert_int_equal(s.state, ENGINE_WAITING);
	assert_int_equal(s.err, -EADDRINUSE);
	will.start = 0;
	pass(&b, 31);
	assert_true(engine_get(b.e, 1, &s));
	assert_int_equal(s.state, ENGINE_RUNNING);
	assert_int_equal(s.err, 0);
	close_bed(&b);
}

/* What serves no more while it is said to run: not at once, or it would be all that is done. */
static void it_is_tried_again_as_often_as_was_said(void **state)
{
	for (int every = 1; every <= 3; every++) {
		struct bed b;

		open_bed_that_retries(&b, every * NSEC_SEC);
		will.start = -EADDRINUSE;
		put(&b, 1, "a", 0, true);
		pass(&b, 12);
		assert_in_range(will.starts, 1 + 12 / every - 1, 1 + 12 / every);
		close_bed(&b);
	}
}

static void one_that_is_lost_is_stopped_and_tried_again_later(void **state)
{
	for (int at_once = 0; at_once < 2; at_once++) {
		struct engine_server s;
		struct bed b;
		struct fake *f;

		open_bed(&b);
		will.gone_at_once = at_once;
		put(&b, 1, "a", 0, false);
		f = running(&b, 1);
		tally_add(b.e, &f->tally, 100);
		engine_lost(&f->i, -ENOMEM, NULL);
		engine_lost(&f->i, -ENOMEM, NULL);
		assert_null(running(&b, 1));
		assert_true(engine_get(b.e, 1, &s));
		assert_int_equal(s.state, ENGINE_WAITING);
		assert_int_equal(s.err, -ENOMEM);
		if (!at_once)
			engine_gone(leaver(&b));
		assert_int_equal(will.starts, 1);
		pass(&b, 31);
		assert_int_equal(will.starts, 2);
		assert_true(engine_get(b.e, 1, &s));
		assert_int_equal(s.state, ENGINE_RUNNING);
		assert_int_equal(s.err, 0);
		assert_int_equal(s.traffic.up + s.traffic.down, 100);
		close_bed(&b);
	}
}

static void one_that_is_lost_and_put_again_runs_as_soon_as_it_has_gone(void **state)
{
	struct bed b;
	struct fake *f;

	for (int other = 0; other < 2; other++) {
		open_bed(&b);
		put(&b, 1, "a", 0, false);
		f = running(&b, 1);
		engine_lost(&f->i, -ENOMEM, NULL);
		put(&b, 1, other ? "b" : "a", 0, false);
		assert_int_equal(b.answers, 1);
		engine_gone(&f->i);
		assert_int_equal(b.answers, 2);
		assert_int_equal(b.err, 0);
		assert_non_null(running(&b, 1));
		close_bed(&b);
	}
}

static void a_replacement_that_fails_brings_the_old_one_back(void **state)
{
	struct engine_server s;
	struct bed b;

	for (int beside = 0; beside < 2; beside++) {
		open_bed(&b);
		put(&b, 1, "a", 7, false);
		will.beside = beside;
		will.start = -ERR_CONFIG;
		put(&b, 1, "b", 7, false);
		if (!beside) {
			assert_int_equal(b.answers, 1); /* the old one is still on its way out */
			will.start = -ERR_CONFIG;
			gone(leaver(&b));
			assert_int_equal(b.answers, 2);
			assert_true(engine_get(b.e, 1, &s));
			assert_int_equal(s.state, ENGINE_FAILED); /* it cannot come back either */
			will.start = 0;
			put(&b, 1, "a", 7, false);
		} else {
			assert_int_equal(b.answers, 2);
		}
		assert_true(engine_get(b.e, 1, &s));
		assert_string_equal(s.profile->password, "a");
		assert_int_equal(s.state, ENGINE_RUNNING);
		close_bed(&b);
	}
}

static void counts_go_on_over_a_replacement_and_begin_anew_with_a_generation(void **state)
{
	struct engine_server s;
	struct bed b;

	open_bed(&b);
	put(&b, 1, "a", 7, false);
	tally_add(b.e, &running(&b, 1)->tally, 100);
	put(&b, 1, "b", 7, false);
	tally_add(b.e, &container_of(leaver(&b), struct fake, i)->tally, 5); /* while it leaves */
	gone(leaver(&b));
	tally_add(b.e, &running(&b, 1)->tally, 10);
	assert_true(engine_get(b.e, 1, &s));
	assert_int_equal(s.traffic.down, 115);
	put(&b, 1, "c", 8, false);
	gone(leaver(&b));
	tally_add(b.e, &running(&b, 1)->tally, 1);
	assert_true(engine_get(b.e, 1, &s));
	assert_int_equal(s.traffic.down, 1);
	engine_settle(b.e);
	assert_int_equal(b.settled, 115);
	close_bed(&b);
	assert_int_equal(b.settled, 116);
}

static void a_total_that_falls_is_a_restart(void **state)
{
	struct traffic t;
	struct fake *f;
	struct bed b;

	open_bed(&b);
	put(&b, 1, "a", 0, false);
	f = running(&b, 1);
	tally_total(b.e, &f->tally, 100);
	tally_total(b.e, &f->tally, 100);
	tally_total(b.e, &f->tally, 30);
	tally_restart(&f->tally); /* seen to end: what follows is all new, however large */
	tally_total(b.e, &f->tally, 40);
	tally_traffic(b.e, &f->tally, &t);
	assert_int_equal(t.down, 170);
	close_bed(&b);
}

static void removed_and_put_again_at_once_it_waits_for_the_old_one(void **state)
{
	struct engine_server s;
	struct bed b;

	open_bed(&b);
	put(&b, 1, "a", 1, false);
	engine_remove(b.e, 1, answered, &b);
	assert_int_equal(b.answers, 2);
	assert_false(engine_get(b.e, 1, &s));
	put(&b, 1, "a", 2, false);
	assert_int_equal(b.answers, 2);
	gone(leaver(&b));
	assert_int_equal(b.answers, 3);
	assert_int_equal(b.err, 0);
	assert_true(engine_get(b.e, 1, &s));
	assert_int_equal(s.generation, 2);
	close_bed(&b);
}

/* Random calls against what a plain table says: never two on one port, every call answered once, the
 * list as it should be, and no byte lost.
 */
static void whatever_is_asked_in_whatever_order(void **state)
{
	enum { PORTS = 6 };
	static const char *const secrets[] = {"a", "b", "c"};
	unsigned seed = 1;
	uint64_t moved = 0;
	int asked = 0;
	struct bed b;

	open_bed(&b);
	will.beside = true;
	for (int step = 0; step < 20000; step++) {
		unsigned r = (unsigned)rand_r(&seed);
		uint16_t port = (uint16_t)(1 + r / 64 % PORTS);
		struct fake *f = running(&b, port);
		struct instance *l = leaver(&b);

		will.gone_at_once = r / 65536 % 4 == 0;
		will.start = r / 4096 % 3 == 0 ? -EADDRINUSE : r / 4096 % 3 == 1 ? -EINPROGRESS : 0;
		switch (r % 8) {
		case 0:
		case 1:
		case 2:
			if (will.start == -EINPROGRESS)
				will.beside = false;
			put(&b, port, secrets[r / 512 % 3], r / 2048 % 2, r / 1024 % 2);
			will.beside = true;
			asked++;
			break;
		case 3:
			engine_remove(b.e, port, answered, &b);
			asked++;
			break;
		case 4:
			if (l)
				engine_gone(l);
			break;
		case 5:
			if (f && f->starting) {
				f->starting = false;
				engine_started(&f->i, r / 512 % 2 ? 0 : -EIO, "no");
			} else if (f && r / 512 % 8 == 0) {
				engine_lost(&f->i, -ENOMEM, NULL);
			}
			break;
		case 6:
			if (f) {
				tally_add(b.e, &f->tally, r % 1000);
				moved += r % 1000;
			}
			break;
		case 7:
			pass(&b, (int)(r / 512 % 8));
			break;
		}
		assert_true(b.answers <= asked);
		for (struct engine_server s = {0};
		     engine_next(b.e, s.profile ? s.profile->port : 0, &s);)
			assert_true(s.profile->port >= 1 && s.profile->port <= PORTS);
	}
	while (leaver(&b))
		engine_gone(leaver(&b));
	for (uint16_t port = 1; port <= PORTS; port++) {
		engine_remove(b.e, port, answered, &b);
		asked++;
	}
	while (leaver(&b))
		engine_gone(leaver(&b));
	assert_int_equal(b.answers, asked);
	assert_int_equal(engine_count(b.e), 0);
	assert_int_equal(b.e->n, 0);
	engine_settle(b.e);
	assert_int_equal(b.settled, moved);
	close_bed(&b);
}

/* A process that is to end tells its last count first, however little time connections have. */
static void to_end_connections_hurries_no_process(void **state)
{
	struct bed b;

	open_bed(&b);
	put(&b, 1, "a", 1, true);
	engine_stop(b.e, 10 * NSEC_SEC, note_stopped, &b);
	assert_int_equal(will.stops, 1);
	engine_hasten(b.e);
	assert_int_equal(will.stops, 1);
	engine_stop(b.e, 0, note_stopped, &b);
	assert_int_equal(will.stops, 2);
	close_bed(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_again_changes_nothing_and_keeps_its_generation),
		cmocka_unit_test(a_server_that_cannot_be_started_leaves_nothing_behind),
		cmocka_unit_test(one_that_is_wanted_whatever_comes_is_tried_again),
		cmocka_unit_test(it_is_tried_again_as_often_as_was_said),
		cmocka_unit_test(one_that_is_lost_is_stopped_and_tried_again_later),
		cmocka_unit_test(one_that_is_lost_and_put_again_runs_as_soon_as_it_has_gone),
		cmocka_unit_test(a_replacement_that_fails_brings_the_old_one_back),
		cmocka_unit_test(counts_go_on_over_a_replacement_and_begin_anew_with_a_generation),
		cmocka_unit_test(a_total_that_falls_is_a_restart),
		cmocka_unit_test(removed_and_put_again_at_once_it_waits_for_the_old_one),
		cmocka_unit_test(whatever_is_asked_in_whatever_order),
		cmocka_unit_test(to_end_connections_hurries_no_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
