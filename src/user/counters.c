#include "user/counters.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

/* The file: a head, then segments.  Everything is in the byte order of the machine, which the head
 * tells; offsets are multiples of 64 KiB, the largest page we may meet.
 */
#define ALIGN	    65536
#define HEAD_SIZE   ALIGN
#define VERSION	    1
#define ORDER	    0x01020304u
#define WORKERS_MAX 1024

struct head {
	char magic[8];
	uint32_t version, order;
	uint32_t workers, seg_slots;
	uint8_t epoch[COUNTERS_EPOCH_LEN];
	uint64_t check; /* FNV-1a of all before */
};

static const char MAGIC[8] = "weircnt";

static uint64_t head_check(const struct head *h)
{
	const uint8_t *p = (const uint8_t *)h;
	uint64_t sum = 0xcbf29ce484222325u;

	for (size_t i = 0; i < offsetof(struct head, check); i++)
		sum = (sum ^ p[i]) * 0x100000001b3u;
	return sum;
}

static size_t seg_size(uint32_t workers)
{
	size_t n = COUNTERS_SEG_SLOTS *
		   (sizeof(struct counters_owner) + workers * sizeof(struct counter));

	return (n + ALIGN - 1) / ALIGN * ALIGN;
}

static off_t seg_offset(const struct counters *c, uint32_t i)
{
	return HEAD_SIZE + (off_t)i * (off_t)seg_size(c->workers);
}

static struct counters_owner *owner_at(const struct counters *c, uint32_t slot)
{
	uint8_t *seg =
		atomic_load_explicit(&c->seg[slot >> COUNTERS_SEG_SHIFT], memory_order_acquire);

	return (struct counters_owner *)(void *)seg + (slot & (COUNTERS_SEG_SLOTS - 1));
}

static struct counters *new_counters(const char *path, uint32_t workers)
{
	struct counters *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->fd = -1;
	c->workers = workers;
	if (path) {
		c->path = strdup(path);
		if (!c->path) {
			free(c);
			return NULL;
		}
	}
	return c;
}

static int write_head(struct counters *c)
{
	struct head h = {.version = VERSION, .order = ORDER, .seg_slots = COUNTERS_SEG_SLOTS};
	ssize_t n;
	int err;

	memcpy(h.magic, MAGIC, sizeof(MAGIC));
	memcpy(h.epoch, c->epoch, sizeof(h.epoch));
	h.workers = c->workers;
	h.check = head_check(&h);
	err = posix_fallocate(c->fd, 0, HEAD_SIZE);
	if (err)
		return -err;
	n = pwrite(c->fd, &h, sizeof(h), 0);
	if (n != (ssize_t)sizeof(h))
		return n < 0 ? -errno : -EIO;
	return fsync(c->fd) < 0 ? -errno : 0;
}

/* Under another name until it is complete and locked: nobody may take it for an orphan. */
static int make_file(struct counters *c)
{
	char *draft;
	int err = 0;

	if (asprintf(&draft, "%s.new", c->path) < 0)
		return -ENOMEM;
	c->fd = open(draft, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (c->fd < 0) {
		err = -errno;
		free(draft);
		return err;
	}
	err = flock(c->fd, LOCK_EX | LOCK_NB) < 0 ? -errno : write_head(c);
	if (!err && access(c->path, F_OK) == 0)
		err = -EEXIST;
	if (!err && rename(draft, c->path) < 0)
		err = -errno;
	if (err)
		unlink(draft);
	free(draft);
	return err;
}

int counters_create(const char *path, const uint8_t epoch[COUNTERS_EPOCH_LEN], unsigned workers,
		    struct counters **out)
{
	struct counters *c;
	int err = 0;

	if (!workers || workers > WORKERS_MAX)
		return -EINVAL;
	c = new_counters(path, workers);
	if (!c)
		return -ENOMEM;
	memcpy(c->epoch, epoch, sizeof(c->epoch));
	if (path)
		err = make_file(c);
	if (err) {
		counters_free(c);
		return err;
	}
	*out = c;
	return 0;
}

static int read_head(int fd, struct head *h)
{
	ssize_t n = pread(fd, h, sizeof(*h), 0);

	if (n < 0)
		return -errno;
	if (n != (ssize_t)sizeof(*h) || memcmp(h->magic, MAGIC, sizeof(MAGIC)) ||
	    h->version != VERSION || h->order != ORDER || h->seg_slots != COUNTERS_SEG_SLOTS ||
	    !h->workers || h->workers > WORKERS_MAX || h->check != head_check(h))
		return -ERR_MALFORMED;
	return 0;
}

static int map_segment(struct counters *c, uint32_t i, int prot)
{
	int flags = c->fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
	void *seg = mmap(NULL, seg_size(c->workers), prot, flags, c->fd,
			 c->fd < 0 ? 0 : seg_offset(c, i));

	if (seg == MAP_FAILED)
		return -errno;
	atomic_store_explicit(&c->seg[i], seg, memory_order_release);
	atomic_store_explicit(&c->nseg, i + 1, memory_order_release);
	return 0;
}

/* A process that dies while its file grows leaves less than a segment at the end: not used yet. */
static int map_all(struct counters *c)
{
	struct stat st;
	uint64_t n;
	int err = 0;

	if (fstat(c->fd, &st) < 0)
		return -errno;
	n = st.st_size > HEAD_SIZE ? (uint64_t)(st.st_size - HEAD_SIZE) / seg_size(c->workers) : 0;
	if (n > COUNTERS_SEG_MAX)
		return -ERR_MALFORMED;
	for (uint32_t i = 0; i < n && !err; i++)
		err = map_segment(c, i, PROT_READ);
	c->used = (uint32_t)n * COUNTERS_SEG_SLOTS;
	return err;
}

int counters_open(const char *path, struct counters **out)
{
	struct counters *c = NULL;
	struct head h;
	int fd, err;

	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : read_head(fd, &h);
	if (err) {
		close(fd);
		return err;
	}
	c = new_counters(path, h.workers);
	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	c->fd = fd;
	c->frozen = true;
	memcpy(c->epoch, h.epoch, sizeof(c->epoch));
	err = map_all(c);
	if (err) {
		counters_free(c);
		return err;
	}
	*out = c;
	return 0;
}

void counters_free(struct counters *c)
{
	if (!c)
		return;
	for (uint32_t i = 0; i < atomic_load(&c->nseg); i++)
		munmap(atomic_load(&c->seg[i]), seg_size(c->workers));
	if (c->fd >= 0)
		close(c->fd);
	free(c->free_slots);
	free(c->path);
	free(c);
}

/* One more segment, its blocks reserved: a full disk must say so here, not by a signal at the first
 * byte that somebody counts.
 */
static int grow(struct counters *c)
{
	uint32_t n = atomic_load_explicit(&c->nseg, memory_order_relaxed);
	uint32_t cap = (n + 1) * COUNTERS_SEG_SLOTS;
	uint32_t *stack;
	int err;

	if (n == COUNTERS_SEG_MAX)
		return -ENOSPC;
	stack = realloc(c->free_slots, cap * sizeof(*stack));
	if (!stack)
		return -ENOMEM;
	c->free_slots = stack; /* room for every slot: releasing one cannot fail */
	c->free_cap = cap;
	if (c->fd >= 0) {
		err = posix_fallocate(c->fd, seg_offset(c, n), (off_t)seg_size(c->workers));
		if (err)
			return -err;
	}
	return map_segment(c, n, PROT_READ | PROT_WRITE);
}

int counters_alloc(struct counters *c, uint32_t node, int64_t user, uint32_t *slot)
{
	struct counters_owner *o;
	uint32_t i;
	int err;

	if (c->nfree) {
		i = c->free_slots[--c->nfree];
	} else {
		if (c->used == atomic_load(&c->nseg) * COUNTERS_SEG_SLOTS) {
			err = grow(c);
			if (err)
				return err;
		}
		i = c->used++;
	}
	o = owner_at(c, i);
	o->node = node;
	/* The owner is complete before it is visible, also to whoever reads the file after a crash.
	 */
	__atomic_store_n(&o->user, user, __ATOMIC_RELEASE);
	*slot = i;
	return 0;
}

void counters_release(struct counters *c, uint32_t slot)
{
	struct counters_owner *o = owner_at(c, slot);

	__atomic_store_n(&o->user, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&o->life, o->life + 1, __ATOMIC_RELEASE);
	c->free_slots[c->nfree++] = slot;
}

uint32_t counters_slots(const struct counters *c)
{
	return c->used;
}

void counters_owner(const struct counters *c, uint32_t slot, struct counters_owner *out)
{
	*out = *owner_at(c, slot);
}

void counters_total(const struct counters *c, uint32_t slot, struct traffic *out)
{
	struct traffic sum = {0};

	for (unsigned w = 0; w < c->workers; w++) {
		const struct counter *n = counters_at(c, w, slot);

		sum.up += atomic_load_explicit(&n->bytes[TRAFFIC_UP], memory_order_relaxed);
		sum.down += atomic_load_explicit(&n->bytes[TRAFFIC_DOWN], memory_order_relaxed);
	}
	*out = sum;
}

int counters_sync(struct counters *c)
{
	uint32_t n = atomic_load_explicit(&c->nseg, memory_order_acquire);
	int err = 0;

	if (c->fd < 0 || c->frozen)
		return 0;
	for (uint32_t i = 0; i < n; i++)
		if (msync(atomic_load(&c->seg[i]), seg_size(c->workers), MS_SYNC) < 0 && !err)
			err = -errno;
	if (fdatasync(c->fd) < 0 && !err) /* the file's size */
		err = -errno;
	return err;
}
