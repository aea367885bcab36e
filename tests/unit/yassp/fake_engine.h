/* fake_engine.h - an engine without servers: it remembers what it was told, counts what a test says,
 * and answers as a test wants.  It takes the place of the real one.
 */
#ifndef WEIR_TESTS_FAKE_ENGINE_H
#define WEIR_TESTS_FAKE_ENGINE_H

#include "manager/engine.h"
#include "sync/ledger.h"

struct fake_server {
	bool there;
	struct profile *profile;
	uint32_t generation, slot;
	unsigned puts, removes;
};

struct fake_answer {
	struct timer t;
	engine_done *done;
	void *arg;
	int err;
};

struct engine {
	struct loop *loop;
	struct ledger *ledger;
	uint32_t node;
	struct fake_server v[65536];
	size_t n;
	int err_of[65536]; /* what putting it says */
	nsec_t latency;	   /* 0: answers come at once */
	bool stopped;
	unsigned puts, removes;
};

struct engine *fake_engine_new(struct loop *loop, struct ledger *ledger, uint32_t node);
void fake_engine_move(struct engine *e, uint16_t port, uint64_t up, uint64_t down);

#endif
