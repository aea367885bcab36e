/* load.c - load for a server or a bare relay, and what it cost the other side.
 *
 *     load VIA down FLOWS SECONDS TARGET-PORT PID     CPU seconds per GB, downloads
 *     load VIA up   FLOWS SECONDS TARGET-PORT PID     the same, uploads
 *     load VIA ping FLOWS SECONDS TARGET-PORT PID     CPU microseconds per 100 bytes there and back
 *     load VIA conn FLOWS SECONDS TARGET-PORT PID     the same per connection: open, ping, close
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
#include "client/from_link.h"
#include "crypto/aead.h"
#include "dns/dns.h"
#include "proto/direct/direct.h"

#define WARM_UP (500 * NSEC_MS) /* half of what is measured, where that is less */
#define STEP	64		/* connections under way at once when many are opened */

void load_die(const char *what, int err)
{
	fprintf(stderr, "load: %s: %s\n", what, err_text(err));
	exit(1);
}

/* ---- what the server spends -------------------------------------------------------------- */

/* Seconds of all its threads, those that have ended too. */
static double cpu_of(pid_t pid)
{
	struct timespec ts;
	clockid_t clock;
	int err = clock_getcpuclockid(pid, &clock);

	if (err || clock_gettime(clock, &ts) < 0)
		load_die("the server's clock", err ? -err : -errno);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

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

void load_run(struct load *l, nsec_t duration)
{
	nsec_t end = loop_now(l->loop) + duration;

	do
		loop_turn(l->loop, 10 * NSEC_MS);
	while (loop_now(l->loop) < end);
}

void load_settle(struct load *l, size_t pending)
{
	nsec_t end = loop_now(l->loop) + 30 * NSEC_SEC;

	while (l->npending > pending) {
		loop_turn(l->loop, 10 * NSEC_MS);
		if (loop_now(l->loop) > end)
			load_die("what was to come", -ETIMEDOUT);
	}
}

void load_moved(struct load *l, bool *begun, size_t n)
{
	if (!*begun && n > 0) {
		*begun = true;
		l->npending--;
	}
	l->moved += n;
}

static void measure(struct load *l, const struct task *t)
{
	nsec_t began;
	double cpu, seconds, units;

	for (int i = 0; i < t->flows; i++)
		load_user_new(l, t->wish);
	load_settle(l, t->wish == LOAD_PING ? SIZE_MAX : 0); /* handshakes are not what is asked */
	load_run(l, MIN(WARM_UP, (nsec_t)(t->amount * 0.5e9)));
	l->moved = l->pings = 0;
	began = loop_now(l->loop);
	cpu = cpu_of(t->pid);
	load_run(l, (nsec_t)(t->amount * 1e9));
	cpu = cpu_of(t->pid) - cpu;
	seconds = (double)(loop_now(l->loop) - began) * 1e-9;
	units = t->wish == LOAD_PING ? (double)l->pings * 1e-6 : (double)l->moved * 1e-9;
	if (units <= 0)
		load_die("nothing moved", -ETIMEDOUT);
	printf("{\"seconds\": %.3f, \"cpu\": %.4f, \"%s\": %.6f, \"cost\": %.5g}\n", seconds, cpu,
	       t->wish == LOAD_PING ? "Mpings" : "gb", units, cpu / units);
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

static void open_link(const char *text, struct outbound_conf *out)
{
	struct link_trust trust = {.insecure = true};
	char why[FROM_LINK_WHY] = "";
	struct share_link link;
	const char *what = "";
	struct arena mem;
	int err;

	arena_init(&mem, 0);
	err = share_link_parse(text, strlen(text), &mem, &link, &what);
	if (!err)
		err = outbound_conf_of_link(&link, &trust, out, why);
	arena_done(&mem);
	if (err)
		load_die(*why ? why : what, err);
}

/* `port` is the target's; a plain relay is asked for itself. */
static void open_way(struct load *l, const char *via, uint16_t port)
{
	static const struct direct_conf anywhere = {.allow_private = true};
	static struct outbound_conf conf;
	static struct outbound outbound;
	static struct direct direct;
	static struct own_addr own;
	struct dns *dns = dns_new(l->loop);
	struct addr at = addr_from_ip4("\x7f\0\0\1", port);

	if (!dns)
		load_die("resolver", -ENOMEM);
	own_addr_init(&own);
	direct_init(&direct, dns_resolver(dns), &anywhere, &own);
	l->dialer = &direct.dialer;
	if (!strncmp(via, "plain:", 6)) {
		addr_set_port(&at, (uint16_t)atoi(via + 6));
	} else {
		open_link(via, &conf);
		outbound_init(&outbound, &direct.dialer, &conf);
		l->dialer = &outbound.dialer;
	}
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
	{"conn", LOAD_PING, false, true, measure},
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
	if (modes[m].run != measure_idle)
		load_target_open(&l, task.port);
	modes[m].run(&l, &task);
	return 0;
}
