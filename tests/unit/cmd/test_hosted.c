/* When parts start, end and are tried again: over a manager and sites that do as the test says. */
#include "unit.h"

#include <stdio.h>

#include "base/log.h"
#include "cmd/fetch.h"
#include "cmd/hosted.h"
#include "cmd/manager_host.h"

#define DRAIN	  (30 * NSEC_SEC)
#define SITES_MAX 4

/* What runs. */
struct fake {
	struct service service;
	char name[16];
	struct timer end; /* connections let go within their grace, then it reports */
};

/* Since the last look. */
static char said[1024];
static struct fake *held; /* who has the push server's port */
static bool manager_fails, manager_again;

static void say(const char *what, const char *who)
{
	size_t at = strlen(said);

	snprintf(said + at, sizeof(said) - at, "%s%s %s", at ? ", " : "", what, who);
}

static struct fake *fake_of(struct service *s)
{
	return container_of(s, struct fake, service);
}

static void on_end(struct timer *t)
{
	struct fake *f = container_of(t, struct fake, end);

	say("ended", f->name);
	f->service.stopped(f->service.stopped_arg);
}

static void end_after(struct fake *f, nsec_t time)
{
	struct loop *l = f->service.world.loop;

	timer_set(l, &f->end, loop_now(l) + time);
}

/* The push server ends at once. */
static void fake_stop(struct service *s, nsec_t grace)
{
	struct fake *f = fake_of(s);

	say("stop", f->name);
	if (held == f && strcmp(f->name, "slow") != 0)
		held = NULL;
	end_after(f, grace + NSEC_SEC);
}

static void fake_hasten(struct service *s)
{
	say("hasten", fake_of(s)->name);
	end_after(fake_of(s), NSEC_SEC);
}

static void fake_hurry(struct service *s)
{
	say("hurry", fake_of(s)->name);
}

static void fake_free(struct service *s)
{
	struct fake *f = fake_of(s);

	if (held == f)
		held = NULL;
	timer_stop(&f->end);
	free(f);
}

static const struct service_ops fake_ops = {
	.area = "fake",
	.stop = fake_stop,
	.hasten = fake_hasten,
	.hurry = fake_hurry,
	.free = fake_free,
};

static struct fake *fake_start(const struct service_world *world, const char *name,
			       struct service **out)
{
	struct fake *f = calloc(1, sizeof(*f));

	service_init(&f->service, &fake_ops, world);
	snprintf(f->name, sizeof(f->name), "%s", name);
	timer_init(&f->end, on_end);
	say("start", name);
	*out = &f->service;
	return f;
}

/* ---- in place of the real ones ----------------------------------------------------------- */

int manager_host_start(const struct service_world *world, struct manager_file *f,
		       struct service **out)
{
	manager_again = world->again;
	if (manager_fails) {
		say("fail", "Manager");
		return -EADDRINUSE;
	}
	fake_start(world, "Manager", out);
	return 0;
}

int site_conf_load(const char *file, const char *section, struct conf_report *report,
		   struct site_conf **out)
{
	return -ENOENT;
}

void site_conf_free(struct site_conf *c)
{
	free(c);
}

/* Those that push share a port; whoever has a state file may wait for another who has it. */
int site_start(const struct service_world *world, const struct site_conf *conf,
	       struct service **out)
{
	struct fake *f;

	if (conf->conf.push && held) {
		say("fail", conf->section);
		return -EADDRINUSE;
	}
	f = fake_start(world, conf->section, out);
	if (conf->conf.push)
		held = f;
	return 0;
}

int fetch_include(const char *url, char **text, size_t *len, char why[CONFIG_FETCH_WHY])
{
	return -ENOENT;
}

/* ---- configurations ---------------------------------------------------------------------- */

struct bed {
	struct loop *loop;
	struct hosted h;
	struct config config[8];
	struct json_value manager[8];
	size_t n;
	int gone;
};

static struct site_conf *site(const char *section, const char *url, bool push)
{
	struct site_conf *c = calloc(1, sizeof(*c));

	/* as if every text had been given */
	for (size_t i = 0; i < yassp_schema.count; i++) {
		const struct conf_row *row = &yassp_schema.rows[i];

		if (row->type == CONF_T_TEXT)
			*(const char **)((char *)&c->conf + row->offset) = "";
	}
	c->conf.url = url;
	c->conf.push = push;
	c->section = section;
	c->file = c->real = "/sites.cfg";
	return c;
}

/* A reload to what is there: a manager (NULL: none) and sites. */
static void apply(struct bed *b, const char *manager, struct site_conf *one, struct site_conf *two)
{
	struct config *c = &b->config[b->n];
	struct sections s = {0};

	if (manager) {
		b->manager[b->n] = (struct json_value){.type = JSON_T_OBJECT, .len = 1};
		b->manager[b->n].child = calloc(1, sizeof(struct json_value));
		*(struct json_value *)(uintptr_t)b->manager[b->n].child =
			(struct json_value){.type = JSON_T_STRING,
					    .key = "manager_address",
					    .text = manager,
					    .len = (uint32_t)strlen(manager)};
		c->manager = &b->manager[b->n];
		s.manager = calloc(1, sizeof(*s.manager));
		arena_init(&s.manager->mem, 4096);
		s.manager->endpoint.address = manager;
		s.manager->server_mode = "builtin";
	}
	s.sites = calloc(SITES_MAX, sizeof(struct site_conf *));
	if (one)
		s.sites[s.nsites++] = one;
	if (two)
		s.sites[s.nsites++] = two;
	hosted_apply(&b->h, b->n ? c - 1 : NULL, c, &s, DRAIN);
	b->n++;
}

static int set_up(void **state)
{
	struct bed *b = calloc(1, sizeof(*b));

	log_set_level(LOG_NONE);
	*said = '\0';
	held = NULL;
	manager_fails = false;
	b->loop = loop_new(LOOP_VIRTUAL, 1);
	hosted_init(&b->h, &(struct hosted_world){.loop = b->loop, .state_dir = "/nowhere"});
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bed *b = *state;

	hosted_done(&b->h);
	for (size_t i = 0; i < b->n; i++)
		free((void *)(uintptr_t)b->manager[i].child);
	loop_free(b->loop);
	free(b);
	return 0;
}

static void on_tick(struct timer *t)
{
}

/* Nobody is early here: the clock stops after so long, whatever is to come. */
static void pass(struct bed *b, nsec_t time)
{
	nsec_t end = loop_now(b->loop) + time;
	struct timer tick;

	timer_init(&tick, on_tick);
	timer_set(b->loop, &tick, end);
	while (loop_now(b->loop) < end)
		loop_turn(b->loop, -1);
	while (loop_turn(b->loop, 0) > 0)
		;
	timer_stop(&tick);
}

static void heard(const char *what)
{
	assert_string_equal(said, what);
	*said = '\0';
}

static void all_gone(void *arg)
{
	((struct bed *)arg)->gone++;
}

/* ---- tests ------------------------------------------------------------------------------- */

static void what_has_not_changed_is_not_touched(void **state)
{
	struct bed *b = *state;
	struct site_conf *other = site("a", "u", false);

	apply(b, "/m", site("a", "u", false), NULL);
	heard("start Manager, start a");
	other->conf.log_level = 10; /* which means nothing here */
	apply(b, "/m", other, NULL);
	pass(b, 60 * NSEC_SEC);
	heard("");
	apply(b, "/m", site("a", "v", false), NULL);
	pass(b, 2 * NSEC_SEC);
	heard("stop a, ended a, start a");
	apply(b, "/n", site("a", "v", false), NULL);
	pass(b, 2 * NSEC_SEC);
	heard("stop Manager, ended Manager, start Manager");
}

/* Its last report is under way: nobody takes that from it. */
static void a_second_change_does_not_hurry_the_end_of_the_first(void **state)
{
	struct bed *b = *state;

	apply(b, "/m", site("a", "u", false), NULL);
	apply(b, "/n", site("a", "v", false), NULL);
	heard("start Manager, start a, stop Manager, stop a");
	pass(b, NSEC_SEC / 2);
	apply(b, "/n", site("a", "v", false), NULL);
	apply(b, "/o", site("a", "w", false), NULL);
	hosted_stop(&b->h, 0, all_gone, b);
	heard("");
	pass(b, NSEC_SEC);
	heard("ended Manager, ended a");
	assert_int_equal(b->gone, 1);
}

static void what_drains_ends_within_the_grace_of_the_end(void **state)
{
	struct bed *b = *state;

	apply(b, "/m", site("a", "u", false), NULL);
	apply(b, NULL, NULL, NULL);
	heard("start Manager, start a, stop Manager, stop a");
	pass(b, NSEC_SEC);
	hosted_stop(&b->h, 3 * NSEC_SEC, all_gone, b);
	pass(b, 2 * NSEC_SEC);
	heard("");
	pass(b, 3 * NSEC_SEC);
	heard("hasten Manager, hasten a, ended Manager, ended a");
	assert_int_equal(b->gone, 1);
}

static void what_comes_back_while_it_drains_does_not_wait_for_that(void **state)
{
	struct bed *b = *state;

	apply(b, NULL, site("a", "u", false), NULL);
	apply(b, NULL, NULL, NULL);
	pass(b, NSEC_SEC);
	apply(b, NULL, site("a", "u", false), NULL);
	pass(b, 3 * NSEC_SEC);
	heard("start a, stop a, hasten a, ended a, start a");
}

static void who_leaves_makes_room_for_who_comes(void **state)
{
	struct bed *b = *state;

	apply(b, NULL, site("a", "u", true), NULL);
	apply(b, NULL, site("b", "u", true), NULL);
	heard("start a, stop a, start b");
}

/* And what it gives back only when it has ended is waited for no longer than that. */
static void who_waits_is_tried_when_another_has_ended(void **state)
{
	struct bed *b = *state;

	apply(b, NULL, site("slow", "u", true), NULL);
	apply(b, NULL, site("slow", "v", false), site("b", "u", true));
	heard("start slow, stop slow, fail b");
	pass(b, 2 * NSEC_SEC);
	heard("ended slow, start slow, start b");
}

static void what_cannot_start_is_tried_again_and_told_once(void **state)
{
	struct bed *b = *state;

	manager_fails = true;
	apply(b, "/m", NULL, NULL);
	assert_false(manager_again);
	pass(b, 70 * NSEC_SEC);
	heard("fail Manager, fail Manager, fail Manager");
	assert_true(manager_again);
	apply(b, "/m", NULL, NULL); /* who reloads wants to know */
	heard("fail Manager");
	assert_false(manager_again);
	manager_fails = false;
	pass(b, 31 * NSEC_SEC);
	heard("start Manager");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_has_not_changed_is_not_touched),
		TEST(a_second_change_does_not_hurry_the_end_of_the_first),
		TEST(what_drains_ends_within_the_grace_of_the_end),
		TEST(what_comes_back_while_it_drains_does_not_wait_for_that),
		TEST(who_leaves_makes_room_for_who_comes),
		TEST(who_waits_is_tried_when_another_has_ended),
		TEST(what_cannot_start_is_tried_again_and_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
