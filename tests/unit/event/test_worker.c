#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "event/child.h"
#include "event/signals.h"
#include "event/worker.h"

struct job {
	struct worker w;
	pthread_t setup_on, teardown_on;
	int err;
	atomic_int done;
};

static int set_up(struct worker *w, void *arg)
{
	struct job *j = arg;

	j->setup_on = pthread_self();
	return j->err;
}

static void tear_down(struct worker *w, void *arg)
{
	struct job *j = arg;

	j->teardown_on = pthread_self();
}

static const struct worker_ops ops = {set_up, tear_down};

struct mail {
	struct message m;
	struct job *job;
};

static void run_mail(struct message *m)
{
	struct mail *mail = container_of(m, struct mail, m);

	atomic_fetch_add(&mail->job->done, 1);
	free(mail);
}

static void a_worker_sets_up_runs_messages_and_tears_down_on_its_thread(void **state)
{
	struct job j = {0};
	pthread_t thread;

	assert_int_equal(worker_start(&j.w, "worker-with-a-long-name", &ops, &j), 0);
	thread = j.w.thread;
	assert_true(pthread_equal(j.setup_on, thread));
	assert_false(pthread_equal(thread, pthread_self()));
	for (int i = 0; i < 1000; i++) {
		struct mail *mail = malloc(sizeof(*mail));

		*mail = (struct mail){.m.run = run_mail, .job = &j};
		loop_post(j.w.loop, &mail->m);
	}
	worker_stop(&j.w); /* what is still in the mailbox runs too */
	assert_int_equal(j.done, 1000);
	assert_true(pthread_equal(j.teardown_on, thread));
	worker_stop(&j.w);
}

static void a_worker_whose_setup_fails_does_not_exist(void **state)
{
	struct job j = {.err = -EADDRINUSE};

	assert_int_equal(worker_start(&j.w, "w", &ops, &j), -EADDRINUSE);
	assert_null(j.w.loop);
	worker_stop(&j.w);
}

static int last_signal, signal_count;

static void on_signal(struct signals *s, int signo)
{
	last_signal = signo;
	signal_count++;
	if (signo == SIGUSR2)
		signals_close(s);
}

static void signals_become_events(void **state)
{
	static const int list[] = {SIGHUP, SIGUSR2, 0};
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct signals s;

	signals_block(list);
	assert_int_equal(signals_open(&s, l, list, on_signal), 0);
	kill(getpid(), SIGHUP);
	assert_int_equal(loop_turn(l, NSEC_SEC), 1);
	assert_int_equal(last_signal, SIGHUP);
	kill(getpid(), SIGUSR2);
	assert_int_equal(loop_turn(l, NSEC_SEC), 1);
	assert_int_equal(last_signal, SIGUSR2);
	signals_close(&s);
	kill(getpid(), SIGHUP); /* blocked, and nobody listens */
	assert_int_equal(loop_turn(l, 0), 0);
	assert_int_equal(signal_count, 2);
	loop_free(l);
}

struct kid {
	struct child c;
	int exits, status;
};

static void on_exit_of(struct child *c, int status)
{
	struct kid *k = container_of(c, struct kid, c);

	k->exits++;
	k->status = status;
}

static int run_child(struct kid *k, struct loop *l, const char *const *argv,
		     struct child_spec *spec)
{
	*k = (struct kid){0};
	child_init(&k->c, l, on_exit_of);
	spec->argv = argv;
	return child_start(&k->c, spec);
}

static void wait_child(struct kid *k, struct loop *l)
{
	for (int i = 0; i < 100 && !k->exits; i++)
		loop_turn(l, 100 * NSEC_MS);
	assert_int_equal(k->exits, 1);
	assert_int_equal(k->c.pid, 0);
}

static const struct child_spec quiet = {.fd_in = -1, .fd_out = -1, .fd_err = -1};

static void a_child_s_end_is_an_event_with_its_status(void **state)
{
	static const char *const argv[] = {"sh", "-c", "exit 3", NULL};
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct child_spec spec = quiet;
	struct kid k;

	assert_int_equal(run_child(&k, l, argv, &spec), 0);
	wait_child(&k, l);
	assert_true(WIFEXITED(k.status));
	assert_int_equal(WEXITSTATUS(k.status), 3);
	child_done(&k.c);
	loop_free(l);
}

static void a_program_that_is_not_there_is_an_error_at_once(void **state)
{
	static const char *const argv[] = {"/nonexistent/program", NULL};
	static const char *const sh[] = {"sh", NULL};
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct child_spec spec = quiet;
	struct kid k;

	assert_int_equal(run_child(&k, l, argv, &spec), -ENOENT);
	spec.dir = "/nonexistent";
	assert_int_equal(run_child(&k, l, sh, &spec), -ENOENT);
	assert_int_equal(k.c.pid, 0);
	loop_free(l);
}

static void a_child_gets_its_environment_its_files_and_no_others(void **state)
{
	static const char *const argv[] = {
		"sh", "-c", "echo \"$A $B $HOME\"; pwd; echo err >&2; ls /proc/self/fd | wc -l",
		NULL};
	static const char *const env[] = {"A=one", "HOME=/nowhere", NULL};
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct child_spec spec = quiet;
	char text[256];
	struct kid k;
	int out[2], leak = dup(0);
	ssize_t n;

	setenv("B", "two", 1);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	spec.fd_out = spec.fd_err = out[1];
	spec.env = env;
	spec.dir = "/";
	assert_int_equal(run_child(&k, l, argv, &spec), 0);
	wait_child(&k, l);
	n = read(out[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	/* 0, 1, 2, and the directory that ls has open */
	assert_string_equal(text, "one two /nowhere\n/\nerr\n4\n");
	close(out[0]);
	close(out[1]);
	close(leak);
	loop_free(l);
}

static void a_child_that_ignores_the_polite_signal_is_killed_after_its_grace(void **state)
{
	static const char *const argv[] = {"sh", "-c",
					   "trap '' TERM; echo ready; sleep 60 & wait; wait", NULL};
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct child_spec spec = quiet;
	struct kid k;
	char byte;
	int out[2];

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	spec.fd_out = out[1];
	assert_int_equal(run_child(&k, l, argv, &spec), 0);
	close(out[1]);
	assert_int_equal(read(out[0], &byte, 1), 1);
	child_stop(&k.c, 50 * NSEC_MS);
	wait_child(&k, l);
	assert_true(WIFSIGNALED(k.status));
	assert_int_equal(WTERMSIG(k.status), SIGKILL);
	/* The sleeping helper held the pipe: its end is the end of the whole group. */
	while (read(out[0], &byte, 1) > 0)
		;
	close(out[0]);
	loop_free(l);
}

static void an_owner_that_ends_takes_its_child_along(void **state)
{
	static const char *const argv[] = {"sleep", "60", NULL};
	struct loop *l = loop_new(LOOP_EPOLL, 0);
	struct child_spec spec = quiet;
	struct kid k;
	pid_t pid;

	assert_int_equal(run_child(&k, l, argv, &spec), 0);
	pid = k.c.pid;
	child_done(&k.c);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(loop_turn(l, 0), 0);
	assert_int_equal(k.exits, 0);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_worker_sets_up_runs_messages_and_tears_down_on_its_thread),
		cmocka_unit_test(a_worker_whose_setup_fails_does_not_exist),
		cmocka_unit_test(signals_become_events),
		cmocka_unit_test(a_child_s_end_is_an_event_with_its_status),
		cmocka_unit_test(a_program_that_is_not_there_is_an_error_at_once),
		cmocka_unit_test(a_child_gets_its_environment_its_files_and_no_others),
		cmocka_unit_test(a_child_that_ignores_the_polite_signal_is_killed_after_its_grace),
		cmocka_unit_test(an_owner_that_ends_takes_its_child_along),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
