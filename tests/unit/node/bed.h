/* bed.h - a node on real workers; the control loop's clock is the test's. */
#ifndef WEIR_TESTS_NODE_BED_H
#define WEIR_TESTS_NODE_BED_H

#include "unit.h"

#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "node/node.h"
#include "node/workers.h"
#include "tls/self_signed.h"

struct bed {
	struct loop *control;
	struct counters *counters;
	struct workers workers;
	struct config *file;
	struct node *node;
	struct node_info *info;
	struct user_list none;
	char dir[64], cert[96], key[96];
	int applied, closed;
};

static inline struct config *parse(const char *text)
{
	struct conf_report report;
	struct config *c;

	conf_report_init(&report);
	c = config_parse(text, strlen(text), "config.json", &report);
	conf_report_print(&report, stderr);
	conf_report_done(&report);
	assert_non_null(c);
	return c;
}

static inline struct config *file_with(const struct bed *b, const char *options)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "{\"Nodes\":[{\"ApiHost\":\"http://127.0.0.1:1/x\",\"ApiKey\":\"k\",\"NodeID\":1,"
		 "\"ListenIP\":\"127.0.0.1\",\"CertConfig\":{\"CertMode\":\"file\","
		 "\"CertFile\":\"%s\",\"KeyFile\":\"%s\"}%s}]}",
		 b->cert, b->key, options);
	return parse(text);
}

/* For TCP and, where the protocol has it, UDP: one of somebody else's may well have the same number. */
static inline uint16_t free_port(void)
{
	for (int tries = 0; tries < 100; tries++) {
		struct addr a;
		bool both;
		int tcp, udp;

		assert_int_equal(addr_parse_ip(&a, "127.0.0.1", 0), 0);
		assert_int_equal(listener_bind(&a, &(struct listener_conf){0}, &tcp), 0);
		assert_int_equal(getsockname(tcp, &a.sa, &a.len), 0);
		udp = socket(AF_INET, SOCK_DGRAM, 0);
		assert_true(udp >= 0);
		both = bind(udp, &a.sa, a.len) == 0;
		close(udp);
		close(tcp);
		if (both)
			return ntohs(a.in.sin_port);
	}
	fail();
	return 0;
}

/* `options`: more of the node's in the file, each behind a comma. */
static inline void open_bed_on(struct bed *b, struct loop *control, enum node_security security,
			       const char *options)
{
	static const uint8_t epoch[COUNTERS_EPOCH_LEN];
	struct node_world env;

	*b = (struct bed){0};
	snprintf(b->dir, sizeof(b->dir), "/tmp/weir-node-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	snprintf(b->cert, sizeof(b->cert), "%s/c.crt", b->dir);
	snprintf(b->key, sizeof(b->key), "%s/c.key", b->dir);
	assert_int_equal(self_signed_files("weir.test", b->cert, b->key), 0);
	b->control = control;
	assert_int_equal(counters_create(NULL, epoch, 1, &b->counters), 0);
	assert_int_equal(workers_start(&b->workers, b->control, 1, b->counters), 0);
	b->file = file_with(b, options);
	env = (struct node_world){.workers = &b->workers, .counters = b->counters};
	assert_int_equal(node_new(&env, b->file, b->file->nodes[0], 1, &b->node), 0);
	user_list_init(&b->none);
	b->info = node_info_new();
	b->info->type = NODE_VLESS;
	b->info->security = security;
	b->info->port = free_port();
}

static inline void open_bed_with(struct bed *b, enum node_security security, const char *options)
{
	open_bed_on(b, loop_new(LOOP_VIRTUAL, 1), security, options);
}

static inline void open_bed(struct bed *b, enum node_security security)
{
	open_bed_with(b, security, "");
}

/* Until `*flag`, with the virtual clock still.  Workers take their real time. */
static inline void wait_for(struct bed *b, const int *flag)
{
	for (int i = 0; i < 5000 && !*flag; i++) {
		loop_turn(b->control, 0);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	assert_true(*flag);
}

static inline void note_applied(void *arg, int err)
{
	struct bed *b = arg;

	assert_int_equal(err, 0);
	b->applied = 1;
}

static inline void note_closed(void *arg)
{
	((struct bed *)arg)->closed++;
}

static inline struct node_target *target_of(struct bed *b)
{
	return node_target(b->node);
}

static inline int apply(struct bed *b)
{
	struct node_target *t = target_of(b);

	b->applied = 0;
	return t->ops->apply(t, b->info, &b->none, note_applied, b);
}

static inline void serve(struct bed *b)
{
	assert_int_equal(apply(b), -EINPROGRESS);
	wait_for(b, &b->applied);
	assert_int_equal(node_state(b->node), NODE_SERVING);
}

static inline void visit(struct node_worker *w, void *arg)
{
}

static inline void note_back(void *arg)
{
	*(int *)arg = 1;
}

/* Messages keep their order, so what was on its way has arrived when this has come back; and twice
 * more for what that has set off.
 */
static inline void settle(struct bed *b)
{
	for (int i = 0; i < 3; i++) {
		int back = 0;

		assert_int_equal(workers_each(&b->workers, visit, note_back, &back), 0);
		wait_for(b, &back);
	}
}

static inline void pass_seconds(struct bed *b, int seconds)
{
	nsec_t end = loop_now(b->control) + seconds * NSEC_SEC;

	while (loop_now(b->control) < end)
		loop_turn(b->control, end - loop_now(b->control));
	settle(b);
}

static inline bool connects(const struct bed *b)
{
	struct addr a;
	bool ok;
	int fd;

	assert_int_equal(addr_parse_ip(&a, "127.0.0.1", (uint16_t)b->info->port), 0);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	ok = connect(fd, &a.sa, a.len) == 0;
	close(fd);
	return ok;
}

static inline void close_bed(struct bed *b)
{
	b->closed = 0;
	node_close(b->node, 0, note_closed, b);
	for (int i = 0; i < 5000 && !b->closed; i++) {
		loop_turn(b->control, 20 * NSEC_MS);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	assert_int_equal(b->closed, 1);
	workers_stop(&b->workers);
	loop_turn(b->control, 0);
	node_free(b->node);
	node_info_put(b->info);
	config_free(b->file);
	counters_free(b->counters);
	loop_free(b->control);
	unlink(b->cert);
	unlink(b->key);
	assert_int_equal(rmdir(b->dir), 0);
}

#endif
