/* relay_load.c - load for the relays of this folder, and what it cost them.
 *
 * Plays the target and the users, in one thread and one epoll: the processor that the relay under
 * test does not use.  Prints one line of JSON: bytes and CPU seconds of the relay (from /proc),
 * over the time measured.
 *
 *     relay_load down FLOWS SECONDS ENTRY-PORT TARGET-PORT PID [WRITE-SIZE]
 *     relay_load mix  FLOWS SECONDS ENTRY-PORT TARGET-PORT PID      downloads, and 4 pings beside
 * them relay_load ping FLOWS SECONDS ENTRY-PORT TARGET-PORT PID      100 bytes there and back
 *     relay_load conn FLOWS SECONDS ENTRY-PORT TARGET-PORT PID      connect, ping once, close
 *     relay_load idle FLOWS 0       ENTRY-PORT TARGET-PORT PID      what an idle connection holds
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE	 100
#define WARM_UP	 0.3
#define PINGERS	 4   /* beside downloads */
#define DOWNLOAD '!' /* the first byte of a user who wants one */
#define TIMES	 (1 << 20)

enum role {
	LISTENER,
	FRESH,	/* target's end, not told yet what it is */
	SOURCE, /* target's end of a download */
	ECHO,	/* target's end of a ping */
	SINK,	/* user's end of a download */
	PINGER,
};

struct end {
	int fd;
	enum role role;
	bool open;
	size_t got;
	double asked; /* when this ping left */
};

static int ep, entry_port, lfd;
static size_t write_size = 256 * 1024;
static uint64_t received, rounds;
static char block[1 << 20];
static float times[TIMES]; /* of pings, in microseconds */
static bool reconnects, answers;
static char mode;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static struct sockaddr_in loopback(int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void watch(int fd, enum role role, unsigned events)
{
	struct end *e = calloc(1, sizeof(*e));
	struct epoll_event ev = {.events = events, .data.ptr = e};

	if (!e)
		die("calloc");
	e->fd = fd;
	e->role = role;
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

static void rewatch(struct end *e, unsigned events)
{
	struct epoll_event ev = {.events = events, .data.ptr = e};

	epoll_ctl(ep, EPOLL_CTL_MOD, e->fd, &ev);
}

static int new_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	return fd;
}

static void add_user(enum role role)
{
	struct sockaddr_in to = loopback(entry_port);
	int fd = new_socket();

	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
		die("connect");
	watch(fd, role, role == SINK ? EPOLLOUT : EPOLLIN | EPOLLOUT | EPOLLET);
}

static void end_close(struct end *e)
{
	struct linger reset = {.l_onoff = 1};

	setsockopt(e->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)); /* spare the ports */
	close(e->fd);
	free(e);
}

static void ping(struct end *e)
{
	e->asked = now();
	if (send(e->fd, block, MESSAGE, MSG_NOSIGNAL) != MESSAGE)
		die("ping");
}

static void pinger(struct end *e)
{
	ssize_t n;

	if (!e->open) {
		e->open = true;
		ping(e);
		return;
	}
	n = recv(e->fd, block, sizeof(block), 0);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		die("answer");
	if (n < 0 || (e->got += (size_t)n) < MESSAGE)
		return;
	e->got = 0;
	times[rounds++ % TIMES] = (float)((now() - e->asked) * 1e6);
	if (reconnects) {
		end_close(e);
		add_user(PINGER);
	} else if (answers) {
		ping(e);
	}
}

static void sink(struct end *e)
{
	ssize_t n;

	if (!e->open) {
		e->open = true;
		if (send(e->fd, &(char){DOWNLOAD}, 1, MSG_NOSIGNAL) != 1)
			die("request");
		rewatch(e, EPOLLIN);
		return;
	}
	n = recv(e->fd, NULL, sizeof(block), MSG_TRUNC); /* thrown away by the kernel */
	if (n == 0 || (n < 0 && errno != EAGAIN))
		die("download");
	received += n > 0 ? (uint64_t)n : 0;
}

static void echo(struct end *e)
{
	ssize_t n = recv(e->fd, block, sizeof(block), 0);

	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		end_close(e);
	} else if (n == 1 && e->role == FRESH && block[0] == DOWNLOAD) {
		e->role = SOURCE;
		rewatch(e, EPOLLOUT);
	} else if (n > 0) {
		e->role = ECHO;
		if (send(e->fd, block, (size_t)n, MSG_NOSIGNAL) != n)
			die("echo");
	}
}

static void accept_one(void)
{
	int fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK);

	if (fd < 0)
		return;
	watch(fd, FRESH, EPOLLIN);
}

static void source(struct end *e)
{
	for (int i = 0; i < 4; i++) {
		if (send(e->fd, block, write_size, MSG_NOSIGNAL) < 0) {
			if (errno != EAGAIN)
				die("source");
			return;
		}
	}
}

static void run_for(double seconds)
{
	double end = now() + seconds;
	struct epoll_event ev[256];

	while (now() < end) {
		int n = epoll_wait(ep, ev, 256, 10);

		for (int i = 0; i < n; i++) {
			struct end *e = ev[i].data.ptr;

			switch (e->role) {
			case LISTENER:
				accept_one();
				break;
			case SOURCE:
				source(e);
				break;
			case FRESH:
			case ECHO:
				echo(e);
				break;
			case SINK:
				sink(e);
				break;
			case PINGER:
				pinger(e);
				break;
			}
		}
	}
}

/* User and system seconds of a process, in ticks of the scheduler's clock where /proc has them. */
static double cpu_of(const char *pid)
{
	unsigned long long ns = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/schedstat", pid);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%llu", &ns) != 1)
		die(path);
	fclose(f);
	return (double)ns * 1e-9;
}

static long rss_of(const char *pid)
{
	long size, resident = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/statm", pid);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%ld %ld", &size, &resident) != 2)
		die(path);
	fclose(f);
	return resident * sysconf(_SC_PAGESIZE);
}

static int by_value(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

static void measure(int flows, double seconds, const char *pid)
{
	bool bulk = mode == 'd' || mode == 'm';
	double t, cpu, gb;

	for (int i = 0; i < flows; i++)
		add_user(bulk ? SINK : PINGER);
	for (int i = 0; i < PINGERS && mode == 'm'; i++)
		add_user(PINGER);
	run_for(WARM_UP);
	received = rounds = 0;
	t = now();
	cpu = cpu_of(pid);
	run_for(seconds);
	t = now() - t;
	cpu = cpu_of(pid) - cpu;
	printf("{\"flows\": %d, \"seconds\": %.3f, \"cpu\": %.3f", flows, t, cpu);
	gb = (double)received * 1e-9;
	if (bulk)
		printf(", \"gb\": %.3f, \"cpu_s_per_gb\": %.4f", gb, cpu / gb);
	if (mode != 'd') {
		uint64_t n = rounds < TIMES ? rounds : TIMES;

		qsort(times, n, sizeof(times[0]), by_value);
		printf(", \"rounds\": %llu, \"us_p50\": %.1f, \"us_p99\": %.1f",
		       (unsigned long long)rounds, times[n / 2], times[n * 99 / 100]);
	}
	if (!bulk)
		printf(", \"cpu_us_per_round\": %.2f", cpu / (double)rounds * 1e6);
	printf("}\n");
}

/* Connections come in steps, so that no backlog overflows; then everything rests. */
static void measure_idle(int flows, const char *pid)
{
	long before;

	add_user(PINGER);
	run_for(1);
	before = rss_of(pid);
	for (int i = 0; i < flows; i++) {
		add_user(PINGER);
		if (i % 100 == 99)
			run_for(0.05);
	}
	run_for(3);
	printf("{\"flows\": %d, \"answered\": %llu, \"bytes_per_flow\": %.0f}\n", flows,
	       (unsigned long long)rounds, (double)(rss_of(pid) - before) / flows);
}

int main(int argc, char **argv)
{
	struct sockaddr_in at;
	struct rlimit files;

	if (argc < 7) {
		fprintf(stderr, "usage: see the top of the source\n");
		return 2;
	}
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	mode = argv[1][0];
	reconnects = mode == 'c';
	answers = mode == 'p' || mode == 'm';
	entry_port = atoi(argv[4]);
	at = loopback(atoi(argv[5]));
	if (argc > 7)
		write_size = (size_t)atol(argv[7]);
	ep = epoll_create1(0);
	lfd = new_socket();
	if (bind(lfd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(lfd, 4096) < 0)
		die("listen");
	watch(lfd, LISTENER, EPOLLIN);
	if (mode == 'i')
		measure_idle(atoi(argv[2]), argv[6]);
	else
		measure(atoi(argv[2]), atof(argv[3]), argv[6]);
	return 0;
}
