/* Ports inside this process: whose worker has no memory for the socket, whose number is taken. */
#include "unit.h"

#include <dlfcn.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "manager/engine.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWN_CALLOC 0 /* a sanitizer brings its own */
#else
#define OWN_CALLOC 1
#endif

static _Thread_local bool is_control;
static atomic_int left; /* calls on the worker until one fails; 0: none will */

#if OWN_CALLOC
static void *(*next_calloc)(size_t, size_t);

void *calloc(size_t n, size_t size)
{
	if (!next_calloc)
		*(void **)&next_calloc = dlsym(RTLD_NEXT, "calloc");
	if (!is_control && atomic_load(&left) > 0 && atomic_fetch_sub(&left, 1) == 1)
		return NULL;
	return next_calloc(n, size);
}
#endif

static int udp_taken; /* so many UDP sockets more cannot be bound */

int bind(int fd, const struct sockaddr *at, socklen_t len)
{
	int type = 0;
	socklen_t size = sizeof(type);

	getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
	if (type == SOCK_DGRAM && udp_taken > 0) {
		udp_taken--;
		errno = EADDRINUSE;
		return -1;
	}
	return (int)syscall(SYS_bind, fd, at, len);
}

struct bed {
	struct loop *control;
	struct counters *counters;
	struct workers workers;
	struct engine *e;
	int err, answers, downs, ups, stopped;
};

static void answered(void *arg, int err, const char *why)
{
	assert_int_equal(err, 0);
	((struct bed *)arg)->answers++;
}

static void refused(void *arg, int err, const char *why)
{
	((struct bed *)arg)->err = err;
}

static void on_event(void *arg, uint16_t port, enum engine_event what, const char *why)
{
	struct bed *b = arg;

	b->downs += what == ENGINE_DOWN;
	b->ups += what == ENGINE_UP;
}

static void note_stopped(void *arg)
{
	((struct bed *)arg)->stopped++;
}

static void open_bed(struct bed *b)
{
	static const uint8_t epoch[COUNTERS_EPOCH_LEN];
	struct engine_conf conf;
	char why[PROFILE_WHY_MAX];

	log_set_level(LOG_NONE);
	*b = (struct bed){0};
	b->control = loop_new(LOOP_VIRTUAL, 1);
	assert_int_equal(counters_create(NULL, epoch, 2, &b->counters), 0);
	assert_int_equal(workers_start(&b->workers, b->control, 1, b->counters), 0);
	conf = (struct engine_conf){.loop = b->control,
				    .workers = &b->workers,
				    .counters = b->counters,
				    .event = on_event,
				    .event_arg = b};
	assert_int_equal(engine_new("builtin", &conf, &b->e, why), 0);
}

/* The clock stands still, but for `step`; the worker takes its real time. */
static void wait_for(struct bed *b, const int *what, int n, nsec_t step)
{
	for (int i = 0; i < 5000 && *what < n; i++) {
		loop_turn(b->control, step);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	assert_int_equal(*what, n);
}

static void close_bed(struct bed *b)
{
	engine_stop(b->e, 0, note_stopped, b);
	wait_for(b, &b->stopped, 1, 20 * NSEC_MS);
	engine_free(b->e);
	workers_stop(&b->workers);
	loop_turn(b->control, 0);
	counters_free(b->counters);
	loop_free(b->control);
}

static uint16_t free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	close(fd);
	return ntohs(a.sin_port);
}

static bool has_udp(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	bool taken = bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0;

	close(fd);
	return taken;
}

static void a_port_without_its_socket_is_not_said_to_run_and_comes_again(void **state)
{
	const struct profile p = {.port = free_port(),
				  .password = "a password",
				  .method = "aes-128-gcm",
				  .mode = PROFILE_BOTH};
	struct engine_server s;
	struct bed b;

	if (!OWN_CALLOC)
		skip();
	is_control = true;
	open_bed(&b);
	loop_turn(b.control, 0);
	atomic_store(&left, 1);
	engine_put(b.e, &(struct engine_put){.profile = &p}, answered, &b);
	wait_for(&b, &b.downs, 1, 0);
	assert_int_equal(atomic_load(&left), 0);
	assert_int_equal(b.answers, 1);
	assert_true(engine_get(b.e, p.port, &s));
	assert_int_equal(s.state, ENGINE_WAITING);
	assert_int_equal(s.err, -ENOMEM);
	wait_for(&b, &b.ups, 1, NSEC_SEC);
	assert_true(engine_get(b.e, p.port, &s));
	assert_int_equal(s.state, ENGINE_RUNNING);
	assert_true(has_udp(p.port));
	close_bed(&b);
	assert_false(has_udp(p.port));
}

static void between_us_and_a_plugin_any_number_will_do_that_is_free_for_both(void **state)
{
	const struct profile p = {.port = free_port(),
				  .password = "a password",
				  .method = "aes-128-gcm",
				  .mode = PROFILE_BOTH,
				  .plugin = "/no/such/plugin",
				  .plugin_mode = PROFILE_BOTH};
	struct bed b;

	is_control = true;
	open_bed(&b);
	udp_taken = 19;
	engine_put(b.e, &(struct engine_put){.profile = &p}, refused, &b);
	assert_int_equal(udp_taken, 0);
	assert_int_equal(b.err, -ERR_CONFIG); /* as far as to the plugin */
	udp_taken = 1000;
	engine_put(b.e, &(struct engine_put){.profile = &p}, refused, &b);
	assert_int_equal(udp_taken, 980);
	assert_int_equal(b.err, -EADDRINUSE);
	udp_taken = 0;
	close_bed(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_port_without_its_socket_is_not_said_to_run_and_comes_again),
		cmocka_unit_test(between_us_and_a_plugin_any_number_will_do_that_is_free_for_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
