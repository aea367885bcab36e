/* The driver of ssserver over a stand-in: this program itself, started again with ssserver's options.
 * Passwords tell it what to do, a clock that runs ahead makes half minutes short.
 */
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "manager/endpoint.h"
#include "manager/engine_impl.h"

/* ---- time -------------------------------------------------------------------------------- */

static nsec_t ahead;

/* In libc's place. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
	int result = (int)syscall(SYS_clock_gettime, id, ts);
	nsec_t t = ts->tv_sec * NSEC_SEC + ts->tv_nsec + (id == CLOCK_MONOTONIC ? ahead : 0);

	ts->tv_sec = t / NSEC_SEC;
	ts->tv_nsec = t % NSEC_SEC;
	return result;
}

/* ---- the stand-in ------------------------------------------------------------------------ */

static void note(const char *dir, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/log", dir);
	f = fopen(path, "a");
	fprintf(f, "%s\n", text);
	fclose(f);
}

static void obey(const char *dir, char *text, char answer[8])
{
	char mute[128];

	snprintf(mute, sizeof(mute), "%s/mute", dir);
	snprintf(answer, 8, strncmp(text, "ping", 4) == 0 ? "pong" : "ok");
	if (strncmp(text, "add:", 4) != 0)
		return;
	note(dir, text);
	if (strstr(text, "\"die\""))
		_exit(1);
	if (strstr(text, "\"hang\""))
		raise(SIGSTOP);
	if (access(mute, F_OK) == 0)
		*answer = '\0';
}

/* What a port has moved that was removed: told once, some time later. */
static void report_later(int fd, const struct sockaddr_un *to, const char *dir)
{
	static const char text[] = "stat: {\"1\":1000}";

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){0}, sizeof(struct timeval));
	note(dir, "report");
	sendto(fd, text, sizeof(text) - 1, 0, (const struct sockaddr *)to, sizeof(*to));
}

static int stand_in(const char *path)
{
	const struct timeval later = {.tv_usec = 500000};
	struct sockaddr_un at = {.sun_family = AF_UNIX}, from, client = {0};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	char *dir = strndup(path, (size_t)(strrchr(path, '/') - path));
	char text[2048], answer[8];
	bool slow = false;

	snprintf(text, sizeof(text), "start %d", getpid());
	note(dir, text);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return 1;
	for (;;) {
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, text, sizeof(text) - 1, 0, (struct sockaddr *)&from, &len);

		if (n < 0 && errno == EAGAIN) {
			report_later(fd, &client, dir);
			continue;
		}
		if (n < 0)
			return 1;
		client = from;
		text[n] = '\0';
		obey(dir, text, answer);
		if (strstr(text, "\"slow\""))
			slow = true;
		if (slow && strncmp(text, "remove: {\"server_port\":1}", 25) == 0)
			setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &later, sizeof(later));
		if (*answer)
			sendto(fd, answer, strlen(answer), 0, (struct sockaddr *)&from, len);
	}
}

/* ---- the engine over it ------------------------------------------------------------------ */

struct bed {
	struct loop *loop;
	struct counters *counters;
	struct engine *e;
	char dir[32];
	int err, answers, stopped;
};

static void open_bed(struct bed *b)
{
	static const uint8_t epoch[COUNTERS_EPOCH_LEN];
	char why[PROFILE_WHY_MAX];
	struct engine_conf conf;

	log_set_level(LOG_NONE);
	*b = (struct bed){.dir = "/tmp/weir-python-XXXXXX"};
	assert_non_null(mkdtemp(b->dir));
	b->loop = loop_new(LOOP_EPOLL, 0);
	loop_turn(b->loop, NSEC_MS); /* for its clock */
	assert_int_equal(counters_create(NULL, epoch, 2, &b->counters), 0);
	conf = (struct engine_conf){.loop = b->loop,
				    .counters = b->counters,
				    .program = "/proc/self/exe",
				    .run_dir = b->dir};
	assert_int_equal(engine_new("python", &conf, &b->e, why), 0);
}

/* Ten times as fast as it is; false: not within `seconds`. */
static bool happens_within(struct bed *b, double seconds, bool (*met)(struct bed *b, int n), int n)
{
	nsec_t end = loop_now(b->loop) + (nsec_t)(seconds * NSEC_SEC);

	while (!met(b, n)) {
		if (loop_now(b->loop) > end)
			return false;
		ahead += 90 * NSEC_MS;
		usleep(10000);
		loop_turn(b->loop, 0);
	}
	return true;
}

/* What is to come: a slow machine has longer. */
static bool turn_until(struct bed *b, int seconds, bool (*met)(struct bed *b, int n), int n)
{
	return happens_within(b, seconds * unit_slow(), met, n);
}

static bool answered_times(struct bed *b, int n)
{
	return b->answers >= n;
}

static bool has_stopped(struct bed *b, int n)
{
	return b->stopped == n;
}

static bool in_state(struct bed *b, int port, enum engine_state state)
{
	struct engine_server s;

	return engine_get(b->e, (uint16_t)port, &s) && s.state == state;
}

static bool runs(struct bed *b, int port)
{
	return in_state(b, port, ENGINE_RUNNING);
}

static bool waits(struct bed *b, int port)
{
	return in_state(b, port, ENGINE_WAITING);
}

static bool given_up(struct bed *b, int port)
{
	return in_state(b, port, ENGINE_FAILED);
}

/* How many lines of the stand-ins begin with `word`, and the number behind it in the last one. */
static int noted(const struct bed *b, const char *word, int *last)
{
	char path[128], line[2048];
	int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/log", b->dir);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, word, strlen(word)) != 0)
			continue;
		n++;
		if (last)
			*last = atoi(line + strlen(word));
	}
	if (f)
		fclose(f);
	return n;
}

static int starts(const struct bed *b)
{
	return noted(b, "start ", NULL);
}

static bool adds_sent(struct bed *b, int n)
{
	return noted(b, "add:", NULL) >= n;
}

static void send_signal(const struct bed *b, int signo)
{
	int pid = 0;

	assert_true(noted(b, "start ", &pid) > 0);
	assert_int_equal(kill(pid, signo), 0);
}

static void answered(void *arg, int err, const char *why)
{
	struct bed *b = arg;

	b->err = err;
	b->answers++;
}

static void put(struct bed *b, int port, const char *password)
{
	const struct profile p = {.port = (uint16_t)port,
				  .password = password,
				  .method = "aes-256-gcm",
				  .extra = "{}"};

	engine_put(b->e, &(struct engine_put){.profile = &p, .keep = true}, answered, b);
}

static void remove_port(struct bed *b, int port)
{
	engine_remove(b->e, (uint16_t)port, answered, b);
}

static void note_stopped(void *arg)
{
	((struct bed *)arg)->stopped++;
}

static void free_bed(struct bed *b)
{
	static const char *const names[] = {"log", "mute", "client.sock", "server.sock"};
	char path[128];

	engine_free(b->e);
	counters_free(b->counters);
	loop_free(b->loop);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", b->dir, names[i]);
		unlink(path);
	}
	rmdir(b->dir);
}

static void close_bed(struct bed *b)
{
	engine_stop(b->e, 0, note_stopped, b);
	assert_true(turn_until(b, 30, has_stopped, 1));
	free_bed(b);
}

static void open_with_two(struct bed *b)
{
	open_bed(b);
	put(b, 1, "a");
	put(b, 2, "b");
	assert_true(turn_until(b, 60, answered_times, 2));
	assert_int_equal(b->err, 0);
}

/* ---- a process that hangs ---------------------------------------------------------------- */

static void one_that_hangs_is_killed_and_its_ports_come_back(void **state)
{
	struct bed b;

	open_with_two(&b);
	send_signal(&b, SIGSTOP);
	put(&b, 3, "c");
	assert_true(turn_until(&b, 15, answered_times, 3));
	assert_int_equal(b.err, -ETIMEDOUT);
	put(&b, 4, "d"); /* no command of this one ever leaves */
	assert_true(turn_until(&b, 30, answered_times, 4));
	assert_int_equal(b.err, -ETIMEDOUT);
	assert_true(turn_until(&b, 10, waits, 1));
	for (int port = 1; port <= 4; port++)
		assert_true(turn_until(&b, 90, runs, port));
	assert_int_equal(starts(&b), 2);
	close_bed(&b);
}

static void the_end_does_not_wait_for_one_that_hangs(void **state)
{
	struct bed b;

	open_with_two(&b);
	send_signal(&b, SIGSTOP);
	engine_stop(b.e, 0, note_stopped, &b);
	assert_true(turn_until(&b, 20, has_stopped, 1));
	free_bed(&b);
}

static void to_stop_for_the_second_time_is_to_hurry(void **state)
{
	struct bed b;

	open_with_two(&b);
	send_signal(&b, SIGSTOP);
	engine_stop(b.e, 0, note_stopped, &b);
	assert_false(happens_within(&b, 2, has_stopped, 1));
	engine_stop(b.e, 0, note_stopped, &b);
	assert_true(turn_until(&b, 7, has_stopped, 1));
	free_bed(&b);
}

/* ---- its last report ------------------------------------------------------------------------- */

static void the_end_waits_for_what_a_port_moved_that_was_just_removed(void **state)
{
	struct bed b;

	open_bed(&b);
	put(&b, 1, "slow");
	assert_true(turn_until(&b, 60, answered_times, 1));
	remove_port(&b, 1);
	assert_true(turn_until(&b, 5, answered_times, 2));
	assert_int_equal(noted(&b, "report", NULL), 0);
	engine_stop(b.e, 0, note_stopped, &b);
	assert_true(turn_until(&b, 30, has_stopped, 1));
	assert_int_equal(noted(&b, "report", NULL), 1);
	free_bed(&b);
}

static void the_end_does_not_wait_when_that_has_come(void **state)
{
	struct bed b;

	open_bed(&b);
	put(&b, 1, "slow");
	assert_true(turn_until(&b, 60, answered_times, 1));
	remove_port(&b, 1);
	assert_false(happens_within(&b, 8, has_stopped, 1)); /* its report comes meanwhile */
	assert_int_equal(noted(&b, "report", NULL), 1);
	engine_stop(b.e, 0, note_stopped, &b);
	assert_true(turn_until(&b, 2, has_stopped, 1));
	free_bed(&b);
}

/* ---- a profile that it dies over ------------------------------------------------------------ */

static void who_is_deadly_is_given_up_and_the_others_are_served(void **state)
{
	static const char *const deadly[] = {"die", "hang"};

	for (size_t i = 0; i < ARRAY_LEN(deadly); i++) {
		struct bed b;
		int n;

		open_bed(&b);
		put(&b, 1, deadly[i]);
		put(&b, 2, "b");
		assert_true(turn_until(&b, 90, runs, 2));
		assert_true(turn_until(&b, 90, given_up, 1));
		assert_true(turn_until(&b, 90, waits, 2));
		assert_true(turn_until(&b, 90, runs, 2));
		n = starts(&b);
		assert_int_equal(n, 3);
		assert_false(happens_within(&b, 40, waits, 2));
		assert_int_equal(starts(&b), n);
		assert_true(given_up(&b, 1));
		put(&b, 1, "a"); /* mended */
		assert_true(turn_until(&b, 15, runs, 1));
		close_bed(&b);
	}
}

static void who_was_being_added_when_it_was_killed_is_added_again(void **state)
{
	char path[64];
	struct bed b;
	int fd, n;

	open_with_two(&b);
	snprintf(path, sizeof(path), "%s/mute", b.dir);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	n = noted(&b, "add:", NULL);
	send_signal(&b, SIGKILL);
	assert_true(turn_until(&b, 60, adds_sent, n + 1));
	assert_int_equal(starts(&b), 2);
	unlink(path);
	send_signal(&b, SIGKILL);
	assert_true(turn_until(&b, 90, adds_sent, n + 3));
	assert_true(turn_until(&b, 10, runs, 1));
	assert_true(turn_until(&b, 10, runs, 2));
	assert_int_equal(starts(&b), 3);
	close_bed(&b);
}

/* ---- whoever is told may remove ------------------------------------------------------------- */

struct pusher {
	struct bed *bed;
	int goes; /* the port that is removed when the answer comes */
	int err;
};

static void removes_another(void *arg, int err, const char *why)
{
	struct pusher *p = arg;

	p->err = err;
	p->bed->answers++;
	remove_port(p->bed, p->goes);
}

/* Not to be tried again. */
static void put_once(struct pusher *p, int port, const char *password)
{
	const struct profile once = {.port = (uint16_t)port,
				     .password = password,
				     .method = "aes-256-gcm",
				     .extra = "{}"};

	engine_put(p->bed->e, &(struct engine_put){.profile = &once}, removes_another, p);
}

static bool is_there(struct bed *b, int port)
{
	struct engine_server s;

	return engine_get(b->e, (uint16_t)port, &s);
}

static void an_answer_that_patience_is_over_may_remove_the_next(void **state)
{
	struct pusher p;
	struct bed b;

	open_with_two(&b);
	p = (struct pusher){.bed = &b, .goes = 4};
	send_signal(&b, SIGKILL);
	assert_true(turn_until(&b, 10, waits, 1));
	put_once(&p, 3, "c");
	put(&b, 4, "d");
	put(&b, 5, "e");
	assert_true(turn_until(&b, 20, answered_times, 2 + 4)); /* the removal has one of its own */
	assert_int_equal(p.err, -ETIMEDOUT);
	assert_int_equal(b.e->nlive, 2);
	assert_false(is_there(&b, 3));
	assert_false(is_there(&b, 4));
	assert_true(turn_until(&b, 60, runs, 1));
	assert_true(turn_until(&b, 60, runs, 2));
	assert_true(turn_until(&b, 60, runs, 5));
	assert_int_equal(b.e->nlive, 3);
	close_bed(&b);
}

/* In its own time: no patience ends meanwhile. */
static void turn_slowly(struct bed *b, int answers)
{
	nsec_t end = loop_now(b->loop) + (nsec_t)(30 * unit_slow() * NSEC_SEC);

	while (b->answers < answers && loop_now(b->loop) < end)
		loop_turn(b->loop, NSEC_MS);
	assert_int_equal(b->answers, answers);
}

static void an_answer_that_a_port_is_deadly_may_remove_the_next(void **state)
{
	struct pusher p;
	struct bed b;

	open_bed(&b);
	p = (struct pusher){.bed = &b, .goes = 3};
	put_once(&p, 1, "die");
	assert_true(turn_until(&b, 30, answered_times, 2));
	assert_int_equal(p.err, -ETIMEDOUT);
	ahead += 31 * NSEC_SEC;
	loop_turn(b.loop, NSEC_MS); /* the next process */
	p.goes = 2;
	put_once(&p, 1, "die"); /* tried last, and stands first */
	put(&b, 2, "b");
	turn_slowly(&b, 2 + 3);
	assert_int_equal(p.err, -ERR_CONFIG);
	assert_int_equal(b.e->nlive, 0);
	assert_false(is_there(&b, 1));
	assert_false(is_there(&b, 2));
	close_bed(&b);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_hangs_is_killed_and_its_ports_come_back),
		cmocka_unit_test(the_end_does_not_wait_for_one_that_hangs),
		cmocka_unit_test(to_stop_for_the_second_time_is_to_hurry),
		cmocka_unit_test(the_end_waits_for_what_a_port_moved_that_was_just_removed),
		cmocka_unit_test(the_end_does_not_wait_when_that_has_come),
		cmocka_unit_test(who_is_deadly_is_given_up_and_the_others_are_served),
		cmocka_unit_test(who_was_being_added_when_it_was_killed_is_added_again),
		cmocka_unit_test(an_answer_that_patience_is_over_may_remove_the_next),
		cmocka_unit_test(an_answer_that_a_port_is_deadly_may_remove_the_next),
	};

	if (argc > 2 && !strcmp(argv[1], "--manager-address"))
		return stand_in(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
