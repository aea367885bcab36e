/* load.c - load for a server or a bare relay, and what it cost the other side.
 *
 *     load VIA down FLOWS SECONDS TARGET-PORT PID     CPU seconds per GB, downloads
 *     load VIA up   FLOWS SECONDS TARGET-PORT PID     the same, uploads
 *     load VIA ping FLOWS SECONDS TARGET-PORT PID     CPU microseconds per 100 bytes there and back
 *     load VIA wait FLOWS SECONDS TARGET-PORT PID     how long 100 bytes there and back take: us, p50 and p99
 *     load VIA conn FLOWS SECONDS TARGET-PORT PID     the same per connection: open, ping, close
 *     load VIA udp  FLOWS SECONDS TARGET-PORT PID     the same per datagram there and back
 *     load VIA idle FLOWS REST    TARGET-PORT PID     resident bytes per connection after REST s
 *     load VIA down-check FLOWS BYTES TARGET-PORT PID every byte of so many is looked at
 *     load VIA up-check   FLOWS BYTES TARGET-PORT PID
 *
 * VIA is a share link, or `plain:PORT` for a relay that knows its target.  PID is the server's
 * process: its CPU clock is that of all its threads, its memory comes from /proc.  One line of JSON
 * comes out.
 *
 * Users and target share a thread, so that on two cores the server has one for itself.  Only idle
 * connections are held by two processes: where descriptors are limited, half of them each.
 */
#include "load.h"
#include "load_way.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "crypto/aead.h"

#define WARM_UP (500 * NSEC_MS) /* half of what is measured, where that is less */
#define STEP	64		/* connections under way at once when many are opened */

/* ---- what the server spends -------------------------------------------------------------- */

static long rss_of(pid_t pid)
{
	long resident = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%*d %ld", &resident) != 1)
		load_die(path, -errno);
	fclose(f);
	return resident * sysconf(_SC_PAGESIZE);
}

struct task {
	enum load_wish wish;
	int flows;
	double amount; /* seconds, or bytes */
	uint16_t port; /* the target's */
	pid_t pid;     /* the server's */
};

/* ---- measuring --------------------------------------------------------------------------- */

static void measure(struct load *l, const struct task *t)
{
	nsec_t began;
	double cpu, seconds, units;
	bool counted;

	for (int i = 0; i < t->flows; i++) {
		if (t->wish == LOAD_UDP)
			load_talker_new(l);
		else
			load_user_new(l, t->wish);
	}
	if (t->wish == LOAD_DOWN || t->wish == LOAD_UP)
		load_settle(l, 0); /* handshakes are not what is asked */
	load_run(l, MIN(WARM_UP, (nsec_t)(t->amount * 0.5e9)));
	l->moved = l->pings = 0;
	began = loop_now(l->loop);
	cpu = load_cpu_of(t->pid);
	load_run(l, (nsec_t)(t->amount * 1e9));
	/* On a busy machine the first of them may take its time. */
	for (int i = 0; i < 50 && l->moved + l->pings == 0; i++)
		load_run(l, 100 * NSEC_MS);
	cpu = load_cpu_of(t->pid) - cpu;
	seconds = (double)(loop_now(l->loop) - began) * 1e-9;
	counted = t->wish == LOAD_PING || t->wish == LOAD_UDP;
	units = counted ? (double)l->pings * 1e-6 : (double)l->moved * 1e-9;
	if (units <= 0)
		load_die("nothing moved", -ETIMEDOUT);
	printf("{\"seconds\": %.3f, \"cpu\": %.4f, \"%s\": %.6f, \"cost\": %.5g}\n", seconds, cpu,
	       counted ? "Mpings" : "gb", units, cpu / units);
}

static int by_size(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

static void measure_wait(struct load *l, const struct task *t)
{
	for (int i = 0; i < t->flows; i++)
		load_user_new(l, t->wish);
	load_run(l, MIN(WARM_UP, (nsec_t)(t->amount * 0.5e9)));
	l->room = 1 << 20;
	l->times = malloc(l->room * sizeof(*l->times));
	if (!l->times)
		load_die("memory", -ENOMEM);
	load_run(l, (nsec_t)(t->amount * 1e9));
	for (int i = 0; i < 50 && l->ntimes < 2; i++)
		load_run(l, 100 * NSEC_MS);
	if (l->ntimes < 2)
		load_die("no answer", -ETIMEDOUT);
	l->ntimes--; /* what was asked before that is not timed */
	l->times++;
	qsort(l->times, l->ntimes, sizeof(*l->times), by_size);
	printf("{\"n\": %zu, \"p99\": %.0f, \"cost\": %.0f}\n", l->ntimes,
	       (double)l->times[l->ntimes * 99 / 100], (double)l->times[l->ntimes / 2]);
}

/* One comes first and stays: what the first connection of all costs is none of an idle one's. */
static void measure_idle(struct load *l, const struct task *t)
{
	/* What a server still gives back once it rests: it may take its time. */
	nsec_t rest = (nsec_t)(t->amount * 1e9);
	long before;

	load_user_new(l, LOAD_PING);
	load_settle(l, 0);
	load_run(l, rest);
	before = rss_of(t->pid);
	for (int i = 0; i < t->flows; i++) {
		load_user_new(l, LOAD_PING);
		load_settle(l, STEP);
	}
	load_settle(l, 0);
	load_run(l, rest);
	printf("{\"flows\": %d, \"before\": %ld, \"cost\": %.0f}\n", t->flows, before,
	       (double)(rss_of(t->pid) - before) / t->flows);
}

/* A wrong byte ends the program where it is seen. */
static void check(struct load *l, const struct task *t)
{
	l->check = (uint64_t)t->amount;
	for (int i = 0; i < t->flows; i++)
		load_user_new(l, t->wish);
	load_settle(l, 0);
	printf("{\"flows\": %d, \"bytes\": %.0f, \"cost\": 0}\n", t->flows, t->flows * t->amount);
}

/* ---- the way there ----------------------------------------------------------------------- */

/* `port` is the target's; a plain relay is asked for itself. */
static void open_way(struct load *l, const char *via, uint16_t port)
{
	static struct load_way way;
	bool plain = !strncmp(via, "plain:", 6);
	struct addr at = addr_from_ip4("\x7f\0\0\1", port);

	load_way_open(&way, l->loop, plain ? NULL : via, NULL);
	l->dialer = way.dialer;
	if (plain)
		addr_set_port(&at, (uint16_t)atoi(via + 6));
	dest_set_addr(&l->to, &at);
}

static void allow_descriptors(void)
{
	struct rlimit files;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

/* In a process of its own, which lives no longer than this one.  Returns when it listens. */
static void fork_target(uint16_t port)
{
	struct load l = {0};
	int ready[2];
	char byte;

	if (pipe(ready) < 0)
		load_die("pipe", -errno);
	if (fork() != 0) {
		close(ready[1]);
		if (read(ready[0], &byte, 1) != 1)
			load_die("target", -ECONNREFUSED);
		close(ready[0]);
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	l.loop = loop_new(LOOP_EPOLL, 0);
	if (!l.loop)
		load_die("loop", -ENOMEM);
	load_target_open(&l, port);
	if (write(ready[1], "", 1) != 1)
		_exit(1);
	loop_run(l.loop);
	_exit(0);
}

static const struct {
	const char *name;
	enum load_wish wish;
	bool again, reconnect;
	void (*run)(struct load *l, const struct task *t);
} modes[] = {
	{"down", LOAD_DOWN, false, false, measure},
	{"up", LOAD_UP, false, false, measure},
	{"ping", LOAD_PING, true, false, measure},
	{"wait", LOAD_PING, true, false, measure_wait},
	{"conn", LOAD_PING, false, true, measure},
	{"udp", LOAD_UDP, false, false, measure},
	{"idle", LOAD_PING, false, false, measure_idle},
	{"down-check", LOAD_DOWN, false, false, check},
	{"up-check", LOAD_UP, false, false, check},
};

int main(int argc, char **argv)
{
	struct load l = {0};
	struct task task;
	size_t m = 0;

	while (argc == 7 && m < ARRAY_LEN(modes) && strcmp(argv[2], modes[m].name))
		m++;
	if (argc != 7 || m == ARRAY_LEN(modes)) {
		fprintf(stderr, "usage: see the top of the source\n");
		return 2;
	}
	allow_descriptors();
	sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	(void)aead_init("auto");
	task = (struct task){modes[m].wish, atoi(argv[3]), atof(argv[4]), (uint16_t)atoi(argv[5]),
			     (pid_t)atoi(argv[6])};
	if (modes[m].run == measure_idle)
		fork_target(task.port);
	l.loop = loop_new(LOOP_EPOLL, 0);
	if (!l.loop)
		load_die("loop", -ENOMEM);
	l.again = modes[m].again;
	l.reconnect = modes[m].reconnect;
	open_way(&l, argv[1], task.port);
	if (task.wish == LOAD_UDP)
		load_echo_open(&l, task.port);
	else if (modes[m].run != measure_idle)
		load_target_open(&l, task.port);
	modes[m].run(&l, &task);
	return 0;
}
