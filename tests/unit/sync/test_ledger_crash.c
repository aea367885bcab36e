/* A process that counts, freezes, sends, acknowledges, settles and splits is killed again and
 * again; whatever the moment, every byte is in exactly one place.  The panel is the parent: it
 * takes each report id once.  Then the same while the disk is full now and then.
 */
#include "state.h"

#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#define ROUNDS	 60
#define USERS	 8
#define NO_START 4 /* how a child ends that finds the disk full */

/* What the child has counted, as seen from outside: it writes `next` before it counts and `done`
 * after, so that a kill in between leaves the one step in doubt, and only that.
 */
struct shadow {
	_Atomic uint64_t next[USERS], done[USERS];
};

struct panel {
	uint8_t (*ids)[LEDGER_ID_LEN];
	size_t nids;
	uint64_t billed[USERS + 1];
	uint32_t taken, repeated;
};

static uint32_t rnd(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* ---- the child --------------------------------------------------------------------------- */

struct child {
	struct ledger *l;
	struct shadow *shadow;
	uint32_t node, seed;
	uint32_t slot[USERS + 1];
	int fd;
	bool fills; /* its disk, at times */
};

static void must(bool ok)
{
	if (!ok)
		_exit(3);
}

/* ---- a disk that is full: what SQLite gets to see of it ---------------------------------- */

static struct {
	bool full;
	uint32_t seed;
} disk;

/* How many of these bytes there is room for. */
static size_t room(size_t n)
{
	if (!disk.full)
		return n;
	switch (rnd(&disk.seed) % 4) {
	case 0:
		return n; /* where something was before */
	case 1:
		return n / 2;
	default:
		return 0;
	}
}

static ssize_t full_write(int fd, const void *p, size_t n)
{
	size_t fits = room(n);

	if (!fits && n) {
		errno = ENOSPC;
		return -1;
	}
	return write(fd, p, fits);
}

static ssize_t full_pwrite(int fd, const void *p, size_t n, off_t at)
{
	size_t fits = room(n);

	if (!fits && n) {
		errno = ENOSPC;
		return -1;
	}
	return pwrite(fd, p, fits, at);
}

static int full_sync(int fd)
{
	if (room(2) == 2)
		return fdatasync(fd);
	errno = ENOSPC;
	return -1;
}

static void put_on_full_disk(uint32_t seed)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

	disk.seed = seed;
	must(vfs->xSetSystemCall(vfs, "write", (sqlite3_syscall_ptr)full_write) == SQLITE_OK);
	/* Not in every build of it. */
	vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)full_pwrite);
	vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)full_pwrite);
	vfs->xSetSystemCall(vfs, "fdatasync", (sqlite3_syscall_ptr)full_sync);
	vfs->xSetSystemCall(vfs, "fsync", (sqlite3_syscall_ptr)full_sync);
}

/* A step that only a full disk may have kept from being taken. */
static bool taken(const struct child *c, int err)
{
	must(err >= 0 || (c->fills && err == -ENOSPC));
	return err >= 0;
}

/* ---- what it does ------------------------------------------------------------------------ */

static void count(struct child *c)
{
	uint32_t u = rnd(&c->seed) % USERS, n = rnd(&c->seed) % 5000 + 1;
	uint64_t was = c->shadow->done[u];

	atomic_store(&c->shadow->next[u], was + n);
	counters_add(ledger_counters(c->l), rnd(&c->seed) % 2, c->slot[u + 1], TRAFFIC_UP, n);
	atomic_store(&c->shadow->done[u], was + n);
}

static bool send_batch(struct child *c, const struct ledger_batch *b)
{
	char answer;

	must(write(c->fd, b->report_id, LEDGER_ID_LEN) == LEDGER_ID_LEN);
	must(write(c->fd, &b->n, sizeof(b->n)) == sizeof(b->n));
	must(write(c->fd, b->entries, b->n * sizeof(*b->entries)) ==
	     (ssize_t)(b->n * sizeof(*b->entries)));
	must(read(c->fd, &answer, 1) == 1);
	return answer == 'y';
}

static void push(struct child *c)
{
	struct ledger_batch heads[4], b;
	int n = ledger_batches(c->l, c->node, heads, ARRAY_LEN(heads));

	must(n >= 0);
	for (int i = 0; i < n; i++) {
		if (rnd(&c->seed) % 8 == 0 && heads[i].n > 1 && !heads[i].in_flight &&
		    !heads[i].doubt) {
			taken(c, ledger_split(c->l, heads[i].seq));
			return;
		}
		must(ledger_load(c->l, heads[i].seq, &b) == 0);
		if (taken(c, ledger_sending(c->l, b.seq)))
			taken(c, send_batch(c, &b) ? ledger_ack(c->l, b.seq)
						   : ledger_failed(c->l, b.seq));
		ledger_batch_done(&b);
	}
}

/* The user goes and comes back under the same id. */
static void replace(struct child *c)
{
	uint32_t u = rnd(&c->seed) % USERS + 1, old = c->slot[u], fresh;

	must(counters_alloc(ledger_counters(c->l), c->node, u, &fresh) == 0);
	if (taken(c, ledger_settle(c->l, &old, 1)))
		c->slot[u] = fresh;
	else
		old = fresh;
	counters_release(ledger_counters(c->l), old);
}

static void open_ledger(struct child *c, const char *dir)
{
	if (c->fills) {
		put_on_full_disk(rnd(&c->seed));
		disk.full = rnd(&c->seed) % 2;
	}
	if (!taken(c, ledger_open(dir, 2, &c->l, NULL)) ||
	    !taken(c, ledger_node(c->l, NODE_URL, 7, "trojan", &c->node)))
		_exit(NO_START);
}

static void child_main(struct child *c, const char *dir)
{
	struct ledger_freeze how = {.threshold = 4000, .batch_users = 3};

	open_ledger(c, dir);
	for (uint32_t u = 1; u <= USERS; u++)
		must(counters_alloc(ledger_counters(c->l), c->node, u, &c->slot[u]) == 0);
	for (;;) {
		if (c->fills && rnd(&c->seed) % 4 == 0)
			disk.full = !disk.full;
		for (int i = 0; i < 20; i++)
			count(c);
		switch (rnd(&c->seed) % 4) {
		case 0:
			replace(c);
			break;
		case 1:
			push(c);
			break;
		default:
			taken(c, ledger_freeze(c->l, c->node, &how));
		}
	}
}

/* A start that gets no further than settling what the last process left. */
static void start_and_kill(const char *dir, uint32_t *seed, bool fills)
{
	struct timespec ts = {.tv_nsec = rnd(seed) % 4000 * 1000};
	struct child c = {.seed = rnd(seed), .fills = fills};
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		open_ledger(&c, dir);
		for (;;)
			pause();
	}
	nanosleep(&ts, NULL);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* ---- the panel --------------------------------------------------------------------------- */

static bool read_all(int fd, void *dst, size_t n)
{
	return recv(fd, dst, n, MSG_WAITALL) == (ssize_t)n;
}

static bool known(struct panel *p, const uint8_t *id)
{
	for (size_t i = 0; i < p->nids; i++)
		if (memcmp(p->ids[i], id, LEDGER_ID_LEN) == 0)
			return true;
	return false;
}

static void bill(struct panel *p, const uint8_t *id, const struct ledger_entry *v, uint32_t n)
{
	if (known(p, id)) {
		p->repeated++;
		return;
	}
	p->taken++;
	p->ids = realloc(p->ids, (p->nids + 1) * LEDGER_ID_LEN);
	memcpy(p->ids[p->nids++], id, LEDGER_ID_LEN);
	for (uint32_t i = 0; i < n; i++) {
		assert_in_range(v[i].user, 1, USERS);
		p->billed[v[i].user] += v[i].up;
	}
}

/* One request, or the end of the child. */
static bool serve(struct panel *p, int fd, uint32_t *seed)
{
	struct ledger_entry v[16];
	uint8_t id[LEDGER_ID_LEN];
	uint32_t n, luck = rnd(seed) % 8;

	if (!read_all(fd, id, sizeof(id)) || !read_all(fd, &n, sizeof(n)))
		return false;
	assert_in_range(n, 1, ARRAY_LEN(v));
	if (!read_all(fd, v, n * sizeof(*v)))
		return false;
	if (luck != 0) /* 0: refused before anything was billed */
		bill(p, id, v, n);
	return send(fd, luck == 0 ? "n" : "y", 1, MSG_NOSIGNAL) == 1;
}

static nsec_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_SEC + ts.tv_nsec;
}

/* False: it did not start, for want of room. */
static bool run_and_kill(struct panel *p, struct shadow *shadow, const char *dir, uint32_t *seed,
			 bool fills)
{
	struct child c = {.shadow = shadow, .seed = rnd(seed), .fills = fills};
	nsec_t until = now() + (nsec_t)(rnd(seed) % 40000) * NSEC_US;
	struct timeval wait = {.tv_usec = 500};
	int pair[2], status;
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		close(pair[0]);
		c.fd = pair[1];
		child_main(&c, dir);
		_exit(0);
	}
	close(pair[1]);
	while (now() < until) {
		uint8_t byte;

		setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
		if (recv(pair[0], &byte, 1, MSG_PEEK) != 1)
			continue;
		setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 5},
			   sizeof(struct timeval));
		if (!serve(p, pair[0], seed))
			break;
	}
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(pair[0]);
	if (WIFSIGNALED(status))
		return true;
	if (!fills || WEXITSTATUS(status) != NO_START)
		fail_msg("the child ended by itself: %d", WEXITSTATUS(status));
	return false;
}

/* ---- the books --------------------------------------------------------------------------- */

/* By user: frozen and carried.  Opening settles the counters, so nothing is pending. */
static void audit(struct panel *p, struct shadow *shadow, const char *dir, int round)
{
	uint64_t held[USERS + 1] = {0};
	struct ledger_freeze how = {.always = true};
	struct ledger_batch heads[512], b;
	struct ledger *l;
	uint32_t node;
	int n;

	assert_int_equal(ledger_open(dir, 3, &l, NULL), 0);
	assert_int_equal(ledger_node(l, NODE_URL, 7, "trojan", &node), 0);
	assert_true(ledger_freeze(l, node, &how) >= 0);
	n = ledger_batches(l, node, heads, ARRAY_LEN(heads));
	assert_in_range(n, 0, ARRAY_LEN(heads) - 1);
	for (int i = 0; i < n; i++) {
		assert_int_equal(ledger_load(l, heads[i].seq, &b), 0);
		for (uint32_t k = 0; k < b.n && !known(p, b.report_id); k++)
			held[b.entries[k].user] += b.entries[k].up;
		ledger_batch_done(&b);
	}
	ledger_close(l);
	for (int u = 0; u < USERS; u++) {
		uint64_t books = held[u + 1] + p->billed[u + 1];

		if (books != shadow->done[u] && books != shadow->next[u])
			fail_msg("round %d, user %d: billed %llu + held %llu, counted %llu", round,
				 u + 1, (unsigned long long)p->billed[u + 1],
				 (unsigned long long)held[u + 1],
				 (unsigned long long)shadow->done[u]);
		/* whichever it was, it is settled now */
		atomic_store(&shadow->done[u], books);
		atomic_store(&shadow->next[u], books);
	}
}

static void kill_again_and_again(bool fills)
{
	struct shadow *shadow = mmap(NULL, sizeof(*shadow), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct panel panel = {0};
	const char *env = getenv("WEIR_CRASH_ROUNDS"); /* ./dev soak */
	int rounds = env ? atoi(env) : ROUNDS;
	int unstarted = 0;
	uint32_t seed = 20260101;
	uint64_t sum = 0;
	struct state s;

	state_init(&s);
	state_close(&s);
	for (int i = 0; i < rounds; i++) {
		unstarted += !run_and_kill(&panel, shadow, s.dir, &seed, fills);
		for (uint32_t k = rnd(&seed) % 4; k > 0; k--)
			start_and_kill(s.dir, &seed, fills);
		audit(&panel, shadow, s.dir, i);
	}
	for (int u = 0; u < USERS; u++)
		sum += shadow->done[u];
	printf("%d kills, %d starts without room, %llu bytes, %u reports taken, %u repeated\n",
	       rounds, unstarted, (unsigned long long)sum, panel.taken, panel.repeated);
	assert_true(sum > 0 && panel.taken > 0 && (unstarted > 0) == fills);
	free(panel.ids);
	munmap(shadow, sizeof(*shadow));
	state_done(&s);
}

static void kill_9_at_any_moment_neither_loses_nor_doubles(void **state)
{
	kill_again_and_again(false);
}

static void nor_does_kill_9_while_the_disk_is_full_now_and_then(void **state)
{
	kill_again_and_again(true);
}

/* ---- and its speed, for people ----------------------------------------------------------- */

static void hundred_thousand_active_users(void **state)
{
	uint32_t *slots = calloc(100000, sizeof(*slots));
	struct state s;
	nsec_t t;

	state_init(&s);
	for (int i = 0; i < 100000; i++)
		slots[i] = state_user(&s, i + 1, 1000, 2000);
	t = now();
	assert_int_equal(state_freeze(&s, 0, 0), 20);
	printf("first freeze of 100,000: %lld ms\n", (long long)((now() - t) / NSEC_MS));
	for (int i = 0; i < 100000; i++)
		state_add(&s, slots[i], 1, 1);
	t = now();
	{
		struct ledger_freeze how = {.always = true};

		assert_int_equal(ledger_freeze(s.l, s.node, &how), 20);
	}
	printf("next freeze of 100,000:  %lld ms\n", (long long)((now() - t) / NSEC_MS));
	t = now();
	assert_int_equal(state_freeze(&s, 0, 0), 0);
	printf("a freeze of nobody:      %lld ms\n", (long long)((now() - t) / NSEC_MS));
	for (int i = 0; i < 100000; i++)
		state_add(&s, slots[i], 1, 1);
	t = now();
	assert_int_equal(ledger_settle(s.l, slots, 50000), 0);
	printf("settling 50,000:         %lld ms\n", (long long)((now() - t) / NSEC_MS));
	state_close(&s);
	t = now();
	state_open(&s, 2);
	printf("start after a crash:     %lld ms\n", (long long)((now() - t) / NSEC_MS));
	assert_int_equal(state_totals(&s).carried.up, 100000);
	free(slots);
	state_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kill_9_at_any_moment_neither_loses_nor_doubles),
		cmocka_unit_test(nor_does_kill_9_while_the_disk_is_full_now_and_then),
		cmocka_unit_test(hundred_thousand_active_users),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
