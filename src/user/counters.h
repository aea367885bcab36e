/* counters.h - how many bytes each user has moved, per worker, in a file that survives kill -9.
 *
 * A slot belongs to one (node, user) at a time.  Each worker has a column with a pair {up, down}
 * per slot, and is its only writer: adding is a load, an add and a store.  The pairs never shrink
 * and are never cleared, not even when a slot changes hands: "last reported" in the ledger says
 * where the bytes of the present owner begin.
 *
 * The columns are a shared file mapping: what was stored is the kernel's when the process is
 * killed. One file per process (an epoch, named by 16 random bytes), locked while its process
 * lives; who finds the lock free settles the file and deletes it (see sync/ledger.h).  The file
 * grows in segments that never move.
 *
 * Threads: counters_add() by the worker whose column it is; counters_total() and counters_sync() by
 * anyone; the rest by the control thread.
 */
#ifndef WEIR_USER_COUNTERS_H
#define WEIR_USER_COUNTERS_H

#include <stdatomic.h>

#include "base/base.h"

#define COUNTERS_EPOCH_LEN 16
#define COUNTERS_SEG_SHIFT 10
#define COUNTERS_SEG_SLOTS (1u << COUNTERS_SEG_SHIFT)
#define COUNTERS_SEG_MAX   16384 /* segments: 16 million slots */
#define COUNTERS_NO_SLOT   UINT32_MAX

enum traffic_dir {
	TRAFFIC_UP,   /* user to target; the numbers of enum relay_dir */
	TRAFFIC_DOWN, /* back */
};

struct traffic {
	uint64_t up, down;
};

/* One worker's pair for one slot. */
struct counter {
	_Atomic uint64_t bytes[2]; /* by enum traffic_dir */
};

/* Who a slot belongs to.  `life` counts the owners that were settled before this one. */
struct counters_owner {
	uint32_t node;
	uint32_t life;
	int64_t user; /* 0: the slot is free */
};

struct counters {
	uint8_t *_Atomic seg[COUNTERS_SEG_MAX]; /* owners, then one column per worker */
	_Atomic uint32_t nseg;
	uint32_t workers;
	int fd;	     /* -1: anonymous, for tests and ephemeral commands */
	bool frozen; /* opened for reading: a file of a process that is gone */
	uint8_t epoch[COUNTERS_EPOCH_LEN];
	char *path;
	uint32_t *free_slots; /* stack, by first use order */
	uint32_t nfree, free_cap;
	uint32_t used; /* slots ever handed out */
};

/* A new file at `path`, which must not exist, locked; NULL: anonymous memory.  `workers` columns.
 * 0 or -errno.
 */
MUST_CHECK int counters_create(const char *path, const uint8_t epoch[COUNTERS_EPOCH_LEN],
			       unsigned workers, struct counters **out);

/* The file of a process that is gone, for reading totals and owners.  -EWOULDBLOCK: its process
 * lives.  -ERR_MALFORMED: not a counters file, or a damaged one.  Other -errno.
 */
MUST_CHECK int counters_open(const char *path, struct counters **out);

void counters_free(struct counters *c); /* unmaps, unlocks; the file stays */

/* A slot for this user.  0, -ENOSPC, -ENOMEM, other -errno: the disk may be full. */
MUST_CHECK int counters_alloc(struct counters *c, uint32_t node, int64_t user, uint32_t *slot);

/* The owner has been settled and nobody counts for it any more. */
void counters_release(struct counters *c, uint32_t slot);

/* Slots 0 .. counters_slots() - 1 may have an owner. */
uint32_t counters_slots(const struct counters *c);
void counters_owner(const struct counters *c, uint32_t slot, struct counters_owner *out);

/* Sum over all workers.  Exact once whoever counts has stopped (and that was seen with acquire). */
void counters_total(const struct counters *c, uint32_t slot, struct traffic *out);

/* To disk, against power loss.  Blocks: call it from a thread that may.  0 or -errno. */
int counters_sync(struct counters *c);

static inline struct counter *counters_at(const struct counters *c, unsigned worker, uint32_t slot)
{
	uint8_t *seg =
		atomic_load_explicit(&c->seg[slot >> COUNTERS_SEG_SHIFT], memory_order_acquire);
	size_t column = COUNTERS_SEG_SLOTS * sizeof(struct counters_owner) +
			worker * COUNTERS_SEG_SLOTS * sizeof(struct counter);

	return (struct counter *)(void *)(seg + column) + (slot & (COUNTERS_SEG_SLOTS - 1));
}

static inline void counters_add(const struct counters *c, unsigned worker, uint32_t slot,
				enum traffic_dir dir, uint64_t bytes)
{
	_Atomic uint64_t *n = &counters_at(c, worker, slot)->bytes[dir];

	atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + bytes,
			      memory_order_relaxed);
}

#endif
