/* A plugin's life, with shell scripts for plugins. */
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "net/sock.h"
#include "plugin/plugin.h"

struct world {
	struct loop *loop;
	struct plugin *p;
	char dir[64], log[96], script[96], out[96];
	unsigned ended, ready, stopped;
	bool accepts;
	char how[PLUGIN_WHY_MAX];
};

static void on_ended(void *arg, struct plugin *p, const char *how)
{
	struct world *w = arg;

	w->ended++;
	snprintf(w->how, sizeof(w->how), "%s", how);
}

static void on_ready(void *arg, struct plugin *p, bool accepts)
{
	struct world *w = arg;

	w->ready++;
	w->accepts = accepts;
}

static void on_stopped(void *arg, struct plugin *p)
{
	((struct world *)arg)->stopped++;
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	snprintf(w->dir, sizeof(w->dir), "/tmp/weir-plugin-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->log, sizeof(w->log), "%s/log", w->dir);
	snprintf(w->script, sizeof(w->script), "%s/a-plugin", w->dir);
	snprintf(w->out, sizeof(w->out), "%s/out", w->dir);
	assert_int_equal(log_open(&(struct log_conf){.level = LOG_DEBUG, .path = w->log}), 0);
	w->loop = loop_new(LOOP_EPOLL, 0);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	plugin_free(w->p);
	loop_free(w->loop);
	log_close();
	unlink(w->log);
	unlink(w->script);
	unlink(w->out);
	rmdir(w->dir);
	free(w);
	return 0;
}

static void write_script(struct world *w, const char *body, mode_t mode)
{
	int fd = open(w->script, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);

	assert_true(fd >= 0);
	assert_true(dprintf(fd, "#!/bin/sh\nout=%s\n%s\n", w->out, body) > 0);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static struct plugin_spec spec_of(struct world *w)
{
	return (struct plugin_spec){
		.tag = "8388",
		.name = w->script,
		.options = "",
		.remote_host = "0.0.0.0|::",
		.remote_port = 8388,
		.local_host = "127.0.0.1",
		.local_port = 40001,
		.no_probe = true,
	};
}

static int start(struct world *w, const struct plugin_spec *s)
{
	const struct plugin_hooks hooks = {.arg = w, .ended = on_ended, .ready = on_ready};
	char why[PLUGIN_WHY_MAX] = "";
	int err = plugin_start(w->loop, s, &hooks, &w->p, why);

	assert_true(!err == !*why);
	return err;
}

/* Turns until *what >= n, or for so long. */
static bool wait_for(struct world *w, const unsigned *what, unsigned n, nsec_t patience)
{
	nsec_t until = loop_now(w->loop) + (nsec_t)((double)patience * unit_slow());

	while (*what < n && loop_now(w->loop) < until)
		loop_turn(w->loop, 10 * NSEC_MS);
	return *what >= n;
}

static char *text_of(const char *path)
{
	static char text[64 * 1024];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static bool wait_text(struct world *w, const char *path, const char *part)
{
	nsec_t until = loop_now(w->loop) + (nsec_t)(5 * NSEC_SEC * unit_slow());

	while (!strstr(text_of(path), part)) {
		if (loop_now(w->loop) > until)
			return false;
		loop_turn(w->loop, 10 * NSEC_MS);
	}
	return true;
}

static void the_variables_say_where_to_listen_and_connect(void **state)
{
	struct world *w = *state;
	struct plugin_spec s = spec_of(w);

	s.options = "a=b\\;c;server";
	setenv("SS_LOCAL_HOST", "not this", 1);
	setenv("CF_DNS_API_TOKEN", "s3cr3t", 1);
	setenv("WEIR_HARMLESS", "kept", 1);
	write_script(w, "env > $out; echo end >> $out; sleep 100", 0700);
	assert_int_equal(start(w, &s), 0);
	assert_true(wait_text(w, w->out, "end\n"));
	assert_non_null(strstr(text_of(w->out), "SS_REMOTE_HOST=0.0.0.0|::\n"));
	assert_non_null(strstr(text_of(w->out), "SS_REMOTE_PORT=8388\n"));
	assert_non_null(strstr(text_of(w->out), "SS_LOCAL_HOST=127.0.0.1\n"));
	assert_non_null(strstr(text_of(w->out), "SS_LOCAL_PORT=40001\n"));
	assert_non_null(strstr(text_of(w->out), "SS_PLUGIN_OPTIONS=a=b\\;c;server\n"));
	assert_non_null(strstr(text_of(w->out), "WEIR_HARMLESS=kept\n"));
	assert_null(strstr(text_of(w->out), "s3cr3t"));
	assert_null(strstr(text_of(w->out), "not this"));
}

static void without_options_the_variable_is_absent(void **state)
{
	struct world *w = *state;
	struct plugin_spec s = spec_of(w);

	setenv("SS_PLUGIN_OPTIONS", "of somebody else", 1);
	write_script(w, "env > $out; echo end >> $out; sleep 100", 0700);
	assert_int_equal(start(w, &s), 0);
	assert_true(wait_text(w, w->out, "end\n"));
	assert_null(strstr(text_of(w->out), "SS_PLUGIN_OPTIONS"));
	unsetenv("SS_PLUGIN_OPTIONS");
}

static void arguments_are_words_and_no_shell_reads_them(void **state)
{
	struct world *w = *state;
	const char *args[] = {"-a", "$(id) ; b", NULL};
	struct plugin_spec s = spec_of(w);

	s.args = args;
	write_script(w, "echo \"$#:$2:\" > $out; sleep 100", 0700);
	assert_int_equal(start(w, &s), 0);
	assert_true(wait_text(w, w->out, "2:$(id) ; b:\n"));
}

static void a_bare_name_is_looked_for_in_the_folders_then_in_path(void **state)
{
	struct world *w = *state;
	const char *path[] = {"/nonexistent", w->dir, NULL};
	struct plugin_spec s = spec_of(w);

	s.name = "a-plugin";
	write_script(w, "sleep 100", 0700);
	assert_int_equal(start(w, &s), -ENOENT);
	s.path = path;
	assert_int_equal(start(w, &s), 0);
	plugin_free(w->p);
	w->p = NULL;
	s.path = NULL;
	s.name = "sleep";
	s.args = (const char *const[]){"100", NULL};
	assert_int_equal(start(w, &s), 0);
	assert_int_equal(plugin_state(w->p), PLUGIN_RUNNING);
}

static void the_current_folder_is_not_searched(void **state)
{
	struct world *w = *state;
	struct plugin_spec s = spec_of(w);
	char *path = strdup(getenv("PATH"));
	char old[512];

	s.name = "a-plugin";
	write_script(w, "sleep 100", 0700);
	assert_non_null(getcwd(old, sizeof(old)));
	assert_int_equal(chdir(w->dir), 0);
	setenv("PATH", ":.:/bin", 1);
	assert_int_equal(start(w, &s), -ENOENT);
	setenv("PATH", path, 1);
	assert_int_equal(chdir(old), 0);
	free(path);
}

static void what_cannot_be_executed_is_told_at_once(void **state)
{
	struct world *w = *state;
	struct plugin_spec s = spec_of(w);

	assert_int_equal(start(w, &s), -ENOENT);
	write_script(w, "sleep 100", 0600);
	assert_int_equal(start(w, &s), -EACCES);
	s.name = "/usr/bin/obfsproxy";
	assert_int_equal(start(w, &s), -ERR_UNSUPPORTED);
	s.name = "sleep";
	s.options = "a\nb";
	assert_int_equal(start(w, &s), -ERR_MALFORMED);
}

static void an_exit_is_logged_and_the_plugin_started_again(void **state)
{
	struct world *w = *state;
	struct plugin_spec s = spec_of(w);
	nsec_t first;

	write_script(w, "echo x >> $out; exit 3", 0700);
	assert_int_equal(start(w, &s), 0);
	assert_true(wait_for(w, &w->ended, 1, 5 * NSEC_SEC));
	first = loop_now(w->loop);
	assert_string_equal(w->how, "exited with status 3");
	assert_int_equal(plugin_state(w->p), PLUGIN_RESTING);
	assert_non_null(strstr(text_of(w->log), "exited with status 3"));
	assert_true(wait_for(w, &w->ended, 2, 5 * NSEC_SEC));
	assert_true(loop_now(w->loop) - first >= NSEC_SEC);
	assert_int_equal(plugin_failures(w->p), 2);
	assert_string_equal(text_of(w->out), "x\nx\n");
}

static void even_a_clean_exit_is_a_failure(void **state)
{
	struct world *w = *state;
	struct plugin_spec s = spec_of(w);

	write_script(w, "exit 0", 0700);
	assert_int_equal(start(w, &s), 0);
	assert_true(wait_for(w, &w->ended, 1, 5 * NSEC_SEC));
	assert_string_equal(w->how, "exited with status 0");
	assert_int_equal(plugin_state(w->p), PLUGIN_RESTING);
}

static void a_signal_is_named(void **state)
{
	struct world *w = *state;
	struct plugin_spec s = spec_of(w);

	write_script(w, "kill -9 $$", 0700);
	assert_int_equal(start(w, &s), 0);
	assert_true(wait_for(w, &w->ended, 1, 5 * NSEC_SEC));
	assert_string_equal(w->how, "was killed by SIGKILL");
}

static void a_wrong_configuration_is_not_tried_again(void **state)
{
	static const int codes[] = {23, 126, 127};
	struct world *w = *state;
	struct plugin_spec s = spec_of(w);

	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		char body[32];

		snprintf(body, sizeof(body), "exit %d", codes[i]);
		write_script(w, body, 0700);
		w->ended = 0;
		assert_int_equal(start(w, &s), 0);
		assert_true(wait_for(w, &w->ended, 1, 5 * NSEC_SEC));
		assert_int_equal(plugin_state(w->p), PLUGIN_GIVEN_UP);
		plugin_free(w->p);
		w->p = NULL;
	}
}

static void a_plugin_that_vanishes_is_given_up(void **state)
{
	struct world *w = *state;
	struct plugin_spec s = spec_of(w);

	write_script(w, "rm -f $0; exit 1", 0700);
	assert_int_equal(start(w, &s), 0);
	assert_true(wait_for(w, &w->ended, 2, 5 * NSEC_SEC));
	assert_int_equal(plugin_state(w->p), PLUGIN_GIVEN_UP);
}

static void a_stop_asks_and_then_kills(void **state)
{
	struct world *w = *state;
	struct plugin_spec s = spec_of(w);
	nsec_t from;

	s.stop_timeout = 500 * NSEC_MS;
	write_script(w,
		     "trap 'echo asked > $out' TERM\necho up > $out\nwhile :; do sleep 0.1; done",
		     0700);
	assert_int_equal(start(w, &s), 0);
	assert_true(wait_text(w, w->out, "up"));
	from = loop_now(w->loop);
	plugin_stop(w->p, on_stopped, w);
	assert_int_equal(plugin_state(w->p), PLUGIN_STOPPING);
	assert_true(wait_for(w, &w->stopped, 1, 5 * NSEC_SEC));
	assert_true(loop_now(w->loop) - from >= 700 * NSEC_MS);
	assert_string_equal(text_of(w->out), "asked\n");
	assert_int_equal(plugin_state(w->p), PLUGIN_GONE);
	assert_int_equal(w->ended, 0);
}

static void a_stop_while_resting_is_over_at_once(void **state)
{
	struct world *w = *state;
	struct plugin_spec s = spec_of(w);

	write_script(w, "exit 1", 0700);
	assert_int_equal(start(w, &s), 0);
	assert_true(wait_for(w, &w->ended, 1, 5 * NSEC_SEC));
	plugin_stop(w->p, on_stopped, w);
	assert_int_equal(w->stopped, 0);
	assert_true(wait_for(w, &w->stopped, 1, NSEC_SEC));
	assert_int_equal(w->ended, 1);
}

static pid_t pid_in(const char *path)
{
	return (pid_t)strtol(text_of(path), NULL, 10);
}

static bool wait_gone(pid_t pid)
{
	for (int i = 0; i < 500 * unit_slow(); i++) {
		if (kill(pid, 0) < 0)
			return true;
		usleep(10000);
	}
	return false;
}

static void its_own_children_end_with_it(void **state)
{
	struct world *w = *state;
	struct plugin_spec s = spec_of(w);
	pid_t helper;

	write_script(w, "sleep 1000 &\necho $! > $out\nwait", 0700);
	assert_int_equal(start(w, &s), 0);
	assert_true(wait_text(w, w->out, "\n"));
	helper = pid_in(w->out);
	assert_true(helper > 0 && kill(helper, 0) == 0);
	plugin_free(w->p);
	w->p = NULL;
	/* It is nobody's child any more: init or this reaper takes it. */
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	assert_true(wait_gone(helper) || waitpid(helper, NULL, 0) == helper);
}

static void it_does_not_survive_our_being_killed(void **state)
{
	struct world *w = *state;
	struct plugin_spec s = spec_of(w);
	pid_t pid, plugin;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	write_script(w, "echo $$ > $out\nexec sleep 1000", 0700);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		w->loop = loop_new(LOOP_EPOLL, 0);
		(void)!start(w, &s);
		for (;;)
			pause();
	}
	assert_true(wait_text(w, w->out, "\n"));
	plugin = pid_in(w->out);
	assert_int_equal(kill(plugin, 0), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	for (int i = 0; i < 500 && waitpid(plugin, NULL, WNOHANG) != plugin; i++)
		usleep(10000);
	assert_true(kill(plugin, 0) < 0);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
}

static size_t count_of(const char *text, const char *part)
{
	size_t n = 0;

	for (; (text = strstr(text, part)); text++)
		n++;
	return n;
}

static void what_it_prints_is_logged_line_by_line(void **state)
{
	struct world *w = *state;
	struct plugin_spec s = spec_of(w);

	write_script(w, "echo one; printf 'two\\033[0m\\r\\n' >&2; printf three; exit 1", 0700);
	assert_int_equal(start(w, &s), 0);
	assert_true(wait_for(w, &w->ended, 1, 5 * NSEC_SEC));
	assert_non_null(strstr(text_of(w->log), "[plugin 8388] one\n"));
	assert_non_null(strstr(text_of(w->log), "[plugin 8388] two.[0m\n"));
	assert_non_null(strstr(text_of(w->log), "[plugin 8388] three\n"));
}

static void a_flood_of_lines_is_cut_and_counted(void **state)
{
	struct world *w = *state;
	struct plugin_spec s = spec_of(w);
	size_t shown;

	write_script(w,
		     "i=0; while [ $i -lt 3000 ]; do echo flood; i=$((i+1)); done; sleep 0.3\n"
		     "echo up > $out; sleep 0.5; echo last; sleep 100",
		     0700);
	assert_int_equal(start(w, &s), 0);
	assert_true(wait_text(w, w->log, "] last\n"));
	shown = count_of(text_of(w->log), "] flood\n");
	assert_true(shown >= 20 && shown < 500);
	assert_non_null(strstr(text_of(w->log), "lines were not shown"));
}

static void a_mebibyte_without_newline_is_harmless(void **state)
{
	struct world *w = *state;
	struct plugin_spec s = spec_of(w);

	write_script(w, "head -c 1048576 /dev/zero | tr '\\0' x; echo; echo up > $out; sleep 100",
		     0700);
	assert_int_equal(start(w, &s), 0);
	assert_true(wait_text(w, w->out, "up"));
}

static void whether_it_accepts_is_told(void **state)
{
	struct world *w = *state;
	struct plugin_spec s = spec_of(w);
	struct addr at = plugin_loopback(NULL, 0);
	uint16_t port;
	int fd;

	assert_int_equal(sock_new(AF_INET, SOCK_STREAM, &fd), 0);
	assert_int_equal(bind(fd, &at.sa, at.len), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(sock_local(fd, &at), 0);
	s.no_probe = false;
	s.client = true;
	s.local_port = addr_port(&at);
	write_script(w, "sleep 100", 0700);
	assert_int_equal(start(w, &s), 0);
	assert_true(wait_for(w, &w->ready, 1, 5 * NSEC_SEC));
	assert_true(w->accepts);
	plugin_free(w->p);
	close(fd);

	assert_int_equal(plugin_free_port(PLUGIN_TCP_ONLY, &port), 0);
	s.local_port = port;
	assert_int_equal(start(w, &s), 0);
	assert_true(wait_for(w, &w->ready, 2, 6 * NSEC_SEC));
	assert_false(w->accepts);
}

/* Without a place to look, as a plugin of UDP alone has it, or one that listens at a name. */
static void one_that_nobody_can_ask_is_well_again_when_it_lives(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 2; i++) {
		struct plugin_spec s = spec_of(w);

		s.no_probe = i == 0;
		s.client = true; /* shorter */
		s.local_host = i == 0 ? "127.0.0.1" : "a.name.test";
		write_script(w, "test -e $out && exec sleep 100; echo x > $out; exit 1", 0700);
		w->ended = w->ready = 0;
		assert_int_equal(start(w, &s), 0);
		assert_true(wait_for(w, &w->ended, 1, 5 * NSEC_SEC));
		assert_int_equal(w->ready, 0);
		assert_true(wait_for(w, &w->ready, 1, 8 * NSEC_SEC));
		assert_true(w->accepts);
		assert_int_equal(plugin_state(w->p), PLUGIN_RUNNING);
		plugin_free(w->p);
		w->p = NULL;
		unlink(w->out);
	}
}

static void many_start_at_once(void **state)
{
	struct world *w = *state;
	struct plugin_spec s = spec_of(w);
	struct plugin *many[100];

	write_script(w, "echo x >> $out; exec sleep 1000", 0700);
	for (size_t i = 0; i < ARRAY_LEN(many); i++) {
		assert_int_equal(start(w, &s), 0);
		many[i] = w->p;
	}
	w->p = NULL;
	for (int i = 0; i < 5000 && count_of(text_of(w->out), "x\n") < ARRAY_LEN(many); i++)
		loop_turn(w->loop, 10 * NSEC_MS);
	assert_int_equal(count_of(text_of(w->out), "x\n"), ARRAY_LEN(many));
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		plugin_stop(many[i], on_stopped, w);
	assert_true(wait_for(w, &w->stopped, ARRAY_LEN(many), 10 * NSEC_SEC));
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		plugin_free(many[i]);
	assert_int_equal(waitpid(-1, NULL, WNOHANG),
			 -1); /* not one is left, not even as a zombie */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_variables_say_where_to_listen_and_connect),
		TEST(without_options_the_variable_is_absent),
		TEST(arguments_are_words_and_no_shell_reads_them),
		TEST(a_bare_name_is_looked_for_in_the_folders_then_in_path),
		TEST(the_current_folder_is_not_searched),
		TEST(what_cannot_be_executed_is_told_at_once),
		TEST(an_exit_is_logged_and_the_plugin_started_again),
		TEST(even_a_clean_exit_is_a_failure),
		TEST(a_signal_is_named),
		TEST(a_wrong_configuration_is_not_tried_again),
		TEST(a_plugin_that_vanishes_is_given_up),
		TEST(a_stop_asks_and_then_kills),
		TEST(a_stop_while_resting_is_over_at_once),
		TEST(its_own_children_end_with_it),
		TEST(it_does_not_survive_our_being_killed),
		TEST(what_it_prints_is_logged_line_by_line),
		TEST(a_flood_of_lines_is_cut_and_counted),
		TEST(a_mebibyte_without_newline_is_harmless),
		TEST(whether_it_accepts_is_told),
		TEST(one_that_nobody_can_ask_is_well_again_when_it_lives),
		TEST(many_start_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
