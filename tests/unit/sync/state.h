/* state.h - a state directory for the tests of the ledger. */
#ifndef WEIR_TESTS_STATE_H
#define WEIR_TESTS_STATE_H

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#include "sync/ledger.h"
#include "unit.h"

#define NODE_URL "https://panel.test/node"

struct state {
	char dir[64];
	struct ledger *l;
	uint32_t node;
};

static inline void state_open(struct state *s, unsigned workers)
{
	char why[LEDGER_WHY_MAX];
	int err = ledger_open(s->dir, workers, &s->l, why);

	if (err)
		fail_msg("ledger_open: %s: %s", err_name(err), why);
	assert_int_equal(ledger_node(s->l, NODE_URL, 7, "trojan", &s->node), 0);
}

static inline void state_close(struct state *s)
{
	ledger_close(s->l);
	s->l = NULL;
}

/* In memory where that can be had: syncing costs nothing there, and kill -9 is the same. */
static inline void state_init(struct state *s)
{
	snprintf(s->dir, sizeof(s->dir), "%s/weir-ledger-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(s->dir));
	state_open(s, 2);
}

static inline void state_done(struct state *s)
{
	char path[512];
	struct dirent *e;
	DIR *d;

	state_close(s);
	d = opendir(s->dir);
	while ((e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", s->dir, e->d_name);
		unlink(path);
	}
	closedir(d);
	rmdir(s->dir);
}

/* How many files in the directory begin like this; the path of one of them. */
static inline int state_files(const struct state *s, const char *prefix, char *path)
{
	struct dirent *e;
	int n = 0;
	DIR *d = opendir(s->dir);

	while ((e = readdir(d))) {
		if (strncmp(e->d_name, prefix, strlen(prefix)) != 0)
			continue;
		n++;
		if (path)
			snprintf(path, 512, "%s/%s", s->dir, e->d_name);
	}
	closedir(d);
	return n;
}

/* A user with a slot and some bytes. */
static inline uint32_t state_user(struct state *s, int64_t id, uint64_t up, uint64_t down)
{
	struct counters *c = ledger_counters(s->l);
	uint32_t slot;

	assert_int_equal(counters_alloc(c, s->node, id, &slot), 0);
	counters_add(c, 0, slot, TRAFFIC_UP, up);
	counters_add(c, 1, slot, TRAFFIC_DOWN, down);
	return slot;
}

static inline void state_add(struct state *s, uint32_t slot, uint64_t up, uint64_t down)
{
	counters_add(ledger_counters(s->l), 0, slot, TRAFFIC_UP, up);
	counters_add(ledger_counters(s->l), 0, slot, TRAFFIC_DOWN, down);
}

static inline int state_freeze(struct state *s, uint64_t threshold, uint32_t batch_users)
{
	struct ledger_freeze how = {.threshold = threshold, .batch_users = batch_users};
	int n = ledger_freeze(s->l, s->node, &how);

	assert_true(n >= 0);
	return n;
}

/* The i-th waiting batch, with entries. */
static inline struct ledger_batch state_batch(struct state *s, int i)
{
	struct ledger_batch heads[64], b;
	int n = ledger_batches(s->l, s->node, heads, ARRAY_LEN(heads));

	assert_true(i < n);
	assert_int_equal(ledger_load(s->l, heads[i].seq, &b), 0);
	return b;
}

static inline int state_waiting(struct state *s)
{
	struct ledger_batch heads[64];

	return ledger_batches(s->l, s->node, heads, ARRAY_LEN(heads));
}

static inline struct ledger_totals state_totals(struct state *s)
{
	struct ledger_totals t;

	assert_int_equal(ledger_totals(s->l, s->node, &t), 0);
	return t;
}

#endif
