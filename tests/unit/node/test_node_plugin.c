/* A node behind a plugin, which is a shell script here.  Children take their real time, so the control
 * loop's clock is the real one too.
 */
#include "node/bed.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "node/node_impl.h"
#include "plugin/plugin.h"

static bool udp_is_taken; /* every number of it */

int bind(int fd, const struct sockaddr *at, socklen_t len)
{
	int type = 0;
	socklen_t size = sizeof(type);

	getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
	if (udp_is_taken && type == SOCK_DGRAM) {
		errno = EADDRINUSE;
		return -1;
	}
	return (int)syscall(SYS_bind, fd, at, len);
}

struct world {
	struct bed bed;
	struct config *old; /* kept until the next reload, as the program does */
	char script[96], allow[128], log[96];
};

static void write_script(const struct world *w, const char *body)
{
	int fd = open(w->script, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);

	assert_true(fd >= 0);
	assert_true(dprintf(fd, "#!/bin/sh\n%s\n", body) > 0);
	close(fd);
}

static struct config *file_for(const struct world *w, const char *options, const char *allow)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "{\"Plugins\":{\"Allow\":[%s]},\"Nodes\":[{\"ApiHost\":\"http://127.0.0.1:1/x\","
		 "\"ApiKey\":\"k\",\"NodeID\":1%s}]}",
		 allow, options);
	return parse(text);
}

/* The file again, with other options of the node and other plugins allowed. */
static int reload(struct world *w, const char *options, const char *allow, bool changed)
{
	struct config *next = file_for(w, options, allow);
	int err = node_set_conf(w->bed.node, next, next->nodes[0], changed);

	config_free(w->old);
	w->old = w->bed.file;
	w->bed.file = next;
	return err;
}

/* What the panel says; NULL: no plugin. */
static void say_plugin(struct world *w, const char *plugin, const char *options)
{
	struct bed *b = &w->bed;
	uint16_t port = (uint16_t)b->info->port;

	b->info = (node_info_put(b->info), node_info_new());
	b->info->type = NODE_SHADOWSOCKS;
	b->info->port = port;
	b->info->ss.cipher = "aes-128-gcm";
	b->info->ss.plugin = plugin;
	b->info->ss.plugin_opts = options;
}

/* Not served yet. */
static void open_world(struct world *w, const char *options, const char *body)
{
	*w = (struct world){0};
	open_bed_on(&w->bed, loop_new(LOOP_EPOLL, 0), SECURITY_NONE, "");
	snprintf(w->script, sizeof(w->script), "%s/a-plugin", w->bed.dir);
	snprintf(w->allow, sizeof(w->allow), "\"%s\"", w->script);
	snprintf(w->log, sizeof(w->log), "%s/log", w->bed.dir);
	assert_int_equal(log_open(&(struct log_conf){.level = LOG_INFO, .path = w->log}), 0);
	write_script(w, body);
	assert_int_equal(reload(w, options, w->allow, true), 0);
	say_plugin(w, w->script, "a=b");
}

static void close_world(struct world *w)
{
	unlink(w->script);
	unlink(w->log);
	config_free(w->old);
	close_bed(&w->bed);
	log_close();
}

static bool runs(const struct world *w)
{
	return w->bed.node->plugin && plugin_state(w->bed.node->plugin) == PLUGIN_RUNNING;
}

static void until(struct world *w, bool (*so)(const struct world *w))
{
	for (int i = 0; i < 1000 && !so(w); i++)
		loop_turn(w->bed.control, 10 * NSEC_MS);
	assert_true(so(w));
	settle(&w->bed);
}

static bool none_runs(const struct world *w)
{
	return !w->bed.node->plugin;
}

static void one_that_is_no_longer_allowed_ends_though_nothing_takes_its_place(void **state)
{
	struct world w;

	open_world(&w, ",\"ListenIP\":\"127.0.0.1\"", "exec sleep 100");
	serve(&w.bed);
	assert_true(runs(&w));
	assert_int_not_equal(reload(&w, ",\"ListenIP\":\"127.0.0.1\"", "\"another\"", true), 0);
	until(&w, none_runs);
	w.bed.node->certs.fire(&w.bed.node->certs); /* a minute later */
	settle(&w.bed);
	assert_true(none_runs(&w));

	assert_int_equal(reload(&w, ",\"ListenIP\":\"127.0.0.1\"", w.allow, true), 0);
	until(&w, runs);
	close_world(&w);
}

static void one_that_is_forbidden_during_an_apply_ends_after_it(void **state)
{
	struct world w;

	open_world(&w, ",\"ListenIP\":\"127.0.0.1\"", "exec sleep 100");
	serve(&w.bed);
	assert_int_equal(apply(&w.bed), -EINPROGRESS);
	assert_int_equal(reload(&w, ",\"ListenIP\":\"127.0.0.1\"", "", true), 0);
	wait_for(&w.bed, &w.bed.applied);
	until(&w, none_runs);
	close_world(&w);
}

/* Lines of the log with `what` in them. */
static unsigned said(const struct world *w, const char *what)
{
	char line[1024];
	unsigned n = 0;
	FILE *f = fopen(w->log, "r");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, what) != NULL;
	fclose(f);
	return n;
}

static void a_number_that_cannot_be_found_is_complained_of_once(void **state)
{
	struct world w;

	open_world(&w, ",\"ListenIP\":\"127.0.0.1\",\"PluginMode\":\"tcp_and_udp\"",
		   "exec sleep 100");
	udp_is_taken = true;
	assert_int_equal(apply(&w.bed), -EADDRINUSE);
	udp_is_taken = false;
	assert_int_equal(said(&w, "cannot listen on 127.0.0.1:"), 1);
	serve(&w.bed);
	until(&w, runs);
	close_world(&w);
}

static bool serves_the_other_address(const struct world *w)
{
	struct addr at;

	return node_listening(w->bed.node, &at) && ntohl(at.in.sin_addr.s_addr) == 0x7f000002;
}

static void a_reload_during_an_apply_takes_effect_after_it(void **state)
{
	struct world w;

	open_world(&w, ",\"ListenIP\":\"127.0.0.1\"", "exec sleep 100");
	serve(&w.bed);
	assert_int_equal(apply(&w.bed), -EINPROGRESS);
	assert_int_equal(reload(&w, ",\"ListenIP\":\"127.0.0.2\"", w.allow, true), 0);
	wait_for(&w.bed, &w.bed.applied);
	until(&w, serves_the_other_address);
	until(&w, runs);
	close_world(&w);
}

static bool is_reached(const struct world *w)
{
	return connects(&w->bed);
}

/* As a helper that has outlived its plugin by a moment, or another program, would. */
static void a_port_that_is_not_free_at_once_is_taken_back_soon(void **state)
{
	struct world w;
	struct addr at;
	int busy;

	open_world(&w, ",\"ListenIP\":\"127.0.0.1\"", "exec sleep 100");
	serve(&w.bed);
	assert_int_equal(addr_parse_ip(&at, "127.0.0.1", (uint16_t)w.bed.info->port), 0);
	assert_int_equal(listener_bind(&at, &(struct listener_conf){0}, &busy), 0);
	say_plugin(&w, NULL, NULL);
	serve(&w.bed);
	until(&w, none_runs);
	assert_true(said(&w, "cannot listen on") > 0);
	close(busy);
	assert_false(connects(&w.bed));
	until(&w, is_reached);
	close_world(&w);
}

static void one_that_cannot_be_started_is_tried_again_soon(void **state)
{
	struct inbound *served;
	struct world w;

	open_world(&w, ",\"ListenIP\":\"127.0.0.1\"", "exec sleep 100");
	assert_int_equal(apply(&w.bed), -EINPROGRESS);
	unlink(w.script);
	wait_for(&w.bed, &w.bed.applied);
	assert_true(none_runs(&w));
	assert_int_equal(said(&w, "cannot be started"), 1);
	served = w.bed.node->in;
	write_script(&w, "exec sleep 100");
	until(&w, runs);
	assert_ptr_equal(w.bed.node->in, served); /* nothing was built again for that */
	close_world(&w);
}

static bool is_given_up(const struct world *w)
{
	return w->bed.node->plugin && plugin_state(w->bed.node->plugin) == PLUGIN_GIVEN_UP;
}

static void one_that_was_given_up_is_complained_of_until_a_reload_starts_it(void **state)
{
	static const char options[] = ",\"ListenIP\":\"127.0.0.1\"";
	static const char words[] = "has been given up";
	struct world w;

	for (int changed = 0; changed < 2; changed++) {
		open_world(&w, options, "exit 23");
		serve(&w.bed);
		until(&w, is_given_up);
		for (unsigned minutes = 1; minutes <= 2; minutes++) {
			w.bed.node->certs.fire(&w.bed.node->certs);
			assert_int_equal(said(&w, words), minutes);
		}
		write_script(&w, "exec sleep 100");
		serve(&w.bed); /* the panel says the same as before */
		assert_true(is_given_up(&w));
		assert_int_equal(reload(&w, options, w.allow, changed), 0);
		until(&w, runs);
		assert_int_equal(said(&w, words), 2);
		close_world(&w);
	}
}

static void a_given_up_one_does_not_outlive_its_node(void **state)
{
	struct world w;

	open_world(&w, ",\"ListenIP\":\"127.0.0.1\"", "exit 23");
	serve(&w.bed);
	until(&w, is_given_up);
	assert_int_equal(reload(&w, ",\"ListenIP\":\"127.0.0.1\"", w.allow, false), 0);
	close_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_is_no_longer_allowed_ends_though_nothing_takes_its_place),
		cmocka_unit_test(one_that_is_forbidden_during_an_apply_ends_after_it),
		cmocka_unit_test(a_reload_during_an_apply_takes_effect_after_it),
		cmocka_unit_test(a_number_that_cannot_be_found_is_complained_of_once),
		cmocka_unit_test(a_port_that_is_not_free_at_once_is_taken_back_soon),
		cmocka_unit_test(one_that_cannot_be_started_is_tried_again_soon),
		cmocka_unit_test(one_that_was_given_up_is_complained_of_until_a_reload_starts_it),
		cmocka_unit_test(a_given_up_one_does_not_outlive_its_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
